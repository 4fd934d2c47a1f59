//! Encrypted tunnels between hosts: WireGuard and IPsec's ESP. A capture at a host's interface shows what is sealed, never the packets inside.
//! Knows sealed packets' lengths and times; must not take one of them for any particular packet.
//!
//! WireGuard pads what it carries to 16 octets and adds a header of 16 and a tag of 16 (Donenfeld, "WireGuard", 5.4.6), so its data is of
//! lengths that other protocols have by chance only; ESP goes by a protocol number of its own (RFC 4303). A conversation is in the tunnel between
//! its two nodes if its packets, as the node sends them off, are each followed by a sealed one whose length is right, more often than
//! at other times.

use std::net::IpAddr;

use super::{Context, Direction, Hop, Path};
use crate::confidence::{needed::SURE, sealed as weight};
use crate::correlate::flows::{Flow, Sighting};
use crate::digest::{NO_TIME, Row};
use crate::evidence::{Book, Place};
use crate::identify::inventory::{Id, short};
use crate::model::{Nanos, Protocol};

const ESP: Protocol = Protocol::Other(50);

/// The ports that WireGuard's own documentation, Calico and Cilium use.
const WIREGUARD_PORTS: [u16; 3] = [51820, 51821, 51871];

/// So many of a flow's packets are looked at.
const LOOKED_AT: usize = 64;

/// With fewer data packets of a tunnel at unknown ports their lengths may be so by chance: one in 16 each.
const LEAST: usize = 6;

/// What always says the same is always as long: NTP's 48 octets too.
const KINDS: usize = 4;

/// A packet is sealed or opened within this.
const WITHIN: Nanos = 2_000_000;

/// So many other times are looked at for each packet.
const ELSEWHERE: i64 = 8;

/// What is longer may be cut before it is sealed.
const LONGEST: u32 = 1200;

/// What a hop's packets are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// IPsec's ESP, or WireGuard.
    pub is_esp: bool,
    /// The outer addresses.
    pub src: IpAddr,
    /// The other one.
    pub dst: IpAddr,
    /// Whether the sealed packets that are probably this conversation's were captured here.
    pub is_seen: bool,
}

/// Tunnels by the nodes that they lead from and to: the flow and whether that way is its forward one.
pub(super) struct Tunnels<'a>(Vec<(&'a Id, &'a Id, &'a Flow, bool)>);

impl<'a> Tunnels<'a> {
    /// `None`: no capture shows any.
    pub(super) fn of(ctx: Context<'a>) -> Option<Self> {
        let mut found = Vec::new();
        for flow in ctx.flows.flows.iter().filter(|f| is_sealed(ctx, f)) {
            let t = flow.tuple;
            let owner = |ip| ctx.inv.owner_of_ip(ip).map(|c| &c.owner).filter(|o| ctx.inv.nodes.contains_key(*o));
            let Some((a, b)) = owner(t.src).zip(owner(t.dst)) else { continue };
            found.extend([(a, b, flow, true), (b, a, flow, false)]);
        }
        (!found.is_empty()).then_some(Self(found))
    }

    /// Enters into a path what carries its packets between two nodes where none of them was captured.
    pub(super) fn lay(&self, ctx: Context<'_>, path: &mut Path, book: &mut Book) {
        let is_tunnel = |f: usize| ctx.flows.flows.get(f).is_some_and(|f| self.0.iter().any(|t| t.2.tuple == f.tuple));
        if path.legs.iter().filter_map(|l| l.flow).any(is_tunnel) {
            return;
        }
        for d in &mut path.directions {
            let is_node = |h: &Hop| ctx.inv.nodes.contains_key(&h.owner);
            let Some(to) = (1..d.hops.len()).find(|n| {
                let (Some(h), Some(before)) = (d.hops.get(*n), last_node(ctx, d, *n)) else { return false };
                is_node(h) && d.hops.get(before).is_some_and(|b| self.between(&b.owner, &h.owner).is_some())
            }) else {
                continue;
            };
            let Some(from) = last_node(ctx, d, to) else { continue };
            if d.hops.get(from..=to).is_some_and(|between| !between.iter().any(Hop::observed)) {
                self.seal(ctx, d, from, to, book);
            }
        }
    }

    /// Of several any one.
    fn between(&self, from: &Id, to: &Id) -> Option<(&'a Flow, bool)> {
        self.0.iter().rfind(|t| (t.0, t.1) == (from, to)).map(|t| (t.2, t.3))
    }

    fn seal(&self, ctx: Context<'_>, d: &mut Direction, from: usize, to: usize, book: &mut Book) {
        let (Some(first), Some(last)) = (d.hops.get(from), d.hops.get(to)) else { return };
        let Some((flow, forward)) = self.between(&first.owner, &last.owner) else { return };
        let tuple = if forward { flow.tuple } else { flow.tuple.reversed() };
        let at = |owner: &Id| -> Vec<&Sighting> {
            let is_there = |s: &&Sighting| s.forward == forward && ctx.points.get(s.point).and_then(|p| p.host(ctx.inv)) == Some(owner);
            flow.sightings.iter().filter(is_there).collect()
        };
        let (near, far) = (at(&first.owner), at(&last.owner));
        let on = |h: &&Hop, owner: &Id| {
            h.observed() && h.points().iter().any(|p| ctx.points.get(*p).and_then(|p| p.host(ctx.inv)) == Some(owner))
        };
        let before = d.hops.get(..from).and_then(|h| h.iter().rev().find(|h| on(h, &first.owner)));
        let after = d.hops.get(to + 1..).and_then(|h| h.iter().find(|h| on(h, &last.owner)));
        let near_fit = before.and_then(|h| fit(ctx, h, &near, tuple.protocol, false));
        let far_fit = after.and_then(|h| fit(ctx, h, &far, tuple.protocol, true));
        // What was sealed here and is known again there has crossed.
        let crossed = |f: &Fit| f.idents.iter().filter(|i| far.iter().any(|s| has(ctx, s, **i))).count() * 10 >= f.idents.len() * 9;
        let is_crossed = near_fit.as_ref().is_some_and(|f| f.p >= SURE && crossed(f));
        let p = [&near_fit, &far_fit].into_iter().flatten().map(|f| f.p).reduce(f64::max).unwrap_or(weight::UNTESTED);
        if p < crate::confidence::needed::LIKELY {
            return;
        }
        let kind = if tuple.protocol == ESP { "ESP" } else { "WireGuard" };
        let mut ev = Vec::new();
        for f in [&near_fit, &far_fit].into_iter().flatten().filter(|f| f.fitting > 0) {
            let statement = format!(
                "of {} packets {} have one of {kind} {} → {} beside them, within {} ms, of the length that they have in it; at other times {} would",
                f.tested,
                f.fitting,
                tuple.src,
                tuple.dst,
                WITHIN / 1_000_000,
                f.by_chance
            );
            ev.push(book.add("sealed", statement, f.places.clone()));
        }
        if ev.is_empty() {
            let place =
                flow.sightings.first().and_then(|s| Some(Place::frame(ctx.captures.get(s.capture)?.input, ctx.stream(s)?.first_row)));
            let statement = format!("{kind} {} → {} leads from {} to {}", tuple.src, tuple.dst, short(&first.owner), short(&last.owner));
            ev.push(book.add("sealed", statement, place.into_iter().collect()));
        }
        let (near_seen, far_seen) = (near_fit.is_some_and(|f| f.p >= SURE), far_fit.is_some_and(|f| f.p >= SURE) || is_crossed);
        for (n, h) in d.hops.iter_mut().enumerate().take(to + 1).skip(from) {
            let is_seen = if n == to { far_seen } else { near_seen && n == from };
            h.sealed = Some(Sealed { is_esp: tuple.protocol == ESP, src: tuple.src, dst: tuple.dst, is_seen });
            h.ev.extend(&ev);
        }
    }
}

/// The last hop at a node before the `n`th, from which the way leads on to another's: over routers at most.
fn last_node(ctx: Context<'_>, d: &Direction, n: usize) -> Option<usize> {
    let here = d.hops.get(n)?;
    let before = (0..n).rev().find(|m| d.hops.get(*m).is_some_and(|h| !h.owner.starts_with("router:")))?;
    let from = d.hops.get(before)?;
    (from.owner != here.owner && ctx.inv.nodes.contains_key(&from.owner) && from.leg == here.leg).then_some(before)
}

/// Whether a flow's packets are a tunnel's whose content nobody can read.
fn is_sealed(ctx: Context<'_>, flow: &Flow) -> bool {
    let t = flow.tuple;
    if t.protocol == ESP {
        return true;
    }
    if t.protocol != Protocol::Udp || t.src_port != t.dst_port && ![t.src_port, t.dst_port].iter().any(|p| WIREGUARD_PORTS.contains(p)) {
        return false;
    }
    let lens = || flow.sightings.iter().flat_map(|s| ctx.flows.rows(ctx.captures, s).take(LOOKED_AT)).map(|r| r.len);
    // Its handshakes are of 148 and 92 octets.
    let is_data = |len: u32| len >= 32 && len.is_multiple_of(16);
    let data = lens().filter(|len| is_data(*len)).count();
    let mut kinds: Vec<u32> = Vec::new();
    lens().for_each(|len| {
        if !kinds.contains(&len) {
            kinds.push(len);
        }
    });
    let known = WIREGUARD_PORTS.contains(&t.src_port) || WIREGUARD_PORTS.contains(&t.dst_port);
    lens().all(|len| is_data(len) || len == 148 || len == 92) && (known || data >= LEAST && kinds.len() >= KINDS)
}

/// How well sealed packets fit a conversation's.
struct Fit {
    p: f64,
    tested: usize,
    fitting: usize,
    /// How many would, at other times.
    by_chance: usize,
    /// The identities of those that fit.
    idents: Vec<u64>,
    places: Vec<Place>,
}

/// Looks for a sealed packet behind each of a hop's, or before it. In a sample there is no telling: the one may be kept without the other.
fn fit(ctx: Context<'_>, h: &Hop, sealed: &[&Sighting], outer: Protocol, is_before: bool) -> Option<Fit> {
    if ctx.flows.rate.is_sampled() {
        return None;
    }
    let inner = h.sightings.iter().find(|s| Some(s.point) == h.sample_point)?;
    let capture = ctx.captures.get(inner.capture)?;
    let mut f = Fit { p: weight::UNTESTED, tested: 0, fitting: 0, by_chance: 0, idents: Vec::new(), places: Vec::new() };
    let mut elsewhere = 0;
    let is_timed = |r: &Row| r.time != NO_TIME && r.len <= LONGEST;
    for r in ctx.flows.rows(ctx.captures, inner).filter(is_timed).take(LOOKED_AT) {
        let at = |shift: i64| {
            let from = r.time.saturating_add(shift * 3 * WITHIN - if is_before { WITHIN } else { 0 });
            sealed.iter().find_map(|s| find(ctx, s, from, |len| fits(outer, r.len, len)))
        };
        f.tested += 1;
        if let Some((place, ident)) = at(0) {
            f.fitting += 1;
            f.idents.push(ident);
            if f.places.is_empty() {
                f.places = vec![Place::frame(capture.input, r.row), place];
            }
        }
        elsewhere += (1..=ELSEWHERE / 2).flat_map(|n| [n, -n]).filter(|n| at(*n).is_some()).count();
    }
    if f.tested == 0 || sealed.is_empty() {
        return None;
    }
    f.by_chance = elsewhere.div_ceil(usize::try_from(ELSEWHERE).unwrap_or(1));
    f.p = weight::probability([f.fitting, f.tested], [elsewhere, f.tested * usize::try_from(ELSEWHERE).unwrap_or(1)]);
    Some(f)
}

/// Whether a packet whose transport carries `inner` octets is `len` octets long when it is sealed. Headers take 28 to 80 octets.
fn fits(outer: Protocol, inner: u32, len: u32) -> bool {
    if outer == ESP {
        // SPI, sequence number, IV; padding to 4, its length, next header; tag (RFC 4106): and the tunnel may leave the inner IP header out.
        return (inner + 8 + 34..=inner + 80 + 60).contains(&len);
    }
    let padded = |headers: u32| (inner + headers).next_multiple_of(16) + 32;
    (padded(28)..=padded(80)).contains(&len)
}

/// The first packet of a length that fits within [`WITHIN`] of a time: its place and identity.
fn find(ctx: Context<'_>, s: &Sighting, from: Nanos, fits: impl Fn(u32) -> bool) -> Option<(Place, u64)> {
    let capture = ctx.captures.get(s.capture)?;
    let places = ctx.flows.of(s)?.rows(s.stream);
    let first = places.partition_point(|p| capture.digest.time_at(*p) < from);
    let near = places.get(first..)?.iter().take(LOOKED_AT).filter_map(|p| capture.digest.kept_row(*p));
    let found = near.take_while(|r| r.time <= from.saturating_add(WITHIN)).find(|r| fits(r.len));
    found.map(|r| (Place::frame(capture.input, r.row), r.ident))
}

/// Whether a packet is among those of a sighting.
fn has(ctx: Context<'_>, s: &Sighting, ident: u64) -> bool {
    ctx.flows.rows(ctx.captures, s).any(|r| r.ident == ident)
}
