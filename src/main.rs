//! philote.
fn main() {}
