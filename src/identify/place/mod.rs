//! Where each capture was taken, and which MACs and addresses that proves.
//! Knows headers, MACs, TTLs, names and indexes; must not join conversations across points.
//!
//! Each capture's own frames give the places that it may be from ([`alone`]), then names, indexes and the other captures make some of them
//! likelier ([`names`], [`together`]), and the likeliest is chosen. Content decides; names only choose between places that the content
//! cannot tell apart, such as the two ends of a veth pair.

mod alone;
mod learned;
mod names;
mod sample;
mod seen;
mod silent;
mod together;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::capture::LinkType;
use crate::confidence as weight;
use crate::digest::{CaptureDigest, NO_TIME, Stream};
use crate::evidence::{Book, Ev, Place};
use crate::facts::Correction;
use crate::identify::inventory::{Id, Inventory, PodInfo, interface_id, short};
use crate::identify::unlisted;
use crate::model::{Direction, Nanos};
use crate::order;

pub(super) use self::sample::Samples;
pub use self::silent::by_elimination;

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
    /// Parts of its streams, by stream and place.
    pub parts: &'a [Part],
}

/// A part of a stream: what one of several conversations sent that had the same addresses and ports, one after the other.
#[derive(Clone, Debug)]
pub struct Part {
    /// The stream; it has no packet that is not in one of its parts.
    pub of: u32,
    /// The place of its first packet among the rows that are kept.
    pub from: u32,
    /// Which of the conversations, from 1: the same at every capture.
    pub generation: u32,
    /// Header, counts and times.
    pub stream: Stream,
}

impl<'a> Capture<'a> {
    /// A capture called `name`, the `input`th of the analysis.
    #[must_use]
    pub fn new(input: usize, name: &'a str, digest: &'a CaptureDigest) -> Self {
        let timed = digest.streams.iter().filter(|s| s.first_ns != NO_TIME);
        let span = timed.map(|s| (s.first_ns, s.last_ns)).reduce(|(f, l), (first, last)| (f.min(first), l.max(last)));
        Self { input, name, digest, span, parts: &[] }
    }

    /// A stream, or a part of one: parts are numbered from the last stream on.
    #[must_use]
    pub fn stream(&self, id: u32) -> Option<&'a Stream> {
        let at = id as usize;
        self.digest.streams.get(at).or_else(|| self.parts.get(at.checked_sub(self.digest.streams.len())?).map(|p| &p.stream))
    }

    /// How many streams and parts there are.
    pub(crate) fn streams(&self) -> usize {
        self.digest.streams.len() + self.parts.len()
    }

    /// What the packet at a place of a stream belongs to: the stream, or its part.
    pub(crate) fn part_at(&self, stream: u32, place: u32) -> u32 {
        let behind = self.parts.partition_point(|p| (p.of, p.from) <= (stream, place));
        let part = behind.checked_sub(1).filter(|n| self.parts.get(*n).is_some_and(|p| p.of == stream));
        part.and_then(|n| u32::try_from(self.digest.streams.len() + n).ok()).unwrap_or(stream)
    }

    /// A stream, of generation 0, or its parts, and which conversation's they are.
    pub(crate) fn parts_of(&self, stream: u32) -> impl Iterator<Item = (u32, u32)> {
        let (first, behind) = (self.parts.partition_point(|p| p.of < stream), self.parts.partition_point(|p| p.of <= stream));
        let number = |n: usize| u32::try_from(self.digest.streams.len() + n).unwrap_or(u32::MAX);
        let parts = self.parts.get(first..behind).unwrap_or_default().iter().zip(first..).map(move |(p, n)| (number(n), p.generation));
        (first == behind).then_some((stream, 0)).into_iter().chain(parts)
    }

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

impl Candidate {
    /// An observation with this likelihood ratio, for the place or against it.
    fn weigh(&mut self, speaks_for: bool, ratio: f64, ev: Ev) {
        if speaks_for {
            self.odds *= ratio;
            self.ev.push(ev);
        } else {
            self.odds /= ratio;
        }
    }
}

/// Places every capture, and enters what that proves about MACs and addresses into `inv`.
pub fn place(captures: &[Capture<'_>], inv: &mut Inventory, book: &mut Book) -> Vec<Point> {
    let mut points = points_of(captures);
    unlisted::retire(captures, inv, book);
    let mut samples = Samples::default();
    unlisted::glean(captures, &points, inv, &mut samples, book);
    learned::learn_interface_names(captures, &points, inv, book);
    let mut candidates: Vec<Vec<Candidate>> = points.iter().map(|p| alone::candidates(captures, p, inv, book)).collect();
    names::by_index(captures, &mut points, &mut candidates, inv, book);
    names::name_links(captures, &points, &mut candidates, inv, book);
    names::by_name(captures, &points, &mut candidates, inv, book);
    silent::silent_by_name(captures, &points, &mut candidates, inv);
    together::by_company(captures, &points, &mut candidates, inv, &mut samples, book);
    together::by_answers(captures, &points, &mut candidates, inv, book);
    together::by_time(captures, &points, &mut candidates, inv, &mut samples, book);
    together::by_time_at_others(captures, &points, &mut candidates, inv, &mut samples, book);
    for (point, candidates) in points.iter_mut().zip(&candidates) {
        choose(point, candidates);
    }
    corrections(captures, &mut points, inv, book);
    learned::learn_addresses(captures, &points, inv, book);
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

/// Where a stream was seen its parts were.
pub(crate) fn place_parts(captures: &[Capture<'_>], points: &mut [Point]) {
    for point in points {
        let Some(capture) = captures.get(point.capture) else { continue };
        let parts = point.stream_at.iter().flat_map(|(id, at)| capture.parts_of(*id).map(move |(part, _)| (part, at.clone())));
        point.stream_at = order::map(parts);
    }
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

/// Cooked captures (SLL) mix a host's interfaces: each stream is placed by the MAC that it left under or came from.
fn split_cooked(captures: &[Capture<'_>], point: &mut Point, inv: &Inventory) {
    let Some(capture) = captures.get(point.capture) else { return };
    let cooked = capture.digest.interfaces.iter().any(|i| i.index == point.interface && i.link_type == Some(LinkType::LINUX_SLL));
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
    let lo = interface_id(&owner, "lo");
    let looped = streams(captures, point).filter(|(_, s)| s.key.is_looped()).map(|(id, _)| (id, lo.clone()));
    if inv.pods.contains_key(&owner) {
        // A pod has one interface that leads out of it.
        let looped = order::map(looped);
        point.stream_at = looped;
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
    at.extend(looped);
    at.retain(|_, i| i.starts_with(&format!("if:{owner}/")));
    point.at = Some(owner.clone());
    point.owner = Some(owner);
    point.p = weight::place::COOKED_HOST;
    point.link = None;
    point.interface_name = None;
    point.ev = ev.into_iter().collect();
    point.stream_at = at;
}

fn pod_at(inv: &Inventory, ip: IpAddr) -> Option<&PodInfo> {
    inv.owner_of_ip(ip).and_then(|c| inv.pods.get(&c.owner)).filter(|p| !p.host_network)
}
