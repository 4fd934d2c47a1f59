//! Building what people get: the site, the single HTML file, the npm package, their checksums.
//! Knows which tool makes which part; how the site is put together from Trunk's output stands in [`crate::site`].

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::sh::{self, Run, program, root, say, scratch, step};
use crate::{sbom, setup, site};

/// Where the results go.
pub(crate) fn dist_folder() -> PathBuf {
    root().join("dist")
}

/// Everything that a release has, and the checksums.
pub(crate) fn dist() -> Result<()> {
    let page = site()?;
    let package = npm()?;
    let dist = dist_folder();
    let bom = dist.join("sbom.cdx.json");
    step("bill of materials", || Ok(fs::write(&bom, sbom::sbom()?)?))?;
    step("checksums", || checksums(&dist))?;
    say("");
    for part in [page.folder, page.single_html, package, bom, dist.join("SHA256SUMS")] {
        say(&format!("{:>10}  {}", size(&part), part.strip_prefix(root()).unwrap_or(&part).display()));
    }
    Ok(())
}

/// Whether the same commit gives the same files once more, from nothing: in a clone elsewhere on this machine, with folders of its own for
/// everything that a build leaves behind.
pub(crate) fn is_reproducible() -> Result<bool> {
    let elsewhere = std::env::temp_dir().join(format!("hopscope-again-{}", std::process::id()));
    let clean = program("git").current_dir(root()).args(["status", "--porcelain"]).text()?;
    if !clean.trim().is_empty() {
        bail!("there are changes that are not committed, which a clone would not have");
    }
    program("git").args(["clone", "--quiet"]).arg(root()).arg(&elsewhere).run()?;
    let again = step("the same once more, from a clone", || {
        let mut build = program("cargo");
        build.current_dir(&elsewhere).env("CARGO_TARGET_DIR", elsewhere.join("target")).args([
            "run",
            "--quiet",
            "--package",
            "xtask",
            "--",
            "dist",
        ]);
        build.run()?;
        Ok(fs::read_to_string(elsewhere.join("dist/SHA256SUMS"))?)
    });
    let _ = fs::remove_dir_all(&elsewhere);
    let (again, here) = (again?, fs::read_to_string(dist_folder().join("SHA256SUMS"))?);
    let differ: Vec<&str> = here.lines().filter(|l| !again.contains(l)).collect();
    for line in &differ {
        say(&format!("not the same: {line}"));
    }
    let is_same = differ.is_empty() && here.lines().count() == again.lines().count();
    say(if is_same { "built twice from the same commit: the same bytes" } else { "built twice from the same commit: NOT the same bytes" });
    Ok(is_same)
}

/// The built page.
#[derive(Debug)]
pub(crate) struct Page {
    /// The static site: every path in it is relative.
    pub(crate) folder: PathBuf,
    /// The page as one file that needs no server.
    pub(crate) single_html: PathBuf,
}

/// Build the page, or find it built from the same sources.
pub(crate) fn site() -> Result<Page> {
    let page = Page { folder: dist_folder().join("site"), single_html: dist_folder().join("hopscope.html") };
    let stamp = Stamp::new(
        "site",
        &[
            ".cargo",
            "Cargo.lock",
            "Cargo.toml",
            "Trunk.toml",
            "assets",
            "src",
            "tests/cases",
            "www",
            "xtask/src/build.rs",
            "xtask/src/site.rs",
        ],
    )?;
    if stamp.is_current() && page.folder.join("index.html").is_file() && page.single_html.is_file() {
        say("── page: built from these sources already");
        return Ok(page);
    }
    let wasm = setup::wasm()?;
    setup::wasm_bindgen()?;
    setup::trunk()?;
    let path = path_with(&setup::npm_tools()?.join(".bin"))?;
    let out = scratch().join("trunk");
    step("page: trunk build --release", || {
        sh::empty_folder(&out)?;
        let from = if root().join("Trunk.toml").is_file() { root() } else { root().join("www") };
        wasm.program("trunk")
            .current_dir(from)
            .args(["build", "--release", "--offline", "--dist"])
            .arg(&out)
            .env("PATH", path)
            .env_remove("NO_COLOR") // Trunk takes NO_COLOR=1 for a flag that must be "true" or "false".
            .run()
    })?;
    step("page: site and single HTML file", || {
        sh::empty_folder(&page.folder)?;
        site::assemble(&out, &page.folder, &page.single_html)
    })?;
    stamp.set()?;
    Ok(page)
}

/// Build the npm package, or find it built from the same sources. Gives the packed tarball.
pub(crate) fn npm() -> Result<PathBuf> {
    let folder = dist_folder().join("npm");
    let tarball = folder.join(format!("hopscope-{}.tgz", env!("CARGO_PKG_VERSION")));
    let stamp = Stamp::new("npm", &["Cargo.lock", "Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "pkg", "src", "xtask/src/build.rs"])?;
    if stamp.is_current() && tarball.is_file() {
        say("── npm package: built from these sources already");
        return Ok(tarball);
    }
    let out = root().join("pkg/dist");
    bound("npm package", (&["--lib"], "hopscope_pkg.wasm"), ("web", "engine"), &out)?;
    step("npm package: pack", || {
        let pkg = root().join("pkg");
        for file in ["package.json", "README.md", "hopscope.d.ts", "index.js", "node.js"] {
            copy(&pkg.join(file), &out.join(file))?;
        }
        for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
            copy(&root().join(licence), &out.join(licence))?;
        }
        sh::empty_folder(&folder)?;
        program("npm").current_dir(&out).args(["pack", "--silent", "--ignore-scripts", "--pack-destination"]).arg(&folder).run()
    })?;
    if !tarball.is_file() {
        bail!("npm pack made no {}: do pkg/package.json and Cargo.toml have the same version?", tarball.display());
    }
    stamp.set()?;
    Ok(tarball)
}

/// Build the bench `join` for WebAssembly, as the npm package is built. Gives the folder with the module, for a page without modules.
pub(crate) fn join() -> Result<PathBuf> {
    let out = sh::scratch().join("join");
    bound("bench join", (&["--example", "join"], "examples/join.wasm"), ("no-modules", "join"), &out)?;
    Ok(out)
}

/// Part of `hopscope-pkg` as a module and the JavaScript that binds it, alone in the folder `out`. `part`: cargo's arguments and the file that they
/// give; `form`: wasm-bindgen's target and the name of what it writes.
fn bound(what: &str, part: (&[&str], &str), form: (&str, &str), out: &Path) -> Result<()> {
    let ((arguments, module), (target, name)) = (part, form);
    let wasm = setup::wasm()?;
    setup::wasm_bindgen()?;
    let wasm_opt = setup::npm_tools()?.join(".bin/wasm-opt");
    step(&format!("{what}: compile"), || {
        let mut cargo = wasm.program("cargo");
        cargo.args(["build", "--package", "hopscope-pkg"]).args(arguments);
        cargo.args(["--target", "wasm32-unknown-unknown", "--profile", "web", "--locked"]).run()
    })?;
    step(&format!("{what}: bind, optimise"), || {
        sh::empty_folder(out)?;
        let module = wasm.target_folder().join("wasm32-unknown-unknown/web").join(module);
        let mut bind = program("wasm-bindgen");
        bind.arg(&module).args(["--target", target, "--no-typescript", "--out-name", name, "--out-dir"]).arg(out).run()?;
        let engine = out.join(format!("{name}_bg.wasm"));
        program(&wasm_opt).arg("-O3").args(WASM_FEATURES).arg(&engine).arg("-o").arg(&engine).run()
    })
}

/// What every browser of the last years has and rustc may use; wasm-opt must know to keep it.
const WASM_FEATURES: [&str; 7] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-simd",
];

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("could not copy {}", from.display()))?;
    Ok(())
}

/// The PATH with `folder` in front.
fn path_with(folder: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths(std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&path)))?)
}

/// `sha256sum --check SHA256SUMS` in `dist` says whether every file is the one that was built.
fn checksums(dist: &Path) -> Result<()> {
    let list = dist.join("SHA256SUMS");
    let mut lines = String::new();
    for file in sh::files_below(dist, &|p| p == Path::new("SHA256SUMS"))? {
        let name = file.strip_prefix(dist)?.to_string_lossy().replace('\\', "/");
        lines.push_str(&format!("{}  {name}\n", sh::sha256(&fs::read(&file)?)));
    }
    Ok(fs::write(list, lines)?)
}

fn size(path: &Path) -> String {
    let bytes: u64 = if path.is_dir() {
        sh::files_below(path, &|_| false).unwrap_or_default().iter().filter_map(|f| f.metadata().ok()).map(|m| m.len()).sum()
    } else {
        path.metadata().map(|m| m.len()).unwrap_or(0)
    };
    format!("{} kB", bytes.div_ceil(1000))
}

/// Remembers from which sources something was built last, so that it is built again only when they change.
#[derive(Debug)]
struct Stamp {
    file: PathBuf,
    digest: String,
}

impl Stamp {
    fn new(name: &str, sources: &[&str]) -> Result<Self> {
        let mut digests = String::new();
        for source in sources.iter().map(|s| root().join(s)) {
            let built = |p: &Path| p.file_name().is_some_and(|n| n == "dist" || n == "target" || n == "node_modules");
            let files = if source.is_dir() { sh::files_below(&source, &built)? } else { vec![source] };
            for file in files.iter().filter(|f| f.is_file()) {
                digests.push_str(&format!("{} {}\n", file.display(), sh::sha256(&fs::read(file)?)));
            }
        }
        Ok(Self { file: scratch().join(format!("{name}.stamp")), digest: sh::sha256(digests.as_bytes()) })
    }

    fn is_current(&self) -> bool {
        fs::read_to_string(&self.file).is_ok_and(|have| have == self.digest)
    }

    fn set(&self) -> Result<()> {
        fs::create_dir_all(scratch())?;
        Ok(fs::write(&self.file, &self.digest)?)
    }
}
