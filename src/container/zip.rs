//! Zip (APPNOTE 6.3) from its front: local headers, stored and deflated members, zip64, data descriptors.
//! Knows local headers; the central directory behind the members is not needed, so no file has to be kept whole.

use super::inflate::{Inflate, Inflated};
use super::{MemberSink, Output};
use crate::carry::Step;
use crate::model::Note;

#[derive(Debug, Default)]
pub(super) struct Zip {
    state: State,
    inflate: Inflate,
    entry: Entry,
    members: u64,
}

/// The local header of the member that is being read.
#[derive(Debug, Default)]
struct Entry {
    name: String,
    crc: u32,
    packed: u64,
    is_zip64: bool,
    has_descriptor: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Header,
    Stored {
        left: u64,
    },
    Deflated,
    Skip {
        left: u64,
    },
    Descriptor,
    /// At the central directory.
    Ended,
}

const LOCAL: u32 = 0x0403_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const LOCAL_LEN: usize = 30;
const ENCRYPTED: u16 = 1;
const HAS_DESCRIPTOR: u16 = 8;

impl Zip {
    pub(super) fn step(&mut self, bytes: &[u8], out: &mut Output, sink: &mut impl MemberSink) -> Step {
        match self.state {
            State::Header => self.header(bytes, out, sink),
            State::Ended if !bytes.is_empty() => Step::Done(bytes.len()),
            State::Stored { left: 0 } => {
                self.end_of_data(out, sink);
                Step::Done(0)
            }
            State::Skip { left: 0 } => {
                self.state = if self.entry.has_descriptor { State::Descriptor } else { State::Header };
                Step::Done(0)
            }
            State::Descriptor => self.descriptor(bytes, out),
            _ if bytes.is_empty() => Step::Need(1),
            State::Stored { left } => {
                let part = bytes.get(..usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or(bytes);
                out.bytes(part, sink);
                self.state = State::Stored { left: left - part.len() as u64 };
                Step::Done(part.len())
            }
            State::Skip { left } => {
                let len = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                self.state = State::Skip { left: left - len as u64 };
                Step::Done(len)
            }
            State::Deflated => {
                let inflated = self.inflate.push(bytes, |piece| {
                    out.bytes(piece, sink);
                    !out.is_stopped
                });
                match inflated {
                    Inflated::All => Step::Done(bytes.len()),
                    Inflated::End(len) => {
                        if !self.entry.has_descriptor && self.inflate.sums().0 != self.entry.crc {
                            out.note(damaged(&self.entry.name));
                        }
                        self.end_of_data(out, sink);
                        Step::Done(len)
                    }
                    Inflated::Damaged => {
                        out.stop(format!("the zip file is damaged near byte {}, in its member {}", out.offset, self.entry.name));
                        Step::Done(0)
                    }
                }
            }
            State::Ended => Step::Need(1),
        }
    }

    fn header(&mut self, bytes: &[u8], out: &mut Output, sink: &mut impl MemberSink) -> Step {
        let Some(signature) = u32_at(bytes, 0) else { return Step::Need(4) };
        if signature != LOCAL {
            let is_directory = matches!(signature, 0x0201_4b50 | 0x0605_4b50 | 0x0606_4b50 | 0x0806_4b50);
            // A spanned archive of one part may begin with the descriptor's signature.
            if signature == DESCRIPTOR && self.members == 0 && out.offset == 0 {
                return Step::Done(4);
            }
            if !is_directory {
                let (at, members) = (out.offset, self.members);
                out.stop(format!("there is no zip header at byte {at}, where one should be; {members} members before it were read"));
            }
            self.state = State::Ended;
            return Step::Done(0);
        }
        let (Some(name_len), Some(extra_len)) = (u16_at(bytes, 26), u16_at(bytes, 28)) else { return Step::Need(LOCAL_LEN) };
        let len = LOCAL_LEN + usize::from(name_len) + usize::from(extra_len);
        let Some(header) = bytes.get(..len) else { return Step::Need(len) };
        let (Some(flags), Some(method), Some(crc)) = (u16_at(header, 6), u16_at(header, 8), u32_at(header, 14)) else {
            return Step::Need(len + 1);
        };
        let raw_name = header.get(LOCAL_LEN..LOCAL_LEN + usize::from(name_len)).unwrap_or_default();
        let mut entry = Entry {
            name: super::clean(raw_name).0,
            crc,
            packed: u64::from(u32_at(header, 18).unwrap_or(0)),
            is_zip64: false,
            has_descriptor: flags & HAS_DESCRIPTOR != 0,
        };
        let needs_packed = entry.packed == 0xffff_ffff;
        let needs_unpacked = u32_at(header, 22) == Some(0xffff_ffff);
        if let Some(zip64) = extra_field(header.get(LOCAL_LEN + usize::from(name_len)..).unwrap_or_default(), 1) {
            entry.is_zip64 = true;
            if needs_packed {
                entry.packed = u64_at(zip64, if needs_unpacked { 8 } else { 0 }).unwrap_or(entry.packed);
            }
        }
        let is_folder = raw_name.ends_with(b"/") || raw_name.ends_with(b"\\");
        let trouble = if flags & ENCRYPTED != 0 {
            Some("is encrypted (unpack it)".to_owned())
        } else if !matches!(method, 0 | 8) {
            Some(format!("is packed by method {method}, which is not read (unpack it)"))
        } else if method == 0 && entry.has_descriptor && entry.packed == 0 && !is_folder {
            Some("is stored without its length in front (unpack it)".to_owned())
        } else {
            None
        };
        let has_unknown_len = entry.has_descriptor && entry.packed == 0;
        self.state = match trouble {
            Some(trouble) if has_unknown_len => {
                out.stop(format!("{} {trouble}, and where it ends cannot be told; the rest was not read", entry.name));
                State::Ended
            }
            Some(trouble) => {
                out.note(Note::loss(format!("{} {trouble}", entry.name)));
                State::Skip { left: entry.packed }
            }
            None if is_folder && !has_unknown_len => State::Skip { left: entry.packed },
            None => {
                self.members += 1;
                if !is_folder {
                    out.begin_member(raw_name, sink);
                }
                self.inflate.reset();
                if method == 0 { State::Stored { left: entry.packed } } else { State::Deflated }
            }
        };
        self.entry = entry;
        Step::Done(len)
    }

    fn end_of_data(&mut self, out: &mut Output, sink: &mut impl MemberSink) {
        out.end_member(sink);
        self.state = if self.entry.has_descriptor { State::Descriptor } else { State::Header };
    }

    /// CRC and two lengths of four or eight octets each, with or without a signature in front: what follows tells which.
    fn descriptor(&mut self, bytes: &[u8], out: &mut Output) -> Step {
        let Some(first) = u32_at(bytes, 0) else { return Step::Need(4) };
        let signature = if first == DESCRIPTOR { 4 } else { 0 };
        let (short, long) = (signature + 12, signature + 20);
        let Some(after_short) = u32_at(bytes, short) else { return Step::Need(short + 4) };
        let is_next = |value: u32| matches!(value, LOCAL | 0x0201_4b50 | 0x0605_4b50 | 0x0606_4b50 | 0x0806_4b50);
        let len = if self.entry.is_zip64 || !is_next(after_short) { long } else { short };
        if bytes.len() < len {
            return Step::Need(len);
        }
        let (crc, unpacked) = self.inflate.sums();
        if unpacked > 0 && u32_at(bytes, signature).is_some_and(|stated| stated != crc) {
            out.note(damaged(&self.entry.name));
        }
        self.state = State::Header;
        Step::Done(len)
    }

    pub(super) fn cut(&self, left: &[u8]) -> Option<String> {
        let name = &self.entry.name;
        match self.state {
            State::Ended => None,
            State::Stored { left: missing } if missing > 0 => {
                Some(format!("the zip file is cut: {missing} bytes of its member {name} are missing"))
            }
            State::Deflated => {
                Some(format!("the zip file is cut; the first {} bytes of its member {name} were read", self.inflate.sums().1))
            }
            State::Header if left.is_empty() && self.members > 0 => {
                Some("the zip file ends without its directory; members may be missing".to_owned())
            }
            _ => Some(format!("the zip file is cut after {} members", self.members)),
        }
    }
}

fn damaged(name: &str) -> Note {
    Note::loss(format!("the checksum of {name} does not fit: its data is damaged"))
}

fn extra_field(extra: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = extra;
    loop {
        let (id, len) = (u16_at(rest, 0)?, usize::from(u16_at(rest, 2)?));
        let value = rest.get(4..4 + len)?;
        if id == wanted {
            return Some(value);
        }
        rest = rest.get(4 + len..)?;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|octets| u16::from_le_bytes(*octets))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|octets| u32::from_le_bytes(*octets))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|octets| u64::from_le_bytes(*octets))
}
