//! Transports of which a test knows everything.

#![allow(dead_code, reason = "each test uses its part")]

use std::{cell::RefCell, collections::VecDeque, future::pending, rc::Rc, time::Duration};

use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use hayes_emulator::serve::Direction;
use tokio::sync::mpsc::UnboundedReceiver;

/// Says what a list says, then nothing, and takes what is written. Its clones
/// are the halves of one transport.
#[derive(Clone, Default)]
pub struct Scripted(pub Rc<RefCell<Script>>);

pub struct Script {
    pub reads: VecDeque<Result<Vec<u8>, ErrorKind>>,
    pub ready: Result<(), ErrorKind>,
    /// How much a write takes.
    pub takes: Result<usize, ErrorKind>,
    pub flush: Result<(), ErrorKind>,
    pub written: Vec<u8>,
}

impl Default for Script {
    fn default() -> Self {
        let (ready, flush) = (Ok(()), Ok(()));
        Self { reads: VecDeque::new(), ready, takes: Ok(usize::MAX), flush, written: Vec::new() }
    }
}

impl Scripted {
    pub fn of(script: Script) -> Self {
        Self(Rc::new(RefCell::new(script)))
    }

    /// A transport that says this.
    pub fn says(reads: impl IntoIterator<Item = Result<Vec<u8>, ErrorKind>>) -> Self {
        Self::of(Script { reads: reads.into_iter().collect(), ..Script::default() })
    }

    pub fn written(&self) -> Vec<u8> {
        self.0.borrow().written.clone()
    }

    /// The next of the list, if there is any. What is longer than the buffer
    /// is a mistake of the test.
    fn next(&self, buffer: &mut [u8]) -> Option<Result<usize, ErrorKind>> {
        let bytes = self.0.borrow_mut().reads.pop_front()?;
        Some(bytes.map(|bytes| {
            buffer[..bytes.len()].copy_from_slice(&bytes);
            bytes.len()
        }))
    }

    fn take(&self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let mut script = self.0.borrow_mut();
        let count = script.takes?.min(bytes.len());
        script.written.extend_from_slice(&bytes[..count]);
        Ok(count)
    }
}

impl ErrorType for Scripted {
    type Error = ErrorKind;
}

impl Read for Scripted {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        match self.next(buffer) {
            Some(read) => read,
            None => pending().await,
        }
    }
}

impl Write for Scripted {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.take(bytes)
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        self.0.borrow().flush
    }
}

impl embedded_io::Read for Scripted {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        self.next(buffer).expect("something is ready")
    }
}

impl embedded_io::ReadReady for Scripted {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        let script = self.0.borrow();
        script.ready.map(|()| !script.reads.is_empty())
    }
}

impl embedded_io::Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.take(bytes)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        self.0.borrow().flush
    }
}

/// A writer that keeps what it takes until it is flushed, which takes 5 ms.
pub struct Buffered<W> {
    writer: W,
    kept: Vec<u8>,
}

impl<W> Buffered<W> {
    pub const fn new(writer: W) -> Self {
        Self { writer, kept: Vec::new() }
    }
}

impl<W: Write> ErrorType for Buffered<W> {
    type Error = W::Error;
}

impl<W: Write> Write for Buffered<W> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, W::Error> {
        self.kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), W::Error> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        while !self.kept.is_empty() {
            let count = self.writer.write(&self.kept).await?;
            self.kept.drain(..count);
        }
        self.writer.flush().await
    }
}

/// What the host has said to an emulated modem, as its observer saw it.
pub fn said_by_host(seen: &mut UnboundedReceiver<(Direction, Vec<u8>)>) -> String {
    let mut said = Vec::new();
    while let Ok((direction, bytes)) = seen.try_recv() {
        if direction == Direction::HostToModem {
            said.extend(bytes);
        }
    }
    String::from_utf8(said).unwrap()
}
