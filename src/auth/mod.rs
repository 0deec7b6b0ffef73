//! Token + keys + now -> [`Grants`]: who may read and write what, or why not.
//!
//! Pure: no I/O, no clock, no runtime. It stands on the walk of a handshake, between the request's
//! head (which finds the token) and the hub (which is told the channels). Tokens are JWTs (RFC 7519)
//! in the compact form of RFC 7515, signed with a secret or a private key (RFC 7518, sections 3.2 to 3.4, and
//! RFC 8037). What attacks on them look like stands in RFC 8725.
//!
//! Nothing of a token, be it whole or in part, ever stands in an error, a log or `Debug` output here.

mod claims;
mod error;
mod keys;
mod self_check;
mod sign;
mod unverified;
mod verify;

pub use error::{AuthError, Claim};
pub use keys::{KeyId, Keys};
pub use self_check::{SelfCheckError, self_check};
pub use sign::{Algorithm, Claims, SignError, sign};
pub use unverified::UnverifiedGrants;
pub use verify::{Grants, Policy, verify};
