//! Any bytes as a capture, in one chunk and in many: the same end, every frame dissected and described.
#![no_main]

use hopscope::capture::CaptureReader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let ends = [usize::MAX, 1 + data.len() % 97].map(|chunk| {
        let (mut reader, mut sink) = (CaptureReader::new(), hopscope_fuzz::Dissecting::default());
        data.chunks(chunk).for_each(|part| reader.push(part, &mut sink));
        reader.finish(&mut sink)
    });
    assert_eq!(ends[0], ends[1]);
});
