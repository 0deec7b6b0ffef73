//! What a peer may still say, and still hears, around a Close.

use std::net::Shutdown;
use std::time::Duration;

use super::rig::{Client, Rig, frame, publish, relay};
use crate::config::Config;

/// Nobody waits for the close timeout here: whatever needs it fails.
fn rig() -> Rig {
    let mut config = Config::default();
    config.websocket.close_timeout = Duration::from_secs(600);
    Rig::start(1, &config, relay)
}

fn code(frame: Option<(u8, Vec<u8>)>) -> u16 {
    let (first, payload) = frame.expect("a Close before the end");
    assert_eq!(first, 0x88);
    u16::from_be_bytes(*payload.first_chunk().expect("a code"))
}

#[test]
fn a_close_is_understood_after_a_fault_though_it_began_in_the_same_segment() {
    let rig = rig();
    let close = frame(0x88, &1007u16.to_be_bytes());
    for cut in 0..=close.len() {
        let mut client = rig.open(&["c"], &["c"]);
        let behind = [publish("c", "not heard"), close[..cut].to_vec()].concat();
        client.send(&[frame(0x81, b"no JSON"), behind].concat());
        assert_eq!(code(client.frame()), 1007, "cut at {cut}");
        if cut < close.len() {
            client.send(&close[cut..]);
        }
        assert_eq!(client.frame(), None, "cut at {cut}");
    }
}

#[test]
fn a_peer_that_sends_nothing_more_behind_its_last_words_still_hears_the_answer() {
    let rig = rig();
    let last_words = |client: &mut Client, bytes: &[u8]| {
        client.send(bytes);
        client.socket.shutdown(Shutdown::Write).expect("shut");
        let code = code(client.frame());
        assert_eq!(client.frame(), None);
        code
    };
    for _ in 0..50 {
        let open = || rig.open(&["c"], &["c"]);
        assert_eq!(last_words(&mut open(), &frame(0x88, &1000u16.to_be_bytes())), 1000);
        assert_eq!(last_words(&mut open(), &frame(0x81, b"no JSON")), 1007);
        assert_eq!(last_words(&mut open(), &frame(0xf1, b"")), 1002);
    }
}
