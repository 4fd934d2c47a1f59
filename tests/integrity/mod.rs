//! What must hold of every report: what it names exists, and what it says stands where it says.
//! Knows the report and the files as they are on disk; must not know what is in a case.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, unreachable_pub)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};

use hopscope::capture::{CaptureReader, FrameSink, InterfaceInfo, RawFrame};
use hopscope::model::Mac;
use hopscope::report::{DirectionPath, Entity, EntityKind, Hop, Report, Source, Status, Verdict};
use serde_json::Value;

/// Everything that the report names exists in it, and every place that it names exists in the inputs.
/// `is_clean`: every input is whole.
pub fn integrity(files: &BTreeMap<String, Vec<u8>>, report: &Report, is_clean: bool) {
    let mut wrong: Vec<String> = Vec::new();
    let inputs: BTreeMap<&str, &str> = report.inputs.iter().map(|i| (i.id.as_str(), i.name.as_str())).collect();
    let named: BTreeSet<&str> = inputs.values().copied().collect();
    let given: BTreeSet<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(named, given, "every file is one input");
    for i in &report.inputs {
        if is_clean && (i.status != Status::Ok || i.message.as_deref().is_some_and(|m| m != "the command had nothing to list")) {
            wrong.push(format!("{} is {:?}: {:?}", i.name, i.status, i.message));
        }
        if i.bytes != files[&i.name].len() as u64 {
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
            claims.extend(d.all_hops().enumerate().map(|(n, h)| (hop((n, h)), h.confidence, h.evidence.as_slice())));
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
    places(files, report, &inputs, &mut wrong);

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
        for h in path.directions.iter().flat_map(DirectionPath::all_hops) {
            refer(format!("{} hop", path.id), &h.owner);
            h.interface.iter().for_each(|i| refer(format!("{} hop", path.id), i));
        }
    }
    for f in &report.findings {
        f.about.iter().for_each(|id| refer(format!("finding {}", f.kind), id));
    }

    for f in &report.findings {
        for id in f.paths.iter().filter(|id| !report.paths.iter().any(|p| p.id == **id)) {
            wrong.push(format!("finding {}: there is no path {id}", f.kind));
        }
    }
    for path in &report.paths {
        for d in &path.directions {
            let n = d.hops.len();
            if n == 0
                || d.lost_after.is_some_and(|l| l as usize >= n)
                || d.lost_after.is_some() != matches!(d.verdict, Verdict::Lost | Verdict::Rejected)
                || !d.beyond.is_empty() && d.verdict != Verdict::Lost
            {
                wrong.push(format!("{} {:?}: {n} hops, {:?}, lost after {:?}", path.id, d.direction, d.verdict, d.lost_after));
            }
            for (n, h) in d.all_hops().enumerate() {
                let unknown = h.capture_points.iter().any(|p| !points.contains(p.as_str()));
                let is_beyond = n >= d.hops.len();
                let is_captured = if is_beyond { h.missing > 0 } else { h.observed };
                if unknown || h.observed && is_beyond || is_captured == h.capture_points.is_empty() || (h.seen > 0) != h.observed {
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
fn places(files: &BTreeMap<String, Vec<u8>>, report: &Report, inputs: &BTreeMap<&str, &str>, wrong: &mut Vec<String>) {
    let contents: BTreeMap<&str, Content> = inputs.iter().map(|(id, name)| (*id, Content::of(&files[*name]))).collect();
    let mut points: BTreeMap<&str, u64> = BTreeMap::new();
    for p in &report.capture_points {
        *points.entry(&p.input).or_default() += p.packets;
    }
    for (id, content) in &contents {
        let Content::Frames(frames) = content else { continue };
        let told = points.get(id).copied().unwrap_or(0);
        if told != frames.len() as u64 {
            wrong.push(format!("{}: {told} packets, of {} in the file", inputs[id], frames.len()));
        }
    }
    let places: BTreeSet<&str> = report.entities.iter().filter_map(|e| e.id.strip_prefix("if:").or(e.id.strip_prefix("host:"))).collect();
    for e in &report.evidence {
        let mut cited: Vec<Cited<'_>> = Vec::new();
        for s in &e.sources {
            match contents.get(s.input.as_str()).and_then(|c| c.at(s)) {
                Some(found) => cited.push(found),
                None => wrong.push(format!("{} ({}): nothing at {s:?} of {:?}", e.id, e.statement, inputs.get(s.input.as_str()))),
            }
        }
        // An interface that no inventory names is called by its address: "seen at 0e:…" names a place.
        let is_name = |a: &Address| matches!(a, Address::Mac(m) if e.kind != "stated" && places.contains(m.to_string().as_str()));
        for address in addresses(&e.statement).into_iter().filter(|a| !is_name(a)) {
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
            // In a header, or as text in what the packet carries (`X-Forwarded-For`).
            (Self::Frame(f), Address::Ip(IpAddr::V4(ip))) => holds(f, &ip.octets()) || holds(f, ip.to_string().as_bytes()),
            (Self::Frame(f), Address::Ip(IpAddr::V6(ip))) => holds(f, &ip.octets()) || holds(f, ip.to_string().as_bytes()),
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
    fn of(bytes: &[u8]) -> Self {
        let bytes = unpacked(bytes);
        let magic = bytes.get(..4).unwrap_or_default();
        let is_capture = [
            [0xa1, 0xb2, 0xc3, 0xd4],
            [0xd4, 0xc3, 0xb2, 0xa1],
            [0xa1, 0xb2, 0x3c, 0x4d],
            [0x4d, 0x3c, 0xb2, 0xa1],
            [0x0a, 0x0d, 0x0d, 0x0a],
        ];
        if is_capture.iter().any(|m| m == magic) {
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
            // Of a capture without a frame there is no place to name but its beginning.
            (Self::Frames(frames), None, None, Some(1)) if frames.is_empty() => Some(Cited::Text(String::new())),
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

    fn name(&mut self, _: IpAddr, _: &str, _: u64) {}
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return bytes.to_vec();
    }
    let mut content = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut content).unwrap();
    content
}
