//! Conversations in encrypted tunnels between nodes: what the nodes' interfaces do not show is not lost.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod made;

use hopscope::analysis::analyze;
use hopscope::report::{Report, Verdict};

/// Nodes 10.0.0.1 and 10.0.0.2, on them the pods 10.0.0.21 and 10.0.0.22.
fn cluster() -> String {
    let node = |n: u8| {
        format!(
            r#"{{"apiVersion": "v1", "kind": "Node", "metadata": {{"name": "node-{n}"}}, "spec": {{"providerID": "aws:///a/i-{n}"}},
            "status": {{"addresses": [{{"type": "InternalIP", "address": "10.0.0.{n}"}}]}}}},
            {{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "pod-{n}", "namespace": "shop"}}, "spec": {{"nodeName": "node-{n}"}},
            "status": {{"podIP": "10.0.0.2{n}", "podIPs": [{{"ip": "10.0.0.2{n}"}}], "hostIP": "10.0.0.{n}", "phase": "Running"}}}}"#
        )
    };
    format!(r#"{{"apiVersion": "v1", "kind": "List", "items": [{}, {}]}}"#, node(1), node(2))
}

fn udp(macs: [u8; 2], from: (u8, u16), to: (u8, u16), ttl: u8, id: u16, data: &[u8]) -> Vec<u8> {
    let mut f = vec![2, 0, 0, 0, 0, macs[1], 2, 0, 0, 0, 0, macs[0], 8, 0, 0x45, 0];
    f.extend(u16::try_from(28 + data.len()).unwrap().to_be_bytes());
    f.extend(id.to_be_bytes());
    f.extend([0x40, 0, ttl, 17, 0, 0, 10, 0, 0, from.0, 10, 0, 0, to.0]);
    f.extend(from.1.to_be_bytes());
    f.extend(to.1.to_be_bytes());
    f.extend(u16::try_from(8 + data.len()).unwrap().to_be_bytes());
    f.extend([0, 0]);
    f.extend(data);
    f
}

/// Eight packets of the one pod to the other, each of another length: time and data.
fn questions() -> Vec<(i64, Vec<u8>)> {
    (0..8_u8).map(|n| (i64::from(n) * 50_000, vec![n; 40 + 37 * usize::from(n)])).collect()
}

/// At the first pod, and at the second one.
fn at_pods() -> [Vec<u8>; 2] {
    let packet = |(at, data): &(i64, Vec<u8>), macs, ttl, later| {
        let id = u16::from(data[0]) + 100;
        (at + later, udp(macs, (21, 40_000), (22, 5004), ttl, id, data))
    };
    let all = questions();
    [made::pcap(all.iter().map(|q| packet(q, [0x31, 0x41], 64, 0))), made::pcap(all.iter().map(|q| packet(q, [0x42, 0x32], 62, 700)))]
}

/// What the first node sends meanwhile: as WireGuard would seal it, or `as_long` as told.
fn at_node(as_long: impl Fn(usize) -> usize, later: i64) -> Vec<u8> {
    by_port(51820, as_long, later)
}

fn by_port(port: u16, as_long: impl Fn(usize) -> usize, later: i64) -> Vec<u8> {
    let sealed = |n: u16, len: usize| udp([1, 2], (1, port), (2, port), 64, 900 + n, &vec![u8::try_from(n).unwrap() ^ 0x5a; len]);
    let others = (0..8_u16).map(|n| (i64::from(n) * 50_000 - 30_000, sealed(50 + n, 1456)));
    let ours = questions().into_iter().zip(0..).map(|((at, data), n)| (at + later, sealed(n, as_long(data.len()))));
    let mut all: Vec<(i64, Vec<u8>)> = others.chain(ours).collect();
    all.sort();
    made::pcap(all)
}

fn as_wireguard(len: usize) -> usize {
    (len + 28).next_multiple_of(16) + 32
}

fn report(captures: Vec<(&str, Vec<u8>)>) -> Report {
    let mut inputs = made::read("enis.json", made::enis(2).as_bytes());
    inputs.extend(made::read("kubectl.json", cluster().as_bytes()));
    inputs.extend(captures.into_iter().flat_map(|(name, bytes)| made::read(name, &bytes)));
    analyze(&inputs)
}

/// Of the pods' conversation: its verdict, the hops inside a tunnel by their interfaces' names, and what was found.
fn told(report: &Report) -> (Verdict, Vec<String>, Vec<String>) {
    let path = report.paths.iter().find(|p| p.flow.client.ip == "10.0.0.21").unwrap();
    let d = &path.directions[0];
    let inside = d.hops.iter().filter(|h| h.encapsulation.iter().any(|e| e.kind == "wireguard"));
    let inside = inside.map(|h| h.interface.as_deref().unwrap_or(&h.owner).to_owned()).collect();
    let losses = report.findings.iter().filter(|f| matches!(f.kind.as_str(), "packet_loss" | "filtered_capture"));
    (d.verdict, inside, losses.map(|f| f.summary.clone()).collect())
}

#[test]
fn what_is_in_a_tunnel_is_neither_lost_nor_filtered() {
    let [a, b] = at_pods();
    let all = report(vec![("pod-1.pcap", a), ("node-1-eth0.pcap", at_node(as_wireguard, 300)), ("pod-2.pcap", b)]);
    let inside = vec!["if:node:node-1/eth0".to_owned(), "if:node:node-2/eth0".to_owned()];
    assert_eq!(told(&all), (Verdict::Delivered, inside, vec![]));
}

#[test]
fn what_the_far_end_does_not_open_is_lost_behind_the_tunnel() {
    let [a, _] = at_pods();
    let silent = made::pcap([
        (0, udp([0x42, 0x32], (9, 1), (22, 2), 62, 1, &[1; 40])),
        (400_000, udp([0x42, 0x32], (9, 1), (22, 2), 62, 2, &[2; 40])),
    ]);
    let (verdict, inside, losses) = told(&report(vec![
        ("pod-1.pcap", a),
        ("node-1-eth0.pcap", at_node(as_wireguard, 300)),
        ("node-2-eth0.pcap", at_node(as_wireguard, 350)),
        ("pod-2.pcap", silent),
    ]));
    assert_eq!((verdict, inside.len(), losses.len()), (Verdict::Lost, 2, 1), "{losses:?}");
    assert!(losses[0].contains("all 8 packets") && losses[0].contains("are lost after node-2/eth0"), "{losses:?}");
}

#[test]
fn what_never_enters_a_tunnel_is_lost_before_it() {
    let [a, _] = at_pods();
    // Handshakes that nobody answers, and nothing of the lengths that there should be.
    let (verdict, inside, losses) = told(&report(vec![("pod-1.pcap", a), ("node-1-eth0.pcap", at_node(|_| 148, 300))]));
    assert_eq!((verdict, inside.len(), losses.len()), (Verdict::Lost, 0, 1), "{losses:?}");
}

#[test]
fn a_tunnel_is_known_by_its_lengths_at_any_port() {
    for (port, as_long, is_tunnel) in [(7777, as_wireguard as fn(usize) -> usize, true), (7777, |len| len + 33, false)] {
        let [a, b] = at_pods();
        let all = report(vec![("pod-1.pcap", a), ("node-1-eth0.pcap", by_port(port, as_long, 300)), ("pod-2.pcap", b)]);
        let (_, inside, _) = told(&all);
        assert_eq!(!inside.is_empty(), is_tunnel);
    }
}
