//! `hayes demo`.

use crate::support::{Hayes, hayes};

#[test]
fn the_demo_shows_the_dialogue_and_sums_up() {
    let text = String::from_utf8(hayes(["demo"]).ok()).expect("text");
    let last = text.lines().last().expect("a line");
    assert!(last.starts_with("demo ok: 3 published, 3 received"), "{text}");
    for row in [
        "  > AT+CMQTTSTART",
        "  < >",
        "  > AT+CMQTTPUB=0,2,60",
        "  < +CMQTTRXEND: 0",
        "  = disconnected",
    ] {
        assert!(text.lines().any(|line| line.ends_with(row)), "{row}: {text}");
    }
    let rows = text.lines().filter(|line| *line != last);
    for row in rows {
        let (millis, mark) = row.split_at(8);
        assert!(millis.trim_start().parse::<u32>().is_ok(), "{row}");
        assert!(["  > ", "  < ", "  = "].contains(&&mark[..4]), "{row}");
    }
}

#[test]
fn nobody_has_to_read_it_to_the_end() {
    let mut demo = Hayes::start(["demo"]);
    demo.stop_reading();
    let ended = demo.end();
    assert!(ended.stderr.is_empty() && ended.code == Some(0), "{ended:?}");
}
