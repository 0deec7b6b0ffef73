//! `GET /api/connections`, `DELETE` of some of them, and `GET /api/channels`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{JSON, get, json, manager, post, refused, writer};
use crate::support::client::Client;
use crate::support::http::Request;
use crate::support::server::Server;
use crate::support::token::token;
use crate::support::until;

fn open(server: &Server, claims: &Value) -> Client {
    let mut client = server.open(&token(&claims.to_string()));
    client.round_trip();
    client
}

/// So many workers, and some connections on all of them.
fn with_people(workers: usize) -> (Server, Vec<Client>) {
    let server = Server::with(&format!("workers = {workers}\nlimits.max_connections = 100"));
    let people = [
        serde_json::json!({ "sub": "jane", "read": ["news", "jane"], "write": ["chat"] }),
        serde_json::json!({ "sub": "jane", "read": ["news"] }),
        serde_json::json!({ "sub": "john\u{1b}", "read": ["chat", "news"], "write": ["chat"] }),
        serde_json::json!({ "write": ["news"] }),
        serde_json::json!({ "sub": "jane", "write": ["chat"] }),
        serde_json::json!({ "sub": "Jane" }),
    ];
    let clients = people.iter().map(|claims| open(&server, claims)).collect();
    (server, clients)
}

fn delete(path: &str) -> Request {
    Request::new("DELETE", path).bearer(&manager())
}

fn list<'a>(page: &'a Value, name: &str) -> &'a Vec<Value> {
    page[name].as_array().unwrap_or_else(|| panic!("no list: {page}"))
}

/// How many connections a filter finds.
#[track_caller]
fn count(server: &Server, query: &str) -> usize {
    let page = get(server, &format!("/api/connections?{query}"));
    let count = list(&page, "connections").len();
    assert_eq!(page["total"], count);
    assert!(page.get("next").is_none(), "{page}");
    count
}

#[test]
fn a_connection_is_told_with_all_there_is_to_know() {
    let server = Server::start();
    let claims = serde_json::json!({
        "sub": "jane", "read": ["b", "a", "b"], "write": ["c"], "exp": 4_102_444_800_u64
    });
    let mut jane = open(&server, &claims);
    let mut other = server.publisher(&["a"]);
    other.publish("a", "x");
    let id_of_other = jane.hears("a", "x");
    let page = get(&server, "/api/connections?subject=jane");
    let [one] = &list(&page, "connections")[..] else { panic!("one: {page}") };
    assert_eq!(one["peer"], jane.stream().local_addr().expect("an address").to_string());
    assert_eq!(one["subject"], "jane");
    assert_eq!((&one["reads"], &one["writes"]), (&2.into(), &1.into()));
    let names = |name: &str| -> BTreeSet<&str> {
        list(one, name).iter().filter_map(Value::as_str).collect()
    };
    assert_eq!(names("read"), BTreeSet::from(["a", "b"]));
    assert_eq!(names("write"), BTreeSet::from(["c"]));
    // A ping of four bytes, masked, and its pong; and the delivery.
    let delivery = 2 + format!(r#"{{"issuer":"{id_of_other}","channel":"a","data":"x"}}"#).len();
    assert!(one["bytes_in"].as_u64() >= Some(6), "{one}");
    assert!(one["bytes_out"].as_u64() >= Some(2 + delivery as u64), "{one}");
    assert_eq!(one["queued_bytes"], 0);
    assert_eq!(one["state"], "open");
    assert!(one["age_seconds"].as_u64() < Some(60), "{one}");
    assert!(one["worker"].as_u64() < Some(2), "{one}");
    // The id is the issuer of what it publishes.
    let page = get(&server, "/api/connections?channel=a");
    let ids: Vec<_> = list(&page, "connections").iter().map(|one| &one["id"]).collect();
    assert!(ids.contains(&&id_of_other.as_str().into()), "{page}");
}

#[test]
fn what_waits_for_a_connection_is_told() {
    let server = Server::start();
    let _lazy = server.lazy_subscriber(&["a"]);
    let data = "x".repeat(100_000);
    let body = serde_json::json!({ "channel": "a", "data": data }).to_string();
    until("more waits than the kernel keeps", || {
        assert_eq!(server.ask(&post(&body).bearer(&writer(&["a"]))).status, 200);
        let page = get(&server, "/api/connections?channel=a");
        list(&page, "connections")[0]["queued_bytes"].as_u64() > Some(100_000)
    });
}

#[test]
fn connections_are_found_by_subject_channel_and_peer_on_every_worker() {
    for workers in [1, 2, 3] {
        let (server, clients) = with_people(workers);
        let peer = clients[0].stream().local_addr().expect("an address");
        let cases = [
            ("", 6),
            ("subject=jane", 3),
            ("subject=john%1b", 1),
            ("subject=", 0),
            ("channel=news", 4),
            ("channel=chat", 3),
            ("channel=nobody%27s", 0),
            ("subject=jane&channel=chat", 2),
            ("peer=127.0.0.1", 6),
            ("peer=127.0.0.2", 0),
            ("peer=unix", 0),
        ];
        for (query, found) in cases {
            assert_eq!(count(&server, query), found, "{query}");
        }
        assert_eq!(count(&server, &format!("peer={peer}")), 1);
    }
}

#[test]
fn a_long_list_comes_in_pages_of_which_none_leaves_anybody_out() {
    for workers in [1, 3] {
        let server = Server::with(&format!("workers = {workers}\nlimits.max_connections = 100"));
        let clients: Vec<_> =
            (0..23).map(|n| server.subscriber(&["all", &format!("c{n:02}")])).collect();
        for limit in [1, 4, 23, 24] {
            let (mut ids, mut after, mut pages) = (Vec::new(), String::new(), 0);
            loop {
                let page = get(&server, &format!("/api/connections?limit={limit}{after}"));
                assert_eq!(page["total"], 23);
                let found = list(&page, "connections");
                assert!(found.len() <= limit);
                ids.extend(found.iter().map(|one| one["id"].as_str().expect("an id").to_owned()));
                pages += 1;
                let Some(next) = page["next"].as_str() else { break };
                after = format!("&after={next}");
            }
            assert!(ids.is_sorted() && ids.iter().collect::<BTreeSet<_>>().len() == 23, "{ids:?}");
            assert_eq!(pages, 23_usize.div_ceil(limit), "{limit}");
        }
        let (mut names, mut after) = (Vec::new(), String::new());
        loop {
            let page = get(&server, &format!("/api/channels?limit=5{after}"));
            for one in list(&page, "channels") {
                let expected = if one["channel"] == "all" { 23 } else { 1 };
                assert_eq!(one["subscribers"], expected, "{one}");
                names.push(one["channel"].as_str().expect("a name").to_owned());
            }
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert!(names.is_sorted() && names.len() == 24, "{names:?}");
        drop(clients);
    }
}

#[test]
fn channels_are_told_with_their_subscribers_by_prefix() {
    for workers in [1, 2, 3] {
        let (server, _clients) = with_people(workers);
        let counts = |query: &str| -> Vec<(String, u64)> {
            let page = get(&server, &format!("/api/channels?{query}"));
            let of = |one: &Value| {
                let name = one["channel"].as_str().expect("a name").to_owned();
                (name, one["subscribers"].as_u64().expect("a number"))
            };
            list(&page, "channels").iter().map(of).collect()
        };
        let all = [("chat", 1), ("jane", 1), ("news", 3)].map(|(n, c)| (n.to_owned(), c));
        assert_eq!(counts(""), all, "{workers} workers");
        assert_eq!(counts("prefix=ne"), all[2..]);
        assert_eq!(counts("prefix=chat"), all[..1]);
        assert!(counts("prefix=x").is_empty());
    }
}

#[test]
fn one_can_be_closed_and_all_of_a_subject() {
    for workers in [1, 3] {
        let (server, clients) = with_people(workers);
        let page = get(&server, "/api/connections?subject=Jane");
        let id = list(&page, "connections")[0]["id"].as_str().expect("an id").to_owned();
        let answer = server.ask(&delete(&format!("/api/connections/{id}")));
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(json(&answer), serde_json::json!({ "disconnected": id }));
        server.logs("who asked", |line| line.contains("api_disconnect") && line.contains(&id));
        let answer = server.ask(&delete("/api/connections?subject=jane"));
        assert_eq!(json(&answer), serde_json::json!({ "disconnected": 3 }), "{workers} workers");
        server.logs("whose", |line| line.contains("api_disconnect") && line.contains("jane"));
        for (number, client) in clients.into_iter().enumerate() {
            if [0, 1, 4, 5].contains(&number) {
                client.closed_with(4002);
            } else {
                client.close();
            }
        }
        until("all have gone", || count(&server, "") == 0);
        let gone = refused(&server, &delete(&format!("/api/connections/{id}")));
        assert_eq!(gone, (404, "not_found".into()));
        let nobody = server.ask(&delete("/api/connections?subject=jane"));
        assert_eq!(json(&nobody), serde_json::json!({ "disconnected": 0 }));
    }
}

/// Not by a slip: a list without a filter is everybody.
#[test]
fn nobody_closes_everybody_and_what_is_asked_wrongly_is_told() {
    let (server, mut clients) = with_people(2);
    let bad = (400, "bad_request".to_owned());
    for path in [
        "/api/connections",
        "/api/connections?subjct=jane",
        "/api/connections?subject=jane&subject=john",
        "/api/connections/jane",
        "/api/connections/1b4e28ba-2fa1-41d2-883f-0016d3cca427?subject=jane",
    ] {
        assert_eq!(refused(&server, &delete(path)), bad, "{path}");
    }
    for path in [
        "/api/connections?limit=0",
        "/api/connections?limit=1001",
        "/api/connections?limit=x",
        "/api/connections?after=x",
        "/api/connections?peer=jane",
        "/api/connections?prefix=x",
        "/api/connections?auth=x",
        "/api/channels?subject=x",
    ] {
        assert_eq!(refused(&server, &Request::get(path).bearer(&manager())), bad, "{path}");
    }
    let foreign = delete("/api/connections?subject=jane").body("text/plain", "x");
    assert_eq!(refused(&server, &foreign), (415, "unsupported_media_type".into()));
    clients.iter_mut().for_each(Client::round_trip);
    let with_body = delete("/api/connections?subject=Jane").body(JSON, "{}");
    assert_eq!(server.ask(&with_body).status, 200);
}

/// The tokens in the field have no `manage`, and `api` does not imply it.
#[test]
fn only_a_token_with_manage_in_the_header_sees_and_closes() {
    let (server, mut clients) = with_people(2);
    let page = get(&server, "/api/connections?subject=Jane");
    let id = list(&page, "connections")[0]["id"].as_str().expect("an id").to_owned();
    let requests = [
        Request::get("/api/connections"),
        Request::get("/api/channels"),
        Request::new("DELETE", &format!("/api/connections/{id}")),
        Request::new("DELETE", "/api/connections?subject=jane"),
    ];
    for request in requests {
        for claims in ["{}", r#"{"api":true}"#, r#"{"api":true,"manage":false,"write":["a"]}"#] {
            let refused = refused(&server, &request.clone().bearer(&token(claims)));
            assert_eq!(refused, (403, "no_manage_grant".into()), "{claims} {request:?}");
        }
        assert_eq!(refused(&server, &request), (401, "no_token".into()));
        assert_eq!(
            refused(&server, &request.clone().bearer("bad")),
            (401, "token_malformed".into())
        );
    }
    let wrong = refused(&server, &Request::get("/api/info").bearer(&token(r#"{"manage":1}"#)));
    assert_eq!(wrong, (401, "claims".into()));
    assert_eq!(server.ask(&Request::get("/api/info").bearer(&manager())).status, 403);
    clients.iter_mut().for_each(Client::round_trip);
}

/// Of thousands of channels some are named, and all are counted.
#[test]
fn a_connection_with_many_channels_is_told_in_short() {
    let server = Server::start();
    let many: Vec<String> = (0..2000).map(|number| format!("channel-{number}")).collect();
    let mut client = open(&server, &serde_json::json!({ "read": many, "write": many[..150] }));
    let page = get(&server, "/api/connections");
    let one = &list(&page, "connections")[0];
    assert_eq!((&one["reads"], &one["writes"]), (&2000.into(), &150.into()));
    assert_eq!((list(one, "read").len(), list(one, "write").len()), (100, 100));
    assert_eq!(count(&server, "channel=channel-1999"), 1);
    client.round_trip();
}
