//! Findings: what a person should know, each with its severity, evidence and next step.
//! Knows paths, points and inventory; must not change them.

mod addresses;
mod again;
mod alike;
mod captures;
mod clocks;
mod flow_logs;
mod icmp;
mod loss;
mod relayed;
mod translated;

pub use relayed::relayed;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use crate::digest::Tuple;
use crate::evidence::{Book, Ev};
use crate::identify::inventory::{Id, short};
use crate::model::Protocol;
use crate::order;
use crate::report::Severity;
use crate::trace::{Context, Traced};

/// A finding in the making.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The contract's kind.
    pub kind: &'static str,
    /// How bad.
    pub severity: Severity,
    /// Entities.
    pub about: Vec<Id>,
    /// One sentence.
    pub summary: String,
    /// What would settle or mend it.
    pub next_step: Option<String>,
    /// How sure.
    pub p: f64,
    /// Why.
    pub ev: Vec<Ev>,
}

/// A finding, and what it is told of.
#[derive(Clone, Debug)]
pub struct Told {
    /// What is told.
    pub finding: Finding,
    /// Indexes of the paths that it is told of, if it is told of any.
    pub paths: Vec<u32>,
}

impl From<Finding> for Told {
    /// Of no path in particular.
    fn from(finding: Finding) -> Self {
        Self { finding, paths: Vec::new() }
    }
}

/// Everything that is worth saying.
pub fn diagnose(ctx: Context<'_>, traced: &Traced, book: &mut Book) -> Vec<Told> {
    let Traced { paths, clocks, left_out, .. } = traced;
    let (mut told, mut found) = (Vec::new(), Vec::new());
    let mut rejected = flow_logs::Rejected::default();
    let mut workers = translated::Workers::default();
    let mut alike = alike::Alike::default();
    let veths: BTreeSet<&str> = order::set(ctx.inv.pods.values().map(|p| p.veth.as_str()));
    paths.each(|n, path| {
        translated::translated(ctx, path, &mut found);
        loss::lost(ctx, path, book, &mut |one| alike.add(ctx, n, one));
        loss::answers(ctx, path, &veths, book, &mut |one| alike.add(ctx, n, one));
        again::retransmissions(ctx, path, book, &mut |one| alike.add(ctx, n, one));
        rejected.on_path(ctx, path, &mut found);
        workers.add(ctx, path);
        told.extend(found.drain(..).map(|finding| Told { finding, paths: u32::try_from(n).into_iter().collect() }));
    });
    told.extend(alike.told(ctx, clocks));
    rejected.findings(ctx, book, &mut found);
    workers.findings(ctx, &mut found);
    told.extend(icmp::errors(ctx, paths, book));
    addresses::unanswered(ctx, book, &mut found);
    addresses::claimed_twice(ctx, book, &mut found);
    addresses::unresolved(ctx, paths, book, &mut found);
    clocks::steps(ctx, clocks, book, &mut found);
    clocks::skew(ctx, clocks, book, &mut found);
    addresses::routers(ctx, &mut found);
    addresses::stale(ctx, book, &mut found);
    captures::sampled(ctx, book, &mut found);
    captures::filtered(ctx, left_out, book, &mut found);
    told.extend(found.into_iter().map(Told::from));
    merge_alike(told)
}

/// The same thing said of many conversations is one finding. There may be one for each of a million: none is copied.
fn merge_alike(mut told: Vec<Told>) -> Vec<Told> {
    for Told { finding: f, .. } in &mut told {
        order::sort(&mut f.about);
        f.about.dedup();
    }
    order::sort_by(&mut told, |Told { finding: a, .. }, Told { finding: b, .. }| {
        let of = |f: &Finding| (std::cmp::Reverse(f.severity), f.kind);
        of(a).cmp(&of(b)).then_with(|| (&a.about, &a.summary).cmp(&(&b.about, &b.summary)))
    });
    let mut times = vec![1_usize];
    told.dedup_by(|next, known| {
        let (a, b) = (&mut next.finding, &mut known.finding);
        if (a.severity, a.kind) != (b.severity, b.kind) || a.about != b.about || a.summary != b.summary {
            times.push(1);
            return false;
        }
        if let Some(times) = times.last_mut() {
            *times += 1;
        }
        b.p = b.p.max(a.p);
        add_some(&mut b.ev, std::mem::take(&mut a.ev));
        known.paths.append(&mut next.paths);
        true
    });
    for (f, times) in told.iter_mut().map(|t| &mut t.finding).zip(times).filter(|(_, times)| *times > 1) {
        f.summary = format!("{}, in {times} conversations", f.summary);
    }
    told.shrink_to_fit();
    told
}

/// What is not there yet, as long as there are few.
fn add_some<T: PartialEq>(to: &mut Vec<T>, from: Vec<T>) {
    for x in from {
        if to.len() < 24 && !to.contains(&x) {
            to.push(x);
        }
    }
}

/// Address, or address and port, as people write them.
#[must_use]
pub fn address(ip: IpAddr, port: u16, protocol: Protocol) -> String {
    match (ip, protocol) {
        (_, Protocol::Icmp | Protocol::Icmpv6 | Protocol::Other(_)) => ip.to_string(),
        (_, _) if port == 0 => ip.to_string(),
        _ => SocketAddr::new(ip, port).to_string(),
    }
}

/// An entity with its address, or the address alone where it is all that is known.
fn named(id: &Id, ip: IpAddr, at: &str) -> String {
    if id.ends_with(&ip.to_string()) { at.to_owned() } else { format!("{} ({at})", short(id)) }
}

fn ends(ctx: Context<'_>, t: Tuple) -> String {
    let name = |ip, port| named(&ctx.inv.entity_of_ip(ip), ip, &address(ip, port, t.protocol));
    format!("{} → {}", name(t.src, t.src_port), name(t.dst, t.dst_port))
}
