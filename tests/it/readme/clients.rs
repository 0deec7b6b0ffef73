//! The README's clients, each run by what runs it in the field: through a refused connect, a restart, tokens that have
//! expired, and up to what they have to stop at.

use std::path::PathBuf;
use std::process::Command;

use super::application::{Answer, Application};
use super::find;
use super::shell::{Running, Shell};
use super::text::{block, table, with};
use crate::support::client::Client;
use crate::support::http::{Request, Response, free_port, local};
use crate::support::server::{Server, Setup};
use crate::support::token::{SECRET, grant, seconds_from_now, token};
use crate::support::tools::{node_22, python, require_tool, shared_dir, skip};

/// What runs a client.
enum Program {
    /// With the options that give it a `WebSocket`.
    Node(PathBuf, &'static [&'static str]),
    Browser(PathBuf),
    Python(PathBuf),
    Go,
}

impl Program {
    /// The Node of this machine. `None` if it has none with a `WebSocket`: others are tried as well.
    fn installed_node() -> Option<Program> {
        let node = find("node")?;
        [&[][..], &["--experimental-websocket"]].into_iter().find_map(|options| {
            let look = "process.exit(typeof WebSocket === 'function' ? 0 : 1)";
            let output = Command::new(&node).args(options).args(["-e", look]).output().ok()?;
            output.status.success().then(|| Program::Node(node.clone(), options))
        })
    }

    fn node_22() -> Option<Program> {
        Some(Program::Node(node_22()?, &[]))
    }

    fn browser() -> Option<Program> {
        Some(Program::Browser(require_tool("chromium", "apt install chromium")?))
    }

    fn python() -> Option<Program> {
        Some(Program::Python(python()?))
    }

    /// `None` without a Go, and without the module, which it fetches.
    fn go() -> Option<Program> {
        find("go")?;
        match build_in_go(&Shell::new(), &block("go client")) {
            Ok(()) => Some(Program::Go),
            Err(why) if why.contains("go: ") => {
                skip(&format!("Go cannot fetch modules: {}", why.trim()));
                None
            }
            Err(why) => panic!("the client in Go is not compiled: {why}"),
        }
    }

    /// The block of the README.
    fn text(&self) -> String {
        block(match self {
            Program::Node(..) | Program::Browser(_) => "js client",
            Program::Python(_) => "python client",
            Program::Go => "go client",
        })
    }

    /// What it publishes when it is connected.
    fn hello(&self) -> &'static str {
        match self {
            Program::Node(..) | Program::Browser(_) => "Hello from JavaScript",
            Program::Python(_) => "Hello from Python",
            Program::Go => "Hello from Go",
        }
    }

    /// An expression for as many characters as a message may have bytes.
    fn as_much_as_a_message(&self) -> &'static str {
        match self {
            Program::Node(..) | Program::Browser(_) => r#""x".repeat(maxSize)"#,
            Program::Python(_) => r#""x" * MAX_SIZE"#,
            Program::Go => r#"strings.Repeat("x", maxSize)"#,
        }
    }

    /// Starts a client with this text, for the server at this port. What has to be compiled is compiled before.
    fn start(&self, text: &str, port: u16, application: &Application) -> Started {
        let shell = Shell::new()
            .set("PHILOTE_URL", &format!("ws://{}/", local(port)))
            .set("TOKEN_URL", &application.token_url());
        let in_javascript = || {
            let text = with(text, "ws://127.0.0.1:6380/", &format!("ws://{}/", local(port)));
            with(&text, "http://127.0.0.1:8000/token", &application.token_url())
        };
        let running = match self {
            Program::Node(node, options) => {
                shell.dir.write("client.mjs", &in_javascript());
                shell.start_program(node, &[options, &["client.mjs"][..]].concat())
            }
            Program::Browser(browser) => {
                let ends = "\nrun().then(() => console.log(\"it has ended\"));\n";
                let script = with(&in_javascript(), "\nrun();\n", ends);
                application.serves("/client.js", "text/javascript", &script);
                application.serves("/", "text/html", &block("html page"));
                open_page(&shell, browser, &application.url())
            }
            Program::Python(python) => {
                shell.dir.write("client.py", text);
                shell.start(&with(&block("sh python"), "python3", &python.display().to_string()))
            }
            Program::Go => {
                build_in_go(&shell, text).expect("it was compiled before");
                shell.start_program(&shell.dir.path().join("client"), &[])
            }
        };
        Started { running, is_page: matches!(self, Program::Browser(_)), _shell: shell }
    }
}

/// A client that was started, with its files.
struct Started {
    running: Running,
    is_page: bool,
    _shell: Shell,
}

impl Started {
    /// It ends by itself; the page stays, and says so.
    #[track_caller]
    fn ends(&mut self) {
        if self.is_page {
            self.running.says("it has ended");
        } else {
            self.running.ends();
        }
    }
}

fn open_page(shell: &Shell, browser: &std::path::Path, url: &str) -> Running {
    let profile = format!("--user-data-dir={}", shell.dir.path().join("profile").display());
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        // The page's console, on standard error.
        "--enable-logging=stderr",
        &profile,
        url,
    ];
    shell.start_program(browser, &arguments)
}

/// Compiles a client in Go, by the README's commands, to `client` in the shell's directory. Modules and what was
/// compiled before are shared by the tests.
fn build_in_go(shell: &Shell, text: &str) -> Result<(), String> {
    shell.dir.write("main.go", text);
    let go = block("sh go");
    let before = go.strip_suffix("go run .\n").expect("the last command runs it");
    let shared = shared_dir("go");
    let done = shell.run(&format!(
        "export GOPATH={0}/path GOCACHE={0}/cache GOFLAGS=-modcacherw\n{before}go vet .\ngo build -o client .",
        shared.display()
    ));
    if done.code == Some(0) { Ok(()) } else { Err(done.err) }
}

/// A server at this port that logs who comes and goes.
fn server_at(port: u16, config: &str) -> Server {
    let config = format!("log.level = \"debug\"\n{config}");
    Setup::new(&config).environment("PHILOTE_LISTEN", &local(port).to_string()).start()
}

/// A connection of the test's own on `news`.
fn on_news(server: &Server) -> Client {
    server.open(&grant(&["news"], &["news"]))
}

/// Waits until the client is connected beside the test's own connection, and has it receive something.
#[track_caller]
fn receives(client: &mut Started, server: &Server, raw: &mut Client, text: &str) {
    client.running.until("it is connected", || server.info()["connections"] == 2);
    raw.publish("news", text);
    client.running.says(&format!("news: {text}"));
}

/// Neither a failing application nor a refused connect nor a restart is its end.
fn comes_back(program: &Program) {
    let application = Application::answering(&[Answer::Status(503), Answer::Good]);
    let port = free_port();
    let mut client = program.start(&program.text(), port, &application);
    // The second time it has a token, and its connect is refused.
    client.running.until("it asks for a third token", || application.answered().len() >= 3);

    let server = server_at(port, "");
    receives(&mut client, &server, &mut on_news(&server), "after a refused connect");
    server.stop();
    client.running.says("1001");
    let server = server_at(port, "");
    receives(&mut client, &server, &mut on_news(&server), "after a restart");
}

/// With a token that has expired it is refused, with one that expires it is closed; it gets a new one each time.
fn gets_a_new_token(program: &Program) {
    let port = free_port();
    let server = server_at(port, "auth.close_at_expiry = true");
    let mut raw = on_news(&server);
    let application = Application::answering(&[Answer::Expired, Answer::Short]);
    let mut client = program.start(&program.text(), port, &application);
    let logged = |text: &str| server.log().lines().any(|line| line.contains(text));
    client
        .running
        .until("it is refused", || logged("event=handshake_refused") && logged("reason=expired"));
    client.running.until("it is closed at the expiry", || logged("code=1008"));
    raw.hears("news", program.hello());

    application.answers_now(Answer::Good);
    client.running.until("it asks again", || application.answered().ends_with(&[Answer::Good]));
    receives(&mut client, &server, &mut raw, "with a new token");
}

/// It ends if the application refuses a token, and at codes after which it has to be mended or is not wanted.
fn stops(program: &Program) {
    let port = free_port();
    let server = server_at(port, "limits.max_message_size = \"64B\"");

    let refusing = Application::answering(&[Answer::Status(403)]);
    program.start(&program.text(), port, &refusing).ends();
    assert_eq!(refusing.answered(), [Answer::Status(403)], "it asks once");

    let application = Application::answering(&[Answer::Good]);
    let mut closed = program.start(&program.text(), port, &application);
    closed.running.until("it is connected", || server.info()["connections"] == 1);
    let request = Request::new("DELETE", "/api/connections?subject=user-42");
    let answer: Response = server.ask(&request.bearer(&token(r#"{"manage":true}"#)));
    assert_eq!(answer.status, 200, "{answer:?}");
    closed.running.says("4002");
    closed.ends();

    let long = with(&program.text(), program.hello(), &"x".repeat(64));
    let mut closed = program.start(&long, port, &application);
    closed.running.says("1009");
    closed.ends();
}

/// A message that the server would close the connection for is dropped, with a word.
fn drops_what_is_too_large(program: &Program) {
    let port = free_port();
    let server = server_at(port, "");
    let application = Application::answering(&[Answer::Good]);
    let hello = format!("{:?}", program.hello());
    let text = with(&program.text(), &hello, program.as_much_as_a_message());
    let mut client = program.start(&text, port, &application);
    client.running.says("not published");
    receives(&mut client, &server, &mut on_news(&server), "to the same connection");
    assert_eq!(application.answered().len(), 1, "{}", client.running.said());
}

macro_rules! clients {
    ($($name:ident: $program:expr;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn comes_back_after_a_refused_connect_and_a_restart() {
                $program.iter().for_each(comes_back);
            }

            #[test]
            fn gets_a_new_token_for_each_connection() {
                $program.iter().for_each(gets_a_new_token);
            }

            #[test]
            fn stops_at_what_does_not_pass_by_itself() {
                $program.iter().for_each(stops);
            }

            #[test]
            fn drops_a_message_that_is_too_large() {
                $program.iter().for_each(drops_what_is_too_large);
            }
        }
    )*};
}

clients! {
    installed_node: Program::installed_node();
    node_of_version_22: Program::node_22();
    browser: Program::browser();
    python_client: Program::python();
    go: Program::go();
}

/// The codes at which each client stops are those of the table that say nothing of coming back.
#[test]
fn the_codes_to_stop_at_are_those_of_the_table() {
    let rows = table("code");
    let stops: Vec<&str> =
        rows.iter().filter(|row| !row[3].contains("reconnect")).map(|row| &*row[0]).collect();
    assert!(stops.contains(&"1009") && stops.contains(&"4002"), "{rows:?}");
    let stops = stops.join(", ");
    for (client, line) in [
        ("js client", format!("const stops = [{stops}];")),
        ("python client", format!("STOPS = {{{stops}}}")),
        ("go client", format!("var stops = []int{{{stops}}}\n")),
    ] {
        assert!(block(client).contains(&line), "{client} has no {line:?}");
    }
}

/// The members of a message in Go, which no compiler holds against the server, and which not every machine compiles.
#[test]
fn the_client_in_go_names_the_members_as_the_server_does() {
    for member in [r#"`json:"issuer,omitempty"`"#, r#"`json:"channel"`"#, r#"`json:"data"`"#] {
        assert!(block("go client").contains(member), "{member}");
    }
}

/// The application that stands in for the reader's own serves the page and tokens for the clients.
#[test]
fn the_application_serves_the_page_and_tokens_that_are_good_for_a_minute() {
    if require_tool("python3", "apt install python3").is_none() {
        return;
    }
    let server = Server::start();
    let shell = Shell::beside(&server).set("SECRET", SECRET);
    shell.dir.write("app.py", &with(&block("python app"), "8000", "0"));
    shell.dir.write("index.html", &block("html page"));
    let mut application = shell.start(&block("sh app"));
    let line = application.says("http://127.0.0.1:");
    let port = line.rsplit(':').next().expect("a port").trim_end_matches('/');
    let address = local(port.parse().expect("a port"));
    let page = Request::get("/").send(address);
    assert_eq!((page.status, page.body), (200, block("html page")));
    let answer = Request::get("/token").send(address);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
    let text = answer.body.trim();
    let mut opened = server.open(text);
    let mut other = server.open(text);
    opened.publish("news", "by a token of the application");
    other.hears("news", "by a token of the application");
    let claims = claims_of(text);
    let expires = claims["exp"].as_i64().expect("exp");
    assert!(expires <= seconds_from_now(60), "{claims}");
}

/// The claims of a token, unverified.
fn claims_of(token: &str) -> serde_json::Value {
    use base64::Engine as _;
    let part = token.split('.').nth(1).expect("claims");
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&text).expect("JSON")
}
