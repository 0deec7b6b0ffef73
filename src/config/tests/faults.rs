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
            "environment: PHILOTE_WORKERS: \"many\" is no whole number; use 1 to 1024",
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
