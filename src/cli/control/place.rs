//! Owns where a control socket is looked for. The first place that is named is the only one: with another server's
//! beside it, falling through would steer the wrong one.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use crate::paths;

/// Where the environment says, else the path that is built in.
pub(super) fn default() -> PathBuf {
    of(variable)
}

/// A variable that is set to something; empty is not set.
pub(super) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn of(variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    if let Some(path) = variable("PHILOTE_CONTROL") {
        return path.into();
    }
    // systemd may name several, the first is the server's own.
    let directories = variable("RUNTIME_DIRECTORY").map(OsString::into_vec).unwrap_or_default();
    match directories.split(|byte| *byte == b':').next() {
        Some(first) if !first.is_empty() => {
            Path::new(std::ffi::OsStr::from_bytes(first)).join(paths::CONTROL_SOCKET)
        }
        _ => paths::control_socket(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_that_is_named_is_the_one() {
        let cases = [
            (&[][..], paths::control_socket().to_str().expect("text").to_owned()),
            (&[("RUNTIME_DIRECTORY", "/run/a:/run/b")], "/run/a/control.sock".into()),
            (
                &[("RUNTIME_DIRECTORY", ":/run/b")],
                paths::control_socket().to_str().expect("text").to_owned(),
            ),
            (&[("PHILOTE_CONTROL", "/x"), ("RUNTIME_DIRECTORY", "/run/a")], "/x".into()),
        ];
        for (environment, expected) in cases {
            let variable = |name: &str| {
                let mut found = environment.iter().filter(|(known, _)| *known == name);
                found.next().map(|(_, value)| OsString::from(value))
            };
            assert_eq!(of(variable), PathBuf::from(expected), "{environment:?}");
        }
    }
}
