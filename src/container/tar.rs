//! tar: ustar, GNU long names, pax paths and sizes.
//! Knows tar's headers; must not know what members hold.

use super::{MemberSink, Output};
use crate::carry::Step;
use crate::model::Note;

const BLOCK: usize = 512;
/// Long names and pax records beyond this are hostile.
const MAX_EXTENSION: u64 = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Tar {
    state: State,
    /// From a GNU or pax header, for the next member.
    long_name: Option<Vec<u8>>,
    long_size: Option<u64>,
    members: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Header,
    /// A file's bytes, and the padding after them.
    Data { left: u64, padding: u64 },
    /// Bytes of no interest.
    Skip { left: u64 },
    /// A GNU name or pax records, of so many bytes and so many with their padding.
    Extension { kind: u8, len: u64, padded: u64 },
    /// After the mark that ends the archive.
    Ended,
}

impl Tar {
    pub(super) fn step(&mut self, bytes: &[u8], out: &mut Output, sink: &mut impl MemberSink) -> Step {
        match self.state {
            State::Header => {
                let Some(header) = bytes.first_chunk::<BLOCK>() else { return Step::Need(BLOCK) };
                self.header(header, out, sink);
                Step::Done(if out.is_stopped { 0 } else { BLOCK })
            }
            State::Data { left: 0, padding } => {
                out.end_member(sink);
                self.state = State::Skip { left: padding };
                Step::Done(0)
            }
            State::Skip { left: 0 } => {
                self.state = State::Header;
                Step::Done(0)
            }
            State::Ended if !bytes.is_empty() => Step::Done(bytes.len()),
            State::Data { .. } | State::Skip { .. } | State::Ended if bytes.is_empty() => Step::Need(1),
            State::Data { left, padding } => {
                let part = bytes.get(..usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or(bytes);
                out.bytes(part, sink);
                self.state = State::Data { left: left - part.len() as u64, padding };
                Step::Done(part.len())
            }
            State::Skip { left } => {
                let len = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                self.state = State::Skip { left: left - len as u64 };
                Step::Done(len)
            }
            State::Extension { kind, len, padded } => {
                // Both are at most `MAX_EXTENSION` and its padding.
                let (len, padded) = (len as usize, padded as usize);
                let Some(whole) = bytes.get(..padded) else { return Step::Need(padded) };
                let body = whole.get(..len).unwrap_or_default();
                match kind {
                    b'L' => self.long_name = Some(until_nul(body).to_vec()),
                    _ => self.pax(body),
                }
                self.state = State::Header;
                Step::Done(padded)
            }
            // Answered above, with bytes and without.
            State::Ended => Step::Need(1),
        }
    }

    fn header(&mut self, header: &[u8; BLOCK], out: &mut Output, sink: &mut impl MemberSink) {
        if header.iter().all(|octet| *octet == 0) {
            self.state = State::Ended;
            return;
        }
        let field = |range: std::ops::Range<usize>| header.get(range).unwrap_or_default();
        let sum = number(field(148..156));
        // The checksum counts its own field as blanks; some old tars summed signed octets.
        let octets = || header.iter().enumerate().map(|(at, octet)| if (148..156).contains(&at) { b' ' } else { *octet });
        let unsigned: u64 = octets().map(u64::from).sum();
        let signed: i64 = octets().map(|octet| i64::from(octet.cast_signed())).sum();
        if sum.is_none_or(|sum| sum != unsigned && i64::try_from(sum) != Ok(signed)) {
            let (at, members) = (out.offset, self.members);
            out.stop(format!("the tar header at byte {at} is damaged; {members} members before it were read"));
            return;
        }
        let stated = number(field(124..136));
        let kind = header.get(156).copied().unwrap_or(0);
        let long_size = if matches!(kind, b'L' | b'K' | b'x' | b'g') { None } else { self.long_size.take() };
        let Some(len) = long_size.or(stated) else {
            out.stop(format!("the tar header at byte {} has no readable size", out.offset));
            return;
        };
        let Some(padded) = len.checked_next_multiple_of(BLOCK as u64) else {
            out.stop(format!("the tar header at byte {} claims {len} bytes, which cannot be", out.offset));
            return;
        };
        match kind {
            // Regular files of all ages; a name that ends in `/` is a folder of old tars.
            0 | b'0' | b'7' => {
                let name = self.long_name.take().unwrap_or_else(|| short_name(header));
                if name.ends_with(b"/") {
                    self.state = State::Skip { left: padded };
                    return;
                }
                self.members += 1;
                out.begin_member(&name, sink);
                self.state = State::Data { left: len, padding: padded - len };
            }
            b'L' | b'x' if len <= MAX_EXTENSION => self.state = State::Extension { kind, len, padded },
            b'L' | b'x' | b'K' | b'g' => self.state = State::Skip { left: padded },
            _ => {
                let name = self.long_name.take().unwrap_or_else(|| short_name(header));
                if kind == b'S' {
                    out.note(Note::loss(format!(
                        "{} is stored as a sparse file, which is not read: pack it without --sparse",
                        super::clean(&name).0
                    )));
                }
                // Links, devices and folders have no data whatever their size says, except what is unknown.
                self.state = State::Skip { left: if (b'1'..=b'6').contains(&kind) { 0 } else { padded } };
            }
        }
    }

    /// Records `LENGTH KEY=VALUE\n`, of which the path and the size matter.
    fn pax(&mut self, body: &[u8]) {
        let mut rest = body;
        while let Some(blank) = rest.iter().position(|octet| *octet == b' ') {
            let Some(len) = rest.get(..blank).and_then(decimal) else { return };
            let Some(record) = usize::try_from(len).ok().and_then(|len| rest.get(blank + 1..len)) else { return };
            let record = record.strip_suffix(b"\n").unwrap_or(record);
            if let Some(path) = record.strip_prefix(b"path=") {
                self.long_name = Some(path.to_vec());
            } else if let Some(size) = record.strip_prefix(b"size=") {
                self.long_size = decimal(size);
            }
            rest = rest.get(len as usize..).unwrap_or_default();
        }
    }

    pub(super) fn cut(&self, left: &[u8]) -> Option<String> {
        match self.state {
            State::Ended => None,
            // Without its end mark, yet whole: appended and hand-made archives.
            State::Header if left.is_empty() && self.members > 0 => None,
            State::Data { left: 0, .. } | State::Skip { left: 0 } if left.is_empty() => None,
            State::Data { left: missing, .. } if missing > 0 => {
                Some(format!("the tar file is cut: {missing} bytes of its member {} are missing", self.members))
            }
            _ => Some(format!("the tar file is cut after {} members", self.members)),
        }
    }
}

/// ustar's prefix and name; GNU's own format has other things where the prefix would be.
fn short_name(header: &[u8; BLOCK]) -> Vec<u8> {
    let name = until_nul(header.get(..100).unwrap_or_default());
    let prefix = until_nul(header.get(345..500).unwrap_or_default());
    if header.get(257..263) == Some(b"ustar\0") && !prefix.is_empty() { [prefix, b"/", name].concat() } else { name.to_vec() }
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|octet| *octet == 0).next().unwrap_or_default()
}

/// Octal digits, or GNU's base 256 with the top bit set.
fn number(field: &[u8]) -> Option<u64> {
    if let Some((first, rest)) = field.split_first()
        && first & 0x80 != 0
    {
        let start = u64::from(first & 0x7f);
        return rest.iter().try_fold(start, |sum, octet| sum.checked_mul(256)?.checked_add(u64::from(*octet)));
    }
    let digits = until_nul(field).trim_ascii();
    digits.iter().try_fold(0_u64, |sum, digit| match digit {
        b'0'..=b'7' => sum.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

fn decimal(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}
