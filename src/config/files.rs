//! Owns which files are read and how their absence is told: only ENOENT is absence, and only of a
//! file that nobody named.

use std::path::{Path, PathBuf};
use std::str::from_utf8;
use std::sync::Arc;

use super::environment::{self, Variable};
use super::fault::Origin;
use super::layer::Layer;
use super::load::LoadOptions;
use super::positions::Positions;
use super::report::Report;
use super::sources::{FileContent, ReadError, Sources};
use super::{document, env_file};
use crate::paths;

/// More than any configuration has.
const FILE_LIMIT: usize = 1 << 20;

/// The path of the configuration file that somebody named, and who did.
pub(super) fn named(
    options: &LoadOptions,
    process: &[Variable],
    env_file: &[Variable],
) -> Option<(PathBuf, Origin)> {
    if let Some(path) = &options.config {
        return Some((path.clone(), Origin::whole(path)));
    }
    let variable = environment::get(process, environment::CONFIG)
        .or_else(|| environment::get(env_file, environment::CONFIG))?;
    Some((PathBuf::from(&variable.text), variable.origin.clone()))
}

/// What the TOML file says.
pub(super) fn read_toml(
    sources: &dyn Sources,
    named: Option<(PathBuf, Origin)>,
    report: &mut Report,
) -> Layer {
    let may_be_absent = named.is_none();
    let (path, origin) = named.unwrap_or_else(|| {
        let path = paths::configuration();
        let origin = Origin::whole(&path);
        (path, origin)
    });
    if path.as_os_str() == "-" {
        tell_standard_input(&origin, report);
        return Layer::default();
    }
    let content = match sources.read(&path, FILE_LIMIT) {
        Ok(content) => content,
        Err(ReadError::Absent) if may_be_absent => return Layer::default(),
        Err(error) => {
            tell_unread(&path, &origin, &error, report);
            return Layer::default();
        }
    };
    let path: Arc<Path> = path.into();
    let Some(text) = utf8(&path, &content, report) else { return Layer::default() };
    let given = document::read(&path, text, report);
    let world_readable = content.mode & 0o004 != 0;
    Layer { given, port: None, path: Some(path), text: content.bytes.into(), world_readable }
}

/// The variables of the env file, and the layer that they make.
pub(super) fn read_env(
    sources: &dyn Sources,
    options: &LoadOptions,
    report: &mut Report,
) -> (Vec<Variable>, Layer) {
    let Some(file) = &options.env_file else { return Default::default() };
    // What `-` leaves of itself: the hyphen in front says that the file may be absent.
    if file.path.as_os_str().is_empty() {
        tell_standard_input(&Origin::Default, report);
        return Default::default();
    }
    match sources.read(&file.path, FILE_LIMIT) {
        Ok(content) => {
            let path: Arc<Path> = file.path.as_path().into();
            let variables = utf8(&path, &content, report)
                .map(|text| env_file::read(&path, text, report))
                .unwrap_or_default();
            let mut layer = environment::layer(&variables, true, report);
            layer.world_readable = content.mode & 0o004 != 0;
            layer.path = Some(path);
            layer.text = content.bytes.into();
            (variables, layer)
        }
        Err(ReadError::Absent) if file.optional => Default::default(),
        Err(error) => {
            tell_unread(&file.path, &Origin::whole(&file.path), &error, report);
            Default::default()
        }
    }
}

/// Standard input is read once, and a reload reads again.
fn tell_standard_input(origin: &Origin, report: &mut Report) {
    let text = "- would be standard input, which a reload could not read again; name a regular file, or write ./- for a \
                file of that name";
    // The name of the file would say the same.
    let origin = if origin.variable().is_some() { origin } else { &Origin::Default };
    report.fault(origin, None, text);
}

fn tell_unread(path: &Path, origin: &Origin, error: &ReadError, report: &mut Report) {
    let mend = error.remedy("a configuration has at most 1 MiB");
    let what = match origin.variable() {
        // The line starts with the variable, so the file is named here.
        Some(_) => format!("{path:?}: {error}; {mend}"),
        None => format!("{error}; {mend}"),
    };
    if error.is_unreadable() {
        report.unreadable(origin, None, what);
    } else {
        report.fault(origin, None, what);
    }
}

fn utf8<'a>(path: &Arc<Path>, content: &'a FileContent, report: &mut Report) -> Option<&'a str> {
    match from_utf8(&content.bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let (whole, _) = content.bytes.split_at(error.valid_up_to());
            let whole = from_utf8(whole).unwrap_or_default();
            let position = Some(Positions::of(whole).at(whole.len()));
            let origin = Origin::File { path: path.clone(), position };
            report.fault(&origin, None, "a byte that is not UTF-8; save the file as UTF-8");
            None
        }
    }
}
