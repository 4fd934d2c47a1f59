//! Hopscope's page, and the workers behind it: one program in two roles.
//!
//! The page (`app`) shows and never computes; readers turn files into digests, and the analyst turns digests into the
//! report (`worker`). All are this one module: a window starts the page, a worker waits for work. The engine knows nothing
//! of browsers, so everything that touches one is here; nothing here knows a network.
#![allow(unreachable_pub)] // A binary: nothing outside can reach anything.

mod app;
mod host;
mod protocol;
mod worker;

use wasm_bindgen::JsCast as _;

fn main() {
    let global = js_sys::global();
    if global.has_type::<web_sys::Window>() {
        app::start();
    } else if let Ok(scope) = global.dyn_into::<web_sys::DedicatedWorkerGlobalScope>() {
        worker::start(scope);
    }
}
