//! The query of a request: parameters that are known, each once, or a fault that names the one that is not.

use hyper::{StatusCode, Uri};

use crate::http::answer::{Answer, fault};

/// The longest page of a list: its answer has some hundred KiB then.
const LONGEST_PAGE: usize = 1000;
/// How long a page is by default.
const PAGE: usize = 100;

/// The parameters of a request.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// # Errors
    /// A parameter that is not among the known ones, or stands twice. What it says is not repeated.
    pub(super) fn of(uri: &Uri, known: &[&str]) -> Result<Query, Box<Answer>> {
        let mut found: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            if !known.contains(&&*name) {
                let reason = match known {
                    [] => "this path takes no parameters".to_owned(),
                    known => {
                        format!("a parameter that is not known; there are {}", known.join(", "))
                    }
                };
                return Err(bad_request(&reason));
            }
            if found.iter().any(|(other, _)| *other == name) {
                return Err(bad_request(&format!("the parameter {name} stands twice")));
            }
            found.push((name.into_owned(), value.into_owned()));
        }
        Ok(Query(found))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// A parameter as what it has to be.
    ///
    /// # Errors
    /// Where it is something else: `what` says what it should be.
    pub(super) fn parse<T>(
        &self,
        name: &str,
        what: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Box<Answer>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| bad_request(&format!("{name} has to be {what}")))
    }

    /// The length of a page.
    ///
    /// # Errors
    /// Where it is not 1 to [`LONGEST_PAGE`].
    pub(super) fn limit(&self) -> Result<usize, Box<Answer>> {
        let read =
            |text: &str| text.parse().ok().filter(|limit| (1..=LONGEST_PAGE).contains(limit));
        let what = format!("a number from 1 to {LONGEST_PAGE}");
        Ok(self.parse("limit", &what, read)?.unwrap_or(PAGE))
    }
}

pub(super) fn bad_request(reason: &str) -> Box<Answer> {
    Box::new(fault(StatusCode::BAD_REQUEST, "bad_request", reason))
}
