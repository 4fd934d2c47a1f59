//! A pod's loopback device: what a proxy in the pod takes and makes there never leaves it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod made;

use hopscope::analysis::analyze;
use hopscope::report::{Report, Verdict};

const CLUSTER: &str = r#"{"apiVersion": "v1", "kind": "List", "items": [
    {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}, "spec": {"providerID": "aws:///a/i-1"},
     "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}},
    {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"}, "spec": {"nodeName": "node-1"},
     "status": {"podIP": "10.0.0.21", "podIPs": [{"ip": "10.0.0.21"}], "hostIP": "10.0.0.1", "phase": "Running"}},
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": "shop"},
     "spec": {"clusterIP": "10.100.0.7", "ports": [{"port": 80, "protocol": "TCP"}]}}]}"#;

const POD: [u8; 4] = [10, 0, 0, 21];

/// A segment, cooked (`-i any`) or as Ethernet, at the loopback device or at the pod's own interface.
fn segment(cooked: bool, looped: bool, from: ([u8; 4], u16), to: ([u8; 4], u16), seq: u32, flags: u8, data: &[u8]) -> Vec<u8> {
    let mac = if looped { [0; 6] } else { [2, 0, 0, 0, 0, 0x31] };
    let mut f = if cooked { [&[0, 4, 3, 4, 0, 6][..], &mac, &[0, 0, 8, 0]].concat() } else { [&mac[..], &mac, &[8, 0]].concat() };
    f.extend([0x45, 0]);
    f.extend(u16::try_from(40 + data.len()).unwrap().to_be_bytes());
    f.extend(u16::try_from(seq % 60_000).unwrap().to_be_bytes());
    f.extend([0x40, 0, 64, 6, 0, 0]);
    f.extend([from.0, to.0].concat());
    f.extend([from.1.to_be_bytes(), to.1.to_be_bytes()].concat());
    f.extend([seq.to_be_bytes(), 7_u32.to_be_bytes()].concat());
    f.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    f.extend(data);
    f
}

/// The pod's process asks the service, and a rule redirects it to the proxy at 127.0.0.1:15001; the answers come as from the service. The proxy
/// calls another process as 127.0.0.6.
fn on_loopback(cooked: bool) -> Vec<(i64, Vec<u8>)> {
    let (client, proxy, service) = ((POD, 40_000), ([127, 0, 0, 1], 15_001), ([10, 100, 0, 7], 80));
    let (inner, server) = (([127, 0, 0, 6], 50_000), (POD, 8080));
    let one = |at, from, to, seq, flags, data: &[u8]| (at, segment(cooked, true, from, to, seq, flags, data));
    vec![
        one(0, client, proxy, 100, 0x02, b""),
        one(10, service, client, 900, 0x12, b""),
        one(20, client, proxy, 101, 0x18, b"GET / HTTP/1.1\r\n\r\n"),
        one(90, service, client, 901, 0x18, b"HTTP/1.1 200 OK\r\n\r\n"),
        one(200, inner, server, 500, 0x02, b""),
        one(210, server, inner, 700, 0x12, b""),
        one(220, inner, server, 501, 0x18, b"POST /x HTTP/1.1\r\n\r\n"),
    ]
}

fn at_eth0(cooked: bool) -> Vec<(i64, Vec<u8>)> {
    let ends = ((POD, 41_000), ([10, 0, 0, 2], 9999));
    let one = |at, seq, flags| (at, segment(cooked, false, ends.0, ends.1, seq, flags, b""));
    vec![one(-50, 300, 0x02), one(1000, 301, 0x10)]
}

fn report(captures: Vec<(&str, Vec<u8>)>) -> Report {
    let mut inputs = made::read("enis.json", made::enis(2).as_bytes());
    inputs.extend(made::read("kubectl.json", CLUSTER.as_bytes()));
    inputs.extend(captures.into_iter().flat_map(|(name, bytes)| made::read(name, &bytes)));
    analyze(&inputs)
}

/// Paths with loopback addresses: client, whom it dialled, server, and of each direction the verdict and its hops.
fn looped(report: &Report) -> Vec<String> {
    let is_looped = |ip: &str| ip.starts_with("127.");
    let paths = report.paths.iter().filter(|p| is_looped(&p.flow.client.ip) || is_looped(&p.flow.server.ip));
    let told = paths.map(|p| {
        let via = p.flow.via.as_ref().map_or("-", |v| &v.ip);
        let way = |d: &hopscope::report::DirectionPath| {
            assert_eq!(d.verdict, Verdict::Delivered);
            d.hops.iter().map(|h| format!(" {}:{}", h.interface.as_deref().unwrap_or("-"), h.seen)).collect::<String>()
        };
        let ways: String = p.directions.iter().map(way).collect();
        format!("{} {} {} {}{ways}", p.flow.client.ip, via, p.flow.server.ip, p.flow.server.entity.as_deref().unwrap_or("-"))
    });
    told.collect()
}

#[test]
fn what_a_pods_loopback_device_shows_stays_in_the_pod() {
    let ethernet = vec![("web-lo.pcap", made::pcap(on_loopback(false))), ("web-eth0.pcap", made::pcap(at_eth0(false)))];
    // All of a pod's devices in one file.
    let mut both = on_loopback(true);
    both.extend(at_eth0(true));
    both.sort();
    let mut cooked = made::pcap(both);
    cooked[20] = 113;
    for captures in [ethernet, vec![("web-any.pcap", cooked)]] {
        let report = report(captures);
        let lo = "if:pod:shop/web/lo";
        assert_eq!(
            looped(&report),
            [
                format!("10.0.0.21 10.100.0.7 127.0.0.1 pod:shop/web {lo}:2 {lo}:2"),
                format!("127.0.0.6 - 10.0.0.21 pod:shop/web {lo}:2 {lo}:1"),
            ]
        );
        let wrong = report.findings.iter().filter(|f| matches!(f.kind.as_str(), "packet_loss" | "no_reply" | "unresolved_address"));
        // The other conversation has no answer in these captures.
        assert!(
            wrong.filter(|f| !f.summary.contains("9999")).all(|f| f.about.iter().all(|a| a != "pod:shop/web")),
            "{:?}",
            report.findings
        );
    }
}
