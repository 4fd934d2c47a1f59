//! Hosts, routers and pods that no inventory lists: told from hosts' own words, and from what captures show of them.
//! Knows MACs, TTLs, ARP and `ip`'s output; must not place a capture, and never overrules what an inventory lists.
//!
//! What is told here enters the inventory as if it had been listed, with the confidence that it has, so that placing and
//! tracing need not care where an entity is known from. A forwarding host takes one from the TTL and VPC routers take none:
//! that one sentence tells hosts from routers, and which of a host's interfaces belong together.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::confidence::{self as weight, needed, unlisted as rule};
use crate::evidence::{Book, Ev, Place};
use crate::facts::Located;
use crate::identify::inventory::{
    Claim, EniInfo, HostInfo, Id, Inventory, NodeInfo, PodInfo, host_route, interface_id, is_eni_name, is_private, is_special, merge,
    push_claim, short, sort_claims, spoken,
};
use crate::identify::place::{Capture, INITIAL_TTLS, Point, Samples, streams};
use crate::identify::ways::{Frame, Row, Ways, Wire};
use crate::model::{Direction, Mac, Nanos};
use crate::order;

// ---- hosts' own words ----------------------------------------------------------------------------------------------

/// Hosts whose own `ip addr` or `ip link` is given, yet whom no inventory names: each becomes a node `host:<lowest MAC>`.
pub(super) fn unnamed_hosts(inv: &mut Inventory, inputs: &[(usize, &str, &[Located])], book: &mut Book) {
    // What a known host's own output says of its MACs tells whose its other outputs are.
    let known: Vec<(Mac, Id)> = inv
        .hosts
        .iter()
        .filter_map(|h| Some((own_macs(h), inv.host_owner(h)?.0)))
        .flat_map(|(macs, id)| macs.into_iter().map(move |m| (m, id.clone())))
        .collect();
    for (mac, owner) in order::set(known.into_iter()) {
        if inv.owner_of_mac(mac).is_some_and(|c| c.owner == owner) {
            continue;
        }
        let places = |h: &HostInfo| h.interfaces.iter().find(|(i, _)| i.mac == Some(mac)).map(|(i, place)| (i.name.clone(), place.clone()));
        let Some((name, place)) = inv.hosts.iter().find_map(places) else { continue };
        let ev = book.add("stated", format!("{} has the interface {name} with {mac}", spoken(&owner)), vec![place]);
        push_claim(
            &mut inv.by_mac,
            mac,
            Claim { interface: Some(interface_id(&owner, &name)), owner, p: weight::owner::HOST_MAC, ev: vec![ev] },
        );
    }
    let unknown: Vec<usize> = (0..inv.hosts.len()).filter(|n| inv.hosts.get(*n).is_some_and(|h| inv.host_owner(h).is_none())).collect();
    // Several outputs of one host show the same ENI. (Hosts' sides of links are no proof: some CNIs give all the same address.)
    let mut groups: Vec<(BTreeSet<Mac>, Vec<usize>)> = Vec::new();
    for n in unknown {
        let Some(own) = inv.hosts.get(n).map(own_macs).filter(|m| !m.is_empty()) else { continue };
        let (same, other): (Vec<_>, Vec<_>) = groups.into_iter().partition(|g| !g.0.is_disjoint(&own));
        let mut group = (own, vec![n]);
        for g in same {
            group.0.extend(g.0);
            group.1.extend(g.1);
        }
        groups = other;
        groups.push(group);
    }
    order::sort(&mut groups);
    for (_, members) in groups {
        let hosts: Vec<&HostInfo> = members.iter().filter_map(|n| inv.hosts.get(*n)).collect();
        let interfaces: Vec<_> = hosts.iter().flat_map(|h| &h.interfaces).collect();
        // Addresses that no one host has to itself say nothing of which host it is.
        let usable = |m: &Mac| m.is_unicast() && *m != Mac([0xee; 6]);
        let Some(lowest) = interfaces.iter().filter_map(|(i, _)| i.mac).filter(usable).min() else { continue };
        let folders: BTreeSet<&str> =
            hosts.iter().filter_map(|h| inputs.iter().find(|i| i.0 == h.input)).map(|i| i.1.rsplit_once('/').map_or("", |x| x.0)).collect();
        let mut claims: Vec<(Mac, Claim)> = Vec::new();
        let mut addresses: Vec<(IpAddr, Claim)> = Vec::new();
        let id = format!("host:{lowest}");
        let mut node = NodeInfo { id: id.clone(), name: short(&id).to_owned(), ..NodeInfo::default() };
        for (i, place) in interfaces.iter().filter(|(i, _)| is_eni_name(&i.name) && i.name != "lo") {
            let said = i.mac.map_or(String::new(), |m| format!(" with {m}"));
            let ev = book.add("stated", format!("a host that no inventory names has the interface {}{said}", i.name), vec![place.clone()]);
            merge(&mut node.ev, &[ev]);
            let claim = |p| Claim { owner: id.clone(), interface: Some(interface_id(&id, &i.name)), p, ev: vec![ev] };
            if let Some(mac) = i.mac.filter(usable) {
                claims.push((mac, claim(weight::owner::HOST_MAC)));
            }
            for a in i.addresses.iter().map(ipnet::IpNet::addr).filter(|a| !is_special(*a)) {
                node.ips.insert(a);
                addresses.push((a, claim(weight::owner::HOST_ADDRESS)));
            }
        }
        if let (1, Some(folder)) = (folders.len(), folders.first().and_then(|f| f.rsplit('/').next()).filter(|f| !f.is_empty())) {
            // A person who gave a host a folder of its own has named it.
            let alone =
                inv.hosts.iter().filter(|h| !members.iter().any(|m| inv.hosts.get(*m).is_some_and(|x| x.input == h.input))).all(|h| {
                    let other = inputs.iter().find(|i| i.0 == h.input).and_then(|i| i.1.rsplit_once('/')).map_or("", |x| x.0);
                    h.interfaces.is_empty() || folders.first() != Some(&other)
                });
            if alone {
                folder.clone_into(&mut node.name);
            }
        }
        inv.nodes.insert(id, node);
        for (mac, claim) in claims {
            push_claim(&mut inv.by_mac, mac, claim);
        }
        for (ip, claim) in addresses {
            push_claim(&mut inv.by_ip, ip, claim);
        }
    }
}

fn own_macs(host: &HostInfo) -> BTreeSet<Mac> {
    let own = host.interfaces.iter().filter(|(i, _)| is_eni_name(&i.name) && i.name != "lo");
    // The one interface of a pod's namespace is called as a node's first; its other end is elsewhere.
    let own = own.filter(|(i, _)| i.peer_index.is_none() && i.kind.as_deref() != Some("veth"));
    order::set(own.filter_map(|(i, _)| i.mac).filter(|m| m.is_unicast()))
}

/// Addresses that a host routes to a device of its own, one by one, and that no inventory gives to anybody: pods without a name.
pub(super) fn routed_pods(inv: &mut Inventory, book: &mut Book) {
    let mut found: Vec<(IpAddr, Id, String, f64, Place)> = Vec::new();
    for host in &inv.hosts {
        let Some((node, p)) = host.owner.as_ref().filter(|o| inv.nodes.contains_key(&o.0)) else { continue };
        for (r, place) in &host.routes {
            let Some((ip, dev)) = host_route(r).zip(r.dev.clone()).filter(|(ip, d)| !is_eni_name(d) && !is_special(*ip)) else { continue };
            if inv.by_ip.get(&ip).is_none_or(|claims| claims.iter().all(|c| c.p < needed::LIKELY)) {
                found.push((ip, node.clone(), dev, *p, place.clone()));
            }
        }
    }
    for (ip, node, dev, p, place) in found {
        let ev = book.add("stated", format!("{} reaches {ip} by {dev}, a device of its own", spoken(&node)), vec![place]);
        unnamed_pod(inv, ip, &node, dev, weight::round(rule::ROUTED_GUEST * p), vec![ev]);
    }
}

/// How far a capturing host's clock may be behind that of the API server.
const CLOCKS_APART: Nanos = 60_000_000_000;

/// 1980: no capture file is older.
const FIRST_DATED: Nanos = 315_532_800_000_000_000;

/// Pods that were created after the last packet was captured: whoever had their addresses then, they had not.
pub(super) fn retire(captures: &[Capture<'_>], inv: &mut Inventory, book: &mut Book) {
    // What `tcpdump` prints without a date is of 1970.
    let Some(last) = captures.iter().filter_map(|c| c.span).map(|s| s.1).filter(|t| *t > FIRST_DATED).max() else { return };
    let limit = last.saturating_add(CLOCKS_APART);
    let young: Vec<Id> = inv.pods.values().filter(|p| p.created.is_some_and(|c| c > limit)).map(|p| p.id.clone()).collect();
    if young.is_empty() {
        return;
    }
    let mut seen: BTreeMap<IpAddr, Place> = BTreeMap::new();
    for (c, s) in captures.iter().flat_map(|c| c.digest.streams.iter().map(move |s| (c, s))) {
        for ip in s.key.flow.into_iter().flat_map(|f| [f.src, f.dst]) {
            seen.entry(ip).or_insert_with(|| Place::frame(c.input, s.first_row));
        }
    }
    for id in young {
        let Some(pod) = inv.pods.get_mut(&id) else { continue };
        let (node, pod_ev) = (pod.node.clone(), pod.ev.clone());
        // A pod of the node's own network shares its node's address, which is as old as the node.
        let ips = if pod.host_network { Vec::new() } else { std::mem::take(&mut pod.ips) };
        for ip in &ips {
            if let Some(claims) = inv.by_ip.get_mut(ip) {
                claims.retain(|c| c.owner != id);
            }
        }
        if !ips.is_empty() {
            inv.by_mac.values_mut().for_each(|claims| claims.retain(|c| c.owner != id));
        }
        for (ip, place) in ips.iter().filter_map(|ip| Some((*ip, seen.get(ip)?))) {
            let mut places = vec![place.clone()];
            pod_ev.iter().for_each(|e| places.extend(book.sources(*e)));
            let summary = format!("{} has {ip} now, yet it is younger than the captures: another had it then", short(&id));
            let ev = book.add(
                "created_later",
                format!("{} was created after the last captured packet, and {ip} is in the captures", short(&id)),
                places,
            );
            let about = std::iter::once(id.clone()).chain(node.clone()).collect();
            inv.contradictions.push(("stale_inventory", about, summary, vec![ev]));
        }
    }
    inv.by_ip.retain(|_, claims| !claims.is_empty());
    inv.by_mac.retain(|_, claims| !claims.is_empty());
    routed_pods(inv, book);
}

/// A pod known by its address alone.
fn unnamed_pod(inv: &mut Inventory, ip: IpAddr, node: &Id, veth: String, p: f64, ev: Vec<Ev>) {
    let id = format!("unknown:{ip}");
    let eni = inv.enis.values().find(|e| &e.owner == node && (e.ips.contains(&ip) || e.prefixes.iter().any(|n| n.contains(&ip))));
    let pod = PodInfo {
        id: id.clone(),
        name: ip.to_string(),
        node: Some(node.clone()),
        ips: vec![ip],
        veth,
        eni: eni.map(|e| e.id.clone()),
        ev: ev.clone(),
        ..PodInfo::default()
    };
    inv.pods.entry(id.clone()).or_insert(pod);
    let claim = Claim { owner: id.clone(), interface: Some(interface_id(&id, "eth0")), p, ev };
    push_claim(&mut inv.by_ip, ip, claim);
    inv.by_ip.get_mut(&ip).into_iter().for_each(|c| sort_claims(c));
}

// ---- what captures show --------------------------------------------------------------------------------------------

/// Why a MAC is thought to be somebody's: how sure, a sentence, and the frames that show it.
#[derive(Clone, Debug)]
struct Reason {
    p: f64,
    why: String,
    at: Vec<Frame>,
}

/// The link between an address's own interface and the host that takes all its packets.
#[derive(Clone, Copy, Debug)]
struct Link {
    own: Mac,
    host: Mac,
    /// A packet on it.
    at: Frame,
}

/// What ARP shows of one MAC.
#[derive(Default)]
struct Arp {
    /// Addresses that it asked in the name of, with a frame.
    asks_as: BTreeMap<IpAddr, Frame>,
    /// Addresses that it answered for.
    answers_for: BTreeMap<IpAddr, Frame>,
    /// The same, with whom it answered.
    answers_to: BTreeMap<(IpAddr, Mac), Frame>,
}

/// More hosts than these are between an address and its captures only if it is far outside.
const FARTHEST: u8 = 6;

/// Enters what the captures show of hosts, routers and pods that `inv` does not list.
pub(super) fn glean(captures: &[Capture<'_>], points: &[Point], inv: &mut Inventory, samples: &mut Samples, book: &mut Book) {
    let mut g = Gleaner {
        captures,
        points,
        ways: Ways::of(captures, points),
        arp: arp(captures),
        faces: BTreeMap::new(),
        samples,
        links: BTreeMap::new(),
        behind: BTreeMap::new(),
        guests: BTreeSet::new(),
        hosts: Sets::default(),
        reasons: BTreeMap::new(),
        link_hosts: BTreeMap::new(),
        beside: BTreeMap::new(),
        sent: BTreeMap::new(),
        cooked: BTreeSet::new(),
        asked_by: BTreeMap::new(),
        called: called(captures, points),
    };
    for (a, b) in g.ways.stretches() {
        g.beside.entry(*a).or_default().insert(*b);
        g.beside.entry(*b).or_default().insert(*a);
    }
    for (mac, arp) in &g.arp {
        for ip in arp.asks_as.keys() {
            g.asked_by.entry(*ip).or_default().insert(*mac);
        }
    }
    g.find_faces(inv);
    g.find_links(inv);
    g.links_by_arp(inv);
    g.unite(inv);
    g.enter(inv, book);
}

fn arp(captures: &[Capture<'_>]) -> BTreeMap<Mac, Arp> {
    let mut all: BTreeMap<Mac, Arp> = BTreeMap::new();
    for c in captures {
        for a in c.digest.arps.iter().filter(|a| !a.sender_mac.is_group() && !a.sender_mac.is_zero() && !is_special(a.sender_ip)) {
            let of = all.entry(a.sender_mac).or_default();
            if a.operation == 2 && !a.target_mac.is_group() && !a.target_mac.is_zero() {
                of.answers_to.entry((a.sender_ip, a.target_mac)).or_insert((c.input, a.first_row));
            }
            let list = match a.operation {
                1 => &mut of.asks_as,
                2 => &mut of.answers_for,
                _ => continue,
            };
            let at = list.entry(a.sender_ip).or_insert((c.input, a.first_row));
            *at = (*at).min((c.input, a.first_row));
        }
    }
    all
}

/// A member of a set of things that are one host: one of its interfaces, its name, or an address of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Mac(Mac),
    Node(Id),
    Ip(IpAddr),
}

impl Part {
    fn mac(&self) -> Option<Mac> {
        if let Self::Mac(m) = self { Some(*m) } else { None }
    }

    fn node(&self) -> Option<&Id> {
        if let Self::Node(n) = self { Some(n) } else { None }
    }

    fn ip(&self) -> Option<IpAddr> {
        if let Self::Ip(ip) = self { Some(*ip) } else { None }
    }
}

/// Disjoint sets (union–find), the lowest member standing for each.
#[derive(Default)]
struct Sets(BTreeMap<Part, Part>);

impl Sets {
    fn find(&self, part: &Part) -> Part {
        let mut at = part.clone();
        while let Some(up) = self.0.get(&at).filter(|up| **up != at) {
            at = up.clone();
        }
        at
    }

    fn add(&mut self, part: &Part) {
        self.0.entry(part.clone()).or_insert_with(|| part.clone());
    }

    fn unite(&mut self, a: &Part, b: &Part) {
        self.add(a);
        self.add(b);
        let (x, y) = (self.find(a), self.find(b));
        let (low, high) = if x <= y { (x, y) } else { (y, x) };
        self.0.insert(high, low);
    }

    fn groups(&self) -> Vec<BTreeSet<Part>> {
        let mut groups: BTreeMap<Part, BTreeSet<Part>> = BTreeMap::new();
        for part in self.0.keys() {
            groups.entry(self.find(part)).or_default().insert(part.clone());
        }
        groups.into_values().collect()
    }
}

struct Gleaner<'a> {
    captures: &'a [Capture<'a>],
    points: &'a [Point],
    ways: Ways,
    arp: BTreeMap<Mac, Arp>,
    /// MACs of routers that take nothing from the TTL.
    faces: BTreeMap<Mac, Reason>,
    samples: &'a mut Samples,
    links: BTreeMap<IpAddr, Link>,
    /// Addresses → the MAC of the host that they are behind, by which their packets leave it.
    behind: BTreeMap<IpAddr, (Mac, Frame)>,
    /// MACs that send for one address alone, which is no node's, and as the first.
    guests: BTreeSet<Mac>,
    hosts: Sets,
    /// Why a MAC is its host's.
    reasons: BTreeMap<Mac, Reason>,
    /// Look-ups: hosts' ends of links; MACs that share a wire; who asks by ARP in an address's name; what a MAC's captures are called.
    link_hosts: BTreeMap<Mac, IpAddr>,
    beside: BTreeMap<Mac, BTreeSet<Mac>>,
    sent: BTreeMap<Mac, Vec<IpAddr>>,
    /// MACs under which packets left a host towards others, by its cooked captures.
    cooked: BTreeSet<Mac>,
    asked_by: BTreeMap<IpAddr, BTreeSet<Mac>>,
    called: BTreeMap<Mac, BTreeSet<String>>,
}

/// The wires of one level that packets cross first and last, each with its first packet.
struct Crossed {
    first: ((Mac, Mac), Frame),
    last: ((Mac, Mac), Frame),
    is_several: bool,
}

impl Gleaner<'_> {
    /// What packets cross on one level, or `None` if the order of its wires can't be told.
    fn crossed(&mut self, src: IpAddr, dst: IpAddr, rows: &[Row], ways: &Ways) -> Option<Crossed> {
        if let [only] = rows {
            let wire = (ways.macs(only), only.first());
            return Some(Crossed { first: wire, last: wire, is_several: false });
        }
        let wires = ways.wires_of(rows);
        let order = self.in_order(src, dst, &wires)?;
        let wire = |macs: &(Mac, Mac)| Some((*macs, wires.get(macs)?.first));
        Some(Crossed { first: wire(order.first()?)?, last: wire(order.last()?)?, is_several: order.len() > 1 })
    }

    /// The wires of one level in the order in which packets from `src` to `dst` cross them, or `None` if that can't be told.
    fn in_order(&mut self, src: IpAddr, dst: IpAddr, wires: &BTreeMap<(Mac, Mac), Wire>) -> Option<Vec<(Mac, Mac)>> {
        let mut order: Vec<(Mac, Mac)> = Vec::new();
        for (key, wire) in wires {
            let mut at = order.len();
            while let Some(before) = at.checked_sub(1).and_then(|n| order.get(n)) {
                let other = wires.get(before)?;
                if self.is_nearer(src, dst, wire, other)? {
                    at -= 1;
                } else {
                    break;
                }
            }
            order.insert(at, *key);
        }
        Some(order)
    }

    /// Whether packets from `src` cross `a` before `b`. With f the median of `t(b) − t(a)` on the way there and g that on the way
    /// back, f − g is the sum of both ways' delays if `a` is nearer, and its negative if not, whatever the clocks show.
    fn is_nearer(&mut self, src: IpAddr, dst: IpAddr, a: &Wire, b: &Wire) -> Option<bool> {
        let (p, q) = (*a.points.first()?, *b.points.first()?);
        let (x, y) = self.samples.pair(self.captures, self.points, p, q)?;
        let (mut there, mut back) = (Vec::new(), Vec::new());
        for (ident, seen) in x {
            let (Some(seen), Some(Some(other))) = (seen, y.get(ident)) else { continue };
            let difference = other.time.saturating_sub(seen.time);
            if seen.src == Some(src) {
                there.push(difference);
            } else if seen.src == Some(dst) {
                back.push(difference);
            }
        }
        let median = |v: &mut Vec<i64>| {
            v.sort_unstable();
            v.get(v.len() / 2).copied()
        };
        match median(&mut there)?.saturating_sub(median(&mut back)?).signum() {
            1 => Some(true),
            -1 => Some(false),
            _ => None,
        }
    }

    /// MACs of routers: between two wires that carry the same packets with the same TTL, or by what they answer.
    fn find_faces(&mut self, inv: &Inventory) {
        let is_host = |m: Mac| inv.owner_of_mac(m).is_some_and(|c| c.p > needed::SURE && !c.owner.starts_with("router:"));
        let ways = std::mem::take(&mut self.ways);
        for ((src, dst), rows) in ways.pairs() {
            for (_, rows) in Ways::levels(rows).filter(|(level, rows)| *level <= FARTHEST && rows.len() > 1) {
                let wires = ways.wires_of(rows);
                let Some(order) = self.in_order(src, dst, &wires) else { continue };
                for pair in order.windows(2) {
                    let [a, b] = pair else { continue };
                    let (Some(x), Some(y)) = (wires.get(a), wires.get(b)) else { continue };
                    if a.0 == b.0 || a.1 == b.1 || a.0 == b.1 || a.1 == b.0 {
                        continue;
                    }
                    for (mac, at) in [(a.1, x.first), (b.0, y.first)] {
                        if !is_host(mac) && !self.asks(mac) {
                            let why = format!(
                                "packets from {src} to {dst} cross {mac} and have other addresses beyond it, yet the same TTL: a router that takes nothing from it"
                            );
                            self.faces.entry(mac).or_insert(Reason { p: rule::FACE_BETWEEN, why, at: vec![at] });
                        }
                    }
                }
            }
        }
        // Hosts ask before they answer others; a VPC router knows.
        let mut carries: BTreeMap<Mac, BTreeSet<IpAddr>> = BTreeMap::new();
        for ((src, dst, _, (from, to)), _) in ways.wires() {
            // Of all others nobody asks.
            for (mac, ip) in [(from, src), (to, dst)].into_iter().filter(|(mac, _)| self.arp.contains_key(mac)) {
                carries.entry(mac).or_default().insert(ip);
            }
        }
        for (mac, arp) in self.arp.iter().filter(|(m, a)| a.asks_as.is_empty() && !is_host(**m)) {
            let (Some((gateway, at)), 1) = (arp.answers_for.first_key_value(), arp.answers_for.len()) else { continue };
            let carried = carries.get(mac);
            if is_first_of_network(*gateway) && carried.is_some_and(|c| !c.is_empty() && !c.contains(gateway)) {
                let why = format!("{mac} answers ARP for {gateway}, the first address of a network, and carries the packets of others");
                self.faces.entry(*mac).or_insert(Reason { p: rule::FACE_BY_ARP, why, at: vec![*at] });
            }
        }
        self.ways = ways;
    }

    /// Links of addresses that no node has for its own: address → (its own MAC, that of the host that takes all its packets). The
    /// sender's TTL shows that it is the sender's; what comes back over hosts shows that the other end is no second sender.
    fn find_links(&mut self, inv: &Inventory) {
        let mut sent: BTreeMap<Mac, Vec<IpAddr>> = BTreeMap::new();
        // The first, and whether there are others.
        let mut got: FxHashMap<Mac, (IpAddr, bool)> = FxHashMap::default();
        let mut forwards: FxHashSet<Mac> = FxHashSet::default();
        // The wire that an address's packets cross first, and whether there are others.
        let mut first: Vec<(IpAddr, (Mac, Mac), Frame, bool)> = Vec::new();
        for ((src, dst, level, (from, to)), frame) in self.ways.wires() {
            // Wires come in order of their sources.
            let sources = sent.entry(from).or_default();
            if sources.last() != Some(&src) {
                sources.push(src);
            }
            let first_got = got.entry(to).or_insert((dst, false));
            first_got.1 |= first_got.0 != dst;
            if level > 0 {
                forwards.insert(from);
            } else {
                match first.last_mut().filter(|known| known.0 == src) {
                    None => first.push((src, (from, to), frame, false)),
                    Some((_, macs, at, _)) if *macs == (from, to) => *at = (*at).min(frame),
                    Some((.., is_several)) => *is_several = true,
                }
            }
        }
        // Who never sends but in its own name, as the first, may be a guest; the other end of its link is no way out to others.
        for (mac, ips) in &sent {
            let is_node = |ip: &IpAddr| inv.owner_of_ip(*ip).is_some_and(|c| c.p > needed::LIKELY && inv.nodes.contains_key(&c.owner));
            let one = ips.len() == 1 && ips.iter().all(|ip| !is_node(ip) && got.get(mac).is_none_or(|got| *got == (*ip, false)));
            if one && !forwards.contains(mac) && !self.faces.contains_key(mac) && inv.eni_of_mac(*mac).is_none() {
                self.guests.insert(*mac);
            }
        }
        self.sent = sent;
        for (ip, (p, x), at, _) in first.into_iter().filter(|(.., is_several)| !is_several) {
            let is_own =
                self.sent.get(&p).is_none_or(|ips| ips.iter().all(|i| *i == ip)) && got.get(&p).is_none_or(|got| *got == (ip, false));
            let is_node = inv.owner_of_ip(ip).is_some_and(|c| c.p > needed::LIKELY && inv.nodes.contains_key(&c.owner))
                || inv.eni_of_mac(p).is_some()
                || inv.eni_of_mac(x).is_some();
            let is_face = self.faces.contains_key(&x) || self.faces.contains_key(&p);
            if is_own && forwards.contains(&x) && !is_node && !is_face {
                self.links.insert(ip, Link { own: p, host: x, at });
                self.link_hosts.entry(x).or_insert(ip);
            }
        }
    }

    /// A pod that answers the ARP request of its own node does so over its link: nodes ask others for other nodes alone.
    fn links_by_arp(&mut self, inv: &Inventory) {
        let mut found: Vec<(IpAddr, Link)> = Vec::new();
        for (own, arp) in &self.arp {
            for ((ip, host), at) in &arp.answers_to {
                let pod = inv.owner_of_ip(*ip).and_then(|c| inv.pods.get(&c.owner)).filter(|p| !p.host_network);
                let eni = inv.eni_of_ip(*ip).filter(|e| e.primary != Some(*ip) && inv.nodes.contains_key(&e.owner));
                let Some(node) = pod.and_then(|p| p.node.as_ref()).or(eni.map(|e| &e.owner)) else { continue };
                let asks_as = self.arp.get(host).into_iter().flat_map(|a| a.asks_as.keys());
                let mut askers = asks_as.filter_map(|ip| inv.owner_of_ip(*ip)).map(|c| &c.owner);
                let is_known = |m: &Mac| inv.eni_of_mac(*m).is_some() || self.faces.contains_key(m);
                if askers.any(|o| o == node) && !is_known(own) && !is_known(host) {
                    found.push((*ip, Link { own: *own, host: *host, at: *at }));
                }
            }
        }
        for (ip, link) in found {
            self.links.entry(ip).or_insert(link);
            self.link_hosts.entry(link.host).or_insert(ip);
        }
    }

    /// A cooked capture (`-i any`) has its host's own addresses on all that leaves; which host it is, the pods say whose packets
    /// come in as their senders made them.
    fn cooked(&mut self, inv: &Inventory) {
        let pod_of = |ip: IpAddr| inv.owner_of_ip(ip).and_then(|c| inv.pods.get(&c.owner)).filter(|p| !p.host_network);
        let mut captures: BTreeMap<usize, Vec<&Point>> = BTreeMap::new();
        for point in self.points {
            captures.entry(point.capture).or_default().push(point);
        }
        for (n, points) in captures {
            let Some(capture) = self.captures.get(n) else { continue };
            let mut nodes: BTreeMap<&Id, (IpAddr, Frame)> = BTreeMap::new();
            let mut locals: BTreeSet<IpAddr> = BTreeSet::new();
            // MAC → destinations, whether it is on a pod's link, a frame.
            let mut outs: BTreeMap<Mac, (BTreeSet<IpAddr>, bool, Frame)> = BTreeMap::new();
            for point in points {
                let cooked = || streams(self.captures, point).filter(|(_, s)| s.key.dst_mac.is_none() && s.key.direction.is_some());
                let mut is_link = false;
                for (_, s) in cooked().filter(|(_, s)| s.key.direction == Some(Direction::In) && INITIAL_TTLS.contains(&s.key.ttl)) {
                    let Some(src) = s.key.flow.map(|f| f.src).filter(|_| s.key.tunnels.is_empty()) else { continue };
                    if let Some(node) = pod_of(src).and_then(|p| p.node.as_ref()) {
                        locals.insert(src);
                        is_link = point.ifindex.is_some();
                        nodes.entry(node).or_insert((src, (capture.input, s.first_row)));
                    }
                }
                for (_, s) in cooked().filter(|(_, s)| s.key.direction == Some(Direction::Out)) {
                    let Some(mac) = s.key.src_mac.filter(|m| m.is_unicast()) else { continue };
                    let out = outs.entry(mac).or_insert((BTreeSet::new(), false, (capture.input, s.first_row)));
                    out.0.extend(s.key.flow.map(|f| f.dst));
                    out.1 |= is_link;
                }
            }
            let (Some((node, (ip, at))), 1) = (nodes.first_key_value(), nodes.len()) else { continue };
            for (mac, (dsts, is_link, frame)) in outs {
                let why = format!(
                    "the capture in which {mac} sends also has the packets of {ip} come in as they were sent: it is of {}",
                    short(node)
                );
                self.hosts.unite(&Part::Mac(mac), &Part::Node((*node).clone()));
                self.reasons.entry(mac).or_insert(Reason { p: rule::SAME_FORWARDER, why, at: vec![frame, *at] });
                if !is_link && !dsts.is_subset(&locals) {
                    self.cooked.insert(mac);
                }
            }
        }
    }

    /// Which interfaces are one host's.
    fn unite(&mut self, inv: &Inventory) {
        let node_of = |ip: IpAddr| inv.owner_of_ip(ip).filter(|c| c.p > needed::SURE && inv.nodes.contains_key(&c.owner)).map(|c| &c.owner);
        let listed: BTreeSet<Mac> = order::set(self.ways.stretches().iter().flat_map(|(a, b)| [*a, *b]));
        for mac in listed {
            if let Some(c) = inv.owner_of_mac(mac).filter(|c| c.p > needed::SURE && inv.nodes.contains_key(&c.owner)) {
                self.hosts.unite(&Part::Mac(mac), &Part::Node(c.owner.clone()));
            }
        }
        for (mac, arp) in self.arp.iter().filter(|(m, _)| !self.faces.contains_key(m)) {
            for (ip, at) in &arp.asks_as {
                let (part, whose) = match node_of(*ip) {
                    Some(owner) => (Part::Node(owner.clone()), format!(", the address of {}", short(owner))),
                    None => (Part::Ip(*ip), String::new()),
                };
                self.hosts.unite(&Part::Mac(*mac), &part);
                let why = format!("{mac} asks by ARP in the name of {ip}{whose}");
                self.reasons.entry(*mac).or_insert(Reason { p: rule::SAME_ASKER, why, at: vec![*at] });
            }
        }
        for (ip, link) in &self.links {
            let pod = inv.owner_of_ip(*ip).and_then(|c| inv.pods.get(&c.owner)).filter(|p| !p.host_network);
            let eni = inv.eni_of_ip(*ip).filter(|e| inv.nodes.contains_key(&e.owner)).map(|e| &e.owner);
            self.hosts.add(&Part::Mac(link.host));
            if let Some(node) = pod.and_then(|p| p.node.as_ref()).or(eni) {
                self.hosts.unite(&Part::Mac(link.host), &Part::Node(node.clone()));
                let why = format!("{} is the other end of the link of {ip}, which is on {}", link.host, short(node));
                self.reasons.entry(link.host).or_insert(Reason { p: rule::SAME_FORWARDER, why, at: vec![link.at] });
            }
        }
        self.cooked(inv);
        let ways = std::mem::take(&mut self.ways);
        let mut crossed: Vec<(u8, Crossed)> = Vec::new();
        for ((src, dst), rows) in ways.pairs() {
            crossed.clear();
            crossed.extend(Ways::levels(rows).filter_map(|(level, rows)| Some((level, self.crossed(src, dst, rows, &ways)?))));
            if let Some((_, here)) = crossed.iter().find(|(level, _)| *level == 1) {
                self.first_forwarder(inv, src, here);
            }
            for pair in crossed.windows(2) {
                let [(level, here), (further, next)] = pair else { continue };
                if level.checked_add(1) != Some(*further) || *further > FARTHEST {
                    continue;
                }
                let (into, out) = (here.last.0.1, next.first.0.0);
                let several = here.is_several || next.is_several;
                if into == out || !(self.is_host(into, several) && self.is_host(out, several)) {
                    continue;
                }
                let places = [here.last.1, next.first.1];
                self.hosts.unite(&Part::Mac(into), &Part::Mac(out));
                for mac in [into, out] {
                    let why = format!(
                        "packets from {src} to {dst} go to {into} and leave from {out} with a TTL lower by one: one host forwards them"
                    );
                    self.reasons.entry(mac).or_insert(Reason { p: rule::SAME_FORWARDER, why, at: places.to_vec() });
                }
            }
        }
        self.ways = ways;
    }

    /// A MAC that neither asks by ARP nor ends a link may be a router's, with hosts between that nobody captured, unless the wires
    /// beyond the router were captured too.
    fn is_host(&self, mac: Mac, several: bool) -> bool {
        !self.faces.contains_key(&mac) && (several || self.asks(mac) || self.link_hosts.contains_key(&mac))
    }

    fn asks(&self, mac: Mac) -> bool {
        self.arp.get(&mac).is_some_and(|a| !a.asks_as.is_empty())
    }

    /// The host that takes the first one from the TTL of what `src` sends: `src` is behind it.
    fn first_forwarder(&mut self, inv: &Inventory, src: IpAddr, here: &Crossed) {
        let ((out, beyond), at) = here.first;
        if !(self.is_host(out, here.is_several) || self.faces.contains_key(&beyond) && !self.faces.contains_key(&out)) {
            return;
        }
        // What a node masquerades leaves it under its own address with a TTL lower by one: nobody is behind that.
        let claim = inv.owner_of_ip(src);
        if claim.is_some_and(|c| c.p > needed::LIKELY && !inv.pods.contains_key(&c.owner)) || self.is_asker(src) {
            return;
        }
        // Towards a guest, a host also sends what it translated: services' addresses are nobody's.
        if self.link_hosts.contains_key(&out) || self.guests.contains(&beyond) {
            return;
        }
        self.hosts.add(&Part::Mac(out));
        self.behind.entry(src).or_insert((out, at));
        let pod = claim.and_then(|c| inv.pods.get(&c.owner)).filter(|p| !p.host_network);
        if let Some(node) = pod.and_then(|p| p.node.as_ref()) {
            self.hosts.unite(&Part::Mac(out), &Part::Node(node.clone()));
            let why = format!("{out} is the first that takes one from the TTL of what {src} sends, which is on {}", short(node));
            self.reasons.entry(out).or_insert(Reason { p: rule::SAME_FORWARDER, why, at: vec![at] });
        }
    }

    /// Whether a host asks by ARP in the name of this address over more than the link of the address itself: it is that host's own.
    fn is_asker(&self, ip: IpAddr) -> bool {
        let own = self.links.get(&ip).map(|l| l.own);
        self.asked_by.get(&ip).into_iter().flatten().any(|mac| Some(*mac) != own)
    }

    fn enter(&self, inv: &mut Inventory, book: &mut Book) {
        self.enter_faces(inv, book);
        let ends: BTreeSet<Mac> = order::set(self.links.values().map(|l| l.own));
        let outs: BTreeMap<Mac, IpAddr> = order::map(self.behind.iter().map(|(ip, b)| (b.0, *ip)));
        let mut node_of: BTreeMap<Mac, (Id, f64)> = BTreeMap::new();
        for group in self.hosts.groups() {
            let macs: BTreeSet<Mac> =
                group.iter().filter_map(Part::mac).filter(|m| !ends.contains(m) && !self.faces.contains_key(m)).collect();
            let nodes: Vec<&Id> = group.iter().filter_map(Part::node).collect();
            // Two nodes at once: what was taken for one host is not.
            if nodes.len() > 1 {
                continue;
            }
            let owner = match (nodes.first(), macs.first()) {
                (Some(node), _) => (*node).clone(),
                // A host that forwards nothing is no more than its one interface, which placing will name.
                (None, Some(lowest)) if macs.iter().any(|m| self.link_hosts.contains_key(m) || outs.contains_key(m)) => {
                    format!("host:{lowest}")
                }
                _ => continue,
            };
            let mut why: BTreeMap<Mac, (f64, Ev)> = BTreeMap::new();
            for mac in &macs {
                if let Some((p, ev)) = self.reason(*mac, &outs, book) {
                    why.insert(*mac, (p, ev));
                }
            }
            if !inv.nodes.contains_key(&owner) {
                let node = NodeInfo {
                    id: owner.clone(),
                    name: short(&owner).to_owned(),
                    ev: why.values().map(|w| w.1).take(4).collect(),
                    ..NodeInfo::default()
                };
                inv.nodes.insert(owner.clone(), node);
            }
            let stated = inv.nodes.get(&owner).map(|n| n.ips.clone()).unwrap_or_default();
            for ip in group.iter().filter_map(Part::ip).filter(|ip| self.is_asker(*ip)) {
                let ev: Vec<Ev> = macs
                    .iter()
                    .filter(|m| self.arp.get(m).is_some_and(|a| a.asks_as.contains_key(&ip)))
                    .filter_map(|m| why.get(m))
                    .map(|w| w.1)
                    .collect();
                if let Some(n) = inv.nodes.get_mut(&owner) {
                    n.ips.insert(ip);
                }
                push_claim(&mut inv.by_ip, ip, Claim { owner: owner.clone(), interface: None, p: rule::ASKS_AS, ev });
                inv.by_ip.get_mut(&ip).into_iter().for_each(|c| sort_claims(c));
            }
            let faces_guest = |m: &Mac| self.beside.get(m).map_or(!self.cooked.contains(m), |b| !b.is_disjoint(&self.guests));
            let uplinks: Vec<Mac> =
                macs.iter().copied().filter(|m| !self.link_hosts.contains_key(m) && !self.guests.contains(m) && !faces_guest(m)).collect();
            self.uplinks(inv, &owner, &stated, &uplinks, &why);
            for mac in macs {
                node_of.insert(mac, (owner.clone(), why.get(&mac).map_or(rule::OF_HOST, |w| w.0)));
            }
        }
        self.pods(inv, &node_of, book);
    }

    fn reason(&self, mac: Mac, outs: &BTreeMap<Mac, IpAddr>, book: &mut Book) -> Option<(f64, Ev)> {
        let by_link = || {
            let link = self.links.get(self.link_hosts.get(&mac)?)?;
            Some(Reason { p: rule::SAME_FORWARDER, why: format!("{mac} forwards what comes from {}", link.own), at: vec![link.at] })
        };
        let by_ttl = || {
            let ip = outs.get(&mac)?;
            let why = format!("{mac} is the first that takes one from the TTL of what {ip} sends");
            Some(Reason { p: rule::FIRST_FORWARDER, why, at: vec![self.behind.get(ip)?.1] })
        };
        let reason = self.reasons.get(&mac).cloned().or_else(by_link).or_else(by_ttl)?;
        let places = reason.at.iter().map(|(input, row)| Place::frame(*input, *row)).collect();
        Some((reason.p, book.add("same_host", reason.why, places)))
    }

    /// A node's interfaces towards others, where no inventory lists its ENIs.
    fn uplinks(&self, inv: &mut Inventory, owner: &Id, stated: &BTreeSet<IpAddr>, macs: &[Mac], why: &BTreeMap<Mac, (f64, Ev)>) {
        let listed = inv.nodes.get(owner).is_some_and(|n| !n.enis.is_empty());
        let new: Vec<Mac> = macs.iter().copied().filter(|m| inv.owner_of_mac(*m).is_none()).collect();
        if listed {
            return;
        }
        for mac in &new {
            let Some((p, ev)) = why.get(mac).copied() else { continue };
            let asked = self.arp.get(mac).into_iter().flat_map(|a| a.asks_as.keys());
            let own =
                asked.chain(self.sent.get(mac).into_iter().flatten()).find(|ip| inv.nodes.get(owner).is_some_and(|n| n.ips.contains(ip)));
            // kubelet's own address is on the first ENI, and udev, as EKS sets it up, calls that eth0.
            let (conventional, sure) = match own {
                _ if !owner.starts_with("node:") || new.len() > 2 => (None, 1.0),
                Some(ip) if stated.contains(ip) => (Some("eth0"), rule::FIRST_IS_ETH0),
                Some(_) if !stated.is_empty() => (Some("eth1"), rule::OTHER_IS_ETH1),
                _ if new.len() == 1 => (Some("eth0"), rule::ONLY_IS_ETH0),
                _ => (None, 1.0),
            };
            let (name, p) = match (self.name_of(*mac, macs), conventional) {
                (Some(name), conventional) => {
                    let agrees = conventional == Some(name.as_str());
                    (name, if agrees { p } else { p.min(rule::UNCONVENTIONAL) })
                }
                (None, Some(name)) => (name.to_owned(), p.min(sure)),
                (None, None) => (mac.to_string(), p),
            };
            let face = self.beside.get(mac).into_iter().flatten().find(|m| self.faces.contains_key(m));
            let id = format!("{name}@{owner}");
            let subnet = face.map(|f| f.to_string()).filter(|s| inv.subnets.contains_key(s));
            let primary = own.copied();
            let info = EniInfo {
                id: id.clone(),
                mac: Some(*mac),
                subnet,
                owner: owner.clone(),
                primary,
                ips: primary.into_iter().collect(),
                name: Some(name.clone()),
                ev: vec![ev],
                ..EniInfo::default()
            };
            inv.enis.insert(id.clone(), info);
            let interface = interface_id(owner, &name);
            push_claim(&mut inv.by_mac, *mac, Claim { owner: owner.clone(), interface: Some(interface), p, ev: vec![ev] });
            if let Some(n) = inv.nodes.get_mut(owner) {
                n.enis.push(id);
            }
        }
        // Of several, the first is the one that carries the node's own address.
        let own: BTreeSet<IpAddr> = inv.nodes.get(owner).map(|n| n.ips.clone()).unwrap_or_default();
        let is_main = |inv: &Inventory, e: &str| inv.enis.get(e).and_then(|e| e.primary).is_some_and(|ip| own.contains(&ip));
        let mut enis = inv.nodes.get(owner).map(|n| n.enis.clone()).unwrap_or_default();
        order::sort_by_key(&mut enis, |e| (!is_main(inv, e), e.clone()));
        if let Some(n) = inv.nodes.get_mut(owner) {
            n.enis = enis;
        }
        inv.index();
    }

    /// What the captures that show a MAC in every frame call their interface, where they agree and call no other of the host so.
    fn name_of(&self, mac: Mac, siblings: &[Mac]) -> Option<String> {
        let alone = |m: Mac| self.called.get(&m).filter(|names| names.len() == 1).and_then(|names| names.first());
        alone(mac).filter(|name| !siblings.iter().any(|s| *s != mac && alone(*s) == Some(name))).cloned()
    }

    /// Routers of networks that no inventory lists.
    fn enter_faces(&self, inv: &mut Inventory, book: &mut Book) {
        for (mac, reason) in &self.faces {
            let known = self.beside.get(mac).into_iter().flatten().filter_map(|m| inv.eni_of_mac(*m)).find_map(|e| e.subnet.as_ref());
            // A listed subnet's router has its subnet's name, which placing proves.
            if known.is_some() || inv.owner_of_mac(*mac).is_some() {
                continue;
            }
            let key = mac.to_string();
            let ev = book.add("router_mac", reason.why.clone(), reason.at.iter().map(|(input, row)| Place::frame(*input, *row)).collect());
            let s = inv.subnets.entry(key.clone()).or_default();
            s.is_nameless = true;
            merge(&mut s.ev, &[ev]);
            let claim = |p| Claim { owner: format!("router:{key}"), interface: None, p, ev: vec![ev] };
            push_claim(&mut inv.by_mac, *mac, claim(reason.p));
            for ip in self.arp.get(mac).into_iter().flat_map(|a| a.answers_for.keys()).filter(|ip| is_first_of_network(**ip)) {
                if inv.owner_of_ip(*ip).is_none() {
                    push_claim(&mut inv.by_ip, *ip, claim(rule::FACE_BY_ARP));
                }
            }
        }
    }

    /// Addresses behind a host that no inventory gives to anybody.
    fn pods(&self, inv: &mut Inventory, node_of: &BTreeMap<Mac, (Id, f64)>, book: &mut Book) {
        let unnamed = |inv: &Inventory, ip: IpAddr| {
            inv.by_ip.get(&ip).is_none_or(|c| c.iter().all(|c| c.p < needed::LIKELY)) && (is_private(ip) || inv.is_inside(ip))
        };
        for (ip, link) in &self.links {
            let Some((node, p)) = node_of.get(&link.host).filter(|_| unnamed(inv, *ip)) else { continue };
            let why = format!(
                "{ip} sends with a fresh TTL from {}, and {} takes all of it: a pod of {}, or another guest",
                link.own,
                link.host,
                spoken(node)
            );
            let ev = book.add("link", why, vec![Place::frame(link.at.0, link.at.1)]);
            let named = inv.owner_of_mac(link.host).filter(|c| &c.owner == node).and_then(|c| c.interface.as_deref());
            let veth = named.and_then(|i| i.rsplit_once('/')).map_or_else(|| link.host.to_string(), |x| x.1.to_owned());
            unnamed_pod(inv, *ip, node, veth, weight::round(rule::LINKED_GUEST * p), vec![ev]);
            self.carrier(inv, *ip, node);
        }
        for (ip, (out, (input, row))) in &self.behind {
            let Some((node, p)) = node_of.get(out).filter(|_| unnamed(inv, *ip)) else { continue };
            let why = format!(
                "{out} of {} is the first that takes one from the TTL of what {ip} sends: a pod of it, or another guest",
                spoken(node)
            );
            let ev = book.add("link", why, vec![Place::frame(*input, *row)]);
            unnamed_pod(inv, *ip, node, format!("to-{ip}"), weight::round(rule::GUEST_BEHIND * p), vec![ev]);
            self.carrier(inv, *ip, node);
        }
    }

    /// The ENI that carries a pod: the one that its packets were seen to leave by, else the node's first.
    fn carrier(&self, inv: &mut Inventory, ip: IpAddr, node: &Id) {
        let seen = self.behind.get(&ip).and_then(|(out, _)| inv.eni_of_mac(*out)).filter(|e| &e.owner == node).map(|e| e.id.clone());
        let first = inv.nodes.get(node).and_then(|n| n.enis.first().cloned());
        if let Some(pod) = inv.pods.get_mut(&format!("unknown:{ip}")).filter(|p| p.eni.is_none()) {
            pod.eni = seen.or(first);
        }
    }
}

/// What the captures that show a MAC in every frame call their interface: in the file, or by its name.
fn called(captures: &[Capture<'_>], points: &[Point]) -> BTreeMap<Mac, BTreeSet<String>> {
    let mut called: BTreeMap<Mac, BTreeSet<String>> = BTreeMap::new();
    for point in points.iter().filter(|p| p.ifindex.is_none()) {
        let Some(capture) = captures.get(point.capture) else { continue };
        let said = match &point.interface_name {
            Some(name) => Some(name.clone()).filter(|n| is_eni_name(n)),
            None => eni_word(capture.name),
        };
        let Some(name) = said else { continue };
        let mut common: Option<BTreeSet<Mac>> = None;
        for (_, s) in streams(captures, point) {
            let (Some(src), Some(dst)) = (s.key.src_mac, s.key.dst_mac) else { continue };
            if dst.is_group() {
                continue;
            }
            let ends = order::set([src, dst].into_iter());
            common = Some(common.map_or_else(|| ends.clone(), |c| &c & &ends));
        }
        for mac in common.into_iter().flatten() {
            called.entry(mac).or_default().insert(name.clone());
        }
    }
    called
}

/// A word of a file's name that is an ENI's name on its host.
pub(super) fn eni_word(file: &str) -> Option<String> {
    let last = file.rsplit('/').next().unwrap_or(file);
    let mut words = last.split(|c: char| !c.is_ascii_alphanumeric());
    words.find(|w| is_eni_name(w) && *w != "lo").map(str::to_owned)
}

/// The first host address of a network of at least sixteen: where AWS has its router, and most people theirs.
fn is_first_of_network(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => u32::from(v4) % 16 == 1,
        IpAddr::V6(v6) => u128::from(v6) % 16 == 1,
    }
}
