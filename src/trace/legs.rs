//! A conversation's tuples in the order of its way, oriented from client to server, and the legs that nobody captured.
//! Knows what kube-proxy and load balancers do to addresses; must not know where captures were taken, but for their TTLs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use super::{Context, Leg};
use crate::confidence::masquerade;
use crate::correlate::flows::Conversation;
use crate::digest::Tuple;
use crate::evidence::{Book, Ev, Place};
use crate::facts::{ServicePort, TargetPort};
use crate::identify::inventory::{Id, Inventory, LbInfo, ServiceInfo, behind_nat64, interface_id, is_private, short};
use crate::identify::place::INITIAL_TTLS;
use crate::model::{Nanos, Protocol};
use crate::order;
use crate::phrase::Phrase;

/// The legs of a conversation, or `None` if it has no tuple.
pub(super) fn legs(ctx: Context<'_>, conversation: &Conversation, memo: &mut Memo, book: &mut Book) -> Option<Vec<Leg>> {
    let mut legs = observed(ctx, conversation, book);
    let first = legs.first()?.clone();
    if is_looped(ctx, &legs) {
        return Some(legs);
    }
    if let Some(leg) = before(ctx, &first, memo, book) {
        legs.insert(0, leg);
    }
    if let Some(leg) = legs.first().and_then(|l| dialled_at_node(ctx.inv, l)) {
        legs.insert(0, leg);
    }
    if let Some(leg) = legs.first().and_then(|l| dialled_in_public(ctx.inv, l).or_else(|| dialled_at_balancer(ctx.inv, l))) {
        legs.insert(0, leg);
    }
    if let Some((at, leg)) = legs
        .windows(2)
        .enumerate()
        .find_map(|(n, pair)| Some((n + 1, within_gateway(ctx.inv, pair).or_else(|| behind_public(ctx.inv, pair))?)))
    {
        legs.insert(at, leg);
    }
    let last = legs.last()?.clone();
    if let Some(leg) = after(ctx.inv, &last).or_else(|| masquerade_of_cni(ctx, &last)) {
        legs.push(leg);
    }
    // At most a NAT gateway and the Internet gateway behind it.
    for _ in 0..2 {
        let Some(leg) = legs.last().and_then(|l| behind_gateway(ctx.inv, l)) else { break };
        legs.push(leg);
    }
    Some(legs)
}

/// Whether a conversation was seen on loopback devices only: it never leaves its host.
pub(crate) fn is_looped(ctx: Context<'_>, legs: &[Leg]) -> bool {
    let mut sightings = legs.iter().filter_map(|l| ctx.flows.flows.get(l.flow?)).flat_map(|f| &f.sightings);
    sightings.all(|s| ctx.stream(s).is_some_and(|s| s.key.is_looped()))
}

/// Who comes from outside has dialled the public address: the Internet gateway made it the private one
/// (docs.aws.amazon.com/vpc/latest/userguide/VPC_Internet_Gateway.html: one-to-one NAT, ports stay).
fn dialled_in_public(inv: &Inventory, first: &Leg) -> Option<Leg> {
    let t = first.tuple;
    if !inv.is_external(t.src) {
        return None;
    }
    let eni = inv.eni_of_ip(t.dst)?;
    let (_, public) = eni.public.iter().find(|p| p.0 == t.dst)?;
    Some(Leg { tuple: Tuple { dst: *public, ..t }, flow: None, ev: eni.ev.clone() })
}

/// Who comes from outside to an address that has no public one has dialled a Network Load Balancer: it keeps its clients' addresses, unless
/// told otherwise (docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html#client-ip-preservation),
/// and targets a node port, or a pod.
fn dialled_at_balancer(inv: &Inventory, first: &Leg) -> Option<Leg> {
    let t = first.tuple;
    if !inv.is_external(t.src) {
        return None;
    }
    let owner = inv.owner_of_ip(t.dst).map(|c| &c.owner)?;
    let (node, (service, port)) = match (inv.nodes.get(owner), inv.pods.get(owner)) {
        (Some(node), _) => (node, inv.service_by_node_port(t.protocol, t.dst_port)?),
        (None, Some(pod)) => {
            (inv.nodes.get(pod.node.as_ref()?)?, services_by_endpoint(inv, t).find(|(s, _)| !s.ingress_hostnames.is_empty())?)
        }
        _ => return None,
    };
    let lb = balancer_of(inv, service, port.node_port.unwrap_or(t.dst_port)).filter(|lb| lb.kind == "network")?;
    let ip = lb_address(inv, lb, node.zone.as_deref())?;
    let (_, public) = inv.enis.values().filter(|e| e.owner == lb.id).flat_map(|e| &e.public).find(|p| p.0 == ip)?;
    let ev = service.ev.iter().chain(&lb.ev).copied().collect();
    Some(Leg { tuple: Tuple { dst: *public, dst_port: port.port, ..t }, flow: None, ev })
}

/// Who comes from outside to a pod of a service with node ports that keeps its clients' addresses (externalTrafficPolicy Local) has
/// dialled the node port of that pod's node, by the node's public address: where no Network Load Balancer does so for others, nothing
/// else leads from the Internet to a pod.
fn dialled_at_node(inv: &Inventory, first: &Leg) -> Option<Leg> {
    let t = first.tuple;
    let pod = inv.owner_of_ip(t.dst).and_then(|c| inv.pods.get(&c.owner)).filter(|p| !p.host_network)?;
    // An address that is nobody's on the Internet comes by a VPN or a peering, which lead to pods.
    let from_internet = inv.is_external(t.src) && !is_private(t.src);
    if !from_internet || inv.lbs.values().any(|lb| lb.kind == "network") {
        return None;
    }
    let node = inv.nodes.get(pod.node.as_ref()?)?;
    let is_public = |ip: &IpAddr| inv.eni_of_ip(*ip).is_some_and(|e| e.public.iter().any(|p| p.0 == *ip));
    let ip = node.ips.iter().copied().find(is_public)?;
    let by_endpoint = services_by_endpoint(inv, t).filter(|(s, _)| s.external_policy_local);
    let mut fitting = by_endpoint.filter_map(|(s, p)| Some((s, p.node_port?)));
    let (service, port) = fitting.next().filter(|_| fitting.next().is_none())?;
    let ev = service.ev.iter().chain(&node.ev).copied().collect();
    Some(Leg { tuple: Tuple { dst: ip, dst_port: port, ..t }, flow: None, ev })
}

/// The services, with their ports, of which this pod's address and port are an endpoint.
fn services_by_endpoint(inv: &Inventory, t: Tuple) -> impl Iterator<Item = (&ServiceInfo, &ServicePort)> {
    inv.services_by_endpoint(t.dst).filter_map(move |s| {
        let endpoint = s.endpoints.iter().find(|e| e.0 == t.dst && e.3 == t.protocol && e.2 == Some(t.dst_port))?;
        s.ports.iter().find(|p| p.name == endpoint.1 && p.protocol == t.protocol).map(|p| (s, p))
    })
}

/// Between what a node or a pod sends to a NAT gateway (NAT64 or not) and what comes out of the Internet gateway: the NAT gateway's own
/// address, whose port stays.
fn within_gateway(inv: &Inventory, pair: &[Leg]) -> Option<Leg> {
    let [a, b] = pair else { return None };
    if behind_nat64(a.tuple.dst).unwrap_or(a.tuple.dst) != b.tuple.dst {
        return None;
    }
    let is_between = |private: IpAddr| private != a.tuple.src && private != b.tuple.src;
    let (eni, private) = inv.behind_public(b.tuple.src).filter(|(e, ip)| e.owner.starts_with("natgw:") && is_between(*ip))?;
    Some(Leg { tuple: Tuple { src: private, ..b.tuple }, flow: None, ev: eni.ev.clone() })
}

/// Between a public address that was dialled and what its owner, a load balancer or a node, makes of it: the private one, by the Internet gateway.
fn behind_public(inv: &Inventory, pair: &[Leg]) -> Option<Leg> {
    let [a, b] = pair else { return None };
    let (eni, dst) = inv.behind_public(a.tuple.dst).filter(|(_, private)| *private != b.tuple.dst && a.tuple.dst != b.tuple.dst)?;
    Some(Leg { tuple: Tuple { dst, ..a.tuple }, flow: None, ev: eni.ev.clone() })
}

/// What a NAT gateway and the Internet gateway make of a source address on the way out.
fn behind_gateway(inv: &Inventory, last: &Leg) -> Option<Leg> {
    let t = last.tuple;
    if !inv.is_external(t.dst) || inv.behind_public(t.src).is_some() {
        return None;
    }
    let eni = inv.eni_of_ip(t.src)?;
    if let Some((_, public)) = eni.public.iter().find(|p| p.0 == t.src) {
        return Some(Leg { tuple: Tuple { src: *public, ..t }, flow: None, ev: eni.ev.clone() });
    }
    let nat = super::model::route_to(inv, eni.subnet.as_deref(), eni.vpc.as_deref(), t.dst).filter(|r| r.starts_with("nat-"))?;
    let gateway = inv.enis.values().find(|e| e.owner == format!("natgw:{nat}"))?;
    let tuple = Tuple { src: gateway.primary?, src_port: 0, dst: behind_nat64(t.dst).unwrap_or(t.dst), ..t };
    Some(Leg { tuple, flow: None, ev: gateway.ev.clone() })
}

fn observed(ctx: Context<'_>, conversation: &Conversation, book: &mut Book) -> Vec<Leg> {
    let orientation = orient(ctx, conversation);
    let mut joined: BTreeMap<usize, Vec<Ev>> = BTreeMap::new();
    for j in &conversation.joins {
        let place = |(capture, row): (usize, u32)| ctx.captures.get(capture).map(|c| Place::frame(c.input, row));
        let sources: Vec<Place> = [place(j.row_a), place(j.row_b)].into_iter().flatten().collect();
        let (Some(a), Some(b)) = (ctx.flows.flows.get(j.a), ctx.flows.flows.get(j.b)) else { continue };
        if sources.is_empty() {
            continue;
        }
        let what = if j.shared == 0 { "one connection appears as " } else { "the same packets appear as " };
        let says = ends(ends(book.phrase(what), a.tuple).fixed(" and as "), b.tuple);
        let ev = if j.shared == 0 {
            let says =
                says.fixed(": on a loopback device the one has only requests, the other only their answers; a rule there redirects them");
            book.add("redirected", says, sources)
        } else {
            let says = says.fixed(": ").number(j.shared);
            let says = says.fixed(" of the compared identities agree (sequence numbers, timestamps, payload), such as these two");
            book.add("same_packet", says, sources)
        };
        joined.entry(j.a).or_default().push(ev);
        joined.entry(j.b).or_default().push(ev);
    }
    let mut legs: Vec<(i32, i32, Nanos, Leg)> = Vec::new();
    for (id, forward) in orientation {
        let Some(flow) = ctx.flows.flows.get(id) else { continue };
        let tuple = if forward { flow.tuple } else { flow.tuple.reversed() };
        let mut ttl = 0;
        let mut first = Nanos::MAX;
        for s in flow.sightings.iter().filter(|s| s.forward == forward) {
            if let Some(stream) = ctx.stream(s) {
                ttl = ttl.max(i32::from(stream.key.ttl));
                first = first.min(stream.first_ns);
            }
        }
        let leg = Leg { tuple, flow: Some(id), ev: joined.remove(&id).unwrap_or_default() };
        legs.push((rank(ctx.inv, tuple), -ttl, first, leg));
    }
    // Translation goes one way along the path; where addresses do not tell, the TTL falls, and time passes.
    order::sort_by_key(&mut legs, |a| (a.0, a.1, a.2, a.3.tuple));
    legs.into_iter().map(|l| l.3).collect()
}

fn ends(says: Phrase, t: Tuple) -> Phrase {
    says.end(t.src, t.src_port, t.protocol).fixed(" – ").end(t.dst, t.dst_port, t.protocol)
}

/// Flow → whether its lower end is the client. One flow that shows the beginning orients all that share its packets.
fn orient(ctx: Context<'_>, conversation: &Conversation) -> Vec<(usize, bool)> {
    let known = |id: usize| ctx.flows.flows.get(id).and_then(|f| ctx.flows.begun_by_lower(ctx.captures, f));
    let start = conversation.flows.iter().copied().find(|id| known(*id).is_some()).or_else(|| conversation.flows.first().copied());
    let Some(start) = start else { return Vec::new() };
    if conversation.joins.is_empty() {
        return vec![(start, known(start).unwrap_or(true))];
    }
    let mut way: BTreeMap<usize, bool> = order::map(std::iter::once((start, known(start).unwrap_or(true))));
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        let here = way.get(&at).copied().unwrap_or(true);
        for j in conversation.joins.iter().filter(|j| j.a == at || j.b == at) {
            let other = if j.a == at { j.b } else { j.a };
            if let std::collections::btree_map::Entry::Vacant(slot) = way.entry(other) {
                slot.insert(here == j.same_way);
                queue.push_back(other);
            }
        }
    }
    way.into_iter().collect()
}

/// How far along the way addresses like these stand: sources go from pods' to nodes' to gateways' and public ones,
/// destinations from public and services' to nodes' to pods'.
fn rank(inv: &Inventory, t: Tuple) -> i32 {
    let is_public = |ip: IpAddr| inv.behind_public(ip).is_some();
    let owner = |ip: IpAddr| inv.owner_of_ip(ip).map(|c| c.owner.as_str()).unwrap_or_default();
    let is_node = |ip: IpAddr| inv.nodes.contains_key(owner(ip));
    let source = match t.src {
        ip if is_public(ip) => 3,
        ip if ["natgw:", "lb:"].iter().any(|kind| owner(ip).starts_with(kind)) => 2,
        ip if is_node(ip) => 1,
        _ => 0,
    };
    let destination = match t.dst {
        ip if is_public(ip) || inv.service_at(ip).is_some() || owner(ip).starts_with("vpce:") => 0,
        ip if is_node(ip) && inv.service_by_node_port(t.protocol, t.dst_port).is_some() => 1,
        _ => 2,
    };
    source + destination
}

/// The leg before a node's own address as the source of packets that the node only passed on: kube-proxy put it there
/// (`KUBE-MARK-MASQ`, externalTrafficPolicy Cluster), and a service of that pod says what was dialled.
fn before(ctx: Context<'_>, first: &Leg, memo: &mut Memo, book: &mut Book) -> Option<Leg> {
    let inv = ctx.inv;
    let t = first.tuple;
    let node = inv.owner_of_ip(t.src).map(|c| &c.owner).and_then(|o| inv.nodes.get(o))?;
    let (service, port) = inv.services_by_endpoint(t.dst).find_map(|s| {
        let serves = s.endpoints.iter().any(|(ip, name, port, protocol)| {
            *ip == t.dst && *protocol == t.protocol && port.is_none_or(|p| p == t.dst_port) && s.ports.iter().any(|x| &x.name == name)
        });
        let by_target = s.ports.iter().find(|p| p.protocol == t.protocol && p.node_port.is_some() && target_is(p, t.dst_port, s, t.dst));
        by_target.filter(|_| serves).map(|p| (s, p))
    })?;
    let (why, places) = masqueraded(ctx, first, memo)?;
    let node_port = port.node_port?;
    let lb = balancer_of(inv, service, node_port)?;
    let ip = lb_address(inv, lb, node.zone.as_deref())?;
    let mut sources = places;
    service.ev.iter().chain(&lb.ev).chain(&node.ev).for_each(|e| sources.extend(book.sources(*e)));
    let says = ends(book.phrase(""), t).fixed(" has the address of ").words(short(&node.id)).fixed(" as its source, ").words(&why);
    let says = says.fixed(": it was translated there, from node port ").number(node_port).fixed(" of ").words(short(&service.id));
    let ev = book.add("masquerade", says.fixed(", which ").words(short(&lb.id)).fixed(" balances"), sources);
    let dialled = node.ips.iter().copied().find(|x| *x == t.src).unwrap_or(t.src);
    let tuple = Tuple { protocol: t.protocol, src: ip, src_port: 0, dst: dialled, dst_port: node_port };
    Some(Leg { tuple, flow: None, ev: vec![ev] })
}

/// What a pod sends to the Internet gets its node's primary address (the CNI's `AWS-SNAT-CHAIN`, unless it is told to leave
/// that to a NAT gateway); assumed only where no capture beyond the pod's link shows the pod's own address.
fn masquerade_of_cni(ctx: Context<'_>, last: &Leg) -> Option<Leg> {
    let inv = ctx.inv;
    let t = last.tuple;
    let pod = inv.owner_of_ip(t.src).and_then(|c| inv.pods.get(&c.owner)).filter(|p| !p.host_network && p.eni.is_some())?;
    let node = pod.node.as_ref().and_then(|n| inv.nodes.get(n))?;
    let outside = inv.owner_of_ip(t.dst).is_none() && !inv.is_inside(t.dst) && !is_private(t.dst);
    if !outside || t.dst.is_ipv6() {
        return None;
    }
    let shown = last.flow.and_then(|f| ctx.flows.flows.get(f)).into_iter().flat_map(|f| &f.sightings);
    let on_link = |point: usize| ctx.points.get(point).is_some_and(|p| p.link.as_ref() == Some(&pod.id));
    if !shown.map(|s| s.point).all(on_link) {
        return None;
    }
    let primary = node.enis.first().and_then(|e| inv.enis.get(e))?;
    let src = primary.primary.or_else(|| node.ips.iter().copied().find(IpAddr::is_ipv4))?;
    let tuple = Tuple { src, src_port: 0, ..t };
    Some(Leg { tuple, flow: None, ev: primary.ev.clone() })
}

fn target_is(port: &ServicePort, target: u16, service: &ServiceInfo, ip: IpAddr) -> bool {
    match &port.target_port {
        Some(TargetPort::Number(n)) => *n == target,
        Some(TargetPort::Name(_)) => service.endpoints.iter().any(|e| e.0 == ip && e.1 == port.name && e.2 == Some(target)),
        None => port.port == target,
    }
}

/// Local ports that Linux gives to its own connections (`net.ipv4.ip_local_port_range`); `MASQUERADE --random-fully` draws
/// from all above 1023.
const EPHEMERAL: std::ops::RangeInclusive<u16> = 32768..=60999;

/// Whether the source address of a leg was put there by its node's kube-proxy: why, and the packets that say so.
fn masqueraded(ctx: Context<'_>, leg: &Leg, memo: &mut Memo) -> Option<(String, Vec<Place>)> {
    let mut odds = masquerade::PRIOR;
    let mut why = Vec::new();
    let mut places = Vec::new();
    let (server, links) = memo.server(ctx, leg.tuple);
    match passed_on(ctx, leg, links) {
        Some((true, ttl, row, input)) => {
            odds *= masquerade::TTL_PASSED_ON;
            why.push(format!("with TTL {ttl}, as of a packet that it only passed on"));
            places.push(Place::frame(input, row));
        }
        Some((false, ..)) => odds *= masquerade::TTL_BEGUN,
        None => {}
    }
    let own = leg.flow.filter(|_| is_foreign(leg.tuple.src_port)).map(|flow| (flow, leg.tuple));
    let foreign = own.or_else(|| server.foreign.get(&leg.tuple.src).copied());
    if let Some((flow, t)) = foreign.and_then(|(flow, t)| Some((ctx.flows.flows.get(flow)?, t))) {
        let forward = flow.tuple == t;
        odds *= masquerade::FOREIGN_PORT;
        let whose = if t == leg.tuple { "its source port" } else { "the source port of its like," };
        why.push(format!("{whose} {} lies outside the range for a node's own connections", t.src_port));
        let sighting = flow.sightings.iter().find(|s| s.forward == forward);
        let place = sighting.and_then(|s| {
            let capture = ctx.captures.get(s.capture)?;
            Some(Place::frame(capture.input, capture.stream(s.stream)?.first_row))
        });
        places.extend(place);
    }
    if places.is_empty()
        && let Some((reason, place)) = server.sibling(ctx, leg.tuple.src, links)
    {
        odds *= masquerade::LIKE_ITS_SIBLINGS;
        why.push(reason);
        places.push(place);
    }
    (odds > 1.0 && !places.is_empty()).then(|| (why.join(", and "), places))
}

/// Whether no process would be given such a port.
fn is_foreign(port: u16) -> bool {
    port > 1023 && !EPHEMERAL.contains(&port)
}

/// Servers that nodes connect to: every leg from a node's address asks for all connections of its like.
#[derive(Default)]
pub(super) struct Memo(Option<Known>);

struct Known {
    servers: BTreeMap<(Protocol, IpAddr, u16), Server>,
    /// The nodes' ends of all pods' links.
    links: BTreeSet<Id>,
}

/// Connections from nodes' addresses to one address and port.
#[derive(Default)]
struct Server {
    /// In the order of their flows: flow, and tuple from the node on.
    connections: Vec<(usize, Tuple)>,
    /// By source, the one with the lowest port that no process would be given.
    foreign: BTreeMap<IpAddr, (usize, Tuple)>,
    /// The first that their nodes only passed on, of two nodes: their source, why, and a packet that says so.
    passed_on: Option<Vec<(IpAddr, String, Place)>>,
}

impl Memo {
    fn server(&mut self, ctx: Context<'_>, t: Tuple) -> (&mut Server, &BTreeSet<Id>) {
        let known = self.0.get_or_insert_with(|| Known::of(ctx));
        (known.servers.entry((t.protocol, t.dst, t.dst_port)).or_default(), &known.links)
    }
}

impl Known {
    fn of(ctx: Context<'_>) -> Self {
        let mut servers: BTreeMap<_, Server> = BTreeMap::new();
        let ways = ctx.flows.flows.iter().enumerate().flat_map(|(n, f)| [(n, f.tuple), (n, f.tuple.reversed())]);
        for (flow, t) in ways.filter(|(_, t)| ctx.inv.owner_of_ip(t.src).is_some_and(|c| ctx.inv.nodes.contains_key(&c.owner))) {
            let server = servers.entry((t.protocol, t.dst, t.dst_port)).or_default();
            server.connections.push((flow, t));
            if is_foreign(t.src_port) {
                let lowest = server.foreign.entry(t.src).or_insert((flow, t));
                if t.src_port < lowest.1.src_port {
                    *lowest = (flow, t);
                }
            }
        }
        let links = order::set(ctx.inv.pods.values().filter_map(|p| Some(interface_id(p.node.as_ref()?, &p.veth))));
        Self { servers, links }
    }
}

impl Server {
    /// A connection to the same pod and port from another node, which that node only passed on.
    fn sibling(&mut self, ctx: Context<'_>, src: IpAddr, links: &BTreeSet<Id>) -> Option<(String, Place)> {
        let found = self.passed_on.get_or_insert_with(|| {
            let mut found: Vec<(IpAddr, String, Place)> = Vec::new();
            for (flow, o) in &self.connections {
                if found.iter().all(|f| f.0 != o.src) {
                    found.extend(only_passed_on(ctx, *flow, *o, links).map(|(why, place)| (o.src, why, place)));
                }
                if found.len() == 2 {
                    break;
                }
            }
            found
        });
        found.iter().find(|f| f.0 != src).map(|(_, why, place)| (why.clone(), place.clone()))
    }
}

fn only_passed_on(ctx: Context<'_>, flow: usize, o: Tuple, links: &BTreeSet<Id>) -> Option<(String, Place)> {
    let node = ctx.inv.nodes.get(&ctx.inv.owner_of_ip(o.src)?.owner)?;
    let (passed, ttl, row, input) = passed_on(ctx, &Leg { tuple: o, flow: Some(flow), ev: Vec::new() }, links)?;
    let how = if passed { format!("TTL {ttl}") } else { format!("source port {}", o.src_port) };
    let why = || format!("like the connection from {}, which by its {how} was only passed on", short(&node.id));
    (passed || is_foreign(o.src_port)).then(|| (why(), Place::frame(input, row)))
}

/// The TTL of a leg's packets says whether their source's host began them or passed them on: every Linux host on the way
/// takes one, the VPC router none. Gives whether it was passed on, and TTL, row and input of the packet that says so.
fn passed_on(ctx: Context<'_>, leg: &Leg, links: &BTreeSet<Id>) -> Option<(bool, u8, u32, usize)> {
    let flow = leg.flow.and_then(|f| ctx.flows.flows.get(f))?;
    let forward = flow.tuple == leg.tuple;
    let source = ctx.inv.entity_of_ip(leg.tuple.src);
    for s in flow.sightings.iter().filter(|s| s.forward == forward) {
        let (Some(point), Some(capture)) = (ctx.points.get(s.point), ctx.captures.get(s.capture)) else { continue };
        let Some(stream) = capture.stream(s.stream) else { continue };
        // Hosts that took one since the source's: the one that the pod's link hangs on, unless it is the source itself.
        let Some(at) = point.stream_at.get(&s.stream).or(point.at.as_ref()) else { continue };
        let on_link = point.link.is_some() || links.contains(at);
        let passed = u8::from(on_link && point.host(ctx.inv) != Some(&source));
        let at_source = stream.key.ttl.saturating_add(passed);
        let begun = INITIAL_TTLS.contains(&at_source);
        if begun || INITIAL_TTLS.contains(&at_source.saturating_add(1)) {
            return Some((!begun, stream.key.ttl, stream.first_row, capture.input));
        }
    }
    None
}

/// The load balancer that stands before a service's node port.
fn balancer_of<'a>(inv: &'a Inventory, service: &ServiceInfo, node_port: u16) -> Option<&'a LbInfo> {
    let by_name = inv.lbs.values().find(|lb| {
        let dns = lb.dns_name.as_deref().unwrap_or_default().to_lowercase();
        let by_uid = service
            .uid
            .as_deref()
            .map(|u| format!("a{}", u.replace('-', "")))
            .is_some_and(|n| !n.is_empty() && n.starts_with(&lb.name) && lb.name.len() >= 16);
        by_uid
            || service.ingress_hostnames.iter().any(|h| {
                let h = h.to_lowercase();
                (!dns.is_empty() && h == dns)
                    || h.strip_prefix(&lb.name.to_lowercase()).is_some_and(|r| r.starts_with('-'))
                    || h.strip_prefix("internal-").is_some_and(|r| r.starts_with(&lb.name.to_lowercase()))
            })
    });
    by_name.or_else(|| {
        let mut fits = inv.lbs.values().filter(|lb| lb.listeners.iter().any(|l| l.1 == node_port));
        fits.next().filter(|_| fits.next().is_none())
    })
}

/// The address that a load balancer speaks from: its only one, or the one in the target's zone.
fn lb_address(inv: &Inventory, lb: &LbInfo, zone: Option<&str>) -> Option<IpAddr> {
    let enis: Vec<_> = inv.enis.values().filter(|e| e.owner == lb.id).collect();
    let addresses: BTreeSet<IpAddr> = order::set(enis.iter().filter_map(|e| e.primary).chain(lb.ips.iter().copied()));
    if addresses.len() == 1 {
        return addresses.first().copied();
    }
    let in_zone = enis
        .iter()
        .filter(|e| zone.is_some() && e.subnet.as_ref().and_then(|s| inv.subnets.get(s)).and_then(|s| s.zone.as_deref()) == zone);
    let mut found = in_zone.filter_map(|e| e.primary);
    found.next().filter(|_| found.next().is_none()).or_else(|| addresses.first().copied())
}

/// The leg behind a service's address or node port that nobody captured: known if only one endpoint can take it.
fn after(inv: &Inventory, last: &Leg) -> Option<Leg> {
    let t = last.tuple;
    let endpoints = |s: &ServiceInfo, name: &Option<String>| -> Vec<(IpAddr, u16)> {
        let all = s.endpoints.iter().filter(|e| &e.1 == name && e.3 == t.protocol);
        order::set(all.filter_map(|e| Some((e.0, e.2?)))).into_iter().collect()
    };
    if let Some(service) = inv.service_at(t.dst) {
        let port = service.ports.iter().find(|p| p.port == t.dst_port && p.protocol == t.protocol)?;
        let [(ip, target)] = endpoints(service, &port.name)[..] else { return None };
        let tuple = Tuple { dst: ip, dst_port: target, ..t };
        return Some(Leg { tuple, flow: None, ev: service.ev.clone() });
    }
    let node = inv.owner_of_ip(t.dst).and_then(|c| inv.nodes.get(&c.owner))?;
    let (service, port) = inv.service_by_node_port(t.protocol, t.dst_port)?;
    let mut all = endpoints(service, &port.name);
    // Who comes from outside gets to this node's own pods (externalTrafficPolicy Local), and to none if there are none.
    if service.external_policy_local && inv.is_external(t.src) {
        let is_elsewhere = |ip: IpAddr| {
            let pod = inv.owner_of_ip(ip).and_then(|c| inv.pods.get(&c.owner));
            pod.and_then(|p| p.node.as_ref()).is_some_and(|n| *n != node.id)
        };
        all.retain(|(ip, _)| !is_elsewhere(*ip));
    }
    let [(ip, target)] = all[..] else { return None };
    let (src, src_port) = if service.external_policy_local {
        (t.src, t.src_port)
    } else {
        (node.ips.iter().copied().find(|x| *x == t.dst).unwrap_or(t.dst), 0)
    };
    let tuple = Tuple { protocol: t.protocol, src, src_port, dst: ip, dst_port: target };
    Some(Leg { tuple, flow: None, ev: service.ev.clone() })
}
