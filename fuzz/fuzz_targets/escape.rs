//! An escaped payload cannot end its field, and comes back unchanged however
//! the transport takes it.

#![cfg_attr(fuzzing, no_main)]

use hayes::{
    Operation,
    at::{
        command::{Scope, Writer},
        escape::{escaped_len, unescape},
    },
    mqtt::Publish,
};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run(bytes));

/// The first byte tells how much the transport takes at once.
pub fn run(bytes: &[u8]) {
    let Some((size, payload)) = bytes.split_first() else { return };
    let publish = Publish::new("t", payload).unwrap();
    let operation = Operation::Publish(&publish);
    let scope = Scope { operation: &operation, item: 0, session: 0, own: [0; 4], piece: 0 };
    let template = hayes::line!("AT+MPUB=\"{topic}\",0,0,\"{payload.escaped}\"");
    let mut writer = Writer::new();
    let mut wire = Vec::new();
    while let Some(piece) = writer.piece(template, &scope) {
        let taken = piece.len().min(1 + usize::from(*size % 16));
        wire.extend_from_slice(&piece[..taken]);
        writer.advance(taken);
    }
    let field = wire.strip_prefix(b"AT+MPUB=\"t\",0,0,\"").unwrap().strip_suffix(b"\"").unwrap();
    assert!(!field.iter().any(|byte| b"\"\r\n".contains(byte)));
    assert_eq!(field.len(), escaped_len(payload));
    assert_eq!(decoded(field), payload);
    assert!(unescape(field).eq(payload.iter().copied()));
    // Text that nobody escaped is read without a panic, and does not grow.
    assert!(unescape(payload).count() <= payload.len());
}

/// A backslash and two hexadecimal digits, by the manual and apart from the
/// driver.
fn decoded(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut parts = field.split(|byte| *byte == b'\\');
    out.extend_from_slice(parts.next().unwrap_or_default());
    for part in parts {
        let (digits, plain) = part.split_at(2);
        out.push(u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap());
        out.extend_from_slice(plain);
    }
    out
}
