//! One member of an archive, or the inside of a compressed file, as a stream of bytes: what the evidence names is often there.
//! Knows how members are named in the report; must not know what they hold.

use hopscope::container::{Container, ContainerKind, Limits, MemberSink};

/// Enough to tell a container: tar's mark stands at 257.
pub(super) const PREFIX: usize = 264;
/// As deep as an archive within an archive is opened.
const DEEPEST: u8 = 4;

/// Finds the wanted input in a file's bytes and hands its own bytes on.
pub struct Unwrap {
    wanted: String,
    root: Node,
}

impl Unwrap {
    /// `file_name` is the name of the input that the file itself is, `wanted` that of the input that is looked for.
    pub fn new(file_name: &str, wanted: &str) -> Self {
        Self { wanted: wanted.to_owned(), root: Node::new(file_name.to_owned(), 0) }
    }

    /// The file's next bytes; `out` gets those of the wanted input that come of them.
    pub fn push(&mut self, bytes: &[u8], out: &mut dyn FnMut(&[u8])) {
        self.root.push(bytes, &self.wanted, out);
    }

    /// No more bytes will come.
    pub fn finish(self, out: &mut dyn FnMut(&[u8])) {
        self.root.finish(&self.wanted, out);
    }
}

struct Node {
    path: String,
    depth: u8,
    state: State,
}

enum State {
    Sniffing(Vec<u8>),
    Container(Box<Container>, Box<Option<Node>>),
    Content,
    Other,
}

impl Node {
    fn new(path: String, depth: u8) -> Self {
        Self { path, depth, state: State::Sniffing(Vec::new()) }
    }

    fn push(&mut self, bytes: &[u8], wanted: &str, out: &mut dyn FnMut(&[u8])) {
        match &mut self.state {
            State::Sniffing(prefix) => {
                prefix.extend_from_slice(bytes);
                if prefix.len() >= PREFIX {
                    self.decide(wanted, out);
                }
            }
            State::Container(container, member) => {
                container.push(bytes, &mut Sink { path: &self.path, depth: self.depth, member, wanted, out });
            }
            State::Content => out(bytes),
            State::Other => {}
        }
    }

    fn decide(&mut self, wanted: &str, out: &mut dyn FnMut(&[u8])) {
        let State::Sniffing(prefix) = std::mem::replace(&mut self.state, State::Other) else { return };
        self.state = match kind_of(&prefix).filter(|_| self.depth < DEEPEST) {
            Some(kind) => State::Container(Box::new(Container::new(kind, Limits::default())), Box::new(None)),
            None if self.path == wanted => State::Content,
            None => State::Other,
        };
        self.push(&prefix, wanted, out);
    }

    fn finish(mut self, wanted: &str, out: &mut dyn FnMut(&[u8])) {
        if matches!(self.state, State::Sniffing(_)) {
            self.decide(wanted, out);
        }
        if let State::Container(container, mut member) = self.state {
            container.finish(&mut Sink { path: &self.path, depth: self.depth, member: &mut member, wanted, out });
            if let Some(node) = *member {
                node.finish(wanted, out);
            }
        }
    }
}

/// What the first bytes say a container is; `None` for anything else.
pub(super) fn kind_of(prefix: &[u8]) -> Option<ContainerKind> {
    if prefix.starts_with(&[0x1f, 0x8b]) {
        Some(ContainerKind::Gzip)
    } else if prefix.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Some(ContainerKind::Zstd)
    } else if prefix.starts_with(b"PK\x03\x04") {
        Some(ContainerKind::Zip)
    } else if prefix.get(257..262) == Some(b"ustar".as_slice()) {
        Some(ContainerKind::Tar)
    } else {
        None
    }
}

struct Sink<'a> {
    path: &'a str,
    depth: u8,
    member: &'a mut Option<Node>,
    wanted: &'a str,
    out: &'a mut dyn FnMut(&[u8]),
}

impl MemberSink for Sink<'_> {
    fn member(&mut self, name: &str) {
        let path = if name.is_empty() { self.path.to_owned() } else { format!("{}/{name}", self.path) };
        let leads_there = self.wanted.strip_prefix(path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        *self.member = leads_there.then(|| Node::new(path, self.depth.saturating_add(1)));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if let Some(node) = self.member {
            node.push(bytes, self.wanted, self.out);
        }
    }

    fn end(&mut self) {
        if let Some(node) = self.member.take() {
            node.finish(self.wanted, self.out);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::io::Write as _;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// A ustar archive: header with name, size and checksum, then the bytes in blocks of 512.
    fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = Vec::new();
        for (name, bytes) in members {
            let mut header = vec![0_u8; 512];
            header[..name.len()].copy_from_slice(name.as_bytes());
            header[100..107].copy_from_slice(b"0000644");
            header[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
            header[148..156].fill(b' ');
            header[156] = b'0';
            header[257..265].copy_from_slice(b"ustar\x0000");
            let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
            header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
            archive.extend(header);
            archive.extend_from_slice(bytes);
            archive.resize(archive.len().next_multiple_of(512), 0);
        }
        archive.resize(archive.len() + 1024, 0);
        archive
    }

    fn unwrapped(file: &[u8], wanted: &str, chunk: usize) -> Vec<u8> {
        let mut found = Vec::new();
        let mut unwrap = Unwrap::new("bundle", wanted);
        for piece in file.chunks(chunk) {
            unwrap.push(piece, &mut |bytes| found.extend_from_slice(bytes));
        }
        unwrap.finish(&mut |bytes| found.extend_from_slice(bytes));
        found
    }

    #[test]
    fn members_are_found_by_the_name_that_the_report_gives_them() {
        let inner = gzip(b"the inner text");
        let bundle = gzip(&tar(&[("node1/arp.txt", b"first"), ("node1/x.gz", &inner), ("node2/arp.txt", &[7; 3000])]));
        for chunk in [1, 100, 100_000] {
            assert_eq!(unwrapped(&bundle, "bundle/node1/arp.txt", chunk), b"first");
            assert_eq!(unwrapped(&bundle, "bundle/node1/x.gz", chunk), b"the inner text");
            assert_eq!(unwrapped(&bundle, "bundle/node2/arp.txt", chunk), [7; 3000]);
            assert_eq!(unwrapped(&bundle, "bundle/node3/arp.txt", chunk), b"");
        }
        assert_eq!(unwrapped(b"plain", "bundle", 2), b"plain");
    }
}
