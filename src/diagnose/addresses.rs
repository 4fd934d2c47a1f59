//! Findings about addresses: unanswered ARP, two owners of one, no owner at all, routers, and inventories that contradict.
//! Knows captures and inventory; must not look at paths but for the addresses in them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rustc_hash::FxHashSet;

use super::Finding;
use crate::confidence::finding as weight;
use crate::digest::{ArpSeen, NO_TIME};
use crate::evidence::{Book, Ev, Place};
use crate::identify::inventory::{Id, gateway_of, interface_id, is_eni_name, is_special, short};
use crate::identify::place::{Capture, Point};
use crate::model::{Mac, Nanos, shell_word};
use crate::order;
use crate::report::Severity;
use crate::trace::{Context, Paths};

/// Questions by ARP that nobody answers.
pub(super) fn unanswered(ctx: Context<'_>, book: &mut Book, found: &mut Vec<Finding>) {
    for capture in ctx.captures {
        let digest = capture.digest;
        let answered: BTreeSet<(u32, Option<u32>, IpAddr)> =
            order::set(digest.arps.iter().filter(|a| a.operation == 2).map(|a| (a.interface, a.ifindex, a.sender_ip)));
        let is_open = |a: &&ArpSeen| {
            let is_gratuitous = a.sender_ip == a.target_ip;
            a.operation == 1 && a.count > 1 && !is_special(a.sender_ip) && !is_gratuitous
        };
        let open = digest.arps.iter().filter(is_open).filter(|a| !answered.contains(&(a.interface, a.ifindex, a.target_ip)));
        let open: Vec<&ArpSeen> = open.collect();
        if open.is_empty() {
            continue;
        }
        // Whoever speaks IP was found after all, or is known by a static entry.
        let speak: BTreeSet<IpAddr> = order::set(digest.streams.iter().filter_map(|s| Some(s.key.flow?.src)));
        for a in open.into_iter().filter(|a| !speak.contains(&a.target_ip)) {
            let here = digest.streams.iter().filter(|s| s.key.interface == a.interface && s.key.ifindex == a.ifindex);
            let asked = digest.row(a.first_row).map(|r| r.time);
            // A question at the very end of a capture may have been answered after it.
            let is_too_late = match (here.map(|s| s.last_ns).max(), asked) {
                (Some(last), Some(asked)) => asked != NO_TIME && last.saturating_sub(asked) < 1_000_000_000 && a.count < 3,
                // The question itself was not kept.
                (_, None) => a.count < 3,
                _ => false,
            };
            if is_too_late {
                continue;
            }
            let ev = book.add(
                "arp",
                format!("{} asks {} times for {}, and nobody answers", a.sender_ip, a.count, a.target_ip),
                vec![Place::frame(capture.input, a.first_row)],
            );
            let about = vec![ctx.inv.entity_of_ip(a.target_ip), ctx.inv.entity_of_ip(a.sender_ip)];
            let summary = format!("nobody answers ARP for {}", a.target_ip);
            let step = Some(format!(
                "check that {} exists and is in that subnet (kubectl get pods -A -o wide, aws ec2 describe-network-interfaces)",
                a.target_ip
            ));
            found.push(Finding {
                kind: "arp_unanswered",
                severity: Severity::Error,
                about,
                summary,
                next_step: step,
                p: weight::ARP_UNANSWERED,
                ev: vec![ev],
            });
        }
    }
}

/// Addresses for which two answer ARP on one segment: claimed twice, or moved from one to the other.
pub(super) fn claimed_twice(ctx: Context<'_>, book: &mut Book, found: &mut Vec<Finding>) {
    let mut holders: BTreeMap<(IpAddr, Id), BTreeMap<Mac, (usize, u32)>> = BTreeMap::new();
    for capture in ctx.captures {
        for a in capture.digest.arps.iter().filter(|a| a.operation == 2 && !is_special(a.sender_ip)) {
            let macs = holders.entry((a.sender_ip, segment(ctx, capture.input, a))).or_default();
            macs.entry(a.sender_mac).or_insert((capture.input, a.first_row));
        }
    }
    let routers: BTreeSet<IpAddr> = order::set(ctx.inv.subnets.values().flat_map(|s| &s.cidrs).filter_map(gateway_of));
    for ((ip, _), macs) in holders.into_iter().filter(|(_, macs)| macs.len() > 1) {
        // A gateway's address has one face per subnet side, and proxies answer for it on each pod's link.
        let owner = ctx.inv.owner_of_ip(ip);
        let is_owners = |mac: &Mac| ctx.inv.owner_of_mac(*mac).is_some_and(|m| owner.is_some_and(|o| o.owner == m.owner));
        if routers.contains(&ip) || macs.keys().all(is_owners) || ctx.inv.nodes.values().any(|n| n.ips.contains(&ip)) {
            continue;
        }
        let sources = macs.values().map(|(i, r)| Place::frame(*i, *r)).collect();
        let names = macs.keys().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        let ev = book.add("arp", format!("{names} both answer ARP for {ip}"), sources);
        let (severity, summary, step, p) = if let Some(one_by_one) = one_after_another(ctx, ip, macs.keys().copied()) {
            let step = "if it was given to another meanwhile (a pod that was replaced), nothing is wrong; otherwise find both owners by MAC (aws ec2 describe-network-interfaces, ip neigh)";
            let summary = format!("{ip} is at {one_by_one}, one after the other: it has moved, or two claim it");
            (Severity::Warning, summary, step, weight::ADDRESS_MOVED)
        } else {
            let step = "find both owners by MAC (aws ec2 describe-network-interfaces, ip neigh)";
            (Severity::Error, format!("{names} both claim {ip}"), step, weight::DUPLICATE_ADDRESS)
        };
        found.push(Finding {
            kind: "duplicate_address",
            severity,
            about: vec![ctx.inv.entity_of_ip(ip)],
            summary,
            next_step: Some(step.to_owned()),
            p,
            ev: vec![ev],
        });
    }
}

/// Where an ARP packet was heard, as a name to tell segments apart: on its own link a pod answers for its address, in the subnet its
/// ENI does.
fn segment(ctx: Context<'_>, input: usize, a: &ArpSeen) -> Id {
    let is_it =
        |p: &&Point| p.interface == a.interface && p.ifindex == a.ifindex && ctx.captures.get(p.capture).is_some_and(|c| c.input == input);
    let Some(point) = ctx.points.iter().find(is_it) else { return format!("{input}/{}", a.interface) };
    let eni = || ctx.inv.enis.values().find(|e| point.at.as_ref() == Some(&interface_id(&e.owner, &ctx.inv.eni_name(e))));
    let subnet = || eni().and_then(|e| e.subnet.clone());
    point.link.clone().or_else(subnet).unwrap_or_else(|| format!("{input}/{}/{:?}", a.interface, a.ifindex))
}

/// The MACs in the order in which an address's packets came and went by them, where no two did so at one time by one capture's clock.
fn one_after_another(ctx: Context<'_>, ip: IpAddr, macs: impl Iterator<Item = Mac>) -> Option<String> {
    let macs: Vec<Mac> = macs.collect();
    let spans = |capture: &Capture<'_>| {
        let mut spans: BTreeMap<Mac, (Nanos, Nanos)> = BTreeMap::new();
        for s in capture.digest.streams.iter().filter(|s| s.first_ns != NO_TIME && s.last_ns != NO_TIME) {
            let Some(t) = s.key.flow.filter(|t| t.src == ip || t.dst == ip) else { continue };
            let mac = if t.src == ip { s.key.src_mac } else { s.key.dst_mac };
            if let Some(mac) = mac.filter(|m| macs.contains(m)) {
                let span = spans.entry(mac).or_insert((s.first_ns, s.last_ns));
                *span = (span.0.min(s.first_ns), span.1.max(s.last_ns));
            }
        }
        let mut spans: Vec<_> = spans.into_iter().map(|(mac, (first, last))| (first, last, mac)).collect();
        spans.sort_unstable();
        spans
    };
    let mut order: Option<String> = None;
    for spans in ctx.captures.iter().map(spans).filter(|s| s.len() > 1) {
        if spans.len() < macs.len() || spans.windows(2).any(|w| matches!(w, [a, b] if a.1 >= b.0)) {
            return None;
        }
        order = Some(spans.iter().map(|s| s.2.to_string()).collect::<Vec<_>>().join(" and then at "));
    }
    order
}

/// Addresses inside the VPC that no inventory explains.
pub(super) fn unresolved(ctx: Context<'_>, paths: &Paths, book: &mut Book, found: &mut Vec<Finding>) {
    let mut known: BTreeMap<Id, Vec<Ev>> = BTreeMap::new();
    // Most addresses are on many paths.
    let mut done: FxHashSet<IpAddr> = FxHashSet::default();
    for leg in paths.legs().flatten() {
        for ip in [leg.tuple.src, leg.tuple.dst] {
            if done.contains(&ip) {
                continue;
            }
            let id = ctx.inv.entity_of_ip(ip);
            // A link-local address is nobody's in particular.
            if is_special(ip) || !id.starts_with("unknown:") || known.contains_key(&id) {
                done.insert(ip);
                continue;
            }
            let Some(s) = leg.flow.and_then(|f| ctx.flows.flows.get(f)).and_then(|f| f.sightings.first()) else { continue };
            let Some(capture) = ctx.captures.get(s.capture) else { continue };
            let Some(stream) = capture.stream(s.stream) else { continue };
            let place = Place::frame(capture.input, stream.first_row);
            known.insert(id, vec![book.add("seen", format!("{ip} is in the captures"), vec![place])]);
        }
    }
    for (id, ev) in known {
        let address = short(&id).to_owned();
        let summary = format!("nothing given says whose address {address} is");
        let step = Some(format!(
            "aws ec2 describe-network-interfaces --filters Name=addresses.private-ip-address,Values={address}; kubectl get pods -A -o json"
        ));
        found.push(Finding {
            kind: "unresolved_address",
            severity: Severity::Warning,
            about: vec![id],
            summary,
            next_step: step,
            p: weight::UNRESOLVED,
            ev,
        });
    }
}

/// The MACs that no ENI has, and whose they are: the question that stays open when a path is worked out by hand.
pub(super) fn routers(ctx: Context<'_>, found: &mut Vec<Finding>) {
    let macs = ctx.captures.iter().flat_map(|c| &c.digest.streams).flat_map(|s| [s.key.src_mac, s.key.dst_mac]).flatten();
    let macs: FxHashSet<Mac> = macs.collect();
    for mac in order::set(macs.into_iter()) {
        let Some(claim) = ctx.inv.owner_of_mac(mac).filter(|c| c.owner.starts_with("router:")) else { continue };
        let subnet = short(&claim.owner);
        let networks = ctx.inv.subnets.get(subnet).map(|s| s.cidrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        let is_nameless = ctx.inv.subnets.get(subnet).is_some_and(|s| s.is_nameless);
        let of = match networks {
            Some(n) if is_nameless => n,
            Some(n) => format!("{subnet} ({n})"),
            None => subnet.to_owned(),
        };
        // On a wire of which no address is known, any router may be there.
        let summary = if of.is_empty() {
            format!("{mac} is a router of an unknown network")
        } else {
            format!("{mac} is the VPC router as {of} sees it")
        };
        found.push(Finding {
            kind: "router_identified",
            severity: Severity::Info,
            about: vec![claim.owner.clone()],
            summary,
            next_step: None,
            p: claim.p,
            ev: claim.ev.clone(),
        });
    }
}

/// Inventories that contradict one another, and neighbour tables that contradict the ENIs.
pub(super) fn stale(ctx: Context<'_>, book: &mut Book, found: &mut Vec<Finding>) {
    for (kind, about, summary, ev) in &ctx.inv.contradictions {
        let step =
            Some("print the inventories again, at one time: kubectl get pods -A -o json, aws ec2 describe-network-interfaces".to_owned());
        found.push(Finding {
            kind,
            severity: Severity::Warning,
            about: about.clone(),
            summary: summary.clone(),
            next_step: step,
            p: weight::CONTRADICTION,
            ev: ev.clone(),
        });
    }
    for host in &ctx.inv.hosts {
        let Some((owner, _)) = host.owner.as_ref().filter(|o| ctx.inv.nodes.contains_key(&o.0)) else { continue };
        for (n, place) in &host.neighbours {
            let (Some(mac), Some(eni)) = (n.mac, ctx.inv.eni_of_ip(n.ip)) else { continue };
            let on_wire = n.dev.as_deref().is_some_and(is_eni_name);
            let is_router = ctx.inv.owner_of_mac(mac).is_some_and(|c| c.owner.starts_with("router:"));
            let failed = n.state.as_deref().is_some_and(|s| s.eq_ignore_ascii_case("failed"));
            let Some(true_mac) = eni.mac.filter(|m| *m != mac && on_wire && !is_router && !failed) else { continue };
            let mut places = vec![place.clone()];
            eni.ev.iter().for_each(|e| places.extend(book.sources(*e)));
            let ev = book.add(
                "neighbour_table",
                format!("{} has {} at {mac}, while its ENI {} has {true_mac}", short(owner), n.ip, eni.id),
                places,
            );
            let summary = format!(
                "the neighbour table of {} has {} at {mac}, an address that its ENI does not have ({true_mac})",
                short(owner),
                n.ip
            );
            let step =
                Some(format!("ask that node again: ip neigh show to {} dev {}", n.ip, shell_word(n.dev.as_deref().unwrap_or("eth0"))));
            let about = vec![owner.clone(), ctx.inv.entity_of_ip(n.ip)];
            found.push(Finding {
                kind: "stale_inventory",
                severity: Severity::Warning,
                about,
                summary,
                next_step: step,
                p: weight::STALE_NEIGHBOUR,
                ev: vec![ev],
            });
        }
    }
}
