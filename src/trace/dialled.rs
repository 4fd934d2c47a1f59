//! Addresses of services that the inputs list without them: EndpointSlices alone say where a service leads, not how it is dialled.
//! Knows joined flows and endpoints; must not know where captures were taken.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::correlate::flows::{Flows, Join};
use crate::digest::Tuple;
use crate::evidence::{Book, Place};
use crate::identify::inventory::{Id, Inventory, is_private, short};
use crate::identify::place::Capture;
use crate::model::Protocol;

type End = (IpAddr, u16);

/// Names the services behind addresses that nobody has and whose packets one client's connections turn into packets to endpoints
/// (kube-proxy's DNAT): where one service alone has all of an address's endpoints, the address is that service's.
pub fn learn(captures: &[Capture<'_>], flows: &Flows, inv: &mut Inventory, book: &mut Book) {
    let mut serving: BTreeMap<(End, Protocol), BTreeSet<Id>> = BTreeMap::new();
    for s in inv.services.values().filter(|s| s.is_addressless()) {
        for (ip, _, port, protocol) in &s.endpoints {
            if let Some(port) = port {
                serving.entry(((*ip, *port), *protocol)).or_default().insert(s.id.clone());
            }
        }
    }
    if serving.is_empty() {
        return;
    }
    let mut found: BTreeMap<IpAddr, (BTreeSet<Id>, Join, End)> = BTreeMap::new();
    for j in flows.conversations().flat_map(|c| c.joins) {
        let (Some(a), Some(b)) = (flows.flows.get(j.a), flows.flows.get(j.b)) else { continue };
        for (dialled, endpoint) in turned(a.tuple, b.tuple).into_iter().chain(turned(b.tuple, a.tuple)) {
            let Some(ids) = serving.get(&(endpoint, a.tuple.protocol)) else { continue };
            if inv.owner_of_ip(dialled.0).is_some() || !is_private(dialled.0) || inv.is_inside(dialled.0) {
                continue;
            }
            found.entry(dialled.0).and_modify(|f| f.0.retain(|id| ids.contains(id))).or_insert_with(|| (ids.clone(), j, endpoint));
        }
    }
    for (ip, (ids, join, (endpoint, port))) in found {
        let (Some(id), 1) = (ids.first(), ids.len()) else { continue };
        let place = |(capture, row): (usize, u32)| captures.get(capture).map(|c| Place::frame(c.input, row));
        let mut places: Vec<Place> = [place(join.row_a), place(join.row_b)].into_iter().flatten().collect();
        inv.services.get(id).into_iter().flat_map(|s| &s.ev).for_each(|e| places.extend(book.sources(*e)));
        let statement = format!("what is sent to {ip} goes on to {endpoint} port {port}, which is an endpoint of {} alone", short(id));
        let ev = book.add("endpoint", statement, places);
        inv.name_service(ip, id, ev);
    }
}

/// Two tuples of one conversation that share one end: the other end of the first, and what it is in the second.
fn turned(t: Tuple, u: Tuple) -> Option<(End, End)> {
    let ends = |t: Tuple| [((t.src, t.src_port), (t.dst, t.dst_port)), ((t.dst, t.dst_port), (t.src, t.src_port))];
    ends(t).into_iter().find_map(|(client, dialled)| {
        let same = ends(u).into_iter().find(|(c, _)| *c == client);
        same.map(|(_, endpoint)| (dialled, endpoint)).filter(|(d, e)| d != e)
    })
}
