//! A clock that is set while packets are captured: it is told, and delays are those of the packets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod made;

use hopscope::report::{Report, Verdict};

/// A datagram at a node: its own and the other's number, whether it leaves, IP id.
fn frame(here: u8, other: u8, leaves: bool, id: u16) -> Vec<u8> {
    let (from, to) = if leaves { (here, other) } else { (other, here) };
    // The router's face is 9 on either side.
    let (src_mac, dst_mac, ttl) = if leaves { (here, 9, 64) } else { (9, here, 63) };
    let port = |n: u8| 5000 + u16::from(n);
    let mut f = vec![2, 0, 0, 0, 0, dst_mac, 2, 0, 0, 0, 0, src_mac, 8, 0, 0x45, 0, 0, 60];
    f.extend(id.to_be_bytes());
    f.extend([0x40, 0, ttl, 17, 0, 0, 10, 0, 0, from, 10, 0, 0, to]);
    f.extend([port(from), port(to), 40].iter().flat_map(|x| x.to_be_bytes()));
    f.extend([0, 0]);
    f.extend([id.to_be_bytes(); 16].concat());
    f
}

/// What node `here` captures of forty questions of `client` to `server` and their answers, 0.2 s apart and 60 µs on the way, by a clock
/// that is `ahead` of the true one, microseconds both.
fn capture(here: u8, (client, server): (u8, u8), ahead: impl Fn(i64) -> i64) -> Vec<u8> {
    made::pcap((0..80_u16).map(|n| {
        let is_question = n % 2 == 0;
        let sender = if is_question { client } else { server };
        let sent = i64::from(n / 2) * 200_000 + if is_question { 0 } else { 1_000 };
        let at = sent + if sender == here { 0 } else { 60 };
        (at + ahead(at), frame(here, if here == client { server } else { client }, sender == here, 100 + n))
    }))
}

fn report<const N: usize>(captures: [(&'static str, Vec<u8>); N]) -> Report {
    made::report(3, captures)
}

fn steps(report: &Report) -> Vec<(&str, &[String])> {
    report.findings.iter().filter(|f| f.kind == "clock_step").map(|f| (f.summary.as_str(), f.about.as_slice())).collect()
}

/// All arrive, and no delay is told that exceeds what the clocks leave open.
fn assert_whole(report: &Report) {
    for d in report.paths.iter().flat_map(|p| &p.directions) {
        assert_eq!(d.verdict, Verdict::Delivered);
        for h in d.hops.iter().filter(|h| h.observed) {
            assert_eq!((h.seen, h.missing), (40, 0));
            assert!(h.delay_ns.is_none_or(|delay| (60_000 - delay).abs() <= 61_000), "{h:?}");
        }
    }
    assert!(
        !report.findings.iter().any(|f| ["packet_loss", "retransmission", "slow_segment"].contains(&f.kind.as_str())),
        "{:?}",
        report.findings
    );
}

#[test]
fn a_clock_that_is_set_back_shows_in_its_own_frames() {
    let with = |by: i64| {
        report([("a.pcap", capture(1, (1, 2), |_| 0)), ("b.pcap", capture(2, (1, 2), |t| 7_000 + if t > 4_100_000 { by } else { 0 }))])
    };
    let back = with(-1_500_000);
    assert_whole(&back);
    let [(summary, about)] = steps(&back)[..] else { panic!("{:?}", back.findings) };
    assert!(summary.starts_with("the clock of i-2 was set back by 1.50 s while packets were captured, about 4"), "{summary}");
    assert_eq!(about, ["instance:i-2"]);
    let clock = back.capture_points.iter().find(|p| p.at.as_deref() == Some("if:instance:i-2/eth0")).unwrap().clock.clone().unwrap();
    assert!((clock.offset_ns - 7_000_000).abs() <= clock.uncertainty_ns && clock.uncertainty_ns < 100_000, "{clock:?}");
    // Set forward it might as well be the other that was set back: the frames of two captures do not tell.
    let forward = with(1_500_000);
    assert_whole(&forward);
    let [(summary, about)] = steps(&forward)[..] else { panic!("{:?}", forward.findings) };
    assert!(summary.starts_with("the clock of i-2 was set forward by 1.50 s, or that of i-1 back"), "{summary}");
    assert_eq!(about.len(), 2);
    let still = with(0);
    assert_whole(&still);
    assert_eq!(steps(&still), []);
}

#[test]
fn a_third_host_tells_whose_clock_was_set() {
    let set = |t: i64| if t > 4_100_000 { 1_500_000 } else { 0 };
    let heard = |of: [&dyn Fn(i64) -> i64; 3]| {
        report([
            ("a1.pcap", capture(1, (1, 2), of[0])),
            ("b.pcap", capture(2, (1, 2), of[1])),
            ("a2.pcap", capture(1, (1, 3), of[0])),
            ("c.pcap", capture(3, (1, 3), of[2])),
        ])
    };
    let still = |_: i64| 0;
    for (of, name) in
        [([&set as &dyn Fn(i64) -> i64, &still, &still], "i-1"), ([&still, &set, &still], "i-2"), ([&still, &still, &set], "i-3")]
    {
        let report = heard(of);
        assert_whole(&report);
        let told = steps(&report);
        assert!(!told.is_empty(), "{name}: {:?}", report.findings);
        for (summary, about) in told {
            assert!(summary.starts_with(&format!("the clock of {name} was set forward by 1.50 s")), "{name}: {summary}");
            assert_eq!(about, [format!("instance:{name}")]);
        }
    }
}
