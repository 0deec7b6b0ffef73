//! What `publish`, `subscribe` and `console` share: where the server is, which token opens it, and the
//! WebSocket connection to it. `health` takes the server alone.

mod credentials;
mod delivery;
mod handshake;
mod look_up;
// Its tests run everywhere.
#[cfg(any(target_feature = "crt-static", test))]
mod resolver;
mod server;
mod session;
mod trust;

use std::ffi::OsString;
use std::future::Future;
use std::path::{Path, PathBuf};

use super::configuration::Configuration;
use super::escape::escaped;
use super::failure::Failure;
use super::output;
use crate::auth::UnverifiedGrants;

pub(super) use delivery::Delivery;
pub(super) use handshake::connect;
pub(super) use server::Server;
pub(super) use session::{Receiving, Sending, close};

pub(super) use credentials::Token;

/// At its own listener the configuration knows the certificate.
pub(super) const CA_ALONE: &str = "--ca is for a server that a URL names; add --url wss://HOST";

/// Which server, and with which token.
#[derive(Debug, clap::Args)]
pub(super) struct Client {
    /// ws://HOST:PORT, wss://HOST, unix:/PATH [default: $PHILOTE_URL, else the first of listen]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Trust the signers in this file, not the system's
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    ca: Option<PathBuf>,
    /// File with the token, or - [default: $PHILOTE_TOKEN, else one made by the configuration, for a
    /// minute]
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    token_file: Option<PathBuf>,
    /// Say on standard error what is done
    #[arg(short, long)]
    verbose: bool,
}

/// The channels that a command is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs<'a> {
    pub(super) read: &'a [String],
    pub(super) write: &'a [String],
    /// Whether it is done by HTTP.
    pub(super) api: bool,
}

impl Client {
    /// Whether the token comes from standard input, so that nothing else can.
    pub(super) fn takes_stdin(&self) -> bool {
        self.token_file.as_ref().is_some_and(|path| path.as_os_str() == "-")
    }

    /// Tells what is done, where that is wanted.
    pub(super) fn explain(&self, text: impl std::fmt::Display) {
        if self.verbose {
            output::tell(text);
        }
    }

    /// Opens a connection that may do what the command needs, and does `work` with it.
    ///
    /// The configuration is read only where server or token must be taken from it.
    ///
    /// # Errors
    /// Those of the arguments, the configuration, the token, the handshake, and of `work`.
    pub(super) fn run<W, F>(
        &self,
        configuration: &Configuration,
        needs: Needs<'_>,
        work: W,
    ) -> Result<(), Failure>
    where
        W: FnOnce(Sending, Receiving) -> F,
        F: Future<Output = Result<(), Failure>>,
    {
        let (server, token) = self.resolve(configuration, needs)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Internal(format!("no runtime: {error}")))?;
        let done = runtime.block_on(async {
            let (sending, receiving) = handshake::open(&server, &token).await?;
            self.explain(format_args!("connected to {server}"));
            work(sending, receiving).await
        });
        // A look-up of a name that still runs is not waited for.
        runtime.shutdown_background();
        done
    }

    /// Which server, and the token for it.
    ///
    /// # Errors
    /// Those of the arguments, the configuration and the token.
    pub(super) fn resolve(
        &self,
        configuration: &Configuration,
        needs: Needs<'_>,
    ) -> Result<(Server, Token), Failure> {
        let url = match &self.url {
            Some(url) => Some(url.clone()),
            None => variable("PHILOTE_URL")?,
        };
        let token = given_token(self.token_file.as_deref())?;
        let mut loaded = None;
        if url.is_none() || token.is_none() {
            loaded = Some(configuration.load()?);
        }
        let server = match (&url, &loaded) {
            (Some(url), _) => Server::parse(url)?.trusting(self.ca.as_deref())?,
            (None, Some(_)) if self.ca.is_some() => return Err(Failure::Usage(CA_ALONE.into())),
            (None, Some(loaded)) => Server::of(&loaded.config)?,
            (None, None) => return Err(Failure::Internal("nothing says which server".into())),
        };
        let token = match (token, &loaded) {
            (Some(token), _) => token,
            (None, Some(loaded)) => credentials::mint(loaded, needs)?,
            (None, None) => return Err(Failure::Internal("nothing says which token".into())),
        };
        self.explain(format_args!("{}", token.origin()));
        grants_suffice(&token, needs)?;
        Ok((server, token))
    }
}

/// The token of this file, else that in `$PHILOTE_TOKEN`, if there is one.
///
/// # Errors
/// Where it cannot be read, or is none.
pub(super) fn given_token(file: Option<&Path>) -> Result<Option<Token>, Failure> {
    match file {
        Some(path) => credentials::read(path).map(Some),
        None => variable("PHILOTE_TOKEN")?.map(Token::given).transpose(),
    }
}

/// A variable that is set to something; empty is not set.
pub(super) fn variable(name: &str) -> Result<Option<String>, Failure> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty());
    let text = value.map(OsString::into_string).transpose();
    text.map_err(|_| Failure::Usage(format!("{name} is not UTF-8")))
}

/// A server drops what is published to a channel that the token does not grant, and delivers nothing
/// of one, without a word: so it is said here.
fn grants_suffice(token: &Token, needs: Needs<'_>) -> Result<(), Failure> {
    // What cannot be read here is for the server to refuse.
    let Some(grants) = UnverifiedGrants::of(token.as_str()) else { return Ok(()) };
    for (claim, wanted, granted) in
        [("read", needs.read, &grants.read), ("write", needs.write, &grants.write)]
    {
        if let Some(missing) =
            wanted.iter().find(|wanted| !granted.iter().any(|name| **name == ***wanted))
        {
            let missing = escaped(missing);
            return Err(Failure::NotPermitted(format!(
                "the token does not grant channel \"{missing}\": its claim {claim} lacks it"
            )));
        }
    }
    Ok(())
}
