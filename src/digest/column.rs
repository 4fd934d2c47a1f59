//! A column of numbers that grows by pages, and travels as the bytes that it is made of.
//! Knows no row's meaning.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Rows in a page: 16 KiB to 128 KiB.
const PAGE: usize = 1 << 14;

/// Rows are added so many at a time; a part of a page.
pub(super) const BLOCK: usize = 64;

/// No doubling as it grows, so that peak memory is what is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Column<T> {
    pages: Vec<Vec<T>>,
}

/// A number of a column, as little-endian bytes.
pub(super) trait Number: bytemuck::NoUninit + Default {
    const SIZE: usize;
    /// Of which the bytes as they lie in memory are the little-endian ones.
    fn little(self) -> Self;
    fn take(from: &[u8]) -> Self;
}

macro_rules! number {
    ($($number:ty),*) => {$(
        impl Number for $number {
            const SIZE: usize = size_of::<$number>();

            fn little(self) -> Self {
                self.to_le()
            }

            #[inline(always)]
            fn take(from: &[u8]) -> Self {
                from.first_chunk().map_or(0, |bytes| Self::from_le_bytes(*bytes))
            }
        }
    )*};
}

number!(u8, u16, u32, u64, i64);

impl<T: Number> Column<T> {
    /// Adds rows: [`BLOCK`] of them, but for the last ones.
    pub(super) fn extend(&mut self, values: &[T]) {
        let mut rest = values;
        while !rest.is_empty() {
            if self.pages.last().is_none_or(|p| p.len() >= PAGE) {
                self.pages.push(Vec::with_capacity(PAGE));
            }
            let Some(page) = self.pages.last_mut() else { return };
            let (now, later) = rest.split_at(rest.len().min(PAGE - page.len()));
            page.extend_from_slice(now);
            rest = later;
        }
    }

    /// The value of row `row`, if there is one.
    #[inline]
    pub(super) fn get(&self, row: u32) -> Option<T> {
        let row = row as usize;
        self.pages.get(row / PAGE)?.get(row % PAGE).copied()
    }

    /// Keeps the rows whose bit is set, in place: no page is copied.
    pub(super) fn retain(&mut self, keep: &super::Bits) {
        let (mut from, mut to) = (0, 0);
        for page in 0..self.pages.len() {
            (from, to) = self.retain_page(page, keep, from, to);
        }
        self.pages.truncate(to.div_ceil(PAGE));
        if let Some(last) = self.pages.last_mut() {
            last.truncate((to - 1) % PAGE + 1);
        }
    }

    /// The same of one page: its rows from bit `from` on, to row `to` and what follows. Gives where the next page's go on.
    #[inline(never)]
    fn retain_page(&mut self, page: usize, keep: &super::Bits, mut from: usize, mut to: usize) -> (usize, usize) {
        for at in 0..self.pages.get(page).map_or(0, Vec::len) {
            if keep.get(from)
                && let Some(value) = self.pages.get(page).and_then(|p| p.get(at)).copied()
                && let Some(place) = self.pages.get_mut(to / PAGE).and_then(|p| p.get_mut(to % PAGE))
            {
                *place = value;
                to += 1;
            }
            from += 1;
        }
        (from, to)
    }

    pub(super) fn len(&self) -> usize {
        self.pages.iter().map(Vec::len).sum()
    }

    /// Its rows, page by page: every page but the last has the same length in all columns.
    pub(super) fn pages(&self) -> impl Iterator<Item = &[T]> + '_ {
        self.pages.iter().map(Vec::as_slice)
    }
}

impl<T: Number + Ord> Column<T> {
    /// Where a value stands in a column that rises.
    pub(super) fn find(&self, value: T) -> Option<u32> {
        let page = self.pages.partition_point(|p| p.last().is_some_and(|last| *last < value));
        let at = self.pages.get(page)?.binary_search(&value).ok()?;
        u32::try_from(page * PAGE + at).ok()
    }
}

impl<T: Number> Serialize for Column<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pages = serializer.serialize_seq(Some(self.pages.len()))?;
        for page in &self.pages {
            let little = cfg!(target_endian = "big").then(|| page.iter().map(|n| n.little()).collect::<Vec<T>>());
            pages.serialize_element(&Raw(bytemuck::cast_slice(little.as_deref().unwrap_or(page))))?;
        }
        pages.end()
    }
}

impl<'de, T: Number> Deserialize<'de> for Column<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Pages(PhantomData))
    }
}

/// Bytes that serde would otherwise take for a list of numbers.
struct Raw<'a>(&'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Self)
    }
}

struct Pages<T>(PhantomData<T>);

impl<'de, T: Number> Visitor<'de> for Pages<T> {
    type Value = Column<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pages of a column")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Column<T>, A::Error> {
        let mut column = Column::default();
        while let Some(Raw(bytes)) = seq.next_element()? {
            let is_after_whole_page = column.pages.last().is_none_or(|p| p.len() == PAGE);
            if !is_after_whole_page || bytes.is_empty() || bytes.len() > PAGE * T::SIZE || !bytes.len().is_multiple_of(T::SIZE) {
                return Err(A::Error::custom("a page of a column has a length that cannot be"));
            }
            column.pages.push(bytes.chunks_exact(T::SIZE).map(T::take).collect());
        }
        Ok(column)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Bits;
    use super::{Column, PAGE};

    #[test]
    fn rows_that_are_kept_close_up_and_are_found() {
        for every in [1, 2, 3, 7, 5 * PAGE as u32] {
            let mut column = Column::default();
            let values: Vec<u32> = (0..3 * PAGE as u32 + 5).map(|n| n * 2).collect();
            column.extend(&values);
            let mut keep = Bits::default();
            values.iter().for_each(|n| keep.push(n / 2 % every == every - 1));
            column.retain(&keep);
            let kept: Vec<u32> = values.iter().copied().filter(|n| n / 2 % every == every - 1).collect();
            assert!(column.pages().flatten().eq(&kept) && column.pages().all(|p| !p.is_empty()), "{every}");
            assert!(kept.iter().enumerate().all(|(n, v)| column.find(*v) == Some(n as u32)));
            assert_eq!((column.find(1), column.find(u32::MAX)), (None, None));
            let bytes = postcard::to_stdvec(&column).unwrap();
            assert!(postcard::from_bytes::<Column<u32>>(&bytes).is_ok());
            column.extend(&[1, 2, 3]);
            assert_eq!(column.len(), kept.len() + 3);
        }
    }

    #[test]
    fn a_column_travels_and_damage_is_refused() {
        let mut column = Column::default();
        let values: Vec<u32> = (0..PAGE as u32 + 7).map(|n| n.wrapping_mul(0x9e37_79b9)).collect();
        column.extend(&values);
        let bytes = postcard::to_stdvec(&column).unwrap();
        let back: Column<u32> = postcard::from_bytes(&bytes).unwrap();
        assert!((0..values.len()).all(|row| back.get(row as u32) == values.get(row).copied()) && back.len() == values.len());
        assert!(postcard::from_bytes::<Column<u64>>(&bytes).is_err(), "too long a page of another type");
        assert!(postcard::from_bytes::<Column<u32>>(&bytes[..bytes.len() - 1]).is_err(), "cut");
        let short_first: Vec<&[u8]> = vec![&[0; 4], &[0; 4]];
        assert!(postcard::from_bytes::<Column<u32>>(&postcard::to_stdvec(&short_first).unwrap()).is_err(), "a short page in the middle");
    }
}
