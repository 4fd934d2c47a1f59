//! Who talks to whom: a table below the map, that says at a glance between whom it fails, and leads to the conversations.
//! Knows what a row looks like; must not count anything.

use leptos::html::{button, div, p, section, span, table, tbody, td, th, thead, tr};
use leptos::prelude::*;

use super::state::App;
use super::ui;
use crate::protocol::PairRow;

/// The table, the most troubled first.
pub fn pairs(app: App) -> AnyView {
    let content = move || {
        let (rows, total) = app.pairs.get();
        if rows.is_empty() {
            return ().into_any();
        }
        let heads = [
            ("Client", "Who opened the conversations", ""),
            ("Server", "What they ended at; below, what the client dialled", ""),
            ("Conversations", "How many there are", "number"),
            ("Lost", "Lost on the way, in either direction", "number"),
            ("Rejected", "Refused by someone", "number"),
            ("Unknown", "The captures do not show what became of them", "number"),
            ("Delivered", "Arrived, both ways", "number"),
            ("Packets", "Of all of them", "number"),
        ];
        let heads = heads.map(|(h, title, class)| th().attr("scope", "col").attr("title", title).class(class).child(h)).collect_view();
        let more = (rows.len() < total as usize).then(|| {
            let text = format!("The {} with most trouble of {}.", ui::plural(rows.len() as u64, "pair"), ui::count(u64::from(total)));
            p().class("sub more").child(text)
        });
        let rows = rows.iter().map(|pair| row(app, pair)).collect_view();
        section()
            .class("direction")
            .attr("data-testid", "pairs")
            .child((
                div().class("direction-head").child(span().child("Who talks to whom")),
                div().class("table-wrap").child(table().class("hops").child((thead().child(tr().child(heads)), tbody().child(rows)))),
                more,
            ))
            .into_any()
    };
    div().child(content).into_any()
}

fn row(app: App, pair: &PairRow) -> AnyView {
    let PairRow { protocol, client, server, via, conversations, lost, rejected, unknown, delivered, packets, filter } = pair.clone();
    let number = |name: &'static str, n: u64, class: &'static str| {
        let text = if n == 0 && name != "Conversations" { String::new() } else { ui::count(n) };
        td().class("number").attr("data-label", name).child((!text.is_empty()).then(|| span().class(class).child(text)))
    };
    let is_trouble = lost + rejected > 0;
    let label = format!("List the conversations of {client} with {server}");
    tr().class("hop")
        .attr("data-testid", "pair")
        .attr("data-lost", lost.to_string())
        .on(leptos::ev::click, move |_| {
            app.list.update(|l| {
                l.filter.clone_from(&filter);
                l.through = None;
            });
        })
        .child((
            td().child((
                span().class("protocol").child(protocol.to_uppercase()),
                button().attr("type", "button").class("quiet link").attr("aria-label", label).child(client),
            )),
            td().class("where")
                .child((div().class("owner").child(server), via.map(|via| div().class("interface").child(format!("dialled as {via}"))))),
            number("Conversations", conversations, ""),
            number("Lost", lost, "badge lost"),
            number("Rejected", rejected, "badge rejected"),
            number("Unknown", unknown, ""),
            number("Delivered", delivered, if is_trouble { "" } else { "badge delivered" }),
            number("Packets", packets, ""),
        ))
        .into_any()
}
