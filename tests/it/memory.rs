//! The bound on all memory that clients make grow, in a control group as the packages' example makes one.

use std::net::{SocketAddr, TcpStream};

use crate::metrics::scrape::scrape;
use crate::support::client::{Client, publish};
use crate::support::frame::Out;
use crate::support::group::Group;
use crate::support::http::{Request, connect_keeping_little, free_port, local};
use crate::support::server::{Server, Setup};
use crate::support::token::grant;
use crate::support::{PATIENCE, until_within};

/// What the drop-in for units sets.
const GROUP: u64 = 1 << 30;
/// Half of it, which `limits.memory` is by default then.
const LIMIT: u64 = GROUP / 2;

/// A server in the group, with default limits but for the number of connections. Without control groups the default is
/// written down, and what the process takes is held against the group's limit all the same.
fn start(max_connections: usize, group: Option<&Group>) -> Server {
    start_with("", max_connections, group)
}

/// The same, with these lines in front of its configuration.
fn start_with(first: &str, max_connections: usize, group: Option<&Group>) -> Server {
    let mut lines = format!("{first}[limits]\nmax_connections = {max_connections}\n");
    if group.is_none() {
        lines += &format!("memory = {LIMIT}\ntotal_queue = {}\n", LIMIT / 2);
    }
    let mut setup = Setup::new(&lines);
    if let Some(group) = group {
        setup = setup.launched_by(&group.launcher().each_ref().map(String::as_str));
    }
    setup.start()
}

/// Readers that keep up, and who publishes to them.
struct Healthy {
    publisher: Client,
    readers: Vec<Client>,
}

impl Healthy {
    fn open(server: &Server) -> Healthy {
        let readers = (0..20).map(|_| server.subscriber(&["healthy"])).collect();
        Healthy { publisher: server.publisher(&["healthy"]), readers }
    }

    fn are_served(&mut self, data: &str) {
        self.publisher.publish("healthy", data);
        for reader in &mut self.readers {
            reader.hears("healthy", data);
        }
    }
}

/// Connections with as many channels of their own as fit into a token of some 60 KiB, until one is refused.
fn with_many_channels(server: &Server, most: usize) -> Vec<Client> {
    let mut open = Vec::new();
    for number in 0..most {
        let names: Vec<String> = (0..3500).map(|name| format!("{number:04}r{name:05}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match Client::open(server.address(), &Request::upgrade_with(&grant(&names, &[]))) {
            Ok(client) => open.push(client),
            Err(refused) => {
                assert_eq!(refused.status, 503, "{refused:?}");
                assert_eq!(refused.header("retry-after"), Some("5"), "{refused:?}");
                assert!(refused.body.contains("limits.memory is reached"), "{refused:?}");
                return open;
            }
        }
    }
    panic!("{most} connections with 3,500 channels each were let in");
}

/// Sends the greater part of a message of 1 MiB on each; how many are closed for it.
fn send_parts(clients: &mut [Client]) -> usize {
    let part = Out::text(vec![b' '; 1_000_000]).unfinished().bytes();
    for client in clients.iter_mut() {
        // It may be closed while it is sent.
        let _ = client.try_send(&part);
    }
    let begun = std::time::Instant::now();
    let mut closed = 0;
    while closed == 0 && begun.elapsed() < PATIENCE {
        for client in clients.iter_mut() {
            let frames = client.event_within(std::time::Duration::from_millis(1));
            if let Some(crate::support::client::Event::Frame(frame)) = frames {
                let (code, reason) = frame.close();
                assert_eq!(code, 1013, "{reason}");
                assert!(reason.contains("limits.memory is reached"), "{reason}");
                closed += 1;
            }
        }
    }
    closed
}

/// A reader that never reads.
fn stalled(server: &Server, request: &[u8]) -> TcpStream {
    let stream = connect_keeping_little(server.address());
    let copy = stream.try_clone().expect("a descriptor");
    Client::open_on(stream, request).expect("it opens");
    copy
}

/// Readers that stall, of many channels, and a publisher of tiny messages round robin; how many are closed for it.
fn with_tiny_messages(server: &Server, readers: usize) -> (Vec<TcpStream>, u64) {
    let names: Vec<String> = (0..500).map(|number| format!("c{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let request = Request::upgrade_with(&grant(&names, &[])).bytes();
    let stalled: Vec<TcpStream> = (0..readers).map(|_| stalled(server, &request)).collect();
    let mut publisher = server.publisher(&names);
    let round: Vec<u8> =
        names.iter().flat_map(|name| Out::text(publish(name, "x")).bytes()).collect();
    let closed = || server.info()["slow_consumers"].as_u64().expect("a count");
    until_within(10 * PATIENCE, "stalled readers are closed", || {
        for _ in 0..8 {
            publisher.send_bytes(&round);
        }
        publisher.round_trip();
        closed() > 0
    });
    (stalled, closed())
}

fn survives(server: Server, group: Option<Group>) {
    server.is_healthy();
    server.stop();
    assert_eq!(group.map_or(0, |group| group.kills()), 0);
}

#[test]
fn connections_with_many_channels_and_parts_of_messages_fit_into_the_group() {
    let group = Group::limited(GROUP);
    let server = start(10_000, group.as_ref());
    let mut healthy = Healthy::open(&server);
    healthy.are_served("before");
    let mut open = with_many_channels(&server, 1000);
    healthy.are_served("with many channels");
    assert!(open.len() > 100, "{} were let in", open.len());
    let closed = send_parts(&mut open);
    assert!(closed > 0, "none was closed with 1013");
    healthy.are_served("with parts of messages");
    let most = server.resident() * 1024;
    assert!(most < GROUP * 3 / 4, "{} MiB", most >> 20);
    drop(open);
    server.until_connections(21);
    healthy.are_served("after");
    survives(server, group);
}

#[test]
fn stalled_readers_of_tiny_messages_fit_into_the_group() {
    let group = Group::limited(GROUP);
    let server = start(1000, group.as_ref());
    let mut healthy = Healthy::open(&server);
    healthy.are_served("before");
    let (stalled, closed) = with_tiny_messages(&server, 600);
    assert!(closed > 0 && closed <= 600, "{closed} were closed with 4000");
    healthy.are_served("with stalled readers");
    let most = server.resident() * 1024;
    assert!(most < GROUP / 2, "{} MiB", most >> 20);
    drop(stalled);
    server.until_connections(21);
    survives(server, group);
}

#[test]
fn all_of_it_at_once_fits_into_the_group() {
    let group = Group::limited(GROUP);
    let server = start(10_000, group.as_ref());
    let mut healthy = Healthy::open(&server);
    let (stalled, _) = with_tiny_messages(&server, 600);
    healthy.are_served("with stalled readers");
    let mut open = with_many_channels(&server, 1000);
    let closed = send_parts(&mut open);
    assert!(closed > 0, "none was closed with 1013");
    healthy.are_served("with all of it");
    let most = server.resident() * 1024;
    assert!(most < GROUP * 3 / 4, "{} MiB", most >> 20);
    drop((stalled, open));
    server.until_connections(21);
    healthy.are_served("after");
    survives(server, group);
}

#[test]
fn parts_of_messages_keep_no_newcomer_out() {
    let group = Group::limited(GROUP);
    let (metrics, line) = metrics();
    let server = start_with(&line, 10_000, group.as_ref());
    let mut healthy = Healthy::open(&server);
    let mut open: Vec<Client> = Vec::new();
    // 1,000 parts of 1 MB are twice what there is.
    for _ in 0..20 {
        let mut more: Vec<Client> = (0..50).map(|_| server.publisher(&[])).collect();
        let part = Out::text(vec![b' '; 1_000_000]).unfinished().bytes();
        for client in &mut more {
            // It may be closed while it is sent.
            let _ = client.try_send(&part);
        }
        open.append(&mut more);
    }
    let closed = || {
        let closed = "philote_connections_closed_total{reason=\"memory_full\"}";
        scrape(metrics).value(closed)
    };
    until_within(10 * PATIENCE, "some are closed with 1013", || closed() > 100.0);
    healthy.are_served("with parts of messages");
    server.is_healthy();
    drop(open);
    server.until_connections(21);
    survives(server, group);
}

/// An address for metrics, and the line of a configuration that names it.
fn metrics() -> (SocketAddr, String) {
    let address = local(free_port());
    (address, format!("metrics.listen = [\"{address}\"]\n"))
}

/// The sum over all kinds of `philote_memory_bytes`.
fn counted(metrics: SocketAddr) -> f64 {
    let all = scrape(metrics);
    let kinds: Vec<String> = all.series();
    let kinds = kinds.iter().filter(|series| series.starts_with("philote_memory_bytes{"));
    kinds.map(|series| all.value(series)).sum()
}

/// Has clients make memory grow until 150 MiB more are counted, and compares that with what the process takes more.
#[track_caller]
fn is_counted(what: &str, server: &Server, metrics: SocketAddr, mut grow: impl FnMut()) {
    const MUCH: f64 = (150 << 20) as f64;
    let before = (counted(metrics), server.resident());
    until_within(20 * PATIENCE, &format!("{what}: 150 MiB are counted"), || {
        grow();
        counted(metrics) - before.0 > MUCH
    });
    let grown = counted(metrics) - before.0;
    let taken = ((server.resident() - before.1) << 10) as f64;
    let ratio = grown / taken;
    assert!(
        (0.8..1.2).contains(&ratio),
        "{what}: {:.0} MiB are counted, the process takes {:.0} MiB more",
        grown / 1048576.0,
        taken / 1048576.0
    );
}

#[test]
fn the_metric_of_memory_is_within_a_fifth_of_what_the_process_takes() {
    let limits = "[limits]\nmax_connections = 10000\nmemory = \"2GiB\"\ntotal_queue = \"1GiB\"\n\
                  outbound_queue = \"64MiB\"\n";
    let started = || {
        let (address, line) = metrics();
        (address, Setup::new(&(line + limits)).start())
    };
    // Tiny messages in many queues.
    let (metrics, server) = started();
    let names: Vec<String> = (0..500).map(|number| format!("c{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let request = Request::upgrade_with(&grant(&names, &[])).bytes();
    let _stalled: Vec<TcpStream> = (0..200).map(|_| stalled(&server, &request)).collect();
    let mut publisher = server.publisher(&names);
    let tiny = |name: &&str| Out::text(publish(name, "x")).bytes();
    let round: Vec<u8> = names.iter().flat_map(tiny).collect();
    is_counted("tiny messages", &server, metrics, || {
        publisher.send_bytes(&round);
        publisher.round_trip();
    });
    // Channels of tokens.
    let (metrics, server) = started();
    let mut open = Vec::new();
    is_counted("many channels", &server, metrics, || {
        let number = open.len();
        let names: Vec<String> = (0..3500).map(|name| format!("{number:04}r{name:05}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        open.push(server.subscriber(&names));
    });
    // Large messages, each for one reader.
    let (metrics, server) = started();
    let names: Vec<String> = (0..20).map(|number| format!("c{number:03}")).collect();
    let _stalled: Vec<TcpStream> = names
        .iter()
        .map(|name| stalled(&server, &Request::upgrade_with(&grant(&[name], &[])).bytes()))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut publisher = server.publisher(&names);
    let large = "x".repeat(300_000);
    let mut next = names.iter().cycle();
    is_counted("large messages", &server, metrics, || {
        publisher.publish(next.next().expect("a channel"), &large);
        publisher.round_trip();
    });
}
