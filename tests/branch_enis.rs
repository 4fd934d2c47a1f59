//! Security groups for pods: a pod's branch ENI is a VLAN device on its node, and a VLAN on the wire of the node's trunk ENI.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

use etherparse::{PacketBuilder, TcpOptionElement};
use hopscope::analysis::analyze;
use hopscope::identify::inventory::host_veth_name;
use hopscope::ingest::{Ingest, Ingested};
use hopscope::report::{Report, Rewrite, Way};
use serde_json::json;

const POD: [u8; 6] = [0x2e, 0x10, 0, 0, 0, 1];
const LINK: [u8; 6] = [0x3e, 0x10, 0, 0, 0, 2];
const BRANCH: [u8; 6] = [0x0a, 0x58, 0xa9, 0x01, 0x02, 0x03];
const TRUNK: [u8; 6] = [0x0a, 0x11, 0x22, 0x33, 0x44, 0x55];
const ROUTER: [u8; 6] = [0x0a, 0xfe, 0, 0, 0, 1];
const OTHER: [u8; 6] = [0x0a, 0x66, 0, 0, 0, 9];
const NODE: &str = "ip-10-0-1-10.eu-west-1.compute.internal";

fn read(name: &str, bytes: &[u8]) -> Vec<Ingested> {
    let mut ingest = Ingest::new(name);
    ingest.push(bytes);
    ingest.finish()
}

fn mac(m: [u8; 6]) -> String {
    m.map(|b| format!("{b:02x}")).join(":")
}

/// As `kubectl` and `aws` print them: node A with a primary, a trunk and a branch ENI, node B with one.
fn inventories(lists_branch: bool) -> Vec<Ingested> {
    let annotation =
        json!([{"eniId": "eni-0branch", "ifAddress": mac(BRANCH), "privateIp": "10.0.9.77", "vlanId": 3, "subnetCidr": "10.0.9.0/24"}]);
    let node = |name: &str, instance: &str, ip: &str| {
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"providerID": format!("aws:///eu-west-1a/{instance}")},
            "status": {"addresses": [{"type": "InternalIP", "address": ip}]}})
    };
    let pod = |name: &str, on: &str, ip: &str, host: &str, annotations: serde_json::Value| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "annotations": annotations}, "spec": {"nodeName": on},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "hostIP": host}})
    };
    let other = "ip-10-0-2-20.eu-west-1.compute.internal";
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [node(NODE, "i-0a", "10.0.1.10"), node(other, "i-0b", "10.0.2.20"),
        pod("pay-0", NODE, "10.0.9.77", "10.0.1.10", json!({"vpc.amazonaws.com/pod-eni": annotation.to_string()})),
        pod("db-0", other, "10.0.2.31", "10.0.2.20", json!({}))]});
    let eni = |id: &str, kind: &str, m: [u8; 6], subnet: &str, ips: &[&str], at: serde_json::Value| {
        let ips: Vec<_> = ips.iter().enumerate().map(|(n, ip)| json!({"PrivateIpAddress": ip, "Primary": n == 0})).collect();
        json!({"NetworkInterfaceId": id, "InterfaceType": kind, "MacAddress": mac(m), "SubnetId": subnet, "VpcId": "vpc-1", "Status": "in-use",
            "PrivateIpAddresses": ips, "Attachment": at})
    };
    let at = |instance: &str, index: u8| json!({"InstanceId": instance, "DeviceIndex": index, "Status": "attached"});
    let mut enis = vec![
        eni("eni-0first", "interface", [0x0a, 1, 1, 1, 1, 1], "subnet-1", &["10.0.1.10"], at("i-0a", 0)),
        eni("eni-0trunk", "trunk", TRUNK, "subnet-1", &["10.0.1.11"], at("i-0a", 1)),
        eni("eni-0other", "interface", OTHER, "subnet-2", &["10.0.2.20", "10.0.2.31"], at("i-0b", 0)),
    ];
    if lists_branch {
        enis.push(eni("eni-0branch", "branch", BRANCH, "subnet-9", &["10.0.9.77"], serde_json::Value::Null));
    }
    let subnets = [("subnet-1", "10.0.1.0/24"), ("subnet-2", "10.0.2.0/24"), ("subnet-9", "10.0.9.0/24")]
        .map(|(id, cidr)| json!({"SubnetId": id, "VpcId": "vpc-1", "CidrBlock": cidr}));
    [
        read("kubectl.json", list.to_string().as_bytes()),
        read("enis.json", json!({"NetworkInterfaces": enis}).to_string().as_bytes()),
        read("subnets.json", json!({"Subnets": subnets}).to_string().as_bytes()),
    ]
    .concat()
}

/// Five packets each way at one interface, in microseconds after the start.
fn capture(late_us: u32, out: ([u8; 6], [u8; 6]), ttls: (u8, u8), vlan: Option<u16>) -> Vec<u8> {
    let mut pcap = [0xa1b2_c3d4_u32.to_le_bytes(), [2, 0, 4, 0], [0; 4], [0; 4], 65_535_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat();
    for n in 0..10_u32 {
        let goes = n % 2 == 0;
        let (src, dst) = if goes { out } else { (out.1, out.0) };
        let (from, to) = if goes { ([10, 0, 9, 77], [10, 0, 2, 31]) } else { ([10, 0, 2, 31], [10, 0, 9, 77]) };
        let ports = if goes { (41_000, 5432) } else { (5432, 41_000) };
        let ethernet = PacketBuilder::ethernet2(src, dst);
        let ip = |ttl| etherparse::Ipv4Header::new(0, ttl, etherparse::IpNumber::TCP, from, to).unwrap();
        let headers = etherparse::IpHeaders::Ipv4(ip(if goes { ttls.0 } else { ttls.1 }), etherparse::Ipv4Extensions::default());
        let tcp = match vlan {
            Some(id) => ethernet.single_vlan(id.try_into().unwrap()).ip(headers).tcp(ports.0, ports.1, 1000 + n, 64_000),
            None => ethernet.ip(headers).tcp(ports.0, ports.1, 1000 + n, 64_000),
        };
        let tcp = match n {
            0 => tcp.syn(),
            1 => tcp.syn().ack(1001),
            _ => tcp.ack(900 + n),
        };
        let mut bytes = Vec::new();
        let tcp = tcp.options(&[TcpOptionElement::Noop, TcpOptionElement::Noop, TcpOptionElement::Timestamp(5000 + n, 7 * n)]).unwrap();
        tcp.write(&mut bytes, &[]).unwrap();
        let late = if goes { late_us } else { 400 - late_us };
        let len = u32::try_from(bytes.len()).unwrap();
        pcap.extend([1_790_000_000, n * 10_000 + late, len, len].iter().flat_map(|x| x.to_le_bytes()));
        pcap.extend(bytes);
    }
    pcap
}

fn places(report: &Report) -> Vec<(&str, &str)> {
    let name = |input: &str| report.inputs.iter().find(|i| i.id == input).map(|i| i.name.as_str()).unwrap();
    report.capture_points.iter().map(|p| (name(&p.input), p.at.as_deref().unwrap_or("-"))).collect()
}

#[test]
fn a_branch_enis_vlan_is_a_hop_of_its_own() {
    let veth = host_veth_name("vlan", "shop", "pay-0");
    for lists_branch in [true, false] {
        let mut inputs = inventories(lists_branch);
        // Names that say nothing.
        inputs.extend(read("a.pcap", &capture(10, (POD, LINK), (64, 62), None)));
        inputs.extend(read("b.pcap", &capture(40, (BRANCH, ROUTER), (63, 63), None)));
        inputs.extend(read("c.pcap", &capture(60, (BRANCH, ROUTER), (63, 63), Some(3))));
        inputs.extend(read("d.pcap", &capture(200, ([0x0a, 0xfe, 0, 0, 0, 2], OTHER), (63, 63), None)));
        let report = analyze(&inputs);
        let on = |i: &str| format!("if:node:{NODE}/{i}");
        let at = places(&report);
        assert_eq!(at[1], ("b.pcap", on("vlan.eth.3").as_str()), "{at:?}");
        assert_eq!(at[2], ("c.pcap", on("eth1").as_str()), "{at:?}");
        let path = &report.paths[0];
        let way = |w: Way| {
            let hops = &path.directions.iter().find(|d| d.direction == w).unwrap().hops;
            hops.iter().map(|h| h.interface.clone().unwrap_or_else(|| h.owner.clone())).collect::<Vec<_>>()
        };
        let there = way(Way::Request);
        let want = [String::from("if:pod:shop/pay-0/eth0"), on(&veth), on("vlan.eth.3"), on("eth1")];
        assert_eq!(there[..4], want, "{there:#?}");
        assert!(there[4].starts_with("router:"), "{there:#?}");
        let back = way(Way::Reply);
        let last: Vec<String> = back.iter().rev().take(4).cloned().collect();
        assert_eq!(last, want, "{back:#?}");
        // The tag is put on between the two, and comes off on the way back.
        let request = &path.directions.iter().find(|d| d.direction == Way::Request).unwrap().hops;
        assert!(request[3].rewrites.contains(&Rewrite::Encap) && request[2].encapsulation.is_empty(), "{request:#?}");
        assert_eq!((request[3].encapsulation[0].kind.as_str(), request[3].encapsulation[0].vni), ("vlan", Some(3)));
        let reply = &path.directions.iter().find(|d| d.direction == Way::Reply).unwrap().hops;
        let own = reply.iter().find(|h| h.interface == Some(on("vlan.eth.3"))).unwrap();
        assert!(own.rewrites.contains(&Rewrite::Decap), "{own:#?}");
        let branch = report.entities.iter().find(|e| e.macs.contains(&mac(BRANCH)) && e.id.starts_with("if:")).unwrap();
        assert_eq!(branch.id, on("vlan.eth.3"));
        assert!(branch.aliases.iter().any(|a| a == "eni:eni-0branch"), "{:?}", branch.aliases);
    }
}

/// The wire of a trunk that carries two branch ENIs and its own traffic: no address is in every frame.
#[test]
fn a_capture_of_the_tag_alone_is_on_the_trunk_and_another_tag_is_not() {
    let mut inputs = inventories(true);
    inputs.extend(read("x.pcap", &capture(60, (BRANCH, ROUTER), (63, 63), Some(3))));
    let report = analyze(&inputs);
    assert_eq!(places(&report), [("x.pcap", format!("if:node:{NODE}/eth1").as_str())]);
    // Tag 4 is nobody's: the branch ENI's address alone says what it said before.
    let mut inputs = inventories(true);
    inputs.extend(read("x.pcap", &capture(60, (BRANCH, ROUTER), (63, 63), Some(4))));
    assert_ne!(places(&analyze(&inputs))[0].1, format!("if:node:{NODE}/eth1"));
}
