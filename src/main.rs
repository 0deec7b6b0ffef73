//! philote.
fn main() -> std::process::ExitCode {
    let mut args = std::env::args().skip_while(|a| a != "--config").skip(1);
    let mut options = philote::daemon::Options::default();
    options.load.config = args.next().map(Into::into);
    philote::daemon::run(&options)
}
