//! Generated clusters: packets sent through a model of the VPC CNI's data plane, captured at some of the interfaces by clocks
//! that disagree, and the report compared with what really happened.
//!
//! The model here is written from the documentation of the CNI, of kube-proxy and of VPCs, apart from the engine's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

mod integrity;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use etherparse::{IpNumber, Ipv4Header, PacketBuilder, TcpOptionElement};
use hopscope::analysis::analyze;
use hopscope::digest::Rate;
use hopscope::identify::inventory::host_veth_name;
use hopscope::ingest::{Ingest, Ingested};
use hopscope::model::Mac;
use hopscope::report::{CapturePoint, EntityKind, Hop, Report, Verdict, Way};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::integrity::integrity;

/// Clusters in the accuracy test.
const CLUSTERS: usize = 150;

/// Of what is claimed with a confidence above 0.9, at most one in a hundred contradicts the truth; and less sure claims are
/// right as often as they say, at least.
#[test]
fn what_is_claimed_with_confidence_is_true() {
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let mut tally = Tally::default();
    for n in 0..CLUSTERS {
        let world = World::new(spec().new_tree(&mut runner).unwrap().current());
        tally.cluster = n;
        compare(&world, &analyze(&world.inputs()), &mut tally);
    }
    let mut table = String::new();
    for (kind, (right, wrong)) in &tally.claims {
        writeln!(table, "{kind:12} {right:6} right {wrong:4} wrong").unwrap();
    }
    println!("{table}{}", tally.wrong.join("\n"));
    for (tenth, (right, wrong)) in &tally.tenths {
        writeln!(table, "from 0.{tenth}     {right:6} right {wrong:4} wrong").unwrap();
    }
    println!("{table}{}", tally.wrong.join("\n"));
    for (tenth, (right, wrong)) in tally.tenths.iter().filter(|(_, (r, w))| r + w >= 100) {
        // An eighth off is within what chance does to a hundred claims of a few clusters.
        let share = *right as f64 / (right + wrong) as f64;
        assert!(share >= f64::from(*tenth) / 10.0 - 0.125, "overconfident from 0.{tenth}:\n{table}");
    }
    // A report that claims nothing would be right too.
    for kind in ["relay", "drift"] {
        assert!(tally.claims.get(kind).is_some_and(|c| c.0 >= 20), "too few of {kind} to tell:\n{table}");
    }
    for kind in ["placement", "mac", "hop", "verdict", "clock", "link"] {
        let (right, _) = tally.claims.get(kind).copied().unwrap_or_default();
        assert!(right >= CLUSTERS as u64, "too few claims to tell:\n{table}");
    }
    for (kind, (right, wrong)) in &tally.claims {
        assert!(wrong * 100 <= right + wrong, "{kind}:\n{table}\n{}", tally.wrong.join("\n"));
    }
}

/// The same of a sample of the packets, also of one so coarse that hardly more is kept than openings and ends.
#[test]
fn what_is_claimed_of_a_sample_is_true() {
    for one_in in [8, 64, 1024] {
        let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let mut tally = Tally::default();
        for n in 0..CLUSTERS / 2 {
            let world = World::new(spec().new_tree(&mut runner).unwrap().current());
            tally.cluster = n;
            let mut inputs = world.inputs();
            hopscope::sample::fit(&mut inputs, u64::MAX, Rate::one_in(one_in));
            compare(&world, &analyze(&inputs), &mut tally);
        }
        let mut table = format!("1 in {one_in}\n");
        for (kind, (right, wrong)) in &tally.claims {
            writeln!(table, "{kind:12} {right:6} right {wrong:4} wrong").unwrap();
        }
        println!("{table}{}", tally.wrong.join("\n"));
        for kind in ["placement", "mac", "hop", "verdict"] {
            let (right, wrong) = tally.claims.get(kind).copied().unwrap_or_default();
            // Of nearly nothing, little is claimed.
            let least = if one_in > 64 { 10 } else { 50 };
            assert!(right >= least, "too few claims to tell: {kind}\n{table}");
            assert!(wrong * 100 <= right + wrong, "{kind}:\n{table}\n{}", tally.wrong.join("\n"));
        }
    }
}

/// The same where inventories are missing: no more than one in a hundred of the sure claims is wrong, whatever is left.
#[test]
fn what_is_claimed_without_inventories_is_true() {
    for listed in [Listed::Kubectl, Listed::Aws, Listed::Hosts, Listed::Nothing] {
        let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let mut tally = Tally::default();
        for n in 0..CLUSTERS {
            let mut world = World::new(spec().new_tree(&mut runner).unwrap().current());
            (world.listed, world.has_arp) = (listed, n % 3 != 0);
            tally.cluster = n;
            let mut report = analyze(&world.inputs());
            world.give_names(&mut report);
            compare(&world, &report, &mut tally);
        }
        let mut table = format!("{listed:?}\n");
        for (kind, (right, wrong)) in &tally.claims {
            writeln!(table, "{kind:12} {right:6} right {wrong:4} wrong").unwrap();
        }
        for (tenth, (right, wrong)) in &tally.tenths {
            writeln!(table, "from 0.{tenth}     {right:6} right {wrong:4} wrong").unwrap();
        }
        println!("{table}{}", tally.wrong.join("\n"));
        for kind in ["placement", "mac", "hop", "verdict", "clock", "link"] {
            let (right, _) = tally.claims.get(kind).copied().unwrap_or_default();
            assert!(right >= 50, "too few claims to tell: {kind}\n{table}");
        }
        // Losses are claimed seldom: of few claims none may be wrong.
        for (kind, (right, wrong)) in &tally.claims {
            assert!(wrong * 100 <= right + wrong, "{kind}:\n{table}\n{}", tally.wrong.join("\n"));
        }
    }
}

/// The same where nodes put each other's packets into tunnels, and where the VPC mirrors an ENI's frames to another host.
#[test]
fn what_is_claimed_of_tunnels_and_of_mirrored_frames_is_true() {
    for wire in [Wire::Tunnel(Tunnel::Vxlan), Wire::Tunnel(Tunnel::Geneve), Wire::Mirrored] {
        let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let mut tally = Tally::default();
        let (mut by_device, mut copies) = (0, 0);
        for n in 0..CLUSTERS {
            let world = World::over(spec().new_tree(&mut runner).unwrap().current(), wire);
            let mut report = analyze(&world.inputs());
            world.give_names(&mut report);
            tally.cluster = n;
            compare(&world, &report, &mut tally);
            let hops = || report.paths.iter().flat_map(|p| &p.directions).flat_map(|d| &d.hops).filter(|h| h.observed);
            by_device += hops().filter(|h| world.tunnels.iter().any(|i| Some(world.interfaces[*i].report_id()) == h.interface)).count();
            let taken_at = world.taken_at(&report);
            let is_copy = |h: &&Hop| h.capture_points.iter().any(|p| Some(taken_at[p.as_str()].report_id()) != h.interface);
            copies += hops().filter(is_copy).count() * usize::from(wire == Wire::Mirrored);
        }
        let mut table = format!("{wire:?}: {by_device} hops seen at tunnel devices, {copies} by copies\n");
        for (kind, (right, wrong)) in &tally.claims {
            writeln!(table, "{kind:12} {right:6} right {wrong:4} wrong").unwrap();
        }
        println!("{table}{}", tally.wrong.join("\n"));
        assert!(if wire == Wire::Mirrored { copies >= 100 } else { by_device >= 100 }, "{table}");
        for kind in ["placement", "mac", "hop", "verdict"] {
            let (right, _) = tally.claims.get(kind).copied().unwrap_or_default();
            assert!(right >= 100, "too few claims to tell: {kind}\n{table}");
        }
        for (kind, (right, wrong)) in &tally.claims {
            assert!(wrong * 100 <= right + wrong, "{kind}:\n{table}\n{}", tally.wrong.join("\n"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever was captured: the order of inputs does not show, a hop is observed only where a capture holds its packets,
    /// a clock's error stays within its bound, and nothing that arrived is called lost.
    #[test]
    fn no_report_says_what_no_capture_shows(spec in spec(), turn in 0_usize..64) {
        let world = World::new(spec);
        let mut inputs = world.inputs();
        let report = analyze(&inputs);
        let all = inputs.len();
        inputs.rotate_left(turn % all);
        inputs.swap(0, turn * 7 % all);
        prop_assert_eq!(report.to_json().unwrap(), analyze(&inputs).to_json().unwrap());

        let taken_at = world.taken_at(&report);
        for path in &report.paths {
            for d in &path.directions {
                for h in &d.hops {
                    let (Some(src), Some(dst)) = (&h.src_ip, &h.dst_ip) else { continue };
                    for point in &h.capture_points {
                        let at = taken_at[point.as_str()];
                        let seen = world.stops().any(|s| s.interface == Some(at.id) && s.tuple.src.to_string() == *src && s.tuple.dst.to_string() == *dst);
                        prop_assert!(seen, "{} never passed {} from {src} to {dst}", path.id, at.name);
                    }
                    prop_assert_eq!(h.observed, !h.capture_points.is_empty());
                }
            }
        }
        let mut tally = Tally::default();
        compare(&world, &report, &mut tally);
        for kind in ["clock", "loss"] {
            prop_assert_eq!(tally.claims.get(kind).map_or(0, |c| c.1), 0, "{:?}", tally.wrong);
        }
    }

    /// Whatever of it is missing or cut: everything that the report names exists, and what it says stands where it says.
    #[test]
    fn any_part_of_it_makes_a_whole_report(spec in spec(), kept in any::<u64>(), cut in any::<(prop::sample::Index, prop::sample::Index)>()) {
        let world = World::new(spec);
        let files = world.files().into_iter().enumerate().filter(|(n, _)| kept >> (n % 64) & 1 == 1).map(|(_, f)| f);
        let mut files: BTreeMap<String, Vec<u8>> = files.collect();
        let captures: Vec<String> = files.keys().filter(|n| n.ends_with(".pcap")).cloned().collect();
        if !captures.is_empty() {
            let file = files.get_mut(&captures[cut.0.index(captures.len())]).unwrap();
            file.truncate(24 + cut.1.index(file.len()));
        }
        let inputs: Vec<Ingested> = files.iter().flat_map(|(name, bytes)| ingest(name, bytes)).collect();
        integrity(&files, &analyze(&inputs), false);
    }
}

// What is generated.

#[derive(Clone, Debug)]
struct Spec {
    nodes: Vec<NodeSpec>,
    flows: Vec<FlowSpec>,
    /// Which interfaces are captured, one bit each.
    captured: u64,
    /// One decimal digit of a word for each optional input.
    has_instances: bool,
    has_services: bool,
    has_gateway: bool,
    files_are_named: bool,
    is_micros: bool,
    first_ttl: u8,
    snaplen: usize,
    /// Seconds between packets, and more of them: long enough for drifting clocks to show.
    is_long: bool,
    /// Requests that one pod passes on to another.
    proxied: Vec<Proxied>,
}

/// A connection to a pod, which asks another pod the same over a connection of its own.
#[derive(Clone, Copy, Debug)]
struct Proxied {
    pods: (usize, usize, usize),
    /// Which of a few things it asks for: others may ask for the same.
    what: u8,
    /// It says who asked.
    forwards: bool,
    start_us: i64,
}

#[derive(Clone, Debug)]
struct NodeSpec {
    subnet: usize,
    has_second_eni: bool,
    /// One for each pod: whether its address is on the second ENI.
    pods: Vec<bool>,
    has_neighbours: bool,
    /// `ip addr` of the host is there.
    has_addresses: bool,
    /// One capture with `-i any` (Linux cooked, version 2) for all of the node's own interfaces.
    is_any: bool,
    /// How far its clock is off at first.
    clock_ns: i64,
    /// What it gains, in parts in a billion.
    drift_ppb: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    PodToPod,
    PodToService,
    OutsideToNodePort,
    PodToOutside,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
    Icmp,
}

#[derive(Clone, Debug)]
struct FlowSpec {
    kind: Kind,
    transport: Transport,
    from: usize,
    to: usize,
    keeps_port: bool,
    packets: usize,
    /// The way there ends after this many stops.
    lost_after: Option<usize>,
    /// Microseconds from one stop to the next.
    delay_us: i64,
    start_us: i64,
}

fn spec() -> impl Strategy<Value = Spec> {
    let pods = prop::collection::vec(any::<bool>(), 1..4);
    let drift = prop_oneof![1 => Just(0_i64), 1 => -80_000_i64..80_000];
    let node = (0_usize..3, any::<bool>(), pods, any::<(bool, bool)>(), 0_u8..5, -5_000_000_000_i64..5_000_000_000, drift).prop_map(
        |(subnet, has_second_eni, pods, (has_neighbours, has_addresses), any, clock_ns, drift_ppb)| NodeSpec {
            subnet,
            has_second_eni,
            pods,
            has_neighbours,
            has_addresses,
            is_any: any == 0,
            clock_ns,
            drift_ppb,
        },
    );
    let kind = prop_oneof![
        4 => Just(Kind::PodToPod), 3 => Just(Kind::PodToService), 2 => Just(Kind::OutsideToNodePort), 2 => Just(Kind::PodToOutside),
    ];
    let transport = prop_oneof![3 => Just(Transport::Tcp), 1 => Just(Transport::Udp), 1 => Just(Transport::Icmp)];
    let lost = prop_oneof![5 => Just(None), 1 => (1_usize..8).prop_map(Some)];
    let flow = (kind, transport, any::<(usize, usize, bool)>(), 2_usize..8, lost, 4_i64..60, 0_i64..200_000).prop_map(
        |(kind, transport, (from, to, keeps_port), packets, lost_after, delay_us, start_us)| FlowSpec {
            kind,
            transport,
            from,
            to,
            keeps_port,
            packets,
            lost_after,
            delay_us,
            start_us,
        },
    );
    let ttl = prop_oneof![Just(64_u8), Just(128), Just(255)];
    let snaplen = prop_oneof![3 => Just(262_144_usize), 1 => Just(128), 1 => Just(96)];
    let bits = any::<(u64, u64, bool, bool, bool, bool, bool)>();
    let proxied = (any::<(usize, usize, usize)>(), 0_u8..3, any::<bool>(), 0_i64..200_000)
        .prop_map(|(pods, what, forwards, start_us)| Proxied { pods, what, forwards, start_us });
    let more = (prop_oneof![5 => Just(false), 1 => Just(true)], prop::collection::vec(proxied, 0..3));
    (prop::collection::vec(node, 1..4), prop::collection::vec(flow, 1..6), bits, ttl, snaplen, more).prop_map(
        |(nodes, flows, (a, b, has_instances, has_services, has_gateway, files_are_named, is_micros), first_ttl, snaplen, more)| Spec {
            nodes,
            flows,
            // Three interfaces of four.
            captured: a | b,
            has_instances,
            has_services,
            has_gateway,
            files_are_named,
            is_micros,
            first_ttl,
            snaplen,
            is_long: more.0,
            proxied: more.1,
        },
    )
}

// What it makes.

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tuple {
    transport: u8,
    src: Ipv4Addr,
    src_port: u16,
    dst: Ipv4Addr,
    dst_port: u16,
}

impl Tuple {
    fn reversed(self) -> Self {
        Self { src: self.dst, src_port: self.dst_port, dst: self.src, dst_port: self.src_port, ..self }
    }
}

/// Interface of a node or pod, which can be captured.
#[derive(Clone, Debug)]
struct Interface {
    id: usize,
    owner: String,
    name: String,
    mac: Mac,
    /// Whose clock captures on it follow.
    node: usize,
}

impl Interface {
    fn report_id(&self) -> String {
        format!("if:{}/{}", self.owner, self.name)
    }
}

#[derive(Clone, Debug)]
struct Pod {
    name: String,
    ip: Ipv4Addr,
    node: usize,
    /// Index of the node's ENI that has its address.
    eni: usize,
    eth0: usize,
    veth: usize,
}

#[derive(Clone, Debug)]
struct Node {
    name: String,
    subnet: usize,
    /// Addresses: the ENI's own first.
    enis: Vec<(usize, Vec<Ipv4Addr>)>,
}

/// What lies between two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    /// The VPC CNI's: pods have addresses of the VPC.
    Plain,
    /// Pods have addresses of their own, and nodes put their packets into others of theirs (Calico's VXLAN, OVN's and Cilium's Geneve).
    Tunnel(Tunnel),
    /// The VPC CNI's, and one ENI's frames are mirrored to another node.
    Mirrored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tunnel {
    Vxlan,
    Geneve,
}

impl Tunnel {
    fn device(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan.calico",
            Self::Geneve => "genev_sys_6081",
        }
    }

    /// As `ip -d link` describes the device.
    fn details(self, own: Ipv4Addr) -> String {
        match self {
            Self::Vxlan => format!("    vxlan id 4096 local {own} dev eth0 srcport 0 0 dstport 4789 nolearning ttl auto ageing 300\n"),
            Self::Geneve => "    geneve external id 0 ttl auto dstport 6081 udpcsum\n".to_owned(),
        }
    }
}

/// The packet around another.
#[derive(Clone, Copy, Debug)]
struct Outer {
    kind: Tunnel,
    ends: (Ipv4Addr, Ipv4Addr),
    macs: (Mac, Mac),
    ttl: u8,
}

impl Outer {
    /// RFC 7348, RFC 8926: UDP, eight octets, and the frame.
    fn around(&self, frame: &[u8]) -> Vec<u8> {
        let head: [u8; 8] = match self.kind {
            Tunnel::Vxlan => [8, 0, 0, 0, 0, 0x10, 0, 0],
            Tunnel::Geneve => [0, 0, 0x65, 0x58, 0, 0x10, 0, 0],
        };
        let port = if self.kind == Tunnel::Vxlan { 4789 } else { 6081 };
        // Both ends' ports and addresses make the source port, so that one flow keeps to one way.
        let from = 0xc000 | frame[26..38].iter().fold(7_u16, |a, b| a.wrapping_mul(31).wrapping_add(u16::from(*b))) >> 2;
        let builder = PacketBuilder::ethernet2(self.macs.0.0, self.macs.1.0).ipv4(self.ends.0.octets(), self.ends.1.octets(), self.ttl);
        let mut bytes = Vec::new();
        builder.udp(from, port).write(&mut bytes, &[&head[..], frame].concat()).unwrap();
        bytes
    }
}

/// A place that a packet passes, and what it looks like there.
#[derive(Clone, Debug)]
struct Stop {
    outer: Option<Outer>,
    owner: String,
    /// `None`: routers and what is outside.
    interface: Option<usize>,
    tuple: Tuple,
    ttl: u8,
    macs: (Mac, Mac),
}

#[derive(Clone, Debug)]
struct Flow {
    spec: FlowSpec,
    /// There and back.
    ways: [Vec<Stop>; 2],
    /// What its requests say, where it is one side of a proxy.
    asks: Option<String>,
    /// The flow that continues it behind a proxy.
    behind: Option<usize>,
}

/// Which inventories were collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code)]
enum Listed {
    All,
    Kubectl,
    Aws,
    Hosts,
    Nothing,
}

#[derive(Debug)]
struct World {
    spec: Spec,
    listed: Listed,
    /// Hosts are seen asking for their gateways and their pods.
    has_arp: bool,
    nodes: Vec<Node>,
    pods: Vec<Pod>,
    interfaces: Vec<Interface>,
    flows: Vec<Flow>,
    wire: Wire,
    /// Each node's tunnel device, where there are any.
    tunnels: Vec<usize>,
    /// An ENI, and the node that gets copies of its frames.
    mirrored: Option<(usize, usize)>,
}

/// When it all begins.
const BEGIN: i64 = 1_790_000_000_000_000_000;
const SERVICE_PORT: u16 = 80;
const TARGET_PORT: u16 = 8080;
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

fn mac(kind: u8, number: usize) -> Mac {
    // Mixed, so that no two look alike by accident of counting.
    let n = (number as u32 + 1).wrapping_mul(0x9e37_79b1) ^ (u32::from(kind) << 24);
    let [a, b, c, d] = n.to_be_bytes();
    Mac([0x02 | (kind << 4), a, b, c, d, number as u8])
}

fn router_mac(subnet: usize) -> Mac {
    mac(15, subnet)
}

fn node_port(pod: usize) -> u16 {
    30_100 + pod as u16
}

fn service_ip(pod: usize) -> Ipv4Addr {
    Ipv4Addr::new(172, 20, 0, 10 + pod as u8)
}

impl World {
    fn new(spec: Spec) -> Self {
        Self::over(spec, Wire::Plain)
    }

    fn over(spec: Spec, wire: Wire) -> Self {
        let mut world = Self {
            nodes: Vec::new(),
            pods: Vec::new(),
            interfaces: Vec::new(),
            flows: Vec::new(),
            spec,
            listed: Listed::All,
            has_arp: false,
            wire,
            tunnels: Vec::new(),
            mirrored: None,
        };
        for (n, node) in world.spec.nodes.clone().iter().enumerate() {
            let ip = |eni: usize, host: usize| Ipv4Addr::new(10, 7, node.subnet as u8, (20 + n * 60 + eni * 30 + host) as u8);
            let name = format!("{}.eu-central-1.compute.internal", ip(0, 0).to_string().replace('.', "-")).replacen("10-", "ip-10-", 1);
            let owner = format!("node:{name}");
            let mut enis = Vec::new();
            for eni in 0..=usize::from(node.has_second_eni) {
                let id = world.interface(&owner, &format!("eth{eni}"), mac(1, n * 2 + eni), n);
                enis.push((id, vec![ip(eni, 0)]));
            }
            if let Wire::Tunnel(kind) = wire {
                let id = world.interface(&owner, kind.device(), mac(4, n), n);
                world.tunnels.push(id);
            }
            for (p, on_second) in node.pods.iter().enumerate() {
                let eni = usize::from(*on_second && node.has_second_eni && world.tunnels.is_empty());
                let name = format!("{}-{n}-{p}", ["cart", "ads", "geo"][p % 3]);
                let number = world.pods.len();
                let eth0 = world.interface(&format!("pod:shop/{name}"), "eth0", mac(2, number), n);
                let prefix = if world.tunnels.is_empty() { "eni" } else { "cali" };
                let veth = world.interface(&owner, &host_veth_name(prefix, "shop", &name), mac(3, number), n);
                let ip = if world.tunnels.is_empty() { ip(eni, p + 1) } else { Ipv4Addr::new(10, 244, n as u8, 2 + p as u8) };
                if world.tunnels.is_empty() {
                    enis[eni].1.push(ip);
                }
                world.pods.push(Pod { name, ip, node: n, eni, eth0, veth });
            }
            world.nodes.push(Node { name, subnet: node.subnet, enis });
        }
        for (n, flow) in world.spec.flows.clone().into_iter().enumerate() {
            world.flow(n, flow);
        }
        for p in world.spec.proxied.clone() {
            world.proxied(p);
        }
        if let (Wire::Mirrored, Some(last)) = (wire, world.nodes.len().checked_sub(1).filter(|last| *last > 0)) {
            world.mirrored = Some((world.nodes[0].enis[0].0, last));
        }
        world
    }

    fn proxied(&mut self, p: Proxied) {
        let all = self.pods.len();
        let (client, proxy, server) = (p.pods.0 % all, p.pods.1 % all, p.pods.2 % all);
        if client == proxy || proxy == server || client == server {
            return;
        }
        let front = self.flows.len();
        let side = |from: usize, to: usize, start_us: i64| FlowSpec {
            kind: Kind::PodToPod,
            transport: Transport::Tcp,
            from,
            to,
            keeps_port: true,
            packets: 3,
            lost_after: None,
            delay_us: 20,
            start_us,
        };
        self.flow(front, side(client, proxy, p.start_us));
        self.flow(front + 1, side(proxy, server, p.start_us + 1500));
        let asks = format!("GET /thing/{} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: generated\r\n", p.what);
        let says = if p.forwards { format!("X-Forwarded-For: {}\r\n", self.pods[client].ip) } else { String::new() };
        self.flows[front].asks = Some(format!("{asks}\r\n"));
        self.flows[front].behind = Some(front + 1);
        self.flows[front + 1].asks = Some(format!("{asks}{says}\r\n"));
    }

    /// What a node's clock shows too much.
    fn clock(&self, node: usize, time: i64) -> i64 {
        let n = &self.spec.nodes[node];
        n.clock_ns + i64::try_from(i128::from(time - BEGIN) * i128::from(n.drift_ppb) / 1_000_000_000).unwrap()
    }

    fn interface(&mut self, owner: &str, name: &str, mac: Mac, node: usize) -> usize {
        let id = self.interfaces.len();
        self.interfaces.push(Interface { id, owner: owner.to_owned(), name: name.to_owned(), mac, node });
        id
    }

    fn flow(&mut self, n: usize, mut spec: FlowSpec) {
        let pods = self.pods.len();
        (spec.from, spec.to) = (spec.from % pods, spec.to % pods);
        let nodes = self.nodes.len();
        if !self.tunnels.is_empty() {
            // What such clusters do to what comes from outside is another matter.
            spec.kind = if spec.kind == Kind::PodToService { Kind::PodToService } else { Kind::PodToPod };
            spec.to = if spec.from == spec.to { (spec.to + 1) % pods } else { spec.to };
            if pods == 1 {
                return;
            }
        }
        let to_itself = spec.from == spec.to && matches!(spec.kind, Kind::PodToPod | Kind::PodToService);
        if to_itself {
            spec.kind = Kind::PodToOutside;
        }
        // Two pings between the same two ends are told apart by their identifier, which no report has: one of them will do.
        let pings_already = self.flows.iter().any(|f| f.spec.transport == Transport::Icmp);
        if spec.transport == Transport::Icmp && (pings_already || !matches!(spec.kind, Kind::PodToPod)) {
            spec.transport = Transport::Udp;
        }
        let transport = match spec.transport {
            Transport::Tcp => 6,
            Transport::Udp => 17,
            Transport::Icmp => 1,
        };
        let client_port = 40_000 + 13 * n as u16;
        let masqueraded = if spec.keeps_port { client_port } else { 20_000 + 17 * n as u16 };
        let tuple = |src, src_port, dst, dst_port| {
            let port = |p| if transport == 1 { 0 } else { p };
            Tuple { transport, src, src_port: port(src_port), dst, dst_port: port(dst_port) }
        };
        let (a, b) = (&self.pods[spec.from], &self.pods[spec.to]);
        let ways = match spec.kind {
            Kind::PodToPod => {
                let t = tuple(a.ip, client_port, b.ip, TARGET_PORT);
                [self.between(a, b, t, t), self.between(b, a, t.reversed(), t.reversed())]
            }
            Kind::PodToService => {
                let dialled = tuple(a.ip, client_port, service_ip(spec.to), SERVICE_PORT);
                let t = tuple(a.ip, client_port, b.ip, TARGET_PORT);
                // kube-proxy on the client's node rewrites, and rewrites the replies back.
                let mut back = self.between(b, a, t.reversed(), t.reversed());
                let last = back.len() - 2;
                back[last..].iter_mut().for_each(|s| s.tuple = dialled.reversed());
                [self.between(a, b, dialled, t), back]
            }
            Kind::OutsideToNodePort => {
                let x = spec.from % nodes;
                let own = self.nodes[x].enis[0].1[0];
                let dialled = tuple(OUTSIDE, client_port, own, node_port(spec.to));
                self.through_node_port(x, b, dialled, tuple(own, masqueraded, b.ip, TARGET_PORT))
            }
            Kind::PodToOutside => {
                let own = self.nodes[a.node].enis[0].1[0];
                let sent = tuple(a.ip, client_port, OUTSIDE, 443);
                self.to_outside(a, sent, tuple(own, masqueraded, OUTSIDE, 443))
            }
        };
        let mut flow = Flow { spec, ways, asks: None, behind: None };
        if let Some(after) = flow.spec.lost_after {
            // Between routers, or between a link and an ENI: a pod's link itself loses nothing.
            flow.spec.lost_after = Some(after).filter(|a| (2..=flow.ways[0].len() - 2).contains(a));
        }
        self.flows.push(flow);
    }

    fn stop(&self, interface: usize, tuple: Tuple, ttl: u8, macs: (Mac, Mac)) -> Stop {
        Stop { outer: None, owner: self.interfaces[interface].owner.clone(), interface: Some(interface), tuple, ttl, macs }
    }

    fn device(&self, owner: String, tuple: Tuple) -> Stop {
        Stop { outer: None, owner, interface: None, tuple, ttl: 0, macs: (Mac::default(), Mac::default()) }
    }

    fn mac_of(&self, interface: usize) -> Mac {
        self.interfaces[interface].mac
    }

    /// Out of a pod: its own end of the link and the node's.
    fn leaves(&self, pod: &Pod, tuple: Tuple) -> Vec<Stop> {
        let macs = (self.mac_of(pod.eth0), self.mac_of(pod.veth));
        [pod.eth0, pod.veth].map(|i| self.stop(i, tuple, self.spec.first_ttl, macs)).to_vec()
    }

    fn enters(&self, pod: &Pod, tuple: Tuple, ttl: u8) -> Vec<Stop> {
        let macs = (self.mac_of(pod.veth), self.mac_of(pod.eth0));
        [pod.veth, pod.eth0].map(|i| self.stop(i, tuple, ttl, macs)).to_vec()
    }

    /// From one node's ENI to another's. Only the primary ENI's table has the subnet's own route; all else goes by the router.
    fn over_the_wire(&self, from: (usize, usize), to: (usize, usize), tuple: Tuple, ttl: u8) -> Vec<Stop> {
        let eni = |(node, eni): (usize, usize)| self.nodes[node].enis[eni].0;
        let subnet = |(node, _): (usize, usize)| self.nodes[node].subnet;
        let (a, b) = (eni(from), eni(to));
        if subnet(from) == subnet(to) && from.1 == 0 {
            let macs = (self.mac_of(a), self.mac_of(b));
            return vec![self.stop(a, tuple, ttl, macs), self.stop(b, tuple, ttl, macs)];
        }
        vec![
            self.stop(a, tuple, ttl, (self.mac_of(a), router_mac(subnet(from)))),
            self.device(router_id(subnet(from)), tuple),
            self.stop(b, tuple, ttl, (router_mac(subnet(to)), self.mac_of(b))),
        ]
    }

    fn between(&self, a: &Pod, b: &Pod, sent: Tuple, tuple: Tuple) -> Vec<Stop> {
        let mut stops = self.leaves(a, sent);
        let ttl = self.spec.first_ttl - 1;
        if a.node == b.node {
            stops.extend(self.enters(b, tuple, ttl));
        } else if let Wire::Tunnel(kind) = self.wire {
            let own = |p: &Pod| self.nodes[p.node].enis[0].1[0];
            let devices = (self.tunnels[a.node], self.tunnels[b.node]);
            let inner = (self.mac_of(devices.0), self.mac_of(devices.1));
            stops.push(self.stop(devices.0, tuple, ttl, inner));
            for mut s in self.over_the_wire((a.node, 0), (b.node, 0), tuple, ttl) {
                let macs = std::mem::replace(&mut s.macs, inner);
                s.outer = s.interface.map(|_| Outer { kind, ends: (own(a), own(b)), macs, ttl: 64 });
                stops.push(s);
            }
            stops.push(self.stop(devices.1, tuple, ttl, inner));
            stops.extend(self.enters(b, tuple, ttl - 1));
        } else {
            stops.extend(self.over_the_wire((a.node, a.eni), (b.node, b.eni), tuple, ttl));
            stops.extend(self.enters(b, tuple, ttl - 1));
        }
        stops
    }

    /// kube-proxy on `x` rewrites both ends (externalTrafficPolicy Cluster).
    fn through_node_port(&self, x: usize, pod: &Pod, dialled: Tuple, tuple: Tuple) -> [Vec<Stop>; 2] {
        let (eth0, router) = (self.nodes[x].enis[0].0, self.nodes[x].subnet);
        let outside = |t: Tuple| [self.device(format!("external:{OUTSIDE}"), t), self.device(router_id(router), t)];
        let inward = (router_mac(router), self.mac_of(eth0));
        let mut there: Vec<Stop> = outside(dialled).to_vec();
        there.push(self.stop(eth0, dialled, 50, inward));
        let mut back = self.leaves(pod, tuple.reversed());
        let mut ttl = self.spec.first_ttl - 1;
        if pod.node == x {
            there.extend(self.enters(pod, tuple, 49));
        } else {
            there.extend(self.over_the_wire((x, 0), (pod.node, pod.eni), tuple, 49));
            there.extend(self.enters(pod, tuple, 48));
            back.extend(self.over_the_wire((pod.node, pod.eni), (x, 0), tuple.reversed(), ttl));
            ttl -= 1;
        }
        back.push(self.stop(eth0, dialled.reversed(), ttl, (inward.1, inward.0)));
        back.extend(outside(dialled.reversed()).into_iter().rev());
        [there, back]
    }

    /// The CNI's own source NAT: to the node's primary address, by its primary ENI.
    fn to_outside(&self, pod: &Pod, sent: Tuple, tuple: Tuple) -> [Vec<Stop>; 2] {
        let (eth0, router) = (self.nodes[pod.node].enis[0].0, self.nodes[pod.node].subnet);
        let outward = (self.mac_of(eth0), router_mac(router));
        let outside = |t: Tuple| [self.device(router_id(router), t), self.device(format!("external:{OUTSIDE}"), t)];
        let mut there = self.leaves(pod, sent);
        there.push(self.stop(eth0, tuple, self.spec.first_ttl - 1, outward));
        there.extend(outside(tuple));
        let mut back: Vec<Stop> = outside(tuple.reversed()).into_iter().rev().collect();
        back.push(self.stop(eth0, tuple.reversed(), 52, (outward.1, outward.0)));
        back.extend(self.enters(pod, sent.reversed(), 51));
        [there, back]
    }

    fn stops(&self) -> impl Iterator<Item = &Stop> {
        self.flows.iter().flat_map(|f| &f.ways).flatten()
    }

    /// The interface that each of the report's capture points is on.
    fn taken_at<'a>(&self, report: &'a Report) -> BTreeMap<&'a str, &Interface> {
        let one = |p: &'a CapturePoint| {
            let name = report.inputs.iter().find(|i| i.id == p.input).map(|i| i.name.as_str()).unwrap();
            let index = p.interface_name.as_deref();
            let fits = |i: &&Interface| {
                let is_named = index == Some(&ifindex(i).to_string()) || index == Some(&i.name);
                self.file_name(i) == name && (is_named || !self.is_any(i))
            };
            (p.id.as_str(), self.interfaces.iter().find(fits).unwrap_or_else(|| panic!("no capture {name} {index:?}")))
        };
        report.capture_points.iter().map(one).collect()
    }

    fn is_any(&self, i: &Interface) -> bool {
        self.spec.nodes[i.node].is_any && i.owner.starts_with("node:")
    }

    fn file_name(&self, i: &Interface) -> String {
        match self.spec.files_are_named {
            _ if self.is_any(i) => format!("captures/any{}.pcap", i.node),
            true => format!("captures/{}-{}.pcap", i.owner.replace(['/', ':'], "_"), i.name),
            // Not in the order of interfaces: nothing must follow from it.
            false => format!("captures/dump{}.pcap", i.id * 37 % 101),
        }
    }

    fn is_captured(&self, i: &Interface) -> bool {
        self.is_any(i) || self.spec.captured >> (i.id % 64) & 1 == 1
    }
}

/// The index that the kernel gives an interface, as `-i any` and `ip addr` show it.
fn ifindex(i: &Interface) -> u32 {
    2 + i.id as u32
}

fn subnet_id(n: usize) -> String {
    format!("subnet-0aa{n}")
}

fn router_id(n: usize) -> String {
    format!("router:{}", subnet_id(n))
}

// What is captured of it.

/// A frame and when it was captured.
type Timed = (i64, Vec<u8>);

/// One packet of a flow, as its sender made it.
struct Sent {
    way: usize,
    at_ns: i64,
    seq: u32,
    ack: u32,
    /// SYN, ACK, PSH.
    flags: (bool, bool, bool),
    id: u16,
    payload: Vec<u8>,
}

/// Opening, then data and answers in turn; a request that gets lost has no answer.
fn packets(flow: usize, Flow { spec, asks, .. }: &Flow, is_long: bool) -> Vec<Sent> {
    let mut sent = Vec::new();
    let mut seqs = [0x1000_0000 + 77_777 * flow as u32, 0x9000_0000 + 55_555 * flow as u32];
    let mut at_ns = BEGIN + spec.start_us * 1000;
    let (packets, apart) = if is_long { (spec.packets * 4, 2_000_000_000) } else { (spec.packets, 3_000_000) };
    for n in 0..packets * 2 {
        let way = n % 2;
        at_ns += apart;
        let is_opening = spec.transport == Transport::Tcp && n < 2;
        let said = match asks {
            Some(asks) if way == 0 => asks.clone(),
            _ => format!("flow {flow} way {way} message {:03} of many", n / 2),
        };
        let payload = if is_opening { Vec::new() } else { said.into_bytes() };
        if way == 1 && spec.lost_after.is_some() {
            continue;
        }
        let opens = spec.transport == Transport::Tcp && (is_opening || spec.lost_after.is_some());
        let (seq, length) = (seqs[way], if opens { 1 } else { payload.len() as u32 });
        sent.push(Sent {
            way,
            at_ns,
            seq,
            ack: if n == 0 { 0 } else { seqs[1 - way] },
            flags: (opens, way == 1 || !opens, !opens),
            id: (flow * 1000 + n * 3 + 1) as u16,
            payload: if opens { Vec::new() } else { payload },
        });
        // An opening that nobody answers is sent again as it was.
        if spec.lost_after.is_none() || spec.transport != Transport::Tcp {
            seqs[way] = seq + length;
        }
    }
    sent
}

fn frame(flow: usize, stop: &Stop, sent: &Sent) -> Vec<u8> {
    let t = stop.tuple;
    let mut ip = Ipv4Header::new(0, stop.ttl, IpNumber(t.transport), t.src.octets(), t.dst.octets()).unwrap();
    (ip.identification, ip.dont_fragment) = (sent.id, true);
    let builder =
        PacketBuilder::ethernet2(stop.macs.0.0, stop.macs.1.0).ip(etherparse::IpHeaders::Ipv4(ip, etherparse::Ipv4Extensions::default()));
    let mut bytes = Vec::new();
    match t.transport {
        6 => {
            let mut tcp = builder.tcp(t.src_port, t.dst_port, sent.seq, 64_000);
            tcp = if sent.flags.0 { tcp.syn() } else { tcp };
            tcp = if sent.flags.1 { tcp.ack(sent.ack) } else { tcp };
            tcp = if sent.flags.2 { tcp.psh() } else { tcp };
            let stamp = (sent.at_ns / 1_000_000) as u32;
            tcp.options(&[TcpOptionElement::Noop, TcpOptionElement::Noop, TcpOptionElement::Timestamp(stamp, sent.ack / 3)])
                .unwrap()
                .write(&mut bytes, &sent.payload)
                .unwrap();
        }
        17 => builder.udp(t.src_port, t.dst_port).write(&mut bytes, &sent.payload).unwrap(),
        _ => {
            let (id, seq) = (700 + flow as u16, sent.id / 6);
            let echo = if sent.way == 0 { builder.icmpv4_echo_request(id, seq) } else { builder.icmpv4_echo_reply(id, seq) };
            echo.write(&mut bytes, &sent.payload).unwrap();
        }
    }
    stop.outer.map_or_else(|| bytes.clone(), |outer| outer.around(&bytes))
}

fn ingest(name: &str, bytes: &[u8]) -> Vec<Ingested> {
    let mut ingest = Ingest::new(name);
    ingest.push(bytes);
    ingest.finish()
}

impl World {
    fn inputs(&self) -> Vec<Ingested> {
        self.files().iter().flat_map(|(name, bytes)| ingest(name, bytes)).collect()
    }

    /// The files that were collected, captures last.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<(String, Vec<u8>)> = self.inventories();
        let mut frames: BTreeMap<usize, Vec<Timed>> = BTreeMap::new();
        for (n, flow) in self.flows.iter().enumerate() {
            for sent in packets(n, flow, self.spec.is_long) {
                let stops = &flow.ways[sent.way];
                let passed = flow.spec.lost_after.unwrap_or(stops.len());
                for (s, stop) in stops.iter().take(passed).enumerate() {
                    let Some(interface) = stop.interface else { continue };
                    let jitter = (sent.at_ns / 1000 * 7 + s as i64 * 13) % 3000;
                    let at = sent.at_ns + s as i64 * flow.spec.delay_us * 1000 + jitter;
                    let bytes = frame(n, stop, &sent);
                    if let Some((_, target)) = self.mirrored.filter(|m| m.0 == interface) {
                        let at = at + 120_000;
                        let copy = (at + self.clock(target, at), self.mirrored_to(target, interface).around(&bytes));
                        frames.entry(self.nodes[target].enis[0].0).or_default().push(copy);
                    }
                    let at = at + self.clock(self.interfaces[interface].node, at);
                    frames.entry(interface).or_default().push((at, bytes));
                }
            }
        }
        if self.has_arp {
            for i in &self.interfaces {
                let clock = self.spec.nodes[i.node].clock_ns;
                let all = frames.entry(i.id).or_default();
                all.extend(self.arp(i).into_iter().zip([0, 5_000]).map(|(f, later)| (BEGIN + later + clock, f)));
            }
        }
        // File → link type and frames.
        let mut captures: BTreeMap<String, (u32, Vec<Timed>)> = BTreeMap::new();
        for i in self.interfaces.iter().filter(|i| self.is_captured(i)) {
            let mut frames = frames.remove(&i.id).unwrap_or_default();
            let is_any = self.is_any(i);
            if is_any {
                frames.retain(|f| f.1[12..14] == [8, 0]);
            }
            if is_any && frames.is_empty() {
                continue;
            }
            let (_, all) = captures.entry(self.file_name(i)).or_insert((if is_any { 276 } else { 1 }, Vec::new()));
            all.extend(frames.into_iter().map(|(at, bytes)| (at, if is_any { cooked(i, &bytes) } else { bytes })));
        }
        for (name, (link_type, mut frames)) in captures {
            frames.sort_by_key(|f| f.0);
            files.push((name, pcap(link_type, &frames, self.spec.is_micros, self.spec.snaplen)));
        }
        files
    }

    /// The VPC's packet around a copy of an ENI's frame: from that ENI's own address, by the router (docs.aws.amazon.com/vpc/latest/mirroring).
    fn mirrored_to(&self, target: usize, eni: usize) -> Outer {
        let own = |node: usize| self.nodes[node].enis[0].1[0];
        let macs = (router_mac(self.nodes[target].subnet), self.mac_of(self.nodes[target].enis[0].0));
        Outer { kind: Tunnel::Vxlan, ends: (own(self.interfaces[eni].node), own(target)), macs, ttl: 254 }
    }

    /// What a host asks for on this interface, and the answer: on an ENI for its gateway, on a pod's link for the pod.
    fn arp(&self, i: &Interface) -> [Vec<u8>; 2] {
        let node = &self.nodes[i.node];
        let (asker, asking, answerer, asked) = match self.pods.iter().find(|p| p.eth0 == i.id || p.veth == i.id) {
            Some(pod) => (self.mac_of(pod.veth), node.enis[0].1[0], self.mac_of(pod.eth0), pod.ip),
            None => {
                let (_, ips) = node.enis.iter().find(|(id, _)| *id == i.id).unwrap();
                (i.mac, ips[0], router_mac(node.subnet), Ipv4Addr::new(10, 7, node.subnet as u8, 1))
            }
        };
        let message = |operation: u8, to: Mac, from: Mac, sender: Ipv4Addr, target: (Mac, Ipv4Addr)| {
            let mut bytes = [to.0, from.0].concat();
            bytes.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, operation]);
            bytes.extend(from.0.iter().chain(&sender.octets()).chain(&target.0.0).chain(&target.1.octets()));
            bytes
        };
        [message(1, Mac([0xff; 6]), asker, asking, (Mac::default(), asked)), message(2, asker, answerer, asked, (asker, asking))]
    }

    /// Gives the report's nameless hosts, routers and pods the names that they have here.
    fn give_names(&self, report: &mut Report) {
        let holder = |m: &str| self.interfaces.iter().find(|i| i.mac.to_string() == m);
        let owner = |id: &str| -> String {
            let rest = id.split_once(':').map_or(id, |x| x.1);
            let name = match id.split_once(':').map(|x| x.0) {
                Some("host") => holder(rest).map(|i| i.owner.clone()),
                Some("instance") => {
                    (0..self.nodes.len()).find(|n| rest == format!("i-0bb{n}")).map(|n| format!("node:{}", self.nodes[n].name))
                }
                Some("router") => (0..3).find(|n| router_mac(*n).to_string() == rest).map(router_id),
                Some("unknown") => {
                    let pod = self.pods.iter().find(|p| p.ip.to_string() == rest).map(|p| p.eth0);
                    pod.map(|i| self.interfaces[i].owner.clone()).or_else(|| holder(rest).map(|i| i.owner.clone()))
                }
                _ => None,
            };
            name.unwrap_or_else(|| id.to_owned())
        };
        let any = |id: &mut String| {
            *id = match id.strip_prefix("if:") {
                Some(rest) => match (holder(rest), rest.rsplit_once('/')) {
                    (Some(i), _) => i.report_id(),
                    (None, Some((o, name))) => {
                        let behind = name.strip_prefix("to-").and_then(|ip| self.pods.iter().find(|p| p.ip.to_string() == ip));
                        let name = behind.map_or(name, |p| self.interfaces[p.veth].name.as_str());
                        format!("if:{}/{name}", owner(o))
                    }
                    _ => id.clone(),
                },
                None => owner(id),
            };
        };
        report.capture_points.iter_mut().filter_map(|p| p.at.as_mut()).for_each(any);
        report.entities.iter_mut().for_each(|e| any(&mut e.id));
        report.links.iter_mut().for_each(|l| [&mut l.a, &mut l.b].into_iter().for_each(any));
        for h in report.paths.iter_mut().flat_map(|p| &mut p.directions).flat_map(|d| d.hops.iter_mut().chain(&mut d.beyond)) {
            any(&mut h.owner);
            h.interface.as_mut().map(any);
        }
    }

    fn inventories(&self) -> Vec<(String, Vec<u8>)> {
        let instance = |n: usize| format!("i-0bb{n}");
        let mut items: Vec<Value> = Vec::new();
        for (n, node) in self.nodes.iter().enumerate() {
            let own = node.enis[0].1[0];
            items.push(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node.name},
                "spec": {"providerID": format!("aws:///eu-central-1a/{}", instance(n))},
                "status": {"addresses": [{"type": "InternalIP", "address": own}, {"type": "Hostname", "address": node.name}]}}));
        }
        for (n, pod) in self.pods.iter().enumerate() {
            let node = &self.nodes[pod.node];
            items.push(json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": pod.name, "namespace": "shop", "labels": {"app": pod.name}},
                "spec": {"nodeName": node.name, "containers": [{"name": "main", "ports": [{"containerPort": TARGET_PORT, "protocol": "TCP"}]}]},
                "status": {"phase": "Running", "podIP": pod.ip, "podIPs": [{"ip": pod.ip}], "hostIP": node.enis[0].1[0]}}));
            if self.spec.has_services {
                let (name, port) = (
                    format!("svc-{n}"),
                    |protocol: &str, node_port: u16| json!({"name": protocol.to_lowercase(), "protocol": protocol, "port": SERVICE_PORT, "targetPort": TARGET_PORT, "nodePort": node_port}),
                );
                items.push(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
                    "spec": {"type": "NodePort", "clusterIP": service_ip(n), "clusterIPs": [service_ip(n)], "selector": {"app": pod.name},
                             "externalTrafficPolicy": "Cluster", "ports": [port("TCP", node_port(n)), port("UDP", node_port(n))]}}));
                items.push(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                    "metadata": {"name": format!("{name}-x"), "namespace": "shop", "labels": {"kubernetes.io/service-name": name}},
                    "endpoints": [{"addresses": [pod.ip], "conditions": {"ready": true}, "nodeName": node.name,
                                   "targetRef": {"kind": "Pod", "namespace": "shop", "name": pod.name}}],
                    "ports": [{"name": "tcp", "port": TARGET_PORT, "protocol": "TCP"}, {"name": "udp", "port": TARGET_PORT, "protocol": "UDP"}]}));
            }
        }
        let mut enis: Vec<Value> = Vec::new();
        let mut instances: Vec<Value> = Vec::new();
        for (n, node) in self.nodes.iter().enumerate() {
            let own = |e: usize, attachment: Value| {
                let (interface, ips) = &node.enis[e];
                let ips: Vec<Value> = ips.iter().enumerate().map(|(i, ip)| json!({"PrivateIpAddress": ip, "Primary": i == 0})).collect();
                json!({"NetworkInterfaceId": format!("eni-0cc{n}{e}"), "MacAddress": self.mac_of(*interface).to_string(), "InterfaceType": "interface",
                    "SubnetId": subnet_id(node.subnet), "VpcId": "vpc-0dd", "Status": "in-use", "PrivateIpAddresses": ips, "Attachment": attachment})
            };
            let all = || 0..node.enis.len();
            enis.extend(all().map(|e| own(e, json!({"DeviceIndex": e, "InstanceId": instance(n), "Status": "attached"}))));
            instances.push(json!({"InstanceId": instance(n), "PrivateDnsName": node.name, "PrivateIpAddress": node.enis[0].1[0],
                "SubnetId": subnet_id(node.subnet), "VpcId": "vpc-0dd", "State": {"Name": "running"}, "Placement": {"AvailabilityZone": "eu-central-1a"},
                "NetworkInterfaces": all().map(|e| own(e, json!({"DeviceIndex": e, "Status": "attached"}))).collect::<Vec<_>>()}));
        }
        let subnets: Vec<Value> = (0..3)
            .map(|n| json!({"SubnetId": subnet_id(n), "VpcId": "vpc-0dd", "CidrBlock": format!("10.7.{n}.0/24"), "AvailabilityZone": "eu-central-1a"}))
            .collect();
        let mut files = vec![
            ("inventory/kubectl.json", json!({"apiVersion": "v1", "kind": "List", "items": items})),
            ("inventory/enis.json", json!({"NetworkInterfaces": enis})),
            ("inventory/subnets.json", json!({"Subnets": subnets})),
            ("inventory/vpcs.json", json!({"Vpcs": [{"VpcId": "vpc-0dd", "CidrBlock": "10.7.0.0/16"}]})),
        ];
        if self.spec.has_instances {
            files.push(("inventory/instances.json", json!({"Reservations": [{"Instances": instances}]})));
        }
        if self.spec.has_gateway {
            let attachments = json!([{"State": "available", "VpcId": "vpc-0dd"}]);
            files.push(("inventory/igw.json", json!({"InternetGateways": [{"InternetGatewayId": "igw-0ee", "Attachments": attachments}]})));
        }
        files.retain(|(name, _)| match self.listed {
            Listed::All => true,
            Listed::Kubectl => name.ends_with("kubectl.json"),
            Listed::Aws => !name.ends_with("kubectl.json"),
            Listed::Hosts | Listed::Nothing => false,
        });
        let mut files: Vec<(String, Vec<u8>)> =
            files.into_iter().map(|(n, v)| (n.to_owned(), serde_json::to_vec_pretty(&v).unwrap())).collect();
        if self.listed == Listed::Nothing {
            return files;
        }
        for (n, node) in self.nodes.iter().enumerate().filter(|(n, _)| self.spec.nodes[*n].has_neighbours) {
            let mut text = format!("10.7.{}.1 dev eth0 lladdr {} REACHABLE\n", node.subnet, router_mac(node.subnet));
            for pod in self.pods.iter().filter(|p| p.node == n) {
                writeln!(text, "{} dev {} lladdr {} REACHABLE", pod.ip, self.interfaces[pod.veth].name, self.mac_of(pod.eth0)).unwrap();
            }
            files.push((format!("host{n}/ip-neigh.txt"), text.into_bytes()));
        }
        for (n, node) in self.nodes.iter().enumerate().filter(|(n, _)| self.spec.nodes[*n].has_addresses) {
            let mut text = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000\n".to_owned();
            text.push_str("    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n    inet 127.0.0.1/8 scope host lo\n");
            for i in self.interfaces.iter().filter(|i| i.node == n && i.owner.starts_with("node:")) {
                let at = if i.name.starts_with("eni") { "@if3" } else { "" };
                writeln!(
                    text,
                    "{}: {}{at}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 9001 qdisc mq state UP group default",
                    ifindex(i),
                    i.name
                )
                .unwrap();
                writeln!(text, "    link/ether {} brd ff:ff:ff:ff:ff:ff", i.mac).unwrap();
                if let (Wire::Tunnel(kind), true) = (self.wire, self.tunnels.contains(&i.id)) {
                    text.push_str(&kind.details(node.enis[0].1[0]));
                    writeln!(text, "    inet 10.244.{n}.0/32 scope global {}", i.name).unwrap();
                }
                if let Some((_, ips)) = node.enis.iter().find(|(id, _)| *id == i.id) {
                    writeln!(text, "    inet {}/24 brd 10.7.{}.255 scope global {}", ips[0], node.subnet, i.name).unwrap();
                }
            }
            files.push((format!("host{n}/ip-addr.txt"), text.into_bytes()));
            if let Wire::Tunnel(kind) = self.wire {
                let subnet = node.subnet;
                let mut text = format!(
                    "default via 10.7.{subnet}.1 dev eth0 proto dhcp metric 100\n10.7.{subnet}.0/24 dev eth0 proto kernel scope link\n"
                );
                for other in (0..self.nodes.len()).filter(|o| *o != n) {
                    writeln!(text, "10.244.{other}.0/24 via 10.244.{other}.0 dev {} onlink", kind.device()).unwrap();
                }
                for pod in self.pods.iter().filter(|p| p.node == n) {
                    writeln!(text, "{} dev {} scope link", pod.ip, self.interfaces[pod.veth].name).unwrap();
                }
                files.push((format!("host{n}/ip-route.txt"), text.into_bytes()));
            }
        }
        files
    }
}

/// An Ethernet frame as a Linux cooked capture (LINKTYPE_LINUX_SLL2) has it: the sender's address alone, and which way it went.
fn cooked(i: &Interface, ethernet: &[u8]) -> Vec<u8> {
    let is_outgoing = ethernet[6..12] == i.mac.0;
    let mut frame = vec![8, 0, 0, 0];
    frame.extend(ifindex(i).to_be_bytes());
    frame.extend([0, 1, if is_outgoing { 4 } else { 0 }, 6]);
    frame.extend(&ethernet[6..12]);
    frame.extend([0, 0]);
    frame.extend(&ethernet[14..]);
    frame
}

/// Classic pcap, big-endian, with micro- or nanoseconds.
fn pcap(link_type: u32, frames: &[Timed], is_micros: bool, snaplen: usize) -> Vec<u8> {
    let magic: u32 = if is_micros { 0xa1b2_c3d4 } else { 0xa1b2_3c4d };
    let mut file = Vec::new();
    for word in [magic, 0x0002_0004, 0, 0, snaplen as u32, link_type] {
        file.extend(word.to_be_bytes());
    }
    for (at, bytes) in frames {
        let (seconds, rest) = (at.div_euclid(1_000_000_000) as u32, at.rem_euclid(1_000_000_000) as u32);
        let kept = &bytes[..bytes.len().min(snaplen)];
        for word in [seconds, if is_micros { rest / 1000 } else { rest }, kept.len() as u32, bytes.len() as u32] {
            file.extend(word.to_be_bytes());
        }
        file.extend(kept);
    }
    file
}

// What the report says of it.

#[derive(Debug, Default)]
struct Tally {
    cluster: usize,
    /// Kind → right, wrong.
    claims: BTreeMap<&'static str, (u64, u64)>,
    wrong: Vec<String>,
    /// Tenth of confidence → right, wrong.
    tenths: BTreeMap<u32, (u64, u64)>,
}

impl Tally {
    /// A claim with a confidence. Only a sure one counts as a claim of its kind.
    fn weigh(&mut self, kind: &'static str, confidence: f64, is_right: bool, what: impl FnOnce() -> String) {
        let tenth = self.tenths.entry((confidence * 10.0).min(9.0) as u32).or_default();
        *(if is_right { &mut tenth.0 } else { &mut tenth.1 }) += 1;
        if confidence > SURE {
            self.claim(kind, is_right, what);
        }
    }

    fn claim(&mut self, kind: &'static str, is_right: bool, what: impl FnOnce() -> String) {
        let count = self.claims.entry(kind).or_default();
        if is_right {
            count.0 += 1;
        } else {
            count.1 += 1;
            self.wrong.push(format!("cluster {}: {kind}: {}", self.cluster, what()));
        }
    }
}

const SURE: f64 = 0.9;

fn compare(world: &World, report: &Report, tally: &mut Tally) {
    let taken_at = world.taken_at(report);

    for p in &report.capture_points {
        let truth = taken_at[p.id.as_str()];
        if let Some(at) = &p.at {
            tally.weigh("placement", p.confidence, *at == truth.report_id(), || {
                format!("{} at {at} ({}), not {}", p.id, p.confidence, truth.report_id())
            });
        }
        if let Some(c) = &p.clock {
            let reference = taken_at[c.relative_to.as_str()];
            let off_at = |time: i64| c.offset_ns - (world.clock(truth.node, time) - world.clock(reference.node, time));
            let (first, last) = (BEGIN, world.flows.iter().flat_map(|f| packets(0, f, world.spec.is_long)).map(|s| s.at_ns).max().unwrap());
            let off = match c.at_ns {
                Some(at) => off_at(at - world.clock(reference.node, at)),
                // Of clocks that do not seem to drift: at some time.
                None if off_at(first).signum() != off_at(last).signum() => 0,
                None => [first, last].map(off_at).into_iter().min_by_key(|o| o.abs()).unwrap(),
            };
            if let Some(ppb) = c.drift_ppb {
                let gains = world.spec.nodes[truth.node].drift_ppb - world.spec.nodes[reference.node].drift_ppb;
                tally.claim("drift", (ppb - gains).abs() <= 5_000, || format!("{} gains {ppb}, truth {gains}", p.id));
            }
            // Microseconds cut off up to one at each end.
            let bound = c.uncertainty_ns + if world.spec.is_micros { 1000 } else { 0 };
            tally.claim("clock", off.abs() <= bound, || format!("{} against {}: {off} ns wrong, bound {bound}", p.id, c.relative_to));
        }
    }

    let holders: BTreeMap<String, String> = world.interfaces.iter().map(|i| (i.mac.to_string(), i.report_id())).collect();
    for e in &report.entities {
        for mac in &e.macs {
            let is_right = match e.kind {
                EntityKind::Interface => holders.get(mac) == Some(&e.id),
                EntityKind::Pod | EntityKind::Node => holders.get(mac).is_some_and(|h| h.starts_with(&format!("if:{}/", e.id))),
                EntityKind::VpcRouter => (0..3).any(|n| router_id(n) == e.id && router_mac(n).to_string() == *mac),
                // "Unknown" claims nothing.
                EntityKind::Unknown => continue,
                _ => false,
            };
            tally.weigh("mac", e.confidence, is_right, || format!("{mac} is {}'s ({}), not {:?}'s", e.id, e.confidence, holders.get(mac)));
        }
    }

    let pairs: Vec<[String; 2]> = world.pods.iter().map(|p| [p.eth0, p.veth].map(|i| world.interfaces[i].report_id())).collect();
    for l in report.links.iter().filter(|l| l.kind == "veth_pair") {
        let is_right = pairs.iter().any(|[x, y]| (x == &l.a && y == &l.b) || (x == &l.b && y == &l.a));
        tally.weigh("link", l.confidence, is_right, || format!("{} – {} ({})", l.a, l.b, l.confidence));
    }

    let mut flow_of: BTreeMap<&str, usize> = BTreeMap::new();
    // Pings of two pods look alike in a report, which names no ids: what went farther is looked for first, and each is one path.
    let mut paths: Vec<_> = report.paths.iter().collect();
    paths.sort_by_key(|p| std::cmp::Reverse(p.directions.iter().map(|d| d.hops.len()).sum::<usize>()));
    for path in paths {
        let request = path.directions.iter().find(|d| d.direction == Way::Request);
        for d in &path.directions {
            let way = usize::from(d.direction == Way::Reply);
            // The flow that most of its hops are of: a hop whose ports nobody saw fits several.
            let fitting = |f: &&Flow| {
                let is_of = |h: &&Hop| f.ways[way].iter().any(|s| s.owner == h.owner && same(h, s.tuple));
                d.hops.iter().filter(is_of).map(|h| 1 + usize::from(h.observed)).sum::<usize>()
            };
            let is_free = |n: usize| !flow_of.iter().any(|(id, flow)| *flow == n && *id != path.id);
            let best = world.flows.iter().enumerate().max_by_key(|(n, f)| (fitting(f), is_free(*n)));
            let Some(flow) = best.map(|(_, f)| f).filter(|f| fitting(f) > 0) else {
                let any = d.hops.iter().any(|h| h.observed);
                tally.claim("hop", !any, || format!("{} {:?} is nobody's flow: {:?}", path.id, d.direction, path.flow));
                continue;
            };
            flow_of.insert(&path.id, world.flows.iter().position(|f| std::ptr::eq(f, flow)).unwrap());
            let stops = &flow.ways[way];
            let mut next = 0;
            for (n, h) in d.all_hops().enumerate() {
                // What lies beyond the VPC's edge is not modelled here.
                if h.owner.starts_with("igw:") {
                    continue;
                }
                let interface = |s: &Stop| s.interface.map(|i| world.interfaces[i].report_id());
                // Between two subnets that no inventory names, the router may go by either of its MACs.
                let is_router = |s: &Stop| {
                    world.listed != Listed::All && s.owner.starts_with("router:") && h.owner.starts_with("router:") && s.interface.is_none()
                };
                let is_here = |s: &Stop| (s.owner == h.owner || is_router(s)) && interface(s) == h.interface && same(h, s.tuple);
                let found = stops.iter().skip(next).position(is_here);
                let kind = if n < d.hops.len() { "hop" } else { "hop beyond" };
                tally.weigh(kind, h.confidence, found.is_some(), || {
                    let place = |s: &Stop| interface(s).unwrap_or_else(|| s.owner.clone());
                    let end = |ip: Ipv4Addr, port: u16| format!("{ip}:{port}");
                    let one =
                        |s: &Stop| format!("{} {} → {}", place(s), end(s.tuple.src, s.tuple.src_port), end(s.tuple.dst, s.tuple.dst_port));
                    let truth: Vec<String> = stops.iter().map(one).collect();
                    format!(
                        "{} {:?} {} {:?} {:?}:{:?} → {:?}:{:?} ({}), said:\n    {}\n  truth from {next} on: \n    {}",
                        path.id,
                        d.direction,
                        h.owner,
                        h.interface,
                        h.src_ip,
                        h.src_port,
                        h.dst_ip,
                        h.dst_port,
                        h.confidence,
                        said(d),
                        truth.join("\n    ")
                    )
                });
                next += found.map_or(0, |f| f + 1);
            }
            if way == 0 {
                let lost = flow.spec.lost_after;
                match d.verdict {
                    Verdict::Delivered => {
                        let what =
                            || format!("{} delivered, lost after {lost:?}: {:?}\n    {}", path.id, stops.get(lost.unwrap_or(0)), said(d));
                        tally.claim("verdict", lost.is_none(), what);
                    }
                    Verdict::Lost => {
                        let at = d.lost_after.map(|l| &d.hops[l as usize]);
                        let passed = at.is_some_and(|h| {
                            let stops = stops.iter().take(lost.unwrap_or(0));
                            stops.filter_map(|s| s.interface).any(|i| Some(world.interfaces[i].report_id()) == h.interface)
                        });
                        tally.claim("verdict", passed, || {
                            format!("{} lost after {:?}, truth {lost:?} of {}", path.id, at.map(|h| &h.interface), stops.len())
                        });
                        tally.claim("loss", lost.is_some(), || format!("{} {:?} is called lost", path.id, path.flow));
                    }
                    Verdict::Rejected => tally.claim("verdict", false, || format!("{} rejected", path.id)),
                    Verdict::Unknown => {}
                }
            } else if d.verdict == Verdict::Lost {
                // No reply is ever lost here; one that was not sent is not a loss.
                let of_request = request.is_some_and(|r| r.verdict == Verdict::Lost);
                tally.claim("loss", of_request, || format!("{} reply is called lost after {:?}:\n    {}", path.id, d.lost_after, said(d)));
            }
        }
    }
    relays(world, report, &flow_of, tally);
}

/// Connections that are told to be the two sides of one proxied request.
fn relays(world: &World, report: &Report, flow_of: &BTreeMap<&str, usize>, tally: &mut Tally) {
    for (path, r) in report.paths.iter().flat_map(|p| p.relays.iter().map(move |r| (p, r))) {
        let (Some(here), Some(there)) = (flow_of.get(path.id.as_str()), flow_of.get(r.path.as_str())) else { continue };
        let is_right = world.flows[*here].behind == Some(*there) || world.flows[*there].behind == Some(*here);
        tally.weigh("relay", r.confidence, is_right, || format!("{} and {} ({})", path.id, r.path, r.confidence));
    }
}

/// A direction's hops, a line each.
fn said(d: &hopscope::report::DirectionPath) -> String {
    let hop = |h: &Hop| {
        let at = h.interface.as_ref().unwrap_or(&h.owner);
        let end = |ip: &Option<String>, port: Option<u16>| format!("{}:{}", ip.as_deref().unwrap_or("?"), port.unwrap_or(0));
        let seen = if h.observed { format!("seen {} TTL {:?}", h.seen, h.ttl) } else { "inferred".to_owned() };
        format!("{at} {} → {} ({seen}, {})", end(&h.src_ip, h.src_port), end(&h.dst_ip, h.dst_port), h.confidence)
    };
    d.all_hops().map(hop).collect::<Vec<_>>().join("\n    ")
}

/// Whether the hop has these addresses and ports, as far as it says.
fn same(h: &Hop, t: Tuple) -> bool {
    let ip = |said: &Option<String>, truth: Ipv4Addr| said.as_ref().is_none_or(|ip| *ip == truth.to_string());
    let port = |said: Option<u16>, truth: u16| said.is_none_or(|p| p == truth);
    ip(&h.src_ip, t.src) && ip(&h.dst_ip, t.dst) && port(h.src_port, t.src_port) && port(h.dst_port, t.dst_port)
}
