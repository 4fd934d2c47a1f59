//! Fuzzing without a fuzzer: what `fuzz/` does with every target, over a fixed number of mutations of the files kept here, always the same.
//! The real fuzzer goes further and needs nightly; this finds on any machine what breaks within a few thousand tries.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../fuzz/lib.rs"]
mod targets;

use std::path::{Path, PathBuf};

/// Larger files are cut: what is behind is more of the same.
const LONGEST: usize = 16 << 10;

/// xorshift64*: the same numbers everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

/// What the mutations begin with: a real file of every format, and what a fuzzer once broke something with.
fn seeds(folders: &[&str]) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    folders.iter().for_each(|f| walk(&root.join(f), &mut files));
    files.retain(|f| f.extension().is_none_or(|e| e != "tsv" && e != "sh"));
    files.sort();
    let seed = |f: &PathBuf| {
        let mut bytes = std::fs::read(f).unwrap();
        bytes.truncate(LONGEST);
        bytes
    };
    files.iter().map(seed).filter(|b| !b.is_empty()).collect()
}

/// Words of `fuzz/dictionaries/import.dict`, but for those that are written as octets.
fn words() -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/dictionaries/import.dict")).unwrap();
    let words = text.lines().filter_map(|l| l.split_once('"')?.1.strip_suffix('"')).map(|w| w.replace("\\\"", "\""));
    words.filter(|w| !w.contains('\\')).map(String::into_bytes).collect()
}

/// One to four changes as fuzzers make them.
fn mutate(random: &mut Random, seed: &[u8], others: &[Vec<u8>], words: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        // Headers stand at the front: half of all changes are made there.
        let reach = if random.below(2) == 0 { bytes.len().min(256) } else { bytes.len() };
        let at = random.below(reach);
        match random.below(8) {
            0 => bytes.get_mut(at).into_iter().for_each(|b| *b ^= 1 << random.below(8)),
            1 => bytes.get_mut(at).into_iter().for_each(|b| *b = [0, 1, 0x7f, 0x80, 0xff][random.below(5)]),
            2 => {
                let number: [u8; 4] = [u32::MAX, 0x8000_0000, 0x7fff_ffff, 0, 1, 65_536][random.below(6)].to_le_bytes();
                bytes.iter_mut().skip(at).zip(number).for_each(|(b, n)| *b = n);
            }
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..(at + 1 + random.below(16)).min(bytes.len()).max(at))),
            5 => {
                let piece = bytes[at..(at + 64).min(bytes.len())].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            6 if !words.is_empty() => drop(bytes.splice(at..at, words[random.below(words.len())].iter().copied())),
            _ => {
                let other = &others[random.below(others.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[random.below(other.len())..]);
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

/// Each seed as it is, and so many mutations of them all; what breaks is shown so that it can be kept.
fn run(name: &str, folders: &[&str], count: usize, target: fn(&[u8])) {
    let (seeds, words) = (seeds(folders), words());
    assert!(seeds.len() >= 9 && words.len() > 10, "{} seeds, {} words", seeds.len(), words.len());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mutations = (0..count).map(|n| mutate(&mut random, &seeds[n % seeds.len()], &seeds, &words)).collect::<Vec<_>>();
    for bytes in seeds.iter().chain(&mutations) {
        if std::panic::catch_unwind(|| target(bytes)).is_err() {
            let kept = std::env::temp_dir().join(format!("hopscope-{name}-broken"));
            std::fs::write(&kept, bytes).unwrap();
            panic!("the {name} target broke; the bytes are in {}", kept.display());
        }
    }
    let changed = mutations.iter().filter(|m| !seeds.contains(m)).count();
    assert!(changed * 10 > count * 9, "only {changed} of {count} mutations changed anything");
}

#[test]
fn captures() {
    run("capture", &["tests/formats/captures/tcpdump-4.99.3", "tests/formats/captures/wireshark-4.0.17"], 1500, targets::capture);
}

#[test]
fn containers() {
    run("container", &["tests/formats/captures/archives"], 600, targets::container);
}

#[test]
fn inventories() {
    run("import", &["tests/formats"], 1500, targets::import);
}

#[test]
fn the_whole_road() {
    run("pipeline", &["tests/formats", "tests/cases/seed-icmp-1/inputs"], 300, targets::pipeline);
}

/// Each seed is a list of changes to a digest, so that any bytes will do.
#[test]
fn digests() {
    run("digest", &["tests/formats/captures/wireshark-4.0.17", "tests/formats/inventory/iproute2"], 400, targets::digest);
}

#[test]
fn saved_reports() {
    run("report", &["tests/views/fixtures", "tests/formats/inventory/awscli"], 60, targets::report);
    // What is cut is no report: whole ones, with other names in them.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/views/fixtures");
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for (from, to) in [
            ("\"", "\""),
            ("pod:", "unknown:"),
            ("/eth0", ""),
            ("10.", "\\u202e"),
            ("1", "0"),
            ("p1", ""),
            ("node", "vpc"),
            ("if:", "if:/"),
        ] {
            targets::report(text.replace(from, to).as_bytes());
        }
    }
}
