//! The command line, tested on the real binary: its tools against a server that a script plays, so
//! that it can say what no server of ours says.

#[path = "../support/dir.rs"]
mod dir;
mod play;
mod program;
#[path = "../support/required.rs"]
mod required;

mod check;
mod clients;
mod completions;
mod console;
mod credentials;
mod install;
mod manual;
mod notices;
mod portable;
mod publish;
mod steer;
mod subscribe;
mod token;
mod usage;

use std::time::Duration;

/// The longest that anything may take which happens at once on a healthy machine.
const PATIENCE: Duration = Duration::from_secs(20);
