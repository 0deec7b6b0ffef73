//! What holds of the configuration as a whole: from text, through [`load`], to values, faults and
//! warnings. [`Fake`] stands for the world.

mod certificates;
mod cut;
mod diff;
mod faults;
mod large;
mod layers;
mod listeners;
mod missing_key;
mod public_keys;
mod random;
mod reference;
mod secrets;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

/// The path of the TOML file in these tests.
const TOML: &str = "/etc/philote/config.toml";
/// The path of the env file in these tests.
const ENV: &str = "/etc/default/philote";

/// Files, environment and machine, as a test says.
#[derive(Default)]
struct Fake {
    files: BTreeMap<PathBuf, Result<FileContent, ReadError>>,
    environment: Vec<(OsString, OsString)>,
    memory: Option<u64>,
    threads: Option<NonZeroUsize>,
    /// Whether the environment leaves open if a secret is meant. Most tests are about something else, and say that
    /// none is.
    leaves_secret_open: bool,
}

impl Fake {
    fn new() -> Self {
        Self::default()
    }

    /// One whose environment says nothing of a secret.
    fn silent() -> Self {
        Self { leaves_secret_open: true, ..Self::default() }
    }

    fn toml(self, text: impl AsRef<[u8]>) -> Self {
        self.file(TOML, 0o640, text)
    }

    fn file(mut self, path: &str, mode: u32, bytes: impl AsRef<[u8]>) -> Self {
        let content = FileContent { bytes: bytes.as_ref().to_vec(), mode, own_group: true };
        self.files.insert(path.into(), Ok(content));
        self
    }

    fn failing(mut self, path: &str, error: ReadError) -> Self {
        self.files.insert(path.into(), Err(error));
        self
    }

    fn env(mut self, variables: &[(&str, &str)]) -> Self {
        self.environment.extend(variables.iter().map(|(name, text)| (name.into(), text.into())));
        self
    }

    /// What `key` cannot do without, if it is one of the two that need each other.
    fn beside(self, key: &key::Key) -> Self {
        let other = match key.path {
            "tls.certificate" => ("PHILOTE_TLS_KEY", "/etc/philote/tls/privkey.pem"),
            "tls.key" => ("PHILOTE_TLS_CERTIFICATE", "/etc/philote/tls/fullchain.pem"),
            _ => return self,
        };
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).expect("made");
        self.env(&[other]).file("/etc/philote/tls/fullchain.pem", 0o644, made.cert.pem()).file(
            "/etc/philote/tls/privkey.pem",
            0o640,
            made.signing_key.serialize_pem(),
        )
    }

    fn load(&self) -> Result<Loaded, Faults> {
        load(self, &self.options())
    }

    /// As a reload reads it.
    fn reload(&self) -> Result<Loaded, Faults> {
        load_for_reload(self, &self.options())
    }

    fn options(&self) -> LoadOptions {
        // Named as the units name it: it may be absent.
        let optional = !self.files.contains_key(Path::new(ENV));
        LoadOptions { config: None, env_file: Some(EnvFile { path: ENV.into(), optional }) }
    }

    #[track_caller]
    fn config(&self) -> Config {
        self.load().unwrap_or_else(|faults| panic!("{faults}")).config
    }

    #[track_caller]
    fn faults(&self) -> Vec<String> {
        let faults = self.load().expect_err("there are faults");
        faults.to_string().lines().map(str::to_owned).collect()
    }

    #[track_caller]
    fn warnings(&self) -> Vec<String> {
        let loaded = self.load().unwrap_or_else(|faults| panic!("{faults}"));
        loaded.warnings.iter().map(Warning::to_string).collect()
    }
}

impl Sources for Fake {
    fn read(&self, path: &Path, limit: usize) -> Result<FileContent, ReadError> {
        let content = self.files.get(path).cloned().unwrap_or(Err(ReadError::Absent))?;
        if content.bytes.len() > limit { Err(ReadError::TooLarge) } else { Ok(content) }
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut environment = self.environment.clone();
        if !self.leaves_secret_open && !environment.iter().any(|(name, _)| name == "SECRET") {
            environment.push(("SECRET".into(), "".into()));
        }
        environment
    }

    fn machine_memory(&self) -> Option<u64> {
        self.memory
    }

    fn parallelism(&self) -> NonZeroUsize {
        self.threads.unwrap_or(NonZeroUsize::new(3).expect("three"))
    }
}
