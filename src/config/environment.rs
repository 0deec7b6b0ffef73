//! Owns the variables' names: which set a key, which are nobody's business, which are a slip.

use std::collections::HashSet;
use std::ffi::OsString;

use super::Config;
use super::fault::Origin;
use super::field::Field;
use super::key::{Key, nearest};
use super::keys;
use super::layer::{Given, Layer};
use super::node::{Node, Value};
use super::report::Report;

/// A variable. No `Debug`: it may be a secret.
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) text: OsString,
    pub(super) origin: Origin,
}

/// Names with our prefix that are no keys: of our own commands, and of our build.
const NO_KEYS: [&str; 6] = [
    "PHILOTE_CONFIG",
    "PHILOTE_CONTROL",
    "PHILOTE_TOKEN",
    "PHILOTE_URL",
    "PHILOTE_SYSCONFDIR",
    "PHILOTE_RUNSTATEDIR",
];

/// Kubernetes sets names like these in every pod beside a service that is called philote.
const OF_KUBERNETES: [&str; 2] = ["PHILOTE_PORT", "PHILOTE_SERVICE_"];

/// The variable that names the configuration file.
pub(super) const CONFIG: &str = "PHILOTE_CONFIG";

const PORT: &str = "PORT";

/// The environment of the process; what is set to nothing is not set.
pub(super) fn of_process(variables: Vec<(OsString, OsString)>) -> Vec<Variable> {
    let named = variables.into_iter().filter_map(|(name, text)| {
        let name = name.into_string().ok()?;
        Some(Variable { origin: Origin::Environment { variable: name.clone() }, name, text })
    });
    named.collect()
}

/// The value of a variable that is set, and not to nothing.
pub(super) fn get<'a>(variables: &'a [Variable], name: &str) -> Option<&'a Variable> {
    variables.iter().find(|variable| variable.name == name && !variable.text.is_empty())
}

/// The keys that the variables set. Of unknown names those with our prefix are told, and all of
/// them where `only_ours`: a file that nobody but us reads.
pub(super) fn layer(variables: &[Variable], only_ours: bool, report: &mut Report) -> Layer {
    let mut layer = Layer::default();
    for key in keys::all() {
        let names = key.variables();
        let set: Vec<_> = names.iter().filter_map(|name| get(variables, name)).collect();
        let Some(first) = set.first() else { continue };
        for other in &set[1..] {
            if !agree(key, first, other) {
                let text = format!("disagrees with {}, which sets the same; keep one", first.name);
                report.fault(&other.origin, Some(key.path), text);
            }
        }
        let text = clamped(key, first, report).unwrap_or_else(|| first.text.clone());
        match Node::from_variable(text, key.field.is_list(), &first.origin) {
            Ok(node) => layer.given.push(Given { key, node }),
            Err(what) => report.fault(&first.origin, Some(key.path), what),
        }
    }
    layer.port = get(variables, PORT)
        .map(|port| Node { value: Value::Bare(port.text.clone()), origin: port.origin.clone() });
    tell_unknown(variables, only_ours, report);
    layer
}

/// Whether two variables mean the same, such as `warn` and `WARNING`.
fn agree(key: &Key, one: &Variable, other: &Variable) -> bool {
    let value = |variable: &Variable| {
        let node =
            Node::from_variable(variable.text.clone(), key.field.is_list(), &Origin::Default);
        let mut config = Config::default();
        key.field.read(&mut config, &node.ok()?).ok()?;
        Some(config)
    };
    let is_secret = matches!(
        key.field,
        Field::Secret | Field::SecretFile | Field::PreviousSecrets | Field::PreviousSecretFiles
    );
    one.text == other.text || (!is_secret && value(one).is_some() && value(one) == value(other))
}

/// The old server took any number of connections; its variable is brought into our range.
fn clamped(key: &Key, variable: &Variable, report: &mut Report) -> Option<OsString> {
    let Field::Count(_, range) = &key.field else { return None };
    let text = variable.text.to_str()?.trim();
    let is_older = key.other_variables.contains(&variable.name.as_str());
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_older || !is_number || text.parse::<u64>().is_ok_and(|number| number <= *range.end()) {
        return None;
    }
    let text = format!("above {0}, which holds instead; write {0} or less", range.end());
    report.warn(&variable.origin, Some(key.path), text);
    Some(range.end().to_string().into())
}

fn tell_unknown(variables: &[Variable], only_ours: bool, report: &mut Report) {
    let known: Vec<String> = keys::all().flat_map(Key::variables).collect();
    let is_ours: HashSet<&str> = known.iter().map(String::as_str).collect();
    for Variable { name, text, origin } in variables {
        let is_known =
            is_ours.contains(name.as_str()) || NO_KEYS.contains(&name.as_str()) || name == PORT;
        let is_injected = OF_KUBERNETES.iter().any(|prefix| name.starts_with(prefix));
        if is_known || is_injected || text.is_empty() {
            continue;
        }
        if only_ours || name.starts_with("PHILOTE_") {
            report.warn_with(origin, None, || {
                let names = known.iter().map(String::as_str).chain([PORT]);
                let mend = match nearest(name, names) {
                    Some(meant) => format!("did you mean {meant}?"),
                    None => "take it out".to_owned(),
                };
                format!("unknown variable, it changes nothing; {mend}")
            });
        }
    }
}
