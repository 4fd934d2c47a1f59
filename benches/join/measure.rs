//! What the join bench does, without a clock of its own: it runs natively and in WebAssembly.
//! Knows the engine's functions; must not know where it runs.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]

use hopscope::analysis::analyze_packed;
use hopscope::ingest::{Data, Ingest, Ingested};

/// As readers hand them over.
const CHUNK: usize = 1 << 18;

/// A clock's seconds.
pub(crate) type Clock<'a> = &'a dyn Fn() -> f64;

pub(crate) const HEAD: &str =
    "| points | packets at each | conversations | read | bare join | correlate, trace, diagnose | : bare join | : read |
|---|---|---|---|---|---|---|---|";

/// Points, packets at each, conversations.
pub(crate) const SIZES: [(u64, u64, u64); 3] = [(4, 250_000, 1_000), (4, 2_500_000, 1_000), (4, 250_000, 100_000)];

/// One row of the table.
pub(crate) fn row(points: u64, packets: u64, conversations: u64, now: Clock<'_>) -> String {
    let mut read = 0.0;
    let mut inputs: Vec<Ingested> = Vec::new();
    for point in 0..points {
        let mut ingest = Ingest::new(&format!("point-{point:02}.pcap"));
        let mut capture = Made::new(point, points, conversations);
        let mut left = packets;
        let mut chunk = capture.header();
        while left > 0 || !chunk.is_empty() {
            while left > 0 && chunk.len() < CHUNK {
                capture.frame(&mut chunk);
                left -= 1;
            }
            let start = now();
            ingest.push(&chunk);
            read += now() - start;
            chunk.clear();
        }
        let start = now();
        inputs.extend(ingest.finish());
        read += now() - start;
    }
    // The best of several counts: whatever else the machine does only ever adds.
    let runs = if packets > 1_000_000 { 2 } else { 5 };
    let best = |what: &mut dyn FnMut()| {
        let run = |_| {
            let start = now();
            what();
            now() - start
        };
        (0..runs).map(run).fold(f64::MAX, f64::min)
    };
    let keys: Vec<Vec<(u64, u32)>> = inputs.iter().map(keys_of).collect();
    let mut shared = 0;
    let bare = best(&mut || shared = join(&keys));
    assert_eq!(shared as u64, packets, "every packet is at every point");
    drop(keys);
    let mut paths = 0;
    let analysed = best(&mut || paths = analyze_packed(&inputs).paths.len());
    assert_eq!(paths as u64, conversations.min(packets), "every conversation has its path");
    format!(
        "| {points} | {packets} | {conversations} | {read:.3} | {bare:.3} | {analysed:.3} | {:.2} | {:.2} |",
        analysed / bare,
        analysed / read
    )
}

fn keys_of(input: &Ingested) -> Vec<(u64, u32)> {
    let Data::Capture(digest) = &input.data else { panic!("no capture") };
    digest.rows().map(|row| (row.ident, row.row)).collect()
}

/// How many keys are at every point: each point's keys sorted by radix, then merged.
fn join(points: &[Vec<(u64, u32)>]) -> usize {
    let sorted: Vec<Vec<(u64, u32)>> = points.iter().map(|keys| sort(keys.clone())).collect();
    let (first, others) = sorted.split_first().unwrap();
    let mut at = vec![0; others.len()];
    let is_at = |other: &[(u64, u32)], at: &mut usize, key: u64| {
        while other.get(*at).is_some_and(|x| x.0 < key) {
            *at += 1;
        }
        other.get(*at).is_some_and(|x| x.0 == key)
    };
    first.iter().filter(|(key, _)| others.iter().zip(&mut at).all(|(other, at)| is_at(other, at, *key))).count()
}

/// Eleven bits at a time, from the lowest.
fn sort(mut keys: Vec<(u64, u32)>) -> Vec<(u64, u32)> {
    const BITS: u32 = 11;
    let mut to = vec![(0, 0); keys.len()];
    for shift in (0..u64::BITS).step_by(BITS as usize) {
        let digit = |key: u64| (key >> shift) as usize & ((1 << BITS) - 1);
        let mut starts = vec![0_usize; (1 << BITS) + 1];
        keys.iter().for_each(|(key, _)| starts[digit(*key) + 1] += 1);
        for n in 0..1 << BITS {
            starts[n + 1] += starts[n];
        }
        for entry in &keys {
            let start = &mut starts[digit(entry.0)];
            to[*start] = *entry;
            *start += 1;
        }
        std::mem::swap(&mut keys, &mut to);
    }
    keys
}

/// One point's capture, cut after 96 octets: interleaved TCP connections with timestamps, each of its segments where the last one
/// ended. All points have the same packets.
struct Made {
    point: u64,
    points: u64,
    number: u64,
    random: u64,
    /// Next sequence number of each way.
    next: Vec<[u32; 2]>,
}

impl Made {
    fn new(point: u64, points: u64, conversations: u64) -> Self {
        let next = (0..conversations as u32).map(|n| [n.wrapping_mul(0x9e37_79b9), n.wrapping_mul(0x85eb_ca6b)]).collect();
        Self { point, points, number: 0, random: 0x9e37_79b9_7f4a_7c15, next }
    }

    fn header(&self) -> Vec<u8> {
        [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 96, 1].iter().flat_map(|w| w.to_le_bytes()).collect()
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % limit
    }

    fn frame(&mut self, out: &mut Vec<u8>) {
        let conversations = self.next.len() as u64;
        // Each conversation has packets, however few there are.
        let flow = if self.number < conversations { self.number } else { self.below(conversations) };
        let is_reply = self.below(2) == 0;
        let payload = if self.below(3) == 0 { 0 } else { self.below(1449) as u32 };
        let hop = if is_reply { self.points - 1 - self.point } else { self.point };
        let micros = self.number * 10 + hop * 20;
        let client = (0x0a00_0000 + flow as u32 / 7).to_be_bytes();
        let server = [10, 200, 0, (flow % 50) as u8];
        let ports = [(20_000 + flow % 40_000) as u16, 443];
        let (from, to, [from_port, to_port]) = if is_reply { (server, client, [ports[1], ports[0]]) } else { (client, server, ports) };
        let (near, far) = ([2, 0, 0, 0, self.point as u8, 1], [2, 0, 0, 0, self.point as u8, 2]);
        let (src, dst) = if is_reply { (far, near) } else { (near, far) };
        let next = &mut self.next[flow as usize];
        let (seq, ack) = (next[usize::from(is_reply)], next[usize::from(!is_reply)]);
        next[usize::from(is_reply)] = seq.wrapping_add(payload);
        let length = 66 + payload as usize;
        let kept = length.min(96);
        for word in [1_700_000_000 + micros / 1_000_000, micros % 1_000_000, kept as u64, length as u64] {
            out.extend((word as u32).to_le_bytes());
        }
        let begin = out.len();
        out.extend(dst.iter().chain(&src).chain(&[8, 0, 0x45, 0]));
        out.extend(((length - 14) as u16).to_be_bytes());
        out.extend((self.number as u16).to_be_bytes());
        out.extend([0x40, 0, 64 - hop.min(60) as u8, 6, 0, 0]);
        out.extend(from.iter().chain(&to));
        out.extend(from_port.to_be_bytes().iter().chain(&to_port.to_be_bytes()));
        out.extend(seq.to_be_bytes().iter().chain(&ack.to_be_bytes()));
        out.extend([0x80, 0x18, 0xff, 0xff, 0, 0, 0, 0, 1, 1, 8, 10]);
        // Two packets of one instant differ in this.
        out.extend((self.number as u32).to_be_bytes().iter().chain(&(flow as u32).to_be_bytes()));
        out.extend(self.number.to_be_bytes());
        out.resize(begin + kept.max(66), 0);
        out.truncate(begin + kept);
        self.number += 1;
    }
}
