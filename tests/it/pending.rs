//! Sockets that are no connection, or not yet, and which of them go when there are too many.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use crate::metrics::scrape::scrape;
use crate::support::http::{Request, Response, connect_from, free_port, local};
use crate::support::server::{Setup, file};
use crate::support::token::token;
use crate::support::{has_ended, until};

const BODY: &str = r#"{"channel":"c","data":"whole"}"#;

/// A flood of sockets that say nothing, from one address and from many, and at once an upload, a keep-alive connection
/// that asks again and again, and a request that waits for its body from the address of the flood itself.
#[test]
fn strangers_who_only_connect_cut_no_request_and_no_idle_connection() {
    let metrics = local(free_port());
    let server = Setup::of_file(&file(&[
        &format!("metrics.listen = [\"{metrics}\"]"),
        "workers = 2",
        "limits.max_pending = 16",
        "websocket.handshake_timeout = \"60s\"",
    ]))
    .start();
    let from = |last: u8| connect_from(Ipv4Addr::new(127, 0, 0, last).into(), server.address());
    let token = token(r#"{"api":true,"write":["c"]}"#);
    let publish = Request::new("POST", "/api/publish")
        .body("application/json", BODY)
        .bearer(&token)
        .header("Expect", "100-continue")
        .bytes();
    let (begins, ends) = publish.split_at(publish.len() - BODY.len());
    // The first is old, of an address that has more sockets than any other.
    let mut uploads = [from(2), from(3)];
    let mut idle = from(4);
    let mut asks = |when: &str| {
        let health = Request::get("/healthz").bytes();
        idle.write_all(&health).expect("the idle connection is open");
        let answer = Response::read(&mut idle, "GET").0;
        assert_eq!(answer.map(|answer| answer.status), Some(200), "{when}");
    };
    asks("at first");
    for upload in &mut uploads {
        upload.write_all(begins).expect("taken");
    }
    // Whoever is asked for its body is being answered.
    for upload in &mut uploads {
        let mut asked = [0; 25];
        upload.read_exact(&mut asked).expect("the body is asked for");
        assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    for round in 0..20 {
        let flood: Vec<TcpStream> = (0..40)
            .map(|number| if number % 2 == 0 { from(2) } else { from(10 + number) })
            .collect();
        until("most of the flood is closed", || {
            flood.iter().filter(|stream| !has_ended(stream)).count() <= 16
        });
        asks(&format!("after flood {round}"));
    }
    for upload in &mut uploads {
        upload.write_all(ends).expect("the upload is open");
        let answer = Response::read(upload, "POST").0.expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let evicted = |kind: &str| {
        scrape(metrics).value(&format!("philote_pending_evicted_total{{kind=\"{kind}\"}}"))
    };
    assert!(evicted("no_request") >= 20.0 * 20.0, "{}", evicted("no_request"));
    assert_eq!((evicted("idle"), evicted("answering")), (0.0, 0.0));
    server.logs("an eviction", |line| {
        line.contains("event=pending_evicted") && line.contains("kind=no_request")
    });
}
