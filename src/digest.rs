//! What is kept of a capture: 31 bytes a packet in paged columns, and each distinct header once.
//! Knows what survives routing and NAT; must not know where the capture was taken or what a packet means.
//!
//! A *stream* is a header that repeats: the same addresses, MACs, TTL and tunnels on the same interface, one way.
//! A packet is its stream and what differs: time, identity, sequence number, length, IP id, flags.
//! Row `n` is frame `n + 1` of the file; every frame has a row, also one that was not understood.

use std::net::IpAddr;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::capture::{Checkpoint, FileLayout, FrameSink, InterfaceInfo, LinkType, RawFrame};
use crate::dissect::{self, Icmp, Ip, Net, Observation, Payload, Tcp, Transport, Tunnel, flags};
use crate::model::{Direction, Mac, Nanos, Protocol};

/// A frame's time where the capture gives none.
pub const NO_TIME: Nanos = i64::MIN;

/// Bytes of application payload that go into an identity. Small enough to survive the usual snaplens (96 and more) under
/// Ethernet, IPv4 and a transport header with options.
const IDENTITY_PAYLOAD: usize = 24;

const PAGE: usize = 1 << 14;

/// A column that grows by pages: no doubling, so that peak memory is what is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Column<T> {
    pages: Vec<Vec<T>>,
}

impl<T: Copy> Column<T> {
    const fn new() -> Self {
        Self { pages: Vec::new() }
    }

    fn push(&mut self, value: T) {
        if self.pages.last().is_none_or(|p| p.len() == PAGE) {
            self.pages.push(Vec::with_capacity(PAGE));
        }
        if let Some(page) = self.pages.last_mut() {
            page.push(value);
        }
    }

    /// The value of row `row`, if there is one.
    #[must_use]
    pub fn get(&self, row: u32) -> Option<T> {
        let row = row as usize;
        self.pages.get(row / PAGE)?.get(row % PAGE).copied()
    }
}

/// A header that repeats, one way, on one interface.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamKey {
    /// Index of the capture file's interface.
    pub interface: u32,
    /// SLL2's interface index.
    pub ifindex: Option<u32>,
    /// Which way, where the capture says so.
    pub direction: Option<Direction>,
    /// Source MAC.
    pub src_mac: Option<Mac>,
    /// Destination MAC.
    pub dst_mac: Option<Mac>,
    /// VLAN ids, outermost first.
    pub vlans: Vec<u16>,
    /// Tunnels around the packet, outermost first.
    pub tunnels: Vec<Tunnel>,
    /// The innermost packet; `None` for ARP and what is not understood.
    pub flow: Option<Tuple>,
    /// Innermost TTL.
    pub ttl: u8,
}

/// Addresses and ports of one way of a conversation. For echo messages both ports are the identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tuple {
    /// Transport protocol.
    pub protocol: Protocol,
    /// Source address.
    pub src: IpAddr,
    /// Source port, 0 where the protocol has none.
    pub src_port: u16,
    /// Destination address.
    pub dst: IpAddr,
    /// Destination port.
    pub dst_port: u16,
}

impl Tuple {
    /// The other way of the same conversation.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { protocol: self.protocol, src: self.dst, src_port: self.dst_port, dst: self.src, dst_port: self.src_port }
    }
}

/// A stream and its first packet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stream {
    /// The header.
    pub key: StreamKey,
    /// Row of its first packet.
    pub first_row: u32,
    /// Number of packets.
    pub packets: u32,
    /// Sum of lengths on the wire.
    pub bytes: u64,
    /// Earliest and latest time.
    pub first_ns: Nanos,
    /// Latest time.
    pub last_ns: Nanos,
}

/// One distinct ARP message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArpSeen {
    /// Index of the capture file's interface.
    pub interface: u32,
    /// SLL2's interface index.
    pub ifindex: Option<u32>,
    /// 1: request, 2: reply.
    pub operation: u16,
    /// Sender.
    pub sender_mac: Mac,
    /// Sender.
    pub sender_ip: IpAddr,
    /// Target (zero in requests).
    pub target_mac: Mac,
    /// Target.
    pub target_ip: IpAddr,
    /// Row of the first.
    pub first_row: u32,
    /// How many.
    pub count: u32,
}

/// One distinct ICMP error: who says what about which conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IcmpErrorSeen {
    /// Stream of the error message itself.
    pub stream: u32,
    /// ICMP type (ICMPv6's own numbers).
    pub kind: u8,
    /// ICMP code.
    pub code: u8,
    /// Next hop's MTU, for "fragmentation needed" and "packet too big".
    pub mtu: Option<u32>,
    /// The quoted packet's tuple.
    pub about: Tuple,
    /// Row of the first.
    pub first_row: u32,
    /// How many.
    pub count: u32,
}

/// One packet, put together again from the columns.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Row number; the frame's number is one more.
    pub row: u32,
    /// Time or [`NO_TIME`].
    pub time: Nanos,
    /// Index into [`CaptureDigest::streams`].
    pub stream: u32,
    /// Hash over what survives routing and NAT; 0: the capture holds too little of the packet to tell.
    pub ident: u64,
    /// TCP sequence number; echo sequence number; 0 otherwise.
    pub seq: u32,
    /// Transport payload length on the wire.
    pub len: u32,
    /// IPv4 identification (low 16 bits of IPv6's).
    pub ip_id: u16,
    /// TCP flags; the type of an ICMP or ICMPv6 message.
    pub flags: u8,
}

/// All that is kept of one capture file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaptureDigest {
    /// The file's interfaces.
    pub interfaces: Vec<InterfaceInfo>,
    /// Distinct headers, in order of first appearance.
    pub streams: Vec<Stream>,
    /// Distinct ARP messages.
    pub arps: Vec<ArpSeen>,
    /// Distinct ICMP errors.
    pub errors: Vec<IcmpErrorSeen>,
    /// Name resolution records.
    pub names: Vec<(IpAddr, String)>,
    /// Where the file can be read again, about every 64 frames, in the file's order; empty for what is no capture file.
    pub checkpoints: Vec<Checkpoint>,
    /// What [`crate::capture::frame_at`] must know of the file to read on from a checkpoint.
    pub layout: FileLayout,
    /// Frames whose bytes the snaplen cut.
    pub cut_frames: u64,
    rows: u32,
    times: Column<Nanos>,
    stream_of: Column<u32>,
    idents: Column<u64>,
    seqs: Column<u32>,
    lens: Column<u32>,
    ip_ids: Column<u16>,
    flags: Column<u8>,
}

impl CaptureDigest {
    /// Number of frames.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.rows
    }

    /// Whether there is no frame at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Row `row`, if there is one.
    #[must_use]
    pub fn row(&self, row: u32) -> Option<Row> {
        Some(Row {
            row,
            time: self.times.get(row)?,
            stream: self.stream_of.get(row)?,
            ident: self.idents.get(row)?,
            seq: self.seqs.get(row)?,
            len: self.lens.get(row)?,
            ip_id: self.ip_ids.get(row)?,
            flags: self.flags.get(row)?,
        })
    }

    /// The last checkpoint at or before frame `number`, and the offset of the one after it, up to which a reader has to look;
    /// `None` for the last part of the file.
    #[must_use]
    pub fn checkpoint_before(&self, number: u64) -> Option<(&Checkpoint, Option<u64>)> {
        let after = self.checkpoints.partition_point(|c| c.frame <= number);
        let next = self.checkpoints.get(after).map(|c| c.offset);
        Some((self.checkpoints.get(after.checked_sub(1)?)?, next))
    }

    /// All rows in the file's order.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        (0..self.rows).filter_map(|r| self.row(r))
    }
}

/// Interface, its index, operation, sender's MAC and address, target's address.
type ArpKey = (u32, Option<u32>, u16, Mac, IpAddr, IpAddr);

/// Builds a [`CaptureDigest`] from the frames that a capture reader hands out.
#[derive(Debug)]
pub struct DigestBuilder {
    digest: CaptureDigest,
    stream_ids: FxHashMap<StreamKey, u32>,
    arp_ids: FxHashMap<ArpKey, usize>,
    error_ids: FxHashMap<(u32, u8, u8, Tuple), usize>,
    /// First fragments' ports, for the later fragments, which have none: (source, destination, id) → ports.
    fragments: FxHashMap<(IpAddr, IpAddr, u32), (u16, u16)>,
}

impl Default for DigestBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl DigestBuilder {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            digest: CaptureDigest {
                interfaces: Vec::new(),
                streams: Vec::new(),
                arps: Vec::new(),
                errors: Vec::new(),
                names: Vec::new(),
                checkpoints: Vec::new(),
                layout: FileLayout::default(),
                cut_frames: 0,
                rows: 0,
                times: Column::new(),
                stream_of: Column::new(),
                idents: Column::new(),
                seqs: Column::new(),
                lens: Column::new(),
                ip_ids: Column::new(),
                flags: Column::new(),
            },
            stream_ids: FxHashMap::default(),
            arp_ids: FxHashMap::default(),
            error_ids: FxHashMap::default(),
            fragments: FxHashMap::default(),
        }
    }

    /// Frames so far.
    #[must_use]
    pub fn frames(&self) -> u64 {
        u64::from(self.digest.rows)
    }

    /// The digest of what has been seen so far.
    #[must_use]
    pub fn so_far(&self) -> &CaptureDigest {
        &self.digest
    }

    /// The digest.
    #[must_use]
    pub fn finish(self) -> CaptureDigest {
        self.digest
    }

    fn link_type(&self, interface: u32) -> LinkType {
        self.digest.interfaces.iter().find(|i| i.index == interface).and_then(|i| i.link_type).unwrap_or(LinkType(u32::MAX))
    }

    /// Ports (or what stands in their place) of an IP packet.
    fn ports(&mut self, ip: &Ip<'_>) -> (u16, u16) {
        let ports = ports_of(&ip.transport);
        let (Some((offset, _)), Some(id)) = (ip.fragment, ip.id) else { return ports };
        let key = (ip.src, ip.dst, id);
        if offset == 0 {
            // Bounded: a flood of first fragments must not fill memory. Later fragments then keep port 0.
            if self.fragments.len() < 1 << 16 {
                self.fragments.insert(key, ports);
            }
            ports
        } else {
            self.fragments.get(&key).copied().unwrap_or(ports)
        }
    }

    fn intern(&mut self, key: StreamKey, row: u32, time: Nanos, length: u32) -> u32 {
        let next = u32::try_from(self.digest.streams.len()).unwrap_or(u32::MAX);
        let id = *self.stream_ids.entry(key.clone()).or_insert(next);
        if id == next {
            self.digest.streams.push(Stream { key, first_row: row, packets: 0, bytes: 0, first_ns: time, last_ns: time });
        }
        if let Some(s) = self.digest.streams.get_mut(id as usize) {
            s.packets = s.packets.saturating_add(1);
            s.bytes = s.bytes.saturating_add(u64::from(length));
            if time != NO_TIME {
                s.first_ns = if s.first_ns == NO_TIME { time } else { s.first_ns.min(time) };
                s.last_ns = s.last_ns.max(time);
            }
        }
        id
    }
}

impl FrameSink for DigestBuilder {
    fn interface(&mut self, info: &InterfaceInfo) {
        match self.digest.interfaces.iter_mut().find(|i| i.index == info.index) {
            Some(known) => *known = info.clone(),
            None => self.digest.interfaces.push(info.clone()),
        }
    }

    fn name(&mut self, ip: IpAddr, name: &str) {
        if self.digest.names.len() < 1 << 16 {
            self.digest.names.push((ip, name.to_owned()));
        }
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) {
        self.digest.checkpoints.push(checkpoint);
    }

    fn frame(&mut self, frame: RawFrame<'_>) {
        let row = self.digest.rows;
        if row == u32::MAX {
            return;
        }
        let observation = dissect::dissect(self.link_type(frame.interface), frame.bytes, frame.original_len);
        let time = frame.time_ns.unwrap_or(NO_TIME);
        let Observation { link, tunnels, net } = observation;
        let mut packet = Packet::default();
        let mut flow = None;
        let mut ttl = 0;
        if let Net::Ip(ip) = &net {
            let (src_port, dst_port) = self.ports(ip);
            flow = Some(Tuple { protocol: ip.protocol, src: ip.src, src_port, dst: ip.dst, dst_port });
            ttl = ip.ttl;
            packet = Packet::of(ip);
        }
        let (interface, ifindex) = (frame.interface, link.ifindex);
        let key = StreamKey {
            interface,
            ifindex,
            direction: frame.direction.or(link.direction),
            src_mac: link.src,
            dst_mac: link.dst,
            vlans: link.vlans,
            tunnels,
            flow,
            ttl,
        };
        let stream = self.intern(key, row, time, frame.original_len);
        match &net {
            Net::Arp(arp) => {
                let key = (interface, ifindex, arp.operation, arp.sender_mac, arp.sender_ip.into(), arp.target_ip.into());
                let next = self.digest.arps.len();
                let at = *self.arp_ids.entry(key).or_insert(next);
                if at == next {
                    self.digest.arps.push(ArpSeen {
                        interface,
                        ifindex,
                        operation: arp.operation,
                        sender_mac: arp.sender_mac,
                        sender_ip: arp.sender_ip.into(),
                        target_mac: arp.target_mac,
                        target_ip: arp.target_ip.into(),
                        first_row: row,
                        count: 0,
                    });
                }
                if let Some(seen) = self.digest.arps.get_mut(at) {
                    seen.count = seen.count.saturating_add(1);
                }
            }
            Net::Ip(Ip { transport: Transport::Icmp(icmp), .. }) => self.icmp_error(icmp, stream, row),
            _ => {}
        }
        let d = &mut self.digest;
        d.times.push(time);
        d.stream_of.push(stream);
        d.idents.push(packet.ident);
        d.seqs.push(packet.seq);
        d.lens.push(packet.len);
        d.ip_ids.push(packet.ip_id);
        d.flags.push(packet.flags);
        if (frame.bytes.len() as u64) < u64::from(frame.original_len) {
            d.cut_frames += 1;
        }
        d.rows += 1;
    }
}

impl DigestBuilder {
    fn icmp_error(&mut self, icmp: &Icmp<'_>, stream: u32, row: u32) {
        let Some(quoted) = icmp.quoted.as_deref() else { return };
        let (src_port, dst_port) = ports_of(&quoted.transport);
        let about = Tuple { protocol: quoted.protocol, src: quoted.src, src_port, dst: quoted.dst, dst_port };
        let next = self.digest.errors.len();
        let at = *self.error_ids.entry((stream, icmp.kind, icmp.code, about)).or_insert(next);
        if at == next {
            let (kind, code, mtu) = (icmp.kind, icmp.code, icmp.mtu);
            self.digest.errors.push(IcmpErrorSeen { stream, kind, code, mtu, about, first_row: row, count: 0 });
        }
        if let Some(seen) = self.digest.errors.get_mut(at) {
            seen.count = seen.count.saturating_add(1);
        }
    }
}

/// Ports, or what stands in their place.
fn ports_of(transport: &Transport<'_>) -> (u16, u16) {
    match transport {
        Transport::Tcp(t) => (t.src_port, t.dst_port),
        Transport::Udp(u) => (u.src_port, u.dst_port),
        Transport::Sctp(s) => (s.src_port, s.dst_port),
        Transport::Icmp(i) => i.echo.map_or((0, 0), |(id, _)| (id, id)),
        Transport::Cut { ports } => ports.unwrap_or((0, 0)),
        Transport::Other(_) => (0, 0),
    }
}

/// What a row holds besides time and stream.
#[derive(Default)]
struct Packet {
    ident: u64,
    seq: u32,
    len: u32,
    ip_id: u16,
    flags: u8,
}

impl Packet {
    fn of(ip: &Ip<'_>) -> Self {
        let ip_id = ip.id.map_or(0, |id| (id & 0xffff) as u16);
        let mut p = Self { ip_id, ..Self::default() };
        let mut hash = Identity::new(ip.protocol);
        if let Some((offset, _)) = ip.fragment.filter(|f| f.0 > 0) {
            // A later fragment: no transport header, yet the id names its datagram.
            if let Transport::Other(payload) = &ip.transport {
                p.len = payload.len;
            }
            hash.u32(ip.id.unwrap_or(0)).u32(offset).u32(p.len);
            p.ident = hash.finish();
            return p;
        }
        match &ip.transport {
            Transport::Tcp(t) => {
                p.seq = t.seq;
                p.len = t.payload.len;
                p.flags = t.flags;
                p.ident = tcp_identity(hash, t);
            }
            Transport::Udp(u) => {
                p.len = u.payload.len;
                p.ident = hash.u32(u32::from(ip_id)).payload(&u.payload);
            }
            Transport::Icmp(i) => {
                p.len = i.payload.len;
                p.seq = i.echo.map_or(0, |(_, seq)| u32::from(seq));
                p.flags = i.kind;
                p.ident = hash.u32(u32::from(ip_id)).u32(u32::from(i.kind)).u32(p.seq).payload(&i.payload);
            }
            Transport::Sctp(s) => {
                p.len = s.payload.len;
                p.ident = hash.u32(u32::from(ip_id)).u32(s.tag).payload(&s.payload);
            }
            Transport::Other(payload) => {
                p.len = payload.len;
                p.ident = hash.u32(u32::from(ip_id)).payload(payload);
            }
            Transport::Cut { .. } => {}
        }
        p
    }
}

/// Neither the length nor PSH and FIN go in: segmentation offload changes them between two points, while the first segment
/// keeps the sequence number, the acknowledgement and the options of the whole (`net/ipv4/tcp_offload.c`).
fn tcp_identity(mut hash: Identity, t: &Tcp<'_>) -> u64 {
    hash.u32(t.seq).u32(t.ack).u32(u32::from(t.flags & (flags::SYN | flags::RST)));
    match t.timestamps {
        Some((value, echo)) => hash.u32(value).u32(echo),
        None => hash.u32(u32::from(t.window)),
    };
    hash.finish()
}

/// A hash under construction; at most 64 octets go in.
struct Identity {
    bytes: [u8; 64],
    len: usize,
}

impl Identity {
    fn new(protocol: Protocol) -> Self {
        let mut new = Self { bytes: [0; 64], len: 0 };
        let number = match protocol {
            // ICMP's and ICMPv6's numbers differ, and nothing translates one into the other here.
            Protocol::Icmp => 1,
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Icmpv6 => 58,
            Protocol::Sctp => 132,
            Protocol::Other(n) => n,
        };
        new.u32(u32::from(number));
        new
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.slice(&value.to_le_bytes())
    }

    fn slice(&mut self, from: &[u8]) -> &mut Self {
        let end = (self.len + from.len()).min(self.bytes.len());
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            for (to, byte) in room.iter_mut().zip(from) {
                *to = *byte;
            }
        }
        self.len = end;
        self
    }

    /// Length and first bytes. 0 where fewer were captured than go in: the same packet, cut less elsewhere, would differ.
    fn payload(&mut self, payload: &Payload<'_>) -> u64 {
        let wanted = IDENTITY_PAYLOAD.min(payload.len as usize);
        match payload.bytes.get(..wanted) {
            Some(bytes) => self.u32(payload.len).slice(bytes).finish(),
            None => 0,
        }
    }

    /// Never 0, which means "none".
    fn finish(&self) -> u64 {
        xxh3_64(self.bytes.get(..self.len).unwrap_or_default()).max(1)
    }
}
