//! The limit on open files: raised as far as it goes, and compared with what the configuration wants.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Limits;

/// Descriptors beside the connections: listeners, logs, runtimes, files while they are read, and as many again for
/// sockets that are on their way out.
const OTHERS: u64 = 128;

/// What macOS takes as a soft limit where it calls the hard one endless: OPEN_MAX of its sys/syslimits.h.
const OPEN_MAX: u64 = 10_240;

/// Raises the soft limit as far as it goes.
pub(super) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Some(current) = raised(&limit, cfg!(target_os = "macos")) {
        let raised = Rlimit { current, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(event = "descriptor_limit", %error, "cannot raise the limit on open files");
        }
    }
}

/// The soft limit to ask for, where that is more than there is; `None` within is endless.
fn raised(limit: &Rlimit, is_macos: bool) -> Option<Option<u64>> {
    let most = if is_macos { limit.maximum.or(Some(OPEN_MAX)) } else { limit.maximum };
    let is_more = match (limit.current, most) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(current), Some(most)) => current < most,
    };
    is_more.then_some(most)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_goes_up_to_the_hard_one_and_on_macos_not_to_an_endless_one() {
        let cases = [
            (Some(256), Some(1024), false, Some(Some(1024))),
            (Some(1024), Some(1024), false, None),
            (Some(256), None, false, Some(None)),
            (Some(256), None, true, Some(Some(OPEN_MAX))),
            (Some(65_536), None, true, None),
            (Some(256), Some(1024), true, Some(Some(1024))),
            (None, None, true, None),
        ];
        for (current, maximum, is_macos, expected) in cases {
            let limit = Rlimit { current, maximum };
            assert_eq!(raised(&limit, is_macos), expected, "{limit:?} {is_macos}");
        }
    }
}
