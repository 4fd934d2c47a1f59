//! Sorting, sets and maps where there are few things to sort: one algorithm for all types, where the standard library's is made anew for
//! each type (five kilobytes of what a browser downloads). Same results; for what grows with the packets, use the standard library's.
//! Knows nothing of what it sorts.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Sorts as [`slice::sort_by`] does: what is equal keeps its order.
pub(crate) fn sort_by<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    if items.len() < 2 {
        return;
    }
    let mut order = permutation(items.len(), &|a, b| match (items.get(a), items.get(b)) {
        (Some(a), Some(b)) => compare(a, b),
        _ => Ordering::Equal,
    });
    arrange(&mut order, &mut |a, b| items.swap(a, b));
}

/// Sorts as [`slice::sort_by_key`] does.
pub(crate) fn sort_by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    sort_by(items, |a, b| key(a).cmp(&key(b)));
}

/// Sorts as [`slice::sort`] does.
pub(crate) fn sort<T: Ord>(items: &mut [T]) {
    sort_by(items, T::cmp);
}

/// A set, item by item: `collect` would sort them first, by an algorithm made for their type.
pub(crate) fn set<T: Ord>(items: impl Iterator<Item = T>) -> BTreeSet<T> {
    let mut set = BTreeSet::new();
    for item in items {
        set.insert(item);
    }
    set
}

/// A map, entry by entry; of several with one key, the last stays.
pub(crate) fn map<K: Ord, V>(entries: impl Iterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut map = BTreeMap::new();
    for (key, value) in entries {
        map.insert(key, value);
    }
    map
}

/// Items by the group that each is in, both by their numbers: two lists, however many groups there are.
#[derive(Debug, Default)]
pub(crate) struct Grouped {
    /// Where each group begins.
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Grouped {
    /// `of` has each item's group, of `groups` in all.
    pub(crate) fn new(groups: usize, of: impl Iterator<Item = u32> + Clone) -> Self {
        let mut starts = vec![0_u32; groups + 1];
        let mut count = 0;
        for group in of.clone() {
            count += 1;
            if let Some(size) = starts.get_mut(group as usize + 1) {
                *size += 1;
            }
        }
        let mut before = 0;
        for start in &mut starts {
            before += *start;
            *start = before;
        }
        let (mut items, mut next) = (vec![0; count], starts.clone());
        for (item, group) in (0..).zip(of) {
            let Some(next) = next.get_mut(group as usize) else { continue };
            if let Some(place) = items.get_mut(*next as usize) {
                *place = item;
            }
            *next += 1;
        }
        Self { starts, items }
    }

    /// A group's items, in their order.
    pub(crate) fn get(&self, group: u32) -> &[u32] {
        let at = group as usize;
        let range = self.starts.get(at).zip(self.starts.get(at + 1)).map(|(from, to)| *from as usize..*to as usize);
        range.and_then(|range| self.items.get(range)).unwrap_or_default()
    }
}

/// Which item comes first, second …, by a comparison of their indexes.
fn permutation(length: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..length).collect();
    order.sort_by(|a, b| compare(*a, *b));
    order
}

/// Puts the item with the index `order[i]` at `i`, by exchanges of two.
fn arrange(order: &mut [usize], swap: &mut dyn FnMut(usize, usize)) {
    for start in 0..order.len() {
        // Round the cycle that `start` is on: each place gets its item, and is marked as having it.
        let mut place = start;
        while let Some(from) = order.get_mut(place).map(|from| std::mem::replace(from, place))
            && from != start
            && from != place
        {
            swap(place, from);
            place = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_same_as_the_standard_library(items in prop::collection::vec((0_u8..9, any::<u16>()), 0..60)) {
            let (mut ours, mut theirs) = (items.clone(), items);
            sort_by_key(&mut ours, |i| i.0);
            theirs.sort_by_key(|i| i.0);
            prop_assert_eq!(&ours, &theirs);
            sort(&mut ours);
            theirs.sort();
            prop_assert_eq!(&ours, &theirs);
            prop_assert_eq!(map(ours.iter().copied()), theirs.iter().copied().collect());
            prop_assert_eq!(set(ours.into_iter()), theirs.into_iter().collect());
        }

        #[test]
        fn every_item_is_in_its_group(of in prop::collection::vec(0_u32..9, 0..60)) {
            let grouped = Grouped::new(8, of.iter().copied());
            for group in 0..9 {
                // The last one is no group.
                let expected: Vec<u32> = (0..).zip(&of).filter(|(_, g)| **g == group && group < 8).map(|x| x.0).collect();
                prop_assert_eq!(grouped.get(group), expected);
            }
        }
    }
}
