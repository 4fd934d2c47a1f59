//! The report as the page asks about it: rows of lists, one path, one entity, with everything named for a person.
//! Knows the report and how people name things; must not know files or messages. What a person reads here is inert (`escape::inert`).

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher as _};

use hopscope::model::Locator;
use hopscope::packed::{PackedReport, PathHead};
use hopscope::report::{DirectionPath, Entity, EntityKind, Evidence, Finding, Flow, FlowEnd, Hop, Path, Report, Severity, Source, Verdict};
use hopscope::views::escape::inert;
use hopscope::views::layout::{Picture, Selection, layout};
use hopscope::views::pairs::{Pair, pairs};
use hopscope::views::{hop_filter, words};

use crate::protocol::{
    About, Answer, Continued, Conversation, Detail, EntityDetail, FindingRow, HopLabel, List, Name, Order, Overview, PairRow, Place,
    Placed, Statement,
};

/// Findings that the page gets with the report; it asks for more when they are wanted.
const WORST: usize = 50;
/// Interfaces offered as a capture's place; of more, a person types the name.
const MOST_INTERFACES: usize = 2000;
/// Of what a VPC or a node contains, so much is listed.
const MOST_INSIDE: usize = 200;
/// Conversations that lead away from a finding of many alike.
const MOST_CHIPS: usize = 4;
/// And so many of the entities.
const MOST_ABOUT: usize = 12;
/// Pairs of who talks to whom, the most troubled.
const MOST_PAIRS: usize = 200;
/// Of more paths than these, the map draws one for each way through the network.
const MOST_MAPPED: usize = 20_000;
/// To find one path's row so many others are stepped over: of fewer than one in so many, each is looked up.
const STEPPED_OVER: usize = 32;
/// Names offered for what a person types.
const MOST_NAMES: usize = 30;

/// A report with its look-ups, each made once. Of a conversation they hold a few octets: there may be a million.
#[derive(Default)]
pub struct Shown {
    pub report: PackedReport,
    /// Indexes of the entities, by their ids.
    entities: Vec<u32>,
    /// One for each path, in the report's order.
    rows: Vec<Row>,
    /// The hash of a key without its number, and the indexes of the paths that have it: in order.
    by_key: Vec<(u64, u32)>,
    /// Indexes of findings, the most severe first.
    worst_first: Vec<u32>,
    /// Indexes of paths, in order, and of the findings that are told of them, the most severe first.
    told: Vec<(u32, u32)>,
    /// The rows of the list that was asked for last.
    list: RefCell<Option<(List, Vec<u32>)>>,
    /// Where each path stands in order of its client and of its server, once either was asked for: to make them, every path is read.
    by_end: RefCell<[Vec<u32>; 2]>,
}

/// By which the most severe finding comes first.
type Worst = (std::cmp::Reverse<Severity>, u32);

/// What lists are sorted by without reading the path.
struct Row {
    packets: u64,
    verdict: Verdict,
    /// Which of those with the same key this is, from 1.
    times: u32,
}

impl Shown {
    /// Makes the look-ups.
    pub fn new(report: PackedReport) -> Self {
        let mut entities: Vec<u32> = (0..report.head.entities.len() as u32).collect();
        entities.sort_by_key(|i| report.head.entities.get(*i as usize).map(|e| &e.id));
        let mut rows: Vec<Row> = Vec::with_capacity(report.paths.len());
        let mut by_key: Vec<(u64, u32)> = Vec::with_capacity(report.paths.len());
        for (i, path) in (0..).zip(report.heads()) {
            by_key.push((hash(&key_of(&path.flow)), i));
            rows.push(Row { packets: path.packets, verdict: path.verdict(), times: 1 });
        }
        by_key.sort_unstable();
        for same in by_key.chunk_by(|a, b| a.0 == b.0) {
            for (times, (_, i)) in (1..).zip(same) {
                if let Some(row) = rows.get_mut(*i as usize) {
                    row.times = times;
                }
            }
        }
        let (worst_first, told) = (Vec::new(), Vec::new());
        let (list, by_end) = (RefCell::default(), RefCell::default());
        let mut shown = Self { report, entities, rows, by_key, worst_first, told, list, by_end };
        let mut worst_first: Vec<Worst> = Vec::with_capacity(shown.report.findings.len());
        let mut told: Vec<(u32, Worst)> = Vec::new();
        for (i, f) in (0..).zip(shown.report.findings.iter()) {
            let worst = (std::cmp::Reverse(f.severity), i);
            worst_first.push(worst);
            told.extend(f.paths.iter().filter_map(|id| Some((shown.index_of(id)?, worst))));
        }
        worst_first.sort_unstable();
        told.sort_unstable();
        shown.worst_first = worst_first.into_iter().map(|worst| worst.1).collect();
        shown.told = told.into_iter().map(|(path, worst)| (path, worst.1)).collect();
        shown
    }

    /// What the page always shows.
    pub fn overview(&self) -> Overview {
        let points = self.report.head.capture_points.iter();
        let interfaces = self.report.head.entities.iter().filter(|e| e.kind == EntityKind::Interface).take(MOST_INTERFACES);
        let mut interfaces: Vec<Name> = interfaces.map(|e| self.name(&e.id)).collect();
        interfaces.sort_by(|a, b| a.label.cmp(&b.label));
        Overview {
            inputs: self.report.head.inputs.clone(),
            points: points.map(|p| Placed { point: p.clone(), at: p.at.as_deref().map(|id| self.name(id)) }).collect(),
            conversations: self.rows.len() as u32,
            findings: self.report.findings.len() as u32,
            worst: self.findings(0, WORST as u32),
            interfaces,
            sampled: self.report.head.sampling.as_ref().map(words::sampling),
            left_out: words::left_out(&self.report.head.ambiguous),
        }
    }

    /// Findings from the `first` on, the most severe first.
    pub fn findings(&self, first: u32, count: u32) -> Vec<FindingRow> {
        self.worst_first.iter().skip(first as usize).take(count as usize).filter_map(|i| self.finding(*i)).collect()
    }

    fn finding(&self, index: u32) -> Option<FindingRow> {
        let f = self.report.finding_at(index as usize)?;
        let about = f.paths.iter().take(MOST_CHIPS).chain(f.about.iter().take(MOST_ABOUT)).map(|id| self.about(id)).collect();
        let (summary, next_step) = (self.sentence(&f.summary), f.next_step.as_deref().map(|text| self.sentence(text)));
        Some(FindingRow { finding: Finding { summary, next_step, ..f }, about })
    }

    /// A sentence of the report, with nodes called as everywhere on the page.
    fn sentence(&self, text: &str) -> String {
        words::with_names(&inert(text), |name| {
            let id = format!("node:{name}");
            self.entity_of(&id).map(|_| self.host(&id))
        })
    }

    fn about(&self, id: &str) -> About {
        match self.index_of(id).and_then(|i| self.conversation(i)) {
            Some(c) => About::Conversation { key: c.key, label: format!("{} → {}", c.client, c.server) },
            None => About::Entity(self.name(id)),
        }
    }

    /// Rows of a list from the `first` on.
    pub fn rows(&self, list: &List, first: u32, count: u32) -> Answer {
        self.with_list(list, |indexes| {
            let some = indexes.iter().skip(first as usize).take(count as usize);
            let rows = some.filter_map(|i| self.conversation(*i)).collect();
            Answer::Rows { total: indexes.len() as u32, first, rows }
        })
    }

    /// The row that stands `by` rows after that of the conversation `key`, and where; the first if that is not in the list.
    /// With `by` 0 that conversation itself, in the list or not.
    pub fn step(&self, list: &List, key: Option<&str>, by: i32) -> Option<(Option<u32>, Conversation)> {
        let from = key.and_then(|k| self.index_of_key(k));
        self.with_list(list, |indexes| {
            let position = from.and_then(|from| indexes.iter().position(|i| *i == from));
            let (position, index) = match (position, from) {
                (None, Some(from)) if by == 0 => (None, from),
                _ => {
                    let last = indexes.len().checked_sub(1)?;
                    let next = position.map_or(0, |p| p.saturating_add_signed(by as isize)).min(last);
                    (Some(next as u32), *indexes.get(next)?)
                }
            };
            Some((position, self.conversation(index)?))
        })
    }

    fn with_list<T>(&self, list: &List, look: impl FnOnce(&[u32]) -> T) -> T {
        let mut last = self.list.borrow_mut();
        let (_, indexes) = match last.take() {
            Some(same) if same.0 == *list => last.insert(same),
            other => last.insert((list.clone(), self.sorted(list, other))),
        };
        look(indexes)
    }

    /// The rows of a list; `last` is the one before. Whoever types on, or asks for another order, asks for some of the rows of that one: no
    /// others are read.
    fn sorted(&self, list: &List, last: Option<(List, Vec<u32>)>) -> Vec<u32> {
        let filter = list.filter.to_lowercase();
        let words: Vec<&str> = filter.split_whitespace().collect();
        let narrowed = last.filter(|(old, _)| old.through == list.through && filter.starts_with(&old.filter.to_lowercase()));
        let is_filtered = words.is_empty() || narrowed.as_ref().is_some_and(|(old, _)| old.filter == list.filter);
        let is_within = narrowed.is_some();
        let mut indexes: Vec<u32> = match narrowed {
            Some((_, mut found)) => {
                found.sort_unstable();
                found
            }
            None => (0..self.rows.len() as u32).collect(),
        };
        if !is_filtered {
            let fits = |path: PathHead, row: &Row| {
                let haystack = self.haystack(path, row);
                words.iter().all(|word| haystack.contains(word))
            };
            if indexes.len() < self.rows.len() / STEPPED_OVER {
                indexes.retain(|i| self.report.head_at(*i as usize).zip(self.rows.get(*i as usize)).is_some_and(|(p, row)| fits(p, row)));
            } else {
                let mut kept = indexes.iter().copied().peekable();
                let heads = (0..).zip(self.report.heads().zip(&self.rows));
                let found = heads.filter(|(i, _)| kept.next_if_eq(i).is_some()).filter_map(|(i, (path, row))| fits(path, row).then_some(i));
                indexes = found.collect();
            }
        }
        if let Some(name) = list.through.as_ref().filter(|_| !is_within) {
            let within = self.within(&name.id);
            indexes.retain(|i| self.report.paths.get(*i as usize).is_some_and(|path| passes(&path, &within)));
        }
        let of = |i: &u32| self.rows.get(*i as usize);
        match list.order {
            Order::Report => {}
            Order::Trouble => indexes.sort_by_key(|i| {
                of(i).map(|c| match c.verdict {
                    Verdict::Lost => 0,
                    Verdict::Rejected => 1,
                    // A flow that one capture has a part of is no trouble yet.
                    Verdict::Unknown | Verdict::Delivered => 2,
                })
            }),
            Order::Packets => indexes.sort_by_key(|i| of(i).map(|c| std::cmp::Reverse(c.packets))),
            Order::Client => self.sort_by_end(&mut indexes, 0),
            Order::Server => self.sort_by_end(&mut indexes, 1),
        }
        indexes
    }

    /// By clients (0) or servers (1), as a person reads them.
    fn sort_by_end(&self, indexes: &mut [u32], end: usize) {
        let mut by_end = self.by_end.borrow_mut();
        let Some(places) = by_end.get_mut(end) else { return };
        if places.len() != self.rows.len() {
            let label = |path: PathHead| self.end(if end == 0 { &path.flow.client } else { &path.flow.server });
            let mut order: Vec<(String, u32)> = self.report.heads().map(label).zip(0..).collect();
            order.sort_unstable();
            places.resize(order.len(), 0);
            for (place, (_, path)) in (0..).zip(order) {
                if let Some(slot) = places.get_mut(path as usize) {
                    *slot = place;
                }
            }
        }
        indexes.sort_unstable_by_key(|i| places.get(*i as usize));
    }

    /// An entity and all that stands in it, however deep.
    fn within<'a>(&'a self, id: &'a str) -> BTreeSet<&'a str> {
        let mut within = BTreeSet::from([id]);
        loop {
            let before = within.len();
            let inside = self.report.head.entities.iter().filter(|e| e.parent.as_deref().is_some_and(|parent| within.contains(parent)));
            let inside: Vec<&str> = inside.map(|e| e.id.as_str()).collect();
            within.extend(inside);
            if within.len() == before {
                return within;
            }
        }
    }

    /// The conversation `key`, else the path `id`, else the one that a list begins with, with all that its table shows.
    pub fn path(&self, key: Option<&str>, id: Option<&str>) -> Option<Detail> {
        let asked = key.and_then(|k| self.index_of_key(k)).or_else(|| id.and_then(|id| self.index_of(id)));
        let index = match asked {
            Some(index) => index,
            None => self.with_list(&List::default(), |indexes| indexes.first().copied())?,
        };
        let (path, conversation) = (self.report.paths.get(index as usize)?, self.conversation(index)?);
        let ids: BTreeSet<&String> = path
            .directions
            .iter()
            .flat_map(DirectionPath::all_hops)
            .flat_map(|hop| std::iter::once(&hop.owner).chain(&hop.interface))
            .collect();
        let label = |hop: &Hop| HopLabel { owner: self.host(&hop.owner), interface: self.part(hop), filter: hop_filter(&path, hop) };
        let relays = path.relays.iter().map(|r| Continued {
            other: self.about(&r.path),
            through: self.name(&r.through),
            side: r.side,
            confidence: r.confidence,
            evidence: r.evidence.clone(),
        });
        let from = self.told.partition_point(|t| t.0 < index);
        let told = self.told.iter().skip(from).take_while(|t| t.0 == index);
        let is_other = |about: &About| !matches!(about, About::Conversation { key, .. } if *key == conversation.key);
        let of_it = |row: FindingRow| FindingRow { about: row.about.into_iter().filter(is_other).collect(), ..row };
        let findings = told.filter_map(|t| self.finding(t.1)).map(of_it).collect();
        let mut part = Report::default();
        self.add(path.clone(), &mut part);
        let book = words::Book::new(&part);
        let outcomes = path.directions.iter().map(|d| book.verdict(d)).collect();
        Some(Detail {
            conversation,
            outcomes,
            findings,
            labels: path.directions.iter().map(|d| d.all_hops().map(label).collect()).collect(),
            names: ids.into_iter().map(|id| self.name(id)).collect(),
            relays: relays.collect(),
            directions: path.directions,
        })
    }

    /// What of its owner a hop is: the interface, or the subnet that a VPC's router is seen from.
    fn part(&self, hop: &Hop) -> Option<String> {
        let interface = hop.interface.as_deref().map(|i| self.short(i));
        interface.or_else(|| hop.owner.strip_prefix("router:").map(inert)).filter(|part| *part != self.short(&hop.owner))
    }

    /// The picture of one path.
    pub fn picture(&self, id: &str) -> Picture {
        let mut part = Report { sampling: self.report.head.sampling, ..Report::default() };
        if let Some(path) = self.report.path_of(id) {
            self.add(path, &mut part);
        }
        layout(&part, &Selection::path(id))
    }

    /// Adds a path, and what a picture says of its hops.
    fn add(&self, path: Path, part: &mut Report) {
        let head = &self.report.head;
        if part.capture_points.is_empty() {
            (part.inputs, part.capture_points) = (head.inputs.clone(), head.capture_points.clone());
            // A node's name is cut where no other node's is alike.
            part.entities = head.entities.iter().filter(|e| e.kind == EntityKind::Node).cloned().collect();
        }
        let mut known: BTreeSet<String> = part.entities.iter().map(|e| e.id.clone()).collect();
        let hops =
            path.directions.iter().flat_map(DirectionPath::all_hops).flat_map(|hop| std::iter::once(&hop.owner).chain(&hop.interface));
        let ends = [Some(&path.flow.client), Some(&path.flow.server), path.flow.via.as_ref()];
        let mut wanted: Vec<&str> =
            hops.map(String::as_str).chain(ends.into_iter().flatten().filter_map(|e| e.entity.as_deref())).collect();
        wanted.extend(part.entities.iter().filter_map(|e| self.entity_of(&e.id)?.parent.as_deref()));
        while let Some(id) = wanted.pop() {
            let Some(entity) = self.entity_of(id).filter(|e| known.insert(e.id.clone())) else { continue };
            wanted.extend(entity.parent.as_deref());
            part.entities.push(entity.clone());
        }
        part.paths.push(path);
    }

    /// All paths in one picture.
    ///
    /// # Errors
    /// There are too many ways through the network for one picture, for a person.
    pub fn map(&self) -> Result<Picture, String> {
        let head = &self.report.head;
        let paths = self.by_route().ok_or_else(|| {
            format!(
                "These {} conversations take more than {MOST_MAPPED} ways through the network, which is too much for one picture: filter the list, or choose one of them.",
                self.rows.len()
            )
        })?;
        let entities = head.entities.clone();
        let part = Report {
            paths,
            entities,
            inputs: head.inputs.clone(),
            capture_points: head.capture_points.clone(),
            sampling: head.sampling,
            ..Report::default()
        };
        Ok(layout(&part, &Selection::all()))
    }

    /// Who talks to whom: the first of all pairs, and how many there are.
    pub fn pairs(&self) -> (Vec<PairRow>, u32) {
        let all = pairs(self.report.heads());
        let total = all.len() as u32;
        let row = |p: Pair| {
            let (client, server) = (self.end(&p.client), self.end(&p.server));
            // Words that the list finds its conversations by: an address is told from a longer one by what stands behind it.
            let opener = match client.split_once(" (") {
                Some((name, _)) => name.to_owned(),
                None => p.server.port.map_or(client.clone(), |_| socket(&client, Some(0)).trim_end_matches('0').to_owned()),
            };
            let end = server.rsplit_once(" (").map_or(server.as_str(), |(_, address)| address);
            PairRow {
                filter: format!("{opener} {end} {}", p.protocol),
                client,
                server,
                via: p.via.as_ref().map(|via| self.end(via)),
                counts: [p.conversations, p.lost, p.rejected, p.unknown, p.delivered(), p.packets],
                protocol: p.protocol,
            }
        };
        (all.into_iter().take(MOST_PAIRS).map(row).collect(), total)
    }

    /// One entity with what it stands in and what stands in it.
    ///
    /// # Errors
    /// There is no such entity, for a person.
    pub fn entity(&self, id: &str) -> Result<EntityDetail, String> {
        let entity = self.entity_of(id).ok_or_else(|| format!("the report has no {id} any more"))?;
        let mut inside: Vec<&str> = Vec::new();
        let mut next = entity.parent.as_deref();
        while let Some(id) = next.filter(|id| !inside.contains(id)) {
            inside.push(id);
            next = self.entity_of(id).and_then(|e| e.parent.as_deref());
        }
        let mut held = self.report.head.entities.iter().filter(|e| e.parent.as_deref() == Some(id));
        let contains = held.by_ref().take(MOST_INSIDE).map(|e| self.name(&e.id)).collect();
        Ok(EntityDetail {
            entity: Entity {
                name: inert(&entity.name),
                aliases: entity.aliases.iter().map(|alias| inert(alias)).collect(),
                ..entity.clone()
            },
            inside: inside.into_iter().map(|id| self.name(id)).collect(),
            contains,
            more: held.count() as u32,
            evidence: self.evidence(&entity.evidence),
        })
    }

    /// Evidence by id, in the report's order.
    pub fn evidence(&self, ids: &[String]) -> Vec<Statement> {
        // e2 before e10.
        let ids: BTreeSet<(usize, &String)> = ids.iter().map(|id| (id.len(), id)).collect();
        ids.into_iter().filter_map(|(_, id)| self.report.evidence_of(id)).map(|e| statement(&e)).collect()
    }

    /// Entities whose id or name contains this.
    pub fn names(&self, like: &str) -> Vec<Name> {
        let like = like.trim().to_lowercase();
        let fits = |e: &&Entity| e.id.to_lowercase().contains(&like) || e.name.to_lowercase().contains(&like);
        self.report.head.entities.iter().filter(fits).take(MOST_NAMES).map(|e| self.name(&e.id)).collect()
    }

    /// Of many paths, one for each way through the network: on the map they lie on one another. `None`: these are too many as well.
    fn by_route(&self) -> Option<Vec<Path>> {
        if self.rows.len() <= MOST_MAPPED {
            return Some(self.report.paths.iter().collect());
        }
        let mut routes: BTreeSet<u64> = BTreeSet::new();
        let route = |path: &Path| {
            let hop = |hop: &Hop| (hop.owner.clone(), hop.interface.clone(), hop.observed);
            let of = |d: &DirectionPath| (d.direction as u8, d.lost_after, d.verdict as u8, d.all_hops().map(hop).collect::<Vec<_>>());
            hash(&path.directions.iter().map(of).collect::<Vec<_>>())
        };
        // Laid out, a million of them would be more than a worker may hold.
        let one_each: Vec<Path> = self.report.paths.iter().filter(|path| routes.insert(route(path))).take(MOST_MAPPED + 1).collect();
        (one_each.len() <= MOST_MAPPED).then_some(one_each)
    }

    /// Index of the path with an id.
    fn index_of(&self, id: &str) -> Option<u32> {
        let usual = id.strip_prefix('p').and_then(|n| n.parse::<u32>().ok()).and_then(|n| n.checked_sub(1));
        let has = |i: &u32| self.report.head_at(*i as usize).is_some_and(|path| path.id == id);
        // The engine numbers them in the report's order; another's report may do otherwise.
        usual
            .filter(has)
            .or_else(|| if id.starts_with('p') { (0..).zip(self.report.heads()).find(|(_, p)| p.id == id).map(|f| f.0) } else { None })
    }

    /// Index of the path with a key.
    fn index_of_key(&self, key: &str) -> Option<u32> {
        let (base, times) = key.rsplit_once(" #").and_then(|(base, n)| Some((base, n.parse::<usize>().ok()?))).unwrap_or((key, 1));
        let hash = hash(&base.to_owned());
        let first = self.by_key.partition_point(|k| k.0 < hash);
        let index = self.by_key.get(first.checked_add(times.checked_sub(1)?)?).filter(|k| k.0 == hash)?.1;
        Some(index)
    }

    fn conversation(&self, index: u32) -> Option<Conversation> {
        let (path, row) = (self.report.head_at(index as usize)?, self.rows.get(index as usize)?);
        let (client, server) = (self.end(&path.flow.client), self.end(&path.flow.server));
        let via = path.flow.via.as_ref().map(|via| self.end(via));
        Some(Conversation {
            key: numbered(key_of(&path.flow), row.times),
            id: path.id,
            protocol: path.flow.protocol,
            client,
            server,
            via,
            packets: path.packets,
            bytes: path.bytes,
            hops: path.directions.iter().map(|d| d.1).max().unwrap_or(0),
            verdict: row.verdict,
        })
    }

    /// Lower case; what the filter looks through.
    fn haystack(&self, path: PathHead, row: &Row) -> String {
        let flow = &path.flow;
        let (client, server) = (self.end(&flow.client), self.end(&flow.server));
        let via = flow.via.as_ref().map(|via| self.end(via)).unwrap_or_default();
        let key = numbered(key_of(flow), row.times);
        format!("{} {key} {client} {server} {via} {:?}", path.id, row.verdict).to_lowercase()
    }

    fn entity_of(&self, id: &str) -> Option<&Entity> {
        let of = |i: &u32| self.report.head.entities.get(*i as usize);
        let at = self.entities.binary_search_by(|i| of(i).map(|e| e.id.as_str()).cmp(&Some(id))).ok()?;
        of(self.entities.get(at)?)
    }

    /// As a person reads it; an interface without its owner.
    fn short(&self, id: &str) -> String {
        match self.entity_of(id) {
            Some(entity) if !entity.name.is_empty() => inert(&entity.name),
            _ => inert(id.split_once(':').map_or(id, |(_, rest)| rest)),
        }
    }

    /// With its kind; an interface's label with its owner.
    fn name(&self, id: &str) -> Name {
        let entity = self.entity_of(id);
        let label = match entity {
            Some(Entity { kind: EntityKind::Interface, parent: Some(parent), .. }) => format!("{} {}", self.host(parent), self.short(id)),
            Some(Entity { kind: EntityKind::Node, .. }) => self.host(id),
            // Each subnet sees a router of its own, and all of them have one name.
            Some(Entity { kind: EntityKind::VpcRouter, .. }) => {
                let short = self.short(id);
                id.strip_prefix("router:").filter(|at| *at != short).map_or(short.clone(), |at| format!("{short}, {at}"))
            }
            _ => self.short(id),
        };
        Name { id: id.to_owned(), kind: entity.map_or(EntityKind::Unknown, |e| e.kind), label }
    }

    /// A node without its domain, which all nodes of a cluster share; anything else by its name.
    fn host(&self, id: &str) -> String {
        let short = self.short(id);
        let is_node = self.entity_of(id).is_some_and(|e| e.kind == EntityKind::Node);
        match short.split_once('.') {
            Some((host, _)) if is_node && host.chars().any(char::is_alphabetic) => host.to_owned(),
            _ => short,
        }
    }

    fn end(&self, end: &FlowEnd) -> String {
        let socket = socket(&end.ip, end.port);
        match end.entity.as_deref().map(|id| self.host(id)) {
            Some(name) if name != end.ip => format!("{name} ({socket})"),
            _ => socket,
        }
    }
}

fn statement(e: &Evidence) -> Statement {
    let place = |s: &Source| Place {
        input: s.input.clone(),
        at: s.frame.map(Locator::Frame).or_else(|| s.pointer.clone().map(Locator::Pointer)).or_else(|| s.line.map(Locator::Line)),
    };
    Statement { id: e.id.clone(), kind: e.kind.clone(), statement: inert(&e.statement), places: e.sources.iter().map(place).collect() }
}

fn socket(ip: &str, port: Option<u16>) -> String {
    match port {
        Some(port) if ip.contains(':') => format!("[{ip}]:{port}"),
        Some(port) => format!("{ip}:{port}"),
        None => ip.to_owned(),
    }
}

/// What a conversation is known by from one report to the next.
fn key_of(flow: &Flow) -> String {
    let end = |e: &FlowEnd| socket(&e.ip, e.port);
    format!("{} {} {} {}", flow.protocol, end(&flow.client), end(&flow.server), flow.via.as_ref().map_or(String::new(), end))
}

/// Where a side's port is not known, several conversations look the same; the report's order tells them apart.
fn numbered(key: String, times: u32) -> String {
    if times > 1 { format!("{key} #{times}") } else { key }
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Whether a conversation begins, ends or has a hop at one of these.
fn passes(path: &Path, these: &BTreeSet<&str>) -> bool {
    let is_one = |id: &Option<String>| id.as_deref().is_some_and(|id| these.contains(id));
    let mut hops = path.directions.iter().flat_map(|d| &d.hops);
    is_one(&path.flow.client.entity)
        || is_one(&path.flow.server.entity)
        || path.flow.via.as_ref().is_some_and(|via| is_one(&via.entity))
        || hops.any(|hop| these.contains(hop.owner.as_str()) || is_one(&hop.interface))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    fn report(packets: &[u64]) -> Report {
        let end = |ip: String, port| FlowEnd { entity: None, ip, port };
        let path = |(i, packets): (usize, &u64)| Path {
            id: format!("p{}", i + 1),
            flow: Flow {
                protocol: "tcp".to_owned(),
                client: end(format!("10.0.0.{i}"), Some(4000)),
                server: end("10.0.9.9".to_owned(), Some(443)),
                via: None,
            },
            packets: *packets,
            bytes: 0,
            directions: vec![DirectionPath {
                verdict: if i == 1 { Verdict::Lost } else { Verdict::Delivered },
                ..DirectionPath::default()
            }],
            relays: Vec::new(),
        };
        Report { paths: packets.iter().enumerate().map(path).collect(), ..Report::default() }
    }

    fn ids(shown: &Shown, filter: &str, order: Order) -> Vec<String> {
        match shown.rows(&List { filter: filter.to_owned(), order, ..List::default() }, 0, 100) {
            Answer::Rows { rows, .. } => rows.into_iter().map(|c| c.id).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn a_pair_leads_to_its_conversations() {
        let shown = Shown::new(report(&[1; 12]).into());
        let (pairs, total) = shown.pairs();
        assert_eq!((pairs.len(), total), (12, 12));
        assert_eq!((pairs[0].client.as_str(), pairs[0].counts), ("10.0.0.1", [1, 1, 0, 0, 0, 1]));
        for pair in pairs {
            assert_eq!(ids(&shown, &pair.filter, Order::Report).len(), 1, "{}", pair.filter);
        }
    }

    #[test]
    fn rows_are_filtered_and_sorted_and_equals_keep_their_order() {
        let shown = Shown::new(report(&[5, 9, 5]).into());
        assert_eq!(ids(&shown, "", Order::Report), ["p1", "p2", "p3"]);
        assert_eq!(ids(&shown, "", Order::Packets), ["p2", "p1", "p3"]);
        assert_eq!(ids(&shown, "", Order::Trouble), ["p2", "p1", "p3"]);
        assert_eq!(shown.path(None, None).map(|d| d.conversation.id).as_deref(), Some("p2"), "trouble is shown without being asked for");
        assert_eq!(ids(&shown, "LOST 10.0.9.9:443", Order::Report), ["p2"]);
        assert_eq!(ids(&shown, "10.0.0.2 lost", Order::Report), [""; 0]);
        // Typed on and taken back, and in another order: what was found before does not show.
        for filter in ["10.0.0.", "10.0.0.1", "10.0.0.", "0.0.", ""] {
            for order in [Order::Client, Order::Packets, Order::Server, Order::Report] {
                let afresh = Shown::new(self::report(&[5, 9, 5]).into());
                assert_eq!(ids(&shown, filter, order), ids(&afresh, filter, order), "{filter} {order:?}");
            }
        }
        match shown.rows(&List::default(), 1, 1) {
            Answer::Rows { total, first, rows } => assert_eq!((total, first, rows.len()), (3, 1, 1)),
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn an_entity_has_the_conversations_that_pass_it_or_what_stands_in_it() {
        let mut report = report(&[1, 1, 1]);
        let entity = |id: &str, parent: Option<&str>| Entity { id: id.to_owned(), parent: parent.map(str::to_owned), ..Entity::default() };
        report.entities = vec![entity("if:pod:p/eth0", Some("pod:p")), entity("pod:p", Some("node:n")), entity("node:n", None)];
        report.paths[0].directions[0].hops = vec![Hop { owner: "pod:p".into(), interface: Some("if:pod:p/eth0".into()), ..Hop::default() }];
        report.paths[1].directions[0].hops = vec![Hop { owner: "node:n".into(), ..Hop::default() }];
        report.paths[2].flow.server.entity = Some("pod:p".into());
        let shown = Shown::new(report.into());
        let through = |id: &str| {
            let name = Name { id: id.to_owned(), kind: EntityKind::Unknown, label: String::new() };
            match shown.rows(&List { through: Some(name), order: Order::Report, ..List::default() }, 0, 100) {
                Answer::Rows { rows, .. } => rows.into_iter().map(|c| c.id).collect::<Vec<_>>(),
                other => unreachable!("{other:?}"),
            }
        };
        assert_eq!(through("if:pod:p/eth0"), ["p1"]);
        assert_eq!(through("pod:p"), ["p1", "p3"]);
        assert_eq!(through("node:n"), ["p1", "p2", "p3"]);
        assert_eq!(through("node:other"), [""; 0]);
    }

    #[test]
    fn a_path_has_what_is_told_of_it_the_most_severe_first() {
        let mut report = report(&[1, 2]);
        let finding = |severity, summary: &str, paths: &[&str]| Finding {
            severity,
            summary: summary.to_owned(),
            paths: paths.iter().map(|p| (*p).to_owned()).collect(),
            ..Finding::default()
        };
        report.findings = vec![
            finding(Severity::Info, "both", &["p1", "p2"]),
            finding(Severity::Warning, "second", &["p2"]),
            finding(Severity::Error, "worst", &["p2"]),
            finding(Severity::Warning, "third", &["p2"]),
            finding(Severity::Error, "of nobody", &[]),
        ];
        let shown = Shown::new(report.into());
        let told = |id: &str| shown.path(None, Some(id)).unwrap().findings.into_iter().map(|row| row.finding.summary).collect::<Vec<_>>();
        assert_eq!(told("p1"), ["both"]);
        assert_eq!(told("p2"), ["worst", "second", "third", "both"]);
        let all: Vec<_> = shown.findings(0, 9).into_iter().map(|row| row.finding.summary).collect();
        assert_eq!(all, ["worst", "of nobody", "second", "third", "both"]);
    }

    #[test]
    fn a_map_has_each_way_once_and_of_too_many_there_is_none() {
        let many = vec![1; MOST_MAPPED + 1];
        let map = |ways: usize| {
            let mut report = report(&many);
            for (n, path) in report.paths.iter_mut().enumerate() {
                path.directions[0].verdict = Verdict::Delivered;
                path.directions[0].hops = vec![Hop { owner: format!("pod:{}", n % ways), observed: true, ..Hop::default() }];
            }
            Shown::new(report.into()).map()
        };
        assert_eq!(map(3).map(|picture| picture.boxes.len()), Ok(3));
        assert!(map(MOST_MAPPED + 1).is_err_and(|why| why.contains("20001 conversations")));
    }

    #[test]
    fn steps_stay_within_the_list() {
        let shown = Shown::new(report(&[5, 9, 5]).into());
        let list = List { order: Order::Packets, ..List::default() };
        let key = |id: &str| shown.index_of(id).and_then(|i| shown.conversation(i)).unwrap().key;
        let step = |from: Option<&str>, by| shown.step(&list, from, by).map(|(at, c)| (at, c.id));
        assert_eq!(step(None, 1), Some((Some(0), "p2".to_owned())));
        assert_eq!(step(Some(&key("p2")), 1), Some((Some(1), "p1".to_owned())));
        assert_eq!(step(Some(&key("p2")), -1), Some((Some(0), "p2".to_owned())));
        assert_eq!(step(Some(&key("p3")), 1), Some((Some(2), "p3".to_owned())));
        let none = List { filter: "nothing has this".to_owned(), ..List::default() };
        assert_eq!(shown.step(&none, None, 1).map(|s| s.0), None);
        assert_eq!(shown.step(&none, Some(&key("p3")), 0).map(|(at, c)| (at, c.id)), Some((None, "p3".to_owned())));
    }
}
