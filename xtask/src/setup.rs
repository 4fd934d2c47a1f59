//! What the other commands need on a machine, checked first and installed only where it is missing.
//! Knows each tool's version and how to get it; must not know what the tools are used for.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::sh::{self, Run, cargo, find_program, program, root, say, scratch, step};

/// Trunk 0.21 is the newest that this repository's Rust version compiles.
const TRUNK: &str = "0.21.14";

const WASM: &str = "wasm32-unknown-unknown";

/// The rustup toolchain that [`wasm`] makes where `rustup target add` has nothing to download.
const WEB: &str = "web";

/// Browsers compile a function well when one loop in it runs often, and then all of it: many small functions, of which few are busy, cost them
/// a small part of what one that contains them all does. So what is called once stays by itself if it needs room on the stack, as whatever
/// does much at once does, and of the rest less is inlined than LLVM would by itself (225).
const SMALL_FUNCTIONS: [&str; 2] = ["-inline-max-stacksize=128", "-inlinedefault-threshold=100"];

/// A Rust that compiles to WebAssembly.
#[derive(Clone, Debug)]
pub(crate) struct Wasm {
    /// The rustup toolchain; `None` for the default one.
    toolchain: Option<&'static str>,
}

impl Wasm {
    /// `name` (cargo, or what calls it) so that it compiles to WebAssembly. It has a target folder of its own: two
    /// compilers in one would make each other's work out of date.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = program(name);
        command.env("CARGO_TARGET_DIR", self.target_folder());
        // Vectors of 128 bits, which every browser that can start the page has: what hashes a capture's bytes is written for them.
        // The panic messages' paths would otherwise tell, and depend on, where this was built.
        let mut flags = format!("-C target-feature=+simd128 --remap-path-prefix={}=/hopscope", root().display());
        for option in SMALL_FUNCTIONS {
            flags.push_str(&format!(" -C llvm-args={option}"));
        }
        if let Some(home) = cargo_home() {
            flags.push_str(&format!(" --remap-path-prefix={}=/cargo", home.display()));
        }
        command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags);
        if let Some(toolchain) = self.toolchain {
            command.env("RUSTUP_TOOLCHAIN", toolchain);
        }
        command
    }

    /// Where its cargo puts what it builds.
    pub(crate) fn target_folder(&self) -> PathBuf {
        root().join("target/wasm")
    }

    /// Whether `cargo clippy` can check code for WebAssembly: it needs the standard library of its own compiler.
    pub(crate) fn has_clippy(&self) -> bool {
        self.program("cargo").args(["clippy", "--version"]).succeeds() && self.clippy_is_this_compilers()
    }

    fn clippy_is_this_compilers(&self) -> bool {
        let Some(toolchain) = self.toolchain else { return true };
        // rustup lends a linked toolchain the default toolchain's cargo, and with it cargo-clippy, but not a driver.
        Command::new("rustup").args(["which", "--toolchain", toolchain, "clippy-driver"]).succeeds()
    }
}

fn cargo_home() -> Option<PathBuf> {
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))
}

/// Everything, each part tried even where another fails. Whether all is there.
pub(crate) fn everything() -> Result<bool> {
    let mut complete = true;
    let mut note = |name: &str, result: Result<String>| {
        complete &= result.is_ok();
        match result {
            Ok(what) => say(&format!("ok       {name}{}{what}", if what.is_empty() { "" } else { ": " })),
            Err(error) => say(&format!("MISSING  {name}: {error:#}")),
        }
    };
    let path = |p: PathBuf| p.display().to_string();
    note("Rust for WebAssembly", wasm().map(|w| format!("{} toolchain", w.toolchain.unwrap_or("default"))));
    note("wasm-bindgen", wasm_bindgen().map(|()| String::new()));
    note("Trunk", trunk().map(|()| TRUNK.to_owned()));
    note("npm packages", npm_tools().map(path));
    note("Chromium", chromium().map(path));
    note("Firefox", firefox().map(path));
    Ok(complete)
}

/// A Rust with WebAssembly's standard library: rustup's, or else one made from Debian's packages.
pub(crate) fn wasm() -> Result<Wasm> {
    let default = Wasm { toolchain: None };
    let web = Wasm { toolchain: Some(WEB) };
    if has_std(&default) {
        return Ok(default);
    }
    if has_std(&web) {
        return Ok(web);
    }
    let added = step(&format!("set-up: rustup target add {WASM}"), || program("rustup").args(["target", "add", WASM]).run());
    if added.is_ok() && has_std(&default) {
        return Ok(default);
    }
    if find_program(&["apt-get"]).is_none() {
        bail!("no Rust for {WASM}: `rustup target add {WASM}` failed, and there is no apt-get to get Debian's");
    }
    step("set-up: Rust for WebAssembly from Debian's packages (about 2 minutes, once)", web_toolchain)?;
    if has_std(&web) { Ok(web) } else { bail!("the toolchain {WEB:?} was made, yet has no standard library for {WASM}") }
}

fn has_std(wasm: &Wasm) -> bool {
    let mut rustc = program("rustc");
    if let Some(toolchain) = wasm.toolchain {
        rustc.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    let Ok(folder) = rustc.args(["--print", "target-libdir", "--target", WASM]).text() else { return false };
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|e| e.file_name().to_string_lossy().starts_with("libstd-"))
}

/// Debian's rustc-web comes with the standard library's source, not with the library for wasm32: build it, and put it
/// where that compiler looks.
fn web_toolchain() -> Result<()> {
    let target_rustlib = Path::new("/usr/lib/rustlib");
    if !Path::new("/usr/bin/rustc").is_file() || !target_rustlib.join("src").exists() {
        apt_install(&["rustc-web", "rust-web-src"])?;
    }
    let sysroot = program("rustc").args(["--print", "sysroot"]).text()?;
    let host = program("rustc").arg("-vV").text()?;
    let host = host.lines().find_map(|l| l.strip_prefix("host: ")).context("rustc -vV names no host")?.to_owned();
    let lld = PathBuf::from(sysroot).join("lib/rustlib").join(&host).join("bin/rust-lld");
    if !lld.is_file() {
        bail!("the default toolchain has no {}", lld.display());
    }
    let folder = scratch().join("std");
    std::fs::create_dir_all(folder.join("src"))?;
    std::fs::write(folder.join("Cargo.toml"), "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n")?;
    std::fs::write(folder.join("src/lib.rs"), "")?;
    cargo()
        .current_dir(&folder)
        .args(["build", "--quiet", "--release", "--target", WASM, "-Zbuild-std=std,panic_abort,panic_unwind,proc_macro"])
        .env("RUSTC", "/usr/bin/rustc")
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-Cembed-bitcode=yes")
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &lld)
        .run()?;
    let libraries = sh::files_below(&folder.join("target").join(WASM).join("release/deps"), &|_| false)?;
    let libraries = libraries.iter().filter(|p| p.extension().is_some_and(|e| e == "rlib")).filter(|p| !is_named(p, "libempty-"));
    let to = target_rustlib.join(WASM).join("lib");
    let bin = target_rustlib.join(&host).join("bin");
    as_root("mkdir").arg("-p").args([&to, &bin]).run()?;
    as_root("cp").args(libraries).arg(&to).run()?;
    as_root("ln").args(["-sf"]).args([&lld, &bin.join("rust-lld")]).run()?;
    program("rustup").args(["toolchain", "link", WEB, "/usr"]).run()
}

fn is_named(path: &Path, prefix: &str) -> bool {
    path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(prefix))
}

/// wasm-bindgen's command, which must have exactly the library's version.
pub(crate) fn wasm_bindgen() -> Result<()> {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).context("could not read Cargo.lock")?;
    let version = locked_version(&lock, "wasm-bindgen").context("Cargo.lock names no wasm-bindgen")?;
    // Not --locked: that release's own lock names a version that has since been withdrawn.
    cargo_tool("wasm-bindgen", "wasm-bindgen-cli", version, &[], "about 3 minutes")
}

/// Trunk, which builds the page.
pub(crate) fn trunk() -> Result<()> {
    cargo_tool("trunk", "trunk", TRUNK, &["--locked"], "about 6 minutes")
}

fn cargo_tool(command: &str, package: &str, version: &str, flags: &[&str], how_long: &str) -> Result<()> {
    if program(command).arg("--version").text().is_ok_and(|text| text.split_whitespace().any(|word| word == version)) {
        return Ok(());
    }
    step(&format!("set-up: {package} {version} ({how_long}, once)"), || {
        // Compiled to be there soon: neither is what a build waits for.
        cargo()
            .args(["install", package, "--version", version])
            .args(flags)
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .env("CARGO_TARGET_DIR", scratch().join("install"))
            .run()
    })
}

/// The version that a Cargo.lock gives a package.
fn locked_version<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|l| *l != name).skip(1);
    lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')
}

/// DuckDB from PyPI; what of it is used has been there since long before.
const DUCKDB: &str = "duckdb>=1.1";

/// A Python that can import DuckDB.
#[derive(Debug)]
pub(crate) struct Python {
    program: PathBuf,
    /// Where DuckDB is, if it is not among that Python's own packages.
    packages: Option<PathBuf>,
}

impl Python {
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(packages) = &self.packages {
            command.env("PYTHONPATH", packages);
        }
        command
    }

    fn has_duckdb(&self) -> bool {
        self.command().args(["-c", "import duckdb"]).succeeds()
    }
}

/// Python with DuckDB, which is put beside what else xtask builds: nobody's Python is changed.
pub(crate) fn python_with_duckdb() -> Result<Python> {
    let own = Python { program: find_program(&["python3", "python"]).context("python3 is not installed")?, packages: None };
    if own.has_duckdb() {
        return Ok(own);
    }
    let packages = scratch().join("python");
    let with = Python { packages: Some(packages.clone()), ..own };
    if !with.has_duckdb() {
        step("set-up: DuckDB from PyPI", || {
            let mut pip = program(&with.program);
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]).arg(&packages).arg(DUCKDB).run()
        })?;
    }
    if with.has_duckdb() { Ok(with) } else { bail!("DuckDB was installed, yet {} cannot import it", with.program.display()) }
}

/// The npm packages that `tests/e2e/package-lock.json` pins: wasm-opt and the browsers' drivers. Gives their folder.
pub(crate) fn npm_tools() -> Result<PathBuf> {
    if find_program(&["node"]).is_none() || find_program(&["npm"]).is_none() {
        bail!("node and npm are needed (Node.js 20 or newer: https://nodejs.org)");
    }
    let folder = root().join("tests/e2e");
    let modules = folder.join("node_modules");
    let lock = std::fs::read(folder.join("package-lock.json")).context("could not read tests/e2e/package-lock.json")?;
    let stamp = modules.join(".installed-from");
    let wanted = sh::sha256(&lock);
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(modules);
    }
    step("set-up: npm packages for wasm-opt and the browser tests", || {
        program("npm").current_dir(&folder).args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).run()?;
        Ok(std::fs::write(&stamp, wanted)?)
    })?;
    Ok(modules)
}

/// A Chromium: `$CHROME`, or one on the PATH, or Debian's.
pub(crate) fn chromium() -> Result<PathBuf> {
    let names = [
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
        "chrome",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
    ];
    browser("CHROME", &names, "chromium")
}

/// A Firefox: `$FIREFOX`, or one on the PATH, or Debian's.
pub(crate) fn firefox() -> Result<PathBuf> {
    browser("FIREFOX", &["firefox-esr", "firefox", "/Applications/Firefox.app/Contents/MacOS/firefox"], "firefox-esr")
}

fn browser(variable: &str, names: &[&str], package: &str) -> Result<PathBuf> {
    if let Some(given) = std::env::var_os(variable) {
        let path = PathBuf::from(given);
        return if path.is_file() { Ok(path) } else { bail!("${variable} is {}, which is no file", path.display()) };
    }
    if let Some(path) = find_program(names) {
        return Ok(path);
    }
    step(&format!("set-up: {package}"), || apt_install(&[package]))?;
    find_program(names).with_context(|| format!("{package} was installed, yet none of {names:?} is on the PATH; set ${variable}"))
}

fn apt_install(packages: &[&str]) -> Result<()> {
    if find_program(&["apt-get"]).is_none() {
        bail!("{packages:?} cannot be installed: there is no apt-get");
    }
    let get = || {
        let mut command = as_root("apt-get");
        // Another apt may be at work: wait for it.
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-o", "DPkg::Lock::Timeout=300", "-qq", "-y"]);
        command
    };
    let install = || get().args(["install", "--no-install-recommends"]).args(packages).run();
    // The package lists are often missing from a container and seldom out of date elsewhere.
    install().or_else(|_| {
        get().arg("update").run()?;
        install()
    })
}

/// The program as root: directly when we are, through sudo when it asks for no password.
fn as_root(name: &str) -> Command {
    let is_root = program("id").arg("-u").text().is_ok_and(|id| id == "0");
    if is_root {
        return program(name);
    }
    let mut command = program("sudo");
    command.args(["-n", name]);
    command
}

#[cfg(test)]
mod tests {
    use super::locked_version;

    #[test]
    fn the_lock_tells_the_exact_package() {
        let lock = "[[package]]\nname = \"wasm-bindgen-macro\"\nversion = \"9.9.9\"\n\n[[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\nsource = \"x\"\n";
        assert_eq!(locked_version(lock, "wasm-bindgen"), Some("0.2.130"));
        assert_eq!(locked_version(lock, "wasm"), None);
    }
}
