//! Connections that a proxy ended and continued by others: a load balancer of layer 7, a classic one, an ingress, a sidecar.
//! Knows what connections say ([`crate::content`]) and when; must not take two requests that are merely alike for one.
//!
//! No packet crosses a proxy, so nothing here is an identity. For each message of a connection behind (`back`), every connection in
//! front that may have caused it (`front`) is weighed; they compete for it, and one must win.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use rustc_hash::FxHashMap;

use super::judge::{Clocks, translate};
use super::{Context, Leg, Path, Paths};
use crate::confidence::{self, relay as weight};
use crate::content::{Accepted, Mark, Marked};
use crate::correlate::flows::{Flow, Sighting};
use crate::digest::{NO_TIME, Tuple};
use crate::evidence::{Book, Ev, Place};
use crate::identify::inventory::Id;
use crate::identify::place::Capture;
use crate::model::{Nanos, Protocol};
use crate::order::{self, Grouped};
use crate::report::Way;

/// One connection continued by another.
#[derive(Clone, Debug)]
pub struct Relay {
    /// Index of the path that the proxy ends.
    pub front: usize,
    /// Index of the path that it opens.
    pub back: usize,
    /// The proxy.
    pub through: Id,
    /// How sure.
    pub p: f64,
    /// Why.
    pub ev: Vec<Ev>,
}

/// A client that a proxy names, whether its connection was captured or not.
#[derive(Clone, Debug)]
pub struct Named {
    /// Index of the path that says so.
    pub back: usize,
    /// The client's address.
    pub client: IpAddr,
    /// The header.
    pub ev: Ev,
}

/// What was found of proxies.
#[derive(Clone, Debug, Default)]
pub struct Relays {
    /// By front, then back.
    pub relays: Vec<Relay>,
    /// By path.
    pub named: Vec<Named>,
    /// Messages that several connections may have caused; dropped, not guessed.
    pub ambiguous: u64,
}

/// A request, or what else a client says, at the point nearest to the proxy. There is one for each connection, or more.
struct Message {
    path: u32,
    point: u32,
    /// By the point's own clock.
    time: Nanos,
    /// Index of the capture, row.
    frame: (u32, u32),
    short: u64,
    long: u64,
    request: u64,
    /// What few say.
    more: Option<Box<More>>,
}

#[derive(Default)]
struct More {
    traces: Vec<u64>,
    forwarded: Option<IpAddr>,
    proxy: Option<Accepted>,
}

impl Message {
    fn path(&self) -> usize {
        self.path as usize
    }

    fn point(&self) -> usize {
        self.point as usize
    }

    fn forwarded(&self) -> Option<IpAddr> {
        self.more.as_ref()?.forwarded
    }

    fn proxy(&self) -> Option<Accepted> {
        self.more.as_ref()?.proxy
    }

    fn place(&self, ctx: Context<'_>) -> Place {
        let (capture, row) = self.frame;
        Place::frame(ctx.captures.get(capture as usize).map_or(0, |c| c.input), row)
    }
}

/// What a path is to a proxy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It ends there.
    Front,
    /// It begins there.
    Back,
}

/// A front connection as the cause of one message.
struct Candidate {
    front: usize,
    /// Index of the front's own message, if it was seen.
    message: Option<usize>,
    likeness: Likeness,
    odds: f64,
}

/// The best probability of a pair of connections, and what was weighed: number of the message behind, and the candidate.
type Weighed = (f64, Vec<(usize, Candidate)>);

/// What competes for one message behind.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    /// Of all candidates.
    odds: f64,
    /// The best one's.
    best: f64,
    /// The best one's probability.
    surest: f64,
}

/// How much of the message itself is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Likeness {
    None,
    /// The first 24 octets.
    Begins,
    /// Method, target and host.
    Request,
    /// 128 octets, or all.
    Content,
    /// An identifier that is carried along.
    Trace,
}

/// Messages in front that are like one behind: one of each connection.
#[derive(Default)]
struct Alike {
    /// How many times it was begun.
    turn: u32,
    /// For each path, the turn that it was found in, and its place in what was found.
    of: Vec<(u32, u32)>,
    /// Path, likeness, message, distance in time.
    found: Vec<(usize, Likeness, usize, Nanos)>,
}

impl Alike {
    fn begin(&mut self) {
        self.turn += 1;
        self.found.clear();
    }

    /// One more; likenesses never rise from one call to the next.
    fn add(&mut self, front: usize, likeness: Likeness, message: usize, distance: impl Fn() -> Nanos) {
        let Some(of) = self.of.get_mut(front) else { return };
        let known = if of.0 == self.turn { self.found.get_mut(of.1 as usize) } else { None };
        match known {
            None => {
                *of = (self.turn, u32::try_from(self.found.len()).unwrap_or(u32::MAX));
                self.found.push((front, likeness, message, distance()));
            }
            Some(known) if known.1 == likeness => {
                let distance = distance();
                if distance < known.3 {
                    *known = (front, likeness, message, distance);
                }
            }
            Some(_) => {}
        }
    }

    /// By connection.
    fn sorted(&mut self) -> Vec<(usize, Likeness, Option<usize>)> {
        self.found.sort_unstable_by_key(|x| x.0);
        self.found.iter().map(|(front, likeness, message, _)| (*front, *likeness, Some(*message))).collect()
    }
}

/// At most so many connections are weighed for one message: the nearest in time. What more than these would explain is ambiguous anyway.
const MOST: usize = 24;

/// All relays between the paths.
pub fn relays(ctx: Context<'_>, paths: &Paths, clocks: &Clocks, book: &mut Book) -> Relays {
    let marks = Marks::of(ctx);
    // Requests only: answers are alike wherever the same software answers.
    let (mut fronts, mut backs) = (Vec::new(), Vec::new());
    if marks.is_empty() {
        return Relays::default();
    }
    let mut legs = AllLegs::default();
    paths.each(|n, path| {
        legs.push(&path.legs);
        if path.legs.first().is_some_and(|l| l.tuple.protocol == Protocol::Tcp) {
            let n = u32::try_from(n).unwrap_or(u32::MAX);
            messages(ctx, &marks, path, n, Role::Front, &mut fronts);
            messages(ctx, &marks, path, n, Role::Back, &mut backs);
        }
    });
    if backs.is_empty() {
        return Relays::default();
    }
    fronts.shrink_to_fit();
    backs.shrink_to_fit();
    let paths = &legs;
    let mut found = Relays { named: named(ctx, paths, &backs, book), ..Relays::default() };
    let index = Index::of(ctx, paths, &fronts, &backs, clocks);
    let said: BTreeMap<usize, Accepted> = order::map(backs.iter().filter_map(|m| Some((m.path(), m.proxy()?))));
    // What competes: for one message behind, all connections in front; for one message in front, all connections behind.
    // Where thousands of connections say the same, these pairs are far more than packets: they are summed up, and only what can
    // win is kept and looked at again.
    let mut alike = Alike { of: vec![(0, 0); paths.len()], ..Alike::default() };
    let mut for_back = vec![Sum::default(); backs.len()];
    let mut for_front = vec![0.0; fronts.len()];
    let mut likely: BTreeSet<(usize, usize)> = BTreeSet::new();
    for ((back, sum), spoken) in backs.iter().zip(&mut for_back).zip(backs.iter().map(|m| said.get(&m.path()).copied())) {
        for c in index.candidates(ctx, paths, clocks, &fronts, back, spoken, &mut alike) {
            sum.odds += c.odds;
            sum.best = sum.best.max(c.odds);
            if let Some(sum) = c.message.and_then(|m| for_front.get_mut(m)) {
                *sum += c.odds;
            }
            if c.odds >= weight::WORTH_WEIGHING {
                likely.insert((back.path(), c.front));
            }
        }
    }
    let mut pairs: Vec<(usize, Candidate)> = Vec::new();
    let mut for_both: FxHashMap<(usize, usize), f64> = FxHashMap::default();
    for (n, back) in backs.iter().enumerate() {
        if likely.range((back.path(), 0)..=(back.path(), usize::MAX)).next().is_none() {
            continue;
        }
        for c in index.candidates(ctx, paths, clocks, &fronts, back, said.get(&back.path()).copied(), &mut alike) {
            if likely.contains(&(back.path(), c.front)) {
                if let Some(m) = c.message {
                    *for_both.entry((m, back.path())).or_default() += c.odds;
                }
                pairs.push((n, c));
            }
        }
    }
    let mut best: BTreeMap<(usize, usize), Weighed> = BTreeMap::new();
    for (n, c) in pairs {
        let (Some(back), Some(sum)) = (backs.get(n), for_back.get_mut(n)) else { continue };
        let others_in_front = sum.odds - c.odds;
        let others_behind =
            c.message.map_or(0.0, |m| for_front.get(m).copied().unwrap_or(0.0) - for_both.get(&(m, back.path())).copied().unwrap_or(0.0));
        let p = c.odds / (1.0 + c.odds + others_in_front.max(0.0) + others_behind.max(0.0));
        sum.surest = sum.surest.max(p);
        let e = best.entry((c.front, back.path())).or_insert((0.0, Vec::new()));
        e.0 = e.0.max(p);
        e.1.push((n, c));
    }
    found.ambiguous = for_back.iter().filter(|s| s.best > 1.0 && s.surest < confidence::relay::TOLD).count() as u64;
    for ((front, back), (p, mut seen)) in best {
        let p = confidence::round(p.min(confidence::relay::MOST));
        if p < confidence::relay::TOLD {
            continue;
        }
        order::sort_by(&mut seen, |a, b| (b.1.likeness, a.0).cmp(&(a.1.likeness, b.0)));
        let (Some(f), Some(b)) = (paths.get(front), paths.get(back)) else { continue };
        let ev = evidence(ctx, paths, &fronts, &backs, &seen, book);
        let through = proxy_of(ctx, f, b);
        if !ev.is_empty() {
            found.relays.push(Relay { front, back, through, p, ev });
        }
    }
    found
}

/// The marks of each capture, by their streams.
struct Marks<'a>(Vec<(&'a [Marked], Grouped)>);

impl<'a> Marks<'a> {
    fn of(ctx: Context<'a>) -> Self {
        let grouped = |c: &Capture<'a>| {
            let marks = c.digest.marks.as_slice();
            let places = marks.iter().map(|m| c.part_at(m.stream, c.digest.place_of(m.row).unwrap_or(0)));
            (marks, Grouped::new(c.streams(), places))
        };
        Self(ctx.captures.iter().map(grouped).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|(marks, _)| marks.is_empty())
    }

    /// Those of a sighting's stream, in the capture's order.
    fn get(&self, s: &Sighting) -> impl Iterator<Item = &'a Marked> {
        let (marks, places) = self.0.get(s.capture).map_or((&[][..], &[][..]), |(marks, of)| (*marks, of.get(s.stream)));
        places.iter().filter_map(|n| marks.get(*n as usize))
    }

    /// How many.
    fn count(&self, s: &Sighting) -> usize {
        self.0.get(s.capture).map_or(0, |(_, of)| of.get(s.stream).len())
    }
}

/// A path's marked messages, from the point that is nearest to the proxy and has the most of them.
fn messages(ctx: Context<'_>, marks: &Marks<'_>, path: &Path, number: u32, role: Role, out: &mut Vec<Message>) {
    let captured = |l: &&Leg| l.flow.is_some();
    let leg = if role == Role::Front { path.legs.iter().rfind(captured) } else { path.legs.iter().find(captured) };
    let Some((leg, flow)) = leg.and_then(|l| Some((l, ctx.flows.flows.get(l.flow?)?))) else { return };
    let from_client = flow.tuple == leg.tuple;
    let hops = path.direction(Way::Request).map(|d| d.hops.as_slice()).unwrap_or_default();
    let nearness = |point: usize| {
        let at = hops.iter().position(|h| h.sample_point == Some(point)).map_or(0, |n| n + 1);
        if role == Role::Front || at == 0 { at } else { hops.len() + 1 - at }
    };
    // (Sightings are in order of their points.)
    let points = flow.sightings.chunk_by(|a, b| a.point == b.point);
    let mine = |s: &[Sighting]| s.iter().filter(|s| s.forward == from_client).map(|s| marks.count(s)).sum::<usize>();
    let best = points.filter_map(|s| Some((s, s.iter().find(|s| s.forward == from_client)?.point)));
    let best = best.max_by_key(|(s, point)| (mine(s), nearness(*point), std::cmp::Reverse(*point)));
    let Some((sightings, point)) = best else { return };
    let begin = out.len();
    for s in sightings.iter().filter(|s| s.forward == from_client) {
        let Some(capture) = ctx.captures.get(s.capture) else { continue };
        for m in marks.get(s) {
            let frame = (u32::try_from(s.capture).unwrap_or(u32::MAX), m.row);
            // What one packet says comes together.
            let known = out.get(begin..).and_then(|here| here.iter().rposition(|m| m.frame == frame)).map(|at| begin + at);
            let at = known.unwrap_or(out.len());
            if known.is_none() {
                let time = capture.digest.place_of(m.row).map_or(NO_TIME, |place| capture.digest.time_at(place));
                let point = u32::try_from(point).unwrap_or(u32::MAX);
                out.push(Message { path: number, point, time, frame, short: 0, long: 0, request: 0, more: None });
            }
            let Some(message) = out.get_mut(at) else { continue };
            let more = |message: &mut Message, change: &dyn Fn(&mut More)| change(message.more.get_or_insert_default());
            match &m.mark {
                Mark::Content { short, long } => (message.short, message.long) = (*short, *long),
                Mark::Request(hash) => message.request = *hash,
                Mark::Trace(hash) => more(message, &|m| m.traces.push(*hash)),
                Mark::ForwardedFor(ip) => more(message, &|m| m.forwarded = Some(*ip)),
                Mark::Proxy(accepted) => more(message, &|m| m.proxy = Some(**accepted)),
            }
        }
    }
    out.get_mut(begin..).unwrap_or_default().sort_unstable_by_key(|m| m.frame);
}

/// Clients that proxies name in their headers.
fn named(ctx: Context<'_>, paths: &AllLegs, backs: &[Message], book: &mut Book) -> Vec<Named> {
    let mut seen: BTreeSet<(usize, IpAddr)> = BTreeSet::new();
    let mut found = Vec::new();
    for m in backs {
        let by_header = m.proxy().map(|a| (a.src, "PROXY protocol header"));
        let Some((client, header)) = by_header.or(m.forwarded().map(|ip| (ip, "X-Forwarded-For or Forwarded header"))) else { continue };
        let is_own = paths.get(m.path()).is_some_and(|p| p.tuples().any(|t| t.src == client));
        if is_own || !seen.insert((m.path(), client)) {
            continue;
        }
        let statement = format!("a {header} names {client} as the client");
        found.push(Named { back: m.path(), client, ev: book.add("forwarded_for", statement, vec![m.place(ctx)]) });
    }
    found
}

/// All paths' legs.
#[derive(Default)]
struct AllLegs {
    /// Where each path's end.
    ends: Vec<u32>,
    list: Vec<(Tuple, u32)>,
}

impl AllLegs {
    fn push(&mut self, legs: &[Leg]) {
        let flow = |l: &Leg| l.flow.and_then(|f| u32::try_from(f).ok()).unwrap_or(u32::MAX);
        self.list.extend(legs.iter().map(|l| (l.tuple, flow(l))));
        self.ends.push(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
    }

    fn get(&self, path: usize) -> Option<Legs<'_>> {
        let begin = path.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        Some(Legs(self.list.get(begin as usize..*self.ends.get(path)? as usize)?))
    }

    fn iter(&self) -> impl Iterator<Item = Legs<'_>> {
        (0..self.ends.len()).filter_map(|n| self.get(n))
    }

    fn len(&self) -> usize {
        self.ends.len()
    }
}

/// A path's addresses from client to server, and the flow that shows each.
#[derive(Clone, Copy)]
struct Legs<'a>(&'a [(Tuple, u32)]);

impl<'a> Legs<'a> {
    fn tuples(self) -> impl DoubleEndedIterator<Item = Tuple> {
        self.0.iter().map(|l| l.0)
    }

    /// What was captured of it.
    fn flows(self, ctx: Context<'a>) -> impl Iterator<Item = &'a Flow> {
        self.0.iter().filter_map(move |l| ctx.flows.flows.get(l.1 as usize))
    }
}

/// Who talks to a loopback device's address is on the same host.
fn server_of(path: Legs<'_>) -> Option<IpAddr> {
    path.tuples().next_back().map(|t| if t.dst.is_loopback() { t.src } else { t.dst })
}

fn client_of(path: Legs<'_>) -> Option<IpAddr> {
    path.tuples().next().map(|t| if t.src.is_loopback() { t.dst } else { t.src })
}

/// Whoever the inventory says that the back's client or the front's server is.
fn proxy_of(ctx: Context<'_>, front: Legs<'_>, back: Legs<'_>) -> Id {
    let ids: Vec<Id> = [client_of(back), server_of(front)].into_iter().flatten().map(|ip| ctx.inv.entity_of_ip(ip)).collect();
    let known = ids.iter().find(|id| !id.starts_with("unknown:")).or_else(|| ids.first());
    known.cloned().unwrap_or_default()
}

/// What a front message can be found by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    Short(u64),
    Long(u64),
    Request(u64),
    Trace(u64),
}

/// Front connections, by all that a back message may say of them. Lists and not maps: each has as many entries as there are messages.
struct Index {
    /// Message numbers of each key, by time of the reference clock.
    messages: Vec<(Key, u32)>,
    /// When each message was seen by the reference clock.
    times: Vec<Nanos>,
    /// Paths by a source address and port that they have on some leg.
    by_client: FxHashMap<(IpAddr, u16), Vec<usize>>,
    /// Paths by the proxy that they end at and a source address, by their first time.
    by_address: FxHashMap<(Id, IpAddr), Vec<usize>>,
    /// Path, and what one of its messages is, where that was captured far enough.
    contents: Vec<(u32, u64)>,
    /// How many paths have a message of a key, where they are so many that it is nobody's mark.
    commonness: Vec<(Key, u32)>,
    /// Who owns the ends of each path: (client's, server's).
    owners: Vec<(Option<Owner>, Option<Owner>)>,
}

/// The owner of an address, as a number that is the owner's alone, and whether nothing says who that is.
#[derive(Clone, Copy)]
struct Owner {
    number: u32,
    is_nobody: bool,
}

impl Index {
    fn of(ctx: Context<'_>, paths: &AllLegs, fronts: &[Message], backs: &[Message], clocks: &Clocks) -> Self {
        let reference = |m: &Message| clocks.get(&m.point()).map_or(m.time, |c| c.1.first_from_second(m.time));
        let times: Vec<Nanos> = fronts.iter().map(reference).collect();
        let mut holders: Vec<(Key, u32)> = fronts.iter().chain(backs).flat_map(|m| keys(m).map(|key| (key, m.path))).collect();
        holders.sort_unstable();
        holders.dedup();
        // Most of what connections say no other one says: the list to look in has only what several do.
        let several = holders.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1);
        let several: Vec<Key> = several.filter_map(|group| Some(group.first()?.0)).collect();
        let several = &several;
        let keys_of = |(n, m)| keys(m).filter(move |key| several.binary_search(key).is_ok()).map(move |key| (key, n));
        let mut messages: Vec<(Key, u32)> = (0..).zip(fronts).flat_map(keys_of).collect();
        // Only the nearest in time are weighed.
        messages.sort_unstable_by_key(|(key, n)| (*key, times.get(*n as usize).copied(), *n));
        let mut contents: Vec<(u32, u64)> = fronts.iter().chain(backs).filter(|m| m.long != 0).map(|m| (m.path, m.long)).collect();
        contents.sort_unstable();
        contents.dedup();
        let groups = holders.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() as f64 > weight::OWN_CONNECTIONS);
        let commonness = groups.filter_map(|group| Some((group.first()?.0, u32::try_from(group.len()).ok()?))).collect();
        drop(holders);
        let mut numbers: BTreeMap<Id, u32> = BTreeMap::new();
        let mut known: FxHashMap<IpAddr, Owner> = FxHashMap::default();
        let mut owner = |ip: IpAddr| {
            *known.entry(ip).or_insert_with(|| {
                let id = ctx.inv.entity_of_ip(ip);
                let is_nobody = id.starts_with("unknown:") || id.starts_with("external:");
                let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
                Owner { number: *numbers.entry(id).or_insert(next), is_nobody }
            })
        };
        let owners = paths.iter().map(|path| (client_of(path).map(&mut owner), server_of(path).map(&mut owner))).collect();
        // Nobody asks for these but a proxy that names its clients.
        let mut by_client: FxHashMap<(IpAddr, u16), Vec<usize>> = FxHashMap::default();
        let mut by_address: FxHashMap<(Id, IpAddr), Vec<usize>> = FxHashMap::default();
        let names_clients = backs.iter().any(|m| m.more.as_ref().is_some_and(|more| more.forwarded.is_some() || more.proxy.is_some()));
        let mut spans: FxHashMap<usize, Nanos> = FxHashMap::default();
        for (n, path) in paths.iter().enumerate().filter(|_| names_clients) {
            let is_tcp = path.tuples().next().is_some_and(|t| t.protocol == Protocol::Tcp);
            let Some(server) = server_of(path).filter(|_| is_tcp) else { continue };
            spans.extend(span(ctx, path).map(|s| (n, s.1)));
            let ends: BTreeSet<(IpAddr, u16)> = order::set(path.tuples().map(|t| (t.src, t.src_port)));
            for (ip, port) in ends {
                by_client.entry((ip, port)).or_default().push(n);
                by_address.entry((ctx.inv.entity_of_ip(server), ip)).or_default().push(n);
            }
        }
        #[allow(clippy::iter_over_hash_type)]
        for list in by_address.values_mut() {
            list.sort_by_key(|n| (spans.get(n).copied(), *n));
        }
        Self { messages, times, by_client, by_address, contents, commonness, owners }
    }

    /// The long contents of a path's messages, sorted.
    fn said(&self, path: usize) -> &[(u32, u64)] {
        let first = self.contents.partition_point(|c| (c.0 as usize) < path);
        let after = self.contents.partition_point(|c| c.0 as usize <= path);
        self.contents.get(first..after).unwrap_or_default()
    }

    /// Every connection in front that may have caused a message, with its odds.
    #[allow(clippy::too_many_arguments)]
    fn candidates(
        &self,
        ctx: Context<'_>,
        paths: &AllLegs,
        clocks: &Clocks,
        fronts: &[Message],
        back: &Message,
        spoken: Option<Accepted>,
        found: &mut Alike,
    ) -> Vec<Candidate> {
        let Some(path) = paths.get(back.path()) else { return Vec::new() };
        // Front, likeness, message: the most alike, of those the nearest, of those the first.
        found.begin();
        let clock = clocks.get(&back.point());
        let at = |n: &u32| match (fronts.get(*n as usize), self.times.get(*n as usize), clock) {
            (Some(front), Some(reference), Some((own, offset))) if clocks.get(&front.point()).is_some_and(|c| c.0 == *own) => {
                reference.saturating_add(offset.at(*reference))
            }
            (Some(front), ..) => front.time,
            (None, ..) => NO_TIME,
        };
        for key in keys(back) {
            let first = self.messages.partition_point(|m| m.0 < key);
            let list = self.messages.get(first..).unwrap_or_default();
            let list = list.get(..list.partition_point(|m| m.0 == key)).unwrap_or_default();
            let likeness = match key {
                Key::Short(_) => Likeness::Begins,
                Key::Request(_) => Likeness::Request,
                Key::Long(_) => Likeness::Content,
                Key::Trace(_) => Likeness::Trace,
            };
            let middle = list.partition_point(|(_, n)| at(n) < back.time);
            let near = list.get(middle.saturating_sub(MOST)..(middle + MOST).min(list.len())).unwrap_or_default();
            for (_, n) in near {
                let Some(front) = fronts.get(*n as usize).filter(|f| f.path != back.path) else { continue };
                // Two requests that begin alike are two requests.
                if likeness == Likeness::Begins && front.request != back.request {
                    continue;
                }
                found.add(front.path(), likeness, *n as usize, || (at(n) - back.time).abs());
            }
        }
        let mut found = found.sorted();
        let known = found.len();
        if let Some(a) = spoken {
            let there = self.by_client.get(&(a.src, a.src_port)).into_iter().flatten();
            found.extend(there.map(|front| (*front, Likeness::None, None)));
        }
        if let (Some(ip), Some(proxy)) = (back.forwarded(), client_of(path)) {
            let list = self.by_address.get(&(ctx.inv.entity_of_ip(proxy), ip)).map(Vec::as_slice).unwrap_or_default();
            let begun = |n: &usize| {
                let span = paths.get(*n).and_then(|p| span(ctx, p));
                span.is_some_and(|s| translate(s.1, s.0, back.point(), clocks) <= back.time)
            };
            let middle = list.partition_point(|n| begun(n));
            let near = list.get(middle.saturating_sub(MOST)..(middle + MOST).min(list.len())).unwrap_or_default();
            found.extend(near.iter().map(|front| (*front, Likeness::None, None)));
        }
        if found.len() > known {
            found.sort_by_key(|x| x.0);
            found.dedup_by_key(|x| x.0);
        }
        let said = if back.request == 0 && back.long != 0 { self.said(back.path()) } else { &[] };
        let weigh = |(front, likeness, message): (usize, Likeness, Option<usize>)| {
            let there = message.map_or(NO_TIME, |m| at(&u32::try_from(m).unwrap_or(u32::MAX)));
            let message = message.and_then(|m| Some((m, fronts.get(m)?, there)));
            let mut odds = self.odds(ctx, clocks, paths, front, back, message.map(|(_, m, there)| (m, there)), likeness, spoken)?;
            odds *= self.rarity(back, likeness) * weight::OTHER_CONTENT.powi(self.strange(said, front));
            Some(Candidate { front, message: message.map(|m| m.0), likeness, odds })
        };
        found.into_iter().filter(|x| x.0 != back.path()).filter_map(weigh).collect()
    }

    /// What more than two connections say, they may say by themselves.
    fn rarity(&self, back: &Message, likeness: Likeness) -> f64 {
        let key = match likeness {
            Likeness::Begins => Key::Short(back.short),
            Likeness::Request => Key::Request(back.request),
            Likeness::Content => Key::Long(back.long),
            Likeness::None | Likeness::Trace => return 1.0,
        };
        let known = self.commonness.binary_search_by_key(&key, |c| c.0).ok().and_then(|at| self.commonness.get(at));
        known.map_or(1.0, |c| weight::OWN_CONNECTIONS / f64::from(c.1))
    }

    /// Of a protocol that is not HTTP: how many messages behind are not in front. A proxy that does not know it passes on all.
    fn strange(&self, said: &[(u32, u64)], front: usize) -> i32 {
        let known = if said.is_empty() { &[] } else { self.said(front) };
        if known.is_empty() {
            return 0;
        }
        i32::try_from(said.iter().filter(|c| known.binary_search_by_key(&c.1, |k| k.1).is_err()).count().min(3)).unwrap_or(3)
    }

    #[allow(clippy::too_many_arguments)]
    fn odds(
        &self,
        ctx: Context<'_>,
        clocks: &Clocks,
        paths: &AllLegs,
        front: usize,
        back: &Message,
        message: Option<(&Message, Nanos)>,
        likeness: Likeness,
        spoken: Option<Accepted>,
    ) -> Option<f64> {
        let other = paths.get(front)?;
        let mut odds = weight::PRIOR;
        let (a, b) = (self.owners.get(front)?.1?, self.owners.get(back.path())?.0?);
        odds *= match (a.number == b.number, a.is_nobody || b.is_nobody) {
            (true, _) => weight::SAME_PROXY,
            (false, true) => weight::UNKNOWN_PROXY,
            (false, false) => weight::OTHER_PROXY,
        };
        odds *= match likeness {
            Likeness::None => 1.0,
            Likeness::Begins => weight::SAME_BEGINNING,
            Likeness::Request => weight::SAME_REQUEST,
            Likeness::Content => weight::SAME_CONTENT,
            Likeness::Trace => weight::SAME_TRACE,
        };
        let legs = || other.tuples();
        if let Some(said) = spoken {
            let fits = legs().any(|t| (t.src, t.src_port) == (said.src, said.src_port));
            odds *= if fits { weight::PROXY_HEADER } else { weight::OTHER_PROXY_HEADER };
        }
        if let Some(ip) = back.forwarded() {
            odds *= if legs().any(|t| t.src == ip) { weight::FORWARDED_FOR } else { weight::OTHER_FORWARDED_FOR };
        }
        odds *= match message {
            Some((m, there)) => self.in_time(ctx, clocks, m, there, back),
            None => match paths.get(front).and_then(|p| span(ctx, p)) {
                Some((point, first, last)) if back.time != NO_TIME => {
                    let t = translate(back.time, back.point(), point, clocks);
                    let slack = slack(ctx, clocks, point, back.point()).unwrap_or(1_000_000_000);
                    if (first.saturating_sub(slack)..=last.saturating_add(slack)).contains(&t) { 1.0 } else { weight::AGAINST_TIME }
                }
                _ => 1.0,
            },
        };
        Some(odds)
    }

    /// A proxy passes a request on soon after it got it, never before.
    /// `there` is the front message's time by the clock of the other's point.
    fn in_time(&self, ctx: Context<'_>, clocks: &Clocks, front: &Message, there: Nanos, back: &Message) -> f64 {
        if front.time == NO_TIME || back.time == NO_TIME {
            return 1.0;
        }
        let after = back.time - there;
        match slack(ctx, clocks, front.point(), back.point()) {
            Some(slack) if after < -slack => weight::AGAINST_TIME,
            // The likelier the sooner; a slow proxy is still one.
            Some(_) => (weight::AT_ONCE / (1.0 + after.max(0) as f64 / weight::USUAL_DELAY_NS)).max(weight::LATE),
            None if after.abs() < 2_000_000_000 => weight::ABOUT_THEN,
            None => weight::LATE,
        }
    }
}

/// How wrong the difference of two points' times may be; `None`: nothing compares their clocks.
fn slack(ctx: Context<'_>, clocks: &Clocks, p: usize, q: usize) -> Option<Nanos> {
    let host = |id: usize| ctx.points.get(id).and_then(|p| p.owner.as_ref());
    if p == q || (host(p).is_some() && host(p) == host(q)) {
        return Some(1_000);
    }
    let ((a, x), (b, y)) = (clocks.get(&p)?, clocks.get(&q)?);
    (a == b).then(|| x.uncertainty_ns.saturating_add(y.uncertainty_ns))
}

fn keys(m: &Message) -> impl Iterator<Item = Key> {
    let traces = m.more.iter().flat_map(|more| &more.traces).map(|t| Key::Trace(*t));
    let others = [(m.long, Key::Long(m.long)), (m.request, Key::Request(m.request)), (m.short, Key::Short(m.short))];
    traces.chain(others.into_iter().filter(|k| k.0 != 0).map(|k| k.1))
}

/// A path's first and last packet at the point that saw most of it.
fn span(ctx: Context<'_>, path: Legs<'_>) -> Option<(usize, Nanos, Nanos)> {
    let mut spans: BTreeMap<usize, (u64, Nanos, Nanos)> = BTreeMap::new();
    for s in path.flows(ctx).flat_map(|f| &f.sightings) {
        let Some(stream) = ctx.stream(s) else { continue };
        if stream.first_ns == NO_TIME {
            continue;
        }
        let e = spans.entry(s.point).or_insert((0, Nanos::MAX, Nanos::MIN));
        *e = (e.0 + u64::from(stream.packets), e.1.min(stream.first_ns), e.2.max(stream.last_ns));
    }
    spans.into_iter().max_by_key(|(p, s)| (s.0, std::cmp::Reverse(*p))).map(|(p, s)| (p, s.1, s.2))
}

/// One statement for each kind of reason, with the frames of both sides.
fn evidence(
    ctx: Context<'_>,
    paths: &AllLegs,
    fronts: &[Message],
    backs: &[Message],
    seen: &[(usize, Candidate)],
    book: &mut Book,
) -> Vec<Ev> {
    let mut ev = Vec::new();
    let mut told: BTreeSet<Likeness> = BTreeSet::new();
    let mut header = false;
    for (n, c) in seen {
        let (Some(back), Some(front_path)) = (backs.get(*n), paths.get(c.front)) else { continue };
        if let Some(front) = c.message.and_then(|m| fronts.get(m)).filter(|_| told.insert(c.likeness)) {
            let what = match c.likeness {
                Likeness::Trace => "the same trace identifier",
                Likeness::Content => "the same content",
                Likeness::Request => "a request of the same method, target and host",
                Likeness::Begins | Likeness::None => "a message of the same first 24 octets",
            };
            let (Some(a), Some(b)) = (tuple_at(ctx, front), tuple_at(ctx, back)) else { continue };
            let statement = format!("{what} goes {} and {}", ends(a), ends(b));
            ev.push(book.add("relayed", statement, vec![front.place(ctx), back.place(ctx)]));
        }
        let says = back.proxy().map(|a| a.src).or(back.forwarded());
        let Some(client) = says.filter(|ip| !header && front_path.tuples().any(|t| t.src == *ip)) else { continue };
        header = true;
        let name = if back.proxy().is_some() { "PROXY protocol header" } else { "X-Forwarded-For or Forwarded header" };
        ev.push(book.add("forwarded_for", format!("a {name} names {client} as the client"), vec![back.place(ctx)]));
    }
    // At least one frame of each side.
    if !seen.iter().any(|(_, c)| c.message.is_some())
        && let Some((front, _)) = seen.first().map(|(n, c)| (c.front, n))
        && let Some(s) = paths.get(front).and_then(|p| p.flows(ctx).find_map(|f| f.sightings.first()))
        && let Some((capture, stream)) = ctx.captures.get(s.capture).and_then(|c| Some((c, c.stream(s.stream)?)))
        && let Some(t) = stream.key.flow
    {
        ev.push(book.add("seen", format!("{} was captured", ends(t)), vec![Place::frame(capture.input, stream.first_row)]));
    }
    ev
}

/// The tuple that a message's frame has.
fn tuple_at(ctx: Context<'_>, m: &Message) -> Option<Tuple> {
    let capture = ctx.captures.get(m.frame.0 as usize)?;
    let row = capture.digest.row(m.frame.1)?;
    capture.digest.streams.get(row.stream as usize)?.key.flow
}

fn ends(t: Tuple) -> String {
    format!("{} → {}", SocketAddr::new(t.src, t.src_port), SocketAddr::new(t.dst, t.dst_port))
}
