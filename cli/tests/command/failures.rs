//! What goes wrong: exit code 1 and one line that says what was being done,
//! the code with its name, and what to try. And how commands end early.

use std::fs;

use hayes_emulator::broker::Broker;
use rustix::process::Signal;

use crate::support::{Hayes, KINDS, Kind, Witness, closed_port, embedded, hayes, temporary};

#[test]
fn a_refusal_is_told_with_its_code_its_name_and_what_to_try() {
    for kind in &KINDS {
        let modem = kind.on_pty(&[]);
        let port = closed_port();
        let line = hayes(modem.command("pub", &port, &["-t", "a", "-m", "b"])).failed();
        assert!(line.contains(&format!("connecting to 127.0.0.1:{port}")), "{line}");
        assert!(kind.unreachable.iter().all(|said| line.contains(said)), "{line}");

        // An outdated attempt is no obstacle for the next one.
        let broker = Broker::start_with_login("me", "s3cret").expect("a broker").port.to_string();
        let args = |password| ["-t", "a", "-m", "b", "-u", "me", "-P", password];
        let line = hayes(modem.command("pub", &broker, &args("wrong"))).failed();
        assert!(line.contains("connecting to"), "{line}");
        assert!(kind.login.iter().all(|said| line.contains(said)), "{line}");
        assert!(!line.contains("wrong"), "{line}");
        hayes(modem.command("pub", &broker, &args("s3cret"))).ok();
    }
}

#[test]
fn a_device_that_is_not_there_or_does_not_answer_is_one_line() {
    let nowhere = temporary("nowhere");
    let line = hayes(["info", "--device", nowhere.to_str().expect("text")]).failed();
    assert!(line.contains("opening ") && line.contains("No such file"), "{line}");
    assert!(line.contains("plugged in?"), "{line}");
    let line = hayes(["info", "--device", "/dev/null"]).failed();
    assert!(line.contains("opening /dev/null: ") && line.contains("no terminal"), "{line}");
    let line = hayes(["info", "--device", &format!("tcp:127.0.0.1:{}", closed_port())]).failed();
    assert!(line.contains("opening tcp:") && line.contains("refused"), "{line}");

    for kind in &KINDS {
        let mute = kind.on_pty(&["--fault", "silent=0"]);
        let rest = ["-t", "a", "-m", "b", "--timeout", "3"];
        let line = hayes(mute.command("pub", "1", &rest)).failed();
        assert!(line.contains("bringing up the modem on "), "{line}");
        assert!(line.contains("check power, wiring"), "{line}");
    }
}

#[test]
fn a_modem_that_is_no_simcom_is_told_as_perhaps_another() {
    let broker = embedded();
    let modem = KINDS[1].on_pty(&[]);
    let args = ["pub", "--device", &modem.device, "-h", "127.0.0.1", "-p", &broker.port];
    let line = hayes(args.into_iter().chain(["-t", "a", "-n"])).failed();
    assert!(line.contains("is it a SIMCom"), "{line}");
}

#[test]
fn a_terminal_that_another_program_has_open_is_told_as_such() {
    // So that the first stays at it.
    let modem = KINDS[0].on_pty(&["--fault", "silent=0"]);
    let mut first = Hayes::start(modem.command("pub", "1", &["-t", "a", "-l", "--dialogue"]));
    first.says("> AT");
    let line = hayes(["info", "--device", &modem.device]).failed();
    assert!(line.contains("another program has it open"), "{line}");
}

#[test]
fn a_file_that_cannot_be_read_is_one_line() {
    let common = ["pub", "--device", "/nowhere/modem", "-h", "b", "-t", "a"];
    let line = hayes(common.into_iter().chain(["-f", "/nowhere/payload"])).failed();
    assert!(line.contains("reading /nowhere/payload"), "{line}");
    let line = hayes(common.into_iter().chain(["-n", "--cafile", "/dev/null"])).failed();
    assert!(line.contains("reading /dev/null: not PEM"), "{line}");
}

#[test]
fn an_unplugged_modem_ends_a_subscription_with_one_line() {
    let broker = embedded();
    for kind in &KINDS {
        for start in [Kind::on_pty, Kind::on_tcp] {
            let modem = start(kind, &[]);
            let args = modem.command("sub", &broker.port, &["-t", "a", "--dialogue"]);
            let mut sub = Hayes::start(args);
            sub.says(kind.subscribed);
            modem.process.signal(Signal::KILL);
            modem.process.end();
            let ended = sub.end();
            assert_eq!(ended.code, Some(1), "{ended:?}");
            let last = ended.stderr.lines().last().expect("a line");
            assert!(last.starts_with("hayes: waiting for messages: "), "{ended:?}");
            assert!(last.contains("plugged in"), "{ended:?}");
        }
    }
}

#[test]
fn a_lost_connection_is_told_with_its_cause() {
    let broker = embedded();
    // The first operation is CONNECT.
    let sub = &["-t", "a", "-W", "60", "-C", "1"][..];
    for kind in &KINDS {
        for (fault, verb, rest) in [
            ("lost=1", "pub", &["-t", "a", "-m", "b"][..]),
            ("lost=1", "sub", sub),
            ("lost=2", "sub", sub),
        ] {
            let modem = kind.on_pty(&["--fault", fault]);
            let line = hayes(modem.command(verb, &broker.port, rest)).failed();
            // The second if the next command was under way already.
            assert!(kind.lost.iter().any(|said| line.contains(said)), "{line}");
        }
    }
}

#[test]
fn a_signal_ends_a_subscription_cleanly() {
    let broker = embedded();
    for kind in &KINDS {
        let modem = kind.on_pty(&[]);
        for signal in [Signal::INT, Signal::TERM] {
            let rest = ["-t", "a", "--dialogue", "--will-topic", "will", "--will-payload", "gone"];
            let mut sub = Hayes::start(modem.command("sub", &broker.port, &rest));
            sub.says(kind.subscribed);
            sub.signal(signal);
            let ended = sub.end();
            assert_eq!(ended.code, Some(0), "{ended:?}");
            let (_, then) = ended.stderr.split_once(kind.subscribed).expect("it subscribed");
            assert!(then.contains(kind.disconnected), "{ended:?}");
        }
    }
}

#[test]
fn a_signal_ends_an_unfinished_publish_with_code_1() {
    for kind in &KINDS {
        let broker = embedded();
        let modem = kind.on_pty(&[]);
        let args = modem.command("pub", &broker.port, &["-t", "a", "-l", "-v"]);
        let mut publish = Hayes::start(args);
        publish.says("hayes: connected");
        publish.signal(Signal::INT);
        let ended = publish.end();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.ends_with("hayes: disconnecting\nhayes: interrupted\n"), "{ended:?}");
    }
}

#[test]
fn a_signal_ends_the_search_for_a_modem() {
    for kind in &KINDS {
        let mute = kind.on_pty(&["--fault", "silent=0"]);
        let mut publish =
            Hayes::start(mute.command("pub", "1", &["-t", "a", "-m", "b", "--dialogue"]));
        publish.says("> AT");
        publish.signal(Signal::INT);
        let ended = publish.end();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.ends_with("\nhayes: interrupted\n"), "{ended:?}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_a_subscription_without_a_word() {
    for kind in &KINDS {
        let broker = embedded();
        let modem = kind.on_pty(&[]);
        let mut sub = Hayes::start(modem.command("sub", &broker.port, &["-t", "a", "--dialogue"]));
        sub.says(kind.subscribed);
        sub.stop_reading();
        Witness::new(&broker).publish("a", b"unread", false);
        let ended = sub.end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(!ended.stderr.contains("panic"), "{ended:?}");
        let (_, then) = ended.stderr.split_once(kind.subscribed).expect("it subscribed");
        assert!(then.contains(kind.disconnected), "{ended:?}");
    }
}

#[test]
fn the_end_of_the_wait_is_a_failure_only_if_messages_are_missing() {
    for kind in &KINDS {
        let broker = embedded();
        let modem = kind.on_pty(&[]);
        let rest = ["-t", "a", "-W", "0"];
        assert!(hayes(modem.command("sub", &broker.port, &rest)).ok().is_empty());
        let rest = ["-t", "a", "-W", "0", "-C", "2"];
        let line = hayes(modem.command("sub", &broker.port, &rest)).failed();
        assert!(line.contains("0 of 2 arrived in time"), "{line}");
    }
}

#[test]
fn the_emulator_takes_its_link_away_and_leaves_other_files_alone() {
    for kind in &KINDS {
        let modem = kind.on_pty(&[]);
        modem.process.signal(Signal::INT);
        assert_eq!(modem.process.end().code, Some(0));
        assert!(fs::symlink_metadata(&modem.device).is_err());

        let file = temporary("file");
        fs::write(&file, "mine").expect("a file");
        let path = file.to_str().expect("text");
        let line = hayes(["emulate", kind.name, "--pty", path]).failed();
        assert!(line.contains(path), "{line}");
        assert_eq!(fs::read(&file).expect("a file"), b"mine");
        fs::remove_file(file).expect("a file");
    }
}
