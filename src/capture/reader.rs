//! The push reader: chunks of any size → records, and what to do where a file is cut or damaged.
//! Knows how records follow one another; the layout of records is `classic`'s and `pcapng`'s to know.

use super::checkpoint::{Checkpoint, FileLayout, Interface, Segment};
use super::classic::{self, Classic};
use super::options::{Clock, u32_at};
use super::pcapng::{self, Overlong, Packet, Section};
use super::{CHECKPOINT_INTERVAL, CaptureEnd, FrameSink, InterfaceInfo, RawFrame};
use crate::carry::{Carry, Step};
use crate::model::Note;
use crate::order;

/// Reads one capture file of either kind, in chunks of any size.
///
/// Memory: an incomplete record at most, which is shorter than [`super::MAX_FRAME`] and is copied only as it arrives;
/// everything that lies whole in a chunk is read in place.
#[derive(Debug)]
pub struct CaptureReader {
    core: Core,
    /// The beginning of a record whose end has not come yet.
    carry: Carry,
}

impl Default for CaptureReader {
    fn default() -> Self {
        Self::new()
    }
}

impl CaptureReader {
    /// A reader at the beginning of a file.
    #[must_use]
    pub fn new() -> Self {
        Self { core: Core::default(), carry: Carry::default() }
    }

    /// A reader that goes on at a checkpoint. `None` when the checkpoint is not of this file.
    pub(super) fn resume(layout: &FileLayout, checkpoint: &Checkpoint) -> Option<Self> {
        let segment = *layout.segments.get(checkpoint.segment as usize)?;
        let known = FileLayout {
            segments: layout.segments.get(..=checkpoint.segment as usize)?.to_vec(),
            interfaces: layout.interfaces.get(..checkpoint.interfaces as usize)?.to_vec(),
        };
        let core = Core {
            offset: checkpoint.offset,
            state: State::Segment(segment),
            counted: checkpoint.frame.saturating_sub(1),
            layout: known,
            ..Core::default()
        };
        Some(Self { core, carry: Carry::default() })
    }

    /// Frames handed to the sink so far.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.core.handed
    }

    /// What the file has said of itself so far.
    #[must_use]
    pub fn layout(&self) -> &FileLayout {
        &self.core.layout
    }

    /// The next bytes of the file.
    pub fn push(&mut self, chunk: &[u8], sink: &mut impl FrameSink) {
        let core = &mut self.core;
        self.carry.push(chunk, |bytes| core.advance(bytes, false, sink));
    }

    /// No more bytes will come.
    pub fn finish(mut self, sink: &mut impl FrameSink) -> CaptureEnd {
        let (left, need) = self.carry.finish(|bytes| self.core.advance(bytes, true, sink));
        self.core.end(&left, need)
    }
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// Before the first byte.
    #[default]
    Start,
    /// Where a classic file's first record is to begin, which tells how long its header is.
    Undecided(Classic),
    /// Where a record is to begin.
    Segment(Segment),
    /// Between damage and the next record that can be believed.
    Lost { segment: Segment, since: u64, is_zeros: bool, damage: Damage },
    /// Nothing more will be read.
    Stopped,
}

/// What is wrong with the record at which the reader lost its way.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// A record claims a length that cannot be.
    Length { frame: u64, claimed: u32 },
    /// A block claims a length that cannot be.
    Block { kind: u32, claimed: u32 },
    /// A block's two lengths differ, and no block follows where either says.
    Trailer { kind: u32 },
    /// A header of zeros.
    Zeros,
}

/// Interfaces and sections beyond this are hostile: what describes them is kept in memory.
const MAX_DESCRIBED: usize = 1 << 16;
/// Names, filters and comments of all interfaces together; each is kept twice, and once more in the digest.
const MAX_TEXTS: usize = 4 << 20;
/// So many frames are handed over together, at most.
const TOGETHER: usize = 32;
/// Notes beyond this are only counted.
const MAX_NOTES: usize = 16;
/// Where the reader is lost, records up to this length are considered: longer ones would have to be waited for.
const MAX_CANDIDATE: u32 = 256 << 10;

#[derive(Debug, Default)]
struct Core {
    /// Of the next byte to look at.
    offset: u64,
    state: State,
    /// Bytes that follow and are of no interest.
    skip: u64,
    /// Frames counted, readable or not.
    counted: u64,
    handed: u64,
    layout: FileLayout,
    /// Of a section that has no interface yet.
    section_comments: Vec<String>,
    /// Octets of text that interfaces hold.
    described: usize,
    is_wordy: bool,
    /// Of the last record of a classic file.
    last_seconds: Option<u32>,
    notes: Vec<Note>,
    unsaid_notes: u64,
    untimed: Repeated,
    homeless: Repeated,
    overlong: Repeated,
}

/// Something that is worth one note however often it comes.
#[derive(Debug, Default)]
struct Repeated {
    times: u64,
    first_frame: u64,
    first_offset: u64,
}

impl Repeated {
    fn count(&mut self, frame: u64, offset: u64) {
        if self.times == 0 {
            (self.first_frame, self.first_offset) = (frame, offset);
        }
        self.times += 1;
    }
}

impl Core {
    #[inline]
    fn advance(&mut self, bytes: &[u8], is_last: bool, sink: &mut impl FrameSink) -> Step {
        let step = self.step(bytes, is_last, sink);
        if let Step::Done(len) = step {
            self.offset += len as u64;
        }
        step
    }

    #[inline]
    fn step(&mut self, bytes: &[u8], is_last: bool, sink: &mut impl FrameSink) -> Step {
        if self.skip > 0 {
            let len = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
            self.skip -= len as u64;
            return if len > 0 { Step::Done(len) } else { Step::Need(1) };
        }
        match self.state {
            State::Segment(Segment::Classic(classic)) => self.classic(classic, bytes, sink),
            State::Segment(Segment::Pcapng(section)) => self.block(section, bytes, sink),
            State::Start => self.start(bytes, sink),
            State::Undecided(classic) => self.decide(classic, bytes, is_last),
            State::Lost { segment, is_zeros, .. } => self.search(segment, is_zeros, bytes, is_last),
            State::Stopped if bytes.is_empty() => Step::Need(1),
            State::Stopped => Step::Done(bytes.len()),
        }
    }

    fn start(&mut self, bytes: &[u8], sink: &mut impl FrameSink) -> Step {
        if bytes.len() < 4 {
            return Step::Need(4);
        }
        if classic::is_magic(bytes) {
            return self.file_header(bytes, sink).unwrap_or_else(|| {
                self.stop("the file begins as a pcap, but its version is none that was ever written".to_owned());
                Step::Done(0)
            });
        }
        if u32_at(bytes, 0, false) == Some(pcapng::SECTION_HEADER) {
            if bytes.len() < 12 {
                return Step::Need(12);
            }
            if let Some(big_endian) = pcapng::section_order(bytes) {
                return self.block(Section { big_endian, first_interface: 0 }, bytes, sink);
            }
        }
        let mut start = String::new();
        for octet in bytes.iter().take(4) {
            start.push_str(&format!(" {octet:02x}"));
        }
        self.stop(format!("this is not a pcap or pcapng file: it begins with{start}"));
        Step::Done(0)
    }

    /// A classic file's header: at the beginning, or where another file was appended. `None` if it is none.
    fn file_header(&mut self, bytes: &[u8], sink: &mut impl FrameSink) -> Option<Step> {
        let len = classic::header_len(bytes);
        if bytes.len() < len {
            return Some(Step::Need(len));
        }
        let index = u32::try_from(self.layout.interfaces.len()).ok()?;
        let header = classic::header(bytes, index)?;
        if self.is_full() {
            return Some(Step::Done(0));
        }
        let info = InterfaceInfo { index, link_type: Some(header.link_type), snaplen: header.snaplen, ..InterfaceInfo::default() };
        if index > 0 || self.counted > 0 {
            self.note(Note::info(format!("another pcap file was appended at byte {}; its frames are counted on", self.offset)));
        }
        sink.interface(&info);
        self.layout.interfaces.push(Interface { info, clock: Clock::default() });
        self.last_seconds = None;
        self.state = State::Undecided(header.classic);
        Some(Step::Done(header.len))
    }

    /// How long this file's record headers are: such that two records, or one and the file's end, make sense.
    fn decide(&mut self, classic: Classic, bytes: &[u8], is_last: bool) -> Step {
        for (place, record_header) in classic.record_headers().iter().enumerate() {
            let candidate = Classic { record_header: *record_header, ..classic };
            // That one record ends where the file does proves nothing for an unlikely header: a usual file may be cut there.
            match self.believable_record(candidate, bytes, is_last && place == 0) {
                Candidate::Yes => {
                    self.enter(Segment::Classic(candidate));
                    return Step::Done(0);
                }
                Candidate::Need(len) if !is_last => return Step::Need(len),
                Candidate::Need(_) | Candidate::No => {}
            }
        }
        // None does, so that the first is the likeliest; what is wrong with the record is said where it is read.
        self.enter(Segment::Classic(classic));
        Step::Done(0)
    }

    fn enter(&mut self, segment: Segment) {
        self.layout.segments.push(segment);
        self.state = State::Segment(segment);
        self.last_seconds = None;
    }

    /// Of interfaces that say more than anybody reads, what is beyond is dropped.
    fn keep_texts(&mut self, info: &mut InterfaceInfo) {
        let texts = || info.comments.iter().chain(&info.name).chain(&info.description).chain(&info.filter);
        let length: usize = texts().map(String::len).sum();
        if self.described.saturating_add(length) <= MAX_TEXTS {
            self.described += length;
            return;
        }
        if !std::mem::replace(&mut self.is_wordy, true) {
            let (offset, index) = (self.offset, info.index);
            self.note(Note::info(format!(
                "interfaces have more than {} MiB of names and comments; those of interface {index} (at byte {offset}) and of some behind it were dropped",
                MAX_TEXTS >> 20
            )));
        }
        (info.name, info.description, info.filter) = (None, None, None);
        info.comments.clear();
    }

    /// Stops where more sections or interfaces come than anybody writes.
    fn is_full(&mut self) -> bool {
        let is_full = self.layout.segments.len() >= MAX_DESCRIBED || self.layout.interfaces.len() >= MAX_DESCRIBED;
        if is_full {
            self.stop(format!("more than {MAX_DESCRIBED} sections or interfaces; reading stopped at byte {}", self.offset));
        }
        is_full
    }

    /// The next records of a classic file.
    #[inline]
    fn classic(&mut self, classic: Classic, bytes: &[u8], sink: &mut impl FrameSink) -> Step {
        let mut frames = [RawFrame::NONE; TOGETHER];
        // Never beyond the next checkpoint.
        let until_checkpoint = usize::try_from(CHECKPOINT_INTERVAL - self.handed % CHECKPOINT_INTERVAL).unwrap_or(1);
        let (mut count, mut at) = (0, 0);
        for slot in frames.iter_mut().take(until_checkpoint) {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(record) = classic.record(rest) else { break };
            if classic.is_suspicious(&record) {
                // Only as the first: the others are handed over before, as what it is depends on where the reader is.
                if count > 0 {
                    break;
                }
                if let Some(step) = self.unusual(classic, &record, bytes, sink) {
                    return step;
                }
            }
            let start = usize::from(classic.record_header);
            let end = start + record.captured as usize;
            let Some(frame) = rest.get(start..end) else {
                if count == 0 {
                    return Step::Need(end);
                }
                break;
            };
            count += 1;
            *slot = RawFrame {
                number: self.counted + count,
                interface: classic.interface,
                time_ns: Some(classic.nanos(&record)),
                bytes: frame,
                original_len: record.original,
                offset: self.offset + (at + start) as u64,
                direction: None,
                comment: None,
            };
            self.last_seconds = Some(record.seconds);
            at += end;
        }
        if count == 0 {
            return Step::Need(16);
        }
        self.checkpoint(sink);
        self.counted += count;
        self.handed += count;
        sink.frames(frames.get(..count as usize).unwrap_or_default());
        Step::Done(at)
    }

    /// A record header that may be something else. `None`: it is a record after all.
    #[cold]
    fn unusual(&mut self, classic: Classic, record: &classic::Record, bytes: &[u8], sink: &mut impl FrameSink) -> Option<Step> {
        if classic::is_magic(bytes)
            && let Some(step) = self.file_header(bytes, sink)
        {
            return Some(step);
        }
        if let Some(big_endian) = pcapng::section_order(bytes) {
            return Some(self.block(Section { big_endian, first_interface: 0 }, bytes, sink));
        }
        let damage = if bytes.iter().take(16).all(|octet| *octet == 0) {
            Damage::Zeros
        } else if record.captured > classic.limit {
            Damage::Length { frame: self.counted + 1, claimed: record.captured }
        } else {
            return None;
        };
        Some(self.lose(Segment::Classic(classic), damage))
    }

    /// One block of a pcapng file.
    fn block(&mut self, section: Section, bytes: &[u8], sink: &mut impl FrameSink) -> Step {
        if bytes.len() < pcapng::BLOCK_FRAME as usize {
            return Step::Need(pcapng::BLOCK_FRAME as usize);
        }
        let new_section = pcapng::section_order(bytes);
        let big_endian = new_section.unwrap_or(section.big_endian);
        let (Some(kind), Some(claimed)) = (u32_at(bytes, 0, big_endian), u32_at(bytes, 4, big_endian)) else {
            return Step::Need(pcapng::BLOCK_FRAME as usize);
        };
        let is_packet = matches!(kind, pcapng::ENHANCED_PACKET | pcapng::SIMPLE_PACKET | pcapng::PACKET);
        if !is_packet
            && classic::is_magic(bytes)
            && let Some(step) = self.file_header(bytes, sink)
        {
            return step;
        }
        let segment = Segment::Pcapng(Section { big_endian, ..section });
        if kind == 0 && claimed == 0 {
            return self.lose(segment, Damage::Zeros);
        }
        let longest = if kind == pcapng::SECTION_HEADER { pcapng::MAX_DESCRIPTION } else { pcapng::MAX_BLOCK };
        if claimed < pcapng::shortest(kind) || claimed > longest {
            return self.lose(segment, Damage::Block { kind, claimed });
        }
        let len = (claimed as usize).next_multiple_of(4);
        let is_description =
            matches!(kind, pcapng::SECTION_HEADER | pcapng::INTERFACE_DESCRIPTION | pcapng::NAME_RESOLUTION | pcapng::INTERFACE_STATISTICS);
        if !(is_packet || is_description && claimed <= pcapng::MAX_DESCRIPTION) {
            if is_description {
                let offset = self.offset;
                self.note(Note::loss(format!("the block of type {kind} at byte {offset} has {claimed} bytes and was skipped")));
            }
            self.skip = len as u64;
            return Step::Done(0);
        }
        let Some(block) = bytes.get(..len) else { return Step::Need(len) };
        if u32_at(block, len - 4, big_endian) != Some(claimed) {
            return self.lose(segment, Damage::Trailer { kind });
        }
        match kind {
            pcapng::SECTION_HEADER => {
                if self.is_full() {
                    return Step::Done(0);
                }
                let first_interface = u32::try_from(self.layout.interfaces.len()).unwrap_or(u32::MAX);
                self.section_comments = pcapng::section_comments(block);
                self.enter(Segment::Pcapng(Section { big_endian, first_interface }));
            }
            pcapng::INTERFACE_DESCRIPTION => {
                if self.is_full() {
                    return Step::Done(0);
                }
                let index = u32::try_from(self.layout.interfaces.len()).unwrap_or(u32::MAX);
                let Some(mut interface) = pcapng::interface(block, big_endian, index) else {
                    return self.lose(segment, Damage::Block { kind, claimed });
                };
                // Of a section, its first interface tells: a copy for each would make gigabytes of a file of one megabyte.
                interface.info.comments.splice(0..0, std::mem::take(&mut self.section_comments));
                self.keep_texts(&mut interface.info);
                sink.interface(&interface.info);
                self.layout.interfaces.push(interface);
            }
            pcapng::INTERFACE_STATISTICS => {
                if let Some((id, dropped)) = pcapng::statistics(block, big_endian)
                    && dropped.is_some()
                    && let Some(interface) = self.layout.interfaces.get_mut(section.first_interface.saturating_add(id) as usize)
                {
                    interface.info.dropped = dropped;
                    sink.interface(&interface.info);
                }
            }
            pcapng::NAME_RESOLUTION => {
                let offset = self.offset;
                pcapng::names(block, big_endian, |ip, name| sink.name(ip, name, offset));
            }
            pcapng::ENHANCED_PACKET => self.packet(section, pcapng::enhanced_packet(block, big_endian), sink),
            pcapng::PACKET => self.packet(section, pcapng::obsolete_packet(block, big_endian), sink),
            _ => {
                let snaplen = self.layout.interfaces.get(section.first_interface as usize).map_or(0, |i| i.info.snaplen);
                self.packet(section, Ok(pcapng::simple_packet(block, big_endian, snaplen)), sink);
            }
        }
        Step::Done(len)
    }

    fn packet(&mut self, section: Section, packet: Result<Packet<'_>, Overlong>, sink: &mut impl FrameSink) {
        let packet = match packet {
            Ok(packet) => packet,
            Err(_) => {
                self.counted += 1;
                self.overlong.count(self.counted, self.offset);
                return;
            }
        };
        let index = section.first_interface.saturating_add(packet.interface);
        let Some(interface) = self.layout.interfaces.get(index as usize) else {
            self.counted += 1;
            self.homeless.count(self.counted, self.offset);
            return;
        };
        let time_ns = packet.time.and_then(|units| interface.clock.nanos(units));
        if time_ns.is_none() && packet.time.is_some() {
            self.untimed.count(self.counted + 1, self.offset);
        }
        self.hand(
            RawFrame {
                number: 0,
                interface: index,
                time_ns,
                bytes: packet.bytes,
                original_len: packet.original_len,
                offset: self.offset + packet.start,
                direction: packet.direction,
                comment: packet.comment.as_deref(),
            },
            sink,
        );
    }

    /// Gives the frame its number and hands it over, with a checkpoint before it where one is due.
    #[inline]
    fn hand(&mut self, frame: RawFrame<'_>, sink: &mut impl FrameSink) {
        self.checkpoint(sink);
        self.counted += 1;
        self.handed += 1;
        sink.frame(RawFrame { number: self.counted, ..frame });
    }

    /// Tells the place of the record that is about to be handed over, where a checkpoint is due.
    #[inline]
    fn checkpoint(&self, sink: &mut impl FrameSink) {
        if self.handed.is_multiple_of(CHECKPOINT_INTERVAL) {
            sink.checkpoint(Checkpoint {
                offset: self.offset,
                frame: self.counted + 1,
                // Both are below `MAX_DESCRIBED`.
                segment: u32::try_from(self.layout.segments.len()).unwrap_or(0).saturating_sub(1),
                interfaces: u32::try_from(self.layout.interfaces.len()).unwrap_or(0),
            });
        }
    }

    #[cold]
    fn lose(&mut self, segment: Segment, damage: Damage) -> Step {
        self.state = State::Lost { segment, since: self.offset, is_zeros: true, damage };
        Step::Done(0)
    }

    /// Looks for the next record that can be believed, octet by octet.
    fn search(&mut self, segment: Segment, was_zeros: bool, bytes: &[u8], is_last: bool) -> Step {
        for at in 0..bytes.len() {
            // What stands at the damage itself was refused already.
            if at == 0 && matches!(self.state, State::Lost { since, .. } if since == self.offset) {
                continue;
            }
            let rest = bytes.get(at..).unwrap_or_default();
            let candidate = match segment {
                Segment::Classic(classic) => self.believable_record(classic, rest, is_last),
                Segment::Pcapng(section) => believable_block(section, rest, is_last),
            };
            match candidate {
                Candidate::No => {}
                Candidate::Yes => {
                    self.found(segment, self.offset + at as u64);
                    return Step::Done(at);
                }
                Candidate::Need(_) if at > 0 => {
                    self.see_zeros(was_zeros, bytes.get(..at).unwrap_or_default());
                    return Step::Done(at);
                }
                Candidate::Need(len) => return Step::Need(len),
            }
        }
        self.see_zeros(was_zeros, bytes);
        if bytes.is_empty() { Step::Need(1) } else { Step::Done(bytes.len()) }
    }

    fn see_zeros(&mut self, was_zeros: bool, seen: &[u8]) {
        if let State::Lost { is_zeros, .. } = &mut self.state {
            *is_zeros = was_zeros && seen.iter().all(|octet| *octet == 0);
        }
    }

    /// A header that could be one, and another (or the file's end) where it says the next is.
    fn believable_record(&self, classic: Classic, bytes: &[u8], is_last: bool) -> Candidate {
        let Some(record) = classic.record(bytes) else { return Candidate::need(16, is_last) };
        if !classic.is_plausible(&record, self.last_seconds) || record.captured > MAX_CANDIDATE {
            return Candidate::No;
        }
        let end = usize::from(classic.record_header) + record.captured as usize;
        if is_last && bytes.len() == end {
            return Candidate::Yes;
        }
        let Some(next) = bytes.get(end..).and_then(|next| classic.record(next)) else { return Candidate::need(end + 16, is_last) };
        if classic.is_plausible(&next, Some(record.seconds)) { Candidate::Yes } else { Candidate::No }
    }

    fn found(&mut self, segment: Segment, at: u64) {
        let State::Lost { since, damage, .. } = self.state else { return };
        let what = damage.describe(since, false);
        let lost = at - since;
        self.note(Note::loss(format!("{what}; {lost} bytes were skipped and reading went on at byte {at}")));
        self.state = State::Segment(segment);
    }

    #[cold]
    fn stop(&mut self, why: String) {
        self.note(Note::loss(why));
        self.state = State::Stopped;
    }

    fn note(&mut self, note: Note) {
        if self.notes.len() < MAX_NOTES {
            self.notes.push(note);
        } else {
            self.unsaid_notes += 1;
        }
    }

    /// `left` are the file's last bytes, of which a record with `need` bytes was expected.
    fn end(mut self, left: &[u8], need: usize) -> CaptureEnd {
        let (offset, frame) = (self.offset, self.counted + 1);
        match self.state {
            State::Start if left.is_empty() => self.note(Note::loss("the file is empty")),
            State::Start => {
                let len = left.len();
                self.note(Note::loss(format!("the file ends inside its header: {len} of {need} bytes are there")));
            }
            State::Lost { since, damage, is_zeros, .. } => {
                let what = damage.describe(since, is_zeros);
                let lost = offset + left.len() as u64 - since;
                self.note(Note::loss(format!("{what}; no frame was found in the {lost} bytes up to the file's end")));
            }
            State::Segment(_) if self.skip > 0 => {
                let missing = self.skip;
                self.note(Note::loss(format!("the file ends inside a block: the last {missing} bytes of it are missing")));
            }
            State::Segment(segment) if !left.is_empty() => self.note(Note::loss(segment.cut(frame, offset, left, need))),
            State::Segment(_) | State::Undecided(_) | State::Stopped => {}
        }
        for (repeated, what) in [
            (&self.overlong, "claims more bytes than its block has room for, and was left out"),
            (&self.homeless, "names an interface that its section does not describe, and was left out"),
        ] {
            if let Some(message) = repeated.describe(what) {
                self.notes.push(Note::loss(message));
            }
        }
        if let Some(message) = self.untimed.describe("has a time outside of the years 1677 to 2262, and was read without one") {
            self.notes.push(Note::info(message));
        }
        if self.unsaid_notes > 0 {
            self.notes.push(Note::loss(format!("{} more places like these", self.unsaid_notes)));
        }
        order::sort_by_key(&mut self.notes, |note| !note.is_loss);
        CaptureEnd { frames: self.handed, notes: self.notes, layout: self.layout }
    }
}

impl Repeated {
    fn describe(&self, what: &str) -> Option<String> {
        let Self { times, first_frame, first_offset } = self;
        match times {
            0 => None,
            1 => Some(format!("frame {first_frame} (at byte {first_offset}) {what}")),
            _ => Some(format!("frame {first_frame} (at byte {first_offset}) {what}; so are {} more", times - 1)),
        }
    }
}

impl Segment {
    /// Says what of the last record is there.
    fn cut(&self, frame: u64, offset: u64, left: &[u8], need: usize) -> String {
        let (there, missing) = (left.len(), need.saturating_sub(left.len()));
        match self {
            Self::Classic(classic) if there < usize::from(classic.record_header) => {
                format!("the file ends inside the header of frame {frame} (at byte {offset}): {there} of its bytes are there")
            }
            Self::Classic(classic) => {
                let header = usize::from(classic.record_header);
                let (there, whole) = (there - header, need - header);
                format!("frame {frame} (at byte {offset}) is cut: {there} of {whole} bytes are there, {missing} are missing")
            }
            Self::Pcapng(_) => {
                format!(
                    "the block at byte {offset}, after {} frames, is cut: {there} of {need} bytes are there, {missing} are missing",
                    frame - 1
                )
            }
        }
    }
}

impl Damage {
    fn describe(&self, at: u64, is_zeros: bool) -> String {
        match self {
            Self::Length { frame, claimed } => format!("frame {frame} (at byte {at}) claims {claimed} bytes, which cannot be"),
            Self::Block { kind, claimed } => format!("the block at byte {at} claims type {kind:#x} and {claimed} bytes, which cannot be"),
            Self::Trailer { kind } => format!("the block of type {kind:#x} at byte {at} does not end with its length"),
            Self::Zeros if is_zeros => format!("there are only zeros from byte {at} on, as a writer leaves that had no time to finish"),
            Self::Zeros => format!("there are zeros at byte {at} where a frame should begin"),
        }
    }
}

/// Whether a record can be believed to begin somewhere.
enum Candidate {
    Yes,
    No,
    Need(usize),
}

impl Candidate {
    /// More bytes would tell; at the file's end there are none.
    fn need(len: usize, is_last: bool) -> Self {
        if is_last { Self::No } else { Self::Need(len) }
    }
}

/// A known type, a length that fits it, and the same length behind.
fn believable_block(section: Section, bytes: &[u8], is_last: bool) -> Candidate {
    let order = pcapng::section_order(bytes);
    let big_endian = order.unwrap_or(section.big_endian);
    let (Some(kind), Some(claimed)) = (u32_at(bytes, 0, big_endian), u32_at(bytes, 4, big_endian)) else {
        return Candidate::need(12, is_last);
    };
    let is_known = match kind {
        pcapng::SECTION_HEADER => order.is_some() || bytes.len() < 12,
        kind => (pcapng::INTERFACE_DESCRIPTION..=pcapng::ENHANCED_PACKET).contains(&kind),
    };
    if !is_known || !(pcapng::shortest(kind)..=MAX_CANDIDATE).contains(&claimed) || !claimed.is_multiple_of(4) {
        return Candidate::No;
    }
    match u32_at(bytes, claimed as usize - 4, big_endian) {
        None => Candidate::need(claimed as usize, is_last),
        Some(again) if again == claimed => Candidate::Yes,
        Some(_) => Candidate::No,
    }
}
