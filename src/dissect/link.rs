//! Link layers → EtherType and what follows it; ARP.
//! Knows link headers; must not know what IP is beyond its version.

use std::net::Ipv4Addr;

use super::{Arp, Link, Payload};
use crate::capture::LinkType;
use crate::model::{Direction, Mac};

pub(super) const IPV4: u16 = 0x0800;
pub(super) const ARP: u16 = 0x0806;
pub(super) const IPV6: u16 = 0x86dd;
/// Transparent Ethernet bridging: what GRE and Geneve call an Ethernet frame.
pub(super) const ETHERNET: u16 = 0x6558;
const MPLS: u16 = 0x8847;
const MPLS_UPSTREAM: u16 = 0x8848;
const PPPOE_SESSION: u16 = 0x8864;
/// Values below are 802.3 lengths.
const FIRST_ETHERTYPE: u16 = 0x0600;
/// More tags than anybody stacks.
const MAX_TAGS: usize = 8;

/// The link layer, and what is in it: an EtherType with its payload, where it is one.
pub(super) fn link(link_type: LinkType, frame: Payload<'_>) -> (Link, Option<(u16, Payload<'_>)>) {
    let mut link = Link::default();
    let next = match link_type {
        LinkType::ETHERNET => ethernet(&mut link, frame),
        LinkType::LINUX_SLL => cooked(&mut link, frame),
        LinkType::LINUX_SLL2 => cooked_v2(&mut link, frame),
        LinkType::RAW | LinkType(12 | 14) | LinkType::IPV4 | LinkType::IPV6 => by_version(frame),
        LinkType::NULL | LinkType::LOOP => loopback(frame),
        _ => None,
    };
    (link, next)
}

/// The two addresses of an Ethernet header and what follows, without its tags.
pub(super) fn inner_ethernet(frame: Payload<'_>) -> Option<((Mac, Mac), (u16, Payload<'_>))> {
    let mut link = Link::default();
    let next = ethernet(&mut link, frame)?;
    Some(((link.src?, link.dst?), next))
}

#[inline]
fn ethernet<'a>(link: &mut Link, frame: Payload<'a>) -> Option<(u16, Payload<'a>)> {
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *frame.bytes.first_chunk::<14>()?;
    link.dst = Some(Mac([d0, d1, d2, d3, d4, d5]));
    link.src = Some(Mac([s0, s1, s2, s3, s4, s5]));
    tagged(link, u16::from_be_bytes([t0, t1]), frame.after(14))
}

/// Linux cooked capture v1 (`LINKTYPE_LINUX_SLL`).
fn cooked<'a>(link: &mut Link, frame: Payload<'a>) -> Option<(u16, Payload<'a>)> {
    packet_type(link, frame.u16(0)?);
    if frame.u16(4)? == 6 {
        link.src = frame.bytes.get(6..)?.first_chunk().copied().map(Mac);
    }
    tagged(link, frame.u16(14)?, frame.after(16))
}

/// Linux cooked capture v2 (`LINKTYPE_LINUX_SLL2`).
fn cooked_v2<'a>(link: &mut Link, frame: Payload<'a>) -> Option<(u16, Payload<'a>)> {
    packet_type(link, u16::from(frame.u8(10)?));
    link.ifindex = frame.u32(4);
    if frame.u8(11)? == 6 {
        link.src = frame.bytes.get(12..)?.first_chunk().copied().map(Mac);
    }
    frame.bytes.first_chunk::<20>()?;
    tagged(link, frame.u16(0)?, frame.after(20))
}

/// `PACKET_HOST` 0, `_BROADCAST` 1, `_MULTICAST` 2, `_OTHERHOST` 3, `_OUTGOING` 4.
fn packet_type(link: &mut Link, packet_type: u16) {
    link.direction = match packet_type {
        0..=3 => Some(Direction::In),
        4 => Some(Direction::Out),
        _ => None,
    };
    link.is_other_host = packet_type == 3;
}

/// Takes VLAN tags, PPPoE, MPLS labels and SNAP off.
#[inline]
fn tagged<'a>(link: &mut Link, ethertype: u16, payload: Payload<'a>) -> Option<(u16, Payload<'a>)> {
    link.ethertype = Some(ethertype);
    if matches!(ethertype, IPV4 | IPV6) {
        return Some((ethertype, payload));
    }
    let (mut ethertype, mut payload) = (ethertype, payload);
    for _ in 0..MAX_TAGS {
        match ethertype {
            // 802.1Q, 802.1ad and what QinQ was before it was standardised.
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                link.vlans.push(payload.u16(0)? & 0x0fff);
                ethertype = payload.u16(2)?;
                payload = payload.after(4);
            }
            MPLS | MPLS_UPSTREAM => return unlabelled(payload),
            PPPOE_SESSION => return ppp(payload.after(6)),
            0..FIRST_ETHERTYPE => {
                // LLC/SNAP with the encapsulated-Ethernet OUI carries an EtherType (RFC 1042).
                let [0xaa, 0xaa, 3, 0, 0, 0, t0, t1] = *payload.bytes.first_chunk()? else { return None };
                let len = u32::from(ethertype);
                ethertype = u16::from_be_bytes([t0, t1]);
                payload = payload.with_len(len).after(8);
            }
            _ => break,
        }
        link.ethertype = Some(ethertype);
    }
    Some((ethertype, payload))
}

/// What follows a PPPoE header (RFC 2516): a protocol number of two octets, or of one if both ends agreed on that (RFC 1661, 6.5).
fn ppp(payload: Payload<'_>) -> Option<(u16, Payload<'_>)> {
    let first = payload.u8(0)?;
    let (protocol, header) = if first & 1 == 1 { (u16::from(first), 1) } else { (payload.u16(0)?, 2) };
    matches!(protocol, 0x0021 | 0x0057).then(|| by_version(payload.after(header)))?
}

/// RFC 3032: what is under the bottom of the stack shows by its version alone.
fn unlabelled(mut payload: Payload<'_>) -> Option<(u16, Payload<'_>)> {
    for _ in 0..MAX_TAGS {
        let is_bottom = payload.u8(2)? & 1 == 1;
        payload = payload.after(4);
        if is_bottom {
            return by_version(payload);
        }
    }
    None
}

/// BSD loopback: an address family in the byte order of whoever captured (`LINKTYPE_NULL`) or of the network (`LINKTYPE_LOOP`).
fn loopback(frame: Payload<'_>) -> Option<(u16, Payload<'_>)> {
    let family = frame.u32(0)?;
    let family = if family > 0xffff { family.swap_bytes() } else { family };
    // AF_INET is 2 everywhere; AF_INET6 is 24, 28 or 30 on the BSDs and 10 on Linux.
    matches!(family, 2 | 10 | 24 | 28 | 30).then(|| by_version(frame.after(4)))?
}

pub(super) fn by_version(payload: Payload<'_>) -> Option<(u16, Payload<'_>)> {
    match payload.u8(0)? >> 4 {
        4 => Some((IPV4, payload)),
        6 => Some((IPV6, payload)),
        _ => None,
    }
}

/// RFC 826 for IPv4 over Ethernet.
pub(super) fn arp(payload: Payload<'_>) -> Option<Arp> {
    let (kinds, rest) = payload.bytes.split_first_chunk::<6>()?;
    if *kinds != [0, 1, 8, 0, 6, 4] {
        return None;
    }
    let (operation, rest) = rest.split_first_chunk()?;
    let (sender_mac, rest) = rest.split_first_chunk()?;
    let (sender_ip, rest) = rest.split_first_chunk::<4>()?;
    let (target_mac, rest) = rest.split_first_chunk()?;
    let target_ip = rest.first_chunk::<4>()?;
    Some(Arp {
        operation: u16::from_be_bytes(*operation),
        sender_mac: Mac(*sender_mac),
        sender_ip: Ipv4Addr::from(*sender_ip),
        target_mac: Mac(*target_mac),
        target_ip: Ipv4Addr::from(*target_ip),
    })
}
