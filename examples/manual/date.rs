//! Owns the date of the pages. The same sources give the same date: it is that of `SOURCE_DATE_EPOCH`, or else of
//! the newest release in the changelog. Only where there is neither it is today's.

use std::{env, io};

use time::OffsetDateTime;
use time::macros::format_description;

const CHANGELOG: &str = include_str!("../../CHANGELOG.md");

/// The date as `YYYY-MM-DD`.
///
/// # Errors
/// Where `SOURCE_DATE_EPOCH` is no number of seconds.
pub(crate) fn of_the_pages() -> io::Result<String> {
    let epoch = env::var("SOURCE_DATE_EPOCH").ok();
    of(epoch.as_deref(), CHANGELOG, OffsetDateTime::now_utc()).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "SOURCE_DATE_EPOCH is no number of seconds")
    })
}

/// `None` where the epoch is no number, or of a year that a date cannot have.
pub(crate) fn of(epoch: Option<&str>, changelog: &str, now: OffsetDateTime) -> Option<String> {
    let time = match (epoch.filter(|epoch| !epoch.is_empty()), released(changelog)) {
        (Some(epoch), _) => OffsetDateTime::from_unix_timestamp(epoch.parse().ok()?).ok()?,
        (None, Some(date)) => return Some(date.to_owned()),
        (None, None) => now,
    };
    time.format(format_description!("[year]-[month]-[day]")).ok()
}

/// Of the newest entry, `## [VERSION] - DATE`, where it has one.
fn released(changelog: &str) -> Option<&str> {
    let newest = changelog.lines().find(|line| line.starts_with("## ["))?;
    let (_, date) = newest.split_once("] - ")?;
    date.starts_with(|c: char| c.is_ascii_digit()).then_some(date)
}
