//! The bench `join` as WebAssembly, built as the npm package's engine is: `cargo xtask bench` runs it in Chromium.
#![allow(missing_docs)]

#[path = "../../benches/join/measure.rs"]
mod measure;

use wasm_bindgen::prelude::wasm_bindgen;

/// The table over the bench's sizes; with all three numbers given, over these alone.
#[wasm_bindgen]
#[must_use]
pub fn table(points: Option<u32>, packets: Option<u32>, conversations: Option<u32>) -> String {
    let given = points.zip(packets).zip(conversations).map(|((points, packets), conversations)| (points, packets, conversations));
    let sizes = match given {
        Some((points, packets, conversations)) => vec![(points.into(), packets.into(), conversations.into())],
        None => measure::SIZES.to_vec(),
    };
    let rows = sizes
        .into_iter()
        .map(|(points, packets, conversations)| measure::row(points, packets, conversations, &|| js_sys::Date::now() / 1000.0));
    std::iter::once(measure::HEAD.to_owned()).chain(rows).collect::<Vec<_>>().join("\n")
}
