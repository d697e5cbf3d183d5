//! A connection to a broker before any MQTT, TLS included. It is held open and watched until a
//! CONNECT is to go over it; from then on bytes are carried between it and `rumqttc`, which only
//! knows connections that it made itself. Knows no MQTT.

use std::io;
use std::sync::Arc;

use rumqttc::tokio_rustls::TlsConnector;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::{Route, Voice, cause, code, socket_code, tls};
use crate::network::{LinkOptions, Reply};

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Opens the connection, and carries from the moment when there is a listener for the other end.
pub(super) async fn run(
    options: LinkOptions,
    route: Route,
    voice: Voice,
    id: u32,
    other_end: oneshot::Receiver<std::net::TcpListener>,
) {
    let mut link = match open(&options, &route).await {
        Ok(link) => link,
        Err(code) => return voice.done(id, code),
    };
    voice.done(id, 0);
    let mut early = [0];
    let listener = tokio::select! {
        biased;
        // A broker that talks before it was talked to is none; whatever it is, this is its end.
        _ = link.read(&mut early) => {
            return voice.say(Reply::Lost { client: voice.client, cause: cause::CLOSED });
        }
        listener = other_end => listener,
    };
    if let Ok(listener) = listener {
        // When the connection breaks, rumqttc notices, and the modem hears it from there.
        let _ = carry(link, listener).await;
    }
}

async fn carry(mut link: Box<dyn Stream>, listener: std::net::TcpListener) -> io::Result<()> {
    let (mut local, _) = TcpListener::from_std(listener)?.accept().await?;
    local.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut local, &mut link).await.map(drop)
}

async fn open(options: &LinkOptions, route: &Route) -> Result<Box<dyn Stream>, u8> {
    let (host, port) = match route {
        Route::AsAsked => (options.host.as_str(), options.port),
        Route::To { host, port } => (host.as_str(), *port),
    };
    let addresses: Vec<_> =
        tokio::net::lookup_host((host, port)).await.map_err(|_| code::DNS)?.collect();
    let stream = TcpStream::connect(&addresses[..]).await;
    let stream = stream.map_err(|error| socket_code(&error, code::SOCKET_CONNECT))?;
    stream.set_nodelay(true).map_err(|_| code::SOCKET_CONNECT)?;
    let Some(how) = &options.tls else {
        return Ok(Box::new(stream));
    };
    let config = tls::client(how).ok_or(code::HANDSHAKE)?;
    let name = how.name.as_ref().unwrap_or(&options.host).clone();
    let name = ServerName::try_from(name).map_err(|_| code::HANDSHAKE)?;
    let stream = TlsConnector::from(Arc::clone(&config)).connect(name, stream).await;
    Ok(Box::new(stream.map_err(|error| socket_code(&error, code::HANDSHAKE))?))
}
