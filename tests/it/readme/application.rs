//! An application as the clients of the README have it: what answers `/token`, and the files of a page.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::support::PATIENCE;
use crate::support::token::{seconds_from_now, token};

/// What is answered to a client that asks for a token. All tokens read and write `news` as the subject `user-42`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// This status, and no token.
    Status(u16),
    /// A token that has expired.
    Expired,
    /// A token that expires in three seconds. A client that is too late for it asks for the next one.
    Short,
    /// A token that does not expire.
    Good,
}

/// Runs until the process of the test ends.
pub(super) struct Application {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    /// Path to media type and text.
    files: HashMap<String, (String, String)>,
    /// What is answered first, one after the other.
    first: VecDeque<Answer>,
    /// What is answered from then on.
    then: Answer,
    /// What has been answered to those who asked for a token.
    answered: Vec<Answer>,
}

impl Application {
    /// One that answers this, in this order, and the last one from then on.
    pub(super) fn answering(answers: &[Answer]) -> Application {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (then, first) = answers.split_last().expect("an answer");
        let state = State {
            files: HashMap::new(),
            first: first.iter().copied().collect(),
            then: *then,
            answered: Vec::new(),
        };
        let application = Application {
            address: listener.local_addr().expect("its address"),
            state: Arc::new(Mutex::new(state)),
        };
        let state = Arc::clone(&application.state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&state);
                std::thread::spawn(move || serve(&stream, &state));
            }
        });
        application
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(super) fn token_url(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// Serves this at a path of its own.
    pub(super) fn serves(&self, path: &str, media_type: &str, text: &str) {
        let file = (media_type.to_owned(), text.to_owned());
        self.state.lock().expect("the state").files.insert(path.to_owned(), file);
    }

    /// Answers this from now on.
    pub(super) fn answers_now(&self, answer: Answer) {
        let mut state = self.state.lock().expect("the state");
        state.first.clear();
        state.then = answer;
    }

    /// What it has answered to those who asked for a token, in this order.
    pub(super) fn answered(&self) -> Vec<Answer> {
        self.state.lock().expect("the state").answered.clone()
    }
}

impl State {
    /// Status, media type, text.
    fn answer(&mut self, path: &str) -> (u16, String, String) {
        if path != "/token" {
            return match self.files.get(path) {
                Some((media_type, text)) => (200, media_type.clone(), text.clone()),
                None => (404, "text/plain".into(), String::new()),
            };
        }
        let answer = self.first.pop_front().unwrap_or(self.then);
        self.answered.push(answer);
        let expires = match answer {
            Answer::Status(status) => return (status, "text/plain".into(), String::new()),
            Answer::Expired => Some(1),
            Answer::Short => Some(seconds_from_now(3)),
            Answer::Good => None,
        };
        let mut claims =
            serde_json::json!({ "read": ["news"], "write": ["news"], "sub": "user-42" });
        if let Some(expires) = expires {
            claims["exp"] = expires.into();
        }
        (200, "text/plain".into(), token(&claims.to_string()))
    }
}

/// Answers the one request of a connection.
fn serve(stream: &TcpStream, state: &Mutex<State>) {
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    // To the end of the head.
    let _ = lines.find(String::is_empty);
    let (status, media_type, text) = state.lock().expect("the state").answer(&path);
    let answer = format!(
        "HTTP/1.1 {status} As the test says\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{text}",
        text.len()
    );
    let mut stream = stream;
    let _ = stream.write_all(answer.as_bytes());
}
