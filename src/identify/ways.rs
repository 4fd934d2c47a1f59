//! Which stretches of Ethernet the packets from one address to another cross, as all captures together show: as many as there are pairs of
//! addresses that speak, so kept as rows of one sorted list.
//! Knows streams' addresses and TTLs; must not know whose they are.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use super::inventory::is_special;
use super::place::{Capture, INITIAL_TTLS, Point, streams};
use crate::model::Mac;

/// A frame: its input and row.
pub(super) type Frame = (usize, u32);

/// One stretch of Ethernet that packets of one address cross: from one MAC to another.
#[derive(Clone, Debug, Default)]
pub(super) struct Wire {
    pub(super) points: BTreeSet<usize>,
    /// The first packet.
    pub(super) first: Frame,
}

/// Source, destination, hosts passed since the source, the wire's MACs.
type Key = (IpAddr, IpAddr, u8, (Mac, Mac));

/// As the keys' own order, which compares addresses octet by octet: a third of the time, of which there is some for each stream.
fn compare(a: &Key, b: &Key) -> Ordering {
    match (a.0, a.1, b.0, b.1) {
        (IpAddr::V4(a0), IpAddr::V4(a1), IpAddr::V4(b0), IpAddr::V4(b1)) => {
            let both = |src: Ipv4Addr, dst: Ipv4Addr| u64::from(src.to_bits()) << 32 | u64::from(dst.to_bits());
            both(a0, a1).cmp(&both(b0, b1)).then_with(|| (a.2, a.3).cmp(&(b.2, b.3)))
        }
        _ => a.cmp(b),
    }
}

/// A wire of one pair of addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    key: Key,
    /// The first packet: input and row.
    first: (u32, u32),
    /// Index of the set of points that saw it.
    points: u32,
}

impl Row {
    pub(super) fn macs(&self) -> (Mac, Mac) {
        self.key.3
    }

    /// The first packet.
    pub(super) fn first(&self) -> Frame {
        (self.first.0 as usize, self.first.1)
    }
}

/// By source and destination.
#[derive(Debug, Default)]
pub(super) struct Ways {
    rows: Vec<Row>,
    /// Sets of points: there are few.
    sets: Vec<BTreeSet<usize>>,
    numbers: BTreeMap<BTreeSet<usize>, u32>,
}

/// Rows are brought together before there are twice as many as there were, but not below so many.
const FEW: usize = 1 << 16;

impl Ways {
    pub(super) fn of(captures: &[Capture<'_>], points: &[Point]) -> Self {
        let mut ways = Self::default();
        let mut limit = FEW;
        for (n, point) in points.iter().enumerate() {
            let Some(capture) = captures.get(point.capture) else { continue };
            let alone = ways.set(BTreeSet::from([n]));
            let input = u32::try_from(capture.input).unwrap_or(u32::MAX);
            for (_, s) in streams(captures, point) {
                let usable = |m: Option<Mac>| m.filter(|m| m.is_unicast());
                let (Some(src_mac), Some(dst_mac)) = (usable(s.key.src_mac), usable(s.key.dst_mac)) else { continue };
                let (src, dst, ttl) = match (s.key.tunnels.first(), s.key.flow) {
                    (Some(t), _) => (t.src, t.dst, t.ttl),
                    (None, Some(f)) => (f.src, f.dst, s.key.ttl),
                    (None, None) => continue,
                };
                let Some(initial) = INITIAL_TTLS.iter().find(|i| **i >= ttl).filter(|_| ttl != 0) else { continue };
                if is_special(src) || is_special(dst) {
                    continue;
                }
                let key = (src, dst, initial - ttl, (src_mac, dst_mac));
                if ways.rows.len() >= limit {
                    ways.bring_together();
                    limit = FEW.max(ways.rows.len() * 2);
                }
                ways.rows.push(Row { key, first: (input, s.first_row), points: alone });
            }
        }
        ways.bring_together();
        ways.rows.shrink_to_fit();
        ways
    }

    fn set(&mut self, set: BTreeSet<usize>) -> u32 {
        if let Some(number) = self.numbers.get(&set) {
            return *number;
        }
        let number = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        self.sets.push(set.clone());
        self.numbers.insert(set, number);
        number
    }

    fn points(&self, number: u32) -> BTreeSet<usize> {
        self.sets.get(number as usize).cloned().unwrap_or_default()
    }

    /// One row for each key.
    fn bring_together(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_unstable_by(|a, b| compare(&a.key, &b.key));
        rows.dedup_by(|row, kept| {
            let is_same = row.key == kept.key;
            if is_same {
                kept.first = kept.first.min(row.first);
                if kept.points != row.points {
                    let both = &self.points(kept.points) | &self.points(row.points);
                    kept.points = self.set(both);
                }
            }
            is_same
        });
        self.rows = rows;
    }

    /// Each wire of each pair of addresses: source, destination, hosts passed, MACs, the first packet.
    pub(super) fn wires(&self) -> impl Iterator<Item = (Key, Frame)> {
        self.rows.iter().map(|row| (row.key, row.first()))
    }

    /// Pairs of addresses with the wires between them, in order of the hosts passed.
    pub(super) fn pairs(&self) -> impl Iterator<Item = ((IpAddr, IpAddr), &[Row])> {
        let pairs = self.rows.chunk_by(|a, b| (a.key.0, a.key.1) == (b.key.0, b.key.1));
        pairs.filter_map(|rows| rows.first().map(|row| ((row.key.0, row.key.1), rows)))
    }

    /// A pair's wires by the hosts passed since the source; on nearly every level there is one.
    pub(super) fn levels(rows: &[Row]) -> impl Iterator<Item = (u8, &[Row])> {
        rows.chunk_by(|a, b| a.key.2 == b.key.2).filter_map(|rows| rows.first().map(|row| (row.key.2, rows)))
    }

    /// The wires of one level by their MACs.
    pub(super) fn wires_of(&self, rows: &[Row]) -> BTreeMap<(Mac, Mac), Wire> {
        rows.iter().map(|row| (row.key.3, Wire { points: self.points(row.points), first: row.first() })).collect()
    }
}
