//! Which stretches of Ethernet the packets from one address to another cross, as all captures together show: as many as there are pairs of
//! addresses that speak, so kept as rows of one sorted list.
//! Knows streams' addresses and TTLs; must not know whose they are.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::net::IpAddr;

use rustc_hash::FxHashMap;

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

/// A wire of one pair of addresses, as numbers: there may be as many as there are streams.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Source, destination.
    pair: (u32, u32),
    macs: u32,
    /// Hosts passed since the source.
    level: u8,
    /// The first packet: input and row.
    first: (u32, u32),
    /// Index of the set of points that saw it.
    points: u32,
}

impl Row {
    fn key(&self) -> (u64, u8, u32) {
        (u64::from(self.pair.0) << 32 | u64::from(self.pair.1), self.level, self.macs)
    }

    /// The first packet.
    pub(super) fn first(&self) -> Frame {
        (self.first.0 as usize, self.first.1)
    }
}

/// By source and destination.
#[derive(Debug, Default)]
pub(super) struct Ways {
    ips: Numbered<IpAddr>,
    macs: Numbered<(Mac, Mac)>,
    rows: Vec<Row>,
    /// Sets of points: there are few.
    sets: Vec<BTreeSet<usize>>,
    numbers: BTreeMap<BTreeSet<usize>, u32>,
}

/// Each of what there is, by its number.
#[derive(Debug)]
struct Numbered<T> {
    list: Vec<T>,
    numbers: FxHashMap<T, u32>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { list: Vec::new(), numbers: FxHashMap::default() }
    }
}

impl<T: Copy + Ord + Hash> Numbered<T> {
    fn number(&mut self, one: T) -> u32 {
        let next = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(one).or_insert(next);
        if number == next {
            self.list.push(one);
        }
        number
    }

    fn get(&self, number: u32) -> Option<T> {
        self.list.get(number as usize).copied()
    }

    /// Gives all of them new numbers, in their order: for each old number the new one.
    fn sort(&mut self) -> Vec<u32> {
        let mut order: Vec<(T, u32)> = std::mem::take(&mut self.numbers).into_iter().collect();
        order.sort_unstable();
        let mut now = vec![0; order.len()];
        for (new, (_, old)) in (0..).zip(&order) {
            if let Some(now) = now.get_mut(*old as usize) {
                *now = new;
            }
        }
        self.list = order.into_iter().map(|x| x.0).collect();
        now
    }
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
                if ways.rows.len() >= limit {
                    ways.bring_together();
                    limit = FEW.max(ways.rows.len() * 2);
                }
                let pair = (ways.ips.number(src), ways.ips.number(dst));
                let macs = ways.macs.number((src_mac, dst_mac));
                ways.rows.push(Row { pair, macs, level: initial - ttl, first: (input, s.first_row), points: alone });
            }
        }
        let (ips, macs) = (ways.ips.sort(), ways.macs.sort());
        let new = |now: &[u32], old: u32| now.get(old as usize).copied().unwrap_or_default();
        for row in &mut ways.rows {
            row.pair = (new(&ips, row.pair.0), new(&ips, row.pair.1));
            row.macs = new(&macs, row.macs);
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
        rows.sort_unstable_by_key(Row::key);
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
        Some((self.ips.get(row.pair.0)?, self.ips.get(row.pair.1)?))
    }

    /// A row's MACs.
    pub(super) fn macs(&self, row: &Row) -> (Mac, Mac) {
        self.macs.get(row.macs).unwrap_or_default()
    }

    /// Each wire of each pair of addresses: source, destination, hosts passed, MACs, the first packet.
    pub(super) fn wires(&self) -> impl Iterator<Item = (Key, Frame)> {
        self.rows.iter().filter_map(|row| self.pair(row).map(|(src, dst)| ((src, dst, row.level, self.macs(row)), row.first())))
    }

    /// The MACs of all wires, each pair once.
    pub(super) fn stretches(&self) -> &[(Mac, Mac)] {
        &self.macs.list
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
        rows.iter().map(|row| (self.macs(row), Wire { points: self.points(row.points), first: row.first() })).collect()
    }
}
