//! Owns how one value is read: from TOML strictly, from a variable as people write them there.
//! Each error is `what; how to mend it` and never holds a secret.

use std::ffi::OsStr;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use super::node::{Node, Value};
use super::unit::{self, show_duration, show_size};
use super::{LogOutput, listen};

/// A string.
pub(super) fn text(node: &Node) -> Result<&str, String> {
    match &node.value {
        Value::Text(text) => Ok(text),
        Value::Bare(text) => text.to_str().ok_or_else(|| "not UTF-8; write it again".into()),
        other => Err(format!("{} where a string is wanted; put it in quotes", other.kind())),
    }
}

/// A string with something in it.
pub(super) fn some_text(node: &Node) -> Result<String, String> {
    match text(node)? {
        "" => Err("an empty string; leave the key out where nothing is meant".into()),
        text => Ok(text.to_owned()),
    }
}

/// The bytes of a secret, whatever they are.
pub(super) fn secret(node: &Node) -> Result<Vec<u8>, String> {
    match &node.value {
        Value::Bare(text) => Ok(text.as_bytes().to_vec()),
        _ => text(node).map(|text| text.as_bytes().to_vec()),
    }
}

/// An absolute path, which may be anything but UTF-8 only in a variable.
pub(super) fn path(node: &Node) -> Result<PathBuf, String> {
    let path = match &node.value {
        Value::Bare(path) => path.as_os_str(),
        _ => OsStr::new(text(node)?),
    };
    if path.as_bytes().contains(&0) {
        return Err("a path with a NUL in it; leave that out".into());
    }
    if !path.as_bytes().starts_with(b"/") {
        // Not shown: it may be a secret in the wrong place.
        return Err("no absolute path; start it with /".into());
    }
    Ok(path.into())
}

/// A whole number.
pub(super) fn count(node: &Node, range: &RangeInclusive<u64>) -> Result<u64, String> {
    let allowed = || format!("use {} to {}", range.start(), range.end());
    let number = match &node.value {
        Value::Integer(digits, radix) => i128::from_str_radix(digits, *radix)
            .map_err(|_| format!("a number out of range; {}", allowed()))?,
        Value::Bare(_) => {
            let text = text(node)?.trim();
            text.parse().map_err(|_| format!("{text:?} is no whole number; {}", allowed()))?
        }
        other => {
            return Err(format!("{} where a whole number is wanted; {}", other.kind(), allowed()));
        }
    };
    u64::try_from(number)
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("{number} is out of range; {}", allowed()))
}

/// Bytes: a number, or a number with a unit.
pub(super) fn size(node: &Node, range: &RangeInclusive<u64>) -> Result<u64, String> {
    let allowed = || format!("use {} to {}", show_size(*range.start()), show_size(*range.end()));
    let bytes = match &node.value {
        Value::Integer(digits, radix) => u64::from_str_radix(digits, *radix)
            .map_err(|_| format!("a size out of range; {}", allowed()))?,
        Value::Text(_) | Value::Bare(_) => unit::size(text(node)?)?,
        other => return Err(format!("{} where a size is wanted; {}", other.kind(), allowed())),
    };
    if range.contains(&bytes) {
        Ok(bytes)
    } else {
        Err(format!("{} is out of range; {}", show_size(bytes), allowed()))
    }
}

/// A number with a unit of time.
pub(super) fn duration(node: &Node, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let duration = match &node.value {
        Value::Integer(digits, 10) => return Err(unit::no_unit(digits)),
        Value::Text(_) | Value::Bare(_) => unit::duration(text(node)?)?,
        other => {
            let allowed = durations(range);
            return Err(format!("{} where a duration is wanted; use {allowed}", other.kind()));
        }
    };
    if range.contains(&duration) {
        Ok(duration)
    } else {
        Err(format!("{} is out of range; use {}", show_duration(duration), durations(range)))
    }
}

/// A range of durations, for people.
pub(super) fn durations(range: &RangeInclusive<Duration>) -> String {
    format!("{} to {}", show_duration(*range.start()), show_duration(*range.end()))
}

/// Whether this is the word for "none".
pub(super) fn is_off(node: &Node) -> bool {
    match &node.value {
        Value::Bare(text) => text.eq_ignore_ascii_case("off"),
        _ => text(node) == Ok("off"),
    }
}

/// `true` or `false`; in a variable also what Go's `strconv.ParseBool` takes, in any case.
pub(super) fn boolean(node: &Node) -> Result<bool, String> {
    match &node.value {
        Value::Boolean(value) => Ok(*value),
        Value::Bare(_) => match text(node)?.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "1" => Ok(true),
            "false" | "f" | "0" => Ok(false),
            other => Err(format!("{other:?} is neither yes nor no; use true or false")),
        },
        other => {
            Err(format!("{} where true or false is wanted; write it without quotes", other.kind()))
        }
    }
}

/// One of `words`. In a variable in any case, and then the old server's names of log levels too.
pub(super) fn word(node: &Node, words: &[&'static str]) -> Result<String, String> {
    let given = text(node)?;
    let word = match &node.value {
        Value::Bare(_) => given.trim().to_ascii_lowercase(),
        _ => given.to_owned(),
    };
    let word = match (&node.value, word.as_str()) {
        (Value::Bare(_), "warning") => "warn",
        (Value::Bare(_), "fatal" | "panic") => "error",
        (_, word) => word,
    };
    if words.contains(&word) {
        return Ok(word.to_owned());
    }
    Err(format!("{given:?} is unknown; use {}", alternatives(words)))
}

/// `"a", "b" or "c"`.
pub(super) fn alternatives(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.join(""),
    }
}

/// Where the log goes.
pub(super) fn output(node: &Node) -> Result<LogOutput, String> {
    match text(node)? {
        "auto" => Ok(LogOutput::Auto),
        "journald" => Ok(LogOutput::Journald),
        "stderr" => Ok(LogOutput::Stderr),
        text if text.starts_with('/') => Ok(LogOutput::File(path(node)?)),
        text => Err(format!(
            "{text:?} is unknown; use \"auto\", \"journald\", \"stderr\" or an absolute path"
        )),
    }
}

/// Permission bits: `"0660"`, or TOML's `0o660`.
pub(super) fn mode(node: &Node) -> Result<u32, String> {
    match &node.value {
        Value::Integer(digits, 8) => listen::mode(&format!("{digits:0>4}")),
        Value::Integer(digits, _) => {
            Err(format!("a bare {digits} is not octal; write \"{digits:0>4}\""))
        }
        _ => listen::mode(text(node)?.trim()),
    }
}
