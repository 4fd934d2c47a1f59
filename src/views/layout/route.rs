//! Wires between blocks → the lines that they run along. Works on cells; must not know sizes.
//!
//! A wire leaves its block along its row, turns into the gutters between columns and the gaps between rows, and comes in along the
//! other block's row. Walking round any box on the lattice is always possible, so a way always exists.

use std::collections::BTreeMap;

use super::block::{Plan, Side};
use super::grid::{Axis, Grid, Line};
use super::scene::Scene;
use crate::report::Way;

/// A wire's way. From a block's row at either end inwards, vertical runs along the lines `down` alternate with horizontal ones
/// along the lines `across`, of which there is one less. No vertical run at all: straight along the row.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) wire: usize,
    pub(super) from_side: Side,
    pub(super) to_side: Side,
    pub(super) down: Vec<usize>,
    pub(super) across: Vec<usize>,
}

pub(super) fn connect(scene: &Scene<'_>, grid: &Grid, axes: &(Axis, Axis), plans: &[Plan]) -> Vec<Route> {
    let (x, y) = axes;
    let lattice = Lattice::new(scene, grid, (x, y));
    let mut search = Search::new(&lattice);
    let mut routes = Vec::new();
    let mut known: BTreeMap<Key, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    for (n, w) in scene.wires.iter().enumerate() {
        let (a, b) = (scene.ports[w.from].block, scene.ports[w.to].block);
        if a == b {
            continue;
        }
        let (a_cell, b_cell) = (grid.blocks[a], grid.blocks[b]);
        let from_side = plans[a].outside(w.from, a_cell.0, b_cell.0);
        let to_side = plans[b].outside(w.to, b_cell.0, a_cell.0);
        let is_reply = w.way == Way::Reply;
        let is_level = plans[a].slot(w.from) == 0
            && plans[b].slot(w.to) == 0
            && scene.offset(w.from, is_reply, w.from_hop) == scene.offset(w.to, is_reply, w.to_hop);
        let mut open = ancestors(scene, a);
        open.extend(ancestors(scene, b));
        let beside = |cell: (usize, usize), side| if side == Side::Left { x.cell[cell.0] - 1 } else { x.cell[cell.0] + 1 };
        let ends = Ends { from: (beside(a_cell, from_side), y.cell[a_cell.1]), to: (beside(b_cell, to_side), y.cell[b_cell.1]), is_level };
        // A reply runs beside its request, and what joins the same two blocks on the same sides runs together.
        let key = (ends.from, ends.to, is_level);
        let (down, across) = known
            .entry(key)
            .or_insert_with(|| search.run(&lattice, &ends, &open).unwrap_or_else(|| (vec![ends.from.0], Vec::new())))
            .clone();
        let turned = || (down.iter().rev().copied().collect(), across.iter().rev().copied().collect());
        known.entry((ends.to, ends.from, is_level)).or_insert_with(turned);
        routes.push(Route { wire: n, from_side, to_side, down, across });
    }
    routes
}

/// Where a wire begins and ends on the lattice, and whether it may run level.
type Key = ((usize, usize), (usize, usize), bool);

fn ancestors(scene: &Scene<'_>, block: usize) -> Vec<usize> {
    let mut list = Vec::new();
    let mut container = scene.blocks[block].container;
    while let Some(c) = container {
        list.push(c);
        container = scene.containers[c].parent;
    }
    list
}

/// The lines that wires run along, and what each of their crossings lies in.
struct Lattice<'a> {
    x: &'a Axis,
    y: &'a Axis,
    width: usize,
    height: usize,
    within: Vec<Within>,
    /// What it costs to come to each vertical line from the first one, borders apart.
    along: Vec<u32>,
}

/// The innermost thing at a crossing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Nothing,
    Container(usize),
    Block,
}

impl<'a> Lattice<'a> {
    fn new(scene: &Scene<'_>, grid: &Grid, (x, y): (&'a Axis, &'a Axis)) -> Self {
        let (width, height) = (x.lines.len(), y.lines.len());
        let mut within = vec![Within::Nothing; width * height];
        // Parents come before their children, so the innermost container has the last word.
        for (c, cells) in grid.containers.iter().enumerate() {
            let level = usize::try_from(scene.containers[c].level).unwrap_or(1);
            let (left, right) = (x.first_inside(cells.left, level), x.last_inside(cells.right, level));
            for line in y.first_inside(cells.top, level)..=y.last_inside(cells.bottom, level) {
                within[line * width + left..=line * width + right].fill(Within::Container(c));
            }
        }
        for &(column, row) in &grid.blocks {
            within[y.cell[row] * width + x.cell[column]] = Within::Block;
        }
        let half = |line: &Line| if *line == Line::Cell { 10 } else { 1 };
        let steps = x.lines.windows(2).map(|pair| half(&pair[0]) + half(&pair[1]));
        let along = std::iter::once(0).chain(steps.scan(0, |sum, step| {
            *sum += step;
            Some(*sum)
        }));
        Self { x, y, width, height, within, along: along.collect() }
    }

    /// What it costs to go from the vertical line `a` to `b`, borders apart.
    fn across(&self, a: usize, b: usize) -> u32 {
        self.along[a].abs_diff(self.along[b])
    }
}

struct Ends {
    /// Lines across and down.
    from: (usize, usize),
    to: (usize, usize),
    /// Both ends are at the same height if the rows are.
    is_level: bool,
}

/// How a wire runs at a point of the lattice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Run {
    /// Along the row that it comes from.
    First,
    Vertical,
    /// Along a gap.
    Gap,
    /// Along the row that it goes to.
    Last,
}

const RUNS: [Run; 4] = [Run::First, Run::Vertical, Run::Gap, Run::Last];
const BEND: u32 = 14;
const DOWN: u32 = 3;
/// Into or out of a container.
const BORDER: u32 = 6;
/// To turn beside a block where the gutter or gap is as near.
const CLOSE: u32 = 3;

struct Search {
    /// Cost so far and where from, valid where `stamp` is the current one.
    best: Vec<(u32, u32)>,
    stamp: Vec<u32>,
    current: u32,
    queue: Queue,
}

impl Search {
    fn new(l: &Lattice<'_>) -> Self {
        let states = l.width * l.height * RUNS.len();
        Self { best: vec![(0, 0); states], stamp: vec![0; states], current: 0, queue: Queue::default() }
    }

    /// A*: the cheapest way, few bends before short distance. Of equally cheap ways it depends on the lattice alone which one is
    /// found, so the same report gives the same way.
    fn run(&mut self, l: &Lattice<'_>, ends: &Ends, open: &[usize]) -> Option<(Vec<usize>, Vec<usize>)> {
        self.current += 1;
        self.queue.clear();
        let state = |x: usize, y: usize, run: Run| (y * l.width + x) * RUNS.len() + run as usize;
        // What is left at least: the distance, and the bends without which the way cannot end. No step lowers it by more than the
        // step costs, so the first way found is the cheapest and the queue never goes back.
        let left = |x: usize, y: usize, run: Run| {
            let bends = match run {
                Run::Last => 0,
                Run::First if ends.is_level && y == ends.to.1 => 0,
                Run::Vertical => BEND,
                Run::First | Run::Gap => 2 * BEND,
            };
            l.across(x, ends.to.0) + y.abs_diff(ends.to.1) as u32 * DOWN + bends
        };
        let start = state(ends.from.0, ends.from.1, Run::First);
        self.reach(start, 0, start, left(ends.from.0, ends.from.1, Run::First));
        while let Some((cost, here)) = self.queue.pop() {
            let here = here as usize;
            if self.best[here].0 < cost {
                continue;
            }
            let run = RUNS[here % RUNS.len()];
            let (x, y) = (here / RUNS.len() % l.width, here / RUNS.len() / l.width);
            if (x, y) == ends.to && (run == Run::Last || (run == Run::First && ends.is_level)) {
                return Some(self.trace(start, here, l.width));
            }
            let place = l.within[y * l.width + x];
            let mut go = |x: usize, y: usize, step: u32| {
                let next = l.within[y * l.width + x];
                let is_open = match next {
                    Within::Nothing => true,
                    Within::Container(c) => open.contains(&c),
                    Within::Block => false,
                };
                if is_open {
                    let border = if next == place { 0 } else { BORDER };
                    self.reach(state(x, y, run), cost + step + border, here, left(x, y, run));
                }
            };
            if run == Run::Vertical {
                if y > 0 {
                    go(x, y - 1, DOWN);
                }
                if y + 1 < l.height {
                    go(x, y + 1, DOWN);
                }
                if y == ends.to.1 {
                    self.reach(state(x, y, Run::Last), cost + BEND, here, left(x, y, Run::Last));
                } else if l.y.lines[y] != Line::Cell {
                    let close = if l.y.lines[y] == Line::Middle { 0 } else { CLOSE };
                    self.reach(state(x, y, Run::Gap), cost + BEND + close, here, left(x, y, Run::Gap));
                }
                continue;
            }
            if x > 0 {
                go(x - 1, y, l.across(x - 1, x));
            }
            if x + 1 < l.width {
                go(x + 1, y, l.across(x, x + 1));
            }
            if run != Run::Last && l.x.lines[x] != Line::Cell {
                let close = if l.x.lines[x] == Line::Middle { 0 } else { CLOSE };
                self.reach(state(x, y, Run::Vertical), cost + BEND + close, here, left(x, y, Run::Vertical));
            }
        }
        None
    }

    fn reach(&mut self, state: usize, cost: u32, from: usize, left: u32) {
        if self.stamp[state] == self.current && self.best[state].0 <= cost {
            return;
        }
        self.stamp[state] = self.current;
        self.best[state] = (cost, from as u32);
        self.queue.push(cost + left, cost, state as u32);
    }

    fn trace(&self, start: usize, end: usize, width: usize) -> (Vec<usize>, Vec<usize>) {
        let mut down = Vec::new();
        let mut across = Vec::new();
        let mut here = end;
        while here != start {
            let before = self.best[here].1 as usize;
            let (run, was) = (RUNS[here % RUNS.len()], RUNS[before % RUNS.len()]);
            let (x, y) = (here / RUNS.len() % width, here / RUNS.len() / width);
            if run == Run::Vertical && was != Run::Vertical {
                down.push(x);
            }
            if run == Run::Gap && was == Run::Vertical {
                across.push(y);
            }
            here = before;
        }
        down.reverse();
        across.reverse();
        (down, across)
    }
}

/// Open states in the order of what a way over them costs at least; of equals the last first, which is the one that has come
/// farthest. Costs are small and never go down, so a list for each of them does for a heap (Dial 1969).
#[derive(Default)]
struct Queue {
    /// (cost so far, state), by the least cost of the whole way.
    lists: Vec<Vec<(u32, u32)>>,
    at: usize,
}

impl Queue {
    fn clear(&mut self) {
        self.lists.iter_mut().for_each(Vec::clear);
        self.at = usize::MAX;
    }

    fn push(&mut self, whole: u32, cost: u32, state: u32) {
        let whole = whole as usize;
        if whole >= self.lists.len() {
            self.lists.resize_with(whole + 1, Vec::new);
        }
        self.lists[whole].push((cost, state));
        self.at = self.at.min(whole);
    }

    fn pop(&mut self) -> Option<(u32, u32)> {
        while self.at < self.lists.len() {
            if let Some(next) = self.lists[self.at].pop() {
                return Some(next);
            }
            self.at += 1;
        }
        None
    }
}
