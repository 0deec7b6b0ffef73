//! Two servers behind each proxy, of which one after the other is restarted while clients come.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{Scope, ScopedJoinHandle};

use rustix::process::Signal;

use super::proxy::{Proxy, apache_with, caddy, haproxy, nginx, with};
use crate::support::client::Client;
use crate::support::http::{Request, free_port, local};
use crate::support::server::{Server, Setup};
use crate::support::token::grant;
use crate::support::until;

/// Newcomers at each step of a restart.
const NEWCOMERS: usize = 30;

/// One that stops for as long as a client does not answer its close.
fn server_at(address: SocketAddr) -> Server {
    let config = "log.level = \"debug\"\nproxy.trusted = [\"127.0.0.1\"]\nwebsocket.close_timeout = \"5m\"\n\
                  shutdown.drain_timeout = \"1h\"";
    Setup::new(config).environment("PHILOTE_LISTEN", &address.to_string()).start()
}

/// Clients that come one after the other, until they are told to stop.
struct Newcomers<'scope> {
    admitted: &'scope AtomicUsize,
    stop: &'scope AtomicBool,
    thread: ScopedJoinHandle<'scope, Vec<u16>>,
}

impl<'scope> Newcomers<'scope> {
    fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        proxy: &'scope Proxy,
        admitted: &'scope AtomicUsize,
        stop: &'scope AtomicBool,
    ) -> Newcomers<'scope> {
        let request = Request::upgrade_with(&grant(&["c"], &[]));
        let thread = scope.spawn(move || {
            let mut refused = Vec::new();
            while !stop.load(Ordering::Relaxed) && refused.len() < NEWCOMERS {
                match proxy.client(&request) {
                    Ok(_) => _ = admitted.fetch_add(1, Ordering::Relaxed),
                    Err(answer) => refused.push(answer.status),
                }
            }
            refused
        });
        Newcomers { admitted, stop, thread }
    }

    /// Waits until so many more were admitted.
    fn more(&self, when: &str) {
        let enough = self.admitted.load(Ordering::Relaxed) + NEWCOMERS;
        until(&format!("{NEWCOMERS} newcomers {when}"), || {
            self.admitted.load(Ordering::Relaxed) >= enough || self.thread.is_finished()
        });
    }

    /// How those were answered who were refused.
    fn refused(self) -> Vec<u16> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("they came")
    }
}

/// How those were answered who were refused while so many of two servers were restarted, one after the other.
/// `is_probed`: the proxy sends newcomers to a server again only after a probe of its own.
#[track_caller]
fn refused(
    start: impl FnOnce(&[SocketAddr]) -> Option<Proxy>,
    restarted: usize,
    is_probed: bool,
) -> Option<Vec<u16>> {
    let addresses = [local(free_port()), local(free_port())];
    let mut servers = addresses.map(|address| Some(server_at(address)));
    let proxy = start(&addresses)?;
    let (admitted, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let newcomers = Newcomers::start(scope, &proxy, &admitted, &stop);
        newcomers.more("before");
        for (server, address) in servers.iter_mut().zip(addresses).take(restarted) {
            let old = server.take().expect("it runs");
            let stays: Client = old.subscriber(&["c"]);
            old.signal(Signal::TERM);
            until("it is stopping", || old.ask(&Request::get("/readyz")).status == 503);
            newcomers.more("while it is stopping");
            drop(stays);
            assert!(old.ended().status.success());
            newcomers.more("while it is gone");
            let new = server.insert(server_at(address));
            newcomers.more("when it is back");
            if is_probed {
                until("it gets newcomers", || {
                    new.log().contains("event=connection_opened") || newcomers.thread.is_finished()
                });
            }
        }
        Some(newcomers.refused())
    })
}

#[test]
fn nginx_sends_newcomers_to_the_server_that_is_not_stopping() {
    let Some(refused) = refused(nginx, 2, false) else { return };
    assert_eq!(refused, [0; 0]);
}

#[test]
fn haproxy_sends_newcomers_to_the_server_that_is_not_stopping() {
    let Some(refused) = refused(|servers| haproxy(servers, ""), 2, true) else { return };
    assert_eq!(refused, [0; 0]);
}

#[test]
fn caddy_sends_newcomers_to_the_server_that_is_not_stopping() {
    let Some(refused) = refused(caddy, 2, false) else { return };
    assert_eq!(refused, [0; 0]);
}

/// Apache passes on the first 503 of a server that is stopping, and leaves it alone for a while, here a long one.
#[test]
fn apache_sends_newcomers_to_the_server_that_is_not_stopping_but_the_first() {
    let long = |text: String| with(&text, " retry=2", " retry=600");
    let Some(refused) = refused(|servers| apache_with(servers, long), 1, false) else { return };
    assert_eq!(refused, [503]);
}
