//! Owns [`Hosts`]: the text of a hosts file, hosts(5), to the addresses that it gives a name.

use std::net::IpAddr;

/// What a hosts file says, in its order. What cannot be read in it is left out, as everywhere.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    lines: Vec<(IpAddr, Vec<String>)>,
}

impl Hosts {
    /// Never fails: a file that is not there is an empty one.
    pub(super) fn parse(text: &str) -> Hosts {
        let line = |line: &str| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address = words.next()?.parse().ok()?;
            Some((address, words.map(str::to_owned).collect()))
        };
        Hosts { lines: text.lines().filter_map(line).collect() }
    }

    /// All addresses of a name, whose case means nothing; none where the file does not have it.
    pub(super) fn of(&self, name: &str) -> Vec<IpAddr> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let has_it = |names: &[String]| names.iter().any(|one| one.eq_ignore_ascii_case(name));
        let found = self.lines.iter().filter(|(_, names)| has_it(names));
        found.map(|(address, _)| *address).collect()
    }
}
