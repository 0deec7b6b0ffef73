//! Writes what the crates that are linked into philote want to be told wherever it goes, their copyrights and licences,
//! into the file that its argument names: `cargo run --example notices -- target/THIRD-PARTY`. `make notices` does that.
//!
//! The same crates give the same text, whoever asks and wherever.

mod crates;
mod licence;
mod text;

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let file = env::args_os()
        .nth(1)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "name the file to write"))?;
    let text = text::of(&crates::linked()?)?;
    if let Some(directory) = Path::new(&file).parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(file, text)
}
