//! A redacted report holds nothing of what its inputs call things, in any view, and still tells the same story.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use hopscope::analysis::analyze;
use hopscope::facts::Fact;
use hopscope::ingest::{Data, Ingest, Ingested};
use hopscope::redact::{key_of, redact};
use hopscope::report::Report;
use hopscope::views;

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn read(folder: &Path) -> Vec<Ingested> {
    let mut files = Vec::new();
    walk(folder, &mut files);
    files.sort();
    let one = |f: &PathBuf| {
        let mut ingest = Ingest::new(f.strip_prefix(folder).unwrap().to_str().unwrap());
        ingest.push(&std::fs::read(f).unwrap());
        ingest.finish()
    };
    files.iter().flat_map(one).collect()
}

fn every_view(report: &Report) -> String {
    let all = views::Selection { path: None, way: None };
    [
        report.to_json().unwrap(),
        views::text(report),
        views::svg(report, &all, views::Theme::Auto),
        views::mermaid(report, &all),
        views::dot(report, &all),
        views::graphml(report, &all),
        views::html(report),
        views::csv(report),
    ]
    .concat()
}

/// What the inputs call things: names and identifiers that say something, as they stand in the inventories and in the report.
fn originals(inputs: &[Ingested], report: &Report) -> BTreeSet<String> {
    let mut all: BTreeSet<String> = BTreeSet::new();
    for located in inputs.iter().filter_map(|i| if let Data::Facts(f) = &i.data { Some(f) } else { None }).flatten() {
        match &located.fact {
            Fact::Pod(x) => all.extend([x.name.clone(), x.namespace.clone()].into_iter().chain(x.node.clone())),
            Fact::Node(x) => all.extend(std::iter::once(x.name.clone()).chain(x.instance_id.clone()).chain(x.other_names.clone())),
            Fact::Service(x) => all.extend([x.name.clone(), x.namespace.clone()]),
            Fact::Instance(x) => all.extend(std::iter::once(x.id.clone()).chain(x.name.clone()).chain(x.private_dns.clone())),
            Fact::Eni(x) => all.extend(std::iter::once(x.id.clone()).chain(x.mac.map(|m| m.to_string())).chain(x.groups.clone())),
            Fact::Subnet(x) => all.extend(std::iter::once(x.id.clone()).chain(x.name.clone())),
            Fact::Vpc(x) => all.extend(std::iter::once(x.id.clone()).chain(x.name.clone())),
            Fact::LoadBalancer(x) => all.extend(std::iter::once(x.name.clone()).chain(x.dns_name.clone())),
            Fact::HostInterface(x) => all.extend(x.mac.map(|m| m.to_string())),
            Fact::Neighbour(x) => all.extend(x.mac.map(|m| m.to_string())),
            Fact::Socket(x) => all.extend(x.process.clone()),
            _ => {}
        }
    }
    for e in &report.entities {
        all.extend(e.ips.iter().chain(&e.macs).cloned());
        all.insert(e.name.clone());
    }
    for i in &report.inputs {
        all.extend(i.name.split('/').filter(|p| p.contains('.')).map(str::to_owned));
    }
    // What keeps its name: interfaces that every machine has, addresses that are nobody's, the engine's own words.
    let is_everyones = |n: &String| {
        let special = n.parse::<IpAddr>().is_ok_and(hopscope::identify::inventory::is_special);
        let interface =
            ["eth", "ens", "vlan.eth."].iter().any(|p| n.strip_prefix(p).is_some_and(|r| r.bytes().all(|b| b.is_ascii_digit())));
        let made_by_all = ["lo", "any", "docker0", "cni0", "tunl0", "kube-ipvs0", "flannel.1", "vxlan.calico"].contains(&n.as_str());
        special || interface || made_by_all || n.is_empty() || n == "VPC router" || n.starts_with("00:00:00") || n == "ff:ff:ff:ff:ff:ff"
    };
    all.retain(|n| !is_everyones(n));
    all
}

/// Whether a value stands in a text as a word of its own.
fn stands_in(text: &str, value: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric();
    text.match_indices(value).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_some_and(is_part);
        let after = text[at + value.len()..].chars().next().is_some_and(is_part);
        !before && !after
    })
}

fn check(inputs: &[Ingested], key: &str) -> usize {
    let report = analyze(inputs);
    let redacted = redact(&report, key);
    let shown = every_view(&redacted);
    // A pseudonym may be what something else was called: a mapping within one network has to use that network's addresses.
    let pseudonyms: BTreeSet<&String> = redacted.entities.iter().flat_map(|e| e.ips.iter().chain(&e.macs)).collect();
    let originals = originals(inputs, &report);
    // Words that the engine itself writes, with or without such a name: `default` is a route's and a namespace's.
    let vocabulary = every_view(&redact(&Report { generator: report.generator.clone(), ..Report::default() }, key)) + ENGINES_WORDS;
    for value in &originals {
        if pseudonyms.contains(value) || stands_in(&vocabulary, value) {
            continue;
        }
        if let Some(at) = shown.find(value.as_str()).filter(|_| stands_in(&shown, value)) {
            let from = shown[..at].char_indices().rev().nth(80).map_or(0, |c| c.0);
            panic!("{value} is still there: …{}…", shown[from..].chars().take(200).collect::<String>());
        }
    }
    // The same picture: nothing joined, nothing split.
    assert_eq!(report.paths.len(), redacted.paths.len());
    let distinct = |r: &Report| r.entities.iter().map(|e| e.id.clone()).collect::<BTreeSet<_>>().len();
    assert_eq!(distinct(&report), distinct(&redacted));
    let ids: BTreeSet<&String> = redacted.entities.iter().map(|e| &e.id).collect();
    for hop in redacted.paths.iter().flat_map(|p| &p.directions).flat_map(|d| &d.hops) {
        assert!(ids.contains(&hop.owner), "{} is called otherwise among the entities", hop.owner);
    }
    // Same key, same bytes; another key, other names.
    assert_eq!(redact(&report, key).to_json().unwrap(), redacted.to_json().unwrap());
    assert_ne!(redact(&report, "another").entities, redacted.entities);
    // As many as there would be to find.
    let unredacted = every_view(&report);
    originals.iter().filter(|v| stands_in(&unredacted, v)).count()
}

/// The only name in any input here that is a word of the report too.
const ENGINES_WORDS: &str = " default ";

#[test]
fn no_view_of_any_case_holds_an_original() {
    let mut checked = 0;
    for entry in std::fs::read_dir(root().join("cases")).unwrap() {
        let inputs = entry.unwrap().path().join("inputs");
        if inputs.is_dir() {
            let inputs = read(&inputs);
            let key = key_of(&analyze(&inputs));
            checked += check(&inputs, &key);
        }
    }
    assert!(checked > 500, "{checked}");
}

/// Everything that can be read at all, damaged and hostile files too, in one heap.
#[test]
fn no_view_of_all_formats_together_holds_an_original() {
    assert!(check(&read(&root().join("formats")), "a key") > 50);
}

#[test]
fn addresses_keep_their_neighbours() {
    let mut inputs = read(&root().join("cases/drop-midway-1/inputs"));
    inputs.truncate(40);
    let report = analyze(&inputs);
    let redacted = redact(&report, "k");
    let ips = |r: &Report| r.entities.iter().flat_map(|e| e.ips.clone()).map(|i| i.parse::<IpAddr>().unwrap()).collect::<Vec<_>>();
    let common = |a: &IpAddr, b: &IpAddr| match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u32::from(*a) ^ u32::from(*b)).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (u128::from(*a) ^ u128::from(*b)).leading_zeros(),
        _ => 0,
    };
    let (before, after) = (ips(&report), ips(&redacted));
    assert!(before.len() > 10);
    for (n, a) in before.iter().enumerate() {
        for (m, b) in before.iter().enumerate() {
            assert_eq!(common(a, b), common(&after[n], &after[m]), "{a} and {b} became {} and {}", after[n], after[m]);
        }
        if let (IpAddr::V4(a), IpAddr::V4(b)) = (a, after[n]) {
            assert_eq!(a.is_private(), b.is_private(), "{a} became {b}");
        }
    }
}

/// Names that are sentences, markup or parts of one another.
#[test]
fn odd_names_go_too() {
    let text = "3: <img src=x onerror=alert(1)>@if2: <UP> mtu 9001\n    link/ether 02:00:00:00:00:99\n";
    let mut ingest = Ingest::new("Acme Corp (prod) 2024/node of Bob's.txt");
    ingest.push(text.as_bytes());
    let mut inputs = ingest.finish();
    let mut ingest = Ingest::new("Acme Corp (prod) 2024/half.json");
    ingest.push(br#"{"apiVersion":"v1","kind":"List","items":[{"kind":"Pod","metadata":{"name":"acme-billing-0","namespace":"acme"#);
    inputs.extend(ingest.finish());
    let shown = every_view(&redact(&analyze(&inputs), "k"));
    for original in ["Acme", "acme", "Bob", "prod", "02:00:00:00:00:99"] {
        assert!(!stands_in(&shown, original), "{original}");
    }
}

/// Account ids stand in file names, owners of things, ARNs and records. Each becomes the same twelve digits wherever it is shown.
#[test]
fn accounts_and_arns_go_the_same_everywhere() {
    let (a, b) = ("123456789012", "210987654321");
    let arn =
        |account: &str, name: &str| format!("arn:aws:elasticloadbalancing:eu-central-1:{account}:loadbalancer/app/{name}/3759f02ca8ad46fd");
    let lb = |account: &str, name: &str| {
        format!(
            r#"{{"LoadBalancerArn":"{}","LoadBalancerName":"{name}","Type":"application","VpcId":"vpc-7b55de9c993ce0da9"}}"#,
            arn(account, name)
        )
    };
    let balancers = format!(r#"{{"LoadBalancers":[{},{},{}]}}"#, lb(a, "web"), lb(a, "api"), lb(b, "other"));
    let eni = |n: u8, name: &str| {
        format!(
            r#"{{"NetworkInterfaceId":"eni-0000000000000000{n}","OwnerId":"{a}","MacAddress":"0a:00:00:00:00:0{n}","VpcId":"vpc-7b55de9c993ce0da9","SubnetId":"subnet-71c61c77309869560","RequesterId":"{b}","Description":"ELB app/{name}/3759f02ca8ad46fd","PrivateIpAddress":"172.31.16.{n}","PrivateIpAddresses":[{{"PrivateIpAddress":"172.31.16.{n}","Primary":true}}],"Status":"in-use"}}"#
        )
    };
    let enis = format!(r#"{{"NetworkInterfaces":[{},{},{}]}}"#, eni(1, "web"), eni(2, "api"), eni(3, "other"));
    let log = format!(
        "2 {a} eni-00000000000000001 172.31.16.1 172.31.16.2 20641 80 6 20 4249 1418530010 1418530070 ACCEPT OK\n\
         2 {a} eni-00000000000000002 172.31.16.3 172.31.16.2 20641 80 6 20 4249 1418530010 1418530070 REJECT OK\n2 {a} eni-0000 damaged\n"
    );
    let packets = "10:00:00.000001 0a:00:00:00:00:01 > 0a:00:00:00:00:02, ethertype IPv4 (0x0800), length 74: 172.31.16.1.20641 > 172.31.16.2.80: Flags [S], seq 1, win 1, length 0\n\
                   10:00:00.000002 0a:00:00:00:00:03 > 0a:00:00:00:00:02, ethertype IPv4 (0x0800), length 74: 172.31.16.3.20641 > 172.31.16.2.80: Flags [S], seq 1, win 1, length 0\n";
    let mut inputs = Vec::new();
    for (name, text) in [
        (format!("AWSLogs/{a}/elbv2.json"), balancers),
        (format!("AWSLogs/{a}/enis.json"), enis),
        (format!("AWSLogs/{a}/{a}_vpcflowlogs_eu-central-1_fl-0123abcd_20260101T0000Z_1a2b3c4d.log"), log),
        (format!("{b}.txt"), packets.to_owned()),
        ("odd.txt".to_owned(), format!("default via `{a} dev secret\n10.0.0.1 `acme` {b}: is odd\n")),
    ] {
        let mut ingest = Ingest::new(&name);
        ingest.push(text.as_bytes());
        inputs.extend(ingest.finish());
    }
    let report = analyze(&inputs);
    let plain = every_view(&report);
    assert!(stands_in(&plain, a) && stands_in(&plain, b) && stands_in(&plain, &arn(a, "web")), "there must be something to hide");
    let redacted = redact(&report, "k");
    let shown = every_view(&redacted);
    for original in [a, b, "web", "api", "3759f02ca8ad46fd", "secret", "acme", "eu-central-1"] {
        assert!(!shown.contains(original), "{original}");
    }
    let mut accounts: BTreeSet<(String, String)> = BTreeSet::new();
    for (before, after) in report.entities.iter().zip(&redacted.entities) {
        for (before, after) in before.aliases.iter().zip(&after.aliases).filter(|(b, _)| b.starts_with("arn:")) {
            let (was, is): (Vec<&str>, Vec<&str>) = (before.split([':', '/']).collect(), after.split([':', '/']).collect());
            assert_eq!((was.len(), &is[..3], &is[5..7]), (is.len(), &was[..3], &was[5..7]), "{after}");
            assert!(is[4].len() == 12 && is[4].bytes().all(|b| b.is_ascii_digit()), "{after}");
            accounts.insert((was[4].to_owned(), is[4].to_owned()));
        }
    }
    assert_eq!(accounts.len(), 2, "one pseudonym for each account: {accounts:?}");
    assert_ne!(accounts.first().unwrap().1, accounts.last().unwrap().1);
}

/// Whatever text a report holds, wherever it stands: of a name that is put there nothing is left. A field that somebody adds and forgets to
/// redact is found here.
#[test]
fn no_field_is_forgotten() {
    use serde_json::Value;
    // The words of the report's own schema, and ids that it gives itself.
    const OWN: &[&str] =
        &["schema", "kind", "id", "evidence", "input", "capture_points", "relative_to", "link_type", "protocol", "path", "paths"];
    const SECRET: &str = "zq7-secret.x9";
    fn texts(value: &Value, at: &str, found: &mut Vec<String>) {
        match value {
            Value::String(_) => found.push(at.to_owned()),
            Value::Array(list) => list.iter().enumerate().for_each(|(n, v)| texts(v, &format!("{at}/{n}"), found)),
            Value::Object(map) => map.iter().for_each(|(k, v)| texts(v, &format!("{at}/{k}"), found)),
            _ => {}
        }
    }
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for case in ["overlay-enis-1", "proxy-v2-1"] {
        let mut report = serde_json::to_value(analyze(&read(&root().join("cases").join(case).join("inputs")))).unwrap();
        report["inputs"][0]["message"] = Value::from("message");
        let mut places = Vec::new();
        texts(&report, "", &mut places);
        for place in places {
            let shape: String = place.split('/').filter(|p| p.parse::<u32>().is_err()).collect::<Vec<_>>().join("/");
            let parts: Vec<&str> = shape.split('/').filter(|p| !p.is_empty()).collect();
            let is_own = parts.last().is_some_and(|p| OWN.contains(p)) || parts.first() == Some(&"generator");
            if is_own && parts != ["entities", "id"] || !seen.insert(shape.clone()) {
                continue;
            }
            let mut changed = report.clone();
            *changed.pointer_mut(&place).unwrap() = Value::from(SECRET);
            // Where only certain words may stand, nothing from an input can.
            let Ok(changed) = serde_json::from_value::<Report>(changed) else {
                seen.remove(&shape);
                seen.insert(format!("{shape} (words)"));
                continue;
            };
            let shown = redact(&changed, "k").to_json().unwrap();
            assert!(!shown.contains("zq7") && !shown.contains("secret"), "{shape} is not redacted");
        }
    }
    let tried = seen.iter().filter(|s| !s.ends_with("(words)")).count();
    assert!(tried >= 25, "{tried} kinds of fields: {seen:?}");
    for must in ["inputs/name", "inputs/message", "entities/name", "findings/summary", "evidence/statement", "paths/relays/through"] {
        assert!(seen.iter().any(|s| s.trim_start_matches('/') == must), "{must} is in no case: {seen:?}");
    }
}
