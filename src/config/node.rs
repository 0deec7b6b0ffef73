//! Owns [`Node`]: a value as it was written, with its place, before anybody knows what it means.

use std::ffi::OsString;

use toml::de::DeValue;

use super::fault::Origin;

/// A value and where it stands. No `Debug`: it may be a secret.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

#[derive(Clone)]
pub(super) enum Value {
    /// A string in TOML.
    Text(String),
    /// What stands in a variable, where numbers and words have no quotes.
    Bare(OsString),
    /// An integer in TOML, in its digits and their radix.
    Integer(String, u32),
    /// A boolean in TOML.
    Boolean(bool),
    /// An array in TOML, or the list in a variable.
    Array(Vec<Node>),
    /// What no key takes, named with its article.
    Other(&'static str),
}

impl Value {
    /// What kind of value this is, with its article.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Bare(_) => "a string",
            Self::Integer(..) => "an integer",
            Self::Boolean(_) => "a boolean",
            Self::Array(_) => "an array",
            Self::Other(kind) => kind,
        }
    }
}

impl Node {
    /// A value of a TOML document; `place` turns a byte offset into where that is.
    pub(super) fn new(value: &toml::Spanned<DeValue<'_>>, place: &dyn Fn(usize) -> Origin) -> Self {
        let origin = place(value.span().start);
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.clone().into_owned()),
            DeValue::Integer(number) => Value::Integer(number.as_str().into(), number.radix()),
            DeValue::Boolean(value) => Value::Boolean(*value),
            DeValue::Array(items) => {
                Value::Array(items.iter().map(|item| Self::new(item, place)).collect())
            }
            DeValue::Float(_) => Value::Other("a float"),
            DeValue::Datetime(_) => Value::Other("a date"),
            DeValue::Table(_) => Value::Other("a table"),
        };
        Self { value, origin }
    }

    /// What a variable holds: the text, or where the key takes a list, its items, separated by
    /// commas. A list that starts with `[` is read as a TOML array, unless it is an address.
    pub(super) fn from_variable(
        text: OsString,
        is_list: bool,
        origin: &Origin,
    ) -> Result<Self, String> {
        let whole = |value| Self { value, origin: origin.clone() };
        let Some(list) = text.to_str().filter(|_| is_list).map(str::trim) else {
            return Ok(whole(Value::Bare(text)));
        };
        if let Some(rest) = list.strip_prefix('[') {
            if let Ok(value) = DeValue::parse(list) {
                return Ok(Self::new(&value, &|_| origin.clone()));
            }
            if rest.trim_start().starts_with(['"', '\'']) {
                return Err("starts like a TOML array and is none; write [\"one\", \"two\"], or \
                            the items with commas between them"
                    .into());
            }
        }
        let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
        Ok(whole(Value::Array(items.map(|item| whole(Value::Bare(item.into()))).collect())))
    }
}
