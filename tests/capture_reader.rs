//! The capture reader against real files, cut files, damaged files and every variant of both formats.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use hopscope::capture::{CaptureEnd, CaptureReader, Checkpoint, FrameSink, InterfaceInfo, LinkType, RawFrame, frame_at};
use hopscope::model::Direction;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Frame {
    number: u64,
    interface: u32,
    time_ns: Option<i64>,
    bytes: Vec<u8>,
    original_len: u32,
    offset: u64,
    direction: Option<Direction>,
    comment: Option<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    interfaces: Vec<InterfaceInfo>,
    frames: Vec<Frame>,
    names: Vec<(IpAddr, String)>,
    checkpoints: Vec<Checkpoint>,
}

impl FrameSink for Seen {
    fn interface(&mut self, info: &InterfaceInfo) {
        match self.interfaces.iter_mut().find(|i| i.index == info.index) {
            Some(known) => *known = info.clone(),
            None => self.interfaces.push(info.clone()),
        }
    }
    fn frame(&mut self, f: RawFrame<'_>) {
        assert!(self.interfaces.iter().any(|i| i.index == f.interface), "frame {} before its interface", f.number);
        self.frames.push(Frame {
            number: f.number,
            interface: f.interface,
            time_ns: f.time_ns,
            bytes: f.bytes.to_vec(),
            original_len: f.original_len,
            offset: f.offset,
            direction: f.direction,
            comment: f.comment.map(str::to_owned),
        });
    }
    fn name(&mut self, ip: IpAddr, name: &str, _: u64) {
        self.names.push((ip, name.to_owned()));
    }
    fn checkpoint(&mut self, checkpoint: Checkpoint) {
        self.checkpoints.push(checkpoint);
    }
}

fn read_in(bytes: &[u8], chunk: usize) -> (Seen, CaptureEnd) {
    let mut seen = Seen::default();
    let mut reader = CaptureReader::new();
    for part in bytes.chunks(chunk) {
        reader.push(part, &mut seen);
    }
    let end = reader.finish(&mut seen);
    assert_eq!(end.frames, seen.frames.len() as u64);
    (seen, end)
}

fn read(bytes: &[u8]) -> (Seen, CaptureEnd) {
    read_in(bytes, usize::MAX)
}

fn messages(end: &CaptureEnd) -> Vec<&str> {
    end.notes.iter().map(|note| note.message.as_str()).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/captures")
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

const FILES: [(&str, u64); 16] = [
    ("tcpdump-4.99.3/veth.pcap", 34),
    ("tcpdump-4.99.3/any-sll.pcap", 17),
    ("tcpdump-4.99.3/any-sll2.pcap", 16),
    ("tcpdump-4.99.3/lo-nanoseconds.pcap", 2),
    ("tcpdump-4.99.3/vxlan-snaplen-128.pcap", 18),
    ("wireshark-4.0.17/dumpcap-two-interfaces.pcapng", 17),
    ("wireshark-4.0.17/editcap-comments.pcapng", 34),
    ("wireshark-4.0.17/editcap-modpcap.modpcap", 34),
    ("wireshark-4.0.17/editcap-nsecpcap.nsecpcap", 34),
    ("wireshark-4.0.17/editcap-nokiapcap.nokiapcap", 34),
    ("wireshark-4.0.17/editcap-pcapng.pcapng", 34),
    ("wireshark-4.0.17/editcap-rh6_1pcap.rh6_1pcap", 34),
    ("wireshark-4.0.17/editcap-snaplen-60.pcap", 34),
    ("wireshark-4.0.17/editcap-suse6_3pcap.suse6_3pcap", 34),
    ("wireshark-4.0.17/mergecap-ethernet-and-sll2.pcapng", 50),
    ("wireshark-4.0.17/tshark-names.pcapng", 34),
];

#[test]
fn every_real_file_is_read_whole() {
    for (name, frames) in FILES {
        let (seen, end) = read(&file(name));
        assert_eq!((end.frames, messages(&end)), (frames, vec![]), "{name}");
        assert!(seen.frames.iter().map(|f| f.number).eq(1..=frames), "{name}");
        for frame in &seen.frames {
            let start = usize::try_from(frame.offset).unwrap();
            assert_eq!(file(name)[start..start + frame.bytes.len()], frame.bytes, "{name}: the offset of frame {}", frame.number);
        }
    }
}

#[test]
fn the_same_frames_in_every_format_are_the_same() {
    let (original, _) = read(&file("tcpdump-4.99.3/veth.pcap"));
    for name in [
        "editcap-comments.pcapng",
        "editcap-modpcap.modpcap",
        "editcap-nokiapcap.nokiapcap",
        "editcap-nsecpcap.nsecpcap",
        "editcap-pcapng.pcapng",
        "editcap-rh6_1pcap.rh6_1pcap",
        "editcap-suse6_3pcap.suse6_3pcap",
    ] {
        let (other, _) = read(&file(&format!("wireshark-4.0.17/{name}")));
        for (a, b) in original.frames.iter().zip(&other.frames) {
            assert_eq!((a.time_ns, &a.bytes, a.original_len), (b.time_ns, &b.bytes, b.original_len), "{name}");
        }
    }
    let (cut, _) = read(&file("wireshark-4.0.17/editcap-snaplen-60.pcap"));
    for (a, b) in original.frames.iter().zip(&cut.frames) {
        assert_eq!((&a.bytes[..a.bytes.len().min(60)], a.original_len), (&b.bytes[..], b.original_len));
    }
}

/// As AIX writes: version 2.2, an interface's type for the link type, nanoseconds.
#[test]
fn a_capture_of_aix_is_read() {
    let (original, _) = read(&file("tcpdump-4.99.3/veth.pcap"));
    let mut aix = vec![0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 6];
    for frame in &original.frames {
        let time = frame.time_ns.unwrap();
        for field in [time / 1_000_000_000, time % 1_000_000_000, frame.bytes.len().try_into().unwrap(), frame.original_len.into()] {
            aix.extend(u32::try_from(field).unwrap().to_be_bytes());
        }
        aix.extend(&frame.bytes);
    }
    let (seen, end) = read(&aix);
    assert_eq!((end.frames, messages(&end)), (34, vec![]));
    assert_eq!(seen.interfaces[0].link_type, original.interfaces[0].link_type);
    for (a, b) in original.frames.iter().zip(&seen.frames) {
        assert_eq!((a.time_ns, &a.bytes, a.original_len), (b.time_ns, &b.bytes, b.original_len));
    }
}

#[test]
fn what_pcapng_says_beside_frames() {
    let (seen, _) = read(&file("wireshark-4.0.17/editcap-comments.pcapng"));
    assert_eq!(seen.interfaces[0].comments, ["whole file"]);
    assert_eq!(seen.frames[0].comment.as_deref(), Some("first comment"));
    assert_eq!(seen.frames[1].comment, None);
    assert_eq!(seen.frames[2].comment.as_deref(), Some("third comment"));

    let (seen, _) = read(&file("wireshark-4.0.17/dumpcap-two-interfaces.pcapng"));
    let names: Vec<_> = seen.interfaces.iter().map(|i| (i.name.as_deref(), i.filter.as_deref(), i.dropped)).collect();
    assert_eq!(names, [(Some("va"), None, Some(0)), (Some("lo"), Some("not arp"), Some(0))]);

    let (seen, _) = read(&file("wireshark-4.0.17/mergecap-ethernet-and-sll2.pcapng"));
    let link_types: Vec<_> = seen.interfaces.iter().map(|i| i.link_type.unwrap()).collect();
    assert_eq!(link_types, [LinkType::ETHERNET, LinkType::LINUX_SLL2]);
    assert_eq!(seen.frames.iter().filter(|f| f.interface == 1).count(), 16);
}

#[test]
fn chunks_of_any_size_give_the_same() {
    for (name, _) in FILES {
        let bytes = file(name);
        let whole = read(&bytes);
        for chunk in [1, 2, 3, 17, 61, 1000] {
            assert!(read_in(&bytes, chunk) == whole, "{name} in chunks of {chunk}");
        }
    }
}

#[test]
fn every_truncation_gives_the_frames_before_it_and_one_note() {
    for (name, _) in FILES {
        let bytes = file(name);
        let (whole, _) = read(&bytes);
        let mut frames_before = 0;
        // Every length of small files; of larger ones those around each record's beginning, where all is decided, and some between.
        let near_a_record = |len: usize| whole.frames.iter().any(|f| (f.offset as usize).abs_diff(len) < 33);
        // How long the headers of patched writers' records are is told by the second of them.
        let patched = ["nokiapcap", "rh6_1pcap", "suse6_3pcap"].iter().any(|format| name.ends_with(format));
        let from = if patched { whole.frames[1].offset as usize } else { 0 };
        for len in (from..bytes.len()).filter(|len| bytes.len() < 4600 || len % 61 == 0 || near_a_record(*len)) {
            let (seen, end) = read(&bytes[..len]);
            assert!(seen.frames.len() >= frames_before, "{name} cut to {len} bytes lost a frame");
            frames_before = seen.frames.len();
            assert!(whole.frames.starts_with(&seen.frames), "{name} cut to {len}");
            let next_frame_lies_whole = seen.frames.len() == whole.frames.len()
                || whole.frames[seen.frames.len()].offset as usize + whole.frames[seen.frames.len()].bytes.len() <= len;
            assert!(end.notes.len() <= 1, "{name} cut to {len}: {:?}", end.notes);
            if !next_frame_lies_whole && end.notes.is_empty() {
                // Cut exactly between two records: nothing can tell.
                let record_starts_here = bytes.len() - len >= 16;
                assert!(record_starts_here);
            }
        }
    }
}

#[test]
fn a_cut_frame_is_named_with_its_place() {
    let bytes = file("tcpdump-4.99.3/veth.pcap");
    let (_, end) = read(&bytes[..bytes.len() - 100]);
    assert_eq!(messages(&end), ["frame 34 (at byte 8742) is cut: 1194 of 1294 bytes are there, 100 are missing"]);
    let (_, end) = read(&bytes[..8750]);
    assert_eq!(messages(&end), ["the file ends inside the header of frame 34 (at byte 8742): 8 of its bytes are there"]);
    let (_, end) = read(&bytes[..7]);
    assert_eq!(messages(&end), ["the file ends inside its header: 7 of 24 bytes are there"]);
    assert_eq!(messages(&read(&[]).1), ["the file is empty"]);
    assert_eq!(messages(&read(b"{\"a\": 1}").1), ["this is not a pcap or pcapng file: it begins with 7b 22 61 22"]);
}

#[test]
fn any_frame_can_be_read_again_from_its_checkpoint() {
    // Long enough for several checkpoints: the pcapng file is repeated, so that sections begin between them.
    let pcapng = file("wireshark-4.0.17/mergecap-ethernet-and-sll2.pcapng").repeat(5);
    let classic = file("tcpdump-4.99.3/veth.pcap").repeat(5);
    for bytes in [pcapng, classic] {
        let (seen, end) = read(&bytes);
        assert_eq!(seen.checkpoints.len(), seen.frames.len().div_ceil(64));
        assert!(seen.checkpoints.len() > 2);
        for frame in &seen.frames {
            let checkpoint = seen.checkpoints.iter().rfind(|c| c.frame <= frame.number).unwrap();
            let again = frame_at(&end.layout, checkpoint, &bytes[checkpoint.offset as usize..], frame.number).unwrap();
            let link_type = seen.interfaces[frame.interface as usize].link_type.unwrap();
            assert_eq!(
                (again.number, again.interface, again.link_type, again.time_ns, again.bytes, again.original_len, again.offset),
                (frame.number, frame.interface, link_type, frame.time_ns, frame.bytes.clone(), frame.original_len, frame.offset)
            );
        }
        let first = seen.checkpoints[0];
        assert_eq!(frame_at(&end.layout, &first, &bytes[first.offset as usize..], u64::MAX), None);
        assert_eq!(frame_at(&end.layout, &Checkpoint { segment: 1000, ..first }, &bytes, 1), None);
    }
}

/// A number in a byte order.
fn u16(big_endian: bool, value: u16) -> Vec<u8> {
    if big_endian { value.to_be_bytes().to_vec() } else { value.to_le_bytes().to_vec() }
}

fn u32(big_endian: bool, value: u32) -> Vec<u8> {
    if big_endian { value.to_be_bytes().to_vec() } else { value.to_le_bytes().to_vec() }
}

fn u64(big_endian: bool, value: u64) -> Vec<u8> {
    if big_endian { value.to_be_bytes().to_vec() } else { value.to_le_bytes().to_vec() }
}

fn classic_header(big_endian: bool, magic: u32, minor: u16, network: u32) -> Vec<u8> {
    let e = big_endian;
    [u32(e, magic), u16(e, 2), u16(e, minor), u32(e, 0), u32(e, 0), u32(e, 65535), u32(e, network)].concat()
}

fn record(big_endian: bool, seconds: u32, fraction: u32, captured: &[u8], original: u32) -> Vec<u8> {
    let e = big_endian;
    [u32(e, seconds), u32(e, fraction), u32(e, captured.len() as u32), u32(e, original), captured.to_vec()].concat()
}

#[test]
fn classic_variants() {
    for e in [false, true] {
        for (magic, extra_header, extra_record, nanos) in [
            (0xa1b2_c3d4_u32, 0, 0, 7_000),
            (0xa1b2_3c4d, 0, 0, 7),
            (0xa1b2_cd34, 0, 8, 7_000),
            (0x1c00_01ac, 4, 0, 7),
            (0x1c00_01ab, 4, 0, 7_000),
        ] {
            let mut bytes = classic_header(e, magic, 4, 0x1400_0001);
            bytes.extend(vec![0; extra_header]);
            for body in [&b"one"[..], b"", b"three"] {
                let mut r = record(e, 1_700_000_000, 7, body, 60);
                r.splice(16..16, vec![0xee; extra_record]);
                bytes.extend(r);
            }
            let (seen, end) = read(&bytes);
            assert_eq!(messages(&end), [""; 0], "{magic:#x}");
            assert_eq!(seen.interfaces[0].link_type, Some(LinkType::ETHERNET), "FCS bits are no part of the link type");
            let frames: Vec<_> = seen.frames.iter().map(|f| (f.time_ns.unwrap(), &f.bytes[..], f.original_len)).collect();
            let time = 1_700_000_000_000_000_000 + nanos;
            assert_eq!(frames, [(time, &b"one"[..], 60), (time, b"", 60), (time, b"three", 60)], "{magic:#x}");
            assert!(read_in(&bytes, 1) == (seen, end));
        }
    }
}

#[test]
fn lengths_in_the_old_order() {
    let old = [classic_header(true, 0xa1b2_c3d4, 2, 1), u32(true, 5), u32(true, 0), u32(true, 60), u32(true, 3), b"abc".to_vec()].concat();
    let (seen, end) = read(&old);
    assert_eq!((seen.frames[0].bytes.as_slice(), seen.frames[0].original_len, end.notes.len()), (&b"abc"[..], 60, 0));
    // 2.3 has both orders; a captured length above the original one is read as it stands in 2.4.
    let between =
        [classic_header(false, 0xa1b2_c3d4, 3, 1), u32(false, 5), u32(false, 0), u32(false, 60), u32(false, 3), b"abc".to_vec()].concat();
    assert_eq!(read(&between).0.frames[0].bytes, b"abc");
    let modern = [classic_header(false, 0xa1b2_c3d4, 4, 1), record(false, 5, 0, b"abcd", 2)].concat();
    let (seen, end) = read(&modern);
    assert_eq!((seen.frames[0].bytes.as_slice(), seen.frames[0].original_len, end.notes.len()), (&b"abcd"[..], 2, 0));
}

#[test]
fn appended_files_are_read_on() {
    let a = file("tcpdump-4.99.3/veth.pcap");
    let b = file("tcpdump-4.99.3/any-sll2.pcap");
    let c = file("wireshark-4.0.17/dumpcap-two-interfaces.pcapng");
    let (seen, end) = read(&[&a[..], &b, &c, &a].concat());
    assert_eq!(end.frames, 34 + 16 + 17 + 34);
    let link_types: Vec<_> = seen.interfaces.iter().map(|i| i.link_type.unwrap().0).collect();
    assert_eq!(link_types, [1, 276, 1, 1, 1]);
    assert!(end.notes.iter().all(|n| !n.is_loss), "{:?}", end.notes);
    assert_eq!(seen.frames.last().unwrap().number, 101);
}

#[test]
fn damage_costs_the_frames_that_it_hits_and_no_more() {
    let bytes = file("tcpdump-4.99.3/veth.pcap");
    let (whole, _) = read(&bytes);
    let header_of_5 = whole.frames[4].offset as usize - 16;
    for chunk in [1, 100, usize::MAX] {
        let mut damaged = bytes.clone();
        damaged[header_of_5 + 8..header_of_5 + 12].copy_from_slice(&0xdead_beef_u32.to_le_bytes());
        let (seen, end) = read_in(&damaged, chunk);
        assert_eq!(end.frames, 33);
        assert_eq!(seen.frames[4].bytes, whole.frames[5].bytes);
        assert_eq!(
            messages(&end),
            ["frame 5 (at byte 486) claims 3735928559 bytes, which cannot be; 82 bytes were skipped and reading went on at byte 568"]
        );
    }
    // The same in pcapng, where a block's length says twice how long it is.
    let bytes = file("wireshark-4.0.17/editcap-pcapng.pcapng");
    let (whole, _) = read(&bytes);
    let block_of_5 = whole.frames[4].offset as usize - 28;
    for chunk in [1, 100, usize::MAX] {
        let mut damaged = bytes.clone();
        damaged[block_of_5 + 4..block_of_5 + 8].copy_from_slice(&u32::MAX.to_le_bytes());
        let (seen, end) = read_in(&damaged, chunk);
        assert_eq!(end.frames, 33, "{:?}", end.notes);
        assert_eq!(seen.frames[4].bytes, whole.frames[5].bytes);
        assert_eq!(end.notes.len(), 1);
    }
}

#[test]
fn zeros_are_no_frames() {
    let bytes = file("tcpdump-4.99.3/veth.pcap");
    let len = bytes.len();
    let padded = [bytes, vec![0; 10 << 20]].concat();
    let (_, end) = read_in(&padded, 1 << 20);
    assert_eq!(end.frames, 34);
    assert_eq!(
        messages(&end),
        [format!(
            "there are only zeros from byte {len} on, as a writer leaves that had no time to finish; no frame was found in the 10485760 bytes up to the file's end"
        )]
    );
    let (_, end) = read_in(&vec![0; 10 << 20], 1 << 20);
    assert_eq!(messages(&end), ["this is not a pcap or pcapng file: it begins with 00 00 00 00"]);
    let pcapng = [file("wireshark-4.0.17/editcap-pcapng.pcapng"), vec![0; 4096]].concat();
    assert_eq!(read(&pcapng).1.frames, 34);
}

#[test]
fn zeros_between_frames_are_told_alike_in_every_chunking() {
    let bytes = file("tcpdump-4.99.3/veth.pcap");
    let (whole, _) = read(&bytes);
    let at = whole.frames[4].offset as usize - 16;
    let mut torn = bytes.clone();
    torn.splice(at..at, vec![0; 126]);
    let whole_of_torn = read(&torn);
    assert_eq!(whole_of_torn.1.frames, 34);
    assert_eq!(
        messages(&whole_of_torn.1),
        ["there are zeros at byte 486 where a frame should begin; 126 bytes were skipped and reading went on at byte 612"]
    );
    for chunk in [1, 30, 98] {
        assert!(read_in(&torn, chunk) == whole_of_torn);
    }
}

fn block(e: bool, kind: u32, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let len = u32(e, body.len() as u32 + 12);
    [u32(e, kind), len.clone(), body, len].concat()
}

fn option(e: bool, code: u16, value: &[u8]) -> Vec<u8> {
    let mut padded = value.to_vec();
    padded.resize(value.len().next_multiple_of(4), 0);
    [u16(e, code), u16(e, value.len() as u16), padded].concat()
}

fn section(e: bool) -> Vec<u8> {
    let body = [u32(e, 0x1a2b_3c4d), u16(e, 1), u16(e, 0), u64(e, u64::MAX), option(e, 1, b"section comment")].concat();
    block(e, 0x0a0d_0d0a, &body)
}

fn interface(e: bool, link_type: u16, snaplen: u32, options: &[u8]) -> Vec<u8> {
    block(e, 1, &[u16(e, link_type), u16(e, 0), u32(e, snaplen), options.to_vec()].concat())
}

fn enhanced(e: bool, interface: u32, time: u64, body: &[u8], original: u32, options: &[u8]) -> Vec<u8> {
    let mut padded = body.to_vec();
    padded.resize(body.len().next_multiple_of(4), 0);
    let head = [u32(e, interface), u32(e, (time >> 32) as u32), u32(e, time as u32), u32(e, body.len() as u32), u32(e, original)].concat();
    block(e, 6, &[head, padded, options.to_vec()].concat())
}

#[test]
fn pcapng_in_both_orders_with_everything_in_it() {
    let mut file = Vec::new();
    for e in [true, false] {
        let described = [
            option(e, 2, b"eth0"),
            option(e, 3, b"the uplink"),
            option(e, 6, &[2, 0, 0, 0, 0, 9]),
            option(e, 9, &[9]),
            option(e, 11, b"\0port 80"),
            option(e, 14, &u64(e, 100)),
            option(e, 1, b"interface comment"),
            option(e, 0, b""),
        ];
        file.extend(section(e));
        file.extend(interface(e, 1, 0, &described.concat()));
        file.extend(interface(e, 101, 4, &option(e, 9, &[0x80 | 10])));
        file.extend(block(e, 0xbad, b"custom, copied never")); // Custom blocks and such: skipped.
        file.extend(block(e, 0x7777, &[1; 5000]));
        let flags = [option(e, 2, &u32(e, 2)), option(e, 1, b"one"), option(e, 1, b"two"), option(e, 0, b"")].concat();
        file.extend(enhanced(e, 0, 5_000_000_007, b"abcde", 60, &flags));
        file.extend(enhanced(e, 1, 1024 * 3, b"", 0, &[]));
        file.extend(block(e, 3, &[u32(e, 9), b"simple".to_vec()].concat()));
        // The obsolete block: interface 1, one drop.
        file.extend(block(
            e,
            2,
            &[u16(e, 1), u16(e, 1), u32(e, 0), u32(e, 512), u32(e, 2), u32(e, 2), b"ob".to_vec(), vec![0, 0]].concat(),
        ));
        let record = |kind, value: &[u8]| {
            let mut padded = value.to_vec();
            padded.resize(value.len().next_multiple_of(4), 0);
            [u16(e, kind), u16(e, value.len() as u16), padded].concat()
        };
        let v6 = [&[0xfd; 16][..], b"six\0"].concat();
        file.extend(block(e, 4, &[record(1, b"\x0a\x00\x00\x01pod-a\0alias\0"), record(2, &v6), record(0, b"")].concat()));
        file.extend(block(e, 5, &[u32(e, 0), u64(e, 0), option(e, 5, &u64(e, 3)), option(e, 7, &u64(e, 4))].concat()));
    }
    let (seen, end) = read(&file);
    assert_eq!(messages(&end), [""; 0]);
    for section in 0..2 {
        let base = section * 2;
        let info = &seen.interfaces[base];
        assert_eq!(info.index as usize, base);
        assert_eq!((info.name.as_deref(), info.description.as_deref()), (Some("eth0"), Some("the uplink")));
        assert_eq!((info.mac.unwrap().to_string().as_str(), info.filter.as_deref()), ("02:00:00:00:00:09", Some("port 80")));
        assert_eq!((info.dropped, &info.comments[..]), (Some(7), &["section comment".to_owned(), "interface comment".to_owned()][..]));
        assert_eq!(seen.interfaces[base + 1].link_type, Some(LinkType::RAW));
        let frames: Vec<_> = seen.frames[section * 4..section * 4 + 4].iter().collect();
        let base = base as u32;
        let of = |f: &Frame| (f.interface - base, f.time_ns, f.bytes.clone(), f.original_len);
        assert_eq!(of(frames[0]), (0, Some(105_000_000_007), b"abcde".to_vec(), 60));
        assert_eq!((frames[0].direction, frames[0].comment.as_deref()), (Some(Direction::Out), Some("one\ntwo")));
        assert_eq!(of(frames[1]), (1, Some(3_000_000_000), vec![], 0));
        assert_eq!(of(frames[2]), (0, None, b"simple\0\0".to_vec(), 9), "the block has room for eight of nine bytes");
        assert_eq!(of(frames[3]), (1, Some(500_000_000), b"ob".to_vec(), 2));
    }
    let names: Vec<_> = seen.names.iter().map(|(ip, name)| format!("{ip} {name}")).collect();
    let one = ["10.0.0.1 pod-a", "10.0.0.1 alias", "fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd six"];
    assert_eq!(names, [one, one].concat());
    assert!(read_in(&file, 1) == (seen, end));
}

#[test]
fn frames_that_contradict_their_block_or_section_are_left_out_and_said() {
    let e = false;
    let mut lie = enhanced(e, 0, 0, b"abcd", 4, &[]);
    lie[20..24].copy_from_slice(&u32(e, 4000));
    let file = [
        section(e),
        interface(e, 1, 0, &[]),
        lie,
        enhanced(e, 7, 0, b"abcd", 4, &[]),
        enhanced(e, 7, 0, b"abcd", 4, &[]),
        enhanced(e, 0, u64::MAX, b"abcd", 4, &[]),
        enhanced(e, 0, 1, b"abcd", 4, &[]),
    ]
    .concat();
    let (seen, end) = read(&file);
    let numbers: Vec<_> = seen.frames.iter().map(|f| (f.number, f.time_ns)).collect();
    assert_eq!(numbers, [(4, None), (5, Some(1_000))], "numbers count what Wireshark would count");
    assert_eq!(
        messages(&end),
        [
            "frame 1 (at byte 68) claims more bytes than its block has room for, and was left out",
            "frame 2 (at byte 104) names an interface that its section does not describe, and was left out; so are 1 more",
            "frame 4 (at byte 176) has a time outside of the years 1677 to 2262, and was read without one",
        ]
    );
}

#[test]
fn claims_of_length_take_no_memory_and_end_in_a_note() {
    for e in [false, true] {
        for claimed in [1 << 24, 0x7fff_ffff, u32::MAX] {
            let classic =
                [classic_header(e, 0xa1b2_c3d4, 4, 1), u32(e, 1), u32(e, 0), u32(e, claimed), u32(e, claimed), vec![1; 100]].concat();
            let (_, end) = read(&classic);
            assert_eq!((end.frames, end.notes.len()), (0, 1), "{:?}", end.notes);
            let ng = [section(e), interface(e, 1, 0, &[]), u32(e, 6), u32(e, claimed & !3), vec![1; 100]].concat();
            let (_, end) = read(&ng);
            assert_eq!((end.frames, end.notes.len()), (0, 1), "{:?}", end.notes);
        }
        // Sections that never end and interfaces without number.
        let many = [section(e), interface(e, 1, 0, &[]).repeat(70_000)].concat();
        let (_, end) = read(&many);
        assert!(messages(&end)[0].starts_with("more than 65536 sections or interfaces"), "{:?}", end.notes);
    }
}
