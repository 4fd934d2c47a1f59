//! The same few packets at every point, chosen by their identity, and the order in which two points saw them.
//! Knows times, rows and senders; must not know where a point may be.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Capture, Point};
use crate::digest::NO_TIME;
use crate::evidence::Place;
use crate::model::{Mac, Nanos};

/// Identity → its packet, or none where the identity came twice.
pub(in crate::identify) type Sample = BTreeMap<u64, Option<Sampled>>;

/// A packet of a [`Sample`].
#[derive(Clone, Copy, Debug)]
pub(in crate::identify) struct Sampled {
    pub(in crate::identify) time: Nanos,
    pub(super) row: u32,
    /// The sender's MAC.
    mac: Option<Mac>,
    /// The sender's address.
    pub(in crate::identify) src: Option<IpAddr>,
    pub(super) ttl: u8,
}

/// The samples of points, each taken once: it is a look at every packet of the capture.
#[derive(Default)]
pub(in crate::identify) struct Samples(BTreeMap<usize, Sample>);

impl Samples {
    /// Those of two points.
    pub(in crate::identify) fn pair(
        &mut self,
        captures: &[Capture<'_>],
        points: &[Point],
        a: usize,
        b: usize,
    ) -> Option<(&Sample, &Sample)> {
        for n in [a, b] {
            let point = points.get(n)?;
            self.0.entry(n).or_insert_with(|| sample(captures, point));
        }
        Some((self.0.get(&a)?, self.0.get(&b)?))
    }
}

/// Frames, each by its point and row.
pub(super) fn frames_at(captures: &[Capture<'_>], points: &[Point], at: [(usize, u32); 2]) -> Vec<Place> {
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
pub(super) fn owner_at_first(a: &Sample, b: &Sample) -> Option<(Mac, u32, u32)> {
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
