//! The engine's program: what a worker runs. Readers turn files into digests, and the analyst turns digests into the report.
//!
//! The page asks for this module once it can be used itself. The engine knows nothing of browsers, so everything of a worker's
//! that touches one is here.
#![allow(unreachable_pub)] // A binary: nothing outside can reach anything.

mod worker;

use hopscope_www::{host, protocol};
use wasm_bindgen::JsCast as _;

fn main() {
    if let Ok(scope) = js_sys::global().dyn_into::<web_sys::DedicatedWorkerGlobalScope>() {
        worker::start(scope);
    }
}
