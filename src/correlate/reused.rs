//! Addresses and ports that one conversation had, and then another: a port that was used again, an idle mapping that was forgotten and made
//! anew, to another server.
//! Knows flows, packets and times; must not know whose an address is.
//!
//! Such a flow shares packets with flows that have nothing to do with one another, and joined through it they would be one conversation,
//! whose packets seem to go to one server and on to another. It is cut where the packets of the second begin: at each capture by that
//! capture's own times. Where only one conversation can be told, nothing is cut: a connection that is opened again, unchanged, is one.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

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

/// Which of several conversations, from 1, a flow is part of that only one of them had.
type Generations = BTreeMap<usize, u32>;

/// The flows of a conversation that are several conversations', each with those of its neighbours that are not.
fn torn<'a>(captures: &[Capture<'_>], flows: &'a Flows, conversation: &Conversation) -> Vec<(&'a Flow, Generations)> {
    let mut neighbours: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (a, b) in conversation.joins.iter().flat_map(|j| [(j.a, j.b), (j.b, j.a)]) {
        neighbours.entry(a).or_default().insert(b);
    }
    let is_joined = |a: usize, b: usize| neighbours.get(&a).is_some_and(|n| n.contains(&b));
    let strangers = |a: usize, b: usize| a != b && !is_joined(a, b) && are_apart(flows, a, b);
    let is_torn = |around: &BTreeSet<usize>| around.iter().any(|a| around.range(a..).any(|b| strangers(*a, *b)));
    let torn: BTreeSet<usize> = order::set(neighbours.iter().filter(|(_, around)| is_torn(around)).map(|x| *x.0));
    // Flows that hold together without those are one conversation's.
    let mut part_of: BTreeMap<usize, u32> = BTreeMap::new();
    for (part, start) in (1..).zip(conversation.flows.iter().filter(|f| !torn.contains(f))) {
        let mut open = vec![*start];
        while let Some(f) = open.pop() {
            if !torn.contains(&f) && !part_of.contains_key(&f) {
                part_of.insert(f, part);
                open.extend(neighbours.get(&f).into_iter().flatten());
            }
        }
    }
    let Some(longest) = torn.iter().max_by_key(|f| neighbours.get(f).map_or(0, BTreeSet::len)) else { return Vec::new() };
    let Some(flow) = flows.flows.get(*longest) else { return Vec::new() };
    // In order of time at one capture: a part that is not shown to be another conversation's belongs to the one before.
    let around = |f: usize| part_of.iter().filter(move |(n, _)| is_joined(f, **n)).map(|(n, part)| (*n, *part));
    let beginnings = spans(captures, flows, flow, &around(*longest).collect());
    let Some(first) = beginnings.values().max_by_key(|s| s.len()) else { return Vec::new() };
    let mut in_time: Vec<(Nanos, u32)> = first.iter().map(|(part, span)| (span.0, *part)).collect();
    in_time.sort_unstable();
    let mut generation_of: BTreeMap<u32, u32> = BTreeMap::new();
    let mut generation = 0;
    for (_, part) in in_time {
        let members = |part: u32| part_of.iter().filter(move |p| *p.1 == part).map(|p| *p.0);
        let here = |g: u32| generation_of.iter().filter(move |x| *x.1 == g).flat_map(|x| members(*x.0));
        if generation == 0 || here(generation).any(|a| members(part).any(|b| strangers(a, b))) {
            generation += 1;
        }
        generation_of.insert(part, generation);
    }
    if generation < 2 {
        return Vec::new();
    }
    let known = |f: usize| around(f).filter_map(|(n, part)| Some((n, *generation_of.get(&part)?))).collect();
    torn.iter().filter_map(|f| Some((flows.flows.get(*f)?, known(*f)))).collect()
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

/// By capture and generation: first and last time at which a flow's packets there are also those of flows of that generation.
type Spans = BTreeMap<usize, BTreeMap<u32, (Nanos, Nanos)>>;

fn spans(captures: &[Capture<'_>], flows: &Flows, flow: &Flow, generations: &Generations) -> Spans {
    let rows = |f: &Flow| -> Vec<(usize, Row)> {
        f.sightings
            .iter()
            .flat_map(|s| flows.rows(captures, s).map(|r| (s.capture, r)))
            .filter(|(_, r)| r.ident != 0 && r.time != NO_TIME)
            .collect()
    };
    let mut known: FxHashMap<u64, u32> = FxHashMap::default();
    for (neighbour, generation) in generations.iter().filter_map(|(n, g)| Some((flows.flows.get(*n)?, *g))) {
        // What two generations have says nothing.
        for (_, r) in rows(neighbour) {
            known.entry(r.ident).and_modify(|g| *g = if *g == generation { generation } else { 0 }).or_insert(generation);
        }
    }
    let mut spans = Spans::new();
    for (capture, r) in rows(flow) {
        let Some(generation) = known.get(&r.ident).filter(|g| **g != 0) else { continue };
        let span = spans.entry(capture).or_default().entry(*generation).or_insert((r.time, r.time));
        *span = (span.0.min(r.time), span.1.max(r.time));
    }
    spans
}

/// Cuts a flow's streams where the packets of another generation begin, at each capture. Where they do not come one after the other, nothing
/// is cut.
fn cut(captures: &[Capture<'_>], flows: &Flows, flow: &Flow, generations: &Generations, to: &mut [Vec<Part>]) {
    let spans = spans(captures, flows, flow, generations);
    let mut in_time: BTreeMap<usize, Vec<(Nanos, Nanos, u32)>> = BTreeMap::new();
    for (capture, spans) in spans {
        let mut here: Vec<_> = spans.into_iter().map(|(generation, (first, last))| (first, last, generation)).collect();
        here.sort_unstable();
        if here.windows(2).any(|w| matches!(w, [a, b] if a.1 >= b.0)) {
            return;
        }
        in_time.insert(capture, here);
    }
    for s in &flow.sightings {
        // A capture without any packet that tells has one conversation's, and nothing says which.
        let (Some(here), Some(capture), Some(parts)) = (in_time.get(&s.capture), captures.get(s.capture), to.get_mut(s.capture)) else {
            continue;
        };
        let Some(of) = capture.digest.streams.get(s.stream as usize) else { continue };
        let mut made: BTreeMap<u32, Part> = BTreeMap::new();
        let mut at = 0;
        for r in flows.rows(captures, s) {
            // By the order of the file: one packet that is out of it changes nothing.
            while here.get(at + 1).is_some_and(|next| r.time != NO_TIME && r.time >= next.0) {
                at += 1;
            }
            let Some((_, _, generation)) = here.get(at).copied() else { continue };
            let time = if r.time == NO_TIME { of.first_ns } else { r.time };
            let empty = || Stream { key: of.key.clone(), first_row: r.row, packets: 0, bytes: 0, first_ns: time, last_ns: time };
            let new = || Part { of: s.stream, from: r.row, generation, stream: empty() };
            let stream = &mut made.entry(generation).or_insert_with(new).stream;
            stream.packets += 1;
            (stream.first_ns, stream.last_ns) = (stream.first_ns.min(time), stream.last_ns.max(time));
        }
        for mut part in made.into_values() {
            // How long its packets were on the wire is known of the stream as a whole.
            part.stream.bytes = of.bytes / u64::from(of.packets.max(1)) * u64::from(part.stream.packets);
            parts.push(part);
        }
    }
}
