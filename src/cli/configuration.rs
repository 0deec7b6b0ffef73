//! Owns the arguments that say where the configuration is, and what tools take from it: a secret to
//! sign with.

use std::path::PathBuf;

use clap::ValueHint;
use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::failure::Failure;
use crate::auth::{Algorithm, Claims, sign};
use crate::config::{EnvFile, LoadOptions, Loaded, RealSources, Sources, load};
use crate::paths;

/// Where help lists what all commands have.
const BEHIND_THE_OTHERS: usize = 100;

/// Where the configuration is.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Configuration {
    // Which file is read by default is chosen when philote is built.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        value_hint = ValueHint::FilePath,
        display_order = BEHIND_THE_OTHERS,
        help = format!("Configuration [default: {}]", paths::configuration().display())
    )]
    config: Option<PathBuf>,
    /// File of KEY=value lines; -PATH may be absent
    #[arg(
        long,
        global = true,
        value_name = "[-]PATH",
        value_hint = ValueHint::FilePath,
        display_order = BEHIND_THE_OTHERS,
        allow_hyphen_values = true,
        value_parser = OsStringValueParser::new().map(EnvFile::from)
    )]
    env_file: Option<EnvFile>,
}

impl Configuration {
    pub(super) fn options(&self) -> LoadOptions {
        LoadOptions { config: self.config.clone(), env_file: self.env_file.clone() }
    }

    /// For what a running server is asked, which goes by its own.
    ///
    /// # Errors
    /// [`Failure::Usage`] where another is given.
    pub(super) fn is_the_servers(&self) -> Result<(), Failure> {
        if self.config.is_none() && self.env_file.is_none() {
            return Ok(());
        }
        Err(Failure::Usage(
            "a running server reads the files that it was started with; leave --config and --env-file out"
                .into(),
        ))
    }

    /// # Errors
    /// Everything that is wrong with it, or that it cannot be read.
    pub(super) fn load(&self) -> Result<Loaded, Failure> {
        self.load_from(&RealSources)
    }

    /// The same, from other sources.
    ///
    /// # Errors
    /// Likewise.
    pub(super) fn load_from(&self, sources: &dyn Sources) -> Result<Loaded, Failure> {
        Ok(load(sources, &self.options())?)
    }
}

/// Signs claims with the secret of a configuration, as from its issuer and for its audience; with the
/// empty secret only where it is in force.
///
/// # Errors
/// [`Failure::Configuration`] where nothing but previous secrets or public keys is configured.
pub(super) fn sign_with(loaded: &Loaded, claims: Claims) -> Result<String, Failure> {
    let auth = &loaded.config.auth;
    let Some(secret) = auth.signing_secret() else {
        let held = match auth.public_keys.is_empty() {
            true => "previous ones",
            false => "keys that verify",
        };
        return Err(Failure::Configuration(format!(
            "there is no secret to sign a token with, only {held}; set auth.secret_file, or bring a \
             token of your own"
        )));
    };
    let claims = Claims { issuer: auth.issuer.clone(), audience: auth.audience.clone(), ..claims };
    sign(&claims, secret.as_bytes(), Algorithm::Hs256)
        .map_err(|error| Failure::Internal(error.to_string()))
}
