//! Prints what the dissector says of every frame of captures, a line each, in columns that are named and written as tshark's fields:
//! `cargo run --example fields FILE...`. `cargo xtask fields` compares the two.
//! Knows tshark's names of fields; must not know what tshark says.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};

use hopscope::capture::{CaptureReader, FrameSink, InterfaceInfo, LinkType, RawFrame};
use hopscope::container::{Container, ContainerKind, Limits, MemberSink};
use hopscope::dissect::{Icmp, Ip, Net, Observation, Transport, TunnelKind, dissect};
use hopscope::model::Protocol;

/// Stands where a header was seen, but the observation does not keep this value of it.
const NOT_TOLD: &str = "?";

/// The columns, in the order in which they are printed.
const FIELDS: [&str; 57] = [
    "frame.number",
    "frame.time_epoch",
    "frame.cap_len",
    "frame.len",
    "eth.src",
    "eth.dst",
    "sll.src.eth",
    "sll.ifindex",
    "vlan.id",
    "arp.opcode",
    "arp.src.hw_mac",
    "arp.src.proto_ipv4",
    "arp.dst.hw_mac",
    "arp.dst.proto_ipv4",
    "ip.src",
    "ip.dst",
    "ip.ttl",
    "ip.id",
    "ip.proto",
    "ip.len",
    "ip.frag_offset",
    "ip.flags.mf",
    "ip.flags.df",
    "ip.dsfield",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.hlim",
    "ipv6.plen",
    "ipv6.tclass",
    "ipv6.fraghdr.ident",
    "ipv6.fraghdr.offset",
    "ipv6.fraghdr.more",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.seq_raw",
    "tcp.ack_raw",
    "tcp.flags",
    "tcp.len",
    "tcp.window_size_value",
    "tcp.options.mss_val",
    "tcp.options.timestamp.tsval",
    "udp.srcport",
    "udp.dstport",
    "icmp.type",
    "icmp.code",
    "icmp.ident",
    "icmp.seq",
    "icmpv6.type",
    "icmpv6.code",
    "icmpv6.echo.identifier",
    "icmpv6.echo.sequence_number",
    "sctp.srcport",
    "sctp.dstport",
    "sctp.verification_tag",
    "vxlan.vni",
    "geneve.vni",
    "gre.key",
];

/// The values of one frame by field, outermost header first.
type Row = BTreeMap<&'static str, Vec<String>>;

/// What an observation says in tshark's fields: outer packets, the packet, and the one that it quotes.
fn row(link_type: LinkType, frame: &RawFrame<'_>) -> Row {
    let observation = dissect(link_type, frame.bytes, frame.original_len);
    let mut row = Row::new();
    let mut say = |name, value: String| row.entry(name).or_default().push(value);
    say("frame.number", frame.number.to_string());
    if let Some(time) = frame.time_ns {
        let (seconds, nanos) = (time / 1_000_000_000, (time % 1_000_000_000).abs());
        let sign = if time < 0 && seconds == 0 { "-" } else { "" };
        say("frame.time_epoch", format!("{sign}{seconds}.{nanos:09}"));
    }
    say("frame.cap_len", frame.bytes.len().to_string());
    say("frame.len", frame.original_len.to_string());
    say_link(link_type, &observation, &mut say);
    for tunnel in &observation.tunnels {
        let is_v4 = tunnel.src.is_ipv4();
        say(if is_v4 { "ip.src" } else { "ipv6.src" }, tunnel.src.to_string());
        say(if is_v4 { "ip.dst" } else { "ipv6.dst" }, tunnel.dst.to_string());
        say(if is_v4 { "ip.ttl" } else { "ipv6.hlim" }, tunnel.ttl.to_string());
        let rest: &[&str] = if is_v4 {
            &["ip.id", "ip.proto", "ip.len", "ip.frag_offset", "ip.flags.mf", "ip.flags.df", "ip.dsfield"]
        } else {
            &["ipv6.plen", "ipv6.tclass"]
        };
        rest.iter().for_each(|name| say(name, NOT_TOLD.to_owned()));
        if let Some((src, dst)) = tunnel.src_port.zip(tunnel.dst_port) {
            say("udp.srcport", src.to_string());
            say("udp.dstport", dst.to_string());
        }
        match (tunnel.kind, tunnel.id) {
            (TunnelKind::Vxlan, Some(id)) => say("vxlan.vni", id.to_string()),
            (TunnelKind::Geneve, Some(id)) => say("geneve.vni", format!("{id:#08x}")),
            (TunnelKind::Gre, Some(id)) => say("gre.key", format!("{id:#010x}")),
            _ => {}
        }
        if let Some((src, dst)) = tunnel.inner_macs {
            say("eth.src", src.to_string());
            say("eth.dst", dst.to_string());
        }
    }
    match &observation.net {
        Net::Other => {}
        Net::Arp(arp) => {
            say("arp.opcode", arp.operation.to_string());
            say("arp.src.hw_mac", arp.sender_mac.to_string());
            say("arp.src.proto_ipv4", arp.sender_ip.to_string());
            say("arp.dst.hw_mac", arp.target_mac.to_string());
            say("arp.dst.proto_ipv4", arp.target_ip.to_string());
        }
        Net::Ip(ip) => say_ip(ip, &mut say),
    }
    row
}

fn say_link(link_type: LinkType, observation: &Observation<'_>, say: &mut impl FnMut(&'static str, String)) {
    let link = &observation.link;
    if let Some(src) = link.src {
        say(if link_type == LinkType::ETHERNET { "eth.src" } else { "sll.src.eth" }, src.to_string());
    }
    if let Some(dst) = link.dst {
        say("eth.dst", dst.to_string());
    }
    if let Some(index) = link.ifindex {
        say("sll.ifindex", index.to_string());
    }
    link.vlans.iter().for_each(|id| say("vlan.id", id.to_string()));
}

fn say_ip(ip: &Ip<'_>, say: &mut impl FnMut(&'static str, String)) {
    let bit = |set: bool| u8::from(set).to_string();
    let (offset, has_more) = ip.fragment.unwrap_or_default();
    if ip.src.is_ipv4() {
        say("ip.src", ip.src.to_string());
        say("ip.dst", ip.dst.to_string());
        say("ip.ttl", ip.ttl.to_string());
        say("ip.id", ip.id.map_or(NOT_TOLD.to_owned(), |id| format!("{id:#06x}")));
        say("ip.proto", number(ip.protocol).to_string());
        say("ip.len", ip.total_len.to_string());
        say("ip.frag_offset", (offset / 8).to_string());
        say("ip.flags.mf", bit(has_more));
        say("ip.flags.df", bit(ip.dont_fragment));
        say("ip.dsfield", format!("{:#04x}", ip.tos));
    } else {
        say("ipv6.src", ip.src.to_string());
        say("ipv6.dst", ip.dst.to_string());
        say("ipv6.hlim", ip.ttl.to_string());
        say("ipv6.plen", ip.total_len.saturating_sub(40).to_string());
        say("ipv6.tclass", format!("{:#010x}", ip.tos));
        if let Some(id) = ip.id {
            say("ipv6.fraghdr.ident", format!("{id:#010x}"));
            say("ipv6.fraghdr.offset", (offset / 8).to_string());
            say("ipv6.fraghdr.more", bit(has_more));
        }
    }
    match &ip.transport {
        Transport::Tcp(tcp) => {
            say("tcp.srcport", tcp.src_port.to_string());
            say("tcp.dstport", tcp.dst_port.to_string());
            say("tcp.seq_raw", tcp.seq.to_string());
            say("tcp.ack_raw", tcp.ack.to_string());
            say("tcp.flags", format!("{:#06x}", tcp.flags));
            say("tcp.len", tcp.payload.len.to_string());
            say("tcp.window_size_value", tcp.window.to_string());
            if let Some(mss) = tcp.mss {
                say("tcp.options.mss_val", mss.to_string());
            }
            if let Some((value, _)) = tcp.timestamps {
                say("tcp.options.timestamp.tsval", value.to_string());
            }
        }
        Transport::Udp(udp) => {
            say("udp.srcport", udp.src_port.to_string());
            say("udp.dstport", udp.dst_port.to_string());
        }
        Transport::Icmp(icmp) => say_icmp(icmp, ip.protocol == Protocol::Icmp, say),
        Transport::Sctp(sctp) => {
            say("sctp.srcport", sctp.src_port.to_string());
            say("sctp.dstport", sctp.dst_port.to_string());
            say("sctp.verification_tag", format!("{:#010x}", sctp.tag));
        }
        Transport::Cut { ports: Some((src, dst)) } => {
            let (from, to) = match ip.protocol {
                Protocol::Udp => ("udp.srcport", "udp.dstport"),
                Protocol::Sctp => ("sctp.srcport", "sctp.dstport"),
                _ => ("tcp.srcport", "tcp.dstport"),
            };
            say(from, src.to_string());
            say(to, dst.to_string());
        }
        Transport::Other(_) | Transport::Cut { ports: None } => {}
    }
}

/// As IANA counts protocols.
fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Icmp => 1,
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Icmpv6 => 58,
        Protocol::Sctp => 132,
        Protocol::Other(number) => number,
    }
}

fn say_icmp(icmp: &Icmp<'_>, is_v4: bool, say: &mut impl FnMut(&'static str, String)) {
    say(if is_v4 { "icmp.type" } else { "icmpv6.type" }, icmp.kind.to_string());
    say(if is_v4 { "icmp.code" } else { "icmpv6.code" }, icmp.code.to_string());
    if let Some((id, sequence)) = icmp.echo {
        say(if is_v4 { "icmp.ident" } else { "icmpv6.echo.identifier" }, if is_v4 { id.to_string() } else { format!("{id:#06x}") });
        say(if is_v4 { "icmp.seq" } else { "icmpv6.echo.sequence_number" }, sequence.to_string());
    }
    if let Some(quoted) = &icmp.quoted {
        say_ip(quoted, say);
    }
}

/// Prints a line for each frame.
struct Printer<W> {
    link_types: Vec<Option<LinkType>>,
    out: W,
    outcome: std::io::Result<()>,
}

impl<W: Write> FrameSink for Printer<W> {
    fn interface(&mut self, info: &InterfaceInfo) {
        if info.index as usize == self.link_types.len() {
            self.link_types.push(info.link_type);
        }
    }

    fn frame(&mut self, frame: RawFrame<'_>) {
        let link_type = self.link_types.get(frame.interface as usize).copied().flatten().unwrap_or(LinkType(u32::MAX));
        let row = row(link_type, &frame);
        let line = FIELDS.map(|name| row.get(name).map_or(String::new(), |values| values.join(","))).join("\t");
        if self.outcome.is_ok() {
            self.outcome = writeln!(self.out, "{line}");
        }
    }

    fn name(&mut self, _: std::net::IpAddr, _: &str, _: u64) {}
}

/// A compressed capture's bytes.
#[derive(Default)]
struct Whole(Vec<u8>);

impl MemberSink for Whole {
    fn member(&mut self, _: &str) {}
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
    fn end(&mut self) {}
}

fn unpacked(bytes: Vec<u8>) -> Vec<u8> {
    let kind = match bytes.get(..4) {
        Some([0x1f, 0x8b, ..]) => ContainerKind::Gzip,
        Some([0x28, 0xb5, 0x2f, 0xfd]) => ContainerKind::Zstd,
        _ => return bytes,
    };
    let mut whole = Whole::default();
    let mut container = Container::new(kind, Limits::default());
    container.push(&bytes, &mut whole);
    let _ = container.finish(&mut whole);
    whole.0
}

#[allow(clippy::disallowed_methods)] // An example touches the world.
fn main() -> std::io::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    writeln!(out, "{}", FIELDS.join("\t"))?;
    for file in std::env::args_os().skip(1) {
        let bytes = unpacked(std::fs::read(file)?);
        let mut printer = Printer { link_types: Vec::new(), out: &mut out, outcome: Ok(()) };
        let mut reader = CaptureReader::new();
        reader.push(&bytes, &mut printer);
        let _ = reader.finish(&mut printer);
        printer.outcome?;
    }
    out.flush()
}
