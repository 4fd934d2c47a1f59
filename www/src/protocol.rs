//! What the page and its workers say to each other.
//!
//! A message is an array: first the bytes of one of these enums, then whatever cannot be bytes: `File` handles and
//! transferred `ArrayBuffer`s. Both ends are the same build (`boot.js` sees to it), so there are no versions: the bytes are
//! postcard's, whose reader is a fraction of JSON's in the page's module. It reads by position, so nothing here may have members
//! that are sometimes left out.
#![allow(missing_docs)] // Plain data; a member has a sentence where its name does not say it.

use hopscope::facts::Correction;
use hopscope::model::Locator;
use hopscope::report::{CapturePoint, DirectionPath, Entity, EntityKind, Finding, Input, Side, Status, Verdict};
use hopscope::views::layout::Picture;
use serde::{Deserialize, Serialize};

/// The page's own number for an input; never reused.
pub type Key = u32;

/// What the page asks of a worker.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToWorker {
    /// To a reader: read this file. Attached: the `File`.
    Read { key: Key, name: String, room: Room },
    /// To a reader: there will be something to read.
    Prepare,
    /// To the analyst: an input was read, whole or so far. Attached: one buffer for each `Ingested`. `is_last`: no other is being read, so
    /// there is nothing to wait for.
    Add { key: Key, room: Room, is_last: bool },
    /// To the analyst: forget this input.
    Remove { key: Key },
    /// To the analyst: show this saved report instead of analysing. Attached: the `File`.
    Open { key: Key },
    /// To the analyst: one answer, please. Attached: the `File`, where the question is about one. `is_rehearsal`: it is about the made-up report.
    Ask { ask: u32, question: Question, is_rehearsal: bool },
    /// To the analyst: make up a report while there is nothing else to do.
    Rehearse,
    /// To the analyst: nobody will ask about that any more.
    Rehearsed,
}

/// How many packets fit into the tab; of more, a sample is examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Of all captures.
    pub all: u64,
    /// Of one, which is in memory three times while it moves from its reader to the analyst.
    pub one: u64,
}

impl Room {
    /// Meant for a tab below 1.5 GB: 35 octets a packet at the analyst, and thrice that while one capture moves there.
    pub const USUAL: Self = Self { all: 10 << 20, one: 3 << 20 };

    /// Room for so many packets of all captures, in the usual proportion.
    #[must_use]
    pub fn of(all: u64) -> Self {
        Self { all, one: (all / 10).saturating_mul(3).max(1) }
    }
}

/// What the page wants to know of the report or of an input.
#[derive(Debug, Serialize, Deserialize)]
pub enum Question {
    /// Everything that one path's table shows: the conversation with this key, else the path with this id, else the first one.
    Path { key: Option<String>, id: Option<String> },
    /// One path's picture.
    Picture { id: String },
    /// All paths in one picture.
    Map,
    /// Who talks to whom.
    Pairs,
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
    /// The session file that says these corrections.
    Session { corrections: Vec<Correction> },
}

/// Which conversations are listed, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// Every word of it must be found.
    pub filter: String,
    /// Only those that pass this entity or what it holds.
    pub through: Option<Name>,
    pub order: Order,
}

/// How the list of conversations is sorted; equals stay in the report's order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Lost first, then rejected: what somebody looks for in an incident.
    #[default]
    Trouble,
    Report,
    /// Most packets first.
    Packets,
    Client,
    Server,
}

/// The forms that the report can be saved in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
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
pub enum FromWorker {
    /// From a reader: so far.
    Progress { key: Key, bytes: u64, frames: u64 },
    /// From a reader: what a large capture gave so far. Attached: one buffer.
    SoFar { key: Key },
    /// From a reader: done, in so many milliseconds. Attached: one buffer for each `Ingested`.
    Read { key: Key, found: Vec<Found>, took_ms: u32 },
    /// From the analyst: there is a new report, over the first `heard` changes that it was told. Attached: how many milliseconds it took.
    Report { overview: Box<Overview>, heard: u32 },
    /// From the analyst: there is a made-up report.
    Rehearsed { overview: Box<Overview> },
    /// From the analyst: the answer to a question. Attached: the bytes of a `Result<Answer, String>`, for whoever asked to read.
    Answer { ask: u32 },
    /// The program stopped at a defect of its own; this worker is dead.
    Panicked { message: String },
}

/// What one `Ingested` is, for the list of inputs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Found {
    pub name: String,
    pub kind: String,
    pub status: Status,
    pub message: Option<String>,
    /// What a session file corrects.
    pub corrections: Vec<Correction>,
}

/// The part of the report that the page always shows; the rest stays with the analyst. Its size does not grow with the traffic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    pub inputs: Vec<Input>,
    pub points: Vec<Placed>,
    /// How many conversations there are.
    pub conversations: u32,
    /// How many findings there are.
    pub findings: u32,
    /// The most severe of them.
    pub worst: Vec<FindingRow>,
    /// Interfaces that a capture may be placed at.
    pub interfaces: Vec<Name>,
    /// Where not every packet was examined: how many were.
    pub sampled: Option<String>,
    /// What was left out because it fits several conversations alike.
    pub left_out: Option<String>,
}

/// A capture point with the name of its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Placed {
    pub point: CapturePoint,
    pub at: Option<Name>,
}

/// A finding with the names of what it is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindingRow {
    pub finding: Finding,
    pub about: Vec<About>,
}

/// What a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum About {
    /// A conversation by its key.
    Conversation {
        key: String,
        label: String,
    },
    Entity(Name),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    pub id: String,
    pub kind: EntityKind,
    /// As a person reads it: an interface with its owner.
    pub label: String,
}

/// One row of the list of conversations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    pub id: String,
    /// The same for the same conversation in the next report, where ids may have moved on.
    pub key: String,
    pub protocol: String,
    pub client: String,
    pub server: String,
    pub via: Option<String>,
    pub packets: u64,
    pub bytes: u64,
    pub hops: u32,
    pub verdict: Verdict,
}

/// The conversations of one client with one server's port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairRow {
    pub protocol: String,
    pub client: String,
    pub server: String,
    pub via: Option<String>,
    /// Conversations; those that are lost, rejected, unknown and delivered; packets.
    pub counts: [u64; 6],
    /// What the list is filtered by to show them.
    pub filter: String,
}

/// Answers to [`Question`]s.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    Path(Option<Box<Detail>>),
    Picture(Picture),
    /// The first rows of `total`.
    Pairs {
        rows: Vec<PairRow>,
        total: u32,
    },
    Entity(EntityDetail),
    Evidence(Vec<Statement>),
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
    Session(String),
}

/// A path with all that its table needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// Its `id` is the path's.
    pub conversation: Conversation,
    pub directions: Vec<DirectionPath>,
    /// For each direction, what became of its packets, in words that begin with the verdict.
    pub outcomes: Vec<String>,
    /// The findings that are told of this path, the most severe first.
    pub findings: Vec<FindingRow>,
    /// For each direction, for each hop.
    pub labels: Vec<Vec<HopLabel>>,
    /// The owners and interfaces with ids and kinds, each once.
    pub names: Vec<Name>,
    pub relays: Vec<Continued>,
}

/// What a hop is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HopLabel {
    pub owner: String,
    pub interface: Option<String>,
    /// Wireshark's display filter for what is seen there; may be empty.
    pub filter: String,
}

/// A conversation that a proxy continues another one by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Continued {
    pub other: About,
    pub through: Name,
    /// Whether the other is behind the proxy or in front of it.
    pub side: Side,
    pub confidence: f64,
    pub evidence: Vec<String>,
}

/// A piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    pub id: String,
    pub kind: String,
    pub statement: String,
    pub places: Vec<Place>,
}

/// A place in an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The input's id.
    pub input: String,
    /// None: the whole of it.
    pub at: Option<Locator>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntityDetail {
    pub entity: Entity,
    pub inside: Vec<Name>,
    /// Some at most.
    pub contains: Vec<Name>,
    /// How many more it contains.
    pub more: u32,
    pub evidence: Vec<Statement>,
}

/// One frame as the inspector shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decoded {
    pub frame: u64,
    pub time_ns: Option<i64>,
    pub original_len: u32,
    pub bytes: Vec<u8>,
    pub layers: Vec<Layer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    pub name: String,
    pub start: usize,
    pub end: usize,
    pub fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    pub name: String,
    pub value: String,
    pub start: usize,
    pub end: usize,
}

/// Lines of an input, `marked` among them the ones that were asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// Number of the first line, from 1.
    pub first: usize,
    pub lines: Vec<String>,
    /// First and last marked line, from 1.
    pub marked: (usize, usize),
    /// Whether lines were left out of the marked part because it is long.
    pub is_cut: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use hopscope::report::{Clock, Encapsulation, Hop, Rewrite};
    use serde::de::DeserializeOwned;

    /// What the other side reads, and whether it has read all.
    fn arrived<T: Serialize + DeserializeOwned>(value: &T) -> (T, usize) {
        let bytes = postcard::to_stdvec(value).unwrap_or_default();
        let (value, rest) = postcard::take_from_bytes::<T>(&bytes).unwrap_or_else(|e| unreachable!("{e}"));
        (value, rest.len())
    }

    /// A member that is left out where it is empty would shift all that come after it: so everything is empty here, and once again not.
    #[test]
    fn messages_arrive_as_they_were_sent() {
        let name = Name { id: "pod:d/a".to_owned(), kind: EntityKind::Pod, label: "a".to_owned() };
        let clock = Clock { relative_to: "cp1".to_owned(), offset_ns: -5, uncertainty_ns: 7, ..Clock::default() };
        let points = [CapturePoint::default(), CapturePoint { clock: Some(clock), confidence: 0.5, ..CapturePoint::default() }];
        let overview = Overview {
            inputs: vec![Input::default(), Input { name: "a.pcap".to_owned(), message: Some("cut".to_owned()), ..Input::default() }],
            points: points.map(|point| Placed { point, at: Some(name.clone()) }).to_vec(),
            worst: vec![FindingRow { finding: Finding::default(), about: vec![About::Entity(name.clone())] }; 2],
            interfaces: vec![name.clone()],
            ..Overview::default()
        };
        assert_eq!(arrived(&overview), (overview, 0));
        let hop = Hop { rewrites: vec![Rewrite::Snat], encapsulation: vec![Encapsulation::default()], ttl: Some(9), ..Hop::default() };
        let detail = Detail {
            conversation: Conversation {
                id: "p1".to_owned(),
                key: "k".to_owned(),
                protocol: "tcp".to_owned(),
                client: "a".to_owned(),
                server: "b".to_owned(),
                via: None,
                packets: 1,
                bytes: 2,
                hops: 3,
                verdict: Verdict::Lost,
            },
            directions: vec![DirectionPath { hops: vec![Hop::default(), hop], lost_after: Some(1), ..DirectionPath::default() }; 2],
            outcomes: vec!["lost".to_owned(); 2],
            findings: vec![FindingRow { finding: Finding { paths: vec!["p1".to_owned()], ..Finding::default() }, about: Vec::new() }],
            labels: vec![vec![HopLabel::default(); 2]; 2],
            names: vec![name.clone()],
            relays: vec![Continued {
                other: About::Entity(name.clone()),
                through: name.clone(),
                side: Side::Front,
                confidence: 0.9,
                evidence: Vec::new(),
            }],
        };
        assert_eq!(arrived(&detail), (detail, 0));
        let entity =
            EntityDetail { entity: Entity::default(), inside: vec![name.clone()], contains: vec![name], more: 1, evidence: Vec::new() };
        assert_eq!(arrived(&entity), (entity, 0));
        let picture = Picture { title: "t".to_owned(), ..Picture::default() };
        assert_eq!(arrived(&picture), (picture, 0));
    }
}
