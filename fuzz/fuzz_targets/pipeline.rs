//! Any bytes, best a tar of several inputs, down the whole road: read, analysed, drawn in every view, redacted too, in either order of inputs.
#![no_main]

use hopscope::{analysis::analyze, ingest::Ingest, redact::redact, views};
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
    let redacted = redact(&report, "key");
    assert_eq!(redacted.paths.len(), report.paths.len());
    std::hint::black_box((views::csv(&redacted), views::text(&redacted)));
    std::hint::black_box((views::graphml(&report, &selection), views::svg(&report, &selection, views::Theme::Auto), views::html(&report)));
});
