//! The life of the process: signals, configuration, listeners, workers, readiness, drain.
//!
//! [`run`] is that life from top to bottom. Nothing below this module knows of signals or of a service manager.

pub mod ask;
pub mod control;
mod listener;
mod log;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook_tokio::Signals;
use tokio::task::JoinSet;

use crate::config::{Config, LoadOptions, RealSources, load};
use crate::connection::relay::Relay;
use crate::connection::table::Settings;
use crate::http::front::Shared;
use crate::http::rules::Rules;
use crate::worker::{Command, Workers};
use listener::Listener;

/// What the daemon is started with.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where its configuration is.
    pub load: LoadOptions,
}

/// The exit code of an internal fault (sysexits.h, EX_SOFTWARE).
const INTERNAL: u8 = 70;
/// How often the end of a drain is looked for.
const LOOK: Duration = Duration::from_millis(10);

/// Lives the life of the process; its exit code.
///
/// 0 after a stop that was asked for, 64 to 78 as sysexits.h has them: 69 an address in use or not there yet,
/// 70 a fault of ours, 77 not permitted, 78 a fault in the configuration.
pub fn run(options: &Options) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(live(options)),
        Err(error) => {
            tell(&format!("philote: no runtime: {error}"));
            ExitCode::from(INTERNAL)
        }
    }
}

async fn live(options: &Options) -> ExitCode {
    // Before anything else: the default of HUP, USR1 and USR2 is death.
    let mut signals = match Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2]) {
        Ok(signals) => signals.fuse(),
        Err(error) => {
            tell(&format!("philote: cannot handle signals: {error}"));
            return ExitCode::from(INTERNAL);
        }
    };
    if let Err(fault) = crate::auth::self_check() {
        tell(&format!("philote: cannot verify tokens: {fault}"));
        return ExitCode::from(INTERNAL);
    }
    let loaded = match load(&RealSources, &options.load) {
        Ok(loaded) => loaded,
        Err(faults) => {
            tell(&faults.to_string());
            return ExitCode::from(faults.exit_code());
        }
    };
    let config = loaded.config;
    log::install(&config.log);
    log::log_panics();
    for warning in &loaded.warnings {
        tracing::warn!(event = "configuration_warning", "{warning}");
    }
    raise_descriptor_limit(&config);
    let listeners = match listener::bind_all(&config) {
        Ok(listeners) => listeners,
        Err(faults) => {
            let mut code = 0;
            for fault in faults {
                tracing::error!(event = "bind_failed", "{fault}");
                code = code.max(fault.exit_code());
            }
            return ExitCode::from(code);
        }
    };
    let shared = Arc::new(Shared::new(config.workers.get()));
    let port = listeners.iter().find_map(Listener::port).unwrap_or(0);
    shared.tcp_port.store(port, Ordering::Relaxed);
    shared.pending.set_most(config.limits.max_pending);
    let rules = Arc::new(Rules::from(&config));
    let settings = Settings::from(&config);
    let workers = match Workers::start(&shared, &rules, &settings, || Box::<Relay>::default()) {
        Ok(workers) => workers,
        Err(error) => {
            tracing::error!(event = "worker_failed", %error, "cannot start a worker");
            return ExitCode::from(INTERNAL);
        }
    };
    serve(&config, listeners, &shared, workers, &mut signals).await
}

/// From ready to stopped.
async fn serve(
    config: &Config,
    listeners: Vec<Listener>,
    shared: &Arc<Shared>,
    (workers, mut broken): (Workers, crate::worker::Broken),
    signals: &mut (impl StreamExt<Item = i32> + Unpin),
) -> ExitCode {
    let addresses: Vec<String> = listeners.iter().map(Listener::address).collect();
    let status = format!("listening on {}", addresses.join(", "));
    let workers = Arc::new(workers);
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(listener::accept_all(listener, workers.clone()));
    }
    tracing::info!(
        event = "ready",
        version = env!("CARGO_PKG_VERSION"),
        workers = config.workers.get(),
        "{status}"
    );
    notify(&[NotifyState::Ready, NotifyState::Status(&status)]);
    let code = loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Some(SIGTERM | SIGINT | SIGQUIT) | None => break ExitCode::SUCCESS,
                Some(other) => tracing::info!(event = "signal_ignored", signal = other, "nothing is bound to this signal"),
            },
            worker = broken.wait() => {
                tracing::error!(event = "worker_failed", worker = ?worker, "a worker has ended; so does the process, to be restarted whole");
                break ExitCode::from(INTERNAL);
            }
        }
    };
    if code == ExitCode::SUCCESS {
        notify(&[NotifyState::Stopping, NotifyState::Status("draining")]);
        drain(config, shared, &workers, signals).await;
    }
    accepting.shutdown().await;
    if let Some(workers) = Arc::into_inner(workers) {
        workers.stop();
    }
    code
}

/// Closes every connection with 1001 and waits for them to go, at most as long as configured.
async fn drain(
    config: &Config,
    shared: &Shared,
    workers: &Workers,
    signals: &mut (impl StreamExt<Item = i32> + Unpin),
) {
    shared.draining.store(true, Ordering::Relaxed);
    // Places, so that handshakes under way count: they become connections yet, and are told.
    let open = || shared.taken.load(Ordering::Relaxed);
    tracing::info!(event = "drain", connections = open(), "draining");
    workers.tell_all(|| Command::Drain).await;
    let gone = async {
        while open() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        () = gone => {}
        () = tokio::time::sleep(config.shutdown.drain_timeout) => {}
        _ = signals.next() => {}
    }
    let cut = open();
    if cut > 0 {
        workers.tell_all(|| Command::Cut).await;
    }
    tracing::info!(event = "stopped", cut, "stopped");
}

/// Raises the soft limit on descriptors to the hard one, and says where that is not enough.
fn raise_descriptor_limit(config: &Config) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    /// Descriptors beside the connections: listeners, logs, runtimes, files while they are read.
    const OTHERS: u64 = 64;
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(event = "descriptor_limit", %error, "cannot raise the limit on open files");
        }
    }
    let wanted = (config.limits.max_connections + config.limits.max_pending) as u64 + OTHERS;
    if let Some(limit) = getrlimit(Resource::Nofile).current.filter(|limit| *limit < wanted) {
        tracing::warn!(
            event = "descriptor_limit",
            limit,
            wanted,
            "limits.max_connections cannot be reached: raise the limit on open files (LimitNOFILE, ulimit -n) or lower it"
        );
    }
}

/// Tells the service manager, if there is one.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(event = "notify_failed", %error, "the service manager could not be told");
    }
}

/// Says something before there is a log.
fn tell(text: &str) {
    use std::io::Write;
    // Nobody is left to tell where this fails.
    let _ = writeln!(std::io::stderr(), "{text}");
}
