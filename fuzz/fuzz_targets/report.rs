//! Any bytes as a saved report: in every view, redacted too.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hopscope_fuzz::report(data));
