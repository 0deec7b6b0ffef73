//! Faults: what is told, where, and that everything is told at once.

use super::*;

#[test]
fn every_fault_is_told_at_once_with_its_line_and_column() {
    let text = "\
listen = [\"127.0.0.1:1\", \"example.org:80\", 7]
wrokers = 2

[limits]
max_connections   =   0
max_conections = 3
max_head_size = \"1KiB\"
[websocket]
ping_interval = 25
[lmits]
";
    let faults = Fake::new().toml(text).env(&[("PHILOTE_WORKERS", "many"), ("PORT", "0")]).faults();
    assert_eq!(
        faults,
        [
            "environment: PHILOTE_WORKERS: \"many\" is no whole number; use 1 to 64",
            "environment: PORT: 0 is out of range; use 1 to 65535",
            "/etc/philote/config.toml:1:26: listen: \"example.org:80\" is no address (names are \
             not looked up); write one in numbers, or localhost",
            "/etc/philote/config.toml:1:44: listen: an integer where a string is wanted; put it in \
             quotes",
            "/etc/philote/config.toml:2:1: wrokers: unknown key; did you mean workers?",
            "/etc/philote/config.toml:5:23: limits.max_connections: 0 is out of range; use 1 to \
             1000000",
            "/etc/philote/config.toml:6:1: limits.max_conections: unknown key; did you mean \
             max_connections?",
            "/etc/philote/config.toml:7:17: limits.max_head_size: 1KiB is out of range; use 8KiB \
             to 1MiB",
            "/etc/philote/config.toml:9:17: websocket.ping_interval: 25 has no unit; write \"25s\" \
             for seconds, or \"off\"",
            "/etc/philote/config.toml:10:2: lmits: unknown section; did you mean [limits]?",
        ]
    );
}

#[test]
fn broken_syntax_is_told_beside_everything_else_and_what_it_hides_is_not_guessed() {
    let config = |rest: &str| format!("/etc/philote/config.toml:{rest}");
    let cases: &[(&str, &[&str])] = &[
        (
            "[limits\nmax_connections = 0\n[auth]\nleeway = 5\n",
            &[
                "1:8: unclosed table; expected `]`",
                "4:10: auth.leeway: 5 has no unit; write \"5s\" for seconds",
            ],
        ),
        (
            "[limits]\nmax_pending = 1 2\nmax_pending = 3\n[limits]\n[log]\nlevel = info\n",
            &[
                "2:15: text without quotes; put it in quotes, as in \"info\" or \"25s\"",
                "3:1: set twice; keep one",
                "4:2: set twice; keep one",
                "6:9: text without quotes; put it in quotes, as in \"info\" or \"25s\"",
            ],
        ),
        (
            "[auth]\nleeway = 5s\nsecret = \"abc\n",
            &[
                "2:10: text without quotes; put it in quotes, as in \"info\" or \"25s\"",
                "3:14: a string that is not closed, or has a control character in it; close it in \
                 its line",
            ],
        ),
        (
            "[auth]\nsecret = \"\"\"abc\n",
            &["3:1: a string that is not closed, or has a control character in it; close it with \
               three quotes"],
        ),
        (
            "[auth]\nsecret = \"a\\q\"\n",
            &["2:13: an unknown escape; write \\\\ for a backslash, or put the text in single \
               quotes"],
        ),
        ("workers 3", &["1:9: a key without a value; write KEY = VALUE, or # before a comment"]),
        ("workers = 07", &["1:11: unexpected leading zero; take it out"]),
        ("workers = {", &["1:12: unclosed inline table; expected `}`"]),
    ];
    for (text, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|rest| config(rest)).collect();
        assert_eq!(Fake::new().toml(text).faults(), expected, "{text}");
    }
}

#[test]
fn each_kind_of_value_says_what_it_takes() {
    let cases = [
        ("workers = 0", "1:11: workers: 0 is out of range; use 1 to 64"),
        ("workers = 65", "1:11: workers: 65 is out of range; use 1 to 64"),
        ("workers = -1", "1:11: workers: -1 is out of range; use 1 to 64"),
        ("workers = \"2\"", "1:11: workers: a string where a whole number is wanted; use 1 to 64"),
        ("workers = 1.5", "1:11: workers: a float where a whole number is wanted; use 1 to 64"),
        (
            "workers = 99999999999999999999999999999999999999999",
            "1:11: workers: a number out of range; use 1 to 64",
        ),
        (
            "proxy.trusted = [\"localhost\"]",
            "1:18: proxy.trusted: \"localhost\" is no network (names are not looked up); write \
             \"10.0.0.0/8\", \"192.0.2.7\", \"2001:db8::/32\" or \"unix\"",
        ),
        (
            "proxy.header = \"Forwarded\"",
            "1:16: proxy.header: \"Forwarded\" is not read, since it is no list of addresses; have \
             the proxy send X-Forwarded-For",
        ),
        (
            "limits.max_head_size = \"1MB\"",
            "1:24: limits.max_head_size: \"MB\" is no unit of a size; write \"1MiB\" (B, KiB, MiB, \
             GiB and TiB are known)",
        ),
        (
            "limits.max_head_size = -5",
            "1:24: limits.max_head_size: a size out of range; use 8KiB to 1MiB",
        ),
        (
            "limits.max_head_size = true",
            "1:24: limits.max_head_size: a boolean where a size is wanted; use 8KiB to 1MiB",
        ),
        (
            "websocket.close_timeout = 5",
            "1:27: websocket.close_timeout: 5 has no unit; write \"5s\" for seconds",
        ),
        (
            "websocket.close_timeout = \"0s\"",
            "1:27: websocket.close_timeout: 0s is out of range; use 100ms to 5m",
        ),
        (
            "websocket.close_timeout = \"off\"",
            "1:27: websocket.close_timeout: \"off\" is no duration; write a number and a unit, such \
             as \"25s\"",
        ),
        (
            "websocket.close_timeout = 2026-01-01",
            "1:27: websocket.close_timeout: a date where a duration is wanted; use 100ms to 5m",
        ),
        (
            "shutdown.delay = \"0s\"",
            "1:18: shutdown.delay: 0s is out of range; use 100ms to 10m, or \"off\"",
        ),
        (
            "auth.close_at_expiry = \"true\"",
            "1:24: auth.close_at_expiry: a string where true or false is wanted; write it without \
             quotes",
        ),
        (
            "auth.close_at_expiry = 1",
            "1:24: auth.close_at_expiry: an integer where true or false is wanted; write it \
             without quotes",
        ),
        (
            "log.level = \"warning\"",
            "1:13: log.level: \"warning\" is unknown; use \"error\", \"warn\", \"info\", \"debug\" \
             or \"trace\"",
        ),
        (
            "log.output = \"log.txt\"",
            "1:14: log.output: \"log.txt\" is unknown; use \"auto\", \"journald\", \"stderr\" or \
             an absolute path",
        ),
        (
            "control.socket = \"x\"",
            "1:18: control.socket: no absolute path; start it with /, or \"off\"",
        ),
        (
            "control.socket = \"/x\\u0000\"",
            "1:18: control.socket: a path with a NUL in it; leave that out, or \"off\"",
        ),
        ("control.mode = 600", "1:16: control.mode: a bare 600 is not octal; write \"0600\""),
        (
            "control.mode = \"rw\"",
            "1:16: control.mode: \"rw\" is no mode; use octal digits from 0000 to 0777, such as 0660",
        ),
        (
            "control.group = \"\"",
            "1:17: control.group: \"\" is no group; write its name or its number",
        ),
        (
            "listen = \"127.0.0.1:80\"",
            "1:10: listen: a string where an array is wanted; write [\"...\"]",
        ),
        (
            "auth.allowed_origins = [\"app.example.org\"]",
            "1:25: auth.allowed_origins: \"app.example.org\" has no scheme; write \
             \"https://app.example.org\" or \"https://*.example.org\"",
        ),
        ("[listen]\nx = 1", "1:1: listen: a table where an array is wanted; write [\"...\"]"),
        ("limits = 3", "1:1: limits: is a section; write [limits] above its keys"),
        ("[[limits]]", "1:3: limits: is a section; write [limits] above its keys"),
        (
            "max_connections = 3",
            "1:1: max_connections: unknown key; did you mean limits.max_connections?",
        ),
        (
            "\"limits.max_connections\" = 3",
            "1:1: limits.max_connections: unknown key; there are listen, workers and the sections",
        ),
        (
            "websocket.max_pending = 3",
            "1:11: websocket.max_pending: unknown key; did you mean limits.max_pending?",
        ),
        (
            "shutdown.xyz = 3",
            "1:10: shutdown.xyz: unknown key; [shutdown] has drain_timeout, delay",
        ),
        ("lisen = [\"127.0.0.1:1\"]", "1:1: lisen: unknown key; did you mean listen?"),
        ("[[limts]]", "1:3: limts: unknown section; did you mean [limits]?"),
        (
            "websocket.ping_interval = -5",
            "1:27: websocket.ping_interval: -5 is less than nothing; write a number and a unit, such as \"25s\", \
             or \"off\"",
        ),
        (
            "listen = [\"::1:6380\"]",
            "1:11: listen: an IPv6 address wants brackets; write \"[::1]:6380\" or \"[::1:6380]:6380\"",
        ),
        (
            "[ssl]",
            "1:2: ssl: unknown section; there are auth, limits, websocket, tls, proxy, log, metrics, \
             shutdown, http, control",
        ),
        (
            "\"a\\u001b\\nb\" = 3",
            "1:1: a\\u{1b}\\nb: unknown key; there are listen, workers and the sections",
        ),
    ];
    for (text, expected) in cases {
        let expected = format!("/etc/philote/config.toml:{expected}");
        assert_eq!(Fake::new().toml(text).faults(), [expected], "{text}");
    }
}

#[test]
fn only_a_file_that_nobody_named_may_be_absent() {
    assert_eq!(Fake::new().config(), Fake::new().toml("").config());
    assert_eq!(Fake::new().load().map(|loaded| loaded.path), Ok(None));
    let path = Fake::new().toml("").load().map(|loaded| loaded.path);
    assert_eq!(path, Ok(Some(TOML.into())));

    let named = LoadOptions { config: Some("/my.toml".into()), env_file: None };
    let faults = load(&Fake::new(), &named).expect_err("it is not there");
    assert_eq!(faults.to_string(), "/my.toml: there is no such file; make it, or name another");
    assert_eq!(faults.exit_code(), 78);

    let fake = Fake::new().env(&[("PHILOTE_CONFIG", "/my.toml")]);
    let expected = "environment: PHILOTE_CONFIG: \"/my.toml\": there is no such file; make it, or \
                    name another";
    assert_eq!(fake.faults(), [expected]);
    assert_eq!(Fake::new().env(&[("PHILOTE_CONFIG", "")]).config(), Fake::new().config());
    let fake = fake.file("/my.toml", 0o640, "workers = 7");
    assert_eq!(fake.config().workers.get(), 7);
    // The argument wins over the variable.
    let other = fake.file("/other.toml", 0o640, "workers = 8");
    let options = LoadOptions { config: Some("/other.toml".into()), env_file: None };
    assert_eq!(load(&other, &options).expect("it is right").config.workers.get(), 8);
}

#[test]
fn the_env_file_may_be_absent_where_a_hyphen_says_so() {
    let with = |argument: &str| LoadOptions {
        config: None,
        env_file: Some(OsString::from(argument).into()),
    };
    assert!(load(&Fake::new(), &with("-/etc/default/philote")).is_ok());
    let faults = load(&Fake::new(), &with(ENV)).expect_err("it is not there");
    let expected = "/etc/default/philote: there is no such file; make it, or name another";
    assert_eq!(faults.to_string(), expected);
    let fake = Fake::new().failing(ENV, ReadError::Denied);
    let faults = load(&fake, &with("-/etc/default/philote")).expect_err("it is not absent");
    assert_eq!(faults.exit_code(), 77);
}

#[test]
fn a_file_that_cannot_be_read_is_told_and_never_taken_for_absent() {
    let cases = [
        (ReadError::Denied, 77, "cannot be read: permission denied"),
        (ReadError::NotRegular, 78, "is not a regular file"),
        (ReadError::TooLarge, 78, "is too large"),
    ];
    for (error, code, text) in cases {
        let fake = Fake::new().failing(TOML, error).env(&[("WORKERS", "0")]);
        let faults = fake.load().expect_err("it cannot be read");
        assert_eq!(faults.exit_code(), code, "{text}");
        let line = faults.to_string();
        assert!(line.starts_with(&format!("/etc/philote/config.toml: {text}; ")), "{line}");
    }
    let large = Fake::new().toml(vec![b'#'; (1 << 20) + 1]).faults();
    assert!(large[0].contains("is too large"), "{large:?}");
}

#[test]
fn standard_input_is_no_file_that_a_reload_can_read_again() {
    let expected = "- would be standard input, which a reload could not read again; name a regular file, or write ./- \
                    for a file of that name";
    let options = [
        LoadOptions { config: Some("-".into()), env_file: None },
        LoadOptions { config: None, env_file: Some(OsString::from("-").into()) },
        LoadOptions { config: None, env_file: Some(OsString::from("").into()) },
    ];
    for options in options {
        let faults = load(&Fake::new(), &options).expect_err("it is refused");
        assert_eq!((faults.to_string(), faults.exit_code()), (expected.into(), 78));
    }
    let faults = Fake::new().env(&[("PHILOTE_CONFIG", "-")]).faults();
    assert_eq!(faults, [format!("environment: PHILOTE_CONFIG: {expected}")]);
}

#[test]
fn what_is_no_regular_file_is_refused_wherever_a_reload_reads_it_again() {
    let again = "is not a regular file; a reload could not read it again, so name a regular file";
    let odd = || Fake::new().failing("/dev/stdin", ReadError::NotRegular);
    let lines = [
        "auth.secret_file = \"/dev/stdin\"",
        "auth.previous_secret_files = [\"/dev/stdin\"]",
        "auth.public_keys = [\"/dev/stdin\"]",
        "[tls]\ncertificate = \"/dev/stdin\"\nkey = \"/k\"",
        "[tls]\ncertificate = \"/k\"\nkey = \"/dev/stdin\"",
    ];
    for line in lines {
        let faults = odd().toml(line).faults();
        assert!(faults.iter().any(|fault| fault.contains(again)), "{line}: {faults:?}");
    }
    let named = "/dev/stdin".to_owned();
    let options = [
        LoadOptions { config: Some(named.clone().into()), env_file: None },
        LoadOptions { config: None, env_file: Some(OsString::from(named).into()) },
    ];
    for options in options {
        let faults = load(&odd(), &options).expect_err("it is refused").to_string();
        assert_eq!(faults, format!("/dev/stdin: {again}"));
    }
}

#[test]
fn a_byte_that_is_no_utf8_is_told_with_its_place() {
    let expected = "/etc/philote/config.toml:2:3: a byte that is not UTF-8; save the file as UTF-8";
    assert_eq!(Fake::new().toml(b"\n\xc3\xa9 \xff\n").faults(), [expected]);
}

#[test]
fn a_reader_counts_columns_in_characters() {
    let faults = Fake::new().toml("log.output = \"/\u{e4}\u{1f980}\" # \u{e4}\nworkers=0").faults();
    assert_eq!(faults.len(), 1);
    assert!(faults[0].starts_with("/etc/philote/config.toml:2:9: "), "{faults:?}");
    let faults = Fake::new().toml("auth.allowed_origins = [\"\u{e4}\u{1f980}\", 1]").faults();
    assert!(faults[1].starts_with("/etc/philote/config.toml:1:31: "), "{faults:?}");
}
