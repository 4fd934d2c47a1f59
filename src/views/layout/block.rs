//! The inside of a block: pods on one side, the host's network with a card for each interface, wires between them.
//! Knows one block at a time; must not know where on the picture it stands.
//!
//! From left to right: pods, channel, left cards, channel, right cards, channel, pods. Each interface and each pod has a slot, and slots
//! with the same number stand at the same height on both sides, so what is wired straight through is drawn straight.

use std::collections::{BTreeMap, BTreeSet};

use super::grid::Grid;
use super::scene::{Scene, Wire};
use super::{Area, AreaKind, LINE, Mark, Point, Port, Rect, Text, TextStyle, text_width};
use crate::order;
use crate::report::{EntityKind, Way};
use crate::views::escape::inert;
use crate::views::words;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Left,
    Right,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Left => 0,
            Self::Right => 1,
        }
    }
}

/// What stands on which side of which block.
pub(super) struct Plan {
    /// Nothing inside and one port: a plain box, to which wires come from both sides.
    is_simple: bool,
    /// Left and right.
    slots: [Vec<Slot>; 2],
    /// Side and slot of each of the block's ports, a pod's ports included.
    seat: BTreeMap<usize, (Side, usize)>,
    pod_side: Vec<Side>,
    /// The slot by which a pod's wires pass the host's border where no card of its own stands.
    passage: BTreeMap<usize, usize>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    /// An interface of the host itself.
    card: Option<usize>,
    pod: Option<usize>,
    /// That pod's interface at this height.
    pod_card: Option<usize>,
}

impl Plan {
    /// The side on which a wire between `port` and a block in `other_column` leaves this block.
    pub(super) fn outside(&self, port: usize, column: usize, other_column: usize) -> Side {
        match self.seat.get(&port) {
            Some((side, _)) if !self.is_simple => *side,
            _ if other_column < column => Side::Left,
            _ => Side::Right,
        }
    }
}

impl Plan {
    /// The number of a port's slot.
    pub(super) fn slot(&self, port: usize) -> usize {
        self.seat.get(&port).map_or(0, |s| s.1)
    }
}

pub(super) fn plan(scene: &Scene<'_>, grid: &Grid) -> Vec<Plan> {
    let mut by_block: Vec<Vec<&Wire<'_>>> = scene.blocks.iter().map(|_| Vec::new()).collect();
    for w in &scene.wires {
        let (a, b) = (scene.ports[w.from].block, scene.ports[w.to].block);
        by_block[a].push(w);
        if a != b {
            by_block[b].push(w);
        }
    }
    (0..scene.blocks.len()).map(|b| plan_one(scene, grid, b, &by_block[b])).collect()
}

fn plan_one(scene: &Scene<'_>, grid: &Grid, b: usize, wires: &[&Wire<'_>]) -> Plan {
    let block = &scene.blocks[b];
    let is_within = |w: &&&Wire<'_>| !w.is_stump() && scene.ports[w.from].block == scene.ports[w.to].block;
    // What is lost in a host is lost inside it; other devices have no inside to show.
    let is_host = scene.book.kind(block.id) == EntityKind::Node;
    let mut plan = Plan {
        is_simple: block.inner.is_empty() && block.ports.len() == 1 && !wires.iter().any(|w| is_within(&w) || (is_host && w.is_stump())),
        slots: [Vec::new(), Vec::new()],
        seat: BTreeMap::new(),
        pod_side: vec![Side::Left; block.inner.len()],
        passage: BTreeMap::new(),
    };
    if plan.is_simple {
        plan.slots[0].push(Slot { card: block.ports.first().copied(), ..Slot::default() });
        plan.seat.extend(block.ports.iter().map(|p| (*p, (Side::Left, 0))));
        return plan;
    }
    // Where each port's wires go: outwards (and to which side), and to which pods.
    let own_column = grid.blocks[b].0;
    let mut votes: BTreeMap<usize, (i32, bool)> = BTreeMap::new();
    let mut pods: BTreeMap<usize, usize> = BTreeMap::new();
    for w in wires {
        for (port, other) in [(w.from, w.to), (w.to, w.from)] {
            let (p, o) = (&scene.ports[port], &scene.ports[other]);
            if p.block != b || p.inner.is_some() {
                continue;
            }
            if o.block != b {
                let is_right = grid.blocks[o.block].0 >= own_column;
                let vote = votes.entry(port).or_insert((0, is_right));
                vote.0 += if is_right { 1 } else { -1 };
            } else if let Some(pod) = o.inner {
                pods.entry(port).or_insert(pod);
            }
        }
    }
    let side_of_votes = |v: &(i32, bool)| match v.0 {
        // Of one path the request is read first: where it comes in or goes out decides.
        _ if scene.is_single => {
            if v.1 {
                Side::Right
            } else {
                Side::Left
            }
        }
        0 if v.1 => Side::Right,
        0 => Side::Left,
        n if n > 0 => Side::Right,
        _ => Side::Left,
    };
    // Pods stand away from the interfaces that lead out. Without any, a pod that sends first stands on the left.
    let balance: i32 = votes.values().map(|v| if side_of_votes(v) == Side::Right { 1 } else { -1 }).sum();
    let uplinks = if votes.is_empty() { None } else { Some(if balance >= 0 { Side::Right } else { Side::Left }) };
    for pod in 0..block.inner.len() {
        let is_pod = |port: usize| scene.ports[port].block == b && scene.ports[port].inner == Some(pod);
        let sends_first = wires.iter().find(|w| is_pod(w.from) || is_pod(w.to)).is_none_or(|w| is_pod(w.from));
        plan.pod_side[pod] = uplinks.map_or(if sends_first { Side::Left } else { Side::Right }, Side::other);
    }
    for pod in 0..block.inner.len() {
        seat_pod(scene, b, pod, wires, &votes, &pods, &mut plan);
    }
    for &port in block.ports.iter().filter(|p| scene.ports[**p].inner.is_none()) {
        if plan.seat.contains_key(&port) {
            continue;
        }
        let first_leaves = wires.iter().find(|w| w.from == port || w.to == port).is_none_or(|w| w.from == port);
        let side = votes.get(&port).map_or(if first_leaves { Side::Left } else { Side::Right }, side_of_votes);
        let slots = &mut plan.slots[side.index()];
        plan.seat.insert(port, (side, slots.len()));
        slots.push(Slot { card: Some(port), ..Slot::default() });
    }
    plan
}

/// A pod's slots: its interfaces, each beside the host's end of the same veth pair.
fn seat_pod(
    scene: &Scene<'_>,
    b: usize,
    pod: usize,
    wires: &[&Wire<'_>],
    votes: &BTreeMap<usize, (i32, bool)>,
    pods: &BTreeMap<usize, usize>,
    plan: &mut Plan,
) {
    let block = &scene.blocks[b];
    let side = plan.pod_side[pod];
    // An interface that also leads out stands with those that lead out.
    let mut host: Vec<usize> =
        block.ports.iter().copied().filter(|p| pods.get(p) == Some(&pod) && !votes.contains_key(p) && !plan.seat.contains_key(p)).collect();
    let own: Vec<usize> = block.ports.iter().copied().filter(|p| scene.ports[*p].inner == Some(pod)).collect();
    let mut group = Vec::new();
    for p in own {
        let partner = host.iter().position(|h| wires.iter().any(|w| (w.from, w.to) == (p, *h) || (w.to, w.from) == (p, *h)));
        group.push(Slot { card: partner.map(|i| host.remove(i)), pod: Some(pod), pod_card: Some(p) });
    }
    group.extend(host.into_iter().map(|h| Slot { card: Some(h), pod: Some(pod), pod_card: None }));
    let start = plan.slots[side.index()].len();
    let cards: BTreeSet<usize> = order::set(group.iter().filter_map(|s| s.card));
    let is_mine = |port: usize| scene.ports[port].block == b && scene.ports[port].inner == Some(pod);
    let passes = wires.iter().any(|w| {
        let (p, o) = if is_mine(w.from) { (w.from, w.to) } else { (w.to, w.from) };
        is_mine(p) && scene.ports[o].block == b && !is_mine(o) && !cards.contains(&o)
    });
    if passes {
        // A slot without a card is a passage already.
        match group.iter().position(|s| s.card.is_none()) {
            Some(i) => plan.passage.insert(pod, start + i),
            None => {
                group.push(Slot { pod: Some(pod), ..Slot::default() });
                plan.passage.insert(pod, start + group.len() - 1)
            }
        };
    }
    for (i, slot) in group.iter().enumerate() {
        plan.seat.extend(slot.card.into_iter().chain(slot.pod_card).map(|p| (p, (side, start + i))));
    }
    plan.slots[side.index()].extend(group);
}

/// A vertical band in which wires turn: at its left and right border stand what they connect.
#[derive(Clone, Debug, Default)]
struct Channel {
    /// How far a wide label may reach over what stands at the left and at the right: it stands above or below those cards.
    overhang: i32,
    /// Room for labels beside what stands at the left, and at the right.
    zones: [i32; 2],
    /// Which of left and right has labels of requests, and which of replies.
    labelled: [[bool; 2]; 2],
    /// How many wires run vertically side by side.
    tracks: i32,
    least: i32,
    /// Room for labels that stand between the cards, not above them.
    narrow: i32,
}

/// Distance between parallel wires, and of a wire from what it passes.
pub(super) const TRACK: i32 = 10;
/// Distance of a label from its wire.
pub(super) const LABEL_GAP: i32 = 5;

impl Channel {
    fn width(&self) -> i32 {
        let [left, right] = self.zones;
        if self.is_shared() {
            self.least.max(left.max(right) - 2 * self.overhang).max(self.narrow)
        } else {
            self.least.max(left + right + (self.tracks + 1) * TRACK)
        }
    }

    /// Where track `n` runs, from the channel's left border.
    fn track(&self, n: i32) -> i32 {
        // What is left over stands beside the zone that has no label.
        let slack = self.width() - (self.zones[0] + self.zones[1] + (self.tracks + 1) * TRACK);
        self.zones[0] + slack / 2 + (n + 1) * TRACK
    }

    /// Left end of a label as wide as `width` for what stands at `side`.
    fn label(&self, side: Side, width: i32) -> i32 {
        match side {
            _ if self.is_shared() => (self.width() - width) / 2,
            Side::Left => (self.zones[0] - width) / 2,
            Side::Right => self.width() - self.zones[1] + (self.zones[1] - width) / 2,
        }
    }

    /// Without vertical wires both sides' labels share the room, unless they would meet on the same side of the wires.
    fn is_shared(&self) -> bool {
        self.tracks == 0 && !self.labelled.contains(&[true, true])
    }

    fn make_room(&mut self, side: Side, width: i32, is_reply: bool) {
        self.labelled[usize::from(is_reply)][side.index()] = true;
        let room = width + 2 * LABEL_GAP;
        let zone = &mut self.zones[side.index()];
        *zone = (*zone).max(room);
        if width <= NARROW {
            self.narrow = self.narrow.max(room);
        }
    }
}

/// The size of a label with these lines.
pub(super) fn label_size(w: &Wire<'_>) -> (i32, i32) {
    let width = w.changes.iter().map(|c| text_width(&c.text, TextStyle::Address)).max().unwrap_or(0);
    (width + 6, w.changes.len() as i32 * LINE + 3)
}

/// Part of a wire inside a block: from one border of a channel to another or back to the same.
struct Piece {
    wire: usize,
    channel: usize,
    from: (Side, i32),
    to: (Side, i32),
    /// The label stands at the end of the last piece.
    label_slot: Option<usize>,
}

impl Piece {
    fn is_straight(&self) -> bool {
        self.from.0 != self.to.0 && self.from.1 == self.to.1
    }
}

/// A block with sizes. Heights count from the first slot's middle, widths from the block's left edge.
pub(super) struct Inside {
    pub(super) width: i32,
    pub(super) above: i32,
    pub(super) below: i32,
    ys: Vec<i32>,
    /// Above and below each slot's middle, labels not counted.
    half: Vec<i32>,
    reach: Vec<i32>,
    channels: [Channel; 3],
    channel_x: [i32; 3],
    card_width: [i32; 2],
    pod_width: [i32; 2],
    pod_x: [i32; 2],
    pieces: Vec<(Piece, i32)>,
    /// Labels of wires that come in from outside: wire, side, top (relative).
    pub(super) outer_labels: Vec<(usize, Side, i32)>,
    inner_labels: Vec<(usize, usize, Side, i32)>,
    title: Vec<(TextStyle, String)>,
    network_above: i32,
    network_below: i32,
}

/// Room inside a border.
const PAD: i32 = 8;
/// Room for the word above a host's network.
const NETWORK_TITLE: i32 = 18;
const CARD_HALF: i32 = 18;
const SLOT_GAP: i32 = 10;
/// The shortest piece of wire that shows its arrow.
const LEAST: i32 = 34;
/// A label of at most this width stands beside its wire, between the cards that it joins; a wider one clears the cards' height, so that it
/// may reach over them and need not push them apart.
const NARROW: i32 = 60;

impl Inside {
    /// `ends`: wires from other blocks that end here, with the side that they come in by.
    pub(super) fn measure(scene: &Scene<'_>, plan: &Plan, b: usize, within: &[usize], ends: &[(usize, Side)]) -> Self {
        let slots = plan.slots[0].len().max(plan.slots[1].len()).max(1);
        let mut inside = Self {
            width: 0,
            above: 0,
            below: 0,
            ys: Vec::new(),
            half: vec![CARD_HALF; slots],
            reach: vec![4; slots],
            channels: [Channel::default(), Channel::default(), Channel::default()],
            channel_x: [0; 3],
            card_width: [0; 2],
            pod_width: [0; 2],
            pod_x: [0; 2],
            pieces: Vec::new(),
            outer_labels: Vec::new(),
            inner_labels: Vec::new(),
            title: title(scene, scene.blocks[b].id),
            network_above: 0,
            network_below: 0,
        };
        for (port, (_, slot)) in &plan.seat {
            let reach =
                scene.ports[*port].visits.iter().map(|(is_reply, hop)| scene.offset(*port, *is_reply, *hop).abs()).max().unwrap_or(4);
            inside.reach[*slot] = inside.reach[*slot].max(reach);
            inside.half[*slot] = inside.half[*slot].max(reach + 8);
        }
        if plan.is_simple {
            inside.measure_simple(scene, plan, ends);
        } else {
            inside.measure_node(scene, plan, b, within, ends);
        }
        inside
    }

    fn measure_simple(&mut self, scene: &Scene<'_>, plan: &Plan, ends: &[(usize, Side)]) {
        let port = plan.slots[0].first().and_then(|s| s.card);
        if port.is_some_and(|p| scene.ports[p].interface.is_none() && !scene.ports[p].observed) {
            self.title.push((TextStyle::Remark, "not captured".to_owned()));
        }
        let text = self.title.iter().map(|(style, t)| text_width(t, *style)).max().unwrap_or(0);
        self.width = (text + 2 * PAD + 4).max(96);
        let height = title_height(&self.title);
        let mut stacks = Stacks::default();
        for &(w, side) in ends {
            stacks.add(self, scene, w, (OUTER + side.index(), side, 0));
        }
        if let Some(p) = port.filter(|p| scene.ports[*p].interface.is_some()) {
            self.card_width[0] = card_width(scene, p).max(self.width - 2 * PAD) + 2 * PAD;
            self.width = self.card_width[0];
            self.above = self.half[0] + height + PAD;
            self.below = self.half[0] + PAD;
        } else {
            let half = ((height + 1) / 2 + PAD).max(self.reach[0] + PAD);
            self.above = half;
            self.below = half;
        }
        let (above, below) = stacks.extent(0);
        self.ys = vec![0];
        self.outer_labels = stacks.outer(self, scene);
        self.network_above = self.above;
        self.network_below = self.below;
        self.above = self.above.max(above);
        self.below = self.below.max(below);
    }

    fn measure_node(&mut self, scene: &Scene<'_>, plan: &Plan, b: usize, within: &[usize], ends: &[(usize, Side)]) {
        let block = &scene.blocks[b];
        let has_pods = !block.inner.is_empty();
        for side in [Side::Left, Side::Right] {
            let s = side.index();
            for slot in &plan.slots[s] {
                self.card_width[s] = self.card_width[s].max(slot.card.map_or(0, |p| card_width(scene, p)));
                if let Some(pod) = slot.pod {
                    let text =
                        title(scene, block.inner[pod]).iter().map(|(style, t)| text_width(t, *style)).max().unwrap_or(0) + 2 * PAD + 4;
                    let card = slot.pod_card.map_or(0, |p| card_width(scene, p)) + PAD;
                    self.pod_width[s] = self.pod_width[s].max(text).max(card);
                }
            }
        }
        // Heights: labels first, since slots make room for them; the pieces' heights need the slots' in turn.
        let mut stacks = Stacks::default();
        for &(w, side) in ends {
            if let Some((_, slot)) = plan.seat.get(&scene.wires[w].to) {
                stacks.add(self, scene, w, (OUTER + side.index(), side, *slot));
            }
        }
        self.ys = vec![0; self.half.len()];
        for &w in within {
            if let Some((channel, side, slot)) =
                pieces(scene, plan, w, &self.ys).last().and_then(|p| Some((p.channel, p.to.0, p.label_slot?)))
            {
                stacks.add(self, scene, w, (channel, side, slot));
            }
        }
        let mut y = 0;
        let mut last_below = 0;
        for i in 0..self.half.len() {
            let (mut above, mut below) = stacks.extent(i);
            for slots in &plan.slots {
                let Some(slot) = slots.get(i) else { continue };
                above = above.max(self.half[i]);
                below = below.max(self.half[i]);
                if let Some(pod) = slot.pod {
                    if i == 0 || slots.get(i - 1).is_none_or(|before| before.pod != Some(pod)) {
                        above = above.max(self.half[i] + title_height(&title(scene, block.inner[pod])) + PAD);
                    }
                    if slots.get(i + 1).is_none_or(|after| after.pod != Some(pod)) {
                        below = below.max(self.half[i] + PAD);
                    }
                }
            }
            if i == 0 {
                self.network_above = above + 4;
            } else {
                y += last_below + SLOT_GAP + above;
            }
            self.ys[i] = y;
            last_below = below;
        }
        self.network_below = y + last_below + 4;
        for &w in within {
            for p in pieces(scene, plan, w, &self.ys) {
                self.pieces.push((p, 0));
            }
        }
        self.lay_tracks(scene);
        self.outer_labels = stacks.outer(self, scene);
        self.inner_labels = stacks.inner(self, scene);
        for (channel, side, width, is_reply) in stacks.widths(scene) {
            self.channels[channel].make_room(side, width, is_reply);
        }
        // Widths, from the left.
        let has_side = |s: usize| self.pod_width[s] > 0;
        self.channels[0].least = if has_side(0) { LEAST } else { 0 };
        self.channels[2].least = if has_side(1) { LEAST } else { 0 };
        self.channels[HOST].least = LEAST + TRACK;
        self.channels[HOST].overhang = (self.card_width[0].min(self.card_width[1]) - LABEL_GAP).max(0);
        // A host's network keeps off the node's border.
        let mut x = if has_pods { PAD } else { 0 };
        self.pod_x[0] = x;
        x += self.pod_width[0];
        self.channel_x[0] = x;
        x += self.channels[0].width();
        x += self.card_width[0];
        self.channel_x[HOST] = x;
        x += self.channels[HOST].width();
        x += self.card_width[1];
        self.channel_x[2] = x;
        x += self.channels[2].width();
        self.pod_x[1] = x;
        x += self.pod_width[1];
        x += if has_pods { PAD } else { 0 };
        let title_width = self.title.iter().map(|(style, t)| text_width(t, *style)).max().unwrap_or(0) + 2 * PAD;
        if title_width > x {
            self.channels[HOST].least = self.channels[HOST].width() + title_width - x;
            let more = title_width - x;
            self.channel_x[2] += more;
            self.pod_x[1] += more;
            x = title_width;
        }
        self.width = x;
        if has_pods {
            self.network_above += NETWORK_TITLE;
        }
        self.above = self.network_above + title_height(&self.title) + PAD;
        self.below = self.network_below + if has_pods { PAD } else { 0 };
    }

    /// Vertical pieces side by side: in each channel the first free track, short ones first, so that they nest. On the map of all paths
    /// the wires that leave a port in the same direction share one.
    fn lay_tracks(&mut self, scene: &Scene<'_>) {
        for channel in 0..3 {
            let mut bundles: BTreeMap<usize, ((i32, i32), Vec<usize>)> = BTreeMap::new();
            for (i, (p, _)) in self.pieces.iter().enumerate().filter(|(_, (p, _))| p.channel == channel && !p.is_straight()) {
                let w = &scene.wires[p.wire];
                let key = if scene.is_single { i } else { 2 * w.from + usize::from(w.way == Way::Reply) };
                let (top, bottom) = (p.from.1.min(p.to.1) - 3, p.from.1.max(p.to.1) + 3);
                let (span, members) = bundles.entry(key).or_insert(((top, bottom), Vec::new()));
                *span = (span.0.min(top), span.1.max(bottom));
                members.push(i);
            }
            let mut bundles: Vec<_> = bundles.into_values().collect();
            order::sort_by_key(&mut bundles, |((top, bottom), members)| (bottom - top, *top, members.first().copied()));
            let spans: Vec<(i32, i32)> = bundles.iter().map(|b| b.0).collect();
            let tracks = first_free(&spans);
            for ((_, members), track) in bundles.iter().zip(&tracks) {
                for i in members {
                    self.pieces[*i].1 = *track;
                }
            }
            self.channels[channel].tracks = tracks.iter().max().map_or(0, |t| t + 1);
        }
    }

    /// Where a wire outside meets `port`, relative to the block's left edge and the first slot's middle.
    pub(super) fn outer_end(&self, scene: &Scene<'_>, plan: &Plan, port: usize, side: Side, is_reply: bool, hop: usize) -> Point {
        let y = scene.offset(port, is_reply, hop);
        let Some((seat, slot)) = plan.seat.get(&port).filter(|_| !plan.is_simple) else {
            return Point { x: if side == Side::Left { 0 } else { self.width }, y };
        };
        let rect = self.card(scene, plan, port);
        let x = if *seat == Side::Left { rect.x } else { rect.x + rect.w };
        Point { x, y: self.ys[*slot] + y }
    }

    /// A port's card, relative.
    fn card(&self, scene: &Scene<'_>, plan: &Plan, port: usize) -> Rect {
        let Some((side, slot)) = plan.seat.get(&port).copied() else { return Rect::default() };
        let (y, h) = (self.ys[slot] - self.half[slot], 2 * self.half[slot]);
        let s = side.index();
        if plan.is_simple {
            if scene.ports[port].interface.is_some() {
                return Rect { x: 0, y, w: self.width, h };
            }
            return Rect { x: 0, y: -self.network_above, w: self.width, h: self.network_above + self.network_below };
        }
        if scene.ports[port].inner.is_some() {
            let w = card_width(scene, port).min(self.pod_width[s]);
            let x = if side == Side::Left { self.pod_x[0] + self.pod_width[0] - w } else { self.pod_x[1] };
            return Rect { x, y, w, h };
        }
        let w = self.card_width[s];
        let x = if side == Side::Left { self.channel_x[HOST] - w } else { self.channel_x[HOST] + self.channels[HOST].width() };
        Rect { x, y, w, h }
    }

    /// Everything inside, with the block's left edge and first slot's middle at `at`.
    pub(super) fn emit(&self, scene: &Scene<'_>, plan: &Plan, b: usize, at: Point, out: &mut Emitted) {
        let block = &scene.blocks[b];
        let outer = if plan.is_simple {
            Rect { x: at.x, y: at.y - self.network_above, w: self.width, h: self.network_above + self.network_below }
        } else {
            let bottom = if block.inner.is_empty() { 0 } else { PAD };
            let top = self.network_above + title_height(&self.title) + PAD;
            Rect { x: at.x, y: at.y - top, w: self.width, h: top + self.network_below + bottom }
        };
        let parent = block.container.map(|c| inert(scene.containers[c].id));
        let mut area = area(scene, block.id, parent, outer, &self.title);
        area.observed = block.ports.iter().any(|p| scene.ports[*p].observed);
        if plan.is_simple && block.ports.iter().all(|p| scene.ports[*p].interface.is_none()) {
            center(&mut area, &self.title);
        }
        out.areas.push(area);
        let mut host_area = block.id.to_owned();
        if !block.inner.is_empty() {
            host_area = format!("network:{}", block.id);
            let x = self.channel_x[HOST] - self.card_width[0];
            let right = self.channel_x[HOST] + self.channels[HOST].width() + self.card_width[1];
            let rect = Rect { x: at.x + x, y: at.y - self.network_above, w: right - x, h: self.network_above + self.network_below };
            let word = Text { x: rect.x + PAD, y: rect.y + 13, style: TextStyle::Caption, text: "host network".to_owned() };
            out.areas.push(Area {
                id: inert(&host_area),
                entity: block.id.to_owned(),
                parent: Some(inert(block.id)),
                kind: AreaKind::HostNetwork,
                rect,
                texts: vec![word],
                observed: true,
                confidence: scene.book.entity(block.id).map_or(0.0, |e| e.confidence),
                evidence: Vec::new(),
            });
        }
        self.emit_pods(scene, plan, b, at, out);
        for &p in &block.ports {
            let port = &scene.ports[p];
            if plan.is_simple && port.interface.is_none() {
                out.marks.extend(marks(scene, p, outer));
                continue;
            }
            let r = self.card(scene, plan, p);
            let rect = Rect { x: at.x + r.x, y: at.y + r.y, ..r };
            out.marks.extend(marks(scene, p, rect));
            let area = port.inner.map_or(host_area.as_str(), |i| block.inner[i]);
            out.ports.push(Port {
                id: port_id(scene, p),
                interface: port.interface.map(str::to_owned),
                owner: port.owner.to_owned(),
                area: inert(area),
                rect,
                texts: card_texts(scene, p)
                    .into_iter()
                    .enumerate()
                    .map(|(i, (style, text))| Text { x: rect.x + CARD_INDENT, y: rect.y + rect.h / 2 - 3 + 13 * i as i32, style, text })
                    .collect(),
                observed: port.observed,
                capture_points: port.capture_points.iter().map(|c| (*c).to_owned()).collect(),
                evidence: port.evidence.iter().map(|e| (*e).to_owned()).collect(),
            });
        }
        for (p, track) in &self.pieces {
            let channel = &self.channels[p.channel];
            let x = |side: Side| at.x + self.channel_x[p.channel] + if side == Side::Left { 0 } else { channel.width() };
            let (a, b) = (Point { x: x(p.from.0), y: at.y + p.from.1 }, Point { x: x(p.to.0), y: at.y + p.to.1 });
            let line = out.lines.entry(p.wire).or_default();
            // A pod's card may be narrower than the channel's border is far.
            line.push(a);
            if !p.is_straight() {
                let t = at.x + self.channel_x[p.channel] + channel.track(*track);
                line.push(Point { x: t, y: a.y });
                line.push(Point { x: t, y: b.y });
            }
            line.push(b);
        }
        for &(wire, channel, side, top) in &self.inner_labels {
            let (w, h) = label_size(&scene.wires[wire]);
            let x = at.x + self.channel_x[channel] + self.channels[channel].label(side, w);
            out.labels.push((wire, Rect { x, y: at.y + top, w, h }));
        }
    }

    fn emit_pods(&self, scene: &Scene<'_>, plan: &Plan, b: usize, at: Point, out: &mut Emitted) {
        let block = &scene.blocks[b];
        for (pod, id) in block.inner.iter().enumerate() {
            let side = plan.pod_side[pod];
            let slots = &plan.slots[side.index()];
            let (Some(first), Some(last)) = (slots.iter().position(|s| s.pod == Some(pod)), slots.iter().rposition(|s| s.pod == Some(pod)))
            else {
                continue;
            };
            let texts = title(scene, id);
            let top = self.ys[first] - self.half[first] - title_height(&texts) - PAD;
            let bottom = self.ys[last] + self.half[last] + PAD;
            let rect = Rect { x: at.x + self.pod_x[side.index()], y: at.y + top, w: self.pod_width[side.index()], h: bottom - top };
            let mut area = area(scene, id, Some(inert(block.id)), rect, &texts);
            area.observed = block.ports.iter().any(|p| scene.ports[*p].inner == Some(pod) && scene.ports[*p].observed);
            out.areas.push(area);
        }
    }

    /// Where a wire that ends in nothing runs: a stump into the block, or out of it where packets had crossed the block to that port, or
    /// where the block has no inside.
    pub(super) fn stump(&self, scene: &Scene<'_>, plan: &Plan, wire: &Wire<'_>) -> (Point, Point) {
        let port = wire.from;
        let is_reply = wire.way == Way::Reply;
        let y = scene.offset(port, is_reply, wire.from_hop);
        let card = self.card(scene, plan, port);
        let Some((side, slot)) = plan.seat.get(&port) else { return Default::default() };
        let y = self.ys[*slot] + y;
        let is_crossed = scene.ports[port].inner.is_none()
            && wire.before.is_some_and(|before| {
                let p = &scene.ports[before];
                p.block == scene.ports[port].block && (p.inner.is_none() || plan.seat.get(&before).is_some_and(|seat| seat.0 != *side))
            });
        let is_rightward = if plan.is_simple { !is_reply } else { (*side == Side::Left) != is_crossed };
        let (from, to) = if is_rightward { (card.x + card.w, card.x + card.w + STUMP) } else { (card.x, card.x - STUMP) };
        (Point { x: from, y }, Point { x: to, y })
    }
}

/// How far after its beginning a lossy wire is marked, and how far a stump reaches. Channels are wider.
pub(super) const STUMP: i32 = 18;

/// What blocks put on the picture.
#[derive(Default)]
pub(super) struct Emitted {
    pub(super) areas: Vec<Area>,
    pub(super) ports: Vec<Port>,
    /// Corners by wire, in the wire's direction.
    pub(super) lines: BTreeMap<usize, Vec<Point>>,
    pub(super) labels: Vec<(usize, Rect)>,
    pub(super) marks: Vec<Mark>,
}

/// The numbers of a port's hops in one direction, from 1.
fn hop_numbers(scene: &Scene<'_>, port: usize, is_reply: bool) -> (Vec<u32>, String) {
    let hops: Vec<u32> = scene.ports[port].visits.iter().filter(|v| v.0 == is_reply).map(|v| v.1 as u32).collect();
    let text: Vec<String> = hops.iter().map(|h| (h + 1).to_string()).collect();
    (hops, text.join(" "))
}

/// In the right corners of what stands for the port: the request's above, the reply's below.
fn marks(scene: &Scene<'_>, port: usize, rect: Rect) -> impl Iterator<Item = Mark> {
    [Way::Request, Way::Reply].into_iter().filter_map(move |direction| {
        let (hops, text) = hop_numbers(scene, port, direction == Way::Reply);
        let y = if direction == Way::Request { rect.y + 11 } else { rect.y + rect.h - 4 };
        (!hops.is_empty()).then_some(Mark { direction, hops, text, end: Point { x: rect.x + rect.w - 5, y } })
    })
}

/// The pieces of a wire inside a block, in its direction.
fn pieces(scene: &Scene<'_>, plan: &Plan, wire: usize, ys: &[i32]) -> Vec<Piece> {
    let w = &scene.wires[wire];
    let is_reply = w.way == Way::Reply;
    let height = |port: usize, hop: usize, slot: usize| ys[slot] + scene.offset(port, is_reply, hop);
    let (Some(&(from_side, from_slot)), Some(&(to_side, to_slot))) = (plan.seat.get(&w.from), plan.seat.get(&w.to)) else {
        return Vec::new();
    };
    let from_y = height(w.from, w.from_hop, from_slot);
    let to_y = height(w.to, w.to_hop, to_slot);
    let (from_pod, to_pod) = (scene.ports[w.from].inner, scene.ports[w.to].inner);
    let pods_channel = |side: Side| if side == Side::Left { 0 } else { 2 };
    let piece = |channel, from, to, label_slot| Piece { wire, channel, from, to, label_slot };
    let is_beside = |port: usize, pod: usize, side: Side, slot: usize| {
        plan.pod_side[pod] == side && plan.slots[side.index()].get(slot).is_some_and(|s| s.card == Some(port) && s.pod == Some(pod))
    };
    match (from_pod, to_pod) {
        (None, None) => vec![piece(HOST, (from_side, from_y), (to_side, to_y), Some(to_slot))],
        (Some(pod), None) if is_beside(w.to, pod, to_side, to_slot) => {
            vec![piece(pods_channel(from_side), (from_side, from_y), (from_side.other(), to_y), Some(to_slot))]
        }
        (None, Some(pod)) if is_beside(w.from, pod, from_side, from_slot) => {
            vec![piece(pods_channel(to_side), (to_side.other(), from_y), (to_side, to_y), Some(to_slot))]
        }
        (Some(a), Some(b)) if a == b => vec![piece(pods_channel(to_side), (from_side, from_y), (to_side, to_y), Some(to_slot))],
        _ => {
            // By the passages through the host's border.
            let mut list = Vec::new();
            let mut start = (from_side, from_y);
            if let Some(slot) = from_pod.and_then(|p| plan.passage.get(&p)) {
                let y = height(w.from, w.from_hop, *slot);
                list.push(piece(pods_channel(from_side), (from_side, from_y), (from_side.other(), y), None));
                start = (from_side, y);
            }
            match to_pod.and_then(|p| plan.passage.get(&p)) {
                Some(slot) => {
                    let y = height(w.to, w.to_hop, *slot);
                    list.push(piece(HOST, start, (to_side, y), None));
                    list.push(piece(pods_channel(to_side), (to_side.other(), y), (to_side, to_y), Some(to_slot)));
                }
                None => list.push(piece(HOST, start, (to_side, to_y), Some(to_slot))),
            }
            list
        }
    }
}

/// For each span in order, the lowest number that no overlapping earlier span has.
pub(super) fn first_free(spans: &[(i32, i32)]) -> Vec<i32> {
    let mut taken: Vec<Vec<(i32, i32)>> = Vec::new();
    spans
        .iter()
        .map(|&(a, b)| {
            let track = taken.iter().position(|t| t.iter().all(|(c, d)| *d < a || b < *c)).unwrap_or_else(|| {
                taken.push(Vec::new());
                taken.len() - 1
            });
            taken[track].push((a, b));
            track as i32
        })
        .collect()
}

/// The channel between a host's own cards.
const HOST: usize = 1;

/// Pseudo-channels for labels outside the block, left and right.
const OUTER: usize = 3;

/// Labels that end at the same slot and side stand on one another: requests above the wire, replies below.
#[derive(Default)]
struct Stacks {
    /// By slot: the tallest stack above and below.
    slots: BTreeMap<usize, (i32, i32)>,
    heights: BTreeMap<(usize, Side, usize, bool), i32>,
    /// Wire, channel, side, slot, distance of its far edge from the slot's middle.
    placed: Vec<(usize, usize, Side, usize, i32)>,
}

impl Stacks {
    fn add(&mut self, inside: &Inside, scene: &Scene<'_>, wire: usize, (channel, side, slot): (usize, Side, usize)) {
        let w = &scene.wires[wire];
        if w.changes.is_empty() {
            return;
        }
        let is_reply = w.way == Way::Reply;
        let (width, height) = label_size(w);
        let far = self.heights.entry((channel, side, slot, is_reply)).or_insert(inside.reach[slot] + LABEL_GAP);
        if channel == HOST && width > NARROW {
            *far = (*far).max(inside.half[slot] + 2);
        }
        *far += height;
        self.placed.push((wire, channel, side, slot, *far));
        let extent = self.slots.entry(slot).or_default();
        let extent = if is_reply { &mut extent.1 } else { &mut extent.0 };
        *extent = (*extent).max(*far + 2);
    }

    fn extent(&self, slot: usize) -> (i32, i32) {
        self.slots.get(&slot).copied().unwrap_or_default()
    }

    fn top(inside: &Inside, scene: &Scene<'_>, wire: usize, slot: usize, far: i32) -> i32 {
        let w = &scene.wires[wire];
        let y = inside.ys.get(slot).copied().unwrap_or(0);
        if w.way == Way::Reply { y + far - label_size(w).1 } else { y - far }
    }

    fn outer(&self, inside: &Inside, scene: &Scene<'_>) -> Vec<(usize, Side, i32)> {
        let outer = self.placed.iter().filter(|p| p.1 >= OUTER);
        outer.map(|&(w, _, side, slot, far)| (w, side, Self::top(inside, scene, w, slot, far))).collect()
    }

    fn inner(&self, inside: &Inside, scene: &Scene<'_>) -> Vec<(usize, usize, Side, i32)> {
        let inner = self.placed.iter().filter(|p| p.1 < OUTER);
        inner.map(|&(w, channel, side, slot, far)| (w, channel, side, Self::top(inside, scene, w, slot, far))).collect()
    }

    fn widths(&self, scene: &Scene<'_>) -> Vec<(usize, Side, i32, bool)> {
        let inner = self.placed.iter().filter(|p| p.1 < OUTER).map(|&(w, channel, side, ..)| (channel, side, &scene.wires[w]));
        inner.map(|(channel, side, w)| (channel, side, label_size(w).0, w.way == Way::Reply)).collect()
    }
}

/// Room on a card before its text: a mark stands there that says whether it was captured.
const CARD_INDENT: i32 = 16;

fn card_texts(scene: &Scene<'_>, port: usize) -> Vec<(TextStyle, String)> {
    let p = &scene.ports[port];
    let name = p.interface.map_or("interface unknown".to_owned(), |i| scene.book.interface_name(i));
    let mut texts = vec![(TextStyle::Name, shorten(&name, 24))];
    let mac = p.interface.and_then(|i| scene.book.entity(i)).and_then(|e| e.macs.first());
    match mac {
        _ if !p.observed => texts.push((TextStyle::Remark, words::unseen(!p.capture_points.is_empty()).to_owned())),
        Some(mac) if *mac != name => texts.push((TextStyle::Address, shorten(&inert(mac), 24))),
        _ => {}
    }
    texts
}

fn card_width(scene: &Scene<'_>, port: usize) -> i32 {
    let text = card_texts(scene, port).iter().map(|(style, t)| text_width(t, *style)).max().unwrap_or(0);
    let numbers = [false, true].map(|is_reply| 6 * hop_numbers(scene, port, is_reply).1.len() as i32).into_iter().max().unwrap_or(0);
    CARD_INDENT + text + PAD + numbers
}

/// The id that edges name.
pub(super) fn port_id(scene: &Scene<'_>, port: usize) -> String {
    let p = &scene.ports[port];
    inert(p.interface.unwrap_or(&format!("port:{}", p.owner)))
}

/// What is written at the top of a box: its kind, its name in lines of bearable length.
fn title(scene: &Scene<'_>, id: &str) -> Vec<(TextStyle, String)> {
    let kind = scene.book.kind(id);
    let name = scene.book.short(id);
    let (caption, name) = match (kind, name.split_once('/')) {
        // A pod's namespace goes with its kind: both are long.
        (EntityKind::Pod | EntityKind::Service, Some((namespace, name))) => {
            (format!("{} in {namespace}", words::kind(kind)), name.to_owned())
        }
        _ => (words::kind(kind).to_owned(), name),
    };
    let mut lines = vec![(TextStyle::Caption, shorten(&caption, 30))];
    lines.extend(wrap(&name, 20, 4).into_iter().map(|l| (TextStyle::Name, l)));
    lines
}

fn title_height(lines: &[(TextStyle, String)]) -> i32 {
    6 + 15 * lines.len() as i32
}

fn area(scene: &Scene<'_>, id: &str, parent: Option<String>, rect: Rect, title: &[(TextStyle, String)]) -> Area {
    let entity = scene.book.entity(id);
    Area {
        id: inert(id),
        entity: id.to_owned(),
        parent,
        kind: AreaKind::Entity(scene.book.kind(id)),
        rect,
        texts: title
            .iter()
            .enumerate()
            .map(|(i, (style, text))| Text { x: rect.x + PAD, y: rect.y + 16 + 15 * i as i32, style: *style, text: text.clone() })
            .collect(),
        observed: true,
        confidence: entity.map_or(0.0, |e| e.confidence),
        evidence: entity.map_or_else(Vec::new, |e| e.evidence.clone()),
    }
}

/// A plain box has its text in the middle.
fn center(area: &mut Area, title: &[(TextStyle, String)]) {
    let top = area.rect.y + (area.rect.h - 15 * title.len() as i32) / 2;
    for (i, t) in area.texts.iter_mut().enumerate() {
        t.x = area.rect.x + (area.rect.w - text_width(&t.text, t.style)) / 2;
        t.y = top + 11 + 15 * i as i32;
    }
}

/// At most `lines` lines of `width` characters, broken after `-`, `.`, `/`, `:` or where needed; what is too long loses its middle.
fn wrap(text: &str, width: usize, lines: usize) -> Vec<String> {
    let text = shorten(text, width * lines);
    let mut out = vec![String::new()];
    let mut length = 0;
    for part in text.split_inclusive(['-', '.', '/', ':']) {
        let mut rest: Vec<char> = part.chars().collect();
        if length + rest.len() > width && length > 0 && out.len() < lines {
            out.push(String::new());
            length = 0;
        }
        while length + rest.len() > width && out.len() < lines {
            let tail = rest.split_off((width - length).min(rest.len()));
            if let Some(line) = out.last_mut() {
                line.extend(rest.iter());
            }
            out.push(String::new());
            length = 0;
            rest = tail;
        }
        length += rest.len();
        if let Some(line) = out.last_mut() {
            line.extend(rest.iter());
        }
    }
    for line in &mut out {
        *line = shorten(line, width + 8);
    }
    out
}

/// At most `most` characters; the middle goes, since names differ at their ends.
pub(super) fn shorten(text: &str, most: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= most {
        return text.to_owned();
    }
    let head = most / 2;
    let tail = most - head - 1;
    let mut out: String = chars[..head].iter().collect();
    out.push('…');
    out.extend(&chars[chars.len() - tail..]);
    out
}
