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
    /// Looks, if at this moment it has not been looked at for a day, and logs what there is to say; that, too.
    pub(super) fn look(&mut self, config: &Config, now: u64) -> Option<String> {
        let is_due = self.looked.is_none_or(|looked| now.abs_diff(looked) >= DAY);
        if is_due { self.look_now(config, now) } else { None }
    }

    /// Looks whenever that was, and logs what there is to say; that, too.
    pub(super) fn look_now(&mut self, config: &Config, now: u64) -> Option<String> {
        self.looked = Some(now);
        let warning = config.tls.identity.as_ref()?.expiry_warning(now)?;
        tracing::warn!(event = "certificate_expires", "{warning}");
        Some(warning)
    }
}

/// This moment, in seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::num::NonZeroUsize;
    use std::path::Path;

    use super::*;
    use crate::config::{FileContent, LoadOptions, ReadError, Sources, load};

    /// A certificate and its key.
    struct Files([String; 2]);

    impl Sources for Files {
        fn read(&self, path: &Path, _: usize) -> Result<FileContent, ReadError> {
            let found = ["/certificate", "/key"].iter().position(|name| Path::new(name) == path);
            let text = found.map(|at| self.0[at].clone()).ok_or(ReadError::Absent)?;
            Ok(FileContent { bytes: text.into(), mode: 0o600, own_group: true })
        }

        fn environment(&self) -> Vec<(OsString, OsString)> {
            let names = [("PHILOTE_TLS_CERTIFICATE", "/certificate"), ("PHILOTE_TLS_KEY", "/key")];
            names.map(|(name, value)| (name.into(), value.into())).into()
        }

        fn machine_memory(&self) -> Option<u64> {
            None
        }

        fn parallelism(&self) -> NonZeroUsize {
            NonZeroUsize::MIN
        }
    }

    /// A configuration with a certificate, and when that expires.
    fn config() -> (Config, u64) {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
        params.not_after = rcgen::date_time_ymd(2031, 3, 14);
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        let files = Files([certificate.pem(), key.serialize_pem()]);
        let loaded = load(&files, &LoadOptions::default()).expect("it is good");
        // Midnight of that day, by date(1).
        (loaded.config, 1_931_212_800)
    }

    #[test]
    fn the_end_is_looked_at_once_a_day_and_told_from_fourteen_days_on() {
        let ((config, end), mut watch) = (config(), CertificateWatch::default());
        let mut told = Vec::new();
        // As the daemon does, more often than once a day.
        for now in (end - 20 * DAY..=end + 2 * DAY + 60).step_by(60) {
            told.extend(watch.look(&config, now).map(|text| (now, text)));
        }
        let times: Vec<u64> = told.iter().map(|(now, _)| *now).collect();
        let expected: Vec<u64> = (0..17).map(|day| end - 14 * DAY + day * DAY).collect();
        assert_eq!(times, expected);
        for (day, (_, text)) in told.iter().enumerate() {
            let left = match day {
                0..=12 => format!("expires in {} days, on 2031-03-14", 14 - day),
                13 => "expires in 1 day, on 2031-03-14".into(),
                _ => "has expired on 2031-03-14".into(),
            };
            assert!(text.contains(&left), "{day}: {text}");
        }
    }

    #[test]
    fn a_clock_that_jumps_costs_one_look_in_either_direction() {
        let ((config, end), mut watch) = (config(), CertificateWatch::default());
        let start = end - 5 * DAY;
        let mut looks = |now| watch.look(&config, now).is_some();
        assert!(looks(start));
        assert!(!looks(start + DAY - 1));
        // A machine that has slept, and whose clock is then set right.
        assert!(looks(start + 3 * DAY));
        assert!(!looks(start + 3 * DAY + 1) && !looks(start + 2 * DAY + 1));
        assert!(looks(start));
        assert!(!looks(start + 60));
    }

    #[test]
    fn a_look_that_is_asked_for_counts_as_the_days() {
        let ((config, end), mut watch) = (config(), CertificateWatch::default());
        assert!(watch.look_now(&config, end - DAY).is_some());
        assert_eq!(watch.look(&config, end - 1), None);
        assert!(watch.look(&config, end).is_some());
        // Without a certificate there is nothing to say.
        assert_eq!(watch.look_now(&Config::default(), end), None);
    }
}
