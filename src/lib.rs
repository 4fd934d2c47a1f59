//! Hopscope's engine: captures and inventories in, an evidenced [`report::Report`] out.
//!
//! It touches nothing outside itself: no file system, clock, randomness, threads or globals, which is why the same
//! inputs give the same bytes natively and in WebAssembly. `ARCHITECTURE.md` has the picture.
#![warn(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod analysis;
pub mod capture;
mod carry;
pub mod columnar;
pub mod confidence;
pub mod container;
pub mod content;
pub mod correlate;
pub mod diagnose;
pub mod digest;
pub mod dissect;
pub mod estimate;
pub mod evidence;
pub mod facts;
pub mod identify;
pub mod import;
pub mod ingest;
pub mod model;
mod order;
pub mod packed;
mod phrase;
pub mod redact;
pub mod report;
pub mod rows;
pub mod sample;
pub mod sniff;
pub mod trace;
pub mod views;
