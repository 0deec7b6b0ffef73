//! Owns what is said of the variables that are no keys of the configuration.

/// Variables that the program looks at, and what each is. Those of keys stand with the keys
/// ([`crate::config::reference`]).
pub static VARIABLES: &[(&str, &str)] = &[
    ("PHILOTE_CONFIG", "The configuration file, where --config names none."),
    (
        "PHILOTE_URL",
        "The server that publish, subscribe, console and health talk to, where --url names none.",
    ),
    (
        "PHILOTE_TOKEN",
        "The token that publish, subscribe and console show, where --token-file names none. There is \
         no option for the token itself: everybody on the machine could read it.",
    ),
    (
        "SSL_CERT_FILE",
        "Whom the tools trust to have signed a server's certificate, as a file in PEM, where --ca names none; \
         SSL_CERT_DIR names a directory of such. Without either it is whom the system trusts.",
    ),
    ("PHILOTE_CONTROL", "The server's control socket, where --control names none."),
    (
        "RUNTIME_DIRECTORY",
        "The directory that the service manager has made for the server: its control socket stands \
         there.",
    ),
    (
        "LISTEN_FDS",
        "Listeners that the service manager has opened, with LISTEN_PID and LISTEN_FDNAMES. They \
         replace listen as a whole.",
    ),
    (
        "NOTIFY_SOCKET",
        "Where the service manager hears that the server is ready, reloads or stops, and how it is.",
    ),
    (
        "WATCHDOG_USEC",
        "How often the service manager wants to hear that every worker turns, with WATCHDOG_PID.",
    ),
    (
        "JOURNAL_STREAM",
        "Device and inode of the journal. Where they are those of standard error, the log goes there \
         with its fields.",
    ),
    (
        "MAINPID",
        "The process that reload sends SIGHUP to where no server listens on the control socket.",
    ),
    ("NO_COLOR", "Set to something, the log on a terminal has no colours."),
];
