//! The report as one static HTML page: pictures, tables, evidence with anchors. No scripts, nothing from elsewhere, and a
//! Content-Security-Policy that says so.

use super::escape::{inert, xml};
use super::layout::{self, Selection};
use super::svg::{Theme, draw};
use super::words::{self, Book};
use crate::report::{DirectionPath, Path, Report, Status, Verdict};
use crate::views::filter;

/// The whole report as an HTML document.
#[must_use]
pub fn html(report: &Report) -> String {
    let mut page = Page { out: String::new(), book: Book::new(report) };
    page.document();
    page.out
}

struct Page<'a> {
    out: String,
    book: Book<'a>,
}

impl Page<'_> {
    fn document(&mut self) {
        let r = self.book.report;
        let title = format!(
            "Hopscope: {}, {}, {}",
            words::count(r.paths.len() as u64, "path"),
            words::count(r.capture_points.len() as u64, "capture point"),
            words::count(r.inputs.len() as u64, "input")
        );
        self.put(&format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        ));
        self.put(&format!("<p class=\"faint\">Made by {} {}</p>\n", xml(&r.generator.name), xml(&r.generator.version)));
        if let Some(sampling) = &r.sampling {
            let text = words::sampling(sampling);
            self.put(&format!("<p class=\"warning\">{}; what is missing, and delays, are estimates.</p>\n", xml(&text)));
        }
        if let Some(left_out) = words::left_out(&r.ambiguous) {
            self.put(&format!("<p class=\"faint\">{}.</p>\n", xml(&left_out)));
        }
        self.findings();
        self.overview();
        for path in &r.paths {
            self.path(path);
        }
        self.inputs();
        self.points();
        self.evidence();
        self.put("</body>\n</html>\n");
    }

    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn findings(&mut self) {
        let findings = self.book.findings();
        if findings.is_empty() {
            return;
        }
        self.put("<h2 id=\"findings\">Findings</h2>\n<ul class=\"findings\">\n");
        for f in findings {
            let severity = words::severity(f.severity);
            let next = f.next_step.as_ref().map(|n| format!("<br>Next: <code>{}</code>", xml(&self.book.sentence(n)))).unwrap_or_default();
            let about: Vec<String> = f.about.iter().map(|a| format!("<code>{}</code>", xml(a))).collect();
            let about = if about.is_empty() { String::new() } else { format!("<br>About {}", about.join(", ")) };
            let paths: Vec<String> = f.paths.iter().take(NAMED).map(|p| format!("<a href=\"#{0}\">{0}</a>", xml(p))).collect();
            let more = match f.paths.len().saturating_sub(paths.len()) {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            let paths = if paths.is_empty() { String::new() } else { format!("<br>Paths {}{more}", paths.join(", ")) };
            let cites = cites(&f.evidence);
            self.put(&format!(
                "<li class=\"{severity}\"><strong>{severity}</strong> {} ({}): {}{cites}{about}{paths}{next}</li>\n",
                xml(&f.kind),
                words::confidence(f.confidence),
                xml(&self.book.sentence(&f.summary))
            ));
        }
        self.put("</ul>\n");
    }

    fn overview(&mut self) {
        let r = self.book.report;
        if r.paths.is_empty() {
            return;
        }
        self.put("<h2 id=\"paths\">Paths</h2>\n<ul>\n");
        for p in &r.paths {
            let flow = self.book.flow(&p.flow);
            self.put(&format!("<li><a href=\"#{0}\">{0}</a> {1}</li>\n", xml(&p.id), xml(&flow)));
        }
        self.put("</ul>\n");
        if r.paths.len() > 1 {
            let picture = draw(&layout::layout(r, &Selection::all()), Theme::Auto, "all-");
            self.put(&format!("<figure>{picture}</figure>\n"));
        }
    }

    fn path(&mut self, path: &Path) {
        let flow = self.book.flow(&path.flow);
        self.put(&format!(
            "<section>\n<h3 id=\"{0}\">{0} {1}</h3>\n<p>{2}, {3}</p>\n",
            xml(&path.id),
            xml(&flow),
            words::count(path.packets, "packet"),
            words::bytes(path.bytes)
        ));
        let picture = draw(&layout::of_path(&self.book, path), Theme::Auto, &format!("{}-", path.id));
        self.put(&format!("<figure>{picture}</figure>\n"));
        for d in &path.directions {
            self.direction(path, d);
        }
        let filter = filter::path_filter(path);
        if !filter.is_empty() {
            self.put(&format!("<p>Wireshark display filter: <code>{}</code></p>\n", xml(&filter)));
        }
        self.put("</section>\n");
    }

    fn direction(&mut self, path: &Path, d: &DirectionPath) {
        let class = if d.verdict == Verdict::Lost || d.verdict == Verdict::Rejected { " class=\"error\"" } else { "" };
        let verdict = self.book.verdict(d);
        self.put(&format!(
            "<table>\n<caption><strong>{}</strong>: <span{class}>{}</span></caption>\n<thead><tr><th scope=\"col\">#</th><th scope=\"col\">Where</th>\
             <th scope=\"col\">Seen</th><th scope=\"col\">Missing</th><th scope=\"col\">MAC</th><th scope=\"col\">Address</th><th scope=\"col\">TTL</th>\
             <th scope=\"col\">Changed here</th><th scope=\"col\">Delay</th><th scope=\"col\">Confidence</th><th scope=\"col\">Evidence</th></tr></thead>\n<tbody>\n",
            words::way(d.direction),
            xml(&verdict)
        ));
        for (n, h) in d.all_hops().enumerate() {
            let pair = |a: String, b: String| if a == "-" && b == "-" { String::new() } else { format!("{} → {}", xml(&a), xml(&b)) };
            let mac = |m: &Option<String>| m.as_deref().map_or("-".to_owned(), inert);
            let mut changes: Vec<String> = h.rewrites.iter().map(|r| words::rewrite(*r).to_owned()).collect();
            if let Some(before) = n.checked_sub(1).and_then(|b| d.hop(b)) {
                changes.extend(words::translations(before, h));
            }
            changes.extend(h.encapsulation.iter().map(|e| format!("inside {}", words::encapsulation(e))));
            let changes: Vec<String> = changes.iter().map(|c| xml(c)).collect();
            let is_last_seen = d.lost_after.is_some_and(|l| usize::try_from(l) == Ok(n));
            let (seen, missing) = if h.observed {
                (h.seen.to_string(), words::missing(h))
            } else {
                (words::unseen(!h.capture_points.is_empty()).to_owned(), String::new())
            };
            let row_class = match (h.observed, is_last_seen) {
                (_, true) => " class=\"loss\"",
                (false, _) => " class=\"faint\"",
                _ => "",
            };
            let place = self.book.place(h);
            self.put(&format!(
                "<tr{row_class}><td>{}</td><td title=\"{}\">{}</td><td>{seen}</td><td>{missing}</td><td class=\"mono\">{}</td><td class=\"mono\">{}</td><td>{}</td>\
                 <td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                n + 1,
                xml(&filter::hop_filter(path, h)),
                xml(&place),
                pair(mac(&h.src_mac), mac(&h.dst_mac)),
                pair(words::socket(h.src_ip.as_deref(), h.src_port), words::socket(h.dst_ip.as_deref(), h.dst_port)),
                h.ttl.map(|t| t.to_string()).unwrap_or_default(),
                changes.join("<br>"),
                words::delay(h),
                words::confidence(h.confidence),
                cites(&h.evidence)
            ));
        }
        self.put("</tbody>\n</table>\n");
    }

    fn inputs(&mut self) {
        self.put(
            "<h2 id=\"inputs\">Inputs</h2>\n<table>\n<thead><tr><th scope=\"col\">Id</th><th scope=\"col\">Name</th><th scope=\"col\">Kind</th>\
             <th scope=\"col\">Size</th><th scope=\"col\">Status</th></tr></thead>\n<tbody>\n",
        );
        for i in &self.book.report.inputs {
            let class = match i.status {
                Status::Ok => "",
                Status::Partial => " class=\"warning\"",
                Status::Rejected => " class=\"error\"",
            };
            let message = i.message.as_ref().map(|m| format!(": {}", xml(m))).unwrap_or_default();
            self.out.push_str(&format!(
                "<tr id=\"{0}\"><td>{0}</td><td>{1}</td><td>{2}</td><td>{3}</td><td{class}>{4}{message}</td></tr>\n",
                xml(&i.id),
                xml(&i.name),
                xml(&i.kind),
                words::bytes(i.bytes),
                words::status(i.status)
            ));
        }
        self.put("</tbody>\n</table>\n");
    }

    fn points(&mut self) {
        if self.book.report.capture_points.is_empty() {
            return;
        }
        self.put(
            "<h2 id=\"capture-points\">Capture points</h2>\n<table>\n<thead><tr><th scope=\"col\">Id</th><th scope=\"col\">Captured at</th>\
             <th scope=\"col\">Input</th><th scope=\"col\">Packets</th><th scope=\"col\">From</th><th scope=\"col\">Confidence</th><th scope=\"col\">Evidence</th></tr></thead>\n<tbody>\n",
        );
        for p in &self.book.report.capture_points {
            let at = p.at.as_deref().map_or("unknown".to_owned(), |at| self.book.name(at));
            let mut input = self.book.input_name(&p.input);
            if let Some(name) = &p.interface_name {
                input.push_str(&format!(" interface {}", inert(name)));
            }
            self.out.push_str(&format!(
                "<tr id=\"{0}\"><td>{0}</td><td>{1}</td><td>{2}</td><td>{3}</td><td>{4}</td><td>{5}</td><td>{6}</td></tr>\n",
                xml(&p.id),
                xml(&at),
                xml(&input),
                p.packets,
                p.first_ns.map(words::time).unwrap_or_default(),
                words::confidence(p.confidence),
                cites(&p.evidence)
            ));
        }
        self.put("</tbody>\n</table>\n");
    }

    fn evidence(&mut self) {
        if self.book.report.evidence.is_empty() {
            return;
        }
        self.put("<h2 id=\"evidence\">Evidence</h2>\n<dl>\n");
        for e in &self.book.report.evidence {
            let sources: Vec<String> = e.sources.iter().map(|s| xml(&self.book.source(s))).collect();
            self.out.push_str(&format!(
                "<dt id=\"{0}\">{0}</dt><dd>{1}<br><span class=\"faint\">{2}</span></dd>\n",
                xml(&e.id),
                xml(&e.statement),
                sources.join("; ")
            ));
        }
        self.put("</dl>\n");
    }
}

/// Links to pieces of evidence.
fn cites(evidence: &[String]) -> String {
    evidence.iter().map(|e| format!(" <a class=\"cite\" href=\"#{0}\">{0}</a>", xml(e))).collect()
}

/// Of the paths that a finding is about, so many are named.
const NAMED: usize = 24;

const STYLE: &str = "\
body{font:14px/1.45 system-ui,-apple-system,'Segoe UI',Roboto,Arial,sans-serif;margin:24px;color:#17202b;background:#fff}\
h1{font-size:20px}h2{font-size:17px;margin-top:32px}h3{font-size:14px;margin-top:28px;overflow-wrap:anywhere}\
figure{margin:8px 0}figure svg{max-width:100%;height:auto}table{border-collapse:collapse;margin:8px 0;font-size:12px}\
caption{text-align:left;padding:6px 0}th{text-align:left;font-weight:600;border-bottom:1px solid #8d9aa8;padding:3px 10px 3px 0}\
td{border-bottom:1px solid #e3e8ed;padding:3px 10px 3px 0;vertical-align:top}\
.mono,code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:11px}\
.faint{color:#66727f}.error,.loss td{color:#b01818}.warning{color:#8a5a00}.cite{font-size:11px}\
dt{font-weight:600;float:left;clear:left;width:56px}dd{margin:0 0 8px 64px;overflow-wrap:anywhere}\
:target{outline:2px solid #1559c7;outline-offset:2px}\
@media (prefers-color-scheme:dark){body{color:#e8edf3;background:#12161c}td{border-color:#303a46}a{color:#6ea8ff}\
.faint{color:#93a0ae}.error,.loss td{color:#ff7b7f}.warning{color:#f2c46a}}";
