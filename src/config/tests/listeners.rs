//! Where to listen: the default, `PORT`, and that the empty secret stays on this machine.

use super::*;

const SECRET: (&str, &str) = ("SECRET", "0123456789abcdef0123456789abcdef");

fn shown(config: &Config) -> Vec<String> {
    config.listen_addresses().iter().map(ListenAddress::to_string).collect()
}

#[test]
fn the_default_is_loopback_with_the_empty_secret_and_everything_with_one() {
    let config = Fake::new().config();
    assert!(config.listens_by_default());
    assert_eq!(shown(&config), ["127.0.0.1:6380", "[::1]:6380"]);
    let config = Fake::new().env(&[SECRET]).config();
    assert!(config.listens_by_default());
    assert_eq!(shown(&config), ["[::]:6380"]);
    let config = Fake::new().toml("auth.previous_secrets = [\"x\"]").config();
    assert_eq!(shown(&config), ["[::]:6380"]);
}

#[test]
fn the_empty_secret_is_told_with_what_it_means_for_connections() {
    let told = |fake: Fake| fake.warnings().join("\n");
    assert_eq!(
        told(Fake::new()),
        "auth.secret: empty, so listening on loopback only; nobody outside this host or container \
         can connect; set SECRET or auth.secret_file"
    );
    let warning = told(Fake::new().env(&[("LISTEN", "unix:/run/p.sock,127.0.0.1:1")]));
    assert!(warning.starts_with("auth.secret: empty, so anyone on this host"), "{warning}");
    let open = Fake::new().toml("auth.allow_empty_secret = true").env(&[("LISTEN", "0.0.0.0:1")]);
    let warning = told(open);
    assert!(warning.contains("anyone who can connect can sign a token"), "{warning}");
    assert_eq!(told(Fake::new().env(&[SECRET])), "");
}

#[test]
fn the_empty_secret_beyond_loopback_is_refused_unless_it_is_allowed() {
    for entry in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "127.0.0.1:1,[2001:db8::1]:2"] {
        let fake = || Fake::new().env(&[("LISTEN", entry)]);
        let faults = fake().faults();
        assert_eq!(faults.len(), 1, "{faults:?}");
        let start = "environment: LISTEN: with the empty secret anyone who reaches \"";
        assert!(faults[0].starts_with(start), "{faults:?}");
        fake().env(&[SECRET]).config();
        fake().toml("auth.previous_secrets = [\"x\"]").config();
        fake().toml("auth.allow_empty_secret = true").config();
        assert_eq!(fake().toml("auth.secret = \"\"").faults().len(), 1);
    }
    for entry in ["127.0.0.1:1", "localhost:1", "unix:/run/p.sock"] {
        Fake::new().env(&[("LISTEN", entry)]).config();
    }
    let expected = "/etc/philote/config.toml:1:10: listen: with the empty secret anyone who reaches \
                    \"0.0.0.0:80\" could sign a token; set SECRET or auth.secret_file, listen on \
                    loopback, or set auth.allow_empty_secret = true";
    assert_eq!(Fake::new().toml("listen = [\"0.0.0.0:80\"]").faults(), [expected]);
}

#[test]
fn a_secret_that_cannot_be_read_is_not_told_as_an_open_listener_too() {
    let fake = Fake::new().env(&[("LISTEN", "0.0.0.0:1"), ("SECRET_FILE", "/none")]);
    assert_eq!(fake.faults().len(), 1);
    let fake = Fake::new().toml("auth.secret = \"x").env(&[("LISTEN", "0.0.0.0:1")]);
    assert_eq!(fake.faults().len(), 1);
}

#[test]
fn port_replaces_the_port_of_its_layer_and_of_those_below() {
    let port = ("PORT", "8080");
    let config = Fake::new().env(&[port]).config();
    assert!(config.listens_by_default());
    assert_eq!(shown(&config), ["127.0.0.1:8080", "[::1]:8080"]);
    assert_eq!(shown(&Fake::new().env(&[port, SECRET]).config()), ["[::]:8080"]);
    let toml = "listen = [\"127.0.0.1:1\", \"unix:/p\", \"[::1]:1 ipv6only\"]";
    let expected = ["127.0.0.1:8080", "unix:/p", "[::1]:8080 ipv6only"];
    assert_eq!(shown(&Fake::new().toml(toml).env(&[port]).config()), expected);
    // An image says LISTEN, its platform PORT.
    let both = [("PHILOTE_LISTEN", "[::]:6380"), port, SECRET];
    let loaded = Fake::new().env(&both).load().expect("it is right");
    assert_eq!(shown(&loaded.config), ["[::]:8080"]);
    assert_eq!(loaded.settings[0].to_string(), "listen = [\"[::]:8080\"]  # environment PORT");
    // The higher layer says where to listen, ports included.
    let fake = Fake::new().file(ENV, 0o640, "PORT=8080\n").env(&[("LISTEN", "127.0.0.1:1")]);
    assert_eq!(shown(&fake.config()), ["127.0.0.1:1"]);
}

#[test]
fn port_that_could_mean_two_ports_or_none_is_told() {
    let fake = Fake::new().env(&[("LISTEN", "127.0.0.1:80,127.0.0.1:443"), ("PORT", "8080")]);
    let expected = "environment: PORT: listen has the ports 80 and 443, and it cannot replace both; \
                    use LISTEN instead";
    assert_eq!(fake.faults(), [expected]);
    let fake = Fake::new().env(&[("LISTEN", "unix:/p"), ("PORT", "8080")]);
    let expected = "environment: PORT: listen has no address whose port it could replace; take it \
                    out";
    assert!(fake.warnings().contains(&expected.into()));
    for text in ["0", "65536", "http", "-1", "6380/tcp"] {
        assert_eq!(Fake::new().env(&[("PORT", text)]).faults().len(), 1, "{text}");
    }
}

#[test]
fn an_address_stands_once_and_an_empty_list_nowhere() {
    for entries in ["127.0.0.1:1,127.0.0.1:1", "unix:/p,unix:/p mode=0660", "localhost:1,[::1]:1"] {
        let faults = Fake::new().env(&[("LISTEN", entries)]).faults();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains("stands twice; take one out"), "{faults:?}");
    }
    #[cfg(target_os = "linux")]
    for entries in ["127.0.0.1:1,0.0.0.0:1", "[::]:1,127.0.0.1:1", "[::1]:1,[::]:1 ipv6only"] {
        let faults = Fake::new().env(&[("LISTEN", entries), SECRET]).faults();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains(" cannot both be listened on; take one out"), "{faults:?}");
    }
    Fake::new().env(&[("LISTEN", "[::]:1 ipv6only,0.0.0.0:1,127.0.0.1:2"), SECRET]).config();
    Fake::new().env(&[("LISTEN", "127.0.0.1:0,127.0.0.1:0")]).config();
    let expected = "/etc/philote/config.toml:1:10: listen: an empty list, so nobody could connect; \
                    name an address, or leave it out";
    assert_eq!(Fake::new().toml("listen = []").faults(), [expected]);
}

#[test]
fn the_control_socket_is_nobody_elses() {
    for key in ["listen = [\"127.0.0.1:1\", \"unix:/p\"]", "metrics.listen = [\"unix:/p\"]"] {
        let faults = Fake::new().toml(format!("{key}\ncontrol.socket = \"/p\"")).faults();
        assert_eq!(
            faults,
            [
                "/etc/philote/config.toml:2:18: control.socket: unix:/p is listened on too; take another path"
            ]
        );
    }
}

#[test]
fn metrics_are_read_where_it_is_said_and_nowhere_else() {
    let metrics = |fake: Fake| {
        let listen = fake.config().metrics.listen;
        listen.iter().map(ListenAddress::to_string).collect::<Vec<_>>().join(", ")
    };
    let variable = "PHILOTE_METRICS_LISTEN";
    assert_eq!(metrics(Fake::new()), "");
    assert_eq!(metrics(Fake::new().toml("metrics.listen = \"off\"")), "");
    assert_eq!(metrics(Fake::new().toml("metrics.listen = []")), "");
    let toml = "metrics.listen = [\"localhost:9638\", \"unix:/m\"]";
    assert_eq!(metrics(Fake::new().toml(toml)), "127.0.0.1:9638, [::1]:9638, unix:/m");
    assert_eq!(metrics(Fake::new().toml(toml).env(&[(variable, "off")])), "");
    let two = [(variable, "127.0.0.1:1,127.0.0.1:2")];
    assert_eq!(metrics(Fake::new().env(&two)), "127.0.0.1:1, 127.0.0.1:2");
    let cases = [
        ("\"127.0.0.1:1\"", "where an array is wanted"),
        ("[\"127.0.0.1\"]", "has no port"),
        ("[\"127.0.0.1:1\", \"127.0.0.1:1\"]", "127.0.0.1:1 stands twice"),
        ("[\"127.0.0.1:6380\"]", "127.0.0.1:6380 stands in listen too"),
    ];
    for (value, expected) in cases {
        let faults = Fake::new().toml(format!("metrics.listen = {value}")).faults();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains("metrics.listen: "), "{faults:?}");
        assert!(faults[0].contains(expected), "{faults:?}");
    }
}

#[test]
fn metrics_beyond_loopback_are_told() {
    let told = |entry: &str| {
        let fake = Fake::new().env(&[SECRET]).toml(format!("metrics.listen = [\"{entry}\"]"));
        fake.warnings().join("\n")
    };
    for entry in ["127.0.0.1:1", "[::1]:1", "unix:/m"] {
        assert_eq!(told(entry), "");
    }
    let warning = told("0.0.0.0:1");
    assert!(
        warning.contains("metrics.listen: whoever reaches \"0.0.0.0:1\" can read"),
        "{warning}"
    );
}

#[test]
fn a_listener_for_proxies_is_refused_where_none_is_trusted_that_could_come_to_it() {
    let listen = |entry: &str, trusted: &str| {
        Fake::new().env(&[("LISTEN", entry), ("PHILOTE_PROXY_TRUSTED", trusted)])
    };
    let expected = "environment: LISTEN: \"127.0.0.1:1 proxy\" wants the PROXY header, which is taken \
                    from proxy.trusted alone, so nobody could connect; add the proxy's address to it";
    assert_eq!(listen("127.0.0.1:1 proxy", "").faults(), [expected]);
    assert_eq!(listen("127.0.0.1:1 proxy", "unix").faults(), [expected]);
    let expected = "environment: LISTEN: \"unix:/p proxy\" wants the PROXY header, which is taken from \
                    proxy.trusted alone, so nobody could connect; add \"unix\" to it";
    assert_eq!(listen("unix:/p proxy", "10.0.0.0/8").faults(), [expected]);
    let both = "unix:/p proxy,127.0.0.1:1 proxy";
    assert_eq!(shown(&listen(both, "unix, ::1").config()), ["unix:/p proxy", "127.0.0.1:1 proxy"]);
    // Without the word it is no fault to trust nobody.
    listen("127.0.0.1:1", "").config();
}

#[test]
fn to_trust_everybody_is_worth_a_warning() {
    let told = |trusted: &str| {
        let fake = Fake::new().env(&[SECRET, ("PHILOTE_PROXY_TRUSTED", trusted)]);
        fake.warnings().join("\n")
    };
    for everybody in ["0.0.0.0/0", "10.0.0.0/8,::/0"] {
        let warning = told(everybody);
        assert!(warning.starts_with("environment: PHILOTE_PROXY_TRUSTED: "), "{warning}");
        assert!(warning.contains("trusts everybody"), "{warning}");
    }
    assert_eq!(told("10.0.0.0/8, unix, 0.0.0.0/1"), "");
}
