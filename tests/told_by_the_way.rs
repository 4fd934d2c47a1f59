//! What the way of packets tells where inventories leave something out: a service's address, the port that was dialled, the end of a
//! segment, a guest's link-local address, and that a packet before a pod's link arrived.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod made;

use etherparse::PacketBuilder;
use hopscope::analysis::analyze;
use hopscope::ingest::Ingested;
use hopscope::report::{DirectionPath, Report, Verdict, Way};
use made::read;
use serde_json::{Value, json};

type Mac = [u8; 6];
type End = ([u8; 4], u16);

const ENI_A: Mac = [0x0a, 0x11, 0, 0, 0, 1];
const ENI_B: Mac = [0x0a, 0x11, 0, 0, 0, 2];
const ROUTER: Mac = [0x0a, 0xfe, 0, 0, 0, 1];
const POD_A: Mac = [0x2e, 0, 0, 0, 0, 1];
const LINK_A: Mac = [0x3e, 0, 0, 0, 0, 1];
const POD_B: Mac = [0x2e, 0, 0, 0, 0, 2];
const LINK_B: Mac = [0x3e, 0, 0, 0, 0, 2];
const A: &str = "node:ip-10-0-1-10.eu-west-1.compute.internal";
const B: &str = "node:ip-10-0-1-20.eu-west-1.compute.internal";

const IP_A: [u8; 4] = [10, 0, 1, 21];
const IP_B: [u8; 4] = [10, 0, 1, 22];
const CLIENT: End = (IP_A, 41_000);
const SERVER: End = (IP_B, 8080);

/// Two nodes in one subnet with a pod each; the pod of node B is the endpoint of `web`, which may have a Service object or not.
fn inventories(service: Option<Value>) -> Vec<Ingested> {
    let node = |id: &str, instance: &str, ip: &str| {
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": id.trim_start_matches("node:")}, "spec": {"providerID": format!("aws:///eu-west-1a/{instance}")},
            "status": {"addresses": [{"type": "InternalIP", "address": ip}]}})
    };
    let pod = |name: &str, on: &str, ip: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop"}, "spec": {"nodeName": on.trim_start_matches("node:")},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}})
    };
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "web-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "endpoints": [{"addresses": ["10.0.1.22"]}], "ports": [{"name": "", "port": 8080, "protocol": "TCP"}]});
    let mut items =
        vec![node(A, "i-0a", "10.0.1.10"), node(B, "i-0b", "10.0.1.20"), pod("front", A, "10.0.1.21"), pod("back", B, "10.0.1.22"), slice];
    items.extend(service);
    let eni = |id: &str, mac: &str, instance: &str, ips: [&str; 2], public: &str| {
        json!({"NetworkInterfaceId": id, "InterfaceType": "interface", "MacAddress": mac, "SubnetId": "subnet-1", "VpcId": "vpc-1",
            "PrivateIpAddresses": [{"PrivateIpAddress": ips[0], "Primary": true, "Association": {"PublicIp": public}}, {"PrivateIpAddress": ips[1], "Primary": false}],
            "Attachment": {"InstanceId": instance, "DeviceIndex": 0}})
    };
    let enis = json!({"NetworkInterfaces": [eni("eni-0a", "0a:11:00:00:00:01", "i-0a", ["10.0.1.10", "10.0.1.21"], "203.0.113.50"),
        eni("eni-0b", "0a:11:00:00:00:02", "i-0b", ["10.0.1.20", "10.0.1.22"], "203.0.113.60")]});
    let subnets = json!({"Subnets": [{"SubnetId": "subnet-1", "VpcId": "vpc-1", "CidrBlock": "10.0.1.0/24"}]});
    let gateways = json!({"InternetGateways": [{"InternetGatewayId": "igw-1", "Attachments": [{"State": "available", "VpcId": "vpc-1"}]}]});
    [
        ("kubectl.json", json!({"apiVersion": "v1", "kind": "List", "items": items})),
        ("enis.json", enis),
        ("subnets.json", subnets),
        ("igw.json", gateways),
    ]
    .map(|(name, v)| read(name, v.to_string().as_bytes()))
    .concat()
}

/// Three packets each way of one connection at one interface, `late` microseconds after the first: the MACs of what goes and their
/// TTLs there and back; without `answers`, three SYNs.
fn capture(macs: (Mac, Mac), ends: (End, End), ttls: (u8, u8), late: u32, answers: bool) -> Vec<u8> {
    let mut frames = Vec::new();
    for n in 0..6_u32 {
        let goes = n % 2 == 0;
        if !goes && !answers {
            continue;
        }
        let ((src, dst), (from, to), ttl) = if goes { (macs, ends, ttls.0) } else { ((macs.1, macs.0), (ends.1, ends.0), ttls.1) };
        let mut bytes = Vec::new();
        let tcp = PacketBuilder::ethernet2(src, dst).ipv4(from.0, to.0, ttl);
        let seq = if goes { 1_000 } else { 5_000 } + if answers { n / 2 * 20 } else { 0 };
        let tcp = tcp.tcp(from.1, to.1, seq, 64_000);
        match (n, goes) {
            (0, _) => tcp.syn().write(&mut bytes, &[]).unwrap(),
            (1, _) => tcp.syn().ack(1_001).write(&mut bytes, &[]).unwrap(),
            _ if !answers => tcp.syn().write(&mut bytes, &[]).unwrap(),
            _ => tcp.ack(9).write(&mut bytes, format!("packet {n} of this connection").as_bytes()).unwrap(),
        }
        frames.push((i64::from(n * 700_000 / 6 + late), bytes));
    }
    made::pcap(frames)
}

/// The packets of a capture file, each with its record header.
fn records(pcap: &[u8]) -> Vec<(&[u8], &[u8])> {
    let (mut rest, mut all) = (&pcap[24..], Vec::new());
    while !rest.is_empty() {
        let len = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        all.push((&rest[..16], &rest[16..16 + len]));
        rest = &rest[16 + len..];
    }
    all
}

/// The same capture by a program that writes nanoseconds: so many of them after what goes, and after what comes.
fn in_nanoseconds(pcap: &[u8], after: (u32, u32)) -> Vec<u8> {
    let mut out = [&0xa1b2_3c4d_u32.to_le_bytes(), &pcap[4..24]].concat();
    for (n, (head, bytes)) in records(pcap).into_iter().enumerate() {
        let us = u32::from_le_bytes(head[4..8].try_into().unwrap());
        let ns = us * 1_000 + if n % 2 == 0 { after.0 } else { after.1 };
        out.extend([&head[..4], &ns.to_le_bytes(), &head[8..], bytes].concat());
    }
    out
}

/// `tcpdump -i any` (SLL2) of a host: its interfaces' indexes, and their captures as seen from that host's own MAC.
fn any(interfaces: &[(u32, Mac, Vec<u8>)]) -> Vec<u8> {
    let mut out = [0xa1b2_c3d4_u32.to_le_bytes(), [2, 0, 4, 0], [0; 4], [0; 4], 65_535_u32.to_le_bytes(), 276_u32.to_le_bytes()].concat();
    for (index, own, pcap) in interfaces {
        for (head, bytes) in records(pcap) {
            let kind = if bytes[6..12] == own[..] { 4 } else { 0 };
            let cooked = [&[8, 0, 0, 0][..], &index.to_be_bytes(), &[0, 1, kind, 6], &bytes[6..12], &[0, 0], &bytes[14..]].concat();
            let len = u32::try_from(cooked.len()).unwrap().to_le_bytes();
            out.extend([&head[..8], &len, &len, &cooked].concat());
        }
    }
    out
}

fn request(report: &Report) -> &DirectionPath {
    report.paths[0].directions.iter().find(|d| d.direction == Way::Request).unwrap()
}

fn owner_of<'a>(report: &'a Report, ip: &str) -> &'a str {
    &report.entities.iter().find(|e| e.ips.iter().any(|i| i == ip)).unwrap().id
}

#[test]
fn an_address_that_leads_to_one_services_endpoints_is_that_services() {
    let dialled = ([10, 100, 0, 9], 80);
    let captures = [
        read("1.pcap", &capture((POD_A, LINK_A), (CLIENT, dialled), (64, 62), 0, true)),
        read("2.pcap", &capture((ENI_A, ENI_B), (CLIENT, SERVER), (63, 63), 40, true)),
    ];
    let report = analyze(&[inventories(None), captures.concat()].concat());
    assert_eq!(owner_of(&report, "10.100.0.9"), "service:shop/web");
    let other = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "canary-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "canary"}},
        "endpoints": [{"addresses": ["10.0.1.22"]}], "ports": [{"name": "", "port": 8080, "protocol": "TCP"}]});
    let report = analyze(&[inventories(Some(other)), captures.concat()].concat());
    assert!(!owner_of(&report, "10.100.0.9").starts_with("service:"), "two services lead there");
}

#[test]
fn who_comes_from_outside_to_a_pod_has_dialled_the_port_of_its_node() {
    let service = |policy: &str| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"type": "NodePort", "clusterIP": "172.20.0.9", "externalTrafficPolicy": policy,
                "ports": [{"port": 80, "targetPort": 8080, "nodePort": 31742, "protocol": "TCP"}]}})
    };
    let captured = |policy: &str, from: [u8; 4]| {
        let bytes = capture((LINK_B, POD_B), ((from, 45_187), SERVER), (51, 64), 0, true);
        analyze(&[inventories(Some(service(policy))), read("x.pcap", &bytes)].concat())
    };
    let report = captured("Local", [198, 51, 100, 7]);
    let via = report.paths[0].flow.via.as_ref().unwrap();
    assert_eq!((via.ip.as_str(), via.port), ("203.0.113.60", Some(31_742)));
    assert_eq!(request(&report).hops[1].owner, "igw:igw-1");
    assert!(captured("Cluster", [198, 51, 100, 7]).paths[0].flow.via.is_none(), "that would have hidden the client");
    assert!(captured("Local", [192, 168, 7, 7]).paths[0].flow.via.is_none(), "a VPN leads to pods");
}

#[test]
fn what_a_node_forwards_has_lost_one_of_its_ttl_there() {
    let placed = |ttls| {
        let report = analyze(&[inventories(None), read("x.pcap", &capture((ENI_A, ENI_B), (CLIENT, SERVER), ttls, 0, true))].concat());
        let p = &report.capture_points[0];
        (p.at.clone(), p.confidence)
    };
    let (at, p) = placed((63, 64));
    assert_eq!(at.unwrap(), format!("if:{A}/eth0"), "what B sends for its pod is fresh, so it was not captured at B");
    assert!(p > 0.9, "{p}");
    assert_eq!(placed((64, 63)).0.unwrap(), format!("if:{B}/eth0"));
    assert!(placed((63, 63)).1 < 0.6 && placed((64, 64)).1 < 0.6, "either end may be it");
}

#[test]
fn a_packet_at_the_nodes_end_of_a_pods_link_arrives() {
    let judged = |macs, ttls| {
        let report = analyze(&[inventories(None), read("x.pcap", &capture(macs, (CLIENT, SERVER), ttls, 0, false))].concat());
        (request(&report).verdict, request(&report).hops.iter().rposition(|h| h.observed), request(&report).hops.len())
    };
    let (verdict, last, hops) = judged((LINK_B, POD_B), (62, 0));
    assert_eq!((verdict, last), (Verdict::Delivered, Some(hops - 2)), "the pod's own end was not captured");
    assert_eq!(judged((ENI_A, ENI_B), (63, 0)).0, Verdict::Unknown, "node B may have dropped it");
}

#[test]
fn a_link_local_guest_is_nobody_outside() {
    let (guest, outside) = (([169, 254, 172, 2], 40_125), ([198, 51, 100, 7], 443));
    let captures = [
        read("1.pcap", &capture((POD_A, LINK_A), (guest, outside), (64, 51), 0, true)),
        read("2.pcap", &capture((ENI_A, ROUTER), (([10, 0, 1, 10], 2_047), outside), (63, 52), 40, true)),
        read("node/ip-addr.txt", b"2: eth0: <UP> mtu 9001\n    link/ether 0a:11:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n    inet 10.0.1.10/24 brd 10.0.1.255 scope global eth0\n"),
        read("node/ip-route.txt", b"default via 10.0.1.1 dev eth0 \n10.0.1.0/24 dev eth0 proto kernel scope link src 10.0.1.10 \n169.254.172.2 dev vethf4e299d5 scope link \n"),
    ];
    let report = analyze(&[inventories(None), captures.concat()].concat());
    assert_eq!(owner_of(&report, "169.254.172.2"), "unknown:169.254.172.2");
    let interfaces: Vec<_> = request(&report).hops.iter().map(|h| h.interface.as_deref().unwrap_or(&h.owner)).collect();
    let at = |id: &str| interfaces.iter().position(|i| *i == id).unwrap_or_else(|| panic!("{id} in {interfaces:?}"));
    assert!(at(&format!("if:{A}/vethf4e299d5")) < at(&format!("if:{A}/eth0")), "{interfaces:?}");
    assert!(at(&format!("if:{A}/eth0")) < at("igw:igw-1"), "{interfaces:?}");
}

#[test]
fn what_comes_from_another_hosts_eni_is_not_on_a_pods_link() {
    let link = capture((POD_A, LINK_A), (CLIENT, SERVER), (64, 62), 0, true);
    // The answers begin with a fresh TTL, as on the pod's own link; whose MAC they come from says that they are not there.
    let wire = capture((ENI_A, ENI_B), (CLIENT, SERVER), (63, 64), 40, true);
    let report = analyze(&[inventories(None), read("any.pcap", &any(&[(2, ENI_A, wire), (3, LINK_A, link)]))].concat());
    let at: Vec<_> = report.capture_points.iter().map(|p| p.at.as_deref().unwrap_or("-")).collect();
    assert_eq!(at[0], format!("if:{A}/eth0"), "{at:?}");
    assert!(at[1].starts_with(&format!("if:{A}/eni")), "{at:?}");
}

#[test]
fn the_order_of_two_captures_is_none_below_what_their_files_tell() {
    let us = capture((POD_A, LINK_A), (CLIENT, SERVER), (64, 62), 0, true);
    let surest = |other: &[u8]| {
        let report = analyze(&[inventories(None), read("1.pcap", &us), read("2.pcap", other)].concat());
        report.capture_points.iter().map(|p| p.confidence).fold(0.0, f64::max)
    };
    assert!(surest(&in_nanoseconds(&us, (900, 200))) < 0.9, "less than a microsecond apart");
    assert!(surest(&in_nanoseconds(&us, (9_000, 0))) > 0.9, "nine microseconds apart");
}
