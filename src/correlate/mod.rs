//! The same packet at several points; conversations joined across address translation; clock offsets.
//! Knows packets' identities and times; must not know Kubernetes or AWS.

pub mod clocks;
pub mod flows;
mod renumbered;
pub mod reused;
pub(crate) mod summary;
