//! Where a packet must go: the forwarding of a VPC, its nodes and gateways, as inventories describe them.
//! Knows the AWS VPC CNI's data plane; must not look at a capture (`overlay` lays observations over it).
//!
//! Sources: amazon-vpc-cni-k8s `pkg/networkutils/network.go` (rules and tables), kube-proxy's iptables mode, the VPC user guide.

use std::net::IpAddr;

use crate::confidence::step::{GUESSED, ROUTED, STATED, TOLD, UNKNOWN_HOST};
use crate::digest::Tuple;
use crate::evidence::Ev;
use crate::identify::inventory::{EniInfo, Id, Inventory, PodInfo, interface_id, is_behind_eni, is_link_local, is_private};
use crate::model::Protocol;

/// One interface that a packet should cross, or one device inside which nobody sees.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Pod, node, router, load balancer …
    pub owner: Id,
    /// `None` for devices without interfaces of their own.
    pub interface: Option<Id>,
    /// Which leg of the conversation's addresses the packet has here.
    pub leg: usize,
    /// How sure, if nothing is observed.
    pub p: f64,
    /// Why.
    pub ev: Vec<Ev>,
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At the owner of the last leg's destination.
    Arrived,
    /// The inventories don't say how it goes on.
    Unknown,
}

/// A walk from the first leg's source to the last leg's destination.
#[derive(Clone, Debug)]
pub struct Walk {
    /// In order.
    pub steps: Vec<Step>,
    /// Who rewrites from leg `n` to leg `n + 1`.
    pub rewriters: Vec<Option<Id>>,
    /// How it ended.
    pub end: End,
    /// The leg that nothing says who rewrites, if not all of them were walked.
    pub stuck_at: Option<usize>,
}

/// Ports that kube-proxy serves on every node, unless `--service-node-port-range` says otherwise.
const NODE_PORTS: std::ops::RangeInclusive<u16> = 30_000..=32_767;

enum At<'a> {
    Node(Id),
    Wire(Option<&'a EniInfo>),
    Done(End),
}

struct Walker<'a> {
    inv: &'a Inventory,
    legs: &'a [Tuple],
    leg: usize,
    steps: Vec<Step>,
    rewriters: Vec<Option<Id>>,
    /// Given for the way back: the rewriting happens where it did on the way there.
    known_rewriters: Option<&'a [Option<Id>]>,
}

/// Walks the legs of one direction. For the reply, `known_rewriters` says who rewrites between its legs.
#[must_use]
pub fn walk(inv: &Inventory, legs: &[Tuple], known_rewriters: Option<&[Option<Id>]>) -> Walk {
    let mut w = Walker { inv, legs, leg: 0, steps: Vec::new(), rewriters: vec![None; legs.len().saturating_sub(1)], known_rewriters };
    let mut at = w.start();
    // Each turn adds a step or ends; a loop in the routes must not become one here.
    for _ in 0..24 {
        at = match at {
            At::Node(id) => w.at_node(&id),
            At::Wire(from) => w.on_wire(from),
            At::Done(end) => return w.done(end),
        };
    }
    w.done(End::Unknown)
}

impl<'a> Walker<'a> {
    fn done(self, end: End) -> Walk {
        let stuck_at = Some(self.leg).filter(|l| l + 1 < self.legs.len());
        // At the old destination it has not arrived.
        let end = if stuck_at.is_some() { End::Unknown } else { end };
        Walk { steps: self.steps, rewriters: self.rewriters, end, stuck_at }
    }

    fn tuple(&self) -> Option<Tuple> {
        self.legs.get(self.leg).copied()
    }

    fn step(&mut self, owner: &str, interface: Option<Id>, p: f64, ev: &[Ev]) {
        self.steps.push(Step { owner: owner.to_owned(), interface, leg: self.leg, p, ev: ev.to_vec() });
    }

    fn pod_of(&self, ip: IpAddr) -> Option<&'a PodInfo> {
        self.inv.owner_of_ip(ip).and_then(|c| self.inv.pods.get(&c.owner)).filter(|p| !p.host_network)
    }

    fn start(&mut self) -> At<'a> {
        let inv = self.inv;
        let Some(tuple) = self.tuple() else { return At::Done(End::Unknown) };
        if let Some(pod) = self.pod_of(tuple.src) {
            self.step(&pod.id, Some(interface_id(&pod.id, "eth0")), self.known(tuple.src), &pod.ev);
            let Some(node) = pod.node.clone() else { return At::Wire(inv.eni_of_ip(tuple.src)) };
            self.port(&node, pod, tuple.src);
            if let Some(bridge) = pod.bridge.as_ref().filter(|_| !self.is_bridged(&node, tuple)) {
                self.step(&node, Some(interface_id(&node, bridge)), STATED, &pod.ev);
            }
            return At::Node(node);
        }
        if is_link_local(tuple.src) {
            // Whoever answers at a link-local address is the host of whoever asked, or on that host's link.
            let host_of = |ip: IpAddr| {
                let owner = inv.entity_of_ip(ip);
                inv.pods.get(&owner).and_then(|p| p.node.clone()).or_else(|| inv.nodes.contains_key(&owner).then_some(owner))
            };
            // Whose address it has from then on is its host: a link-local one goes no farther.
            let host_after = || self.legs.get(self.leg + 1).filter(|next| next.src != tuple.src).and_then(|next| host_of(next.src));
            if let Some(host) = host_of(tuple.dst).or_else(host_after) {
                if let Some((dev, ev)) = inv.guests.get(&(host.clone(), tuple.src)) {
                    self.step(&inv.stranger(tuple.src), None, STATED, &[*ev]);
                    self.step(&host, Some(interface_id(&host, dev)), STATED, &[*ev]);
                }
                if is_behind_eni(tuple.src) {
                    self.first_eni(&host);
                }
                return At::Node(host);
            }
        }
        let owner = inv.entity_of_ip(tuple.src);
        let ev = inv.owner_of_ip(tuple.src).map(|c| c.ev.clone()).unwrap_or_default();
        if inv.nodes.contains_key(&owner) {
            return At::Node(owner);
        }
        let p = if ev.is_empty() { GUESSED } else { STATED };
        self.step(&owner, None, p, &ev);
        if owner.starts_with("external:") {
            return self.enter_from_outside();
        }
        At::Wire(inv.eni_of_ip(tuple.src))
    }

    /// From the Internet to a public address: the Internet gateway makes it the private one.
    fn enter_from_outside(&mut self) -> At<'a> {
        let Some(tuple) = self.tuple() else { return At::Done(End::Unknown) };
        if let Some((eni, private)) = self.inv.behind_public(tuple.dst) {
            self.internet_gateway(eni.vpc.as_deref());
            self.advance_if(|next, _| next.dst == private, |_| None);
        }
        At::Wire(None)
    }

    fn internet_gateway(&mut self, vpc: Option<&str>) {
        let inv = self.inv;
        if let Some(d) = inv.devices.values().find(|d| d.id.starts_with("igw:") && (vpc.is_none() || d.vpc.as_deref() == vpc)) {
            self.step(&d.id, None, STATED, &d.ev);
        }
    }

    /// Goes to the next leg if `fits(next, current)`; the last step's owner is the rewriter unless `who` says another.
    fn advance_if(&mut self, fits: impl Fn(Tuple, Tuple) -> bool, who: impl Fn(&Self) -> Option<Id>) -> bool {
        let (Some(current), Some(next)) = (self.tuple(), self.legs.get(self.leg + 1).copied()) else { return false };
        if !fits(next, current) {
            return false;
        }
        let rewriter = who(self).or_else(|| self.steps.last().map(|s| s.owner.clone()));
        if let Some(slot) = self.rewriters.get_mut(self.leg) {
            *slot = rewriter;
        }
        self.leg += 1;
        true
    }

    fn at_node(&mut self, node: &Id) -> At<'a> {
        let inv = self.inv;
        // An address that no pod is known to hold ends at the node whose ENI holds it.
        let own = |ip: IpAddr| match inv.owner_of_ip(ip) {
            Some(c) => &c.owner == node,
            None => inv.eni_of_ip(ip).is_some_and(|e| &e.owner == node),
        };
        let is_pod = |ip: IpAddr| inv.owner_of_ip(ip).and_then(|c| inv.pods.get(&c.owner)).is_some_and(|p| !p.host_network);
        loop {
            let known = self.known_rewriters.map(|r| r.get(self.leg).cloned().flatten());
            let here = |next: Tuple, current: Tuple| match &known {
                Some(Some(id)) => id == node,
                Some(None) | None => {
                    let dnat = (next.dst, next.dst_port) != (current.dst, current.dst_port);
                    let snat = (next.src, next.src_port) != (current.src, current.src_port);
                    // kube-proxy runs on every node: whoever gets the packet first translates a service's address, and a node's
                    // own address together with a node port. A source is rewritten to the rewriter's own address.
                    let service = inv.service_at(current.dst).is_some() || (own(current.dst) && !is_pod(current.dst));
                    // A service that no inventory lists: a pod's packets to nobody's address turn to somebody's by its node's kube-proxy.
                    let service = service || (inv.owner_of_ip(current.dst).is_none() && is_private(current.dst) && is_pod(current.src));
                    (dnat && service)
                        || (!dnat && snat && own(next.src) && !inv.is_translation(current.src, next.src))
                        || (dnat && snat && own(next.src))
                }
            };
            if !self.advance_if(here, |_| Some(node.clone())) {
                break;
            }
        }
        let Some(tuple) = self.tuple() else { return At::Done(End::Unknown) };
        if let Some(pod) = self.pod_of(tuple.dst)
            && pod.node.as_ref() == Some(node)
            && !self.is_branched(node, pod, tuple)
        {
            let bridge = pod.bridge.as_ref().map(|b| interface_id(node, b));
            let is_there = self.steps.last().is_some_and(|s| s.leg == self.leg && s.interface == bridge);
            if bridge.is_some() && !is_there && !self.is_bridged(node, tuple) {
                self.step(node, bridge, STATED, &pod.ev);
            }
            self.port(node, pod, tuple.dst);
            self.step(&pod.id, Some(interface_id(&pod.id, "eth0")), self.known(tuple.dst), &pod.ev);
            return At::Done(End::Arrived);
        }
        if is_link_local(tuple.dst) {
            // A cache of names, an agent: the node's own; what EC2 answers is reached by the ENI, and no address is on the way there.
            if is_behind_eni(tuple.dst) {
                self.first_eni(node);
            } else if let Some((dev, ev)) = inv.guests.get(&(node.clone(), tuple.dst)) {
                self.step(node, Some(interface_id(node, dev)), STATED, &[*ev]);
                self.step(&inv.stranger(tuple.dst), None, STATED, &[*ev]);
            }
            return At::Done(End::Arrived);
        }
        if own(tuple.dst) {
            // Behind a node port is another address, and behind one that an ENI has beside its own a pod that nobody listed.
            let is_port = matches!(tuple.protocol, Protocol::Tcp | Protocol::Udp | Protocol::Sctp) && NODE_PORTS.contains(&tuple.dst_port);
            let is_lent = inv.owner_of_ip(tuple.dst).is_none() && inv.eni_of_ip(tuple.dst).is_some_and(|e| e.primary != Some(tuple.dst));
            return At::Done(if is_port || is_lent { End::Unknown } else { End::Arrived });
        }
        if inv.service_at(tuple.dst).is_some() {
            return At::Done(End::Unknown);
        }
        if let Some(remote) = self.through_tunnel(node, tuple) {
            return At::Node(remote);
        }
        let eni = self.egress(node, tuple);
        // A node of which no inventory lists an ENI has at least the one that its address is on.
        let name = eni.map_or_else(|| "eth0".to_owned(), |e| inv.eni_name(e));
        let interface = interface_id(node, &name);
        if self.steps.iter().filter(|s| s.leg == self.leg && s.interface.as_ref() == Some(&interface)).count() > 1 {
            // The inventories send the packet round and round; what they say of its way can't be right.
            return At::Done(End::Unknown);
        }
        let p = eni.map_or(guessed(node), |e| self.certainty(tuple.dst).min(listed(e)));
        let ev = match eni {
            Some(e) => e.ev.clone(),
            None => inv.nodes.get(node).map(|n| n.ev.clone()).unwrap_or_default(),
        };
        self.step(node, Some(interface), p, &ev);
        self.trunk(node, eni);
        At::Wire(eni)
    }

    /// A node's primary ENI, or the interface that its address is on.
    fn first_eni(&mut self, node: &Id) {
        let inv = self.inv;
        let eni = inv.nodes.get(node).and_then(|n| n.enis.first()).and_then(|e| inv.enis.get(e));
        let name = eni.map_or_else(|| "eth0".to_owned(), |e| inv.eni_name(e));
        let ev = eni.map(|e| e.ev.clone()).or_else(|| inv.nodes.get(node).map(|n| n.ev.clone())).unwrap_or_default();
        self.step(node, Some(interface_id(node, &name)), eni.map_or(guessed(node), listed), &ev);
    }

    /// What a branch ENI's device sends and gets crosses the trunk ENI's, under a VLAN tag.
    fn trunk(&mut self, node: &Id, eni: Option<&EniInfo>) {
        let inv = self.inv;
        if let Some((branch, trunk)) = eni.filter(|e| e.vlan.is_some()).and_then(|e| Some((e, inv.trunk_of(node)?))) {
            let ev: Vec<Ev> = branch.ev.iter().chain(&trunk.ev).copied().collect();
            self.step(node, Some(interface_id(node, &inv.eni_name(trunk))), listed(trunk), &ev);
        }
    }

    /// With security groups enforced strictly (the CNI then names links `vlan…`), what a pod with a branch ENI sends and gets goes by
    /// the VPC, to pods of its own node too: the routes to it stand in the table of its VLAN device alone.
    fn is_branched(&self, node: &Id, to: &PodInfo, tuple: Tuple) -> bool {
        let is_strict = |p: &PodInfo| p.branch.is_some() && p.veth.starts_with("vlan");
        let from = self.pod_of(tuple.src).filter(|p| p.node.as_ref() == Some(node));
        let by_wire = self.steps.iter().any(|s| s.leg == self.leg && s.owner.starts_with("router:"));
        !by_wire && from.is_some_and(|from| from.id != to.id && (is_strict(from) || is_strict(to)))
    }

    /// The host side of a pod's link. Of a bridge's port that no table names, nothing is said.
    fn port(&mut self, node: &Id, pod: &PodInfo, ip: IpAddr) {
        if pod.bridge.is_none() || self.inv.tables.get(node).is_some_and(|t| t.is_port(&pod.veth)) {
            self.step(node, Some(interface_id(node, &pod.veth)), self.known(ip), &pod.ev);
        }
    }

    /// A pod's link is as sure as that the address is the pod's.
    fn known(&self, ip: IpAddr) -> f64 {
        self.inv.owner_of_ip(ip).map_or(STATED, |c| c.p.min(STATED))
    }

    /// Between two ports of one bridge frames are switched, and the bridge's own device is not crossed.
    fn is_bridged(&self, node: &Id, tuple: Tuple) -> bool {
        let hung = |ip: IpAddr| self.pod_of(ip).filter(|p| p.node.as_ref() == Some(node)).and_then(|p| p.bridge.as_ref());
        hung(tuple.src).is_some_and(|b| hung(tuple.dst) == Some(b))
    }

    /// To a pod of another node by a tunnel: its device, the node's own interface, the other node's, and its device. Gives that node.
    fn through_tunnel(&mut self, node: &Id, tuple: Tuple) -> Option<Id> {
        let inv = self.inv;
        let (dev, ev) = inv.tables.get(node)?.tunnel_to(tuple.dst)?;
        let remote = self.pod_of(tuple.dst)?.node.clone().filter(|n| n != node)?;
        // A packet comes out of a tunnel once.
        if self.steps.iter().any(|s| s.leg == self.leg && s.interface.as_deref() == Some(interface_id(node, dev).as_str())) {
            return None;
        }
        self.step(node, Some(interface_id(node, dev)), STATED, &[ev]);
        let first = |n: &Id| inv.nodes.get(n)?.enis.first().and_then(|e| inv.enis.get(e));
        let (from, to) = (first(node), first(&remote));
        let name = |e: Option<&EniInfo>| e.map_or_else(|| "eth0".to_owned(), |e| inv.eni_name(e));
        let (sure, guessed) = (STATED, GUESSED);
        let p = |e: Option<&EniInfo>| if e.is_some() { sure } else { guessed };
        self.step(node, Some(interface_id(node, &name(from))), p(from), from.map_or(&[ev], |e| &e.ev));
        let subnets = (from.and_then(|e| e.subnet.as_deref()), to.and_then(|e| e.subnet.as_deref()));
        if subnets.0 != subnets.1 {
            self.router(subnets.0);
        }
        self.step(&remote, Some(interface_id(&remote, &name(to))), p(to), to.map_or(&[ev], |e| &e.ev));
        let back = inv.tables.get(&remote).and_then(|t| t.tunnel_to(tuple.src));
        let (out, p, ev) = back.map_or((dev, GUESSED, ev), |(dev, ev)| (dev, STATED, ev));
        self.step(&remote, Some(interface_id(&remote, out)), p, &[ev]);
        Some(remote)
    }

    /// A private address that nobody claims may be a service's, a peer's or nobody's: what its packets cross is a guess.
    fn certainty(&self, ip: IpAddr) -> f64 {
        let is_claimed = self.inv.owner_of_ip(ip).is_some() || self.inv.is_inside(ip);
        if is_private(ip) && !is_claimed { GUESSED } else { STATED }
    }

    /// A pod's packets leave by the ENI that carries its address; all else by the ENI of its source address, or the primary.
    fn egress(&self, node: &Id, tuple: Tuple) -> Option<&'a EniInfo> {
        let inv = self.inv;
        let enis: Vec<&EniInfo> = inv.nodes.get(node)?.enis.iter().filter_map(|e| inv.enis.get(e)).collect();
        if let Some(pod) = self.pod_of(tuple.src).filter(|p| p.node.as_ref() == Some(node))
            && let Some(e) = pod.eni.as_ref().and_then(|e| inv.enis.get(e))
        {
            return Some(e);
        }
        let by_source = enis.iter().find(|e| e.ips.contains(&tuple.src));
        by_source.or_else(|| enis.first()).copied()
    }

    fn on_wire(&mut self, from: Option<&'a EniInfo>) -> At<'a> {
        let inv = self.inv;
        let Some(tuple) = self.tuple() else { return At::Done(End::Unknown) };
        let from_subnet = from.and_then(|e| e.subnet.clone()).or_else(|| inv.subnet_of(tuple.src).map(str::to_owned));
        let to = inv.eni_of_ip(tuple.dst).or_else(|| inv.behind_public(tuple.dst).map(|b| b.0).filter(|e| e.owner.starts_with("lb:")));
        if let Some(to) = to.filter(|to| from.is_none_or(|f| f.id != to.id)) {
            // The main table has the subnet's own route, so the primary ENI speaks to its neighbours directly; a secondary
            // ENI's table holds the default route alone.
            // (Devices that are no nodes have the ordinary routes, whatever the number of their ENI.)
            let is_first = |e: &EniInfo| e.vlan.is_none() && e.device_index.unwrap_or(0) == 0;
            let from_primary = from.is_none_or(|e| !inv.nodes.contains_key(&e.owner) || is_first(e));
            let same = from_subnet.is_some() && from_subnet == to.subnet;
            if !(same && from_primary) && from_subnet.is_some() {
                self.router(from_subnet.as_deref());
            }
            if inv.nodes.contains_key(&to.owner) {
                let name = inv.eni_name(to);
                self.trunk(&to.owner, Some(to));
                self.step(&to.owner, Some(interface_id(&to.owner, &name)), self.certainty(tuple.src).min(listed(to)), &to.ev);
                return At::Node(to.owner.clone());
            }
            self.step(&to.owner, None, STATED, &to.ev);
            let rewrites = |id: &str| ["natgw:", "lb:", "vpce:"].iter().any(|kind| id.starts_with(kind));
            if rewrites(&to.owner) && self.advance_by_device(&to.owner) {
                // What an interface endpoint took comes out of the load balancer of its service, in another VPC, and answers the other way.
                let out = self.tuple().and_then(|t| inv.eni_of_ip(t.src)).filter(|e| e.owner != to.owner && rewrites(&e.owner));
                if let Some(out) = out {
                    self.step(&out.owner, None, STATED, &out.ev);
                }
                let is_open = out.is_none() && to.owner.starts_with("vpce:");
                return if is_open { At::Done(End::Unknown) } else { At::Wire(out.or(Some(to))) };
            }
            return At::Done(End::Arrived);
        }
        let owner = inv.entity_of_ip(tuple.dst);
        if inv.nodes.contains_key(&owner) {
            // A node whose ENI no inventory lists.
            let name = inv.owner_of_ip(tuple.dst).and_then(|c| c.interface.clone()).unwrap_or_else(|| interface_id(&owner, "eth0"));
            self.router_between(from_subnet.as_deref(), tuple.dst);
            self.step(&owner, Some(name), guessed(&owner), &[]);
            return At::Node(owner);
        }
        if let Some(pod) = self.pod_of(tuple.dst)
            && let Some(node) = pod.node.clone()
        {
            // A pod with an address of its own CNI's is where its node is.
            let eni = inv.nodes.get(&node).and_then(|n| n.enis.first()).and_then(|e| inv.enis.get(e));
            let node_subnet = eni.and_then(|e| e.subnet.as_deref()).filter(|_| inv.subnet_of(tuple.dst).is_none());
            if node_subnet.is_none() || node_subnet != from_subnet.as_deref() {
                self.router_between(from_subnet.as_deref(), tuple.dst);
            }
            self.step(&node, Some(interface_id(&node, "eth0")), guessed(&node), &pod.ev);
            return At::Node(node);
        }
        if !owner.starts_with("external:") {
            self.router(from_subnet.as_deref());
            let p = if owner.starts_with("unknown:") { GUESSED } else { STATED };
            let ev = inv.owner_of_ip(tuple.dst).map(|c| c.ev.clone()).unwrap_or_default();
            self.step(&owner, None, p, &ev);
            return At::Done(End::Arrived);
        }
        self.leave_to_outside(from, from_subnet.as_deref(), &owner)
    }

    fn advance_by_device(&mut self, device: &str) -> bool {
        let inv = self.inv;
        self.advance_if(
            |next, current| {
                next.src != current.src && inv.entity_of_ip(next.src) == device
                    || next.dst != current.dst && inv.entity_of_ip(current.dst) == device
            },
            |_| Some(device.to_owned()),
        )
    }

    fn leave_to_outside(&mut self, from: Option<&'a EniInfo>, subnet: Option<&str>, owner: &Id) -> At<'a> {
        let inv = self.inv;
        let vpc = from.and_then(|e| e.vpc.clone()).or_else(|| subnet.and_then(|s| inv.subnets.get(s)).and_then(|s| s.vpc.clone()));
        let dst = self.tuple().map(|t| t.dst);
        let target = dst.and_then(|dst| route_to(inv, subnet, vpc.as_deref(), dst));
        if let Some(nat) = target.as_deref().filter(|t| t.starts_with("nat-")) {
            let id = format!("natgw:{nat}");
            let eni = inv.enis.values().find(|e| e.owner == id);
            self.router(subnet);
            let ev = inv.devices.get(&id).map(|d| d.ev.clone()).unwrap_or_default();
            self.step(&id, None, STATED, &ev);
            self.advance_by_device(&id);
            return self.beyond_gateway(eni.and_then(|e| e.vpc.as_deref()).or(vpc.as_deref()), owner);
        }
        self.router(subnet);
        // What came by a load balancer goes back by it.
        let back = self.known_rewriters.and_then(|r| r.get(self.leg)?.clone()).filter(|r| r.starts_with("lb:"));
        if let Some(lb) = back {
            let ev = inv.lbs.get(&lb).map(|l| l.ev.clone()).unwrap_or_default();
            self.step(&lb, None, STATED, &ev);
            self.advance_if(|_, _| true, |_| Some(lb.clone()));
        }
        self.beyond_gateway(vpc.as_deref(), owner)
    }

    fn beyond_gateway(&mut self, vpc: Option<&str>, owner: &Id) -> At<'a> {
        self.internet_gateway(vpc);
        let inv = self.inv;
        self.advance_if(|next, current| next.dst == current.dst && inv.is_translation(current.src, next.src), |_| None);
        // Where no network is known, what a node does to packets that leave it is not either.
        let most = if inv.knows_networks() { STATED } else { TOLD };
        let p = self.tuple().map_or(GUESSED, |t| self.certainty(t.dst)).min(most);
        self.step(owner, None, p, &[]);
        At::Done(End::Arrived)
    }

    /// A router, unless the address is in the same subnet.
    fn router_between(&mut self, subnet: Option<&str>, dst: IpAddr) {
        if subnet != self.inv.subnet_of(dst) {
            self.router(subnet);
        }
    }

    fn router(&mut self, subnet: Option<&str>) {
        let Some(subnet) = subnet else { return };
        let info = self.inv.subnets.get(subnet);
        let ev = info.map(|s| s.ev.clone()).unwrap_or_default();
        let most = if info.is_some_and(|s| s.is_nameless) { TOLD } else { ROUTED };
        let p = self.tuple().map_or(GUESSED, |t| self.certainty(t.dst)).min(most);
        self.step(&format!("router:{subnet}"), None, p, &ev);
    }
}

/// How sure a step is that nothing but convention suggests: of a Kubernetes node much is known by that alone, of another host little.
fn guessed(node: &str) -> f64 {
    if node.starts_with("node:") { GUESSED } else { UNKNOWN_HOST }
}

/// How sure a step over an ENI is, by who says that there is one.
fn listed(e: &EniInfo) -> f64 {
    if e.id.starts_with("eni-") { STATED } else { TOLD }
}

/// The target of a subnet's route to an address outside: of its own table, else of the VPC's main table. The longest prefix wins; where
/// none fits, as in a table that was printed in part, any default route.
#[must_use]
pub fn route_to(inv: &Inventory, subnet: Option<&str>, vpc: Option<&str>, dst: IpAddr) -> Option<String> {
    let of_subnet = inv.route_tables.iter().find(|(t, _)| subnet.is_some_and(|s| t.subnets.iter().any(|x| x == s)));
    let main = || inv.route_tables.iter().find(|(t, _)| t.is_main && (vpc.is_none() || t.vpc.as_deref() == vpc));
    let (table, _) = of_subnet.or_else(main)?;
    let length = |r: &&crate::facts::VpcRoute| r.destination.map_or(0, |d| d.prefix_len());
    let fitting = table.routes.iter().filter(|r| r.destination.is_some_and(|d| d.contains(&dst))).max_by_key(length);
    let default = || table.routes.iter().find(|r| r.destination.is_some_and(|d| d.prefix_len() == 0));
    fitting.or_else(default).map(|r| r.target.clone())
}
