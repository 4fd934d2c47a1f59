//! IPv4 (RFC 791) and IPv6 (RFC 8200) with its extension headers.
//! Knows the network layer; must not know what it is carried by.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::transport::{Quoting, transport};
use super::{Ip, Payload, Transport};
use crate::model::Protocol;

/// An IP packet; `None` if its fixed header is not there.
#[inline]
pub(super) fn ip(packet: Payload<'_>) -> Option<Ip<'_>> {
    read(packet, Quoting::Allowed)
}

/// The packet in an ICMP error. Its own ICMP error, if it is one, is not opened.
pub(super) fn quoted(packet: Payload<'_>) -> Option<Ip<'_>> {
    read(packet, Quoting::Ended)
}

#[inline]
fn read(packet: Payload<'_>, quoting: Quoting) -> Option<Ip<'_>> {
    match packet.bytes.first()? >> 4 {
        4 => ipv4(packet, quoting),
        6 => ipv6(packet, quoting),
        _ => None,
    }
}

#[inline]
fn ipv4(packet: Payload<'_>, quoting: Quoting) -> Option<Ip<'_>> {
    let [v, tos, l0, l1, i0, i1, f0, f1, ttl, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *packet.bytes.first_chunk::<20>()?;
    let header = usize::from(v & 0x0f) * 4;
    if header < 20 {
        return None;
    }
    let stated = u32::from(u16::from_be_bytes([l0, l1]));
    // Segmentation offload leaves 0 for what does not fit in 16 bits; what is shorter than its own header is broken.
    let total_len = if stated < header as u32 { packet.len } else { stated };
    let fragment = u16::from_be_bytes([f0, f1]);
    let (offset, has_more) = (u32::from(fragment & 0x1fff) * 8, fragment & 0x2000 != 0);
    let protocol = Protocol::from_number(protocol);
    let payload = packet.with_len(total_len).after(header);
    Some(Ip {
        src: IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3)),
        dst: IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3)),
        ttl,
        id: Some(u32::from(u16::from_be_bytes([i0, i1]))),
        dont_fragment: fragment & 0x4000 != 0,
        tos,
        total_len,
        fragment: (offset > 0 || has_more).then_some((offset, has_more)),
        protocol,
        transport: if offset > 0 {
            Transport::Other(payload)
        } else if packet.bytes.len() < header {
            Transport::Cut { ports: None }
        } else {
            transport(protocol, payload, quoting)
        },
    })
}

fn ipv6(packet: Payload<'_>, quoting: Quoting) -> Option<Ip<'_>> {
    let (fixed, _) = packet.bytes.split_first_chunk::<40>()?;
    let [v, c, _, _, l0, l1, next, ttl, addresses @ ..] = *fixed;
    let (src, rest) = addresses.split_first_chunk::<16>()?;
    let dst = rest.first_chunk::<16>()?;
    let stated = u32::from(u16::from_be_bytes([l0, l1]));
    let total_len = match stated {
        0 if next == 59 => 40,
        // A jumbogram (RFC 2675), which is what BIG TCP looks like in a tap.
        0 => jumbo_len(next, packet).unwrap_or(packet.len),
        len => len + 40,
    };
    let mut ip = Ip {
        src: IpAddr::V6(Ipv6Addr::from(*src)),
        dst: IpAddr::V6(Ipv6Addr::from(*dst)),
        ttl,
        id: None,
        dont_fragment: false,
        tos: v << 4 | c >> 4,
        total_len,
        fragment: None,
        protocol: Protocol::from_number(next),
        transport: Transport::Cut { ports: None },
    };
    let mut next = next;
    let mut rest = packet.with_len(total_len).after(40);
    // Each turn takes eight octets at least.
    loop {
        let (Some(following), Some(len)) = (rest.u8(0), rest.u8(1)) else {
            if rest.len > 0 && is_extension(next) {
                return Some(ip);
            }
            break;
        };
        let len = match next {
            0 | 43 | 60 | 135 | 139 | 140 => (usize::from(len) + 1) * 8,
            51 => (usize::from(len) + 2) * 4,
            44 => {
                let (Some(offset), Some(id)) = (rest.u16(2), rest.u32(4)) else { return Some(ip) };
                let (offset, has_more) = (u32::from(offset & 0xfff8), offset & 1 == 1);
                ip.id = Some(id);
                ip.fragment = (offset > 0 || has_more).then_some((offset, has_more));
                if offset > 0 {
                    ip.protocol = Protocol::from_number(following);
                    ip.transport = Transport::Other(rest.after(8));
                    return Some(ip);
                }
                8
            }
            _ => break,
        };
        next = following;
        ip.protocol = Protocol::from_number(next);
        if rest.bytes.len() < len {
            return Some(ip);
        }
        rest = rest.after(len);
    }
    ip.transport = transport(ip.protocol, rest, quoting);
    Some(ip)
}

fn is_extension(next: u8) -> bool {
    matches!(next, 0 | 43 | 44 | 51 | 60 | 135 | 139 | 140)
}

/// RFC 2675: the jumbo payload option in a hop-by-hop header; the kernel writes it first and alone.
fn jumbo_len(next: u8, packet: Payload<'_>) -> Option<u32> {
    (next == 0 && packet.u16(42)? == 0xc204).then(|| packet.u32(44)?.checked_add(40))?
}
