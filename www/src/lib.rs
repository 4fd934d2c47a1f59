//! What the page and its workers have in common: how they speak to each other, and to the browser around them.
//!
//! They are two programs (`page.rs`, `engine.rs`), so that the page need not wait for the engine. The page shows and never
//! computes. Everything that touches a browser is in this package; nothing in it knows a network.

pub mod host;
pub mod protocol;
