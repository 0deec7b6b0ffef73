//! The configurations that follow each other: limits that move, a listener that comes and goes, a second secret that is
//! accepted and withdrawn, certificates that replace each other, and files that no server can take.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::support::dir::Dir;
use crate::support::http::{Request, free_port, local};
use crate::support::server::{Server, Setup, file};
use crate::support::tls::{Made, Tunnel};
use crate::support::token::signed;

/// Rounds after which each kind of reload has been there.
pub(crate) const KINDS: usize = 12;
/// The secret that comes and goes.
const OTHER: &str = "another secret that is accepted at times: more than thirty-two bytes";

pub(crate) struct Reloads {
    dir: Dir,
    files: [PathBuf; 2],
    /// A key of none of the certificates.
    wrong_key: PathBuf,
    certificates: Vec<Made>,
    current: usize,
    secured: SocketAddr,
    metrics: SocketAddr,
    /// Where one sees which certificate is shown.
    tunnel: Tunnel,
    rejected: u64,
}

/// A token that rests on the secret that comes and goes.
pub(crate) fn on_the_other_secret(read: &str) -> String {
    signed("HS256", &serde_json::json!({ "read": [read] }).to_string(), OTHER)
}

impl Reloads {
    pub(crate) fn begin() -> Reloads {
        let dir = Dir::new();
        let certificates: Vec<Made> = (0..4).map(|_| Made::new()).collect();
        let files = certificates[0].write(&dir);
        let wrong_key = dir.write("wrong.pem", &Made::new().key);
        let secured = local(free_port());
        let tunnel = Tunnel::to(secured, &certificates.iter().collect::<Vec<_>>());
        let metrics = local(free_port());
        let (current, rejected) = (0, 0);
        Reloads { dir, files, wrong_key, certificates, current, secured, metrics, tunnel, rejected }
    }

    pub(crate) fn start(&self) -> Server {
        Setup::of_file(&self.config(0)).start()
    }

    pub(crate) fn certificates(&self) -> &[Made] {
        &self.certificates
    }

    pub(crate) fn secured(&self) -> SocketAddr {
        self.secured
    }

    pub(crate) fn metrics(&self) -> SocketAddr {
        self.metrics
    }

    /// The reload of a round: one in six is rejected, and leaves everything as it was.
    pub(crate) fn reload(&mut self, server: &Server, round: usize) {
        if round % 6 == 5 {
            server.reconfigure(&self.faulty());
            let status = server.reload();
            assert!(status.contains("the last reload failed"), "round {round}: {status}");
            self.rejected += 1;
            return;
        }
        if round % 4 == 1 {
            self.current = (self.current + 1) % self.certificates.len();
            self.certificates[self.current].write(&self.dir);
        }
        server.takes(&self.config(round));
        if round % 4 == 1 {
            self.shows_its_certificate();
        }
    }

    /// The configuration that was there at the start.
    pub(crate) fn settle(&mut self, server: &Server) {
        server.takes(&self.config(0));
    }

    /// Whoever comes now is shown the certificate that was put there last.
    fn shows_its_certificate(&self) {
        let answer = Request::get("/readyz").send(self.tunnel.address);
        assert_eq!(answer.status, 200, "{answer:?}");
        let shown = self.tunnel.agreed().certificate;
        assert_eq!(shown, self.certificates[self.current].certificate, "another certificate");
    }

    fn config(&self, round: usize) -> String {
        let listen = match round % 6 {
            2 | 3 => ", \"127.0.0.2:0\"",
            _ => "",
        };
        let [certificate, key] = self.files.each_ref().map(|path| path.display().to_string());
        let mut lines = vec![
            format!("listen = [\"127.0.0.1:0\", \"{} tls\"{listen}]", self.secured),
            format!("metrics.listen = [\"{}\"]", self.metrics),
            format!("limits.max_connections = {}", 900 + round % 7),
            "limits.max_message_size = \"256KiB\"".into(),
            "limits.outbound_queue = \"1MiB\"".into(),
            format!("websocket.ping_interval = \"{}s\"", 2 + round % 3),
            "websocket.pong_timeout = \"20s\"".into(),
            "auth.withdrawal_spread = \"1s\"".into(),
            format!("tls.certificate = {certificate:?}"),
            format!("tls.key = {key:?}"),
        ];
        if round % 12 >= 8 {
            lines.push(format!("auth.previous_secrets = [{OTHER:?}]"));
        }
        file(&lines.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// A configuration with a fault.
    fn faulty(&self) -> String {
        let good = self.config(0);
        let key = self.files[1].display().to_string();
        match self.rejected % 4 {
            0 => good + "limits.max_conections = 10\n",
            // A port that another listener of ours has.
            1 => good.replace("\"127.0.0.1:0\"", &format!("\"{}\"", self.metrics)),
            2 => good.replace(&key, &self.wrong_key.display().to_string()),
            _ => good + "limits.max_connections = \n",
        }
    }
}
