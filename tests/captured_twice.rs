//! One packet in two captures of one place, or twice in one capture: it is one packet, and what is really sent again is two.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod made;

use hopscope::report::{Report, Verdict};

/// A TCP segment on the wire between both: when in microseconds, who sends it, IP id, sequence and acknowledgement number, flags, octets.
#[derive(Clone)]
struct Segment {
    at: u32,
    from: u8,
    id: u16,
    seq: u32,
    ack: u32,
    flags: u8,
    len: usize,
    /// Whether it is on the far side of the router between both.
    is_beyond: bool,
}

impl Segment {
    fn frame(&self) -> Vec<u8> {
        let to = 3 - self.from;
        let port = |n: u8| if n == 1 { 40_000_u16 } else { 80 };
        // The router's face is 9 on either side.
        let mac = |n: u8| if (n == 2) == self.is_beyond { n } else { 9 };
        let ttl = if (self.from == 2) == self.is_beyond { 64 } else { 63 };
        let mut f = vec![2, 0, 0, 0, 0, mac(to), 2, 0, 0, 0, 0, mac(self.from), 8, 0, 0x45, 0];
        f.extend(u16::try_from(40 + self.len).unwrap().to_be_bytes());
        f.extend(self.id.to_be_bytes());
        f.extend([0x40, 0, ttl, 6, 0, 0, 10, 0, 0, self.from, 10, 0, 0, to]);
        f.extend(port(self.from).to_be_bytes());
        f.extend(port(to).to_be_bytes());
        f.extend(self.seq.to_be_bytes());
        f.extend(self.ack.to_be_bytes());
        f.extend([0x50, self.flags, 1, 0, 0, 0, 0, 0]);
        f.extend(vec![b'x'; self.len]);
        f
    }
}

/// A connection of 10.0.0.1 to 10.0.0.2 that carries ten answered messages, a tenth of a second apart.
fn connection() -> Vec<Segment> {
    let segment = |at, from, id, seq, ack, flags, len| Segment { at, from, id, seq, ack, flags, len, is_beyond: false };
    let mut all = vec![segment(0, 1, 1, 99, 0, 2, 0), segment(400, 2, 1, 499, 100, 0x12, 0), segment(800, 1, 2, 100, 500, 0x10, 0)];
    for n in 0..10_u32 {
        let id = u16::try_from(n).unwrap() + 3;
        all.push(segment(100_000 * (n + 1), 1, id, 100 + n * 50, 500 + n * 30, 0x18, 50));
        all.push(segment(100_000 * (n + 1) + 500, 2, id, 500 + n * 30, 150 + n * 50, 0x18, 30));
    }
    all
}

fn report<const N: usize>(captures: [(&'static str, &[Segment]); N]) -> Report {
    let frames = |segments: &[Segment]| made::pcap(segments.iter().map(|s| (i64::from(s.at), s.frame())));
    made::report(2, captures.map(|(name, segments)| (name, frames(segments))))
}

/// The same at 10.0.0.2, 60 µs away.
fn beyond(segments: &[Segment]) -> Vec<Segment> {
    segments.iter().map(|s| Segment { at: if s.from == 1 { s.at + 60 } else { s.at - 60 }, is_beyond: true, ..s.clone() }).collect()
}

/// Packets seen and missing at the two captured hops of each direction, all of which arrive.
fn told(report: &Report) -> Vec<Vec<(u64, u64)>> {
    assert_eq!(report.paths.len(), 1);
    let directions = &report.paths[0].directions;
    assert!(directions.iter().all(|d| d.verdict == Verdict::Delivered));
    directions.iter().map(|d| d.hops.iter().filter(|h| h.observed).map(|h| (h.seen, h.missing)).collect()).collect()
}

fn kinds(report: &Report) -> Vec<&str> {
    report.findings.iter().map(|f| f.kind.as_str()).filter(|k| *k != "router_identified").collect()
}

#[test]
fn captures_of_one_place_that_overlap_are_one_hop() {
    let all = connection();
    // Neither is the whole: the first is stopped, and the second was begun before that.
    let (first, second) = (&all[..15], &all[9..]);
    let report = report([("first.pcap", first), ("second.pcap", second), ("there.pcap", &beyond(&all))]);
    assert_eq!(told(&report), [[(8, 0), (12, 0)], [(11, 0), (7, 0)]]);
    for d in &report.paths[0].directions {
        let here = d.hops.iter().find(|h| h.observed && h.owner == "instance:i-1").unwrap();
        assert_eq!(here.capture_points.len(), 2, "{here:?}");
        assert!(d.hops.iter().filter_map(|h| h.delay_ns).all(|delay| delay == 60_000), "{:?}", d.hops);
    }
    assert_eq!(kinds(&report), Vec::<&str>::new());
}

#[test]
fn what_the_second_of_two_captures_has_not_is_missing_there_alone() {
    let all = connection();
    let there: Vec<Segment> = beyond(&all).into_iter().filter(|s| !(s.from == 1 && s.id == 8)).collect();
    let report = report([("first.pcap", &all), ("second.pcap", &all[9..]), ("there.pcap", &there)]);
    assert_eq!(told(&report)[0], [(12, 0), (11, 1)]);
}

#[test]
fn frames_that_a_mirrored_port_gives_twice_are_sent_once() {
    let all = connection();
    // As they enter the switch by one port and leave it by the other.
    let twice = |all: &[Segment]| all.iter().flat_map(|s| [s.clone(), Segment { at: s.at + 3, ..s.clone() }]).collect::<Vec<_>>();
    let report = report([("a.pcap", &twice(&all)), ("b.pcap", &beyond(&all))]);
    assert_eq!(told(&report), [[(12, 0), (12, 0)], [(11, 0), (11, 0)]]);
    assert_eq!(report.paths[0].packets, 23);
    assert_eq!(kinds(&report), Vec::<&str>::new());
}

#[test]
fn what_is_sent_again_was_sent_twice() {
    let mut all = connection();
    // The same octets again with an IP id of their own, as soon as a copy would come.
    let again: Vec<Segment> = all[3..].iter().map(|s| Segment { at: s.at + 100, id: s.id + 1000, ..s.clone() }).collect();
    all.extend(again);
    all.sort_by_key(|s| s.at);
    let report = report([("a.pcap", &all), ("b.pcap", &beyond(&all))]);
    assert_eq!(told(&report), [[(22, 0), (22, 0)], [(21, 0), (21, 0)]]);
    assert!(kinds(&report).contains(&"retransmission"), "{:?}", report.findings);
}
