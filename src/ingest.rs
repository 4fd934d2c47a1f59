//! One input's bytes, in chunks of any size → [`Ingested`]: what it was recognised as and what was read from it.
//! Knows which reader reads which format; must not know what the reader's finds mean.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::capture::CaptureReader;
use crate::columnar::{self, Origin};
use crate::container::{Container, ContainerKind, Limits, MemberSink};
use crate::digest::{CaptureDigest, DigestBuilder, Rate};
use crate::facts::{Fact, Located};
use crate::import;
use crate::model::{Note, count};
use crate::report::Status;
use crate::sniff::{self, Format};

/// Inventories are read as a whole; one larger than this is cut here and reported as partial.
const MOST_TEXT: usize = 512 << 20;

/// As much of a digest: some fifty million packets, and what an address space of 32 bits has room for.
const MOST_DIGEST: usize = 2 << 30;

/// What follows a capture's name in the name of its digest.
pub const DIGEST_SUFFIX: &str = ".parquet";

/// Archives inside archives are opened this deep.
const MOST_NESTING: u8 = 4;

/// An input being read.
pub struct Ingest {
    name: String,
    bytes: u64,
    hash: Xxh3,
    depth: u8,
    /// How many packets of captures one of is kept.
    rate: Rate,
    state: State,
}

impl std::fmt::Debug for Ingest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingest").field("name", &self.name).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

enum State {
    /// Too little seen to tell what it is.
    Sniffing(Vec<u8>),
    Capture(Box<(CaptureReader, DigestBuilder)>),
    /// Inventories, read when they have come whole.
    Document(Format, Vec<u8>),
    /// Compressed, or an archive: what comes out goes to inputs of their own.
    Container(Format, Box<Container>, Box<Members>),
    /// Not read; the message says why.
    Refused(Format, String),
}

/// The members of a container, each read as it comes.
struct Members {
    /// The container's own name.
    archive: String,
    depth: u8,
    rate: Rate,
    current: Option<Ingest>,
    done: Vec<Ingested>,
    /// Members of no known kind: a support bundle holds hundreds of logs, which are no fault of anybody's.
    others: u64,
}

impl MemberSink for Members {
    fn member(&mut self, name: &str) {
        self.end();
        let name = if name.is_empty() { self.archive.clone() } else { format!("{}/{name}", self.archive) };
        let mut member = Ingest::nested(&name, self.depth + 1);
        member.sample(self.rate);
        self.current = Some(member);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if let Some(member) = &mut self.current {
            member.push(bytes);
        }
    }

    fn end(&mut self) {
        let Some(member) = self.current.take() else { return };
        for one in member.finish() {
            let is_known = one.kind != "unknown" || one.name == self.archive;
            if is_known {
                self.done.push(one);
            } else {
                self.others += 1;
            }
        }
    }
}

/// What one input gave. An archive gives one for each member.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ingested {
    /// The path as the person gave it; members of an archive as `archive.tgz/member`.
    pub name: String,
    /// What it was recognised as: the report's `inputs[].kind`.
    pub kind: String,
    /// Length as dropped (compressed, for a compressed file).
    pub bytes: u64,
    /// Hash of those bytes: orders inputs of the same name.
    pub hash: u64,
    /// Whether all of it was read.
    pub status: Status,
    /// For partial and rejected: what is wrong and where.
    pub message: Option<String>,
    /// What was read.
    pub data: Data,
}

/// What was read from an input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Data {
    /// Nothing.
    Nothing,
    /// A capture.
    Capture(Box<CaptureDigest>),
    /// An inventory.
    Facts(Vec<Located>),
}

impl Ingest {
    /// Begin reading an input called `name` (its path as the person gave it, `/` between folders).
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::nested(name, 0)
    }

    fn nested(name: &str, depth: u8) -> Self {
        Self { name: name.to_owned(), bytes: 0, hash: Xxh3::new(), depth, rate: Rate::ALL, state: State::Sniffing(Vec::new()) }
    }

    /// Keeps one packet in so many, of those that have come and of those that will come. What is coarser already stays.
    pub fn sample(&mut self, rate: Rate) {
        if rate <= self.rate {
            return;
        }
        self.rate = rate;
        match &mut self.state {
            State::Capture(reader) => reader.1.sample(rate),
            State::Container(_, _, members) => {
                members.rate = rate;
                members.done.iter_mut().for_each(|one| one.sample(rate));
                if let Some(member) = &mut members.current {
                    member.sample(rate);
                }
            }
            State::Sniffing(_) | State::Document(..) | State::Refused(..) => {}
        }
    }

    /// How many packets one of is kept.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Packets that are kept so far.
    #[must_use]
    pub fn kept(&self) -> u64 {
        match &self.state {
            State::Capture(reader) => reader.1.kept(),
            State::Container(_, _, members) => {
                members.done.iter().map(Ingested::kept).sum::<u64>() + members.current.as_ref().map_or(0, Self::kept)
            }
            State::Sniffing(_) | State::Document(..) | State::Refused(..) => 0,
        }
    }

    /// The next bytes; any length.
    pub fn push(&mut self, chunk: &[u8]) {
        self.bytes = self.bytes.saturating_add(chunk.len() as u64);
        self.hash.update(chunk);
        self.feed(chunk);
    }

    fn feed(&mut self, chunk: &[u8]) {
        match &mut self.state {
            State::Sniffing(prefix) => {
                prefix.extend_from_slice(chunk);
                if prefix.len() >= sniff::PREFIX {
                    self.decide();
                }
            }
            State::Capture(reader) => {
                let (reader, digest) = &mut **reader;
                reader.push(chunk, digest);
            }
            State::Document(format, bytes) => {
                let most = if *format == Format::Digest { MOST_DIGEST } else { MOST_TEXT };
                let room = most.saturating_sub(bytes.len());
                bytes.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
            }
            State::Container(_, container, members) => container.push(chunk, &mut **members),
            State::Refused(..) => {}
        }
    }

    /// What the first bytes say it is; they are then read as that.
    fn decide(&mut self) {
        let State::Sniffing(prefix) = std::mem::replace(&mut self.state, State::Document(Format::Unknown, Vec::new())) else { return };
        // As much as was asked for and no more, or what it is would depend on how it was cut into chunks.
        let first = prefix.get(..sniff::PREFIX).unwrap_or(&prefix);
        let format = sniff::sniff(first, &self.name);
        self.state = match format {
            Format::Pcap | Format::Pcapng => {
                let mut digest = DigestBuilder::new();
                digest.sample(self.rate);
                State::Capture(Box::new((CaptureReader::new(), digest)))
            }
            Format::Gzip | Format::Zstd | Format::Tar | Format::Zip if self.depth < MOST_NESTING => {
                let kind = match format {
                    Format::Gzip => ContainerKind::Gzip,
                    Format::Zstd => ContainerKind::Zstd,
                    Format::Tar => ContainerKind::Tar,
                    _ => ContainerKind::Zip,
                };
                let members =
                    Members { archive: self.name.clone(), depth: self.depth, rate: self.rate, current: None, done: Vec::new(), others: 0 };
                State::Container(format, Box::new(Container::new(kind, Limits::default())), Box::new(members))
            }
            Format::Gzip | Format::Zstd | Format::Tar | Format::Zip => {
                State::Refused(format, format!("archives are nested more than {MOST_NESTING} deep: unpack the outer ones"))
            }
            Format::Unsupported(how) => State::Refused(format, how.to_owned()),
            Format::Unknown => State::Refused(format, sniff::describe_unknown(first)),
            Format::Empty => match import::named_as(&self.name) {
                Some(format) => State::Document(format, Vec::new()),
                None => State::Refused(format, "the file is empty".to_owned()),
            },
            document => State::Document(document, Vec::new()),
        };
        self.feed(&prefix);
    }

    /// Frames read so far, for progress.
    #[must_use]
    pub fn frames(&self) -> u64 {
        match &self.state {
            State::Capture(reader) => reader.1.frames(),
            State::Container(_, _, members) => members.current.as_ref().map_or(0, Self::frames),
            _ => 0,
        }
    }

    /// What a capture gave so far, as if it ended here: a first answer while the rest is being read. `None` for anything but a
    /// capture (compressed or not). Copies the digest.
    #[must_use]
    pub fn so_far(&self) -> Option<Ingested> {
        match &self.state {
            State::Capture(reader) => {
                let (reader, builder) = &**reader;
                let mut digest = builder.so_far();
                digest.layout = reader.layout().clone();
                Some(Ingested {
                    name: self.name.clone(),
                    kind: Format::Pcap.as_str().to_owned(),
                    bytes: self.bytes,
                    hash: self.hash.digest(),
                    status: Status::Ok,
                    message: None,
                    data: Data::Capture(Box::new(digest)),
                })
            }
            State::Container(Format::Gzip | Format::Zstd, _, members) => members.current.as_ref()?.so_far(),
            _ => None,
        }
    }

    /// No more bytes will come.
    #[must_use]
    pub fn finish(mut self) -> Vec<Ingested> {
        if matches!(self.state, State::Sniffing(_)) {
            self.decide();
        }
        let (name, bytes, hash) = (self.name, self.bytes, self.hash.digest());
        let one = |format: Format, status, message, data| {
            vec![Ingested { name: name.clone(), kind: format.as_str().to_owned(), bytes, hash, status, message, data }]
        };
        match self.state {
            State::Sniffing(_) => one(Format::Empty, Status::Rejected, Some("the file is empty".to_owned()), Data::Nothing),
            State::Refused(format, message) => one(format, Status::Rejected, Some(message), Data::Nothing),
            State::Capture(reader) => {
                let (reader, mut digest) = *reader;
                let end = reader.finish(&mut digest);
                let mut digest = digest.finish();
                digest.layout = end.layout;
                // A section without an interface is a whole capture too, of nothing.
                let read = !digest.is_empty() || !digest.interfaces.is_empty() || end.notes.is_empty();
                let (status, message) = outcome(&end.notes, read);
                // No interface and no packet: no capture point either.
                let is_blank = status == Status::Ok && digest.is_empty() && digest.interfaces.is_empty();
                let message = message.or_else(|| is_blank.then(|| BLANK.to_owned()));
                let data = if read { Data::Capture(Box::new(digest)) } else { Data::Nothing };
                one(Format::Pcap, status, message, data)
            }
            State::Document(Format::Digest, document) => match columnar::read(&document) {
                Ok((origin, digest)) => {
                    // As the capture itself would be: a report does not show which of the two was read.
                    let Origin { kind, bytes, hash, status, message, .. } = origin;
                    let name = name.strip_suffix(DIGEST_SUFFIX).unwrap_or(&name).to_owned();
                    vec![Ingested { name, kind, bytes, hash, status, message, data: Data::Capture(Box::new(digest)) }]
                }
                Err(_) if document.len() >= MOST_DIGEST => {
                    let why = format!(
                        "a digest of more than {} GiB cannot be read: make digests of parts of the capture (`editcap -c 10000000 IN OUT` cuts it)",
                        MOST_DIGEST >> 30
                    );
                    one(Format::Digest, Status::Rejected, Some(why), Data::Nothing)
                }
                Err(why) => one(Format::Digest, Status::Rejected, Some(why), Data::Nothing),
            },
            State::Document(Format::TcpdumpText, document) => {
                let text = import::text(&document);
                let mut inputs = one_of_packets(&text, document.len(), &one);
                // A pasted terminal holds `ip addr` and the like beside the packets.
                if let Some(rest) = import::beside_packets(&text) {
                    let format = sniff::of_text(&rest);
                    let import = import::import(format, rest.as_bytes());
                    if !import.facts.is_empty() {
                        let (status, message) = outcome(&import.notes, true);
                        inputs.extend(one(format, status, message, Data::Facts(import.facts)));
                    }
                }
                inputs
            }
            State::Document(format, document) if let Some(said) = import::lists_nothing(&import::text(&document)) => {
                one(said.unwrap_or(format), Status::Ok, Some(NOTHING.to_owned()), Data::Nothing)
            }
            State::Document(format, document) => {
                let format = if format == Format::UnknownJson { import::classify_json(&document) } else { format };
                let text = import::text(&document);
                let rest = if format.is_lines() { import::beside_packets(&text) } else { None };
                let packets = rest.as_ref().map(|_| one_of_packets(&text, document.len(), &one)).unwrap_or_default();
                let mut import = import::import(format, rest.as_ref().map_or(document.as_slice(), |r| r.as_bytes()));
                if document.len() >= MOST_TEXT {
                    import
                        .notes
                        .push(Note::loss(format!("only its first {} MiB were read: split it into several inputs", MOST_TEXT >> 20)));
                }
                let read = !import.facts.is_empty() || import.notes.is_empty();
                let (status, message) = outcome(&import.notes, read);
                let lists_nothing = status == Status::Ok && import.facts.is_empty();
                let message = message.or_else(|| lists_nothing.then(|| NOTHING.to_owned()));
                let data = if import.facts.is_empty() { Data::Nothing } else { Data::Facts(import.facts) };
                let mut inputs = one(format, status, message, data);
                inputs.extend(packets.into_iter().filter(|p| p.status != Status::Rejected));
                inputs
            }
            State::Container(format, container, mut members) => {
                let end = container.finish(&mut *members);
                let (others, mut done) = (members.others, members.done);
                let fault = end.notes.iter().find(|n| n.is_loss).map(|n| n.message.clone());
                if matches!(format, Format::Gzip | Format::Zstd) {
                    // One file, compressed: it keeps its name, and its faults are its own.
                    for m in done.iter_mut().filter(|m| m.name == name) {
                        (m.bytes, m.hash) = (bytes, hash);
                        if let Some(fault) = &fault {
                            m.status = if m.status == Status::Ok { Status::Partial } else { m.status };
                            m.message = Some(m.message.take().map_or_else(|| fault.clone(), |own| format!("{fault}; {own}")));
                        }
                    }
                    if done.is_empty() {
                        return one(
                            format,
                            Status::Rejected,
                            fault.or_else(|| Some("nothing in it could be read".to_owned())),
                            Data::Nothing,
                        );
                    }
                    return done;
                }
                let nothing = done.is_empty();
                let (status, message) = match (fault, nothing) {
                    (Some(fault), true) => (Status::Rejected, Some(fault)),
                    (Some(fault), false) => (Status::Partial, Some(fault)),
                    (None, true) => (Status::Rejected, Some(none_of(end.members))),
                    (None, false) if others > 0 => (
                        Status::Ok,
                        Some(format!("of its {}, {others} hold neither a capture nor an inventory", count(end.members, "member"))),
                    ),
                    (None, false) => (Status::Ok, None),
                };
                done.extend(one(format, status, message, Data::Nothing));
                done
            }
        }
    }
}

/// What is said of an answer without entries.
const NOTHING: &str = "the command had nothing to list";

/// What is said of a capture file with nothing in it.
const BLANK: &str = "it has neither a packet nor the name of an interface, so nothing says where it was captured";

fn none_of(members: u64) -> String {
    match members {
        0 => "the archive has no members".to_owned(),
        1 => "its only member is neither a capture nor an inventory".to_owned(),
        _ => format!("none of its {members} members is a capture or an inventory"),
    }
}

/// What tcpdump printed in a text, as an input of its own.
fn one_of_packets(text: &str, length: usize, one: &impl Fn(Format, Status, Option<String>, Data) -> Vec<Ingested>) -> Vec<Ingested> {
    let mut digest = DigestBuilder::new();
    let mut notes = import::tcpdump::frames(text, &mut digest);
    if length >= MOST_TEXT {
        notes.push(Note::loss(format!("only its first {} MiB were read: split it into several inputs", MOST_TEXT >> 20)));
    }
    let digest = digest.finish();
    let (status, message) = outcome(&notes, !digest.is_empty());
    let data = if digest.is_empty() { Data::Nothing } else { Data::Capture(Box::new(digest)) };
    one(Format::TcpdumpText, status, message, data)
}

/// Status and message from a reader's notes.
fn outcome(notes: &[Note], read: bool) -> (Status, Option<String>) {
    let losses: Vec<&str> = notes.iter().filter(|n| n.is_loss).map(|n| n.message.as_str()).collect();
    let message = match losses.as_slice() {
        [] => None,
        [one] => Some((*one).to_owned()),
        [one, rest @ ..] => Some(format!("{one}; and {} more like it", rest.len())),
    };
    let status = match (losses.is_empty(), read) {
        (true, true) => Status::Ok,
        (_, false) => Status::Rejected,
        (false, true) => Status::Partial,
    };
    let message = message.or_else(|| {
        (status == Status::Rejected).then(|| notes.first().map_or("nothing in it could be read".to_owned(), |n| n.message.clone()))
    });
    (status, message)
}

impl Ingested {
    /// Keeps one packet in so many of a capture. What is coarser already stays.
    pub fn sample(&mut self, rate: Rate) {
        if let Data::Capture(digest) = &mut self.data {
            digest.sample(rate);
        }
    }

    /// Packets of a capture that are kept.
    #[must_use]
    pub fn kept(&self) -> u64 {
        if let Data::Capture(digest) = &self.data { u64::from(digest.kept()) } else { 0 }
    }

    /// How many packets of a capture one of is kept.
    #[must_use]
    pub fn rate(&self) -> Rate {
        if let Data::Capture(digest) = &self.data { digest.rate() } else { Rate::ALL }
    }

    /// As a Parquet file that is read like the capture itself, under its name with `.parquet` behind; `out` gets the file's bytes in
    /// order. `false`: this is no capture, and nothing was written.
    pub fn write_digest(&self, out: &mut dyn FnMut(&[u8])) -> bool {
        let Data::Capture(digest) = &self.data else { return false };
        let origin = Origin {
            file: self.name.rsplit('/').next().unwrap_or_default().to_owned(),
            kind: self.kind.clone(),
            bytes: self.bytes,
            hash: self.hash,
            status: self.status,
            message: self.message.clone(),
        };
        columnar::write(&origin, digest, out);
        true
    }

    /// How many bytes [`Ingested::write`] gives.
    #[must_use]
    pub fn size(&self) -> usize {
        // By what writes it, not by postcard's own measure: all of the facts' serialization would be in the page twice.
        let mut size = 0;
        self.write(&mut |part| size += part.len());
        size
    }

    /// Gives `out`, in order, the bytes that another worker (the same build) reads back with [`Ingested::from_bytes`].
    pub fn write(&self, out: &mut dyn FnMut(&[u8])) {
        // Fails only where a value cannot be serialised, of which this has none.
        let _ = postcard::serialize_with_flavor(self, Parts { small: Vec::with_capacity(PART), out });
    }

    /// Those bytes in one piece.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size());
        self.write(&mut |part| bytes.extend_from_slice(part));
        bytes
    }

    /// Back from [`Ingested::to_bytes`]; `None` if the bytes are not from this build.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let one: Self = postcard::from_bytes(bytes).ok()?;
        let is_sound = if let Data::Capture(digest) = &one.data { digest.is_sound() } else { true };
        is_sound.then_some(one)
    }

    /// An input made of a person's corrections, as if a session file had been dropped.
    #[must_use]
    pub fn corrections(name: &str, facts: Vec<Fact>) -> Self {
        let facts: Vec<Located> = facts.into_iter().map(|fact| Located { at: crate::model::Locator::Line(1), fact }).collect();
        Self {
            name: name.to_owned(),
            kind: "session".to_owned(),
            bytes: 0,
            hash: 0,
            status: Status::Ok,
            message: None,
            data: Data::Facts(facts),
        }
    }
}

/// Less than this is put together before it is handed on.
const PART: usize = 16 << 10;

/// Hands on what is serialised in parts of some size: columns of a digest as they are, what is smaller together.
struct Parts<'a> {
    small: Vec<u8>,
    out: &'a mut dyn FnMut(&[u8]),
}

impl Parts<'_> {
    fn flush(&mut self) {
        (self.out)(&self.small);
        self.small.clear();
    }
}

impl postcard::ser_flavors::Flavor for Parts<'_> {
    type Output = ();

    #[inline(never)]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    #[inline(never)]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if self.small.len() + bytes.len() > PART {
            self.flush();
        }
        if bytes.len() > PART {
            (self.out)(bytes);
        } else {
            self.small.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn finalize(mut self) -> postcard::Result<()> {
        self.flush();
        Ok(())
    }
}
