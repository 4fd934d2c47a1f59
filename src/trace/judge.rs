//! What is missing where, how long each part took, and what became of each direction.
//! Knows hops and clocks; must not take a capture's gap for a loss.

use std::collections::{BTreeMap, BTreeSet};

use super::{Context, Direction, Hop, Logged, Path};
use crate::correlate::clocks::Offset;
use crate::correlate::flows::Sighting;
use crate::digest::{NO_TIME, Row};
use crate::dissect::flags;
use crate::evidence::{Book, Place};
use crate::identify::inventory::{Id, short};
use crate::model::{Nanos, Protocol};
use crate::report::{Verdict, Way};

/// Each point's clock against its group's reference.
pub type Clocks = BTreeMap<usize, (usize, Offset)>;

/// A capture is taken to have run this long before its first and after its last packet: captures of quiet interfaces begin
/// and end with silence, and only a packet well inside can be said to be missing.
const MARGIN: Nanos = 1_000_000_000;

/// A placement must be this sure before its silence counts.
const SURE: f64 = 0.6;

/// So must the way: silence where the packets perhaps never had to pass is no loss.
const SURE_STEP: f64 = 0.9;

/// Fills in counts, delays and verdicts.
pub fn judge(ctx: Context<'_>, path: &mut Path, clocks: &Clocks, book: &mut Book) {
    for d in &mut path.directions {
        compare(ctx, d, clocks, book);
        silences(ctx, d, clocks);
    }
    let replied = path.direction(Way::Reply).is_some_and(|d| d.hops.iter().any(Hop::observed));
    let by_icmp = if replied { None } else { refused_by_icmp(ctx, path) };
    let refused = refusal(ctx, path) || by_icmp.is_some();
    for d in &mut path.directions {
        decide(d, replied, refused, by_icmp.as_deref());
    }
}

/// What a capture's silence beyond a hop would be told by.
fn silences(ctx: Context<'_>, d: &mut Direction, clocks: &Clocks) {
    let Some(last) = d.hops.iter().rposition(Hop::observed) else { return };
    let times: Vec<(usize, Nanos)> = d
        .hops
        .get(last)
        .into_iter()
        .flat_map(|h| &h.sightings)
        .flat_map(|s| ctx.flows.rows(ctx.captures, s).filter(|r| r.time != NO_TIME).take(64).map(|r| (s.point, r.time)))
        .collect();
    // What the VPC's own log has further on was not lost before.
    let reached = reached(d).unwrap_or(last).max(last);
    for h in d.hops.iter().skip(reached + 1) {
        let Some(interface) = &h.interface else { continue };
        for (id, p) in ctx.points.iter().enumerate() {
            let here = p.at.as_ref() == Some(interface) || p.stream_at.values().any(|i| i == interface);
            if here && p.p >= SURE && h.p >= SURE_STEP && times.iter().any(|(point, t)| ran_at(ctx, id, translate(*t, *point, id, clocks)))
            {
                d.silent.push((id, interface.clone()));
            }
        }
    }
}

/// A time of one point's clock by another's; without a known offset the clocks are taken to agree.
pub(super) fn translate(time: Nanos, from: usize, to: usize, clocks: &Clocks) -> Nanos {
    match (clocks.get(&from), clocks.get(&to)) {
        (Some((a, x)), Some((b, y))) if a == b => time - x.offset_ns + y.offset_ns,
        _ => time,
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
    /// Identities, with their number.
    idents: BTreeMap<u64, u32>,
    /// TCP: the sequence numbers covered, as sorted disjoint ranges relative to `base`.
    covered: Vec<(i64, i64)>,
    base: Option<u32>,
}

fn rows<'a>(ctx: Context<'a>, h: &'a Hop) -> impl Iterator<Item = (&'a Sighting, Row)> + use<'a> {
    let point = h.sample_point;
    h.sightings.iter().filter(move |s| Some(s.point) == point).flat_map(move |s| ctx.flows.rows(ctx.captures, s).map(move |r| (s, r)))
}

/// Sequence space that a segment takes: its payload, and one each for SYN and FIN (RFC 9293 §3.4).
fn span(row: &Row, base: u32) -> (i64, i64) {
    let from = i64::from(row.seq.wrapping_sub(base) as i32);
    let extra = i64::from(row.flags & flags::SYN != 0) + i64::from(row.flags & flags::FIN != 0);
    (from, from + i64::from(row.len) + extra)
}

fn packets(ctx: Context<'_>, h: &Hop, protocol: Protocol, base: Option<u32>) -> Packets {
    let mut p = Packets { idents: BTreeMap::new(), covered: Vec::new(), base };
    let mut spans = Vec::new();
    for (_, row) in rows(ctx, h) {
        if row.ident != 0 {
            *p.idents.entry(row.ident).or_default() += 1;
        }
        if protocol == Protocol::Tcp {
            let base = *p.base.get_or_insert(row.seq);
            let (from, to) = span(&row, base);
            if to > from {
                spans.push((from, to));
            }
        }
    }
    spans.sort_unstable();
    for (from, to) in spans {
        match p.covered.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => p.covered.push((from, to)),
        }
    }
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
            let at = self.covered.partition_point(|r| r.1 < to);
            return self.covered.get(at).is_some_and(|r| r.0 <= from && to <= r.1);
        }
        row.ident == 0 || self.idents.contains_key(&row.ident)
    }
}

/// Compares each observed hop with the one before it: missing packets, delay, and a packet that both saw as evidence.
fn compare(ctx: Context<'_>, d: &mut Direction, clocks: &Clocks, book: &mut Book) {
    let protocol = d
        .hops
        .iter()
        .flat_map(|h| &h.sightings)
        .find_map(|s| Some(ctx.captures.get(s.capture)?.digest.streams.get(s.stream as usize)?.key.flow?.protocol));
    let Some(protocol) = protocol else { return };
    let observed: Vec<usize> = (0..d.hops.len()).filter(|n| d.hops.get(*n).is_some_and(Hop::observed)).collect();
    let base = observed.first().and_then(|n| d.hops.get(*n)).and_then(|h| rows(ctx, h).next()).map(|(_, r)| r.seq);
    let sets: Vec<Packets> = observed.iter().filter_map(|n| d.hops.get(*n)).map(|h| packets(ctx, h, protocol, base)).collect();
    for (k, n) in observed.iter().enumerate().skip(1) {
        let (Some(before), Some(here), Some(set)) = (observed.get(k - 1).and_then(|b| d.hops.get(*b)), d.hops.get(*n), sets.get(k)) else {
            continue;
        };
        let (Some(p), Some(q)) = (before.sample_point, here.sample_point) else { continue };
        let missing = rows(ctx, before)
            .filter(|(_, r)| r.time == NO_TIME || inside(ctx, q, translate(r.time, p, q, clocks)))
            .filter(|(_, r)| !set.has(r, protocol))
            .count() as u64;
        let mut delays: Vec<(Nanos, u32, u32)> = before
            .sample
            .iter()
            .filter_map(|(k, (t, row))| here.sample.get(k).map(|(u, other)| (translate(*u, q, p, clocks) - t, *row, *other)))
            .collect();
        delays.sort_unstable();
        let median = delays.get(delays.len() / 2).copied();
        let median_ns = median.map(|m| m.0).filter(|_| !before.is_mirrored && !here.is_mirrored);
        let known = known_delay(ctx, median_ns, p, q, clocks);
        let ev = median.and_then(|(_, a, b)| pair_evidence(ctx, before, here, (p, a), (q, b), known, protocol, book));
        if let Some(h) = d.hops.get_mut(*n) {
            (h.missing, h.delay_ns) = (missing, known);
            h.ev.extend(ev);
        }
    }
}

/// Well inside a point's capture: the margin at its ends is for verdicts on whole conversations, not for counting packets.
fn inside(ctx: Context<'_>, point: usize, time: Nanos) -> bool {
    let Some(capture) = ctx.points.get(point).and_then(|p| ctx.captures.get(p.capture)) else { return false };
    capture.span.is_some_and(|(first, last)| (first..=last).contains(&time)) && ran_at(ctx, point, time)
}

/// A delay that exceeds what the clocks leave open. Captures of one host have one clock.
fn known_delay(ctx: Context<'_>, delay: Option<Nanos>, p: usize, q: usize, clocks: &Clocks) -> Option<Nanos> {
    let delay = delay?;
    let host = |id: usize| {
        let point = ctx.points.get(id)?;
        match point.link.as_ref().and_then(|l| ctx.inv.pods.get(l)) {
            Some(pod) => pod.node.clone(),
            None => point.owner.clone(),
        }
    };
    let open = match (clocks.get(&p), clocks.get(&q)) {
        _ if p == q || host(p).is_some() && host(p) == host(q) => 0,
        (Some((a, x)), Some((b, y))) if a == b => (x.uncertainty_ns - y.uncertainty_ns).abs(),
        _ => return None,
    };
    (delay >= 0 && delay > open / 2).then_some(delay)
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
    let what = match protocol {
        Protocol::Tcp => format!("TCP seq {} length {}", row.seq, row.len),
        Protocol::Icmp | Protocol::Icmpv6 => format!("ICMP seq {} IP id {}", row.seq, row.ip_id),
        _ => format!("{} of {} bytes, IP id {}", protocol.name().to_uppercase(), row.len, row.ip_id),
    };
    let name = |h: &Hop| short(h.interface.as_deref().unwrap_or(&h.owner)).to_owned();
    let after = delay.map_or(String::new(), |d| format!(" {} later", duration(d)));
    let mut changes = Vec::new();
    if let (Some(x), Some(y)) = (before.ttl, here.ttl) {
        changes.push(if x == y { format!("with the same TTL {x}") } else { format!("with TTL {y} instead of {x}") });
    }
    if (before.src_mac, before.dst_mac) != (here.src_mac, here.dst_mac) {
        changes.push("new MACs".to_owned());
    }
    let statement = format!("{what} leaves {} and appears{after} at {} {}", name(before), name(here), changes.join(" and "));
    Some(book.add("same_packet", statement.trim_end().to_owned(), vec![Place::frame(a.input, row_p), Place::frame(b.input, row_q)]))
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

/// How the server's side refused: a reset that answers a SYN, and nothing else.
fn refusal(ctx: Context<'_>, path: &Path) -> bool {
    let Some(d) = path.direction(Way::Reply) else { return false };
    let all: Vec<u8> =
        d.hops.iter().flat_map(|h| &h.sightings).flat_map(|s| ctx.flows.rows(ctx.captures, s).take(16)).map(|r| r.flags).collect();
    let tcp = path.legs.first().is_some_and(|l| l.tuple.protocol == Protocol::Tcp);
    tcp && !all.is_empty() && all.iter().all(|f| f & flags::RST != 0)
}

/// An ICMP error that says that a packet of this conversation was turned away: no such port, or a rule forbids it
/// (RFC 792 type 3 codes 2, 3, 9, 10, 13; RFC 4443 type 1 codes 1, 4). Gives whose word it is.
fn refused_by_icmp(ctx: Context<'_>, path: &Path) -> Option<Id> {
    let legs: BTreeSet<_> = path.legs.iter().map(|l| l.tuple).collect();
    let refuses = |e: &crate::digest::IcmpErrorSeen| match e.about.src {
        std::net::IpAddr::V4(_) => e.kind == 3 && matches!(e.code, 2 | 3 | 9 | 10 | 13),
        std::net::IpAddr::V6(_) => e.kind == 1 && matches!(e.code, 1 | 4),
    };
    ctx.captures.iter().find_map(|c| {
        let error = c.digest.errors.iter().find(|e| legs.contains(&e.about) && refuses(e))?;
        let sender = c.digest.streams.get(error.stream as usize)?.key.flow?.src;
        Some(ctx.inv.entity_of_ip(sender))
    })
}

/// The last hop that the packets are known to have passed: captured there, or accepted there by the VPC.
fn reached(d: &Direction) -> Option<usize> {
    d.hops.iter().rposition(|h| h.observed() || matches!(h.logged, Some(Logged::Accepted)))
}

fn decide(d: &mut Direction, replied: bool, refused: bool, by: Option<&str>) {
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
    let at_end = last + 1 == d.hops.len() && d.arrived;
    if d.way == Way::Request && refused {
        d.verdict = Verdict::Rejected;
        // Whoever refused is where the packet ended; a capture that ran beyond and saw nothing says that it was not further on.
        let refuser = by.and_then(|by| {
            d.hops.iter().rposition(|h| h.owner == by && h.observed()).or_else(|| d.hops.iter().position(|h| h.owner == by))
        });
        let end = match refuser {
            Some(n) => n,
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
        // What lies beyond the loss never had the packet.
        d.hops.truncate(last + 1);
        return;
    }
    let reply_is_used = d.way == Way::Reply && d.silent.is_empty();
    d.verdict = if request_answered || at_end || reply_is_used { Verdict::Delivered } else { Verdict::Unknown };
}

/// Interfaces of hops that nobody captured, where a capture would settle an open verdict.
#[must_use]
pub fn would_settle(d: &Direction) -> Option<Id> {
    let last = d.hops.iter().rposition(Hop::observed)?;
    d.hops.iter().skip(last + 1).rev().find_map(|h| h.interface.clone())
}

/// The interfaces that a direction crosses, for findings.
#[must_use]
pub fn interfaces(d: &Direction) -> BTreeSet<Id> {
    d.hops.iter().filter_map(|h| h.interface.clone()).collect()
}
