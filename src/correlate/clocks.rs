//! How much each capture's clock differs from the others', and drifts, from packets seen in both directions.
//! Knows times and identities; must not claim a difference smaller than the delays allow.
//!
//! A packet from p to q arrives `delay + offset` later by q's clock, one from q to p `delay − offset` by p's. With the smallest
//! of each, half the difference is the offset and half the sum bounds its error, whatever the delays were (as NTP does, RFC 5905 §8).
//! Where no one offset agrees with all packets, a line does if the clocks drift: the lower hulls of both ways' differences bound it.
//! Where no line does either, two offsets may, one up to a time and another from then on: one of the clocks was set.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Nanos;

/// Parts in a billion.
const BILLION: i128 = 1_000_000_000;

/// No clock that anybody leaves running gains or loses more: the kernel's own limit for slewing (`ntp_adjtime(2)`).
const FASTEST_PPB: i64 = 500_000;

/// Packets must have gone both ways for at least this long before a drift is told from delays that changed,
const LONG: Nanos = 20_000_000_000;

/// and that many of them.
const OFTEN: u64 = 8;

/// Over a shorter time no drift is told from delays that changed, but what the clocks differ by may still be told roughly.
const SHORT: Nanos = 1_000_000_000;

/// A clock that was set by less than this is left to the uncertainty.
const LEAST_STEP: Nanos = 1_000_000;

/// On either side of a step so many packets must have gone each way.
const ON_EITHER_SIDE: u32 = 3;

/// A measured difference between two points' clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offset {
    /// What the second point's clock shows more than the first's, at `at_ns` of the first's.
    pub offset_ns: Nanos,
    /// At most this much wrong, while packets went both ways.
    pub uncertainty_ns: Nanos,
    /// How much the second clock gains on the first, in parts in a billion; 0 where no drift shows.
    pub drift_ppb: i64,
    /// At most this much is the drift wrong.
    pub drift_open_ppb: i64,
    /// The time that a drifting offset is told for.
    pub at_ns: Nanos,
    /// For so long before and after that packets went both ways, where it drifts.
    pub around_ns: Nanos,
    /// The point that this one was compared with, on the way to the reference.
    pub via: Option<usize>,
    /// Where one of both clocks was set meanwhile; `offset_ns` is then what held before.
    pub step: Option<Step>,
}

/// One of two clocks was set while packets were captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// From this time of the first clock on,
    pub from: Nanos,
    /// the second shows so much more than before, beside the offset.
    pub by: Nanos,
    /// The first and the last time of the first clock at which packets compared both.
    pub span: (Nanos, Nanos),
    /// Before this the first clock shows nothing but what it shows from the step on, if it was set back so far.
    pub earliest: Nanos,
}

impl Offset {
    /// The offset at a time of the first clock.
    #[must_use]
    pub fn at(&self, time: Nanos) -> Nanos {
        let stepped = self.step.filter(|s| time >= s.from).map_or(0, |s| s.by);
        self.offset_ns.saturating_add(scaled(time.saturating_sub(self.at_ns), self.drift_ppb)).saturating_add(stepped)
    }

    /// What the first clock shows when the second shows `time`.
    #[must_use]
    pub fn first_from_second(&self, time: Nanos) -> Nanos {
        if let Some(step) = self.step {
            let before = time.saturating_sub(self.offset_ns);
            let after = before.saturating_sub(step.by);
            // A clock that was set back shows some times twice. What lies far before the first packet was not meant.
            let is_early = before < step.earliest;
            return match (before < step.from && !is_early, after >= step.from) {
                (true, _) => before,
                (false, true) => after,
                (false, false) if is_early => before,
                // A time that a clock set forward never showed.
                (false, false) => step.from,
            };
        }
        let since = time.saturating_sub(self.at_ns).saturating_sub(self.offset_ns);
        // Asked for each packet; a division of 128 bits takes as long as all the rest.
        if self.drift_ppb == 0 {
            return self.at_ns.saturating_add(since);
        }
        // since = elapsed · (1 + drift), so elapsed = since − since · drift / (1 + drift).
        let gained = i128::from(since) * i128::from(self.drift_ppb) / (BILLION + i128::from(self.drift_ppb)).max(1);
        self.at_ns.saturating_add(since).saturating_sub(i64::try_from(gained).unwrap_or(0))
    }

    /// A drift that may as well be none is not told: the offset is then that much less sure.
    fn without_doubtful_drift(self) -> Self {
        if self.drift_ppb.saturating_abs() > self.drift_open_ppb || self.drift_ppb == 0 {
            return self;
        }
        let wander = scaled(self.around_ns, self.drift_ppb).saturating_abs();
        Self { uncertainty_ns: self.uncertainty_ns.saturating_add(wander), drift_ppb: 0, drift_open_ppb: 0, around_ns: 0, ..self }
    }

    /// The same seen from the second clock.
    fn reversed(self) -> Self {
        if let Some(step) = self.step {
            return self.reversed_with(step);
        }
        let at_ns = if self.drift_ppb == 0 { self.at_ns } else { self.at_ns.saturating_add(self.offset_ns) };
        let drift_ppb = scaled(self.drift_ppb, self.drift_ppb) - self.drift_ppb;
        Self { offset_ns: self.offset_ns.saturating_neg(), drift_ppb, at_ns, ..self }
    }

    /// A clock that was set back far enough shows after that what lies before all that it showed until then.
    fn reversed_with(self, step: Step) -> Self {
        let (before, after) = (self.offset_ns, self.offset_ns.saturating_add(step.by));
        let early = (step.span.0.saturating_add(before), step.from.saturating_add(before));
        let late = (step.from.saturating_add(after), step.span.1.saturating_add(after));
        if late.0 >= early.0 {
            let by = step.by.saturating_neg();
            let step = Step { from: early.1, by, span: (early.0, late.1), earliest: early.0.saturating_sub(by.saturating_abs() / 2) };
            Self { offset_ns: before.saturating_neg(), step: Some(step), ..self }
        } else {
            let step = Step { from: early.0, by: step.by, span: (late.0, early.1), earliest: late.0 };
            Self { offset_ns: after.saturating_neg(), step: Some(step), ..self }
        }
    }

    /// What two clocks differ by before and after the step of `self`, or of `next`, by the first clock.
    fn step_then(&self, next: &Self) -> Option<(Nanos, Option<Step>)> {
        let first = |t: Nanos| self.first_from_second(t);
        let shifted =
            |s: Step| Step { from: first(s.from), by: s.by, span: (first(s.span.0), first(s.span.1)), earliest: first(s.earliest) };
        let step = self.step.or_else(|| next.step.map(shifted))?;
        let at = |time: Nanos| {
            let here = self.at(time);
            here.saturating_add(next.at(time.saturating_add(here)))
        };
        let before = at(step.span.0);
        // The last time belongs to what came before where the first clock was set back far.
        let by = at(step.span.1.saturating_sub(1)).saturating_sub(before);
        // Where the clock between both was set, the outer two were not.
        let open = self.uncertainty_ns.saturating_add(next.uncertainty_ns).saturating_add(LEAST_STEP);
        Some((before, Some(Step { by, ..step }).filter(|_| by.saturating_abs() > open)))
    }

    /// `next`, measured against this one's second clock, against its first.
    fn then(self, next: Self) -> Self {
        let at_ns = match (self.drift_ppb, next.drift_ppb) {
            (0, 0) => self.at_ns,
            (0, _) => next.at_ns.saturating_sub(self.offset_ns),
            _ => self.at_ns,
        };
        let stepped = self.step_then(&next);
        let here = self.at(at_ns);
        let plain = here.saturating_add(next.at(at_ns.saturating_add(here)));
        // Where either was told for another time, its drift has had so long to be wrong.
        let astray = |one: &Self, time: Nanos| {
            if one.drift_open_ppb == 0 { 0 } else { scaled(time.saturating_sub(one.at_ns).saturating_abs(), one.drift_open_ppb) }
        };
        let astray = astray(&self, at_ns).saturating_add(astray(&next, at_ns.saturating_add(here)));
        Self {
            offset_ns: stepped.map_or(plain, |s| s.0),
            uncertainty_ns: self.uncertainty_ns.saturating_add(next.uncertainty_ns).saturating_add(astray),
            drift_ppb: self.drift_ppb + next.drift_ppb + scaled(self.drift_ppb, next.drift_ppb),
            drift_open_ppb: self.drift_open_ppb.saturating_add(next.drift_open_ppb),
            around_ns: self.around_ns.max(next.around_ns),
            at_ns,
            via: next.via,
            step: stepped.and_then(|s| s.1),
        }
    }
}

fn scaled(span: i64, ppb: i64) -> i64 {
    if ppb == 0 {
        return 0;
    }
    i64::try_from(i128::from(span) * i128::from(ppb) / BILLION).unwrap_or(0)
}

/// Differences of two clocks against the time of the first: of many only the lower convex hull, which has the least for any drift.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    kept: Vec<(Nanos, Nanos)>,
    count: u64,
    slots: Slots,
}

/// The least difference of each stretch of time, all as long as a power of two of nanoseconds: as short as [`Slots::MOST`] of them allow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Slots {
    power: u32,
    /// In order. There are few, and every pair of points has its own: a list is the least that can be walked and halved.
    of: Vec<(i64, Slot)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    least: Nanos,
    count: u32,
    first: Nanos,
}

impl Slots {
    const MOST: usize = 96;

    fn add(&mut self, at: Nanos, difference: Nanos) {
        let new = Slot { least: difference, count: 1, first: at };
        let slot = at >> self.power;
        match self.of.binary_search_by_key(&slot, |s| s.0) {
            Ok(i) => {
                if let Some((_, old)) = self.of.get_mut(i) {
                    old.absorb(&new);
                }
            }
            Err(i) => self.of.insert(i, (slot, new)),
        }
        while self.of.len() > Self::MOST && self.power < 62 {
            self.coarsen(self.power + 1);
        }
    }

    fn coarsen(&mut self, power: u32) {
        let by = power.saturating_sub(self.power);
        self.of.iter_mut().for_each(|(at, _)| *at >>= by);
        self.of.dedup_by(|next, kept| {
            let is_same = next.0 == kept.0;
            if is_same {
                kept.1.absorb(&next.1);
            }
            is_same
        });
        self.power = power;
    }

    fn coarser(&self, power: u32) -> Self {
        let mut coarser = self.clone();
        coarser.coarsen(power);
        coarser
    }

    fn get(&self, at: i64) -> Option<&Slot> {
        let i = self.of.binary_search_by_key(&at, |s| s.0).ok()?;
        self.of.get(i).map(|s| &s.1)
    }
}

impl Slot {
    fn absorb(&mut self, other: &Self) {
        self.least = self.least.min(other.least);
        self.first = self.first.min(other.first);
        self.count = self.count.saturating_add(other.count);
    }
}

/// A stretch of time in which one offset agrees with all packets: it lies between `low` and `high`.
#[derive(Clone, Copy, Debug, Default)]
struct Stretch {
    first: Option<Nanos>,
    high: Option<Nanos>,
    low: Option<Nanos>,
    forth: u32,
    back: u32,
}

impl Stretch {
    fn and(self, forth: Option<&Slot>, back: Option<&Slot>) -> Self {
        let least = |a: Option<Nanos>, b: Option<Nanos>| [a, b].into_iter().flatten().min();
        let most = |a: Option<Nanos>, b: Option<Nanos>| [a, b].into_iter().flatten().max();
        Self {
            first: least(self.first, least(forth.map(|s| s.first), back.map(|s| s.first))),
            high: least(self.high, forth.map(|s| s.least)),
            low: most(self.low, back.map(|s| s.least.saturating_neg())),
            forth: self.forth.saturating_add(forth.map_or(0, |s| s.count)),
            back: self.back.saturating_add(back.map_or(0, |s| s.count)),
        }
    }

    fn is_possible(&self) -> bool {
        !matches!((self.high, self.low), (Some(high), Some(low)) if high < low)
    }

    /// Offset and uncertainty, where packets enough went both ways.
    fn offset(&self) -> Option<(Nanos, Nanos)> {
        let (high, low) = (self.high?, self.low?);
        let is_enough = self.forth >= ON_EITHER_SIDE && self.back >= ON_EITHER_SIDE;
        is_enough.then(|| (low + high.saturating_sub(low) / 2, high.saturating_sub(low) / 2 + 1))
    }
}

impl Differences {
    /// One more: a time of the first clock, and a difference.
    pub fn add(&mut self, at: Nanos, difference: Nanos) {
        const MANY: usize = 512;
        self.kept.push((at, difference));
        self.count += 1;
        self.slots.add(at, difference);
        if self.kept.len() >= MANY {
            self.kept = hull(std::mem::take(&mut self.kept));
        }
    }

    /// So many of one conversation are worth adding. There are as many pairs of points as the square of their number, and what a
    /// minimum gains from yet another thousand is nothing to speak of; of each conversation some count, so that no time is left out.
    #[must_use]
    pub fn wanted(&self) -> usize {
        const ENOUGH: u64 = 1 << 15;
        const SOME: usize = 16;
        if self.count < ENOUGH { usize::MAX } else { SOME }
    }

    fn least(&self) -> Option<Nanos> {
        self.kept.iter().map(|x| x.1).min()
    }

    fn span(&self) -> Option<(Nanos, Nanos)> {
        Some((self.kept.iter().map(|x| x.0).min()?, self.kept.iter().map(|x| x.0).max()?))
    }
}

/// The lower convex hull of points (Andrew's monotone chain).
fn hull(mut points: Vec<(Nanos, Nanos)>) -> Vec<(Nanos, Nanos)> {
    points.sort_unstable();
    let mut hull: Vec<(Nanos, Nanos)> = Vec::new();
    for p in points {
        while let [.., a, b] = hull[..] {
            let turn = (i128::from(b.0) - i128::from(a.0)) * (i128::from(p.1) - i128::from(a.1))
                - (i128::from(b.1) - i128::from(a.1)) * (i128::from(p.0) - i128::from(a.0));
            if turn > 0 {
                break;
            }
            hull.pop();
        }
        // Of several at one time the least comes first.
        if hull.last().is_none_or(|l| l.0 != p.0) {
            hull.push(p);
        }
    }
    hull
}

/// What packets between two points say of their clocks, one per way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    /// `time at q − time at p` of packets that travel from p to q, each with its time at p.
    pub forth: Differences,
    /// `time at p − time at q` of packets that travel from q to p, each with its time at p.
    pub back: Differences,
}

impl Exchange {
    /// The offset, if packets went both ways.
    #[must_use]
    pub fn offset(&self) -> Option<Offset> {
        let (forth, back) = (self.forth.least()?, self.back.least()?);
        let sum = forth.checked_add(back)?;
        if sum >= 0 {
            return Some(Offset { offset_ns: forth.checked_sub(back)? / 2, uncertainty_ns: sum / 2 + 1, ..Offset::default() });
        }
        // A packet arrived before it left, by any one offset: the clocks drift apart, or the order of the points is wrong.
        self.drifting(LONG).or_else(|| self.stepping()).or_else(|| self.roughly())
    }

    /// One offset for clocks that no one offset fits, over a time too short to tell why: right to within what a drift of either may have
    /// made of it. Only where that is little beside the offset itself.
    fn roughly(&self) -> Option<Offset> {
        let line = self.drifting(SHORT)?;
        let ((a, b), (c, d)) = (self.forth.span()?, self.back.span()?);
        let wander = scaled((b.max(d) - a.min(c)) / 2 + 1, line.drift_ppb).saturating_abs();
        let uncertainty_ns = line.uncertainty_ns.saturating_add(wander);
        let is_plain = line.offset_ns.saturating_abs() > LEAST_STEP.max(uncertainty_ns.saturating_mul(2));
        is_plain.then_some(Offset { uncertainty_ns, drift_ppb: 0, drift_open_ppb: 0, around_ns: 0, ..line })
    }

    /// Two offsets, one after the other.
    fn stepping(&self) -> Option<Offset> {
        let power = self.forth.slots.power.max(self.back.slots.power);
        let (forth, back) = (self.forth.slots.coarser(power), self.back.slots.coarser(power));
        let times: BTreeSet<i64> = forth.of.iter().chain(&back.of).map(|s| s.0).collect();
        let mut parts: Vec<Stretch> = vec![Stretch::default()];
        for at in times {
            let (f, b) = (forth.get(at), back.get(at));
            let last = parts.last_mut()?;
            let longer = last.and(f, b);
            if longer.is_possible() {
                *last = longer;
                continue;
            }
            let new = Stretch::default().and(f, b);
            // A stretch that has the step in it belongs to neither side.
            parts.push(if new.is_possible() { new } else { Stretch::default() });
        }
        let [before, after] = parts[..] else { return None };
        let ((o, u), (p, v)) = (before.offset()?, after.offset()?);
        let (by, open) = (p.checked_sub(o)?, u.saturating_add(v));
        if by.saturating_abs() < LEAST_STEP.max(open.saturating_mul(2)) {
            return None;
        }
        let ((a, b), (c, d)) = (self.forth.span()?, self.back.span()?);
        let span = (a.min(c), b.max(d));
        let step = Step { from: after.first?, by, span, earliest: span.0.saturating_sub(by.saturating_abs() / 2) };
        Some(Offset { offset_ns: o, uncertainty_ns: u.max(v), step: Some(step), ..Offset::default() })
    }

    /// The offset as a line. Each packet bounds it at its time: on the way there `offset ≤ difference`, on the way back
    /// `offset ≥ −difference`; the lines that keep all bounds are what may be true.
    fn drifting(&self, least: Nanos) -> Option<Offset> {
        let ((a, b), (c, d)) = (self.forth.span()?, self.back.span()?);
        let (from, to) = (a.max(c), b.min(d));
        if to.saturating_sub(from) < least || self.forth.count < OFTEN || self.back.count < OFTEN {
            return None;
        }
        let middle = from + (to - from) / 2;
        let lines = Lines::new(hull(self.forth.kept.clone()), hull(self.back.kept.clone()), middle);
        let (least, most) = lines.drifts()?;
        let range = |time: Nanos| (lines.lowest(time, least, most), lines.highest(time, least, most));
        let (low, high) = range(middle);
        let (offset, drift) = ((low + high) / 2, least + (most - least) / 2);
        let uncertainty = [from, to].into_iter().map(|time| {
            let (low, high) = range(time);
            let line = offset + i128::from(drift) * i128::from(time - middle);
            (high - line).max(line - low)
        });
        Some(Offset {
            offset_ns: i64::try_from(offset / BILLION).ok()?,
            uncertainty_ns: i64::try_from(uncertainty.max()? / BILLION).ok()?.checked_add(1)?,
            drift_ppb: drift,
            drift_open_ppb: (most - least) / 2 + 1,
            at_ns: middle,
            around_ns: (to - from) / 2,
            via: None,
            step: None,
        })
    }
}

/// Lines below all differences of the way there and above all of the way back, through values at `middle` in parts of a billion.
struct Lines {
    forth: Vec<(i128, i128)>,
    back: Vec<(i128, i128)>,
    middle: Nanos,
}

impl Lines {
    fn new(forth: Vec<(Nanos, Nanos)>, back: Vec<(Nanos, Nanos)>, middle: Nanos) -> Self {
        let about = |v: Vec<(Nanos, Nanos)>, sign: i128| {
            v.into_iter().map(|(t, d)| (i128::from(t) - i128::from(middle), sign * i128::from(d) * BILLION)).collect()
        };
        Self { forth: about(forth, 1), back: about(back, -1), middle }
    }

    /// The highest value at the middle with this drift: concave.
    fn ceiling(&self, ppb: i64) -> i128 {
        self.forth.iter().map(|(t, d)| d - i128::from(ppb) * t).min().unwrap_or(i128::MIN / 2)
    }

    /// The lowest: convex.
    fn floor(&self, ppb: i64) -> i128 {
        self.back.iter().map(|(t, d)| d - i128::from(ppb) * t).max().unwrap_or(i128::MAX / 2)
    }

    /// The least and the greatest possible drift.
    fn drifts(&self) -> Option<(i64, i64)> {
        let room = |ppb: i64| self.ceiling(ppb) - self.floor(ppb);
        let peak = summit(room, -FASTEST_PPB, FASTEST_PPB);
        if room(peak) < 0 {
            return None;
        }
        let least = first(|ppb| room(ppb) >= 0, -FASTEST_PPB, peak);
        let most = -first(|ppb| room(-ppb) >= 0, -FASTEST_PPB, -peak);
        Some((least, most))
    }

    fn highest(&self, time: Nanos, least: i64, most: i64) -> i128 {
        let value = |ppb: i64| self.ceiling(ppb) + i128::from(ppb) * i128::from(time - self.middle);
        value(summit(value, least, most))
    }

    fn lowest(&self, time: Nanos, least: i64, most: i64) -> i128 {
        let value = |ppb: i64| self.floor(ppb) + i128::from(ppb) * i128::from(time - self.middle);
        value(summit(|ppb| -value(ppb), least, most))
    }
}

/// Where a concave function is greatest.
fn summit(f: impl Fn(i64) -> i128, low: i64, high: i64) -> i64 {
    first(|x| x == high || f(x + 1) <= f(x), low, high)
}

/// The first of `low..=high` for which it holds, if it holds from there to `high`.
fn first(holds: impl Fn(i64) -> bool, mut low: i64, mut high: i64) -> i64 {
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// Each point's clock against a reference point of its group: (reference, offset). Points that share no packets with
/// others are left out; the reference is the group's lowest point.
#[must_use]
pub fn solve(points: usize, exchanges: &BTreeMap<(usize, usize), Exchange>) -> BTreeMap<usize, (usize, Offset)> {
    let mut edges: BTreeMap<(usize, usize), Offset> = exchanges.iter().filter_map(|(pair, e)| Some((*pair, e.offset()?))).collect();
    let solved = tree(points, &edges);
    let group = |p: &usize| solved.get(p).map(|s| s.0);
    let drifting: BTreeSet<usize> = edges.iter().filter(|(_, o)| o.drift_ppb != 0).filter_map(|((p, _), _)| group(p)).collect();
    if drifting.is_empty() {
        return solved;
    }
    // Where a clock drifts, one offset that fits two others' packets may do so only because their delays hide as much of a drift: what
    // is left open there must be left open of all that is told through them.
    for (pair, o) in
        edges.iter_mut().filter(|((p, _), o)| o.drift_ppb == 0 && o.step.is_none() && group(p).is_some_and(|g| drifting.contains(&g)))
    {
        if let Some(line) = exchanges.get(pair).and_then(|e| e.drifting(LONG)) {
            *o = line;
        }
    }
    let mut solved = tree(points, &edges);
    solved.values_mut().for_each(|(_, o)| *o = o.without_doubtful_drift());
    solved
}

/// Prim's tree over the surest of the offsets between two points.
fn tree(points: usize, edges: &BTreeMap<(usize, usize), Offset>) -> BTreeMap<usize, (usize, Offset)> {
    let mut edges: Vec<(Nanos, usize, usize, Offset)> = edges.iter().map(|((p, q), o)| (o.uncertainty_ns, *p, *q, *o)).collect();
    edges.sort_unstable_by_key(|e| (e.0, e.1, e.2));
    let mut solved: BTreeMap<usize, (usize, Offset)> = BTreeMap::new();
    for start in 0..points {
        if solved.contains_key(&start) || !edges.iter().any(|e| e.1 == start || e.2 == start) {
            continue;
        }
        solved.insert(start, (start, Offset::default()));
        // Errors add along it.
        loop {
            let next = edges.iter().filter_map(|(_, p, q, o)| {
                let (known, new, via, edge) = match (solved.get(p), solved.get(q)) {
                    (Some(k), None) => (k, *q, *p, *o),
                    (None, Some(k)) => (k, *p, *q, o.reversed()),
                    _ => return None,
                };
                (known.0 == start).then(|| (known.1.then(Offset { via: Some(via), ..edge }), new))
            });
            let Some((offset, new)) = next.min_by_key(|(o, new)| (o.uncertainty_ns, *new, o.offset_ns)) else { break };
            solved.insert(new, (start, offset));
        }
    }
    solved
}

/// How far the difference of two points' clocks may be wrong: the errors along the tree between them. `None` where nothing compares them.
#[must_use]
pub fn uncertainty_between(clocks: &BTreeMap<usize, (usize, Offset)>, p: usize, q: usize) -> Option<Nanos> {
    let (a, b) = (clocks.get(&p)?, clocks.get(&q)?);
    if a.0 != b.0 {
        return None;
    }
    let up = |from: usize| std::iter::successors(Some(from), |at| clocks.get(at).and_then(|c| c.1.via)).take(clocks.len() + 1);
    let common = up(p).find(|x| up(q).any(|y| y == *x));
    let shared = common.and_then(|c| clocks.get(&c)).map_or(0, |c| c.1.uncertainty_ns);
    Some((a.1.uncertainty_ns - shared).saturating_add(b.1.uncertainty_ns - shared))
}

/// Each point's clock as [`solve`] does, where a person has given some of the offsets: `by_hand` has how far a point's clock is
/// ahead of the reference, and what was measured at these points is left aside.
///
/// The reference is that of the points which the given one shares packets with; where there are none, the lowest point that has
/// no offset by hand. Where all have one, the lowest of them is the reference.
#[must_use]
pub fn solve_with(
    points: usize,
    exchanges: &BTreeMap<(usize, usize), Exchange>,
    by_hand: &BTreeMap<usize, Nanos>,
) -> BTreeMap<usize, (usize, Offset)> {
    let is_free = |p: &usize| !by_hand.contains_key(p);
    let measured = exchanges.iter().filter(|((p, q), _)| is_free(p) && is_free(q)).map(|(pair, e)| (*pair, e.clone())).collect();
    let mut solved = solve(points, &measured);
    for (point, offset_ns) in by_hand {
        let neighbours = exchanges.keys().filter(|(p, q)| p == point || q == point).map(|(p, q)| if p == point { *q } else { *p });
        let reference = neighbours.filter(is_free).min().or_else(|| (0..points).find(is_free));
        let (reference, base) = match reference {
            Some(free) => {
                let (reference, _) = *solved.entry(free).or_insert((free, Offset::default()));
                (reference, 0)
            }
            None => by_hand.first_key_value().map_or((*point, 0), |(first, base)| (*first, *base)),
        };
        solved.insert(*point, (reference, Offset { offset_ns: offset_ns.saturating_sub(base), ..Offset::default() }));
    }
    solved
}

#[cfg(test)]
mod tests {
    use super::{Differences, Exchange, Offset, solve, solve_with, uncertainty_between};
    use std::collections::BTreeMap;

    fn one(difference: i64) -> Differences {
        let mut d = Differences::default();
        d.add(0, difference);
        d
    }

    fn exchange(forth: i64, back: i64) -> Exchange {
        Exchange { forth: one(forth), back: one(back) }
    }

    /// Packets both ways for ten minutes, delays of 20 to 220 µs; the second clock shows `offset(t)` more.
    fn ten_minutes(offset: impl Fn(i64) -> i64) -> Exchange {
        let mut e = Exchange::default();
        for n in 0..1200_i64 {
            let t = 1_790_000_000_000_000_000 + n * 500_000_000;
            let delay = |k: i64| 20_000 + (n * k % 200) * 1000;
            e.forth.add(t, delay(37) + offset(t));
            e.back.add(t, delay(91) - offset(t));
        }
        e
    }

    const START: i64 = 1_790_000_000_000_000_000;

    #[test]
    fn a_drift_of_fifty_millionths_shows_and_stays_within_its_bound() {
        let truth = |t: i64| 3_000_000_000 + (t - START) / 1_000_000 * 50;
        let o = ten_minutes(truth).offset().unwrap();
        assert!((o.drift_ppb - 50_000).abs() < 300, "{o:?}");
        assert!(o.uncertainty_ns < 150_000, "{o:?}");
        for n in 0..=10 {
            let t = START + n * 59_900_000_000;
            assert!((o.at(t) - truth(t)).abs() <= o.uncertainty_ns, "{o:?} at {n}");
            assert!((o.first_from_second(t + o.at(t)) - t).abs() <= 1, "there and back again");
        }
    }

    #[test]
    fn clocks_that_drift_for_seconds_differ_by_what_they_may_have_drifted_at_most() {
        let truth = |t: i64| 2_500_000_000 + (t - START) / 1_000_000 * 400;
        let mut e = Exchange::default();
        for n in 0..30_i64 {
            let t = START + n * 500_000_000;
            e.forth.add(t, 60_000 + n % 7 * 9_000 + truth(t));
            e.back.add(t, 60_000 + n % 5 * 9_000 - truth(t));
        }
        let o = e.offset().unwrap();
        assert_eq!((o.drift_ppb, o.step), (0, None), "{o:?}");
        assert!(o.uncertainty_ns < 10_000_000, "{o:?}");
        for n in 0..30 {
            let t = START + n * 500_000_000;
            assert!((o.at(t) - truth(t)).abs() <= o.uncertainty_ns, "{o:?} at {n}");
        }
        // What contradicts itself by less than it says says nothing.
        let mut e = Exchange::default();
        for n in 0..30_i64 {
            e.forth.add(START + n * 500_000_000, 20_000 - n * 2_000);
            e.back.add(START + n * 500_000_000, n * 2_000 - 25_000);
        }
        assert_eq!(e.offset(), None);
    }

    #[test]
    fn clocks_that_agree_do_not_drift() {
        let o = ten_minutes(|_| 7_000).offset().unwrap();
        assert_eq!((o.drift_ppb, (o.offset_ns - 7_000).abs() <= o.uncertainty_ns), (0, true), "{o:?}");
    }

    #[test]
    fn a_clock_that_was_set_has_an_offset_before_and_one_after() {
        const HOUR: i64 = 3_600_000_000_000;
        for by in [40_000_000, -40_000_000, HOUR, -HOUR] {
            let set = START + 300_000_000_000;
            let truth = |t: i64| 7_000 + if t > set { by } else { 0 };
            let o = ten_minutes(truth).offset().unwrap();
            let step = o.step.unwrap();
            assert!((step.by - by).abs() <= 2 * o.uncertainty_ns && o.uncertainty_ns < 150_000, "{o:?}");
            assert!((step.from - set).abs() < 10_000_000_000, "{o:?}");
            // From the other clock it looks the other way round, and there and back is where one began.
            let back = o.reversed();
            for n in [0, 100, 290, 310, 450, 599] {
                let t = START + n * 1_000_000_000;
                assert!((o.at(t) - truth(t)).abs() <= o.uncertainty_ns, "{o:?} at {n}");
                let there = t + o.at(t);
                assert!((o.first_from_second(there) - t).abs() <= 1, "{by} at {n}");
                assert!((back.at(there) + o.at(t)).abs() <= 1, "{by} at {n}: {back:?}");
                assert!((back.first_from_second(t) - there).abs() <= 1, "{by} at {n}: {back:?}");
            }
            // Two points of the host whose clock was set agree with one another.
            let solved = solve(3, &BTreeMap::from([((0, 1), ten_minutes(truth)), ((0, 2), ten_minutes(truth))]));
            assert!(solved.get(&1).unwrap().1.step.is_some() && solved.get(&2).unwrap().1.step.is_some());
            let between = solved.get(&1).unwrap().1.reversed().then(solved.get(&2).unwrap().1);
            assert_eq!(between.step, None, "{between:?}");
        }
        // Set twice, or at once: nothing that holds is known.
        let twice = |t: i64| [0, 40_000_000, 90_000_000][usize::try_from((t - START) / 200_000_000_000).unwrap().min(2)];
        assert_eq!(ten_minutes(twice).offset(), None);
        let wild = |t: i64| if (t / 500_000_000) % 2 == 0 { 40_000_000 } else { 0 };
        assert_eq!(ten_minutes(wild).offset(), None);
    }

    #[test]
    fn drifts_add_along_the_tree() {
        let drifting = |ppm: i64| ten_minutes(move |t| (t - START) / 1_000_000 * ppm);
        let solved = solve(3, &BTreeMap::from([((0, 1), drifting(50)), ((1, 2), drifting(-20))]));
        let o = solved.get(&2).unwrap().1;
        assert!((o.drift_ppb - 30_000).abs() < 600, "{o:?}");
        let t = START + 500_000_000_000;
        assert!((o.at(t) - (t - START) / 1_000_000 * 30).abs() <= o.uncertainty_ns + 2_000, "{o:?}");
        let edge = |a, b| uncertainty_between(&solved, a, b).unwrap();
        assert_eq!(edge(0, 2), edge(0, 1) + edge(1, 2));
    }

    #[test]
    fn a_drift_that_delays_hide_is_left_open_beyond_it() {
        // For a minute the middle clock gains five millionths, 300 µs; on the far side delays of 160 µs hide it.
        let minute = |truth: fn(i64) -> i64, delay: i64| {
            let mut e = Exchange::default();
            for n in 0..120_i64 {
                let t = START + n * 500_000_000;
                e.forth.add(t, delay + n * 37 % 100 * 100 + truth(t));
                e.back.add(t, delay + n * 91 % 100 * 100 - truth(t));
            }
            e
        };
        let gains = |t: i64| (t - START) / 200_000;
        let solved = solve(3, &BTreeMap::from([((0, 1), minute(gains, 10_000)), ((1, 2), minute(|t| (START - t) / 200_000, 160_000))]));
        let of = |p| solved.get(&p).unwrap().1;
        assert!((of(1).drift_ppb - 5_000).abs() < 500, "{:?}", of(1));
        let far = of(2);
        assert!(far.drift_ppb.abs() < 5_000, "its clock and the first keep time: {far:?}");
        for n in [0, 30, 60] {
            let t = START + n * 1_000_000_000;
            assert!(far.at(t).abs() <= far.uncertainty_ns, "{far:?} after {n} s");
        }
    }

    #[test]
    fn offset_of_asymmetric_delays_stays_within_its_bound() {
        // q is 1000 ahead; 30 there, 10 back.
        let e = exchange(1030, 10 - 1000);
        assert_eq!(e.offset(), Some(Offset { offset_ns: 1010, uncertainty_ns: 21, ..Offset::default() }));
    }

    #[test]
    fn one_way_says_nothing() {
        assert_eq!(Exchange { forth: one(5), back: Differences::default() }.offset(), None);
    }

    #[test]
    fn offsets_add_along_the_surest_tree() {
        let both = |o: i64, d: i64| exchange(d + o, d - o);
        let exchanges = BTreeMap::from([((0, 1), both(100, 5)), ((1, 2), both(-30, 5)), ((0, 2), both(71, 50))]);
        let solved = solve(4, &exchanges);
        assert_eq!(solved.get(&2).map(|s| (s.0, s.1.offset_ns)), Some((0, 70)));
        assert_eq!(solved.get(&3), None);
    }

    #[test]
    fn an_offset_by_hand_outweighs_what_was_measured_there_and_leaves_the_others() {
        let both = |o: i64| exchange(5 + o, 5 - o);
        let exchanges = BTreeMap::from([((0, 1), both(100)), ((1, 2), both(-30))]);
        let offsets = |by_hand: &[(usize, i64)]| {
            let solved = solve_with(4, &exchanges, &by_hand.iter().copied().collect());
            solved.into_iter().map(|(p, (r, o))| (p, r, o.offset_ns)).collect::<Vec<_>>()
        };
        assert_eq!(offsets(&[]), [(0, 0, 0), (1, 0, 100), (2, 0, 70)]);
        assert_eq!(offsets(&[(2, 9000)]), [(0, 0, 0), (1, 0, 100), (2, 0, 9000)]);
        // A point that shares nothing with the others is compared with the first of them.
        assert_eq!(offsets(&[(3, -7)]), [(0, 0, 0), (1, 0, 100), (2, 0, 70), (3, 0, -7)]);
        // The reference itself may be corrected: another takes its place.
        assert_eq!(offsets(&[(0, 50)]), [(0, 1, 50), (1, 1, 0), (2, 1, -30)]);
        assert_eq!(offsets(&[(0, 10), (1, 30), (2, 0), (3, 10)]), [(0, 0, 0), (1, 0, 20), (2, 0, -10), (3, 0, 0)]);
    }
}
