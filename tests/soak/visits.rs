//! The ways in which clients come and go: politely, with a reset in the middle of a frame, by closing one direction or
//! both without a word; with tokens that are no good or were good until now; breaking the rules; asking; over TLS.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::field::{Field, Random};
use crate::healthy::{CHANNELS, channel, part};
use crate::reloads::on_the_other_secret;
use crate::support::PATIENCE;
use crate::support::client::{Client, Event, publish};
use crate::support::frame::{CLOSE, Out, PING, PONG};
use crate::support::http::{Request, Response, connect_from, connect_keeping_little};
use crate::support::token::{grant, seconds_from_now, signed, token};

type Visit = fn(&Field, &mut Random);

/// All kinds, by name.
pub(crate) const KINDS: [(&str, Visit); 16] = [
    ("polite", polite),
    ("stays", stays),
    ("reset", reset),
    ("half close", half_close),
    ("drop", vanish),
    ("burst", burst),
    ("bad token", bad_token),
    ("withdrawn key", withdrawn_key),
    ("half handshake", half_handshake),
    ("broken rule", break_a_rule),
    ("question", ask),
    ("HTTP publish", publish_by_http),
    ("TLS, polite", over_tls),
    ("TLS, reset", reset_over_tls),
    ("TLS, half handshake", half_tls),
    ("TLS, none", no_tls),
];

/// A token that hears channels of the healthy and of the visitors, and publishes to the latter.
fn visitor(random: &mut Random) -> String {
    let first = random.below(CHANNELS);
    let own = format!("visitors-{}", random.below(8));
    let mut read = vec![channel(first), own.clone()];
    if random.one_in(2) {
        read.extend([channel((first + 1) % CHANNELS), "visitors".into()]);
    }
    let read: Vec<&str> = read.iter().map(String::as_str).collect();
    grant(&read, &[&own, "visitors"])
}

/// A socket from one of many addresses, so that no address runs out of ports.
fn socket(random: &mut Random, address: SocketAddr) -> TcpStream {
    let source = Ipv4Addr::new(127, 0, 0, 1 + random.below(200) as u8);
    connect_from(IpAddr::V4(source), address)
}

fn come(random: &mut Random, address: SocketAddr) -> Client {
    let request = Request::upgrade_with(&visitor(random));
    admitted(Client::open_on(socket(random, address), &request.bytes()))
}

fn admitted(opened: Result<Client, Response>) -> Client {
    opened.unwrap_or_else(|refusal| panic!("refused: {refusal:?}"))
}

/// Publishes a little and hears a little.
fn talk(client: &mut Client, random: &mut Random) {
    for _ in 0..random.below(4) {
        client.publish("visitors", &"x".repeat(random.below(2000)));
    }
    for _ in 0..random.below(20) {
        listen(client);
    }
}

/// Hears what comes next, if anything comes soon.
fn listen(client: &mut Client) {
    match client.event_within(Duration::from_millis(50)) {
        Some(Event::Frame(frame)) if frame.opcode == PING => {
            client.send(&Out::new(PONG, frame.payload));
        }
        Some(Event::Frame(frame)) if frame.opcode == CLOSE => panic!("closed: {:?}", frame.close()),
        Some(Event::End) => panic!("the connection ended"),
        _ => {}
    }
}

/// Hears whatever comes until the end; the code of the Close among it.
fn until_the_end(client: &mut Client) -> Option<u16> {
    let begun = Instant::now();
    let mut code = None;
    while let Event::Frame(frame) = client.event() {
        assert!(begun.elapsed() < PATIENCE, "there is no end");
        if frame.opcode == CLOSE {
            code = Some(frame.close().0);
            // It may be gone already.
            let _ = client.try_send(&Out::close(1000, "").bytes());
        }
    }
    code
}

fn polite(field: &Field, random: &mut Random) {
    let mut client = come(random, field.plain);
    talk(&mut client, random);
    part(client);
}

fn stays(field: &Field, random: &mut Random) {
    let mut client = come(random, field.plain);
    let until = Instant::now() + Duration::from_millis(random.below(1500) as u64);
    while Instant::now() < until {
        listen(&mut client);
    }
    part(client);
}

fn reset(field: &Field, random: &mut Random) {
    let mut client = come(random, field.plain);
    talk(&mut client, random);
    let frame = Out::text(publish("visitors", &"x".repeat(2000))).bytes();
    client.send_bytes(&frame[..1 + random.below(frame.len() - 1)]);
    client.reset();
}

fn half_close(field: &Field, random: &mut Random) {
    let mut client = come(random, field.plain);
    talk(&mut client, random);
    client.finish_sending();
    until_the_end(&mut client);
}

fn vanish(field: &Field, random: &mut Random) {
    let mut client = come(random, field.plain);
    talk(&mut client, random);
}

/// Much at once, and gone.
fn burst(field: &Field, random: &mut Random) {
    let mut client = come(random, field.plain);
    let message = Out::text(publish("visitors", &"x".repeat(random.below(300)))).bytes();
    client.send_bytes(&message.repeat(200));
    part(client);
}

fn bad_token(field: &Field, random: &mut Random) {
    let token = match random.below(4) {
        0 => signed("HS256", r#"{"read":["healthy-0"]}"#, "no secret of this server, however long"),
        1 => token(&format!(r#"{{"exp":{}}}"#, seconds_from_now(-10))),
        2 => "no.token.atall".into(),
        _ => token(r#"{"read":"not an array"}"#),
    };
    let request = Request::upgrade_with(&token).bytes();
    let refusal = Client::open_on(socket(random, field.plain), &request).err();
    assert_eq!(refusal.expect("refused").status, 401);
}

/// With a key that comes and goes: refused, or closed when it goes, unless we go first.
fn withdrawn_key(field: &Field, random: &mut Random) {
    let request = Request::upgrade_with(&on_the_other_secret(&channel(0))).bytes();
    match Client::open_on(socket(random, field.plain), &request) {
        Err(refusal) => assert_eq!(refusal.status, 401),
        Ok(mut client) => {
            let until = Instant::now() + Duration::from_millis(1500);
            while Instant::now() < until {
                let Some(event) = client.event_within(Duration::from_millis(100)) else { continue };
                match event {
                    Event::Frame(frame) if frame.opcode == CLOSE => {
                        assert_eq!(frame.close().0, 1008);
                        client.send(&Out::close(1008, ""));
                        until_the_end(&mut client);
                        return;
                    }
                    Event::Frame(frame) if frame.opcode == PING => {
                        client.send(&Out::new(PONG, frame.payload));
                    }
                    Event::Frame(_) => {}
                    Event::End => panic!("the connection ended"),
                }
            }
            let _ = client.try_send(&Out::close(1000, "").bytes());
            until_the_end(&mut client);
        }
    }
}

fn half_handshake(field: &Field, random: &mut Random) {
    let request = Request::upgrade_with(&visitor(random)).bytes();
    give_up(random, field.plain, &request);
}

/// Says the beginning of something, and goes in one way or the other.
fn give_up(random: &mut Random, address: SocketAddr, bytes: &[u8]) {
    let mut stream = socket(random, address);
    stream.write_all(&bytes[..random.below(bytes.len())]).expect("the kernel takes it");
    if random.one_in(2) {
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))
            .expect("linger is set");
    }
}

fn break_a_rule(field: &Field, random: &mut Random) {
    let mut client = come(random, field.plain);
    talk(&mut client, random);
    let (frame, code) = match random.below(5) {
        0 => (Out::text("{}").mask(None), 1002),
        1 => (Out::text("{}").reserved(4), 1002),
        2 => (Out::text("no JSON"), 1007),
        3 => (Out::text(r#"{"channel":7}"#), 1007),
        _ => (Out::text(publish("visitors", &"x".repeat(300 << 10))), 1009),
    };
    // It may be closed before all of it is taken.
    let _ = client.try_send(&frame.bytes());
    assert_eq!(until_the_end(&mut client), Some(code));
}

fn ask(field: &Field, random: &mut Random) {
    let bearer = |request: Request, claims: &str| request.bearer(&token(claims));
    let (request, status) = match random.below(7) {
        0 => (bearer(Request::get("/api/info"), r#"{"api":true}"#), 200),
        1 => (bearer(Request::get("/api/connections"), r#"{"manage":true}"#), 200),
        2 => (bearer(Request::get("/api/channels"), r#"{"manage":true}"#), 200),
        3 => (bearer(Request::get("/api/connections"), r#"{"api":true}"#), 403),
        4 => (Request::get("/readyz"), 200),
        5 => (Request::get("/api/nothing"), 404),
        _ => {
            assert_eq!(Request::get("/metrics").send(field.metrics).status, 200);
            return;
        }
    };
    let answer = request.send(field.plain);
    assert_eq!(answer.status, status, "{request:?}: {answer:?}");
}

fn publish_by_http(field: &Field, random: &mut Random) {
    let claims = r#"{"api":true,"write":["visitors-0"]}"#;
    let data = "x".repeat(random.below(50_000));
    let body = serde_json::json!({ "channel": "visitors-0", "data": data }).to_string();
    let request = Request::new("POST", "/api/publish").body("application/json", body);
    let request = request.bearer(&token(claims));
    if random.one_in(4) {
        return give_up(random, field.plain, &request.bytes());
    }
    let answer = request.send(field.plain);
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn over_tls(field: &Field, random: &mut Random) {
    let request = Request::upgrade_with(&visitor(random));
    let mut client = admitted(Client::open(field.churn_tunnel.address, &request));
    talk(&mut client, random);
    part(client);
}

fn reset_over_tls(field: &Field, random: &mut Random) {
    let request = Request::upgrade_with(&visitor(random));
    let mut client = admitted(Client::open(field.churn_tunnel.address, &request));
    talk(&mut client, random);
    client.reset();
}

/// The first bytes of a ClientHello.
fn half_tls(field: &Field, random: &mut Random) {
    let hello = [&[0x16, 3, 1, 1, 0x2c, 1, 0, 1, 0x28, 3, 3][..], &[7; 200]].concat();
    give_up(random, field.secured, &hello);
}

/// Plain HTTP where TLS is spoken is told so.
fn no_tls(field: &Field, random: &mut Random) {
    let mut stream = socket(random, field.secured);
    stream.write_all(&Request::get("/").bytes()).expect("the request is taken");
    let (answer, _) = Response::read(&mut stream, "GET");
    assert_eq!(answer.expect("an answer").status, 400);
}

/// Hears channels of the healthy and one that is filled until it is cut, and reads nothing of it all.
pub(crate) fn stall(field: &Field, number: usize) {
    let own = format!("stalled-{}", number % 4);
    let request = Request::upgrade_with(&grant(&[&own, &channel(number % CHANNELS)], &[]));
    let address = field.plain;
    let mut client = admitted(Client::open_on(connect_keeping_little(address), &request.bytes()));
    let token = token(&serde_json::json!({ "api": true, "write": [own] }).to_string());
    let body = serde_json::json!({ "channel": own, "data": "x".repeat(64 << 10) }).to_string();
    let begun = Instant::now();
    loop {
        let request = Request::new("POST", "/api/publish").body("application/json", body.clone());
        let answer = request.bearer(&token).send(address);
        assert_eq!(answer.status, 200, "{answer:?}");
        if answer.body.contains("\"subscribers\":0") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "who reads nothing is never cut");
        std::thread::park_timeout(Duration::from_millis(30));
    }
    // Whether it is told why depends on what its socket still takes.
    if let Some(code) = until_the_end(&mut client) {
        assert_eq!(code, 4000);
    }
    field.stalled.fetch_add(1, Relaxed);
}
