//! Owns the keys of the section `auth`.

use super::{NONE, NOTHING, up_to_minutes};
use crate::config::field::Field;
use crate::config::key::{Key, Reload, Unset};
use crate::config::lens::{lens, word};

pub(super) static KEYS: &[Key] = &[
    Key {
        path: "auth.secret",
        other_variables: &["SECRET"],
        field: Field::Secret,
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "The secret that tokens are signed with, 32 bytes or more. While it is empty anyone \
              can sign. Better kept in a file of its own, see secret_file; only one of both. Where there is \
              a configuration file or an environment file and no key is set anywhere, philote does not start, since \
              the file may have been cut: write \"\" here, or set SECRET to nothing, if no secret is meant.",
    },
    Key {
        path: "auth.secret_file",
        other_variables: &["SECRET_FILE"],
        field: Field::SecretFile,
        unset: Unset::Told { words: "none", example: "\"/etc/philote/secret\"" },
        reload: Reload::AtOnce,
        doc: "The file that holds the secret, read again at each reload: a regular file of at \
              most 64 KiB, of which one newline at the end is left out. One that everybody can \
              write is refused.",
    },
    Key {
        path: "auth.previous_secrets",
        other_variables: &[],
        field: Field::PreviousSecrets,
        unset: NONE,
        reload: Reload::AtOnce,
        doc: "Secrets whose tokens stay good while the secret is replaced. Take one out, and \
              whoever still rests on it is closed, see on_withdrawal.",
    },
    Key {
        path: "auth.previous_secret_files",
        other_variables: &[],
        field: Field::PreviousSecretFiles,
        unset: NONE,
        reload: Reload::AtOnce,
        doc: "The same, each in a file of its own.",
    },
    Key {
        path: "auth.public_keys",
        other_variables: &[],
        field: Field::PublicKeys,
        unset: Unset::Told { words: "none", example: "[\"/etc/philote/app.pub\"]" },
        reload: Reload::AtOnce,
        doc: "Files with one public key each, in PEM, that tokens are verified with which somebody \
              else signs: an RSA key of 2048 to 8192 bits for RS256, a P-256 key for ES256, an \
              Ed25519 key for EdDSA. Read again at each reload. Where no secret is set beside them, \
              HS256, HS384 and HS512 are refused.",
    },
    Key {
        path: "auth.allow_empty_secret",
        other_variables: &[],
        field: Field::Switch(lens!(auth.allow_empty_secret)),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "Whether the empty secret is accepted beyond loopback. Anyone who can connect can \
              then sign a token for every channel.",
    },
    Key {
        path: "auth.issuer",
        other_variables: &[],
        field: Field::Text(lens!(auth.issuer)),
        unset: Unset::Told { words: "none", example: "\"https://login.example.org/\"" },
        reload: Reload::NewHandshakes,
        doc: "What the claim iss of each token must be, to the letter. Without it iss is not looked \
              at.",
    },
    Key {
        path: "auth.audience",
        other_variables: &[],
        field: Field::Text(lens!(auth.audience)),
        unset: Unset::Told { words: "none", example: "\"philote\"" },
        reload: Reload::NewHandshakes,
        doc: "What the claim aud of each token must be, or hold where it is an array, to the letter. \
              Without it aud is not looked at.",
    },
    Key {
        path: "auth.leeway",
        other_variables: &[],
        // 5 s covers clocks kept by NTP; RFC 7519 speaks of "no more than a few minutes".
        field: Field::Duration(lens!(auth.leeway), up_to_minutes(NOTHING, 5)),
        unset: Unset::Fixed,
        reload: Reload::NewHandshakes,
        doc: "By how much the clock of whoever signs may be ahead, when nbf and iat are judged. \
              exp is judged without it.",
    },
    Key {
        path: "auth.close_at_expiry",
        other_variables: &[],
        field: Field::Switch(lens!(auth.close_at_expiry)),
        unset: Unset::Fixed,
        reload: Reload::NewHandshakes,
        doc: "Whether a connection is closed with 1008 when its token expires. Otherwise exp is \
              judged at the handshake alone.",
    },
    Key {
        path: "auth.on_withdrawal",
        other_variables: &[],
        field: word!(auth.on_withdrawal),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "What happens to connections whose key is accepted no more after a reload: \
              \"close\" closes them with 1008, \"keep\" leaves them.",
    },
    Key {
        path: "auth.withdrawal_spread",
        other_variables: &[],
        field: Field::Duration(lens!(auth.withdrawal_spread), up_to_minutes(NOTHING, 60)),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "Over how long they are closed, evenly. A reload in that time that accepts the \
              key again calls the rest off. \"0s\" is at once.",
    },
    Key {
        path: "auth.check_origin",
        other_variables: &["CHECK_ORIGIN"],
        field: Field::Switch(lens!(auth.check_origin)),
        unset: Unset::Told { words: "false; true where allowed_origins is set", example: "false" },
        reload: Reload::NewHandshakes,
        doc: "Whether the Origin that a browser sends must name the host of the request, or stand \
              in allowed_origins.",
    },
    Key {
        path: "auth.allowed_origins",
        other_variables: &[],
        field: Field::Origins(lens!(auth.allowed_origins)),
        unset: NONE,
        reload: Reload::NewHandshakes,
        doc: "Origins that are accepted: \"https://app.example.org\", or \
              \"https://*.example.org\" for every host below.",
    },
];
