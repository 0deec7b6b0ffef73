//! What is written for people agrees with what is read.

use super::*;
use crate::config::key::Key;
use crate::config::keys::SECTIONS;

/// Set to rewrite the file in the repository instead of comparing it.
const REWRITE: &str = "REWRITE_EXAMPLE";

#[test]
fn the_example_in_the_repository_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml");
    if std::env::var_os(REWRITE).is_some() {
        std::fs::write(&path, example()).expect("the example can be written");
    }
    let file = std::fs::read_to_string(&path).expect("the example can be read");
    assert_eq!(file, example(), "run this test with {REWRITE}=1 to write it anew");
}

#[test]
fn the_example_as_it_stands_changes_nothing() {
    // It says that no secret is meant, so that it can be used.
    let mut expected = Fake::silent().config();
    expected.auth.secret_configured = true;
    assert_eq!(Fake::silent().toml(example()).config(), expected);
}

#[test]
fn every_line_of_the_example_can_be_used() {
    let mut used = 0;
    for key in keys::all() {
        let (section, name) = key.split();
        let line = format!("{name} = {}", key.example());
        let hash = if key.path == "auth.secret" { "" } else { "#" };
        assert!(example().contains(&format!("\n{hash}{line}\n")), "{line}");
        let header = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
        let secret = FileContent { bytes: [b'x'; 64].into(), mode: 0o640, own_group: true };
        let mut fake = Fake::new().toml(format!("{header}{line}\n"));
        fake.files.insert("/etc/philote/secret".into(), Ok(secret));
        let fake =
            fake.file("/etc/philote/app.pub", 0o644, include_str!("../../../tests/keys/rsa.pub"));
        let config = fake.beside(key).config();
        if let key::Unset::Fixed = key.unset {
            // `secret = ""` is configured, and that shows nowhere but here.
            let secret_configured = key.path == "auth.secret";
            let mut expected = Fake::new().config();
            expected.auth.secret_configured = secret_configured;
            assert_eq!(config, expected, "{line}");
        }
        used += 1;
    }
    assert!(used > 30, "{used}");
}

#[test]
fn every_key_is_in_a_section_that_is_told_and_has_a_name_and_a_variable_of_its_own() {
    let mut names: Vec<String> = keys::all().flat_map(Key::variables).collect();
    names.extend(keys::all().map(|key| key.path.to_owned()));
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
    for key in keys::all() {
        let (section, _) = key.split();
        let keys = SECTIONS.iter().find(|one| one.name == section).map(|section| section.keys);
        let keys = if section.is_empty() { keys::TOP } else { keys.expect("it is told") };
        assert!(keys.iter().any(|one| one.path == key.path), "{}", key.path);
        assert!(key.doc.ends_with('.') && !key.doc.contains('|'), "{}", key.path);
        // What Kubernetes injects must not hide one of ours.
        assert!(!key.variable().starts_with("PHILOTE_PORT"), "{}", key.path);
        assert!(!key.variable().starts_with("PHILOTE_SERVICE_"), "{}", key.path);
    }
}

#[test]
fn the_table_and_the_reference_have_every_key() {
    let table = markdown_table();
    assert_eq!(table.lines().count(), keys::all().count() + 2);
    let columns = |line: &str| line.matches(" |").count();
    for line in table.lines().filter(|line| line.starts_with("| ")) {
        assert_eq!(columns(line), 6, "{line}");
    }
    let entries = reference();
    assert_eq!(entries.len(), keys::all().count());
    let found = entries.iter().find(|entry| entry.key == "limits.max_connections");
    let entry = found.expect("the key is there");
    assert_eq!(entry.variables, ["PHILOTE_LIMITS_MAX_CONNECTIONS", "MAX_CONNECTIONS"]);
    assert_eq!((&*entry.default, &*entry.allowed), ("255", "1 to 1000000"));
    assert_eq!(entry.reload.to_string(), "at once");
}

#[test]
fn the_sample_of_the_environment_holds_the_seven_old_variables_and_can_be_used() {
    let sample = include_str!("../../../.env.sample");
    let names: Vec<_> = sample
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split_once('=').map(|(name, _)| name))
        .collect();
    let old = [
        "SECRET",
        "PORT",
        "LOGLEVEL",
        "MAX_CONNECTIONS",
        "READ_BUFFER_SIZE",
        "WRITE_BUFFER_SIZE",
        "CHECK_ORIGIN",
    ];
    assert_eq!(names, old);
    assert_eq!(Fake::new().file(ENV, 0o640, sample).config(), Fake::new().config());
}
