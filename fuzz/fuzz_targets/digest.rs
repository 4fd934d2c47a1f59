//! A digest of a real capture with octets changed: read or refused, and what is read is analysed.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hopscope_fuzz::digest(data));
