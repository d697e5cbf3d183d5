//! Wrong command lines: exit code 2, a word about what is wrong, and nothing
//! opened.

use crate::support::{Hayes, KINDS, hayes};

/// For each, what must be in the message.
const WRONG: &[(&str, &str)] = &[
    ("", "Usage"),
    ("nonsense", "nonsense"),
    ("demo --modem nonsense", "simcom, luat"),
    ("pub --device /no -t a -m b", "--host"),
    ("pub -h b -t a -m b", "--device"),
    ("pub -h b --device /no -t a", "--message"),
    ("pub -h b --device /no -t a -m b -n", "cannot be used"),
    ("pub -h b --device /no -t a -l -n", "cannot be used"),
    ("pub -h b --device /no -t a -s -l", "cannot be used"),
    ("pub -h b --device /no -t a -m b -q 3", "0, 1 or 2"),
    ("pub -h b --device /no -t a -m b -p 65536", "65536"),
    ("pub -h b --device /no -t a -m b -p 0", "--port"),
    ("pub -h b --device /no -t a -m b -c", "--id"),
    ("pub -h b --device /no -t a -m b -P secret", "--username"),
    ("pub -h b --device /no -t a -m b --cert c", "--key"),
    ("pub -h b --device /no -t a -m b --key k", "--cert"),
    ("pub -h b --device /no -t a -m b --cafile f --insecure", "cannot be used"),
    ("pub -h b --device /no -t a -m b --will-topic w", "--will-payload"),
    ("pub -h b --device /no -t a -m b --apn-user u", "--apn"),
    ("pub -h b --device /no -t a -m b --timeout 0", "--timeout"),
    ("pub -h b --device tcp:host -t a -m b", "tcp:HOST:PORT"),
    ("pub -h b --device /no@0 -t a -m b", "baud"),
    ("sub -h b --device /no", "--topic"),
    ("sub -h b --device /no -t a -C 0", "--count"),
    ("info", "--device"),
    ("emulate", "simcom"),
    ("emulate simcom", "--pty"),
    ("emulate simcom --pty a --listen b:1", "cannot be used"),
    ("emulate simcom --pty a --broker http://b:1", "mqtt://HOST:PORT"),
    ("emulate simcom --pty a --family nonsense", "sim767xx"),
    ("emulate simcom --pty a --quirk nonsense", "nonsense"),
    ("emulate simcom --pty a --fault drop", "drop"),
    ("emulate luat", "--pty"),
    ("emulate luat --pty a --family sim7600", "air700eaq-v2019"),
    ("emulate luat --pty a --quirk stray-ok", "stray-ok"),
    ("emulate luat --pty a --fault drop", "drop"),
    ("decode simcom", "FILE"),
    // What the driver itself refuses is told by the flag that it came from.
    ("pub -h b --device /no -t a/# -m b", "--topic"),
    ("pub -h b --device /no -t a\"b -m b", "--topic"),
    ("pub -h b --device /no -t a\rb -m b", "--topic"),
    ("pub -h b:1 --device /no -t a -m b", "--host"),
    ("pub -h b --device /no -t a -m b -i x\"y", "--id"),
    ("pub -h b --device /no -t a -m b -u x\"y", "--username"),
    ("pub -h b --device /no -t a -m b -u x -P x\"y", "--pw"),
    ("pub -h b --device /no -t a -m b --will-topic w/+ --will-payload x", "--will-topic"),
    ("pub -h b --device /no -t a -m b --apn a\"b", "--apn"),
    ("pub -h b --device /no -t a -m b --pin 12", "--pin"),
    ("pub --modem luat -h b --device /no -t a -m b -u x\"y", "--username"),
    ("sub -h b --device /no -t a+", "--topic"),
    ("sub -h b --device /no -t a -t b/#/c", "--topic"),
    // With the usage of the command that it was.
    ("sub -h b --device /no -t a+", "Usage: hayes sub "),
    ("pub --device /no -t a -m b", "Usage: hayes pub "),
];

#[test]
fn bad_usage_is_exit_code_2_and_says_what_is_wrong() {
    for (line, expected) in WRONG {
        let ended = hayes(line.split(' ').filter(|arg| !arg.is_empty()));
        assert_eq!(ended.code, Some(2), "{line:?}: {ended:?}");
        assert!(ended.stderr.contains(expected), "{line:?}: {ended:?}");
        assert!(ended.stdout.is_empty(), "{line:?}: {ended:?}");
    }
}

#[test]
fn a_secret_is_not_repeated_when_it_is_refused() {
    let line = "pub -h b --device /no -t a -m b -u x -P s3cret\"";
    let ended = hayes(line.split(' '));
    assert!(!ended.stderr.contains("s3cret"), "{ended:?}");
}

#[test]
fn help_is_a_long_flag_as_h_is_the_host() {
    let text = |line: &str| String::from_utf8(hayes(line.split(' ')).ok()).expect("text");
    let all = text("--help");
    for verb in ["demo", "pub", "sub", "info", "emulate", "decode"] {
        assert!(all.contains(&format!("  {verb} ")), "{all}");
    }
    assert!(text("pub --help").contains("-h, --host"));
    let oddities = text("emulate simcom --help");
    assert!(oddities.contains("result-before-ok") && oddities.contains("reboot=N"), "{oddities}");
    let oddities = text("emulate luat --help");
    assert!(oddities.contains("glued-connect-ok") && oddities.contains("reboot=N"), "{oddities}");
    assert!(!oddities.contains("result-before-ok") && oddities.contains("v2015plus"), "{oddities}");
}

#[test]
fn decode_reads_standard_input_and_prints_an_object_a_line() {
    let capture = b"# a capture\n> AT\\r\n< \\r\\nOK\\r\\n\n";
    for kind in KINDS {
        let text = Hayes::start(["decode", kind.name, "-"]).feed(capture).ok();
        assert_eq!(text, b"{\"result\":\"AT\",\"ok\":true,\"code\":null}\n");
    }
    let line = hayes(["decode", "simcom", "/nowhere/capture"]).failed();
    assert!(line.contains("decoding /nowhere/capture"), "{line}");
}
