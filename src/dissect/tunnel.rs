//! Tunnels: VXLAN (RFC 7348), Geneve (RFC 8926), GRE (RFC 2784, 2890), IP in IP (RFC 2003, 4213, 2473).
//! Knows when a packet is a tunnel's; must not know how many may be opened.

use super::link::{self, ARP, ETHERNET, IPV4, IPV6};
use super::{Ip, Payload, Transport, Tunnel, TunnelKind, Udp};
use crate::model::{Mac, Protocol};

/// EtherType and bytes of what a tunnel carries.
type Inner<'a> = (u16, Payload<'a>);

const VXLAN: u16 = 4789;
/// What Linux (and so flannel) used before IANA assigned a port.
const VXLAN_OLD: u16 = 8472;
const GENEVE: u16 = 6081;

/// Whether a datagram to this port may be a tunnel's.
#[inline]
pub(super) fn is_port(dst_port: u16) -> bool {
    matches!(dst_port, VXLAN | VXLAN_OLD | GENEVE)
}

/// The tunnel that this packet is the outside of, and what is inside. A port number alone proves nothing: all of the
/// tunnel's header must hold, and what it carries must begin as what it says it is.
#[inline]
pub(super) fn open<'a>(ip: &Ip<'a>) -> Option<(Tunnel, Inner<'a>)> {
    match (&ip.transport, ip.protocol) {
        (Transport::Udp(udp), _) => match udp.dst_port {
            VXLAN | VXLAN_OLD => vxlan(ip, udp),
            GENEVE => geneve(ip, udp),
            _ => None,
        },
        (Transport::Other(_), _) if ip.fragment.is_some_and(|(offset, _)| offset > 0) => None,
        (Transport::Other(payload), Protocol::Other(4 | 41)) => {
            let inner = link::by_version(*payload).filter(plausible)?;
            let carries_v4 = ip.protocol == Protocol::Other(4);
            (carries_v4 == (inner.0 == IPV4)).then(|| (Tunnel { kind: TunnelKind::IpInIp, ..bare(ip) }, inner))
        }
        (Transport::Other(payload), Protocol::Other(47)) => gre(ip, *payload),
        _ => None,
    }
}

fn bare(ip: &Ip<'_>) -> Tunnel {
    Tunnel { kind: TunnelKind::IpInIp, id: None, src: ip.src, dst: ip.dst, src_port: None, dst_port: None, ttl: ip.ttl, inner_macs: None }
}

fn vxlan<'a>(ip: &Ip<'a>, udp: &Udp<'a>) -> Option<(Tunnel, Inner<'a>)> {
    let [flags, policy, _, _, v0, v1, v2, reserved] = *udp.payload.bytes.first_chunk::<8>()?;
    // Reserved bits are ignored on receipt (RFC 7348, 5), at the port that is VXLAN's own. At the other one they have to be 0, but for those of
    // the group policy extension (draft-smith-vxlan-group-policy), which Cilium sets.
    let has_reserved = flags & !0x88 != 0 || policy & !0x48 != 0 || reserved != 0;
    if flags & 0x08 == 0 || has_reserved && udp.dst_port != VXLAN {
        return None;
    }
    let (macs, inner) = ethernet(udp.payload.after(8))?;
    Some((over_udp(ip, udp, TunnelKind::Vxlan, u32::from_be_bytes([0, v0, v1, v2]), Some(macs)), inner))
}

fn geneve<'a>(ip: &Ip<'a>, udp: &Udp<'a>) -> Option<(Tunnel, Inner<'a>)> {
    let [options, flags, p0, p1, v0, v1, v2, reserved] = *udp.payload.bytes.first_chunk::<8>()?;
    // Version 0, and no reserved bit.
    if options >> 6 != 0 || flags & 0x3f != 0 || reserved != 0 {
        return None;
    }
    let payload = udp.payload.after(8 + usize::from(options) * 4);
    let (macs, inner) = carried(u16::from_be_bytes([p0, p1]), payload)?;
    Some((over_udp(ip, udp, TunnelKind::Geneve, u32::from_be_bytes([0, v0, v1, v2]), macs), inner))
}

fn over_udp(ip: &Ip<'_>, udp: &Udp<'_>, kind: TunnelKind, id: u32, inner_macs: Option<(Mac, Mac)>) -> Tunnel {
    Tunnel { kind, id: Some(id), src_port: Some(udp.src_port), dst_port: Some(udp.dst_port), inner_macs, ..bare(ip) }
}

fn gre<'a>(ip: &Ip<'a>, payload: Payload<'a>) -> Option<(Tunnel, Inner<'a>)> {
    const CHECKSUM: u16 = 0x8000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    let (flags, protocol) = (payload.u16(0)?, payload.u16(2)?);
    if flags & !(CHECKSUM | KEY | SEQUENCE) != 0 {
        return None;
    }
    let width = |flag| if flags & flag == 0 { 0 } else { 4 };
    let key_at = 4 + width(CHECKSUM);
    let id = if flags & KEY == 0 { None } else { Some(payload.u32(key_at)?) };
    let (inner_macs, inner) = carried(protocol, payload.after(key_at + width(KEY) + width(SEQUENCE)))?;
    Some((Tunnel { kind: TunnelKind::Gre, id, inner_macs, ..bare(ip) }, inner))
}

/// What Geneve and GRE carry, which they name by EtherType.
fn carried(ethertype: u16, payload: Payload<'_>) -> Option<(Option<(Mac, Mac)>, Inner<'_>)> {
    if ethertype == ETHERNET {
        let (macs, inner) = ethernet(payload)?;
        return Some((Some(macs), inner));
    }
    let inner = (ethertype, payload);
    plausible(&inner).then_some((None, inner))
}

fn ethernet(frame: Payload<'_>) -> Option<((Mac, Mac), Inner<'_>)> {
    link::inner_ethernet(frame).filter(|(_, inner)| plausible(inner))
}

/// Whether the bytes begin as their EtherType says.
fn plausible((ethertype, payload): &Inner<'_>) -> bool {
    match *ethertype {
        IPV4 => payload.u8(0).is_some_and(|first| first >> 4 == 4 && first & 0x0f >= 5),
        IPV6 => payload.u8(0).is_some_and(|first| first >> 4 == 6),
        ARP => payload.u32(0).is_some_and(|kinds| kinds == 0x0001_0800),
        _ => false,
    }
}
