//! The lines of `iptables-save` and `ip6tables-save`. Knows how they are written, not what the chains are for.

use crate::facts::IptablesRule;
use crate::model::Protocol;

use super::ip;

/// `*nat`: the table that the lines below belong to.
pub(crate) fn table_line(line: &str) -> Option<&str> {
    let name = line.strip_prefix('*')?.trim_end();
    (!name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase())).then_some(name)
}

/// `:PREROUTING ACCEPT [0:0]`, which declares a chain.
pub(crate) fn is_chain_line(line: &str) -> bool {
    line.starts_with(':') && line.contains(" [") && line.trim_end().ends_with(']')
}

/// `-A CHAIN …`. A negated match (`! -s …`) selects all but one, so its field stays empty.
pub(crate) fn rule_line(line: &str, table: &str) -> Option<IptablesRule> {
    // `iptables-save -c` puts packet and byte counters first.
    let bare = match line.strip_prefix('[') {
        Some(rest) => rest.split_once("] ")?.1,
        None => line,
    };
    let words = words(bare.strip_prefix("-A ")?)?;
    let mut words = words.into_iter();
    let mut rule = IptablesRule { table: table.to_owned(), chain: words.next()?, text: line.trim().to_owned(), ..IptablesRule::default() };
    let mut is_negated = false;
    while let Some(word) = words.next() {
        if word == "!" {
            is_negated = true;
            continue;
        }
        if !word.starts_with('-') {
            is_negated = false;
            continue;
        }
        let keeps = !std::mem::take(&mut is_negated);
        match word.as_str() {
            "-s" | "--source" => rule.source = words.next().and_then(|w| ip::prefix(&w)).filter(|_| keeps),
            "-d" | "--destination" => rule.destination = words.next().and_then(|w| ip::prefix(&w)).filter(|_| keeps),
            "-p" | "--protocol" => rule.protocol = words.next().and_then(|w| protocol(&w)).filter(|_| keeps),
            "--dport" => rule.destination_port = words.next().and_then(|w| w.parse().ok()).filter(|_| keeps),
            "--sport" => rule.source_port = words.next().and_then(|w| w.parse().ok()).filter(|_| keeps),
            "-i" | "--in-interface" => rule.in_interface = words.next().filter(|_| keeps),
            "-o" | "--out-interface" => rule.out_interface = words.next().filter(|_| keeps),
            "--comment" => rule.comment = words.next(),
            "-j" | "-g" => rule.target = words.next(),
            "--to-destination" => rule.to_destination = words.next().and_then(|w| destination(&w)),
            // `10.0.0.1`, `10.0.0.1:1024-65535`, `10.0.0.1-10.0.0.4`: a range names no single address.
            "--to-source" => rule.to_source = words.next().and_then(|w| destination(&w)).map(|(ip, _)| ip),
            _ => {}
        }
    }
    Some(rule)
}

/// Words as a shell would split them: `"…"` with `\"` inside. `None`: a quote is not closed.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let mut word = String::new();
        match chars.peek() {
            None => return Some(words),
            Some('"') => {
                chars.next();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => word.push(chars.next()?),
                        c => word.push(c),
                    }
                }
            }
            Some(_) => {
                while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
                    word.push(c);
                }
            }
        }
        words.push(word);
    }
}

fn protocol(word: &str) -> Option<Protocol> {
    match word {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        "icmp" => Some(Protocol::Icmp),
        "icmpv6" | "ipv6-icmp" => Some(Protocol::Icmpv6),
        "sctp" => Some(Protocol::Sctp),
        number => number.parse().ok().filter(|n| *n != 0).map(Protocol::from_number),
    }
}

/// `10.0.0.1`, `10.0.0.1:8080`, `[fd00::1]:8080`. Of a range of ports, none is named.
fn destination(word: &str) -> Option<(std::net::IpAddr, Option<u16>)> {
    if let Ok(ip) = word.parse() {
        return Some((ip, None));
    }
    let (host, port) = match word.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map(|(host, port)| (host, port.strip_prefix(':')))?,
        None => word.split_once(':').map(|(host, port)| (host, Some(port)))?,
    };
    Some((host.parse().ok()?, port.and_then(|p| p.parse().ok())))
}
