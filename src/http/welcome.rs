//! The page for people: what this is, whether it is ready, and a console to try it with.
//!
//! One file without a reference to anywhere else. It keeps nothing and sends the token nowhere but into its own
//! handshake; its policy lets no other script run and nobody frame it. Served where `http.welcome` says so, to
//! who asks for `/` and prefers HTML, which browsers do and tools do not.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{
    ACCEPT, CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};

use super::answer::{self, Answer};

const PAGE: &str = include_str!("welcome/page.html");

/// What the page may do: run its own script and style, known by their hashes, and talk to this server. The
/// hashes are held by a test.
const POLICY: &str = "default-src 'none'; script-src 'sha256-alxVRLRdbaeaNOahwDiaSnnsqWtBH3rXPyhnA6cH6Ak='; \
    style-src 'sha256-Ybo3wEqa3Ym21i+H4q/sHYb+m4s0dFmn6LEOxu9D00A='; connect-src 'self'; \
    frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Whether who asks would rather see a page than a line of text: HTML is named, which `*/*` alone does not.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|value| value.split(',')).any(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html"))
    })
}

/// The page.
pub(super) fn answer() -> Answer {
    let page = Bytes::from_static(PAGE.as_bytes());
    let mut answer = answer::respond(StatusCode::OK, "text/html; charset=utf-8", page);
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest, Sha256};

    use super::*;

    /// What stands between the only pair of these tags.
    fn within(tag: &str) -> &'static str {
        let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
        assert_eq!(PAGE.matches(&open).count(), 1, "{tag}");
        let (_, rest) = PAGE.split_once(&open).expect("it opens");
        rest.split_once(&close).expect("it closes").0
    }

    #[test]
    fn the_policy_names_the_script_and_the_style_of_the_page_and_no_others() {
        for tag in ["script", "style"] {
            let hash = STANDARD.encode(Sha256::digest(within(tag)));
            let wanted = format!("{tag}-src 'sha256-{hash}';");
            assert!(POLICY.contains(&wanted), "the {tag} has changed; the policy wants {wanted}");
        }
        assert!(!POLICY.contains("unsafe"));
    }

    #[test]
    fn the_page_refers_to_nowhere_else_and_has_no_inline_handlers() {
        for other in
            ["http://", "https://", "//", "src=", " onclick=", " style=", "innerHTML", "eval("]
        {
            let found = PAGE
                .lines()
                .find(|line| line.contains(other) && !line.trim_start().starts_with("//"));
            assert_eq!(found, None, "{other}");
        }
    }

    #[test]
    fn only_who_names_html_gets_the_page() {
        let wants = |accept: &'static str| {
            is_wanted(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]))
        };
        assert!(wants("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(wants("application/json, Text/HTML;q=0.9"));
        assert!(!wants("*/*") && !wants("text/plain") && !wants("text/html5"));
        assert!(!is_wanted(&HeaderMap::new()));
    }
}
