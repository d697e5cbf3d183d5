//! The lines that come unasked, and the results that come in words.
//!
//! Sources: M163, M167 = Cat.1 AT manual V1.6.3 and V1.6.7 (EC618, EC716,
//! EC718); FAQ = the vendor's MQTT page; log = the firmware change logs;
//! "seen" = in one of the dialogues under `tests/captures/luat`.

use hayes::{
    at::{
        dialect::{Ending, ResultRow, Urc, UrcRow},
        framer::Mark,
        line::{Failure, Final, Line, contains, unsigned},
    },
    mqtt::Loss,
};

const fn row(name: &'static str, read: for<'a> fn(&Line<'a>) -> Option<Urc<'a>>) -> UrcRow {
    UrcRow { name, distinct: false, read }
}

/// Told from an answer of the same name by its shape.
const fn distinct(name: &'static str, read: for<'a> fn(&Line<'a>) -> Option<Urc<'a>>) -> UrcRow {
    UrcRow { name, distinct: true, read }
}

/// The most frequent first. Names that nothing but a URC has are listed even
/// where they mean nothing, so that they are not taken for an answer.
pub(crate) const URCS: &[UrcRow] = &[
    // A received message that is not shown at once (M163, MQTTMSGSET).
    distinct("+MSUB", stored),
    // Between OK and PUBCOMP (seen).
    row("PUBREC", progress),
    // Loss: of the connection, of the bearer (M163; seen).
    row(CLOSED, closed),
    row("+CGEV", packet_event),
    row("+PDP", pdp),
    row("+PDP DEACT", network_lost),
    row("^MODE", mode),
    // Boot (seen).
    row("RDY", restarted),
    row(BOOT_ROM, restarted),
    row("+CPIN", other),
    row("+E_UTRAN Service", other),
    row("+NO Service", other),
    row("+GSM Service", other),
    row("+NITZ", other),
    row("NORMAL POWER DOWN", other),
    // Registration, where somebody switched its reports on.
    distinct("+CREG", registration),
    distinct("+CGREG", registration),
    distinct("+CEREG", registration),
    // Sockets, messages, calls, updates of the firmware (M163; seen).
    row("TCP ERROR", other),
    row("UDP ERROR", other),
    row("+CMTI", other),
    row("+CMT", other),
    row("RING", other),
    row("+QIND", other),
    row("+UPGRADEIND", other),
];

const CLOSED: &str = "CLOSED";
const BOOT_ROM: &str = "^boot.rom";

/// `^boot.rom'v'!\n`, where the letter may differ and `\n` are two printable
/// bytes (seen); `7,CLOSED` while `CIPMUX=1` numbers the connections, MQTT's
/// being 7 (M163).
pub(crate) fn urc_name(name: &[u8]) -> &[u8] {
    match name {
        [b'^', ..] if name.starts_with(BOOT_ROM.as_bytes()) => BOOT_ROM.as_bytes(),
        [b'7', b',', rest @ ..] if rest == CLOSED.as_bytes() => rest,
        _ => name,
    }
}

/// `+MSUB: 0` names the slot where a message waits. A header with a count that
/// cannot be read is a message that is lost.
fn stored<'a>(line: &Line<'a>) -> Option<Urc<'a>> {
    match line.text() {
        [slot @ b'0'..=b'3'] => Some(Urc::Waiting { slot: slot.wrapping_sub(b'0') }),
        text if contains(text, b"byte,") => Some(Urc::MessageEnd { session: 0 }),
        _ => None,
    }
}

fn closed<'a>(_: &Line<'a>) -> Option<Urc<'a>> {
    Some(Urc::Lost { session: 0, loss: Loss::Closed(None) })
}

/// A deactivation may be the only sign that the connection is dead (seen).
fn packet_event<'a>(line: &Line<'a>) -> Option<Urc<'a>> {
    let text = line.text();
    let lost = contains(text, b"PDN DEACT") || text.ends_with(b"DETACH");
    Some(if lost { Urc::NetworkLost { service: true } } else { Urc::Other })
}

/// `+PDP: DEACT` and `+PDP:DEACT` (M163; seen), and without a colon.
fn pdp<'a>(line: &Line<'a>) -> Option<Urc<'a>> {
    let lost = line.text() == b"DEACT";
    Some(if lost { Urc::NetworkLost { service: true } } else { Urc::Other })
}

fn network_lost<'a>(_: &Line<'a>) -> Option<Urc<'a>> {
    Some(Urc::NetworkLost { service: true })
}

/// `^MODE: 0,0` is no service; what becomes of the bearer is told separately
/// (seen).
fn mode<'a>(line: &Line<'a>) -> Option<Urc<'a>> {
    let lost = line.text() == b"0,0";
    Some(if lost { Urc::NetworkLost { service: false } } else { Urc::Other })
}

fn restarted<'a>(_: &Line<'a>) -> Option<Urc<'a>> {
    Some(Urc::Restarted)
}

/// `+CREG: 1,"2797",…` is a report; the answer to `+CREG?` has the mode
/// before: `+CREG: 2,1,…` (3GPP TS 27.007, 7.2).
fn registration<'a>(line: &Line<'a>) -> Option<Urc<'a>> {
    let second = line.fields().nth(1);
    second.is_none_or(|field| field.unsigned().is_none()).then_some(Urc::Other)
}

fn progress<'a>(_: &Line<'a>) -> Option<Urc<'a>> {
    Some(Urc::Progress)
}

fn other<'a>(_: &Line<'a>) -> Option<Urc<'a>> {
    Some(Urc::Other)
}

// ---- messages ----------------------------------------------------------------

/// The longest message: 5,120 bytes since V2015 (log), 4,100 before (M163). A
/// greater count was damaged on its way.
const LONGEST_MESSAGE: u32 = 5_120;

/// `+MSUB: "topic",20 byte,` up to the comma before the payload. From the
/// store it comes as `+MSUB: topic,9 byte,` (M163) and `+MSUB:topic,6 byte,`
/// too. A topic may have commas: the first count ends it.
pub(crate) fn inline(line: &[u8]) -> Option<Urc<'_>> {
    let head = line.strip_suffix(b"byte,")?.trim_ascii_end();
    let head = head.strip_prefix(MESSAGE)?.trim_ascii_start();
    let comma = head.iter().rposition(|b| *b == b',')?;
    let (topic, count) = head.split_at_checked(comma)?;
    let payload = unsigned(count.get(1..)?).filter(|count| *count <= LONGEST_MESSAGE)?;
    let topic = match topic.strip_prefix(b"\"") {
        Some(quoted) => quoted.strip_suffix(b"\"")?,
        None => topic,
    };
    (!topic.is_empty()).then_some(Urc::Message { session: 0, topic, payload })
}

pub(crate) const MARK: Mark = Mark { byte: b',', lines: &[MESSAGE] };

const MESSAGE: &[u8] = b"+MSUB:";

// ---- results -----------------------------------------------------------------

/// No command prints a result line under its own name.
pub(crate) const RESULTS: &[ResultRow] = &[];

/// The link exists already.
pub(crate) const ALREADY: i32 = 1;
/// The link could not be opened.
pub(crate) const FAILED: i32 = 2;

/// What comes instead of OK or ERROR: CIPSHUT, CIPSEND (seen), FSWRITE (M163).
pub(crate) fn final_result(line: &[u8]) -> Option<Final<'_>> {
    match line {
        b"SHUT OK" | b"SEND OK" => Some(Ok(())),
        b"TimeOut" | b"SEND FAIL" => Some(Err(Failure::Error)),
        [b'D', ..] if line.starts_with(b"DATA ACCEPT:") => Some(Ok(())),
        _ => None,
    }
}

const OPENING: &[&str] = &["+MIPSTART", "+SSLMIPSTART", "+CIPSTART"];
const PUBLISHING: &[&str] = &["+MPUB", "+MPUBEX"];
pub(crate) const REGISTRATION: &[&str] = &["+CREG", "+CGREG", "+CEREG"];

/// The results that come without a name (M163; seen): of which commands, the
/// word, and its code.
const WORDS: &[(&[&str], &str, i32)] = &[
    (PUBLISHING, "PUBACK", 0),
    (PUBLISHING, "PUBCOMP", 0),
    (&["+MSUB"], "SUBACK", 0),
    (&["+MUNSUB"], "UNSUBACK", 0),
    (OPENING, "CONNECT OK", 0),
    (OPENING, "ALREADY CONNECT", ALREADY),
    (OPENING, "CONNECT FAIL", FAILED),
    (&["+MCONNECT"], "CONNACK OK", 0),
    (&["+CPOWD"], "NORMAL POWER DOWN", 0),
];

pub(crate) fn is_one(name: &[u8], names: &[&str]) -> bool {
    names.iter().any(|one| one.as_bytes() == name)
}

/// The result of a command, which comes without its name.
pub(crate) fn result_word(command: &[u8], line: &[u8]) -> Option<i32> {
    let word = match line {
        [b'+', ..] => {
            let result = line.starts_with(b"+HTTPACTION:") && is_one(command, &["+HTTPACTION"]);
            return result.then_some(0);
        }
        // CIPMUX=1: `7,CONNECT OK` (M163).
        [b'0'..=b'9', b',', word @ ..] => word,
        _ => line,
    };
    let row = WORDS.iter().find(|row| row.1.as_bytes() == word && is_one(command, row.0))?;
    Some(row.2)
}

/// What a command answers besides lines under its own name.
pub(crate) fn is_information(command: &[u8], name: &[u8]) -> bool {
    // An answer to CEREG? came under the name of CGREG (seen).
    (is_one(name, REGISTRATION) && is_one(command, REGISTRATION))
        // `STATE: IP STATUS` before CONNECT FAIL, and after the OK of
        // CIPSTATUS (seen).
        || (is_one(name, &["STATE"])
            && (is_one(command, OPENING) || is_one(command, &["+CIPSTATUS"])))
        // With a blank before its colon (seen).
        || (is_one(name, &["+MQTTSTATU "]) && is_one(command, &["+MQTTSTATU"]))
        // Bare names, bare content (seen).
        || (!name.starts_with(b"+") && is_one(command, &["+FSLS", "+FSREAD"]))
}

/// What ends a recorded command, going by its line.
pub(crate) fn ending(line: &[u8]) -> Ending {
    let Some(line) = line.get(2..) else { return Ending::Final };
    let end = line.iter().position(|b| matches!(b, b'=' | b'?')).unwrap_or(line.len());
    let (name, args) = line.split_at_checked(end).unwrap_or((line, &[]));
    let is = |names: &[&str]| names.iter().any(|one| name.eq_ignore_ascii_case(one.as_bytes()));
    if is(&["+CIFSR", "+FSMEM", "+CIPSTATUS"]) {
        return Ending::Information;
    }
    let late = is(&["+MIPSTART", "+SSLMIPSTART", "+CIPSTART", "+MCONNECT", "+MSUB", "+MUNSUB"])
        || is(&["+HTTPACTION"])
        || (is(&["+MPUB", "+MPUBEX"]) && !matches!(qos(args), None | Some(b'0')));
    let set = args.starts_with(b"=") && !args.starts_with(b"=?");
    if late && set { Ending::Word } else { Ending::Final }
}

/// The digit after the topic, in `="topic",1,0,…`.
fn qos(args: &[u8]) -> Option<u8> {
    let args = args.get(1..)?;
    let end = match args.strip_prefix(b"\"") {
        Some(quoted) => quoted.windows(2).position(|end| end == b"\",")?.checked_add(2)?,
        None => args.iter().position(|b| *b == b',')?,
    };
    args.get(end.checked_add(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the manual, from logs, and made for the purpose: topic and length.
    #[test]
    fn the_head_of_a_message_is_read_in_every_spelling() {
        let rows: [(&str, Option<(&str, u32)>); 14] = [
            ("+MSUB: \"mqtt/pub\",20 byte,", Some(("mqtt/pub", 20))),
            ("+MSUB: \"t\",0 byte,", Some(("t", 0))),
            ("+MSUB:mqtt/sub_topic,6 byte,", Some(("mqtt/sub_topic", 6))),
            ("+MSUB: mqtt/topic,9 byte,", Some(("mqtt/topic", 9))),
            ("+MSUB: \"a,5 byte,", None),
            ("+MSUB: \"a,5 byte,b\",1 byte,", Some(("a,5 byte,b", 1))),
            ("+MSUB: \"t\",5byte,", Some(("t", 5))),
            ("+MSUB: \"t\",5120 byte,", Some(("t", 5120))),
            ("+MSUB: \"t\",5121 byte,", None),
            ("+MSUB: \"t\",4294967296 byte,", None),
            ("+MSUB: \"t\",-1 byte,", None),
            ("+MSUB: \"t\", byte,", None),
            ("+MSUB: \"\",1 byte,", None),
            ("+MSUB: \"t\",", None),
        ];
        for (line, expected) in rows {
            let read = match inline(line.as_bytes()) {
                Some(Urc::Message { topic, payload, .. }) => {
                    Some((std::str::from_utf8(topic).unwrap(), payload))
                }
                _ => None,
            };
            assert_eq!(read, expected, "{line}");
        }
    }

    #[test]
    fn a_result_is_a_whole_line_and_belongs_to_its_command() {
        assert_eq!(result_word(b"+MIPSTART", b"CONNECT OK"), Some(0));
        assert_eq!(result_word(b"+MIPSTART", b"7,CONNECT OK"), Some(0));
        assert_eq!(result_word(b"+SSLMIPSTART", b"ALREADY CONNECT"), Some(ALREADY));
        assert_eq!(result_word(b"+MIPSTART", b"CONNECT"), None);
        assert_eq!(result_word(b"+MIPSTART", b"CONNECT OK "), None);
        assert_eq!(result_word(b"+MCONNECT", b"CONNECT OK"), None);
        assert_eq!(result_word(b"+MPUB", b"PUBREC"), None);
        assert_eq!(result_word(b"+MSUB", b"PUBACK"), None);
        assert_eq!(result_word(b"+CPOWD", b"NORMAL POWER DOWN"), Some(0));
        assert_eq!(result_word(b"+HTTPACTION", b"+HTTPACTION: 0,200,5"), Some(0));
        assert_eq!(result_word(b"+HTTPACTION", b"+HTTPSTATUS: 1"), None);
    }

    /// M163: CIPSHUT, CIPSEND, FSWRITE.
    #[test]
    fn a_final_result_of_this_vendor_is_a_whole_line() {
        for (line, result) in [
            ("SHUT OK", Some(Ok(()))),
            ("SEND OK", Some(Ok(()))),
            ("DATA ACCEPT:7,20", Some(Ok(()))),
            ("SEND FAIL", Some(Err(Failure::Error))),
            ("TimeOut", Some(Err(Failure::Error))),
            ("TimeOut!", None),
            ("DATA", None),
        ] {
            assert_eq!(final_result(line.as_bytes()), result, "{line}");
        }
    }

    /// What each line means while `AT+CEREG?` is in flight: of M163 and of the
    /// dialogues.
    #[test]
    fn what_comes_unasked_is_told_from_an_answer() {
        use hayes::at::dialect::{Form, Open, Reading, read};
        let waiting = Urc::Waiting { slot: 3 };
        let lost = Urc::Lost { session: 0, loss: Loss::Closed(None) };
        for (line, meaning) in [
            ("+MSUB: 3", Some(waiting)),
            ("+MSUB: 4", Some(Urc::Other)),
            ("+MSUB: \"t\",99999 byte,x", Some(Urc::MessageEnd { session: 0 })),
            ("+MSUB: \"t\",(0-2)", Some(Urc::Other)),
            ("CLOSED", Some(lost)),
            ("7,CLOSED", Some(lost)),
            ("7,RDY", None),
            ("RDY", Some(Urc::Restarted)),
            ("RING", Some(Urc::Other)),
            ("TCP ERROR", Some(Urc::Other)),
            ("+CEREG: 1,\"2797\",\"0D7B2F0B\",7", Some(Urc::Other)),
            ("+CEREG: 3", Some(Urc::Other)),
            ("+CEREG: 2,1,\"2797\",\"0D7B2F0B\",7", None),
            ("+CGREG: 2,1", None),
            ("+CREG: 2,1", None),
            ("+CSQ: 20,0", Some(Urc::Other)),
        ] {
            let open = Open { name: b"+CEREG", form: Form::Query };
            let found = match read::<crate::Luat>(line.as_bytes(), Some(&open)) {
                Reading::Urc(urc) => Some(urc),
                Reading::Info(_) => None,
                other => panic!("{line} {other:?}"),
            };
            assert_eq!(found, meaning, "{line}");
        }
    }

    #[test]
    fn a_state_answers_what_opens_a_connection_or_asks_for_it() {
        for (command, name, answers) in [
            ("+MIPSTART", "STATE", true),
            ("+CIPSTATUS", "STATE", true),
            ("+CEREG", "STATE", false),
            ("+MIPSTART", "+CSQ", false),
        ] {
            assert_eq!(is_information(command.as_bytes(), name.as_bytes()), answers, "{command}");
        }
    }

    #[test]
    fn the_quality_of_service_tells_whether_a_publish_ends_late() {
        for (line, ending_of) in [
            ("AT+MPUB=\"t\",0,0,\"x,1,1\"", Ending::Final),
            ("AT+MPUB=\"a,1\",0,0,\"x\"", Ending::Final),
            ("AT+MPUB=\"t\",1,0,\"x\"", Ending::Word),
            ("at+mpubex=t,2,0,5", Ending::Word),
            ("AT+MPUB=?", Ending::Final),
            ("AT+MCONNECT=?", Ending::Final),
            ("AT+MCONNECT=1,60", Ending::Word),
            ("AT+CIFSR", Ending::Information),
            ("AT", Ending::Final),
        ] {
            assert_eq!(ending(line.as_bytes()), ending_of, "{line}");
        }
    }
}
