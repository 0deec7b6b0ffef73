//! A server of one connection that does what a test's script says, on a thread of its own.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::PATIENCE;

/// A server, until its script has ended.
pub(crate) struct Play<T> {
    pub(crate) url: String,
    thread: JoinHandle<T>,
}

impl<T> Play<T> {
    /// Waits for the script's end; what it has found out.
    pub(crate) fn end(self) -> T {
        match self.thread.join() {
            Ok(found) => found,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Plays `script` to the first connection, its handshake done.
pub(crate) fn play<T, F>(script: impl FnOnce(Peer<TcpStream>) -> F + Send + 'static) -> Play<T>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    raw(async |stream| script(Peer::accept(stream).await).await)
}

/// Plays `script` to the first connection as it comes, without a handshake.
pub(crate) fn raw<T: Send + 'static>(
    script: impl AsyncFnOnce(TcpStream) -> T + Send + 'static,
) -> Play<T> {
    let (sender, receiver) = mpsc::channel();
    let thread = on_thread(async move || {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address: SocketAddr = listener.local_addr().expect("its address");
        sender.send(address).expect("the test waits for it");
        let (stream, _) = listener.accept().await.expect("a client");
        script(stream).await
    });
    Play { url: format!("ws://{}", receiver.recv().expect("an address")), thread }
}

/// Like [`play`], on a Unix socket.
pub(crate) fn play_unix<T: Send + 'static>(
    path: std::path::PathBuf,
    script: impl AsyncFnOnce(Peer<tokio::net::UnixStream>) -> T + Send + 'static,
) -> Play<T> {
    let (sender, receiver) = mpsc::channel();
    let url = format!("unix:{}", path.display());
    let thread = on_thread(async move || {
        let listener = UnixListener::bind(path).expect("a socket");
        sender.send(()).expect("the test waits for it");
        let (stream, _) = listener.accept().await.expect("a client");
        script(Peer::accept(stream).await).await
    });
    receiver.recv().expect("a socket");
    Play { url, thread }
}

fn on_thread<T: Send + 'static>(script: impl AsyncFnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    std::thread::spawn(|| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            timeout(PATIENCE, script()).await.expect("the script comes to its end")
        })
    })
}

/// Answers the first request with these parts, each a packet of its own, and closes.
pub(crate) fn answer(parts: &'static [&'static str]) -> Play<()> {
    raw(async move |mut stream: TcpStream| {
        stream.set_nodelay(true).expect("no delay");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.expect("a request"));
        }
        for part in parts {
            stream.write_all(part.as_bytes()).await.expect("it is written");
            tokio::task::yield_now().await;
        }
    })
}

/// The client, as the server sees it.
pub(crate) struct Peer<S> {
    socket: WebSocketStream<S>,
    pub(crate) authorization: String,
    pub(crate) path: String,
    pub(crate) host: String,
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Peer<S> {
    async fn accept(stream: S) -> Self {
        let (mut authorization, mut path, mut host) = Default::default();
        #[allow(clippy::result_large_err, reason = "tungstenite's own signature")]
        let look = |request: &Request, response: Response| {
            let header = |name| {
                let value = request.headers().get(name).expect("the header");
                value.to_str().expect("text").to_owned()
            };
            (authorization, host) = (header("authorization"), header("host"));
            path = request.uri().to_string();
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(stream, look).await.expect("a handshake");
        Self { socket, authorization, path, host }
    }

    /// The token that the client showed.
    pub(crate) fn token(&self) -> &str {
        self.authorization.strip_prefix("Bearer ").expect("a bearer token")
    }

    /// The next message of any kind; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        self.socket.next().await?.ok()
    }

    /// The next message, which is text.
    pub(crate) async fn text(&mut self) -> String {
        match self.next().await {
            Some(Message::Text(text)) => text.as_str().to_owned(),
            other => panic!("not a text message: {other:?}"),
        }
    }

    pub(crate) async fn send(&mut self, message: Message) {
        self.socket.send(message).await.expect("it is sent");
    }

    pub(crate) async fn deliver(&mut self, text: &str) {
        self.send(Message::text(text)).await;
    }

    /// Delivers, unless the client has gone.
    pub(crate) async fn can_deliver(&mut self, text: &str) -> bool {
        self.socket.send(Message::text(text)).await.is_ok()
    }

    /// Closes with this code, if any, and waits until the client has ended.
    pub(crate) async fn close(&mut self, code: Option<u16>, reason: &'static str) {
        let reason = Utf8Bytes::from_static(reason);
        let frame = code.map(|code| CloseFrame { code: code.into(), reason });
        self.socket.close(frame).await.expect("the close is sent");
        while self.next().await.is_some() {}
    }

    /// Waits for the client's close, of 1000, and answers it.
    pub(crate) async fn closed(mut self) {
        match self.next().await {
            Some(Message::Close(Some(frame))) => assert_eq!(u16::from(frame.code), 1000),
            other => panic!("not a close: {other:?}"),
        }
        while self.next().await.is_some() {}
    }
}

impl Peer<TcpStream> {
    /// Whether the client neither sends nor ends anything for so long.
    pub(crate) async fn stays_open(&self, long: std::time::Duration) -> bool {
        timeout(long, self.socket.get_ref().peek(&mut [0])).await.is_err()
    }
}
