//! How soon the kernel behind a capture answers: at the two ends of a pod's link the same frames pass, but what the pod's kernel
//! answers by itself crosses the link twice more before the node's end has seen it.
//! Knows packets' times; must not know places.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::confidence as weight;
use crate::digest::{NO_TIME, Row, Tuple};
use crate::dissect::flags;
use crate::identify::place::{Capture, Point};
use crate::model::{Nanos, Protocol};

/// Rows of a capture that are looked at: more of them add nothing to a minimum.
const ENOUGH: usize = 20_000;

/// What a kernel answers without asking a process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Question {
    /// A SYN: SYN-ACK, or RST.
    Opening,
    /// A SYN-ACK: an acknowledgement that carries nothing.
    Opened,
    /// Data: the same.
    Data,
    /// Several at once: whose answer comes cannot be told.
    Several,
}

/// A kernel's answers at one capture.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answers {
    /// How many.
    pub(super) count: u32,
    /// The quickest, for its kind, in thousandths of what [`weight::ANSWER_NS`] has for it.
    pub(super) least: i64,
    /// The same in nanoseconds.
    pub(super) after: Nanos,
    /// What was answered, and the answer: rows.
    pub(super) rows: (u32, u32),
}

/// The answers of the kernel that has `ips`; `None` where there are none, or where the capture's clock is too coarse to tell.
pub(super) fn answers(captures: &[Capture<'_>], point: &Point, ips: &[IpAddr]) -> Option<Answers> {
    // Of a sample, what seems to be answered may not be what was.
    let capture = captures.get(point.capture).filter(|c| !c.digest.rate().is_sampled())?;
    let mut is_here = vec![false; capture.digest.streams.len()];
    for id in &point.streams {
        if let Some(slot) = is_here.get_mut(*id as usize) {
            *slot = true;
        }
    }
    let mut open: BTreeMap<Tuple, (Question, Nanos, u32)> = BTreeMap::new();
    let mut all: Option<Answers> = None;
    for row in capture.digest.rows().take(ENOUGH).filter(|r| r.time != NO_TIME && is_here.get(r.stream as usize) == Some(&true)) {
        let flow = capture.digest.streams.get(row.stream as usize).and_then(|s| s.key.flow).filter(|f| f.protocol == Protocol::Tcp);
        let Some(tuple) = flow else { continue };
        let (comes, goes) = (ips.contains(&tuple.dst), ips.contains(&tuple.src));
        if comes && !goes {
            if let Some(question) = question(&row) {
                let slot = open.entry(tuple.reversed());
                slot.and_modify(|q| q.0 = Question::Several).or_insert((question, row.time, row.row));
            }
        } else if goes
            && !comes
            && let Some((question, asked, asked_row)) = open.remove(&tuple)
        {
            let Some(usual) = usual(question, &row) else { continue };
            let after = row.time.saturating_sub(asked);
            let least = after.saturating_mul(1000) / usual;
            let count = all.map_or(1, |a| a.count.saturating_add(1));
            let one = Answers { count, least, after, rows: (asked_row, row.row) };
            all = Some(all.filter(|a| a.least <= least).map_or(one, |a| Answers { count, ..a }));
        }
    }
    // Two packets at one instant, or in the wrong order: no kernel is as fast, the clock's steps are coarser.
    all.filter(|a| a.after >= 1000)
}

fn question(row: &Row) -> Option<Question> {
    match (row.flags & (flags::SYN | flags::ACK | flags::RST), row.len) {
        (f, _) if f & flags::RST != 0 => None,
        (flags::SYN, _) => Some(Question::Opening),
        (f, _) if f & flags::SYN != 0 => Some(Question::Opened),
        (_, 0) => None,
        _ => Some(Question::Data),
    }
}

/// If the row answers: how long that usually takes.
fn usual(question: Question, row: &Row) -> Option<Nanos> {
    let [opening, opened, data] = weight::ANSWER_NS;
    let control = row.flags & (flags::SYN | flags::ACK | flags::RST | flags::FIN);
    let is_empty = control == flags::ACK && row.len == 0;
    match question {
        Question::Opening => (control & (flags::SYN | flags::RST) != 0 && control & flags::ACK != 0).then_some(opening),
        Question::Opened => is_empty.then_some(opened),
        Question::Data => is_empty.then_some(data),
        Question::Several => None,
    }
}
