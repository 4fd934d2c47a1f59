//! Which packets are kept where not all can be: the same at every point, whatever routers, translators and network cards did to them.
//! Knows a row and its protocol; must not know where it was captured.
//!
//! Trajectory sampling (Duffield and Grossglauser 2001; RFC 5474, RFC 5475 §6.2): a hash over what survives the way decides, so
//! a packet is kept everywhere or nowhere, and what is missing among the kept estimates what is missing at all. Segmentation
//! offload cuts and joins TCP segments between two points, so there the unit is not the packet but a block of sequence space:
//! every point keeps all that overlaps the same blocks. A coarser rate keeps a subset of a finer one.

use serde::{Deserialize, Serialize};

use super::{Row, by_content};
use crate::dissect::flags;
use crate::model::Protocol;

/// One in so many packets is kept: a power of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rate(u8);

impl Rate {
    /// Every packet is kept.
    pub const ALL: Self = Self(0);
    /// The coarsest: one in a million, about.
    pub const COARSEST: Self = Self(20);

    /// At most one in `n`: `n` is rounded up to a power of two, and [`Rate::COARSEST`] is the least that is kept.
    #[must_use]
    pub fn one_in(n: u64) -> Self {
        let power = n.max(1).checked_next_power_of_two().map_or(u64::BITS, u64::trailing_zeros);
        Self(u8::try_from(power).unwrap_or(u8::MAX).min(Self::COARSEST.0))
    }

    /// How many packets one of is kept.
    #[must_use]
    pub fn of(self) -> u64 {
        1 << self.0.min(Self::COARSEST.0)
    }

    /// Whether not every packet is kept.
    #[must_use]
    pub fn is_sampled(self) -> bool {
        self != Self::ALL
    }

    /// Half as many; `None` at the coarsest.
    #[must_use]
    pub fn coarser(self) -> Option<Self> {
        (self < Self::COARSEST).then_some(Self(self.0 + 1))
    }

    /// Whether openings, ends, errors and ARP are kept without exception.
    #[must_use]
    pub fn keeps_control(self) -> bool {
        self.0 <= CONTROL
    }

    /// So many packets of each stream are kept from its first on, so that short conversations stay whole.
    pub(super) fn early(self) -> u8 {
        32_u8.checked_shr(u32::from(self.0)).unwrap_or(0)
    }
}

/// What verdicts hang on is kept so many times longer (as a power of two) than the rest: up to 1 in 64 all of it.
const CONTROL: u8 = 6;

/// Octets of sequence space that are kept or left together, as a power of two. Larger blocks hold more packets each that say
/// the same (a loss seldom comes alone); of smaller ones a segment overlaps more, and more is kept than was asked for.
const BLOCK: u32 = 12;

/// No segment is so long (BIG TCP goes up to 512 KiB): a length on the wire that claims more is not believed.
const MOST_BLOCKS: u32 = 1 << 8;

/// A number whose trailing zeros count (splitmix64's finaliser; its lowest bits depend on all of the input).
fn mix(n: u64) -> u64 {
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

/// The coarsest rate that keeps what has this hash.
fn survives(hash: u64) -> u8 {
    u8::try_from(hash.trailing_zeros()).unwrap_or(u8::MAX)
}

/// Connection openings and ends, and messages that are no echo: few, and verdicts hang on them. Every point sees the same in them.
#[must_use]
pub fn is_control(protocol: Option<Protocol>, row: &Row) -> bool {
    match protocol {
        Some(Protocol::Tcp) => row.flags & (flags::SYN | flags::FIN | flags::RST) != 0,
        Some(Protocol::Icmp) => !matches!(row.flags, 0 | 8),
        Some(Protocol::Icmpv6) => !matches!(row.flags, 128 | 129),
        Some(_) => false,
        None => true,
    }
}

/// Part of a TCP segment's payload that lies in one block of sequence space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The block, for all packets of a connection that share it.
    pub block: u32,
    /// From so many octets after the segment's first.
    pub from: u32,
    /// Up to so many.
    pub to: u32,
}

/// A segment's payload, block by block.
fn pieces(row: &Row) -> impl Iterator<Item = Piece> {
    let (seq, len) = (row.seq, row.len.min(MOST_BLOCKS << BLOCK));
    let first = (1 << BLOCK) - (seq & ((1 << BLOCK) - 1));
    let ends = std::iter::successors(Some(first), |end| end.checked_add(1 << BLOCK)).map(move |end| end.min(len));
    let mut from = 0;
    ends.map_while(move |to| {
        let piece = Piece { block: seq.wrapping_add(from) >> BLOCK, from, to };
        let is_any = from < to;
        from = to;
        is_any.then_some(piece)
    })
}

/// The parts of a segment's payload that every point keeps at this rate.
pub fn kept_pieces(row: &Row, rate: Rate) -> impl Iterator<Item = Piece> {
    pieces(row).filter(move |p| survives(mix(u64::from(p.block))) >= rate.0)
}

/// Whether a packet is kept at this rate by what it holds alone, and so at every point that it passed. What else is kept
/// (the first of each stream) serves to recognise conversations, and must not be counted.
#[must_use]
pub fn is_kept_everywhere(protocol: Option<Protocol>, row: &Row, rate: Rate) -> bool {
    if !rate.is_sampled() {
        return true;
    }
    // What has no identity cannot be recognised elsewhere: it is thinned out all the same.
    // An IP id may be another's elsewhere, so it has no say.
    let hash = if row.ident == 0 { mix(u64::from(row.row)) } else { by_content(protocol, row) };
    if is_control(protocol, row) {
        return survives(hash).saturating_add(CONTROL) >= rate.0;
    }
    if protocol == Some(Protocol::Tcp) && row.len > 0 {
        return kept_pieces(row, rate).next().is_some();
    }
    survives(hash) >= rate.0
}

/// Decides row by row, in the file's order.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    rate: Rate,
    /// Packets of each stream so far, up to 255.
    early: Vec<u8>,
}

impl Selection {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, early: Vec::new() }
    }

    /// Whether the next row is kept; `bears_mark`: its content was noted.
    pub(super) fn keeps(&mut self, protocol: Option<Protocol>, row: &Row, bears_mark: bool) -> bool {
        let at = row.stream as usize;
        if self.early.len() <= at {
            self.early.resize(at.saturating_add(1), 0);
        }
        let Some(count) = self.early.get_mut(at) else { return true };
        *count = count.saturating_add(1);
        *count <= self.rate.early() || bears_mark && self.rate.keeps_control() || is_kept_everywhere(protocol, row, self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seq: u32, len: u32) -> Row {
        Row { row: 0, time: 0, stream: 0, ident: 1, seq, len, ip_id: 0, flags: 0x10 }
    }

    #[test]
    fn a_rate_is_a_power_of_two() {
        let of = |n| Rate::one_in(n).of();
        assert_eq!([of(0), of(1), of(2), of(3), of(16), of(17), of(u64::MAX)], [1, 1, 2, 4, 16, 32, 1 << 20]);
        assert_eq!((Rate::COARSEST.coarser(), Rate::ALL.coarser()), (None, Some(Rate::one_in(2))));
    }

    #[test]
    fn pieces_cover_a_segment_once_also_where_numbers_wrap() {
        for (seq, len) in [(0, 1), (4095, 2), (5000, 60_000), (u32::MAX - 10, 5000), (4096, 4096)] {
            let all: Vec<Piece> = pieces(&row(seq, len)).collect();
            assert_eq!((all.first().map(|p| p.from), all.last().map(|p| p.to)), (Some(0), Some(len)), "{seq} {len}");
            assert!(all.windows(2).all(|w| w[0].to == w[1].from && w[0].block != w[1].block), "{all:?}");
        }
        assert_eq!(pieces(&row(7, 0)).count(), 0);
        assert!(pieces(&row(7, u32::MAX)).count() <= 1 + MOST_BLOCKS as usize, "a length that cannot be");
    }

    /// What offload joins at one point is cut at another: the octets kept of both are the same.
    #[test]
    fn the_same_octets_are_kept_however_they_are_cut() {
        for rate in [Rate::one_in(4), Rate::one_in(16)] {
            let octets = |rows: &[(u32, u32)]| -> Vec<u32> {
                let kept = |(seq, len): &(u32, u32)| {
                    let base = *seq;
                    kept_pieces(&row(*seq, *len), rate).flat_map(|p| p.from..p.to).map(|o| base.wrapping_add(o)).collect::<Vec<_>>()
                };
                rows.iter().flat_map(kept).collect()
            };
            let start = u32::MAX - 300_000;
            let cut: Vec<(u32, u32)> = (0..500).map(|n| (start.wrapping_add(n * 1448), 1448)).collect();
            let joined: Vec<(u32, u32)> = (0..20).map(|n| (start.wrapping_add(n * 25 * 1448), 25 * 1448)).collect();
            assert_eq!(octets(&cut), octets(&joined));
            assert!(!octets(&cut).is_empty());
        }
    }

    #[test]
    fn a_coarser_rate_keeps_a_subset_and_about_its_share() {
        let rows: Vec<Row> = (0..40_000).map(|n| Row { ident: mix(n + 1), ..row(n as u32 * 997, 0) }).collect();
        let kept = |rate| rows.iter().filter(|r| is_kept_everywhere(Some(Protocol::Udp), r, rate)).map(|r| r.ident).collect::<Vec<_>>();
        let (four, sixteen) = (kept(Rate::one_in(4)), kept(Rate::one_in(16)));
        assert!(sixteen.iter().all(|i| four.contains(i)));
        assert!((9_500..10_500).contains(&four.len()) && (2_300..2_700).contains(&sixteen.len()), "{} {}", four.len(), sixteen.len());
    }
}
