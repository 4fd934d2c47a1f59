//! What ptcpdump, retis and Inspektor Gadget write beside packets is evidence at the hops where the packets were captured. The files are
//! composed of real frames and of comments and descriptions as those programs' sources write them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

use hopscope::analysis::analyze;
use hopscope::columnar;
use hopscope::ingest::{Data, Ingest, Ingested};
use hopscope::redact::redact;
use hopscope::report::Report;

fn read(name: &str) -> Vec<Ingested> {
    let mut ingest = Ingest::new(name);
    ingest.push(&std::fs::read(format!("{}/tests/formats/captures/noted/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap());
    ingest.finish()
}

/// The notes in a report: statement and frame, each cited by a hop that was captured.
fn notes(report: &Report) -> Vec<(String, u64)> {
    let hops = || report.paths.iter().flat_map(|p| &p.directions).flat_map(|d| &d.hops);
    report
        .evidence
        .iter()
        .filter(|e| e.kind == "packet_comment")
        .map(|e| {
            assert!(hops().any(|h| h.observed && h.evidence.contains(&e.id)), "{} is at no hop", e.statement);
            (e.statement.clone(), e.sources[0].frame.unwrap())
        })
        .collect()
}

#[test]
fn notes_are_evidence_at_the_hops() {
    for (file, wanted) in [
        ("ptcpdump.pcapng", "the capture's writer noted: process `curl` (pid 4242), container `client`, pod `shop/client-5d9c`"),
        ("retis.pcapng", "the capture's writer noted: seen at `net:net_dev_start_xmit` in task `python3` (pid 5150)"),
        ("inspektor-gadget.pcapng", "the capture's writer noted: container `client`, pod `client-5d9c`, node `ip-10-9-0-1`"),
    ] {
        let report = analyze(&read(file));
        let notes = notes(&report);
        assert!(notes.iter().any(|(statement, frame)| statement == wanted && *frame == 1), "{file}: {notes:?}");
        let redacted = redact(&report, "key").to_json().unwrap();
        for name in ["curl", "client-5d9c", "shop", "python3", "ip-10-9-0-1"] {
            assert!(!redacted.contains(name), "{file}: {name} is still there");
        }
    }
}

/// A digest has the notes, so that it gives the same report.
#[test]
fn digests_keep_them() {
    let [one] = read("ptcpdump.pcapng").try_into().unwrap_or_else(|_| panic!());
    let Data::Capture(digest) = &one.data else { panic!() };
    let mut bytes = Vec::new();
    one.write_digest(&mut |part| bytes.extend_from_slice(part));
    let (_, again) = columnar::read(&bytes).unwrap();
    assert!(!again.remarks.is_empty() && again.remarks == digest.remarks);
}
