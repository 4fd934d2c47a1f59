//! Report → string or picture. Pure functions; native and in WebAssembly the same bytes.
//! Must not infer: what a view says stands in the report.
