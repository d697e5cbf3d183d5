//! The way from the modem to the host: blocks of bytes that become due, in order, and the faults
//! that befall them. A block is never broken by another one; that is how an unsolicited line
//! never lands inside a line, an echo or a received message. Knows nothing of what it carries.

use std::collections::{BTreeMap, VecDeque};

use crate::Fault;
use crate::fault::{Fate, Injector};

#[derive(Debug)]
pub(crate) struct Output {
    queue: BTreeMap<(u64, u64), Vec<u8>>,
    blocks: u64,
    /// No answer may be due before an earlier answer.
    floor: u64,
    wire: VecDeque<u8>,
    injector: Injector,
    split: bool,
}

impl Output {
    pub fn new(faults: &[Fault], seed: u64) -> Self {
        Output {
            queue: BTreeMap::new(),
            blocks: 0,
            floor: 0,
            wire: VecDeque::new(),
            injector: Injector::new(faults, seed),
            split: faults.contains(&Fault::Split),
        }
    }

    /// Queues a part of an answer: due at this time, yet not before any earlier answer.
    /// Returns when that is.
    pub fn answer(&mut self, at: u64, block: Vec<u8>) -> u64 {
        self.floor = self.floor.max(at);
        self.put(self.floor, block);
        self.floor
    }

    /// Queues a block that nobody asked for: it may overtake answers that are not yet due.
    pub fn unasked(&mut self, at: u64, block: Vec<u8>) {
        self.put(at, block);
    }

    fn put(&mut self, at: u64, block: Vec<u8>) {
        self.queue.insert((at, self.blocks), block);
        self.blocks += 1;
    }

    /// When the next block is due.
    pub fn due(&self) -> Option<u64> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// Puts the next block on the wire. False if a fault restarts the modem in the middle of it.
    pub fn release(&mut self) -> bool {
        let Some((_, block)) = self.queue.pop_first() else {
            return true;
        };
        for byte in block {
            match self.injector.next(byte) {
                Fate::Bytes(bytes) => self.wire.extend(bytes),
                Fate::Reboot => return false,
            }
        }
        true
    }

    /// Forgets what is not on the wire yet, as a modem does that loses its power.
    pub fn forget(&mut self, now: u64) {
        self.queue.clear();
        self.floor = now;
    }

    pub fn is_waiting(&self) -> bool {
        !self.wire.is_empty()
    }

    /// What the host can read now.
    pub fn take(&mut self) -> Vec<u8> {
        let count = if self.split { self.wire.len().min(1) } else { self.wire.len() };
        self.wire.drain(..count).collect()
    }
}
