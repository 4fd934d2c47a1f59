//! What a capture's name says of its place, where its frames leave two open: the ends of a pod's link.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod made;

use etherparse::PacketBuilder;
use hopscope::analysis::analyze;
use serde_json::json;

/// Where a capture of the link of `pod` is said to be from, by the file's name.
fn placed(pod: &str, file: &str) -> String {
    let (own, host, ip, other) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], [10, 0, 0, 7], [10, 0, 1, 9]);
    let frames = (0..6_i64).map(|n| {
        let (mut bytes, back) = (Vec::new(), n % 2 == 1);
        let ((from, to), (src, dst), ttl) = if back { ((host, own), (other, ip), 62) } else { ((own, host), (ip, other), 64) };
        let udp = PacketBuilder::ethernet2(from, to).ipv4(src, dst, ttl).udp(if back { 53 } else { 4000 }, if back { 4000 } else { 53 });
        udp.write(&mut bytes, &[u8::try_from(n).unwrap(); 30]).unwrap();
        (n * 300, bytes)
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "ip-10-0-0-1.internal"}, "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod, "namespace": "shop"}, "spec": {"nodeName": "ip-10-0-0-1.internal"},
            "status": {"podIP": "10.0.0.7", "podIPs": [{"ip": "10.0.0.7"}]}}]});
    let report = analyze(&[made::read("kubectl.json", list.to_string().as_bytes()), made::read(file, &made::pcap(frames))].concat());
    let at = report.capture_points[0].at.clone().unwrap();
    at.split(['/', ':']).nth(1).unwrap().to_owned()
}

#[test]
fn a_capture_called_after_what_runs_in_a_pod_is_of_the_pods_end() {
    for (pod, file) in [
        ("web-7d9c5bb7f6-x2zkp", "captures/web.pcap"),
        ("db-0", "db-1.pcap"),
        ("log-agent-x2zkp", "log-agent_before.pcap"),
        ("plain", "plain.pcap"),
    ] {
        assert_eq!(placed(pod, file), "pod", "{pod} in {file}");
    }
    for (pod, file) in [
        ("web-7d9c5bb7f6-x2zkp", "trace.pcap"),
        ("web-7d9c5bb7f6-x2zkp", "website.pcap"),
        ("web-7d9c5bb7f6-x2zkp", "host-of-web.pcap"),
        ("web-7d9c5bb7f6-x2zkp", "web/trace.pcap"),
        ("web-cache-x2zkp", "web.pcap"),
    ] {
        assert_eq!(placed(pod, file), "node", "{pod} in {file}");
    }
}
