//! A reload as a transaction: prepare (read, validate, bind: can fail), then commit (cannot).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use super::ask::{LastReload, ReloadOutcome, Reloaded};
use super::descriptors;
use super::listeners::{NO_CERTIFICATE, Purpose};
use super::preconditions;
use super::server::Server;
use crate::config::{
    Change, Config, Fault, Loaded, OnWithdrawal, RealSources, Reload, diff, load_for_reload,
    refused_by_reload, reload_warnings, show_duration,
};
use crate::connection::Settings;
use crate::http::rules::Rules;

/// A configuration that would hold, and what it changes.
struct Candidate {
    loaded: Loaded,
    /// With the old values of what waits for a restart.
    effective: Config,
    report: Reloaded,
}

impl Server {
    /// Reads everything again and puts it in force, all or nothing; says what came of it in the log.
    pub(super) async fn reload(&mut self) -> ReloadOutcome {
        let mut outcome = self.try_reload().await;
        let fault = match &mut outcome {
            ReloadOutcome::Done(report) => {
                for line in &report.changes {
                    tracing::info!(event = "reload_change", "{line}");
                }
                for line in &report.restart {
                    tracing::warn!(event = "reload_waits", "{line}");
                }
                for line in &report.warnings {
                    tracing::warn!(event = "configuration_warning", "{line}");
                }
                report.warnings.extend(self.note_certificate());
                tracing::info!(
                    event = "reload",
                    changes = report.changes.len(),
                    withdrawn = report.withdrawn,
                    "reloaded"
                );
                // Only now, so that it is said before the first one goes; and whatever a worker that did not
                // answer has not counted.
                if self.loaded.config.auth.on_withdrawal == OnWithdrawal::Close {
                    self.workers.withdraw(self.loaded.config.auth.withdrawal_spread).await;
                }
                None
            }
            ReloadOutcome::Rejected(faults) => {
                for fault in &*faults {
                    tracing::error!(event = "reload_fault", "{fault}");
                }
                tracing::error!(
                    event = "reload_failed",
                    faults = faults.len(),
                    "reload rejected: the old configuration stays in force"
                );
                faults.first().cloned()
            }
            ReloadOutcome::Draining => Some("the server is draining".to_owned()),
        };
        let now = SystemTime::now();
        self.metrics.sources().note_reload(now, fault.is_none());
        self.last_reload = Some(LastReload {
            at: now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            done: fault.is_none(),
            fault,
        });
        outcome
    }

    async fn try_reload(&mut self) -> ReloadOutcome {
        let candidate = match self.candidate() {
            Ok(candidate) => candidate,
            Err(faults) => return ReloadOutcome::Rejected(faults),
        };
        let listeners = match self.listeners.prepare(&candidate.effective) {
            Ok(prepared) => prepared,
            Err(faults) => {
                return ReloadOutcome::Rejected(faults.iter().map(ToString::to_string).collect());
            }
        };
        let Candidate { mut loaded, effective, mut report } = candidate;
        self.shared.pending.set_most(effective.limits.max_pending);
        if effective.limits.handshakes_per_second_per_ip.is_none() {
            self.shared.handshake_rate.forget();
        }
        self.metrics.sources().set_limits(&effective.limits);
        self.log.set_level(effective.log.level);
        let rules = Arc::new(Rules::from(&effective));
        let settings = Settings::from(&effective);
        match self.workers.configure(&rules, &settings).await {
            Ok(withdrawn) if rules.withdraws => report.withdrawn = withdrawn,
            Ok(_) => {}
            Err(stuck) => {
                report.warnings.push(format!("{stuck}: it goes by the old configuration"))
            }
        }
        // New listeners after the new rules: who comes to them is judged by nothing older.
        self.listeners.commit(listeners).await;
        self.shared.tcp_port.store(self.listeners.port(), Ordering::Relaxed);
        if report.withdrawn > 0 {
            report.warnings.push(format!(
                "{} connections rest on keys that are accepted no more and are closed within {}; a reload \
                 that accepts their key again calls that off",
                report.withdrawn,
                show_duration(effective.auth.withdrawal_spread)
            ));
        }
        loaded.config = effective;
        self.loaded = loaded;
        ReloadOutcome::Done(report)
    }

    /// What a reload would change, without changing it.
    pub(super) async fn check(&self) -> ReloadOutcome {
        let Candidate { effective, mut report, .. } = match self.candidate() {
            Ok(candidate) => candidate,
            Err(faults) => return ReloadOutcome::Rejected(faults),
        };
        if effective.auth.on_withdrawal == OnWithdrawal::Close {
            match self.workers.count_withdrawn(&Arc::new(Rules::from(&effective))).await {
                Ok(withdrawn) => report.withdrawn = withdrawn,
                Err(stuck) => report.warnings.push(stuck.to_string()),
            }
        }
        if report.withdrawn > 0 {
            report.warnings.push(format!(
                "{} connections rest on keys that would be accepted no more, and would be closed within {:?}",
                report.withdrawn, effective.auth.withdrawal_spread
            ));
        }
        ReloadOutcome::Done(report)
    }

    fn candidate(&self) -> Result<Candidate, Vec<String>> {
        let lines = |faults: &[Fault]| faults.iter().map(ToString::to_string).collect::<Vec<_>>();
        let loaded =
            load_for_reload(&RealSources, &self.options.load).map_err(|faults| lines(&faults.0))?;
        let refused = refused_by_reload(&self.loaded, &loaded);
        if !refused.is_empty() {
            return Err(lines(&refused));
        }
        let old = &self.loaded.config;
        let auth = &loaded.config.auth;
        if auth.accepts_empty_key()
            && !auth.allow_empty_secret
            && self.listeners.reach_beyond_loopback(Purpose::Clients)
        {
            let faults = "auth.secret: the empty secret would let anyone sign tokens, and this server listens \
                          beyond loopback; set a secret, or auth.allow_empty_secret = true";
            return Err(vec![faults.to_owned()]);
        }
        if self.listeners.are_given(Purpose::Clients)
            && self.listeners.lack_certificate(&loaded.config)
        {
            return Err(vec![NO_CERTIFICATE.to_owned()]);
        }
        // What was wrong before stands in the way of no other change.
        let lacking_for = |config| {
            preconditions::lacking_beside(config, |purpose| self.listeners.are_given(purpose))
        };
        let known = lacking_for(old);
        let (known, lacking): (Vec<_>, Vec<_>) =
            lacking_for(&loaded.config).into_iter().partition(|lack| known.contains(lack));
        if !lacking.is_empty() {
            return Err(lacking.iter().map(ToString::to_string).collect());
        }
        let mut report = Reloaded::default();
        report.warnings.extend(known.iter().map(|lack| format!("a start would fail now: {lack}")));
        // One that a reload brings is worth a line; one that was there before has had it.
        let unavailable_in = |config| {
            preconditions::unavailable_beside(config, |purpose| self.listeners.are_given(purpose))
        };
        let before = unavailable_in(old);
        let unavailable = unavailable_in(&loaded.config);
        report.warnings.extend(unavailable.into_iter().filter(|line| !before.contains(line)));
        let changes = diff(old, &loaded.config);
        for change in &changes {
            match change.reload {
                Reload::Listeners
                    if Purpose::of(change.key)
                        .is_some_and(|purpose| self.listeners.are_given(purpose)) =>
                {
                    report.warnings.push(format!(
                        "{}: ignored: the listeners are the service manager's",
                        change.key
                    ));
                }
                Reload::Restart => report.restart.push(waits(change)),
                _ => report.changes.push(change.to_string()),
            }
        }
        report.warnings.extend(loaded.warnings.iter().map(ToString::to_string));
        report
            .warnings
            .extend(reload_warnings(&self.loaded, &loaded).iter().map(ToString::to_string));
        report.warnings.extend(descriptors::shortage(&loaded.config.limits));
        let effective = without_restart(old, loaded.config.clone());
        Ok(Candidate { loaded, effective, report })
    }
}

fn waits(change: &Change) -> String {
    if change.key == "listen" {
        // Which default listeners apply is decided at start: nobody expects a secret to open a port.
        return format!("listen: the default is now {}; restart to listen there", change.new);
    }
    format!("{change}; restart to put it in force")
}

/// `new` with the old values of what a reload cannot change.
fn without_restart(old: &Config, mut new: Config) -> Config {
    new.workers = old.workers;
    new.log.output = old.log.output.clone();
    new.log.format = old.log.format;
    new.control = old.control.clone();
    new
}
