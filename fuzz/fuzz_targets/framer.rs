//! The framer gives the same frames for every split of its bytes, no line
//! longer than its buffer, and of counted data no byte more than announced.

#![cfg_attr(fuzzing, no_main)]

use hayes::at::framer::{Frame, Framer, Mark};

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

const ANYWHERE: Mark = Mark { byte: b',', lines: &[b""] };
const IN_SOME: Mark = Mark { byte: b'"', lines: &[b"+M:", b"head"] };

pub fn run(bytes: &[u8]) {
    for mark in [&Mark::NONE, &ANYWHERE, &IN_SOME] {
        let whole = frames(bytes, mark, usize::MAX);
        for size in [1, 3, 7] {
            assert_eq!(frames(bytes, mark, size), whole, "{mark:?} in reads of {size}");
        }
    }
}

/// What is seen in reads of `size`, as the engine reads: by `push` where one
/// byte is one more of the same.
fn frames(bytes: &[u8], mark: &'static Mark, size: usize) -> Vec<Seen> {
    let mut framer = Framer::<LONGEST>::new(mark, b'>');
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
        while let Some(frame) = framer.next(&mut input, || prompts) {
            if let Frame::Marked(line) | Frame::Clipped(line) = frame {
                assert!(mark.lines.iter().any(|begin| line.starts_with(begin)));
            }
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
            if let Some(count) = counted {
                if matches!(seen.last(), Some(Seen::Line(_))) {
                    framer.expect_data(count);
                } else {
                    framer.expect_inline(count);
                }
                expected += count as usize;
                // Keeps the data of two headers apart.
                seen.push(Seen::Data(Vec::new()));
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
fn count(line: &[u8], mark: &Mark) -> Option<u32> {
    let line = line.strip_suffix(&[mark.byte]).unwrap_or(line);
    line.last().filter(|byte| byte.is_ascii_digit()).map(|byte| u32::from(byte - b'0'))
}
