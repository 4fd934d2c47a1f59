//! The report as text, to read in a terminal and to paste into an incident document.
//! Knows columns and, where asked, colours; every sentence comes from `words`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

use xxhash_rust::xxh3::xxh3_64;

use super::pairs::pairs;
use super::words::{self, Book};
use crate::order;
use crate::packed::{PackedReport, PathHead};
use crate::report::{
    CapturePoint, DirectionPath, Evidence, Finding, Flow, FlowEnd, Hop, Input, Path, Report, Severity, Side, Status, Verdict, Way,
};
use crate::views::escape::inert;

/// The whole report as text without colours. No line holds a control character.
#[must_use]
pub fn text(report: &Report) -> String {
    render(report, Paint::Plain)
}

/// How emphasis is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Not at all.
    Plain,
    /// With ANSI escape sequences (ECMA-48, 8.3.117).
    Ansi,
}

/// The whole report as text.
#[must_use]
pub fn render(report: &Report, paint: Paint) -> String {
    let mut page = Page::new(Parts::LaidOut(report), paint);
    // Nothing is written that could fail.
    let _ = page.document(&mut |_| Ok(()));
    page.out
}

/// The same, part by part: laid out, a report of many conversations takes far more room than its text.
///
/// # Errors
/// What `out` says.
pub fn write(report: &PackedReport, paint: Paint, mut out: impl io::Write) -> io::Result<()> {
    let mut hand_over = |text: &mut String| {
        out.write_all(text.as_bytes())?;
        text.clear();
        Ok(())
    };
    Page::new(Parts::Packed(report), paint).document(&mut hand_over)
}

/// A report, whichever way it is kept.
#[derive(Clone, Copy)]
enum Parts<'a> {
    LaidOut(&'a Report),
    Packed(&'a PackedReport),
}

/// Items one by one, as they are or laid out for the moment.
type Each<'a, T> = Box<dyn Iterator<Item = Cow<'a, T>> + 'a>;

impl<'a> Parts<'a> {
    /// All but paths, findings and evidence.
    fn head(self) -> &'a Report {
        match self {
            Self::LaidOut(report) => report,
            Self::Packed(report) => &report.head,
        }
    }

    fn paths(self) -> (usize, Each<'a, Path>) {
        match self {
            Self::LaidOut(report) => (report.paths.len(), Box::new(report.paths.iter().map(Cow::Borrowed))),
            Self::Packed(report) => (report.paths.len(), Box::new(report.paths.iter().map(Cow::Owned))),
        }
    }

    /// Paths without their hops, which take most of the time to read.
    fn heads(self) -> Box<dyn Iterator<Item = PathHead> + 'a> {
        match self {
            Self::LaidOut(report) => Box::new(report.paths.iter().map(PathHead::from)),
            Self::Packed(report) => Box::new(report.heads()),
        }
    }

    fn findings(self) -> Each<'a, Finding> {
        match self {
            Self::LaidOut(report) => Box::new(report.findings.iter().map(Cow::Borrowed)),
            Self::Packed(report) => Box::new(report.findings.iter().map(Cow::Owned)),
        }
    }

    fn evidence(self) -> Each<'a, Evidence> {
        match self {
            Self::LaidOut(report) => Box::new(report.evidence.iter().map(Cow::Borrowed)),
            Self::Packed(report) => Box::new(report.evidence.iter().map(Cow::Owned)),
        }
    }
}

#[derive(Clone, Copy)]
enum Style {
    Heading,
    Good,
    Warn,
    Bad,
    Faint,
}

struct Page<'a> {
    out: String,
    paint: Paint,
    parts: Parts<'a>,
    book: Book<'a>,
    cited: Cited,
    /// How many paths there are of each kind.
    alike: BTreeMap<u64, u32>,
}

/// The pieces of evidence that the text has named so far; only these are listed at the end.
#[derive(Default)]
struct Cited {
    /// Those called `e1`, `e2` …: all, of our own reports.
    numbers: BTreeSet<u64>,
    others: BTreeSet<String>,
}

impl Cited {
    fn number(id: &str) -> Option<u64> {
        let digits = id.strip_prefix('e').filter(|d| d.bytes().all(|b| b.is_ascii_digit()) && !d.starts_with('0'))?;
        digits.parse().ok()
    }

    fn add(&mut self, id: &str) {
        match Self::number(id) {
            Some(number) => drop(self.numbers.insert(number)),
            None => drop(self.others.insert(id.to_owned())),
        }
    }

    fn has(&self, id: &str) -> bool {
        Self::number(id).map_or_else(|| self.others.contains(id), |number| self.numbers.contains(&number))
    }
}

impl<'a> Page<'a> {
    fn new(parts: Parts<'a>, paint: Paint) -> Self {
        Self { out: String::new(), paint, parts, book: Book::new(parts.head()), cited: Cited::default(), alike: BTreeMap::new() }
    }

    /// Everything; `hand_over` may take away what has been written so far.
    fn document(&mut self, hand_over: &mut dyn FnMut(&mut String) -> io::Result<()>) -> io::Result<()> {
        self.title();
        // What a person came for stands first; what it rests on follows.
        self.findings(hand_over)?;
        self.pairs();
        self.inputs();
        self.capture_points();
        self.paths(hand_over)?;
        self.evidence(hand_over)?;
        hand_over(&mut self.out)
    }

    fn title(&mut self) {
        let r = self.book.report;
        let (count, paths) = self.parts.paths();
        let (mut rejected, mut lost, mut unanswered) = (0, 0, 0);
        for p in paths {
            let has = |verdict| p.directions.iter().any(|d| d.verdict == verdict);
            if has(Verdict::Rejected) {
                rejected += 1;
            } else if has(Verdict::Lost) {
                lost += 1;
            } else if p.directions.iter().all(|d| d.direction != Way::Reply) {
                unanswered += 1;
            }
            if let Some(alike) = alike(&p) {
                *self.alike.entry(alike).or_default() += 1;
            }
        }
        let outcomes = [(rejected, "rejected"), (lost, "lost"), (unanswered, "without a reply")];
        let outcomes: Vec<String> = outcomes.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
        let title = format!(
            "Hopscope: {}{}, {}, {}",
            words::count(count as u64, "path"),
            if outcomes.is_empty() { String::new() } else { format!(" ({})", outcomes.join(", ")) },
            words::count(r.capture_points.len() as u64, "capture point"),
            words::count(r.inputs.len() as u64, "input")
        );
        let title = self.styled(Style::Heading, &title);
        self.line(&title);
        if let Some(sampling) = &r.sampling {
            let line = format!("{}; what is missing, and delays, are estimates", words::sampling(sampling));
            let line = self.styled(Style::Warn, &line);
            self.line(&line);
        }
        if let Some(left_out) = words::left_out(&r.ambiguous) {
            self.line(&left_out);
        }
        if !r.generator.version.is_empty() {
            let by = format!("made by {} {}", inert(&r.generator.name), inert(&r.generator.version));
            let by = self.styled(Style::Faint, &by);
            self.line(&by);
        }
    }

    fn inputs(&mut self) {
        self.heading("Inputs");
        // What was not read whole decides how far the rest can be trusted, so it stands first.
        let rank = |s: Status| match s {
            Status::Rejected => 0,
            Status::Partial => 1,
            Status::Ok => 2,
        };
        let mut inputs: Vec<&Input> = self.book.report.inputs.iter().collect();
        order::sort_by_key(&mut inputs, |i| rank(i.status));
        let mut table = Table::new(&[Align::Left, Align::Left, Align::Left, Align::Right]);
        for i in &inputs {
            table.row([words::status(i.status).to_owned(), inert(&i.id), inert(&i.kind), words::bytes(i.bytes)]);
        }
        for (i, cells) in inputs.iter().zip(table.lines()) {
            let cells = match i.status {
                Status::Ok => cells,
                Status::Partial => self.styled(Style::Warn, &cells),
                Status::Rejected => self.styled(Style::Bad, &cells),
            };
            self.line(&format!("  {cells}  {}", inert(&i.name)));
            if let Some(message) = &i.message {
                self.line(&format!("      {}", inert(message)));
            }
        }
        if inputs.is_empty() {
            self.line("  none");
        }
    }

    fn capture_points(&mut self) {
        let points: &'a [CapturePoint] = &self.book.report.capture_points;
        if points.is_empty() {
            return;
        }
        self.heading("Capture points");
        let mut table = Table::new(&[Align::Left, Align::Left, Align::Right, Align::Left]);
        for p in points {
            let place = p.at.as_deref().map_or("place unknown".to_owned(), |at| self.book.name(at));
            table.row([inert(&p.id), place, words::count(p.packets, "packet"), format!("conf {}", words::confidence(p.confidence))]);
        }
        for (p, cells) in points.iter().zip(table.lines()) {
            let cites = self.cite(&p.evidence);
            self.line(&format!("  {cells}{cites}"));
            let mut from = self.book.input_name(&p.input);
            if let Some(name) = &p.interface_name {
                from.push_str(&format!(" interface {}", inert(name)));
            }
            if let (Some(first), Some(last)) = (p.first_ns, p.last_ns) {
                from.push_str(&format!(", from {} for {}", words::time(first), words::duration(last.saturating_sub(first))));
            }
            if let Some(c) = p.clock.as_ref().filter(|c| c.relative_to != p.id) {
                let (other, within) = (inert(&c.relative_to), words::duration(c.uncertainty_ns));
                from.push_str(&match c.offset_ns {
                    0 => format!(", clock agrees with {other} (±{within})"),
                    n if n < 0 => format!(", clock {} behind {other} (±{within})", words::duration(n.saturating_neg())),
                    n => format!(", clock {} ahead of {other} (±{within})", words::duration(n)),
                });
                if let Some(ppb) = c.drift_ppb {
                    from.push_str(&format!(", {}", words::drift(ppb)));
                }
            }
            self.wrapped("      ", &from);
        }
    }

    fn findings(&mut self, hand_over: &mut dyn FnMut(&mut String) -> io::Result<()>) -> io::Result<()> {
        if self.parts.findings().next().is_none() {
            return Ok(());
        }
        self.heading("Findings");
        // The most severe first, without holding them all to sort them.
        let by_severity = [Severity::Error, Severity::Warning, Severity::Info];
        let parts = self.parts;
        for f in by_severity.into_iter().flat_map(|severity| parts.findings().filter(move |f| f.severity == severity)) {
            let style = match f.severity {
                Severity::Error => Style::Bad,
                Severity::Warning => Style::Warn,
                Severity::Info => Style::Faint,
            };
            let label = self.styled(style, words::severity(f.severity));
            let cites = self.cite(&f.evidence);
            self.line(&format!("  {label} {} (conf {}){cites}", inert(&f.kind), words::confidence(f.confidence)));
            self.wrapped("    ", &self.book.sentence(&f.summary));
            for (title, ids) in [("    about: ", &f.about), ("    paths: ", &f.paths)] {
                if !ids.is_empty() {
                    let (shown, rest) = ids.split_at(ids.len().min(NAMED));
                    let shown: Vec<String> = shown.iter().map(|id| inert(id)).collect();
                    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
                    self.wrapped(title, &(shown.join(", ") + &more));
                }
            }
            if let Some(next) = &f.next_step {
                self.wrapped("    next: ", &self.book.sentence(next));
            }
            hand_over(&mut self.out)?;
        }
        Ok(())
    }

    /// Of many conversations, between whom they are.
    fn pairs(&mut self) {
        if self.parts.paths().0 <= LISTED {
            return;
        }
        let all = pairs(self.parts.heads());
        self.heading("Who talks to whom");
        let mut table = Table::new(&[Align::Right, Align::Right, Align::Right, Align::Right, Align::Right, Align::Left]);
        table.row(["paths", "lost", "rejected", "unknown", "delivered", "between"].map(str::to_owned));
        let number = |n: u64| if n == 0 { "-".to_owned() } else { n.to_string() };
        for p in all.iter().take(LISTED) {
            let flow = Flow { protocol: p.protocol.clone(), client: p.client.clone(), server: p.server.clone(), via: p.via.clone() };
            let [paths, lost, rejected, unknown, delivered] = [p.conversations, p.lost, p.rejected, p.unknown, p.delivered()].map(number);
            table.row([paths, lost, rejected, unknown, delivered, self.book.flow(&flow)]);
        }
        for (n, line) in table.lines().into_iter().enumerate() {
            let is_troubled = n.checked_sub(1).and_then(|n| all.get(n)).is_some_and(|p| p.lost + p.rejected > 0);
            let line = match (n, is_troubled) {
                (0, _) => self.styled(Style::Faint, &line),
                (_, true) => self.styled(Style::Bad, &line),
                (_, false) => line,
            };
            self.line(&format!("  {line}"));
        }
        if let Some(more) = all.len().checked_sub(LISTED).filter(|more| *more > 0) {
            self.line(&format!("  and {more} more"));
        }
    }

    fn paths(&mut self, hand_over: &mut dyn FnMut(&mut String) -> io::Result<()>) -> io::Result<()> {
        let (count, paths) = self.parts.paths();
        if count == 0 {
            return Ok(());
        }
        self.heading("Paths");
        // Of paths that differ by little but their ports, a few are written out.
        let mut written: BTreeMap<u64, (u32, String)> = BTreeMap::new();
        let mut is_apart = true;
        for (n, p) in paths.enumerate() {
            let id = self.styled(Style::Heading, &inert(&p.id));
            if let Some(key) = alike(&p).filter(|key| self.alike.get(key).is_some_and(|n| *n > MOST_ALIKE)) {
                let (times, first) = written.entry(key).or_insert_with(|| (0, p.id.clone()));
                *times += 1;
                if *times > WRITTEN {
                    let as_first = format!("{id} {}: as {}", self.book.flow(&Flow { via: None, ..p.flow.clone() }), inert(first));
                    if std::mem::take(&mut is_apart) {
                        self.line("");
                    }
                    self.line(&as_first);
                    hand_over(&mut self.out)?;
                    continue;
                }
            }
            if n > 0 {
                self.line("");
            }
            is_apart = true;
            // The address that the client dialled goes to a line of its own: names are long.
            self.line(&format!("{id} {}", self.book.flow(&Flow { via: None, ..p.flow.clone() })));
            if let Some(via) = &p.flow.via {
                self.line(&format!("   via {}", self.book.end(via)));
            }
            self.line(&format!("   {}, {}", words::count(p.packets, "packet"), words::bytes(p.bytes)));
            for r in &p.relays {
                let (other, proxy) = (inert(&r.path), self.book.name(&r.through));
                let says = match r.side {
                    Side::Behind => format!("{proxy} ends it and continues it as {other}"),
                    Side::Front => format!("continues {other}, which {proxy} ended"),
                };
                let cites = self.cite(&r.evidence);
                self.line(&format!("   {says} (conf {}){cites}", words::confidence(r.confidence)));
            }
            for d in &p.directions {
                self.direction(d);
            }
            if p.directions.iter().all(|d| d.direction != Way::Reply) {
                self.line("   reply: none of the captures holds one");
            }
            hand_over(&mut self.out)?;
        }
        Ok(())
    }

    fn direction(&mut self, d: &DirectionPath) {
        let style = match d.verdict {
            Verdict::Delivered => Style::Good,
            Verdict::Unknown => Style::Warn,
            Verdict::Lost | Verdict::Rejected => Style::Bad,
        };
        let captured = d.hops.iter().filter(|h| h.observed).count();
        let verdict = format!("{} ({captured} of {} captured)", self.book.verdict(d), words::count(d.hops.len() as u64, "hop"));
        let way = self.styled(style, words::way(d.direction));
        self.wrapped(&format!("   {way}: "), &verdict);
        let mut table =
            Table::new(&[Align::Right, Align::Left, Align::Right, Align::Right, Align::Right, Align::Right, Align::Right, Align::Left]);
        table.row(["#", "where", "seen", "missing", "delay", "TTL", "conf", "changed here"].map(str::to_owned));
        for (n, h) in d.all_hops().enumerate() {
            table.row([
                (n + 1).to_string(),
                self.book.place(h),
                if h.observed { h.seen.to_string() } else { words::uncounted(h, n >= d.hops.len()).to_owned() },
                if h.observed || h.missing > 0 { words::missing(h) } else { "-".to_owned() },
                Some(words::delay(h)).filter(|d| !d.is_empty()).unwrap_or("-".to_owned()),
                h.ttl.map_or("-".to_owned(), |t| t.to_string()),
                words::confidence(h.confidence),
                changes(h),
            ]);
        }
        let mut lines = table.lines().into_iter();
        if let Some(header) = lines.next() {
            let header = self.styled(Style::Faint, &header);
            self.line(&format!("     {header}"));
        }
        for ((n, h), cells) in d.all_hops().enumerate().zip(lines) {
            let cites = self.cite(&h.evidence);
            let cells = if h.observed { cells } else { self.styled(Style::Faint, &cells) };
            self.line(&format!("     {cells}{cites}"));
            let addresses = addresses(h);
            if !addresses.is_empty() {
                self.line(&format!("         {addresses}"));
            }
            for change in n.checked_sub(1).and_then(|before| d.hop(before)).map(|b| words::translations(b, h)).unwrap_or_default() {
                self.line(&format!("         {change}"));
            }
            for e in &h.encapsulation {
                self.line(&format!("         inside {}", words::encapsulation(e)));
            }
            if d.verdict == Verdict::Lost && d.lost_after.is_some_and(|l| usize::try_from(l) == Ok(n)) {
                let mark = self.styled(Style::Bad, "x   lost after this hop");
                self.line(&format!("     {mark}"));
            }
        }
    }

    fn evidence(&mut self, hand_over: &mut dyn FnMut(&mut String) -> io::Result<()>) -> io::Result<()> {
        let mut is_first = true;
        for e in self.parts.evidence() {
            if !self.cited.has(&e.id) {
                continue;
            }
            if std::mem::take(&mut is_first) {
                self.heading("Evidence");
            }
            self.wrapped(&format!("  [{}] ", inert(&e.id)), &inert(&e.statement));
            let sources: Vec<String> = e.sources.iter().map(|s| self.book.source(s)).collect();
            if !sources.is_empty() {
                self.wrapped("       in ", &sources.join("; "));
            }
            hand_over(&mut self.out)?;
        }
        Ok(())
    }

    /// ` [e1 e5]`, and the pieces count as named.
    fn cite(&mut self, evidence: &[String]) -> String {
        evidence.iter().for_each(|id| self.cited.add(id));
        if evidence.is_empty() {
            return String::new();
        }
        let ids: Vec<String> = evidence.iter().map(|e| inert(e)).collect();
        self.styled(Style::Faint, &format!("  [{}]", ids.join(" ")))
    }

    fn heading(&mut self, words: &str) {
        self.out.push('\n');
        let words = self.styled(Style::Heading, &words.to_uppercase());
        self.line(&words);
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    /// `first` and then `text`, broken between words at 120 columns, further lines under the first word.
    fn wrapped(&mut self, first: &str, text: &str) {
        // Escape sequences take no room.
        let visible =
            first.split('\u{1b}').map(|p| p.split_once('m').filter(|(code, _)| code.starts_with('[')).map_or(p, |(_, rest)| rest));
        let mut width: usize = visible.map(|p| p.chars().count()).sum();
        let indent = " ".repeat(width);
        let mut line = first.to_owned();
        let mut is_empty = true;
        for word in text.split(' ') {
            let needed = word.chars().count();
            if !is_empty && width + 1 + needed > WIDTH {
                self.line(&line);
                line.clone_from(&indent);
                width = indent.len();
                is_empty = true;
            }
            if !is_empty {
                line.push(' ');
                width += 1;
            }
            line.push_str(word);
            width += needed;
            is_empty = false;
        }
        self.line(&line);
    }

    fn styled(&self, style: Style, text: &str) -> String {
        if self.paint == Paint::Plain || text.is_empty() {
            return text.to_owned();
        }
        let code = match style {
            Style::Heading => "1",
            Style::Good => "32",
            Style::Warn => "33",
            Style::Bad => "1;31",
            Style::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

const WIDTH: usize = 120;
/// Of the entities and of the paths that a finding is about, so many are named.
const NAMED: usize = 12;

/// Of more paths than this it is told between whom they are, of so many pairs at most.
const LISTED: usize = 20;

/// Paths that are as many as this and alike are not all written out,
const MOST_ALIKE: u32 = 12;
/// but so many of them.
const WRITTEN: u32 = 3;

/// The same for paths of the same client and server, by the same way with the same outcome. `None`: one that stands for itself.
fn alike(p: &Path) -> Option<u64> {
    if !p.relays.is_empty() {
        return None;
    }
    let end = |e: &FlowEnd| e.entity.clone().unwrap_or_else(|| e.ip.clone());
    let via = p.flow.via.as_ref().map(|v| (end(v), v.port));
    let mut key = format!("{} {} {} {:?} {via:?}", p.flow.protocol, end(&p.flow.client), end(&p.flow.server), p.flow.server.port);
    for d in &p.directions {
        key.push_str(&format!(" {:?} {:?} {:?}", d.direction, d.verdict, d.lost_after));
        for h in &d.hops {
            key.push_str(&format!(" {} {:?} {} {}", h.owner, h.interface, h.observed, h.missing > 0));
        }
    }
    Some(xxh3_64(key.as_bytes()))
}

/// What a hop changed, in its own words: `SNAT, DNAT, MAC, TTL`.
fn changes(h: &Hop) -> String {
    let changes: Vec<&str> = h.rewrites.iter().map(|r| words::rewrite(*r)).collect();
    if changes.is_empty() { "-".to_owned() } else { changes.join(", ") }
}

/// `MAC → MAC   ip:port → ip:port`, without the parts that nobody knows.
fn addresses(h: &Hop) -> String {
    let mut text = String::new();
    if h.src_mac.is_some() || h.dst_mac.is_some() {
        let mac = |m: &Option<String>| format!("{:<17}", m.as_deref().map_or("-".to_owned(), inert));
        text.push_str(&format!("{} → {}   ", mac(&h.src_mac), mac(&h.dst_mac)));
    }
    if h.src_ip.is_some() || h.dst_ip.is_some() {
        let (src, dst) = (words::socket(h.src_ip.as_deref(), h.src_port), words::socket(h.dst_ip.as_deref(), h.dst_port));
        text.push_str(&format!("{src} → {dst}"));
    }
    text.trim_end().to_owned()
}

#[derive(Clone, Copy)]
enum Align {
    Left,
    Right,
}

/// Cells in columns as wide as their widest, two spaces apart.
struct Table<const N: usize> {
    align: [Align; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    fn new(align: &[Align; N]) -> Self {
        Self { align: *align, rows: Vec::new() }
    }

    fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    fn lines(self) -> Vec<String> {
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        let line = |row: &[String; N]| {
            let cells: Vec<String> = row
                .iter()
                .zip(&self.align)
                .zip(widths)
                .map(|((cell, align), width)| match align {
                    Align::Left => format!("{cell:<width$}"),
                    Align::Right => format!("{cell:>width$}"),
                })
                .collect();
            cells.join("  ").trim_end().to_owned()
        };
        self.rows.iter().map(line).collect()
    }
}
