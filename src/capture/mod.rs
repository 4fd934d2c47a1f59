//! Capture files: bytes in chunks of any size → frames, incrementally (push, sans-IO).
//! Knows pcap and pcapng; must not know what stands in a frame.

mod checkpoint;
mod classic;
mod options;
mod pcapng;
mod reader;

pub use checkpoint::{Checkpoint, FileLayout, OwnedFrame, frame_at};
pub use reader::CaptureReader;

use crate::model::{Direction, Nanos, Note};

/// A checkpoint is told before every so many frames (the first, the 65th, …).
pub const CHECKPOINT_INTERVAL: u64 = 64;

/// No frame is longer than this; a claim of more is damage. Far above what any network device hands over (BIG TCP: 512 KiB).
pub const MAX_FRAME: u32 = 16 << 20;

/// The link-layer header type of an interface (IANA/tcpdump.org `LINKTYPE_` values).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct LinkType(pub u32);

impl LinkType {
    /// BSD loopback: address family in the host's byte order.
    pub const NULL: Self = Self(0);
    /// Ethernet II / 802.3.
    pub const ETHERNET: Self = Self(1);
    /// Raw IPv4 or IPv6; 12 and 14 are what some systems write for the same.
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback: address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked v1 (`-i any` of old tcpdump).
    pub const LINUX_SLL: Self = Self(113);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux cooked v2: carries the interface index.
    pub const LINUX_SLL2: Self = Self(276);
}

/// A capture interface as the file describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InterfaceInfo {
    /// Position in the file, from 0, over all sections.
    pub index: u32,
    /// `None` only while unknown.
    pub link_type: Option<LinkType>,
    /// pcapng `if_name`.
    pub name: Option<String>,
    /// pcapng `if_description`.
    pub description: Option<String>,
    /// pcapng `if_MACaddr`.
    pub mac: Option<crate::model::Mac>,
    /// pcapng `if_filter`, as text.
    pub filter: Option<String>,
    /// 0: unlimited.
    pub snaplen: u32,
    /// pcapng `isb_ifdrop` + `isb_osdrop`: packets that the capture lost.
    pub dropped: Option<u64>,
    /// pcapng comments of the section and the interface.
    pub comments: Vec<String>,
}

/// One frame, borrowed from the reader's buffer.
#[derive(Clone, Copy, Debug)]
pub struct RawFrame<'a> {
    /// From 1, over the whole file.
    pub number: u64,
    /// Index of its [`InterfaceInfo`].
    pub interface: u32,
    /// `None`: simple packet blocks carry no time.
    pub time_ns: Option<Nanos>,
    /// What was captured.
    pub bytes: &'a [u8],
    /// Length on the wire; `bytes` may be shorter (snaplen).
    pub original_len: u32,
    /// Where `bytes` begins in the (uncompressed) file.
    pub offset: u64,
    /// pcapng `epb_flags`.
    pub direction: Option<Direction>,
    /// pcapng packet comments, joined by newlines.
    pub comment: Option<&'a str>,
}

impl RawFrame<'_> {
    /// No frame at all, to fill a list with.
    pub(crate) const NONE: Self =
        RawFrame { number: 0, interface: 0, time_ns: None, bytes: &[], original_len: 0, offset: 0, direction: None, comment: None };
}

/// What a capture reader hands its finds to.
pub trait FrameSink {
    /// An interface was described, or described further (statistics): the same index may come again.
    fn interface(&mut self, info: &InterfaceInfo);
    /// A frame was read. Its interface has been told before.
    fn frame(&mut self, frame: RawFrame<'_>);
    /// Frames of one interface that follow one another were read: for whoever is faster with several at once. As if each were handed
    /// to [`FrameSink::frame`].
    #[inline]
    fn frames(&mut self, frames: &[RawFrame<'_>]) {
        for frame in frames {
            self.frame(*frame);
        }
    }
    /// A name resolution record was read, in the block that begins at byte `offset` of the (uncompressed) file.
    fn name(&mut self, ip: std::net::IpAddr, name: &str, offset: u64);
    /// From here the file can be read again by [`frame_at`]; told before every [`CHECKPOINT_INTERVAL`]th frame.
    fn checkpoint(&mut self, _checkpoint: Checkpoint) {}
}

/// What became of a capture file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptureEnd {
    /// Frames handed to the sink.
    pub frames: u64,
    /// What could not be read and where; first the ones that lose frames.
    pub notes: Vec<Note>,
    /// What [`frame_at`] must know of the file to read parts of it again.
    pub layout: FileLayout,
}
