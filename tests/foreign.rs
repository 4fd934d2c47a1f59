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
    assert_eq!(read("notes.txt", b"\n").message.as_deref(), Some("the file is empty"));
    assert_eq!(read("arp.pcap", b"").status, Status::Rejected);
    assert_eq!(read("arp.json", b"").status, Status::Rejected, "no command prints no JSON");
}

#[test]
fn an_answer_without_entries_is_an_answer() {
    let answers: &[(&str, &[u8], &str)] = &[
        // As `arp -an` prints on a host without neighbours.
        ("node1/arp.txt", b"\n", "ip_neigh"),
        ("ip-neigh.txt", b"", "ip_neigh"),
        ("networking/conntrack.txt", b"conntrack v1.4.6 (conntrack-tools): 0 flow entries have been shown.\n", "conntrack"),
        ("pods.txt", b"No resources found in shop namespace.\n", "kubectl"),
        (
            "pods.json",
            b"{\"apiVersion\": \"v1\", \"items\": [], \"kind\": \"List\", \"metadata\": {\"resourceVersion\": \"\"}}\n",
            "kubectl",
        ),
        ("enis.json", b"{\"NetworkInterfaces\": []}", "ec2"),
    ];
    for (name, bytes, kind) in answers {
        let input = read(name, bytes);
        let said = input.message.as_deref();
        assert_eq!((input.status, input.kind.as_str(), said), (Status::Ok, *kind, Some("the command had nothing to list")), "{name}");
        assert!(matches!(input.data, Data::Nothing), "{name}");
    }
    // A section header alone, as a capture program leaves that found no interface.
    let header =
        [0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 28, 0, 0, 0];
    let input = read("x.pcapng", &header);
    assert!(
        input.status == Status::Ok && input.message.as_deref().is_some_and(|m| m.contains("nothing says where")),
        "{:?}",
        input.message
    );
}
