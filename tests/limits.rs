//! Inputs that are made to hurt, through the same door as all others: each ends soon, with a plain message, and what was readable before it is there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::io::Write as _;

use hopscope::ingest::{Data, Ingest, Ingested};
use hopscope::report::Status;

fn read(name: &str, parts: &[&[u8]]) -> Vec<Ingested> {
    let mut ingest = Ingest::new(name);
    for part in parts {
        for chunk in part.chunks(1 << 20) {
            ingest.push(chunk);
        }
    }
    ingest.finish()
}

fn only(inputs: Vec<Ingested>) -> Ingested {
    let [one] = inputs.try_into().unwrap_or_else(|all| panic!("{all:?}"));
    one
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

#[test]
fn json_a_million_deep() {
    for open in ["[", "{\"items\":"] {
        let input = only(read("deep.json", &[open.repeat(1_000_000).as_bytes()]));
        assert_eq!(input.status, Status::Rejected);
        let message = input.message.unwrap();
        assert!(message.contains("more than 127 brackets are open") || message.contains("from none of the commands"), "{message}");
    }
    // In a document that is known, what stands before it is kept.
    let pod = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"b"},"status":{"podIP":"10.0.0.1"}}"#;
    let text = format!("{{\"kind\":\"List\",\"apiVersion\":\"v1\",\"items\":[{pod},{}", "[".repeat(1_000_000));
    let input = only(read("deep.json", &[text.as_bytes()]));
    assert_eq!(input.status, Status::Partial);
    assert!(matches!(input.data, Data::Facts(f) if f.len() == 1));
    assert!(input.message.unwrap().contains("more than 127 brackets are open at line 1"));
}

#[test]
fn archives_in_archives() {
    let mut bytes = b"10.0.0.1 dev eth0 lladdr 02:00:00:00:00:01 REACHABLE\n".to_vec();
    for _ in 0..4 {
        bytes = gzip(&bytes);
    }
    assert_eq!(only(read("four.gz", &[&bytes])).status, Status::Ok);
    let input = only(read("five.gz", &[&gzip(&bytes)]));
    assert_eq!(
        (input.status, input.message.as_deref()),
        (Status::Rejected, Some("archives are nested more than 4 deep: unpack the outer ones"))
    );
}

/// The header of a tar's member without bytes.
fn tar_member(name: &str) -> [u8; 512] {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(b"00000000000");
    header[148..156].copy_from_slice(b"        ");
    header[156] = b'0';
    header[257..263].copy_from_slice(b"ustar\0");
    let sum: u32 = header.iter().map(|octet| u32::from(*octet)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header
}

/// Half a gigabyte of members is looked at up to the limit and no further, and no path of one leads anywhere.
#[test]
fn an_archive_with_a_million_members() {
    let member = tar_member("../../../etc/cron.d/../x");
    let thousand = member.repeat(1000);
    let parts: Vec<&[u8]> = std::iter::repeat_n(thousand.as_slice(), 1000).collect();
    let inputs = read("million.tar", &parts);
    let archive = inputs.iter().find(|i| i.name == "million.tar").unwrap();
    assert_eq!(archive.status, Status::Rejected);
    let message = archive.message.as_deref().unwrap();
    assert!(message.contains("more than 100000 members"), "{message}");
    assert!(inputs.iter().all(|i| !i.name.contains("..")), "{:?}", inputs.iter().find(|i| i.name.contains("..")));
}

/// A zip says of each member that it follows; none of them has a byte, and none is kept.
#[test]
fn a_zip_with_too_many_members() {
    let mut member = b"PK\x03\x04\x14\x00".to_vec();
    member.resize(30, 0);
    member[26] = 4;
    member.extend_from_slice(b"../x");
    let inputs = read("million.zip", &[&member.repeat(200_000)]);
    let archive = inputs.iter().find(|i| i.name == "million.zip").unwrap();
    let message = archive.message.as_deref().unwrap();
    assert!(message.contains("more than 100000 members") && message.contains("unpack it"), "{message}");
    assert!(inputs.len() <= 2 && inputs.iter().all(|i| !i.name.contains("..")), "{} inputs", inputs.len());
}

/// Zeros pack a thousand to one, and what is packed packs again: what comes out of both layers is read as it comes, and kept nowhere.
#[test]
fn a_bomb_in_a_bomb() {
    let zeros = gzip(&vec![0; 32 << 20]);
    let mut inner = Vec::new();
    for _ in 0..4 {
        inner.extend_from_slice(&zeros);
    }
    let bomb = gzip(&inner);
    assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
    let input = only(read("bomb.gz", &[&bomb]));
    assert_eq!(input.status, Status::Rejected);
    assert!(input.message.as_deref().is_some_and(|m| m.len() > 10 && m.len() < 300), "{:?}", input.message);
}

#[test]
fn one_line_without_an_end() {
    let line = vec![b'a'; 8_000_000];
    let input = only(read("line.txt", &[&line]));
    assert_eq!(input.status, Status::Rejected);
    assert!(input.message.unwrap().len() < 200);
    // And around it, lines that are read.
    let row: &[u8] = b"\n10.0.0.1 dev eth0 lladdr 02:00:00:00:00:01 REACHABLE\n";
    let input = only(read("line.txt", &[row, &line[..2_000_000], row]));
    assert!(matches!(input.data, Data::Facts(f) if f.len() == 2));
    assert_eq!(input.message.as_deref(), Some("line 3 is longer than any command prints, and passed over"));
}

#[test]
fn more_statements_than_anybody_has() {
    let text = "10.0.0.1 dev a FAILED\n".repeat(1_000_001);
    let input = only(read("neigh.txt", &[text.as_bytes()]));
    assert_eq!(input.status, Status::Partial);
    assert_eq!(input.message.as_deref(), Some("only its first 1000000 statements are kept, of 1000001: split it into several inputs"));
    assert!(matches!(input.data, Data::Facts(f) if f.len() == 1_000_000));
}

#[test]
fn more_lines_than_anybody_reads() {
    let text = "\n".repeat(11_000_000);
    let input = only(read("neigh.txt", &[b"10.0.0.1 dev a FAILED\n", text.as_bytes()]));
    assert_eq!(input.message.as_deref(), Some("only its first 10000000 lines were read: split it into several inputs"));
    assert!(matches!(input.data, Data::Facts(f) if f.len() == 1));
}

/// A block of pcapng that claims four gigabytes takes no memory for them.
#[test]
fn a_block_that_claims_four_gigabytes() {
    let section =
        [0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 28, 0, 0, 0];
    let interface = [1, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 4, 0, 20, 0, 0, 0];
    let block = [6, 0, 0, 0, 0xfc, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    let input = only(read("big.pcapng", &[&section, &interface, &block, &[7; 5000]]));
    assert_eq!(input.status, Status::Partial, "{:?}", input.message);
    assert!(input.message.unwrap().contains("4294967292 bytes"));
}

/// A pcapng's block with its two lengths.
fn pcapng_block(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let length = (body.len() as u32 + 12).to_le_bytes();
    [&kind.to_le_bytes()[..], &length, &body, &length].concat()
}

/// Comments of a section are kept once, not with each of its thousands of interfaces, and what interfaces say of themselves has an end.
#[test]
fn interfaces_that_say_more_than_anybody_reads() {
    let text = |code: u16, of: u8| [&code.to_le_bytes()[..], &4000_u16.to_le_bytes(), &[of; 4000]].concat();
    let section = [&[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0][..], &[255; 8], &text(1, b'c').repeat(16)].concat();
    let bare = pcapng_block(1, &[1, 0, 0, 0, 0, 0, 4, 0]);
    let wordy = pcapng_block(1, &[&[1, 0, 0, 0, 0, 0, 4, 0][..], &text(2, b'n'), &text(3, b'd'), &text(1, b'c')].concat());
    let bytes = [pcapng_block(0x0a0d_0d0a, &section), bare.repeat(20_000), wordy.repeat(2_000)].concat();
    let input = only(read("wordy.pcapng", &[&bytes]));
    assert_eq!((input.status, input.message.as_deref()), (Status::Ok, None));
    let Data::Capture(digest) = input.data else { panic!() };
    assert_eq!(digest.interfaces.len(), 22_000);
    let texts = |i: &hopscope::capture::InterfaceInfo| -> usize {
        i.comments.iter().chain(&i.name).chain(&i.description).chain(&i.filter).map(String::len).sum()
    };
    let kept: usize = digest.interfaces.iter().map(texts).sum();
    assert!((1 << 20..=4 << 20).contains(&kept), "{kept} bytes");
    assert_eq!(digest.interfaces[0].comments.len(), 16);
}

/// Statistics come again and again for one of very many interfaces: each costs the same.
#[test]
fn statistics_of_thousands_of_interfaces() {
    let section = pcapng_block(0x0a0d_0d0a, &[&[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0][..], &[255; 8]].concat());
    let interfaces = pcapng_block(1, &[1, 0, 0, 0, 0, 0, 4, 0]).repeat(60_000);
    // Of the last one: 5 packets dropped.
    let last = 59_999_u32.to_le_bytes();
    let statistics = pcapng_block(5, &[&last[..], &[0; 8], &[5, 0, 8, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]].concat()).repeat(200_000);
    let input = only(read("many.pcapng", &[&section, &interfaces, &statistics]));
    let Data::Capture(digest) = input.data else { panic!("{:?}", input.message) };
    assert_eq!(digest.interfaces[59_999].dropped, Some(5));
}
