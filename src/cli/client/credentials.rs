//! Owns [`Token`]: what opens the server. It comes from a file, from the environment, or is made with
//! the configuration's secret; never from the arguments, which every user of the machine can read.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::Needs;
use crate::auth::Claims;
use crate::cli::configuration::sign_with;
use crate::cli::failure::Failure;
use crate::cli::token::now;
use crate::config::Loaded;

/// How long a token is good that is made for one command, in seconds: long enough for a handshake and
/// clocks that differ, too short to be worth stealing. A connection outlives its token.
const LIFETIME: u64 = 60;
/// The most bytes of a token: what servers take of a request's head by default.
const LONGEST: u64 = 64 << 10;

/// A token for this server. `Debug` masks it.
pub(in crate::cli) struct Token {
    text: String,
    origin: String,
    /// Whether it was made here.
    pub(super) is_minted: bool,
}

impl Token {
    /// The token in `$PHILOTE_TOKEN`.
    pub(super) fn given(text: String) -> Result<Self, Failure> {
        Self::checked(&text, "PHILOTE_TOKEN".into())
    }

    fn checked(text: &str, origin: String) -> Result<Self, Failure> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::Usage(format!("{origin} holds no token")));
        }
        let origin = format!("using the token of {origin}");
        Ok(Self { text: text.into(), origin, is_minted: false })
    }

    pub(in crate::cli) fn as_str(&self) -> &str {
        &self.text
    }

    /// Where it comes from.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.origin)
    }
}

/// The token in a file, with white space around it; `-` is standard input.
///
/// # Errors
/// [`Failure::NotPermitted`] where the file cannot be read, [`Failure::Usage`] where it holds no token.
pub(super) fn read(path: &Path) -> Result<Token, Failure> {
    let is_stdin = path.as_os_str() == "-";
    let name = if is_stdin { "standard input".into() } else { path.display().to_string() };
    let input: io::Result<Box<dyn Read>> = if is_stdin {
        Ok(Box::new(io::stdin()))
    } else {
        File::open(path).map(|file| Box::new(file) as Box<dyn Read>)
    };
    let mut bytes = Vec::new();
    input.and_then(|input| input.take(LONGEST + 1).read_to_end(&mut bytes)).map_err(|error| {
        Failure::NotPermitted(format!("cannot read the token: {name}: {error}"))
    })?;
    if bytes.len() as u64 > LONGEST {
        return Err(Failure::Usage(format!("{name} is too long for a token")));
    }
    Token::checked(&String::from_utf8_lossy(&bytes), name)
}

/// A token for these channels alone, signed with the configuration's secret.
///
/// # Errors
/// See [`sign_with`].
pub(super) fn mint(loaded: &Loaded, needs: Needs<'_>) -> Result<Token, Failure> {
    let claims = Claims {
        read: needs.read.to_vec(),
        write: needs.write.to_vec(),
        api: needs.api,
        expires: Some(now() + LIFETIME),
        ..Claims::default()
    };
    let text = sign_with(loaded, claims)?;
    let secret =
        if loaded.config.auth.secret.is_empty() { "the empty secret" } else { "the secret" };
    let origin = match &loaded.path {
        Some(path) => format!(
            "made a token for {LIFETIME} s with {secret} of the configuration, {}",
            path.display()
        ),
        None => format!("made a token for {LIFETIME} s with {secret} of the configuration"),
    };
    Ok(Token { text, origin, is_minted: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_and_never_shown() {
        let token = Token::given(" a.b.c\n".into()).unwrap();
        assert_eq!(token.as_str(), "a.b.c");
        assert!(!format!("{token:?} {}", token.origin()).contains("a.b.c"));
        for text in [" ", "a b", "a\nb", "a\0", "é"] {
            let failure = Token::given(text.into()).unwrap_err();
            assert_eq!(failure.exit_code(), 64, "{text:?}");
            assert_eq!(failure.to_string(), "philote: PHILOTE_TOKEN holds no token");
        }
    }
}
