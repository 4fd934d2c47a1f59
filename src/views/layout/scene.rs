//! The chosen paths as ports, wires, blocks and containers, numbered by first appearance.
//! Knows the report; must not know sizes or places.

use std::collections::{BTreeMap, BTreeSet};

use super::{Badge, Change, ChangeKind, Selection};
use crate::order;
use crate::report::{DirectionPath, EntityKind, Hop, Path, Rewrite, Verdict, Way};
use crate::views::escape::inert;
use crate::views::words::{self, Book};

/// Everything to draw, without places.
pub(super) struct Scene<'a> {
    pub(super) book: &'a Book<'a>,
    /// One path: each hop gets its own line through a port, and labels say what changes.
    pub(super) is_single: bool,
    pub(super) ports: Vec<Port<'a>>,
    pub(super) wires: Vec<Wire<'a>>,
    pub(super) blocks: Vec<Block<'a>>,
    pub(super) containers: Vec<Container<'a>>,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) badges: Vec<Badge>,
}

/// An interface, or a device whose interfaces nobody knows.
pub(super) struct Port<'a> {
    pub(super) owner: &'a str,
    pub(super) interface: Option<&'a str>,
    pub(super) block: usize,
    /// Index into the block's `inner`; `None`: the block's own.
    pub(super) inner: Option<usize>,
    pub(super) observed: bool,
    pub(super) capture_points: BTreeSet<&'a str>,
    pub(super) evidence: BTreeSet<&'a str>,
    /// The hops here, request before reply (one path only).
    pub(super) visits: BTreeSet<(bool, usize)>,
}

/// From one hop to the next.
pub(super) struct Wire<'a> {
    pub(super) id: String,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) way: Way,
    pub(super) from_hop: usize,
    pub(super) to_hop: usize,
    pub(super) paths: Vec<&'a str>,
    pub(super) observed: bool,
    /// Packets were lost on it, just after its beginning.
    pub(super) is_loss: bool,
    pub(super) is_beyond_loss: bool,
    /// Of a stump: the port that packets had come from.
    pub(super) before: Option<usize>,
    pub(super) confidence: f64,
    pub(super) evidence: Vec<&'a str>,
    pub(super) changes: Vec<Change>,
}

impl Wire<'_> {
    /// A stump: packets left the port and nothing more is known of them.
    pub(super) fn is_stump(&self) -> bool {
        self.from_hop == self.to_hop
    }
}

/// What stands by itself in a container: a node with its pods, a router, a load balancer.
pub(super) struct Block<'a> {
    pub(super) id: &'a str,
    pub(super) container: Option<usize>,
    /// Pods on a node, by first appearance.
    pub(super) inner: Vec<&'a str>,
    pub(super) ports: Vec<usize>,
    /// The earliest place that it has on any request; for what stands on replies only, on any reply, counted from its end.
    pub(super) position: usize,
    is_on_request: bool,
}

/// A VPC, zone or subnet.
pub(super) struct Container<'a> {
    pub(super) id: &'a str,
    pub(super) parent: Option<usize>,
    /// 1 for what holds blocks only, and one more than the highest container inside.
    pub(super) level: i32,
}

pub(super) fn gather<'a>(book: &'a Book<'a>, mut paths: Vec<&'a Path>, selection: &Selection) -> Scene<'a> {
    // p2 before p10.
    order::sort_by(&mut paths, |a, b| (a.id.len(), &a.id).cmp(&(b.id.len(), &b.id)));
    let mut g = Gather {
        scene: empty(book, selection),
        ports: BTreeMap::new(),
        blocks: BTreeMap::new(),
        containers: BTreeMap::new(),
        wires: BTreeMap::new(),
    };
    for path in &paths {
        for way in [Way::Request, Way::Reply] {
            if selection.way.is_none_or(|w| w == way) {
                for d in path.directions.iter().filter(|d| d.direction == way) {
                    g.direction(path, d);
                }
            }
        }
    }
    let mut scene = g.scene;
    set_levels(&mut scene);
    describe(&mut scene, &paths, selection);
    scene
}

fn empty<'a>(book: &'a Book<'a>, selection: &Selection) -> Scene<'a> {
    Scene {
        book,
        is_single: selection.path.is_some(),
        ports: Vec::new(),
        wires: Vec::new(),
        blocks: Vec::new(),
        containers: Vec::new(),
        title: String::new(),
        description: String::new(),
        badges: Vec::new(),
    }
}

struct Gather<'a> {
    scene: Scene<'a>,
    ports: BTreeMap<(&'a str, Option<&'a str>), usize>,
    blocks: BTreeMap<&'a str, usize>,
    containers: BTreeMap<&'a str, usize>,
    wires: BTreeMap<(usize, usize, bool), usize>,
}

impl<'a> Gather<'a> {
    fn direction(&mut self, path: &'a Path, d: &'a DirectionPath) {
        if self.scene.is_single {
            let text = self.scene.book.verdict(d);
            self.scene.badges.push(Badge { direction: d.direction, verdict: d.verdict, text });
        }
        let lost_after = if d.verdict == Verdict::Lost { d.lost_after.and_then(|l| usize::try_from(l).ok()) } else { None };
        let is_reply = d.direction == Way::Reply;
        let mut ttl = None;
        let mut before: Option<(usize, &Hop)> = None;
        let mut one_before = None;
        let count = d.hops.len() + d.beyond.len();
        for (n, hop) in d.all_hops().enumerate() {
            let port = self.port(hop);
            let block = &mut self.scene.blocks[self.scene.ports[port].block];
            if !is_reply {
                let earlier = if block.is_on_request { block.position } else { usize::MAX };
                block.position = earlier.min(n);
                block.is_on_request = true;
            } else if !block.is_on_request {
                block.position = block.position.min(count - 1 - n);
            }
            let p = &mut self.scene.ports[port];
            p.observed |= hop.observed;
            p.capture_points.extend(hop.capture_points.iter().map(String::as_str));
            p.evidence.extend(hop.evidence.iter().map(String::as_str));
            if self.scene.is_single {
                p.visits.insert((is_reply, n));
            }
            if let Some((from, last)) = before {
                // What would have changed beyond a loss is the model's word alone: the table has it.
                let changes = if self.scene.is_single && n < d.hops.len() { changes(last, hop, ttl) } else { Vec::new() };
                self.wire(Wire {
                    id: format!("{}/{}/{n}", path.id, words::way(d.direction)),
                    from,
                    to: port,
                    way: d.direction,
                    from_hop: n - 1,
                    to_hop: n,
                    paths: vec![&path.id],
                    observed: last.observed && hop.observed,
                    is_loss: lost_after == Some(n - 1),
                    is_beyond_loss: lost_after.is_some_and(|l| l < n),
                    before: None,
                    confidence: hop.confidence,
                    evidence: hop.evidence.iter().map(String::as_str).collect(),
                    changes,
                });
            }
            ttl = hop.ttl.or(ttl);
            one_before = before.map(|b| b.0);
            before = Some((port, hop));
        }
        if let (Some((from, last)), Some(n)) = (before, count.checked_sub(1))
            && lost_after == Some(n)
        {
            self.wire(Wire {
                id: format!("{}/{}/{n}/lost", path.id, words::way(d.direction)),
                from,
                to: from,
                way: d.direction,
                from_hop: n,
                to_hop: n,
                paths: vec![&path.id],
                observed: last.observed,
                is_loss: true,
                is_beyond_loss: false,
                before: one_before,
                confidence: last.confidence,
                evidence: last.evidence.iter().map(String::as_str).collect(),
                changes: Vec::new(),
            });
        }
    }

    /// On the map of all paths, wires between the same two ports are one.
    fn wire(&mut self, wire: Wire<'a>) {
        if !self.scene.is_single {
            // A packet that leaves by the interface it came in by shows no line of its own on the map.
            if wire.from == wire.to && !wire.is_stump() {
                return;
            }
            match self.wires.entry((wire.from, wire.to, wire.way == Way::Reply)) {
                std::collections::btree_map::Entry::Occupied(known) => {
                    let known = &mut self.scene.wires[*known.get()];
                    if known.paths.last() != wire.paths.last() {
                        known.paths.extend(wire.paths);
                    }
                    known.observed |= wire.observed;
                    known.is_loss |= wire.is_loss;
                    known.is_beyond_loss &= wire.is_beyond_loss;
                    known.confidence = known.confidence.max(wire.confidence);
                    return;
                }
                std::collections::btree_map::Entry::Vacant(free) => {
                    free.insert(self.scene.wires.len());
                }
            }
        }
        self.scene.wires.push(wire);
    }

    fn port(&mut self, hop: &'a Hop) -> usize {
        let key = (hop.owner.as_str(), hop.interface.as_deref());
        if let Some(known) = self.ports.get(&key) {
            return *known;
        }
        let index = self.scene.ports.len();
        self.ports.insert(key, index);
        let (block, inner) = self.home(&hop.owner);
        self.scene.blocks[block].ports.push(index);
        self.scene.ports.push(Port {
            owner: key.0,
            interface: key.1,
            block,
            inner,
            observed: false,
            capture_points: BTreeSet::new(),
            evidence: BTreeSet::new(),
            visits: BTreeSet::new(),
        });
        index
    }

    /// The block that `owner` stands in, and its place in that block if it is not the block itself.
    fn home(&mut self, owner: &'a str) -> (usize, Option<usize>) {
        let mut chain = vec![owner];
        let mut id = owner;
        while let Some(parent) = self.scene.book.entity(id).and_then(|e| e.parent.as_deref()) {
            // Reports come from files too, so a parent may be its own child.
            if chain.contains(&parent) || chain.len() > DEEPEST {
                break;
            }
            chain.push(parent);
            id = parent;
        }
        let is_container =
            |id: &&str| matches!(self.scene.book.kind(id), EntityKind::Vpc | EntityKind::AvailabilityZone | EntityKind::Subnet);
        // The owner of a hop is never a container, whatever it calls itself.
        let outside = chain.iter().skip(1).position(is_container).map_or(chain.len(), |n| n + 1);
        let containers: Vec<&str> = chain[outside..].iter().copied().filter(|id| is_container(id)).collect();
        let container = self.container(&containers);
        let id = chain[outside - 1];
        let block = *self.blocks.entry(id).or_insert_with(|| {
            self.scene.blocks.push(Block {
                id,
                container,
                inner: Vec::new(),
                ports: Vec::new(),
                position: usize::MAX,
                is_on_request: false,
            });
            self.scene.blocks.len() - 1
        });
        if outside < 2 {
            return (block, None);
        }
        let inner = &mut self.scene.blocks[block].inner;
        let child = chain[outside - 2];
        let index = inner.iter().position(|i| *i == child).unwrap_or_else(|| {
            inner.push(child);
            inner.len() - 1
        });
        (block, Some(index))
    }

    /// The innermost of `chain` (innermost first), made with all around it where it is new.
    fn container(&mut self, chain: &[&'a str]) -> Option<usize> {
        let mut parent = None;
        for id in chain.iter().rev() {
            let scene = &mut self.scene;
            let index = *self.containers.entry(id).or_insert_with(|| {
                scene.containers.push(Container { id, parent, level: 1 });
                scene.containers.len() - 1
            });
            parent = Some(index);
        }
        parent
    }
}

/// Containment deeper than this is damage.
const DEEPEST: usize = 16;

fn set_levels(scene: &mut Scene<'_>) {
    // Parents are made before their children, so from the back every child is settled before its parent asks.
    for n in (0..scene.containers.len()).rev() {
        let level = scene.containers[n].level;
        if let Some(p) = scene.containers[n].parent {
            let parent = &mut scene.containers[p].level;
            *parent = (level + 1).max(*parent);
        }
    }
}

/// What a label says about `hop`, which follows `before`; `ttl` is the last one known.
fn changes(before: &Hop, hop: &Hop, ttl: Option<u8>) -> Vec<Change> {
    let mut lines = Vec::new();
    let mut push = |kind, text: String| lines.push(Change { kind, text });
    for r in &hop.rewrites {
        match r {
            Rewrite::Mac => {
                let mac = |m: &Option<String>| m.as_deref().map_or("?".to_owned(), inert);
                push(ChangeKind::Mac, format!("MAC {}", mac(&hop.src_mac)));
                push(ChangeKind::Mac, format!("  → {}", mac(&hop.dst_mac)));
            }
            Rewrite::Ttl => match (ttl, hop.ttl) {
                (Some(was), Some(is)) => push(ChangeKind::Ttl, format!("TTL {was} → {is}")),
                (None, Some(is)) => push(ChangeKind::Ttl, format!("TTL → {is}")),
                _ => push(ChangeKind::Ttl, "TTL falls".to_owned()),
            },
            Rewrite::Snat => {
                push(ChangeKind::Nat, format!("SNAT {}", words::socket(before.src_ip.as_deref(), before.src_port)));
                push(ChangeKind::Nat, format!("   → {}", words::socket(hop.src_ip.as_deref(), hop.src_port)));
            }
            Rewrite::Dnat => {
                push(ChangeKind::Nat, format!("DNAT {}", words::socket(before.dst_ip.as_deref(), before.dst_port)));
                push(ChangeKind::Nat, format!("   → {}", words::socket(hop.dst_ip.as_deref(), hop.dst_port)));
            }
            Rewrite::Encap => {
                for e in hop.encapsulation.iter().filter(|e| !before.encapsulation.contains(e)) {
                    push(ChangeKind::Tunnel, format!("into {}", tunnel(e)));
                    if e.outer_src.is_some() || e.outer_dst.is_some() {
                        push(ChangeKind::Tunnel, format!("  {}", words::socket(e.outer_src.as_deref(), None)));
                        push(ChangeKind::Tunnel, format!("  → {}", words::socket(e.outer_dst.as_deref(), None)));
                    }
                }
            }
            Rewrite::Decap => {
                for e in before.encapsulation.iter().filter(|e| !hop.encapsulation.contains(e)) {
                    push(ChangeKind::Tunnel, format!("out of {}", tunnel(e)));
                }
            }
        }
    }
    if let Some(delay) = hop.delay_ns {
        let sign = if delay < 0 { "" } else { "+" };
        let about = if hop.delay_range_ns.is_some() { "≈" } else { "" };
        push(ChangeKind::Delay, format!("{about}{sign}{}", words::duration(delay)));
    }
    lines
}

fn tunnel(e: &crate::report::Encapsulation) -> String {
    let kind = inert(&e.kind);
    e.vni.map_or(kind.clone(), |vni| format!("{kind} {vni}"))
}

fn describe(scene: &mut Scene<'_>, paths: &[&Path], selection: &Selection) {
    entitle(scene, paths, selection);
    if let Some(sampling) = &scene.book.report.sampling {
        scene.title = format!("{} ({})", scene.title, words::sampling(sampling));
    }
}

fn entitle(scene: &mut Scene<'_>, paths: &[&Path], selection: &Selection) {
    let book = &scene.book;
    if !scene.is_single {
        scene.title = format!("All {}", words::count(paths.len() as u64, "path"));
        let blocks: Vec<String> = scene.blocks.iter().map(|b| book.name(b.id)).collect();
        scene.description = format!("The paths cross {}.", blocks.join(", "));
        return;
    }
    let Some(path) = paths.first() else {
        scene.title = "No such path".to_owned();
        return;
    };
    scene.title = format!("{}: {}", inert(&path.id), book.flow(&path.flow));
    let mut sentences = Vec::new();
    let chosen = [Way::Request, Way::Reply].into_iter().filter(|w| selection.way.is_none_or(|only| only == *w));
    for d in chosen.flat_map(|way| path.directions.iter().filter(move |d| d.direction == way)) {
        let hops: Vec<String> =
            d.hops.iter().map(|h| format!("{}{}", book.place(h), if h.observed { "" } else { " (not captured)" })).collect();
        sentences.push(format!("The {} crosses {}. It is {}.", words::way(d.direction), hops.join(", then "), book.verdict(d)));
        let beyond: Vec<String> =
            d.beyond.iter().map(|h| format!("{} ({})", book.place(h), words::unseen(!h.capture_points.is_empty()))).collect();
        if !beyond.is_empty() {
            sentences.push(format!("It was on its way to {}.", beyond.join(", then ")));
        }
    }
    scene.description = sentences.join(" ");
}

impl Scene<'_> {
    /// How far from a port's middle the line of its hop runs: requests above, replies below, the first pair nearest. A hop's line
    /// enters and leaves a card at the same height. Replies count from their last hop, so that each runs beside its request.
    pub(super) fn offset(&self, port: usize, is_reply: bool, hop: usize) -> i32 {
        let visits = &self.ports[port].visits;
        let rank = if is_reply {
            visits.iter().rev().filter(|v| v.0).position(|v| v.1 == hop)
        } else {
            visits.iter().filter(|v| !v.0).position(|v| v.1 == hop)
        };
        let distance = 4 + 8 * rank.unwrap_or(0) as i32;
        if is_reply { distance } else { -distance }
    }
}
