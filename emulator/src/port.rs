//! What every modem of this crate has in common: one AT port in virtual time. It holds the bytes
//! on their way in and out, the timers, the echo and the faults, and tells its modem in which
//! order things happen. Knows bytes, lines and times, and no command.

use std::collections::{BTreeMap, VecDeque};

use crate::Fault;
use crate::fault::Dice;
use crate::wire::Output;

/// What happens next.
pub(crate) enum Step<T> {
    /// A fault restarts the modem in the middle of what it prints.
    Restart,
    /// This timer is due.
    Due(T),
    /// There is input to be taken.
    Input,
    /// Nothing more by this time.
    Rest,
}

/// An AT port. `T` is what the modem has timers for.
pub(crate) struct Port<T> {
    pub now: u64,
    pub out: Output,
    /// Bytes that come in are lost: the modem boots, or is off.
    pub deaf: bool,
    /// The command in flight ends at this time; input waits until then.
    pub busy_until: u64,
    /// The command in flight waits for something without a time; input waits as well.
    pub blocked: bool,
    /// The last byte was the CR of a command: a LF now would belong to it.
    pub after_cr: bool,
    faults: Vec<Fault>,
    storm: Dice,
    timers: BTreeMap<(u64, u64), T>,
    timers_set: u64,
    input: VecDeque<u8>,
    line: Vec<u8>,
    received: u64,
    commands: u64,
    operations: u64,
}

impl<T> Port<T> {
    pub fn new(faults: &[Fault], seed: u64) -> Self {
        Port {
            now: 0,
            out: Output::new(faults, seed),
            deaf: false,
            busy_until: 0,
            blocked: false,
            after_cr: false,
            faults: faults.to_vec(),
            storm: Dice::new(seed),
            timers: BTreeMap::new(),
            timers_set: 0,
            input: VecDeque::new(),
            line: Vec::new(),
            received: 0,
            commands: 0,
            operations: 0,
        }
    }

    /// Everything that a restart wipes out.
    pub fn reset(&mut self) {
        self.timers.clear();
        self.out.forget(self.now);
        self.input.clear();
        self.line.clear();
        self.after_cr = false;
        self.busy_until = self.now;
        self.blocked = false;
        self.commands = 0;
        self.deaf = true;
    }

    // ---- time ---------------------------------------------------------------------------------

    /// The next thing that happens up to this time, in order. The clock goes along.
    pub fn step(&mut self, now: u64) -> Step<T> {
        let now = now.max(self.now);
        loop {
            let timer = self.timers.keys().next().map(|(at, _)| *at).filter(|at| *at <= now);
            let block = self.out.due().filter(|at| *at <= now);
            match (block, timer) {
                (Some(block), timer) if timer.is_none_or(|timer| block <= timer) => {
                    self.now = self.now.max(block);
                    if !self.out.release() {
                        return Step::Restart;
                    }
                }
                (_, Some(at)) => {
                    self.now = self.now.max(at);
                    if let Some((_, timer)) = self.timers.pop_first() {
                        return Step::Due(timer);
                    }
                }
                _ if self.is_readable(now) => {
                    self.now = self.now.max(self.busy_until);
                    return Step::Input;
                }
                _ => {
                    self.now = now;
                    return Step::Rest;
                }
            }
        }
    }

    fn is_readable(&mut self, now: u64) -> bool {
        if self.deaf {
            self.input.clear();
        }
        !self.blocked && self.busy_until <= now && !self.input.is_empty()
    }

    pub fn deadline(&self) -> Option<u64> {
        let reading = !self.input.is_empty() && !self.blocked;
        [
            self.out.is_waiting().then_some(self.now),
            self.out.due(),
            self.timers.keys().next().map(|(at, _)| *at),
            reading.then_some(self.busy_until),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub fn set_timer(&mut self, at: u64, timer: T) {
        self.timers.insert((at, self.timers_set), timer);
        self.timers_set += 1;
    }

    /// Takes the timers back for which this is true.
    pub fn drop_timers(&mut self, which: impl Fn(&T) -> bool) {
        self.timers.retain(|_, timer| !which(timer));
    }

    // ---- input --------------------------------------------------------------------------------

    pub fn receive(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.received += 1;
            if !self.faults.contains(&Fault::RxDrop(self.received)) {
                self.input.push_back(*byte);
            }
        }
    }

    /// A whole command line without its CR, if there is one. Of a line that is longer than
    /// `limit` only so much is kept that it is known to be too long.
    pub fn take_line(&mut self, limit: usize) -> Option<Vec<u8>> {
        while let Some(byte) = self.input.pop_front() {
            self.after_cr &= byte == b'\n';
            match byte {
                b'\r' if self.line.is_empty() => {}
                b'\r' => {
                    self.after_cr = true;
                    return Some(std::mem::take(&mut self.line));
                }
                b'\n' if self.line.is_empty() => {}
                _ if self.line.len() > limit => {}
                _ => self.line.push(byte),
            }
        }
        None
    }

    /// Whatever comes before a CR, nothing included, if there is a CR. Of a line that is longer
    /// than `limit` only so much is kept that it is known to be too long.
    pub fn take_to_cr(&mut self, limit: usize) -> Option<Vec<u8>> {
        while let Some(byte) = self.input.pop_front() {
            match byte {
                b'\r' => return Some(std::mem::take(&mut self.line)),
                _ if self.line.len() > limit => {}
                _ => self.line.push(byte),
            }
        }
        None
    }

    /// At most so many bytes of data, without the LF that belongs to the command line.
    pub fn take_data(&mut self, most: usize) -> Vec<u8> {
        if std::mem::take(&mut self.after_cr) && self.input.front() == Some(&b'\n') {
            self.input.pop_front();
        }
        let count = self.input.len().min(most);
        self.input.drain(..count).collect()
    }

    // ---- faults -------------------------------------------------------------------------------

    /// Counts a command; true if the modem does not answer any more.
    pub fn falls_silent(&mut self) -> bool {
        self.commands += 1;
        let limit = |fault: &Fault| matches!(fault, Fault::Silent(n) if self.commands > *n);
        self.faults.iter().any(limit)
    }

    /// The number of the command in flight, counted from 1.
    pub fn command_number(&self) -> u64 {
        self.commands
    }

    /// Counts an operation with the broker; true if the connection is to be lost after it.
    pub fn loses_connection(&mut self) -> bool {
        self.operations += 1;
        self.faults.contains(&Fault::Lost(self.operations))
    }

    // ---- output -------------------------------------------------------------------------------

    /// The final result of a command, after a storm of these lines if there is to be one. Input
    /// waits until it is out.
    pub fn ends(&mut self, at: u64, result: &str, storm: &[&str]) {
        self.ends_with(at, framed(result), storm, framed);
    }

    /// The same in another framing.
    pub fn ends_with(
        &mut self,
        at: u64,
        result: Vec<u8>,
        storm: &[&str],
        frame: fn(&str) -> Vec<u8>,
    ) {
        let storms: u64 =
            self.faults.iter().map(|f| if let Fault::Storm(n) = f { *n } else { 0 }).sum();
        for _ in 0..storms {
            let line = storm[self.storm.roll(storm.len() as u64) as usize];
            self.out.answer(at, frame(line));
        }
        self.busy_until = self.out.answer(at, result);
    }
}

/// A line between its line ends.
pub(crate) fn framed(line: &str) -> Vec<u8> {
    format!("\r\n{line}\r\n").into_bytes()
}
