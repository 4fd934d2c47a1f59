//! `bridge fdb`, text and `-j`: which MAC is behind which port of a bridge, or behind which tunnel end. Knows what iproute2 prints (bridge(8)).

use serde::Deserialize;

use super::ip;
use super::json::Reader;
use super::scan::Step;
use crate::facts::{Fact, FdbEntry};

/// `12:09:e9:be:8f:9b dev veth1 master br0`, `66:3a:2b:11:22:33 dev vxlan1 dst 10.0.1.7 self permanent`.
pub(crate) fn line(line: &str) -> Option<FdbEntry> {
    let mac = line.split_whitespace().next()?.parse().ok()?;
    let words: Vec<&str> = line.split_whitespace().collect();
    if words.get(1) != Some(&"dev") {
        return None;
    }
    let after = |key: &str| words.iter().position(|w| *w == key).and_then(|at| words.get(at + 1)).copied();
    let has = |word: &str| words.iter().skip(3).any(|w| *w == word);
    // `extern_learn` and `offload` are flags; what ages has no state.
    let state = ["permanent", "static", "stale"].into_iter().find(|s| has(s)).map(str::to_owned);
    Some(FdbEntry {
        mac,
        dev: (*words.get(2)?).to_owned(),
        master: after("master").map(str::to_owned),
        remote: after("dst").and_then(ip::address),
        vlan: after("vlan").and_then(|v| v.parse().ok()),
        state,
        is_self: has("self"),
    })
}

#[derive(Deserialize)]
struct Entry {
    mac: String,
    ifname: String,
    master: Option<String>,
    dst: Option<String>,
    vlan: Option<u16>,
    state: Option<String>,
    #[serde(default)]
    flags: Vec<String>,
}

/// An element of `bridge -j fdb`.
pub(crate) fn json(reader: &mut Reader<'_>, at: usize) -> Step {
    let (end, entry) = reader.parse::<Entry>(at)?;
    let Some(e) = entry else { return Ok(end) };
    let Some(mac) = reader.value("/mac", Some(&e.mac), "a MAC address") else { return Ok(end) };
    reader.push(Fact::Fdb(FdbEntry {
        mac,
        dev: e.ifname,
        master: e.master,
        remote: e.dst.as_deref().and_then(ip::address),
        vlan: e.vlan,
        state: e.state.filter(|s| !s.is_empty()),
        is_self: e.flags.iter().any(|f| f == "self"),
    }));
    Ok(end)
}
