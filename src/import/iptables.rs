//! The lines of `iptables-save`, `ip6tables-save` and `iptables -L`. Knows how they are written, not what the chains are for.

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

/// `Chain KUBE-SERVICES (2 references)`, `Chain INPUT (policy ACCEPT 0 packets, 0 bytes)`: the rules below are this chain's.
pub(crate) fn listed_chain(line: &str) -> Option<&str> {
    let (name, rest) = line.strip_prefix("Chain ")?.split_once(" (")?;
    let is_chain = rest.ends_with(')') && (rest.starts_with("policy ") || rest.contains(" reference"));
    (is_chain && !name.contains(' ')).then_some(name)
}

/// The heading of a listed chain's columns.
pub(crate) fn is_listed_heading(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    words.ends_with(&["source", "destination"]) && words.contains(&"target") && words.contains(&"prot")
}

/// `    0     0 DNAT       tcp  --  *      *       0.0.0.0/0            0.0.0.0/0            /* shop/web */ tcp to:10.0.1.9:8080`,
/// with or without numbers, counters and interfaces. The table is not printed: what translates is `nat`'s.
pub(crate) fn listed_rule(line: &str, chain: &str, table: &str) -> Option<IptablesRule> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let net = |w: &str| w == "anywhere" || ip::prefix(w.trim_start_matches('!')).is_some();
    // Source and destination are the first two addresses side by side; a port or a comment stands behind them.
    let at = (1..words.len()).find(|n| words.get(*n).is_some_and(|w| net(w)) && words.get(n + 1).is_some_and(|w| net(w)))?;
    let mut before = words.get(..at)?;
    // iptables before 1.8.9 prints nothing where ip6tables has no option.
    let interfaces = match before {
        [rest @ .., "--" | "-f" | "!f"] => {
            before = rest;
            None
        }
        [rest @ .., "--" | "-f" | "!f", i, o] => {
            before = rest;
            Some((*i, *o))
        }
        [rest @ .., i, o] if rest.len() >= 3 => {
            before = rest;
            Some((*i, *o))
        }
        _ => None,
    };
    let (protocol_word, before) = before.split_last()?;
    // Counters and the number are numbers; a target is not.
    let is_counter = |w: &str| w.bytes().next().is_some_and(|b| b.is_ascii_digit());
    let target = before.last().copied().filter(|w| !is_counter(w));
    let side = |n: usize| {
        words.get(n).copied().filter(|w| !w.starts_with('!') && *w != "anywhere").and_then(ip::prefix).filter(|p| p.prefix_len() > 0)
    };
    let rest = words.get(at + 2..)?;
    let joined = rest.join(" ");
    let (comment, matches) = match joined.split_once("/* ").and_then(|(a, b)| b.split_once(" */").map(|(c, d)| (c, format!("{a} {d}")))) {
        Some((comment, others)) => (Some(comment.to_owned()), others),
        None => (None, joined.clone()),
    };
    let mut rule = IptablesRule {
        chain: chain.to_owned(),
        text: line.trim().to_owned(),
        source: side(at),
        destination: side(at + 1),
        protocol: protocol(protocol_word).filter(|_| *protocol_word != "0"),
        in_interface: interfaces.map(|i| i.0.to_owned()).filter(|i| !matches!(i.as_str(), "*" | "any") && !i.starts_with('!')),
        out_interface: interfaces.map(|i| i.1.to_owned()).filter(|i| !matches!(i.as_str(), "*" | "any") && !i.starts_with('!')),
        comment,
        target: target.map(str::to_owned),
        ..IptablesRule::default()
    };
    let port = |key: &str| matches.split_whitespace().find_map(|w| w.strip_prefix(key)).and_then(|p| p.parse().ok());
    (rule.destination_port, rule.source_port) = (port("dpt:"), port("spt:"));
    let to = matches.split_whitespace().find_map(|w| w.strip_prefix("to:")).and_then(destination);
    match target {
        Some("DNAT") => rule.to_destination = to,
        Some("SNAT") => rule.to_source = to.map(|t| t.0),
        _ => {}
    }
    let translates = matches!(target, Some("DNAT" | "SNAT" | "MASQUERADE" | "REDIRECT" | "NETMAP"));
    rule.table = if table.is_empty() && translates { "nat".to_owned() } else { table.to_owned() };
    Some(rule)
}

/// The table that a command on a pasted terminal's line lists: `iptables -t nat -nvL`.
pub(crate) fn table_of_command(line: &str) -> Option<&str> {
    let (_, after) = line.split_once("tables ").filter(|(before, _)| before.ends_with("ip") || before.ends_with("ip6"))?;
    let words: Vec<&str> = after.split_whitespace().collect();
    let is_list = words.iter().any(|w| *w == "--list" || w.starts_with('-') && !w.starts_with("--") && w.contains('L'));
    let named = words.iter().position(|w| matches!(*w, "-t" | "--table")).and_then(|n| words.get(n + 1)).copied();
    is_list.then_some(named.unwrap_or("filter"))
}

/// Words as a shell would split them: `"…"` with `\"` inside. `None`: a quote is not closed.
pub(crate) fn words(line: &str) -> Option<Vec<String>> {
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

pub(crate) fn protocol(word: &str) -> Option<Protocol> {
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
pub(crate) fn destination(word: &str) -> Option<(std::net::IpAddr, Option<u16>)> {
    if let Ok(ip) = word.parse() {
        return Some((ip, None));
    }
    let (host, port) = match word.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map(|(host, port)| (host, port.strip_prefix(':')))?,
        None => word.split_once(':').map(|(host, port)| (host, Some(port)))?,
    };
    Some((host.parse().ok()?, port.and_then(|p| p.parse().ok())))
}
