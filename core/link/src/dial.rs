//! Opens one WebSocket to the server: TCP, TLS unless the address is plain HTTP, then the upgrade.

use std::time::Duration;

use deskreel_model::link::MESSAGE_LIMIT;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::address::Address;
use crate::settings::LinkSettings;
use crate::tls;

/// Limit of each step: TCP, TLS, the upgrade to a WebSocket, sending a message.
pub const STEP_LIMIT: Duration = Duration::from_secs(10);

/// Why there is no connection.
pub struct Problem {
    pub text: String,
    /// The server or the settings do not let us in; a person has to fix that.
    pub is_refused: bool,
}

impl From<String> for Problem {
    fn from(text: String) -> Problem {
        Problem { text, is_refused: false }
    }
}

/// An open WebSocket.
pub enum Socket {
    Plain(Box<WebSocketStream<TcpStream>>),
    Tls(Box<WebSocketStream<TlsStream<TcpStream>>>),
}

pub async fn dial(address: Address, settings: LinkSettings) -> Result<Socket, Problem> {
    let bearer = authorization(&settings)?;
    let place = format!("{}:{}", address.host, address.port);
    let stream = in_time(TcpStream::connect((address.host.as_str(), address.port)), &place).await?;
    let _ = stream.set_nodelay(true);
    let mut request = address.uri.into_client_request().map_err(|error| Problem::from(error.to_string()))?;
    request.headers_mut().insert(AUTHORIZATION, bearer);
    if !address.is_secure {
        return Ok(Socket::Plain(Box::new(upgrade(request, stream, &place).await?)));
    }
    let config = tls::config(settings.ca_file.as_deref())?;
    let name = address.host.try_into().map_err(|_| format!("{place}: not a name for TLS"))?;
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let stream = in_time(connector.connect(name, stream), &place).await?;
    Ok(Socket::Tls(Box::new(upgrade(request, stream, &place).await?)))
}

fn authorization(settings: &LinkSettings) -> Result<HeaderValue, Problem> {
    let refused = |text| Problem { text, is_refused: true };
    let token = settings.token.read().map_err(refused)?;
    let bearer = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut bearer =
        bearer.map_err(|_| refused("the token has characters that a token cannot have".to_owned()))?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    request: Request,
    stream: S,
    place: &str,
) -> Result<WebSocketStream<S>, Problem> {
    let config =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_LIMIT)).max_frame_size(Some(MESSAGE_LIMIT));
    match timeout(STEP_LIMIT, client_async_with_config(request, stream, Some(config))).await {
        Err(_) => Err(format!("{place}: no WebSocket within {} s", STEP_LIMIT.as_secs()).into()),
        Ok(Err(tungstenite::Error::Http(response))) => {
            let status = response.status();
            let is_refused = status.is_client_error() && status.as_u16() != 429;
            let text = format!("{place} answers {status}{}", hint(status.as_u16()));
            Err(Problem { text, is_refused })
        }
        Ok(Err(error)) => Err(format!("{place}: {error}").into()),
        Ok(Ok((socket, _))) => Ok(socket),
    }
}

/// What an answer without an upgrade says about the way to the server.
fn hint(status: u16) -> &'static str {
    match status {
        200..=299 | 400 | 426 => {
            ": something before the server does not pass WebSockets on (Upgrade), or it is no recording server"
        }
        401 | 403 => ": the token is wrong, expired or revoked",
        404 => ": there is no recording server at this address",
        _ => "",
    }
}

async fn in_time<T>(step: impl Future<Output = std::io::Result<T>>, place: &str) -> Result<T, Problem> {
    match timeout(STEP_LIMIT, step).await {
        Ok(done) => done.map_err(|error| format!("{place}: {error}").into()),
        Err(_) => Err(format!("{place}: no answer within {} s", STEP_LIMIT.as_secs()).into()),
    }
}
