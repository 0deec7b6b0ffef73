//! The notices of third parties, as `examples/notices` writes them.

#[path = "../../examples/notices/crates.rs"]
mod crates;
#[path = "../../examples/notices/licence.rs"]
mod licence;
#[path = "../../examples/notices/text.rs"]
mod text;

use std::collections::BTreeSet;

#[test]
fn every_crate_that_is_linked_has_its_licence_in_the_notices() {
    let crates = crates::linked().expect("cargo knows them");
    let names: BTreeSet<&str> = crates.iter().map(|one| &*one.name).collect();
    // Of all platforms' packages, of a static binary alone, and C.
    let of_static = if cfg!(target_os = "linux") { "domain" } else { "tokio" };
    for name in ["tokio", "hyper", "rustls", of_static, "aws-lc-sys"] {
        assert!(names.contains(name), "{name} is missing");
    }
    // What runs while it is built or tested, or is philote.
    for name in ["serde_derive", "cc", "rcgen", "nix", "hmac", "philote"] {
        assert!(!names.contains(name), "{name} is not linked");
    }
    let notices = text::of(&crates).expect("all have one");
    for one in &crates {
        let line = format!("\n{} {} ({})", one.name, one.version, one.licence);
        assert_eq!(notices.matches(&line).count(), 1, "{line}");
    }
    for words in [
        "Copyright (c) Tokio Contributors",
        "Sean McArthur",
        "Apache License\n",
        "the fiat-crypto authors",
        "ISC License",
    ] {
        assert!(notices.contains(words), "{words}");
    }
    assert_eq!(notices, text::of(&crates).expect("as before"));
    for place in [env!("CARGO_MANIFEST_DIR"), "registry/src", "\r"] {
        assert!(!notices.contains(place), "{place:?} is the builder's alone");
    }
}
