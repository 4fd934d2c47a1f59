//! One file → its digests: reads slices, pushes them into the engine, reports progress.
//! Holds a few megabytes of the file at a time, whatever its size, and a piece of them in the module's memory.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use gloo_timers::future::TimeoutFuture;

use hopscope::facts::{Correction, Fact};
use hopscope::ingest::{Data, Ingest, Ingested};
use hopscope::report::Status;
use hopscope::sample;
use js_sys::{ArrayBuffer, Function, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Blob, File, ReadableStreamByobReader, ReadableStreamGetReaderOptions, ReadableStreamReaderMode};

use super::Out;
use crate::host;
use crate::protocol::{Found, FromWorker, Key, Room};

/// At most this much of a stream is taken at once: what Chromium's pipe holds. Firefox hands out 64 KiB at most.
const STREAM: u32 = 2 * 1024 * 1024;

/// A stream that gives nothing for so long is given up, and the file is read on by slices: browsers' streams of files have hung.
const PATIENCE_MS: u32 = 5000;

/// Two slices of this size in flight read a file fastest: smaller ones pay per call, larger ones only cost memory.
const SLICE: f64 = 12.0 * 1024.0 * 1024.0;

/// What of a slice is copied into the module's memory and read before the next: it then still lies in the processor's cache, where headers
/// that are far apart are found twice as fast.
const PIECE: usize = 128 * 1024;

/// What comes first is smaller, so that something is there to show at once: some hundred packets, which are analysed at once too.
const FIRST: f64 = 64.0 * 1024.0;

/// What a digest is going to need, at least: about a million packets.
const HEADROOM: usize = 32 << 20;

/// Often enough to look alive. What it costs to draw, on the same cores, is as much as reading ten megabytes.
const PROGRESS_EVERY_MS: f64 = 250.0;

/// A first answer is worth its cost only for what takes a while to read or, where it is of very many conversations, to analyse.
const LARGE: f64 = 2.0 * 1024.0 * 1024.0;
/// Of captures with more frames than this, no further answers are given before the whole: a copy of the digest costs memory.
const MOST_SO_FAR: u64 = 1_000_000;
/// After the first answer, each comes this many times later than the last.
const LATER: f64 = 4.0;

/// When a large capture is to say what it gave so far: at once, then ever more seldom, so that it costs a part of the reading.
struct SoFar {
    is_wanted: bool,
    begun: f64,
    next: f64,
}

impl SoFar {
    fn new(size: f64) -> Self {
        Self { is_wanted: size > LARGE, begun: js_sys::Date::now(), next: 0.0 }
    }

    fn tick(&mut self, ingest: &Ingest, say: impl FnOnce(&Ingested)) {
        let passed = js_sys::Date::now() - self.begun;
        if !self.is_wanted || passed < self.next {
            return;
        }
        self.next = (passed * LATER).max(1000.0);
        self.is_wanted = ingest.frames() <= MOST_SO_FAR;
        // Asked last: it copies what has come so far.
        if self.is_wanted
            && let Some(part) = ingest.so_far()
        {
            say(&part);
        }
    }
}

/// Reads `file` and says what came of it. Never fails: what the browser cannot read makes the input partial.
pub async fn read(out: Out, key: Key, name: String, file: File, room: Room) {
    let begun = js_sys::Date::now();
    let mut ingest = Ingest::new(&name);
    let mut so_far = SoFar::new(file.size());
    let outcome = feed(&file, |chunk, total| {
        ingest.push(chunk);
        sample::bound(&mut ingest, room.one);
        total.tick(|bytes| out.say(&FromWorker::Progress { key, bytes, frames: ingest.frames() }, &[]));
        so_far.tick(&ingest, |part| out.say(&FromWorker::SoFar { key }, &[buffer(part)]));
        true
    })
    .await;
    let mut found = ingest.finish();
    if let Err((at, why)) = outcome {
        let message = format!("the browser could not read on at byte {at}: {why}. Has the file changed or moved since it was added?");
        for one in found.iter_mut().filter(|one| one.status != Status::Rejected) {
            one.status = if at == 0 { Status::Rejected } else { Status::Partial };
            one.message = Some(message.clone());
        }
        if let Some(one) = found.iter_mut().find(|one| one.message.is_none() || at == 0) {
            one.message = Some(message);
        }
    }
    let list = found.iter().map(describe).collect();
    // One at a time, and each is gone before the next is copied.
    let buffers: Vec<JsValue> = found.into_iter().map(|one| buffer(&one)).collect();
    let took_ms = (js_sys::Date::now() - begun).max(1.0) as u32;
    out.say(&FromWorker::Read { key, found: list, took_ms }, &buffers);
}

/// What moves to the analyst. The module's memory, which cannot shrink again, never holds it beside the digest.
fn buffer(one: &Ingested) -> JsValue {
    let array = Uint8Array::new_with_length(u32::try_from(one.size()).unwrap_or(u32::MAX));
    let mut at: u32 = 0;
    one.write(&mut |part| {
        let end = at.saturating_add(part.len() as u32);
        array.subarray(at, end).copy_from(part);
        at = end;
    });
    array.buffer().into()
}

fn describe(one: &Ingested) -> Found {
    Found {
        name: one.name.clone(),
        kind: one.kind.clone(),
        status: one.status,
        message: one.message.clone(),
        corrections: corrections(&one.data),
    }
}

/// What a session file corrects.
fn corrections(data: &Data) -> Vec<Correction> {
    let Data::Facts(facts) = data else { return Vec::new() };
    let correction = |fact: &Fact| match fact {
        Fact::Correction(correction) => Some(correction.clone()),
        _ => None,
    };
    facts.iter().filter_map(|one| correction(&one.fact)).collect()
}

/// How far a file has been read, and when that was last said.
pub struct Total {
    bytes: u64,
    said_at: f64,
}

impl Total {
    fn tick(&mut self, say: impl FnOnce(u64)) {
        let now = js_sys::Date::now();
        if now - self.said_at >= PROGRESS_EVERY_MS {
            self.said_at = now;
            say(self.bytes);
        }
    }
}

thread_local! {
    /// The buffer in the module's memory that every piece is copied into. The memory cannot shrink again, so it is kept for the next file.
    static CHUNK: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Makes room for what comes before it does: getting new memory from the system takes as long as reading some.
pub fn prepare() {
    CHUNK.with_borrow_mut(|chunk| chunk.resize(PIECE, 0));
    touch(HEADROOM);
}

/// Memory that was written to once is had at once the next time.
pub fn touch(bytes: usize) {
    std::hint::black_box(vec![1_u8; bytes]);
}

/// Hands the blob's bytes to `push` in order until it says `false`.
///
/// # Errors
/// The offset at which reading stopped, and the browser's words.
pub async fn feed(blob: &Blob, push: impl FnMut(&[u8], &mut Total) -> bool) -> Result<(), (u64, String)> {
    let mut chunk = CHUNK.take();
    chunk.resize(PIECE, 0);
    let mut feed = Feed { chunk, total: Total { bytes: 0, said_at: js_sys::Date::now() }, push };
    let outcome = feed.all(blob).await;
    CHUNK.set(feed.chunk);
    outcome
}

struct Feed<F> {
    chunk: Vec<u8>,
    total: Total,
    push: F,
}

impl<F: FnMut(&[u8], &mut Total) -> bool> Feed<F> {
    /// As a stream; by slices where a browser gives none of files, and from where a stream stopped: they say why, or read on.
    async fn all(&mut self, blob: &Blob) -> Result<(), (u64, String)> {
        if let Some(mut stream) = Stream::of(blob) {
            while let Some(part) = stream.next().await {
                if !self.take(&part) {
                    stream.cancel();
                    return Ok(());
                }
                stream.give_back(&part);
            }
            stream.cancel();
        }
        self.slices(blob).await
    }

    async fn slices(&mut self, blob: &Blob) -> Result<(), (u64, String)> {
        let size = blob.size();
        let mut next = self.total.bytes as f64;
        let mut in_flight: VecDeque<Promise> = VecDeque::new();
        let mut ask = |in_flight: &mut VecDeque<Promise>, at: u64| {
            while in_flight.len() < 2 && next < size {
                let end = (next + if next == 0.0 { FIRST } else { SLICE }).min(size);
                let slice = blob.slice_with_f64_and_f64(next, end).map_err(|e| (at, host::text_of(&e)))?;
                in_flight.push_back(slice.array_buffer());
                next = end;
            }
            Ok(())
        };
        ask(&mut in_flight, self.total.bytes)?;
        while let Some(promise) = in_flight.pop_front() {
            let buffer = JsFuture::from(promise).await.map_err(|e| (self.total.bytes, host::text_of(&e)))?;
            // Asked before this one is looked at: else only one would be on its way meanwhile.
            ask(&mut in_flight, self.total.bytes)?;
            if !self.take(&Uint8Array::new(&buffer)) {
                break;
            }
        }
        Ok(())
    }

    fn take(&mut self, array: &Uint8Array) -> bool {
        let (mut from, length) = (0, array.length());
        while from < length {
            let to = length.min(from.saturating_add(PIECE as u32));
            let Some(part) = self.chunk.get_mut(..to.saturating_sub(from) as usize) else { return false };
            array.subarray(from, to).copy_to(part);
            self.total.bytes = self.total.bytes.saturating_add(part.len() as u64);
            if !(self.push)(part, &mut self.total) {
                return false;
            }
            from = to;
        }
        true
    }
}

/// A file's bytes as they come, into memory that is used again ("bring your own buffer", Streams Standard 4.5). The browser reads on into a
/// pipe while what came is dissected, and neither has to get and clear memory for each slice: half the time of slices, or less.
struct Stream {
    reader: ReadableStreamByobReader,
    buffer: ArrayBuffer,
    /// Runs out when too much time has passed since it was wound up.
    patience: TimeoutFuture,
    has_come: bool,
}

impl Stream {
    /// `None`: this browser has no such streams of files.
    fn of(blob: &Blob) -> Option<Self> {
        // Where there is no such method, calling it throws.
        let stream = Reflect::get(blob, &"stream".into()).ok()?.is_function().then(|| blob.stream())?;
        let options = ReadableStreamGetReaderOptions::new();
        options.set_mode(ReadableStreamReaderMode::Byob);
        let get_reader: Function = Reflect::get(&stream, &"getReader".into()).ok()?.dyn_into().ok()?;
        let reader = get_reader.call1(&stream, &options).ok()?.unchecked_into();
        Some(Self { reader, buffer: ArrayBuffer::new(FIRST as u32), patience: TimeoutFuture::new(PATIENCE_MS), has_come: false })
    }

    /// The next bytes. `None`: that was all, or the stream failed, or nothing has come for so long that nothing will.
    async fn next(&mut self) -> Option<Uint8Array> {
        let view = Uint8Array::new(&self.buffer);
        let mut read = JsFuture::from(self.reader.read_with_array_buffer_view(&view));
        let read = poll_fn(|context| {
            loop {
                if let Poll::Ready(read) = Pin::new(&mut read).poll(context) {
                    return Poll::Ready(read.ok());
                }
                match Pin::new(&mut self.patience).poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) if !self.has_come => return Poll::Ready(None),
                    Poll::Ready(()) => (self.patience, self.has_come) = (TimeoutFuture::new(PATIENCE_MS), false),
                }
            }
        });
        let read = read.await?;
        self.has_come = true;
        let is_done = Reflect::get(&read, &"done".into()).ok()?.is_truthy();
        Reflect::get(&read, &"value".into()).ok().filter(|_| !is_done)?.dyn_into().ok()
    }

    /// What lies in the buffer has been read.
    fn give_back(&mut self, part: &Uint8Array) {
        let buffer = part.buffer();
        self.buffer = if buffer.byte_length() < STREAM { ArrayBuffer::new(STREAM) } else { buffer };
    }

    /// Nothing more is wanted. What became of it does not matter: it may have failed already.
    fn cancel(&self) {
        let cancelled = JsFuture::from(self.reader.cancel());
        spawn_local(async move {
            let _ = cancelled.await;
        });
    }
}

/// The blob's bytes from `start`, at most `length`.
///
/// # Errors
/// The browser's words.
pub async fn bytes_of(blob: &Blob, start: f64, length: f64) -> Result<Vec<u8>, String> {
    let slice = blob.slice_with_f64_and_f64(start, (start + length).min(blob.size())).map_err(|e| host::text_of(&e))?;
    let buffer = JsFuture::from(slice.array_buffer()).await.map_err(|e| host::text_of(&e))?;
    Ok(Uint8Array::new(&buffer).to_vec())
}
