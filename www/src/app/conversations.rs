//! The list of conversations: filter, order, selection. The analyst holds them; here are only the rows around those in sight.

use std::sync::Arc;

use hopscope::views::words;
use leptos::html::{button, div, input, option, p, select, span};
use leptos::prelude::*;
use leptos::task::spawn_local;
use web_sys::{KeyboardEvent, WheelEvent};

use super::scroll::Scroll;
use super::state::App;
use super::{scroll, ui};
use crate::protocol::{Answer, Conversation, Order, Question};

/// Height of a row in pixels; the style sheet says the same.
const ROW: f64 = 80.0;
/// Rows are asked for in steps of so many, with as many before and after: scrolling finds them there.
const STEP: u32 = 50;

const ORDERS: [(&str, &str, Order); 5] = [
    ("trouble", "trouble first", Order::Trouble),
    ("report", "in order", Order::Report),
    ("packets", "by packets", Order::Packets),
    ("client", "by client", Order::Client),
    ("server", "by server", Order::Server),
];

/// The rows that are at hand.
#[derive(Clone, Debug, Default, PartialEq)]
struct Rows {
    /// All rows that fit the filter.
    total: u32,
    first: u32,
    rows: Vec<Arc<Conversation>>,
}

/// The list with its filter.
pub fn conversations(app: App) -> AnyView {
    let rows = RwSignal::new(Rows::default());
    let scroll = RwSignal::new(Scroll::default());
    let list = NodeRef::<leptos::html::Div>::new();
    let all = move || f64::from(rows.with_untracked(|r| r.total)) * ROW;
    let scrolled = move || {
        let Some(element) = list.get_untracked() else { return };
        let (at, height) = (f64::from(element.scroll_top().max(0)), f64::from(element.client_height()).max(ROW));
        let next = scroll.get_untracked().scrolled(at, height, all());
        if next != scroll.get_untracked() {
            scroll.set(next);
        }
    };
    let go_to = move |target: f64| {
        let Some(element) = list.get_untracked() else { return };
        let next = scroll.get_untracked().at(target, all());
        scroll.set(next);
        element.set_scroll_top(next.element as i32);
    };
    let wheel = move |event: WheelEvent| {
        let s = scroll.get_untracked();
        // By its own measure the element would move by many rows at a notch.
        if s.proportion(all()) > 1.0 && !event.ctrl_key() {
            event.prevent_default();
            let pixels = event.delta_y() * if event.delta_mode() == 1 { 20.0 } else { 1.0 };
            go_to(s.rows + pixels);
        }
    };

    // Which step of rows is in sight: scrolling within it asks for nothing.
    let step = Memo::new(move |_| (scroll.get().rows / ROW) as u32 / STEP);
    let asked = StoredValue::new(0_u32);
    Effect::new(move |_| {
        app.overview.track();
        let wanted = app.list.get();
        let first = step.get().saturating_sub(1) * STEP;
        let count = (scroll.get_untracked().height / ROW) as u32 + 3 * STEP;
        let mine = asked.try_update_value(|n| {
            *n = n.wrapping_add(1);
            *n
        });
        spawn_local(async move {
            let answer = app.ask(Question::Rows { list: wanted, first, count }, None).await;
            if let Ok(Answer::Rows { total, first, rows: some }) = answer
                && mine == asked.try_get_value()
            {
                let some = Rows { total, first, rows: some.into_iter().map(Arc::new).collect() };
                if rows.with_untracked(|r| *r != some) {
                    rows.set(some);
                }
                scrolled();
            }
        });
    });
    Effect::new(move |_| {
        let Some(position) = app.in_sight.get() else { return };
        app.in_sight.set(None);
        let (top, s) = (f64::from(position) * ROW, scroll.get_untracked());
        if top < s.rows {
            go_to(top);
        } else if top + ROW > s.rows + s.height {
            go_to(top + ROW - s.height);
        }
    });
    Effect::new(move |_| {
        if list.get().is_some() {
            request_animation_frame(scrolled);
        }
    });
    let on_resize = window_event_listener(leptos::ev::resize, move |_| scrolled());
    on_cleanup(move || on_resize.remove());

    // Which rows are drawn, and from where: changes only when a row comes into sight.
    let drawn = Memo::new(move |_| scroll.get().drawn(ROW));
    let shown = move || {
        let (from, count) = drawn.get();
        rows.with(|r| {
            let some = r.rows.iter().zip(r.first..).filter(|(_, i)| (from..from.saturating_add(count)).contains(i));
            some.map(|(c, i)| row(app, i, i.saturating_sub(from), c)).collect_view()
        })
    };
    let height = move || format!("{}px", scroll::tall(f64::from(rows.with(|r| r.total)) * ROW));
    // Rows stand where the first of those drawn does, and that within the element as far as it has been scrolled.
    let shift = move || format!("translateY({}px)", scroll.get().shift(drawn.get().0, ROW));
    let counted = move || {
        let (all, some) = (app.overview.with(|o| o.conversations), rows.with(|r| r.total));
        if all == some || app.list.with(|l| l.filter.trim().is_empty() && l.through.is_none()) {
            ui::plural(u64::from(all), "conversation")
        } else {
            format!("{} of {}", ui::count(u64::from(some)), ui::plural(u64::from(all), "conversation"))
        }
    };
    let order = move |event| {
        let chosen = event_target_value(&event);
        let order = ORDERS.iter().find(|(value, _, _)| *value == chosen).map(|o| o.2).unwrap_or_default();
        app.list.update(|l| l.order = order);
        go_to(0.0);
    };
    let orders = select()
        .attr("aria-label", "Order")
        .attr("data-testid", "order")
        .on(leptos::ev::change, order)
        .child(ORDERS.map(|(value, text, _)| option().attr("value", value).child(text)).collect_view());
    let on_key = move |event: KeyboardEvent| match event.key().as_str() {
        "ArrowDown" => {
            event.prevent_default();
            event.stop_propagation();
            app.step(1);
        }
        "ArrowUp" => {
            event.prevent_default();
            event.stop_propagation();
            app.step(-1);
        }
        _ => {}
    };
    let nothing = move || {
        let is_none = rows.with(|r| r.total == 0) && app.overview.with(|o| o.conversations > 0);
        is_none.then(|| p().class("empty padded").child("No conversation fits."))
    };
    let map = button()
        .attr("type", "button")
        .attr("title", "All conversations as one map (m)")
        .attr("data-testid", "map-button")
        .attr("aria-pressed", move || if app.is_map.get() { "true" } else { "false" })
        .on(leptos::ev::click, move |_| app.is_map.update(|is| *is = !*is))
        .child("Map");
    let through = move || {
        let name = app.list.with(|l| l.through.clone())?;
        let clear = ui::push("✕", "List all conversations again", "through-clear", move || app.list.update(|l| l.through = None));
        let label = format!("through {} {}", words::kind(name.kind), name.label);
        Some(div().class("through").attr("data-testid", "through").child((span().child(label), clear)))
    };
    div()
        .class("conversations")
        .on(leptos::ev::keydown, on_key)
        .child((
            div().class("filter-line").child((
                input()
                    .attr("type", "search")
                    .attr("placeholder", "Filter: name, address, port, lost …   /")
                    .attr("title", "Words that must all be found: a name, an address, a port, tcp, lost …")
                    .attr("aria-label", "Filter conversations")
                    .attr("data-testid", "filter")
                    .prop("value", move || app.list.with(|l| l.filter.clone()))
                    .on(leptos::ev::input, move |event| {
                        let filter = event_target_value(&event);
                        app.list.update(|l| l.filter = filter);
                        go_to(0.0);
                    }),
                map,
            )),
            div().class("count-line").child((p().class("heading").attr("data-testid", "conversation-count").child(counted), orders)),
            through,
            nothing,
            div()
                .node_ref(list)
                .class("list")
                .attr("role", "listbox")
                .attr("aria-label", "Conversations")
                .attr("data-testid", "list")
                .attr("tabindex", "0")
                .on(leptos::ev::scroll, move |_| scrolled())
                .on(leptos::ev::wheel, wheel)
                .child(
                    div()
                        .class("list-inner")
                        .style(("height", height))
                        .child(div().class("list-rows").style(("transform", shift)).child(shown)),
                ),
        ))
        .into_any()
}

fn row(app: App, position: u32, place: u32, c: &Arc<Conversation>) -> AnyView {
    let (is_selected, select) = (Arc::clone(c), Arc::clone(c));
    let verdict = words::verdict_word(c.verdict);
    let via = c.via.as_ref().map(|via| span().class("via").child(format!("via {via}")));
    button()
        .attr("type", "button")
        .class("conversation")
        .attr("role", "option")
        .attr("tabindex", "-1")
        .attr("data-testid", "conversation")
        .attr("data-path", c.id.clone())
        .attr("data-position", position.to_string())
        .attr("aria-selected", move || if app.selected.with(|s| s.as_ref() == Some(&is_selected.key)) { "true" } else { "false" })
        .style(("top", format!("{}px", f64::from(place) * ROW)))
        .on(leptos::ev::click, move |_| app.select(&select.key))
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
