//! Linux without a runtime: a modem on a TTY or behind a TCP port, one thread
//! that works and one that reads. It publishes a counter every minute and
//! prints what it receives.
//!
//! `stty -F /dev/ttyUSB2 115200 raw -echo`
//! `cargo run --example blocking /dev/ttyUSB2 broker.example`
//!
//! Without a modem: `hayes emulate simcom --listen 127.0.0.1:7000 --broker …`,
//! and `tcp:127.0.0.1:7000` for the device.

use std::{
    env, error,
    fs::File,
    io::{self, Read, Write},
    net::TcpStream,
    sync::mpsc::{Receiver, TryRecvError, sync_channel},
    thread,
    time::{self, Duration},
};

use embedded_io::{ErrorType, ReadReady};
use hayes::{
    Instant,
    blocking::{Client, Clock},
    mqtt::{ConnectOptions, Event, Network, Publish, QoS},
};

fn main() -> Result<(), Box<dyn error::Error>> {
    let mut args = env::args().skip(1);
    let (Some(device), Some(broker)) = (args.next(), args.next()) else {
        return Err("usage: blocking DEVICE|tcp:HOST:PORT BROKER".into());
    };
    let port = match device.strip_prefix("tcp:") {
        Some(address) => {
            let stream = TcpStream::connect(address)?;
            Port::new(stream.try_clone()?, Box::new(stream))
        }
        None => {
            let tty = File::options().read(true).write(true).open(device)?;
            Port::new(tty.try_clone()?, Box::new(tty))
        }
    };
    // 512 bytes for a line, 16 kB for messages that wait.
    let machine = hayes_simcom::machine::<512, 16_384>(Default::default());
    let mut modem = Client::new(port, Timer(time::Instant::now()), machine);
    modem.bring_up(&Network::new())?;
    modem.connect(&ConnectOptions::new(&broker, 1883, "gateway-1")?.keep_alive(120))?;
    modem.subscribe("gateway-1/#", QoS::AtLeastOnce)?;
    let mut due = time::Instant::now();
    for count in 1_u32.. {
        let payload = count.to_string();
        let message = Publish::new("gateway-1/count", payload.as_bytes())?;
        modem.publish(&message.qos(QoS::AtLeastOnce))?;
        due += Duration::from_secs(60);
        while time::Instant::now() < due {
            match modem.poll_event()? {
                Some(Event::Message(message)) => println!("{message:?}"),
                Some(Event::Lost { loss, .. }) => return Err(loss.to_string().into()),
                Some(other) => eprintln!("{other:?}"),
                None => thread::park_timeout(IDLE),
            }
        }
    }
    Ok(())
}

/// How long the worker is parked at most; the reader wakes it.
const IDLE: Duration = Duration::from_millis(10);

/// Anything that can be read by a thread of its own and written by this one.
struct Port {
    chunks: Receiver<io::Result<Vec<u8>>>,
    /// What was received and not read yet.
    rest: Vec<u8>,
    writer: Box<dyn Write>,
}

impl Port {
    fn new(mut reader: impl Read + Send + 'static, writer: Box<dyn Write>) -> Self {
        let (sender, chunks) = sync_channel(16);
        let worker = thread::current();
        thread::spawn(move || {
            let mut buffer = [0; 1024];
            loop {
                let chunk = reader.read(&mut buffer).map(|count| buffer[..count].to_vec());
                let last = !matches!(&chunk, Ok(bytes) if !bytes.is_empty());
                if sender.send(chunk).is_err() || last {
                    return;
                }
                worker.unpark();
            }
        });
        Self { chunks, rest: Vec::new(), writer }
    }
}

impl ErrorType for Port {
    type Error = io::Error;
}

impl ReadReady for Port {
    fn read_ready(&mut self) -> io::Result<bool> {
        if self.rest.is_empty() {
            self.rest = match self.chunks.try_recv() {
                Ok(chunk) => chunk?,
                Err(TryRecvError::Empty) => return Ok(false),
                Err(TryRecvError::Disconnected) => return Err(io::ErrorKind::BrokenPipe.into()),
            };
        }
        Ok(!self.rest.is_empty())
    }
}

impl embedded_io::Read for Port {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.read_ready()? {
            thread::park_timeout(IDLE);
        }
        let count = buffer.len().min(self.rest.len());
        for (place, byte) in buffer.iter_mut().zip(self.rest.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }
}

impl embedded_io::Write for Port {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

struct Timer(time::Instant);

impl Clock for Timer {
    fn now(&self) -> Instant {
        Instant::from_millis(self.0.elapsed().as_millis() as u64)
    }

    fn idle(&self) {
        thread::park_timeout(IDLE);
    }
}
