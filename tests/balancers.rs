//! A Network Load Balancer that keeps its clients' addresses: its packets never show it, the addresses that were dialled do.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

use etherparse::PacketBuilder;
use hopscope::analysis::analyze;
use hopscope::ingest::{Ingest, Ingested};
use hopscope::report::{Report, Way};
use serde_json::{Value, json};

const NODE: [u8; 6] = [0x0a, 0x11, 0, 0, 0, 1];
const ROUTER: [u8; 6] = [0x0a, 0xfe, 0, 0, 0, 1];
const NAME: &str = "ip-10-0-1-10.eu-west-1.compute.internal";

fn read(name: &str, bytes: &[u8]) -> Vec<Ingested> {
    let mut ingest = Ingest::new(name);
    ingest.push(bytes);
    ingest.finish()
}

/// A node with one ENI, which has a public address of its own or none, a service of type LoadBalancer, and its balancer.
fn inventories(node_is_public: bool) -> Vec<Ingested> {
    let address = |ip: &str, public: Option<&str>| {
        let mut a = json!({"PrivateIpAddress": ip, "Primary": true});
        if let Some(public) = public {
            a["Association"] = json!({"PublicIp": public});
        }
        a
    };
    let eni = |id: &str, mac: &str, description: &str, address: Value, at: Value| {
        json!({"NetworkInterfaceId": id, "InterfaceType": if at.is_null() { "network_load_balancer" } else { "interface" }, "MacAddress": mac,
            "Description": description, "SubnetId": "subnet-1", "VpcId": "vpc-1", "PrivateIpAddresses": [address], "Attachment": at})
    };
    let enis = json!({"NetworkInterfaces": [
        eni("eni-0node", "0a:11:00:00:00:01", "", address("10.0.1.10", node_is_public.then_some("203.0.113.50")), json!({"InstanceId": "i-0a", "DeviceIndex": 0})),
        eni("eni-0lb", "0a:22:00:00:00:02", "ELB net/k8s-shop-web-0123456789/50dc6c495c0c9188", address("10.0.1.99", Some("203.0.113.80")), Value::Null)]});
    let hostname = "k8s-shop-web-0123456789-50dc6c495c0c9188.elb.eu-west-1.amazonaws.com";
    let balancers = json!({"LoadBalancers": [{"LoadBalancerArn": "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/net/k8s-shop-web-0123456789/50dc6c495c0c9188",
        "DNSName": hostname, "LoadBalancerName": "k8s-shop-web-0123456789", "Scheme": "internet-facing", "VpcId": "vpc-1", "Type": "network"}]});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME}, "spec": {"providerID": "aws:///eu-west-1a/i-0a"},
            "status": {"addresses": [{"type": "InternalIP", "address": "10.0.1.10"}]}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"type": "LoadBalancer", "clusterIP": "172.20.0.9", "ports": [{"port": 80, "targetPort": 8080, "nodePort": 31742, "protocol": "TCP"}]},
            "status": {"loadBalancer": {"ingress": [{"hostname": hostname}]}}}]});
    let subnets = json!({"Subnets": [{"SubnetId": "subnet-1", "VpcId": "vpc-1", "CidrBlock": "10.0.1.0/24"}]});
    let gateways = json!({"InternetGateways": [{"InternetGatewayId": "igw-1", "Attachments": [{"State": "available", "VpcId": "vpc-1"}]}]});
    [("enis.json", enis), ("elbv2.json", balancers), ("kubectl.json", list), ("subnets.json", subnets), ("igw.json", gateways)]
        .map(|(name, v)| read(name, v.to_string().as_bytes()))
        .concat()
}

/// At the node's eth0: a SYN from outside to the node port, and the answer.
fn capture() -> Vec<u8> {
    let mut pcap = [0xa1b2_c3d4_u32.to_le_bytes(), [2, 0, 4, 0], [0; 4], [0; 4], 65_535_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat();
    for n in 0..2_u32 {
        let mut bytes = Vec::new();
        let (client, own) = ([198, 51, 100, 7], [10, 0, 1, 10]);
        if n == 0 {
            let tcp = PacketBuilder::ethernet2(ROUTER, NODE).ipv4(client, own, 52).tcp(45_187, 31_742, 100, 64_000).syn();
            tcp.write(&mut bytes, &[]).unwrap();
        } else {
            let tcp = PacketBuilder::ethernet2(NODE, ROUTER).ipv4(own, client, 63).tcp(31_742, 45_187, 900, 64_000).syn().ack(101);
            tcp.write(&mut bytes, &[]).unwrap();
        }
        let len = u32::try_from(bytes.len()).unwrap();
        pcap.extend([1_790_000_000, n * 500, len, len].iter().flat_map(|x| x.to_le_bytes()));
        pcap.extend(bytes);
    }
    pcap
}

fn owners(report: &Report, way: Way) -> Vec<&str> {
    let d = report.paths[0].directions.iter().find(|d| d.direction == way).unwrap();
    d.hops.iter().map(|h| h.owner.as_str()).collect()
}

#[test]
fn who_cannot_dial_the_node_has_dialled_its_balancer_and_is_answered_by_it() {
    let report = analyze(&[inventories(false), read("x.pcap", &capture())].concat());
    let there = owners(&report, Way::Request);
    let lb = "lb:k8s-shop-web-0123456789";
    let at = |hops: &[&str], owner: &str| hops.iter().position(|h| *h == owner).unwrap_or_else(|| panic!("{owner} in {hops:?}"));
    let node = format!("node:{NAME}");
    assert_eq!((at(&there, "external:198.51.100.7"), at(&there, "igw:igw-1"), at(&there, lb)), (0, 1, 2), "{there:?}");
    assert!(at(&there, lb) < at(&there, &node), "{there:?}");
    let back = owners(&report, Way::Reply);
    assert_eq!(back[0], node);
    assert!(at(&back, &node) < at(&back, lb) && at(&back, lb) < at(&back, "igw:igw-1"), "{back:?}");
    assert_eq!(back.last(), Some(&"external:198.51.100.7"));
    // What the Internet gateway made of the address that was dialled is the balancer's own.
    let request = &report.paths[0].directions[0];
    let dialled: Vec<_> = request.hops.iter().take(4).map(|h| h.dst_ip.as_deref().unwrap_or_default()).collect();
    assert_eq!(dialled, ["203.0.113.80", "203.0.113.80", "10.0.1.99", "10.0.1.10"], "{there:?}");
    let via = report.paths[0].flow.via.as_ref().unwrap();
    assert_eq!((via.ip.as_str(), via.port), ("203.0.113.80", Some(80)));
}

#[test]
fn a_node_with_a_public_address_was_dialled_itself() {
    let report = analyze(&[inventories(true), read("x.pcap", &capture())].concat());
    assert!(!owners(&report, Way::Request).iter().any(|o| o.starts_with("lb:")), "{:?}", owners(&report, Way::Request));
}
