//! A machine without one of the two families of addresses.

use std::process::Command;

use super::network::Namespace;
use super::tools::{in_tests, require_tool, run, skip};

/// A command that runs another one as if the machine lacked a family.
pub(crate) struct Without {
    launcher: Vec<String>,
    /// The namespace, if that is what lacks it.
    _namespace: Option<Namespace>,
}

impl Without {
    /// The system makes no sockets of the family `"4"` or `"6"` (EAFNOSUPPORT), as a kernel without it. `None`, reported
    /// and counted, if that cannot be had.
    pub(crate) fn sockets(family: &str) -> Option<Without> {
        let python = require_tool("python3", "apt install python3")?;
        // The real one: what stands in the path may be a script that needs an environment.
        let found = Command::new(python).args(["-c", "import sys; print(sys.executable)"]).output();
        let python = String::from_utf8(found.expect("Python runs").stdout).expect("a path");
        let script = in_tests("python/without_family.py").display().to_string();
        let launcher = vec![python.trim().into(), "-I".into(), script, family.into()];
        if let Err(why) = run(Command::new(&launcher[0]).args(&launcher[1..]).arg("/bin/true")) {
            skip(&format!("no filter of system calls: {why}"));
            return None;
        }
        Some(Without { launcher, _namespace: None })
    }

    /// A network namespace in which IPv6 is disabled: there is no `::1` (EADDRNOTAVAIL). `None`, reported and counted, if
    /// that cannot be had.
    pub(crate) fn ipv6_addresses() -> Option<Without> {
        let ip = require_tool("ip", "apt install iproute2")?.display().to_string();
        let namespace = Namespace::new()?;
        let within = ["netns", "exec", namespace.name()];
        let disable = "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6 && ip link set lo up";
        run(Command::new(&ip).args(within).args(["sh", "-c", disable])).expect("IPv6 is disabled");
        let launcher = [&[ip.as_str()], &within[..]].concat();
        let launcher = launcher.into_iter().map(str::to_owned).collect();
        Some(Without { launcher, _namespace: Some(namespace) })
    }

    /// For `Setup::launched_by`.
    pub(crate) fn launcher(&self) -> Vec<&str> {
        self.launcher.iter().map(String::as_str).collect()
    }

    /// A run of this binary without the family, and without any variable.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(&self.launcher[0]);
        command.args(&self.launcher[1..]).arg(program).env_clear();
        command
    }
}
