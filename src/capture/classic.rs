//! Classic pcap: its file header in all variants, and its record headers.
//! Knows bytes at a given place; must not know how they arrived or what stands in a frame.

use pcap_parser::parse_pcap_header;

use super::{LinkType, MAX_FRAME};
use crate::model::Nanos;

/// What a file header says about its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Classic {
    pub(super) big_endian: bool,
    /// Nanoseconds in one unit of a record's fraction: 1000 or 1.
    pub(super) fraction_ns: u32,
    /// Length of a record header: one of [`Self::record_headers`].
    pub(super) record_header: u8,
    pub(super) lengths: Lengths,
    /// The longest frame that is believed.
    pub(super) limit: u32,
    /// Index of its interface.
    pub(super) interface: u32,
}

/// Versions before 2.3 wrote a record's two lengths in the other order; in 2.3 itself both orders exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Lengths {
    CapturedFirst,
    OriginalFirst,
    LargerIsOriginal,
}

/// A file header that was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) classic: Classic,
    pub(super) link_type: LinkType,
    pub(super) snaplen: u32,
    /// Length of the header in the file.
    pub(super) len: usize,
}

/// Length of every file header; IXIA's is four longer.
pub(super) const HEADER: usize = 24;
const IXIA_HEADER: usize = HEADER + 4;

/// Frames up to this length are believed whatever the header says of snaplen: libpcap's `MAXIMUM_SNAPLEN`.
const USUAL_LIMIT: u32 = 262_144;

/// How a magic number is to be read.
struct Variant {
    big_endian: bool,
    fraction_ns: u32,
    record_header: u8,
    header: usize,
}

/// Record headers behind the usual magic number: everybody's; with Kuznetzov's first patch (Red Hat 6.1: interface, protocol and
/// packet type follow); Nokia's (four octets follow).
const USUAL_RECORDS: [u8; 3] = [16, 24, 20];
/// Those behind the magic number of his later patches; the first of them (SuSE 6.3) put the processors' numbers in too.
const MODIFIED_RECORDS: [u8; 2] = [24, 28];

fn variant(magic: [u8; 4]) -> Option<Variant> {
    let plain = |big_endian, fraction_ns| Variant { big_endian, fraction_ns, record_header: 16, header: HEADER };
    Some(match magic {
        [0xd4, 0xc3, 0xb2, 0xa1] => plain(false, 1_000),
        [0xa1, 0xb2, 0xc3, 0xd4] => plain(true, 1_000),
        [0x4d, 0x3c, 0xb2, 0xa1] => plain(false, 1),
        [0xa1, 0xb2, 0x3c, 0x4d] => plain(true, 1),
        [0x34, 0xcd, 0xb2, 0xa1] => Variant { record_header: 24, ..plain(false, 1_000) },
        [0xa1, 0xb2, 0xcd, 0x34] => Variant { record_header: 24, ..plain(true, 1_000) },
        // IXIA's hardware (nanoseconds) and software (microseconds) captures add the length of all records to the file header.
        [0xac, 0x01, 0x00, 0x1c] => Variant { header: IXIA_HEADER, ..plain(false, 1) },
        [0x1c, 0x00, 0x01, 0xac] => Variant { header: IXIA_HEADER, ..plain(true, 1) },
        [0xab, 0x01, 0x00, 0x1c] => Variant { header: IXIA_HEADER, ..plain(false, 1_000) },
        [0x1c, 0x00, 0x01, 0xab] => Variant { header: IXIA_HEADER, ..plain(true, 1_000) },
        _ => return None,
    })
}

/// Whether a file header may begin with these four bytes.
pub(super) fn is_magic(bytes: &[u8]) -> bool {
    bytes.first_chunk::<4>().is_some_and(|magic| variant(*magic).is_some())
}

/// How long the header is whose first bytes these are.
pub(super) fn header_len(bytes: &[u8]) -> usize {
    bytes.first_chunk::<4>().and_then(|magic| variant(*magic)).map_or(HEADER, |v| v.header)
}

/// Reads a file header; `None` if it is none. `interface` is the index that its interface will have.
pub(super) fn header(bytes: &[u8], interface: u32) -> Option<Header> {
    let Variant { big_endian, fraction_ns, record_header, header: len } = variant(*bytes.first_chunk()?)?;
    // pcap-parser knows the usual magic numbers alone; the fields after them are the same in all variants.
    let mut usual: [u8; HEADER] = *bytes.first_chunk()?;
    usual[..4].copy_from_slice(if big_endian { &[0xa1, 0xb2, 0xc3, 0xd4] } else { &[0xd4, 0xc3, 0xb2, 0xa1] });
    let (_, header) = parse_pcap_header(&usual).ok()?;
    let lengths = match (header.version_major, header.version_minor) {
        (0 | 1, _) => return None,
        // 543.0 is what Digital Unix wrote.
        (2, 0..=2) | (543, 0) => Lengths::OriginalFirst,
        (2, 3) => Lengths::LargerIsOriginal,
        _ => Lengths::CapturedFirst,
    };
    #[expect(clippy::cast_sign_loss, reason = "the field is unsigned; pcap-parser reads it as signed")]
    let network = header.network.0 as u32;
    let aix = if (header.version_major, header.version_minor, fraction_ns) == (2, 2, 1_000) { aix_link_type(network) } else { None };
    let (network, fraction_ns, lengths) = match aix {
        Some(network) => (network, 1, Lengths::LargerIsOriginal),
        None => (network, fraction_ns, lengths),
    };
    Some(Header {
        classic: Classic {
            big_endian,
            fraction_ns,
            record_header,
            lengths,
            limit: header.snaplen.clamp(USUAL_LIMIT, MAX_FRAME),
            interface,
        },
        // The upper bits say whether and how long a frame check sequence is; padding for the dissector either way.
        link_type: LinkType(network & 0xffff),
        snaplen: header.snaplen,
        len,
    })
}

/// AIX writes version 2.2, nanoseconds, and an interface's type (RFC 1573) where others write a link type. Of the values that an
/// older libpcap of that version may mean by them none is a link type that we read.
fn aix_link_type(network: u32) -> Option<u32> {
    match network {
        6 => Some(1),   // Ethernet
        9 => Some(6),   // token ring
        15 => Some(10), // FDDI
        24 => Some(0),  // loopback
        _ => None,
    }
}

/// A record header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) seconds: u32,
    /// In the file's units.
    pub(super) fraction: u32,
    pub(super) captured: u32,
    pub(super) original: u32,
}

impl Classic {
    /// The lengths that a record header may have in a file with such a header, the likeliest first: nothing but the records
    /// themselves tells them apart.
    pub(super) fn record_headers(&self) -> &'static [u8] {
        match (self.record_header, self.fraction_ns, self.lengths) {
            (16, 1_000, Lengths::CapturedFirst) => &USUAL_RECORDS,
            (24, _, Lengths::CapturedFirst) => &MODIFIED_RECORDS,
            _ => &[],
        }
    }

    /// `None`: there are fewer than 16 bytes.
    #[inline]
    pub(super) fn record(&self, bytes: &[u8]) -> Option<Record> {
        let field = |octets: [u8; 4]| if self.big_endian { u32::from_be_bytes(octets) } else { u32::from_le_bytes(octets) };
        let [s0, s1, s2, s3, f0, f1, f2, f3, c0, c1, c2, c3, o0, o1, o2, o3] = *bytes.first_chunk::<16>()?;
        let (first, second) = (field([c0, c1, c2, c3]), field([o0, o1, o2, o3]));
        let (captured, original) = match self.lengths {
            Lengths::CapturedFirst => (first, second),
            Lengths::OriginalFirst => (second, first),
            Lengths::LargerIsOriginal => (first.min(second), first.max(second)),
        };
        Some(Record { seconds: field([s0, s1, s2, s3]), fraction: field([f0, f1, f2, f3]), captured, original })
    }

    /// Whether a header may be something else than a record's: one cheap question asked of every record.
    #[inline]
    pub(super) fn is_suspicious(&self, record: &Record) -> bool {
        // Another file's magic number, read as seconds, or a length that cannot be, or all zeros.
        const MAGICS: [u32; 4] = [0xa1b2_c3d4, 0xa1b2_3c4d, 0xa1b2_cd34, 0x0a0d_0d0a];
        record.captured > self.limit
            || record.original == 0
            || MAGICS.contains(&record.seconds)
            || MAGICS.contains(&record.seconds.swap_bytes())
    }

    pub(super) fn nanos(&self, record: &Record) -> Nanos {
        // At most 2^32 × 10^9 + 2^32 × 10^3 < 2^63.
        i64::from(record.seconds) * 1_000_000_000 + i64::from(record.fraction) * i64::from(self.fraction_ns)
    }

    /// Whether a record may begin with this: the strict question, asked where the reader has lost its way.
    pub(super) fn is_plausible(&self, record: &Record, near_seconds: Option<u32>) -> bool {
        const DAYS_3: u32 = 3 * 86_400;
        let fraction_end = 1_000_000_000 / self.fraction_ns;
        (1..=self.limit).contains(&record.captured)
            && (record.captured..=MAX_FRAME).contains(&record.original)
            && record.fraction < fraction_end
            && near_seconds.is_none_or(|near| record.seconds.abs_diff(near) <= DAYS_3)
    }
}
