//! The whole road: inputs, read in any order, → [`Report`].
//! Knows the order of the stages and how their results become the report; each stage's knowledge stays in its own module.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::confidence;
use crate::correlate::clocks::Offset;
use crate::correlate::flows::{self, Flows};
use crate::correlate::reused;
use crate::diagnose::{self, Told};
use crate::digest::{CaptureDigest, Tuple};
use crate::evidence::{Book, Ev, Place, Used};
use crate::identify::inventory::{Id, Inventory, behind_nat64, is_special, short};
use crate::identify::place::{self, Capture, Point};
use crate::identify::resolved::Resolved;
use crate::ingest::{Data, Ingested};
use crate::model::{Locator, Mac, Nanos, Protocol};
use crate::order;
use crate::packed::{EndMade, FindingMade, HeadMade, HopMade, PackedReport};
use crate::phrase::push_digits;
use crate::report::{
    self, CapturePoint, Clock, Encapsulation, Entity, EntityKind, Finding, Generator, Input, Link, Path, Report, Rewrite, SCHEMA, Severity,
    Side, Status,
};
use crate::rows::{Row, Rows, Writer};
use crate::trace::relay::{Relay, Relays};
use crate::trace::{self, Context, Paths};

/// Everything that the inputs show, as one report. The order of `inputs` does not matter.
///
/// Where not every packet was kept of one capture, only the same ones of all others are looked at ([`crate::sample::fit`] saves the copy
/// that this takes here).
#[must_use]
pub fn analyze(inputs: &[Ingested]) -> Report {
    analyze_packed(inputs).into()
}

/// The same, kept small: a report of many conversations takes several times as much when all of them are laid out.
#[must_use]
pub fn analyze_packed(inputs: &[Ingested]) -> PackedReport {
    let rate = inputs.iter().map(Ingested::rate).max().unwrap_or_default();
    let is_finer = |i: &Ingested| matches!(i.data, Data::Capture(_)) && i.rate() < rate;
    if inputs.iter().any(is_finer) {
        let mut inputs = inputs.to_vec();
        inputs.iter_mut().for_each(|i| i.sample(rate));
        return analyze_packed(&inputs);
    }
    let mut sorted: Vec<&Ingested> = inputs.iter().collect();
    order::sort_by(&mut sorted, |a, b| (&a.name, a.hash, a.bytes, &a.kind).cmp(&(&b.name, b.hash, b.bytes, &b.kind)));
    let mut book = Book::default();
    let facts = sorted.iter().enumerate().filter_map(|(n, i)| match &i.data {
        Data::Facts(facts) => Some((n, i.name.as_str(), facts.as_slice())),
        _ => None,
    });
    let mut inv = Inventory::build(facts, &mut book);
    let mut captures: Vec<Capture<'_>> = sorted
        .iter()
        .enumerate()
        .filter_map(|(n, i)| match &i.data {
            Data::Capture(digest) => Some(Capture::new(n, &i.name, digest)),
            _ => None,
        })
        .collect();
    let mut points = place::place(&captures, &mut inv, &mut book);
    let mut flows = flows::flows(&captures, &points);
    let parts = reused::parts(&captures, &flows);
    if parts.iter().any(|p| !p.is_empty()) {
        drop(flows);
        captures.iter_mut().zip(&parts).for_each(|(c, parts)| c.parts = parts);
        place::place_parts(&captures, &mut points);
        flows = flows::flows(&captures, &points);
    }
    trace::dialled::learn(&captures, &flows, &mut inv, &mut book);
    let ctx = Context { captures: &captures, points: &points, inv: &inv, flows: &flows };
    let traced = trace::trace(ctx, &mut book);
    flows.forget_samples();
    place::by_elimination(&mut points, &traced.crossed, &inv, &mut book);
    let ctx = Context { captures: &captures, points: &points, inv: &inv, flows: &flows };
    let mut findings = diagnose::diagnose(ctx, &traced, &mut book);
    let trace::Traced { mut paths, firsts, clocks, .. } = traced;
    findings.extend(damaged(&sorted, &mut book).into_iter().map(Told::from));
    // What is left to do asks packets no more.
    flows.forget_rows();
    let ctx = Context { captures: &captures, points: &points, inv: &inv, flows: &flows };
    let places = sort_paths(firsts, &mut paths);
    for path in findings.iter_mut().flat_map(|f| &mut f.paths) {
        *path = places.get(*path as usize).copied().unwrap_or(u32::MAX);
    }
    let relays = trace::relay::relays(ctx, &paths, &clocks, &mut book);
    findings.extend(diagnose::relayed(ctx, &paths, &relays));
    let sampling = flows.rate.is_sampled().then(|| sampling(&captures, &flows));
    let ambiguous = report::Ambiguous { packets: flows.ambiguous, messages: relays.ambiguous };
    // Paths and book say all that the report needs: what they were made from would only take room beside it.
    drop(flows);
    let publisher = Publisher {
        captures: &captures,
        points: &points,
        inv: &inv,
        book,
        used: Used::default(),
        entities: BTreeMap::new(),
        complete: FxHashSet::default(),
    };
    let mut report = publisher.publish(&sorted, paths, &relays, &clocks, findings);
    (report.head.sampling, report.head.ambiguous) = (sampling, ambiguous);
    report
}

/// Of links there are as many as pairs of hosts, each with hundreds of these.
fn evidence_id(n: u64) -> String {
    let mut id = String::with_capacity(8);
    id.push('e');
    push_digits(&mut id, n, 10, 1);
    id
}

fn path_id(n: usize) -> String {
    format!("p{}", n + 1)
}

/// Inputs that were not read whole: what they hold beyond the fault is missing from every conclusion.
fn damaged(inputs: &[&Ingested], book: &mut Book) -> Vec<diagnose::Finding> {
    let mut found = Vec::new();
    for (n, input) in inputs.iter().enumerate() {
        if input.status == Status::Ok || input.bytes == 0 {
            continue;
        }
        let message = input.message.clone().unwrap_or_default();
        // The place is the last thing that was read; of a file that is nothing known, its beginning.
        let at = match &input.data {
            Data::Capture(digest) if !digest.is_empty() => Locator::Frame(u64::from(digest.len())),
            Data::Facts(facts) => facts.last().map_or(Locator::Line(1), |f| f.at.clone()),
            _ => Locator::Line(1),
        };
        let name = input.name.rsplit('/').next().unwrap_or(&input.name);
        let (severity, what) =
            if input.status == Status::Partial { (Severity::Warning, "is read in part") } else { (Severity::Warning, "is not read") };
        let ev = book.add("damaged_input", format!("{name} {what}: {message}"), vec![Place { input: n, at }]);
        let next_step = Some("collect that file again".to_owned());
        found.push(diagnose::Finding {
            kind: "damaged_input",
            severity,
            about: Vec::new(),
            summary: format!("{name} {what}: {message}"),
            next_step,
            p: 1.0,
            ev: vec![ev],
        });
    }
    found
}

fn sampling(captures: &[Capture<'_>], flows: &Flows) -> report::Sampling {
    let sum = |count: fn(&CaptureDigest) -> u32| captures.iter().map(|c| u64::from(count(c.digest))).sum();
    report::Sampling {
        one_in: flows.rate.of(),
        packets: sum(CaptureDigest::len),
        examined: sum(CaptureDigest::kept),
        unexamined_flows: flows.unexamined,
    }
}

/// In the order of their first packet, as a person reads an incident. Gives for each the place where it is now.
fn sort_paths(firsts: Vec<Option<Nanos>>, paths: &mut Paths) -> Vec<u32> {
    let mut order: Vec<(Option<Nanos>, u32)> = firsts.into_iter().zip(0..).collect();
    let tuples = |at: u32| paths.get(at as usize).map(|p| p.legs.into_iter().map(|l| l.tuple).collect::<Vec<_>>());
    order.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| tuples(a.1).cmp(&tuples(b.1))));
    let mut places = vec![0; order.len()];
    for (now, (_, before)) in (0..).zip(&order) {
        if let Some(place) = places.get_mut(*before as usize) {
            *place = now;
        }
    }
    paths.arrange(order.into_iter().map(|o| o.1).collect());
    places
}

/// An entity in the making.
#[derive(Default)]
struct Draft {
    kind: EntityKind,
    name: String,
    aliases: BTreeSet<String>,
    parent: Option<Id>,
    macs: BTreeSet<Mac>,
    ips: BTreeSet<IpAddr>,
    p: f64,
    ev: BTreeSet<Ev>,
    /// Where its name is from, if that is told apart.
    named: Vec<Ev>,
}

impl Draft {
    /// What the report cites: enough to check it, little enough to read.
    fn cited(&self) -> impl Iterator<Item = Ev> + '_ {
        self.ev.iter().take(6).chain(&self.named).copied()
    }
}

/// Of so many statements on a link no more are cited.
const LINK_EVIDENCE: usize = 256;

/// How sure a link is, and why.
type LinkFound = (f64, BTreeSet<Ev>);

/// By both ends' ids, the lower one first, and kind. Maps in maps, so that no id is copied to look a link up: there are some on each path.
#[derive(Default)]
struct Links {
    /// Places in `found`.
    places: BTreeMap<Id, BTreeMap<Id, BTreeMap<&'static str, usize>>>,
    found: Vec<LinkFound>,
}

impl Links {
    fn add(&mut self, a: &trace::Hop, b: &trace::Hop, kind: &'static str) {
        let (x, y) = (a.interface.as_ref().unwrap_or(&a.owner), b.interface.as_ref().unwrap_or(&b.owner));
        let (low, high) = if x <= y { (x, y) } else { (y, x) };
        let known = self.places.get(low).and_then(|others| others.get(high)).and_then(|kinds| kinds.get(kind)).copied();
        let place = known.unwrap_or_else(|| {
            let kinds = self.places.entry(low.clone()).or_default().entry(high.clone()).or_default();
            self.found.push(LinkFound::default());
            *kinds.entry(kind).or_insert(self.found.len() - 1)
        });
        let Some(found) = self.found.get_mut(place) else { return };
        found.0 = found.0.max(a.p.min(b.p));
        // All conversations between two hosts cross the same links.
        if found.1.len() < LINK_EVIDENCE {
            found.1.extend(a.ev.iter().chain(&b.ev).copied().take(4));
        }
    }

    /// In order.
    fn into_sorted(mut self) -> impl Iterator<Item = (Id, Id, &'static str, LinkFound)> {
        let ends = self.places.into_iter().flat_map(|(a, others)| others.into_iter().map(move |(b, kinds)| (a.clone(), b, kinds)));
        let each = ends.flat_map(|(a, b, kinds)| kinds.into_iter().map(move |(kind, at)| (a.clone(), b.clone(), kind, at)));
        each.map(move |(a, b, kind, at)| (a, b, kind, self.found.get_mut(at).map(std::mem::take).unwrap_or_default()))
    }
}

/// Whose an address on a path is, of which [`trace::Path::holder`] says who holds it.
fn entity_at<'a>(inv: &'a Inventory, holder: Option<&'a Id>, ip: IpAddr) -> Cow<'a, str> {
    match holder.or_else(|| inv.owner_of_end(ip).map(|c| &c.owner)) {
        Some(id) => Cow::from(id),
        None => Cow::from(inv.stranger(ip)),
    }
}

struct Publisher<'a> {
    captures: &'a [Capture<'a>],
    points: &'a [Point],
    inv: &'a Inventory,
    book: Book,
    used: Used,
    entities: BTreeMap<Id, Draft>,
    /// Those that need no more evidence. They are on every path, and most of what is asked of entities is asked of them.
    complete: FxHashSet<Id>,
}

impl Publisher<'_> {
    fn publish(
        mut self,
        inputs: &[&Ingested],
        paths: Paths,
        relays: &Relays,
        clocks: &BTreeMap<usize, (usize, Offset)>,
        mut findings: Vec<Told>,
    ) -> PackedReport {
        let inv = self.inv;
        self.seen_addresses(&mut findings);
        for p in self.points {
            if let Some(at) = &p.at {
                self.entity(at, p.p, &p.ev);
            }
        }
        let mut links = Links::default();
        paths.each(|_, path| {
            for d in &path.directions {
                for h in d.hops.iter().chain(&d.beyond) {
                    self.entity(&h.owner, h.p, &h.ev);
                    if let Some(i) = &h.interface {
                        self.entity(i, h.p, &h.ev);
                    }
                    self.used.extend(h.ev.iter().copied());
                }
                for pair in d.hops.windows(2) {
                    let [a, b] = pair else { continue };
                    if let Some(kind) = link_kind(inv, a, b) {
                        links.add(a, b, kind);
                    }
                }
            }
            for leg in &path.legs {
                for ip in [leg.tuple.src, leg.tuple.dst] {
                    let holder = path.holder(inv, ip);
                    let id = entity_at(inv, holder, ip);
                    self.entity(&id, 1.0, &leg.ev);
                    if (holder.is_some() || behind_nat64(ip).is_some())
                        && let Some(d) = self.entities.get_mut(&*id)
                    {
                        d.ips.insert(ip);
                    }
                }
            }
        });
        for r in &relays.relays {
            self.entity(&r.through, 1.0, &r.ev);
        }
        for Told { finding: f, .. } in &findings {
            for id in &f.about {
                self.entity(id, 1.0, &f.ev);
            }
        }
        self.parents();
        // Whatever is left without evidence rests on its parts.
        let from_parts = |id: &Id| -> Vec<Ev> {
            let prefix = format!("if:{id}/");
            let parts = self.entities.range(prefix.clone()..).take_while(|(k, _)| k.starts_with(&prefix));
            parts.flat_map(|(_, d)| d.ev.iter().copied()).take(2).collect()
        };
        let bare: Vec<(Id, Vec<Ev>)> =
            self.entities.iter().filter(|(_, d)| d.ev.is_empty()).map(|(id, _)| (id.clone(), from_parts(id))).collect();
        for (id, ev) in bare {
            if let Some(d) = self.entities.get_mut(&id) {
                d.ev.extend(ev);
            }
        }
        self.entities.retain(|_, d| !d.ev.is_empty());
        let known: BTreeSet<Id> = order::set(self.entities.keys().cloned());
        order::sort_by(&mut findings, |Told { finding: a, .. }, Told { finding: b, .. }| {
            (std::cmp::Reverse(a.severity), a.kind, &a.about, &a.summary).cmp(&(
                std::cmp::Reverse(b.severity),
                b.kind,
                &b.about,
                &b.summary,
            ))
        });

        for d in self.entities.values() {
            self.used.extend(d.cited());
        }
        self.used.extend(self.points.iter().flat_map(|p| p.ev.iter().copied()));
        self.used.extend(links.found.iter().flat_map(|l| l.1.iter().copied()));
        self.used.extend(relays.relays.iter().flat_map(|r| r.ev.iter().copied()));
        self.used.extend(findings.iter().flat_map(|t| t.finding.ev.iter().copied()));
        let mut relays_of: BTreeMap<usize, Vec<&Relay>> = BTreeMap::new();
        for r in &relays.relays {
            relays_of.entry(r.front).or_default().push(r);
            relays_of.entry(r.back).or_default().push(r);
        }
        let input_id = |n: usize| format!("in{}", n + 1);
        self.used.count();
        let used = std::mem::take(&mut self.used);
        let evidence = std::mem::take(&mut self.book).publish(&used);
        let names = |ev: &mut dyn Iterator<Item = Ev>| -> Vec<String> {
            ranks(&ev.collect::<Vec<Ev>>(), &used).into_iter().map(evidence_id).collect()
        };
        let point_id = |n: usize| format!("cp{}", n + 1);
        let head = Report {
            schema: SCHEMA.to_owned(),
            generator: Generator { name: "hopscope".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
            inputs: inputs
                .iter()
                .enumerate()
                .map(|(n, i)| Input {
                    id: input_id(n),
                    name: i.name.clone(),
                    kind: i.kind.clone(),
                    bytes: i.bytes,
                    status: i.status,
                    message: i.message.clone(),
                })
                .collect(),
            capture_points: self
                .points
                .iter()
                .enumerate()
                .map(|(n, p)| self.point(p, point_id(n), clocks.get(&n), &names, &point_id))
                .collect(),
            entities: self
                .entities
                .iter()
                .map(|(id, d)| Entity {
                    id: id.clone(),
                    kind: d.kind,
                    name: d.name.clone(),
                    aliases: d.aliases.iter().cloned().collect(),
                    parent: d.parent.clone().filter(|p| known.contains(p)),
                    macs: d.macs.iter().map(ToString::to_string).collect(),
                    ips: d.ips.iter().map(ToString::to_string).collect(),
                    confidence: confidence::round(d.p),
                    evidence: names(&mut d.cited()),
                })
                .collect(),
            links: links
                .into_sorted()
                .map(|(a, b, kind, (p, ev))| Link {
                    a,
                    b,
                    kind: kind.to_owned(),
                    confidence: confidence::round(p),
                    evidence: names(&mut ev.into_iter()),
                })
                .collect(),
            ..Report::default()
        };
        let mut told: Rows<Finding> = Rows::default();
        for Told { finding: mut f, mut paths } in findings {
            f.about.retain(|a| known.contains(a));
            paths.sort_unstable();
            paths.dedup();
            let made = FindingMade {
                kind: f.kind,
                severity: f.severity,
                about: &f.about,
                summary: &f.summary,
                next_step: f.next_step.as_deref(),
                confidence: confidence::round(f.p),
                evidence: &ranks(&f.ev, &used),
                paths: &paths,
            };
            told.push_with(|to| made.write(to));
        }
        let relays = |n: usize| relays_of.get(&n).map(Vec::as_slice).unwrap_or_default();
        let mut rows: Rows<Path> = Rows::default();
        paths.each(|n, path| rows.push_with(|to| self.path(to, path, n, relays(n), &used)));
        PackedReport { head, paths: rows, findings: told, evidence }
    }

    /// Every address that the captures show gets its owner.
    fn seen_addresses(&mut self, findings: &mut Vec<Told>) {
        let mut macs: FxHashMap<Mac, Place> = FxHashMap::default();
        let mut ips: FxHashMap<IpAddr, Place> = FxHashMap::default();
        for c in self.captures {
            for s in &c.digest.streams {
                let at = || Place::frame(c.input, s.first_row);
                for m in [s.key.src_mac, s.key.dst_mac].into_iter().flatten() {
                    macs.entry(m).or_insert_with(at);
                }
                for t in &s.key.tunnels {
                    ips.entry(t.src).or_insert_with(at);
                    ips.entry(t.dst).or_insert_with(at);
                    for m in t.inner_macs.into_iter().flat_map(|(a, b)| [a, b]) {
                        macs.entry(m).or_insert_with(at);
                    }
                }
                if let Some(f) = s.key.flow {
                    ips.entry(f.src).or_insert_with(at);
                    ips.entry(f.dst).or_insert_with(at);
                }
            }
            for a in &c.digest.arps {
                let at = || Place::frame(c.input, a.first_row);
                macs.entry(a.sender_mac).or_insert_with(at);
                if a.operation == 2 {
                    macs.entry(a.target_mac).or_insert_with(at);
                }
                ips.entry(a.sender_ip).or_insert_with(at);
                ips.entry(a.target_ip).or_insert_with(at);
            }
        }
        let sorted = |mut ips: Vec<(IpAddr, Place)>| {
            ips.sort_unstable_by_key(|x| x.0);
            ips
        };
        let (ips, macs) = (sorted(ips.into_iter().collect()), order::map(macs.into_iter()));
        let inv = self.inv;
        let resolved = Resolved::of(self.captures);
        for (ip, at) in ips.into_iter().filter(|(ip, _)| !is_special(*ip)) {
            let claim = inv.owner_of_ip(ip);
            let id = inv.entity_of_ip(ip);
            // A host that no inventory names is called as the captures' writers call it; its id stays what it is.
            let named = if claim.is_none() || id.starts_with("host:") { resolved.name(ip, &at, &mut self.book) } else { None };
            let mut ev = claim.map(|c| c.ev.clone()).unwrap_or_default();
            if ev.is_empty() {
                ev.push(self.book.add("seen", format!("{ip} is in the captures"), vec![at]));
            }
            self.entity(&id, claim.map_or(confidence::owner::SEEN, |c| c.p.max(confidence::needed::LIKELY)), &ev);
            if let Some(d) = self.entities.get_mut(&id) {
                d.ips.insert(ip);
                if let Some((name, ev)) = named.filter(|_| d.name == short(&id)) {
                    d.name = name;
                    d.named = ev;
                }
            }
        }
        for (mac, at) in macs.into_iter().filter(|(m, _)| m.is_unicast()) {
            match inv.owner_of_mac(mac).cloned() {
                Some(claim) => {
                    let holder = claim.interface.clone().unwrap_or_else(|| claim.owner.clone());
                    self.entity(&claim.owner, 1.0, &claim.ev);
                    self.entity(&holder, claim.p, &claim.ev);
                    if let Some(d) = self.entities.get_mut(&holder) {
                        d.macs.insert(mac);
                        d.p = if d.kind == EntityKind::Interface || d.kind == EntityKind::VpcRouter { claim.p } else { d.p };
                    }
                    // A pod is sure to exist; with its confidence it can claim sure addresses only.
                    if let Some(d) =
                        self.entities.get_mut(&claim.owner).filter(|d| d.kind == EntityKind::Pod && claim.p > confidence::needed::SURE)
                    {
                        d.macs.insert(mac);
                    }
                }
                None => {
                    let id = format!("unknown:{mac}");
                    let ev = self.book.add("seen", format!("{mac} is in the captures, and nothing says whose it is"), vec![at]);
                    self.entity(&id, confidence::owner::SEEN, &[ev]);
                    if let Some(d) = self.entities.get_mut(&id) {
                        d.macs.insert(mac);
                    }
                    findings.push(Told::from(diagnose::Finding {
                        kind: "unresolved_address",
                        severity: Severity::Warning,
                        about: vec![id],
                        summary: format!("nothing given says whose address {mac} is"),
                        next_step: Some(format!(
                            "aws ec2 describe-network-interfaces --filters Name=mac-address,Values={mac}; ip neigh on the hosts that see it"
                        )),
                        p: confidence::finding::UNRESOLVED,
                        ev: vec![ev],
                    }));
                }
            }
        }
    }

    /// Enters an entity, with all that the inventory knows of it.
    fn entity(&mut self, id: &str, p: f64, ev: &[Ev]) {
        let inv = self.inv;
        if self.complete.contains(id) {
            return;
        }
        if let Some(known) = self.entities.get_mut(id) {
            if known.ev.len() < 6 {
                known.ev.extend(ev.iter().copied());
            } else {
                self.complete.insert(id.to_owned());
            }
            return;
        }
        // Whatever is found of somebody whom nothing names, it is found of an address alone.
        let p = if id.starts_with("unknown:") { p.min(confidence::owner::SEEN) } else { p };
        let mut d = Draft { name: short(id).to_owned(), p, ev: ev.iter().copied().collect(), ..Draft::default() };
        let (kind, rest) = id.split_once(':').unwrap_or(("unknown", id));
        let named = |s: &String| inv.subnets.get(s).is_some_and(|s| !s.is_nameless);
        match kind {
            "pod" => {
                d.kind = EntityKind::Pod;
                if let Some(pod) = inv.pods.get(id) {
                    d.name.clone_from(&pod.name);
                    d.parent.clone_from(&pod.node);
                    (d.p, d.ev) = (1.0, pod.ev.iter().copied().collect());
                    d.ips.extend(pod.ips.iter().copied().filter(|_| !pod.host_network));
                }
            }
            "node" | "instance" | "host" => {
                d.kind = EntityKind::Node;
                if let Some(n) = inv.nodes.get(id) {
                    d.name.clone_from(&n.name);
                    d.aliases.clone_from(&n.aliases);
                    d.ips.clone_from(&n.ips);
                    d.parent = n
                        .enis
                        .first()
                        .and_then(|e| inv.enis.get(e))
                        .and_then(|e| e.subnet.as_ref())
                        .filter(|s| named(s))
                        .map(|s| format!("subnet:{s}"));
                    (d.p, d.ev) = (1.0, n.ev.iter().copied().collect());
                }
            }
            "if" => {
                d.kind = EntityKind::Interface;
                if let Some((owner, name)) = rest.rsplit_once('/') {
                    (d.parent, d.name) = (Some(owner.to_owned()), name.to_owned());
                    let eni = inv.enis.values().find(|e| e.owner == owner && inv.eni_name(e) == name);
                    if let Some(e) = eni {
                        if e.id.starts_with("eni-") {
                            d.aliases.insert(format!("eni:{}", e.id));
                        }
                        d.macs.extend(e.mac);
                        d.ips.extend(e.primary);
                        d.ev.extend(e.ev.iter().copied());
                    }
                    if let Some(pod) = inv.pods.get(owner) {
                        d.ips.extend(pod.ips.iter().copied());
                    }
                } else if let Some(e) = rest.parse::<Mac>().ok().and_then(|m| inv.eni_of_mac(m)).filter(|e| e.id.starts_with("eni-")) {
                    d.aliases.insert(format!("eni:{}", e.id));
                    d.name = if e.description.is_empty() { e.id.clone() } else { e.description.clone() };
                    d.macs.extend(e.mac);
                    d.parent = e.subnet.as_ref().map(|s| format!("subnet:{s}"));
                    d.ev.extend(e.ev.iter().copied());
                } else {
                    let claim = rest.parse::<Mac>().ok().and_then(|m| inv.owner_of_mac(m)).filter(|c| c.interface.as_deref() == Some(id));
                    let placed = || self.points.iter().find(|p| p.at.as_deref() == Some(id)).and_then(|p| p.owner.clone());
                    d.parent = claim.map(|c| c.owner.clone()).or_else(placed);
                    d.macs.extend(rest.parse::<Mac>());
                }
            }
            "router" => {
                d.kind = EntityKind::VpcRouter;
                d.name = "VPC router".to_owned();
                if let Some(s) = inv.subnets.get(rest) {
                    d.parent = s.vpc.as_ref().map(|v| format!("vpc:{v}"));
                    d.ips.extend(s.cidrs.iter().filter_map(crate::identify::inventory::gateway_of));
                    d.ev.extend(s.ev.iter().copied());
                }
            }
            "lb" => {
                d.kind = EntityKind::LoadBalancer;
                if let Some(lb) = inv.lbs.get(id) {
                    d.name.clone_from(&lb.name);
                    d.aliases.clone_from(&lb.aliases);
                    d.ev.extend(lb.ev.iter().copied());
                    let subnets: BTreeSet<&String> =
                        inv.enis.values().filter(|e| e.owner == id).filter_map(|e| e.subnet.as_ref()).collect();
                    d.parent = match (subnets.len(), subnets.first()) {
                        (1, Some(s)) => Some(format!("subnet:{s}")),
                        _ => inv.enis.values().find(|e| e.owner == id).and_then(|e| e.vpc.as_ref()).map(|v| format!("vpc:{v}")),
                    };
                }
            }
            "natgw" | "igw" | "vpce" => {
                d.kind = match kind {
                    "natgw" => EntityKind::NatGateway,
                    "igw" => EntityKind::InternetGateway,
                    _ => EntityKind::VpcEndpoint,
                };
                if let Some(x) = inv.devices.get(id) {
                    d.ev.extend(x.ev.iter().copied());
                    d.parent = x.subnet.as_ref().map(|s| format!("subnet:{s}")).or_else(|| x.vpc.as_ref().map(|v| format!("vpc:{v}")));
                }
            }
            "service" => {
                d.kind = EntityKind::Service;
                if let Some(s) = inv.services.get(id) {
                    d.ips.extend(s.ips.iter().copied());
                    (d.p, d.ev) = (1.0, s.ev.iter().copied().collect());
                }
            }
            "subnet" => {
                d.kind = EntityKind::Subnet;
                if let Some(s) = inv.subnets.get(rest) {
                    d.name = s.name.clone().unwrap_or_else(|| rest.to_owned());
                    d.parent = s.zone.as_ref().map(|z| format!("az:{z}")).or_else(|| s.vpc.as_ref().map(|v| format!("vpc:{v}")));
                    (d.p, d.ev) = (1.0, s.ev.iter().copied().collect());
                }
            }
            "az" => {
                d.kind = EntityKind::AvailabilityZone;
                let subnets: Vec<_> = inv.subnets.values().filter(|s| s.zone.as_deref() == Some(rest)).collect();
                d.parent = subnets.iter().find_map(|s| s.vpc.as_ref()).map(|v| format!("vpc:{v}"));
                d.p = 1.0;
                d.ev.extend(subnets.iter().flat_map(|s| s.ev.iter().copied()).take(3));
            }
            "vpc" => {
                d.kind = EntityKind::Vpc;
                if let Some(v) = inv.vpcs.get(rest) {
                    d.name = v.name.clone().unwrap_or_else(|| rest.to_owned());
                    (d.p, d.ev) = (1.0, v.ev.iter().copied().collect());
                }
            }
            "external" => d.kind = EntityKind::External,
            _ => {
                d.kind = EntityKind::Unknown;
                if let Some(pod) = inv.pods.get(id) {
                    d.parent.clone_from(&pod.node);
                    d.ev.extend(pod.ev.iter().copied());
                }
            }
        }
        if matches!(d.kind, EntityKind::External | EntityKind::Unknown) {
            d.ips.extend(rest.parse::<IpAddr>());
        }
        self.entities.insert(id.to_owned(), d);
    }

    /// Containers of what is there, up to the VPC.
    fn parents(&mut self) {
        let mut queue: Vec<Id> = self.entities.keys().cloned().collect();
        while let Some(id) = queue.pop() {
            let Some((parent, ev)) =
                self.entities.get(&id).and_then(|d| Some((d.parent.clone()?, d.ev.iter().copied().take(2).collect::<Vec<_>>())))
            else {
                continue;
            };
            if !self.entities.contains_key(&parent) {
                self.entity(&parent, 1.0, &ev);
                queue.push(parent);
            }
        }
    }

    fn point(
        &self,
        p: &Point,
        id: String,
        clock: Option<&(usize, Offset)>,
        names: &dyn Fn(&mut dyn Iterator<Item = Ev>) -> Vec<String>,
        point_id: &dyn Fn(usize) -> String,
    ) -> CapturePoint {
        let capture = self.captures.get(p.capture);
        let info = capture.and_then(|c| c.digest.interfaces.iter().find(|i| i.index == p.interface));
        let streams: Vec<_> = place::streams(self.captures, p).map(|s| s.1).collect();
        let times = || streams.iter().filter(|s| s.first_ns != crate::digest::NO_TIME);
        CapturePoint {
            id,
            input: capture.map_or(String::new(), |c| format!("in{}", c.input + 1)),
            interface_name: p.interface_name.clone(),
            link_type: info.and_then(|i| i.link_type).map_or("unknown".to_owned(), |l| link_name(l.0)),
            packets: streams.iter().map(|s| u64::from(s.packets)).sum(),
            first_ns: times().map(|s| s.first_ns).min(),
            last_ns: times().map(|s| s.last_ns).max(),
            clock: clock.map(|(reference, o)| Clock {
                relative_to: point_id(*reference),
                offset_ns: o.offset_ns,
                uncertainty_ns: o.uncertainty_ns,
                drift_ppb: Some(o.drift_ppb).filter(|d| *d != 0),
                at_ns: Some(o.at_ns).filter(|_| o.drift_ppb != 0),
            }),
            at: p.at.clone(),
            confidence: confidence::round(p.p),
            evidence: names(&mut p.ev.iter().copied()),
        }
    }

    /// Writes a path as [`Path`] is written, without making that first: of a million conversations the texts alone would take seconds.
    fn path(&self, to: &mut Writer<'_>, p: &trace::Path, n: usize, relays: &[&Relay], used: &Used) {
        let (Some(first), Some(last)) = (p.legs.first().map(|l| l.tuple), p.legs.last().map(|l| l.tuple)) else {
            return Path { id: path_id(n), ..Path::default() }.write(to);
        };
        let inv = self.inv;
        let entity = |ip| entity_at(inv, p.holder(inv, ip), ip);
        let (client, server, via) = (entity(first.src), entity(last.dst), entity(first.dst));
        let end = |entity, ip: IpAddr, port: u16, protocol: Protocol| EndMade { entity, ip, port: port_of(port, protocol) };
        let is_translated = (first.dst, first.dst_port) != (last.dst, last.dst_port);
        let head = HeadMade {
            number: n as u64 + 1,
            protocol: first.protocol,
            client: end(&client, first.src, first.src_port, first.protocol),
            server: end(&server, last.dst, last.dst_port, last.protocol),
            via: is_translated.then(|| end(&via, first.dst, first.dst_port, first.protocol)),
            packets: p.packets,
            bytes: p.bytes,
        };
        head.write(to);
        let leg_of = |h: &trace::Hop| p.legs.get(h.leg).map(|l| l.tuple);
        let number_of = |hops: &[trace::Hop]| hops.iter().filter(|h| leg_of(h).is_some()).count() as u64;
        to.list(&p.directions, |to, d| {
            to.number(d.verdict as u64);
            to.number(number_of(&d.hops));
        });
        let mut scratch = Scratch::default();
        for d in &p.directions {
            to.flag(d.way == report::Way::Reply);
            to.option(d.lost_after.and_then(|n| u32::try_from(n).ok()), |to, n| to.number(n.into()));
            let mut before: Option<Before<'_>> = None;
            for (hops, is_beyond) in [(&d.hops, false), (&d.beyond, true)] {
                if is_beyond {
                    to.number(number_of(hops));
                }
                for h in hops {
                    let Some(tuple) = leg_of(h) else { continue };
                    let tuple = if d.way == report::Way::Request { tuple } else { tuple.reversed() };
                    let silent = d.silent.iter().filter(|(_, interface)| is_beyond && h.interface.as_ref() == Some(interface));
                    scratch.silent.clear();
                    scratch.silent.extend(silent.map(|(point, _)| *point));
                    let depth = self.hop(to, h, tuple, before, used, &mut scratch);
                    before = Some(Before { hop: h, tuple, depth });
                }
            }
        }
        let others = relays.iter().map(|r| if r.front == n { (r, Side::Behind, r.back) } else { (r, Side::Front, r.front) });
        let relays = others.map(|(r, side, other)| report::Relay {
            path: path_id(other),
            side,
            through: r.through.clone(),
            confidence: r.p,
            evidence: ranks(&r.ev, used).into_iter().map(evidence_id).collect(),
        });
        let relays: Vec<report::Relay> = relays.collect();
        to.list(&relays, |to, r| r.write(to));
    }

    /// Writes a hop as [`report::Hop`] is written, and gives in how many tunnels and VLANs its packets are.
    fn hop(&self, to: &mut Writer<'_>, h: &trace::Hop, t: Tuple, before: Option<Before<'_>>, used: &Used, scratch: &mut Scratch) -> usize {
        let stream = h.sightings.iter().filter_map(|s| self.captures.get(s.capture)?.stream(s.stream)).max_by_key(|s| s.packets);
        let mut encapsulation: Vec<Encapsulation> = Vec::new();
        if let Some(s) = stream {
            encapsulation.extend(s.key.vlans.iter().map(|v| Encapsulation {
                kind: "vlan".to_owned(),
                vni: Some(u32::from(*v)),
                outer_src: None,
                outer_dst: None,
            }));
            // The tunnel around a mirrored copy is the copy's, not the packet's.
            let around = usize::from(h.is_mirrored);
            encapsulation.extend(s.key.tunnels.iter().skip(around).map(|t| Encapsulation {
                kind: t.kind.name().to_owned(),
                vni: t.id,
                outer_src: Some(t.src.to_string()),
                outer_dst: Some(t.dst.to_string()),
            }));
        }
        encapsulation.extend(h.sealed.map(|s| Encapsulation {
            kind: if s.is_esp { "esp" } else { "wireguard" }.to_owned(),
            vni: None,
            outer_src: Some(s.src.to_string()),
            outer_dst: Some(s.dst.to_string()),
        }));
        let Scratch { silent, rewrites, points, evidence } = scratch;
        rewrites.clear();
        if let Some(Before { hop: b, tuple: was, depth }) = before {
            let changed = |x: Option<Mac>, y: Option<Mac>| x.is_some() && y.is_some() && x != y;
            if changed(b.src_mac, h.src_mac) || changed(b.dst_mac, h.dst_mac) {
                rewrites.push(Rewrite::Mac);
            }
            if b.ttl.is_some() && h.ttl.is_some() && b.ttl != h.ttl {
                rewrites.push(Rewrite::Ttl);
            }
            if (was.src, was.src_port) != (t.src, t.src_port) {
                rewrites.push(Rewrite::Snat);
            }
            if (was.dst, was.dst_port) != (t.dst, t.dst_port) {
                rewrites.push(Rewrite::Dnat);
            }
            let is_told = h.observed() && b.observed() || h.sealed.is_some() || b.sealed.is_some();
            if is_told && encapsulation.len() > depth {
                rewrites.push(Rewrite::Encap);
            } else if is_told && encapsulation.len() < depth {
                rewrites.push(Rewrite::Decap);
            }
        }
        points.clear();
        points.extend(h.sightings.iter().map(|s| s.point).chain(silent.iter().copied()).map(|point| point as u64 + 1));
        points.sort_unstable();
        points.dedup();
        rank(&h.ev, used, evidence);
        let made = HopMade {
            owner: &h.owner,
            interface: h.interface.as_deref(),
            observed: h.observed(),
            points,
            macs: [h.src_mac, h.dst_mac],
            ends: [(t.src, port_of(t.src_port, t.protocol)), (t.dst, port_of(t.dst_port, t.protocol))],
            ttl: h.ttl,
            rewrites,
            encapsulation: &encapsulation,
            delay_ns: h.delay_ns,
            delay_range_ns: h.delay_range_ns,
            counts: [h.seen, h.missing],
            missing_range: h.missing_range,
            confidence: confidence::round(h.p),
            evidence,
        };
        made.write(to);
        encapsulation.len()
    }
}

/// The hop before one, its addresses, and how deep its packets are in tunnels and VLANs.
#[derive(Clone, Copy)]
struct Before<'a> {
    hop: &'a trace::Hop,
    tuple: Tuple,
    depth: usize,
}

/// Room for a hop's lists.
#[derive(Default)]
struct Scratch {
    /// The points that ran at a hop and saw none of its packets.
    silent: Vec<usize>,
    rewrites: Vec<Rewrite>,
    points: Vec<u64>,
    evidence: Vec<u64>,
}

/// The numbers in the ids of evidence, each once, in the order given.
fn ranks(ev: &[Ev], used: &Used) -> Vec<u64> {
    let mut ranks = Vec::with_capacity(ev.len());
    rank(ev, used, &mut ranks);
    ranks
}

fn rank(ev: &[Ev], used: &Used, ranks: &mut Vec<u64>) {
    ranks.clear();
    for rank in ev.iter().filter_map(|ev| Some(used.rank(*ev)? + 1)) {
        if !ranks.contains(&rank) {
            ranks.push(rank);
        }
    }
}

/// Port 0 stands for "none" and for "not to be known".
fn port_of(port: u16, protocol: Protocol) -> Option<u16> {
    (matches!(protocol, Protocol::Tcp | Protocol::Udp | Protocol::Sctp) && port != 0).then_some(port)
}

fn link_kind(inv: &Inventory, a: &trace::Hop, b: &trace::Hop) -> Option<&'static str> {
    let is_router = |h: &trace::Hop| h.owner.starts_with("router:");
    if a.owner == b.owner {
        return None;
    }
    let pair = |pod: &trace::Hop, node: &trace::Hop| {
        inv.pods.get(&pod.owner).is_some_and(|p| node.interface.as_deref().is_some_and(|i| i.ends_with(&format!("/{}", p.veth))))
    };
    if pair(a, b) || pair(b, a) {
        return Some("veth_pair");
    }
    if is_router(a) || is_router(b) || a.interface.is_none() || b.interface.is_none() {
        return Some("routed");
    }
    Some("same_segment")
}

fn link_name(link: u32) -> String {
    match link {
        0 => "null",
        1 => "ethernet",
        12 | 14 | 101 => "raw",
        108 => "loop",
        113 => "linux_sll",
        228 => "ipv4",
        229 => "ipv6",
        276 => "linux_sll2",
        other => return format!("linktype {other}"),
    }
    .to_owned()
}
