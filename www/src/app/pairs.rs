//! Who talks to whom: a table below the map, that says at a glance between whom it fails, and leads to the conversations.
//! Knows what a row looks like; must not count anything.

use leptos::html::{button, div, span, td, tr};
use leptos::prelude::*;

use super::state::App;
use super::ui;
use crate::protocol::PairRow;

/// The columns; the last six are [`PairRow::counts`].
const HEADS: [(&str, &str); 8] = [
    ("Client", "Who opened the conversations; click for these"),
    ("Server", "What they ended at; below, what the client dialled"),
    ("Conversations", "How many there are"),
    ("Lost", "Lost on the way, in either direction"),
    ("Rejected", "Refused by someone"),
    ("Unknown", "The captures do not show what became of them"),
    ("Delivered", "Arrived, both ways"),
    ("Packets", "Of all of them"),
];

/// The table, the most troubled first.
pub fn pairs(app: App) -> AnyView {
    let content = move || {
        let (rows, total) = app.pairs.get();
        if rows.is_empty() {
            return ().into_any();
        }
        let title = if rows.len() < total as usize {
            format!("Who talks to whom: the {} pairs with most trouble of {}", rows.len(), ui::count(u64::from(total)))
        } else {
            "Who talks to whom".to_owned()
        };
        ui::titled_table("pairs", None, title.into_any(), &HEADS, rows.iter().map(|pair| row(app, pair)).collect())
    };
    content.into_any()
}

fn row(app: App, pair: &PairRow) -> AnyView {
    let PairRow { protocol, client, server, via, counts, filter } = pair.clone();
    let label = format!("List the conversations of {client} with {server}");
    let opener = button().attr("type", "button").class("quiet").attr("aria-label", label).child(client);
    let protocol = span().class("protocol").child(protocol.to_uppercase());
    let via = via.map(|via| div().class("interface").child(format!("dialled as {via}")));
    let numbers = counts.map(|n| (n > 0).then(|| ui::count(n)).into_any());
    let cells = [div().child((protocol, opener)).into_any(), div().child((server, via)).into_any()].into_iter().chain(numbers);
    let cells = HEADS.into_iter().zip(cells).enumerate().map(|(n, ((name, _), content))| {
        let class = match (n, name) {
            (0 | 1, _) => "",
            (_, "Lost" | "Rejected") => "number bad",
            _ => "number",
        };
        td().class(class).attr("data-label", name).child(content)
    });
    let list = move |_| {
        app.list.update(|l| {
            l.filter.clone_from(&filter);
            l.through = None;
        });
    };
    tr().class("hop").attr("data-testid", "pair").on(leptos::ev::click, list).child(cells.collect_view()).into_any()
}
