//! `cargo xtask test`: everything that CI runs, in one order, with a table at the end.
//! Knows which checks there are and what each needs; what they do stands with each.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::sh::{Run, cargo, find_program, program, root, say, seconds};
use crate::{budget, build, cases, fields, limits, setup, tidy, weight};

/// The repository's own cases score at least this, each and in the mean.
const CASE_MIN: &str = "0.95";
const CASE_MEAN: &str = "0.99";

/// What a whole run writes on a fresh checkout, in GB: measured, and a little more.
const WRITES_GB: f64 = 6.0;
/// With less than this, whatever failed may have failed for that.
const FULL_GB: f64 = 0.5;

struct Step {
    name: &'static str,
    what: &'static str,
    /// Steps that must have succeeded before.
    needs: &'static [&'static str],
    run: fn(&mut Counts) -> Result<Verdict>,
}

enum Verdict {
    Done,
    /// Done as far as this machine can, or not at all, and why.
    Skipped(String),
}

/// Single tests within a step, where it tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
}

/// What needs no set-up goes first: it fails within minutes where something is wrong.
const STEPS: &[Step] = &[
    Step { name: "format", what: "rustfmt", needs: &[], run: format },
    Step { name: "tidy", what: "the repository's own rules", needs: &[], run: tidy_rules },
    Step { name: "lint", what: "clippy, native", needs: &[], run: lint },
    Step { name: "test", what: "cargo test, native", needs: &[], run: test_native },
    Step { name: "cases", what: "whole cases against their truth", needs: &[], run: own_cases },
    Step { name: "limits", what: "a hundred million lines", needs: &[], run: |_| verdict(limits::long_texts()) },
    Step { name: "fields", what: "headers as tshark reads them", needs: &[], run: |_| verdict(fields::own()) },
    Step { name: "budget", what: "instructions and growth", needs: &[], run: |_| verdict(budget::instructions()) },
    Step { name: "duckdb", what: "digests as DuckDB reads them", needs: &[], run: |_| verdict(budget::duckdb()) },
    Step { name: "licences", what: "cargo-deny", needs: &[], run: licences },
    Step { name: "wasm-target", what: "set-up", needs: &[], run: |_| setup::wasm().map(|_| Verdict::Done) },
    Step { name: "wasm-bindgen", what: "set-up", needs: &[], run: |_| setup::wasm_bindgen().map(|()| Verdict::Done) },
    Step { name: "trunk", what: "set-up", needs: &[], run: |_| setup::trunk().map(|()| Verdict::Done) },
    Step { name: "npm-tools", what: "set-up", needs: &[], run: |_| setup::npm_tools().map(|_| Verdict::Done) },
    Step { name: "chromium", what: "set-up", needs: &[], run: |_| setup::chromium().map(|_| Verdict::Done) },
    Step { name: "firefox", what: "set-up", needs: &[], run: |_| setup::firefox().map(|_| Verdict::Done) },
    Step { name: "lint-wasm", what: "clippy, WebAssembly", needs: &["wasm-target"], run: lint_wasm },
    Step {
        name: "page",
        what: "Trunk, site, single HTML file",
        needs: &["wasm-target", "wasm-bindgen", "trunk", "npm-tools"],
        run: |_| build::site().map(|_| Verdict::Done),
    },
    Step {
        name: "weight",
        what: "bytes that the page loads",
        needs: &["page"],
        run: |_| build::site().and_then(|page| weight::weigh(&page.folder)).map(|()| Verdict::Done),
    },
    Step {
        name: "npm-package",
        what: "compile, bind, pack",
        needs: &["wasm-target", "wasm-bindgen", "npm-tools"],
        run: |_| build::npm().map(|_| Verdict::Done),
    },
    Step { name: "npm-test", what: "the packed npm package in Node.js", needs: &["npm-package"], run: npm_test },
    Step { name: "e2e-chromium", what: "the page in Chromium", needs: &["page", "npm-tools", "chromium"], run: e2e_chromium },
    Step { name: "e2e-firefox", what: "the page in Firefox", needs: &["page", "npm-tools", "firefox"], run: e2e_firefox },
];

/// What a step that may find nothing to work with came to.
fn verdict(result: Result<Option<String>>) -> Result<Verdict> {
    result.map(|why_not| why_not.map_or(Verdict::Done, Verdict::Skipped))
}

/// Run all steps, or the `named` ones and what they need. Whether none failed.
pub(crate) fn test(named: &[String]) -> Result<bool> {
    let chosen = chosen(named)?;
    if let Some(free) = free_gb().filter(|free| *free < WRITES_GB && named.is_empty()) {
        say(&format!("{free:.1} GB are free on this disk; on a fresh checkout a whole run writes {WRITES_GB} GB into target/"));
    }
    let mut rows: Vec<(&Step, Row)> = Vec::new();
    let mut done: BTreeMap<&str, bool> = BTreeMap::new();
    for step in chosen {
        say(&format!("\n══ {}: {}", step.name, step.what));
        let start = Instant::now();
        let mut counts = Counts::default();
        let missing = step.needs.iter().find(|n| done.get(*n) == Some(&false));
        let result = match missing {
            Some(need) => Err(anyhow::anyhow!("needs {need}, which failed")),
            None => (step.run)(&mut counts),
        };
        let row = Row::new(result, counts, start.elapsed());
        say(&format!("══ {}: {} in {}", step.name, row.verdict, seconds(row.time)));
        done.insert(step.name, row.counts.failed == 0);
        rows.push((step, row));
    }
    say(&format!("\n{:14} {:36} {:>8} {:>8}  result", "step", "what", "tests", "time"));
    for (step, row) in &rows {
        let tests = row.counts.passed + row.counts.failed;
        let tests = if row.tells { tests.to_string() } else { String::new() };
        say(&format!("{:14} {:36} {tests:>8} {:>8}  {}", step.name, step.what, seconds(row.time), row.verdict));
    }
    let total = rows
        .iter()
        .fold(Counts::default(), |sum, (_, row)| Counts { passed: sum.passed + row.counts.passed, failed: sum.failed + row.counts.failed });
    let time = rows.iter().map(|(_, row)| row.time).sum();
    say(&format!("\nTests, and steps that tell no tests, in {}:", seconds(time)));
    say(&format!("{} passed, {} failed", total.passed, total.failed));
    if let Some(free) = free_gb().filter(|free| *free < FULL_GB && total.failed > 0) {
        say(&format!("only {free:.1} GB are free on this disk: that may be why"));
    }
    Ok(total.failed == 0)
}

/// What is free where things are built; `None`: the system does not say.
fn free_gb() -> Option<f64> {
    fs4::available_space(root()).ok().map(|bytes| bytes as f64 / 1e9)
}

/// The named steps with what they need, in the order of [`STEPS`]; all for no name.
fn chosen(named: &[String]) -> Result<Vec<&'static Step>> {
    if let Some(unknown) = named.iter().find(|n| !STEPS.iter().any(|s| s.name == n.as_str())) {
        bail!("there is no step {unknown:?}; there are {}", STEPS.iter().map(|s| s.name).collect::<Vec<_>>().join(", "));
    }
    let mut wanted: Vec<&str> = named.iter().map(String::as_str).collect();
    // Needs stand before what needs them: one pass from the end finds all.
    for step in STEPS.iter().rev() {
        if wanted.contains(&step.name) {
            wanted.extend(step.needs);
        }
    }
    Ok(STEPS.iter().filter(|s| named.is_empty() || wanted.contains(&s.name)).collect())
}

#[derive(Debug)]
struct Row {
    verdict: String,
    counts: Counts,
    /// Whether the counts are of single tests.
    tells: bool,
    time: Duration,
}

impl Row {
    fn new(result: Result<Verdict>, told: Counts, time: Duration) -> Self {
        let tells = told != Counts::default();
        let (verdict, counts) = match result {
            Ok(Verdict::Done) if tells => ("ok".to_owned(), told),
            Ok(Verdict::Done) => ("ok".to_owned(), Counts { passed: 1, failed: 0 }),
            Ok(Verdict::Skipped(why)) => (format!("skipped: {why}"), told),
            Err(_) if told.failed > 0 => (format!("FAILED: {} of its tests", told.failed), told),
            // A step may fail with no test failed: it did not compile, or died.
            Err(error) => (format!("FAILED: {error:#}"), Counts { failed: 1, ..told }),
        };
        Self { verdict, counts, tells, time }
    }
}

/// Counts that a line of `cargo test`'s or `node --test`'s output tells.
fn count(line: &str, counts: &mut Counts) {
    let number = |text: &str, word: &str| text.trim().strip_suffix(word).and_then(|n| n.trim().parse::<u64>().ok());
    if let Some(rest) = line.strip_prefix("test result: ") {
        let (_, rest) = rest.split_once(". ").unwrap_or_default();
        for part in rest.split(';') {
            counts.passed += number(part, "passed").unwrap_or(0);
            counts.failed += number(part, "failed").unwrap_or(0);
        }
    } else if let Some(rest) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")) {
        match rest.split_once(' ') {
            Some(("pass", n)) => counts.passed += n.parse().unwrap_or(0),
            Some(("fail" | "cancelled", n)) => counts.failed += n.parse().unwrap_or(0),
            _ => {}
        }
    }
}

fn counted(command: &mut Command, counts: &mut Counts) -> Result<Verdict> {
    command.run_reading(&mut |line| count(line, counts))?;
    if *counts == Counts::default() {
        bail!("no test was run");
    }
    Ok(Verdict::Done)
}

fn format(_: &mut Counts) -> Result<Verdict> {
    cargo().args(["fmt", "--all", "--check"]).run()?;
    Ok(Verdict::Done)
}

fn tidy_rules(_: &mut Counts) -> Result<Verdict> {
    if tidy::tidy()? { Ok(Verdict::Done) } else { bail!("see above") }
}

fn lint(_: &mut Counts) -> Result<Verdict> {
    cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]).run()?;
    Ok(Verdict::Done)
}

fn test_native(counts: &mut Counts) -> Result<Verdict> {
    counted(cargo().args(["test", "--workspace", "--locked", "--no-fail-fast"]), counts)
}

fn own_cases(_: &mut Counts) -> Result<Verdict> {
    let own = root().join("tests/cases");
    let any = std::fs::read_dir(&own)?.flatten().any(|e| e.path().join("truth.json").is_file());
    if !any {
        return Ok(Verdict::Skipped("tests/cases has none".to_owned()));
    }
    cases::own_cases(CASE_MIN, CASE_MEAN)?;
    Ok(Verdict::Done)
}

fn licences(_: &mut Counts) -> Result<Verdict> {
    if find_program(&["cargo-deny"]).is_none() {
        return Ok(Verdict::Skipped("cargo-deny is not installed (cargo install --locked cargo-deny)".to_owned()));
    }
    // Advisories need the network and change by the day: CI asks for them apart.
    cargo().args(["deny", "check", "bans", "licenses", "sources"]).run()?;
    Ok(Verdict::Done)
}

/// What is compiled to WebAssembly.
const WEB_PACKAGES: [&str; 6] = ["--package", "hopscope", "--package", "hopscope-www", "--package", "hopscope-pkg"];

fn lint_wasm(_: &mut Counts) -> Result<Verdict> {
    let wasm = setup::wasm()?;
    let mut command = wasm.program("cargo");
    if wasm.has_clippy() {
        command.arg("clippy").args(WEB_PACKAGES).args(["--target", "wasm32-unknown-unknown", "--locked", "--", "-D", "warnings"]).run()?;
        return Ok(Verdict::Done);
    }
    command.arg("check").args(WEB_PACKAGES).args(["--target", "wasm32-unknown-unknown", "--locked"]).run()?;
    Ok(Verdict::Skipped("checked by the compiler only: the Rust for WebAssembly on this machine has no clippy".to_owned()))
}

fn npm_test(counts: &mut Counts) -> Result<Verdict> {
    let tarball = build::npm()?;
    let hopscope = cases::hopscope(false)?;
    counted(node_tests("pkg/tests/package.test.mjs").env("HOPSCOPE_TARBALL", tarball).env("HOPSCOPE", hopscope), counts)
}

fn e2e_chromium(counts: &mut Counts) -> Result<Verdict> {
    let browser = setup::chromium()?;
    let files = ["tests/e2e/chromium.test.mjs", "tests/e2e/load.test.mjs", "tests/e2e/use.test.mjs", "tests/e2e/scale.test.mjs"];
    e2e(&files, "CHROME", &browser, counts)
}

fn e2e_firefox(counts: &mut Counts) -> Result<Verdict> {
    let browser = setup::firefox()?;
    e2e(&["tests/e2e/firefox.test.mjs"], "FIREFOX", &browser, counts)
}

fn e2e(files: &[&str], variable: &str, browser: &std::path::Path, counts: &mut Counts) -> Result<Verdict> {
    let page = build::site()?;
    let hopscope = cases::hopscope(false)?;
    // One file after the other: what is measured must not depend on what another file's browser does.
    let mut outcome = Ok(Verdict::Done);
    for file in files {
        let mut tests = node_tests(file);
        tests.env(variable, browser).env("HOPSCOPE", &hopscope).env("HOPSCOPE_SITE", &page.folder).env("HOPSCOPE_HTML", &page.single_html);
        let one = counted(&mut tests, counts);
        outcome = outcome.and(one);
    }
    outcome
}

fn node_tests(file: &str) -> Command {
    let mut command = program("node");
    command.args(["--test", "--test-reporter=spec"]).arg(root().join(file));
    command
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn counts_of(lines: &[&str]) -> Counts {
        let mut counts = Counts::default();
        lines.iter().for_each(|line| count(line, &mut counts));
        counts
    }

    #[test]
    fn tests_are_counted_as_their_runners_tell_them() {
        let cargo = [
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        ];
        assert_eq!(counts_of(&cargo), Counts { passed: 15, failed: 2 });
        assert_eq!(counts_of(&["ℹ tests 4", "ℹ pass 3", "ℹ fail 1", "ℹ cancelled 0"]), Counts { passed: 3, failed: 1 });
        assert_eq!(counts_of(&["# pass 2", "# fail 0", "passed 9"]), Counts { passed: 2, failed: 0 });
    }

    #[test]
    fn a_step_that_fails_without_a_failed_test_counts() {
        let row = Row::new(Err(anyhow::anyhow!("does not compile")), Counts { passed: 4, failed: 0 }, Duration::ZERO);
        assert_eq!(row.counts, Counts { passed: 4, failed: 1 });
    }

    #[test]
    fn a_named_step_brings_what_it_needs() {
        let names: Vec<&str> = chosen(&["npm-test".to_owned()]).unwrap().iter().map(|s| s.name).collect();
        assert_eq!(names, ["wasm-target", "wasm-bindgen", "npm-tools", "npm-package", "npm-test"]);
        assert!(chosen(&["speed".to_owned()]).is_err());
    }

    #[test]
    fn needs_stand_before_what_needs_them() {
        for (at, step) in STEPS.iter().enumerate() {
            for need in step.needs {
                assert!(STEPS.iter().position(|s| s.name == *need).is_some_and(|n| n < at), "{} needs {need}", step.name);
            }
        }
    }
}
