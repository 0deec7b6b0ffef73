//! Owns how sizes and durations are written: one whole number and one unit.

use std::time::Duration;

/// Units of a size with their bytes, the largest first.
const SIZES: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Units of a duration with their milliseconds, the largest first.
const DURATIONS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Bytes of `64KiB`, `1 MiB` or `1024`, the units without case.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = split(text);
    if digits.is_empty() {
        return Err(format!("{text:?} is no size; write a number and a unit, such as \"64KiB\""));
    }
    let known = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
    let factor = match known {
        Some((_, factor)) => *factor,
        None if unit.is_empty() => 1,
        None => {
            if is_more_than_one(unit) {
                return Err(format!(
                    "{text:?} is not one whole number and one unit; write such as \"{digits}MiB\" (B, KiB, MiB, \
                     GiB and TiB are known)"
                ));
            }
            // KB is 1000 to some and 1024 to others; nobody shall have to know which we mean.
            let meant = SIZES.iter().find(|(name, _)| {
                unit.len() <= 2 && unit.as_bytes()[0].eq_ignore_ascii_case(&name.as_bytes()[0])
            });
            let unit_meant = meant.map_or("KiB", |(name, _)| name);
            return Err(format!(
                "{unit:?} is no unit of a size; write \"{digits}{unit_meant}\" (B, KiB, MiB, \
                 GiB and TiB are known)"
            ));
        }
    };
    multiply(digits, factor).ok_or_else(|| format!("{text:?} is too large; use a smaller size"))
}

/// `25s`, `500ms`, `2m` or `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = split(text);
    let factor = DURATIONS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    match (digits, factor) {
        ("", _) => {
            Err(format!("{text:?} is no duration; write a number and a unit, such as \"25s\""))
        }
        (_, None) if unit.is_empty() => Err(no_unit(digits)),
        (_, None) if is_more_than_one(unit) => Err(format!(
            "{text:?} is not one whole number and one unit; write such as \"90s\" (ms, s, m, h are known)"
        )),
        (_, None) if unit == "d" => Err(format!(
            "{unit:?} is no unit of time; write hours, such as \"24h\" (ms, s, m, h are known)"
        )),
        (_, None) => {
            Err(format!("{unit:?} is no unit of time; write \"{digits}s\" (ms, s, m, h are known)"))
        }
        (_, Some(factor)) => multiply(digits, factor)
            .map(Duration::from_millis)
            .ok_or_else(|| format!("{text:?} is too long; use a shorter duration")),
    }
}

/// Whether what stands behind the first digits has a point or other digits.
fn is_more_than_one(unit: &str) -> bool {
    unit.contains(|c: char| c.is_ascii_digit() || c == '.' || c == ',')
}

/// What is said of a duration that is a bare number.
pub(super) fn no_unit(number: &str) -> String {
    if number.starts_with('-') {
        return format!(
            "{number} is less than nothing; write a number and a unit, such as \"25s\""
        );
    }
    format!("{number} has no unit; write \"{number}s\" for seconds")
}

/// The size in its largest unit that leaves no fraction.
pub(super) fn show_size(bytes: u64) -> String {
    show(bytes, &SIZES)
}

/// The duration in its largest unit that leaves no fraction.
pub fn show_duration(duration: Duration) -> String {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if milliseconds == 0 { "0s".into() } else { show(milliseconds, &DURATIONS) }
}

fn show(amount: u64, units: &[(&str, u64)]) -> String {
    let (unit, factor) = units
        .iter()
        .find(|(_, factor)| amount != 0 && amount.is_multiple_of(*factor))
        .unwrap_or(&units[units.len() - 1]);
    format!("{}{unit}", amount / factor)
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits);
    (digits, unit.trim_start())
}

fn multiply(digits: &str, factor: u64) -> Option<u64> {
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_and_a_binary_unit() {
        let cases = [
            ("1MiB", 1 << 20, "1MiB"),
            ("64 KiB", 64 << 10, "64KiB"),
            ("1024kib", 1 << 20, "1MiB"),
            ("1000", 1000, "1000B"),
            ("7B", 7, "7B"),
            ("0", 0, "0B"),
            ("3GiB", 3 << 30, "3GiB"),
            ("1TiB", 1 << 40, "1TiB"),
        ];
        for (text, bytes, shown) in cases {
            assert_eq!(size(text), Ok(bytes));
            assert_eq!(show_size(bytes), shown);
        }
        let wrong = [
            ("", "no size"),
            ("MiB", "no size"),
            ("-1", "no size"),
            ("1MB", "write \"1MiB\""),
            ("64k", "write \"64KiB\""),
            ("2g", "write \"2GiB\""),
            ("1.5MiB", "one whole number and one unit; write such as \"1MiB\""),
            ("1\u{e9}", "no unit of a size"),
            ("99999999999TiB", "too large"),
            ("99999999999999999999", "too large"),
        ];
        for (text, expected) in wrong {
            let error = size(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        let cases = [
            ("25s", 25_000, "25s"),
            ("500ms", 500, "500ms"),
            ("2m", 120_000, "2m"),
            ("90 s", 90_000, "90s"),
            ("60s", 60_000, "1m"),
            ("1h", 3_600_000, "1h"),
            ("0s", 0, "0s"),
        ];
        for (text, milliseconds, shown) in cases {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)));
            assert_eq!(show_duration(Duration::from_millis(milliseconds)), shown);
        }
        let wrong = [
            ("", "no duration"),
            ("s", "no duration"),
            ("-1s", "no duration"),
            ("25", "25 has no unit; write \"25s\""),
            ("25 sec", "write \"25s\""),
            ("1m30s", "one whole number and one unit"),
            ("1d", "write hours, such as \"24h\""),
            ("1.5s", "one whole number and one unit"),
            ("99999999999999999999s", "too long"),
            ("9999999999999999999h", "too long"),
        ];
        for (text, expected) in wrong {
            let error = duration(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
