//! A plain echo of text and binary over the daemon's own transport: the same read and write path, queue,
//! flush and close code as philote's connections. For conformance suites.
//!
//!     cargo run --release --example echo -- 127.0.0.1:9001
//!
//! Port 0 takes a free one; `listening on ADDRESS:PORT` on stdout says which. It lifts `max_message_size`
//! and `outbound_queue` to 64 MiB, since suites send messages of 16 MiB, and asks for no token.

use std::io::Write;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;

use philote::config::Config;
use philote::connection::Settings;
use philote::connection::close::CloseReason;
use philote::connection::socket::AcceptedSocket;
use philote::connection::{Application, Connection, Connections, Progress, Work};
use philote::http::Newcomer;
use philote::http::front::Shared;
use philote::http::rules::{Admission, Rules};
use philote::protocol::{Malformed, encode_header};
use philote::worker::Workers;

/// Larger than any message of the suites, with its frame.
const ROOM: usize = 64 << 20;

/// Sends every message back to whom it came from.
struct Echo;

impl Application for Echo {
    fn message(
        &self,
        all: &Connections,
        connection: &Connection,
        text: bool,
        payload: &[u8],
        _work: Work<'_>,
    ) -> Result<Progress, CloseReason> {
        if text && std::str::from_utf8(payload).is_err() {
            return Err(CloseReason::Malformed(Malformed::NotUtf8));
        }
        let mut frame = Vec::with_capacity(payload.len() + 10);
        encode_header(&mut frame, if text { 0x81 } else { 0x82 }, payload.len());
        frame.extend_from_slice(payload);
        all.send(connection, frame);
        Ok(Progress::Taken)
    }
}

fn main() -> ExitCode {
    let Some(address) = std::env::args().nth(1) else {
        return fail("usage: echo ADDRESS:PORT");
    };
    match serve(&address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{address}: {error}")),
    }
}

fn fail(why: &str) -> ExitCode {
    // Nobody is left to tell where this fails.
    let _ = writeln!(std::io::stderr(), "echo: {why}");
    ExitCode::FAILURE
}

fn serve(address: &str) -> std::io::Result<()> {
    let mut config = Config::default();
    config.limits.max_message_size = ROOM;
    config.limits.outbound_queue = ROOM;
    config.limits.total_queue = 16 * ROOM;
    let shared = Arc::new(Shared::new(1));
    shared.pending.set_most(config.limits.max_pending);
    let rules = Rules { admission: Admission::Anybody, ..Rules::from(&config) };
    let settings = Settings::from(&config);
    let (workers, _broken) =
        Workers::start(&shared, &Arc::new(rules), &settings, || Box::new(Echo))?;
    let listener = TcpListener::bind(address)?;
    writeln!(std::io::stdout(), "listening on {}", listener.local_addr()?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        loop {
            let (socket, peer) = listener.accept()?;
            socket.set_nonblocking(true)?;
            workers.accept(Newcomer::plain(AcceptedSocket::Tcp(socket), peer.into())).await;
        }
    })
}
