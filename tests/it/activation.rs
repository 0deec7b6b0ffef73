//! Listeners that the service manager opened: served on, never moved, and left to the successor.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::dir::Dir;
use crate::support::http::{Request, Response, connect, local};
use crate::support::server::{Setup, file};
use crate::support::token::signed;
use crate::support::{PATIENCE, until};

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    (listener, address)
}

#[test]
fn a_given_listener_is_served_on_and_the_key_listen_is_ignored_with_a_warning() {
    let (listener, address) = listener();
    let server = Setup::new("").given(listener).start();
    assert_eq!(server.addresses(), [address]);
    server.is_healthy();
    let ignored =
        |line: &str| line.contains("listen: ignored: the listeners are the service manager's");
    assert!(server.logs("the ignored key", ignored).contains(" WARN "));
}

#[test]
fn without_the_key_listen_nothing_is_said_of_it() {
    let config = file(&[]).replace("listen = [\"127.0.0.1:0\"]\n", "");
    let server = Setup::of_file(&config).given(listener().0).start();
    server.is_healthy();
    assert!(!server.log().contains("ignored"), "{}", server.log());
}

#[test]
fn a_given_unix_socket_is_served_on_and_its_file_stays() {
    let dir = Dir::new();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).expect("a listener");
    let server = Setup::new("").given(listener).spawn();
    server.notifies("READY=1");
    let mut stream = UnixStream::connect(&path).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
    let request = Request::get("/healthz").header("Connection", "close").bytes();
    stream.write_all(&request).expect("it is taken");
    let answer = std::io::read_to_string(&stream).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    server.stop();
    assert!(path.exists());
}

#[test]
fn a_reload_leaves_given_listeners_alone_and_says_so() {
    let (listener, address) = listener();
    let server = Setup::of_file(&file(&[])).given(listener).start();
    let status = server.takes(&file(&["listen = [\"127.0.0.2:0\"]", "limits.max_connections = 5"]));
    assert!(status.starts_with(&format!("listening on {address};")), "{status}");
    // Told at start, and again for the change.
    let told = |line: &&str| line.contains("listen: ignored: ") && line.contains(" WARN ");
    until("both warnings", || server.log().lines().filter(told).count() == 2);
    server.logs("the other change", |line| line.contains("limits.max_connections: "));
    server.is_healthy();
}

/// The key counts for nothing, so nothing is lacking for it either.
#[test]
fn a_reload_is_not_rejected_over_what_the_ignored_listeners_would_lack() {
    let server = Setup::of_file(&file(&[])).given(listener().0).start();
    let listen = "listen = [\"unix:/nowhere/socket group=nosuch\"]";
    server.takes(&file(&[listen, "limits.max_connections = 5"]));
    assert_eq!(server.info()["max_connections"], 5);
}

#[test]
fn a_given_listener_beyond_loopback_and_the_empty_secret_do_not_start() {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a listener");
    let ended = Setup::new("").without_secret().given(listener).fails();
    assert_eq!(ended.status.code(), Some(78), "{}", ended.log);
    assert!(ended.log.contains("auth.secret: empty"), "{}", ended.log);
    assert!(!ended.log.contains("event=ready"), "{}", ended.log);
}

/// Nobody is accepted, let alone let in, before it is known whether the server may start.
#[test]
fn who_waits_at_a_given_listener_is_left_to_a_start_that_succeeds() {
    let anybody = signed("HS256", r#"{"read":["c"]}"#, "");
    for _ in 0..20 {
        let listener = TcpListener::bind("0.0.0.0:0").expect("a listener");
        let address = local(listener.local_addr().expect("its address").port());
        let successor = listener.try_clone().expect("the same listener");
        let waiting: Vec<_> = (0..8)
            .map(|_| {
                let mut stream = connect(address);
                stream.write_all(&Request::upgrade_with(&anybody).bytes()).expect("it is taken");
                stream
            })
            .collect();
        let ended = Setup::new("").without_secret().given(listener).fails();
        assert_eq!(ended.status.code(), Some(78), "{}", ended.log);
        successor.set_nonblocking(true).expect("non-blocking");
        for number in 0..waiting.len() {
            successor.accept().unwrap_or_else(|error| panic!("{number}: {error}"));
        }
    }
}

fn named(given: impl Into<OwnedFd>, name: &str) -> Setup {
    Setup::of_file(&file(&[])).given(given).environment("LISTEN_FDNAMES", name)
}

/// Each was taken for a listener: ready, healthy, and nothing was ever served.
#[test]
fn a_given_descriptor_that_cannot_be_accepted_from_does_not_start_and_names_the_directive() {
    use socket2::{Domain, Type};
    let dir = Dir::new();
    let at = |name: &str| dir.path().join(name);
    let (tcp, address) = listener();
    let _client = TcpStream::connect(address).expect("it listens");
    let accepted = tcp.accept().expect("a connection").0;
    let (one_end, _other_end) = UnixStream::pair().expect("a pair");
    let socket = |domain, kind| socket2::Socket::new(domain, kind, None).expect("a socket");
    let bound = |domain, kind, name: &str| {
        let socket = socket(domain, kind);
        match domain {
            Domain::UNIX => socket.bind(&socket2::SockAddr::unix(at(name)).expect("a path")),
            _ => socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()),
        }
        .expect("it is bound");
        OwnedFd::from(socket)
    };
    let cases = [
        (OwnedFd::from(accepted), "http", "listen: descriptor 0", "write Accept=no"),
        (one_end.into(), "", "one connection that has been accepted already", "write Accept=no"),
        (bound(Domain::IPV4, Type::STREAM, ""), "https", "does not listen", "ListenStream="),
        (bound(Domain::UNIX, Type::STREAM, "s"), "http", "does not listen", "ListenStream="),
        (
            bound(Domain::IPV4, Type::DGRAM, ""),
            "metrics",
            "metrics.listen: descriptor 0 of the service manager (\"metrics\"): a datagram socket",
            "write ListenStream= in place of ListenDatagram=",
        ),
        (bound(Domain::UNIX, Type::DGRAM, "d"), "http", "a datagram socket", "ListenDatagram="),
        (
            bound(Domain::UNIX, Type::SEQPACKET, "q"),
            "http",
            "a socket for sequential packets",
            "in place of ListenSequentialPacket=",
        ),
        (
            std::fs::File::open("/dev/null").expect("a file").into(),
            "http",
            "no stream socket",
            "write ListenStream=",
        ),
    ];
    for (descriptor, name, what, remedy) in cases {
        let ended = named(descriptor, name).fails();
        assert_eq!(ended.status.code(), Some(78), "{what}: {}", ended.log);
        let line = ended.log.lines().find(|line| line.contains("event=bind_failed"));
        let line = line.unwrap_or_else(|| panic!("{what}: {}", ended.log));
        assert!(line.contains(what) && line.contains(remedy), "{what}, {remedy}: {line}");
        assert!(!ended.log.contains("event=ready"), "{what}: {}", ended.log);
    }
}

#[test]
fn a_given_listener_whose_name_is_nearly_one_of_ours_is_warned_of() {
    for (name, expected) in [
        ("tls", Some("write FileDescriptorName=https in the .socket unit")),
        ("HTTPS", Some("write FileDescriptorName=https in the .socket unit")),
        ("http", None),
        ("philote.socket", None),
    ] {
        let (listener, address) = listener();
        let server = named(listener, name).start();
        assert_eq!(server.addresses(), [address]);
        server.is_healthy();
        match expected {
            Some(expected) => {
                let line = server.logs(name, |line| line.contains(expected));
                assert!(line.contains(" WARN ") && line.contains(name), "{line}");
            }
            None => {
                let log = server.stop();
                assert!(!log.contains("FileDescriptorName"), "{name}: {log}");
            }
        }
    }
}

/// Later releases store some with the service manager, which gives them to whatever release starts next.
#[test]
fn a_stored_descriptor_of_another_release_is_closed_without_a_word() {
    let (listener, address) = listener();
    let file: OwnedFd = std::fs::File::open("/dev/null").expect("a file").into();
    for descriptor in [OwnedFd::from(listener), file] {
        let server = named(descriptor, "philote-something").start();
        server.is_healthy();
        // Those that the configuration asks for, which nothing has replaced.
        assert!(!server.addresses().contains(&address));
        let error = TcpStream::connect(address).expect_err("nothing listens there any more");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        let log = server.stop();
        assert!(!log.contains("philote-something") && !log.contains(" WARN "), "{log}");
    }
}

/// Somebody who comes and goes all the time, until told to stop: how often, and how often in vain. Whoever is
/// accepted in the instant of the stop may find the connection ended; a refusal fails.
fn visitor(address: SocketAddr, stop: &AtomicBool) -> (usize, usize) {
    let (mut visits, mut in_vain) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(address)
            .unwrap_or_else(|error| panic!("refused after {visits} visits: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        let request = Request::get("/healthz").header("Connection", "close");
        let sent = stream.write_all(&request.bytes());
        match Response::read(&mut stream, "GET").0 {
            Some(answer) => assert_eq!(answer.status, 200, "{answer:?}; {sent:?}"),
            None => in_vain += 1,
        }
        visits += 1;
    }
    (visits, in_vain)
}

#[test]
fn over_ten_restarts_on_a_given_listener_nobody_is_refused() {
    let (listener, address) = listener();
    let stop = Arc::new(AtomicBool::new(false));
    let visitors: Vec<_> = (0..2)
        .map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || visitor(address, &stop))
        })
        .collect();
    for _ in 0..10 {
        let given = listener.try_clone().expect("a copy of it");
        let server = Setup::new("").given(given).start();
        assert_eq!(server.addresses(), [address]);
        server.subscriber(&["c"]).close();
        server.stop();
    }
    // Whoever waits by now waits for one more.
    let server = Setup::new("").given(listener).start();
    stop.store(true, Ordering::Relaxed);
    for visitor in visitors {
        let (visits, in_vain) = visitor.join().expect("a visitor that nobody refused");
        assert!(visits >= 10 && in_vain == 0, "{in_vain} of {visits} visits in vain");
    }
    server.stop();
}
