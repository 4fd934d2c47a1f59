//! VPC traffic mirroring: a copy that arrives at a collector in VXLAN is a sighting at the ENI that it was copied at.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

use hopscope::analysis::analyze;
use hopscope::ingest::Ingest;

/// Two nodes and a collector, each with one ENI in one subnet: 10.0.0.1, 10.0.0.2, 10.0.0.3.
fn enis() -> String {
    let eni = |n: u8| {
        format!(
            r#"{{"NetworkInterfaceId": "eni-{n}", "MacAddress": "02:00:00:00:00:0{n}", "PrivateIpAddress": "10.0.0.{n}", "SubnetId": "subnet-1",
            "VpcId": "vpc-1", "Attachment": {{"InstanceId": "i-{n}", "DeviceIndex": 0}},
            "PrivateIpAddresses": [{{"Primary": true, "PrivateIpAddress": "10.0.0.{n}"}}]}}"#
        )
    };
    format!(r#"{{"NetworkInterfaces": [{}, {}, {}]}}"#, eni(1), eni(2), eni(3))
}

/// An Ethernet frame with a UDP datagram from 10.0.0.`from` to 10.0.0.`to`.
fn udp(from: u8, to: u8, ports: (u16, u16), id: u16, data: &[u8]) -> Vec<u8> {
    let mut f = vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 8, 0, 0x45, 0];
    f.extend(u16::try_from(28 + data.len()).unwrap().to_be_bytes());
    f.extend(id.to_be_bytes());
    f.extend([0x40, 0, 64, 17, 0, 0, 10, 0, 0, from, 10, 0, 0, to]);
    f.extend(ports.0.to_be_bytes());
    f.extend(ports.1.to_be_bytes());
    f.extend(u16::try_from(8 + data.len()).unwrap().to_be_bytes());
    f.extend([0, 0]);
    f.extend(data);
    f
}

#[test]
fn a_mirrored_copy_is_seen_where_it_was_copied() {
    let mut pcap = [0xa1b2_c3d4_u32.to_le_bytes(), [2, 0, 4, 0], [0; 4], [0; 4], 65_535_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat();
    for n in 0..4_u8 {
        let inner = udp(1, 2, (40_000, 9000), 100 + u16::from(n), &[n; 40]);
        let vxlan = [&[8, 0, 0, 0, 0, 0, 7, 0][..], &inner].concat();
        let outer = udp(1, 3, (65_000, 4789), 900 + u16::from(n), &vxlan);
        let len = u32::try_from(outer.len()).unwrap();
        pcap.extend([1_700_000_000, u32::from(n), len, len].iter().flat_map(|x: &u32| x.to_le_bytes()));
        pcap.extend(outer);
    }
    let read = |name: &str, bytes: &[u8]| {
        let mut ingest = Ingest::new(name);
        ingest.push(bytes);
        ingest.finish()
    };
    let inputs = [read("copies.pcap", &pcap), read("enis.json", enis().as_bytes())].concat();
    let report = analyze(&inputs);
    let path = report.paths.iter().find(|p| p.flow.client.ip == "10.0.0.1").unwrap();
    let hop = path.directions[0].hops.iter().find(|h| h.observed).unwrap();
    assert_eq!(hop.interface.as_deref(), Some("if:instance:i-1/eth0"));
    assert_eq!((hop.src_mac.as_deref(), hop.dst_mac.as_deref()), (Some("02:00:00:00:00:01"), Some("02:00:00:00:00:02")));
    assert!(hop.encapsulation.is_empty());
    assert!(!path.directions[0].hops.iter().any(|h| h.owner == "instance:i-3"), "the collector is not on the way");
}
