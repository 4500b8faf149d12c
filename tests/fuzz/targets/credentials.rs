#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Err(leak) = attacks::properties::credentials(input) {
        panic!("{leak}");
    }
});
