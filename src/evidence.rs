//! The book of evidence: statements with their places in the inputs, each entered once.
//! Knows nothing of what a statement is about.

use std::collections::BTreeMap;
use std::hash::{Hash as _, Hasher as _};

use rustc_hash::{FxHashMap, FxHasher};

use crate::model::Locator;
use crate::report::{Evidence, Source};

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
    entries: Vec<Entry>,
    /// The hash of an entry → the latest one that has it. Entries are not kept twice: there are some for each conversation.
    by_hash: FxHashMap<u64, Ev>,
    /// For each entry an earlier one with the same hash.
    same_hash: Vec<Option<Ev>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entry {
    kind: &'static str,
    statement: String,
    sources: Vec<Place>,
}

/// A statement names at most so many places: enough to check it, little enough to read.
const SOURCES: usize = 12;

impl Book {
    /// Enters a statement, or finds it where it is known. `sources` must not be empty: a claim without a place is a defect.
    pub fn add(&mut self, kind: &'static str, statement: impl Into<String>, mut sources: Vec<Place>) -> Ev {
        sources.dedup();
        sources.truncate(SOURCES);
        debug_assert!(!sources.is_empty(), "evidence without a source");
        let entry = Entry { kind, statement: statement.into(), sources };
        let mut hasher = FxHasher::default();
        entry.hash(&mut hasher);
        let hash = hasher.finish();
        let latest = self.by_hash.get(&hash).copied();
        let mut known = latest;
        while let Some(ev) = known {
            if self.entries.get(ev.0 as usize).is_some_and(|e| *e == entry) {
                return ev;
            }
            known = self.same_hash.get(ev.0 as usize).copied().flatten();
        }
        let ev = Ev(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        self.entries.push(entry);
        self.same_hash.push(latest);
        self.by_hash.insert(hash, ev);
        ev
    }

    /// The places of an entry.
    #[must_use]
    pub fn sources(&self, ev: Ev) -> &[Place] {
        self.entries.get(ev.0 as usize).map_or(&[], |e| &e.sources)
    }

    /// The entries that `used` names, as the report's evidence, and the ids that they have there.
    #[must_use]
    pub fn publish(
        &self,
        used: &std::collections::BTreeSet<Ev>,
        input_id: impl Fn(usize) -> String,
    ) -> (Vec<Evidence>, BTreeMap<Ev, String>) {
        let mut ids = BTreeMap::new();
        let mut list = Vec::new();
        for ev in used {
            let Some(entry) = self.entries.get(ev.0 as usize) else { continue };
            let id = format!("e{}", list.len() + 1);
            let sources = entry.sources.iter().map(|p| {
                let mut source = Source { input: input_id(p.input), ..Source::default() };
                match &p.at {
                    Locator::Frame(n) => source.frame = Some(*n),
                    Locator::Pointer(p) => source.pointer = Some(p.clone()),
                    Locator::Line(n) => source.line = Some(*n),
                }
                source
            });
            list.push(Evidence {
                id: id.clone(),
                kind: entry.kind.to_owned(),
                statement: entry.statement.clone(),
                sources: sources.collect(),
            });
            ids.insert(*ev, id);
        }
        (list, ids)
    }
}
