//! `POST /api/publish`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json as value};

use super::{JSON, NDJSON, json, post, refused, writer};
use crate::support::client::{Client, Delivery};
use crate::support::http::{Request, Response, connect};
use crate::support::server::Server;
use crate::support::stuck::{Held, can_hold};
use crate::support::token::{grant, token};
use crate::support::until;

/// On one worker, and on several: a channel's home is then another worker than the request's half of the time.
const WORKERS: [usize; 3] = [1, 2, 3];

fn with_workers(workers: usize) -> Server {
    Server::with(&format!("workers = {workers}"))
}

/// The subscribers that each message of an array has reached.
#[track_caller]
fn reached(answer: &Response) -> Vec<u64> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = json(answer);
    let all = body.as_array().unwrap_or_else(|| panic!("an array: {body}"));
    let one = |one: &Value| {
        assert_eq!(one["accepted"], true, "{one}");
        one["subscribers"].as_u64().expect("a number")
    };
    all.iter().map(one).collect()
}

/// The id by which others know a connection: it says something to somebody else.
fn id_of(client: &mut Client, channel: &str, listener: &mut Client) -> String {
    client.publish(channel, "who am I?");
    listener.hears(channel, "who am I?")
}

#[test]
fn a_message_reaches_every_subscriber_and_is_told_how_many_those_were() {
    for workers in WORKERS {
        let server = with_workers(workers);
        for (channel, count) in [("a", 1), ("b", 5), ("c", 0), ("", 2), ("é\n\"", 3)] {
            let mut subscribers: Vec<_> =
                (0..count).map(|_| server.subscriber(&[channel, "other"])).collect();
            for _ in 0..3 {
                let body = value!({ "channel": channel, "data": "x" }).to_string();
                let answer = server.ask(&post(&body).bearer(&writer(&[channel])));
                assert_eq!(answer.status, 200, "{answer:?}");
                let told = json(&answer);
                assert_eq!(told, value!({ "accepted": true, "subscribers": count }), "{channel}");
                for subscriber in &mut subscribers {
                    let Delivery { issuer, .. } = subscriber.delivery();
                    assert_eq!(issuer, "", "it has none");
                }
            }
        }
    }
}

/// A member whose value is empty is left out of a delivery.
#[test]
fn a_delivery_has_no_issuer_and_nothing_that_is_empty() {
    let server = Server::start();
    let mut subscriber = server.subscriber(&["news"]);
    let send = |body: &str| {
        let answer = server.ask(&post(body).bearer(&writer(&["news"])));
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    send(r#"{"channel":"news","data":"\ud800 raw \u00e9"}"#);
    assert_eq!(subscriber.message(), r#"{"channel":"news","data":"\ud800 raw \u00e9"}"#);
    for body in [r#"{"channel":"news"}"#, r#"{"channel":"news","data":null}"#] {
        send(body);
        assert_eq!(subscriber.message(), r#"{"channel":"news"}"#);
    }
}

#[test]
fn the_order_of_a_batch_is_the_order_of_delivery_on_each_channel() {
    for workers in WORKERS {
        let server = with_workers(workers);
        let channels = ["a", "b", "c", "d"];
        let mut listeners = channels.map(|channel| server.subscriber(&[channel]));
        let count = 1000;
        let items: Vec<Value> = (0..count)
            .map(|number| value!({ "channel": channels[number % 4], "data": number.to_string() }))
            .collect();
        let token = writer(&channels);
        let lines: String = items.iter().map(|item| format!("{item}\n")).collect();
        let as_lines = Request::new("POST", "/api/publish").body(NDJSON, lines).bearer(&token);
        let as_array = post(&Value::from(items).to_string()).bearer(&token);
        assert_eq!(reached(&server.ask(&as_array)), vec![1; count]);
        let answer = server.ask(&as_lines);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(NDJSON)));
        assert_eq!(answer.body, "{\"accepted\":true,\"subscribers\":1}\n".repeat(count));
        for (at, listener) in listeners.iter_mut().enumerate() {
            for _ in 0..2 {
                for number in (at..count).step_by(4) {
                    listener.hears(channels[at], &number.to_string());
                }
            }
        }
    }
}

#[test]
fn whoever_is_excluded_does_not_hear_it_wherever_it_is() {
    for workers in WORKERS {
        let server = with_workers(workers);
        // As many as there are workers, so that one is on each.
        let mut clients: Vec<_> =
            (0..2 * workers).map(|_| server.open(&grant(&["a", "b"], &["x"]))).collect();
        let mut listener = server.subscriber(&["x"]);
        let ids: Vec<_> =
            clients.iter_mut().map(|client| id_of(client, "x", &mut listener)).collect();
        let everybody = clients.len() as u64;
        let items: Vec<Value> = ids
            .iter()
            .flat_map(|id| ["a", "b"].map(|c| value!({ "channel": c, "data": id, "exclude": id })))
            .chain([
                value!({ "channel": "a", "data": "all", "exclude": "" }),
                // Nobody has this id.
                value!({ "channel": "b", "data": "all", "exclude": uuid::Uuid::new_v4() }),
                // It is there and does not read this.
                value!({ "channel": "x", "data": "x", "exclude": ids[0] }),
            ])
            .collect();
        let answer =
            server.ask(&post(&Value::from(items).to_string()).bearer(&writer(&["a", "b", "x"])));
        let mut expected = vec![everybody - 1; 2 * ids.len()];
        expected.extend([everybody, everybody, 1]);
        assert_eq!(reached(&answer), expected, "{workers} workers");
        for (client, own) in clients.iter_mut().zip(&ids) {
            let mut heard = Vec::new();
            while heard.len() < 2 * ids.len() {
                heard.push(client.delivery().data);
            }
            assert!(!heard.contains(own), "{heard:?}");
            for other in ids.iter().filter(|id| *id != own) {
                assert_eq!(heard.iter().filter(|data| *data == other).count(), 2);
            }
            assert_eq!(heard.iter().filter(|data| *data == "all").count(), 2);
        }
    }
}

#[test]
fn each_message_of_a_batch_is_taken_or_told_why_not() {
    let server = Server::with("limits.max_message_size = 1000\nlimits.max_channel_length = 64");
    let mut subscriber = server.subscriber(&["a", "b"]);
    let long = "x".repeat(1000);
    let items = value!([
        { "channel": "a", "data": "1" },
        { "channel": "b", "data": "2" },
        { "channel": "a", "data": long },
        { "channel": "a", "data": "3" },
    ]);
    let answer = server.ask(&post(&items.to_string()).bearer(&writer(&["a"])));
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = json(&answer);
    let errors: Vec<_> =
        told.as_array().expect("an array").iter().map(|one| &one["error"]).collect();
    assert_eq!(errors, [&Value::Null, &"not_granted".into(), &"too_large".into(), &Value::Null]);
    for (number, accepted) in [true, false, false, true].into_iter().enumerate() {
        assert_eq!(told[number]["accepted"], accepted, "{told}");
        assert_eq!(told[number]["reason"].is_string(), !accepted, "{told}");
    }
    subscriber.hears("a", "1");
    subscriber.hears("a", "3");
    // One alone says it by its status too.
    let alone = |item: &Value| refused(&server, &post(&item.to_string()).bearer(&writer(&["a"])));
    assert_eq!(alone(&items[1]), (403, "not_granted".into()));
    assert_eq!(alone(&items[2]), (413, "too_large".into()));
    until("they are counted", || server.info()["publishes_refused"] == 2);
}

/// `api` alone publishes nothing, `write` alone neither.
#[test]
fn a_listener_wants_a_token_with_api_in_the_header_and_the_channel_in_write() {
    let server = Server::start();
    let body = r#"{"channel":"a","data":"x"}"#;
    let with = |claims: &str| refused(&server, &post(body).bearer(&token(claims)));
    assert_eq!(with(r#"{"api":true}"#), (403, "not_granted".into()));
    assert_eq!(with(r#"{"api":true,"write":["b"]}"#), (403, "not_granted".into()));
    assert_eq!(with(r#"{"write":["a"]}"#), (403, "no_api_grant".into()));
    assert_eq!(with(r#"{"manage":true,"write":["a"]}"#), (403, "no_api_grant".into()));
    assert_eq!(refused(&server, &post(body)), (401, "no_token".into()));
    assert_eq!(refused(&server, &post(body).bearer("bad")), (401, "token_malformed".into()));
    let in_query = format!("/api/publish?auth={}", writer(&["a"]));
    let request = Request::new("POST", &in_query).body(JSON, body);
    let answer = server.ask(&request);
    assert_eq!(answer.status, 401, "{answer:?}");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    assert!(answer.headers.iter().all(|(name, _)| !name.starts_with("access-control")));
}

#[test]
fn a_body_is_json_or_lines_and_says_so() {
    let server = Server::start();
    let token = writer(&["a"]);
    let body = r#"{"channel":"a","data":"x"}"#;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
        let request = Request::new("POST", "/api/publish").body(kind, body).bearer(&token);
        assert_eq!(refused(&server, &request), (415, "unsupported_media_type".into()), "{kind}");
    }
    let without = post(body).bearer(&token).without("Content-Type");
    assert_eq!(refused(&server, &without), (415, "unsupported_media_type".into()));
    for kind in ["application/json; charset=utf-8", "Application/JSON", NDJSON] {
        let request = Request::new("POST", "/api/publish").body(kind, body).bearer(&token);
        assert_eq!(server.ask(&request).status, 200, "{kind}");
    }
    let request = Request::get("/api/publish").bearer(&token);
    assert_eq!(server.ask(&request).header("allow"), Some("POST"));
    let options = Request::new("OPTIONS", "/api/publish").header("Origin", "https://a.example");
    assert_eq!(refused(&server, &options), (405, "method_not_allowed".into()));
}

/// Wherever the fault stands: who mends it sends all of it again.
#[test]
fn a_fault_of_form_publishes_nothing_and_is_told_with_a_pointer() {
    let server = Server::start();
    let mut subscriber = server.subscriber(&["a"]);
    let good = r#"{"channel":"a","data":"x"}"#;
    let cases = [
        (format!(r#"[{good},{good},{{"channel":"a","data":7}}]"#), JSON, "/2/data"),
        (format!(r#"[{good},{{"channel":"a","exlude":"me"}}]"#), JSON, "/1/exlude"),
        (format!("[{good}"), JSON, "/1"),
        (format!("{good}\n{good}\nx\n"), NDJSON, "/2"),
        (r#"{"channel":"a","exclude":"me"}"#.into(), JSON, "/exclude"),
        (String::new(), JSON, ""),
    ];
    for (body, kind, pointer) in cases {
        let request = Request::new("POST", "/api/publish").body(kind, &*body);
        let answer = server.ask(&request.bearer(&writer(&["a"])));
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        let told = json(&answer);
        assert_eq!((&told["error"], &told["pointer"]), (&"malformed".into(), &pointer.into()));
        assert!(told["reason"].is_string());
    }
    subscriber.round_trip();
}

#[test]
fn a_body_that_is_too_long_is_413_and_the_answer_arrives() {
    let server = Server::with("http.max_body = \"4KiB\"");
    let long = format!(r#"{{"channel":"a","data":"{}"}}"#, "x".repeat(3_000_000));
    let request = post(&long).bearer(&writer(&["a"]));
    // Told to be too long, and found to be; though it is not read, nobody's answer is lost for it.
    let mut stream = connect(server.address());
    let mut sending = stream.try_clone().expect("a second handle");
    let bytes = request.bytes();
    let sender = std::thread::spawn(move || drop(sending.write_all(&bytes)));
    let answer = Response::read(&mut stream, "POST").0.expect("an answer");
    assert_eq!((answer.status, &json(&answer)["error"]), (413, &"too_large".into()));
    drop(stream);
    sender.join().expect("no panic");
    let chunked = request.body(JSON, "").without("Content-Length");
    let mut bytes = chunked.header("Transfer-Encoding", "chunked").bytes();
    bytes.extend_from_slice(format!("1388\r\n{}\r\n0\r\n\r\n", "x".repeat(5000)).as_bytes());
    let mut stream = connect(server.address());
    stream.write_all(&bytes).expect("taken");
    let answer = Response::read(&mut stream, "POST").0.expect("an answer");
    assert_eq!(answer.status, 413, "{answer:?}");
    assert!(json(&answer)["reason"].as_str().is_some_and(|said| said.contains("http.max_body")));
    // At once after a reload.
    server.reconfigure("http.max_body = \"8KiB\"");
    server.reload();
    let body = format!(r#"{{"channel":"a","data":"{}"}}"#, "x".repeat(5000));
    assert_eq!(server.ask(&post(&body).bearer(&writer(&["a"]))).status, 200);
    let many = "{\"channel\":\"a\"}\n".repeat(10_001);
    server.reconfigure("http.max_body = \"1MiB\"");
    server.reload();
    let many = Request::new("POST", "/api/publish").body(NDJSON, many).bearer(&writer(&["a"]));
    assert_eq!(refused(&server, &many), (413, "too_large".into()));
}

/// All together hold what 16 of the largest do, whoever sends them.
#[test]
fn bodies_that_do_not_come_to_an_end_take_so_much_memory_together_and_no_more() {
    let server = Server::with("http.max_body = \"1MiB\"");
    let request = post("").bearer(&writer(&["a"])).without("Content-Length");
    let head = request.header("Content-Length", "1048576").bytes();
    // Blanks in front of a message that never comes.
    let blanks = vec![b' '; (1 << 20) - 1];
    let unfinished = || {
        let mut stream = connect(server.address());
        stream.write_all(&head).expect("taken");
        stream.write_all(&blanks).expect("taken");
        stream
    };
    // Which of them it is, is by whose last bytes come last.
    let mut all: Vec<_> = (0..17).map(|_| unfinished()).collect();
    let is_answered = |stream: &TcpStream| {
        stream.set_nonblocking(true).expect("a socket");
        let answered = stream.peek(&mut [0]).is_ok();
        stream.set_nonblocking(false).expect("a socket");
        answered
    };
    let mut refused = None;
    until("one has no room", || {
        refused = all.iter().position(is_answered);
        refused.is_some()
    });
    let mut refused = all.swap_remove(refused.expect("one"));
    let answer = Response::read(&mut refused, "POST").0.expect("an answer");
    assert_eq!((answer.status, &json(&answer)["error"]), (503, &"too_many_bodies".into()));
    assert_eq!(answer.header("retry-after"), Some("5"));
    // A small one needs little, and the others still have theirs.
    all.pop();
    let small = post(r#"{"channel":"a","data":"x"}"#).bearer(&writer(&["a"]));
    until("there is room again", || server.ask(&small).status == 200);
    assert!(!all.iter().any(is_answered));
    drop(all);
}

/// Who may not publish is told before its body is read: curl and others wait for leave to send a long one.
#[test]
fn leave_to_send_a_body_is_given_only_to_those_who_may() {
    let server = Server::start();
    let body = r#"{"channel":"a","data":"x"}"#;
    let ask = |token: &str| {
        let request = post(body).bearer(token).header("Expect", "100-continue");
        let bytes = request.bytes();
        let (head, body) = bytes.split_at(bytes.len() - body.len());
        let mut stream = connect(server.address());
        stream.write_all(head).expect("taken");
        let mut first = [0; 12];
        stream.read_exact(&mut first).expect("an answer");
        if first == *b"HTTP/1.1 100" {
            stream.write_all(body).expect("taken");
        }
        String::from_utf8(first[9..].to_vec()).expect("a status")
    };
    assert_eq!(ask(&writer(&["a"])), "100");
    assert_eq!(ask(&token("{}")), "403");
}

/// A request that is under way when a stop begins is finished, and so is its delivery.
#[test]
fn a_stop_waits_for_a_request_that_is_under_way() {
    let server = Server::with("shutdown.drain_timeout = \"15s\"");
    let body = r#"{"channel":"a","data":"last words"}"#;
    let mut stream = connect(server.address());
    let bytes = post(body).bearer(&writer(&["a"])).bytes();
    let (first, rest) = bytes.split_at(bytes.len() - 5);
    stream.write_all(first).expect("taken");
    // It is being answered once a second request is, on the same worker or another.
    server.is_healthy();
    let begun = Instant::now();
    server.signal(rustix::process::Signal::TERM);
    until("newcomers are turned away", || server.ask(&Request::get("/api/info")).status == 503);
    // Longer than a silent socket is waited for.
    while begun.elapsed() < Duration::from_millis(900) {
        assert_eq!(server.ask(&Request::get("/readyz")).status, 503);
    }
    stream.write_all(rest).expect("taken");
    let answer = Response::read(&mut stream, "POST").0.expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(server.ended().status.success());
}

/// The same bounds as for a socket: what is published by HTTP closes a slow consumer, and nobody else.
#[test]
fn a_reader_that_stops_is_a_slow_consumer_of_it_too() {
    let server = Server::with("limits.outbound_queue = \"64KiB\"");
    let slow = server.lazy_subscriber(&["a"]);
    let mut healthy = server.subscriber(&["a"]);
    let data = "x".repeat(50_000);
    let body = value!([{ "channel": "a", "data": data }]).to_string();
    let mut told = 0;
    for _ in 0..400 {
        let answer = server.ask(&post(&body).bearer(&writer(&["a"])));
        let [now] = reached(&answer)[..] else { panic!("one message: {answer:?}") };
        healthy.hears("a", &data);
        told = now;
        if told == 1 {
            break;
        }
    }
    assert_eq!(told, 1, "the slow one is no subscriber any more");
    until("it is counted", || server.info()["slow_consumers"] == 1);
    drop(slow);
    healthy.round_trip();
}

/// A long batch takes its turns: whoever is served meanwhile is.
#[test]
fn a_long_batch_holds_up_nobody() {
    let server = Server::with("workers = 1");
    let mut other = server.subscriber(&["b"]);
    let items: Vec<Value> =
        (0..10_000).map(|_| value!({ "channel": "a", "data": "x".repeat(900) })).collect();
    let bytes = post(&Value::from(items).to_string()).bearer(&writer(&["a"])).bytes();
    let mut stream = connect(server.address());
    let mut sending = stream.try_clone().expect("a second handle");
    let sender = std::thread::spawn(move || sending.write_all(&bytes).expect("taken"));
    let mut pings = 0;
    while !sender.is_finished() {
        other.round_trip();
        pings += 1;
    }
    let answer = Response::read(&mut stream, "POST").0.expect("an answer");
    assert_eq!(reached(&answer).len(), 10_000);
    assert!(pings > 0);
    sender.join().expect("no panic");
}

/// Requests one after the other on one connection, as backends do.
#[test]
fn a_connection_is_kept_for_the_next_request() {
    let server = Server::start();
    let mut subscriber = server.subscriber(&["a"]);
    let mut stream = connect(server.address());
    for number in 0..50 {
        let body = value!({ "channel": "a", "data": number.to_string() }).to_string();
        stream.write_all(&post(&body).bearer(&writer(&["a"])).bytes()).expect("taken");
        let answer = Response::read(&mut stream, "POST").0.expect("an answer");
        assert_eq!(json(&answer)["subscribers"], 1);
        subscriber.hears("a", &number.to_string());
    }
}

/// A worker that does not turn is not waited for for ever.
#[test]
fn a_worker_that_is_stuck_is_an_error_in_the_end() {
    if !can_hold() {
        return;
    }
    let server = Server::with("workers = 2");
    let stuck = Held::workers(&server, &[1]);
    let begun = Instant::now();
    // Half of the listeners' sockets are the stuck one's; who comes to the other is told.
    let mut told = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(server.address());
        let request = Request::get("/api/connections").bearer(&super::manager());
        stream.write_all(&request.bytes()).expect("taken");
        told.push(stream);
    }
    let mut answers = 0;
    for mut stream in told {
        stream.set_read_timeout(Some(Duration::from_secs(8))).expect("a timeout");
        let mut first = [0; 12];
        if stream.read_exact(&mut first).is_ok() {
            assert_eq!(&first, b"HTTP/1.1 503");
            answers += 1;
        }
    }
    assert_eq!(answers, 1);
    assert!(begun.elapsed() < Duration::from_secs(30));
    drop(stuck);
    server.is_healthy();
}
