//! Reading one frame again: a place in the file, what was known there, and the bytes from there on.
//! Knows the reader's state at a record's beginning; must not know how records are laid out.

use super::classic::Classic;
use super::options::Clock;
use super::pcapng::Section;
use super::{CaptureReader, FrameSink, InterfaceInfo, LinkType, RawFrame};
use crate::model::{Direction, Nanos};

/// A place where a record begins, from which a reader can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Checkpoint {
    /// Offset of the record in the (uncompressed) file.
    pub offset: u64,
    /// Number of the first frame at or after it.
    pub frame: u64,
    /// Index into [`FileLayout`]'s segments.
    pub segment: u32,
    /// How many interfaces were described before it.
    pub interfaces: u32,
}

/// The file headers and section headers of one file, and the interfaces that they describe.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FileLayout {
    pub(super) segments: Vec<Segment>,
    pub(super) interfaces: Vec<Interface>,
}

/// What one file header or section header says about the records after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Segment {
    Classic(Classic),
    Pcapng(Section),
}

/// An interface and how its times are to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Interface {
    pub(super) info: InterfaceInfo,
    pub(super) clock: Clock,
}

/// A [`RawFrame`] that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct OwnedFrame {
    /// From 1, over the whole file.
    pub number: u64,
    /// Index of its interface.
    pub interface: u32,
    /// The interface's link type.
    pub link_type: LinkType,
    /// As in [`RawFrame`].
    pub time_ns: Option<Nanos>,
    /// What was captured.
    pub bytes: Vec<u8>,
    /// Length on the wire.
    pub original_len: u32,
    /// Where `bytes` begins in the (uncompressed) file.
    pub offset: u64,
    /// pcapng `epb_flags`.
    pub direction: Option<Direction>,
    /// pcapng packet comments, joined by newlines.
    pub comment: Option<String>,
}

/// Reads frame `number` from the bytes of a file that begin at `checkpoint.offset`. `None` when it does not lie in them.
#[must_use]
pub fn frame_at(layout: &FileLayout, checkpoint: &Checkpoint, bytes_from_checkpoint: &[u8], number: u64) -> Option<OwnedFrame> {
    let mut reader = CaptureReader::resume(layout, checkpoint)?;
    let mut wanted = Wanted { number, link_types: layout.interfaces.iter().map(|i| i.info.link_type).collect(), found: None };
    for chunk in bytes_from_checkpoint.chunks(64 << 10) {
        reader.push(chunk, &mut wanted);
        if wanted.found.is_some() {
            break;
        }
    }
    wanted.found
}

struct Wanted {
    number: u64,
    link_types: Vec<Option<LinkType>>,
    found: Option<OwnedFrame>,
}

impl FrameSink for Wanted {
    fn interface(&mut self, _: &InterfaceInfo) {}

    fn frame(&mut self, frame: RawFrame<'_>) {
        if frame.number != self.number || self.found.is_some() {
            return;
        }
        let Some(link_type) = self.link_types.get(frame.interface as usize).copied().flatten() else { return };
        self.found = Some(OwnedFrame {
            number: frame.number,
            interface: frame.interface,
            link_type,
            time_ns: frame.time_ns,
            bytes: frame.bytes.to_vec(),
            original_len: frame.original_len,
            offset: frame.offset,
            direction: frame.direction,
            comment: frame.comment.map(str::to_owned),
        });
    }

    fn name(&mut self, _: std::net::IpAddr, _: &str, _: u64) {}
}
