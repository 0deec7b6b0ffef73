//! No text, however odd, makes the configuration panic, and every fault has a place and a text.

use super::*;
use crate::config::key::Key;

/// A small generator (xorshift64*): the same numbers on each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next()).expect("64 bits less 16 fit") % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn key(&mut self) -> &'static Key {
        let count = keys::all().count();
        keys::all().nth(self.below(count)).expect("it is one of them")
    }

    /// Pieces of what stands in a configuration, in no order.
    fn text(&mut self) -> String {
        const PIECES: &[&str] = &[
            "=",
            "=",
            " ",
            "\n",
            "\n",
            "[",
            "]",
            "\"",
            "'",
            "\"\"\"",
            "{",
            "}",
            ",",
            ".",
            "#",
            ";",
            "\\",
            "\r\n",
            "\t",
            "0",
            "1",
            "-1",
            "7s",
            "\"7s\"",
            "64KiB",
            "\"64KiB\"",
            "0x",
            "1e9",
            "true",
            "off",
            "\"off\"",
            "1979-05-27",
            "export ",
            "listen",
            "auth",
            "limits",
            "secret",
            "secret_file",
            "PORT",
            "SECRET",
            "PHILOTE_",
            "LISTEN",
            "127.0.0.1:80",
            "[::]:80",
            "localhost",
            "unix:/p",
            "mode=0660",
            "https://",
            "*.example.org",
            "/dev/null",
            "\u{0}",
            "\u{feff}",
            "\u{e4}",
            "\u{1f980}",
            "\u{202e}",
            "99999999999999999999999999",
            "-----BEGIN",
        ];
        let mut text = String::new();
        for _ in 0..self.below(30) {
            if self.below(4) == 0 {
                text.push_str(self.key().path);
            } else {
                text.push_str(self.pick(PIECES));
            }
        }
        text
    }

    /// What may stand in a variable, not all of it for the same key.
    fn value(&mut self) -> String {
        let number = (self.next() % 100_000) >> self.below(17);
        match self.below(12) {
            0 => number.to_string(),
            1 => format!("{number}KiB"),
            2 => format!("{number}ms"),
            3 => format!("{} s", number % 400),
            4 => format!("127.0.0.1:{}, [::1]:{} ipv6only", number % 65536, number % 7),
            5 => format!("unix:/run/{number}.sock mode=0{:03o} group=g{number}", number % 512),
            6 => format!("https://*.a{number}.example:{}, http://b", number % 65536),
            7 => format!("0{:03o}", number % 512),
            8 => "off".into(),
            9 => format!("/a\"b\\c\u{1}{number}"),
            10 => ["true", "false", "keep", "drop", "trace", "json"][self.below(6)].into(),
            _ => self.text().replace('\n', " "),
        }
    }
}

#[test]
fn no_text_makes_it_panic() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (mut right, mut wrong) = (0, 0);
    for _ in 0..10_000 {
        let key = random.key();
        let toml = match random.below(4) {
            0 => random.text(),
            1 => format!("{} = {}", key.path, key.example()),
            2 => format!("{} = {}", key.path, random.text()),
            _ => format!("{} = {:?}", key.path, random.text()),
        };
        let mut bytes = toml.into_bytes();
        if random.below(8) == 0 && !bytes.is_empty() {
            let at = random.below(bytes.len());
            bytes[at] = 0xff;
        }
        let name = key.variable();
        let mut fake = Fake::new().toml(bytes).file("/p", 0o600, random.text());
        if random.below(2) == 0 {
            fake = fake.file(ENV, 0o644, format!("{name}={}\n{}", random.text(), random.text()));
        }
        if random.below(2) == 0 {
            fake = fake.env(&[(&name, &random.text()), ("PORT", &random.text())]);
        }
        match fake.load() {
            Ok(loaded) => {
                right += 1;
                assert!(loaded.settings.len() > 30);
                diff(&Config::default(), &loaded.config);
            }
            Err(faults) => {
                wrong += 1;
                assert!(!faults.0.is_empty());
                for fault in &faults.0 {
                    assert!(!fault.text.is_empty());
                    let line = fault.to_string();
                    assert!(!line.contains('\n'), "{line:?}");
                }
            }
        }
    }
    assert!(right > 300 && wrong > 3_000, "{right} {wrong}");
}

#[test]
fn what_is_shown_reads_back_as_the_same() {
    let mut random = Random(7);
    let mut compared = 0;
    for _ in 0..5_000 {
        let key = random.key();
        let value = random.value();
        let fake = Fake::new().env(&[(&key.variable(), &value)]);
        let Ok(loaded) = fake.load() else { continue };
        let is_secret = key.path.starts_with("auth.secret") || key.path.contains("previous");
        if is_secret || loaded.config == Fake::new().config() {
            continue;
        }
        let mut toml = String::new();
        for setting in &loaded.settings {
            if setting.origin != Origin::Default {
                toml.push_str(&format!("{setting}\n"));
            }
        }
        assert_eq!(Fake::new().toml(&toml).config(), loaded.config, "{toml}");
        compared += 1;
    }
    assert!(compared > 500, "{compared}");
}
