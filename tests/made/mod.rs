//! Small networks and captures that tests make up: ENIs in one subnet, frames as a pcap file, inputs read from memory.
//! Knows formats; must not know what a test is about.
#![allow(dead_code, clippy::unwrap_used, clippy::disallowed_methods, unreachable_pub)]

use hopscope::analysis::analyze;
use hopscope::ingest::{Ingest, Ingested};
use hopscope::report::Report;

/// `count` nodes with one ENI each, in one subnet: 10.0.0.1, 10.0.0.2 …
pub fn enis(count: u8) -> String {
    let eni = |n: u8| {
        format!(
            r#"{{"NetworkInterfaceId": "eni-{n}", "MacAddress": "02:00:00:00:00:0{n}", "PrivateIpAddress": "10.0.0.{n}", "SubnetId": "subnet-1",
            "VpcId": "vpc-1", "Attachment": {{"InstanceId": "i-{n}", "DeviceIndex": 0}},
            "PrivateIpAddresses": [{{"Primary": true, "PrivateIpAddress": "10.0.0.{n}"}}]}}"#
        )
    };
    format!(r#"{{"NetworkInterfaces": [{}]}}"#, (1..=count).map(eni).collect::<Vec<_>>().join(", "))
}

/// When the frames of a capture begin, in microseconds since 1970.
pub const BEGIN: i64 = 1_700_000_000_000_000;

/// Ethernet frames with their times, microseconds after [`BEGIN`].
pub fn pcap(frames: impl IntoIterator<Item = (i64, Vec<u8>)>) -> Vec<u8> {
    let mut pcap = [0xa1b2_c3d4_u32.to_le_bytes(), [2, 0, 4, 0], [0; 4], [0; 4], 65_535_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat();
    for (at, frame) in frames {
        let (time, len) = (BEGIN + at, u32::try_from(frame.len()).unwrap());
        let [seconds, micros] = [time / 1_000_000, time % 1_000_000].map(|x| u32::try_from(x).unwrap());
        pcap.extend([seconds, micros, len, len].iter().flat_map(|x| x.to_le_bytes()));
        pcap.extend(frame);
    }
    pcap
}

pub fn read(name: &str, bytes: &[u8]) -> Vec<Ingested> {
    let mut ingest = Ingest::new(name);
    ingest.push(bytes);
    ingest.finish()
}

/// What captures in the network of [`enis`] show.
pub fn report(nodes: u8, captures: impl IntoIterator<Item = (&'static str, Vec<u8>)>) -> Report {
    let mut inputs = read("enis.json", enis(nodes).as_bytes());
    inputs.extend(captures.into_iter().flat_map(|(name, bytes)| read(name, &bytes)));
    analyze(&inputs)
}
