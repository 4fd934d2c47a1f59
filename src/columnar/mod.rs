//! A capture's digest as a Parquet file, which databases read as a table and Hopscope reads as the capture itself.
//! Knows Parquet's layout and the digest's columns; must not know what a packet means, or where the file lies.
//!
//! Writes and reads the part of Parquet that is needed: required columns, plain or by dictionary, not compressed
//! (<https://parquet.apache.org/docs/file-format/>). The `parquet` crate would read every file and would add 333 kB of compressed
//! WebAssembly to a page of 400.

mod thrift;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use self::thrift::{Reader, Value, Writer, varint};
use crate::capture::InterfaceInfo;
use crate::content::Marked;
use crate::digest::{ArpSeen, CaptureDigest, IcmpErrorSeen, Named, Rate, Remark, Row, Stream, StreamKey};
use crate::model::Direction;
use crate::report::Status;

/// How the file begins and ends.
pub const MAGIC: &[u8; 4] = b"PAR1";

/// Name of the entry in the footer that says what columns cannot. Its number changes with what identities are made of: digests whose
/// identities differ would be joined with nothing, and everything in them taken for lost.
const ENTRY: &str = "hopscope.digest/3";
const ENTRIES: &str = "hopscope.digest/";

/// Rows in a row group: what DuckDB hands to one thread, about.
const GROUP: u32 = 1 << 17;

/// Where a digest comes from: what the report says of its input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The capture file's name, without its folders: whose they are is nobody's business.
    pub file: String,
    /// The report's `inputs[].kind`.
    pub kind: String,
    /// The capture file's length.
    pub bytes: u64,
    /// And its hash.
    pub hash: u64,
    /// Whether all of it was read.
    pub status: Status,
    /// For partial: what is wrong and where.
    pub message: Option<String>,
}

/// What the footer's entry says, as JSON.
#[derive(Serialize, Deserialize)]
struct Head {
    origin: Origin,
    interfaces: Vec<InterfaceInfo>,
    streams: Vec<Stream>,
    arps: Vec<ArpSeen>,
    errors: Vec<IcmpErrorSeen>,
    marks: Vec<Marked>,
    names: Vec<Named>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<Remark>,
    cut_frames: u64,
    /// For one that holds not every packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sample: Option<Sample>,
}

/// Which part of a capture's packets a digest holds.
#[derive(Serialize, Deserialize)]
struct Sample {
    /// One in so many.
    one_in: u64,
    /// Frames in the capture.
    frames: u32,
}

/// Parquet's names for a column's type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    U8,
    U16,
    U32,
    U64,
    I64,
    Text,
}

impl Type {
    /// `Type` and `ConvertedType`.
    fn codes(self) -> (i32, Option<i32>) {
        match self {
            Self::U8 => (INT32, Some(11)),
            Self::U16 => (INT32, Some(12)),
            Self::U32 => (INT32, Some(13)),
            Self::U64 => (INT64, Some(14)),
            Self::I64 => (INT64, None),
            Self::Text => (BYTE_ARRAY, Some(0)),
        }
    }
}

const INT32: i32 = 1;
const INT64: i32 = 2;
const BYTE_ARRAY: i32 = 6;
const PLAIN: i32 = 0;
const RLE: i32 = 3;
const RLE_DICTIONARY: i32 = 8;

/// The column that says which frame a row is, as Wireshark counts. Read back only where not every frame has a row.
const FRAME: &str = "frame";

/// Columns that say what a row holds, and are read back.
const ROW_COLUMNS: [(&str, Type); 7] = [
    ("time_ns", Type::I64),
    ("stream", Type::U32),
    ("ident", Type::U64),
    ("seq", Type::U32),
    ("len", Type::U32),
    ("ip_id", Type::U16),
    ("flags", Type::U8),
];

/// A column that says for people and databases what the row's stream is.
struct Said {
    name: &'static str,
    kind: Type,
    /// Distinct values, as Parquet writes them plainly.
    values: Vec<Vec<u8>>,
    /// Which of them each stream has.
    of_stream: Vec<u32>,
}

impl Said {
    fn new(name: &'static str, kind: Type, streams: &[Stream], value: impl Fn(&StreamKey) -> Cell) -> Self {
        let mut known: BTreeMap<Cell, u32> = BTreeMap::new();
        let mut values = Vec::new();
        let mut of_stream = Vec::with_capacity(streams.len());
        for stream in streams {
            let cell = value(&stream.key);
            let next = values.len() as u32;
            let id = *known.entry(cell).or_insert_with_key(|cell| {
                values.push(cell.plain());
                next
            });
            of_stream.push(id);
        }
        Self { name, kind, values, of_stream }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Number(u32),
    Text(String),
}

impl Cell {
    fn plain(&self) -> Vec<u8> {
        match self {
            Self::Number(n) => n.to_le_bytes().to_vec(),
            Self::Text(text) => [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat(),
        }
    }

    fn text(what: Option<impl ToString>) -> Self {
        Self::Text(what.map_or_else(String::new, |w| w.to_string()))
    }
}

fn said(digest: &CaptureDigest) -> Vec<Said> {
    let s = &digest.streams;
    let name = |key: &StreamKey| {
        let info = digest.interfaces.iter().find(|i| i.index == key.interface);
        info.and_then(|i| i.name.clone()).or_else(|| key.ifindex.map(|i| i.to_string()))
    };
    let way = |key: &StreamKey| match key.direction? {
        Direction::In => Some("in"),
        Direction::Out => Some("out"),
    };
    let tunnel = |key: &StreamKey| {
        let names = key.tunnels.iter().map(|t| t.id.map_or_else(|| t.kind.name().to_owned(), |id| format!("{} {id}", t.kind.name())));
        names.collect::<Vec<_>>().join(", ")
    };
    vec![
        Said::new("interface", Type::Text, s, |k| Cell::text(name(k))),
        Said::new("direction", Type::Text, s, |k| Cell::text(way(k))),
        Said::new("src_mac", Type::Text, s, |k| Cell::text(k.src_mac)),
        Said::new("dst_mac", Type::Text, s, |k| Cell::text(k.dst_mac)),
        Said::new("tunnel", Type::Text, s, |k| Cell::Text(tunnel(k))),
        Said::new("protocol", Type::Text, s, |k| Cell::text(k.flow.map(|f| f.protocol.name()))),
        Said::new("src", Type::Text, s, |k| Cell::text(k.flow.map(|f| f.src))),
        Said::new("src_port", Type::U16, s, |k| Cell::Number(k.flow.map_or(0, |f| u32::from(f.src_port)))),
        Said::new("dst", Type::Text, s, |k| Cell::text(k.flow.map(|f| f.dst))),
        Said::new("dst_port", Type::U16, s, |k| Cell::Number(k.flow.map_or(0, |f| u32::from(f.dst_port)))),
        Said::new("ttl", Type::U8, s, |k| Cell::Number(u32::from(k.ttl))),
    ]
}

/// Writes a digest, some megabytes at a time: `out` gets the file's bytes in order.
pub fn write(origin: &Origin, digest: &CaptureDigest, out: &mut dyn FnMut(&[u8])) {
    let mut file = File { out, at: 0 };
    file.put(MAGIC);
    let said = said(digest);
    let mut groups = Vec::new();
    let mut first = 0;
    while first < digest.kept() {
        let rows = GROUP.min(digest.kept() - first);
        groups.push(file.group(digest, &said, first, rows));
        first += rows;
    }
    let head = Head {
        origin: origin.clone(),
        interfaces: digest.interfaces.clone(),
        streams: digest.streams.clone(),
        arps: digest.arps.clone(),
        errors: digest.errors.clone(),
        marks: digest.marks.clone(),
        names: digest.names.clone(),
        remarks: digest.remarks.clone(),
        cut_frames: digest.cut_frames,
        sample: digest.rate().is_sampled().then(|| Sample { one_in: digest.rate().of(), frames: digest.len() }),
    };
    let head = serde_json::to_string(&head).unwrap_or_default();
    let columns = columns(&said);
    let root = Writer::default().text(4, "packets").i32(5, columns.len() as i32);
    let schema = columns.iter().map(|(name, kind)| {
        let (code, converted) = kind.codes();
        let element = Writer::default().i32(1, code).i32(3, 0).text(4, name);
        if let Some(c) = converted { element.i32(6, c) } else { element }
    });
    let schema: Vec<Writer> = std::iter::once(root).chain(schema).collect();
    let footer = Writer::default()
        .i32(1, 1)
        .structures(2, schema.into_iter())
        .i64(3, i64::from(digest.kept()))
        .structures(4, groups.into_iter())
        .structures(5, [Writer::default().text(1, ENTRY).text(2, &head)].into_iter())
        .text(6, concat!("hopscope ", env!("CARGO_PKG_VERSION")))
        .finish();
    file.put(&footer);
    file.put(&(footer.len() as u32).to_le_bytes());
    file.put(MAGIC);
}

/// All columns in the file's order.
fn columns(said: &[Said]) -> Vec<(&'static str, Type)> {
    std::iter::once((FRAME, Type::U32)).chain(ROW_COLUMNS).chain(said.iter().map(|s| (s.name, s.kind))).collect()
}

struct File<'a> {
    out: &'a mut dyn FnMut(&[u8]),
    at: u64,
}

impl File<'_> {
    fn put(&mut self, bytes: &[u8]) {
        (self.out)(bytes);
        self.at += bytes.len() as u64;
    }

    fn group(&mut self, digest: &CaptureDigest, said: &[Said], first: u32, count: u32) -> Writer {
        let rows: Vec<Row> = (first..first + count).filter_map(|place| digest.kept_row(place)).collect();
        let from = self.at;
        let mut chunks = Vec::new();
        // Counted: 4 octets a row would be much for what every reader can count.
        let (frames, encoding) = if digest.rate().is_sampled() {
            (rows.iter().flat_map(|r| r.row.saturating_add(1).to_le_bytes()).collect(), PLAIN)
        } else {
            (delta_of_one(first.saturating_add(1), count), DELTA_BINARY_PACKED)
        };
        chunks.push(self.chunk(FRAME, Type::U32, count, None, &frames, encoding));
        for (name, kind) in ROW_COLUMNS {
            let value = |row: &Row| match name {
                "stream" => row.stream,
                "seq" => row.seq,
                "len" => row.len,
                "ip_id" => u32::from(row.ip_id),
                _ => u32::from(row.flags),
            };
            let plain: Vec<u8> = match name {
                "time_ns" => rows.iter().flat_map(|r| r.time.to_le_bytes()).collect(),
                "ident" => rows.iter().flat_map(|r| r.ident.to_le_bytes()).collect(),
                _ => {
                    if let Some(indexed) = Indexed::of_numbers(rows.iter().map(value)) {
                        chunks.push(self.indexed(name, kind, count, &indexed));
                        continue;
                    }
                    rows.iter().flat_map(|r| value(r).to_le_bytes()).collect()
                }
            };
            chunks.push(self.chunk(name, kind, count, None, &plain, PLAIN));
        }
        for column in said {
            let ids = rows.iter().map(|r| column.of_stream.get(r.stream as usize).copied().unwrap_or(0));
            let indexed = Indexed::of_ids(ids, &column.values);
            chunks.push(self.indexed(column.name, column.kind, count, &indexed));
        }
        let size = (self.at - from) as i64;
        Writer::default().structures(1, chunks.into_iter()).i64(2, size).i64(3, i64::from(count))
    }

    fn indexed(&mut self, name: &str, kind: Type, count: u32, column: &Indexed) -> Writer {
        let dictionary = Some((column.values.as_slice(), column.distinct));
        self.chunk(name, kind, count, dictionary, &column.page(), RLE_DICTIONARY)
    }

    fn chunk(&mut self, name: &str, kind: Type, count: u32, dictionary: Option<(&[u8], u32)>, page: &[u8], encoding: i32) -> Writer {
        let from = self.at as i64;
        if let Some((values, distinct)) = dictionary {
            let about = Writer::default().i32(1, distinct as i32).i32(2, PLAIN);
            let size = values.len() as i32;
            self.put(&Writer::default().i32(1, 2).i32(2, size).i32(3, size).structure(7, about).finish());
            self.put(values);
        }
        let data = self.at as i64;
        let about = Writer::default().i32(1, count as i32).i32(2, encoding).i32(3, RLE).i32(4, RLE);
        let size = page.len() as i32;
        self.put(&Writer::default().i32(1, 0).i32(2, size).i32(3, size).structure(5, about).finish());
        self.put(page);
        let size = self.at as i64 - from;
        let meta = Writer::default()
            .i32(1, kind.codes().0)
            .i32s(2, &[PLAIN, RLE, encoding])
            .texts(3, &[name])
            .i32(4, 0)
            .i64(5, i64::from(count))
            .i64(6, size)
            .i64(7, size)
            .i64(9, data);
        let meta = if dictionary.is_some() { meta.i64(11, from) } else { meta };
        Writer::default().i64(2, from).structure(3, meta)
    }
}

const DELTA_BINARY_PACKED: i32 = 5;

/// Numbers that rise by one: `DELTA_BINARY_PACKED`, where each block says its smallest difference and that nothing is above it.
fn delta_of_one(first: u32, count: u32) -> Vec<u8> {
    const BLOCK: u64 = 128;
    const MINIBLOCKS: u64 = 4;
    let mut bytes = Vec::new();
    varint(&mut bytes, BLOCK);
    varint(&mut bytes, MINIBLOCKS);
    varint(&mut bytes, u64::from(count));
    varint(&mut bytes, u64::from(first) << 1);
    for _ in 0..u64::from(count.saturating_sub(1)).div_ceil(BLOCK) {
        // 1, zigzag, and a width of 0 for each miniblock.
        bytes.extend([2, 0, 0, 0, 0]);
    }
    bytes
}

/// A column by dictionary.
struct Indexed {
    /// Distinct values, plainly, one after another.
    values: Vec<u8>,
    distinct: u32,
    indexes: Vec<u32>,
}

impl Indexed {
    /// `None` where a dictionary takes more room than it saves.
    fn of_numbers(numbers: impl Iterator<Item = u32>) -> Option<Self> {
        let mut known: rustc_hash::FxHashMap<u32, u32> = rustc_hash::FxHashMap::default();
        let (mut values, mut indexes) = (Vec::new(), Vec::new());
        for number in numbers {
            let next = known.len() as u32;
            indexes.push(*known.entry(number).or_insert_with(|| {
                values.extend(number.to_le_bytes());
                next
            }));
        }
        let column = Self { values, distinct: known.len() as u32, indexes };
        let rows = column.indexes.len();
        (column.values.len() + rows * column.width() as usize / 8 < rows * 4).then_some(column)
    }

    fn of_ids(ids: impl Iterator<Item = u32>, all: &[Vec<u8>]) -> Self {
        let mut here: Vec<u32> = vec![u32::MAX; all.len()];
        let (mut values, mut indexes, mut distinct) = (Vec::new(), Vec::new(), 0);
        for id in ids {
            let Some(place) = here.get_mut(id as usize) else { continue };
            if *place == u32::MAX {
                *place = distinct;
                distinct += 1;
                values.extend(all.get(id as usize).into_iter().flatten());
            }
            indexes.push(*place);
        }
        Self { values, distinct, indexes }
    }

    /// Bits of an index.
    fn width(&self) -> u32 {
        (u32::BITS - self.distinct.saturating_sub(1).leading_zeros()).max(1)
    }

    /// The width, then all indexes as one bit-packed run (or, where all are the same, as one repeated).
    fn page(&self) -> Vec<u8> {
        let width = self.width();
        let mut bytes = vec![width as u8];
        if self.distinct <= 1 {
            varint(&mut bytes, (self.indexes.len() as u64) << 1);
            bytes.push(0);
            return bytes;
        }
        let groups = self.indexes.len().div_ceil(8);
        varint(&mut bytes, (groups as u64) << 1 | 1);
        let (mut bits, mut filled) = (0_u64, 0);
        for n in 0..groups * 8 {
            bits |= u64::from(self.indexes.get(n).copied().unwrap_or(0)) << filled;
            filled += width;
            while filled >= 8 {
                bytes.push(bits as u8);
                bits >>= 8;
                filled -= 8;
            }
        }
        bytes
    }
}

/// Reads a file that [`write`] wrote, or that another program wrote with the same columns, uncompressed.
///
/// # Errors
/// What is wrong with it, for a person.
pub fn read(bytes: &[u8]) -> Result<(Origin, CaptureDigest), String> {
    let footer = footer(bytes).ok_or("the file is cut: it does not end as a Parquet file does")?;
    let entry = footer.list(5).iter().find(|e| e.bytes(1).is_some_and(|name| name.starts_with(ENTRIES.as_bytes())));
    let entry = entry.ok_or("a Parquet file, but no digest of a capture: `hopscope digest` writes those")?;
    if entry.bytes(1) != Some(ENTRY.as_bytes()) {
        return Err("a digest that another version of Hopscope wrote, whose packets cannot be compared with these: make it anew with `hopscope digest`".to_owned());
    }
    let entry = entry.bytes(2).ok_or("the digest's description is missing")?;
    let head: Head = serde_json::from_slice(entry).map_err(|e| format!("the digest's description cannot be read: {e}"))?;
    let sample = head.sample.map(|s| (Rate::one_in(s.one_in), s.frames)).filter(|(rate, _)| rate.is_sampled());
    let mut digest = sample.map_or_else(CaptureDigest::default, |(rate, frames)| CaptureDigest::sampled(rate, frames));
    (digest.interfaces, digest.streams, digest.arps) = (head.interfaces, head.streams, head.arps);
    (digest.errors, digest.names, digest.cut_frames, digest.marks) = (head.errors, head.names, head.cut_frames, head.marks);
    digest.remarks = head.remarks;
    for group in footer.list(4) {
        let rows = group.number(3).and_then(|n| u32::try_from(n).ok()).ok_or("a row group does not say how long it is")?;
        // A row takes some octets; a few octets that claim to be many rows are meant to fill memory.
        if rows as usize > bytes.len() {
            return Err("a row group claims more rows than the file has room for".to_owned());
        }
        let column = |name: &str, to: &mut Vec<u64>| -> Result<(), String> {
            let mut chunks = group.list(1).iter().filter_map(|c| c.get(3));
            let wanted = |meta: &&Value<'_>| matches!(meta.list(3), [Value::Bytes(path)] if *path == name.as_bytes());
            let meta = chunks.find(wanted).ok_or_else(|| format!("the column {name} is missing"))?;
            chunk(bytes, meta, rows, to).map_err(|why| format!("the column {name} cannot be read: {why}"))
        };
        let mut table: [Vec<u64>; 7] = Default::default();
        for ((name, _), to) in ROW_COLUMNS.iter().zip(&mut table) {
            column(name, to)?;
        }
        let mut frames = Vec::new();
        if sample.is_some() {
            column(FRAME, &mut frames)?;
        }
        let mut frames = frames.into_iter();
        let [times, streams, idents, seqs, lens, ip_ids, flags] = table;
        let rest = streams.into_iter().zip(idents).zip(seqs).zip(lens).zip(ip_ids).zip(flags);
        for (time, (((((stream, ident), seq), len), ip_id), flags)) in times.into_iter().zip(rest) {
            let (stream, seq, len) = (stream as u32, seq as u32, len as u32);
            let row = frames.next().map_or(digest.len(), |frame| (frame as u32).saturating_sub(1));
            digest.push_row(Row { row, time: time as i64, stream, ident, seq, len, ip_id: ip_id as u16, flags: flags as u8 });
        }
    }
    if !digest.is_sound() {
        return Err("its rows name streams that it does not describe".to_owned());
    }
    Ok((head.origin, digest))
}

fn footer(bytes: &[u8]) -> Option<Value<'_>> {
    let (rest, end) = bytes.split_last_chunk::<4>()?;
    let (rest, len) = rest.split_last_chunk::<4>()?;
    let len = u32::from_le_bytes(*len) as usize;
    let start = rest.len().checked_sub(len)?;
    if end != MAGIC || !bytes.starts_with(MAGIC) {
        return None;
    }
    Reader(rest.get(start..)?).structure()
}

/// Reads one column of one row group.
fn chunk(bytes: &[u8], meta: &Value<'_>, rows: u32, to: &mut Vec<u64>) -> Result<(), &'static str> {
    if meta.number(4) != Some(0) {
        return Err("it is compressed");
    }
    let wide = match meta.number(1).and_then(|t| i32::try_from(t).ok()) {
        Some(INT32) => false,
        Some(INT64) => true,
        _ => return Err("it holds no numbers"),
    };
    let start = [meta.number(9), meta.number(11)].into_iter().flatten().filter(|at| *at > 0).min();
    let start = start.and_then(|at| usize::try_from(at).ok()).ok_or("it does not say where it is")?;
    let mut reader = Reader(bytes.get(start..).ok_or("it lies beyond the file's end")?);
    let end = to.len().saturating_add(rows as usize);
    let mut dictionary: Vec<u64> = Vec::new();
    while to.len() < end {
        let header = reader.structure().ok_or("a page's header is damaged")?;
        let size = header.number(3).and_then(|n| usize::try_from(n).ok()).ok_or("a page has no length")?;
        let page = reader.take(size).ok_or("the file is cut")?;
        if header.number(1) == Some(2) {
            dictionary = plain(page, wide).collect();
            continue;
        }
        let data = header.get(5).ok_or("a page is of an unknown kind")?;
        let count = data.number(1).and_then(|n| usize::try_from(n).ok()).ok_or("a page does not say how many values it has")?;
        let count = count.min(end - to.len());
        match data.number(2).and_then(|e| i32::try_from(e).ok()) {
            Some(PLAIN) => {
                let before = to.len();
                to.extend(plain(page, wide).take(count));
                if to.len() - before != count || count == 0 {
                    return Err("a page is too short");
                }
            }
            Some(RLE_DICTIONARY | 2) => by_dictionary(page, &dictionary, count, to).ok_or("a page's indexes are damaged")?,
            _ => return Err("its encoding is none that is read here"),
        }
    }
    Ok(())
}

fn plain(page: &[u8], wide: bool) -> impl Iterator<Item = u64> + '_ {
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
    page.chunks_exact(if wide { 8 } else { 4 }).map(number)
}

/// Runs of indexes, repeated or bit-packed, up to `count` of them.
fn by_dictionary(page: &[u8], dictionary: &[u64], count: usize, to: &mut Vec<u64>) -> Option<()> {
    let (width, rest) = page.split_first()?;
    let width = u32::from(*width);
    if width > 32 || count == 0 {
        return None;
    }
    let mut reader = Reader(rest);
    let mut left = count;
    while left > 0 {
        let head = reader.varint()?;
        let run = usize::try_from(head >> 1).ok()?;
        if head & 1 == 0 {
            let index = reader.take(width.div_ceil(8) as usize)?.iter().rev().fold(0_usize, |v, b| v << 8 | usize::from(*b));
            let value = *dictionary.get(index)?;
            let run = run.min(left);
            if run == 0 {
                return None;
            }
            to.extend(std::iter::repeat_n(value, run));
            left -= run;
        } else {
            let packed = reader.take(run.checked_mul(width as usize)?)?;
            let run = run.checked_mul(8)?.min(left);
            if run == 0 {
                return None;
            }
            let mask = (1_u64 << width) - 1;
            let (mut bits, mut filled) = (0_u64, 0);
            let mut packed = packed.iter();
            for _ in 0..run {
                while filled < width {
                    bits |= u64::from(*packed.next()?) << filled;
                    filled += 8;
                }
                to.push(*dictionary.get((bits & mask) as usize)?);
                bits >>= width;
                filled -= width;
            }
            left -= run;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_of_every_width_come_back() {
        for distinct in [1_u32, 2, 3, 8, 9, 255, 256, 257, 70_000] {
            let numbers: Vec<u32> = (0..distinct * 9 + 5).map(|n| n % distinct * 3).collect();
            let column = Indexed::of_numbers(numbers.iter().copied()).unwrap();
            let dictionary: Vec<u64> = plain(&column.values, false).collect();
            let mut back = Vec::new();
            by_dictionary(&column.page(), &dictionary, numbers.len(), &mut back).unwrap();
            assert!(back.iter().map(|n| *n as u32).eq(numbers), "{distinct}");
        }
        assert!(Indexed::of_numbers(0..1000).is_none(), "a dictionary that saves nothing");
    }
}
