//! The report, version 1: the one document that the page, the command line and the npm package hand out.
//! Plain data; every view is a function of it. Knows nothing of how it came about.
//!
//! Field order is the document's; lists are in the order that `analysis` puts them in (deterministic).

#![allow(missing_docs)] // The contract's own field names; docs/report.md has the prose.

use std::io::{self, Write};

use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::ser::Formatter;

use crate::model::{Nanos, is_acting};

/// `schema` of every report of this version.
pub const SCHEMA: &str = "hopscope.report/1";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub schema: String,
    pub generator: Generator,
    pub inputs: Vec<Input>,
    pub capture_points: Vec<CapturePoint>,
    pub entities: Vec<Entity>,
    pub links: Vec<Link>,
    /// For an analysis that did not examine every packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
    pub paths: Vec<Path>,
    pub findings: Vec<Finding>,
    pub evidence: Vec<Evidence>,
    /// What was left out because it fits several things alike.
    #[serde(default, skip_serializing_if = "Ambiguous::is_none")]
    pub ambiguous: Ambiguous,
}

/// Not all packets fitted into memory: the same ones were examined at every capture point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sampling {
    /// One in so many.
    pub one_in: u64,
    /// Packets of all captures.
    pub packets: u64,
    /// How many of them were examined; openings and ends of connections and the first packets of each always are.
    pub examined: u64,
    /// Conversations of which no packet was.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unexamined_flows: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's own signature.
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Counts of what could belong to several conversations, and was given to none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ambiguous {
    /// Identities of packets that are in too many flows.
    pub packets: u64,
    /// Messages that several connections in front of a proxy may have caused.
    pub messages: u64,
}

impl Ambiguous {
    /// Nothing was left out.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generator {
    pub name: String,
    pub version: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Read whole.
    #[default]
    Ok,
    /// Read up to the fault.
    Partial,
    /// Nothing of it was read.
    Rejected,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub id: String,
    pub name: String,
    pub kind: String,
    pub bytes: u64,
    pub status: Status,
    /// For partial and rejected: what is wrong and where, for a person.
    pub message: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CapturePoint {
    pub id: String,
    pub input: String,
    pub interface_name: Option<String>,
    pub link_type: String,
    pub packets: u64,
    pub first_ns: Option<Nanos>,
    pub last_ns: Option<Nanos>,
    pub clock: Option<Clock>,
    pub at: Option<String>,
    pub confidence: f64,
    pub evidence: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Clock {
    pub relative_to: String,
    pub offset_ns: Nanos,
    pub uncertainty_ns: Nanos,
    /// How much this clock gains on the other, in parts in a billion, where that shows: `offset_ns` is then that at `at_ns`.
    #[serde(default)]
    pub drift_ppb: Option<i64>,
    /// By the other's clock.
    #[serde(default)]
    pub at_ns: Option<Nanos>,
}

impl Serialize for Clock {
    /// As derived, but for the members that there are not, as with [`Hop`].
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_by_position = !serializer.is_human_readable();
        let mut clock = serializer.serialize_struct("Clock", 5)?;
        clock.serialize_field("relative_to", &self.relative_to)?;
        clock.serialize_field("offset_ns", &self.offset_ns)?;
        clock.serialize_field("uncertainty_ns", &self.uncertainty_ns)?;
        if is_by_position || self.drift_ppb.is_some() {
            clock.serialize_field("drift_ppb", &self.drift_ppb)?;
            clock.serialize_field("at_ns", &self.at_ns)?;
        }
        clock.end()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityKind {
    Vpc,
    AvailabilityZone,
    Subnet,
    Node,
    Pod,
    Interface,
    VpcRouter,
    LoadBalancer,
    NatGateway,
    InternetGateway,
    VpcEndpoint,
    Service,
    External,
    #[default]
    Unknown,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    pub id: String,
    pub kind: EntityKind,
    pub name: String,
    pub aliases: Vec<String>,
    pub parent: Option<String>,
    pub macs: Vec<String>,
    pub ips: Vec<String>,
    pub confidence: f64,
    pub evidence: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Link {
    pub a: String,
    pub b: String,
    /// `veth_pair` | `same_segment` | `routed` | `tunnel`
    pub kind: String,
    pub confidence: f64,
    pub evidence: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Path {
    pub id: String,
    pub flow: Flow,
    pub packets: u64,
    pub bytes: u64,
    pub directions: Vec<DirectionPath>,
    /// Paths that a proxy at one end of this one continues it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relays: Vec<Relay>,
}

/// A proxy ends one connection and opens another: the path on its other side.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Relay {
    /// The other path's id.
    pub path: String,
    /// Whether that path is behind the proxy or in front of it.
    pub side: Side,
    /// The proxy: load balancer, pod, node, or an address that nothing accounts for.
    pub through: String,
    pub confidence: f64,
    pub evidence: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Towards the server: the proxy opened it.
    #[default]
    Behind,
    /// Towards the client: the proxy accepted it.
    Front,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// `tcp` | `udp` | `icmp` | `icmpv6` | `sctp` | `other`
    pub protocol: String,
    pub client: FlowEnd,
    pub server: FlowEnd,
    pub via: Option<FlowEnd>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FlowEnd {
    pub entity: Option<String>,
    pub ip: String,
    pub port: Option<u16>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Client to server.
    #[default]
    Request,
    /// Server to client.
    Reply,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Delivered,
    Lost,
    Rejected,
    #[default]
    Unknown,
}

impl Verdict {
    /// The verdict that `verdict as u64` says: rows keep it so.
    pub(crate) fn numbered(number: u64) -> Self {
        match number {
            0 => Self::Delivered,
            1 => Self::Lost,
            2 => Self::Rejected,
            _ => Self::Unknown,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct DirectionPath {
    pub direction: Way,
    pub hops: Vec<Hop>,
    pub verdict: Verdict,
    pub lost_after: Option<u32>,
    /// For lost: the hops that the packets were on their way to, in order. None saw any; `capture_points` are those that ran there meanwhile.
    #[serde(default)]
    pub beyond: Vec<Hop>,
}

impl DirectionPath {
    /// The hops, and those beyond the loss.
    pub fn all_hops(&self) -> impl DoubleEndedIterator<Item = &Hop> {
        self.hops.iter().chain(&self.beyond)
    }

    /// The hop at `index`, counted through those beyond the loss too.
    #[must_use]
    pub fn hop(&self, index: usize) -> Option<&Hop> {
        match index.checked_sub(self.hops.len()) {
            Some(beyond) => self.beyond.get(beyond),
            None => self.hops.get(index),
        }
    }
}

impl Serialize for DirectionPath {
    /// As derived; but the document leaves out hops beyond a loss where there are none, as [`Hop`] does with its intervals.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_by_position = !serializer.is_human_readable();
        let mut direction = serializer.serialize_struct("DirectionPath", 5)?;
        direction.serialize_field("direction", &self.direction)?;
        direction.serialize_field("hops", &self.hops)?;
        direction.serialize_field("verdict", &self.verdict)?;
        direction.serialize_field("lost_after", &self.lost_after)?;
        if is_by_position || !self.beyond.is_empty() {
            direction.serialize_field("beyond", &self.beyond)?;
        }
        direction.end()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rewrite {
    Mac,
    Ttl,
    Snat,
    Dnat,
    Encap,
    Decap,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encapsulation {
    /// `vxlan` | `geneve` | `gre` | `ipip` | `vlan`
    pub kind: String,
    /// VNI, GRE key or VLAN id.
    pub vni: Option<u32>,
    pub outer_src: Option<String>,
    pub outer_dst: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Hop {
    pub owner: String,
    pub interface: Option<String>,
    pub observed: bool,
    pub capture_points: Vec<String>,
    pub src_mac: Option<String>,
    pub dst_mac: Option<String>,
    pub src_ip: Option<String>,
    pub src_port: Option<u16>,
    pub dst_ip: Option<String>,
    pub dst_port: Option<u16>,
    pub ttl: Option<u8>,
    pub rewrites: Vec<Rewrite>,
    pub encapsulation: Vec<Encapsulation>,
    pub delay_ns: Option<Nanos>,
    /// Where `delay_ns` is an estimate from a sample: its interval at 95 %.
    #[serde(default)]
    pub delay_range_ns: Option<[Nanos; 2]>,
    pub seen: u64,
    pub missing: u64,
    /// Where `missing` is an estimate from a sample: its interval at 95 %.
    #[serde(default)]
    pub missing_range: Option<[u64; 2]>,
    pub confidence: f64,
    pub evidence: Vec<String>,
}

impl Serialize for Hop {
    /// As derived; but the document leaves out the intervals that there are not, and what reads by position (postcard) needs every member.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_by_position = !serializer.is_human_readable();
        let mut hop = serializer.serialize_struct("Hop", 20)?;
        hop.serialize_field("owner", &self.owner)?;
        hop.serialize_field("interface", &self.interface)?;
        hop.serialize_field("observed", &self.observed)?;
        hop.serialize_field("capture_points", &self.capture_points)?;
        hop.serialize_field("src_mac", &self.src_mac)?;
        hop.serialize_field("dst_mac", &self.dst_mac)?;
        hop.serialize_field("src_ip", &self.src_ip)?;
        hop.serialize_field("src_port", &self.src_port)?;
        hop.serialize_field("dst_ip", &self.dst_ip)?;
        hop.serialize_field("dst_port", &self.dst_port)?;
        hop.serialize_field("ttl", &self.ttl)?;
        hop.serialize_field("rewrites", &self.rewrites)?;
        hop.serialize_field("encapsulation", &self.encapsulation)?;
        hop.serialize_field("delay_ns", &self.delay_ns)?;
        if is_by_position || self.delay_range_ns.is_some() {
            hop.serialize_field("delay_range_ns", &self.delay_range_ns)?;
        }
        hop.serialize_field("seen", &self.seen)?;
        hop.serialize_field("missing", &self.missing)?;
        if is_by_position || self.missing_range.is_some() {
            hop.serialize_field("missing_range", &self.missing_range)?;
        }
        hop.serialize_field("confidence", &self.confidence)?;
        hop.serialize_field("evidence", &self.evidence)?;
        hop.end()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    #[default]
    Info,
    Warning,
    Error,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub kind: String,
    pub severity: Severity,
    pub about: Vec<String>,
    pub summary: String,
    pub next_step: Option<String>,
    pub confidence: f64,
    pub evidence: Vec<String>,
    /// Ids of the paths that it is told of, if it is told of single ones.
    #[serde(default)]
    pub paths: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    pub id: String,
    pub kind: String,
    pub statement: String,
    pub sources: Vec<Source>,
}

/// A place in an input: exactly one of `frame`, `pointer`, `line` is present.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Source {
    pub input: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

impl Report {
    /// The document's bytes: two-space indented JSON with a final newline, the same everywhere.
    ///
    /// # Errors
    /// Only if a number is not finite, which the engine never makes.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let mut bytes = Vec::new();
        serialize_inert(self, &mut bytes)?;
        bytes.push(b'\n');
        Ok(String::from_utf8(bytes).unwrap_or_default())
    }

    /// Writes the same, piece by piece.
    ///
    /// # Errors
    /// What `out` says, or a number that is not finite.
    pub fn write_json(&self, mut out: impl Write) -> io::Result<()> {
        serialize_inert(self, &mut out)?;
        out.write_all(b"\n")
    }
}

fn serialize_inert(document: &impl Serialize, out: &mut impl Write) -> Result<(), serde_json::Error> {
    serialize_at(document, out, 0)
}

/// A part of a document, so deep in it.
pub(crate) fn serialize_at(part: &impl Serialize, out: &mut impl Write, depth: usize) -> Result<(), serde_json::Error> {
    part.serialize(&mut serde_json::Serializer::with_formatter(out, Inert { depth, has_value: false }))
}

/// JSON lets through what a terminal or an editor may act on; in strings every character may stand as its number instead. Laid out as
/// [`serde_json::ser::PrettyFormatter`] does, but each line's beginning is one piece: large reports are mostly beginnings of lines.
struct Inert {
    depth: usize,
    /// Whether the innermost list or object has anything in it yet.
    has_value: bool,
}

impl Inert {
    fn line<W: ?Sized + Write>(&self, out: &mut W, comma: bool) -> io::Result<()> {
        const LINE: &[u8] = b",\n                                ";
        let begin = usize::from(!comma);
        let spaces = 2 * self.depth;
        let line = LINE.get(begin..(2 + spaces).min(LINE.len())).unwrap_or_default();
        out.write_all(line)?;
        (LINE.len()..2 + spaces).try_for_each(|_| out.write_all(b" "))
    }

    fn end<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth = self.depth.saturating_sub(1);
        if self.has_value {
            self.line(out, false)?;
        }
        out.write_all(bracket)
    }

    fn begin<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.has_value = false;
        out.write_all(bracket)
    }
}

impl Formatter for Inert {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        // Nearly all text is plain, and a large report has much of it. (All octets at once: to stop at the first takes longer.)
        if !fragment.bytes().fold(false, |found, octet| found | (octet >= 0x7f)) {
            return out.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        let acts = |(_, c): &(usize, char)| *c >= '\u{7f}' && is_acting(*c);
        while let Some((at, c)) = rest.char_indices().find(acts) {
            out.write_all(rest.get(..at).unwrap_or_default().as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = rest.get(at + c.len_utf8()..).unwrap_or_default();
        }
        out.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.line(out, !first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.line(out, !first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_laid_out_as_others_are() {
        let deep = (0..40).fold(serde_json::json!([]), |inner, n| serde_json::json!({"a": [1, inner], "b": {}, "c": [n, null]}));
        for document in [deep, serde_json::json!("é → \u{7e}"), serde_json::json!([[], {}, [{}], "\n\u{1}\"\\"])] {
            let mut bytes = Vec::new();
            serialize_inert(&document, &mut bytes).unwrap();
            assert_eq!(String::from_utf8(bytes).unwrap(), serde_json::to_string_pretty(&document).unwrap());
        }
        let mut bytes = Vec::new();
        serialize_inert(&"a\u{7f}é\u{202e}\u{10fffe}b", &mut bytes).unwrap();
        assert_eq!(bytes, "\"a\\u007fé\\u202e\\udbff\\udffeb\"".as_bytes());
    }

    /// The page's workers send hops by position.
    #[test]
    fn a_hop_travels_with_and_without_intervals() {
        for (missing_range, delay_range_ns) in [(None, None), (Some([1, 2]), None), (Some([1, 2]), Some([-3, 4]))] {
            let hop = Hop {
                owner: "node:a".to_owned(),
                seen: 5,
                missing_range,
                delay_range_ns,
                evidence: vec!["e1".to_owned()],
                ..Hop::default()
            };
            let bytes = postcard::to_stdvec(&[&hop, &hop]).unwrap();
            assert_eq!(postcard::from_bytes::<[Hop; 2]>(&bytes).unwrap(), [hop.clone(), hop.clone()]);
            let json = serde_json::to_string(&hop).unwrap();
            assert_eq!(
                (json.contains("missing_range"), json.contains("delay_range_ns")),
                (missing_range.is_some(), delay_range_ns.is_some())
            );
            assert_eq!(serde_json::from_str::<Hop>(&json).unwrap(), hop);
        }
    }

    #[test]
    fn a_clock_travels_whole_and_shows_its_drift_only_where_there_is_one() {
        for drift_ppb in [None, Some(50_000)] {
            let clock = Clock { relative_to: "cp1".to_owned(), offset_ns: 7, uncertainty_ns: 3, drift_ppb, at_ns: drift_ppb.map(|_| 9) };
            let bytes = postcard::to_stdvec(&[&clock, &clock]).unwrap();
            assert_eq!(postcard::from_bytes::<[Clock; 2]>(&bytes).unwrap(), [clock.clone(), clock.clone()]);
            let json = serde_json::to_string(&clock).unwrap();
            assert_eq!(json.contains("drift_ppb") && json.contains("at_ns"), drift_ppb.is_some(), "{json}");
            assert_eq!(serde_json::from_str::<Clock>(&json).unwrap(), clock);
        }
    }
}
