//! Texts that are alike but for their numbers: a pattern, in which a mark stands for each number, and the numbers. There are several for each
//! conversation: to write them out and look for the numbers again takes ten times as long as to put pattern and numbers together.
//! Knows how numbers and addresses are written; must not know what is said.

use std::net::{IpAddr, Ipv4Addr};

use crate::model::{Mac, Protocol};

/// In a pattern: a decimal number.
pub(crate) const DECIMAL: u8 = 1;
/// With its length added: a hexadecimal number of so many digits, [`DIGITS`] at most.
pub(crate) const HEX: u8 = 2;
/// A number is of so many digits at most.
pub(crate) const DIGITS: usize = 15;
/// A MAC: six octets.
const MAC: char = '\u{12}';
/// An IPv4 address: four octets.
const IPV4: char = '\u{13}';
/// An IPv6 address: sixteen octets.
const IPV6: char = '\u{14}';
/// Words as they are: their length and their octets.
const WORDS: char = '\u{15}';

/// A text in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Phrase {
    pattern: String,
    numbers: Vec<u8>,
}

impl Phrase {
    /// Begins anew with these words.
    pub(crate) fn again(mut self, words: &str) -> Self {
        self.pattern.clear();
        self.numbers.clear();
        self.words(words)
    }

    /// What many texts have in common.
    pub(crate) fn pattern(&self) -> &str {
        &self.pattern
    }

    /// What stands for the marks in it, for [`write_out`].
    pub(crate) fn numbers(&self) -> &[u8] {
        &self.numbers
    }

    /// Words as they are.
    pub(crate) fn words(mut self, words: &str) -> Self {
        // (All octets at once: to stop at the first takes longer.)
        if words.bytes().fold(false, |found, octet| found | (octet < b' ')) {
            // What an input calls something may hold what looks like a mark.
            self.pattern.push(WORDS);
            put(&mut self.numbers, words.len() as u64);
            self.numbers.extend_from_slice(words.as_bytes());
        } else {
            self.pattern.push_str(words);
        }
        self
    }

    /// Words that stand in the code: no mark is in them.
    #[inline]
    pub(crate) fn fixed(mut self, words: &'static str) -> Self {
        debug_assert!(!words.bytes().any(|octet| octet < b' '), "a mark");
        self.pattern.push_str(words);
        self
    }

    /// A decimal number.
    #[inline]
    pub(crate) fn number(mut self, number: impl Into<u64>) -> Self {
        self.pattern.push(char::from(DECIMAL));
        put(&mut self.numbers, number.into());
        self
    }

    /// An address.
    #[inline]
    pub(crate) fn ip(mut self, ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => {
                self.pattern.push(IPV4);
                self.numbers.extend_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                self.pattern.push(IPV6);
                self.numbers.extend_from_slice(&ip.octets());
            }
        }
        self
    }

    /// An address and a port, or an address alone where the protocol has no ports.
    pub(crate) fn end(self, ip: IpAddr, port: u16, protocol: Protocol) -> Self {
        match (ip, protocol) {
            (_, Protocol::Icmp | Protocol::Icmpv6 | Protocol::Other(_)) => self.ip(ip),
            (IpAddr::V4(_), _) => self.ip(ip).fixed(":").number(port),
            (IpAddr::V6(_), _) => self.fixed("[").ip(ip).fixed("]:").number(port),
        }
    }

    /// A MAC.
    #[inline]
    pub(crate) fn mac(mut self, mac: Mac) -> Self {
        self.pattern.push(MAC);
        self.numbers.extend_from_slice(&mac.0);
        self
    }
}

/// The pattern of an address alone.
pub(crate) fn pattern_of(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "\u{13}" } else { "\u{14}" }
}

/// The text of a pattern; its numbers are taken off the beginning of `from`.
pub(crate) fn write_out(pattern: &str, from: &mut &[u8]) -> String {
    let mut text = String::with_capacity(pattern.len() + 48);
    write_onto(&mut text, pattern, from);
    text
}

/// The same, at another text's end.
pub(crate) fn write_onto(text: &mut String, pattern: &str, from: &mut &[u8]) {
    let mut rest = pattern;
    while let Some(at) = rest.bytes().position(|octet| octet < b' ') {
        // A mark is one octet.
        let (part, marked) = rest.split_at(at);
        text.push_str(part);
        let mark = char::from(marked.bytes().next().unwrap_or_default());
        rest = marked.get(1..).unwrap_or_default();
        match mark {
            MAC => push_mac(text, Mac(octets(from))),
            IPV4 => push_ip(text, IpAddr::from(octets::<4>(from))),
            IPV6 => push_ip(text, IpAddr::from(octets::<16>(from))),
            WORDS => {
                let length = usize::try_from(take(from)).unwrap_or(usize::MAX);
                let (words, rest) = from.split_at_checked(length).unwrap_or((&[], from));
                text.push_str(std::str::from_utf8(words).unwrap_or_default());
                *from = rest;
            }
            _ if mark == char::from(DECIMAL) => push_digits(text, take(from), 10, 1),
            hex => push_digits(text, take(from), 16, (hex as usize).saturating_sub(usize::from(HEX))),
        }
    }
    text.push_str(rest);
}

/// Takes octets off the beginning; beyond the end they are zero.
pub(crate) fn octets<const N: usize>(from: &mut &[u8]) -> [u8; N] {
    match from.split_first_chunk() {
        Some((octets, rest)) => {
            *from = rest;
            *octets
        }
        None => [0; N],
    }
}

/// Seven bits an octet, the lowest first.
pub(crate) fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// See [`put`].
#[inline]
pub(crate) fn take(bytes: &mut &[u8]) -> u64 {
    match bytes.split_first() {
        Some((octet, rest)) if *octet < 0x80 => {
            *bytes = rest;
            u64::from(*octet)
        }
        _ => take_long(bytes),
    }
}

/// A number of several octets: most have one.
fn take_long(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift, mut taken) = (0, 0, 0);
    for octet in bytes.iter().take(10) {
        number |= u64::from(octet & 0x7f) << shift;
        (shift, taken) = (shift + 7, taken + 1);
        if octet & 0x80 == 0 {
            break;
        }
    }
    *bytes = bytes.get(taken..).unwrap_or_default();
    number
}

/// As [`IpAddr`] is displayed.
pub(crate) fn push_ip(text: &mut String, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => push_ipv4(text, ip),
        IpAddr::V6(_) => text.push_str(&ip.to_string()),
    }
}

fn push_ipv4(text: &mut String, ip: Ipv4Addr) {
    for (n, octet) in ip.octets().into_iter().enumerate() {
        if n > 0 {
            text.push('.');
        }
        let digit = |n: u8| b'0' + n % 10;
        let digits = [digit(octet / 100), digit(octet / 10), digit(octet)];
        let from = if octet >= 100 { 0 } else { 1 + usize::from(octet < 10) };
        text.push_str(digits.get(from..).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default());
    }
}

/// As [`Mac`] is displayed.
pub(crate) fn push_mac(text: &mut String, mac: Mac) {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digit = |n: u8| DIGITS.get(usize::from(n & 0xf)).copied().unwrap_or(b'0');
    let mut whole = [b':'; 17];
    for (place, octet) in whole.chunks_mut(3).zip(mac.0) {
        place.iter_mut().zip([octet >> 4, octet]).for_each(|(place, n)| *place = digit(n));
    }
    text.push_str(std::str::from_utf8(&whole).unwrap_or_default());
}

/// At least `least` digits of a number.
pub(crate) fn push_digits(text: &mut String, mut number: u64, base: u64, least: usize) {
    let mut digits = [b'0'; 20];
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        let value = (number % base) as u8;
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        number /= base;
        count += 1;
        if number == 0 && count >= least {
            break;
        }
    }
    text.push_str(digits.get(20 - count..).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_format_writes(ip: IpAddr, port: u16, mac: [u8; 6], number: u64) {
            let mac = Mac(mac);
            let text = |phrase: Phrase| write_out(phrase.pattern(), &mut phrase.numbers());
            let phrase = Phrase::default().again("a ").number(number).words(" b ").ip(ip).words(" \u{13}c").mac(mac);
            prop_assert_eq!(text(phrase), format!("a {number} b {ip} \u{13}c{mac}"));
            prop_assert_eq!(text(Phrase::default().end(ip, port, Protocol::Udp)), std::net::SocketAddr::new(ip, port).to_string());
            prop_assert_eq!(text(Phrase::default().end(ip, port, Protocol::Icmp)), ip.to_string());
        }
    }
}
