//! The selected path: what it is, its picture, and the table that says the same in words.

use std::sync::Arc;

use hopscope::report::{DirectionPath, Hop, Rewrite, Side, Verdict, Way};
use hopscope::views::words;
use leptos::html::{button, div, h1, p, span, td, tr};
use leptos::prelude::*;

use super::state::{App, Focus};
use super::viewport::Move;
use super::{lists, map, pairs, picture, ui};
use crate::protocol::{Detail, HopLabel};

/// What the path is, and its picture: across the page, since its names must be read. Or the map of all of them.
pub fn path(app: App) -> AnyView {
    let content = move || match app.detail.get() {
        _ if app.is_map.get() => map::map(app),
        Some(detail) => one(app, &detail),
        None => empty(app),
    };
    div().class("path").child(content).into_any()
}

/// The tables: hop by hop in words, both ways.
pub fn hops(app: App) -> AnyView {
    let tables = move || {
        if app.is_map.get() {
            return Some(pairs::pairs(app));
        }
        let detail = app.detail.get()?;
        Some(detail.directions.iter().enumerate().map(|(i, direction)| table_of(app, &detail, i, direction)).collect_view().into_any())
    };
    div().class("tables").child(tables).into_any()
}

fn empty(app: App) -> AnyView {
    let text = move || {
        let (captures, conversations) = app.overview.with(|o| (o.points.len(), o.conversations));
        if app.is_reading() || app.is_analysing.get() {
            "Reading…"
        } else if captures == 0 {
            "No capture yet: add the captures (pcap, pcapng, tcpdump -w) of the interfaces that the packet crossed."
        } else if conversations == 0 {
            "The captures hold no conversation that could be followed."
        } else {
            "Select a conversation."
        }
    };
    p().class("empty").child(text).into_any()
}

fn one(app: App, detail: &Arc<Detail>) -> AnyView {
    let c = detail.conversation.clone();
    let head = (
        h1().child((
            span().class("protocol").child(c.protocol.to_uppercase()),
            span().child(c.client),
            span().class("arrow").child(" → "),
            span().child(c.server),
        )),
        p().class("sub").child(format!(
            "{} · {}{}",
            ui::plural(c.packets, "packet"),
            ui::size(c.bytes),
            c.via.map_or(String::new(), |via| format!(" · dialled as {via}"))
        )),
    );
    let outcomes = detail.directions.iter().zip(&detail.outcomes).enumerate().map(|(i, (d, text))| outcome(app, i, d, text)).collect_view();
    let is_answered = detail.directions.iter().any(|d| d.direction == Way::Reply);
    let unanswered = (!is_answered).then(|| div().class("outcome").child((span().class("line reply"), "no reply was captured")));
    let relays = detail.relays.iter().cloned().enumerate().map(|(i, relay)| {
        let words = match relay.side {
            Side::Behind => "continued through",
            Side::Front => "the continuation, through",
        };
        p().class("sub relay").attr("data-testid", "relay").child((
            words,
            lists::entity_chip(app, relay.through),
            match relay.side {
                Side::Behind => "by",
                Side::Front => "of",
            },
            lists::about(app, relay.other),
            span().class("sure").child(ui::percent(relay.confidence)),
            button().attr("type", "button").class("quiet link").on(leptos::ev::click, move |_| app.look_at(Focus::Relay(i))).child("why"),
        ))
    });
    let relays = relays.collect_view();
    let labels = Arc::clone(detail);
    let drawing = move || match app.picture.get() {
        Some(Ok(picture)) => picture::picture(app, &labels, &picture),
        Some(Err(why)) => p().class("message").child(why).into_any(),
        None => div().class("picture").child(div().class("picture-view")).into_any(),
    };
    (
        div().class("path-head").child((
            head,
            div().class("outcomes").attr("data-testid", "outcomes").child((outcomes, unanswered)),
            relays,
        )),
        drawing,
    )
        .into_any()
}

/// What became of one direction's packets. A hop that they came to last leads to its evidence.
fn outcome(app: App, index: usize, direction: &DirectionPath, text: &str) -> AnyView {
    let word = words::verdict_word(direction.verdict);
    let rest = text.strip_prefix(word).unwrap_or(text).trim_start_matches(':').trim_start().to_owned();
    let (line, name) = if direction.direction == Way::Request { ("line request", "request") } else { ("line reply", "reply") };
    let last = direction.lost_after.map(|hop| {
        let focus = Focus::Hop(index, hop as usize);
        button().attr("type", "button").class("quiet link").on(leptos::ev::click, move |_| app.look_at(focus.clone())).child("why")
    });
    div().class("outcome").child((span().class(line), name, ui::badge(word, word), span().child(rest), last)).into_any()
}

/// One direction as a table: the whole of what the picture shows.
fn table_of(app: App, detail: &Arc<Detail>, index: usize, direction: &DirectionPath) -> AnyView {
    let title = match direction.direction {
        Way::Request => "Request: client to server",
        Way::Reply => "Reply: server to client",
    };
    let verdict = words::verdict_word(direction.verdict);
    let labels = detail.labels.get(index).cloned().unwrap_or_default();
    let rows = direction
        .all_hops()
        .enumerate()
        .map(|(i, hop)| {
            let HopLabel { owner, interface, .. } = labels.get(i).cloned().unwrap_or_default();
            let end = (direction.lost_after == u32::try_from(i).ok()).then_some(direction.verdict);
            let seen = seen(hop, i >= direction.hops.len());
            hop_row(app, Focus::Hop(index, i), hop, (&owner, interface.as_deref()), seen, end)
        })
        .collect();
    let heads = [
        ("#", "The hop's number; click for its evidence"),
        ("Where", "Whose it is, and the interface"),
        ("MACs", "Source above, destination below"),
        ("Addresses", "Source above, destination below"),
        ("TTL", "Time to live, as seen here"),
        ("Changed", "What is different from the hop before: MACs, TTL, translated source (SNAT) or destination (DNAT), tunnels"),
        ("Seen", "Packets captured here, and those seen before that never came"),
        ("Delay", "Median time since the last captured hop, clocks corrected"),
        ("Conf.", "How sure this hop is"),
    ];
    let head = (span().class("direction-title").child(title), ui::badge(verdict, verdict)).into_any();
    let name = if direction.direction == Way::Request { "request" } else { "reply" };
    ui::titled_table("direction", Some(name), head, &heads, rows)
}

/// What is said at the last hop that packets came to.
fn turned(verdict: Verdict) -> &'static str {
    if verdict == Verdict::Rejected { "refused after this" } else { "lost after this" }
}

/// How many packets were seen at a hop; at one beyond a loss, whether anything ran there to see them.
fn seen(hop: &Hop, is_beyond: bool) -> String {
    let missing = match hop.missing_range {
        Some([low, high]) if low < high => format!(", {} to {} missing", ui::count(low), ui::count(high)),
        _ if hop.missing > 0 => format!(", {} missing", ui::count(hop.missing)),
        _ => String::new(),
    };
    match words::uncounted(hop, is_beyond) {
        _ if hop.observed => ui::count(hop.seen) + &missing,
        word if is_beyond => word.to_owned() + &missing,
        word => word.to_owned(),
    }
}

fn hop_row(app: App, look: Focus, hop: &Hop, (owner, interface): (&str, Option<&str>), seen: String, end: Option<Verdict>) -> AnyView {
    let Focus::Hop(_, index) = look else { return ().into_any() };
    let is_focus = look.clone();
    let socket = |ip: &Option<String>, port: Option<u16>| match (ip, port) {
        (Some(ip), Some(port)) => format!("{ip}:{port}"),
        (Some(ip), None) => ip.clone(),
        _ => "?".to_owned(),
    };
    let mut changed: Vec<String> = hop.rewrites.iter().map(|r| rewrite_word(*r).to_owned()).collect();
    for e in &hop.encapsulation {
        changed.push(format!("in {}{}", e.kind, e.vni.map_or(String::new(), |v| format!(" {v}"))));
    }
    let spread = hop.delay_range_ns.map(|[low, high]| format!("an estimate: {} to {}", ui::duration(low), ui::duration(high)));
    let cell = |name: &'static str, class: &'static str| td().class(class).attr("data-label", name);
    let mac = |m: &Option<String>| m.clone().unwrap_or_else(|| "?".to_owned());
    let entity = hop.interface.clone().unwrap_or_else(|| hop.owner.clone());
    tr().class(if hop.observed { "hop" } else { "hop inferred" })
        .class(("lost", end.is_some()))
        .attr("data-testid", "hop")
        .attr("data-observed", if hop.observed { "true" } else { "false" })
        .attr("data-owner", hop.owner.clone())
        .attr("aria-current", move || if app.focus.with(|f| *f == is_focus) { "true" } else { "false" })
        .on(leptos::ev::click, move |_| app.look_at(look.clone()))
        .child((
            td().child(
                button()
                    .attr("type", "button")
                    .class("quiet")
                    .attr("aria-label", format!("Evidence of hop {}", index + 1))
                    .attr("data-testid", "hop-evidence")
                    .child((index + 1).to_string()),
            ),
            td().class("where").child((
                div().class("owner").attr("title", owner.to_owned()).child(owner.to_owned()),
                interface.map(|name| div().class("interface").attr("data-entity", entity).child(name.to_owned())),
            )),
            cell("MACs", "mono").child(pair(mac(&hop.src_mac), mac(&hop.dst_mac))),
            cell("Addresses", "mono").child(pair(socket(&hop.src_ip, hop.src_port), socket(&hop.dst_ip, hop.dst_port))),
            cell("TTL", "number").child(hop.ttl.map_or(String::new(), |t| t.to_string())),
            cell("Changed", "").child(changed.join(", ")),
            cell("Seen", "").child((seen, end.map(|verdict| (" ", ui::badge(words::verdict_word(verdict), turned(verdict)))))),
            cell("Delay", "number").attr("title", spread).child(hop.delay_ns.map_or(String::new(), ui::duration)),
            cell("Conf.", "number").child(ui::percent(hop.confidence)),
        ))
        .into_any()
}

fn pair(from: String, to: String) -> impl IntoView {
    (div().child(from), div().child(to))
}

/// A rewrite for a person.
pub fn rewrite_word(rewrite: Rewrite) -> &'static str {
    match rewrite {
        Rewrite::Mac => "MACs",
        Rewrite::Ttl => "TTL",
        Rewrite::Snat => "SNAT",
        Rewrite::Dnat => "DNAT",
        Rewrite::Encap => "encapsulated",
        Rewrite::Decap => "decapsulated",
    }
}

/// Keys that move the picture.
pub fn key(app: App, key: &str) {
    let how = match key {
        "+" | "=" => Move::In,
        "-" => Move::Out,
        "0" => Move::Fit,
        "ArrowLeft" => Move::Left,
        "ArrowRight" => Move::Right,
        "ArrowUp" => Move::Up,
        "ArrowDown" => Move::Down,
        _ => return,
    };
    app.moves.update(|(count, last)| (*count, *last) = (count.wrapping_add(1), Some(how)));
}
