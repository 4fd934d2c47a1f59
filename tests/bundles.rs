//! Inputs in which several things stand together, as support bundles and pasted terminals have them: nothing of any part is lost.
//! The parts are real outputs from `tests/formats`; how they are put together follows the tools that make such bundles.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

use std::path::Path;

use hopscope::facts::Fact;
use hopscope::import::locate::span_of;
use hopscope::ingest::{Data, Ingest, Ingested};
use hopscope::report::Status;

fn fixture(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats").join(name)).unwrap()
}

fn read(name: &str, text: &str) -> Vec<Ingested> {
    let mut ingest = Ingest::new(name);
    ingest.push(text.as_bytes());
    ingest.finish()
}

fn facts(inputs: &[Ingested]) -> Vec<Fact> {
    let all = inputs.iter().filter_map(|i| if let Data::Facts(f) = &i.data { Some(f) } else { None }).flatten();
    all.map(|l| l.fact.clone()).collect()
}

fn count(facts: &[Fact], is_one: impl Fn(&Fact) -> bool) -> usize {
    facts.iter().filter(|f| is_one(f)).count()
}

/// Both halves of the same text are read as they are alone, in either order, and each place leads into the text as it was dropped.
#[test]
fn a_paste_of_packets_and_tables_loses_neither() {
    let packets = fixture("tcpdump/4.99.3/http.nne.txt");
    let addresses = fixture("inventory/iproute2/6.1.0/ip-addr.txt");
    let alone = facts(&read("a", &addresses));
    let [alone_packets] = read("b", &packets).try_into().unwrap();
    let Data::Capture(expected) = alone_packets.data else { panic!("no packets") };
    assert!(alone.len() > 2 && expected.len() > 3);
    let prompt = "root@ip-10-0-0-1:/# ";
    for text in [
        format!("{prompt}ip addr\n{addresses}{prompt}tcpdump -nne -i eth0\n{packets}"),
        format!("{prompt}tcpdump -nne -i eth0\n{packets}^C\n{prompt}ip addr\n{addresses}"),
    ] {
        let inputs = read("paste", &text);
        assert!(inputs.iter().all(|i| i.status == Status::Ok), "{inputs:?}");
        assert_eq!(facts(&inputs), alone);
        let digest = inputs.iter().find_map(|i| if let Data::Capture(d) = &i.data { Some(d) } else { None }).expect("packets");
        assert_eq!(digest.len(), expected.len());
        for located in inputs.iter().filter_map(|i| if let Data::Facts(f) = &i.data { Some(f) } else { None }).flatten() {
            let span = span_of(text.as_bytes(), &located.at).unwrap();
            let Fact::HostInterface(i) = &located.fact else { panic!() };
            assert!(text[span.start..span.end].contains(&i.name));
        }
    }
}

/// `ip-resources.txt` and `iptables-rules.txt` of a Retina capture (`pkg/capture/provider/network_capture_unix.go`): a summary, then each
/// command and what it printed, JSON and text by turns.
#[test]
fn retinas_files_are_read_whole() {
    let folder = "inventory/iproute2/6.1.0";
    let (addr, neigh) = (fixture(&format!("{folder}/ip-addr.json")), fixture(&format!("{folder}/ip-neigh.json")));
    let (rules, routes) = (fixture(&format!("{folder}/ip-rule.txt")), fixture(&format!("{folder}/ip-route.txt")));
    let text = format!(
        "Summary:\n\n/sbin/ip -d -j addr show(IP address configuration)\n/sbin/ip -d -j neighbor show(IP neighbor status)\n\
         /sbin/ip rule list(Policy routing list)\n/sbin/ip route show table all(Routes of all route tables)\n\nExecute:\n\n\
         /sbin/ip -d -j addr show\n\n{addr}\n/sbin/ip -d -j neighbor show\n\n{neigh}\n/sbin/ip rule list\n\n{rules}/sbin/ip route show table all\n\n{routes}"
    );
    let inputs = read("retina.tar.gz/ip-resources.txt", &text);
    let all = facts(&inputs);
    for (part, is_one) in [
        (&addr, (|f| matches!(f, Fact::HostInterface(_))) as fn(&Fact) -> bool),
        (&neigh, |f| matches!(f, Fact::Neighbour(_))),
        (&rules, |f| matches!(f, Fact::Rule(_))),
        (&routes, |f| matches!(f, Fact::Route(_))),
    ] {
        let alone = count(&facts(&read("alone", part)), is_one);
        assert!(alone > 0);
        assert_eq!(count(&all, is_one), alone);
    }
    let save = fixture("inventory/iptables/1.8.9/iptables-save.txt");
    let list = fixture("inventory/iptables/1.8.9/iptables-nat-nvL.txt");
    let text = format!(
        "Summary:\n\n/sbin/iptables-nft-save(IPtables rules)\n\nExecute:\n\n/sbin/iptables-nft-save\n\n{save}/sbin/iptables-nft -vnx -L -t nat\n\n{list}"
    );
    let inputs = read("retina.tar.gz/iptables-rules.txt", &text);
    assert_eq!(inputs[0].kind, "iptables");
    assert_eq!(facts(&inputs).len(), facts(&read("a", &save)).len() + facts(&read("b", &list)).len());
}

/// `kubectl cluster-info dump` without a folder: documents, and between them every container's log, which is nobody's table.
#[test]
fn logs_between_documents_are_no_inventory() {
    let pods = r#"{"kind":"PodList","apiVersion":"v1","items":[{"metadata":{"name":"web-0","namespace":"shop"},"spec":{"nodeName":"n1"},"status":{"podIP":"10.0.0.9"}}]}"#;
    let text = format!(
        "{pods}\n==== START logs for container aws-node of pod kube-system/aws-node-1 ====\n10.9.9.9 dev eni0 scope link\n\
         -A KUBE-X -d 10.8.8.8/32 -j DROP\n==== END logs for container aws-node of pod kube-system/aws-node-1 ====\n{}",
        pods.replace("web-0", "web-1").replace("10.0.0.9", "10.0.0.10")
    );
    let all = facts(&read("dump.txt", &text));
    assert_eq!(count(&all, |f| matches!(f, Fact::Pod(_))), 2);
    assert_eq!(all.len(), 2, "{all:?}");
}

/// The EKS log collector puts a heading above each command's output (`eks-log-collector.sh`), and lists iptables table by table.
#[test]
fn the_eks_log_collectors_files_are_read() {
    let conntrack = fixture("inventory/linux/nf_conntrack/nf_conntrack.txt");
    let text = format!("*** Output of conntrack -S *** \ncpu=0 found=27 invalid=0 insert=0\n*** Output of conntrack -L ***\n{conntrack}");
    let inputs = read("eks_i-0abc_2024-03-01_1000-UTC_0.7.6.tar.gz/networking/conntrack.txt", &text);
    assert_eq!((inputs[0].kind.as_str(), facts(&inputs)), ("conntrack", facts(&read("a", &conntrack))));
    let nat = fixture("inventory/iptables/1.8.9/iptables-nat-nvL.txt");
    let inputs = read("eks_i-0abc/networking/iptables-nat.txt", &nat);
    assert_eq!((inputs[0].kind.as_str(), inputs[0].status), ("iptables", Status::Ok));
    assert!(count(&facts(&inputs), |f| matches!(f, Fact::Iptables(r) if r.to_destination.is_some())) >= 2);
}

/// Whole bundles, packed as people send them: each member is read as what it is, and logs as nothing.
#[test]
fn packed_bundles_are_read_whole() {
    let bundle = |name: &str| {
        let mut ingest = Ingest::new(name);
        let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/bundles").join(name)).unwrap();
        bytes.chunks(1000).for_each(|c| ingest.push(c));
        ingest.finish()
    };
    let has_packets = |inputs: &[Ingested]| inputs.iter().any(|i| matches!(&i.data, Data::Capture(d) if d.len() == 16));
    type Is = fn(&Fact) -> bool;
    let (assigned, interface, rule, route): (Is, Is, Is, Is) = (
        |f| matches!(f, Fact::Pod(_)),
        |f| matches!(f, Fact::HostInterface(_)),
        |f| matches!(f, Fact::Rule(_)),
        |f| matches!(f, Fact::Route(_)),
    );
    let (iptables, conntrack, socket): (Is, Is, Is) =
        (|f| matches!(f, Fact::Iptables(_)), |f| matches!(f, Fact::Conntrack(_)), |f| matches!(f, Fact::Socket(_)));
    let (pod, node, service): (Is, Is, Is) =
        (|f| matches!(f, Fact::Pod(_)), |f| matches!(f, Fact::Node(_)), |f| matches!(f, Fact::Service(_)));
    for (name, members, others, wanted) in [
        ("eks_i-0a1b2c3d4e5f60718_2026-11-22_2200-UTC_0.7.8.tar.gz", 10, 4, vec![assigned, interface, rule, route, iptables, conntrack]),
        ("aws-cni-support.tar.gz", 6, 0, vec![assigned, interface, rule, route, iptables]),
        ("retina-capture-node1-20261122220000UTC.tar.gz", 4, 0, vec![interface, rule, route, iptables, socket]),
        ("cluster-info-dump.zip", 4, 1, vec![pod, node, service]),
    ] {
        let inputs = bundle(name);
        assert!(inputs.iter().all(|i| i.status == Status::Ok), "{name}: {inputs:?}");
        let archive = inputs.iter().find(|i| i.kind == "archive").unwrap();
        assert_eq!(inputs.len() - 1, members, "{name}: {:?}", inputs.iter().map(|i| &i.name).collect::<Vec<_>>());
        let left_out = archive.message.as_deref().and_then(|m| m.split(", ").nth(1)?.split(' ').next()?.parse().ok()).unwrap_or(0);
        assert_eq!(left_out, others, "{name}: {:?}", archive.message);
        let all = facts(&inputs);
        for (n, is_one) in wanted.iter().enumerate() {
            assert!(count(&all, is_one) > 0, "{name}: kind {n} is missing");
        }
        assert_eq!(has_packets(&inputs), name.starts_with("retina"), "{name}");
        if name.starts_with("cluster") {
            assert_eq!(count(&all, route), 0, "a log is no routing table");
        }
    }
}
