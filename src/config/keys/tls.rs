//! Owns the keys of the section `tls`.

use crate::config::field::Field;
use crate::config::key::{Key, Reload, Unset};
use crate::config::lens::lens;

pub(super) static KEYS: &[Key] = &[
    Key {
        path: "tls.certificate",
        other_variables: &[],
        field: Field::File(lens!(tls.certificate)),
        unset: Unset::Told { words: "none", example: "\"/etc/philote/tls/fullchain.pem\"" },
        reload: Reload::NewConnections,
        doc: "The file of the certificate and of those that it rests on, in PEM, read again at each \
              reload.",
    },
    Key {
        path: "tls.key",
        other_variables: &[],
        field: Field::File(lens!(tls.key)),
        unset: Unset::Told { words: "none", example: "\"/etc/philote/tls/privkey.pem\"" },
        reload: Reload::NewConnections,
        doc: "The file of its private key, in PEM, read again at each reload: RSA, P-256, P-384 or \
              Ed25519, which browsers do not take. One that everybody can write is refused.",
    },
];
