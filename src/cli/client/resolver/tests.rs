//! Names, looked up with files made here and with a server of DNS of the tests' own.

use std::net::SocketAddr;
use std::time::Duration;

use domain::base::iana::{Class, Rcode};
use domain::base::{Message, MessageBuilder, Rtype, Ttl};
use domain::rdata::{A, Aaaa};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::*;

/// What the server knows: v6.example.org has both kinds of address.
async fn serve_dns(socket: UdpSocket) {
    let mut buffer = [0; 512];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.expect("a question");
        let question = Message::from_octets(&buffer[..length]).expect("a message");
        let asked = question.sole_question().expect("one question");
        let name = asked.qname().to_string().to_lowercase();
        let known = ["plain.example.org", "both.example.org"].contains(&name.as_str());
        let rcode = if known { Rcode::NOERROR } else { Rcode::NXDOMAIN };
        let mut answer = MessageBuilder::new_vec().start_answer(&question, rcode).expect("room");
        let ttl = Ttl::from_secs(1);
        let owner = asked.qname();
        match asked.qtype() {
            Rtype::A if known => {
                answer.push((owner, Class::IN, ttl, A::from_octets(192, 0, 2, 1))).expect("room");
            }
            Rtype::AAAA if name == "both.example.org" => {
                let address = Aaaa::new("2001:db8::1".parse().expect("an address"));
                answer.push((owner, Class::IN, ttl, address)).expect("room");
            }
            _ => {}
        }
        socket.send_to(&answer.finish(), from).await.expect("sent");
    }
}

async fn names(hosts: &str, resolv_conf: &str) -> Resolver {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let mut dns = ResolvConf::parse(resolv_conf);
    dns.servers = vec![socket.local_addr().expect("bound")];
    tokio::spawn(serve_dns(socket));
    Resolver { hosts: Hosts::parse(hosts), dns }
}

async fn found(names: &Resolver, name: &str) -> String {
    let found = timeout(Duration::from_secs(20), names.look_up(name)).await.expect("in time");
    found.map_or_else(|error| format!("{:?}", error.kind()), |found| format!("{found:?}"))
}

#[tokio::test]
async fn names_come_from_the_hosts_file_and_otherwise_from_dns() {
    let hosts = "# 192.0.2.9 not.this\n192.0.2.7\tplain.example.org alias # and so on\n\
                 2001:db8::7 Alias\nnonsense alias\n\n192.0.2.8 sometimes.localhost\n";
    let names = names(hosts, "search example.com example.org\n").await;
    for (name, expected) in [
        ("plain.example.org", "[192.0.2.7]"),
        ("ALIAS", "[192.0.2.7, 2001:db8::7]"),
        ("alias.", "[192.0.2.7, 2001:db8::7]"),
        ("not.this", "NotFound"),
        ("both.example.org", "[2001:db8::1, 192.0.2.1]"),
        ("BOTH.example.org.", "[2001:db8::1, 192.0.2.1]"),
        ("both", "[2001:db8::1, 192.0.2.1]"),
        ("both.", "NotFound"),
        ("nobody.example.org", "NotFound"),
        ("not a name", "NotFound"),
        ("localhost", "[::1, 127.0.0.1]"),
        ("a.LocalHost.", "[::1, 127.0.0.1]"),
        ("sometimes.localhost", "[192.0.2.8]"),
        ("localhost.example.net", "NotFound"),
    ] {
        assert_eq!(found(&names, name).await, expected, "{name}");
    }
}

#[tokio::test]
async fn this_machine_knows_itself() {
    let names = Resolver::of_this_machine();
    let found = names.look_up("localhost").await.expect("loopback");
    assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
}

#[tokio::test]
async fn a_name_that_nobody_can_be_asked_for_is_another_fault_than_one_that_nobody_knows() {
    let gone: SocketAddr = {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        socket.local_addr().expect("bound")
    };
    let mut dns = ResolvConf::parse("options timeout:1\n");
    dns.servers = vec![gone];
    let names = Resolver { hosts: Hosts::default(), dns };
    let error = names.look_up("example.org").await.expect_err("nobody answers");
    assert_ne!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().contains("DNS fails"), "{error}");
}

#[test]
fn a_short_name_is_looked_for_in_the_search_domains_first_and_a_long_one_as_it_is() {
    let conf =
        ResolvConf::parse("domain none.example\nsearch a.example b.example.\noptions ndots:2");
    let cases = [
        ("x", "x.a.example. x.b.example. x."),
        ("x.y", "x.y.a.example. x.y.b.example. x.y."),
        ("x.y.z", "x.y.z. x.y.z.a.example. x.y.z.b.example."),
        ("x.", "x."),
    ];
    for (name, expected) in cases {
        assert_eq!(conf.candidates(name).join(" "), expected);
    }
}

#[test]
fn the_servers_of_resolv_conf_are_asked_and_this_machine_without_any() {
    let servers = |text| {
        let servers = ResolvConf::parse(text).servers().servers;
        servers.iter().map(|server| server.addr.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(servers(""), "127.0.0.1:53");
    let text = "; c\n# c\nnameserver 192.0.2.1\nnameserver name.example\nnameserver fe80::1%eth0\n\
                nameserver\nnonsense\nnameserver 2001:db8::1\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n";
    assert_eq!(servers(text), "192.0.2.1:53 [2001:db8::1]:53 192.0.2.3:53");
    let options = |text| ResolvConf::parse(text).servers().options;
    assert_eq!(options("").timeout, Duration::from_secs(5));
    assert_eq!(options("options rotate timeout:0 ndots:x").timeout, Duration::from_secs(1));
    assert_eq!(options("options timeout:99").timeout, Duration::from_secs(30));
    assert!(options("options edns0 use-vc").use_vc && !options("").use_vc);
}
