//! Where a request's token is: the `Authorization` header, else the query key `auth`.

use std::borrow::Cow;

use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, Request};

/// The token of a request, if it has one: `Authorization: Bearer TOKEN`, `Authorization: TOKEN`, then
/// `?auth=TOKEN`, percent-decoded. A header that is empty or of another scheme falls through to the query.
pub(super) fn find<B>(request: &Request<B>) -> Option<Cow<'_, str>> {
    if let Some(token) = in_headers(request.headers()) {
        return Some(Cow::Borrowed(token));
    }
    form_urlencoded::parse(request.uri().query()?.as_bytes())
        .find(|(name, value)| name == "auth" && !value.is_empty())
        .map(|(_, value)| value)
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
            assert_eq!(find(&request).as_deref(), token, "{header:?} {uri}");
        }
    }
}
