//! The report in other forms, for files and the clipboard. The forms themselves are the engine's.

use hopscope::report::Report;
use hopscope::views::{self, Selection};

use crate::protocol::{Answer, Form};

/// The report, or only the path `path` of it, as `form`.
///
/// # Errors
/// There is no such path, for a person.
pub fn export(report: &Report, form: Form, path: Option<&str>) -> Result<Answer, String> {
    let only = match path {
        Some(id) => Some(views::only_path(report, id).ok_or_else(|| format!("the report has no path {id} any more"))?),
        None => None,
    };
    let chosen = only.as_ref().unwrap_or(report);
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
    let file_name = format!("hopscope{}.{ending}", path.map_or(String::new(), |id| format!("-{id}")));
    Ok(Answer::Export { text, media_type: media_type.to_owned(), file_name })
}
