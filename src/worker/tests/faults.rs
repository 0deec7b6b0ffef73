//! Panics: in a message's handling, in the hub, in a worker's own thread.

use super::rig::{Rig, frame, publish};
use crate::config::Config;
use crate::connection::close::CloseReason;
use crate::connection::relay::Relay;
use crate::connection::{Application, Connection, Connections, Progress, Work};

/// Relays, but for two words.
#[derive(Default)]
struct Fragile(Relay);

impl Application for Fragile {
    fn message(
        &self,
        all: &Connections,
        connection: &Connection,
        text: bool,
        payload: &[u8],
        work: Work<'_>,
    ) -> Result<Progress, CloseReason> {
        match payload {
            b"panic" => panic!("in a message"),
            b"panic in the hub" => all.change_hub(|_| panic!("in the hub")),
            _ => self.0.message(all, connection, text, payload, work),
        }
    }
}

fn fragile() -> Box<dyn Application> {
    Box::<Fragile>::default()
}

#[test]
fn a_panic_in_one_connections_message_ends_that_connection_with_1011_and_nothing_else() {
    for workers in [1, 2] {
        let rig = Rig::start(workers, &Config::default(), fragile);
        let mut others: Vec<_> = (0..4).map(|_| rig.open(&["c"], &["c"])).collect();
        for round in 0..10 {
            let mut doomed = rig.open(&["c"], &["c"]);
            // What it published before is delivered, what stands behind is not looked at.
            let bytes =
                [publish("c", "before"), frame(0x81, b"panic"), publish("c", "behind")].concat();
            doomed.send(&bytes);
            assert_eq!(doomed.closed(), 1011);
            others[round % 4].send(&publish("c", "after"));
            for (number, other) in others.iter_mut().enumerate() {
                assert_eq!(other.hears(), "before");
                if number != round % 4 {
                    assert_eq!(other.hears(), "after");
                }
            }
        }
        assert_eq!(rig.shared.sum(|counters| counters.faults.get()), 10);
        assert_eq!(rig.shared.sum(|counters| counters.opened.get()), 14);
    }
}

#[test]
fn a_panic_inside_the_hub_ends_its_worker_which_is_told() {
    let mut rig = Rig::start(3, &Config::default(), fragile);
    let mut clients: Vec<_> = (0..3).map(|_| rig.open(&["c"], &["c"])).collect();
    clients[1].send(&frame(0x81, b"panic in the hub"));
    assert_eq!(rig.breaks(), Some(1));
    assert_eq!(clients[1].frame(), None, "a half changed hub sends nothing more");
}

#[test]
fn a_panic_of_a_workers_own_thread_is_told_while_others_live() {
    let mut rig = Rig::start(3, &Config::default(), || {
        assert_ne!(std::thread::current().name(), Some("worker-2"), "no application");
        fragile()
    });
    assert_eq!(rig.breaks(), Some(2));
}
