//! The documentation is true: its commands are run, its programs compiled and run, its tables compared with the code.

mod application;
mod clients;
mod machine;
mod operating;
mod shell;
mod signers;
mod text;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use philote::config::{markdown_table, reference};
use philote::connection::close::CloseReason;
use philote::protocol::Malformed;

use crate::support::client::Client;
use crate::support::dir::Dir;
use crate::support::http::{Request, Response, connect};
use crate::support::server::{Server, Setup};
use crate::support::tls::Made;
use crate::support::token::{SECRET, grant, signed, token};
use crate::support::tools::require_tool;
use shell::Shell;
use text::{block, inline_code, pages, parts, parts_of, root, rows, table, with};

/// Set to write a generated table into its page instead of comparing it.
const REWRITE: &str = "REWRITE_DOCS";

/// A server of the quick start: no secret, the log of a debugger.
fn quick_start() -> Setup {
    Setup::new("[log]\nlevel = \"debug\"").without_secret()
}

/// A connection that hears and speaks on `news`, with the empty secret.
fn on_news(server: &Server) -> Client {
    server.open(&signed("HS256", r#"{"read":["news"],"write":["news"]}"#, ""))
}

/// A program that only some machines have, and without which others are tried.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// Every block of the documentation is used by a test here.
#[test]
fn every_block_is_known() {
    let (blocks, _) = parts();
    let found: BTreeSet<&str> = blocks.iter().map(|block| &*block.info).collect();
    let known = BTreeSet::from([
        "sh make",
        "sh listen",
        "sh try",
        "sh talk",
        "sh serve",
        "sh completions",
        "json publish",
        "json delivery",
        "python app",
        "sh app",
        "js client",
        "html page",
        "python client",
        "sh python",
        "go client",
        "sh go",
        "json claims",
        "python sign",
        "js sign",
        "go sign",
        "sh keys",
        "toml keys",
        "python private",
        "js private",
        "go private",
        "sh publish",
        "json published",
        "sh batch",
        "json batched",
        "sh look",
        "sh socket",
        "toml",
        "sh check",
        "env file",
        "sh package",
        "sh service",
        "sh install",
        "toml service",
        "sh dropin",
        "sh activate",
        "sh deactivate",
        "sh instances",
        "sh checking",
        "toml rotation",
        "sh prepare",
        "sh rotate",
        "sh withdraw",
        "env syntax",
        "sh journal",
        "text line",
        "json line",
        "text logrotate",
        "sh metrics",
        "toml metrics",
        "sh control",
        "toml tls",
        "toml proxy",
        "toml strangers",
        "sh image",
        "env container",
        "yaml kubernetes",
    ]);
    assert_eq!(found, known);
}

#[test]
fn every_page_and_heading_that_is_linked_to_exists() {
    let mut links = 0;
    for page in pages() {
        let (_, around) = parts_of(&page.text);
        for rest in around.split("](").skip(1) {
            let link = rest.split_once(')').expect("the end of a link").0;
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.path.clone(),
                file => page.path.parent().expect("a folder").join(file),
            };
            let place = format!("{}: {link}", page.path.display());
            let text =
                std::fs::read_to_string(&target).unwrap_or_else(|error| panic!("{place}: {error}"));
            let headings = text.lines().filter(|line| line.starts_with('#')).map(anchor_of);
            assert!(
                anchor.is_empty() || headings.into_iter().any(|known| known == anchor),
                "{place}"
            );
            links += 1;
        }
    }
    assert!(links > 30, "{links}");
}

/// What a link to this heading has behind its `#`.
fn anchor_of(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    text.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

#[test]
fn the_readme_lists_every_page_and_is_short() {
    let pages = pages();
    let readme = &pages[0].text;
    for page in &pages[1..] {
        let name = page.path.file_name().expect("a name").to_str().expect("text");
        assert!(readme.contains(&format!("| [docs/{name}](docs/{name}) |")), "{name}");
        assert!(page.text.contains("\nThis page is for "), "{name} says whom it is for");
    }
    assert!(readme.lines().count() <= 250, "{} lines", readme.lines().count());
}

/// A rule of the wire contract names a test that exists.
#[test]
fn every_rule_of_the_contract_names_its_test() {
    let page = pages().into_iter().find(|page| page.path.ends_with("protocol.md"));
    let text = page.expect("the contract").text;
    let mut count = 0;
    for section in text.split("\n## ").filter(|section| section.contains("| rule |")) {
        for row in rows(section, "rule") {
            let test = row.last().expect("a test").trim_matches('`');
            let (file, name) = test.split_once("::").expect("FILE::NAME");
            let source = std::fs::read_to_string(root().join(format!("tests/it/{file}.rs")));
            let source = source.unwrap_or_else(|error| panic!("{test}: {error}"));
            assert!(source.contains(&format!("\n#[test]\nfn {name}() {{")), "no test {test}");
            count += 1;
        }
    }
    assert!(count > 40, "{count}");
}

// Commands.

#[test]
fn the_quick_start_is_two_commands_of_the_makefile() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Makefile");
    let makefile = std::fs::read_to_string(path).expect("Makefile");
    let commands = block("sh make");
    assert_eq!(commands.lines().count(), 2, "{commands}");
    let inline = inline_code();
    let targets: Vec<&str> = commands
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .chain(inline.iter().map(|(code, _)| code.as_str()))
        .filter_map(|command| command.strip_prefix("make ")?.split_whitespace().next())
        .collect();
    assert!(targets.len() > 2);
    for target in targets {
        assert!(makefile.contains(&format!("\n{target}:")), "make {target}");
    }
}

#[test]
fn what_to_try_next_works_as_it_stands() {
    if require_tool("curl", "apt install curl").is_none() {
        return;
    }
    let server = quick_start().start();
    let shell = Shell::beside(&server);
    let mut listener = shell.start(&block("sh listen"));
    server.logs("a connection", |line| line.contains("connection_opened"));
    let commands = with(&block("sh try"), "127.0.0.1:6380", &server.address().to_string());
    let out = shell.run(&commands).well();
    let (token, info) = out.split_once('\n').expect("two answers");
    assert_eq!(token.split('.').count(), 3, "{out}");
    let info: serde_json::Value = serde_json::from_str(info).expect("JSON");
    assert_eq!(info["connections"], 1, "{info}");
    assert_eq!(listener.says(""), "Hello");
    assert!(listener.says("").contains(':'), "the date and the time");
    shell.run_with(&block("sh talk"), "from the console\n").well();
    assert_eq!(listener.says(""), "from the console");
}

#[test]
fn a_server_with_a_secret_is_started_as_it_stands() {
    if require_tool("openssl", "apt install openssl").is_none() {
        return;
    }
    let shell = Shell::new().set("LISTEN", "127.0.0.1:0");
    let mut server = shell.start(&block("sh serve"));
    let line = server.says("listening on 127.0.0.1:");
    assert!(!server.said().contains("WARN"), "{}", server.said());
    let (_, port) = line.split_once("127.0.0.1:").expect("an address");
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    let secret = shell.dir.path().join("secret").display().to_string();
    let shell = Shell::new().set("SECRET_FILE", &secret).set("PHILOTE_URL", &url(&port));
    shell.run("philote publish news 'the tools find the secret'").well();
    let without = Shell::new().set("PHILOTE_URL", &url(&port));
    assert_eq!(without.run("philote publish news x").code, Some(77));
}

#[test]
fn a_shell_takes_the_completions_as_it_stands() {
    let shell = Shell::new();
    let out = shell.run(&format!("{}complete -p philote", block("sh completions"))).well();
    assert!(out.contains("-F _philote philote"), "{out}");
}

fn url(port: &str) -> String {
    format!("ws://127.0.0.1:{port}/")
}

#[test]
fn every_command_that_is_named_exists() {
    let shell = Shell::new();
    let mut count = 0;
    for (code, _) in inline_code() {
        let Some(words) = code.strip_prefix("philote ") else { continue };
        let words = words.replace("ID", "00000000-0000-4000-8000-000000000000");
        shell.run(&format!("philote {words} --help")).well();
        count += 1;
    }
    assert!(count > 0);
}

// Configuration.

/// Compares what stands behind the comment `<!-- NAME: ... -->` of a page, up to `<!-- /NAME -->`, with this text.
#[track_caller]
fn is_generated(name: &str, generated: &str) {
    let (open, close) = (format!("<!-- {name}: "), format!("<!-- /{name} -->"));
    let mut pages = pages().into_iter().filter(|page| page.text.contains(&open));
    let page = pages.next().expect("a mark before the table");
    assert!(pages.next().is_none(), "two pages with the mark of {name}");
    let (before, rest) = page.text.split_once(&open).expect("a mark before the table");
    let (mark, rest) = rest.split_once("-->\n").expect("its end");
    let (table, after) = rest.split_once(&close).expect("a mark behind it");
    if std::env::var_os(REWRITE).is_some() {
        let text = format!("{before}{open}{mark}-->\n{generated}{close}{after}");
        std::fs::write(&page.path, text).expect("the page is written");
    } else {
        assert_eq!(table, generated, "run this test alone with {REWRITE}=1 to write it anew");
    }
}

#[test]
fn the_table_of_the_keys_is_the_generated_one() {
    is_generated("keys", &markdown_table());
}

#[test]
fn the_configuration_is_good_and_holds_what_it_says() {
    let shell = Shell::new();
    let secret = a_secret(&shell);
    shell.dir.write("config.toml", &with(&block("toml"), "/etc/philote/secret", &secret));
    let done = shell.run(&block("sh check"));
    assert!(!done.err.contains("warning"), "{done:?}");
    let out = done.well();
    assert!(out.contains("limits.max_connections = 10000  # config.toml:5:"), "{out}");
    assert!(out.contains(&format!("auth.secret_file = {secret:?}")), "{out}");
}

#[test]
fn the_limits_for_strangers_are_good_and_raise_no_warning() {
    let shell = Shell::new();
    shell.dir.write("config.toml", &block("toml strangers"));
    let done = shell.set("SECRET", SECRET).run("philote check --config config.toml --print");
    assert_eq!(done.err, "", "{done:?}");
    let out = done.well();
    for limit in ["max_connections_per_ip = 200", "bytes_per_second = \"256KiB\""] {
        assert!(out.contains(&format!("limits.{limit}  # config.toml:")), "{out}");
    }
}

/// A file with a secret, beside the shell's others.
fn a_secret(shell: &Shell) -> String {
    shell.dir.write("a-secret", &format!("{}\n", "5eC".repeat(20))).display().to_string()
}

/// `philote check` with these lines as an env file: no word of a warning.
#[track_caller]
fn is_good_environment(shell: &Shell, lines: &str) -> String {
    shell.dir.write("env", lines);
    let done = shell.run("philote check --env-file env --print");
    // Not this machine's, maybe, but that of a unit with LogsDirectory=.
    let elsewhere = |line: &&str| line.starts_with("warning: log.output: /var/log/philote/");
    assert_eq!(done.err.lines().find(|line| !elsewhere(line)), None, "{done:?}");
    done.well()
}

#[test]
fn the_configuration_of_tls_is_good() {
    let shell = Shell::new();
    let made = Made::new();
    let files = made.write(&shell.dir).map(|path| path.display().to_string());
    let text = with(&block("toml tls"), "/etc/philote/tls/fullchain.pem", &files[0]);
    let text = with(&text, "/etc/philote/tls/privkey.pem", &files[1]);
    let secret = format!("auth.secret_file = {:?}\n", a_secret(&shell));
    shell.dir.write("config.toml", &(secret + &text));
    let out = shell.run("philote check --config config.toml --print").well();
    assert!(out.contains(r#"listen = ["[::]:443 tls", "127.0.0.1:6380"]"#), "{out}");
}

#[test]
fn the_configuration_of_proxies_is_good_and_trusts_them() {
    let shell = Shell::new();
    shell.dir.write("config.toml", &block("toml proxy"));
    let out = shell.run("philote check --config config.toml --print").well();
    let listen = r#"listen = ["127.0.0.1:6380", "127.0.0.1:6381 proxy"]"#;
    assert!(out.contains(listen), "{out}");
    assert!(out.contains(r#"proxy.trusted = ["127.0.0.1", "10.1.0.0/16"]"#), "{out}");
}

#[test]
fn the_env_file_is_good() {
    let shell = Shell::new();
    let lines = with(&block("env file"), "/etc/philote/secret", &a_secret(&shell));
    let holds = is_good_environment(&shell, &lines);
    assert!(holds.contains(r#"listen = ["127.0.0.1:6380", "[::1]:6380"]"#), "{holds}");
    assert!(holds.contains("websocket.ping_interval = \"30s\""), "{holds}");
}

#[test]
fn a_container_starts_with_these_variables_and_logs_json() {
    let shell = Shell::new();
    let lines = with(&block("env container"), "/run/secrets/philote", &a_secret(&shell));
    let holds = is_good_environment(&shell, &lines);
    // docker stop waits for 10 s.
    assert!(holds.contains("shutdown.drain_timeout = \"8s\""), "{holds}");
    shell.dir.write("env", &with(&lines, "[::]:6380", "127.0.0.1:0"));
    let mut server = shell.start("philote --env-file env");
    server.says("listening on");
    for line in server.said().lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(event["event"].is_string(), "{line}");
    }
    let without = lines.replace("SECRET_FILE", "#SECRET_FILE");
    shell.dir.write("env", &without);
    assert_eq!(shell.run("philote --env-file env").code, Some(78), "a secret is demanded");
}

/// The image itself is run by packaging/tests/image.
#[test]
fn the_image_is_loaded_and_run_under_the_name_and_with_the_variables_that_it_has() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path| std::fs::read_to_string(root.join(path)).expect("a file");
    let containerfile = read("packaging/Containerfile");
    let commands = block("sh image");
    let version = env!("CARGO_PKG_VERSION");
    assert!(commands.contains(&format!("/philote-{version}-x86_64-unknown-linux-gnu.image.tar\n")));
    assert!(commands.trim_end().ends_with(&format!(" philote:{version}")), "{commands}");
    assert!(block("yaml kubernetes").contains(&format!("image: philote:{version}\n")));
    let (_, port) = containerfile.split_once("\nEXPOSE ").expect("a port");
    let port = port.lines().next().expect("a port");
    assert!(commands.contains(&format!("--publish {port}:{port} ")), "{commands}");

    // What the image sets is good beside a secret, and refused without one.
    let shell = Shell::new();
    let variables: Vec<&str> =
        containerfile.split_whitespace().filter(|word| word.starts_with("PHILOTE_")).collect();
    assert_eq!(variables.len(), 3, "{variables:?}");
    let inline = inline_code();
    for variable in &variables {
        let (name, _) = variable.split_once('=').expect("a value");
        assert!(inline.iter().any(|(code, _)| code == name), "{name} stands in the documentation");
    }
    let lines = variables.join("\n");
    let secret = a_secret(&shell);
    let holds = is_good_environment(&shell, &format!("{lines}\nSECRET_FILE={secret}\n"));
    assert!(holds.contains(&format!("[::]:{port}")), "{holds}");
    shell.dir.write("env", &lines);
    let done = shell.run("philote --env-file env");
    assert_eq!(done.code, Some(78), "{done:?}");
    assert!(done.err.contains("set SECRET or auth.secret_file"), "{done:?}");
}

#[test]
fn a_pod_starts_with_these_variables_and_answers_its_probes() {
    let yaml = block("yaml kubernetes");
    let value = |line: &str, name: &str| {
        let text = line.trim().trim_start_matches("- ").strip_prefix(name)?.trim();
        Some(text.trim_matches('"').to_owned())
    };
    let names = yaml.lines().filter_map(|line| value(line, "name:"));
    // The first is the container's own.
    let variables: Vec<_> =
        names.skip(1).zip(yaml.lines().filter_map(|line| value(line, "value:"))).collect();
    assert_eq!(variables.len(), yaml.matches("value:").count());
    assert!(variables.len() > 2, "{variables:?}");
    let shell = Shell::new();
    let secret = a_secret(&shell);
    let lines: String = variables
        .iter()
        .map(|(name, value)| format!("{name}={}\n", value.replace("/run/secrets/philote", &secret)))
        .collect();
    is_good_environment(&shell, &lines);
    // What Kubernetes sets for a Service called philote is passed over without a word.
    let done = Shell::new()
        .set("SECRET_FILE", &secret)
        .set("PHILOTE_PORT", "tcp://10.0.0.1:6380")
        .set("PHILOTE_SERVICE_HOST", "10.0.0.1")
        .run("philote check --print");
    assert_eq!(done.err, "", "{done:?}");

    let server = Server::start();
    let mut probes = 0;
    for line in yaml.lines() {
        let Some((_, rest)) = line.split_once("{path: ") else { continue };
        let (path, _) = rest.split_once(',').expect("a path");
        assert_eq!(server.ask(&Request::get(path)).status, 200, "{path}");
        probes += 1;
    }
    assert_eq!(probes, 2);
}

#[test]
fn keys_that_are_named_exist_and_their_defaults_are_these() {
    let keys = reference();
    let sections: BTreeSet<&str> =
        keys.iter().filter_map(|entry| Some(entry.key.split_once('.')?.0)).collect();
    let (mut named, mut defaults) = (0, 0);
    for (code, after) in inline_code() {
        let key = code.split(" = ").next().unwrap_or_default();
        if !key.split_once('.').is_some_and(|(section, name)| {
            sections.contains(section) && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        }) {
            continue;
        }
        let entry = keys.iter().find(|entry| entry.key == key);
        let entry = entry.unwrap_or_else(|| panic!("no key {key}"));
        named += 1;
        // `key` (25 s)
        let told = after.strip_prefix(" (").and_then(|rest| Some(rest.split_once(')')?.0));
        if let Some(told) = told.filter(|told| told.starts_with(|c: char| c.is_ascii_digit())) {
            assert_eq!(entry.default.trim_matches('"'), told.replace(' ', ""), "{key}");
            defaults += 1;
        }
    }
    assert!(named > 10 && defaults > 3, "{named} {defaults}");
}

// The contract.

#[test]
fn messages_have_the_shapes_that_are_shown() {
    let server = Server::start();
    let mut subscriber = server.subscriber(&["news"]);
    let mut publisher = server.publisher(&["news"]);
    publisher.send_text(block("json publish").trim());
    let heard: serde_json::Value = serde_json::from_str(&subscriber.message()).expect("JSON");
    let mut shown: serde_json::Value = serde_json::from_str(&block("json delivery")).expect("JSON");
    let (issuer, example) = (&heard["issuer"], &shown["issuer"]);
    for id in [issuer, example] {
        let id = id.as_str().expect("a string").parse::<uuid::Uuid>().expect("a UUID");
        assert_eq!(id.get_version_num(), 4);
    }
    shown["issuer"] = issuer.clone();
    assert_eq!(heard, shown);
}

#[test]
fn the_claims_that_are_shown_open_a_connection() {
    let server = Server::start();
    let claims = block("json claims");
    let mut client = server.open(&token(&claims));
    server.publisher(&["user-42"]).publish("user-42", "for you");
    client.hears("user-42", "for you");
    let claims: serde_json::Value = serde_json::from_str(&claims).expect("JSON");
    let listed = table("claim").iter().map(|row| row[0].clone()).collect::<Vec<_>>().join(" ");
    for claim in claims.as_object().expect("an object").keys() {
        assert!(listed.contains(&format!("`{claim}`")), "{claim}");
    }
}

#[test]
fn plain_requests_are_answered_as_listed() {
    let server = Server::start();
    let mut client = server.open(&grant(&["news"], &["news"]));
    let mut other = server.subscriber(&["news"]);
    client.publish("news", "who am I?");
    let id = other.hears("news", "who am I?");
    let rows = table("request");
    assert!(rows.len() > 5);
    for row in rows {
        let (method, path) = row[0].trim_matches('`').split_once(' ').expect("a method, a path");
        let mut request = Request::new(method, &path.replace("ID", &id));
        if method == "POST" {
            request = request.body("application/json", block("json publish"));
        }
        let claims: Vec<&str> = row[1].split(", ").map(|claim| claim.trim_matches('`')).collect();
        // Each claim is needed, and no other.
        for left_out in claims.iter().filter(|claim| !claim.is_empty()) {
            let others: Vec<&str> = claims.iter().filter(|one| *one != left_out).copied().collect();
            let answer = server.ask(&request.clone().bearer(&with_claims(&others)));
            assert_eq!(answer.status, 403, "{path} without {left_out}: {answer:?}");
        }
        let answer = server.ask(&request.bearer(&with_claims(&claims)));
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
}

/// A token with these claims, `write` for news.
fn with_claims(claims: &[&str]) -> String {
    let claims = claims.iter().filter(|claim| !claim.is_empty()).map(|claim| match *claim {
        "write" => r#""write":["news"]"#.to_owned(),
        claim => format!("\"{claim}\":true"),
    });
    token(&format!("{{{}}}", claims.collect::<Vec<_>>().join(",")))
}

#[test]
fn the_api_answers_curl_as_it_stands() {
    if require_tool("curl", "apt install curl").is_none() {
        return;
    }
    let dir = Dir::new();
    let socket = dir.path().join("control.sock").display().to_string();
    let config = format!("[control]\nsocket = \"{socket}\"");
    let server = Setup::new(&config).without_secret().start();
    let shell = Shell::beside(&server);
    let run = |name: &str| {
        let commands = with(&block(name), "127.0.0.1:6380", &server.address().to_string());
        shell.run(&commands).well()
    };
    let mut listener = on_news(&server);
    assert_eq!(run("sh publish"), block("json published"));
    listener.hears("news", "Hello");
    assert_eq!(run("sh batch"), block("json batched"));
    listener.hears("news", "one");
    let jane = server.open(&signed("HS256", r#"{"sub":"user-42"}"#, ""));
    let out = run("sh look");
    let [connections, channels, closed] = &out.lines().collect::<Vec<_>>()[..] else {
        panic!("three answers: {out}");
    };
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    assert_eq!(json(connections)["total"], 1, "{connections}");
    let news = serde_json::json!({ "channels": [{ "channel": "news", "subscribers": 1 }] });
    assert_eq!(json(channels), news);
    assert_eq!(json(closed), serde_json::json!({ "disconnected": 1 }));
    jane.closed_with(4002);
    let out = shell.run(&with(&block("sh socket"), "/run/philote/control.sock", &socket)).well();
    assert_eq!(json(&out), news);
}

#[test]
fn refusals_have_the_statuses_that_are_listed() {
    let server = Server::with(
        "[limits]\nmax_connections = 1\nmax_channels = 1\n\
         [websocket]\nhandshake_timeout = \"500ms\"",
    );
    let long = "x".repeat(70_000);
    let mut many = Request::get("/");
    for number in 0..200 {
        many = many.header(&format!("X-{number}"), "x");
    }
    let mut provoked: BTreeSet<u16> = [
        Request::upgrade_with(&grant(&["c"], &[])).without("Host"),
        Request::upgrade("/"),
        Request::upgrade_with(&grant(&["a", "b"], &[])),
        Request::upgrade_with(&grant(&["c"], &[])).header("Sec-WebSocket-Version", "8"),
        many,
        Request::get("/"),
    ]
    .iter()
    .map(|request| server.ask(request).status)
    .collect();
    // A target of 64 KiB is too long for itself, where a head may have more.
    let wide = Server::with("[limits]\nmax_head_size = \"128KiB\"");
    provoked.insert(wide.ask(&Request::get(&format!("/?{long}"))).status);
    let (late, _) = Response::read(&mut connect(server.address()), "GET");
    provoked.insert(late.expect("an answer").status);
    let _only = server.subscriber(&["c"]);
    let full = server.refuses_token(&grant(&["c"], &[]));
    assert!(full.header("retry-after").is_some(), "{full:?}");
    provoked.insert(full.status);
    let few = Server::with("[limits]\nmax_connections_per_ip = 1");
    let _first = few.subscriber(&["c"]);
    provoked.insert(few.refuses_token(&grant(&["c"], &[])).status);

    let rows = table("status");
    let listed: BTreeSet<u16> =
        rows.iter().flat_map(|row| row[0].split(", ")).map(number).collect();
    assert_eq!(listed, provoked);
}

#[test]
fn the_close_codes_are_those_of_the_server() {
    let reasons = [
        CloseReason::ShuttingDown,
        CloseReason::Protocol("in other words"),
        CloseReason::Malformed(Malformed::NotUtf8),
        CloseReason::TokenExpired,
        CloseReason::KeyWithdrawn,
        CloseReason::TooBig,
        CloseReason::Fault,
        CloseReason::MemoryFull,
        CloseReason::SlowConsumer,
        CloseReason::TooFast,
        CloseReason::Administrator,
    ];
    let rows = table("code");
    assert_eq!(rows.len(), reasons.len());
    for (row, reason) in rows.iter().zip(reasons) {
        assert_eq!(number::<u16>(&row[0]), reason.code());
        if !matches!(reason, CloseReason::Protocol(_) | CloseReason::Malformed(_)) {
            assert_eq!(row[1], reason.to_string());
        }
    }
}

#[track_caller]
fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text:?}"))
}
