//! The paths as a graph for programs that draw or read graphs: Mermaid, Graphviz DOT, GraphML.
//! Knows these languages; which boxes and wires there are comes from `layout`, so every picture shows the same things.

use std::collections::{BTreeMap, BTreeSet};

use super::escape;
use super::layout::{self, Area, AreaKind, Edge, Picture, Port, Selection};
use super::words;
use crate::report::{Report, Way};

/// The chosen paths as a Mermaid flowchart. Its front matter asks for the ELK layout, which keeps boxes in boxes apart.
#[must_use]
pub fn mermaid(report: &Report, selection: &Selection) -> String {
    let picture = layout::layout(report, selection);
    let tree = Tree::new(&picture);
    let mut out = format!(
        "---\ntitle: \"{}\"\nconfig:\n  layout: elk\n---\nflowchart LR\n",
        // YAML: a double-quoted scalar; entities mean nothing to it, so what is not plain goes.
        picture.title.chars().map(|c| if c.is_control() || "\"\\#<>&".contains(c) { ' ' } else { c }).collect::<String>()
    );
    mermaid_boxes(&tree, None, 1, &mut out);
    let mut styles: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (n, e) in picture.edges.iter().enumerate() {
        let (Some(from), Some(to)) = (tree.node(&e.from), tree.node(&e.to)) else { continue };
        let arrow = if e.observed { "-->" } else { "-.->" };
        let text: Vec<String> = edge_lines(&picture, e).iter().map(|l| escape::mermaid(l)).collect();
        out.push_str(&format!("  {from} {arrow}|\"{}\"| {to}\n", text.join("<br>")));
        let style = match (e.lost_at.is_some(), e.direction) {
            (true, _) => "stroke:#c81e1e,stroke-width:3px",
            (false, Way::Request) => "stroke:#1559c7",
            (false, Way::Reply) => "stroke:#b45309",
        };
        styles.entry(style).or_default().push(n.to_string());
    }
    for (style, edges) in styles {
        out.push_str(&format!("  linkStyle {} {style}\n", edges.join(",")));
    }
    out
}

fn mermaid_boxes<'a>(tree: &Tree<'a>, parent: Option<&'a str>, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    for (n, area) in tree.children(parent) {
        let name = escape::mermaid(&area_name(area));
        if tree.is_leaf(&area.id) {
            out.push_str(&format!("{indent}n{n}[\"{name}{}\"]\n", if area.observed { "" } else { "<br>not captured" }));
            continue;
        }
        out.push_str(&format!("{indent}subgraph n{n}[\"{name}\"]\n"));
        mermaid_boxes(tree, Some(&area.id), depth + 1, out);
        for (p, port) in tree.ports(&area.id) {
            out.push_str(&format!(
                "{indent}  p{p}([\"{}\"])\n",
                port_lines(port).map(|l| escape::mermaid(&l)).collect::<Vec<_>>().join("<br>")
            ));
        }
        out.push_str(&format!("{indent}end\n"));
    }
}

/// The chosen paths in Graphviz's DOT.
#[must_use]
pub fn dot(report: &Report, selection: &Selection) -> String {
    let picture = layout::layout(report, selection);
    let tree = Tree::new(&picture);
    let mut out = format!(
        "digraph hopscope {{\n  label={};\n  labelloc=t;\n  rankdir=LR;\n  compound=true;\n  node [shape=box, fontname=\"sans-serif\", fontsize=10];\n  \
         edge [fontname=\"monospace\", fontsize=8];\n",
        escape::dot(&picture.title)
    );
    dot_boxes(&tree, None, 1, &mut out);
    for e in &picture.edges {
        let (Some(from), Some(to)) = (tree.node(&e.from), tree.node(&e.to)) else { continue };
        let colour = match (e.lost_at.is_some(), e.direction) {
            (true, _) => "#c81e1e",
            (false, Way::Request) => "#1559c7",
            (false, Way::Reply) => "#b45309",
        };
        let style = if e.observed { "solid" } else { "dashed" };
        out.push_str(&format!(
            "  {from} -> {to} [label={}, color=\"{colour}\", style={style}, tooltip={}];\n",
            dot_lines(&edge_lines(&picture, e)),
            escape::dot(&edge_tip(e))
        ));
    }
    out.push_str("}\n");
    out
}

fn dot_boxes<'a>(tree: &Tree<'a>, parent: Option<&'a str>, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    for (n, area) in tree.children(parent) {
        if tree.is_leaf(&area.id) {
            let mut lines = vec![area_name(area)];
            if !area.observed {
                lines.push("not captured".to_owned());
            }
            let style = if area.observed { "solid" } else { "dashed" };
            out.push_str(&format!("{indent}n{n} [label={}, style={style}, tooltip={}];\n", dot_lines(&lines), escape::dot(&area.entity)));
            continue;
        }
        out.push_str(&format!("{indent}subgraph cluster_n{n} {{\n{indent}  label={};\n", escape::dot(&area_name(area))));
        dot_boxes(tree, Some(&area.id), depth + 1, out);
        for (p, port) in tree.ports(&area.id) {
            let style = if port.observed { "rounded" } else { "\"rounded,dashed\"" };
            let lines: Vec<String> = port_lines(port).collect();
            out.push_str(&format!("{indent}  p{p} [label={}, style={style}, tooltip={}];\n", dot_lines(&lines), escape::dot(&port.id)));
        }
        out.push_str(&format!("{indent}}}\n"));
    }
}

/// Lines in one quoted string; `\l` ends a line and sets it to the left.
fn dot_lines(lines: &[String]) -> String {
    let inner: Vec<String> = lines.iter().map(|l| escape::dot_inner(l)).collect();
    match inner.as_slice() {
        [] => "\"\"".to_owned(),
        [one] => format!("\"{one}\""),
        many => format!("\"{}\\l\"", many.join("\\l")),
    }
}

/// The chosen paths as GraphML, for yEd, Gephi, NetworkX and the like: every box and interface a node, with its box as an attribute.
#[must_use]
pub fn graphml(report: &Report, selection: &Selection) -> String {
    let picture = layout::layout(report, selection);
    let tree = Tree::new(&picture);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">\n");
    for (name, of, kind) in [
        ("id", "node", "string"),
        ("label", "node", "string"),
        ("kind", "node", "string"),
        ("parent", "node", "string"),
        ("observed", "node", "boolean"),
        ("evidence", "node", "string"),
        ("paths", "edge", "string"),
        ("direction", "edge", "string"),
        ("from_hop", "edge", "int"),
        ("to_hop", "edge", "int"),
        ("changes", "edge", "string"),
        ("lost", "edge", "boolean"),
        ("edge_observed", "edge", "boolean"),
        ("confidence", "edge", "double"),
        ("edge_evidence", "edge", "string"),
    ] {
        out.push_str(&format!(
            "  <key id=\"{name}\" for=\"{of}\" attr.name=\"{}\" attr.type=\"{kind}\"/>\n",
            name.strip_prefix("edge_").unwrap_or(name)
        ));
    }
    out.push_str("  <graph edgedefault=\"directed\">\n");
    if report.sampling.is_some() {
        out.push_str(&format!("    <desc>{}</desc>\n", escape::xml(&picture.title)));
    }
    let data =
        |out: &mut String, key: &str, value: &str| out.push_str(&format!("      <data key=\"{key}\">{}</data>\n", escape::xml(value)));
    for (n, a) in picture.boxes.iter().enumerate() {
        out.push_str(&format!("    <node id=\"n{n}\">\n"));
        data(&mut out, "id", &a.id);
        data(&mut out, "label", &area_name(a));
        data(&mut out, "kind", a.kind.key());
        if let Some(parent) = &a.parent {
            data(&mut out, "parent", parent);
        }
        data(&mut out, "observed", &a.observed.to_string());
        data(&mut out, "evidence", &a.evidence.join(" "));
        out.push_str("    </node>\n");
    }
    for (n, p) in picture.ports.iter().enumerate() {
        out.push_str(&format!("    <node id=\"p{n}\">\n"));
        data(&mut out, "id", &p.id);
        data(&mut out, "label", &port_lines(p).next().unwrap_or_default());
        data(&mut out, "kind", "interface");
        data(&mut out, "parent", &p.area);
        data(&mut out, "observed", &p.observed.to_string());
        data(&mut out, "evidence", &p.evidence.join(" "));
        out.push_str("    </node>\n");
    }
    for (n, e) in picture.edges.iter().enumerate() {
        let (Some(from), Some(to)) = (tree.vertex(&e.from), tree.vertex(&e.to)) else { continue };
        out.push_str(&format!("    <edge id=\"e{n}\" source=\"{from}\" target=\"{to}\">\n"));
        data(&mut out, "paths", &e.paths.join(" "));
        data(&mut out, "direction", words::way(e.direction));
        data(&mut out, "from_hop", &e.from_hop.to_string());
        data(&mut out, "to_hop", &e.to_hop.to_string());
        data(&mut out, "changes", &changes(&picture, e).join("; "));
        data(&mut out, "lost", &e.lost_at.is_some().to_string());
        data(&mut out, "edge_observed", &e.observed.to_string());
        data(&mut out, "confidence", &words::confidence(e.confidence));
        data(&mut out, "edge_evidence", &e.evidence.join(" "));
        out.push_str("    </edge>\n");
    }
    out.push_str("  </graph>\n</graphml>\n");
    out
}

/// The picture's boxes by their parents.
struct Tree<'a> {
    children: BTreeMap<Option<&'a str>, Vec<(usize, &'a Area)>>,
    ports: BTreeMap<&'a str, Vec<(usize, &'a Port)>>,
    area: BTreeMap<&'a str, usize>,
    port: BTreeMap<&'a str, usize>,
    inner: BTreeSet<&'a str>,
}

impl<'a> Tree<'a> {
    fn new(p: &'a Picture) -> Self {
        let mut t = Self {
            children: BTreeMap::new(),
            ports: BTreeMap::new(),
            area: BTreeMap::new(),
            port: BTreeMap::new(),
            inner: p.boxes.iter().filter_map(|b| b.parent.as_deref()).collect(),
        };
        for (n, a) in p.boxes.iter().enumerate() {
            t.children.entry(a.parent.as_deref()).or_default().push((n, a));
            t.area.insert(&a.id, n);
        }
        for (n, port) in p.ports.iter().enumerate() {
            t.ports.entry(&port.area).or_default().push((n, port));
            t.port.insert(&port.id, n);
        }
        t
    }

    fn children(&self, parent: Option<&'a str>) -> &[(usize, &'a Area)] {
        self.children.get(&parent).map_or(&[], Vec::as_slice)
    }

    fn ports(&self, area: &str) -> &[(usize, &'a Port)] {
        self.ports.get(area).map_or(&[], Vec::as_slice)
    }

    /// Nothing is drawn inside it.
    fn is_leaf(&self, id: &str) -> bool {
        !self.inner.contains(id) && !self.ports.contains_key(id)
    }

    /// What an edge can end at: an interface, or a box with nothing inside.
    fn node(&self, id: &str) -> Option<String> {
        self.vertex(id).filter(|_| self.port.contains_key(id) || self.is_leaf(id))
    }

    fn vertex(&self, id: &str) -> Option<String> {
        self.port.get(id).map(|n| format!("p{n}")).or_else(|| self.area.get(id).map(|n| format!("n{n}")))
    }
}

/// `node ip-192-168-34-143`: a box's lines as one.
fn area_name(a: &Area) -> String {
    if a.kind == AreaKind::HostNetwork {
        return "host network".to_owned();
    }
    let lines: Vec<&str> = a.texts.iter().filter(|t| t.style != layout::TextStyle::Remark).map(|t| t.text.as_str()).collect();
    let (caption, name) = lines.split_first().map_or(("", String::new()), |(c, rest)| (*c, rest.concat()));
    if name.is_empty() { caption.to_owned() } else { format!("{caption} {name}") }
}

fn port_lines(p: &Port) -> impl Iterator<Item = String> + '_ {
    p.texts.iter().map(|t| t.text.clone())
}

/// What an edge's label says: which hop it leads to, what changes, whether packets were lost.
fn edge_lines(p: &Picture, e: &Edge) -> Vec<String> {
    let mut lines = Vec::new();
    if p.badges.is_empty() {
        lines.push(words::way(e.direction).to_owned());
        lines.push(words::count(e.paths.len() as u64, "path"));
    } else {
        lines.push(format!("{} {}", words::way(e.direction), e.to_hop + 1));
    }
    lines.extend(changes(p, e));
    if e.lost_at.is_some() {
        lines.push("lost here".to_owned());
    }
    lines
}

fn changes(p: &Picture, e: &Edge) -> Vec<String> {
    let label = p.labels.iter().find(|l| l.edge == e.id);
    label.map_or_else(Vec::new, |l| l.lines.iter().map(|c| c.text.trim().to_owned()).collect())
}

fn edge_tip(e: &Edge) -> String {
    format!("{} {} hop {} to {}", e.paths.join(" "), words::way(e.direction), e.from_hop + 1, e.to_hop + 1)
}
