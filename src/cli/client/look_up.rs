//! Owns [`look_up`]: from the name of a server to where to connect.
//!
//! A binary that is linked statically must never ask the C library for a name. glibc takes modules
//! from the machine for that (nsswitch.conf(5)), and those are made for the machine's own glibc: with
//! another one they end the process. So it looks for itself. Any other binary asks the system, which
//! may know more.

use std::io;
use std::net::SocketAddr;

/// The addresses of a server, one at least, in the order to try them.
///
/// # Errors
/// Where nobody knows the name, or nobody answers who might.
#[cfg(not(target_feature = "crt-static"))]
pub(super) async fn look_up(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((name, port)).await?.collect())
}

/// The addresses of a server, one at least, in the order to try them.
///
/// # Errors
/// Where nobody knows the name, or nobody answers who might.
#[cfg(target_feature = "crt-static")]
pub(super) async fn look_up(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found = super::resolver::Resolver::of_this_machine().look_up(name).await?;
    Ok(found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}
