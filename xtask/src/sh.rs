//! Running other programs: echoed, timed, with errors that say which program failed.
//! Knows nothing of what they do.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The repository's top folder.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Where xtask keeps what it builds on the way, below cargo's target folder so that `cargo clean` takes it along.
pub(crate) fn scratch() -> PathBuf {
    root().join("target/xtask")
}

/// A program that starts in the repository's top folder, without what `cargo run` added to the environment: it would make
/// a cargo of another toolchain use this one's compiler.
pub(crate) fn program(name: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root()).stdin(Stdio::null());
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        if ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN", "RUST_RECURSION_COUNT"].contains(&name.as_ref())
            || name.starts_with("CARGO_PKG_")
            || name.starts_with("CARGO_MANIFEST_")
        {
            command.env_remove(&key);
        }
    }
    let of_cargo = |folder: &PathBuf| folder.starts_with(root()) || folder.components().any(|c| c.as_os_str() == "toolchains");
    for key in ["LD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"] {
        if let Some(value) = std::env::var_os(key) {
            let kept = std::env::join_paths(std::env::split_paths(&value).filter(|p| !of_cargo(p))).unwrap_or_default();
            if kept.is_empty() {
                command.env_remove(key)
            } else {
                command.env(key, kept)
            };
        }
    }
    command
}

/// Cargo of the default toolchain.
pub(crate) fn cargo() -> Command {
    program("cargo")
}

/// As a person would type it.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|w| w.to_string_lossy())
        .map(|w| if w.contains(' ') { format!("'{w}'") } else { w.into_owned() })
        .collect::<Vec<_>>()
        .join(" ")
}

/// What can be done with a command.
pub(crate) trait Run {
    /// Run it, its output going where ours goes.
    fn run(&mut self) -> Result<()>;
    /// Run it, every line of its standard output shown and handed to `each`.
    fn run_reading(&mut self, each: &mut dyn FnMut(&str)) -> Result<()>;
    /// Run it without a word and give its standard output, trimmed; an error carries its standard error.
    fn text(&mut self) -> Result<String>;
    /// Whether it can be run and succeeds, without a word.
    fn succeeds(&mut self) -> bool;
}

impl Run for Command {
    fn run(&mut self) -> Result<()> {
        say(&format!("$ {}", line(self)));
        let status = self.status().with_context(|| format!("could not start {}", line(self)))?;
        if status.success() { Ok(()) } else { bail!("{} failed ({status})", line(self)) }
    }

    fn run_reading(&mut self, each: &mut dyn FnMut(&str)) -> Result<()> {
        say(&format!("$ {}", line(self)));
        let mut child = self.stdout(Stdio::piped()).spawn().with_context(|| format!("could not start {}", line(self)))?;
        if let Some(output) = child.stdout.take() {
            let mut reader = BufReader::new(output);
            let mut bytes = Vec::new();
            while reader.read_until(b'\n', &mut bytes)? > 0 {
                let text = String::from_utf8_lossy(&bytes);
                say(text.trim_end_matches(['\n', '\r']));
                each(text.trim_end());
                bytes.clear();
            }
        }
        let status = child.wait()?;
        if status.success() { Ok(()) } else { bail!("{} failed ({status})", line(self)) }
    }

    fn text(&mut self) -> Result<String> {
        let output = self.output().with_context(|| format!("could not start {}", line(self)))?;
        if !output.status.success() {
            bail!("{} failed ({}): {}", line(self), output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn succeeds(&mut self) -> bool {
        self.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    }
}

/// A line to standard output, at once; a closed pipe is no reason to stop.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Do `what`, saying that it begins, how it ended and how long it took.
pub(crate) fn step<T>(name: &str, what: impl FnOnce() -> Result<T>) -> Result<T> {
    say(&format!("── {name}"));
    let start = Instant::now();
    let result = what();
    let verdict = if result.is_ok() { "done" } else { "failed" };
    say(&format!("── {name}: {verdict} in {}", seconds(start.elapsed())));
    result
}

/// `0.4 s`, `75 s`.
pub(crate) fn seconds(time: Duration) -> String {
    let s = time.as_secs_f64();
    if s < 10.0 { format!("{s:.1} s") } else { format!("{s:.0} s") }
}

/// The first of `names` that is a program on the PATH (or, with a `/` in it, that exists).
pub(crate) fn find_program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    names.iter().find_map(|name| {
        if name.contains('/') {
            return Some(PathBuf::from(name)).filter(|p| p.is_file());
        }
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|p| p.is_file())
    })
}

/// Every file below `folder`, sorted, without the folders for which `skip` says so (it gets paths relative to `folder`).
pub(crate) fn files_below(folder: &Path, skip: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut pending = vec![folder.to_path_buf()];
    while let Some(next) = pending.pop() {
        for entry in std::fs::read_dir(&next).with_context(|| format!("could not list {}", next.display()))? {
            let path = entry?.path();
            if skip(path.strip_prefix(folder).unwrap_or(&path)) {
                continue;
            }
            if path.is_dir() { pending.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}

/// Make `folder` exist and be empty.
pub(crate) fn empty_folder(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("could not remove {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
