//! Compressed files and archives: bytes in chunks of any size → members' bytes, as they become readable.
//! Knows gzip, zstd, tar and zip; must not know what members are. Archives in archives are the caller's to open.

mod gzip;
mod inflate;
mod tar;
mod zip;
mod zstd;

use crate::carry::{Carry, Step};
use crate::model::Note;

/// What is to be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerKind {
    /// RFC 1952, several members in a row too.
    Gzip,
    /// RFC 8878, several frames in a row too.
    Zstd,
    /// ustar, GNU tar, pax.
    Tar,
    /// Zip and zip64, read from its front by local headers.
    Zip,
}

/// What unpacking may cost. A file of a few bytes can claim to hold more than a machine can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Unpacked bytes in all.
    pub total: u64,
    /// Unpacked bytes for each packed one, once [`Limits::FREE`] bytes are unpacked. Deflate cannot do more than 1032.
    pub ratio: u64,
    /// Members of an archive.
    pub members: u64,
}

impl Limits {
    /// Below so many unpacked bytes the ratio does not matter.
    pub const FREE: u64 = 256 << 20;
}

impl Default for Limits {
    /// 64 GiB, 1100 to 1, 100 000 members: beyond what captures and support bundles have, short of what hurts.
    fn default() -> Self {
        Self { total: 64 << 30, ratio: 1100, members: 100_000 }
    }
}

/// What a container hands its members to: one at a time, in the order of the file.
pub trait MemberSink {
    /// A member begins. `name` is a clean relative path; it is empty for a compressed single file.
    fn member(&mut self, name: &str);
    /// Its next bytes: never more than 64 KiB at once from a compressed member.
    fn bytes(&mut self, bytes: &[u8]);
    /// It has ended, or nothing more of it can be read.
    fn end(&mut self);
}

/// What became of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerEnd {
    /// Members handed over.
    pub members: u64,
    /// Unpacked bytes handed over.
    pub bytes: u64,
    /// What could not be read and where.
    pub notes: Vec<Note>,
}

/// A container being unpacked.
#[derive(Debug)]
pub struct Container {
    format: Format,
    out: Output,
    carry: Carry,
}

#[derive(Debug)]
enum Format {
    Gzip(gzip::Gzip),
    Zstd(Box<zstd::Zstd>),
    Tar(tar::Tar),
    Zip(Box<zip::Zip>),
}

impl Container {
    /// Begins to unpack.
    #[must_use]
    pub fn new(kind: ContainerKind, limits: Limits) -> Self {
        let format = match kind {
            ContainerKind::Gzip => Format::Gzip(gzip::Gzip::default()),
            ContainerKind::Zstd => Format::Zstd(Box::default()),
            ContainerKind::Tar => Format::Tar(tar::Tar::default()),
            ContainerKind::Zip => Format::Zip(Box::default()),
        };
        Self { format, out: Output { limits, ..Output::default() }, carry: Carry::default() }
    }

    /// The next bytes; any length.
    pub fn push(&mut self, chunk: &[u8], sink: &mut impl MemberSink) {
        self.out.packed += chunk.len() as u64;
        let (format, out) = (&mut self.format, &mut self.out);
        self.carry.push(chunk, |bytes| format.advance(bytes, out, sink));
    }

    /// Whether a limit or damage ended the unpacking: further bytes are ignored.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.out.is_stopped
    }

    /// No more bytes will come.
    pub fn finish(mut self, sink: &mut impl MemberSink) -> ContainerEnd {
        if !self.out.is_stopped {
            let cut = match &self.format {
                Format::Gzip(gzip) => gzip.cut(self.carry.left()),
                Format::Zstd(zstd) => zstd.cut(self.carry.left()),
                Format::Tar(tar) => tar.cut(self.carry.left()),
                Format::Zip(zip) => zip.cut(self.carry.left()),
            };
            self.out.notes.extend(cut.map(Note::loss));
        }
        self.out.end_member(sink);
        ContainerEnd { members: self.out.members, bytes: self.out.unpacked, notes: self.out.notes }
    }
}

impl Format {
    fn advance(&mut self, bytes: &[u8], out: &mut Output, sink: &mut impl MemberSink) -> Step {
        if out.is_stopped {
            return if bytes.is_empty() { Step::Need(1) } else { Step::Done(bytes.len()) };
        }
        let step = match self {
            Self::Gzip(gzip) => gzip.step(bytes, out, sink),
            Self::Zstd(zstd) => zstd.step(bytes, out, sink),
            Self::Tar(tar) => tar.step(bytes, out, sink),
            Self::Zip(zip) => zip.step(bytes, out, sink),
        };
        if let Step::Done(len) = step {
            out.offset += len as u64;
        }
        step
    }
}

/// Where members go, and the count of what they cost.
#[derive(Debug, Default)]
struct Output {
    limits: Limits,
    /// Offset in the container of the byte that is looked at.
    offset: u64,
    packed: u64,
    unpacked: u64,
    members: u64,
    is_open: bool,
    is_stopped: bool,
    notes: Vec<Note>,
}

/// Notes beyond this are dropped: they repeat.
const MAX_NOTES: usize = 32;

impl Output {
    fn begin_member(&mut self, raw_name: &[u8], sink: &mut impl MemberSink) {
        self.end_member(sink);
        if self.members >= self.limits.members {
            self.stop(format!("it has more than {} members; the rest was not read: unpack it, and take what matters", self.limits.members));
            return;
        }
        let (name, was_hostile) = clean(raw_name);
        if was_hostile {
            self.note(Note::info(format!("a member's path leads out of the archive; it was read as {name}")));
        }
        self.members += 1;
        self.is_open = true;
        sink.member(&name);
    }

    /// Begins the only member of a compressed file, once.
    fn begin_only_member(&mut self, sink: &mut impl MemberSink) {
        if !self.is_open {
            self.members += 1;
            self.is_open = true;
            sink.member("");
        }
    }

    fn bytes(&mut self, bytes: &[u8], sink: &mut impl MemberSink) {
        if bytes.is_empty() || self.is_stopped {
            return;
        }
        let Limits { total, ratio, .. } = self.limits;
        let unpacked = self.unpacked.saturating_add(bytes.len() as u64);
        if unpacked > total {
            self.stop(format!("it unpacks to more than {total} bytes; the rest was not read: unpack it, and take what matters"));
            return;
        }
        if unpacked > Limits::FREE && unpacked / ratio > self.packed {
            self.stop(format!(
                "{} bytes unpack to more than {ratio} times as many; the rest was not read: if it is no bomb, unpack it",
                self.packed
            ));
            return;
        }
        self.unpacked = unpacked;
        sink.bytes(bytes);
    }

    fn end_member(&mut self, sink: &mut impl MemberSink) {
        if self.is_open {
            self.is_open = false;
            sink.end();
        }
    }

    fn stop(&mut self, why: String) {
        self.notes.push(Note::loss(why));
        self.is_stopped = true;
    }

    fn note(&mut self, note: Note) {
        if self.notes.len() < MAX_NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// A member's path made harmless: relative, with `/`, without `.` and `..`; and whether it would have led out.
fn clean(raw: &[u8]) -> (String, bool) {
    const MAX_LEN: usize = 4096;
    let text = String::from_utf8_lossy(raw.get(..MAX_LEN).unwrap_or(raw)).replace('\\', "/");
    let mut was_hostile = text.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for (position, part) in text.split('/').enumerate() {
        match part {
            "" | "." => {}
            ".." => was_hostile = true,
            // A drive, as Windows tools write it.
            drive if position == 0 && drive.len() == 2 && drive.ends_with(':') => was_hostile = true,
            part => parts.push(part),
        }
    }
    let name: String = parts.join("/").chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if name.is_empty() { ("unnamed".to_owned(), was_hostile) } else { (name, was_hostile) }
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn paths_stay_inside() {
        for (raw, name, was_hostile) in [
            (&b"a/b.pcap"[..], "a/b.pcap", false),
            (b"./a//b.pcap", "a/b.pcap", false),
            (b"../../etc/passwd", "etc/passwd", true),
            (b"a/../../b", "a/b", true),
            (b"/etc/passwd", "etc/passwd", true),
            (b"C:\\x\\..\\y", "x/y", true),
            (b"\\\\host\\share", "host/share", true),
            (b"..", "unnamed", true),
            (b"", "unnamed", false),
            (b"a\nb\x1b[2J", "a\u{fffd}b\u{fffd}[2J", false),
            (b"\xff.pcap", "\u{fffd}.pcap", false),
        ] {
            assert_eq!(clean(raw), (name.to_owned(), was_hostile), "{}", String::from_utf8_lossy(raw));
        }
    }
}
