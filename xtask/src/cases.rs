//! `cargo xtask cases`: how much of the truth the reports of whole cases find, and how often they are right when they are sure.
//! Knows where cases and their scorer are; the scorer decides what a report is worth.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::calibration::calibration;
use crate::sh::{Run, cargo, find_program, root};

/// Score every case below `directory`, analysed by the program `with` or by one built here; whether each is at least `min` and their mean at least `mean`.
pub(crate) fn cases(directory: Option<&str>, json: bool, min: Option<&str>, mean: Option<&str>, with: Option<&str>) -> Result<bool> {
    let (directory, scorer) = places(directory.map(Path::new))?;
    let python = find_program(&["python3", "python"]).context("python3 is needed for the scorer")?;
    // Standard output is the scorer's alone: with --json somebody reads it.
    eprintln!("Scoring {} with {}", directory.display(), scorer.display());
    let command = with.map_or_else(|| hopscope(true), |w| Ok(PathBuf::from(w)))?;
    let mut score = Command::new(python);
    score.env("PYTHONDONTWRITEBYTECODE", "1").arg(&scorer);
    if json {
        score.arg("--json");
    }
    for (name, value) in [("--min", min), ("--mean", mean)] {
        if let Some(value) = value {
            score.args([name, value]);
        }
    }
    let status = score.arg(&directory).arg(&command).args(["analyze", "--format", "json"]).status()?;
    let calibration = calibration(&directory, &command)?;
    if json {
        eprint!("{calibration}")
    } else {
        print!("{calibration}")
    }
    Ok(status.success())
}

/// The command line's program, built.
pub(crate) fn hopscope(release: bool) -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--quiet", "--package", "hopscope-cli"]);
    if release {
        build.arg("--release");
    }
    if !build.status()?.success() {
        bail!("hopscope could not be built");
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |d| root().join(d));
    Ok(target.join(if release { "release/hopscope" } else { "debug/hopscope" }))
}

/// The folder of cases and the scorer that goes with it: a folder shared beside the checkout goes first.
fn places(given: Option<&Path>) -> Result<(PathBuf, PathBuf)> {
    let shared = root().join("../shared");
    let own = root().join("tests/cases");
    let beside = |cases: &Path| cases.canonicalize().ok().and_then(|c| Some(c.parent()?.join("score_all.py")));
    let directory = match given {
        Some(directory) => directory.to_path_buf(),
        None if shared.join("score_all.py").is_file() => shared.join("cases"),
        None => own.clone(),
    };
    let scorers = [beside(&directory), Some(shared.join("score_all.py")), Some(own.join("score_all.py"))];
    let scorer = scorers.into_iter().flatten().find(|p| p.is_file()).context("there is no score_all.py")?;
    if !directory.is_dir() {
        bail!("{} is no folder", directory.display());
    }
    Ok((directory, scorer))
}

/// The repository's own cases as one step of the tests: every one must be analysed, and well.
pub(crate) fn own_cases(min: &str, mean: &str) -> Result<()> {
    let own = root().join("tests/cases");
    let python = find_program(&["python3", "python"]).context("python3 is needed for the scorer")?;
    let command = hopscope(true)?;
    let mut score = Command::new(python);
    score.env("PYTHONDONTWRITEBYTECODE", "1").arg(own.join("score_all.py")).args(["--min", min, "--mean", mean]);
    score.arg(&own).arg(command).args(["analyze", "--format", "json"]).run()
}
