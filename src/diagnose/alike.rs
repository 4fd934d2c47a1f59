//! One finding for all conversations that fail alike: how many, of whom, to where, and when.
//! Knows what is found of single conversations; must not look at their packets.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Finding, Told, address, named};
use crate::correlate::clocks::Offset;
use crate::digest::{NO_TIME, Tuple};
use crate::evidence::Ev;
use crate::identify::inventory::{Id, short};
use crate::model::{Nanos, Protocol, count, time};
use crate::order;
use crate::report::Severity;
use crate::trace::{Context, Direction, Hop, judge};

/// Of points against others.
type Clocks = BTreeMap<usize, (usize, Offset)>;

/// So many of a finding's conversations show their evidence.
const SHOWN: usize = 3;
/// So many clients of one server, or servers of one client, are told of one by one.
const FEW: usize = 4;
/// So many pairs of them.
const PAIRS: usize = 8;

/// What is found of one conversation.
pub(super) struct One {
    /// What is told if no other is like it.
    pub(super) finding: Finding,
    /// The words before the conversations, and what adds up in them.
    pub(super) lead: Lead,
    /// The words after them.
    pub(super) tail: String,
    /// Where it happened, if the words do not say it.
    pub(super) at: Id,
    /// As the client asked, and as it came to the server.
    pub(super) asked: Option<(Tuple, Tuple)>,
    /// What the lead counts, and of how many; packets where it counts nothing.
    pub(super) counts: [u64; 2],
    /// By a point's own clock.
    pub(super) span: Option<(usize, Nanos, Nanos)>,
}

/// The beginning of a sentence about many conversations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lead {
    /// As it is.
    Says(String),
    /// All packets, or all replies.
    All { replies: bool },
    /// All that were examined of a sample.
    Examined { replies: bool },
    /// Some packets.
    Some { replies: bool },
    /// Segments sent again.
    Again { replies: bool },
}

impl Lead {
    fn text(&self, [n, m]: [u64; 2]) -> String {
        let packets = |replies: &bool| if *replies { "packets of replies" } else { "packets" };
        match self {
            Self::Says(text) => text.clone(),
            Self::All { replies } => format!("all {n} {} of", packets(replies)),
            Self::Examined { replies } => format!("{n} of {m} {}, all that were examined, of", packets(replies)),
            Self::Some { replies } => format!("{n} of {m} {} of", packets(replies)),
            Self::Again { .. } => format!("{} sent again in", if n == 1 { "1 segment is".to_owned() } else { format!("{n} segments are") }),
        }
    }
}

/// What findings have in common that are told as one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    severity: Reverse<Severity>,
    kind: &'static str,
    lead: Lead,
    tail: String,
    at: Id,
    protocol: Protocol,
    /// `None`: several are told of together.
    client: Option<Id>,
    server: Option<(IpAddr, u16)>,
}

/// At first there is one for each pair of ends, and in a large incident a million of these: so no sets and maps, which have room for eleven.
struct Group {
    /// Of the first; what it is about, of all.
    finding: Finding,
    times: usize,
    paths: Vec<u32>,
    clients: Vec<IpAddr>,
    servers: Vec<(IpAddr, u16)>,
    dialled: Vec<(IpAddr, u16)>,
    counts: [u64; 2],
    /// Point, first and last time.
    spans: Vec<(usize, Nanos, Nanos)>,
    /// Of how many the evidence is given.
    shown: usize,
}

/// Takes in more, each once wherever there would be many of one.
fn add<T: Ord>(to: &mut Vec<T>, more: Vec<T>) {
    const MANY: usize = 64;
    to.extend(more);
    // When the room is used up; it is doubled unless half of them went.
    if to.len() >= MANY && to.len() == to.capacity() {
        order::sort(to);
        to.dedup();
        to.reserve(to.len());
    }
}

impl Group {
    fn join(&mut self, other: Self) {
        self.times += other.times;
        self.finding.p = self.finding.p.max(other.finding.p);
        if self.shown < SHOWN {
            self.shown += other.shown;
            let known: BTreeSet<Ev> = order::set(self.finding.ev.iter().copied());
            self.finding.ev.extend(other.finding.ev.into_iter().filter(|e| !known.contains(e)));
        }
        self.paths.extend(other.paths);
        add(&mut self.finding.about, other.finding.about);
        add(&mut self.clients, other.clients);
        add(&mut self.servers, other.servers);
        add(&mut self.dialled, other.dialled);
        for (all, more) in self.counts.iter_mut().zip(other.counts) {
            *all = all.saturating_add(more);
        }
        for (point, first, last) in other.spans {
            match self.spans.iter_mut().find(|span| span.0 == point) {
                Some(span) => (span.1, span.2) = (span.1.min(first), span.2.max(last)),
                None => self.spans.push((point, first, last)),
            }
        }
    }
}

/// All that was found, as groups.
#[derive(Default)]
pub(super) struct Alike {
    groups: BTreeMap<Key, Group>,
}

impl Alike {
    pub(super) fn add(&mut self, ctx: Context<'_>, path: usize, one: One) {
        let One { finding, lead, tail, at, asked, counts, span } = one;
        let Some((first, last)) = asked else { return };
        let (dialled, server) = ((first.dst, first.dst_port), (last.dst, last.dst_port));
        let key = Key {
            severity: Reverse(finding.severity),
            kind: finding.kind,
            lead,
            tail,
            at,
            protocol: last.protocol,
            client: Some(ctx.inv.entity_of_ip(first.src)),
            server: Some(server),
        };
        let group = Group {
            times: 1,
            paths: u32::try_from(path).into_iter().collect(),
            clients: vec![first.src],
            servers: vec![server],
            dialled: vec![dialled],
            counts,
            spans: span.into_iter().collect(),
            shown: 1,
            finding,
        };
        join(&mut self.groups, key, group);
    }

    /// The findings, each as short as one.
    pub(super) fn told(self, ctx: Context<'_>, clocks: &Clocks) -> Vec<Told> {
        // A server that nobody reaches, a client that reaches nobody, and a place where all is lost have one story each, not many.
        let groups = blur(self.groups, FEW, |key| Key { client: None, ..key.clone() });
        let groups = blur(groups, FEW, |key| Key { server: None, ..key.clone() });
        let groups = blur(groups, PAIRS, |key| Key { client: None, server: None, ..key.clone() });
        groups.into_iter().map(|(key, group)| tell(ctx, clocks, key, group)).collect()
    }
}

fn join(groups: &mut BTreeMap<Key, Group>, key: Key, group: Group) {
    match groups.get_mut(&key) {
        Some(known) => known.join(group),
        None => {
            groups.insert(key, group);
        }
    }
}

/// Joins those that are one in the eyes of `blurred`, where they are more than so many.
fn blur(groups: BTreeMap<Key, Group>, most: usize, blurred: impl Fn(&Key) -> Key) -> BTreeMap<Key, Group> {
    let mut times: BTreeMap<Key, usize> = BTreeMap::new();
    if groups.len() <= most {
        return groups;
    }
    for key in groups.keys() {
        *times.entry(blurred(key)).or_default() += 1;
    }
    let mut joined = BTreeMap::new();
    for (key, group) in groups {
        let wide = blurred(&key);
        let key = if times.get(&wide).is_some_and(|n| *n > most) { wide } else { key };
        join(&mut joined, key, group);
    }
    joined
}

fn tell(ctx: Context<'_>, clocks: &Clocks, key: Key, group: Group) -> Told {
    let Group { mut finding, times, paths, clients, servers, dialled, counts, spans, shown } = group;
    if times > 1 {
        let clients = order::set(clients.into_iter().map(|ip| (ctx.inv.entity_of_ip(ip), ip)));
        let (servers, dialled) = (order::set(servers.into_iter()), order::set(dialled.into_iter()));
        let noun = if key.protocol == Protocol::Tcp { "connection" } else { "conversation" };
        let server = of_servers(ctx, &servers, key.protocol);
        let by = if dialled == servers || dialled.len() > 1 {
            String::new()
        } else {
            format!(" by {}", of_servers(ctx, &dialled, key.protocol))
        };
        let of = format!("{} of {} → {server}{by}{}", count(times as u64, noun), of_clients(&clients), key.tail);
        let mut words = vec![key.lead.text(counts), of];
        let when = when(clocks, &spans).map_or(String::new(), |w| format!(", {w}"));
        if matches!(key.lead, Lead::Says(_)) {
            words.push(format!("({}{when})", count(counts[0], "packet")));
        } else if let Some(when) = when.strip_prefix(", ") {
            words.push(format!("({when})"));
        }
        finding.summary = words.join(" ");
        if shown < times {
            finding.summary.push_str(&format!("; evidence of {shown} of them"));
        }
        finding.about = order::set(finding.about.into_iter()).into_iter().collect();
    }
    Told { finding, paths }
}

fn of_clients(clients: &BTreeSet<(Id, IpAddr)>) -> String {
    let ids: BTreeSet<&Id> = order::set(clients.iter().map(|c| &c.0));
    match (clients.first(), ids.len()) {
        (Some((id, ip)), 1) if clients.len() == 1 => named(id, *ip, &ip.to_string()),
        (Some((id, _)), 1) => short(id).to_owned(),
        (_, n) => format!("{n} clients"),
    }
}

fn of_servers(ctx: Context<'_>, servers: &BTreeSet<(IpAddr, u16)>, protocol: Protocol) -> String {
    let ips: BTreeSet<IpAddr> = order::set(servers.iter().map(|s| s.0));
    match (servers.first(), ips.len()) {
        (Some((ip, port)), 1) if servers.len() == 1 => named(&ctx.inv.entity_of_ip(*ip), *ip, &address(*ip, *port, protocol)),
        (Some((ip, _)), 1) => format!("{} ports of {}", servers.len(), named(&ctx.inv.entity_of_ip(*ip), *ip, &ip.to_string())),
        (_, n) => format!("{n} addresses"),
    }
}

/// From when on, and for how long: by the capture's own clock, or where there are several by the one that they were compared with.
fn when(clocks: &Clocks, spans: &[(usize, Nanos, Nanos)]) -> Option<String> {
    let is_one = spans.len() == 1;
    let of = |point: &usize| clocks.get(point).filter(|_| !is_one).map_or(0, |(_, offset)| offset.offset_ns);
    let first = spans.iter().map(|(point, first, _)| first.saturating_sub(of(point))).min()?;
    let last = spans.iter().map(|(point, _, last)| last.saturating_sub(of(point))).max()?;
    let lasted = last.saturating_sub(first);
    Some(if lasted < 1_000_000 { format!("at {}", time(first)) } else { format!("from {} for {}", time(first), judge::duration(lasted)) })
}

/// The first and the last packet of a direction where it was first captured.
pub(super) fn span(ctx: Context<'_>, d: &Direction) -> Option<(usize, Nanos, Nanos)> {
    let sightings = d.hops.iter().find(|h| h.observed()).into_iter().flat_map(|h: &Hop| &h.sightings);
    let mut span: Option<(usize, Nanos, Nanos)> = None;
    for s in sightings {
        let Some(stream) = ctx.stream(s) else { continue };
        if stream.first_ns == NO_TIME || stream.last_ns == NO_TIME || span.is_some_and(|known| known.0 != s.point) {
            continue;
        }
        let (first, last) =
            span.map_or((stream.first_ns, stream.last_ns), |known| (known.1.min(stream.first_ns), known.2.max(stream.last_ns)));
        span = Some((s.point, first, last));
    }
    span
}
