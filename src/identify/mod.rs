//! Who owns each address, and where each capture was taken.
//! Knows the inventories' facts and the digests' headers; must not follow a conversation from point to point.

pub mod answers;
mod bridges;
pub mod inventory;
pub mod place;
pub mod resolved;
mod rules;
mod unlisted;
mod ways;
