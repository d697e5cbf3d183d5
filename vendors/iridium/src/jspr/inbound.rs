//! Messages on their way in: two at a time, told apart by topic and id, their
//! parts put where they belong, their CRC checked.

use base64ct::{Base64, Encoding};
use hayes::{Instant, inbox::Inbox};

use super::{
    body::{Announced, Final, Part},
    coverage::Coverage,
    request::{Range, crc},
};

/// Bytes of the CRC that follows a payload.
const CRC: u32 = 2;
/// How many base64 characters are decoded at once; a multiple of four.
const PIECE: usize = 64;
/// A message of which nothing was heard for so long gives way to a new one, in
/// milliseconds: its end must have been lost.
const STALE_MS: u32 = 300_000;

#[derive(Debug)]
struct Incoming {
    topic: u16,
    id: u8,
    /// The upper bound that was announced, with the CRC.
    most: u32,
    covered: Coverage,
    /// A part did not add up.
    broken: bool,
    heard: Instant,
}

/// The messages that are being received; each has the slot of the inbox with
/// its index.
#[derive(Debug, Default)]
pub(super) struct Inbound([Option<Incoming>; 2]);

impl Inbound {
    pub const fn new() -> Self {
        Self([None, None])
    }

    fn find(&self, topic: u16, id: u8) -> Option<usize> {
        let same = |one: &Incoming| one.topic == topic && one.id == id;
        self.0.iter().position(|one| one.as_ref().is_some_and(same))
    }

    /// A message under the name `topic` is announced.
    pub fn begin<const N: usize>(
        &mut self,
        announced: Announced,
        topic: &[u8],
        inbox: &mut Inbox<N>,
        now: Instant,
    ) {
        let Announced { topic_id, message_id, message_length_max } = announced;
        let stale = |one: &Incoming| now >= one.heard.after_millis(STALE_MS);
        let free = self
            .find(topic_id, message_id)
            .or_else(|| self.0.iter().position(Option::is_none))
            .or_else(|| self.0.iter().position(|one| one.as_ref().is_some_and(stale)));
        let slot = free.and_then(|at| Some((u8::try_from(at).ok()?, self.0.get_mut(at)?)));
        let Some((slot, place)) = slot else {
            inbox.drop_message(topic, message_length_max.saturating_sub(CRC));
            return;
        };
        inbox.begin_slot(slot, topic, message_length_max);
        *place = Some(Incoming {
            topic: topic_id,
            id: message_id,
            most: message_length_max,
            covered: Coverage::new(),
            broken: false,
            heard: now,
        });
    }

    /// A part has come. One of a message that is not being received was
    /// announced as dropped with it.
    pub fn part<const N: usize>(&mut self, part: &Part<'_>, inbox: &mut Inbox<N>, now: Instant) {
        let Some(at) = self.find(part.topic_id, part.message_id) else { return };
        let (Ok(slot), Some(Some(one))) = (u8::try_from(at), self.0.get_mut(at)) else { return };
        one.heard = now;
        let start = part.segment_start;
        let end = start.checked_add(part.segment_length).filter(|end| *end <= one.most);
        let placed = end.and_then(|end| {
            (decode(part.data, start, end, |at, bytes| inbox.place(slot, at, bytes))? == end)
                .then(|| one.covered.add(Range { start, end }))
        });
        one.broken |= placed.is_none();
    }

    /// The modem says how a message ended.
    pub fn end<const N: usize>(&mut self, status: &Final<'_>, inbox: &mut Inbox<N>) {
        let Some(at) = self.find(status.topic_id, status.message_id) else { return };
        let (Ok(slot), Some(Some(one))) = (u8::try_from(at), self.0.get_mut(at).map(Option::take))
        else {
            return;
        };
        let length = one.covered.end();
        let whole = !one.broken && length > CRC && one.covered.is_whole(length);
        // What was not kept cannot be checked, and is announced as dropped.
        let intact = inbox.placed(slot).is_none_or(|message| crc(message) == [0, 0]);
        if status.status == "complete" && whole && intact {
            inbox.end_placed(slot, CRC);
        } else {
            inbox.cut(slot);
        }
    }

    /// Nothing that is being received will be completed.
    pub fn cut<const N: usize>(&mut self, inbox: &mut Inbox<N>) {
        *self = Self::new();
        inbox.cut(0);
        inbox.cut(1);
    }
}

/// Decodes `data` piece by piece, the first for `start`, none beyond `end`;
/// where the last ended, or `None` if it is not base64.
fn decode(data: &str, start: u32, end: u32, mut place: impl FnMut(u32, &[u8])) -> Option<u32> {
    let mut at = start;
    let mut padded = false;
    for piece in data.as_bytes().chunks(PIECE) {
        let mut room = [0; PIECE];
        let bytes = Base64::decode(piece, &mut room).ok().filter(|_| !padded)?;
        padded = piece.ends_with(b"=");
        let next = at.checked_add(u32::try_from(bytes.len()).ok()?).filter(|at| *at <= end)?;
        place(at, bytes);
        at = next;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use std::{string::String, vec::Vec};

    use hayes::mqtt::Event;

    use super::*;

    const NOW: Instant = Instant::from_millis(0);

    fn base64(bytes: &[u8]) -> String {
        let mut room = std::vec![0; 4 * bytes.len() + 4];
        Base64::encode(bytes, &mut room).unwrap().into()
    }

    fn announce(inbound: &mut Inbound, inbox: &mut Inbox<512>, id: u8, most: u32) {
        let announced = Announced { topic_id: 244, message_id: id, message_length_max: most };
        inbound.begin(announced, b"RAW", inbox, NOW);
    }

    fn part(inbound: &mut Inbound, inbox: &mut Inbox<512>, id: u8, start: u32, bytes: &[u8]) {
        let data = base64(bytes);
        let segment_length = bytes.len() as u32;
        let part = Part {
            topic_id: 244,
            message_id: id,
            segment_length,
            segment_start: start,
            data: &data,
        };
        inbound.part(&part, inbox, NOW);
    }

    fn end(inbound: &mut Inbound, inbox: &mut Inbox<512>, id: u8, status: &str) {
        inbound.end(&Final { topic_id: 244, message_id: id, status }, inbox);
    }

    fn events(inbox: &mut Inbox<512>) -> Vec<String> {
        let mut events = Vec::new();
        while let Some(event) = inbox.front() {
            events.push(match event {
                Event::Message(m) => String::from_utf8_lossy(m.payload).into_owned(),
                Event::Dropped(d) => {
                    std::format!("dropped {} of {}: {}", d.count, d.bytes, d.topic.is_some())
                }
                other => std::format!("{other:?}"),
            });
        }
        events
    }

    fn whole(payload: &[u8]) -> Vec<u8> {
        payload.iter().copied().chain(crc(payload)).collect()
    }

    #[test]
    fn parts_come_in_any_order_and_twice() {
        let (mut inbound, mut inbox) = (Inbound::new(), Inbox::new());
        let bytes = whole(b"123456789");
        announce(&mut inbound, &mut inbox, 1, 100);
        for (from, to) in [(4, 11), (0, 3), (4, 11), (2, 5)] {
            part(&mut inbound, &mut inbox, 1, from as u32, &bytes[from..to]);
        }
        end(&mut inbound, &mut inbox, 1, "complete");
        assert_eq!(events(&mut inbox), ["123456789"]);
    }

    #[test]
    fn what_does_not_add_up_is_announced_and_never_delivered() {
        let bytes = whole(b"123456789");
        type Parts<'a> = &'a [(u32, &'a [u8])];
        let cases: &[(&str, Parts<'_>)] = &[
            ("complete", &[(0, &bytes[..4]), (5, &bytes[5..])]),
            ("complete", &[(1, &bytes)]),
            ("complete", &[(0, &bytes[..9])]),
            ("complete", &[(0, &bytes), (95, b"beyond")]),
            ("complete", &[(0, &bytes), (u32::MAX, b"beyond")]),
            ("complete", &[]),
            ("complete", &[(0, b"\0\0")]),
            ("crc_error_in_transfer", &[(0, &bytes)]),
            ("message_timed_out", &[(0, &bytes)]),
        ];
        for (status, parts) in cases {
            let (mut inbound, mut inbox) = (Inbound::new(), Inbox::new());
            announce(&mut inbound, &mut inbox, 1, 100);
            for (start, bytes) in *parts {
                part(&mut inbound, &mut inbox, 1, *start, bytes);
            }
            end(&mut inbound, &mut inbox, 1, status);
            let events = events(&mut inbox);
            assert_eq!(events, ["dropped 1 of 100: true"], "{status} {parts:?}");
        }
    }

    #[test]
    fn data_that_are_not_what_they_say_break_their_message() {
        let good = base64(&whole(b"123456789"));
        for (length, data) in [
            (11, good.replace('M', "*")),
            (11, good.replace('=', "")),
            (11, std::format!("{good}====")),
            (10, good.clone()),
            (12, good.clone()),
            (11, String::new()),
            (60, std::format!("{}=={good}", "A".repeat(62))),
        ] {
            let (mut inbound, mut inbox) = (Inbound::new(), Inbox::new());
            announce(&mut inbound, &mut inbox, 1, 100);
            let (topic_id, message_id, segment_start) = (244, 1, 0);
            let part =
                Part { topic_id, message_id, segment_length: length, segment_start, data: &data };
            inbound.part(&part, &mut inbox, NOW);
            end(&mut inbound, &mut inbox, 1, "complete");
            assert_eq!(events(&mut inbox), ["dropped 1 of 100: true"], "{length} {data}");
        }
    }

    #[test]
    fn a_third_message_is_announced_as_dropped_unless_another_went_silent() {
        let (mut inbound, mut inbox) = (Inbound::new(), Inbox::new());
        for id in 1..=3 {
            announce(&mut inbound, &mut inbox, id, 11);
        }
        assert_eq!(events(&mut inbox), ["dropped 1 of 9: true"]);
        part(&mut inbound, &mut inbox, 3, 0, &whole(b"third one"));
        end(&mut inbound, &mut inbox, 3, "complete");
        assert_eq!(events(&mut inbox).len(), 0);
        let later = NOW.after_millis(STALE_MS);
        let announced = Announced { topic_id: 244, message_id: 4, message_length_max: 11 };
        inbound.begin(announced, b"RAW", &mut inbox, later);
        part(&mut inbound, &mut inbox, 4, 0, &whole(b"fourth :)"));
        end(&mut inbound, &mut inbox, 4, "complete");
        assert_eq!(events(&mut inbox), ["dropped 1 of 11: true", "fourth :)"]);
    }

    #[test]
    fn one_larger_than_the_inbox_is_announced_with_its_length() {
        let (mut inbound, mut inbox) = (Inbound::new(), Inbox::new());
        let bytes = whole(&[7; 2_000]);
        announce(&mut inbound, &mut inbox, 1, 100_002);
        for (at, piece) in bytes.chunks(500).enumerate() {
            part(&mut inbound, &mut inbox, 1, at as u32 * 500, piece);
        }
        end(&mut inbound, &mut inbox, 1, "complete");
        assert_eq!(events(&mut inbox), ["dropped 1 of 2000: true"]);
    }
}
