//! Whole cases: the files of `tests/cases/<name>/inputs` in, one report out.
//!
//! A case is a folder. `expected.txt` is what `hopscope analyze inputs` prints in it (`UPDATE_EXPECT=1 cargo test --test cases`
//! writes it anew); `truth.json` says what happened when the captures were made, and is `cargo xtask cases`' to judge.
//! For every case the same is checked, by [`check`]: the text, the report's integrity, and that the same inputs give the same bytes
//! however they arrive.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

mod integrity;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hopscope::analysis::analyze;
use hopscope::ingest::{Ingest, Ingested};
use hopscope::report::{Entity, Flow, Hop, Report, Rewrite, Side, Verdict, Way};
use hopscope::views;
use serde_json::Value;

use crate::integrity::integrity;

macro_rules! cases {
    ($($test:ident: $folder:literal,)*) => {
        $(#[test]
        fn $test() {
            check($folder);
        })*

        const NAMED: &[&str] = &[$($folder),*];
    };
}

cases! {
    calico_ipip_1: "calico-ipip-1",
    dns_local_1: "dns-local-1",
    drop_midway_1: "drop-midway-1",
    drop_midway_2: "drop-midway-2",
    filtered_host_1: "filtered-host-1",
    flooded_1: "flooded-1",
    loss_upstream_1: "loss-upstream-1",
    overlay_enis_1: "overlay-enis-1",
    proxy_alb_1: "proxy-alb-1",
    proxy_v2_1: "proxy-v2-1",
    random_1: "random-1",
    random_2: "random-2",
    random_3: "random-3",
    random_4: "random-4",
    random_5: "random-5",
    random_6: "random-6",
    same_node_1: "same-node-1",
    same_node_2: "same-node-2",
    seed_icmp_1: "seed-icmp-1",
    seed_icmp_2: "seed-icmp-2",
    seed_lb_1: "seed-lb-1",
    seed_lb_2: "seed-lb-2",
    seed_lb_full_1: "seed-lb-full-1",
    seed_lb_full_2: "seed-lb-full-2",
    service_dns_1: "service-dns-1",
    service_dns_2: "service-dns-2",
    sidecar_1: "sidecar-1",
    wireguard_loss_1: "wireguard-loss-1",
}

#[test]
fn every_folder_is_a_test() {
    let mut folders: Vec<String> = std::fs::read_dir(cases())
        .unwrap()
        .map(|e| e.unwrap())
        .filter(|e| e.path().is_dir())
        .map(|e| e.file_name().into_string().unwrap())
        .collect();
    folders.retain(|f| !f.starts_with('_'));
    folders.sort();
    assert_eq!(folders, NAMED);
}

/// Everything that must hold of every case.
fn check(name: &str) {
    let case = Case::open(name);
    let ingested = case.ingest(usize::MAX);
    let report = analyze(&ingested);
    let json = report.to_json().unwrap();
    integrity(&case.files, &report, true);
    packets(&case, &report);
    for permutation in 1..=4 {
        let other = analyze(&permuted(&ingested, permutation)).to_json().unwrap();
        same(&json, &other, &format!("{name}: inputs in order {permutation}"));
    }
    for chunk in [1, 7, 64 << 10] {
        let other = case.ingest(chunk);
        for (a, b) in ingested.iter().zip(&other) {
            assert!(a.to_bytes() == b.to_bytes(), "{name}: {} in chunks of {chunk} bytes is not what it is as a whole", a.name);
        }
        same(&json, &analyze(&other).to_json().unwrap(), &format!("{name}: chunks of {chunk} bytes"));
    }
    let moved: Vec<Ingested> = ingested.iter().map(|i| Ingested::from_bytes(&i.to_bytes()).expect("what to_bytes wrote")).collect();
    same(&json, &analyze(&moved).to_json().unwrap(), &format!("{name}: through to_bytes and from_bytes"));
    let saved: Vec<Ingested> = ingested.iter().flat_map(through_digest).collect();
    same(&json, &analyze(&saved).to_json().unwrap(), &format!("{name}: captures as digests"));
    let read_back: Report = serde_json::from_str(&json).unwrap();
    assert_eq!(read_back, report, "{name}: the JSON does not say all of the report");
    expected(&case, &views::text(&report));
}

/// A case's files, in the order of their names.
struct Case {
    folder: PathBuf,
    /// `inputs/…` and what stands in it.
    files: BTreeMap<String, Vec<u8>>,
    truth: Value,
}

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

impl Case {
    fn open(name: &str) -> Self {
        fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, files) } else { files.push(path) }
            }
        }
        let folder = cases().join(name);
        let mut paths = Vec::new();
        walk(&folder.join("inputs"), &mut paths);
        let name = |p: &Path| p.strip_prefix(&folder).unwrap().to_str().unwrap().replace('\\', "/");
        let files = paths.iter().map(|p| (name(p), std::fs::read(p).unwrap())).collect();
        let truth = serde_json::from_slice(&std::fs::read(folder.join("truth.json")).unwrap()).unwrap();
        Self { folder, files, truth }
    }

    fn ingest(&self, chunk: usize) -> Vec<Ingested> {
        let one = |(name, bytes): (&String, &Vec<u8>)| {
            let mut ingest = Ingest::new(name);
            bytes.chunks(chunk.min(bytes.len().max(1))).for_each(|c| ingest.push(c));
            ingest.finish()
        };
        self.files.iter().flat_map(one).collect()
    }
}

/// The same inputs in another order: reversed, or shuffled by a fixed sequence.
fn permuted(inputs: &[Ingested], number: u64) -> Vec<Ingested> {
    let mut inputs = inputs.to_vec();
    if number == 1 {
        inputs.reverse();
        return inputs;
    }
    let mut state = number;
    for n in (1..inputs.len()).rev() {
        // Knuth's MMIX generator: any sequence will do, as long as it is the same everywhere.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        inputs.swap(n, usize::try_from(state >> 33).unwrap() % (n + 1));
    }
    inputs
}

/// Equal texts, or the first line that differs.
fn same(a: &str, b: &str, what: &str) {
    if a != b {
        let line = a.lines().zip(b.lines()).position(|(x, y)| x != y).unwrap_or_else(|| a.lines().count().min(b.lines().count()));
        let show = |t: &str| t.lines().nth(line).unwrap_or("(end)").to_owned();
        panic!("{what}: line {} differs:\n  {}\n  {}", line + 1, show(a), show(b));
    }
}

fn expected(case: &Case, text: &str) {
    let path = case.folder.join("expected.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some_and(|v| v == "1") {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    same(&expected, text, &format!("{} (UPDATE_EXPECT=1 writes it anew)", path.display()));
}

/// Every frame that was made for the case has been read.
fn packets(case: &Case, report: &Report) {
    let name: BTreeMap<&str, &str> = report.inputs.iter().map(|i| (i.id.as_str(), i.name.as_str())).collect();
    let mut read: BTreeMap<&str, u64> = BTreeMap::new();
    for p in &report.capture_points {
        *read.entry(name[p.input.as_str()]).or_default() += p.packets;
    }
    for (input, truth) in case.truth["inputs"].as_object().unwrap() {
        assert_eq!(read.get(input.as_str()).copied(), truth["packets"].as_u64(), "{input}");
    }
}

/// The report of a case, as the page's example shows it.
fn report_of(name: &str) -> Report {
    analyze(&Case::open(name).ingest(usize::MAX))
}

fn entity<'a>(report: &'a Report, id: &str) -> &'a Entity {
    report.entities.iter().find(|e| e.id == id).unwrap_or_else(|| panic!("no entity {id}"))
}

#[test]
fn founding_example_pod_to_pod_is_seven_hops_each_way() {
    let report = report_of("seed-icmp-1");
    let tomcat = "if:pod:default/iksoon-deployment-tomcat-t5zp48kp5m-r2qlg/eth0";
    let mysql = "if:pod:default/iksoon-deployment-mysql-zxpcq9t2jk-drp66/eth0";
    let node1 = |i: &str| format!("if:node:ip-192-168-34-143.ap-northeast-2.compute.internal/{i}");
    let node2 = |i: &str| format!("if:node:ip-192-168-29-46.ap-northeast-2.compute.internal/{i}");
    let (router1, router2) = ("router:subnet-07eb2aee14bac96b0", "router:subnet-0bd5ba2fedcdd09d9");
    let [path] = report.paths.as_slice() else { panic!("one conversation, not {}", report.paths.len()) };
    let hops = |way: Way| -> Vec<&str> {
        let d = path.directions.iter().find(|d| d.direction == way).unwrap();
        assert_eq!((d.verdict, d.lost_after), (Verdict::Delivered, None));
        d.hops.iter().map(|h| h.interface.as_deref().unwrap_or(&h.owner)).collect()
    };
    let there = [tomcat, &node1("enia6653479892"), &node1("eth0"), router1, &node2("eth1"), &node2("eni0b8b3d003d6"), mysql];
    let back = [mysql, &node2("eni0b8b3d003d6"), &node2("eth1"), router2, &node1("eth0"), &node1("enia6653479892"), tomcat];
    assert_eq!(hops(Way::Request), there);
    assert_eq!(hops(Way::Reply), back);

    // The engineer's two question marks: the router as each subnet sees it.
    assert_eq!(entity(&report, router1).macs, ["0e:26:9f:32:7d:d6"]);
    assert_eq!(entity(&report, router2).macs, ["06:b6:b2:63:c0:90"]);
    // The table that was made by hand.
    let macs: Vec<(Option<&str>, Option<&str>)> =
        path.directions[0].hops.iter().filter(|h| h.observed).map(|h| (h.src_mac.as_deref(), h.dst_mac.as_deref())).collect();
    let row = |a, b| (Some(a), Some(b));
    assert_eq!(
        macs,
        [
            row("ae:3a:1e:a2:c6:d0", "0a:94:28:38:ec:76"),
            row("ae:3a:1e:a2:c6:d0", "0a:94:28:38:ec:76"),
            row("0e:86:5a:82:6b:e6", "0e:26:9f:32:7d:d6"),
            row("06:b6:b2:63:c0:90", "06:f6:57:ed:97:f4"),
            row("3e:b8:07:8c:e0:02", "06:a7:eb:f8:5d:cc"),
            row("3e:b8:07:8c:e0:02", "06:a7:eb:f8:5d:cc"),
        ]
    );
}

#[test]
fn an_overlays_packet_crosses_bridge_and_tunnel_on_both_nodes() {
    let report = report_of("overlay-enis-1");
    let truth = Case::open("overlay-enis-1").truth;
    let (nodes, pods) = (["eth0", "flannel.1", "cni0"], 2);
    for (path, truth) in report.paths.iter().zip(truth["paths"].as_array().unwrap()) {
        for (d, way) in path.directions.iter().zip(["request", "reply"]) {
            let name =
                |h: &Hop| h.interface.as_deref().map_or(h.owner.clone(), |i| i.strip_prefix("if:").unwrap().replace("/eth0", " eth0"));
            let last = |s: &str| s.rsplit(['/', ' ']).next().unwrap().to_owned();
            let have: Vec<String> = d.hops.iter().map(|h| last(&name(h))).collect();
            let want: Vec<String> = truth[way].as_array().unwrap().iter().map(|h| last(h.as_str().unwrap())).collect();
            let routers =
                |v: &[String]| v.iter().filter(|h| !h.starts_with("subnet") && !h.starts_with("router")).cloned().collect::<Vec<_>>();
            assert_eq!(routers(&have), routers(&want), "{} {way}", path.id);
            assert_eq!(have.len(), 2 * (nodes.len() + 1) + pods + 1);
            assert!(d.hops.iter().filter(|h| h.observed).count() < 4, "three captures");
        }
    }
}

/// The connections that the proxy itself wrote down, found again from both sides: the same path asked for at one time by one client,
/// two clients, and for another path; a protocol that nobody knows, behind a PROXY header.
#[test]
fn connections_that_a_proxy_continues_are_joined() {
    for name in ["proxy-alb-1", "proxy-v2-1"] {
        let report = report_of(name);
        let flow = |id: &str| -> &Flow { &report.paths.iter().find(|p| p.id == id).unwrap().flow };
        let ends = |f: &Flow| [&f.client, &f.server].map(|e| (e.ip.clone(), e.port.unwrap()));
        let mut found: Vec<[_; 2]> = Vec::new();
        for p in &report.paths {
            for r in &p.relays {
                assert!(r.through.starts_with("lb:") && !r.evidence.is_empty() && r.confidence > 0.9, "{name} {}: {r:?}", p.id);
                match r.side {
                    Side::Behind => found.push([ends(&p.flow), ends(flow(&r.path))]),
                    Side::Front => assert!(flow(&r.path).server.ip == p.flow.client.ip, "{name}: {} is not where {} ends", p.id, r.path),
                }
            }
        }
        let truth = &Case::open(name).truth["relays"];
        let end = |v: &Value, n: usize| (v[n].as_str().unwrap().to_owned(), u16::try_from(v[n + 1].as_u64().unwrap()).unwrap());
        let one = |v: &Value| [end(v, 0), end(v, 2)];
        let mut truth: Vec<[_; 2]> = truth.as_array().unwrap().iter().map(|r| [one(&r["front"]), one(&r["back"])]).collect();
        found.sort();
        truth.sort();
        assert_eq!(found, truth, "{name}");
    }
}

#[test]
fn founding_example_from_outside_names_the_workers_that_rewrote() {
    let report = report_of("seed-lb-1");
    let pod = "pod:default/iksoon-deployment-tomcat-s2sh6gq6mk-27qhp";
    let balancer = "lb:a6c922c5beaae0fd6d295f31c7c217fe";
    let node = |ip: &str| format!("node:ip-{ip}.ap-northeast-2.compute.internal");
    let (worker2, worker3) = (node("192-168-29-46"), node("192-168-73-157"));

    // Neither the load balancer nor these workers were captured; the packets' sources are the workers' own addresses.
    let [found] = report.findings.iter().filter(|f| f.about.contains(&worker2) && f.about.contains(&worker3)).collect::<Vec<_>>()[..]
    else {
        panic!("one finding names both workers: {:#?}", report.findings)
    };
    assert_eq!(found.kind, "address_translated");
    assert!(found.about.iter().any(|a| a == pod) && !found.about.contains(&node("192-168-34-143")), "worker 1 rewrote nothing: {found:?}");
    assert!(found.summary.contains("connections") && found.summary.contains("not one"), "{}", found.summary);

    let rewriter = |h: &&Hop| h.rewrites.contains(&Rewrite::Dnat) && h.rewrites.contains(&Rewrite::Snat);
    let connections: Vec<(&str, &str, &str)> = report
        .paths
        .iter()
        .map(|p| {
            let request = &p.directions[0];
            assert_eq!((request.direction, request.verdict), (Way::Request, Verdict::Delivered));
            let [one] = request.hops.iter().filter(rewriter).collect::<Vec<_>>()[..] else { panic!("{}: one node rewrites", p.id) };
            (request.hops[0].owner.as_str(), one.owner.as_str(), request.hops.last().unwrap().owner.as_str())
        })
        .collect();
    for worker in [&worker2, &worker3] {
        assert!(connections.iter().filter(|c| **c == (balancer, worker.as_str(), pod)).count() >= 1, "through {worker}: {connections:?}");
    }
    assert!(connections.len() >= 2, "two connections at least: {connections:?}");
}

/// A capture written as a digest and read again from that; anything else as it is.
fn through_digest(one: &Ingested) -> Vec<Ingested> {
    let mut file = Vec::new();
    if !one.write_digest(&mut |bytes| file.extend_from_slice(bytes)) {
        return vec![one.clone()];
    }
    let mut ingest = Ingest::new(&format!("{}.parquet", one.name));
    ingest.push(&file);
    let read = ingest.finish();
    assert!(read.iter().all(|r| r.status == one.status && r.name == one.name), "{}: {:?}", one.name, read.iter().map(|r| &r.message));
    read
}
