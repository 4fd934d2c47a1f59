//! What a sample of the packets shows, held against what all of them show and against what happened: estimates hold the truth
//! within their error, nothing is claimed that all packets contradict, and neither order nor the way of thinning out shows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hopscope::analysis::analyze;
use hopscope::digest::Rate;
use hopscope::facts::Correction;
use hopscope::import::session::to_json;
use hopscope::ingest::{Ingest, Ingested};
use hopscope::report::{Hop, Report, Verdict, Way};
use hopscope::sample::fit;
use hopscope::views;

fn read(name: &str, bytes: &[u8]) -> Vec<Ingested> {
    let mut ingest = Ingest::new(name);
    ingest.push(bytes);
    ingest.finish()
}

fn sampled(inputs: &[Ingested], one_in: u64) -> Vec<Ingested> {
    let mut inputs = inputs.to_vec();
    fit(&mut inputs, u64::MAX, Rate::one_in(one_in));
    inputs
}

/// xorshift64: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % n
    }
}

/// Two hosts with one ENI each in one subnet.
const ENIS: &str = r#"{"NetworkInterfaces": [
  {"NetworkInterfaceId": "eni-1", "MacAddress": "02:00:00:00:00:01", "PrivateIpAddress": "10.0.0.1", "SubnetId": "subnet-1", "VpcId": "vpc-1",
   "Attachment": {"InstanceId": "i-1", "DeviceIndex": 0}, "PrivateIpAddresses": [{"Primary": true, "PrivateIpAddress": "10.0.0.1"}]},
  {"NetworkInterfaceId": "eni-2", "MacAddress": "02:00:00:00:00:02", "PrivateIpAddress": "10.0.0.2", "SubnetId": "subnet-1", "VpcId": "vpc-1",
   "Attachment": {"InstanceId": "i-2", "DeviceIndex": 0}, "PrivateIpAddresses": [{"Primary": true, "PrivateIpAddress": "10.0.0.2"}]}]}"#;

/// How a packet's payload is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Udp,
    Tcp,
    /// Segmentation offload: the sender's capture shows what the card cuts afterwards.
    Offloaded,
    /// Receive offload: the receiver's capture shows joined segments.
    Joined,
}

struct Capture(Vec<u8>);

impl Capture {
    fn new() -> Self {
        let head = [0xa1b2_c3d4_u32.to_le_bytes(), [2, 0, 4, 0], [0; 4], [0; 4], 96_u32.to_le_bytes(), 1_u32.to_le_bytes()];
        Self(head.concat())
    }

    fn frame(&mut self, micros: u64, from: u8, to: u8, transport: (u8, &[u8]), payload: usize) {
        let total = 20 + transport.1.len() + payload;
        let mut f = vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 8, 0, 0x45, 0];
        f.extend(u16::try_from(total).unwrap().to_be_bytes());
        f.extend([0, 0, 0x40, 0, 64, transport.0, 0, 0, 10, 0, 0, from, 10, 0, 0, to]);
        f.extend(transport.1);
        f.resize(14 + total.min(82), 0);
        for word in [1_700_000_000 + micros / 1_000_000, micros % 1_000_000, f.len() as u64, 14 + total as u64] {
            self.0.extend((word as u32).to_le_bytes());
        }
        self.0.extend(f);
    }

    fn tcp(&mut self, micros: u64, from: u8, seq: u32, ack: u32, flags: u8, payload: usize) {
        let ports: (u16, u16) = if from == 1 { (40_000, 9000) } else { (9000, 40_000) };
        let mut t = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
        t.extend(seq.to_be_bytes());
        t.extend(ack.to_be_bytes());
        t.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
        self.frame(micros, from, 3 - from, (6, &t), payload);
    }

    fn udp(&mut self, micros: u64, number: u32) {
        let mut t = [40_000_u16.to_be_bytes(), 9000_u16.to_be_bytes(), 208_u16.to_be_bytes(), [0, 0]].concat();
        t.extend(number.to_be_bytes());
        self.frame(micros, 1, 2, (17, &t), 196);
    }
}

/// Packets from host 1 to host 2 with some lost in between: the captures of both, how many of the first one's are missing at the
/// second, and how long they take in the median, in nanoseconds.
fn lossy(kind: Kind, seed: u64) -> (Vec<Ingested>, u64, i64) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let (mut a, mut b) = (Capture::new(), Capture::new());
    let packets = 1500 + random.below(1500);
    let loss = random.below(80);
    let longest = 1 + random.below(6);
    let delay = |random: &mut Random| 200 + random.below(100);
    let mut seq = random.below(1 << 32) as u32;
    let (mut burst, mut missing, mut at) = (0, 0, 1000);
    let mut delays = Vec::new();
    // Both captures run before the first of these packets.
    a.tcp(300, 2, 90, seq, 0x11, 0);
    b.tcp(0, 2, 90, seq, 0x11, 0);
    if kind != Kind::Udp {
        a.tcp(310, 1, seq.wrapping_sub(1), 0, 2, 0);
        b.tcp(550, 1, seq.wrapping_sub(1), 0, 2, 0);
        b.tcp(560, 2, 99, seq, 0x12, 0);
        a.tcp(860, 2, 99, seq, 0x12, 0);
    }
    let mut lost = |random: &mut Random| {
        if burst == 0 && random.below(1000) < loss {
            burst = 1 + random.below(longest);
        }
        let is_lost = burst > 0;
        burst = burst.saturating_sub(1_u64);
        is_lost
    };
    // What the receiver's card has joined so far.
    let mut joined: Option<(u64, u32, usize)> = None;
    for number in 0..packets {
        at += 20 + random.below(30);
        let later = at + delay(&mut random);
        delays.push((later - at) as i64 * 1000);
        match kind {
            Kind::Udp => {
                a.udp(at, number as u32);
                if lost(&mut random) {
                    missing += 1;
                } else {
                    b.udp(later, number as u32);
                }
            }
            Kind::Tcp | Kind::Joined => {
                let len = 1 + random.below(1448) as usize;
                a.tcp(at, 1, seq, 100, 0x10, len);
                let is_lost = lost(&mut random);
                missing += u64::from(is_lost);
                if kind == Kind::Tcp && !is_lost {
                    b.tcp(later, 1, seq, 100, 0x10, len);
                }
                if kind == Kind::Joined {
                    match &mut joined {
                        Some((_, _, long)) if !is_lost && *long < 30_000 => *long += len,
                        _ => {
                            if let Some((micros, from, long)) = joined.take() {
                                b.tcp(micros, 1, from, 100, 0x10, long);
                            }
                            joined = (!is_lost).then_some((later, seq, len));
                        }
                    }
                }
                seq = seq.wrapping_add(len as u32);
            }
            Kind::Offloaded => {
                let segments = 1 + random.below(30);
                a.tcp(at, 1, seq, 100, 0x10, segments as usize * 1448);
                let mut is_missing = false;
                for _ in 0..segments {
                    if lost(&mut random) {
                        is_missing = true;
                    } else {
                        b.tcp(later, 1, seq, 100, 0x10, 1448);
                    }
                    seq = seq.wrapping_add(1448);
                }
                missing += u64::from(is_missing);
            }
        }
        if kind != Kind::Udp && number % 7 == 0 {
            for (capture, micros) in [(&mut b, later + 5), (&mut a, later + 300)] {
                capture.tcp(micros, 2, 100, seq, 0x10, 0);
            }
        }
    }
    if let Some((micros, from, long)) = joined {
        b.tcp(micros, 1, from, 100, 0x10, long);
    }
    // Both captures go on after the last of these packets.
    b.tcp(at + 100_000, 2, 100, seq, 0x11, 0);
    a.tcp(at + 100_300, 2, 100, seq, 0x11, 0);
    delays.sort_unstable();
    let at = |name: &str, host: u8| Correction::Placement {
        input_name: name.to_owned(),
        interface_name: None,
        at: format!("if:instance:i-{host}/eth0"),
    };
    let session = to_json(&[at("a.pcap", 1), at("b.pcap", 2)]);
    let inputs = [("a.pcap", &a.0[..]), ("b.pcap", &b.0), ("enis.json", ENIS.as_bytes()), ("my.session.json", session.as_bytes())];
    let inputs = inputs.iter().flat_map(|(name, bytes)| read(name, bytes)).collect();
    (inputs, missing, delays[delays.len() / 2])
}

/// The hop at host 2 of the packets that host 1 sent.
fn arrival(report: &Report) -> &Hop {
    let hops = report.paths.iter().flat_map(|p| &p.directions).filter(|d| d.direction == Way::Request).flat_map(|d| &d.hops);
    let mut here = hops.filter(|h| h.observed && h.owner == "instance:i-2");
    here.next().expect("a hop at the second host")
}

#[test]
fn intervals_hold_what_was_lost_and_how_long_it_took() {
    const SEEDS: u64 = 20;
    let mut delays = 0;
    let mut held: BTreeMap<(String, u64), (u64, u64, u64)> = BTreeMap::new();
    for kind in [Kind::Udp, Kind::Tcp, Kind::Offloaded, Kind::Joined] {
        for seed in 1..=SEEDS {
            let (inputs, missing, took) = lossy(kind, seed);
            let all = analyze(&inputs);
            let whole = arrival(&all);
            assert_eq!((whole.missing, whole.missing_range), (missing, None), "{kind:?} {seed}: all packets");
            for one_in in [4, 16] {
                let report = analyze(&sampled(&inputs, one_in));
                let hop = arrival(&report);
                let [low, high] = hop.missing_range.expect("an estimate says its error");
                assert!(low <= hop.missing && hop.missing <= high && high <= hop.seen + high, "{kind:?} {seed}");
                let e = held.entry((format!("{kind:?}"), one_in)).or_default();
                e.0 += u64::from((low..=high).contains(&missing));
                // What the clocks leave open of it is a part of the interval.
                e.1 += u64::from(hop.delay_range_ns.is_none_or(|[low, high]| (low..=high).contains(&took)));
                delays += u64::from(hop.delay_range_ns.is_some());
                e.2 += high - low;
                assert_eq!(hop.seen, whole.seen, "what is seen is counted");
                assert_eq!(report.sampling.unwrap().one_in, one_in);
            }
        }
    }
    for ((kind, one_in), (missing, delay, width)) in &held {
        println!("{kind:10} 1/{one_in:<3} missing in {missing} of {SEEDS}, delay in {delay}, mean width {}", width / SEEDS);
    }
    assert!(delays > 4 * SEEDS, "{delays} delays are too few to tell");
    for ((kind, one_in), (missing, delay, _)) in held {
        assert!(missing * 10 >= SEEDS * 9, "{kind} 1/{one_in}: {missing} of {SEEDS} intervals hold the losses");
        assert!(delay * 10 >= SEEDS * 9, "{kind} 1/{one_in}: {delay} of {SEEDS} intervals hold the delay");
    }
}

/// The same captures, whoever of them is read first, thinned out early, late or on the way: the same bytes.
#[test]
fn neither_order_nor_the_way_of_thinning_out_shows() {
    let (a, b) = (lossy(Kind::Offloaded, 3).0, lossy(Kind::Udp, 4).0);
    let mut inputs: Vec<Ingested> = a.into_iter().chain(b).collect();
    for (n, one) in inputs.iter_mut().enumerate() {
        one.name = format!("{n}-{}", one.name);
    }
    let packets: u64 = inputs.iter().map(Ingested::kept).sum();
    for most in [packets / 3, packets / 20] {
        let mut together = inputs.clone();
        let rate = fit(&mut together, most, Rate::ALL);
        assert!(rate.is_sampled() && together.iter().map(Ingested::kept).sum::<u64>() <= most);
        let json = analyze(&together).to_json().unwrap();
        // One after another, each thinned out with those before it.
        let mut one_by_one: Vec<Ingested> = Vec::new();
        for one in inputs.iter().rev() {
            one_by_one.push(one.clone());
            fit(&mut one_by_one, most, Rate::ALL);
        }
        assert!(json == analyze(&one_by_one).to_json().unwrap(), "one by one");
        // Only one of them knows the rate.
        let mut mixed = inputs.clone();
        mixed[0].sample(rate);
        assert!(json == analyze(&mixed).to_json().unwrap(), "mixed rates");
        let moved: Vec<Ingested> = together.iter().map(|i| Ingested::from_bytes(&i.to_bytes()).unwrap()).collect();
        assert!(json == analyze(&moved).to_json().unwrap(), "through to_bytes");
        let saved: Vec<Ingested> = together
            .iter()
            .flat_map(|i| {
                let mut file = Vec::new();
                if !i.write_digest(&mut |bytes| file.extend_from_slice(bytes)) {
                    return vec![i.clone()];
                }
                read(&format!("{}.parquet", i.name), &file)
            })
            .collect();
        assert!(json == analyze(&saved).to_json().unwrap(), "as Parquet files");
    }
    let mut enough = inputs.clone();
    assert_eq!(fit(&mut enough, packets, Rate::ALL), Rate::ALL);
    assert!(analyze(&enough).to_json().unwrap() == analyze(&inputs).to_json().unwrap(), "what fits is not sampled");
}

/// Names and contents.
type Files = Vec<(String, Vec<u8>)>;

/// Every case's files, in the order of their names.
fn cases() -> Vec<(String, Files)> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, files) } else { files.push(path) }
        }
    }
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut found = Vec::new();
    for folder in std::fs::read_dir(cases).unwrap().map(|e| e.unwrap().path()).filter(|p| p.join("inputs").is_dir()) {
        let mut files = Vec::new();
        walk(&folder.join("inputs"), &mut files);
        files.sort();
        let name = |p: &Path| p.strip_prefix(&folder).unwrap().to_string_lossy().into_owned();
        let files = files.iter().map(|p| (name(p), std::fs::read(p).unwrap())).collect();
        found.push((folder.file_name().unwrap().to_string_lossy().into_owned(), files));
    }
    found.sort();
    found
}

/// Of a path: what tells it from the others.
fn ends(report: &Report, path: usize) -> String {
    let f = &report.paths[path].flow;
    format!("{} {}:{:?} {}:{:?}", f.protocol, f.client.ip, f.client.port, f.server.ip, f.server.port)
}

/// A finding of which this is told says what went wrong; others describe.
const TROUBLE: [&str; 9] = [
    "packet_loss",
    "no_reply",
    "connection_refused",
    "reset",
    "retransmission",
    "asymmetric_path",
    "mtu_exceeded",
    "arp_unanswered",
    "duplicate_address",
];

#[test]
fn a_sample_of_a_case_claims_nothing_that_all_packets_contradict() {
    let mut compared = 0;
    for (name, files) in cases() {
        let inputs: Vec<Ingested> = files.iter().flat_map(|(name, bytes)| read(name, bytes)).collect();
        let all = analyze(&inputs);
        for one_in in [4, 16, 256] {
            let what = format!("{name} 1/{one_in}");
            let report = analyze(&sampled(&inputs, one_in));
            assert_eq!(report.sampling.map(|s| s.one_in), Some(one_in), "{what}");
            let known: BTreeMap<String, usize> = (0..all.paths.len()).map(|p| (ends(&all, p), p)).collect();
            for p in 0..report.paths.len() {
                // A conversation of which too little was kept may be told with fewer of its addresses.
                let Some(same) = known.get(&ends(&report, p)) else {
                    assert!(one_in > 16, "{what}: {} is no path of all packets", ends(&report, p));
                    continue;
                };
                for d in &report.paths[p].directions {
                    let Some(whole) = all.paths[*same].directions.iter().find(|w| w.direction == d.direction) else { continue };
                    compared += 1;
                    let verdict = (d.verdict, whole.verdict);
                    assert!(
                        d.verdict == whole.verdict || d.verdict == Verdict::Unknown && whole.verdict == Verdict::Lost,
                        "{what} {}: {verdict:?}",
                        ends(&report, p)
                    );
                    for h in d.hops.iter().filter(|h| h.observed) {
                        let Some(w) = whole.hops.iter().find(|w| w.interface == h.interface && w.capture_points == h.capture_points) else {
                            continue;
                        };
                        assert_eq!(h.seen, w.seen, "{what}");
                        let [low, high] = h.missing_range.unwrap_or([h.missing; 2]);
                        assert!((low..=high).contains(&w.missing), "{what} {}: {} not in {low} to {high}", ends(&report, p), w.missing);
                    }
                }
            }
            let told = |r: &Report| -> BTreeSet<(String, Vec<String>)> {
                r.findings.iter().filter(|f| TROUBLE.contains(&f.kind.as_str())).map(|f| (f.kind.clone(), f.about.clone())).collect()
            };
            let (here, there) = (told(&report), told(&all));
            let new: Vec<_> = here.difference(&there).collect();
            assert!(new.is_empty(), "{what}: {new:?}");
            for text in
                [views::text(&report), views::html(&report), views::svg::svg(&report, &views::layout::Selection::all(), Default::default())]
            {
                assert!(text.contains(&format!("1 in {one_in} of the packets examined")), "{what}: the rate is not shown");
            }
        }
    }
    assert!(compared > 300, "{compared} directions");
}
