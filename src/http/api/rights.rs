//! Who may what: the token of a request on a listener, everything on the control socket.

use std::collections::HashSet;
use std::time::Duration;

use hyper::{HeaderMap, Request};

use super::Caller;
use crate::auth::Grants;
use crate::http::forwarding::Source;
use crate::http::refusal::Refusal;
use crate::http::{Front, handshake, origin, token};

/// How long a worker judges no other token of an address without attempts after it has rejected one: at most 500 a
/// second, for a signature of 100 us a twentieth of a core.
const PAUSE: Duration = Duration::from_millis(2);

/// The channels that a caller may publish to.
pub(super) enum Writes<'a> {
    /// Every one.
    All,
    /// These: a set, since a request has as many messages as a token has names, and more.
    These(HashSet<&'a str, foldhash::fast::RandomState>),
}

impl Writes<'_> {
    /// Whether a channel is among them.
    pub(super) fn contains(&self, channel: &str) -> bool {
        match self {
            Writes::All => true,
            Writes::These(names) => names.contains(channel),
        }
    }
}

/// What a caller may do.
pub(super) enum Rights {
    /// Everything.
    All,
    /// What a token grants.
    Granted(Grants),
}

impl Rights {
    /// Those of a request whose token may stand in the query too, as the tools of old have it.
    ///
    /// # Errors
    /// Where it comes from an origin that may not ask, or has no good token.
    pub(super) async fn of_anywhere<B>(
        front: &Front,
        caller: Caller,
        request: &Request<B>,
    ) -> Result<Rights, Refusal> {
        let Caller::Peer(source) = caller else { return Ok(Rights::All) };
        origin::judge(&front.rules(), source.sender, request.headers())?;
        Rights::judged(front, source, || handshake::grants(front, request)).await
    }

    /// Those of a request whose token stands in its header.
    ///
    /// # Errors
    /// Likewise.
    pub(super) async fn of_header(
        front: &Front,
        caller: Caller,
        headers: &HeaderMap,
    ) -> Result<Rights, Refusal> {
        let Caller::Peer(source) = caller else { return Ok(Rights::All) };
        origin::judge(&front.rules(), source.sender, headers)?;
        let token = token::in_headers(headers).ok_or(Refusal::NoHeader)?;
        Rights::judged(front, source, || handshake::granted(front, token)).await
    }

    /// What a token grants. Only rejected tokens count as attempts: an application may publish as often as it likes.
    ///
    /// A good token is accepted even if others of its address have used up all attempts. A worker then judges such
    /// tokens one after the other, with a pause after each that it rejects, so that guessing costs the server little.
    /// Those that wait are at most as many as `limits.max_pending`.
    async fn judged(
        front: &Front,
        source: Source,
        judge: impl FnOnce() -> Result<Grants, Refusal>,
    ) -> Result<Rights, Refusal> {
        if front.has_attempt(source.client).is_ok() {
            let grants = judge();
            if matches!(grants, Err(Refusal::Token(_))) {
                front.count_attempt(source.client)?;
            }
            return grants.map(Rights::Granted);
        }
        let _turn = front.without_attempts.lock().await;
        let grants = judge();
        if matches!(grants, Err(Refusal::Token(_))) {
            tokio::time::sleep(PAUSE).await;
            return Err(Refusal::TooManyHandshakes);
        }
        grants.map(Rights::Granted)
    }

    /// The channels that they let somebody publish to.
    pub(super) fn writes(&self) -> Writes<'_> {
        match self {
            Rights::All => Writes::All,
            Rights::Granted(grants) => {
                Writes::These(grants.write.iter().map(|name| &**name).collect())
            }
        }
    }

    /// # Errors
    /// Without the claim `manage`, which `api` does not imply.
    pub(super) fn need_manage(&self) -> Result<(), Refusal> {
        match self {
            Rights::Granted(grants) if !grants.manage => Err(Refusal::NoManageGrant),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// Without the claim `api`.
    pub(super) fn need_api(&self) -> Result<(), Refusal> {
        match self {
            Rights::Granted(grants) if !grants.api => Err(Refusal::NoApiGrant),
            _ => Ok(()),
        }
    }
}
