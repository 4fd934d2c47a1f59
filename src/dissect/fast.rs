//! The short way for what nearly every frame is: Ethernet, IPv4 without options or fragments, TCP or UDP.
//! Says what the whole way would say, or nothing. It exists because it builds the observation in one piece: moved from
//! layer to layer, that costs more than reading the headers.

use std::net::{IpAddr, Ipv4Addr};

use super::link::IPV4;
use super::transport::{tcp_header, udp_header};
use super::{Ip, Link, Net, Observation, Payload, Transport, tunnel};
use crate::model::{Mac, Protocol};

#[inline(always)]
pub(super) fn fast(bytes: &[u8], original_len: u32) -> Option<Observation<'_>> {
    const HEADERS: usize = 14 + 20;
    let frame = Payload::of_frame(bytes, original_len);
    let &[
        d0,
        d1,
        d2,
        d3,
        d4,
        d5,
        s0,
        s1,
        s2,
        s3,
        s4,
        s5,
        0x08,
        0x00, //
        0x45,
        tos,
        l0,
        l1,
        i0,
        i1,
        f0,
        f1,
        ttl,
        protocol,
        _,
        _,
        a0,
        a1,
        a2,
        a3,
        b0,
        b1,
        b2,
        b3,
    ] = bytes.first_chunk::<HEADERS>()?
    else {
        return None;
    };
    let total_len = u32::from(u16::from_be_bytes([l0, l1]));
    if total_len < 20 || f0 & 0x3f != 0 || f1 != 0 {
        return None;
    }
    let payload = frame.after(HEADERS).with_len(total_len - 20);
    let (protocol, transport) = match protocol {
        6 => (Protocol::Tcp, Transport::Tcp(tcp_header(payload)?)),
        17 => (Protocol::Udp, Transport::Udp(udp_header(payload).filter(|udp| !tunnel::is_port(udp.dst_port))?)),
        _ => return None,
    };
    Some(Observation {
        link: Link {
            src: Some(Mac([s0, s1, s2, s3, s4, s5])),
            dst: Some(Mac([d0, d1, d2, d3, d4, d5])),
            ethertype: Some(IPV4),
            ..Link::default()
        },
        tunnels: Vec::new(),
        net: Net::Ip(Ip {
            src: IpAddr::V4(Ipv4Addr::new(a0, a1, a2, a3)),
            dst: IpAddr::V4(Ipv4Addr::new(b0, b1, b2, b3)),
            ttl,
            id: Some(u32::from(u16::from_be_bytes([i0, i1]))),
            dont_fragment: f0 & 0x40 != 0,
            tos,
            total_len,
            fragment: None,
            protocol,
            transport,
        }),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::dissect_any;
    use super::*;
    use crate::capture::LinkType;

    /// A TCP segment with options, as bytes: every change to it must be read alike both ways.
    const SEGMENT: [u8; 70] = [
        2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 56, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, //
        0x9c, 0x40, 0, 80, 0, 0, 0, 9, 0, 0, 0, 7, 0x80, 0x18, 1, 0, 0xab, 0xcd, 0, 0, 1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6, b'G', b'E',
        b'T', b' ',
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_short_way_says_what_the_whole_way_says(
            changes in prop::collection::vec((12_usize..70, any::<u8>()), 0..4),
            protocol in prop::sample::select(vec![6, 6, 17, 17, 1, 4, 47]),
            port in prop::sample::select(vec![80_u16, 4789, 6081]),
            len in 0_usize..=70,
            original_len in 0_u32..100,
        ) {
            let mut frame = SEGMENT;
            frame[23] = protocol;
            frame[36..38].copy_from_slice(&port.to_be_bytes());
            for (at, value) in changes {
                frame[at] = value;
            }
            let bytes = &frame[..len];
            if let Some(fast) = fast(bytes, original_len) {
                prop_assert_eq!(fast, dissect_any(LinkType::ETHERNET, bytes, original_len));
            } else {
                prop_assert!(len < 70 || frame != SEGMENT);
            }
        }
    }
}
