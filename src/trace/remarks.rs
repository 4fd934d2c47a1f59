//! What captures' own writers noted of packets (a process, a container, a pod), at the hops where these were seen.
//! Knows streams and hops; must not take a note for more than that it was made: whose an address is, inventories say.

use std::collections::BTreeMap;

use super::{Context, Path, Paths};
use crate::digest::Remark;
use crate::evidence::{Book, Place};

/// Adds the notes on a path's packets to the hops where the packets were captured.
pub(super) fn lay(ctx: Context<'_>, paths: &mut Paths, book: &mut Book) {
    let mut all: BTreeMap<(usize, u32), &Remark> = BTreeMap::new();
    for (at, capture) in ctx.captures.iter().enumerate() {
        all.extend(capture.digest.remarks.iter().map(|r| ((at, r.stream), r)));
    }
    if all.is_empty() {
        return;
    }
    paths.change(|path| note(ctx, &all, path, book));
}

fn note(ctx: Context<'_>, all: &BTreeMap<(usize, u32), &Remark>, path: &mut Path, book: &mut Book) {
    for hop in path.directions.iter_mut().flat_map(|d| &mut d.hops) {
        let mut noted: Vec<(usize, &Remark)> =
            hop.sightings.iter().filter_map(|s| Some((s.capture, *all.get(&(s.capture, s.stream))?))).collect();
        noted.sort_by_key(|(capture, r)| (*capture, r.row));
        // Streams of one conversation differ by TTL and the like, and are noted alike.
        noted.dedup_by(|(a, x), (b, y)| a == b && x.text == y.text);
        for (capture, remark) in noted {
            let Some(capture) = ctx.captures.get(capture) else { continue };
            let statement = format!("the capture's writer noted: {}", remark.text);
            let ev = book.add("packet_comment", statement, vec![Place::frame(capture.input, remark.row)]);
            if !hop.ev.contains(&ev) {
                hop.ev.push(ev);
            }
        }
    }
}
