//! What the page and its workers say to each other.
//!
//! A message is an array: first the JSON text of one of these enums, then whatever cannot be text: `File` handles and
//! transferred `ArrayBuffer`s. Both ends are the same build, so there are no versions.

use hopscope::model::Locator;
use hopscope::report::{CapturePoint, Entity, EntityKind, Evidence, Finding, Input, Path, Status, Verdict};
use hopscope::views::layout::Picture;
use serde::{Deserialize, Serialize};

/// The page's own number for an input; never reused.
pub(crate) type Key = u32;

/// What the page asks of a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    /// To a reader: read this file. Attached: the `File`.
    Read { key: Key, name: String },
    /// To the analyst: an input was read. Attached: one buffer for each `Ingested`.
    Add { key: Key },
    /// To the analyst: forget this input.
    Remove { key: Key },
    /// To the analyst: show this saved report instead of analysing. Attached: the `File`.
    Open { key: Key },
    /// To the analyst: one answer, please. Attached: the `File`, where the question is about one.
    Ask { ask: u32, question: Question },
}

/// What the page wants to know of the report or of an input.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Question {
    /// Everything that one path's table shows.
    Path { id: String },
    /// One path's picture.
    Picture { id: String },
    /// One entity with what contains it and what it contains.
    Entity { id: String },
    /// Evidence by id; ids that do not exist are left out.
    Evidence { ids: Vec<String> },
    /// One frame, decoded. Attached: the `File` of the input `file_name`; the frame is of the input `name`, which is that file or inside it.
    Frame { file_name: String, name: String, frame: u64 },
    /// The lines of a text or JSON input around a place; the file as above.
    Excerpt { file_name: String, name: String, at: Locator },
    /// The report, or one path of it, in another form.
    Export { form: Form, path: Option<String> },
}

/// The forms that the report can be saved in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Form {
    Json,
    Text,
    Svg,
    Mermaid,
    Dot,
    Graphml,
    Html,
    Csv,
}

/// What a worker says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromWorker {
    /// From a reader: so far.
    Progress { key: Key, bytes: u64, frames: u64 },
    /// From a reader: done. Attached: one buffer for each `Ingested`.
    Read { key: Key, found: Vec<Found> },
    /// From the analyst: work on a new report has begun.
    Analysing,
    /// From the analyst: the report. Attached: its JSON as a string, and how many milliseconds it took.
    Report { overview: Box<Overview> },
    /// From the analyst: the answer to a question.
    Answer { ask: u32, answer: Result<Box<Answer>, String> },
    /// The program stopped at a defect of its own; this worker is dead.
    Panicked { message: String },
}

/// What one `Ingested` is, for the list of inputs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) status: Status,
    pub(crate) message: Option<String>,
}

/// The part of the report that the page always shows; the rest stays with the analyst.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Overview {
    pub(crate) inputs: Vec<Input>,
    pub(crate) points: Vec<CapturePoint>,
    pub(crate) conversations: Vec<Conversation>,
    pub(crate) findings: Vec<Finding>,
    /// Every entity's id, kind and name, in the report's order.
    pub(crate) names: Vec<Name>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Name {
    pub(crate) id: String,
    pub(crate) kind: EntityKind,
    /// As a person reads it: an interface with its owner.
    pub(crate) label: String,
}

/// One row of the list of conversations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Conversation {
    pub(crate) id: String,
    /// The same for the same conversation in the next report, where ids may have moved on.
    pub(crate) key: String,
    pub(crate) protocol: String,
    pub(crate) client: String,
    pub(crate) server: String,
    pub(crate) via: Option<String>,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) hops: u32,
    pub(crate) verdict: Verdict,
    /// Findings about this path: the worst severity is what the row shows.
    pub(crate) note: Option<String>,
    /// Lower case; what the filter looks through.
    pub(crate) haystack: String,
}

/// Answers to [`Question`]s.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Path(Detail),
    Picture(Picture),
    Entity(EntityDetail),
    Evidence(Vec<Evidence>),
    Frame(Decoded),
    Excerpt(Excerpt),
    Export { text: String, media_type: String, file_name: String },
}

/// A path with all that its table needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Detail {
    pub(crate) path: Path,
    /// Entities on the path and everything that contains them.
    pub(crate) entities: Vec<Entity>,
    /// For each direction, for each hop: owner's and interface's name.
    pub(crate) labels: Vec<Vec<(String, Option<String>)>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EntityDetail {
    pub(crate) entity: Entity,
    pub(crate) inside: Vec<String>,
    pub(crate) contains: Vec<String>,
    pub(crate) evidence: Vec<Evidence>,
}

/// One frame as the inspector shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Decoded {
    pub(crate) frame: u64,
    pub(crate) time_ns: Option<i64>,
    pub(crate) original_len: u32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) layers: Vec<Layer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layer {
    pub(crate) name: String,
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Lines of an input, `marked` among them the ones that were asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Excerpt {
    /// Number of the first line, from 1.
    pub(crate) first: usize,
    pub(crate) lines: Vec<String>,
    /// First and last marked line, from 1.
    pub(crate) marked: (usize, usize),
    /// Whether lines were left out of the marked part because it is long.
    pub(crate) is_cut: bool,
}
