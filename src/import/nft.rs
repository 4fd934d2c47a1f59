//! `nft list ruleset`, as text and as `-j` JSON → the same rules that `iptables-save` gives. Knows how nftables writes addresses, ports,
//! jumps, translations and verdict maps (nft(8), libnftables-json(5)), not what the chains are for.

use std::net::IpAddr;

use serde_json::Value;

use super::ip;
use super::iptables;
use super::json::Reader;
use super::scan::Step;
use crate::facts::{Fact, IptablesRule};

/// Where in a printed ruleset a line stands.
#[derive(Debug, Default)]
pub(crate) struct Ruleset {
    table: Option<String>,
    /// The chain, or the map, whose lines are being read.
    block: Option<(String, bool)>,
    /// Open braces of a map's elements.
    is_in_elements: bool,
}

/// `table ip nat {`.
pub(crate) fn table_line(line: &str) -> Option<&str> {
    let mut words = line.trim().strip_prefix("table ")?.strip_suffix('{')?.split_whitespace();
    let (family, name) = (words.next()?, words.next()?);
    (matches!(family, "ip" | "ip6" | "inet" | "arp" | "bridge" | "netdev") && words.next().is_none()).then_some(name)
}

impl Ruleset {
    /// Whether a table is open, so that every line is its.
    pub(crate) fn is_open(&self) -> bool {
        self.table.is_some()
    }

    /// One line, and the rules that it states.
    pub(crate) fn line(&mut self, line: &str) -> Vec<IptablesRule> {
        let line = line.trim();
        if let Some(name) = table_line(line) {
            *self = Self { table: Some(name.to_owned()), ..Self::default() };
            return Vec::new();
        }
        let Some(table) = self.table.clone() else { return Vec::new() };
        if self.is_in_elements {
            let rules = self.elements(&table, line.trim_end_matches('}'));
            self.is_in_elements = !line.ends_with('}');
            return rules;
        }
        if line == "}" {
            if self.block.take().is_none() {
                self.table = None;
            }
            return Vec::new();
        }
        if self.block.is_none() {
            let mut words = line.split_whitespace();
            let is_chain = words.next() == Some("chain");
            if let (Some(name), true) = (words.next(), line.ends_with('{')) {
                self.block = Some((name.to_owned(), is_chain));
            }
            return Vec::new();
        }
        if let Some(elements) = line.strip_prefix("elements = {") {
            self.is_in_elements = !elements.ends_with('}');
            return self.elements(&table, elements.trim_end_matches('}'));
        }
        match &self.block {
            Some((chain, true)) if !line.starts_with("type ") && !line.starts_with("comment ") => rule(&table, chain, line),
            _ => Vec::new(),
        }
    }

    /// `10.100.7.7 . tcp . 80 : goto service-…, …` of a verdict map: a rule of a chain that is called like the map.
    fn elements(&self, table: &str, text: &str) -> Vec<IptablesRule> {
        let Some((map, false)) = &self.block else { return Vec::new() };
        text.split(',').filter_map(|e| element(table, map, e.trim())).collect()
    }
}

fn element(table: &str, map: &str, text: &str) -> Option<IptablesRule> {
    let (key, verdict) = text.rsplit_once(" : ")?;
    let target = verdict.trim().strip_prefix("goto ").or_else(|| verdict.trim().strip_prefix("jump "))?;
    let mut rule = IptablesRule {
        table: table.to_owned(),
        chain: map.to_owned(),
        text: text.to_owned(),
        target: Some(target.trim().to_owned()),
        ..IptablesRule::default()
    };
    // An element may carry a comment or a counter after its key.
    for part in key.split(" . ") {
        key_part(&mut rule, part.split_whitespace().next().unwrap_or_default());
    }
    Some(rule)
}

/// One part of a concatenated key: what it is shows in how it is written.
fn key_part(rule: &mut IptablesRule, part: &str) {
    if let Some(net) = ip::prefix(part) {
        rule.destination = Some(net);
    } else if let Ok(port) = part.parse() {
        rule.destination_port = Some(port);
    } else if let Some(protocol) = iptables::protocol(part) {
        rule.protocol = Some(protocol);
    }
}

/// A rule, once for each target of a verdict map that is written into it.
fn rule(table: &str, chain: &str, line: &str) -> Vec<IptablesRule> {
    let base = IptablesRule { table: table.to_owned(), chain: chain.to_owned(), text: line.to_owned(), ..IptablesRule::default() };
    let Some(words) = iptables::words(line) else { return vec![base] };
    let mut rule = base;
    let word = |at: usize| words.get(at).map(String::as_str).unwrap_or_default();
    let mut targets: Vec<String> = Vec::new();
    for at in 0..words.len() {
        // A comparison may stand between a field and its value; all but equality selects everything else.
        let value = |at: usize| Some(word(at + 1)).filter(|w| !matches!(*w, "!=" | "<" | ">" | "<=" | ">=" | "{" | "@" | "."));
        let quoted = |at: usize| value(at).map(|w| w.trim_matches('"').to_owned());
        match (word(at), word(at + 1)) {
            ("saddr", _) if matches!(word(at.wrapping_sub(1)), "ip" | "ip6") => {
                rule.source = value(at).and_then(ip::prefix).or(rule.source)
            }
            ("daddr", _) if matches!(word(at.wrapping_sub(1)), "ip" | "ip6") => {
                rule.destination = value(at).and_then(ip::prefix).or(rule.destination);
            }
            ("dport" | "sport", _) => {
                rule.protocol = iptables::protocol(word(at.wrapping_sub(1))).or(rule.protocol);
                let port = value(at).and_then(|p| p.parse().ok());
                if word(at) == "dport" {
                    rule.destination_port = port.or(rule.destination_port);
                } else {
                    rule.source_port = port.or(rule.source_port);
                }
            }
            ("l4proto" | "protocol" | "nexthdr", _) => rule.protocol = value(at).and_then(iptables::protocol).or(rule.protocol),
            ("iifname" | "iif", _) => rule.in_interface = quoted(at),
            ("oifname" | "oif", _) => rule.out_interface = quoted(at),
            ("comment", _) => rule.comment = quoted(at),
            ("jump" | "goto", name) => targets.push(name.trim_end_matches(',').to_owned()),
            ("dnat" | "snat", _) => {
                let to = words.iter().skip(at + 1).position(|w| w == "to").and_then(|n| words.get(at + n + 2));
                let to = to.and_then(|t| iptables::destination(t));
                if word(at) == "dnat" {
                    (rule.target, rule.to_destination) = (Some("DNAT".to_owned()), to);
                } else {
                    (rule.target, rule.to_source) = (Some("SNAT".to_owned()), to.map(|t| t.0));
                }
            }
            ("masquerade" | "reject" | "drop" | "accept" | "redirect" | "return", _) if !matches!(word(at.wrapping_sub(1)), "comment") => {
                rule.target = Some(word(at).to_ascii_uppercase());
            }
            _ => {}
        }
    }
    with_targets(rule, targets)
}

fn with_targets(rule: IptablesRule, targets: Vec<String>) -> Vec<IptablesRule> {
    if targets.is_empty() {
        return vec![rule];
    }
    targets.into_iter().map(|t| IptablesRule { target: Some(t), ..rule.clone() }).collect()
}

/// `{"nftables": [ … ]}`.
pub(crate) fn document(reader: &mut Reader<'_>, at: usize) -> Step {
    reader.members(at, |reader, name, at| match name {
        "nftables" => reader.elements(at, |reader, _, at| {
            let (end, value) = reader.parse::<serde_json::Map<String, Value>>(at)?;
            let value = value.unwrap_or_default();
            if let Some(rule) = value.get("rule") {
                for rule in json_rule(rule) {
                    reader.push(Fact::Iptables(rule));
                }
            }
            if let Some(map) = value.get("map") {
                for rule in json_map(map) {
                    reader.push(Fact::Iptables(rule));
                }
            }
            Ok(end)
        }),
        _ => reader.skip(at),
    })
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn verdict(value: &Value) -> Option<String> {
    let target = value.get("goto").or_else(|| value.get("jump"))?;
    Some(text(target, "target"))
}

fn net(value: &Value) -> Option<ipnet::IpNet> {
    match value {
        Value::String(s) => ip::prefix(s),
        _ => {
            let prefix = value.get("prefix")?;
            ip::prefix(&format!("{}/{}", prefix.get("addr")?.as_str()?, prefix.get("len")?.as_u64()?))
        }
    }
}

fn json_rule(value: &Value) -> Vec<IptablesRule> {
    let mut rule = IptablesRule { table: text(value, "table"), chain: text(value, "chain"), ..IptablesRule::default() };
    rule.comment = value.get("comment").and_then(Value::as_str).map(str::to_owned);
    let mut targets = Vec::new();
    for e in value.get("expr").and_then(Value::as_array).into_iter().flatten() {
        if let Some(found) = e.get("match") {
            json_match(&mut rule, found);
        }
        if let Some(map) = e.get("vmap").and_then(|m| m.get("data")).and_then(|d| d.get("set")).and_then(Value::as_array) {
            targets.extend(map.iter().filter_map(|pair| verdict(pair.get(1)?)));
        }
        targets.extend(verdict(e));
        for (name, target) in [("dnat", "DNAT"), ("snat", "SNAT")] {
            let Some(to) = e.get(name) else { continue };
            let address = to.get("addr").and_then(Value::as_str).and_then(|a| a.parse::<IpAddr>().ok());
            rule.target = Some(target.to_owned());
            if name == "dnat" {
                let port = to.get("port").and_then(Value::as_u64).and_then(|p| u16::try_from(p).ok());
                rule.to_destination = address.map(|a| (a, port));
            } else {
                rule.to_source = address;
            }
        }
        for name in ["masquerade", "reject", "drop", "accept", "redirect", "return"] {
            if e.get(name).is_some() {
                rule.target = Some(name.to_ascii_uppercase());
            }
        }
    }
    with_targets(rule, targets)
}

fn json_match(rule: &mut IptablesRule, found: &Value) {
    let op = found.get("op").and_then(Value::as_str).unwrap_or("==");
    let (Some(left), Some(right), true) = (found.get("left"), found.get("right"), matches!(op, "==" | "in")) else { return };
    if let Some(payload) = left.get("payload") {
        let port = || right.as_u64().and_then(|p| u16::try_from(p).ok());
        match text(payload, "field").as_str() {
            "saddr" => rule.source = net(right).or(rule.source),
            "daddr" => rule.destination = net(right).or(rule.destination),
            field @ ("dport" | "sport") => {
                rule.protocol = iptables::protocol(&text(payload, "protocol")).or(rule.protocol);
                if field == "dport" {
                    rule.destination_port = port().or(rule.destination_port);
                } else {
                    rule.source_port = port().or(rule.source_port);
                }
            }
            "protocol" | "nexthdr" => rule.protocol = right.as_str().and_then(iptables::protocol).or(rule.protocol),
            _ => {}
        }
    }
    if let Some(meta) = left.get("meta") {
        let name = || right.as_str().map(str::to_owned);
        match text(meta, "key").as_str() {
            "l4proto" => rule.protocol = right.as_str().and_then(iptables::protocol).or(rule.protocol),
            "iifname" | "iif" => rule.in_interface = name(),
            "oifname" | "oif" => rule.out_interface = name(),
            _ => {}
        }
    }
}

fn json_map(value: &Value) -> Vec<IptablesRule> {
    let (table, map) = (text(value, "table"), text(value, "name"));
    let rule = |pair: &Value| {
        let (key, target) = (pair.get(0)?, verdict(pair.get(1)?)?);
        let mut rule = IptablesRule { table: table.clone(), chain: map.clone(), target: Some(target), ..IptablesRule::default() };
        // A key with a comment or a counter is wrapped in an `elem`.
        let key = key.get("elem").and_then(|e| e.get("val")).unwrap_or(key);
        let parts = key.get("concat").and_then(Value::as_array).cloned().unwrap_or_else(|| vec![key.clone()]);
        for part in &parts {
            match part {
                Value::String(s) => key_part(&mut rule, s),
                Value::Number(n) => key_part(&mut rule, &n.to_string()),
                _ => {}
            }
        }
        Some(rule)
    };
    value.get("elem").and_then(Value::as_array).into_iter().flatten().filter_map(rule).collect()
}
