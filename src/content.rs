//! What a proxy leaves as it is, or says itself, of the bytes that a TCP connection carries: marks on the first messages of each stream.
//! Knows how HTTP/1 and the PROXY protocol begin; must not know which connections a proxy joins, nor keep what was said.
//!
//! Sources: RFC 9112 (HTTP/1.1), RFC 7239 (`Forwarded`), the PROXY protocol's specification (haproxy.org/download/3.0/doc/proxy-protocol.txt),
//! docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html, W3C Trace Context.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::dissect::{Payload, Tcp};

/// Octets that the short hash of a message covers; the usual snaplens leave as many.
const SHORT: usize = 24;
/// Octets that the long hash covers, at most.
const LONG: usize = 128;
/// So many segments with data have their content marked, in each stream: what follows is told by the connection.
const SEGMENTS: u8 = 4;
/// So many HTTP requests are marked in each stream: connections to a target are kept and used again.
const REQUESTS: u8 = 32;

/// One thing that a segment's data says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mark {
    /// What the data begins with: hashes of the first 24 octets, and of up to 128 if that many were captured; 0: fewer were.
    Content {
        /// Of the first 24 octets.
        short: u64,
        /// Of the first 128 octets, or of all of them and their number.
        long: u64,
    },
    /// An HTTP/1 request: hash of its method, target and host.
    Request(u64),
    /// The last address in `X-Forwarded-For` or `Forwarded`: who the proxy that wrote it was asked by.
    ForwardedFor(IpAddr),
    /// Hash of an identifier that is carried along: `X-Amzn-Trace-Id`'s root, `traceparent`'s trace id, `X-Request-Id`.
    Trace(u64),
    /// A PROXY protocol header: the connection that the proxy accepted.
    Proxy(Box<Accepted>),
}

/// Both ends of the connection that a proxy accepted, by its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Accepted {
    /// The client.
    pub src: IpAddr,
    /// The client's port.
    pub src_port: u16,
    /// What it dialled.
    pub dst: IpAddr,
    /// The port that it dialled.
    pub dst_port: u16,
}

/// A mark and the packet that bears it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marked {
    /// Index of the stream.
    pub stream: u32,
    /// The packet's row.
    pub row: u32,
    /// What it says.
    pub mark: Mark,
}

/// How far a stream has been read.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    begun: bool,
    /// Sequence number after the last data.
    next: u32,
    segments: u8,
    requests: u8,
}

/// Marks the segments of a capture's streams as they come.
#[derive(Debug, Default)]
pub struct Marker {
    streams: Vec<Progress>,
}

impl Marker {
    /// Whether all that is wanted of a stream's content has come: of its segments only requests are looked at.
    #[inline(always)]
    pub(crate) fn is_read(&self, stream: u32) -> bool {
        self.streams.get(stream as usize).is_some_and(|p| p.segments >= SEGMENTS)
    }

    /// Whether a segment of a stream of which [`Marker::is_read`] holds may say something yet.
    #[inline(always)]
    pub(crate) fn is_request(tcp: &Tcp<'_>) -> bool {
        tcp.payload.len != 0 && begins_upper(tcp.payload.bytes)
    }

    /// Reads one segment of stream number `stream`; what it says goes to `out`. Data sent again says nothing new.
    #[inline]
    pub fn segment(&mut self, stream: u32, row: u32, tcp: &Tcp<'_>, out: &mut Vec<Marked>) {
        // Nearly every segment of a long stream ends here.
        if tcp.payload.len == 0 || self.is_read(stream) && !Self::is_request(tcp) {
            return;
        }
        self.message(stream, row, tcp.seq, tcp.payload, out);
    }

    /// The same of a segment with data that is known to be wanted.
    #[cold]
    #[inline(never)]
    pub(crate) fn message(&mut self, stream: u32, row: u32, seq: u32, payload: Payload<'_>, out: &mut Vec<Marked>) {
        let at = stream as usize;
        if self.streams.len() <= at {
            self.streams.resize(at.saturating_add(1), Progress::default());
        }
        let Some(p) = self.streams.get_mut(at) else { return };
        if p.begun && (seq.wrapping_sub(p.next) as i32) < 0 {
            return;
        }
        let is_first = !p.begun;
        (p.begun, p.next) = (true, seq.wrapping_add(payload.len));
        let wants_content = p.segments < SEGMENTS;
        let wants_request = p.requests < REQUESTS && begins_upper(payload.bytes);
        if !(wants_content || wants_request) {
            return;
        }
        let mut say = |mark| out.push(Marked { stream, row, mark });
        let (mut data, mut len) = (payload.bytes, payload.len as usize);
        if is_first && let Some((accepted, header)) = proxy_header(data) {
            accepted.into_iter().for_each(|a| say(Mark::Proxy(Box::new(a))));
            (data, len) = (data.get(header..).unwrap_or_default(), len.saturating_sub(header));
            if len == 0 {
                return;
            }
        }
        if wants_content {
            p.segments += 1;
            if let Some(mark) = content(data, len) {
                say(mark);
            }
        }
        let is_asking = p.requests < REQUESTS && begins_upper(data);
        if let Some((request, headers)) = is_asking.then(|| http_request(data)).flatten() {
            p.requests += 1;
            let (host, marks) = header_marks(headers);
            say(Mark::Request((request ^ host).max(1)));
            marks.into_iter().for_each(say);
        }
    }
}

/// As a request's method does.
fn begins_upper(data: &[u8]) -> bool {
    data.first().is_some_and(u8::is_ascii_uppercase)
}

/// Octets fewer than 8 are in every connection of their kind, and say nothing.
fn content(data: &[u8], len: usize) -> Option<Mark> {
    if len < 8 {
        return None;
    }
    // The length stands for the rest: a whole message is told from one that only begins alike.
    let hash = |most: usize| {
        let bytes = data.get(..most.min(len))?;
        let whole = if len < most { u64::try_from(len).unwrap_or(0) } else { 0 };
        Some((xxh3_64(bytes) ^ whole.rotate_left(32)).max(1))
    };
    let short = hash(SHORT)?;
    Some(Mark::Content { short, long: hash(LONG).unwrap_or(0) })
}

/// Hash of method and target, and the header lines that follow. The version is the proxy's own affair.
fn http_request(data: &[u8]) -> Option<(u64, &[u8])> {
    let end = data.iter().take(8192).position(|b| *b == b'\r')?;
    let (line, headers) = (data.get(..end)?, data.get(end..)?.strip_prefix(b"\r\n")?);
    let mut words = line.split(|b| *b == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let is_request = (3..=12).contains(&method.len()) && method.iter().all(u8::is_ascii_uppercase) && version.starts_with(b"HTTP/1.");
    // Targets to a proxy may be absolute (RFC 9112 §3.2.2); what the target's server sees is the path.
    let path = match target.windows(3).position(|w| w == b"://").and_then(|n| target.get(n + 3..)) {
        Some(rest) => rest.iter().position(|b| *b == b'/').and_then(|n| rest.get(n..)).unwrap_or(b"/"),
        None => target,
    };
    let seed = xxh3_64(method);
    is_request.then(|| ((xxh3_64(path) ^ seed.rotate_left(17)).max(1), headers))
}

/// What the headers say: a hash of whom they ask (0 if they do not say), and of who asked. Lines that the snaplen cut are left out.
fn header_marks(headers: &[u8]) -> (u64, Vec<Mark>) {
    let mut marks = Vec::new();
    let mut host = 0;
    let mut forwarded = None;
    let mut rest = headers;
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let line = rest.get(..end).unwrap_or_default();
        rest = rest.get(end + 2..).unwrap_or_default();
        if line.is_empty() {
            break;
        }
        let Some((name, value)) = std::str::from_utf8(line).ok().and_then(|l| l.split_once(':')) else { continue };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            // Balancers keep it; probes of one path at many servers differ by it.
            "host" => host = xxh3_64(value.as_bytes()).rotate_left(29),
            "x-forwarded-for" => forwarded = value.rsplit(',').next().and_then(address).or(forwarded),
            "forwarded" => forwarded = value.rsplit(',').next().and_then(forwarded_for).or(forwarded),
            "x-amzn-trace-id" => {
                let root = value.split(';').find_map(|p| p.trim().strip_prefix("Root="));
                marks.extend(root.and_then(trace));
            }
            "traceparent" => marks.extend(value.split('-').nth(1).and_then(trace)),
            "x-request-id" => marks.extend(trace(value)),
            _ => {}
        }
    }
    marks.extend(forwarded.map(Mark::ForwardedFor));
    (host, marks)
}

/// An identifier long enough to be nobody else's.
fn trace(id: &str) -> Option<Mark> {
    (id.len() >= 16).then(|| Mark::Trace(xxh3_64(id.as_bytes()).max(1)))
}

/// `for=192.0.2.60`, `for="[2001:db8::17]:4711"` among an element's pairs.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then(|| address(value)).flatten()
    })
}

/// An address with or without a port, quotes and brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|t| t.split_once(']')).map_or(text, |t| t.0);
    bare.parse().ok().or_else(|| bare.rsplit_once(':')?.0.parse::<Ipv4Addr>().ok().map(IpAddr::V4))
}

const PROXY_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A PROXY protocol header, version 1 or 2, and its length. `None` within: the proxy speaks for itself (`LOCAL`, `UNKNOWN`).
fn proxy_header(data: &[u8]) -> Option<(Option<Accepted>, usize)> {
    if let Some(rest) = data.strip_prefix(PROXY_V2) {
        let &[command, family, l0, l1] = rest.first_chunk::<4>()?;
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let addresses = rest.get(4..)?;
        let accepted = match (command, family >> 4) {
            (0x21, 1) => addresses.first_chunk::<12>().map(|a| {
                let [s0, s1, s2, s3, d0, d1, d2, d3, p0, p1, q0, q1] = *a;
                accepted(Ipv4Addr::new(s0, s1, s2, s3).into(), Ipv4Addr::new(d0, d1, d2, d3).into(), [p0, p1, q0, q1])
            }),
            (0x21, 2) => addresses.first_chunk::<36>().and_then(|a| {
                let (src, rest) = a.split_first_chunk::<16>()?;
                let (dst, ports) = rest.split_first_chunk::<16>()?;
                Some(accepted(Ipv6Addr::from(*src).into(), Ipv6Addr::from(*dst).into(), *ports.first_chunk::<4>()?))
            }),
            (0x20 | 0x21, _) => None,
            _ => return None,
        };
        return Some((accepted, PROXY_V2.len().saturating_add(4).saturating_add(len)));
    }
    let rest = data.strip_prefix(b"PROXY ")?;
    let end = rest.iter().take(107).position(|b| *b == b'\r')?;
    let line = std::str::from_utf8(rest.get(..end)?).ok()?;
    let mut words = line.split(' ');
    words.next().filter(|w| matches!(*w, "TCP4" | "TCP6" | "UNKNOWN"))?;
    let mut ip = || words.next().and_then(|w| w.parse::<IpAddr>().ok());
    let (src, dst) = (ip(), ip());
    let mut port = || words.next().and_then(|w| w.parse::<u16>().ok());
    let (src_port, dst_port) = (port(), port());
    let accepted =
        src.zip(dst).zip(src_port.zip(dst_port)).map(|((src, dst), (src_port, dst_port))| Accepted { src, src_port, dst, dst_port });
    Some((accepted, b"PROXY ".len().saturating_add(end).saturating_add(2)))
}

fn accepted(src: IpAddr, dst: IpAddr, [p0, p1, q0, q1]: [u8; 4]) -> Accepted {
    Accepted { src, src_port: u16::from_be_bytes([p0, p1]), dst, dst_port: u16::from_be_bytes([q0, q1]) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
    use super::{Accepted, Mark, Marked, Marker};
    use crate::dissect::{Payload, Tcp};

    fn tcp(seq: u32, data: &[u8]) -> Tcp<'_> {
        Tcp {
            src_port: 1,
            dst_port: 2,
            seq,
            ack: 0,
            flags: 0,
            window: 0,
            checksum: 0,
            mss: None,
            window_scale: None,
            timestamps: None,
            sack_permitted: false,
            payload: Payload { bytes: data, len: u32::try_from(data.len()).unwrap() },
        }
    }

    fn marks(segments: &[&[u8]]) -> Vec<Mark> {
        let (mut marker, mut out, mut seq) = (Marker::default(), Vec::<Marked>::new(), u32::MAX - 10);
        for (n, s) in segments.iter().enumerate() {
            marker.segment(0, u32::try_from(n).unwrap(), &tcp(seq, s), &mut out);
            seq = seq.wrapping_add(u32::try_from(s.len()).unwrap());
        }
        out.into_iter().map(|m| m.mark).collect()
    }

    fn request(marks: &[Mark]) -> Option<u64> {
        marks.iter().find_map(|m| if let Mark::Request(r) = m { Some(*r) } else { None })
    }

    #[test]
    fn a_request_keeps_its_mark_when_a_proxy_adds_headers() {
        let before = marks(&[b"GET /a?b=1 HTTP/1.0\r\nHost: x\r\n\r\n"]);
        let after = marks(&[b"GET /a?b=1 HTTP/1.1\r\nX-Forwarded-For: 10.0.0.9, 203.0.113.7:4711\r\nHost: x\r\nX-Amzn-Trace-Id: Self=1-2-3;Root=1-67891233-abcdef012345678912345678\r\n\r\n"]);
        assert!(request(&before).is_some());
        assert_eq!(request(&before), request(&after));
        assert!(after.contains(&Mark::ForwardedFor("203.0.113.7".parse().unwrap())));
        assert!(after.iter().any(|m| matches!(m, Mark::Trace(_))));
        assert_ne!(request(&before), request(&marks(&[b"GET /a?b=2 HTTP/1.1\r\n\r\n"])));
    }

    #[test]
    fn forwarded_names_the_last_client() {
        let m = marks(&[b"GET / HTTP/1.1\r\nForwarded: for=192.0.2.1, proto=http;For=\"[2001:db8::17]:4711\"\r\n\r\n"]);
        assert!(m.contains(&Mark::ForwardedFor("2001:db8::17".parse().unwrap())));
    }

    #[test]
    fn a_proxy_header_is_read_and_left_out_of_the_content() {
        let accepted = Accepted { src: "192.0.2.1".parse().unwrap(), src_port: 5000, dst: "10.0.0.1".parse().unwrap(), dst_port: 80 };
        let plain = marks(&[b"some bytes of a protocol of its own"]);
        let v1 = marks(&[b"PROXY TCP4 192.0.2.1 10.0.0.1 5000 80\r\nsome bytes of a protocol of its own"]);
        let header: &[u8] = &[0x21, 0x11, 0, 12, 192, 0, 2, 1, 10, 0, 0, 1, 0x13, 0x88, 0, 80];
        let v2 = marks(&[&[super::PROXY_V2, header].concat(), b"some bytes of a protocol of its own"]);
        for m in [v1, v2] {
            assert_eq!(m[0], Mark::Proxy(Box::new(accepted)));
            assert_eq!(m[1..], plain[..]);
        }
    }

    #[test]
    fn what_is_sent_again_is_marked_once() {
        let (mut marker, mut out) = (Marker::default(), Vec::new());
        marker.segment(3, 0, &tcp(7, b"twelve bytes"), &mut out);
        marker.segment(3, 1, &tcp(7, b"twelve bytes"), &mut out);
        assert_eq!(out.len(), 1);
    }

    #[test]
    fn any_cut_of_a_header_is_read_without_a_fault() {
        let header: &[u8] = &[0x21, 0x21, 0, 36, 1, 2, 3, 4];
        let whole = [super::PROXY_V2, header].concat();
        for n in 0..whole.len() {
            marks(&[&whole[..n]]);
        }
        let line = b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\nGET / HTTP/1.1\r\nX-Forwarded-For: 1.2.3.4\r\n";
        for n in 0..line.len() {
            marks(&[&line[..n]]);
        }
    }
}
