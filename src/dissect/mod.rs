//! One frame's bytes → [`Observation`]: what each header says, outermost first.
//! Knows headers and nothing else: no capture file, no conversation, no inference.
//! Never panics, never allocates for common frames; what the snaplen cut away is *cut*, not broken.

mod describe;
pub(crate) mod fast;
mod ip;
mod link;
mod transport;
mod tunnel;

use std::net::IpAddr;

pub use describe::{Field, Layer, describe};

use crate::capture::LinkType;
use crate::model::{Direction, Mac, Protocol};

/// At most this many tunnels are opened inside one another.
pub const MAX_TUNNELS: usize = 4;

/// Reads a frame. `original_len` is its length on the wire, of which `bytes` may be the beginning only.
#[must_use]
pub fn dissect(link_type: LinkType, bytes: &[u8], original_len: u32) -> Observation<'_> {
    let (link, first) = link::link(link_type, Payload::of_frame(bytes, original_len));
    let mut observation = Observation { link, ..Observation::default() };
    let mut next = first;
    while let Some((ethertype, payload)) = next.take() {
        match ethertype {
            link::ARP => observation.net = link::arp(payload).map_or(Net::Other, Net::Arp),
            link::IPV4 | link::IPV6 => {
                let Some(ip) = ip::ip(payload) else { break };
                if observation.tunnels.len() < MAX_TUNNELS
                    && let Some((tunnel, inner)) = tunnel::open(&ip)
                {
                    observation.tunnels.push(tunnel);
                    next = Some(inner);
                } else {
                    observation.net = Net::Ip(ip);
                }
            }
            _ => {}
        }
    }
    observation
}

/// What one frame says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation<'a> {
    /// The link layer.
    pub link: Link,
    /// Tunnels around `net`, outermost first.
    pub tunnels: Vec<Tunnel>,
    /// The innermost network layer.
    pub net: Net<'a>,
}

/// The link layer of a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Source MAC; SLL and SLL2 have it too.
    pub src: Option<Mac>,
    /// Destination MAC; not in SLL and SLL2.
    pub dst: Option<Mac>,
    /// VLAN ids, outermost first (802.1Q, 802.1ad).
    pub vlans: Vec<u16>,
    /// SLL2's interface index.
    pub ifindex: Option<u32>,
    /// From SLL/SLL2's packet type (outgoing: out; all others: in).
    pub direction: Option<Direction>,
    /// SLL/SLL2 packet type "to someone else" (promiscuous).
    pub is_other_host: bool,
    /// EtherType after VLAN tags, where there is one.
    pub ethertype: Option<u16>,
}

/// Kinds of tunnel that are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum TunnelKind {
    /// RFC 7348; also VPC traffic mirroring.
    Vxlan,
    /// RFC 8926.
    Geneve,
    /// RFC 2784, 2890, with EtherType IPv4/IPv6 or transparent Ethernet.
    Gre,
    /// RFC 2003, RFC 4213, RFC 2473.
    IpInIp,
}

impl TunnelKind {
    /// The report's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::Gre => "gre",
            Self::IpInIp => "ipip",
        }
    }
}

/// One tunnel header with its outer addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Tunnel {
    /// Which.
    pub kind: TunnelKind,
    /// VNI, or the GRE key.
    pub id: Option<u32>,
    /// Outer source address.
    pub src: IpAddr,
    /// Outer destination address.
    pub dst: IpAddr,
    /// Outer UDP source port (VXLAN, Geneve).
    pub src_port: Option<u16>,
    /// Outer UDP destination port.
    pub dst_port: Option<u16>,
    /// Outer TTL.
    pub ttl: u8,
    /// Inner source and destination MAC, where the tunnel carries Ethernet.
    pub inner_macs: Option<(Mac, Mac)>,
}

/// The network layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Net<'a> {
    /// Not understood, or cut off before it began.
    #[default]
    Other,
    /// RFC 826, IPv4 over Ethernet.
    Arp(Arp),
    /// IPv4 or IPv6.
    Ip(Ip<'a>),
}

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// 1: request, 2: reply.
    pub operation: u16,
    /// Sender's MAC.
    pub sender_mac: Mac,
    /// Sender's address.
    pub sender_ip: std::net::Ipv4Addr,
    /// Target's MAC (zero in requests).
    pub target_mac: Mac,
    /// Target's address.
    pub target_ip: std::net::Ipv4Addr,
}

/// An IPv4 or IPv6 packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ip<'a> {
    /// Source.
    pub src: IpAddr,
    /// Destination.
    pub dst: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// IPv4 identification; IPv6: of the fragment header, if there is one.
    pub id: Option<u32>,
    /// Don't-fragment bit.
    pub dont_fragment: bool,
    /// DSCP and ECN octet.
    pub tos: u8,
    /// IP total length as the header says (IPv6: 40 + payload length; 0 in the header — segmentation offload — gives the frame's).
    pub total_len: u32,
    /// Fragment offset in bytes and "more fragments"; `None` for whole packets.
    pub fragment: Option<(u32, bool)>,
    /// IP protocol number of the transport header.
    pub protocol: Protocol,
    /// The transport layer.
    pub transport: Transport<'a>,
}

/// The transport layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport<'a> {
    /// RFC 9293.
    Tcp(Tcp<'a>),
    /// RFC 768.
    Udp(Udp<'a>),
    /// RFC 792 and RFC 4443.
    Icmp(Icmp<'a>),
    /// RFC 9260.
    Sctp(Sctp<'a>),
    /// A later fragment, or a protocol that is not opened: the bytes after the IP header.
    Other(Payload<'a>),
    /// Cut off by the snaplen inside the transport header; ports may have survived.
    Cut {
        /// Source and destination port, where they were captured.
        ports: Option<(u16, u16)>,
    },
}

/// Bytes that a header carries, and how many there were on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Payload<'a> {
    /// The captured part.
    pub bytes: &'a [u8],
    /// Length on the wire, from the headers.
    pub len: u32,
}

impl<'a> Payload<'a> {
    fn of_frame(bytes: &'a [u8], original_len: u32) -> Self {
        let captured = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        // Some writers leave the original length 0.
        Self { bytes, len: original_len.max(captured) }
    }

    /// Without its first `header` bytes.
    #[inline]
    fn after(self, header: usize) -> Self {
        let len = self.len.saturating_sub(u32::try_from(header).unwrap_or(u32::MAX));
        Self { bytes: self.bytes.get(header..).unwrap_or_default(), len }
    }

    /// As long as its header says: what was captured beyond is padding, what is missing was cut.
    #[inline]
    fn with_len(self, len: u32) -> Self {
        Self { bytes: self.bytes.get(..len as usize).unwrap_or(self.bytes), len }
    }

    fn u8(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn u16(&self, at: usize) -> Option<u16> {
        self.bytes.get(at..)?.first_chunk().map(|octets| u16::from_be_bytes(*octets))
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.bytes.get(at..)?.first_chunk().map(|octets| u32::from_be_bytes(*octets))
    }
}

/// A TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp<'a> {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number (0 without ACK).
    pub ack: u32,
    /// The low eight flag bits: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128.
    pub flags: u8,
    /// Window, unscaled.
    pub window: u16,
    /// Checksum as it stands.
    pub checksum: u16,
    /// Maximum segment size.
    pub mss: Option<u16>,
    /// Window scale shift.
    pub window_scale: Option<u8>,
    /// Timestamps: TSval, TSecr (RFC 7323).
    pub timestamps: Option<(u32, u32)>,
    /// SACK permitted.
    pub sack_permitted: bool,
    /// Data.
    pub payload: Payload<'a>,
}

/// TCP flag bits.
pub mod flags {
    #![allow(missing_docs)]
    pub const FIN: u8 = 1;
    pub const SYN: u8 = 2;
    pub const RST: u8 = 4;
    pub const PSH: u8 = 8;
    pub const ACK: u8 = 16;
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp<'a> {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Data.
    pub payload: Payload<'a>,
}

/// An ICMP or ICMPv6 message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmp<'a> {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Identifier and sequence number, of echo messages and of others that have them where echo has (timestamp, information, address mask).
    pub echo: Option<(u16, u16)>,
    /// For "fragmentation needed" (type 3 code 4) and ICMPv6 "packet too big": the next hop's MTU.
    pub mtu: Option<u32>,
    /// The packet that an error message quotes.
    pub quoted: Option<Box<Ip<'a>>>,
    /// What follows the eight octets of header.
    pub payload: Payload<'a>,
}

/// An SCTP packet's common header and first chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sctp<'a> {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Verification tag.
    pub tag: u32,
    /// First chunk's type, where captured.
    pub chunk: Option<u8>,
    /// Everything after the common header.
    pub payload: Payload<'a>,
}
