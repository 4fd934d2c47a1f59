//! What tcpdump printed of a capture against the capture itself: the same frames, as far as the options given print them.
//! Under `tests/formats/tcpdump/<version>/`, `NAME.OPTIONS.txt` is `tcpdump -OPTIONS -r NAME.pcap`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::net::IpAddr;
use std::path::Path;

use hopscope::capture::{CaptureReader, FrameSink, InterfaceInfo, LinkType, RawFrame};
use hopscope::dissect::{Link, Net, Observation, Transport, dissect};
use hopscope::import::locate::span_of;
use hopscope::import::tcpdump::frames;
use hopscope::model::{Direction, Locator, Note};
use hopscope::sniff::{Format, sniff};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Frame {
    interface: InterfaceInfo,
    time_ns: Option<i64>,
    bytes: Vec<u8>,
    original_len: u32,
    direction: Option<Direction>,
}

impl Frame {
    fn dissect(&self) -> Observation<'_> {
        dissect(self.interface.link_type.unwrap(), &self.bytes, self.original_len)
    }
}

#[derive(Default)]
struct Collect {
    interfaces: Vec<InterfaceInfo>,
    frames: Vec<Frame>,
}

impl FrameSink for Collect {
    fn interface(&mut self, info: &InterfaceInfo) {
        self.interfaces.retain(|i| i.index != info.index);
        self.interfaces.push(info.clone());
    }

    fn frame(&mut self, frame: RawFrame<'_>) {
        self.frames.push(Frame {
            interface: self.interfaces.iter().find(|i| i.index == frame.interface).unwrap().clone(),
            time_ns: frame.time_ns,
            bytes: frame.bytes.to_vec(),
            original_len: frame.original_len,
            direction: frame.direction,
        });
        assert_eq!(frame.number, self.frames.len() as u64);
    }

    fn name(&mut self, _: IpAddr, _: &str, _: u64) {}
}

fn printed(text: &str) -> (Vec<Frame>, Vec<Note>) {
    let mut sink = Collect::default();
    let notes = frames(text, &mut sink);
    (sink.frames, notes)
}

fn captured(bytes: &[u8]) -> Vec<Frame> {
    let mut sink = Collect::default();
    let mut reader = CaptureReader::new();
    reader.push(bytes, &mut sink);
    reader.finish(&mut sink);
    sink.frames
}

/// What must be the same, as lines that a person can compare.
fn told(frame: &Frame, options: &str) -> String {
    let Observation { link, net, .. } = frame.dissect();
    let is_verbose = options.contains('v') || options.contains('x');
    let mut text = String::new();
    if options.contains('e') {
        let Link { src, dst, vlans, .. } = link;
        text = format!("{src:?} > {dst:?} {vlans:?} {} ", frame.original_len);
    }
    match net {
        Net::Ip(ip) => {
            text += &format!("{} > {} {:?} ", ip.src, ip.dst, ip.protocol);
            if is_verbose {
                let id = ip.id.unwrap_or(0);
                text += &format!("ttl {} id {id} df {} len {} {:?} ", ip.ttl, ip.dont_fragment, ip.total_len, ip.fragment);
            }
            text += &match ip.transport {
                Transport::Tcp(t) => {
                    // The number of a bare acknowledgement is not printed.
                    let has_seq = t.payload.len > 0 || t.flags & 7 != 0;
                    let seq = if has_seq { t.seq } else { 0 };
                    let options = (t.mss, t.window_scale, t.timestamps, t.sack_permitted);
                    format!("tcp {} {} {seq} {} {:x} {} {options:?} {}", t.src_port, t.dst_port, t.ack, t.flags, t.window, t.payload.len)
                }
                Transport::Udp(u) => format!("udp {} {} {}", u.src_port, u.dst_port, u.payload.len),
                Transport::Icmp(i) => format!("icmp {} {:?} {}", i.kind, i.echo, i.payload.len),
                other => format!("{:?}", std::mem::discriminant(&other)),
            };
        }
        // Without `-e`, who sent it is not told.
        Net::Arp(_) if !options.contains('e') => text += "?",
        Net::Arp(arp) => {
            text += &format!("arp {} {} {} ", arp.operation, arp.sender_mac, arp.sender_ip);
            // Of a reply, the target is not printed.
            text += &if arp.operation == 1 { arp.target_ip.to_string() } else { String::new() };
        }
        Net::Other => text += "?",
    }
    text
}

#[test]
fn printed_is_captured() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/tcpdump/4.99.3");
    let mut pairs = 0;
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    for path in files.iter().filter(|p| p.extension().unwrap() == "txt") {
        let file = path.file_name().unwrap().to_str().unwrap();
        let (capture, options) = file.trim_end_matches(".txt").rsplit_once('.').unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let capture = captured(&std::fs::read(folder.join(format!("{capture}.pcap"))).unwrap());
        assert_eq!(sniff(&text.as_bytes()[..text.len().min(4096)], "unknown"), Format::TcpdumpText, "{file}");
        let (print, notes) = printed(&text);
        assert_eq!(notes.iter().filter(|n| n.is_loss).count(), 0, "{file}: {notes:?}");
        assert_eq!(print.len(), capture.len(), "{file}");
        let first = capture[0].time_ns.unwrap();
        for (number, (print, capture)) in (1..).zip(print.iter().zip(&capture)) {
            assert_eq!(told(print, options), told(capture, options), "{file}, frame {number}");
            let micros = |f: &Frame| f.time_ns.map(|t| t / 1000 * 1000);
            let day = 86_400_000_000_000;
            match options {
                // Since the packet before, and since the first: the same in the end.
                "nnttt" | "nnttttt" => {
                    assert_eq!(micros(print), micros(capture).map(|t| t - first / 1000 * 1000), "{file}, frame {number}")
                }
                o if o.contains("tttt") || (o.contains("tt") && !o.contains("ttt")) => assert_eq!(micros(print), micros(capture), "{file}"),
                o if o.contains('t') => assert_eq!(print.time_ns, None, "{file}"),
                _ => assert_eq!(micros(print).map(|t| t % day), micros(capture).map(|t| t % day), "{file}"),
            }
            if options.contains("xx") {
                assert_eq!(print.bytes, capture.bytes, "{file}, frame {number}");
            }
        }
        // The lines of each frame hold it alone.
        for (number, frame) in (1..).zip(&print) {
            let span = span_of(text.as_bytes(), &Locator::Frame(number)).unwrap();
            let (alone, _) = printed(&text[span.start..span.end]);
            assert_eq!(alone.len(), 1, "{file}, frame {number}");
            // A connection's numbers and the day are known from the packets before.
            assert_eq!(alone[0].original_len, frame.original_len, "{file}, frame {number}");
        }
        pairs += 1;
    }
    assert!(pairs >= 14, "only {pairs} pairs");
}

/// One packet printed at two places is one packet: the same words give the same octets.
#[test]
fn the_same_words_are_the_same_packet() {
    let dns = |macs: &str, query: &str| {
        let line = format!(
            "10:00:00.000001 {macs}, ethertype IPv4 (0x0800), length 71: 10.0.0.5.40001 > 10.0.0.9.53: {query}+ A? example.com. (29)\n"
        );
        let (frames, _) = printed(&line);
        match frames[0].dissect().net {
            Net::Ip(ip) => match ip.transport {
                Transport::Udp(u) => (u.payload.bytes.to_vec(), u.payload.len),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    };
    let (here, there) = ("02:00:00:00:00:01 > 02:00:00:00:00:02", "02:00:00:00:00:03 > 02:00:00:00:00:04");
    assert_eq!(dns(here, "4711"), dns(there, "4711"));
    assert_ne!(dns(here, "4711"), dns(there, "4712"));
    assert_eq!(dns(here, "4711").1, 29);
}

/// As it is pasted: command, what tcpdump says when it begins and ends, two captures in one text, `-i any`, names.
#[test]
fn pasted_terminals() {
    let text = "\
[root@ip-10-0-1-9 ~]# tcpdump -ne -i eth0 icmp
tcpdump: verbose output suppressed, use -v[v]... for full protocol decode
listening on eth0, link-type EN10MB (Ethernet), snapshot length 262144 bytes
23:59:59.900000 0e:86:5a:82:6b:e6 > 0e:26:9f:32:7d:d6, ethertype IPv4 (0x0800), length 98: 192.168.53.154 > 192.168.25.72: ICMP echo request, id 7, seq 3, length 64
00:00:00.100000 0e:26:9f:32:7d:d6 (oui Unknown) > 0e:86:5a:82:6b:e6 (oui Unknown), ethertype 802.1Q (0x8100), length 102: vlan 3, p 0, ethertype IPv4 (0x0800), 192.168.25.72 > 192.168.53.154: ICMP echo reply, id 7, seq 3, length 64
^C
2 packets captured
2 packets received by filter
0 packets dropped by kernel
[root@ip-10-0-1-9 ~]# tcpdump -n -i any
tcpdump: data link type LINUX_SLL2
listening on any, link-type LINUX_SLL2 (Linux cooked v2), snapshot length 262144 bytes
00:00:05.000001 eni0b8b3d003d6 In  IP 10.0.0.5.40001 > 10.0.0.9.3306: Flags [S], seq 99, win 100, length 0
00:00:05.000002 eth1  Out IP ip-10-0-0-5.ec2.internal.40001 > 10.0.0.9.mysql: Flags [S], seq 99, win 100, length 0
00:00:05.000003 eth1  In  IP somewhere.example.com.http > 10.0.0.9.1: Flags [R], seq 1, win 0, length 0
";
    let (frames, notes) = printed(text);
    let seen: Vec<String> = frames
        .iter()
        .map(|f| {
            let name = f.interface.name.as_deref().unwrap_or("-");
            format!("{} {:?} {} {:?} {}", f.interface.index, f.interface.link_type.unwrap(), name, f.direction, told(f, "n"))
        })
        .collect();
    let options = "(None, None, None, false)";
    let syn = format!("10.0.0.5 > 10.0.0.9 Tcp tcp 40001 3306 99 0 2 100 {options} 0");
    assert_eq!(
        seen,
        [
            "0 LinkType(1) eth0 None 192.168.53.154 > 192.168.25.72 Icmp icmp 8 Some((7, 3)) 56".to_owned(),
            "0 LinkType(1) eth0 None 192.168.25.72 > 192.168.53.154 Icmp icmp 0 Some((7, 3)) 56".to_owned(),
            format!("1 LinkType(101) eni0b8b3d003d6 Some(In) {syn}"),
            format!("2 LinkType(101) eth1 Some(Out) {syn}"),
            "2 LinkType(101) eth1 Some(In) ?".to_owned(),
        ]
    );
    assert_eq!(frames[1].dissect().link.vlans, [3]);
    assert_eq!(frames[1].time_ns.unwrap() - frames[0].time_ns.unwrap(), 200_000_000, "midnight lies between");
    let messages: Vec<_> = notes.iter().map(|n| n.message.as_str()).collect();
    assert!(messages[0].starts_with("the packet at line 15 is counted, not read"), "{messages:?}");
    assert_eq!(sniff(text.as_bytes(), "unknown"), Format::TcpdumpText);
    let lines = |number| span_of(text.as_bytes(), &Locator::Frame(number)).map(|s| (s.first_line, s.last_line));
    assert_eq!([1, 2, 3, 5, 6].map(lines), [Some((4, 4)), Some((5, 5)), Some((13, 13)), Some((15, 15)), None]);
    assert_eq!(LinkType::RAW, LinkType(101));
}

/// Numbers that no packet has.
#[test]
fn absurd_numbers() {
    let mut text = String::new();
    for line in [
        "9999-12-31 23:59:59.999999 IP 10.0.0.1.1 > 10.0.0.2.2: Flags [P.], seq 4294967295:1, ack 4294967295, win 99999, length 4294967295",
        "99999999999.999999 IP6 (hlim 300, next-header TCP (6) payload length: 4294967295) ::1.1 > ::2.2: Flags [.], ack 1, length 4294967295",
        "23:59:60.999999999 IP (tos 0xfff, ttl 999, id 99999, offset 4294967288, flags [+], proto UDP (17), length 4294967295) 10.0.0.1 > 10.0.0.2: udp",
        "00:00:00.0 IP 10.0.0.1.53 > 10.0.0.2.53: 1+ A? a. (4294967295)",
        "23:59:59.0 IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 99999, seq 99999, length 4294967295",
        "00:00:00.0 02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype IPv4 (0x0800), length 4294967295: 10.0.0.1 > 10.0.0.2: ICMP x, length 9",
        "00:00:00.0 IP 10.0.0.1.1 > 10.0.0.2.2: Flags [.], options [sack 9999999 {1:2},mss 99999999,TS val 99999999999 ecr 1], length 0",
    ] {
        text += line;
        text += "\n\t0xffffffffffffffff:  zz\n\t0x0000:  4\n";
    }
    let (frames, _) = printed(&text);
    assert_eq!(frames.len(), 5, "two have times that are none");
    for frame in frames {
        let _ = frame.dissect();
    }
    let days = "23:00:00.0 IP 10.0.0.1 > 10.0.0.2: ICMP x, length 9\n01:00:00.0 IP 10.0.0.1 > 10.0.0.2: ICMP x, length 9\n".repeat(110_000);
    let (frames, _) = printed(&days);
    assert_eq!(frames.last().unwrap().time_ns, Some(i64::MAX));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Real lines cut and glued anyhow: no panic.
    #[test]
    fn no_text_stops_it(pieces in prop::collection::vec((0_usize..20_000, 0_usize..200), 1..10)) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/tcpdump/4.99.3");
        let mut all = String::new();
        let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        for path in files.iter().filter(|p| p.extension().unwrap() == "txt") {
            all += &std::fs::read_to_string(path).unwrap();
        }
        let mut text = String::new();
        for (start, length) in pieces {
            let start = start % all.len();
            text += all.get(start..(start + length).min(all.len())).unwrap_or_default();
        }
        let (frames, _) = printed(&text);
        for frame in frames {
            let _ = frame.dissect();
        }
    }
}
