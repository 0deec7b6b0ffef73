//! Owns [`Failure`], why a command did not do what it was asked for, and its exit code.

use crate::config::Faults;

/// Why a command ends without success. The texts are one line each, faults of a configuration one a
/// fault, and hold neither token nor secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The arguments, or what was given on standard input.
    #[error("philote: {0}")]
    Usage(String),
    /// No server, or it has gone.
    #[error("philote: {0}")]
    Unavailable(String),
    /// A fault of ours or of the machine.
    #[error("philote: {0}")]
    Internal(String),
    /// A file that cannot be read, or a server that refuses the token.
    #[error("philote: {0}")]
    NotPermitted(String),
    /// A configuration that is right and does not serve for this.
    #[error("philote: {0}")]
    Configuration(String),
    /// A server that is shutting down.
    #[error("philote: {0}")]
    Draining(String),
    /// What a running server has against its configuration.
    #[error("{0}")]
    Rejected(String),
    /// The answer to what was asked is no.
    #[error("philote: {0}")]
    No(String),
    /// A configuration that is wrong or cannot be read.
    #[error("{0}")]
    Faults(#[from] Faults),
    /// Nobody reads our standard output any more: no fault, and nothing to tell.
    #[error("philote: standard output is closed")]
    OutputClosed,
}

impl Failure {
    /// As sysexits.h has them, and 1 for no.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 64,
            Self::Unavailable(_) => 69,
            Self::Internal(_) => 70,
            Self::NotPermitted(_) => 77,
            Self::Configuration(_) | Self::Rejected(_) => 78,
            Self::Draining(_) => 75,
            Self::No(_) => 1,
            Self::Faults(faults) => faults.exit_code(),
            Self::OutputClosed => 0,
        }
    }
}
