//! Findings from VPC Flow Logs: what the VPC rejected, on paths and beside them, and what AWS skipped.
//! Knows records and hops; must not say which rule it was where a log does not tell.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Finding, ends};
use crate::confidence::finding as weight;
use crate::digest::Tuple;
use crate::evidence::{Book, Ev, Place};
use crate::facts::FlowLog;
use crate::identify::inventory::{EniInfo, is_private, short};
use crate::model::{Protocol, shell_word};
use crate::order;
use crate::report::{Severity, Way};
use crate::trace::flow_logs::statement;
use crate::trace::{Context, Logged, Path};

/// Rejections beside the paths are told one by one up to this many; an address under attack has thousands.
const TOLD: usize = 40;
/// How many records one finding names.
const NAMED: usize = 6;

/// An ENI, and its protocol and ports: what a record and a tuple are known to be the same by.
type Key = (String, Protocol, Option<u16>, Option<u16>);

/// The VPC's rejections that the paths have told.
#[derive(Default)]
pub(super) struct Rejected(BTreeSet<Key>);

impl Rejected {
    /// What the logs say beside the paths, once all of these are told.
    pub(super) fn findings(self, ctx: Context<'_>, book: &mut Book, found: &mut Vec<Finding>) {
        beside(ctx, &self.0, book, found);
        gaps(ctx, book, found);
    }

    /// A conversation that was captured somewhere and ends at an ENI.
    pub(super) fn on_path(&mut self, ctx: Context<'_>, path: &Path, found: &mut Vec<Finding>) {
        for d in &path.directions {
            for h in &d.hops {
                let Some(Logged::Rejected { eni, is_by_acl, ev }) = &h.logged else { continue };
                let Some(leg) = path.legs.get(h.leg) else { continue };
                let t = if d.way == Way::Request { leg.tuple } else { leg.tuple.reversed() };
                self.0.insert((eni.clone(), t.protocol, Some(t.src_port), Some(t.dst_port)));
                let info = ctx.inv.enis.get(eni);
                let reason = ctx.inv.flow_logs.get(eni).into_iter().flatten().find_map(|(r, _)| {
                    let same = !r.is_accepted && (r.src_port, r.dst_port, r.protocol) == (Some(t.src_port), Some(t.dst_port), t.protocol);
                    r.reject_reason.clone().filter(|_| same)
                });
                let at = info.map_or_else(|| eni.clone(), |e| place(ctx, e));
                let summary = format!("the VPC rejects {} at {at}: {}", ends(ctx, t), why(*is_by_acl, reason.as_deref()));
                let mut about = vec![h.owner.clone(), ctx.inv.entity_of_ip(t.src), ctx.inv.entity_of_ip(t.dst)];
                about.extend(h.interface.clone());
                let mut ev = ev.clone();
                ev.extend(d.hops.iter().filter(|h| h.observed()).filter_map(|h| h.ev.first()).copied().take(4));
                found.push(Finding {
                    kind: "flow_rejected",
                    severity: Severity::Error,
                    about,
                    summary,
                    next_step: Some(step(eni, info.and_then(|e| e.subnet.as_deref()))),
                    p: weight::SAID,
                    ev,
                });
            }
        }
    }
}

fn place(ctx: Context<'_>, eni: &EniInfo) -> String {
    if ctx.inv.nodes.contains_key(&eni.owner) {
        format!("{} ({} {})", eni.id, short(&eni.owner), ctx.inv.eni_name(eni))
    } else if eni.owner.starts_with("if:") || eni.owner.is_empty() {
        eni.id.clone()
    } else {
        format!("{} ({})", eni.id, short(&eni.owner))
    }
}

fn step(eni: &str, subnet: Option<&str>) -> String {
    // A log may call its interface anything; a person copies this into a shell.
    let known = |id: Option<&str>, kind: &str, unknown: &str| id.filter(|i| i.starts_with(kind)).map_or(unknown.to_owned(), shell_word);
    let (eni, subnet) = (known(Some(eni), "eni-", "ENI"), known(subnet, "subnet-", "SUBNET"));
    format!(
        "aws ec2 describe-network-interfaces --network-interface-ids {eni} --query 'NetworkInterfaces[].Groups'; aws ec2 describe-security-groups; aws ec2 describe-network-acls --filters Name=association.subnet-id,Values={subnet}"
    )
}

fn why(is_by_acl: bool, reason: Option<&str>) -> String {
    match reason {
        Some("BPA") => "VPC Block Public Access forbids it".to_owned(),
        Some("EC") => "VPC Encryption Control forbids it".to_owned(),
        _ if is_by_acl => {
            "its subnet's network ACL forbids it: the other way of the same connection was accepted, and a security group lets replies pass"
                .to_owned()
        }
        _ => "a security group or a network ACL forbids it, and the log does not say which".to_owned(),
    }
}

/// Rejections that no capture shows: between known addresses each one, from outside as a number (whoever has a public address is scanned).
fn beside(ctx: Context<'_>, told: &BTreeSet<Key>, book: &mut Book, found: &mut Vec<Finding>) {
    /// The ENI, and of a connection what does not change when it is tried again.
    type Alike<'a> = (&'a str, IpAddr, IpAddr, Protocol, Option<u16>);
    let mut inside: BTreeMap<Alike<'_>, Vec<&(FlowLog, Place)>> = BTreeMap::new();
    let mut outside: BTreeMap<&str, Vec<&(FlowLog, Place)>> = BTreeMap::new();
    for (eni, records) in &ctx.inv.flow_logs {
        for x in records.iter().filter(|(r, _)| !r.is_accepted) {
            let r = &x.0;
            if told.contains(&(eni.clone(), r.protocol, r.src_port, r.dst_port)) {
                continue;
            }
            let (src, dst) = (r.packet_src.unwrap_or(r.src), r.packet_dst.unwrap_or(r.dst));
            let is_known = |ip: IpAddr| ctx.inv.owner_of_ip(ip).is_some() || is_private(ip);
            if is_known(src) && is_known(dst) {
                inside.entry((eni, src, dst, r.protocol, r.dst_port)).or_default().push(x);
            } else {
                outside.entry(eni).or_default().push(x);
            }
        }
    }
    let enter = |book: &mut Book, list: &[&(FlowLog, Place)]| -> Vec<Ev> {
        list.iter().take(NAMED).map(|(r, at)| book.add("flow_log", statement(r), vec![at.clone()])).collect()
    };
    let packets = |list: &[&(FlowLog, Place)]| list.iter().fold(0_u64, |sum, (r, _)| sum.saturating_add(r.packets));
    let mut most: Vec<_> = inside.into_iter().map(|(k, list)| (std::cmp::Reverse(packets(&list)), k, list)).collect();
    order::sort_by(&mut most, |a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    let (named, rest) = most.split_at(most.len().min(TOLD));
    for (count, (eni, src, dst, protocol, dst_port), list) in named {
        let info = ctx.inv.enis.get(*eni);
        let t = Tuple { protocol: *protocol, src: *src, src_port: 0, dst: *dst, dst_port: dst_port.unwrap_or(0) };
        let ev = enter(book, list);
        let reason = list.iter().find_map(|(r, _)| r.reject_reason.as_deref());
        let at = info.map_or_else(|| (*eni).to_owned(), |e| place(ctx, e));
        let packets = if count.0 == 1 { "1 packet".to_owned() } else { format!("{} packets", count.0) };
        let summary = format!("the VPC rejected {packets} of {} at {at}, none of which was captured: {}", ends(ctx, t), why(false, reason));
        let mut about = vec![ctx.inv.entity_of_ip(*src), ctx.inv.entity_of_ip(*dst)];
        about.extend(info.map(|e| e.owner.clone()));
        found.push(Finding {
            kind: "flow_rejected",
            severity: Severity::Warning,
            about,
            summary,
            next_step: Some(step(eni, info.and_then(|e| e.subnet.as_deref()))),
            p: weight::REJECTED_UNSEEN,
            ev,
        });
    }
    if !rest.is_empty() {
        let ev = rest.iter().take(NAMED).flat_map(|(_, _, list)| enter(book, list).into_iter().take(1)).collect();
        let summary = format!("the VPC rejected {} more kinds of flow between known addresses", rest.len());
        found.push(Finding {
            kind: "flow_rejected",
            severity: Severity::Info,
            about: Vec::new(),
            summary,
            next_step: None,
            p: weight::REJECTED_UNSEEN,
            ev,
        });
    }
    for (eni, list) in outside {
        let info = ctx.inv.enis.get(eni);
        let at = info.map_or_else(|| eni.to_owned(), |e| place(ctx, e));
        let ports: BTreeSet<u16> = order::set(list.iter().filter_map(|(r, _)| r.dst_port));
        let shown: Vec<String> = ports.iter().take(8).map(ToString::to_string).collect();
        let ports = if ports.len() > shown.len() {
            format!("{} and {} more", shown.join(", "), ports.len() - shown.len())
        } else {
            shown.join(", ")
        };
        let summary = format!(
            "the VPC rejected {} packets between {at} and addresses outside, none of which was captured (destination ports {ports})",
            packets(&list)
        );
        let ev = enter(book, &list);
        let about = info.map(|e| e.owner.clone()).into_iter().collect();
        found.push(Finding {
            kind: "flow_rejected",
            severity: Severity::Info,
            about,
            summary,
            next_step: None,
            p: weight::REJECTED_UNSEEN,
            ev,
        });
    }
}

fn gaps(ctx: Context<'_>, book: &mut Book, found: &mut Vec<Finding>) {
    let mut by_eni: BTreeMap<&str, Vec<&Place>> = BTreeMap::new();
    for (gap, at) in &ctx.inv.flow_log_gaps {
        by_eni.entry(&gap.eni).or_default().push(at);
    }
    for (eni, places) in by_eni {
        let times = places.len();
        let ev = book.add("flow_log", format!("the flow log of {eni} has SKIPDATA"), places.into_iter().take(NAMED).cloned().collect());
        let summary =
            format!("AWS skipped records of {eni} {times} times: what its flow log does not have may have been there all the same");
        let about = ctx.inv.enis.get(eni).map(|e| e.owner.clone()).into_iter().collect();
        found.push(Finding { kind: "flow_log_gap", severity: Severity::Info, about, summary, next_step: None, p: 1.0, ev: vec![ev] });
    }
}

#[cfg(test)]
mod tests {
    use super::step;

    #[test]
    fn what_a_log_calls_its_interface_does_not_act_in_a_command() {
        let text = step("eni-0;$(reboot)'`id`", Some("--endpoint-url=https://example.com"));
        assert!(text.contains("--network-interface-ids 'eni-0;$(reboot)'\\''`id`' --query"), "{text}");
        assert!(text.ends_with("Values=SUBNET"), "{text}");
        assert!(step("eni-0abc", Some("subnet-1")).ends_with("Values=subnet-1"));
    }
}
