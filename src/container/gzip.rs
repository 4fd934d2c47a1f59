//! gzip (RFC 1952): members one after another make one file, as rotated and appended captures do.
//! Knows gzip's header and trailer; deflate is `inflate`'s.

use super::inflate::{Inflate, Inflated};
use super::{MemberSink, Output};
use crate::carry::Step;
use crate::model::Note;

#[derive(Debug, Default)]
pub(super) struct Gzip {
    state: State,
    inflate: Inflate,
    /// gzip members read to their end.
    members: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Header,
    Body,
    Trailer,
}

/// A longer header than this is not gzip's: names and comments are short.
const MAX_HEADER: usize = 128 << 10;

impl Gzip {
    pub(super) fn step(&mut self, bytes: &[u8], out: &mut Output, sink: &mut impl MemberSink) -> Step {
        match self.state {
            State::Header => match header_len(bytes) {
                Header::Whole(len) => {
                    out.begin_only_member(sink);
                    self.inflate.reset();
                    self.state = State::Body;
                    Step::Done(len)
                }
                Header::Need(len) if len <= MAX_HEADER => Step::Need(len),
                _ if self.members > 0 => {
                    // Tapes and some tools pad with zeros; gunzip ignores whatever follows.
                    if bytes.first() != Some(&0) {
                        out.note(Note::info(format!("what follows the gzip data at byte {} is no gzip and was ignored", out.offset)));
                    }
                    out.is_stopped = true;
                    Step::Done(0)
                }
                _ => {
                    out.stop("the file begins as gzip, but its header cannot be read".to_owned());
                    Step::Done(0)
                }
            },
            State::Body if bytes.is_empty() => Step::Need(1),
            State::Body => {
                let inflated = self.inflate.push(bytes, |piece| {
                    out.bytes(piece, sink);
                    !out.is_stopped
                });
                match inflated {
                    Inflated::All => Step::Done(bytes.len()),
                    Inflated::End(len) => {
                        self.state = State::Trailer;
                        Step::Done(len)
                    }
                    Inflated::Damaged => {
                        let (unpacked, at) = (self.inflate.sums().1, out.offset);
                        out.stop(format!("the gzip data is damaged near byte {at}; the {unpacked} bytes before were read"));
                        Step::Done(0)
                    }
                }
            }
            State::Trailer => {
                let Some([c0, c1, c2, c3, l0, l1, l2, l3]) = bytes.first_chunk::<8>().copied() else { return Step::Need(8) };
                let (crc, len) = self.inflate.sums();
                // ISIZE is the length modulo 2^32.
                if u32::from_le_bytes([c0, c1, c2, c3]) != crc || u64::from(u32::from_le_bytes([l0, l1, l2, l3])) != len & 0xffff_ffff {
                    out.note(Note::loss(format!(
                        "the checksum of the gzip member that ends at byte {} does not fit: its data is damaged",
                        out.offset
                    )));
                }
                self.members += 1;
                self.state = State::Header;
                Step::Done(8)
            }
        }
    }

    pub(super) fn cut(&self, left: &[u8]) -> Option<String> {
        match self.state {
            State::Header if self.members == 0 => Some("the gzip file ends inside its header".to_owned()),
            State::Header if left.is_empty() => None,
            State::Header => Some("the gzip file ends inside the header of a further member".to_owned()),
            State::Body => Some(format!("the gzip file is cut; the first {} bytes of its last member were read", self.inflate.sums().1)),
            State::Trailer => Some("the gzip file ends inside its checksum; all data before it was read".to_owned()),
        }
    }
}

enum Header {
    Whole(usize),
    Need(usize),
    Not,
}

fn header_len(bytes: &[u8]) -> Header {
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    const HEADER_CRC: u8 = 2;
    if !bytes.iter().zip([0x1f, 0x8b, 8]).all(|(octet, magic)| *octet == magic) {
        return Header::Not;
    }
    let Some([_, _, _, flags, ..]) = bytes.first_chunk::<10>() else { return Header::Need(10) };
    let mut len = 10;
    if flags & EXTRA != 0 {
        let Some([l0, l1]) = bytes.get(len..).and_then(|rest| rest.first_chunk()) else { return Header::Need(len + 2) };
        len += 2 + usize::from(u16::from_le_bytes([*l0, *l1]));
    }
    for flag in [NAME, COMMENT] {
        if flags & flag != 0 {
            match bytes.get(len..).and_then(|rest| rest.iter().position(|octet| *octet == 0)) {
                Some(end) => len += end + 1,
                None => return Header::Need(bytes.len().max(len) + 1),
            }
        }
    }
    if flags & HEADER_CRC != 0 {
        len += 2;
    }
    if bytes.len() < len { Header::Need(len) } else { Header::Whole(len) }
}
