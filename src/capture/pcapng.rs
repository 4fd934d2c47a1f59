//! pcapng (draft-ietf-opsawg-pcapng): its blocks, one whole block at a time.
//! Knows what stands in a block; must not know how blocks arrived.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pcap_parser::{
    PcapNGOption, parse_interfacedescriptionblock_be, parse_interfacedescriptionblock_le, parse_interfacestatisticsblock_be,
    parse_interfacestatisticsblock_le, parse_sectionheaderblock,
};

use super::checkpoint::Interface;
use super::options::{Clock, Options, direction, text, u16_at, u32_at, u64_at};
use super::{InterfaceInfo, LinkType, MAX_FRAME};
use crate::model::{Direction, Mac};

pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
pub(super) const INTERFACE_DESCRIPTION: u32 = 1;
pub(super) const PACKET: u32 = 2;
pub(super) const SIMPLE_PACKET: u32 = 3;
pub(super) const NAME_RESOLUTION: u32 = 4;
pub(super) const INTERFACE_STATISTICS: u32 = 5;
pub(super) const ENHANCED_PACKET: u32 = 6;

/// Type and length in front, length again behind.
pub(super) const BLOCK_FRAME: u32 = 12;
/// A longer block is damage; Wireshark's limit too.
pub(super) const MAX_BLOCK: u32 = MAX_FRAME + (64 << 10);
/// Blocks that describe are kept whole while they are read, and longer ones than this exist only in hostile files.
pub(super) const MAX_DESCRIPTION: u32 = 1 << 20;
const MAX_COMMENTS: usize = 16;

/// What a section header says about the blocks after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Section {
    pub(super) big_endian: bool,
    /// Index of the section's first interface among all of the file.
    pub(super) first_interface: u32,
}

/// Byte order of the section whose header begins like this; `None` if none does.
pub(super) fn section_order(bytes: &[u8]) -> Option<bool> {
    if u32_at(bytes, 0, false)? != SECTION_HEADER {
        return None;
    }
    match u32_at(bytes, 8, false)? {
        0x1a2b_3c4d => Some(false),
        0x4d3c_2b1a => Some(true),
        _ => None,
    }
}

/// Comments of a section header.
pub(super) fn section_comments(block: &[u8]) -> Vec<String> {
    let options = parse_sectionheaderblock(block).map(|(_, b)| b.options).unwrap_or_default();
    comments(&options).collect()
}

fn comments<'a>(options: &'a [PcapNGOption<'a>]) -> impl Iterator<Item = String> + 'a {
    values(options).filter(|(code, _)| *code == 1).take(MAX_COMMENTS).map(|(_, value)| text(value))
}

fn values<'a>(options: &'a [PcapNGOption<'a>]) -> impl Iterator<Item = (u16, &'a [u8])> + 'a {
    options.iter().map_while(|o| (o.code.0 != 0).then_some(o)).filter_map(|o| Some((o.code.0, o.as_bytes().ok()?)))
}

/// An interface description. `None`: the block contradicts itself.
pub(super) fn interface(block: &[u8], big_endian: bool, index: u32) -> Option<Interface> {
    let parse = if big_endian { parse_interfacedescriptionblock_be } else { parse_interfacedescriptionblock_le };
    let (_, description) = parse(block).ok()?;
    let mut info = InterfaceInfo {
        index,
        link_type: u32::try_from(description.linktype.0).ok().map(LinkType),
        snaplen: description.snaplen,
        comments: comments(&description.options).collect(),
        ..InterfaceInfo::default()
    };
    let (mut resolution, mut offset_seconds) = (6, 0);
    for (code, value) in values(&description.options) {
        match code {
            2 => info.name = Some(text(value)),
            3 => info.description = Some(text(value)),
            6 => info.mac = value.try_into().ok().map(Mac),
            9 => resolution = value.first().copied().unwrap_or(resolution),
            // The first octet says what the filter is: 0 is libpcap's text, 1 a BPF program.
            11 => info.filter = value.split_first().and_then(|(kind, filter)| (*kind == 0).then(|| text(filter))),
            // pcap-parser reads numbers in options as little-endian whatever the section's order is.
            14 => {
                #[expect(clippy::cast_possible_wrap, reason = "the field is signed")]
                let seconds = u64_at(value, 0, big_endian).unwrap_or(0) as i64;
                offset_seconds = seconds;
            }
            _ => {}
        }
    }
    Some(Interface { info, clock: Clock::new(resolution, offset_seconds) })
}

/// Interface (within the section) and how many packets it lost, as the statistics say.
pub(super) fn statistics(block: &[u8], big_endian: bool) -> Option<(u32, Option<u64>)> {
    let parse = if big_endian { parse_interfacestatisticsblock_be } else { parse_interfacestatisticsblock_le };
    let (_, statistics) = parse(block).ok()?;
    let dropped = values(&statistics.options)
        .filter(|(code, _)| matches!(code, 5 | 7))
        .filter_map(|(_, value)| u64_at(value, 0, big_endian))
        .reduce(u64::saturating_add);
    Some((statistics.if_id, dropped))
}

/// Calls back with each address and name of a name resolution block; pcap-parser drops the whole block where its end mark is missing.
pub(super) fn names(block: &[u8], big_endian: bool, mut found: impl FnMut(IpAddr, &str)) {
    let mut rest = body(block);
    while let (Some(kind), Some(len)) = (u16_at(rest, 0, big_endian), u16_at(rest, 2, big_endian)) {
        let Some(record) = rest.get(4..4 + usize::from(len)) else { return };
        let split = match kind {
            1 => record.split_first_chunk::<4>().map(|(ip, names)| (IpAddr::from(Ipv4Addr::from(*ip)), names)),
            2 => record.split_first_chunk::<16>().map(|(ip, names)| (IpAddr::from(Ipv6Addr::from(*ip)), names)),
            0 => return,
            _ => None,
        };
        if let Some((ip, names)) = split {
            for name in names.split(|octet| *octet == 0).filter_map(|name| std::str::from_utf8(name).ok()) {
                if !name.is_empty() {
                    found(ip, name);
                }
            }
        }
        rest = rest.get(4 + usize::from(len).next_multiple_of(4)..).unwrap_or_default();
    }
}

/// A packet block of any of the three kinds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    /// Within the section.
    pub(super) interface: u32,
    pub(super) time: Option<u64>,
    pub(super) bytes: &'a [u8],
    pub(super) original_len: u32,
    /// Where `bytes` begin in the block.
    pub(super) start: u64,
    pub(super) direction: Option<Direction>,
    pub(super) comment: Option<std::borrow::Cow<'a, str>>,
}

/// Why a packet block gave no frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overlong {
    pub(super) claimed: u32,
    pub(super) room: usize,
}

pub(super) fn enhanced_packet(block: &[u8], big_endian: bool) -> Result<Packet<'_>, Overlong> {
    let field = |at| u32_at(block, at, big_endian).unwrap_or(0);
    let interface = field(8);
    packet(block, big_endian, interface)
}

/// The obsolete packet block: as the enhanced one, with 16 bits of interface and 16 of drops.
pub(super) fn obsolete_packet(block: &[u8], big_endian: bool) -> Result<Packet<'_>, Overlong> {
    let interface = u16_at(block, 8, big_endian).unwrap_or(0);
    packet(block, big_endian, u32::from(interface))
}

fn packet(block: &[u8], big_endian: bool, interface: u32) -> Result<Packet<'_>, Overlong> {
    const START: usize = 28;
    let field = |at| u32_at(block, at, big_endian).unwrap_or(0);
    let time = u64::from(field(12)) << 32 | u64::from(field(16));
    let claimed = field(20);
    let room = body_end(block).get(START..).unwrap_or_default();
    let bytes = room.get(..claimed as usize).ok_or(Overlong { claimed, room: room.len() })?;
    let mut packet =
        Packet { interface, time: Some(time), bytes, original_len: field(24), start: START as u64, direction: None, comment: None };
    let options = room.get((claimed as usize).next_multiple_of(4)..).unwrap_or_default();
    if !options.is_empty() {
        for (code, value) in Options::new(options, big_endian) {
            match code {
                1 => packet.comment = Some(append(packet.comment.take(), value)),
                2 => packet.direction = u32_at(value, 0, big_endian).and_then(direction),
                _ => {}
            }
        }
    }
    Ok(packet)
}

fn append<'a>(before: Option<std::borrow::Cow<'a, str>>, comment: &'a [u8]) -> std::borrow::Cow<'a, str> {
    let comment = String::from_utf8_lossy(comment);
    match before {
        None => comment,
        Some(before) => format!("{before}\n{comment}").into(),
    }
}

/// A simple packet block has no captured length: it is the least of the original one, the interface's snaplen and the room.
pub(super) fn simple_packet(block: &[u8], big_endian: bool, snaplen: u32) -> Packet<'_> {
    const START: usize = 12;
    let original_len = u32_at(block, 8, big_endian).unwrap_or(0);
    let captured = if snaplen == 0 { original_len } else { original_len.min(snaplen) };
    let room = body_end(block).get(START..).unwrap_or_default();
    let bytes = room.get(..captured as usize).unwrap_or(room);
    Packet { interface: 0, time: None, bytes, original_len, start: START as u64, direction: None, comment: None }
}

/// The shortest block of a type that is read.
pub(super) fn shortest(kind: u32) -> u32 {
    match kind {
        SECTION_HEADER => 28,
        INTERFACE_DESCRIPTION => 20,
        PACKET | ENHANCED_PACKET => 32,
        SIMPLE_PACKET => 16,
        INTERFACE_STATISTICS => 24,
        _ => BLOCK_FRAME,
    }
}

fn body(block: &[u8]) -> &[u8] {
    body_end(block).get(8..).unwrap_or_default()
}

/// The block without its trailing length.
fn body_end(block: &[u8]) -> &[u8] {
    block.get(..block.len().saturating_sub(4)).unwrap_or_default()
}
