//! Any bytes, best a tar of several inputs, down the whole road: read, analysed, drawn in every view, redacted too, in either order of inputs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hopscope_fuzz::pipeline(data));
