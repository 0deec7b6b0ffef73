//! Listeners with the word `tls`: what is spoken there, what is refused, and certificates that come and go.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rcgen::KeyPair;
use rustix::process::Signal;
use rustls::ProtocolVersion;
use rustls::version::{TLS12, TLS13};

use crate::support::client::Client;
use crate::support::dir::Dir;
use crate::support::frame::Out;
use crate::support::http::{Request, Response, connect, free_port};
use crate::support::server::{Server, Setup, file};
use crate::support::tls::{Made, Tunnel, lines};
use crate::support::token::grant;
use crate::support::{PATIENCE, until};

/// A server with one listener for TLS, and what is behind it.
struct Secured {
    server: Server,
    made: Made,
    _dir: Dir,
}

impl Secured {
    fn with(config: &str) -> Secured {
        Secured::of(Made::new(), config)
    }

    fn of(made: Made, config: &str) -> Secured {
        let dir = Dir::new();
        let files = made.write(&dir);
        let server = Setup::new(&format!("{}{config}", lines(&files)))
            .environment("PHILOTE_LISTEN", "127.0.0.1:0 tls")
            .start();
        Secured { server, made, _dir: dir }
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    fn tunnel(&self) -> Tunnel {
        Tunnel::to(self.address(), &[&self.made])
    }
}

fn both() -> Request {
    Request::upgrade_with(&grant(&["c"], &["c"]))
}

fn open(tunnel: &Tunnel) -> Client {
    Client::open(tunnel.address, &both()).expect("admitted")
}

fn is_refused(server: &Server, reason: &str) {
    let reason = format!("reason={reason}");
    let is_it = |line: &str| line.contains("event=handshake_refused") && line.ends_with(&reason);
    server.logs(&reason, is_it);
}

#[test]
fn messages_large_and_small_and_plain_requests_go_over_both_versions() {
    let secured = Secured::with("");
    let logged = format!("listening on {} tls", secured.address());
    secured.server.logs("what it is for", |line| line.contains(&logged));
    for (version, expected) in
        [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)]
    {
        let tunnel = Tunnel::by(secured.address(), &[&secured.made], &[version]);
        let mut listener = open(&tunnel);
        let agreed = tunnel.agreed();
        assert_eq!(agreed.version, expected);
        assert_eq!(agreed.alpn.as_deref(), Some(&b"http/1.1"[..]));
        let mut speaker = open(&tunnel);
        for number in 0..500 {
            speaker.publish("c", &format!("{number} {}", "x".repeat(number)));
        }
        let large = "y".repeat(900_000);
        speaker.publish("c", &large);
        speaker.publish("c", "the last");
        for number in 0..500 {
            listener.hears("c", &format!("{number} {}", "x".repeat(number)));
        }
        listener.hears("c", &large);
        listener.hears("c", "the last");
        for path in ["/healthz", "/readyz"] {
            assert_eq!(Request::get(path).send(tunnel.address).status, 200, "{path}");
        }
        let refused = Client::open(tunnel.address, &Request::upgrade("/")).err().expect("refused");
        assert_eq!(refused.status, 401);
        speaker.close();
        listener.close();
    }
}

/// Many at once, more than a socket takes: nothing changes places, and whoever does not read is a slow consumer.
#[test]
fn a_reader_that_pauses_gets_everything_in_order_and_one_that_stops_is_closed() {
    let secured =
        Secured::with("[limits]\noutbound_queue = \"2MiB\"\nmax_message_size = \"512KiB\"");
    let tunnel = secured.tunnel();
    let mut listener = open(&tunnel);
    let mut speaker = open(&tunnel);
    let filler = "z".repeat(10_000);
    // Less than the queue holds beyond what the kernels take.
    for number in 0..300 {
        speaker.publish("c", &format!("{number} {filler}"));
    }
    std::thread::park_timeout(Duration::from_millis(300));
    for number in 0..300 {
        listener.hears("c", &format!("{number} {filler}"));
    }
    let begun = Instant::now();
    while secured.server.info_at(tunnel.address)["slow_consumers"] == 0 {
        assert!(begun.elapsed() < PATIENCE, "it is never too slow");
        for _ in 0..100 {
            speaker.publish("c", &filler);
        }
    }
    open(&tunnel).round_trip();
}

#[test]
fn a_close_comes_with_its_reason_and_then_the_end_of_tls() {
    let secured = Secured::with("[limits]\nmax_message_size = 64");
    let tunnel = secured.tunnel();
    let mut client = open(&tunnel);
    client.publish("c", &"x".repeat(100));
    client.closed_with(1009);
    until("the end", || tunnel.ends().len() == 1);
    assert_eq!(tunnel.ends(), [true]);
    // A plain answer too.
    let answer = Request::get("/healthz").header("Connection", "close").send(tunnel.address);
    assert_eq!(answer.status, 200);
    until("the end", || tunnel.ends().len() == 2);
    assert_eq!(tunnel.ends(), [true, true]);
    let open = open(&tunnel);
    secured.server.until_connections_at(tunnel.address, 1);
    secured.server.signal(Signal::TERM);
    open.closed_with(1001);
    let ended = secured.server.ended();
    assert!(ended.log.contains("cut=0"), "{}", ended.log);
}

#[test]
fn whoever_asks_without_tls_is_told_so() {
    let secured = Secured::with("");
    for request in
        [Request::get("/readyz"), both(), Request::get(&format!("/{}", "x".repeat(30_000)))]
    {
        let mut stream = connect(secured.address());
        stream.write_all(&request.bytes()).expect("it is taken");
        let (answer, _) = Response::read(&mut stream, "GET");
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 400);
        assert!(answer.body.contains("https://") && answer.body.ends_with('\n'), "{answer:?}");
    }
    is_refused(&secured.server, "no_tls");
    for said in [&b"\x16\x03\x01\x00\x05nonsense of a kind"[..], b"\x00", b"PROXY UNKNOWN\r\n"] {
        let mut stream = connect(secured.address());
        stream.write_all(said).expect("it is taken");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(!rest.starts_with(b"HTTP/1.1 2"), "{rest:?}");
    }
    is_refused(&secured.server, "tls_handshake");
    secured.tunnel();
    open(&secured.tunnel()).round_trip();
}

#[test]
fn a_handshake_that_does_not_end_is_cut_in_time_and_takes_no_place_for_ever() {
    let config = "[websocket]\nhandshake_timeout = \"300ms\"\n[limits]\nmax_pending = 4\n";
    let secured = Secured::with(config);
    for said in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00"] {
        let mut stream = connect(secured.address());
        stream.write_all(said).expect("it is taken");
        let begun = Instant::now();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert_eq!(rest, b"", "{said:?}");
        assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    }
    is_refused(&secured.server, "tls_handshake_took_too_long");
    let held: Vec<_> = (0..20).map(|_| connect(secured.address())).collect();
    open(&secured.tunnel()).round_trip();
    drop(held);
}

#[test]
fn a_reload_replaces_the_certificate_for_those_who_come_and_drops_nobody() {
    let (dir, first, second) = (Dir::new(), Made::new(), Made::new());
    let files = first.write(&dir);
    let port = free_port();
    let listen = format!("listen = [\"127.0.0.1:{port} tls\"]");
    let config = file(&[&listen]) + &lines(&files);
    let server = Setup::of_file(&config).start();
    let tunnel = Tunnel::to(server.address(), &[&first, &second]);
    let mut before = open(&tunnel);
    assert_eq!(tunnel.agreed().certificate, first.certificate);
    // One without the other is rejected, and what was in force stays.
    std::fs::write(&files[1], &second.key).expect("another key");
    let faults = server.rejects_reload();
    assert!(
        faults.len() == 1 && faults[0].contains("not the key of the certificate"),
        "{faults:?}"
    );
    let mut meanwhile = open(&tunnel);
    assert_eq!(tunnel.agreed().certificate, first.certificate);
    second.write(&dir);
    server.takes(&config);
    server.logs("the change", |line| {
        line.contains("event=reload_change") && line.contains("tls.certificate: ")
    });
    let mut after = open(&tunnel);
    assert_eq!(tunnel.agreed().certificate, second.certificate);
    before.publish("c", "from before");
    meanwhile.hears("c", "from before");
    after.hears("c", "from before");
    // Nothing has changed since, and nothing is said.
    let changes = server.log().matches("event=reload_change").count();
    server.takes(&config);
    assert_eq!(server.log().matches("event=reload_change").count(), changes);
}

#[test]
fn certificates_of_every_kind_that_is_named_are_served() {
    let rsa = include_str!("../keys/rsa.key");
    let keys = [
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key"),
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key"),
        KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key"),
        KeyPair::from_pem_and_sign_algo(rsa, &rcgen::PKCS_RSA_SHA256).expect("a key"),
    ];
    for key in keys {
        let secured = Secured::of(Made::with(key, None), "");
        open(&secured.tunnel()).round_trip();
    }
}

#[test]
fn what_does_not_fit_is_told_with_its_file_and_how_to_mend_it_and_nothing_starts() {
    let (dir, made, other) = (Dir::new(), Made::new(), Made::new());
    let files = made.write(&dir);
    let fails = |certificate: &str, key: &str, mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        let paths = [dir.write("c", certificate), dir.write("k", key)];
        std::fs::set_permissions(&paths[1], std::fs::Permissions::from_mode(mode))
            .expect("its mode");
        Setup::new(&lines(&paths)).environment("PHILOTE_LISTEN", "127.0.0.1:0 tls").fails()
    };
    let encrypted = include_str!("../keys/refused/encrypted-private.pem");
    // Joined without a newline, the second certificate was left out without a word.
    let joined = [made.pem.trim_end(), &other.pem].concat();
    let damaged =
        format!("{}-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", made.pem);
    let marked = format!("\u{feff}{}", made.pem);
    let keys = [&made.key[..], &other.key].concat();
    let last = made.pem.lines().count();
    let joint = format!("/c\\\": line {last}: the PEM is broken: several of");
    let damage = format!("/c\\\": line {}: this certificate is damaged", last + 1);
    let second = format!("/k\\\": line {}: a second private key", made.key.lines().count() + 1);
    for (certificate, key, mode, expected) in [
        (&made.pem[..], &other.key[..], 0o600, "/k\\\": not the key of the certificate in "),
        (&made.key, &made.key, 0o600, "/c\\\": no certificate in PEM"),
        ("", &made.key, 0o600, "/c\\\": no certificate in PEM"),
        (&made.pem, &made.pem, 0o600, "/k\\\": no private key in PEM"),
        (&made.pem, encrypted, 0o600, "/k\\\": no private key in PEM"),
        (&joined, &made.key, 0o600, &joint),
        (&damaged, &made.key, 0o600, &damage),
        (&marked, &made.key, 0o600, "/c\\\": line 1: the PEM is broken: "),
        (&made.pem, &keys, 0o600, &second),
        (&made.pem, &made.key, 0o606, "/k\\\": everybody can write it; chmod o-w "),
    ] {
        let ended = fails(certificate, key, mode);
        assert_eq!(ended.status.code(), Some(78), "{}", ended.log);
        let expected = expected.replace('\\', "");
        assert!(
            ended.log.contains(&expected) && ended.log.contains("; "),
            "{expected}: {}",
            ended.log
        );
    }
    let ended = Setup::new("").environment("PHILOTE_LISTEN", "127.0.0.1:0 tls").fails();
    assert!(
        ended.log.contains("wants a certificate; set tls.certificate and tls.key"),
        "{}",
        ended.log
    );
    for (key, without) in [("certificate", "tls.key"), ("key", "tls.certificate")] {
        let config = format!("[tls]\n{key} = {:?}", files[0].display().to_string());
        let ended = Setup::new(&config).fails();
        assert!(ended.log.contains(&format!("without {without}; ")), "{}", ended.log);
    }
    // Readable by everybody is worth a warning only.
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&files[1], std::fs::Permissions::from_mode(0o644)).expect("its mode");
    let server =
        Setup::new(&lines(&files)).environment("PHILOTE_LISTEN", "127.0.0.1:0 tls").start();
    server.logs("the warning", |line| {
        line.contains("tls.key: ") && line.contains("everybody can read it")
    });
    open(&Tunnel::to(server.address(), &[&made])).round_trip();
}

#[test]
fn the_end_of_a_certificate_is_told_from_fourteen_days_on_at_start_and_at_reload() {
    let told = |server: &Server| {
        let log = server.log();
        let lines = log.lines().filter(|line| line.contains("event=certificate_expires"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    for (days, expected) in [
        (15, None),
        (13, Some("expires in 13 days, on 20")),
        (0, Some("expires within a day, on 20")),
        (-3, Some("has expired on 20")),
    ] {
        let dir = Dir::new();
        let config =
            file(&["listen = [\"127.0.0.1:0 tls\"]"]) + &lines(&Made::for_days(days).write(&dir));
        let server = Setup::of_file(&config).start();
        let Some(expected) = expected else {
            server.takes(&config);
            assert_eq!(told(&server), [""; 0]);
            continue;
        };
        let line = server.logs("the end", |line| line.contains("event=certificate_expires"));
        assert!(line.contains(" WARN ") && line.contains(expected), "{line}");
        server.takes(&config);
        until("it is told again", || told(&server).len() == 2);
        Made::new().write(&dir);
        server.takes(&config);
        assert_eq!(told(&server).len(), 2);
    }
}

#[test]
fn a_listener_of_the_service_manager_is_for_tls_by_its_name_and_wants_a_certificate() {
    let given = || std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let (dir, made) = (Dir::new(), Made::new());
    let config = lines(&made.write(&dir));
    let server = Setup::new(&config).environment("LISTEN_FDNAMES", "https").given(given()).start();
    open(&Tunnel::to(server.address(), &[&made])).round_trip();
    let ended = Setup::new("").environment("LISTEN_FDNAMES", "https").given(given()).fails();
    assert_eq!(ended.status.code(), Some(78), "{}", ended.log);
    assert!(ended.log.contains("FileDescriptorName=https"), "{}", ended.log);
}

#[test]
fn a_given_listener_stays_what_its_name_says_whatever_a_reload_brings() {
    let given = || std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let (dir, made) = (Dir::new(), Made::new());
    let config = file(&[]) + &lines(&made.write(&dir));
    let server =
        Setup::of_file(&config).environment("LISTEN_FDNAMES", "https").given(given()).start();
    let tunnel = Tunnel::to(server.address(), &[&made]);
    let mut before = open(&tunnel);
    // Without a certificate it could not be served; what was in force stays.
    server.reconfigure(&file(&[]));
    let faults = server.rejects_reload();
    assert!(faults.iter().any(|fault| fault.contains("FileDescriptorName=https")), "{faults:?}");
    open(&tunnel).round_trip();
    // With another it shows that.
    let second = Made::new();
    second.write(&dir);
    server.takes(&config);
    let renewed = Tunnel::to(server.address(), &[&second]);
    open(&renewed).round_trip();
    before.round_trip();
    // One without the name has no TLS, whatever certificate there is.
    let plain =
        Setup::of_file(&config).environment("LISTEN_FDNAMES", "http").given(given()).start();
    plain.open(&grant(&["c"], &["c"])).round_trip();
}

#[test]
fn the_status_tells_until_when_the_certificate_is_good() {
    for (days, expected) in [(13, "good for 13d 1"), (-3, "expired")] {
        let (dir, made) = (Dir::new(), Made::for_days(days));
        let control = dir.path().join("control");
        let config = format!(
            "control.socket = {:?}\n{}",
            control.display().to_string(),
            lines(&made.write(&dir))
        );
        let _server = Setup::new(&config).environment("PHILOTE_LISTEN", "127.0.0.1:0 tls").start();
        let status = |more: &[&str]| {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_philote"));
            command.args(["status", "--control"]).arg(&control).args(more).env_clear();
            let done = command.output().expect("philote runs");
            assert!(done.status.success(), "{done:?}");
            String::from_utf8(done.stdout).expect("text")
        };
        let shown = status(&[]);
        let mut lines = shown.lines().filter_map(|line| line.strip_prefix("certificate"));
        let line = lines.next().expect("it is there").trim();
        assert!(line.starts_with(expected), "{line}");
        let told: serde_json::Value = serde_json::from_str(&status(&["--json"])).expect("JSON");
        assert_eq!(told["certificate_expires"], made.until);
    }
}

#[test]
fn the_proxy_protocol_comes_before_tls() {
    let (dir, made) = (Dir::new(), Made::new());
    let config = format!(
        "{}[proxy]\ntrusted = [\"127.0.0.1\"]\n[log]\nlevel = \"debug\"",
        lines(&made.write(&dir))
    );
    let server = Setup::new(&config).environment("PHILOTE_LISTEN", "127.0.0.1:0 tls proxy").start();
    // Says the header in front of what the tunnel says.
    let relay = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let (front, behind) = (relay.local_addr().expect("its address"), server.address());
    std::thread::spawn(move || {
        let (mut ours, _) = relay.accept().expect("the tunnel");
        let mut theirs = connect(behind);
        theirs.write_all(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n").expect("taken");
        let (mut back, mut there) =
            (ours.try_clone().expect("a copy"), theirs.try_clone().expect("a copy"));
        std::thread::spawn(move || std::io::copy(&mut theirs, &mut back));
        let _ = std::io::copy(&mut ours, &mut there);
    });
    let tunnel = Tunnel::to(front, &[&made]);
    open(&tunnel).round_trip();
    server.logs("its client", |line| line.ends_with("peer=192.0.2.7:4711"));
}

/// The hook of certbot, as root and with a group of its own: copies by renaming, modes, and a reload.
#[test]
fn certbots_hook_copies_a_renewed_certificate_and_the_server_takes_it() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    if !rustix::process::geteuid().is_root() {
        return crate::support::tools::skip("to give a file another group needs root");
    }
    let (dir, first, second) = (Dir::new(), Made::new(), Made::new());
    let live = dir.path().join("live");
    let target = dir.path().join("tls");
    std::fs::create_dir(&live).expect("a directory");
    let renew = |made: &Made| {
        std::fs::write(live.join("fullchain.pem"), &made.pem).expect("written");
        std::fs::write(live.join("privkey.pem"), &made.key).expect("written");
    };
    let control = dir.path().join("control");
    let hook = |lineage: &std::path::Path| {
        let hook =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/certbot-deploy-hook");
        let philote = std::path::Path::new(env!("CARGO_BIN_EXE_philote"));
        let path = format!("{}:/usr/bin:/bin", philote.parent().expect("a directory").display());
        std::process::Command::new(hook)
            .env_clear()
            .env("PATH", path)
            .env("RENEWED_LINEAGE", lineage)
            .env("PHILOTE_TLS", &target)
            .env("PHILOTE_GROUP", "65534")
            .env("PHILOTE_LINEAGE", &live)
            .env("PHILOTE_CONTROL", &control)
            .output()
            .expect("it runs")
    };
    // Before there is a server, it is no failure.
    renew(&first);
    let done = hook(&live);
    assert!(done.status.success(), "{done:?}");
    let files = ["fullchain.pem", "privkey.pem"].map(|name| target.join(name));
    for file in &files {
        let metadata = std::fs::metadata(file).expect("a copy");
        assert_eq!((metadata.permissions().mode() & 0o777, metadata.gid()), (0o640, 65534));
    }
    let config = file(&["listen = [\"127.0.0.1:0 tls\"]"])
        + &format!("control.socket = {:?}\n", control.display().to_string())
        + &lines(&files);
    let server = Setup::of_file(&config).start();
    let tunnel = Tunnel::to(server.address(), &[&first, &second]);
    let mut before = open(&tunnel);
    // Somebody else's certificate is none of our business.
    let done = hook(dir.path());
    assert!(done.status.success(), "{done:?}");
    renew(&second);
    let done = hook(&live);
    assert!(done.status.success(), "{done:?}");
    open(&tunnel).round_trip();
    assert_eq!(tunnel.agreed().certificate, second.certificate);
    before.round_trip();
    // What does not fit is told, and what was in force stays.
    std::fs::write(live.join("privkey.pem"), &first.key).expect("written");
    assert!(!hook(&live).status.success());
    open(&tunnel).round_trip();
    let names: Vec<_> = std::fs::read_dir(&target).expect("copies").flatten().collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

/// A connection through the tunnel that has said this and says no more, unless it `hangs_up`.
fn says(tunnel: &Tunnel, bytes: &[u8], hangs_up: bool) -> TcpStream {
    let mut stream = connect(tunnel.address);
    stream.write_all(bytes).expect("taken");
    if hangs_up {
        stream.shutdown(Shutdown::Write).expect("shut");
    }
    stream
}

/// A client that gets no such word has to take what it has read for a part (RFC 8446, 6.1).
#[test]
fn every_end_is_announced_whatever_it_is_for() {
    let config = "[limits]\nmax_head_size = \"8KiB\"\n\
                  [websocket]\nclose_timeout = \"200ms\"\nhandshake_timeout = \"1s\"\n";
    let secured = Secured::with(config);
    let tunnel = secured.tunnel();
    let plain = Request::get("/healthz").bytes();
    let closing = Request::get("/healthz").header("Connection", "close").bytes();
    let long = Request::get("/healthz").header("Padding", &"x".repeat(20_000)).bytes();
    let refused = Request::upgrade_with("no token").bytes();
    let fault = [both().bytes(), Out::text("{}").reserved(4).bytes()].concat();
    let message = [both().bytes(), Out::text("{").unfinished().bytes()].concat();
    let cases: [(&str, &[u8], bool); 12] = [
        ("nothing, and the client ends", b"", true),
        ("half a request, and the client ends", &plain[..10], true),
        ("a request, and the client ends", &plain, true),
        ("a request for one answer", &closing, false),
        ("a handshake that is refused, and the client ends", &refused, true),
        ("no HTTP", b"no HTTP at all\r\n\r\n", false),
        ("a head that is too long", &long, false),
        ("nothing, until it takes too long", b"", false),
        ("half a request, until it takes too long", &plain[..10], false),
        ("a fault, and no answer to the Close", &fault, false),
        ("half a message, and the client ends", &message, true),
        ("a handshake, and the client ends", &both().bytes(), true),
    ];
    for (number, (what, bytes, hangs_up)) in cases.into_iter().enumerate() {
        let _client = says(&tunnel, bytes, hangs_up);
        until(what, || tunnel.ends().len() > number);
        assert!(tunnel.ends()[number], "{what}: it ended without TLS's own word");
    }
}

#[test]
fn an_end_by_the_server_itself_is_announced_too() {
    let secured = Secured::with(
        "[limits]\nmax_pending = 2\n[websocket]\nclose_timeout = \"1m\"\n\
         [shutdown]\ndrain_timeout = \"1m\"\n",
    );
    let tunnel = secured.tunnel();
    let idle = || {
        let mut stream = says(&tunnel, &Request::get("/healthz").bytes(), false);
        let (answer, _) = Response::read(&mut stream, "GET");
        assert_eq!(answer.expect("an answer").status, 200);
        stream
    };
    // The third takes the place of the first.
    let mut held = vec![idle(), idle(), idle()];
    until("one had to go", || !tunnel.ends().is_empty());
    assert_eq!(tunnel.ends(), [true], "one that had to make room");
    held.truncate(0);
    until("the others have gone", || tunnel.ends().len() == 3);
    let mut silent = open(&tunnel);
    let _idle = idle();
    secured.server.signal(Signal::TERM);
    silent.close_frame(1001);
    secured.server.signal(Signal::TERM);
    secured.server.ended();
    until("all have ended", || tunnel.ends().len() == 5);
    assert_eq!(tunnel.ends(), [true; 5]);
}

/// What is sent ends with the request, and the answer still comes.
#[test]
fn a_request_whose_sender_ends_its_side_at_once_is_answered_under_tls() {
    let secured = Secured::with("");
    let tunnel = secured.tunnel();
    crate::half_closed::are_answered(100, || connect(tunnel.address));
}
