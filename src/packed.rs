//! A report of many conversations, kept small: its paths, findings and evidence as rows that are read when they are asked for.
//! Knows the report's members; must not know how they came about.

mod json;

use std::io;
use std::net::IpAddr;

use crate::model::{Locator, Mac, Protocol};
use crate::report::{
    DirectionPath, Encapsulation, Evidence, Finding, Flow, FlowEnd, Hop, Path, Relay, Report, Rewrite, Severity, Side, Source, Verdict, Way,
};
use crate::rows::{Reader, Row, Rows, Writer};

/// The same as a [`Report`].
#[derive(Debug, Default)]
pub struct PackedReport {
    /// All but what the other members have.
    pub head: Report,
    /// In the report's order.
    pub paths: Rows<Path>,
    /// In the report's order.
    pub findings: Rows<Finding>,
    /// In the report's order.
    pub evidence: Rows<Evidence>,
}

impl From<Report> for PackedReport {
    fn from(mut head: Report) -> Self {
        let paths = std::mem::take(&mut head.paths).into_iter().collect();
        let findings = std::mem::take(&mut head.findings).into_iter().collect();
        let evidence = std::mem::take(&mut head.evidence).into_iter().collect();
        Self { head, paths, findings, evidence }
    }
}

impl From<PackedReport> for Report {
    fn from(packed: PackedReport) -> Self {
        packed.unpacked()
    }
}

impl PackedReport {
    /// Writes the document, row by row: [`Report::write_json`] writes the same.
    ///
    /// # Errors
    /// What `out` says, or a number that is not finite.
    pub fn write_json(&self, mut out: impl io::Write) -> io::Result<()> {
        json::write(self, &mut out)
    }

    /// All of it laid out: several times as large.
    #[must_use]
    pub fn unpacked(&self) -> Report {
        Report {
            paths: self.paths.iter().collect(),
            findings: self.findings.iter().collect(),
            evidence: self.evidence.iter().collect(),
            ..self.head.clone()
        }
    }

    /// With only the path `id` in it, and without what is told of other paths alone, or `None` if it has no such path. Everything else stays.
    #[must_use]
    pub fn only_path(self, id: &str) -> Option<Self> {
        let path = self.path_of(id)?;
        let findings = self.findings.iter().filter(|f| f.paths.is_empty() || f.paths.iter().any(|p| p == id));
        let findings = findings.map(|f| Finding { paths: f.paths.into_iter().filter(|p| p == id).collect(), ..f }).collect();
        Some(Self { paths: [path].into_iter().collect(), findings, ..self })
    }

    /// The beginnings of all paths, in the report's order.
    pub fn heads(&self) -> impl Iterator<Item = PathHead> {
        self.paths.iter_as()
    }

    /// The beginning of a path.
    #[must_use]
    pub fn head_at(&self, at: usize) -> Option<PathHead> {
        self.paths.get_as(at)
    }

    /// A finding, of whose paths only the first few are named: there may be a million.
    #[must_use]
    pub fn finding_at(&self, at: usize) -> Option<Finding> {
        self.findings.get_as::<Brief>(at).map(|f| f.0)
    }

    /// A path by its id.
    #[must_use]
    pub fn path_of(&self, id: &str) -> Option<Path> {
        numbered("p", id, &self.paths, |p| &p.id)
    }

    /// Evidence by its id.
    #[must_use]
    pub fn evidence_of(&self, id: &str) -> Option<Evidence> {
        numbered("e", id, &self.evidence, |e| &e.id)
    }
}

/// The row with an id. They are numbered in their order; of one path that was taken out, or in another's report, they are not.
fn numbered<T: Row>(letter: &str, id: &str, rows: &Rows<T>, id_of: impl Fn(&T) -> &String) -> Option<T> {
    let usual = id.strip_prefix(letter).and_then(|n| n.parse::<usize>().ok()).and_then(|n| rows.get(n.checked_sub(1)?));
    usual.filter(|row| id_of(row) == id).or_else(|| rows.iter().find(|row| id_of(row) == id))
}

/// A place in an input.
pub(crate) fn write_locator(to: &mut Writer<'_>, at: &Locator) {
    match at {
        Locator::Frame(n) => {
            to.number(0);
            to.number(*n);
        }
        Locator::Pointer(pointer) => {
            to.number(1);
            to.text(pointer);
        }
        Locator::Line(n) => {
            to.number(2);
            to.number(*n);
        }
    }
}

/// `None`: none of the three.
pub(crate) fn read_locator(from: &mut Reader<'_>) -> Option<Locator> {
    match from.number() {
        0 => Some(Locator::Frame(from.number())),
        1 => Some(Locator::Pointer(from.text())),
        2 => Some(Locator::Line(from.number())),
        _ => None,
    }
}

impl Row for Source {
    fn write(&self, to: &mut Writer<'_>) {
        // An index, as the book of evidence has it.
        let digits = self.input.strip_prefix("in").and_then(|n| n.parse::<u64>().ok()).and_then(|n| n.checked_sub(1));
        match digits.filter(|n| *n < 1 << 32 && format!("in{}", n + 1) == self.input) {
            Some(index) => to.number(index << 1),
            None => {
                to.number(1);
                to.word(&self.input);
            }
        }
        match (self.frame, &self.pointer, self.line) {
            (Some(n), None, None) => write_locator(to, &Locator::Frame(n)),
            (None, Some(pointer), None) => write_locator(to, &Locator::Pointer(pointer.clone())),
            (None, None, Some(n)) => write_locator(to, &Locator::Line(n)),
            (frame, pointer, line) => {
                to.number(3);
                to.option(frame, Writer::number);
                to.option(pointer.as_deref(), Writer::text);
                to.option(line, Writer::number);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Self {
        let index = from.number();
        let input = if index & 1 == 0 { format!("in{}", (index >> 1) + 1) } else { from.word() };
        let mut source = Self { input, ..Self::default() };
        match read_locator(from) {
            Some(Locator::Frame(n)) => source.frame = Some(n),
            Some(Locator::Pointer(pointer)) => source.pointer = Some(pointer),
            Some(Locator::Line(n)) => source.line = Some(n),
            None => {
                source.frame = from.option(Reader::number);
                source.pointer = from.option(Reader::text);
                source.line = from.option(Reader::number);
            }
        }
        source
    }
}

impl Row for Evidence {
    fn write(&self, to: &mut Writer<'_>) {
        to.name("e", &self.id);
        to.word(&self.kind);
        to.text(&self.statement);
        to.list(&self.sources, |to, source| source.write(to));
    }

    fn read(from: &mut Reader<'_>) -> Self {
        Self { id: from.name("e"), kind: from.word(), statement: from.text(), sources: from.list(Source::read) }
    }
}

fn write_evidence(to: &mut Writer<'_>, ids: &[String]) {
    to.list(ids, |to, id| to.name("e", id));
}

fn read_evidence(from: &mut Reader<'_>) -> Vec<String> {
    from.list(|from| from.name("e"))
}

impl Row for Finding {
    fn write(&self, to: &mut Writer<'_>) {
        to.word(&self.kind);
        to.number(self.severity as u64);
        to.list(&self.about, |to, id| to.text(id));
        to.text(&self.summary);
        to.option(self.next_step.as_deref(), Writer::text);
        to.share(self.confidence);
        write_evidence(to, &self.evidence);
        to.list(&self.paths, |to, id| to.name("p", id));
    }

    fn read(from: &mut Reader<'_>) -> Self {
        let finding = Brief::read_but_paths(from);
        Self { paths: from.list(|from| from.name("p")), ..finding }
    }
}

/// The beginning of a finding's row: of its paths the first few.
struct Brief(Finding);

impl Brief {
    const PATHS: u64 = 24;

    fn read_but_paths(from: &mut Reader<'_>) -> Finding {
        let kind = from.word();
        let severity = match from.number() {
            0 => Severity::Info,
            1 => Severity::Warning,
            _ => Severity::Error,
        };
        Finding {
            kind,
            severity,
            about: from.list(Reader::text),
            summary: from.text(),
            next_step: from.option(Reader::text),
            confidence: from.share(),
            evidence: read_evidence(from),
            paths: Vec::new(),
        }
    }
}

impl Row for Brief {
    fn write(&self, to: &mut Writer<'_>) {
        self.0.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Self {
        let finding = Self::read_but_paths(from);
        let paths = (0..from.number().min(Self::PATHS)).map(|_| from.name("p")).collect();
        Self(Finding { paths, ..finding })
    }
}

/// A finding, as it is written before it has its texts: there may be one for each conversation.
pub(crate) struct FindingMade<'a> {
    pub(crate) kind: &'a str,
    pub(crate) severity: Severity,
    pub(crate) about: &'a [String],
    pub(crate) summary: &'a str,
    pub(crate) next_step: Option<&'a str>,
    pub(crate) confidence: f64,
    /// The numbers in the ids of its evidence.
    pub(crate) evidence: &'a [u64],
    /// Indexes of its paths.
    pub(crate) paths: &'a [u32],
}

impl FindingMade<'_> {
    /// Writes what [`Finding`] would.
    pub(crate) fn write(&self, to: &mut Writer<'_>) {
        to.word(self.kind);
        to.number(self.severity as u64);
        to.list(self.about, |to, id| to.text(id));
        to.text(self.summary);
        to.option(self.next_step, Writer::text);
        to.share(self.confidence);
        to.list(self.evidence, |to, number| to.numbered(*number));
        to.list(self.paths, |to, at| to.numbered(u64::from(*at) + 1));
    }
}

impl Row for FlowEnd {
    fn write(&self, to: &mut Writer<'_>) {
        to.option(self.entity.as_deref(), Writer::text);
        to.text(&self.ip);
        to.option(self.port, |to, port| to.number(port.into()));
    }

    fn read(from: &mut Reader<'_>) -> Self {
        Self { entity: from.option(Reader::text), ip: from.text(), port: from.option(Reader::small) }
    }
}

/// What a list shows of a path: it is read without the path's hops, which take most of the time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathHead {
    /// As of [`Path`].
    pub id: String,
    /// As of [`Path`].
    pub flow: Flow,
    /// As of [`Path`].
    pub packets: u64,
    /// As of [`Path`].
    pub bytes: u64,
    /// Of each direction, its verdict and how many hops it has.
    pub directions: Vec<(Verdict, u32)>,
}

impl PathHead {
    /// What became of the conversation: lost or rejected if either direction is; else every direction must have arrived.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let mut verdicts = self.directions.iter().map(|d| d.0);
        if let Some(bad) = verdicts.clone().find(|v| matches!(v, Verdict::Lost | Verdict::Rejected)) {
            bad
        } else if verdicts.all(|v| v == Verdict::Delivered) && !self.directions.is_empty() {
            Verdict::Delivered
        } else {
            Verdict::Unknown
        }
    }
}

impl From<&Path> for PathHead {
    fn from(path: &Path) -> Self {
        let count = |d: &DirectionPath| (d.verdict, u32::try_from(d.hops.len()).unwrap_or(u32::MAX));
        Self {
            id: path.id.clone(),
            flow: path.flow.clone(),
            packets: path.packets,
            bytes: path.bytes,
            directions: path.directions.iter().map(count).collect(),
        }
    }
}

impl Row for PathHead {
    fn write(&self, to: &mut Writer<'_>) {
        to.name("p", &self.id);
        to.word(&self.flow.protocol);
        self.flow.client.write(to);
        self.flow.server.write(to);
        to.option(self.flow.via.as_ref(), |to, via| via.write(to));
        to.number(self.packets);
        to.number(self.bytes);
        to.list(&self.directions, |to, (verdict, hops)| {
            to.number(*verdict as u64);
            to.number((*hops).into());
        });
    }

    fn read(from: &mut Reader<'_>) -> Self {
        let id = from.name("p");
        let (protocol, client, server) = (from.word(), FlowEnd::read(from), FlowEnd::read(from));
        Self {
            id,
            flow: Flow { protocol, client, server, via: from.option(FlowEnd::read) },
            packets: from.number(),
            bytes: from.number(),
            directions: from.list(|from| (Verdict::numbered(from.number()), from.small())),
        }
    }
}

/// An end of a path, as it is written before it has its texts.
pub(crate) struct EndMade<'a> {
    pub(crate) entity: &'a str,
    pub(crate) ip: IpAddr,
    pub(crate) port: Option<u16>,
}

impl EndMade<'_> {
    fn write(&self, to: &mut Writer<'_>) {
        to.option(Some(self.entity), Writer::text);
        to.ip(self.ip);
        to.option(self.port, |to, port| to.number(port.into()));
    }
}

/// What a path begins with. Making a [`Path`] and its texts to write them would take several times as long.
pub(crate) struct HeadMade<'a> {
    /// The number in its id.
    pub(crate) number: u64,
    pub(crate) protocol: Protocol,
    pub(crate) client: EndMade<'a>,
    pub(crate) server: EndMade<'a>,
    pub(crate) via: Option<EndMade<'a>>,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl HeadMade<'_> {
    /// Writes what [`Path`] is written with, up to its directions.
    pub(crate) fn write(&self, to: &mut Writer<'_>) {
        to.numbered(self.number);
        to.word(self.protocol.name());
        self.client.write(to);
        self.server.write(to);
        to.option(self.via.as_ref(), |to, via| via.write(to));
        to.number(self.packets);
        to.number(self.bytes);
    }
}

/// A hop, as it is written before it has its texts.
pub(crate) struct HopMade<'a> {
    pub(crate) owner: &'a str,
    pub(crate) interface: Option<&'a str>,
    pub(crate) observed: bool,
    /// The numbers in the ids of its points, in their order.
    pub(crate) points: &'a [u64],
    pub(crate) macs: [Option<Mac>; 2],
    pub(crate) ends: [(IpAddr, Option<u16>); 2],
    pub(crate) ttl: Option<u8>,
    pub(crate) rewrites: &'a [Rewrite],
    pub(crate) encapsulation: &'a [Encapsulation],
    pub(crate) delay_ns: Option<i64>,
    pub(crate) delay_range_ns: Option<(i64, i64)>,
    pub(crate) counts: [u64; 2],
    pub(crate) missing_range: Option<(u64, u64)>,
    pub(crate) confidence: f64,
    /// The numbers in the ids of its evidence.
    pub(crate) evidence: &'a [u64],
}

impl HopMade<'_> {
    /// Writes what [`Hop`] would.
    pub(crate) fn write(&self, to: &mut Writer<'_>) {
        to.word(self.owner);
        to.option(self.interface, Writer::word);
        to.flag(self.observed);
        to.list(self.points, |to, number| to.numbered(*number));
        for mac in self.macs {
            to.option(mac, Writer::mac);
        }
        for (ip, port) in self.ends {
            to.option(Some(ip), Writer::ip);
            to.option(port, |to, port| to.number(port.into()));
        }
        to.option(self.ttl, |to, ttl| to.number(ttl.into()));
        to.list(self.rewrites, |to, r| to.number(*r as u64));
        to.list(self.encapsulation, |to, e| e.write(to));
        to.option(self.delay_ns, Writer::signed);
        to.option(self.delay_range_ns, |to, (low, high)| [low, high].into_iter().for_each(|n| to.signed(n)));
        self.counts.into_iter().for_each(|n| to.number(n));
        to.option(self.missing_range, |to, (low, high)| [low, high].into_iter().for_each(|n| to.number(n)));
        to.share(self.confidence);
        to.list(self.evidence, |to, number| to.numbered(*number));
    }
}

impl Encapsulation {
    fn write(&self, to: &mut Writer<'_>) {
        to.word(&self.kind);
        to.option(self.vni, |to, vni| to.number(vni.into()));
        to.option(self.outer_src.as_deref(), Writer::text);
        to.option(self.outer_dst.as_deref(), Writer::text);
    }
}

impl Row for Path {
    fn write(&self, to: &mut Writer<'_>) {
        PathHead::from(self).write(to);
        for d in &self.directions {
            to.flag(d.direction == Way::Reply);
            to.option(d.lost_after, |to, n| to.number(n.into()));
            d.hops.iter().for_each(|hop| hop.write(to));
            to.list(&d.beyond, |to, hop| hop.write(to));
        }
        to.list(&self.relays, |to, r| r.write(to));
    }

    fn read(from: &mut Reader<'_>) -> Self {
        let head = PathHead::read(from);
        let mut directions = Vec::with_capacity(head.directions.len());
        for (verdict, hops) in head.directions {
            let direction = if from.flag() { Way::Reply } else { Way::Request };
            let lost_after = from.option(Reader::small);
            let hops = (0..hops).map(|_| Hop::read(from)).collect();
            directions.push(DirectionPath { direction, hops, verdict, lost_after, beyond: from.list(Hop::read) });
        }
        let relays = from.list(Relay::read);
        Self { id: head.id, flow: head.flow, packets: head.packets, bytes: head.bytes, directions, relays }
    }
}

impl Row for Relay {
    fn write(&self, to: &mut Writer<'_>) {
        to.name("p", &self.path);
        to.flag(self.side == Side::Front);
        to.text(&self.through);
        to.share(self.confidence);
        write_evidence(to, &self.evidence);
    }

    fn read(from: &mut Reader<'_>) -> Self {
        Self {
            path: from.name("p"),
            side: if from.flag() { Side::Front } else { Side::Behind },
            through: from.text(),
            confidence: from.share(),
            evidence: read_evidence(from),
        }
    }
}

impl Row for Hop {
    fn write(&self, to: &mut Writer<'_>) {
        to.word(&self.owner);
        to.option(self.interface.as_deref(), Writer::word);
        to.flag(self.observed);
        to.list(&self.capture_points, |to, id| to.name("cp", id));
        for mac in [&self.src_mac, &self.dst_mac] {
            to.option(mac.as_deref(), Writer::word);
        }
        for (ip, port) in [(&self.src_ip, self.src_port), (&self.dst_ip, self.dst_port)] {
            to.option(ip.as_deref(), Writer::text);
            to.option(port, |to, port| to.number(port.into()));
        }
        to.option(self.ttl, |to, ttl| to.number(ttl.into()));
        to.list(&self.rewrites, |to, r| to.number(*r as u64));
        to.list(&self.encapsulation, |to, e| e.write(to));
        to.option(self.delay_ns, Writer::signed);
        to.option(self.delay_range_ns, |to, range| range.into_iter().for_each(|n| to.signed(n)));
        to.number(self.seen);
        to.number(self.missing);
        to.option(self.missing_range, |to, range| range.into_iter().for_each(|n| to.number(n)));
        to.share(self.confidence);
        write_evidence(to, &self.evidence);
    }

    fn read(from: &mut Reader<'_>) -> Self {
        let (owner, interface) = (from.word(), from.option(Reader::word));
        let (observed, capture_points) = (from.flag(), from.list(|from| from.name("cp")));
        let (src_mac, dst_mac) = (from.option(Reader::word), from.option(Reader::word));
        let (src_ip, src_port) = (from.option(Reader::text), from.option(Reader::small));
        let (dst_ip, dst_port) = (from.option(Reader::text), from.option(Reader::small));
        Self {
            owner,
            interface,
            observed,
            capture_points,
            src_mac,
            dst_mac,
            src_ip,
            src_port,
            dst_ip,
            dst_port,
            ttl: from.option(Reader::small),
            rewrites: from.list(rewrite),
            encapsulation: from.list(|from| Encapsulation {
                kind: from.word(),
                vni: from.option(Reader::small),
                outer_src: from.option(Reader::text),
                outer_dst: from.option(Reader::text),
            }),
            delay_ns: from.option(Reader::signed),
            delay_range_ns: from.option(|from| [from.signed(), from.signed()]),
            seen: from.number(),
            missing: from.number(),
            missing_range: from.option(|from| [from.number(), from.number()]),
            confidence: from.share(),
            evidence: read_evidence(from),
        }
    }
}

fn rewrite(from: &mut Reader<'_>) -> Rewrite {
    match from.number() {
        0 => Rewrite::Mac,
        1 => Rewrite::Ttl,
        2 => Rewrite::Snat,
        3 => Rewrite::Dnat,
        4 => Rewrite::Encap,
        _ => Rewrite::Decap,
    }
}
