//! A machine without IPv6, or without IPv4: what is listened on there, and how our own tools reach it.

use std::net::SocketAddr;

use crate::support::dir::Dir;
use crate::support::family::Without;
use crate::support::http::free_port;
use crate::support::server::{Server, Setup, addresses, file};

const PHILOTE: &str = env!("CARGO_BIN_EXE_philote");

fn shown(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A server without the family, of this configuration.
fn start(without: &Without, config: &str) -> Server {
    Setup::of_file(config).launched_by(&without.launcher()).start()
}

/// What a tool reports, run without the family as well.
#[track_caller]
fn tool(without: &Without, words: &[&str]) -> String {
    let done = without.command(PHILOTE).args(words).output().expect("philote runs");
    let text = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success(), "{words:?}: {text}");
    text
}

/// Our tools come to it, by the configuration and by the name.
#[track_caller]
fn is_reached_by_tools(without: &Without, server: &Server, port: u16) {
    let config = server.dir().join("config.toml").display().to_string();
    let url = format!("http://localhost:{port}");
    for words in [&["health", "--url", &url][..], &["--config", &config, "health"]] {
        assert_eq!(tool(without, words), "ready\n", "{words:?}");
    }
}

fn both() -> Vec<Without> {
    [Without::sockets("6"), Without::ipv6_addresses()].into_iter().flatten().collect()
}

#[test]
fn without_ipv6_localhost_is_listened_on_by_ipv4_and_the_log_says_so() {
    for without in both() {
        let (port, other) = (free_port(), free_port());
        let config = file(&[
            &format!("listen = [\"localhost:{port}\"]"),
            &format!("metrics.listen = [\"localhost:{other}\"]"),
        ]);
        let server = start(&without, &config);
        assert_eq!(shown(server.addresses()), format!("127.0.0.1:{port}"));
        for (key, port) in [("listen", port), ("metrics.listen", other)] {
            let left_out = format!("{key}: this machine has no IPv6, so [::1]:{port} is left out");
            let line = server.logs(&left_out, |line| line.contains(&left_out));
            assert!(line.contains("event=family_lacking"), "{line}");
        }
        is_reached_by_tools(&without, &server, port);
        is_reached_by_tools(&without, &server, other);
        server.stop();
        // That there is no IPv6 is not why it cannot be reached.
        let url = format!("http://localhost:{port}");
        let done = without.command(PHILOTE).args(["health", "--url", &url]).output().expect("runs");
        let text = String::from_utf8_lossy(&done.stderr);
        assert!(text.contains("Connection refused"), "{text}");
    }
}

#[test]
fn without_sockets_of_ipv6_the_wildcard_is_that_of_ipv4() {
    let Some(without) = Without::sockets("6") else { return };
    let port = free_port();
    // As the container's image has it.
    let image = Setup::of_file(&file(&[]).replace("listen = [\"127.0.0.1:0\"]\n", ""))
        .environment("PHILOTE_LISTEN", &format!("[::]:{port}"))
        .launched_by(&without.launcher())
        .start();
    assert_eq!(shown(image.addresses()), format!("0.0.0.0:{port}"));
    image.is_healthy();
    image.stop();
    let port = free_port();
    let listen = format!("listen = [\"0.0.0.0:{port}\", \"[::]:{port}\"]");
    let server = start(&without, &file(&[&listen, "metrics.listen = [\"[::]:0\"]"]));
    assert_eq!(shown(server.addresses()), format!("0.0.0.0:{port}"));
    is_reached_by_tools(&without, &server, port);
    server.stop();
}

#[test]
fn without_ipv6_an_address_that_names_it_explicitly_does_not_start_and_check_says_so() {
    for without in both() {
        let listen = format!("listen = [\"127.0.0.1:0\", \"[::1]:{}\"]", free_port());
        let config = file(&[&listen]);
        let ended = Setup::of_file(&config).launched_by(&without.launcher()).fails();
        assert_eq!(ended.status.code(), Some(69), "{}", ended.log);
        assert!(ended.log.contains("listen: [::1]:"), "{}", ended.log);
        let dir = Dir::new();
        let path = dir.write("config.toml", &config);
        let done =
            without.command(PHILOTE).args(["check", "--config"]).arg(path).output().expect("runs");
        let text = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(78), "{text}");
        assert!(text.contains("listen: [::1]:"), "{text}");
    }
}

#[test]
fn without_ipv6_check_warns_of_what_will_be_left_out_or_replaced() {
    let Some(without) = Without::sockets("6") else { return };
    let dir = Dir::new();
    let lines =
        ["listen = [\"[::]:7001\", \"localhost:7002\"]", "metrics.listen = [\"localhost:7003\"]"];
    let path = dir.write("config.toml", &file(&lines)).display().to_string();
    let text = tool(&without, &["check", "--config", &path]);
    for expected in [
        "warning: listen: this machine has no IPv6, so 0.0.0.0:7001 takes the place of [::]:7001\n",
        "warning: listen: this machine has no IPv6, so [::1]:7002 is left out\n",
        "warning: metrics.listen: this machine has no IPv6, so [::1]:7003 is left out\n",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    assert!(text.contains("the configuration is good"), "{text}");
}

#[test]
fn without_ipv6_a_reload_leaves_out_or_replaces_as_a_start_does() {
    let Some(without) = Without::sockets("6") else { return };
    let port = free_port();
    let listen = |entries: &[&str]| {
        let entries: Vec<_> = entries.iter().map(|entry| format!("{entry}:{port}")).collect();
        file(&[&format!("listen = {entries:?}")])
    };
    let server = start(&without, &listen(&["localhost"]));
    for (entries, expected) in [
        (&["localhost"][..], "127.0.0.1"),
        (&["[::]"], "0.0.0.0"),
        (&["0.0.0.0"], "0.0.0.0"),
        (&["0.0.0.0", "[::]"], "0.0.0.0"),
        (&["localhost"], "127.0.0.1"),
        (&["[::]"], "0.0.0.0"),
    ] {
        let status = server.takes(&listen(entries));
        let now = addresses(&status).expect("addresses");
        assert_eq!(shown(&now), format!("{expected}:{port}"), "{entries:?}");
        is_reached_by_tools(&without, &server, port);
    }
    let replaced = format!("0.0.0.0:{port} takes the place of [::]:{port}");
    server.logs("the wildcard", |line| {
        line.contains("event=configuration_warning") && line.contains(&replaced)
    });
    server.reconfigure(&listen(&["127.0.0.1", "[::1]"]));
    let faults = server.rejects_reload();
    assert!(faults[0].contains("listen: [::1]:") && faults[0].contains("IPv6"), "{faults:?}");
    is_reached_by_tools(&without, &server, port);
    server.stop();
}

#[test]
fn without_ipv4_localhost_is_listened_on_by_ipv6_and_reached_there() {
    let Some(without) = Without::sockets("4") else { return };
    let port = free_port();
    let server = start(&without, &file(&[&format!("listen = [\"localhost:{port}\"]")]));
    assert_eq!(shown(server.addresses()), format!("[::1]:{port}"));
    is_reached_by_tools(&without, &server, port);
    server.stop();
}
