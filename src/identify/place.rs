//! Where each capture was taken, and which MACs and addresses that proves.
//! Knows headers, MACs, TTLs, names and indexes; must not join conversations across points.
//!
//! Content decides; names only choose between places that the content cannot tell apart, such as the two ends of a veth pair.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::capture::{FileLayout, LinkType};
use crate::confidence as weight;
use crate::digest::{CaptureDigest, NO_TIME, Stream, StreamKey};
use crate::evidence::{Book, Ev, Place};
use crate::facts::Correction;
use crate::identify::inventory::{Claim, EniInfo, Id, Inventory, interface_id, is_special, short};
use crate::identify::{answers, unlisted};
use crate::model::{Direction, Mac, Nanos};
use crate::order;

/// TTLs that operating systems start with (Linux and macOS 64, Windows 128, some appliances and EKS's AL2 pods 255, old stacks 32).
pub const INITIAL_TTLS: [u8; 4] = [32, 64, 128, 255];

/// A capture as the analysis sees it.
#[derive(Clone, Copy, Debug)]
pub struct Capture<'a> {
    /// Index of the input in the analysis's order.
    pub input: usize,
    /// The path as the person gave it.
    pub name: &'a str,
    /// What was kept of it.
    pub digest: &'a CaptureDigest,
    /// Its first and last time; `None` where no frame has one. Asked for each packet, so it is kept and not looked for.
    pub span: Option<(Nanos, Nanos)>,
}

impl<'a> Capture<'a> {
    /// A capture called `name`, the `input`th of the analysis.
    #[must_use]
    pub fn new(input: usize, name: &'a str, digest: &'a CaptureDigest) -> Self {
        let timed = digest.streams.iter().filter(|s| s.first_ns != NO_TIME);
        let span = timed.map(|s| (s.first_ns, s.last_ns)).reduce(|(f, l), (first, last)| (f.min(first), l.max(last)));
        Self { input, name, digest, span }
    }
}

impl Capture<'_> {
    /// Whether a correction means this capture: by its name, or by the end of its path, since people drop the same folder from elsewhere.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.name.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with('/'))
    }
}

/// One capture interface of one file: the report's capture point.
#[derive(Clone, Debug, Default)]
pub struct Point {
    /// Index into the captures.
    pub capture: usize,
    /// The file's interface.
    pub interface: u32,
    /// SLL2's interface index.
    pub ifindex: Option<u32>,
    /// The interface's name, where the file or the host says it.
    pub interface_name: Option<String>,
    /// Its streams.
    pub streams: Vec<u32>,
    /// Where it was taken: an interface's id, or a node's where the file mixes interfaces.
    pub at: Option<Id>,
    /// The node or pod.
    pub owner: Option<Id>,
    /// How sure.
    pub p: f64,
    /// Why.
    pub ev: Vec<Ev>,
    /// The pod whose link it is on.
    pub link: Option<Id>,
    /// How sure that is; at which of the link's two ends is `p`'s to say.
    pub link_p: f64,
    /// Where each stream was seen, for captures that mix interfaces (SLL).
    pub stream_at: BTreeMap<u32, Id>,
}

impl Point {
    /// The node that its capture ran on, whose clock it has: a pod's link is on its node.
    #[must_use]
    pub fn host<'a>(&'a self, inv: &'a Inventory) -> Option<&'a Id> {
        match self.link.as_ref().and_then(|l| inv.pods.get(l)) {
            Some(pod) => pod.node.as_ref(),
            None => self.owner.as_ref(),
        }
    }
}

/// A place that a capture may have been taken at.
#[derive(Clone, Debug)]
struct Candidate {
    interface: Id,
    owner: Id,
    /// What the interface is called.
    name: String,
    odds: f64,
    /// How sure it is that there is such a place at all.
    trust: f64,
    ev: Vec<Ev>,
    /// For the two ends of a pod's link: the pod, and whether it is the pod's end.
    link: Option<(Id, bool)>,
}

/// Places every capture, and enters what that proves about MACs and addresses into `inv`.
pub fn place(captures: &[Capture<'_>], inv: &mut Inventory, book: &mut Book) -> Vec<Point> {
    let mut points = points_of(captures);
    unlisted::retire(captures, inv, book);
    let mut samples = Samples::default();
    unlisted::glean(captures, &points, inv, &mut samples, book);
    learn_interface_names(captures, &points, inv, book);
    let mut candidates: Vec<Vec<Candidate>> = points.iter().map(|p| candidates(captures, p, inv, book)).collect();
    by_index(captures, &mut points, &mut candidates, inv, book);
    name_links(captures, &points, &mut candidates, inv, book);
    by_name(captures, &points, &mut candidates, inv, book);
    silent_by_name(captures, &points, &mut candidates, inv);
    by_company(captures, &points, &mut candidates, inv, &mut samples, book);
    by_answers(captures, &points, &mut candidates, inv, book);
    by_time(captures, &points, &mut candidates, inv, &mut samples, book);
    by_time_at_others(captures, &points, &mut candidates, inv, &mut samples, book);
    for (point, candidates) in points.iter_mut().zip(&candidates) {
        choose(point, candidates);
    }
    corrections(captures, &mut points, inv, book);
    learn_addresses(captures, &points, inv, book);
    for point in &mut points {
        split_cooked(captures, point, inv);
    }
    points
}

fn points_of(captures: &[Capture<'_>]) -> Vec<Point> {
    let mut points: BTreeMap<(usize, u32, Option<u32>), Point> = BTreeMap::new();
    for (n, c) in captures.iter().enumerate() {
        let with_index: BTreeSet<u32> = order::set(c.digest.streams.iter().filter(|s| s.key.ifindex.is_some()).map(|s| s.key.interface));
        for i in &c.digest.interfaces {
            // An interface without any packet is a point too: its silence may be evidence.
            if !with_index.contains(&i.index) {
                points.entry((n, i.index, None)).or_default();
            }
        }
        for (id, s) in c.digest.streams.iter().enumerate() {
            let p = points.entry((n, s.key.interface, s.key.ifindex)).or_default();
            p.streams.push(u32::try_from(id).unwrap_or(u32::MAX));
        }
    }
    let fill = |((capture, interface, ifindex), mut p): ((usize, u32, Option<u32>), Point)| {
        (p.capture, p.interface, p.ifindex) = (capture, interface, ifindex);
        let info = captures.get(capture).and_then(|c| c.digest.interfaces.iter().find(|i| i.index == interface));
        // `any` is a device that collects from all others: the name of no interface.
        p.interface_name = match ifindex {
            Some(index) => Some(index.to_string()),
            None => info.and_then(|i| i.name.clone()).filter(|n| n != "any"),
        };
        p
    };
    points.into_iter().map(fill).collect()
}

/// The streams of a point.
pub fn streams<'a>(captures: &[Capture<'a>], point: &'a Point) -> impl Iterator<Item = (u32, &'a Stream)> + use<'a> {
    let digest = captures.get(point.capture).map(|c| c.digest);
    point.streams.iter().filter_map(move |id| Some((*id, digest?.streams.get(*id as usize)?)))
}

/// The first frame of a point.
#[must_use]
pub fn first_frame(captures: &[Capture<'_>], point: &Point) -> Option<Place> {
    let row = streams(captures, point).map(|s| s.1.first_row).min()?;
    Some(Place::frame(captures.get(point.capture)?.input, row))
}

/// What one point saw, summed up for placing it.
#[derive(Default)]
struct Seen {
    /// Unicast frames with both MACs.
    frames: u64,
    /// MAC → frames that it sent or got, and the first such row.
    macs: BTreeMap<Mac, (u64, u32)>,
    /// MAC → addresses that it sent for.
    sent_by: BTreeMap<Mac, BTreeSet<IpAddr>>,
    /// IP frames.
    ip_frames: u64,
    /// Address → (frames from or to it, first row).
    ips: BTreeMap<IpAddr, (u64, u32)>,
    /// Address → MACs that it was seen behind.
    macs_of: BTreeMap<IpAddr, BTreeSet<Mac>>,
    /// Address → (sent with an initial TTL, sent with another), in packets.
    sent_ttl: BTreeMap<IpAddr, (u64, u64)>,
    /// Address → the same for what it got.
    got_ttl: BTreeMap<IpAddr, (u64, u64)>,
    /// Directions that the capture states: address → (arrived from it, left to it).
    came_in: BTreeMap<IpAddr, u64>,
    went_out: BTreeMap<IpAddr, u64>,
    /// Source MACs of frames that left, with the first row.
    out_macs: BTreeMap<Mac, (u64, u32)>,
    out_frames: u64,
    in_frames: u64,
    /// Under one VLAN tag: (MAC that sent or got it, VLAN) → frames, first row.
    tagged: BTreeMap<(Mac, u16), (u64, u32)>,
}

fn see(captures: &[Capture<'_>], point: &Point) -> Seen {
    see_those(captures, point, |_| true)
}

/// As [`see`], but for what a bridge flooded: it sends frames for a MAC that it does not know to all its ports (IEEE 802.1Q §8.8.10), so
/// at another's port they go to a pod that never sends there. What is left must be some pod's, both ways.
fn see_own(captures: &[Capture<'_>], point: &Point, inv: &Inventory) -> Seen {
    let bridged: BTreeSet<IpAddr> = order::set(inv.pods.values().filter(|p| p.bridge.is_some()).flat_map(|p| &p.ips).copied());
    if bridged.is_empty() {
        return see(captures, point);
    }
    let here = || streams(captures, point).map(|s| s.1);
    let senders: BTreeSet<Mac> = order::set(here().filter_map(|s| s.key.src_mac));
    let is_flooded = |s: &Stream| {
        let to = s.key.dst_mac.filter(|m| m.is_unicast());
        let is_bridged = s.key.tunnels.is_empty() && s.key.flow.is_some_and(|f| bridged.contains(&f.dst));
        is_bridged && to.is_some_and(|m| !senders.contains(&m))
    };
    let answers = here().any(|s| !is_flooded(s) && s.key.flow.is_some_and(|f| bridged.contains(&f.src)));
    if answers { see_those(captures, point, |s| !is_flooded(s)) } else { see(captures, point) }
}

fn see_those(captures: &[Capture<'_>], point: &Point, is_counted: impl Fn(&Stream) -> bool) -> Seen {
    let mut seen = Seen::default();
    for (_, s) in streams(captures, point).filter(|(_, s)| is_counted(s)) {
        let n = u64::from(s.packets);
        let StreamKey { src_mac, dst_mac, direction, flow, ttl, tunnels, vlans, .. } = &s.key;
        let usable = |m: &Option<Mac>| m.filter(|m| m.is_unicast());
        if let (Some(src), Some(dst)) = (usable(src_mac), usable(dst_mac)) {
            seen.frames += n;
            for m in order::set([src, dst].into_iter()) {
                let e = seen.macs.entry(m).or_insert((0, s.first_row));
                e.0 += n;
                e.1 = e.1.min(s.first_row);
                if let [vlan] = vlans[..] {
                    let e = seen.tagged.entry((m, vlan)).or_insert((0, s.first_row));
                    *e = (e.0 + n, e.1.min(s.first_row));
                }
            }
        }
        match direction {
            Some(Direction::Out) => {
                seen.out_frames += n;
                if let Some(m) = usable(src_mac) {
                    seen.out_macs.entry(m).or_insert((0, s.first_row)).0 += n;
                }
            }
            Some(Direction::In) => seen.in_frames += n,
            None => {}
        }
        // Around a tunnel the outer addresses belong to this interface; the inner ones travel inside.
        let (src, dst, ttl) = match (tunnels.first(), flow) {
            (Some(t), _) => (t.src, t.dst, t.ttl),
            (None, Some(f)) => (f.src, f.dst, *ttl),
            (None, None) => continue,
        };
        if is_special(src) || is_special(dst) {
            continue;
        }
        seen.ip_frames += n;
        for ip in order::set([src, dst].into_iter()) {
            let e = seen.ips.entry(ip).or_insert((0, s.first_row));
            e.0 += n;
            e.1 = e.1.min(s.first_row);
        }
        if let Some(m) = usable(src_mac) {
            seen.sent_by.entry(m).or_default().insert(src);
            seen.macs_of.entry(src).or_default().insert(m);
        }
        if let Some(m) = usable(dst_mac) {
            seen.macs_of.entry(dst).or_default().insert(m);
        }
        let initial = INITIAL_TTLS.contains(&ttl);
        let count = |e: &mut (u64, u64)| if initial { e.0 += n } else { e.1 += n };
        // 0: a printed capture that does not tell.
        if ttl != 0 {
            count(seen.sent_ttl.entry(src).or_default());
            count(seen.got_ttl.entry(dst).or_default());
        }
        match direction {
            Some(Direction::In) => *seen.came_in.entry(src).or_default() += n,
            Some(Direction::Out) => *seen.went_out.entry(dst).or_default() += n,
            None => {}
        }
    }
    seen
}

/// A capture program that wrote an interface's name beside frames with an ENI's MAC has named that ENI's interface.
fn learn_interface_names(captures: &[Capture<'_>], points: &[Point], inv: &mut Inventory, book: &mut Book) {
    for point in points.iter().filter(|p| p.ifindex.is_none()) {
        let (Some(name), Some(capture)) = (&point.interface_name, captures.get(point.capture)) else { continue };
        let seen = see(captures, point);
        let own: Vec<(&Mac, u32)> = seen.macs.iter().filter(|(_, (n, _))| *n == seen.frames).map(|(m, (_, row))| (m, *row)).collect();
        let [(mac, row)] = own.as_slice() else { continue };
        let Some(owner) = inv.owner_of_mac(**mac).map(|c| c.owner.clone()) else { continue };
        let is_eni = inv.eni_of_mac(**mac).is_some_and(|e| e.owner == owner && inv.nodes.contains_key(&owner));
        if is_eni && !inv.names_by_mac.contains_key(&(owner.clone(), **mac)) {
            let ev = book.add(
                "interface_name",
                format!("the capture calls the interface with {mac} {name}"),
                vec![Place::frame(capture.input, *row)],
            );
            inv.names_by_mac.insert((owner.clone(), **mac), (name.clone(), ev));
            let interface = interface_id(&owner, name);
            for c in inv.by_mac.get_mut(*mac).into_iter().flatten().filter(|c| c.owner == owner) {
                c.interface = Some(interface.clone());
            }
        }
    }
}

fn candidates(captures: &[Capture<'_>], point: &Point, inv: &Inventory, book: &mut Book) -> Vec<Candidate> {
    let Some(capture) = captures.get(point.capture) else { return Vec::new() };
    let seen = see_own(captures, point, inv);
    let mut found: Vec<Candidate> = Vec::new();
    // Interfaces whose own address is in every frame.
    let everywhere: Vec<(Mac, u32)> = if seen.frames > 0 {
        seen.macs.iter().filter(|(_, (n, _))| *n == seen.frames).map(|(m, (_, row))| (*m, *row)).collect()
    } else {
        // Cooked captures have no destination MAC: what left did so under the interface's own.
        seen.out_macs.iter().filter(|(_, (n, _))| *n == seen.out_frames).map(|(m, (_, row))| (*m, *row)).collect()
    };
    for (mac, row) in &everywhere {
        let Some(claim) = inv.owner_of_mac(*mac) else { continue };
        // A branch ENI's frames have its VLAN tag on its node's trunk ENI, and none on its own device.
        let is_branch = |e: &&EniInfo| e.vlan.is_some_and(|v| seen.tagged.get(&(*mac, v)).is_some_and(|n| n.0 == seen.frames));
        let trunk = inv.eni_of_mac(*mac).filter(is_branch).and_then(|e| inv.trunk_of(&e.owner));
        let trunk = trunk.map(|t| interface_id(&t.owner, &inv.eni_name(t)));
        let Some(interface) = trunk.as_ref().or(claim.interface.as_ref()) else { continue };
        let rivals = everywhere.iter().filter(|(m, _)| inv.owner_of_mac(*m).is_some_and(|c| c.interface.is_some())).count();
        let is_elsewhere = |m: &Mac| forwards_unseen(&seen, *m, inv);
        let odds = match rivals {
            ..=1 => weight::OWN_MAC_IN_EVERY_FRAME,
            2 if !is_elsewhere(mac) && everywhere.iter().any(|(m, _)| m != mac && is_elsewhere(m)) => weight::OTHER_FORWARDS_ELSEWHERE,
            _ => weight::SHARED_MAC_IN_EVERY_FRAME,
        };
        let frames = if seen.frames > 0 { seen.frames } else { seen.out_frames };
        let how = if seen.frames > 0 { "carry" } else { "left under" };
        let mut places = vec![Place::frame(capture.input, *row)];
        claim.ev.iter().for_each(|e| places.extend(book.sources(*e)));
        let ev = book.add("own_mac", format!("all {frames} unicast frames {how} {mac}, the address of {}", short(interface)), places);
        let name = interface.rsplit('/').next().unwrap_or_default().to_owned();
        let pod = inv.pods.values().find(|p| p.id == claim.owner || (p.node.as_ref() == Some(&claim.owner) && p.veth == name));
        let link = pod.map(|p| (p.id.clone(), p.id == claim.owner));
        // The two ends of a pod's link see the same frames: an address of one end places a capture on the link, not at that end.
        if let Some(pod) = pod.filter(|_| seen.frames > 0) {
            let at_pod = (pod.id.clone(), "eth0".to_owned(), true);
            let at_node = pod.node.clone().map(|node| (node, pod.veth.clone(), false));
            for (owner, name, is_pod) in [Some(at_pod), at_node].into_iter().flatten() {
                let link = Some((pod.id.clone(), is_pod));
                let trust = claim.p;
                push(&mut found, Candidate { interface: interface_id(&owner, &name), owner, name, odds, trust, ev: vec![ev], link });
            }
            continue;
        }
        // Who is at the other end of a host's link may be unknown, yet the capture may be from there.
        let other = everywhere.iter().map(|x| x.0).find(|m| m != mac && inv.owner_of_mac(*m).is_none());
        if let Some(other) = other.filter(|_| veth_word(&name).is_some() && inv.nodes.contains_key(&claim.owner)) {
            let guest = format!("unknown:{other}");
            let (interface, name) = (format!("if:{other}"), other.to_string());
            found.push(Candidate {
                interface,
                owner: guest,
                name,
                odds: odds / weight::PRIOR_NODE_SIDE,
                trust: claim.p,
                ev: vec![ev],
                link: None,
            });
        }
        found.push(Candidate { interface: interface.clone(), owner: claim.owner.clone(), name, odds, trust: claim.p, ev: vec![ev], link });
    }
    trunks(capture, &seen, inv, book, &mut found);
    pod_links(capture, &seen, inv, book, &mut found);
    bare_tunnels(capture, point, &seen, inv, book, &mut found);
    // A pod's address in every packet, yet no packet fresh from it: the wire of its node, most likely.
    if found.iter().all(|c| c.odds < weight::place::NOT_ITS_LINK) {
        strangers(capture, &seen, &everywhere, inv, book, &mut found);
    }
    found
}

/// Whether all that an ENI sends for its node's pods has a TTL that a sender starts with: its node takes one of each that it forwards,
/// so this was not captured at that ENI.
fn forwards_unseen(seen: &Seen, mac: Mac, inv: &Inventory) -> bool {
    let Some(node) = inv.owner_of_mac(mac).map(|c| &c.owner).filter(|o| inv.nodes.contains_key(*o)) else { return false };
    let pods = seen.sent_by.get(&mac).into_iter().flatten().filter(|ip| {
        let pod = inv.owner_of_ip(**ip).and_then(|c| inv.pods.get(&c.owner));
        pod.is_some_and(|p| !p.host_network && p.node.as_ref() == Some(node))
    });
    let sent = sum(pods.filter_map(|ip| seen.sent_ttl.get(ip)));
    sent.0 > 0 && sent.1 == 0
}

/// The wire of a node's trunk ENI: every frame is of that ENI itself, or of one of the node's branch ENIs under its VLAN tag.
fn trunks(capture: &Capture<'_>, seen: &Seen, inv: &Inventory, book: &mut Book, found: &mut Vec<Candidate>) {
    let mut by_node: BTreeMap<&Id, (u64, u64, u32)> = BTreeMap::new();
    for ((mac, vlan), (frames, row)) in &seen.tagged {
        let Some(branch) = inv.eni_of_mac(*mac).filter(|e| e.vlan == Some(*vlan)) else { continue };
        let sum = by_node.entry(&branch.owner).or_insert((0, 0, *row));
        *sum = (sum.0 + frames, sum.1 + 1, sum.2.min(*row));
    }
    for (node, (tagged, branches, row)) in by_node {
        let Some(trunk) = inv.trunk_of(node) else { continue };
        let own = trunk.mac.and_then(|m| seen.macs.get(&m)).map_or(0, |x| x.0);
        // Of one branch alone, its address in every frame says it already.
        if tagged + own < seen.frames || (branches == 1 && own == 0) {
            continue;
        }
        let mut places = vec![Place::frame(capture.input, row)];
        trunk.ev.iter().for_each(|e| places.extend(book.sources(*e)));
        let statement =
            format!("{tagged} frames carry addresses and VLANs of {branches} branch ENIs of {}, and all others its trunk's", short(node));
        let ev = book.add("trunk", statement, places);
        let name = inv.eni_name(trunk);
        let interface = interface_id(node, &name);
        push(
            found,
            Candidate { interface, owner: node.clone(), name, odds: weight::OWN_MAC_IN_EVERY_FRAME, trust: 1.0, ev: vec![ev], link: None },
        );
    }
}

/// Pods whose address is in every packet, always behind one MAC: the capture is on the pod's link, at one of its two ends.
fn pod_links(capture: &Capture<'_>, seen: &Seen, inv: &Inventory, book: &mut Book, found: &mut Vec<Candidate>) {
    for pod in inv.pods.values().filter(|p| !p.host_network) {
        let frames: u64 = pod.ips.iter().filter_map(|ip| seen.ips.get(ip)).map(|x| x.0).sum();
        // A packet between two addresses of the same pod counts twice; it never leaves the pod.
        if frames == 0 || frames < seen.ip_frames {
            continue;
        }
        let Some((ip, row)) = pod.ips.iter().find_map(|ip| Some((*ip, seen.ips.get(ip)?.1))) else { continue };
        let one_mac = pod.ips.iter().all(|ip| seen.macs_of.get(ip).is_none_or(|m| m.len() <= 1));
        if !one_mac {
            continue;
        }
        // A MAC that is known as somebody else's can't be the pod's.
        let pod_mac = seen.macs_of.get(&ip).and_then(|m| m.first()).copied();
        let foreign = |m: &Mac| inv.owner_of_mac(*m).is_some_and(|c| c.owner != pod.id && c.p > weight::needed::SURE);
        if pod_mac.as_ref().is_some_and(foreign) {
            continue;
        }
        let mut odds = weight::POD_IP_IN_EVERY_FRAME;
        let sent: (u64, u64) = sum(pod.ips.iter().filter_map(|ip| seen.sent_ttl.get(ip)));
        let got: (u64, u64) = sum(pod.ips.iter().filter_map(|ip| seen.got_ttl.get(ip)));
        let mut why = String::new();
        if sent.0 > 0 && sent.1 == 0 {
            if got.1 > 0 {
                odds *= weight::TTL_STARTS_HERE;
                why = ", and only what it sends has a TTL that a sender starts with".to_owned();
            }
        } else if sent.1 > 0 {
            odds *= if sent.0 > 0 { weight::TTL_STARTS_ELSEWHERE } else { weight::NO_TTL_STARTS_HERE };
        }
        let mut places = vec![Place::frame(capture.input, row)];
        pod.ev.iter().for_each(|e| places.extend(book.sources(*e)));
        let statement = format!("all {} packets are from or to {ip}, the address of {}{why}", seen.ip_frames, short(&pod.id));
        let ev = book.add("pod_link", statement, places);
        let came: u64 = pod.ips.iter().filter_map(|ip| seen.came_in.get(ip)).sum();
        let went: u64 = pod.ips.iter().filter_map(|ip| seen.went_out.get(ip)).sum();
        // Where the capture states directions: at the node's end the pod's packets come in, at the pod's end they go out.
        let trust = inv.owner_of_ip(ip).map_or(1.0, |c| c.p);
        let (mut node_odds, mut pod_odds) = (odds * weight::PRIOR_NODE_SIDE, odds);
        if seen.in_frames + seen.out_frames > 0 {
            let node_side = came + went > 0;
            // By an ENI a node sends to pods that are elsewhere, and for its own; only on the link is what the pod sends fresh.
            let weight = if sent.0 > 0 && sent.1 == 0 { weight::INTERFACE_INDEX } else { 1.0 };
            let (up, down) = (weight, 1.0 / weight);
            node_odds *= if node_side { up } else { down };
            pod_odds *= if node_side { down } else { up };
        }
        if let Some((node, bridge)) = pod.node.as_ref().zip(pod.bridge.as_ref()) {
            // What one pod sends and gets beyond its bridge crosses the bridge's own device too.
            let (name, owner, interface) = (bridge.clone(), node.clone(), interface_id(node, bridge));
            push(found, Candidate { interface, owner, name, odds: node_odds * weight::PRIOR_BRIDGE, trust, ev: vec![ev], link: None });
        }
        if let Some(node) = &pod.node {
            let name = pod.veth.clone();
            let interface = interface_id(node, &name);
            push(
                found,
                Candidate {
                    interface,
                    owner: node.clone(),
                    name,
                    odds: node_odds,
                    trust,
                    ev: vec![ev],
                    link: Some((pod.id.clone(), false)),
                },
            );
        }
        let interface = interface_id(&pod.id, "eth0");
        push(
            found,
            Candidate {
                interface,
                owner: pod.id.clone(),
                name: "eth0".to_owned(),
                odds: pod_odds,
                trust,
                ev: vec![ev],
                link: Some((pod.id.clone(), true)),
            },
        );
    }
}

/// Tunnel devices whose packets have no link layer (`tunl0`): one end of every packet is behind the device, the other one of its node's
/// pods. Both nodes' devices show the same.
fn bare_tunnels(capture: &Capture<'_>, point: &Point, seen: &Seen, inv: &Inventory, book: &mut Book, found: &mut Vec<Candidate>) {
    let info = capture.digest.interfaces.iter().find(|i| i.index == point.interface);
    let is_bare = |l: LinkType| matches!(l, LinkType::RAW | LinkType::IPV4 | LinkType::IPV6);
    if seen.ip_frames == 0 || !info.and_then(|i| i.link_type).is_some_and(is_bare) {
        return;
    }
    // What `tcpdump` printed has no link layer either, unless it was asked to: no capture file has that layout.
    if capture.digest.layout != FileLayout::default() {
        found.iter_mut().for_each(|c| c.odds /= weight::NO_LINK_LAYER);
    }
    for (node, tables) in &inv.tables {
        let is_own = |ip: IpAddr| {
            inv.owner_of_ip(ip).is_some_and(|c| &c.owner == node || inv.pods.get(&c.owner).and_then(|p| p.node.as_ref()) == Some(node))
        };
        let mut ends = seen.ips.iter();
        let Some((dev, ev)) = ends.clone().find_map(|(ip, _)| tables.bare_tunnel_to(*ip).filter(|_| !is_own(*ip))) else { continue };
        if !ends.all(|(ip, _)| is_own(*ip) || tables.bare_tunnel_to(*ip).is_some_and(|t| t.0 == dev)) {
            continue;
        }
        let Some(row) = seen.ips.values().map(|x| x.1).min() else { continue };
        let mut places = vec![Place::frame(capture.input, row)];
        places.extend(book.sources(ev));
        let statement = format!("no packet has a link layer, and all are between pods of {} and what it sends by {dev}", short(node));
        let ev = book.add("tunnel_device", statement, places);
        let (interface, owner, name) = (interface_id(node, dev), node.clone(), dev.to_owned());
        push(found, Candidate { interface, owner, name, odds: weight::OWN_MAC_IN_EVERY_FRAME, trust: 1.0, ev: vec![ev], link: None });
    }
}

/// No inventory explains the MACs: the interface is named after the address that is in every frame.
fn strangers(capture: &Capture<'_>, seen: &Seen, everywhere: &[(Mac, u32)], inv: &Inventory, book: &mut Book, found: &mut Vec<Candidate>) {
    let sends_fresh = |m: &Mac| {
        let ips = seen.sent_by.get(m).into_iter().flatten();
        let ttl = sum(ips.filter_map(|ip| seen.sent_ttl.get(ip)));
        ttl.0 > 0 && ttl.1 == 0
    };
    let fresh: Vec<_> = everywhere.iter().filter(|(m, _)| sends_fresh(m)).collect();
    let chosen = match (everywhere, fresh.as_slice()) {
        ([only], _) => Some((only, weight::place::ONLY_STRANGER)),
        (_, [only]) => Some((*only, weight::place::FRESH_STRANGER)),
        // Both ends speak for hosts behind them. Whoever asks by ARP is a host; a VPC router never does. Else either may be it.
        _ => {
            let asks = |m: &Mac| capture.digest.arps.iter().any(|a| a.operation == 1 && a.sender_mac == *m);
            let asking = everywhere.iter().find(|(m, _)| asks(m)).map(|x| (x, weight::place::ASKING_STRANGER));
            asking.or_else(|| everywhere.first().map(|x| (x, 1.0)))
        }
    };
    let Some(((mac, row), odds)) = chosen else { return };
    if inv.owner_of_mac(*mac).is_some() {
        return;
    }
    let ev = book.add("own_mac", format!("{mac} is in every unicast frame"), vec![Place::frame(capture.input, *row)]);
    let ips = seen.sent_by.get(mac).cloned().unwrap_or_default();
    // One address behind it: the host is whoever has that address.
    let owner = match (ips.len(), ips.first()) {
        (1, Some(ip)) => inv.owner_of_ip(*ip).map(|c| c.owner.clone()),
        _ => None,
    };
    let owner = owner.filter(|o| o.starts_with("node:") || o.starts_with("instance:") || o.starts_with("pod:"));
    let owner = owner.unwrap_or_else(|| format!("host:{mac}"));
    found.push(Candidate { interface: format!("if:{mac}"), owner, name: mac.to_string(), odds, trust: 1.0, ev: vec![ev], link: None });
}

fn sum<'a>(pairs: impl Iterator<Item = &'a (u64, u64)>) -> (u64, u64) {
    pairs.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
}

fn push(found: &mut Vec<Candidate>, new: Candidate) {
    match found.iter_mut().find(|c| c.interface == new.interface) {
        Some(known) => {
            known.odds *= new.odds;
            known.trust = known.trust.max(new.trust);
            known.ev.extend(new.ev);
            known.link = known.link.take().or(new.link);
        }
        None => found.push(new),
    }
}

/// SLL2's interface indexes, read with `ip link` of the host that the file's other interfaces show.
fn by_index(captures: &[Capture<'_>], points: &mut [Point], candidates: &mut [Vec<Candidate>], inv: &Inventory, book: &mut Book) {
    let mut hosts: BTreeMap<usize, BTreeMap<Id, f64>> = BTreeMap::new();
    for (p, c) in points.iter().zip(candidates.iter()).filter(|(p, _)| p.ifindex.is_some()) {
        if let Some(best) = best(c) {
            *hosts.entry(p.capture).or_default().entry(best.owner.clone()).or_default() += best.odds.min(weight::place::MOST_OF_ONE).ln();
        }
    }
    for (p, c) in points.iter_mut().zip(candidates.iter_mut()) {
        let Some(index) = p.ifindex else { continue };
        let Some(votes) = hosts.get(&p.capture) else { continue };
        let Some((owner, _)) = votes.iter().max_by(|a, b| a.1.total_cmp(b.1).then_with(|| b.0.cmp(a.0))) else { continue };
        for x in c.iter_mut().filter(|x| &x.owner == owner) {
            x.odds *= weight::place::SAME_FILE;
        }
        let Some((name, ev)) = inv.names_by_index.get(&(owner.clone(), index)) else { continue };
        let Some(first) = first_frame(captures, p) else { continue };
        let mut places = vec![first];
        places.extend(book.sources(*ev));
        let ev = book.add("interface_index", format!("interface {index} of {} is {name}", short(owner)), places);
        let link = inv.pods.values().find(|q| q.node.as_ref() == Some(owner) && &q.veth == name).map(|q| (q.id.clone(), false));
        let interface = interface_id(owner, name);
        for x in c.iter_mut().filter(|x| x.interface != interface) {
            x.odds /= weight::INTERFACE_INDEX;
        }
        push(
            c,
            Candidate {
                interface,
                owner: owner.clone(),
                name: name.clone(),
                odds: weight::INTERFACE_INDEX,
                trust: 1.0,
                ev: vec![ev],
                link,
            },
        );
    }
}

/// A host side's name that the CNI would not have computed: written by the capture program, or in the file's name.
fn name_links(captures: &[Capture<'_>], points: &[Point], candidates: &mut [Vec<Candidate>], inv: &mut Inventory, book: &mut Book) {
    let known: BTreeSet<String> = order::set(inv.pods.values().map(|p| p.veth.clone()));
    let mut named: Vec<(Id, String, Ev)> = Vec::new();
    for (p, found) in points.iter().zip(candidates.iter()) {
        let Some((pod, _)) = best(found).and_then(|c| c.link.clone()) else { continue };
        let (Some(capture), None) = (captures.get(p.capture), p.ifindex) else { continue };
        let Some(place) = first_frame(captures, p).map(|first| vec![first]) else { continue };
        if let Some(name) = p.interface_name.as_ref().filter(|n| *n != "eth0" && !known.contains(*n)) {
            named.push((pod, name.clone(), book.add("interface_name", format!("the capture file names the interface {name}"), place)));
        } else if let Some(name) = p.interface_name.is_none().then(|| veth_word(capture.name)).flatten().filter(|n| !known.contains(n)) {
            let ev = book.add("file_name", format!("the file's name has an interface {name}"), place);
            named.push((pod, name, ev));
        }
    }
    for (pod, name, ev) in named {
        inv.name_link(&pod, &name, ev);
        let Some(node) = inv.pods.get(&pod).and_then(|p| p.node.clone()) else { continue };
        for c in candidates.iter_mut().flatten().filter(|c| c.link.as_ref() == Some(&(pod.clone(), false))) {
            c.interface = interface_id(&node, &name);
            c.name.clone_from(&name);
            c.ev.push(ev);
        }
    }
}

/// A word of a file's name that is a host side's name: `eni` or `vlan` and eleven hexadecimal digits (the CNI's), or `veth…`, `cali…`.
fn veth_word(file: &str) -> Option<String> {
    let last = file.rsplit('/').next().unwrap_or(file);
    let mut words = last.split(|c: char| !c.is_ascii_alphanumeric());
    let fits = |w: &&str| {
        let rest = ["eni", "vlan", "veth", "cali"].iter().find_map(|p| w.strip_prefix(p));
        rest.is_some_and(|r| r.len() >= 8 && r.chars().all(|c| c.is_ascii_hexdigit()))
    };
    words.find(fits).map(str::to_owned)
}

/// A capture without a packet has nothing but its name to place it by.
fn silent_by_name(captures: &[Capture<'_>], points: &[Point], candidates: &mut [Vec<Candidate>], inv: &Inventory) {
    for (p, found) in points.iter().zip(candidates.iter_mut()) {
        let Some(capture) = captures.get(p.capture).filter(|_| p.streams.is_empty() && found.is_empty()) else { continue };
        let file = capture.name.to_lowercase();
        let mut all: Vec<Candidate> = Vec::new();
        let mut add = |interface: Id, owner: &Id, name: String, ev: &[Ev], link| {
            all.push(Candidate { interface, owner: owner.clone(), name, odds: 1.0, trust: 1.0, ev: ev.to_vec(), link });
        };
        for pod in inv.pods.values().filter(|p| !p.host_network) {
            add(interface_id(&pod.id, "eth0"), &pod.id, "eth0".to_owned(), &pod.ev, Some((pod.id.clone(), true)));
            if let Some(node) = &pod.node {
                add(interface_id(node, &pod.veth), node, pod.veth.clone(), &pod.ev, Some((pod.id.clone(), false)));
            }
        }
        for e in inv.enis.values().filter(|e| inv.nodes.contains_key(&e.owner)) {
            let name = inv.eni_name(e);
            add(interface_id(&e.owner, &name), &e.owner, name, &e.ev, None);
        }
        if let Some(name) = &p.interface_name {
            all.retain(|c| &c.name == name);
        }
        let says = |c: &Candidate| file_name_says(&file, c, inv);
        let most = all.iter().map(says).max().unwrap_or(0);
        // An interface's name alone, such as eth0, says nothing: every host has one.
        all.retain(|c| says(c) == most && most >= 2);
        for c in &mut all {
            c.odds = weight::FILE_NAME;
        }
        *found = all;
    }
}

/// A capture without a packet or a telling name may still have one place left: the only interface, of the hosts that were
/// looked at, that no conversation crosses. `crossed` holds the interfaces of all traced hops.
pub fn by_elimination(points: &mut [Point], crossed: &BTreeSet<Id>, inv: &Inventory, book: &mut Book) {
    use weight::place::{SILENT_LINK as LINK, SILENT_STRANGER as STRANGER};
    let mut hosts: BTreeSet<Id> = order::set(inv.hosts.iter().filter_map(|h| h.owner.as_ref()).map(|o| o.0.clone()));
    for p in points.iter() {
        let pod = p.owner.as_ref().and_then(|o| inv.pods.get(o));
        hosts.extend(pod.and_then(|p| p.node.clone()).or_else(|| p.owner.clone()));
    }
    let taken: BTreeSet<Id> = order::set(points.iter().filter_map(|p| p.at.clone()));
    let silent: Vec<usize> = (0..points.len()).filter(|n| points.get(*n).is_some_and(|p| p.at.is_none() && p.streams.is_empty())).collect();
    let mut found: Vec<(f64, Id, Id, Vec<Ev>)> = Vec::new();
    for e in inv.enis.values().filter(|e| inv.nodes.contains_key(&e.owner)) {
        let w = if hosts.contains(&e.owner) { 1.0 } else { STRANGER };
        found.push((w, interface_id(&e.owner, &inv.eni_name(e)), e.owner.clone(), e.ev.clone()));
    }
    for pod in inv.pods.values().filter(|p| !p.host_network && p.node.as_ref().is_some_and(|n| hosts.contains(n))) {
        let node = pod.node.clone().unwrap_or_default();
        found.push((LINK, interface_id(&node, &pod.veth), node, pod.ev.clone()));
        found.push((LINK, interface_id(&pod.id, "eth0"), pod.id.clone(), pod.ev.clone()));
    }
    found.retain(|(_, interface, ..)| !crossed.contains(interface) && !taken.contains(interface));
    let all: f64 = found.iter().map(|f| f.0).sum();
    for n in silent.iter().copied() {
        let Some(point) = points.get_mut(n) else { continue };
        let fits = |i: &Id| point.interface_name.as_ref().is_none_or(|name| i.ends_with(&format!("/{name}")));
        let named: f64 = found.iter().filter(|f| fits(&f.1)).map(|f| f.0).sum();
        let Some((w, interface, owner, ev)) =
            found.iter().filter(|f| fits(&f.1)).max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(&a.1)))
        else {
            continue;
        };
        // Several silent captures share the silent interfaces among them: each is as likely as any other.
        let p = w / if point.interface_name.is_some() { named } else { all };
        if p < weight::needed::LIKELY || silent.len() > 1 {
            continue;
        }
        let places: Vec<Place> = ev.iter().flat_map(|e| book.sources(*e)).collect();
        if places.is_empty() {
            continue;
        }
        let statement = format!(
            "nothing was captured, and {} is the interface of the captured hosts that no conversation here crosses",
            short(interface)
        );
        point.ev = vec![book.add("elimination", statement, places)];
        (point.at, point.owner, point.p) = (Some(interface.clone()), Some(owner.clone()), weight::round(weight::place::ELIMINATED * p));
    }
}

/// Names that the capture program or a person gave.
fn by_name(captures: &[Capture<'_>], points: &[Point], candidates: &mut [Vec<Candidate>], inv: &Inventory, book: &mut Book) {
    for (p, found) in points.iter().zip(candidates.iter_mut()) {
        let Some(capture) = captures.get(p.capture) else { continue };
        let Some(first) = first_frame(captures, p) else { continue };
        if let (Some(name), None) = (&p.interface_name, p.ifindex) {
            if found.iter().any(|c| &c.name == name) {
                let ev = book.add("interface_name", format!("the capture file names the interface {name}"), vec![first]);
                for c in found.iter_mut() {
                    if &c.name == name {
                        c.odds *= weight::INTERFACE_NAME;
                        c.ev.push(ev);
                    } else {
                        c.odds /= weight::INTERFACE_NAME;
                    }
                }
            }
            continue;
        }
        let file = capture.name.to_lowercase();
        let says = |c: &Candidate| file_name_says(&file, c, inv);
        let most = found.iter().map(says).max().unwrap_or(0);
        if most == 0 && p.ifindex.is_none() {
            let last = file.rsplit('/').next().unwrap_or(&file);
            let word = |words: &[&str]| words.iter().any(|w| contains_word(last, w));
            let (pod, node) = (word(&["pod", "container"]), word(&["node", "host", "worker", "veth"]));
            if pod != node {
                for c in found.iter_mut().filter(|c| c.link.as_ref().is_some_and(|l| l.1 == pod)) {
                    c.odds *= weight::FILE_NAME_WORD;
                }
            }
        }
        if most > 0 && p.ifindex.is_none() {
            let short_name = capture.name.rsplit('/').next().unwrap_or(capture.name);
            let ev = book.add("file_name", format!("the file is called {short_name}"), vec![first]);
            for c in found.iter_mut() {
                if file_name_says(&file, c, inv) == most {
                    c.odds *= weight::FILE_NAME;
                    c.ev.push(ev);
                }
            }
        }
    }
}

/// How well a file's name fits a place: 3 the interface's unmistakable name, 2 its pod's or node's name with its interface's, 1 one of both.
fn file_name_says(file: &str, c: &Candidate, inv: &Inventory) -> u8 {
    let has = |word: &str| !word.is_empty() && contains_word(file, &word.to_lowercase());
    let interface = has(&c.name);
    if interface && c.name.len() > 8 {
        return 3;
    }
    // `node1-eth1` names node 1, and says that it is none of its links.
    if !interface && unlisted::eni_word(file).is_some_and(|w| w != c.name) {
        return 0;
    }
    let owner = match inv.pods.get(&c.owner) {
        Some(p) => has(&p.name),
        None => {
            let told = inv.host_words.get(&c.owner);
            has(short(&c.owner).split('.').next().unwrap_or_default()) || told.is_some_and(|words| words.iter().any(|w| has(w)))
        }
    };
    // The other end's name is the stronger hint: `node-enia6653479892` is not the pod's own eth0.
    u8::from(interface) + u8::from(owner)
}

/// Whether `text` contains `word` with no letter or digit of a longer word around it.
fn contains_word(text: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|t| t.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|t| t.chars().next());
        !is_part(before) && !is_part(after)
    })
}

/// A capture of a pod's link: how soon the pod's kernel answers says which end it is of.
fn by_answers(captures: &[Capture<'_>], points: &[Point], candidates: &mut [Vec<Candidate>], inv: &Inventory, book: &mut Book) {
    for (point, candidates) in points.iter().zip(candidates.iter_mut()) {
        let Some(pod) = best(candidates).and_then(|c| inv.pods.get(&c.link.as_ref()?.0)) else { continue };
        let Some(answers) = answers::answers(captures, point, &pod.ips) else { continue };
        let ratio = weight::own_end(answers.least, answers.count);
        if (ratio - 1.0).abs() < f64::EPSILON {
            continue;
        }
        let input = captures.get(point.capture).map_or(0, |c| c.input);
        let (asked, answered) = answers.rows;
        let whose = if ratio > 1.0 { "as soon as at the pod's own end of the link" } else { "as late as at the other end of the link" };
        let statement = format!(
            "of {} answers of the kernel of {} the quickest comes {} µs after what it answers, {whose}",
            answers.count,
            short(&pod.id),
            answers.after / 1000
        );
        let ev = book.add("answer_time", statement, vec![Place::frame(input, asked), Place::frame(input, answered)]);
        for c in candidates.iter_mut() {
            let Some((_, is_own)) = c.link.as_ref().filter(|l| l.0 == pod.id) else { continue };
            // Half of it for each end: together they are as much apart as the ratio says.
            c.odds *= if *is_own { ratio.sqrt() } else { 1.0 / ratio.sqrt() };
            if *is_own == (ratio > 1.0) {
                c.ev.push(ev);
            }
        }
    }
}

/// Two captures of one pod's link: what the pod sends appears first at the pod's end, what it gets last.
fn by_time(
    captures: &[Capture<'_>],
    points: &[Point],
    candidates: &mut [Vec<Candidate>],
    inv: &Inventory,
    samples: &mut Samples,
    book: &mut Book,
) {
    let mut segments: BTreeMap<Segment, Vec<usize>> = BTreeMap::new();
    for (n, (p, c)) in points.iter().zip(candidates.iter()).enumerate() {
        if let Some((pod, _)) = best(c).and_then(|c| c.link.clone()) {
            segments.entry(Segment::Link(pod)).or_default().push(n);
        } else if c.len() > 1 && !p.streams.is_empty() {
            let macs: Vec<Mac> = c.iter().filter_map(|c| own_mac(inv, &c.interface)).collect();
            if let [a, b] = macs[..] {
                segments.entry(Segment::Wire(a.min(b), a.max(b))).or_default().push(n);
            }
        }
    }
    for (segment, on_it) in segments.into_iter().filter(|(_, v)| v.len() > 1) {
        for (i, a) in on_it.iter().enumerate() {
            for b in on_it.iter().skip(i + 1) {
                let Some((x, y)) = samples.pair(captures, points, *a, *b) else { continue };
                let Some((at_a, row_a, row_b)) = owner_at_first(x, y) else { continue };
                let sources = frames_at(captures, points, [(*a, row_a), (*b, row_b)]);
                let statement = format!(
                    "what {at_a} sends appears first in this capture and what it gets last, compared with the other capture of the segment"
                );
                let ev = book.add("time_order", statement, sources);
                let pod_macs: BTreeSet<Mac> = match &segment {
                    Segment::Link(pod) => {
                        order::set(points.get(*a).map(|p| see(captures, p)).into_iter().flat_map(|seen| macs_of_pod(&seen, inv, pod)))
                    }
                    Segment::Wire(..) => BTreeSet::new(),
                };
                for (n, is_a) in [(a, true), (b, false)] {
                    for c in candidates.get_mut(*n).into_iter().flatten() {
                        let fits = match (&segment, &c.link) {
                            (Segment::Link(_), Some((_, end))) => Some(*end == (pod_macs.contains(&at_a) == is_a)),
                            (Segment::Wire(..), None) => own_mac(inv, &c.interface).map(|m| (m == at_a) == is_a),
                            _ => None,
                        };
                        match fits {
                            Some(true) => {
                                c.odds *= weight::TIME_ORDER;
                                c.ev.push(ev);
                            }
                            Some(false) => c.odds /= weight::TIME_ORDER,
                            None => {}
                        }
                    }
                }
            }
        }
    }
}

/// A capture that two known interfaces fit, each of them in every frame, against any other capture that shows packets between the
/// two, though that one may show more: what one of them sends is there first at its own end.
fn by_time_at_others(
    captures: &[Capture<'_>],
    points: &[Point],
    candidates: &mut [Vec<Candidate>],
    inv: &Inventory,
    samples: &mut Samples,
    book: &mut Book,
) {
    let ends = |c: &[Candidate]| -> Option<(Mac, Mac)> {
        let macs: Vec<Mac> = c.iter().filter(|c| c.link.is_none()).filter_map(|c| own_mac(inv, &c.interface)).collect();
        if let [a, b] = macs[..] { Some((a, b)) } else { None }
    };
    let open: Vec<(usize, (Mac, Mac))> = candidates.iter().enumerate().filter_map(|(n, c)| Some((n, ends(c)?))).collect();
    let macs: Vec<BTreeSet<Mac>> = if open.is_empty() {
        Vec::new()
    } else {
        points.iter().map(|p| order::set(streams(captures, p).filter_map(|(_, s)| s.key.src_mac))).collect()
    };
    for (n, (x, y)) in &open {
        for (m, seen) in macs.iter().enumerate() {
            // Two open captures of one wire have been compared already.
            let is_pair = open.iter().any(|(o, e)| *o == m && order::set([e.0, e.1].into_iter()) == order::set([*x, *y].into_iter()));
            if m == *n || is_pair || !seen.contains(x) || !seen.contains(y) {
                continue;
            }
            let Some((a, b)) = samples.pair(captures, points, *n, m) else { continue };
            let Some((here, row_a, row_b)) = owner_at_first(a, b) else { continue };
            let sources = frames_at(captures, points, [(*n, row_a), (m, row_b)]);
            let statement = format!(
                "what {here} sends appears first in this capture and what it gets last, compared with the other capture of the segment"
            );
            let ev = book.add("time_order", statement, sources);
            for c in candidates.get_mut(*n).into_iter().flatten() {
                match own_mac(inv, &c.interface) {
                    Some(mac) if mac == here => {
                        c.odds *= weight::TIME_ORDER;
                        c.ev.push(ev);
                    }
                    Some(mac) if mac == *x || mac == *y => c.odds /= weight::TIME_ORDER,
                    _ => {}
                }
            }
        }
    }
}

/// Links of several pods with one address: the same packet stays in one VPC, and on another pod's link its TTL is lower or higher
/// by one if both pods are on one node, by two or more if a second node forwards between them.
fn by_company(
    captures: &[Capture<'_>],
    points: &[Point],
    candidates: &mut [Vec<Candidate>],
    inv: &Inventory,
    samples: &mut Samples,
    book: &mut Book,
) {
    let node_of = |c: &Candidate| match c.link.as_ref().and_then(|l| inv.pods.get(&l.0)) {
        Some(pod) => pod.node.clone(),
        None => inv.nodes.contains_key(&c.owner).then(|| c.owner.clone()),
    };
    let nodes: Vec<BTreeSet<Id>> = candidates.iter().map(|c| c.iter().filter_map(node_of).collect()).collect();
    let pods = |c: &[Candidate]| order::set(c.iter().filter_map(|c| c.link.as_ref()).map(|l| l.0.clone()));
    let share_address = |ids: BTreeSet<Id>| {
        let mut ips = BTreeSet::new();
        ids.iter().filter_map(|id| inv.pods.get(id)).flat_map(|p| &p.ips).any(|ip| !ips.insert(*ip))
    };
    let open: Vec<usize> = candidates.iter().enumerate().filter(|(_, c)| share_address(pods(c))).map(|x| x.0).collect();
    if open.is_empty() {
        return;
    }
    let known: Vec<(usize, Id)> =
        nodes.iter().enumerate().filter_map(|(n, all)| Some((n, all.first().filter(|_| all.len() == 1)?.clone()))).collect();
    for n in &open {
        for (m, node) in &known {
            let Some((a, b)) = samples.pair(captures, points, *n, *m) else { continue };
            let mut apart: Vec<(u8, u32, u32)> = Vec::new();
            for (ident, x) in a {
                let (Some(x), Some(Some(y))) = (x, b.get(ident)) else { continue };
                if x.ttl != 0 && y.ttl != 0 {
                    apart.push((x.ttl.abs_diff(y.ttl), x.row, y.row));
                }
            }
            apart.sort_unstable();
            let Some((difference, row_a, row_b)) = apart.get(apart.len() / 2).copied() else { continue };
            let is_here = difference <= 1;
            // A node's own ENI and its peer's have the same TTL: of those only the VPC counts.
            let on_link = candidates.get(*m).is_some_and(|c| c.iter().all(|c| c.link.is_some()));
            let sources = frames_at(captures, points, [(*n, row_a), (*m, row_b)]);
            let statement = match (on_link, is_here) {
                (true, true) => format!("its packets are on a link of {} too, one host away", short(node)),
                (true, false) => format!("its packets are on a link of {} too, {difference} hosts away", short(node)),
                (false, _) => format!("its packets are on {} too", short(node)),
            };
            let ev = book.add("same_packet", statement, sources);
            for c in candidates.get_mut(*n).into_iter().flatten().filter(|c| c.link.is_some()) {
                // Whatever is between, packets stay in their VPC.
                let own = node_of(c);
                let vpc = own.as_ref().and_then(|o| inv.vpc_of_node(o));
                let same_vpc = vpc.is_none() || inv.vpc_of_node(node).is_none() || vpc == inv.vpc_of_node(node);
                if !same_vpc || on_link && (own.as_ref() == Some(node)) != is_here {
                    c.odds /= weight::TIME_ORDER;
                } else {
                    c.odds *= weight::TIME_ORDER;
                    c.ev.push(ev);
                }
            }
        }
    }
}

/// A stretch of wire with two ends that captures can't tell apart by their frames.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    /// A pod's link.
    Link(Id),
    /// Two ENIs that talk to one another alone.
    Wire(Mac, Mac),
}

/// The address of an interface that the inventory knows.
fn own_mac(inv: &Inventory, interface: &Id) -> Option<Mac> {
    inv.by_mac.iter().find(|(_, claims)| claims.first().is_some_and(|c| c.interface.as_ref() == Some(interface))).map(|x| *x.0)
}

fn macs_of_pod(seen: &Seen, inv: &Inventory, pod: &str) -> Vec<Mac> {
    let ips = inv.pods.get(pod).map(|p| p.ips.clone()).unwrap_or_default();
    ips.iter().filter_map(|ip| seen.macs_of.get(ip)).flatten().copied().collect()
}

/// Identity → its packet, or none where the identity came twice.
pub(super) type Sample = BTreeMap<u64, Option<Sampled>>;

/// A packet of a [`Sample`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampled {
    pub(super) time: Nanos,
    row: u32,
    /// The sender's MAC.
    mac: Option<Mac>,
    /// The sender's address.
    pub(super) src: Option<IpAddr>,
    ttl: u8,
}

/// The samples of points, each taken once: it is a look at every packet of the capture.
#[derive(Default)]
pub(super) struct Samples(BTreeMap<usize, Sample>);

impl Samples {
    /// Those of two points.
    pub(super) fn pair(&mut self, captures: &[Capture<'_>], points: &[Point], a: usize, b: usize) -> Option<(&Sample, &Sample)> {
        for n in [a, b] {
            let point = points.get(n)?;
            self.0.entry(n).or_insert_with(|| sample(captures, point));
        }
        Some((self.0.get(&a)?, self.0.get(&b)?))
    }
}

/// Frames, each by its point and row.
fn frames_at(captures: &[Capture<'_>], points: &[Point], at: [(usize, u32); 2]) -> Vec<Place> {
    let place = |(n, row)| Some(Place::frame(captures.get(points.get::<usize>(n)?.capture)?.input, row));
    at.into_iter().filter_map(place).collect()
}

/// The packets of a point with the lowest identities.
fn sample(captures: &[Capture<'_>], point: &Point) -> Sample {
    const ENOUGH: usize = 512;
    let mut sample = Sample::new();
    let Some(capture) = captures.get(point.capture) else { return sample };
    let mut wanted = vec![false; capture.digest.streams.len()];
    for id in &point.streams {
        if let Some(slot) = wanted.get_mut(*id as usize) {
            *slot = true;
        }
    }
    let mut place = 0;
    // The lowest identities: the same packets are chosen at every point.
    let mut most = u64::MAX;
    for page in capture.digest.pages() {
        let columns = page.idents.iter().zip(page.times).zip(page.stream_of);
        for (place, ((ident, time), stream)) in (place..).zip(columns) {
            if *ident > most || *ident == 0 || *time == NO_TIME || wanted.get(*stream as usize) != Some(&true) {
                continue;
            }
            let key = capture.digest.streams.get(*stream as usize).map(|s| &s.key);
            let (mac, src) = (key.and_then(|k| k.src_mac), key.and_then(|k| k.flow).map(|f| f.src));
            let ttl = key.map_or(0, |k| k.ttl);
            let one = || Some(Sampled { time: *time, row: capture.digest.row_at(place), mac, src, ttl });
            sample.entry(*ident).and_modify(|e| *e = None).or_insert_with(one);
            if sample.len() > ENOUGH {
                sample.pop_last();
            }
            if sample.len() >= ENOUGH {
                most = sample.last_key_value().map_or(most, |(ident, _)| *ident);
            }
        }
        place += u32::try_from(page.idents.len()).unwrap_or(0);
    }
    sample
}

/// The unit that all times of a sample are whole multiples of: programs cut off what is below their file's, they do not round.
fn tick(sample: &Sample) -> Nanos {
    let is_unit = |unit: &Nanos| sample.values().flatten().all(|s| s.time.rem_euclid(*unit) == 0);
    [1_000_000, 1_000].into_iter().find(is_unit).unwrap_or(1)
}

/// The MAC whose owner sits at the first capture's end of a segment. What X sends is at X's end first, what it gets is there
/// last: with f the median of `t(b) − t(a)` for X's packets and g for its counterpart's, f − g is twice the delay between the
/// ends, whatever the clocks show, and positive if X sits at a. Two captures of one place agree to the nanosecond, or, where one of them
/// has whole microseconds only, to the microsecond: what is below that would be an order by chance.
fn owner_at_first(a: &Sample, b: &Sample) -> Option<(Mac, u32, u32)> {
    let tick = tick(a).max(tick(b));
    let whole = |time: Nanos| time.saturating_sub(time.rem_euclid(tick));
    let mut by_mac: BTreeMap<Mac, Vec<(Nanos, u32, u32)>> = BTreeMap::new();
    for (ident, x) in a {
        let (Some(x), Some(Some(y))) = (x, b.get(ident)) else { continue };
        if let (Some(mac), true) = (x.mac, x.mac == y.mac) {
            by_mac.entry(mac).or_default().push((whole(y.time).saturating_sub(whole(x.time)), x.row, y.row));
        }
    }
    let median = |mut v: Vec<(Nanos, u32, u32)>| {
        v.sort_unstable();
        v.get(v.len() / 2).copied()
    };
    let mut sides = by_mac.into_iter().filter_map(|(m, v)| Some((m, median(v)?)));
    let (Some((x, (f, ra, rb))), Some((y, (g, _, _))), None) = (sides.next(), sides.next(), sides.next()) else { return None };
    match f.saturating_sub(g).signum() {
        1 => Some((x, ra, rb)),
        -1 => Some((y, ra, rb)),
        _ => None,
    }
}

fn best(candidates: &[Candidate]) -> Option<&Candidate> {
    candidates.iter().max_by(|a, b| a.odds.total_cmp(&b.odds).then_with(|| b.interface.cmp(&a.interface)))
}

fn choose(point: &mut Point, candidates: &[Candidate]) {
    let Some(best) = best(candidates) else { return };
    // The odds are against chance; what is left for "somewhere else" is 1.
    let all: f64 = candidates.iter().map(|c| c.odds).sum::<f64>() + 1.0;
    point.at = Some(best.interface.clone());
    point.owner = Some(best.owner.clone());
    point.p = weight::round((best.odds / all).min(best.trust));
    point.ev.clone_from(&best.ev);
    point.link = best.link.as_ref().map(|l| l.0.clone());
    let on_link = candidates.iter().filter(|c| c.link.is_some() && c.link.as_ref().map(|l| &l.0) == point.link.as_ref());
    point.link_p = weight::round((on_link.map(|c| c.odds).sum::<f64>() / all).min(best.trust));
}

/// A person's word outweighs what is inferred.
fn corrections(captures: &[Capture<'_>], points: &mut [Point], inv: &Inventory, book: &mut Book) {
    for (correction, place) in &inv.corrections {
        let Correction::Placement { input_name, interface_name, at } = correction else { continue };
        for p in points.iter_mut() {
            let Some(capture) = captures.get(p.capture) else { continue };
            let fits = capture.is_called(input_name) && (interface_name.is_none() || *interface_name == p.interface_name);
            if fits {
                p.at = Some(at.clone());
                let owner = at.strip_prefix("if:").and_then(|r| r.rsplit_once('/')).map_or(at.as_str(), |x| x.0);
                p.owner = Some(owner.to_owned());
                (p.p, p.link_p) = (1.0, 1.0);
                p.link = inv
                    .pods
                    .values()
                    .find(|q| q.id == owner || interface_id(q.node.as_deref().unwrap_or_default(), &q.veth) == *at)
                    .map(|q| q.id.clone());
                p.ev = vec![book.add("correction", format!("a person placed this capture at {}", short(at)), vec![place.clone()])];
            }
        }
    }
}

/// What a placed capture proves about the MACs in it.
fn learn_addresses(captures: &[Capture<'_>], points: &[Point], inv: &mut Inventory, book: &mut Book) {
    let mut new: Vec<(Mac, Claim)> = Vec::new();
    for point in points {
        // What is itself more guess than finding proves nothing of others.
        let (Some(capture), Some(at), true) = (captures.get(point.capture), &point.at, point.p >= weight::needed::LIKELY) else { continue };
        let seen = see_own(captures, point, inv);
        if let Some(pod) = point.link.as_ref().and_then(|l| inv.pods.get(l)) {
            learn_link(capture, point, &seen, pod, inv, book, &mut new);
            continue;
        }
        let at_it = |e: &&EniInfo| e.mac.is_some_and(|m| inv.owner_of_mac(m).and_then(|c| c.interface.as_ref()) == Some(at));
        // Tagged frames are in the subnets of the branch ENIs, which their own devices' captures speak of.
        if !seen.tagged.is_empty() {
            continue;
        }
        let Some(eni) = inv.enis.values().find(at_it) else {
            learn_stranger(capture, point, &seen, at, book, &mut new);
            continue;
        };
        let router = match &eni.subnet {
            Some(s) => format!("router:{s}"),
            None => continue,
        };
        let own = eni.mac;
        // Where not all ENIs are listed, a MAC may be that of another; the router of such a subnet is known by its own.
        let is_listed = eni.subnet.as_ref().and_then(|s| inv.subnets.get(s)).is_none_or(|s| !s.is_nameless);
        for (mac, ips) in &seen.macs_of.iter().fold(BTreeMap::<Mac, BTreeSet<IpAddr>>::new(), |mut all, (ip, macs)| {
            macs.iter().for_each(|m| {
                all.entry(*m).or_default().insert(*ip);
            });
            all
        }) {
            if !is_listed || Some(*mac) == own || inv.eni_of_mac(*mac).is_some() {
                continue;
            }
            // A MAC of no ENI that speaks for addresses of other subnets, or of ENIs with other MACs, is the router's.
            let routed: Vec<IpAddr> = ips
                .iter()
                .copied()
                .filter(|ip| inv.eni_of_ip(*ip).map_or(inv.subnet_of(*ip) != eni.subnet.as_deref(), |e| e.mac != Some(*mac)))
                .collect();
            let Some(first) = routed.first() else { continue };
            // The frame must show both: the MAC's first one may be an ARP message.
            let Some(row) = first_row_with(captures, point, *mac, *first) else { continue };
            let p = if routed.len() > 1 { weight::owner::ROUTES_SEVERAL } else { weight::owner::ROUTES_ONE };
            let more = if routed.len() > 1 { format!(" and {} more", routed.len() - 1) } else { String::new() };
            let statement = format!(
                "{mac} is no ENI's address in {} and carries the packets of {first}{more}: the VPC router's face there",
                short(&router)
            );
            let mut places = vec![Place::frame(capture.input, row)];
            eni.ev.iter().for_each(|e| places.extend(book.sources(*e)));
            let ev = book.add("router_mac", statement, places);
            new.push((*mac, Claim { owner: router.clone(), interface: None, p, ev: vec![ev] }));
        }
        for arp in capture.digest.arps.iter().filter(|a| a.interface == point.interface && a.ifindex == point.ifindex && a.operation == 2) {
            let owner = inv.owner_of_ip(arp.sender_ip).map(|c| c.owner.clone()).unwrap_or_default();
            if owner == router && is_listed && inv.eni_of_mac(arp.sender_mac).is_none() {
                let statement = format!("{} answers ARP for {}, the gateway of {}", arp.sender_mac, arp.sender_ip, short(&router));
                let ev = book.add("arp", statement, vec![Place::frame(capture.input, arp.first_row)]);
                new.push((arp.sender_mac, Claim { owner, interface: None, p: weight::owner::ANSWERS_AS_GATEWAY, ev: vec![ev] }));
            }
        }
    }
    for (mac, claim) in new {
        let claims = inv.by_mac.entry(mac).or_default();
        match claims.iter_mut().find(|c| c.owner == claim.owner) {
            Some(known) => {
                // Two independent observations: neither is wrong unless both are.
                known.p = weight::round(1.0 - (1.0 - known.p) * (1.0 - claim.p)).min(weight::needed::MOST).max(known.p);
                known.interface = known.interface.take().or(claim.interface);
                for e in claim.ev {
                    if !known.ev.contains(&e) {
                        known.ev.push(e);
                    }
                }
            }
            None => claims.push(claim),
        }
        order::sort_by(claims, |a, b| b.p.total_cmp(&a.p).then_with(|| a.owner.cmp(&b.owner)));
    }
}

fn first_row_from(captures: &[Capture<'_>], point: &Point, mac: Mac) -> Option<u32> {
    streams(captures, point).filter(|(_, s)| s.key.src_mac == Some(mac) || s.key.dst_mac == Some(mac)).map(|(_, s)| s.first_row).min()
}

/// The first frame that `mac` sent for `ip`, or got for it; around a tunnel the outer address counts, as in [`see`].
fn first_row_with(captures: &[Capture<'_>], point: &Point, mac: Mac, ip: IpAddr) -> Option<u32> {
    let shows = |key: &StreamKey| {
        let ends = key.tunnels.first().map(|t| (t.src, t.dst)).or(key.flow.map(|f| (f.src, f.dst)));
        ends.is_some_and(|(src, dst)| (key.src_mac == Some(mac) && src == ip) || (key.dst_mac == Some(mac) && dst == ip))
    };
    streams(captures, point).filter(|(_, s)| shows(&s.key)).map(|(_, s)| s.first_row).min()
}

/// On a pod's link there are two addresses: the pod's, and its host side's.
fn learn_link(
    capture: &Capture<'_>,
    point: &Point,
    seen: &Seen,
    pod: &crate::identify::inventory::PodInfo,
    inv: &Inventory,
    book: &mut Book,
    new: &mut Vec<(Mac, Claim)>,
) {
    let all_macs: BTreeSet<Mac> = order::set(seen.macs.keys().chain(seen.sent_by.keys()).copied());
    let arps = capture.digest.arps.iter().filter(|a| a.interface == point.interface && a.ifindex == point.ifindex);
    let by_arp = arps.filter(|a| pod.ips.contains(&a.sender_ip)).map(|a| a.sender_mac).next();
    let by_ip = pod.ips.iter().find_map(|ip| seen.macs_of.get(ip)).and_then(|m| m.first()).copied();
    let Some(pod_mac) = by_ip.or(by_arp) else { return };
    let row_of = |m: &Mac| {
        seen.macs.get(m).map(|x| x.1).or_else(|| first_row_from(std::slice::from_ref(capture), &Point { capture: 0, ..point.clone() }, *m))
    };
    for mac in all_macs {
        let Some(row) = row_of(&mac) else { continue };
        if inv.owner_of_mac(mac).is_some_and(|c| c.p > weight::needed::SETTLED) {
            continue;
        }
        let is_pod = mac == pod_mac;
        let (owner, interface, what) = if is_pod {
            (pod.id.clone(), interface_id(&pod.id, "eth0"), "the pod's own")
        } else if let Some(node) = pod.node.as_ref().filter(|_| pod.bridge.is_none()) {
            (node.clone(), interface_id(node, &pod.veth), "its host side's")
        } else {
            continue;
        };
        let mut places = vec![Place::frame(capture.input, row)];
        pod.ev.iter().for_each(|e| places.extend(book.sources(*e)));
        let ev = book.add("link_mac", format!("on the link of {} {mac} is {what} address", short(&pod.id)), places);
        new.push((mac, Claim { owner, interface: Some(interface), p: weight::round(weight::owner::ON_LINK * point.link_p), ev: vec![ev] }));
    }
}

fn learn_stranger(capture: &Capture<'_>, point: &Point, seen: &Seen, at: &str, book: &mut Book, new: &mut Vec<(Mac, Claim)>) {
    let (Some(owner), Some(mac)) = (&point.owner, at.strip_prefix("if:").and_then(|m| m.parse::<Mac>().ok())) else { return };
    let Some((_, row)) = seen.macs.get(&mac).copied().or_else(|| seen.out_macs.get(&mac).copied()) else { return };
    let ev = book.add("own_mac", format!("{mac} is in every unicast frame"), vec![Place::frame(capture.input, row)]);
    new.push((mac, Claim { owner: owner.clone(), interface: Some(at.to_owned()), p: point.p, ev: vec![ev] }));
}

/// Cooked captures (SLL) mix a host's interfaces: each stream is placed by the MAC that it left under or came from.
fn split_cooked(captures: &[Capture<'_>], point: &mut Point, inv: &Inventory) {
    let Some(capture) = captures.get(point.capture) else { return };
    let cooked =
        capture.digest.interfaces.iter().any(|i| i.index == point.interface && i.link_type == Some(crate::capture::LinkType::LINUX_SLL));
    if !cooked || point.ifindex.is_some() {
        return;
    }
    // The host: whoever owns the addresses that packets leave under.
    let mut votes: BTreeMap<Id, u64> = BTreeMap::new();
    let mut at: BTreeMap<u32, Id> = BTreeMap::new();
    let mut ev = BTreeSet::new();
    for (id, s) in streams(captures, point) {
        let Some(mac) = s.key.src_mac.filter(|m| !m.is_zero()) else { continue };
        match s.key.direction {
            Some(Direction::Out) => {
                if let Some(c) = inv.owner_of_mac(mac) {
                    if let Some(i) = &c.interface {
                        at.insert(id, i.clone());
                    }
                    *votes.entry(c.owner.clone()).or_default() += 3 * u64::from(s.packets);
                    ev.extend(c.ev.iter().copied());
                } else if let Some(pod) = s.key.flow.and_then(|f| pod_at(inv, f.dst)) {
                    let node = pod.node.clone().unwrap_or_default();
                    at.insert(id, interface_id(&node, &pod.veth));
                    *votes.entry(node).or_default() += u64::from(s.packets);
                    ev.extend(pod.ev.iter().copied());
                }
            }
            Some(Direction::In) => {
                if let Some(pod) = s.key.flow.and_then(|f| pod_at(inv, f.src)).filter(|_| INITIAL_TTLS.contains(&s.key.ttl)) {
                    let node = pod.node.clone().unwrap_or_default();
                    at.insert(id, interface_id(&node, &pod.veth));
                    *votes.entry(node).or_default() += u64::from(s.packets);
                    ev.extend(pod.ev.iter().copied());
                }
            }
            None => {}
        }
    }
    let Some((owner, _)) = votes.into_iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(&a.0))) else { return };
    if inv.pods.contains_key(&owner) {
        // A pod has one interface.
        point.at = Some(interface_id(&owner, "eth0"));
        (point.owner, point.p, point.link) = (Some(owner.clone()), weight::place::COOKED_HOST, Some(owner));
        (point.interface_name, point.ev) = (None, ev.into_iter().collect());
        return;
    }
    // What came in from elsewhere came in by the ENI that its destination is behind.
    for (id, s) in streams(captures, point) {
        if at.contains_key(&id) || s.key.direction != Some(Direction::In) {
            continue;
        }
        let behind = s.key.flow.and_then(|f| inv.eni_of_ip(f.dst)).filter(|e| e.owner == owner);
        let eni = behind.or_else(|| inv.nodes.get(&owner).and_then(|n| n.enis.first()).and_then(|e| inv.enis.get(e)));
        if let Some(e) = eni {
            at.insert(id, interface_id(&owner, &inv.eni_name(e)));
        }
    }
    at.retain(|_, i| i.starts_with(&format!("if:{owner}/")));
    point.at = Some(owner.clone());
    point.owner = Some(owner);
    point.p = weight::place::COOKED_HOST;
    point.link = None;
    point.interface_name = None;
    point.ev = ev.into_iter().collect();
    point.stream_at = at;
}

fn pod_at(inv: &Inventory, ip: IpAddr) -> Option<&crate::identify::inventory::PodInfo> {
    inv.owner_of_ip(ip).and_then(|c| inv.pods.get(&c.owner)).filter(|p| !p.host_network)
}
