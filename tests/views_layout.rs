//! The picture's promises, over the fixtures and over generated reports.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path as FilePath;

use hopscope::report::{DirectionPath, Entity, EntityKind, Hop, Path, Report, Rewrite, Verdict, Way};
use hopscope::views::layout::{Area, Picture, Rect, Selection, layout};
use proptest::prelude::*;

fn fixture(name: &str) -> Report {
    let file = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("tests/views/fixtures").join(name);
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

const FIXTURES: [&str; 4] = ["pod-to-pod.json", "load-balancer.json", "loss.json", "service-dns.json"];

/// Every selection that a report allows.
fn pictures(report: &Report) -> Vec<Picture> {
    let mut all = vec![layout(report, &Selection::all())];
    all.extend(report.paths.iter().map(|p| layout(report, &Selection::path(&p.id))));
    all.extend(report.paths.first().map(|p| layout(report, &Selection { path: Some(p.id.clone()), way: Some(Way::Reply) })));
    all
}

/// What every picture promises.
fn check(p: &Picture) -> Result<(), String> {
    let by_id: BTreeMap<&str, &Area> = p.boxes.iter().map(|b| (b.id.as_str(), b)).collect();
    let page = Rect { x: 0, y: 0, w: p.width, h: p.height };
    for b in &p.boxes {
        ensure(page.contains(&b.rect), || format!("{} leaves the page", b.id))?;
        if let Some(parent) = &b.parent {
            let parent = by_id.get(parent.as_str()).ok_or_else(|| format!("{} stands in {parent}, which is not drawn", b.id))?;
            ensure(parent.rect.contains(&b.rect), || format!("{} leaves {}", b.id, parent.id))?;
        }
    }
    let mut siblings: BTreeMap<Option<&str>, Vec<&Area>> = BTreeMap::new();
    for b in &p.boxes {
        siblings.entry(b.parent.as_deref()).or_default().push(b);
    }
    for group in siblings.values() {
        for (i, a) in group.iter().enumerate() {
            for b in &group[i + 1..] {
                ensure(!a.rect.overlaps(&b.rect), || format!("{} overlaps {}", a.id, b.id))?;
            }
        }
    }
    check_ports(p, &by_id)?;
    check_edges(p, &by_id)?;
    check_labels(p, &by_id)
}

fn check_ports(p: &Picture, by_id: &BTreeMap<&str, &Area>) -> Result<(), String> {
    for (i, port) in p.ports.iter().enumerate() {
        let area = by_id.get(port.area.as_str()).ok_or_else(|| format!("{} sits on no box", port.id))?;
        ensure(area.rect.contains(&port.rect), || format!("{} leaves {}", port.id, area.id))?;
        let touches = port.rect.x == area.rect.x || port.rect.x + port.rect.w == area.rect.x + area.rect.w;
        ensure(touches, || format!("{} is not on the border of {}", port.id, area.id))?;
        for other in &p.ports[i + 1..] {
            ensure(!port.rect.overlaps(&other.rect), || format!("{} overlaps {}", port.id, other.id))?;
        }
    }
    Ok(())
}

/// The box and all around it.
fn with_ancestors<'a>(id: &'a str, by_id: &BTreeMap<&'a str, &'a Area>) -> BTreeSet<&'a str> {
    let mut set = BTreeSet::new();
    let mut next = Some(id);
    while let Some(area) = next.and_then(|id| by_id.get(id)) {
        set.insert(area.id.as_str());
        next = area.parent.as_deref();
    }
    set
}

fn check_edges<'a>(p: &'a Picture, by_id: &BTreeMap<&'a str, &'a Area>) -> Result<(), String> {
    let port_area: BTreeMap<&str, &str> = p.ports.iter().map(|p| (p.id.as_str(), p.area.as_str())).collect();
    for e in &p.edges {
        ensure(e.points.len() >= 2, || format!("{} has no line", e.id))?;
        let mut home = BTreeSet::new();
        for end in [&e.from, &e.to] {
            let area = port_area.get(end.as_str()).copied().unwrap_or(end.as_str());
            ensure(by_id.contains_key(area), || format!("{} ends at {end}, which is not drawn", e.id))?;
            home.extend(with_ancestors(area, by_id));
        }
        // A wire between two pods of a node crosses the node's own network; one from a pod to the outside may cross it too.
        let nodes: BTreeSet<&str> = home.iter().copied().collect();
        for w in e.points.windows(2) {
            let (a, b) = (w[0], w[1]);
            ensure(a.x == b.x || a.y == b.y, || format!("{} is slanted", e.id))?;
            let line = Rect { x: a.x.min(b.x), y: a.y.min(b.y), w: (a.x - b.x).abs().max(1), h: (a.y - b.y).abs().max(1) };
            for port in p.ports.iter().filter(|p| p.id != e.from && p.id != e.to) {
                ensure(!shrunk(port.rect).overlaps(&line), || format!("{} runs through {}", e.id, port.id))?;
            }
            for area in &p.boxes {
                let is_own_network = area.id.strip_prefix("network:").is_some_and(|node| nodes.contains(node));
                ensure(home.contains(area.id.as_str()) || is_own_network || !shrunk(area.rect).overlaps(&line), || {
                    format!("{} crosses {}", e.id, area.id)
                })?;
            }
        }
    }
    Ok(())
}

/// Ends lie on borders, so a line one pixel thick reaches one pixel into its own box: borders do not count.
fn shrunk(r: Rect) -> Rect {
    Rect { x: r.x + 1, y: r.y + 1, w: r.w - 2, h: r.h - 2 }
}

fn check_labels<'a>(p: &'a Picture, by_id: &BTreeMap<&'a str, &'a Area>) -> Result<(), String> {
    for (i, l) in p.labels.iter().enumerate() {
        for other in &p.labels[i + 1..] {
            ensure(!l.rect.overlaps(&other.rect), || format!("the labels of {} and {} overlap", l.edge, other.edge))?;
        }
        for port in &p.ports {
            ensure(!l.rect.overlaps(&port.rect), || format!("the label of {} overlaps {}", l.edge, port.id))?;
        }
        for area in by_id.values() {
            ensure(!l.rect.overlaps(&area.rect) || area.rect.contains(&l.rect), || {
                format!("the label of {} overlaps {}", l.edge, area.id)
            })?;
        }
    }
    Ok(())
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

#[test]
fn fixtures_keep_the_promises() {
    for name in FIXTURES {
        for picture in pictures(&fixture(name)) {
            check(&picture).unwrap_or_else(|why| panic!("{name}: {}: {why}", picture.title));
        }
    }
}

#[test]
fn a_path_through_three_subnets_is_one_line() {
    let report = fixture("pod-to-pod.json");
    let picture = layout(&report, &Selection { path: Some("p1".into()), way: Some(Way::Request) });
    let heights: BTreeSet<i32> = picture.edges.iter().flat_map(|e| &e.points).map(|p| p.y).collect();
    assert_eq!(heights.len(), 1, "{heights:?}");
    let starts: Vec<i32> = picture.edges.iter().map(|e| e.points[0].x).collect();
    assert!(starts.is_sorted(), "{starts:?}");
    assert_eq!(picture.edges.len(), 6);
}

#[test]
fn a_hairpin_shows_one_interface_with_its_translation() {
    let report = fixture("load-balancer.json");
    let picture = layout(&report, &Selection::path("p2"));
    let worker: Vec<_> = picture.ports.iter().filter(|p| p.owner.contains("29-46")).collect();
    assert_eq!(worker.len(), 1);
    let turn = picture.edges.iter().find(|e| e.id == "p2/request/3").unwrap();
    assert_eq!(turn.from, turn.to);
    let label = picture.labels.iter().find(|l| l.edge == turn.id).unwrap();
    let text: Vec<&str> = label.lines.iter().map(|l| l.text.trim()).collect();
    assert!(text.contains(&"SNAT 192.168.90.41:34585") && text.contains(&"→ 192.168.53.154:8080"), "{text:?}");
}

#[test]
fn loss_is_marked_where_it_happened() {
    let report = fixture("loss.json");
    let lost = layout(&report, &Selection::path("p4"));
    let marks: Vec<&str> = lost.edges.iter().filter(|e| e.lost_at.is_some()).map(|e| e.id.as_str()).collect();
    assert_eq!(marks, ["p4/request/4/lost"]);
    let beyond = layout(&report, &Selection::path("p5"));
    let faint: Vec<&str> = beyond.edges.iter().filter(|e| e.is_beyond_loss).map(|e| e.id.as_str()).collect();
    assert_eq!(faint, ["p5/request/5", "p5/request/6"]);
    assert!(layout(&report, &Selection::path("p1")).edges.iter().all(|e| e.lost_at.is_none()));
    let map = layout(&report, &Selection::all());
    let marks: Vec<(&str, Way)> =
        map.edges.iter().filter(|e| e.lost_at.is_some()).map(|e| (e.from.rsplit('/').next().unwrap(), e.direction)).collect();
    assert_eq!(marks, [("eth1", Way::Request), ("eth1", Way::Request), ("enide6a91875ec", Way::Reply)]);
}

#[test]
fn what_is_lost_is_lost_further_on() {
    for way in [Way::Request, Way::Reply] {
        for last in 0..6 {
            let mut report = fixture("pod-to-pod.json");
            let d = report.paths[0].directions.iter_mut().find(|d| d.direction == way).unwrap();
            d.hops.truncate(last + 1);
            (d.verdict, d.lost_after) = (Verdict::Lost, Some(last as u32));
            let picture = layout(&report, &Selection::path("p1"));
            let (edge, at) = picture.edges.iter().find_map(|e| Some((e, e.lost_at?))).unwrap();
            let from = picture.ports.iter().find(|p| p.id == edge.from).map(|p| p.rect);
            let from = from.or_else(|| picture.boxes.iter().find(|b| b.id == edge.from).map(|b| b.rect)).unwrap();
            let is_further = if way == Way::Request { at.x > from.x + from.w } else { at.x < from.x };
            assert!(is_further, "{way:?} lost after hop {}: {at:?}, which left {from:?}", last + 1);
        }
    }
}

#[test]
fn beyond_a_loss_the_way_is_faint_and_says_who_looked() {
    let mut report = fixture("pod-to-pod.json");
    let path = &mut report.paths[0];
    path.directions.retain(|d| d.direction == Way::Request);
    let d = &mut path.directions[0];
    d.beyond = d.hops.split_off(3);
    (d.verdict, d.lost_after) = (Verdict::Lost, Some(2));
    for (n, hop) in d.beyond.iter_mut().enumerate() {
        hop.observed = false;
        hop.capture_points.truncate(usize::from(n == 1));
    }
    let picture = layout(&report, &Selection::path("p1"));
    check(&picture).unwrap();
    let faint: Vec<u32> = picture.edges.iter().filter(|e| e.is_beyond_loss).map(|e| e.to_hop).collect();
    assert_eq!(faint, [3, 4, 5, 6]);
    let lost: Vec<u32> = picture.edges.iter().filter(|e| e.lost_at.is_some()).map(|e| e.from_hop).collect();
    assert_eq!(lost, [2]);
    assert!(picture.labels.iter().all(|l| picture.edges.iter().any(|e| e.id == l.edge && !e.is_beyond_loss)));
    let remarks = |name: &str| picture.ports.iter().flat_map(|p| &p.texts).filter(|t| t.text == name).count();
    assert_eq!((remarks("captured, saw none"), remarks("not captured")), (1, 2));
}

#[test]
fn an_empty_report_and_an_unknown_path_are_empty_pictures() {
    for picture in [layout(&Report::default(), &Selection::all()), layout(&fixture(FIXTURES[0]), &Selection::path("p99"))] {
        assert!(picture.boxes.is_empty() && picture.edges.is_empty());
    }
}

/// What a generated path is made of: indices, so that they shrink well.
#[derive(Clone, Debug)]
struct Walk {
    stops: Vec<(u8, u8, bool)>,
    replies: bool,
    rewrites: u8,
    lost: Option<u8>,
}

fn walk() -> impl Strategy<Value = Walk> {
    (
        prop::collection::vec((any::<u8>(), any::<u8>(), any::<bool>()), 1..9),
        any::<bool>(),
        any::<u8>(),
        prop::option::weighted(0.3, 0..9_u8),
    )
        .prop_map(|(stops, replies, rewrites, lost)| Walk { stops, replies, rewrites, lost })
}

/// A world of zones, subnets, nodes, pods and devices, and walks through it that respect nothing.
fn world(walks: &[Walk], subnets: u8, nodes: u8, pods: u8) -> Report {
    let mut report = Report::default();
    let mut add = |id: String, kind, parent: Option<String>| {
        report.entities.push(Entity { name: id.clone(), id, kind, parent, confidence: 1.0, ..Entity::default() });
    };
    add("vpc:v".into(), EntityKind::Vpc, None);
    let mut owners = vec!["external:203.0.113.9".to_owned(), "unknown:02:00:00:00:00:01".to_owned(), "lb:web".to_owned()];
    add(owners[0].clone(), EntityKind::External, None);
    add(owners[2].clone(), EntityKind::LoadBalancer, Some("vpc:v".into()));
    for s in 0..subnets {
        add(format!("az:{}", s / 2), EntityKind::AvailabilityZone, Some("vpc:v".into()));
        add(format!("subnet:{s}"), EntityKind::Subnet, Some(format!("az:{}", s / 2)));
        add(format!("router:{s}"), EntityKind::VpcRouter, Some(format!("subnet:{s}")));
        owners.push(format!("router:{s}"));
    }
    for n in 0..nodes {
        add(format!("node:{n}.example"), EntityKind::Node, (subnets > 0).then(|| format!("subnet:{}", n % subnets)));
        owners.push(format!("node:{n}.example"));
        for p in 0..pods {
            add(format!("pod:a/{n}-{p}"), EntityKind::Pod, Some(format!("node:{n}.example")));
            owners.push(format!("pod:a/{n}-{p}"));
        }
    }
    for (n, w) in walks.iter().enumerate() {
        let mut hops: Vec<Hop> = w
            .stops
            .iter()
            .enumerate()
            .map(|(i, (owner, interface, observed))| {
                let owner = &owners[usize::from(*owner) % owners.len()];
                let rewrites = [Rewrite::Mac, Rewrite::Ttl, Rewrite::Snat, Rewrite::Dnat];
                Hop {
                    interface: (interface % 4 != 3).then(|| format!("if:{owner}/eth{}", interface % 3)),
                    owner: owner.clone(),
                    observed: *observed,
                    src_mac: Some("02:00:00:00:00:0a".into()),
                    src_ip: Some("2001:db8::1234:5678".into()),
                    src_port: Some(443),
                    ttl: Some(64),
                    rewrites: rewrites.into_iter().filter(|r| w.rewrites >> ((*r as usize + i) % 8) & 1 == 1).collect(),
                    delay_ns: observed.then_some(1000),
                    ..Hop::default()
                }
            })
            .collect();
        let lost = w.lost.filter(|l| usize::from(*l) < hops.len());
        let verdict = if lost.is_some() { Verdict::Lost } else { Verdict::Delivered };
        let mut path = Path { id: format!("p{}", n + 1), ..Path::default() };
        path.directions.push(DirectionPath { hops: hops.clone(), verdict, lost_after: lost.map(u32::from), ..DirectionPath::default() });
        if w.replies {
            hops.reverse();
            path.directions.push(DirectionPath { direction: Way::Reply, hops, verdict: Verdict::Delivered, ..DirectionPath::default() });
        }
        report.paths.push(path);
    }
    report
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_reports_keep_the_promises(walks in prop::collection::vec(walk(), 1..7), subnets in 0..5_u8, nodes in 1..6_u8, pods in 0..4_u8) {
        for picture in pictures(&world(&walks, subnets, nodes, pods)) {
            if let Err(why) = check(&picture) {
                return Err(TestCaseError::fail(format!("{}: {why}", picture.title)));
            }
        }
    }

    #[test]
    fn the_order_of_the_reports_lists_does_not_show(walks in prop::collection::vec(walk(), 1..7), turn in any::<usize>()) {
        let report = world(&walks, 3, 3, 2);
        let mut shuffled = report.clone();
        let (entities, paths) = (shuffled.entities.len(), shuffled.paths.len());
        shuffled.entities.rotate_left(turn % entities);
        shuffled.paths.rotate_left(turn % paths);
        for path in &mut shuffled.paths {
            path.directions.reverse();
        }
        prop_assert_eq!(pictures(&report)[0].clone(), pictures(&shuffled)[0].clone());
        for path in &report.paths {
            prop_assert_eq!(layout(&report, &Selection::path(&path.id)), layout(&shuffled, &Selection::path(&path.id)));
        }
    }
}

/// 250 nodes with a pod each, so 1000 interfaces, every pod talking to three others.
#[test]
fn a_thousand_interfaces_are_laid_out() {
    let mut report = Report::default();
    let mut add = |id: String, kind, parent: Option<String>| {
        report.entities.push(Entity { name: id.clone(), id, kind, parent, confidence: 1.0, ..Entity::default() });
    };
    add("vpc:v".into(), EntityKind::Vpc, None);
    for s in 0..12 {
        add(format!("az:{}", s % 3), EntityKind::AvailabilityZone, Some("vpc:v".into()));
        add(format!("subnet:{s}"), EntityKind::Subnet, Some(format!("az:{}", s % 3)));
        add(format!("router:{s}"), EntityKind::VpcRouter, Some(format!("subnet:{s}")));
    }
    for n in 0..250 {
        add(format!("node:{n}"), EntityKind::Node, Some(format!("subnet:{}", n % 12)));
        add(format!("pod:a/{n}"), EntityKind::Pod, Some(format!("node:{n}")));
    }
    let hop = |owner: String, interface: &str| Hop {
        interface: (!interface.is_empty()).then(|| format!("if:{owner}/{interface}")),
        owner,
        observed: true,
        ..Hop::default()
    };
    for n in 0..250 {
        for k in 1..4 {
            let m = (n * 7 + k * 31) % 250;
            let hops = vec![
                hop(format!("pod:a/{n}"), "eth0"),
                hop(format!("node:{n}"), "eni1"),
                hop(format!("node:{n}"), "eth0"),
                hop(format!("router:{}", n % 12), ""),
                hop(format!("node:{m}"), "eth1"),
                hop(format!("node:{m}"), "eni1"),
                hop(format!("pod:a/{m}"), "eth0"),
            ];
            let mut back = hops.clone();
            back.reverse();
            let direction = |direction, hops| DirectionPath { direction, hops, verdict: Verdict::Delivered, ..DirectionPath::default() };
            report.paths.push(Path {
                id: format!("p{}", report.paths.len() + 1),
                directions: vec![direction(Way::Request, hops), direction(Way::Reply, back)],
                ..Path::default()
            });
        }
    }
    let mut picture = layout(&report, &Selection::all());
    assert_eq!((picture.ports.len(), picture.edges.len()), (1000, 4000));
    // A sample: every line against every box takes long without optimisation.
    picture.edges = picture.edges.into_iter().step_by(23).collect();
    check(&picture).unwrap();
}
