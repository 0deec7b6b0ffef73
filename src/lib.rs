//! philote: a WebSocket publish/subscribe server.
//!
//! Clients connect with a signed token that names the channels they read and write; what one publishes
//! reaches all others who read that channel. This page is the map of the crate: its house, the walks through
//! it, and what must hold on each. What users may rely on stands in README.md and docs/. The binary is all of it; it is
//! a library so that tests, benches and examples reach the parts.
//!
//! # The house
//!
//! From the top down; imports point downwards only.
//!
//! | module | what it owns |
//! |---|---|
//! | [`cli`] | arguments to an exit code, one file a subcommand; the only place that prints |
//! | [`daemon`] | the life of the process: signals, listeners, control socket, metrics, reload, log, drain |
//! | [`worker`] | one thread, its runtime, its connections; the turn and its flush; mail between workers |
//! | [`http`] | what comes before the upgrade and beside it: the handshake, refusals, plain requests |
//! | [`connection`] | one task a socket: reading, writing, keepalive, closing |
//! | [`hub`] | channels, subscribers and outbound queues, as a state machine that returns effects |
//! | [`auth`] | token, keys and now to grants |
//! | [`protocol`] | the text of a message to its parts, and back |
//! | [`config`] | files and environment to a configuration, or to every fault at once; everybody may read it |
//! | [`counters`] | what a worker counts, for anybody to read |
//! | [`paths`] | the directories that are built in; everybody may read it |
//! | [`visible`] | which characters of a stranger's text are shown as they are; everybody may ask it |
//!
//! `config`, `auth`, `protocol` and `hub` know no runtime and never await. `hub` holds no socket, no sender
//! and no clock. Only `connection` touches a socket after its upgrade. Nothing below `daemon` knows of signals
//! or of systemd. Only `main` ends the process, by returning.
//!
//! # The walks
//!
//! **Start** ([`daemon::run`]). Signal handlers first, then the configuration and every check, then listeners,
//! then workers, then `READY=1`. Whatever fails before that is one message a fault and an exit code, with
//! nothing half started.
//!
//! **A socket** becomes a connection. A listener accepts it, on the first worker's thread since a thread of its own
//! would cost more than a third of a handshake in going to and fro, and hands it to the next worker in turn, where it
//! counts as pending ([`http::pending`]): at the bound one without a request goes first, and nobody is accepted faster
//! than those go.
//! What its listener wants in front of everything else comes first, the header of the PROXY protocol and the handshake
//! of TLS, which counts as the first attempt of its address; then [`http::serve`] drives hyper over it. Whom a request comes from is what a
//! trusted proxy says ([`http::forwarding`]), else the peer. The handshake is judged in this order: its form,
//! whether the server is stopping, how often its address has asked ([`http::handshake_rate`]), its origin, its
//! token ([`auth::verify`]), whether there is room, for its address too. Then a [`connection::Reservation`] makes
//! it a member of the hub, and the 101 goes out only when the homes of all its channels know of it; what is
//! published meanwhile waits in its queue. hyper gives the socket back and is dropped, and
//! [`connection::Connection`] takes over: an idle one owns no buffer. Every way out in between undoes the
//! reservation.
//!
//! **A message.** The socket's bytes come into a buffer that all of a worker's connections share, are cut into
//! frames where they lie, unmasked there, and read ([`protocol::Parser`]), over several turns if that takes more than a turn grants. [`hub::Hub::publish`] looks at the
//! grant and encodes the delivery, the only time that this is done. The channel's *home*, one worker
//! ([`hub::placement`]), appends it to the channel's batch of this turn, which gives it its place in the
//! channel's order; from another worker it comes there by mail ([`hub::mail`]). When the worker has run all that
//! was ready, the turn ends: the batch is frozen, each subscriber's [`hub::queue::OutboundQueue`] gets a slice of
//! it, each other worker with subscribers one piece of mail, and each queue that has something is flushed, with
//! one write where the socket takes it all. Nothing waits for a timer.
//!
//! **A plain request** is looked up in the table of its socket ([`http::routes`]): a listener's or the control
//! socket's. What both serve is answered in one place ([`http::api`]), by a worker: for the control socket one of them
//! is asked to ([`http::inquiry`]). Looking at all connections asks every worker, who does it a few a turn
//! ([`connection::survey`]).
//!
//! **A publish by HTTP.** The token is judged before the body is read, and the whole body is understood before
//! anything of it is published. Then its messages go to the hub as a connection's do, in bites of a turn and within a
//! credit, from an [`hub::outsider`]: in nobody's name, leaving out whom the request excludes. Each worker that puts
//! one into queues says into how many, by mail; when all have spoken the answer goes out.
//!
//! **A close.** Each has a [`connection::close::CloseReason`]: code, words, and what of the peer still counts. A
//! Close seals the queue. Reading goes on, though nothing may count any more, until the peer's own Close, the end of
//! the stream or `websocket.close_timeout`; only then does our side of the stream end, since a proxy drops what is on
//! its way when it does. The task ends, and a guard takes the connection out of everything.
//!
//! **A question** of an administrator comes by a signal or over the control socket, where each request becomes a
//! [`daemon::ask::Ask`]. One loop takes them all, one after the other, so that nothing changes the daemon from
//! two sides at once; the commands of [`cli`] read its answers back.
//!
//! **A figure** is counted by the worker that it happens on, in [`counters`] that it alone writes; what costs anything
//! is counted once a turn or a batch. A scrape ([`daemon::metrics`]) reads them, on the daemon's thread, and asks nobody.
//!
//! **A reload** is prepared (read, validate, bind: all that can fail) and then committed: the differences
//! ([`config::diff`]) are logged, and every worker gets the new [`http::rules::Rules`] and
//! [`connection::Settings`] by a command. Connections whose key is accepted no more are closed with 1008,
//! spread over a while, and spared if a reload meanwhile accepts it again.
//!
//! **The stop.** Newcomers are answered 503, connections are closed with 1001 at an even rate and work until
//! their close, what is left at the deadline is cut. A worker that ends by itself ends the process, so that it
//! is started anew as a whole.
//!
//! **A line of the log** is an event that stands in [`daemon::events`]. It is taken down where it happens and
//! written by a thread of the log's own: nothing waits for a disk or a journal, and what is lost is counted.
//!
//! # What must hold
//!
//! - One order a channel: only its home appends to its batches, and each pair of workers has one line of mail,
//!   first in, first out.
//! - A connection hears whatever is published after its 101.
//! - Its publisher does not hear a message; it is left out by worker, member and serial number.
//! - No lock on a message's way, and no connection waits for another. Taking mail never waits: what bounds it
//!   is the credit of those who publish ([`hub::credit`]), who are not read from while they have none.
//! - Who sends faster than it may is read from no faster ([`connection::pace`]); while no such limit is set, that
//!   costs a look at it a turn.
//! - A queue's bound is looked at only after its socket took no more, so a burst evicts nobody who reads; a
//!   connection takes only so much from its socket in one turn, so that a flush comes between.
//! - The work of a turn has a bound, whatever peers send: bytes and steps of reading messages for each connection,
//!   handshakes ([`connection::handshake_budget`]), mail, and channels that are left, for all of a worker together. A loop
//!   whose length a peer decides yields, and the runtime looks at its sockets after a few polls. The tests count the work.
//! - Everything that a peer can make grow has a bound, and every wait for a peer an end. What a connection may
//!   cost in memory is held by a bill (`tests/bill.rs`).
//! - A reload is taken whole or not at all, and drops nobody but those whose key it withdraws.
//! - A panic in a connection's task is the end of that connection, with 1011; one within the hub is the
//!   worker's, and so the process's.
//! - A key verifies its own algorithm, and nothing that a token says of keys is looked at.
//! - No secret, token, query or payload is in a log, an error or `Debug` output. What a client causes is no
//!   error in the log, and is limited.
//!
//! # What is deliberately absent
//!
//! No history, no acknowledgement, no compression, no cluster. One line of `unsafe`, in `daemon/memory.rs`, and no
//! unbounded channel.
//!
//! With `--cfg fuzzing` a module more, `fuzzing`, hands what has no name outside to the targets in `fuzz/`.

pub mod auth;
pub mod cli;
pub mod config;
pub mod connection;
pub mod counters;
pub mod daemon;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod http;
pub mod hub;
pub mod paths;
pub mod protocol;
pub mod visible;
pub mod worker;
