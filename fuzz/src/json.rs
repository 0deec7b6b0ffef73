//! JSON as serde_json reads it by itself: the reference that philote's own visitors are held against.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// What stands around values.
const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// Whether a text is JSON, whatever its strings and numbers stand for.
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// Whether a text is a JSON object, likewise.
pub fn is_object(text: &str) -> bool {
    text.trim_start_matches(SPACE).starts_with('{') && is_json(text)
}

/// A JSON object without its spaces around it.
pub fn trim(text: &str) -> &str {
    text.trim_matches(SPACE)
}

/// The members of an object, all of them, in their order.
#[derive(Debug)]
pub struct Members(pub Vec<(String, Value)>);

impl Members {
    /// Reads a text. `None` where it is no object, and where it holds what Rust's values cannot: lone surrogates, numbers
    /// beyond all bounds, a depth of more than 128.
    pub fn of(text: &str) -> Option<Members> {
        serde_json::from_str(text).ok()
    }

    /// Those of this name.
    pub fn named(&self, name: &str) -> Vec<&Value> {
        self.0.iter().filter(|(is, _)| is == name).map(|(_, value)| value).collect()
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}
