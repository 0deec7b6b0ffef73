use super::*;
use crate::auth::{Algorithm, Claim, Claims, sign};

const SECRET: &[u8] = b"a secret of the tests";
const NOW: u64 = 1_800_000_000;
const POLICY: Policy = Policy {
    issuer: None,
    audience: None,
    leeway: Duration::from_secs(5),
    max_channels: 3,
    max_channel_length: 8,
};

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token of any header and payload, signed by HMAC-SHA256 whatever the header says.
fn forge(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>, secret: &[u8]) -> String {
    let message = format!("{}.{}", encode(header), encode(payload));
    let key = jsonwebtoken::EncodingKey::from_secret(secret);
    let algorithm = jsonwebtoken::Algorithm::HS256;
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn with_claims(payload: impl AsRef<[u8]>) -> String {
    forge(r#"{"alg":"HS256"}"#, payload, SECRET)
}

fn judge(token: &str) -> Result<Grants, AuthError> {
    verify(token, &Keys::new(SECRET, &[]), &POLICY, NOW)
}

fn names(names: &[Box<str>]) -> Vec<&str> {
    names.iter().map(|name| &**name).collect()
}

#[test]
fn a_token_grants_what_it_says_under_each_algorithm() {
    let claims = Claims {
        read: vec!["b".into(), "a".into(), "b".into()],
        write: vec!["a".into()],
        api: true,
        manage: true,
        subject: Some("someone".into()),
        expires: Some(NOW + 1),
        ..Claims::default()
    };
    for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
        let grants = judge(&sign(&claims, SECRET, algorithm).unwrap()).unwrap();
        assert_eq!(names(&grants.read), ["b", "a"], "{algorithm:?}");
        assert_eq!(names(&grants.write), ["a"]);
        assert!(grants.api && grants.manage);
        assert_eq!(grants.subject.as_deref(), Some("someone"));
        assert_eq!(grants.expires, Some(NOW + 1));
    }
}

#[test]
fn a_token_made_by_another_program_is_accepted() {
    // Made by Python with its hmac module, a kid in the header: {"read": ["chän"], "write": []}.
    let token = "eyJhbGciOiJIUzI1NiIsImtpZCI6IjEiLCJ0eXAiOiJKV1QifQ.\
                 eyJyZWFkIjpbImNoXHUwMGU0biJdLCJ3cml0ZSI6W119.\
                 3Dx5QcHpO3AZknXc07h7AwntlH8GcvEo3lIAGNxtiVE";
    assert_eq!(names(&judge(token).unwrap().read), ["chän"]);
}

#[test]
fn claims_may_be_absent_null_unknown_or_of_no_concern() {
    let cases: &[(&str, &[&str], bool)] = &[
        ("{}", &[], false),
        (r#"{"read":null,"write":null,"api":null,"sub":null}"#, &[], false),
        (r#"{"exp":null,"nbf":null,"iat":null}"#, &[], false),
        (r#"{"read":[]}"#, &[], false),
        (r#"{"read":[""]}"#, &[""], false),
        (r#"{"read":["a*","A"],"api":true}"#, &["a*", "A"], true),
        (r#"{"aud":"x","iss":7,"jti":[],"Read":["no"],"read":["a"]}"#, &["a"], false),
        (r#"{"aud":1,"aud":2,"x":[[[{"y":{}}]]],"read":["a"]}"#, &["a"], false),
        (r#"{"\ud800":1,"read":["\ud800","\ud83d\ude00"]}"#, &["\u{FFFD}", "😀"], false),
        (r#"{"read":["x\udc00y","\u00e9\n"]}"#, &["x\u{FFFD}y", "é\n"], false),
        (r#"{"r\u0065ad":["a"]}"#, &["a"], false),
        (" {\"read\" : [ \"a\" ] }\n", &["a"], false),
    ];
    for (claims, read, api) in cases {
        let grants = judge(&with_claims(claims)).unwrap_or_else(|e| panic!("{claims}: {e}"));
        assert_eq!(names(&grants.read), *read, "{claims}");
        assert_eq!(grants.api, *api, "{claims}");
        assert_eq!((grants.write.len(), grants.expires), (0, None), "{claims}");
    }
}

#[test]
fn a_subject_is_kept_where_it_is_a_string() {
    let cases = [
        (r#"{"sub":"jo"}"#, Some("jo")),
        (r#"{"sub":""}"#, Some("")),
        (r#"{"sub":"j\u006f\ud800"}"#, Some("jo\u{FFFD}")),
        (r#"{"sub":7}"#, None),
        (r#"{"sub":["jo"]}"#, None),
        (r#"{"sub":{"name":"jo"}}"#, None),
        (r#"{"sub":true}"#, None),
    ];
    for (claims, subject) in cases {
        let grants = judge(&with_claims(claims)).unwrap_or_else(|e| panic!("{claims}: {e}"));
        assert_eq!(grants.subject.as_deref(), subject, "{claims}");
    }
}

#[test]
fn claims_of_a_wrong_type_or_standing_twice_are_named() {
    use AuthError::{NotAnObject, Repeated, WrongType};
    let cases: &[(&[u8], AuthError)] = &[
        (br#"{"read":"a"}"#, WrongType(Claim::Read)),
        (br#"{"read":["a",1]}"#, WrongType(Claim::Read)),
        (br#"{"read":["a",null]}"#, WrongType(Claim::Read)),
        (br#"{"read":{"a":1}}"#, WrongType(Claim::Read)),
        (br#"{"read":[["a"]]}"#, WrongType(Claim::Read)),
        (br#"{"write":true}"#, WrongType(Claim::Write)),
        (br#"{"api":"true"}"#, WrongType(Claim::Api)),
        (br#"{"api":1}"#, WrongType(Claim::Api)),
        (br#"{"manage":1}"#, WrongType(Claim::Manage)),
        (br#"{"manage":true,"manage":true}"#, Repeated(Claim::Manage)),
        (br#"{"exp":"1900000000"}"#, WrongType(Claim::Exp)),
        (br#"{"nbf":[1]}"#, WrongType(Claim::Nbf)),
        (br#"{"iat":{}}"#, WrongType(Claim::Iat)),
        (br#"{"iat":true}"#, WrongType(Claim::Iat)),
        (br#"{"read":["a"],"read":["b"]}"#, Repeated(Claim::Read)),
        (br#"{"exp":null,"exp":1}"#, Repeated(Claim::Exp)),
        (b"[[\"a\"]]", NotAnObject),
        (b"null", NotAnObject),
        (b"\"read\"", NotAnObject),
        (b"", NotAnObject),
        (b"{", NotAnObject),
        (br#"{"read":["a"]"#, NotAnObject),
        (br#"{"read":["a"]}{}"#, NotAnObject),
        (br#"{"read":["a"],}"#, NotAnObject),
        (br#"{"exp":1e999}"#, NotAnObject),
        (b"{\"read\":[\"\xFF\"]}", NotAnObject),
        (b"{\"read\":[\"a\nb\"]}", NotAnObject),
        (b"{\"sub\":\"a\0\"}", NotAnObject),
        (b"{\"x\ty\":1}", NotAnObject),
        (b"{\"x\":\"\xED\xA0\x80\"}", NotAnObject),
    ];
    for (claims, error) in cases {
        let shown = String::from_utf8_lossy(claims);
        assert_eq!(judge(&with_claims(claims)), Err(*error), "{shown}");
    }
}

#[test]
fn times_are_judged_where_they_stand_and_only_the_beginning_has_leeway() {
    use AuthError::{Expired, IssuedInFuture, NotYetValid};
    let cases = [
        ("exp", "1800000001", Ok(Some(1_800_000_001))),
        ("exp", "1800000001.9", Ok(Some(1_800_000_001))),
        ("exp", "1.8000000010e9", Ok(Some(1_800_000_001))),
        ("exp", "1e300", Ok(Some(i64::MAX as u64))),
        ("exp", "18446744073709551615", Ok(Some(i64::MAX as u64))),
        ("exp", "1800000000", Err(Expired)),
        ("exp", "1800000000.9", Err(Expired)),
        ("exp", "1799999999", Err(Expired)),
        ("exp", "0", Err(Expired)),
        ("exp", "-1", Err(Expired)),
        ("exp", "-1e300", Err(Expired)),
        ("nbf", "1800000005", Ok(None)),
        ("nbf", "1800000005.9", Ok(None)),
        ("nbf", "1800000006", Err(NotYetValid)),
        ("nbf", "1e300", Err(NotYetValid)),
        ("nbf", "-7", Ok(None)),
        ("iat", "1800000005", Ok(None)),
        ("iat", "1800000006", Err(IssuedInFuture)),
        ("iat", "4102444800", Err(IssuedInFuture)),
        ("iat", "0", Ok(None)),
    ];
    for (claim, value, expected) in cases {
        let token = with_claims(format!("{{\"{claim}\":{value}}}"));
        assert_eq!(judge(&token).map(|grants| grants.expires), expected, "{claim} {value}");
    }
}

#[test]
fn a_leeway_below_a_second_counts_as_one() {
    let policy = Policy { leeway: Duration::from_millis(1), ..POLICY };
    let keys = Keys::new(SECRET, &[]);
    let token = with_claims(format!("{{\"nbf\":{}}}", NOW + 1));
    assert!(verify(&token, &keys, &policy, NOW).is_ok());
    assert!(verify(&token, &keys, &policy, NOW - 1).is_err());
    assert!(verify(&token, &keys, &policy, u64::MAX).is_ok());
    assert!(verify(&token, &keys, &Policy { leeway: Duration::MAX, ..policy }, 0).is_ok());
}

#[test]
fn the_limits_of_a_grant_count_distinct_names_and_bytes() {
    use AuthError::{ChannelTooLong, TooManyChannels};
    let cases = [
        (r#"{"read":["a","b","c"],"write":["d","e","f"]}"#, None),
        (r#"{"read":["a","b","c","a","a"]}"#, None),
        (r#"{"read":["a","b","c","d"]}"#, Some(TooManyChannels)),
        (r#"{"write":["a","b","c","d"]}"#, Some(TooManyChannels)),
        (r#"{"read":["12345678"]}"#, None),
        (r#"{"read":["123456789"]}"#, Some(ChannelTooLong)),
        (r#"{"write":["a","1234567é"]}"#, Some(ChannelTooLong)),
    ];
    for (claims, error) in cases {
        assert_eq!(judge(&with_claims(claims)).err(), error, "{claims}");
    }
}

#[test]
fn headers_that_ask_for_anything_else_are_refused() {
    use AuthError::{Algorithm, Critical, Malformed};
    let cases = [
        (r#"{"alg":"none"}"#, Algorithm),
        (r#"{"alg":"None"}"#, Algorithm),
        (r#"{"alg":""}"#, Algorithm),
        (r#"{"alg":"hs256"}"#, Algorithm),
        (r#"{"alg":"HS256 "}"#, Algorithm),
        (r#"{"alg":"RS256"}"#, Algorithm),
        (r#"{"alg":"ES256"}"#, Algorithm),
        (r#"{"alg":"PS256"}"#, Algorithm),
        (r#"{"alg":"EdDSA"}"#, Algorithm),
        (r#"{"alg":"HS256","crit":["exp"]}"#, Critical),
        (r#"{"alg":"HS256","crit":[]}"#, Critical),
        (r#"{"alg":"HS256","crit":null}"#, Critical),
        (r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#, Critical),
        (r#"{"alg":"HS256","alg":"HS256"}"#, Malformed),
        (r#"{"alg":"none","alg":"HS256"}"#, Malformed),
        (r#"{"alg":"HS256","crit":[],"crit":[]}"#, Malformed),
        (r#"{"alg":["HS256"]}"#, Malformed),
        (r#"{"alg":null}"#, Malformed),
        (r#"{"typ":"JWT"}"#, Malformed),
        (r#"["HS256"]"#, Malformed),
        (r#""HS256""#, Malformed),
        ("{", Malformed),
        ("", Malformed),
        (r#"{"alg":"HS256"} x"#, Malformed),
    ];
    for (header, error) in cases {
        assert_eq!(judge(&forge(header, "{}", SECRET)), Err(error), "{header}");
    }
    let not_text = b"{\"alg\":\"HS256\",\"typ\":\"J\xffWT\"}";
    assert_eq!(judge(&forge(not_text, "{}", SECRET)), Err(Malformed));
    for header in [
        r#"{"alg":"HS256","typ":"at+jwt","kid":"../../x","jku":"http://x","x":1}"#,
        r#" {"\u0061lg":"HS\u003256"}"#,
    ] {
        assert!(judge(&forge(header, "{}", SECRET)).is_ok(), "{header}");
    }
}

#[test]
fn a_signature_of_one_algorithm_is_none_of_another() {
    for header in [r#"{"alg":"HS384"}"#, r#"{"alg":"HS512"}"#] {
        assert_eq!(judge(&forge(header, "{}", SECRET)), Err(AuthError::Signature));
    }
}

#[test]
fn any_changed_character_of_a_token_is_refused() {
    let token = sign(&Claims { api: true, ..Claims::default() }, SECRET, Algorithm::Hs256).unwrap();
    assert!(judge(&token).is_ok());
    for (place, was) in token.char_indices() {
        for instead in ['A', 'b', '.', '=', '+', ' ', 'é'] {
            if instead != was {
                let changed = format!("{}{instead}{}", &token[..place], &token[place + 1..]);
                assert!(judge(&changed).is_err(), "{place} {instead}");
            }
        }
        assert!(judge(&token[..place]).is_err(), "cut at {place}");
    }
}

#[test]
fn what_is_not_three_parts_of_plain_base64url_is_refused() {
    let good = with_claims("{}");
    let (message, signature) = good.rsplit_once('.').unwrap();
    let cases = [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "a.b.c".into(),
        message.into(),
        format!("{message}."),
        format!(".{good}"),
        format!("{good}."),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{good}="),
        format!("{good}.{signature}"),
        format!("{message}.{signature}A"),
        good.replace('.', "=."),
        good.replace('.', " ."),
        "é.é.é".into(),
        "\0.\0.\0".into(),
    ];
    for token in cases {
        let error = judge(&token).unwrap_err();
        assert!(matches!(error, AuthError::Malformed | AuthError::Signature), "{token:?}: {error}");
    }
    // Signed as it stands, the payload is still no base64url: padding, the other alphabet, a part
    // too many, bits left over.
    for payload in ["e30=", "e3+/", "e3 0", "e30.e30", "e31"] {
        let message = format!("{}.{payload}", encode(r#"{"alg":"HS256"}"#));
        let key = jsonwebtoken::EncodingKey::from_secret(SECRET);
        let algorithm = jsonwebtoken::Algorithm::HS256;
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
        assert_eq!(
            judge(&format!("{message}.{signature}")),
            Err(AuthError::Malformed),
            "{payload}"
        );
    }
}

#[test]
fn a_public_key_is_no_secret_unless_it_is_configured_as_one() {
    let pem = b"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n";
    assert_eq!(judge(&forge(r#"{"alg":"HS256"}"#, "{}", pem)), Err(AuthError::Signature));
    assert_eq!(judge(&forge(r#"{"alg":"RS256"}"#, "{}", pem)), Err(AuthError::Algorithm));
    let keys = Keys::new(pem, &[]);
    let token = forge(r#"{"alg":"RS256"}"#, "{}", pem);
    assert_eq!(verify(&token, &keys, &POLICY, NOW), Err(AuthError::Algorithm));
}

#[test]
fn the_empty_key_verifies_only_where_it_is_accepted() {
    let token = sign(&Claims::default(), b"", Algorithm::Hs256).unwrap();
    assert_eq!(judge(&token), Err(AuthError::Signature));
    let none = std::iter::empty::<&[u8]>().collect::<Keys>();
    assert_eq!(verify(&token, &none, &POLICY, NOW), Err(AuthError::Algorithm));
    for keys in [Keys::new(b"", &[]), Keys::new(SECRET, &[b""])] {
        assert!(verify(&token, &keys, &POLICY, NOW).is_ok());
    }
}

#[test]
fn previous_keys_verify_and_the_grants_name_the_key_that_did() {
    let keys = Keys::new(b"new", &[b"old", b"older"]);
    let mut ids = Vec::new();
    for secret in [b"new".as_slice(), b"old", b"older"] {
        let token = sign(&Claims::default(), secret, Algorithm::Hs512).unwrap();
        let key = verify(&token, &keys, &POLICY, NOW).unwrap().key;
        assert!(keys.accepts(&key));
        assert!(!Keys::new(b"other", &[]).accepts(&key));
        assert!(Keys::new(b"other", &[secret]).accepts(&key));
        ids.push(key);
    }
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
}

#[test]
fn claims_are_judged_only_after_a_signature_verified_and_then_by_no_other_key() {
    let claims = ["{\"exp\":1}", "{\"read\":7}", "no json", "{\"read\":[\"123456789\"]}"];
    for claims in claims {
        let token = forge(r#"{"alg":"HS256"}"#, claims, b"another");
        assert_eq!(judge(&token), Err(AuthError::Signature), "{claims}");
    }
    let keys = Keys::new(b"first", &[SECRET]);
    let token = with_claims("{\"exp\":1}");
    assert_eq!(verify(&token, &keys, &POLICY, NOW), Err(AuthError::Expired));
}

#[test]
fn a_huge_token_is_judged_like_any_other() {
    let many: Vec<String> = (0..50_000).map(|number| format!("\"{number}\"")).collect();
    let token = with_claims(format!("{{\"read\":[{}]}}", many.join(",")));
    assert_eq!(judge(&token), Err(AuthError::TooManyChannels));
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000));
    assert!(judge(&with_claims(deep)).is_ok());
    let deep = format!("{{\"read\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000));
    assert_eq!(judge(&with_claims(deep)), Err(AuthError::WrongType(Claim::Read)));
    let open = format!("{{\"read\":{}", "[".repeat(50_000));
    assert_eq!(judge(&with_claims(open)), Err(AuthError::NotAnObject));
    assert_eq!(judge(&"A".repeat(1 << 20)), Err(AuthError::Malformed));
    assert_eq!(judge(&".".repeat(1 << 20)), Err(AuthError::Malformed));
    assert_eq!(judge(&format!("{}.e30.AAAA", "A".repeat(1 << 20))), Err(AuthError::Malformed));
}

#[test]
fn an_error_holds_nothing_of_the_token() {
    let payload = r#"{"read":"hunter2","exp":"hunter2"}"#;
    for token in [with_claims(payload), forge(r#"{"alg":"hunter2"}"#, payload, SECRET)] {
        let error = judge(&token).unwrap_err();
        let shown = format!("{error} {error:?} {}", error.name());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
