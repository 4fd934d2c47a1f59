//! Findings about clocks: apart, drifting, or set while packets were captured.
//! Knows the offsets that were estimated; must not estimate any.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use crate::confidence::finding as weight;
use crate::correlate::clocks::Offset;
use crate::digest::{CaptureDigest, NO_TIME};
use crate::evidence::{Book, Place};
use crate::facts::Correction;
use crate::identify::inventory::{Id, short};
use crate::identify::place::{first_frame, streams};
use crate::model::Nanos;
use crate::report::Severity;
use crate::trace::{Context, judge};

/// Clocks that differ by more than anybody may overlook, once for each host.
pub(super) fn skew(ctx: Context<'_>, clocks: &BTreeMap<usize, (usize, Offset)>, book: &mut Book, found: &mut Vec<Finding>) {
    let host = |p: &usize| ctx.points.get(*p).and_then(|p| p.host(ctx.inv)).cloned();
    // All captures of a host have its clock: the surest tells, unless another disagrees.
    let agrees = |a: &Offset, b: &Offset| (a.offset_ns - b.offset_ns).abs() <= a.uncertainty_ns.saturating_add(b.uncertainty_ns);
    let is_told_by_another = |point: &usize, reference: &usize, o: &Offset| {
        by_hand(ctx, *point).is_none()
            && clocks.iter().any(|(other, (r, x))| {
                let is_surer = (x.uncertainty_ns, other) < (o.uncertainty_ns, point);
                r == reference && is_surer && agrees(x, o) && host(other).is_some() && host(other) == host(point)
            })
    };
    for (point, (reference, offset)) in clocks {
        let apart = offset.offset_ns.abs();
        // Below a millisecond every pair of hosts differs, and no conclusion of ours depends on it.
        if apart < 1_000_000.max(3 * offset.uncertainty_ns) || is_told_by_another(point, reference, offset) {
            continue;
        }
        let place = |p: &usize| {
            ctx.points
                .get(*p)
                .and_then(|p| Some(Place::frame(ctx.captures.get(p.capture)?.input, streams(ctx.captures, p).next()?.1.first_row)))
        };
        let sources: Vec<Place> = [place(reference), place(point)].into_iter().flatten().collect();
        let name = |p: &usize| ctx.points.get(*p).and_then(|p| p.at.clone()).map_or("a capture".to_owned(), |a| short(&a).to_owned());
        if sources.is_empty() {
            continue;
        }
        let word = if offset.offset_ns > 0 { "ahead of" } else { "behind" };
        let drifts = if offset.drift_ppb == 0 { String::new() } else { format!(", {}", judge::drift(offset.drift_ppb)) };
        let ev = match by_hand(ctx, *point) {
            Some(place) => {
                let statement =
                    format!("a person put the clock of {} {} {word} that of {}", name(point), judge::duration(apart), name(reference));
                book.add("correction", statement, vec![place])
            }
            None => {
                let statement = format!(
                    "packets in both directions put the clock of {} {} {word} that of {}, ± {}{drifts}",
                    name(point),
                    judge::duration(apart),
                    name(reference),
                    judge::duration(offset.uncertainty_ns)
                );
                book.add("clock", statement, sources)
            }
        };
        let owner = ctx.points.get(*point).and_then(|p| p.owner.clone());
        let about: Vec<Id> = owner.into_iter().collect();
        let of = |p: &usize| host(p).map_or_else(|| name(p), |h| short(&h).to_owned());
        let summary = format!("the clock of {} is {} {word} that of {}{drifts}", of(point), judge::duration(apart), of(reference));
        found.push(Finding {
            kind: "clock_skew",
            severity: Severity::Info,
            about,
            summary,
            next_step: Some("chronyc tracking on both hosts".to_owned()),
            p: weight::CLOCK_SKEW,
            ev: vec![ev],
        });
    }
}

/// Clocks that were set while packets were captured: all captures of one host say it, and it is told once for each.
pub(super) fn steps(ctx: Context<'_>, clocks: &BTreeMap<usize, (usize, Offset)>, book: &mut Book, found: &mut Vec<Finding>) {
    let host = |point: usize| ctx.points.get(point)?.host(ctx.inv);
    let name = |point: usize| host(point).map_or("a capture's host", |h| short(h)).to_owned();
    let place = |point: usize| first_frame(ctx.captures, ctx.points.get(point)?);
    let mut told: BTreeSet<(Option<&Id>, Option<&Id>)> = BTreeSet::new();
    for (point, (reference, offset)) in clocks {
        let Some(step) = offset.step else { continue };
        if !told.insert((host(*point), host(*reference))) {
            continue;
        }
        // Against the same reference others were not set: it is this one. Where none but this is compared, the frames may show it.
        let others = clocks.iter().filter(|(p, (r, _))| r == reference && *p != reference && host(**p) != host(*point));
        let others: Vec<bool> = others.filter(|(p, _)| host(**p) != host(*reference)).map(|(_, (_, o))| o.step.is_some()).collect();
        let (back, forward) = if step.by < 0 { (*point, *reference) } else { (*reference, *point) };
        let goes_back =
            |p: usize| ctx.points.get(p).and_then(|p| ctx.captures.get(p.capture)).is_some_and(|c| turns_back(c.digest, step.by));
        let whose = if others.is_empty() {
            if goes_back(back) { Some(back) } else { None }
        } else if others.iter().all(|stepped| *stepped) {
            Some(*reference)
        } else {
            Some(*point)
        };
        let by = judge::duration(step.by.saturating_abs());
        let since = |p: usize, at: Nanos| {
            let first = ctx.points.get(p).and_then(|p| ctx.captures.get(p.capture)).and_then(|c| c.span)?.0;
            Some(judge::duration(at.saturating_sub(first).max(0)))
        };
        let when =
            since(*reference, step.from).map_or(String::new(), |t| format!(", about {t} after the first packet at {}", name(*reference)));
        let summary = match whose {
            Some(p) => {
                let word = if p == back { "back" } else { "forward" };
                format!("the clock of {} was set {word} by {by} while packets were captured{when}", name(p))
            }
            None => format!(
                "the clock of {} was set forward by {by}, or that of {} back, while packets were captured{when}",
                name(forward),
                name(back)
            ),
        };
        let statement = format!(
            "packets in both directions put the clock of {} {} from that of {} before, and {} after",
            name(*point),
            signed(offset.offset_ns),
            name(*reference),
            signed(offset.offset_ns.saturating_add(step.by))
        );
        let ev = book.add("clock", statement, [place(*reference), place(*point)].into_iter().flatten().collect());
        found.push(Finding {
            kind: "clock_step",
            severity: Severity::Warning,
            about: [host(*point), host(*reference)]
                .into_iter()
                .flatten()
                .filter(|h| whose.is_none_or(|p| host(p) == Some(h)))
                .cloned()
                .collect(),
            summary,
            next_step: Some("journalctl -u chronyd -u systemd-timesyncd on both hosts; chronyc tracking".to_owned()),
            p: weight::CLOCK_STEP,
            ev: vec![ev],
        });
    }
}

fn signed(ns: Nanos) -> String {
    format!("{}{}", if ns < 0 { "−" } else { "+" }, judge::duration(ns.saturating_abs()))
}

/// Whether a capture's frames, in the order of the file, go back in time by about so much.
fn turns_back(digest: &CaptureDigest, by: Nanos) -> bool {
    let mut last = NO_TIME;
    let mut most: Nanos = 0;
    for time in digest.pages().flat_map(|p| p.times.iter().copied()).filter(|t| *t != NO_TIME) {
        if last != NO_TIME {
            most = most.max(last.saturating_sub(time));
        }
        last = time;
    }
    most >= by.saturating_abs() / 2
}

/// Where a person has given this point's offset.
fn by_hand(ctx: Context<'_>, point: usize) -> Option<Place> {
    let capture = ctx.captures.get(ctx.points.get(point)?.capture)?;
    let is_it = |c: &Correction| matches!(c, Correction::ClockOffset { input_name, .. } if capture.is_called(input_name));
    ctx.inv.corrections.iter().find(|(c, _)| is_it(c)).map(|(_, place)| place.clone())
}
