//! The running server: one loop for signals, questions, the watchdog and the stop.

use std::future::Future;
use std::io::IsTerminal;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::Fuse;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook_tokio::Signals;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, timeout};

use super::ask::{Ask, ChannelLoad, LastReload, QueueLoad, ReloadOutcome, Status};
use super::certificate::{self, CertificateWatch};
use super::listeners::{Listeners, Purpose};
use super::log::Log;
use super::manager::Manager;
use super::memory::GivingBack;
use super::metrics::Metrics;
use super::watchdog::Watchdog;
use super::{INTERNAL, Options, drain};
use crate::config::Loaded;
use crate::connection::load;
use crate::http::front::Shared;
use crate::worker::{Broken, Workers};

/// How often the status is looked at, at most told, and the service manager asked for more time.
const LOOK: Duration = Duration::from_secs(1);
/// Looks between two statuses: `systemctl status` need not be newer than a few seconds.
const LOOKS_A_STATUS: u64 = 5;
/// How long workers have to end when all their connections have gone; they need a millisecond.
const LAST_STEPS: Duration = Duration::from_secs(1);
/// How long workers have to end after all has been cut at once: under TLS the end is a word that has to be
/// sent. Short, since the signal is for workers that are stuck too.
const CUT: Duration = Duration::from_millis(200);
/// How long a status waits for what workers say of themselves: one that is stuck is not to hide how the server is.
const LOADS: Duration = Duration::from_secs(1);
/// How much more time a stop asks for each second, in microseconds.
const MORE_TIME: u32 = 10_000_000;

/// The running server.
pub(super) struct Server {
    pub(super) options: Options,
    pub(super) loaded: Loaded,
    pub(super) log: Log,
    pub(super) shared: Arc<Shared>,
    pub(super) workers: Arc<Workers>,
    pub(super) listeners: Listeners,
    pub(super) metrics: Arc<Metrics>,
    /// Serves the control socket, where there is one; it ends when nobody answers any more.
    pub(super) control: Option<JoinHandle<()>>,
    pub(super) last_reload: Option<LastReload>,
    pub(super) certificate: CertificateWatch,
    pub(super) manager: Manager,
    /// Whether somebody sits at a terminal in front of it.
    pub(super) at_terminal: bool,
}

/// What comes from outside.
pub(super) struct Inputs {
    pub(super) signals: Fuse<Signals>,
    pub(super) asks: mpsc::Receiver<Ask>,
    pub(super) broken: Broken,
}

/// The stop under way: how many connections had to be cut.
type Stop = Pin<Box<dyn Future<Output = usize>>>;

impl Server {
    /// From ready to stopped.
    pub(super) async fn run(mut self, mut inputs: Inputs) -> ExitCode {
        let mut stop: Option<Stop> = None;
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watchdog = Watchdog::new(&self.shared);
        let every = watchdog.as_ref().map_or(LOOK, |watchdog| watchdog.every);
        // The first look has to have had beats to see.
        let mut feed = interval_at(Instant::now() + every, every);
        feed.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut giving_back = GivingBack::new();
        let mut looks = 0;
        let mut messages = 0;
        let code = loop {
            tokio::select! {
                // Signals first: the second one ends a stop that hangs on questions.
                biased;
                Some(signal) = inputs.signals.next() => match signal {
                    SIGTERM | SIGINT | SIGQUIT if stop.is_some() => {
                        // It holds the workers, which end when nothing holds them.
                        drop(stop);
                        let left = drain::cut(&self.shared, &self.workers);
                        tracing::info!(event = "stopped", cut = left, "stopped at once, by a second signal");
                        return self.end(inputs, ExitCode::SUCCESS, CUT).await;
                    }
                    SIGQUIT => {
                        drop(self.begin_stop());
                        let left = drain::cut(&self.shared, &self.workers);
                        tracing::info!(event = "stopped", cut = left, "stopped at once");
                        return self.end(inputs, ExitCode::SUCCESS, CUT).await;
                    }
                    SIGTERM | SIGINT => stop = Some(self.begin_stop()),
                    SIGHUP if stop.is_some() => {
                        tracing::info!(event = "signal_ignored", signal = "SIGHUP", "no reload while draining");
                    }
                    SIGHUP if self.has_lost_its_terminal() => stop = Some(self.begin_stop()),
                    SIGHUP => {
                        self.reload_and_tell().await;
                    }
                    SIGUSR1 => {
                        self.log.reopen();
                        self.log_status();
                    }
                    SIGUSR2 => {
                        tracing::info!(event = "signal_ignored", signal = "SIGUSR2", "nothing is bound to this signal");
                    }
                    _ => {}
                },
                Some(worker) = inputs.broken.wait() => {
                    tracing::error!(
                        event = "worker_failed",
                        worker = worker.0,
                        "a worker has ended; so does the process, to be started anew as a whole"
                    );
                    break ExitCode::from(INTERNAL);
                }
                cut = async { match &mut stop { Some(stop) => stop.await, None => std::future::pending().await } } => {
                    tracing::info!(event = "stopped", cut, "stopped");
                    break ExitCode::SUCCESS;
                }
                Some(ask) = inputs.asks.recv() => match ask {
                    Ask::Drain(answer) => {
                        if stop.is_none() {
                            stop = Some(self.begin_stop());
                        }
                        let _ = answer.send(());
                    }
                    Ask::Reload(answer) if stop.is_some() => {
                        let _ = answer.send(ReloadOutcome::Draining);
                    }
                    Ask::Reload(answer) => {
                        let _ = answer.send(self.reload_and_tell().await);
                    }
                    ask => self.answer(ask).await,
                },
                _ = feed.tick(), if watchdog.is_some() => {
                    if watchdog.as_mut().is_some_and(|watchdog| watchdog.all_turn(&self.shared)) {
                        self.manager.alive();
                    }
                }
                _ = look.tick() => {
                    self.certificate.look(&self.loaded.config, certificate::now());
                    giving_back.look();
                    if stop.is_some() {
                        self.manager.extend(MORE_TIME);
                        let left = self.shared.taken.load(Ordering::Relaxed);
                        self.manager.status(&format!("draining: {left} connections left"));
                    } else if looks % LOOKS_A_STATUS == LOOKS_A_STATUS - 1 {
                        let now = self.shared.sum(|counters| counters.messages_in.get());
                        let rate = (now - messages) / LOOKS_A_STATUS;
                        messages = now;
                        self.manager.status(&self.describe(rate));
                    }
                    looks += 1;
                }
            }
        };
        let patience = if code == ExitCode::SUCCESS { LAST_STEPS } else { Duration::ZERO };
        self.end(inputs, code, patience).await
    }

    /// The whole of `STATUS`, of one line.
    pub(super) fn describe(&self, messages_a_second: u64) -> String {
        let mut status = format!(
            "listening on {}; connections: {}, channels: {}, messages a second: {messages_a_second}",
            self.listeners.addresses(Purpose::Clients).join(", "),
            self.shared.sum(|counters| counters.connections.get()),
            self.shared.sum(|counters| counters.channels.get()),
        );
        if let Some(LastReload { fault: Some(fault), .. }) = &self.last_reload {
            status.push_str("; the last reload failed: ");
            status.push_str(fault);
        }
        status
    }

    /// One line in the log about how things are.
    fn log_status(&self) {
        tracing::info!(
            event = "status",
            connections = self.shared.sum(|counters| counters.connections.get()),
            channels = self.shared.sum(|counters| counters.channels.get()),
            messages_in = self.shared.sum(|counters| counters.messages_in.get()),
            messages_out = self.shared.sum(|counters| counters.messages_out.get()),
            log_lines_lost = self.log.dropped(),
            "{}",
            self.describe(0)
        );
    }

    async fn reload_and_tell(&mut self) -> ReloadOutcome {
        let mut manager = std::mem::take(&mut self.manager);
        let reloading = manager.reloading();
        let outcome = self.reload().await;
        reloading.done(&self.describe(0));
        self.manager = manager;
        outcome
    }

    fn begin_stop(&mut self) -> Stop {
        self.shared.draining.store(true, Ordering::Relaxed);
        self.manager.stopping();
        self.manager.extend(MORE_TIME);
        let leaving = self.listeners.leave_given();
        let connections = self.shared.sum(|counters| counters.connections.get());
        tracing::info!(event = "drain", connections, "draining");
        Box::pin(drain::drain(
            self.loaded.config.shutdown.clone(),
            self.shared.clone(),
            self.workers.clone(),
            leaving,
        ))
    }

    /// Whether the terminal that it was started from has been closed; SIGHUP means the end then.
    fn has_lost_its_terminal(&self) -> bool {
        self.at_terminal && !std::io::stdin().is_terminal()
    }

    async fn answer(&mut self, ask: Ask) {
        // Whoever asked may have gone; then nobody needs the answer.
        match ask {
            Ask::Check(answer) => {
                let _ = answer.send(self.check().await);
            }
            Ask::Status(answer) => {
                let (status, workers) = (self.status(), self.workers.clone());
                tokio::spawn(async move {
                    let _ = answer.send(with_load(status, &workers).await);
                });
            }
            Ask::Reload(_) | Ask::Drain(_) => {}
        }
    }

    /// Tells what is to be told of the certificate in force, and where others look for its end; that, too.
    pub(super) fn note_certificate(&mut self) -> Option<String> {
        let identity = self.loaded.config.tls.identity.as_ref();
        let expires = identity.map_or(0, |identity| identity.expires);
        self.shared.certificate_expires.store(expires, Ordering::Relaxed);
        self.certificate.look_now(&self.loaded.config, certificate::now())
    }

    fn status(&self) -> Status {
        let sum = |figure: fn(&crate::counters::Counters) -> u64| self.shared.sum(figure);
        let draining = self.shared.draining.load(Ordering::Relaxed);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: self.shared.started.elapsed().as_secs(),
            state: if draining { "draining" } else { "running" }.to_owned(),
            listening: self.listeners.addresses(Purpose::Clients),
            metrics: self.listeners.addresses(Purpose::Metrics),
            configuration: self.loaded.path.as_ref().map(|path| path.display().to_string()),
            workers: self.shared.counters.len(),
            connections: sum(|counters| counters.connections.get()),
            max_connections: self.loaded.config.limits.max_connections,
            pending: self.shared.pending.len(),
            channels: sum(|counters| counters.channels.get()),
            queued_bytes: sum(|counters| counters.queued.get()),
            messages_in: sum(|counters| counters.messages_in.get()),
            messages_out: sum(|counters| counters.messages_out.get()),
            handshakes_refused: sum(|counters| counters.refused.get()),
            publishes_refused: sum(|counters| counters.not_granted.get()),
            messages_dropped: sum(|counters| counters.dropped.get()),
            slow_consumers: sum(|counters| counters.slow_consumers.get()),
            certificate_expires: self
                .loaded
                .config
                .tls
                .identity
                .as_ref()
                .map(|identity| identity.expires),
            queue_memory_bytes: sum(|counters| counters.queue_memory() as u64),
            queue_memory_limit_bytes: self.loaded.config.limits.total_queue as u64,
            connections_opened: sum(|counters| counters.opened.get()),
            bytes_in: sum(|counters| counters.bytes_in.get()),
            bytes_out: sum(|counters| counters.bytes_out.get()),
            fanout: self.metrics.sources().fanout(),
            worker_lag_seconds: self.metrics.sources().lags(),
            last_reload: self.last_reload.clone(),
            busiest_channels: Vec::new(),
            longest_queues: Vec::new(),
        }
    }

    /// Ends accepting and the workers. What of them has not ended after `patience` is left behind, with the process.
    async fn end(self, inputs: Inputs, code: ExitCode, patience: Duration) -> ExitCode {
        drop(inputs);
        if let Some(control) = self.control {
            // Whoever has asked gets an answer; a panic in it has been told.
            let _ = control.await;
        }
        self.listeners.close(patience).await;
        if let Some(workers) = Arc::into_inner(self.workers) {
            workers.stop(patience).await;
        }
        code
    }
}

/// The status with what workers say of themselves; where they do not answer in time it goes without.
async fn with_load(mut status: Status, workers: &Workers) -> Status {
    let told = async {
        let loads = workers.load().await.ok()?;
        let (mut busiest, mut longest) = (Vec::new(), Vec::new());
        for load in loads {
            busiest.extend(load.busiest);
            longest.extend(load.longest);
        }
        busiest.sort_by(|one, other| {
            other.messages.cmp(&one.messages).then_with(|| one.name.cmp(&other.name))
        });
        busiest.truncate(load::MOST);
        longest.sort_by_key(|queue| std::cmp::Reverse(queue.bytes));
        longest.truncate(load::MOST);
        let names = busiest.iter().map(|channel| channel.name.clone()).collect();
        Some((busiest, workers.readers(names).await.ok()?, longest))
    };
    if let Ok(Some((busiest, readers, longest))) = timeout(LOADS, told).await {
        let busiest = busiest.into_iter().zip(readers);
        status.busiest_channels = busiest
            .map(|(channel, subscribers)| ChannelLoad {
                channel: channel.name.to_string(),
                messages_a_second: channel.messages,
                subscribers,
            })
            .collect();
        let longest = longest.into_iter();
        status.longest_queues = longest
            .map(|queue| QueueLoad {
                id: queue.id,
                peer: queue.peer.to_string(),
                subject: queue.subject.map(String::from),
                queued_bytes: queue.bytes,
                over: queue.is_over,
            })
            .collect();
    }
    status
}
