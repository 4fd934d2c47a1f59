//! `cargo xtask fuzz`: each fuzz target for a while.
//! Knows cargo-fuzz; the targets stand in `fuzz/`.

use anyhow::{Context, Result, bail};

use crate::sh::{Run, cargo, find_program, program, root, say, step};

/// Run every target for `seconds`. Whether none found a fault.
pub(crate) fn fuzz(seconds: u64) -> Result<bool> {
    let folder = root().join("fuzz");
    if !folder.join("Cargo.toml").is_file() {
        bail!("there is no fuzz/Cargo.toml");
    }
    if find_program(&["cargo-fuzz"]).is_none() {
        bail!("cargo-fuzz is missing: cargo install cargo-fuzz");
    }
    let nightly = program("rustc").env("RUSTUP_TOOLCHAIN", "nightly").arg("--version").succeeds();
    if !nightly {
        bail!("the nightly toolchain is missing, which the sanitizers need: rustup toolchain install nightly");
    }
    let cargo_fuzz = |arguments: &[&str]| {
        let mut command = cargo();
        command.current_dir(root()).env("RUSTUP_TOOLCHAIN", "nightly").arg("fuzz").args(arguments);
        command
    };
    let list = cargo_fuzz(&["list"]).text().context("cargo fuzz list")?;
    let mut failed = Vec::new();
    for target in list.lines() {
        let limit = format!("-max_total_time={seconds}");
        // What is found new goes to the first folder; the others are where it starts from: every real file there is.
        let found = format!("fuzz/corpus/{target}");
        std::fs::create_dir_all(root().join(&found)).context("fuzz/corpus")?;
        let dictionary = match target {
            "capture" | "container" => format!("-dict=fuzz/dictionaries/{target}.dict"),
            _ => "-dict=fuzz/dictionaries/import.dict".to_owned(),
        };
        let arguments = [
            "run",
            target,
            &found,
            "tests/formats",
            "tests/cases",
            "tests/views/fixtures",
            "--",
            &limit,
            "-rss_limit_mb=4096",
            "-timeout=20",
            "-max_len=65536",
            &dictionary,
        ];
        let result = step(&format!("fuzz {target}"), || cargo_fuzz(&arguments).run());
        if result.is_err() {
            failed.push(target);
        }
    }
    say(&format!("{} targets, {} with a fault{}", list.lines().count(), failed.len(), if failed.is_empty() { "" } else { ":" }));
    for target in &failed {
        say(&format!("  {target}: the input is in fuzz/artifacts/{target}"));
    }
    Ok(failed.is_empty())
}
