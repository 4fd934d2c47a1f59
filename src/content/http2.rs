//! HTTP/2 without encryption (h2c, gRPC): what a connection's client sends, segment by segment → requests' headers and what they carry.
//! Knows the frames of RFC 9113; must not know proxies, nor keep what was said.
//!
//! Headers can be read from a connection's beginning only, and as long as no octet of them is missing ([`super::hpack`]). What requests
//! carry can be read wherever a frame begins.

use super::hpack::{Decoder, Field, Huffman};

/// What a client begins with (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const FRAME_HEADER: usize = 9;
/// A header block longer than this is read by nobody.
const MOST_BLOCK: usize = 1 << 16;
/// So much of what a request carries is waited for.
const WANTED: usize = 128;

/// Frame types and flags (RFC 9113 §6).
mod frame {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const CONTINUATION: u8 = 9;
    pub(super) const END_HEADERS: u8 = 4;
    pub(super) const PADDED: u8 = 8;
    pub(super) const PRIORITY: u8 = 0x20;
}

/// What was said.
pub(super) enum Said<'a> {
    /// Names and values of one header block.
    Headers(&'a [Field]),
    /// What one DATA frame carries: its beginning, and its length.
    Data(&'a [u8], usize),
}

/// One way of a connection, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Connection {
    /// `None`: headers were lost.
    decoder: Option<Decoder>,
    /// The beginning of a frame whose rest is yet to come.
    held: Vec<u8>,
    /// So many octets still belong to a frame that is done with.
    skip: usize,
    /// Header fragments until the last has come.
    block: Vec<u8>,
    /// Where the next frame begins is not known.
    is_lost: bool,
}

/// A connection that begins, joined in the middle, or a server's beginning, of which nothing is wanted.
pub(super) enum Found {
    Client(Connection),
    Server,
}

/// Whether a stream's first data is HTTP/2.
pub(super) fn begins(data: &[u8], len: usize) -> Option<Found> {
    if data.starts_with(PREFACE) {
        return Some(Found::Client(Connection { decoder: Some(Decoder::default()), skip: PREFACE.len(), ..Connection::default() }));
    }
    let first = chain(data, len)?;
    Some(if first == frame::SETTINGS { Found::Server } else { Found::Client(Connection::default()) })
}

/// The first one's type, if this is one whole frame after another and nothing else.
fn chain(mut data: &[u8], len: usize) -> Option<u8> {
    if data.len() != len || data.is_empty() {
        return None;
    }
    let mut first = None;
    while !data.is_empty() {
        let &[l0, l1, l2, kind, _, i0, i1, i2, i3] = data.first_chunk::<FRAME_HEADER>()?;
        let (len, stream) = (u32::from_be_bytes([0, l0, l1, l2]), u32::from_be_bytes([i0, i1, i2, i3]));
        let fits = match kind {
            frame::DATA | frame::HEADERS | frame::CONTINUATION => stream != 0,
            2 => stream != 0 && len == 5,
            3 => stream != 0 && len == 4,
            frame::SETTINGS => stream == 0 && len % 6 == 0,
            6 => stream == 0 && len == 8,
            7 => stream == 0 && len >= 8,
            8 => len == 4,
            _ => false,
        };
        if !fits || len > 1 << 14 || stream >> 31 != 0 {
            return None;
        }
        first = first.or(Some(kind));
        data = data.get(FRAME_HEADER + len as usize..)?;
    }
    first
}

impl Connection {
    /// So many octets were not captured.
    pub(super) fn miss(&mut self, missing: usize) {
        if missing == 0 {
            return;
        }
        if self.held.is_empty() && self.skip >= missing {
            self.skip -= missing;
        } else {
            *self = Self { is_lost: true, ..Self::default() };
        }
    }

    /// The next segment: what was captured of it, and its length.
    pub(super) fn segment(&mut self, bytes: &[u8], len: usize, huffman: &Huffman, say: &mut dyn FnMut(Said<'_>)) {
        if self.is_lost {
            if chain(bytes, len).is_none() {
                return;
            }
            self.is_lost = false;
        }
        let missing = len.saturating_sub(bytes.len());
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        let data = bytes.get(skipped..).unwrap_or_default();
        let mut joined = std::mem::take(&mut self.held);
        let mut rest = if joined.is_empty() {
            data
        } else {
            joined.extend_from_slice(data);
            joined.as_slice()
        };
        while let Some(&[l0, l1, l2, kind, flags, ..]) = rest.first_chunk::<FRAME_HEADER>() {
            let size = u32::from_be_bytes([0, l0, l1, l2]) as usize;
            let body = rest.get(FRAME_HEADER..).unwrap_or_default();
            let here = body.get(..size.min(body.len())).unwrap_or_default();
            let is_whole = here.len() == size;
            match kind {
                frame::DATA => {
                    if here.len() < size.min(WANTED) && missing == 0 {
                        break;
                    }
                    if let Some((carried, len)) = unpadded(here, size, flags) {
                        say(Said::Data(carried, len));
                    }
                }
                frame::HEADERS | frame::CONTINUATION if self.decoder.is_some() => {
                    if !is_whole && missing == 0 && size <= MOST_BLOCK {
                        break;
                    }
                    if self.fragment(kind, flags, here, is_whole, huffman, say).is_none() {
                        self.decoder = None;
                    }
                }
                _ => {}
            }
            let end = FRAME_HEADER + size;
            self.skip = end.saturating_sub(rest.len());
            rest = rest.get(end..).unwrap_or_default();
        }
        self.held = rest.to_vec();
        self.miss(missing);
    }

    /// A part of a header block, and the block if it is the last; `None`: no later one can be read.
    fn fragment(
        &mut self,
        kind: u8,
        flags: u8,
        body: &[u8],
        is_whole: bool,
        huffman: &Huffman,
        say: &mut dyn FnMut(Said<'_>),
    ) -> Option<()> {
        if !is_whole {
            return None;
        }
        if kind == frame::HEADERS {
            let (inner, len) = unpadded(body, body.len(), flags)?;
            let inner = inner.get(..len)?;
            self.block.clear();
            self.block.extend_from_slice(if flags & frame::PRIORITY != 0 { inner.get(5..)? } else { inner });
        } else {
            self.block.extend_from_slice(body);
        }
        if self.block.len() > MOST_BLOCK {
            return None;
        }
        if flags & frame::END_HEADERS != 0 {
            let mut headers = Vec::new();
            self.decoder.as_mut()?.block(&self.block, huffman, |name, value| headers.push((name.into(), value.into())))?;
            self.block.clear();
            say(Said::Headers(&headers));
        }
        Some(())
    }
}

/// Without the padding: what was captured of a frame's body of `size` octets, and how many of these are its own.
fn unpadded(here: &[u8], size: usize, flags: u8) -> Option<(&[u8], usize)> {
    if flags & frame::PADDED == 0 {
        return Some((here, size));
    }
    let (padding, rest) = here.split_first()?;
    let len = size.checked_sub(1)?.checked_sub(usize::from(*padding))?;
    Some((rest.get(..len.min(rest.len()))?, len))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::super::hpack::Huffman;
    use super::{Connection, Found, PREFACE, Said, begins};

    fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&len[1..], &[kind, flags], &stream.to_be_bytes(), body].concat()
    }

    /// GET / of www.example.com, in words of RFC 7541 C.3.1; then the same from the table.
    const BLOCK: &[u8] = b"\x82\x86\x84\x41\x0fwww.example.com";
    const AGAIN: &[u8] = b"\x82\x86\x84\xbe";

    fn whole() -> Vec<u8> {
        let first = [&[0, 0, 0, 0, 16][..], &BLOCK[..4]].concat();
        [
            PREFACE.to_vec(),
            frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]),
            frame(1, 0x20, 1, &first),
            frame(9, 4, 1, &BLOCK[4..]),
            frame(0, 8, 1, b"\x02a message that is carriedxx"),
            frame(8, 0, 0, &[0, 0, 1, 0]),
            frame(1, 4, 3, AGAIN),
        ]
        .concat()
    }

    fn read(segments: &[(&[u8], usize)]) -> Vec<String> {
        let mut out = Vec::new();
        let Some(Found::Client(mut c)) = begins(segments[0].0, segments[0].1) else { return vec!["not HTTP/2".to_owned()] };
        for (bytes, len) in segments {
            c.segment(bytes, *len, &Huffman::default(), &mut |said| {
                out.push(match said {
                    Said::Headers(h) => h.iter().map(|(_, v)| String::from_utf8_lossy(v).into_owned()).collect::<Vec<_>>().join(" "),
                    Said::Data(d, n) => format!("{} {n}", String::from_utf8_lossy(d)),
                });
            });
        }
        out
    }

    #[test]
    fn requests_and_what_they_carry_are_read_however_the_segments_are_cut() {
        let wanted = ["GET http / www.example.com", "a message that is carried 25", "GET http / www.example.com"];
        let all = whole();
        assert_eq!(read(&[(&all, all.len())]), wanted);
        for n in PREFACE.len()..all.len() {
            assert_eq!(read(&[(&all[..n], n), (&all[n..], all.len() - n)]), wanted, "cut at {n}");
        }
        let single: Vec<(&[u8], usize)> = std::iter::once((&all[..24], 24)).chain(all[24..].chunks(1).map(|c| (c, 1))).collect();
        assert_eq!(read(&single), wanted);
    }

    #[test]
    fn what_was_not_captured_loses_the_headers_and_not_what_requests_carry() {
        let all = whole();
        let data = frame(0, 1, 5, b"another message");
        let request = [frame(1, 4, 5, AGAIN), data].concat();
        // The snaplen cut the first segment in the middle of its headers; the next one begins with a frame.
        assert_eq!(read(&[(&all[..60], all.len()), (&request, request.len())]), ["another message 15"]);
        assert_eq!(read(&[(&request, request.len())]), ["another message 15"], "joined in the middle");
        let mut c = Connection::default();
        c.miss(7);
        assert!(c.is_lost);
    }

    #[test]
    fn what_is_no_http2_is_left_alone() {
        for other in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\0\0\0\0", &[0; 18], b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"] {
            assert!(begins(other, other.len()).is_none(), "{other:?}");
        }
        let server = frame(4, 0, 0, &[]);
        assert!(matches!(begins(&server, server.len()), Some(Found::Server)));
    }

    #[test]
    fn any_octet_and_any_cut_is_read_without_a_fault() {
        let all = whole();
        for n in PREFACE.len()..all.len() {
            let mut bad = all.clone();
            for x in [0, 1, 0x7f, 0x80, 0xff] {
                bad[n] = x;
                read(&[(&bad, bad.len())]);
                read(&[(&bad[..n], bad.len()), (&all, all.len())]);
            }
        }
    }
}
