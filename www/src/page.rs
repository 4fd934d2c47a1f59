//! The page's program: what a window runs. Small, since a person waits for it; the engine comes after it, in a module of its
//! own (`engine.rs`), and does all the work.
#![allow(unreachable_pub)] // A binary: nothing outside can reach anything.

mod app;

use hopscope_www::{host, protocol};

fn main() {
    app::start();
}
