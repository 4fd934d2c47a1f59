//! The engine's layers: which module may know which. ARCHITECTURE.md draws them; `cargo xtask tidy` checks the rest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Module → the modules of this crate that it may name.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("order", &[]),
    ("confidence", &[]),
    ("facts", &["model"]),
    ("report", &["model"]),
    ("phrase", &["model"]),
    ("rows", &["model", "phrase"]),
    ("packed", &["model", "report", "rows"]),
    ("evidence", &["model", "packed", "phrase", "report", "rows"]),
    ("carry", &[]),
    ("container", &["carry", "model"]),
    ("capture", &["carry", "model", "order"]),
    // The link type is the capture's word, and what a frame begins with.
    ("dissect", &["capture", "model"]),
    ("content", &["dissect"]),
    ("digest", &["capture", "content", "dissect", "model"]),
    ("columnar", &["capture", "content", "digest", "model", "report"]),
    // Each asks the other: what a document looks like is the importers' knowledge, what a format is called the sniffer's.
    ("sniff", &["import"]),
    // What tcpdump printed is handed on as frames.
    ("import", &["capture", "facts", "model", "order", "sniff"]),
    ("ingest", &["capture", "columnar", "container", "digest", "facts", "import", "model", "report", "sniff"]),
    ("sample", &["digest", "ingest"]),
    ("estimate", &[]),
    ("identify", &["capture", "confidence", "digest", "dissect", "evidence", "facts", "model", "order", "phrase"]),
    ("correlate", &["digest", "dissect", "identify", "model", "order"]),
    (
        "trace",
        &[
            "confidence",
            "content",
            "correlate",
            "digest",
            "dissect",
            "estimate",
            "evidence",
            "facts",
            "identify",
            "model",
            "order",
            "phrase",
            "report",
            "rows",
        ],
    ),
    (
        "diagnose",
        &["confidence", "correlate", "digest", "dissect", "estimate", "evidence", "facts", "identify", "model", "order", "report", "trace"],
    ),
    (
        "analysis",
        &[
            "confidence",
            "correlate",
            "diagnose",
            "digest",
            "evidence",
            "identify",
            "ingest",
            "model",
            "order",
            "packed",
            "phrase",
            "report",
            "rows",
            "trace",
        ],
    ),
    ("redact", &["model", "order", "report"]),
    // A report of very many conversations is written from its rows.
    ("views", &["model", "order", "packed", "report"]),
];

#[test]
fn modules_know_only_the_layers_below() {
    let mut wrong = Vec::new();
    let mut found: BTreeSet<String> = BTreeSet::new();
    let layers: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    for path in sources() {
        let module = path.strip_prefix(src()).unwrap().components().next().unwrap().as_os_str().to_str().unwrap().replace(".rs", "");
        if module == "lib" {
            continue;
        }
        found.insert(module.clone());
        let Some(allowed) = layers.get(module.as_str()) else {
            wrong.push(format!("{module} has no line in tests/tidy.rs"));
            continue;
        };
        for name in named(&code(&path)) {
            if name != module && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{}: {module} must not know {name}", path.display()));
            }
        }
    }
    for (module, _) in LAYERS.iter().filter(|(m, _)| !found.contains(*m)) {
        wrong.push(format!("there is no module {module}"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn importers_do_not_know_each_other() {
    // What all of them use: the structure of JSON and text, and who prints what.
    const SHARED: [&str; 6] = ["json", "text", "scan", "shape", "locate", "mod"];
    // A host's commands write addresses and interfaces in one way; kubectl's JSON and its tables have the same annotations.
    const OF_ONE_TONGUE: [(&str, &str); 6] =
        [("arp", "ip"), ("fdb", "ip"), ("nft", "ip"), ("nft", "iptables"), ("iptables", "ip"), ("kubectl_text", "kubectl")];
    let folder = src().join("import");
    let all: Vec<String> =
        std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap().replace(".rs", "")).collect();
    let own: Vec<&String> = all.iter().filter(|n| !SHARED.contains(&n.as_str())).collect();
    assert!(own.len() > 4, "the importers have moved: {all:?}");
    let mut wrong = Vec::new();
    for importer in &own {
        let path = folder.join(format!("{importer}.rs"));
        if !path.is_file() {
            continue;
        }
        let code = code(&path);
        for other in own.iter().filter(|o| o != &importer) {
            if OF_ONE_TONGUE.contains(&(importer, other)) {
                continue;
            }
            if code.contains(&format!("super::{other}")) || code.contains(&format!("import::{other}")) {
                wrong.push(format!("{importer} knows {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every probability, ratio and vote has its name and its reason in the one table; 0 and 1 need none. What a statistic of the rows
/// computes with is `estimate`'s.
#[test]
fn weights_stand_in_the_one_table() {
    let weighs = |p: &Path| {
        ["identify", "correlate", "trace", "diagnose", "analysis.rs", "diagnose.rs", "evidence.rs"]
            .iter()
            .any(|m| p.starts_with(src().join(m)))
    };
    let looked_at: Vec<PathBuf> = sources().into_iter().filter(|p| weighs(p)).collect();
    assert!(looked_at.len() > 20, "the stages have moved: {looked_at:?}");
    let wrong: Vec<String> = looked_at
        .iter()
        .flat_map(|p| weights(&code(p)).into_iter().map(move |w| format!("{}: {w} belongs into confidence.rs", p.display())))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What nobody weighs with has no reason any more, and what has no reason is a guess.
#[test]
fn weights_have_reasons_and_uses() {
    let table = std::fs::read_to_string(src().join("confidence.rs")).unwrap();
    let rest: String = sources().iter().filter(|p| !p.ends_with("confidence.rs")).map(|p| code(p)).collect();
    let uses = |name: &str| rest.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == name);
    // The table's own functions and products use some.
    let own = |name: &str| table.lines().filter(|l| l.contains(name) && !l.trim_start().starts_with("//")).count() > 1;
    let lines: Vec<&str> = table.lines().map(str::trim).collect();
    let mut wrong = Vec::new();
    let mut found = 0;
    for pair in lines.windows(2) {
        let Some(name) = pair[1].strip_prefix("pub const ").and_then(|l| l.split(':').next()) else { continue };
        found += 1;
        if !pair[0].starts_with("///") {
            wrong.push(format!("{name} has no reason"));
        }
        if !uses(name) && !own(name) {
            wrong.push(format!("nothing uses {name}"));
        }
    }
    assert!(found > 100, "the table has moved: {found} weights");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Numbers with a fraction or an exponent, and whole ones that are floating point by their suffix, except 0 and 1.
fn weights(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (n, part) in code.split('"').enumerate() {
        // Between quotes is text; a quoted quote does not matter here.
        let words = part.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').filter(|_| n % 2 == 0);
        for word in words.filter(|w| w.starts_with(|c: char| c.is_ascii_digit())) {
            let plain = word.replace('_', "");
            let (number, is_float) = match plain.strip_suffix("f64").or_else(|| plain.strip_suffix("f32")) {
                Some(number) => (number.to_owned(), true),
                None => (plain.clone(), false),
            };
            // `1.max(x)` and `0..n` are no fractions.
            let number: String = number.chars().take_while(|c| c.is_ascii_digit() || *c == '.' || *c == 'e').collect();
            let is_power = number.contains('e');
            let is_fraction = number.split_once('.').is_some_and(|(_, f)| f.starts_with(|c: char| c.is_ascii_digit()));
            let is_weight = number.trim_end_matches('.').parse::<f64>().is_ok_and(|x| x != 0.0 && x != 1.0);
            if is_power || (is_float || is_fraction) && is_weight {
                found.push(word.to_owned());
            }
        }
    }
    found
}

#[test]
fn weights_are_found_in_every_form() {
    let code =
        "let p = 0.97; f(1.0, 0.0); x * 10.0_f64; 3_f64; 1e-3; 2_000.5.min(y); 0..n; 1.max(z); 0x1e; t.0; a.1; \"0.5 and\"; 7.0.ln()";
    assert_eq!(weights(code), ["0.97", "10.0_f64", "3_f64", "1e", "2_000.5.min", "7.0.ln"]);
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, files) } else { files.push(path) }
        }
    }
    let mut files = Vec::new();
    walk(&src(), &mut files);
    files.retain(|f| f.extension().is_some_and(|e| e == "rs"));
    files.sort();
    files
}

/// A file's code without comments and tests.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let before_tests = text.split("#[cfg(test)]").next().unwrap();
    before_tests.lines().map(|l| l.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// The modules that stand after `crate::`, also in braces.
fn named(code: &str) -> BTreeSet<String> {
    let word = |t: &str| t.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => {
                names.insert(word(rest));
            }
            Some(group) => {
                let mut depth = 0_i32;
                let mut start = true;
                for (at, c) in group.char_indices() {
                    if start && depth == 0 && c.is_alphabetic() {
                        names.insert(word(&group[at..]));
                        start = false;
                    }
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        _ => {}
                    }
                }
            }
        }
    }
    names
}

#[test]
fn names_are_found_in_every_form() {
    let code = "use crate::model::Mac; use crate::{digest::{Row, Tuple}, facts};\nlet x = crate::report::Report::default();";
    assert_eq!(named(code).into_iter().collect::<Vec<_>>(), ["digest", "facts", "model", "report"]);
}
