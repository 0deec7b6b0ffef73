//! The limit on open files: raised as far as it goes, and compared with what the configuration wants.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Limits;

/// Descriptors beside the connections: listeners, logs, runtimes, files while they are read.
const OTHERS: u64 = 64;

/// Raises the soft limit to the hard one.
pub(super) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(event = "descriptor_limit", %error, "cannot raise the limit on open files");
        }
    }
}

/// What to say where the limit is too low for `limits`.
pub(super) fn shortage(limits: &Limits) -> Option<String> {
    let wanted = (limits.max_connections + limits.max_pending) as u64 + OTHERS;
    let limit = getrlimit(Resource::Nofile).current.filter(|limit| *limit < wanted)?;
    Some(format!(
        "limits.max_connections: {} and limits.max_pending: {} need {wanted} open files, and {limit} are \
         allowed; raise that (LimitNOFILE=, ulimit -n) or lower these",
        limits.max_connections, limits.max_pending
    ))
}
