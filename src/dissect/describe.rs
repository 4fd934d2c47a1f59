//! A frame for a person's eyes: every header with its fields, where they lie and what they say, in Wireshark's words.
//! Knows the same headers as the rest of `dissect`, whose judgement on tunnels it takes over; decides nothing itself.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::link::{ARP, ETHERNET, IPV4, IPV6};
use super::{MAX_TUNNELS, Payload, TunnelKind, ip, tunnel};
use crate::capture::LinkType;
use crate::model::Mac;

/// One header, or what follows the last.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Layer {
    /// As Wireshark calls it.
    pub name: &'static str,
    /// Where it begins in the frame.
    pub start: usize,
    /// How many of its bytes were captured.
    pub len: usize,
    /// Its fields in order; those that the snaplen cut away are left out.
    pub fields: Vec<Field>,
}

/// One field of a header.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Field {
    /// As Wireshark calls it, in short.
    pub name: &'static str,
    /// What it says, decoded.
    pub value: String,
    /// Where it lies in the frame; fields of less than an octet share theirs.
    pub start: usize,
    /// Its octets.
    pub len: usize,
}

/// Describes every layer of a frame, outermost first.
#[must_use]
pub fn describe(link_type: LinkType, bytes: &[u8], original_len: u32) -> Vec<Layer> {
    let wire = Payload::of_frame(bytes, original_len).len as usize;
    let mut frame = Frame { bytes, end: wire, layers: Vec::new(), tunnels: 0, is_quoted: false };
    frame.link(link_type);
    frame.layers
}

/// More layers than any frame has that was not made to exhaust somebody.
const MAX_LAYERS: usize = 64;

/// A frame on its way through its layers. Each reader gives `None` where the captured bytes end: what was found stays.
struct Frame<'a> {
    bytes: &'a [u8],
    /// Where the current packet ends on the wire, padding left out.
    end: usize,
    layers: Vec<Layer>,
    tunnels: usize,
    is_quoted: bool,
}

impl Frame<'_> {
    fn u8(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn u16(&self, at: usize) -> Option<u16> {
        self.bytes.get(at..)?.first_chunk().map(|octets| u16::from_be_bytes(*octets))
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.bytes.get(at..)?.first_chunk().map(|octets| u32::from_be_bytes(*octets))
    }

    fn u24(&self, at: usize) -> Option<u32> {
        Some(self.u32(at)? >> 8)
    }

    fn mac(&self, at: usize) -> Option<Mac> {
        self.bytes.get(at..)?.first_chunk().copied().map(Mac)
    }

    fn v4(&self, at: usize) -> Option<Ipv4Addr> {
        self.bytes.get(at..)?.first_chunk::<4>().copied().map(Ipv4Addr::from)
    }

    fn v6(&self, at: usize) -> Option<Ipv6Addr> {
        self.bytes.get(at..)?.first_chunk::<16>().copied().map(Ipv6Addr::from)
    }

    fn layer(&mut self, name: &'static str, start: usize, len: usize) {
        let len = len.min(self.bytes.len().saturating_sub(start));
        if len == 0 {
            return;
        }
        self.layers.push(Layer { name, start, len, fields: Vec::new() });
    }

    /// A field of the last layer.
    fn field(&mut self, name: &'static str, start: usize, len: usize, value: impl ToString) {
        let is_captured = start + len <= self.bytes.len();
        if let Some(layer) = self.layers.last_mut().filter(|_| is_captured) {
            layer.fields.push(Field { name, value: value.to_string(), start, len });
        }
    }

    fn link(&mut self, link_type: LinkType) -> Option<()> {
        match link_type {
            LinkType::ETHERNET => self.ethernet(0),
            LinkType::LINUX_SLL => self.cooked(),
            LinkType::LINUX_SLL2 => self.cooked_v2(),
            LinkType::RAW | LinkType(12 | 14) | LinkType::IPV4 | LinkType::IPV6 => self.ip(0),
            LinkType::NULL | LinkType::LOOP => {
                self.layer("Null/Loopback", 0, 4);
                let family = self.u32(0)?;
                self.field("Family", 0, 4, if family > 0xffff { family.swap_bytes() } else { family });
                self.ip(4)
            }
            _ => self.data(0),
        }
    }

    fn ethernet(&mut self, at: usize) -> Option<()> {
        self.layer("Ethernet II", at, 14);
        let (dst, src) = (self.mac(at)?, self.mac(at + 6)?);
        self.field("Destination", at, 6, dst);
        self.field("Source", at + 6, 6, src);
        self.ethertype_field(at + 12)
    }

    fn cooked(&mut self) -> Option<()> {
        self.layer("Linux cooked capture v1", 0, 16);
        let packet_type = self.u16(0)?;
        self.field("Packet type", 0, 2, packet_type_text(packet_type));
        let hardware = self.u16(2)?;
        self.field("Link-layer address type", 2, 2, hardware);
        let len = self.u16(4)?;
        self.field("Link-layer address length", 4, 2, len);
        let mac = self.mac(6)?;
        if len == 6 {
            self.field("Source", 6, 6, mac);
        }
        self.ethertype_field(14)
    }

    fn cooked_v2(&mut self) -> Option<()> {
        self.layer("Linux cooked capture v2", 0, 20);
        let protocol = self.u16(0)?;
        self.field("Protocol", 0, 2, ethertype_text(protocol));
        let index = self.u32(4)?;
        self.field("Interface index", 4, 4, index);
        let hardware = self.u16(8)?;
        self.field("Link-layer address type", 8, 2, hardware);
        let packet_type = self.u8(10)?;
        self.field("Packet type", 10, 1, packet_type_text(packet_type.into()));
        let len = self.u8(11)?;
        self.field("Link-layer address length", 11, 1, len);
        let mac = self.mac(12)?;
        if len == 6 {
            self.field("Source", 12, 6, mac);
        }
        self.payload_of(protocol, 20)
    }

    /// The EtherType at `at`, which is the last field of its header, and what follows.
    fn ethertype_field(&mut self, at: usize) -> Option<()> {
        let ethertype = self.u16(at)?;
        if ethertype < 0x600 {
            self.field("Length", at, 2, ethertype);
            return self.data(at + 2);
        }
        self.field("Type", at, 2, ethertype_text(ethertype));
        self.payload_of(ethertype, at + 2)
    }

    fn payload_of(&mut self, ethertype: u16, at: usize) -> Option<()> {
        match ethertype {
            _ if self.layers.len() >= MAX_LAYERS => self.data(at),
            IPV4 | IPV6 => self.ip(at),
            ARP => self.arp(at),
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                self.layer(if ethertype == 0x88a8 { "802.1ad Virtual LAN" } else { "802.1Q Virtual LAN" }, at, 4);
                let tag = self.u16(at)?;
                self.field("Priority", at, 2, tag >> 13);
                self.field("DEI", at, 2, tag >> 12 & 1);
                self.field("ID", at, 2, tag & 0xfff);
                self.ethertype_field(at + 2)
            }
            0x8847 | 0x8848 => self.mpls(at),
            0x8864 => {
                self.layer("PPP-over-Ethernet Session", at, 8);
                let (session, protocol) = (self.u16(at + 2)?, self.u16(at + 6)?);
                self.field("Session ID", at + 2, 2, session);
                self.field("Protocol", at + 6, 2, format!("{protocol:#06x}"));
                if matches!(protocol, 0x21 | 0x57) { self.ip(at + 8) } else { self.data(at + 8) }
            }
            _ => self.data(at),
        }
    }

    fn mpls(&mut self, at: usize) -> Option<()> {
        self.layer("MultiProtocol Label Switching Header", at, 4);
        let entry = self.u32(at)?;
        self.field("Label", at, 4, entry >> 12);
        self.field("Traffic Class", at, 4, entry >> 9 & 7);
        self.field("Bottom of Stack", at, 4, entry >> 8 & 1);
        self.field("TTL", at, 4, entry & 0xff);
        match entry >> 8 & 1 {
            1 => self.ip(at + 4),
            _ if self.layers.len() >= MAX_LAYERS => self.data(at + 4),
            _ => self.mpls(at + 4),
        }
    }

    fn arp(&mut self, at: usize) -> Option<()> {
        self.layer("Address Resolution Protocol", at, 28);
        let (hardware, protocol) = (self.u16(at)?, self.u16(at + 2)?);
        self.field("Hardware type", at, 2, if hardware == 1 { "Ethernet (1)".to_owned() } else { hardware.to_string() });
        self.field("Protocol type", at + 2, 2, ethertype_text(protocol));
        let operation = self.u16(at + 6)?;
        let text = match operation {
            1 => "request (1)".to_owned(),
            2 => "reply (2)".to_owned(),
            other => other.to_string(),
        };
        self.field("Opcode", at + 6, 2, text);
        if (hardware, protocol, self.u16(at + 4)?) != (1, IPV4, 0x0604) {
            return None;
        }
        let (mac, ip) = (self.mac(at + 8)?, self.v4(at + 14)?);
        self.field("Sender MAC address", at + 8, 6, mac);
        self.field("Sender IP address", at + 14, 4, ip);
        let (mac, ip) = (self.mac(at + 18)?, self.v4(at + 24)?);
        self.field("Target MAC address", at + 18, 6, mac);
        self.field("Target IP address", at + 24, 4, ip);
        Some(())
    }

    fn ip(&mut self, at: usize) -> Option<()> {
        let wire = u32::try_from(self.end.saturating_sub(at)).ok()?;
        let captured = self.bytes.get(at..)?;
        let packet = Payload { bytes: captured.get(..wire as usize).unwrap_or(captured), len: wire };
        // The reader that the analysis uses says how long the packet is and whether it is a tunnel.
        let read = ip::ip(packet);
        let tunnel = read.as_ref().filter(|_| !self.is_quoted && self.tunnels < MAX_TUNNELS).and_then(tunnel::open);
        if let Some(read) = &read {
            let stated = at.saturating_add(read.total_len as usize);
            self.end = if self.is_quoted { self.end.min(stated) } else { stated };
        }
        self.tunnels += usize::from(tunnel.is_some());
        match self.u8(at)? >> 4 {
            4 => self.ipv4(at, tunnel.map(|(tunnel, _)| tunnel.kind)),
            6 => self.ipv6(at, tunnel.map(|(tunnel, _)| tunnel.kind)),
            _ => self.data(at),
        }
    }

    fn ipv4(&mut self, at: usize, tunnel: Option<TunnelKind>) -> Option<()> {
        let header = usize::from(self.u8(at)? & 0xf) * 4;
        self.layer("Internet Protocol Version 4", at, header.max(20));
        self.field("Version", at, 1, 4);
        self.field("Header Length", at, 1, format!("{header} bytes"));
        let tos = self.u8(at + 1)?;
        self.field("Differentiated Services Field", at + 1, 1, tos_text(tos));
        let total = self.u16(at + 2)?;
        self.field("Total Length", at + 2, 2, total);
        let id = self.u16(at + 4)?;
        self.field("Identification", at + 4, 2, format!("{id:#06x} ({id})"));
        let fragment = self.u16(at + 6)?;
        let flags: Vec<&str> = [(0x8000, "Reserved"), (0x4000, "Don't fragment"), (0x2000, "More fragments")]
            .iter()
            .filter(|f| fragment & f.0 != 0)
            .map(|f| f.1)
            .collect();
        self.field("Flags", at + 6, 1, if flags.is_empty() { "none".to_owned() } else { flags.join(", ") });
        let offset = (fragment & 0x1fff) * 8;
        self.field("Fragment Offset", at + 6, 2, offset);
        let ttl = self.u8(at + 8)?;
        self.field("Time to Live", at + 8, 1, ttl);
        let protocol = self.u8(at + 9)?;
        self.field("Protocol", at + 9, 1, protocol_text(protocol));
        let checksum = self.u16(at + 10)?;
        self.field("Header Checksum", at + 10, 2, format!("{checksum:#06x}"));
        let (src, dst) = (self.v4(at + 12)?, self.v4(at + 16)?);
        self.field("Source Address", at + 12, 4, src);
        self.field("Destination Address", at + 16, 4, dst);
        if header < 20 {
            return None;
        }
        if header > 20 {
            self.field("Options", at + 20, header - 20, format!("{} bytes", header - 20));
        }
        if offset > 0 { self.data(at + header) } else { self.transport(protocol, at + header, tunnel) }
    }

    fn ipv6(&mut self, at: usize, tunnel: Option<TunnelKind>) -> Option<()> {
        self.layer("Internet Protocol Version 6", at, 40);
        let first = self.u32(at)?;
        self.field("Version", at, 1, 6);
        self.field("Traffic Class", at, 2, tos_text((first >> 20 & 0xff) as u8));
        self.field("Flow Label", at + 1, 3, format!("{:#07x}", first & 0xf_ffff));
        let len = self.u16(at + 4)?;
        self.field("Payload Length", at + 4, 2, len);
        let mut next = self.u8(at + 6)?;
        self.field("Next Header", at + 6, 1, protocol_text(next));
        let limit = self.u8(at + 7)?;
        self.field("Hop Limit", at + 7, 1, limit);
        let (src, dst) = (self.v6(at + 8)?, self.v6(at + 24)?);
        self.field("Source Address", at + 8, 16, src);
        self.field("Destination Address", at + 24, 16, dst);
        let mut at = at + 40;
        loop {
            let (name, len) = match next {
                0 => ("IPv6 Hop-by-Hop Option", (usize::from(self.u8(at + 1)?) + 1) * 8),
                43 => ("Routing Header for IPv6", (usize::from(self.u8(at + 1)?) + 1) * 8),
                60 => ("Destination Options for IPv6", (usize::from(self.u8(at + 1)?) + 1) * 8),
                135 | 139 | 140 => ("IPv6 Extension Header", (usize::from(self.u8(at + 1)?) + 1) * 8),
                51 => ("Authentication Header", (usize::from(self.u8(at + 1)?) + 2) * 4),
                44 => ("Fragment Header for IPv6", 8),
                _ => return self.transport(next, at, tunnel),
            };
            if self.layers.len() >= MAX_LAYERS {
                return self.data(at);
            }
            let is_fragment = next == 44;
            self.layer(name, at, len);
            next = self.u8(at)?;
            self.field("Next Header", at, 1, protocol_text(next));
            if is_fragment {
                let (fragment, id) = (self.u16(at + 2)?, self.u32(at + 4)?);
                self.field("Offset", at + 2, 2, fragment & 0xfff8);
                self.field("More Fragments", at + 2, 2, if fragment & 1 == 1 { "Yes" } else { "No" });
                self.field("Identification", at + 4, 4, format!("{id:#010x}"));
                if fragment & 0xfff8 != 0 {
                    return self.data(at + len);
                }
            }
            at += len;
        }
    }

    fn transport(&mut self, protocol: u8, at: usize, tunnel: Option<TunnelKind>) -> Option<()> {
        match (protocol, tunnel) {
            (_, Some(TunnelKind::Gre)) => self.gre(at),
            (_, Some(TunnelKind::IpInIp)) => self.ip(at),
            (6, _) => self.tcp(at),
            (17, _) => self.udp(at, tunnel),
            (1, _) => self.icmp(at, "Internet Control Message Protocol", &ICMP),
            (58, _) => self.icmp(at, "Internet Control Message Protocol v6", &ICMPV6),
            (132, _) => self.sctp(at),
            _ => self.data(at),
        }
    }

    fn ports(&mut self, at: usize) -> Option<(u16, u16)> {
        let src = self.u16(at)?;
        self.field("Source Port", at, 2, src);
        let dst = self.u16(at + 2)?;
        self.field("Destination Port", at + 2, 2, dst);
        Some((src, dst))
    }

    fn tcp(&mut self, at: usize) -> Option<()> {
        let header = self.u8(at + 12).map_or(20, |octet| usize::from(octet >> 4) * 4);
        self.layer("Transmission Control Protocol", at, header.max(20));
        self.ports(at)?;
        let seq = self.u32(at + 4)?;
        self.field("Sequence Number", at + 4, 4, seq);
        let ack = self.u32(at + 8)?;
        self.field("Acknowledgment Number", at + 8, 4, ack);
        let flags = self.u16(at + 12)?;
        self.field("Header Length", at + 12, 1, format!("{header} bytes"));
        let names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE"];
        let set: Vec<&str> = names.iter().enumerate().filter(|(bit, _)| flags >> bit & 1 == 1).map(|(_, name)| *name).collect();
        self.field("Flags", at + 12, 2, format!("{:#05x} ({})", flags & 0x1ff, set.join(", ")));
        let window = self.u16(at + 14)?;
        self.field("Window", at + 14, 2, window);
        let checksum = self.u16(at + 16)?;
        self.field("Checksum", at + 16, 2, format!("{checksum:#06x}"));
        let urgent = self.u16(at + 18)?;
        self.field("Urgent Pointer", at + 18, 2, urgent);
        if header < 20 {
            return None;
        }
        self.tcp_options(at + 20, at + header);
        self.text(at + header)
    }

    fn tcp_options(&mut self, start: usize, end: usize) -> Option<()> {
        let mut at = start;
        while at < end {
            let kind = self.u8(at)?;
            if kind < 2 {
                self.field(if kind == 0 { "End of Option List" } else { "No-Operation" }, at, 1, "");
                if kind == 0 {
                    return None;
                }
                at += 1;
                continue;
            }
            let len = usize::from(self.u8(at + 1)?);
            if len < 2 || at + len > end {
                return None;
            }
            match (kind, len) {
                (2, 4) => self.field("Maximum segment size", at, len, format!("{} bytes", self.u16(at + 2)?)),
                (3, 3) => {
                    self.field("Window scale", at, len, format!("{} (multiply by {})", self.u8(at + 2)?, 1_u64 << (self.u8(at + 2)? & 31)))
                }
                (4, 2) => self.field("SACK permitted", at, len, ""),
                (5, _) => self.field("SACK", at, len, format!("{} blocks", (len - 2) / 8)),
                (8, 10) => self.field("Timestamps", at, len, format!("TSval {}, TSecr {}", self.u32(at + 2)?, self.u32(at + 6)?)),
                _ => self.field("Option", at, len, format!("kind {kind}")),
            }
            at += len;
        }
        None
    }

    fn udp(&mut self, at: usize, tunnel: Option<TunnelKind>) -> Option<()> {
        self.layer("User Datagram Protocol", at, 8);
        let (src, dst) = self.ports(at)?;
        let len = self.u16(at + 4)?;
        self.field("Length", at + 4, 2, len);
        let checksum = self.u16(at + 6)?;
        self.field("Checksum", at + 6, 2, format!("{checksum:#06x}"));
        if len >= 8 {
            self.end = self.end.min(at + usize::from(len));
        }
        match tunnel {
            Some(TunnelKind::Vxlan) => self.vxlan(at + 8),
            Some(TunnelKind::Geneve) => self.geneve(at + 8),
            _ if [53, 5353].iter().any(|port| src == *port || dst == *port) => self.dns(at + 8),
            _ => self.data(at + 8),
        }
    }

    fn vxlan(&mut self, at: usize) -> Option<()> {
        self.layer("Virtual eXtensible Local Area Network", at, 8);
        let (flags, policy, vni) = (self.u16(at)?, self.u16(at + 2)?, self.u24(at + 4)?);
        self.field("Flags", at, 2, format!("{flags:#06x}"));
        self.field("Group Policy ID", at + 2, 2, policy);
        self.field("VXLAN Network Identifier (VNI)", at + 4, 3, vni);
        self.ethernet(at + 8)
    }

    fn geneve(&mut self, at: usize) -> Option<()> {
        let options = usize::from(self.u8(at)? & 0x3f) * 4;
        self.layer("Generic Network Virtualization Encapsulation", at, 8 + options);
        let (protocol, vni) = (self.u16(at + 2)?, self.u24(at + 4)?);
        self.field("Options Length", at, 1, format!("{options} bytes"));
        self.field("Protocol Type", at + 2, 2, ethertype_text(protocol));
        self.field("Virtual Network Identifier (VNI)", at + 4, 3, vni);
        self.carried(protocol, at + 8 + options)
    }

    fn gre(&mut self, at: usize) -> Option<()> {
        let flags = self.u16(at)?;
        let parts = [(0x8000, "Checksum"), (0x2000, "Key"), (0x1000, "Sequence Number")];
        let len = 4 + 4 * parts.iter().filter(|(flag, _)| flags & flag != 0).count();
        self.layer("Generic Routing Encapsulation", at, len);
        self.field("Flags and Version", at, 2, format!("{flags:#06x}"));
        let protocol = self.u16(at + 2)?;
        self.field("Protocol Type", at + 2, 2, ethertype_text(protocol));
        let mut next = at + 4;
        for (flag, name) in parts {
            if flags & flag != 0 {
                let value = self.u32(next)?;
                self.field(name, next, 4, if flag == 0x8000 { format!("{:#06x}", value >> 16) } else { value.to_string() });
                next += 4;
            }
        }
        self.carried(protocol, next)
    }

    fn carried(&mut self, protocol: u16, at: usize) -> Option<()> {
        if protocol == ETHERNET { self.ethernet(at) } else { self.payload_of(protocol, at) }
    }

    fn icmp(&mut self, at: usize, name: &'static str, family: &IcmpFamily) -> Option<()> {
        self.layer(name, at, 8);
        let kind = self.u8(at)?;
        let text = family
            .names
            .iter()
            .find(|(number, _)| *number == kind)
            .map_or_else(|| kind.to_string(), |(_, text)| format!("{kind} ({text})"));
        self.field("Type", at, 1, text);
        let code = self.u8(at + 1)?;
        self.field("Code", at + 1, 1, code);
        let checksum = self.u16(at + 2)?;
        self.field("Checksum", at + 2, 2, format!("{checksum:#06x}"));
        if family.echo.contains(&kind) {
            let (id, seq) = (self.u16(at + 4)?, self.u16(at + 6)?);
            self.field("Identifier", at + 4, 2, id);
            self.field("Sequence Number", at + 6, 2, seq);
        }
        if (kind, code) == family.too_big.0 || (kind == 2 && family.too_big.0.0 == 2) {
            let (start, len) = family.too_big.1;
            let mtu = if len == 2 { self.u16(at + start)?.into() } else { self.u32(at + start)? };
            self.field("MTU of next hop", at + start, len, mtu);
        }
        if family.errors.contains(&kind) && !self.is_quoted {
            self.is_quoted = true;
            return self.ip(at + 8);
        }
        self.data(at + 8)
    }

    fn sctp(&mut self, at: usize) -> Option<()> {
        self.layer("Stream Control Transmission Protocol", at, 12);
        self.ports(at)?;
        let tag = self.u32(at + 4)?;
        self.field("Verification tag", at + 4, 4, format!("{tag:#010x}"));
        let checksum = self.u32(at + 8)?;
        self.field("Checksum", at + 8, 4, format!("{checksum:#010x}"));
        let chunk = self.u8(at + 12)?;
        self.field("Chunk type", at + 12, 1, chunk);
        self.data(at + 12)
    }

    fn dns(&mut self, at: usize) -> Option<()> {
        let (id, flags, questions) = (self.u16(at)?, self.u16(at + 2)?, self.u16(at + 4)?);
        let is_response = flags & 0x8000 != 0;
        self.layer(
            if is_response { "Domain Name System (response)" } else { "Domain Name System (query)" },
            at,
            self.end.saturating_sub(at),
        );
        self.field("Transaction ID", at, 2, format!("{id:#06x}"));
        self.field("Flags", at + 2, 2, format!("{flags:#06x}"));
        if is_response {
            let names = ["No error", "Format error", "Server failure", "No such name", "Not implemented", "Refused"];
            let code = usize::from(flags & 0xf);
            self.field("Reply code", at + 2, 2, names.get(code).map_or_else(|| code.to_string(), |name| format!("{name} ({code})")));
        }
        self.field("Questions", at + 4, 2, questions);
        if questions == 0 {
            return None;
        }
        let mut name = String::new();
        let mut end = at + 12;
        loop {
            let len = usize::from(self.u8(end)?);
            if len == 0 {
                break;
            }
            // RFC 1035: a label is at most 63 octets, and a first question never points anywhere.
            let label = self.bytes.get(end + 1..end + 1 + len).filter(|_| len <= 63 && name.len() < 256)?;
            if !name.is_empty() {
                name.push('.');
            }
            name.extend(label.iter().map(|octet| if octet.is_ascii_graphic() { char::from(*octet) } else { '\u{fffd}' }));
            end += 1 + len;
        }
        let kind = self.u16(end + 1)?;
        let types =
            [(1, "A"), (2, "NS"), (5, "CNAME"), (6, "SOA"), (12, "PTR"), (15, "MX"), (16, "TXT"), (28, "AAAA"), (33, "SRV"), (65, "HTTPS")];
        let kind = types.iter().find(|(number, _)| *number == kind).map_or_else(|| format!("type {kind}"), |(_, name)| (*name).to_owned());
        self.field("Query", at + 12, end + 5 - (at + 12), format!("{name} {kind}"));
        Some(())
    }

    /// HTTP/1's first line, or bytes.
    fn text(&mut self, at: usize) -> Option<()> {
        const METHODS: [&[u8]; 9] = [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"TRACE "];
        const LONGEST_LINE: usize = 400;
        let payload = self.bytes.get(at..self.end.min(self.bytes.len())).unwrap_or_default();
        let is_response = payload.starts_with(b"HTTP/1.");
        if !is_response && !METHODS.iter().any(|method| payload.starts_with(method)) {
            return self.data(at);
        }
        let line = payload.split(|octet| *octet == b'\n').next().unwrap_or_default().trim_ascii_end();
        let line = line.get(..LONGEST_LINE).unwrap_or(line);
        let (len, line) = (line.len(), String::from_utf8_lossy(line).replace(char::is_control, "\u{fffd}"));
        self.layer("Hypertext Transfer Protocol", at, self.end.saturating_sub(at));
        self.field(if is_response { "Response" } else { "Request" }, at, len, line);
        Some(())
    }

    fn data(&mut self, at: usize) -> Option<()> {
        let end = self.end.min(self.bytes.len());
        if at < end {
            self.layer("Data", at, end - at);
            let wire = self.end - at;
            self.field(
                "Length",
                at,
                end - at,
                if self.end == end { format!("{wire} bytes") } else { format!("{wire} bytes, {} of them captured", end - at) },
            );
        }
        Some(())
    }
}

/// What differs between ICMP and ICMPv6.
struct IcmpFamily {
    names: &'static [(u8, &'static str)],
    echo: &'static [u8],
    errors: &'static [u8],
    /// Type and code that tell an MTU, and where it stands.
    too_big: ((u8, u8), (usize, usize)),
}

const ICMP: IcmpFamily = IcmpFamily {
    names: &[
        (0, "Echo (ping) reply"),
        (3, "Destination unreachable"),
        (5, "Redirect"),
        (8, "Echo (ping) request"),
        (11, "Time-to-live exceeded"),
        (12, "Parameter problem"),
    ],
    echo: &[0, 8],
    errors: &[3, 4, 5, 11, 12],
    too_big: ((3, 4), (6, 2)),
};

const ICMPV6: IcmpFamily = IcmpFamily {
    names: &[
        (1, "Destination Unreachable"),
        (2, "Packet Too Big"),
        (3, "Time Exceeded"),
        (4, "Parameter Problem"),
        (128, "Echo (ping) request"),
        (129, "Echo (ping) reply"),
        (133, "Router Solicitation"),
        (134, "Router Advertisement"),
        (135, "Neighbor Solicitation"),
        (136, "Neighbor Advertisement"),
        (143, "Multicast Listener Report Message v2"),
    ],
    echo: &[128, 129],
    errors: &[1, 2, 3, 4],
    too_big: ((2, 0), (4, 4)),
};

fn packet_type_text(packet_type: u16) -> String {
    let name = match packet_type {
        0 => "Unicast to us",
        1 => "Broadcast",
        2 => "Multicast",
        3 => "To another host",
        4 => "Sent by us",
        _ => return packet_type.to_string(),
    };
    format!("{name} ({packet_type})")
}

fn ethertype_text(ethertype: u16) -> String {
    let name = match ethertype {
        IPV4 => "IPv4",
        ARP => "ARP",
        IPV6 => "IPv6",
        ETHERNET => "Transparent Ethernet bridging",
        0x8100 => "802.1Q Virtual LAN",
        0x88a8 => "802.1ad Provider Bridge",
        0x8847 => "MPLS label switched packet",
        0x8864 => "PPPoE Session",
        0x88cc => "802.1 Link Layer Discovery Protocol",
        _ => return format!("{ethertype:#06x}"),
    };
    format!("{name} ({ethertype:#06x})")
}

fn protocol_text(protocol: u8) -> String {
    let name = match protocol {
        0 => "IPv6 Hop-by-Hop Option",
        1 => "ICMP",
        2 => "IGMP",
        4 => "IPIP",
        6 => "TCP",
        17 => "UDP",
        41 => "IPv6",
        43 => "Routing Header for IPv6",
        44 => "Fragment Header for IPv6",
        47 => "GRE",
        50 => "ESP",
        51 => "Authentication Header",
        58 => "ICMPv6",
        59 => "No Next Header",
        60 => "Destination Options for IPv6",
        132 => "SCTP",
        _ => return protocol.to_string(),
    };
    format!("{name} ({protocol})")
}

fn tos_text(tos: u8) -> String {
    let ecn = match tos & 3 {
        0 => "Not-ECT",
        1 => "ECT(1)",
        2 => "ECT(0)",
        _ => "CE",
    };
    format!("{tos:#04x} (DSCP: {}, ECN: {ecn})", tos >> 2)
}
