//! Which stretches of Ethernet the packets from one address to another cross, as all captures together show: as many as there are pairs of
//! addresses that speak, so kept as rows of one sorted list.
//! Knows streams' addresses and TTLs; must not know whose they are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::inventory::is_special;
use super::place::{Capture, INITIAL_TTLS, Point, streams};
use crate::model::Mac;
use crate::order::Grouped;

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

/// A wire of one pair of addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Number of the pair.
    pair: u32,
    /// Hosts passed since the source.
    level: u8,
    macs: (Mac, Mac),
    /// The first packet: input and row.
    first: (u32, u32),
    /// Index of the set of points that saw it.
    points: u32,
}

impl Row {
    fn key(&self) -> (u32, u8, (Mac, Mac)) {
        (self.pair, self.level, self.macs)
    }

    pub(super) fn macs(&self) -> (Mac, Mac) {
        self.macs
    }

    /// The first packet.
    pub(super) fn first(&self) -> Frame {
        (self.first.0 as usize, self.first.1)
    }
}

/// By source and destination.
#[derive(Debug, Default)]
pub(super) struct Ways {
    /// Each once, in order.
    pairs: Vec<(IpAddr, IpAddr)>,
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
        let mut pairs: FxHashMap<(IpAddr, IpAddr), u32> = FxHashMap::default();
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
                let next = u32::try_from(pairs.len()).unwrap_or(u32::MAX);
                let pair = *pairs.entry((src, dst)).or_insert(next);
                let first = (input, s.first_row);
                if ways.rows.len() >= limit {
                    ways.rows.sort_unstable_by_key(Row::key);
                    ways.bring_together();
                    limit = FEW.max(ways.rows.len() * 2);
                }
                ways.rows.push(Row { pair, level: initial - ttl, macs: (src_mac, dst_mac), first, points: alone });
            }
        }
        ways.sort(pairs);
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

    /// There may be as many rows as streams: pairs are sorted alone, and each one's rows among themselves.
    fn sort(&mut self, pairs: FxHashMap<(IpAddr, IpAddr), u32>) {
        let mut sorted: Vec<((IpAddr, IpAddr), u32)> = pairs.into_iter().collect();
        sorted.sort_unstable_by_key(|x| x.0);
        let of_pair = Grouped::new(sorted.len(), self.rows.iter().map(|row| row.pair));
        let mut rows: Vec<Row> = Vec::with_capacity(self.rows.len());
        for (now, (_, number)) in (0..).zip(&sorted) {
            let begin = rows.len();
            let here = of_pair.get(*number).iter().filter_map(|n| self.rows.get(*n as usize));
            rows.extend(here.map(|row| Row { pair: now, ..*row }));
            rows.get_mut(begin..).unwrap_or_default().sort_unstable_by_key(Row::key);
        }
        self.rows = rows;
        self.pairs = sorted.into_iter().map(|x| x.0).collect();
    }

    /// One row for each key, of rows in order.
    fn bring_together(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.dedup_by(|row, kept| {
            let is_same = row.key() == kept.key();
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

    fn pair(&self, row: &Row) -> Option<(IpAddr, IpAddr)> {
        self.pairs.get(row.pair as usize).copied()
    }

    /// Each wire of each pair of addresses: source, destination, hosts passed, MACs, the first packet.
    pub(super) fn wires(&self) -> impl Iterator<Item = (Key, Frame)> {
        self.rows.iter().filter_map(|row| self.pair(row).map(|(src, dst)| ((src, dst, row.level, row.macs), row.first())))
    }

    /// Pairs of addresses with the wires between them, in order of the hosts passed.
    pub(super) fn pairs(&self) -> impl Iterator<Item = ((IpAddr, IpAddr), &[Row])> {
        let pairs = self.rows.chunk_by(|a, b| a.pair == b.pair);
        pairs.filter_map(|rows| Some((self.pair(rows.first()?)?, rows)))
    }

    /// A pair's wires by the hosts passed since the source; on nearly every level there is one.
    pub(super) fn levels(rows: &[Row]) -> impl Iterator<Item = (u8, &[Row])> {
        rows.chunk_by(|a, b| a.level == b.level).filter_map(|rows| rows.first().map(|row| (row.level, rows)))
    }

    /// The wires of one level by their MACs.
    pub(super) fn wires_of(&self, rows: &[Row]) -> BTreeMap<(Mac, Mac), Wire> {
        rows.iter().map(|row| (row.macs, Wire { points: self.points(row.points), first: row.first() })).collect()
    }
}
