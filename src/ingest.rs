//! One input's bytes, in chunks of any size → [`Ingested`]: what it was recognised as and what was read from it.
//! Knows which reader reads which format; must not know what the reader's finds mean.

use crate::report::Status;
use crate::sniff::Format;

/// An input being read.
#[derive(Debug)]
pub struct Ingest {
    name: String,
    bytes: u64,
}

/// What one input gave. An archive gives one for each member.
#[derive(Clone, Debug)]
pub struct Ingested {
    /// The path as the person gave it; members of an archive as `archive.tgz/member`.
    pub name: String,
    /// What it was recognised as.
    pub format: Format,
    /// Length as dropped (compressed, for a compressed file).
    pub bytes: u64,
    /// Whether all of it was read.
    pub status: Status,
    /// For partial and rejected: what is wrong and where.
    pub message: Option<String>,
}

impl Ingest {
    /// Begin reading an input called `name` (its path as the person gave it, `/` between folders).
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), bytes: 0 }
    }

    /// The next bytes; any length.
    pub fn push(&mut self, chunk: &[u8]) {
        self.bytes = self.bytes.saturating_add(chunk.len() as u64);
    }

    /// Frames read so far, for progress.
    #[must_use]
    pub fn frames(&self) -> u64 {
        0
    }

    /// No more bytes will come.
    #[must_use]
    pub fn finish(self) -> Vec<Ingested> {
        vec![Ingested { name: self.name, format: Format::Unknown, bytes: self.bytes, status: Status::Rejected, message: None }]
    }
}

impl Ingested {
    /// As bytes that another worker (the same build) can read back with [`Ingested::from_bytes`].
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Back from [`Ingested::to_bytes`]; `None` if the bytes are not from this build.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let _ = bytes;
        None
    }
}
