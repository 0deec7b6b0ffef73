//! The README's clients and signers, each run by what runs it in the field.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::shell::{Running, Shell};
use super::text::{block, inline_code, with};
use super::{on_news, quick_start};
use crate::support::server::{Server, Setup};
use crate::support::token::SECRET;
use crate::support::tools::{python, require_tool, skip};
use crate::support::until_within;

/// A browser, or a compiler, takes its time on a machine that is busy.
const START: Duration = Duration::from_secs(60);

/// A client says hello, prints what it hears, says how it was closed, and comes back.
fn talks(
    hello: &str,
    comes_back: bool,
    start: impl FnOnce(&Shell, &Server) -> (Running, Vec<Running>),
) {
    let server = quick_start().start();
    let address = server.address().to_string();
    let shell = Shell::beside(&server);
    let mut raw = on_news(&server);
    let (mut client, _with_it) = start(&shell, &server);
    until_within(START, "it connects", || server.log().matches("connection_opened").count() > 1);
    raw.hears("news", hello);
    raw.publish("news", "from the test");
    client.says("news: from the test");
    raw.close();
    server.stop();
    client.says("1001");
    if comes_back {
        let server = quick_start().environment("PHILOTE_LISTEN", &address).start();
        on_news(&server).hears("news", hello);
    }
}

#[test]
fn the_client_in_javascript_talks_and_comes_back() {
    let write = |shell: &Shell, server: &Server| {
        let token = shell.run("philote token --read news --write news").well();
        let script = with(&block("js client"), "PASTE A TOKEN HERE", token.trim());
        let script = with(&script, "127.0.0.1:6380", &server.address().to_string());
        shell.dir.write("client.js", &script);
    };
    if let Some(node) = node_with_websocket() {
        talks("Hello from JavaScript", true, |shell, server| {
            write(shell, server);
            (shell.start_program(&node, &["client.js"]), Vec::new())
        });
        return;
    }
    let Some(browser) = require_tool("chromium", "apt install chromium") else { return };
    talks("Hello from JavaScript", true, |shell, server| {
        write(shell, server);
        shell.dir.write("index.html", &block("html page"));
        let mut files = shell.start(&with(&block("sh page"), "8000", "0"));
        let line = files.says("Serving HTTP on 127.0.0.1 port ");
        let (_, rest) = line.split_once(" port ").expect("a port");
        let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let profile = format!("--user-data-dir={}", shell.dir.path().join("profile").display());
        let url = format!("http://127.0.0.1:{port}/");
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
            &url,
        ];
        (shell.start_program(&browser, &arguments), vec![files])
    });
}

/// A Node whose WebSocket is built in, which is 22 or newer.
fn node_with_websocket() -> Option<PathBuf> {
    let node = find("node")?;
    let output = Command::new(&node).arg("--version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    let major: u32 = version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()?;
    (major >= 22).then_some(node)
}

/// A program that only some machines have, and that another one can stand in for.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|path| path.is_file())
}

#[test]
fn the_client_in_python_talks_and_comes_back() {
    let Some(python) = python() else { return };
    talks("Hello from Python", true, |shell, _| {
        shell.dir.write("client.py", &block("python client"));
        let script = with(&block("sh python"), "python3", &python.display().to_string());
        (shell.start(&script), Vec::new())
    });
}

/// Where there is no Go, what can go wrong without a compiler's noticing is held: the members.
#[test]
fn the_client_in_go_talks() {
    let program = block("go client");
    for member in [r#"`json:"issuer,omitempty"`"#, r#"`json:"channel"`"#, r#"`json:"data"`"#] {
        assert!(program.contains(member), "{member}");
    }
    if find("go").is_none() {
        return;
    }
    let fetched = Shell::new().set("GOFLAGS", "-modcacherw");
    let go = block("sh go");
    let (last, before) = go.trim_end().rsplit_once('\n').map(|(a, b)| (b, a)).expect("lines");
    fetched.dir.write("main.go", &program);
    let done = fetched.run(before);
    if done.code != Some(0) {
        return skip(&format!("Go cannot fetch modules: {}", done.err.trim()));
    }
    talks("Hello from Go", false, |shell, _| {
        let there = fetched.dir.path().display();
        let script = format!("export HOME={there}; cd {there}\n{last}");
        (shell.start(&script), Vec::new())
    });
}

/// The token that `program` makes of these claims opens a connection with them.
fn signs(shell: &Shell, program: &Path, file: &str, text: &str) {
    let server = Server::start();
    shell.dir.write(file, text);
    let claims = r#"{"read":["news"],"write":["news","ünïcödé"],"exp":4102444800}"#;
    let command = format!("{} {file} '{claims}' '{SECRET}'", program.display());
    let token = shell.run(&command).well();
    opens(&server, token.trim());
}

fn opens(server: &Server, token: &str) {
    let mut signed = server.open(token);
    server.publisher(&["news"]).publish("news", "heard");
    signed.hears("news", "heard");
    let mut reader = server.subscriber(&["ünïcödé"]);
    signed.publish("ünïcödé", "spoken");
    reader.hears("ünïcödé", "spoken");
}

#[test]
fn a_token_is_signed_in_python() {
    let Some(python) = python() else { return };
    let main = "\nimport sys\nprint(sign(json.loads(sys.argv[1]), sys.argv[2]))\n";
    signs(&Shell::new(), &python, "sign.py", &(block("python sign") + main));
}

#[test]
fn a_token_is_signed_in_javascript() {
    let Some(node) = require_tool("node", "apt install nodejs") else { return };
    let main = "\nconsole.log(sign(JSON.parse(process.argv[2]), process.argv[3]));\n";
    signs(&Shell::new(), &node, "sign.js", &(block("js sign") + main));
}

#[test]
fn a_token_is_signed_in_go() {
    let text = block("go sign");
    assert!(text.contains("base64.RawURLEncoding"), "no padding, and no + and /");
    if find("go").is_none() {
        return;
    }
    let server = Server::start();
    let shell = Shell::new();
    shell.dir.write("sign.go", &text);
    let main = r#"package main

import "fmt"

func main() {
	token, err := sign(map[string]any{"read": []string{"news"}, "write": []string{"ünïcödé"}}, SECRET)
	if err != nil {
		panic(err)
	}
	fmt.Print(token)
}
"#;
    shell.dir.write("main.go", &with(main, "SECRET", &format!("{SECRET:?}")));
    let token = shell.run("go mod init sign && go run .").well();
    opens(&server, token.trim());
}

/// A shell with `app.key` and `app.pub` as the README makes them, and a server with the README's
/// configuration of them.
fn with_a_private_key() -> Option<(Shell, Server)> {
    require_tool("openssl", "apt install openssl")?;
    let shell = Shell::new();
    shell.run(&block("sh keys")).well();
    let public = shell.dir.path().join("app.pub").display().to_string();
    let config = with(&block("toml keys"), "/etc/philote/app.pub", &public);
    Some((shell, Setup::new(&config).without_secret().start()))
}

/// The token that `program` makes with the private key opens a connection, and the same for another
/// audience does not.
fn signs_privately(program: &Path, file: &str, text: &str) {
    let Some((shell, server)) = with_a_private_key() else { return };
    shell.dir.write(file, text);
    let token = |audience: &str| {
        let claims = format!(
            r#"{{"read":["news"],"write":["news"],"iss":"https://login.example.org/","aud":"{audience}"}}"#
        );
        let command = format!("{} {file} '{claims}' app.key", program.display());
        shell.run(&command).well().trim().to_owned()
    };
    opens_privately(&server, &token("philote"));
    assert_eq!(server.refuses_token(&token("shop")).status, 401);
}

fn opens_privately(server: &Server, token: &str) {
    let (mut reader, mut writer) = (server.open(token), server.open(token));
    writer.publish("news", "spoken");
    reader.hears("news", "spoken");
}

#[test]
fn a_token_is_signed_with_a_private_key_in_python() {
    let Some(python) = python() else { return };
    let main = "\nimport json, sys\nprint(sign(json.loads(sys.argv[1]), sys.argv[2]))\n";
    signs_privately(&python, "sign.py", &(block("python private") + main));
}

#[test]
fn a_token_is_signed_with_a_private_key_in_javascript() {
    let Some(node) = require_tool("node", "apt install nodejs") else { return };
    let main = "\nconsole.log(sign(JSON.parse(process.argv[2]), process.argv[3]));\n";
    signs_privately(&node, "sign.js", &(block("js private") + main));
}

#[test]
fn a_token_is_signed_with_a_private_key_in_go() {
    let text = block("go private");
    assert!(text.contains("base64.RawURLEncoding"), "no padding, and no + and /");
    if find("go").is_none() {
        return;
    }
    let Some((shell, server)) = with_a_private_key() else { return };
    shell.dir.write("sign.go", &text);
    let main = r#"package main

import "fmt"

func main() {
	claims := map[string]any{
		"read": []string{"news"}, "write": []string{"news"},
		"iss": "https://login.example.org/", "aud": "philote",
	}
	token, err := sign(claims, "app.key")
	if err != nil {
		panic(err)
	}
	fmt.Print(token)
}
"#;
    shell.dir.write("main.go", main);
    let token = shell.run("go mod init sign && go run .").well();
    opens_privately(&server, token.trim());
}

#[test]
fn the_other_kinds_of_keys_are_made_as_the_text_says() {
    if require_tool("openssl", "apt install openssl").is_none() {
        return;
    }
    let mut made = 0;
    for (code, _) in inline_code() {
        let Some(options) = code.strip_prefix("-algorithm ") else { continue };
        let shell = Shell::new();
        let commands = with(&block("sh keys"), "ED25519", options);
        shell.run(&commands).well();
        let public = shell.dir.path().join("app.pub").display().to_string();
        let done = Shell::new().set("PHILOTE_AUTH_PUBLIC_KEYS", &public).run("philote check");
        assert_eq!(done.code, Some(0), "{code}: {done:?}");
        made += 1;
    }
    assert_eq!(made, 2);
}
