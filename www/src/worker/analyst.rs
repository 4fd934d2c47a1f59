//! Digests → report → answers. Holds what every reader found, recomputes the report when that changes, and keeps the
//! report, so that the page holds only what it shows.

use std::cell::RefCell;
use std::rc::Rc;

use gloo_timers::future::TimeoutFuture;
use hopscope::analysis::analyze_packed;
use hopscope::capture::{Checkpoint, FileLayout};
use hopscope::digest::Rate;
use hopscope::ingest::{Data, Ingested};
use hopscope::report::Report;
use hopscope::sample;
use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;
use web_sys::File;

use super::shown::Shown;
use super::{Out, export, reader, rehearsal, source};
use crate::host;
use crate::protocol::{Answer, Found, FromWorker, Key, Question, Room};

/// Readings that end this close together make one report.
const QUIET_MS: u32 = 40;
/// After a report the page asks for what it shows of it, and the next one, which may take seconds, waits until it has: so long at most.
const ASKED_MS: f64 = 400.0;
/// How often it is looked whether it has.
const ASKED_EVERY_MS: u32 = 8;
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
    shown: Rc<Shown>,
    /// A made-up report, while the page rehearses with it.
    rehearsal: Option<Rc<Shown>>,
    /// Changes that were told: the report says how many of them it includes.
    heard: u32,
    /// Counts changes and reports: a timer that finds another number than its own has been overtaken.
    changes: u32,
    waiting_since: Option<f64>,
    /// When the last report was told.
    told_at: f64,
    /// What the page has been answered of it.
    answered: Answered,
}

/// What the page asks for after every report.
#[derive(Clone, Copy, Debug, Default)]
struct Answered {
    rows: bool,
    /// The path with its picture, or that there is none.
    path: bool,
}

impl Answered {
    fn note(&mut self, answer: &Result<Answer, String>) {
        match answer {
            Ok(Answer::Rows { .. }) => self.rows = true,
            Ok(Answer::Picture(_) | Answer::Path(None)) => self.path = true,
            _ => {}
        }
    }
}

impl Analyst {
    /// With nothing to analyse yet.
    pub fn new(out: Out) -> Self {
        Self { out, state: Rc::default() }
    }

    /// What a reader made of an input; replaces what was there under the same key.
    pub fn add(&mut self, key: Key, room: Room, is_last: bool, buffers: impl Iterator<Item = JsValue>) {
        {
            let mut state = self.state.borrow_mut();
            state.forget(key);
            for buffer in buffers {
                if let Some(one) = Ingested::from_bytes(&Uint8Array::new(&buffer).to_vec()) {
                    state.keys.push(key);
                    state.found.push(one);
                }
            }
            // What one coarse capture has cost stays lost to the others until they are read again.
            sample::fit(&mut state.found, room.all, Rate::ALL);
        }
        self.changed(is_last);
    }

    /// Forgets an input.
    pub fn remove(&mut self, key: Key) {
        self.state.borrow_mut().forget(key);
        self.changed(false);
    }

    /// Shows a saved report.
    pub fn open(&mut self, key: Key, file: File) {
        let (out, state) = (self.out.clone(), Rc::clone(&self.state));
        state.borrow_mut().heard += 1;
        spawn_local(async move {
            let bytes = reader::bytes_of(&file, 0.0, file.size()).await.unwrap_or_default();
            match serde_json::from_slice::<Report>(&bytes) {
                Ok(report) => state.borrow_mut().opened = Some((key, report)),
                Err(e) => {
                    let found = Found {
                        name: file.name(),
                        kind: "report".to_owned(),
                        status: hopscope::report::Status::Rejected,
                        message: Some(format!("this saved report cannot be read: {e}")),
                        corrections: Vec::new(),
                    };
                    out.say(&FromWorker::Read { key, found: vec![found], took_ms: 0 }, &[]);
                }
            }
            make_report(&out, &state);
        });
    }

    /// Makes up a report, unless there is something real to do.
    pub fn rehearse(&self) {
        let (out, state) = (self.out.clone(), Rc::clone(&self.state));
        spawn_local(async move {
            let is_over = || state.borrow().heard > 0;
            rehearsal::prepare();
            if let Some(shown) = rehearsal::rehearse(&rehearsal::FIRST, is_over).await {
                out.say(&FromWorker::Rehearsed { overview: Box::new(shown.overview()) }, &[]);
                state.borrow_mut().rehearsal = Some(Rc::new(shown));
                rehearsal::rehearse(&rehearsal::LATER, is_over).await;
            }
        });
    }

    /// Forgets the made-up report.
    pub fn rehearsed(&self) {
        self.state.borrow_mut().rehearsal = None;
    }

    /// `is_last`: nothing that would make another report at once is to be expected.
    fn changed(&mut self, is_last: bool) {
        let now = js_sys::Date::now();
        let (mine, wait) = {
            let mut state = self.state.borrow_mut();
            state.heard = state.heard.wrapping_add(1);
            state.changes = state.changes.wrapping_add(1);
            let is_due = is_last || now - *state.waiting_since.get_or_insert(now) >= AT_LATEST_MS;
            (state.changes, if is_due { 0 } else { QUIET_MS })
        };
        let (out, state) = (self.out.clone(), Rc::clone(&self.state));
        spawn_local(async move {
            // Never at once: what was told while the last report was being made is to be heard first, or reports over a part of it follow
            // one another, each of which may take minutes.
            TimeoutFuture::new(wait).await;
            let is_mine = || state.borrow().changes == mine;
            while is_mine() && !state.borrow().is_shown(js_sys::Date::now()) {
                TimeoutFuture::new(ASKED_EVERY_MS).await;
            }
            if is_mine() {
                make_report(&out, &state);
            }
        });
    }

    /// Answers, soon if a file must be read for it.
    pub fn answer(&mut self, ask: u32, question: Question, is_rehearsal: bool, file: Option<File>) {
        let (shown, near) = {
            let state = self.state.borrow();
            let near = match &question {
                Question::Frame { file_name, name, frame } if file_name == name => state.near(name, *frame),
                _ => None,
            };
            let made_up = state.rehearsal.as_ref().filter(|_| is_rehearsal);
            (Rc::clone(made_up.unwrap_or(&state.shown)), near)
        };
        let (out, state) = (self.out.clone(), Rc::clone(&self.state));
        spawn_local(async move {
            let answer = answer(&shown, question, file, near).await;
            if !is_rehearsal {
                state.borrow_mut().answered.note(&answer);
            }
            out.say(&FromWorker::Answer { ask }, &[JsValue::from(host::bytes(&answer))]);
        });
    }
}

impl State {
    /// Whether the page has what it shows of the last report, or has had the time to ask for it.
    fn is_shown(&self, now: f64) -> bool {
        self.answered.rows && self.answered.path || now - self.told_at >= ASKED_MS
    }

    fn forget(&mut self, key: Key) {
        let keys = std::mem::take(&mut self.keys);
        let mut kept = keys.iter();
        self.found.retain(|_| kept.next().is_none_or(|k| *k != key));
        self.keys = keys.into_iter().filter(|k| *k != key).collect();
        self.opened.take_if(|(k, _)| *k == key);
    }

    /// Where to begin to read the capture `name` for this frame, and where to end.
    fn near(&self, name: &str, frame: u64) -> Option<Near> {
        let mut captures = self.found.iter().filter(|one| one.name == name);
        let Data::Capture(digest) = &captures.next()?.data else { return None };
        let (checkpoint, end) = digest.checkpoint_before(frame)?;
        // Of two inputs with one name nobody knows which is meant.
        captures.next().is_none().then(|| Near { layout: digest.layout.clone(), checkpoint: *checkpoint, end })
    }
}

/// A part of a capture file that a frame is in.
pub struct Near {
    pub layout: FileLayout,
    pub checkpoint: Checkpoint,
    /// Where the part ends; `None`: with the file.
    pub end: Option<u64>,
}

fn make_report(out: &Out, state: &RefCell<State>) {
    let mut state = state.borrow_mut();
    state.waiting_since = None;
    state.changes = state.changes.wrapping_add(1);
    let begun = js_sys::Date::now();
    let report = match &state.opened {
        Some((_, report)) if state.found.is_empty() => report.clone().into(),
        _ => {
            // Of a large report there is no room for two.
            state.shown = Rc::default();
            analyze_packed(&state.found)
        }
    };
    let took = js_sys::Date::now() - begun;
    state.shown = Rc::new(Shown::new(report));
    let said = FromWorker::Report { overview: Box::new(state.shown.overview()), heard: state.heard };
    out.say(&said, &[JsValue::from_f64(took)]);
    state.told_at = js_sys::Date::now();
    state.answered = Answered::default();
}

async fn answer(shown: &Shown, question: Question, file: Option<File>, near: Option<Near>) -> Result<Answer, String> {
    match question {
        Question::Path { key, id } => Ok(Answer::Path(shown.path(key.as_deref(), id.as_deref()).map(Box::new))),
        Question::Picture { id } => Ok(Answer::Picture(shown.picture(&id))),
        Question::Map => shown.map().map(Answer::Picture),
        Question::Pairs => {
            let (rows, total) = shown.pairs();
            Ok(Answer::Pairs { rows, total })
        }
        Question::Entity { id } => shown.entity(&id).map(Answer::Entity),
        Question::Evidence { ids } => Ok(Answer::Evidence(shown.evidence(&ids))),
        Question::Rows { list, first, count } => Ok(shown.rows(&list, first, count)),
        Question::Step { list, key, by } => Ok(Answer::Step(shown.step(&list, key.as_deref(), by))),
        Question::Findings { first, count } => Ok(Answer::Findings(shown.findings(first, count))),
        Question::Names { like } => Ok(Answer::Names(shown.names(&like))),
        Question::Session { corrections } => Ok(Answer::Session(hopscope::import::session::to_json(&corrections))),
        Question::Frame { file_name, name, frame } => {
            let file = file.ok_or("the file is not at hand")?;
            // What tcpdump printed is shown as it stands there: it has no octets to show.
            if shown.report.head.inputs.iter().any(|i| i.name == name && i.kind == "tcpdump_text") {
                let at = hopscope::model::Locator::Frame(frame);
                return source::excerpt(&file, &file_name, &name, &at).await.map(Answer::Excerpt);
            }
            if let Some(near) = near
                && let Some(decoded) = source::frame_near(&file, &near, frame).await
            {
                return Ok(Answer::Frame(decoded));
            }
            source::frame(&file, &file_name, &name, frame).await.map(Answer::Frame)
        }
        Question::Excerpt { file_name, name, at } => {
            let file = file.ok_or("the file is not at hand")?;
            source::excerpt(&file, &file_name, &name, &at).await.map(Answer::Excerpt)
        }
        Question::Export { form, path, is_redacted } => export::export(&shown.report, form, path.as_deref(), is_redacted),
    }
}
