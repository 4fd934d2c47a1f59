//! Observations laid over the model's steps. What was captured is never bent to fit: a sighting that no step expects becomes
//! a hop of its own, where TTL and time put it.
//! Knows sightings and steps; must not judge loss.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use super::model::{End, Step, Walk};
use super::{Context, Direction, Hop, Leg};
use crate::confidence;
use crate::correlate::clocks::Exchange;
use crate::correlate::flows::Sighting;
use crate::correlate::summary::{Named, SAMPLE};
use crate::digest::{CaptureDigest, NO_TIME, Row};
use crate::evidence::{Book, Ev, Place};
use crate::identify::inventory::{Id, interface_id, is_private, short};
use crate::model::{Mac, Nanos, Protocol};
use crate::order;
use crate::report::{Verdict, Way};

/// One direction with its sightings on their hops; `None` if nothing of it was seen.
pub(super) fn overlay(ctx: Context<'_>, legs: &[Leg], way: Way, walk: Walk, book: &mut Book) -> Option<Direction> {
    let mut hops: Vec<Hop> = walk.steps.into_iter().map(hop).collect();
    // By leg and interface; there are few.
    let mut unexpected: Vec<Unexpected<'_>> = Vec::new();
    let mut any = false;
    for (n, leg) in legs.iter().enumerate() {
        let Some(flow) = leg.flow.and_then(|f| ctx.flows.flows.get(f)) else { continue };
        let from_client = flow.tuple == leg.tuple;
        for s in flow.sightings.iter().filter(|s| (s.forward == from_client) == (way == Way::Request)) {
            any = true;
            let Some(at) = interface_of(ctx, s).filter(|_| !is_flooded(ctx, s)) else { continue };
            // A machine outside has no interface that the model knows of.
            let outside = ctx.points.get(s.point).and_then(|p| p.owner.as_ref()).filter(|o| o.starts_with("external:"));
            let is_there = |h: &Hop| h.interface.as_deref() == Some(&*at) || h.interface.is_none() && Some(&h.owner) == outside;
            match hops.iter_mut().find(|h| h.leg == n && is_there(h)) {
                Some(h) => h.sightings.push(*s),
                None => match unexpected.iter_mut().find(|u| u.leg == n && u.at == at) {
                    Some(u) => u.sightings.push(*s),
                    None => unexpected.push(Unexpected { leg: n, at, sightings: vec![*s] }),
                },
            }
        }
    }
    order::sort_by(&mut unexpected, |a, b| (a.leg, &a.at).cmp(&(b.leg, &b.at)));
    if !any {
        return None;
    }
    for h in &mut hops {
        fill(ctx, h);
    }
    resume(&mut hops, &unexpected, walk.stuck_at.map(|n| if way == Way::Request { n } else { legs.len() - 1 - n.min(legs.len() - 1) }));
    for Unexpected { leg, at, sightings } in unexpected {
        insert(ctx, &mut hops, legs, leg, at.into_owned(), sightings, way);
    }
    leave_out_passed_by(ctx, &mut hops);
    turn_routers(ctx, &mut hops, way, legs);
    doubt_dialled(ctx, &mut hops, legs);
    share_links(ctx, &mut hops);
    for h in &mut hops {
        describe(ctx, h, legs, way, book);
    }
    let fallback = hops.iter().find_map(|h| h.ev.first().copied()).or_else(|| witness(ctx, legs, way, book));
    let fallback: Vec<_> = fallback.into_iter().collect();
    for h in hops.iter_mut().filter(|h| h.ev.is_empty()) {
        h.ev.clone_from(&fallback);
    }
    let arrived = walk.end == End::Arrived;
    Some(Direction {
        way,
        hops,
        beyond: Vec::new(),
        verdict: Verdict::Unknown,
        lost_after: None,
        silent: Vec::new(),
        looked_for: None,
        arrived,
    })
}

/// Sightings at an interface that no step of their leg has.
struct Unexpected<'a> {
    leg: usize,
    at: Cow<'a, str>,
    sightings: Vec<Sighting>,
}

/// What shows that there was such a conversation, where no capture could be placed and no inventory helps.
fn witness(ctx: Context<'_>, legs: &[Leg], way: Way, book: &mut Book) -> Option<Ev> {
    let (s, tuple) = legs.iter().find_map(|leg| {
        let flow = ctx.flows.flows.get(leg.flow?)?;
        let from_client = flow.tuple == leg.tuple;
        let s = flow.sightings.iter().find(|s| (s.forward == from_client) == (way == Way::Request))?;
        Some((s, if way == Way::Request { leg.tuple } else { leg.tuple.reversed() }))
    })?;
    let capture = ctx.captures.get(s.capture)?;
    let row = capture.stream(s.stream)?.first_row;
    let statement = format!("{} → {} was captured, and nothing says where", tuple.src, tuple.dst);
    Some(book.add("seen", statement, vec![Place::frame(capture.input, row)]))
}

/// Where the inventories do not say who rewrites a leg to the next one, which was captured, the walk has gone on with the old
/// addresses: beyond the last hop that was captured with them it is fiction, but for its end.
fn resume(hops: &mut Vec<Hop>, unexpected: &[Unexpected<'_>], stuck_at: Option<usize>) {
    let Some(leg) = stuck_at else { return };
    let beyond = unexpected.iter().map(|u| u.leg).filter(|l| *l != leg && !hops.iter().any(|h| h.leg == *l));
    let Some(beyond) = beyond.max_by_key(|l| l.abs_diff(leg)) else { return };
    let Some(last) = hops.iter().rposition(|h| h.leg == leg && h.observed()) else { return };
    let mut end = hops.last().filter(|h| h.interface.is_none() && !h.observed() && !h.owner.starts_with("router:")).cloned();
    hops.truncate(last + 1);
    if let Some(h) = &mut end {
        h.leg = beyond;
    }
    hops.extend(end);
}

fn hop(step: Step) -> Hop {
    Hop {
        owner: step.owner,
        interface: step.interface,
        leg: step.leg,
        sightings: Vec::new(),
        src_mac: None,
        dst_mac: None,
        ttl: None,
        seen: 0,
        missing: 0,
        missing_range: None,
        gone: 0,
        delay_ns: None,
        delay_range_ns: None,
        sample_point: None,
        is_mirrored: false,
        sealed: None,
        logged: None,
        p: step.p,
        ev: step.ev,
    }
}

fn interface_of<'a>(ctx: Context<'a>, s: &Sighting) -> Option<Cow<'a, str>> {
    if let Some(at) = ctx.stream(s).and_then(|s| super::mirrored(ctx.inv, &s.key)) {
        return Some(at.into());
    }
    let point = ctx.points.get(s.point)?;
    let at = point.stream_at.get(&s.stream).or(point.at.as_ref());
    at.filter(|i| i.starts_with("if:")).map(|i| i.as_str().into())
}

/// On the link of a pod behind a bridge, a frame for another's MAC and address: the bridge did not know where to send it, and sent it to
/// all. It was captured there, and is not on its way there.
fn is_flooded(ctx: Context<'_>, s: &Sighting) -> bool {
    let pod = ctx.points.get(s.point).and_then(|p| p.link.as_ref()).and_then(|l| ctx.inv.pods.get(l)).filter(|p| p.bridge.is_some());
    let (Some(pod), Some(key)) = (pod, ctx.stream(s).map(|s| &s.key)) else { return false };
    let is_its = |ip: IpAddr| pod.ips.contains(&ip);
    key.tunnels.is_empty()
        && key.flow.is_some_and(|f| !is_its(f.src) && !is_its(f.dst) && ctx.inv.owner_of_ip(f.dst).is_some_and(|c| c.owner != pod.id))
        && key.dst_mac.is_some_and(|m| !m.is_group() && ctx.inv.owner_of_mac(m).is_none_or(|c| c.owner != pod.id))
}

/// MACs, TTL and counts from the streams seen here.
fn fill(ctx: Context<'_>, h: &mut Hop) {
    // A copy tells of a place where nothing else does: its time is the copy's.
    let is_copy = |s: &Sighting| ctx.stream(s).is_some_and(|s| super::mirrored(ctx.inv, &s.key).is_some());
    let only_copies = h.sightings.iter().all(is_copy);
    let told_by = |s: &&Sighting| only_copies || !is_copy(s);
    let main = h.sightings.iter().filter(told_by).filter_map(|s| ctx.stream(s)).max_by_key(|s| (s.packets, std::cmp::Reverse(s.first_row)));
    let Some(main) = main else { return };
    // No packet on a wire has TTL 0: printed captures have it where the TTL was not printed.
    let ttl = Some(main.key.ttl).filter(|t| *t != 0);
    (h.src_mac, h.dst_mac, h.ttl) = (main.key.src_mac, main.key.dst_mac, ttl);
    h.is_mirrored = super::mirrored(ctx.inv, &main.key).is_some();
    if h.is_mirrored {
        (h.src_mac, h.dst_mac) = main.key.tunnels.first().and_then(|t| t.inner_macs).map_or((None, None), |(s, d)| (Some(s), Some(d)));
    }
    let packets = |s: &Sighting| {
        let copies = ctx.flows.of(s).map_or(0, |all| all.copies(s.stream));
        ctx.stream(s).map(|stream| u64::from(stream.packets.saturating_sub(copies)))
    };
    // Two captures of one place see the same packets: the fuller one counts. (Sightings are in order of their points.)
    let by_point = h.sightings.chunk_by(|a, b| a.point == b.point).filter_map(|here| {
        let point = here.first().map(|s| std::cmp::Reverse(s.point))?;
        here.iter().filter(told_by).filter_map(packets).reduce(|a, b| a + b).map(|n| (n, point))
    });
    let best = by_point.max();
    let Some((seen, std::cmp::Reverse(point))) = best else { return };
    (h.seen, h.sample_point) = (seen, Some(point));
}

/// Packets of one place, by identity; those that were seen once count.
#[derive(Default)]
pub(super) struct Sample<'a> {
    packets: Cow<'a, [Named]>,
    /// Where they have the digest's places and not its rows.
    digest: Option<&'a CaptureDigest>,
}

impl Sample<'_> {
    /// The row of one of them.
    pub(super) fn row(&self, packet: &Named) -> u32 {
        self.digest.map_or(packet.place, |d| d.row_at(packet.place))
    }

    fn once(&self) -> impl Iterator<Item = &Named> {
        self.packets.iter().filter(|n| !n.is_twice)
    }
}

/// The packets seen at a hop, at the point that it is told by.
pub(super) fn sample_of<'a>(ctx: Context<'a>, h: &Hop) -> Sample<'a> {
    sample(ctx, h.sightings.iter().filter(|s| Some(s.point) == h.sample_point))
}

/// The packets with the lowest identities.
fn sample<'a, 's>(ctx: Context<'a>, sightings: impl Iterator<Item = &'s Sighting> + Clone) -> Sample<'a> {
    let named = |s: &Sighting| ctx.flows.of(s).map(|all| all.sample(s.stream)).unwrap_or_default();
    let row_at = |capture: usize, place: u32| ctx.captures.get(capture).map_or(0, |c| c.digest.row_at(place));
    let mut here = sightings.clone();
    if let (Some(s), None) = (here.next(), here.next()) {
        // One stream's are in order already: nothing is copied.
        let sample = Sample { packets: named(s).into(), digest: ctx.captures.get(s.capture).map(|c| c.digest) };
        if !ctx.flows.rate.is_sampled() || sample.once().next().is_some() {
            return sample;
        }
    }
    // Identity, capture, place, whether it came twice, time.
    let mut all: Vec<(u64, usize, u32, bool, Nanos)> = Vec::new();
    all.extend(sightings.clone().flat_map(|s| named(s).iter().map(|n| (n.ident, s.capture, n.place, n.is_twice, n.time))));
    if all.is_empty() && ctx.flows.rate.is_sampled() {
        // Nothing here is known to be kept there too: then what is will have to do.
        for s in sightings {
            let timed = ctx.flows.rows(ctx.captures, s).filter(|r: &Row| r.ident != 0 && r.time != NO_TIME);
            let digest = ctx.captures.get(s.capture).map(|c| c.digest);
            all.extend(timed.filter_map(|r| Some((r.ident, s.capture, digest?.place_of(r.row)?, false, r.time))));
        }
    }
    all.sort_unstable();
    let groups = all.chunk_by(|a, b| a.0 == b.0).take(SAMPLE);
    let once = groups.filter_map(|g| if let [one @ (.., false, _)] = g { Some(*one) } else { None });
    let packets = once.map(|(ident, capture, place, _, time)| Named { ident, time, place: row_at(capture, place), is_twice: false });
    Sample { packets: packets.collect(), digest: None }
}

/// The packets that two hops have in common.
pub(super) fn common<'a>(a: &'a Sample<'_>, b: &'a Sample<'_>) -> impl Iterator<Item = (&'a Named, &'a Named)> {
    let mut others = b.once().peekable();
    a.once().filter_map(move |x| {
        while others.next_if(|y| y.ident < x.ident).is_some() {}
        others.next_if(|y| y.ident == x.ident).map(|y| (x, y))
    })
}

/// A hop that the model did not expect: after the hops that saw the packets with a higher TTL, or earlier.
fn insert(ctx: Context<'_>, hops: &mut Vec<Hop>, legs: &[Leg], leg: usize, at: Id, sightings: Vec<Sighting>, way: Way) {
    let point = sightings.first().and_then(|s| ctx.points.get(s.point));
    let owner = match at.strip_prefix("if:").and_then(|r| r.rsplit_once('/')) {
        Some((owner, _)) => owner.to_owned(),
        None => point.and_then(|p| p.owner.clone()).unwrap_or_else(|| at.clone()),
    };
    let mut new = hop(Step { owner, interface: Some(at), leg, p: confidence::step::UNEXPECTED, ev: Vec::new() });
    new.sightings = sightings;
    fill(ctx, &mut new);
    // A node's packet leaves by one ENI: the one that was captured takes the place of the one that the tables suggest.
    // (One that nobody named goes by its address.)
    let is_name = |name: &str| crate::identify::inventory::is_eni_name(name) || name.parse::<Mac>().is_ok();
    let is_eni = |i: &Option<Id>| i.as_deref().and_then(|i| i.rsplit('/').next()).is_some_and(is_name);
    if ctx.inv.nodes.contains_key(&new.owner) && is_eni(&new.interface) {
        let instead = |h: &Hop| h.leg == new.leg && h.owner == new.owner && !h.observed() && is_eni(&h.interface);
        let mut fits = hops.iter_mut().filter(|h| instead(h));
        if let (Some(slot), None) = (fits.next(), fits.next()) {
            *slot = new;
            return;
        }
    }
    let order = |leg: usize| if way == Way::Request { leg as i64 } else { -(leg as i64) };
    let is_before = |h: &Hop| {
        if h.leg != new.leg {
            return order(h.leg) < order(new.leg);
        }
        if !h.observed() {
            // The source of the conversation stays first, its destination last.
            return false;
        }
        match h.ttl.cmp(&new.ttl) {
            std::cmp::Ordering::Equal => precedes(ctx, h, &new, legs),
            other => other == std::cmp::Ordering::Greater,
        }
    };
    let after_observed = hops.iter().rposition(is_before).map(|n| n + 1).map(|at| past_inferred(ctx, hops, at, &new));
    let at_index = after_observed.unwrap_or_else(|| {
        // Before the first observed hop of its leg, yet behind where the packets come from.
        let Some(first_of_leg) = hops.iter().position(|h| h.leg == new.leg) else {
            return hops.iter().position(|h| order(h.leg) > order(new.leg)).unwrap_or(hops.len());
        };
        let Some(mut at) = hops.iter().position(|h| h.leg == new.leg && h.observed()) else { return hops.len().min(first_of_leg + 1) };
        // What the packets must cross on the same host, or between it and others, is behind another host.
        let first_pod = hops.get(first_of_leg).and_then(|h| ctx.inv.pods.get(&h.owner)).filter(|_| new.owner.starts_with("unknown:"));
        let link = first_pod.and_then(|p| Some(interface_id(p.node.as_ref()?, &p.veth)));
        let host = hops.get(at).map(|h| h.owner.clone()).filter(|o| *o != new.owner);
        while let Some(before) = at.checked_sub(1).filter(|b| *b > first_of_leg).and_then(|b| hops.get(b)) {
            // What nobody knows is no nearer to a pod than the pod's own link.
            if link.is_some() && before.interface == link {
                break;
            }
            if host.is_none() || before.observed() || !(Some(&before.owner) == host.as_ref() || before.owner.starts_with("router:")) {
                break;
            }
            at -= 1;
        }
        at
    });
    // The sender's own interface takes the place of a stranger known by its address alone.
    let is_source = new.ttl.is_some_and(|t| crate::identify::place::INITIAL_TTLS.contains(&t));
    let own = || new.interface.as_deref().and_then(|i| i.strip_prefix("if:")).and_then(|m| m.parse::<Mac>().ok());
    let replaces = is_source && at_index <= 1 && hops.first().is_some_and(|h| h.owner.starts_with("unknown:"));
    if replaces && new.src_mac.is_some() && own() == new.src_mac {
        if let Some(first) = hops.first_mut() {
            *first = new;
        }
        return;
    }
    hops.insert(at_index.min(hops.len()), new);
}

/// Where behind an observed hop one that no step expects belongs, of the inferred hops that follow: behind the other end of the link that
/// its packets came by, and behind all of them if they end at its own address and came from another host.
fn past_inferred(ctx: Context<'_>, hops: &[Hop], mut at: usize, new: &Hop) -> usize {
    let Some(before) = at.checked_sub(1).and_then(|n| hops.get(n)) else { return at };
    let node = ctx.inv.pods.get(&before.owner).and_then(|p| Some((p.node.as_ref()?, &p.veth)));
    let is_its_link = |h: &Hop| node.is_some_and(|(n, veth)| h.owner == *n && h.interface.as_ref() == Some(&interface_id(n, veth)));
    if hops.get(at).is_some_and(|h| !h.observed() && h.leg == new.leg && is_its_link(h)) && new.ttl < before.ttl {
        at += 1;
    }
    let next = hops.iter().skip(at).position(Hop::observed).map(|n| at + n);
    let host = node.map_or(&before.owner, |n| n.0);
    match next {
        Some(next) if is_own(ctx, new, new.dst_mac) && !is_own(ctx, new, new.src_mac) && *host != new.owner => {
            let is_same_leg = hops.get(at..=next).unwrap_or_default().iter().all(|h| h.leg == new.leg);
            if is_same_leg { next } else { at }
        }
        _ => at,
    }
}

/// Whether a MAC is the hop's interface's own.
fn is_own(ctx: Context<'_>, h: &Hop, mac: Option<Mac>) -> bool {
    let named = h.interface.as_deref().and_then(|i| i.strip_prefix("if:")).and_then(|m| m.parse::<Mac>().ok());
    mac.is_some() && (named == mac || mac.and_then(|m| ctx.inv.owner_of_mac(m)).is_some_and(|c| c.interface == h.interface))
}

/// Whether packets cross `a` before `b`, both seen with the same TTL. Whose own address a frame
/// leaves or ends at says so between two hosts; where that does not tell, time does: on one host at once, between two by both ways,
/// whatever their clocks show.
fn precedes(ctx: Context<'_>, a: &Hop, b: &Hop, legs: &[Leg]) -> bool {
    let apart = ctx.inv.host_of(&a.owner) != ctx.inv.host_of(&b.owner);
    // Who forwards takes one from the TTL, so that no other host before it has seen what it sends, and none behind what it gets.
    let sends = (is_own(ctx, a, a.src_mac), is_own(ctx, b, b.src_mac));
    let gets = (is_own(ctx, a, a.dst_mac), is_own(ctx, b, b.dst_mac));
    if let Some(is_first) = by_tunnel(ctx, (a, sends.0, gets.0), (b, sends.1, gets.1), apart) {
        return is_first;
    }
    if apart && sends.0 != sends.1 {
        return sends.0;
    }
    if apart && gets.0 != gets.1 {
        return gets.1;
    }
    let there = later(&sample_of(ctx, a), &sample_of(ctx, b));
    let back = if apart { later(&opposite(ctx, a, legs), &opposite(ctx, b, legs)) } else { None };
    // With both, the difference is the sum of both ways' delays if `a` is nearer, and its negative if not.
    there.is_some_and(|there| there.saturating_sub(back.unwrap_or_default()) > 0)
}

/// Of a packet within another and the packet itself, whether `a`'s is first: the one that leaves under a device's own address is put into
/// the other, the one that ends at a device's own address was taken out of it. Where MACs do not tell, on one host, its pods do.
fn by_tunnel(ctx: Context<'_>, a: (&Hop, bool, bool), b: (&Hop, bool, bool), apart: bool) -> Option<bool> {
    let key = |h: &Hop| h.sightings.iter().find_map(|s| ctx.stream(s)).map(|s| &s.key);
    let (x, y) = (key(a.0)?, key(b.0)?);
    if a.0.is_mirrored || b.0.is_mirrored || x.tunnels.len() == y.tunnels.len() {
        return None;
    }
    let a_is_plain = x.tunnels.len() < y.tunnels.len();
    let (_, sends, gets) = if a_is_plain { a } else { b };
    if sends != gets {
        return Some(a_is_plain == sends);
    }
    let node = |ip: IpAddr| ctx.inv.owner_of_ip(ip).and_then(|c| ctx.inv.pods.get(&c.owner)).and_then(|p| p.node.as_ref());
    let flow = y.flow.filter(|_| !apart)?;
    match (node(flow.src) == Some(&a.0.owner), node(flow.dst) == Some(&a.0.owner)) {
        (true, false) => Some(a_is_plain),
        (false, true) => Some(!a_is_plain),
        _ => None,
    }
}

/// The other way's packets at a hop's point, under the same addresses: a point may see a packet before and after a translation.
fn opposite<'a>(ctx: Context<'a>, h: &Hop, legs: &[Leg]) -> Sample<'a> {
    let flow = legs.get(h.leg).and_then(|l| ctx.flows.flows.get(l.flow?));
    let (Some(point), Some(flow), Some(forward)) = (h.sample_point, flow, h.sightings.first().map(|s| s.forward)) else {
        return Sample::default();
    };
    sample(ctx, flow.sightings.iter().filter(|s| s.point == point && s.forward != forward))
}

/// Median of `b − a` of the packets that both saw: positive if `b` is later.
fn later(a: &Sample<'_>, b: &Sample<'_>) -> Option<Nanos> {
    let mut differences: Vec<Nanos> = common(a, b).map(|(x, y)| y.time - x.time).collect();
    differences.sort_unstable();
    differences.get(differences.len() / 2).copied()
}

/// A frame that leaves one host and arrives at another with the same MACs has crossed no third one: where the inventories lead there,
/// as they do for an address that has moved meanwhile, they are wrong about these packets.
fn leave_out_passed_by(ctx: Context<'_>, hops: &mut Vec<Hop>) {
    let mut n = 0;
    while let Some(a) = hops.get(n) {
        let next = hops.iter().skip(n + 1).position(Hop::observed).map(|k| n + 1 + k);
        let Some((at, b)) = next.and_then(|at| Some((at, hops.get(at)?))) else { break };
        let is_one_wire = a.observed() && a.leg == b.leg && a.src_mac.is_some() && (a.src_mac, a.dst_mac) == (b.src_mac, b.dst_mac);
        let ends = (a.owner.clone(), b.owner.clone());
        if is_one_wire && ends.0 != ends.1 && at > n + 1 {
            let mut k = 0;
            hops.retain(|h| {
                let is_third = k > n && k < at && ctx.inv.nodes.contains_key(&h.owner) && h.owner != ends.0 && h.owner != ends.1;
                k += 1;
                !is_third
            });
        }
        n += 1;
    }
}

/// The MACs of captured frames say whether a router stands between two nodes; they outweigh what routing tables suggest.
fn turn_routers(ctx: Context<'_>, hops: &mut Vec<Hop>, way: Way, legs: &[Leg]) {
    let inv = ctx.inv;
    let owner = |m: Option<Mac>| m.and_then(|m| inv.owner_of_mac(m)).map(|c| &c.owner);
    let mut n = 0;
    while n < hops.len() {
        let (here, next) = (hops.get(n), hops.get(n + 1));
        let Some(h) = here else { break };
        let to = if h.observed() { owner(h.dst_mac) } else { None };
        match next {
            Some(router) if router.owner.starts_with("router:") && !router.observed() => {
                let beyond = hops.get(n + 2);
                let from = beyond.filter(|b| b.observed()).and_then(|b| owner(b.src_mac));
                let direct = |o: Option<&Id>, other: Option<&Hop>| o.is_some() && other.is_some_and(|x| o == Some(&x.owner));
                // A router whose MAC is known has not sent a frame that comes from another's, unless that is one of a router too.
                let has_mac = beyond.is_some_and(|b| b.observed() && b.src_mac.is_some())
                    && !from.is_some_and(|o| o.starts_with("router:"))
                    && inv.has_mac(&router.owner);
                if direct(to, beyond) || direct(from, Some(h)) || has_mac {
                    hops.remove(n + 1);
                    continue;
                }
            }
            Some(other) if h.owner != other.owner && h.leg == other.leg => {
                let from = if other.observed() { owner(other.src_mac) } else { None };
                let router = [to, from].into_iter().flatten().find(|o| o.starts_with("router:"));
                let is_wire = |h: &Hop| inv.nodes.contains_key(&h.owner) || h.interface.is_none();
                if let Some(router) = router
                    .filter(|_| is_wire(h) && is_wire(other) && !h.owner.starts_with("router:") && !other.owner.starts_with("router:"))
                {
                    let mac = if h.observed() { h.dst_mac } else { other.src_mac };
                    let claim = mac.and_then(|m| inv.owner_of_mac(m));
                    let step = Step {
                        owner: router.clone(),
                        interface: None,
                        leg: h.leg,
                        p: claim.map_or(confidence::step::ROUTER_BETWEEN, |c| c.p),
                        ev: claim.map(|c| c.ev.clone()).unwrap_or_default(),
                    };
                    hops.insert(n + 1, hop(step));
                }
            }
            _ => {}
        }
        n += 1;
    }
    // What the frames around a router prove of it.
    for n in 0..hops.len() {
        if !hops.get(n).is_some_and(|h| h.owner.starts_with("router:")) {
            continue;
        }
        let before = n.checked_sub(1).and_then(|b| hops.get(b)).filter(|h| h.observed()).and_then(|h| h.dst_mac);
        let after = hops.get(n + 1).filter(|h| h.observed()).and_then(|h| h.src_mac);
        let claims: Vec<_> =
            [before, after].into_iter().flatten().filter_map(|m| inv.owner_of_mac(m)).filter(|c| c.owner.starts_with("router:")).collect();
        let (ev, p) =
            (claims.iter().flat_map(|c| c.ev.iter().copied()).collect::<Vec<_>>(), claims.iter().map(|c| c.p).fold(0.0, f64::max));
        if let Some(h) = hops.get_mut(n) {
            h.p = h.p.max(p);
            for e in ev {
                if !h.ev.contains(&e) {
                    h.ev.push(e);
                }
            }
        }
    }
    let _ = (way, legs);
}

/// A pod's packets to another's address, which nobody captured on the first pod's own link: beyond its node they would look the
/// same if it had dialled a service, unless all services are known and none leads there.
fn doubt_dialled(ctx: Context<'_>, hops: &mut [Hop], legs: &[Leg]) {
    let inv = ctx.inv;
    let Some((tuple, flow)) = legs.first().and_then(|l| Some((l.tuple, ctx.flows.flows.get(l.flow?)?))) else { return };
    let Some(pod) = inv.owner_of_ip(tuple.src).and_then(|c| inv.pods.get(&c.owner)).filter(|p| !p.host_network) else { return };
    let is_public = !is_private(tuple.dst) && !inv.is_inside(tuple.dst) && inv.owner_of_ip(tuple.dst).is_none();
    let has_service = matches!(tuple.protocol, Protocol::Tcp | Protocol::Udp | Protocol::Sctp);
    if is_public || !has_service || inv.service_at(tuple.dst).is_some() {
        return;
    }
    let mut endpoints = inv.services_by_endpoint(tuple.dst).flat_map(|s| &s.endpoints);
    let leads_there = |(ip, _, port, protocol): &(IpAddr, _, Option<u16>, Protocol)| {
        *ip == tuple.dst && *protocol == tuple.protocol && port.is_none_or(|p| p == tuple.dst_port)
    };
    if inv.has_endpoints() && !endpoints.any(leads_there) {
        return;
    }
    let on_link = |h: &Hop| {
        let is_port = |i: &Id| i.rsplit('/').next().is_some_and(|name| name == pod.veth || pod.bridge.as_deref() == Some(name));
        h.owner == pod.id || pod.node.as_ref() == Some(&h.owner) && h.interface.as_ref().is_some_and(is_port)
    };
    let is_seen = flow.sightings.iter().any(|s| {
        ctx.points.get(s.point).is_some_and(|p| p.link.as_ref() == Some(&pod.id))
            || interface_of(ctx, s).is_some_and(|i| hops.iter().any(|h| h.interface.as_deref() == Some(&*i) && on_link(h)))
    });
    if !is_seen {
        for h in hops.iter_mut().filter(|h| h.leg == 0 && !h.observed() && on_link(h)) {
            h.p = h.p.min(confidence::DIALLED_UNSEEN);
        }
    }
}

/// The two ends of a veth pair carry the same frame: what one shows holds for the other.
fn share_links(ctx: Context<'_>, hops: &mut [Hop]) {
    for n in 0..hops.len().saturating_sub(1) {
        let (Some(a), Some(b)) = (hops.get(n), hops.get(n + 1)) else { continue };
        let pair = |pod: &Hop, node: &Hop| {
            ctx.inv.pods.get(&pod.owner).is_some_and(|p| node.interface.as_deref().is_some_and(|i| i.rsplit('/').next() == Some(&p.veth)))
        };
        if a.leg != b.leg || !(pair(a, b) || pair(b, a)) || a.observed() == b.observed() {
            continue;
        }
        let (from, to) = if a.observed() { (n, n + 1) } else { (n + 1, n) };
        let Some((src, dst, ttl)) = hops.get(from).map(|h| (h.src_mac, h.dst_mac, h.ttl)) else { continue };
        let ev = hops.get(from).map(|h| h.ev.clone()).unwrap_or_default();
        if let Some(h) = hops.get_mut(to) {
            (h.src_mac, h.dst_mac, h.ttl) = (src, dst, ttl);
            h.p = confidence::round(h.p.max(confidence::step::OTHER_END));
            h.ev.extend(ev);
        }
    }
}

/// An observed hop's own evidence.
fn describe(ctx: Context<'_>, h: &mut Hop, legs: &[Leg], way: Way, book: &mut Book) {
    let Some(leg) = legs.get(h.leg) else { return };
    if !h.observed() {
        if h.ev.is_empty() {
            h.ev.clone_from(&leg.ev);
        }
        return;
    }
    let t = if way == Way::Request { leg.tuple } else { leg.tuple.reversed() };
    let mut sources: Vec<Place> = Vec::with_capacity(h.sightings.len());
    for s in &h.sightings {
        if let (Some(capture), Some(stream)) = (ctx.captures.get(s.capture), ctx.stream(s)) {
            sources.push(Place::frame(capture.input, stream.first_row));
        }
    }
    order::sort(&mut sources);
    let at = h.interface.as_deref().map_or(h.owner.as_str(), |i| i);
    let packets = book.phrase("").number(h.seen).fixed(if h.seen == 1 { " packet " } else { " packets " });
    let mut says = packets.ip(t.src).fixed(" → ").ip(t.dst).fixed(" seen at ").words(short(at));
    if let Some(ttl) = h.ttl {
        says = says.fixed(" with TTL ").number(ttl);
    }
    let says = match (h.src_mac, h.dst_mac) {
        (Some(s), Some(d)) => says.fixed(", ").mac(s).fixed(" → ").mac(d),
        (Some(s), None) => says.fixed(", from ").mac(s),
        _ => says,
    };
    let ev = book.add_new("seen", says, &sources);
    h.ev.insert(0, ev);
    let placed = h.sightings.iter().filter_map(|s| ctx.points.get(s.point)).map(|p| p.p);
    h.p = confidence::round(placed.fold(0.0, f64::max).min(confidence::needed::MOST));
}

/// Time differences between the observed hops of a direction, per pair of points.
pub(super) fn exchanges(ctx: Context<'_>, direction: &Direction, exchanges: &mut BTreeMap<(usize, usize), Exchange>) {
    // How long a mirrored copy took is nobody's knowledge: it says nothing of clocks.
    let observed = direction.hops.iter().filter(|h| h.observed() && !h.is_mirrored).filter_map(|h| Some((h.sample_point?, h)));
    let mut points = observed.clone().map(|(p, _)| p);
    let first = points.next();
    if points.all(|p| first == Some(p)) {
        return;
    }
    let samples: Vec<(usize, Sample<'_>)> = observed.map(|(p, h)| (p, sample_of(ctx, h))).collect();
    for (n, (p, a)) in samples.iter().enumerate() {
        for (q, b) in samples.iter().skip(n + 1).filter(|(q, _)| q != p) {
            let mut pairs = common(a, b).peekable();
            if pairs.peek().is_none() {
                continue;
            }
            let e = exchanges.entry((*p.min(q), *p.max(q))).or_default();
            let differences = if p < q { &mut e.forth } else { &mut e.back };
            for (left, arrived) in pairs.take(differences.wanted()) {
                // Both ways by the clock of the lower point.
                differences.add(if p < q { left.time } else { arrived.time }, arrived.time - left.time);
            }
        }
    }
}
