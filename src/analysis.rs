//! The whole road: inputs, read in any order, → [`Report`].
//! Knows the order of the stages; each stage's knowledge stays in its own module.

use crate::ingest::Ingested;
use crate::report::Report;

/// Everything that the inputs show, as one report. The order of `inputs` does not matter.
#[must_use]
pub fn analyze(inputs: &[Ingested]) -> Report {
    let _ = inputs;
    Report::default()
}
