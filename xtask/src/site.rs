//! Trunk's output → the site's files and the single-file page.
//!
//! Knows how the page is packed; must not know what it does. The page and the engine, which its workers run, are a module with
//! `no-modules` glue each, embedded in a script each, because
//! - a person waits for the page only: the engine's script is asked for when the page can be used;
//! - the page's policy says `connect-src 'none'`, which is the promise that no data leaves, and which also forbids
//!   fetching a module;
//! - workers keep to that policy only when they start from a Blob URL, so their glue must be at hand as text;
//! - the same files then work on GitHub Pages, installed as an app, and from `file://`.
//!
//! Output is a function of the input: the same build gives the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

/// The examples that the page offers: name in the page, case in `tests/cases`.
const EXAMPLES: [(&str, &str); 3] = [("pod-to-pod", "seed-icmp-1"), ("load-balancer", "seed-lb-1"), ("loss", "drop-midway-1")];

/// What more of them save is less than a thousandth.
const ZOPFLI_ITERATIONS: NonZeroU64 = NonZeroU64::new(5).unwrap();

/// Writes the site into `out_site` and the single-file page to `out_single_html`, from what Trunk left in `trunk_dist`.
///
/// The examples come from `tests/cases` beside the workspace's `Cargo.toml`; a case that is not there is an error.
///
/// # Errors
/// A file is missing, not UTF-8, or cannot be written; the message names it.
pub(crate) fn assemble(trunk_dist: &Path, out_site: &Path, out_single_html: &Path) -> anyhow::Result<()> {
    let parts = Parts::read(trunk_dist)?;

    fs::create_dir_all(out_site).with_context(|| format!("creating {}", out_site.display()))?;
    let build = parts.build();
    let write = |name: &str, text: &str| fs::write(out_site.join(name), text).with_context(|| format!("writing {name}"));
    // The build in the address: no cache may give the page the engine of another one.
    write("app.js", &parts.program(&build, Some(&format!("engine.js?{build}")))?)?;
    write("engine.js", &parts.engine(&build)?)?;
    write("style.css", &parts.style)?;
    write("icon.svg", &parts.icon)?;
    write("manifest.webmanifest", &parts.manifest)?;
    write("sw.js", &parts.service_worker.replace("@build@", &build))?;
    let head = "<link rel=\"stylesheet\" href=\"style.css\">\n\
         <link rel=\"icon\" type=\"image/svg+xml\" href=\"icon.svg\">\n\
         <link rel=\"manifest\" href=\"manifest.webmanifest\">";
    write("index.html", &parts.page(&policy("'self'", "'self'"), head, "<script src=\"app.js\"></script>")?)?;
    // GitHub Pages would otherwise leave out files that begin with an underscore and run Jekyll over the rest.
    write(".nojekyll", "")?;

    let inline = |script: String| format!("\n{}\n", script.replace("</script", "<\\/script").replace("<!--", "<\\!--"));
    let (program, engine) = (inline(parts.program(&build, None)?), inline(parts.engine(&build)?));
    let style = format!("\n{}\n", parts.style);
    ensure!(!style.contains("</style"), "style.css must not close its own element");
    let icon = format!("<link rel=\"icon\" href=\"data:image/svg+xml;base64,{}\">", BASE64.encode(&parts.icon));
    let single = parts.page(
        &policy(&format!("{} {}", source_hash(&program), source_hash(&engine)), &source_hash(&style)),
        &format!("<style>{style}</style>\n{icon}"),
        &format!("<script>{program}</script>\n<script>{engine}</script>"),
    )?;
    if let Some(folder) = out_single_html.parent() {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    fs::write(out_single_html, single).with_context(|| format!("writing {}", out_single_html.display()))
}

/// The page's Content-Security-Policy. `script` and `style` are what each may come from: `'self'` or hashes.
///
/// `worker-src blob:` is for the program's workers, `'self'` for the service worker; `img-src blob:` for pictures on
/// their way to a download. Nothing names a network.
fn policy(script: &str, style: &str) -> String {
    format!(
        "default-src 'none'; script-src {script} 'wasm-unsafe-eval'; style-src {style}; img-src 'self' data: blob:; \
         worker-src 'self' blob:; manifest-src 'self'; connect-src 'none'; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types hopscope"
    )
}

/// A CSP source expression for exactly this inline text.
fn source_hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64.encode(Sha256::digest(text.as_bytes())))
}

/// What Trunk makes of a program: wasm-bindgen's glue and the module.
struct Program {
    glue: String,
    module: Vec<u8>,
}

impl Program {
    fn read(dist: &Path, name: &str) -> anyhow::Result<Self> {
        let of = |ending: &str| only(dist, |file| file.starts_with(name) && file.ends_with(ending));
        let (glue, module) = (of(".js")?, of(".wasm")?);
        let glue = fs::read_to_string(&glue).with_context(|| format!("reading {}", glue.display()))?;
        ensure!(glue.contains("wasm_bindgen"), "{name}: the glue is not wasm-bindgen's no-modules output");
        Ok(Self { glue, module: fs::read(&module).with_context(|| format!("reading {}", module.display()))? })
    }

    /// A JavaScript function of this name that gives what the glue defines.
    fn function(&self, name: &str) -> String {
        format!("function {name}() {{\n{}\nreturn wasm_bindgen;\n}}\n", self.glue)
    }
}

/// What the page is packed from.
struct Parts {
    index: String,
    page: Program,
    engine: Program,
    boot: String,
    style: String,
    icon: String,
    manifest: String,
    service_worker: String,
    /// Name → packed files.
    examples: BTreeMap<&'static str, String>,
}

impl Parts {
    fn read(dist: &Path) -> anyhow::Result<Self> {
        let text = |name: &str| fs::read_to_string(dist.join(name)).with_context(|| format!("reading {}", dist.join(name).display()));
        let mut examples = BTreeMap::new();
        for (name, case) in EXAMPLES {
            examples.insert(name, pack(&example(case)?)?);
        }
        Ok(Self {
            index: text("index.html")?,
            page: Program::read(dist, "hopscope-page")?,
            engine: Program::read(dist, "hopscope-engine")?,
            boot: text("boot.js")?,
            style: text("style.css")?,
            icon: text("icon.svg")?,
            manifest: text("manifest.webmanifest")?,
            service_worker: text("sw.js")?,
            examples,
        })
    }

    /// Sixteen hexadecimal digits that change with anything that is served.
    fn build(&self) -> String {
        let mut hash = Sha256::new();
        let (page, engine) = (&self.page.glue, &self.engine.glue);
        for text in [&self.index, page, engine, &self.boot, &self.style, &self.icon, &self.manifest, &self.service_worker] {
            hash.update(text.as_bytes());
            hash.update([0]);
        }
        hash.update(&self.page.module);
        hash.update(&self.engine.module);
        for packed in self.examples.values() {
            hash.update(packed.as_bytes());
        }
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The page's program as one classic script. `engine` is the address of the engine's, unless that stands in the page.
    fn program(&self, build: &str, engine: Option<&str>) -> anyhow::Result<String> {
        let engine = engine.map_or("null".to_owned(), |address| format!("'{address}'"));
        Ok(format!(
            "{}const hopscopeData = {{\n  build: '{build}',\n  engine: {engine},\n  module: '{}',\n}};\n{}",
            self.page.function("hopscopePageGlue"),
            pack(&self.page.module)?,
            self.boot,
        ))
    }

    /// The engine's program, and the examples, as one classic script.
    fn engine(&self, build: &str) -> anyhow::Result<String> {
        let mut examples = String::new();
        for (name, packed) in &self.examples {
            examples.push_str(&format!("    '{name}': '{packed}',\n"));
        }
        Ok(format!(
            "// The engine: boot.js makes workers of it.\n{}self.hopscopeEngine = {{\n  build: '{build}',\n  glue: hopscopeEngineGlue,\n  \
             module: '{}',\n  examples: {{\n{examples}  }},\n}};\n",
            self.engine.function("hopscopeEngineGlue"),
            pack(&self.engine.module)?,
        ))
    }

    fn page(&self, policy: &str, head: &str, script: &str) -> anyhow::Result<String> {
        let meta = format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">");
        let mut page = self.index.clone();
        for (marker, text) in [("policy", meta.as_str()), ("head", head), ("script", script)] {
            let open = format!("<!-- hopscope:{marker}");
            let start = page.find(&open).with_context(|| format!("index.html has no marker {open}"))?;
            let rest = page.get(start..).unwrap_or_default();
            let end = start + rest.find("-->").context("an unclosed comment in index.html")? + "-->".len();
            page.replace_range(start..end, text);
        }
        Ok(page)
    }
}

/// gzip, then base64: browsers open both themselves, and base64 of gzip is smaller than base64 that a server compresses. Zopfli searches for
/// what other compressors guess, which saves a twenty-fifth of what everybody who opens the page waits for.
fn pack(bytes: &[u8]) -> anyhow::Result<String> {
    let options = zopfli::Options { iteration_count: ZOPFLI_ITERATIONS, ..zopfli::Options::default() };
    let mut packed = Vec::new();
    zopfli::compress(options, zopfli::Format::Gzip, bytes, &mut packed)?;
    Ok(BASE64.encode(packed))
}

/// A case's inputs as JSON: path → base64.
fn example(case: &str) -> anyhow::Result<Vec<u8>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent folder")?;
    let root = workspace.join("tests/cases").join(case).join("inputs");
    let mut files = Vec::new();
    walk(&root, &mut files)?;
    ensure!(!files.is_empty(), "{} holds no files", root.display());
    files.sort();
    let mut entries = Vec::new();
    for path in files {
        let name = path.strip_prefix(&root)?.components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
        ensure!(!name.contains(['"', '\\']), "{name}: this name needs escaping");
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        entries.push(format!("\"{name}\":\"{}\"", BASE64.encode(bytes)));
    }
    Ok(format!("{{{}}}", entries.join(",")).into_bytes())
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading the folder {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() { walk(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

/// The one file of `dist` whose name fits.
fn only(dist: &Path, fits: impl Fn(&str) -> bool) -> anyhow::Result<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dist).with_context(|| format!("reading the folder {}", dist.display()))? {
        let entry = entry?;
        if fits(&entry.file_name().to_string_lossy()) {
            found.push(entry.path());
        }
    }
    match found.as_slice() {
        [path] => Ok(path.clone()),
        [] => bail!("{} holds no such file: did Trunk build the page?", dist.display()),
        several => bail!("{} holds several builds ({}): remove it and build again", dist.display(), several.len()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parts() -> Parts {
        let www = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("www");
        let text = |name: &str| fs::read_to_string(www.join(name)).unwrap();
        Parts {
            index: text("index.html"),
            page: Program { glue: "let wasm_bindgen = 0; // </script> <!-- in the glue".to_owned(), module: b"\0asm".to_vec() },
            engine: Program { glue: "let wasm_bindgen = 1; // </script> <!-- in the glue".to_owned(), module: b"\0asm1".to_vec() },
            boot: text("boot.js"),
            style: text("style.css"),
            icon: text("icon.svg"),
            manifest: text("manifest.webmanifest"),
            service_worker: text("sw.js"),
            examples: BTreeMap::from([("pod-to-pod", pack(b"{}").unwrap())]),
        }
    }

    fn assembled() -> (PathBuf, String, String) {
        // One folder for each process and thread: tests run side by side.
        let name = format!("hopscope-site-{}-{:?}", std::process::id(), std::thread::current().id());
        let folder = std::env::temp_dir().join(name);
        let (dist, site) = (folder.join("trunk"), folder.join("site"));
        fs::create_dir_all(&dist).unwrap();
        let parts = parts();
        for (file, text) in [
            ("index.html", &parts.index),
            ("hopscope-page-1.js", &parts.page.glue),
            ("hopscope-engine.js", &parts.engine.glue),
            ("boot.js", &parts.boot),
            ("style.css", &parts.style),
            ("icon.svg", &parts.icon),
            ("manifest.webmanifest", &parts.manifest),
            ("sw.js", &parts.service_worker),
        ] {
            fs::write(dist.join(file), text).unwrap();
        }
        fs::write(dist.join("hopscope-page-1_bg.wasm"), &parts.page.module).unwrap();
        fs::write(dist.join("hopscope-engine_bg.wasm"), &parts.engine.module).unwrap();
        assemble(&dist, &site, &folder.join("hopscope.html")).unwrap();
        let index = fs::read_to_string(site.join("index.html")).unwrap();
        let single = fs::read_to_string(folder.join("hopscope.html")).unwrap();
        (folder, index, single)
    }

    #[test]
    fn the_policy_comes_before_all_that_it_governs_and_lets_nothing_out() {
        let (folder, index, single) = assembled();
        for page in [&index, &single] {
            let policy = page.find("http-equiv=\"Content-Security-Policy\"").unwrap();
            for governed in ["<script", "<link", "<style", "<img"] {
                assert!(page.find(governed).is_none_or(|at| at > policy), "{governed} stands before the policy");
            }
            assert!(page.contains("connect-src 'none'"));
            assert!(!page.contains("'unsafe-inline'") && !page.contains("'unsafe-eval'"));
            assert!(!page.contains("hopscope:"), "a marker is left");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_single_page_allows_exactly_its_own_script_and_style() {
        let (folder, _, single) = assembled();
        let inside = |open: &str, close: &str| -> Vec<String> {
            single.split(open).skip(1).map(|rest| rest[..rest.find(close).unwrap()].to_owned()).collect()
        };
        let scripts: Vec<String> = inside("<script>", "</script>").iter().map(|s| source_hash(s)).collect();
        assert_eq!(scripts.len(), 2);
        assert!(single.contains(&format!("script-src {} 'wasm-unsafe-eval'", scripts.join(" "))));
        let styles = inside("<style>", "</style>");
        assert_eq!(styles.len(), 1);
        assert!(single.contains(&format!("style-src {};", source_hash(&styles[0]))));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_page_begins_without_the_engine_and_asks_for_that_of_its_own_build() {
        let (folder, index, _) = assembled();
        let app = fs::read_to_string(folder.join("site/app.js")).unwrap();
        let (_, rest) = app.split_once("build: '").unwrap();
        let (build, _) = rest.split_once('\'').unwrap();
        assert_eq!(build.len(), 16);
        assert!(!index.contains("engine.js"), "the page waits for nothing but its own program");
        assert!(app.contains(&format!("engine: 'engine.js?{build}'")));
        assert!(!app.contains(&pack(&parts().engine.module).unwrap()), "the engine is in the page's program");
        assert!(fs::read_to_string(folder.join("site/engine.js")).unwrap().contains(&format!("build: '{build}'")));
        assert!(fs::read_to_string(folder.join("site/sw.js")).unwrap().contains(&format!("'engine.js?{build}'")));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn another_module_is_another_build() {
        let (one, mut other) = (parts(), parts());
        assert_eq!(one.build(), parts().build());
        other.page.module.push(0);
        assert_ne!(one.build(), other.build());
        other = parts();
        other.engine.module.push(0);
        assert_ne!(one.build(), other.build());
    }
}
