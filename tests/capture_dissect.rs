//! The dissector against what tshark said of real captures, against etherparse over mutated frames, and its description.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use etherparse::{LaxSlicedPacket, TransportSlice};
use hopscope::capture::{CaptureReader, FrameSink, InterfaceInfo, LinkType, RawFrame};
use hopscope::dissect::{Icmp, Ip, Net, Observation, Payload, Transport, describe, dissect};
use hopscope::model::Protocol;
use proptest::prelude::*;

struct Frame {
    link_type: LinkType,
    time_ns: i64,
    bytes: Vec<u8>,
    original_len: u32,
}

#[derive(Default)]
struct Frames(Vec<LinkType>, Vec<Frame>);

impl FrameSink for Frames {
    fn interface(&mut self, info: &InterfaceInfo) {
        if info.index as usize == self.0.len() {
            self.0.push(info.link_type.unwrap());
        }
    }
    fn frame(&mut self, f: RawFrame<'_>) {
        self.1.push(Frame {
            link_type: self.0[f.interface as usize],
            time_ns: f.time_ns.unwrap(),
            bytes: f.bytes.to_vec(),
            original_len: f.original_len,
        });
    }
    fn name(&mut self, _: std::net::IpAddr, _: &str, _: u64) {}
}

fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/captures");
    let mut found: Vec<_> = ["tcpdump-4.99.3", "wireshark-4.0.17"]
        .iter()
        .flat_map(|sub| std::fs::read_dir(folder.join(sub)).unwrap().map(|entry| entry.unwrap().path()))
        .filter(|path| path.extension().is_some_and(|e| e != "tsv"))
        .collect();
    found.sort();
    found
}

fn frames(path: &Path) -> Vec<Frame> {
    let mut frames = Frames::default();
    let mut reader = CaptureReader::new();
    reader.push(&std::fs::read(path).unwrap(), &mut frames);
    let _ = reader.finish(&mut frames);
    frames.1
}

type Row = BTreeMap<&'static str, Vec<String>>;

/// What an observation says in tshark's fields: outer packets, the packet, and the one that it quotes.
fn row(frame: &Frame, number: usize) -> Row {
    let observation = dissect(frame.link_type, &frame.bytes, frame.original_len);
    let mut row = Row::new();
    let mut say = |name, value: String| row.entry(name).or_default().push(value);
    say("frame.number", number.to_string());
    say("frame.time_epoch", format!("{}.{:09}", frame.time_ns / 1_000_000_000, frame.time_ns % 1_000_000_000));
    say("frame.len", frame.original_len.to_string());
    say("frame.cap_len", frame.bytes.len().to_string());
    for tunnel in &observation.tunnels {
        say(if tunnel.src.is_ipv4() { "ip.src" } else { "ipv6.src" }, tunnel.src.to_string());
        say(if tunnel.dst.is_ipv4() { "ip.dst" } else { "ipv6.dst" }, tunnel.dst.to_string());
        say("vxlan.vni", tunnel.id.unwrap().to_string());
        say("udp.srcport", tunnel.src_port.unwrap().to_string());
        say("udp.dstport", tunnel.dst_port.unwrap().to_string());
    }
    match &observation.net {
        Net::Other => {}
        Net::Arp(arp) => {
            say("arp.opcode", arp.operation.to_string());
            say("arp.src.proto_ipv4", arp.sender_ip.to_string());
        }
        Net::Ip(ip) => say_ip(ip, &mut say),
    }
    row
}

fn say_ip(ip: &Ip<'_>, say: &mut impl FnMut(&'static str, String)) {
    let is_v4 = ip.src.is_ipv4();
    say(if is_v4 { "ip.src" } else { "ipv6.src" }, ip.src.to_string());
    say(if is_v4 { "ip.dst" } else { "ipv6.dst" }, ip.dst.to_string());
    say(if is_v4 { "ip.ttl" } else { "ipv6.hlim" }, ip.ttl.to_string());
    if is_v4 {
        say("ip.id", format!("{:#06x}", ip.id.unwrap()));
    }
    match &ip.transport {
        Transport::Tcp(tcp) => {
            say("tcp.srcport", tcp.src_port.to_string());
            say("tcp.dstport", tcp.dst_port.to_string());
            say("tcp.seq_raw", tcp.seq.to_string());
            say("tcp.ack_raw", tcp.ack.to_string());
            say("tcp.window_size_value", tcp.window.to_string());
        }
        Transport::Udp(udp) => {
            say("udp.srcport", udp.src_port.to_string());
            say("udp.dstport", udp.dst_port.to_string());
        }
        Transport::Icmp(Icmp { kind, code, quoted, .. }) => {
            let is_v4 = ip.protocol == Protocol::Icmp;
            say(if is_v4 { "icmp.type" } else { "icmpv6.type" }, kind.to_string());
            say(if is_v4 { "icmp.code" } else { "icmpv6.code" }, code.to_string());
            if let Some(quoted) = quoted {
                say_ip(quoted, say);
            }
        }
        Transport::Cut { ports: Some((src, dst)) } => {
            let udp = ip.protocol == Protocol::Udp;
            say(if udp { "udp.srcport" } else { "tcp.srcport" }, src.to_string());
            say(if udp { "udp.dstport" } else { "tcp.dstport" }, dst.to_string());
        }
        Transport::Sctp(_) | Transport::Other(_) | Transport::Cut { ports: None } => {}
    }
}

#[test]
fn every_field_is_what_tshark_says() {
    let mut compared = 0;
    for path in captures() {
        let expected = std::fs::read_to_string(format!("{}.tsv", path.display())).unwrap();
        let mut lines = expected.lines();
        let names: Vec<&str> = lines.next().unwrap().split('\t').collect();
        let frames = frames(&path);
        assert_eq!(frames.len(), lines.clone().count());
        for (at, (frame, line)) in frames.iter().zip(lines).enumerate() {
            let ours = row(frame, at + 1);
            let is_tunnelled = ours.contains_key("vxlan.vni");
            for (name, theirs) in names.iter().zip(line.split('\t')) {
                // A tunnel keeps no identification, and only the TTL that it had.
                if is_tunnelled && matches!(*name, "ip.id" | "ip.ttl" | "ipv6.hlim") {
                    continue;
                }
                let ours = ours.get(name).map_or(String::new(), |values| values.join(","));
                if (frame.bytes.len() as u32) < frame.original_len {
                    // tshark reads a cut tunnel or quotation field by field, we only what can be checked.
                    assert!(theirs.starts_with(&ours), "{} frame {} {name}: {ours} {theirs}", path.display(), at + 1);
                    continue;
                }
                assert_eq!(ours, theirs, "{} frame {} {name}", path.display(), at + 1);
                compared += usize::from(!theirs.is_empty());
            }
        }
    }
    assert!(compared > 3000, "{compared} fields");
}

/// What both dissectors can say of an untunnelled Ethernet frame.
#[derive(Debug, PartialEq, Eq)]
struct Gist {
    src: std::net::IpAddr,
    dst: std::net::IpAddr,
    ttl: u8,
    fragment: Option<u32>,
    transport: Option<(u16, u16, u32, u32, u16, Vec<u8>)>,
}

fn ours(frame: &[u8]) -> Option<Gist> {
    let Observation { net: Net::Ip(ip), tunnels, .. } = dissect(LinkType::ETHERNET, frame, frame.len() as u32) else { return None };
    let transport = match &ip.transport {
        Transport::Tcp(t) => Some((t.src_port, t.dst_port, t.seq, t.ack, t.window, t.payload.bytes.to_vec())),
        Transport::Udp(u) => Some((u.src_port, u.dst_port, 0, 0, 0, u.payload.bytes.to_vec())),
        _ => None,
    };
    let fragment = ip.fragment.map(|(offset, _)| offset);
    tunnels.is_empty().then_some(Gist { src: ip.src, dst: ip.dst, ttl: ip.ttl, fragment, transport })
}

fn theirs(frame: &[u8]) -> Option<Gist> {
    let sliced = LaxSlicedPacket::from_ethernet(frame).ok()?;
    let (src, dst, ttl, fragment) = match sliced.net.as_ref()? {
        etherparse::LaxNetSlice::Ipv4(v4) => {
            let header = v4.header();
            let fragment = header.is_fragmenting_payload().then(|| u32::from(header.fragments_offset().byte_offset()));
            (header.source_addr().into(), header.destination_addr().into(), header.ttl(), fragment)
        }
        etherparse::LaxNetSlice::Ipv6(v6) => {
            let header = v6.header();
            // No offset here: etherparse 0.21's iterator over the extensions of a lax slice reads past headers that are cut.
            let fragment = v6.extensions().is_fragmenting_payload().then_some(0);
            (header.source_addr().into(), header.destination_addr().into(), header.hop_limit(), fragment)
        }
        etherparse::LaxNetSlice::Arp(_) => return None,
    };
    let transport = match &sliced.transport {
        Some(TransportSlice::Tcp(t)) => Some((
            t.source_port(),
            t.destination_port(),
            t.sequence_number(),
            t.acknowledgment_number(),
            t.window_size(),
            t.payload().to_vec(),
        )),
        Some(TransportSlice::Udp(u)) => Some((u.source_port(), u.destination_port(), 0, 0, 0, u.payload().to_vec())),
        _ => None,
    };
    Some(Gist { src, dst, ttl, fragment, transport })
}

fn ethernet_frames() -> Vec<Vec<u8>> {
    captures().iter().flat_map(|path| frames(path)).filter(|f| f.link_type == LinkType::ETHERNET).map(|f| f.bytes).collect()
}

/// They agree wherever both understand the frame. Ours gives nothing for a TCP header whose options are cut off, theirs
/// stops there too; theirs refuses what ours reads on purpose: lengths of 0 and headers that contradict themselves.
fn assert_agreement(frame: &[u8]) {
    let (Some(ours), Some(theirs)) = (ours(frame), theirs(frame)) else { return };
    assert_eq!((ours.src, ours.dst, ours.ttl), (theirs.src, theirs.dst, theirs.ttl));
    if ours.src.is_ipv4() {
        assert_eq!(ours.fragment, theirs.fragment);
    } else if ours.transport.is_some() && theirs.transport.is_some() {
        assert_eq!(ours.fragment.is_some(), theirs.fragment.is_some());
    }
    if let (Some(ours), Some(theirs)) = (&ours.transport, &theirs.transport) {
        assert_eq!(ours, theirs);
    }
}

#[test]
fn etherparse_agrees_on_real_frames_and_every_beginning_of_them() {
    let mut both = 0;
    for frame in ethernet_frames() {
        for len in 0..=frame.len().min(140) {
            assert_agreement(&frame[..len]);
        }
        assert_agreement(&frame);
        if let (Some(ours), Some(theirs)) = (ours(&frame), theirs(&frame)) {
            // Ours opens the first fragment of a datagram and a TCP header whose options are cut; theirs neither.
            assert!(ours == theirs || theirs.transport.is_none(), "{ours:?} {theirs:?}");
            both += usize::from(ours == theirs);
        }
    }
    assert!(both > 100, "only {both} frames were understood by both");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn etherparse_agrees_on_mutated_frames(
        pick in any::<prop::sample::Index>(),
        changes in prop::collection::vec((0_usize..100, any::<u8>()), 1..6),
        len in 0_usize..1600,
    ) {
        let frames = FRAMES.with(Clone::clone);
        let mut frame = pick.get(&frames).clone();
        for (at, value) in changes {
            if let Some(octet) = frame.get_mut(at) {
                *octet = value;
            }
        }
        frame.truncate(len);
        assert_agreement(&frame);
    }

    #[test]
    fn nothing_panics_and_every_place_lies_in_the_frame(
        pick in any::<prop::sample::Index>(),
        changes in prop::collection::vec((0_usize..160, any::<u8>()), 0..8),
        link_type in prop::sample::select(vec![0, 1, 12, 101, 108, 113, 228, 229, 276]),
        original_len in any::<u32>(),
        len in 0_usize..1600,
    ) {
        let frames = FRAMES.with(Clone::clone);
        let mut frame = pick.get(&frames).clone();
        for (at, value) in changes {
            if let Some(octet) = frame.get_mut(at) {
                *octet = value;
            }
        }
        frame.truncate(len);
        let _ = dissect(LinkType(link_type), &frame, original_len);
        for layer in describe(LinkType(link_type), &frame, original_len) {
            prop_assert!(layer.start + layer.len <= frame.len());
            for field in layer.fields {
                prop_assert!(field.start + field.len <= frame.len(), "{} of {}", field.name, layer.name);
            }
        }
    }
}

thread_local! {
    static FRAMES: Vec<Vec<u8>> = ethernet_frames();
}

/// Hand-made packets: what no capture at hand has.
fn ipv4(protocol: u8, total_len: Option<u16>, payload: &[u8]) -> Vec<u8> {
    let len = total_len.unwrap_or(20 + payload.len() as u16).to_be_bytes();
    let head = [0x45, 0, len[0], len[1], 0x12, 0x34, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    [&head[..], payload].concat()
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u16).to_be_bytes();
    [&[0x60, 0, 0, 0, len[0], len[1], next, 64][..], &[0xfd; 16], &[0xfe; 16], payload].concat()
}

fn udp(dst_port: u16, payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len() as u16).to_be_bytes();
    [&[0x30, 0x39][..], &dst_port.to_be_bytes(), &len, &[0, 0], payload].concat()
}

fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1][..], &ethertype.to_be_bytes(), payload].concat()
}

fn raw(packet: &[u8]) -> Observation<'_> {
    dissect(LinkType::RAW, packet, packet.len() as u32)
}

fn ip<'a>(observation: &'a Observation<'a>) -> &'a Ip<'a> {
    match &observation.net {
        Net::Ip(ip) => ip,
        other => panic!("no IP: {other:?}"),
    }
}

#[test]
fn tunnels_in_every_wrapping() {
    let inner = ipv4(17, None, &udp(7, b"inside"));
    let inner_v6 = ipv6(17, &udp(7, b"inside"));
    let framed = ethernet(0x0800, &inner);
    let cases: [(&str, Vec<u8>, Option<u32>); 10] = [
        ("vxlan", ipv4(17, None, &udp(4789, &[&[8, 0, 0, 0, 0, 0, 42, 0][..], &framed].concat())), Some(42)),
        ("vxlan", ipv6(17, &udp(8472, &[&[8, 0, 0, 0, 0, 0, 1, 0][..], &framed].concat())), Some(1)),
        ("geneve", ipv4(17, None, &udp(6081, &[&[0, 0, 8, 0, 0, 0, 7, 0][..], &inner].concat())), Some(7)),
        ("geneve", ipv4(17, None, &udp(6081, &[&[1, 0, 0x65, 0x58, 0, 0, 7, 0, 1, 2, 3, 0][..], &framed].concat())), Some(7)),
        ("gre", ipv4(47, None, &[&[0, 0, 8, 0][..], &inner].concat()), None),
        ("gre", ipv4(47, None, &[&[0xb0, 0, 0x86, 0xdd, 1, 1, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3][..], &inner_v6].concat()), Some(9)),
        ("gre", ipv6(47, &[&[0x20, 0, 0x65, 0x58, 0, 0, 0, 5][..], &framed].concat()), Some(5)),
        ("ipip", ipv4(4, None, &inner), None),
        ("ipip", ipv4(41, None, &inner_v6), None),
        ("ipip", ipv6(4, &inner), None),
    ];
    for (kind, packet, id) in cases {
        let observation = raw(&packet);
        assert_eq!(observation.tunnels.len(), 1, "{kind} {packet:02x?}");
        let tunnel = observation.tunnels[0];
        assert_eq!((tunnel.kind.name(), tunnel.id, tunnel.ttl), (kind, id, 64));
        let Transport::Udp(u) = &ip(&observation).transport else { panic!("{kind}") };
        assert_eq!((u.dst_port, u.payload), (7, Payload { bytes: b"inside", len: 6 }));
        let names: Vec<_> = describe(LinkType::RAW, &packet, packet.len() as u32).iter().map(|l| l.name).collect();
        assert_eq!(names.iter().filter(|n| n.starts_with("Internet Protocol")).count(), 2, "{names:?}");
    }
}

#[test]
fn a_tunnel_port_alone_is_no_tunnel() {
    let inner = ethernet(0x0800, &ipv4(17, None, &udp(7, b"inside")));
    // Reserved bits are nothing at VXLAN's own port (RFC 7348), and tell at the port that is anybody's.
    for (header, at_own) in [
        ([0, 0, 0, 0, 0, 0, 42, 0], 0),
        ([8, 0, 0, 0, 0, 0, 42, 1], 1),
        ([0xff, 0, 0, 0, 0, 0, 42, 0], 1),
        ([8, 0xff, 0, 0, 0, 0, 0, 0], 1),
    ] {
        for (port, tunnels) in [(4789, at_own), (8472, 0)] {
            let packet = ipv4(17, None, &udp(port, &[&header[..], &inner].concat()));
            assert_eq!(raw(&packet).tunnels.len(), tunnels, "{header:02x?} at {port}");
        }
    }
    let no_ip_inside = [&[8, 0, 0, 0, 0, 0, 42, 0][..], &ethernet(0x0800, b"not an IP packet at all")].concat();
    let packet = ipv4(17, None, &udp(4789, &no_ip_inside));
    let observation = raw(&packet);
    assert!(observation.tunnels.is_empty() && matches!(ip(&observation).transport, Transport::Udp(_)));
    // GRE of version 1 is PPTP's.
    assert_eq!(raw(&ipv4(47, None, &[&[0x20, 1, 0x88, 0x0b, 0, 0, 0, 5][..], &inner].concat())).tunnels, []);
}

#[test]
fn pppoe_with_either_length_of_protocol_number() {
    let inner = ipv4(17, None, &udp(7, b"inside"));
    for protocol in [&[0, 0x21][..], &[0x21]] {
        let packet = ethernet(0x8864, &[&[0x11, 0, 0, 1, 0, 60][..], protocol, &inner].concat());
        assert!(matches!(ip(&dissect(LinkType::ETHERNET, &packet, packet.len() as u32)).transport, Transport::Udp(_)), "{protocol:02x?}");
    }
}

#[test]
fn tunnels_are_opened_so_deep_and_no_deeper() {
    let mut packet = ipv4(17, None, &udp(7, b"inside"));
    for _ in 0..6 {
        packet = ipv4(4, None, &packet);
    }
    let observation = raw(&packet);
    assert_eq!(observation.tunnels.len(), hopscope::dissect::MAX_TUNNELS);
    assert_eq!(ip(&observation).protocol, Protocol::Other(4));
}

#[test]
fn lengths_are_the_wires_and_padding_is_none() {
    // Padded to Ethernet's 60 bytes; the snaplen cut the rest of a segment; a segment that was not yet segmented has length 0.
    let mut padded = ethernet(0x0800, &ipv4(17, None, &udp(7, b"ab")));
    padded.resize(60, 0xee);
    let observation = dissect(LinkType::ETHERNET, &padded, 60);
    let Transport::Udp(u) = &ip(&observation).transport else { panic!() };
    assert_eq!(u.payload, Payload { bytes: b"ab", len: 2 });

    let mut tcp = vec![0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0, 0, 0, 0, 0];
    tcp.extend(b"GET ");
    let cut = ipv4(6, Some(1500), &tcp);
    let observation = dissect(LinkType::RAW, &cut, 1500);
    let Transport::Tcp(t) = &ip(&observation).transport else { panic!() };
    assert_eq!((t.payload, ip(&observation).total_len), (Payload { bytes: b"GET ", len: 1460 }, 1500));

    let offloaded = ipv4(6, Some(0), &tcp);
    let observation = dissect(LinkType::RAW, &offloaded, 70_000);
    let Transport::Tcp(t) = &ip(&observation).transport else { panic!() };
    assert_eq!((t.payload.len, ip(&observation).total_len), (69_960, 70_000));

    let observation = dissect(LinkType::RAW, &cut[..26], 1500);
    assert_eq!(ip(&observation).transport, Transport::Cut { ports: Some((12345, 80)) });
    let observation = dissect(LinkType::RAW, &cut[..22], 1500);
    assert_eq!(ip(&observation).transport, Transport::Cut { ports: None });
}

#[test]
fn link_layers_that_no_capture_at_hand_has() {
    let packet = ipv4(17, None, &udp(7, b"x"));
    let has_ip = |link_type, bytes: &[u8]| matches!(dissect(LinkType(link_type), bytes, bytes.len() as u32).net, Net::Ip(_));
    for (link_type, header) in [(0, [2, 0, 0, 0]), (0, [0, 0, 0, 2]), (108, [0, 0, 0, 2])] {
        assert!(has_ip(link_type, &[&header[..], &packet].concat()), "{link_type} {header:?}");
    }
    assert!(has_ip(0, &[&[30, 0, 0, 0][..], &ipv6(17, &udp(7, b"x"))].concat()));
    for raw_type in [12, 14, 101, 228] {
        assert!(has_ip(raw_type, &packet));
    }
    let tagged = ethernet(0x88a8, &[&[0x20, 5, 0x81, 0, 0, 9, 8, 0][..], &packet].concat());
    let observation = dissect(LinkType::ETHERNET, &tagged, tagged.len() as u32);
    assert_eq!((observation.link.vlans.clone(), observation.link.ethertype), (vec![5, 9], Some(0x0800)));
    assert!(has_ip(1, &ethernet(0x8847, &[&[0, 1, 0x10, 64, 0, 2, 1, 64][..], &packet].concat())), "two MPLS labels");
    assert!(has_ip(1, &ethernet(0x8864, &[&[0x11, 0, 0, 1, 0, 9, 0, 0x21][..], &packet].concat())), "PPPoE");
    let snap = [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], &packet].concat();
    assert!(has_ip(1, &ethernet(snap.len() as u16, &snap)), "LLC/SNAP");
}

#[test]
fn ipv6_extension_headers_and_fragments() {
    let datagram = udp(7, b"x");
    let chain = [&[60, 0, 1, 4, 0, 0, 0, 0][..], &[44, 0, 1, 4, 0, 0, 0, 0], &[17, 0, 0, 1, 0, 0, 0, 99], &datagram].concat();
    let first = ipv6(0, &chain);
    let observation = raw(&first);
    let packet = ip(&observation);
    assert_eq!((packet.id, packet.fragment, packet.protocol), (Some(99), Some((0, true)), Protocol::Udp));
    assert!(matches!(packet.transport, Transport::Udp(_)));
    let later = ipv6(44, &[&[17, 0, 0, 8, 0, 0, 0, 99][..], b"rest"].concat());
    let observation = raw(&later);
    assert_eq!(ip(&observation).fragment, Some((8, false)));
    assert_eq!(ip(&observation).transport, Transport::Other(Payload { bytes: b"rest", len: 4 }));
    // Cut inside the chain: known up to there.
    let observation = dissect(LinkType::RAW, &first[..41], first.len() as u32);
    assert_eq!(ip(&observation).transport, Transport::Cut { ports: None });
    // BIG TCP: the length stands in a hop-by-hop option.
    let mut jumbo = ipv6(0, &[&[17, 0, 0xc2, 4, 0, 1, 0x11, 0x70][..], &datagram].concat());
    jumbo[4..6].fill(0);
    let observation = dissect(LinkType::RAW, &jumbo, 70_040);
    assert_eq!(ip(&observation).total_len, 70_040);
}

#[test]
fn icmp_errors_quote_with_and_without_extensions() {
    let quoted = ipv4(17, Some(1500), &udp(7, b""));
    let needed = [&[3, 4, 0, 0, 0, 0, 0x05, 0x14][..], &quoted].concat();
    let packet = ipv4(1, None, &needed);
    let observation = raw(&packet);
    let Transport::Icmp(icmp) = &ip(&observation).transport else { panic!() };
    assert_eq!(icmp.mtu, Some(1300));
    let inner = icmp.quoted.as_ref().unwrap();
    assert_eq!((inner.total_len, inner.protocol), (1500, Protocol::Udp));

    // RFC 4884: 128 bytes of quotation, then extensions that are none of the quoted packet.
    let mut long = quoted.clone();
    long.resize(128, 0);
    let exceeded = [&[11, 0, 0, 0, 0, 32, 0, 0][..], &long, &[0x20, 0, 0, 0, 0, 8, 1, 1, 1, 2, 3, 4]].concat();
    let packet = ipv4(1, None, &exceeded);
    let observation = raw(&packet);
    let Transport::Icmp(icmp) = &ip(&observation).transport else { panic!() };
    let Transport::Udp(u) = &icmp.quoted.as_ref().unwrap().transport else { panic!() };
    assert_eq!(u.payload.bytes.len(), 0, "the quoted datagram states eight bytes");

    // An error about an error is opened once.
    let twice = ipv4(1, None, &[&[3, 1, 0, 0, 0, 0, 0, 0][..], &packet].concat());
    let observation = raw(&twice);
    let Transport::Icmp(outer) = &ip(&observation).transport else { panic!() };
    let Transport::Icmp(inner) = &outer.quoted.as_ref().unwrap().transport else { panic!() };
    assert_eq!(inner.quoted, None);
}

#[test]
fn a_description_names_every_layer_down_to_the_question() {
    let question = [&[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x05mysql\x07default\0", &[0, 1, 0, 1]].concat();
    let packet = ethernet(0x0800, &ipv4(17, None, &udp(53, &question)));
    let layers = describe(LinkType::ETHERNET, &packet, packet.len() as u32);
    let text: Vec<String> = layers
        .iter()
        .map(|layer| format!("{} [{}+{}] {}", layer.name, layer.start, layer.len, layer.fields.last().map_or("", |f| f.value.as_str())))
        .collect();
    assert_eq!(
        text,
        [
            "Ethernet II [0+14] IPv4 (0x0800)",
            "Internet Protocol Version 4 [14+20] 10.0.0.2",
            "User Datagram Protocol [34+8] 0x0000",
            "Domain Name System (query) [42+31] mysql.default A",
        ]
    );
    let json = serde_json::to_value(&layers[1].fields[8]).unwrap();
    assert_eq!(json, serde_json::json!({"name": "Protocol", "value": "UDP (17)", "start": 23, "len": 1}));

    let veth = captures().into_iter().find(|p| p.ends_with("tcpdump-4.99.3/veth.pcap")).unwrap();
    let frames = frames(&veth);
    let last_field = |number: usize| {
        let frame = &frames[number - 1];
        describe(frame.link_type, &frame.bytes, frame.original_len)
            .last()
            .map(|l| (l.name, l.fields.last().unwrap().value.clone()))
            .unwrap()
    };
    assert_eq!(last_field(6), ("Hypertext Transfer Protocol", "GET /hop HTTP/1.1".to_owned()));
    assert_eq!(last_field(8), ("Hypertext Transfer Protocol", "HTTP/1.1 200 OK".to_owned()));
}
