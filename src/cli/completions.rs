//! `philote completions`: a script for a shell, that completes what is typed.

use super::failure::Failure;
use super::{command, output};

#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// Shell that the script is for
    shell: Shell,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    /// # Errors
    /// Where standard output cannot be written.
    pub(super) fn run(&self) -> Result<(), Failure> {
        let shell = match self.shell {
            Shell::Bash => clap_complete::Shell::Bash,
            Shell::Zsh => clap_complete::Shell::Zsh,
            Shell::Fish => clap_complete::Shell::Fish,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command(), "philote", &mut script);
        output::data(String::from_utf8_lossy(&script).trim_end())
    }
}
