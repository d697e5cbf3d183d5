//! A modem on a PTY and on a TCP port.

mod support;

use std::fs;
use std::os::unix::fs::FileTypeExt;

use hayes_emulator::bridge::Route;
use hayes_emulator::network::Loopback;
use hayes_emulator::serve::{Hooks, Pty, on_duplex_with, on_listener, on_pty};
use hayes_emulator::simcom::Config;
use support::{Host, PATIENCE};
use tokio::net::{TcpListener, TcpStream};

/// Whole files of a PTY block, so that a host of this kind lives on threads of its own.
fn ask_terminal(path: &std::path::Path, command: &str, answer: &str) {
    use std::io::{Read, Write};
    let mut terminal =
        fs::OpenOptions::new().read(true).write(true).open(path).expect("a terminal");
    terminal.write_all(command.as_bytes()).expect("the line is open");
    let mut heard = vec![0; answer.len()];
    terminal.read_exact(&mut heard).expect("the line is open");
    assert_eq!(heard.escape_ascii().to_string(), answer.as_bytes().escape_ascii().to_string());
}

async fn in_a_thread(path: std::path::PathBuf, command: &'static str, answer: &'static str) {
    let host = tokio::task::spawn_blocking(move || ask_terminal(&path, command, answer));
    tokio::time::timeout(PATIENCE, host).await.expect("in time").expect("as expected");
}

#[tokio::test]
async fn one_host_after_another_on_a_pty() {
    let pty = Pty::open(None).expect("a PTY");
    let path = pty.path().to_owned();
    let modem = tokio::spawn(pty.serve(Config::default(), Route::AsAsked, Hooks::default()));
    in_a_thread(path.clone(), "ATE0\r", "ATE0\r\r\nOK\r\n").await;
    // Echo stays off: the modem outlives its host.
    in_a_thread(path, "AT+CSQ\r\n", "\r\n+CSQ: 20,99\r\n\r\nOK\r\n").await;
    modem.abort();
}

#[tokio::test]
async fn the_link_to_a_pty_comes_and_goes() {
    let link = std::env::temp_dir().join(format!("hayes-emulator-{}", std::process::id()));
    let place = link.clone();
    let modem = tokio::spawn(async move {
        on_pty(Some(&place), Config::default(), Route::AsAsked, Hooks::default()).await
    });
    let appeared = async {
        while !fs::metadata(&link).is_ok_and(|there| there.file_type().is_char_device()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, appeared).await.expect("a link");
    in_a_thread(link.clone(), "AT\r", "AT\r\r\nOK\r\n").await;
    modem.abort();
    assert!(modem.await.expect_err("cancelled").is_cancelled());
    assert!(fs::symlink_metadata(&link).is_err());

    fs::write(&link, "not a link").expect("a file");
    assert!(Pty::open(Some(&link)).is_err());
    fs::remove_file(&link).expect("still there");
}

#[tokio::test]
async fn one_host_after_another_on_a_tcp_port() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let modem =
        tokio::spawn(on_listener(listener, Config::default(), Route::AsAsked, Hooks::default()));
    let connect = || async { Host::new(TcpStream::connect(address).await.expect("a modem")) };
    let mut first = connect().await;
    first.ask("ATE0\r", "OK\r\n").await;
    first.ask("AT+CMQTTSTART\r", "+CMQTTSTART: 0\r\n\r\nOK\r\n").await;
    drop(first);
    let mut second = connect().await;
    second.ask("AT+CMQTTSTART\r", "+CMQTTSTART: 23\r\n\r\nERROR\r\n").await;
    modem.abort();
}

#[tokio::test]
async fn a_loopback_behind_a_stream() {
    let (line, modem) = tokio::io::duplex(4096);
    let hooks = Hooks::default();
    tokio::spawn(on_duplex_with(modem, Config::default(), Loopback::new(), hooks));
    let mut host = Host::new(line);
    host.prepare("c", 0).await;
    host.connect("anywhere.invalid", "", 0).await;
    host.subscribe("t", 0).await;
    host.publish("t", b"round", 0).await;
    host.wait("+CMQTTRXPAYLOAD: 0,5\r\nround\r\n+CMQTTRXEND: 0\r\n").await;
}
