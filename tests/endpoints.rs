//! PrivateLink: what an interface endpoint takes comes out of a load balancer in another VPC, under other addresses.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod made;

use etherparse::PacketBuilder;
use hopscope::analysis::analyze;
use hopscope::report::Report;
use serde_json::json;

const CLIENT: ([u8; 6], [u8; 4]) = ([2, 0, 0, 0, 0, 1], [10, 0, 0, 1]);
const ENDPOINT: ([u8; 6], [u8; 4]) = ([2, 0, 0, 0, 0, 9], [10, 0, 0, 9]);
const BALANCER: ([u8; 6], [u8; 4]) = ([2, 0, 0, 0, 1, 9], [10, 1, 0, 9]);
const SERVER: ([u8; 6], [u8; 4]) = ([2, 0, 0, 0, 1, 2], [10, 1, 0, 2]);

/// A client's instance and the endpoint in one VPC; the balancer and its target in another.
fn enis(of_provider: bool) -> String {
    let eni = |n: usize, vpc: usize, (mac, ip): ([u8; 6], [u8; 4]), description: &str, kind: &str, instance: Option<&str>| {
        let mac = mac.map(|b| format!("{b:02x}")).join(":");
        let ip = ip.map(|b| b.to_string()).join(".");
        json!({"NetworkInterfaceId": format!("eni-{n}"), "MacAddress": mac, "PrivateIpAddress": ip, "SubnetId": format!("subnet-{vpc}"),
            "VpcId": format!("vpc-{vpc}"), "Description": description, "InterfaceType": kind,
            "Attachment": instance.map(|i| json!({"InstanceId": i, "DeviceIndex": 0})),
            "PrivateIpAddresses": [{"Primary": true, "PrivateIpAddress": ip}]})
    };
    let mut all = vec![
        eni(1, 1, CLIENT, "", "interface", Some("i-1")),
        eni(2, 1, ENDPOINT, "VPC Endpoint Interface vpce-0abc", "vpc_endpoint", None),
    ];
    if of_provider {
        all.push(eni(3, 2, BALANCER, "ELB net/pay/50dc6c495c0c9188", "network_load_balancer", None));
        all.push(eni(4, 2, SERVER, "", "interface", Some("i-2")));
    }
    json!({"NetworkInterfaces": all}).to_string()
}

/// A request and its answer, as both ends see them.
fn captures() -> [Vec<u8>; 2] {
    let frame = |from: ([u8; 6], [u8; 4]), to: ([u8; 6], [u8; 4]), ports: (u16, u16), seq: u32, data: &[u8]| {
        let mut bytes = Vec::new();
        let tcp = PacketBuilder::ethernet2(from.0, to.0).ipv4(from.1, to.1, 64).tcp(ports.0, ports.1, seq, 64_000).ack(seq);
        tcp.write(&mut bytes, data).unwrap();
        bytes
    };
    let at = |a, b, ports: (u16, u16), later| {
        made::pcap([
            (later, frame(a, b, ports, 1000, b"a question that is long enough")),
            (5000 - later, frame(b, a, (ports.1, ports.0), 7000, b"an answer")),
        ])
    };
    [at(CLIENT, ENDPOINT, (40_000, 443), 0), at(BALANCER, SERVER, (2048, 8443), 200)]
}

/// By direction, who had the packets.
fn owners(report: &Report) -> Vec<Vec<&str>> {
    report.paths[0].directions.iter().map(|d| d.hops.iter().map(|h| h.owner.as_str()).collect()).collect()
}

fn report(of_provider: bool) -> Report {
    let mut inputs = made::read("enis.json", enis(of_provider).as_bytes());
    for (name, bytes) in ["client.pcap", "server.pcap"].into_iter().zip(captures()) {
        inputs.extend(made::read(name, &bytes));
    }
    analyze(&inputs)
}

#[test]
fn an_endpoint_leads_to_its_services_balancer_and_back() {
    let report = report(true);
    assert_eq!(report.paths.len(), 1);
    let owners = owners(&report);
    let (request, reply) = (&owners[0], &owners[1]);
    assert_eq!(request[..], ["instance:i-1", "vpce:vpce-0abc", "lb:pay", "instance:i-2"]);
    assert!(reply.iter().eq(request.iter().rev()), "{reply:?}");
}

#[test]
fn beyond_an_endpoint_of_somebody_elses_service_nothing_is_made_up() {
    let report = report(false);
    let request = &owners(&report)[0];
    assert_eq!(request[..2], ["instance:i-1", "vpce:vpce-0abc"], "{request:?}");
    // The endpoint stands where it is, and not behind what was captured in the other VPC.
    assert_eq!(request.iter().filter(|o| o.starts_with("vpce:")).count(), 1, "{request:?}");
    assert!(report.paths[0].directions[0].hops.iter().skip(2).all(|h| h.observed), "{request:?}");
}
