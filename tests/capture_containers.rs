//! Containers: what real packers wrote comes out whole, in chunks of any size; damage, lies and bombs end in a note.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::path::{Path, PathBuf};

use hopscope::container::{Container, ContainerEnd, ContainerKind, Limits, MemberSink};

#[derive(Debug, Default, PartialEq, Eq)]
struct Members(Vec<(String, Vec<u8>, bool)>);

impl MemberSink for Members {
    fn member(&mut self, name: &str) {
        self.0.push((name.to_owned(), Vec::new(), false));
    }
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.last_mut().unwrap().1.extend_from_slice(bytes);
    }
    fn end(&mut self) {
        let last = self.0.last_mut().unwrap();
        assert!(!last.2, "a member ended twice");
        last.2 = true;
    }
}

fn unpack_with(kind: ContainerKind, limits: Limits, bytes: &[u8], chunk: usize) -> (Members, ContainerEnd) {
    let mut members = Members::default();
    let mut container = Container::new(kind, limits);
    for part in bytes.chunks(chunk) {
        container.push(part, &mut members);
    }
    let end = container.finish(&mut members);
    assert!(members.0.iter().all(|(.., has_ended)| *has_ended));
    assert_eq!(end.members, members.0.len() as u64);
    assert_eq!(end.bytes, members.0.iter().map(|m| m.1.len() as u64).sum::<u64>());
    (members, end)
}

fn unpack(kind: ContainerKind, bytes: &[u8]) -> (Members, ContainerEnd) {
    unpack_with(kind, Limits::default(), bytes, usize::MAX)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/captures")
}

fn archive(name: &str) -> Vec<u8> {
    std::fs::read(folder().join("archives").join(name)).unwrap()
}

fn capture(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

fn kind_of(name: &str) -> ContainerKind {
    match name.rsplit('.').next().unwrap() {
        "gz" => ContainerKind::Gzip,
        "zst" => ContainerKind::Zstd,
        "tar" => ContainerKind::Tar,
        "zip" => ContainerKind::Zip,
        other => panic!("unknown extension {other}"),
    }
}

const ARCHIVES: [&str; 9] = [
    "gzip-1.12.pcap.gz",
    "gzip-1.12-two-members.pcap.gz",
    "zstd-1.5.4.pcap.zst",
    "gnu-1.34.tar",
    "gnu-1.34-pax.tar.gz",
    "infozip-3.0.zip",
    "infozip-3.0-stored.zip",
    "infozip-3.0-piped.zip",
    "python-3.11-zipfile.zip",
];

#[test]
fn what_real_packers_wrote_comes_out_whole() {
    let small = capture("tcpdump-4.99.3/vxlan-snaplen-128.pcap");
    let comments = capture("wireshark-4.0.17/editcap-comments.pcapng");
    let long = format!("bundle/{}/comments.pcapng", "l".repeat(120));
    for name in ARCHIVES {
        let (members, end) = unpack(kind_of(name), &archive(name));
        assert_eq!(end.notes, [], "{name}");
        if name.ends_with("tar.gz") {
            let (members, end) = unpack(ContainerKind::Tar, &members.0[0].1);
            assert_eq!(end.notes, []);
            assert_bundle(members, &long, &small, &comments);
        } else if name.contains("bundle")
            || name.contains("gnu")
            || name == "infozip-3.0.zip"
            || name.contains("stored")
            || name.contains("python")
        {
            assert_bundle(members, &long, &small, &comments);
        } else {
            assert_eq!(members.0.len(), 1, "{name}");
            assert_eq!(members.0[0].0, if name.ends_with("zip") { "-" } else { "" });
            assert!(members.0[0].1 == small, "{name}");
        }
    }
}

fn assert_bundle(mut members: Members, long: &str, small: &[u8], comments: &[u8]) {
    members.0.sort();
    let names: Vec<&str> = members.0.iter().map(|m| m.0.as_str()).collect();
    assert_eq!(names, [long, "bundle/small.pcap"]);
    assert!(members.0[0].1 == comments && members.0[1].1 == small);
}

#[test]
fn chunks_of_any_size_give_the_same() {
    for name in ARCHIVES {
        let bytes = archive(name);
        let whole = unpack(kind_of(name), &bytes);
        for chunk in [1, 7, 511, 4096] {
            assert!(unpack_with(kind_of(name), Limits::default(), &bytes, chunk) == whole, "{name} in chunks of {chunk}");
        }
    }
}

#[test]
fn every_truncation_gives_a_beginning_and_a_note() {
    for name in ARCHIVES {
        let bytes = archive(name);
        let (whole, _) = unpack(kind_of(name), &bytes);
        let step = (bytes.len() / 400).max(1);
        let mut unpacked_before = 0;
        for len in (0..bytes.len()).step_by(step) {
            let (members, end) = unpack(kind_of(name), &bytes[..len]);
            assert!(end.bytes >= unpacked_before, "{name} cut to {len}");
            unpacked_before = end.bytes;
            for (part, all) in members.0.iter().zip(&whole.0) {
                assert!(all.1.starts_with(&part.1) && part.0 == all.0, "{name} cut to {len}");
            }
            if end.bytes < whole.0.iter().map(|m| m.1.len() as u64).sum() {
                assert_eq!(end.notes.iter().filter(|n| n.is_loss).count(), 1, "{name} cut to {len}: {:?}", end.notes);
            }
        }
    }
}

#[test]
fn a_flipped_bit_never_passes_unnoticed_in_a_compressed_file() {
    for name in ["gzip-1.12.pcap.gz", "zstd-1.5.4.pcap.zst", "infozip-3.0-piped.zip"] {
        let bytes = archive(name);
        let (whole, _) = unpack(kind_of(name), &bytes);
        for at in (40..bytes.len() - 200).step_by(13) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            let (members, end) = unpack(kind_of(name), &damaged);
            assert!(members == whole || end.notes.iter().any(|n| n.is_loss), "{name} with byte {at} damaged: {:?}", end.notes);
        }
    }
}

#[test]
fn what_follows_gzip_data_is_ignored_and_said() {
    let bytes = archive("gzip-1.12.pcap.gz");
    let (whole, _) = unpack(ContainerKind::Gzip, &bytes);
    let (members, end) = unpack(ContainerKind::Gzip, &[&bytes[..], b"garbage that is no gzip"].concat());
    assert!(members == whole && end.notes.len() == 1 && !end.notes[0].is_loss, "{:?}", end.notes);
    let (members, end) = unpack(ContainerKind::Gzip, &[&bytes[..], &[0; 1000]].concat());
    assert!(members == whole && end.notes.is_empty(), "zeros after gzip data are a tape's padding: {:?}", end.notes);
}

#[test]
fn bombs_stop_at_their_limits() {
    use std::io::Write as _;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(&vec![0; 50 << 20]).unwrap();
    let bomb = packer.finish().unwrap();
    let limits = Limits { total: 1 << 20, ..Limits::default() };
    let (_, end) = unpack_with(ContainerKind::Gzip, limits, &bomb, 512);
    assert!(end.bytes <= 1 << 20);
    assert_eq!(end.notes[0].message, "it unpacks to more than 1048576 bytes; the rest was not read: unpack it, and take what matters");

    let limits = Limits { members: 1, ..Limits::default() };
    let (members, end) = unpack_with(ContainerKind::Tar, limits, &archive("gnu-1.34.tar"), 100);
    assert_eq!(members.0.len(), 1);
    assert_eq!(end.notes[0].message, "it has more than 1 members; the rest was not read: unpack it, and take what matters");
}

/// A tar header as small as it can be.
fn tar_header(name: &str, size: &str) -> [u8; 512] {
    let mut header = [0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..124 + size.len()].copy_from_slice(size.as_bytes());
    header[156] = b'0';
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|octet| u32::from(*octet)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header
}

#[test]
fn hostile_tars() {
    let mut tar = tar_header("../../root/.bashrc", "3").to_vec();
    tar.extend(b"abc");
    tar.resize(1024, 0);
    let (members, end) = unpack(ContainerKind::Tar, &tar);
    assert_eq!(members.0, [("root/.bashrc".to_owned(), b"abc".to_vec(), true)]);
    assert_eq!(end.notes[0].message, "a member's path leads out of the archive; it was read as root/.bashrc");

    // 8 GiB claimed, nothing there: a note, and no memory taken for the claim.
    let (members, end) = unpack(ContainerKind::Tar, &tar_header("big", "77777777777"));
    assert_eq!(members.0.len(), 1);
    assert_eq!(end.notes[0].message, "the tar file is cut: 8589934591 bytes of its member 1 are missing");

    let mut broken = tar_header("x", "0");
    broken[0] = b'y';
    assert_eq!(
        unpack(ContainerKind::Tar, &broken).1.notes[0].message,
        "the tar header at byte 0 is damaged; 0 members before it were read"
    );
}
