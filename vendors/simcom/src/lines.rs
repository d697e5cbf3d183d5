//! The lines that come unasked and the commands that answer twice.
//!
//! Sources: M18 = SIM7500_SIM7600_SIM7800 MQTT AT Command Manual V1.00; A300 =
//! SIM7500/7600 AT Command Manual V3.00, ch. 16; A109 = A76XX AT Command
//! Manual V1.09, ch. 18; A767 = SIM767XX V1.06, ch. 16; EX100 = A76XX MQTT_EX
//! V1.00; "seen" = in one of the dialogues under `tests/captures`.

use hayes::{
    at::{
        dialect::{Encoding, ResultRow, Uncounted, Urc, UrcRow},
        framer::Mark,
        line::{Line, Value, contains, unsigned},
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
    // A received message (A300 16.2.19, A109 18.2.18).
    row("+CMQTTRXSTART", message_start),
    row("+CMQTTRXTOPIC", topic_part),
    row("+CMQTTRXPAYLOAD", payload_part),
    row("+CMQTTRXEND", message_end),
    // Loss (A300 16.3, A109 18.3; +CMQTTPING in A300 only).
    row("+CMQTTCONNLOST", connection_lost),
    row("+CMQTTPING", keep_alive_lost),
    row("+CMQTTNONET", service_lost),
    row("+CIPEVENT", network_lost),
    row("+CGEV", packet_event),
    // Boot: SIM7500/7600, SIM7000/7080; A76xx. Seen.
    row("RDY", restarted),
    row("*ATREADY", restarted),
    row("+CPIN", other),
    row("SMS DONE", other),
    row("PB DONE", other),
    row("SMS Ready", other),
    row("+CFUN", other),
    // Registration, where somebody switched its reports on.
    distinct("+CREG", registration),
    distinct("+CGREG", registration),
    distinct("+CEREG", registration),
    // Seen in between: SIM toolkit, network time, supply, bearer of SIM7000.
    row("+MSTK", other),
    row("*PSUTTZ", other),
    row("DST", other),
    row("+CNTP", other),
    row("+CTZV", other),
    row("+CMTI", other),
    row("RING", other),
    row("OVER-VOLTAGE WARNNING", other),
    row("UNDER-VOLTAGE WARNNING", other),
    row("NORMAL POWER DOWN", other),
    row("+APP PDP", app_pdp),
    // The SM and CMQ dialects of SIM7000/7080 and SIM7020, which share boards
    // and logs with these modems.
    row("+SMSTATE", sm_state),
    distinct("+SMSUB", quoted_first),
    row("+CMQDISCON", cmq_lost),
    distinct("+CMQPUB", quoted_second),
    row("+PDP", pdp),
    row("DOWNLOAD", prompt),
];

fn message_start<'a>(line: &Line<'a>) -> Option<Urc<'a>> {
    let mut fields = line.fields();
    let session = fields.index()?;
    Some(Urc::MessageStart { session, topic: fields.unsigned()?, payload: fields.unsigned()? })
}

fn topic_part<'a>(line: &Line<'a>) -> Option<Urc<'a>> {
    let mut fields = line.fields();
    Some(Urc::TopicPart { session: fields.index()?, len: fields.unsigned()? })
}

fn payload_part<'a>(line: &Line<'a>) -> Option<Urc<'a>> {
    let mut fields = line.fields();
    Some(Urc::PayloadPart { session: fields.index()?, len: fields.unsigned()? })
}

fn message_end<'a>(line: &Line<'a>) -> Option<Urc<'a>> {
    Some(Urc::MessageEnd { session: line.fields().index()? })
}

fn connection_lost<'a>(line: &Line<'a>) -> Option<Urc<'a>> {
    let mut fields = line.fields();
    let session = fields.index()?;
    // 1 closed by the peer, 2 reset, 3 network closed (A300 16.3).
    Some(Urc::Lost { session, loss: Loss::Closed(fields.signed()) })
}

fn keep_alive_lost<'a>(line: &Line<'a>) -> Option<Urc<'a>> {
    let mut fields = line.fields();
    let session = fields.index()?;
    Some(Urc::Lost { session, loss: Loss::KeepAlive(fields.signed()) })
}

fn service_lost<'a>(_: &Line<'a>) -> Option<Urc<'a>> {
    Some(Urc::NetworkLost { service: true })
}

fn network_lost<'a>(_: &Line<'a>) -> Option<Urc<'a>> {
    Some(Urc::NetworkLost { service: false })
}

/// 3GPP TS 27.007, 10.1.19: only a deactivation or a detachment is a loss.
fn packet_event<'a>(line: &Line<'a>) -> Option<Urc<'a>> {
    let text = line.text();
    let lost = contains(text, b"PDN DEACT") || text.ends_with(b"DETACH");
    Some(if lost { Urc::NetworkLost { service: false } } else { Urc::Other })
}

fn app_pdp<'a>(line: &Line<'a>) -> Option<Urc<'a>> {
    let lost = line.text().ends_with(b"DEACTIVE");
    Some(if lost { Urc::NetworkLost { service: false } } else { Urc::Other })
}

fn restarted<'a>(_: &Line<'a>) -> Option<Urc<'a>> {
    Some(Urc::Restarted)
}

/// `+CREG: 2` or `+CREG: 5,"9E9A",…` is a report; the answer to `+CREG?` has
/// the mode before: `+CREG: 2,5,…` (3GPP TS 27.007, 7.2).
fn registration<'a>(line: &Line<'a>) -> Option<Urc<'a>> {
    let second = line.fields().nth(1);
    second.is_none_or(|field| field.unsigned().is_none()).then_some(Urc::Other)
}

fn sm_state<'a>(line: &Line<'a>) -> Option<Urc<'a>> {
    let offline = line.fields().unsigned()? == 0;
    let lost = Urc::Lost { session: 0, loss: Loss::Closed(None) };
    Some(if offline { lost } else { Urc::Other })
}

/// Tells a message from the ranges that answer `AT+SMSUB=?`.
fn quoted_first<'a>(line: &Line<'a>) -> Option<Urc<'a>> {
    line.text().starts_with(b"\"").then_some(Urc::Other)
}

/// The same for `AT+CMQPUB=?`.
fn quoted_second<'a>(line: &Line<'a>) -> Option<Urc<'a>> {
    matches!(line.fields().nth(1)?, Value::Quoted(_)).then_some(Urc::Other)
}

/// `+PDP: DEACT`, of the SIM800 and its descendants.
fn pdp<'a>(line: &Line<'a>) -> Option<Urc<'a>> {
    let lost = line.text().ends_with(b"DEACT");
    Some(if lost { Urc::NetworkLost { service: false } } else { Urc::Other })
}

fn cmq_lost<'a>(line: &Line<'a>) -> Option<Urc<'a>> {
    Some(Urc::Lost { session: line.fields().index()?, loss: Loss::Closed(None) })
}

fn prompt<'a>(_: &Line<'a>) -> Option<Urc<'a>> {
    Some(Urc::Prompt)
}

fn other<'a>(_: &Line<'a>) -> Option<Urc<'a>> {
    Some(Urc::Other)
}

const fn result(name: &'static str, code_at: u8, required: bool) -> ResultRow {
    ResultRow { name, code_at, required }
}

/// The commands with a result line: where in it the code stands, and whether
/// `OK` alone only means accepted (A300 and A109, per command; both orders
/// were seen).
pub(crate) const RESULTS: &[ResultRow] = &[
    result("+CMQTTSTART", 0, true),
    result("+CMQTTSTOP", 0, true),
    result("+CMQTTACCQ", 1, false),
    result("+CMQTTREL", 1, false),
    result("+CMQTTSSLCFG", 1, false),
    result("+CMQTTCFG", 1, false),
    result("+CMQTTWILLTOPIC", 1, false),
    result("+CMQTTWILLMSG", 1, false),
    result("+CMQTTCONNECT", 1, true),
    result("+CMQTTDISC", 1, true),
    result("+CMQTTTOPIC", 1, false),
    result("+CMQTTPAYLOAD", 1, false),
    result("+CMQTTPUB", 1, true),
    result("+CMQTTSUBTOPIC", 1, false),
    result("+CMQTTSUB", 1, true),
    result("+CMQTTUNSUBTOPIC", 1, false),
    result("+CMQTTUNSUB", 1, true),
    result("+NETOPEN", 0, true),
    result("+NETCLOSE", 0, true),
    result("+CIPOPEN", 1, true),
    // SIM7000/7080.
    result("+CAOPEN", 1, false),
];

/// The line of argtopic mode up to the quote that opens the payload:
/// `+CMQTTRECV: 0,"topic",16,"` (EX100; without a space after the colon in
/// its examples).
pub(crate) fn inline(line: &[u8]) -> Option<Urc<'_>> {
    // Asked at each quote of the line, most of which open or end a topic.
    if !line.ends_with(b",\"") {
        return None;
    }
    let (index, rest) = split(line.strip_prefix(RECEIVED)?.trim_ascii_start(), b',')?;
    let session = unsigned(index)?;
    let head = rest.strip_prefix(b"\"")?.strip_suffix(b",\"")?;
    let comma = head.iter().rposition(|b| *b == b',')?;
    let (topic, length) = head.split_at_checked(comma)?;
    let payload = unsigned(length.strip_prefix(b",")?)?;
    let session = u8::try_from(session).ok()?;
    Some(Urc::Message { session, topic: topic.strip_suffix(b"\"")?, payload })
}

pub(crate) const MARK: Mark = Mark { byte: b'"', lines: &[RECEIVED] };

const RECEIVED: &[u8] = b"+CMQTTRECV:";

/// Messages without a count: argtopic mode without its length (EX100), the SM
/// dialect (SIM7070/7080/7090 AT manual V1.05, ch. 17) and the CMQ dialect of
/// the SIM7020, where the count is of hex digits or of the text (seen).
pub(crate) fn uncounted<'a>(line: &Line<'a>) -> Option<Uncounted<'a>> {
    let mut fields = line.fields();
    match line.name {
        b"+CMQTTRECV" => {
            let (index, rest) = split(line.text(), b',')?;
            plain(u8::try_from(unsigned(index)?).ok()?, rest)
        }
        b"+SMSUB" => plain(0, line.text()),
        b"+CMQPUB" => {
            let session = fields.index()?;
            let topic = fields.next()?.bytes();
            let (count, data) = (fields.nth(3)?.unsigned()?, fields.next()?.bytes());
            let counted = usize::try_from(count) == Ok(data.len());
            let hex = data.len() % 2 == 0 && data.iter().all(u8::is_ascii_hexdigit);
            let payload = if hex { Encoding::Hex(data) } else { Encoding::Plain(data) };
            counted.then_some(Uncounted { session, topic, payload })
        }
        _ => None,
    }
}

/// `"topic","payload"`; quotes in the payload are content.
fn plain(session: u8, text: &[u8]) -> Option<Uncounted<'_>> {
    let inside = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let at = inside.windows(3).position(|part| part == b"\",\"")?;
    let (topic, payload) = inside.split_at_checked(at)?;
    let payload = Encoding::Plain(payload.get(3..)?);
    Some(Uncounted { session, topic, payload })
}

fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let (head, tail) = bytes.split_at_checked(bytes.iter().position(|b| *b == at)?)?;
    Some((head, tail.get(1..)?))
}

#[cfg(test)]
mod tests {
    use hayes::at::dialect::{Form, Open, Reading, read};

    use super::*;

    /// What a line means while a command is in flight: manuals and dialogues,
    /// those of the SM and CMQ dialects included.
    #[test]
    fn what_comes_unasked_is_told_from_an_answer() {
        let gone = Urc::NetworkLost { service: false };
        for (command, line, meaning) in [
            ("+CREG", "+CREG: 5,\"9E9A\",\"0D7B2F0B\"", Some(Urc::Other)),
            ("+CREG", "+CREG: 2", Some(Urc::Other)),
            ("+CREG", "+CREG: 2,5,\"9E9A\"", None),
            ("+CREG", "+CEREG: 0,5", Some(Urc::Other)),
            ("+CSQ", "+XYZ: 1", Some(Urc::Other)),
            ("+CSQ", "+CSQ: 20,99", None),
            ("+CSQ", "+PDP: DEACT", Some(gone)),
            ("+CSQ", "+APP PDP: DEACTIVE", Some(gone)),
            ("+CSQ", "+APP PDP: ACTIVE", Some(Urc::Other)),
            ("+CSQ", "+CGEV: ME PDN ACT 1", Some(Urc::Other)),
            ("+CSQ", "PB DONE", Some(Urc::Other)),
            ("+SMSUB", "+SMSUB: \"t\",\"x\"", Some(Urc::Other)),
            ("+SMSUB", "+SMSUB: (128),(0-2)", None),
            ("+CMQPUB", "+CMQPUB: 0,\"t\",1,0,0,4,\"3132\"", Some(Urc::Other)),
            ("+CMQPUB", "+CMQPUB: (0-1),(128),(0-2)", None),
            ("ATI", "Manufacturer: SIMCOM INCORPORATED", None),
        ] {
            let open = Open { name: command.as_bytes(), form: Form::Query };
            let found = match read::<crate::Simcom>(line.as_bytes(), Some(&open)) {
                Reading::Urc(urc) => Some(urc),
                Reading::Info(_) => None,
                other => panic!("{line} {other:?}"),
            };
            assert_eq!(found, meaning, "{command} {line}");
        }
    }

    /// SM: SIM7070 manual, ch. 17; CMQ: seen, its count of hex digits or of text.
    #[test]
    fn a_message_without_a_count_is_read_for_what_it_looks_like() {
        let plain = Encoding::Plain;
        for (line, session, payload) in [
            ("+SMSUB: \"t\",\"a\",\"b\"", 0, Some(plain(b"a\",\"b"))),
            ("+SMSUB: \"t\"", 0, None),
            ("+CMQTTRECV: 1,\"t\",\"\"", 1, Some(plain(b""))),
            ("+CMQPUB: 0,\"t\",1,0,0,4,\"31aB\"", 0, Some(Encoding::Hex(b"31aB"))),
            ("+CMQPUB: 1,\"t\",1,0,0,4,\"31xy\"", 1, Some(plain(b"31xy"))),
            ("+CMQPUB: 1,\"t\",1,0,0,3,\"abc\"", 1, Some(plain(b"abc"))),
            ("+CMQPUB: 1,\"t\",1,0,0,5,\"abc\"", 1, None),
            ("+CSQ: 20,99", 0, None),
        ] {
            let expected = payload.map(|payload| Uncounted { session, topic: b"t", payload });
            let found = uncounted(&Line::parse(line.as_bytes()));
            assert_eq!(found, expected, "{line}");
            let lengths = found.map(|it| (it.payload.len(), it.payload.is_empty()));
            let expected = match payload {
                Some(Encoding::Plain(text)) => Some((text.len() as u32, text.is_empty())),
                Some(Encoding::Hex(_)) => Some((2, false)),
                None => None,
            };
            assert_eq!(lengths, expected, "{line}");
        }
    }
}
