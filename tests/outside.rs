//! Machines on the Internet: captured there, behind a NAT gateway, by NAT64; and what a node port does for those who come from there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod made;

use etherparse::PacketBuilder;
use hopscope::analysis::analyze;
use hopscope::report::{Path, Report, Way};
use serde_json::{Value, json};

type Timed = (i64, Vec<u8>);

const NODE: [u8; 6] = [0x0a, 0x11, 0, 0, 0, 1];
const ROUTER: [u8; 6] = [0x0a, 0xfe, 0, 0, 0, 1];
const SERVER: [u8; 6] = [0x52, 0, 0, 0, 0, 9];
const ITS_ROUTER: [u8; 6] = [0x52, 0, 0, 0, 0, 1];
const OUTSIDE: [u8; 4] = [93, 184, 216, 34];
const NAME: &str = "ip-10-0-1-10.eu-west-1.compute.internal";

/// A node, a NAT gateway that its subnet's packets leave by, and whatever kubectl lists.
fn analysed(listed: Vec<Value>, captures: &[(&str, Vec<u8>)]) -> Report {
    let eni = |id: &str, mac: &str, kind: &str, ip: &str, more: Value| {
        let mut eni = json!({"NetworkInterfaceId": id, "InterfaceType": kind, "MacAddress": mac, "SubnetId": "subnet-1", "VpcId": "vpc-1",
            "PrivateIpAddresses": [{"PrivateIpAddress": ip, "Primary": true}]});
        eni.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        eni
    };
    let public = json!({"PrivateIpAddress": "10.0.1.99", "Primary": true, "Association": {"PublicIp": "203.0.113.80"}});
    let enis = json!({"NetworkInterfaces": [
        eni("eni-0a", "0a:11:00:00:00:01", "interface", "10.0.1.10", json!({"Attachment": {"InstanceId": "i-0a", "DeviceIndex": 0},
            "Ipv6Addresses": [{"Ipv6Address": "2600:1f14::10"}]})),
        eni("eni-0b", "0a:11:00:00:00:03", "nat_gateway", "10.0.1.99", json!({"PrivateIpAddresses": [public], "Description": "Interface for NAT Gateway nat-1"}))]});
    let routes = json!({"RouteTables": [{"RouteTableId": "rtb-1", "VpcId": "vpc-1", "Associations": [{"Main": true}], "Routes": [
        {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local"}, {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1"},
        {"DestinationIpv6CidrBlock": "64:ff9b::/96", "NatGatewayId": "nat-1"}]}]});
    let subnets = json!({"Subnets": [{"SubnetId": "subnet-1", "VpcId": "vpc-1", "CidrBlock": "10.0.1.0/24"}]});
    let vpcs = json!({"Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16"}]});
    let nats = json!({"NatGateways": [{"NatGatewayId": "nat-1", "SubnetId": "subnet-1", "VpcId": "vpc-1", "State": "available",
        "NatGatewayAddresses": [{"NetworkInterfaceId": "eni-0b", "PrivateIp": "10.0.1.99", "PublicIp": "203.0.113.80"}]}]});
    let gateways = json!({"InternetGateways": [{"InternetGatewayId": "igw-1", "Attachments": [{"State": "available", "VpcId": "vpc-1"}]}]});
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME}, "spec": {"providerID": "aws:///eu-west-1a/i-0a"},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.0.1.10"}]}});
    let items = [vec![node], listed].concat();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let inventories = [
        ("enis.json", enis),
        ("routes.json", routes),
        ("subnets.json", subnets),
        ("vpcs.json", vpcs),
        ("nat.json", nats),
        ("igw.json", gateways),
        ("list.json", list),
    ];
    let inventories = inventories.iter().flat_map(|(name, v)| made::read(name, v.to_string().as_bytes()));
    analyze(&inventories.chain(captures.iter().flat_map(|(name, bytes)| made::read(name, bytes))).collect::<Vec<_>>())
}

fn said(n: i64) -> Vec<u8> {
    format!("datagram {n} says something of its own").into_bytes()
}

/// A datagram by IPv4 with an id of its own.
fn four(macs: ([u8; 6], [u8; 6]), ends: ([u8; 4], [u8; 4]), ttl: u8, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(macs.0, macs.1).ipv4(ends.0, ends.1, ttl).udp(ports.0, ports.1).write(&mut bytes, payload).unwrap();
    bytes
}

/// Questions and answers where the server was captured, of the NAT gateway's public address.
fn at_server() -> Vec<u8> {
    let frames = (0..4).flat_map(|n| -> [Timed; 2] {
        let out = four((ITS_ROUTER, SERVER), ([203, 0, 113, 80], OUTSIDE), 50, (5_555, 443), &said(n));
        let back = four((SERVER, ITS_ROUTER), (OUTSIDE, [203, 0, 113, 80]), 64, (443, 5_555), &said(n + 100));
        [(n * 5_000 + 900, out), (n * 5_000 + 950, back)]
    });
    made::pcap(frames)
}

fn way(path: &Path, way: Way) -> Vec<(&str, bool)> {
    let d = path.directions.iter().find(|d| d.direction == way).unwrap();
    d.hops.iter().map(|h| (h.owner.as_str(), h.observed)).collect()
}

fn goes_by_the_gateway(report: &Report) {
    let asked: Vec<&Path> = report.paths.iter().filter(|p| p.flow.server.ip.ends_with("93.184.216.34")).collect();
    assert_eq!(asked.len(), 1, "{:?}", report.paths.iter().map(|p| &p.flow).collect::<Vec<_>>());
    let there = way(asked[0], Way::Request);
    assert_eq!(there[0], (format!("node:{NAME}").as_str(), true));
    assert_eq!(there.last(), Some(&("external:93.184.216.34", true)), "{there:?}");
    assert!(there.contains(&("natgw:nat-1", false)), "{there:?}");
    let back = way(asked[0], Way::Reply);
    let place = |owner: &str| back.iter().position(|h| h.0 == owner).unwrap_or(usize::MAX);
    assert!(place("external:93.184.216.34") < place("natgw:nat-1") && place("natgw:nat-1") < place(&format!("node:{NAME}")), "{back:?}");
    assert_eq!(back.last(), Some(&(format!("node:{NAME}").as_str(), true)));
    let sources: Vec<_> = asked[0].directions[0].hops.iter().filter_map(|h| h.src_ip.as_deref()).collect();
    assert!(sources.contains(&"10.0.1.99"), "the gateway's own address: {sources:?}");
}

#[test]
fn a_server_captured_outside_is_at_the_end_of_the_way_through_a_nat_gateway() {
    let frames = (0..4).flat_map(|n| -> [Timed; 2] {
        let out = four((NODE, ROUTER), ([10, 0, 1, 10], OUTSIDE), 64, (40_000, 443), &said(n));
        let back = four((ROUTER, NODE), (OUTSIDE, [10, 0, 1, 10]), 50, (443, 40_000), &said(n + 100));
        [(n * 5_000, out), (n * 5_000 + 2_000, back)]
    });
    goes_by_the_gateway(&analysed(Vec::new(), &[("node.pcap", made::pcap(frames)), ("server.pcap", at_server())]));
}

#[test]
fn a_router_outside_is_not_said_to_be_the_vpcs() {
    let arp = |from: [u8; 6], to: [u8; 6], code: u8, sender: [u8; 4], target: [u8; 4]| {
        let known = if code == 2 { to } else { [0; 6] };
        [&to[..], &from, &[8, 6, 0, 1, 8, 0, 6, 4, 0, code], &from, &sender, &known, &target].concat()
    };
    let gateway = [93, 184, 216, 1];
    let frames = vec![
        (0, arp(SERVER, [0xff; 6], 1, OUTSIDE, gateway)),
        (100, arp(ITS_ROUTER, SERVER, 2, gateway, OUTSIDE)),
        (900, four((ITS_ROUTER, SERVER), ([203, 0, 113, 80], OUTSIDE), 50, (5_555, 443), &said(1))),
        (950, four((SERVER, ITS_ROUTER), (OUTSIDE, [203, 0, 113, 80]), 64, (443, 5_555), &said(2))),
    ];
    let report = analysed(Vec::new(), &[("server.pcap", made::pcap(frames))]);
    let said: Vec<&str> = report.findings.iter().filter(|f| f.kind == "router_identified").map(|f| f.summary.as_str()).collect();
    let mac = ITS_ROUTER.map(|b| format!("{b:02x}")).join(":");
    assert_eq!(said, [format!("{mac} is a router of an unknown network")]);
}

#[test]
fn datagrams_are_known_again_beyond_nat64() {
    let own = [0x26, 0, 0x1f, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10];
    let mapped = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 93, 184, 216, 34];
    let six = |macs: ([u8; 6], [u8; 6]), ends: ([u8; 16], [u8; 16]), hops: u8, ports: (u16, u16), payload: &[u8]| {
        let mut bytes = Vec::new();
        PacketBuilder::ethernet2(macs.0, macs.1).ipv6(ends.0, ends.1, hops).udp(ports.0, ports.1).write(&mut bytes, payload).unwrap();
        bytes
    };
    let frames = (0..4).flat_map(|n| -> [Timed; 2] {
        let out = six((NODE, ROUTER), (own, mapped), 64, (40_000, 443), &said(n));
        let back = six((ROUTER, NODE), (mapped, own), 49, (443, 40_000), &said(n + 100));
        [(n * 5_000, out), (n * 5_000 + 2_000, back)]
    });
    // The translator gives what it makes of them ids.
    let mut server = at_server();
    let mut at = 24;
    let mut id = 7_u16;
    while at < server.len() {
        let len = u32::from_le_bytes(server[at + 8..at + 12].try_into().unwrap()) as usize;
        server[at + 16 + 18..at + 16 + 20].copy_from_slice(&id.to_be_bytes());
        id = id.wrapping_mul(31).wrapping_add(17);
        at += 16 + len;
    }
    goes_by_the_gateway(&analysed(Vec::new(), &[("node.pcap", made::pcap(frames)), ("server.pcap", server)]));
}

#[test]
fn a_node_without_pods_of_a_local_service_sends_nobody_on() {
    let service = |policy: &str| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"}, "spec": {"type": "NodePort", "clusterIP": "172.20.0.9",
            "externalTrafficPolicy": policy, "ports": [{"port": 80, "targetPort": 8080, "nodePort": 31742, "protocol": "TCP"}]}})
    };
    let other = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "other"}, "status": {"addresses": [{"type": "InternalIP", "address": "10.0.1.20"}]}});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0", "namespace": "shop"}, "spec": {"nodeName": "other"},
        "status": {"phase": "Running", "podIP": "10.0.1.77", "hostIP": "10.0.1.20"}});
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "web-abcde", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "endpoints": [{"addresses": ["10.0.1.77"], "conditions": {"ready": true}, "nodeName": "other"}], "ports": [{"port": 8080, "protocol": "TCP", "name": ""}]});
    let mut syn = Vec::new();
    let tcp = PacketBuilder::ethernet2(ROUTER, NODE).ipv4([198, 51, 100, 7], [10, 0, 1, 10], 52).tcp(45_187, 31_742, 100, 64_000).syn();
    tcp.write(&mut syn, &[]).unwrap();
    let capture = made::pcap([(0, syn.clone()), (1_000_000, syn)]);
    let server = |policy: &str| {
        let listed = vec![service(policy), other.clone(), pod.clone(), slice.clone()];
        let report = analysed(listed, &[("node.pcap", capture.clone())]);
        (report.paths[0].flow.server.ip.clone(), report.paths[0].flow.server.port)
    };
    assert_eq!(server("Cluster"), ("10.0.1.77".to_owned(), Some(8080)));
    assert_eq!(server("Local"), ("10.0.1.10".to_owned(), Some(31_742)));
}

/// As where one of two captures is what `tcpdump` printed: the same datagrams, and none of the same content.
#[test]
fn another_content_of_the_same_datagrams_is_no_loss() {
    let (a, b) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    // Datagrams of which every so-many-th is of another content, and something else that shows whose capture this is.
    let capture = |own: [u8; 6], ip: u8, later: i64, other: i64| {
        let content = |n: i64| if n % other == 0 { said(n + 50) } else { said(n + 10) };
        let sent = |n: i64| four((a, b), ([10, 0, 0, 1], [10, 0, 0, 2]), 64, (40_000, 53), &content(n));
        let else_sent = four((own, [2, 0, 0, 0, 0, 3]), ([10, 0, 0, ip], [10, 0, 0, 3]), 64, (9, 9), &said(i64::from(ip) + 1_000));
        made::pcap((1..10).map(|n| (n * 1_000_000 + later, sent(n))).chain([(9_500_000, else_sent)]))
    };
    let losses = |other: i64| {
        let report = made::report(3, [("a.pcap", capture(a, 1, 0, 100)), ("b.pcap", capture(b, 2, 50, other))]);
        report.findings.iter().filter(|f| f.kind == "packet_loss").count()
    };
    assert_eq!(losses(100), 0);
    assert_eq!(losses(1), 0, "another content throughout");
    assert_eq!(losses(3), 1, "some are known again, so the others are lost");
}

/// Nobody answered and nobody looked: where the packets would go next is no more than likely.
#[test]
fn steps_beyond_what_was_seen_and_never_answered_are_not_sure() {
    let beyond = |is_answered: bool| {
        let (a, b, here, there) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], [10, 0, 0, 1], [10, 0, 0, 2]);
        let asked = (0, four((a, b), (here, there), 64, (40_000, 53), &said(1)));
        let other = (900, four((a, [2, 0, 0, 0, 0, 3]), (here, [10, 0, 0, 3]), 64, (9, 9), &said(2)));
        let answer = is_answered.then(|| (300, four((b, a), (there, here), 64, (53, 40_000), &said(3))));
        let report = made::report(3, [("a.pcap", made::pcap([asked, other].into_iter().chain(answer)))]);
        let path = report.paths.iter().find(|p| p.flow.server.port == Some(53)).unwrap().clone();
        let last = path.directions[0].hops.last().unwrap().clone();
        assert!(!last.observed && last.owner.starts_with("instance:i-2"), "{last:?}");
        last.confidence
    };
    assert!(beyond(true) > 0.9 && beyond(false) < 0.7, "{} {}", beyond(true), beyond(false));
}
