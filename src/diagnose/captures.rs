//! Findings about what was captured: left out by a filter, or only sampled.
//! Knows captures and rates; must not judge paths.

use super::{Finding, ends};
use crate::confidence::finding as weight;
use crate::digest::CaptureDigest;
use crate::evidence::{Book, Place};
use crate::identify::inventory::short;
use crate::identify::place::first_frame;
use crate::report::Severity;
use crate::trace::Context;
use crate::trace::filters::LeftOut;

/// Captures that left out what crossed their interface: what they do not have is not lost.
pub(super) fn filtered(ctx: Context<'_>, left_out: &[LeftOut], book: &mut Book, found: &mut Vec<Finding>) {
    for one in left_out {
        let place = ctx.points.get(one.point).and_then(|p| Some((p.p, first_frame(ctx.captures, p)?)));
        let other = ctx.captures.get(one.row.0).map(|c| Place::frame(c.input, one.row.1));
        let (Some((p, place)), Some(other)) = (place, other) else { continue };
        let (at, what) = (short(&one.interface), ends(ctx, one.tuple));
        let ev = book.add("left_out", format!("the capture at {at} ran while {what} crossed it, and has none of it"), vec![other, place]);
        let more = match one.others {
            0 => String::new(),
            1 => " and of 1 other conversation".to_owned(),
            n => format!(" and of {n} other conversations"),
        };
        found.push(Finding {
            kind: "filtered_capture",
            severity: Severity::Info,
            about: vec![one.interface.clone()],
            summary: format!(
                "the capture at {at} has nothing of {what}{more}, which crossed it: it was taken with a filter, or lost packets; what it does not have is not taken for lost"
            ),
            next_step: Some(format!("capture at {at} without a filter")),
            p: weight::FILTERED.min(p),
            ev: vec![ev],
        });
    }
}

/// What all figures of a sample have in common.
pub(super) fn sampled(ctx: Context<'_>, book: &mut Book, found: &mut Vec<Finding>) {
    let rate = ctx.flows.rate;
    if !rate.is_sampled() {
        return;
    }
    let of = rate.of();
    let sum = |count: fn(&CaptureDigest) -> u32| ctx.captures.iter().map(|c| u64::from(count(c.digest))).sum::<u64>();
    let (packets, kept) = (sum(CaptureDigest::len), sum(CaptureDigest::kept));
    let places: Vec<Place> = ctx.captures.iter().filter(|c| !c.digest.is_empty()).map(|c| Place::frame(c.input, 0)).collect();
    if places.is_empty() {
        return;
    }
    let ev = book.add("sampled", format!("1 in {of} of the packets were examined: {kept} of {packets}"), places);
    let left_out = match ctx.flows.unexamined {
        0 => String::new(),
        1 => "; 1 conversation of which none was kept is left out".to_owned(),
        n => format!("; {n} conversations of which none was kept are left out"),
    };
    let summary = format!(
        "1 in {of} of the packets were examined ({kept} of {packets}, openings and ends of connections, errors and short conversations nearly all): packets seen are counted, what is missing and delays are estimates with their 95 % interval{left_out}"
    );
    let step = Some("to examine every packet, analyse fewer or shorter captures, or give hopscope analyze more --memory".to_owned());
    found.push(Finding { kind: "sampled", severity: Severity::Info, about: Vec::new(), summary, next_step: step, p: 1.0, ev: vec![ev] });
}
