//! What each view says, and that nothing from an input can act in any of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::path::Path as FilePath;

use hopscope::packed::PackedReport;
use hopscope::report::{
    CapturePoint, DirectionPath, Encapsulation, Entity, EntityKind, Evidence, Finding, Flow, FlowEnd, Hop, Input, Path, Report, Rewrite,
    Severity, Source, Status, Verdict, Way,
};
use hopscope::views::{self, Selection, Theme};

fn fixture(name: &str) -> Report {
    let file = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("tests/views/fixtures").join(name);
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn only_path(report: Report, id: &str) -> Report {
    PackedReport::from(report).only_path(id).unwrap().into()
}

#[test]
fn text_reads_like_an_incident_document() {
    let report = only_path(fixture("loss.json"), "p5");
    let text = views::text(&report);
    let section = text.split("PATHS\n").nth(1).unwrap().split("\nEVIDENCE").next().unwrap();
    insta::assert_snapshot!(section);
}

#[test]
fn a_report_of_one_path_says_nothing_of_others() {
    let mut report = fixture("loss.json");
    report.paths.truncate(2);
    let [one, other] = [0, 1].map(|i: usize| report.paths[i].id.clone());
    let told = |paths: &[&String]| Finding { paths: paths.iter().map(|p| (*p).clone()).collect(), ..Finding::default() };
    report.findings = vec![told(&[&one]), told(&[&other]), told(&[]), told(&[&one, &other])];
    let findings = only_path(report, &one).findings;
    assert_eq!(findings, [told(&[&one]), told(&[]), told(&[&one])]);
}

#[test]
fn text_names_bad_inputs_first_and_cites_its_evidence() {
    let mut report = fixture("pod-to-pod.json");
    report.inputs[3].status = Status::Partial;
    report.inputs[3].message = Some("cut inside frame 12".into());
    let text = views::text(&report);
    let first = text.lines().skip_while(|l| *l != "INPUTS").nth(1).unwrap();
    assert!(first.contains("partial") && first.contains(&report.inputs[3].name), "{first}");
    let cited: Vec<&str> = text.split('[').skip(1).filter_map(|t| t.split(']').next()).flat_map(|t| t.split(' ')).collect();
    let list = text.split("EVIDENCE").nth(1).unwrap();
    assert!(cited.len() > 20);
    for id in cited {
        assert!(list.contains(&format!("[{id}] ")), "{id} is cited and not listed");
    }
}

#[test]
fn every_hop_is_in_every_table() {
    let report = fixture("load-balancer.json");
    let hops: usize = report.paths.iter().flat_map(|p| &p.directions).map(|d| d.hops.len()).sum();
    assert_eq!(views::csv(&report).lines().count(), hops + 1);
    assert_eq!(views::html(&report).matches("<tr><td>").count() + views::html(&report).matches("<tr class=\"faint\"><td>").count(), hops);
}

#[test]
fn pictures_say_what_was_not_captured_and_tell_the_directions_apart() {
    let svg = views::svg(&fixture("pod-to-pod.json"), &Selection::path("p1"), Theme::Auto);
    assert!(svg.contains("role=\"img\"") && svg.contains("<title") && svg.contains("<desc"));
    assert!(svg.contains("class=\"request\"") && svg.contains("class=\"reply\"") && svg.contains("class=\"request inferred\""));
    assert!(svg.contains("not captured") && svg.contains("TTL 255 → 254") && svg.contains("MAC 0e:86:5a:82:6b:e6"));
    assert!(svg.contains("prefers-color-scheme"));
    assert!(!views::svg(&fixture("pod-to-pod.json"), &Selection::path("p1"), Theme::Light).contains("prefers-color-scheme"));
}

#[test]
fn tunnels_are_entered_and_left_where_the_hops_say() {
    let mut report = fixture("pod-to-pod.json");
    let tunnel =
        Encapsulation { kind: "vxlan".into(), vni: Some(7), outer_src: Some("10.0.0.1".into()), outer_dst: Some("10.0.0.2".into()) };
    let hops = &mut report.paths[0].directions[0].hops;
    for hop in &mut hops[2..5] {
        hop.encapsulation = vec![tunnel.clone()];
    }
    hops[2].rewrites.push(Rewrite::Encap);
    hops[5].rewrites.push(Rewrite::Decap);
    let svg = views::svg(&report, &Selection::path("p1"), Theme::Light);
    let place = |words: &str| svg.find(words).unwrap_or_else(|| panic!("{words} is not on the picture"));
    assert!(place("into vxlan 7") < place("out of vxlan 7"));
    assert_eq!(views::text(&report).matches("inside vxlan 7 10.0.0.1 → 10.0.0.2").count(), 3);
    assert!(views::csv(&report).lines().nth(3).unwrap().contains("vxlan 7 10.0.0.1 → 10.0.0.2"));
    assert!(views::mermaid(&report, &Selection::path("p1")).contains("out of vxlan 7"));
}

const HOSTILE: &str = "a\"b'c<d>&]]>--></script><script>alert(1)</script>\u{1b}[31m\u{202e}x\u{9b}\n=cmd()\r\t`$(id)`\\[({|;#%\u{0}\u{2066}\u{200f}\u{200b}\u{ad}\u{2028}\u{feff}\u{e0041}\u{ffff}";

/// A report in which every text is hostile.
fn hostile() -> Report {
    let h = |kind: &str| format!("{kind}:{HOSTILE}");
    let ids = vec![HOSTILE.to_owned()];
    let entity = |id: String, kind, parent| Entity {
        id,
        kind,
        name: HOSTILE.into(),
        aliases: ids.clone(),
        parent,
        macs: ids.clone(),
        ips: ids.clone(),
        confidence: 1.0,
        evidence: ids.clone(),
    };
    let end = |owner: &str| FlowEnd { entity: Some(h(owner)), ip: HOSTILE.into(), port: Some(1) };
    let hop = |owner: String| Hop {
        interface: Some(format!("if:{owner}/{HOSTILE}")),
        owner,
        observed: true,
        capture_points: ids.clone(),
        src_mac: Some(HOSTILE.into()),
        dst_mac: Some(HOSTILE.into()),
        src_ip: Some(HOSTILE.into()),
        dst_ip: Some(HOSTILE.into()),
        rewrites: vec![Rewrite::Mac, Rewrite::Ttl, Rewrite::Snat, Rewrite::Dnat, Rewrite::Encap],
        encapsulation: vec![Encapsulation {
            kind: HOSTILE.into(),
            vni: Some(1),
            outer_src: Some(HOSTILE.into()),
            outer_dst: Some(HOSTILE.into()),
        }],
        evidence: ids.clone(),
        ..Hop::default()
    };
    let hops = vec![hop(h("pod")), hop(h("node")), hop(h("router")), hop(h("unknown"))];
    let direction =
        |direction, verdict, lost_after| DirectionPath { direction, hops: hops.clone(), verdict, lost_after, beyond: hops.clone() };
    Report {
        generator: hopscope::report::Generator { name: HOSTILE.into(), version: HOSTILE.into() },
        inputs: vec![Input {
            id: HOSTILE.into(),
            name: HOSTILE.into(),
            kind: HOSTILE.into(),
            bytes: 1,
            status: Status::Rejected,
            message: Some(HOSTILE.into()),
        }],
        capture_points: vec![CapturePoint {
            id: HOSTILE.into(),
            input: HOSTILE.into(),
            interface_name: Some(HOSTILE.into()),
            at: Some(h("if")),
            evidence: ids.clone(),
            ..CapturePoint::default()
        }],
        entities: vec![
            entity(h("vpc"), EntityKind::Vpc, None),
            entity(h("subnet"), EntityKind::Subnet, Some(h("vpc"))),
            entity(h("node"), EntityKind::Node, Some(h("subnet"))),
            entity(h("pod"), EntityKind::Pod, Some(h("node"))),
            entity(h("router"), EntityKind::VpcRouter, Some(h("subnet"))),
        ],
        paths: vec![Path {
            id: HOSTILE.into(),
            flow: Flow { protocol: HOSTILE.into(), client: end("pod"), server: end("node"), via: Some(end("service")) },
            directions: vec![direction(Way::Request, Verdict::Lost, Some(1)), direction(Way::Reply, Verdict::Lost, Some(3))],
            ..Path::default()
        }],
        findings: vec![Finding {
            kind: HOSTILE.into(),
            severity: Severity::Error,
            about: ids.clone(),
            summary: HOSTILE.into(),
            next_step: Some(HOSTILE.into()),
            confidence: 1.0,
            evidence: ids.clone(),
            paths: vec![HOSTILE.into()],
        }],
        evidence: vec![Evidence {
            id: HOSTILE.into(),
            kind: HOSTILE.into(),
            statement: HOSTILE.into(),
            sources: vec![Source { input: HOSTILE.into(), pointer: Some(HOSTILE.into()), ..Source::default() }],
        }],
        ..Report::default()
    }
}

#[test]
fn no_view_lets_a_control_or_bidirectional_character_through() {
    let r = hostile();
    let one = Selection::path(HOSTILE);
    let views = [
        ("json", r.to_json().unwrap()),
        ("text", views::text(&r)),
        ("svg", views::svg(&r, &one, Theme::Auto)),
        ("svg of all", views::svg(&r, &Selection::all(), Theme::Auto)),
        ("mermaid", views::mermaid(&r, &one)),
        ("dot", views::dot(&r, &one)),
        ("graphml", views::graphml(&r, &one)),
        ("html", views::html(&r)),
        ("csv", views::csv(&r).replace("\r\n", "\n")),
        ("html of one", views::html(&only_path(r.clone(), HOSTILE))),
        ("filter", views::path_filter(&r.paths[0])),
        ("collect", views::collect::script(&views::collect::Target { pods: vec![HOSTILE.into()], nodes: vec![HOSTILE.into()] })),
    ];
    for (name, text) in views {
        let bad = text.char_indices().find(|(_, c)| hopscope::model::is_acting(*c) && *c != '\n');
        assert!(bad.is_none(), "{name}: {bad:?}");
        // Not lost either: shown for what it is. (Filters hold no names; a name that is quoted in JSON is the same text again.)
        let is_shown = ["\\u{202e}", "\\\\u{202e}", "#92;u#123;202e", "\\u202e"].iter().any(|s| text.contains(s));
        assert!(is_shown || name == "filter", "{name} hides it");
    }
    // What stands as a number in JSON is the same text to whoever reads it.
    assert_eq!(serde_json::from_str::<Report>(&r.to_json().unwrap()).unwrap(), r);
}

#[test]
fn markup_stays_well_formed_and_without_scripts() {
    let r = hostile();
    let svg = views::svg(&r, &Selection::path(HOSTILE), Theme::Auto);
    for (name, xml) in [("svg", svg), ("graphml", views::graphml(&r, &Selection::path(HOSTILE))), ("html", views::html(&r))] {
        assert!(!xml.contains("<script") && !xml.contains("]]>") && !xml.contains("-->"), "{name}");
        tags_match(&xml).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
}

/// Every tag is closed in order, and no attribute's value ends early.
fn tags_match(text: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    for part in text.split('<').skip(1) {
        let (tag, rest) = part.split_once('>').ok_or_else(|| format!("no end: <{part}"))?;
        if rest.contains('>') {
            return Err(format!("bare > after <{tag}>"));
        }
        if tag.starts_with(['!', '?']) || tag.starts_with("meta") || tag.starts_with("br") || tag.ends_with('/') {
            continue;
        }
        if tag.matches('"').count() % 2 != 0 {
            return Err(format!("quotes: <{tag}>"));
        }
        match tag.strip_prefix('/') {
            Some(name) if open.pop() == Some(name) => {}
            Some(name) => return Err(format!("</{name}> closes nothing")),
            None => open.push(tag.split(' ').next().unwrap_or(tag)),
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("left open: {open:?}")) }
}

#[test]
fn graph_languages_keep_their_structure() {
    let r = hostile();
    let tame = {
        let json =
            serde_json::to_string(&r).unwrap().replace(&serde_json::to_string(HOSTILE).unwrap().trim_matches('"').to_owned(), "tame");
        serde_json::from_str::<Report>(&json).unwrap()
    };
    // Hostile names give as many lines, boxes and arrows as tame ones.
    let shape = |text: &str, marks: &[&str]| -> Vec<usize> {
        marks.iter().map(|m| text.matches(m).count()).chain([text.lines().count()]).collect()
    };
    let (wild, calm) = (Selection::path(HOSTILE), Selection::path("tame"));
    let marks = ["subgraph ", "-->|", "-.->|", "\nend", "[\"", "\"]"];
    assert_eq!(shape(&views::mermaid(&r, &wild), &marks), shape(&views::mermaid(&tame, &calm), &marks));
    let outside_quotes = |text: &str| text.replace("\\\\", "").replace("\\\"", "").split('"').step_by(2).collect::<Vec<_>>().join("\"\"");
    assert_eq!(outside_quotes(&views::dot(&r, &wild)), outside_quotes(&views::dot(&tame, &calm)));
    for line in views::csv(&r).lines().skip(1) {
        let outside: String = line.replace("\"\"", "").split('"').step_by(2).collect();
        assert_eq!(outside.matches(',').count(), 23, "{line}");
        assert!(!line.split(',').any(|f| f.starts_with('=')));
    }
}

#[test]
fn of_many_paths_the_text_says_between_whom_they_are() {
    let mut report = fixture("loss.json");
    assert!(!views::text(&report).contains("WHO TALKS TO WHOM"), "few paths stand there themselves");
    let path = report.paths[3].clone();
    report.paths.extend((0..30).map(|n| {
        let mut path = path.clone();
        path.id = format!("p{}", 100 + n);
        path.flow.client.port = Some(40_000 + n);
        path
    }));
    let text = views::text(&report);
    let told = text.lines().skip_while(|l| !l.starts_with("WHO TALKS TO WHOM")).nth(2).unwrap();
    let first: Vec<&str> = told.split_whitespace().take(2).collect();
    assert_eq!(first, ["31", "31"], "{told}");
}
