//! Conversations: every stream of every capture, joined by tuple, and across translations by what they carry.
//! Knows tuples and identities; must not know who owns an address.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use crate::correlate::renumbered::{Renumbered, renumbered};
use crate::correlate::summary::{SKETCH, Summary};
use crate::digest::{NO_TIME, Rate, Row, StreamKey, Tuple, by_content};
use crate::identify::place::{Capture, Point};
use crate::model::{Nanos, Protocol};
use crate::order::Grouped;

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
    pub sightings: Box<[Sighting]>,
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
    /// Distinct packets found in both; none where each is one way of a redirected connection.
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
    /// How the flows group.
    groups: Groups,
    /// Identities that too many flows share to say anything; dropped, not guessed.
    pub ambiguous: u64,
    /// How many packets one of was kept, of all captures.
    pub rate: Rate,
    /// Flows of which no packet was kept: what they were part of cannot be told, and they are traced by nobody.
    pub unexamined: u64,
    /// What the rows say of each capture's streams.
    pub(super) index: Vec<Summary>,
    /// Streams whose packets are known by content alone, because something wrote their IP ids anew: capture and stream.
    by_content: BTreeSet<(usize, u32)>,
}

/// An identity in more flows than this joins none of them.
const MOST_FLOWS: usize = 6;

/// Groups every stream of every point into flows and conversations.
#[must_use]
pub fn flows(captures: &[Capture<'_>], points: &[Point]) -> Flows {
    let rate = captures.iter().map(|c| c.digest.rate()).max().unwrap_or_default();
    let mut all = Flows { rate, index: captures.iter().map(|c| Summary::of(c, rate)).collect(), ..Flows::default() };
    // Each tuple with its lower end first, and the number that it got. What was seen of each, in order of points and streams: the
    // tuple's number (or its conversation's, where it had several), point, stream, whether that runs forward.
    let mut numbers: FxHashMap<(Tuple, u32), u32> = FxHashMap::default();
    // Most flows have two streams at a point: room that is made bit by bit leaves holes.
    numbers.reserve(points.iter().map(|p| p.streams.len().div_ceil(2)).max().unwrap_or(0));
    let mut seen: Vec<(u32, u32, u32, bool)> = Vec::with_capacity(points.iter().map(|p| p.streams.len()).sum());
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
            for (part, generation) in capture.parts_of(*id) {
                let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
                let number = *numbers.entry((key, generation)).or_insert(next);
                seen.push((number, u32::try_from(point_id).unwrap_or(u32::MAX), part, forward));
            }
        }
    }
    let mut tuples: Vec<((Tuple, u32), u32)> = numbers.into_iter().collect();
    tuples.sort_unstable();
    let of_tuple = Grouped::new(tuples.len(), seen.iter().map(|s| s.0));
    let sighting = |n: &u32| {
        let (_, point, stream, forward) = seen.get(*n as usize).copied().unwrap_or_default();
        let point = point as usize;
        Sighting { point, capture: points.get(point).map_or(0, |p| p.capture), stream, forward }
    };
    for ((tuple, _), number) in tuples {
        let flow = Flow { tuple, sightings: of_tuple.get(number).iter().map(sighting).collect() };
        if !flow.sightings.iter().any(|s| all.index.get(s.capture).is_some_and(|i| !i.rows(s.stream).is_empty())) {
            all.unexamined += 1;
        } else if all_echo(&flow, &all.index) {
            all.flows.push(flow);
        }
    }
    drop((seen, of_tuple));
    all.flows.shrink_to_fit();
    let mut joins = joins(captures, &all.flows, &all.index, &mut all.ambiguous);
    let Renumbered { flows: renumbered, joins: by_content } = renumbered(captures, &all.flows, &all.index);
    joins.extend(by_content);
    joins.extend(redirected(captures, &all.flows, &all.index));
    all.groups = Groups::of(all.flows.len(), joins);
    all.compare_by_content(captures, &renumbered);
    all
}

/// Neighbour discovery, router advertisements and multicast chatter are no conversation between two ends. IPv4's link-local
/// addresses are: metadata, time and names are asked for there.
fn is_conversation(key: &StreamKey, tuple: Tuple) -> bool {
    use crate::identify::inventory::{is_link_local, is_special};
    // So are a host's own that talk to its loopback device's: a proxy in a pod takes its connections there, and makes them.
    let is_other = |ip: std::net::IpAddr| !ip.is_loopback() && !is_special(ip);
    let is_own = key.is_looped() && (is_other(tuple.src) || is_other(tuple.dst));
    let special = |ip: std::net::IpAddr| is_special(ip) && !is_link_local(ip) && !(is_own && ip.is_loopback());
    let group = key.dst_mac.is_some_and(crate::model::Mac::is_group);
    !(special(tuple.src) || special(tuple.dst) || group)
}

/// For ICMP only echo and its reply make a conversation; for all else, everything does.
fn all_echo(flow: &Flow, index: &[Summary]) -> bool {
    if !matches!(flow.tuple.protocol, Protocol::Icmp | Protocol::Icmpv6) {
        return true;
    }
    flow.sightings.iter().any(|s| {
        let first = index.get(s.capture).and_then(|i| i.first(s.stream));
        first.is_some_and(|(_, flags)| matches!(flags, 0 | 8 | 128 | 129))
    })
}

impl Flows {
    /// The groups of flows, in order of their first ones.
    pub fn conversations(&self) -> impl Iterator<Item = Conversation> {
        self.groups.members.chunk_by(|a, b| a.0 == b.0).filter_map(|members| {
            let head = members.first()?.0;
            let joins = &self.groups.joins;
            let (first, after) = (joins.partition_point(|j| j.0 < head), joins.partition_point(|j| j.0 <= head));
            let joins = joins.get(first..after).unwrap_or_default().iter().map(|j| j.1).collect();
            Some(Conversation { flows: members.iter().map(|m| m.1 as usize).collect(), joins })
        })
    }

    /// The rows of a sighting that were kept, in the file's order.
    pub fn rows<'a>(&'a self, captures: &'a [Capture<'a>], s: &Sighting) -> impl Iterator<Item = Row> + use<'a> {
        let rows = self.index.get(s.capture).map_or(&[][..], |i| i.rows(s.stream));
        let digest = captures.get(s.capture).map(|c| c.digest);
        let unnumbered = self.by_content.contains(&(s.capture, s.stream));
        let plain = move |r: Row| if unnumbered { without_id(r) } else { r };
        digest.into_iter().flat_map(move |d| d.kept_rows(rows)).map(plain)
    }

    /// All streams of conversations of which some are to be compared by content are.
    fn compare_by_content(&mut self, captures: &[Capture<'_>], renumbered: &BTreeSet<usize>) {
        if renumbered.is_empty() {
            return;
        }
        let conversations = self.conversations().filter(|c| c.flows.iter().any(|f| renumbered.contains(f)));
        let flows = conversations.flat_map(|c| c.flows).filter_map(|f| self.flows.get(f)).filter(|f| f.tuple.protocol != Protocol::Tcp);
        let streams: BTreeSet<(usize, u32)> = flows.flat_map(|f| &f.sightings).map(|s| (s.capture, s.stream)).collect();
        for (capture, stream) in &streams {
            if let (Some(index), Some(c)) = (self.index.get_mut(*capture), captures.get(*capture)) {
                index.choose_again(c, *stream, self.rate, without_id);
            }
        }
        self.by_content = streams;
    }

    /// Forgets which packets stand for their streams: nobody compares points any more once all is judged.
    pub(crate) fn forget_samples(&mut self) {
        self.index.iter_mut().for_each(Summary::forget_samples);
    }

    /// Forgets what the rows say: nobody asks any more once all is judged and diagnosed.
    pub(crate) fn forget_rows(&mut self) {
        self.index = Vec::new();
    }

    /// Whether every packet of a sighting was kept.
    #[must_use]
    pub fn is_whole(&self, captures: &[Capture<'_>], s: &Sighting) -> bool {
        let rows = self.index.get(s.capture).map_or(0, |i| i.rows(s.stream).len());
        captures.get(s.capture).is_some_and(|c| c.digest.is_whole(s.stream, rows))
    }

    /// What the rows say of the streams of a sighting's capture.
    pub(crate) fn of(&self, s: &Sighting) -> Option<&Summary> {
        self.index.get(s.capture)
    }

    /// Whether the flow's lower end began it: yes, no, or not to be told.
    #[must_use]
    pub fn begun_by_lower(&self, captures: &[Capture<'_>], flow: &Flow) -> Option<bool> {
        let mut votes = 0_i64;
        let mut earliest: Option<(Nanos, bool)> = None;
        for s in &flow.sightings {
            let sign = if s.forward { 1 } else { -1 };
            let (vote, time) = self.of(s).map_or((0, None), |i| i.beginning(s.stream));
            votes += vote * sign;
            if let Some(time) = time.filter(|t| earliest.is_none_or(|e| *t < e.0)) {
                earliest = Some((time, s.forward));
            }
            // Who spoke first is known of all packets.
            let first = captures.get(s.capture).and_then(|c| c.stream(s.stream)).map(|s| s.first_ns);
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

/// The row of a packet whose IP id is not to be compared.
fn without_id(r: Row) -> Row {
    // Only what has no sequence number is compared so.
    Row { ident: by_content(None, &r), ip_id: 0, ..r }
}

/// One way of a flow that holds an identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    ident: u64,
    flow: u32,
    forward: bool,
    capture: u32,
    /// Place among the rows that are kept.
    place: u32,
}

/// Flows that share packets: sorts the flows' sketches by identity and counts, for each pair of flows, how many they share.
fn joins(captures: &[Capture<'_>], flows: &[Flow], index: &[Summary], ambiguous: &mut u64) -> Vec<Join> {
    let mut entries: Vec<Entry> = Vec::new();
    // Identity, number of the sighting, capture, place.
    let mut sketch: Vec<(u64, u32, u32, u32)> = Vec::new();
    for (flow, forward) in (0..).zip(flows).flat_map(|(id, flow)| [true, false].map(|forward| ((id, flow), forward))) {
        sketch.clear();
        let (id, flow) = flow;
        for (n, s) in (0..).zip(flow.sightings.iter().filter(|s| s.forward == forward)) {
            let capture = u32::try_from(s.capture).unwrap_or(u32::MAX);
            let names = index.get(s.capture).map(|i| i.sketch(s.stream)).unwrap_or_default();
            sketch.extend(names.iter().map(|x| (x.ident, n, capture, x.place)));
        }
        sketch.sort_unstable();
        let firsts = sketch.chunk_by(|a, b| a.0 == b.0).filter_map(|group| group.first().copied()).take(SKETCH);
        entries.extend(firsts.map(|(ident, _, capture, place)| Entry { ident, flow: id, forward, capture, place }));
    }
    // Nearly all differ in their identities.
    entries.sort_unstable_by(|a, b| a.ident.cmp(&b.ident).then_with(|| a.cmp(b)));
    let row = |e: &Entry| {
        let capture = e.capture as usize;
        (capture, captures.get(capture).map_or(0, |c| c.digest.row_at(e.place)))
    };
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
                    row_a: row(x),
                    row_b: row(y),
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

/// On a loopback device a rule that sends a connection elsewhere (REDIRECT) has rewritten requests before they are captured, and answers too:
/// each flow has one way only, and both are one connection's. They share no packet.
fn redirected(captures: &[Capture<'_>], flows: &[Flow], index: &[Summary]) -> Vec<Join> {
    // Point, protocol, address and port of whoever sends in the one flow and gets in the other; whether it sends, the flow, whether that end is
    // its lower one, and a row.
    type End = ((usize, Protocol, std::net::IpAddr, u16), bool, usize, bool, (usize, u32));
    let mut found: Vec<End> = Vec::new();
    for (id, flow) in flows.iter().enumerate() {
        let [s] = &flow.sightings[..] else { continue };
        let is_looped = captures.get(s.capture).and_then(|c| c.stream(s.stream)).is_some_and(|s| s.key.is_looped());
        let row = index.get(s.capture).and_then(|i| i.rows(s.stream).first()).filter(|_| is_looped);
        let Some(row) = row.and_then(|place| Some((s.capture, captures.get(s.capture)?.digest.row_at(*place)))) else { continue };
        let t = flow.tuple;
        for (ip, port, other, is_lower) in [(t.src, t.src_port, t.dst, true), (t.dst, t.dst_port, t.src, false)] {
            // The sender may be the client of a flow to the device, the receiver that of a flow from elsewhere.
            let sends = is_lower == s.forward;
            if !ip.is_loopback() && sends == other.is_loopback() {
                found.push(((s.point, t.protocol, ip, port), sends, id, is_lower, row));
            }
        }
    }
    crate::order::sort(&mut found);
    let one = |ends: &[End]| match ends {
        [(_, false, x, x_lower, x_row), (_, true, y, y_lower, y_row)] => {
            let same_way = x_lower == y_lower;
            let ((a, row_a), (b, row_b)) = if x < y { ((*x, *x_row), (*y, *y_row)) } else { ((*y, *y_row), (*x, *x_row)) };
            Some(Join { a, b, shared: 0, row_a, row_b, same_way })
        }
        _ => None,
    };
    found.chunk_by(|a, b| a.0 == b.0).filter_map(one).collect()
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

/// Flows by the first flow of their group: most groups have one.
#[derive(Debug, Default)]
struct Groups {
    /// First flow of the group, flow.
    members: Vec<(u32, u32)>,
    /// First flow of the group, join.
    joins: Vec<(u32, Join)>,
}

impl Groups {
    fn of(flows: usize, joins: Vec<Join>) -> Self {
        let mut sets = petgraph::unionfind::UnionFind::<u32>::new(flows);
        let number = |flow: usize| u32::try_from(flow).unwrap_or(u32::MAX);
        for j in &joins {
            sets.union(number(j.a), number(j.b));
        }
        let labels = sets.into_labeling();
        let mut first = vec![u32::MAX; labels.len()];
        let mut members = Vec::with_capacity(labels.len());
        for (flow, label) in (0..).zip(&labels) {
            if let Some(head) = first.get_mut(*label as usize) {
                *head = (*head).min(flow);
                members.push((*head, flow));
            }
        }
        members.sort_unstable();
        let head = |j: &Join| labels.get(j.a).and_then(|label| first.get(*label as usize)).copied();
        let mut joins: Vec<(u32, Join)> = joins.into_iter().filter_map(|j| Some((head(&j)?, j))).collect();
        joins.sort_by_key(|j| j.0);
        Self { members, joins }
    }
}
