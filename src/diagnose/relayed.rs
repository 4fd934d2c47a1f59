//! Findings about proxies: which connections one ends and continues by its own.
//! Knows what the relays module joined; must not join anything itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Finding, Told, add_some, address};
use crate::confidence::finding as weight;
use crate::evidence::Ev;
use crate::identify::inventory::{Id, short};
use crate::model::Protocol;
use crate::order;
use crate::report::Severity;
use crate::trace::relay::Relays;
use crate::trace::{Context, Paths};

/// Connections that proxies continue by others, and clients that they name whose own connections nobody captured.
#[must_use]
pub fn relayed(ctx: Context<'_>, paths: &Paths, relays: &Relays) -> Vec<Told> {
    /// The proxy, and what it connects to: address, port, protocol.
    type Behind = (Id, IpAddr, u16);
    struct Joined {
        clients: BTreeSet<Id>,
        connections: usize,
        p: f64,
        ev: Vec<Ev>,
        paths: Vec<u32>,
    }
    let server = |n: usize| paths.get(n)?.legs.last().map(|l| (l.tuple.dst, l.tuple.dst_port));
    let mut joined: BTreeMap<Behind, Joined> = BTreeMap::new();
    for r in &relays.relays {
        let (Some((ip, port)), Some(client)) = (server(r.back), paths.get(r.front).and_then(|p| p.legs.first().map(|l| l.tuple.src)))
        else {
            continue;
        };
        let none = || Joined { clients: BTreeSet::new(), connections: 0, p: 1.0, ev: Vec::new(), paths: Vec::new() };
        let e = joined.entry((r.through.clone(), ip, port)).or_insert_with(none);
        e.clients.insert(ctx.inv.entity_of_ip(client));
        (e.connections, e.p) = (e.connections + 1, e.p.min(r.p));
        e.ev.extend(r.ev.iter().copied().filter(|_| e.connections <= 8));
        add_some(&mut e.paths, [r.front, r.back].into_iter().filter_map(|n| u32::try_from(n).ok()).collect());
    }
    let mut found = Vec::new();
    for ((through, ip, port), Joined { clients, connections: n, p, ev, paths }) in joined {
        let to = ctx.inv.entity_of_ip(ip);
        let list: Vec<&str> = clients.iter().take(5).map(|c| short(c)).collect();
        let more = clients.len().saturating_sub(list.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let connections = if n == 1 { "1 connection".to_owned() } else { format!("{n} connections") };
        let summary = format!(
            "{} ends {connections} of {}{more} and continues each by one of its own to {} ({})",
            short(&through),
            list.join(", "),
            short(&to),
            address(ip, port, Protocol::Tcp)
        );
        let about = [through, to].into_iter().chain(clients).collect();
        let finding = Finding { kind: "relayed_connection", severity: Severity::Info, about, summary, next_step: None, p, ev };
        found.push(Told { finding, paths });
    }
    let known: BTreeSet<usize> = order::set(relays.relays.iter().map(|r| r.back));
    let mut unseen: BTreeMap<Behind, (BTreeSet<IpAddr>, Vec<Ev>)> = BTreeMap::new();
    for n in relays.named.iter().filter(|n| !known.contains(&n.back)) {
        let (Some((ip, port)), Some(first)) = (server(n.back), paths.get(n.back).and_then(|p| p.legs.into_iter().next())) else { continue };
        let e = unseen.entry((ctx.inv.entity_of_ip(first.tuple.src), ip, port)).or_default();
        if e.0.len() < 5 && e.0.insert(n.client) {
            e.1.push(n.ev);
        }
    }
    for ((by, ip, port), (clients, ev)) in unseen {
        let list: Vec<String> = clients.iter().map(ToString::to_string).collect();
        let to = ctx.inv.entity_of_ip(ip);
        let summary = format!(
            "{} asks {} ({}) for others: it names {} as clients, whose own connections no capture shows",
            short(&by),
            short(&to),
            address(ip, port, Protocol::Tcp),
            list.join(", ")
        );
        let step = Some(format!("capture in front of {} to see the clients' side of these connections", short(&by)));
        found.push(Told::from(Finding {
            kind: "relayed_connection",
            severity: Severity::Info,
            about: vec![by, to],
            summary,
            next_step: step,
            p: weight::UNSEEN_CLIENTS,
            ev,
        }));
    }
    found
}
