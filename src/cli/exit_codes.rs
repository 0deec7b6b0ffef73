//! Owns what each exit code means to whoever reads it. The numbers are those of sysexits.h, and 1 for no.

use std::fmt::Write as _;

/// Every exit code, and its meaning.
pub static EXIT_CODES: &[(u8, &str)] = &[
    (0, "done, or stopped when it was asked to"),
    (1, "for the tools, the answer is no: not ready, no such connection"),
    (64, "wrong arguments"),
    (69, "an address in use, or not there yet; for the tools: no server"),
    (70, "a fault in philote"),
    (75, "for the tools: the server is shutting down"),
    (
        77,
        "not permitted: a port below 1024, a file that cannot be read; for the tools: a token that is \
         refused",
    ),
    (78, "a fault in the configuration, or a reload that was rejected for one"),
];

/// Their table in `docs/operating.md`.
pub fn exit_code_table() -> String {
    let mut text = String::from("| exit code | meaning |\n|---|---|\n");
    for (code, meaning) in EXIT_CODES {
        let _ = writeln!(text, "| {code} | {meaning} |");
    }
    text
}
