//! How long it takes to follow the packets of several captures, beside reading them, and beside the least that any program needs
//! which finds the same packets at several points: a radix sort of their identities and one merge, in the same run on one core.
//! `cargo bench --bench join`, or with sizes: `-- points packets-at-each conversations`. `pkg/examples/join.rs` is the same in WebAssembly.
#![allow(clippy::disallowed_methods, clippy::print_stdout, missing_docs)]

#[path = "join/measure.rs"]
mod measure;

use std::time::Instant;

fn main() {
    let given: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let sizes = match given[..] {
        [points, packets, conversations] => vec![(points, packets, conversations)],
        _ => measure::SIZES.to_vec(),
    };
    let start = Instant::now();
    println!("{}", measure::HEAD);
    for (points, packets, conversations) in sizes {
        println!("{}", measure::row(points, packets, conversations, &|| start.elapsed().as_secs_f64()));
    }
}
