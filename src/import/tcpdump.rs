//! What tcpdump prints → frames, as far as the printed lines tell them: people paste those, not captures.
//! Knows tcpdump's wording (4.9 to 4.99, any of `-n -e -v -S -x -t…`); must not know what a packet means.
//!
//! Each printed packet becomes a frame whose headers hold what was printed. What was not printed is not there: without `-e` no
//! MAC addresses, without `-v` no TTL (0 stands for "not told", which no packet on a wire has) and no IP id. Payload stands for itself only under
//! `-x`; else it is filled from the printed words, so that one packet printed twice is one packet. With `-x` the frame is exact.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::capture::{FrameSink, InterfaceInfo, LinkType, RawFrame};
use crate::model::{Direction, Mac, Nanos, Note};

const SECOND: Nanos = 1_000_000_000;
const DAY: Nanos = 86_400 * SECOND;

/// Whether a line is a packet's first: a time or a link header, and then a protocol.
pub(crate) fn is_packet_line(line: &str) -> bool {
    let (time, rest) = time(line);
    head(rest).is_some_and(|head| time.is_some() || head.link != Link::None || matches!(head.network, Network::Ip(_) | Network::Arp(_)))
}

/// Reads every packet of a text and hands it to `sink`, in the order printed; a frame's number is the packet's.
pub fn frames(text: &str, sink: &mut dyn FrameSink) -> Vec<Note> {
    let mut reader = Reader::new(sink);
    let indent = super::indent(text);
    reader.are_steps = are_steps(text);
    let mut open: Option<Open<'_>> = None;
    for (number, line) in (1_u64..).zip(text.lines()) {
        let line = line.get(indent..).unwrap_or_default().trim_end();
        // Printed payload, of HTTP under `-v`, has empty lines.
        if line.is_empty() {
            continue;
        }
        if let Some(packet) = &mut open
            && line.starts_with([' ', '\t'])
            && time(line.trim_start()).0.is_none()
        {
            packet.continued(line);
            continue;
        }
        if let Some(packet) = open.take() {
            reader.packet(packet);
        }
        let (at, rest) = time(line);
        match head(rest) {
            // The inner packet of a tunnel begins its own line, without a time.
            Some(head) if at.is_some() || !reader.has_times => {
                reader.has_times |= at.is_some();
                open = Some(Open { line: number, time: at, head, more: String::new(), hex: Vec::new() });
            }
            _ => reader.other(line),
        }
    }
    if let Some(packet) = open.take() {
        reader.packet(packet);
    }
    reader.finish()
}

/// Whether times are each counted from the packet before (`-ttt`): the first is nothing, and one in eight at least is less than the one before
/// it. Counted from the first packet (`-ttttt`) they grow, but where a capture of several CPUs is out of order here and there.
fn are_steps(text: &str) -> bool {
    const ENOUGH: usize = 1000;
    let of_day = |line: &str| match time(line) {
        (Some(Time::Day(of_day)), rest) => head(rest).is_some().then_some(of_day),
        _ => None,
    };
    let times: Vec<Nanos> = text.lines().filter_map(of_day).take(ENOUGH).collect();
    let less = times.windows(2).filter(|pair| matches!(pair, [a, b] if b < a)).count();
    times.first() == Some(&0) && less > 0 && less * 8 >= times.len()
}

/// First and last line of the packet that is frame `number`.
pub(crate) fn lines_of(text: &str, number: u64) -> Option<(u64, u64)> {
    let indent = super::indent(text);
    let mut has_times = false;
    let mut count = 0;
    let mut found: Option<(u64, u64)> = None;
    // As `frames` tells them apart.
    for (at, line) in (1_u64..).zip(text.lines()) {
        let line = line.get(indent..).unwrap_or_default().trim_end();
        if line.is_empty() {
            continue;
        }
        let (time, rest) = time(line);
        if count > 0 && line.starts_with([' ', '\t']) && time.is_none() {
            if let Some((_, last)) = found.as_mut().filter(|_| count == number) {
                *last = at;
            }
            continue;
        }
        if count == number && found.is_some() {
            return found;
        }
        if head(rest).is_some() && (time.is_some() || !has_times) {
            has_times |= time.is_some();
            count += 1;
            if count == number {
                found = Some((at, at));
            }
        }
    }
    found
}

/// A printed time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    /// Since the epoch (`-tt`, `-tttt`).
    Date(Nanos),
    /// Since midnight.
    Day(Nanos),
}

/// The time that a line begins with, and the rest.
fn time(line: &str) -> (Option<Time>, &str) {
    let line = line.trim_start();
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    if let Some(of_day) = clock(first) {
        return (Some(Time::Day(of_day)), rest);
    }
    if let Some(days) = super::date(first)
        && let Some((second, rest)) = rest.split_once(' ')
        && let Some(of_day) = clock(second)
    {
        return (Some(Time::Date(days * DAY + of_day)), rest);
    }
    if let Some((seconds, fraction)) = first.split_once('.')
        && seconds.len() >= 9
        && let (Ok(seconds), Some(fraction)) = (seconds.parse::<i64>(), fraction_of_second(fraction))
        && let Some(nanos) = seconds.checked_mul(SECOND)
    {
        return (Some(Time::Date(nanos.saturating_add(fraction))), rest);
    }
    (None, line)
}

/// `22:42:24.975451`.
fn clock(text: &str) -> Option<Nanos> {
    let (whole, fraction) = text.split_once('.')?;
    let mut parts = whole.split(':');
    let mut part = |most: i64| parts.next().filter(|p| p.len() == 2)?.parse::<i64>().ok().filter(|n| (0..most).contains(n));
    let (hours, minutes, seconds) = (part(24)?, part(60)?, part(61)?);
    Some(((hours * 60 + minutes) * 60 + seconds) * SECOND + fraction_of_second(fraction)?)
}

fn fraction_of_second(text: &str) -> Option<Nanos> {
    let is_fraction = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if is_fraction { format!("{text:0<9}").parse().ok() } else { None }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    None,
    Ethernet {
        src: Mac,
        dst: Mac,
    },
    /// `-i any`: the sender's address alone.
    Cooked {
        src: Mac,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network<'a> {
    /// Both versions: the addresses tell.
    Ip(&'a str),
    Arp(&'a str),
    Other,
}

/// What stands before the network layer, and that layer's text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Head<'a> {
    interface: Option<&'a str>,
    direction: Option<Direction>,
    link: Link,
    vlans: Vec<u16>,
    frame_len: Option<u32>,
    network: Network<'a>,
}

/// `None`: no packet's line.
fn head(text: &str) -> Option<Head<'_>> {
    let mut head = Head { interface: None, direction: None, link: Link::None, vlans: Vec::new(), frame_len: None, network: Network::Other };
    let mut rest = text.trim_start();
    // `eth0  In  …` since 4.99, ` In …` before.
    let mut words = rest.split_whitespace();
    let (first, second) = (words.next()?, words.next().unwrap_or_default());
    if let Some(direction) = direction(first) {
        head.direction = direction;
        rest = after_word(rest, first);
    } else if let Some(direction) = direction(second).filter(|_| !first.contains(':') && first != "IP" && first != "IP6") {
        (head.interface, head.direction) = (Some(first), direction);
        rest = after_word(after_word(rest, first), second);
    }
    if let Some(after) = rest.strip_prefix("ifindex ") {
        rest = after_word(after, after.split_whitespace().next()?);
    }
    let word = rest.split([' ', ',']).next()?;
    if let Ok(src) = word.parse::<Mac>() {
        rest = without_maker(after_word(rest, word));
        if let Some(after) = rest.strip_prefix("> ") {
            let word = if after.starts_with("Broadcast") { "Broadcast" } else { after.split([' ', ',']).next()? };
            let dst = if word == "Broadcast" { Mac([0xff; 6]) } else { word.parse().ok()? };
            head.link = Link::Ethernet { src, dst };
            rest = without_maker(after_word(after, word)).strip_prefix(", ")?;
        } else {
            head.link = Link::Cooked { src };
        }
        rest = rest.strip_prefix("ethertype ")?;
        let (ethertype, after) = rest.split_once(", ")?;
        let (length, mut after) = after.strip_prefix("length ")?.split_once(": ")?;
        head.frame_len = Some(length.parse().ok()?);
        let mut ethertype = ethertype;
        while ethertype.starts_with("802.1Q") || ethertype.starts_with("802.1ad") {
            let (tag, inner) = after.split_once("ethertype ")?;
            head.vlans.push(tag.strip_prefix("vlan ")?.split(',').next()?.trim().parse().ok()?);
            let (kind, inner) = inner.split_once([',', ':'])?;
            ethertype = kind;
            after = inner.trim_start();
        }
        head.network = match ethertype.split(' ').next()? {
            "IPv4" | "IPv6" => Network::Ip(after),
            "ARP" => Network::Arp(after),
            _ => Network::Other,
        };
        return Some(head);
    }
    // `IP Family Policy: …` is kubectl's.
    let ip = rest.strip_prefix("IP ").or_else(|| rest.strip_prefix("IP6 "));
    head.network = if let Some(after) = ip.filter(|t| t.starts_with('(') || t.contains(" > ")) {
        Network::Ip(after)
    } else if let Some(after) = rest.strip_prefix("ARP, ") {
        Network::Arp(after)
    } else if head.direction.is_some() || ["STP ", "LLDP", "CDPv", "IS-IS", "802.1"].iter().any(|p| rest.starts_with(p)) {
        Network::Other
    } else {
        return None;
    };
    Some(head)
}

/// `In`, `Out`; broadcast and multicast came in, and a packet for another host tells nothing.
fn direction(word: &str) -> Option<Option<Direction>> {
    match word {
        "In" | "B" | "M" => Some(Some(Direction::In)),
        "Out" => Some(Some(Direction::Out)),
        "P" => Some(None),
        _ => None,
    }
}

fn after_word<'a>(text: &'a str, word: &str) -> &'a str {
    text.strip_prefix(word).unwrap_or(text).trim_start_matches(' ')
}

/// Without `(oui Unknown)`, which stands after an address where names are looked up.
fn without_maker(text: &str) -> &str {
    if text.starts_with("(oui ") { text.split_once(')').map_or(text, |(_, rest)| rest.trim_start_matches(' ')) } else { text }
}

/// A packet whose further lines are still to come.
struct Open<'a> {
    line: u64,
    time: Option<Time>,
    head: Head<'a>,
    /// What stands on indented lines: under `-v`, the addresses and all after them.
    more: String,
    hex: Vec<u8>,
}

impl Open<'_> {
    fn continued(&mut self, line: &str) {
        let text = line.trim_start();
        if let Some((offset, dump)) = text.split_once(':')
            && offset.starts_with("0x")
            && usize::from_str_radix(offset.trim_start_matches("0x"), 16) == Ok(self.hex.len())
        {
            // Two spaces end the octets under `-X`; there are never more than sixteen.
            let dump = dump.trim_start();
            let dump = dump.split("  ").next().unwrap_or(dump);
            let digits: Vec<u8> = dump.bytes().filter(u8::is_ascii_hexdigit).take(32).collect();
            for pair in digits.chunks_exact(2) {
                self.hex.extend(std::str::from_utf8(pair).ok().and_then(|p| u8::from_str_radix(p, 16).ok()));
            }
        } else {
            self.more.push(' ');
            self.more.push_str(text);
        }
    }
}

/// What tcpdump remembers of a TCP connection to print relative numbers, and we to undo it.
#[derive(Clone, Copy, Default)]
struct Numbers {
    /// What is subtracted, for the lower and the higher end; `None`: not known.
    base: [Option<u32>; 2],
    next: [Option<u32>; 2],
}

type End = (IpAddr, u16);

struct Reader<'s> {
    sink: &'s mut dyn FrameSink,
    interfaces: Vec<(Option<String>, LinkType)>,
    /// From `listening on eth0`, or the command itself.
    listening: Option<String>,
    /// Interfaces before it belong to an earlier command.
    since: usize,
    connections: FxHashMap<(End, End), Numbers>,
    frames: u64,
    understood: u64,
    has_times: bool,
    /// Times count from the packet before, and `day` is the last one.
    are_steps: bool,
    is_from_file: bool,
    day: Nanos,
    last_of_day: Nanos,
    is_dateless: bool,
    first_odd: Option<u64>,
    odd: u64,
}

impl<'s> Reader<'s> {
    fn new(sink: &'s mut dyn FrameSink) -> Self {
        Self {
            sink,
            interfaces: Vec::new(),
            listening: None,
            since: 0,
            connections: FxHashMap::default(),
            frames: 0,
            understood: 0,
            has_times: false,
            are_steps: false,
            is_from_file: false,
            day: 0,
            last_of_day: 0,
            is_dateless: false,
            first_odd: None,
            odd: 0,
        }
    }

    /// A line that is no packet's: perhaps the command, or what it says when it begins.
    fn other(&mut self, line: &str) {
        // Of a file, the printed interfaces are those of the host that reads it.
        self.is_from_file |= line.contains("reading from file ");
        let name = match line.split_once("listening on ") {
            Some((_, after)) => after.split([',', ' ']).next(),
            None if line.contains("tcpdump ") => {
                let mut words = line.split_whitespace();
                words.find(|w| matches!(*w, "-i" | "--interface") || (w.starts_with('-') && !w.starts_with("--") && w.ends_with('i')));
                words.next()
            }
            None => None,
        };
        let Some(name) = name.filter(|n| !n.is_empty()) else { return };
        // The command and its first words name the same interface: one capture begins, not two.
        if self.listening.as_deref() != Some(name) || self.since < self.interfaces.len() {
            self.listening = Some(name.to_owned());
            self.since = self.interfaces.len();
            self.connections.clear();
        }
    }

    fn interface(&mut self, name: Option<&str>, link_type: LinkType) -> u32 {
        let name = name.filter(|_| !self.is_from_file).or(self.listening.as_deref().filter(|n| *n != "any")).map(str::to_owned);
        let known = self.interfaces.iter().skip(self.since).position(|(n, l)| *n == name && *l == link_type);
        let index = known.map_or(self.interfaces.len(), |at| at + self.since);
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        if known.is_none() {
            let info = InterfaceInfo { index: number, link_type: Some(link_type), name: name.clone(), ..InterfaceInfo::default() };
            self.sink.interface(&info);
            self.interfaces.push((name, link_type));
        }
        number
    }

    fn packet(&mut self, open: Open<'_>) {
        self.frames += 1;
        let time_ns = open.time.map(|time| match time {
            Time::Date(nanos) => nanos,
            Time::Day(step) if self.are_steps => {
                self.is_dateless = true;
                self.day = self.day.saturating_add(step);
                self.day
            }
            Time::Day(of_day) => {
                self.is_dateless = true;
                if of_day + DAY / 2 < self.last_of_day {
                    self.day = self.day.saturating_add(DAY);
                }
                self.last_of_day = of_day;
                self.day.saturating_add(of_day)
            }
        });
        let (link_type, mut bytes) = link_header(&open.head);
        let overhead = u32::try_from(bytes.len()).unwrap_or(0);
        let built = match open.head.network {
            Network::Ip(text) => {
                // A cooked header has 16 or 20 octets, so that the frame's length says nothing exact.
                let is_exact = matches!(open.head.link, Link::Ethernet { .. });
                let captured = open.head.frame_len.filter(|_| is_exact).map(|l| l.saturating_sub(overhead));
                self.ip(&format!("{text}{}", open.more), captured)
            }
            Network::Arp(text) => arp(text, &open.head.link).map(|arp| (arp, 28)),
            Network::Other => None,
        };
        let dumped = dumped(&open.hex, built.as_ref().map(|(packet, _)| packet.as_slice()));
        let mut original_len = open.head.frame_len;
        let mut link_type = link_type;
        match (dumped, &built) {
            (Some(Dumped::Packet(total)), _) => {
                bytes.extend_from_slice(&open.hex);
                original_len = original_len.or(Some(total.saturating_add(overhead)));
            }
            (Some(Dumped::Frame(header, of_link, total)), _) => {
                bytes.clone_from(&open.hex);
                link_type = of_link;
                original_len = original_len.or(Some(total.saturating_add(header)));
            }
            (None, Some((packet, total))) => {
                bytes.extend_from_slice(packet);
                original_len = original_len.or(Some(total.saturating_add(overhead)));
            }
            (None, None) => {}
        }
        if dumped.is_some() || built.is_some() {
            self.understood += 1;
        } else if matches!(open.head.network, Network::Ip(_)) {
            // Of ARP without `-e` nothing is lost that its text would tell.
            self.odd += 1;
            self.first_odd.get_or_insert(open.line);
        }
        let interface = self.interface(open.head.interface, link_type);
        self.sink.frame(RawFrame {
            number: self.frames,
            interface,
            time_ns,
            bytes: &bytes,
            original_len: original_len.unwrap_or(0).max(u32::try_from(bytes.len()).unwrap_or(0)),
            offset: 0,
            direction: open.head.direction,
            comment: None,
        });
    }

    fn finish(self) -> Vec<Note> {
        let mut notes = Vec::new();
        if self.frames == 0 {
            notes.push(Note::loss("none of its lines is a packet as tcpdump prints it"));
        }
        if let Some(line) = self.first_odd {
            let more = if self.odd > 1 { format!("; and {} more like it", self.odd - 1) } else { String::new() };
            let hint = "its addresses are names or its protocol is not known; `tcpdump -nne` prints numbers";
            notes.push(Note::loss(format!("the packet at line {line} is counted, not read: {hint}{more}")));
        }
        if self.is_dateless {
            notes.push(Note::info("its times have no date and no zone (`tcpdump -tt` prints them)"));
        }
        notes
    }

    /// The packet's bytes and its length on the wire. `captured`: what the frame's length leaves for it.
    fn ip(&mut self, text: &str, captured: Option<u32>) -> Option<(Vec<u8>, u32)> {
        let text = text.trim_start();
        // Under `-v` the header's fields stand in brackets first, which hold brackets themselves: `proto TCP (6)`.
        let (fields, rest) = match text.strip_prefix('(') {
            Some(inner) => bracketed(inner)?,
            None => ("", text),
        };
        let (addresses, payload) = rest.trim_start().split_once(": ")?;
        let (src, dst) = addresses.split_once(" > ")?;
        let (src, src_port) = end(src.trim())?;
        let (dst, dst_port) = end(dst.trim())?;
        let protocol = protocol(fields, payload, src.is_ipv4(), src_port.is_some());
        let fragment = field(fields, "offset ").and_then(|o| o.parse::<u32>().ok()).unwrap_or(0);
        let ports = (src_port.unwrap_or(0), dst_port.unwrap_or(0));
        let (segment, payload_len) = match protocol {
            _ if fragment > 0 => (Vec::new(), 0),
            6 => self.tcp((src, ports.0), (dst, ports.1), payload)?,
            17 => udp(ports, payload),
            1 | 58 => icmp(protocol, payload),
            132 => ([ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat(), 0),
            _ => (Vec::new(), 0),
        };
        let header = if src.is_ipv4() { 20 } else { 40 };
        let counted = u32::try_from(segment.len()).unwrap_or(0).max(payload_len).saturating_add(header);
        let stated = if src.is_ipv4() {
            field(fields, "length ").and_then(|l| l.parse().ok())
        } else {
            fields
                .rsplit_once("payload length: ")
                .and_then(|(_, l)| l.trim_end_matches(')').parse::<u32>().ok())
                .map(|l| l.saturating_add(40))
        };
        // A short frame is padded to 60 octets, so its length says less than the packet's own.
        let total = stated.or_else(|| captured.filter(|c| *c > 46 && *c >= counted)).unwrap_or(counted);
        let mut packet = match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => ipv4_header(src, dst, protocol, fields, fragment, total),
            (IpAddr::V6(src), IpAddr::V6(dst)) => ipv6_header(src, dst, protocol, fields, total),
            _ => return None,
        };
        packet.extend_from_slice(&segment);
        packet.truncate(usize::try_from(total).unwrap_or(usize::MAX));
        Some((packet, total))
    }

    fn tcp(&mut self, src: End, dst: End, text: &str) -> Option<(Vec<u8>, u32)> {
        let (letters, rest) = text.strip_prefix("Flags [")?.split_once(']')?;
        let mut flags = 0_u8;
        for letter in letters.chars() {
            flags |= match letter {
                'F' => 0x01,
                'S' => 0x02,
                'R' => 0x04,
                'P' => 0x08,
                '.' => 0x10,
                'U' => 0x20,
                'E' => 0x40,
                'W' => 0x80,
                _ => 0,
            };
        }
        let (listed, rest) = match rest.split_once("options [") {
            Some((before, after)) => {
                let (options, after) = after.split_once(']')?;
                (options, format!("{before}{after}"))
            }
            None => ("", rest.to_owned()),
        };
        let printed = field(&rest, "seq ").map(|s| s.split(':').next().unwrap_or(s)).and_then(|s| s.parse::<u32>().ok());
        let printed_ack = field(&rest, "ack ").and_then(|a| a.parse::<u32>().ok());
        let window: u16 = field(&rest, "win ").and_then(|w| w.parse().ok()).unwrap_or(0);
        let len: u32 = field(&rest, "length ").and_then(|l| l.trim_end_matches(':').parse().ok()).unwrap_or(0);
        let (seq, ack) = self.absolute(src, dst, flags, printed, printed_ack, len);
        let options = tcp_options(listed);
        let mut segment = Vec::with_capacity(60);
        segment.extend_from_slice(&src.1.to_be_bytes());
        segment.extend_from_slice(&dst.1.to_be_bytes());
        segment.extend_from_slice(&seq.to_be_bytes());
        segment.extend_from_slice(&ack.to_be_bytes());
        let words = u8::try_from(5 + options.len() / 4).unwrap_or(15);
        segment.extend_from_slice(&[words << 4, flags]);
        segment.extend_from_slice(&window.to_be_bytes());
        segment.extend_from_slice(&[0, 0, 0, 0]);
        segment.extend_from_slice(&options);
        let header = u32::try_from(segment.len()).unwrap_or(0);
        Some((segment, header.saturating_add(len)))
    }

    /// tcpdump prints the numbers of a connection relative to the first that it saw, but for those themselves (`print-tcp.c`):
    /// the first packet with ACK, and every SYN, are absolute.
    fn absolute(&mut self, src: End, dst: End, flags: u8, seq: Option<u32>, ack: Option<u32>, len: u32) -> (u32, u32) {
        let (key, from, to) = if src <= dst { ((src, dst), 0, 1) } else { ((dst, src), 1, 0) };
        let is_syn = flags & 0x02 != 0;
        let has_ack = flags & 0x10 != 0;
        let known = self.connections.get(&key).copied();
        let mut numbers = known.unwrap_or_default();
        let get = |list: &[Option<u32>; 2], at: usize| list.get(at).copied().flatten();
        let is_first = is_syn || !has_ack && known.is_none() || numbers.base == [None, None];
        let (seq, ack) = if is_first {
            if is_syn && !has_ack {
                numbers = Numbers::default();
            }
            (seq, ack.unwrap_or(0))
        } else {
            // Under `-S` numbers stay absolute: then they lie near what is expected as they stand.
            let relative = |value: u32, at: usize| {
                let Some(base) = get(&numbers.base, at) else { return value };
                let sum = base.wrapping_add(value);
                let distance = |number: u32, from: u32| number.wrapping_sub(from).min(from.wrapping_sub(number));
                match get(&numbers.next, at) {
                    Some(next) if distance(value, next) < distance(sum, next) => value,
                    _ => sum,
                }
            };
            (seq.map(|s| relative(s, from)), ack.map_or(0, |a| relative(a, to)))
        };
        // A bare acknowledgement has no printed number: it stands where the data before it ended.
        let seq = seq.or(get(&numbers.next, from)).unwrap_or(0);
        if is_first {
            if let Some(base) = numbers.base.get_mut(from) {
                *base = Some(seq);
            }
            if let Some(base) = numbers.base.get_mut(to).filter(|_| has_ack) {
                *base = Some(ack.wrapping_sub(1));
            }
        }
        if let Some(next) = numbers.next.get_mut(from) {
            *next = Some(seq.wrapping_add(len).wrapping_add(u32::from(is_syn)).wrapping_add(u32::from(flags & 1)));
        }
        if let Some(next) = numbers.next.get_mut(to).filter(|n| has_ack && n.is_none()) {
            *next = Some(ack);
        }
        self.connections.insert(key, numbers);
        (seq, ack)
    }
}

/// What a hex dump holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dumped {
    /// `-x`: the packet, of this total length.
    Packet(u32),
    /// `-xx`: a link header of this length and type, and a packet of this total length.
    Frame(u32, LinkType, u32),
}

/// Finds the packet in a dump by the addresses that were printed beside it.
fn dumped(hex: &[u8], printed: Option<&[u8]>) -> Option<Dumped> {
    const HEADERS: [(usize, LinkType); 5] =
        [(0, LinkType::RAW), (14, LinkType::ETHERNET), (18, LinkType::ETHERNET), (16, LinkType::LINUX_SLL), (20, LinkType::LINUX_SLL2)];
    // ARP over Ethernet: its EtherType, and its hardware type where the link header ends.
    for (ethertype, header, link) in [(12, 14, LinkType::ETHERNET), (14, 16, LinkType::LINUX_SLL), (0, 20, LinkType::LINUX_SLL2)] {
        if hex.get(ethertype..ethertype + 2) == Some([8, 6].as_slice()) && hex.get(header..header + 2) == Some([0, 1].as_slice()) {
            return Some(Dumped::Frame(u32::try_from(header).unwrap_or(0), link, 28));
        }
    }
    let addresses = |packet: &[u8]| match packet.first().map(|b| b >> 4) {
        Some(4) => packet.get(12..20).map(<[u8]>::to_vec),
        Some(6) => packet.get(8..40).map(<[u8]>::to_vec),
        _ => None,
    };
    let wanted = addresses(printed?)?;
    HEADERS.into_iter().find_map(|(header, link)| {
        let packet = hex.get(header..)?;
        if addresses(packet)? != wanted {
            return None;
        }
        let total = match packet {
            [first, _, high, low, ..] if first >> 4 == 4 => u32::from(u16::from_be_bytes([*high, *low])),
            [_, _, _, _, high, low, ..] => 40 + u32::from(u16::from_be_bytes([*high, *low])),
            _ => return None,
        };
        let header = u32::try_from(header).unwrap_or(0);
        Some(if header == 0 { Dumped::Packet(total) } else { Dumped::Frame(header, link, total) })
    })
}

/// What stands up to the bracket that closes, and what follows.
fn bracketed(text: &str) -> Option<(&str, &str)> {
    let mut depth = 1_u32;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((text.get(..at)?, text.get(at + 1..)?));
        }
    }
    None
}

/// The word after `key`.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let at = text.match_indices(key).find(|(at, _)| *at == 0 || text.get(..*at).is_some_and(|t| t.ends_with([' ', ',', '('])))?.0;
    text.get(at + key.len()..)?.split([',', ' ', ')']).next()
}

/// `192.168.53.154.8080`, `2001:db8::1.443`, `ip-10-0-0-1.ec2.internal.http`.
fn end(text: &str) -> Option<(IpAddr, Option<u16>)> {
    if let Ok(ip) = text.parse() {
        return Some((ip, None));
    }
    if let Some(ip) = ip_of_name(text) {
        let port = text.rsplit_once('.').and_then(|(_, last)| port(last));
        return Some((ip, port));
    }
    let (host, last) = text.rsplit_once('.')?;
    Some((host.parse().ok()?, Some(port(last)?)))
}

/// The address in a name that EC2 gives: `ip-10-0-0-1.…`.
fn ip_of_name(text: &str) -> Option<IpAddr> {
    let label = text.strip_prefix("ip-")?.split('.').next()?;
    label.replace('-', ".").parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

/// A port, also by the names that tcpdump without `-nn` prints most.
fn port(text: &str) -> Option<u16> {
    text.parse().ok().or(match text {
        "ftp" => Some(21),
        "ssh" => Some(22),
        "telnet" => Some(23),
        "smtp" => Some(25),
        "domain" => Some(53),
        "bootps" => Some(67),
        "bootpc" => Some(68),
        "http" => Some(80),
        "kerberos" => Some(88),
        "ntp" => Some(123),
        "snmp" => Some(161),
        "ldap" => Some(389),
        "https" => Some(443),
        "microsoft-ds" => Some(445),
        "mysql" => Some(3306),
        "postgresql" => Some(5432),
        "amqp" => Some(5672),
        "http-alt" | "webcache" => Some(8080),
        "https-alt" | "pcsync-https" => Some(8443),
        _ => None,
    })
}

/// The protocol's number: printed under `-v`, else by the words that each printer begins with.
fn protocol(fields: &str, payload: &str, is_v4: bool, has_ports: bool) -> u8 {
    let stated = fields.split_once("proto ").or_else(|| fields.split_once("next-header ")).and_then(|(_, after)| {
        let (_, number) = after.split_once('(')?;
        number.split(')').next()?.parse().ok()
    });
    let by_words = || {
        if payload.starts_with("Flags [") {
            6
        } else if payload.starts_with("ICMP") {
            if is_v4 { 1 } else { 58 }
        } else if payload.starts_with("sctp") {
            132
        } else if has_ports {
            17
        } else {
            // Reserved (IANA): nothing on a wire has it.
            255
        }
    };
    stated.unwrap_or_else(by_words)
}

/// The link header's octets. Without printed addresses there is none.
fn link_header(head: &Head<'_>) -> (LinkType, Vec<u8>) {
    let is_v6 = matches!(head.network, Network::Ip(text) if is_v6(text));
    let ethertype: u16 = match head.network {
        Network::Ip(_) if is_v6 => 0x86dd,
        Network::Ip(_) => 0x0800,
        Network::Arp(_) => 0x0806,
        // Local experimental: nothing is read from it.
        Network::Other => 0x88b5,
    };
    let mut bytes = Vec::with_capacity(80);
    let link_type = match head.link {
        Link::None => return (LinkType::RAW, bytes),
        Link::Ethernet { src, dst } => {
            bytes.extend_from_slice(&dst.0);
            bytes.extend_from_slice(&src.0);
            LinkType::ETHERNET
        }
        Link::Cooked { src } => {
            let kind: u16 = if head.direction == Some(Direction::Out) { 4 } else { 0 };
            bytes.extend_from_slice(&kind.to_be_bytes());
            bytes.extend_from_slice(&[0, 1, 0, 6]);
            bytes.extend_from_slice(&src.0);
            bytes.extend_from_slice(&[0, 0]);
            LinkType::LINUX_SLL
        }
    };
    for vlan in &head.vlans {
        bytes.extend_from_slice(&0x8100_u16.to_be_bytes());
        bytes.extend_from_slice(&vlan.to_be_bytes());
    }
    bytes.extend_from_slice(&ethertype.to_be_bytes());
    (link_type, bytes)
}

fn is_v6(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with("(flowlabel")
        || text.starts_with("(hlim")
        || text.starts_with("(class")
        || text.split(" > ").next().is_some_and(|s| s.contains("::") || s.matches(':').count() > 2)
}

fn ipv4_header(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, fields: &str, fragment: u32, total: u32) -> Vec<u8> {
    let ttl: u8 = field(fields, "ttl ").and_then(|t| t.parse().ok()).unwrap_or(0);
    let id: u16 = field(fields, "id ").and_then(|i| i.parse().ok()).unwrap_or(0);
    let tos = field(fields, "tos ").and_then(|t| u8::from_str_radix(t.trim_start_matches("0x"), 16).ok()).unwrap_or(0);
    let flags = fields.split_once("flags [").and_then(|(_, f)| f.split(']').next()).unwrap_or_default();
    let mut fragmentation = u16::try_from(fragment / 8).unwrap_or(0) & 0x1fff;
    if flags.contains("DF") {
        fragmentation |= 0x4000;
    }
    if flags.contains('+') {
        fragmentation |= 0x2000;
    }
    let mut header = vec![0x45, tos];
    header.extend_from_slice(&u16::try_from(total).unwrap_or(0).to_be_bytes());
    header.extend_from_slice(&id.to_be_bytes());
    header.extend_from_slice(&fragmentation.to_be_bytes());
    header.extend_from_slice(&[ttl, protocol, 0, 0]);
    header.extend_from_slice(&src.octets());
    header.extend_from_slice(&dst.octets());
    header
}

fn ipv6_header(src: Ipv6Addr, dst: Ipv6Addr, protocol: u8, fields: &str, total: u32) -> Vec<u8> {
    let limit: u8 = field(fields, "hlim ").and_then(|t| t.parse().ok()).unwrap_or(0);
    let mut header = vec![0x60, 0, 0, 0];
    header.extend_from_slice(&u16::try_from(total.saturating_sub(40)).unwrap_or(0).to_be_bytes());
    header.extend_from_slice(&[protocol, limit]);
    header.extend_from_slice(&src.octets());
    header.extend_from_slice(&dst.octets());
    header
}

/// `mss 8961,sackOK,TS val 2086301481 ecr 0,nop,wscale 10`, in the order printed.
fn tcp_options(text: &str) -> Vec<u8> {
    let mut options = Vec::new();
    for option in text.split(',') {
        let words: Vec<&str> = option.split_whitespace().collect();
        let number = |at: usize| words.get(at).and_then(|w| w.parse::<u32>().ok()).unwrap_or(0);
        match words.first().copied().unwrap_or_default() {
            "nop" => options.push(1),
            "mss" => {
                options.extend_from_slice(&[2, 4]);
                options.extend_from_slice(&u16::try_from(number(1)).unwrap_or(0).to_be_bytes());
            }
            "wscale" => options.extend_from_slice(&[3, 3, u8::try_from(number(1)).unwrap_or(0)]),
            "sackOK" => options.extend_from_slice(&[4, 2]),
            "TS" => {
                options.extend_from_slice(&[8, 10]);
                options.extend_from_slice(&number(2).to_be_bytes());
                options.extend_from_slice(&number(4).to_be_bytes());
            }
            "sack" => {
                // `sack 1 {1:1449}`: relative numbers, which identify nothing; only the room is kept.
                let blocks = number(1).min(3);
                let len = u8::try_from(2 + 8 * blocks).unwrap_or(2);
                options.extend_from_slice(&[5, len]);
                options.resize(options.len() + usize::from(len) - 2, 0);
            }
            _ => {}
        }
    }
    options.truncate(40);
    while options.len() % 4 != 0 {
        options.push(0);
    }
    options
}

/// `UDP, length 36`, or what a printer makes of the payload: `12345+ A? example.com. (29)`, `NTPv4, Client, length 48`.
fn udp(ports: (u16, u16), text: &str) -> (Vec<u8>, u32) {
    // The checksum's verdict changes where a card computes it.
    let mut words = text;
    if let Some(after) = text.strip_prefix('[')
        && let Some((_, after)) = after.split_once("] ")
    {
        words = after;
    }
    let in_brackets = || words.trim_end().strip_suffix(')').and_then(|w| w.rsplit_once('(')).and_then(|(_, n)| n.parse().ok());
    let last_length = || words.rsplit_once("length ").and_then(|(_, n)| n.split([',', ':', ' ', ')']).next()?.parse().ok());
    let len: u32 = last_length().or_else(in_brackets).unwrap_or(0);
    let mut datagram = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    datagram.extend_from_slice(&u16::try_from(len.saturating_add(8)).unwrap_or(0).to_be_bytes());
    datagram.extend_from_slice(&[0, 0]);
    datagram.extend(stand_in(words, len));
    (datagram, len.saturating_add(8))
}

/// Octets in the place of a payload that was not printed: the same for the same words.
fn stand_in(words: &str, len: u32) -> Vec<u8> {
    let mut octets: Vec<u8> = (0..4).flat_map(|seed| xxh3_64_with_seed(words.as_bytes(), seed).to_le_bytes()).collect();
    octets.truncate(usize::try_from(len).unwrap_or(usize::MAX));
    octets
}

/// `ICMP echo request, id 7, seq 3, length 64`, `ICMP6, echo reply, id 7, seq 3, length 64`, errors without what they quote.
fn icmp(protocol: u8, text: &str) -> (Vec<u8>, u32) {
    let is_v4 = protocol == 1;
    let has = |word: &str| text.contains(word);
    let (kind, code) = if has("echo request") {
        (if is_v4 { 8 } else { 128 }, 0)
    } else if has("echo reply") {
        (if is_v4 { 0 } else { 129 }, 0)
    } else if has("time exceeded") {
        (if is_v4 { 11 } else { 3 }, 0)
    } else if has("need to frag") {
        (3, 4)
    } else if has("packet too big") {
        (2, 0)
    } else if has(" port ") && has("unreachable") {
        if is_v4 { (3, 3) } else { (1, 4) }
    } else if has("admin prohibited") {
        if is_v4 { (3, 13) } else { (1, 1) }
    } else if has("unreachable") {
        if is_v4 { (3, 1) } else { (1, 3) }
    } else if has("redirect") {
        (if is_v4 { 5 } else { 137 }, 1)
    } else if has("neighbor solicitation") {
        (135, 0)
    } else if has("neighbor advertisement") {
        (136, 0)
    } else {
        (255, 0)
    };
    let len: u32 = field(text, "length ").and_then(|l| l.trim_end_matches(':').parse().ok()).unwrap_or(8);
    let is_echo = has("echo request") || has("echo reply");
    let number = |key: &str| field(text, key).and_then(|n| n.parse::<u16>().ok()).unwrap_or(0);
    let mtu = text.split_once("mtu ").and_then(|(_, m)| m.split([')', ',', ' ']).next()?.parse::<u16>().ok()).unwrap_or(0);
    let mut message = vec![kind, code, 0, 0];
    if is_echo {
        message.extend_from_slice(&number("id ").to_be_bytes());
        message.extend_from_slice(&number("seq ").to_be_bytes());
        // What an echo carries is not printed and comes back as it went: its numbers tell the packets apart.
        message.extend(stand_in("echo", len.saturating_sub(8)));
    } else {
        message.extend_from_slice(&[0, 0]);
        message.extend_from_slice(&mtu.to_be_bytes());
    }
    (message, len)
}

/// `Request who-has 10.0.0.1 tell 10.0.0.2, length 28`, `Reply 10.0.0.1 is-at 0e:…, length 28`.
fn arp(text: &str, link: &Link) -> Option<Vec<u8>> {
    let (Link::Ethernet { src, .. } | Link::Cooked { src }) = link else { return None };
    let text = text.rsplit_once("IPv4 (len 4), ").map_or(text, |(_, after)| after);
    let words: Vec<&str> = text.split([' ', ',']).filter(|w| !w.is_empty()).collect();
    let after = |key: &str| words.iter().position(|w| *w == key).and_then(|at| words.get(at + 1)).copied();
    let ip = |word: Option<&str>| {
        word.and_then(|w| {
            w.parse::<Ipv4Addr>().ok().or(ip_of_name(w).and_then(|ip| match ip {
                IpAddr::V4(ip) => Some(ip),
                IpAddr::V6(_) => None,
            }))
        })
    };
    let (operation, sender_mac, sender_ip, target_ip) = match words.first().copied()? {
        "Request" => (1_u16, *src, ip(after("tell"))?, ip(after("who-has"))?),
        "Reply" => (2_u16, after("is-at")?.parse().ok()?, ip(after("Reply"))?, Ipv4Addr::UNSPECIFIED),
        _ => return None,
    };
    let mut message = vec![0, 1, 8, 0, 6, 4];
    message.extend_from_slice(&operation.to_be_bytes());
    message.extend_from_slice(&sender_mac.0);
    message.extend_from_slice(&sender_ip.octets());
    message.extend_from_slice(&[0; 6]);
    message.extend_from_slice(&target_ip.octets());
    Some(message)
}
