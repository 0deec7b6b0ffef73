//! `philote check`: is the configuration right, as whoever runs this sees it?

use super::configuration::Configuration;
use super::failure::Failure;
use super::output;

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// Print the effective configuration, each value with where it was set; secrets are masked
    #[arg(long)]
    print: bool,
}

impl Check {
    /// # Errors
    /// Every fault of the configuration at once.
    pub(super) fn run(&self, configuration: &Configuration) -> Result<(), Failure> {
        let loaded = configuration.load()?;
        for warning in &loaded.warnings {
            output::tell(format_args!("warning: {warning}"));
        }
        if self.print {
            for setting in &loaded.settings {
                output::data(setting)?;
            }
            return Ok(());
        }
        match &loaded.path {
            Some(path) => {
                output::tell(format_args!("{}: the configuration is good", path.display()))
            }
            None => output::tell("the configuration is good; there is no file"),
        }
        Ok(())
    }
}
