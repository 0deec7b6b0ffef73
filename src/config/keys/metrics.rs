//! Owns the keys of the section `metrics`.

use crate::config::field::Field;
use crate::config::key::{Key, Reload, Unset};
use crate::config::lens::lens;

pub(super) static KEYS: &[Key] = &[Key {
    path: "metrics.listen",
    other_variables: &[],
    field: Field::ListenForMetrics(lens!(metrics.listen)),
    unset: Unset::Told { words: "\"off\"", example: "[\"127.0.0.1:9638\"]" },
    reload: Reload::Listeners,
    doc: "Where GET /metrics is answered, beside the control socket, with /healthz and /readyz and \
          nothing else: \"ADDRESS:PORT\" or \"unix:/path mode=0660 group=NAME\", as in listen. \
          Whoever can connect can read them. Listeners that the service manager gives under the \
          name metrics replace the whole list.",
}];
