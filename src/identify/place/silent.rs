//! Captures without a packet: nothing but a name, or that all other places are spoken for, says where they are from.
//! Must not touch a capture that saw anything.

use std::collections::BTreeSet;

use super::names::file_name_says;
use super::{Candidate, Capture, Point};
use crate::confidence as weight;
use crate::evidence::{Book, Ev, Place};
use crate::identify::inventory::{Id, Inventory, interface_id, short};
use crate::order;

/// A capture without a packet has nothing but its name to place it by.
pub(super) fn silent_by_name(captures: &[Capture<'_>], points: &[Point], candidates: &mut [Vec<Candidate>], inv: &Inventory) {
    for (p, found) in points.iter().zip(candidates.iter_mut()) {
        let Some(capture) = captures.get(p.capture).filter(|_| p.streams.is_empty() && found.is_empty()) else { continue };
        let file = capture.name.to_lowercase();
        let mut all: Vec<Candidate> = Vec::new();
        let mut add = |interface: Id, owner: &Id, name: String, ev: &[Ev], link| {
            all.push(Candidate { interface, owner: owner.clone(), name, odds: 1.0, trust: 1.0, ev: ev.to_vec(), link });
        };
        for pod in inv.pods.values().filter(|p| !p.host_network) {
            add(interface_id(&pod.id, "eth0"), &pod.id, "eth0".to_owned(), &pod.ev, Some((pod.id.clone(), true)));
            if let Some(node) = &pod.node {
                add(interface_id(node, &pod.veth), node, pod.veth.clone(), &pod.ev, Some((pod.id.clone(), false)));
            }
        }
        for e in inv.enis.values().filter(|e| inv.nodes.contains_key(&e.owner)) {
            let name = inv.eni_name(e);
            add(interface_id(&e.owner, &name), &e.owner, name, &e.ev, None);
        }
        if let Some(name) = &p.interface_name {
            all.retain(|c| &c.name == name);
        }
        let says = |c: &Candidate| file_name_says(&file, c, inv);
        let most = all.iter().map(says).max().unwrap_or(0);
        // An interface's name alone, such as eth0, says nothing: every host has one.
        all.retain(|c| says(c) == most && most >= 2);
        for c in &mut all {
            c.odds = weight::FILE_NAME;
        }
        *found = all;
    }
}

/// A capture without a packet or a telling name may still have one place left: the only interface, of the hosts that were
/// looked at, that no conversation crosses. `crossed` holds the interfaces of all traced hops.
pub fn by_elimination(points: &mut [Point], crossed: &BTreeSet<Id>, inv: &Inventory, book: &mut Book) {
    use weight::place::{SILENT_LINK as LINK, SILENT_STRANGER as STRANGER};
    let mut hosts: BTreeSet<Id> = order::set(inv.hosts.iter().filter_map(|h| h.owner.as_ref()).map(|o| o.0.clone()));
    for p in points.iter() {
        let pod = p.owner.as_ref().and_then(|o| inv.pods.get(o));
        hosts.extend(pod.and_then(|p| p.node.clone()).or_else(|| p.owner.clone()));
    }
    let taken: BTreeSet<Id> = order::set(points.iter().filter_map(|p| p.at.clone()));
    let silent: Vec<usize> = (0..points.len()).filter(|n| points.get(*n).is_some_and(|p| p.at.is_none() && p.streams.is_empty())).collect();
    let mut found: Vec<(f64, Id, Id, Vec<Ev>)> = Vec::new();
    for e in inv.enis.values().filter(|e| inv.nodes.contains_key(&e.owner)) {
        let w = if hosts.contains(&e.owner) { 1.0 } else { STRANGER };
        found.push((w, interface_id(&e.owner, &inv.eni_name(e)), e.owner.clone(), e.ev.clone()));
    }
    for pod in inv.pods.values().filter(|p| !p.host_network && p.node.as_ref().is_some_and(|n| hosts.contains(n))) {
        let node = pod.node.clone().unwrap_or_default();
        found.push((LINK, interface_id(&node, &pod.veth), node, pod.ev.clone()));
        found.push((LINK, interface_id(&pod.id, "eth0"), pod.id.clone(), pod.ev.clone()));
    }
    found.retain(|(_, interface, ..)| !crossed.contains(interface) && !taken.contains(interface));
    let all: f64 = found.iter().map(|f| f.0).sum();
    for n in silent.iter().copied() {
        let Some(point) = points.get_mut(n) else { continue };
        let fits = |i: &Id| point.interface_name.as_ref().is_none_or(|name| i.ends_with(&format!("/{name}")));
        let named: f64 = found.iter().filter(|f| fits(&f.1)).map(|f| f.0).sum();
        let Some((w, interface, owner, ev)) =
            found.iter().filter(|f| fits(&f.1)).max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(&a.1)))
        else {
            continue;
        };
        // Several silent captures share the silent interfaces among them: each is as likely as any other.
        let p = w / if point.interface_name.is_some() { named } else { all };
        if p < weight::needed::LIKELY || silent.len() > 1 {
            continue;
        }
        let places: Vec<Place> = ev.iter().flat_map(|e| book.sources(*e)).collect();
        if places.is_empty() {
            continue;
        }
        let statement = format!(
            "nothing was captured, and {} is the interface of the captured hosts that no conversation here crosses",
            short(interface)
        );
        point.ev = vec![book.add("elimination", statement, places)];
        (point.at, point.owner, point.p) = (Some(interface.clone()), Some(owner.clone()), weight::round(weight::place::ELIMINATED * p));
    }
}
