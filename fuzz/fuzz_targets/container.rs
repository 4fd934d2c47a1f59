//! Any bytes as each kind of container, in one chunk and in many: the same members, within the limits.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hopscope_fuzz::container(data));
