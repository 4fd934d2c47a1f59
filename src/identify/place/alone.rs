//! The places that one capture may be from, by what its own frames show: MACs, pods' addresses, TTLs, VLAN tags, directions.
//! Must not look at other captures, nor at names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::names::veth_word;
use super::seen::{Seen, Wanted, see_own};
use super::{Candidate, Capture, Point, push, streams};
use crate::capture::{FileLayout, LinkType};
use crate::confidence as weight;
use crate::evidence::{Book, Place};
use crate::identify::inventory::{EniInfo, Id, Inventory, interface_id, is_private, short};
use crate::model::Mac;
use crate::order;

pub(super) fn candidates(captures: &[Capture<'_>], point: &Point, inv: &Inventory, book: &mut Book) -> Vec<Candidate> {
    let Some(capture) = captures.get(point.capture) else { return Vec::new() };
    let seen = see_own(captures, point, inv, Wanted::All);
    let mut found: Vec<Candidate> = loopback(captures, point, inv, book).into_iter().collect();
    // Interfaces whose own address is in every frame.
    let everywhere: Vec<(Mac, u32)> = if seen.frames > 0 {
        seen.macs.iter().filter(|(_, (n, _))| *n == seen.frames).map(|(m, (_, row))| (*m, *row)).collect()
    } else {
        // Cooked captures have no destination MAC: what left did so under the interface's own.
        seen.out_macs.iter().filter(|(_, (n, _))| *n == seen.out_frames).map(|(m, (_, row))| (*m, *row)).collect()
    };
    for (mac, row) in &everywhere {
        let Some(claim) = inv.owner_of_mac(*mac) else { continue };
        // A branch ENI's frames have its VLAN tag on its node's trunk ENI, and none on its own device.
        let is_branch = |e: &&EniInfo| e.vlan.is_some_and(|v| seen.tagged.get(&(*mac, v)).is_some_and(|n| n.0 == seen.frames));
        let trunk = inv.eni_of_mac(*mac).filter(is_branch).and_then(|e| inv.trunk_of(&e.owner));
        let trunk = trunk.map(|t| interface_id(&t.owner, &inv.eni_name(t)));
        let Some(interface) = trunk.as_ref().or(claim.interface.as_ref()) else { continue };
        let rivals = everywhere.iter().filter(|(m, _)| inv.owner_of_mac(*m).is_some_and(|c| c.interface.is_some())).count();
        let is_elsewhere = |m: &Mac| forwards_unseen(&seen, *m, inv);
        let odds = match rivals {
            ..=1 => weight::OWN_MAC_IN_EVERY_FRAME,
            2 if !is_elsewhere(mac) && everywhere.iter().any(|(m, _)| m != mac && is_elsewhere(m)) => weight::OTHER_FORWARDS_ELSEWHERE,
            _ => weight::SHARED_MAC_IN_EVERY_FRAME,
        };
        let frames = if seen.frames > 0 { seen.frames } else { seen.out_frames };
        let how = if seen.frames > 0 { "carry" } else { "left under" };
        let mut places = vec![Place::frame(capture.input, *row)];
        claim.ev.iter().for_each(|e| places.extend(book.sources(*e)));
        let ev = book.add("own_mac", format!("all {frames} unicast frames {how} {mac}, the address of {}", short(interface)), places);
        let name = interface.rsplit('/').next().unwrap_or_default().to_owned();
        let pod = inv.pods.values().find(|p| p.id == claim.owner || (p.node.as_ref() == Some(&claim.owner) && p.veth == name));
        let link = pod.map(|p| (p.id.clone(), p.id == claim.owner));
        // The two ends of a pod's link see the same frames: an address of one end places a capture on the link, not at that end.
        if let Some(pod) = pod.filter(|_| seen.frames > 0) {
            let at_pod = (pod.id.clone(), "eth0".to_owned(), true);
            let at_node = pod.node.clone().map(|node| (node, pod.veth.clone(), false));
            for (owner, name, is_pod) in [Some(at_pod), at_node].into_iter().flatten() {
                let link = Some((pod.id.clone(), is_pod));
                let trust = claim.p;
                push(&mut found, Candidate { interface: interface_id(&owner, &name), owner, name, odds, trust, ev: vec![ev], link });
            }
            continue;
        }
        // Who is at the other end of a host's link may be unknown, yet the capture may be from there.
        let other = everywhere.iter().map(|x| x.0).find(|m| m != mac && inv.owner_of_mac(*m).is_none());
        // Nor does a tunnel's device, where one other node is behind it, show whose end it is.
        let is_tunnel = inv.tables.get(&claim.owner).is_some_and(|t| t.is_tunnel(&name));
        if let Some(other) = other.filter(|_| (veth_word(&name).is_some() || is_tunnel) && inv.nodes.contains_key(&claim.owner)) {
            let guest = format!("unknown:{other}");
            let (interface, name) = (format!("if:{other}"), other.to_string());
            found.push(Candidate {
                interface,
                owner: guest,
                name,
                odds: if is_tunnel { odds } else { odds / weight::PRIOR_NODE_SIDE },
                trust: claim.p,
                ev: vec![ev],
                link: None,
            });
        }
        found.push(Candidate { interface: interface.clone(), owner: claim.owner.clone(), name, odds, trust: claim.p, ev: vec![ev], link });
    }
    trunks(capture, &seen, inv, book, &mut found);
    pod_links(capture, &seen, inv, book, &mut found);
    bare_tunnels(capture, point, &seen, inv, book, &mut found);
    // A pod's address in every packet, yet no packet fresh from it: the wire of its node, most likely.
    if found.iter().all(|c| c.odds < weight::place::NOT_ITS_LINK) {
        strangers(capture, &seen, &everywhere, inv, book, &mut found);
    }
    found
}

/// The loopback device of a pod or a node, where all that was captured is on one: an address in every packet is its host's. (Those of the
/// device itself are everybody's.)
fn loopback(captures: &[Capture<'_>], point: &Point, inv: &Inventory, book: &mut Book) -> Option<Candidate> {
    if streams(captures, point).any(|(_, s)| !s.key.is_looped()) {
        return None;
    }
    let mut packets = 0;
    let mut by_ip: BTreeMap<IpAddr, (u64, u32)> = BTreeMap::new();
    for (_, s) in streams(captures, point) {
        let ips: BTreeSet<IpAddr> = order::set(s.key.flow.into_iter().flat_map(|f| [f.src, f.dst]).filter(|ip| !ip.is_loopback()));
        packets += if ips.is_empty() { 0 } else { u64::from(s.packets) };
        for ip in ips {
            let seen = by_ip.entry(ip).or_insert((0, s.first_row));
            *seen = (seen.0 + u64::from(s.packets), seen.1.min(s.first_row));
        }
    }
    let in_all = by_ip.into_iter().filter(|(_, (n, _))| *n == packets);
    let is_host = |o: &Id| inv.pods.contains_key(o) || inv.nodes.contains_key(o);
    let (ip, row, claim) = in_all.filter_map(|(ip, (_, row))| Some((ip, row, inv.owner_of_ip(ip)?))).find(|x| is_host(&x.2.owner))?;
    let mut places = vec![Place::frame(captures.get(point.capture)?.input, row)];
    claim.ev.iter().for_each(|e| places.extend(book.sources(*e)));
    let statement = format!("all packets are on a loopback device, and those that are not between its own addresses carry {ip}");
    let (owner, name) = (claim.owner.clone(), "lo".to_owned());
    let ev = vec![book.add("own_ip", statement, places)];
    Some(Candidate {
        interface: interface_id(&owner, &name),
        owner,
        name,
        odds: weight::POD_IP_IN_EVERY_FRAME,
        trust: claim.p,
        ev,
        link: None,
    })
}

/// Whether all that an ENI sends for its node's pods has a TTL that a sender starts with: its node takes one of each that it forwards,
/// so this was not captured at that ENI.
fn forwards_unseen(seen: &Seen, mac: Mac, inv: &Inventory) -> bool {
    let Some(node) = inv.owner_of_mac(mac).map(|c| &c.owner).filter(|o| inv.nodes.contains_key(*o)) else { return false };
    let pods = seen.sent_by.get(&mac).into_iter().flatten().filter(|ip| {
        let pod = inv.owner_of_ip(**ip).and_then(|c| inv.pods.get(&c.owner));
        pod.is_some_and(|p| !p.host_network && p.node.as_ref() == Some(node))
    });
    let sent = sum(pods.filter_map(|ip| seen.sent_ttl.get(ip)));
    sent.0 > 0 && sent.1 == 0
}

/// The wire of a node's trunk ENI: every frame is of that ENI itself, or of one of the node's branch ENIs under its VLAN tag.
fn trunks(capture: &Capture<'_>, seen: &Seen, inv: &Inventory, book: &mut Book, found: &mut Vec<Candidate>) {
    let mut by_node: BTreeMap<&Id, (u64, u64, u32)> = BTreeMap::new();
    for ((mac, vlan), (frames, row)) in &seen.tagged {
        let Some(branch) = inv.eni_of_mac(*mac).filter(|e| e.vlan == Some(*vlan)) else { continue };
        let sum = by_node.entry(&branch.owner).or_insert((0, 0, *row));
        *sum = (sum.0 + frames, sum.1 + 1, sum.2.min(*row));
    }
    for (node, (tagged, branches, row)) in by_node {
        let Some(trunk) = inv.trunk_of(node) else { continue };
        let own = trunk.mac.and_then(|m| seen.macs.get(&m)).map_or(0, |x| x.0);
        // Of one branch alone, its address in every frame says it already.
        if tagged + own < seen.frames || (branches == 1 && own == 0) {
            continue;
        }
        let mut places = vec![Place::frame(capture.input, row)];
        trunk.ev.iter().for_each(|e| places.extend(book.sources(*e)));
        let statement =
            format!("{tagged} frames carry addresses and VLANs of {branches} branch ENIs of {}, and all others its trunk's", short(node));
        let ev = book.add("trunk", statement, places);
        let name = inv.eni_name(trunk);
        let interface = interface_id(node, &name);
        push(
            found,
            Candidate { interface, owner: node.clone(), name, odds: weight::OWN_MAC_IN_EVERY_FRAME, trust: 1.0, ev: vec![ev], link: None },
        );
    }
}

/// Pods whose address is in every packet, always behind one MAC: the capture is on the pod's link, at one of its two ends.
fn pod_links(capture: &Capture<'_>, seen: &Seen, inv: &Inventory, book: &mut Book, found: &mut Vec<Candidate>) {
    for pod in inv.pods.values().filter(|p| !p.host_network) {
        let frames: u64 = pod.ips.iter().filter_map(|ip| seen.ips.get(ip)).map(|x| x.0).sum();
        // A packet between two addresses of the same pod counts twice; it never leaves the pod.
        if frames == 0 || frames < seen.ip_frames {
            continue;
        }
        let Some((ip, row)) = pod.ips.iter().find_map(|ip| Some((*ip, seen.ips.get(ip)?.1))) else { continue };
        let one_mac = pod.ips.iter().all(|ip| seen.macs_of.get(ip).is_none_or(|m| m.len() <= 1));
        if !one_mac {
            continue;
        }
        // A MAC that is known as somebody else's can't be the pod's.
        let pod_mac = seen.macs_of.get(&ip).and_then(|m| m.first()).copied();
        let foreign = |m: &Mac| inv.owner_of_mac(*m).is_some_and(|c| c.owner != pod.id && c.p > weight::needed::SURE);
        if pod_mac.as_ref().is_some_and(foreign) {
            continue;
        }
        let mut odds = weight::POD_IP_IN_EVERY_FRAME;
        let sent: (u64, u64) = sum(pod.ips.iter().filter_map(|ip| seen.sent_ttl.get(ip)));
        let got: (u64, u64) = sum(pod.ips.iter().filter_map(|ip| seen.got_ttl.get(ip)));
        let mut why = String::new();
        if sent.0 > 0 && sent.1 == 0 {
            if got.1 > 0 {
                odds *= weight::TTL_STARTS_HERE;
                why = ", and only what it sends has a TTL that a sender starts with".to_owned();
            }
        } else if sent.1 > 0 {
            odds *= if sent.0 > 0 { weight::TTL_STARTS_ELSEWHERE } else { weight::NO_TTL_STARTS_HERE };
        }
        let mut places = vec![Place::frame(capture.input, row)];
        pod.ev.iter().for_each(|e| places.extend(book.sources(*e)));
        let statement = format!("all {} packets are from or to {ip}, the address of {}{why}", seen.ip_frames, short(&pod.id));
        let ev = book.add("pod_link", statement, places);
        let came: u64 = pod.ips.iter().filter_map(|ip| seen.came_in.get(ip)).sum();
        let went: u64 = pod.ips.iter().filter_map(|ip| seen.went_out.get(ip)).sum();
        // Where the capture states directions: at the node's end the pod's packets come in, at the pod's end they go out.
        let trust = inv.owner_of_ip(ip).map_or(1.0, |c| c.p);
        let (mut node_odds, mut pod_odds) = (odds * weight::PRIOR_NODE_SIDE, odds);
        if seen.in_frames + seen.out_frames > 0 {
            let node_side = came + went > 0;
            // By an ENI a node sends to pods that are elsewhere, and for its own; only on the link is what the pod sends fresh.
            let weight = if sent.0 > 0 && sent.1 == 0 { weight::INTERFACE_INDEX } else { 1.0 };
            let (up, down) = (weight, 1.0 / weight);
            node_odds *= if node_side { up } else { down };
            pod_odds *= if node_side { down } else { up };
        }
        if let Some((node, bridge)) = pod.node.as_ref().zip(pod.bridge.as_ref()) {
            // What one pod sends and gets beyond its bridge crosses the bridge's own device too.
            let (name, owner, interface) = (bridge.clone(), node.clone(), interface_id(node, bridge));
            push(found, Candidate { interface, owner, name, odds: node_odds * weight::PRIOR_BRIDGE, trust, ev: vec![ev], link: None });
        }
        if let Some(node) = &pod.node {
            let name = pod.veth.clone();
            let interface = interface_id(node, &name);
            push(
                found,
                Candidate {
                    interface,
                    owner: node.clone(),
                    name,
                    odds: node_odds,
                    trust,
                    ev: vec![ev],
                    link: Some((pod.id.clone(), false)),
                },
            );
        }
        let interface = interface_id(&pod.id, "eth0");
        push(
            found,
            Candidate {
                interface,
                owner: pod.id.clone(),
                name: "eth0".to_owned(),
                odds: pod_odds,
                trust,
                ev: vec![ev],
                link: Some((pod.id.clone(), true)),
            },
        );
    }
}

/// Tunnel devices whose packets have no link layer (`tunl0`): one end of every packet is behind the device, the other one of its node's
/// pods. Both nodes' devices show the same.
fn bare_tunnels(capture: &Capture<'_>, point: &Point, seen: &Seen, inv: &Inventory, book: &mut Book, found: &mut Vec<Candidate>) {
    let info = capture.digest.interfaces.iter().find(|i| i.index == point.interface);
    let is_bare = |l: LinkType| matches!(l, LinkType::RAW | LinkType::IPV4 | LinkType::IPV6);
    if seen.ip_frames == 0 || !info.and_then(|i| i.link_type).is_some_and(is_bare) {
        return;
    }
    // What `tcpdump` printed has no link layer either, unless it was asked to: no capture file has that layout.
    if capture.digest.layout != FileLayout::default() {
        found.iter_mut().for_each(|c| c.odds /= weight::NO_LINK_LAYER);
    }
    for (node, tables) in &inv.tables {
        let is_own = |ip: IpAddr| {
            inv.owner_of_ip(ip).is_some_and(|c| &c.owner == node || inv.pods.get(&c.owner).and_then(|p| p.node.as_ref()) == Some(node))
        };
        let mut ends = seen.ips.iter();
        let Some((dev, ev)) = ends.clone().find_map(|(ip, _)| tables.bare_tunnel_to(*ip).filter(|_| !is_own(*ip))) else { continue };
        if !ends.all(|(ip, _)| is_own(*ip) || tables.bare_tunnel_to(*ip).is_some_and(|t| t.0 == dev)) {
            continue;
        }
        let Some(row) = seen.ips.values().map(|x| x.1).min() else { continue };
        let mut places = vec![Place::frame(capture.input, row)];
        places.extend(book.sources(ev));
        let statement = format!("no packet has a link layer, and all are between pods of {} and what it sends by {dev}", short(node));
        let ev = book.add("tunnel_device", statement, places);
        let (interface, owner, name) = (interface_id(node, dev), node.clone(), dev.to_owned());
        push(found, Candidate { interface, owner, name, odds: weight::OWN_MAC_IN_EVERY_FRAME, trust: 1.0, ev: vec![ev], link: None });
    }
}

/// No inventory explains the MACs: the interface is named after the address that is in every frame.
fn strangers(capture: &Capture<'_>, seen: &Seen, everywhere: &[(Mac, u32)], inv: &Inventory, book: &mut Book, found: &mut Vec<Candidate>) {
    let sends_fresh = |m: &Mac| {
        let ips = seen.sent_by.get(m).into_iter().flatten();
        let ttl = sum(ips.filter_map(|ip| seen.sent_ttl.get(ip)));
        ttl.0 > 0 && ttl.1 == 0
    };
    let fresh: Vec<_> = everywhere.iter().filter(|(m, _)| sends_fresh(m)).collect();
    let chosen = match (everywhere, fresh.as_slice()) {
        ([only], _) => Some((only, weight::place::ONLY_STRANGER)),
        (_, [only]) => Some((*only, weight::place::FRESH_STRANGER)),
        // Both ends speak for hosts behind them. Whoever asks by ARP is a host; a VPC router never does. Else either may be it.
        _ => {
            let asks = |m: &Mac| capture.digest.arps.iter().any(|a| a.operation == 1 && a.sender_mac == *m);
            let asking = everywhere.iter().find(|(m, _)| asks(m)).map(|x| (x, weight::place::ASKING_STRANGER));
            asking.or_else(|| everywhere.first().map(|x| (x, 1.0)))
        }
    };
    let Some(((mac, row), odds)) = chosen else { return };
    if inv.owner_of_mac(*mac).is_some() {
        return;
    }
    let ev = book.add("own_mac", format!("{mac} is in every unicast frame"), vec![Place::frame(capture.input, *row)]);
    let ips = seen.sent_by.get(mac).cloned().unwrap_or_default();
    // One address behind it: the host is whoever has that address.
    let owner = match (ips.len(), ips.first()) {
        (1, Some(ip)) => inv.owner_of_ip(*ip).map(|c| c.owner.clone()),
        _ => None,
    };
    let owner = owner.filter(|o| o.starts_with("node:") || o.starts_with("instance:") || o.starts_with("pod:"));
    // A machine on the Internet that speaks for itself, and was captured there.
    let outside = || ips.first().filter(|ip| ips.len() == 1 && sends_fresh(mac) && inv.is_external(**ip) && !is_private(**ip));
    let owner = owner.or_else(|| outside().map(|ip| inv.entity_of_ip(*ip))).unwrap_or_else(|| format!("host:{mac}"));
    found.push(Candidate { interface: format!("if:{mac}"), owner, name: mac.to_string(), odds, trust: 1.0, ev: vec![ev], link: None });
}

fn sum<'a>(pairs: impl Iterator<Item = &'a (u64, u64)>) -> (u64, u64) {
    pairs.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
}
