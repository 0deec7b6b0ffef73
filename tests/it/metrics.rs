//! What is measured: on the real server, read as Prometheus reads it, and by Prometheus itself.

mod alerts;
mod prometheus;
pub(crate) mod scrape;

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use philote::daemon::metrics::METRICS;

use crate::support::dir::Dir;
use crate::support::http::{Request, Response, connect, free_port, local};
use crate::support::server::{Server, Setup, file};
use crate::support::stuck::{Held, can_hold};
use crate::support::tls::{Made, lines};
use crate::support::token::{SECRET, grant, signed};
use crate::support::tools::require_tool;
use crate::support::{PATIENCE, until};
use scrape::{Scrape, scrape};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A server that is measured, and where.
fn measured(config: &str) -> (Server, SocketAddr) {
    let address = local(free_port());
    let server = Setup::new(&format!("metrics.listen = [\"{address}\"]\n{config}")).start();
    (server, address)
}

/// `promtool` with this on its stdin; what it says, none of which is praise.
fn promtool(words: &[&str], stdin: &str) -> Option<String> {
    let tool = require_tool("promtool", "apt install prometheus")?;
    let mut child = Command::new(tool)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    child.stdin.take().expect("a pipe").write_all(stdin.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{said}");
    Some(said)
}

#[test]
fn every_metric_is_there_and_no_other_and_promtool_has_nothing_against_them() {
    let (server, address) = measured("");
    let mut subscriber = server.subscriber(&["c"]);
    server.publisher(&["c"]).publish("c", "x");
    subscriber.hears("c", "x");
    let answer = Request::get("/metrics").send(address);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let scraped = Scrape::of(&answer.body);
    // Without a certificate there is no end of one.
    let of_tls = "philote_certificate_expiry_timestamp_seconds";
    let names = METRICS.iter().map(|metric| metric.name());
    let wanted: Vec<String> = names.filter(|name| name != of_tls).collect();
    assert_eq!(scraped.names(), wanted);
    if let Some(said) = promtool(&["check", "metrics"], &answer.body) {
        assert_eq!(said, "", "{}", answer.body);
    }
}

#[test]
fn the_end_of_the_certificate_is_measured_and_follows_a_reload() {
    let (dir, address) = (Dir::new(), local(free_port()));
    let metrics = format!("metrics.listen = [\"{address}\"]");
    let secured = |made: &Made| {
        file(&[&metrics, "listen = [\"127.0.0.1:0 tls\"]"]) + &lines(&made.write(&dir))
    };
    let series = "philote_certificate_expiry_timestamp_seconds";
    let (first, second) = (Made::for_days(30), Made::for_days(-3));
    let server = Setup::of_file(&secured(&first)).start();
    assert_eq!(scrape(address).value(series), first.until as f64);
    server.takes(&secured(&second));
    assert_eq!(scrape(address).value(series), second.until as f64);
    server.takes(&file(&[&metrics]));
    assert!(!scrape(address).series().iter().any(|name| name == series), "there is none any more");
}

#[test]
fn whoever_asks_for_openmetrics_gets_that() {
    let (_server, address) = measured("");
    let request = Request::get("/metrics");
    let answer = request.clone().header("Accept", "application/openmetrics-text").send(address);
    assert_eq!(answer.header("content-type"), Some(OPENMETRICS));
    assert!(answer.body.ends_with("# EOF\n"), "{}", answer.body);
    assert!(answer.body.contains("# TYPE philote_messages_received counter\n"), "{}", answer.body);
    assert!(answer.body.contains("# UNIT philote_fanout_seconds seconds\n"), "{}", answer.body);
    let head = request.method("HEAD").send(address);
    assert_eq!((head.status, &*head.body), (200, ""));
}

#[test]
fn what_happens_is_counted() {
    let (server, address) = measured("limits.max_connections = 2");
    let before = scrape(address);
    assert_eq!(before.value("philote_connections_limit"), 2.0);
    let mut subscriber = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    for n in 0..10 {
        publisher.publish("c", &format!("{n}"));
        subscriber.hears("c", &format!("{n}"));
    }
    publisher.publish("elsewhere", "refused");
    publisher.round_trip();
    server.refuses_token(&grant(&["c"], &[]));
    server.refuses_token("x.y.z");
    server.refuses(&Request::upgrade("/"));
    let mut none = connect(server.address());
    none.write_all(b"\x16\x03\x01\r\n\r\n").expect("it is taken");
    assert_eq!(Response::read(&mut none, "GET").0.map(|answer| answer.status), Some(400));
    let counted = || scrape(address).value("philote_handshakes_total{result=\"malformed\"}");
    until("no request at all is counted too", || counted() == 1.0);
    let now = scrape(address);
    let grown = |series: &str| now.value(series) - before.value(series);
    assert_eq!(now.value("philote_connections"), 2.0);
    assert_eq!(now.value("philote_channels"), 1.0);
    assert_eq!(grown("philote_handshakes_total{result=\"accepted\"}"), 2.0);
    assert_eq!(grown("philote_handshakes_total{result=\"full\"}"), 1.0);
    assert_eq!(grown("philote_handshakes_total{result=\"token_malformed\"}"), 1.0);
    assert_eq!(grown("philote_handshakes_total{result=\"no_token\"}"), 1.0);
    assert_eq!(grown("philote_messages_received_total"), 11.0);
    assert_eq!(grown("philote_publishes_refused_total"), 1.0);
    assert_eq!(grown("philote_deliveries_total"), 10.0);
    assert_eq!(grown("philote_messages_sent_total"), 10.0);
    assert_eq!(grown("philote_fanout_seconds_count"), 10.0);
    assert!(grown("philote_fanout_seconds_sum") > 0.0);
    assert!(grown("philote_fanout_seconds_sum") < 10.0 * PATIENCE.as_secs_f64());
    assert!(grown("philote_received_bytes_total") > 10.0 * 30.0);
    assert!(grown("philote_sent_bytes_total") > 10.0 * 60.0);
    assert_eq!(now.value("philote_queue_bytes"), 0.0);

    subscriber.close();
    publisher.send_text("no JSON");
    publisher.closed_with(1007);
    until("both are counted", || {
        let now = scrape(address);
        let closed = |reason: &str| {
            now.value(&format!("philote_connections_closed_total{{reason=\"{reason}\"}}"))
        };
        closed("closed_by_peer") == 1.0 && closed("malformed_message") == 1.0
    });
    assert_eq!(scrape(address).value("philote_connections"), 0.0);
}

/// Whatever clients say: names, subjects and tokens stand in no label.
#[test]
fn clients_cannot_make_a_series() {
    let (server, address) = measured("");
    let known = scrape(address).series();
    let claims = r#"{"read":["news-7"],"write":["news-7"],"sub":"jane-7"}"#;
    let mut client = server.open(&signed("HS256", claims, SECRET));
    client.publish("news-7", "x");
    client.publish("other-7", "x");
    client.round_trip();
    server.refuses_token("a-7.b.c");
    server.refuses(&Request::upgrade("/path-7?auth=x").header("Origin", "https://evil-7.example"));
    let now = scrape(address);
    assert_eq!(now.series(), known);
    assert!(!now.text.contains("-7"), "{}", now.text);
}

#[test]
fn one_that_takes_nothing_until_tcp_gives_it_up_was_a_slow_consumer() {
    // The kernel gives it up after the interval and the timeout together.
    let (server, address) = measured(
        "[websocket]\nslow_consumer = \"drop\"\nping_interval = \"500ms\"\npong_timeout = \"500ms\"",
    );
    let _stalled = server.lazy_subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    let text = "x".repeat(16 * 1024);
    until("the kernel gives it up", || {
        publisher.publish("c", &text);
        server.info()["connections"] == 1
    });
    let now = scrape(address);
    assert_eq!(now.value("philote_connections_closed_total{reason=\"slow_consumer\"}"), 1.0);
    assert_eq!(now.value("philote_connections_closed_total{reason=\"lost\"}"), 0.0);
    let dropped = "philote_messages_dropped_total{reason=\"connection_ended\"}";
    assert!(now.value(dropped) > 0.0, "{}", now.text);
    assert_eq!(server.info()["slow_consumers"], 1);
}

#[test]
fn a_reload_says_what_came_of_it_and_when() {
    let address = local(free_port());
    let listen = format!("metrics.listen = [\"{address}\"]");
    let server = Setup::of_file(&file(&[&listen])).start();
    let (ok, at) =
        ("philote_config_last_reload_successful", "philote_config_last_reload_timestamp_seconds");
    let begun = scrape(address);
    assert_eq!(begun.value(ok), 1.0);
    assert!((begun.value(at) - begun.value("process_start_time_seconds")).abs() <= 1.0);
    server.reconfigure("nonsense = 1");
    server.rejects_reload();
    let rejected = scrape(address);
    assert_eq!(rejected.value(ok), 0.0);
    assert!(rejected.value(at) >= begun.value(at));
    assert_eq!(rejected.value("philote_config_reloads_total{result=\"rejected\"}"), 1.0);
    server.takes(&file(&[&listen, "limits.max_connections = 7", "limits.total_queue = \"1MiB\""]));
    let done = scrape(address);
    assert_eq!(done.value(ok), 1.0);
    assert_eq!(done.value("philote_config_reloads_total{result=\"done\"}"), 1.0);
    assert_eq!(done.value("philote_connections_limit"), 7.0);
    assert_eq!(done.value("philote_queue_memory_limit_bytes"), 1024.0 * 1024.0);
}

#[test]
fn a_worker_that_is_stuck_lags_and_metrics_are_read_all_the_same() {
    if !can_hold() {
        return;
    }
    let (server, address) = measured("");
    let lag = |worker: &str| {
        scrape(address).value(&format!("philote_worker_lag_seconds{{worker=\"{worker}\"}}"))
    };
    until("both turn", || lag("0") < 0.5 && lag("1") < 0.5);
    let held = Held::workers(&server, &[1]);
    until("one of them lags", || lag("1") > 2.0);
    assert!(lag("0") < lag("1"));
    drop(held);
    until("it turns again", || lag("1") < 0.5);
}

// Where they are read.

#[test]
fn a_listener_for_metrics_serves_metrics_and_health_and_nothing_else() {
    let (server, address) = measured("");
    let ask = |request: Request| request.send(address);
    assert_eq!(ask(Request::get("/healthz")).body, "ok\n");
    assert_eq!(ask(Request::get("/readyz")).body, "ready\n");
    for path in ["/", "/api/info", "/status", "/connections", "/metrics/", "/api/publish"] {
        assert_eq!(ask(Request::get(path)).status, 404, "{path}");
    }
    assert_eq!(ask(Request::new("POST", "/metrics")).status, 405);
    assert_eq!(ask(Request::upgrade_with(&grant(&["c"], &[]))).status, 404);
    // And the other way round.
    assert_eq!(server.ask(&Request::get("/metrics")).status, 404);
}

#[test]
fn whoever_connects_and_says_nothing_keeps_nobody_from_metrics() {
    let (_server, address) = measured("");
    let silent: Vec<_> = (0..16).map(|_| connect(address)).collect();
    assert!(scrape(address).value("philote_draining") == 0.0);
    drop(silent);
}

#[test]
fn a_reload_moves_the_listener_for_metrics() {
    let (first, second) = (local(free_port()), local(free_port()));
    let listening = |addresses: &[SocketAddr]| {
        let listen = addresses.iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>();
        file(&[&format!("metrics.listen = [{}]", listen.join(", "))])
    };
    let server = Setup::of_file(&file(&[])).start();
    let closed = |address: SocketAddr| std::net::TcpStream::connect(address).is_err();
    assert!(closed(first));
    server.takes(&listening(&[first]));
    scrape(first);
    server.takes(&listening(&[first, second]));
    scrape(first);
    scrape(second);
    server.takes(&listening(&[second]));
    assert!(closed(first));
    scrape(second);
    // One that cannot be had changes nothing.
    let taken = TcpListener::bind(first).expect("it is free");
    server.reconfigure(&listening(&[first]));
    let faults = server.rejects_reload();
    assert!(faults.iter().any(|line| line.contains("metrics.listen: 127.0.0.1:")), "{faults:?}");
    scrape(second);
    drop(taken);
    server.takes(&file(&["metrics.listen = \"off\""]));
    assert!(closed(second));
}

#[test]
fn a_listener_that_the_service_manager_calls_metrics_is_one_for_metrics() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    let own = local(free_port());
    let server = Setup::new(&format!("metrics.listen = [\"{own}\"]"))
        .environment("LISTEN_FDNAMES", "metrics")
        .given(listener)
        .start();
    assert_eq!(scrape(address).value("philote_connections"), 0.0);
    assert_ne!(server.address(), address, "clients have a listener of their own");
    server.is_healthy();
    assert!(std::net::TcpStream::connect(own).is_err(), "the key is ignored");
    let told = |line: &str| line.contains("metrics.listen: ignored") && line.contains(" WARN ");
    server.logs("that it is", told);
}

#[test]
fn while_it_stops_health_and_metrics_say_so_until_the_process_ends() {
    let (server, address) = measured("shutdown.drain_timeout = \"3s\"");
    // It answers no close, so the stop takes its time.
    let mute = server.subscriber(&["c"]);
    server.signal(rustix::process::Signal::TERM);
    until("it is told", || Request::get("/readyz").send(server.address()).status == 503);
    let begun = Instant::now();
    let mut answers = 0;
    let both = [server.address(), address];
    'alive: loop {
        for address in both {
            let Some(answer) = try_get(address, "/readyz") else { break 'alive };
            assert_eq!((answer.status, &*answer.body), (503, "draining\n"));
        }
        if let Some(answer) = try_get(address, "/metrics") {
            assert_eq!(Scrape::of(&answer.body).value("philote_draining"), 1.0);
        }
        answers += 1;
    }
    let served_for = begun.elapsed();
    let ended = server.ended();
    assert!(ended.status.success(), "{}", ended.log);
    // From the signal to the timeout, and the end at once behind the last answer.
    assert!(answers > 10 && served_for > Duration::from_millis(2500), "{answers} {served_for:?}");
    assert!(begun.elapsed() - served_for < Duration::from_millis(1500));
    drop(mute);
}

/// None where nobody listens any more, or the answer was cut off.
fn try_get(address: SocketAddr, path: &str) -> Option<Response> {
    let mut stream = std::net::TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(&Request::get(path).header("Connection", "close").bytes()).ok()?;
    Response::read(&mut stream, "GET").0
}
