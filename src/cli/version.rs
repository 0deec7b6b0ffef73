//! `philote --version`: which program this is.

use super::failure::Failure;
use super::output;
use crate::paths;

/// Version, commit, target.
const VERSION: &str = concat!(
    "philote ",
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("PHILOTE_BUILT_OF"),
    ", ",
    env!("PHILOTE_BUILT_FOR"),
    ")"
);

/// Prints it; where `verbose`, also the directories that were chosen when it was built, and what is looked for
/// there.
///
/// # Errors
/// Where standard output cannot be written.
pub(super) fn tell(verbose: bool) -> Result<(), Failure> {
    output::data(VERSION)?;
    if !verbose {
        return Ok(());
    }
    output::data(format_args!("sysconfdir: {}", paths::SYSCONFDIR))?;
    output::data(format_args!("runstatedir: {}", paths::RUNSTATEDIR))?;
    output::data(format_args!("configuration: {}", paths::configuration().display()))?;
    output::data(format_args!("control socket: {}", paths::control_socket().display()))
}
