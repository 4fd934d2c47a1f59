//! Whole cases: the files of `tests/cases/<name>/inputs` in, one report out.
//!
//! A case is a folder. `expected.txt` is what `hopscope analyze inputs` prints in it (`UPDATE_EXPECT=1 cargo test --test cases`
//! writes it anew); `truth.json` says what happened when the captures were made, and is `cargo xtask cases`' to judge.
//! For every case the same is checked, by [`check`]: the text, the report's integrity, and that the same inputs give the same bytes
//! however they arrive.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use hopscope::analysis::analyze;
use hopscope::capture::{CaptureReader, FrameSink, InterfaceInfo, RawFrame};
use hopscope::ingest::{Ingest, Ingested};
use hopscope::model::Mac;
use hopscope::report::{Entity, EntityKind, Hop, Report, Rewrite, Source, Status, Verdict, Way};
use hopscope::views;
use serde_json::Value;

macro_rules! cases {
    ($($test:ident: $folder:literal,)*) => {
        $(#[test]
        fn $test() {
            check($folder);
        })*

        const NAMED: &[&str] = &[$($folder),*];
    };
}

cases! {
    drop_midway_1: "drop-midway-1",
    drop_midway_2: "drop-midway-2",
    random_1: "random-1",
    random_2: "random-2",
    random_3: "random-3",
    random_4: "random-4",
    random_5: "random-5",
    random_6: "random-6",
    same_node_1: "same-node-1",
    same_node_2: "same-node-2",
    seed_icmp_1: "seed-icmp-1",
    seed_icmp_2: "seed-icmp-2",
    seed_lb_1: "seed-lb-1",
    seed_lb_2: "seed-lb-2",
    seed_lb_full_1: "seed-lb-full-1",
    seed_lb_full_2: "seed-lb-full-2",
    service_dns_1: "service-dns-1",
    service_dns_2: "service-dns-2",
}

#[test]
fn every_folder_is_a_test() {
    let mut folders: Vec<String> = std::fs::read_dir(cases())
        .unwrap()
        .map(|e| e.unwrap())
        .filter(|e| e.path().is_dir())
        .map(|e| e.file_name().into_string().unwrap())
        .collect();
    folders.retain(|f| !f.starts_with('_'));
    folders.sort();
    assert_eq!(folders, NAMED);
}

/// Everything that must hold of every case.
fn check(name: &str) {
    let case = Case::open(name);
    let ingested = case.ingest(usize::MAX);
    let report = analyze(&ingested);
    let json = report.to_json().unwrap();
    integrity(&case, &report);
    for permutation in 1..=4 {
        let other = analyze(&permuted(&ingested, permutation)).to_json().unwrap();
        same(&json, &other, &format!("{name}: inputs in order {permutation}"));
    }
    for chunk in [1, 7, 64 << 10] {
        let other = case.ingest(chunk);
        for (a, b) in ingested.iter().zip(&other) {
            assert!(a.to_bytes() == b.to_bytes(), "{name}: {} in chunks of {chunk} bytes is not what it is as a whole", a.name);
        }
        same(&json, &analyze(&other).to_json().unwrap(), &format!("{name}: chunks of {chunk} bytes"));
    }
    let moved: Vec<Ingested> = ingested.iter().map(|i| Ingested::from_bytes(&i.to_bytes()).expect("what to_bytes wrote")).collect();
    same(&json, &analyze(&moved).to_json().unwrap(), &format!("{name}: through to_bytes and from_bytes"));
    let read_back: Report = serde_json::from_str(&json).unwrap();
    assert_eq!(read_back, report, "{name}: the JSON does not say all of the report");
    expected(&case, &views::text(&report));
}

/// A case's files, in the order of their names.
struct Case {
    folder: PathBuf,
    /// `inputs/…` and what stands in it.
    files: BTreeMap<String, Vec<u8>>,
    truth: Value,
}

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

impl Case {
    fn open(name: &str) -> Self {
        fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, files) } else { files.push(path) }
            }
        }
        let folder = cases().join(name);
        let mut paths = Vec::new();
        walk(&folder.join("inputs"), &mut paths);
        let name = |p: &Path| p.strip_prefix(&folder).unwrap().to_str().unwrap().replace('\\', "/");
        let files = paths.iter().map(|p| (name(p), std::fs::read(p).unwrap())).collect();
        let truth = serde_json::from_slice(&std::fs::read(folder.join("truth.json")).unwrap()).unwrap();
        Self { folder, files, truth }
    }

    fn ingest(&self, chunk: usize) -> Vec<Ingested> {
        let one = |(name, bytes): (&String, &Vec<u8>)| {
            let mut ingest = Ingest::new(name);
            bytes.chunks(chunk.min(bytes.len().max(1))).for_each(|c| ingest.push(c));
            ingest.finish()
        };
        self.files.iter().flat_map(one).collect()
    }

    /// An input's bytes, uncompressed.
    fn content(&self, name: &str) -> Vec<u8> {
        let bytes = &self.files[name];
        if !bytes.starts_with(&[0x1f, 0x8b]) {
            return bytes.clone();
        }
        let mut content = Vec::new();
        flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut content).unwrap();
        content
    }
}

/// The same inputs in another order: reversed, or shuffled by a fixed sequence.
fn permuted(inputs: &[Ingested], number: u64) -> Vec<Ingested> {
    let mut inputs = inputs.to_vec();
    if number == 1 {
        inputs.reverse();
        return inputs;
    }
    let mut state = number;
    for n in (1..inputs.len()).rev() {
        // Knuth's MMIX generator: any sequence will do, as long as it is the same everywhere.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        inputs.swap(n, usize::try_from(state >> 33).unwrap() % (n + 1));
    }
    inputs
}

/// Equal texts, or the first line that differs.
fn same(a: &str, b: &str, what: &str) {
    if a != b {
        let line = a.lines().zip(b.lines()).position(|(x, y)| x != y).unwrap_or_else(|| a.lines().count().min(b.lines().count()));
        let show = |t: &str| t.lines().nth(line).unwrap_or("(end)").to_owned();
        panic!("{what}: line {} differs:\n  {}\n  {}", line + 1, show(a), show(b));
    }
}

fn expected(case: &Case, text: &str) {
    let path = case.folder.join("expected.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some_and(|v| v == "1") {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    same(&expected, text, &format!("{} (UPDATE_EXPECT=1 writes it anew)", path.display()));
}

/// Everything that the report names exists in it, and every place that it names exists in the inputs.
fn integrity(case: &Case, report: &Report) {
    let mut wrong: Vec<String> = Vec::new();
    let inputs: BTreeMap<&str, &str> = report.inputs.iter().map(|i| (i.id.as_str(), i.name.as_str())).collect();
    let named: BTreeSet<&str> = inputs.values().copied().collect();
    let given: BTreeSet<&str> = case.files.keys().map(String::as_str).collect();
    assert_eq!(named, given, "every file is one input");
    for i in &report.inputs {
        if i.status != Status::Ok || i.message.is_some() {
            wrong.push(format!("{} is {:?}: {:?}", i.name, i.status, i.message));
        }
        if i.bytes != case.files[&i.name].len() as u64 {
            wrong.push(format!("{} is said to have {} bytes", i.name, i.bytes));
        }
    }

    let points = unique(report.capture_points.iter().map(|p| p.id.as_str()), "capture point", &mut wrong);
    let entities: BTreeMap<&str, &Entity> = report.entities.iter().map(|e| (e.id.as_str(), e)).collect();
    unique(report.entities.iter().map(|e| e.id.as_str()), "entity", &mut wrong);
    unique(report.paths.iter().map(|p| p.id.as_str()), "path", &mut wrong);
    let evidence = unique(report.evidence.iter().map(|e| e.id.as_str()), "evidence", &mut wrong);
    let mut used: BTreeSet<&str> = BTreeSet::new();

    // A claim: a confidence, and evidence that is there.
    let mut claims: Vec<(String, f64, &[String])> = Vec::new();
    for p in report.capture_points.iter().filter(|p| p.at.is_some()) {
        claims.push((format!("capture point {}", p.id), p.confidence, &p.evidence));
    }
    claims.extend(report.entities.iter().map(|e| (format!("entity {}", e.id), e.confidence, e.evidence.as_slice())));
    claims.extend(report.links.iter().map(|l| (format!("link {} – {}", l.a, l.b), l.confidence, l.evidence.as_slice())));
    for path in &report.paths {
        for d in &path.directions {
            let hop = |(n, h): (usize, &Hop)| format!("{} {:?} hop {} ({})", path.id, d.direction, n + 1, h.owner);
            claims.extend(d.hops.iter().enumerate().map(|(n, h)| (hop((n, h)), h.confidence, h.evidence.as_slice())));
        }
    }
    claims.extend(report.findings.iter().map(|f| (format!("finding {}: {}", f.kind, f.summary), f.confidence, f.evidence.as_slice())));
    for (what, confidence, ids) in claims {
        if !(0.0..=1.0).contains(&confidence) {
            wrong.push(format!("{what}: confidence {confidence}"));
        }
        if ids.is_empty() {
            wrong.push(format!("{what}: no evidence"));
        }
        for id in ids {
            if !evidence.contains(id.as_str()) {
                wrong.push(format!("{what}: no evidence {id}"));
            }
            used.insert(id);
        }
    }
    for e in &report.evidence {
        if !used.contains(e.id.as_str()) {
            wrong.push(format!("{} supports nothing: {}", e.id, e.statement));
        }
        if e.sources.is_empty() || e.statement.is_empty() || e.kind.is_empty() {
            wrong.push(format!("{} has no source, statement or kind: {e:?}", e.id));
        }
    }
    places(case, report, &inputs, &mut wrong);

    let mut refer = |what: String, id: &str| {
        if !entities.contains_key(id) {
            wrong.push(format!("{what}: no entity {id}"));
        }
    };
    for p in &report.capture_points {
        p.at.iter().for_each(|at| refer(format!("capture point {}", p.id), at));
        if let Some(c) = &p.clock {
            assert!(points.contains(c.relative_to.as_str()), "{}: no capture point {}", p.id, c.relative_to);
        }
        assert!(inputs.contains_key(p.input.as_str()), "{}: no input {}", p.id, p.input);
    }
    for e in &report.entities {
        e.parent.iter().for_each(|p| refer(format!("parent of {}", e.id), p));
    }
    for l in &report.links {
        [&l.a, &l.b].into_iter().for_each(|id| refer(format!("link {} – {}", l.a, l.b), id));
    }
    for path in &report.paths {
        let ends = [Some(&path.flow.client), Some(&path.flow.server), path.flow.via.as_ref()];
        ends.into_iter().flatten().filter_map(|e| e.entity.as_ref()).for_each(|id| refer(format!("{} flow", path.id), id));
        for h in path.directions.iter().flat_map(|d| &d.hops) {
            refer(format!("{} hop", path.id), &h.owner);
            h.interface.iter().for_each(|i| refer(format!("{} hop", path.id), i));
        }
    }
    for f in &report.findings {
        f.about.iter().for_each(|id| refer(format!("finding {}", f.kind), id));
    }

    for path in &report.paths {
        for d in &path.directions {
            let n = d.hops.len();
            if n == 0
                || d.lost_after.is_some_and(|l| l as usize >= n)
                || d.lost_after.is_some() != matches!(d.verdict, Verdict::Lost | Verdict::Rejected)
            {
                wrong.push(format!("{} {:?}: {n} hops, {:?}, lost after {:?}", path.id, d.direction, d.verdict, d.lost_after));
            }
            for (n, h) in d.hops.iter().enumerate() {
                let unknown = h.capture_points.iter().any(|p| !points.contains(p.as_str()));
                if unknown || h.observed == h.capture_points.is_empty() || (h.seen > 0) != h.observed {
                    wrong.push(format!("{} hop {}: observed {}, seen {}, at {:?}", path.id, n + 1, h.observed, h.seen, h.capture_points));
                }
            }
        }
    }
    for e in &report.entities {
        let mut at = e;
        for depth in 0.. {
            let Some(parent) = at.parent.as_deref().and_then(|p| entities.get(p)) else { break };
            if depth > report.entities.len() {
                wrong.push(format!("{} contains itself", e.id));
                break;
            }
            at = parent;
        }
        let owner = e.id.strip_prefix("if:").and_then(|i| i.rsplit_once('/')).map(|(o, _)| o);
        if e.kind == EntityKind::Interface && owner.is_some_and(|o| e.parent.as_deref() != Some(o)) {
            wrong.push(format!("{} is in {:?}", e.id, e.parent));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn unique<'a>(ids: impl Iterator<Item = &'a str>, what: &str, wrong: &mut Vec<String>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    for id in ids {
        if !seen.insert(id) {
            wrong.push(format!("two of {what} {id}"));
        }
    }
    seen
}

/// Frames, pointers and lines are looked up in the files themselves, and what a statement says must stand there.
fn places(case: &Case, report: &Report, inputs: &BTreeMap<&str, &str>, wrong: &mut Vec<String>) {
    let contents: BTreeMap<&str, Content> = inputs.iter().map(|(id, name)| (*id, Content::of(case, name))).collect();
    let mut points: BTreeMap<&str, u64> = BTreeMap::new();
    for p in &report.capture_points {
        *points.entry(&p.input).or_default() += p.packets;
    }
    for (id, content) in &contents {
        let Content::Frames(frames) = content else { continue };
        let truth = case.truth["inputs"][inputs[id]]["packets"].as_u64();
        let told = points.get(id).copied().unwrap_or(0);
        if told != frames.len() as u64 || truth.is_some_and(|t| t != told) {
            wrong.push(format!("{}: {told} packets, of {} in the file and {truth:?} in truth", inputs[id], frames.len()));
        }
    }
    for e in &report.evidence {
        let mut cited: Vec<Cited<'_>> = Vec::new();
        for s in &e.sources {
            match contents.get(s.input.as_str()).and_then(|c| c.at(s)) {
                Some(found) => cited.push(found),
                None => wrong.push(format!("{} ({}): nothing at {s:?} of {:?}", e.id, e.statement, inputs.get(s.input.as_str()))),
            }
        }
        for address in addresses(&e.statement) {
            if !cited.iter().any(|c| c.shows(address)) {
                wrong.push(format!("{} ({}): {address:?} is at none of {:?}", e.id, e.statement, e.sources));
            }
        }
    }
    // An observed hop's addresses stand in a frame that it cites, captured where it says.
    let by_id: BTreeMap<&str, &[Source]> = report.evidence.iter().map(|e| (e.id.as_str(), e.sources.as_slice())).collect();
    let input_of: BTreeMap<&str, &str> = report.capture_points.iter().map(|p| (p.id.as_str(), p.input.as_str())).collect();
    for path in &report.paths {
        for h in path.directions.iter().flat_map(|d| &d.hops).filter(|h| h.observed) {
            let here: BTreeSet<&str> = h.capture_points.iter().filter_map(|p| input_of.get(p.as_str()).copied()).collect();
            let sources = h.evidence.iter().filter_map(|e| by_id.get(e.as_str())).flat_map(|s| s.iter());
            let frames: Vec<Cited<'_>> =
                sources.filter(|s| here.contains(s.input.as_str())).filter_map(|s| contents.get(s.input.as_str())?.at(s)).collect();
            let ips = [&h.src_ip, &h.dst_ip].into_iter().flatten().map(|ip| Address::Ip(ip.parse().unwrap()));
            let macs = [&h.src_mac, &h.dst_mac].into_iter().flatten().map(|mac| Address::Mac(mac.parse().unwrap()));
            let all: Vec<Address> = ips.chain(macs).collect();
            if !frames.iter().any(|f| all.iter().all(|a| f.shows(*a))) {
                wrong.push(format!("{} hop at {}: no frame cited from there shows {all:?}", path.id, h.owner));
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Address {
    Mac(Mac),
    Ip(IpAddr),
}

/// The MACs and IP addresses in a sentence.
fn addresses(statement: &str) -> Vec<Address> {
    let address = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != ']' && c != '[').trim_end_matches(['.', ',']);
        let mac = (word.len() == 17).then(|| word.parse().ok()).flatten().map(Address::Mac);
        let ip = word.parse().ok().or_else(|| word.parse::<SocketAddr>().ok().map(|s| s.ip())).map(Address::Ip);
        mac.or(ip)
    };
    statement.split([' ', '(', ')', '=']).filter_map(address).collect()
}

/// What stands at a place in an input.
enum Cited<'a> {
    Frame(&'a [u8]),
    Text(String),
}

impl Cited<'_> {
    fn shows(&self, address: Address) -> bool {
        let holds = |frame: &[u8], octets: &[u8]| frame.windows(octets.len()).any(|w| w == octets);
        match (self, address) {
            (Self::Frame(f), Address::Mac(m)) => holds(f, &m.0),
            (Self::Frame(f), Address::Ip(IpAddr::V4(ip))) => holds(f, &ip.octets()),
            (Self::Frame(f), Address::Ip(IpAddr::V6(ip))) => holds(f, &ip.octets()),
            (Self::Text(t), Address::Mac(m)) => t.to_ascii_lowercase().contains(&m.to_string()),
            (Self::Text(t), Address::Ip(ip)) => t.contains(&ip.to_string()),
        }
    }
}

enum Content {
    Frames(Vec<Vec<u8>>),
    Json(Value),
    Text(Vec<String>),
}

impl Content {
    fn of(case: &Case, name: &str) -> Self {
        let bytes = case.content(name);
        if !case.truth["inputs"][name]["packets"].is_null() {
            let mut frames = Frames(Vec::new());
            let mut reader = CaptureReader::new();
            reader.push(&bytes, &mut frames);
            reader.finish(&mut frames);
            return Self::Frames(frames.0);
        }
        let mut documents: Vec<Value> = Vec::new();
        for document in serde_json::Deserializer::from_slice(&bytes).into_iter() {
            match document {
                Ok(d) => documents.push(d),
                Err(_) => return Self::Text(String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()),
            }
        }
        // Several documents count as the elements of one array.
        Self::Json(if documents.len() == 1 { documents.remove(0) } else { Value::Array(documents) })
    }

    fn at(&self, source: &Source) -> Option<Cited<'_>> {
        let nth = |n: u64| usize::try_from(n).ok()?.checked_sub(1);
        match (self, source.frame, source.pointer.as_deref(), source.line) {
            (Self::Frames(frames), Some(frame), None, None) => frames.get(nth(frame)?).map(|f| Cited::Frame(f)),
            (Self::Json(document), None, Some(pointer), None) => document.pointer(pointer).map(|v| Cited::Text(v.to_string())),
            (Self::Text(lines), None, None, Some(line)) => {
                // What is indented continues what begins here: an interface's addresses.
                let rest = lines.get(nth(line)?..)?;
                let first = rest.first().filter(|l| !l.trim().is_empty())?;
                let more = rest.iter().skip(1).take_while(|l| l.starts_with([' ', '\t']));
                Some(Cited::Text(std::iter::once(first).chain(more).cloned().collect::<Vec<_>>().join("\n")))
            }
            _ => None,
        }
    }
}

struct Frames(Vec<Vec<u8>>);

impl FrameSink for Frames {
    fn interface(&mut self, _: &InterfaceInfo) {}

    fn frame(&mut self, frame: RawFrame<'_>) {
        self.0.push(frame.bytes.to_vec());
    }

    fn name(&mut self, _: IpAddr, _: &str) {}
}

/// The report of a case, as the page's example shows it.
fn report_of(name: &str) -> Report {
    analyze(&Case::open(name).ingest(usize::MAX))
}

fn entity<'a>(report: &'a Report, id: &str) -> &'a Entity {
    report.entities.iter().find(|e| e.id == id).unwrap_or_else(|| panic!("no entity {id}"))
}

#[test]
fn founding_example_pod_to_pod_is_seven_hops_each_way() {
    let report = report_of("seed-icmp-1");
    let tomcat = "if:pod:default/iksoon-deployment-tomcat-t5zp48kp5m-r2qlg/eth0";
    let mysql = "if:pod:default/iksoon-deployment-mysql-zxpcq9t2jk-drp66/eth0";
    let node1 = |i: &str| format!("if:node:ip-192-168-34-143.ap-northeast-2.compute.internal/{i}");
    let node2 = |i: &str| format!("if:node:ip-192-168-29-46.ap-northeast-2.compute.internal/{i}");
    let (router1, router2) = ("router:subnet-07eb2aee14bac96b0", "router:subnet-0bd5ba2fedcdd09d9");
    let [path] = report.paths.as_slice() else { panic!("one conversation, not {}", report.paths.len()) };
    let hops = |way: Way| -> Vec<&str> {
        let d = path.directions.iter().find(|d| d.direction == way).unwrap();
        assert_eq!((d.verdict, d.lost_after), (Verdict::Delivered, None));
        d.hops.iter().map(|h| h.interface.as_deref().unwrap_or(&h.owner)).collect()
    };
    let there = [tomcat, &node1("enia6653479892"), &node1("eth0"), router1, &node2("eth1"), &node2("eni0b8b3d003d6"), mysql];
    let back = [mysql, &node2("eni0b8b3d003d6"), &node2("eth1"), router2, &node1("eth0"), &node1("enia6653479892"), tomcat];
    assert_eq!(hops(Way::Request), there);
    assert_eq!(hops(Way::Reply), back);

    // The engineer's two question marks: the router as each subnet sees it.
    assert_eq!(entity(&report, router1).macs, ["0e:26:9f:32:7d:d6"]);
    assert_eq!(entity(&report, router2).macs, ["06:b6:b2:63:c0:90"]);
    // The table that was made by hand.
    let macs: Vec<(Option<&str>, Option<&str>)> =
        path.directions[0].hops.iter().filter(|h| h.observed).map(|h| (h.src_mac.as_deref(), h.dst_mac.as_deref())).collect();
    let row = |a, b| (Some(a), Some(b));
    assert_eq!(
        macs,
        [
            row("ae:3a:1e:a2:c6:d0", "0a:94:28:38:ec:76"),
            row("ae:3a:1e:a2:c6:d0", "0a:94:28:38:ec:76"),
            row("0e:86:5a:82:6b:e6", "0e:26:9f:32:7d:d6"),
            row("06:b6:b2:63:c0:90", "06:f6:57:ed:97:f4"),
            row("3e:b8:07:8c:e0:02", "06:a7:eb:f8:5d:cc"),
            row("3e:b8:07:8c:e0:02", "06:a7:eb:f8:5d:cc"),
        ]
    );
}

#[test]
fn founding_example_from_outside_names_the_workers_that_rewrote() {
    let report = report_of("seed-lb-1");
    let pod = "pod:default/iksoon-deployment-tomcat-s2sh6gq6mk-27qhp";
    let balancer = "lb:a6c922c5beaae0fd6d295f31c7c217fe";
    let node = |ip: &str| format!("node:ip-{ip}.ap-northeast-2.compute.internal");
    let (worker2, worker3) = (node("192-168-29-46"), node("192-168-73-157"));

    // Neither the load balancer nor these workers were captured; the packets' sources are the workers' own addresses.
    let [found] = report.findings.iter().filter(|f| f.about.contains(&worker2) && f.about.contains(&worker3)).collect::<Vec<_>>()[..]
    else {
        panic!("one finding names both workers: {:#?}", report.findings)
    };
    assert_eq!(found.kind, "address_translated");
    assert!(found.about.iter().any(|a| a == pod) && !found.about.contains(&node("192-168-34-143")), "worker 1 rewrote nothing: {found:?}");
    assert!(found.summary.contains("connections") && found.summary.contains("not one"), "{}", found.summary);

    let rewriter = |h: &&Hop| h.rewrites.contains(&Rewrite::Dnat) && h.rewrites.contains(&Rewrite::Snat);
    let connections: Vec<(&str, &str, &str)> = report
        .paths
        .iter()
        .map(|p| {
            let request = &p.directions[0];
            assert_eq!((request.direction, request.verdict), (Way::Request, Verdict::Delivered));
            let [one] = request.hops.iter().filter(rewriter).collect::<Vec<_>>()[..] else { panic!("{}: one node rewrites", p.id) };
            (request.hops[0].owner.as_str(), one.owner.as_str(), request.hops.last().unwrap().owner.as_str())
        })
        .collect();
    for worker in [&worker2, &worker3] {
        assert!(connections.iter().filter(|c| **c == (balancer, worker.as_str(), pod)).count() >= 1, "through {worker}: {connections:?}");
    }
    assert!(connections.len() >= 2, "two connections at least: {connections:?}");
}
