//! Which tokens open a connection: algorithms, claims, times, keys.

use crate::support::frame::PING;
use crate::support::http::Request;
use crate::support::server::{Server, Setup};
use crate::support::token::{SECRET, grant, seconds_from_now, signed, token, with_header};
use crate::support::until;

#[track_caller]
fn admits(server: &Server, token: &str) {
    server.open(token).round_trip();
}

#[track_caller]
fn unauthorized(server: &Server, token: &str) {
    let refusal = server.refuses_token(token);
    assert_eq!(refusal.status, 401, "{refusal:?}");
}

#[test]
fn hs256_hs384_and_hs512_are_accepted_for_one_secret() {
    let server = Server::start();
    for algorithm in ["HS256", "HS384", "HS512"] {
        let mut client = server.open(&signed(algorithm, r#"{"read":["a"]}"#, SECRET));
        server.publisher(&["a"]).publish("a", algorithm);
        client.hears("a", algorithm);
    }
}

#[test]
fn a_token_without_a_signature_is_refused() {
    let server = Server::start();
    for header in [r#"{"alg":"none"}"#, r#"{"alg":"None"}"#, r#"{"alg":"NONE"}"#, r"{}"] {
        let naked = with_header(header, "none", r#"{"read":["a"]}"#, SECRET);
        unauthorized(&server, &naked);
        unauthorized(&server, naked.trim_end_matches('.'));
        unauthorized(&server, &with_header(header, "HS256", r#"{"read":["a"]}"#, SECRET));
    }
    let good = grant(&["a"], &[]);
    let (unsigned, _) = good.rsplit_once('.').expect("three parts");
    unauthorized(&server, &format!("{unsigned}."));
}

#[test]
fn asymmetric_and_unknown_algorithms_are_refused() {
    let server = Server::start();
    for algorithm in
        ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA", "HS1", "hs256", "A128KW"]
    {
        let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#);
        unauthorized(&server, &with_header(&header, "HS256", r#"{"read":["a"]}"#, SECRET));
    }
}

#[test]
fn a_header_that_says_another_algorithm_than_signed_is_refused() {
    let server = Server::start();
    unauthorized(&server, &with_header(r#"{"alg":"HS512"}"#, "HS256", "{}", SECRET));
    unauthorized(&server, &with_header(r#"{"alg":"HS256"}"#, "HS512", "{}", SECRET));
}

#[test]
fn a_critical_extension_is_refused() {
    let server = Server::start();
    let header = r#"{"alg":"HS256","crit":["b64"],"b64":false}"#;
    unauthorized(&server, &with_header(header, "HS256", "{}", SECRET));
}

#[test]
fn the_type_and_the_key_id_of_a_token_do_not_matter() {
    let server = Server::start();
    for header in [
        r#"{"alg":"HS256"}"#,
        r#"{"typ":"jwt","alg":"HS256"}"#,
        r#"{"alg":"HS256","typ":"at+jwt"}"#,
        r#"{"alg":"HS256","kid":"../../etc/passwd"}"#,
    ] {
        admits(&server, &with_header(header, "HS256", "{}", SECRET));
    }
}

#[test]
fn a_wrong_signature_is_refused() {
    let server = Server::start();
    let good = grant(&["a"], &[]);
    unauthorized(&server, &signed("HS256", r#"{"read":["a"]}"#, "another secret"));
    unauthorized(&server, &signed("HS256", r#"{"read":["a"]}"#, ""));
    unauthorized(&server, &format!("{good}A"));
    unauthorized(&server, &good[..good.len() - 2]);
    let (text, signature) = good.rsplit_once('.').expect("three parts");
    let (header, _) = text.split_once('.').expect("three parts");
    let other = grant(&["b"], &[]);
    let claims = other.split('.').nth(1).expect("three parts");
    unauthorized(&server, &format!("{header}.{claims}.{signature}"));
}

#[test]
fn what_is_no_token_is_refused() {
    let server = Server::start();
    for text in ["x", "a.b", "a.b.c", "...", "....", "e30.e30.e30", "eyJhbGciOiJIUzI1NiJ9..x"] {
        unauthorized(&server, text);
        assert_eq!(server.refuses(&Request::upgrade(&format!("/?auth={text}"))).status, 401);
    }
    for query in ["/", "/?", "/?auth", "/?auth=", "/?auth=%", "/?auth=%ff%fe", "/?token=x"] {
        assert_eq!(server.refuses(&Request::upgrade(query)).status, 401, "{query}");
    }
}

#[test]
fn claims_that_mean_nothing_here_do_not_make_a_token_invalid() {
    let server = Server::start();
    for claims in [
        r#"{"aud":"somebody else","read":["a"]}"#,
        r#"{"aud":["x","y"],"read":["a"]}"#,
        r#"{"iss":"https://issuer.example","sub":"user 1","jti":"1","read":["a"]}"#,
        r#"{"read":["a"],"role":{"admin":[1,2,{"deep":null}]},"":""}"#,
    ] {
        let mut client = server.open(&token(claims));
        server.publisher(&["a"]).publish("a", "heard");
        client.hears("a", "heard");
    }
}

#[test]
fn a_claim_that_is_null_is_absent() {
    let server = Server::start();
    for claims in [
        r#"{"read":null,"write":null,"api":null}"#,
        r#"{"exp":null,"nbf":null,"iat":null}"#,
        r#"{"aud":null,"iss":null,"sub":null}"#,
        r#"{"read":null,"write":["a"]}"#,
    ] {
        admits(&server, &token(claims));
    }
}

#[test]
fn a_claim_of_the_wrong_type_is_refused() {
    let server = Server::start();
    for claims in [
        r#"{"read":"a"}"#,
        r#"{"read":{"a":true}}"#,
        r#"{"read":[1]}"#,
        r#"{"read":["a",null]}"#,
        r#"{"write":true}"#,
        r#"{"write":[["a"]]}"#,
        r#"{"api":"true"}"#,
        r#"{"api":1}"#,
        r#"{"exp":"tomorrow"}"#,
        r#"{"exp":[]}"#,
        r#"{"nbf":true}"#,
        r#"{"iat":"1516239022"}"#,
        "[]",
        r#""read""#,
        "null",
        "",
        "{",
        r#"{"read":["a"]} x"#,
    ] {
        let refusal = server.refuses_token(&token(claims));
        assert_eq!(refusal.status, 401, "{claims}: {refusal:?}");
    }
}

#[test]
fn an_expired_token_is_refused_without_any_leeway() {
    let server = Server::start();
    for past in [2, 4, 3600] {
        unauthorized(&server, &token(&format!(r#"{{"exp":{}}}"#, seconds_from_now(-past))));
    }
    unauthorized(&server, &token(r#"{"exp":0}"#));
    admits(&server, &token(&format!(r#"{{"exp":{}}}"#, seconds_from_now(60))));
}

/// RFC 7519, 2: a NumericDate may hold a fraction.
#[test]
fn a_time_may_be_a_fraction() {
    let server = Server::start();
    admits(&server, &token(&format!(r#"{{"exp":{}.75}}"#, seconds_from_now(60))));
    admits(&server, &token(&format!(r#"{{"nbf":{}.5}}"#, seconds_from_now(-60))));
    unauthorized(&server, &token(&format!(r#"{{"exp":{}.75}}"#, seconds_from_now(-60))));
}

#[test]
fn a_token_of_the_future_is_refused_but_for_five_seconds() {
    let server = Server::start();
    for claim in ["nbf", "iat"] {
        let at = |offset| token(&format!(r#"{{"{claim}":{}}}"#, seconds_from_now(offset)));
        unauthorized(&server, &at(3600));
        unauthorized(&server, &at(20));
        admits(&server, &at(3));
        admits(&server, &at(0));
        admits(&server, &at(-3600));
    }
}

#[test]
fn the_leeway_can_be_set() {
    let server = Server::with("[auth]\nleeway = \"100s\"");
    for claim in ["nbf", "iat"] {
        let at = |offset| token(&format!(r#"{{"{claim}":{}}}"#, seconds_from_now(offset)));
        admits(&server, &at(80));
        unauthorized(&server, &at(150));
    }
    unauthorized(&server, &token(&format!(r#"{{"exp":{}}}"#, seconds_from_now(-3))));
}

#[test]
fn a_connection_outlives_its_token() {
    let server = Server::start();
    let end = seconds_from_now(2);
    let expiring = token(&format!(r#"{{"read":["a"],"write":["b"],"exp":{end}}}"#));
    let mut client = server.open(&expiring);
    until("the token has expired", || seconds_from_now(0) > end);
    unauthorized(&server, &expiring);
    server.publisher(&["a"]).publish("a", "after its end");
    client.hears("a", "after its end");
    let mut subscriber = server.subscriber(&["b"]);
    client.publish("b", "still granted");
    subscriber.hears("b", "still granted");
}

#[test]
fn a_connection_ends_with_its_token_where_that_is_configured() {
    let server = Server::with("[auth]\nclose_at_expiry = true");
    let end = seconds_from_now(2);
    let mut client = server.open(&token(&format!(r#"{{"read":["a"],"exp":{end}}}"#)));
    let mut lasting = server.subscriber(&["a"]);
    client.round_trip();
    client.closed_with(1008);
    assert!(seconds_from_now(0) >= end, "closed before its token expired");
    server.publisher(&["a"]).publish("a", "to those without an end");
    lasting.hears("a", "to those without an end");
}

#[test]
fn without_any_key_the_secret_is_the_empty_string() {
    let server = Setup::new("").without_secret().start();
    for algorithm in ["HS256", "HS384", "HS512"] {
        admits(&server, &signed(algorithm, r#"{"read":["a"]}"#, ""));
    }
    unauthorized(&server, &grant(&["a"], &[]));
    unauthorized(&server, &with_header(r#"{"alg":"none"}"#, "none", "{}", ""));
}

#[test]
fn a_previous_secret_is_accepted_beside_the_secret() {
    let server =
        Server::with("[auth]\nprevious_secrets = [\"the one before, long enough to be one\"]");
    admits(&server, &grant(&["a"], &[]));
    let before = signed("HS256", "{}", "the one before, long enough to be one");
    admits(&server, &before);
    unauthorized(&server, &signed("HS256", "{}", "neither of both"));
}

/// Nothing is asked of a token but its signature: most in the field hold only these two claims.
#[test]
fn a_token_of_read_and_write_alone_is_good_for_ever() {
    let server = Server::start();
    let mut client = server.open(&token(r#"{"read":["a"],"write":["a"]}"#));
    client.send(&crate::support::frame::Out::new(PING, ""));
    assert_eq!(client.frame().payload, b"");
}

#[test]
fn api_alone_grants_neither_reading_nor_writing() {
    let server = Server::start();
    let mut monitor = server.open(&token(r#"{"api":true}"#));
    let mut subscriber = server.subscriber(&["a"]);
    monitor.publish("a", "not granted");
    monitor.round_trip();
    let mut publisher = server.publisher(&["a"]);
    publisher.publish("a", "granted");
    subscriber.hears("a", "granted");
    monitor.round_trip();
}
