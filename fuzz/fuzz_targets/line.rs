//! Whatever a line holds, its name and fields are parts of it in their order,
//! a number is what stands there, and only a whole line is a final result.

#![cfg_attr(fuzzing, no_main)]

use hayes::at::line::{Failure, Fields, Line, Value, final_result};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run(bytes));

pub fn run(bytes: &[u8]) {
    for raw in bytes.split(|byte| *byte == b'\n') {
        read(raw.strip_suffix(b"\r").unwrap_or(raw));
    }
}

fn read(raw: &[u8]) {
    let line = Line::parse(raw);
    let rest = &raw[line.name.len()..];
    assert!(raw.starts_with(line.name) && !line.name.contains(&b':'));
    assert!(rest.is_empty() != raw.contains(&b':') && rest.first().is_none_or(|b| *b == b':'));
    assert_eq!(line.text(), rest.get(1..).unwrap_or_default().trim_ascii());

    let mut from = raw.as_ptr() as usize + line.name.len();
    let mut count = 0;
    let mut fields = line.fields();
    loop {
        numbers(&fields);
        let Some(value) = fields.next() else { break };
        // Each begins behind the colon or the comma before it.
        let at = value.bytes().as_ptr() as usize;
        assert!(at > from && at + value.bytes().len() <= raw.as_ptr() as usize + raw.len());
        from = at + value.bytes().len();
        count += 1;
        if let Value::Bare(text) = value {
            assert!(!text.contains(&b',') && text == text.trim_ascii(), "{raw:?}");
        }
    }
    assert!(count <= 1 + raw.iter().filter(|byte| **byte == b',').count());

    let result = final_result(raw);
    assert_eq!(result == Some(Ok(())), raw == b"OK");
    assert_eq!(result == Some(Err(Failure::Error)), raw == b"ERROR");
    if let Some(Err(Failure::Cme(number) | Failure::Cms(number))) = result {
        assert_eq!(
            i64::from(number),
            std::str::from_utf8(line.text()).unwrap().parse::<i64>().unwrap()
        );
    }
}

/// The short way to a number agrees with the long one, and with the standard
/// library's.
fn numbers(fields: &Fields<'_>) {
    let (mut short, mut long) = (*fields, *fields);
    let value = long.next();
    let number = value.and_then(Value::unsigned);
    assert_eq!(short.unsigned(), number);
    assert_eq!(short, long);
    if let Some(Value::Bare(text)) = value {
        let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        let text = std::str::from_utf8(text).ok();
        assert_eq!(number, text.filter(|_| digits).and_then(|text| text.parse().ok()));
    }
}
