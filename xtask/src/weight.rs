//! What the page weighs: the bytes that a browser fetches before the page answers, and all of them.
//! Knows the site's files and their bounds; must not know how they are made.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::sh::say;

/// What the page answers with: index.html names all of it but itself.
const FIRST: [&str; 5] = ["index.html", "app.js", "style.css", "icon.svg", "manifest.webmanifest"];
/// What comes after that: the engine with the examples, and what keeps all of it for the next visit.
const AFTER: [&str; 2] = ["engine.js", "sw.js"];

/// Bounds in bytes, each file by itself through `gzip -9`, as a server sends it. A little above what they were when they were set: who adds
/// more than that decides it here.
const MOST_FIRST: u64 = 380_000;
const MOST_ALL: u64 = 1_955_000;

/// Says what the site in this folder weighs.
///
/// # Errors
/// It is more than the bounds, or a file is there that nobody counts.
pub(crate) fn weigh(site: &Path) -> Result<()> {
    for entry in fs::read_dir(site).with_context(|| format!("reading the folder {}", site.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let known = FIRST.iter().chain(&AFTER).any(|n| *n == name) || name == ".nojekyll";
        ensure!(known, "{name} is in the site, and is neither among what comes first nor what comes after");
    }
    let sum = |names: &[&str]| names.iter().map(|name| gzipped(&site.join(name))).sum::<Result<u64>>();
    let (first, after) = (sum(&FIRST)?, sum(&AFTER)?);
    say(&format!("first load {first} bytes (bound {MOST_FIRST}), with the engine {} (bound {MOST_ALL}), gzip -9", first + after));
    ensure!(first <= MOST_FIRST, "the first load is {first} bytes, more than {MOST_FIRST}");
    ensure!(first + after <= MOST_ALL, "the whole is {} bytes, more than {MOST_ALL}", first + after);
    Ok(())
}

fn gzipped(path: &Path) -> Result<u64> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&bytes)?;
    Ok(encoder.finish()?.len() as u64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Bytes that no compression makes smaller.
    fn noise(length: u64) -> Vec<u8> {
        let mut state = 88_172_645_463_325_252_u64;
        let step = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        };
        (0..length).map(step).collect()
    }

    #[test]
    fn too_much_is_too_much_and_nothing_goes_uncounted() {
        let site = std::env::temp_dir().join(format!("hopscope-weight-{}", std::process::id()));
        fs::create_dir_all(&site).unwrap();
        for name in FIRST.iter().chain(&AFTER) {
            fs::write(site.join(name), "a few bytes").unwrap();
        }
        assert!(weigh(&site).is_ok());
        fs::write(site.join("app.js"), noise(MOST_FIRST)).unwrap();
        assert!(weigh(&site).unwrap_err().to_string().contains("first load"));
        fs::write(site.join("app.js"), "").unwrap();
        fs::write(site.join("engine.js"), noise(MOST_ALL)).unwrap();
        assert!(weigh(&site).unwrap_err().to_string().contains("the whole"));
        fs::write(site.join("engine.js"), "").unwrap();
        fs::write(site.join("more.js"), "").unwrap();
        assert!(weigh(&site).unwrap_err().to_string().contains("more.js"));
        fs::remove_dir_all(site).unwrap();
    }
}
