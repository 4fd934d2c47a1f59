//! Who talks to whom: conversations summed up by client, server and what the client dialled, the most troubled first.
//! Knows paths' heads; must not read their hops.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::order;
use crate::packed::PathHead;
use crate::report::{FlowEnd, Verdict};

/// The conversations of one client with one server's port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// As of a path's flow.
    pub protocol: String,
    /// Without a port: each conversation has another.
    pub client: FlowEnd,
    /// As of a path's flow.
    pub server: FlowEnd,
    /// As of a path's flow.
    pub via: Option<FlowEnd>,
    /// How many conversations there are.
    pub conversations: u64,
    /// How many of them are lost in either direction.
    pub lost: u64,
    /// How many are rejected.
    pub rejected: u64,
    /// Of how many the captures do not show what became of them.
    pub unknown: u64,
    /// Packets of all of them, each at the point that saw most.
    pub packets: u64,
    /// Octets likewise.
    pub bytes: u64,
}

impl Pair {
    /// How many of the conversations arrived, both ways.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.conversations.saturating_sub(self.lost + self.rejected + self.unknown)
    }
}

/// All pairs: those with most lost and rejected conversations first, then those with most conversations; equals by protocol and addresses.
pub fn pairs(heads: impl Iterator<Item = PathHead>) -> Vec<Pair> {
    let mut pairs: BTreeMap<(String, FlowEnd, FlowEnd, Option<FlowEnd>), Pair> = BTreeMap::new();
    for head in heads {
        let verdict = head.verdict();
        let flow = head.flow;
        let pair = pairs.entry((flow.protocol, FlowEnd { port: None, ..flow.client }, flow.server, flow.via)).or_default();
        pair.conversations += 1;
        match verdict {
            Verdict::Lost => pair.lost += 1,
            Verdict::Rejected => pair.rejected += 1,
            Verdict::Unknown => pair.unknown += 1,
            Verdict::Delivered => {}
        }
        pair.packets = pair.packets.saturating_add(head.packets);
        pair.bytes = pair.bytes.saturating_add(head.bytes);
    }
    let named = pairs.into_iter().map(|((protocol, client, server, via), pair)| Pair { protocol, client, server, via, ..pair });
    let mut pairs: Vec<Pair> = named.collect();
    order::sort_by_key(&mut pairs, |p| (Reverse(p.lost + p.rejected), Reverse(p.conversations)));
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Flow;

    fn head(client: &str, port: u16, server: &str, verdict: Verdict) -> PathHead {
        let end = |ip: &str, port| FlowEnd { entity: None, ip: ip.to_owned(), port: Some(port) };
        let flow = Flow { protocol: "tcp".to_owned(), client: end(client, port), server: end(server, 80), via: None };
        PathHead { flow, packets: 3, bytes: 200, directions: vec![(verdict, 4)], ..PathHead::default() }
    }

    #[test]
    fn conversations_are_summed_up_and_trouble_comes_first() {
        let heads = [
            head("10.0.0.1", 4001, "10.0.9.1", Verdict::Delivered),
            head("10.0.0.1", 4002, "10.0.9.1", Verdict::Delivered),
            head("10.0.0.1", 4003, "10.0.9.1", Verdict::Unknown),
            head("10.0.0.2", 4001, "10.0.9.2", Verdict::Rejected),
            head("10.0.0.1", 4001, "10.0.9.2", Verdict::Delivered),
            head("10.0.0.2", 4002, "10.0.9.2", Verdict::Lost),
        ];
        let all = pairs(heads.iter().cloned());
        let of = |p: &Pair| (p.client.ip.clone(), p.server.ip.clone(), [p.conversations, p.lost, p.rejected, p.unknown, p.delivered()]);
        let named = |client: &str, server: &str, counts| (client.to_owned(), server.to_owned(), counts);
        assert_eq!(
            all.iter().map(of).collect::<Vec<_>>(),
            [
                named("10.0.0.2", "10.0.9.2", [2, 1, 1, 0, 0]),
                named("10.0.0.1", "10.0.9.1", [3, 0, 0, 1, 2]),
                named("10.0.0.1", "10.0.9.2", [1, 0, 0, 0, 1]),
            ]
        );
        assert_eq!((all[1].packets, all[1].bytes), (9, 600));
        assert_eq!(pairs(heads.iter().rev().cloned()), all);
    }
}
