//! Mail between workers of which one stands still for a while.

use std::sync::{Condvar, Mutex};

use super::rig::{Client, Rig, frame, publish};
use crate::config::Config;
use crate::connection::close::CloseReason;
use crate::connection::relay::Relay;
use crate::connection::{Application, Connection, Connections, Progress, Work};

/// More than a mailbox has room for envelopes.
const MANY: usize = 1000;

static HELD: Mutex<bool> = Mutex::new(false);
static RELEASED: Condvar = Condvar::new();

/// Relays; holds its worker's thread on demand, and tells homes.
#[derive(Default)]
struct Holding(Relay);

impl Application for Holding {
    fn message(
        &self,
        all: &Connections,
        connection: &Connection,
        text: bool,
        payload: &[u8],
        work: Work<'_>,
    ) -> Result<Progress, CloseReason> {
        match payload {
            b"hold" => {
                all.send(connection, vec![0x82, 0]);
                // The next message finds it held: what was said has been flushed then.
                Ok(Progress::Taken)
            }
            b"now" => {
                let held = HELD.lock().expect("not poisoned");
                drop(RELEASED.wait_while(held, |held| *held).expect("not poisoned"));
                Ok(Progress::Taken)
            }
            _ if payload.starts_with(b"home ") => {
                let name = std::str::from_utf8(&payload[5..]).expect("UTF-8");
                let home = all.change_hub(|hub| hub.home(name));
                all.send(connection, vec![0x82, 1, home.0]);
                Ok(Progress::Taken)
            }
            _ => self.0.message(all, connection, text, payload, work),
        }
    }
}

/// The first channel whose home is `worker`, asked by a client that may write anything.
fn at_home_on(worker: u8, client: &mut Client) -> String {
    (0..64)
        .map(|number| format!("channel {number}"))
        .find(|name| {
            client.send(&frame(0x82, format!("home {name}").as_bytes()));
            client.frame().expect("an answer").1 == [worker]
        })
        .expect("64 names do not all meet on one worker")
}

#[test]
fn a_full_mailbox_delays_but_loses_nothing_and_holds_up_nobody_else() {
    let rig = Rig::start(2, &Config::default(), || Box::<Holding>::default());
    // In turn on the first worker and on the second.
    let mut asking = rig.open(&[], &[]);
    let channel = at_home_on(0, &mut asking);
    let mut far = rig.open(&[&channel], &[]);
    let mut publisher = rig.open(&[], &[&channel]);
    let mut holder = rig.open(&[], &[]);
    let mut near = rig.open(&[&channel], &[]);
    *HELD.lock().expect("not poisoned") = true;
    holder.send(&frame(0x82, b"hold"));
    assert_eq!(holder.frame(), Some((0x82, vec![])));
    holder.send(&frame(0x82, b"now"));
    for number in 0..MANY {
        // Each in a turn of its own, so in an envelope of its own.
        publisher.send(&publish(&channel, &number.to_string()));
        assert_eq!(near.hears(), number.to_string());
    }
    *HELD.lock().expect("not poisoned") = false;
    RELEASED.notify_all();
    for number in 0..MANY {
        assert_eq!(far.hears(), number.to_string());
    }
    publisher.send(&publish(&channel, "afterwards"));
    assert_eq!((near.hears(), far.hears()), ("afterwards".into(), "afterwards".into()));
}
