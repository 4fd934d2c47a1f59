//! The short way for what nearly every frame is: a usual link header, IPv4 without options or IPv6 without extensions, no
//! fragment, TCP or UDP that is no tunnel. Gives what repeats as words to be looked up by, and what differs as it stands.
//! Says what the whole way would say, or nothing: the whole way reads the first frame of each stream anyway, and only where
//! the same words come again is it left out. It must not know what a stream is kept as.

use super::transport::{tcp_header, udp_header};
use super::{Payload, Tcp, Udp, tunnel};
use crate::capture::LinkType;

/// The headers of a common frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Headers<'a> {
    /// What repeats.
    pub(crate) outline: Outline<'a>,
    /// What the transport header says.
    pub(crate) transport: Common<'a>,
}

/// Up to the transport header, and the ports in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outline<'a> {
    /// The link header, VLAN tag included, as it stands.
    pub(crate) link: [u64; 2],
    /// What of the link header did not fit.
    pub(crate) link_rest: u32,
    /// Source and destination, as they stand.
    pub(crate) addresses: Addresses,
    /// Source and destination port, as they stand.
    pub(crate) ports: u32,
    /// TTL or hop limit.
    pub(crate) ttl: u8,
    /// IP protocol number.
    pub(crate) protocol: u8,
    /// IPv4 identification; 0 in IPv6.
    pub(crate) ip_id: u16,
    /// From the transport header on.
    segment: Payload<'a>,
}

/// Addresses of either version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addresses {
    V4(u64),
    V6([u64; 4]),
}

/// Transport headers that are common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Common<'a> {
    Tcp(Tcp<'a>),
    Udp(Udp<'a>),
}

/// `None`: the frame has to be read the whole way.
#[inline(always)]
pub(crate) fn headers(link_type: LinkType, bytes: &[u8], original_len: u32) -> Option<Headers<'_>> {
    let outline = outline(link_type, bytes, original_len)?;
    let transport = match outline.protocol {
        6 => Common::Tcp(tcp_header(outline.segment)?),
        17 => Common::Udp(udp_header(outline.segment).filter(|udp| !tunnel::is_port(udp.dst_port))?),
        _ => return None,
    };
    Some(Headers { outline, transport })
}

/// What can be told of a frame without a look at what its transport header says; there may be less to it than this promises.
#[inline(always)]
pub(crate) fn outline(link_type: LinkType, bytes: &[u8], original_len: u32) -> Option<Outline<'_>> {
    let (link, link_rest, is_v6, header) = match link_type {
        LinkType::ETHERNET => {
            let ends = [word(bytes, 0)?, word(bytes, 6)?];
            match ends[1].to_be_bytes() {
                [.., 0x08, 0x00] => (ends, 0, false, 14),
                [.., 0x86, 0xdd] => (ends, 0, true, 14),
                [.., 0x81, 0x00] => {
                    let tag = half(bytes, 14)?;
                    let is_v6 = match tag.to_be_bytes() {
                        [.., 0x08, 0x00] => false,
                        [.., 0x86, 0xdd] => true,
                        _ => return None,
                    };
                    (ends, tag, is_v6, 18)
                }
                _ => return None,
            }
        }
        LinkType::LINUX_SLL => {
            let link = [word(bytes, 0)?, word(bytes, 8)?];
            match link[1].to_be_bytes() {
                [.., 0x08, 0x00] => (link, 0, false, 16),
                [.., 0x86, 0xdd] => (link, 0, true, 16),
                _ => return None,
            }
        }
        LinkType::LINUX_SLL2 => {
            let link = [word(bytes, 0)?, word(bytes, 8)?];
            let is_v6 = match link[0].to_be_bytes() {
                [0x08, 0x00, ..] => false,
                [0x86, 0xdd, ..] => true,
                _ => return None,
            };
            (link, half(bytes, 16)?, is_v6, 20)
        }
        LinkType::RAW | LinkType::IPV4 => ([0; 2], 0, false, 0),
        _ => return None,
    };
    let packet = Payload::of_frame(bytes, original_len).after(header);
    let (protocol, ttl, ip_id, addresses, segment) = if is_v6 {
        let &[0x60..=0x6f, _, _, _, l0, l1, protocol, ttl, ref ends @ ..] = packet.bytes.first_chunk::<40>()? else { return None };
        let len = u32::from(u16::from_be_bytes([l0, l1]));
        if len == 0 {
            return None;
        }
        let addresses = Addresses::V6([word(ends, 0)?, word(ends, 8)?, word(ends, 16)?, word(ends, 24)?]);
        (protocol, ttl, 0, addresses, packet.with_len(len + 40).after(40))
    } else {
        let &[0x45, _, l0, l1, i0, i1, f0, f1, ttl, protocol, _, _, ref ends @ ..] = packet.bytes.first_chunk::<20>()? else {
            return None;
        };
        let total_len = u32::from(u16::from_be_bytes([l0, l1]));
        if total_len < 20 || f0 & 0x3f != 0 || f1 != 0 {
            return None;
        }
        let addresses = Addresses::V4(word(ends, 0)?);
        (protocol, ttl, u16::from_be_bytes([i0, i1]), addresses, packet.with_len(total_len).after(20))
    };
    Some(Outline { link, link_rest, addresses, ports: half(segment.bytes, 0)?, ttl, protocol, ip_id, segment })
}

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|octets| u64::from_be_bytes(*octets))
}

#[inline(always)]
fn half(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|octets| u32::from_be_bytes(*octets))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Net, Transport, dissect};
    use super::*;

    /// A TCP segment with options, as bytes: every change to it must be read alike both ways.
    const SEGMENT: [u8; 70] = [
        2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 56, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, //
        0x9c, 0x40, 0, 80, 0, 0, 0, 9, 0, 0, 0, 7, 0x80, 0x18, 1, 0, 0xab, 0xcd, 0, 0, 1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6, b'G', b'E',
        b'T', b' ',
    ];
    /// The same over IPv6, without its options.
    const SEGMENT_V6: [u8; 78] = [
        2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 6, 64, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        1, //
        0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, //
        0x9c, 0x40, 0, 80, 0, 0, 0, 9, 0, 0, 0, 7, 0x50, 0x18, 1, 0, 0xab, 0xcd, 0, 0, b'G', b'E', b'T', b' ',
    ];

    /// Link headers in place of Ethernet's, with the place of the IP version's EtherType.
    fn framed(kind: usize, is_v6: bool) -> (LinkType, Vec<u8>) {
        let (frame, ethertype): (&[u8], [u8; 2]) = if is_v6 { (&SEGMENT_V6, [0x86, 0xdd]) } else { (&SEGMENT, [8, 0]) };
        let [t0, t1] = ethertype;
        let packet = &frame[14..];
        match kind {
            0 => (LinkType::ETHERNET, frame.to_vec()),
            1 => (LinkType::ETHERNET, [&frame[..12], &[0x81, 0, 0x20, 7, t0, t1], packet].concat()),
            2 => (LinkType::LINUX_SLL, [&[0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, t0, t1], packet].concat()),
            3 => (LinkType::LINUX_SLL2, [&[t0, t1, 0, 0, 0, 0, 0, 9, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], packet].concat()),
            _ => (LinkType::RAW, packet.to_vec()),
        }
    }

    #[test]
    fn common_frames_go_the_short_way() {
        for kind in 0..5 {
            for is_v6 in [false, true] {
                let (link_type, frame) = framed(kind, is_v6);
                let is_short = headers(link_type, &frame, frame.len() as u32).is_some();
                assert_eq!(is_short, kind < 4 || !is_v6, "{kind} {is_v6}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_short_way_says_what_the_whole_way_says(
            kind in 0_usize..5,
            is_v6: bool,
            changes in prop::collection::vec((0_usize..90, any::<u8>()), 0..4),
            protocol in prop::option::of(prop::sample::select(vec![6, 17, 1, 4, 47])),
            port in prop::sample::select(vec![80_u16, 4789, 6081]),
            len in 0_usize..=90,
            original_len in 0_u32..100,
        ) {
            let (link_type, mut frame) = framed(kind, is_v6);
            let ip = frame.len() - if is_v6 { 64 } else { 56 };
            if let Some(protocol) = protocol {
                frame[ip + if is_v6 { 6 } else { 9 }] = protocol;
            }
            let ports = ip + if is_v6 { 40 } else { 20 };
            frame[ports + 2..ports + 4].copy_from_slice(&port.to_be_bytes());
            for (at, value) in changes {
                if let Some(octet) = frame.get_mut(at) {
                    *octet = value;
                }
            }
            let bytes = &frame[..len.min(frame.len())];
            let Some(short) = headers(link_type, bytes, original_len) else { return Ok(()) };
            let outline = short.outline;
            let whole = dissect(link_type, bytes, original_len);
            prop_assert!(whole.tunnels.is_empty());
            let Net::Ip(ip) = whole.net else { return Err(TestCaseError::fail("not IP")) };
            prop_assert_eq!(ip.fragment, None);
            prop_assert_eq!(ip.ttl, outline.ttl);
            prop_assert_eq!(ip.id.unwrap_or(0), u32::from(outline.ip_id));
            let addresses = match (ip.src, ip.dst) {
                (std::net::IpAddr::V4(a), std::net::IpAddr::V4(b)) => Addresses::V4(u64::from(a.to_bits()) << 32 | u64::from(b.to_bits())),
                (std::net::IpAddr::V6(a), std::net::IpAddr::V6(b)) => {
                    let [a, b] = [a.to_bits(), b.to_bits()];
                    Addresses::V6([(a >> 64) as u64, a as u64, (b >> 64) as u64, b as u64])
                }
                _ => return Err(TestCaseError::fail("two versions")),
            };
            prop_assert_eq!(addresses, outline.addresses);
            let ports = |src: u16, dst: u16| u32::from(src) << 16 | u32::from(dst);
            match (ip.transport, short.transport) {
                (Transport::Tcp(whole), Common::Tcp(tcp)) => {
                    prop_assert_eq!(whole, tcp);
                    prop_assert_eq!((outline.protocol, outline.ports), (6, ports(tcp.src_port, tcp.dst_port)));
                }
                (Transport::Udp(whole), Common::Udp(udp)) => {
                    prop_assert_eq!(whole, udp);
                    prop_assert_eq!((outline.protocol, outline.ports), (17, ports(udp.src_port, udp.dst_port)));
                }
                (whole, short) => return Err(TestCaseError::fail(format!("{whole:?} is not {short:?}"))),
            }
        }
    }
}
