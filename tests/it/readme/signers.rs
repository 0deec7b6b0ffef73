//! The README's signers of tokens, each run by what runs it in the field.

use std::path::Path;

use super::find;
use super::shell::Shell;
use super::text::{block, inline_code, with};
use crate::support::server::{Server, Setup};
use crate::support::token::SECRET;
use crate::support::tools::{python, require_tool, shared_dir};

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

/// What the program in Go says that lies in the shell's directory. What was compiled before is shared by the tests.
fn in_go(shell: &Shell) -> String {
    let cache = shared_dir("go").join("cache");
    shell.run(&format!("export GOCACHE={}\ngo mod init sign && go run .", cache.display())).well()
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
    let token = in_go(&shell);
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
    let token = in_go(&shell);
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
