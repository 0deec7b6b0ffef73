//! The chapter for administrators: what it says of commands, signals, reloads, the log and the unit.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use philote::cli::exit_code_table;
use philote::config::{Reload, reference};
use philote::daemon::events::EVENTS;
use philote::daemon::signals::signal_table;
use rustix::process::Signal;

use super::shell::Shell;
use super::text::{block, documentation, table, with};
use super::{is_generated, is_good_environment, number};
use crate::support::dir::Dir;
use crate::support::http::{Request, free_port, local};
use crate::support::server::{Server, Setup};
use crate::support::token::{grant, signed};
use crate::support::tools::require_tool;
use crate::support::until;

/// A server with a control socket, and a shell whose commands find it.
struct Administered {
    server: Server,
    shell: Shell,
    control: String,
}

impl Administered {
    fn with(config: &str) -> Administered {
        Administered::start(|control| Setup::new(&format!("{control}{config}")))
    }

    /// `setup` gets the line that configures the control socket.
    fn start(setup: impl FnOnce(&str) -> Setup) -> Administered {
        let shell = Shell::new();
        let socket = shell.dir.path().join("control.sock").display().to_string();
        let control = format!("control.socket = {socket:?}\n");
        let server = setup(&control).start();
        Administered { server, shell: shell.set("PHILOTE_CONTROL", &socket), control }
    }

    fn reconfigure(&self, config: &str) {
        self.server.reconfigure(&format!("{}{config}", self.control));
    }
}

/// A file of the project.
fn shipped(path: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(path).expect("it is shipped")
}

#[test]
fn whoever_knows_nginx_finds_the_counterparts() {
    let there = Administered::with("limits.max_connections = 1\nworkers = 2");
    let (server, shell) = (&there.server, &there.shell);
    let rows = table("nginx");
    for row in &rows {
        match row[0].trim_matches('`') {
            "nginx -t" => {
                shell.run("philote check && philote check --running").well();
            }
            "nginx -T" => {
                let held = shell.run("philote check --print").well();
                assert!(held.contains("limits.max_connections = 255"), "{held}");
            }
            "nginx -s reload" => {
                shell.run("philote reload").well();
                server.signal(Signal::HUP);
            }
            "nginx -s quit" => {
                let quit = Server::start();
                let open = quit.subscriber(&["c"]);
                quit.signal(Signal::TERM);
                open.closed_with(1001);
                assert!(quit.ended().log.contains("cut=0"));
            }
            "nginx -s stop" => {
                let stopped = Server::start();
                // It does not answer its close, so a polite stop would take seconds.
                let _open = stopped.subscriber(&["c"]);
                stopped.signal(Signal::TERM);
                stopped.logs("the first", |line| line.contains("event=drain"));
                stopped.signal(Signal::TERM);
                let ended = stopped.ended();
                assert!(ended.status.success() && ended.log.contains("cut=1"), "{}", ended.log);
            }
            "worker_connections" => {
                let _only = server.subscriber(&["c"]);
                assert_eq!(server.refuses_token(&grant(&["c"], &[])).status, 503);
            }
            "stub_status" => {
                assert!(shell.run("philote status").well().contains("running, up for"));
            }
            // Keys, which another test knows, and a signal that the test of a log file sends.
            "worker_processes" | "error_log" | "nginx -s reopen" => {}
            other => panic!("{other} is not tested"),
        }
    }
    assert_eq!(rows.len(), 10);
}

#[test]
fn the_tables_of_exit_codes_and_signals_are_the_generated_ones() {
    is_generated("exit codes", &exit_code_table());
    is_generated("signals", &signal_table());
}

#[test]
fn the_exit_codes_are_those_of_the_binary() {
    let shell = Shell::new().set("PHILOTE_URL", "ws://127.0.0.1:1/");
    let provoked = [
        ("philote --version", 0),
        ("philote health --url http://127.0.0.1:1/", 1),
        ("philote --no-such-thing", 64),
        ("philote publish news x", 69),
        ("philote publish --token-file no-such-file news x", 77),
        ("philote --config no-such-file", 78),
    ];
    let listed: Vec<i32> = table("exit code").iter().map(|row| number(&row[0])).collect();
    for (command, code) in provoked {
        assert_eq!(shell.run(command).code, Some(code), "{command}");
        assert!(listed.contains(&code), "{code}");
    }
    // 70 and 75 cannot be provoked from here.
    assert_eq!(listed, [0, 1, 64, 69, 70, 75, 77, 78]);
}

#[test]
fn the_control_socket_steers_the_server() {
    let Administered { server, shell, .. } = Administered::with("");
    let open = server.subscriber(&["c"]);
    // Where the socket is on a machine that runs the service.
    let control = block("sh control").replace("/run/philote/control.sock", "\"$PHILOTE_CONTROL\"");
    let done = shell.run(&control);
    assert!(done.err.contains("draining"), "{done:?}");
    let out = done.well();
    for line in ["running, up for", "1 of 255", "127.0.0.1:"] {
        assert!(out.contains(line), "{line}: {out}");
    }
    open.closed_with(1001);
    let ended = server.ended();
    assert!(ended.status.success(), "{}", ended.log);
}

#[test]
fn signals_do_what_is_listed() {
    let rows = table("signal");
    let listed: BTreeSet<&str> = rows.iter().flat_map(|row| row[0].split(", ")).collect();
    let known = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2"];
    assert_eq!(listed, BTreeSet::from(known));
    let server = Server::start();
    for (signal, event) in [
        (Signal::HUP, "event=reload "),
        (Signal::USR1, "event=status "),
        (Signal::USR2, "event=signal_ignored "),
    ] {
        server.signal(signal);
        server.logs(event, |line| line.contains(event));
    }
    let _open = server.subscriber(&["c"]);
    server.signal(Signal::QUIT);
    let ended = server.ended();
    assert!(ended.status.success() && ended.log.contains("cut=1"), "{}", ended.log);
}

// Configuration and reload.

#[test]
fn a_configuration_is_checked_as_it_stands() {
    let there = Administered::with("");
    let out = there.shell.run(&block("sh checking")).well();
    assert!(out.contains("limits.max_connections = 255  # default"), "{out}");
    there.reconfigure("limits.max_connections = 0\n[logs]");
    let path = there.server.dir().join("config.toml");
    for command in
        ["philote check --running", &format!("philote check --config {}", path.display())]
    {
        let done = there.shell.run(command);
        assert_eq!(done.code, Some(78), "{done:?}");
        for place in [":2:26: limits.max_connections: ", ":3:2: logs: "] {
            assert!(done.err.contains(place), "{place}: {done:?}");
        }
    }
}

#[test]
fn the_keys_that_wait_for_a_restart_are_those_that_are_named() {
    let text = documentation();
    let line = text.lines().find_map(|line| line.strip_prefix("- **After a restart:** "));
    let sentence = line.expect("a bullet").split(". ").next().expect("a sentence");
    let named: Vec<&str> = sentence.split('`').skip(1).step_by(2).collect();
    let waiting: Vec<&str> = reference()
        .iter()
        .filter(|entry| entry.reload == Reload::Restart)
        .map(|entry| entry.key)
        .collect();
    assert_eq!(named, waiting);
}

#[test]
fn a_reload_ends_with_the_code_that_is_told_and_a_rejected_one_leaves_the_old_configuration() {
    let there =
        Administered::start(|control| Setup::new(control).environment("MAX_CONNECTIONS", "7"));
    let (server, shell) = (&there.server, &there.shell);
    let mut open = server.open(&grant(&["c"], &["c"]));
    there.reconfigure("log.format = \"json\"\nlimits.max_connections = 9\nlimits.max_pending = 10");
    for _ in 0..2 {
        let done = shell.run("philote reload");
        assert!(done.out.contains("log.format: \"text\" -> \"json\"; restart"), "{done:?}");
        assert_eq!(done.code, Some(0), "{done:?}");
        if done.out.contains("max_pending") {
            assert!(done.err.contains("MAX_CONNECTIONS"), "the variable wins: {done:?}");
        }
    }
    there.reconfigure("limits.max_pending = 0");
    assert_eq!(shell.run("philote reload").code, Some(78));
    let status = shell.run("philote status").well();
    assert!(status.contains("rejected: ") && status.contains("limits.max_pending"), "{status}");
    open.round_trip();
    assert_eq!(shell.run("philote reload --control /nowhere").code, Some(69));
    server.signal(Signal::TERM);
    server.logs("the stop", |line| line.contains("event=drain"));
    assert_eq!(shell.run("philote reload").code, Some(75));

    // Where there is no socket a service manager's word for the process is enough.
    let alone = Server::start();
    let shell = Shell::new().set("MAINPID", &alone.pid().to_string());
    shell.run("philote reload --control /nowhere").well();
    alone.logs("the reload", |line| line.contains("event=reload "));
}

#[test]
fn a_secret_is_rotated_and_withdrawn_as_it_stands() {
    if require_tool("openssl", "apt install openssl").is_none() {
        return;
    }
    let dir = Dir::new();
    let place = dir.path().display().to_string();
    let here = |info: &str| with(&block(info), "/etc/philote", &place);
    dir.write("secret", &format!("{}\n", "0ld".repeat(20)));
    let there = Administered::start(|control| {
        Setup::new(&format!("{control}{}", here("toml service"))).without_secret()
    });
    let secret = || std::fs::read_to_string(dir.path().join("secret")).expect("a secret");
    let claims = r#"{"read":["c"],"write":["c"]}"#;
    let open = || there.server.open(&signed("HS256", claims, secret().trim()));

    let mut before = open();
    there.reconfigure(&format!("{}withdrawal_spread = \"100ms\"\n", here("toml rotation")));
    there.shell.run(&here("sh prepare")).well();
    there.shell.run(&here("sh rotate")).well();
    assert!(!secret().starts_with("0ld"));
    let mut after = open();
    after.round_trip();
    before.round_trip();
    let (copy, _) = here("sh withdraw")
        .split_once('\n')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("two commands");
    let beforehand = there.shell.run(&format!("{copy}\nphilote check --running"));
    assert!(beforehand.err.contains("1 connection"), "{beforehand:?}");
    before.round_trip();
    let withdrawn = there.shell.run(&here("sh withdraw"));
    assert!(withdrawn.err.contains("1 connection"), "{withdrawn:?}");
    withdrawn.well();
    before.closed_with(1008);
    after.round_trip();
    std::fs::write(dir.path().join("secret"), "").expect("an empty file");
    assert_eq!(there.shell.run("philote reload").code, Some(78));
}

#[test]
fn an_environment_file_has_this_syntax() {
    let shell = Shell::new();
    let secret = format!("SECRET={}\n", "5eC".repeat(20));
    let holds = is_good_environment(&shell, &(block("env syntax") + &secret));
    for line in [
        "log.level = \"debug\"",
        "limits.max_connections = 10000",
        "auth.allowed_origins = [\"https://app.example.org\", \"https://*.example.org\"]",
        "log.output = \"/var/log/philote/philote.log\"",
    ] {
        assert!(holds.contains(line), "{line}: {holds}");
    }
}

// The log.

#[test]
fn the_table_of_the_events_is_the_generated_one() {
    let mut text = String::from("| event | level | fields | when |\n|---|---|---|---|\n");
    for event in EVENTS {
        let level = event.level.as_str().to_lowercase();
        let fields: Vec<String> = event.fields.iter().map(|field| format!("`{field}`")).collect();
        let (name, meaning) = (event.name, event.meaning);
        let _ = writeln!(text, "| `{name}` | {level} | {} | {meaning} |", fields.join(", "));
    }
    is_generated("events", &text);
}

#[test]
fn the_table_of_the_metrics_is_the_generated_one() {
    is_generated("metrics", &philote::daemon::metrics::markdown_table());
}

#[test]
fn metrics_are_read_as_it_stands() {
    if require_tool("curl", "apt install curl").is_none() {
        return;
    }
    let dir = Dir::new();
    let socket = dir.path().join("control.sock").display().to_string();
    let address = local(free_port());
    let listen = with(&block("toml metrics"), "127.0.0.1:9638", &address.to_string());
    let server = Server::with(&format!("control.socket = {socket:?}\n{listen}"));
    let command = with(&block("sh metrics"), "/run/philote/control.sock", &socket);
    let out = Shell::new().run(&command).well();
    assert!(out.contains("\nphilote_connections 0"), "{out}");
    let answer = Request::get("/metrics").send(address);
    assert!(answer.body.contains("\nphilote_connections 0"), "{answer:?}");
    drop(server);
}

/// A line with what differs from one time to the next made the same.
fn without_time_and_peer(line: &str) -> String {
    let words = line.split_inclusive([' ', '"']);
    words
        .map(|word| {
            let peer = word.strip_prefix("peer=").unwrap_or(word).trim_end_matches([' ', '"']);
            match () {
                () if peer.parse::<std::net::SocketAddr>().is_ok() => "PEER".to_owned(),
                () if word.starts_with("20") && word.contains('T') => "TIME".to_owned(),
                () => word.to_owned(),
            }
        })
        .collect()
}

#[test]
fn lines_of_the_log_look_like_these() {
    for format in ["text", "json"] {
        let server = Server::with(&format!("log.format = {format:?}"));
        server.refuses(&Request::upgrade("/"));
        let line = server.logs("a refusal", |line| line.contains("handshake_refused"));
        let shown = block(&format!("{format} line"));
        let shown = without_time_and_peer(shown.trim_end());
        assert!(shown.contains("TIME") && shown.contains("PEER"), "{shown}");
        assert_eq!(without_time_and_peer(&line), shown);
    }
}

#[test]
fn the_fields_that_the_journal_is_asked_for_are_those_of_the_event() {
    let commands = block("sh journal");
    let (_, rest) = commands.split_once("PHILOTE_EVENT=").expect("a question");
    let (name, rest) = rest.split_once(' ').expect("options");
    let event = EVENTS.iter().find(|event| event.name == name).expect("an event");
    let (_, fields) = rest.split_once("--output-fields=").expect("fields");
    for field in fields.trim().split(',') {
        let field = field.strip_prefix("PHILOTE_").expect("a field of ours").to_lowercase();
        assert!(event.fields.contains(&&*field), "{field}");
    }
}

#[test]
fn a_log_file_is_rotated_as_it_stands() {
    let dir = Dir::new();
    let file = dir.path().join("philote.log");
    let server = Server::with(&format!("log.output = {file:?}"));
    let snippet = block("text logrotate");
    assert!(shipped("packaging/logrotate").ends_with(&snippet));
    let snippet = with(&snippet, "/var/log/philote/philote.log", &file.display().to_string());
    let kill = "systemctl kill --signal=SIGUSR1 --kill-who=main philote.service";
    let signal = format!("kill -USR1 {}", server.pid());
    let snippet = with(&snippet, kill, &signal);
    let shell = Shell::new();
    shell.dir.write("logrotate", &snippet);
    // Where it is missing, what it does is done by hand.
    let done = shell.run(&format!(
        "if command -v logrotate >/dev/null; then logrotate --force --state $PWD/state logrotate\n\
         else mv {0} {0}.1; {signal}; fi",
        file.display()
    ));
    done.well();
    until("the new file is written to", || {
        std::fs::read_to_string(&file).is_ok_and(|log| log.contains("event=log_reopened"))
    });
    let old = std::fs::read_to_string(file.with_extension("log.1")).expect("the old file");
    assert!(old.contains("event=ready") && !old.contains("event=status"), "{old}");
}
