//! Findings: what a person should know, each with its severity, evidence and next step.
//! Knows paths, points and inventory; must not change them.

mod flow_logs;
mod icmp;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::confidence::finding as weight;
use crate::correlate::clocks::Offset;
use crate::digest::{CaptureDigest, NO_TIME, Rate, Row, Tuple, is_control, is_kept_everywhere, kept_pieces};
use crate::dissect::flags;
use crate::estimate;
use crate::evidence::{Book, Ev, Place};
use crate::facts::Correction;
use crate::identify::inventory::{Id, is_special, short};
use crate::identify::place::{Capture, first_frame};
use crate::model::{Nanos, Protocol, shell_word};
use crate::order;
use crate::report::{Severity, Verdict, Way};
use crate::trace::filters::LeftOut;
use crate::trace::relay::Relays;
use crate::trace::{Context, Direction, Hop, Path, Paths, Traced, judge};

/// A finding in the making.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The contract's kind.
    pub kind: &'static str,
    /// How bad.
    pub severity: Severity,
    /// Entities.
    pub about: Vec<Id>,
    /// One sentence.
    pub summary: String,
    /// What would settle or mend it.
    pub next_step: Option<String>,
    /// How sure.
    pub p: f64,
    /// Why.
    pub ev: Vec<Ev>,
}

/// A finding, and what it is told of.
#[derive(Clone, Debug)]
pub struct Told {
    /// What is told.
    pub finding: Finding,
    /// Indexes of the paths that it is told of, if it is told of any; the first of many.
    pub paths: Vec<u32>,
}

impl From<Finding> for Told {
    /// Of no path in particular.
    fn from(finding: Finding) -> Self {
        Self { finding, paths: Vec::new() }
    }
}

/// Everything that is worth saying.
pub fn diagnose(ctx: Context<'_>, traced: &Traced, book: &mut Book) -> Vec<Told> {
    let Traced { paths, clocks, left_out, .. } = traced;
    let (mut told, mut found) = (Vec::new(), Vec::new());
    let mut rejected = flow_logs::Rejected::default();
    let mut workers = Workers::default();
    let veths: BTreeSet<&str> = order::set(ctx.inv.pods.values().map(|p| p.veth.as_str()));
    paths.each(|n, path| {
        translated(ctx, path, book, &mut found);
        lost(ctx, path, book, &mut found);
        answers(ctx, path, &veths, book, &mut found);
        retransmissions(ctx, path, book, &mut found);
        rejected.on_path(ctx, path, &mut found);
        workers.add(ctx, path);
        told.extend(found.drain(..).map(|finding| Told { finding, paths: u32::try_from(n).into_iter().collect() }));
    });
    rejected.findings(ctx, book, &mut found);
    workers.findings(ctx, &mut found);
    told.extend(icmp::errors(ctx, paths, book));
    arp(ctx, book, &mut found);
    unresolved(ctx, paths, book, &mut found);
    clock_steps(ctx, clocks, book, &mut found);
    clock_skew(ctx, clocks, book, &mut found);
    routers(ctx, &mut found);
    stale(ctx, book, &mut found);
    sampled(ctx, book, &mut found);
    filtered(ctx, left_out, book, &mut found);
    told.extend(found.into_iter().map(Told::from));
    merge_alike(told)
}

/// Captures that left out what crossed their interface: what they do not have is not lost.
fn filtered(ctx: Context<'_>, left_out: &[LeftOut], book: &mut Book, found: &mut Vec<Finding>) {
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
fn sampled(ctx: Context<'_>, book: &mut Book, found: &mut Vec<Finding>) {
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

/// Connections that proxies continue by others, and clients that they name whose own connections nobody captured.
#[must_use]
pub fn relayed(ctx: Context<'_>, paths: &Paths, relays: &Relays) -> Vec<Told> {
    /// The proxy, and what it connects to: address, port, protocol.
    type Behind = (Id, IpAddr, u16);
    struct Joined {
        clients: BTreeSet<Id>,
        connections: usize,
        p: f64,
        ev: Vec<Ev>,
        paths: Vec<u32>,
    }
    let server = |n: usize| paths.get(n)?.legs.last().map(|l| (l.tuple.dst, l.tuple.dst_port));
    let mut joined: BTreeMap<Behind, Joined> = BTreeMap::new();
    for r in &relays.relays {
        let (Some((ip, port)), Some(client)) = (server(r.back), paths.get(r.front).and_then(|p| p.legs.first().map(|l| l.tuple.src)))
        else {
            continue;
        };
        let none = || Joined { clients: BTreeSet::new(), connections: 0, p: 1.0, ev: Vec::new(), paths: Vec::new() };
        let e = joined.entry((r.through.clone(), ip, port)).or_insert_with(none);
        e.clients.insert(ctx.inv.entity_of_ip(client));
        (e.connections, e.p) = (e.connections + 1, e.p.min(r.p));
        e.ev.extend(r.ev.iter().copied().filter(|_| e.connections <= 8));
        add_some(&mut e.paths, [r.front, r.back].into_iter().filter_map(|n| u32::try_from(n).ok()).collect());
    }
    let mut found = Vec::new();
    for ((through, ip, port), Joined { clients, connections: n, p, ev, paths }) in joined {
        let to = ctx.inv.entity_of_ip(ip);
        let list: Vec<&str> = clients.iter().take(5).map(|c| short(c)).collect();
        let more = clients.len().saturating_sub(list.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let connections = if n == 1 { "1 connection".to_owned() } else { format!("{n} connections") };
        let summary = format!(
            "{} ends {connections} of {}{more} and continues each by one of its own to {} ({})",
            short(&through),
            list.join(", "),
            short(&to),
            address(ip, port, Protocol::Tcp)
        );
        let about = [through, to].into_iter().chain(clients).collect();
        let finding = Finding { kind: "relayed_connection", severity: Severity::Info, about, summary, next_step: None, p, ev };
        found.push(Told { finding, paths });
    }
    let known: BTreeSet<usize> = order::set(relays.relays.iter().map(|r| r.back));
    let mut unseen: BTreeMap<Behind, (BTreeSet<IpAddr>, Vec<Ev>)> = BTreeMap::new();
    for n in relays.named.iter().filter(|n| !known.contains(&n.back)) {
        let (Some((ip, port)), Some(first)) = (server(n.back), paths.get(n.back).and_then(|p| p.legs.into_iter().next())) else { continue };
        let e = unseen.entry((ctx.inv.entity_of_ip(first.tuple.src), ip, port)).or_default();
        if e.0.len() < 5 && e.0.insert(n.client) {
            e.1.push(n.ev);
        }
    }
    for ((by, ip, port), (clients, ev)) in unseen {
        let list: Vec<String> = clients.iter().map(ToString::to_string).collect();
        let to = ctx.inv.entity_of_ip(ip);
        let summary = format!(
            "{} asks {} ({}) for others: it names {} as clients, whose own connections no capture shows",
            short(&by),
            short(&to),
            address(ip, port, Protocol::Tcp),
            list.join(", ")
        );
        let step = Some(format!("capture in front of {} to see the clients' side of these connections", short(&by)));
        found.push(Told::from(Finding {
            kind: "relayed_connection",
            severity: Severity::Info,
            about: vec![by, to],
            summary,
            next_step: step,
            p: weight::UNSEEN_CLIENTS,
            ev,
        }));
    }
    found
}

/// The same thing said of many conversations is one finding. There may be one for each of a million: none is copied.
fn merge_alike(mut told: Vec<Told>) -> Vec<Told> {
    for Told { finding: f, .. } in &mut told {
        order::sort(&mut f.about);
        f.about.dedup();
    }
    order::sort_by(&mut told, |Told { finding: a, .. }, Told { finding: b, .. }| {
        let of = |f: &Finding| (std::cmp::Reverse(f.severity), f.kind);
        of(a).cmp(&of(b)).then_with(|| (&a.about, &a.summary).cmp(&(&b.about, &b.summary)))
    });
    let mut times = vec![1_usize];
    told.dedup_by(|next, known| {
        let (a, b) = (&mut next.finding, &mut known.finding);
        if (a.severity, a.kind) != (b.severity, b.kind) || a.about != b.about || a.summary != b.summary {
            times.push(1);
            return false;
        }
        if let Some(times) = times.last_mut() {
            *times += 1;
        }
        b.p = b.p.max(a.p);
        add_some(&mut b.ev, std::mem::take(&mut a.ev));
        add_some(&mut known.paths, std::mem::take(&mut next.paths));
        true
    });
    for (f, times) in told.iter_mut().map(|t| &mut t.finding).zip(times).filter(|(_, times)| *times > 1) {
        f.summary = format!("{}, in {times} conversations", f.summary);
    }
    told.shrink_to_fit();
    told
}

/// What is not there yet, as long as there are few.
fn add_some<T: PartialEq>(to: &mut Vec<T>, from: Vec<T>) {
    for x in from {
        if to.len() < 24 && !to.contains(&x) {
            to.push(x);
        }
    }
}

/// Address, or address and port, as people write them.
#[must_use]
pub fn address(ip: IpAddr, port: u16, protocol: Protocol) -> String {
    match (ip, protocol) {
        (_, Protocol::Icmp | Protocol::Icmpv6 | Protocol::Other(_)) => ip.to_string(),
        (_, _) if port == 0 => ip.to_string(),
        _ => SocketAddr::new(ip, port).to_string(),
    }
}

fn ends(ctx: Context<'_>, t: Tuple) -> String {
    let name = |ip, port| {
        let id = ctx.inv.entity_of_ip(ip);
        let at = address(ip, port, t.protocol);
        if id.ends_with(&ip.to_string()) { at } else { format!("{} ({at})", short(&id)) }
    };
    format!("{} → {}", name(t.src, t.src_port), name(t.dst, t.dst_port))
}

fn translated(ctx: Context<'_>, path: &Path, book: &mut Book, found: &mut Vec<Finding>) {
    let _ = book;
    for (n, pair) in path.legs.windows(2).enumerate() {
        let [a, b] = pair else { continue };
        let mut ev: Vec<Ev> = a.ev.iter().chain(&b.ev).copied().collect();
        ev.extend(
            path.directions
                .iter()
                .flat_map(|d| &d.hops)
                .filter(|h| h.observed() && (h.leg == n || h.leg == n + 1))
                .filter_map(|h| h.ev.first())
                .copied()
                .take(2),
        );
        ev.dedup();
        if ev.is_empty() {
            continue;
        }
        let who = path.rewriters.get(n).cloned().flatten();
        let (t, u) = (a.tuple, b.tuple);
        let mut about: Vec<Id> = who.iter().cloned().collect();
        about.push(ctx.inv.entity_of_ip(t.dst));
        about.push(ctx.inv.entity_of_ip(u.dst));
        about.push(ctx.inv.entity_of_ip(t.src));
        about.push(ctx.inv.entity_of_ip(u.src));
        let destination = (t.dst, t.dst_port) != (u.dst, u.dst_port);
        let source = t.src != u.src;
        let what = match (destination, source) {
            (true, true) => format!(
                "source {} becomes {} and destination {} becomes {}",
                t.src,
                u.src,
                address(t.dst, t.dst_port, t.protocol),
                address(u.dst, u.dst_port, u.protocol)
            ),
            (true, false) => {
                format!("destination {} becomes {}", address(t.dst, t.dst_port, t.protocol), address(u.dst, u.dst_port, u.protocol))
            }
            (false, true) => format!("source {} becomes {}", t.src, u.src),
            (false, false) => {
                let summary = format!(
                    "the source port of {} is rewritten{}",
                    ends(ctx, Tuple { src_port: 0, ..t }),
                    who.as_ref().map_or(String::new(), |w| format!(" at {}", short(w)))
                );
                found.push(Finding {
                    kind: "source_port_rewritten",
                    severity: Severity::Info,
                    about,
                    summary,
                    next_step: None,
                    p: weight::PORT_REWRITTEN,
                    ev,
                });
                continue;
            }
        };
        let place = who.as_ref().map_or("on the way".to_owned(), |w| format!("at {}", short(w)));
        let inferred = if a.flow.is_none() || b.flow.is_none() { ", inferred: one side of it was not captured" } else { "" };
        let summary = format!("{what} {place}{inferred}");
        let p = if inferred.is_empty() { weight::TRANSLATED } else { weight::TRANSLATED_INFERRED };
        found.push(Finding { kind: "address_translated", severity: Severity::Info, about, summary, next_step: None, p, ev });
    }
}

/// Address, port and protocol that packets end at.
type Server = (IpAddr, u16, Protocol);

/// Connections to one server that different nodes translated before any capture: their sources are the nodes', and look as if
/// one connection had two.
#[derive(Default)]
struct Workers {
    by_server: BTreeMap<Server, BTreeMap<Id, (usize, Vec<Ev>)>>,
    first_seen: BTreeMap<Server, BTreeSet<Id>>,
}

impl Workers {
    fn add(&mut self, ctx: Context<'_>, path: &Path) {
        let (Some(leg), Some(Some(who))) = (path.legs.last(), path.rewriters.last()) else { return };
        let before = path.legs.len().checked_sub(2).and_then(|n| path.legs.get(n));
        if before.is_none_or(|b| b.flow.is_some()) || !ctx.inv.nodes.contains_key(who) {
            return;
        }
        let server = (leg.tuple.dst, leg.tuple.dst_port, leg.tuple.protocol);
        let e = self.by_server.entry(server).or_default().entry(who.clone()).or_default();
        e.0 += 1;
        e.1.extend(before.into_iter().flat_map(|b| b.ev.iter().copied()));
        let captured = path.direction(Way::Request).and_then(|d| d.hops.iter().find(|h| h.observed())).and_then(|h| h.interface.clone());
        self.first_seen.entry(server).or_default().extend(captured);
    }

    fn findings(self, ctx: Context<'_>, found: &mut Vec<Finding>) {
        for (server, workers) in self.by_server.into_iter().filter(|(_, w)| w.len() > 1) {
            let total: usize = workers.values().map(|w| w.0).sum();
            let list = workers.iter().map(|(w, (n, _))| format!("{n} through {}", short(w))).collect::<Vec<_>>().join(", ");
            let at = self.first_seen.get(&server).into_iter().flatten().map(|i| short(i)).collect::<Vec<_>>().join(" and ");
            let name = short(&ctx.inv.entity_of_ip(server.0)).to_owned();
            let summary = format!(
                "{total} connections to {name} ({}), not one, reach {at}: {list}; each was translated by that worker, before it was captured",
                address(server.0, server.1, server.2)
            );
            let about = workers.keys().cloned().chain([ctx.inv.entity_of_ip(server.0)]).collect();
            let ev = workers.into_values().flat_map(|w| w.1).collect();
            let step = Some("capture on those workers to see the clients' side of each connection".to_owned());
            found.push(Finding {
                kind: "address_translated",
                severity: Severity::Info,
                about,
                summary,
                next_step: step,
                p: weight::TRANSLATED_INFERRED,
                ev,
            });
        }
    }
}

fn observed_ev(d: &Direction) -> Vec<Ev> {
    d.hops.iter().filter(|h| h.observed()).filter_map(|h| h.ev.first()).copied().collect()
}

fn lost(ctx: Context<'_>, path: &Path, book: &mut Book, found: &mut Vec<Finding>) {
    for d in &path.directions {
        let Some(leg) = path.legs.get(d.hops.last().map_or(0, |h| h.leg)) else { continue };
        let t = if d.way == Way::Request { leg.tuple } else { leg.tuple.reversed() };
        if d.verdict == Verdict::Lost {
            let Some(last) = d.lost_after.and_then(|n| d.hops.get(n)) else { continue };
            let silent: BTreeSet<&Id> = order::set(d.silent.iter().map(|s| &s.1));
            let first_silent = d.silent.first();
            let mut ev = observed_ev(d);
            if let Some((point, interface)) = first_silent
                && let Some(ran) = ctx.points.get(*point).and_then(|p| first_frame(ctx.captures, p))
            {
                let statement = format!("the capture at {} ran at that time and has none of {}", short(interface), ends(ctx, t));
                // A frame that shows the capture ran, and one of the packets that it should have.
                let mut places = vec![ran];
                places.extend(last.ev.first().and_then(|e| book.sources(*e).into_iter().next()));
                ev.push(book.add("silence", statement, places));
            }
            let at = short(last.interface.as_deref().unwrap_or(&last.owner)).to_owned();
            let word = if d.way == Way::Request { "" } else { "replies of " };
            let packets = match d.looked_for {
                // None of n: at most 3/n of all, with 95 % (the rule of three).
                Some(n) => format!("{n} of {} packets, all that were examined,", last.seen),
                None if last.seen == 1 => "1 packet".to_owned(),
                None => format!("all {} packets", last.seen),
            };
            // The one that tells where is the first; of the others it is enough that they agree.
            let others = match silent.len().saturating_sub(1) {
                0 => String::new(),
                1 => ", nor did the captured interface after it".to_owned(),
                n => format!(", nor did any of the {n} captured interfaces after it"),
            };
            let next = first_silent.map_or("what was captured further on", |s| short(&s.1));
            let summary = format!("{packets} of {word}{} are lost after {at}: {next} saw none{others}", ends(ctx, t));
            let beyond = first_silent.and_then(|(point, _)| ctx.points.get(*point)?.owner.as_ref());
            let suspects = if beyond.is_some_and(|b| ctx.inv.host_of(b) != ctx.inv.host_of(&last.owner)) {
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
            let p = if d.looked_for.is_some() { weight::ALL_LOST_OF_SAMPLE } else { weight::ALL_LOST };
            found.push(Finding { kind: "packet_loss", severity: Severity::Error, about, summary, next_step: Some(step), p, ev });
            continue;
        }
        partial_loss(ctx, d, t, found);
    }
}

/// Packets of a conversation that went on, missing at one hop and at all captured hops behind it.
fn partial_loss(ctx: Context<'_>, d: &Direction, t: Tuple, found: &mut Vec<Finding>) {
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
        let summary = format!("{missing} of {} packets of {} that passed {a} never reach {b}", before.seen, ends(ctx, t));
        let step = Some(format!("compare drop counters between {a} and {b}; check that neither capture dropped packets"));
        found.push(Finding {
            kind: "packet_loss",
            severity: Severity::Warning,
            about: vec![before.owner.clone(), here.owner.clone()],
            summary,
            next_step: step,
            p: weight::SOME_LOST,
            ev,
        });
    }
}

fn answers(ctx: Context<'_>, path: &Path, veths: &BTreeSet<&str>, book: &mut Book, found: &mut Vec<Finding>) {
    let Some(request) = path.direction(Way::Request) else { return };
    let Some(last) = path.legs.last() else { return };
    let t = last.tuple;
    let reply = path.direction(Way::Reply);
    let about = vec![ctx.inv.entity_of_ip(t.dst), ctx.inv.entity_of_ip(path.legs.first().map_or(t.src, |l| l.tuple.src))];
    match reply {
        None => {
            let captured_back = request.hops.iter().any(Hop::observed);
            let expects = t.protocol != Protocol::Other(0) && captured_back;
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
                found.push(Finding {
                    kind: "no_reply",
                    severity,
                    about,
                    summary,
                    next_step: step,
                    p: weight::NO_REPLY,
                    ev: observed_ev(request),
                });
            }
        }
        Some(reply) => {
            if reply.verdict == Verdict::Lost {
                let summary = format!("{} never hears the answers to {}", short(&ctx.inv.entity_of_ip(t.src)), ends(ctx, t));
                found.push(Finding {
                    kind: "no_reply",
                    severity: Severity::Warning,
                    about: about.clone(),
                    summary,
                    next_step: None,
                    p: weight::NO_REPLY,
                    ev: observed_ev(reply),
                });
            }
            resets(ctx, path, request, reply, about, book, found);
            asymmetric(ctx, request, reply, t, veths, found);
        }
    }
}

/// Of an open verdict: the next interface that was captured, where that capture's last packet is older than the first of these at the
/// last one that saw them; and that one.
fn ended_before(ctx: Context<'_>, d: &Direction) -> Option<(Id, Id)> {
    let last = d.hops.iter().rposition(Hop::observed).filter(|_| d.verdict == Verdict::Unknown)?;
    let here = d.hops.get(last)?;
    let first_seen = here.sightings.iter().filter_map(|s| ctx.captures.get(s.capture)?.digest.streams.get(s.stream as usize));
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

fn resets(
    ctx: Context<'_>,
    path: &Path,
    request: &Direction,
    reply: &Direction,
    about: Vec<Id>,
    book: &mut Book,
    found: &mut Vec<Finding>,
) {
    let Some(leg) = path.legs.last().filter(|l| l.tuple.protocol == Protocol::Tcp) else { return };
    if request.verdict == Verdict::Rejected {
        let summary =
            format!("{} refuses: its reset answers the SYN of {}", short(&ctx.inv.entity_of_ip(leg.tuple.dst)), ends(ctx, leg.tuple));
        let step = Some("check that something listens on that port, and that no rule rejects with tcp-reset".to_owned());
        found.push(Finding {
            kind: "connection_refused",
            severity: Severity::Error,
            about,
            summary,
            next_step: step,
            p: weight::SAID,
            ev: observed_ev(reply),
        });
        return;
    }
    for d in [request, reply] {
        let reset = d.hops.iter().flat_map(|h| &h.sightings).find_map(|s| {
            let capture = ctx.captures.get(s.capture)?;
            Some((capture.input, capture.digest.row_at(ctx.flows.of(s)?.reset(s.stream)?)))
        });
        let Some((input, row)) = reset else { continue };
        let by = if d.way == Way::Request { leg.tuple.src } else { leg.tuple.dst };
        let ev = book.add("reset", format!("a reset from {by}"), vec![Place::frame(input, row)]);
        let summary = format!("{} resets the established connection {}", short(&ctx.inv.entity_of_ip(by)), ends(ctx, leg.tuple));
        found.push(Finding {
            kind: "reset",
            severity: Severity::Warning,
            about: about.clone(),
            summary,
            next_step: None,
            p: weight::RESET,
            ev: vec![ev],
        });
        break;
    }
}

/// Replies that leave a node by another interface than the requests came in by.
fn asymmetric(ctx: Context<'_>, request: &Direction, reply: &Direction, t: Tuple, veths: &BTreeSet<&str>, found: &mut Vec<Finding>) {
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
            let summary = format!("on {} requests of {} cross {} and replies {}", short(node), ends(ctx, t), names(a), names(b));
            let ev: Vec<Ev> = observed_ev(request).into_iter().chain(observed_ev(reply)).collect();
            let step = Some("compare `ip rule` and `ip route show table all` of the node with the pod's ENI; check rp_filter".to_owned());
            found.push(Finding {
                kind: "asymmetric_path",
                severity: Severity::Warning,
                about: vec![node.clone()],
                summary,
                next_step: step,
                p: weight::ASYMMETRIC,
                ev,
            });
        }
    }
}

/// The same bytes sent again: same sequence number, new IP id, at one point.
fn retransmissions(ctx: Context<'_>, path: &Path, book: &mut Book, found: &mut Vec<Finding>) {
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
        let times = match sample.estimate(h.seen, n as u64).filter(|_| !is_whole) {
            Some((about, low, high)) if low < high => format!("about {about} segments ({low} to {high}) are"),
            _ if n == 1 => "1 segment is".to_owned(),
            _ => format!("{n} segments are"),
        };
        let summary = format!("{times} sent again in {}", ends(ctx, t));
        let about = vec![ctx.inv.entity_of_ip(t.src), ctx.inv.entity_of_ip(t.dst)];
        found.push(Finding {
            kind: "retransmission",
            severity: Severity::Warning,
            about,
            summary,
            next_step: None,
            p: weight::RETRANSMITTED,
            ev: vec![ev],
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

/// Questions that nobody answers, and answers that contradict one another or the inventory.
fn arp(ctx: Context<'_>, book: &mut Book, found: &mut Vec<Finding>) {
    // By segment: on its own link a pod answers for its address, in the subnet its ENI does.
    let mut holders: BTreeMap<(IpAddr, Id), BTreeMap<crate::model::Mac, (usize, u32)>> = BTreeMap::new();
    let segment = |capture: usize, interface: u32, ifindex: Option<u32>| -> Id {
        let point = ctx
            .points
            .iter()
            .find(|p| ctx.captures.get(p.capture).is_some_and(|c| c.input == capture) && p.interface == interface && p.ifindex == ifindex);
        let Some(point) = point else { return format!("{capture}/{interface}") };
        let eni = || {
            ctx.inv
                .enis
                .values()
                .find(|e| point.at.as_ref() == Some(&crate::identify::inventory::interface_id(&e.owner, &ctx.inv.eni_name(e))))
        };
        point.link.clone().or_else(|| eni().and_then(|e| e.subnet.clone())).unwrap_or_else(|| format!("{capture}/{interface}/{ifindex:?}"))
    };
    for capture in ctx.captures {
        let answered: BTreeSet<(u32, Option<u32>, IpAddr)> =
            capture.digest.arps.iter().filter(|a| a.operation == 2).map(|a| (a.interface, a.ifindex, a.sender_ip)).collect();
        // Whoever speaks IP on the same interface was found after all, or is known by a static entry.
        for a in &capture.digest.arps {
            if is_special(a.sender_ip) && a.operation == 1 {
                continue;
            }
            if a.operation == 2 && !is_special(a.sender_ip) {
                holders
                    .entry((a.sender_ip, segment(capture.input, a.interface, a.ifindex)))
                    .or_default()
                    .entry(a.sender_mac)
                    .or_insert((capture.input, a.first_row));
            }
            let gratuitous = a.sender_ip == a.target_ip;
            if a.operation != 1 || gratuitous || answered.contains(&(a.interface, a.ifindex, a.target_ip)) {
                continue;
            }
            let speaks = capture.digest.streams.iter().any(|s| s.key.flow.is_some_and(|f| f.src == a.target_ip));
            let alive = capture
                .digest
                .streams
                .iter()
                .filter(|s| s.key.interface == a.interface && s.key.ifindex == a.ifindex)
                .map(|s| s.last_ns)
                .max();
            let asked = capture.digest.row(a.first_row).map(|r| r.time);
            // A question at the very end of a capture may have been answered after it.
            let too_late = match (alive, asked) {
                (Some(l), Some(t)) => t != NO_TIME && l - t < 1_000_000_000 && a.count < 3,
                // The question itself was not kept.
                (_, None) => a.count < 3,
                _ => false,
            };
            if speaks || too_late || a.count < 2 {
                continue;
            }
            let ev = book.add(
                "arp",
                format!("{} asks {} times for {}, and nobody answers", a.sender_ip, a.count, a.target_ip),
                vec![Place::frame(capture.input, a.first_row)],
            );
            let about = vec![ctx.inv.entity_of_ip(a.target_ip), ctx.inv.entity_of_ip(a.sender_ip)];
            let summary = format!("nobody answers ARP for {}", a.target_ip);
            let step = Some(format!(
                "check that {} exists and is in that subnet (kubectl get pods -A -o wide, aws ec2 describe-network-interfaces)",
                a.target_ip
            ));
            found.push(Finding {
                kind: "arp_unanswered",
                severity: Severity::Error,
                about,
                summary,
                next_step: step,
                p: weight::ARP_UNANSWERED,
                ev: vec![ev],
            });
        }
    }
    let routers: BTreeSet<IpAddr> =
        ctx.inv.subnets.values().flat_map(|s| &s.cidrs).filter_map(crate::identify::inventory::gateway_of).collect();
    for ((ip, _), macs) in holders {
        // A gateway's address has one face per subnet side, and proxies answer for it on each pod's link.
        let claimed: BTreeSet<_> = order::set(
            macs.keys().filter(|m| ctx.inv.owner_of_mac(**m).is_none_or(|c| ctx.inv.owner_of_ip(ip).is_none_or(|o| o.owner != c.owner))),
        );
        if macs.len() < 2 || routers.contains(&ip) || claimed.is_empty() || ctx.inv.nodes.values().any(|n| n.ips.contains(&ip)) {
            continue;
        }
        let sources = macs.values().map(|(i, r)| Place::frame(*i, *r)).collect();
        let names = macs.keys().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        let ev = book.add("arp", format!("{names} both answer ARP for {ip}"), sources);
        let (severity, summary, step, p) = if let Some(one_by_one) = one_after_another(ctx, ip, macs.keys().copied()) {
            let step = "if it was given to another meanwhile (a pod that was replaced), nothing is wrong; otherwise find both owners by MAC (aws ec2 describe-network-interfaces, ip neigh)";
            let summary = format!("{ip} is at {one_by_one}, one after the other: it has moved, or two claim it");
            (Severity::Warning, summary, step, weight::ADDRESS_MOVED)
        } else {
            let step = "find both owners by MAC (aws ec2 describe-network-interfaces, ip neigh)";
            (Severity::Error, format!("{names} both claim {ip}"), step, weight::DUPLICATE_ADDRESS)
        };
        found.push(Finding {
            kind: "duplicate_address",
            severity,
            about: vec![ctx.inv.entity_of_ip(ip)],
            summary,
            next_step: Some(step.to_owned()),
            p,
            ev: vec![ev],
        });
    }
}

/// The MACs in the order in which an address's packets came and went by them, where no two did so at one time by one capture's clock.
fn one_after_another(ctx: Context<'_>, ip: IpAddr, macs: impl Iterator<Item = crate::model::Mac>) -> Option<String> {
    let macs: Vec<crate::model::Mac> = macs.collect();
    let spans = |capture: &Capture<'_>| {
        let mut spans: BTreeMap<crate::model::Mac, (Nanos, Nanos)> = BTreeMap::new();
        for s in capture.digest.streams.iter().filter(|s| s.first_ns != NO_TIME && s.last_ns != NO_TIME) {
            let Some(t) = s.key.flow.filter(|t| t.src == ip || t.dst == ip) else { continue };
            let mac = if t.src == ip { s.key.src_mac } else { s.key.dst_mac };
            if let Some(mac) = mac.filter(|m| macs.contains(m)) {
                let span = spans.entry(mac).or_insert((s.first_ns, s.last_ns));
                *span = (span.0.min(s.first_ns), span.1.max(s.last_ns));
            }
        }
        let mut spans: Vec<_> = spans.into_iter().map(|(mac, (first, last))| (first, last, mac)).collect();
        spans.sort_unstable();
        spans
    };
    let mut order: Option<String> = None;
    for spans in ctx.captures.iter().map(spans).filter(|s| s.len() > 1) {
        if spans.len() < macs.len() || spans.windows(2).any(|w| matches!(w, [a, b] if a.1 >= b.0)) {
            return None;
        }
        order = Some(spans.iter().map(|s| s.2.to_string()).collect::<Vec<_>>().join(" and then at "));
    }
    order
}

/// Addresses inside the VPC that no inventory explains.
fn unresolved(ctx: Context<'_>, paths: &Paths, book: &mut Book, found: &mut Vec<Finding>) {
    let mut known: BTreeMap<Id, Vec<Ev>> = BTreeMap::new();
    for leg in paths.legs().flatten() {
        for ip in [leg.tuple.src, leg.tuple.dst] {
            let id = ctx.inv.entity_of_ip(ip);
            // A link-local address is nobody's in particular.
            if is_special(ip) || !id.starts_with("unknown:") || known.contains_key(&id) {
                continue;
            }
            let Some(s) = leg.flow.and_then(|f| ctx.flows.flows.get(f)).and_then(|f| f.sightings.first()) else { continue };
            let Some(capture) = ctx.captures.get(s.capture) else { continue };
            let Some(stream) = capture.digest.streams.get(s.stream as usize) else { continue };
            let place = Place::frame(capture.input, stream.first_row);
            known.insert(id, vec![book.add("seen", format!("{ip} is in the captures"), vec![place])]);
        }
    }
    for (id, ev) in known {
        let address = short(&id).to_owned();
        let summary = format!("nothing given says whose address {address} is");
        let step = Some(format!(
            "aws ec2 describe-network-interfaces --filters Name=addresses.private-ip-address,Values={address}; kubectl get pods -A -o json"
        ));
        found.push(Finding {
            kind: "unresolved_address",
            severity: Severity::Warning,
            about: vec![id],
            summary,
            next_step: step,
            p: weight::UNRESOLVED,
            ev,
        });
    }
}

fn clock_skew(ctx: Context<'_>, clocks: &BTreeMap<usize, (usize, Offset)>, book: &mut Book, found: &mut Vec<Finding>) {
    let host = |p: &usize| ctx.points.get(*p).and_then(|p| p.host(ctx.inv)).cloned();
    // All captures of a host have its clock: the surest tells, unless another disagrees.
    let agrees = |a: &Offset, b: &Offset| (a.offset_ns - b.offset_ns).abs() <= a.uncertainty_ns.saturating_add(b.uncertainty_ns);
    let is_told_by_another = |point: &usize, reference: &usize, o: &Offset| {
        clock_by_hand(ctx, *point).is_none()
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
            ctx.points.get(*p).and_then(|p| {
                Some(Place::frame(ctx.captures.get(p.capture)?.input, crate::identify::place::streams(ctx.captures, p).next()?.1.first_row))
            })
        };
        let sources: Vec<Place> = [place(reference), place(point)].into_iter().flatten().collect();
        let name = |p: &usize| ctx.points.get(*p).and_then(|p| p.at.clone()).map_or("a capture".to_owned(), |a| short(&a).to_owned());
        if sources.is_empty() {
            continue;
        }
        let word = if offset.offset_ns > 0 { "ahead of" } else { "behind" };
        let drifts = if offset.drift_ppb == 0 { String::new() } else { format!(", {}", judge::drift(offset.drift_ppb)) };
        let ev = match clock_by_hand(ctx, *point) {
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
fn clock_steps(ctx: Context<'_>, clocks: &BTreeMap<usize, (usize, Offset)>, book: &mut Book, found: &mut Vec<Finding>) {
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
fn clock_by_hand(ctx: Context<'_>, point: usize) -> Option<Place> {
    let capture = ctx.captures.get(ctx.points.get(point)?.capture)?;
    let is_it = |c: &Correction| matches!(c, Correction::ClockOffset { input_name, .. } if capture.is_called(input_name));
    ctx.inv.corrections.iter().find(|(c, _)| is_it(c)).map(|(_, place)| place.clone())
}

/// The MACs that no ENI has, and whose they are: the question that stays open when a path is worked out by hand.
fn routers(ctx: Context<'_>, found: &mut Vec<Finding>) {
    let mut seen: BTreeSet<crate::model::Mac> = BTreeSet::new();
    for c in ctx.captures {
        seen.extend(c.digest.streams.iter().flat_map(|s| [s.key.src_mac, s.key.dst_mac]).flatten());
    }
    for mac in seen {
        let Some(claim) = ctx.inv.owner_of_mac(mac).filter(|c| c.owner.starts_with("router:")) else { continue };
        let subnet = short(&claim.owner);
        let networks = ctx.inv.subnets.get(subnet).map(|s| s.cidrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        let is_nameless = ctx.inv.subnets.get(subnet).is_some_and(|s| s.is_nameless);
        let of = match networks {
            Some(n) if is_nameless => n,
            Some(n) => format!("{subnet} ({n})"),
            None => subnet.to_owned(),
        };
        let summary = format!("{mac} is the VPC router as {of} sees it");
        found.push(Finding {
            kind: "router_identified",
            severity: Severity::Info,
            about: vec![claim.owner.clone()],
            summary,
            next_step: None,
            p: claim.p,
            ev: claim.ev.clone(),
        });
    }
}

/// Inventories that contradict one another, and neighbour tables that contradict the ENIs.
fn stale(ctx: Context<'_>, book: &mut Book, found: &mut Vec<Finding>) {
    for (kind, about, summary, ev) in &ctx.inv.contradictions {
        let step =
            Some("print the inventories again, at one time: kubectl get pods -A -o json, aws ec2 describe-network-interfaces".to_owned());
        found.push(Finding {
            kind,
            severity: Severity::Warning,
            about: about.clone(),
            summary: summary.clone(),
            next_step: step,
            p: weight::CONTRADICTION,
            ev: ev.clone(),
        });
    }
    for host in &ctx.inv.hosts {
        let Some((owner, _)) = host.owner.as_ref().filter(|o| ctx.inv.nodes.contains_key(&o.0)) else { continue };
        for (n, place) in &host.neighbours {
            let (Some(mac), Some(eni)) = (n.mac, ctx.inv.eni_of_ip(n.ip)) else { continue };
            let on_wire = n.dev.as_deref().is_some_and(crate::identify::inventory::is_eni_name);
            let is_router = ctx.inv.owner_of_mac(mac).is_some_and(|c| c.owner.starts_with("router:"));
            let failed = n.state.as_deref().is_some_and(|s| s.eq_ignore_ascii_case("failed"));
            let Some(true_mac) = eni.mac.filter(|m| *m != mac && on_wire && !is_router && !failed) else { continue };
            let mut places = vec![place.clone()];
            eni.ev.iter().for_each(|e| places.extend(book.sources(*e)));
            let ev = book.add(
                "neighbour_table",
                format!("{} has {} at {mac}, while its ENI {} has {true_mac}", short(owner), n.ip, eni.id),
                places,
            );
            let summary = format!(
                "the neighbour table of {} has {} at {mac}, an address that its ENI does not have ({true_mac})",
                short(owner),
                n.ip
            );
            let step =
                Some(format!("ask that node again: ip neigh show to {} dev {}", n.ip, shell_word(n.dev.as_deref().unwrap_or("eth0"))));
            let about = vec![owner.clone(), ctx.inv.entity_of_ip(n.ip)];
            found.push(Finding {
                kind: "stale_inventory",
                severity: Severity::Warning,
                about,
                summary,
                next_step: step,
                p: weight::STALE_NEIGHBOUR,
                ev: vec![ev],
            });
        }
    }
}
