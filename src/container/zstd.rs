//! zstd (RFC 8878): frames one after another make one file; skippable frames are skipped.
//! Knows where blocks begin and end; what stands in them is ruzstd's to know.

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{MemberSink, Output};
use crate::carry::Step;
use crate::model::Note;

pub(super) struct Zstd {
    state: State,
    decoder: FrameDecoder,
    has_checksum: bool,
    frames: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Header,
    Block,
    Skip { left: u64 },
}

/// The largest window that `zstd --ultra` and `--long` use by themselves: what one frame may cost in memory.
const MAX_WINDOW: u64 = 128 << 20;

impl Default for Zstd {
    fn default() -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW);
        Self { state: State::Header, decoder, has_checksum: false, frames: 0 }
    }
}

impl std::fmt::Debug for Zstd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Zstd").field("state", &self.state).field("frames", &self.frames).finish_non_exhaustive()
    }
}

impl Zstd {
    pub(super) fn step(&mut self, bytes: &[u8], out: &mut Output, sink: &mut impl MemberSink) -> Step {
        match self.state {
            State::Header => self.header(bytes, out, sink),
            State::Skip { left: 0 } => {
                self.state = State::Header;
                Step::Done(0)
            }
            State::Skip { .. } if bytes.is_empty() => Step::Need(1),
            State::Skip { left } => {
                let len = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                self.state = State::Skip { left: left - len as u64 };
                Step::Done(len)
            }
            State::Block => self.block(bytes, out, sink),
        }
    }

    fn header(&mut self, bytes: &[u8], out: &mut Output, sink: &mut impl MemberSink) -> Step {
        const FRAME: u32 = 0xfd2f_b528;
        let Some(&[m0, m1, m2, m3, descriptor]) = bytes.first_chunk::<5>() else { return Step::Need(5) };
        match u32::from_le_bytes([m0, m1, m2, m3]) {
            FRAME => {}
            0x184d_2a50..=0x184d_2a5f => {
                let Some(&[_, _, _, _, l0, l1, l2, l3]) = bytes.first_chunk::<8>() else { return Step::Need(8) };
                self.state = State::Skip { left: u64::from(u32::from_le_bytes([l0, l1, l2, l3])) };
                return Step::Done(8);
            }
            _ if self.frames > 0 => {
                out.note(Note::info(format!("what follows the zstd data at byte {} is no zstd and was ignored", out.offset)));
                out.is_stopped = true;
                return Step::Done(0);
            }
            _ => {
                out.stop("the file begins as zstd, but its header cannot be read".to_owned());
                return Step::Done(0);
            }
        }
        // RFC 8878, 3.1.1.1: what the descriptor says about the fields that follow it.
        let is_single_segment = descriptor & 0x20 != 0;
        let dictionary = match descriptor & 3 {
            3 => 4,
            n => usize::from(n),
        };
        let content = match descriptor >> 6 {
            0 => usize::from(is_single_segment),
            n => 1_usize << n,
        };
        let len = 5 + usize::from(!is_single_segment) + dictionary + content;
        let Some(header) = bytes.get(..len) else { return Step::Need(len) };
        if let Err(why) = self.decoder.reset(header) {
            out.stop(format!("the zstd frame at byte {} cannot be read: {why}", out.offset));
            return Step::Done(0);
        }
        out.begin_only_member(sink);
        self.has_checksum = descriptor & 4 != 0;
        self.state = State::Block;
        Step::Done(len)
    }

    fn block(&mut self, bytes: &[u8], out: &mut Output, sink: &mut impl MemberSink) -> Step {
        let Some(&[b0, b1, b2]) = bytes.first_chunk::<3>() else { return Step::Need(3) };
        let header = u32::from_le_bytes([b0, b1, b2, 0]);
        let is_last = header & 1 == 1;
        // A run-length block states how long it becomes and holds one octet.
        let size = if header >> 1 & 3 == 1 { 1 } else { header >> 3 };
        let len = 3 + size as usize + if is_last && self.has_checksum { 4 } else { 0 };
        let Some(block) = bytes.get(..len) else { return Step::Need(len) };
        let mut rest = block;
        if let Err(why) = self.decoder.decode_blocks(&mut rest, BlockDecodingStrategy::UptoBlocks(1)) {
            out.stop(format!("the zstd data is damaged at byte {}: {why}", out.offset));
            return Step::Done(0);
        }
        let unpacked = self.decoder.collect().unwrap_or_default();
        for piece in unpacked.chunks(super::inflate::PIECE) {
            out.bytes(piece, sink);
        }
        if is_last {
            let sums = (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum());
            if let (Some(stated), Some(calculated)) = sums
                && stated != calculated
            {
                out.note(Note::loss(format!(
                    "the checksum of the zstd frame that ends at byte {} does not fit: its data is damaged",
                    out.offset
                )));
            }
            self.frames += 1;
            self.state = State::Header;
        }
        Step::Done(len)
    }

    pub(super) fn cut(&self, left: &[u8]) -> Option<String> {
        match self.state {
            State::Header if left.is_empty() && self.frames > 0 => None,
            State::Header => Some("the zstd file ends inside a header".to_owned()),
            State::Block | State::Skip { .. } => Some("the zstd file is cut; what could be unpacked before was read".to_owned()),
        }
    }
}
