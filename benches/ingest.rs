//! How fast captures are read, dissected and digested, beside pcap-parser with etherparse, which only read the headers, on the
//! same bytes in the same run: the ratio is what counts, for it does not depend on the machine. `cargo bench --bench ingest`.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout, missing_docs)]

use std::time::Instant;

use etherparse::{LaxSlicedPacket, TransportSlice};
use hopscope::capture::CaptureReader;
use hopscope::digest::{CaptureDigest, DigestBuilder, Row};
use pcap_parser::{parse_block_le, parse_pcap_frame};

/// Of each capture; far more than any cache.
const SIZE: usize = 64 << 20;
/// As the browser hands them over.
const CHUNK: usize = 8 << 20;
const RUNS: usize = 15;

fn main() {
    println!("{:22} {:>10} {:>14} {:>14} {:>7}", "capture", "frames", "hopscope", "libraries", "ratio");
    for (name, snaplen, is_pcapng) in [
        ("pcap, full frames", 1514, false),
        ("pcap, snaplen 128", 128, false),
        ("pcapng, full frames", 1514, true),
        ("pcapng, snaplen 128", 128, true),
    ] {
        let bytes = capture(snaplen, is_pcapng);
        // In turn, and the best run of each counts: whatever else the machine does meets both and only ever adds.
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let mut frames = 0;
        for _ in 0..RUNS {
            let start = Instant::now();
            let digest = hopscope(&bytes);
            ours.push(start.elapsed().as_secs_f64());
            let counted = sum(&digest);
            let start = Instant::now();
            let same = libraries(&bytes, is_pcapng);
            theirs.push(start.elapsed().as_secs_f64());
            assert_eq!(counted, same, "both must see the same");
            frames = counted.0;
        }
        let speed = |times: &mut Vec<f64>| {
            times.sort_by(f64::total_cmp);
            frames as f64 / times[0] / 1e6
        };
        let (ours, theirs) = (speed(&mut ours), speed(&mut theirs));
        println!("{name:22} {frames:>10} {ours:>8.1} Mpps {theirs:>9.1} Mpps {:>7.2}", ours / theirs);
    }
}

fn hopscope(bytes: &[u8]) -> CaptureDigest {
    let (mut reader, mut digest) = (CaptureReader::new(), DigestBuilder::new());
    for chunk in bytes.chunks(CHUNK) {
        reader.push(chunk, &mut digest);
    }
    let _ = reader.finish(&mut digest);
    digest.finish()
}

/// Frames, and a sum over what matching needs of each: so neither side can leave anything out.
fn sum(digest: &CaptureDigest) -> (u64, u64) {
    let of_row = |row: Row| {
        let key = &digest.streams[row.stream as usize].key;
        u64::from(key.ttl) + u64::from(row.ip_id) + u64::from(row.seq) + u64::from(key.flow.unwrap().dst_port) + u64::from(row.flags)
    };
    (u64::from(digest.len()), digest.rows().map(of_row).sum())
}

fn libraries(bytes: &[u8], is_pcapng: bool) -> (u64, u64) {
    let (mut frames, mut sum) = (0, 0);
    let mut look = |data: &[u8]| {
        frames += 1;
        let packet = LaxSlicedPacket::from_ethernet(data).unwrap();
        if let Some(etherparse::LaxNetSlice::Ipv4(ip)) = &packet.net {
            sum += u64::from(ip.header().ttl()) + u64::from(ip.header().identification());
        }
        match &packet.transport {
            Some(TransportSlice::Tcp(t)) => {
                sum += u64::from(t.sequence_number()) + u64::from(t.destination_port()) + u64::from(t.slice()[13])
            }
            Some(TransportSlice::Udp(u)) => sum += u64::from(u.destination_port()),
            _ => {}
        }
    };
    if is_pcapng {
        let mut rest = bytes;
        while let Ok((after, block)) = parse_block_le(rest) {
            if let pcap_parser::Block::EnhancedPacket(packet) = block {
                look(&packet.data[..packet.caplen as usize]);
            }
            rest = after;
        }
    } else {
        let mut rest = &bytes[24..];
        while let Ok((after, frame)) = parse_pcap_frame(rest) {
            look(frame.data);
            rest = after;
        }
    }
    (frames, sum)
}

/// Ethernet, IPv4, four of five TCP with timestamps, the rest UDP; 50 000 flows, lengths from 0 to 1400 bytes.
fn capture(snaplen: usize, is_pcapng: bool) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::with_capacity(SIZE + 4096);
    if is_pcapng {
        bytes.extend([0x0a0d_0d0a_u32, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28].iter().flat_map(|w| w.to_le_bytes()));
        bytes.extend([1_u32, 20, 1, 0, 20].iter().flat_map(|w| w.to_le_bytes()));
    } else {
        bytes.extend([0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1].iter().flat_map(|w| w.to_le_bytes()));
    }
    let mut seed = 1_u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as u32
    };
    let mut frame = [0_u8; 1514];
    while bytes.len() < SIZE {
        let flow = random() % 50_000;
        let is_tcp = flow % 5 != 0;
        let payload = (random() % 1401) as usize;
        let header = if is_tcp { 14 + 20 + 32 } else { 14 + 20 + 8 };
        let len = header + payload;
        frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        let total = ((len - 14) as u16).to_be_bytes();
        let id = (random() as u16).to_be_bytes();
        let ip = [0x45, 0, total[0], total[1], id[0], id[1], 0x40, 0, 63, if is_tcp { 6 } else { 17 }, 0, 0];
        frame[14..26].copy_from_slice(&ip);
        frame[26..30].copy_from_slice(&(0x0a00_0000 + flow).to_be_bytes());
        frame[30..34].copy_from_slice(&[10, 99, 0, 1]);
        frame[34..36].copy_from_slice(&(1024 + (flow % 60_000) as u16).to_be_bytes());
        frame[36..38].copy_from_slice(&8080_u16.to_be_bytes());
        if is_tcp {
            frame[38..42].copy_from_slice(&random().to_be_bytes());
            frame[46..48].copy_from_slice(&[0x80, 0x10]);
            frame[54..58].copy_from_slice(&[1, 1, 8, 10]);
            frame[58..62].copy_from_slice(&random().to_be_bytes());
        } else {
            frame[38..40].copy_from_slice(&((8 + payload) as u16).to_be_bytes());
        }
        let captured = len.min(snaplen);
        if is_pcapng {
            let padded = captured.next_multiple_of(4);
            let block = 32 + padded as u32;
            bytes.extend([6, block, 0, 0, 7, captured as u32, len as u32].iter().flat_map(|w| w.to_le_bytes()));
            bytes.extend(&frame[..captured]);
            bytes.resize(bytes.len() + padded - captured, 0);
            bytes.extend(block.to_le_bytes());
        } else {
            bytes.extend([1_700_000_000, 7, captured as u32, len as u32].iter().flat_map(|w: &u32| w.to_le_bytes()));
            bytes.extend(&frame[..captured]);
        }
    }
    bytes
}
