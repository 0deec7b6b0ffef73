//! The life of the process: signals, configuration, listeners, workers, readiness, reload, drain.
//!
//! [`run`] is its beginning from top to bottom, `server` the loop after that. Nothing below this module knows
//! of signals or of a service manager.
//!
//! - [`preconditions`]: what a start needs of the machine.
//! - `listeners`, `listener`, `bind`, `families`, `socket_file`, `activation`: where it is reached.
//! - `reload`: a new configuration, all or nothing. `certificate`: its end.
//! - `log`, [`events`]: what administrators read. [`signals`]: what they may send.
//! - `drain`: the stop. `manager`, `watchdog`: what the service manager hears.
//! - [`metrics`]: what is measured. `memory`: giving it back.
//! - [`ask`]: what tools may ask. [`control`]: the socket that they ask on.

mod activation;
pub mod ask;
mod bind;
mod certificate;
pub mod control;
mod descriptors;
mod drain;
mod families;
mod listener;
mod listeners;
mod log;
mod manager;
mod memory;
pub mod metrics;
pub mod preconditions;
mod reload;
mod server;
pub mod signals;
mod socket_file;
mod watchdog;

pub use log::events;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use signal_hook_tokio::Signals;
use tokio::sync::mpsc;

use crate::config::{Config, LoadOptions, Origin, RealSources, load};
use crate::connection::Settings;
use crate::connection::relay::Relay;
use crate::http::front::Shared;
use crate::http::rules::Rules;
use crate::worker::Workers;
use control::ControlSocket;
use listeners::{Bound, Listeners, Opened, Purpose};
use manager::Manager;
use metrics::{Exposition, Metrics};
use server::{Inputs, Server};

/// What the daemon is started with.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where its configuration is.
    pub load: LoadOptions,
}

/// The exit code of an internal fault (sysexits.h, EX_SOFTWARE).
const INTERNAL: u8 = 70;
/// Questions that may wait for the loop.
const ASKS: usize = 64;

/// Lives the life of the process; its exit code.
///
/// 0 after a stop that was asked for, 64 to 78 as sysexits.h has them: 69 an address in use or not there yet,
/// 70 a fault of ours, 77 not permitted, 78 a fault in the configuration.
pub fn run(options: &Options) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => match runtime.block_on(start(options)) {
            Ok((server, inputs)) => runtime.block_on(server.run(inputs)),
            Err(code) => ExitCode::from(code),
        },
        Err(error) => ExitCode::from(fail(&format!("philote: no runtime: {error}"), INTERNAL)),
    }
}

/// Everything that can fail, then readiness; where something does, its exit code, and nothing half started.
async fn start(options: &Options) -> Result<(Server, Inputs), u8> {
    // Before anything else: the default of HUP, USR1 and USR2 is death.
    let signals = Signals::new(signals::SIGNALS.iter().flat_map(|signal| signal.numbers))
        .map_err(|error| fail(&format!("philote: cannot handle signals: {error}"), INTERNAL))?;
    crate::auth::self_check()
        .map_err(|fault| fail(&format!("philote: cannot verify tokens: {fault}"), INTERNAL))?;
    let loaded = load(&RealSources, &options.load)
        .map_err(|faults| fail(&faults.to_string(), faults.exit_code()))?;
    let config = &loaded.config;
    let log = log::install(&config.log)
        .map_err(|error| fail(&format!("philote: {error}"), error.exit_code()))?;
    log::log_panics();
    tracing::info!(event = "start", version = env!("CARGO_PKG_VERSION"), "philote starts");
    keep_memory_private();
    for warning in &loaded.warnings {
        tracing::warn!(event = "configuration_warning", "{warning}");
    }
    descriptors::raise_limit();
    if let Some(shortage) = descriptors::shortage(&config.limits) {
        tracing::warn!(event = "descriptor_limit", "{shortage}");
    }
    let (bound, control) = open(config)?;
    refuse(&bound, config)?;
    let shared = Arc::new(Shared::new(config.workers.get()));
    shared.pending.set_most(config.limits.max_pending);
    let (rules, settings) = (Arc::new(Rules::from(config)), Settings::from(config));
    let (workers, broken) = Workers::start(&shared, &rules, &settings, || Box::<Relay>::default())
        .map_err(|error| {
            tracing::error!(event = "worker_failed", %error, "cannot start a worker");
            INTERNAL
        })?;
    let workers = Arc::new(workers);
    let lines_lost = Box::new(log.dropping());
    let sources = Arc::new(metrics::Sources::new(shared.clone(), &config.limits, lines_lost));
    let metrics = Arc::new(Metrics::new(sources));
    let exposition = Arc::new(Exposition::new(metrics.clone()));
    let listeners = Listeners::start(bound, config, workers.clone(), exposition);
    shared.tcp_port.store(listeners.port(), Ordering::Relaxed);
    warn_of_ignored(&listeners, &loaded.settings);
    let (asks, questions) = mpsc::channel(ASKS);
    let control = control.map(|socket| {
        let everyone = workers.everyone().clone();
        tokio::spawn(control::serve(socket, asks, metrics.clone(), everyone))
    });
    let mut server = Server {
        options: options.clone(),
        log,
        shared,
        workers,
        listeners,
        metrics,
        control,
        last_reload: None,
        certificate: certificate::CertificateWatch::default(),
        manager: Manager::default(),
        at_terminal: std::io::stdin().is_terminal(),
        loaded,
    };
    let addresses = server.listeners.addresses(Purpose::Clients).join(", ");
    tracing::info!(
        event = "ready",
        version = env!("CARGO_PKG_VERSION"),
        workers = server.shared.counters.len(),
        "listening on {addresses}"
    );
    server.note_certificate();
    server.manager.ready(&format!("listening on {addresses}"));
    Ok((server, Inputs { signals: signals.fuse(), asks: questions, broken }))
}

/// The listeners and the control socket, all or nothing; every fault is logged.
fn open(config: &Config) -> Result<(Bound, Option<ControlSocket>), u8> {
    let mut code = 0;
    let mut failed = |fault: &dyn std::fmt::Display, its: u8| {
        tracing::error!(event = "bind_failed", "{fault}");
        code = code.max(its);
    };
    let bound = listeners::open(config)
        .map_err(|faults| faults.iter().for_each(|fault| failed(fault, fault.exit_code())));
    let control = control::bind(&config.control).map_err(|fault| failed(&fault, fault.exit_code()));
    match (bound, control) {
        (Ok(bound), Ok(control)) => Ok((bound, control)),
        _ => Err(code),
    }
}

/// Ends the start over listeners that the configuration does not go with, which those of the service manager may be:
/// before anybody is accepted from them, who wait for a start that succeeds.
fn refuse(bound: &Bound, config: &Config) -> Result<(), u8> {
    let is_open = |opened: &Opened| {
        opened.asked.is_none() && opened.purpose == Purpose::Clients && !opened.listener.is_local()
    };
    if config.auth.is_confined_to_loopback() && bound.iter().any(is_open) {
        tracing::error!(
            event = "empty_secret",
            "auth.secret: empty, and the service manager's listeners reach beyond loopback, so anyone could \
             sign tokens; set a secret, or auth.allow_empty_secret = true"
        );
        return Err(78);
    }
    if config.tls.identity.is_none() && bound.iter().any(|opened| opened.preamble.tls) {
        tracing::error!(event = "bind_failed", "{}", listeners::NO_CERTIFICATE);
        return Err(78);
    }
    Ok(())
}

/// Keeps other processes of the same user, and core dumps, from secrets in memory.
fn keep_memory_private() {
    #[cfg(target_os = "linux")]
    if let Err(error) =
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
    {
        tracing::warn!(event = "dumpable", %error, "memory could not be kept from core dumps");
    }
}

/// Says where a key counts for nothing, since the service manager opened the listeners, and where it opened metrics
/// to others.
fn warn_of_ignored(listeners: &Listeners, settings: &[crate::config::Setting]) {
    for setting in settings.iter().filter(|setting| setting.origin != Origin::Default) {
        if Purpose::of(setting.key).is_some_and(|purpose| listeners.are_given(purpose)) {
            tracing::warn!(
                event = "configuration_warning",
                "{}: ignored: the listeners are the service manager's",
                setting.key
            );
        }
    }
    let purpose = Purpose::Metrics;
    if listeners.are_given(purpose) && listeners.reach_beyond_loopback(purpose) {
        tracing::warn!(
            event = "configuration_warning",
            "the service manager's listeners for metrics reach beyond loopback: whoever reaches them can read \
             them, without a token"
        );
    }
}

/// Says why nothing starts, before there is a log, and hands the exit code on.
fn fail(text: &str, code: u8) -> u8 {
    log::tell_without_log(text);
    code
}
