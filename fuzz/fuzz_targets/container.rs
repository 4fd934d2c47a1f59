//! Any bytes as each kind of container, in one chunk and in many: the same members, within the limits.
#![no_main]

use hopscope::container::{Container, ContainerKind::*, Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for kind in [Gzip, Zstd, Tar, Zip] {
        let [a, b] = [usize::MAX, 1 + data.len() % 97].map(|chunk| {
            let mut sink = hopscope_fuzz::Counting::default();
            let mut container = Container::new(kind, Limits { total: 8 << 20, ..Limits::default() });
            data.chunks(chunk).for_each(|part| container.push(part, &mut sink));
            (container.finish(&mut sink).bytes, sink)
        });
        assert!(a.0 <= 8 << 20 && (a == b || a.0.max(b.0) > 7 << 20), "{kind:?}: {a:?} {b:?}");
    }
});
