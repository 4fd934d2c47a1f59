//! Real output of kubectl, the AWS CLI and a host's own commands: recognised, read whole, read when cut and read when damaged.
//! The files under `tests/formats/inventory/<producer>/<version>/` are the smallest that show a shape. Those of kubectl, the AWS CLI,
//! iproute2, net-tools, iptables and the kernel are their own output; `kubectl/wide` and `amazon-vpc-cni-k8s` are composed after
//! published ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use hopscope::facts::{Correction, Fact, Located};
use hopscope::import::locate::span_of;
use hopscope::import::{self, Import, classify_json, import, session};
use hopscope::model::{Locator, Mac};
use hopscope::sniff::{Format, PREFIX, describe_unknown, sniff};
use proptest::prelude::*;
use serde_json::{Value, json};

struct Fixture {
    name: String,
    bytes: Vec<u8>,
}

/// Every fixture, in the order of its path.
fn fixtures() -> Vec<Fixture> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, files) } else { files.push(path) }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/inventory");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files.retain(|f| f.extension().is_some_and(|e| e != "md"));
    files.sort();
    assert!(files.len() > 30, "the fixtures are missing");
    let name = |f: &Path| f.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
    files.iter().map(|f| Fixture { name: name(f), bytes: std::fs::read(f).unwrap() }).collect()
}

/// What the file's name says it is.
fn expected(name: &str) -> Format {
    let (folder, file) = name.rsplit_once('/').unwrap();
    match (folder.split('/').next().unwrap(), file) {
        ("kubectl", _) => Format::Kubectl,
        ("amazon-vpc-cni-k8s", _) => Format::Ipamd,
        ("awscli", f) if f.starts_with("elb") => Format::Elb,
        ("awscli", _) => Format::Ec2,
        ("iptables" | "nftables", _) => Format::Iptables,
        ("ipvsadm", _) => Format::Ipvs,
        ("iproute2", f) if f.starts_with("ss-") => Format::Sockets,
        ("iproute2", f) if f.starts_with("bridge-fdb") => Format::BridgeFdb,
        ("linux" | "conntrack", _) => Format::Conntrack,
        ("vpc-flow-logs", _) => Format::FlowLog,
        (_, f) if f.contains("neigh") || f.starts_with("arp") => Format::IpNeigh,
        (_, f) if f.contains("route") => Format::IpRoute,
        (_, f) if f.contains("rule") => Format::IpRule,
        (_, f) if f.contains("addr") || f.contains("link") || f.starts_with("ifconfig") => Format::IpAddr,
        _ => panic!("what should {name} be?"),
    }
}

fn recognise(bytes: &[u8], name: &str) -> Format {
    sniff(&bytes[..bytes.len().min(PREFIX)], name)
}

fn read(bytes: &[u8]) -> Import {
    import(recognise(bytes, "unknown"), bytes)
}

/// Without members that say nothing, so that a snapshot shows what was read.
fn compact(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let map = map.into_iter().map(|(k, v)| (k, compact(v)));
            let is_empty = |v: &Value| v.is_null() || v == &json!([]) || v == &json!({}) || v == &json!("");
            Value::Object(map.filter(|(_, v)| !is_empty(v)).collect())
        }
        Value::Array(list) if list.len() == 6 && list.iter().all(Value::is_u64) => {
            let octets: Vec<u8> = list.iter().map(|v| u8::try_from(v.as_u64().unwrap()).unwrap()).collect();
            Value::String(Mac(octets.try_into().unwrap()).to_string())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(compact).collect()),
        other => other,
    }
}

fn show(import: &Import) -> String {
    let mut text = String::new();
    for Located { at, fact } in &import.facts {
        let at = match at {
            Locator::Pointer(pointer) => pointer.clone(),
            Locator::Line(line) => format!("line {line}"),
            Locator::Frame(_) => panic!("inventories have no frames"),
        };
        writeln!(text, "{at}: {}", compact(serde_json::to_value(fact).unwrap())).unwrap();
    }
    for note in &import.notes {
        writeln!(text, "! {}", note.message).unwrap();
    }
    text
}

#[test]
fn every_file_is_recognised_by_its_content() {
    for Fixture { name, bytes } in fixtures() {
        assert_eq!(recognise(&bytes, &name), expected(&name), "{name}");
        assert_eq!(recognise(&bytes, "unknown"), expected(&name), "{name} under another name");
        if name.ends_with(".json") {
            assert_eq!(classify_json(&bytes), expected(&name), "{name} as a whole");
        }
    }
}

#[test]
fn what_is_read_from_every_file() {
    let mut by_producer = std::collections::BTreeMap::<String, String>::new();
    for Fixture { name, bytes } in fixtures() {
        let import = read(&bytes);
        let (folder, file) = name.rsplit_once('/').unwrap();
        let text = by_producer.entry(folder.replace(['/', '.'], "_")).or_default();
        writeln!(text, "== {file}\n{}", show(&import)).unwrap();
    }
    for (producer, text) in by_producer {
        insta::assert_snapshot!(producer, text);
    }
}

/// iproute2 prints the same tables as text and as JSON: what is read must not depend on which one was kept.
#[test]
fn text_and_json_of_one_host_say_the_same() {
    let all = fixtures();
    let mut pairs = 0;
    for text in all.iter().filter(|f| f.name.starts_with("iproute2/") && f.name.ends_with(".txt")) {
        let json = text.name.replace(".txt", ".json");
        let Some(json) = all.iter().find(|f| f.name == json) else { continue };
        let facts = |f: &Fixture| read(&f.bytes).facts.into_iter().map(|l| without_namespace(l.fact)).collect::<Vec<_>>();
        assert_eq!(facts(text), facts(json), "{} and {}", text.name, json.name);
        pairs += 1;
    }
    assert_eq!(pairs, 6);
}

/// The text form looks a namespace's name up; the JSON form gives its number.
fn without_namespace(mut fact: Fact) -> Fact {
    if let Fact::HostInterface(interface) = &mut fact {
        assert_eq!(interface.peer_netns.is_some(), interface.peer_index.is_some());
        interface.peer_netns = None;
    }
    fact
}

/// The place of every fact is the place where it stands: its pointer leads serde_json and `span_of` to the same value.
#[test]
fn places_lead_to_what_they_name() {
    for Fixture { name, bytes } in fixtures() {
        let import = read(&bytes);
        let whole: Option<Value> = serde_json::from_slice(&bytes).ok();
        for Located { at, fact } in &import.facts {
            let span = span_of(&bytes, at).unwrap_or_else(|| panic!("{name}: {at:?} leads nowhere"));
            let part = &bytes[span.start..span.end];
            let lines = bytes[..span.start].iter().filter(|b| **b == b'\n').count() as u64 + 1;
            assert_eq!(span.first_line, lines);
            assert_eq!(span.last_line, lines + part.iter().filter(|b| **b == b'\n').count() as u64);
            match (at, &whole) {
                (Locator::Pointer(pointer), Some(whole)) => {
                    let value: Value = serde_json::from_slice(part).unwrap();
                    assert_eq!(Some(&value), whole.pointer(pointer), "{name}: {pointer}");
                }
                (Locator::Line(_), None) => {
                    let word = match fact {
                        Fact::HostInterface(f) => f.name.clone(),
                        Fact::Neighbour(f) => f.ip.to_string(),
                        Fact::Route(f) => f.destination.map_or("default".to_owned(), |d| d.addr().to_string()),
                        Fact::Rule(f) => f.priority.to_string(),
                        Fact::Iptables(f) => f.text.clone(),
                        Fact::Conntrack(f) => f.original.src.to_string(),
                        Fact::Pod(f) => f.name.clone(),
                        Fact::Node(f) => f.name.clone(),
                        Fact::Service(f) => f.name.clone(),
                        Fact::Endpoints(f) => f.service.clone(),
                        Fact::VirtualServer(f) => f.ip.to_string(),
                        Fact::Socket(f) => f.local_port.to_string(),
                        Fact::Fdb(f) => f.mac.to_string(),
                        Fact::FlowLog(f) => f.src.to_string(),
                        Fact::FlowLogGap(f) => f.eni.clone(),
                        other => panic!("{name}: {other:?} from a text"),
                    };
                    let text = String::from_utf8_lossy(part);
                    // A next hop repeats its route's destination, which stands lines above.
                    assert!(text.contains(&word) || text.trim_start().starts_with("nexthop"), "{name}: no {word} in {text:?}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}

/// Of a table, which pods use their node's network shows in another row.
fn without_host_network(located: &Located) -> Located {
    let mut located = located.clone();
    if let Fact::Pod(pod) = &mut located.fact {
        pod.host_network = false;
    }
    located
}

/// A cut document gives what the whole gives, up to the cut, and says where it ends.
///
/// JSON: facts of the whole in the same order, since an element counts only once it is complete; an instance that is cut is
/// missing, while its complete interfaces are there, without its id where that comes later. Text: the first facts of the whole,
/// but for the last one, which may lack what came after (an interface's addresses), or come from a line that is shorter than
/// it was: a line without its end cannot be told from the last line of a paste.
#[test]
fn cut_anywhere() {
    let is_of_whole = |part: &Located, whole: &Located| {
        let mut whole = whole.clone();
        if let (Fact::Eni(part), Fact::Eni(whole)) = (&part.fact, &mut whole.fact)
            && part.instance.is_none()
        {
            whole.instance = None;
        }
        *part == whole
    };
    for Fixture { name, bytes } in fixtures() {
        let format = expected(&name);
        let whole = import(format, &bytes);
        let is_json = name.ends_with(".json");
        let step = if bytes.len() > 3000 { 41 } else { 7 };
        for end in (1..bytes.len()).step_by(step).chain(bytes.len().saturating_sub(9)..bytes.len()) {
            let cut = &bytes[..end];
            let part = import(format, cut);
            if is_json {
                let mut rest = whole.facts.iter();
                let is_kept = part.facts.iter().all(|p| rest.any(|w| is_of_whole(p, w)));
                assert!(is_kept, "{name} cut at {end}:\n{}", show(&part));
                let is_said = part.notes.iter().any(|n| n.is_loss && n.message.contains("ends in the middle"));
                let is_whole = cut.trim_ascii_end() == bytes.trim_ascii_end();
                assert_eq!(is_said, !is_whole, "{name} cut at {end} says {:?}", part.notes);
            } else {
                let is_of_last_line = |l: &&Located| part.facts.last().is_some_and(|last| l.at == last.at);
                let sure = part.facts.len() - part.facts.iter().rev().take_while(is_of_last_line).count();
                let of_whole = whole.facts[..sure].iter().map(without_host_network);
                assert!(of_whole.eq(part.facts[..sure].iter().map(without_host_network)), "{name} cut at {end}");
            }
            let _ = recognise(cut, "unknown");
        }
    }
}

/// Where an element is replaced by something else, a note names it and everything else is read as before.
#[test]
fn a_bad_element_spoils_nothing_else() {
    let mut damaged = 0;
    for Fixture { name, bytes } in fixtures().into_iter().filter(|f| f.name.ends_with(".json")) {
        let whole = read(&bytes);
        for Located { at, .. } in &whole.facts {
            let Locator::Pointer(pointer) = at else { panic!() };
            let span = span_of(&bytes, at).unwrap();
            let spoiled = [&bytes[..span.start], b"17", &bytes[span.end..]].concat();
            let import = import(expected(&name), &spoiled);
            // Ways of a route and subsets of an Endpoints object are read with the element that they belong to.
            let element = pointer.split("/nexthops/").next().and_then(|p| p.split("/subsets/").next()).unwrap();
            let is_inside = |l: &&Located| matches!(&l.at, Locator::Pointer(p) if p == element || p.starts_with(&format!("{element}/")));
            let others: Vec<_> = whole.facts.iter().filter(|l| !is_inside(l)).cloned().collect();
            assert_eq!(import.facts, others, "{name} without {pointer}");
            damaged += 1;
            // An array's element that is no object at all cannot be told from one of a command that is not read,
            // unless a member's name says what the array holds.
            if pointer.matches('/').count() > 1 {
                assert!(import.notes.iter().any(|n| n.message.starts_with(pointer)), "{name} without {pointer}: {:?}", import.notes);
            }
        }
    }
    assert!(damaged > 40);
}

/// Every single value of every document replaced by another type: never a panic, and either nothing that is read changed
/// or a note names the place or an element around it.
#[test]
fn a_value_of_another_type_is_named() {
    for Fixture { name, bytes } in fixtures().into_iter().filter(|f| f.name.ends_with(".json")) {
        let whole = read(&bytes);
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        let mut pointers = Vec::new();
        walk(&document, &mut String::new(), &mut |pointer, value| {
            if !value.is_object() && !value.is_array() {
                pointers.push((pointer.to_owned(), value.is_string()));
            }
        });
        for (pointer, is_string) in pointers {
            let span = span_of(&bytes, &Locator::Pointer(pointer.clone())).unwrap();
            let other: &[u8] = if is_string { b"[-17]" } else { b"\"x\"" };
            let import = import(expected(&name), &[&bytes[..span.start], other, &bytes[span.end..]].concat());
            let is_named = import.notes.iter().any(|n| {
                let place = n.message.split(": ").next().unwrap();
                place.is_empty() || pointer.starts_with(place) || place.starts_with(&pointer)
            });
            // Words that may be of several types (a port's name or number) simply have another value then.
            let same_length = import.facts.len() == whole.facts.len();
            assert!(is_named || same_length, "{name}: {pointer} is spoiled, and the notes say {:?}", import.notes);
        }
    }
}

fn walk(value: &Value, pointer: &mut String, visit: &mut impl FnMut(&str, &Value)) {
    visit(pointer, value);
    let length = pointer.len();
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                walk(value, pointer, visit);
                pointer.truncate(length);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                pointer.push('/');
                pointer.push_str(&index.to_string());
                walk(value, pointer, visit);
                pointer.truncate(length);
            }
        }
        _ => {}
    }
}

/// What can't be taken from a flow log is counted, and the note says what to do.
#[test]
fn flow_logs_that_name_too_little_say_what_to_do() {
    let notes = |text: &str| {
        let import = read(text.as_bytes());
        assert!(import.facts.is_empty(), "{text}: {:?}", import.facts);
        import.notes.into_iter().map(|n| n.message).collect::<Vec<_>>()
    };
    let record = "eni-1235b8ca123456789 ACCEPT 10.0.0.62 10.0.1.5 43416 5001 6 1566848875 1566848933\n";
    let [note] = notes(&record.repeat(3)).try_into().unwrap();
    assert!(
        note.starts_with("line 1: 3 records of a VPC Flow Log whose columns nothing names") && note.contains("describe-flow-logs"),
        "{note}"
    );
    let format =
        "${interface-id} ${action} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${start} ${end} ${a-field-of-version-20}\n";
    assert_eq!(read(format!("{format}{}", record.replace('\n', " new\n")).as_bytes()).facts.len(), 1);
    let events = json!({"events": [{"timestamp": 1, "message": record.trim()}], "nextForwardToken": "f/1"}).to_string();
    let [note] = notes(&events).try_into().unwrap();
    assert!(note.starts_with("/events/0: 1 record"), "{note}");

    let gateway = "version resource-type account-id tgw-id tgw-attachment-id tgw-src-eni tgw-dst-eni srcaddr dstaddr srcport dstport protocol \
                   packets bytes start end log-status type packets-lost-no-route tcp-flags region flow-direction\n\
                   6 TransitGateway 123456789010 tgw-0a1b2c3d4e5f67890 tgw-attach-0a1b2c3d4e5f67890 eni-1235b8ca123456789 eni-1235b8ca123456780 \
                   10.0.0.1 10.1.0.1 1 2 6 1 40 1566848875 1566848933 OK IPv4 0 2 us-east-1 ingress\n";
    let [note] = notes(gateway).try_into().unwrap();
    assert!(note.starts_with("line 1 begins the flow log of a transit gateway"), "{note}");
    let [note] = notes("version srcaddr dstaddr srcport dstport protocol start end\n2 10.0.0.1 10.0.0.2 1 2 6 1566848875 1566848933\n")
        .try_into()
        .unwrap();
    assert!(note.contains("without `interface-id`, `action`"), "{note}");
}

/// As terminals, Windows and PowerShell leave it.
#[test]
fn line_ends_marks_prompts_and_encodings_change_nothing() {
    let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    for Fixture { name, bytes } in fixtures() {
        let text = String::from_utf8(bytes).unwrap();
        let whole = read(text.as_bytes());
        let variants = [
            ("CRLF", text.replace('\n', "\r\n").into_bytes()),
            ("UTF-8 mark", format!("\u{feff}{text}").into_bytes()),
            ("UTF-16LE", utf16(&format!("\u{feff}{text}"), u16::to_le_bytes)),
            ("UTF-16BE", utf16(&format!("\u{feff}{text}"), u16::to_be_bytes)),
            ("UTF-16LE without mark", utf16(&text, u16::to_le_bytes)),
            ("no last line end", text.trim_end().to_owned().into_bytes()),
        ];
        for (what, bytes) in variants {
            assert_eq!(recognise(&bytes, "unknown"), expected(&name), "{name} as {what}");
            assert_eq!(read(&bytes), whole, "{name} as {what}");
        }
        let pasted = format!("Last login: Mon May  3 10:00:00 2021\n[root@ip-10-0-1-10 ~]# the command\n\n{text}\n[root@ip-10-0-1-10 ~]# ");
        let import = read(pasted.as_bytes());
        assert_eq!(recognise(pasted.as_bytes(), "unknown"), expected(&name), "{name} pasted");
        let facts = |i: &Import| i.facts.iter().map(|l| l.fact.clone()).collect::<Vec<_>>();
        assert_eq!(facts(&import), facts(&whole), "{name} pasted");
        for (pasted, alone) in import.facts.iter().zip(&whole.facts) {
            match (&pasted.at, &alone.at) {
                (Locator::Line(pasted), Locator::Line(alone)) => assert_eq!(*pasted, alone + 3),
                (pasted, alone) => assert_eq!(pasted, alone),
            }
        }
    }
}

/// One paste of several commands, as people send it.
#[test]
fn several_commands_in_one_text() {
    let text = "\
$ ip addr show eth0
2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 9001 qdisc mq state UP group default qlen 1000
    link/ether 0e:86:5a:82:6b:e6 brd ff:ff:ff:ff:ff:ff
    inet 192.168.34.143/19 brd 192.168.63.255 scope global dynamic eth0
7: vlan.eth.3@eth1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 9001 qdisc noqueue state UP group default
    link/ether 0e:12:34:56:78:9a brd ff:ff:ff:ff:ff:ff promiscuity 0 minmtu 0 maxmtu 65535
    vlan protocol 802.1Q id 3 <REORDER_HDR> addrgenmode eui64 numtxqueues 1
9: gre0@NONE: <NOARP> mtu 1476 qdisc noop state DOWN group default qlen 1000
    link/gre 0.0.0.0 brd 0.0.0.0
10: tun0: <POINTOPOINT,NO-CARRIER,UP> mtu 1500 qdisc fq_codel state DOWN
    inet 10.8.0.1 peer 10.8.0.2/32 scope global tun0
$ ip route get 10.0.0.9
10.0.0.9 via 192.168.32.1 dev eth0 src 192.168.34.143 uid 0
    cache
# and the rest
$ ip route; ip rule; arp -an
default via 192.168.32.1 dev eth0
0:\tfrom all lookup local
? (192.168.32.1) at 0e:26:9f:32:7d:d6 [ether] on eth0
";
    let facts = show(&read(text.as_bytes()));
    insta::assert_snapshot!("several_commands", facts);
}

#[test]
fn text_of_other_systems() {
    let text = "\
eth0      Link encap:Ethernet  HWaddr 0E:86:5A:82:6B:E6
          inet addr:192.168.34.143  Bcast:192.168.63.255  Mask:255.255.224.0
          inet6 addr: fe80::c86:5aff:fe82:6be6/64 Scope:Link
          UP BROADCAST RUNNING MULTICAST  MTU:9001  Metric:1

en0: flags=8863<UP,BROADCAST,SMART,RUNNING,SIMPLEX,MULTICAST> mtu 1500
\tether 3c:22:fb:00:11:22
\tinet 192.168.1.7 netmask 0xffffff00 broadcast 192.168.1.255

? (192.168.1.1) at 0:1b:21:aa:b:c on en0 ifscope [ethernet]
ip-10-0-1-9.ec2.internal (10.0.1.9) at 02:00:00:00:00:09 [ether] PERM on eth0

Interface: 192.168.1.5 --- 0x4
  Internet Address      Physical Address      Type
  192.168.1.1           00-1b-21-aa-0b-0c     dynamic
  224.0.0.22            01-00-5e-00-00-16     static
gateway.local            ether   02:00:00:00:00:0a   C                     eth0
";
    insta::assert_snapshot!("other_systems", show(&read(text.as_bytes())));
}

#[test]
fn lines_that_cannot_be_read_are_named() {
    let import = read(b"default via 10.0.0.1 dev eth0\ndefault via 10.0.0.999 dev eth0\n0:\tfrom 10.0.0/8 lookup main\n2: eth0: <UP> mtu 9001\n    link/ether 0e:86:5a\n");
    let messages: Vec<_> = import.notes.iter().map(|n| n.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "line 2 is not understood: `default via 10.0.0.999 dev eth0`",
            "line 3 is not understood: `0:\tfrom 10.0.0/8 lookup main`",
            "line 5 has no address that can be read",
        ]
    );
    assert_eq!(import.facts.len(), 2);
}

#[test]
fn annotations_of_the_vpc_cni() {
    let eni = r#"[{"eniId":"eni-1","ifAddress":"0e:59:cf:00:00:01","privateIp":"192.168.1.5","vlanId":3,"subnetCidr":"192.168.0.0/19"}]"#;
    let other = r#"[{"ENIID":"eni-2","IFADDRESS":"0e:59:cf:00:00:02","PRIVATEIP":"","ipv6Addr":"2001:db8::7","vlanID":4}]"#;
    let pod = |name: &str, annotations: Value| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "n", "annotations": annotations},
               "spec": {"nodeName": "a"}, "status": {"podIP": "192.168.1.5"}})
    };
    let list = json!([
        pod("p", json!({"vpc.amazonaws.com/pod-eni": eni, "vpc.amazonaws.com/pod-ips": "192.168.1.5, 2001:db8::8"})),
        pod("q", json!({"vpc.amazonaws.com/pod-eni": other})),
        pod("r", json!({"vpc.amazonaws.com/pod-eni": "[{"})),
    ]);
    insta::assert_snapshot!("annotations", show(&read(list.to_string().as_bytes())));
}

/// Documents one after another, lists of lists, answers cut by `--query`, and items without a kind of their own.
#[test]
fn other_ways_to_keep_the_same_documents() {
    let pods = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [{"metadata": {"name": "p", "namespace": "n"}, "spec": {}, "status": {"podIP": "10.0.0.5"}}]});
    let vpcs = json!({"NextToken": "x", "Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16"}], "Subnets": [{"SubnetId": "subnet-1", "CidrBlock": "10.0.0.0/24", "VpcId": "vpc-1"}]});
    let dump = format!(
        "{pods:#}\n==== START logs for container c of pod n/p ====\n{{\"level\":\"info\"}}\n[GIN] 200\n==== END logs ====\n{vpcs:#}\n"
    );
    let query = json!([[{"InstanceId": "i-1", "PrivateDnsName": "a", "NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "MacAddress": "02:00:00:00:00:01"}]}]]);
    let slurped = json!([pods, vpcs]);
    let mut text = String::new();
    for (what, bytes) in
        [("dump", dump.into_bytes()), ("query", query.to_string().into_bytes()), ("slurped", slurped.to_string().into_bytes())]
    {
        let import = read(&bytes);
        for located in &import.facts {
            assert!(span_of(&bytes, &located.at).is_some(), "{what}: {:?}", located.at);
        }
        writeln!(text, "== {what}\n{}", show(&import)).unwrap();
    }
    insta::assert_snapshot!("other_ways", text);
}

#[test]
fn a_document_is_read_up_to_its_damage() {
    let text = r#"{"Vpcs": [
  {"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16"},
  {"VpcId": "vpc-2", "CidrBlock": "10.1.0.0/16" "Tags": []},
  {"VpcId": "vpc-3", "CidrBlock": "10.2.0.0/16"} // three
  {"VpcId": "vpc-4", "CidrBlock": "10.3.0.0/16"}
]}"#;
    insta::assert_snapshot!("damage", show(&read(text.as_bytes())));
    let deep = format!("{{\"Vpcs\": {}", "[".repeat(100_000));
    let import = read(deep.as_bytes());
    assert_eq!(import.notes[0].message, "more than 127 brackets are open at line 1, column 138; what follows is not read");
}

#[test]
fn a_session_comes_back_as_it_was_kept() {
    let corrections = [
        Correction::Placement { input_name: "a.pcap".into(), interface_name: None, at: "if:node:n/eth0".into() },
        Correction::Placement { input_name: "b.pcapng".into(), interface_name: Some("any".into()), at: "pod:n/p".into() },
        Correction::Owner { mac: Some(Mac([2, 0, 0, 0, 0, 1])), ip: None, entity: "router:subnet-1".into() },
        Correction::Owner { mac: None, ip: Some("10.0.0.1".parse().unwrap()), entity: "external:10.0.0.1".into() },
        Correction::ClockOffset { input_name: "a.pcap".into(), offset_ns: -3_200_000_000 },
    ];
    for kept in [&corrections[..], &[]] {
        let json = session::to_json(kept);
        assert_eq!(recognise(json.as_bytes(), "unknown"), Format::Session);
        let import = read(json.as_bytes());
        let back: Vec<_> = import.facts.into_iter().map(|l| l.fact).collect();
        assert_eq!(back, kept.iter().cloned().map(Fact::Correction).collect::<Vec<_>>());
        assert_eq!(import.notes, []);
    }
    let newer =
        read(br#"{"schema": "hopscope.session/2", "placements": [{"input": "a", "at": "x"}, {"at": 5}], "owners": [{"entity": "e"}]}"#);
    insta::assert_snapshot!("session", show(&newer));
}

#[test]
fn what_is_no_inventory_is_told_apart() {
    let mut tar = vec![0_u8; 1024];
    tar[..5].copy_from_slice(b"a.txt");
    tar[148..156].copy_from_slice(b"        ");
    let sum: u32 = tar[..512].iter().map(|b| u32::from(*b)).sum();
    tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let erf_record = [[0, 0, 0, 0, 0x10, 0x32, 0x54, 0x60, 2, 4, 0, 20, 0, 0, 0, 4].as_slice(), &[0; 4]].concat();
    let cases: &[(&[u8], Format)] = &[
        (b"", Format::Empty),
        (b"\xd4\xc3\xb2\xa1\x02\0\x04\0", Format::Pcap),
        (b"\xa1\xb2\x3c\x4d", Format::Pcap),
        (b"\x34\xcd\xb2\xa1\x02\0", Format::Pcap),
        (b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a", Format::Pcapng),
        (b"\x0a\x0d\x0d\x0a\0\0\0\x1c\x1a\x2b\x3c\x4d", Format::Pcapng),
        (b"\x1f\x8b\x08\0", Format::Gzip),
        (b"PK\x03\x04\x14", Format::Zip),
        (&tar, Format::Tar),
        (b"\0\0\0\0\0\0\0\0\0\0\0\0", Format::Unknown),
        (b"\x89PNG\r\n\x1a\n\0\0\0\x0d", Format::Unknown),
        (b"hello world\n", Format::UnknownText),
        (b"{\"a\": 1}", Format::UnknownJson),
    ];
    for (bytes, format) in cases {
        assert_eq!(sniff(bytes, "unknown"), *format, "{bytes:02x?}");
    }
    let unsupported: &[(&[u8], &str)] = &[
        (b"\xfd7zXZ\0\0", "unxz"),
        (b"snoop\0\0\0\0\0\0\x02", "editcap"),
        (b"GMBU\0\x02", "editcap"),
        (&[erf_record.clone(), erf_record].concat(), "ERF"),
        (b"0000   02 00 00 00 00 01 02 00 00 00 00 02 08 00 45 00\n", "text2pcap"),
        (b"apiVersion: v1\nitems:\n- apiVersion: v1\n", "-o json"),
        (b"An error occurred (UnauthorizedOperation) when calling the DescribeVpcs operation\n", "error message"),
    ];
    for (bytes, word) in unsupported {
        match sniff(bytes, "unknown") {
            Format::Unsupported(message) => assert!(message.contains(word), "{message}"),
            other => panic!("{bytes:02x?} is {other:?}"),
        }
    }
    assert_eq!(describe_unknown(b"\xff\xd8\xff\xe0\0\x10JFIF"), "a JPEG image, neither a capture nor an inventory");
    assert_eq!(describe_unknown(&[0; 4096]), "zeros, as far as its first 4096 bytes show");
    assert_eq!(describe_unknown(b"hello world\n"), "text, but not from a command that is read; it begins with `hello world`");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z\"\\\\/~{}\\[\\], é\n]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-b\"\\\\/~é]{0,3}", inner, 0..6).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

fn any_document() -> impl Strategy<Value = Value> {
    prop_oneof![
        // A bare list of numbers is no inventory, and what begins so may be a line of a log.
        prop::collection::vec(any_json(), 0..6).prop_map(|mut list| {
            list.insert(0, json!({}));
            Value::from(list)
        }),
        prop::collection::btree_map("[a-b\"\\\\/~é]{0,3}", any_json(), 0..6).prop_map(|m| Value::Object(m.into_iter().collect())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_pointer_finds_its_value(documents in prop::collection::vec(any_document(), 1..4), is_pretty: bool) {
        let text: String = documents.iter().map(|d| if is_pretty { format!("{d:#}\n") } else { format!("{d}\n") }).collect();
        for (index, document) in documents.iter().enumerate() {
            let mut prefix = if documents.len() > 1 { format!("/{index}") } else { String::new() };
            walk(document, &mut prefix, &mut |pointer, value| {
                let span = span_of(text.as_bytes(), &Locator::Pointer(pointer.to_owned())).unwrap();
                let found: Value = serde_json::from_str(&text[span.start..span.end]).unwrap();
                assert_eq!(&found, value, "{pointer:?} in {text}");
            });
        }
    }

    /// Whatever is dropped, and whatever it is taken for: no panic.
    #[test]
    fn no_input_stops_the_import(bytes in prop::collection::vec(any::<u8>(), 0..300), pointer in "(/[a-z0-9~]{0,3}){0,3}") {
        let _ = sniff(&bytes, "unknown");
        let _ = describe_unknown(&bytes);
        let _ = import::text(&bytes);
        let _ = span_of(&bytes, &Locator::Pointer(pointer));
        for format in [Format::Kubectl, Format::IpAddr, Format::UnknownText] {
            let _ = import(format, &bytes);
        }
    }

    /// Pieces of real documents in any order: damage that random bytes never make.
    #[test]
    fn no_mixture_stops_the_import(pieces in prop::collection::vec((0_usize..60, 0_usize..4000, 0_usize..400), 1..8)) {
        let all = fixtures();
        let mut bytes = Vec::new();
        for (file, start, length) in pieces {
            let file = &all[file % all.len()].bytes;
            let start = start % file.len();
            bytes.extend_from_slice(&file[start..(start + length).min(file.len())]);
        }
        let import = read(&bytes);
        for located in &import.facts {
            assert!(span_of(&bytes, &located.at).is_some(), "{:?} leads nowhere", located.at);
        }
    }
}
