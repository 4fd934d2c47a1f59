//! HPACK, the compression of HTTP/2's headers: a block of octets → names and values, by a table that the connection builds up.
//! Knows RFC 7541; must not know what a header means.
//!
//! A block can only be read where all blocks before it were: whoever loses one loses the rest of the connection.
//!
//! Our own, because reading a capture may not wait for it: for a gRPC request of ten coded texts (98 octets) the one crate that outlives damaged
//! blocks, `loona-hpack`, takes 110 µs, which builds its code anew for each text, and this 0.95 µs; its wasm is 10 kB larger, compressed. `httlib-hpack` (3 µs)
//! panics where a block is cut off, h2 keeps its decoder to itself, and `hpack` is abandoned (RUSTSEC-2023-0085). So `loona-hpack` judges this one in its tests.

use std::collections::VecDeque;

/// Octets that a table may hold, by RFC 7541 §4.1's count; a decoder allows 4,096 unless it says otherwise (RFC 9113 §6.5.2), which is not looked at.
const MOST_TABLE: usize = 1 << 16;
/// A connection that is not told otherwise.
const USUAL_TABLE: usize = 4096;
/// What each entry counts for beside its octets.
const ENTRY: usize = 32;
/// Values longer than this are read over: nobody looks at them.
const MOST_VALUE: usize = 1 << 14;

/// RFC 7541 appendix A.
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// How many bits each octet's code has, and the end's (RFC 7541 appendix B). The code is canonical: codes of one length follow one
/// another in the order of their octets, and those of the next length go on from there.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// A header's name and value.
pub(super) type Field = (Box<[u8]>, Box<[u8]>);

/// One way of a connection: its dynamic table.
#[derive(Debug)]
pub(super) struct Decoder {
    /// The newest first.
    entries: VecDeque<Field>,
    size: usize,
    most: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { entries: VecDeque::new(), size: 0, most: USUAL_TABLE }
    }
}

impl Decoder {
    /// Reads one whole header block; `None`: it is damaged, and nothing after it can be read.
    pub(super) fn block(&mut self, mut data: &[u8], huffman: &Huffman, mut header: impl FnMut(&[u8], &[u8])) -> Option<()> {
        while let Some(first) = data.first().copied() {
            if first & 0x80 != 0 {
                let index = integer(&mut data, 7)?;
                let (name, value) = self.entry(index)?;
                header(name, value);
                continue;
            }
            if first & 0xe0 == 0x20 {
                self.most = usize::try_from(integer(&mut data, 5)?).ok().filter(|n| *n <= MOST_TABLE)?;
                self.shrink(self.most);
                continue;
            }
            let is_kept = first & 0x40 != 0;
            let index = integer(&mut data, if is_kept { 6 } else { 4 })?;
            let name = if index == 0 { text(&mut data, huffman)? } else { self.entry(index)?.0.into() };
            let value = text(&mut data, huffman)?;
            header(&name, &value);
            if is_kept {
                self.add(name, value);
            }
        }
        Some(())
    }

    fn entry(&self, index: u64) -> Option<(&[u8], &[u8])> {
        let at = usize::try_from(index.checked_sub(1)?).ok()?;
        if let Some((name, value)) = STATIC.get(at) {
            return Some((name.as_bytes(), value.as_bytes()));
        }
        let (name, value) = self.entries.get(at.checked_sub(STATIC.len())?)?;
        Some((name, value))
    }

    fn add(&mut self, name: Box<[u8]>, value: Box<[u8]>) {
        let size = name.len().saturating_add(value.len()).saturating_add(ENTRY);
        // One that is larger than the table empties it (§4.4).
        self.shrink(self.most.saturating_sub(size));
        if size <= self.most {
            self.size = self.size.saturating_add(size);
            self.entries.push_front((name, value));
        }
    }

    fn shrink(&mut self, most: usize) {
        while self.size > most {
            let Some((name, value)) = self.entries.pop_back() else { break };
            self.size = self.size.saturating_sub(name.len() + value.len() + ENTRY);
        }
    }
}

/// A number that begins in the low bits of an octet (§5.1).
fn integer(data: &mut &[u8], bits: u32) -> Option<u64> {
    let (first, rest) = data.split_first()?;
    *data = rest;
    let most = (1_u64 << bits) - 1;
    let mut value = u64::from(*first) & most;
    if value < most {
        return Some(value);
    }
    for shift in (0..28).step_by(7) {
        let (next, rest) = data.split_first()?;
        *data = rest;
        value += u64::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A name or a value, as it is or in Huffman's code (§5.2).
fn text(data: &mut &[u8], huffman: &Huffman) -> Option<Box<[u8]>> {
    let is_coded = data.first()? & 0x80 != 0;
    let len = usize::try_from(integer(data, 7)?).ok().filter(|n| *n <= MOST_VALUE)?;
    let (octets, rest) = data.split_at_checked(len)?;
    *data = rest;
    if is_coded { huffman.decode(octets) } else { Some(octets.into()) }
}

/// The code, by length: the first code of each, where its octets begin, and how many there are.
#[derive(Debug)]
pub(super) struct Huffman {
    octets: Vec<u16>,
    /// For 0 to 30 bits.
    by_length: Vec<(u32, usize, u32)>,
}

impl Default for Huffman {
    fn default() -> Self {
        let mut octets: Vec<u16> = (0..257).collect();
        octets.sort_by_key(|o| (LENGTHS.get(usize::from(*o)).copied(), *o));
        let (mut code, mut at) = (0_u32, 0_usize);
        let by_length = (0..=30_u8).map(|bits| {
            let count = LENGTHS.iter().filter(|l| **l == bits).count();
            let here = (code, at, u32::try_from(count).unwrap_or(0));
            (code, at) = (code.wrapping_add(here.2) << 1, at + count);
            here
        });
        let by_length = by_length.collect();
        Self { octets, by_length }
    }
}

impl Huffman {
    fn decode(&self, data: &[u8]) -> Option<Box<[u8]>> {
        let mut out = Vec::with_capacity(data.len().saturating_mul(8) / 5);
        let (mut code, mut bits) = (0_u32, 0_usize);
        for bit in data.iter().flat_map(|o| (0..8).rev().map(move |n| o >> n & 1)) {
            (code, bits) = (code << 1 | u32::from(bit), bits + 1);
            let (first, at, count) = *self.by_length.get(bits)?;
            let Some(n) = code.checked_sub(first).filter(|n| *n < count) else { continue };
            // The end of a text is nothing that a text holds.
            out.push(u8::try_from(*self.octets.get(at.checked_add(n as usize)?)?).ok()?);
            (code, bits) = (0, 0);
        }
        // What fills the last octet are ones, and fewer than eight.
        (bits < 8 && code == (1 << bits) - 1).then(|| out.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::{Decoder, Huffman, LENGTHS, MOST_TABLE, STATIC};
    use proptest::prelude::*;

    fn octets(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
    }

    fn read(decoder: &mut Decoder, hex: &str) -> Vec<String> {
        let mut out = Vec::new();
        let mut add = |n: &[u8], v: &[u8]| out.push(format!("{}: {}", String::from_utf8_lossy(n), String::from_utf8_lossy(v)));
        decoder.block(&octets(hex), &Huffman::default(), &mut add).unwrap();
        out
    }

    /// RFC 7541, C.3 and C.4.
    #[test]
    fn the_requests_of_the_specification_are_read_with_and_without_huffmans_code() {
        let plain = [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ];
        let coded = [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ];
        let request = |scheme: &str, path: &str, more: &[&str]| {
            let first = [":method: GET", scheme, path, ":authority: www.example.com"];
            first.iter().chain(more).map(ToString::to_string).collect::<Vec<_>>()
        };
        let wanted = [
            request(":scheme: http", ":path: /", &[]),
            request(":scheme: http", ":path: /", &["cache-control: no-cache"]),
            request(":scheme: https", ":path: /index.html", &["custom-key: custom-value"]),
        ];
        for blocks in [plain, coded] {
            let mut decoder = Decoder::default();
            for (block, wanted) in blocks.iter().zip(&wanted) {
                assert_eq!(&read(&mut decoder, block), wanted);
            }
            assert_eq!(decoder.size, 164);
        }
    }

    /// RFC 7541, C.6: a table of 256 octets, of which the oldest entries fall out.
    #[test]
    fn what_does_not_fit_falls_out_of_the_table() {
        let mut decoder = Decoder { most: 256, ..Decoder::default() };
        let first = "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3";
        assert_eq!(read(&mut decoder, first)[3], "location: https://www.example.com");
        assert_eq!(read(&mut decoder, "4883 640e ffc1 c0bf")[0], ":status: 307");
        assert_eq!((decoder.entries.len(), decoder.size), (4, 222));
    }

    #[test]
    fn any_cut_and_any_octet_is_read_without_a_fault() {
        let whole = octets("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff40 8825 a849 e95b a97d 7f89 25a8 49e9 5bb8 e8b4 bf");
        let huffman = Huffman::default();
        for n in 0..whole.len() {
            let _ = Decoder::default().block(&whole[..n], &huffman, |_, _| {});
            for x in 0..=255 {
                let mut bad = whole.clone();
                bad[n] = x;
                let _ = Decoder::default().block(&bad, &huffman, |_, _| {});
            }
        }
        assert_eq!(Decoder::default().block(&[0xff; 9], &huffman, |_, _| {}), None);
    }

    /// What an encoder may send next. An index counts around the tables as they are then, so that it is nearly always one that exists.
    #[derive(Debug, Clone)]
    enum Part {
        Indexed(u8),
        Literal { kind: u8, name: Result<u8, (bool, Vec<u8>)>, value: (bool, Vec<u8>) },
        Size(u8),
        Garbage(Vec<u8>),
    }

    fn part() -> impl Strategy<Value = Part> {
        let text = (any::<bool>(), proptest::collection::vec(any::<u8>(), 0..30));
        let name = prop_oneof![any::<u8>().prop_map(Ok), text.clone().prop_map(Err)];
        let kind = prop_oneof![3 => Just(0x40), 1 => Just(0), 1 => Just(0x10)];
        prop_oneof![
            12 => any::<u8>().prop_map(Part::Indexed),
            24 => (kind, name, text).prop_map(|(kind, name, value)| Part::Literal { kind, name, value }),
            6 => any::<u8>().prop_map(Part::Size),
            1 => proptest::collection::vec(any::<u8>(), 1..4).prop_map(Part::Garbage),
        ]
    }

    fn number(out: &mut Vec<u8>, kind: u8, bits: u32, n: usize) {
        let most = (1_usize << bits) - 1;
        out.push(kind | u8::try_from(n.min(most)).unwrap());
        if n >= most {
            out.push(u8::try_from(n - most).unwrap());
        }
    }

    fn coded(octets: &[u8]) -> Vec<u8> {
        let (huffman, mut bits) = (Huffman::default(), String::new());
        for octet in octets {
            let place = huffman.octets.iter().position(|o| *o == u16::from(*octet)).unwrap();
            let length = usize::from(LENGTHS[usize::from(*octet)]);
            let (first, at, _) = huffman.by_length[length];
            bits += &format!("{:0length$b}", first as usize + place - at);
        }
        bits += &"1".repeat(bits.len().next_multiple_of(8) - bits.len());
        bits.as_bytes().chunks(8).map(|b| u8::from_str_radix(std::str::from_utf8(b).unwrap(), 2).unwrap()).collect()
    }

    fn write(out: &mut Vec<u8>, part: &Part, entries: usize) {
        let index = |n: u8| 1 + usize::from(n) % (STATIC.len() + entries);
        let text = |out: &mut Vec<u8>, (is_coded, octets): &(bool, Vec<u8>)| {
            let octets = if *is_coded { coded(octets) } else { octets.clone() };
            number(out, u8::from(*is_coded) << 7, 7, octets.len());
            out.extend(octets);
        };
        match part {
            Part::Indexed(n) => number(out, 0x80, 7, index(*n)),
            Part::Literal { kind, name, value } => {
                let named = name.as_ref().map_or(0, |n| index(*n));
                number(out, *kind, if *kind == 0x40 { 6 } else { 4 }, named);
                if let Err(name) = name {
                    text(out, name);
                }
                text(out, value);
            }
            Part::Size(n) => number(out, 0x20, 5, usize::from(*n).min(158)),
            Part::Garbage(octets) => out.extend(octets),
        }
    }

    proptest! {
        /// Another's decoder, which differs in one thing: a block that ends with a new size of its table is a fault there.
        #[test]
        fn blocks_say_what_another_decoder_says(blocks in proptest::collection::vec(proptest::collection::vec(part(), 1..4), 1..20)) {
            let (mut ours, huffman, mut judge) = (Decoder::default(), Huffman::default(), loona_hpack::Decoder::new());
            judge.set_max_allowed_table_size(MOST_TABLE);
            for parts in blocks {
                let mut block = Vec::new();
                parts.iter().for_each(|p| write(&mut block, p, ours.entries.len()));
                let (mut said, mut wanted) = (Vec::new(), Vec::new());
                let is_read = ours.block(&block, &huffman, |n, v| said.push((n.to_vec(), v.to_vec())));
                let judged = judge.decode_with_cb(&block, |n, v| wanted.push((n.into_owned(), v.into_owned())));
                prop_assert_eq!(&said, &wanted, "{:02x?}", block);
                if matches!(judged, Err(loona_hpack::decoder::DecoderError::SizeUpdateAtEnd)) {
                    continue;
                }
                prop_assert_eq!(is_read.is_some(), judged.is_ok(), "{:02x?}", block);
                if is_read.is_none() {
                    break;
                }
            }
        }
    }
}
