//! pcapng option lists and the clock that they describe.
//! Knows options' layout and the value formats that several blocks share; must not know blocks.

use pcap_parser::{PcapError, PcapNGOption, parse_option_be, parse_option_le};

use crate::model::{Direction, Nanos};

/// The options of one block, up to `opt_endofopt` or the first that does not fit. pcap-parser's own block types collect
/// them into a `Vec`, which for packet blocks would cost an allocation a frame.
pub(super) struct Options<'a> {
    rest: &'a [u8],
    big_endian: bool,
}

impl<'a> Options<'a> {
    pub(super) fn new(bytes: &'a [u8], big_endian: bool) -> Self {
        Self { rest: bytes, big_endian }
    }
}

impl<'a> Iterator for Options<'a> {
    /// Code and value without its padding.
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let parsed =
            if self.big_endian { parse_option_be::<PcapError<&[u8]>>(self.rest) } else { parse_option_le::<PcapError<&[u8]>>(self.rest) };
        let (rest, PcapNGOption { code, len, value }) = parsed.ok()?;
        self.rest = rest;
        let std::borrow::Cow::Borrowed(value) = value else { return None };
        (code.0 != 0).then_some((code.0, value.get(..usize::from(len))?))
    }
}

pub(super) fn u16_at(bytes: &[u8], at: usize, big_endian: bool) -> Option<u16> {
    let field = *bytes.get(at..)?.first_chunk::<2>()?;
    Some(if big_endian { u16::from_be_bytes(field) } else { u16::from_le_bytes(field) })
}

pub(super) fn u32_at(bytes: &[u8], at: usize, big_endian: bool) -> Option<u32> {
    let field = *bytes.get(at..)?.first_chunk::<4>()?;
    Some(if big_endian { u32::from_be_bytes(field) } else { u32::from_le_bytes(field) })
}

pub(super) fn u64_at(bytes: &[u8], at: usize, big_endian: bool) -> Option<u64> {
    let field = *bytes.get(at..)?.first_chunk::<8>()?;
    Some(if big_endian { u64::from_be_bytes(field) } else { u64::from_le_bytes(field) })
}

/// `epb_flags` and `pack_flags`: bits 0 and 1 say the direction.
pub(super) fn direction(flags: u32) -> Option<Direction> {
    match flags & 3 {
        1 => Some(Direction::In),
        2 => Some(Direction::Out),
        _ => None,
    }
}

/// At most so much of a text option is kept; comments of megabytes exist only in hostile files.
const MAX_TEXT: usize = 4096;

/// A text option as it should be shown: UTF-8 by the format's rules, yet some writers put anything there.
pub(super) fn text(value: &[u8]) -> String {
    let value = value.get(..MAX_TEXT).unwrap_or(value);
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}

/// How an interface's 64-bit times are to be read: `if_tsresol` and `if_tsoffset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Clock {
    /// As in the option: the top bit chooses 2^-n over 10^-n.
    resolution: u8,
    offset_seconds: i64,
}

impl Default for Clock {
    /// Microseconds: what the format says holds without an option.
    fn default() -> Self {
        Self { resolution: 6, offset_seconds: 0 }
    }
}

impl Clock {
    pub(super) fn new(resolution: u8, offset_seconds: i64) -> Self {
        Self { resolution, offset_seconds }
    }

    /// `None` when it lies outside of what [`Nanos`] can say (years 1677 to 2262).
    pub(super) fn nanos(self, units: u64) -> Option<Nanos> {
        let multiplier = match self.resolution {
            6 => 1_000,
            9 => 1,
            _ => return self.nanos_slowly(units),
        };
        let since_offset = i64::try_from(units).ok()?.checked_mul(multiplier)?;
        if self.offset_seconds == 0 {
            return Some(since_offset);
        }
        since_offset.checked_add(self.offset_seconds.checked_mul(1_000_000_000)?)
    }

    fn nanos_slowly(self, units: u64) -> Option<Nanos> {
        let (units, exponent) = (u128::from(units), u32::from(self.resolution & 0x7f));
        let since_offset = if self.resolution & 0x80 != 0 {
            // 2^64 × 10^9 fits in 94 bits, so only the shift can be too far, and then the time is 0.
            (units * 1_000_000_000).checked_shr(exponent).unwrap_or(0)
        } else if exponent <= 9 {
            units * 10_u128.pow(9 - exponent)
        } else {
            10_u128.checked_pow(exponent - 9).map_or(0, |divisor| units / divisor)
        };
        let offset = i128::from(self.offset_seconds) * 1_000_000_000;
        Nanos::try_from(i128::try_from(since_offset).ok()? + offset).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_of_every_resolution() {
        for (resolution, units, nanos) in [
            (6, 1_620_280_000_000_001, Some(1_620_280_000_000_001_000)),
            (9, 1_620_280_000_000_000_001, Some(1_620_280_000_000_000_001)),
            (0, 1_620_280_000, Some(1_620_280_000_000_000_000)),
            (3, 1_620_280_000_001, Some(1_620_280_000_001_000_000)),
            (12, 1_620_280_000_001_000, Some(1_620_280_000_001)),
            (0x80 | 10, 1_024 * 5 + 512, Some(5_500_000_000)),
            (0x80 | 32, (7 << 32) | (1 << 31), Some(7_500_000_000)),
            (0x7f, u64::MAX, Some(0)),
            (0xff, u64::MAX, Some(0)),
            (6, u64::MAX, None),
            (0, u64::MAX, None),
        ] {
            assert_eq!(Clock::new(resolution, 0).nanos(units), nanos, "resolution {resolution:#x}");
        }
        assert_eq!(Clock::new(6, -2).nanos(3_000_001), Some(1_000_001_000));
        assert_eq!(Clock::new(3, -2).nanos(1), Some(-1_999_000_000));
        assert_eq!(Clock::new(9, i64::MAX).nanos(1), None);
    }

    #[test]
    fn options_stop_at_the_end_mark_and_at_a_lie() {
        let list = [1, 0, 3, 0, b'a', b'b', b'c', 0, 0, 0, 0, 0, 1, 0, 1, 0, b'z', 0, 0, 0];
        assert_eq!(Options::new(&list, false).collect::<Vec<_>>(), [(1, &b"abc"[..])]);
        let lie = [0, 1, 0, 200, b'a', b'b', b'c', 0];
        assert_eq!(Options::new(&lie, true).count(), 0);
    }
}
