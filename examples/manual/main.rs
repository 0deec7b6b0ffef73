//! Writes the manual pages and the shells' completions below the directory that its argument names:
//! `cargo run --example manual -- target` makes `target/man` and `target/completions`. `make man` and
//! `make completions` do that.
//!
//! All of it comes from the definitions that the program itself goes by, so that none of it can be out of step. An
//! example, since the program needs none of this when it runs.

mod configuration;
mod date;
mod page;
mod program;

use std::path::Path;
use std::{env, fs, io};

use clap_complete::Shell;

fn main() -> io::Result<()> {
    let directory = env::args_os().nth(1).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "name the directory to write below")
    })?;
    let date = date::of_the_pages()?;
    let man = Path::new(&directory).join("man");
    fs::create_dir_all(&man)?;
    fs::write(man.join("philote.1"), program::page(&date)?)?;
    fs::write(man.join("philote.toml.5"), configuration::page(&date))?;
    let completions = Path::new(&directory).join("completions");
    fs::create_dir_all(&completions)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut philote::cli::command(), "philote", &completions)?;
    }
    Ok(())
}
