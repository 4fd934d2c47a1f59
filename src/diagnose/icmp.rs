//! What ICMP errors say, as findings.
//! Knows errors and which conversations they are about; must not say what became of these.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Finding, Told, add_some, ends};
use crate::confidence::finding as weight;
use crate::digest::{IcmpErrorSeen, Tuple};
use crate::evidence::{Book, Ev, Place};
use crate::identify::inventory::{Id, short};
use crate::identify::place::Capture;
use crate::order;
use crate::report::Severity;
use crate::trace::{Context, Paths};

/// What hosts and routers say of packets that they turned away: once for what one says of all conversations between the same two.
pub(super) fn errors(ctx: Context<'_>, paths: &Paths, book: &mut Book) -> Vec<Told> {
    struct Error<'a> {
        capture: &'a Capture<'a>,
        seen: &'a IcmpErrorSeen,
        sender: IpAddr,
    }
    let all = ctx.captures.iter().flat_map(|capture| {
        let sender = |e: &IcmpErrorSeen| Some(capture.digest.streams.get(e.stream as usize)?.key.flow?.src);
        capture.digest.errors.iter().filter_map(move |seen| Some(Error { capture, seen, sender: sender(seen)? }))
    });
    // A redirect turns nothing away.
    let errors: Vec<Error<'_>> = all.filter(|e| !matches!((e.sender.is_ipv6(), e.seen.kind), (false, 5) | (true, 137))).collect();
    if errors.is_empty() {
        return Vec::new();
    }
    let about: BTreeSet<Tuple> = order::set(errors.iter().map(|e| e.seen.about));
    let mut path_of: BTreeMap<Tuple, (u32, Tuple, Tuple)> = BTreeMap::new();
    for (n, legs) in (0..).zip(paths.legs()) {
        for leg in legs.iter().filter(|l| about.contains(&l.tuple)) {
            let (Some(first), Some(last)) = (legs.first(), legs.last()) else { continue };
            path_of.entry(leg.tuple).or_insert((n, first.tuple, last.tuple));
        }
    }
    let is_expired = |e: &Error<'_>| matches!((e.sender.is_ipv6(), e.seen.kind, e.seen.code), (false, 11, 0) | (true, 3, 0));
    let expired: BTreeSet<Tuple> = order::set(errors.iter().filter(|e| is_expired(e)).map(|e| e.seen.about));
    // The highest TTL that such a packet was seen with.
    let mut sent_with: BTreeMap<Tuple, u8> = BTreeMap::new();
    for s in ctx.captures.iter().flat_map(|c| &c.digest.streams).filter(|_| !expired.is_empty()) {
        if let Some(t) = s.key.flow.filter(|t| expired.contains(t)) {
            let most = sent_with.entry(t).or_default();
            *most = s.key.ttl.max(*most);
        }
    }
    // Of a packet that was translated each side has the error in its own addresses: one that a service's address seems to send is the
    // node's, translated back.
    let mut senders: BTreeMap<(u32, u8, u8), BTreeSet<Id>> = BTreeMap::new();
    for e in &errors {
        if let Some((n, ..)) = path_of.get(&e.seen.about) {
            senders.entry((*n, e.seen.kind, e.seen.code)).or_default().insert(ctx.inv.entity_of_ip(e.sender));
        }
    }
    let is_service = |id: &Id| ctx.inv.services.contains_key(id);
    #[derive(Default)]
    struct Group {
        first: Option<Tuple>,
        conversations: BTreeSet<Tuple>,
        paths: Vec<u32>,
        ev: Vec<Ev>,
    }
    let mut groups: BTreeMap<(Id, &'static str, bool, String, Id, Id), Group> = BTreeMap::new();
    for e in &errors {
        let IcmpErrorSeen { kind, code, about, .. } = *e.seen;
        let by = ctx.inv.entity_of_ip(e.sender);
        let path = path_of.get(&about);
        let others = path.and_then(|(n, ..)| senders.get(&(*n, kind, code)));
        if is_service(&by) && others.is_some_and(|o| o.iter().any(|id| !is_service(id))) {
            continue;
        }
        let (what_kind, is_fault, what) = said(e.sender.is_ipv6(), e.seen, sent_with.get(&about).copied());
        let (client, server) = path.map_or((about.src, about.dst), |(_, first, last)| (first.src, last.dst));
        let ends_of = (ctx.inv.entity_of_ip(client), ctx.inv.entity_of_ip(server));
        let statement = format!("{} says of {}: {what}", e.sender, ends(ctx, about));
        let group = groups.entry((by, what_kind, is_fault, what, ends_of.0, ends_of.1)).or_default();
        group.first.get_or_insert(about);
        group.conversations.insert(path.map_or(about, |p| p.1));
        if group.ev.len() < 24 {
            let ev = book.add("icmp_error", statement, vec![Place::frame(e.capture.input, e.seen.first_row)]);
            add_some(&mut group.ev, vec![ev]);
        }
        group.paths.extend(path.map(|p| p.0));
    }
    let told = groups.into_iter().filter_map(|((by, kind, is_fault, what, client, server), g)| {
        let more = match g.conversations.len().saturating_sub(1) {
            0 => String::new(),
            1 => " and of 1 more conversation between these two".to_owned(),
            n => format!(" and of {n} more conversations between these two"),
        };
        let summary = format!("{} reports about {}{more}: {what}", short(&by), ends(ctx, g.first?));
        let next_step = (kind == "mtu_exceeded")
            .then(|| "compare the MTU along the path (ip link, POD_MTU, AWS_VPC_ENI_MTU) and allow ICMP type 3 code 4".to_owned());
        let severity = if is_fault { Severity::Error } else { Severity::Info };
        let finding = Finding { kind, severity, about: vec![by, client, server], summary, next_step, p: weight::SAID, ev: g.ev };
        Some(Told { finding, paths: g.paths })
    });
    told.collect()
}

/// What an ICMP error says, as the kind of a finding, whether it tells of a fault, and in words. `sent_with`: the highest TTL that a
/// packet of that kind was seen with.
fn said(v6: bool, e: &IcmpErrorSeen, sent_with: Option<u8>) -> (&'static str, bool, String) {
    /// Nobody's packets begin with less but those of traceroute and its like; what circles was seen with more.
    const TRACED: u8 = 31;
    if if v6 { e.kind == 2 } else { e.kind == 3 && e.code == 4 } {
        let mtu = e.mtu.filter(|m| *m > 0).map_or(String::new(), |m| format!(" for an MTU of {m}"));
        return ("mtu_exceeded", true, format!("the packet is too big{mtu}"));
    }
    let fault = |kind, what: &str| (kind, true, what.to_owned());
    match (v6, e.kind, e.code, sent_with) {
        (false, 11, 0, Some(..=TRACED)) | (true, 3, 0, Some(..=TRACED)) => {
            ("icmp_error", false, "its TTL ran out, and it was sent with so small a one, as traceroute does".to_owned())
        }
        (false, 11, 0, _) | (true, 3, 0, _) => fault("icmp_error", "its TTL ran out, as in a routing loop"),
        (false, 3, 3, _) | (true, 1, 4, _) => fault("connection_refused", "nothing listens on that port"),
        (false, 3, 0, _) | (true, 1, 0, _) => fault("icmp_error", "there is no route to that network"),
        (false, 3, 1, _) | (true, 1, 3, _) => fault("icmp_error", "that host can't be reached"),
        (false, 3, 9 | 10 | 13, _) | (true, 1, 1, _) => fault("icmp_error", "a rule forbids it"),
        (_, k, c, _) => ("icmp_error", true, format!("ICMP type {k} code {c}")),
    }
}
