//! Owns [`Resolver`]: from a name to its addresses, by /etc/hosts and the servers that /etc/resolv.conf
//! names, without the C library.

mod hosts;
mod resolv_conf;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use domain::base::Name;
use domain::resolv::StubResolver;

use super::look_up::is_localhost;
use hosts::Hosts;
use resolv_conf::ResolvConf;

/// Who knows names.
#[derive(Debug)]
pub(super) struct Resolver {
    hosts: Hosts,
    dns: ResolvConf,
}

impl Resolver {
    /// As the machine says; what it does not say is as resolv.conf(5) and hosts(5) have it.
    pub(super) fn of_this_machine() -> Resolver {
        let read = |path| fs::read(path).unwrap_or_default();
        let text = |path| String::from_utf8_lossy(&read(path)).into_owned();
        Resolver {
            hosts: Hosts::parse(&text("/etc/hosts")),
            dns: ResolvConf::parse(&text("/etc/resolv.conf")),
        }
    }

    /// All addresses of a name, one at least: from the hosts file, else from DNS, IPv6 first.
    ///
    /// # Errors
    /// Where nobody knows the name, or nobody answers who might.
    pub(super) async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = self.hosts.of(name);
        if !found.is_empty() {
            return Ok(found);
        }
        if is_localhost(name) {
            return Ok(vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]);
        }
        self.ask(name).await
    }

    async fn ask(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let resolver = StubResolver::from_conf(self.dns.servers());
        let mut silent = None;
        for candidate in self.dns.candidates(name) {
            // One that is no name of DNS has no address there.
            let Ok(candidate) = candidate.parse::<Name<Vec<u8>>>() else { continue };
            match resolver.lookup_host(&candidate).await {
                Ok(found) => {
                    let found: Vec<IpAddr> = found.iter().collect();
                    if !found.is_empty() {
                        return Ok(found);
                    }
                }
                Err(error) => silent = Some(error),
            }
        }
        Err(match silent {
            None => io::Error::new(
                io::ErrorKind::NotFound,
                "neither /etc/hosts nor DNS knows an address of this name",
            ),
            Some(error) => io::Error::new(
                error.kind(),
                format!("/etc/hosts lacks this name, and DNS fails ({error})"),
            ),
        })
    }
}
