//! What AWS and hosts say beside captures: VPC Flow Logs and sockets.
//! Of flow logs: a record at an ENI settles what the captures leave open. The captures and inventories are those of the case
//! `drop-midway-1`, without what was captured on the server's node; the records are written for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

use std::path::{Path, PathBuf};

use hopscope::analysis::analyze;
use hopscope::ingest::{Ingest, Ingested};
use hopscope::report::{DirectionPath, Finding, Report, Status, Verdict, Way};

/// When the case's captures ran, in seconds.
const FIRST_S: i64 = 1_795_387_374;
/// The client's node's ENI and its primary address; the client is a pod with another address of it.
const CLIENT_ENI: &str = "eni-0240a477542d88466";
const CLIENT_PRIMARY: &str = "192.168.8.204";
const CLIENT: &str = "192.168.13.201";
/// The server's ENI likewise.
const SERVER_ENI: &str = "eni-04660307e6f1970f5";
const SERVER_PRIMARY: &str = "192.168.46.145";
const SERVER: &str = "192.168.54.238";
/// A connection of the case: the client's port and the server's.
const PORTS: (u16, u16) = (41977, 5432);

fn read(name: &str, bytes: &[u8]) -> Vec<Ingested> {
    let mut ingest = Ingest::new(name);
    ingest.push(bytes);
    ingest.finish()
}

fn inputs() -> Vec<Ingested> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, files) } else { files.push(path) }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/drop-midway-1/inputs");
    let mut files = Vec::new();
    walk(&root, &mut files);
    let is_kept = |f: &PathBuf| {
        let name = f.file_name().unwrap().to_str().unwrap();
        !(name.starts_with("node2-") || name.starts_with("pod-payments"))
    };
    files.into_iter().filter(is_kept).flat_map(|f| read(f.to_str().unwrap(), &std::fs::read(&f).unwrap())).collect()
}

fn report(log: &str) -> Report {
    let mut all = inputs();
    let log = read("flow-log.txt", log.as_bytes());
    assert!(log.iter().all(|i| i.kind == "flow_log" && i.status == Status::Ok), "{log:?}");
    all.extend(log);
    analyze(&all)
}

fn record(eni: &str, from: (&str, u16), to: (&str, u16), start_s: i64, action: &str) -> String {
    format!("2 123456789012 {eni} {} {} {} {} 6 4 240 {start_s} {} {action} OK\n", from.0, to.0, from.1, to.1, start_s + 59)
}

fn request(report: &Report) -> &DirectionPath {
    let path = report.paths.iter().find(|p| p.flow.client.port == Some(PORTS.0) && p.flow.server.port == Some(PORTS.1)).unwrap();
    path.directions.iter().find(|d| d.direction == Way::Request).unwrap()
}

fn rejected(report: &Report) -> Vec<&Finding> {
    report.findings.iter().filter(|f| f.kind == "flow_rejected").collect()
}

#[test]
fn without_a_log_nobody_knows() {
    let report = analyze(&inputs());
    assert_eq!(request(&report).verdict, Verdict::Unknown);
}

#[test]
fn a_rejection_at_the_servers_eni_is_the_verdict() {
    let log = record(CLIENT_ENI, (CLIENT_PRIMARY, PORTS.0), (SERVER, PORTS.1), FIRST_S - 5, "ACCEPT")
        + &record(SERVER_ENI, (CLIENT, PORTS.0), (SERVER_PRIMARY, PORTS.1), FIRST_S - 5, "REJECT");
    let report = report(&log);
    let request = request(&report);
    assert_eq!(request.verdict, Verdict::Rejected);
    let last = request.hops.last().unwrap();
    assert!(last.interface.as_deref().unwrap().ends_with("/eth1"), "{:?}", last.interface);
    assert_eq!(request.lost_after, Some(u32::try_from(request.hops.len()).unwrap() - 1));
    assert!(!last.observed, "nothing was captured there");
    let cited: Vec<&str> =
        report.evidence.iter().filter(|e| last.evidence.contains(&e.id) && e.kind == "flow_log").map(|e| e.statement.as_str()).collect();
    assert_eq!(
        cited,
        [format!("the flow log of {SERVER_ENI} has REJECT for 4 packets tcp {CLIENT}:{} → {SERVER_PRIMARY}:{}", PORTS.0, PORTS.1)]
    );
    let findings = rejected(&report);
    assert_eq!(findings.len(), 1);
    assert!(findings[0].summary.contains("a security group or a network ACL forbids it, and the log does not say which"));
}

#[test]
fn an_acceptance_is_evidence_that_the_eni_saw_it() {
    let log = record(SERVER_ENI, (CLIENT, PORTS.0), (SERVER_PRIMARY, PORTS.1), FIRST_S - 5, "ACCEPT");
    let (with, without) = (report(&log), analyze(&inputs()));
    let at = |report: &Report| {
        request(report).hops.iter().find(|h| h.interface.as_deref().is_some_and(|i| i.ends_with("/eth1"))).unwrap().clone()
    };
    assert!(at(&with).confidence > at(&without).confidence);
    assert_ne!(request(&with).verdict, Verdict::Rejected);
    assert!(rejected(&with).is_empty());
}

/// Security groups are stateful, network ACLs are not.
#[test]
fn a_rejected_answer_to_an_accepted_request_is_the_acls_doing() {
    let log = record(SERVER_ENI, (CLIENT, PORTS.0), (SERVER_PRIMARY, PORTS.1), FIRST_S - 5, "REJECT")
        + &record(SERVER_ENI, (SERVER_PRIMARY, PORTS.1), (CLIENT, PORTS.0), FIRST_S - 5, "ACCEPT");
    let report = report(&log);
    assert!(rejected(&report)[0].summary.contains("network ACL forbids it: the other way"), "{:?}", rejected(&report));
}

#[test]
fn records_of_other_times_ports_or_enis_change_nothing_on_the_path() {
    for log in [
        record(SERVER_ENI, (CLIENT, PORTS.0), (SERVER_PRIMARY, PORTS.1), FIRST_S - 500, "REJECT"),
        record(SERVER_ENI, (CLIENT, PORTS.0 + 1), (SERVER_PRIMARY, PORTS.1), FIRST_S, "REJECT"),
        record(CLIENT_ENI, (CLIENT, PORTS.0), (SERVER_PRIMARY, PORTS.1), FIRST_S, "REJECT"),
    ] {
        let report = report(&log);
        assert_eq!(request(&report).verdict, Verdict::Unknown, "{log}");
        // Told all the same, as something that no capture shows.
        assert!(rejected(&report).iter().all(|f| f.summary.contains("none of which was captured")), "{log}");
        assert_eq!(rejected(&report).len(), 1, "{log}");
    }
}

#[test]
fn records_of_one_flow_that_follow_one_another_are_one_statement() {
    let minutes: String = (0..5).map(|m| record(SERVER_ENI, (CLIENT, 1), (SERVER, 2), FIRST_S + 60 * m, "REJECT")).collect();
    let report = report(&(minutes + &format!("2 123456789012 {SERVER_ENI} - - - - - - - {FIRST_S} {FIRST_S} - SKIPDATA\n")));
    assert!(rejected(&report)[0].summary.contains("rejected 20 packets"), "{:?}", rejected(&report));
    assert_eq!(report.findings.iter().filter(|f| f.kind == "flow_log_gap").count(), 1);
}

/// `ss -tnpi` of the client's node lists no socket of a pod; that of the pod's namespace does.
#[test]
fn sockets_name_the_process_at_their_end() {
    let mut all = inputs();
    let ip_addr = format!("2: eth0@if7: <BROADCAST,UP,LOWER_UP> mtu 9001 qdisc noqueue state UP\n    inet {CLIENT}/32 scope global eth0\n");
    let ss = format!(
        "State Recv-Q Send-Q Local Address:Port Peer Address:Port Process\nSYN-SENT 0 1 {CLIENT}:{} {SERVER}:{} users:((\"java\",pid=7,fd=45))\n\t cubic rto:4000 mss:524 retrans:1/3\n",
        PORTS.0, PORTS.1
    );
    all.extend(read("pod/ip-addr.txt", ip_addr.as_bytes()));
    let sockets = read("pod/ss.txt", ss.as_bytes());
    assert!(sockets.iter().all(|i| i.kind == "sockets" && i.status == Status::Ok), "{sockets:?}");
    all.extend(sockets);
    let report = analyze(&all);
    let first = &request(&report).hops[0];
    assert!(first.owner.starts_with("pod:shop/orders"), "{}", first.owner);
    let said = report.evidence.iter().find(|e| e.kind == "socket").expect("evidence");
    assert!(first.evidence.contains(&said.id));
    assert_eq!(
        said.statement,
        format!("the socket {CLIENT}:{} → {SERVER}:{} is SYN-SENT, held by java (pid 7), 3 segments sent again", PORTS.0, PORTS.1)
    );
}
