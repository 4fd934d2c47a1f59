//! What a proxy leaves as it is, or says itself, of the bytes that a TCP connection carries: marks on the first messages of each stream.
//! Knows how HTTP/1 and the PROXY protocol begin, and requests of HTTP/2; must not know which connections a proxy joins, nor keep what was said.
//!
//! Sources: RFC 9112 (HTTP/1.1), RFC 7239 (`Forwarded`), the PROXY protocol's specification (haproxy.org/download/3.0/doc/proxy-protocol.txt),
//! docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html, W3C Trace Context.

mod hpack;
mod http2;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustc_hash::FxHashMap;
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
    /// A request of HTTP/1 or HTTP/2: hash of its method, target and host. Of HTTP/2 also of what one carries, in a segment that does not
    /// say whose it is: many requests share a connection, so that it is a request's mark and not the connection's.
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
    /// It has a place among the connections of HTTP/2.
    is_http2: bool,
}

/// So many connections of HTTP/2 are followed at once, each with its table of headers.
const MOST_HTTP2: usize = 4096;

/// Marks the segments of a capture's streams as they come.
#[derive(Debug, Default)]
pub struct Marker {
    streams: Vec<Progress>,
    http2: FxHashMap<u32, Box<http2::Connection>>,
    huffman: Option<Box<hpack::Huffman>>,
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
        let gap = if is_first { 0 } else { seq.wrapping_sub(p.next) };
        (p.begun, p.next) = (true, seq.wrapping_add(payload.len));
        if p.is_http2 {
            return self.http2(stream, row, gap, payload.bytes, payload.len as usize, out);
        }
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
        match if is_first { http2::begins(data, len) } else { None } {
            Some(http2::Found::Client(connection)) if self.http2.len() < MOST_HTTP2 => {
                p.is_http2 = true;
                self.http2.insert(stream, Box::new(connection));
                return self.http2(stream, row, 0, data, len, out);
            }
            // Answers say nothing that is looked at.
            Some(_) => {
                (p.segments, p.requests) = (SEGMENTS, REQUESTS);
                return;
            }
            None => {}
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
            let headers = Headers::of_lines(headers);
            say(Mark::Request((request ^ headers.host).max(1)));
            headers.marks().for_each(say);
        }
    }

    /// One segment of a connection of HTTP/2, behind a gap of so many octets.
    fn http2(&mut self, stream: u32, row: u32, gap: u32, bytes: &[u8], len: usize, out: &mut Vec<Marked>) {
        let (Some(connection), Some(p)) = (self.http2.get_mut(&stream), self.streams.get_mut(stream as usize)) else { return };
        let huffman = self.huffman.get_or_insert_default();
        connection.miss(gap as usize);
        let mut is_told = false;
        connection.segment(bytes, len, huffman, &mut |said| {
            if p.requests >= REQUESTS {
                return;
            }
            let mut say = |mark| out.push(Marked { stream, row, mark });
            match said {
                http2::Said::Headers(list) => {
                    let mut headers = Headers::default();
                    let (mut method, mut path) = (None, None);
                    for (name, value) in list {
                        match &**name {
                            b":method" => method = Some(value),
                            b":path" => path = Some(value),
                            b":authority" => headers.take("host", value),
                            name => headers.take(std::str::from_utf8(name).unwrap_or_default(), value),
                        }
                    }
                    if let (Some(method), Some(path)) = (method, path) {
                        (is_told, p.requests) = (true, p.requests + 1);
                        say(Mark::Request((asked(method, path) ^ headers.host).max(1)));
                        headers.marks().for_each(say);
                    }
                }
                http2::Said::Data(bytes, len) => {
                    let Some(mark) = content(bytes, len) else { return };
                    if let (Mark::Content { long, .. }, false) = (&mark, is_told) {
                        (is_told, p.requests) = (true, p.requests + 1);
                        if *long != 0 {
                            say(Mark::Request(long.rotate_left(7).max(1)));
                        }
                    }
                    say(mark);
                }
            }
        });
        if p.requests >= REQUESTS {
            p.segments = SEGMENTS;
            p.is_http2 = false;
            self.http2.remove(&stream);
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
    is_request.then(|| (asked(method, path), headers))
}

/// Hash of a method and a path, whichever version of HTTP they are of.
fn asked(method: &[u8], path: &[u8]) -> u64 {
    (xxh3_64(path) ^ xxh3_64(method).rotate_left(17)).max(1)
}

/// What a request's headers say: a hash of whom it asks (0 if they do not say), and of who asked.
#[derive(Default)]
struct Headers {
    host: u64,
    traces: Vec<Mark>,
    forwarded: Option<IpAddr>,
}

impl Headers {
    /// HTTP/1's. Lines that the snaplen cut are left out.
    fn of_lines(mut rest: &[u8]) -> Self {
        let mut headers = Self::default();
        while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
            let line = rest.get(..end).unwrap_or_default();
            rest = rest.get(end + 2..).unwrap_or_default();
            if line.is_empty() {
                break;
            }
            let Some((name, value)) = std::str::from_utf8(line).ok().and_then(|l| l.split_once(':')) else { continue };
            headers.take(name, value.as_bytes());
        }
        headers
    }

    fn take(&mut self, name: &str, value: &[u8]) {
        let Ok(value) = std::str::from_utf8(value).map(str::trim) else { return };
        match name.to_ascii_lowercase().as_str() {
            // Balancers keep it; probes of one path at many servers differ by it.
            "host" => self.host = xxh3_64(value.as_bytes()).rotate_left(29),
            "x-forwarded-for" => self.forwarded = value.rsplit(',').next().and_then(address).or(self.forwarded),
            "forwarded" => self.forwarded = value.rsplit(',').next().and_then(forwarded_for).or(self.forwarded),
            "x-amzn-trace-id" => {
                let root = value.split(';').find_map(|p| p.trim().strip_prefix("Root="));
                self.traces.extend(root.and_then(trace));
            }
            "traceparent" => self.traces.extend(value.split('-').nth(1).and_then(trace)),
            "x-request-id" => self.traces.extend(trace(value)),
            _ => {}
        }
    }

    fn marks(self) -> impl Iterator<Item = Mark> {
        self.traces.into_iter().chain(self.forwarded.map(Mark::ForwardedFor))
    }
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

    /// A client's HTTP/2: preface, settings, one request with what it carries (RFC 7541 C.3 writes headers so).
    fn http2(authority: &[u8], carried: &[u8]) -> Vec<u8> {
        let frame = |kind: u8, flags: u8, stream: u8, body: &[u8]| {
            [&[0, 0, u8::try_from(body.len()).unwrap(), kind, flags, 0, 0, 0, stream][..], body].concat()
        };
        let block =
            [&b"\x83\x86\x44\x07/a?b=12\x41"[..2], &b"\x44\x08/a?b=123\x41"[..], &[u8::try_from(authority.len()).unwrap()], authority]
                .concat();
        [super::http2::PREFACE, &frame(4, 0, 0, &[]), &frame(1, 4, 1, &block), &frame(0, 1, 1, carried)].concat()
    }

    #[test]
    fn a_request_has_one_mark_in_both_versions_of_http() {
        let one = marks(&[b"POST /a?b=123 HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n"]);
        let two = marks(&[&http2(b"shop", b"what the request carries")]);
        assert!(request(&one).is_some());
        assert_eq!(request(&one), request(&two));
        assert_ne!(request(&two), request(&marks(&[&http2(b"shed", b"what the request carries")])));
        // What it carries is told apart, with its request or without.
        let carried = |m: &[Mark]| m.iter().find(|m| matches!(m, Mark::Content { .. })).cloned();
        let frames = http2(b"shop", b"what the request carries");
        let alone = marks(&[&frames[frames.len() - 33..]]);
        assert_eq!(carried(&two), carried(&alone));
        assert!(carried(&two).is_some() && request(&alone).is_some());
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
