//! Which end of a segment a capture is from: when the same packets came by at other captures, and how soon the pod's kernel answers.
//! Must not add places, only weigh those that the frames allow.

use std::collections::{BTreeMap, BTreeSet};

use super::sample::{Samples, frames_at, owner_at_first};
use super::seen::{Seen, Wanted, see};
use super::{Candidate, Capture, Point, best, streams};
use crate::confidence as weight;
use crate::evidence::{Book, Ev, Place};
use crate::identify::answers;
use crate::identify::inventory::{Id, Inventory, short};
use crate::model::Mac;
use crate::order;

/// A capture of a pod's link: how soon the pod's kernel answers says which end it is of.
pub(super) fn by_answers(captures: &[Capture<'_>], points: &[Point], candidates: &mut [Vec<Candidate>], inv: &Inventory, book: &mut Book) {
    for (point, candidates) in points.iter().zip(candidates.iter_mut()) {
        let Some(pod) = best(candidates).and_then(|c| inv.pods.get(&c.link.as_ref()?.0)) else { continue };
        let Some(answers) = answers::answers(captures, point, &pod.ips) else { continue };
        let ratio = weight::own_end(answers.least, answers.count);
        if (ratio - 1.0).abs() < f64::EPSILON {
            continue;
        }
        let input = captures.get(point.capture).map_or(0, |c| c.input);
        let (asked, answered) = answers.rows;
        let whose = if ratio > 1.0 { "as soon as at the pod's own end of the link" } else { "as late as at the other end of the link" };
        let statement = format!(
            "of {} answers of the kernel of {} the quickest comes {} µs after what it answers, {whose}",
            answers.count,
            short(&pod.id),
            answers.after / 1000
        );
        let ev = book.add("answer_time", statement, vec![Place::frame(input, asked), Place::frame(input, answered)]);
        for c in candidates.iter_mut() {
            let Some((_, is_own)) = c.link.as_ref().filter(|l| l.0 == pod.id) else { continue };
            // Half of it for each end: together they are as much apart as the ratio says.
            c.odds *= if *is_own { ratio.sqrt() } else { 1.0 / ratio.sqrt() };
            if *is_own == (ratio > 1.0) {
                c.ev.push(ev);
            }
        }
    }
}

/// Two captures of one pod's link: what the pod sends appears first at the pod's end, what it gets last.
pub(super) fn by_time(
    captures: &[Capture<'_>],
    points: &[Point],
    candidates: &mut [Vec<Candidate>],
    inv: &Inventory,
    samples: &mut Samples,
    book: &mut Book,
) {
    let mut segments: BTreeMap<Segment, Vec<usize>> = BTreeMap::new();
    for (n, (p, c)) in points.iter().zip(candidates.iter()).enumerate() {
        if let Some((pod, _)) = best(c).and_then(|c| c.link.clone()) {
            segments.entry(Segment::Link(pod)).or_default().push(n);
        } else if c.len() > 1 && !p.streams.is_empty() {
            let macs: Vec<Mac> = c.iter().filter_map(|c| own_mac(inv, &c.interface)).collect();
            if let [a, b] = macs[..] {
                segments.entry(Segment::Wire(a.min(b), a.max(b))).or_default().push(n);
            }
        }
    }
    for (segment, on_it) in segments.into_iter().filter(|(_, v)| v.len() > 1) {
        for (i, a) in on_it.iter().enumerate() {
            for b in on_it.iter().skip(i + 1) {
                let Some((at_a, ev)) = at_first(captures, points, [*a, *b], samples, book) else { continue };
                let pod_macs: BTreeSet<Mac> = match &segment {
                    Segment::Link(pod) => order::set(
                        points.get(*a).map(|p| see(captures, p, Wanted::All)).into_iter().flat_map(|seen| macs_of_pod(&seen, inv, pod)),
                    ),
                    Segment::Wire(..) => BTreeSet::new(),
                };
                for (n, is_a) in [(a, true), (b, false)] {
                    for c in candidates.get_mut(*n).into_iter().flatten() {
                        let fits = match (&segment, &c.link) {
                            (Segment::Link(_), Some((_, end))) => Some(*end == (pod_macs.contains(&at_a) == is_a)),
                            (Segment::Wire(..), None) => own_mac(inv, &c.interface).map(|m| (m == at_a) == is_a),
                            _ => None,
                        };
                        if let Some(fits) = fits {
                            c.weigh(fits, weight::TIME_ORDER, ev);
                        }
                    }
                }
            }
        }
    }
}

/// A capture that two known interfaces fit, each of them in every frame, against any other capture that shows packets between the
/// two, though that one may show more: what one of them sends is there first at its own end.
pub(super) fn by_time_at_others(
    captures: &[Capture<'_>],
    points: &[Point],
    candidates: &mut [Vec<Candidate>],
    inv: &Inventory,
    samples: &mut Samples,
    book: &mut Book,
) {
    let ends = |c: &[Candidate]| -> Option<(Mac, Mac)> {
        let macs: Vec<Mac> = c.iter().filter(|c| c.link.is_none()).filter_map(|c| own_mac(inv, &c.interface)).collect();
        if let [a, b] = macs[..] { Some((a, b)) } else { None }
    };
    let open: Vec<(usize, (Mac, Mac))> = candidates.iter().enumerate().filter_map(|(n, c)| Some((n, ends(c)?))).collect();
    let macs: Vec<BTreeSet<Mac>> = if open.is_empty() {
        Vec::new()
    } else {
        points.iter().map(|p| order::set(streams(captures, p).filter_map(|(_, s)| s.key.src_mac))).collect()
    };
    for (n, (x, y)) in &open {
        for (m, seen) in macs.iter().enumerate() {
            // Two open captures of one wire have been compared already.
            let is_pair = open.iter().any(|(o, e)| *o == m && order::set([e.0, e.1].into_iter()) == order::set([*x, *y].into_iter()));
            if m == *n || is_pair || !seen.contains(x) || !seen.contains(y) {
                continue;
            }
            let Some((here, ev)) = at_first(captures, points, [*n, m], samples, book) else { continue };
            for c in candidates.get_mut(*n).into_iter().flatten() {
                if let Some(mac) = own_mac(inv, &c.interface).filter(|mac| [here, *x, *y].contains(mac)) {
                    c.weigh(mac == here, weight::TIME_ORDER, ev);
                }
            }
        }
    }
}

/// Links of several pods with one address: the same packet stays in one VPC, and on another pod's link its TTL is lower or higher
/// by one if both pods are on one node, by two or more if a second node forwards between them.
pub(super) fn by_company(
    captures: &[Capture<'_>],
    points: &[Point],
    candidates: &mut [Vec<Candidate>],
    inv: &Inventory,
    samples: &mut Samples,
    book: &mut Book,
) {
    let node_of = |c: &Candidate| match c.link.as_ref().and_then(|l| inv.pods.get(&l.0)) {
        Some(pod) => pod.node.clone(),
        None => inv.nodes.contains_key(&c.owner).then(|| c.owner.clone()),
    };
    let nodes: Vec<BTreeSet<Id>> = candidates.iter().map(|c| c.iter().filter_map(node_of).collect()).collect();
    let pods = |c: &[Candidate]| order::set(c.iter().filter_map(|c| c.link.as_ref()).map(|l| l.0.clone()));
    let share_address = |ids: BTreeSet<Id>| {
        let mut ips = BTreeSet::new();
        ids.iter().filter_map(|id| inv.pods.get(id)).flat_map(|p| &p.ips).any(|ip| !ips.insert(*ip))
    };
    let open: Vec<usize> = candidates.iter().enumerate().filter(|(_, c)| share_address(pods(c))).map(|x| x.0).collect();
    if open.is_empty() {
        return;
    }
    let known: Vec<(usize, Id)> =
        nodes.iter().enumerate().filter_map(|(n, all)| Some((n, all.first().filter(|_| all.len() == 1)?.clone()))).collect();
    for n in &open {
        for (m, node) in &known {
            let Some((a, b)) = samples.pair(captures, points, *n, *m) else { continue };
            let mut apart: Vec<(u8, u32, u32)> = Vec::new();
            for (ident, x) in a {
                let (Some(x), Some(Some(y))) = (x, b.get(ident)) else { continue };
                if x.ttl != 0 && y.ttl != 0 {
                    apart.push((x.ttl.abs_diff(y.ttl), x.row, y.row));
                }
            }
            apart.sort_unstable();
            let Some((difference, row_a, row_b)) = apart.get(apart.len() / 2).copied() else { continue };
            let is_here = difference <= 1;
            // A node's own ENI and its peer's have the same TTL: of those only the VPC counts.
            let on_link = candidates.get(*m).is_some_and(|c| c.iter().all(|c| c.link.is_some()));
            let sources = frames_at(captures, points, [(*n, row_a), (*m, row_b)]);
            let statement = match (on_link, is_here) {
                (true, true) => format!("its packets are on a link of {} too, one host away", short(node)),
                (true, false) => format!("its packets are on a link of {} too, {difference} hosts away", short(node)),
                (false, _) => format!("its packets are on {} too", short(node)),
            };
            let ev = book.add("same_packet", statement, sources);
            for c in candidates.get_mut(*n).into_iter().flatten().filter(|c| c.link.is_some()) {
                // Whatever is between, packets stay in their VPC.
                let own = node_of(c);
                let vpc = own.as_ref().and_then(|o| inv.vpc_of_node(o));
                let same_vpc = vpc.is_none() || inv.vpc_of_node(node).is_none() || vpc == inv.vpc_of_node(node);
                let fits = same_vpc && (!on_link || (own.as_ref() == Some(node)) == is_here);
                c.weigh(fits, weight::TIME_ORDER, ev);
            }
        }
    }
}

/// Of two captures of a segment: the MAC whose owner is at the first one's end, and what says so.
fn at_first(captures: &[Capture<'_>], points: &[Point], [a, b]: [usize; 2], samples: &mut Samples, book: &mut Book) -> Option<(Mac, Ev)> {
    let (x, y) = samples.pair(captures, points, a, b)?;
    let (mac, row_a, row_b) = owner_at_first(x, y)?;
    let statement =
        format!("what {mac} sends appears first in this capture and what it gets last, compared with the other capture of the segment");
    Some((mac, book.add("time_order", statement, frames_at(captures, points, [(a, row_a), (b, row_b)]))))
}

/// A stretch of wire with two ends that captures can't tell apart by their frames.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    /// A pod's link.
    Link(Id),
    /// Two ENIs that talk to one another alone.
    Wire(Mac, Mac),
}

/// The address of an interface that the inventory knows.
fn own_mac(inv: &Inventory, interface: &Id) -> Option<Mac> {
    inv.by_mac.iter().find(|(_, claims)| claims.first().is_some_and(|c| c.interface.as_ref() == Some(interface))).map(|x| *x.0)
}

fn macs_of_pod(seen: &Seen, inv: &Inventory, pod: &str) -> Vec<Mac> {
    let ips = inv.pods.get(pod).map(|p| p.ips.clone()).unwrap_or_default();
    ips.iter().filter_map(|ip| seen.macs_of.get(ip)).flatten().copied().collect()
}
