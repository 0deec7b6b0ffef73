//! Owns [`Field`]: which part of [`Config`] a key sets, what may be written there, and how it is
//! shown. Secrets are read in `secrets.rs`; here only their shape is looked at.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::fault::Origin;
use super::lens::{Lens, Words};
use super::node::{Node, Value};
use super::scalar;
use super::unit::{show_duration, show_size};
use super::{AllowedOrigin, Config, ListenAddress, LogOutput, TrustedProxies, TrustedProxy};
use super::{listen, proxies};
use crate::visible::is_hidden;

/// What a key holds. Ranges are of what is allowed, both ends in.
pub(super) enum Field {
    /// A number of things.
    Count(Lens<usize>, RangeInclusive<u64>),
    /// A number of things, or `"off"`.
    OptionalCount(Lens<Option<usize>>, RangeInclusive<u64>),
    /// A number of threads.
    Threads(Lens<NonZeroUsize>, RangeInclusive<u64>),
    /// Bytes.
    Size(Lens<usize>, RangeInclusive<u64>),
    /// Bytes, or `"off"`.
    OptionalSize(Lens<Option<usize>>, RangeInclusive<u64>),
    /// Bytes that are only reported.
    Reported(Lens<u32>),
    /// A time.
    Duration(Lens<Duration>, RangeInclusive<Duration>),
    /// A time, or `"off"`.
    OptionalDuration(Lens<Option<Duration>>, RangeInclusive<Duration>),
    /// Yes or no.
    Switch(Lens<bool>),
    /// True or false, where it is set; what holds otherwise follows from other keys.
    OptionalSwitch(Lens<Option<bool>>),
    /// One of a few words.
    Word(Words),
    /// Where the log goes.
    Output(Lens<LogOutput>),
    /// The path of a socket, or `"off"`.
    Socket(Lens<Option<PathBuf>>),
    /// Permission bits.
    Mode(Lens<u32>),
    /// A group.
    Group(Lens<Option<String>>),
    /// Addresses.
    Listen(Lens<Option<Vec<ListenAddress>>>),
    /// Addresses that serve metrics alone, or `"off"`.
    ListenForMetrics(Lens<Vec<ListenAddress>>),
    /// Origins.
    Origins(Lens<Vec<AllowedOrigin>>),
    /// Networks.
    Proxies(Lens<TrustedProxies>),
    /// A file.
    File(Lens<Option<PathBuf>>),
    /// The name of a header.
    Header(Lens<String>),
    /// A secret in the configuration itself.
    Secret,
    /// The file of a secret.
    SecretFile,
    /// Secrets in the configuration itself.
    PreviousSecrets,
    /// Files of secrets.
    PreviousSecretFiles,
    /// Files of public keys.
    PublicKeys,
    /// Text of any kind but none at all.
    Text(Lens<Option<String>>),
}

/// The most entries of `listen`, and of `metrics.listen`: each is a socket that a start and a reload bind one after the
/// other, and is compared with each other one.
const MOST_LISTENERS: usize = 256;

/// The most entries of `auth.allowed_origins`, with each of which a handshake may compare its own.
const MOST_ORIGINS: usize = 1000;

/// The most entries of `proxy.trusted`, of which each request compares its peer with each. The networks of the largest
/// public proxies are fewer than 300.
const MOST_PROXIES: usize = 1000;

/// What is wrong with a value, and where.
pub(super) type Complaint = (Origin, String);

impl Field {
    /// Whether a list is wanted.
    pub(super) fn is_list(&self) -> bool {
        matches!(
            self,
            Self::Listen(_)
                | Self::ListenForMetrics(_)
                | Self::Origins(_)
                | Self::Proxies(_)
                | Self::PreviousSecrets
                | Self::PreviousSecretFiles
                | Self::PublicKeys
        )
    }

    /// Puts the value into the configuration. The five fields of keys are only checked.
    pub(super) fn read(&self, config: &mut Config, node: &Node) -> Result<(), Vec<Complaint>> {
        match self {
            Self::Listen(lens) => {
                let entries = few_items(node, MOST_LISTENERS, |item| {
                    ListenAddress::parse(scalar::text(item)?)
                })?;
                *(lens.get_mut)(config) = Some(entries.into_iter().flatten().collect());
                Ok(())
            }
            Self::ListenForMetrics(lens) => {
                let is_off = match &node.value {
                    // A variable is a list in any case.
                    Value::Array(items) => matches!(&items[..], [only] if scalar::is_off(only)),
                    _ => scalar::is_off(node),
                };
                *(lens.get_mut)(config) = if is_off {
                    Vec::new()
                } else {
                    let entries = few_items(node, MOST_LISTENERS, |item| {
                        listen::for_metrics(scalar::text(item)?)
                    })?;
                    entries.into_iter().flatten().collect()
                };
                Ok(())
            }
            Self::Origins(lens) => {
                *(lens.get_mut)(config) = few_items(node, MOST_ORIGINS, |item| {
                    AllowedOrigin::parse(scalar::text(item)?)
                })?;
                Ok(())
            }
            Self::Proxies(lens) => {
                *(lens.get_mut)(config) = TrustedProxies(few_items(node, MOST_PROXIES, |item| {
                    TrustedProxy::parse(scalar::text(item)?)
                })?);
                Ok(())
            }
            Self::PreviousSecrets => items(node, scalar::secret).map(drop),
            Self::PreviousSecretFiles | Self::PublicKeys => items(node, scalar::path).map(drop),
            _ => self.read_one(config, node).map_err(|what| vec![(node.origin.clone(), what)]),
        }
    }

    fn read_one(&self, config: &mut Config, node: &Node) -> Result<(), String> {
        match self {
            Self::Count(lens, range) => {
                *(lens.get_mut)(config) = narrow(scalar::count(node, range)?);
            }
            Self::OptionalCount(lens, range) => {
                *(lens.get_mut)(config) =
                    or_none(node, |node| scalar::count(node, range).map(narrow))?;
            }
            Self::OptionalSize(lens, range) => {
                *(lens.get_mut)(config) =
                    or_none(node, |node| scalar::size(node, range).map(narrow))?;
            }
            Self::Threads(lens, range) => {
                let threads = NonZeroUsize::new(narrow(scalar::count(node, range)?));
                *(lens.get_mut)(config) = threads.unwrap_or(NonZeroUsize::MIN);
            }
            Self::Size(lens, range) => {
                *(lens.get_mut)(config) = narrow(scalar::size(node, range)?);
            }
            Self::Reported(lens) => {
                let size = scalar::size(node, &(0..=u64::from(u32::MAX)))?;
                *(lens.get_mut)(config) = u32::try_from(size).unwrap_or(u32::MAX);
            }
            Self::Duration(lens, range) => {
                *(lens.get_mut)(config) = scalar::duration(node, range)?;
            }
            Self::OptionalDuration(lens, range) => {
                *(lens.get_mut)(config) = or_none(node, |node| scalar::duration(node, range))?;
            }
            Self::Switch(lens) => *(lens.get_mut)(config) = scalar::boolean(node)?,
            Self::OptionalSwitch(lens) => *(lens.get_mut)(config) = Some(scalar::boolean(node)?),
            Self::Word(words) => {
                let word = scalar::word(node, &(words.words)())?;
                (words.set)(config, &word);
            }
            Self::Output(lens) => *(lens.get_mut)(config) = scalar::output(node)?,
            Self::Socket(lens) => *(lens.get_mut)(config) = or_none(node, scalar::path)?,
            Self::Mode(lens) => *(lens.get_mut)(config) = scalar::mode(node)?,
            Self::Group(lens) => {
                *(lens.get_mut)(config) = Some(listen::group(scalar::text(node)?)?);
            }
            Self::File(lens) => *(lens.get_mut)(config) = Some(scalar::path(node)?),
            Self::Header(lens) => {
                *(lens.get_mut)(config) = proxies::header(scalar::text(node)?)?;
            }
            Self::Text(lens) => *(lens.get_mut)(config) = Some(scalar::some_text(node)?),
            Self::Secret => drop(scalar::secret(node)?),
            Self::SecretFile => drop(scalar::path(node)?),
            Self::Listen(_)
            | Self::ListenForMetrics(_)
            | Self::Origins(_)
            | Self::Proxies(_)
            | Self::PreviousSecrets
            | Self::PreviousSecretFiles
            | Self::PublicKeys => {}
        }
        Ok(())
    }

    /// The value as TOML, secrets masked. `None` for the files of secrets, which the configuration
    /// does not keep, and for a group, a text or a switch that is not set.
    pub(super) fn show(&self, config: &Config) -> Option<String> {
        let shown = match self {
            Self::Count(lens, _) => (lens.get)(config).to_string(),
            Self::Threads(lens, _) => (lens.get)(config).to_string(),
            Self::OptionalCount(lens, _) => match (lens.get)(config) {
                Some(count) => count.to_string(),
                None => quote("off"),
            },
            Self::OptionalSize(lens, _) => match (lens.get)(config) {
                Some(size) => quote(&show_size(*size as u64)),
                None => quote("off"),
            },
            Self::Size(lens, _) => quote(&show_size(*(lens.get)(config) as u64)),
            Self::Reported(lens) => (lens.get)(config).to_string(),
            Self::Duration(lens, _) => quote(&show_duration(*(lens.get)(config))),
            Self::OptionalDuration(lens, _) => match (lens.get)(config) {
                Some(duration) => quote(&show_duration(*duration)),
                None => quote("off"),
            },
            Self::Switch(lens) => (lens.get)(config).to_string(),
            Self::OptionalSwitch(lens) => (*(lens.get)(config))?.to_string(),
            Self::Word(words) => quote((words.get)(config)),
            Self::Output(lens) => match (lens.get)(config) {
                LogOutput::Auto => quote("auto"),
                LogOutput::Journald => quote("journald"),
                LogOutput::Stderr => quote("stderr"),
                LogOutput::File(path) => quote(&path.to_string_lossy()),
            },
            Self::Socket(lens) => match (lens.get)(config) {
                Some(path) => quote(&path.to_string_lossy()),
                None => quote("off"),
            },
            Self::Mode(lens) => quote(&format!("{:04o}", (lens.get)(config))),
            Self::Group(lens) => quote((lens.get)(config).as_deref()?),
            Self::Listen(_) => list(config.listen_addresses()),
            Self::ListenForMetrics(lens) => match &(lens.get)(config)[..] {
                [] => quote("off"),
                addresses => list(addresses),
            },
            Self::Origins(lens) => list((lens.get)(config)),
            Self::Proxies(lens) => list((lens.get)(config).iter()),
            Self::File(lens) => quote(&(lens.get)(config).as_ref()?.to_string_lossy()),
            Self::Header(lens) => quote((lens.get)(config)),
            Self::Secret => quote(&config.auth.signing_secret()?.to_string()),
            Self::PreviousSecrets => list(&config.auth.previous_secrets),
            Self::PublicKeys => list(&config.auth.public_keys),
            Self::Text(lens) => quote((lens.get)(config).as_deref()?),
            Self::SecretFile | Self::PreviousSecretFiles => return None,
        };
        Some(shown)
    }

    /// What may be written, for people.
    pub(super) fn allowed(&self) -> String {
        match self {
            Self::Count(_, range) | Self::Threads(_, range) => {
                format!("{} to {}", range.start(), range.end())
            }
            Self::Size(_, range) => {
                format!("{} to {}", show_size(*range.start()), show_size(*range.end()))
            }
            Self::OptionalCount(_, range) => {
                format!("{} to {}, or \"off\"", range.start(), range.end())
            }
            Self::OptionalSize(_, range) => {
                format!("{} to {}, or \"off\"", show_size(*range.start()), show_size(*range.end()))
            }
            Self::Reported(_) => "bytes".into(),
            Self::Duration(_, range) => scalar::durations(range),
            Self::OptionalDuration(_, range) => format!("{}, or \"off\"", scalar::durations(range)),
            Self::Switch(_) | Self::OptionalSwitch(_) => "true or false".into(),
            Self::Word(words) => scalar::alternatives(&(words.words)()),
            Self::Output(_) => "\"auto\", \"journald\", \"stderr\" or an absolute path".into(),
            Self::Socket(_) => "an absolute path, or \"off\"".into(),
            Self::Mode(_) => "\"0000\" to \"0777\"".into(),
            Self::Group(_) => "a group's name or number".into(),
            Self::Listen(_) => format!("addresses, at most {MOST_LISTENERS}"),
            Self::ListenForMetrics(_) => {
                format!("addresses, at most {MOST_LISTENERS}, or \"off\"")
            }
            Self::Origins(_) => format!("origins, at most {MOST_ORIGINS}"),
            Self::Proxies(_) => format!("addresses, networks, \"unix\", at most {MOST_PROXIES}"),
            Self::File(_) => "an absolute path".into(),
            Self::Header(_) => "a header's name".into(),
            Self::Secret => "text".into(),
            Self::SecretFile => "an absolute path".into(),
            Self::PreviousSecrets => "at most 4, files counted in".into(),
            Self::PreviousSecretFiles => "absolute paths, at most 4, secrets counted in".into(),
            Self::PublicKeys => "absolute paths, at most 4".into(),
            Self::Text(_) => "text".into(),
        }
    }
}

/// Ranges end well below what a machine of 32 bits can count, `total_queue` aside, where the end
/// means "all that there is" on such a machine.
fn narrow(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// What `read` reads; none where the word for that stands there.
fn or_none<T>(
    node: &Node,
    read: impl FnOnce(&Node) -> Result<T, String>,
) -> Result<Option<T>, String> {
    if scalar::is_off(node) {
        return Ok(None);
    }
    read(node).map(Some).map_err(|what| format!("{what}, or \"off\""))
}

/// Like [`items`], for a list of which no more than `most` may be; of one that is longer no item is looked at.
fn few_items<T>(
    node: &Node,
    most: usize,
    read: impl Fn(&Node) -> Result<T, String>,
) -> Result<Vec<T>, Vec<Complaint>> {
    if let Value::Array(nodes) = &node.value
        && nodes.len() > most
    {
        let what = format!("{} entries; keep at most {most}", nodes.len());
        return Err(vec![(node.origin.clone(), what)]);
    }
    items(node, read)
}

/// Reads each item of a list; all that is wrong at once.
fn items<T>(
    node: &Node,
    read: impl Fn(&Node) -> Result<T, String>,
) -> Result<Vec<T>, Vec<Complaint>> {
    let Value::Array(nodes) = &node.value else {
        let what = format!("{} where an array is wanted; write [\"...\"]", node.value.kind());
        return Err(vec![(node.origin.clone(), what)]);
    };
    let (mut values, mut complaints) = (Vec::new(), Vec::new());
    for item in nodes {
        match read(item) {
            Ok(value) => values.push(value),
            Err(what) => complaints.push((item.origin.clone(), what)),
        }
    }
    if complaints.is_empty() { Ok(values) } else { Err(complaints) }
}

/// A TOML array of strings.
pub(super) fn list(items: impl IntoIterator<Item: ToString>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| quote(&item.to_string())).collect();
    format!("[{}]", items.join(", "))
}

/// A TOML basic string.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if is_hidden(c) => quoted.push_str(&match u32::from(c) {
                short @ ..=0xffff => format!("\\u{short:04X}"),
                long => format!("\\U{long:08X}"),
            }),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
