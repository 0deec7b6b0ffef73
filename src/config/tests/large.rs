//! A file as large as may be is judged in work that grows with its size, and no faster: a reload is judged on the daemon's
//! own thread, where a watchdog waits too.

use rustix::time::{ClockId, clock_gettime};

use super::*;
use crate::config::report::MOST;

/// Bytes of the larger of the two files that are compared, unless this variable says otherwise: an optimised build judges
/// 1048576, the most that is read, in the time that one without takes for the default.
const BYTES: &str = "PHILOTE_TEST_FILE_BYTES";
const LARGE: usize = 64 << 10;
/// The smaller file is this part of it.
const PART: usize = 8;

/// How often the larger file may take what the smaller one takes. Linear work is 8 times, quadratic work 64 times.
const MOST_TIMES: u32 = 28;

/// Text of so many bytes at most: a head, numbered pieces, a tail.
fn filled(size: usize, head: &str, piece: &dyn Fn(usize) -> String, tail: &str) -> String {
    let mut text = head.to_owned();
    for number in 0.. {
        let piece = piece(number);
        if text.len() + piece.len() + tail.len() > size {
            break;
        }
        text.push_str(&piece);
    }
    text + tail
}

/// The text of one entry or line, by its number.
type Piece = fn(usize) -> String;

type Kind = (&'static str, &'static str, Piece, &'static str);

/// What of a TOML file takes work for a piece of it: a name, a head, a piece, a tail.
const TOML_KINDS: &[Kind] = &[
    ("lines of =", "", |_| "=\n".into(), ""),
    ("keys without a value", "", |_| "a\n".into(), ""),
    ("unknown keys", "", |number| format!("k{number}=1\n"), ""),
    ("unknown keys of a section", "[limits]\n", |number| format!("k{number}=1\n"), ""),
    ("unknown sections", "", |number| format!("[s{number}]\n"), ""),
    ("unknown tables in an array", "", |_| "[[a]]\n".into(), ""),
    ("one key over and over", "", |_| "workers=1\n".into(), ""),
    ("one section over and over", "", |_| "[auth]\n".into(), ""),
    ("words without quotes", "", |number| format!("k{number}=a\n"), ""),
    ("words without quotes in a list", "listen=[", |_| "a,".into(), "]"),
    ("origins in one line", "auth.allowed_origins=[", |n| format!("\"https://{n}.a\","), "]"),
    ("origins in lines", "auth.allowed_origins=[\n", |n| format!("\"https://{n}.a\",\n"), "]"),
    ("no origins", "auth.allowed_origins=[", |_| "7,".into(), "]"),
    ("addresses", "listen=[", |n| format!("\"127.0.0.1:{}\",", 1 + n % 65535), "]"),
    (
        "addresses of metrics",
        "metrics.listen=[",
        |n| format!("\"127.0.0.1:{}\",", 1 + n % 65535),
        "]",
    ),
    (
        "proxies",
        "proxy.trusted=[",
        |n| format!("\"10.{}.{}.{}\",", n % 200, n / 200 % 200, n / 40000),
        "]",
    ),
    ("secrets", "auth.previous_secrets=[", |n| format!("\"{n}\","), "]"),
    ("files of secrets", "auth.previous_secret_files=[", |n| format!("\"/{n}\","), "]"),
    ("public keys", "auth.public_keys=[", |n| format!("\"/{n}\","), "]"),
    ("a dotted name", "a", |_| ".a".into(), "=1"),
    ("a dotted section", "[a", |_| ".a".into(), "]"),
    ("open brackets", "a=", |_| "[".into(), ""),
    ("open tables", "a=", |_| "{a=".into(), ""),
    ("open strings", "", |number| format!("k{number}=\"\n"), ""),
    ("open long strings", "", |number| format!("k{number}='''"), ""),
    ("quotes", "", |_| "\"".into(), ""),
    ("unknown escapes", "a=\"", |_| "\\q".into(), "\""),
    ("comments", "", |_| "#\n".into(), ""),
    ("one comment", "#", |_| "#".into(), ""),
    ("blank lines", "", |_| "\n".into(), ""),
    ("carriage returns", "", |_| "\r".into(), ""),
    ("bytes of nothing", "", |_| "\0".into(), ""),
    ("a long name", "", |_| "a".into(), "=1"),
    ("a long value", "auth.issuer=\"", |_| "\u{1f980}".into(), "\""),
    ("a long value that is wrong", "log.level=\"", |_| "\u{1f980}".into(), "\""),
    ("a long number", "workers=", |_| "1".into(), ""),
];

/// The same for a file of variables.
const ENV_KINDS: &[Kind] = &[
    ("unknown variables", "", |number| format!("K{number}=1\n"), ""),
    ("unknown variables of ours", "", |number| format!("PHILOTE_K{number}=1\n"), ""),
    ("one variable over and over", "", |_| "PORT=1\n".into(), ""),
    ("two variables over and over", "", |number| format!("PORT{}=1\n", number % 2), ""),
    ("lines of =", "", |_| "=\n".into(), ""),
    ("names without a value", "", |_| "A\n".into(), ""),
    ("open quotes", "", |number| format!("K{number}='\n"), ""),
    ("open double quotes", "", |number| format!("K{number}=\"\\\"\n"), ""),
    ("lines that go on", "A=", |_| "\\\n".into(), ""),
    ("blanks", "A=1", |_| " ".into(), ""),
    ("addresses", "LISTEN=", |n| format!("127.0.0.1:{},", 1 + n % 65535), ""),
    ("origins", "PHILOTE_AUTH_ALLOWED_ORIGINS=", |n| format!("https://{n}.a,"), ""),
    ("secrets", "PHILOTE_AUTH_PREVIOUS_SECRETS=", |n| format!("{n},"), ""),
    ("a long name", "", |_| "A".into(), "=1"),
];

/// A file of one kind, in its place.
fn of_kind(size: usize, kind: &Kind, is_env: bool) -> Fake {
    let (_, head, piece, tail) = kind;
    let text = filled(size, head, piece, tail);
    if is_env { Fake::new().file(ENV, 0o640, text) } else { Fake::new().toml(text) }
}

/// The time of a processor that judging takes, the least of a few times. What else the machine does is not counted.
fn work(fake: &Fake) -> Duration {
    let now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(
            u64::try_from(now.tv_sec).expect("a time"),
            u32::try_from(now.tv_nsec).expect("a time"),
        )
    };
    let once = || {
        let before = now();
        drop(fake.load());
        now() - before
    };
    (0..2).map(|_| once()).min().expect("two times")
}

#[test]
#[allow(clippy::print_stdout, reason = "the figures are for whoever runs it with --nocapture")]
fn the_work_of_judging_a_file_grows_with_its_size_alone() {
    let large = std::env::var(BYTES).map_or(LARGE, |bytes| bytes.parse().expect("a number"));
    let kinds = TOML_KINDS.iter().map(|kind| (kind, false));
    for (kind, is_env) in kinds.chain(ENV_KINDS.iter().map(|kind| (kind, true))) {
        let small = work(&of_kind(large / PART, kind, is_env));
        let large = work(&of_kind(large, kind, is_env));
        println!("{}: {small:?}, then {large:?}", kind.0);
        // What is over in no time is measured badly.
        let small = small.max(Duration::from_millis(1));
        assert!(large < small * MOST_TIMES, "{}: {small:?}, then {large:?}", kind.0);
    }
}

#[test]
fn of_many_faults_the_first_are_reported_and_how_many_more_there_are() {
    let lines = 5_000;
    for (kind, is_env) in [("=\n", false), ("A\n", true), ("workers = 0\n", false)] {
        let text = kind.repeat(lines);
        let fake = if is_env { Fake::new().file(ENV, 0o640, text) } else { Fake::new().toml(text) };
        let faults = fake.faults();
        assert_eq!(faults.len(), MOST + 1, "{kind}");
        let last = faults.last().expect("there are some");
        let more = last.split(' ').next().and_then(|count| count.parse::<usize>().ok());
        let more = more.unwrap_or_else(|| panic!("no number in {last}"));
        assert!(last.ends_with(" more faults are not shown; mend these first"), "{last}");
        assert!((lines - MOST - 1..=lines - MOST).contains(&more), "{kind}: {more}");
    }
    assert_eq!(Fake::new().toml("=\n".repeat(MOST)).faults().len(), MOST);
}

#[test]
fn of_many_warnings_the_first_are_reported_and_how_many_more_there_are() {
    let text: String = (0..5_000).map(|number| format!("K{number}=1\n")).collect();
    let warnings = Fake::new().file(ENV, 0o640, text).warnings();
    assert_eq!(warnings.len(), MOST + 1);
    let last = warnings.last().expect("there are some");
    assert!(last.ends_with(" more warnings are not shown; mend these first"), "{last}");
}

#[test]
fn a_file_that_cannot_be_read_decides_the_exit_code_however_many_faults_there_are() {
    let unreadable = ReadError::Denied;
    let text = format!("{}auth.secret_file = \"/s\"\n", "=\n".repeat(5_000));
    let faults = Fake::new().toml(text).failing("/s", unreadable).load().expect_err("faults");
    assert_eq!(faults.exit_code(), 77);
}

#[test]
fn a_list_has_a_longest_length_that_is_written_down_and_of_a_longer_one_nothing_is_read() {
    let cases: [(&str, usize, Piece); 7] = [
        ("listen", 256, |n| format!("127.0.0.1:{}", n + 1)),
        ("metrics.listen", 256, |n| format!("127.0.0.2:{}", n + 1)),
        ("auth.allowed_origins", 1000, |n| format!("https://{n}.a")),
        ("proxy.trusted", 1000, |n| format!("10.0.{}.{}", n / 200, n % 200)),
        ("auth.previous_secrets", 4, |n| format!("secret {n}")),
        ("auth.previous_secret_files", 4, |n| format!("/{n}")),
        ("auth.public_keys", 4, |n| format!("/{n}")),
    ];
    let lists = keys::all().filter(|key| key.field.is_list()).map(|key| key.path);
    let mut lists: Vec<_> = lists.collect();
    lists.sort_unstable();
    let mut known = cases.map(|(key, ..)| key);
    known.sort_unstable();
    assert_eq!(lists, known);
    for (key, most, item) in cases {
        let allowed = key::Key::find(key).expect("it is there").field.allowed();
        assert!(allowed.contains(&format!("at most {most}")), "{key}: {allowed}");
        let with = |count| {
            let items: Vec<_> = (0..count).map(|n| format!("{:?}", item(n))).collect();
            Fake::new().toml(format!("{key} = [{}]", items.join(", ")))
        };
        // Files are not there, which is told of each of a list that may be.
        let about_length = |line: &String| line.contains(&format!("keep at most {most}"));
        let fits = with(most).load().map(drop).map_err(|faults| faults.to_string());
        assert!(!fits.is_err_and(|faults| about_length(&faults)), "{key}");
        let faults = with(most + 1).faults();
        assert_eq!(faults.len(), 1, "{key}: {faults:?}");
        assert!(about_length(&faults[0]), "{key}: {faults:?}");
    }
}

#[test]
fn a_fault_that_quotes_something_long_is_no_long_line() {
    for text in [
        format!("log.level = \"{}\"", "\u{e4}".repeat(100_000)),
        format!("{} = 1", "a".repeat(100_000)),
        format!("listen = [\"{}\"]", "\\n".repeat(100_000)),
    ] {
        let faults = Fake::new().toml(&text).faults();
        assert!(faults[0].len() < 4_000, "{}", faults[0].len());
    }
    let wrong = format!("log.level = \"{}\"", "x".repeat(100_000));
    let faults = Fake::new().toml(wrong).faults();
    assert!(
        faults[0].contains("log.level: \"xxx") && faults[0].ends_with("\"trace\""),
        "{faults:?}"
    );
}
