//! Findings about packets that do not arrive, and about requests that nobody answers or somebody refuses.
//! Knows one path at a time; must not change its verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::alike::{Lead, One, span};
use super::{Finding, address, ends};
use crate::confidence::finding as weight;
use crate::correlate::flows::Sighting;
use crate::digest::{NO_TIME, Tuple};
use crate::evidence::{Book, Ev, Place};
use crate::identify::inventory::{Id, short};
use crate::identify::place::first_frame;
use crate::model::Protocol;
use crate::order;
use crate::report::{Severity, Verdict, Way};
use crate::trace::{Context, Direction, Hop, Path, judge};

/// The first evidence of each hop that was captured.
fn observed_ev(d: &Direction) -> Vec<Ev> {
    d.hops.iter().filter(|h| h.observed()).filter_map(|h| h.ev.first()).copied().collect()
}

/// Conversations, or parts of them, that stop at one hop while the captures behind it ran.
pub(super) fn lost(ctx: Context<'_>, path: &Path, book: &mut Book, found: &mut dyn FnMut(One)) {
    for d in &path.directions {
        let Some(leg) = path.legs.get(d.hops.last().map_or(0, |h| h.leg)) else { continue };
        let t = if d.way == Way::Request { leg.tuple } else { leg.tuple.reversed() };
        if d.verdict == Verdict::Lost {
            let Some(last) = d.lost_after.and_then(|n| d.hops.get(n)) else { continue };
            // Where they got without being captured, in a tunnel or by a flow log, nobody counted them.
            let last_seen = d.hops.iter().rfind(|h| h.observed());
            let seen = last_seen.map_or(0, |h| h.seen);
            let silent: BTreeSet<&Id> = order::set(d.silent.iter().map(|s| &s.1));
            let first_silent = d.silent.first();
            let mut ev = observed_ev(d);
            if let Some((point, interface)) = first_silent
                && let Some(ran) = ctx.points.get(*point).and_then(|p| first_frame(ctx.captures, p))
            {
                let statement = format!("the capture at {} ran at that time and has none of {}", short(interface), ends(ctx, t));
                // A frame that shows the capture ran, and one of the packets that it should have.
                let mut places = vec![ran];
                places.extend(last_seen.and_then(|h| book.sources(*h.ev.first()?).into_iter().next()));
                ev.push(book.add("silence", statement, places));
            }
            let at = short(last.interface.as_deref().unwrap_or(&last.owner)).to_owned();
            let word = if d.way == Way::Request { "" } else { "replies of " };
            let packets = match d.looked_for {
                // None of n: at most 3/n of all, with 95 % (the rule of three).
                Some(n) => format!("{n} of {seen} packets, all that were examined,"),
                None if seen == 1 => "1 packet".to_owned(),
                None => format!("all {seen} packets"),
            };
            // The one that tells where is the first; of the others it is enough that they agree.
            let others = match silent.len().saturating_sub(1) {
                0 => String::new(),
                1 => ", nor did the captured interface after it".to_owned(),
                n => format!(", nor did any of the {n} captured interfaces after it"),
            };
            let next = first_silent.map_or("what was captured further on", |s| short(&s.1));
            let tail = format!(" are lost after {at}: {next} saw none{others}");
            let summary = format!("{packets} of {word}{}{tail}", ends(ctx, t));
            let beyond = first_silent.and_then(|(point, _)| ctx.points.get(*point)?.owner.as_ref());
            let suspects = if last.sealed.is_some() {
                "the tunnel's end there (wg show, ip -s xfrm state), iptables and network policies (iptables-save -c)"
            } else if beyond.is_some_and(|b| ctx.inv.host_of(b) != ctx.inv.host_of(&last.owner)) {
                "security groups of both ends, network ACLs and route tables of both subnets, the source/destination check, whether the address is the far ENI's (aws ec2 describe-network-interfaces)"
            } else {
                "iptables and network policies (iptables-save -c), rp_filter, a full conntrack table (conntrack -S, dmesg)"
            };
            let step = format!(
                "look for a drop between {at} and {}: {suspects}; a capture filter of that capture would look the same",
                first_silent.map_or("the next hop", |s| short(&s.1))
            );
            let mut about = vec![last.owner.clone(), ctx.inv.entity_of_ip(t.dst), ctx.inv.entity_of_ip(t.src)];
            about.extend(last.interface.clone());
            ev.extend(last.ev.last().filter(|_| last.sealed.is_some()));
            let p = match (d.looked_for, last.sealed) {
                (Some(_), _) => weight::ALL_LOST_OF_SAMPLE,
                (None, Some(_)) => weight::ALL_LOST_IN_TUNNEL,
                (None, None) => weight::ALL_LOST,
            };
            let finding = Finding { kind: "packet_loss", severity: Severity::Error, about, summary, next_step: Some(step), p, ev };
            let replies = d.way == Way::Reply;
            let (lead, n) = d.looked_for.map_or((Lead::All { replies }, seen), |n| (Lead::Examined { replies }, n));
            found(One { finding, lead, tail, at: Id::new(), asked: path.asked(), counts: [n, seen], span: span(ctx, d) });
            continue;
        }
        partial_loss(ctx, path, d, t, found);
    }
}

/// Packets of a conversation that went on, missing at one hop and at all captured hops behind it.
fn partial_loss(ctx: Context<'_>, path: &Path, d: &Direction, t: Tuple, found: &mut dyn FnMut(One)) {
    let observed: Vec<&Hop> = d.hops.iter().filter(|h| h.observed()).collect();
    for pair in observed.windows(2) {
        let [before, here] = pair else { continue };
        if here.gone == 0 || here.seen == 0 {
            continue;
        }
        let ev: Vec<Ev> = [before, here].iter().filter_map(|h| h.ev.first()).copied().collect();
        let (a, b) = (short(before.interface.as_deref().unwrap_or(&before.owner)), short(here.interface.as_deref().unwrap_or(&here.owner)));
        let missing = match here.missing_range {
            Some((low, high)) if low < high => format!("about {} ({low} to {high})", here.missing),
            _ => here.gone.to_string(),
        };
        let tail = format!(" that passed {a} never reach {b}");
        let summary = format!("{missing} of {} packets of {}{tail}", before.seen, ends(ctx, t));
        let step = Some(format!("compare drop counters between {a} and {b}; check that neither capture dropped packets"));
        let finding = Finding {
            kind: "packet_loss",
            severity: Severity::Warning,
            about: vec![before.owner.clone(), here.owner.clone()],
            summary,
            next_step: step,
            p: weight::SOME_LOST,
            ev,
        };
        let lead = Lead::Some { replies: d.way == Way::Reply };
        let counts = [if here.missing_range.is_some() { here.missing } else { here.gone }, before.seen];
        found(One { finding, lead, tail, at: Id::new(), asked: path.asked(), counts, span: span(ctx, d) });
    }
}

/// What comes back to a request: nothing, a refusal, a reset later on, or a reply by another way.
pub(super) fn answers(ctx: Context<'_>, path: &Path, veths: &BTreeSet<&str>, book: &mut Book, found: &mut dyn FnMut(One)) {
    let Some(request) = path.direction(Way::Request) else { return };
    let Some(last) = path.legs.last() else { return };
    let t = last.tuple;
    let reply = path.direction(Way::Reply);
    let about = vec![ctx.inv.entity_of_ip(t.dst), ctx.inv.entity_of_ip(path.legs.first().map_or(t.src, |l| l.tuple.src))];
    match reply {
        None => {
            let captured_back = request.hops.iter().any(Hop::observed);
            // On a loopback device answers may be another flow's, which a sample may not have joined.
            let is_elsewhere = ctx.flows.rate.is_sampled() && crate::trace::is_looped(ctx, &path.legs);
            let expects = t.protocol != Protocol::Other(0) && captured_back && !is_elsewhere;
            if expects && !matches!(request.verdict, Verdict::Rejected) {
                let to = address(path.legs.first().map_or(t.dst, |l| l.tuple.dst), t.dst_port, t.protocol);
                let arrived = request.hops.last().filter(|_| request.verdict == Verdict::Delivered);
                let reached = arrived.map_or(String::new(), |h| format!(", although its packets reach {}", short(&h.owner)));
                let summary = format!("nothing answers {}{reached}", ends(ctx, path.legs.first().map_or(t, |l| l.tuple)));
                let step = match (arrived, ended_before(ctx, request)) {
                    (Some(end), _) => Some(format!(
                        "look into {}: whether something listens at {to} (ss -ltnu), is stopped or overloaded, and whether its own rules drop it",
                        short(&end.owner)
                    )),
                    (None, Some((interface, last))) => Some(format!(
                        "the capture at {} has no packets so late: if it still ran, they are lost between {} and it; if it had been stopped, capture again and stop all captures last",
                        short(&interface),
                        short(&last)
                    )),
                    (None, None) => {
                        judge::would_settle(request).map(|i| format!("capture at {} to see whether the packets arrive at {to}", short(&i)))
                    }
                };
                let severity = if request.verdict == Verdict::Lost { Severity::Info } else { Severity::Warning };
                let finding =
                    Finding { kind: "no_reply", severity, about, summary, next_step: step, p: weight::NO_REPLY, ev: observed_ev(request) };
                let last = request.hops.iter().rev().find(|h| h.observed());
                let at = last.map_or_else(Id::new, |h| h.interface.clone().unwrap_or_else(|| h.owner.clone()));
                let tail = arrived.map_or(String::new(), |h| format!(", although their packets reach {}", short(&h.owner)));
                let lead = Lead::Says("nothing answers".to_owned());
                let counts = [last.map_or(0, |h| h.seen), 0];
                found(One { finding, lead, tail, at, asked: path.asked(), counts, span: span(ctx, request) });
            }
        }
        Some(reply) => {
            // Where they are lost is told as such.
            if reply.verdict == Verdict::Lost {
                let summary = format!("{} never hears the answers to {}", short(&ctx.inv.entity_of_ip(t.src)), ends(ctx, t));
                let finding = Finding {
                    kind: "no_reply",
                    severity: Severity::Info,
                    about: about.clone(),
                    summary,
                    next_step: None,
                    p: weight::NO_REPLY,
                    ev: observed_ev(reply),
                };
                let (lead, tail) = (Lead::Says("the answers to".to_owned()), " are never heard".to_owned());
                let counts = [path.packets, 0];
                found(One { finding, lead, tail, at: Id::new(), asked: path.asked(), counts, span: span(ctx, request) });
            }
            resets(ctx, path, request, reply, about, book, found);
            asymmetric(ctx, path, (request, reply), t, veths, found);
        }
    }
}

/// Of an open verdict: the next interface that was captured, where that capture's last packet is older than the first of these at the
/// last one that saw them; and that one.
fn ended_before(ctx: Context<'_>, d: &Direction) -> Option<(Id, Id)> {
    let last = d.hops.iter().rposition(Hop::observed).filter(|_| d.verdict == Verdict::Unknown)?;
    let here = d.hops.get(last)?;
    let first_seen = here.sightings.iter().filter_map(|s| ctx.stream(s));
    let first_seen = first_seen.map(|s| s.first_ns).filter(|t| *t != NO_TIME).min()?;
    let beyond = d.hops.get(last + 1..)?.iter().filter_map(|h| h.interface.as_ref());
    let captured =
        beyond.flat_map(|i| ctx.points.iter().filter(move |p| p.at.as_ref() == Some(i) && p.p >= crate::confidence::needed::PLACED));
    let ended = captured.filter(|p| {
        let span = ctx.captures.get(p.capture).and_then(|c| c.span);
        span.is_some_and(|(_, last)| last < first_seen)
    });
    let at = ended.into_iter().find_map(|p| p.at.clone())?;
    Some((at, here.interface.clone().unwrap_or_else(|| here.owner.clone())))
}

/// A SYN that was refused, or a connection that was reset after it had opened.
fn resets(
    ctx: Context<'_>,
    path: &Path,
    request: &Direction,
    reply: &Direction,
    about: Vec<Id>,
    book: &mut Book,
    found: &mut dyn FnMut(One),
) {
    let Some(leg) = path.legs.last().filter(|l| l.tuple.protocol == Protocol::Tcp) else { return };
    if request.verdict == Verdict::Rejected {
        let by = ctx.inv.entity_of_ip(leg.tuple.dst);
        let summary = format!("{} refuses: its reset answers the SYN of {}", short(&by), ends(ctx, leg.tuple));
        let step = Some("check that something listens on that port, and that no rule rejects with tcp-reset".to_owned());
        let finding = Finding {
            kind: "connection_refused",
            severity: Severity::Error,
            about,
            summary,
            next_step: step,
            p: weight::SAID,
            ev: observed_ev(reply),
        };
        let (lead, tail) = (Lead::Says(format!("{} refuses", short(&by))), ": its resets answer their SYNs".to_owned());
        let counts = [path.packets, 0];
        found(One { finding, lead, tail, at: by, asked: path.asked(), counts, span: span(ctx, request) });
        return;
    }
    for d in [request, reply] {
        let reset = d.hops.iter().flat_map(|h| &h.sightings).find_map(|s| {
            let capture = ctx.captures.get(s.capture)?;
            Some((capture.input, capture.digest.row_at(ctx.flows.of(s)?.reset(s.stream)?)))
        });
        let Some((input, row)) = reset else { continue };
        let by = if d.way == Way::Request { leg.tuple.src } else { leg.tuple.dst };
        if let Some(one) = anothers_reset(ctx, path, d, leg.tuple, by, book) {
            found(One { span: span(ctx, request), ..one });
            break;
        }
        let ev = book.add("reset", format!("a reset from {by}"), vec![Place::frame(input, row)]);
        let summary = format!("{} resets the established connection {}", short(&ctx.inv.entity_of_ip(by)), ends(ctx, leg.tuple));
        let finding =
            Finding { kind: "reset", severity: Severity::Warning, about, summary, next_step: None, p: weight::RESET, ev: vec![ev] };
        let by = ctx.inv.entity_of_ip(by);
        let (lead, tail) = (Lead::Says(format!("{} resets", short(&by))), " after they were established".to_owned());
        let counts = [path.packets, 0];
        found(One { finding, lead, tail, at: by, asked: path.asked(), counts, span: span(ctx, request) });
        break;
    }
}

/// A reset that comes with another TTL than all else of its sender: some host on the way made it in the sender's name.
fn anothers_reset(ctx: Context<'_>, path: &Path, d: &Direction, t: Tuple, by: IpAddr, book: &mut Book) -> Option<One> {
    let ttl = |s: &Sighting| Some(ctx.stream(s)?.key.ttl).filter(|ttl| *ttl != 0);
    let (at, s, others) = d.hops.iter().find_map(|h| {
        let resets = |s: &&Sighting| ctx.flows.of(s).is_some_and(|all| all.reset(s.stream).is_some());
        let only = |s: &&Sighting| resets(s) && ctx.flows.of(s).is_some_and(|all| all.refuses(s.stream));
        let s = h.sightings.iter().find(only)?;
        let others = h.sightings.iter().find(|o| o.point == s.point && !resets(o))?;
        let same = h.sightings.iter().any(|o| o.point == s.point && ttl(o) == ttl(s) && !only(&o));
        (!same && ttl(s).is_some() && ttl(others).is_some()).then_some((h, s, others))
    })?;
    let (capture, known) = (ctx.captures.get(s.capture)?, ctx.captures.get(others.capture)?);
    let place = Place::frame(capture.input, capture.digest.row_at(ctx.flows.of(s)?.reset(s.stream)?));
    let other = Place::frame(known.input, known.stream(others.stream)?.first_row);
    let says = format!("a reset from {by} with TTL {}; else its packets have {} there", ttl(s)?, ttl(others)?);
    let ev = book.add("reset", says, vec![place, other]);
    let (name, id) = (short(at.interface.as_deref().unwrap_or(&at.owner)).to_owned(), ctx.inv.entity_of_ip(by));
    let summary = format!(
        "a reset in the name of {} ends the established connection {}: at {name} its TTL is {}, of all else from there {}, so another host on the way sent it",
        short(&id),
        ends(ctx, t),
        ttl(s)?,
        ttl(others)?
    );
    let step = "look at what keeps state on the way before there: NAT gateways and load balancers forget connections that were idle for 350 s, firewalls reject";
    let about = vec![at.owner.clone(), id.clone(), ctx.inv.entity_of_ip(t.src), ctx.inv.entity_of_ip(t.dst)];
    let p = weight::RESET_BY_OTHERS;
    let finding = Finding { kind: "reset", severity: Severity::Warning, about, summary, next_step: Some(step.to_owned()), p, ev: vec![ev] };
    let lead = Lead::Says(format!("resets in the name of {} end", short(&id)));
    let tail = " after they were established, with another TTL than its own".to_owned();
    Some(One { finding, lead, tail, at: id, asked: path.asked(), counts: [path.packets, 0], span: None })
}

/// Replies that leave a node by another interface than the requests came in by.
fn asymmetric(
    ctx: Context<'_>,
    path: &Path,
    (request, reply): (&Direction, &Direction),
    t: Tuple,
    veths: &BTreeSet<&str>,
    found: &mut dyn FnMut(One),
) {
    let wires = |d: &Direction| -> BTreeMap<Id, BTreeSet<Id>> {
        let mut by_node: BTreeMap<Id, BTreeSet<Id>> = BTreeMap::new();
        for h in d.hops.iter().filter(|h| h.observed() && ctx.inv.nodes.contains_key(&h.owner)) {
            let is_veth = h.interface.as_deref().and_then(|i| i.rsplit('/').next()).is_some_and(|name| veths.contains(name));
            if let (Some(i), false) = (&h.interface, is_veth) {
                by_node.entry(h.owner.clone()).or_default().insert(i.clone());
            }
        }
        by_node
    };
    let (there, back) = (wires(request), wires(reply));
    for (node, a) in &there {
        let Some(b) = back.get(node) else { continue };
        if a.is_disjoint(b) {
            let names = |s: &BTreeSet<Id>| {
                s.iter().map(|i| short(i).rsplit('/').next().unwrap_or_default().to_owned()).collect::<Vec<_>>().join(", ")
            };
            let (lead, tail) = (format!("on {} requests of", short(node)), format!(" cross {} and replies {}", names(a), names(b)));
            let summary = format!("{lead} {}{tail}", ends(ctx, t));
            let ev: Vec<Ev> = observed_ev(request).into_iter().chain(observed_ev(reply)).collect();
            let step = Some("compare `ip rule` and `ip route show table all` of the node with the pod's ENI; check rp_filter".to_owned());
            let finding = Finding {
                kind: "asymmetric_path",
                severity: Severity::Warning,
                about: vec![node.clone()],
                summary,
                next_step: step,
                p: weight::ASYMMETRIC,
                ev,
            };
            let counts = [path.packets, 0];
            let (lead, at) = (Lead::Says(lead), node.clone());
            found(One { finding, lead, tail, at, asked: path.asked(), counts, span: span(ctx, request) });
        }
    }
}
