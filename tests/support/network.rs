//! A network namespace with cables into it that can be cut without a word to either end: how a
//! peer that vanishes looks to the server.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::tools::{require_tool, run, skip};

/// A namespace; it and its cables go with it.
pub(crate) struct Namespace {
    name: String,
}

/// A cable between the namespace and the test.
pub(crate) struct Cable {
    namespace: String,
    inside: String,
    outside: String,
    inside_address: Ipv4Addr,
    outside_address: Ipv4Addr,
}

impl Namespace {
    /// `None`, told and counted, where the machine does not let us.
    pub(crate) fn new() -> Option<Namespace> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        require_tool("ip", "apt install iproute2")?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ph{}-{count}", std::process::id());
        if let Err(why) = ip(&["netns", "add", &name]) {
            skip(&format!("network namespaces need root: {why}"));
            return None;
        }
        Some(Namespace { name })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Lays a cable with an address at each end.
    pub(crate) fn cable(&self) -> Cable {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Names and a subnet of its own: tests run side by side, in one process or in several.
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let subnet = (process << 4 | count & 0xf) & 0xf_ffff;
        let base = u32::from(Ipv4Addr::new(10, 192, 0, 0)) | subnet << 2;
        let cable = Cable {
            namespace: self.name.clone(),
            inside: format!("pi{process}-{count}"),
            outside: format!("po{process}-{count}"),
            inside_address: Ipv4Addr::from(base + 1),
            outside_address: Ipv4Addr::from(base + 2),
        };
        let (inside, outside) = (cable.inside.as_str(), cable.outside.as_str());
        let at = |address: Ipv4Addr| format!("{address}/30");
        for words in [
            &["link", "add", outside, "type", "veth", "peer", "name", inside, "netns", &self.name]
                [..],
            &["-n", &self.name, "addr", "add", &at(cable.inside_address), "dev", inside],
            &["-n", &self.name, "link", "set", inside, "up"],
            &["addr", "add", &at(cable.outside_address), "dev", outside],
            &["link", "set", outside, "up"],
        ] {
            ip(words).expect("a cable is laid");
        }
        cable
    }
}

impl Cable {
    /// The address of the end within the namespace.
    pub(crate) fn inside_address(&self) -> Ipv4Addr {
        self.inside_address
    }

    /// From now on packets of both directions get lost: each end believes the other to be at a
    /// hardware address that is nobody's, so no interface goes down and no error comes back.
    pub(crate) fn cut(&self) {
        let nobody = "02:00:00:00:00:99";
        let (inside, outside) = (self.inside_address.to_string(), self.outside_address.to_string());
        let forget = ["neigh", "replace", &inside, "lladdr", nobody, "nud", "permanent", "dev"];
        ip(&[&forget[..], &[&self.outside]].concat()).expect("a cable is cut");
        let forget = ["neigh", "replace", &outside, "lladdr", nobody, "nud", "permanent", "dev"];
        let within = ["-n", self.namespace.as_str()];
        ip(&[&within[..], &forget[..], &[&self.inside]].concat()).expect("a cable is cut");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&["netns", "delete", &self.name]);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        // The namespace's end goes with ours.
        let _ = ip(&["link", "delete", &self.outside]);
    }
}

fn ip(words: &[&str]) -> Result<(), String> {
    run(Command::new("ip").args(words))
}
