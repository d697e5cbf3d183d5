//! The framer gives the same frames for every split of its bytes, no line
//! longer than its buffer, and of counted data no byte more than announced.

#![cfg_attr(fuzzing, no_main)]

use hayes::at::framer::{Frame, Framer};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run(bytes));

/// The line buffer: small, so that lines outgrow it.
const LONGEST: usize = 32;

#[derive(Debug, PartialEq)]
enum Seen {
    Line(Vec<u8>),
    Marked(Vec<u8>),
    Clipped(Vec<u8>),
    Prompt,
    Data(Vec<u8>),
    Overflow(u32),
}

pub fn run(bytes: &[u8]) {
    for mark in [None, Some(b','), Some(b'"')] {
        let whole = frames(bytes, mark, usize::MAX);
        for size in [1, 3, 7] {
            assert_eq!(frames(bytes, mark, size), whole, "{mark:?} in reads of {size}");
        }
    }
}

/// What is seen in reads of `size`, as the engine reads: by `push` where one
/// byte is one more of the same.
fn frames(bytes: &[u8], mark: Option<u8>, size: usize) -> Vec<Seen> {
    let mut framer = Framer::<LONGEST>::new(mark);
    let mut seen = Vec::new();
    let mut prompts = false;
    let mut expected = 0;
    for read in bytes.chunks(size) {
        match read {
            [byte] if framer.push(*byte) => continue,
            data if framer.push_data(data.len()) => {
                more_data(&mut seen, data);
                continue;
            }
            _ => {}
        }
        let mut input = read;
        loop {
            framer.arm_prompt(prompts.then_some(b'>'));
            let Some(frame) = framer.next(&mut input) else { break };
            let counted = match frame {
                Frame::Line(line) | Frame::Marked(line) | Frame::Clipped(line) => count(line, mark),
                _ => None,
            };
            match frame {
                Frame::Line(line) => {
                    assert!(!line.is_empty() && line.len() <= LONGEST);
                    assert!(!line.contains(&b'\r') && !line.contains(&b'\n'));
                    prompts = line.ends_with(b"?");
                    seen.push(Seen::Line(line.to_vec()));
                }
                Frame::Marked(line) => seen.push(Seen::Marked(line.to_vec())),
                Frame::Clipped(line) => seen.push(Seen::Clipped(line.to_vec())),
                Frame::Prompt => {
                    assert!(std::mem::take(&mut prompts));
                    seen.push(Seen::Prompt);
                }
                Frame::Data(data) => more_data(&mut seen, data),
                Frame::Overflow(length) => {
                    assert!(length as usize > LONGEST);
                    seen.push(Seen::Overflow(length));
                }
            }
            let ends = matches!(seen.last(), Some(Seen::Line(_)));
            match (counted, seen.last()) {
                (Some(count), _) => {
                    if ends {
                        framer.expect_data(count)
                    } else {
                        framer.expect_inline(count)
                    }
                    expected += count as usize;
                    // Keeps the data of two headers apart.
                    seen.push(Seen::Data(Vec::new()));
                }
                (None, Some(Seen::Marked(line) | Seen::Clipped(line))) if line[0] == b'x' => {
                    framer.ignore_marks();
                }
                _ => {}
            }
            assert!(framer.partial_line().len() <= LONGEST);
        }
    }
    let data = |seen: &Seen| if let Seen::Data(data) = seen { data.len() } else { 0 };
    let came = seen.iter().map(data).sum::<usize>();
    assert_eq!(came + framer.data_left() as usize, expected);
    seen
}

fn more_data(seen: &mut [Seen], more: &[u8]) {
    match seen.last_mut() {
        Some(Seen::Data(data)) => data.extend_from_slice(more),
        other => panic!("data behind {other:?}"),
    }
}

/// `…5` and `…5,` announce five bytes.
fn count(line: &[u8], mark: Option<u8>) -> Option<u32> {
    let line = mark.and_then(|mark| line.strip_suffix(&[mark])).unwrap_or(line);
    line.last().filter(|byte| byte.is_ascii_digit()).map(|byte| u32::from(byte - b'0'))
}
