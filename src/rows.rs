//! Many rows of one kind, kept small: in pages, each number in as few octets as it needs, each word once, and of a text that many rows
//! have in common all but its numbers once.
//! Knows numbers and texts; must not know what the rows say.

use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

use crate::model::Mac;
use crate::phrase::{DECIMAL, DIGITS, HEX, Phrase, octets, pattern_of, push_digits, put, take, write_onto, write_out};

/// What can be kept as a row. Reading gives what was written.
pub trait Row: Sized {
    /// Appends itself.
    fn write(&self, to: &mut Writer<'_>);
    /// Takes itself off the beginning.
    fn read(from: &mut Reader<'_>) -> Self;
    /// The same in place of another, whose room it may use.
    fn read_again(&mut self, from: &mut Reader<'_>) {
        *self = Self::read(from);
    }
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
        self.push_with(|to| row.write(to));
    }

    /// Appends one that `write` writes as the row itself would.
    pub(crate) fn push_with(&mut self, write: impl FnOnce(&mut Writer<'_>)) {
        self.row.clear();
        write(&mut Writer { words: &mut self.words, bytes: &mut self.row });
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

    /// Shows each, in the room of the one before: all that a row of lists and texts has to allocate is allocated once. `order` has
    /// their places, if it is not their own order that is wanted.
    pub(crate) fn each(&self, order: Option<&[u32]>, mut show: impl FnMut(&T)) {
        let mut room = None;
        let own = (0..=self.pages.len()).flat_map(|page| Octets(self.page(page))).filter(|_| order.is_none());
        let ordered = order.unwrap_or_default().iter().filter_map(|at| self.octets(*at as usize));
        for bytes in own.chain(ordered) {
            show(read_into(&mut room, &mut Reader { words: &self.words, bytes }));
        }
    }

    /// Lets each be read, until one cannot be dealt with.
    pub(crate) fn read_each<E>(&self, mut read: impl FnMut(&mut Reader<'_>) -> Result<(), E>) -> Result<(), E> {
        let mut all = (0..=self.pages.len()).flat_map(|page| Octets(self.page(page)));
        all.try_for_each(|bytes| read(&mut Reader { words: &self.words, bytes }))
    }

    /// Changes each.
    pub fn change(&mut self, mut change: impl FnMut(&mut T)) {
        let (pages, open) = (std::mem::take(&mut self.pages), std::mem::take(&mut self.open));
        self.len = 0;
        let mut room = None;
        for page in pages.into_iter().chain([open.into_boxed_slice()]) {
            for bytes in Octets(&page) {
                let row = read_into(&mut room, &mut Reader { words: &self.words, bytes });
                change(row);
                self.push(row);
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

fn read_into<'a, T: Row>(room: &'a mut Option<T>, from: &mut Reader<'_>) -> &'a mut T {
    match room {
        Some(row) => {
            row.read_again(from);
            row
        }
        None => room.insert(T::read(from)),
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

/// Words, each once.
#[derive(Debug, Default)]
struct Words {
    list: Vec<Arc<str>>,
    numbers: FxHashMap<Arc<str>, u32>,
    /// For the text at hand.
    pattern: Vec<u8>,
    found: Vec<u8>,
    /// Words that are MACs: written for each hop.
    macs: FxHashMap<Mac, u64>,
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

    /// What [`Self::name`] writes of letters and this number.
    pub(crate) fn numbered(&mut self, number: u64) {
        self.number(number << 1);
    }

    /// What [`Self::text`] writes of a text that is put together already.
    pub(crate) fn phrase(&mut self, phrase: &Phrase) {
        let number = self.words.number(phrase.pattern());
        self.number(number << 1);
        self.octets(phrase.numbers());
    }

    /// An address as a text.
    pub(crate) fn ip(&mut self, ip: IpAddr) {
        let number = self.words.number(pattern_of(ip));
        self.number(number << 1);
        match ip {
            IpAddr::V4(ip) => self.octets(&ip.octets()),
            IpAddr::V6(ip) => self.octets(&ip.octets()),
        }
    }

    /// A MAC as a word.
    pub(crate) fn mac(&mut self, mac: Mac) {
        let number = match self.words.macs.get(&mac) {
            Some(number) => *number,
            None => {
                let number = self.words.number(&mac.to_string());
                self.words.macs.insert(mac, number);
                number
            }
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
        let mut pattern = std::mem::take(&mut self.words.pattern);
        let mut numbers = std::mem::take(&mut self.words.found);
        pattern.clear();
        numbers.clear();
        let (mut begin, mut kinds, mut done, mut between) = (0, 0, 0, 0);
        // A run of letters and digits ends at what is neither, and at the text's end.
        for (at, octet) in bytes.iter().chain(b" ").enumerate() {
            let class = CLASSES.get(usize::from(*octet)).copied().unwrap_or_default();
            if class & IN_RUN != 0 {
                kinds |= class;
                continue;
            }
            between |= class;
            let (from, of) = (std::mem::replace(&mut begin, at + 1), std::mem::take(&mut kinds));
            // A run that is no number stays whole: no part of it may be taken for one.
            if of == 0 || of & NO_DIGIT != 0 || at - from > DIGITS {
                continue;
            }
            let run = bytes.get(from..at).unwrap_or_default();
            let is_between_colons = bytes.get(at) == Some(&b':') || from.checked_sub(1).and_then(|b| bytes.get(b)) == Some(&b':');
            let is_decimal = of & HEX_LETTER == 0 && (run.first() != Some(&b'0') || run.len() == 1);
            // All of a MAC's octets are written alike.
            let is_decimal = is_decimal && !(is_between_colons && run.len() == 2);
            if !(is_decimal || is_between_colons || of & DECIMAL_DIGIT != 0) {
                continue;
            }
            let base = if is_decimal { 10 } else { 16 };
            put(&mut numbers, run.iter().fold(0, |n, d| n * base + u64::from(d & 0xf) + 9 * u64::from(d >> 6)));
            pattern.extend_from_slice(bytes.get(done..from).unwrap_or_default());
            pattern.push(if is_decimal { DECIMAL } else { HEX + run.len() as u8 });
            done = at;
        }
        pattern.extend_from_slice(bytes.get(done..).unwrap_or_default());
        if between & CONTROL != 0 {
            // The marks of numbers are control characters: a text with such ones is a word.
            let number = self.words.number(text);
            self.number(number << 1 | 1);
        } else {
            // Only whole ASCII characters were taken out.
            let number = self.words.number(std::str::from_utf8(&pattern).unwrap_or_default());
            self.number(number << 1);
            self.octets(&numbers);
        }
        (self.words.pattern, self.words.found) = (pattern, numbers);
    }
}

/// In [`CLASSES`]: a control character.
const CONTROL: u8 = 1;
/// A letter or digit: what stands beside it is part of the same run.
const IN_RUN: u8 = 2;
/// No digit of any number.
const NO_DIGIT: u8 = 4;
/// A hexadecimal digit that is no decimal one.
const HEX_LETTER: u8 = 8;
/// A decimal digit.
const DECIMAL_DIGIT: u8 = 16;

/// What each octet may be a part of. (In a constant, an index that is too large does not compile.)
#[allow(clippy::indexing_slicing)]
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        classes[octet] = match octet as u8 {
            0..0x20 => CONTROL,
            b'0'..=b'9' => IN_RUN | DECIMAL_DIGIT,
            b'a'..=b'f' => IN_RUN | HEX_LETTER,
            b'g'..=b'z' | b'A'..=b'Z' | 0x80.. => IN_RUN | NO_DIGIT,
            _ => 0,
        };
        octet += 1;
    }
    classes
};

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
        octets(&mut self.bytes)
    }

    /// See [`Writer::word`].
    pub fn word(&mut self) -> String {
        let number = self.number();
        self.words.word(number).to_owned()
    }

    /// The same, where it stands.
    pub(crate) fn word_ref(&mut self) -> &str {
        let number = self.number();
        self.words.word(number)
    }

    /// What [`Self::name`] gives, at a text's end.
    pub(crate) fn name_onto(&mut self, letters: &str, text: &mut String) {
        match self.number() {
            number if number & 1 == 1 => text.push_str(self.words.word(number >> 1)),
            number => {
                text.push_str(letters);
                push_digits(text, number >> 1, 10, 1);
            }
        }
    }

    /// What [`Self::text`] gives, at a text's end.
    pub(crate) fn text_onto(&mut self, text: &mut String) {
        let number = self.number();
        let pattern = self.words.word(number >> 1);
        if number & 1 == 1 {
            text.push_str(pattern);
        } else {
            write_onto(text, pattern, &mut self.bytes);
        }
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

    /// The same in place of another.
    pub(crate) fn word_again(&mut self, word: &mut String) {
        let number = self.number();
        word.clear();
        word.push_str(self.words.word(number));
    }

    /// The same in place of another.
    pub(crate) fn list_again<V: Default>(&mut self, list: &mut Vec<V>, mut read: impl FnMut(&mut Self, &mut V)) {
        let count = self.small::<usize>();
        for at in 0..count {
            if list.len() == at {
                list.push(V::default());
            }
            if let Some(v) = list.get_mut(at) {
                read(self, v);
            }
        }
        list.truncate(count);
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
        write_out(pattern, &mut self.bytes)
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
