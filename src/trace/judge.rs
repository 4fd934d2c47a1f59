//! What is missing where, how long each part took, and what became of each direction.
//! Knows hops and clocks; must not take a capture's gap for a loss, nor a packet that was not kept for a missing one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::filters::{LeftOut, lets_through};
use super::overlay::{common, sample_of};
use super::{Context, Direction, Hop, Leg, Logged, Path};
use crate::confidence::{needed, round, step};
use crate::correlate::clocks::{Offset, uncertainty_between};
use crate::correlate::flows::Sighting;
use crate::correlate::summary::Named;
use crate::digest::{IcmpErrorSeen, NO_TIME, Piece, Rate, Row, Tuple, is_control, is_kept_everywhere, kept_pieces};
use crate::dissect::flags;
use crate::estimate;
use crate::evidence::{Book, Place};
use crate::identify::inventory::{Id, interface_id, short};
use crate::model::{Nanos, Protocol};
use crate::order;
use crate::phrase::Phrase;
use crate::report::{Verdict, Way};

/// Each point's clock against its group's reference.
pub type Clocks = BTreeMap<usize, (usize, Offset)>;

/// A capture is taken to have run this long before its first and after its last packet: captures of quiet interfaces begin
/// and end with silence, and only a packet well inside can be said to be missing.
const MARGIN: Nanos = 1_000_000_000;

/// Where packets may have gone on under other addresses, so many of those that were looked for must be unseen before that counts:
/// if half of them had gone on, one of these would show it in 63 of 64 cases.
const LOOKED_FOR: u64 = 6;

/// Fills in counts, delays and verdicts.
pub(super) fn judge(
    ctx: Context<'_>,
    path: &mut Path,
    taken: &Taken<'_>,
    clocks: &Clocks,
    left_out: &BTreeMap<usize, LeftOut>,
    refusals: &Refusals,
    book: &mut Book,
) {
    for d in &mut path.directions {
        compare(ctx, d, clocks, book);
        silences(ctx, d, &path.legs, taken, clocks, left_out);
    }
    let silent = || path.directions.iter().flat_map(|d| &d.silent).map(|s| s.0);
    let blind: BTreeSet<usize> = order::set(silent().filter(|id| is_blind(taken, path, *id)));
    for d in &mut path.directions {
        d.silent.retain(|(id, _)| !blind.contains(id));
    }
    let replied = path.direction(Way::Reply).is_some_and(|d| d.hops.iter().any(Hop::observed));
    let by_icmp = if replied { None } else { refusals.of(ctx, path) };
    let is_service = |by: &Id| ctx.inv.services.contains_key(by);
    let by_icmp = by_icmp.filter(|by| !path.direction(Way::Request).is_some_and(|d| went_on(d, by, is_service(by))));
    let refused = refusal(ctx, path) || by_icmp.is_some();
    // A service's address speaks for whoever answered behind it.
    let by_icmp = by_icmp.filter(|by| !is_service(by));
    for d in &mut path.directions {
        decide(d, replied, refused, by_icmp.as_deref(), |d, n| is_before_its_end(ctx, d, n));
    }
}

/// Which points were taken where.
pub(super) struct Taken<'a> {
    /// The points that were surely taken at each interface.
    surely: BTreeMap<&'a Id, BTreeSet<usize>>,
    /// Each point with every interface that it is taken to be at.
    all: BTreeSet<(usize, &'a Id)>,
}

impl<'a> Taken<'a> {
    /// `sure`: a placement that is less sure than this does not count as sure.
    pub(super) fn of(ctx: Context<'a>, sure: f64) -> Self {
        let mut surely: BTreeMap<&Id, BTreeSet<usize>> = BTreeMap::new();
        let mut all = BTreeSet::new();
        for (n, p) in ctx.points.iter().enumerate() {
            // Of a point at many interfaces each stream names its own.
            for interface in p.at.iter().chain(p.stream_at.values()).filter(|i| all.insert((n, *i))) {
                if p.p >= sure {
                    surely.entry(interface).or_default().insert(n);
                }
            }
        }
        Self { surely, all }
    }

    /// The points that were surely taken at an interface.
    pub(super) fn at(&self, interface: &Id) -> impl Iterator<Item = usize> {
        self.surely.get(interface).into_iter().flatten().copied()
    }
}

/// What a capture's silence beyond a hop would be told by.
fn silences(ctx: Context<'_>, d: &mut Direction, legs: &[Leg], taken: &Taken<'_>, clocks: &Clocks, left_out: &BTreeMap<usize, LeftOut>) {
    let Some(last) = d.hops.iter().rposition(Hop::observed) else { return };
    let Some(end) = d.hops.get(last) else { return };
    // What the VPC's own log has further on was not lost before.
    let reached = reached(d).unwrap_or(last).max(last);
    // What is in a tunnel there nobody could see.
    let shows = |h: &&Hop| h.p >= needed::SURE && h.sealed.is_none();
    // In a sample nobody can tell whether they reached the tunnel, so what is silent behind it does not say after which hop they were lost.
    let rate = ctx.flows.rate;
    let beyond = d.hops.iter().skip(reached + 1).take_while(|h| !rate.is_sampled() || h.sealed.is_none());
    let beyond = beyond.filter(shows).filter_map(|h| Some((h, h.interface.as_ref()?)));
    let beyond: Vec<(&Hop, &Id, usize)> = beyond.flat_map(|(h, i)| taken.at(i).map(move |point| (h, i, point))).collect();
    if beyond.is_empty() {
        return;
    }
    let mut times: Vec<(usize, Nanos)> = end
        .sightings
        .iter()
        .flat_map(|s| ctx.flows.rows(ctx.captures, s).filter(|r| r.time != NO_TIME).take(64).map(|r| (s.point, r.time)))
        .collect();
    let leg = end.leg;
    if rate.is_sampled() {
        let streams = end.sightings.iter().filter_map(|s| Some((s.point, ctx.stream(s)?)));
        times.extend(streams.flat_map(|(point, s)| [(point, s.first_ns), (point, s.last_ns)]).filter(|(_, t)| *t != NO_TIME));
    }
    // The same packets under other addresses are found by what was kept of them; an opening always is.
    let (mut looked_for, mut has_opening) = (0, false);
    for s in end.sightings.iter().filter(|_| rate.is_sampled()) {
        let protocol = protocol_of(ctx, s);
        for r in ctx.flows.rows(ctx.captures, s).filter(|r| r.ident != 0 && is_kept_everywhere(protocol, r, rate)) {
            looked_for += 1;
            has_opening |= protocol == Some(Protocol::Tcp) && r.flags & flags::SYN != 0;
        }
    }
    let is_certain = !rate.is_sampled() || has_opening && rate.keeps_control();
    let mut rests_on_sample = false;
    let mut silent = Vec::new();
    for (h, interface, id) in beyond {
        if left_out.contains_key(&id) || legs.get(h.leg).is_some_and(|l| !is_let_through(ctx, id, &l.tuple)) {
            continue;
        }
        if times.iter().any(|(point, t)| ran_at(ctx, id, translate(*t, *point, id, clocks))) {
            // Under the addresses that they have here they would have been counted, kept or not.
            if !is_certain && h.leg != leg {
                if looked_for < LOOKED_FOR {
                    continue;
                }
                rests_on_sample = true;
            }
            silent.push((id, interface.clone()));
        }
    }
    d.silent.extend(silent);
    d.looked_for = rests_on_sample.then_some(looked_for);
}

/// Whether a point has none of a direction of this conversation that crossed its interface: packets were seen there by another capture,
/// or behind it. Whatever the reason, a filter or that it did not run yet, it is no witness in this matter.
fn is_blind(taken: &Taken<'_>, path: &Path, id: usize) -> bool {
    let is_here = |h: &Hop| h.interface.as_ref().is_some_and(|i| taken.all.contains(&(id, i)));
    path.directions.iter().any(|d| {
        let last = d.hops.iter().rposition(Hop::observed);
        let crossed = last.and_then(|last| d.hops.get(..=last)).unwrap_or_default();
        crossed.iter().any(|h| h.p >= needed::SURE && is_here(h)) && !d.hops.iter().filter(|h| is_here(h)).any(|h| h.points().contains(&id))
    })
}

/// Whether the filter that a point's capture states, if it states one, is known to let a conversation's packets through.
fn is_let_through(ctx: Context<'_>, point: usize, tuple: &Tuple) -> bool {
    let Some((capture, p)) = ctx.points.get(point).and_then(|p| Some((ctx.captures.get(p.capture)?, p))) else { return true };
    let stated = capture.digest.interfaces.iter().find(|i| i.index == p.interface).and_then(|i| i.filter.as_deref());
    stated.is_none_or(|f| lets_through(f, tuple))
}

fn protocol_of(ctx: Context<'_>, s: &Sighting) -> Option<Protocol> {
    Some(ctx.stream(s)?.key.flow?.protocol)
}

/// A time of one point's clock by another's; without a known offset the clocks are taken to agree.
pub(super) fn translate(time: Nanos, from: usize, to: usize, clocks: &Clocks) -> Nanos {
    Between::of(from, to, clocks).translate(time)
}

/// What turns times of one point's clock into another's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Between(Option<(Offset, Offset)>);

impl Between {
    pub(super) fn of(from: usize, to: usize, clocks: &Clocks) -> Self {
        match (clocks.get(&from), clocks.get(&to)) {
            (Some((a, x)), Some((b, y))) if a == b => Self(Some((*x, *y))),
            _ => Self(None),
        }
    }

    pub(super) fn translate(&self, time: Nanos) -> Nanos {
        self.0.map_or(time, |(x, y)| {
            let reference = x.first_from_second(time);
            reference.saturating_add(y.at(reference))
        })
    }
}

/// Whether a point's capture ran at a time of its own clock.
fn ran_at(ctx: Context<'_>, point: usize, time: Nanos) -> bool {
    let Some((capture, p)) = ctx.points.get(point).and_then(|p| Some((ctx.captures.get(p.capture)?, p))) else { return false };
    // All interfaces of one file were captured by one program, from its start to its end.
    let dropped = capture.digest.interfaces.iter().find(|i| i.index == p.interface).and_then(|i| i.dropped).unwrap_or(0);
    if capture.digest.is_empty() {
        // Nothing says when it ran; people start all captures of an incident together.
        return dropped == 0;
    }
    let is_in = |(first, last): (Nanos, Nanos)| (first.saturating_sub(MARGIN)..=last.saturating_add(MARGIN)).contains(&time);
    dropped == 0 && capture.span.is_some_and(is_in)
}

/// The packets of a hop, in a form that two hops can be compared by.
struct Packets {
    /// All but TCP: the identities, sorted.
    idents: Vec<u64>,
    /// All but TCP: packets that have none: so little of them was captured.
    nameless: u64,
    /// All but TCP: the lengths, sorted.
    lens: Vec<u32>,
    /// TCP: the sequence numbers covered, as sorted disjoint ranges relative to `base`.
    covered: Vec<(i64, i64)>,
    base: Option<u32>,
    /// TCP: whether some sequence numbers came again.
    repeats: bool,
}

/// The streams of a hop at the point that it is told by.
fn sightings(h: &Hop) -> impl Iterator<Item = &Sighting> {
    h.sightings.iter().filter(move |s| Some(s.point) == h.sample_point)
}

fn rows<'a>(ctx: Context<'a>, h: &'a Hop) -> impl Iterator<Item = (&'a Sighting, Row)> + use<'a> {
    let point = h.sample_point;
    h.sightings.iter().filter(move |s| Some(s.point) == point).flat_map(move |s| ctx.flows.rows(ctx.captures, s).map(move |r| (s, r)))
}

fn first_seq(ctx: Context<'_>, h: &Hop) -> Option<u32> {
    sightings(h).find_map(|s| ctx.flows.of(s)?.first(s.stream)).map(|(seq, _)| seq)
}

/// Sequence space that a segment takes: its payload, and one each for SYN and FIN (RFC 9293 §3.4).
fn span(row: &Row, base: u32) -> (i64, i64) {
    let from = i64::from(row.seq.wrapping_sub(base) as i32);
    let extra = i64::from(row.flags & flags::SYN != 0) + i64::from(row.flags & flags::FIN != 0);
    (from, from + i64::from(row.len) + extra)
}

fn packets(ctx: Context<'_>, h: &Hop, protocol: Protocol, base: Option<u32>) -> Packets {
    let mut p = Packets { idents: Vec::new(), nameless: 0, lens: Vec::new(), covered: Vec::new(), base, repeats: false };
    if protocol != Protocol::Tcp {
        for (_, r) in rows(ctx, h) {
            p.idents.push(r.ident);
            p.lens.push(r.len);
        }
        p.idents.sort_unstable();
        p.lens.sort_unstable();
        let named = p.idents.partition_point(|ident| *ident == 0);
        p.nameless = named as u64;
        p.idents.drain(..named);
        return p;
    }
    p.base = base.or(first_seq(ctx, h));
    let Some(base) = p.base else { return p };
    for s in sightings(h) {
        p.repeats |= ctx.flows.of(s).is_some_and(|all| !all.advances(s.stream));
        for range in ctx.flows.of(s).into_iter().flat_map(|all| all.covered(s.stream)) {
            const AROUND: i64 = 1 << 32;
            let from = i64::from(range.from.wrapping_sub(base) as i32);
            let to = from + i64::from(range.len);
            p.covered.push((from, to));
            // Numbers half way round count from the base on, or back from it.
            if to > AROUND / 2 {
                p.covered.push((from - AROUND, to - AROUND));
            }
        }
    }
    p.covered.sort_unstable();
    p.covered.dedup_by(|next, last| {
        let is_joined = next.0 <= last.1;
        if is_joined {
            last.1 = last.1.max(next.1);
        }
        is_joined
    });
    p
}

impl Packets {
    /// Whether this hop has the packet of another.
    fn has(&self, row: &Row, protocol: Protocol) -> bool {
        if protocol == Protocol::Tcp {
            let Some(base) = self.base else { return false };
            let (from, to) = span(row, base);
            // Pure acknowledgements are thinned out by GRO (`net/ipv4/tcp_offload.c`): their absence means nothing.
            if to == from || row.flags & flags::RST != 0 {
                return true;
            }
            return self.covers(from, to);
        }
        row.ident == 0 || self.idents.binary_search(&row.ident).is_ok()
    }

    /// Whether it has a part of a segment's payload.
    fn has_piece(&self, row: &Row, piece: &Piece) -> bool {
        let Some(base) = self.base else { return false };
        let from = i64::from(row.seq.wrapping_sub(base) as i32);
        self.covers(from + i64::from(piece.from), from + i64::from(piece.to))
    }

    /// Whether it has an opening, an end or an error, and what every point kept of the payload with it.
    fn has_control(&self, row: &Row, protocol: Protocol, rate: Rate) -> bool {
        if protocol != Protocol::Tcp || row.flags & flags::RST != 0 {
            return self.has(row, protocol);
        }
        let one_at = |from: u32| self.has_piece(row, &Piece { block: 0, from, to: from.saturating_add(1) });
        (row.flags & flags::SYN == 0 || one_at(0))
            && (row.flags & flags::FIN == 0 || one_at(row.len))
            && kept_pieces(row, rate).all(|piece| self.has_piece(row, &piece))
    }

    /// Whether it has all that another has, so that nothing of that can be missing.
    fn has_all(&self, other: &Self) -> bool {
        let is_comparable = other.covered.is_empty() || self.base.is_some() && self.base == other.base;
        is_comparable
            && other.covered.iter().all(|(from, to)| self.covers(*from, *to))
            && other.idents.iter().all(|ident| self.idents.binary_search(ident).is_ok())
    }

    /// Whether it has as many packets of the same lengths, and none of the same content: something on the way, or the capture itself (what
    /// `tcpdump` prints holds no payload), made each content another. That is no loss.
    fn has_likes(&self, other: &Self) -> bool {
        !self.lens.is_empty() && self.lens == other.lens && other.idents.iter().all(|ident| self.idents.binary_search(ident).is_err())
    }

    fn covers(&self, from: i64, to: i64) -> bool {
        let at = self.covered.partition_point(|r| r.1 < to);
        self.covered.get(at).is_some_and(|r| r.0 <= from && to <= r.1)
    }
}

/// So many packets are missing, and between how many, where not all are known.
type Missing = (u64, Option<(u64, u64)>);

/// Packets of which a sample is known.
#[derive(Default)]
struct Stratum {
    /// How many the sample stands for, as a part of all that was kept.
    weight: f64,
    /// By what is kept or left together: how much, and how much of it is missing.
    clusters: BTreeMap<u64, (f64, f64)>,
}

impl Stratum {
    fn add(&mut self, cluster: u64, weight: f64, size: f64, is_missing: bool) {
        self.weight += weight;
        let cluster = self.clusters.entry(cluster).or_default();
        *cluster = (cluster.0 + size, cluster.1 + if is_missing { size } else { 0.0 });
    }

    fn share(self) -> estimate::Share {
        estimate::share(self.clusters.into_values()).unwrap_or(estimate::Share { value: 0.0, low: 0.0, high: 1.0 })
    }
}

/// What no link carries in one packet is several that offload joined: any of them may be missing alone.
const LONGEST_PACKET: u32 = 9216;

/// What of a hop's packets is missing in a set, as far as what was kept tells. Openings and ends are all known; of the rest, what
/// every point has kept is the sample, in clusters that are kept or left together.
fn estimate(
    ctx: Context<'_>,
    before: &Hop,
    set: &Packets,
    lost: &BTreeSet<u32>,
    protocol: Protocol,
    is_inside: impl Fn(&Row) -> bool,
) -> Missing {
    let rate = ctx.flows.rate;
    let (mut control, mut control_missing, mut kept, mut found) = (0_u64, 0_u64, 0.0, 0_u64);
    let (mut packets, mut joined) = (Stratum::default(), Stratum::default());
    // Of those that offload joined: how many blocks each overlaps, and how many such there are.
    let mut blocks: BTreeMap<usize, f64> = BTreeMap::new();
    for (_, r) in rows(ctx, before).filter(|(_, r)| is_kept_everywhere(Some(protocol), r, rate)) {
        let inside = is_inside(&r);
        if is_control(Some(protocol), &r) {
            control += 1;
            control_missing += u64::from(inside && (lost.contains(&r.row) || !set.has_control(&r, protocol, rate)));
        } else if protocol == Protocol::Tcp && r.len > 0 {
            let mut is_missing = false;
            for piece in kept_pieces(&r, rate) {
                let part = f64::from(piece.to - piece.from) / f64::from(r.len);
                kept += part;
                if !inside {
                    continue;
                }
                let lacks = lost.contains(&r.row) || !set.has_piece(&r, &piece);
                is_missing |= lacks;
                if r.len > LONGEST_PACKET {
                    joined.add(u64::from(piece.block), part, 1.0, lacks);
                    *blocks.entry(kept_pieces(&r, Rate::ALL).count()).or_default() += part;
                } else {
                    packets.add(u64::from(piece.block), part, part, lacks);
                }
            }
            found += u64::from(is_missing);
        } else {
            kept += 1.0;
            // Acknowledgements alone say nothing: they are thinned out on the way.
            if inside && r.ident != 0 && protocol != Protocol::Tcp {
                let lacks = !set.has(&r, protocol);
                found += u64::from(lacks);
                packets.add(r.ident, 1.0, 1.0, lacks);
            }
        }
    }
    // Beyond the rate that keeps all of them, openings and ends are a sample too.
    let (scale, unseen) = if rate.keeps_control() { (1, 0) } else { (rate.of() / Rate::one_in(64).of(), 3) };
    let others = before.seen.saturating_sub(control.saturating_mul(scale)) as f64;
    // Each of the sample stands for as many as one is kept of (Horvitz and Thompson 1952); or, with less spread where nearly all are of
    // this kind, for its part of what was counted.
    let (by_rate, by_count) = (rate.of() as f64, if kept > 0.0 { others / kept } else { 0.0 });
    let of = |weight: f64| (weight * by_rate.min(by_count), (weight * by_rate).min(others), (weight * by_rate.max(by_count)).min(others));
    // Of acknowledgements alone nothing follows for the rest.
    let is_told = packets.weight + joined.weight > 0.0;
    let (of_packets, of_joined) = (if is_told { of(packets.weight) } else { (0.0, 0.0, others) }, of(joined.weight));
    let (p, q) = (packets.share(), joined.share());
    // Each part of a joined packet is missing for itself (the estimate), with all its other parts, or alone in it.
    let total: f64 = blocks.values().sum();
    let any = |q: f64| blocks.iter().map(|(n, weight)| weight * (1.0 - (0..*n).fold(1.0, |left, _| left * (1.0 - q)))).sum::<f64>() / total;
    let alone = |q: f64| blocks.iter().map(|(n, weight)| weight * (q * *n as f64).min(1.0)).sum::<f64>() / total;
    let (mut low, mut value, mut high) = (p.low * of_packets.0, p.value * of_packets.1, p.high * of_packets.2);
    if total > 0.0 {
        low += q.low * of_joined.0;
        value += any(q.value) * of_joined.1;
        high += alone(q.high) * of_joined.2;
    }
    let known = control_missing + found;
    let most = before.seen.max(known);
    let missing = (control_missing * scale + value.round() as u64).clamp(known, most);
    let low = (control_missing + low.floor() as u64).clamp(known, missing);
    // Of what is rare, three that were not kept are the most to expect where none was (the rule of three).
    let high = ((control_missing + unseen) * scale + high.ceil() as u64).min(most).max(missing);
    (missing, Some((low, high)))
}

/// Whether every packet of a hop was kept.
fn is_whole(ctx: Context<'_>, h: &Hop) -> bool {
    let mut here = h.sightings.iter().filter(|s| Some(s.point) == h.sample_point);
    !ctx.flows.rate.is_sampled() || here.all(|s| ctx.flows.is_whole(ctx.captures, s))
}

/// Compares each observed hop with the one before it: missing packets, delay, and a packet that both saw as evidence.
fn compare(ctx: Context<'_>, d: &mut Direction, clocks: &Clocks, book: &mut Book) {
    let protocol = d.hops.iter().flat_map(|h| &h.sightings).find_map(|s| protocol_of(ctx, s));
    let Some(protocol) = protocol else { return };
    let observed: Vec<usize> = (0..d.hops.len()).filter(|n| d.hops.get(*n).is_some_and(Hop::observed)).collect();
    let base = observed.first().and_then(|n| d.hops.get(*n)).and_then(|h| first_seq(ctx, h));
    if observed.len() < 2 {
        return;
    }
    let sets: Vec<Packets> = observed.iter().filter_map(|n| d.hops.get(*n)).map(|h| packets(ctx, h, protocol, base)).collect();
    let samples: Vec<_> = observed.iter().filter_map(|n| d.hops.get(*n)).map(|h| sample_of(ctx, h)).collect();
    let two = |k: usize| observed.get(k).and_then(|n| Some((d.hops.get(*n)?, sets.get(k)?, samples.get(k)?)));
    let mut found = Vec::with_capacity(observed.len());
    let mut delays: Vec<(Nanos, u32, u32)> = Vec::new();
    for (k, n) in observed.iter().enumerate().skip(1) {
        let (Some((before, set_before, sample_before)), Some((here, set, sample_here))) = (two(k - 1), two(k)) else { continue };
        let (Some(p), Some(q)) = (before.sample_point, here.sample_point) else { continue };
        let by_here = Between::of(p, q, clocks);
        let is_inside = |r: &Row| r.time == NO_TIME || inside(ctx, q, by_here.translate(r.time));
        let is_estimate = !(is_whole(ctx, before) && is_whole(ctx, here));
        let copies = if set_before.repeats { lost_copies(ctx, before, here, is_inside) } else { BTreeSet::new() };
        let (missing, missing_range, gone) = if is_estimate {
            let (missing, range) = estimate(ctx, before, set, &copies, protocol, is_inside);
            (missing, range, missing)
        } else if set.has_all(set_before) || set.has_likes(set_before) {
            (copies.len() as u64, None, copies.len() as u64)
        } else {
            let lacks = || rows(ctx, before).filter(|(_, r)| is_inside(r) && !set.has(r, protocol));
            // What has no name here may be what is looked for.
            let missing = (lacks().count() as u64).saturating_sub(set.nameless);
            let beyond = sets.get(k + 1..).unwrap_or_default();
            let gone = lacks().filter(|(_, r)| beyond.iter().all(|s| s.nameless == 0 && !s.has(r, protocol))).count() as u64;
            let copies = copies.len() as u64;
            (missing + copies, None, gone.min(missing) + copies)
        };
        let by_before = Between::of(q, p, clocks);
        let row = |(left, arrived): (&Named, &Named)| (sample_before.row(left), sample_here.row(arrived));
        let delay = |(left, arrived): (&Named, &Named)| by_before.translate(arrived.time) - left.time;
        delays.clear();
        delays.extend(common(sample_before, sample_here).map(|pair| (delay(pair), row(pair).0, row(pair).1)));
        let middle = delays.len() / 2;
        let median = if is_estimate {
            delays.sort_unstable();
            delays.get(middle).copied()
        } else {
            (!delays.is_empty()).then(|| *delays.select_nth_unstable(middle).1)
        };
        let open = open_between(ctx, p, q, clocks);
        let range = if is_estimate { median_range(ctx, p, protocol, &delays) } else { None };
        // Fewer packets also leave more open of the clocks.
        let range = range.zip(open).map(|((low, high), open)| (low.saturating_sub(open).max(0), high.saturating_add(open)));
        let median_ns = median.map(|m| m.0).filter(|_| !before.is_mirrored && !here.is_mirrored);
        // A delay is known where it exceeds what the clocks leave open.
        let known = median_ns.filter(|d| open.is_some_and(|open| *d >= 0 && *d > open / 2));
        let ev = median.and_then(|(_, a, b)| pair_evidence(ctx, before, here, (p, a), (q, b), known, protocol, book));
        found.push((*n, (missing, missing_range, gone), (known, range.filter(|_| known.is_some())), ev));
    }
    for (n, missing, delay, ev) in found {
        if let Some(h) = d.hops.get_mut(n) {
            (h.missing, h.missing_range, h.gone) = missing;
            (h.delay_ns, h.delay_range_ns) = delay;
            h.ev.extend(ev);
        }
    }
}

/// Rows of segments that came by more often before than here, since their sender had to send them again: the bytes arrived, those
/// packets did not.
fn lost_copies(ctx: Context<'_>, before: &Hop, here: &Hop, is_inside: impl Fn(&Row) -> bool) -> BTreeSet<u32> {
    /// The same bytes without an IP id, this soon after one another, may be one packet captured twice.
    const TWICE: Nanos = 1_000_000;
    type Copies = Vec<(u16, Nanos, u32)>;
    let segments = |h: &Hop, is_counted: &dyn Fn(&Row) -> bool| {
        let mut segments: BTreeMap<(u32, u32, u8), Copies> = BTreeMap::new();
        for (_, r) in rows(ctx, h).filter(|(_, r)| is_counted(r)) {
            let opening = r.flags & (flags::SYN | flags::FIN);
            // A keep-alive repeats one byte that was acknowledged long ago (RFC 9293 §3.8.4).
            let is_probe = r.len <= 1 && r.flags & (flags::SYN | flags::FIN | flags::PSH) == 0;
            if r.len == 0 && opening == 0 || is_probe || r.flags & flags::RST != 0 {
                continue;
            }
            let copies = segments.entry((r.seq, r.len, opening)).or_default();
            let is_known = |(id, time, _): &(u16, Nanos, u32)| *id == r.ip_id && (*id != 0 || (r.time - time).abs() < TWICE);
            if !copies.iter().any(is_known) && copies.len() < 64 {
                copies.push((r.ip_id, r.time, r.row));
            }
        }
        segments
    };
    let mut there = segments(before, &is_inside);
    there.retain(|_, copies| copies.len() > 1);
    if there.is_empty() {
        return BTreeSet::new();
    }
    // Here the same bytes may be cut otherwise, or be a part of a longer segment: what counts is how often their first or last one came.
    let base = there.keys().next().map_or(0, |k| k.0);
    let from = |seq: u32| i64::from(seq.wrapping_sub(base) as i32);
    let arrived = segments(here, &|_| true);
    let mut by_seq: Vec<(i64, i64, usize)> =
        arrived.iter().map(|((seq, len, _), c)| (from(*seq), i64::from((*len).max(1)), c.len())).collect();
    by_seq.sort_unstable();
    let longest = by_seq.iter().map(|s| s.1).max().unwrap_or(0);
    let times = |byte: u32| {
        let byte = from(byte);
        let first = by_seq.partition_point(|s| s.0 <= byte - longest);
        let near = by_seq.get(first..).unwrap_or_default().iter().take_while(|s| s.0 <= byte);
        near.filter(|s| byte < s.0 + s.1).map(|s| s.2).sum::<usize>()
    };
    let lost = there.iter().flat_map(|((seq, len, _), copies)| {
        let came = times(*seq).max(times(seq.wrapping_add(len.saturating_sub(1))));
        // The last one came, or it would have been sent once more.
        let lost = if came > 0 { copies.len().saturating_sub(came) } else { 0 };
        copies.iter().take(lost).map(|c| c.2)
    });
    order::set(lost)
}

/// Between which two the median of all delays lies, of which these, sorted, are a sample: (delay, row at point `p`, row). Segments
/// of one block of sequence space, sent together, are delayed together.
fn median_range(ctx: Context<'_>, p: usize, protocol: Protocol, delays: &[(Nanos, u32, u32)]) -> Option<(Nanos, Nanos)> {
    let capture = ctx.points.get(p).and_then(|p| ctx.captures.get(p.capture))?;
    let trials = if protocol == Protocol::Tcp {
        let together = |row: u32| {
            let r = capture.digest.row(row)?;
            Some(if r.len == 0 { (true, row) } else { (false, kept_pieces(&r, ctx.flows.rate).next().map_or(r.seq >> 12, |p| p.block)) })
        };
        delays.iter().filter_map(|(_, row, _)| together(*row)).collect::<BTreeSet<_>>().len()
    } else {
        delays.len()
    };
    let (low, high) = estimate::median_ranks(delays.len(), trials)?;
    Some((delays.get(low)?.0, delays.get(high)?.0))
}

/// Well inside a point's capture: the margin at its ends is for verdicts on whole conversations, not for counting packets.
pub(super) fn inside(ctx: Context<'_>, point: usize, time: Nanos) -> bool {
    let Some(capture) = ctx.points.get(point).and_then(|p| ctx.captures.get(p.capture)) else { return false };
    capture.span.is_some_and(|(first, last)| (first..=last).contains(&time)) && ran_at(ctx, point, time)
}

/// What two points' clocks leave open of a delay; `None`: everything. Captures of one host have one clock.
fn open_between(ctx: Context<'_>, p: usize, q: usize, clocks: &Clocks) -> Option<Nanos> {
    let host = |id: usize| ctx.points.get(id)?.host(ctx.inv);
    let one_clock = p == q || host(p).is_some() && host(p) == host(q);
    if one_clock { Some(0) } else { uncertainty_between(clocks, p, q) }
}

#[allow(clippy::too_many_arguments)]
fn pair_evidence(
    ctx: Context<'_>,
    before: &Hop,
    here: &Hop,
    (p, row_p): (usize, u32),
    (q, row_q): (usize, u32),
    delay: Option<Nanos>,
    protocol: Protocol,
    book: &mut Book,
) -> Option<crate::evidence::Ev> {
    let capture = |point: usize| ctx.points.get(point).and_then(|p| ctx.captures.get(p.capture));
    let (a, b) = (capture(p)?, capture(q)?);
    let row = a.digest.row(row_p)?;
    let renumbered = b.digest.row(row_q).map(|r| r.ip_id).filter(|id| *id != row.ip_id);
    let with_id = |says: Phrase| {
        let says = says.fixed(" IP id ").number(row.ip_id);
        if let Some(id) = renumbered { says.fixed(" (rewritten to ").number(id).fixed(")") } else { says }
    };
    let what = match protocol {
        Protocol::Tcp => book.phrase("TCP seq ").number(row.seq).fixed(" length ").number(row.len),
        Protocol::Icmp | Protocol::Icmpv6 => with_id(book.phrase("ICMP seq ").number(row.seq)),
        _ => with_id(book.phrase(&protocol.name().to_uppercase()).fixed(" of ").number(row.len).fixed(" bytes,")),
    };
    fn name(h: &Hop) -> &str {
        short(h.interface.as_deref().unwrap_or(&h.owner))
    }
    let mut says = what.fixed(" leaves ").words(name(before)).fixed(" and appears");
    if let Some(delay) = delay {
        says = says.fixed(" ").words(&duration(delay)).fixed(" later");
    }
    says = says.fixed(" at ").words(name(here));
    let ttls = before.ttl.zip(here.ttl);
    says = match ttls {
        Some((x, y)) if x == y => says.fixed(" with the same TTL ").number(x),
        Some((x, y)) => says.fixed(" with TTL ").number(y).fixed(" instead of ").number(x),
        None => says,
    };
    if (before.src_mac, before.dst_mac) != (here.src_mac, here.dst_mac) {
        says = says.fixed(if ttls.is_some() { " and new MACs" } else { " new MACs" });
    }
    Some(book.add_new("same_packet", says, &[Place::frame(a.input, row_p), Place::frame(b.input, row_q)]))
}

/// A time span for people: three figures and a unit.
#[must_use]
pub fn duration(ns: Nanos) -> String {
    let (value, unit) = match ns.unsigned_abs() {
        n if n < 1_000 => return format!("{ns} ns"),
        n if n < 1_000_000 => (ns / 10, "µs"),
        n if n < 1_000_000_000 => (ns / 10_000, "ms"),
        _ => (ns / 10_000_000, "s"),
    };
    // `value` is in hundredths of the unit.
    let (whole, part) = (value / 100, (value % 100).abs());
    if part == 0 || whole >= 100 { format!("{whole} {unit}") } else { format!("{whole}.{part:02} {unit}") }
}

/// A clock's drift in millionths, for people.
#[must_use]
pub fn drift(ppb: i64) -> String {
    let word = if ppb < 0 { "loses" } else { "gains" };
    format!("on which it {word} {}.{} ppm", ppb.unsigned_abs() / 1000, ppb.unsigned_abs() % 1000 / 100)
}

/// How the server's side refused: a reset that answers a SYN, and nothing else.
fn refusal(ctx: Context<'_>, path: &Path) -> bool {
    let is_tcp = path.legs.first().is_some_and(|l| l.tuple.protocol == Protocol::Tcp);
    let Some(d) = path.direction(Way::Reply).filter(|_| is_tcp) else { return false };
    let sightings = d.hops.iter().flat_map(|h| &h.sightings);
    let seen =
        sightings.clone().filter_map(|s| ctx.flows.of(s).filter(|all| !all.rows(s.stream).is_empty()).map(|all| all.refuses(s.stream)));
    let mut seen = seen.peekable();
    // What was left out is no reset: those are kept.
    seen.peek().is_some() && seen.all(|refuses| refuses) && sightings.into_iter().all(|s| ctx.flows.is_whole(ctx.captures, s))
}

/// Who says by ICMP that packets went no further: no way to their host or port, a rule forbids it, or their TTL ran out (RFC 792 type 3 but
/// for a packet that is too big, type 11 code 0; RFC 4443 type 1, type 3 code 0). By what the packets were sent under, numbered in order.
#[derive(Default)]
pub(super) struct Refusals(BTreeMap<Tuple, Vec<(usize, IpAddr)>>);

impl Refusals {
    /// All that any capture has.
    pub(super) fn all(ctx: Context<'_>) -> Self {
        let refuses = |e: &IcmpErrorSeen| match (e.about.src, e.kind) {
            (IpAddr::V4(_), 3) => e.code != 4,
            (IpAddr::V4(_), 11) => e.code == 0,
            (IpAddr::V6(_), 1) => true,
            (IpAddr::V6(_), 3) => e.code == 0,
            _ => false,
        };
        let mut refusals = Self::default();
        for (n, (digest, e)) in ctx.captures.iter().flat_map(|c| c.digest.errors.iter().map(|e| (c.digest, e))).enumerate() {
            if let Some(flow) = digest.streams.get(e.stream as usize).and_then(|s| s.key.flow).filter(|_| refuses(e)) {
                refusals.0.entry(e.about).or_default().push((n, flow.src));
            }
        }
        refusals
    }

    /// Whose word counts for this conversation.
    fn of(&self, ctx: Context<'_>, path: &Path) -> Option<Id> {
        if self.0.is_empty() {
            return None;
        }
        let senders: BTreeSet<(usize, IpAddr)> = order::set(path.legs.iter().filter_map(|l| self.0.get(&l.tuple)).flatten().copied());
        // Where addresses are translated the error is too: in front of the translation a service's address seems to speak.
        let hops = path.direction(Way::Request).map(|d| d.hops.as_slice()).unwrap_or_default();
        let mut first = None;
        for by in senders.into_iter().map(|(_, ip)| ctx.inv.entity_of_ip(ip)) {
            if hops.iter().any(|h| h.owner == by) {
                return Some(by);
            }
            first.get_or_insert(by);
        }
        first
    }
}

/// Whether packets went on behind whoever turned some away: to a hop behind that one, or to their end where it is none of the hops.
fn went_on(d: &Direction, by: &str, is_service: bool) -> bool {
    let Some(last) = d.hops.iter().rposition(Hop::observed) else { return false };
    match d.hops.iter().rposition(|h| h.owner == by) {
        Some(by) => by < last,
        None => !is_service && d.arrived && last + 1 == d.hops.len(),
    }
}

/// The last hop that the packets are known to have passed: captured there, or accepted there by the VPC.
fn reached(d: &Direction) -> Option<usize> {
    d.hops.iter().rposition(|h| h.observed() || matches!(h.logged, Some(Logged::Accepted)) || h.sealed.is_some_and(|s| s.is_seen))
}

/// Whether a hop is the node's end of a pod's link, captured, and the next one the pod's.
fn is_before_its_end(ctx: Context<'_>, d: &Direction, n: usize) -> bool {
    let (Some(here), Some(next)) = (d.hops.get(n), d.hops.get(n + 1)) else { return false };
    let pod = ctx.inv.pods.get(&next.owner).filter(|p| p.node.as_ref() == Some(&here.owner));
    pod.is_some_and(|p| here.observed() && here.leg == next.leg && here.interface == Some(interface_id(&here.owner, &p.veth)))
}

fn decide(d: &mut Direction, replied: bool, refused: bool, by: Option<&str>, is_at_link: impl Fn(&Direction, usize) -> bool) {
    let Some(last) = reached(d) else { return };
    // The VPC's own word on where the packets ended; a capture's silence beyond is its consequence.
    if let Some(n) = d
        .hops
        .iter()
        .position(|h| matches!(h.logged, Some(Logged::Rejected { .. })))
        .filter(|n| *n >= last && !(replied && d.way == Way::Request))
    {
        d.verdict = Verdict::Rejected;
        d.hops.truncate(n + 1);
        d.lost_after = Some(n);
        return;
    }
    // A veth hands a frame to its other end at once, and a capture at the node's end has it after whatever may have dropped it
    // (`__dev_queue_xmit`: egress filters and the queue come before the taps).
    let rest = d.hops.len() - 1 - last;
    let at_end = d.arrived && (rest == 0 || rest == 1 && is_at_link(d, last));
    if d.way == Way::Request && refused {
        d.verdict = Verdict::Rejected;
        // Whoever refused is where the packet ended; a capture that ran beyond and saw nothing says that it was not further on.
        let refuser = by.and_then(|by| {
            d.hops.iter().rposition(|h| h.owner == by && h.observed()).or_else(|| d.hops.iter().position(|h| h.owner == by))
        });
        let end = match refuser {
            Some(n) => n,
            // None of the hops: beyond the last that saw the packets nothing is known.
            None if by.is_some() => last,
            None if d.silent.is_empty() => d.hops.len() - 1,
            None => last,
        };
        d.hops.truncate(end.max(last) + 1);
        d.lost_after = Some(d.hops.len() - 1);
        return;
    }
    let request_answered = d.way == Way::Request && replied;
    if !request_answered && !d.silent.is_empty() {
        d.verdict = Verdict::Lost;
        d.lost_after = Some(last);
        d.beyond = d.hops.split_off(last + 1);
        let seen = d.hops.iter().rfind(|h| h.observed()).map_or(0, |h| h.seen);
        for hop in &mut d.beyond {
            if d.silent.iter().any(|(_, interface)| hop.interface.as_ref() == Some(interface)) {
                hop.missing = seen;
            }
        }
        return;
    }
    let reply_is_used = d.way == Way::Reply && d.silent.is_empty();
    d.verdict = if request_answered || at_end || reply_is_used { Verdict::Delivered } else { Verdict::Unknown };
    // Where they would go is known, not that they went there.
    if d.verdict == Verdict::Unknown && d.way == Way::Request {
        for h in d.hops.iter_mut().skip(last + 1) {
            h.p = round(h.p * step::UNANSWERED);
        }
    }
}

/// Interfaces of hops that nobody captured, where a capture would settle an open verdict.
#[must_use]
pub fn would_settle(d: &Direction) -> Option<Id> {
    let last = reached(d)?;
    d.hops.iter().skip(last + 1).rev().find_map(|h| h.interface.clone())
}

/// The interfaces that a direction crosses, for findings.
#[must_use]
pub fn interfaces(d: &Direction) -> BTreeSet<Id> {
    order::set(d.hops.iter().filter_map(|h| h.interface.clone()))
}
