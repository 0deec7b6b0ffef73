//! A reload that moves listeners onto addresses that our own old ones have: between all lists that overlap, between
//! purposes, and between spellings of one path.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::reload::ConnectLoop;
use crate::support::PATIENCE;
use crate::support::dir::Dir;
use crate::support::http::{Request, free_port, local};
use crate::support::server::{Setup, file};
use crate::support::token::grant;

/// One list of `listen`, without the port, and the loopback addresses that lead to it.
struct List {
    entries: &'static [&'static str],
    reaches: &'static [IpAddr],
}

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

const LISTS: [List; 6] = [
    List { entries: &["[::]"], reaches: &[V4, V6] },
    List { entries: &["localhost"], reaches: &[V4, V6] },
    List { entries: &["0.0.0.0"], reaches: &[V4] },
    List { entries: &["[::] ipv6only"], reaches: &[V6] },
    List { entries: &["0.0.0.0", "[::]"], reaches: &[V4, V6] },
    List { entries: &["[::] ipv6only", "127.0.0.1"], reaches: &[V4, V6] },
];

impl List {
    fn config(&self, port: u16) -> String {
        let entry = |entry: &&str| match entry.split_once(' ') {
            Some((address, word)) => format!("{address}:{port} {word}"),
            None => format!("{entry}:{port}"),
        };
        file(&[&format!("listen = {:?}", self.entries.iter().map(entry).collect::<Vec<_>>())])
    }
}

#[test]
fn listening_moves_between_all_lists_that_overlap_and_refuses_nobody() {
    let port = free_port();
    let server = Setup::of_file(&LISTS[0].config(port)).start();
    // Each pair in both directions: from the first to each other one and back, and so on.
    let pairs = (0..LISTS.len()).flat_map(|from| (from + 1..LISTS.len()).map(move |to| (from, to)));
    let mut walk: Vec<usize> = pairs.flat_map(|(from, to)| [from, to, from]).collect();
    walk.dedup();
    assert!(walk.len() > LISTS.len() * (LISTS.len() - 1), "{walk:?}");
    for step in walk.windows(2) {
        let (from, to) = (&LISTS[step[0]], &LISTS[step[1]]);
        let common = from.reaches.iter().filter(|ip| to.reaches.contains(ip));
        let newcomers: Vec<_> =
            common.map(|ip| ConnectLoop::start(SocketAddr::new(*ip, port))).collect();
        newcomers.iter().for_each(|newcomers| newcomers.answers(5));
        server.takes(&to.config(port));
        newcomers.iter().for_each(|newcomers| newcomers.answers(5));
        newcomers.into_iter().for_each(ConnectLoop::stop);
        for ip in to.reaches {
            let one = ConnectLoop::start(SocketAddr::new(*ip, port));
            one.answers(1);
            one.stop();
        }
    }
    server.stop();
}

#[test]
fn clients_and_metrics_swap_their_addresses() {
    let (one, other) = (free_port(), free_port());
    let with = |clients: &str, metrics: &str| {
        file(&[&format!("listen = [{clients:?}]"), &format!("metrics.listen = [{metrics:?}]")])
    };
    let at = |ip: &str, port: u16| format!("{ip}:{port}");
    let server = Setup::of_file(&with(&at("[::]", one), &at("127.0.0.1", other))).start();
    for (clients, metrics) in [(other, one), (one, other), (other, one)] {
        for ip in ["127.0.0.1", "[::]", "localhost"] {
            server.takes(&with(&at(ip, clients), &at("127.0.0.1", metrics)));
            let figures = Request::get("/metrics").send(local(metrics));
            assert_eq!(figures.status, 200, "{ip}: {figures:?}");
            crate::reload::open_at(local(clients), &grant(&["c"], &[])).close();
        }
    }
    server.stop();
}

fn asks(path: &Path) -> String {
    let mut stream = UnixStream::connect(path).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
    let request = Request::get("/healthz").header("Connection", "close").bytes();
    stream.write_all(&request).expect("it is taken");
    std::io::read_to_string(&stream).expect("an answer")
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("a socket").permissions().mode() & 0o777
}

#[test]
fn one_unix_socket_moves_between_the_spellings_of_its_path() {
    let dir = Dir::new();
    let real = dir.path().join("real");
    fs::create_dir(&real).expect("a directory");
    symlink(&real, dir.path().join("link")).expect("a link");
    let socket = real.join("s");
    let spelled = |spelling: &str, words: &str| {
        let path = dir.path().join(spelling);
        file(&[&format!("listen = [\"127.0.0.1:0\", \"unix:{}{words}\"]", path.display())])
    };
    let server = Setup::of_file(&file(&[])).start();
    for (spelling, words, expected) in [
        ("real/s", "", 0o666),
        ("link/s", "", 0o666),
        ("real/../link/s", " mode=0600", 0o600),
        ("real/s", "", 0o666),
        ("real/../real/s", " mode=0660", 0o660),
    ] {
        server.takes(&spelled(spelling, words));
        assert_eq!(mode(&socket), expected, "{spelling}");
        assert!(asks(&socket).starts_with("HTTP/1.1 200 "), "{spelling}");
    }
    server.stop();
    assert!(!socket.exists());
}

/// The name beside it, which the new socket has at first, may be that of another listener.
#[test]
fn a_unix_socket_is_replaced_also_where_names_beside_it_are_taken() {
    let dir = Dir::new();
    let at = |name: &str| dir.path().join(name);
    let listen = |words: &str| {
        let names = ["s.new", "s.0", "s"].map(|name| format!("unix:{}", at(name).display()));
        let [one, two, three] = names;
        file(&[&format!("listen = [\"127.0.0.1:0\", {one:?}, {two:?}, \"{three}{words}\"]")])
    };
    let _file = dir.write("s.1", "somebody's");
    let server = Setup::of_file(&listen("")).spawn();
    server.notifies("READY=1");
    for (words, expected) in [(" mode=0600", 0o600), ("", 0o666)] {
        server.takes(&listen(words));
        assert_eq!(mode(&at("s")), expected);
        for name in ["s.new", "s.0", "s"] {
            assert!(asks(&at(name)).starts_with("HTTP/1.1 200 "), "{name}");
        }
    }
    server.stop();
    assert_eq!(fs::read_to_string(at("s.1")).expect("it is left alone"), "somebody's");
    assert!(!at("s.2").exists());
}

/// In a directory such as /tmp only its owner replaces a file.
#[test]
fn a_unix_socket_that_cannot_be_replaced_is_served_on() {
    let dir = Dir::new();
    let sticky = dir.path().join("sticky");
    fs::create_dir(&sticky).expect("a directory");
    fs::set_permissions(&sticky, fs::Permissions::from_mode(0o1777)).expect("its mode");
    let path = sticky.join("s");
    let listen = |words: &str| {
        file(&[&format!("listen = [\"127.0.0.1:0\", \"unix:{}{words}\"]", path.display())])
    };
    if !rustix::process::getuid().is_root() {
        return crate::support::tools::skip("giving a file to another user needs root");
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
    let Some(setup) = Setup::of_file(&listen("")).run_by_nobody() else { return };
    let server = setup.spawn();
    let ready = server.notifies("READY=1");
    chown(&path, Some(0), None).expect("it is root's");
    let before = fs::symlink_metadata(&path).expect("a socket").ino();
    let status = server.takes(&listen(" mode=0600"));
    assert!(status.contains(&path.display().to_string()), "{ready}; {status}");
    server.logs("what could not be", |line| {
        line.contains("event=bind_failed") && line.contains("cannot take the place")
    });
    assert_eq!(fs::symlink_metadata(&path).expect("a socket").ino(), before);
    assert!(asks(&path).starts_with("HTTP/1.1 200 "));
    assert!(!sticky.join("s.0").exists());
    server.stop();
}
