//! Any bytes, best a tar of several inputs, down the whole road: read, analysed, drawn in every view, in either order of inputs.
#![no_main]

use hopscope::{analysis::analyze, ingest::Ingest, views};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut ingest = Ingest::new("unknown");
    ingest.push(data);
    let mut inputs = ingest.finish();
    let report = analyze(&inputs);
    inputs.reverse();
    assert_eq!(report, analyze(&inputs));
    let selection = views::Selection::default();
    std::hint::black_box((views::text(&report), views::mermaid(&report, &selection), views::dot(&report, &selection)));
    std::hint::black_box((views::graphml(&report, &selection), views::svg(&report, &selection, views::Theme::Auto), views::html(&report)));
});
