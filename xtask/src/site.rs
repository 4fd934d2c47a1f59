//! Trunk's output → the site's files and the single-file page.
//!
//! Knows how the page is packed; must not know what it does. One module and one `no-modules` glue serve the page and its
//! workers, embedded in one script, because
//! - the page's policy says `connect-src 'none'`, which is the promise that no data leaves, and which also forbids
//!   fetching the module;
//! - workers keep to that policy only when they start from a Blob URL, so their script must be at hand as text;
//! - the same files then work on GitHub Pages, installed as an app, and from `file://`.
//!
//! Output is a function of the input: the same build gives the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

/// The examples that the page offers: name in the page, case in `tests/cases`.
const EXAMPLES: [(&str, &str); 2] = [("pod-to-pod", "seed-icmp-1"), ("load-balancer", "seed-lb-1")];

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
    write("app.js", &parts.program(&build, true)?)?;
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

    let program = format!("\n{}\n", parts.program(&build, false)?.replace("</script", "<\\/script").replace("<!--", "<\\!--"));
    let style = format!("\n{}\n", parts.style);
    ensure!(!style.contains("</style"), "style.css must not close its own element");
    let icon = format!("<link rel=\"icon\" href=\"data:image/svg+xml;base64,{}\">", BASE64.encode(&parts.icon));
    let single = parts.page(
        &policy(&source_hash(&program), &source_hash(&style)),
        &format!("<style>{style}</style>\n{icon}"),
        &format!("<script>{program}</script>"),
    )?;
    if let Some(folder) = out_single_html.parent() {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    fs::write(out_single_html, single).with_context(|| format!("writing {}", out_single_html.display()))
}

/// The page's Content-Security-Policy. `script` and `style` are what each may come from: `'self'` or a hash.
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

/// What the page is packed from.
struct Parts {
    index: String,
    glue: String,
    module: Vec<u8>,
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
        let module_path = only(dist, |name| name.ends_with(".wasm"))?;
        let glue_path = only(dist, |name| name.ends_with(".js") && name.starts_with("hopscope"))?;
        let mut examples = BTreeMap::new();
        for (name, case) in EXAMPLES {
            examples.insert(name, pack(&example(case)?)?);
        }
        Ok(Self {
            index: text("index.html")?,
            glue: fs::read_to_string(&glue_path).with_context(|| format!("reading {}", glue_path.display()))?,
            module: fs::read(&module_path).with_context(|| format!("reading {}", module_path.display()))?,
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
        for text in [&self.index, &self.glue, &self.boot, &self.style, &self.icon, &self.manifest, &self.service_worker] {
            hash.update(text.as_bytes());
            hash.update([0]);
        }
        hash.update(&self.module);
        for packed in self.examples.values() {
            hash.update(packed.as_bytes());
        }
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The whole program as one classic script.
    fn program(&self, build: &str, offline: bool) -> anyhow::Result<String> {
        ensure!(self.glue.contains("wasm_bindgen"), "the glue is not wasm-bindgen's no-modules output");
        let mut examples = String::new();
        for (name, packed) in &self.examples {
            examples.push_str(&format!("    '{name}': '{packed}',\n"));
        }
        Ok(format!(
            "function hopscopeGlue() {{\n{}\nreturn wasm_bindgen;\n}}\n\
             const hopscopeData = {{\n  build: '{build}',\n  offline: {offline},\n  module: '{}',\n  examples: {{\n{examples}  }},\n}};\n{}",
            self.glue,
            pack(&self.module)?,
            self.boot,
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

/// gzip, then base64: browsers open both themselves, and base64 of gzip is smaller than base64 that a server compresses.
fn pack(bytes: &[u8]) -> anyhow::Result<String> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    Ok(BASE64.encode(encoder.finish()?))
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
            glue: "let wasm_bindgen = 0; // </script> <!-- in the glue".to_owned(),
            module: b"\0asm".to_vec(),
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
            ("hopscope-www-1.js", &parts.glue),
            ("boot.js", &parts.boot),
            ("style.css", &parts.style),
            ("icon.svg", &parts.icon),
            ("manifest.webmanifest", &parts.manifest),
            ("sw.js", &parts.service_worker),
        ] {
            fs::write(dist.join(file), text).unwrap();
        }
        fs::write(dist.join("hopscope-www-1_bg.wasm"), &parts.module).unwrap();
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
        let inside = |open: &str, close: &str| {
            let start = single.find(open).unwrap() + open.len();
            let length = single[start..].find(close).unwrap();
            single[start..start + length].to_owned()
        };
        assert!(single.contains(&format!("script-src {} 'wasm-unsafe-eval'", source_hash(&inside("<script>", "</script>")))));
        assert!(single.contains(&format!("style-src {};", source_hash(&inside("<style>", "</style>")))));
        assert_eq!(single.matches("<script>").count(), 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn another_module_is_another_build() {
        let (one, mut other) = (parts(), parts());
        assert_eq!(one.build(), parts().build());
        other.module.push(0);
        assert_ne!(one.build(), other.build());
    }
}
