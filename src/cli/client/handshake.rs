//! Owns [`open`]: from a server and a token to a WebSocket connection (RFC 6455, section 4.1), or the
//! server's own word why not.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    AUTHORIZATION, CONNECTION, HOST, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT,
};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::credentials::Token;
use super::look_up::look_up;
use super::server::{Place, Server};
use super::session::{self, Receiving, Sending};
use super::trust::Fault;
use crate::cli::escape::escaped;
use crate::cli::failure::Failure;

/// From the first packet to the answer: what servers give a handshake by default.
const PATIENCE: Duration = Duration::from_secs(10);
/// The header of the PROXY protocol, version 2, of whoever speaks for nobody but itself.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
/// What is read of a refusal, in bytes; servers say it in one line.
const REFUSAL: usize = 4096;

/// Why a server could not be reached.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Unreachable {
    /// Nobody is there.
    #[error("{0}")]
    Socket(#[from] io::Error),
    /// Somebody is, and not by TLS as we want it.
    #[error("{0}")]
    Tls(#[from] Fault),
}

pub(in crate::cli) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// Opens a connection.
///
/// # Errors
/// [`Failure::NotPermitted`] where the server refuses the token, otherwise [`Failure::Unavailable`].
pub(super) async fn open(server: &Server, token: &Token) -> Result<(Sending, Receiving), Failure> {
    match timeout(PATIENCE, upgrade(server, token)).await {
        Ok(opened) => opened,
        Err(_) => Err(unavailable(server, &format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

async fn upgrade(server: &Server, token: &Token) -> Result<(Sending, Receiving), Failure> {
    let failed = |error: &dyn std::error::Error| unavailable(server, &error.to_string());
    let socket = match connect(server).await {
        Ok(socket) => socket,
        Err(Unreachable::Socket(error)) => return Err(failed(&error)),
        Err(Unreachable::Tls(fault)) => {
            return Err(Failure::Unavailable(format!("cannot connect to {server}: {fault}")));
        }
    };
    let key = generate_key();
    let request = request(server, token, &key)?;
    let io = TokioIo::new(socket);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(io).await.map_err(|error| failed(&error))?;
    // It ends with the upgrade, or with the runtime.
    tokio::spawn(connection.with_upgrades());
    let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refusal(server, token, response).await);
    }
    let accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT);
    if accepted.is_none_or(|accepted| *accepted != derive_accept_key(key.as_bytes())) {
        return Err(unavailable(server, "it does not speak WebSocket"));
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(|error| failed(&error))?;
    let stream = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await;
    Ok(session::split(stream))
}

/// Connects, and asks nothing yet.
///
/// # Errors
/// Where nobody listens, or not by TLS as we want it.
pub(in crate::cli) async fn connect(server: &Server) -> Result<Box<dyn Socket>, Unreachable> {
    let mut socket = connect_plainly(server).await?;
    if server.wants_proxy_header {
        socket.write_all(LOCAL).await?;
    }
    Ok(match &server.security {
        Some(security) => Box::new(security.begin(socket).await?),
        None => socket,
    })
}

async fn connect_plainly(server: &Server) -> io::Result<Box<dyn Socket>> {
    let stream = match &server.place {
        Place::Addresses(addresses) => connect_to_one_of(addresses).await?,
        Place::Name(name, port) => connect_to_one_of(&look_up(name, *port).await?).await?,
        Place::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
    };
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

/// Tries the addresses in turn. The error is the last one's, but that this machine lacks a family, as one of the two
/// addresses of `localhost` shows, says less of the server than any other error.
async fn connect_to_one_of(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut failed = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) if failed.is_some() && lacks_family(&error) => {}
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no address")))
}

fn lacks_family(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

fn request(server: &Server, token: &Token, key: &str) -> Result<Request<Empty<Bytes>>, Failure> {
    let malformed = || Failure::Usage("the URL or the token is malformed".into());
    let mut bearer =
        HeaderValue::try_from(format!("Bearer {}", token.as_str())).map_err(|_| malformed())?;
    bearer.set_sensitive(true);
    Request::get(&server.path)
        .header(HOST, &server.host)
        .header(USER_AGENT, concat!("philote/", env!("CARGO_PKG_VERSION")))
        .header(AUTHORIZATION, bearer)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, key)
        .body(Empty::new())
        .map_err(|_| malformed())
}

/// What a server says that opens nothing: its status and its first line.
async fn refusal(server: &Server, token: &Token, response: Response<Incoming>) -> Failure {
    let status = response.status();
    let body = Limited::new(response.into_body(), REFUSAL).collect().await;
    let bytes = body.map(|body| body.to_bytes()).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let line = match text.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => format!("{}: {}", status.as_u16(), escaped(line)),
        _ => status.to_string(),
    };
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let hint = if token.is_minted {
                " (the token was made with this machine's configuration: does the server run with the same secret? --token-file names another)"
            } else {
                ""
            };
            Failure::NotPermitted(format!("{server} refuses: {line}{hint}"))
        }
        _ => unavailable(server, &format!("it answers {line}")),
    }
}

fn unavailable(server: &Server, why: &str) -> Failure {
    let hint = "is a server running there? --url or PHILOTE_URL names another";
    Failure::Unavailable(format!("cannot connect to {server}: {why}; {hint}"))
}
