//! What hosts say of packets that they turned away: the verdict where it was, once for all conversations between the same two.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod made;

use etherparse::PacketBuilder;
use hopscope::report::{Report, Severity, Verdict};

type Timed = (i64, Vec<u8>);

fn mac(n: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, n]
}

/// A datagram of host 1 to port 53 of an address, by host 2, and that host's word on it.
fn probe(at: i64, port: u16, to: u8, ttl: u8, says: Option<(u8, u8)>) -> Vec<Timed> {
    let mut sent = Vec::new();
    let builder = PacketBuilder::ethernet2(mac(1), mac(2)).ipv4([10, 0, 0, 1], [10, 0, 0, to], ttl);
    builder.udp(port, 53).write(&mut sent, format!("{port} asks what this is").as_bytes()).unwrap();
    let answer = says.map(|(kind, code)| {
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ethernet2(mac(2), mac(1)).ipv4([10, 0, 0, 2], [10, 0, 0, 1], 64);
        // The header and eight octets of what it is about.
        builder.icmpv4_raw(kind, code, [0; 4]).write(&mut bytes, &sent[14..42]).unwrap();
        (at + 300, bytes)
    });
    std::iter::once((at, sent.clone())).chain(answer).collect()
}

/// Something else that a host sends to host 9, which shows whose capture this is.
fn own(n: u8) -> Timed {
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ethernet2(mac(n), mac(9)).ipv4([10, 0, 0, n], [10, 0, 0, 9], 64);
    builder.udp(9, 9).write(&mut bytes, format!("{n} says something else").as_bytes()).unwrap();
    (900_000, bytes)
}

fn capture(of: u8, frames: &[Timed]) -> Vec<u8> {
    made::pcap(frames.iter().cloned().chain([own(of)]))
}

/// Host 1's capture and host 2's, 50 µs away.
fn report(frames: &[Timed]) -> Report {
    let is_back = |f: &Timed| f.1[6..12] == mac(2);
    let there: Vec<Timed> = frames.iter().map(|f| (f.0 + if is_back(f) { -50 } else { 50 }, f.1.clone())).collect();
    made::report(9, [("a.pcap", capture(1, frames)), ("b.pcap", capture(2, &there))])
}

/// The paths to port 53.
fn asked(report: &Report) -> Vec<&hopscope::report::Path> {
    report.paths.iter().filter(|p| p.flow.server.port == Some(53)).collect()
}

fn of_kind<'a>(report: &'a Report, kind: &str) -> Vec<&'a hopscope::report::Finding> {
    report.findings.iter().filter(|f| f.kind == kind).collect()
}

#[test]
fn what_a_host_cannot_deliver_is_rejected_there_and_told_once() {
    let frames = [probe(0, 40_001, 77, 63, Some((3, 1))), probe(5_000, 40_002, 77, 63, Some((3, 1)))].concat();
    let report = report(&frames);
    assert_eq!(asked(&report).len(), 2);
    for d in asked(&report).iter().map(|p| &p.directions[0]) {
        assert_eq!(d.verdict, Verdict::Rejected);
        let last = d.hops.last().unwrap();
        assert_eq!(last.owner, "instance:i-2", "{:?}", d.hops.iter().map(|h| &h.owner).collect::<Vec<_>>());
    }
    let told = of_kind(&report, "icmp_error");
    assert_eq!((told.len(), told[0].severity, told[0].paths.len()), (1, Severity::Error, 2));
    assert!(told[0].summary.contains("1 more conversation"), "{}", told[0].summary);
    let is_asked = |f: &&hopscope::report::Finding| f.paths.iter().any(|id| asked(&report).iter().any(|p| p.id == *id));
    let (silent, lost) = (of_kind(&report, "no_reply"), of_kind(&report, "packet_loss"));
    assert!(!silent.iter().chain(&lost).any(is_asked), "{silent:?} {lost:?}");
}

#[test]
fn a_probe_of_traceroute_is_no_routing_loop() {
    let told = |ttl: u8| {
        let report = report(&probe(0, 40_001, 77, ttl, Some((11, 0))));
        assert_eq!(asked(&report)[0].directions[0].verdict, Verdict::Rejected);
        let told = of_kind(&report, "icmp_error");
        (told[0].severity, told[0].summary.contains("traceroute"))
    };
    assert_eq!(told(1), (Severity::Info, true));
    assert_eq!(told(62), (Severity::Error, false));
}

#[test]
fn what_went_on_was_not_turned_away() {
    // Host 2 forwards the first to host 3, which does not answer; the second it cannot deliver any more.
    let mut frames = probe(0, 40_001, 3, 64, None);
    let mut forwarded = frames[0].1.clone();
    forwarded[..6].copy_from_slice(&mac(3));
    forwarded[6..12].copy_from_slice(&mac(2));
    forwarded[22] = 63;
    frames.extend(probe(500_000, 40_001, 3, 64, Some((3, 1))));
    let captures = [("a.pcap", capture(1, &frames)), ("b.pcap", capture(2, &frames)), ("c.pcap", capture(3, &[(120, forwarded)]))];
    let report = made::report(9, captures);
    let path = asked(&report)[0];
    let d = &path.directions[0];
    assert_eq!(d.hops.last().unwrap().owner, "instance:i-3");
    assert_ne!(d.verdict, Verdict::Rejected, "{:?}", d.hops.iter().map(|h| &h.owner).collect::<Vec<_>>());
}

/// A connection of host 1 to host 3 beyond host 2, which ends with a reset of this TTL; all else from there has 60.
fn reset_with(ttl: u8) -> String {
    let segment = |at: i64, is_answer: bool, ttl: u8, seq: u32, flags: &str, data: &[u8]| {
        let mut bytes = Vec::new();
        let (macs, ips, ports) = if is_answer { ((2, 1), (3, 1), (443, 40_000)) } else { ((1, 2), (1, 3), (40_000, 443)) };
        let builder = PacketBuilder::ethernet2(mac(macs.0), mac(macs.1)).ipv4([10, 0, 0, ips.0], [10, 0, 0, ips.1], ttl);
        let tcp = builder.tcp(ports.0, ports.1, seq, 64_000);
        let tcp = if flags.contains('S') { tcp.syn() } else { tcp };
        let tcp = if flags.contains('R') { tcp.rst() } else { tcp };
        let tcp = if flags.contains('A') { tcp.ack(seq ^ 77) } else { tcp };
        tcp.write(&mut bytes, data).unwrap();
        (at, bytes)
    };
    let frames = [
        segment(0, false, 64, 100, "S", b""),
        segment(900, true, 60, 500, "SA", b""),
        segment(1000, false, 64, 101, "A", b"hello"),
        segment(1900, true, 60, 501, "A", b"yes?"),
        segment(400_000, false, 64, 106, "A", b"still there?"),
        segment(400_300, true, ttl, 505, "R", b""),
    ];
    let report = made::report(3, [("a.pcap", capture(1, &frames))]);
    let told = of_kind(&report, "reset");
    assert_eq!(told.len(), 1, "{:?}", report.findings);
    told[0].summary.clone()
}

#[test]
fn a_reset_with_a_ttl_of_its_own_is_not_its_senders() {
    let (own, others) = (reset_with(60), reset_with(63));
    assert!(own.starts_with("i-3 resets the established connection"), "{own}");
    assert!(
        others.starts_with("a reset in the name of i-3 ends") && others.contains("its TTL is 63, of all else from there 60"),
        "{others}"
    );
}
