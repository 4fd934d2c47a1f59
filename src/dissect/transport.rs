//! TCP (RFC 9293), UDP (RFC 768), ICMP (RFC 792), ICMPv6 (RFC 4443) and SCTP (RFC 9260).
//! Knows what an IP packet carries; must not know whether that is a tunnel.

use super::{Icmp, Payload, Sctp, Tcp, Transport, Udp, ip};
use crate::model::Protocol;

/// Whether an ICMP error's quoted packet is to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoting {
    Allowed,
    /// It is quoted itself.
    Ended,
}

#[inline]
pub(super) fn transport(protocol: Protocol, payload: Payload<'_>, quoting: Quoting) -> Transport<'_> {
    match protocol {
        Protocol::Tcp => tcp(payload),
        Protocol::Udp => udp(payload),
        Protocol::Icmp | Protocol::Icmpv6 => icmp(protocol, payload, quoting),
        Protocol::Sctp => sctp(payload),
        Protocol::Other(_) => Transport::Other(payload),
    }
}

/// Fewer bytes than the header has, because the capture or the packet ends.
#[cold]
fn cut(payload: Payload<'_>) -> Transport<'_> {
    Transport::Cut { ports: payload.u16(0).zip(payload.u16(2)) }
}

#[inline]
fn tcp(segment: Payload<'_>) -> Transport<'_> {
    match tcp_header(segment) {
        Some(tcp) => Transport::Tcp(tcp),
        None if segment.bytes.len() < 20 => cut(segment),
        None => Transport::Other(segment),
    }
}

/// `None`: cut, or with a length that cannot be.
#[inline(always)]
pub(super) fn tcp_header(segment: Payload<'_>) -> Option<Tcp<'_>> {
    let &[s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, w0, w1, c0, c1, _, _] = segment.bytes.first_chunk::<20>()?;
    let header = usize::from(offset >> 4) * 4;
    if header < 20 {
        return None;
    }
    let mut tcp = Tcp {
        src_port: u16::from_be_bytes([s0, s1]),
        dst_port: u16::from_be_bytes([d0, d1]),
        seq: u32::from_be_bytes([q0, q1, q2, q3]),
        ack: u32::from_be_bytes([a0, a1, a2, a3]),
        flags,
        window: u16::from_be_bytes([w0, w1]),
        checksum: u16::from_be_bytes([c0, c1]),
        mss: None,
        window_scale: None,
        timestamps: None,
        sack_permitted: false,
        payload: segment.after(header),
    };
    let options = segment.bytes.get(20..header).or_else(|| segment.bytes.get(20..)).unwrap_or_default();
    // What nearly every segment of an established connection carries: two fillers and the timestamps.
    if let [1, 1, 8, 10, v0, v1, v2, v3, e0, e1, e2, e3] = *options {
        tcp.timestamps = Some((u32::from_be_bytes([v0, v1, v2, v3]), u32::from_be_bytes([e0, e1, e2, e3])));
    } else {
        tcp_options(&mut tcp, options);
    }
    Some(tcp)
}

/// Reads options up to the first that does not fit: the rest cannot be told apart.
fn tcp_options(tcp: &mut Tcp<'_>, options: &[u8]) {
    let mut rest = options;
    while let Some((&kind, after_kind)) = rest.split_first() {
        match kind {
            0 => return,
            1 => {
                rest = after_kind;
                continue;
            }
            _ => {}
        }
        let Some(&len) = after_kind.first() else { return };
        let Some(value) = rest.get(2..usize::from(len)) else { return };
        match (kind, value) {
            (2, &[m0, m1]) => tcp.mss = Some(u16::from_be_bytes([m0, m1])),
            (3, &[shift]) => tcp.window_scale = Some(shift),
            (4, []) => tcp.sack_permitted = true,
            (8, &[v0, v1, v2, v3, e0, e1, e2, e3]) => {
                tcp.timestamps = Some((u32::from_be_bytes([v0, v1, v2, v3]), u32::from_be_bytes([e0, e1, e2, e3])));
            }
            _ => {}
        }
        rest = rest.get(usize::from(len)..).unwrap_or_default();
    }
}

#[inline]
fn udp(datagram: Payload<'_>) -> Transport<'_> {
    udp_header(datagram).map_or_else(|| cut(datagram), Transport::Udp)
}

/// `None`: cut.
#[inline(always)]
pub(super) fn udp_header(datagram: Payload<'_>) -> Option<Udp<'_>> {
    let &[s0, s1, d0, d1, l0, l1, _, _] = datagram.bytes.first_chunk::<8>()?;
    let stated = u32::from(u16::from_be_bytes([l0, l1]));
    // 0 stands for a jumbogram (RFC 2675); a first fragment has less than its header states.
    let len = if stated < 8 { datagram.len } else { stated.min(datagram.len) };
    Some(Udp { src_port: u16::from_be_bytes([s0, s1]), dst_port: u16::from_be_bytes([d0, d1]), payload: datagram.with_len(len).after(8) })
}

fn icmp(protocol: Protocol, message: Payload<'_>, quoting: Quoting) -> Transport<'_> {
    let Some(&[kind, code, _, _, r0, r1, r2, r3]) = message.bytes.first_chunk::<8>() else { return Transport::Cut { ports: None } };
    let payload = message.after(8);
    let is_v4 = protocol == Protocol::Icmp;
    // RFC 792's timestamp and information messages and RFC 950's address masks have the same two numbers.
    let is_echo = if is_v4 { matches!(kind, 0 | 8 | 13..=18) } else { matches!(kind, 128 | 129) };
    let is_error = if is_v4 { matches!(kind, 3 | 4 | 5 | 11 | 12) } else { matches!(kind, 1..=4) };
    let mtu = match (is_v4, kind, code) {
        (true, 3, 4) => Some(u32::from(u16::from_be_bytes([r2, r3]))),
        (false, 2, _) => Some(u32::from_be_bytes([r0, r1, r2, r3])),
        _ => None,
    };
    // RFC 4884: where extensions follow, the header says how long the quotation is.
    let quoted_len = match (is_v4, kind) {
        (true, 3 | 11 | 12) => usize::from(r1) * 4,
        (false, 1 | 3) => usize::from(r0) * 8,
        _ => 0,
    };
    let quotation = match payload.bytes.get(..quoted_len) {
        Some(bytes) if quoted_len > 0 => Payload { bytes, len: payload.len.min(quoted_len as u32) },
        _ => payload,
    };
    let quoted = (is_error && quoting == Quoting::Allowed).then(|| ip::quoted(quotation).map(Box::new)).flatten();
    let echo = is_echo.then(|| (u16::from_be_bytes([r0, r1]), u16::from_be_bytes([r2, r3])));
    Transport::Icmp(Icmp { kind, code, echo, mtu, quoted, payload })
}

fn sctp(packet: Payload<'_>) -> Transport<'_> {
    let Some(&[s0, s1, d0, d1, t0, t1, t2, t3, ..]) = packet.bytes.first_chunk::<12>() else { return cut(packet) };
    let payload = packet.after(12);
    Transport::Sctp(Sctp {
        src_port: u16::from_be_bytes([s0, s1]),
        dst_port: u16::from_be_bytes([d0, d1]),
        tag: u32::from_be_bytes([t0, t1, t2, t3]),
        chunk: payload.u8(0),
        payload,
    })
}
