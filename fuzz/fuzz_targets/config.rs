//! The configuration: texts and variables to a configuration, or to every fault at once. Whatever is taken is taken
//! again, and what is shown of it reads back as the same; no fault, warning or value that is shown holds a secret.
//!
//! An input is a letter for where the secret stands ([`Place`]), then up to four texts with a zero byte in between:
//! the TOML file, the env file, variables (a line each), and another file that the texts may name, `/p`.

#![no_main]

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use philote::config::{
    self, Config, EnvFile, FileContent, LoadOptions, Loaded, Origin, ReadError, Sources, diff,
};

const TOML: &str = "/etc/philote/config.toml";
const ENV: &str = "/etc/default/philote";
const SECRET_FILE: &str = "/etc/philote/secret";
const OTHER: &str = "/p";
/// What must not be shown, wherever it is put.
const SECRET: &str = "0123hidden4567hidden89abhiddencdef";
/// Nor any of these pieces of it.
const PIECES: [&str; 3] = ["0123hidden", "4567hidden", "89abhidden"];
/// Certificates and keys that are there to be named.
const FILES: [(&str, &str); 4] = [
    ("/rsa.pub", include_str!("../../tests/keys/rsa.pub")),
    ("/p256.pub", include_str!("../../tests/keys/p256.pub")),
    ("/ed25519.pub", include_str!("../../tests/keys/ed25519.pub")),
    ("/private", include_str!("../../tests/keys/p256.key")),
];

/// Where the secret stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In a file of its own, which the texts may name.
    File,
    /// Behind the TOML text.
    Toml,
    /// Behind it, in a list.
    Previous,
    /// Behind the env file.
    EnvFile,
    /// In the environment.
    Variable,
    /// In the other file.
    Other,
}

const PLACES: [Place; 6] =
    [Place::File, Place::Toml, Place::Previous, Place::EnvFile, Place::Variable, Place::Other];

struct World {
    toml: Vec<u8>,
    env_file: Option<Vec<u8>>,
    environment: Vec<(OsString, OsString)>,
    other: Vec<u8>,
    /// Whether the secret may be shown after all: something in front of it can make it part of what is none.
    may_show: bool,
}

impl World {
    fn new(data: &[u8]) -> Option<World> {
        let (letter, rest) = data.split_first()?;
        let place = PLACES[usize::from(letter.checked_sub(b'a')?) % PLACES.len()];
        let mut texts = rest.splitn(4, |byte| *byte == 0).map(<[u8]>::to_vec);
        let mut toml = texts.next().unwrap_or_default();
        let mut env_file = texts.next().filter(|text| !text.is_empty());
        let lines = texts.next().unwrap_or_default();
        let mut other = texts.next().unwrap_or_default();
        let mut environment: Vec<(OsString, OsString)> = lines
            .split(|byte| *byte == b'\n')
            .filter_map(|line| {
                let at = line.iter().position(|byte| *byte == b'=')?;
                let (name, value) = (line[..at].to_vec(), line[at + 1..].to_vec());
                Some((OsString::from_vec(name), OsString::from_vec(value)))
            })
            .collect();
        let quotes = |text: &[u8]| text.contains(&b'"') || text.contains(&b'\'');
        let long = |text: &[u8], quote| text.windows(3).any(|three| three == [quote; 3]);
        let may_show = match place {
            Place::Toml | Place::Previous => long(&toml, b'"') || long(&toml, b'\''),
            Place::EnvFile => env_file
                .as_deref()
                .is_some_and(|text| quotes(text) || text.contains(&b'\\') || text.contains(&b'`')),
            _ => false,
        } || rest.windows(6).any(|text| text == b"hidden");
        match place {
            Place::File => {}
            Place::Toml => toml.extend(format!("\nauth.secret = \"{SECRET}\"\n").bytes()),
            Place::Previous => {
                let line = format!("\nauth.previous_secrets = [\"x\", \"{SECRET}\"]\n");
                toml.extend(line.bytes());
            }
            Place::EnvFile => {
                let text = env_file.get_or_insert_default();
                text.extend(format!("\nSECRET={SECRET}\n").bytes());
            }
            Place::Variable => environment.push(("SECRET".into(), SECRET.into())),
            Place::Other => other.extend(SECRET.bytes()),
        }
        // The file is always there, and without a word about a secret most texts would be refused for that alone.
        if !environment.iter().any(|(name, _)| name == "SECRET") {
            environment.push(("SECRET".into(), "".into()));
        }
        Some(World { toml, env_file, environment, other, may_show })
    }

    fn load(&self) -> Result<Loaded, config::Faults> {
        let env_file =
            self.env_file.as_ref().map(|_| EnvFile { path: ENV.into(), optional: false });
        config::load(self, &LoadOptions { config: None, env_file })
    }
}

impl Sources for World {
    fn read(&self, path: &Path, limit: usize) -> Result<FileContent, ReadError> {
        let path = path.to_str().ok_or(ReadError::Absent)?;
        let bytes = match path {
            TOML => Some(self.toml.clone()),
            ENV => self.env_file.clone(),
            SECRET_FILE => Some(SECRET.into()),
            OTHER => Some(self.other.clone()),
            _ => FILES.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).into()),
        };
        let bytes = bytes.ok_or(ReadError::Absent)?;
        if bytes.len() > limit {
            return Err(ReadError::TooLarge);
        }
        Ok(FileContent { bytes, mode: 0o640, own_group: true })
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        self.environment.clone()
    }

    fn machine_memory(&self) -> Option<u64> {
        Some(1 << 30)
    }

    fn parallelism(&self) -> NonZeroUsize {
        NonZeroUsize::MIN
    }
}

fuzz_target!(|data: &[u8]| {
    let Some(world) = World::new(data) else { return };
    let loaded = world.load();
    match &loaded {
        Ok(loaded) => taken(&world, loaded),
        Err(faults) => refused(&world, faults),
    }
    // A reload reads the same.
    match (&loaded, &world.load()) {
        (Ok(one), Ok(other)) => {
            assert_eq!(one.config, other.config);
            assert_eq!(one.settings, other.settings);
            assert_eq!(one.warnings, other.warnings);
            assert!(diff(&one.config, &other.config).is_empty(), "nothing has changed");
        }
        (Err(one), Err(other)) => assert_eq!(one, other),
        (one, other) => panic!("{one:?}, then {other:?}"),
    }
});

impl World {
    fn hides(&self, shown: &str) {
        let is_shown = PIECES.iter().any(|piece| shown.contains(piece));
        assert!(self.may_show || !is_shown, "the secret is shown: {shown}");
        for (_, text) in FILES.iter().filter(|(name, _)| *name == "/private") {
            let line = text.lines().nth(1).expect("a line of base64");
            assert!(!shown.contains(line), "a private key is shown: {shown}");
        }
    }

    fn is_there(&self, origin: &Origin) {
        let (text, position) = match origin {
            Origin::File { path, position: Some(position) } if &**path == Path::new(TOML) => {
                (&self.toml, position)
            }
            Origin::EnvFile { position, .. } => {
                (self.env_file.as_ref().expect("there is one"), position)
            }
            _ => return,
        };
        let lines = text.split(|byte| *byte == b'\n').count();
        assert!((1..=lines).contains(&position.line), "{position:?} of {lines} lines");
        let line = text.split(|byte| *byte == b'\n').nth(position.line - 1).expect("counted");
        assert!((1..=line.len() + 1).contains(&position.column), "{position:?} of {line:?}");
    }
}

fn refused(world: &World, faults: &config::Faults) {
    assert!(!faults.0.is_empty(), "refused for nothing");
    assert!(matches!(faults.exit_code(), 77 | 78));
    for fault in &faults.0 {
        assert!(!fault.text.is_empty());
        let line = fault.to_string();
        assert!(!line.chars().any(char::is_control), "more than a line: {line:?}");
        world.is_there(&fault.origin);
        world.hides(&line);
    }
    world.hides(&format!("{faults:?}"));
}

fn taken(world: &World, loaded: &Loaded) {
    for warning in &loaded.warnings {
        assert!(!warning.text.is_empty());
        let line = warning.to_string();
        assert!(!line.chars().any(char::is_control), "more than a line: {line:?}");
        world.is_there(&warning.origin);
    }
    world.hides(&format!("{loaded:?}"));
    for change in diff(&Config::default(), &loaded.config) {
        world.hides(&change.to_string());
    }
    let mut shown = String::new();
    for setting in &loaded.settings {
        let line = setting.to_string();
        world.hides(&line);
        world.is_there(&setting.origin);
        assert!(!line.contains('\n'), "more than a line: {line:?}");
        if setting.origin != Origin::Default {
            shown.push_str(&line);
            shown.push('\n');
        }
    }
    // What `check --print` shows is a configuration, the same one; secrets are masked there and cannot come back.
    if !shown.contains("\"********\"") {
        let again = World {
            toml: shown.clone().into_bytes(),
            env_file: None,
            // What is derived from it is a default, and not shown here.
            environment: world
                .environment
                .iter()
                .filter(|(name, text)| {
                    // So does that no secret is meant.
                    name == "RUNTIME_DIRECTORY" || name == "SECRET" && text.is_empty()
                })
                .cloned()
                .collect(),
            other: world.other.clone(),
            may_show: true,
        };
        let again = again.load().unwrap_or_else(|faults| panic!("{faults}\n{shown}"));
        let mut same = again.config;
        // What `PORT` does to the default listeners is shown as listeners.
        if loaded.config.listens_by_default() && !same.listens_by_default() {
            assert_eq!(same.listen_addresses(), loaded.config.listen_addresses(), "{shown}");
            (same.listen, same.default_port) = (None, loaded.config.default_port);
        }
        assert_eq!(same, loaded.config, "{shown}");
    }
}
