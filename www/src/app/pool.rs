//! The workers: readers, each with one file at a time, and the analyst.
//!
//! A file that stops its reader (a defect, no memory left) costs that reader and that file, nothing else. The page keeps
//! the `File` handles, never bytes, so that anything can be read again.

use std::collections::{BTreeMap, VecDeque};

use hopscope::report::Status;
use js_sys::{Array, Function, Promise};
use leptos::prelude::*;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{ErrorEvent, File, MessageEvent, Worker};

use super::rehearsal;
use super::state::App;
use crate::host;
use crate::protocol::{Answer, Found, FromWorker, Key, Question, Room, ToWorker};

/// A reader that has read more than this is ended with its file: a module's memory never shrinks.
const REUSE_UP_TO: f64 = 32.0 * 1024.0 * 1024.0;
/// Each reader holds the digest of what it reads: on a machine with very many cores, memory is what runs out first.
const MOST_READERS: usize = 32;
/// Of files as large as this, whose digests may fill what room there is for one, only a few are read at once.
const LARGE: f64 = 256.0 * 1024.0 * 1024.0;
const MOST_LARGE: usize = 3;

/// A saved report begins with this, whatever its indentation.
const REPORT_MARK: &str = "\"hopscope.report/";

/// All workers and what they are about.
#[derive(Default)]
pub struct Pool {
    last_key: Key,
    files: BTreeMap<Key, (String, File)>,
    waiting: VecDeque<Key>,
    readers: Vec<Reader>,
    analyst: Option<Analyst>,
    /// How many packets fit; asked for once, from the address (`#packets=20000000`).
    room: Option<Room>,
    /// The conversation whose picture is being drawn.
    drawing: Option<String>,
    /// Conversations whose picture has stopped the analyst: not asked for again.
    undrawable: Vec<String>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("files", &self.files.len()).field("readers", &self.readers.len()).finish_non_exhaustive()
    }
}

struct Reader {
    worker: Talking,
    /// What it reads now.
    key: Option<Key>,
    number: u32,
}

struct Analyst {
    worker: Talking,
    asks: BTreeMap<u32, Function>,
    last_ask: u32,
    /// Changes of the inputs that it was told: a report that has heard of fewer is about to be replaced.
    told: u32,
    /// It has stopped at a defect once and was started again; a second time it stays down.
    is_second: bool,
}

/// A worker with what listens to it; ended when dropped.
struct Talking {
    worker: Worker,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_error: Closure<dyn FnMut(ErrorEvent)>,
}

impl Talking {
    fn start(mut heard: impl FnMut(FromWorker, Array) + 'static, mut died: impl FnMut(String) + 'static) -> Result<Self, String> {
        let worker = host::start_worker()?;
        let on_message = Closure::new(move |event: MessageEvent| {
            if let Some((head, message)) = host::open::<FromWorker>(&event.data()) {
                heard(head, message);
            }
        });
        let on_error = Closure::new(move |event: ErrorEvent| {
            event.prevent_default();
            died(event.message());
        });
        worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        Ok(Self { worker, _on_message: on_message, _on_error: on_error })
    }

    fn tell(&self, head: &ToWorker, attached: &[JsValue]) {
        let (message, buffers) = host::message(head, attached);
        let _ = self.worker.post_message_with_transfer(&message, &buffers);
    }
}

impl Analyst {
    /// Tells it that the inputs have changed: a new report will follow.
    fn change(&mut self, app: App, head: &ToWorker, attached: &[JsValue]) {
        self.told = self.told.wrapping_add(1);
        app.is_analysing.set(true);
        self.worker.tell(head, attached);
    }
}

impl Drop for Talking {
    fn drop(&mut self) {
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        self.worker.terminate();
    }
}

impl Pool {
    /// A number that no input has had.
    pub fn next_key(&mut self) -> Key {
        self.last_key = self.last_key.saturating_add(1);
        self.last_key
    }

    /// Takes a file and reads it as soon as a reader is free.
    pub fn add(&mut self, app: App, key: Key, name: String, file: File) {
        self.files.insert(key, (name, file));
        self.waiting.push_back(key);
        self.go_on(app);
    }

    /// Forgets a file and what was read of it.
    pub fn remove(&mut self, app: App, key: Key) {
        self.cancel(app, key);
        self.files.remove(&key);
    }

    /// Stops reading a file; what was read of it is forgotten.
    pub fn cancel(&mut self, app: App, key: Key) {
        self.waiting.retain(|k| *k != key);
        self.readers.retain(|reader| reader.key != Some(key));
        if let Some(analyst) = &mut self.analyst {
            analyst.change(app, &ToWorker::Remove { key }, &[]);
        }
        self.go_on(app);
    }

    /// Reads a file again.
    pub fn retry(&mut self, app: App, key: Key) {
        if self.files.contains_key(&key) {
            self.waiting.push_back(key);
            self.go_on(app);
        }
    }

    /// The file of an input.
    pub fn file(&self, key: Key) -> Option<File> {
        self.files.get(&key).map(|(_, file)| file.clone())
    }

    /// Puts another file in the place of an input's; it is read when the input is read again.
    pub fn replace(&mut self, key: Key, file: File) {
        if let Some(known) = self.files.get_mut(&key) {
            known.1 = file;
        }
    }

    /// The file that an input's name belongs to: itself, or the archive that it is a member of.
    pub fn file_of(&self, name: &str) -> Option<(String, File)> {
        self.files
            .values()
            .filter(|(n, _)| name.strip_prefix(n.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
            .max_by_key(|(n, _)| n.len())
            .cloned()
    }

    /// Asks the analyst; the promise gives the bytes of a `Result<Answer, String>`.
    ///
    /// # Errors
    /// The analyst cannot be started.
    pub fn ask(&mut self, app: App, question: Question, file: Option<File>) -> Result<Promise, String> {
        let is_rehearsal = app.is_rehearsal;
        let analyst = self.analyst(app)?;
        analyst.last_ask = analyst.last_ask.wrapping_add(1);
        let ask = analyst.last_ask;
        let asks = &mut analyst.asks;
        let promise = Promise::new(&mut |resolve, _| {
            asks.insert(ask, resolve);
        });
        let attached: Vec<JsValue> = file.into_iter().map(JsValue::from).collect();
        analyst.worker.tell(&ToWorker::Ask { ask, question, is_rehearsal }, &attached);
        Ok(promise)
    }

    /// Notes which conversation's picture is being drawn.
    pub fn drawing(&mut self, key: Option<String>) {
        self.drawing = key;
    }

    /// Whether drawing this conversation has stopped the analyst before.
    pub fn is_undrawable(&self, key: &str) -> bool {
        self.undrawable.iter().any(|k| k == key)
    }

    /// Has the analyst make up a report, while nothing is given.
    pub fn rehearse(&mut self, app: App) {
        if self.files.is_empty()
            && let Ok(analyst) = self.analyst(app)
        {
            analyst.worker.tell(&ToWorker::Rehearse, &[]);
        }
    }

    /// Has the analyst forget it.
    pub fn rehearsed(&self) {
        if let Some(analyst) = &self.analyst {
            analyst.worker.tell(&ToWorker::Rehearsed, &[]);
        }
    }

    /// Whether the analyst has been asked something that it has not answered.
    pub fn is_asked(&self) -> bool {
        self.analyst.as_ref().is_some_and(|a| !a.asks.is_empty())
    }

    /// Whether this is the last input that is being read.
    fn is_last(&self, key: Key) -> bool {
        self.waiting.is_empty() && self.readers.iter().all(|r| r.key.is_none_or(|k| k == key))
    }

    fn analyst(&mut self, app: App) -> Result<&mut Analyst, String> {
        if self.analyst.is_none() {
            let worker = Talking::start(
                move |said, message| match said {
                    FromWorker::Answer { ask } => {
                        let resolve = app.pool.try_update_value(|pool| pool.analyst.as_mut()?.asks.remove(&ask)).flatten();
                        if let Some(resolve) = resolve {
                            let _ = resolve.call1(&JsValue::NULL, &message.get(1));
                        }
                    }
                    FromWorker::Report { overview, heard } => {
                        let told = app.pool.with_value(|pool| pool.analyst.as_ref().map(|a| a.told));
                        app.report(*overview, message.get(1).as_f64(), told == Some(heard));
                    }
                    FromWorker::Rehearsed { overview } => rehearsal::go_on(app, *overview),
                    FromWorker::Panicked { message } => lost_analyst(app, message),
                    other => app.hear(other),
                },
                move |why| lost_analyst(app, why),
            )?;
            self.analyst = Some(Analyst { worker, asks: BTreeMap::new(), last_ask: 0, told: 0, is_second: false });
        }
        self.analyst.as_mut().ok_or_else(|| "no analyst".to_owned())
    }

    /// How many packets fit into the tab.
    fn room(&mut self) -> Room {
        let given = || super::state::address("packets").and_then(|n| n.parse().ok()).filter(|n| *n > 0);
        *self.room.get_or_insert_with(|| given().map_or(Room::USUAL, Room::of))
    }

    /// Gives waiting files to free readers, once there is an engine to read them; ends idle readers when nothing waits.
    pub fn go_on(&mut self, app: App) {
        if !app.has_engine.get_untracked() {
            return app.bring_engine();
        }
        let cores = window().navigator().hardware_concurrency() as usize;
        let most = cores.clamp(1, MOST_READERS);
        let room = self.room();
        while let Some(key) = self.waiting.front().copied() {
            let is_large = |key: Option<Key>| key.and_then(|k| self.files.get(&k)).is_some_and(|(_, file)| file.size() >= LARGE);
            if is_large(Some(key)) && self.readers.iter().filter(|r| is_large(r.key)).count() >= MOST_LARGE {
                return;
            }
            let free = self.readers.iter().position(|r| r.key.is_none());
            let index = match free {
                Some(index) => index,
                None if self.readers.len() < most => match self.start_reader(app) {
                    Ok(index) => index,
                    Err(why) => {
                        self.waiting.pop_front();
                        return rejected(app, key, format!("no worker could be started: {why}"));
                    }
                },
                None => return,
            };
            self.waiting.pop_front();
            let Some((name, file)) = self.files.get(&key) else { continue };
            if let Some(reader) = self.readers.get_mut(index) {
                reader.key = Some(key);
                reader.worker.tell(&ToWorker::Read { key, name: name.clone(), room }, &[JsValue::from(file.clone())]);
            }
        }
        // One stays, ready for the next file; the others' memory is worth more.
        let mut is_first = true;
        self.readers.retain(|r| r.key.is_some() || std::mem::take(&mut is_first));
        // It is there before the first file, too: starting it would be a good part of what the first rows take.
        if self.readers.is_empty() {
            // That it could not be started is said where it matters: when there is a file to read.
            let _ = self.start_reader(app);
            if let Some(reader) = self.readers.first() {
                reader.worker.tell(&ToWorker::Prepare, &[]);
            }
        }
    }

    fn start_reader(&mut self, app: App) -> Result<usize, String> {
        let number = self.next_key();
        let worker = Talking::start(
            move |said, message| match said {
                FromWorker::Read { key, found, took_ms } => {
                    // What may yet be a report is not called rejected meanwhile.
                    if !may_be_report(&found) {
                        // Before the input is called read: it is not settled in between.
                        app.is_analysing.set(true);
                        app.hear(FromWorker::Read { key, found: found.clone(), took_ms });
                    }
                    after_this(move || {
                        app.pool.update_value(|pool| pool.finished(app, number, key, &found, &message));
                    });
                }
                FromWorker::SoFar { key } => app.pool.update_value(|pool| pool.so_far(app, number, key, &message)),
                FromWorker::Panicked { message } => lost_reader(app, number, message),
                other => app.hear(other),
            },
            move |why| lost_reader(app, number, why),
        )?;
        self.readers.push(Reader { worker, key: None, number });
        Ok(self.readers.len().saturating_sub(1))
    }

    /// A reader has handed over what a file gave so far.
    fn so_far(&mut self, app: App, number: u32, key: Key, message: &Array) {
        // Not of a file that was taken back meanwhile.
        if !self.readers.iter().any(|r| r.number == number && r.key == Some(key)) {
            return;
        }
        let (buffers, room, is_last) = (message.iter().skip(1).collect::<Vec<JsValue>>(), self.room(), self.is_last(key));
        if let Ok(analyst) = self.analyst(app) {
            analyst.change(app, &ToWorker::Add { key, room, is_last }, &buffers);
        }
    }

    /// A reader has handed over what it read.
    fn finished(&mut self, app: App, number: u32, key: Key, found: &[Found], message: &Array) {
        let is_large = self.files.get(&key).is_some_and(|(_, file)| file.size() > REUSE_UP_TO);
        if is_large {
            self.readers.retain(|r| r.number != number);
        } else if let Some(reader) = self.readers.iter_mut().find(|r| r.number == number) {
            reader.key = None;
        }
        let file = self.files.get(&key).map(|(_, file)| file.clone());
        let (buffers, room, is_last) = (message.iter().skip(1).collect::<Vec<JsValue>>(), self.room(), self.is_last(key));
        match (self.analyst(app), file) {
            (Ok(_), Some(file)) if may_be_report(found) => open_if_report(app, key, file, found.to_vec(), buffers),
            (Ok(analyst), Some(_)) => analyst.change(app, &ToWorker::Add { key, room, is_last }, &buffers),
            (Ok(_), None) => app.is_analysing.set(false),
            (Err(why), _) => {
                app.is_analysing.set(false);
                app.fault.set(Some(format!("The analysis could not be started: {why}")));
            }
        }
        self.go_on(app);
    }
}

/// Runs `f` when the present event has been handled, so that it may borrow the pool (and end the worker that speaks).
fn after_this(f: impl FnOnce() + 'static) {
    leptos::task::spawn_local(async move { f() });
}

/// What no importer knows may be a report of Hopscope itself.
fn may_be_report(found: &[Found]) -> bool {
    matches!(found, [one] if one.kind == "unknown")
}

/// Opens what the reader could not read (`found`, `buffers`) as a report, if it is one.
fn open_if_report(app: App, key: Key, file: File, found: Vec<Found>, buffers: Vec<JsValue>) {
    leptos::task::spawn_local(async move {
        let head = file.slice_with_f64_and_f64(0.0, 200.0).map(|head| head.text());
        let text = match head {
            Ok(promise) => wasm_bindgen_futures::JsFuture::from(promise).await.ok().and_then(|t| t.as_string()),
            Err(_) => None,
        };
        app.pool.update_value(|pool| {
            let (room, is_last) = (pool.room(), pool.is_last(key));
            let Ok(analyst) = pool.analyst(app) else { return };
            if text.is_some_and(|t| t.contains(REPORT_MARK)) {
                let found = Found { name: file.name(), kind: "report".to_owned(), ..Found::default() };
                app.hear(FromWorker::Read { key, found: vec![found], took_ms: 0 });
                analyst.change(app, &ToWorker::Open { key }, &[JsValue::from(file)]);
            } else {
                app.hear(FromWorker::Read { key, found, took_ms: 0 });
                analyst.change(app, &ToWorker::Add { key, room, is_last }, &buffers);
            }
        });
    });
}

fn rejected(app: App, key: Key, message: String) {
    let found = Found { kind: "unknown".to_owned(), status: Status::Rejected, message: Some(message), ..Found::default() };
    app.hear(FromWorker::Read { key, found: vec![found], took_ms: 0 });
}

/// A reader has stopped at a defect or for want of memory: that file is rejected, the others go on.
fn lost_reader(app: App, number: u32, why: String) {
    after_this(move || {
        app.pool.update_value(|pool| {
            let key = pool.readers.iter().find(|r| r.number == number).and_then(|r| r.key);
            pool.readers.retain(|r| r.number != number);
            if let Some(key) = key {
                rejected(
                    app,
                    key,
                    format!("reading this stopped at a defect in Hopscope: {why}. Everything else goes on; please report it"),
                );
            }
            pool.go_on(app);
        });
    });
}

/// The analyst has stopped: once, everything is read again for a new one; then it is for the person to remove an input.
fn lost_analyst(app: App, why: String) {
    after_this(move || {
        app.is_analysing.set(false);
        let again = app.pool.try_update_value(|pool| {
            let lost = pool.analyst.take()?;
            let refused = host::bytes(&Err::<Box<Answer>, _>("the analysis stopped"));
            for resolve in lost.asks.values() {
                let _ = resolve.call1(&JsValue::NULL, &refused);
            }
            let is_picture = pool.drawing.take().map(|key| pool.undrawable.push(key)).is_some();
            if lost.is_second && !is_picture {
                return None;
            }
            if let Ok(analyst) = pool.analyst(app) {
                analyst.is_second = !is_picture;
            }
            Some(pool.files.keys().copied().collect::<Vec<_>>())
        });
        match again.flatten() {
            Some(keys) => {
                for key in keys {
                    app.retry_input(key);
                }
            }
            None => app.fault.set(Some(format!(
                "The analysis stopped at a defect in Hopscope: {why}. Your files are unharmed; removing the input that was added last may help. Please report it."
            ))),
        }
    });
}
