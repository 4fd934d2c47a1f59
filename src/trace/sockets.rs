//! The sockets that hosts list, at the ends of the conversations that they are of: which process, how often it sent again.
//! Knows tuples and ends; must not say that a connection exists because a socket does: nobody captured that.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::{Context, Path};
use crate::digest::Tuple;
use crate::evidence::{Book, Place};
use crate::facts::Socket;
use crate::identify::inventory::Id;
use crate::model::Protocol;
use crate::report::Way;

/// Local address and port, then the peer's.
type Key = (Protocol, IpAddr, u16, IpAddr, u16);

/// Connected sockets by their ends, and the namespaces that listed them.
pub(super) struct Sockets<'a>(BTreeMap<Key, Vec<(&'a Id, &'a Socket, &'a Place)>>);

impl<'a> Sockets<'a> {
    /// `None`: no host listed any.
    pub(super) fn of(ctx: Context<'a>) -> Option<Self> {
        let mut all: BTreeMap<Key, Vec<(&Id, &Socket, &Place)>> = BTreeMap::new();
        for host in &ctx.inv.hosts {
            let Some((owner, _)) = &host.owner else { continue };
            for (s, place) in &host.sockets {
                if let Some((ip, port)) = s.peer {
                    all.entry((s.protocol, s.local, s.local_port, ip, port)).or_default().push((owner, s, place));
                }
            }
        }
        (!all.is_empty()).then_some(Self(all))
    }

    /// Adds the sockets of both ends to a path's first and last hops.
    pub(super) fn lay(&self, path: &mut Path, book: &mut Book) {
        let (Some(first), Some(last)) = (path.legs.first().map(|l| l.tuple), path.legs.last().map(|l| l.tuple)) else { return };
        // The client's socket has what it dialled, the server's what reached it.
        for (t, is_client) in [(first, true), (last.reversed(), false)] {
            for (owner, socket, place) in self.find(t) {
                let ev = book.add("socket", statement(socket), vec![(*place).clone()]);
                for d in &mut path.directions {
                    let at_start = is_client == (d.way == Way::Request);
                    let end = if at_start { d.hops.first_mut() } else { d.hops.last_mut() };
                    if let Some(hop) = end.filter(|h| &h.owner == *owner && !h.ev.contains(&ev)) {
                        hop.ev.push(ev);
                    }
                }
            }
        }
    }

    fn find(&self, t: Tuple) -> impl Iterator<Item = &(&'a Id, &'a Socket, &'a Place)> {
        self.0.get(&(t.protocol, t.src, t.src_port, t.dst, t.dst_port)).into_iter().flatten()
    }
}

fn statement(s: &Socket) -> String {
    let peer = s.peer.map_or(String::new(), |(ip, port)| format!(" → {}", SocketAddr::new(ip, port)));
    let state = s.state.as_deref().map_or(String::new(), |s| format!(" is {s}"));
    let process = match (&s.process, s.pid) {
        (Some(name), Some(pid)) => format!(", held by {name} (pid {pid})"),
        (Some(name), None) => format!(", held by {name}"),
        _ => String::new(),
    };
    let again = s.retransmits.filter(|n| *n > 0).map_or(String::new(), |n| format!(", {n} segments sent again"));
    let mtu = s.path_mtu.map_or(String::new(), |m| format!(", path MTU {m}"));
    format!("the socket {}{peer}{state}{process}{again}{mtu}", SocketAddr::new(s.local, s.local_port))
}
