//! Owns [`Format`]: which of the two texts a scraper gets, and what it is called.

use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0, which Prometheus asks for.
    OpenMetrics,
    /// The text format 0.0.4, which everything reads.
    Text,
}

impl Format {
    /// What a request's `Accept` asks for, all of its values with commas between them: OpenMetrics where it is
    /// named and not refused, whatever the order, since no scraper names it that does not read it.
    pub fn accepted(accept: &str) -> Format {
        let named = accept.split(',').any(|range| {
            let mut words = range.split(';').map(str::trim);
            let is_it = words
                .next()
                .is_some_and(|kind| kind.eq_ignore_ascii_case("application/openmetrics-text"));
            // A weight of nothing refuses (RFC 9110, 12.4.2).
            is_it
                && !words.any(|word| {
                    word.strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0))
                })
        });
        if named { Format::OpenMetrics } else { Format::Text }
    }

    /// The answer's `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    pub(super) fn encode(self, registry: &Registry) -> String {
        let mut written = String::new();
        let done = match self {
            Format::OpenMetrics => text::encode(&mut written, registry),
            Format::Text => prometheus_text::encode(&mut written, registry),
        };
        done.expect("a string takes everything");
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_those_who_name_it() {
        let cases = [
            // What Prometheus 2.42 and 3.5 send.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
                 version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "text/plain;version=0.0.4;q=0.6,application/OpenMetrics-Text; q=0.5",
                Format::OpenMetrics,
            ),
            ("application/openmetrics-text;q=0.0, text/plain", Format::Text),
            ("text/plain", Format::Text),
            ("*/*", Format::Text),
            ("", Format::Text),
        ];
        for (accept, format) in cases {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
    }
}
