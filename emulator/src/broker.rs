//! A broker inside the process: `rumqttd` on a free port of the loopback interface. For
//! demonstrations and tests; it keeps nothing on disk.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rumqttd::{Config, ConnectionSettings, RouterConfig, ServerSettings};

/// A running broker. It runs until the process ends; `rumqttd` knows no way to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broker {
    /// The port on 127.0.0.1.
    pub port: u16,
}

impl Broker {
    /// Starts a broker. It accepts connections when this returns.
    ///
    /// # Errors
    ///
    /// When no thread or no port can be had, or the broker does not come up.
    pub fn start() -> io::Result<Broker> {
        Self::launch(None)
    }

    /// The same, for clients with this user name and password only.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start).
    pub fn start_with_login(user: &str, password: &str) -> io::Result<Broker> {
        Self::launch(Some(HashMap::from([(user.to_owned(), password.to_owned())])))
    }

    fn launch(logins: Option<HashMap<String, String>>) -> io::Result<Broker> {
        // The port is free now; whoever takes it in the next instant makes the broker fail.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let config = config(port, logins);
        let broker = std::thread::Builder::new()
            .name("emulator-broker".into())
            .spawn(move || rumqttd::Broker::new(config).start().map_err(|e| e.to_string()))?;

        let patience = Instant::now() + Duration::from_secs(30);
        while Instant::now() < patience && !broker.is_finished() {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(Broker { port });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(io::Error::other("the broker did not come up"))
    }
}

fn config(port: u16, auth: Option<HashMap<String, String>>) -> Config {
    let server = ServerSettings {
        name: "emulator".into(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        tls: None,
        next_connection_delay_ms: 1,
        connections: ConnectionSettings {
            connection_timeout_ms: 60_000,
            max_payload_size: 1 << 20,
            max_inflight_count: 100,
            auth,
            external_auth: None,
            dynamic_filters: true,
        },
    };
    Config {
        id: 0,
        router: RouterConfig {
            max_connections: 100,
            max_outgoing_packet_count: 200,
            max_segment_size: 10 << 20,
            max_segment_count: 10,
            ..RouterConfig::default()
        },
        v4: Some(HashMap::from([("emulator".to_owned(), server)])),
        v5: None,
        ws: None,
        cluster: None,
        console: None,
        bridge: None,
        prometheus: None,
        metrics: None,
    }
}
