//! Conversations: every stream of every capture, joined by tuple, and across translations by what they carry.
//! Knows tuples and identities; must not know who owns an address.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use crate::digest::{CaptureDigest, NO_TIME, Rate, Row, StreamKey, Tuple};
use crate::dissect::flags;
use crate::identify::place::{Capture, Point};
use crate::model::{Nanos, Protocol};

/// One stream at one point, seen as a part of a flow.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    /// Index of the point.
    pub point: usize,
    /// Index of the capture.
    pub capture: usize,
    /// The stream.
    pub stream: u32,
    /// Whether it runs from the flow's lower end to its higher one.
    pub forward: bool,
}

/// A tuple, both ways, wherever it was seen.
#[derive(Clone, Debug)]
pub struct Flow {
    /// From the lower (address, port) to the higher.
    pub tuple: Tuple,
    /// Its streams, by point.
    pub sightings: Vec<Sighting>,
}

/// Flows that carry the same packets under different addresses, and those that none shares.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// Indexes of its flows.
    pub flows: Vec<usize>,
    /// Shared identities that joined them: (one flow, other flow, how many, one sighting of each: capture and row).
    pub joins: Vec<Join>,
}

/// Why two flows are one conversation.
#[derive(Clone, Copy, Debug)]
pub struct Join {
    /// First flow.
    pub a: usize,
    /// Second flow.
    pub b: usize,
    /// Distinct packets found in both.
    pub shared: u32,
    /// One of them in the first flow: capture and row.
    pub row_a: (usize, u32),
    /// And in the second.
    pub row_b: (usize, u32),
    /// Whether a's forward packets are b's forward packets.
    pub same_way: bool,
}

/// All flows and how they group.
#[derive(Debug, Default)]
pub struct Flows {
    /// By tuple.
    pub flows: Vec<Flow>,
    /// Groups, in order of their first flow.
    pub conversations: Vec<Conversation>,
    /// Identities that too many flows share to say anything; dropped, not guessed.
    pub ambiguous: u64,
    /// How many packets one of was kept, of all captures.
    pub rate: Rate,
    /// Flows of which no packet was kept: what they were part of cannot be told, and they are traced by nobody.
    pub unexamined: u64,
    /// Rows of each stream: per capture, (offset per stream, places of the rows among those that are kept).
    index: Vec<StreamIndex>,
}

#[derive(Debug, Default)]
struct StreamIndex {
    starts: Vec<u32>,
    rows: Vec<u32>,
}

impl StreamIndex {
    fn of(digest: &CaptureDigest) -> Self {
        let mut starts = vec![0_u32; digest.streams.len() + 1];
        for stream in digest.streams_of_rows() {
            if let Some(s) = starts.get_mut(stream as usize + 1) {
                *s += 1;
            }
        }
        let mut total = 0;
        for s in &mut starts {
            total += *s;
            *s = total;
        }
        let mut next = starts.clone();
        let mut rows = vec![0_u32; digest.kept() as usize];
        for (place, stream) in (0..).zip(digest.streams_of_rows()) {
            if let Some(at) = next.get_mut(stream as usize) {
                if let Some(slot) = rows.get_mut(*at as usize) {
                    *slot = place;
                }
                *at += 1;
            }
        }
        Self { starts, rows }
    }

    fn rows(&self, stream: u32) -> &[u32] {
        let at = stream as usize;
        match (self.starts.get(at), self.starts.get(at + 1)) {
            (Some(from), Some(to)) => self.rows.get(*from as usize..*to as usize).unwrap_or_default(),
            _ => &[],
        }
    }
}

/// So many identities stand for a flow's way in the join: the lowest, so that every point chooses the same packets.
const SKETCH: usize = 64;
/// An identity in more flows than this joins none of them.
const MOST_FLOWS: usize = 6;

/// Groups every stream of every point into flows and conversations.
#[must_use]
pub fn flows(captures: &[Capture<'_>], points: &[Point]) -> Flows {
    let rate = captures.iter().map(|c| c.digest.rate()).max().unwrap_or_default();
    let mut all = Flows { rate, index: captures.iter().map(|c| StreamIndex::of(c.digest)).collect(), ..Flows::default() };
    let mut by_tuple: BTreeMap<Tuple, Vec<Sighting>> = BTreeMap::new();
    for (point_id, point) in points.iter().enumerate() {
        let Some(capture) = captures.get(point.capture) else { continue };
        let errors: BTreeSet<u32> = capture.digest.errors.iter().map(|e| e.stream).collect();
        for id in &point.streams {
            let Some(stream) = capture.digest.streams.get(*id as usize) else { continue };
            // An error message belongs to the conversation that it is about, not to one of its own.
            let Some(tuple) = stream.key.flow.filter(|_| !errors.contains(id)) else { continue };
            if !is_conversation(&stream.key, tuple) {
                continue;
            }
            let forward = (tuple.src, tuple.src_port) <= (tuple.dst, tuple.dst_port);
            let key = if forward { tuple } else { tuple.reversed() };
            by_tuple.entry(key).or_default().push(Sighting { point: point_id, capture: point.capture, stream: *id, forward });
        }
    }
    all.flows = by_tuple.into_iter().map(|(tuple, sightings)| Flow { tuple, sightings }).collect();
    let found = all.flows.len();
    let index = &all.index;
    all.flows.retain(|f| f.sightings.iter().any(|s| index.get(s.capture).is_some_and(|i| !i.rows(s.stream).is_empty())));
    all.unexamined = (found - all.flows.len()) as u64;
    all.flows.retain(|f| all_echo(captures, f, &all.index));
    let joins = joins(captures, &all.flows, &all.index, &mut all.ambiguous);
    all.conversations = group(all.flows.len(), joins);
    all
}

/// Neighbour discovery, router advertisements and multicast chatter are no conversation between two ends.
fn is_conversation(key: &StreamKey, tuple: Tuple) -> bool {
    let special = |ip: std::net::IpAddr| crate::identify::inventory::is_special(ip);
    let group = key.dst_mac.is_some_and(crate::model::Mac::is_group);
    !(special(tuple.src) || special(tuple.dst) || group)
}

/// For ICMP only echo and its reply make a conversation; for all else, everything does.
fn all_echo(captures: &[Capture<'_>], flow: &Flow, index: &[StreamIndex]) -> bool {
    if !matches!(flow.tuple.protocol, Protocol::Icmp | Protocol::Icmpv6) {
        return true;
    }
    flow.sightings.iter().any(|s| {
        let (Some(index), Some(capture)) = (index.get(s.capture), captures.get(s.capture)) else { return false };
        let first = index.rows(s.stream).first().and_then(|r| capture.digest.kept_row(*r));
        first.is_some_and(|r| matches!(r.flags, 0 | 8 | 128 | 129))
    })
}

impl Flows {
    /// The rows of a sighting that were kept, in the file's order.
    pub fn rows<'a>(&'a self, captures: &'a [Capture<'a>], s: &Sighting) -> impl Iterator<Item = Row> + use<'a> {
        let rows = self.index.get(s.capture).map_or(&[][..], |i| i.rows(s.stream));
        let digest = captures.get(s.capture).map(|c| c.digest);
        digest.into_iter().flat_map(move |d| d.kept_rows(rows))
    }

    /// Whether every packet of a sighting was kept.
    #[must_use]
    pub fn is_whole(&self, captures: &[Capture<'_>], s: &Sighting) -> bool {
        let rows = self.index.get(s.capture).map_or(0, |i| i.rows(s.stream).len());
        captures.get(s.capture).is_some_and(|c| c.digest.is_whole(s.stream, rows))
    }

    /// Whether the flow's lower end began it: yes, no, or not to be told.
    #[must_use]
    pub fn begun_by_lower(&self, captures: &[Capture<'_>], flow: &Flow) -> Option<bool> {
        let mut votes = 0_i64;
        let mut earliest: Option<(Nanos, bool)> = None;
        for s in &flow.sightings {
            let sign = if s.forward { 1 } else { -1 };
            for row in self.rows(captures, s).take(SKETCH) {
                match flow.tuple.protocol {
                    Protocol::Tcp if row.flags & flags::SYN != 0 => {
                        votes += if row.flags & flags::ACK == 0 { 100 * sign } else { -100 * sign }
                    }
                    Protocol::Icmp => votes += if row.flags == 8 { sign } else { -sign },
                    Protocol::Icmpv6 => votes += if row.flags == 128 { sign } else { -sign },
                    _ => {}
                }
                if row.time != NO_TIME && earliest.is_none_or(|e| row.time < e.0) {
                    earliest = Some((row.time, s.forward));
                }
            }
            // Who spoke first is known of all packets.
            let first = captures.get(s.capture).and_then(|c| c.digest.streams.get(s.stream as usize)).map(|s| s.first_ns);
            if let Some(first) = first.filter(|t| self.rate.is_sampled() && *t != NO_TIME && earliest.is_none_or(|e| *t < e.0)) {
                earliest = Some((first, s.forward));
            }
        }
        if votes != 0 {
            return Some(votes > 0);
        }
        // The registered port is the server's; else whoever spoke first.
        let (low, high) = (flow.tuple.src_port, flow.tuple.dst_port);
        if low != high && (low < 1024) != (high < 1024) {
            return Some(high < 1024);
        }
        if low != high && (low < 32768) != (high < 32768) {
            return Some(high < 32768);
        }
        earliest.map(|e| e.1)
    }
}

/// One way of a flow that holds an identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    ident: u64,
    flow: u32,
    forward: bool,
    capture: u32,
    row: u32,
}

/// Flows that share packets: sorts the flows' sketches by identity and counts, for each pair of flows, how many they share.
fn joins(captures: &[Capture<'_>], flows: &[Flow], index: &[StreamIndex], ambiguous: &mut u64) -> Vec<Join> {
    let mut entries: Vec<Entry> = Vec::new();
    for (id, flow) in flows.iter().enumerate() {
        for forward in [true, false] {
            let mut sketch: BTreeMap<u64, (u32, u32)> = BTreeMap::new();
            for s in flow.sightings.iter().filter(|s| s.forward == forward) {
                let (Some(index), Some(capture)) = (index.get(s.capture), captures.get(s.capture)) else { continue };
                for row in capture.digest.kept_rows(index.rows(s.stream)) {
                    if row.ident == 0 || is_common(flow.tuple.protocol, &row) {
                        continue;
                    }
                    if sketch.len() >= SKETCH && sketch.last_key_value().is_some_and(|(k, _)| *k < row.ident) {
                        continue;
                    }
                    sketch.entry(row.ident).or_insert((u32::try_from(s.capture).unwrap_or(u32::MAX), row.row));
                    if sketch.len() > SKETCH {
                        sketch.pop_last();
                    }
                }
            }
            let flow = u32::try_from(id).unwrap_or(u32::MAX);
            entries.extend(sketch.into_iter().map(|(ident, (capture, row))| Entry { ident, flow, forward, capture, row }));
        }
    }
    entries.sort_unstable();
    let mut pairs: FxHashMap<(u32, u32), Join> = FxHashMap::default();
    for group in entries.chunk_by(|a, b| a.ident == b.ident) {
        if group.len() < 2 {
            continue;
        }
        if group.len() > MOST_FLOWS {
            *ambiguous += 1;
            continue;
        }
        for (n, x) in group.iter().enumerate() {
            for y in group.iter().skip(n + 1).filter(|y| y.flow != x.flow) {
                let join = pairs.entry((x.flow, y.flow)).or_insert(Join {
                    a: x.flow as usize,
                    b: y.flow as usize,
                    shared: 0,
                    row_a: (x.capture as usize, x.row),
                    row_b: (y.capture as usize, y.row),
                    same_way: x.forward == y.forward,
                });
                if (x.forward == y.forward) == join.same_way {
                    join.shared += 1;
                }
            }
        }
    }
    let mut joins: Vec<Join> = pairs.into_values().filter(|j| is_enough(j, captures, flows)).collect();
    joins.sort_unstable_by_key(|j| (j.a, j.b));
    joins
}

/// Packets that look alike in many conversations: resets carry no timestamps and mostly no acknowledgement.
fn is_common(protocol: Protocol, row: &Row) -> bool {
    protocol == Protocol::Tcp && row.flags & flags::RST != 0
}

/// A TCP identity holds 32 bits of sequence number, mostly 32 of acknowledgement and 64 of timestamps: one will do, if the
/// packets are not minutes apart. What is named by payload alone needs to be long, or to come twice.
fn is_enough(join: &Join, captures: &[Capture<'_>], flows: &[Flow]) -> bool {
    let row = |(capture, row): (usize, u32)| captures.get(capture).and_then(|c| c.digest.row(row));
    let (Some(a), Some(b)) = (row(join.row_a), row(join.row_b)) else { return false };
    const SKEW: Nanos = 3_600_000_000_000;
    if a.time != NO_TIME && b.time != NO_TIME && (a.time - b.time).abs() > SKEW {
        return false;
    }
    match flows.get(join.a).map(|f| f.tuple.protocol) {
        Some(Protocol::Tcp) => join.shared >= 1,
        Some(_) => join.shared >= 2 || a.len >= 12 || a.ip_id != 0,
        None => false,
    }
}

fn group(n: usize, joins: Vec<Join>) -> Vec<Conversation> {
    let mut sets = petgraph::unionfind::UnionFind::<usize>::new(n);
    for j in &joins {
        sets.union(j.a, j.b);
    }
    let labels = sets.into_labeling();
    let mut groups: BTreeMap<usize, Conversation> = BTreeMap::new();
    let mut first: BTreeMap<usize, usize> = BTreeMap::new();
    for (flow, label) in labels.iter().enumerate() {
        let head = *first.entry(*label).or_insert(flow);
        groups.entry(head).or_default().flows.push(flow);
    }
    for j in joins {
        if let Some(c) = labels.get(j.a).and_then(|l| first.get(l)).and_then(|h| groups.get_mut(h)) {
            c.joins.push(j);
        }
    }
    groups.into_values().collect()
}
