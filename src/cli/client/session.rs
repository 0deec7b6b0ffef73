//! Owns [`Sending`] and [`Receiving`], the two directions of an open connection. Pings are answered
//! while somebody waits in [`Receiving`], so every command does so all the time.

use std::ops::ControlFlow;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::cli::escape::escaped;
use crate::cli::failure::Failure;

type Stream = WebSocketStream<TokioIo<Upgraded>>;

/// How long the server may take to answer our close: it first reads what was published.
const ANSWER: Duration = Duration::from_secs(30);
/// How long we wait for what explains a loss, and for our answer to a close to leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// The direction to the server.
pub(in crate::cli) struct Sending(SplitSink<Stream, Message>);

/// The direction from the server.
pub(in crate::cli) struct Receiving {
    stream: SplitStream<Stream>,
    /// Whether a close of the server's is the answer to ours.
    is_closing: bool,
}

pub(super) fn split(stream: Stream) -> (Sending, Receiving) {
    let (sink, stream) = stream.split();
    (Sending(sink), Receiving { stream, is_closing: false })
}

/// How a connection ended.
#[derive(Debug)]
pub(in crate::cli) enum Ended {
    /// The server sent a close.
    Closed(Option<CloseFrame>),
    /// It went without one.
    Lost(String),
}

impl Sending {
    /// Sends one message; returns when it is on its way.
    ///
    /// # Errors
    /// [`Ended`]; what the server said of it is known to [`Receiving`].
    pub(in crate::cli) async fn publish(&mut self, channel: &str, data: &str) -> Result<(), Ended> {
        #[derive(Serialize)]
        struct Publish<'a> {
            channel: &'a str,
            data: &'a str,
        }
        let text = serde_json::to_string(&Publish { channel, data }).map_err(Ended::lost)?;
        self.0.send(Message::text(text)).await.map_err(Ended::lost)
    }
}

impl Receiving {
    /// Hands on each message until `hand_on` has had enough; a binary one is read as text.
    ///
    /// # Errors
    /// That of `hand_on`, or how the connection ended.
    pub(in crate::cli) async fn each(
        &mut self,
        mut hand_on: impl FnMut(&str) -> Result<ControlFlow<()>, Failure>,
    ) -> Result<(), Failure> {
        while hand_on(&self.next().await?)?.is_continue() {}
        Ok(())
    }

    /// # Errors
    /// [`Ended`].
    async fn next(&mut self) -> Result<Utf8Bytes, Ended> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Binary(bytes))) => {
                    return Ok(String::from_utf8_lossy(&bytes).as_ref().into());
                }
                // A ping's answer leaves when the stream is polled again.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(frame))) => {
                    if !self.is_closing {
                        // So does the answer to a close, and the server ends the connection then.
                        let _ = timeout(FAREWELL, self.stream.next()).await;
                    }
                    return Err(Ended::Closed(frame));
                }
                Some(Err(error)) => return Err(Ended::lost(error)),
                None => return Err(Ended::Lost("the server ended it".into())),
            }
        }
    }

    async fn end(&mut self) -> Ended {
        loop {
            if let Err(ended) = self.next().await {
                return ended;
            }
        }
    }

    /// What the server says of a failure to send, where it says anything.
    pub(in crate::cli) async fn explain(&mut self, failed: Ended) -> Failure {
        match timeout(FAREWELL, self.end()).await {
            Ok(ended @ Ended::Closed(_)) => ended.into(),
            _ => failed.into(),
        }
    }
}

/// Closes the connection and waits for the answer: the server has then read all that was sent before.
///
/// # Errors
/// The server ended the connection for a reason of its own, or does not answer.
pub(in crate::cli) async fn close(
    mut sending: Sending,
    mut receiving: Receiving,
) -> Result<(), Failure> {
    receiving.is_closing = true;
    let frame = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() };
    // Where the close cannot be sent, how the connection ended says why.
    let closing = async { drop(sending.0.send(Message::Close(Some(frame))).await) };
    match timeout(ANSWER, async { tokio::join!(closing, receiving.end()).1 }).await {
        // Which code it echoes, and whether it does, differs between servers.
        Ok(Ended::Closed(None)) => Ok(()),
        Ok(Ended::Closed(Some(frame))) if frame.code == CloseCode::Normal => Ok(()),
        Ok(ended) => Err(ended.into()),
        Err(_) => Err(Failure::Unavailable(format!(
            "the server has not answered our close within {} s; what was published last may not \
             have arrived",
            ANSWER.as_secs()
        ))),
    }
}

impl Ended {
    fn lost(error: impl std::fmt::Display) -> Self {
        Self::Lost(error.to_string())
    }
}

/// A close of 1008 says that the token opens the server no more.
impl From<Ended> for Failure {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Lost(why) => Self::Unavailable(format!("the connection is lost: {why}")),
            Ended::Closed(None) => {
                Self::Unavailable("the server closed the connection without a reason".into())
            }
            Ended::Closed(Some(CloseFrame { code, reason })) => {
                let text = format!(
                    "the server closed the connection: {} {}",
                    u16::from(code),
                    escaped(&reason)
                );
                let text = text.trim_end().to_owned();
                match code {
                    CloseCode::Policy => Self::NotPermitted(text),
                    _ => Self::Unavailable(text),
                }
            }
        }
    }
}
