//! Owns what no single key can tell: values that contradict each other, and values that follow
//! from others.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::fault::Origin;
use super::field::quote;
use super::layer::Layer;
use super::report::Report;
use super::unit::{show_duration, show_size};
use super::{Config, ListenAddress, Preamble, TrustedProxy, scalar};

/// Where each key that is set was set.
pub(super) type Origins = BTreeMap<&'static str, Origin>;

/// Lets `PORT` replace the port of `listen`, unless a higher layer says where to listen.
pub(super) fn apply_port(
    layers: &[Layer],
    config: &mut Config,
    origins: &mut Origins,
    report: &mut Report,
) {
    let Some((level, node)) = layers
        .iter()
        .enumerate()
        .rev()
        .find_map(|(level, layer)| layer.port.as_ref().map(|node| (level, node)))
    else {
        return;
    };
    let port = match scalar::count(node, &(1..=u64::from(u16::MAX))) {
        Ok(port) => u16::try_from(port).unwrap_or(u16::MAX),
        Err(what) => return report.fault(&node.origin, None, what),
    };
    let listened = layers.iter().rposition(|layer| layer.get("listen").is_some());
    if listened.is_some_and(|listened| listened > level) {
        return;
    }
    let Some(listen) = &mut config.listen else {
        if listened.is_none() {
            config.default_port = port;
            origins.insert("listen", node.origin.clone());
        }
        return;
    };
    let mut addresses: Vec<_> = listen
        .iter_mut()
        .filter_map(|entry| match entry {
            ListenAddress::Tcp { address, .. } => Some(address),
            ListenAddress::Unix { .. } => None,
        })
        .collect();
    let Some(first) = addresses.first().map(|address| address.port()) else {
        let text = "listen has no address whose port it could replace; take it out";
        return report.warn(&node.origin, None, text);
    };
    if let Some(other) = addresses.iter().find(|address| address.port() != first) {
        let text = format!(
            "listen has the ports {first} and {}, and it cannot replace both; use LISTEN instead",
            other.port()
        );
        return report.fault(&node.origin, None, text);
    }
    addresses.iter_mut().for_each(|address| address.set_port(port));
    origins.insert("listen", node.origin.clone());
}

/// Fills in what follows from other keys.
pub(super) fn derive(config: &mut Config, origins: &mut Origins) {
    let limits = &mut config.limits;
    match (origins.contains_key("limits.memory"), origins.contains_key("limits.total_queue")) {
        (true, false) => limits.total_queue = limits.total_queue.min(limits.memory / 2),
        (false, _) => limits.memory = limits.memory.max(limits.total_queue.saturating_mul(2)),
        (true, true) => {}
    }
    let mut follow = |key: &'static str, from: &str| {
        let origin = origins.get(from).cloned();
        if let (false, Some(origin)) = (origins.contains_key(key), origin) {
            origins.insert(key, origin);
            return true;
        }
        false
    };
    if !config.auth.allowed_origins.is_empty()
        && follow("auth.check_origin", "auth.allowed_origins")
    {
        config.auth.check_origin = true;
    }
    if config.control.group.is_some() && follow("control.mode", "control.group") {
        config.control.mode = 0o660;
    }
}

/// Faults and warnings about keys together. `complete` is false where some are missing because
/// they could not be read; what that would make look wrong is left out.
pub(super) fn check(config: &Config, origins: &Origins, complete: bool, report: &mut Report) {
    let origin = |key| origins.get(key).cloned().unwrap_or(Origin::Default);
    if !config.auth.check_origin && !config.auth.allowed_origins.is_empty() {
        let text = "false beside allowed_origins, which would be looked at by nobody; take one of \
                    both out";
        report.fault(&origin("auth.check_origin"), Some("auth.check_origin"), text);
    }
    listeners(config, &origin("listen"), complete, report);
    control(config, &origin("control.socket"), report);
    metrics(config, &origin("metrics.listen"), report);
    proxies(config, &origin("listen"), &origin("proxy.trusted"), report);
    let mut secured = addresses_of(config, |preamble| preamble.tls);
    let named = config.tls.certificate.is_some() || config.tls.key.is_some();
    if let Some(address) = secured.next().filter(|_| !named) {
        let text = format!(
            "{} wants a certificate; set tls.certificate and tls.key",
            quote(&address.to_string())
        );
        report.fault(&origin("listen"), Some("listen"), text);
    }
    let limits = &config.limits;
    if limits.memory < limits.total_queue {
        let text = format!(
            "memory ({}) is less than total_queue ({}), which is a part of it; raise the one or lower \
             the other",
            show_size(limits.memory as u64),
            show_size(limits.total_queue as u64)
        );
        report.fault(&origin("limits.memory"), Some("limits.memory"), text);
    }
    if limits.memory < limits.max_message_size.saturating_mul(4) {
        let text = format!(
            "less than four times max_message_size ({}), so few messages can come at once; raise it or \
             lower limits.max_message_size",
            show_size(limits.max_message_size as u64)
        );
        report.warn(&origin("limits.memory"), Some("limits.memory"), text);
    }
    if limits.outbound_queue < limits.max_message_size.saturating_mul(2) {
        let key = match origins.get("limits.outbound_queue") {
            Some(_) => "limits.outbound_queue",
            None => "limits.max_message_size",
        };
        let text = format!(
            "outbound_queue ({}) is less than twice max_message_size ({}), so two messages can \
             make a reader a slow consumer; raise the one or lower the other",
            show_size(limits.outbound_queue as u64),
            show_size(limits.max_message_size as u64)
        );
        report.warn(&origin(key), Some(key), text);
    }
    let shutdown = &config.shutdown;
    if let Some(delay) = shutdown.delay.filter(|delay| *delay >= shutdown.drain_timeout) {
        let text = format!(
            "delay ({}) leaves nothing of drain_timeout ({}), so connections are cut without a close; raise \
             shutdown.drain_timeout above it",
            show_duration(delay),
            show_duration(shutdown.drain_timeout)
        );
        report.warn(&origin("shutdown.delay"), Some("shutdown.delay"), text);
    }
    for key in ["websocket.read_buffer_size", "websocket.write_buffer_size"] {
        if let Some(origin) = origins.get(key) {
            let text = "accepted for old configurations, and changes nothing; it can be taken out";
            report.warn(origin, Some(key), text);
        }
    }
}

fn addresses_of(
    config: &Config,
    wanted: impl Fn(Preamble) -> bool,
) -> impl Iterator<Item = ListenAddress> {
    config.listen_addresses().into_iter().filter(move |address| wanted(address.preamble()))
}

/// One socket cannot be for tools and for clients.
fn control(config: &Config, origin: &Origin, report: &mut Report) {
    let key = "control.socket";
    let mut listen = config.listen_addresses();
    listen.extend(config.metrics.listen.iter().cloned());
    for other in listen {
        if let ListenAddress::Unix { path, .. } = &other
            && config.control.socket.as_ref() == Some(path)
        {
            let text = format!("{other} is listened on too; take another path");
            report.fault(origin, Some(key), text);
        }
    }
}

fn metrics(config: &Config, origin: &Origin, report: &mut Report) {
    let key = Some("metrics.listen");
    let addresses = &config.metrics.listen;
    for (index, address) in addresses.iter().enumerate() {
        if let Some(other) = addresses[..index].iter().find(|other| same_socket(address, other)) {
            report.fault(origin, key, twice(address, other));
        }
        if config.listen_addresses().iter().any(|other| same_socket(address, other)) {
            let text = format!("{address} stands in listen too; take another port or path");
            report.fault(origin, key, text);
        }
    }
    if let Some(open) = addresses.iter().find(|address| !address.is_local()) {
        let text = format!(
            "whoever reaches {} can read them, without a token; listen on loopback, or keep others \
             out with a firewall",
            quote(&open.to_string())
        );
        report.warn(origin, key, text);
    }
}

fn twice(address: &ListenAddress, other: &ListenAddress) -> String {
    match (address, other) {
        (ListenAddress::Tcp { address: one, .. }, ListenAddress::Tcp { address: two, .. })
            if one != two =>
        {
            format!("{address} and {other} cannot both be listened on; take one out")
        }
        _ => format!("{address} stands twice; take one out"),
    }
}

/// Whether two addresses cannot both be listened on, as far as that shows.
fn same_socket(one: &ListenAddress, other: &ListenAddress) -> bool {
    match (one, other) {
        (
            ListenAddress::Tcp { address: one, ipv6only: one_alone, .. },
            ListenAddress::Tcp { address: other, ipv6only: other_alone, .. },
        ) => {
            // What a wildcard has nobody else can have: of its own family, or of both.
            let takes = |wildcard: &SocketAddr, alone: &bool, other: &SocketAddr| {
                // BSD lets both listen, and gives each what comes to its very address.
                cfg!(target_os = "linux")
                    && wildcard.ip().is_unspecified()
                    && (wildcard.is_ipv4() == other.is_ipv4() || wildcard.is_ipv6() && !alone)
            };
            one.port() == other.port()
                && one.port() != 0
                && (one.ip() == other.ip()
                    || takes(one, one_alone, other)
                    || takes(other, other_alone, one))
        }
        (ListenAddress::Unix { path: one, .. }, ListenAddress::Unix { path: other, .. }) => {
            one == other
        }
        _ => false,
    }
}

/// A listener that demands the PROXY header of peers none of which is trusted would serve nobody.
fn proxies(config: &Config, listen: &Origin, trusted: &Origin, report: &mut Report) {
    let entries = || config.proxy.trusted.iter();
    for address in addresses_of(config, |preamble| preamble.proxy) {
        let is_unix = matches!(address, ListenAddress::Unix { .. });
        if !entries().any(|entry| is_unix == (*entry == TrustedProxy::Unix)) {
            let mend = if is_unix { "add \"unix\" to it" } else { "add the proxy's address to it" };
            let text = format!(
                "{} wants the PROXY header, which is taken from proxy.trusted alone, so nobody \
                 could connect; {mend}",
                quote(&address.to_string())
            );
            report.fault(listen, Some("listen"), text);
        }
    }
    if let Some(everybody) = entries().find(|entry| entry.is_everybody()) {
        let text = format!(
            "{everybody} trusts everybody, so anyone who can connect can say that they come from \
             anywhere; name the proxies"
        );
        report.warn(trusted, Some("proxy.trusted"), text);
    }
}

fn listeners(config: &Config, origin: &Origin, complete: bool, report: &mut Report) {
    let key = Some("listen");
    let addresses = config.listen_addresses();
    if addresses.is_empty() {
        let text = "an empty list, so nobody could connect; name an address, or leave it out";
        report.fault(origin, key, text);
    }
    for (index, address) in addresses.iter().enumerate() {
        if let Some(other) = addresses[..index].iter().find(|other| same_socket(address, other)) {
            report.fault(origin, key, twice(address, other));
        }
    }
    if !complete || !config.auth.accepts_empty_key() {
        return;
    }
    let open: Vec<_> = addresses.iter().filter(|address| !address.is_local()).collect();
    match (open.first(), config.auth.allow_empty_secret) {
        (Some(open), false) => {
            let text = format!(
                "with the empty secret anyone who reaches {} could sign a token; set SECRET or \
                 auth.secret_file, listen on loopback, or set auth.allow_empty_secret = true",
                quote(&open.to_string())
            );
            report.fault(origin, key, text);
        }
        (Some(_), true) => {
            let text = "the empty secret is allowed beyond loopback: anyone who can connect can \
                        sign a token for every channel; set SECRET or auth.secret_file";
            report.warn(&Origin::Default, Some("auth.secret"), text);
        }
        (None, _) if config.listens_by_default() => {
            let text = "empty, so listening on loopback only; nobody outside this host or \
                        container can connect; set SECRET or auth.secret_file";
            report.warn(&Origin::Default, Some("auth.secret"), text);
        }
        (None, _) => {
            let text = "empty, so anyone on this host can sign a token; set SECRET or \
                        auth.secret_file";
            report.warn(&Origin::Default, Some("auth.secret"), text);
        }
    }
}
