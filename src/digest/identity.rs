//! What of a packet survives routing and NAT, as a hash; and what else a row holds.
//! Knows headers; must not know streams or captures.

use xxhash_rust::xxh3::xxh3_64;

use super::Row;
use crate::dissect::{Ip, Payload, Tcp, Transport, Udp, flags};
use crate::model::Protocol;

/// Bytes of application payload that go into an identity. Small enough to survive a snaplen of 64 under the longest link header
/// (20 bytes of `-i any`), IPv4 and UDP; enough for what tells datagrams apart: the id and the counts of DNS, RTP's and QUIC's headers.
const IDENTITY_PAYLOAD: usize = 16;

/// Ports, or what stands in their place.
pub(super) fn ports_of(transport: &Transport<'_>) -> (u16, u16) {
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) ident: u64,
    pub(super) seq: u32,
    pub(super) len: u32,
    pub(super) ip_id: u16,
    pub(super) flags: u8,
}

impl Packet {
    pub(super) fn of(ip: &Ip<'_>) -> Self {
        let ip_id = ip.id.map_or(0, |id| (id & 0xffff) as u16);
        let mut p = Self { ip_id, ..Self::default() };
        let mut hash = Identity::new(ip.protocol);
        if let Some((offset, _)) = ip.fragment.filter(|f| f.0 > 0) {
            // A later fragment: no transport header, yet the id names its datagram.
            if let Transport::Other(payload) = &ip.transport {
                p.len = payload.len;
            }
            hash.u32(ip.id.unwrap_or(0) >> 16).u32(offset).u32(p.len);
            p.ident = numbered(hash.finish(), ip_id);
            return p;
        }
        match &ip.transport {
            Transport::Tcp(t) => return Self::tcp(ip_id, t),
            Transport::Udp(u) => return Self::udp(ip_id, u),
            Transport::Icmp(i) => {
                p.len = i.payload.len;
                p.seq = i.echo.map_or(0, |(_, seq)| u32::from(seq));
                p.flags = i.kind;
                p.ident = numbered(hash.u32(u32::from(i.kind)).u32(p.seq).payload(&i.payload), ip_id);
            }
            Transport::Sctp(s) => {
                p.len = s.payload.len;
                p.ident = numbered(hash.u32(s.tag).payload(&s.payload), ip_id);
            }
            Transport::Other(payload) => {
                p.len = payload.len;
                p.ident = numbered(hash.payload(payload), ip_id);
            }
            Transport::Cut { .. } => {}
        }
        p
    }

    /// Neither the length nor PSH and FIN go in: segmentation offload changes them between two points, while the first segment
    /// keeps the sequence number, the acknowledgement and the options of the whole (`net/ipv4/tcp_offload.c`).
    #[inline(always)]
    pub(super) fn tcp(ip_id: u16, t: &Tcp<'_>) -> Self {
        let kept = u32::from(t.flags & (flags::SYN | flags::RST));
        let ident = match t.timestamps {
            Some((value, echo)) => identity_of([6, t.seq, t.ack, kept, value, echo]),
            None => identity_of([6, t.seq, t.ack, kept, u32::from(t.window)]),
        };
        Self { ident, seq: t.seq, len: t.payload.len, ip_id, flags: t.flags }
    }

    #[inline(always)]
    pub(super) fn udp(ip_id: u16, u: &Udp<'_>) -> Self {
        let ident = match u.payload.bytes.first_chunk::<IDENTITY_PAYLOAD>() {
            // The same octets as below, put together faster.
            Some(first) if u.payload.len as usize >= IDENTITY_PAYLOAD => {
                let mut octets = [0; 8 + IDENTITY_PAYLOAD];
                octets[..4].copy_from_slice(&17_u32.to_le_bytes());
                octets[4..8].copy_from_slice(&u.payload.len.to_le_bytes());
                octets[8..].copy_from_slice(first);
                xxh3_64(&octets).max(1)
            }
            _ => Identity::new(Protocol::Udp).payload(&u.payload),
        };
        Self { ident: numbered(ident, ip_id), seq: 0, len: u.payload.len, ip_id, flags: 0 }
    }
}

/// An odd number of 47 bits: no product with an IP id leaves 63.
const OF_ID: u64 = 0x4e37_79b9_7f4b;

/// The identity of what has no sequence number: what its content says, and the IP id, which tells alike contents apart. The id goes in
/// so that it can be taken out again ([`by_content`]), where something on the way gives packets ids of its own. 0 (atomic datagrams,
/// RFC 6864 §4.1, and IPv6) changes nothing.
#[inline(always)]
fn numbered(content: u64, ip_id: u16) -> u64 {
    if content == 0 { 0 } else { (content ^ (u64::from(ip_id) * OF_ID)).max(1) }
}

/// A packet's identity without its IP id: what is left where a middle box rewrote that. TCP's never has it.
#[must_use]
pub fn by_content(protocol: Option<Protocol>, row: &Row) -> u64 {
    if protocol == Some(Protocol::Tcp) { row.ident } else { numbered(row.ident, row.ip_id) }
}

/// Never 0, which means "none".
#[inline(always)]
fn identity_of<const N: usize>(words: [u32; N]) -> u64 {
    let mut octets = [[0; 4]; N];
    for (to, word) in octets.iter_mut().zip(words) {
        *to = word.to_le_bytes();
    }
    xxh3_64(octets.as_flattened()).max(1)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Identities of one build are compared with those of another build: in digests that were saved.
    #[test]
    fn both_ways_to_an_identity_give_the_same() {
        let octets: Vec<u8> = (0..40).collect();
        for (captured, len) in [(40, 40), (16, 1000), (15, 15), (15, 40), (0, 0)] {
            let payload = Payload { bytes: &octets[..captured], len };
            let whole = Identity::new(Protocol::Udp).payload(&payload);
            let named = |id| Packet::udp(id, &Udp { src_port: 1, dst_port: 2, payload: Payload { bytes: &octets[..captured], len } });
            assert_eq!(named(0).ident, whole, "{captured} of {len}");
            // With another IP id it is another packet, and by its content the same.
            let row = |id| Row { row: 0, time: 0, stream: 0, ident: named(id).ident, seq: 0, len, ip_id: id, flags: 0 };
            assert_eq!(named(7).ident == named(0xffff).ident, whole == 0);
            for id in [0, 7, 0xffff] {
                assert_eq!(by_content(Some(Protocol::Udp), &row(id)), whole, "{captured} of {len}, {id}");
            }
            assert_eq!(by_content(Some(Protocol::Tcp), &row(7)), row(7).ident, "no IP id is in there");
        }
        let words = Identity::new(Protocol::Tcp).u32(2).u32(3).finish();
        assert_eq!(identity_of([6, 2, 3]), words);
    }
}
