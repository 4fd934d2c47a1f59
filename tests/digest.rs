//! The digest's short way held against its whole way and against etherparse, on every capture of the tests and on changed frames.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};
use hopscope::capture::{CaptureReader, FrameSink, InterfaceInfo, LinkType, RawFrame};
use hopscope::digest::{CaptureDigest, DigestBuilder, Rate};
use hopscope::ingest::{Data, Ingested};
use hopscope::model::Protocol;
use hopscope::report::Status;
use proptest::prelude::*;

fn captures() -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "pcap" || e == "pcapng" || e == "cap") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn digest(bytes: &[u8], mut builder: DigestBuilder) -> CaptureDigest {
    let mut reader = CaptureReader::new();
    reader.push(bytes, &mut builder);
    let _ = reader.finish(&mut builder);
    builder.finish()
}

fn assert_same(short: &CaptureDigest, whole: &CaptureDigest, what: &str) {
    for (a, b) in short.rows().zip(whole.rows()) {
        assert_eq!(format!("{a:?}"), format!("{b:?}"), "{what}");
    }
    for (a, b) in short.streams.iter().zip(&whole.streams) {
        assert_eq!(format!("{a:?}"), format!("{b:?}"), "{what}");
    }
    // Everything else too: checkpoints, ARP, errors, counts.
    assert_eq!(format!("{short:?}"), format!("{whole:?}"), "{what}");
}

#[test]
fn the_short_way_gives_the_same_digest_of_every_capture() {
    let captures = captures();
    assert!(captures.len() > 80, "{} captures", captures.len());
    for path in captures {
        let bytes = std::fs::read(&path).unwrap();
        assert_same(&digest(&bytes, DigestBuilder::new()), &digest(&bytes, DigestBuilder::whole_way()), &path.display().to_string());
    }
}

/// A capture thinned out from its beginning, on the way or afterwards: the same rows.
#[test]
fn when_a_capture_is_thinned_out_does_not_show() {
    for path in captures() {
        let bytes = std::fs::read(&path).unwrap();
        let rates = [2, 8, 64, 1 << 12].map(Rate::one_in);
        let mut later = digest(&bytes, DigestBuilder::new());
        for rate in rates {
            later.sample(rate);
            let mut before = DigestBuilder::new();
            before.sample(rate);
            let before = digest(&bytes, before);
            let (mut midway, mut reader) = (DigestBuilder::new(), CaptureReader::new());
            for (n, part) in bytes.chunks(bytes.len() / 3 + 1).enumerate() {
                midway.sample([Rate::ALL, Rate::one_in(2), rate][n]);
                reader.push(part, &mut midway);
            }
            midway.sample(rate);
            let _ = reader.finish(&mut midway);
            let midway = midway.finish();
            assert_same(&later, &before, &format!("{} {rate:?} from its beginning", path.display()));
            assert_same(&later, &midway, &format!("{} {rate:?} on the way", path.display()));
            assert!(later.rows().all(|r| later.row(r.row).is_some_and(|same| same.stream == r.stream && same.time == r.time)));
        }
    }
}

/// The budget of memory: see ARCHITECTURE.md.
#[test]
fn a_packet_of_a_long_conversation_takes_32_bytes_at_most() {
    let frame = FRAMES.with(|frames| frames.iter().find(|f| f.0 == LinkType::ETHERNET && f.1.get(23) == Some(&6)).cloned()).unwrap();
    let mut builder = DigestBuilder::new();
    let packets = 200_000;
    feed(&mut builder, &vec![(1, frame, 1); packets]);
    let digest = Box::new(builder.finish());
    let one = Ingested {
        name: String::new(),
        kind: String::new(),
        bytes: 0,
        hash: 0,
        status: Status::Ok,
        message: None,
        data: Data::Capture(digest),
    };
    let bytes = one.to_bytes();
    assert!(bytes.len() <= packets * 32, "{} bytes a packet", bytes.len() / packets);
    // A buffer is made before they are written.
    assert_eq!((one.size(), bytes.capacity()), (bytes.len(), bytes.len()));
    assert_eq!(Ingested::from_bytes(&bytes).unwrap().to_bytes(), bytes);
    for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        assert!(Ingested::from_bytes(&bytes[..cut]).is_none(), "cut at {cut}");
    }
}

/// Of a million conversations what is known of their headers would take nearly twice as much.
#[test]
fn headers_that_came_over_have_no_room_for_more() {
    let frame = FRAMES.with(|frames| frames.iter().find(|f| f.0 == LinkType::ETHERNET && f.1.get(23) == Some(&6)).cloned()).unwrap();
    let with_port = |port: u16| {
        let mut frame = frame.clone();
        frame.1[34..36].copy_from_slice(&port.to_be_bytes());
        (1, frame, 1)
    };
    let mut builder = DigestBuilder::new();
    feed(&mut builder, &(10_000..22_000).map(with_port).collect::<Vec<_>>());
    let data = Data::Capture(Box::new(builder.finish()));
    let one = Ingested { name: String::new(), kind: String::new(), bytes: 0, hash: 0, status: Status::Ok, message: None, data };
    let Data::Capture(digest) = Ingested::from_bytes(&one.to_bytes()).unwrap().data else { unreachable!("it was a capture") };
    assert_eq!((digest.streams.len(), digest.streams.capacity()), (12_000, 12_000));
}

/// Link type, bytes, length on the wire.
type Frame = (LinkType, Vec<u8>, u32);

#[derive(Default)]
struct Frames(Vec<Option<LinkType>>, Vec<Frame>);

impl FrameSink for Frames {
    fn interface(&mut self, info: &InterfaceInfo) {
        self.0.resize(self.0.len().max(info.index as usize + 1), None);
        self.0[info.index as usize] = info.link_type;
    }
    fn frame(&mut self, f: RawFrame<'_>) {
        if let Some(link_type) = self.0[f.interface as usize] {
            self.1.push((link_type, f.bytes.to_vec(), f.original_len));
        }
    }
    fn name(&mut self, _: IpAddr, _: &str, _: u64) {}
}

fn frames() -> Vec<Frame> {
    let mut all = Vec::new();
    for path in captures() {
        let (mut frames, mut reader) = (Frames::default(), CaptureReader::new());
        reader.push(&std::fs::read(path).unwrap(), &mut frames);
        let _ = reader.finish(&mut frames);
        // The first of each capture: they open connections, look for addresses and leave the nodes.
        all.extend(frames.1.into_iter().take(60));
    }
    all
}

thread_local! {
    static FRAMES: Vec<Frame> = frames();
}

const LINK_TYPES: [u32; 8] = [0, 1, 101, 108, 113, 228, 229, 276];

fn feed(builder: &mut DigestBuilder, frames: &[(usize, Frame, i64)]) {
    for (index, link_type) in LINK_TYPES.iter().enumerate() {
        builder.interface(&InterfaceInfo { index: index as u32, link_type: Some(LinkType(*link_type)), ..InterfaceInfo::default() });
    }
    for (n, (interface, (_, bytes, original_len), time)) in frames.iter().enumerate() {
        builder.frame(RawFrame {
            number: n as u64 + 1,
            interface: *interface as u32,
            time_ns: (*time > 0).then_some(*time),
            bytes,
            original_len: *original_len,
            offset: n as u64 * 100,
            direction: None,
            comment: None,
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// Few frames, often again, a little changed each time: headers that differ in one octet must stay apart, the same must meet.
    #[test]
    fn the_short_way_gives_the_same_digest_of_changed_frames(
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        order in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of((0_usize..80, any::<u8>())), 20_usize..200, 0_i64..9), 1..300),
    ) {
        let all = FRAMES.with(Clone::clone);
        let few: Vec<&Frame> = picks.iter().map(|pick| pick.get(&all)).collect();
        let frames: Vec<(usize, Frame, i64)> = order
            .iter()
            .map(|(pick, change, len, time)| {
                let (link_type, mut bytes, original_len) = (*pick.get(&few)).clone();
                if let Some((at, value)) = change
                    && let Some(octet) = bytes.get_mut(*at)
                {
                    *octet = *value;
                }
                bytes.truncate(*len);
                (LINK_TYPES.iter().position(|l| LinkType(*l) == link_type).unwrap_or(1), (link_type, bytes, original_len), *time)
            })
            .collect();
        let (mut short, mut whole) = (DigestBuilder::new(), DigestBuilder::whole_way());
        feed(&mut short, &frames);
        feed(&mut whole, &frames);
        assert_same(&short.finish(), &whole.finish(), "changed frames");
    }
}

#[test]
fn etherparse_agrees_with_rows_and_their_streams() {
    let frames: Vec<(usize, Frame, i64)> =
        FRAMES.with(Clone::clone).into_iter().filter(|f| f.0 == LinkType::ETHERNET).map(|f| (1, f, 1)).collect();
    // Twice over: what came before goes the short way.
    let twice = [frames.clone(), frames.clone()].concat();
    let mut builder = DigestBuilder::new();
    feed(&mut builder, &twice);
    let digest = builder.finish();
    let mut agreed = 0;
    for (row, (_, (_, bytes, _), _)) in digest.rows().zip(&twice) {
        let key = &digest.streams[row.stream as usize].key;
        let (Some(tuple), true) = (key.flow, key.tunnels.is_empty()) else { continue };
        let Ok(packet) = LaxSlicedPacket::from_ethernet(bytes) else { continue };
        let (src, dst, ttl) = match &packet.net {
            Some(LaxNetSlice::Ipv4(ip)) => {
                (IpAddr::V4(ip.header().source_addr()), IpAddr::V4(ip.header().destination_addr()), ip.header().ttl())
            }
            Some(LaxNetSlice::Ipv6(ip)) => {
                (IpAddr::V6(ip.header().source_addr()), IpAddr::V6(ip.header().destination_addr()), ip.header().hop_limit())
            }
            _ => continue,
        };
        assert_eq!((tuple.src, tuple.dst, key.ttl), (src, dst, ttl));
        let (protocol, ports, seq, flags) = match &packet.transport {
            Some(TransportSlice::Tcp(t)) => (Protocol::Tcp, (t.source_port(), t.destination_port()), t.sequence_number(), t.slice()[13]),
            Some(TransportSlice::Udp(u)) => (Protocol::Udp, (u.source_port(), u.destination_port()), 0, 0),
            _ => continue,
        };
        assert_eq!((tuple.protocol, (tuple.src_port, tuple.dst_port), row.seq, row.flags), (protocol, ports, seq, flags));
        agreed += 1;
    }
    assert!(agreed > 1000, "only {agreed} rows were understood by both");
}
