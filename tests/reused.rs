//! One tuple, two conversations: a mapping that was made anew, a port that was used again.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod made;

use hopscope::report::Report;

/// A packet at one place: when in microseconds, the MACs' last octets, addresses' last octets and ports, TTL, and what tells it apart.
struct Seen {
    at: i64,
    macs: (u8, u8),
    from: (u8, u16),
    to: (u8, u16),
    ttl: u8,
    number: u16,
}

impl Seen {
    fn ip(&self, protocol: u8, transport: &[u8]) -> Vec<u8> {
        let mut f = vec![2, 0, 0, 0, 0, self.macs.1, 2, 0, 0, 0, 0, self.macs.0, 8, 0, 0x45, 0];
        f.extend(u16::try_from(20 + transport.len()).unwrap().to_be_bytes());
        f.extend(self.number.to_be_bytes());
        f.extend([0x40, 0, self.ttl, protocol, 0, 0, 10, 0, 0, self.from.0, 10, 0, 0, self.to.0]);
        f.extend(transport);
        f
    }

    fn udp(&self) -> (i64, Vec<u8>) {
        let mut u = [self.from.1.to_be_bytes(), self.to.1.to_be_bytes(), 28_u16.to_be_bytes(), [0, 0]].concat();
        u.extend([u8::try_from(self.number % 256).unwrap(); 20]);
        (self.at, self.ip(17, &u))
    }

    /// The first of a connection opens it.
    fn tcp(&self) -> (i64, Vec<u8>) {
        let mut t = [self.from.1.to_be_bytes(), self.to.1.to_be_bytes()].concat();
        t.extend((u32::from(self.number) * 1000).to_be_bytes());
        let flags = if self.number.is_multiple_of(100) { 0x02 } else { 0x10 };
        t.extend([0, 0, 0, 9, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        t.extend(if flags == 2 { vec![] } else { vec![7; 30] });
        (self.at, self.ip(6, &t))
    }
}

/// 10.0.0.1 sends six packets to 10.0.0.3, who gives the first three to 10.0.0.2 and the others to 10.0.0.4: as 10.0.0.1 sends them, and as
/// 10.0.0.3 passes them on. Packets `later` are a second behind.
fn sent(later: u16) -> (Vec<Seen>, Vec<Seen>) {
    let numbers = |n: u16| if n < 3 { (100 + n, 2) } else { (197 + n, 4) };
    let time = |n: u16| i64::from(n) * 10_000 + if n >= later { 1_000_000 } else { 0 };
    let dialled = (0..6).map(|n| Seen { at: time(n), macs: (1, 3), from: (1, 40_000), to: (3, 53), ttl: 64, number: numbers(n).0 });
    let passed = (0..6).map(|n| Seen {
        at: time(n) + 100,
        macs: (3, numbers(n).1),
        from: (1, 40_000),
        to: (numbers(n).1, 53),
        ttl: 63,
        number: numbers(n).0,
    });
    (dialled.collect(), passed.collect())
}

/// Of each path: its client, whom it dialled, its server, packets.
fn told(report: &Report) -> Vec<(String, String, String, u64)> {
    let each = |p: &hopscope::report::Path| {
        let dialled = p.flow.via.as_ref().map_or("-", |v| &v.ip).to_owned();
        (p.flow.client.ip.clone(), dialled, p.flow.server.ip.clone(), p.packets)
    };
    report.paths.iter().map(each).collect()
}

fn two_servers() -> Vec<(String, String, String, u64)> {
    ["10.0.0.2", "10.0.0.4"].map(|server| ("10.0.0.1".to_owned(), "10.0.0.3".to_owned(), server.to_owned(), 3)).into()
}

#[test]
fn a_mapping_made_anew_to_another_server_is_another_conversation() {
    let (dialled, passed) = sent(3);
    let pcap = |all: &[Seen]| made::pcap(all.iter().map(Seen::udp));
    let report = made::report(4, [("a.pcap", pcap(&dialled)), ("c.pcap", pcap(&passed))]);
    assert_eq!(told(&report), two_servers());
    assert!(!report.findings.iter().any(|f| f.kind == "packet_loss"), "{:?}", report.findings);
    let request = report.paths.iter().map(|p| p.directions[0].hops.iter().filter(|h| h.observed).map(|h| (h.seen, h.missing)).collect());
    assert_eq!(request.collect::<Vec<Vec<_>>>(), [[(3, 0), (3, 0)], [(3, 0), (3, 0)]]);
}

#[test]
fn a_port_used_again_is_told_by_its_openings_where_no_point_saw_both() {
    let (dialled, passed) = sent(3);
    let pcap = |all: &[Seen]| made::pcap(all.iter().map(Seen::tcp));
    let report = made::report(4, [("a.pcap", pcap(&dialled)), ("b.pcap", pcap(&passed[..3])), ("d.pcap", pcap(&passed[3..]))]);
    assert_eq!(told(&report), two_servers());
}

#[test]
fn what_one_conversation_has_at_several_points_stays_one() {
    let (dialled, passed) = sent(9);
    // One connection, translated twice; the second translation was captured later than the first.
    let twice = |n: usize| Seen { from: (4, 1024), macs: (4, 2), ttl: 62, to: (2, 53), at: passed[n].at + 200, ..passed[n] };
    let behind: Vec<Seen> = (3..6).map(twice).collect();
    let once: Vec<Seen> = passed.iter().take(3).map(|s| Seen { to: (2, 53), macs: (3, 4), ..*s }).collect();
    let pcap = |all: &[Seen]| made::pcap(all.iter().map(Seen::udp));
    let report = made::report(4, [("a.pcap", pcap(&dialled)), ("c.pcap", pcap(&once)), ("d.pcap", pcap(&behind))]);
    assert_eq!(report.paths.len(), 1, "{:?}", told(&report));
}
