//! What one point saw, summed up for placing it: which MACs and addresses, in how many frames, with which TTLs and directions.
//! Counts headers; must not know who anybody is, but for the pods behind a bridge.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::{Capture, INITIAL_TTLS, Point, streams};
use crate::digest::{Stream, StreamKey};
use crate::identify::inventory::{Inventory, is_special};
use crate::model::{Direction, Mac};
use crate::order;

/// What one point saw, summed up for placing it.
#[derive(Default)]
pub(super) struct Seen {
    /// Unicast frames with both MACs.
    pub(super) frames: u64,
    /// MAC → frames that it sent or got, and the first such row.
    pub(super) macs: BTreeMap<Mac, (u64, u32)>,
    /// MAC → addresses that it sent for.
    pub(super) sent_by: BTreeMap<Mac, BTreeSet<IpAddr>>,
    /// IP frames.
    pub(super) ip_frames: u64,
    /// Address → (frames from or to it, first row).
    pub(super) ips: BTreeMap<IpAddr, (u64, u32)>,
    /// Address → MACs that it was seen behind.
    pub(super) macs_of: BTreeMap<IpAddr, BTreeSet<Mac>>,
    /// Address → (sent with an initial TTL, sent with another), in packets.
    pub(super) sent_ttl: BTreeMap<IpAddr, (u64, u64)>,
    /// Address → the same for what it got.
    pub(super) got_ttl: BTreeMap<IpAddr, (u64, u64)>,
    /// Directions that the capture states: address → (arrived from it, left to it).
    pub(super) came_in: BTreeMap<IpAddr, u64>,
    pub(super) went_out: BTreeMap<IpAddr, u64>,
    /// Source MACs of frames that left, with the first row.
    pub(super) out_macs: BTreeMap<Mac, (u64, u32)>,
    pub(super) out_frames: u64,
    pub(super) in_frames: u64,
    /// Under one VLAN tag: (MAC that sent or got it, VLAN) → frames, first row.
    pub(super) tagged: BTreeMap<(Mac, u16), (u64, u32)>,
}

/// What is asked for: there may be a million IP addresses, and a handful of MACs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    All,
    /// Nothing of IP addresses.
    Macs,
}

pub(super) fn see(captures: &[Capture<'_>], point: &Point, wanted: Wanted) -> Seen {
    see_those(captures, point, wanted, |_| true)
}

/// As [`see`], but for what a bridge flooded: it sends frames for a MAC that it does not know to all its ports (IEEE 802.1Q §8.8.10), so
/// at another's port they go to a pod that never sends there. What is left must be some pod's, both ways.
pub(super) fn see_own(captures: &[Capture<'_>], point: &Point, inv: &Inventory, wanted: Wanted) -> Seen {
    let bridged: BTreeSet<IpAddr> = order::set(inv.pods.values().filter(|p| p.bridge.is_some()).flat_map(|p| &p.ips).copied());
    if bridged.is_empty() {
        return see(captures, point, wanted);
    }
    let here = || streams(captures, point).map(|s| s.1);
    let senders: BTreeSet<Mac> = order::set(here().filter_map(|s| s.key.src_mac));
    let is_flooded = |s: &Stream| {
        let to = s.key.dst_mac.filter(|m| m.is_unicast());
        let is_bridged = s.key.tunnels.is_empty() && s.key.flow.is_some_and(|f| bridged.contains(&f.dst));
        is_bridged && to.is_some_and(|m| !senders.contains(&m))
    };
    let answers = here().any(|s| !is_flooded(s) && s.key.flow.is_some_and(|f| bridged.contains(&f.src)));
    if answers { see_those(captures, point, wanted, |s| !is_flooded(s)) } else { see(captures, point, wanted) }
}

fn see_those(captures: &[Capture<'_>], point: &Point, wanted: Wanted, is_counted: impl Fn(&Stream) -> bool) -> Seen {
    let mut seen = Seen::default();
    let mut by_ip: FxHashMap<IpAddr, OfIp> = FxHashMap::default();
    // What never leaves a host says nothing of an interface.
    for (_, s) in streams(captures, point).filter(|(_, s)| !s.key.is_looped() && is_counted(s)) {
        let n = u64::from(s.packets);
        let StreamKey { src_mac, dst_mac, direction, flow, ttl, tunnels, vlans, .. } = &s.key;
        let usable = |m: &Option<Mac>| m.filter(|m| m.is_unicast());
        if let (Some(src), Some(dst)) = (usable(src_mac), usable(dst_mac)) {
            seen.frames += n;
            for m in [Some(src), Some(dst).filter(|m| *m != src)].into_iter().flatten() {
                let e = seen.macs.entry(m).or_insert((0, s.first_row));
                e.0 += n;
                e.1 = e.1.min(s.first_row);
                if let [vlan] = vlans[..] {
                    let e = seen.tagged.entry((m, vlan)).or_insert((0, s.first_row));
                    *e = (e.0 + n, e.1.min(s.first_row));
                }
            }
        }
        match direction {
            Some(Direction::Out) => {
                seen.out_frames += n;
                if let Some(m) = usable(src_mac) {
                    seen.out_macs.entry(m).or_insert((0, s.first_row)).0 += n;
                }
            }
            Some(Direction::In) => seen.in_frames += n,
            None => {}
        }
        if wanted == Wanted::Macs {
            continue;
        }
        // Around a tunnel the outer addresses belong to this interface; the inner ones travel inside.
        let (src, dst, ttl) = match (tunnels.first(), flow) {
            (Some(t), _) => (t.src, t.dst, t.ttl),
            (None, Some(f)) => (f.src, f.dst, *ttl),
            (None, None) => continue,
        };
        if is_special(src) || is_special(dst) {
            continue;
        }
        seen.ip_frames += n;
        let initial = INITIAL_TTLS.contains(&ttl);
        // 0: a printed capture that does not tell.
        let counts = if ttl == 0 { None } else { Some(if initial { (n, 0) } else { (0, n) }) };
        let from = by_ip.entry(src).or_default();
        from.see(n, s.first_row, usable(src_mac));
        if let Some(m) = usable(src_mac).filter(|m| !from.sent_under.contains(m)) {
            from.sent_under.push(m);
        }
        from.sent = add(from.sent, counts);
        from.came_in = add_one(from.came_in, n, *direction == Some(Direction::In));
        let to = by_ip.entry(dst).or_default();
        to.see(if src == dst { 0 } else { n }, s.first_row, usable(dst_mac));
        to.got = add(to.got, counts);
        to.went_out = add_one(to.went_out, n, *direction == Some(Direction::Out));
    }
    seen.by_ip(by_ip);
    seen
}

/// What was seen of an address: looked up once for each end of a stream, and sorted when all is counted.
#[derive(Default)]
struct OfIp {
    frames: u64,
    first_row: Option<u32>,
    macs: Vec<Mac>,
    sent_under: Vec<Mac>,
    sent: Option<(u64, u64)>,
    got: Option<(u64, u64)>,
    came_in: Option<u64>,
    went_out: Option<u64>,
}

impl OfIp {
    fn see(&mut self, frames: u64, row: u32, mac: Option<Mac>) {
        self.frames += frames;
        self.first_row = Some(self.first_row.map_or(row, |first| first.min(row)));
        if let Some(mac) = mac.filter(|m| !self.macs.contains(m)) {
            self.macs.push(mac);
        }
    }
}

fn add(sum: Option<(u64, u64)>, more: Option<(u64, u64)>) -> Option<(u64, u64)> {
    let Some((a, b)) = more else { return sum };
    let (x, y) = sum.unwrap_or_default();
    Some((x + a, y + b))
}

fn add_one(sum: Option<u64>, more: u64, is_counted: bool) -> Option<u64> {
    if is_counted { Some(sum.unwrap_or_default() + more) } else { sum }
}

impl Seen {
    fn by_ip(&mut self, by_ip: FxHashMap<IpAddr, OfIp>) {
        let mut sorted: Vec<(IpAddr, OfIp)> = by_ip.into_iter().collect();
        sorted.sort_unstable_by_key(|x| x.0);
        for (ip, of) in &sorted {
            for mac in &of.sent_under {
                self.sent_by.entry(*mac).or_default().insert(*ip);
            }
        }
        self.ips = sorted.iter().map(|(ip, of)| (*ip, (of.frames, of.first_row.unwrap_or(u32::MAX)))).collect();
        self.sent_ttl = sorted.iter().filter_map(|(ip, of)| Some((*ip, of.sent?))).collect();
        self.got_ttl = sorted.iter().filter_map(|(ip, of)| Some((*ip, of.got?))).collect();
        self.came_in = sorted.iter().filter_map(|(ip, of)| Some((*ip, of.came_in?))).collect();
        self.went_out = sorted.iter().filter_map(|(ip, of)| Some((*ip, of.went_out?))).collect();
        let macs = sorted.into_iter().filter(|(_, of)| !of.macs.is_empty());
        self.macs_of = macs.map(|(ip, of)| (ip, order::set(of.macs.into_iter()))).collect();
    }
}
