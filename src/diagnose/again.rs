//! Findings about segments that were sent again.
//! Knows the rows of one path at one point; must not compare points.

use std::collections::BTreeMap;

use super::alike::{Lead, One, span};
use super::{Finding, ends};
use crate::confidence::finding as weight;
use crate::digest::{Rate, Row, is_control, is_kept_everywhere, kept_pieces};
use crate::dissect::flags;
use crate::estimate;
use crate::evidence::{Book, Place};
use crate::identify::inventory::Id;
use crate::model::{Nanos, Protocol};
use crate::report::{Severity, Way};
use crate::trace::{Context, Path};

/// The same bytes sent again: same sequence number, new IP id, at one point.
pub(super) fn retransmissions(ctx: Context<'_>, path: &Path, book: &mut Book, found: &mut dyn FnMut(One)) {
    if path.legs.first().is_none_or(|l| l.tuple.protocol != Protocol::Tcp) {
        return;
    }
    for d in &path.directions {
        let Some(h) = d.hops.iter().find(|h| h.observed()) else { continue };
        let mut here = h.sightings.iter().filter(|s| Some(s.point) == h.sample_point);
        // Every segment lies beyond all before it: most conversations need no look at their rows.
        if let (Some(only), None) = (here.next(), here.next())
            && ctx.flows.of(only).is_some_and(|all| all.advances(only.stream))
        {
            continue;
        }
        let mut seen: BTreeMap<(u32, u32, u8), (u16, u32, Nanos)> = BTreeMap::new();
        let mut again = Vec::new();
        let mut sample = Repeated::default();
        for s in h.sightings.iter().filter(|s| Some(s.point) == h.sample_point) {
            let Some(capture) = ctx.captures.get(s.capture) else { continue };
            for r in ctx.flows.rows(ctx.captures, s).take(100_000) {
                if r.len == 0 && r.flags & (flags::SYN | flags::FIN) == 0 || r.flags & flags::RST != 0 {
                    continue;
                }
                // A keep-alive repeats one byte that was acknowledged long ago (RFC 9293 §3.8.4).
                if r.len <= 1 && r.flags & (flags::SYN | flags::FIN | flags::PSH) == 0 {
                    continue;
                }
                let before = again.len();
                match seen.get(&(r.seq, r.len, r.flags & (flags::SYN | flags::FIN))) {
                    // The same IP id is the same packet, captured twice.
                    Some((id, first, _)) if *id != r.ip_id || r.ip_id == 0 => again.push((capture.input, *first, r.row)),
                    Some(_) => {}
                    None => {
                        seen.insert((r.seq, r.len, r.flags & (flags::SYN | flags::FIN)), (r.ip_id, r.row, r.time));
                    }
                }
                sample.count(&r, again.len() > before, ctx.flows.rate);
            }
        }
        let Some((input, first, second)) = again.first().copied() else { continue };
        let leg = path.legs.get(h.leg).map_or_else(|| path.legs.first().map(|l| l.tuple), |l| Some(l.tuple));
        let Some(t) = leg.map(|t| if d.way == Way::Request { t } else { t.reversed() }) else { continue };
        let ev = book.add(
            "retransmission",
            format!("frames {} and {} carry the same sequence number", first + 1, second + 1),
            vec![Place::frame(input, first), Place::frame(input, second)],
        );
        let n = again.len();
        let is_whole = h.sightings.iter().filter(|s| Some(s.point) == h.sample_point).all(|s| ctx.flows.is_whole(ctx.captures, s));
        let (times, n) = match sample.estimate(h.seen, n as u64).filter(|_| !is_whole) {
            Some((about, low, high)) if low < high => (format!("about {about} segments ({low} to {high}) are"), about),
            _ if n == 1 => ("1 segment is".to_owned(), 1),
            _ => (format!("{n} segments are"), n as u64),
        };
        let summary = format!("{times} sent again in {}", ends(ctx, t));
        let about = vec![ctx.inv.entity_of_ip(t.src), ctx.inv.entity_of_ip(t.dst)];
        // Whoever hears nothing asks again: that nothing came back is told already.
        let severity = if path.direction(Way::Reply).is_none() { Severity::Info } else { Severity::Warning };
        let finding = Finding { kind: "retransmission", severity, about, summary, next_step: None, p: weight::RETRANSMITTED, ev: vec![ev] };
        let asked = path.asked();
        found(One {
            finding,
            lead: Lead::Again { replies: d.way == Way::Reply },
            tail: String::new(),
            at: Id::new(),
            asked,
            counts: [n, 0],
            span: span(ctx, d),
        });
    }
}

/// How many segments are sent again, where not all are known.
#[derive(Default)]
struct Repeated {
    /// Openings and ends, which are all known, and how many of them came again.
    control: (u64, u64),
    /// Of the others, by block of sequence space: how many, and how many of them again.
    blocks: BTreeMap<u32, (f64, f64)>,
}

impl Repeated {
    fn count(&mut self, r: &Row, is_again: bool, rate: Rate) {
        let tcp = Some(Protocol::Tcp);
        if is_control(tcp, r) {
            self.control = (self.control.0 + 1, self.control.1 + u64::from(is_again));
        } else if rate.is_sampled()
            && is_kept_everywhere(tcp, r, rate)
            && let Some(piece) = kept_pieces(r, rate).next()
        {
            let b = self.blocks.entry(piece.block).or_default();
            *b = (b.0 + 1.0, b.1 + f64::from(u8::from(is_again)));
        }
    }

    /// About how many of `all` packets, and between how many; `found` were.
    fn estimate(self, all: u64, found: u64) -> Option<(u64, u64, u64)> {
        let (openings, again) = self.control;
        let others = all.saturating_sub(openings) as f64;
        let share = estimate::share(self.blocks.into_values())?;
        let of = |part: f64| (again + (part * others).round() as u64).max(found);
        Some((of(share.value), of(share.low), of(share.high)))
    }
}
