//! Processes, brokers and witnesses for the tests. No test waits for a time;
//! all wait for something to happen, with a patience that ends only what has
//! gone wrong.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use hayes_emulator::broker::Broker;
use rumqttc::{Client, Event, MqttOptions, Packet, Publish, QoS};
use rustix::process::{Pid, Signal, kill_process};

pub const PATIENCE: Duration = Duration::from_secs(120);

/// A vendor as the tests know it.
#[derive(Debug)]
pub struct Kind {
    pub name: &'static str,
    /// Name, beginning of the model, longest payload; the default one first.
    pub families: &'static [(&'static str, &'static str, usize)],
    pub address: &'static str,
    /// What a dialogue shows of them.
    pub subscribed: &'static str,
    pub published: &'static str,
    pub disconnected: &'static str,
    pub secret: &'static str,
    pub upload: &'static str,
    /// What a failed connection, a refused login and a loss are told with.
    pub unreachable: [&'static str; 2],
    pub login: [&'static str; 2],
    pub lost: [&'static str; 2],
}

pub const KINDS: [Kind; 2] = [
    Kind {
        name: "simcom",
        families: &[
            ("sim7600", "SIM7600", 10_240),
            ("a76xx", "A76", 10_240),
            ("sim767xx", "SIM767", 4_096),
        ],
        address: "10.184.191.67",
        subscribed: "+CMQTTSUB: 0,0",
        published: "< +CMQTTPUB: 0,0",
        disconnected: "< +CMQTTDISC: 0,0",
        secret: "\"me\",\"***\"",
        upload: "> AT+CCERTDOWN=",
        unreachable: ["code 3 (socket connect failed)", "check host and port"],
        login: ["+CMQTTCONNECT refused: code ", ""],
        lost: ["the connection was lost: closed (code 1)", "code 11 (no connection)"],
    },
    Kind {
        name: "luat",
        families: &[
            ("air780e", "Air780E", 4_100),
            ("air724", "Air724UG", 2_384),
            ("air700eaq-v2019", "Air700EAQ", 5_120),
            ("v2015plus", "Air780EQ", 5_120),
        ],
        address: "10.126.200.230",
        subscribed: "< SUBACK",
        published: "> AT+MPUBEX=",
        disconnected: "> AT+MIPCLOSE",
        secret: "\"***\",\"***\"",
        upload: "> AT+FSWRITE=",
        unreachable: ["this modem does not tell why", "check host and port"],
        login: ["+MCONNECT refused: no code", "check user, password"],
        lost: [
            "the connection was lost: ",
            "CME 767 (operation failed); not possible in this state",
        ],
    },
];

impl Kind {
    pub fn on_pty(&self, options: &[&str]) -> Emulated {
        Emulated::at_link(self.name, &[&["emulate", self.name], options].concat())
    }

    pub fn on_tcp(&self, options: &[&str]) -> Emulated {
        let args = ["emulate", self.name, "--listen", "127.0.0.1:0"];
        Emulated::at_port(self.name, &[&args, options].concat())
    }

    /// Of the family that it is unless told otherwise.
    pub fn longest(&self) -> usize {
        self.families[0].2
    }
}

/// How a process ended and what it printed.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Ended {
    #[track_caller]
    pub fn ok(self) -> Vec<u8> {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// It failed with one line on standard error, which is returned.
    #[track_caller]
    pub fn failed(self) -> String {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        assert!(self.stderr.starts_with("hayes: "), "{self:?}");
        self.stderr
    }
}

/// A running `hayes`.
pub struct Hayes {
    child: Child,
    stderr: BufReader<ChildStderr>,
    seen: String,
}

impl Hayes {
    pub fn start<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hayes"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        Self { child, stderr, seen: String::new() }
    }

    /// Waits for a line on standard error that has this in it.
    #[track_caller]
    pub fn says(&mut self, what: &str) {
        loop {
            let before = self.seen.len();
            let count = self.stderr.read_line(&mut self.seen).expect("text");
            assert!(count > 0, "{what:?} was not said: {}", self.seen);
            if self.seen[before..].contains(what) {
                return;
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_child(&self.child);
        kill_process(id, signal).expect("it runs");
    }

    /// From now on nobody reads its standard output.
    pub fn stop_reading(&mut self) {
        drop(self.child.stdout.take());
    }

    /// Gives it this on standard input and waits for its end.
    pub fn feed(mut self, input: &[u8]) -> Ended {
        let mut stdin = self.child.stdin.take().expect("a pipe");
        stdin.write_all(input).expect("it reads");
        drop(stdin);
        self.end()
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        let stdout = self.child.stdout.take();
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut stdout) = stdout {
                stdout.read_to_end(&mut bytes).expect("a pipe");
            }
            bytes
        });
        let patience = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("a child") {
                Some(status) => break status,
                None if Instant::now() > patience => {
                    self.child.kill().expect("it runs");
                    panic!("it does not end: {}", self.seen);
                }
                None => thread::sleep(Duration::from_millis(2)),
            }
        };
        self.stderr.read_to_string(&mut self.seen).expect("text");
        let stdout = reader.join().expect("a reader");
        Ended { code: status.code(), stdout, stderr: std::mem::take(&mut self.seen) }
    }
}

impl Drop for Hayes {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Runs `hayes` to its end.
pub fn hayes<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Ended {
    Hayes::start(args).end()
}

/// A name in the directory for temporary files that no other test uses.
pub fn temporary(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("hayes-{}-{count}-{name}", std::process::id()))
}

/// A running `hayes emulate`.
pub struct Emulated {
    kind: &'static str,
    pub device: String,
    pub process: Hayes,
    _link: Option<Link>,
}

/// An emulator that is killed leaves its link behind.
struct Link(PathBuf);

impl Drop for Link {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Emulated {
    /// Starts it and waits until it says where it is.
    fn start(args: &[&str]) -> (Hayes, String) {
        let mut process = Hayes::start(args);
        let stdout = process.child.stdout.as_mut().expect("a pipe");
        let mut place = String::new();
        BufReader::new(stdout).read_line(&mut place).expect("text");
        assert!(place.contains(" on "), "{place:?}");
        (process, place)
    }

    /// On a pseudo-terminal.
    pub fn at_link(kind: &'static str, args: &[&str]) -> Self {
        let link = temporary("modem");
        let device = link.to_str().expect("text").to_owned();
        let (process, _) = Self::start(&[args, &["--pty", &device]].concat());
        Self { kind, device, process, _link: Some(Link(link)) }
    }

    /// On a TCP port.
    pub fn at_port(kind: &'static str, args: &[&str]) -> Self {
        let (process, place) = Self::start(args);
        let device = place.split_whitespace().last().expect("a place").to_owned();
        Self { kind, device, process, _link: None }
    }

    /// A command for this modem, which has its own broker.
    pub fn in_a_box<'a>(&'a self, verb: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
        [&[verb, "--modem", self.kind, "--device", &self.device], rest].concat()
    }

    /// A command for this modem and a broker.
    pub fn command<'a>(&'a self, verb: &'a str, port: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
        let mut args = vec![verb, "--modem", self.kind, "--device", &self.device];
        args.extend(["-h", "127.0.0.1", "-p", port]);
        args.extend(rest);
        args
    }
}

/// A port that nobody listens on.
pub fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port().to_string()
}

/// A broker, running.
pub struct RunningBroker {
    pub name: &'static str,
    pub port: String,
    mosquitto: Option<(Child, PathBuf)>,
}

impl Drop for RunningBroker {
    fn drop(&mut self) {
        if let Some((child, config)) = &mut self.mosquitto {
            let _ = child.kill();
            let _ = child.wait();
            let _ = std::fs::remove_file(config);
        }
    }
}

/// The embedded broker, and `mosquitto` if it is installed.
pub fn brokers() -> Vec<RunningBroker> {
    [Some(embedded()), mosquitto()].into_iter().flatten().collect()
}

pub fn embedded() -> RunningBroker {
    let port = Broker::start().expect("a broker").port.to_string();
    RunningBroker { name: "embedded", port, mosquitto: None }
}

fn mosquitto() -> Option<RunningBroker> {
    mosquitto_with("")
}

/// `mosquitto`, if it is installed, with more lines in its configuration.
pub fn mosquitto_with(lines: &str) -> Option<RunningBroker> {
    let program = installed("mosquitto")?;
    let port = closed_port();
    let config = temporary("mosquitto.conf");
    let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\n{lines}");
    std::fs::write(&config, text).expect("a file");
    let mut command = Command::new(program);
    command.arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().expect("mosquitto");
    let broker = RunningBroker { name: "mosquitto", port, mosquitto: Some((child, config)) };
    let patience = Instant::now() + PATIENCE;
    while TcpStream::connect(format!("127.0.0.1:{}", broker.port)).is_err() {
        assert!(Instant::now() < patience, "mosquitto does not come up");
        thread::sleep(Duration::from_millis(5));
    }
    Some(broker)
}

/// Where a program is, if it is installed.
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/local/sbin";
    let program = path.split(':').map(|dir| Path::new(dir).join(name));
    program.into_iter().find(|program| program.is_file())
}

/// Another client of the same broker, which knows nothing of modems.
pub struct Witness {
    client: Client,
    heard: mpsc::Receiver<Packet>,
}

impl Witness {
    pub fn new(broker: &RunningBroker) -> Self {
        let id = temporary("witness").file_name().map(|name| name.to_string_lossy().into_owned());
        let port = broker.port.parse().expect("a port");
        let mut options = MqttOptions::new(id.expect("a name"), "127.0.0.1", port);
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut connection) = Client::new(options, 100);
        let (tell, heard) = mpsc::channel();
        thread::spawn(move || {
            for event in connection.iter() {
                let told = match event {
                    Ok(Event::Incoming(packet)) => tell.send(packet).is_ok(),
                    Ok(Event::Outgoing(_)) => true,
                    Err(_) => false,
                };
                if !told {
                    return;
                }
            }
        });
        Self { client, heard }
    }

    pub fn subscribed(broker: &RunningBroker, filter: &str) -> Self {
        let witness = Self::new(broker);
        witness.client.subscribe(filter, QoS::ExactlyOnce).expect("a request");
        witness.wait(|packet| matches!(packet, Packet::SubAck(_)).then_some(()));
        witness
    }

    /// The next message.
    pub fn message(&self) -> Publish {
        self.wait(|packet| match packet {
            Packet::Publish(message) => Some(message),
            _ => None,
        })
    }

    /// Publishes with QoS 1 and waits until the broker has it.
    pub fn publish(&self, topic: &str, payload: &[u8], retain: bool) {
        self.client.publish(topic, QoS::AtLeastOnce, retain, payload).expect("a request");
        self.wait(|packet| matches!(packet, Packet::PubAck(_)).then_some(()));
    }

    fn wait<T>(&self, wanted: impl Fn(Packet) -> Option<T>) -> T {
        loop {
            let packet = self.heard.recv_timeout(PATIENCE).expect("the broker speaks");
            if let Some(found) = wanted(packet) {
                return found;
            }
        }
    }
}

/// Bytes of all kinds, different for each seed.
pub fn noise(count: usize, mut seed: u32) -> Vec<u8> {
    let byte = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    std::iter::repeat_with(byte).take(count).collect()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
