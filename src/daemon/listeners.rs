//! The listeners in force: those of our own, which a reload moves, and those that the service manager gave, which
//! it leaves alone. Some are for clients, others for whoever reads metrics; where any of a purpose is given, the key
//! of that purpose is ignored.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::bind::{BindError, Leaving, bind, bind_over};
use super::families;
use super::listener::{Listener, To, accept_until};
use super::metrics::Exposition;
use crate::config::{Config, ListenAddress, Preamble};
use crate::worker::Workers;

/// What is wrong where [`Listeners::lack_certificate`].
pub(super) const NO_CERTIFICATE: &str = "tls.certificate: none, and the service manager has given a listener for TLS \
    (FileDescriptorName=https); set tls.certificate and tls.key";
/// How long those that go may take to hand on whom they have accepted.
const PATIENCE: Duration = Duration::from_secs(2);

/// The listeners in force.
#[derive(Debug)]
pub(super) struct Listeners {
    running: Vec<Running>,
    workers: Arc<Workers>,
    exposition: Arc<Exposition>,
    /// What the default listeners are, where they are in force: decided when they were opened, since nobody
    /// expects that a secret which is set by a reload opens a port.
    defaults: Option<Vec<ListenAddress>>,
}

/// A listener that is accepted from.
#[derive(Debug)]
struct Running {
    /// What asked for it, with the family that this machine has; None where the service manager gave it.
    asked: Option<ListenAddress>,
    purpose: Purpose,
    preamble: Preamble,
    listener: Arc<Listener>,
    /// Ends accepting; what has been accepted by then is served.
    stop: oneshot::Sender<End>,
    task: JoinHandle<()>,
}

/// How accepting ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Who waits in the backlog is still accepted, since nobody else will.
    Emptied,
    /// The backlog waits for whoever listens next.
    Left,
}

/// Whom a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Clients, and plain requests of anybody.
    Clients,
    /// Whoever reads metrics.
    Metrics,
}

impl Purpose {
    /// Each of them.
    pub(super) const ALL: [Purpose; 2] = [Purpose::Clients, Purpose::Metrics];

    /// What a configuration asks for.
    pub(super) fn addresses(self, config: &Config) -> Vec<ListenAddress> {
        match self {
            Purpose::Clients => config.listen_addresses(),
            Purpose::Metrics => config.metrics.listen.clone(),
        }
    }

    /// The key that says where.
    pub(super) fn key(self) -> &'static str {
        match self {
            Purpose::Clients => "listen",
            Purpose::Metrics => "metrics.listen",
        }
    }

    /// The purpose that this key is about.
    pub(super) fn of(key: &str) -> Option<Purpose> {
        Purpose::ALL.into_iter().find(|purpose| purpose.key() == key)
    }
}

/// Listeners that are bound and not yet accepted from.
pub(super) type Bound = Vec<Opened>;

/// One of them.
#[derive(Debug)]
pub(super) struct Opened {
    /// What asked for it; None where the service manager gave it.
    pub(super) asked: Option<ListenAddress>,
    pub(super) purpose: Purpose,
    pub(super) preamble: Preamble,
    pub(super) listener: Listener,
}

impl Opened {
    pub(super) fn new(purpose: Purpose, address: ListenAddress, listener: Listener) -> Opened {
        Opened { purpose, preamble: address.preamble(), asked: Some(address), listener }
    }
}

/// What a reload would change; dropped, it changes nothing.
#[derive(Debug)]
pub(super) struct Prepared {
    fresh: Bound,
    /// What of the running ones stays.
    stays: Vec<bool>,
    defaults: Option<Vec<ListenAddress>>,
}

/// Takes the listeners that the service manager gave; else binds all that the configuration asks for.
///
/// # Errors
/// Every address that cannot be had.
pub(super) fn open(config: &Config) -> Result<Bound, Vec<BindError>> {
    let given = super::activation::take()?;
    let (mut bound, mut faults) = (Vec::new(), Vec::new());
    for purpose in Purpose::ALL {
        if given.iter().any(|opened| opened.purpose == purpose) {
            continue;
        }
        let (addresses, unavailable) = families::fit(&purpose.addresses(config));
        for lacking in unavailable {
            let key = purpose.key();
            tracing::info!(event = "family_lacking", address = lacking.address, "{key}: {lacking}");
        }
        for address in addresses {
            match bind(&address) {
                Ok(listener) => bound.push(Opened::new(purpose, address, listener)),
                Err(fault) => faults.push(fault.of(purpose)),
            }
        }
    }
    bound.extend(given);
    if faults.is_empty() { Ok(bound) } else { Err(faults) }
}

impl Listeners {
    /// Accepts from these, giving clients to `workers` and readers of metrics to `exposition`.
    pub(super) fn start(
        bound: Bound,
        config: &Config,
        workers: Arc<Workers>,
        exposition: Arc<Exposition>,
    ) -> Listeners {
        let defaults = config.listens_by_default().then(|| config.listen_addresses());
        let mut listeners = Listeners { running: Vec::new(), workers, exposition, defaults };
        bound.into_iter().for_each(|opened| listeners.run(opened));
        listeners
    }

    fn run(&mut self, Opened { asked, purpose, preamble, listener }: Opened) {
        let listener = Arc::new(listener);
        let (stop, stopped) = oneshot::channel();
        let task = match purpose {
            // On a worker, so that under many newcomers the kernel does not go to and fro between two threads.
            Purpose::Clients => {
                let to = To::Workers(self.workers.clone(), preamble);
                self.workers.spawn(accept_until(stopped, listener.clone(), to))
            }
            Purpose::Metrics => {
                let to = To::Exposition(self.exposition.clone());
                tokio::spawn(accept_until(stopped, listener.clone(), to))
            }
        };
        self.running.push(Running { asked, purpose, preamble, listener, stop, task });
    }

    fn of(&self, purpose: Purpose) -> impl Iterator<Item = &Running> {
        self.running.iter().filter(move |running| running.purpose == purpose)
    }

    /// Whether the service manager gave those of a purpose.
    pub(super) fn are_given(&self, purpose: Purpose) -> bool {
        self.of(purpose).any(|running| running.asked.is_none())
    }

    /// Whether somebody beyond this machine can reach one of them.
    pub(super) fn reach_beyond_loopback(&self, purpose: Purpose) -> bool {
        self.of(purpose).any(|running| !running.listener.is_local())
    }

    /// Whether one of them is for TLS, and there is no certificate: the service manager may have given it.
    pub(super) fn lack_certificate(&self, config: &Config) -> bool {
        config.tls.identity.is_none() && self.running.iter().any(|running| running.preamble.tls)
    }

    /// The addresses as they were bound, each with what comes before its first request.
    pub(super) fn addresses(&self, purpose: Purpose) -> Vec<String> {
        let shown =
            |running: &Running| format!("{}{}", running.listener.address(), running.preamble);
        self.of(purpose).map(shown).collect()
    }

    /// The port of the first for clients that has one; 0 where none has.
    pub(super) fn port(&self) -> u16 {
        self.of(Purpose::Clients).find_map(|running| running.listener.port()).unwrap_or(0)
    }

    /// Binds what a configuration asks for and is not there yet. Nothing changes before [`Listeners::commit`].
    ///
    /// # Errors
    /// Every address that cannot be had.
    pub(super) fn prepare(&self, config: &Config) -> Result<Prepared, Vec<BindError>> {
        let by_default = config.listens_by_default();
        let for_clients = match &self.defaults {
            Some(defaults) if by_default => defaults.clone(),
            _ => config.listen_addresses(),
        };
        let fitting = |purpose| match purpose {
            _ if self.are_given(purpose) => Vec::new(),
            Purpose::Clients => families::fit(&for_clients).0,
            Purpose::Metrics => families::fit(&config.metrics.listen).0,
        };
        let (clients, metrics) = (fitting(Purpose::Clients), fitting(Purpose::Metrics));
        let wanted = |purpose| match purpose {
            Purpose::Clients => &clients[..],
            Purpose::Metrics => &metrics[..],
        };
        let is_wanted = |running: &Running| {
            running.asked.as_ref().is_none_or(|asked| wanted(running.purpose).contains(asked))
        };
        let stays: Vec<bool> = self.running.iter().map(is_wanted).collect();
        let leaving = self.running.iter().zip(&stays).filter(|(_, stays)| !**stays);
        // Its end is that of this function: a port is shared until the new listeners listen.
        let leaving = Leaving(leaving.map(|(running, _)| &*running.listener).collect());
        let mut fresh = Vec::new();
        let mut faults = Vec::new();
        for purpose in Purpose::ALL {
            let is_new = |address: &&ListenAddress| {
                !self.of(purpose).any(|running| running.asked.as_ref() == Some(address))
            };
            for address in wanted(purpose).iter().filter(is_new) {
                // An address that overlaps one of ours that goes, such as 0.0.0.0 and 127.0.0.1, is taken over.
                match bind(address).or_else(|fault| bind_over(address, &leaving, fault)) {
                    Ok(listener) => fresh.push(Opened::new(purpose, address.clone(), listener)),
                    Err(fault) => faults.push(fault.of(purpose)),
                }
            }
        }
        // Only where nothing is lacking: whoever comes to a listener that is given up is reset.
        for opened in fresh.iter().filter(|_| faults.is_empty()) {
            if let (Err(error), Some(address)) = (opened.listener.listen(), &opened.asked) {
                let fault = BindError::new(address, error).of(opened.purpose);
                return Err(vec![fault]);
            }
        }
        let defaults = by_default.then_some(for_clients);
        if faults.is_empty() { Ok(Prepared { fresh, stays, defaults }) } else { Err(faults) }
    }

    /// Accepts from the new ones, then no more from the old ones, which are closed when this returns; open
    /// connections stay.
    pub(super) async fn commit(&mut self, prepared: Prepared) {
        let Prepared { mut fresh, mut stays, defaults } = prepared;
        self.defaults = defaults;
        fresh.retain_mut(|opened| {
            let Err(error) = opened.listener.take_over() else { return true };
            let (key, path) = (opened.purpose.key(), opened.listener.path().unwrap_or(Path::new("")));
            tracing::error!(
                event = "bind_failed",
                "{key}: {}: the new socket cannot take the place of the old one, which stays: {error}; let the \
                 server's user rename files in that directory, and reload",
                path.display()
            );
            for (running, stays) in self.running.iter().zip(&mut stays) {
                *stays |= running.listener.is_at(path);
            }
            false
        });
        let old = std::mem::take(&mut self.running);
        fresh.into_iter().for_each(|opened| self.run(opened));
        let fresh = std::mem::take(&mut self.running);
        let mut leaving = Vec::new();
        for (running, stays) in old.into_iter().zip(stays) {
            if stays {
                self.running.push(running);
            } else {
                leaving.push((running.listener.clone(), running.end(End::Emptied)));
            }
        }
        self.running.extend(fresh);
        let deadline = Instant::now() + PATIENCE;
        for (listener, mut task) in leaving {
            if timeout_at(deadline, &mut task).await.is_err() {
                // It waits for a worker that is stuck; its address is free all the same.
                task.abort();
                listener.shut();
            }
        }
    }

    /// Accepts no more from those for clients that the service manager holds: who comes now waits for our
    /// successor. Whoever was accepted is with the workers when these tasks have ended.
    pub(super) fn leave_given(&mut self) -> Vec<JoinHandle<()>> {
        let (given, own): (Vec<_>, Vec<_>) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|running| running.asked.is_none() && running.purpose == Purpose::Clients);
        self.running = own;
        given.into_iter().map(|running| running.end(End::Left)).collect()
    }

    /// Accepts no more at all. What a stuck worker holds is not waited for longer than this.
    pub(super) async fn close(self, patience: Duration) {
        let deadline = Instant::now() + patience;
        self.running.iter().for_each(|running| running.task.abort());
        for running in self.running {
            // It ends with its abortion.
            if timeout_at(deadline, running.task).await.is_err() && running.asked.is_some() {
                running.listener.shut();
            }
        }
    }
}

impl Running {
    /// The task ends soon, and the listener is closed with it.
    fn end(self, end: End) -> JoinHandle<()> {
        // A task that has ended already needs no telling.
        let _ = self.stop.send(end);
        self.task
    }
}
