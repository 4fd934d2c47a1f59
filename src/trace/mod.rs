//! Conversations → hop sequences: what the inventories say must happen, with what the captures show laid over it.
//! Knows legs, hops, verdicts; must not know any file format.
//!
//! 1. `legs` orders a conversation's tuples along the way and infers the ones that nobody captured.
//! 2. [`model`] walks them through the network.
//! 3. `overlay` puts every sighting on its step, and inserts hops that the model did not expect.
//! 4. `flow_logs` adds what the VPC itself counted at ENIs, `sealed` what went on in encrypted tunnels.
//! 5. `filters` finds captures that left something out; `judge` counts what is missing where and says what became of each direction, with clocks compared first.
//! 6. `relay` finds the connections that a proxy ended and continued by others.

pub mod dialled;
pub mod filters;
pub mod flow_logs;
pub mod judge;
mod kept;
mod legs;
pub mod model;
mod overlay;
pub mod relay;
mod remarks;
pub mod sealed;
mod sockets;

use std::collections::{BTreeMap, BTreeSet};

use crate::correlate::clocks::{Exchange, Offset};
use crate::correlate::flows::{Conversation, Flows, Sighting};
use crate::digest::{Stream, StreamKey, Tuple};
use crate::dissect::TunnelKind;
use crate::evidence::{Book, Ev};
use crate::facts::Correction;
use crate::identify::inventory::{Id, Inventory, interface_id, is_behind_eni, is_link_local};
use crate::identify::place::{Capture, Point};
use crate::model::{Mac, Nanos};
use crate::order;
use crate::report::{Verdict, Way};

pub use kept::Paths;
pub(crate) use legs::is_looped;

/// What the tracer reads.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The captures.
    pub captures: &'a [Capture<'a>],
    /// Where they were taken.
    pub points: &'a [Point],
    /// Who is who.
    pub inv: &'a Inventory,
    /// What belongs together.
    pub flows: &'a Flows,
}

impl<'a> Context<'a> {
    /// What was seen there: a stream, or a part of one.
    pub(crate) fn stream(self, s: &Sighting) -> Option<&'a Stream> {
        self.captures.get(s.capture)?.stream(s.stream)
    }
}

/// One leg: the addresses that a conversation has on a part of its way, from client to server.
#[derive(Clone, Debug)]
pub struct Leg {
    /// Addresses and ports; port 0 where it cannot be known.
    pub tuple: Tuple,
    /// The flow that shows it; `None`: inferred.
    pub flow: Option<usize>,
    /// Why it belongs here.
    pub ev: Vec<Ev>,
}

/// A hop in the making.
#[derive(Clone, Debug, Default)]
pub struct Hop {
    /// Pod, node, router …
    pub owner: Id,
    /// The interface, if it has one.
    pub interface: Option<Id>,
    /// Index of the leg.
    pub leg: usize,
    /// Streams seen here.
    pub sightings: Vec<Sighting>,
    /// Source MAC.
    pub src_mac: Option<Mac>,
    /// Destination MAC.
    pub dst_mac: Option<Mac>,
    /// TTL.
    pub ttl: Option<u8>,
    /// Packets seen.
    pub seen: u64,
    /// Packets seen before and not here, although the capture ran.
    pub missing: u64,
    /// For an estimate, where not every packet was kept: between how many are missing.
    pub missing_range: Option<(u64, u64)>,
    /// Those of the missing that no hop behind this one has either.
    pub gone: u64,
    /// Median delay since the last observed hop.
    pub delay_ns: Option<Nanos>,
    /// For an estimate: between which two it lies.
    pub delay_range_ns: Option<(Nanos, Nanos)>,
    /// The point that its packets are compared at: of several captures of one place the fullest.
    pub sample_point: Option<usize>,
    /// Copies of what crossed this interface, captured where VPC traffic mirroring sent them: their times are the copies'.
    pub is_mirrored: bool,
    /// The encrypted tunnel that its packets are in.
    pub sealed: Option<sealed::Sealed>,
    /// What the VPC Flow Log of this hop's ENI says of these packets.
    pub logged: Option<Logged>,
    /// How sure.
    pub p: f64,
    /// Why.
    pub ev: Vec<Ev>,
}

/// What a flow log says of a hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logged {
    /// The packets passed the ENI's security groups and its subnet's network ACL.
    Accepted,
    /// None of them did.
    Rejected {
        /// The ENI.
        eni: String,
        /// The ENI accepted the other way of the same connection. A security group lets its replies pass, a network ACL does not
        /// know them: so it was the ACL.
        is_by_acl: bool,
        /// The records.
        ev: Vec<Ev>,
    },
}

impl Hop {
    /// Whether anything was captured here.
    #[must_use]
    pub fn observed(&self) -> bool {
        !self.sightings.is_empty()
    }

    /// The points that saw it.
    #[must_use]
    pub fn points(&self) -> BTreeSet<usize> {
        order::set(self.sightings.iter().map(|s| s.point))
    }
}

/// One way of a conversation.
#[derive(Clone, Debug, Default)]
pub struct Direction {
    /// Which.
    pub way: Way,
    /// In order.
    pub hops: Vec<Hop>,
    /// For lost: where its packets were on their way to, in order. None of these hops is known to have had them.
    pub beyond: Vec<Hop>,
    /// What became of it.
    pub verdict: Verdict,
    /// For lost and rejected: index of the last hop that saw it.
    pub lost_after: Option<usize>,
    /// Points on the way that ran and saw nothing: (point, the interface's id).
    pub silent: Vec<(usize, Id)>,
    /// For lost, where only this many of the packets were looked for beyond the hop that saw them last.
    pub looked_for: Option<u64>,
    /// Whether the model's walk came to an end at the destination.
    pub arrived: bool,
}

/// A conversation followed through every rewriting.
#[derive(Clone, Debug, Default)]
pub struct Path {
    /// Legs from client to server.
    pub legs: Vec<Leg>,
    /// Who rewrites between the legs.
    pub rewriters: Vec<Option<Id>>,
    /// Packets at the point that saw most.
    pub packets: u64,
    /// Bytes there.
    pub bytes: u64,
    /// Request, and reply where anything of one was seen.
    pub directions: Vec<Direction>,
    /// Directions of paths that were here before: the next ones use their room.
    spare: Vec<Direction>,
}

impl Path {
    /// The node that holds an end's link-local address, which every node may have: the one at which the requests end. And of several
    /// pods that have had an address the one that this conversation's packets came to.
    #[must_use]
    pub fn holder(&self, inv: &Inventory, ip: std::net::IpAddr) -> Option<&Id> {
        if ip.is_loopback() {
            return self.directions.iter().find_map(|d| d.hops.first()).map(|h| &h.owner);
        }
        self.pod_of_many(inv, ip).or_else(|| self.holder_of_local(ip))
    }

    /// As the client asked, and as that came to the server.
    #[must_use]
    pub fn asked(&self) -> Option<(Tuple, Tuple)> {
        Some((self.legs.first()?.tuple, self.legs.last()?.tuple))
    }

    fn pod_of_many(&self, inv: &Inventory, ip: std::net::IpAddr) -> Option<&Id> {
        let listed = inv.owner_of_ip(ip).filter(|c| inv.pods.contains_key(&c.owner))?;
        let (first, last) = (self.legs.first()?.tuple.src, self.legs.last()?.tuple.dst);
        let ends = self.directions.iter().flat_map(|d| {
            let (near, far) = if d.way == Way::Request { (d.hops.first(), d.hops.last()) } else { (d.hops.last(), d.hops.first()) };
            [near.filter(|_| ip == first), far.filter(|_| ip == last)]
        });
        let pods = ends.flatten().map(|h| &h.owner).filter(|o| **o != listed.owner);
        pods.into_iter().find(|o| inv.pods.get(*o).is_some_and(|p| p.ips.contains(&ip)))
    }

    fn holder_of_local(&self, ip: std::net::IpAddr) -> Option<&Id> {
        let is_local = is_link_local(ip) && !is_behind_eni(ip) && self.legs.last().is_some_and(|l| l.tuple.dst == ip);
        let last = self.direction(Way::Request).or_else(|| self.direction(Way::Reply)).filter(|_| is_local)?;
        let end = if last.way == Way::Request { last.hops.last() } else { last.hops.first() };
        end.map(|h| &h.owner).filter(|o| o.starts_with("node:") || o.starts_with("instance:") || o.starts_with("host:"))
    }

    /// One way of it.
    #[must_use]
    pub fn direction(&self, way: Way) -> Option<&Direction> {
        self.directions.iter().find(|d| d.way == way)
    }
}

/// The interface that a stream of mirrored copies is from: VPC traffic mirroring sends each frame of an ENI in VXLAN, under that
/// ENI's address (docs.aws.amazon.com/vpc/latest/mirroring/traffic-mirroring-packet-formats.html). The inner frame has the MAC of
/// the very ENI that the outer packet comes from; a tunnel between two hosts carries its own devices' MACs.
#[must_use]
pub fn mirrored(inv: &Inventory, key: &StreamKey) -> Option<Id> {
    let tunnel = key.tunnels.first().filter(|t| t.kind == TunnelKind::Vxlan)?;
    let (src, dst) = tunnel.inner_macs?;
    let eni = [src, dst].into_iter().filter_map(|m| inv.eni_of_mac(m)).find(|e| e.ips.contains(&tunnel.src))?;
    Some(interface_id(&eni.owner, &inv.eni_name(eni)))
}

/// What tracing finds.
#[derive(Debug)]
pub struct Traced {
    /// Every conversation.
    pub paths: Paths,
    /// The time of each one's first packet.
    pub firsts: Vec<Option<Nanos>>,
    /// Every interface on their ways.
    pub crossed: BTreeSet<Id>,
    /// How each point's clock compares: point → (reference point, offset).
    pub clocks: BTreeMap<usize, (usize, Offset)>,
    /// By point: the first conversation that it must have seen and does not have.
    pub left_out: Vec<filters::LeftOut>,
}

/// Traces every conversation.
pub fn trace(ctx: Context<'_>, book: &mut Book) -> Traced {
    let mut paths = Paths::default();
    let mut exchanges: BTreeMap<(usize, usize), Exchange> = BTreeMap::new();
    let mut views: BTreeMap<Scope, Inventory> = BTreeMap::new();
    let mut memos: BTreeMap<Scope, legs::Memo> = BTreeMap::new();
    let overlapping = ctx.inv.has_overlapping_vpcs();
    // Where no address is anybody else's too, no conversation has to be asked.
    let scopes: Vec<_> = ctx.points.iter().map(|p| scope_at(ctx.inv, p, overlapping)).collect();
    let is_scoped = scopes.iter().any(|at| at.0.is_some() || at.1.is_some());
    for conversation in ctx.flows.conversations() {
        let scope = if is_scoped { scope(ctx, &conversation, &scopes) } else { Scope::default() };
        if scope != Scope::default() && !views.contains_key(&scope) {
            views.insert(scope.clone(), ctx.inv.scoped(scope.0.as_deref(), &scope.1));
        }
        let ctx = Context { inv: views.get(&scope).unwrap_or(ctx.inv), ..ctx };
        let Some(legs) = legs::legs(ctx, &conversation, memos.entry(scope).or_default(), book) else { continue };
        let tuples: Vec<Tuple> = legs.iter().map(|l| l.tuple).collect();
        let there = match looped(ctx, &legs, Way::Request) {
            Some(walk) => walk,
            None => model::walk(ctx.inv, &tuples, None),
        };
        let rewriters = there.rewriters.clone();
        let back_tuples: Vec<Tuple> = tuples.iter().rev().map(|t| t.reversed()).collect();
        let back_rewriters: Vec<Option<Id>> = rewriters.iter().rev().cloned().collect();
        let back = looped(ctx, &legs, Way::Reply).unwrap_or_else(|| {
            let mut back = model::walk(ctx.inv, &back_tuples, Some(&back_rewriters));
            // Legs are counted from the client, whichever way a packet goes.
            for s in &mut back.steps {
                s.leg = legs.len() - 1 - s.leg.min(legs.len() - 1);
            }
            back
        });
        let mut path = Path { legs, rewriters, ..Path::default() };
        for (way, walk) in [(Way::Request, there), (Way::Reply, back)] {
            if let Some(direction) = overlay::overlay(ctx, &path.legs, way, walk, book) {
                overlay::exchanges(ctx, &direction, &mut exchanges);
                path.directions.push(direction);
            }
        }
        if path.directions.is_empty() {
            continue;
        }
        count(ctx, &mut path);
        paths.push(&path);
    }
    if let Some(places) = flow_logs::Places::of(ctx.inv) {
        paths.change(|path| flow_logs::lay(ctx, path, &places, book));
    }
    if let Some(tunnels) = sealed::Tunnels::of(ctx) {
        paths.change(|path| tunnels.lay(ctx, path, book));
    }
    if let Some(sockets) = sockets::Sockets::of(ctx) {
        paths.change(|path| sockets.lay(path, book));
    }
    remarks::lay(ctx, &mut paths, book);
    let clocks = crate::correlate::clocks::solve_with(ctx.points.len(), &exchanges, &clocks_by_hand(ctx));
    let taken = judge::Taken::of(ctx, crate::confidence::needed::PLACED);
    let left_out = filters::left_out(ctx, &paths, &clocks);
    let refusals = judge::Refusals::all(ctx);
    let mut crossed: BTreeSet<Id> = BTreeSet::new();
    let mut firsts = Vec::with_capacity(paths.len());
    paths.change(|path| {
        judge::judge(ctx, path, &taken, &clocks, &left_out, &refusals, book);
        let sightings = path.directions.iter().flat_map(|d| &d.hops).flat_map(|h| &h.sightings);
        let streams = sightings.filter_map(|s| ctx.stream(s));
        firsts.push(streams.map(|s| s.first_ns).min());
        for interface in path.directions.iter().flat_map(|d| &d.hops).filter_map(|h| h.interface.as_ref()) {
            if !crossed.contains(interface) {
                crossed.insert(interface.clone());
            }
        }
    });
    Traced { paths, firsts, crossed, clocks, left_out: left_out.into_values().collect() }
}

/// What was seen on loopback devices only crosses that of the host whose address it has, and nothing else.
fn looped(ctx: Context<'_>, legs: &[Leg], way: Way) -> Option<model::Walk> {
    if !is_looped(ctx, legs) {
        return None;
    }
    let ips = legs.iter().flat_map(|l| [l.tuple.src, l.tuple.dst]);
    let is_host = |o: &Id| ctx.inv.pods.contains_key(o) || ctx.inv.nodes.contains_key(o);
    let claim = ips.filter_map(|ip| ctx.inv.owner_of_ip(ip)).find(|c| is_host(&c.owner))?;
    let has_way = |l: &Leg| {
        let flow = l.flow.and_then(|f| ctx.flows.flows.get(f));
        flow.is_some_and(|f| f.sightings.iter().any(|s| (s.forward == (f.tuple == l.tuple)) == (way == Way::Request)))
    };
    let step = |leg| model::Step {
        owner: claim.owner.clone(),
        interface: Some(interface_id(&claim.owner, "lo")),
        leg,
        p: claim.p,
        ev: claim.ev.clone(),
    };
    let steps = (0..legs.len()).filter(|n| legs.get(*n).is_some_and(has_way)).map(step).collect();
    let rewriters = legs.iter().skip(1).map(|_| Some(claim.owner.clone())).collect();
    Some(model::Walk { steps, rewriters, end: model::End::Arrived, stuck_at: None })
}

/// Offsets that a person has given, by point; of several for one capture the last.
fn clocks_by_hand(ctx: Context<'_>) -> BTreeMap<usize, Nanos> {
    let mut by_hand = BTreeMap::new();
    for (correction, _) in &ctx.inv.corrections {
        let Correction::ClockOffset { input_name, offset_ns } = correction else { continue };
        let is_meant = |p: &Point| ctx.captures.get(p.capture).is_some_and(|c| c.is_called(input_name));
        by_hand.extend(ctx.points.iter().enumerate().filter(|(_, p)| is_meant(p)).map(|(i, _)| (i, *offset_ns)));
    }
    by_hand
}

/// Where addresses do not say whose they are: the VPC, and those pods of several with one address that the captures of a
/// conversation are of.
type Scope = (Option<String>, BTreeSet<Id>);

/// What one point says of that.
fn scope_at(inv: &Inventory, point: &Point, overlapping: bool) -> (Option<String>, Option<Id>) {
    let pod = point.link.as_ref().and_then(|l| inv.pods.get(l));
    let node = pod.and_then(|p| p.node.as_ref()).or(point.owner.as_ref());
    let vpc = node.filter(|_| overlapping).and_then(|n| inv.vpc_of_node(n));
    let is_shared = |ip: &std::net::IpAddr| inv.owner_of_ip(*ip).is_some_and(|c| pod.is_some_and(|p| p.id != c.owner));
    (vpc.map(str::to_owned), pod.filter(|p| p.ips.iter().any(is_shared)).map(|p| p.id.clone()))
}

fn scope(ctx: Context<'_>, conversation: &Conversation, at: &[(Option<String>, Option<Id>)]) -> Scope {
    let sightings = conversation.flows.iter().filter_map(|f| ctx.flows.flows.get(*f)).flat_map(|f| &f.sightings);
    let points = || sightings.clone().filter_map(|s| at.get(s.point));
    let mut vpcs = points().filter_map(|p| p.0.as_ref());
    let vpc = vpcs.next().filter(|vpc| vpcs.all(|other| other == *vpc)).cloned();
    (vpc, order::set(points().filter_map(|p| p.1.clone())))
}

/// Packets and bytes where most was seen.
fn count(ctx: Context<'_>, path: &mut Path) {
    let mut by_point: BTreeMap<usize, (u64, u64)> = BTreeMap::new();
    for s in path.directions.iter().flat_map(|d| &d.hops).flat_map(|h| &h.sightings) {
        let stream = ctx.stream(s);
        if let Some(stream) = stream {
            let e = by_point.entry(s.point).or_default();
            let copies = u64::from(ctx.flows.of(s).map_or(0, |all| all.copies(s.stream)));
            let packets = u64::from(stream.packets);
            let bytes = if copies == 0 { stream.bytes } else { stream.bytes / packets.max(1) * packets.saturating_sub(copies) };
            *e = (e.0 + packets.saturating_sub(copies), e.1 + bytes);
        }
    }
    (path.packets, path.bytes) = by_point.into_values().max().unwrap_or_default();
}
