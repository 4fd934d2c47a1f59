//! Digests as files: what another version wrote is not compared with what this one reads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

use hopscope::ingest::{Ingest, Ingested};
use hopscope::report::Status;

fn read(name: &str, bytes: &[u8]) -> Ingested {
    let mut ingest = Ingest::new(name);
    ingest.push(bytes);
    let [one] = ingest.finish().try_into().unwrap_or_else(|_| panic!("{name} is one input"));
    one
}

#[test]
fn a_digest_of_another_version_is_rejected_and_says_what_to_do() {
    let capture = std::fs::read(format!("{}/tests/formats/captures/noted/ptcpdump.pcapng", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let one = read("a.pcapng", &capture);
    let mut bytes = Vec::new();
    assert!(one.write_digest(&mut |part| bytes.extend_from_slice(part)), "a capture");
    assert_eq!(read("a.pcapng.parquet", &bytes).status, Status::Ok);

    let name = b"hopscope.digest/";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap() + name.len();
    bytes[at] = b'1';
    let other = read("a.pcapng.parquet", &bytes);
    assert_eq!(other.status, Status::Rejected);
    assert!(other.message.as_deref().is_some_and(|m| m.contains("make it anew with `hopscope digest`")), "{:?}", other.message);
}
