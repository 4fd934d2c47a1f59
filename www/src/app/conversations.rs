//! The list of conversations: filter, order, selection. Only the rows in sight are in the document.

use std::sync::Arc;

use leptos::html::{button, div, input, option, p, select, span};
use leptos::prelude::*;
use web_sys::KeyboardEvent;

use super::state::App;
use super::ui;
use crate::protocol::Conversation;

/// Height of a row in pixels; the style sheet says the same.
const ROW: usize = 80;
/// Rows beyond the visible ones, so that scrolling shows no gap.
const SPARE: usize = 6;

/// The list with its filter.
pub fn conversations(app: App) -> AnyView {
    let order = RwSignal::new("report".to_owned());
    let shown = Memo::new(move |_| {
        let filter = app.filter.get().to_lowercase();
        let words: Vec<&str> = filter.split_whitespace().collect();
        app.overview.with(|overview| {
            let all = &overview.conversations;
            let mut rows: Vec<usize> =
                all.iter().enumerate().filter(|(_, c)| words.iter().all(|word| c.haystack.contains(word))).map(|(i, _)| i).collect();
            let by = |key: &dyn Fn(&Conversation) -> (u64, String), rows: &mut Vec<usize>| {
                rows.sort_by_cached_key(|i| all.get(*i).map(key));
            };
            match order.get().as_str() {
                "packets" => by(&|c| (u64::MAX - c.packets, String::new()), &mut rows),
                "verdict" => by(&|c| (verdict_rank(c), String::new()), &mut rows),
                "client" => by(&|c| (0, c.client.clone()), &mut rows),
                "server" => by(&|c| (0, c.server.clone()), &mut rows),
                _ => {}
            }
            rows
        })
    });
    let scroll = RwSignal::new(0_usize);
    let height = RwSignal::new(600_usize);
    let list = NodeRef::<leptos::html::Div>::new();
    let measure = move || {
        if let Some(element) = list.get_untracked() {
            scroll.set(element.scroll_top().max(0) as usize);
            height.set(element.client_height().max(ROW as i32) as usize);
        }
    };
    Effect::new(move |_| {
        shown.track();
        measure();
        if let (Some(key), Some(element)) = (app.selected.get(), list.get()) {
            keep_in_sight(app, shown, &key, &element);
        }
    });
    let rows = move || {
        let first = (scroll.get() / ROW).saturating_sub(SPARE);
        let visible = height.get() / ROW + 2 * SPARE + 1;
        let overview = app.overview.get();
        shown.with(|shown| {
            shown
                .iter()
                .enumerate()
                .skip(first)
                .take(visible)
                .filter_map(|(position, index)| Some(row(app, position, overview.conversations.get(*index)?.clone())))
                .collect_view()
        })
    };
    let counted = move || {
        let (all, some) = (app.overview.with(|o| o.conversations.len()), shown.with(Vec::len));
        if all == some {
            ui::plural(all as u64, "conversation")
        } else {
            format!("{} of {}", ui::count(some as u64), ui::plural(all as u64, "conversation"))
        }
    };
    let orders = select().attr("aria-label", "Order").on(leptos::ev::change, move |event| order.set(event_target_value(&event))).child(
        [("report", "in order"), ("verdict", "by verdict"), ("packets", "by packets"), ("client", "by client"), ("server", "by server")]
            .map(|(value, text)| option().attr("value", value).child(text))
            .collect_view(),
    );
    let on_key = move |event: KeyboardEvent| match event.key().as_str() {
        "ArrowDown" => {
            event.prevent_default();
            event.stop_propagation();
            step_in(app, shown, 1);
        }
        "ArrowUp" => {
            event.prevent_default();
            event.stop_propagation();
            step_in(app, shown, -1);
        }
        _ => {}
    };
    div()
        .class("conversations")
        .on(leptos::ev::keydown, on_key)
        .child((
            div().class("filter-line").child((
                input()
                    .attr("type", "search")
                    .attr("placeholder", "Filter: name, address, port, tcp, lost …   /")
                    .attr("aria-label", "Filter conversations")
                    .attr("data-testid", "filter")
                    .prop("value", move || app.filter.get())
                    .on(leptos::ev::input, move |event| app.filter.set(event_target_value(&event))),
                orders,
            )),
            p().class("heading").attr("data-testid", "conversation-count").child(counted),
            div()
                .node_ref(list)
                .class("list")
                .attr("role", "listbox")
                .attr("aria-label", "Conversations")
                .attr("tabindex", "0")
                .on(leptos::ev::scroll, move |_| measure())
                .child(div().class("list-inner").style(("height", move || format!("{}px", shown.with(Vec::len) * ROW))).child(rows)),
        ))
        .into_any()
}

fn verdict_rank(c: &Conversation) -> u64 {
    match ui::verdict_word(c.verdict) {
        "lost" => 0,
        "rejected" => 1,
        "unknown" => 2,
        _ => 3,
    }
}

fn row(app: App, position: usize, c: Conversation) -> AnyView {
    let key: Arc<str> = c.key.as_str().into();
    let (is_selected, select) = (Arc::clone(&key), key);
    let verdict = ui::verdict_word(c.verdict);
    let via = c.via.as_ref().map(|via| span().class("via").child(format!("via {via}")));
    button()
        .attr("type", "button")
        .class("conversation")
        .attr("role", "option")
        .attr("tabindex", "-1")
        .attr("data-testid", "conversation")
        .attr("data-path", c.id.clone())
        .attr("aria-selected", move || if app.selected.with(|s| s.as_deref() == Some(&*is_selected)) { "true" } else { "false" })
        .style(("top", format!("{}px", position * ROW)))
        .on(leptos::ev::click, move |_| app.select(&select))
        .child((
            end("from", &c.client, Some(c.protocol.to_uppercase())),
            end("to", &c.server, None),
            span().class("about").child((
                ui::badge(verdict, verdict),
                span().child(format!("{} · {}", ui::plural(c.packets, "packet"), ui::plural(u64::from(c.hops), "hop"))),
                via,
            )),
        ))
        .into_any()
}

/// One end on its line: the name may be cut short, the port never.
fn end(class: &'static str, text: &str, protocol: Option<String>) -> AnyView {
    let (name, socket) = text.split_once(" (").unwrap_or((text, text));
    let port = socket.trim_end_matches(')').rsplit_once(':').map(|(_, port)| port.to_owned());
    let port = port.filter(|p| p.chars().all(|c| c.is_ascii_digit()) && name != text);
    span()
        .class(format!("end {class}"))
        .attr("title", text.to_owned())
        .child((
            protocol.map(|p| span().class("protocol").child(p)),
            span().class("end-name").child(name.to_owned()),
            port.map(|p| span().class("end-port").child(format!(":{p}"))),
        ))
        .into_any()
}

fn keep_in_sight(app: App, shown: Memo<Vec<usize>>, key: &str, list: &web_sys::HtmlDivElement) {
    let position = app
        .overview
        .with_untracked(|o| shown.with_untracked(|rows| rows.iter().position(|i| o.conversations.get(*i).is_some_and(|c| c.key == key))));
    let Some(position) = position else { return };
    let (top, bottom) = ((position * ROW) as i32, ((position + 1) * ROW) as i32);
    let (from, height) = (list.scroll_top(), list.client_height());
    if top < from {
        list.set_scroll_top(top);
    } else if bottom > from + height {
        list.set_scroll_top(bottom - height);
    }
}

/// Selects the next (or the previous) conversation of the report.
pub fn step(app: App, by: isize) {
    let next = app.overview.with_untracked(|o| {
        let words = app.filter.get_untracked().to_lowercase();
        let rows: Vec<&Conversation> =
            o.conversations.iter().filter(|c| words.split_whitespace().all(|word| c.haystack.contains(word))).collect();
        let now = app.selected.with_untracked(|key| rows.iter().position(|c| Some(&c.key) == key.as_ref()));
        let next = now.map_or(0, |i| i.saturating_add_signed(by));
        rows.get(next).map(|c| c.key.clone())
    });
    if let Some(key) = next {
        app.select(&key);
    }
}

fn step_in(app: App, shown: Memo<Vec<usize>>, by: isize) {
    let next = app.overview.with_untracked(|o| {
        shown.with_untracked(|rows| {
            let now = app.selected.with_untracked(|key| rows.iter().position(|i| o.conversations.get(*i).map(|c| &c.key) == key.as_ref()));
            let next = now.map_or(0, |i| i.saturating_add_signed(by));
            rows.get(next).and_then(|i| o.conversations.get(*i)).map(|c| c.key.clone())
        })
    });
    if let Some(key) = next {
        app.select(&key);
    }
}
