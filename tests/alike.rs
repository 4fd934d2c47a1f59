//! Conversations that fail alike are told of once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod made;

use etherparse::PacketBuilder;
use hopscope::report::{Finding, Report};
use hopscope::views::text;

type Timed = (i64, Vec<u8>);

/// A SYN of a host's port, and what the other says.
struct Tried {
    client: u8,
    port: u16,
    server: (u8, u16),
    /// A reset, or nothing.
    is_refused: bool,
}

fn mac(n: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, n]
}

fn frames(at: i64, t: &Tried) -> Vec<Timed> {
    let ends = |from: u8, to: u8| PacketBuilder::ethernet2(mac(from), mac(to)).ipv4([10, 0, 0, from], [10, 0, 0, to], 64);
    let isn = u32::from(t.port) * 7_919 + u32::from(t.client) + u32::from(t.server.1) * 31;
    let (mut syn, mut rst) = (Vec::new(), Vec::new());
    ends(t.client, t.server.0).tcp(t.port, t.server.1, isn, 64_240).syn().write(&mut syn, &[]).unwrap();
    ends(t.server.0, t.client).tcp(t.server.1, t.port, 0, 0).rst().ack(isn + 1).write(&mut rst, &[]).unwrap();
    std::iter::once((at, syn)).chain(t.is_refused.then_some((at + 200, rst))).collect()
}

/// What a capture of attempts a hundredth of a second apart shows.
fn report(tried: &[Tried]) -> Report {
    let all: Vec<Timed> = (0..).zip(tried).flat_map(|(n, t)| frames(n * 10_000, t)).collect();
    made::report(9, [("a.pcap", made::pcap(all))])
}

fn refused(clients: impl IntoIterator<Item = u8>, each: u16) -> Vec<Tried> {
    let ports = |client| (0..each).map(move |n| Tried { client, port: 30_000 + n, server: (9, 80), is_refused: true });
    clients.into_iter().flat_map(ports).collect()
}

fn of_kind<'a>(report: &'a Report, kind: &str) -> Vec<&'a Finding> {
    report.findings.iter().filter(|f| f.kind == kind).collect()
}

#[test]
fn many_refusals_of_one_server_are_one_finding() {
    let report = report(&refused([1], 500));
    let told = of_kind(&report, "connection_refused");
    assert_eq!((report.paths.len(), told.len(), told[0].paths.len()), (500, 1, 500));
    assert!(told[0].evidence.len() < 10, "{:?}", told[0].evidence);
    assert_eq!(
        told[0].summary,
        "i-9 refuses 500 connections of i-1 (10.0.0.1) → i-9 (10.0.0.9:80): its resets answer their SYNs (1000 packets, from 2023-11-14T22:13:20.000Z for 4.99 s); evidence of 3 of them"
    );
    let text = text::render(&report, text::Paint::Plain);
    let listed = text.lines().find(|l| l.trim_start().starts_with("paths: p1,")).unwrap();
    assert!(listed.ends_with("p12 and 488 more"), "{listed}");
    assert!(text.starts_with("Hopscope: 500 paths (500 rejected), 1 capture point, 2 inputs\n"), "{}", &text[..100]);
    // Three are written out; each of the others has a line.
    assert_eq!(text.lines().filter(|l| l.ends_with(": as p1")).count(), 497);
    assert!(text.lines().count() < 700, "{}", text.lines().count());
}

#[test]
fn one_refusal_is_told_as_one() {
    let report = report(&refused([1], 1));
    let told = of_kind(&report, "connection_refused");
    assert_eq!(told[0].summary, "i-9 refuses: its reset answers the SYN of i-1 (10.0.0.1:30000) → i-9 (10.0.0.9:80)");
}

#[test]
fn other_servers_and_other_outcomes_are_other_findings() {
    let mut tried = refused([1], 20);
    tried.extend((0..20).map(|n| Tried { client: 1, port: 40_000 + n, server: (9, 443), is_refused: true }));
    tried.extend((0..20).map(|n| Tried { client: 1, port: 50_000 + n, server: (8, 80), is_refused: false }));
    let report = report(&tried);
    assert_eq!(of_kind(&report, "connection_refused").iter().map(|f| f.paths.len()).collect::<Vec<_>>(), [20, 20]);
    assert_eq!(of_kind(&report, "no_reply").iter().map(|f| f.paths.len()).collect::<Vec<_>>(), [20]);
}

#[test]
fn few_clients_are_told_of_one_by_one_and_many_together() {
    assert_eq!(of_kind(&report(&refused(1..=3, 5)), "connection_refused").len(), 3);
    let report = report(&refused(1..=8, 5));
    let told = of_kind(&report, "connection_refused");
    assert_eq!((told.len(), told[0].paths.len()), (1, 40));
    assert!(told[0].summary.contains("40 connections of 8 clients"), "{}", told[0].summary);
    assert!((1..=8).all(|n| told[0].about.contains(&format!("instance:i-{n}"))), "{:?}", told[0].about);
}

#[test]
fn a_client_that_reaches_nobody_is_told_of_once() {
    let tried: Vec<Tried> = (1..=60).map(|n| Tried { client: 1, port: 40_000 + n, server: (9, 1_000 + n), is_refused: false }).collect();
    let report = report(&tried);
    let told = of_kind(&report, "no_reply");
    assert_eq!((told.len(), told[0].paths.len()), (1, 60));
    assert!(told[0].summary.contains("60 ports of i-9"), "{}", told[0].summary);
}
