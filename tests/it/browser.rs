//! A browser's plain `WebSocket`, `philote subscribe` and `philote publish` hear each other.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use crate::support::dir::Dir;
use crate::support::http::{free_port, local};
use crate::support::server::Server;
use crate::support::token::grant;
use crate::support::tools::require_tool;
use crate::support::{PATIENCE, until_within};

/// A browser takes its time to start on a machine that is busy.
const START: std::time::Duration = std::time::Duration::from_secs(60);

/// A process that is gone with the test.
struct Gone(Child);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves the page on a port of its own and passes on what the page tells.
fn serves(page: String) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (sender, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (page, sender) = (page.clone(), sender.clone());
            std::thread::spawn(move || {
                let _ = stream.set_read_timeout(Some(START));
                let mut reader = BufReader::new(stream);
                let (mut line, mut length) = (String::new(), 0);
                let mut request = String::new();
                let _ = reader.read_line(&mut request);
                while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap_or(0);
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                let _ = reader.read_exact(&mut body);
                let answer = if request.starts_with("POST /told ") {
                    let _ = sender.send(String::from_utf8(body).expect("UTF-8"));
                    "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_owned()
                } else if request.starts_with("GET / ") {
                    format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\
                         Content-Length: {}\r\nConnection: close\r\n\r\n{page}",
                        page.len()
                    )
                } else {
                    "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n".to_owned()
                };
                let _ = reader.get_mut().write_all(answer.as_bytes());
            });
        }
    });
    (port, told)
}

fn philote(server: &Server, dir: &Dir, name: &str, token: &str, words: &[&str]) -> Command {
    let file = dir.write(name, token);
    let mut command = Command::new(env!("CARGO_BIN_EXE_philote"));
    command
        .args(words)
        .arg("--url")
        .arg(format!("ws://127.0.0.1:{}/", server.address().port()))
        .arg("--token-file")
        .arg(file)
        .env_clear()
        .stdin(Stdio::null());
    command
}

fn chromium(path: &Path, dir: &Dir, url: &str) -> Gone {
    let profile = dir.path().join("profile");
    let child = Command::new(path)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(url)
        .env("HOME", dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the browser starts");
    Gone(child)
}

#[test]
fn a_browser_and_the_command_line_hear_each_other() {
    let Some(browser) = require_tool("chromium", "apt install chromium") else { return };
    let (server, dir) = (Server::start(), Dir::new());
    let token = grant(&["c"], &["c"]);
    let url = format!("ws://127.0.0.1:{}/?auth={token}", server.address().port());
    let (port, told) = serves(include_str!("page.html").replace("WEBSOCKET_URL", &url));
    let _browser = chromium(&browser, &dir, &format!("http://127.0.0.1:{port}/"));
    let next = || told.recv_timeout(PATIENCE).expect("the page tells something");
    assert_eq!(told.recv_timeout(START).expect("the page opens its socket"), "open ");

    let mut subscriber = Gone(
        philote(&server, &dir, "reader", &token, &["subscribe", "c"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("philote subscribe runs"),
    );
    let (sender, lines) = channel();
    let stdout = subscriber.0.stdout.take().expect("its stdout");
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let prints = |text: &str| {
        let line = lines.recv_timeout(PATIENCE).expect("philote subscribe prints a line");
        assert!(line.contains(text), "{text:?} was expected: {line:?}");
    };
    until_within(PATIENCE, "both are connected", || server.info()["connections"] == 2);

    let publishes = |data: &str| {
        let output = philote(&server, &dir, "writer", &token, &["publish", "c", data])
            .output()
            .expect("philote publish runs");
        assert!(output.status.success(), "{output:?}");
        let told = next();
        assert!(told.starts_with(r#"message {"issuer":""#) && told.contains(data), "{told}");
        prints(data);
    };
    publishes("from the command line");
    publishes("say something");
    prints("from the page 😀");
    publishes("say bytes");
    prints("as bytes");
    // Half a surrogate pair, as JSON.stringify escapes it.
    let mut raw = server.subscriber(&["c"]);
    publishes("say half of something");
    assert!(raw.message().contains("say half of something"));
    assert!(raw.message().ends_with(r#","channel":"c","data":"half: \ud83d"}"#));
    prints("half: ");
    publishes("be wrong");
    let told = next();
    assert!(told.starts_with("close 1007 ") && told.len() > "close 1007 ".len(), "{told}");
}

/// An nginx without TLS before a server, and its address.
fn nginx(server: &Server, dir: &Dir) -> Option<(Gone, SocketAddr)> {
    let nginx = require_tool("nginx", "apt install nginx")?;
    let at = |name: &str| dir.path().join(name).display().to_string();
    let address = local(free_port());
    let own: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {};\n", at(name)))
        .collect();
    let text = format!(
        "daemon off;\nmaster_process off;\npid {};\nerror_log {};\nevents {{}}\nhttp {{\naccess_log off;\n{own}\
         server {{ listen {address}; location / {{ proxy_pass http://{}; proxy_http_version 1.1; \
         proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade; \
         proxy_set_header Connection upgrade; }} }}\n}}\n",
        at("pid"),
        at("error.log"),
        server.address(),
    );
    let file = dir.write("nginx.conf", &text);
    let mut command = Command::new(nginx);
    command.arg("-c").arg(file).arg("-p").arg(dir.path()).args(["-e", &at("error.log")]);
    let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("nginx runs");
    let nginx = Gone(child);
    until_within(PATIENCE, "nginx listens", || TcpStream::connect(address).is_ok());
    Some((nginx, address))
}

/// A page that sends too much, again and again, sees 1009 and the reason each time, through nginx too.
#[test]
fn a_browser_behind_nginx_sees_why_its_message_was_too_big() {
    const ROUNDS: usize = 40;
    let Some(browser) = require_tool("chromium", "apt install chromium") else { return };
    let (server, dir) = (Server::start(), Dir::new());
    let Some((_nginx, proxy)) = nginx(&server, &dir) else { return };
    let url = format!("ws://{proxy}/?auth={}", grant(&["c"], &["c"]));
    let page = include_str!("too_big.html").replace("WEBSOCKET_URL", &url);
    let (port, told) = serves(page.replace("ROUNDS", &ROUNDS.to_string()));
    let _browser = chromium(&browser, &dir, &format!("http://127.0.0.1:{port}/"));
    let mut others = Vec::new();
    for round in 0..ROUNDS {
        let told = told.recv_timeout(START).expect("the page tells of each close");
        if !told.starts_with("close 1009 message is larger") {
            others.push(format!("{round}: {told}"));
        }
    }
    assert!(others.is_empty(), "{} of {ROUNDS} saw something else: {others:?}", others.len());
}

/// A page sees 1001 and the reason when the server stops.
#[test]
fn a_browser_is_told_of_a_shutdown() {
    let Some(browser) = require_tool("chromium", "apt install chromium") else { return };
    let (server, dir) = (Server::start(), Dir::new());
    let url = format!("ws://127.0.0.1:{}/?auth={}", server.address().port(), grant(&["c"], &[]));
    let (port, told) = serves(include_str!("page.html").replace("WEBSOCKET_URL", &url));
    let _browser = chromium(&browser, &dir, &format!("http://127.0.0.1:{port}/"));
    assert_eq!(told.recv_timeout(START).expect("the page opens its socket"), "open ");
    server.stop();
    let told = told.recv_timeout(PATIENCE).expect("the page tells something");
    assert!(told.starts_with("close 1001 ") && told.len() > "close 1001 ".len(), "{told}");
}
