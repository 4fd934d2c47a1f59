//! Which stream a frame belongs to: by its header's words where it is a common one, by its whole key else.
//! Knows keys and counts; must not know what else of a packet is kept.

use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashMap, FxHasher};

use super::{NO_TIME, Stream, StreamKey};
use crate::dissect::fast::{Addresses, Outline};
use crate::model::{Direction, Nanos, Protocol};

/// The streams of one capture, in order of first appearance.
#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: Vec<Stream>,
    /// The hash of a key → the latest stream whose key has it. Keys are not kept twice: a million streams are not rare.
    by_hash: FxHashMap<u64, u32>,
    /// For each stream an earlier one whose key has the same hash.
    same_hash: Vec<Option<u32>>,
    v4: Table<5>,
    v6: Table<8>,
}

impl Streams {
    /// The stream of a frame that was read the whole way; counts the frame.
    pub(super) fn whole(&mut self, key: StreamKey, row: u32, time: Nanos, length: u32) -> u32 {
        let mut hasher = FxHasher::default();
        key.hash(&mut hasher);
        let hash = hasher.finish();
        let latest = self.by_hash.get(&hash).copied();
        let mut known = latest;
        while let Some(id) = known {
            match self.streams.get_mut(id as usize) {
                Some(stream) if stream.key == key => {
                    stream.count(1, u64::from(length));
                    stream.came(time);
                    return id;
                }
                _ => known = self.same_hash.get(id as usize).copied().flatten(),
            }
        }
        // There are no more streams than rows, whose number fits.
        let id = u32::try_from(self.streams.len()).unwrap_or(u32::MAX);
        self.streams.push(Stream { key, first_row: row, packets: 1, bytes: u64::from(length), first_ns: time, last_ns: time });
        self.same_hash.push(latest);
        self.by_hash.insert(hash, id);
        id
    }

    /// The stream of a frame whose headers have come before; counts the frame. `None`: it has to be read the whole way.
    #[inline(always)]
    pub(super) fn again(&mut self, words: &Words, time: Nanos, length: u32) -> Option<u32> {
        match words {
            Words::V4(words) => self.v4.again(words, time, length, &mut self.streams),
            Words::V6(words) => self.v6.again(words, time, length, &mut self.streams),
        }
    }

    /// Where headers' words probably stand, by their hash; 0: not where they are looked for first. Asked of many headers in a row, so
    /// that all wait for memory at once: a capture of many conversations finds none of them in a cache.
    #[inline(always)]
    pub(super) fn guess(&self, look: Look) -> u32 {
        if look.is_v6 { self.v6.guess(look.hash) } else { self.v4.guess(look.hash) }
    }

    /// Asks memory for an entry that was guessed, as [`Streams::guess`] does for where it stands.
    #[inline(always)]
    pub(super) fn touch(&self, look: Look, guess: u32) -> u32 {
        if look.is_v6 { self.v6.touch(guess) } else { self.v4.touch(guess) }
    }

    /// The entry and the stream of the headers, if the guess was right.
    #[inline(always)]
    pub(super) fn confirm(&self, words: &Words, guess: u32) -> Option<Known> {
        match words {
            Words::V4(words) => self.v4.confirm(words, guess),
            Words::V6(words) => self.v6.confirm(words, guess),
        }
    }

    /// Counts a frame of an entry.
    #[inline(always)]
    pub(super) fn count(&mut self, words: &Words, known: Known, time: Nanos, length: u32) {
        let streams = &mut self.streams;
        match words {
            Words::V4(_) => self.v4.entries.get_mut(known.entry as usize).map(|e| e.count(time, length, streams)),
            Words::V6(_) => self.v6.entries.get_mut(known.entry as usize).map(|e| e.count(time, length, streams)),
        };
    }

    /// All that is wanted of this stream's content has come; [`Known`] says so from now on.
    pub(super) fn set_read(&mut self, words: &Words, known: Known) {
        let stream = match words {
            Words::V4(_) => self.v4.entries.get_mut(known.entry as usize).map(|e| &mut e.stream),
            Words::V6(_) => self.v6.entries.get_mut(known.entry as usize).map(|e| &mut e.stream),
        };
        if let Some(stream) = stream {
            *stream |= READ;
        }
    }

    /// From now on frames with these headers are of this stream, the latest of which came at `time`.
    pub(super) fn remember(&mut self, words: &Words, stream: u32, time: Nanos) {
        match words {
            Words::V4(words) => self.v4.insert(words, stream, time),
            Words::V6(words) => self.v6.insert(words, stream, time),
        }
    }

    /// The protocol of a stream's packets.
    pub(super) fn protocol(&self, stream: u32) -> Option<Protocol> {
        Some(self.streams.get(stream as usize)?.key.flow?.protocol)
    }

    /// All of them, not counted; to be given back.
    pub(super) fn lend(&mut self) -> Vec<Stream> {
        std::mem::take(&mut self.streams)
    }

    /// What was lent.
    pub(super) fn take_back(&mut self, streams: Vec<Stream>) {
        self.streams = streams;
    }

    /// All of them, counted.
    pub(super) fn finish(mut self) -> Vec<Stream> {
        self.v4.counts(&mut self.streams);
        self.v6.counts(&mut self.streams);
        self.streams.shrink_to_fit();
        self.streams
    }

    /// All of them as they are now.
    pub(super) fn so_far(&self) -> Vec<Stream> {
        let mut streams = self.streams.clone();
        self.v4.counts(&mut streams);
        self.v6.counts(&mut streams);
        streams
    }
}

impl Stream {
    fn count(&mut self, packets: u32, bytes: u64) {
        self.packets = self.packets.saturating_add(packets);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn came(&mut self, time: Nanos) {
        if time != NO_TIME {
            self.first_ns = if self.first_ns == NO_TIME { time } else { self.first_ns.min(time) };
            self.last_ns = self.last_ns.max(time);
        }
    }
}

/// All that a stream's key is made of, as it stands in a common frame: equal words, equal keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    V4([u64; 5]),
    V6([u64; 8]),
}

impl Words {
    #[inline(always)]
    pub(super) fn of(outline: &Outline<'_>, interface: u32, direction: Option<Direction>) -> Self {
        let [a, b] = outline.link;
        let place = u64::from(outline.link_rest) << 32 | u64::from(interface);
        let way = match direction {
            None => 0,
            Some(Direction::In) => 1,
            Some(Direction::Out) => 2,
        };
        let rest = u64::from(outline.ports) << 32 | u64::from(outline.ttl) << 16 | u64::from(outline.protocol) << 8 | way;
        match outline.addresses {
            Addresses::V4(ends) => Self::V4([a, b, place, rest, ends]),
            Addresses::V6([c, d, e, f]) => Self::V6([a, b, place, rest, c, d, e, f]),
        }
    }

    #[inline(always)]
    pub(super) fn look(&self) -> Look {
        match self {
            Self::V4(words) => Look { hash: hash(words), is_v6: false },
            Self::V6(words) => Look { hash: hash(words), is_v6: true },
        }
    }
}

/// Where to look for words.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    hash: u64,
    is_v6: bool,
}

/// Multiply-shift over all words at once; only the high half is good.
#[inline(always)]
fn hash<const N: usize>(words: &[u64; N]) -> u64 {
    const ODD: [u64; 8] = [
        0x9e37_79b9_7f4a_7c15,
        0xbf58_476d_1ce4_e5b9,
        0x94d0_49bb_1331_11eb,
        0xd6e8_feb8_6659_fd93,
        0xa076_1d64_78bd_642f,
        0xe703_7ed1_a0b4_28db,
        0x8ebc_6af0_9c88_c6e3,
        0x5899_65cc_7537_4cc3,
    ];
    let mut sum = 0_u64;
    for (word, odd) in words.iter().zip(ODD) {
        // The fold brings a word's high half down, which a product alone never does.
        sum = sum.wrapping_add((word ^ word >> 32).wrapping_mul(odd)).rotate_left(7);
    }
    (sum ^ sum >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// In line: comparing arrays calls a function that compares octets.
#[inline(always)]
fn is_same<const N: usize>(a: &[u64; N], b: &[u64; N]) -> bool {
    a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// Where the words of a stream stand in its table.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// A part of the hash: most others are told apart without a look at their words.
    tag: u32,
    /// Position in the entries, from 1; 0: free.
    entry: u32,
}

/// Headers that were found again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Position in the entries.
    entry: u32,
    pub(super) stream: u32,
    /// Whether all that is wanted of the stream's content has come.
    pub(super) is_read: bool,
}

/// The bit of an entry's stream that says that all that is wanted of its content has come: elsewhere it would be another look into
/// memory for each frame. Streams with such high numbers are read the whole way.
const READ: u32 = 1 << 31;

/// Words and what is counted of their frames, side by side: one look into memory for each frame, and where addresses are short, one line of a
/// cache.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Entry<const N: usize> {
    words: [u64; N],
    bytes: u64,
    /// Of its frames so far, the latest; the earliest is the stream's to know.
    last_ns: Nanos,
    /// With [`READ`].
    stream: u32,
    packets: u32,
}

impl<const N: usize> Entry<N> {
    #[inline(always)]
    fn count(&mut self, time: Nanos, length: u32, streams: &mut [Stream]) {
        self.packets = self.packets.saturating_add(1);
        self.bytes = self.bytes.saturating_add(u64::from(length));
        if time >= self.last_ns && self.last_ns != NO_TIME {
            self.last_ns = time;
        } else {
            self.out_of_order(time, streams);
        }
    }

    /// A frame that came before another one, or the first that has a time.
    #[cold]
    #[inline(never)]
    fn out_of_order(&mut self, time: Nanos, streams: &mut [Stream]) {
        if let Some(stream) = streams.get_mut((self.stream & !READ) as usize) {
            stream.came(time);
        }
        self.last_ns = self.last_ns.max(time);
    }
}

/// An open-addressed table. A chain that is too long is cut off: whoever makes words collide gets the whole way, not a slow one.
#[derive(Debug)]
struct Table<const N: usize> {
    slots: Vec<Slot>,
    entries: Vec<Entry<N>>,
}

impl<const N: usize> Default for Table<N> {
    fn default() -> Self {
        Self { slots: Vec::new(), entries: Vec::new() }
    }
}

/// Neighbours that are looked at.
const PROBES: usize = 16;

impl<const N: usize> Table<N> {
    #[inline(always)]
    fn again(&mut self, words: &[u64; N], time: Nanos, length: u32, streams: &mut [Stream]) -> Option<u32> {
        let hash = hash(words);
        let mask = self.slots.len().wrapping_sub(1);
        let (mut at, tag) = ((hash >> 32) as usize, hash as u32);
        for _ in 0..PROBES {
            let slot = self.slots.get(at & mask)?;
            if slot.entry == 0 {
                return None;
            }
            if slot.tag == tag
                && let Some(entry) = self.entries.get_mut(slot.entry as usize - 1)
                && is_same(&entry.words, words)
            {
                entry.count(time, length, streams);
                return Some(entry.stream & !READ);
            }
            at = at.wrapping_add(1);
        }
        None
    }

    /// Looks at the first two places only, and at both always: a branch that waits for the first would keep the next look from
    /// beginning.
    #[inline(always)]
    fn guess(&self, hash: u64) -> u32 {
        let mask = self.slots.len().wrapping_sub(1);
        let (at, tag) = ((hash >> 32) as usize, hash as u32);
        let slot = |n: usize| self.slots.get(at.wrapping_add(n) & mask).copied().unwrap_or_default();
        let (first, second) = (slot(0), slot(1));
        let of = |slot: Slot| if slot.tag == tag { slot.entry } else { 0 };
        of(first).max(of(second))
    }

    #[inline(always)]
    fn touch(&self, guess: u32) -> u32 {
        self.entries.get(guess.wrapping_sub(1) as usize).map_or(0, |e| e.packets)
    }

    #[inline(always)]
    fn confirm(&self, words: &[u64; N], guess: u32) -> Option<Known> {
        let entry = guess.wrapping_sub(1);
        let found = self.entries.get(entry as usize).filter(|e| is_same(&e.words, words))?;
        Some(Known { entry, stream: found.stream & !READ, is_read: found.stream & READ != 0 })
    }

    #[cold]
    fn insert(&mut self, words: &[u64; N], stream: u32, time: Nanos) {
        if stream & READ != 0 {
            return;
        }
        // A quarter full at most: of a half, a tenth of the entries stand where they are not guessed to be.
        if self.entries.len() * 4 >= self.slots.len() {
            self.grow();
        }
        let entry = u32::try_from(self.entries.len()).unwrap_or(u32::MAX).saturating_add(1);
        if self.place(hash(words), entry) {
            self.entries.push(Entry { words: *words, bytes: 0, last_ns: time, stream, packets: 0 });
        }
    }

    fn grow(&mut self) {
        let larger = (self.slots.len() * 2).max(256);
        // The old one goes first.
        self.slots = Vec::new();
        self.slots = vec![Slot::default(); larger];
        for n in 0..self.entries.len() {
            let Some(hash) = self.entries.get(n).map(|e| hash(&e.words)) else { continue };
            let entry = u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1);
            // One that finds no place keeps its counts and is read the whole way from now on.
            self.place(hash, entry);
        }
    }

    fn place(&mut self, hash: u64, entry: u32) -> bool {
        let mask = self.slots.len().wrapping_sub(1);
        for probe in 0..PROBES {
            let at = ((hash >> 32) as usize).wrapping_add(probe) & mask;
            if let Some(slot) = self.slots.get_mut(at).filter(|s| s.entry == 0) {
                *slot = Slot { tag: hash as u32, entry };
                return true;
            }
        }
        false
    }

    fn counts(&self, streams: &mut [Stream]) {
        for entry in &self.entries {
            if let Some(stream) = streams.get_mut((entry.stream & !READ) as usize).filter(|_| entry.packets > 0) {
                stream.count(entry.packets, entry.bytes);
                stream.came(entry.last_ns);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_again_while_the_table_grows() {
        let mut table = Table::<5>::default();
        let words = |n: u64| [n, n >> 3, 7, n << 40, 0x0a00_0001_0a00_0000 + n];
        for n in 0..20_000 {
            assert_eq!(table.again(&words(n), 5, 60, &mut []), None);
            table.insert(&words(n), n as u32, 4);
        }
        let found = (0..20_000).filter(|n| table.again(&words(*n), 5, 60, &mut []) == Some(*n as u32)).count();
        assert!(found > 19_900, "{found}: chains are short");
    }

    #[test]
    fn an_entry_lies_in_one_line_of_a_cache() {
        assert_eq!((size_of::<Entry<5>>(), align_of::<Entry<5>>()), (64, 64));
    }

    #[test]
    fn the_first_and_the_last_are_told_whatever_the_order() {
        let key = StreamKey { ttl: 1, ..StreamKey::default() };
        for (times, first, last) in [
            (vec![100, 50, 200, 70], 50, 200),
            (vec![100, NO_TIME, 101, 99], 99, 101),
            (vec![NO_TIME, NO_TIME, 9, 8], 8, 9),
            (vec![NO_TIME; 3], NO_TIME, NO_TIME),
        ] {
            let (mut streams, words) = (Streams::default(), Words::V4([1; 5]));
            for (n, time) in times.iter().enumerate() {
                if streams.again(&words, *time, 60).is_none() {
                    assert_eq!(n, 0);
                    let stream = streams.whole(key.clone(), 0, *time, 60);
                    streams.remember(&words, stream, *time);
                }
            }
            let so_far = streams.so_far();
            let all = streams.finish();
            let told: Vec<_> = so_far.iter().chain(&all).map(|s| (s.first_ns, s.last_ns, s.packets as usize)).collect();
            assert_eq!(told, [(first, last, times.len()); 2]);
        }
    }

    #[test]
    fn words_that_collide_are_refused_not_sought_for_long() {
        let mut table = Table::<5> { slots: vec![Slot { tag: 1, entry: 1 }; 256], entries: Vec::new() };
        assert_eq!(table.again(&[1; 5], 0, 0, &mut []), None);
        table.insert(&[1; 5], 0, 0);
        assert!(table.entries.is_empty());
    }
}
