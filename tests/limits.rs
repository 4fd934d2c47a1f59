//! Inputs that are made to hurt, through the same door as all others: each ends soon, with a plain message, and what was readable before it is there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::io::Write as _;

use hopscope::ingest::{Data, Ingest, Ingested};
use hopscope::report::Status;

fn read(name: &str, parts: &[&[u8]]) -> Vec<Ingested> {
    let mut ingest = Ingest::new(name);
    for part in parts {
        for chunk in part.chunks(1 << 20) {
            ingest.push(chunk);
        }
    }
    ingest.finish()
}

fn only(inputs: Vec<Ingested>) -> Ingested {
    let [one] = inputs.try_into().unwrap_or_else(|all| panic!("{all:?}"));
    one
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

#[test]
fn json_a_million_deep() {
    for open in ["[", "{\"items\":"] {
        let input = only(read("deep.json", &[open.repeat(1_000_000).as_bytes()]));
        assert_eq!(input.status, Status::Rejected);
        let message = input.message.unwrap();
        assert!(message.contains("more than 127 brackets are open") || message.contains("from none of the commands"), "{message}");
    }
    // In a document that is known, what stands before it is kept.
    let pod = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"b"},"status":{"podIP":"10.0.0.1"}}"#;
    let text = format!("{{\"kind\":\"List\",\"apiVersion\":\"v1\",\"items\":[{pod},{}", "[".repeat(1_000_000));
    let input = only(read("deep.json", &[text.as_bytes()]));
    assert_eq!(input.status, Status::Partial);
    assert!(matches!(input.data, Data::Facts(f) if f.len() == 1));
    assert!(input.message.unwrap().contains("more than 127 brackets are open at line 1"));
}

#[test]
fn archives_in_archives() {
    let mut bytes = b"10.0.0.1 dev eth0 lladdr 02:00:00:00:00:01 REACHABLE\n".to_vec();
    for _ in 0..4 {
        bytes = gzip(&bytes);
    }
    assert_eq!(only(read("four.gz", &[&bytes])).status, Status::Ok);
    let input = only(read("five.gz", &[&gzip(&bytes)]));
    assert_eq!((input.status, input.message.as_deref()), (Status::Rejected, Some("archives are nested more than 4 deep")));
}

#[test]
fn one_line_without_an_end() {
    let line = vec![b'a'; 8_000_000];
    let input = only(read("line.txt", &[&line]));
    assert_eq!(input.status, Status::Rejected);
    assert!(input.message.unwrap().len() < 200);
    // And around it, lines that are read.
    let row: &[u8] = b"\n10.0.0.1 dev eth0 lladdr 02:00:00:00:00:01 REACHABLE\n";
    let input = only(read("line.txt", &[row, &line[..2_000_000], row]));
    assert!(matches!(input.data, Data::Facts(f) if f.len() == 2));
    assert_eq!(input.message.as_deref(), Some("line 3 is longer than any command prints, and passed over"));
}

#[test]
fn more_statements_than_anybody_has() {
    let text = "10.0.0.1 dev a FAILED\n".repeat(1_000_001);
    let input = only(read("neigh.txt", &[text.as_bytes()]));
    assert_eq!(input.status, Status::Partial);
    assert_eq!(input.message.as_deref(), Some("1 statements beyond the first 1000000 are left out"));
    assert!(matches!(input.data, Data::Facts(f) if f.len() == 1_000_000));
}

#[test]
fn more_lines_than_anybody_reads() {
    let text = "\n".repeat(11_000_000);
    let input = only(read("neigh.txt", &[b"10.0.0.1 dev a FAILED\n", text.as_bytes()]));
    assert_eq!(input.message.as_deref(), Some("only its first 10000000 lines were read"));
    assert!(matches!(input.data, Data::Facts(f) if f.len() == 1));
}

/// A block of pcapng that claims four gigabytes takes no memory for them.
#[test]
fn a_block_that_claims_four_gigabytes() {
    let section =
        [0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 28, 0, 0, 0];
    let interface = [1, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 4, 0, 20, 0, 0, 0];
    let block = [6, 0, 0, 0, 0xfc, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    let input = only(read("big.pcapng", &[&section, &interface, &block, &[7; 5000]]));
    assert_eq!(input.status, Status::Partial, "{:?}", input.message);
    assert!(input.message.unwrap().contains("4294967292 bytes"));
}
