//! Findings about rewritten addresses and ports.
//! Knows one path at a time, and the workers that translated before any capture; must not look for translations itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Finding, address, ends};
use crate::confidence::finding as weight;
use crate::digest::Tuple;
use crate::evidence::Ev;
use crate::identify::inventory::{Id, short};
use crate::model::Protocol;
use crate::report::{Severity, Way};
use crate::trace::{Context, Path};

/// Where one leg of a path becomes the next: whose addresses or ports change, into what, and where.
pub(super) fn translated(ctx: Context<'_>, path: &Path, found: &mut Vec<Finding>) {
    for (n, pair) in path.legs.windows(2).enumerate() {
        let [a, b] = pair else { continue };
        let mut ev: Vec<Ev> = a.ev.iter().chain(&b.ev).copied().collect();
        ev.extend(
            path.directions
                .iter()
                .flat_map(|d| &d.hops)
                .filter(|h| h.observed() && (h.leg == n || h.leg == n + 1))
                .filter_map(|h| h.ev.first())
                .copied()
                .take(2),
        );
        ev.dedup();
        if ev.is_empty() {
            continue;
        }
        let who = path.rewriters.get(n).cloned().flatten();
        let (t, u) = (a.tuple, b.tuple);
        let mut about: Vec<Id> = who.iter().cloned().collect();
        let whose = |ip| path.holder(ctx.inv, ip).cloned().unwrap_or_else(|| ctx.inv.entity_of_ip(ip));
        about.extend([t.dst, u.dst, t.src, u.src].map(whose));
        let destination = (t.dst, t.dst_port) != (u.dst, u.dst_port);
        let source = t.src != u.src;
        let what = match (destination, source) {
            (true, true) => format!(
                "source {} becomes {} and destination {} becomes {}",
                t.src,
                u.src,
                address(t.dst, t.dst_port, t.protocol),
                address(u.dst, u.dst_port, u.protocol)
            ),
            (true, false) => {
                format!("destination {} becomes {}", address(t.dst, t.dst_port, t.protocol), address(u.dst, u.dst_port, u.protocol))
            }
            (false, true) => format!("source {} becomes {}", t.src, u.src),
            (false, false) => {
                let summary = format!(
                    "the source port of {} is rewritten{}",
                    ends(ctx, Tuple { src_port: 0, ..t }),
                    who.as_ref().map_or(String::new(), |w| format!(" at {}", short(w)))
                );
                found.push(Finding {
                    kind: "source_port_rewritten",
                    severity: Severity::Info,
                    about,
                    summary,
                    next_step: None,
                    p: weight::PORT_REWRITTEN,
                    ev,
                });
                continue;
            }
        };
        let place = who.as_ref().map_or("on the way".to_owned(), |w| format!("at {}", short(w)));
        let inferred = if a.flow.is_none() || b.flow.is_none() { ", inferred: one side of it was not captured" } else { "" };
        let summary = format!("{what} {place}{inferred}");
        let p = if inferred.is_empty() { weight::TRANSLATED } else { weight::TRANSLATED_INFERRED };
        found.push(Finding { kind: "address_translated", severity: Severity::Info, about, summary, next_step: None, p, ev });
    }
}

/// Address, port and protocol that packets end at.
type Server = (IpAddr, u16, Protocol);

/// Connections to one server that different nodes translated before any capture: their sources are the nodes', and look as if
/// one connection had two.
#[derive(Default)]
pub(super) struct Workers {
    by_server: BTreeMap<Server, BTreeMap<Id, (usize, Vec<Ev>)>>,
    first_seen: BTreeMap<Server, BTreeSet<Id>>,
}

impl Workers {
    pub(super) fn add(&mut self, ctx: Context<'_>, path: &Path) {
        let (Some(leg), Some(Some(who))) = (path.legs.last(), path.rewriters.last()) else { return };
        let before = path.legs.len().checked_sub(2).and_then(|n| path.legs.get(n));
        if before.is_none_or(|b| b.flow.is_some()) || !ctx.inv.nodes.contains_key(who) {
            return;
        }
        let server = (leg.tuple.dst, leg.tuple.dst_port, leg.tuple.protocol);
        let e = self.by_server.entry(server).or_default().entry(who.clone()).or_default();
        e.0 += 1;
        e.1.extend(before.into_iter().flat_map(|b| b.ev.iter().copied()));
        let captured = path.direction(Way::Request).and_then(|d| d.hops.iter().find(|h| h.observed())).and_then(|h| h.interface.clone());
        self.first_seen.entry(server).or_default().extend(captured);
    }

    pub(super) fn findings(self, ctx: Context<'_>, found: &mut Vec<Finding>) {
        for (server, workers) in self.by_server.into_iter().filter(|(_, w)| w.len() > 1) {
            let total: usize = workers.values().map(|w| w.0).sum();
            let list = workers.iter().map(|(w, (n, _))| format!("{n} through {}", short(w))).collect::<Vec<_>>().join(", ");
            let at = self.first_seen.get(&server).into_iter().flatten().map(|i| short(i)).collect::<Vec<_>>().join(" and ");
            let name = short(&ctx.inv.entity_of_ip(server.0)).to_owned();
            let summary = format!(
                "{total} connections to {name} ({}), not one, reach {at}: {list}; each was translated by that worker, before it was captured",
                address(server.0, server.1, server.2)
            );
            let about = workers.keys().cloned().chain([ctx.inv.entity_of_ip(server.0)]).collect();
            let ev = workers.into_values().flat_map(|w| w.1).collect();
            let step = Some("capture on those workers to see the clients' side of each connection".to_owned());
            found.push(Finding {
                kind: "address_translated",
                severity: Severity::Info,
                about,
                summary,
                next_step: step,
                p: weight::TRANSLATED_INFERRED,
                ev,
            });
        }
    }
}
