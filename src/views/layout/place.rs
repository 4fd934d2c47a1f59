//! Cells, routes and insides → coordinates.

use std::collections::BTreeMap;

use super::block::{Emitted, Inside, LABEL_GAP, Plan, STUMP, Side, TRACK, first_free, label_size, port_id, shorten};
use super::grid::{Axis, Cells, Grid};
use super::route::Route;
use super::scene::{Scene, Wire};
use super::{Area, AreaKind, Edge, Label, Picture, Point, Rect, Text, TextStyle, text_width};
use crate::order;
use crate::report::Way;
use crate::views::escape::inert;

/// Room inside a container's border, and for its name.
const PAD: i32 = 12;
const TITLE: i32 = 20;
/// The narrowest gutter: a wire with its arrow.
const GUTTER: i32 = 40;
/// The lowest gap between rows.
const GAP: i32 = 16;
/// Around everything.
const MARGIN: i32 = 16;

pub(super) fn place(scene: &Scene<'_>, grid: &Grid, axes: &(Axis, Axis), plans: &[Plan], routes: &[Route]) -> Picture {
    let insides = measure(scene, plans, routes);
    let lanes = Lanes::new(scene, grid, axes, routes);
    let f = Frame::new(scene, grid, axes, &insides, &lanes);
    let origins: Vec<Point> = grid
        .blocks
        .iter()
        .zip(&insides)
        .map(|(&(column, row), inside)| Point { x: f.column_x[column] + (f.column_w[column] - inside.width) / 2, y: f.base_y[row] })
        .collect();
    let mut out = Emitted { areas: containers(scene, grid, axes, &f), ..Emitted::default() };
    for (b, inside) in insides.iter().enumerate() {
        inside.emit(scene, &plans[b], b, origins[b], &mut out);
    }
    for (r, route) in routes.iter().enumerate() {
        let points = corners(scene, plans, &insides, &origins, &lanes, &f, r, route);
        out.lines.insert(route.wire, points);
    }
    for (b, inside) in insides.iter().enumerate() {
        let (column, _) = grid.blocks[b];
        for &(wire, side, top) in &inside.outer_labels {
            let (w, h) = label_size(&scene.wires[wire]);
            let x = f.label_x(column, side, w);
            out.labels.push((wire, Rect { x, y: origins[b].y + top, w, h }));
        }
    }
    for (n, wire) in scene.wires.iter().enumerate().filter(|(_, w)| w.is_stump()) {
        let b = scene.ports[wire.from].block;
        let (from, to) = insides[b].stump(scene, &plans[b], wire);
        let at = |p: Point| Point { x: p.x + origins[b].x, y: p.y + origins[b].y };
        out.lines.insert(n, vec![at(from), at(to)]);
    }
    picture(scene, &f, out)
}

fn measure(scene: &Scene<'_>, plans: &[Plan], routes: &[Route]) -> Vec<Inside> {
    let mut within: Vec<Vec<usize>> = vec![Vec::new(); scene.blocks.len()];
    let mut ends: Vec<Vec<(usize, Side)>> = vec![Vec::new(); scene.blocks.len()];
    for (n, w) in scene.wires.iter().enumerate() {
        let block = scene.ports[w.from].block;
        if block == scene.ports[w.to].block && !w.is_stump() {
            within[block].push(n);
        }
    }
    for r in routes {
        ends[scene.ports[scene.wires[r.wire].to].block].push((r.wire, r.to_side));
    }
    (0..scene.blocks.len()).map(|b| Inside::measure(scene, &plans[b], b, &within[b], &ends[b])).collect()
}

/// Which parallel track each route takes on the lines that it runs along.
struct Lanes {
    /// How many there are on each vertical line, and on each horizontal one.
    down_tracks: Vec<i32>,
    across_tracks: Vec<i32>,
    /// By route and position in its `down`.
    vertical: BTreeMap<(usize, usize), i32>,
    /// By route and position in its `across`.
    horizontal: BTreeMap<(usize, usize), i32>,
}

/// A run of one route, or of several that leave the same port: on the map of all paths these share a line.
struct Bundle {
    key: (i32, i32, usize),
    span: (i32, i32),
    members: Vec<(usize, usize)>,
}

impl Lanes {
    fn new(scene: &Scene<'_>, grid: &Grid, (x_axis, y_axis): &(Axis, Axis), routes: &[Route]) -> Self {
        let mut down: Vec<BTreeMap<usize, Bundle>> = x_axis.lines.iter().map(|_| BTreeMap::new()).collect();
        let mut across: Vec<BTreeMap<usize, Bundle>> = y_axis.lines.iter().map(|_| BTreeMap::new()).collect();
        for (r, route) in routes.iter().enumerate() {
            let w = &scene.wires[route.wire];
            let group = if scene.is_single { r } else { 2 * w.from + usize::from(w.way == Way::Reply) };
            let row = |port: usize| y_axis.cell[grid.blocks[scene.ports[port].block].1] as i32;
            let column = |port: usize| x_axis.cell[grid.blocks[scene.ports[port].block].0];
            let is_reply = w.way == Way::Reply;
            for (i, &x) in route.down.iter().enumerate() {
                let before = if i == 0 { None } else { route.across.get(i - 1) };
                let after = route.across.get(i);
                let from = before.map_or(row(w.from), |y| *y as i32);
                let to = after.map_or(row(w.to), |y| *y as i32);
                // Whether each end leads off to the left.
                let from_left = if i == 0 { column(w.from) < x } else { route.down[i - 1] < x };
                let to_left = route.down.get(i + 1).map_or(column(w.to) < x, |next| *next < x);
                let fine = |line: i32, port: usize, hop: usize, is_end: bool| {
                    line * 1000 + if is_end { scene.offset(port, is_reply, hop) } else { 4 * i32::from(is_reply) }
                };
                let from_y = fine(from, w.from, w.from_hop, before.is_none());
                let to_y = fine(to, w.to, w.to_hop, after.is_none());
                // From left to right: what turns back to the left, short ones first; what rises, the uppermost first; what falls, the
                // lowest first; what turns back to the right, long ones first. So neighbours nest and do not cross.
                let length = (from_y - to_y).abs();
                let (left_y, right_y) = if from_left { (from_y, to_y) } else { (to_y, from_y) };
                let key = match (from_left, to_left) {
                    (true, true) => (0, length),
                    (false, false) => (3, -length),
                    _ if right_y < left_y => (1, left_y),
                    _ => (2, -left_y),
                };
                add(&mut down[x], group, (key.0, key.1, r), (from.min(to), from.max(to)), (r, i));
            }
            for (i, &y) in route.across.iter().enumerate() {
                let (a, b) = (route.down[i] as i32, route.down[i + 1] as i32);
                // Round a row long runs go outside of short ones: those that come from below the line are short at its bottom.
                let comes_from_above = row(w.from) < y as i32;
                let length = if comes_from_above { (b - a).abs() } else { -(b - a).abs() };
                add(&mut across[y], group, (0, length, r), (a.min(b), a.max(b)), (r, i));
            }
        }
        let (mut vertical, mut horizontal) = (BTreeMap::new(), BTreeMap::new());
        let down_tracks = down.into_iter().map(|g| assign(g, &mut vertical)).collect();
        let across_tracks = across.into_iter().map(|g| assign(g, &mut horizontal)).collect();
        Self { down_tracks, across_tracks, vertical, horizontal }
    }
}

fn add(channel: &mut BTreeMap<usize, Bundle>, group: usize, key: (i32, i32, usize), span: (i32, i32), member: (usize, usize)) {
    let b = channel.entry(group).or_insert(Bundle { key, span, members: Vec::new() });
    b.span = (b.span.0.min(span.0), b.span.1.max(span.1));
    b.members.push(member);
}

fn assign(channel: BTreeMap<usize, Bundle>, tracks: &mut BTreeMap<(usize, usize), i32>) -> i32 {
    let mut bundles: Vec<Bundle> = channel.into_values().collect();
    order::sort_by_key(&mut bundles, |b| b.key);
    let spans: Vec<(i32, i32)> = bundles.iter().map(|b| b.span).collect();
    let free = first_free(&spans);
    for (b, track) in bundles.iter().zip(&free) {
        tracks.extend(b.members.iter().map(|m| (*m, *track)));
    }
    free.iter().max().map_or(0, |t| t + 1)
}

/// Coordinates of columns, rows and what lies between them.
struct Frame {
    /// Room for labels right of each column (or, for gutter 0, nothing), and left of each.
    labels_after: Vec<i32>,
    labels_before: Vec<i32>,
    /// Each vertical line's left border and width, each horizontal one's top and height.
    line_x: Vec<(i32, i32)>,
    line_y: Vec<(i32, i32)>,
    /// The vertical line in the middle of each gutter.
    middle_x: Vec<usize>,
    column_x: Vec<i32>,
    column_w: Vec<i32>,
    /// The height of each row's first slots.
    base_y: Vec<i32>,
    width: i32,
    height: i32,
}

impl Frame {
    fn new(scene: &Scene<'_>, grid: &Grid, (x_axis, y_axis): &(Axis, Axis), insides: &[Inside], lanes: &Lanes) -> Self {
        let (columns, rows) = (grid.columns, grid.rows);
        let mut column_w = vec![0; columns];
        let (mut above, mut below) = (vec![0; rows], vec![0; rows]);
        let (mut labels_after, mut labels_before) = (vec![0; columns + 1], vec![0; columns + 1]);
        // By gutter: requests and replies, on the left and on the right.
        let mut labelled = vec![[[false; 2]; 2]; columns + 1];
        for (b, inside) in insides.iter().enumerate() {
            let (column, row) = grid.blocks[b];
            column_w[column] = column_w[column].max(inside.width);
            above[row] = above[row].max(inside.above);
            below[row] = below[row].max(inside.below);
            for &(wire, side, _) in &inside.outer_labels {
                let zone = if side == Side::Left { &mut labels_before[column] } else { &mut labels_after[column + 1] };
                let w = &scene.wires[wire];
                *zone = (*zone).max(label_size(w).0 + 2 * LABEL_GAP);
                let (gutter, s) = if side == Side::Left { (column, 1) } else { (column + 1, 0) };
                labelled[gutter][usize::from(w.way == Way::Reply)][s] = true;
            }
        }
        let mut least = vec![GUTTER; columns + 1];
        least[0] = 0;
        least[columns] = 0;
        for w in scene.wires.iter().filter(|w| w.is_stump()) {
            let column = grid.blocks[scene.ports[w.from].block].0;
            least[column] = GUTTER;
            least[column + 1] = GUTTER;
        }
        widen_for_names(scene, grid, &mut column_w);
        let mut f = Self {
            labels_after,
            labels_before,
            line_x: vec![(0, 0); x_axis.lines.len()],
            line_y: vec![(0, 0); y_axis.lines.len()],
            middle_x: x_axis.middle.clone(),
            column_x: Vec::new(),
            column_w,
            base_y: Vec::new(),
            width: 0,
            height: 0,
        };
        let mut x = MARGIN;
        for g in 0..=columns {
            let middle = x_axis.middle[g];
            let (first, last) = (middle - x_axis.ends[g], middle + x_axis.begins[g]);
            let (labels_after, labels_before) = (f.labels_after[g], f.labels_before[g]);
            let is_straight = lanes.down_tracks[first..=last].iter().all(|t| *t == 0) && !labelled[g].contains(&[true, true]);
            let borders = PAD * (last - first) as i32;
            let mut room = strip(lanes.down_tracks[middle]).max(if borders > 0 { TRACK } else { 0 });
            if is_straight {
                // Straight wires only, and labels that cannot meet: both sides' share the middle.
                f.labels_after[g] = 0;
                f.labels_before[g] = 0;
                room = room.max(least[g] - borders).max(labels_after).max(labels_before);
            } else {
                let others: i32 = (first..=last).filter(|l| *l != middle).map(|l| strip(lanes.down_tracks[l])).sum();
                room = room.max(least[g] - labels_after - labels_before - others - borders);
            }
            if g == 0 || g == columns {
                room = room.min(strip(lanes.down_tracks[middle]).max(least[g]).max(if is_straight {
                    labels_after.max(labels_before)
                } else {
                    0
                }));
            }
            x += f.labels_after[g];
            for line in first..=last {
                if line > middle {
                    x += PAD;
                }
                let width = if line == middle { room } else { strip(lanes.down_tracks[line]) };
                f.line_x[line] = (x, width);
                x += width;
                if line < middle {
                    x += PAD;
                }
            }
            x += f.labels_before[g];
            if g < columns {
                f.column_x.push(x);
                x += f.column_w[g];
            }
        }
        f.width = x + MARGIN;
        let mut y = MARGIN;
        for k in 0..=rows {
            let middle = y_axis.middle[k];
            for line in middle - y_axis.ends[k]..=middle + y_axis.begins[k] {
                if line > middle {
                    y += PAD + TITLE;
                }
                let least = if line == middle && k > 0 && k < rows { GAP } else { 0 };
                let height = least.max(strip(lanes.across_tracks[line]));
                f.line_y[line] = (y, height);
                y += height;
                if line < middle {
                    y += PAD;
                }
            }
            if k < rows {
                f.base_y.push(y + above[k]);
                y += above[k] + below[k];
            }
        }
        f.height = y + MARGIN;
        f
    }

    /// Where a track runs: tracks share the middle of their line's room.
    fn track((start, room): (i32, i32), tracks: i32, n: i32) -> i32 {
        start + (room - strip(tracks)) / 2 + (n + 1) * TRACK
    }

    /// Left end of a label outside a block in `column`, on its `side`.
    fn label_x(&self, column: usize, side: Side, width: i32) -> i32 {
        let (gutter, room) =
            if side == Side::Left { (column, self.labels_before[column]) } else { (column + 1, self.labels_after[column + 1]) };
        let (middle, middle_width) = self.line_x[self.middle_x[gutter]];
        match side {
            _ if room == 0 => middle + (middle_width - width) / 2,
            Side::Left => self.column_x[column] - room + (room - width) / 2,
            Side::Right => self.column_x[column] + self.column_w[column] + (room - width) / 2,
        }
    }

    fn cells(&self, (x_axis, y_axis): &(Axis, Axis), cells: &Cells, level: usize) -> Rect {
        let x = self.line_x[x_axis.first_inside(cells.left, level)].0 - PAD;
        let (right, right_room) = self.line_x[x_axis.last_inside(cells.right, level)];
        let y = self.line_y[y_axis.first_inside(cells.top, level)].0 - PAD - TITLE;
        let (bottom, bottom_room) = self.line_y[y_axis.last_inside(cells.bottom, level)];
        Rect { x, y, w: right + right_room + PAD - x, h: bottom + bottom_room + PAD - y }
    }
}

/// Room for parallel wires.
fn strip(tracks: i32) -> i32 {
    if tracks == 0 { 0 } else { (tracks + 1) * TRACK }
}

/// A container is at least as wide as its name.
fn widen_for_names(scene: &Scene<'_>, grid: &Grid, column_w: &mut [i32]) {
    for (c, cells) in grid.containers.iter().enumerate() {
        let columns: i32 = column_w[cells.left..=cells.right].iter().sum();
        let missing = text_width(&container_name(scene, c), TextStyle::Caption) - columns;
        if missing > 0 {
            column_w[cells.right] += missing;
        }
    }
}

fn container_name(scene: &Scene<'_>, c: usize) -> String {
    shorten(&scene.book.name(scene.containers[c].id), 40)
}

fn containers(scene: &Scene<'_>, grid: &Grid, axes: &(Axis, Axis), f: &Frame) -> Vec<Area> {
    let mut areas = Vec::new();
    for (c, cells) in grid.containers.iter().enumerate() {
        let container = &scene.containers[c];
        let rect = f.cells(axes, cells, usize::try_from(container.level).unwrap_or(1));
        let entity = scene.book.entity(container.id);
        areas.push(Area {
            id: inert(container.id),
            entity: container.id.to_owned(),
            parent: container.parent.map(|p| inert(scene.containers[p].id)),
            kind: AreaKind::Entity(scene.book.kind(container.id)),
            rect,
            texts: vec![Text { x: rect.x + PAD, y: rect.y + 18, style: TextStyle::Caption, text: container_name(scene, c) }],
            observed: true,
            confidence: entity.map_or(0.0, |e| e.confidence),
            evidence: entity.map_or_else(Vec::new, |e| e.evidence.clone()),
        });
    }
    areas
}

#[allow(clippy::too_many_arguments)] // It reads everything that is known by now.
fn corners(
    scene: &Scene<'_>,
    plans: &[Plan],
    insides: &[Inside],
    origins: &[Point],
    lanes: &Lanes,
    f: &Frame,
    r: usize,
    route: &Route,
) -> Vec<Point> {
    let w = &scene.wires[route.wire];
    let is_reply = w.way == Way::Reply;
    let end = |port: usize, side: Side, hop: usize| {
        let b = scene.ports[port].block;
        let p = insides[b].outer_end(scene, &plans[b], port, side, is_reply, hop);
        Point { x: p.x + origins[b].x, y: p.y + origins[b].y }
    };
    let from = end(w.from, route.from_side, w.from_hop);
    let to = end(w.to, route.to_side, w.to_hop);
    let mut points = vec![from];
    let mut y = from.y;
    for (i, &line) in route.down.iter().enumerate() {
        let x = Frame::track(f.line_x[line], lanes.down_tracks[line], lanes.vertical.get(&(r, i)).copied().unwrap_or(0));
        points.push(Point { x, y });
        y = match route.across.get(i) {
            Some(&line) => Frame::track(f.line_y[line], lanes.across_tracks[line], lanes.horizontal.get(&(r, i)).copied().unwrap_or(0)),
            None => to.y,
        };
        points.push(Point { x, y });
    }
    points.push(to);
    points
}

fn picture(scene: &Scene<'_>, f: &Frame, out: Emitted) -> Picture {
    let end_id = |port: usize| {
        let p = &scene.ports[port];
        let id = port_id(scene, port);
        // A device whose interfaces nobody knows is itself the end, unless a card was drawn for it.
        if out.ports.iter().any(|known| known.id == id) { id } else { inert(p.owner) }
    };
    let ids: Vec<String> = (0..scene.ports.len()).map(end_id).collect();
    let mut edges = Vec::new();
    for (n, w) in scene.wires.iter().enumerate() {
        let points = straighten(out.lines.get(&n).cloned().unwrap_or_default());
        edges.push(Edge {
            id: inert(&w.id),
            paths: w.paths.iter().map(|p| (*p).to_owned()).collect(),
            direction: w.way,
            from_hop: w.from_hop as u32,
            to_hop: w.to_hop as u32,
            from: ids[w.from].clone(),
            to: ids[w.to].clone(),
            lost_at: lost_at(w, &points),
            points,
            observed: w.observed,
            is_beyond_loss: w.is_beyond_loss,
            confidence: w.confidence,
            evidence: w.evidence.iter().map(|e| (*e).to_owned()).collect(),
        });
    }
    let labels = out
        .labels
        .into_iter()
        .map(|(n, rect)| {
            let w = &scene.wires[n];
            Label { edge: inert(&w.id), direction: w.way, rect, lines: w.changes.clone() }
        })
        .collect();
    Picture {
        width: f.width,
        height: f.height,
        title: scene.title.clone(),
        description: scene.description.clone(),
        boxes: out.areas,
        ports: out.ports,
        edges,
        labels,
        marks: out.marks,
        badges: scene.badges.clone(),
    }
}

/// A little after a lossy wire's beginning; at the end of a stump.
fn lost_at(w: &Wire<'_>, points: &[Point]) -> Option<Point> {
    let (a, b) = (points.first()?, points.get(1)?);
    if !w.is_loss {
        return None;
    }
    if w.is_stump() {
        return Some(*b);
    }
    let step = |d: i32| d.signum() * d.abs().min(STUMP);
    Some(Point { x: a.x + step(b.x - a.x), y: a.y + step(b.y - a.y) })
}

/// Without points that are no corners.
fn straighten(points: Vec<Point>) -> Vec<Point> {
    let mut out: Vec<Point> = Vec::with_capacity(points.len());
    for p in points {
        if out.last() == Some(&p) {
            continue;
        }
        if let [.., a, b] = out.as_slice()
            && ((a.x == b.x && b.x == p.x) || (a.y == b.y && b.y == p.y))
        {
            out.pop();
        }
        out.push(p);
    }
    out
}
