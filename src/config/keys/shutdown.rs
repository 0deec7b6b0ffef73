//! Owns the keys of the section `shutdown`.

use super::{SHORTEST, up_to_minutes};
use crate::config::field::Field;
use crate::config::key::{Key, Reload, Unset};
use crate::config::lens::lens;

pub(super) static KEYS: &[Key] = &[
    Key {
        path: "shutdown.drain_timeout",
        other_variables: &[],
        field: Field::Duration(lens!(shutdown.drain_timeout), up_to_minutes(SHORTEST, 60)),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "How long a stop may take, from the signal on; what is left then is cut. The service \
              manager must wait longer.",
    },
    Key {
        path: "shutdown.delay",
        other_variables: &[],
        field: Field::OptionalDuration(lens!(shutdown.delay), up_to_minutes(SHORTEST, 10)),
        unset: Unset::Fixed,
        reload: Reload::AtOnce,
        doc: "How long connections are left alone first, while /readyz already answers 503. \
              Behind a balancer: three of its probe intervals. Less than drain_timeout, which it \
              is a part of.",
    },
];
