//! What the page knows, as signals, and what can be done to it.
//! Knows the workers' protocol; must not know how anything is drawn.

use std::sync::Arc;

use hopscope::facts::Correction;
use hopscope::model::Locator;
use hopscope::report::Status;
use hopscope::views::layout::Picture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsValue;
use web_sys::File;

use super::pool::Pool;
use super::viewport::Move;
use crate::host;
use crate::protocol::{
    Answer, Decoded, Detail, EntityDetail, Excerpt, FindingRow, Form, Found, FromWorker, Key, List, Overview, PairRow, Place, Question,
    Statement,
};

/// Where an input stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InputState {
    Rejected,
    Partial,
    Cancelled,
    Reading,
    Ok,
}

impl InputState {
    pub fn word(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Partial => "partial",
            Self::Cancelled => "cancelled",
            Self::Reading => "reading",
            Self::Ok => "ok",
        }
    }
}

/// What changes about an input while it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    pub state: InputState,
    pub read: u64,
    pub frames: u64,
    /// What it was recognised as.
    pub kind: String,
    pub message: Option<String>,
    /// How long its reader was about it, in milliseconds.
    pub took_ms: Option<u32>,
    /// Members of an archive, in their own words.
    pub members: Vec<(String, InputState, Option<String>)>,
}

impl Live {
    /// Of an input that nothing has been read of.
    pub fn begun() -> Self {
        Self { state: InputState::Reading, read: 0, frames: 0, kind: String::new(), message: None, took_ms: None, members: Vec::new() }
    }
}

/// An input as the list shows it.
#[derive(Clone, Debug)]
pub struct InputRow {
    pub key: Key,
    pub name: Arc<str>,
    pub bytes: u64,
    pub live: RwSignal<Live>,
}

/// What the evidence panel speaks of.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Focus {
    #[default]
    Nothing,
    /// A hop of the selected path: direction and index.
    Hop(usize, usize),
    Entity(String),
    /// A proxy between the selected path and another one: index.
    Relay(usize),
    /// Index in the findings at hand.
    Finding(usize),
    /// Index in the findings that are told of the selected path.
    Told(usize),
    /// Index in the overview's capture points.
    Point(usize),
}

/// What the source viewer shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Viewer {
    #[default]
    Closed,
    Loading(Place),
    Failed(Place, String),
    Frame(Place, Arc<Decoded>),
    Lines(Place, Arc<Excerpt>),
}

/// Which list the right column shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    Evidence,
    Findings,
    Points,
    Corrections,
}

/// Everything that the page knows. Copied freely: every part is a handle.
#[derive(Clone, Copy, Debug)]
pub struct App {
    pub inputs: RwSignal<Vec<InputRow>>,
    pub overview: RwSignal<Arc<Overview>>,
    pub is_analysing: RwSignal<bool>,
    /// Whether the engine has been loaded; until then, inputs wait.
    pub has_engine: RwSignal<bool>,
    pub took_ms: RwSignal<Option<f64>>,
    /// The `key` of the selected conversation.
    pub selected: RwSignal<Option<String>>,
    /// Whether the person chose it, or looks at something of it; else it is the one that the list begins with, whichever that becomes.
    is_by_hand: StoredValue<bool>,
    /// The path that a link led here for.
    linked: StoredValue<Option<String>>,
    pub detail: RwSignal<Option<Arc<Detail>>>,
    /// The picture of `detail`, or why there is none; nothing while it is being drawn.
    pub picture: RwSignal<Option<Result<Arc<Picture>, String>>>,
    /// Whether the map of all conversations stands in the place of one path.
    pub is_map: RwSignal<bool>,
    /// Who talks to whom, below the map: the first rows, and how many there are.
    pub pairs: RwSignal<(Arc<[PairRow]>, u32)>,
    /// That map, likewise.
    pub map: RwSignal<Option<Result<Arc<Picture>, String>>>,
    /// Changes with the colours.
    pub is_dark: RwSignal<bool>,
    pub focus: RwSignal<Focus>,
    /// What the evidence panel found out about `focus`.
    pub evidence: RwSignal<Vec<Statement>>,
    pub entity: RwSignal<Option<Arc<EntityDetail>>>,
    pub viewer: RwSignal<Viewer>,
    /// The piece of evidence below which it shows that.
    pub viewer_of: RwSignal<String>,
    pub tab: RwSignal<Tab>,
    /// The findings that are at hand, the most severe first.
    pub findings: RwSignal<Vec<FindingRow>>,
    /// Filter and order of the conversations.
    pub list: RwSignal<List>,
    /// A row of that list which is to be seen.
    pub in_sight: RwSignal<Option<u32>>,
    /// A fault of the program itself, in words.
    pub fault: RwSignal<Option<String>>,
    /// A passing message.
    pub notice: RwSignal<Option<String>>,
    pub dialog: RwSignal<Option<Dialog>>,
    /// Whether the picture fills the window.
    pub is_wide: RwSignal<bool>,
    /// The last key that moves the picture, counted.
    pub moves: RwSignal<(u32, Option<Move>)>,
    /// What the person has corrected in this sitting.
    pub corrections: RwSignal<Vec<Correction>>,
    /// The capture point that is being corrected: its id.
    pub corrected: RwSignal<Option<String>>,
    /// Address and entity of an owner that is being written.
    pub draft: RwSignal<(String, String)>,
    pub pool: StoredValue<Pool, LocalStorage>,
    /// Whether this is the understudy of the page's own, of which nothing is seen (`rehearsal.rs`).
    pub is_rehearsal: bool,
    /// The page's own owner: what is made in the handler of an event must outlive the view that the event came from.
    root: StoredValue<Option<Owner>>,
}

/// What covers the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialog {
    Keys,
    Paste,
    Commands,
}

impl App {
    pub fn new() -> Self {
        Self {
            inputs: RwSignal::new(Vec::new()),
            overview: RwSignal::new(Arc::default()),
            is_analysing: RwSignal::new(false),
            has_engine: RwSignal::new(false),
            took_ms: RwSignal::new(None),
            selected: RwSignal::new(None),
            is_by_hand: StoredValue::new(false),
            linked: StoredValue::new(address("path")),
            detail: RwSignal::new(None),
            picture: RwSignal::new(None),
            pairs: RwSignal::new((Arc::default(), 0)),
            is_map: RwSignal::new(false),
            map: RwSignal::new(None),
            is_dark: RwSignal::new(false),
            focus: RwSignal::new(Focus::Nothing),
            evidence: RwSignal::new(Vec::new()),
            entity: RwSignal::new(None),
            viewer: RwSignal::new(Viewer::Closed),
            viewer_of: RwSignal::new(String::new()),
            tab: RwSignal::new(match address("tab").as_deref() {
                Some("points") => Tab::Points,
                Some("corrections") => Tab::Corrections,
                _ => Tab::Findings,
            }),
            findings: RwSignal::new(Vec::new()),
            list: RwSignal::new(List::default()),
            in_sight: RwSignal::new(None),
            fault: RwSignal::new(None),
            notice: RwSignal::new(None),
            dialog: RwSignal::new(None),
            is_wide: RwSignal::new(false),
            moves: RwSignal::new((0, None)),
            corrections: RwSignal::new(Vec::new()),
            corrected: RwSignal::new(None),
            draft: RwSignal::new(Default::default()),
            pool: StoredValue::new_local(Pool::default()),
            is_rehearsal: false,
            root: StoredValue::new(Owner::current()),
        }
    }

    /// One that nobody sees, with the same workers, which asks about the made-up report. Its owner is the present one.
    pub fn understudy(self) -> Self {
        Self { is_rehearsal: true, pool: self.pool, has_engine: RwSignal::new(true), ..Self::new() }
    }

    /// Waits for the engine, which is asked for unless it is on its way; what has waited for it is read when it is there.
    ///
    /// # Errors
    /// It could not be loaded, for a person.
    pub async fn engine(self) -> Result<(), String> {
        host::engine().await?;
        if !self.has_engine.get_untracked() {
            super::rehearsal::letters_known().await;
        }
        // Of those who have waited, the first.
        if !self.has_engine.get_untracked() {
            self.fault.set(None);
            self.has_engine.set(true);
            self.pool.update_value(|pool| pool.go_on(self));
            super::rehearsal::begin(self);
        }
        Ok(())
    }

    /// Asks for the engine, and says so where it does not come.
    pub fn bring_engine(self) {
        spawn_local(async move {
            if let Err(why) = self.engine().await {
                self.fault.set(Some(format!(
                    "The engine, which reads and analyses, could not be loaded: {why}. What was given waits; adding anything asks for it again."
                )));
            }
        });
    }

    /// Keeps what is derived up to date: the selected path, the evidence of what is in focus.
    pub fn connect(self) {
        Effect::new(move |_| {
            self.overview.track();
            let asked = self.selected.get();
            let key = asked.clone().filter(|_| self.is_by_hand.get_value());
            spawn_local(async move {
                let is_current = move || self.selected.with_untracked(|s| *s == asked);
                let detail = match self.ask(Question::Path { key, id: self.linked.get_value() }, None).await {
                    Ok(Answer::Path(detail)) => detail,
                    Ok(_) => return,
                    // That there is no engine is said already.
                    Err(_) if !self.has_engine.get_untracked() => return,
                    Err(why) => return self.notice.set(Some(why)),
                };
                // The person has selected another one meanwhile.
                if !is_current() {
                    return;
                }
                let Some(detail) = detail.map(Arc::from) else {
                    self.picture.set(None);
                    return self.detail.set(None);
                };
                self.shown(detail).await;
            });
        });
        Effect::new(move |_| {
            self.overview.track();
            if !self.is_map.get() {
                return self.map.set(None);
            }
            spawn_local(async move {
                let map = match self.ask(Question::Map, None).await {
                    Ok(Answer::Picture(picture)) => Ok(Arc::new(picture)),
                    Ok(_) => Err("an answer of the wrong kind".to_owned()),
                    Err(why) => Err(why),
                };
                if self.is_map.get_untracked() && self.map.with_untracked(|m| m.as_ref() != Some(&map)) {
                    self.map.set(Some(map));
                }
                if let Ok(Answer::Pairs { rows, total }) = self.ask(Question::Pairs, None).await {
                    self.pairs.set((rows.into(), total));
                }
            });
        });
        self.follow_focus();
    }

    /// What is looked at stands in the address, so that reloading or a link leads back to it; never what was read.
    pub fn keep_address(self) {
        Effect::new(move |_| {
            let path = self.detail.with(|d| d.as_ref().map(|d| d.conversation.id.clone()));
            let tab = match self.tab.get() {
                Tab::Findings => "findings",
                Tab::Points => "points",
                Tab::Evidence => "evidence",
                Tab::Corrections => "corrections",
            };
            if let (Some(path), Ok(history)) = (path, window().history()) {
                // How much room packets have stays as it was given.
                let room = address("packets").map_or(String::new(), |n| format!("&packets={n}"));
                let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(&format!("#path={path}&tab={tab}{room}")));
            }
        });
    }

    fn follow_focus(self) {
        Effect::new(move |_| {
            let focus = self.focus.get();
            let overview = self.overview.get();
            let detail = self.detail.get();
            let ids = match &focus {
                Focus::Nothing => Vec::new(),
                Focus::Hop(direction, hop) => {
                    detail.and_then(|d| Some(d.directions.get(*direction)?.hop(*hop)?.evidence.clone())).unwrap_or_default()
                }
                Focus::Relay(i) => detail.and_then(|d| Some(d.relays.get(*i)?.evidence.clone())).unwrap_or_default(),
                Focus::Finding(i) => {
                    self.findings.with_untracked(|all| all.get(*i).map(|f| f.finding.evidence.clone())).unwrap_or_default()
                }
                Focus::Told(i) => detail.and_then(|d| Some(d.findings.get(*i)?.finding.evidence.clone())).unwrap_or_default(),
                Focus::Point(i) => overview.points.get(*i).map(|p| p.point.evidence.clone()).unwrap_or_default(),
                Focus::Entity(id) => {
                    let question = Question::Entity { id: id.clone() };
                    spawn_local(async move {
                        if let Ok(Answer::Entity(entity)) = self.ask(question, None).await {
                            self.evidence.set(entity.evidence.clone());
                            self.entity.set(Some(Arc::new(entity)));
                        }
                    });
                    return;
                }
            };
            self.entity.set(None);
            if ids.is_empty() {
                return self.evidence.set(Vec::new());
            }
            spawn_local(async move {
                if let Ok(Answer::Evidence(evidence)) = self.ask(Question::Evidence { ids }, None).await {
                    self.evidence.set(evidence);
                }
            });
        });
    }

    /// Shows a path: its table at once, its picture as soon as it is drawn.
    async fn shown(self, detail: Arc<Detail>) {
        let key = detail.conversation.key.clone();
        let id = detail.conversation.id.clone();
        let is_same = self.detail.with_untracked(|d| d.as_ref().is_some_and(|d| d.conversation.key == key));
        // The old picture stays until the new one is there, if it is of the same conversation.
        if !is_same {
            self.picture.set(None);
        }
        // What has not changed is not drawn again.
        if self.detail.with_untracked(|d| d.as_ref() != Some(&detail)) {
            self.detail.set(Some(detail));
        }
        // An effect follows every change of this; the same value is no change.
        if self.selected.with_untracked(|s| s.as_ref() != Some(&key)) {
            return self.selected.set(Some(key));
        }
        let is_hopeless = self.pool.with_value(|pool| pool.is_undrawable(&key));
        let drawn = if is_hopeless {
            Err("the picture of this path could not be drawn: a defect in Hopscope. The tables say the same.".to_owned())
        } else {
            self.pool.update_value(|pool| pool.drawing(Some(key.clone())));
            let drawn = self.ask(Question::Picture { id }, None).await;
            self.pool.update_value(|pool| pool.drawing(None));
            match drawn {
                Ok(Answer::Picture(picture)) => Ok(Arc::new(picture)),
                Ok(_) => Err("an answer of the wrong kind".to_owned()),
                Err(why) => Err(why),
            }
        };
        let is_shown = self.selected.with_untracked(|s| s.as_deref() == Some(key.as_str()));
        if is_shown && self.picture.with_untracked(|p| p.as_ref() != Some(&drawn)) {
            self.picture.set(Some(drawn));
        }
    }

    /// Adds inputs and starts to read them. A name that is taken gets a number, so that both stay visible.
    pub fn add_files(self, files: Vec<(String, File)>) {
        let mut taken: std::collections::BTreeSet<Arc<str>> =
            self.inputs.with_untracked(|rows| rows.iter().map(|row| Arc::clone(&row.name)).collect());
        let mut rows = Vec::new();
        for (name, file) in files {
            let mut unique = name.clone();
            let mut number = 1;
            while taken.contains(unique.as_str()) {
                number += 1;
                unique = match name.rsplit_once('.') {
                    Some((stem, ending)) if !ending.contains('/') => format!("{stem} ({number}).{ending}"),
                    _ => format!("{name} ({number})"),
                };
            }
            let live = Live::begun();
            let key = self.pool.try_update_value(|pool| pool.next_key()).unwrap_or_default();
            let live = match self.root.get_value() {
                Some(root) => root.with(|| RwSignal::new(live)),
                None => RwSignal::new(live),
            };
            let row = InputRow { key, name: unique.as_str().into(), bytes: file.size() as u64, live };
            taken.insert(Arc::clone(&row.name));
            rows.push(row);
            self.pool.update_value(|pool| pool.add(self, key, unique, file));
        }
        self.inputs.update(|all| all.append(&mut rows));
    }

    /// Puts another file in the place of an input.
    pub fn replace_input(self, key: Key, file: File) {
        self.pool.update_value(|pool| pool.replace(key, file));
        self.retry_input(key);
    }

    /// Takes an input out of the analysis.
    pub fn remove_input(self, key: Key) {
        self.pool.update_value(|pool| pool.remove(self, key));
        let is_session = |row: &InputRow| row.key == key && &*row.name == super::session::NAME;
        if self.inputs.with_untracked(|rows| rows.iter().any(is_session)) {
            self.corrections.set(Vec::new());
        }
        self.inputs.update(|rows| rows.retain(|row| row.key != key));
        if self.inputs.with_untracked(Vec::is_empty) {
            self.selected.set(None);
            self.is_map.set(false);
            self.list.set(List::default());
            self.look_at(Focus::Nothing);
            self.tab.set(Tab::Findings);
            self.is_by_hand.set_value(false);
            self.linked.set_value(None);
        }
    }

    /// Stops reading an input; what was read of it is dropped.
    pub fn cancel_input(self, key: Key) {
        self.pool.update_value(|pool| pool.cancel(self, key));
        self.live(key, |live| {
            live.state = InputState::Cancelled;
            live.message = Some("cancelled; nothing of it is used".to_owned());
        });
    }

    /// Reads an input again from the start.
    pub fn retry_input(self, key: Key) {
        self.live(key, |live| {
            *live = Live::begun();
        });
        self.pool.update_value(|pool| pool.retry(self, key));
    }

    fn live(self, key: Key, change: impl FnOnce(&mut Live)) {
        let signal = self.inputs.with_untracked(|rows| rows.iter().find(|row| row.key == key).map(|row| row.live));
        if let Some(live) = signal {
            live.update(change);
        }
    }

    /// A reader is done with an input.
    fn read(self, key: Key, found: &[Found]) {
        let state_of = |status| match status {
            Status::Ok => InputState::Ok,
            Status::Partial => InputState::Partial,
            Status::Rejected => InputState::Rejected,
        };
        let states: Vec<_> = found.iter().map(|one| state_of(one.status)).collect();
        let state = if states.iter().all(|s| *s == InputState::Rejected) {
            InputState::Rejected
        } else if states.iter().all(|s| *s == InputState::Ok) {
            InputState::Ok
        } else {
            InputState::Partial
        };
        self.live(key, |live| {
            live.state = state;
            live.kind = match found {
                [one] => one.kind.clone(),
                several => format!("archive of {}", several.len()),
            };
            live.message = match found {
                [one] => one.message.clone(),
                several => {
                    let bad = several.iter().filter(|one| one.status != Status::Ok).count();
                    (bad > 0).then(|| format!("{bad} of {} members could not be read whole", several.len()))
                }
            };
            live.members = match found {
                [_] => Vec::new(),
                several => several.iter().map(|one| (one.name.clone(), state_of(one.status), one.message.clone())).collect(),
            };
        });
        // Whether the report then finds more wrong with it is for the next overview to say.
    }

    /// What a reader said of an input.
    pub fn hear(self, said: FromWorker) {
        match said {
            FromWorker::Progress { key, bytes, frames } => self.live(key, |live| (live.read, live.frames) = (bytes, frames)),
            FromWorker::Read { key, found, took_ms } => {
                self.live(key, |live| live.took_ms = Some(took_ms).filter(|ms| *ms > 0));
                self.read(key, &found);
                super::session::adopt(self, key, &found);
            }
            FromWorker::SoFar { .. }
            | FromWorker::Report { .. }
            | FromWorker::Rehearsed { .. }
            | FromWorker::Answer { .. }
            | FromWorker::Panicked { .. } => {}
        }
    }

    /// There is a new report; `is_last` when it knows of everything that was given.
    pub fn report(self, overview: Overview, took_ms: Option<f64>, is_last: bool) {
        self.took_ms.set(took_ms);
        // The report judges inputs once more, in the light of all of them.
        let rows = self.inputs.get_untracked();
        let by_name: std::collections::BTreeMap<&str, RwSignal<Live>> = rows.iter().map(|row| (&*row.name, row.live)).collect();
        for input in &overview.inputs {
            let Some(live) = by_name.get(input.name.as_str()) else { continue };
            let state = match input.status {
                Status::Ok => InputState::Ok,
                Status::Partial => InputState::Partial,
                Status::Rejected => InputState::Rejected,
            };
            // One that is being read again is for its reader to judge; what is the same already need not be drawn again.
            let is_new = live.with_untracked(|l| {
                !matches!(l.state, InputState::Reading | InputState::Cancelled)
                    && (l.state != state || l.kind != input.kind || l.message != input.message)
            });
            if is_new {
                live.update(|l| {
                    l.state = state;
                    l.kind.clone_from(&input.kind);
                    l.message.clone_from(&input.message);
                });
            }
        }
        self.findings.set(overview.worst.clone());
        self.overview.set(Arc::new(overview));
        if is_last {
            self.is_analysing.set(false);
        }
    }

    /// Whether anything was given, so that there is something real to show.
    pub fn is_in_use(self) -> bool {
        self.inputs.with_untracked(|rows| !rows.is_empty())
    }

    /// Whether an input is still being read.
    pub fn is_reading(self) -> bool {
        self.inputs.with(|rows| rows.iter().any(|row| row.live.with(|live| live.state == InputState::Reading)))
    }

    /// Asks the analyst.
    ///
    /// # Errors
    /// Why there is no answer, for a person.
    pub async fn ask(self, question: Question, file: Option<File>) -> Result<Answer, String> {
        self.engine().await?;
        let promise = self.pool.try_update_value(|pool| pool.ask(self, question, file)).ok_or("the page is closing")??;
        let bytes = wasm_bindgen_futures::JsFuture::from(promise).await.map_err(|e| host::text_of(&e))?;
        host::read::<Result<Box<Answer>, String>>(&bytes).ok_or("an answer could not be read")?.map(|a| *a)
    }

    /// Selects a conversation by its key.
    pub fn select(self, key: &str) {
        self.is_by_hand.set_value(true);
        self.is_map.set(false);
        if self.selected.get_untracked().as_deref() != Some(key) {
            self.selected.set(Some(key.to_owned()));
            self.focus.set(Focus::Nothing);
            self.viewer.set(Viewer::Closed);
        }
    }

    /// Selects the conversation that stands `by` rows after the selected one in the list, and brings it into sight.
    pub fn step(self, by: i32) {
        let question = Question::Step { list: self.list.get_untracked(), key: self.selected.get_untracked(), by };
        spawn_local(async move {
            if let Ok(Answer::Step(Some((position, row)))) = self.ask(question, None).await {
                self.select(&row.key);
                self.in_sight.set(position);
            }
        });
    }

    /// Selects a conversation and brings it into sight.
    pub fn show(self, key: &str) {
        self.select(key);
        self.step(0);
    }

    /// Turns the evidence panel to something.
    pub fn look_at(self, focus: Focus) {
        self.is_by_hand.set_value(true);
        self.focus.set(focus);
        self.viewer.set(Viewer::Closed);
        self.tab.set(Tab::Evidence);
    }

    /// Opens the place that a piece of evidence names.
    pub fn open_source(self, evidence: &str, source: Place) {
        self.viewer_of.set(evidence.to_owned());
        let input = self.overview.with_untracked(|o| o.inputs.iter().find(|i| i.id == source.input).map(|i| i.name.clone()));
        let Some(name) = input else {
            return self.viewer.set(Viewer::Failed(source, "the report does not name this input".to_owned()));
        };
        let Some((file_name, file)) = self.pool.with_value(|pool| pool.file_of(&name)) else {
            let why = format!("{name} is not open here: drop it on the page to see this place");
            return self.viewer.set(Viewer::Failed(source, why));
        };
        let question = match source.at.clone().unwrap_or(Locator::Line(1)) {
            Locator::Frame(frame) => Question::Frame { file_name, name, frame },
            at => Question::Excerpt { file_name, name, at },
        };
        self.viewer.set(Viewer::Loading(source.clone()));
        spawn_local(async move {
            let next = match self.ask(question, Some(file)).await {
                Ok(Answer::Frame(frame)) => Viewer::Frame(source, Arc::new(frame)),
                Ok(Answer::Excerpt(lines)) => Viewer::Lines(source, Arc::new(lines)),
                Ok(_) => Viewer::Failed(source, "an answer of the wrong kind".to_owned()),
                Err(why) => Viewer::Failed(source, why),
            };
            self.viewer.set(next);
        });
    }

    /// The report in another form, or only one path of it; with pseudonyms, if so wanted.
    ///
    /// # Errors
    /// Why there is none, for a person.
    pub async fn export(self, form: Form, path: Option<String>, is_redacted: bool) -> Result<(String, String, String), String> {
        match self.ask(Question::Export { form, path, is_redacted }, None).await? {
            Answer::Export { text, media_type, file_name } => Ok((text, media_type, file_name)),
            _ => Err("an answer of the wrong kind".to_owned()),
        }
    }

    /// An input's name by the report's id.
    pub fn input_name(self, id: &str) -> String {
        self.overview.with(|o| o.inputs.iter().find(|i| i.id == id).map_or_else(|| id.to_owned(), |i| i.name.clone()))
    }
}

/// A value from the address's hash.
pub fn address(name: &str) -> Option<String> {
    let hash = window().location().hash().ok()?;
    hash.trim_start_matches('#')
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(n, _)| *n == name)
        .map(|(_, value)| value.to_owned())
}
