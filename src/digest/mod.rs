//! What is kept of a capture: 31 bytes a packet in paged columns, and each distinct header once.
//! Knows what survives routing and NAT; must not know where the capture was taken or what a packet means.
//!
//! A *stream* is a header that repeats: the same addresses, MACs, TTL and tunnels on the same interface, one way.
//! A packet is its stream and what differs: time, identity, sequence number, length, IP id, flags.
//! Row `n` is frame `n + 1` of the file; every frame has a row, also one that was not understood. Where not all rows can be kept,
//! [`Rate`] says how many are; streams, ARP messages and errors count every packet all the same.

mod column;
mod identity;
mod remark;
mod select;
mod streams;

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use self::column::{BLOCK, Column};
pub use self::identity::by_content;
use self::identity::{Packet, ports_of};
pub use self::remark::Remark;
use self::select::Selection;
pub use self::select::{Piece, Rate, is_control, is_kept_everywhere, kept_pieces};
use self::streams::{Look, Streams, Words};
use crate::capture::{Checkpoint, FileLayout, FrameSink, InterfaceInfo, LinkType, RawFrame};
use crate::content::{Marked, Marker};
use crate::dissect::{self, Icmp, Ip, Net, Observation, Transport, Tunnel, fast};
use crate::model::{Direction, Mac, Nanos, Protocol};

/// So many rows are looked up at once.
const AT_ONCE: usize = 32;

/// So many rows are selected at once.
const PART: usize = 1 << 10;

/// So many frames' headers are looked up before the first of them is counted.
const AHEAD: usize = 32;

/// A frame's time where the capture gives none.
pub const NO_TIME: Nanos = i64::MIN;

/// A header that repeats, one way, on one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamKey {
    /// Index of the capture file's interface.
    pub interface: u32,
    /// SLL2's interface index.
    pub ifindex: Option<u32>,
    /// Which way, where the capture says so.
    pub direction: Option<Direction>,
    /// Source MAC.
    pub src_mac: Option<Mac>,
    /// Destination MAC.
    pub dst_mac: Option<Mac>,
    /// VLAN ids, outermost first.
    pub vlans: Vec<u16>,
    /// Tunnels around the packet, outermost first.
    pub tunnels: Vec<Tunnel>,
    /// The innermost packet; `None` for ARP and what is not understood.
    pub flow: Option<Tuple>,
    /// Innermost TTL.
    pub ttl: u8,
}

impl StreamKey {
    /// Whether it was seen at a host's or pod's loopback device: only that prints a sender's address of six zeros.
    #[must_use]
    pub fn is_looped(&self) -> bool {
        self.src_mac.is_some_and(Mac::is_zero) && self.dst_mac.is_none_or(Mac::is_zero)
    }
}

/// Addresses and ports of one way of a conversation. For echo messages both ports are the identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tuple {
    /// Transport protocol.
    pub protocol: Protocol,
    /// Source address.
    pub src: IpAddr,
    /// Source port, 0 where the protocol has none.
    pub src_port: u16,
    /// Destination address.
    pub dst: IpAddr,
    /// Destination port.
    pub dst_port: u16,
}

/// By the members in their order. All streams are sorted by it, and of IPv4 all members fit one number.
impl Ord for Tuple {
    fn cmp(&self, other: &Self) -> Ordering {
        let number = |t: &Self| match (t.src, t.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let src = u64::from(src.to_bits()) << 16 | u64::from(t.src_port);
                let dst = u64::from(dst.to_bits()) << 16 | u64::from(t.dst_port);
                Some(u128::from(src) << 48 | u128::from(dst))
            }
            _ => None,
        };
        let all = |t: &Self| (t.src, t.src_port, t.dst, t.dst_port);
        self.protocol.cmp(&other.protocol).then_with(|| match (number(self), number(other)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => all(self).cmp(&all(other)),
        })
    }
}

impl PartialOrd for Tuple {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Tuple {
    /// The other way of the same conversation.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { protocol: self.protocol, src: self.dst, src_port: self.dst_port, dst: self.src, dst_port: self.src_port }
    }
}

/// A stream and its first packet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stream {
    /// The header.
    pub key: StreamKey,
    /// Row of its first packet.
    pub first_row: u32,
    /// Number of packets.
    pub packets: u32,
    /// Sum of lengths on the wire.
    pub bytes: u64,
    /// Earliest and latest time.
    pub first_ns: Nanos,
    /// Latest time.
    pub last_ns: Nanos,
}

/// One distinct ARP message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArpSeen {
    /// Index of the capture file's interface.
    pub interface: u32,
    /// SLL2's interface index.
    pub ifindex: Option<u32>,
    /// 1: request, 2: reply.
    pub operation: u16,
    /// Sender.
    pub sender_mac: Mac,
    /// Sender.
    pub sender_ip: IpAddr,
    /// Target (zero in requests).
    pub target_mac: Mac,
    /// Target.
    pub target_ip: IpAddr,
    /// Row of the first.
    pub first_row: u32,
    /// How many.
    pub count: u32,
}

/// One distinct ICMP error: who says what about which conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IcmpErrorSeen {
    /// Stream of the error message itself.
    pub stream: u32,
    /// ICMP type (ICMPv6's own numbers).
    pub kind: u8,
    /// ICMP code.
    pub code: u8,
    /// Next hop's MTU, for "fragmentation needed" and "packet too big".
    pub mtu: Option<u32>,
    /// The quoted packet's tuple.
    pub about: Tuple,
    /// Row of the first.
    pub first_row: u32,
    /// How many.
    pub count: u32,
}

/// One packet, put together again from the columns.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Row number; the frame's number is one more.
    pub row: u32,
    /// Time or [`NO_TIME`].
    pub time: Nanos,
    /// Index into [`CaptureDigest::streams`].
    pub stream: u32,
    /// Hash over what survives routing and NAT; 0: the capture holds too little of the packet to tell.
    pub ident: u64,
    /// TCP sequence number; echo sequence number; 0 otherwise.
    pub seq: u32,
    /// Transport payload length on the wire.
    pub len: u32,
    /// IPv4 identification (low 16 bits of IPv6's).
    pub ip_id: u16,
    /// TCP flags; the type of an ICMP or ICMPv6 message.
    pub flags: u8,
}

/// So many names of one capture are kept: Wireshark writes the hosts that it resolved, which are hundreds.
const MOST_NAMES: usize = 1 << 14;

/// A host's name has 253 characters at most (RFC 1035, 2.3.4, without its last dot); what is longer is none.
const LONGEST_NAME: usize = 255;

/// What a name resolution block calls an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named(
    /// The address.
    pub IpAddr,
    /// Its name, as the file has it.
    pub String,
    /// Byte of the (uncompressed) capture at which the block begins; 0 in digests that do not say.
    #[serde(default)]
    pub u64,
);

/// All that is kept of one capture file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CaptureDigest {
    /// The file's interfaces.
    pub interfaces: Vec<InterfaceInfo>,
    /// Distinct headers, in order of first appearance.
    #[serde(deserialize_with = "without_room")]
    pub streams: Vec<Stream>,
    /// Distinct ARP messages.
    pub arps: Vec<ArpSeen>,
    /// Distinct ICMP errors.
    pub errors: Vec<IcmpErrorSeen>,
    /// What TCP connections say that a proxy would leave as it is, in the file's order.
    #[serde(deserialize_with = "without_room")]
    pub marks: Vec<Marked>,
    /// What the capture's writer noted of who sent or got packets, at most one for each stream, in the file's order.
    pub remarks: Vec<Remark>,
    /// What name resolution blocks call addresses, each address and name once, in the file's order.
    pub names: Vec<Named>,
    /// Where the file can be read again, about every 64 frames, in the file's order; empty for what is no capture file.
    pub checkpoints: Vec<Checkpoint>,
    /// What [`crate::capture::frame_at`] must know of the file to read on from a checkpoint.
    pub layout: FileLayout,
    /// Frames whose bytes the snaplen cut.
    pub cut_frames: u64,
    /// Frames that were read.
    frames: u32,
    /// How many of them have a row.
    rate: Rate,
    /// Which rows are kept, where not all are; empty else.
    kept: Column<u32>,
    times: Column<Nanos>,
    stream_of: Column<u32>,
    idents: Column<u64>,
    seqs: Column<u32>,
    lens: Column<u32>,
    ip_ids: Column<u16>,
    flags: Column<u8>,
}

/// A list with room for no more than it has. Left to itself it grows from a few thousand on by doubling: of a million conversations' headers
/// nearly half would be room that nobody needs.
fn without_room<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    struct List<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Vec<T>, A::Error> {
            // What damaged bytes say of a length must not ask for more memory than there is.
            const MOST: usize = 1 << 20;
            let mut list = Vec::with_capacity(from.size_hint().unwrap_or_default().min(MOST));
            while let Some(next) = from.next_element()? {
                list.push(next);
            }
            list.shrink_to_fit();
            Ok(list)
        }
    }
    from.deserialize_seq(List(PhantomData))
}

impl CaptureDigest {
    /// Nothing yet, of a capture of `frames` frames that was saved at a rate.
    pub(crate) fn sampled(rate: Rate, frames: u32) -> Self {
        Self { rate, frames, ..Self::default() }
    }

    /// One row more, from a digest that was saved: in the file's order.
    pub(crate) fn push_row(&mut self, row: Row) {
        if self.rate.is_sampled() {
            self.kept.extend(&[row.row]);
        } else {
            self.frames = self.frames.saturating_add(1);
        }
        self.times.extend(&[row.time]);
        self.stream_of.extend(&[row.stream]);
        self.idents.extend(&[row.ident]);
        self.seqs.extend(&[row.seq]);
        self.lens.extend(&[row.len]);
        self.ip_ids.extend(&[row.ip_id]);
        self.flags.extend(&[row.flags]);
    }

    /// Number of frames in the capture.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.frames
    }

    /// Number of frames that have a row.
    #[must_use]
    pub fn kept(&self) -> u32 {
        u32::try_from(self.times.len()).unwrap_or(u32::MAX)
    }

    /// How many of the frames have a row.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Whether there is no frame at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Row `row`, if it is there and was kept.
    #[must_use]
    pub fn row(&self, row: u32) -> Option<Row> {
        self.kept_row(self.place_of(row)?)
    }

    /// Where a row stands among those that are kept.
    pub(crate) fn place_of(&self, row: u32) -> Option<u32> {
        if self.rate.is_sampled() { self.kept.find(row) } else { Some(row) }
    }

    /// The `place`th of the rows that are kept, from 0.
    #[must_use]
    pub fn kept_row(&self, place: u32) -> Option<Row> {
        Some(Row {
            row: if self.rate.is_sampled() { self.kept.get(place)? } else { place },
            time: self.times.get(place)?,
            stream: self.stream_of.get(place)?,
            ident: self.idents.get(place)?,
            seq: self.seqs.get(place)?,
            len: self.lens.get(place)?,
            ip_id: self.ip_ids.get(place)?,
            flags: self.flags.get(place)?,
        })
    }

    /// The rows at these places of the rows that are kept. Much faster than one by one where the places are far apart, as those of one
    /// stream are: each column is asked for many of them at once, so that all wait for memory together.
    pub fn kept_rows<'a>(&'a self, places: &'a [u32]) -> impl Iterator<Item = Row> + use<'a> {
        let kept = self.kept();
        let gathered = move |places: &'a [u32]| self.gather(places).into_iter().zip(places);
        places.chunks(AT_ONCE).flat_map(gathered).filter(move |(_, place)| **place < kept).map(|(row, _)| row)
    }

    /// At most [`AT_ONCE`] rows; what is at a place that is not there means nothing.
    fn gather(&self, places: &[u32]) -> [Row; AT_ONCE] {
        let mut rows = [Row { row: 0, time: 0, stream: 0, ident: 0, seq: 0, len: 0, ip_id: 0, flags: 0 }; AT_ONCE];
        #[inline(always)]
        fn each(rows: &mut [Row; AT_ONCE], places: &[u32], put: impl Fn(&mut Row, u32)) {
            rows.iter_mut().zip(places).for_each(|(row, place)| put(row, *place));
        }
        match self.rate.is_sampled() {
            true => each(&mut rows, places, |row, place| row.row = self.kept.get(place).unwrap_or(0)),
            false => each(&mut rows, places, |row, place| row.row = place),
        }
        each(&mut rows, places, |row, place| row.time = self.times.get(place).unwrap_or(NO_TIME));
        each(&mut rows, places, |row, place| row.stream = self.stream_of.get(place).unwrap_or(0));
        each(&mut rows, places, |row, place| row.ident = self.idents.get(place).unwrap_or(0));
        each(&mut rows, places, |row, place| row.seq = self.seqs.get(place).unwrap_or(0));
        each(&mut rows, places, |row, place| row.len = self.lens.get(place).unwrap_or(0));
        each(&mut rows, places, |row, place| row.ip_id = self.ip_ids.get(place).unwrap_or(0));
        each(&mut rows, places, |row, place| row.flags = self.flags.get(place).unwrap_or(0));
        rows
    }

    /// Whether a stream's rows are all kept, of which there are `rows`.
    #[must_use]
    pub fn is_whole(&self, stream: u32, rows: usize) -> bool {
        !self.rate.is_sampled() || self.streams.get(stream as usize).is_some_and(|s| s.packets as usize == rows)
    }

    /// Keeps the rows of a coarser rate and forgets the others, in place. What is coarser already stays.
    pub fn sample(&mut self, rate: Rate) {
        self.select(rate);
    }

    /// The same; also how far the selection has come.
    fn select(&mut self, rate: Rate) -> Selection {
        let mut selection = Selection::new(rate.max(self.rate));
        if rate <= self.rate {
            return selection;
        }
        let mut keep = Bits::default();
        let mut marks = self.marks.as_slice();
        for first in (0..self.kept()).step_by(PART) {
            marks = self.select_part(first, marks, &mut selection, &mut keep);
        }
        if self.rate.is_sampled() {
            self.kept.retain(&keep);
        } else {
            let all: Vec<u32> = (0..self.frames).filter(|row| keep.get(*row as usize)).collect();
            self.kept.extend(&all);
        }
        self.times.retain(&keep);
        self.stream_of.retain(&keep);
        self.idents.retain(&keep);
        self.seqs.retain(&keep);
        self.lens.retain(&keep);
        self.ip_ids.retain(&keep);
        self.flags.retain(&keep);
        self.rate = rate;
        let mut marks = std::mem::take(&mut self.marks);
        marks.retain(|m| self.kept.find(m.row).is_some());
        self.marks = marks;
        selection
    }

    /// Which of [`PART`] rows, from this place on, are kept; gives the marks that come after them. Called for each part anew: a browser compiles
    /// well what is called often, and not what runs long.
    #[inline(never)]
    fn select_part<'a>(&self, first: u32, mut marks: &'a [Marked], selection: &mut Selection, keep: &mut Bits) -> &'a [Marked] {
        for row in (first..).take(PART).map_while(|place| self.kept_row(place)) {
            let mut bears_mark = false;
            while let Some((_, later)) = marks.split_first().filter(|(mark, _)| mark.row <= row.row) {
                (bears_mark, marks) = (true, later);
            }
            keep.push(selection.keeps(self.protocol(row.stream), &row, bears_mark));
        }
        marks
    }

    fn protocol(&self, stream: u32) -> Option<Protocol> {
        Some(self.streams.get(stream as usize)?.key.flow?.protocol)
    }

    /// The last checkpoint at or before frame `number`, and the offset of the one after it, up to which a reader has to look;
    /// `None` for the last part of the file.
    #[must_use]
    pub fn checkpoint_before(&self, number: u64) -> Option<(&Checkpoint, Option<u64>)> {
        let after = self.checkpoints.partition_point(|c| c.frame <= number);
        let next = self.checkpoints.get(after).map(|c| c.offset);
        Some((self.checkpoints.get(after.checked_sub(1)?)?, next))
    }

    /// Whether every column has as many rows as there are, and no row names a stream that is not there.
    pub(crate) fn is_sound(&self) -> bool {
        let rows = self.times.len();
        let (numbered, most) = if self.rate.is_sampled() { (rows, self.frames as usize) } else { (0, rows) };
        let lengths = [self.times.len(), self.stream_of.len(), self.idents.len(), self.seqs.len(), self.lens.len(), self.ip_ids.len()];
        lengths.iter().all(|len| *len == rows)
            && self.flags.len() == rows
            && self.kept.len() == numbered
            && rows <= most
            && most == self.frames as usize
            && self.kept.pages().flatten().is_sorted_by(|a, b| a < b)
            && self.kept.pages().flatten().all(|row| *row < self.frames)
            && self.remarks.iter().all(|r| (r.stream as usize) < self.streams.len())
            && self.marks.iter().all(|m| (m.stream as usize) < self.streams.len() && m.row < self.frames)
            && self.stream_of.pages().flatten().all(|stream| (*stream as usize) < self.streams.len())
    }

    /// All rows that are kept, in the file's order, as parts of the columns.
    pub(crate) fn pages(&self) -> impl Iterator<Item = Page<'_>> {
        let first = self.stream_of.pages().zip(self.times.pages()).zip(self.idents.pages());
        let rest = self.seqs.pages().zip(self.lens.pages()).zip(self.flags.pages());
        first.zip(rest).map(|(((stream_of, times), idents), ((seqs, lens), flags))| Page { stream_of, times, idents, seqs, lens, flags })
    }

    /// The time at a place of the rows that are kept.
    pub(crate) fn time_at(&self, place: u32) -> Nanos {
        self.times.get(place).unwrap_or(NO_TIME)
    }

    /// The number of the row at a place of those that are kept.
    pub(crate) fn row_at(&self, place: u32) -> u32 {
        if self.rate.is_sampled() { self.kept.get(place).unwrap_or(0) } else { place }
    }

    /// All rows that are kept, in the file's order.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        (0..self.kept()).filter_map(|place| self.kept_row(place))
    }
}

/// Rows that follow one another, column by column; all are of one length. See [`Row`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page<'a> {
    pub(crate) stream_of: &'a [u32],
    pub(crate) times: &'a [Nanos],
    pub(crate) idents: &'a [u64],
    pub(crate) seqs: &'a [u32],
    pub(crate) lens: &'a [u32],
    pub(crate) flags: &'a [u8],
}

/// A bit for each row.
#[derive(Debug, Default)]
struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(64) {
            self.words.push(0);
        }
        if let Some(word) = self.words.last_mut() {
            *word |= u64::from(bit) << (self.len % 64);
        }
        self.len += 1;
    }

    fn get(&self, at: usize) -> bool {
        self.words.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }
}

/// Interface, its index, operation, sender's MAC and address, target's address.
type ArpKey = (u32, Option<u32>, u16, Mac, IpAddr, IpAddr);

/// Builds a [`CaptureDigest`] from the frames that a capture reader hands out.
#[derive(Debug)]
pub struct DigestBuilder {
    digest: CaptureDigest,
    streams: Streams,
    /// Rows that are not in the columns yet.
    block: Box<Block>,
    /// How many these are.
    pending: usize,
    /// Which rows are kept, where not all are.
    selection: Option<Selection>,
    /// The interface of the last frame: nearly always that of the next.
    link: Option<(u32, LinkType)>,
    arp_ids: FxHashMap<ArpKey, usize>,
    error_ids: FxHashMap<(u32, u8, u8, Tuple), usize>,
    /// First fragments' ports, for the later fragments, which have none: (source, destination, id) → ports.
    fragments: FxHashMap<(IpAddr, IpAddr, u32), (u16, u16)>,
    /// Whether common frames are read the whole way too.
    is_always_whole: bool,
    marker: Marker,
    /// Addresses and names that are kept.
    named: FxHashSet<(IpAddr, String)>,
    /// Streams that have a remark.
    remarked: FxHashSet<u32>,
    /// What descriptions of interfaces say of whoever is behind them.
    noted: FxHashMap<u32, String>,
}

/// As many rows as are added to the columns at once: seven columns would be seven looks at a page's length for each frame.
#[derive(Debug)]
struct Block {
    kept: [u32; BLOCK],
    times: [Nanos; BLOCK],
    stream_of: [u32; BLOCK],
    idents: [u64; BLOCK],
    seqs: [u32; BLOCK],
    lens: [u32; BLOCK],
    ip_ids: [u16; BLOCK],
    flags: [u8; BLOCK],
}

impl Block {
    /// Adds its first `rows` to the columns.
    fn add_to(&self, d: &mut CaptureDigest, rows: usize) {
        if d.rate.is_sampled() {
            d.kept.extend(self.kept.get(..rows).unwrap_or_default());
        }
        d.times.extend(self.times.get(..rows).unwrap_or_default());
        d.stream_of.extend(self.stream_of.get(..rows).unwrap_or_default());
        d.idents.extend(self.idents.get(..rows).unwrap_or_default());
        d.seqs.extend(self.seqs.get(..rows).unwrap_or_default());
        d.lens.extend(self.lens.get(..rows).unwrap_or_default());
        d.ip_ids.extend(self.ip_ids.get(..rows).unwrap_or_default());
        d.flags.extend(self.flags.get(..rows).unwrap_or_default());
    }
}

impl Default for DigestBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl DigestBuilder {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            digest: CaptureDigest::default(),
            streams: Streams::default(),
            pending: 0,
            selection: None,
            block: Box::new(Block {
                kept: [0; BLOCK],
                times: [0; BLOCK],
                stream_of: [0; BLOCK],
                idents: [0; BLOCK],
                seqs: [0; BLOCK],
                lens: [0; BLOCK],
                ip_ids: [0; BLOCK],
                flags: [0; BLOCK],
            }),
            link: None,
            arp_ids: FxHashMap::default(),
            error_ids: FxHashMap::default(),
            fragments: FxHashMap::default(),
            is_always_whole: false,
            marker: Marker::default(),
            named: FxHashSet::default(),
            remarked: FxHashSet::default(),
            noted: FxHashMap::default(),
        }
    }

    /// Takes no short way with any frame: slower by far, and by what is kept the same. Tests hold the short way against it.
    #[must_use]
    pub fn whole_way() -> Self {
        Self { is_always_whole: true, ..Self::new() }
    }

    /// Frames so far.
    #[must_use]
    pub fn frames(&self) -> u64 {
        u64::from(self.digest.frames)
    }

    /// Rows that are kept so far.
    #[must_use]
    pub fn kept(&self) -> u64 {
        u64::from(self.digest.kept()) + self.pending as u64
    }

    /// Keeps the rows of a coarser rate, of what has come and of what will come.
    pub fn sample(&mut self, rate: Rate) {
        if rate <= self.digest.rate {
            return;
        }
        self.flush(self.pending);
        // Its streams are here until the end: they say which protocol a row is of.
        self.digest.streams = self.streams.lend();
        self.selection = Some(self.digest.select(rate));
        self.streams.take_back(std::mem::take(&mut self.digest.streams));
    }

    /// The digest of what has been seen so far.
    #[must_use]
    pub fn so_far(&self) -> CaptureDigest {
        let mut digest = self.digest.clone();
        self.block.add_to(&mut digest, self.pending);
        digest.streams = self.streams.so_far();
        digest
    }

    /// The digest.
    #[must_use]
    pub fn finish(mut self) -> CaptureDigest {
        self.flush(self.pending);
        self.digest.checkpoints.shrink_to_fit();
        self.digest.streams = self.streams.finish();
        self.digest
    }

    #[inline]
    fn link_type(&mut self, interface: u32) -> LinkType {
        if let Some((known, link_type)) = self.link
            && known == interface
        {
            return link_type;
        }
        let info = self.digest.interfaces.iter().find(|i| i.index == interface);
        let link_type = info.and_then(|i| i.link_type).unwrap_or(LinkType(u32::MAX));
        self.link = Some((interface, link_type));
        link_type
    }

    /// Ports (or what stands in their place) of an IP packet.
    fn ports(&mut self, ip: &Ip<'_>) -> (u16, u16) {
        let ports = ports_of(&ip.transport);
        let (Some((offset, _)), Some(id)) = (ip.fragment, ip.id) else { return ports };
        let key = (ip.src, ip.dst, id);
        if offset == 0 {
            // Bounded: a flood of first fragments must not fill memory. Later fragments then keep port 0.
            if self.fragments.len() < 1 << 16 {
                self.fragments.insert(key, ports);
            }
            ports
        } else {
            self.fragments.get(&key).copied().unwrap_or(ports)
        }
    }

    /// Whether this row is kept; before it there were `marks` marks, and what it does not keep says nothing.
    #[inline(never)]
    fn selects(&mut self, row: u32, time: Nanos, stream: u32, packet: Packet, marks: usize) -> bool {
        let Some(selection) = &mut self.selection else { return true };
        let Packet { ident, seq, len, ip_id, flags } = packet;
        let row = Row { row, time, stream, ident, seq, len, ip_id, flags };
        let is_kept = selection.keeps(self.streams.protocol(stream), &row, self.digest.marks.len() > marks);
        if !is_kept {
            self.digest.marks.truncate(marks);
        }
        is_kept
    }

    /// Moves the first `rows` of the block into the columns.
    fn flush(&mut self, rows: usize) {
        self.block.add_to(&mut self.digest, rows);
        self.pending = 0;
    }

    /// The rows of frames that follow one another. What makes reading slow where there are many conversations is waiting for memory,
    /// three times for each frame; so all frames' headers are looked up first, and these waits overlap.
    fn together(&mut self, frames: &[RawFrame<'_>], link_type: LinkType) {
        let mut looks = [Look::default(); AHEAD];
        for (frame, to) in frames.iter().zip(&mut looks) {
            // Not kept until it is their turn: what a header says is had faster from the header than from a copy.
            if let Some(outline) = fast::outline(link_type, frame.bytes, frame.original_len) {
                *to = Words::of(&outline, frame.interface, frame.direction).look();
            }
        }
        let mut guesses = [0; AHEAD];
        for (look, to) in looks.iter().zip(&mut guesses).take(frames.len()) {
            *to = self.streams.guess(*look);
        }
        let touched = looks.iter().zip(&guesses).take(frames.len()).fold(0, |all, (look, guess)| all ^ self.streams.touch(*look, *guess));
        std::hint::black_box(touched);
        for (frame, guess) in frames.iter().zip(guesses) {
            if self.known(frame, link_type, guess).is_none() {
                self.frame(*frame);
            }
        }
    }

    /// The row of a common frame whose stream is where it was guessed to be; `None` if it is not.
    #[inline(always)]
    fn known(&mut self, frame: &RawFrame<'_>, link_type: LinkType, guess: u32) -> Option<()> {
        let (row, marks) = (self.digest.frames, self.digest.marks.len());
        let headers = fast::headers(link_type, frame.bytes, frame.original_len).filter(|_| row < u32::MAX)?;
        let words = Words::of(&headers.outline, frame.interface, frame.direction);
        let known = self.streams.confirm(&words, guess)?;
        let time = frame.time_ns.unwrap_or(NO_TIME);
        self.streams.count(&words, known, time, frame.original_len);
        if let fast::Common::Tcp(tcp) = &headers.transport
            && tcp.payload.len != 0
            && (!known.is_read || Marker::is_request(tcp))
        {
            self.marker.message(known.stream, row, tcp.seq, tcp.payload, &mut self.digest.marks);
            if !known.is_read && self.marker.is_read(known.stream) {
                self.streams.set_read(&words, known);
            }
        }
        self.row(frame, time, known.stream, packet_of(&headers), marks);
        Some(())
    }

    /// The stream and the rest of the row of a common frame.
    #[inline(always)]
    fn short(&mut self, frame: &RawFrame<'_>, link_type: LinkType, time: Nanos, row: u32) -> Option<(u32, Packet)> {
        if self.is_always_whole {
            return None;
        }
        let headers = fast::headers(link_type, frame.bytes, frame.original_len)?;
        let words = Words::of(&headers.outline, frame.interface, frame.direction);
        let stream = match self.streams.again(&words, time, frame.original_len) {
            Some(stream) => {
                if let fast::Common::Tcp(tcp) = &headers.transport {
                    self.marker.segment(stream, row, tcp, &mut self.digest.marks);
                }
                stream
            }
            None => {
                let (stream, _) = self.whole(frame, link_type, time, row);
                self.streams.remember(&words, stream, time);
                stream
            }
        };
        Some((stream, packet_of(&headers)))
    }

    /// Counts a frame, and keeps its row if it is selected; `marks` is how many there were before it.
    #[inline(always)]
    fn row(&mut self, frame: &RawFrame<'_>, time: Nanos, stream: u32, packet: Packet, marks: usize) {
        let row = self.digest.frames;
        if (frame.bytes.len() as u64) < u64::from(frame.original_len) {
            self.digest.cut_frames += 1;
        }
        if let Some(comment) = frame.comment {
            self.remark(remark::of_packet(comment), stream, row);
        }
        self.digest.frames += 1;
        if self.selection.is_some() && !self.selects(row, time, stream, packet, marks) {
            return;
        }
        let at = self.pending;
        // Every index is below `BLOCK`, which is each array's length.
        let b = &mut *self.block;
        put(&mut b.kept, at, row);
        put(&mut b.times, at, time);
        put(&mut b.stream_of, at, stream);
        put(&mut b.idents, at, packet.ident);
        put(&mut b.seqs, at, packet.seq);
        put(&mut b.lens, at, packet.len);
        put(&mut b.ip_ids, at, packet.ip_id);
        put(&mut b.flags, at, packet.flags);
        self.pending += 1;
        if self.pending == BLOCK {
            self.flush(BLOCK);
        }
    }

    /// The same of any frame.
    #[inline(never)]
    fn whole(&mut self, frame: &RawFrame<'_>, link_type: LinkType, time: Nanos, row: u32) -> (u32, Packet) {
        let Observation { link, tunnels, net } = dissect::dissect(link_type, frame.bytes, frame.original_len);
        let mut packet = Packet::default();
        let mut flow = None;
        let mut ttl = 0;
        if let Net::Ip(ip) = &net {
            let (src_port, dst_port) = self.ports(ip);
            flow = Some(Tuple { protocol: ip.protocol, src: ip.src, src_port, dst: ip.dst, dst_port });
            ttl = ip.ttl;
            packet = Packet::of(ip);
        }
        let (interface, ifindex) = (frame.interface, link.ifindex);
        let key = StreamKey {
            interface,
            ifindex,
            direction: frame.direction.or(link.direction),
            src_mac: link.src,
            dst_mac: link.dst,
            vlans: link.vlans,
            tunnels,
            flow,
            ttl,
        };
        let stream = self.streams.whole(key, row, time, frame.original_len);
        if let Some(noted) = self.noted.get(&interface) {
            self.remark(Some(noted.clone()), stream, row);
        }
        match &net {
            Net::Arp(arp) => self.arp(arp, interface, ifindex, row),
            Net::Ip(Ip { transport: Transport::Tcp(tcp), .. }) => self.marker.segment(stream, row, tcp, &mut self.digest.marks),
            Net::Ip(Ip { transport: Transport::Icmp(icmp), .. }) => self.icmp_error(icmp, stream, row),
            _ => {}
        }
        (stream, packet)
    }

    #[cold]
    fn remark(&mut self, text: Option<String>, stream: u32, row: u32) {
        if let Some(text) = text
            && self.digest.remarks.len() < remark::MOST
            && self.remarked.insert(stream)
        {
            self.digest.remarks.push(Remark { stream, row, text });
        }
    }

    fn arp(&mut self, arp: &dissect::Arp, interface: u32, ifindex: Option<u32>, row: u32) {
        let key = (interface, ifindex, arp.operation, arp.sender_mac, arp.sender_ip.into(), arp.target_ip.into());
        let next = self.digest.arps.len();
        let at = *self.arp_ids.entry(key).or_insert(next);
        if at == next {
            self.digest.arps.push(ArpSeen {
                interface,
                ifindex,
                operation: arp.operation,
                sender_mac: arp.sender_mac,
                sender_ip: arp.sender_ip.into(),
                target_mac: arp.target_mac,
                target_ip: arp.target_ip.into(),
                first_row: row,
                count: 0,
            });
        }
        if let Some(seen) = self.digest.arps.get_mut(at) {
            seen.count = seen.count.saturating_add(1);
        }
    }

    fn icmp_error(&mut self, icmp: &Icmp<'_>, stream: u32, row: u32) {
        let Some(quoted) = icmp.quoted.as_deref() else { return };
        let (src_port, dst_port) = ports_of(&quoted.transport);
        let about = Tuple { protocol: quoted.protocol, src: quoted.src, src_port, dst: quoted.dst, dst_port };
        let next = self.digest.errors.len();
        let at = *self.error_ids.entry((stream, icmp.kind, icmp.code, about)).or_insert(next);
        if at == next {
            let (kind, code, mtu) = (icmp.kind, icmp.code, icmp.mtu);
            self.digest.errors.push(IcmpErrorSeen { stream, kind, code, mtu, about, first_row: row, count: 0 });
        }
        if let Some(seen) = self.digest.errors.get_mut(at) {
            seen.count = seen.count.saturating_add(1);
        }
    }
}

impl FrameSink for DigestBuilder {
    fn interface(&mut self, info: &InterfaceInfo) {
        self.link = None;
        if let Some(noted) = info.description.as_deref().and_then(remark::of_interface) {
            self.noted.insert(info.index, noted);
        }
        // They come in order, so that statistics of one among thousands need no search.
        match self.digest.interfaces.get_mut(info.index as usize) {
            Some(known) => *known = info.clone(),
            None => self.digest.interfaces.push(info.clone()),
        }
    }

    fn name(&mut self, ip: IpAddr, name: &str, offset: u64) {
        if self.digest.names.len() < MOST_NAMES && name.len() <= LONGEST_NAME && self.named.insert((ip, name.to_owned())) {
            self.digest.names.push(Named(ip, name.to_owned(), offset));
        }
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) {
        self.digest.checkpoints.push(checkpoint);
    }

    #[inline]
    fn frame(&mut self, frame: RawFrame<'_>) {
        let row = self.digest.frames;
        if row == u32::MAX {
            return;
        }
        let time = frame.time_ns.unwrap_or(NO_TIME);
        let link_type = self.link_type(frame.interface);
        let marks = self.digest.marks.len();
        let (stream, packet) = match self.short(&frame, link_type, time, row) {
            Some(found) => found,
            None => self.whole(&frame, link_type, time, row),
        };
        self.row(&frame, time, stream, packet, marks);
    }

    #[inline]
    fn frames(&mut self, frames: &[RawFrame<'_>]) {
        for frames in frames.chunks(AHEAD) {
            match frames.first() {
                Some(first) if !self.is_always_whole => {
                    let link_type = self.link_type(first.interface);
                    self.together(frames, link_type);
                }
                _ => frames.iter().for_each(|frame| self.frame(*frame)),
            }
        }
    }
}

#[inline(always)]
fn packet_of(headers: &fast::Headers<'_>) -> Packet {
    match &headers.transport {
        fast::Common::Tcp(tcp) => Packet::tcp(headers.outline.ip_id, tcp),
        fast::Common::Udp(udp) => Packet::udp(headers.outline.ip_id, udp),
    }
}

#[inline(always)]
fn put<T>(to: &mut [T; BLOCK], at: usize, value: T) {
    if let Some(place) = to.get_mut(at) {
        *place = value;
    }
}
