//! The place that evidence names, read again from its file: one frame, or the lines around a statement.
//! The page keeps no bytes, so every look goes back to the file.

use std::net::IpAddr;

use hopscope::capture::{CaptureReader, FrameSink, InterfaceInfo, LinkType, RawFrame, frame_at};
use hopscope::dissect::{self, describe};
use hopscope::import::locate;
use hopscope::model::{Locator, Nanos};
use hopscope::views::escape::inert;
use web_sys::File;

use super::analyst::Near;
use super::reader;
use super::unwrap::{self, Unwrap};
use crate::protocol::{Decoded, Excerpt, Field, Layer};

/// Documents are shown up to this size; what is larger is not a document that a person reads.
const MOST_TEXT: usize = 256 << 20;
/// Lines shown before and after the ones that were asked for.
const AROUND: usize = 3;
/// Of a longer place, this many lines are shown.
const MOST_LINES: usize = 60;
/// Longer lines are cut: some tools write a whole document in one.
const MOST_COLUMNS: usize = 2000;

/// Frame `number` of the capture called `name`, which is `file` (the input `file_name`) or inside it.
///
/// # Errors
/// It cannot be read, or there is no such frame; for a person.
pub async fn frame(file: &File, file_name: &str, name: &str, number: u64) -> Result<Decoded, String> {
    let mut reader = CaptureReader::new();
    let mut wanted = Wanted { number, link_types: Vec::new(), found: None };
    let mut unwrap = Unwrap::new(file_name, name);
    reader::feed(file, |chunk, _| {
        unwrap.push(chunk, &mut |bytes| reader.push(bytes, &mut wanted));
        wanted.found.is_none()
    })
    .await
    .map_err(|(at, why)| format!("{name} could not be read on at byte {at}: {why}. Has the file changed or moved?"))?;
    if wanted.found.is_none() {
        unwrap.finish(&mut |bytes| reader.push(bytes, &mut wanted));
        reader.finish(&mut wanted);
    }
    wanted.found.ok_or_else(|| format!("{name} has no frame {number} that can be read again"))
}

/// At most this much of a file is read for one frame: where more lies between two checkpoints, damage does.
const MOST_FOR_A_FRAME: f64 = 64.0 * 1024.0 * 1024.0;

/// The same frame, read from near by. `None` when it is not there: the file is compressed, or has changed.
pub async fn frame_near(file: &File, near: &Near, number: u64) -> Option<Decoded> {
    let head = reader::bytes_of(file, 0.0, unwrap::PREFIX as f64).await.ok()?;
    if unwrap::kind_of(&head).is_some() {
        return None;
    }
    let start = near.checkpoint.offset as f64;
    let end = near.end.map_or(file.size(), |end| end as f64).min(start + MOST_FOR_A_FRAME);
    let bytes = reader::bytes_of(file, start, end - start).await.ok()?;
    let frame = frame_at(&near.layout, &near.checkpoint, &bytes, number)?;
    Some(decoded(number, frame.time_ns, frame.original_len, frame.bytes, Some(frame.link_type)))
}

fn decoded(frame: u64, time_ns: Option<Nanos>, original_len: u32, bytes: Vec<u8>, link_type: Option<LinkType>) -> Decoded {
    let layers = link_type.map(|link_type| describe(link_type, &bytes, original_len)).unwrap_or_default();
    Decoded { frame, time_ns, original_len, layers: layers.into_iter().map(layer).collect(), bytes }
}

struct Wanted {
    number: u64,
    link_types: Vec<Option<LinkType>>,
    found: Option<Decoded>,
}

impl FrameSink for Wanted {
    fn interface(&mut self, info: &InterfaceInfo) {
        let index = info.index as usize;
        if self.link_types.len() <= index {
            self.link_types.resize(index.saturating_add(1), None);
        }
        if let Some(slot) = self.link_types.get_mut(index) {
            *slot = info.link_type;
        }
    }

    fn frame(&mut self, frame: RawFrame<'_>) {
        if frame.number != self.number || self.found.is_some() {
            return;
        }
        let link_type = self.link_types.get(frame.interface as usize).copied().flatten();
        self.found = Some(decoded(frame.number, frame.time_ns, frame.original_len, frame.bytes.to_vec(), link_type));
    }

    fn name(&mut self, _: IpAddr, _: &str, _: u64) {}
}

fn layer(of: dissect::Layer) -> Layer {
    let fields = of.fields.into_iter().map(|f| Field {
        name: f.name.to_owned(),
        value: inert(&f.value),
        start: f.start,
        end: f.start.saturating_add(f.len),
    });
    Layer { name: of.name.to_owned(), start: of.start, end: of.start.saturating_add(of.len), fields: fields.collect() }
}

/// The lines at `at` in the document called `name`, with some around them.
///
/// # Errors
/// It cannot be read, or has no such place; for a person.
pub async fn excerpt(file: &File, file_name: &str, name: &str, at: &Locator) -> Result<Excerpt, String> {
    let mut bytes = Vec::new();
    let mut take = |part: &[u8]| {
        if bytes.len() <= MOST_TEXT {
            bytes.extend_from_slice(part);
        }
    };
    let mut unwrap = Unwrap::new(file_name, name);
    reader::feed(file, |chunk, _| {
        unwrap.push(chunk, &mut take);
        true
    })
    .await
    .map_err(|(at, why)| format!("{name} could not be read on at byte {at}: {why}. Has the file changed or moved?"))?;
    unwrap.finish(&mut take);
    if bytes.len() > MOST_TEXT {
        return Err(format!("{name} is too large to be shown"));
    }
    let span = locate::span_of(&bytes, at).ok_or_else(|| format!("{name} has no such place any more"))?;
    // Places count in the decoded text: PowerShell redirects UTF-16.
    let text = hopscope::import::text(&bytes);
    let (from, to) = (span.first_line.max(1) as usize, span.last_line.max(1) as usize);
    let first = from.saturating_sub(AROUND).max(1);
    let last = to.saturating_add(AROUND).min(from.saturating_add(MOST_LINES));
    let lines: Vec<String> = text
        .lines()
        .skip(first.saturating_sub(1))
        .take(last.saturating_sub(first).saturating_add(1))
        .map(|line| shown(&line.chars().take(MOST_COLUMNS).collect::<String>()))
        .collect();
    Ok(Excerpt { first, lines, marked: (from, to), is_cut: last < to })
}

/// A line as it is shown: inert, but for the tabs that tables are made with.
fn shown(line: &str) -> String {
    line.split('\t').map(inert).collect::<Vec<_>>().join("\t")
}
