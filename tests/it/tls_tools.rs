//! The command line over TLS: whom it trusts, and what it says where it does not.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::dir::Dir;
use crate::support::server::{Server, Setup, file};
use crate::support::tls::{Authority, Made, lines};
use crate::support::token::{SECRET, grant, token};

/// A server with a listener without TLS and one with it, and what a client of it has.
struct Secured {
    server: Server,
    dir: Dir,
    /// Who has signed its certificate.
    authority: PathBuf,
}

impl Secured {
    fn by(authority: &Authority, made: &Made) -> Secured {
        Secured::of(made, &authority.pem())
    }

    fn of(made: &Made, trusted: &str) -> Secured {
        let dir = Dir::new();
        let server = Setup::new(&lines(&made.write(&dir)))
            .environment("PHILOTE_LISTEN", "127.0.0.1:0, 127.0.0.1:0 tls")
            .start();
        let authority = dir.write("authority.pem", trusted);
        Secured { server, dir, authority }
    }

    fn plain(&self) -> SocketAddr {
        self.server.addresses()[0]
    }

    fn url(&self, scheme: &str, host: &str) -> String {
        format!("{scheme}://{host}:{}", self.server.addresses()[1].port())
    }

    /// One of the tools, at this URL, with a token and trusting nobody but who is named.
    fn tool(&self, words: &[&str], url: &str, token: &str) -> Command {
        let mut command = tool(words);
        command.args(["--url", url]).arg("--token-file").arg(self.dir.write("token", token));
        command
    }

    fn trusting(&self, words: &[&str], scheme: &str, token: &str) -> Command {
        let mut command = self.tool(words, &self.url(scheme, "localhost"), token);
        command.arg("--ca").arg(&self.authority);
        command
    }
}

/// A tool with an environment of its own: this machine's authorities are none of the tests' business.
fn tool(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_philote"));
    command.args(words).env_clear().stdin(Stdio::null());
    command
}

#[track_caller]
fn says(command: &mut Command) -> String {
    let done = command.output().expect("philote runs");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {}: {said}", done.status);
    String::from_utf8(done.stdout).expect("text")
}

#[track_caller]
fn fails(command: &mut Command, code: i32) -> String {
    let done = command.output().expect("philote runs");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!((done.status.code(), &*done.stdout), (Some(code), &b""[..]), "{command:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

/// Everything that takes a URL.
#[test]
fn the_tools_speak_tls_with_a_server_whose_certificate_is_signed_by_whom_they_are_told_to_trust() {
    let authority = Authority::new();
    let secured = Secured::by(&authority, &authority.signs(-1, 90));
    let both = grant(&["c"], &["c"]);
    let mut subscriber = secured
        .trusting(&["subscribe", "c", "--count", "3"], "wss", &both)
        .stdout(Stdio::piped())
        .spawn()
        .expect("philote runs");
    let mut heard = BufReader::new(subscriber.stdout.take().expect("a pipe")).lines();
    secured.server.until_connections(1);
    assert_eq!(says(&mut secured.trusting(&["publish", "c", "one"], "wss", &both)), "");
    let api = token(r#"{"write":["c"],"api":true,"manage":true}"#);
    let counted = &["publish", "c", "two", "--count"];
    assert_eq!(says(&mut secured.trusting(counted, "https", &api)), "1\n");
    let mut console = secured
        .trusting(&["console", "c"], "wss", &both)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("philote runs");
    let mut typed = console.stdin.take().expect("a pipe");
    typed.write_all("three 😀\n".as_bytes()).expect("it reads");
    drop(typed);
    assert!(console.wait().expect("it ends").success());
    for expected in ["one", "two", "three 😀"] {
        let line = heard.next().expect("a line").expect("text");
        assert!(line.contains(expected), "{line:?}, and not {expected:?}");
    }
    assert!(subscriber.wait().expect("it ends").success());

    let subscriber = secured.server.subscriber(&["d"]);
    let listed = says(&mut secured.trusting(&["channels"], "https", &api));
    assert!(listed.lines().any(|line| line.ends_with(" d")), "{listed}");
    let listed = says(&mut secured.trusting(&["connections", "--json"], "https", &api));
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let id = listed[0]["id"].as_str().expect("an id");
    says(&mut secured.trusting(&["disconnect", id], "https", &api));
    subscriber.closed_with(4002);
    let mut health = tool(&["health", "--url", &secured.url("https", "localhost"), "--ca"]);
    assert_eq!(says(health.arg(&secured.authority)), "ready\n");
}

#[test]
fn whom_the_system_trusts_is_trusted_where_nothing_else_is_said() {
    let authority = Authority::new();
    let secured = Secured::by(&authority, &authority.signs(-1, 90));
    let url = secured.url("https", "localhost");
    let system = |path: &std::path::Path| {
        let mut health = tool(&["health", "--url", &url]);
        health.env("SSL_CERT_FILE", path);
        health
    };
    assert_eq!(says(&mut system(&secured.authority)), "ready\n");
    let other = secured.dir.write("other.pem", &Authority::new().pem());
    let said = fails(&mut system(&other), 1);
    assert!(said.contains("signed by nobody whom this machine trusts; name"), "{said}");
    let nobody = fails(&mut system(&secured.dir.path().join("absent")), 1);
    assert!(nobody.contains("this machine trusts nobody"), "{nobody}");
}

#[test]
fn what_is_wrong_with_a_certificate_is_told_with_how_to_mend_it() {
    let authority = Authority::new();
    let publish = |secured: &Secured, host: &str| {
        let url = secured.url("wss", host);
        let mut command = secured.tool(&["publish", "c", "x"], &url, &grant(&[], &["c"]));
        command.arg("--ca").arg(&secured.authority);
        let said = fails(&mut command, 69);
        assert!(said.contains(&format!("cannot connect to {url}: ")), "{said}");
        // The hints for a server that is not there are for another case.
        assert!(!said.contains("is a server running"), "{said}");
        said
    };
    // Also where one has the name of the other.
    for other in [Authority::new(), Authority::called("Another")] {
        let secured = Secured::by(&other, &authority.signs(-1, 90));
        let said = publish(&secured, "localhost");
        let expected = format!("signed by nobody in {}; name", secured.authority.display());
        assert!(said.contains(&expected), "{said}");
    }
    let secured = Secured::by(&authority, &authority.signs(-1, 90));
    let said = publish(&secured, "127.0.0.1");
    assert!(said.contains("not for 127.0.0.1, but for localhost; write that in the URL"), "{said}");
    for (from, until, expected) in [(-9, -2, "has expired on 20"), (2, 9, "is not good before 20")]
    {
        let said = publish(&Secured::by(&authority, &authority.signs(from, until)), "localhost");
        assert!(said.contains(expected) && said.contains("; "), "{said}");
    }
}

/// A certificate that was made in one step is trusted as itself, with its name and its time.
#[test]
fn a_certificate_that_signed_itself_is_trusted_where_the_file_holds_it() {
    let publish = |secured: &Secured, host: &str| {
        let url = secured.url("wss", host);
        let mut command = secured.tool(&["publish", "c", "x"], &url, &grant(&[], &["c"]));
        command.arg("--ca").arg(&secured.authority);
        command
    };
    for made in [Made::new(), Made::in_one_step()] {
        let secured = Secured::of(&made, &made.pem);
        assert_eq!(says(&mut publish(&secured, "localhost")), "");
        let said = fails(&mut publish(&secured, "127.0.0.1"), 69);
        assert!(said.contains("not for 127.0.0.1, but for localhost"), "{said}");
    }
    let expired = Made::for_days(-3);
    let said = fails(&mut publish(&Secured::of(&expired, &expired.pem), "localhost"), 69);
    assert!(said.contains("has expired on 20"), "{said}");
}

#[test]
fn a_port_of_the_other_kind_is_told_as_that() {
    let authority = Authority::new();
    let secured = Secured::by(&authority, &authority.signs(-1, 90));
    let both = token(r#"{"read":["c"],"write":["c"],"api":true,"manage":true}"#);
    let to =
        |words: &[&str], url: &str, code: i32| fails(&mut secured.tool(words, url, &both), code);
    let health = |url: &str| {
        let mut command = tool(&["health", "--url", url]);
        fails(command.env("SSL_CERT_FILE", &secured.authority), 1)
    };
    // TLS where there is none: a server that answers something else, and one that hangs up.
    let plain = format!("localhost:{}", secured.plain().port());
    let trusted = |words: &[&str], url: &str| {
        let mut command = secured.tool(words, url, &both);
        fails(command.arg("--ca").arg(&secured.authority), 69)
    };
    for said in [
        trusted(&["publish", "c", "x"], &format!("wss://{plain}")),
        trusted(&["publish", "c", "x", "--count"], &format!("https://{plain}")),
        trusted(&["connections"], &format!("https://{plain}")),
        health(&format!("https://{plain}")),
    ] {
        assert!(said.contains("does not speak TLS; write ws:// or http://"), "{said}");
    }
    let silent = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let url = format!("wss://localhost:{}", silent.local_addr().expect("its address").port());
    std::thread::spawn(move || silent.incoming().for_each(drop));
    let said = trusted(&["publish", "c", "x"], &url);
    assert!(said.contains("hung up in the handshake of TLS") || said.contains("reset"), "{said}");
    // None where there is TLS.
    for said in [
        to(&["publish", "c", "x"], &secured.url("ws", "localhost"), 69),
        to(&["publish", "c", "x", "--count"], &secured.url("http", "localhost"), 69),
        to(&["channels"], &secured.url("http", "localhost"), 69),
        health(&secured.url("http", "localhost")),
    ] {
        assert!(said.contains("a plain request on a port of TLS: write https://"), "{said}");
    }
}

#[test]
fn a_file_of_authorities_that_is_none_or_is_of_no_use_is_told() {
    let authority = Authority::new();
    let secured = Secured::by(&authority, &authority.signs(-1, 90));
    let token = grant(&[], &["c"]);
    let publish = |url: &str, file: &std::path::Path, code: i32| {
        let mut command = secured.tool(&["publish", "c", "x"], url, &token);
        fails(command.arg("--ca").arg(file), code)
    };
    let url = secured.url("wss", "localhost");
    let said = publish(&url, &secured.dir.path().join("absent"), 77);
    assert!(said.contains("cannot read the certificates: "), "{said}");
    let said = publish(&url, &secured.dir.write("none", "no certificate"), 64);
    assert!(said.contains("no certificate in PEM"), "{said}");
    let authorities = [Authority::new().pem(), Authority::new().pem()];
    let joined = format!("{}{}", authorities[0].trim_end(), authorities[1]);
    let said = publish(&url, &secured.dir.write("joined", &joined), 64);
    let line = format!("line {}: the PEM is broken: several of", authorities[0].lines().count());
    assert!(said.contains(&line), "{said}");
    let said = publish(&format!("ws://{}", secured.plain()), &secured.authority, 64);
    assert!(said.contains("write wss:// or https:// in the URL"), "{said}");
    let mut without = tool(&["publish", "c", "x", "--ca", "x"]);
    let said = fails(without.env("SECRET", SECRET), 64);
    assert!(said.contains("add --url wss://HOST"), "{said}");
}

/// Without a URL the first listener is asked, and its certificate stands in the same configuration.
#[test]
fn a_listener_of_our_own_is_known_by_the_configurations_certificate_whatever_that_is_for() {
    let (dir, made) = (Dir::new(), Made::for_days(-3));
    let config = file(&["listen = [\"127.0.0.1:0 tls\"]"]) + &lines(&made.write(&dir));
    let server = Setup::of_file(&config).start();
    let port = server.address().port();
    let config = config.replace("127.0.0.1:0 tls", &format!("0.0.0.0:{port} tls"));
    let config = dir.write("config.toml", &config).display().to_string();
    assert_eq!(says(&mut tool(&["health", "--config", &config])), "ready\n");
    assert_eq!(says(&mut tool(&["publish", "c", "x", "--config", &config])), "");
    // A server that has another one is another, or has not been told.
    Made::new().write(&dir);
    let said = fails(&mut tool(&["publish", "c", "x", "--config", &config]), 69);
    assert!(said.contains("another certificate than stands in tls.certificate"), "{said}");
}
