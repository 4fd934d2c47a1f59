//! IP ids: what they tell, and packets that are known where something on the way has written them anew.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod made;

use hopscope::report::{Report, Verdict};

/// A datagram at one place: when in microseconds, the MACs' and addresses' last octets, ports, IP id, TTL, payload.
#[derive(Clone)]
struct Seen {
    at: u32,
    macs: (u8, u8),
    from: u8,
    to: u8,
    ports: (u16, u16),
    id: u16,
    ttl: u8,
    data: Vec<u8>,
}

impl Seen {
    fn frame(&self) -> Vec<u8> {
        let mut f = vec![2, 0, 0, 0, 0, self.macs.1, 2, 0, 0, 0, 0, self.macs.0, 8, 0, 0x45, 0];
        f.extend(u16::try_from(28 + self.data.len()).unwrap().to_be_bytes());
        f.extend(self.id.to_be_bytes());
        f.extend([0x40, 0, self.ttl, 17, 0, 0, 10, 0, 0, self.from, 10, 0, 0, self.to]);
        f.extend(self.ports.0.to_be_bytes());
        f.extend(self.ports.1.to_be_bytes());
        f.extend(u16::try_from(8 + self.data.len()).unwrap().to_be_bytes());
        f.extend([0, 0]);
        f.extend(&self.data);
        f
    }
}

fn pcap(seen: &[Seen]) -> Vec<u8> {
    made::pcap(seen.iter().map(|s| (i64::from(s.at), s.frame())))
}

fn report<const N: usize>(captures: [(&'static str, Vec<u8>); N]) -> Report {
    made::report(3, captures)
}

/// Six questions of 10.0.0.1 to 10.0.0.2, each with content of its own, and their answers, as they are at 10.0.0.1.
fn before() -> Vec<Seen> {
    let question = |n: u8| Seen {
        at: u32::from(n) * 200_000,
        macs: (1, 9),
        from: 1,
        to: 2,
        ports: (40_000, 53),
        id: 500 + u16::from(n),
        ttl: 64,
        data: vec![n; 40],
    };
    let answer = |n: u8| Seen {
        at: u32::from(n) * 200_000 + 2_000,
        macs: (9, 1),
        from: 2,
        to: 1,
        ports: (53, 40_000),
        id: 7000 + u16::from(n),
        ttl: 63,
        data: vec![0x80 | n; 60],
    };
    (0..6).flat_map(|n| [question(n), answer(n)]).collect()
}

/// The same at 10.0.0.2, beyond a router that gives them other addresses, ports or ids.
fn beyond(change: impl Fn(&mut Seen)) -> Vec<Seen> {
    let mut all = before();
    for s in &mut all {
        (s.macs, s.at, s.ttl) = if s.to == 2 { ((9, 2), s.at + 300, 63) } else { ((2, 9), s.at - 300, 64) };
        change(s);
    }
    all
}

/// Behind the address of 10.0.0.3, a NAT instance.
fn translate(s: &mut Seen) {
    if s.to == 2 { (s.from, s.ports.0) = (3, 1024) } else { (s.to, s.ports.1) = (3, 1024) }
}

/// Of each direction: its verdict, and of each captured hop how many packets were seen and how many are missing.
fn told(report: &Report) -> Vec<(Verdict, Vec<(u64, u64)>)> {
    let directions = report.paths.iter().flat_map(|p| &p.directions);
    let hops = |d: &hopscope::report::DirectionPath| d.hops.iter().filter(|h| h.observed).map(|h| (h.seen, h.missing)).collect();
    directions.map(|d| (d.verdict, hops(d))).collect()
}

#[test]
fn a_new_ip_id_is_no_new_packet() {
    let report = report([("a.pcap", pcap(&before())), ("b.pcap", pcap(&beyond(|s| s.id = s.id.wrapping_mul(31))))]);
    let whole = (Verdict::Delivered, vec![(6, 0), (6, 0)]);
    assert_eq!(told(&report), [whole.clone(), whole]);
    assert!(!report.findings.iter().any(|f| f.kind == "packet_loss"), "{:?}", report.findings);
    let shown = report.evidence.iter().any(|e| e.kind == "same_packet" && e.statement.contains(" (rewritten to "));
    assert!(shown, "{:?}", report.evidence);
}

#[test]
fn what_is_missing_of_packets_with_new_ids_is_still_counted() {
    let mut there = beyond(|s| s.id = s.id.wrapping_mul(31));
    // The fourth question.
    there.remove(6);
    let report = report([("a.pcap", pcap(&before())), ("b.pcap", pcap(&there))]);
    assert_eq!(told(&report)[0].1, [(6, 0), (5, 1)]);
}

#[test]
fn a_new_address_and_a_new_ip_id_are_the_same_conversation() {
    let change = |s: &mut Seen| {
        s.id = s.id.wrapping_mul(31);
        translate(s);
    };
    let joined = report([("a.pcap", pcap(&before())), ("b.pcap", pcap(&beyond(change)))]);
    assert_eq!(joined.paths.len(), 1, "{:?}", joined.paths);
    let flow = &joined.paths[0].flow;
    assert_eq!((flow.client.ip.as_str(), flow.server.ip.as_str()), ("10.0.0.1", "10.0.0.2"));
    assert!(told(&joined).iter().all(|d| d.1 == [(6, 0), (6, 0)]), "{:?}", told(&joined));
    // With other contents nothing says so.
    let other = beyond(|s| {
        change(s);
        s.data[3] ^= 0x55;
    });
    assert_eq!(report([("a.pcap", pcap(&before())), ("b.pcap", pcap(&other))]).paths.len(), 2);
}

#[test]
fn atomic_datagrams_are_known_across_a_translation() {
    let atomic = |mut all: Vec<Seen>| {
        all.iter_mut().for_each(|s| s.id = 0);
        pcap(&all)
    };
    let report = report([("a.pcap", atomic(before())), ("b.pcap", atomic(beyond(translate)))]);
    assert_eq!(report.paths.len(), 1);
    assert!(told(&report).iter().all(|d| d.1 == [(6, 0), (6, 0)]), "{:?}", told(&report));
}

/// What a client says to 10.0.0.2, at its own interface: six datagrams with ids from `id` on.
fn says(from: u8, id: u16, at: u32, content: impl Fn(u8) -> Vec<u8>) -> Vec<Seen> {
    let one = |n: u8| Seen {
        at: at + u32::from(n) * 100_000,
        macs: (from, 2),
        from,
        to: 2,
        ports: (5000, 8125),
        id: id + u16::from(n),
        ttl: 64,
        data: content(n),
    };
    (0..6).map(one).collect()
}

#[test]
fn two_clients_that_say_the_same_stay_two() {
    let clients = |report: &Report| report.paths.iter().map(|p| p.flow.client.ip.clone()).collect::<Vec<_>>();
    for content in [|n: u8| vec![n; 40], |_| b"up:1|c#host:none0000".to_vec()] {
        let (one, two) = (says(1, 10, 0, content), says(3, 500, 40_000, content));
        let mut both = [one.clone(), two.clone()].concat();
        both.sort_by_key(|s| s.at);
        // With a capture at the server, which has both, and without.
        let with = report([("a.pcap", pcap(&one)), ("b.pcap", pcap(&both)), ("c.pcap", pcap(&two))]);
        assert_eq!(clients(&with), ["10.0.0.1", "10.0.0.3"]);
        assert!(told(&with).iter().all(|d| d.1.iter().all(|h| *h == (6, 0))), "{:?}", told(&with));
        let without = report([("a.pcap", pcap(&one)), ("c.pcap", pcap(&two))]);
        assert_eq!(clients(&without), ["10.0.0.1", "10.0.0.3"]);
    }
}

#[test]
fn what_is_alike_in_too_many_conversations_is_counted_and_told() {
    // One heartbeat with one IP id, as a device sends it that always uses the same: of how many clients, and to how many servers.
    let beats = |clients: u8| {
        let mut all: Vec<Seen> = (0..clients).flat_map(|n| says(1, 7, u32::from(n) * 10, |_| b"up:1|c#host:none0000".to_vec())).collect();
        for (n, s) in all.iter_mut().enumerate() {
            (s.id, s.ports.0) = (7, 5000 + u16::try_from(n / 6).unwrap());
        }
        all.sort_by_key(|s| s.at);
        report([("a.pcap", pcap(&all))])
    };
    let told = |report: &Report| (report.paths.len(), report.ambiguous.packets);
    let many = beats(9);
    assert_eq!(told(&many), (9, 1));
    let sentence = "1 packet left out: each fits several conversations alike, and joins none";
    assert!(hopscope::views::text::text(&many).contains(sentence), "{}", hopscope::views::text::text(&many));
    assert!(hopscope::views::html::html(&many).contains(sentence));
    assert!(serde_json::to_string(&many).unwrap().contains(r#""ambiguous":{"packets":1,"messages":0}"#));
    let none = report([("a.pcap", pcap(&before()))]);
    assert_eq!(told(&none), (1, 0));
    assert!(!hopscope::views::text::text(&none).contains("left out"));
    assert!(!serde_json::to_string(&none).unwrap().contains("ambiguous"));
}
