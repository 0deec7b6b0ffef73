//! Owns which signals the daemon takes, and what is said of them. What is done stands in `server`.

use std::ffi::c_int;
use std::fmt::Write as _;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

/// A signal, or several that mean the same.
#[derive(Debug)]
pub struct SignalKind {
    /// Their numbers.
    pub numbers: &'static [c_int],
    /// Their names.
    pub names: &'static [&'static str],
    /// What happens.
    pub meaning: &'static str,
}

/// Every signal that is handled. The default of most of them would be death.
pub static SIGNALS: &[SignalKind] = &[
    SignalKind {
        numbers: &[SIGTERM, SIGINT],
        names: &["SIGTERM", "SIGINT"],
        meaning: "a polite stop; a second one ends it at once",
    },
    SignalKind {
        numbers: &[SIGHUP],
        names: &["SIGHUP"],
        meaning: "a reload; where the terminal that it was started from has been closed, a polite stop",
    },
    SignalKind {
        numbers: &[SIGQUIT],
        names: &["SIGQUIT"],
        meaning: "every connection is cut, and philote exits",
    },
    SignalKind {
        numbers: &[SIGUSR1],
        names: &["SIGUSR1"],
        meaning: "a log file is opened anew, and a line of status is logged",
    },
    SignalKind { numbers: &[SIGUSR2], names: &["SIGUSR2"], meaning: "logged, and ignored" },
];

/// Their table in `docs/operating.md`.
pub fn signal_table() -> String {
    let mut text = String::from("| signal | what happens |\n|---|---|\n");
    for signal in SIGNALS {
        let _ = writeln!(text, "| {} | {} |", signal.names.join(", "), signal.meaning);
    }
    text
}
