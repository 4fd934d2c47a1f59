//! How much each capture's clock differs from the others', from packets seen in both directions.
//! Knows times and identities; must not claim a difference smaller than the delays allow.
//!
//! A packet from p to q arrives `delay + offset` later by q's clock, one from q to p `delay − offset` by p's. With the smallest
//! of each, half the difference is the offset and half the sum bounds its error, whatever the delays were (as NTP does, RFC 5905 §8).

use std::collections::BTreeMap;

use crate::model::Nanos;

/// A measured difference between two points' clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// What the second point's clock shows more than the first's.
    pub offset_ns: Nanos,
    /// At most this much wrong.
    pub uncertainty_ns: Nanos,
}

/// Smallest differences of time between two points, one per way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exchange {
    /// Smallest `time at q − time at p` of packets that travel from p to q.
    pub forth: Option<Nanos>,
    /// Smallest `time at p − time at q` of packets that travel from q to p.
    pub back: Option<Nanos>,
}

impl Exchange {
    /// The offset, if packets went both ways.
    #[must_use]
    pub fn offset(self) -> Option<Offset> {
        let (forth, back) = (self.forth?, self.back?);
        // A negative sum would mean that a packet arrived before it left by any clock: the order of the points is wrong.
        let sum = forth.checked_add(back)?;
        (sum >= 0).then_some(Offset { offset_ns: forth.checked_sub(back)? / 2, uncertainty_ns: sum / 2 + 1 })
    }
}

/// Each point's clock against a reference point of its group: (reference, offset). Points that share no packets with
/// others are left out; the reference is the group's lowest point.
#[must_use]
pub fn solve(points: usize, exchanges: &BTreeMap<(usize, usize), Exchange>) -> BTreeMap<usize, (usize, Offset)> {
    let mut edges: Vec<(Nanos, usize, usize, Nanos)> = Vec::new();
    for ((p, q), e) in exchanges {
        if let Some(o) = e.offset() {
            edges.push((o.uncertainty_ns, *p, *q, o.offset_ns));
        }
    }
    edges.sort_unstable();
    let mut solved: BTreeMap<usize, (usize, Offset)> = BTreeMap::new();
    for start in 0..points {
        if solved.contains_key(&start) || !edges.iter().any(|e| e.1 == start || e.2 == start) {
            continue;
        }
        solved.insert(start, (start, Offset { offset_ns: 0, uncertainty_ns: 0 }));
        // Prim's tree over the surest exchanges: errors add along it.
        loop {
            let next = edges.iter().filter_map(|(u, p, q, o)| {
                let (known, new, sign) = match (solved.get(p), solved.get(q)) {
                    (Some(k), None) => (k, *q, 1),
                    (None, Some(k)) => (k, *p, -1),
                    _ => return None,
                };
                (known.0 == start).then(|| (known.1.uncertainty_ns + u, new, known.1.offset_ns + sign * o))
            });
            let Some((uncertainty_ns, new, offset_ns)) = next.min() else { break };
            solved.insert(new, (start, Offset { offset_ns, uncertainty_ns }));
        }
    }
    solved
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
    let measured = exchanges.iter().filter(|((p, q), _)| is_free(p) && is_free(q)).map(|(pair, e)| (*pair, *e)).collect();
    let mut solved = solve(points, &measured);
    for (point, offset_ns) in by_hand {
        let neighbours = exchanges.keys().filter(|(p, q)| p == point || q == point).map(|(p, q)| if p == point { *q } else { *p });
        let reference = neighbours.filter(is_free).min().or_else(|| (0..points).find(is_free));
        let (reference, base) = match reference {
            Some(free) => {
                let (reference, _) = *solved.entry(free).or_insert((free, Offset { offset_ns: 0, uncertainty_ns: 0 }));
                (reference, 0)
            }
            None => by_hand.first_key_value().map_or((*point, 0), |(first, base)| (*first, *base)),
        };
        solved.insert(*point, (reference, Offset { offset_ns: offset_ns.saturating_sub(base), uncertainty_ns: 0 }));
    }
    solved
}

#[cfg(test)]
mod tests {
    use super::{Exchange, Offset, solve, solve_with};
    use std::collections::BTreeMap;

    #[test]
    fn offset_of_asymmetric_delays_stays_within_its_bound() {
        // q is 1000 ahead; 30 there, 10 back.
        let e = Exchange { forth: Some(1030), back: Some(10 - 1000) };
        assert_eq!(e.offset(), Some(Offset { offset_ns: 1010, uncertainty_ns: 21 }));
    }

    #[test]
    fn one_way_says_nothing() {
        assert_eq!(Exchange { forth: Some(5), back: None }.offset(), None);
    }

    #[test]
    fn offsets_add_along_the_surest_tree() {
        let both = |o: i64, d: i64| Exchange { forth: Some(d + o), back: Some(d - o) };
        let exchanges = BTreeMap::from([((0, 1), both(100, 5)), ((1, 2), both(-30, 5)), ((0, 2), both(71, 50))]);
        let solved = solve(4, &exchanges);
        assert_eq!(solved.get(&2).map(|s| (s.0, s.1.offset_ns)), Some((0, 70)));
        assert_eq!(solved.get(&3), None);
    }

    #[test]
    fn an_offset_by_hand_outweighs_what_was_measured_there_and_leaves_the_others() {
        let both = |o: i64| Exchange { forth: Some(5 + o), back: Some(5 - o) };
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
