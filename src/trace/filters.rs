//! Captures that left something out: taken with a filter, or by a program that lost packets and did not say so.
//! Knows hops and times; must not know why a packet is missing.
//!
//! A conversation that was seen before an interface and behind it has crossed it. A capture that ran there at that time and has none
//! of it shows what it was told to show, and its silence on other conversations says nothing.

use std::collections::BTreeMap;

use super::judge::{Clocks, Taken, inside, translate};
use super::{Context, Hop, Paths};
use crate::confidence::needed::SURE;
use crate::correlate::clocks::uncertainty_between;
use crate::digest::{NO_TIME, Tuple};
use crate::identify::inventory::Id;
use crate::model::Nanos;
use crate::report::Way;

/// A capture's first and last packets may be the ones around the one that is looked for.
const MARGIN: Nanos = 1_000_000;

/// Packets of a hop whose times are looked at.
const LOOKED_AT: usize = 64;

/// A conversation that a capture must have seen and does not have.
#[derive(Clone, Debug)]
pub struct LeftOut {
    /// The point.
    pub point: usize,
    /// The interface that it was captured at.
    pub interface: Id,
    /// The conversation's addresses there, as its packets have them in that direction.
    pub tuple: Tuple,
    /// One of its packets, at another point: index of the capture, row.
    pub row: (usize, u32),
    /// How many conversations there are of this kind.
    pub others: usize,
}

/// Points that have none of a conversation which crossed their interface while they ran, with the first such conversation.
#[must_use]
pub fn left_out(ctx: Context<'_>, paths: &Paths, clocks: &Clocks) -> BTreeMap<usize, LeftOut> {
    let taken = Taken::of(ctx, SURE);
    let mut found: BTreeMap<usize, LeftOut> = BTreeMap::new();
    paths.each(|_, path| {
        let mut here: BTreeMap<usize, LeftOut> = BTreeMap::new();
        for d in &path.directions {
            let Some(last) = d.hops.iter().rposition(Hop::observed) else { continue };
            for (n, h) in d.hops.iter().enumerate().take(last + 1).filter(|(_, h)| h.p >= SURE && h.sealed.is_none()) {
                let points = h.interface.iter().flat_map(|i| taken.at(i));
                for id in points.filter(|p| h.sightings.iter().all(|s| s.point != *p)) {
                    // Where packets turn round, one interface has several hops.
                    let is_known = d.hops.iter().filter(|x| x.interface == h.interface).flat_map(|x| &x.sightings).any(|s| s.point == id);
                    // Seen at this interface by another capture, or behind it.
                    let Some(witness) = d.hops.get(n..=last).and_then(|h| h.iter().find(|h| h.observed())).filter(|_| !is_known) else {
                        continue;
                    };
                    let Some(row) = crossed_while_running(ctx, witness, id, clocks) else { continue };
                    let Some(leg) = path.legs.get(h.leg) else { continue };
                    let tuple = if d.way == Way::Request { leg.tuple } else { leg.tuple.reversed() };
                    let interface = h.interface.clone().unwrap_or_default();
                    here.entry(id).or_insert(LeftOut { point: id, interface, tuple, row, others: 0 });
                }
            }
        }
        for (id, one) in here {
            found.entry(id).and_modify(|f| f.others += 1).or_insert(one);
        }
    });
    found
}

/// One of a hop's packets, at a time at which a point's capture ran, by clocks that were compared.
fn crossed_while_running(ctx: Context<'_>, h: &Hop, point: usize, clocks: &Clocks) -> Option<(usize, u32)> {
    let host = |id: usize| ctx.points.get(id)?.host(ctx.inv);
    let comparable = |from: usize| {
        let group = |p: usize| clocks.get(&p).map(|c| c.0);
        host(from).is_some() && host(from) == host(point) || group(from).is_some() && group(from) == group(point)
    };
    h.sightings.iter().filter(|s| comparable(s.point)).find_map(|s| {
        let times = ctx.flows.rows(ctx.captures, s).filter(|r| r.time != NO_TIME).take(LOOKED_AT);
        let open = MARGIN + uncertainty_between(clocks, s.point, point).unwrap_or(0);
        let ran = |t: Nanos| {
            let t = translate(t, s.point, point, clocks);
            inside(ctx, point, t.saturating_sub(open)) && inside(ctx, point, t.saturating_add(open))
        };
        times.filter(|r| ran(r.time)).map(|r| (s.capture, r.row)).next()
    })
}

/// Whether a filter that the file states lets a conversation's packets through, as far as its words tell: it names one of their
/// addresses or ports, and excludes nothing.
#[must_use]
pub(super) fn lets_through(filter: &str, tuple: &Tuple) -> bool {
    let mut words = filter.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '!')));
    let excludes = words.clone().any(|w| w == "not" || w.starts_with('!'));
    let named = [tuple.src.to_string(), tuple.dst.to_string(), tuple.src_port.to_string(), tuple.dst_port.to_string()];
    filter.trim().is_empty() || !excludes && words.any(|w| named.iter().any(|n| n == w))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Protocol;

    #[test]
    fn a_filter_that_names_neither_end_is_no_witness() {
        let tuple = Tuple { protocol: Protocol::Tcp, src: [10, 0, 0, 1].into(), src_port: 40000, dst: [10, 0, 0, 2].into(), dst_port: 80 };
        for (filter, expected) in [
            ("", true),
            ("host 10.0.0.2", true),
            ("tcp port 80 and host 10.0.0.9", true),
            ("(dst host 10.0.0.2)", true),
            ("host 10.0.0.21", false),
            ("port 8080", false),
            ("not port 22", false),
            ("!(port 80)", false),
            ("not host 10.0.0.2", false),
        ] {
            assert_eq!(lets_through(filter, &tuple), expected, "{filter}");
        }
    }
}
