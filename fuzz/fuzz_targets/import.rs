//! Any bytes as a dropped file of unknown name, in one chunk and in two: recognised, read or rejected, and the same both times.
#![no_main]

use hopscope::ingest::Ingest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [a, b] = [0, data.len() / 3].map(|cut| {
        let mut ingest = Ingest::new("unknown");
        [&data[..cut], &data[cut..]].iter().for_each(|part| ingest.push(part));
        ingest.finish().iter().map(|i| i.to_bytes()).collect::<Vec<_>>()
    });
    assert_eq!(a, b);
});
