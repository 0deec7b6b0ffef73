//! One reading of `/metrics` in the text format, taken apart.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::support::http::Request;

/// What was read.
pub(crate) struct Scrape {
    pub(crate) text: String,
    /// By series, as it is written: `name{label="value"}`.
    values: BTreeMap<String, f64>,
}

/// Reads what is measured there.
#[track_caller]
pub(crate) fn scrape(address: SocketAddr) -> Scrape {
    let answer = Request::get("/metrics").send(address);
    assert_eq!(answer.status, 200, "{answer:?}");
    Scrape::of(&answer.body)
}

impl Scrape {
    pub(crate) fn of(text: &str) -> Scrape {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let values = samples.map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a series and its value");
            (series.to_owned(), value.parse().expect("a number"))
        });
        Scrape { values: values.collect(), text: text.into() }
    }

    /// The value of a series.
    #[track_caller]
    pub(crate) fn value(&self, series: &str) -> f64 {
        let found = self.values.get(series);
        *found.unwrap_or_else(|| panic!("no {series} in:\n{}", self.text))
    }

    /// Every series.
    pub(crate) fn series(&self) -> Vec<String> {
        self.values.keys().cloned().collect()
    }

    /// The names that are declared, in their order.
    pub(crate) fn names(&self) -> Vec<String> {
        let declared = self.text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        declared.filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect()
    }
}
