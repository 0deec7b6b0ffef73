//! What a start needs of this machine beside a good configuration, as far as it shows without changing anything: so that
//! neither `philote check` nor a reload calls good what the next start would end over.

use std::fmt;

use crate::config::Config;

use super::listeners::Purpose;
use super::{bind, control, families, log};

/// Something that is lacking, in the words of a start that ends over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    line: String,
    /// Whether it may be there when it is needed, since whoever starts the server makes it.
    pub may_be_made: bool,
}

impl Lack {
    fn of(fault: &impl fmt::Display) -> Lack {
        Lack { line: fault.to_string(), may_be_made: false }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// What is lacking. What whoever asks cannot see is not lacking.
pub fn lacking(config: &Config) -> Vec<Lack> {
    lacking_beside(config, |_| false)
}

/// The same where the service manager has given the listeners of some purposes: what is configured of those is ignored.
pub(super) fn lacking_beside(config: &Config, is_given: impl Fn(Purpose) -> bool) -> Vec<Lack> {
    let mut lacking = Vec::new();
    if let Err(fault) = log::look(&config.log) {
        lacking.push(Lack { may_be_made: fault.may_be_made(), ..Lack::of(&fault) });
    }
    for purpose in Purpose::ALL.into_iter().filter(|purpose| !is_given(*purpose)) {
        let (addresses, _) = families::fit(&purpose.addresses(config));
        let faults = addresses.iter().filter_map(|address| bind::look(address).err());
        lacking.extend(faults.map(|fault| Lack::of(&fault.of(purpose))));
    }
    lacking.extend(control::look(&config.control).err().map(|fault| Lack::of(&fault)));
    lacking
}

/// The addresses that are left out or replaced since this machine lacks their family, a line each.
pub fn unavailable(config: &Config) -> Vec<String> {
    unavailable_beside(config, |_| false)
}

/// [`unavailable`], if the service manager has given the listeners of some purposes.
pub(super) fn unavailable_beside(
    config: &Config,
    is_given: impl Fn(Purpose) -> bool,
) -> Vec<String> {
    let of = |purpose: Purpose| {
        let (_, unavailable) = families::fit(&purpose.addresses(config));
        unavailable.into_iter().map(move |one| format!("{}: {one}", purpose.key()))
    };
    Purpose::ALL.into_iter().filter(|purpose| !is_given(*purpose)).flat_map(of).collect()
}
