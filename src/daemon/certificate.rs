//! Owns [`CertificateWatch`]: tells of the end of the certificate while there is time to renew it, at the start, at a
//! reload and once a day.

use std::time::SystemTime;

use crate::config::Config;

/// Seconds between two looks.
const DAY: u64 = 24 * 60 * 60;

/// When it was last looked at, in seconds since 1970 by the clock on the wall, which goes on while a machine sleeps.
#[derive(Debug, Default)]
pub(super) struct CertificateWatch {
    looked: Option<u64>,
}

impl CertificateWatch {
    /// Looks, if it has not been looked at for a day, and logs what there is to say.
    pub(super) fn look(&mut self, config: &Config) {
        let now = now();
        if self.looked.is_none_or(|looked| now.abs_diff(looked) >= DAY) {
            self.look_now(config);
        }
    }

    /// Looks, and logs what there is to say; that, too.
    pub(super) fn look_now(&mut self, config: &Config) -> Option<String> {
        let now = now();
        self.looked = Some(now);
        let warning = config.tls.identity.as_ref()?.expiry_warning(now)?;
        tracing::warn!(event = "certificate_expires", "{warning}");
        Some(warning)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
