//! A record as one JSON object on one line, for machines: `timestamp`, `level`, `target` where it is a
//! library's, `event`, `message`, and the fields under their own names.

use std::io::Write;

use serde::Serializer;
use serde::ser::SerializeMap;

use super::record::{EVENT, MESSAGE, Record, Value};
use super::text::time;
use crate::visible::is_hidden;

/// Appends the line, without its end.
pub(super) fn render(record: &Record, line: &mut Vec<u8>) {
    let json = serialized(record).expect("text and numbers are JSON");
    for c in json.chars() {
        // JSON allows DEL, C1 and format characters as they are; terminals obey them.
        if is_hidden(c) {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                let _ = write!(line, "\\u{unit:04x}");
            });
        } else {
            let _ = write!(line, "{c}");
        }
    }
}

fn serialized(record: &Record) -> Result<String, serde_json::Error> {
    let mut json = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::new(&mut json);
    let mut object = serializer.serialize_map(None)?;
    object.serialize_entry("timestamp", &time(record.at))?;
    object.serialize_entry("level", &record.level().as_str().to_ascii_lowercase())?;
    if let Some(target) = record.foreign_target() {
        object.serialize_entry("target", target)?;
    }
    if let Some(event) = record.event() {
        object.serialize_entry(EVENT, event)?;
    }
    object.serialize_entry(MESSAGE, record.message())?;
    for (name, value) in record.fields() {
        match value {
            Value::Bool(value) => object.serialize_entry(name, value)?,
            Value::Signed(value) => object.serialize_entry(name, value)?,
            Value::Unsigned(value) => object.serialize_entry(name, value)?,
            Value::Float(value) => object.serialize_entry(name, value)?,
            Value::Text(value) => object.serialize_entry(name, value)?,
        }
    }
    object.end()?;
    Ok(String::from_utf8(json).expect("serde_json writes UTF-8"))
}
