//! A host at the other end of the line, with patience: it waits for what it expects, however slow
//! the machine is, and fails with what it heard instead.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Host<S> {
    stream: S,
    heard: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Host<S> {
    pub fn new(stream: S) -> Self {
        Host { stream, heard: Vec::new() }
    }

    /// Sends bytes and waits until the answer contains this; returns everything up to its end.
    pub async fn ask(&mut self, bytes: impl AsRef<[u8]>, expected: &str) -> String {
        self.stream.write_all(bytes.as_ref()).await.expect("the line is open");
        self.wait(expected).await
    }

    pub async fn wait(&mut self, expected: &str) -> String {
        let found = |heard: &[u8]| {
            let at = heard.windows(expected.len()).position(|part| part == expected.as_bytes());
            at.map(|at| at + expected.len())
        };
        let end = timeout(PATIENCE, async {
            loop {
                if let Some(end) = found(&self.heard) {
                    return end;
                }
                let mut buffer = [0; 512];
                let count = self.stream.read(&mut buffer).await.expect("the line is open");
                assert!(count > 0, "the line was closed: {}", self.heard.escape_ascii());
                self.heard.extend(&buffer[..count]);
            }
        })
        .await;
        let Ok(end) = end else {
            panic!("waited for {expected:?}, heard {}", self.heard.escape_ascii());
        };
        String::from_utf8_lossy(&self.heard.drain(..end).collect::<Vec<u8>>()).into_owned()
    }

    /// Echo off, service started, client acquired.
    pub async fn prepare(&mut self, id: &str, server_type: u8) {
        self.ask("ATE0\r", "OK\r\n").await;
        self.ask("AT+CMQTTSTART\r", "OK\r\n").await;
        let acquire = format!("AT+CMQTTACCQ=0,\"{id}\",{server_type}\r");
        self.ask(acquire, "OK\r\n").await;
    }

    /// Connects and expects this code.
    pub async fn connect(&mut self, address: &str, tail: &str, code: u8) {
        let command = format!("AT+CMQTTCONNECT=0,\"tcp://{address}\",60,1{tail}\r");
        self.ask(command, &format!("+CMQTTCONNECT: 0,{code}\r\n")).await;
    }

    pub async fn enter(&mut self, command: &str, data: &[u8]) {
        self.ask(format!("{command}\r"), "\r\n>").await;
        self.ask(data, "\r\nOK\r\n").await;
    }

    pub async fn publish(&mut self, topic: &str, payload: &[u8], qos: u8) {
        self.enter(&format!("AT+CMQTTTOPIC=0,{}", topic.len()), topic.as_bytes()).await;
        self.enter(&format!("AT+CMQTTPAYLOAD=0,{}", payload.len()), payload).await;
        self.ask(format!("AT+CMQTTPUB=0,{qos},60\r"), "+CMQTTPUB: 0,0\r\n").await;
    }

    pub async fn subscribe(&mut self, filter: &str, qos: u8) {
        self.enter(&format!("AT+CMQTTSUB=0,{},{qos}", filter.len()), filter.as_bytes()).await;
        self.wait("+CMQTTSUB: 0,0\r\n").await;
    }
}
