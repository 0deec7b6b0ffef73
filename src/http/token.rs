//! Where a request's token is: the `Authorization` header, else the query key `auth`.

use std::borrow::Cow;

use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, Request};

/// The token of a request, if it has one: `Authorization: Bearer TOKEN`, `Authorization: TOKEN`, then
/// `?auth=TOKEN`, percent-decoded. A header that is empty or of another scheme falls through to the query.
///
/// # Errors
/// What is wrong, if the query has two tokens.
pub(super) fn find<B>(request: &Request<B>) -> Result<Option<Cow<'_, str>>, &'static str> {
    if let Some(token) = in_headers(request.headers()) {
        return Ok(Some(Cow::Borrowed(token)));
    }
    let query = request.uri().query().unwrap_or_default();
    let mut tokens = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, value)| name == "auth" && !value.is_empty())
        .map(|(_, value)| value);
    match (tokens.next(), tokens.next()) {
        (_, Some(_)) => Err("auth stands twice in the query"),
        (token, None) => Ok(token),
    }
}

/// The token in the headers alone: a query ends up in logs, and lets the page of somebody else make the request.
pub(super) fn in_headers(headers: &HeaderMap) -> Option<&str> {
    in_header(headers.get(AUTHORIZATION)?.to_str().ok()?)
}

fn in_header(value: &str) -> Option<&str> {
    let value = value.trim();
    let token = match value.split_once(' ') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest.trim(),
        // Another scheme: a proxy's or a browser's, not ours.
        Some(_) => return None,
        None if value.eq_ignore_ascii_case("bearer") => return None,
        None => value,
    };
    (!token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_in_the_order_of_the_contract() {
        let cases = [
            (Some("Bearer abc"), "/", Some("abc")),
            (Some("bearer  abc "), "/?auth=other", Some("abc")),
            (Some("abc"), "/?auth=other", Some("abc")),
            (Some(""), "/?auth=other", Some("other")),
            (Some("  "), "/?auth=other", Some("other")),
            (Some("Bearer "), "/?auth=other", Some("other")),
            (Some("Basic dXNlcg=="), "/?auth=other", Some("other")),
            (Some("Basic dXNlcg=="), "/", None),
            (None, "/any/path?x=1&auth=a%2eb%2Ec&y=2", Some("a.b.c")),
            (None, "/?auth=&auth=b", Some("b")),
            (None, "/?AUTH=b", None),
            (None, "/", None),
        ];
        for (header, uri, token) in cases {
            let mut request = Request::builder().uri(uri);
            if let Some(header) = header {
                request = request.header(AUTHORIZATION, header);
            }
            let request = request.body(()).expect("a request");
            let found = find(&request).expect("one token at most");
            assert_eq!(found.as_deref(), token, "{header:?} {uri}");
        }
    }
    #[test]
    fn two_tokens_in_the_query_are_none() {
        let request = |uri| Request::builder().uri(uri).body(()).expect("a request");
        for uri in ["/?auth=a&auth=b", "/?auth=a&auth=a", "/?auth=&auth=a&x=1&%61uth=b"] {
            assert!(find(&request(uri)).is_err(), "{uri}");
        }
        let mut request = request("/?auth=a&auth=b");
        request.headers_mut().insert(AUTHORIZATION, "Bearer c".parse().expect("a value"));
        assert_eq!(find(&request), Ok(Some("c".into())), "the header goes before the query");
    }
}
