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
    /// To the analyst: an input was read, whole or so far. Attached: one buffer for each `Ingested`.
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
    /// Everything that one path's table shows: the conversation with this key, else the path with this id, else the first one.
    Path { key: Option<String>, id: Option<String> },
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
    /// The report, or one path of it, in another form, with pseudonyms for every name and address if so wanted.
    Export { form: Form, path: Option<String>, is_redacted: bool },
    /// Rows of the list of conversations, from the `first` on.
    Rows { list: List, first: u32, count: u32 },
    /// The row that stands `by` rows after that of the conversation `key`.
    Step { list: List, key: Option<String>, by: i32 },
    /// Findings from the `first` on, the most severe first.
    Findings { first: u32, count: u32 },
    /// Entities whose id or name contains this, some at most.
    Names { like: String },
}

/// Which conversations are listed, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct List {
    /// Every word of it must be found.
    pub(crate) filter: String,
    pub(crate) order: Order,
}

/// How the list of conversations is sorted; equals stay in the report's order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Order {
    /// As in the report.
    #[default]
    Report,
    /// Lost and rejected first.
    Verdict,
    /// Most packets first.
    Packets,
    Client,
    Server,
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
    /// From a reader: what a large capture gave so far. Attached: one buffer.
    SoFar { key: Key },
    /// From a reader: done. Attached: one buffer for each `Ingested`.
    Read { key: Key, found: Vec<Found> },
    /// From the analyst: there is a new report, over the first `heard` changes that it was told. Attached: how many milliseconds it took.
    Report { overview: Box<Overview>, heard: u32 },
    /// From the analyst: the answer to a question. Attached: the JSON of `Result<Answer, String>`, for whoever asked to read.
    Answer { ask: u32 },
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

/// The part of the report that the page always shows; the rest stays with the analyst. Its size does not grow with the traffic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Overview {
    pub(crate) inputs: Vec<Input>,
    pub(crate) points: Vec<Placed>,
    /// How many conversations there are.
    pub(crate) conversations: u32,
    /// How many findings there are.
    pub(crate) findings: u32,
    /// The most severe of them.
    pub(crate) worst: Vec<FindingRow>,
    /// Interfaces that a capture may be placed at.
    pub(crate) interfaces: Vec<Name>,
}

/// A capture point with the name of its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Placed {
    pub(crate) point: CapturePoint,
    pub(crate) at: Option<Name>,
}

/// A finding with the names of what it is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FindingRow {
    pub(crate) finding: Finding,
    pub(crate) about: Vec<About>,
}

/// What a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum About {
    /// A conversation by its key.
    Conversation {
        key: String,
        label: String,
    },
    Entity(Name),
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
}

/// Answers to [`Question`]s.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Path(Option<Box<Detail>>),
    Picture(Picture),
    Entity(EntityDetail),
    Evidence(Vec<Evidence>),
    Frame(Decoded),
    Excerpt(Excerpt),
    Export {
        text: String,
        media_type: String,
        file_name: String,
    },
    /// `total` rows fit the filter; these begin at `first`.
    Rows {
        total: u32,
        first: u32,
        rows: Vec<Conversation>,
    },
    /// Where the row stands in the list; none where it does not fit the filter.
    Step(Option<(Option<u32>, Conversation)>),
    Findings(Vec<FindingRow>),
    Names(Vec<Name>),
}

/// A path with all that its table needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Detail {
    pub(crate) conversation: Conversation,
    pub(crate) path: Path,
    /// For each direction, for each hop: owner's and interface's name.
    pub(crate) labels: Vec<Vec<(String, Option<String>)>>,
    /// The same with ids and kinds, each once.
    pub(crate) names: Vec<Name>,
    /// For each of the path's relays: the conversation on the proxy's other side, and the proxy.
    pub(crate) relays: Vec<Continued>,
}

/// A conversation that a proxy continues another one by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Continued {
    pub(crate) other: About,
    pub(crate) through: Name,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EntityDetail {
    pub(crate) entity: Entity,
    pub(crate) inside: Vec<Name>,
    /// Some at most.
    pub(crate) contains: Vec<Name>,
    /// How many more it contains.
    pub(crate) more: u32,
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
