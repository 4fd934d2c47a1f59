//! `cargo xtask captures DIR`: every capture of a collection, counted by Hopscope and by Wireshark's capinfos.
//! Knows how both are called; must not know a capture format.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cases;
use crate::sh::{files_below, find_program, say};

/// Longer than any file of the known collections takes, a debug build included.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Both count the same.
    Same,
    /// Hopscope says that it read only a part and where the damage is, or capinfos gave up: not comparable.
    Damaged,
    /// Neither reads it, or Hopscope names a format that it does not read.
    NotRead,
    /// They count differently, or Hopscope does not read what capinfos reads as pcap or pcapng.
    Differs,
    /// Hopscope did not end as a program should.
    Fault,
}

/// Whether Hopscope counts what capinfos counts, for every file that it says it reads whole, and ends well on all of them.
pub(crate) fn captures(folder: &Path) -> Result<bool> {
    if !folder.is_dir() {
        bail!("{} is no folder", folder.display());
    }
    let capinfos = find_program(&["capinfos"]).context("capinfos is missing: it comes with Wireshark (apt-get install tshark)")?;
    // The debug build: arithmetic that overflows ends it.
    let hopscope = cases::hopscope(false)?;
    let mut counts: BTreeMap<Outcome, usize> = BTreeMap::new();
    let mut packets = 0;
    for file in files_below(folder, &|p| p.file_name().is_some_and(|n| n == ".git"))? {
        let is_link = file.symlink_metadata().map(|m| m.is_symlink()).unwrap_or(true);
        if is_link || file.metadata().map(|m| m.len() == 0).unwrap_or(true) {
            continue;
        }
        let theirs = theirs(&capinfos, &file)?;
        let (outcome, why) = match ours(&hopscope, &file)? {
            Ours::Fault(what) => (Outcome::Fault, what),
            Ours::Rejected => match &theirs {
                Some((kind, n)) if *n > 0 && kind.contains("pcap") => (Outcome::Differs, format!("not read; capinfos counts {n}")),
                _ => (Outcome::NotRead, String::new()),
            },
            Ours::Read { count, is_whole } => match &theirs {
                Some((_, n)) if *n == count => {
                    packets += count;
                    (Outcome::Same, String::new())
                }
                Some((_, n)) if is_whole => (Outcome::Differs, format!("{count} packets; capinfos counts {n}")),
                _ => (Outcome::Damaged, String::new()),
            },
        };
        if outcome >= Outcome::Differs {
            say(&format!("{outcome:?}: {}: {why}", file.display()));
        }
        *counts.entry(outcome).or_default() += 1;
    }
    let count = |o| counts.get(&o).copied().unwrap_or(0);
    say(&format!(
        "{} files: {} with the same count ({packets} packets), {} damaged or beyond capinfos, {} not read, {} different, {} faults",
        counts.values().sum::<usize>(),
        count(Outcome::Same),
        count(Outcome::Damaged),
        count(Outcome::NotRead),
        count(Outcome::Differs),
        count(Outcome::Fault)
    ));
    if counts.is_empty() {
        bail!("there is no file in {}", folder.display());
    }
    Ok(count(Outcome::Differs) + count(Outcome::Fault) == 0)
}

/// The kind of file and the number of packets; `None`: capinfos does not read it, or not to its end.
fn theirs(capinfos: &Path, file: &Path) -> Result<Option<(String, u64)>> {
    let output = Command::new(capinfos).args(["-t", "-c", "-M", "-T", "-r", "-Q"]).arg(file).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut words = text.trim().rsplit('\t').map(|w| w.trim_matches('"'));
    let (count, kind) = (words.next().and_then(|w| w.parse().ok()), words.next().map(str::to_owned));
    Ok(kind.zip(count).filter(|_| output.status.success()))
}

enum Ours {
    Read { count: u64, is_whole: bool },
    Rejected,
    Fault(String),
}

fn ours(hopscope: &PathBuf, file: &Path) -> Result<Ours> {
    let mut child = Command::new(hopscope)
        .args(["analyze", "--format", "json"])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut out = child.stdout.take().context("no output")?;
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = out.read_to_end(&mut text);
        text
    });
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Ok(Ours::Fault(format!("still at it after {} s", PATIENCE.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let text = reader.join().unwrap_or_default();
    match status.code() {
        Some(2) => return Ok(Ours::Rejected),
        Some(0 | 1) => {}
        other => return Ok(Ours::Fault(format!("ended with {other:?}"))),
    }
    let Ok(report) = serde_json::from_slice::<serde_json::Value>(&text) else { return Ok(Ours::Fault("wrote no report".to_owned())) };
    let list = |name: &str| report.get(name).and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
    let is_capture = |i: &serde_json::Value| i.get("kind").is_some_and(|k| k == "capture");
    if !list("inputs").iter().any(is_capture) {
        return Ok(Ours::Rejected);
    }
    let is_whole = list("inputs").iter().all(|i| i.get("status").is_some_and(|s| s == "ok"));
    let count = list("capture_points").iter().filter_map(|c| c.get("packets").and_then(serde_json::Value::as_u64)).sum();
    Ok(Ours::Read { count, is_whole })
}
