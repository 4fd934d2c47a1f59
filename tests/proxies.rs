//! Connections on both sides of a proxy: joined where something tells which belongs to which, counted and left apart where nothing does.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

use std::net::Ipv4Addr;

use hopscope::analysis::analyze;
use hopscope::ingest::Ingest;
use hopscope::report::{Report, Side};

const PROXY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
const SYN: u8 = 2;
const ACK: u8 = 16;

/// A frame of one TCP segment, and when it was captured.
struct Segment(u64, Vec<u8>);

fn segment(us: u64, src: (Ipv4Addr, u16), dst: (Ipv4Addr, u16), seq: u32, flags: u8, data: &[u8]) -> Segment {
    let mut f = vec![2, 0, 0, 0, 0, dst.0.octets()[3], 2, 0, 0, 0, 0, src.0.octets()[3], 8, 0];
    f.extend([0x45, 0]);
    f.extend(u16::try_from(40 + data.len()).unwrap().to_be_bytes());
    f.extend([0, 1, 0x40, 0, 64, 6, 0, 0]);
    f.extend(src.0.octets());
    f.extend(dst.0.octets());
    f.extend(src.1.to_be_bytes());
    f.extend(dst.1.to_be_bytes());
    f.extend(seq.to_be_bytes());
    f.extend((seq ^ 0x5555).to_be_bytes());
    f.extend([0x50, flags, 1, 0, 0, 0, 0, 0]);
    f.extend(data);
    Segment(us, f)
}

/// A connection that says one thing.
fn connection(us: u64, src: (Ipv4Addr, u16), dst: (Ipv4Addr, u16), says: &[u8]) -> [Segment; 2] {
    let seq = u32::from(src.1) << 12;
    [segment(us, src, dst, seq, SYN, b""), segment(us + 100, src, dst, seq + 1, ACK, says)]
}

fn pcap(segments: impl IntoIterator<Item = Segment>) -> Vec<u8> {
    let mut out = [0xa1b2_c3d4_u32.to_le_bytes(), [2, 0, 4, 0], [0; 4], [0; 4], 65_535_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat();
    for Segment(us, f) in segments {
        let len = u32::try_from(f.len()).unwrap();
        let at = [1_700_000_000 + u32::try_from(us / 1_000_000).unwrap(), u32::try_from(us % 1_000_000).unwrap(), len, len];
        out.extend(at.iter().flat_map(|n| n.to_le_bytes()));
        out.extend(f);
    }
    out
}

/// Two clients ask the proxy at the same time, and it asks the server twice: what each says in front and behind.
fn asked(front: [&str; 2], behind: [&str; 2]) -> Report {
    said(front.map(str::as_bytes), behind.map(str::as_bytes))
}

fn said(front: [&[u8]; 2], behind: [&[u8]; 2]) -> Report {
    let client = |n: u8| (Ipv4Addr::new(10, 0, 0, 20 + n), 40_000 + u16::from(n));
    let before = (0..2).flat_map(|n| connection(u64::from(n) * 10, client(n), (PROXY, 80), front[usize::from(n)]));
    let after = (0..2)
        .flat_map(|n: u8| connection(2_000 + u64::from(n) * 10, (PROXY, 50_000 + u16::from(n)), (SERVER, 8080), behind[usize::from(n)]));
    let inputs = [("a.pcap", pcap(before)), ("b.pcap", pcap(after))];
    let read = |(name, bytes): &(&str, Vec<u8>)| {
        let mut ingest = Ingest::new(name);
        ingest.push(bytes);
        ingest.finish()
    };
    analyze(&inputs.iter().flat_map(read).collect::<Vec<_>>())
}

/// Client's port and the port that the proxy asks from, of every join.
fn joined(report: &Report) -> Vec<(u16, u16)> {
    let port = |id: &str| report.paths.iter().find(|p| p.id == id).unwrap().flow.client.port.unwrap();
    let behind = report.paths.iter().flat_map(|p| p.relays.iter().filter(|r| r.side == Side::Behind).map(move |r| (p, r)));
    let mut found: Vec<_> = behind.map(|(p, r)| (p.flow.client.port.unwrap(), port(&r.path))).collect();
    found.sort_unstable();
    found
}

#[test]
fn what_differs_joins() {
    let (a, b) = ("GET /a?id=1 HTTP/1.1\r\nHost: shop\r\n\r\n", "GET /a?id=2 HTTP/1.1\r\nHost: shop\r\n\r\n");
    let report = asked([a, b], [b, a]);
    assert_eq!(joined(&report), [(40_000, 50_001), (40_001, 50_000)]);
    assert!(report.paths.iter().flat_map(|p| &p.relays).all(|r| r.through == "unknown:10.0.0.5" && !r.evidence.is_empty()));
}

/// What a client of HTTP/2 sends first: one request, in words of HPACK (RFC 7541) that are not compressed, and what it carries.
fn http2(path: &str, carries: &[u8]) -> Vec<u8> {
    let frame = |kind: u8, flags: u8, stream: u8, body: &[u8]| {
        [&[0, 0, u8::try_from(body.len()).unwrap(), kind, flags, 0, 0, 0, stream][..], body].concat()
    };
    let text = |name: u8, value: &str| [&[name, u8::try_from(value.len()).unwrap()], value.as_bytes()].concat();
    let headers = [vec![0x82, 0x86], text(0x44, path), text(0x41, "shop")].concat();
    let data = if carries.is_empty() { Vec::new() } else { frame(0, 1, 1, carries) };
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[]), frame(1, 4, 1, &headers), data].concat()
}

#[test]
fn http_2_joins_http_1_and_http_2() {
    let (a, b) = (http2("/a?id=1", b""), http2("/a?id=2", b""));
    let (x, y) = ("GET /a?id=1 HTTP/1.1\r\nHost: shop\r\n\r\n", "GET /a?id=2 HTTP/1.1\r\nHost: shop\r\n\r\n");
    assert_eq!(joined(&said([&a, &b], [y.as_bytes(), x.as_bytes()])), [(40_000, 50_001), (40_001, 50_000)]);
    assert_eq!(joined(&said([&a, &b], [&b, &a])), [(40_000, 50_001), (40_001, 50_000)]);
    // One path, as gRPC has for each method: what the requests carry tells them apart.
    let (a, b) =
        (http2("/shop.Cart/Add", b"\0\0\0\0\x14item 1 for cart 4711"), http2("/shop.Cart/Add", b"\0\0\0\0\x14item 2 for cart 4712"));
    assert_eq!(joined(&said([&a, &b], [&b, &a])), [(40_000, 50_001), (40_001, 50_000)]);
    // The preface alone is everybody's.
    let nothing = http2("/", b"");
    assert_eq!(joined(&said([&nothing[..33], &nothing[..33]], [&nothing[..33], &nothing[..33]])), []);
}

#[test]
fn what_is_alike_is_counted_and_left_apart() {
    let a = "GET /health HTTP/1.1\r\nHost: shop\r\n\r\n";
    let report = asked([a, a], [a, a]);
    assert_eq!(joined(&report), []);
    assert_eq!(report.ambiguous.messages, 2);
}

#[test]
fn what_the_proxy_says_tells_the_alike_apart() {
    let a = "GET /health HTTP/1.1\r\nHost: shop\r\n\r\n";
    let header = |n: u8| format!("PROXY TCP4 10.0.0.{} 10.0.0.5 {} 80\r\n{a}", 20 + n, 40_000 + u16::from(n));
    assert_eq!(joined(&asked([a, a], [&header(1), &header(0)])), [(40_000, 50_001), (40_001, 50_000)]);
    let forwarded = |n: u8| format!("GET /health HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: 10.0.0.{}\r\n\r\n", 20 + n);
    assert_eq!(joined(&asked([a, a], [&forwarded(1), &forwarded(0)])), [(40_000, 50_001), (40_001, 50_000)]);
}

#[test]
fn others_requests_are_nobodys() {
    let (a, b) = ("GET /a HTTP/1.1\r\nHost: shop\r\n\r\n", "GET /b HTTP/1.1\r\nHost: shop\r\n\r\n");
    let report = asked([a, a], [b, b]);
    assert_eq!((joined(&report), report.ambiguous.messages), (vec![], 0));
}
