//! What a capture's name resolution block calls an address names a host that nothing else names, and nothing more. The file is tshark's own;
//! the hostile names are put into a block of the same kind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

use hopscope::analysis::analyze;
use hopscope::columnar;
use hopscope::ingest::{Data, Ingest, Ingested};
use hopscope::redact::redact;
use hopscope::report::{Entity, Report};
use hopscope::views::{self, Selection, Theme};

fn capture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/formats/captures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn read(name: &str, bytes: &[u8]) -> Vec<Ingested> {
    let mut ingest = Ingest::new(name);
    ingest.push(bytes);
    ingest.finish()
}

fn entity<'a>(report: &'a Report, ip: &str) -> &'a Entity {
    report.entities.iter().find(|e| e.ips.iter().any(|i| i == ip)).unwrap()
}

/// Statements about an entity's names, with the frames that they cite.
fn said(report: &Report, of: &Entity) -> Vec<(String, Option<u64>)> {
    let about = report.evidence.iter().filter(|e| e.kind == "name_resolution" && of.evidence.contains(&e.id));
    about.map(|e| (e.statement.clone(), e.sources[0].frame)).collect()
}

/// A pcapng's name resolution block of one address.
fn block(ip: [u8; 4], names: &[&str]) -> Vec<u8> {
    let mut record = ip.to_vec();
    names.iter().for_each(|n| record.extend(n.bytes().chain([0])));
    let mut body = [&1_u16.to_le_bytes()[..], &(record.len() as u16).to_le_bytes(), &record].concat();
    body.resize(body.len().next_multiple_of(4) + 4, 0);
    let length = (body.len() as u32 + 12).to_le_bytes();
    [&4_u32.to_le_bytes()[..], &length, &body, &length].concat()
}

#[test]
fn a_host_that_no_inventory_names_is_called_by_it() {
    let report = analyze(&read("names.pcapng", &capture("wireshark-4.0.17/tshark-names.pcapng")));
    let web = entity(&report, "10.9.0.2");
    assert!(web.id.ends_with(":10.9.0.2"), "the id stays what it was: {}", web.id);
    assert_eq!(web.name, "www.shop.example");
    let [(statement, Some(frame))] = &said(&report, web)[..] else { panic!() };
    let offset: usize = statement
        .strip_prefix("a name resolution block of names.pcapng at byte ")
        .and_then(|s| s.strip_suffix(" calls 10.9.0.2 `www.shop.example`"))
        .unwrap_or_else(|| panic!("{statement}"))
        .parse()
        .unwrap();
    // The block is where it is said to be, and the frame is one of that address.
    let bytes = capture("wireshark-4.0.17/tshark-names.pcapng");
    assert_eq!(bytes[offset..offset + 4], [4, 0, 0, 0]);
    let length = u32::from_le_bytes(bytes[offset + 4..offset + 8].try_into().unwrap()) as usize;
    assert!(bytes[offset..offset + length].windows(16).any(|w| w == b"www.shop.example"));
    assert!((1..=34).contains(frame));
    assert_eq!(entity(&report, "fd09::1").name, "client6.shop.example");
    assert!(views::text(&report).contains("10.9.0.2 (www.shop.example)"), "{}", views::text(&report));
    // The same capture without the block: the same report but for names and what says them.
    let mut plain = analyze(&read("names.pcapng", &capture("wireshark-4.0.17/editcap-pcapng.pcapng")));
    assert_eq!(entity(&plain, "10.9.0.2").name, "10.9.0.2");
    let ids = |r: &Report| r.entities.iter().map(|e| (e.id.clone(), e.confidence)).collect::<Vec<_>>();
    assert_eq!(ids(&plain), ids(&report));
    plain.evidence.clear();
    assert_eq!(plain.paths.len(), report.paths.len());
}

/// An inventory says whose an address is; what somebody's resolver answered does not change that.
#[test]
fn an_inventorys_name_is_not_replaced() {
    let mut inputs = read("names.pcapng", &capture("wireshark-4.0.17/tshark-names.pcapng"));
    let pod = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web-0","namespace":"shop"},"spec":{"nodeName":"n"},"status":{"podIP":"10.9.0.2"}}"#;
    inputs.extend(read("pod.json", pod.as_bytes()));
    let report = analyze(&inputs);
    let web = report.entities.iter().find(|e| e.id == "pod:shop/web-0").unwrap();
    assert!(web.ips.contains(&"10.9.0.2".to_owned()) && web.name == "web-0", "{web:?}");
    assert!(report.evidence.iter().all(|e| !e.statement.contains("www.shop.example")));
}

#[test]
fn hostile_names_are_text_and_too_many_of_them_are_left() {
    const HOSTILE: &str = "a\"b<script>alert(1)</script>`x`]]>-->\u{1b}[31m\u{202e}=cmd()|%0a";
    let mut bytes = capture("wireshark-4.0.17/editcap-pcapng.pcapng");
    bytes.extend(block([10, 9, 0, 2], &[HOSTILE, "second.example", "second.example", "third.example", "fourth.example"]));
    bytes.extend(block([10, 9, 0, 1], &["10.9.0.77", &"l".repeat(300)]));
    (0..30_000_u32).for_each(|n| bytes.extend(block(n.to_be_bytes(), &[&format!("n{n}.example")])));
    let inputs = read("names.pcapng", &bytes);
    let Data::Capture(digest) = &inputs[0].data else { panic!() };
    assert_eq!(digest.names.len(), 1 << 14, "so many are kept");
    let report = analyze(&inputs);
    let web = entity(&report, "10.9.0.2");
    assert_eq!(web.name, HOSTILE.replace('`', ""));
    assert_eq!(said(&report, web).len(), 3);
    assert_eq!(entity(&report, "10.9.0.1").name, "10.9.0.1", "an address is no name, nor is what is longer than names are");
    let all = Selection::all();
    for view in [
        views::text(&report),
        views::svg(&report, &all, Theme::Auto),
        views::html(&report),
        views::mermaid(&report, &all),
        views::dot(&report, &all),
        views::graphml(&report, &all),
        views::csv(&report),
    ] {
        assert!(!view.contains("<script") || !view.starts_with('<'), "markup");
        assert!(!view.contains(['\u{1b}', '\u{202e}']));
    }
    let redacted = redact(&report, "k").to_json().unwrap();
    for name in ["script", "alert", "second.example", "third.example"] {
        assert!(!redacted.contains(name), "{name}");
    }
}

/// A digest has the names and where they stand, so that it gives the same report; one that was written without places is read.
#[test]
fn digests_keep_them() {
    let one = read("names.pcapng", &capture("wireshark-4.0.17/tshark-names.pcapng")).remove(0);
    let Data::Capture(digest) = &one.data else { panic!() };
    let mut bytes = Vec::new();
    assert!(one.write_digest(&mut |part| bytes.extend_from_slice(part)));
    let (_, again) = columnar::read(&bytes).unwrap();
    assert!(again.names.len() == 3 && again.names == digest.names);
    assert_eq!(analyze(&read("names.pcapng.parquet", &bytes)), analyze(&[one]));
    let old: Vec<hopscope::digest::Named> = serde_json::from_str(r#"[["10.0.0.1","a"],["10.0.0.2","b",7]]"#).unwrap();
    assert_eq!((old[0].2, old[1].2), (0, 7));
}
