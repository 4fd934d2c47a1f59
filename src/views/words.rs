//! How a report's values read in plain words: names, times, addresses, verdicts. Every view says the same thing the same way.
//! Must not judge: each sentence restates fields of the report.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::escape::inert;
use crate::model::Nanos;
use crate::order;
use crate::report::{
    Ambiguous, CapturePoint, DirectionPath, Encapsulation, Entity, EntityKind, Evidence, Finding, Flow, FlowEnd, Hop, Input, Report,
    Rewrite, Sampling, Severity, Source, Status, Verdict, Way,
};

/// A report's parts by id.
#[derive(Clone, Debug)]
pub struct Book<'a> {
    /// The report itself.
    pub report: &'a Report,
    entities: BTreeMap<&'a str, &'a Entity>,
    evidence: BTreeMap<&'a str, &'a Evidence>,
    inputs: BTreeMap<&'a str, &'a Input>,
    points: BTreeMap<&'a str, &'a CapturePoint>,
    /// Node names that stay unambiguous when cut at their first dot.
    short_nodes: BTreeMap<&'a str, &'a str>,
}

impl<'a> Book<'a> {
    /// Look everything up once.
    #[must_use]
    pub fn new(report: &'a Report) -> Self {
        let mut full_names: BTreeMap<&str, Option<&str>> = BTreeMap::new();
        for e in report.entities.iter().filter(|e| e.kind == EntityKind::Node) {
            let name = bare(&e.id);
            let short = name.split('.').next().unwrap_or(name);
            full_names.entry(short).and_modify(|n| *n = n.filter(|n| *n == name)).or_insert(Some(name));
        }
        let short_nodes = full_names
            .into_iter()
            // An IPv4 address cut at its dot would be nonsense.
            .filter_map(|(short, full)| full.filter(|f| f.parse::<IpAddr>().is_err()).map(|full| (full, short)))
            .collect();
        Self {
            report,
            entities: report.entities.iter().map(|e| (e.id.as_str(), e)).collect(),
            evidence: report.evidence.iter().map(|e| (e.id.as_str(), e)).collect(),
            inputs: report.inputs.iter().map(|i| (i.id.as_str(), i)).collect(),
            points: report.capture_points.iter().map(|p| (p.id.as_str(), p)).collect(),
            short_nodes,
        }
    }

    /// The entity called `id`.
    #[must_use]
    pub fn entity(&self, id: &str) -> Option<&'a Entity> {
        self.entities.get(id).copied()
    }

    /// The piece of evidence called `id`.
    #[must_use]
    pub fn evidence(&self, id: &str) -> Option<&'a Evidence> {
        self.evidence.get(id).copied()
    }

    /// The input called `id`.
    #[must_use]
    pub fn input(&self, id: &str) -> Option<&'a Input> {
        self.inputs.get(id).copied()
    }

    /// The capture point called `id`.
    #[must_use]
    pub fn point(&self, id: &str) -> Option<&'a CapturePoint> {
        self.points.get(id).copied()
    }

    /// The input's name, or its id where the report has no such input. Inert.
    #[must_use]
    pub fn input_name(&self, id: &str) -> String {
        inert(self.input(id).map_or(id, |i| &i.name))
    }

    /// An entity's kind, from the report or from its id's prefix.
    #[must_use]
    pub fn kind(&self, id: &str) -> EntityKind {
        self.entity(id).map_or_else(|| kind_of_id(id), |e| e.kind)
    }

    /// An entity's name without its kind: `default/tomcat-0`, `ip-192-168-34-143` (cut at the first dot while that is unambiguous). Inert.
    #[must_use]
    pub fn short(&self, id: &str) -> String {
        if kind_of_id(id) == EntityKind::Interface {
            return self.interface_name(id);
        }
        let name = bare(id);
        inert(self.short_nodes.get(name).copied().filter(|_| id.starts_with("node:")).unwrap_or(name))
    }

    /// A sentence of the report with nodes called by their short names. Inert.
    #[must_use]
    pub fn sentence(&self, text: &str) -> String {
        with_names(&inert(text), |name| self.short_nodes.get(name).map(|short| (*short).to_owned()))
    }

    /// What a host that no inventory names is called by captures' writers, where one is. Behind its address, since anybody may have chosen it.
    fn nickname(&self, id: &str) -> Option<String> {
        let e = self.entity(id)?;
        let is_stranger = matches!(e.kind, EntityKind::External | EntityKind::Unknown) || id.starts_with("host:");
        (is_stranger && !e.name.is_empty() && e.name != bare(id)).then(|| inert(&e.name))
    }

    /// An entity in words: `pod default/tomcat-0`, `node ip-192-168-34-143`, `external 203.0.113.9 (www.example)`. Inert.
    #[must_use]
    pub fn name(&self, id: &str) -> String {
        if kind_of_id(id) == EntityKind::Interface {
            return match self.entity(id).and_then(|e| e.parent.as_deref()).or_else(|| owner_of_interface(id)) {
                Some(owner) => format!("{} {}", self.name(owner), self.interface_name(id)),
                None => format!("interface {}", self.interface_name(id)),
            };
        }
        let name = match kind_word(self.kind(id), id) {
            "" => self.short(id),
            word => format!("{word} {}", self.short(id)),
        };
        match self.nickname(id) {
            Some(nickname) => format!("{name} ({nickname})"),
            None => name,
        }
    }

    /// An interface's own name (`eth0`), or its MAC where nothing names it. Inert.
    #[must_use]
    pub fn interface_name(&self, id: &str) -> String {
        match self.entity(id) {
            Some(e) if !e.name.is_empty() => inert(&e.name),
            _ => inert(id.rsplit_once('/').map_or(bare(id), |(_, name)| name)),
        }
    }

    /// Where a hop is: `node ip-192-168-34-143 eth0`, `router subnet-06af`. Inert.
    #[must_use]
    pub fn place(&self, hop: &Hop) -> String {
        match &hop.interface {
            Some(i) => format!("{} {}", self.name(&hop.owner), self.interface_name(i)),
            None => self.name(&hop.owner),
        }
    }

    /// One end of a conversation: `pod:default/tomcat-0 192.168.53.154:8080`, or only the address. Inert.
    #[must_use]
    pub fn end(&self, end: &FlowEnd) -> String {
        let socket = socket(Some(&end.ip), end.port);
        match &end.entity {
            // `external:203.0.113.9 203.0.113.9:443` would say the same twice.
            Some(id) if bare(id) != end.ip => format!("{} {socket}", inert(id)),
            Some(id) => self.nickname(id).map_or(socket.clone(), |name| format!("{socket} ({name})")),
            None => socket,
        }
    }

    /// A conversation: `tcp 203.0.113.9:51514 → pod:default/tomcat-0 192.168.53.154:8080 (via service:default/tomcat 10.100.7.7:8080)`. Inert.
    #[must_use]
    pub fn flow(&self, flow: &Flow) -> String {
        let via = flow.via.as_ref().map(|v| format!(" (via {})", self.end(v))).unwrap_or_default();
        format!("{} {} → {}{via}", inert(&flow.protocol), self.end(&flow.client), self.end(&flow.server))
    }

    /// A direction's outcome in plain words, without a full stop. Inert.
    #[must_use]
    pub fn verdict(&self, d: &DirectionPath) -> String {
        match d.verdict {
            Verdict::Delivered => "delivered".to_owned(),
            Verdict::Rejected => match d.lost_after.and_then(|i| at(&d.hops, i)) {
                Some((n, hop)) => format!("rejected: refused after hop {n}, {}", self.place(hop)),
                None => "rejected: the packets arrived and were refused".to_owned(),
            },
            Verdict::Unknown => "unknown: the captures do not show whether the packets arrived".to_owned(),
            Verdict::Lost => self.loss(d),
        }
    }

    fn loss(&self, d: &DirectionPath) -> String {
        let Some((n, last)) = d.lost_after.and_then(|i| at(&d.hops, i)) else {
            return "lost: the captures do not show after which hop".to_owned();
        };
        let mut text = format!("lost after hop {n}, {}", self.place(last));
        // `n` is 1-based, so it is also the index of the hop that follows.
        match d.hops.iter().enumerate().skip(n).find(|(_, h)| h.observed) {
            Some((i, next)) => {
                let of = next.missing.saturating_add(next.seen);
                let seen = if next.seen == 0 { "none".to_owned() } else { next.seen.to_string() };
                text.push_str(&format!(
                    ": {} of {} packets missing; the next capture, {}, saw {seen}",
                    missing(next),
                    of.max(last.seen),
                    self.hop_reference(i, next)
                ));
            }
            None => {
                if last.observed {
                    text.push_str(&format!(", the last place that saw them ({})", count(last.seen, "packet")));
                } else {
                    text.push_str(", which they passed without being seen there");
                }
                if let Some((i, next)) = d.beyond.iter().enumerate().find(|(_, h)| !h.capture_points.is_empty()) {
                    text.push_str(&format!("; the next capture, {}, saw none", self.hop_reference(d.hops.len() + i, next)));
                }
            }
        }
        text
    }

    fn hop_reference(&self, index: usize, hop: &Hop) -> String {
        format!("hop {}, {}", index + 1, self.place(hop))
    }

    /// One place in an input: `captures/eth0.pcap frame 5`. Inert.
    #[must_use]
    pub fn source(&self, s: &Source) -> String {
        let name = self.input_name(&s.input);
        match (s.frame, &s.pointer, s.line) {
            (Some(n), _, _) => format!("{name} frame {n}"),
            (_, Some(p), _) if p.is_empty() => format!("{name}, the whole document"),
            (_, Some(p), _) => format!("{name} at {}", inert(p)),
            (_, _, Some(n)) => format!("{name} line {n}"),
            _ => name,
        }
    }

    /// Findings, the most severe first; equals in the report's order.
    #[must_use]
    pub fn findings(&self) -> Vec<&'a Finding> {
        let mut findings: Vec<_> = self.report.findings.iter().collect();
        order::sort_by_key(&mut findings, |f| std::cmp::Reverse(f.severity));
        findings
    }
}

/// How much of the packets was examined, where not all were: `1 in 16 of the packets examined`.
#[must_use]
pub fn sampling(s: &Sampling) -> String {
    let left_out = if s.unexamined_flows > 0 { format!("; {} left out", count(s.unexamined_flows, "conversation")) } else { String::new() };
    format!("1 in {} of the packets examined{left_out}", s.one_in)
}

/// What fits several conversations alike, and was counted for none; `None` where there is nothing of the kind.
#[must_use]
pub fn left_out(a: &Ambiguous) -> Option<String> {
    let counts = [(a.packets, "packet"), (a.messages, "message")].into_iter().filter(|x| x.0 > 0);
    let list: Vec<String> = counts.map(|(n, what)| count(n, what)).collect();
    (!list.is_empty()).then(|| format!("{} left out: each fits several conversations alike, and joins none", list.join(" and ")))
}

/// How many packets are missing at a hop: a count, or an estimate with its interval.
#[must_use]
pub fn missing(h: &Hop) -> String {
    match h.missing_range {
        Some([low, high]) if low < high && h.missing == low => format!("{low} to {high}"),
        Some([low, high]) if low < high => format!("about {} ({low} to {high})", h.missing),
        _ => h.missing.to_string(),
    }
}

/// Of a place that saw none of the packets: whether any capture ran there.
#[must_use]
pub fn unseen(has_captures: bool) -> &'static str {
    if has_captures { "captured, saw none" } else { "not captured" }
}

/// What stands in place of a number at a hop that saw none of the packets.
#[must_use]
pub fn uncounted(hop: &Hop, is_beyond_loss: bool) -> &'static str {
    match (is_beyond_loss, hop.capture_points.is_empty()) {
        (false, _) => "inferred",
        (true, true) => "expected",
        (true, false) => "none",
    }
}

/// How long packets took to a hop since the last observed one; an estimate with its interval. Empty where nothing says.
#[must_use]
pub fn delay(h: &Hop) -> String {
    let Some(delay) = h.delay_ns else { return String::new() };
    match h.delay_range_ns {
        Some([low, high]) if low < high => format!("about {} ({} to {})", duration(delay), duration(low), duration(high)),
        _ => duration(delay),
    }
}

/// A text with other names for hosts: whatever may be a host's name (RFC 1123 §2.1) stands as `short` has it, where that has it.
#[must_use]
pub fn with_names(text: &str, short: impl Fn(&str) -> Option<String>) -> String {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let piece = |piece: &str| {
        // A full stop may end the sentence.
        let name = piece.trim_end_matches(|c| c == '.' || !is_of_name(c));
        format!("{}{}", short(name).as_deref().unwrap_or(name), piece.get(name.len()..).unwrap_or_default())
    };
    text.split_inclusive(|c| !is_of_name(c)).map(piece).collect()
}

fn at(hops: &[Hop], index: u32) -> Option<(usize, &Hop)> {
    let index = usize::try_from(index).ok()?;
    hops.get(index).map(|h| (index + 1, h))
}

/// An id without its kind.
#[must_use]
pub fn bare(id: &str) -> &str {
    id.split_once(':').map_or(id, |(_, rest)| rest)
}

/// The owner inside an interface's id (`if:<owner id>/<interface name>`), if it has one (`if:<MAC>` has not).
#[must_use]
pub fn owner_of_interface(id: &str) -> Option<&str> {
    let (owner, _) = bare(id).rsplit_once('/')?;
    (kind_of_id(owner) != EntityKind::Unknown || owner.starts_with("unknown:")).then_some(owner)
}

/// What an id's prefix says (see REPORT's names).
#[must_use]
pub fn kind_of_id(id: &str) -> EntityKind {
    match id.split_once(':').map_or("", |(kind, _)| kind) {
        "pod" => EntityKind::Pod,
        "node" | "instance" | "host" => EntityKind::Node,
        "if" => EntityKind::Interface,
        "router" => EntityKind::VpcRouter,
        "lb" => EntityKind::LoadBalancer,
        "natgw" => EntityKind::NatGateway,
        "igw" => EntityKind::InternetGateway,
        "vpce" => EntityKind::VpcEndpoint,
        "service" => EntityKind::Service,
        "subnet" => EntityKind::Subnet,
        "az" => EntityKind::AvailabilityZone,
        "vpc" => EntityKind::Vpc,
        "external" => EntityKind::External,
        _ => EntityKind::Unknown,
    }
}

/// What an entity of that kind is called. Two words at most.
#[must_use]
pub fn kind(kind: EntityKind) -> &'static str {
    match kind {
        EntityKind::Vpc => "VPC",
        EntityKind::AvailabilityZone => "zone",
        EntityKind::Subnet => "subnet",
        EntityKind::Node => "node",
        EntityKind::Pod => "pod",
        EntityKind::Interface => "interface",
        EntityKind::VpcRouter => "VPC router",
        EntityKind::LoadBalancer => "load balancer",
        EntityKind::NatGateway => "NAT gateway",
        EntityKind::InternetGateway => "internet gateway",
        EntityKind::VpcEndpoint => "VPC endpoint",
        EntityKind::Service => "service",
        EntityKind::External => "external",
        EntityKind::Unknown => "unknown",
    }
}

/// The word before a name. Empty where the name says it already (`vpc-…`, `subnet-…`).
fn kind_word(kind: EntityKind, id: &str) -> &'static str {
    match kind {
        EntityKind::Pod => "pod",
        EntityKind::Node if id.starts_with("instance:") => "instance",
        EntityKind::Node if id.starts_with("host:") => "host",
        EntityKind::Node => "node",
        EntityKind::Interface => "interface",
        EntityKind::VpcRouter => "router",
        EntityKind::LoadBalancer => "load balancer",
        EntityKind::NatGateway => "NAT gateway",
        EntityKind::InternetGateway => "internet gateway",
        EntityKind::VpcEndpoint => "endpoint",
        EntityKind::Service => "service",
        EntityKind::External => "external",
        EntityKind::Unknown => "unknown",
        EntityKind::AvailabilityZone => "zone",
        EntityKind::Subnet if id.starts_with("subnet:subnet-") => "",
        EntityKind::Subnet => "subnet",
        EntityKind::Vpc if id.starts_with("vpc:vpc-") => "",
        EntityKind::Vpc => "VPC",
    }
}

/// `192.168.1.4:8080`, `[2001:db8::1]:443`, `192.168.1.4`, `-` where there is no address. Inert.
#[must_use]
pub fn socket(ip: Option<&str>, port: Option<u16>) -> String {
    match (ip, port) {
        (None, None) => "-".to_owned(),
        (None, Some(p)) => format!(":{p}"),
        (Some(ip), None) => inert(ip),
        (Some(ip), Some(p)) if ip.contains(':') => format!("[{}]:{p}", inert(ip)),
        (Some(ip), Some(p)) => format!("{}:{p}", inert(ip)),
    }
}

/// A clock's drift in millionths: `gaining 50.0 ppm`.
#[must_use]
pub fn drift(ppb: i64) -> String {
    let word = if ppb < 0 { "losing" } else { "gaining" };
    format!("{word} {}.{} ppm", ppb.unsigned_abs() / 1000, ppb.unsigned_abs() % 1000 / 100)
}

/// A duration, three digits at most: `41 µs`, `3.2 ms`, `-1.25 s`.
#[must_use]
pub fn duration(ns: Nanos) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let n = ns.unsigned_abs();
    let (unit, scale) = match n {
        0..1_000 => return format!("{sign}{n} ns"),
        1_000..1_000_000 => ("µs", 1_000),
        1_000_000..1_000_000_000 => ("ms", 1_000_000),
        _ => ("s", 1_000_000_000),
    };
    let (whole, rest) = (n / scale, n % scale);
    match whole {
        0..10 => trim_zeros(&format!("{sign}{whole}.{:02}", rest * 100 / scale), unit),
        10..100 => trim_zeros(&format!("{sign}{whole}.{}", rest * 10 / scale), unit),
        _ => format!("{sign}{whole} {unit}"),
    }
}

fn trim_zeros(number: &str, unit: &str) -> String {
    format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
}

/// A number of bytes: `512 B`, `51.2 kB`, `1.07 GB` (powers of ten).
#[must_use]
pub fn bytes(n: u64) -> String {
    let (unit, scale) = match n {
        0..1_000 => return format!("{n} B"),
        1_000..1_000_000 => ("kB", 1_000),
        1_000_000..1_000_000_000 => ("MB", 1_000_000),
        _ => ("GB", 1_000_000_000),
    };
    let (whole, rest) = (n / scale, n % scale);
    match whole {
        0..10 => trim_zeros(&format!("{whole}.{:02}", rest * 100 / scale), unit),
        10..100 => trim_zeros(&format!("{whole}.{}", rest * 10 / scale), unit),
        _ => format!("{whole} {unit}"),
    }
}

/// The word for a rewrite.
#[must_use]
pub fn rewrite(r: Rewrite) -> &'static str {
    match r {
        Rewrite::Mac => "MAC",
        Rewrite::Ttl => "TTL",
        Rewrite::Snat => "SNAT",
        Rewrite::Dnat => "DNAT",
        Rewrite::Encap => "encap",
        Rewrite::Decap => "decap",
    }
}

/// `vxlan 1 10.0.0.1 → 10.0.0.2`. Inert.
#[must_use]
pub fn encapsulation(e: &Encapsulation) -> String {
    let mut text = inert(&e.kind);
    if let Some(vni) = e.vni {
        text.push_str(&format!(" {vni}"));
    }
    if e.outer_src.is_some() || e.outer_dst.is_some() {
        text.push_str(&format!(" {} → {}", socket(e.outer_src.as_deref(), None), socket(e.outer_dst.as_deref(), None)));
    }
    text
}

/// What address translation did between two hops: `SNAT 10.0.0.4:5000 → 10.0.0.9:6000`, `DNAT …`. Inert.
#[must_use]
pub fn translations(before: &Hop, after: &Hop) -> Vec<String> {
    let mut changes = Vec::new();
    for r in &after.rewrites {
        let (was, is) = match r {
            Rewrite::Snat => (socket(before.src_ip.as_deref(), before.src_port), socket(after.src_ip.as_deref(), after.src_port)),
            Rewrite::Dnat => (socket(before.dst_ip.as_deref(), before.dst_port), socket(after.dst_ip.as_deref(), after.dst_port)),
            Rewrite::Mac | Rewrite::Ttl | Rewrite::Encap | Rewrite::Decap => continue,
        };
        changes.push(format!("{} {was} → {is}", rewrite(*r)));
    }
    changes
}

/// `request` or `reply`.
#[must_use]
pub fn way(w: Way) -> &'static str {
    match w {
        Way::Request => "request",
        Way::Reply => "reply",
    }
}

/// One word for an outcome.
#[must_use]
pub fn verdict_word(v: Verdict) -> &'static str {
    match v {
        Verdict::Delivered => "delivered",
        Verdict::Lost => "lost",
        Verdict::Rejected => "rejected",
        Verdict::Unknown => "unknown",
    }
}

/// One word for a severity.
#[must_use]
pub fn severity(s: Severity) -> &'static str {
    match s {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// One word for an input's status.
#[must_use]
pub fn status(s: Status) -> &'static str {
    match s {
        Status::Ok => "ok",
        Status::Partial => "partial",
        Status::Rejected => "rejected",
    }
}

pub use crate::model::{count, time};

/// A probability with two decimals.
#[must_use]
pub fn confidence(p: f64) -> String {
    format!("{p:.2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_three_digits_at_most() {
        let all: Vec<_> = [0, 999, 41_000, 1_250_000, 38_400, -3_200_000_000, 1_005_000, 99_950_000, 123_456_789_012].map(duration).into();
        assert_eq!(all, ["0 ns", "999 ns", "41 µs", "1.25 ms", "38.4 µs", "-3.2 s", "1 ms", "99.9 ms", "123 s"]);
    }

    #[test]
    fn drifts_are_in_millionths() {
        assert_eq!([50_040, -120].map(drift), ["gaining 50.0 ppm", "losing 0.1 ppm"]);
    }

    #[test]
    fn times_are_civil_dates() {
        assert_eq!(time(1_620_280_000_123_000_000), "2021-05-06T05:46:40.123Z");
        assert_eq!(time(951_782_400_000_000_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(time(43_500_000_000_000), "12:05:00.000 (no date)");
        assert_eq!(time(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(time(Nanos::MIN), "1677-09-21T00:12:43.145Z");
    }

    #[test]
    fn node_names_are_cut_only_while_unambiguous() {
        let node = |id: &str| Entity { id: id.into(), kind: EntityKind::Node, ..Entity::default() };
        let report = Report {
            entities: vec![node("node:a.east"), node("node:b.east"), node("node:b.west"), node("node:10.0.0.1")],
            ..Report::default()
        };
        let book = Book::new(&report);
        assert_eq!(["node:a.east", "node:b.east", "node:10.0.0.1"].map(|n| book.short(n)), ["a", "b.east", "10.0.0.1"]);
        let told = "a.east/eth0 (a.east): xa.east, a.east1 and b.east are no a.east.";
        assert_eq!(book.sentence(told), "a/eth0 (a): xa.east, a.east1 and b.east are no a.");
    }

    #[test]
    fn an_interface_names_its_owner_from_its_id_alone() {
        let report = Report::default();
        let book = Book::new(&report);
        assert_eq!(book.name("if:pod:default/tomcat-0/eth0"), "pod default/tomcat-0 eth0");
        assert_eq!(book.name("if:0e:86:5a:82:6b:e6"), "interface 0e:86:5a:82:6b:e6");
    }
}
