//! A report → bytes on standard output or in a file. Knows terminals and broken pipes; the engine's views do the writing.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

use clap::ValueEnum;
use hopscope::packed::PackedReport;
use hopscope::report::Report;
use hopscope::views;

use crate::Fault;

/// A view of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a person, in a terminal or an incident document
    Text,
    /// The whole report, for programs
    Json,
    /// A picture: one path with --path, else a map of all
    Svg,
    /// For Markdown that draws Mermaid (GitHub, GitLab)
    Mermaid,
    /// For Graphviz
    Dot,
    /// For yEd, Gephi, NetworkX
    Graphml,
    /// One page with pictures, tables and evidence, no scripts
    Html,
    /// Every hop as a line of a table
    Csv,
}

/// When to write colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

/// Where and how a report is to be written.
#[derive(Clone, Debug)]
pub(crate) struct Output<'a> {
    format: Format,
    file: Option<&'a Path>,
    color: When,
    selection: views::Selection,
}

impl<'a> Output<'a> {
    pub(crate) fn new(format: Format, file: Option<&'a Path>, color: When, path: Option<&str>) -> Self {
        Self { format, file, color, selection: views::Selection { path: path.map(str::to_owned), way: None } }
    }

    /// # Errors
    /// When the file or standard output cannot be written. A reader that went away (`| head`) is none.
    pub(crate) fn write(&self, report: PackedReport) -> Result<(), Fault> {
        match (self.file, self.format) {
            (Some(path), Format::Json | Format::Csv | Format::Text) => {
                let written = File::create(path).and_then(|file| self.write_rows(&report, BufWriter::new(file)));
                written.map_err(|e| format!("{e}: {}", path.display()))
            }
            (None, Format::Json | Format::Csv | Format::Text) => said(self.write_rows(&report, BufWriter::new(io::stdout().lock()))),
            (Some(path), _) => fs::write(path, self.text(&report.into())?).map_err(|e| format!("{e}: {}", path.display())),
            (None, _) => print(&self.text(&report.into())?),
        }
    }

    /// Row by row: laid out, a report of many conversations takes several times as much memory as packed.
    fn write_rows(&self, report: &PackedReport, mut out: impl Write) -> io::Result<()> {
        match self.format {
            Format::Csv => views::write_csv(report, &mut out)?,
            Format::Text => views::text::write(report, self.paint(), &mut out)?,
            _ => report.write_json(&mut out)?,
        }
        out.flush()
    }

    fn text(&self, report: &Report) -> Result<String, Fault> {
        Ok(match self.format {
            Format::Text => views::text::render(report, self.paint()),
            Format::Svg => views::svg(report, &self.selection, views::Theme::Auto),
            Format::Mermaid => views::mermaid(report, &self.selection),
            Format::Dot => views::dot(report, &self.selection),
            Format::Graphml => views::graphml(report, &self.selection),
            Format::Html => views::html(report),
            Format::Csv => views::csv(report),
            Format::Json => report.to_json().map_err(|e| format!("the report cannot be written as JSON: {e}"))?,
        })
    }

    fn paint(&self) -> views::text::Paint {
        let wanted = match self.color {
            When::Always => true,
            When::Never => false,
            // https://no-color.org: present and not empty.
            When::Auto => self.file.is_none() && io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        };
        if wanted { views::text::Paint::Ansi } else { views::text::Paint::Plain }
    }
}

/// To standard output.
///
/// # Errors
/// When it cannot be written. A reader that went away (`| head`) is none.
pub(crate) fn print(text: &str) -> Result<(), Fault> {
    let mut out = io::stdout().lock();
    said(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// What came of writing to standard output.
fn said(written: io::Result<()>) -> Result<(), Fault> {
    match written {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(format!("standard output: {e}")),
        _ => Ok(()),
    }
}
