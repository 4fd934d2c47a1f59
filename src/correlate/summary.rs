//! What a capture's rows say of each of its streams: gathered once, in the file's order, so that no conversation has to look its rows
//! up again, which lie far apart where there are many.
//! Knows rows and streams; must not know flows, points or places.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::digest::{CaptureDigest, NO_TIME, Page, Rate, Row, is_kept_everywhere};
use crate::dissect::flags;
use crate::identify::place::Capture;
use crate::model::{Nanos, Protocol};

/// So many rows at a stream's beginning say who began.
const BEGINNING: u32 = 64;

/// A stream whose first packets, so many, all are resets, refuses.
const REFUSAL: u32 = 16;

/// So many packets of a stream stand for it in joins,
pub(crate) const SKETCH: usize = 64;

/// and so many where two points' packets are compared: those with the lowest identities, so that every point chooses the same.
pub(crate) const SAMPLE: usize = 256;

/// Octets that one range of sequence numbers covers at most: far less than what lies between two that are alike.
const LONGEST: u32 = 1 << 30;

/// Copies of one packet in one capture come together: a mirrored port gives both at once. What is sent again has another IP id.
const TOGETHER: Nanos = 10_000_000;

/// In the place of a second list: the first is both.
const BOTH: u32 = u32::MAX;

/// A packet by its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) ident: u64,
    /// Of the first of several.
    pub(crate) time: Nanos,
    /// Its place among the rows that are kept; of several the first.
    pub(crate) place: u32,
    /// Whether several packets of the stream have it.
    pub(crate) is_twice: bool,
}

/// Sequence numbers without a gap: the first, and how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Covered {
    pub(crate) from: u32,
    pub(crate) len: u32,
}

/// Of one stream.
#[derive(Clone, Copy, Debug)]
struct Head {
    /// Earliest time of its beginning.
    earliest: Nanos,
    /// What its beginning says of who began: positive, the sender.
    votes: i32,
    first_seq: u32,
    first_flags: u8,
    /// Nothing but resets at its beginning.
    refuses: bool,
    is_tcp: bool,
    /// Every segment lies beyond all before it, so none was sent again.
    advances: bool,
    /// Has packets without a time, or that look alike in many conversations.
    is_mixed: bool,
    /// Place of its first reset.
    reset: Option<u32>,
    origin: u32,
    last: Covered,
}

impl Head {
    fn new(is_tcp: bool) -> Self {
        Self {
            earliest: NO_TIME,
            votes: 0,
            first_seq: 0,
            first_flags: 0,
            refuses: true,
            is_tcp,
            advances: true,
            is_mixed: false,
            reset: None,
            origin: 0,
            last: Covered::default(),
        }
    }

    /// Adds a segment to what is covered; gives a range that it does not continue.
    #[inline(always)]
    fn cover(&mut self, seq: u32, len: u32, flags: u8) -> Option<Covered> {
        let extra = u32::from(flags & flags::SYN != 0) + u32::from(flags & flags::FIN != 0);
        let size = len.min(LONGEST / 2) + extra;
        if size == 0 {
            return None;
        }
        let (last, behind) = (self.last, seq.wrapping_sub(self.last.from));
        if last.len == 0 {
            (self.last, self.origin) = (Covered { from: seq, len: size }, seq);
            return None;
        }
        // A keep-alive repeats one byte that was acknowledged long ago (RFC 9293 §3.8.4).
        let is_again = len <= 1 && flags & (flags::SYN | flags::FIN | flags::PSH | flags::RST) == 0 && behind < last.len;
        let is_beyond = (last.len..LONGEST).contains(&behind) && seq.wrapping_sub(self.origin) < LONGEST;
        self.advances &= is_again || is_beyond;
        if behind <= last.len && behind + size <= LONGEST {
            self.last.len = last.len.max(behind + size);
            return None;
        }
        self.last = Covered { from: seq, len: size };
        Some(last)
    }
}

/// Of one capture.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// Where each stream's rows begin.
    starts: Vec<u32>,
    /// The rows' places, stream by stream.
    places: Vec<u32>,
    heads: Vec<Head>,
    /// Where each stream's ranges begin that its last one does not continue.
    gaps: Vec<u32>,
    ranges: Vec<Covered>,
    /// Where each stream's packets begin, as one list for samples and one for joins.
    lists: Vec<[u32; 2]>,
    named: Vec<Named>,
    /// Streams whose packets go by other identities than the capture's: one list for samples and joins.
    renamed: BTreeMap<u32, Vec<Named>>,
    /// Of streams whose packets the capture has twice, the places of the first copies.
    first_copies: BTreeMap<u32, Vec<u32>>,
}

impl Summary {
    pub(crate) fn of(capture: &Capture<'_>, rate: Rate) -> Self {
        let digest = capture.digest;
        let mut starts = vec![0_u32; capture.streams() + 1];
        let mut place = 0;
        for page in digest.pages() {
            for stream in streams_of(capture, &page, place).iter() {
                if let Some(s) = starts.get_mut(*stream as usize + 1) {
                    *s += 1;
                }
            }
            place += u32::try_from(page.stream_of.len()).unwrap_or(0);
        }
        sum_up(&mut starts);
        let mut all = Self {
            places: vec![0; digest.kept() as usize],
            heads: (0..starts.len() - 1).map(|n| Head::new(protocol(capture, n) == Some(Protocol::Tcp))).collect(),
            ..Self::default()
        };
        let mut idents = vec![0_u64; digest.kept() as usize];
        let mut gaps: Vec<(u32, Covered)> = Vec::new();
        let mut next = starts.clone();
        place = 0;
        for page in digest.pages() {
            all.page(capture, &page, place, &starts, &mut next, &mut idents, &mut gaps);
            place += u32::try_from(page.stream_of.len()).unwrap_or(0);
        }
        all.starts = starts;
        all.keep_gaps(&gaps);
        drop((gaps, next));
        let double = all.choose(capture, rate, &idents);
        if !rate.is_sampled() {
            all.leave_copies(capture, &double, rate);
        }
        all
    }

    /// What a mirrored port or two captures in one file have twice was sent once.
    fn leave_copies(&mut self, capture: &Capture<'_>, double: &[u32], rate: Rate) {
        for stream in double.iter().copied() {
            let places = self.rows(stream);
            let mut last: FxHashMap<(u64, u32, u32, u16), Nanos> = FxHashMap::default();
            let mut is_first = |r: &Row| {
                let known = last.insert((r.ident, r.seq, r.len, r.ip_id), r.time);
                // Without an IP id nothing tells a copy from what was sent again.
                !known.is_some_and(|t| r.ident != 0 && r.ip_id != 0 && r.time.saturating_sub(t).saturating_abs() <= TOGETHER)
            };
            let kept: Vec<u32> = capture.digest.kept_rows(places).zip(places).filter(|(r, _)| is_first(r)).map(|x| *x.1).collect();
            // A few that look so may be anything.
            if (places.len() - kept.len()) * 3 >= places.len() {
                self.first_copies.insert(stream, kept);
                self.choose_again(capture, stream, rate, |r| r);
            }
        }
    }

    /// How many of a stream's packets are copies of others, made by whatever captured them.
    pub(crate) fn copies(&self, stream: u32) -> u32 {
        let all = self.range(stream).len();
        u32::try_from(self.first_copies.get(&stream).map_or(0, |kept| all - kept.len())).unwrap_or(0)
    }

    /// Takes a page of rows, the first of which is the `place`th.
    #[allow(clippy::too_many_arguments)]
    fn page(
        &mut self,
        capture: &Capture<'_>,
        page: &Page<'_>,
        place: u32,
        starts: &[u32],
        next: &mut [u32],
        idents: &mut [u64],
        gaps: &mut Vec<(u32, Covered)>,
    ) {
        let streams = streams_of(capture, page, place);
        let columns = streams.iter().zip(page.times).zip(page.idents).zip(page.seqs.iter().zip(page.lens).zip(page.flags));
        for (place, (((stream, time), ident), ((seq, len), flags))) in (place..).zip(columns) {
            let at = *stream as usize;
            let (Some(next), Some(first), Some(head)) = (next.get_mut(at), starts.get(at), self.heads.get_mut(at)) else { continue };
            if let (Some(slot), Some(name)) = (self.places.get_mut(*next as usize), idents.get_mut(*next as usize)) {
                (*slot, *name) = (place, *ident);
            }
            let number = *next - first;
            *next += 1;
            if number < BEGINNING {
                if number == 0 {
                    (head.first_seq, head.first_flags) = (*seq, *flags);
                }
                if *time != NO_TIME && (head.earliest == NO_TIME || *time < head.earliest) {
                    head.earliest = *time;
                }
                if head.is_tcp {
                    if flags & flags::SYN != 0 {
                        head.votes += if flags & flags::ACK == 0 { 100 } else { -100 };
                    }
                    head.refuses &= number >= REFUSAL || flags & flags::RST != 0;
                } else {
                    head.votes += match protocol(capture, at).map(|p| (p, *flags)) {
                        Some((Protocol::Icmp, 8) | (Protocol::Icmpv6, 128)) => 1,
                        Some((Protocol::Icmp | Protocol::Icmpv6, _)) => -1,
                        _ => 0,
                    };
                }
            }
            head.is_mixed |= *time == NO_TIME;
            if head.is_tcp {
                if flags & flags::RST != 0 {
                    head.is_mixed = true;
                    head.reset = head.reset.or(Some(place));
                }
                if let Some(range) = head.cover(*seq, *len, *flags) {
                    gaps.push((*stream, range));
                }
            }
        }
    }

    /// Sorts ranges by stream.
    fn keep_gaps(&mut self, gaps: &[(u32, Covered)]) {
        self.gaps = vec![0; self.heads.len() + 1];
        for (stream, _) in gaps {
            if let Some(count) = self.gaps.get_mut(*stream as usize + 1) {
                *count += 1;
            }
        }
        sum_up(&mut self.gaps);
        let mut next = self.gaps.clone();
        self.ranges = vec![Covered::default(); gaps.len()];
        for (stream, range) in gaps {
            if let Some(next) = next.get_mut(*stream as usize) {
                if let Some(slot) = self.ranges.get_mut(*next as usize) {
                    *slot = *range;
                }
                *next += 1;
            }
        }
    }

    /// Chooses each stream's packets with the lowest identities; `idents` has them stream by stream. Gives the streams of which it has at least
    /// half of them twice.
    fn choose(&mut self, capture: &Capture<'_>, rate: Rate, idents: &[u64]) -> Vec<u32> {
        let (mut lowest, mut double, digest) = (Lowest::default(), Vec::new(), capture.digest);
        let is_double = |named: &[Named]| {
            let twice = named.iter().filter(|n| n.is_twice).count();
            twice > 0 && twice * 2 >= named.len()
        };
        self.lists = Vec::with_capacity(self.heads.len() + 1);
        for stream in 0..u32::try_from(self.heads.len()).unwrap_or(u32::MAX) {
            let begin = u32::try_from(self.named.len()).unwrap_or(u32::MAX);
            // Both by field: the list that is appended to is another.
            let (places, range) = (self.places.get(self.range(stream)).unwrap_or_default(), self.range(stream));
            let protocol = protocol(capture, stream as usize);
            if protocol.is_none() {
                self.lists.push([begin, BOTH]);
                continue;
            }
            // What is perhaps kept here and not there must not be compared: a copy sent later would be taken for it.
            let is_whole = !rate.is_sampled() || digest.is_whole(stream, places.len());
            let is_mixed = self.heads.get(stream as usize).is_some_and(|h| h.is_mixed);
            if is_whole && !is_mixed {
                lowest.choose(idents.get(range).unwrap_or_default(), places, SAMPLE, digest, &mut self.named);
                self.lists.push([begin, BOTH]);
                double.extend(self.named.get(begin as usize..).filter(|named| is_double(named)).map(|_| stream));
                continue;
            }
            let rows: Vec<(Row, u32)> = digest.kept_rows(places).zip(places.iter().copied()).collect();
            let fits = |r: &Row| r.time != NO_TIME && (is_whole || is_kept_everywhere(protocol, r, rate));
            let (idents, some): (Vec<u64>, Vec<u32>) = rows.iter().filter(|(r, _)| fits(r)).map(|(r, place)| (r.ident, place)).unzip();
            lowest.choose(&idents, &some, SAMPLE, digest, &mut self.named);
            double.extend(self.named.get(begin as usize..).filter(|named| is_double(named)).map(|_| stream));
            let middle = u32::try_from(self.named.len()).unwrap_or(u32::MAX);
            let telling = rows.iter().filter(|(r, _)| !is_common(protocol, r));
            let (idents, some): (Vec<u64>, Vec<u32>) = telling.map(|(r, place)| (r.ident, place)).unzip();
            lowest.choose(&idents, &some, SKETCH, digest, &mut self.named);
            self.lists.push([begin, middle]);
        }
        self.named.shrink_to_fit();
        let end = u32::try_from(self.named.len()).unwrap_or(u32::MAX);
        self.lists.push([end, BOTH]);
        double
    }

    fn range(&self, stream: u32) -> std::ops::Range<usize> {
        let at = stream as usize;
        match (self.starts.get(at), self.starts.get(at + 1)) {
            (Some(from), Some(to)) => *from as usize..*to as usize,
            _ => 0..0,
        }
    }

    /// The places of a stream's rows, in the file's order, of copies the first.
    pub(crate) fn rows(&self, stream: u32) -> &[u32] {
        if let Some(kept) = self.first_copies.get(&stream) {
            return kept;
        }
        self.places.get(self.range(stream)).unwrap_or_default()
    }

    /// Chooses a stream's packets anew, by the identities that `rename` gives them.
    pub(crate) fn choose_again(&mut self, capture: &Capture<'_>, stream: u32, rate: Rate, rename: impl Fn(Row) -> Row) {
        let (places, digest) = (self.rows(stream), capture.digest);
        let protocol = protocol(capture, stream as usize);
        let is_whole = !rate.is_sampled() || digest.is_whole(stream, places.len());
        let rows = digest.kept_rows(places).map(rename).zip(places.iter().copied()).filter(|(r, _)| r.time != NO_TIME);
        let fitting = rows.filter(|(r, _)| is_whole || is_kept_everywhere(protocol, r, rate));
        let (idents, some): (Vec<u64>, Vec<u32>) = fitting.map(|(r, place)| (r.ident, place)).unzip();
        let mut named = Vec::new();
        Lowest::default().choose(&idents, &some, SAMPLE, digest, &mut named);
        self.renamed.insert(stream, named);
    }

    /// Forgets samples, sketches and what is covered.
    pub(crate) fn forget_samples(&mut self) {
        let Self { starts, places, heads, first_copies, .. } = std::mem::take(self);
        *self = Self { starts, places, heads, first_copies, ..Self::default() };
    }

    fn list(&self, stream: u32) -> (&[Named], &[Named]) {
        if let Some(renamed) = self.renamed.get(&stream) {
            return (renamed, renamed);
        }
        let at = stream as usize;
        let (Some([begin, middle]), Some([end, _])) = (self.lists.get(at), self.lists.get(at + 1)) else { return (&[], &[]) };
        let part = |from: u32, to: u32| self.named.get(from as usize..to as usize).unwrap_or_default();
        if *middle == BOTH { (part(*begin, *end), part(*begin, *end)) } else { (part(*begin, *middle), part(*middle, *end)) }
    }

    /// Packets to compare with another point's, by identity: with a time, and of a sample only what every point keeps.
    pub(crate) fn sample(&self, stream: u32) -> &[Named] {
        self.list(stream).0
    }

    /// Packets that stand for the stream in joins, by identity: what looks alike in many conversations is not among them.
    pub(crate) fn sketch(&self, stream: u32) -> &[Named] {
        let sketch = self.list(stream).1;
        sketch.get(..SKETCH).unwrap_or(sketch)
    }

    /// What its beginning says of who began, positive: its sender; and its earliest time.
    pub(crate) fn beginning(&self, stream: u32) -> (i64, Option<Nanos>) {
        let head = self.heads.get(stream as usize);
        head.map_or((0, None), |h| (i64::from(h.votes), Some(h.earliest).filter(|t| *t != NO_TIME)))
    }

    /// The first row's sequence number and flags.
    pub(crate) fn first(&self, stream: u32) -> Option<(u32, u8)> {
        self.heads.get(stream as usize).filter(|_| !self.rows(stream).is_empty()).map(|h| (h.first_seq, h.first_flags))
    }

    /// Whether its beginning is nothing but resets.
    pub(crate) fn refuses(&self, stream: u32) -> bool {
        self.heads.get(stream as usize).is_some_and(|h| h.is_tcp && h.refuses)
    }

    /// Place of its first reset.
    pub(crate) fn reset(&self, stream: u32) -> Option<u32> {
        self.heads.get(stream as usize)?.reset
    }

    /// Whether every segment lies beyond all before it.
    pub(crate) fn advances(&self, stream: u32) -> bool {
        self.heads.get(stream as usize).is_some_and(|h| h.is_tcp && h.advances)
    }

    /// The sequence numbers that its segments cover, in no order.
    pub(crate) fn covered(&self, stream: u32) -> impl Iterator<Item = Covered> + '_ {
        let at = stream as usize;
        let ranges = match (self.gaps.get(at), self.gaps.get(at + 1)) {
            (Some(from), Some(to)) => self.ranges.get(*from as usize..*to as usize).unwrap_or_default(),
            _ => &[],
        };
        ranges.iter().copied().chain(self.heads.get(at).map(|h| h.last).filter(|l| l.len > 0))
    }
}

fn protocol(capture: &Capture<'_>, stream: usize) -> Option<Protocol> {
    capture.stream(u32::try_from(stream).ok()?).and_then(|s| s.key.flow).map(|f| f.protocol)
}

/// The stream, or the part of one, of each row of a page, the first of which is the `place`th.
fn streams_of<'a>(capture: &Capture<'_>, page: &Page<'a>, place: u32) -> Cow<'a, [u32]> {
    if capture.parts.is_empty() {
        return page.stream_of.into();
    }
    (place..).zip(page.stream_of).map(|(place, stream)| capture.part_at(*stream, place)).collect()
}

/// Packets that look alike in many conversations: resets carry no timestamps and mostly no acknowledgement.
fn is_common(protocol: Option<Protocol>, row: &Row) -> bool {
    protocol == Some(Protocol::Tcp) && row.flags & flags::RST != 0
}

/// Counts, each in the place after its own → where each begins.
fn sum_up(counts: &mut [u32]) {
    let mut total = 0;
    for count in counts {
        total += *count;
        *count = total;
    }
}

/// Finds the packets with the lowest identities, without sorting the others. Holds nothing but room.
#[derive(Default)]
struct Lowest {
    /// Identity and place.
    found: Vec<(u64, u32)>,
    sorted: Vec<(u64, u32)>,
}

impl Lowest {
    /// Appends the packets with the lowest `most` identities that are not 0, each identity once; of several packets the first.
    fn choose(&mut self, idents: &[u64], places: &[u32], most: usize, digest: &CaptureDigest, to: &mut Vec<Named>) {
        let begin = to.len();
        // Identities are hashes, which are spread evenly: below a part of the greatest lies the same part of them. Where many come twice or
        // they are not so even, more are looked at.
        for wanted in [most + most / 4, most * 3, usize::MAX] {
            let bound = if wanted < idents.len() { u64::MAX / idents.len() as u64 * wanted as u64 } else { u64::MAX };
            self.find(idents, places, bound);
            if self.found.len() < most && bound < u64::MAX {
                continue;
            }
            self.sort(bound);
            to.truncate(begin);
            for group in self.sorted.chunk_by(|a, b| a.0 == b.0).take(most) {
                if let Some((ident, place)) = group.first().copied() {
                    to.push(Named { ident, time: digest.time_at(place), place, is_twice: group.len() > 1 });
                }
            }
            if to.len() - begin == most || bound == u64::MAX {
                return;
            }
        }
    }

    /// Those up to `bound`. Which is in it nobody could foresee, so there is no branch to be mispredicted.
    fn find(&mut self, idents: &[u64], places: &[u32], bound: u64) {
        const ROOM: usize = 64;
        self.found.clear();
        for (idents, places) in idents.chunks(ROOM).zip(places.chunks(ROOM)) {
            let mut some = [(0, 0); ROOM];
            let mut count = 0;
            for (ident, place) in idents.iter().zip(places) {
                if let Some(slot) = some.get_mut(count) {
                    *slot = (*ident, *place);
                }
                count += usize::from(*ident != 0) & usize::from(*ident <= bound);
            }
            self.found.extend_from_slice(some.get(..count).unwrap_or_default());
        }
    }

    /// Sorts what was found, none of it above `bound`: into buckets first, which hold few each.
    fn sort(&mut self, bound: u64) {
        const BITS: u32 = 9;
        const FEW: usize = 48;
        self.sorted.clear();
        if self.found.len() < FEW {
            self.sorted.extend_from_slice(&self.found);
            return self.sorted.sort_unstable();
        }
        let shift = (u64::BITS - bound.leading_zeros()).saturating_sub(BITS);
        let bucket = |ident: u64| (ident >> shift) as usize;
        let mut ends = [0_u32; 1 << BITS];
        for (ident, _) in &self.found {
            if let Some(count) = ends.get_mut(bucket(*ident)) {
                *count += 1;
            }
        }
        sum_up(&mut ends);
        self.sorted.resize(self.found.len(), (0, 0));
        // From the last on, so that each bucket has them in their order, and its end becomes its beginning.
        for entry in self.found.iter().rev() {
            let Some(end) = ends.get_mut(bucket(entry.0)) else { continue };
            *end -= 1;
            if let Some(slot) = self.sorted.get_mut(*end as usize) {
                *slot = *entry;
            }
        }
        let (begins, mut rest, mut at) = (ends, &mut self.sorted[..], 0);
        for next in begins.iter().skip(1).chain([&u32::try_from(self.found.len()).unwrap_or(u32::MAX)]) {
            let (some, after) = std::mem::take(&mut rest).split_at_mut((*next - at) as usize);
            if some.len() > 1 {
                some.sort_unstable();
            }
            (rest, at) = (after, *next);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::digest::{Stream, StreamKey, Tuple};

    fn digest(protocols: &[Protocol], rows: &[(u8, bool, u8, u16, u16, u8)]) -> CaptureDigest {
        let ip = std::net::IpAddr::from([10, 0, 0, 1]);
        let mut digest = CaptureDigest::default();
        for protocol in protocols {
            let flow = Some(Tuple { protocol: *protocol, src: ip, src_port: 1, dst: ip, dst_port: 2 });
            let key = StreamKey { flow, ttl: 64, ..StreamKey::default() };
            digest.streams.push(Stream { key, first_row: 0, packets: 0, bytes: 0, first_ns: 0, last_ns: 0 });
        }
        for (n, (stream, is_timed, ident, seq, len, flags)) in (0..).zip(rows) {
            let stream = u32::from(*stream) % protocols.len() as u32;
            let time = if *is_timed { Nanos::from(n * 7919 % 1000) } else { NO_TIME };
            // Numbers go round in some.
            let (seq, len) = (u32::from(*seq).wrapping_sub(300), u32::from(*len));
            let row = Row { row: n, time, stream, ident: u64::from(*ident), seq, len, ip_id: 0, flags: *flags };
            digest.push_row(row);
            if let Some(s) = digest.streams.get_mut(stream as usize) {
                s.packets += 1;
            }
        }
        digest
    }

    /// What the rows say if they are looked at one by one.
    fn by_rows(rows: &[Row], most: usize, fits: impl Fn(&Row) -> bool) -> Vec<Named> {
        let mut all: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        for r in rows.iter().filter(|r| r.ident != 0 && fits(r)) {
            all.entry(r.ident).or_default().push(r.row);
        }
        let time_of = |row: u32| rows.iter().find(|r| r.row == row).unwrap().time;
        all.into_iter()
            .take(most)
            .map(|(ident, rows)| Named { ident, time: time_of(rows[0]), place: rows[0], is_twice: rows.len() > 1 })
            .collect()
    }

    proptest! {
        #[test]
        fn what_is_summed_up_is_what_the_rows_say(
            rows in prop::collection::vec((0..6_u8, prop::bool::weighted(0.97), 0..250_u8, 0..600_u16, 0..40_u16,
                prop::sample::select(vec![0x10_u8, 0x10, 0x10, 0x18, 0x02, 0x12, 0x11, 0x04, 8])), 0..700),
            is_in_order in any::<bool>(),
        ) {
            let mut rows = rows;
            if is_in_order {
                rows.sort_by_key(|r| r.3);
            }
            let protocols = [Protocol::Tcp, Protocol::Tcp, Protocol::Udp, Protocol::Icmp];
            let digest = digest(&protocols, &rows);
            let all = Summary::of(&Capture::new(0, "", &digest), Rate::ALL);
            for (stream, protocol) in (0..).zip(protocols) {
                let rows: Vec<Row> = digest.rows().filter(|r| r.stream == stream).collect();
                let is_tcp = protocol == Protocol::Tcp;
                let is_reset = |r: &Row| is_tcp && r.flags & flags::RST != 0;
                prop_assert!(all.rows(stream).iter().eq(rows.iter().map(|r| &r.row)));
                prop_assert_eq!(all.sample(stream), by_rows(&rows, SAMPLE, |r| r.time != NO_TIME));
                let sketch = by_rows(&rows, SKETCH, |r| !is_reset(r));
                prop_assert!(all.sketch(stream).iter().map(|n| (n.ident, n.place)).eq(sketch.iter().map(|n| (n.ident, n.place))));
                prop_assert_eq!(all.first(stream), rows.first().map(|r| (r.seq, r.flags)));
                prop_assert_eq!(all.reset(stream), rows.iter().find(|r| is_reset(r)).map(|r| r.row));
                prop_assert_eq!(all.refuses(stream) && !rows.is_empty(), is_tcp && !rows.is_empty() && rows.iter().take(16).all(is_reset));
                let earliest = rows.iter().take(64).map(|r| r.time).filter(|t| *t != NO_TIME).min();
                prop_assert_eq!(all.beginning(stream).1, earliest);

                let taken = |r: &Row| u32::from(r.flags & flags::SYN != 0) + u32::from(r.flags & flags::FIN != 0) + r.len;
                let octets = |from: u32, len: u32| (0..len).map(move |n| from.wrapping_add(n));
                let each: BTreeSet<u32> = rows.iter().filter(|_| is_tcp).flat_map(|r| octets(r.seq, taken(r))).collect();
                let covered: BTreeSet<u32> = all.covered(stream).flat_map(|c| octets(c.from, c.len)).collect();
                prop_assert_eq!(covered, each);
                // Nothing came twice where all lie one behind the other.
                let eligible = |r: &&Row| taken(r) > 0 && (r.len > 1 || r.flags & (flags::SYN | flags::FIN | flags::PSH | flags::RST) != 0);
                let mut seen = BTreeSet::new();
                let again = rows.iter().filter(eligible).flat_map(|r| octets(r.seq, taken(r))).any(|octet| !seen.insert(octet));
                prop_assert!(!(all.advances(stream) && again), "sent again");
                if is_tcp && rows.windows(2).all(|w| w[0].seq.wrapping_add(taken(&w[0])) == w[1].seq) {
                    prop_assert!(all.advances(stream) && all.covered(stream).count() <= 1);
                }
            }
        }
    }
}
