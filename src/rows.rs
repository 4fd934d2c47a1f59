//! Many rows of one kind, kept small: in pages, each number in as few octets as it needs, each word once, and of a text that many rows
//! have in common all but its numbers once.
//! Knows numbers and texts; must not know what the rows say.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

/// What can be kept as a row. Reading gives what was written.
pub trait Row: Sized {
    /// Appends itself.
    fn write(&self, to: &mut Writer<'_>);
    /// Takes itself off the beginning.
    fn read(from: &mut Reader<'_>) -> Self;
}

/// Rows of a page: to find one, so many are stepped over at most.
const PAGE: usize = 64;

/// Rows in the order that they came in.
pub struct Rows<T> {
    words: Words,
    /// Whole pages: each row's length and octets.
    pages: Vec<Box<[u8]>>,
    /// The page that is being filled.
    open: Vec<u8>,
    len: usize,
    row: Vec<u8>,
    of: PhantomData<fn() -> T>,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { words: Words::default(), pages: Vec::new(), open: Vec::new(), len: 0, row: Vec::new(), of: PhantomData }
    }
}

impl<T> fmt::Debug for Rows<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("len", &self.len).finish_non_exhaustive()
    }
}

impl<T: Row> Rows<T> {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends one.
    pub fn push(&mut self, row: &T) {
        self.encode(row);
        self.keep();
    }

    /// Makes a row's octets ready for [`Self::keep`], and gives their hash: 64 bits that say something everywhere, where those of a hash
    /// for tables may be fewer (WebAssembly's are 32).
    pub(crate) fn encode(&mut self, row: &T) -> u64 {
        self.row.clear();
        row.write(&mut Writer { words: &mut self.words, bytes: &mut self.row });
        xxh3_64(&self.row)
    }

    /// Whether row `at` is the one that was encoded last.
    pub(crate) fn is_encoded(&self, at: usize) -> bool {
        self.octets(at) == Some(&self.row[..])
    }

    /// Appends the row that was encoded last.
    pub(crate) fn keep(&mut self) {
        put(&mut self.open, self.row.len() as u64);
        self.open.extend_from_slice(&self.row);
        self.len += 1;
        if self.len.is_multiple_of(PAGE) {
            self.pages.push(self.open.as_slice().into());
            self.open.clear();
        }
    }

    fn page(&self, page: usize) -> &[u8] {
        match self.pages.get(page) {
            Some(page) => page,
            None if page == self.pages.len() => &self.open,
            None => &[],
        }
    }

    fn octets(&self, at: usize) -> Option<&[u8]> {
        Octets(self.page(at / PAGE)).nth(at % PAGE)
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<T> {
        self.get_as(at)
    }

    /// One of them, or its beginning, as something that is written alike.
    pub(crate) fn get_as<U: Row>(&self, at: usize) -> Option<U> {
        Some(U::read(&mut Reader { words: &self.words, bytes: self.octets(at)? }))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        self.iter_as()
    }

    /// All of them, or their beginnings, as something that is written alike.
    pub(crate) fn iter_as<U: Row>(&self) -> impl Iterator<Item = U> {
        let pages = (0..=self.pages.len()).flat_map(|page| Octets(self.page(page)));
        pages.map(|bytes| U::read(&mut Reader { words: &self.words, bytes }))
    }

    /// Changes each.
    pub fn change(&mut self, mut change: impl FnMut(&mut T)) {
        let (pages, open) = (std::mem::take(&mut self.pages), std::mem::take(&mut self.open));
        self.len = 0;
        for page in pages.into_iter().chain([open.into_boxed_slice()]) {
            for bytes in Octets(&page) {
                let mut row = T::read(&mut Reader { words: &self.words, bytes });
                change(&mut row);
                self.push(&row);
            }
        }
    }

    /// Keeps those that get a number, by index: rows that are written alike, but for the number before the rest.
    pub(crate) fn select<U: Row>(mut self, number: impl Fn(usize) -> Option<u64>) -> Rows<U> {
        let mut kept = Rows { words: std::mem::take(&mut self.words), ..Rows::default() };
        let mut at = 0;
        // Each page goes as soon as it was read.
        for page in self.pages.into_iter().chain([self.open.into_boxed_slice()]) {
            for bytes in Octets(&page) {
                if let Some(number) = number(at) {
                    kept.row.clear();
                    put(&mut kept.row, number);
                    kept.row.extend_from_slice(bytes);
                    kept.keep();
                }
                at += 1;
            }
        }
        kept
    }
}

impl<T: Row> FromIterator<T> for Rows<T> {
    fn from_iter<I: IntoIterator<Item = T>>(rows: I) -> Self {
        let mut all = Self::default();
        rows.into_iter().for_each(|row| all.push(&row));
        all
    }
}

/// The rows of a page.
struct Octets<'a>(&'a [u8]);

impl<'a> Iterator for Octets<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let length = take(&mut self.0) as usize;
        let (row, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(row)
    }
}

/// Seven bits an octet, the lowest first.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let Some((octet, rest)) = bytes.split_first() else { break };
        *bytes = rest;
        number |= u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            break;
        }
    }
    number
}

/// Words, each once.
#[derive(Debug, Default)]
struct Words {
    list: Vec<Arc<str>>,
    numbers: FxHashMap<Arc<str>, u32>,
    /// For the text at hand.
    pattern: Vec<u8>,
    found: Vec<u64>,
}

impl Words {
    fn number(&mut self, word: &str) -> u64 {
        if let Some(n) = self.numbers.get(word) {
            return u64::from(*n);
        }
        let number = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        let word: Arc<str> = word.into();
        self.list.push(Arc::clone(&word));
        self.numbers.insert(word, number);
        u64::from(number)
    }

    fn word(&self, number: u64) -> &str {
        usize::try_from(number).ok().and_then(|n| self.list.get(n)).map_or("", |w| w)
    }
}

/// Where a row is written to.
#[derive(Debug)]
pub struct Writer<'a> {
    words: &'a mut Words,
    bytes: &'a mut Vec<u8>,
}

/// In a pattern: a decimal number.
const DECIMAL: u8 = 1;
/// In a pattern, with its length added: a hexadecimal number of so many digits.
const HEX: u8 = 2;
/// A number is of so many digits at most.
const DIGITS: usize = 15;

impl Writer<'_> {
    /// A number: the smaller, the shorter.
    pub fn number(&mut self, number: u64) {
        put(self.bytes, number);
    }

    /// A number that may be negative.
    pub fn signed(&mut self, number: i64) {
        self.number((number.wrapping_shl(1) ^ (number >> 63)) as u64);
    }

    /// A condition.
    pub fn flag(&mut self, flag: bool) {
        self.bytes.push(u8::from(flag));
    }

    /// Octets, of which the reader knows how many.
    pub fn octets(&mut self, octets: &[u8]) {
        self.bytes.extend_from_slice(octets);
    }

    /// A word that many rows have.
    pub fn word(&mut self, word: &str) {
        let number = self.words.number(word);
        self.number(number);
    }

    /// A name that is a letter or two and a number, like `p12`; or another.
    pub fn name(&mut self, letters: &str, name: &str) {
        let digits = name.strip_prefix(letters).filter(|d| d.len() <= DIGITS && !d.starts_with(['0', '+']));
        let number = match digits.and_then(|d| d.parse::<u64>().ok()) {
            Some(number) => number << 1,
            None => self.words.number(name) << 1 | 1,
        };
        self.number(number);
    }

    /// What may not be there.
    pub fn option<V>(&mut self, value: Option<V>, write: impl FnOnce(&mut Self, V)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// Several.
    pub fn list<V>(&mut self, values: &[V], mut write: impl FnMut(&mut Self, &V)) {
        self.number(values.len() as u64);
        values.iter().for_each(|v| write(self, v));
    }

    /// A probability: three digits, or all of them.
    pub fn share(&mut self, p: f64) {
        let thousandths = (p * 1000.0).round();
        if (0.0..=1e6).contains(&thousandths) && (thousandths / 1000.0).to_bits() == p.to_bits() {
            return self.number(thousandths as u64 + 1);
        }
        self.number(0);
        self.octets(&p.to_bits().to_le_bytes());
    }

    /// A text that others are like, but for numbers in it.
    pub fn text(&mut self, text: &str) {
        let bytes = text.as_bytes();
        // The marks of numbers are control characters: a text with such ones is a word.
        if bytes.iter().any(|b| *b < 0x20) {
            let number = self.words.number(text);
            return self.number(number << 1 | 1);
        }
        let mut pattern = std::mem::take(&mut self.words.pattern);
        let mut numbers = std::mem::take(&mut self.words.found);
        pattern.clear();
        numbers.clear();
        let mut rest = bytes;
        // What stands before a number's first digit and behind its last one is neither letter nor digit.
        let mut before = b' ';
        while let Some((first, others)) = rest.split_first() {
            let length = if before.is_ascii_alphanumeric() || before >= 0x80 { 0 } else { digits(rest) };
            let (run, behind) = rest.split_at_checked(length).unwrap_or((&[], rest));
            let after = behind.first().copied().unwrap_or(b' ');
            let is_between_colons = before == b':' || after == b':';
            let is_decimal = run.iter().all(u8::is_ascii_digit) && (run.first() != Some(&b'0') || length == 1);
            // All of a MAC's octets are written alike.
            let is_decimal = is_decimal && !(is_between_colons && length == 2);
            let is_hex = is_decimal || is_between_colons || run.iter().any(u8::is_ascii_digit);
            if length == 0 || length > DIGITS || after.is_ascii_alphanumeric() || after >= 0x80 || !is_hex {
                // A run that is no number is passed over whole: no part of it may be taken for one.
                let (run, behind) = if length > 0 { (run, behind) } else { (std::slice::from_ref(first), others) };
                pattern.extend_from_slice(run);
                before = run.last().copied().unwrap_or(b' ');
                rest = behind;
                continue;
            }
            let base = if is_decimal { 10 } else { 16 };
            numbers.push(run.iter().fold(0, |n, d| n * base + u64::from((*d as char).to_digit(16).unwrap_or(0))));
            pattern.push(if is_decimal { DECIMAL } else { HEX + length as u8 });
            (before, rest) = (b'0', behind);
        }
        // Only whole ASCII characters were taken out.
        let number = self.words.number(std::str::from_utf8(&pattern).unwrap_or_default());
        self.number(number << 1);
        numbers.iter().for_each(|n| self.number(*n));
        (self.words.pattern, self.words.found) = (pattern, numbers);
    }
}

/// At least `least` of them: these are written by the million, and `format!` takes several times as long.
fn push_digits(text: &mut String, mut number: u64, base: u64, least: usize) {
    let mut digits = ['0'; 20];
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        *digit = char::from_digit((number % base) as u32, 16).unwrap_or('0');
        number /= base;
        count += 1;
        if number == 0 && count >= least {
            break;
        }
    }
    text.extend(digits.iter().skip(digits.len() - count));
}

/// How many digits there are at the beginning, hexadecimal ones among them.
fn digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).count()
}

/// What a row is read from. Beyond its end everything is zero.
#[derive(Debug)]
pub struct Reader<'a> {
    words: &'a Words,
    bytes: &'a [u8],
}

impl Reader<'_> {
    /// See [`Writer::number`].
    pub fn number(&mut self) -> u64 {
        take(&mut self.bytes)
    }

    /// See [`Writer::signed`].
    pub fn signed(&mut self) -> i64 {
        let number = self.number();
        (number >> 1) as i64 ^ -((number & 1) as i64)
    }

    /// A number of the size that it was written with.
    pub fn small<N: TryFrom<u64> + Default>(&mut self) -> N {
        N::try_from(self.number()).unwrap_or_default()
    }

    /// See [`Writer::flag`].
    pub fn flag(&mut self) -> bool {
        self.octets::<1>() != [0]
    }

    /// See [`Writer::octets`].
    pub fn octets<const N: usize>(&mut self) -> [u8; N] {
        match self.bytes.split_first_chunk() {
            Some((octets, rest)) => {
                self.bytes = rest;
                *octets
            }
            None => [0; N],
        }
    }

    /// See [`Writer::word`].
    pub fn word(&mut self) -> String {
        let number = self.number();
        self.words.word(number).to_owned()
    }

    /// See [`Writer::name`].
    pub fn name(&mut self, letters: &str) -> String {
        let number = self.number();
        if number & 1 == 1 { self.words.word(number >> 1).to_owned() } else { format!("{letters}{}", number >> 1) }
    }

    /// See [`Writer::option`].
    pub fn option<V>(&mut self, read: impl FnOnce(&mut Self) -> V) -> Option<V> {
        if self.flag() { Some(read(self)) } else { None }
    }

    /// See [`Writer::list`].
    pub fn list<V>(&mut self, mut read: impl FnMut(&mut Self) -> V) -> Vec<V> {
        (0..self.number()).map(|_| read(self)).collect()
    }

    /// See [`Writer::share`].
    pub fn share(&mut self) -> f64 {
        match self.number() {
            0 => f64::from_bits(u64::from_le_bytes(self.octets())),
            n => (n - 1) as f64 / 1000.0,
        }
    }

    /// See [`Writer::text`].
    pub fn text(&mut self) -> String {
        let number = self.number();
        let pattern = self.words.word(number >> 1);
        if number & 1 == 1 {
            return pattern.to_owned();
        }
        let mut text = String::with_capacity(pattern.len() + 16);
        for part in pattern.split_inclusive(|c: char| c < ' ') {
            let mark = part.as_bytes().last().copied().filter(|b| *b < 0x20);
            text.push_str(if mark.is_some() { part.get(..part.len() - 1).unwrap_or_default() } else { part });
            match mark {
                None => {}
                Some(DECIMAL) => push_digits(&mut text, take(&mut self.bytes), 10, 1),
                Some(hex) => push_digits(&mut text, take(&mut self.bytes), 16, usize::from(hex.saturating_sub(HEX))),
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug, PartialEq)]
    struct One {
        text: String,
        word: Option<String>,
        number: i64,
        share: f64,
        list: Vec<u64>,
        name: String,
    }

    impl Row for One {
        fn write(&self, to: &mut Writer<'_>) {
            to.text(&self.text);
            to.option(self.word.as_deref(), Writer::word);
            to.signed(self.number);
            to.share(self.share);
            to.list(&self.list, |to, n| to.number(*n));
            to.name("e", &self.name);
        }

        fn read(from: &mut Reader<'_>) -> Self {
            let (text, word) = (from.text(), from.option(Reader::word));
            Self { text, word, number: from.signed(), share: from.share(), list: from.list(Reader::number), name: from.name("e") }
        }
    }

    struct Numbered(u64, One);

    impl Row for Numbered {
        fn write(&self, to: &mut Writer<'_>) {
            to.number(self.0);
            self.1.write(to);
        }

        fn read(from: &mut Reader<'_>) -> Self {
            Self(from.number(), One::read(from))
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(rows in prop::collection::vec(
            ("([0-9a-f]{1,17}|[:. a-z]|0|é|\u{1}|\u{12}|[A-Z]){0,12}", prop::option::of("[a-c]{1,2}"), any::<i64>(),
                prop_oneof![Just(0.97), Just(0.5004), Just(-1.0), 0.0..1.0_f64], prop::collection::vec(any::<u64>(), 0..3),
                prop::sample::select(vec!["e1", "e99", "e01", "e0", "e", "p1", "e1x", "e99999999999999999999"])), 0..200),
            at in 0..200_usize,
        ) {
            let rows: Vec<One> = rows.into_iter().map(|(text, word, number, share, list, name)| One { text, word, number, share, list, name: name.to_owned() }).collect();
            let mut kept: Rows<One> = rows.iter().cloned().collect();
            prop_assert!(kept.iter().eq(rows.iter().cloned()));
            prop_assert_eq!(kept.get(at), rows.get(at).cloned());
            for row in rows.iter().take(1) {
                kept.encode(row);
                prop_assert!(kept.is_encoded(0));
            }
            kept.change(|row| row.number = row.number.wrapping_add(7));
            let changed = |row: &One| One { number: row.number.wrapping_add(7), ..row.clone() };
            prop_assert!(kept.iter().eq(rows.iter().map(changed)));
            let odd = rows.iter().enumerate().filter(|(n, _)| n % 2 == 1).map(|(n, row)| (n as u64, changed(row)));
            prop_assert!(kept.select::<Numbered>(|n| (n % 2 == 1).then_some(n as u64)).iter().map(|n| (n.0, n.1)).eq(odd));
        }
    }

    #[test]
    fn texts_that_differ_in_numbers_share_their_pattern() {
        let texts = [
            "12 packets 10.0.0.1 → 10.200.0.5 seen at host:0e:86:5a:82:fe:e6 with TTL 62",
            "3 packets 10.99.0.1 → 10.200.0.5 seen at host:02:00:00:00:be:01 with TTL 61",
        ];
        let one = |text: &str| One { text: text.to_owned(), word: None, number: 0, share: 1.0, list: Vec::new(), name: String::new() };
        let rows: Rows<One> = texts.iter().map(|t| one(t)).collect();
        assert!(rows.iter().map(|r| r.text).eq(texts));
        // The pattern, and the name, which is empty.
        assert_eq!(rows.words.list.len(), 2);
    }
}
