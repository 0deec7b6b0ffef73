//! Behind the proxies that people use, with the samples that are shipped: nginx, HAProxy, Caddy and Apache, and fail2ban
//! over the log.

mod proxy;
mod restarts;

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::client::{Client, Event};
use crate::support::dir::Dir;
use crate::support::http::{Request, Response, connect, connect_from};
use crate::support::server::{Server, Setup, file};
use crate::support::token::{grant, token};
use crate::support::tools::require_tool;
use crate::support::until;

use proxy::{CLIENT, Proxy, apache, caddy, haproxy, nginx, sample, with};
use rustix::process::Signal;

fn trusting(word: &str) -> Server {
    let listen = format!("127.0.0.1:0{word}");
    Setup::new("[proxy]\ntrusted = [\"127.0.0.1\"]\n[log]\nlevel = \"debug\"")
        .environment("PHILOTE_LISTEN", &listen)
        .start()
}

fn was_opened_by(server: &Server, peer: &str) {
    let opened = format!("peer={peer}");
    let holds = |line: &str| line.contains("event=connection_opened") && line.contains(&opened);
    server.logs(&opened, holds);
}

/// The message of one is heard by another, both through the proxy and with their tokens in the query; health is asked
/// through it; and whoever writes an address of their own choice into the request is known by the proxy's word.
#[track_caller]
fn carries(proxy: &Proxy, server: &Server) {
    let token = grant(&["c"], &["c"]);
    let request =
        Request::upgrade(&format!("/?auth={token}")).header("Host", "philote.example.org");
    let mut listener = proxy.client(&request).expect("admitted");
    was_opened_by(server, &CLIENT.to_string());
    let spoofed = request
        .clone()
        .header("X-Forwarded-For", "203.0.113.1")
        .header("X-Real-IP", "203.0.113.2")
        .header("Forwarded", "for=203.0.113.3");
    let mut speaker = proxy.client(&spoofed).expect("admitted");
    speaker.publish("c", "through the proxy");
    listener.hears("c", "through the proxy");
    speaker.close();
    listener.close();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(proxy.ask(&Request::get(path)).status, 200, "{path}");
    }
    let log = server.log();
    assert!(!log.contains("peer=203.0.113."), "{log}");
    // A refusal is known by its client too, and a log that holds no token of those that were accepted might still hold
    // one that was refused.
    let refused = proxy.client(&Request::upgrade("/?auth=mark.of.nobody")).err().expect("refused");
    assert_eq!(refused.status, 401);
    let line = server.logs("the refusal", |line| line.contains("event=handshake_refused"));
    assert!(line.contains(&format!("from {CLIENT}")), "{line}");
}

/// A token of sixteen hundred channels, in the header and in the query, and what is published over HTTP in as much
/// as a body may have.
#[track_caller]
fn carries_much(proxy: &Proxy, server: &Server) {
    let names: Vec<String> = (0..1600).map(|number| format!("a channel of {number:08}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let long = grant(&names, &[]);
    assert!((40_000..60_000).contains(&long.len()), "{}", long.len());
    for request in [Request::upgrade_with(&long), Request::upgrade(&format!("/?auth={long}"))] {
        assert!(Client::open_on(connect(server.address()), &request.bytes()).is_ok());
        proxy.client(&request).expect("admitted").close();
    }
    let sender = token(r#"{"api":true,"write":["c"]}"#);
    let line = format!("{{\"channel\":\"c\",\"data\":{:?}}}\n", "x".repeat(1_000_000));
    let body = line.repeat(16);
    let request = Request::new("POST", "/api/publish").header("Host", "philote.example.org");
    let answer = proxy.ask(&request.bearer(&sender).body("application/x-ndjson", body));
    assert_eq!((answer.status, answer.body.lines().count()), (200, 16), "{answer:?}");
}

/// Neither a token nor anything else of a query stands in any log of the proxy, or in a page of its own: after answers,
/// refusals, requests that it cannot read, and with nobody behind it.
#[track_caller]
fn tells_no_query(proxy: &Proxy, server: Server) {
    let odd = [
        "GET /?auth=mark.of.nobody HTTP/9.9\r\nHost: x\r\n\r\n".to_owned(),
        "GET /?auth=mark.of.nobody HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n".to_owned(),
        "GET /?auth=mark.of.nobody\r\n\r\n".to_owned(),
        "G\u{1}T /?auth=mark.of.nobody HTTP/1.1\r\n\r\n".to_owned(),
        format!("GET /?auth=mark.of.nobody{} HTTP/1.1\r\n\r\n", "x".repeat(100_000)),
        format!("GET /?auth=mark.of.nobody HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(100_000)),
        "GET /?auth=mark.of.nobody HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: odd\r\n\r\n"
            .to_owned(),
    ];
    let mut said = String::new();
    for request in odd {
        use std::io::{Read, Write};
        let mut stream = connect(proxy.tunnel.address);
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        said.push_str(&String::from_utf8_lossy(&answer));
    }
    server.stop();
    let answer = proxy.ask(&Request::get("/path?auth=mark.of.nobody"));
    assert!([502, 503].contains(&answer.status), "{answer:?}");
    said.push_str(&format!("{answer:?}"));
    until("the last request is logged", || proxy.logs().contains("/path"));
    let logs = proxy.logs();
    for text in [&logs, &said] {
        assert!(!text.contains("auth="), "{text}");
        assert!(!text.contains("mark.of"), "{text}");
        assert!(!text.contains("eyJ"), "the beginning of any token: {text}");
    }
}

#[test]
fn nginx_with_the_sample_carries_messages_and_health_and_the_clients_address_and_logs_no_token() {
    let server = trusting("");
    let Some(proxy) = nginx(&[server.address()]) else { return };
    carries(&proxy, &server);
    carries_over_http_2(&proxy, &server);
    let logs = proxy.logs();
    let request = format!("{CLIENT} [");
    carries_much(&proxy, &server);
    assert!(logs.contains(&request) && logs.contains("\"GET / HTTP/1.1\" 101"), "{logs}");
    tells_no_query(&proxy, server);
    assert!(proxy.logs().contains(" 502 "), "{}", proxy.logs());
}

#[test]
fn haproxy_with_the_sample_carries_messages_and_health_and_the_clients_address_and_logs_no_token() {
    let server = trusting("");
    let Some(proxy) = haproxy(&[server.address()], "") else { return };
    carries(&proxy, &server);
    carries_over_http_2(&proxy, &server);
    let logs = proxy.logs();
    carries_much(&proxy, &server);
    assert!(logs.contains(&format!("{CLIENT}:")) && logs.contains(" GET / HTTP/1.1"), "{logs}");
    tells_no_query(&proxy, server);
    assert!(proxy.logs().contains(" 503 "), "{}", proxy.logs());
}

#[test]
fn caddy_with_the_sample_carries_messages_and_health_and_the_clients_address_and_logs_no_token() {
    let server = trusting("");
    let Some(proxy) = caddy(&[server.address()]) else { return };
    carries(&proxy, &server);
    carries_over_http_2(&proxy, &server);
    carries_much(&proxy, &server);
    tells_no_query(&proxy, server);
}

#[test]
fn apache_with_the_sample_carries_messages_and_health_and_the_clients_address_and_logs_no_token() {
    let server = trusting("");
    let Some(proxy) = apache(&[server.address()]) else { return };
    carries(&proxy, &server);
    carries_over_http_2(&proxy, &server);
    let logs = proxy.logs();
    carries_much(&proxy, &server);
    assert!(
        logs.contains(&format!("{CLIENT} [")) && logs.contains("\"GET / HTTP/1.1\" 101"),
        "{logs}"
    );
    tells_no_query(&proxy, server);
}

/// With HTTP/2 in front, in both families: plain requests, and what is published reaches a WebSocket.
#[track_caller]
fn carries_over_http_2(proxy: &Proxy, server: &Server) {
    let Some(curl) = require_tool("curl", "apt install curl") else { return };
    let mut listener = proxy.client(&Request::upgrade_with(&grant(&["c"], &[]))).expect("admitted");
    let sender = token(r#"{"api":true,"write":["c"]}"#);
    for address in proxy.addresses() {
        let asks = |path: &str, more: &[&str]| {
            let done = Command::new(&curl)
                .args(["--silent", "--show-error", "--http2", "--cacert"])
                .arg(proxy.certificate())
                .args(["--write-out", " %{http_version} %{http_code}", "--resolve"])
                .arg(format!("localhost:{}:{}", address.port(), address.ip()))
                .args(["--header", &format!("Authorization: Bearer {sender}")])
                .args(more)
                .arg(format!("https://localhost:{}{path}", address.port()))
                .output()
                .expect("it runs");
            assert!(done.status.success(), "{address}{path}: {done:?}; {}", proxy.logs());
            String::from_utf8_lossy(&done.stdout).into_owned()
        };
        assert!(asks("/readyz", &[]).ends_with(" 2 200"), "{address}");
        let data = format!("over HTTP/2 to {address}");
        let body = format!("{{\"channel\":\"c\",\"data\":\"{data}\"}}");
        let answer =
            asks("/api/publish", &["--header", "Content-Type: application/json", "--data", &body]);
        assert!(answer.ends_with(" 2 200"), "{answer}");
        listener.hears("c", &data);
    }
    listener.close();
    let log = server.log();
    assert!(!log.contains("event=panic"), "{log}");
}

#[test]
fn haproxy_speaks_the_proxy_protocol_of_both_versions_and_its_probes_pass() {
    for words in ["send-proxy check-send-proxy", "send-proxy-v2 check-send-proxy"] {
        assert!(sample("haproxy/philote.cfg").contains("send-proxy-v2 check-send-proxy\n"));
        let server = trusting(" proxy");
        let Some(proxy) = haproxy(&[server.address()], words) else { return };
        let token = grant(&["c"], &["c"]);
        let request = Request::upgrade(&format!("/?auth={token}"));
        let mut listener = proxy.client(&request).expect("admitted");
        was_opened_by(&server, &proxy.tunnel.last_source().to_string());
        let mut speaker = proxy.client(&request).expect("admitted");
        speaker.publish("c", words);
        listener.hears("c", words);
    }
}

#[test]
fn haproxy_takes_a_server_that_is_stopped_out_before_its_connections_go() {
    let config = file(&["proxy.trusted = [\"127.0.0.1\"]", "shutdown.delay = \"3s\""]);
    let server = Setup::of_file(&config).start();
    let Some(proxy) = haproxy(&[server.address()], "") else { return };
    let request = Request::upgrade_with(&grant(&["c"], &["c"]));
    let mut listener = proxy.client(&request).expect("admitted");
    let mut speaker = proxy.client(&request).expect("admitted");
    server.signal(Signal::TERM);
    until("it is out", || proxy.logs().contains("Server philote/philote1 is DOWN"));
    // Who comes now gets HAProxy's own answer, and who is there goes on.
    let refused = proxy.client(&request).err().expect("refused");
    assert_eq!(refused.status, 503);
    speaker.publish("c", "still here");
    listener.hears("c", "still here");
    for client in [&mut listener, &mut speaker] {
        match client.event() {
            Event::Frame(frame) => assert_eq!(frame.close().0, 1001, "{frame:?}"),
            Event::End => panic!("without a close"),
        }
    }
}

/// The files as they are shipped, TLS and all.
#[test]
fn the_samples_are_good_as_they_stand() {
    let (Some(nginx), Some(haproxy), Some(openssl)) = (
        require_tool("nginx", "apt install nginx"),
        require_tool("haproxy", "apt install haproxy"),
        require_tool("openssl", "apt install openssl"),
    ) else {
        return;
    };
    let dir = Dir::new();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let made = Command::new(openssl)
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/CN=philote.example.org", "-keyout", &at("key"), "-out", &at("chain")])
        .output()
        .expect("it runs");
    assert!(made.status.success(), "{made:?}");
    let pem = [at("chain"), at("key")].map(|path| fs::read_to_string(path).expect("PEM"));
    dir.write("pem", &pem.concat());

    let text = sample("nginx/philote.conf");
    let live = "/etc/letsencrypt/live/philote.example.org";
    let text = with(&text, &format!("{live}/fullchain.pem"), &at("chain"));
    let text = with(&text, &format!("{live}/privkey.pem"), &at("key"));
    let text = with(&text, "/var/log/nginx/philote.log", &at("philote.log"));
    dir.write("philote.conf", &text);
    let main = format!(
        "pid {};\nerror_log stderr;\nevents {{}}\nhttp {{\ninclude {};\n}}\n",
        at("pid"),
        at("philote.conf")
    );
    let main = dir.write("nginx.conf", &main);
    let tested = Command::new(nginx).arg("-t").arg("-c").arg(main).args(["-e", "stderr"]).output();
    let tested = tested.expect("it runs");
    let said = String::from_utf8_lossy(&tested.stderr).into_owned();
    assert!(tested.status.success() && !said.contains("[warn]"), "{said}");

    let text = with(&sample("haproxy/philote.cfg"), "/etc/haproxy/philote.pem", &at("pem"));
    let text = dir.write("philote.cfg", &text);
    let tested = Command::new(haproxy)
        .args(["-c", "-f", "/etc/haproxy/haproxy.cfg", "-f"])
        .arg(text)
        .output()
        .expect("it runs");
    let said = [tested.stdout, tested.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(tested.status.success(), "{said}");
    let ours = |line: &&str| line.contains("philote.cfg") && line.contains("WARNING");
    assert_eq!(said.lines().find(ours), None, "{said}");
}

// Without a proxy, or with one that nobody told the server of.

fn direct(server: &Server, source: IpAddr, request: &Request) -> Client {
    Client::open_on(connect_from(source, server.address()), &request.bytes()).expect("admitted")
}

#[test]
fn a_client_that_is_no_trusted_proxy_cannot_choose_its_address_or_its_host() {
    let server = Setup::new(
        "[proxy]\ntrusted = [\"127.0.0.1\"]\n[log]\nlevel = \"debug\"\n[auth]\ncheck_origin = true",
    )
    .start();
    let request = Request::upgrade_with(&grant(&["c"], &[]))
        .header("X-Forwarded-For", "203.0.113.1")
        .header("X-Forwarded-Host", "app.example.org")
        .header("Host", "philote.example.org")
        .header("Origin", "https://philote.example.org");
    let _open = direct(&server, CLIENT, &request);
    was_opened_by(&server, &format!("{CLIENT}:"));
    let foreign = request.header("Origin", "https://app.example.org");
    let refused = Client::open_on(connect_from(CLIENT, server.address()), &foreign.bytes());
    assert_eq!(refused.err().map(|refusal| refusal.status), Some(403));
    // The proxy says it, and it holds.
    let proxy = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let _open = direct(&server, proxy, &foreign);
    was_opened_by(&server, "203.0.113.1");
    assert!(!server.log().contains("peer=127.0.0.1:"), "{}", server.log());
}

#[test]
fn each_request_of_a_proxys_connection_is_its_own_clients() {
    let server = trusting("");
    let mut stream = connect(server.address());
    for client in ["192.0.2.1", "192.0.2.2"] {
        use std::io::Write;
        let request = Request::upgrade("/").header("X-Forwarded-For", client);
        stream.write_all(&request.bytes()).expect("it is taken");
        let (refused, _) = Response::read(&mut stream, "GET");
        assert_eq!(refused.expect("an answer").status, 401);
        let from = format!("no_token from {client} event=");
        server.logs(&from, |line| line.contains(&from));
    }
}

#[test]
fn nearly_everybody_from_one_private_address_and_no_proxy_trusted_is_one_warning() {
    let told = |server: &Server| server.log().matches("event=proxy_not_trusted").count();
    let fill = |server: &Server, source: IpAddr| {
        let request = Request::upgrade_with(&grant(&["c"], &[]));
        let open: Vec<Client> = (0..100).map(|_| direct(server, source, &request)).collect();
        server.until_connections(100);
        drop(open);
        server.until_connections(0);
    };
    let one = "workers = 1";
    let server = Setup::of_file(&file(&[one])).start();
    fill(&server, CLIENT);
    let line = server.logs("the warning", |line| line.contains("event=proxy_not_trusted"));
    assert!(line.contains(" WARN ") && line.contains(&format!("[\"{CLIENT}\"]")), "{line}");
    fill(&server, CLIENT);
    fill(&server, IpAddr::V4(Ipv4Addr::LOCALHOST));
    assert_eq!(told(&server), 1, "{}", server.log());
    let server = Setup::of_file(&file(&[one, "proxy.trusted = [\"10.0.0.1\"]"])).start();
    fill(&server, CLIENT);
    assert_eq!(told(&server), 0, "{}", server.log());
}

// fail2ban.

/// A copy of the machine's fail2ban configuration with our files in it.
fn fail2ban() -> Option<(PathBuf, Dir)> {
    let regex = require_tool("fail2ban-regex", "apt install fail2ban")?;
    let dir = Dir::new();
    let copied = Command::new("cp").args(["-r", "/etc/fail2ban/."]).arg(dir.path()).status();
    assert!(copied.expect("cp").success());
    for name in ["filter.d/philote.conf", "jail.d/philote.conf"] {
        dir.write(name, &sample(&format!("fail2ban/{name}")));
    }
    Some((regex, dir))
}

/// Whom the filter finds in these lines, in their order.
fn found(regex: &Path, dir: &Dir, lines: &[String]) -> Vec<String> {
    let log = dir.write("lines.log", &(lines.join("\n") + "\n"));
    let done = Command::new(regex)
        .arg("-c")
        .arg(dir.path())
        .args(["--out", "ip"])
        .arg(log)
        .arg("philote")
        .output()
        .expect("it runs");
    assert!(done.status.success(), "{done:?}");
    String::from_utf8_lossy(&done.stdout).lines().map(str::to_owned).collect()
}

/// What a server logs of those that it refuses, of what they may forge, and of the honest.
fn refusals(format: &str) -> String {
    let config = format!(
        "[proxy]\ntrusted = [\"127.0.0.1\"]\n[log]\nlevel = \"debug\"\nformat = {format:?}"
    );
    let server = Setup::new(&config).start();
    let from = |client: &str, request: &Request| {
        let request = request.clone().header("X-Forwarded-For", client);
        Client::open_on(connect(server.address()), &request.bytes())
    };
    // Real refusals, by IPv4 and IPv6, with and without a port.
    let refused = ["192.0.2.1", "192.0.2.2:4711", "2001:db8::3", "[2001:db8::4]:4711"];
    for client in refused {
        assert!(from(client, &Request::upgrade_with("a.b.c")).is_err());
    }
    let direct =
        Client::open_on(connect_from(CLIENT, server.address()), &Request::upgrade("/").bytes());
    assert!(direct.is_err());
    // What a client can write into the log, and into the way to it: a subject is not logged, a channel is.
    let forged = "handshake refused: no_token from 203.0.113.9:1";
    let lines = [
        forged.to_owned(),
        format!("x\n2026-01-01T00:00:00.000000Z INFO  {forged}"),
        format!("x\" event=handshake_refused peer=203.0.113.9:1 reason=no_token {forged}"),
        format!("x\r\nJan  1 00:00:00 host philote[1]: {forged}"),
    ];
    let mut speaker =
        from("192.0.2.5", &Request::upgrade_with(&grant(&[], &["c"]))).expect("admitted");
    for line in &lines {
        speaker.send_text(&serde_json::json!({ "channel": line, "data": line }).to_string());
    }
    for line in &lines {
        let header = line.replace(['\r', '\n'], " ");
        let request = Request::upgrade(&format!("/{}", header.replace(' ', "%20")))
            .header("User-Agent", &header)
            .header("Origin", &header)
            .header("X-Forwarded-For", &format!("{header}, 192.0.2.6"));
        assert!(Client::open_on(connect(server.address()), &request.bytes()).is_err());
    }
    // Those who are refused for what happens to the honest.
    let expired = token(r#"{"exp":1}"#);
    assert!(from("192.0.2.7", &Request::upgrade_with(&expired)).is_err());
    speaker.close();
    server.stop()
}

#[test]
fn fail2ban_finds_whoever_is_refused_and_nobody_that_a_client_names() {
    let Some((regex, dir)) = fail2ban() else { return };
    let log = refusals("text");
    let lines: Vec<String> = log.lines().map(str::to_owned).collect();
    assert_eq!(
        lines.iter().filter(|line| line.contains("event=publish_refused")).count(),
        4,
        "{log}"
    );
    let expected =
        ["192.0.2.1", "192.0.2.2", "2001:db8::3", "2001:db8::4", "127.0.0.9"].map(str::to_owned);
    let mut expected = expected.to_vec();
    expected.extend(vec!["192.0.2.6".to_owned(); 4]);
    assert_eq!(found(&regex, &dir, &lines), expected, "{log}");

    // The same as JSON.
    let json = refusals("json");
    let json: Vec<String> = json.lines().map(str::to_owned).collect();
    assert!(json.iter().any(|line| line.starts_with("{\"timestamp\":\"")), "{json:?}");
    assert_eq!(found(&regex, &dir, &json), expected, "{json:?}");

    // The same as the journal has it: the message alone behind the name of the service.
    let as_in_journal = |line: &String| {
        let (_, rest) = line.split_at(line.find("Z ").expect("a time") + 8);
        let message = rest.split(" event=").next().expect("a message");
        format!("Nov 25 08:15:30 host philote[4711]: {message}")
    };
    let journal: Vec<String> = lines.iter().map(as_in_journal).collect();
    assert!(
        journal.iter().any(|line| line.contains("]: handshake refused: signature from ")
            || line.contains("]: handshake refused: token_malformed from ")),
        "{journal:?}"
    );
    assert_eq!(found(&regex, &dir, &journal), expected, "{journal:?}");
}

#[test]
fn fail2ban_takes_the_jail() {
    let Some((_, dir)) = fail2ban() else { return };
    let client = require_tool("fail2ban-client", "apt install fail2ban").expect("beside the other");
    let done = Command::new(client).arg("-c").arg(dir.path()).args(["-d", "--async"]).output();
    let done = done.expect("it runs");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{done:?}");
    assert!(said.contains("'philote'") && said.contains("'maxretry', 10"), "{said}");
}
