//! What a SIMCom modem says unasked has the same events for every split of its
//! bytes, and never more payload than came.

#![cfg_attr(fuzzing, no_main)]

#[path = "common/split.rs"]
mod split;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run(bytes));

pub fn run(bytes: &[u8]) {
    split::same_events(bytes, || {
        hayes_simcom::machine::<64, 512>(Default::default()).report_urcs(true)
    });
}
