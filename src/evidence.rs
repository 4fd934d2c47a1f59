//! The book of evidence: statements with their places in the inputs, each entered once.
//! Knows nothing of what a statement is about.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use crate::model::Locator;
use crate::packed;
use crate::phrase::Phrase;
use crate::report::Evidence;
use crate::rows::{Reader, Row, Rows, Writer};

/// An entry of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ev(u32);

/// A place in one input: index of the input (in the analysis's order) and where in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Index of the input.
    pub input: usize,
    /// Where in it.
    pub at: Locator,
}

impl Place {
    /// A frame of a capture, by row (from 0).
    #[must_use]
    pub fn frame(input: usize, row: u32) -> Self {
        Self { input, at: Locator::Frame(u64::from(row) + 1) }
    }
}

/// Statements with their sources, in order of entry.
#[derive(Debug, Default)]
pub struct Book {
    entries: Rows<Entry>,
    /// The hash of an entry → the latest one that has it. Entries are not kept twice: there are some for each conversation.
    by_hash: FxHashMap<u32, Ev>,
    /// For an entry an earlier one with the same hash.
    same_hash: FxHashMap<Ev, Ev>,
    /// The room of the last phrase, and of the last places.
    spare: Phrase,
    places: Vec<Place>,
}

#[derive(Debug)]
struct Entry {
    kind: Cow<'static, str>,
    statement: Statement,
    sources: Vec<Place>,
}

/// What is said: written out, or put together already.
#[derive(Debug)]
pub(crate) enum Statement {
    Text(String),
    Phrase(Phrase),
}

impl From<String> for Statement {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Statement {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Phrase> for Statement {
    fn from(phrase: Phrase) -> Self {
        Self::Phrase(phrase)
    }
}

/// As [`Evidence`] is written, but for the id before it.
impl Row for Entry {
    fn write(&self, to: &mut Writer<'_>) {
        to.word(&self.kind);
        match &self.statement {
            Statement::Text(text) => to.text(text),
            Statement::Phrase(phrase) => to.phrase(phrase),
        }
        to.list(&self.sources, |to, place| {
            to.number((place.input as u64) << 1);
            packed::write_locator(to, &place.at);
        });
    }

    fn read(from: &mut Reader<'_>) -> Self {
        let (kind, statement) = (from.word().into(), from.text().into());
        let place = |from: &mut Reader<'_>| {
            let input = from.small::<usize>() >> 1;
            Place { input, at: packed::read_locator(from).unwrap_or(Locator::Line(1)) }
        };
        Self { kind, statement, sources: from.list(place) }
    }
}

/// A statement names at most so many places: enough to check it, little enough to read.
const SOURCES: usize = 12;

impl Book {
    /// Enters a statement, or finds it where it is known (what one place says is either always a text or always a phrase). `sources` must not be empty: a claim without a place is a defect.
    pub(crate) fn add(&mut self, kind: &'static str, statement: impl Into<Statement>, sources: Vec<Place>) -> Ev {
        let hash = self.write(kind, statement.into(), &sources, |entries, entry| (entries.encode(entry) >> 32) as u32);
        let latest = self.by_hash.get(&hash).copied();
        let mut known = latest;
        while let Some(ev) = known {
            if self.entries.is_encoded(ev.0 as usize) {
                return ev;
            }
            known = self.same_hash.get(&ev).copied();
        }
        let ev = self.next();
        self.entries.keep();
        self.same_hash.extend(latest.map(|latest| (ev, latest)));
        self.by_hash.insert(hash, ev);
        ev
    }

    /// Enters a statement that nobody else makes, as of a stream that only one hop has: it is not looked for. Of each conversation there are several
    /// such, and to remember them for that would take as much room as the statements do.
    pub(crate) fn add_new(&mut self, kind: &'static str, statement: impl Into<Statement>, sources: &[Place]) -> Ev {
        let ev = self.next();
        self.write(kind, statement.into(), sources, |entries, entry| entries.push(entry));
        ev
    }

    fn next(&self) -> Ev {
        Ev(u32::try_from(self.entries.len()).unwrap_or(u32::MAX))
    }

    /// Has an entry written, in the room of the one before.
    fn write<R>(
        &mut self,
        kind: &'static str,
        statement: Statement,
        sources: &[Place],
        to: impl FnOnce(&mut Rows<Entry>, &Entry) -> R,
    ) -> R {
        debug_assert!(!sources.is_empty(), "evidence without a source");
        let mut places = std::mem::take(&mut self.places);
        places.clear();
        places.extend(sources.chunk_by(|a, b| a == b).filter_map(|same| same.first().cloned()).take(SOURCES));
        let entry = Entry { kind: kind.into(), statement, sources: places };
        let result = to(&mut self.entries, &entry);
        self.places = entry.sources;
        if let Statement::Phrase(phrase) = entry.statement {
            self.spare = phrase;
        }
        result
    }

    /// A statement to be put together.
    pub(crate) fn phrase(&mut self, words: &str) -> Phrase {
        std::mem::take(&mut self.spare).again(words)
    }

    /// The places of an entry.
    #[must_use]
    pub fn sources(&self, ev: Ev) -> Vec<Place> {
        self.entries.get(ev.0 as usize).map_or(Vec::new(), |e| e.sources)
    }

    /// The entries that are used, as the report's evidence.
    pub(crate) fn publish(self, used: &Used) -> Rows<Evidence> {
        self.entries.select(|at| used.rank(Ev(u32::try_from(at).ok()?)).map(|rank| (rank + 1) << 1))
    }
}

impl Ev {
    /// Its place among all entries.
    pub(crate) fn index(self) -> u32 {
        self.0
    }

    /// The entry at this place.
    pub(crate) fn at(index: u32) -> Self {
        Self(index)
    }
}

/// Which entries are used.
#[derive(Debug, Default)]
pub(crate) struct Used {
    bits: Vec<u64>,
    /// How many are used before each 64.
    before: Vec<u32>,
}

impl Used {
    pub(crate) fn extend(&mut self, entries: impl IntoIterator<Item = Ev>) {
        for ev in entries {
            let at = ev.0 as usize / 64;
            if self.bits.len() <= at {
                self.bits.resize(at + 1, 0);
            }
            if let Some(bits) = self.bits.get_mut(at) {
                *bits |= 1 << (ev.0 % 64);
            }
        }
    }

    /// Counts them, for [`Self::rank`].
    pub(crate) fn count(&mut self) {
        let mut total = 0;
        self.before.clear();
        for bits in &self.bits {
            self.before.push(total);
            total += bits.count_ones();
        }
    }

    /// The how manieth of those that are used this is, from 0.
    pub(crate) fn rank(&self, ev: Ev) -> Option<u64> {
        let at = ev.0 as usize / 64;
        let (bits, bit) = (self.bits.get(at)?, ev.0 % 64);
        let below = (bits & ((1 << bit) - 1)).count_ones();
        (bits >> bit & 1 == 1).then_some(u64::from(self.before.get(at)? + below))
    }
}
