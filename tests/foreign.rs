//! Captures that are not read are named for what they are, with what to do; a wrong ending changes nothing. Written by editcap 4.0.17.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

use hopscope::ingest::{Data, Ingest, Ingested};
use hopscope::report::Status;

fn read(name: &str, bytes: &[u8]) -> Ingested {
    let mut ingest = Ingest::new(name);
    ingest.push(bytes);
    let [one] = ingest.finish().try_into().unwrap();
    one
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/formats/captures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn other_formats_are_named_with_the_command_that_converts_them() {
    // ERF: a time stamp, type 2 (Ethernet), a length of 64 + 16 + 2, and the next record where it says.
    let record = [&[1, 2, 3, 4, 0, 0, 0, 0x65, 2, 4, 0, 82, 0, 0, 0, 64, 0, 0][..], &[0x5a; 64]].concat();
    let mut all = vec![("a.erf".to_owned(), record.repeat(3))];
    for format in ["snoop", "netmon1", "netmon2", "ngsniffer", "k12text", "nettl", "5views"] {
        all.push((format!("veth.{format}"), file(&format!("foreign/veth.{format}"))));
    }
    for (name, bytes) in all {
        // Whatever it is called.
        for called in [name.as_str(), "capture.pcap", "unknown"] {
            let input = read(called, &bytes);
            let message = input.message.unwrap_or_default();
            assert_eq!(input.status, Status::Rejected, "{name} as {called}");
            assert!(message.contains("editcap -F pcap") || message.contains("text2pcap"), "{name} as {called}: {message}");
        }
    }
}

#[test]
fn an_ending_says_nothing() {
    let pcapng = read("really-pcapng.pcap", &file("foreign/really-pcapng.pcap"));
    assert!(matches!(&pcapng.data, Data::Capture(d) if d.len() == 3) && pcapng.status == Status::Ok);
    let pcap = read("really-pcap.pcapng", &file("tcpdump-4.99.3/veth.pcap"));
    assert!(matches!(&pcap.data, Data::Capture(d) if d.len() == 34) && pcap.status == Status::Ok);
}

#[test]
fn nothing_and_zeros_are_named() {
    for (name, said) in [("empty.pcap", "empty"), ("zeros.pcap", "zero")] {
        let input = read(name, &file(&format!("foreign/{name}")));
        assert_eq!(input.status, Status::Rejected);
        assert!(input.message.as_deref().unwrap().contains(said), "{:?}", input.message);
    }
    // As `arp -an` prints on a host without neighbours.
    assert_eq!(read("arp.txt", b"\n").message.as_deref(), Some("the file is empty"));
}
