//! philote.
fn main() -> std::process::ExitCode {
    philote::daemon::run(&philote::daemon::Options::default())
}
