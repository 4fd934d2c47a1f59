//! A picture as one self-contained SVG document: no scripts, no fonts or images from elsewhere.
//! Knows looks; must not move anything that `layout` placed.
//!
//! Colours are written as literals, once for light and once inside `prefers-color-scheme: dark`: editors and converters that do not know
//! CSS variables (librsvg, Inkscape) would show black boxes otherwise.

use std::fmt::Write as _;

use super::escape::xml;
use super::layout::{self, Area, AreaKind, ChangeKind, Edge, LINE, Label, Picture, Point, Port, Selection, Text, TextStyle};
use super::words;
use crate::report::{EntityKind, Report, Verdict, Way};

/// Which colours to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// As the reader's system prefers.
    #[default]
    Auto,
    /// Dark on white.
    Light,
    /// Light on black.
    Dark,
}

/// The chosen paths as an SVG document.
#[must_use]
pub fn svg(report: &Report, selection: &Selection, theme: Theme) -> String {
    draw(&layout::layout(report, selection), theme, "")
}

/// A finished picture as an SVG document. `prefix` goes before every id in it, so that several can stand in one page.
#[must_use]
pub fn draw(picture: &Picture, theme: Theme, prefix: &str) -> String {
    let mut d = Drawing { out: String::new(), prefix: xml(prefix), top: 0, width: 0 };
    d.document(picture, theme);
    d.out
}

struct Drawing {
    out: String,
    prefix: String,
    /// Height of what stands above the picture.
    top: i32,
    width: i32,
}

const SIDE: i32 = 20;
const LEGEND: i32 = 44;
/// Narrower than this, the legend would not fit.
const LEAST_WIDTH: i32 = 860;

impl Drawing {
    fn document(&mut self, p: &Picture, theme: Theme) {
        self.width = p.width.max(LEAST_WIDTH);
        // Rough, on the wide side: the title is proportional text.
        let per_line = usize::try_from((self.width - 2 * SIDE) * 2 / 19).unwrap_or(80).max(20);
        let title = break_words(&p.title, per_line);
        let badges: Vec<(Way, Verdict, Vec<String>)> =
            p.badges.iter().map(|b| (b.direction, b.verdict, break_words(&b.text, per_line.saturating_sub(2)))).collect();
        self.top = 16 + 20 * title.len() as i32 + badges.iter().map(|b| 18 * b.2.len() as i32 + 4).sum::<i32>();
        let height = self.top + p.height + LEGEND;
        let (width, prefix) = (self.width, self.prefix.clone());
        self.put(&format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" \
             aria-labelledby=\"{prefix}title {prefix}desc\" class=\"hopscope\">\n\
             <title id=\"{prefix}title\">{}</title>\n<desc id=\"{prefix}desc\">{}</desc>\n",
            xml(&p.title),
            xml(&p.description)
        ));
        self.put(&style(theme));
        self.markers();
        self.put(&format!("<rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n"));
        self.header(&title, &badges);
        let indent = (width - p.width) / 2;
        self.put(&format!("<g transform=\"translate({indent} {})\">\n", self.top));
        for a in &p.boxes {
            self.area(a);
        }
        // Replies first: where lines cross, the request stays whole.
        for way in [Way::Reply, Way::Request] {
            for e in p.edges.iter().filter(|e| e.direction == way) {
                self.edge(e);
            }
        }
        for port in &p.ports {
            self.port(port);
        }
        for l in &p.labels {
            self.label(l);
        }
        for m in &p.marks {
            self.put(&format!(
                "<text class=\"mark {}-word\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n",
                words::way(m.direction),
                m.end.x,
                m.end.y,
                xml(&m.text)
            ));
        }
        for e in &p.edges {
            self.loss(e);
        }
        self.put("</g>\n");
        self.legend(height);
        self.put("</svg>\n");
    }

    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn header(&mut self, title: &[String], badges: &[(Way, Verdict, Vec<String>)]) {
        let mut y = 26;
        for line in title {
            self.put(&format!("<text class=\"title\" x=\"{SIDE}\" y=\"{y}\">{}</text>\n", xml(line)));
            y += 20;
        }
        for (way, verdict, lines) in badges {
            let class = match verdict {
                Verdict::Unknown => "unknown-verdict",
                v => words::verdict_word(*v),
            };
            self.put(&format!("<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"4\"/>\n", SIDE + 5, y - 4));
            for (i, line) in lines.iter().enumerate() {
                let lead = if i == 0 { format!("<tspan class=\"{0}-word\">{0}</tspan> ", words::way(*way)) } else { String::new() };
                self.put(&format!("<text class=\"badge\" x=\"{}\" y=\"{y}\">{lead}{}</text>\n", SIDE + 16, xml(line)));
                y += 18;
            }
            y += 4;
        }
    }

    fn markers(&mut self) {
        for (name, class, shape) in [
            ("request", "request-head", "M0 0 L9 4.5 L0 9 z"),
            ("reply", "reply-head", "M1 1 L8 4.5 L1 8"),
            ("request-faint", "request-head faint", "M0 0 L9 4.5 L0 9 z"),
            ("reply-faint", "reply-head faint", "M1 1 L8 4.5 L1 8"),
        ] {
            self.put(&format!(
                "<marker id=\"{}{name}\" markerWidth=\"10\" markerHeight=\"10\" refX=\"8.5\" refY=\"4.5\" orient=\"auto\" \
                 markerUnits=\"userSpaceOnUse\"><path class=\"{class}\" d=\"{shape}\"/></marker>\n",
                self.prefix
            ));
        }
    }

    fn area(&mut self, a: &Area) {
        let class = match a.kind {
            AreaKind::HostNetwork => "network",
            AreaKind::Entity(EntityKind::Vpc) => "vpc",
            AreaKind::Entity(EntityKind::AvailabilityZone) => "zone",
            AreaKind::Entity(EntityKind::Subnet) => "subnet",
            AreaKind::Entity(EntityKind::Node) => "node",
            AreaKind::Entity(EntityKind::Pod) => "pod",
            AreaKind::Entity(EntityKind::External) => "external",
            AreaKind::Entity(EntityKind::Unknown) => "unknown",
            AreaKind::Entity(_) => "device",
        };
        let unseen = if a.observed { "" } else { " unseen" };
        let r = &a.rect;
        let radius = if matches!(class, "vpc" | "zone" | "subnet") { 10 } else { 7 };
        self.put(&format!(
            "<g><title>{}</title><rect class=\"{class}{unseen}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"{radius}\"/>",
            xml(&a.entity),
            r.x,
            r.y,
            r.w,
            r.h
        ));
        self.texts(&a.texts);
        self.put("</g>\n");
    }

    fn port(&mut self, p: &Port) {
        let r = &p.rect;
        let tip = if p.capture_points.is_empty() { String::new() } else { format!(", captured: {}", p.capture_points.join(", ")) };
        let (class, mark) = if p.observed { ("card", "seen") } else { ("card unseen", "not-seen") };
        self.put(&format!(
            "<g><title>{}{}</title><rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"4\"/><circle class=\"{mark}\" cx=\"{}\" cy=\"{}\" r=\"3\"/>",
            xml(&p.id),
            xml(&tip),
            r.x,
            r.y,
            r.w,
            r.h,
            r.x + 9,
            r.y + r.h / 2 - 7
        ));
        self.texts(&p.texts);
        self.put("</g>\n");
    }

    fn texts(&mut self, texts: &[Text]) {
        for t in texts {
            let class = match t.style {
                TextStyle::Caption => "caption",
                TextStyle::Name => "name",
                TextStyle::Address => "address",
                TextStyle::Remark => "remark",
            };
            self.put(&format!("<text class=\"{class}\" x=\"{}\" y=\"{}\">{}</text>", t.x, t.y, xml(&t.text)));
        }
    }

    fn edge(&mut self, e: &Edge) {
        let way = words::way(e.direction);
        let mut class = way.to_owned();
        if !e.observed {
            class.push_str(" inferred");
        }
        let mut marker = way.to_owned();
        if e.is_beyond_loss {
            class.push_str(" faint");
            marker.push_str("-faint");
        }
        let is_stump = e.from_hop == e.to_hop;
        let marker = if is_stump { String::new() } else { format!(" marker-end=\"url(#{}{marker})\"", self.prefix) };
        let hops =
            if is_stump { format!("after hop {}", e.from_hop + 1) } else { format!("hop {} to hop {}", e.from_hop + 1, e.to_hop + 1) };
        let seen = if e.observed { "captured at both ends" } else { "not captured at both ends" };
        let paths = e.paths.join(" ");
        self.put(&format!(
            "<path class=\"{class}\" d=\"{}\"{marker}><title>{} {way}, {hops}: {seen}</title></path>\n",
            rounded(&e.points),
            xml(&paths)
        ));
    }

    fn label(&mut self, l: &Label) {
        let (x, mut y) = (l.rect.x + 3, l.rect.y + 11);
        for line in &l.lines {
            let class = match line.kind {
                ChangeKind::Mac => "mac",
                ChangeKind::Ttl => "ttl",
                ChangeKind::Nat => "nat",
                ChangeKind::Tunnel => "tunnel",
                ChangeKind::Delay => "delay",
            };
            self.put(&format!("<text class=\"change {class}\" x=\"{x}\" y=\"{y}\" xml:space=\"preserve\">{}</text>\n", xml(&line.text)));
            y += LINE;
        }
    }

    fn loss(&mut self, e: &Edge) {
        if let Some(Point { x, y }) = e.lost_at {
            self.put(&format!(
                "<g><title>packets lost here</title><circle class=\"loss\" cx=\"{x}\" cy=\"{y}\" r=\"8\"/>\
                 <path class=\"loss-cross\" d=\"M{} {} l7 7 m0 -7 l-7 7\"/></g>\n",
                f64_half(2 * x - 7),
                f64_half(2 * y - 7)
            ));
        }
    }

    fn legend(&mut self, height: i32) {
        let y = height - 20;
        let mut x = SIDE;
        for (class, marker, word) in [
            ("request", "request", "request"),
            ("reply", "reply", "reply"),
            ("request inferred", "request", "inferred: not captured at one end or both"),
        ] {
            self.put(&format!(
                "<path class=\"{class}\" d=\"M{x} {0} h34\" marker-end=\"url(#{1}{marker})\"/><text class=\"legend\" x=\"{2}\" y=\"{y}\">{word}</text>\n",
                y - 4,
                self.prefix,
                x + 42
            ));
            x += 42 + 7 * word.len() as i32 + 12;
        }
        for (class, word) in [("seen", "captured here"), ("not-seen", "not captured")] {
            self.put(&format!(
                "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"3\"/><text class=\"legend\" x=\"{}\" y=\"{y}\">{word}</text>\n",
                x + 4,
                y - 4,
                x + 13
            ));
            x += 13 + 7 * word.len() as i32 + 16;
        }
        self.put(&format!(
            "<circle class=\"loss\" cx=\"{0}\" cy=\"{1}\" r=\"7\"/><path class=\"loss-cross\" d=\"M{2} {3} l6 6 m0 -6 l-6 6\"/><text class=\"legend\" x=\"{4}\" y=\"{y}\">lost here</text>\n",
            x + 7,
            y - 4,
            x + 4,
            y - 7,
            x + 20
        ));
    }
}

/// Half of a whole number, as text.
fn f64_half(doubled: i32) -> String {
    if doubled % 2 == 0 { (doubled / 2).to_string() } else { format!("{}.5", doubled.div_euclid(2)) }
}

/// A path through `points` with round corners.
fn rounded(points: &[Point]) -> String {
    let mut d = String::new();
    let Some(first) = points.first() else { return d };
    // Writing to a String cannot fail.
    let _ = write!(d, "M{} {}", first.x, first.y);
    for w in points.windows(3) {
        let [a, b, c] = w else { continue };
        let radius = RADIUS.min(distance(a, b) / 2).min(distance(b, c) / 2);
        let (before, after) = (toward(b, a, radius), toward(b, c, radius));
        let _ = write!(d, " L{} {} Q{} {} {} {}", before.x, before.y, b.x, b.y, after.x, after.y);
    }
    if let Some(last) = points.last().filter(|_| points.len() > 1) {
        let _ = write!(d, " L{} {}", last.x, last.y);
    }
    d
}

const RADIUS: i32 = 7;

fn distance(a: &Point, b: &Point) -> i32 {
    (a.x - b.x).abs() + (a.y - b.y).abs()
}

/// The point `by` away from `from` in the direction of `to`; lines are horizontal or vertical.
fn toward(from: &Point, to: &Point, by: i32) -> Point {
    Point { x: from.x + (to.x - from.x).signum() * by, y: from.y + (to.y - from.y).signum() * by }
}

/// Lines of at most `width` characters, broken between words.
fn break_words(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// One colour for each use: light, dark.
const COLOURS: &[(&str, &str, &str)] = &[
    (".paper", "fill:#ffffff", "fill:#12161c"),
    (".title,.name", "fill:#17202b", "fill:#e8edf3"),
    (".badge,.legend", "fill:#3b4754", "fill:#b9c4d0"),
    (".caption,.remark", "fill:#66727f", "fill:#93a0ae"),
    (".address,.change", "fill:#4a5663", "fill:#aeb9c6"),
    (".nat,.tunnel", "fill:#7a2fb0", "fill:#cf9bf5"),
    (".delay", "fill:#7b8794", "fill:#8591a0"),
    (".vpc", "fill:#f6f8fa;stroke:#c3ccd6", "fill:#171c23;stroke:#3a4552"),
    (".zone", "fill:none;stroke:#c9d1da", "fill:none;stroke:#3a4552"),
    (".subnet", "fill:#eef3f7;stroke:#d3dce4", "fill:#1b222b;stroke:#303a46"),
    (".node", "fill:#ffffff;stroke:#8d9aa8", "fill:#202832;stroke:#667484"),
    (".network", "fill:#f6f8fa;stroke:#d9e0e7", "fill:#1a2029;stroke:#36414d"),
    (".pod", "fill:#e9f2ff;stroke:#7fa8da", "fill:#17283f;stroke:#4672a8"),
    (".device", "fill:#ffffff;stroke:#8d9aa8", "fill:#202832;stroke:#667484"),
    (".external", "fill:#fdf6e8;stroke:#c9a55c", "fill:#2b2413;stroke:#8e733a"),
    (".unknown", "fill:#fdecec;stroke:#cf6f6f", "fill:#331a1c;stroke:#a85a5a"),
    (".card", "fill:#ffffff;stroke:#6b7886", "fill:#2a333f;stroke:#7d8b9a"),
    (".seen", "fill:#1b7f4b;stroke:#1b7f4b", "fill:#46c286;stroke:#46c286"),
    (".not-seen", "fill:none;stroke:#8d9aa8", "fill:none;stroke:#7d8b9a"),
    (".request", "stroke:#1559c7", "stroke:#6ea8ff"),
    (".request-head,.request-word", "fill:#1559c7", "fill:#6ea8ff"),
    (".reply", "stroke:#b45309", "stroke:#f2a65a"),
    (".reply-head", "fill:none;stroke:#b45309", "fill:none;stroke:#f2a65a"),
    (".reply-word", "fill:#b45309", "fill:#f2a65a"),
    (".loss", "fill:#c81e1e;stroke:#ffffff", "fill:#e5484d;stroke:#12161c"),
    (".loss-cross", "stroke:#ffffff", "stroke:#ffffff"),
    (".delivered", "fill:#1b7f4b", "fill:#46c286"),
    (".lost,.rejected", "fill:#c81e1e", "fill:#e5484d"),
    (".unknown-verdict", "fill:#8d9aa8", "fill:#7d8b9a"),
];

const SHAPES: &str = "\
.hopscope text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;font-size:12px}\
.hopscope .title{font-size:15px;font-weight:600}\
.hopscope .caption{font-size:11px}\
.hopscope .name{font-weight:600}\
.hopscope .address,.hopscope .change{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'Liberation Mono',monospace;font-size:10px}\
.hopscope .remark{font-size:10px;font-style:italic}\
.hopscope .mark{font-size:9px}\
.hopscope .nat,.hopscope .tunnel{font-weight:600}\
.hopscope .request-word,.hopscope .reply-word{font-weight:600}\
.hopscope .request,.hopscope .reply{fill:none;stroke-width:2;stroke-linejoin:round}\
.hopscope .reply{stroke-width:1.5}\
.hopscope .reply-head{stroke-width:1.5;stroke-linecap:round;stroke-linejoin:round}\
.hopscope .inferred{stroke-dasharray:5 4}\
.hopscope .faint{opacity:.35}\
.hopscope .zone{stroke-dasharray:3 3}\
.hopscope .unseen{stroke-dasharray:4 3}\
.hopscope .loss{stroke-width:1.5}\
.hopscope .loss-cross{fill:none;stroke-width:2;stroke-linecap:round}";

fn style(theme: Theme) -> String {
    let rules = |pick: fn(&(&'static str, &'static str, &'static str)) -> &'static str| -> String {
        COLOURS
            .iter()
            .map(|c| {
                let selectors: Vec<String> = c.0.split(',').map(|s| format!(".hopscope {s}")).collect();
                format!("{}{{{}}}", selectors.join(","), pick(c))
            })
            .collect()
    };
    let (light, dark) = (rules(|c| c.1), rules(|c| c.2));
    let colours = match theme {
        Theme::Light => light,
        Theme::Dark => dark,
        Theme::Auto => format!("{light}@media (prefers-color-scheme:dark){{{dark}}}"),
    };
    format!("<style>{SHAPES}{colours}</style>\n")
}
