//! Report → string or picture. Pure functions; native and in WebAssembly the same bytes.
//! Must not infer: what a view says stands in the report.

pub mod collect;
pub mod csv;
pub mod escape;
pub mod filter;
pub mod graph;
pub mod html;
pub mod layout;
pub mod pairs;
pub mod svg;
pub mod text;
pub mod words;

pub use csv::{csv, write_csv};
pub use filter::{hop_filter, path_filter};
pub use graph::{dot, graphml, mermaid};
pub use html::html;
pub use layout::{Picture, Selection, layout};
pub use svg::{Theme, svg};
pub use text::text;
