//! Proxies that run with the samples as they are shipped, TLS and both families: only ports, names of files and names
//! of hosts are the test's.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::support::client::Client;
use crate::support::dir::Dir;
use crate::support::http::{Request, Response, connect, free_port, local};
use crate::support::tls::{Made, Tunnel};
use crate::support::tools::require_tool;
use crate::support::until;

/// A client of its own address, which no proxy of these tests has.
pub(super) const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));

/// A proxy that runs.
pub(super) struct Proxy {
    child: Child,
    port: u16,
    /// Speaks TLS to it, for clients that do not, from the address [`CLIENT`].
    pub(super) tunnel: Tunnel,
    pub(super) dir: Dir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Its workers end with it, however that is.
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        let _ = rustix::process::kill_process(pid.expect("a process id"), Signal::TERM);
        let _ = self.child.wait();
    }
}

impl Proxy {
    fn start(command: &mut Command, files: Files) -> Proxy {
        let Files { dir, made, port, .. } = files;
        let said = fs::File::create(dir.path().join("said")).expect("a file");
        let errors = said.try_clone().expect("the same file");
        let child = command.stdin(Stdio::null()).stdout(said).stderr(errors).spawn();
        let tunnel = Tunnel::of_http_1_from(CLIENT, local(port), &[&made]);
        let proxy = Proxy { child: child.expect("it runs"), port, tunnel, dir };
        until("the proxy listens", || {
            TcpStream::connect(local(port)).is_ok() || panic_with(&proxy)
        });
        proxy
    }

    /// Everything that it has logged or said, in whatever file.
    pub(super) fn logs(&self) -> String {
        let files = fs::read_dir(self.dir.path()).expect("its directory").flatten();
        let text = |path: PathBuf| fs::read(path).unwrap_or_default();
        let logs = files.map(|file| file.path()).filter(|path| {
            path.extension().is_some_and(|ending| ending == "log") || path.ends_with("said")
        });
        logs.map(|path| String::from_utf8_lossy(&text(path)).into_owned()).collect()
    }

    /// A WebSocket through it.
    pub(super) fn client(&self, request: &Request) -> Result<Client, Response> {
        Client::open_on(connect(self.tunnel.address), &request.bytes())
    }

    pub(super) fn ask(&self, request: &Request) -> Response {
        request.send(self.tunnel.address)
    }

    /// Where it listens, in both families.
    pub(super) fn addresses(&self) -> [SocketAddr; 2] {
        [local(self.port), SocketAddr::new(Ipv6Addr::LOCALHOST.into(), self.port)]
    }

    /// The file of its certificate.
    pub(super) fn certificate(&self) -> PathBuf {
        self.dir.path().join("certificate.pem")
    }
}

/// False while it may still come; it does not where the process has ended.
fn panic_with(proxy: &Proxy) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", proxy.child.id())).unwrap_or_default();
    assert!(!stat.contains(") Z "), "it has ended: {}", proxy.logs());
    false
}

pub(super) fn sample(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(path);
    fs::read_to_string(path).expect("the sample")
}

/// Replaces what must stand there.
#[track_caller]
pub(super) fn with(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "no {from:?} in:\n{text}");
    text.replace(from, to)
}

/// What a proxy is run with: a directory, a certificate for `localhost`, a port.
struct Files {
    dir: Dir,
    made: Made,
    certificate: String,
    key: String,
    port: u16,
}

impl Files {
    fn new() -> Files {
        let (dir, made, port) = (Dir::new(), Made::new(), free_port());
        let [certificate, key] = made.write(&dir).map(|path| path.display().to_string());
        Files { dir, made, certificate, key, port }
    }

    fn at(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// The sample with these servers in the place of its own, and of the one that it has in a comment.
    fn sample(&self, path: &str, servers: &[SocketAddr]) -> String {
        let mut text = sample(path);
        if servers.len() > 1 {
            let second = text
                .lines()
                .find(|line| line.trim_start().starts_with('#') && line.contains("127.0.0.1:6381"));
            let second = second.expect("a second server").to_owned();
            text = text.replace(&second, &second.replacen('#', "", 1));
            text = with(&text, "127.0.0.1:6381", &servers[1].to_string());
        }
        // What the configuration of philote is stands in a comment.
        let own = with("127.0.0.1:6380", "127.0.0.1:6380", &servers[0].to_string());
        text.lines()
            .map(|line| match line.trim_start().starts_with('#') {
                true => format!("{line}\n"),
                false => format!("{}\n", line.replace("127.0.0.1:6380", &own)),
            })
            .collect()
    }
}

/// nginx with the sample, which has HTTP/2 in front if its comment is followed.
pub(super) fn nginx(servers: &[SocketAddr]) -> Option<Proxy> {
    let nginx = require_tool("nginx", "apt install nginx")?;
    let files = Files::new();
    let text = files.sample("nginx/philote.conf", servers);
    let text = with(&text, "listen 443 ssl;", &format!("listen {} ssl http2;", files.port));
    let text =
        with(&text, "listen [::]:443 ssl;", &format!("listen [::]:{} ssl http2;", files.port));
    let text = with(&text, "/var/log/nginx/philote.log", &files.at("philote.log"));
    let live = "/etc/letsencrypt/live/philote.example.org";
    let text = with(&text, &format!("{live}/fullchain.pem"), &files.certificate);
    let text = with(&text, &format!("{live}/privkey.pem"), &files.key);
    files.dir.write("philote.conf", &text);
    let own: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {};\n", files.at(name)))
        .collect();
    let main = format!(
        "daemon off;\npid {};\nerror_log {} info;\nevents {{}}\nhttp {{\naccess_log {};\n{own}include {};\n}}\n",
        files.at("pid"),
        files.at("error.log"),
        files.at("access.log"),
        files.at("philote.conf"),
    );
    let main = files.dir.write("nginx.conf", &main);
    let mut command = Command::new(nginx);
    command
        .arg("-c")
        .arg(main)
        .arg("-p")
        .arg(files.dir.path())
        .args(["-e", &files.at("error.log")]);
    Some(Proxy::start(&mut command, files))
}

/// HAProxy with Debian's own configuration and the sample behind it, probing ten times a second.
pub(super) fn haproxy(servers: &[SocketAddr], words: &str) -> Option<Proxy> {
    let haproxy = require_tool("haproxy", "apt install haproxy")?;
    let files = Files::new();
    let mut text = files.sample("haproxy/philote.cfg", servers);
    for server in servers {
        let line = format!("{server}\n");
        text = with(&text, &line, &format!("{server} {words}\n"));
    }
    let text = with(&text, "bind :::443 v4v6", &format!("bind :::{} v4v6", files.port));
    let pem = files.made.pem.clone() + &files.made.key;
    let pem = files.dir.write("philote.pem", &pem).display().to_string();
    let text = with(&text, "/etc/haproxy/philote.pem", &pem);
    let text = with(&text, "inter 2s", "inter 100ms");
    let main = "global\n log stdout format raw local0\ndefaults\n log global\n mode http\n option httplog\n \
                option dontlognull\n timeout connect 5000\n timeout client 50000\n timeout server 50000\n";
    let main = files.dir.write("haproxy.cfg", main);
    let text = files.dir.write("philote.cfg", &text);
    let mut command = Command::new(haproxy);
    command.arg("-db").arg("-f").arg(main).arg("-f").arg(text);
    let proxy = Proxy::start(&mut command, files);
    until("the server is up", || proxy.ask(&Request::get("/readyz")).status == 200);
    Some(proxy)
}

/// Caddy with the sample, and with the certificate of the test instead of one of its own.
pub(super) fn caddy(servers: &[SocketAddr]) -> Option<Proxy> {
    let caddy = require_tool("caddy", "apt install caddy")?;
    let files = Files::new();
    let text = files.sample("caddy/Caddyfile", servers);
    let Files { port, certificate, key, .. } = &files;
    let site =
        format!("localhost:{port}, philote.example.org:{port} {{\n\ttls {certificate} {key}\n");
    let text = with(&text, "philote.example.org {\n", &site);
    let global = "\n{\n\tadmin off\n\tauto_https disable_redirects\n";
    let text = text.replacen("\n{\n", global, 1);
    let text = files.dir.write("Caddyfile", &text);
    let mut command = Command::new(caddy);
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(text)
        .env("HOME", files.dir.path());
    for variable in ["XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
        command.env_remove(variable);
    }
    Some(Proxy::start(&mut command, files))
}

/// Apache with the modules that the sample names, and with what Debian has it load.
pub(super) fn apache(servers: &[SocketAddr]) -> Option<Proxy> {
    apache_with(servers, |text| text)
}

/// The same with a change of the test's.
pub(super) fn apache_with(
    servers: &[SocketAddr],
    change: impl FnOnce(String) -> String,
) -> Option<Proxy> {
    let apache = require_tool("apache2", "apt install apache2")?;
    let files = Files::new();
    let text = change(files.sample("apache/philote.conf", servers));
    let text = with(&text, "<VirtualHost *:443>", &format!("<VirtualHost *:{}>", files.port));
    let text = with(&text, "/var/log/apache2/philote.log", &files.at("philote.log"));
    let live = "/etc/letsencrypt/live/philote.example.org";
    let text = with(&text, &format!("{live}/fullchain.pem"), &files.certificate);
    let text = with(&text, &format!("{live}/privkey.pem"), &files.key);
    let enabled = text.lines().find_map(|line| line.split_once("a2enmod ")).expect("its modules").1;
    // Those that others need are enabled along with them.
    let with_them =
        ["mpm_event", "authz_core", "reqtimeout", "proxy", "slotmem_shm", "socache_shmcb"];
    let modules: String = with_them
        .into_iter()
        .chain(enabled.split_whitespace())
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .collect();
    files.dir.write("site.conf", &text);
    let main = format!(
        "PidFile {}\nDefaultRuntimeDir {}\nServerName localhost\nListen {}\nErrorLog {}\nUser www-data\n\
         Group www-data\n{modules}RequestReadTimeout header=20-40,minrate=500\n\
         RequestReadTimeout body=10,minrate=500\nInclude {}\n",
        files.at("pid"),
        files.dir.path().display(),
        files.port,
        files.at("error.log"),
        files.at("site.conf"),
    );
    let main = files.dir.write("apache2.conf", &main);
    let mut command = Command::new(apache);
    command.arg("-f").arg(main).args(["-D", "FOREGROUND"]);
    Some(Proxy::start(&mut command, files))
}
