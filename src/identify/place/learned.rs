//! What a placed capture proves: whose the MACs in its frames are, and what an interface is called.
//! Must not place anything.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::seen::{Seen, Wanted, see, see_own};
use super::{Capture, Point, streams};
use crate::confidence as weight;
use crate::digest::StreamKey;
use crate::evidence::{Book, Place};
use crate::identify::inventory::{Claim, EniInfo, Inventory, PodInfo, interface_id, short};
use crate::model::Mac;
use crate::order;

/// A capture program that wrote an interface's name beside frames with an ENI's MAC has named that ENI's interface.
pub(super) fn learn_interface_names(captures: &[Capture<'_>], points: &[Point], inv: &mut Inventory, book: &mut Book) {
    for point in points.iter().filter(|p| p.ifindex.is_none()) {
        let (Some(name), Some(capture)) = (&point.interface_name, captures.get(point.capture)) else { continue };
        let seen = see(captures, point, Wanted::Macs);
        let own: Vec<(&Mac, u32)> = seen.macs.iter().filter(|(_, (n, _))| *n == seen.frames).map(|(m, (_, row))| (m, *row)).collect();
        let [(mac, row)] = own.as_slice() else { continue };
        let Some(owner) = inv.owner_of_mac(**mac).map(|c| c.owner.clone()) else { continue };
        let is_eni = inv.eni_of_mac(**mac).is_some_and(|e| e.owner == owner && inv.nodes.contains_key(&owner));
        if is_eni && !inv.names_by_mac.contains_key(&(owner.clone(), **mac)) {
            let ev = book.add(
                "interface_name",
                format!("the capture calls the interface with {mac} {name}"),
                vec![Place::frame(capture.input, *row)],
            );
            inv.names_by_mac.insert((owner.clone(), **mac), (name.clone(), ev));
            let interface = interface_id(&owner, name);
            for c in inv.by_mac.get_mut(*mac).into_iter().flatten().filter(|c| c.owner == owner) {
                c.interface = Some(interface.clone());
            }
        }
    }
}

/// What a placed capture proves about the MACs in it.
pub(super) fn learn_addresses(captures: &[Capture<'_>], points: &[Point], inv: &mut Inventory, book: &mut Book) {
    let mut new: Vec<(Mac, Claim)> = Vec::new();
    for point in points {
        // What is itself more guess than finding proves nothing of others.
        let (Some(capture), Some(at), true) = (captures.get(point.capture), &point.at, point.p >= weight::needed::LIKELY) else { continue };
        if let Some(pod) = point.link.as_ref().and_then(|l| inv.pods.get(l)) {
            let seen = see_own(captures, point, inv, Wanted::All);
            learn_link(capture, point, &seen, pod, inv, book, &mut new);
            continue;
        }
        let at_it = |e: &&EniInfo| e.mac.is_some_and(|m| inv.owner_of_mac(m).and_then(|c| c.interface.as_ref()) == Some(at));
        // Tagged frames are in the subnets of the branch ENIs, which their own devices' captures speak of.
        let macs = see_own(captures, point, inv, Wanted::Macs);
        if !macs.tagged.is_empty() {
            continue;
        }
        let Some(eni) = inv.enis.values().find(at_it) else {
            learn_stranger(capture, point, &macs, at, book, &mut new);
            continue;
        };
        let seen = see_own(captures, point, inv, Wanted::All);
        let router = match &eni.subnet {
            Some(s) => format!("router:{s}"),
            None => continue,
        };
        let own = eni.mac;
        // Where not all ENIs are listed, a MAC may be that of another; the router of such a subnet is known by its own.
        let is_listed = eni.subnet.as_ref().and_then(|s| inv.subnets.get(s)).is_none_or(|s| !s.is_nameless);
        for (mac, ips) in &seen.macs_of.iter().fold(BTreeMap::<Mac, BTreeSet<IpAddr>>::new(), |mut all, (ip, macs)| {
            macs.iter().for_each(|m| {
                all.entry(*m).or_default().insert(*ip);
            });
            all
        }) {
            if !is_listed || Some(*mac) == own || inv.eni_of_mac(*mac).is_some() {
                continue;
            }
            // A MAC of no ENI that speaks for addresses of other subnets, or of ENIs with other MACs, is the router's.
            let routed: Vec<IpAddr> = ips
                .iter()
                .copied()
                .filter(|ip| inv.eni_of_ip(*ip).map_or(inv.subnet_of(*ip) != eni.subnet.as_deref(), |e| e.mac != Some(*mac)))
                .collect();
            let Some(first) = routed.first() else { continue };
            // The frame must show both: the MAC's first one may be an ARP message.
            let Some(row) = first_row_with(captures, point, *mac, *first) else { continue };
            let p = if routed.len() > 1 { weight::owner::ROUTES_SEVERAL } else { weight::owner::ROUTES_ONE };
            let more = if routed.len() > 1 { format!(" and {} more", routed.len() - 1) } else { String::new() };
            let statement = format!(
                "{mac} is no ENI's address in {} and carries the packets of {first}{more}: the VPC router's face there",
                short(&router)
            );
            let mut places = vec![Place::frame(capture.input, row)];
            eni.ev.iter().for_each(|e| places.extend(book.sources(*e)));
            let ev = book.add("router_mac", statement, places);
            new.push((*mac, Claim { owner: router.clone(), interface: None, p, ev: vec![ev] }));
        }
        for arp in capture.digest.arps.iter().filter(|a| a.interface == point.interface && a.ifindex == point.ifindex && a.operation == 2) {
            let owner = inv.owner_of_ip(arp.sender_ip).map(|c| c.owner.clone()).unwrap_or_default();
            if owner == router && is_listed && inv.eni_of_mac(arp.sender_mac).is_none() {
                let statement = format!("{} answers ARP for {}, the gateway of {}", arp.sender_mac, arp.sender_ip, short(&router));
                let ev = book.add("arp", statement, vec![Place::frame(capture.input, arp.first_row)]);
                new.push((arp.sender_mac, Claim { owner, interface: None, p: weight::owner::ANSWERS_AS_GATEWAY, ev: vec![ev] }));
            }
        }
    }
    for (mac, claim) in new {
        let claims = inv.by_mac.entry(mac).or_default();
        match claims.iter_mut().find(|c| c.owner == claim.owner) {
            Some(known) => {
                // Two independent observations: neither is wrong unless both are.
                known.p = weight::round(1.0 - (1.0 - known.p) * (1.0 - claim.p)).min(weight::needed::MOST).max(known.p);
                known.interface = known.interface.take().or(claim.interface);
                for e in claim.ev {
                    if !known.ev.contains(&e) {
                        known.ev.push(e);
                    }
                }
            }
            None => claims.push(claim),
        }
        order::sort_by(claims, |a, b| b.p.total_cmp(&a.p).then_with(|| a.owner.cmp(&b.owner)));
    }
}

fn first_row_from(captures: &[Capture<'_>], point: &Point, mac: Mac) -> Option<u32> {
    streams(captures, point).filter(|(_, s)| s.key.src_mac == Some(mac) || s.key.dst_mac == Some(mac)).map(|(_, s)| s.first_row).min()
}

/// The first frame that `mac` sent for `ip`, or got for it; around a tunnel the outer address counts, as in [`see`].
fn first_row_with(captures: &[Capture<'_>], point: &Point, mac: Mac, ip: IpAddr) -> Option<u32> {
    let shows = |key: &StreamKey| {
        let ends = key.tunnels.first().map(|t| (t.src, t.dst)).or(key.flow.map(|f| (f.src, f.dst)));
        ends.is_some_and(|(src, dst)| (key.src_mac == Some(mac) && src == ip) || (key.dst_mac == Some(mac) && dst == ip))
    };
    streams(captures, point).filter(|(_, s)| shows(&s.key)).map(|(_, s)| s.first_row).min()
}

/// On a pod's link there are two addresses: the pod's, and its host side's.
fn learn_link(
    capture: &Capture<'_>,
    point: &Point,
    seen: &Seen,
    pod: &PodInfo,
    inv: &Inventory,
    book: &mut Book,
    new: &mut Vec<(Mac, Claim)>,
) {
    let arps = || capture.digest.arps.iter().filter(|a| a.interface == point.interface && a.ifindex == point.ifindex);
    let by_arp = arps().find(|a| pod.ips.contains(&a.sender_ip)).map(|a| a.sender_mac);
    // A cooked capture has no frame's destination: a pod that only answers who it is has its MAC nowhere else.
    let all_macs: BTreeSet<Mac> = order::set(seen.macs.keys().chain(seen.sent_by.keys()).copied().chain(by_arp));
    let by_ip = pod.ips.iter().find_map(|ip| seen.macs_of.get(ip)).and_then(|m| m.first()).copied();
    let Some(pod_mac) = by_ip.or(by_arp) else { return };
    let row_of = |m: &Mac| {
        let in_stream = || first_row_from(std::slice::from_ref(capture), &Point { capture: 0, ..point.clone() }, *m);
        let in_arp = || arps().filter(|a| a.sender_mac == *m).map(|a| a.first_row).min();
        seen.macs.get(m).map(|x| x.1).or_else(in_stream).or_else(in_arp)
    };
    for mac in all_macs {
        let Some(row) = row_of(&mac) else { continue };
        if inv.owner_of_mac(mac).is_some_and(|c| c.p > weight::needed::SETTLED) {
            continue;
        }
        let is_pod = mac == pod_mac;
        let (owner, interface, what) = if is_pod {
            (pod.id.clone(), interface_id(&pod.id, "eth0"), "the pod's own")
        } else if let Some(node) = pod.node.as_ref().filter(|_| pod.bridge.is_none()) {
            (node.clone(), interface_id(node, &pod.veth), "its host side's")
        } else {
            continue;
        };
        let mut places = vec![Place::frame(capture.input, row)];
        pod.ev.iter().for_each(|e| places.extend(book.sources(*e)));
        let ev = book.add("link_mac", format!("on the link of {} {mac} is {what} address", short(&pod.id)), places);
        new.push((mac, Claim { owner, interface: Some(interface), p: weight::round(weight::owner::ON_LINK * point.link_p), ev: vec![ev] }));
    }
}

fn learn_stranger(capture: &Capture<'_>, point: &Point, seen: &Seen, at: &str, book: &mut Book, new: &mut Vec<(Mac, Claim)>) {
    let (Some(owner), Some(mac)) = (&point.owner, at.strip_prefix("if:").and_then(|m| m.parse::<Mac>().ok())) else { return };
    let Some((_, row)) = seen.macs.get(&mac).copied().or_else(|| seen.out_macs.get(&mac).copied()) else { return };
    let ev = book.add("own_mac", format!("{mac} is in every unicast frame"), vec![Place::frame(capture.input, row)]);
    new.push((mac, Claim { owner: owner.clone(), interface: Some(at.to_owned()), p: point.p, ev: vec![ev] }));
}
