//! Which address families this machine has, and what of the configured addresses remains without one of them.
//!
//! A machine without IPv6 is common: a container in Docker's default network, a kernel that was started with
//! `ipv6.disable=1`, a unit with `RestrictAddressFamilies=`. `localhost` then leaves out the missing family, and `[::]`
//! becomes `0.0.0.0`, which is what `[::]` is for IPv4. An address that names its family explicitly stays as it is.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::ListenAddress;

/// An address that is not listened on as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unavailable {
    /// The address in the syntax of the key `listen`.
    pub(super) address: String,
    /// The address that takes its place; `None` if it is left out.
    instead: Option<SocketAddr>,
    family: &'static str,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unavailable { address, instead, family } = self;
        match instead {
            Some(instead) => {
                write!(f, "this machine has no {family}, so {instead} takes the place of {address}")
            }
            None => write!(f, "this machine has no {family}, so {address} is left out"),
        }
    }
}

/// What of `addresses` can be listened on here, and what differs from the configuration.
///
/// An address that no other can stand in for is returned as it is, so that its bind reports the fault.
pub(super) fn fit(addresses: &[ListenAddress]) -> (Vec<ListenAddress>, Vec<Unavailable>) {
    fit_to(addresses, |ip| probe(ip).is_ok())
}

/// [`fit`], on a machine that `has` these addresses.
fn fit_to(
    addresses: &[ListenAddress],
    has: impl Fn(IpAddr) -> bool,
) -> (Vec<ListenAddress>, Vec<Unavailable>) {
    let (mut fitting, mut unavailable) = (Vec::new(), Vec::new());
    for entry in addresses {
        let missing = Unavailable {
            address: entry.to_string(),
            instead: None,
            family: if is_ipv6(entry) { "IPv6" } else { "IPv4" },
        };
        match without_its_family(entry, addresses, &has) {
            Without::Same => fitting.push(entry.clone()),
            Without::Nothing => unavailable.push(missing),
            Without::Other(instead) => {
                fitting.push(entry.moved_to(instead));
                unavailable.push(Unavailable { instead: Some(instead), ..missing });
            }
        }
    }
    (fitting, unavailable)
}

/// What remains of an address.
enum Without {
    /// The address itself: its family is there, or nothing can stand in for it.
    Same,
    /// Nothing, since another address of the list serves its purpose.
    Nothing,
    /// This address.
    Other(SocketAddr),
}

fn without_its_family(
    entry: &ListenAddress,
    all: &[ListenAddress],
    has: &impl Fn(IpAddr) -> bool,
) -> Without {
    let ListenAddress::Tcp { address, ipv6only, localhost, .. } = entry else {
        return Without::Same;
    };
    let all_of_ipv4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
    let is_listed = |wanted: SocketAddr| {
        let is_it = |other: &ListenAddress| matches!(other, ListenAddress::Tcp { address, .. } if *address == wanted);
        all.iter().any(is_it)
    };
    match address.ip() {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) if !has(address.ip()) => {
            if is_listed(all_of_ipv4) {
                Without::Nothing
            } else if !ipv6only && has(all_of_ipv4.ip()) {
                Without::Other(all_of_ipv4)
            } else {
                Without::Same
            }
        }
        ip if *localhost && !has(ip) && has(other_loopback(ip)) => Without::Nothing,
        _ => Without::Same,
    }
}

fn other_loopback(ip: IpAddr) -> IpAddr {
    if ip.is_ipv4() { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() }
}

fn is_ipv6(entry: &ListenAddress) -> bool {
    matches!(entry, ListenAddress::Tcp { address, .. } if address.is_ipv6())
}

/// Whether this machine has the family of an address: a socket of it can be made, and a loopback or wildcard address
/// be bound, at a port of the system's choice. Other addresses may still come with their interface.
///
/// # Errors
/// The system's, if the family is missing. Any other error, such as a lack of descriptors, says nothing of families.
pub(super) fn probe(ip: IpAddr) -> io::Result<()> {
    let address = SocketAddr::new(ip, 0);
    let tried = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))
        .and_then(|socket| match ip.is_loopback() || ip.is_unspecified() {
            true => socket.bind(&address.into()),
            false => Ok(()),
        });
    match tried {
        Err(error) if is_of_family(&error) => Err(error),
        _ => Ok(()),
    }
}

fn is_of_family(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || is_refused(error)
}

/// Whether the system makes no sockets of a family at all.
pub(super) fn is_refused(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn shown(entries: &[&str], has: impl Fn(IpAddr) -> bool) -> (String, Vec<String>) {
        let parse = |entry: &&str| ListenAddress::parse(entry).expect("an address");
        let listen = Some(entries.iter().flat_map(parse).collect());
        let (fitting, unavailable) =
            fit_to(&Config { listen, ..Config::default() }.listen_addresses(), has);
        let fitting: Vec<_> = fitting.iter().map(ToString::to_string).collect();
        (fitting.join(", "), unavailable.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn without_ipv6_localhost_is_ipv4_and_the_wildcard_is_that_of_ipv4() {
        let cases: [(&[&str], &str, usize); 10] = [
            (&["localhost:7"], "127.0.0.1:7", 1),
            (&["localhost:7 tls"], "127.0.0.1:7 tls", 1),
            (&["[::]:7"], "0.0.0.0:7", 1),
            (&["[::]:7 tls proxy"], "0.0.0.0:7 tls proxy", 1),
            (&["[::]:7", "localhost:8"], "0.0.0.0:7, 127.0.0.1:8", 2),
            // The one for IPv4 is there already.
            (&["0.0.0.0:7", "[::]:7"], "0.0.0.0:7", 1),
            // Explicitly this family.
            (&["[::]:7 ipv6only"], "[::]:7 ipv6only", 0),
            (&["[::1]:7"], "[::1]:7", 0),
            (&["127.0.0.1:7", "[::1]:7"], "127.0.0.1:7, [::1]:7", 0),
            (&["127.0.0.1:7", "unix:/p"], "127.0.0.1:7, unix:/p", 0),
        ];
        for (entries, expected, count) in cases {
            let (fitting, unavailable) = shown(entries, |ip| ip.is_ipv4());
            assert_eq!(fitting, expected, "{entries:?}");
            assert_eq!(unavailable.len(), count, "{entries:?}: {unavailable:?}");
            // With both families all is as it is written.
            let (fitting, unavailable) = shown(entries, |_| true);
            assert!(!fitting.is_empty() && unavailable.is_empty(), "{unavailable:?}");
        }
        let (_, unavailable) = shown(&["[::]:7", "localhost:8"], |ip| ip.is_ipv4());
        let expected = [
            "this machine has no IPv6, so 0.0.0.0:7 takes the place of [::]:7",
            "this machine has no IPv6, so [::1]:8 is left out",
        ];
        assert_eq!(unavailable, expected);
    }

    #[test]
    fn without_ipv4_localhost_is_ipv6_and_ipv4s_wildcard_becomes_nothing_wider() {
        let cases: [(&[&str], &str); 3] =
            [(&["localhost:7"], "[::1]:7"), (&["[::]:7"], "[::]:7"), (&["0.0.0.0:7"], "0.0.0.0:7")];
        for (entries, expected) in cases {
            assert_eq!(shown(entries, |ip| ip.is_ipv6()).0, expected);
        }
    }

    #[test]
    fn without_any_family_nothing_is_left_out_so_that_the_bind_reports_it() {
        for (entry, expected) in [("localhost:7", "127.0.0.1:7, [::1]:7"), ("[::]:7", "[::]:7")] {
            assert_eq!(shown(&[entry], |_| false), (expected.to_owned(), Vec::new()));
        }
    }
}
