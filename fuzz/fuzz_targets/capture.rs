//! Any bytes as a capture, in one chunk and in many: the same end, every frame dissected and described.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hopscope_fuzz::capture(data));
