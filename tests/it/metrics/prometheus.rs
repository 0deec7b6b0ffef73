//! A real Prometheus that scrapes the server, evaluates the alerts that are shipped, and answers the dashboard.

use std::io::{BufRead, BufReader};
use std::process::Child;

use serde_json::Value;

use super::*;
use crate::support::dir::Dir;

/// A Prometheus, gone with the test.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _dir: Dir,
}

impl Prometheus {
    /// One that scrapes this address several times a second, as the shipped configuration says, with its rules.
    fn scraping(target: SocketAddr) -> Option<Prometheus> {
        let program = require_tool("prometheus", "apt install prometheus")?;
        let dir = Dir::new();
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/prometheus");
        let read = |name: &str| {
            std::fs::read_to_string(format!("{shipped}/{name}")).expect("it is shipped")
        };
        let config = read("prometheus.yml");
        assert!(config.contains("127.0.0.1:9638") && config.contains("scrape_interval: 15s"));
        let config = config.replace("127.0.0.1:9638", &target.to_string()).replace(
            "scrape_interval: 15s",
            "scrape_interval: 200ms\n  evaluation_interval: 200ms",
        );
        let path = dir.write("prometheus.yml", &config);
        dir.write("philote.rules.yml", &read("philote.rules.yml"));
        let mut child = Command::new(program)
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Prometheus is started");
        let mut log = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut said = String::new();
        let address = loop {
            let begin = said.len();
            assert!(log.read_line(&mut said).is_ok_and(|count| count > 0), "it ended:\n{said}");
            let line = &said[begin..];
            let on =
                line.contains("Listening on").then(|| line.rsplit_once("127.0.0.1:")).flatten();
            if let Some((_, port)) = on {
                let digits: String = port.chars().take_while(char::is_ascii_digit).collect();
                break local(digits.parse().expect("a port"));
            }
        };
        // What it says later must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Some(Prometheus { child, address, _dir: dir })
    }

    /// `GET` of its API, by these fields; the data of a success.
    #[track_caller]
    fn get(&self, path: &str, fields: &[(&str, &str)]) -> Value {
        let query = fields.iter().map(|(name, value)| format!("{name}={}", percent(value)));
        let target = format!("/api/v1/{path}?{}", query.collect::<Vec<_>>().join("&"));
        let mut answer = Value::Null;
        // It answers 503 until it is ready.
        until("Prometheus answers", || {
            let request = Request::get(&target).version("HTTP/1.0");
            let Some(response) = sent(&request, self.address) else { return false };
            answer = serde_json::from_str(&response.body).unwrap_or_default();
            response.status != 503
        });
        assert_eq!(answer["status"], "success", "{target}: {answer}");
        answer["data"].take()
    }

    /// The only value that a query has now, where it has one.
    #[track_caller]
    fn value(&self, query: &str) -> Option<f64> {
        let data = self.get("query", &[("query", query)]);
        let result = data["result"].as_array().expect("a vector");
        assert!(result.len() <= 1, "{query}: {data}");
        result.first()?["value"][1].as_str()?.parse().ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sent(request: &Request, address: SocketAddr) -> Option<Response> {
    let mut stream = connect(address);
    stream.write_all(&request.bytes()).ok()?;
    Response::read(&mut stream, "GET").0
}

fn percent(text: &str) -> String {
    let escaped = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    escaped.collect()
}

#[test]
fn a_real_prometheus_scrapes_it_evaluates_the_alerts_and_answers_the_dashboard() {
    let (server, address) = measured("");
    let Some(prometheus) = Prometheus::scraping(address) else { return };
    let mut subscriber = server.subscriber(&["c"]);
    let mut publisher = server.publisher(&["c"]);
    for n in 0..20 {
        publisher.publish("c", &n.to_string());
        subscriber.hears("c", &n.to_string());
    }
    until("it has scraped", || prometheus.value("philote_deliveries_total") == Some(20.0));
    assert_eq!(prometheus.value("philote_connections"), Some(2.0));
    assert_eq!(prometheus.value("up{job=\"philote\"}"), Some(1.0));
    assert_eq!(prometheus.value("count(philote_fanout_seconds_bucket)"), Some(17.0));
    let version = format!("philote_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(prometheus.value(&version), Some(1.0));
    // It took OpenMetrics, where a counter is declared without its suffix and a unit is told.
    let metadata = prometheus.get("metadata", &[("metric", "philote_received_bytes")]);
    assert_eq!(metadata["philote_received_bytes"][0]["type"], "counter", "{metadata}");
    let targets = prometheus.get("targets", &[]);
    assert_eq!(targets["activeTargets"][0]["lastError"], "", "{targets}");

    let is_evaluated = |rule: &Value| rule["health"] == "ok";
    until("all alerts are evaluated", || {
        let groups = prometheus.get("rules", &[]);
        let rules = groups["groups"][0]["rules"].as_array().cloned().unwrap_or_default();
        rules.len() == alerts::alerts().len() && rules.iter().all(is_evaluated)
    });
    let firing = prometheus.get("alerts", &[]);
    assert_eq!(firing["alerts"], serde_json::json!([]), "an idle server alarms nobody");

    let mut answered = 0;
    for query in alerts::dashboard() {
        let filled = query
            .replace("$__rate_interval", "5s")
            .replace("$job", "philote")
            .replace("$instance", ".*");
        match filled.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')) {
            Some(values) => {
                let (metric, label) = values.rsplit_once(", ").expect("a metric and a label");
                let query = format!("count by ({label}) ({metric})");
                assert_eq!(prometheus.value(&query), Some(1.0), "{query}");
            }
            None => drop(prometheus.get("query", &[("query", &filled)])),
        }
        answered += 1;
    }
    assert!(answered > 20);
}
