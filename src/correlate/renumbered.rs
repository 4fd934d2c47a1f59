//! IP ids that something on the way wrote anew: some middle boxes do, and some tunnels. Packets without sequence numbers are then
//! known by their content alone.
//! Knows flows and identities; must not know whose an address is.
//!
//! Content alone is weak: many clients ask one server the same. So it decides only between two points and for one end of
//! conversations, where packets do not keep their ids and most of what is told apart by content is at both. Two flows are one only
//! if no point has both, and if the packets of one have crossed a hop that those of the other have not: what two clients say alike
//! begins twice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::flows::{Flow, Join, Sighting};
use super::summary::Summary;
use crate::digest::{Row, by_content};
use crate::identify::inventory::behind_nat64;
use crate::identify::place::Capture;
use crate::model::Protocol;

/// So many packets of a stream are compared: those with the lowest hashes of content, so that every point chooses the same.
const COMPARED: usize = 16;

/// Fewer agree by chance.
const LEAST: u32 = 2;

/// Of so many that agree in content one may have the same id by chance or for another reason.
const BY_CHANCE: u32 = 64;

/// A content at more points than a packet ever crosses is many packets'.
const MOST_POINTS: usize = 32;

/// One end of conversations, IPv4 where it is also reached by NAT64: a translator has no id to keep.
type End = (Protocol, IpAddr, u16);

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Renumbered {
    /// Flows whose packets are to be compared by content, by index.
    pub(super) flows: BTreeSet<usize>,
    /// Flows that carry the same contents under different addresses.
    pub(super) joins: Vec<Join>,
}

/// A packet at one point, of conversations with one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    content: u64,
    /// Whether that end sent it.
    is_sender: bool,
    point: usize,
    flow: usize,
    forward: bool,
    ident: u64,
    ttl: u8,
    capture: usize,
    row: u32,
}

/// How often two points agree.
#[derive(Clone, Copy, Debug, Default)]
struct Agreement {
    by_content: u32,
    with_id: u32,
}

/// Looks at flows without sequence numbers, end by end.
pub(super) fn renumbered(captures: &[Capture<'_>], flows: &[Flow], index: &[Summary]) -> Renumbered {
    let mut found = Renumbered::default();
    let mut ends: BTreeMap<End, Vec<(usize, bool)>> = BTreeMap::new();
    for (id, flow) in flows.iter().enumerate().filter(|(_, f)| f.tuple.protocol != Protocol::Tcp) {
        let t = flow.tuple;
        let end = |ip: IpAddr, port| (t.protocol, behind_nat64(ip).unwrap_or(ip), port);
        ends.entry(end(t.src, t.src_port)).or_default().push((id, true));
        ends.entry(end(t.dst, t.dst_port)).or_default().push((id, false));
    }
    let mut joins: BTreeMap<(usize, usize), Join> = BTreeMap::new();
    let mut entries = Vec::new();
    for with in ends.values() {
        let sightings = || with.iter().filter_map(|(id, _)| flows.get(*id)).flat_map(|f| &f.sightings);
        let one = sightings().next().map(|s| s.point);
        if sightings().all(|s| Some(s.point) == one) {
            continue;
        }
        entries.clear();
        for (id, is_lower) in with {
            let Some(flow) = flows.get(*id) else { continue };
            flow.sightings.iter().for_each(|s| enter(captures, index, (*id, flow, s), s.forward == *is_lower, &mut entries));
        }
        entries.sort_unstable();
        let between = renumbered_between(&entries);
        if between.is_empty() {
            continue;
        }
        // What was lost on such a way has no counterpart, and must be looked for by its content all the same.
        let is_there = |s: &Sighting| between.iter().any(|(p, q)| [p, q].contains(&&s.point));
        let there = with.iter().filter(|(id, _)| flows.get(*id).is_some_and(|f| f.sightings.iter().any(is_there)));
        found.flows.extend(there.map(|x| x.0));
        for (x, y) in alike(&entries).filter(|(x, y)| x.flow != y.flow && x.ttl != y.ttl && between.contains(&(x.point, y.point))) {
            if !apart(flows, x.flow, y.flow) {
                continue;
            }
            let (a, b) = if x.flow < y.flow { (x, y) } else { (y, x) };
            let same_way = a.forward == b.forward;
            let row = |e: &Entry| (e.capture, e.row);
            let new = || Join { a: a.flow, b: b.flow, shared: 0, row_a: row(a), row_b: row(b), same_way };
            let join = joins.entry((a.flow, b.flow)).or_insert_with(new);
            join.shared += u32::from(join.same_way == same_way);
        }
    }
    found.joins = joins.into_values().collect();
    found
}

/// Whether no point saw both flows.
fn apart(flows: &[Flow], a: usize, b: usize) -> bool {
    let (Some(a), Some(b)) = (flows.get(a), flows.get(b)) else { return false };
    !a.sightings.iter().any(|s| b.sightings.iter().any(|o| o.point == s.point))
}

/// The packets of a sighting that stand for it.
fn enter(captures: &[Capture<'_>], index: &[Summary], (id, flow, s): (usize, &Flow, &Sighting), is_sender: bool, to: &mut Vec<Entry>) {
    let ttl = captures.get(s.capture).and_then(|c| c.stream(s.stream)).map_or(0, |s| s.key.ttl);
    let places = index.get(s.capture).map_or(&[][..], |i| i.rows(s.stream));
    let rows = captures.get(s.capture).into_iter().flat_map(|c| c.digest.kept_rows(places)).filter(|r| r.ident != 0);
    let mut all: Vec<(u64, Row)> = rows.map(|r| (by_content(Some(flow.tuple.protocol), &r), r)).collect();
    let key = |x: &(u64, Row)| (x.0, x.1.row);
    // Some come several times; of those that are cut off, the last may be one.
    let enough = COMPARED * 4;
    let is_part = all.len() > enough;
    if is_part {
        all.select_nth_unstable_by_key(enough, key);
        all.truncate(enough);
    }
    all.sort_unstable_by_key(key);
    let last = all.last().map(|x| x.0).filter(|_| is_part);
    // What comes again says nothing: another copy may be the one that went on.
    let groups = all.chunk_by(|a, b| a.0 == b.0).filter(|g| g.first().map(|x| x.0) != last).take(COMPARED);
    to.extend(groups.filter_map(|g| if let [one] = g { Some(*one) } else { None }).map(|(content, r)| Entry {
        content,
        is_sender,
        point: s.point,
        flow: id,
        forward: s.forward,
        ident: r.ident,
        ttl,
        capture: s.capture,
        row: r.row,
    }));
}

/// Packets with one content at two points, once at each.
fn alike(entries: &[Entry]) -> impl Iterator<Item = (&Entry, &Entry)> {
    let at = |e: &Entry| (e.content, e.is_sender);
    entries.chunk_by(move |a, b| at(a) == at(b)).flat_map(|group| {
        let single: Vec<&Entry> =
            group.chunk_by(|a, b| a.point == b.point).filter_map(|here| if let [one] = here { Some(one) } else { None }).collect();
        let points = if single.len() > MOST_POINTS { 0 } else { single.len() };
        let pairs: Vec<_> = (0..points).flat_map(|n| (n + 1..points).map(move |m| (n, m))).collect();
        pairs.into_iter().filter_map(move |(n, m)| Some((*single.get(n)?, *single.get(m)?)))
    })
}

/// Between which points ids are written anew, the lower first.
fn renumbered_between(entries: &[Entry]) -> BTreeSet<(usize, usize)> {
    let mut agreements: BTreeMap<(usize, usize), Agreement> = BTreeMap::new();
    for (x, y) in alike(entries) {
        let a = agreements.entry((x.point, y.point)).or_default();
        if x.ident != y.ident {
            a.by_content += 1;
        } else if x.ident != x.content {
            // What has no id agrees in it everywhere.
            a.with_id += 1;
        }
    }
    let mut totals: BTreeMap<usize, u32> = BTreeMap::new();
    for e in entries {
        *totals.entry(e.point).or_default() += 1;
    }
    let total = |point: &usize| totals.get(point).copied().unwrap_or(0);
    agreements.retain(|(p, q), a| {
        a.by_content >= LEAST && a.by_content / BY_CHANCE >= a.with_id && a.by_content.saturating_mul(2) >= total(p).min(total(q))
    });
    agreements.into_keys().collect()
}
