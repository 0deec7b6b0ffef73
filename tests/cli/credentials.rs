//! Where the clients' token comes from.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use philote::auth::{Algorithm, Claims, Grants, Keys, Policy, sign, verify};

use crate::dir::Dir;
use crate::play::{Play, play};
use crate::program::{SECRET, philote, run, run_with};

/// A server that takes what is published, and answers the token that it was shown.
fn witness() -> Play<String> {
    play(async |peer| {
        let token = peer.token().to_owned();
        peer.closed().await;
        token
    })
}

fn token() -> String {
    let claims = Claims { write: vec!["c".into()], ..Claims::default() };
    sign(&claims, b"the other server's", Algorithm::Hs512).expect("a token")
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn judged(token: &str, secret: &str) -> Grants {
    let policy = Policy {
        issuer: None,
        audience: None,
        leeway: Duration::ZERO,
        max_channels: 9,
        max_channel_length: 9,
    };
    verify(token, &Keys::new(secret.as_bytes(), &[]), &policy, now()).expect("a good token")
}

fn names(names: &[Box<str>]) -> Vec<&str> {
    names.iter().map(|name| &**name).collect()
}

#[test]
fn a_token_comes_from_a_file_from_standard_input_or_from_the_environment() {
    let (dir, token) = (Dir::new(), token());
    let file = dir.write("token", &format!("{token}\n")).display().to_string();
    for source in ["file", "stdin", "environment"] {
        let server = witness();
        let mut command = philote(&["publish", "c", "--url", &server.url]);
        // Neither needs a configuration, so none is read.
        command.args(["--config", "/nonexistent"]);
        let done = match source {
            "file" => run(command.args(["--token-file", &file]).env("PHILOTE_TOKEN", "not this")),
            "stdin" => {
                // What is published must then stand in the arguments; the server wants nothing.
                let server = play(async |mut peer| {
                    let token = peer.token().to_owned();
                    peer.text().await;
                    peer.closed().await;
                    token
                });
                let arguments = ["publish", "c", "x", "--token-file", "-", "--url", &server.url];
                run_with(&mut philote(&arguments), &format!(" {token} \n")).quietly();
                assert_eq!(server.end(), token);
                run(command.env("PHILOTE_TOKEN", &token))
            }
            _ => run(command.env("PHILOTE_TOKEN", &token)),
        };
        done.quietly();
        assert_eq!(server.end(), token, "{source}");
    }
}

#[test]
fn without_a_token_one_is_made_for_just_the_channels_and_a_minute() {
    let server = witness();
    run(&mut philote(&["publish", "c", "--url", &server.url])).quietly();
    let grants = judged(&server.end(), SECRET);
    assert_eq!((names(&grants.read), names(&grants.write)), (vec![], vec!["c"]));
    assert!(!grants.api);
    let left = grants.expires.expect("it expires") - now();
    assert!((30..=60).contains(&left), "{left}");

    let server = play(async |mut peer| {
        let token = peer.token().to_owned();
        peer.close(Some(1001), "").await;
        token
    });
    run(&mut philote(&["subscribe", "a", "b", "--url", &server.url])).failed(69);
    let grants = judged(&server.end(), SECRET);
    assert_eq!((names(&grants.read), names(&grants.write)), (vec!["a", "b"], vec![]));

    let server = witness();
    let done = run(&mut philote(&["console", "c", "--url", &server.url]));
    assert_eq!(done.code, Some(0), "{done:?}");
    let grants = judged(&server.end(), SECRET);
    assert_eq!((names(&grants.read), names(&grants.write)), (vec!["c"], vec!["c"]));
}

#[test]
fn without_any_secret_the_token_is_signed_with_the_empty_one() {
    let server = witness();
    run(philote(&["publish", "c", "--url", &server.url]).env("SECRET", "")).quietly();
    judged(&server.end(), "");
}

#[test]
fn a_token_that_does_not_grant_the_channel_is_refused_here() {
    let (dir, token) = (Dir::new(), token());
    let file = dir.write("token", &token).display().to_string();
    for arguments in [["publish", "d", "x"], ["subscribe", "c", "c"], ["console", "c", "-v"]] {
        let mut command = philote(&arguments);
        // Nobody listens there, and nobody is asked.
        command.args(["--token-file", &file, "--url", "ws://127.0.0.1:1"]);
        let said = run(&mut command).failed(77);
        assert!(said.contains("does not grant channel"), "{said}");
        assert!(!said.contains(&token), "{said}");
    }
}

#[test]
fn a_token_that_cannot_be_read_is_77_and_one_that_is_none_is_64() {
    let dir = Dir::new();
    let empty = dir.write("empty", "\n").display().to_string();
    let missing = dir.path().join("missing").display().to_string();
    for (file, code) in [(&missing, 77), (&dir.path().display().to_string(), 77), (&empty, 64)] {
        let arguments = ["publish", "c", "x", "--url", "ws://127.0.0.1:1", "--token-file", file];
        let said = run(&mut philote(&arguments)).failed(code);
        assert!(said.contains(&**file), "{said}");
    }
}

#[test]
fn standard_input_cannot_be_both_the_token_and_the_messages() {
    for arguments in [["publish", "c"], ["console", "c"]] {
        let mut command = philote(&arguments);
        command.args(["--token-file", "-", "--url", "ws://127.0.0.1:1"]);
        let said = run_with(&mut command, "").failed(64);
        assert!(said.contains("PHILOTE_TOKEN"), "{said}");
    }
}

#[test]
fn there_is_no_way_to_give_a_token_in_the_arguments() {
    for arguments in [
        ["publish", "c", "x", "--token=a.b.c"],
        ["publish", "c", "x", "--url=ws://127.0.0.1:1/?auth=a.b.c"],
    ] {
        let said = run(&mut philote(&arguments)).failed(64);
        assert!(said.contains("--token"), "{said}");
    }
}
