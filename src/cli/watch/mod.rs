//! `philote status --watch`: how the server is, each second, until `q` or Ctrl-C.
//!
//! A thread asks the server, so that keys and the window's size count at once though it does not answer. What is
//! shown is made by `view`, out of what `history` remembers; `screen` is the terminal, and leaves it as it was.

mod history;
mod screen;
mod spark;
mod view;

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::control::Control;
use super::escape::escaped_json;
use super::failure::Failure;
use super::output;
use super::token::now;
use crate::daemon::ask::Status;
use history::History;
use screen::{Key, Screen};

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// One JSON object a second, for programs.
///
/// # Errors
/// Where no server answers any more.
pub(super) fn print_each_second(control: &Control) -> Result<(), Failure> {
    let (_never, wait) = sync_channel::<()>(0);
    loop {
        let due = Instant::now() + EVERY;
        output::data(escaped_json(&control.get("/status")?.text()))?;
        let _ = wait.recv_timeout(due.saturating_duration_since(Instant::now()));
    }
}

/// Shows it in the terminal.
///
/// # Errors
/// Where there is no terminal, or no server answers at first; one that goes away later is told and waited for.
pub(super) fn show(control: Control) -> Result<(), Failure> {
    let first = control.get("/status")?.read::<Status>()?;
    let (ask, asked) = sync_channel(1);
    let (answer, answers) = sync_channel(1);
    std::thread::Builder::new()
        .name("status".into())
        .spawn(move || ask_each_time(&control, &asked, &answer))
        .map_err(|error| Failure::Internal(format!("no thread: {error}")))?;
    let mut screen = Screen::open()?;
    let mut history = History::default();
    history.add(Instant::now(), first);
    let mut trouble = None;
    let mut due = Instant::now() + EVERY;
    let mut changed = true;
    loop {
        changed |= screen.has_another_size();
        if changed {
            let (width, height) = screen.size();
            screen.show(&view::lines(&history, trouble.as_deref(), now(), width, height))?;
            changed = false;
        }
        if screen.key()? == Some(Key::Quit) {
            return Ok(());
        }
        if Instant::now() >= due {
            due += EVERY;
            // Where the last question has not been answered, this one is left out.
            let _ = ask.try_send(());
        }
        if let Ok(answer) = answers.try_recv() {
            match answer {
                Ok(status) => {
                    history.add(Instant::now(), status);
                    trouble = None;
                }
                Err(failure) => trouble = Some(failure.to_string()),
            }
            changed = true;
        }
    }
}

type Answer = Result<Status, Failure>;

fn ask_each_time(control: &Control, asked: &Receiver<()>, answer: &SyncSender<Answer>) {
    // It ends with whoever shows the answers.
    while !matches!(asked.recv_timeout(EVERY * 3600), Err(RecvTimeoutError::Disconnected)) {
        if answer.send(control.get("/status").and_then(|told| told.read())).is_err() {
            return;
        }
    }
}
