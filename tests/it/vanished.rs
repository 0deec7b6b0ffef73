//! Peers that vanish without a FIN: a pulled cable, a laptop's lid. The server runs in a network
//! namespace, and the cable between it and the peer is cut.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::client::Client;
use crate::support::http::Request;
use crate::support::network::{Cable, Namespace};
use crate::support::server::{Server, Setup};
use crate::support::token::grant;
use crate::support::tools::require_tool;
use crate::support::until_within;

/// Twice the interval and the timeout.
const BOUND: Duration = Duration::from_millis(1500);

/// What a busy machine and the kernel's retransmission timers may add.
const SLACK: Duration = Duration::from_millis(2500);

struct Net {
    server: Server,
    doomed: Cable,
    // Dropped after the server, whose home they are.
    _sound: Cable,
    _namespace: Namespace,
}

/// A server with a sound cable, to its first address, and a doomed one, to its second.
fn net() -> Option<Net> {
    let ip = require_tool("ip", "apt install iproute2")?;
    let namespace = Namespace::new()?;
    let (sound, doomed) = (namespace.cable(), namespace.cable());
    let listen = format!("{}:0,{}:0", sound.inside_address(), doomed.inside_address());
    let ip = Path::new(&ip).display().to_string();
    let server = Setup::new("[websocket]\nping_interval = \"500ms\"\npong_timeout = \"500ms\"")
        .environment("PHILOTE_LISTEN", &listen)
        .launched_by(&[&ip, "netns", "exec", namespace.name()])
        .start();
    let at = |index: usize| server.addresses()[index].ip();
    assert_eq!(at(0), IpAddr::from(sound.inside_address()));
    assert_eq!(at(1), IpAddr::from(doomed.inside_address()));
    Some(Net { server, doomed, _sound: sound, _namespace: namespace })
}

/// Opens a connection over the doomed cable.
fn over_the_doomed(net: &Net, token: &str) -> Client {
    Client::open(net.server.addresses()[1], &Request::upgrade_with(token)).expect("admitted")
}

#[test]
fn a_subscriber_that_vanishes_with_data_in_flight_is_gone_in_time() {
    let Some(net) = net() else { return };
    let mut publisher = net.server.publisher(&["c"]);
    let mut watcher = net.server.subscriber(&["c"]);
    let mut victim = over_the_doomed(&net, &grant(&["c"], &[]));
    publisher.publish("c", "before");
    assert!(victim.message().contains("before"));
    assert!(watcher.message().contains("before"));
    net.doomed.cut();
    let mut count = 0;
    let took = until_within(BOUND + SLACK, "the vanished is gone", || {
        publisher.publish("c", &format!("message {count}"));
        assert!(watcher.message().contains(&format!("message {count}")), "others hear on");
        count += 1;
        net.server.info()["connections"] == 2
    });
    assert!(took > Duration::from_millis(400), "gone after {took:?}: that was no timeout");
}

/// It never answered a ping, as the Go client never does: the transport finds it dead.
#[test]
fn a_quiet_publisher_that_vanishes_is_gone_in_time() {
    let Some(net) = net() else { return };
    let mut watcher = net.server.subscriber(&["c"]);
    let mut victim = over_the_doomed(&net, &grant(&[], &["c"]));
    victim.publish("c", "the last that was heard of it");
    assert!(watcher.message().contains("the last that was heard of it"));
    net.doomed.cut();
    let begun = Instant::now();
    until_within(BOUND + SLACK, "the vanished is gone", || net.server.info()["connections"] == 1);
    assert!(begun.elapsed() > Duration::from_millis(400));
    net.server.is_healthy();
}

#[test]
fn a_handshake_whose_peer_vanishes_is_forgotten() {
    let Some(net) = net() else { return };
    let stream = crate::support::http::connect(net.server.addresses()[1]);
    net.doomed.cut();
    net.server.is_healthy();
    net.server.until_connections(0);
    drop(stream);
}
