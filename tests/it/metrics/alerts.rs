//! The alerts and the dashboard that are shipped: what they ask for is measured, and promtool knows no better.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(in_repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every query of the dashboard, its variables' among them.
pub(super) fn dashboard() -> Vec<String> {
    let json: serde_json::Value =
        serde_json::from_str(&read("packaging/grafana/philote.json")).expect("JSON");
    let panels = json["panels"].as_array().expect("panels");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let text = |value: &serde_json::Value| value.as_str().expect("a query").to_owned();
    let mut queries: Vec<String> = targets.map(|target| text(&target["expr"])).collect();
    assert!(queries.len() > 20 && panels.len() > 15);
    let variables = json["templating"]["list"].as_array().expect("variables");
    for variable in variables.iter().filter(|variable| variable["type"] == "query") {
        queries.push(text(&variable["definition"]));
    }
    queries
}

/// The expressions of the alerts: what stands behind `expr:`, on one line or on the more deeply indented ones below.
pub(super) fn alerts() -> Vec<(String, String)> {
    let rules = read("packaging/prometheus/philote.rules.yml");
    let alerts = rules.split("- alert: ").skip(1).map(|alert| {
        let (name, rest) = alert.split_once('\n').expect("a name");
        let (_, rest) = rest.split_once("expr: ").expect("an expression");
        let end = rest.find("\n        for:").or(rest.find("\n        labels:")).expect("its end");
        (name.to_owned(), rest[..end].trim_start_matches('|').trim().to_owned())
    });
    alerts.collect()
}

/// The names of metrics in an expression.
fn named(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let of_ours = |word: &&str| word.starts_with("philote_") || word.starts_with("process_");
    words.filter(of_ours).map(str::to_owned).collect()
}

#[test]
fn every_metric_that_alerts_and_dashboard_name_is_measured() {
    let known: BTreeSet<String> = METRICS
        .iter()
        .flat_map(|metric| match metric.kind() {
            "histogram" => ["_bucket", "_sum", "_count"].map(|part| metric.name() + part).to_vec(),
            _ => vec![metric.name()],
        })
        .collect();
    let alerts = alerts();
    assert!(alerts.len() > 10, "{alerts:?}");
    let expressions = alerts.into_iter().map(|(_, expression)| expression).chain(dashboard());
    let mut shown = BTreeSet::new();
    for expression in expressions {
        let named = named(&expression);
        assert!(!named.is_empty() || expression.starts_with("up{"), "{expression}");
        for name in named {
            assert!(known.contains(&name), "{name} in {expression}");
            shown.insert(name);
        }
    }
    // And the other way round: whatever is measured is shown to somebody.
    let unseen = |metric: &philote::daemon::metrics::Metric| {
        !shown.iter().any(|name| name.starts_with(&metric.name()))
    };
    let unseen: Vec<String> =
        METRICS.iter().filter(|metric| unseen(metric)).map(|metric| metric.name()).collect();
    assert_eq!(unseen, ["philote_worker_tasks", "process_virtual_memory_bytes", "process_threads"]);
}

#[test]
fn the_alerts_fire_on_what_they_should_and_on_nothing_else() {
    let tests = read("tests/prometheus/rules.yml");
    for (name, _) in alerts() {
        let (fires, rests) = tests
            .split("alertname: ")
            .skip(1)
            .filter(|test| test.starts_with(&format!("{name}\n")))
            .map(|test| test.contains("exp_labels"))
            .fold((false, false), |(fires, rests), fired| (fires | fired, rests | !fired));
        assert!(fires && rests, "{name}: a test in which it fires, and one in which it does not");
    }
    let Some(promtool) = require_tool("promtool", "apt install prometheus") else { return };
    for words in [
        ["check", "rules", "packaging/prometheus/philote.rules.yml"],
        ["check", "config", "packaging/prometheus/prometheus.yml"],
        ["test", "rules", "tests/prometheus/rules.yml"],
    ] {
        let output = Command::new(&promtool)
            .args(words)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("promtool runs");
        let said = [&output.stdout[..], &output.stderr].concat();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&said));
    }
}
