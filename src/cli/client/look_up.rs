//! Owns [`look_up`]: from the name of a server to where to connect.
//!
//! A binary that is linked statically must never ask the C library for a name. glibc takes modules
//! from the machine for that (nsswitch.conf(5)), and those are made for the machine's own glibc: with
//! another one they end the process. So it looks for itself. Any other binary asks the system, which
//! may know more.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The addresses of a server, one at least, in the order to try them.
///
/// A name of loopback is both loopback addresses, also where the hosts file has one of them alone: a server on
/// `localhost` leaves out the family that its machine lacks.
///
/// # Errors
/// Where nobody knows the name, or nobody answers who might.
pub(super) async fn look_up(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found = ask(name).await;
    let found = match is_localhost(name) {
        true => with_both_loopbacks(found.unwrap_or_default()),
        false => found?,
    };
    Ok(found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

#[cfg(not(target_feature = "crt-static"))]
async fn ask(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
}

#[cfg(target_feature = "crt-static")]
async fn ask(name: &str) -> io::Result<Vec<IpAddr>> {
    super::resolver::Resolver::of_this_machine().look_up(name).await
}

/// Loopback by its name, whether or not anything says so (RFC 6761, section 6.3).
pub(super) fn is_localhost(name: &str) -> bool {
    let last = name.strip_suffix('.').unwrap_or(name).rsplit('.').next();
    last.is_some_and(|label| label.eq_ignore_ascii_case("localhost"))
}

/// Adds what is missing of the two, unless somebody has given the name another meaning.
fn with_both_loopbacks(mut found: Vec<IpAddr>) -> Vec<IpAddr> {
    if found.iter().all(IpAddr::is_loopback) {
        for ip in [IpAddr::from(Ipv6Addr::LOCALHOST), Ipv4Addr::LOCALHOST.into()] {
            if !found.contains(&ip) {
                found.push(ip);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_loopback_is_both_addresses_unless_it_means_something_else() {
        let cases = [
            (&["127.0.0.1"][..], "127.0.0.1 ::1"),
            (&["::1"], "::1 127.0.0.1"),
            (&["127.0.0.1", "::1"], "127.0.0.1 ::1"),
            (&[], "::1 127.0.0.1"),
            (&["192.0.2.8"], "192.0.2.8"),
        ];
        for (found, expected) in cases {
            let found = found.iter().map(|ip| ip.parse().expect("an address")).collect();
            let shown: Vec<_> = with_both_loopbacks(found).iter().map(IpAddr::to_string).collect();
            assert_eq!(shown.join(" "), expected);
        }
    }

    #[tokio::test]
    async fn localhost_is_found_in_both_families() {
        for name in ["localhost", "nobody.LOCALHOST."] {
            let found = look_up(name, 7).await.expect("loopback");
            for expected in ["127.0.0.1:7", "[::1]:7"] {
                let expected: SocketAddr = expected.parse().expect("an address");
                assert!(found.contains(&expected), "{name}: {found:?}");
            }
        }
    }
}
