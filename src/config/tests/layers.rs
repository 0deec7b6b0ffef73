//! Layers: environment over env file over TOML over defaults, setting by setting.

use super::*;

fn setting<'a>(loaded: &'a Loaded, key: &str) -> &'a Setting {
    loaded.settings.iter().find(|setting| setting.key == key).expect("the key is there")
}

#[test]
fn the_defaults_are_those_of_the_reference() {
    let config = Fake::new().config();
    assert_eq!(config.workers.get(), 3);
    let expected = Config { workers: config.workers, ..Config::default() };
    assert_eq!(config, expected);
}

#[test]
fn a_higher_layer_wins_setting_by_setting() {
    let fake = Fake::new()
        .toml("[limits]\nmax_connections = 1\nmax_pending = 1\nmax_channels = 1\n")
        .file(ENV, 0o640, "MAX_CONNECTIONS=2\nPHILOTE_LIMITS_MAX_PENDING=2\n")
        .env(&[("PHILOTE_LIMITS_MAX_CONNECTIONS", "3")]);
    let loaded = fake.load().expect("it is right");
    let limits = &loaded.config.limits;
    assert_eq!((limits.max_connections, limits.max_pending, limits.max_channels), (3, 2, 1));
    let shown: Vec<_> = ["max_connections", "max_pending", "max_channels", "max_head_size"]
        .map(|name| setting(&loaded, &format!("limits.{name}")).to_string())
        .into();
    assert_eq!(
        shown,
        [
            "limits.max_connections = 3  # environment PHILOTE_LIMITS_MAX_CONNECTIONS",
            "limits.max_pending = 2  # /etc/default/philote:2:1 PHILOTE_LIMITS_MAX_PENDING",
            "limits.max_channels = 1  # /etc/philote/config.toml:4:16",
            "limits.max_head_size = \"64KiB\"  # default",
        ]
    );
}

#[test]
fn a_fault_in_a_layer_that_is_overridden_is_still_a_fault() {
    let fake = Fake::new().toml("workers = 0").env(&[("PHILOTE_WORKERS", "3")]);
    assert_eq!(fake.faults().len(), 1);
}

#[test]
fn every_key_can_be_set_by_its_variable() {
    let secret = Fake::new().file("/etc/philote/secret", 0o640, "x".repeat(40)).file(
        "/etc/philote/app.pub",
        0o644,
        include_str!("../../../tests/keys/p256.pub"),
    );
    let mut read = 0;
    for key in keys::all() {
        let example = key.example();
        let text = example.trim_matches('"');
        for name in key.variables() {
            let fake = Fake { files: secret.files.clone(), ..Fake::new() }.env(&[(&name, text)]);
            let fake = fake.beside(key);
            let loaded = fake.load().unwrap_or_else(|faults| panic!("{name}={text}: {faults}"));
            if !text.is_empty() {
                assert_eq!(setting(&loaded, key.path).origin.variable(), Some(&*name));
                assert_eq!(setting(&loaded, key.path).value, example, "{name}");
                read += 1;
            }
        }
    }
    assert!(read > 40, "{read}");
}

#[test]
fn variables_are_read_as_people_write_them() {
    let all = [
        ("LOGLEVEL", "WARNING"),
        ("CHECK_ORIGIN", "T"),
        ("PHILOTE_AUTH_CLOSE_AT_EXPIRY", "1"),
        ("PHILOTE_LIMITS_MAX_HEAD_SIZE", "16384"),
        ("PHILOTE_LIMITS_MAX_MESSAGE_SIZE", "2 MiB"),
        ("PHILOTE_WEBSOCKET_PING_INTERVAL", "OFF"),
        ("PHILOTE_WEBSOCKET_SLOW_CONSUMER", "Drop"),
        ("PHILOTE_CONTROL_MODE", "640"),
        ("PHILOTE_LOG_OUTPUT", "/var/log/philote.log"),
        ("LISTEN", "127.0.0.1:1, [::1]:2,"),
        ("PHILOTE_AUTH_ALLOWED_ORIGINS", "[\"https://a.example\", 'https://b.example']"),
        ("MAX_CONNECTIONS", " 7 "),
    ];
    let config = Fake::new().env(&all).config();
    assert_eq!(config.log.level, LogLevel::Warn);
    assert!(config.auth.check_origin && config.auth.close_at_expiry);
    assert_eq!(config.limits.max_head_size, 16384);
    assert_eq!(config.limits.max_message_size, 2 << 20);
    assert_eq!(config.websocket.ping_interval, None);
    assert_eq!(config.websocket.slow_consumer, SlowConsumer::Drop);
    assert_eq!(config.control.mode, 0o640);
    assert_eq!(config.log.output, LogOutput::File("/var/log/philote.log".into()));
    assert_eq!(config.listen_addresses().len(), 2);
    assert_eq!(config.auth.allowed_origins.len(), 2);
    assert_eq!(config.limits.max_connections, 7);

    for (word, level) in [
        ("debug", LogLevel::Debug),
        ("info", LogLevel::Info),
        ("warn", LogLevel::Warn),
        ("error", LogLevel::Error),
        ("fatal", LogLevel::Error),
        ("Panic", LogLevel::Error),
        ("trace", LogLevel::Trace),
    ] {
        assert_eq!(Fake::new().env(&[("LOGLEVEL", word)]).config().log.level, level);
    }
    for (word, value) in [("true", true), ("TRUE", true), ("0", false), ("F", false)] {
        let config = Fake::new().env(&[("CHECK_ORIGIN", word)]).config();
        assert_eq!(config.auth.check_origin, value);
    }
}

#[test]
fn a_list_in_a_variable_is_separated_by_commas_or_a_toml_array() {
    // An address in brackets is no array.
    let config = Fake::new().env(&[("LISTEN", "[::1]:80")]).config();
    assert_eq!(config.listen_addresses()[0].to_string(), "[::1]:80");
    let config = Fake::new().env(&[("LISTEN", "[\"[::1]:80\"]")]).config();
    assert_eq!(config.listen_addresses()[0].to_string(), "[::1]:80");
    let secrets = "[\"a,b\", \"c\"]";
    let config = Fake::new().env(&[("PHILOTE_AUTH_PREVIOUS_SECRETS", secrets)]).config();
    assert_eq!(config.auth.previous_secrets, [Secret::from("a,b"), Secret::from("c")]);
    let faults = Fake::new().env(&[("LISTEN", "[\"127.0.0.1:1\"")]).faults();
    assert!(faults[0].contains("starts like a TOML array and is none"), "{faults:?}");
    let faults = Fake::new().env(&[("LISTEN", ",")]).faults();
    assert!(faults[0].contains("an empty list"), "{faults:?}");
}

#[test]
fn a_variable_that_is_set_to_nothing_is_not_set() {
    let fake = Fake::new()
        .toml("workers = 5\n[auth]\nsecret = \"0123456789abcdef0123456789abcdef\"\n")
        .env(&[("SECRET", ""), ("PHILOTE_WORKERS", ""), ("PORT", ""), ("PHILOTE_NONSENSE", "")]);
    let config = fake.config();
    assert_eq!(config.workers.get(), 5);
    assert!(!config.auth.accepts_empty_key());
    assert!(fake.warnings().is_empty());
}

#[test]
fn two_names_of_one_key_in_one_layer_must_agree() {
    let both = |one, other| {
        Fake::new().env(&[("PHILOTE_LOG_LEVEL", one), ("LOGLEVEL", other)]).load().map(drop)
    };
    assert_eq!(both("info", "info"), Ok(()));
    assert_eq!(both("warn", "WARNING"), Ok(()));
    let faults = both("info", "warn").expect_err("they disagree");
    assert_eq!(
        faults.to_string(),
        "environment: LOGLEVEL: disagrees with PHILOTE_LOG_LEVEL, which sets the same; keep one"
    );
    let fake = Fake::new().env(&[("SECRET", "one"), ("PHILOTE_AUTH_SECRET", "two")]);
    assert_eq!(fake.faults().len(), 1);
    // In two layers the higher one wins.
    let fake = Fake::new().file(ENV, 0o640, "LOGLEVEL=debug").env(&[("PHILOTE_LOG_LEVEL", "warn")]);
    assert_eq!(fake.config().log.level, LogLevel::Warn);
}

#[test]
fn an_unknown_variable_is_a_warning_and_what_kubernetes_injects_is_nothing() {
    let fake = Fake::new().env(&[
        ("PHILOTE_LIMITS_MAX_CONECTIONS", "3"),
        ("PHILOTE_NONSENSE", "1"),
        ("PHILOTE_PORT", "tcp://10.0.0.1:6380"),
        ("PHILOTE_PORT_6380_TCP_ADDR", "10.0.0.1"),
        ("PHILOTE_SERVICE_HOST", "10.0.0.1"),
        ("PHILOTE_SERVICE_PORT_WS", "6380"),
        ("PHILOTE_NONSENSE\n\u{1b}[2J", "x"),
        ("PHILOTE_URL", "ws://x"),
        ("PHILOTE_TOKEN", "x"),
        ("PHILOTE_CONTROL", "/x"),
        ("PATH", "/bin"),
        ("SECRETS", "x"),
    ]);
    let unknown = |warnings: Vec<String>| -> Vec<String> {
        warnings.into_iter().filter(|line| line.contains("unknown")).collect()
    };
    assert_eq!(
        unknown(fake.warnings()),
        [
            "environment: PHILOTE_LIMITS_MAX_CONECTIONS: unknown variable, it changes nothing; did \
             you mean PHILOTE_LIMITS_MAX_CONNECTIONS?",
            "environment: PHILOTE_NONSENSE: unknown variable, it changes nothing; take it out",
            "environment: PHILOTE_NONSENSE\\n\\u{1b}[2J: unknown variable, it changes nothing; take it out",
        ]
    );
    // The env file is read by nobody else, so every name in it is meant for us.
    let fake = Fake::new().file(ENV, 0o640, "SERCET=x\n");
    let expected = "/etc/default/philote:1:1: SERCET: unknown variable, it changes nothing; did \
                    you mean SECRET?";
    assert_eq!(unknown(fake.warnings()), [expected]);
}

#[test]
fn a_variable_that_is_not_utf8_is_told_unless_it_is_a_secret() {
    use std::os::unix::ffi::OsStringExt;
    let bytes = || OsString::from_vec(vec![0xff; 32]);
    let mut fake = Fake::new();
    fake.environment.push(("PHILOTE_LOG_LEVEL".into(), bytes()));
    fake.environment.push((bytes(), bytes()));
    assert_eq!(fake.faults(), ["environment: PHILOTE_LOG_LEVEL: not UTF-8; write it again"]);
    let mut fake = Fake::new();
    fake.environment.push(("SECRET".into(), bytes()));
    assert_eq!(fake.config().auth.secret.as_bytes(), [0xff; 32]);
}

#[test]
fn the_old_variable_for_connections_is_brought_into_range_and_the_key_is_not() {
    for text in ["9999999", "99999999999999999999999999"] {
        let fake = Fake::new().env(&[("MAX_CONNECTIONS", text)]);
        assert_eq!(fake.config().limits.max_connections, 1_000_000);
        let expected = "environment: MAX_CONNECTIONS: above 1000000, which holds instead; write \
                        1000000 or less";
        assert_eq!(fake.warnings()[0], expected);
        let fake = Fake::new().env(&[("PHILOTE_LIMITS_MAX_CONNECTIONS", text)]);
        assert_eq!(fake.faults().len(), 1);
    }
    for text in ["0", "-1", "many", "1e3"] {
        assert_eq!(Fake::new().env(&[("MAX_CONNECTIONS", text)]).faults().len(), 1, "{text}");
    }
}

#[test]
fn the_old_buffer_sizes_are_reported_and_told_to_change_nothing() {
    let fake = Fake::new().env(&[("READ_BUFFER_SIZE", "0"), ("WRITE_BUFFER_SIZE", "4096")]);
    let config = fake.config();
    assert_eq!(config.websocket.read_buffer_size, 0);
    assert_eq!(config.websocket.write_buffer_size, 4096);
    let told = fake.warnings().iter().filter(|line| line.contains("changes nothing")).count();
    assert_eq!(told, 2);
}

#[test]
fn the_queues_together_take_a_quarter_of_the_memory_unless_told_otherwise() {
    let fake = Fake { memory: Some(8 << 30), ..Fake::new() };
    assert_eq!(fake.config().limits.total_queue, 2 << 30);
    let fake = fake.file("/proc/self/cgroup", 0o444, "0::/system.slice/philote.service\n").file(
        "/sys/fs/cgroup/system.slice/memory.max",
        0o444,
        "1073741824\n",
    );
    assert_eq!(fake.config().limits.total_queue, 256 << 20);
    let fake = fake.toml("limits.total_queue = \"1GiB\"");
    assert_eq!(fake.config().limits.total_queue, 1 << 30);
}

#[test]
fn what_clients_make_grow_takes_half_of_the_memory_or_twice_the_queues() {
    let fake = || Fake { memory: Some(8 << 30), ..Fake::new() };
    let limits = |fake: Fake| (fake.config().limits.memory, fake.config().limits.total_queue);
    assert_eq!(limits(Fake::new()), (512 << 20, 256 << 20));
    assert_eq!(limits(fake()), (4 << 30, 2 << 30));
    assert_eq!(limits(fake().toml("limits.total_queue = \"3GiB\"")), (6 << 30, 3 << 30));
    assert_eq!(limits(fake().toml("limits.total_queue = \"1MiB\"")), (4 << 30, 1 << 20));
    assert_eq!(limits(fake().toml("limits.memory = \"2GiB\"")), (2 << 30, 1 << 30));
    assert_eq!(limits(fake().toml("limits.memory = \"7GiB\"")), (7 << 30, 2 << 30));
    let both = "[limits]\nmemory = \"64MiB\"\ntotal_queue = \"64MiB\"";
    assert_eq!(limits(fake().toml(both)), (64 << 20, 64 << 20));
}

#[test]
fn queues_cannot_take_more_than_the_whole() {
    let fake = Fake::new().toml("[limits]\nmemory = \"64MiB\"\ntotal_queue = \"65MiB\"");
    let faults = fake.faults();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("memory (64MiB) is less than total_queue (65MiB)"), "{faults:?}");
}

#[test]
fn the_control_socket_is_in_the_runtime_directory_where_there_is_one() {
    let fake = Fake::new().env(&[("RUNTIME_DIRECTORY", "/run/philote:/run/other")]);
    assert_eq!(fake.config().control.socket, Some("/run/philote/control.sock".into()));
    let fake = fake.toml("control.socket = \"off\"");
    assert_eq!(fake.config().control.socket, None);
    assert_eq!(Fake::new().config().control.socket, None);
}

#[test]
fn a_group_of_the_control_socket_may_use_it() {
    let mode = |text: &str| Fake::new().toml(text).config().control.mode;
    assert_eq!(mode(""), 0o600);
    assert_eq!(mode("control.group = \"adm\""), 0o660);
    assert_eq!(mode("control.group = \"adm\"\ncontrol.mode = \"0600\""), 0o600);
    assert_eq!(mode("control.mode = 0o640"), 0o640);
}

#[test]
fn listing_origins_is_asking_for_them() {
    let text = "auth.allowed_origins = [\"https://app.example.org\"]";
    let loaded = Fake::new().toml(text).load().expect("it is right");
    assert!(loaded.config.auth.check_origin);
    let origin = &setting(&loaded, "auth.check_origin").origin;
    assert_eq!(*origin, setting(&loaded, "auth.allowed_origins").origin);
    let fake = Fake::new().toml(text).env(&[("CHECK_ORIGIN", "false")]);
    assert_eq!(
        fake.faults(),
        ["environment: CHECK_ORIGIN: false beside allowed_origins, which would be looked at by \
          nobody; take one of both out"]
    );
    assert!(Fake::new().toml(text).env(&[("CHECK_ORIGIN", "true")]).config().auth.check_origin);
}

/// The first warning of a file that has a word in it.
fn warning(text: &str, word: &str) -> Option<String> {
    Fake::new().toml(text).warnings().into_iter().find(|line| line.contains(word))
}

#[test]
fn a_queue_too_small_for_two_messages_is_a_warning() {
    let told = |text: &str| warning(text, "twice");
    assert_eq!(told("limits.max_message_size = \"2MiB\""), None);
    let expected = "/etc/philote/config.toml:1:27: limits.max_message_size: outbound_queue (4MiB) \
                    is less than twice max_message_size (3MiB), so two messages can make a reader \
                    a slow consumer; raise the one or lower the other";
    assert_eq!(told("limits.max_message_size = \"3MiB\"").as_deref(), Some(expected));
    let warning = told("limits.outbound_queue = \"1MiB\"").expect("it is told");
    assert!(warning.contains(":1:25: limits.outbound_queue: "), "{warning}");
}

#[test]
fn a_delay_that_leaves_no_time_to_close_is_a_warning() {
    let told = |text: &str| warning(text, "drain_timeout");
    assert_eq!(told("shutdown.delay = \"19s\""), None);
    let expected = "/etc/philote/config.toml:1:18: shutdown.delay: delay (20s) leaves nothing of drain_timeout \
                    (20s), so connections are cut without a close; raise shutdown.drain_timeout above it";
    assert_eq!(told("shutdown.delay = \"20s\"").as_deref(), Some(expected));
    assert_eq!(told("shutdown.delay = \"30s\"\nshutdown.drain_timeout = \"40s\""), None);
}

#[test]
fn a_machine_of_more_cores_than_workers_may_be_has_the_most() {
    let fake = Fake { threads: NonZeroUsize::new(192), ..Fake::new() };
    assert_eq!(fake.config().workers, MOST_WORKERS);
}
