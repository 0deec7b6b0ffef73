//! Owns [`load`]: from the sources to a [`Config`], or every fault at once. Layers from the lowest
//! to the highest: defaults, the TOML file, the env file, the environment.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::cut::FilesRead;
use super::environment::{self, Variable};
use super::fault::{Fault, Faults, Warning};
use super::overridden::Overridden;
use super::report::Report;
use super::rules::{self, Origins};
use super::settings::{self, Setting};
use super::sources::Sources;
use super::{Config, MOST_WORKERS, files, memory, missing_key, public_keys, secrets, tls};
use crate::paths;

/// What the arguments say about the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// `--config PATH`.
    pub config: Option<PathBuf>,
    /// `--env-file PATH`.
    pub env_file: Option<EnvFile>,
}

/// The argument of `--env-file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvFile {
    /// The file.
    pub path: PathBuf,
    /// Whether it may be absent: `-PATH`.
    pub optional: bool,
}

impl From<OsString> for EnvFile {
    fn from(argument: OsString) -> Self {
        match argument.as_bytes().strip_prefix(b"-") {
            Some(path) => Self { path: OsString::from_vec(path.to_vec()).into(), optional: true },
            None => Self { path: argument.into(), optional: false },
        }
    }
}

/// A configuration, and what is known of it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Each key with its value and where that came from, in the order of the reference.
    pub settings: Vec<Setting>,
    /// What is worth knowing.
    pub warnings: Vec<Warning>,
    /// The TOML file, where one was read.
    pub path: Option<PathBuf>,
    pub(super) overridden: Overridden,
    pub(super) files: FilesRead,
}

/// What a configuration is read for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Start,
    Reload,
}

/// Reads the configuration as a start takes it.
///
/// # Errors
/// Everything that is wrong with it, at once. A file that cannot be read is never taken for one
/// that is absent.
pub fn load(sources: &dyn Sources, options: &LoadOptions) -> Result<Loaded, Faults> {
    load_for(Purpose::Start, sources, options)
}

/// Reads the configuration as a reload takes it: like a start, except that with `auth.allow_empty_secret` a missing key
/// is a warning. What else a reload refuses depends on what is in force, see [`super::refused_by_reload`].
///
/// # Errors
/// Like those of [`load`].
pub fn load_for_reload(sources: &dyn Sources, options: &LoadOptions) -> Result<Loaded, Faults> {
    load_for(Purpose::Reload, sources, options)
}

fn load_for(
    purpose: Purpose,
    sources: &dyn Sources,
    options: &LoadOptions,
) -> Result<Loaded, Faults> {
    let mut report = Report::default();
    let process = environment::of_process(sources.environment());
    let (env_variables, env_layer) = files::read_env(sources, options, &mut report);
    let process_layer = environment::layer(&process, false, &mut report);
    let named = files::named(options, &process, &env_variables);
    let file_layer = files::read_toml(sources, named, &mut report);
    let path = file_layer.path.as_deref().map(Path::to_owned);
    let layers = [file_layer, env_layer, process_layer];

    let mut config = machine_defaults(sources);
    let mut origins = Origins::new();
    if let Some(socket) = runtime_socket(&process) {
        config.control.socket = Some(socket);
    }
    for given in layers.iter().flat_map(|layer| &layer.given) {
        match given.key.field.read(&mut config, &given.node) {
            Ok(()) => drop(origins.insert(given.key.path, given.node.origin.clone())),
            Err(complaints) => {
                for (origin, what) in complaints {
                    report.fault(&origin, Some(given.key.path), what);
                }
            }
        }
    }
    rules::apply_port(&layers, &mut config, &mut origins, &mut report);
    public_keys::resolve(&layers, &mut config, sources, &mut report);
    let secrets = secrets::resolve(&layers, &mut config, sources, &mut report);
    tls::resolve(&mut config, &origins, sources, &mut report);
    rules::derive(&mut config, &mut origins);
    // What else is wrong with listeners and secrets cannot be told from half of them.
    let complete = !report.may_have(is_about_access);
    rules::check(&config, &origins, complete, &mut report);
    // A key may stand where something else is wrong.
    let is_right = !report.has_faults();
    match missing_key::fault(&layers, &[&process, &env_variables]).filter(|_| is_right) {
        Some(fault) if purpose == Purpose::Reload && config.auth.allow_empty_secret => {
            let text = format!("a start would fail now: {}", fault.text);
            report.warn(&fault.origin, fault.key.as_deref(), text);
        }
        Some(fault) => report.fault(&fault.origin, fault.key.as_deref(), fault.text),
        None => {}
    }

    if report.has_faults() {
        return Err(Faults(report.into_sorted()));
    }
    let settings = settings::of(&config, &origins, &secrets);
    let overridden = Overridden::of(&layers);
    let files = FilesRead::of(&layers);
    Ok(Loaded { config, settings, warnings: report.into_warnings(), path, overridden, files })
}

fn is_about_access(fault: &Fault) -> bool {
    let is_access = |key: &str| key.starts_with("auth.") || key == "listen";
    // A file as a whole may have held anything.
    fault.key.as_deref().is_none_or(is_access)
}

fn machine_defaults(sources: &dyn Sources) -> Config {
    let workers = sources.parallelism().min(MOST_WORKERS);
    let mut config = Config { workers, ..Config::default() };
    if let Some(memory) = memory::available(sources) {
        // What `limits.total_queue` may be at least.
        let quarter = (memory / 4).max(64 << 10);
        config.limits.total_queue = usize::try_from(quarter).unwrap_or(usize::MAX);
        // And `limits.memory`.
        let half = (memory / 2).max(1 << 20);
        config.limits.memory = usize::try_from(half).unwrap_or(usize::MAX);
    }
    config
}

/// systemd may name several directories; the first is ours.
fn runtime_socket(process: &[Variable]) -> Option<PathBuf> {
    let directories = environment::get(process, "RUNTIME_DIRECTORY")?;
    let first = directories.text.as_bytes().split(|byte| *byte == b':').next()?;
    (!first.is_empty()).then(|| Path::new(OsStr::from_bytes(first)).join(paths::CONTROL_SOCKET))
}
