//! The bill of materials of a release: every package that its programs are built from, as CycloneDX 1.5 JSON (ecma-424).
//! Knows `cargo metadata`; must not put in what differs between two builds of one commit: no time, no serial number, no path.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::sh::{Run, cargo};

/// Packages of this workspace that a release consists of.
const RELEASED: [&str; 3] = ["hopscope-www", "hopscope-pkg", "hopscope-cli"];

/// The document.
pub(crate) fn sbom() -> Result<String> {
    // Not `--offline`: of all platforms' packages, which the list names, a fresh machine has fetched its own only.
    let text = cargo().args(["metadata", "--format-version", "1", "--locked"]).text().context("cargo metadata")?;
    let metadata: Value = serde_json::from_str(&text)?;
    let mut document = serde_json::to_string_pretty(&of_metadata(&metadata)?)?;
    document.push('\n');
    Ok(document)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn of_metadata(metadata: &Value) -> Result<Value> {
    let packages: BTreeMap<&str, &Value> = list(metadata, "packages").map(|p| (text(p, "id"), p)).collect();
    let resolve = metadata.get("resolve").context("cargo metadata resolved nothing")?;
    // What is needed only to build or to test runs nowhere: normal dependencies alone, from the released packages on.
    let needs: BTreeMap<&str, Vec<&str>> = list(resolve, "nodes")
        .map(|n| {
            let is_normal = |d: &&Value| list(d, "dep_kinds").any(|k| k.get("kind").is_none_or(Value::is_null));
            (text(n, "id"), list(n, "deps").filter(is_normal).map(|d| text(d, "pkg")).collect())
        })
        .collect();
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    let mut queue: Vec<&str> = packages.iter().filter(|(_, p)| RELEASED.contains(&text(p, "name"))).map(|(id, _)| *id).collect();
    anyhow::ensure!(!queue.is_empty(), "none of the released packages is in this workspace");
    while let Some(id) = queue.pop() {
        if reached.insert(id) {
            queue.extend(needs.get(id).into_iter().flatten());
        }
    }
    let purl = |id: &str| packages.get(id).map(|p| format!("pkg:cargo/{}@{}", text(p, "name"), text(p, "version"))).unwrap_or_default();
    let mut components: Vec<(String, Value)> = reached
        .iter()
        .filter_map(|id| {
            let p = packages.get(id)?;
            // `MIT/Apache-2.0` is how older packages write it.
            let licences: Vec<Value> =
                p.get("license").and_then(Value::as_str).map(|l| json!({"expression": l.replace('/', " OR ")})).into_iter().collect();
            let component = json!({
                "type": "library", "bom-ref": purl(id), "name": text(p, "name"), "version": text(p, "version"), "purl": purl(id), "licenses": licences,
            });
            Some((purl(id), component))
        })
        .collect();
    components.sort_by(|a, b| a.0.cmp(&b.0));
    let mut dependencies: Vec<(String, Vec<String>)> = reached
        .iter()
        .map(|id| {
            let on: BTreeSet<String> = needs.get(id).into_iter().flatten().map(|d| purl(d)).collect();
            (purl(id), on.into_iter().collect())
        })
        .collect();
    dependencies.sort();
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "hopscope", "version": env!("CARGO_PKG_VERSION")}},
        "components": components.into_iter().map(|c| c.1).collect::<Vec<_>>(),
        "dependencies": dependencies.into_iter().map(|(id, on)| json!({"ref": id, "dependsOn": on})).collect::<Vec<_>>(),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_runs_is_listed_and_what_only_builds_is_not() {
        let metadata = json!({
            "packages": [
                {"id": "a", "name": "hopscope-cli", "version": "1.0.0", "license": "MIT"},
                {"id": "b", "name": "used", "version": "2.0.0", "license": "MIT/Apache-2.0"},
                {"id": "c", "name": "builds", "version": "3.0.0", "license": "MIT"},
            ],
            "resolve": {"nodes": [
                {"id": "a", "deps": [{"pkg": "b", "dep_kinds": [{"kind": null}]}, {"pkg": "c", "dep_kinds": [{"kind": "build"}]}]},
                {"id": "b", "deps": []},
                {"id": "c", "deps": []},
            ]},
        });
        let bom = of_metadata(&metadata).unwrap();
        let names: Vec<&str> = list(&bom, "components").map(|c| text(c, "name")).collect();
        assert_eq!(names, ["hopscope-cli", "used"]);
        assert_eq!(bom["components"][1]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(bom["dependencies"][0]["dependsOn"], json!(["pkg:cargo/used@2.0.0"]));
    }

    #[test]
    fn the_workspaces_own_is_the_same_twice_and_names_no_path() {
        let (first, second) = (sbom().unwrap(), sbom().unwrap());
        assert_eq!(first, second);
        assert!(first.contains("pkg:cargo/serde@") && !first.contains("path+file") && !first.contains(env!("CARGO_MANIFEST_DIR")));
        assert!(!first.contains("\"name\": \"proptest\""), "a test's dependency is listed");
    }
}
