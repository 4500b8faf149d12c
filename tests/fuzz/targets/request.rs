#![no_main]

#[allow(dead_code, reason = "every target uses one of the properties")]
#[path = "../../../functions/automation-execute/tests/guard/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Err(leak) = properties::request(input) {
        panic!("{leak}");
    }
});
