//! Any bytes as a dropped file of unknown name, in one chunk and in two: recognised, read or rejected, and the same both times.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hopscope_fuzz::import(data));
