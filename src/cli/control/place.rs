//! Owns where a control socket is looked for. The first place that is named is the only one: with another server's
//! beside it, falling through would steer the wrong one.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// What the socket is called in a directory of the service manager's.
const NAME: &str = "control.sock";

/// Where it is if nothing says otherwise: `/run/philote/control.sock`. Another directory than `/run` is chosen when
/// philote is built, by the variable `PHILOTE_RUNSTATEDIR`.
pub(super) fn built_in() -> PathBuf {
    let directory = option_env!("PHILOTE_RUNSTATEDIR").unwrap_or("/run");
    Path::new(directory).join("philote").join(NAME)
}

/// Where the environment says, else [`built_in`].
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
            Path::new(std::ffi::OsStr::from_bytes(first)).join(NAME)
        }
        _ => built_in(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_that_is_named_is_the_one() {
        let cases = [
            (&[][..], built_in().to_str().expect("text").to_owned()),
            (&[("RUNTIME_DIRECTORY", "/run/a:/run/b")], "/run/a/control.sock".into()),
            (&[("RUNTIME_DIRECTORY", ":/run/b")], built_in().to_str().expect("text").to_owned()),
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
