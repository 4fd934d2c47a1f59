//! Blocks and containers → columns and rows. Must not know sizes.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::{kosaraju_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};

use super::scene::Scene;
use crate::order;
use crate::report::Way;

/// Where everything stands, in cells.
pub(super) struct Grid {
    pub(super) columns: usize,
    pub(super) rows: usize,
    /// (column, row) of each block.
    pub(super) blocks: Vec<(usize, usize)>,
    /// The cells of each container.
    pub(super) containers: Vec<Cells>,
}

/// A rectangle of cells, ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cells {
    pub(super) left: usize,
    pub(super) right: usize,
    pub(super) top: usize,
    pub(super) bottom: usize,
}

pub(super) fn arrange(scene: &Scene<'_>) -> Grid {
    let column = columns(scene);
    let mut grid = Grid {
        columns: column.iter().max().map_or(0, |c| c + 1),
        rows: 0,
        blocks: column.iter().map(|c| (*c, 0)).collect(),
        containers: vec![Cells { left: usize::MAX, ..Cells::default() }; scene.containers.len()],
    };
    // A container spans its blocks' columns.
    for (b, block) in scene.blocks.iter().enumerate() {
        let mut container = block.container;
        while let Some(c) = container {
            let cells = &mut grid.containers[c];
            cells.left = cells.left.min(column[b]);
            cells.right = cells.right.max(column[b]);
            container = scene.containers[c].parent;
        }
    }
    rows(scene, &mut grid);
    grid
}

/// Hop order as columns: the longest way from a first block, over the requests and the replies turned round. Ways that
/// would run backwards (a packet that comes back to a node) do not count. Where packets go from one container into its sibling and
/// never back, the whole of the one comes before the whole of the other: so a path through three subnets is drawn in one line.
fn columns(scene: &Scene<'_>) -> Vec<usize> {
    let n = scene.blocks.len();
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); n];
    let mut order_of_wires = Vec::new();
    for way in [Way::Request, Way::Reply] {
        for w in scene.wires.iter().filter(|w| w.way == way) {
            let (a, b) = (scene.ports[w.from].block, scene.ports[w.to].block);
            let (a, b) = if way == Way::Request { (a, b) } else { (b, a) };
            if a != b && !next[a].contains(&b) {
                next[a].push(b);
                order_of_wires.push((a, b));
            }
        }
    }
    break_circles(scene, &mut next);
    let is_forward: Vec<bool> = order_of_wires.iter().map(|(a, b)| next[*a].contains(b)).collect();
    // A container's beginning comes before its blocks and its end after them.
    let containers = scene.containers.len();
    let (begin, end) = (|c: usize| n + 2 * c, |c: usize| n + 2 * c + 1);
    next.resize(n + 2 * containers, Vec::new());
    for (b, block) in scene.blocks.iter().enumerate() {
        if let Some(c) = block.container {
            next[begin(c)].push(b);
            next[b].push(end(c));
        }
    }
    for (c, container) in scene.containers.iter().enumerate() {
        if let Some(p) = container.parent {
            next[begin(p)].push(begin(c));
            next[end(c)].push(end(p));
        }
    }
    let mut tried = BTreeSet::new();
    for ((a, b), _) in order_of_wires.iter().zip(is_forward).filter(|(_, forward)| *forward) {
        let Some((x, y)) = siblings(scene, *a, *b) else { continue };
        if tried.insert((x, y)) && !leads_to(&next, begin(y), end(x)) {
            next[end(x)].push(begin(y));
        }
    }
    let mut column = vec![0_usize; next.len()];
    let mut has_before = vec![false; n];
    for a in forward_order(&next) {
        for &b in &next[a] {
            // Only to leave a block takes a column.
            column[b] = column[b].max(column[a] + usize::from(a < n));
            if a < n && b < n {
                has_before[b] = true;
            }
        }
    }
    // What only sends stands directly before whom it sends to, unless its container keeps it.
    for a in (0..n).filter(|a| scene.blocks[*a].container.is_none()) {
        if let (false, Some(nearest)) = (has_before[a], next[a].iter().filter(|b| **b < n).map(|b| column[*b]).min()) {
            column[a] = nearest.saturating_sub(1);
        }
    }
    column.truncate(n);
    close_up(&mut column);
    column
}

/// The two different containers around `a` and around `b` that stand in the same one (or both in none).
fn siblings(scene: &Scene<'_>, a: usize, b: usize) -> Option<(usize, usize)> {
    let chain = |block: usize| {
        let mut list = Vec::new();
        let mut container = scene.blocks[block].container;
        while let Some(c) = container {
            list.push(c);
            container = scene.containers[c].parent;
        }
        list.reverse();
        list
    };
    let (a, b) = (chain(a), chain(b));
    a.into_iter().zip(b).find(|(x, y)| x != y)
}

fn leads_to(next: &[Vec<usize>], from: usize, to: usize) -> bool {
    let mut seen = vec![false; next.len()];
    let mut stack = vec![from];
    while let Some(a) = stack.pop() {
        if a == to {
            return true;
        }
        if !std::mem::replace(&mut seen[a], true) {
            stack.extend(&next[a]);
        }
    }
    false
}

/// Without columns in which nothing stands.
fn close_up(column: &mut [usize]) {
    let used: BTreeSet<usize> = order::set(column.iter().copied());
    let place: BTreeMap<usize, usize> = order::map(used.into_iter().enumerate().map(|(n, c)| (c, n)));
    for c in column {
        *c = place.get(c).copied().unwrap_or(0);
    }
}

/// Takes edges out of `next` until it has no circles. What lies on no circle stays. On one, an edge stays if it leads to a block
/// whose earliest place on any path is later: hosts that are now client, now server stand below one another, routers behind them.
fn break_circles(scene: &Scene<'_>, next: &mut [Vec<usize>]) {
    let mut part = vec![0; next.len()];
    for (n, component) in kosaraju_scc(&graph(next)).into_iter().enumerate() {
        for block in component {
            part[block.index()] = n;
        }
    }
    for a in 0..next.len() {
        next[a].retain(|b| part[a] != part[*b] || scene.blocks[a].position < scene.blocks[*b].position);
    }
}

fn graph(next: &[Vec<usize>]) -> DiGraph<(), ()> {
    let mut g = DiGraph::new();
    let nodes: Vec<_> = next.iter().map(|_| g.add_node(())).collect();
    for (a, list) in next.iter().enumerate() {
        for b in list {
            g.add_edge(nodes[a], nodes[*b], ());
        }
    }
    g
}

/// Each before all that it leads to. There are no circles left.
fn forward_order(next: &[Vec<usize>]) -> Vec<usize> {
    toposort(&graph(next), None).unwrap_or_default().into_iter().map(NodeIndex::index).collect()
}

#[derive(Clone, Copy)]
enum Child {
    Block(usize),
    Container(usize),
}

/// First and last column.
fn span(grid: &Grid, child: Child) -> (usize, usize) {
    match child {
        Child::Block(b) => (grid.blocks[b].0, grid.blocks[b].0),
        Child::Container(c) => (grid.containers[c].left, grid.containers[c].right),
    }
}

/// Containment as rows: within each container, from the innermost out, a child sinks to the first row that is free over all its
/// columns. Then every container's offset is added to what it holds.
fn rows(scene: &Scene<'_>, grid: &mut Grid) {
    let mut children: Vec<Vec<Child>> = vec![Vec::new(); scene.containers.len() + 1];
    let root = scene.containers.len();
    for (b, block) in scene.blocks.iter().enumerate() {
        children[block.container.unwrap_or(root)].push(Child::Block(b));
    }
    for (c, container) in scene.containers.iter().enumerate() {
        children[container.parent.unwrap_or(root)].push(Child::Container(c));
    }
    // First appearance decides between equals, so the first path runs along the top.
    let mut first: Vec<usize> = vec![usize::MAX; scene.containers.len()];
    for (b, block) in scene.blocks.iter().enumerate() {
        let mut container = block.container;
        while let Some(c) = container {
            first[c] = first[c].min(b);
            container = scene.containers[c].parent;
        }
    }
    let mut height = vec![0; scene.containers.len()];
    let mut offset = vec![0; scene.containers.len()];
    // Children come after their parents in the list; the ground comes last.
    for c in (0..root).rev().chain([root]) {
        let mut free = vec![0; grid.columns];
        let mut list = std::mem::take(&mut children[c]);
        order::sort_by_key(&mut list, |child| {
            (
                span(grid, *child).0,
                match *child {
                    Child::Block(b) => b,
                    Child::Container(c) => first[c],
                },
            )
        });
        for child in list {
            let (left, right) = span(grid, child);
            let top = free[left..=right].iter().copied().max().unwrap_or(0);
            let rows = match child {
                Child::Block(b) => {
                    grid.blocks[b].1 = top;
                    1
                }
                Child::Container(c) => {
                    offset[c] = top;
                    height[c]
                }
            };
            free[left..=right].fill(top + rows);
        }
        let rows = free.iter().copied().max().unwrap_or(0);
        if c == root { grid.rows = rows } else { height[c] = rows }
    }
    for c in 0..root {
        if let Some(p) = scene.containers[c].parent {
            offset[c] += offset[p];
        }
        grid.containers[c].top = offset[c];
        grid.containers[c].bottom = offset[c] + height[c].saturating_sub(1);
    }
    for (b, block) in scene.blocks.iter().enumerate() {
        if let Some(c) = block.container {
            grid.blocks[b].1 += offset[c];
        }
    }
}

/// The lines along one direction on which wires may run, in order.
///
/// Between two cells (and before the first and after the last) lies a gap. Where containers end at it, it has a line inside each level of
/// them, then its middle, then a line inside each level of those that begin. So wires can run inside any container beside its border.
pub(super) struct Axis {
    pub(super) lines: Vec<Line>,
    /// The line through each cell.
    pub(super) cell: Vec<usize>,
    /// The middle of each gap.
    pub(super) middle: Vec<usize>,
    /// How many levels of containers end and begin at each gap.
    pub(super) ends: Vec<usize>,
    pub(super) begins: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Through a cell: only wires to and from its blocks run here.
    Cell,
    /// In a gap, outside of whatever ends or begins there.
    Middle,
    /// Inside a container, beside its border.
    Inside,
}

impl Axis {
    /// `spans`: first and last cell and level of each container.
    fn new(cells: usize, spans: impl Iterator<Item = (usize, usize, usize)>) -> Self {
        let (mut ends, mut begins) = (vec![0; cells + 1], vec![0; cells + 1]);
        for (first, last, level) in spans {
            begins[first] = level.max(begins[first]);
            ends[last + 1] = level.max(ends[last + 1]);
        }
        let mut axis = Self { lines: Vec::new(), cell: Vec::new(), middle: Vec::new(), ends, begins };
        for gap in 0..=cells {
            axis.lines.extend(vec![Line::Inside; axis.ends[gap]]);
            axis.middle.push(axis.lines.len());
            axis.lines.push(Line::Middle);
            axis.lines.extend(vec![Line::Inside; axis.begins[gap]]);
            if gap < cells {
                axis.cell.push(axis.lines.len());
                axis.lines.push(Line::Cell);
            }
        }
        axis
    }

    /// The first line inside a container of `level` that begins with `cell`.
    pub(super) fn first_inside(&self, cell: usize, level: usize) -> usize {
        self.cell[cell] - level
    }

    /// The last line inside a container of `level` that ends with `cell`.
    pub(super) fn last_inside(&self, cell: usize, level: usize) -> usize {
        self.cell[cell] + level
    }
}

impl Grid {
    /// The lines along which wires run across, and down.
    pub(super) fn axes(&self, scene: &Scene<'_>) -> (Axis, Axis) {
        let level = |c: usize| usize::try_from(scene.containers[c].level).unwrap_or(1);
        let x = self.containers.iter().enumerate().map(|(c, s)| (s.left, s.right, level(c)));
        let y = self.containers.iter().enumerate().map(|(c, s)| (s.top, s.bottom, level(c)));
        (Axis::new(self.columns, x), Axis::new(self.rows, y))
    }
}
