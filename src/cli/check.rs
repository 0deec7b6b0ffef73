//! `philote check`: is the configuration right, as whoever runs this sees it, or as the running server does?

use super::configuration::Configuration;
use super::control::Control;
use super::failure::Failure;
use super::service_user::{Noting, ServiceUser};
use super::token::now;
use super::{output, reload};
use crate::daemon::preconditions;

#[derive(Debug, clap::Args)]
#[command(mut_arg("socket", |socket| socket.requires("running").conflicts_with("print")))]
pub(super) struct Check {
    /// Print the effective configuration, each value with where it was set; secrets are masked
    #[arg(long)]
    print: bool,
    /// Ask the running server, which reads its own files: what would a reload change?
    #[arg(long, conflicts_with = "print")]
    running: bool,
    #[command(flatten)]
    control: Control,
}

impl Check {
    /// # Errors
    /// Every fault of the configuration at once.
    pub(super) fn run(&self, configuration: &Configuration) -> Result<(), Failure> {
        if self.running {
            return reload::check(&self.control, configuration);
        }
        let sources = Noting::default();
        let loaded = configuration.load_from(&sources)?;
        for warning in &loaded.warnings {
            output::tell(format_args!("warning: {warning}"));
        }
        let identity = loaded.config.tls.identity.as_ref();
        if let Some(warning) = identity.and_then(|identity| identity.expiry_warning(now())) {
            output::tell(format_args!("warning: {warning}"));
        }
        if rustix::process::geteuid().is_root()
            && let Some(user) = ServiceUser::of(&loaded)
        {
            for complaint in sources.files().iter().filter_map(|path| user.complaint(path)) {
                output::tell(format_args!("warning: {complaint}"));
            }
        }
        let (may_come, lacking): (Vec<_>, Vec<_>) =
            preconditions::lacking(&loaded.config).into_iter().partition(|lack| lack.may_be_made);
        for line in preconditions::unavailable(&loaded.config) {
            output::tell(format_args!("warning: {line}"));
        }
        for lack in may_come {
            output::tell(format_args!("warning: {lack}"));
        }
        if !lacking.is_empty() {
            let lines: Vec<_> = lacking.iter().map(ToString::to_string).collect();
            return Err(Failure::Rejected(lines.join("\n")));
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
