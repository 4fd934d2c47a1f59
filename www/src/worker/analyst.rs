//! Digests → report → answers. Holds what every reader found, recomputes the report when that changes, and keeps the
//! report, so that the page holds only what it shows.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use gloo_timers::future::TimeoutFuture;
use hopscope::analysis::analyze;
use hopscope::ingest::Ingested;
use hopscope::report::{Entity, EntityKind, FlowEnd, Report, Severity, Verdict};
use hopscope::views::layout::{Selection, layout};
use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;
use web_sys::File;

use super::{Out, export, reader, source};
use crate::protocol::{Answer, Conversation, Detail, EntityDetail, FromWorker, Key, Name, Overview, Question};

/// Readings that end this close together make one report.
const QUIET_MS: u32 = 40;
/// While readings keep ending, a report is made at least this often.
const AT_LATEST_MS: f64 = 700.0;

/// The one worker that knows the whole.
pub struct Analyst {
    out: Out,
    state: Rc<RefCell<State>>,
}

#[derive(Default)]
struct State {
    /// Which input each of `found` came from; the same length.
    keys: Vec<Key>,
    found: Vec<Ingested>,
    /// A saved report that was opened; it is shown as it is while nothing else is there to analyse.
    opened: Option<(Key, Report)>,
    report: Rc<Report>,
    /// Counts changes: a timer that finds another number than its own has been overtaken.
    changes: u32,
    waiting_since: Option<f64>,
}

impl Analyst {
    /// With nothing to analyse yet.
    pub fn new(out: Out) -> Self {
        Self { out, state: Rc::default() }
    }

    /// What a reader made of an input; replaces what was there under the same key.
    pub fn add(&mut self, key: Key, buffers: impl Iterator<Item = JsValue>) {
        {
            let mut state = self.state.borrow_mut();
            state.forget(key);
            for buffer in buffers {
                if let Some(one) = Ingested::from_bytes(&Uint8Array::new(&buffer).to_vec()) {
                    state.keys.push(key);
                    state.found.push(one);
                }
            }
        }
        self.changed();
    }

    /// Forgets an input.
    pub fn remove(&mut self, key: Key) {
        self.state.borrow_mut().forget(key);
        self.changed();
    }

    /// Shows a saved report.
    pub fn open(&mut self, key: Key, file: File) {
        let (out, state) = (self.out.clone(), Rc::clone(&self.state));
        spawn_local(async move {
            let bytes = reader::bytes_of(&file, 0.0, file.size()).await.unwrap_or_default();
            match serde_json::from_slice::<Report>(&bytes) {
                Ok(report) => {
                    state.borrow_mut().opened = Some((key, report));
                    make_report(&out, &state);
                }
                Err(e) => {
                    let found = crate::protocol::Found {
                        name: file.name(),
                        kind: "report".to_owned(),
                        status: hopscope::report::Status::Rejected,
                        message: Some(format!("this saved report cannot be read: {e}")),
                    };
                    out.say(&FromWorker::Read { key, found: vec![found] }, &[]);
                }
            }
        });
    }

    fn changed(&mut self) {
        let now = js_sys::Date::now();
        let mine = {
            let mut state = self.state.borrow_mut();
            state.changes = state.changes.wrapping_add(1);
            if now - *state.waiting_since.get_or_insert(now) >= AT_LATEST_MS {
                drop(state);
                return make_report(&self.out, &self.state);
            }
            state.changes
        };
        let (out, state) = (self.out.clone(), Rc::clone(&self.state));
        spawn_local(async move {
            TimeoutFuture::new(QUIET_MS).await;
            if state.borrow().changes == mine {
                make_report(&out, &state);
            }
        });
    }

    /// Answers, soon if a file must be read for it.
    pub fn answer(&mut self, ask: u32, question: Question, file: Option<File>) {
        let report = Rc::clone(&self.state.borrow().report);
        let out = self.out.clone();
        spawn_local(async move {
            let answer = answer(&report, question, file).await.map(Box::new);
            out.say(&FromWorker::Answer { ask, answer }, &[]);
        });
    }
}

impl State {
    fn forget(&mut self, key: Key) {
        let keys = std::mem::take(&mut self.keys);
        let mut kept = keys.iter();
        self.found.retain(|_| kept.next().is_none_or(|k| *k != key));
        self.keys = keys.into_iter().filter(|k| *k != key).collect();
        self.opened.take_if(|(k, _)| *k == key);
    }
}

fn make_report(out: &Out, state: &RefCell<State>) {
    let mut state = state.borrow_mut();
    state.waiting_since = None;
    state.changes = state.changes.wrapping_add(1);
    out.say(&FromWorker::Analysing, &[]);
    let begun = js_sys::Date::now();
    let report = match &state.opened {
        Some((_, report)) if state.found.is_empty() => report.clone(),
        _ => analyze(&state.found),
    };
    let took = js_sys::Date::now() - begun;
    let json = report.to_json().unwrap_or_default();
    let overview = overview(&report);
    state.report = Rc::new(report);
    out.say(&FromWorker::Report { overview: Box::new(overview) }, &[JsValue::from_str(&json), JsValue::from_f64(took)]);
}

/// Looks entities up by id.
struct Index<'a> {
    entities: BTreeMap<&'a str, &'a Entity>,
}

impl<'a> Index<'a> {
    fn new(report: &'a Report) -> Self {
        Self { entities: report.entities.iter().map(|e| (e.id.as_str(), e)).collect() }
    }

    /// As a person reads it; an interface without its owner.
    fn short(&self, id: &str) -> String {
        match self.entities.get(id) {
            Some(entity) if !entity.name.is_empty() => entity.name.clone(),
            _ => id.split_once(':').map_or(id, |(_, rest)| rest).to_owned(),
        }
    }

    /// As a person reads it; an interface with its owner.
    fn label(&self, id: &str) -> String {
        let short = self.short(id);
        match self.entities.get(id) {
            Some(Entity { kind: EntityKind::Interface, parent: Some(parent), .. }) => format!("{} {short}", self.host(parent)),
            Some(Entity { kind: EntityKind::Node, .. }) => self.host(id),
            _ => short,
        }
    }

    /// A node without its domain, which all nodes of a cluster share; anything else by its name.
    fn host(&self, id: &str) -> String {
        let short = self.short(id);
        let is_node = self.entities.get(id).is_some_and(|e| e.kind == EntityKind::Node);
        match short.split_once('.') {
            Some((host, _)) if is_node && host.chars().any(char::is_alphabetic) => host.to_owned(),
            _ => short,
        }
    }

    fn end(&self, end: &FlowEnd) -> String {
        let socket = socket(&end.ip, end.port);
        match end.entity.as_deref().map(|id| self.short(id)) {
            Some(name) if name != end.ip => format!("{name} ({socket})"),
            _ => socket,
        }
    }
}

fn socket(ip: &str, port: Option<u16>) -> String {
    match port {
        Some(port) if ip.contains(':') => format!("[{ip}]:{port}"),
        Some(port) => format!("{ip}:{port}"),
        None => ip.to_owned(),
    }
}

fn overview(report: &Report) -> Overview {
    let index = Index::new(report);
    let mut about: BTreeMap<&str, Severity> = BTreeMap::new();
    for finding in &report.findings {
        for id in &finding.about {
            let worst = about.entry(id).or_insert(finding.severity);
            *worst = (*worst).max(finding.severity);
        }
    }
    let mut times_seen: BTreeMap<String, u32> = BTreeMap::new();
    let conversations = report
        .paths
        .iter()
        .map(|path| {
            let flow = &path.flow;
            let (client, server) = (index.end(&flow.client), index.end(&flow.server));
            let via = flow.via.as_ref().map(|via| index.end(via));
            let end = |e: &FlowEnd| socket(&e.ip, e.port);
            let mut key =
                format!("{} {} {} {}", flow.protocol, end(&flow.client), end(&flow.server), flow.via.as_ref().map_or(String::new(), end));
            // Where a side's port is not known, several conversations look the same; the report's order tells them apart.
            let times = times_seen.entry(key.clone()).or_insert(0);
            *times = times.saturating_add(1);
            if *times > 1 {
                key.push_str(&format!(" #{times}"));
            }
            // A lost or refused direction is what a person must see; else every direction must have arrived.
            let verdicts = || path.directions.iter().map(|d| d.verdict);
            let verdict = if let Some(bad) = verdicts().find(|v| matches!(v, Verdict::Lost | Verdict::Rejected)) {
                bad
            } else if verdicts().all(|v| v == Verdict::Delivered) && !path.directions.is_empty() {
                Verdict::Delivered
            } else {
                Verdict::Unknown
            };
            let haystack =
                format!("{} {} {client} {server} {} {verdict:?}", path.id, key, via.as_deref().unwrap_or_default()).to_lowercase();
            Conversation {
                id: path.id.clone(),
                key,
                protocol: flow.protocol.clone(),
                client,
                server,
                via,
                packets: path.packets,
                bytes: path.bytes,
                hops: path.directions.iter().map(|d| d.hops.len()).max().unwrap_or(0) as u32,
                verdict,
                note: about.get(path.id.as_str()).map(|severity| format!("{severity:?}").to_lowercase()),
                haystack,
            }
        })
        .collect();
    let names = report.entities.iter().map(|e| Name { id: e.id.clone(), kind: e.kind, label: index.label(&e.id) }).collect();
    Overview {
        inputs: report.inputs.clone(),
        points: report.capture_points.clone(),
        conversations,
        findings: report.findings.clone(),
        names,
    }
}

async fn answer(report: &Report, question: Question, file: Option<File>) -> Result<Answer, String> {
    match question {
        Question::Path { id } => {
            let path = report.paths.iter().find(|p| p.id == id).ok_or_else(|| format!("the report has no path {id} any more"))?;
            let index = Index::new(report);
            let mut wanted = BTreeSet::new();
            for hop in path.directions.iter().flat_map(|d| &d.hops) {
                for id in std::iter::once(&hop.owner).chain(&hop.interface) {
                    let mut next = Some(id.as_str());
                    while let Some(id) = next.filter(|id| wanted.insert((*id).to_owned())) {
                        next = index.entities.get(id).and_then(|e| e.parent.as_deref());
                    }
                }
            }
            let labels = path
                .directions
                .iter()
                .map(|d| d.hops.iter().map(|hop| (index.short(&hop.owner), hop.interface.as_deref().map(|i| index.short(i)))).collect());
            Ok(Answer::Path(Detail {
                path: path.clone(),
                entities: report.entities.iter().filter(|e| wanted.contains(&e.id)).cloned().collect(),
                labels: labels.collect(),
            }))
        }
        Question::Picture { id } => Ok(Answer::Picture(layout(report, &Selection::path(&id)))),
        Question::Entity { id } => {
            let index = Index::new(report);
            let entity = *index.entities.get(id.as_str()).ok_or_else(|| format!("the report has no {id} any more"))?;
            let mut inside = Vec::new();
            let mut next = entity.parent.as_deref();
            while let Some(id) = next.filter(|id| !inside.iter().any(|i| i == id)) {
                inside.push(id.to_owned());
                next = index.entities.get(id).and_then(|e| e.parent.as_deref());
            }
            let contains = report.entities.iter().filter(|e| e.parent.as_deref() == Some(id.as_str())).map(|e| e.id.clone()).collect();
            let evidence = report.evidence.iter().filter(|e| entity.evidence.contains(&e.id)).cloned().collect();
            Ok(Answer::Entity(EntityDetail { entity: entity.clone(), inside, contains, evidence }))
        }
        Question::Evidence { ids } => {
            let ids: BTreeSet<&String> = ids.iter().collect();
            Ok(Answer::Evidence(report.evidence.iter().filter(|e| ids.contains(&e.id)).cloned().collect()))
        }
        Question::Frame { file_name, name, frame } => {
            let file = file.ok_or("the file is not at hand")?;
            // What tcpdump printed is shown as it stands there: it has no octets to show.
            if report.inputs.iter().any(|i| i.name == name && i.kind == "tcpdump_text") {
                let at = hopscope::model::Locator::Frame(frame);
                return source::excerpt(&file, &file_name, &name, &at).await.map(Answer::Excerpt);
            }
            source::frame(&file, &file_name, &name, frame).await.map(Answer::Frame)
        }
        Question::Excerpt { file_name, name, at } => {
            let file = file.ok_or("the file is not at hand")?;
            source::excerpt(&file, &file_name, &name, &at).await.map(Answer::Excerpt)
        }
        Question::Export { form, path } => export::export(report, form, path.as_deref()),
    }
}
