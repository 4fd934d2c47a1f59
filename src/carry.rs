//! Bytes that come in chunks of any size, looked at in pieces that lie whole: what is not whole yet is kept until it is.
//! Knows how many bytes are wanted; must not know what they mean.

use std::mem;

/// What one look at the bytes gave.
pub(crate) enum Step {
    /// So many bytes are dealt with. 0 only where the looker's state has changed.
    Done(usize),
    /// Nothing can be said before there are so many bytes, more than there are now.
    Need(usize),
}

/// The bytes at the end of the last chunk that nothing could be said of.
#[derive(Debug, Default)]
pub(crate) struct Carry {
    left: Vec<u8>,
    /// With fewer bytes than these nothing can be said.
    need: usize,
}

impl Carry {
    /// The next chunk: `look` is called with the first bytes not dealt with, until it needs more than there are.
    #[inline]
    pub(crate) fn push(&mut self, chunk: &[u8], mut look: impl FnMut(&[u8]) -> Step) {
        let mut input = chunk;
        while !self.left.is_empty() {
            let wanted = self.need.saturating_sub(self.left.len()).min(input.len());
            let (more, rest) = input.split_at(wanted);
            self.left.extend_from_slice(more);
            input = rest;
            if self.left.len() < self.need {
                return;
            }
            let mut whole = mem::take(&mut self.left);
            let dealt_with = self.run(&whole, &mut look);
            whole.drain(..dealt_with);
            self.left = whole;
        }
        let dealt_with = self.run(input, &mut look);
        self.left.extend_from_slice(input.get(dealt_with..).unwrap_or_default());
    }

    /// No chunk will come: `look` is called for the last time. Gives the bytes that are still left and how many were needed.
    pub(crate) fn finish(mut self, mut look: impl FnMut(&[u8]) -> Step) -> (Vec<u8>, usize) {
        let mut left = mem::take(&mut self.left);
        let dealt_with = self.run(&left, &mut look);
        left.drain(..dealt_with);
        (left, self.need)
    }

    /// The bytes of which nothing could be said so far.
    pub(crate) fn left(&self) -> &[u8] {
        &self.left
    }

    /// How many of `bytes` were dealt with; sets `need` for the rest.
    #[inline]
    fn run(&mut self, bytes: &[u8], look: &mut impl FnMut(&[u8]) -> Step) -> usize {
        let mut rest = bytes;
        loop {
            match look(rest) {
                Step::Done(len) => rest = rest.get(len..).unwrap_or_default(),
                Step::Need(len) => {
                    debug_assert!(len > rest.len(), "asks for bytes that it has");
                    self.need = len;
                    return bytes.len() - rest.len();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Carry, Step};

    /// Words of three bytes.
    fn words(chunks: &[&[u8]]) -> (Vec<Vec<u8>>, usize) {
        let (mut seen, mut carry) = (Vec::new(), Carry::default());
        for chunk in chunks {
            carry.push(chunk, |bytes| match bytes.get(..3) {
                Some(word) => {
                    seen.push(word.to_vec());
                    Step::Done(3)
                }
                None => Step::Need(3),
            });
        }
        let left = carry.left().len();
        (seen, left)
    }

    #[test]
    fn chunks_of_any_size_give_the_same_pieces() {
        let whole = words(&[b"abcdefgh"]);
        assert_eq!(whole, (vec![b"abc".to_vec(), b"def".to_vec()], 2));
        assert_eq!(words(&[b"a", b"b", b"", b"cdefg", b"h"]), whole);
        assert_eq!(words(&[b"abcd", b"efgh"]), whole);
    }
}
