//! The report in other forms, for files and the clipboard. The forms themselves are the engine's.

use std::collections::BTreeSet;

use hopscope::packed::PackedReport;
use hopscope::redact::redact;
use hopscope::report::{DirectionPath, Path, Report};
use hopscope::views::{self, Selection};

use js_sys::{Function, Reflect};
use wasm_bindgen::{JsCast as _, JsValue};

use crate::protocol::{Answer, Form};

thread_local! {
    /// Made anew with the page, so that nobody can make the pseudonyms again from the names that they may guess; the same for every
    /// export, so that two of them can be laid side by side.
    static KEY: String = random();
}

/// 128 bits of the browser's randomness; empty where it has none.
fn random() -> String {
    let bytes = js_sys::Uint8Array::new_with_length(16);
    let crypto = Reflect::get(&js_sys::global(), &JsValue::from_str("crypto")).unwrap_or_default();
    let fill = Reflect::get(&crypto, &JsValue::from_str("getRandomValues")).ok().and_then(|f| f.dyn_into::<Function>().ok());
    match fill.map(|fill| fill.call1(&crypto, &bytes)) {
        Some(Ok(_)) => bytes.to_vec().iter().map(|b| format!("{b:02x}")).collect(),
        _ => String::new(),
    }
}

/// A report of more conversations is not laid out: as a text it would be larger than browsers let texts be.
const MOST_LAID_OUT: usize = 50_000;

fn too_large(report: &PackedReport, form: Form) -> String {
    let form = format!("{form:?}").to_lowercase();
    format!("{} conversations are too many for a browser's file: hopscope analyze --format {form} writes them", report.paths.len())
}

/// All but the paths.
fn rest(report: &PackedReport) -> Report {
    Report { findings: report.findings.iter().collect(), evidence: report.evidence.iter().collect(), ..report.head.clone() }
}

/// Of a large report one path, with the evidence that it names.
fn of_one(report: &PackedReport, path: Path) -> Report {
    let hops = path.directions.iter().flat_map(DirectionPath::all_hops).flat_map(|hop| &hop.evidence);
    let named: BTreeSet<&String> = hops.chain(path.relays.iter().flat_map(|r| &r.evidence)).collect();
    let evidence = named.into_iter().filter_map(|id| report.evidence_of(id)).collect();
    Report { evidence, paths: vec![path], ..report.head.clone() }
}

/// The report, or only the path `path` of it, as `form`; with pseudonyms, if so wanted.
///
/// # Errors
/// There is no such path, or no key for pseudonyms; for a person.
pub fn export(report: &PackedReport, form: Form, path: Option<&str>, is_redacted: bool) -> Result<Answer, String> {
    let is_large = report.paths.len() > MOST_LAID_OUT;
    if is_large && (path.is_none() || is_redacted) {
        return Err(too_large(report, form));
    }
    let redacted = match (is_redacted, KEY.with(String::clone)) {
        (false, _) => None,
        (true, key) if key.is_empty() => return Err("this browser gives no random numbers, which pseudonyms need".to_owned()),
        // Of the whole, so that a path's pseudonyms are those of the report.
        (true, key) => Some(PackedReport::from(redact(&report.unpacked(), &key))),
    };
    let report = redacted.as_ref().unwrap_or(report);
    let chosen = match path {
        Some(id) => {
            let path = report.path_of(id).ok_or_else(|| format!("the report has no path {id} any more"))?;
            if is_large { of_one(report, path) } else { Report { paths: vec![path], ..rest(report) } }
        }
        None => report.unpacked(),
    };
    let chosen = &chosen;
    let selection = path.map_or_else(Selection::all, Selection::path);
    let (text, media_type, ending) = match form {
        Form::Json => (chosen.to_json().map_err(|e| e.to_string())?, "application/json", "json"),
        Form::Text => (views::text(chosen), "text/plain", "txt"),
        Form::Svg => (views::svg(chosen, &selection, views::Theme::Auto), "image/svg+xml", "svg"),
        Form::Mermaid => (views::mermaid(chosen, &selection), "text/vnd.mermaid", "mmd"),
        Form::Dot => (views::dot(chosen, &selection), "text/vnd.graphviz", "dot"),
        Form::Graphml => (views::graphml(chosen, &selection), "application/graphml+xml", "graphml"),
        Form::Html => (views::html(chosen), "text/html", "html"),
        Form::Csv => (views::csv(chosen), "text/csv", "csv"),
    };
    let file_name = format!(
        "hopscope{}{}.{ending}",
        path.map_or(String::new(), |id| format!("-{}", views::escape::file_name_part(id))),
        if is_redacted { "-redacted" } else { "" }
    );
    Ok(Answer::Export { text, media_type: media_type.to_owned(), file_name })
}
