//! Shares and medians of which only a sample is known, with their error at 95 %. Knows numbers; must not know packets.

/// The standard normal's quantile that leaves 2.5 % at each side.
const Z: f64 = 1.96;

/// An estimated share with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// The estimate.
    pub value: f64,
    /// Not less, with 97.5 %.
    pub low: f64,
    /// Not more, with 97.5 %.
    pub high: f64,
}

/// With so many marked clusters, how much they vary tells what a cluster is worth.
const TELLING: usize = 10;

/// The share of what is marked, from clusters of (size, marked part of it) of which each is in the sample or not as a whole.
///
/// Wilson's score interval (1927) for as many independent trials as the clusters are worth. That a cluster's members say nothing
/// beyond its first is the worst case: (Σ size)² / Σ size² trials (Kish 1965). Where enough clusters are marked, the design effect,
/// the variance between clusters against that of independent members, says how far from it they are. `None` without clusters.
#[must_use]
pub fn share(clusters: impl Iterator<Item = (f64, f64)>) -> Option<Share> {
    let clusters: Vec<(f64, f64)> = clusters.filter(|(size, _)| *size > 0.0).collect();
    let sum_of = |of: &dyn Fn(&(f64, f64)) -> f64| clusters.iter().map(of).sum::<f64>();
    let (size, squares, marked) = (sum_of(&|c| c.0), sum_of(&|c| c.0 * c.0), sum_of(&|c| c.1));
    if size <= 0.0 || squares <= 0.0 {
        return None;
    }
    let (value, least) = ((marked / size).clamp(0.0, 1.0), size * size / squares);
    let between = sum_of(&|c| (c.1 - value * c.0) * (c.1 - value * c.0));
    let is_telling = clusters.iter().filter(|c| c.1 > 0.0).count() >= TELLING && between > 0.0;
    // p (1 - p) / trials is the variance of the share, which is that of the clusters' sums over the size squared.
    let trials = if is_telling { (value * (1.0 - value) * size * size / between).clamp(least, size.max(least)) } else { least };
    let z = Z * Z / trials;
    let middle = (value + z / 2.0) / (1.0 + z);
    let half = Z / (1.0 + z) * (value * (1.0 - value) / trials + z / (4.0 * trials)).sqrt();
    Some(Share { value, low: (middle - half).max(0.0).min(value), high: (middle + half).min(1.0).max(value) })
}

/// Positions in a sorted list of `len` values between which the median of what they are a sample of lies, with 95 %, if they are
/// worth `trials` independent ones: the ranks' binomial distribution. Of few values these are the first and the last.
#[must_use]
pub fn median_ranks(len: usize, trials: usize) -> Option<(usize, usize)> {
    let last = len.checked_sub(1)?;
    let (n, trials) = (len as f64, trials.clamp(1, len) as f64);
    let half = Z / 2.0 * n / trials.sqrt();
    let low = (n / 2.0 - half).floor().max(0.0) as usize;
    let high = ((n / 2.0 + half).ceil() as usize).min(last);
    Some((low.min(last), high))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// xorshift64: the same numbers on every machine.
    fn random(state: &mut u64) -> f64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 11) as f64 / (1_u64 << 53) as f64
    }

    #[test]
    fn known_intervals() {
        let wilson = |n: usize, k: usize| share((0..n).map(|i| (1.0, if i < k { 1.0 } else { 0.0 }))).unwrap();
        // Newcombe 1998, table I: 81 of 263, and 0 of 20.
        let s = wilson(263, 81);
        assert!((s.low - 0.2553).abs() < 0.0002 && (s.high - 0.3662).abs() < 0.0002, "{s:?}");
        let s = wilson(20, 0);
        assert!(s.low == 0.0 && (s.high - 0.1611).abs() < 0.0002, "{s:?}");
        assert_eq!(share(std::iter::empty()), None);
    }

    #[test]
    fn intervals_hold_the_truth_also_where_losses_come_in_bursts() {
        let mut seed = 7;
        let mut held = 0;
        for _ in 0..1000 {
            // 200 clusters of 1 to 5, each lost as a whole or not, of which one in four is in the sample.
            let all: Vec<(f64, f64)> = (0..200)
                .map(|_| {
                    let size = 1.0 + (random(&mut seed) * 5.0).floor();
                    (size, if random(&mut seed) < 0.1 { size } else { 0.0 })
                })
                .collect();
            let truth = all.iter().map(|c| c.1).sum::<f64>() / all.iter().map(|c| c.0).sum::<f64>();
            let sample: Vec<_> = all.iter().filter(|_| random(&mut seed) < 0.25).copied().collect();
            held += usize::from(share(sample.into_iter()).is_some_and(|s| (s.low..=s.high).contains(&truth)));
        }
        assert!(held >= 930, "{held} of 1000");
    }

    #[test]
    fn the_median_lies_between_its_ranks() {
        let mut seed = 11;
        let held = (0..1000).filter(|_| {
            let mut values: Vec<f64> = (0..60).map(|_| random(&mut seed)).collect();
            values.sort_by(f64::total_cmp);
            let (low, high) = median_ranks(60, 60).unwrap();
            (values[low]..=values[high]).contains(&0.5)
        });
        let held = held.count();
        assert!(held >= 935, "{held} of 1000");
        assert_eq!((median_ranks(0, 0), median_ranks(1, 1), median_ranks(5, 1)), (None, Some((0, 0)), Some((0, 4))));
    }
}
