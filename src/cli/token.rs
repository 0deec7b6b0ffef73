//! `philote token`: a token alone on standard output.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::ArgGroup;

use super::configuration::{Configuration, sign_with};
use super::failure::Failure;
use super::output;
use crate::auth::{Claims, Keys, Policy, verify};

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("grants").args(["read", "write", "api", "manage"]).required(true).multiple(true))]
pub(super) struct Token {
    /// Channel to subscribe to; may be repeated
    #[arg(long, value_name = "CHANNEL")]
    read: Vec<String>,
    /// Channel to publish to; may be repeated
    #[arg(long, value_name = "CHANNEL")]
    write: Vec<String>,
    /// Open GET /api/info, and POST /api/publish for the channels of --write
    #[arg(long)]
    api: bool,
    /// Open the list of connections and channels, and closing connections
    #[arg(long)]
    manage: bool,
    /// How long it is good, such as 90s, 30m, 1h, 7d or "never"
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = lifetime)]
    expires: Lifetime,
    /// Who it is for
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
}

/// How long a token is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifetime {
    Seconds(u64),
    Ever,
}

/// One whole number and a unit; a day is 86,400 s.
fn lifetime(text: &str) -> Result<Lifetime, String> {
    if text == "never" {
        return Ok(Lifetime::Ever);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err("write a number and a unit, such as 90s, 30m, 1h or 7d, or never".into()),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    match seconds {
        Some(0) => Err("a token that is good for no time at all; use 1s or more".into()),
        // A thousand years, well below where dates end.
        Some(seconds) if seconds <= 1_000 * 366 * 86_400 => Ok(Lifetime::Seconds(seconds)),
        _ => Err("that is too long; write never".into()),
    }
}

/// Seconds since 1970. A clock before that is a machine without one, which cannot judge a token either.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

impl Token {
    /// # Errors
    /// A configuration that is wrong or cannot be read: a token is never signed with the empty secret
    /// because the secret is out of sight. A token that the server of this configuration would refuse.
    pub(super) fn run(self, configuration: &Configuration) -> Result<(), Failure> {
        let loaded = configuration.load()?;
        let now = now();
        let claims = Claims {
            read: self.read,
            write: self.write,
            api: self.api,
            manage: self.manage,
            subject: self.subject,
            expires: match self.expires {
                Lifetime::Seconds(seconds) => Some(now.saturating_add(seconds)),
                Lifetime::Ever => None,
            },
            ..Claims::default()
        };
        let token = sign_with(&loaded, claims)?;
        let config = &loaded.config;
        let (keys, policy) = (Keys::from(&config.auth), Policy::from(config));
        verify(&token, &keys, &policy, now).map_err(|refusal| {
            Failure::Configuration(format!("the server would refuse it: {refusal}"))
        })?;
        output::data(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_a_number_and_a_unit_or_never() {
        let cases = [
            ("never", Lifetime::Ever),
            ("90s", Lifetime::Seconds(90)),
            ("30m", Lifetime::Seconds(1800)),
            ("1h", Lifetime::Seconds(3600)),
            ("7d", Lifetime::Seconds(604_800)),
        ];
        for (text, expected) in cases {
            assert_eq!(lifetime(text), Ok(expected));
        }
        for text in
            ["", "1", "h", "0s", "-1h", "1.5h", "1 h", "1w", "1H", "Never", "99999999999999999999s"]
        {
            assert!(lifetime(text).is_err(), "{text}");
        }
        assert!(lifetime("366000d").is_ok() && lifetime("366001d").is_err());
    }
}
