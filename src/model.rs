//! The words of the whole engine: MACs, times, directions, places in inputs, notes.
//! Knows no file format and no inference.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Nanoseconds since the Unix epoch, as a capture's clock told them.
pub type Nanos = i64;

/// An IEEE 802 MAC address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Group bit set: broadcast or multicast, so nobody's own address.
    #[must_use]
    pub fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// All zero: loopback and layer-3 devices print it where they have no address.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == [0; 6]
    }

    /// Neither a group's nor all zeros: it may be somebody's own.
    #[must_use]
    pub fn is_unicast(self) -> bool {
        !self.is_group() && !self.is_zero()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The text is not six hexadecimal octets separated by `:` or `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAMac;

impl FromStr for Mac {
    type Err = NotAMac;

    /// Reads `0e:86:5a:82:6b:e6` and `0E-86-5A-82-6B-E6`; octets may have one digit, as BSD's `arp` prints them.
    fn from_str(text: &str) -> Result<Self, NotAMac> {
        let mut octets = [0_u8; 6];
        let mut parts = text.split([':', '-']);
        for octet in &mut octets {
            let part = parts.next().filter(|p| (1..=2).contains(&p.len())).ok_or(NotAMac)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| NotAMac)?;
        }
        if parts.next().is_some() { Err(NotAMac) } else { Ok(Self(octets)) }
    }
}

/// Which way a packet crossed the captured interface, where the capture says so (SLL, SLL2, pcapng `epb_flags`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Direction {
    /// Arrived at this host from the interface.
    In,
    /// Left this host by the interface.
    Out,
}

/// A transport protocol, or what stands in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Protocol {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
    /// RFC 792.
    Icmp,
    /// RFC 4443.
    Icmpv6,
    /// RFC 9260.
    Sctp,
    /// Any other IP protocol number.
    Other(u8),
}

impl Protocol {
    /// The report's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Icmpv6 => "icmpv6",
            Self::Sctp => "sctp",
            Self::Other(_) => "other",
        }
    }

    /// From the IP protocol number (IANA "Protocol Numbers").
    #[must_use]
    pub fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Icmp,
            6 => Self::Tcp,
            17 => Self::Udp,
            58 => Self::Icmpv6,
            132 => Self::Sctp,
            n => Self::Other(n),
        }
    }
}

/// Where in one input something stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Locator {
    /// The frame's number in its file, from 1, as Wireshark counts them.
    Frame(u64),
    /// A JSON pointer (RFC 6901).
    Pointer(String),
    /// A line of text, from 1.
    Line(u64),
}

/// Whether a character may do more than stand there: move a terminal's cursor, reorder a line (CVE-2021-42574), hide in a name, or make
/// XML unreadable (XML 1.0, 2.2 Char).
#[must_use]
pub fn is_acting(c: char) -> bool {
    let invisible = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || invisible || u32::from(c) & 0xfffe == 0xfffe
}

/// The beginning of a text from an input as it may stand between backticks in a message: these mark what redaction replaces, so that there
/// are none in it.
#[must_use]
pub fn quotable(text: &str) -> String {
    text.chars().take(60).map(|c| if c == '`' { '\'' } else { c }).collect()
}

/// One word of a POSIX shell command line: quoted unless it is plainly harmless. What an input calls something may stand in a command that
/// a person is told to run.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// `1 packet`, `2 packets`.
#[must_use]
pub fn count(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// A point in time as RFC 3339 has it, in UTC, to the millisecond: `2021-05-06T05:46:40.000Z`. Printed packets often tell no date,
/// and a clock that was never set tells none worth saying: times in the first two days of 1970 are those of a day, `05:46:40.000 (no date)`.
#[must_use]
pub fn time(ns: Nanos) -> String {
    let (seconds, millis) = (ns.div_euclid(1_000_000_000), ns.rem_euclid(1_000_000_000) / 1_000_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let of_day = format!("{:02}:{:02}:{:02}.{millis:03}", second / 3_600, second % 3_600 / 60, second % 60);
    if matches!(days, 0 | 1) {
        return format!("{of_day} (no date)");
    }
    // Days to a civil date: years begin in March, so that the leap day is the last one (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{of_day}Z")
}

/// Something that a person should know about how an input was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Note {
    /// What is wrong and where, in one sentence without a full stop.
    pub message: String,
    /// Whether something of the input could not be read because of it.
    pub is_loss: bool,
}

impl Note {
    /// A part of the input was not understood, or is missing.
    pub fn loss(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_loss: true }
    }

    /// Worth saying, yet everything was read.
    pub fn info(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_loss: false }
    }
}
