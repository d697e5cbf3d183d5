//! The targets of the fuzzer, run with every seed on stable Rust: what a
//! fuzzer would find at once is found here without one.

#![allow(unexpected_cfgs, reason = "`fuzzing` is set by cargo-fuzz")]
#![allow(clippy::duplicate_mod, reason = "each target is a program of its own")]

use std::{fs, path::PathBuf};

use emulator::common::{Luat, Rig, Simcom, config, luat_config};
use hayes::{Machine, Operation, mqtt::QoS};
use hayes_emulator::{
    Modem, luat::Family as LuatFamily, rockremote, simcom::Family as SimcomFamily,
};
use hayes_transcript::{Item, parse};

#[path = "../fuzz/fuzz_targets/drive.rs"]
mod drive;
#[path = "../fuzz/fuzz_targets/emulator.rs"]
mod emulator;
#[path = "../fuzz/fuzz_targets/escape.rs"]
mod escape;
#[path = "../fuzz/fuzz_targets/framer.rs"]
mod framer;
#[path = "../fuzz/fuzz_targets/jspr.rs"]
mod jspr;
#[path = "../fuzz/fuzz_targets/line.rs"]
mod line;
#[path = "../fuzz/fuzz_targets/luat.rs"]
mod luat;
#[path = "../fuzz/fuzz_targets/mqtt.rs"]
mod mqtt;
#[path = "../fuzz/fuzz_targets/simcom.rs"]
mod simcom;

type Target = fn(&[u8]);

/// Every target, by the name of its folder of seeds.
const TARGETS: [(&str, Target); 9] = [
    ("drive", drive::run),
    ("emulator", emulator::run),
    ("escape", escape::run),
    ("framer", framer::run),
    ("jspr", jspr::run),
    ("line", line::run),
    ("luat", luat::run),
    ("mqtt", mqtt::run),
    ("simcom", simcom::run),
];

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target)
}

#[test]
fn every_target_holds_for_every_seed() {
    for (target, run) in TARGETS {
        let seeds = fs::read_dir(folder(target)).unwrap().map(|entry| entry.unwrap().path());
        let mut count = 0;
        for seed in seeds {
            let bytes = fs::read(&seed).unwrap();
            let held = std::panic::catch_unwind(|| run(&bytes));
            assert!(held.is_ok(), "{target} does not hold for {}", seed.display());
            count += 1;
        }
        assert!(count > 0, "{target} has no seeds");
        println!("{target}: {count} seeds");
    }
}

/// A target that has no row above would only be fuzzed.
#[test]
fn every_target_is_run_here() {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml");
    let manifest = fs::read_to_string(manifest).unwrap();
    let mut names: Vec<_> = manifest
        .split("[[bin]]")
        .skip(1)
        .map(|bin| bin.split('"').nth(1).unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, TARGETS.map(|(name, _)| name));
}

/// Writes the seeds anew, from the captures and from dialogues with the
/// emulator: `cargo test --test seeds -- --ignored`
#[test]
#[ignore = "writes fuzz/seeds"]
fn write_the_seeds() {
    let mut lines = Vec::new();
    for (vendor, which) in [("simcom", 0), ("luat", 1)] {
        for (name, items) in captures(vendor) {
            let mut modem = Vec::new();
            for item in &items {
                match item {
                    Item::Modem(bytes) => modem.extend_from_slice(bytes),
                    // What the modem says next belongs to another time.
                    Item::Comment(text) if text.starts_with("# -- ") => modem.push(b'\n'),
                    _ => {}
                }
            }
            lines.extend(modem.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
            write(vendor, &name, &modem[..modem.len().min(1_500)]);
        }
        for (number, config) in [which, which + 2, which + 4].into_iter().enumerate() {
            scripts(&format!("{vendor}-{number}"), [config, 0, 0]);
        }
    }
    scripts("rockremote", [8, 0, 0]);
    scripts("jspr", [9, 0, 0]);
    // Small parts in any order, some of them twice.
    scripts("jspr-parts", [9, 0x40, 0]);
    for (name, items) in captures("iridium") {
        let said = items.iter().filter_map(|item| match item {
            Item::Modem(bytes) => Some(bytes.as_slice()),
            _ => None,
        });
        let target = if name.contains("mqtt311") { "mqtt" } else { "jspr" };
        let said = said.collect::<Vec<_>>().concat();
        if !name.contains("sbd") && !name.contains("at-imt") {
            write(target, &name, &said[..said.len().min(6_000)]);
        }
    }
    lines.sort();
    lines.dedup_by_key(|line| line.split(|byte| *byte == b':').next().map(<[u8]>::to_vec));
    write("line", "names", &lines.join(&b'\n'));
    write(
        "line",
        "numbers",
        b"+N: 4294967295,4294967296,-2147483648, 1x,,\"7\", 8 \n+CME ERROR: -1\n",
    );
    write(
        "line",
        "quotes",
        b"+X: \"a,b\" ,\"say \"hi\" now\",\"open\nERROR\nOK\nOK \nNO CARRIER\n",
    );
    write("framer", "counted", b"a\r\r\nb\r\n\nhead 5\r\n\r\n123\r\ntail,4,ab\r\ncd\r\n");
    write("framer", "prompt", b"AT?\r\n> data\r\n>no prompt\r\nAT?\r\n>");
    write(
        "framer",
        "long",
        &[&[b'x'; 40][..], b"\r\n", &[b'y'; 30], b",", &[b'y'; 30], b",3,abc\r\n"].concat(),
    );
    write("framer", "noise", b"\0\0OK\r\nx1,2,3\r\n\0");
    write("framer", "mark-first", b"\0,3,abc\r\n");
    for (name, payload) in
        [("plain", "21.5"), ("json", "{\"a\":\r\n\"\\\"}"), ("ends", "\\\\\"\"\r\r\n\n\\2")]
    {
        write("escape", name, &[&[3], payload.as_bytes()].concat());
    }
    write("escape", "all", &(0..=255).collect::<Vec<u8>>());
    // A 9704 whose restart was not heard whole, with a message on its way; then
    // also in the middle of one, and with failures of the network to come.
    let before = [9, 35, 0, 0, 1, 35, 0, 0, 1, 6, 227, 43, 153, 71, 77];
    for (name, after) in [
        ("9704-unheard", &[77, 255, 55, 254, 254, 251][..]),
        ("9704-unheard-in-a-message", &[1, 77, 255, 55, 254, 237, 254, 251]),
    ] {
        write("emulator", name, &[&before, after].concat());
    }
    for (number, family) in SimcomFamily::ALL.into_iter().enumerate() {
        dialogue(&format!("simcom-{number}"), 0, Simcom::new(config(family)));
    }
    for (number, family) in LuatFamily::ALL.into_iter().enumerate() {
        dialogue(&format!("luat-{number}"), 1, Luat::new(luat_config(family)));
    }
    let box_config = rockremote::Config::default();
    let machine = hayes_iridium::rockremote::machine::<4096>(Default::default());
    dialogue("rockremote", 2, Rig::of(machine, rockremote::Modem::new(box_config)));
}

/// Steps of the target `emulator`.
const SCRIPTS: [(&str, &[u8]); 8] = [
    ("session", &[0, 1, 6, 4, 24, 44, 10, 30, 50, 19, 0, 8, 7, 9]),
    ("dropped", &[1, 11, 3, 4, 11, 9, 5, 11, 30, 8]),
    ("deaf", &[1, 6, 13, 20, 0, 4, 10, 13, 60, 2, 24, 19, 0]),
    ("cut", &[1, 4, 12, 30, 5, 4, 1, 13, 9, 5, 4]),
    ("restart", &[1, 6, 14, 4, 1, 15, 19, 200, 1, 4]),
    ("lost", &[1, 6, 16, 0, 4, 1, 18, 1, 19, 100, 18, 0, 1, 4]),
    ("slow", &[1, 17, 0, 4, 17, 1, 4, 17, 2, 4, 10]),
    ("byte by byte", &[19, 1, 0, 1, 6, 10, 50, 70, 4, 64, 9]),
];

fn scripts(modem: &str, chosen: [u8; 3]) {
    for (name, script) in SCRIPTS {
        write("emulator", &format!("{modem}-{name}"), &[&chosen[..], script].concat());
    }
}

fn dialogue<D: Machine, M: Modem>(name: &str, which: u8, mut rig: Rig<D, M>) {
    let mut seed = vec![which];
    for (operation, result) in [
        (0, Rig::bring_up as fn(&mut Rig<D, M>) -> _),
        (1, |rig| rig.connect()),
        (5, |rig| rig.subscribe("a/#")),
        (3, |rig| rig.publish("a/t", b"payload", QoS::AtLeastOnce)),
        (9, |rig| rig.run(&Operation::Disconnect)),
    ] {
        rig.wire.clear();
        result(&mut rig).unwrap();
        rig.idle(1_000);
        seed.extend([0xf0, operation]);
        for (_, bytes) in rig.wire.iter().filter(|(host, _)| !host) {
            seed.extend_from_slice(bytes);
        }
        seed.push(0xfc);
    }
    write("drive", name, &seed);
    // The same, dropped in the middle and begun again.
    let half = seed.len() / 2;
    write(
        "drive",
        &format!("{name}-dropped"),
        &[&seed[..half], &[0xf7, 0xf9, 0xf9], &seed[half..]].concat(),
    );
}

fn captures(vendor: &str) -> Vec<(String, Vec<Item>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/captures").join(vendor);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, parse(&fs::read_to_string(path).unwrap()).unwrap())
    };
    files.map(read).collect()
}

fn write(target: &str, name: &str, bytes: &[u8]) {
    fs::create_dir_all(folder(target)).unwrap();
    fs::write(folder(target).join(name.replace(' ', "-")), bytes).unwrap();
}
