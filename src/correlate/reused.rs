//! Addresses and ports that one conversation had, and then another: a port that was used again, an idle mapping that was forgotten and made
//! anew, to another server.
//! Knows flows, packets and times; must not know whose an address is.
//!
//! Such a flow shares packets with flows that have nothing to do with one another, and joined through it they would be one conversation,
//! whose packets seem to go to one server and on to another. It is cut where the packets of the second begin: at each capture by that
//! capture's own times. Where only one conversation can be told, nothing is cut: a connection that is opened again, unchanged, is one.

use super::flows::{Conversation, Flow, Flows};
use crate::digest::{NO_TIME, Row, Stream};
use crate::dissect::flags;
use crate::identify::place::{Capture, Part};
use crate::model::Nanos;
use crate::order;

/// More flows than this of one conversation are not compared, each with each.
const MOST: usize = 256;

/// For each capture the parts of its streams, in order; none but for flows that several conversations had.
#[must_use]
pub fn parts(captures: &[Capture<'_>], flows: &Flows) -> Vec<Vec<Part>> {
    let mut parts: Vec<Vec<Part>> = captures.iter().map(|_| Vec::new()).collect();
    // What was not kept cannot be counted to either part.
    if flows.rate.is_sampled() {
        return parts;
    }
    for conversation in flows.conversations().filter(|c| (3..=MOST).contains(&c.flows.len())) {
        for (flow, generations) in torn(captures, flows, &conversation) {
            cut(captures, flows, flow, &generations, &mut parts);
        }
    }
    for parts in &mut parts {
        order::sort_by_key(parts, |p| (p.of, p.from));
    }
    parts
}

/// Which of several conversations, from 1, a flow is part of that only one of them had. Lists are short, and a map of its own kind costs more
/// to load than looking through them takes.
type Generations = Vec<(usize, u32)>;

fn generation(of: &[(usize, u32)], flow: usize) -> Option<u32> {
    of.iter().find(|x| x.0 == flow).map(|x| x.1)
}

/// The flows of a conversation that are several conversations', each with those of its neighbours that are not.
fn torn<'a>(captures: &[Capture<'_>], flows: &'a Flows, conversation: &Conversation) -> Vec<(&'a Flow, Generations)> {
    let is_joined = |a: usize, b: usize| conversation.joins.iter().any(|j| (j.a, j.b) == (a, b) || (j.b, j.a) == (a, b));
    let around = |f: usize| conversation.flows.iter().copied().filter(move |n| is_joined(f, *n));
    let strangers = |a: usize, b: usize| a != b && !is_joined(a, b) && are_apart(flows, a, b);
    let is_torn = |f: &usize| around(*f).any(|a| around(*f).any(|b| a < b && strangers(a, b)));
    let torn: Vec<usize> = conversation.flows.iter().copied().filter(is_torn).collect();
    // Flows that hold together without those are one conversation's.
    let mut parts: Generations = Vec::new();
    for (part, start) in (1..).zip(&conversation.flows) {
        let mut open = vec![*start];
        while let Some(f) = open.pop() {
            if !torn.contains(&f) && generation(&parts, f).is_none() {
                parts.push((f, part));
                open.extend(around(f));
            }
        }
    }
    let Some(longest) = torn.iter().copied().max_by_key(|f| around(*f).count()) else { return Vec::new() };
    let Some(flow) = flows.flows.get(longest) else { return Vec::new() };
    // In order of time at one capture: a part that is not shown to be another conversation's belongs to the one before.
    let of = |f: usize, known: &[(usize, u32)]| -> Generations { known.iter().copied().filter(|x| is_joined(f, x.0)).collect() };
    let spans = spans(captures, flows, flow, &of(longest, &parts));
    let at = |capture: usize| spans.iter().filter(move |s| s.capture == capture);
    let Some(most) = spans.iter().map(|s| s.capture).max_by_key(|c| at(*c).count()) else { return Vec::new() };
    // Part, generation.
    let mut generations: Vec<(u32, u32)> = Vec::new();
    let mut last = 0;
    for span in at(most) {
        let members = |part: u32| parts.iter().filter(move |p| p.1 == part).map(|p| p.0);
        let mut here = generations.iter().filter(|x| x.1 == last).flat_map(|x| members(x.0));
        if last == 0 || here.any(|a| members(span.generation).any(|b| strangers(a, b))) {
            last += 1;
        }
        generations.push((span.generation, last));
    }
    if last < 2 {
        return Vec::new();
    }
    let known = parts.iter().filter_map(|(f, part)| Some((*f, generations.iter().find(|g| g.0 == *part)?.1)));
    let known: Generations = known.collect();
    torn.iter().filter_map(|f| Some((flows.flows.get(*f)?, of(*f, &known)))).collect()
}

/// Whether two flows that share no packet cannot be of one conversation: their connections were opened with other sequence numbers, or one
/// point saw both, and would have seen the packets of one as the other's too.
fn are_apart(flows: &Flows, a: usize, b: usize) -> bool {
    let (Some(a), Some(b)) = (flows.flows.get(a), flows.flows.get(b)) else { return false };
    let opening = |f: &Flow| {
        let firsts = f.sightings.iter().filter_map(|s| flows.of(s)?.first(s.stream));
        firsts.filter(|(_, bits)| bits & (flags::SYN | flags::ACK) == flags::SYN).map(|x| x.0).next()
    };
    let is_tcp = a.tuple.protocol == crate::model::Protocol::Tcp;
    match opening(a).zip(opening(b)).filter(|_| is_tcp) {
        Some((a, b)) => a != b,
        None => a.sightings.iter().any(|s| b.sightings.iter().any(|o| o.point == s.point)),
    }
}

/// First and last time at which a flow's packets at a capture are also those of flows of a generation.
struct Span {
    capture: usize,
    first: Nanos,
    last: Nanos,
    generation: u32,
}

/// In order of captures and times.
fn spans(captures: &[Capture<'_>], flows: &Flows, flow: &Flow, generations: &[(usize, u32)]) -> Vec<Span> {
    let rows = |f: &Flow, each: &mut dyn FnMut(usize, &Row)| {
        for s in &f.sightings {
            flows.rows(captures, s).filter(|r| r.ident != 0 && r.time != NO_TIME).for_each(|r| each(s.capture, &r));
        }
    };
    let mut known: Vec<(u64, u32)> = Vec::new();
    for (neighbour, generation) in generations.iter().filter_map(|(n, g)| Some((flows.flows.get(*n)?, *g))) {
        rows(neighbour, &mut |_, r| known.push((r.ident, generation)));
    }
    order::sort(&mut known);
    known.dedup();
    let mut spans: Vec<Span> = Vec::new();
    rows(flow, &mut |capture, r| {
        let first = known.partition_point(|k| k.0 < r.ident);
        // What two generations have says nothing.
        let found = known.get(first).filter(|k| k.0 == r.ident && known.get(first + 1).is_none_or(|next| next.0 != r.ident));
        let Some((_, generation)) = found.copied() else { return };
        match spans.iter_mut().find(|s| s.capture == capture && s.generation == generation) {
            Some(s) => (s.first, s.last) = (s.first.min(r.time), s.last.max(r.time)),
            None => spans.push(Span { capture, first: r.time, last: r.time, generation }),
        }
    });
    order::sort_by_key(&mut spans, |s| (s.capture, s.first, s.generation));
    spans
}

/// Cuts a flow's streams where the packets of another generation begin, at each capture. Where they do not come one after the other, nothing
/// is cut.
fn cut(captures: &[Capture<'_>], flows: &Flows, flow: &Flow, generations: &[(usize, u32)], to: &mut [Vec<Part>]) {
    let spans = spans(captures, flows, flow, generations);
    if spans.windows(2).any(|w| matches!(w, [a, b] if a.capture == b.capture && a.last >= b.first)) {
        return;
    }
    for s in &flow.sightings {
        // A capture without any packet that tells has one conversation's, and nothing says which.
        let here: Vec<&Span> = spans.iter().filter(|x| x.capture == s.capture).collect();
        let (Some(capture), Some(parts)) = (captures.get(s.capture), to.get_mut(s.capture)) else { continue };
        let Some(of) = capture.digest.streams.get(s.stream as usize) else { continue };
        let begin = parts.len();
        let mut at = 0;
        for r in flows.rows(captures, s) {
            // By the order of the file: one packet that is out of it changes nothing.
            while here.get(at + 1).is_some_and(|next| r.time != NO_TIME && r.time >= next.first) {
                at += 1;
            }
            let Some(generation) = here.get(at).map(|h| h.generation) else { continue };
            let time = if r.time == NO_TIME { of.first_ns } else { r.time };
            if parts.get(begin..).is_none_or(|made| made.last().is_none_or(|p| p.generation != generation)) {
                let stream = Stream { key: of.key.clone(), first_row: r.row, packets: 0, bytes: 0, first_ns: time, last_ns: time };
                parts.push(Part { of: s.stream, from: r.row, generation, stream });
            }
            let Some(Part { stream, .. }) = parts.last_mut() else { continue };
            stream.packets += 1;
            (stream.first_ns, stream.last_ns) = (stream.first_ns.min(time), stream.last_ns.max(time));
        }
        for part in parts.iter_mut().skip(begin) {
            // How long its packets were on the wire is known of the stream as a whole.
            part.stream.bytes = of.bytes / u64::from(of.packets.max(1)) * u64::from(part.stream.packets);
        }
    }
}
