//! `hopscope.d.ts` says exactly what serde writes: fields, what may be null, what may be absent, and each enum's words.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use hopscope::report::{
    Ambiguous, CapturePoint, Clock, DirectionPath, Encapsulation, Entity, EntityKind, Evidence, Finding, Flow, FlowEnd, Generator, Hop,
    Input, Link, Path, Relay, Report, Rewrite, Sampling, Severity, Source, Status, Verdict, Way,
};
use serde_json::Value;

const TYPES: &str = include_str!("../hopscope.d.ts");

/// Interface → field → (may be absent, type).
fn interfaces() -> BTreeMap<&'static str, BTreeMap<&'static str, (bool, &'static str)>> {
    let mut found = BTreeMap::new();
    for part in TYPES.split("export interface ").skip(1) {
        let (name, rest) = part.split_once(" {").unwrap();
        let (body, _) = rest.split_once("\n}").unwrap();
        let fields = body.lines().filter_map(|l| l.trim().strip_suffix(';')?.split_once(": "));
        found.insert(name, fields.map(|(key, ty)| (key.trim_end_matches('?'), (key.ends_with('?'), ty))).collect());
    }
    found
}

/// The words of `export type NAME = "a" | "b";`.
fn words(name: &str) -> Option<BTreeSet<String>> {
    let (_, rest) = TYPES.split_once(&format!("export type {name} ="))?;
    let (body, _) = rest.split_once(';')?;
    Some(body.split('|').map(|w| w.trim().trim_matches('"').to_owned()).filter(|w| !w.is_empty()).collect())
}

/// Complaints about `value`, which `ty` should describe.
fn check(value: &Value, ty: &str, at: &str, wrong: &mut Vec<String>) {
    let interfaces = interfaces();
    let inner = ty.trim_end_matches(" | null");
    match value {
        Value::Null if inner == ty => wrong.push(format!("{at}: null, not {ty}")),
        Value::Null => {}
        Value::Array(items) => match inner.strip_suffix("[]") {
            Some(item) => items.iter().for_each(|v| check(v, item, &format!("{at}[]"), wrong)),
            None => wrong.push(format!("{at}: a list, not {ty}")),
        },
        Value::Object(fields) => {
            let Some(declared) = interfaces.get(inner) else { return wrong.push(format!("{at}: an object, not {ty}")) };
            for key in fields.keys().filter(|k| !declared.contains_key(k.as_str())) {
                wrong.push(format!("{at}.{key}: not declared"));
            }
            for (key, (may_be_absent, ty)) in declared {
                match fields.get(*key) {
                    Some(value) => check(value, ty, &format!("{at}.{key}"), wrong),
                    None if *may_be_absent => {}
                    None => wrong.push(format!("{at}.{key}: declared, not written")),
                }
            }
        }
        Value::Bool(_) if inner == "boolean" => {}
        Value::Number(_) if inner == "number" => {}
        Value::String(_) if inner == "string" => {}
        Value::String(word) if words(inner).is_some_and(|w| w.contains(word)) => {}
        other => wrong.push(format!("{at}: {other}, not {ty}")),
    }
}

/// One of each thing; every optional field is there or every one is not.
fn sample(full: bool) -> Report {
    let text = || full.then(|| "x".to_owned());
    let list = || vec!["x".to_owned()];
    let end = || FlowEnd { entity: text(), ip: "10.0.0.1".to_owned(), port: full.then_some(1) };
    let hop = Hop {
        interface: text(),
        capture_points: list(),
        src_mac: text(),
        dst_mac: text(),
        src_ip: text(),
        src_port: full.then_some(1),
        dst_ip: text(),
        dst_port: full.then_some(1),
        ttl: full.then_some(64),
        rewrites: vec![Rewrite::Mac],
        encapsulation: vec![Encapsulation { kind: "vxlan".to_owned(), vni: full.then_some(1), outer_src: text(), outer_dst: text() }],
        delay_ns: full.then_some(1),
        delay_range_ns: full.then_some([1, 2]),
        missing_range: full.then_some([1, 2]),
        evidence: list(),
        ..Hop::default()
    };
    let source = Source { input: "in1".to_owned(), frame: full.then_some(1), pointer: text(), line: full.then_some(1) };
    Report {
        schema: hopscope::report::SCHEMA.to_owned(),
        generator: Generator::default(),
        inputs: vec![Input { message: text(), ..Input::default() }],
        capture_points: vec![CapturePoint {
            interface_name: text(),
            first_ns: full.then_some(1),
            last_ns: full.then_some(1),
            clock: full.then(Clock::default),
            at: text(),
            evidence: list(),
            ..CapturePoint::default()
        }],
        entities: vec![Entity { aliases: list(), parent: text(), macs: list(), ips: list(), evidence: list(), ..Entity::default() }],
        links: vec![Link { evidence: list(), ..Link::default() }],
        paths: vec![Path {
            flow: Flow { protocol: "tcp".to_owned(), client: end(), server: end(), via: full.then(end) },
            directions: vec![DirectionPath {
                beyond: full.then(|| hop.clone()).into_iter().collect(),
                hops: vec![hop],
                lost_after: full.then_some(0),
                ..DirectionPath::default()
            }],
            relays: full.then(|| Relay { evidence: list(), ..Relay::default() }).into_iter().collect(),
            ..Path::default()
        }],
        findings: vec![Finding { about: list(), next_step: text(), evidence: list(), ..Finding::default() }],
        evidence: vec![Evidence { sources: vec![source], ..Evidence::default() }],
        sampling: full.then_some(Sampling { one_in: 16, packets: 9, examined: 3, unexamined_flows: 1 }),
        ambiguous: Ambiguous { packets: u64::from(full), messages: 0 },
    }
}

#[test]
fn the_types_describe_what_is_written() {
    let mut wrong = Vec::new();
    for full in [true, false] {
        check(&serde_json::to_value(sample(full)).unwrap(), "Report", "report", &mut wrong);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A field that is declared `| null` and never null, or the other way round, would pass above.
#[test]
fn what_is_declared_null_is_null() {
    fn nulls(value: &Value, at: &str, found: &mut BTreeSet<String>) {
        match value {
            Value::Null => drop(found.insert(at.to_owned())),
            Value::Array(items) => items.iter().for_each(|v| nulls(v, at, found)),
            Value::Object(fields) => fields.iter().for_each(|(k, v)| nulls(v, k, found)),
            _ => {}
        }
    }
    let mut written = BTreeSet::new();
    nulls(&serde_json::to_value(sample(false)).unwrap(), "", &mut written);
    let all = interfaces();
    let declared: BTreeSet<String> =
        all.values().flatten().filter(|(_, (_, ty))| ty.ends_with(" | null")).map(|(key, _)| (*key).to_owned()).collect();
    assert_eq!(declared, written);
}

#[test]
fn the_types_know_every_word() {
    /// serde's error for a word that is none names all that are.
    fn variants<T: serde::de::DeserializeOwned>() -> BTreeSet<String> {
        let Err(error) = serde_json::from_str::<T>("\"\"") else { panic!("the empty word is none") };
        let text = error.to_string();
        text.split("expected").nth(1).unwrap().split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect()
    }
    assert_eq!(words("Status").unwrap(), variants::<Status>());
    assert_eq!(words("EntityKind").unwrap(), variants::<EntityKind>());
    assert_eq!(words("Way").unwrap(), variants::<Way>());
    assert_eq!(words("Verdict").unwrap(), variants::<Verdict>());
    assert_eq!(words("Rewrite").unwrap(), variants::<Rewrite>());
    assert_eq!(words("Severity").unwrap(), variants::<Severity>());
}
