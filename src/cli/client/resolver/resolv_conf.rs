//! Owns [`ResolvConf`]: the text of resolv.conf(5) to the servers of DNS, and a name to those that are asked for.
//!
//! Bounds and defaults are glibc's, which wrote that page. Of a server only a plain address counts: `domain` would
//! have the C library look at anything else.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use domain::resolv::stub::conf::{self, ServerConf, Transport};

/// The port of DNS.
const PORT: u16 = 53;
/// Servers; more are not asked.
const SERVERS: usize = 3;
/// Seconds that a server may take.
const TIMEOUT: u64 = 5;

/// Whom to ask, and for what.
#[derive(Debug)]
pub(super) struct ResolvConf {
    /// Without any it is this machine.
    pub(super) servers: Vec<SocketAddr>,
    /// Domains that a short name is looked for in.
    search: Vec<String>,
    /// A name with so many dots is looked for as it is first.
    ndots: usize,
    timeout: Duration,
    /// By TCP alone.
    tcp: bool,
}

impl ResolvConf {
    /// Never fails: what is not understood is left out, and a file that is not there is an empty one.
    pub(super) fn parse(text: &str) -> ResolvConf {
        let timeout = Duration::from_secs(TIMEOUT);
        let (servers, search) = (Vec::new(), Vec::new());
        let mut parsed = ResolvConf { servers, search, ndots: 1, timeout, tcp: false };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") if parsed.servers.len() < SERVERS => {
                    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    parsed.servers.extend(address.map(|ip| SocketAddr::new(ip, PORT)));
                }
                // The last one holds.
                Some("search" | "domain") => {
                    let plain = |word: &str| word.trim_end_matches('.').to_owned();
                    parsed.search = words.map(plain).filter(|word| !word.is_empty()).collect();
                }
                Some("options") => words.for_each(|word| parsed.option(word)),
                _ => {}
            }
        }
        parsed
    }

    fn option(&mut self, word: &str) {
        match word.split_once(':').map(|(name, value)| (name, value.parse::<u8>())) {
            Some(("ndots", Ok(dots))) => self.ndots = dots.min(15).into(),
            Some(("timeout", Ok(seconds))) => {
                self.timeout = Duration::from_secs(seconds.clamp(1, 30).into());
            }
            None if word == "use-vc" => self.tcp = true,
            _ => {}
        }
    }

    /// The same as `domain` has it.
    pub(super) fn servers(&self) -> conf::ResolvConf {
        let mut conf = conf::ResolvConf::new();
        let server = |address: &SocketAddr| ServerConf::new(*address, Transport::UdpTcp);
        conf.servers = self.servers.iter().map(server).collect();
        conf.options.timeout = self.timeout;
        conf.options.use_vc = self.tcp;
        conf.finalize();
        conf
    }

    /// The whole names that a name may stand for, in the order to ask for them.
    pub(super) fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let mut candidates: Vec<String> =
            self.search.iter().map(|domain| format!("{name}.{domain}.")).collect();
        let dots = name.bytes().filter(|byte| *byte == b'.').count();
        let place = if dots >= self.ndots { 0 } else { candidates.len() };
        candidates.insert(place, format!("{name}."));
        candidates
    }
}
