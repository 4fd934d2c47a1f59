//! `cargo xtask tidy`: what must hold of the repository's files and no compiler checks.
//! Each rule is a function from the files to complaints.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::sh::{Run, files_below, program, root, say};

/// A rule's name and what it finds wrong.
type Rule = (&'static str, fn(&Files) -> Vec<String>);

const RULES: [Rule; 7] = [
    ("every module says what it knows", modules_speak),
    ("the engine touches nothing outside itself", engine_is_closed),
    ("the engine names no web crate", engine_is_no_web_crate),
    ("links in documents lead somewhere", links_lead_somewhere),
    ("no file is large", no_large_files),
    ("locks name public registries only", locks_are_public),
    ("one version everywhere", one_version),
];

/// Apply every rule. Whether nothing was found.
pub(crate) fn tidy() -> Result<bool> {
    let files = Files::of_repository()?;
    let mut clean = true;
    for (name, rule) in RULES {
        let complaints = rule(&files);
        say(&format!("{} {name}", if complaints.is_empty() { "ok  " } else { "FAIL" }));
        for complaint in &complaints {
            say(&format!("     {complaint}"));
        }
        clean &= complaints.is_empty();
    }
    Ok(clean)
}

/// The repository's files, by path from its top folder.
#[derive(Debug)]
struct Files {
    root: PathBuf,
    paths: Vec<PathBuf>,
}

impl Files {
    /// Those that git knows or would add; without git (a release's archive), all that are not built.
    fn of_repository() -> Result<Self> {
        let root = root();
        let listed = program("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]).text();
        let paths = match listed {
            Ok(list) => list.lines().map(PathBuf::from).filter(|p| root.join(p).is_file()).collect(),
            Err(_) => {
                let built = |p: &Path| p.file_name().is_some_and(|n| n == "target" || n == "dist" || n == "node_modules" || n == ".git");
                files_below(&root, &built)?.iter().filter_map(|p| Some(p.strip_prefix(&root).ok()?.to_path_buf())).collect()
            }
        };
        Ok(Self { root, paths })
    }

    /// Path and text of those that `which` chooses; a file that is no text has none.
    fn texts(&self, which: impl Fn(&Path) -> bool) -> impl Iterator<Item = (&Path, String)> {
        self.paths.iter().filter(move |p| which(p)).filter_map(|p| Some((p.as_path(), fs::read_to_string(self.root.join(p)).ok()?)))
    }
}

fn ends(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|e| e == extension)
}

fn modules_speak(files: &Files) -> Vec<String> {
    // Attributes of the whole file, such as `#![no_main]`, may stand before.
    let opens = |text: &str| text.lines().find(|l| !l.starts_with("#![") && !l.is_empty()).is_some_and(|l| l.starts_with("//!"));
    let sources = files.texts(|p| ends(p, "rs"));
    sources.filter(|(_, text)| !opens(text)).map(|(p, _)| format!("{}: does not open with //!", p.display())).collect()
}

/// Clippy finds calls (clippy.toml); this finds imports and types too.
fn engine_is_closed(files: &Files) -> Vec<String> {
    const CLOSED: [&str; 9] = [
        "std::fs",
        "std::env",
        "std::net::Tcp",
        "std::net::Udp",
        "std::thread",
        "std::process",
        "std::time::Instant",
        "SystemTime",
        "static mut",
    ];
    let mut complaints = Vec::new();
    for (path, text) in files.texts(|p| p.starts_with("src") && ends(p, "rs")) {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            if let Some(what) = CLOSED.iter().find(|c| line.contains(*c)) {
                complaints.push(format!("{}:{}: {what}", path.display(), number + 1));
            }
        }
    }
    complaints
}

fn engine_is_no_web_crate(files: &Files) -> Vec<String> {
    const WEB: [&str; 7] = ["wasm-bindgen", "web-sys", "js-sys", "gloo", "leptos", "serde-wasm-bindgen", "getrandom"];
    let mut complaints = Vec::new();
    for (path, text) in files.texts(|p| p == Path::new("Cargo.toml")) {
        let mut section = "";
        for line in text.lines() {
            if line.starts_with('[') {
                section = line.trim();
            }
            if section == "[dependencies]" && WEB.iter().any(|w| line.starts_with(w)) {
                complaints.push(format!("{}: {line}", path.display()));
            }
        }
    }
    complaints
}

fn links_lead_somewhere(files: &Files) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, text) in files.texts(|p| ends(p, "md")) {
        let folder = files.root.join(path.parent().unwrap_or(Path::new("")));
        for target in link_targets(&text) {
            let file = target.split('#').next().unwrap_or_default();
            let is_local = !file.is_empty() && !file.contains(':');
            if is_local && !folder.join(file).exists() {
                complaints.push(format!("{}: no {target}", path.display()));
            }
        }
    }
    complaints
}

/// What stands in the parentheses of `[text](target)`, outside fenced code.
fn link_targets(text: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if !fenced {
            let after = line.split("](").skip(1);
            targets.extend(after.filter_map(|rest| rest.split([')', ' ']).next()).filter(|t| !t.is_empty()));
        }
    }
    targets
}

/// What is large is made by a command or fetched, not committed.
fn no_large_files(files: &Files) -> Vec<String> {
    const LIMIT: u64 = 1 << 20;
    let size = |p: &PathBuf| files.root.join(p).metadata().map_or(0, |m| m.len());
    files.paths.iter().filter(|p| size(p) > LIMIT).map(|p| format!("{}: {} bytes", p.display(), size(p))).collect()
}

fn locks_are_public(files: &Files) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, text) in files.texts(|p| p.ends_with("Cargo.lock") || p.ends_with("package-lock.json")) {
        for line in text.lines().map(str::trim) {
            let cargo = line.strip_prefix("source = ").is_some_and(|s| s != "\"registry+https://github.com/rust-lang/crates.io-index\"");
            if cargo || line.starts_with("\"resolved\": \"http") {
                complaints.push(format!("{}: {line}", path.display()));
            }
        }
    }
    complaints
}

fn one_version(files: &Files) -> Vec<String> {
    let ours = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    let packages = files.texts(|p| p == Path::new("pkg/package.json"));
    packages.filter(|(_, text)| !text.contains(&ours)).map(|(p, _)| format!("{}: not {ours}", p.display())).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn links_are_found_outside_code() {
        let text = "See [a](a.md#part) and [b](https://example.com/x \"title\").\n```\n[c](c.md)\n```\n";
        assert_eq!(link_targets(text), ["a.md#part", "https://example.com/x"]);
    }

    #[test]
    fn each_rule_finds_what_it_is_for() {
        let root = std::env::temp_dir().join(format!("hopscope-tidy-{}", std::process::id()));
        let bad = [
            ("src/a.rs", "use std::fs::File;\n".to_owned()),
            ("Cargo.toml", "[dependencies]\nweb-sys = \"0.3\"\n".to_owned()),
            ("README.md", "[x](missing.md)\n".to_owned()),
            ("big.bin", "x".repeat((1 << 20) + 1)),
            ("Cargo.lock", "source = \"registry+https://mirror.example/index\"\n".to_owned()),
            ("pkg/package.json", "{\"version\": \"9.9.9\"}\n".to_owned()),
        ];
        for (path, text) in &bad {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        }
        let files = Files { root: root.clone(), paths: bad.iter().map(|(p, _)| PathBuf::from(p)).collect() };
        let found: Vec<(&str, usize)> = RULES.iter().map(|(name, rule)| (*name, rule(&files).len())).collect();
        fs::remove_dir_all(&root).unwrap();
        assert!(found.iter().all(|(_, complaints)| *complaints == 1), "{found:?}");
    }
}
