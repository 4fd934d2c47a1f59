//! How many packets are kept where all would not fit into memory: one rate for all captures of an analysis.
//! Knows counts and rates; must not know which packets are kept (`digest` does) or what follows from them.
//!
//! The rate is the finest at which the packets of all captures fit. Each capture may be thinned out while it is read, as soon
//! as those that were read so far do not fit: what is true of a part is true of the whole, so the order of reading changes nothing.

use std::collections::BTreeMap;

use crate::digest::Rate;
use crate::ingest::{Ingest, Ingested};

/// What a kept packet takes, in octets: 31 in the digest's columns, 4 for its number in the file, 4 in the analysis's index.
pub const PACKET_BYTES: u64 = 39;

/// Thins all captures out to one rate: the coarsest that one of them has or `at_least`, or a coarser one where more than `most`
/// packets would be left.
pub fn fit(found: &mut [Ingested], most: u64, at_least: Rate) -> Rate {
    let mut rate = found.iter().map(Ingested::rate).fold(at_least, Rate::max);
    loop {
        found.iter_mut().for_each(|one| one.sample(rate));
        if found.iter().map(Ingested::kept).sum::<u64>() <= most {
            return rate;
        }
        let Some(coarser) = rate.coarser() else { return rate };
        rate = coarser;
    }
}

/// Thins out what is being read where it holds more than `most` packets.
pub fn bound(ingest: &mut Ingest, most: u64) {
    while ingest.kept() > most
        && let Some(coarser) = ingest.rate().coarser()
    {
        ingest.sample(coarser);
    }
}

/// Keeps count while captures are read side by side, so that together they never hold much more than fits.
#[derive(Clone, Debug)]
pub struct Shares {
    most: u64,
    rate: Rate,
    kept: BTreeMap<usize, (Rate, u64)>,
}

impl Shares {
    /// Room for `most` packets, of which one in so many is kept from the beginning.
    #[must_use]
    pub fn new(most: u64, rate: Rate) -> Self {
        Self { most, rate, kept: BTreeMap::new() }
    }

    /// Capture number `who` has so many packets at its rate. Gives the rate that all have to thin out to; who does says so again.
    pub fn hold(&mut self, who: usize, rate: Rate, kept: u64) -> Rate {
        self.kept.insert(who, (rate, kept));
        self.rate = self.rate.max(rate);
        // Only what is as coarse as it has to be says anything of whether it fits at that rate.
        let held: u64 = self.kept.values().filter(|(rate, _)| *rate == self.rate).map(|(_, kept)| kept).sum();
        if let Some(coarser) = self.rate.coarser().filter(|_| held > self.most) {
            self.rate = coarser;
        }
        self.rate
    }

    /// The rate that all have to thin out to.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However fast each is read, the rate in the end is the same.
    #[test]
    fn the_order_of_reading_does_not_change_the_rate() {
        // At each rate half as many are left, and never less than 10.
        let at = |packets: u64, rate: Rate| (packets / rate.of()).max(10);
        for speeds in [[1, 1, 1], [5, 1, 1], [1, 9, 2], [1, 2, 50]] {
            let whole = [1000_u64, 3000, 700];
            let (mut read, mut rates) = ([0_u64; 3], [Rate::ALL; 3]);
            let mut shares = Shares::new(600, Rate::ALL);
            for _ in 0..4000 {
                for n in 0..3 {
                    read[n] = (read[n] + speeds[n]).min(whole[n]);
                    rates[n] = shares.hold(n, rates[n], at(read[n], rates[n]));
                }
            }
            assert_eq!((shares.rate(), rates), (Rate::one_in(8), [Rate::one_in(8); 3]), "{speeds:?}");
        }
    }
}
