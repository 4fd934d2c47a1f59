//! VPC traffic mirroring: a copy that arrives at a collector in VXLAN is a sighting at the ENI that it was copied at.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod made;

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
    let copy = |n: u8| {
        let inner = udp(1, 2, (40_000, 9000), 100 + u16::from(n), &[n; 40]);
        let vxlan = [&[8, 0, 0, 0, 0, 0, 7, 0][..], &inner].concat();
        (i64::from(n), udp(1, 3, (65_000, 4789), 900 + u16::from(n), &vxlan))
    };
    // Two nodes and a collector.
    let report = made::report(3, [("copies.pcap", made::pcap((0..4).map(copy)))]);
    let path = report.paths.iter().find(|p| p.flow.client.ip == "10.0.0.1").unwrap();
    let hop = path.directions[0].hops.iter().find(|h| h.observed).unwrap();
    assert_eq!(hop.interface.as_deref(), Some("if:instance:i-1/eth0"));
    assert_eq!((hop.src_mac.as_deref(), hop.dst_mac.as_deref()), (Some("02:00:00:00:00:01"), Some("02:00:00:00:00:02")));
    assert!(hop.encapsulation.is_empty());
    assert!(!path.directions[0].hops.iter().any(|h| h.owner == "instance:i-3"), "the collector is not on the way");
}
