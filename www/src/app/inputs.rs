//! The list of inputs: what each was taken for, how far it is, what is wrong with it.

use hopscope::views::escape::inert;
use leptos::html::{button, details, div, li, p, progress, span, summary, ul};
use leptos::prelude::*;

use super::state::{App, InputRow, InputState, Live};
use super::{shell, ui};

/// The list with its heading and its buttons.
pub fn inputs(app: App) -> AnyView {
    let heading = move || {
        let rows = app.inputs.get();
        let bad = rows.iter().filter(|r| matches!(r.live.get().state, InputState::Rejected | InputState::Partial)).count();
        let reading = rows.iter().filter(|r| r.live.get().state == InputState::Reading).count();
        let mut text = ui::plural(rows.len() as u64, "input");
        if reading > 0 {
            text.push_str(&format!(", {reading} being read"));
        }
        if bad > 0 {
            text.push_str(&format!(", {bad} with problems"));
        }
        text
    };
    // What needs attention comes first; otherwise in the order in which they were added. Progress changes no order, so it
    // must not make the rows anew.
    let order = Memo::new(move |_| {
        let mut order: Vec<_> =
            app.inputs.get().iter().map(|row| (row.live.with(|live| live.state).min(InputState::Reading), row.key)).collect();
        order.sort_by_key(|(state, _)| *state);
        order.into_iter().map(|(_, key)| key).collect::<Vec<_>>()
    });
    let rows = move || {
        let rows = app.inputs.get_untracked();
        order.with(|order| {
            order.iter().filter_map(|key| rows.iter().find(|row| row.key == *key)).cloned().map(|row| input(app, row)).collect_view()
        })
    };
    details()
        .class("inputs")
        .attr("open", true)
        .attr("data-testid", "inputs")
        .child((
            summary().child(span().class("heading").child(heading)),
            div().class("toolbar").child(shell::pickers(app)),
            ul().class("input-list").child(rows),
        ))
        .into_any()
}

fn input(app: App, row: InputRow) -> AnyView {
    let InputRow { key, name, bytes, live } = row;
    let what = move || {
        let Live { state, read, frames, kind, .. } = live.get();
        let mut parts = Vec::new();
        if !kind.is_empty() {
            parts.push(kind_text(&kind));
        }
        if state == InputState::Reading && read > 0 {
            parts.push(format!("{} of {}", ui::size(read), ui::size(bytes)));
        } else if state == InputState::Reading || kind.is_empty() {
            parts.push(ui::size(bytes));
        }
        if frames > 0 && state == InputState::Reading {
            parts.push(ui::plural(frames, "frame"));
        }
        parts.join(" · ")
    };
    let message = move || live.with(|l| l.message.clone()).map(|m| p().class("message").child(inert(&m)));
    let state = Memo::new(move |_| live.with(|l| l.state));
    let bar = move || {
        (state.get() == InputState::Reading).then(|| {
            progress()
                .attr("max", bytes.max(1).to_string())
                .attr("value", move || live.with(|l| l.read).to_string())
                .attr("aria-label", "read so far")
        })
    };
    let members = move || {
        let members = live.with(|l| l.members.clone());
        let bad: Vec<_> = members.into_iter().filter(|(_, state, _)| *state != InputState::Ok).collect();
        (!bad.is_empty()).then(|| {
            ul().class("members").child(
                bad.into_iter()
                    .map(|(name, state, message)| li().child(inert(&format!("{name}: {} {}", state.word(), message.unwrap_or_default()))))
                    .collect_view(),
            )
        })
    };
    let shown = inert(&name);
    let (folder, base) = match shown.rsplit_once('/') {
        Some((folder, base)) => (Some(format!("{folder}/")), base.to_owned()),
        None => (None, shown.clone()),
    };
    let remove_name = shown.clone();
    let title = move || {
        let read = live.with(|l| l.took_ms).map_or(String::new(), |ms| format!(", read in {ms} ms"));
        format!("{shown}, {}{read}", ui::size(bytes))
    };
    let actions = move || {
        let state = state.get();
        let first = match state {
            InputState::Reading => Some(ui::push("Cancel", "Stop reading this input", "cancel", move || app.cancel_input(key))),
            InputState::Ok => None,
            _ => Some(ui::push("Retry", "Read this input again", "retry", move || app.retry_input(key))),
        };
        let remove = button()
            .attr("type", "button")
            .attr("title", "Remove this input from the analysis")
            .attr("aria-label", format!("Remove {remove_name}"))
            .attr("data-testid", "remove")
            .class("quiet")
            .on(leptos::ev::click, move |_| app.remove_input(key))
            .child("✕");
        (first, remove)
    };
    li().class("input")
        .attr("data-testid", "input")
        .attr("data-status", move || live.with(|l| l.state.word()))
        .attr("data-name", name.to_string())
        .attr("data-read-ms", move || live.with(|l| l.took_ms.map(|ms| ms.to_string())))
        .child((
            div().class("input-line").child((
                span()
                    .class("input-name")
                    .attr("title", title)
                    .child((folder.map(|f| span().class("folder").child(f)), span().class("base").child(base))),
                move || {
                    let state = state.get();
                    (state != InputState::Ok).then(|| ui::badge(state.word(), state.word()))
                },
                span().class("input-what").attr("title", what).child(what),
                span().class("actions").child(actions),
            )),
            bar,
            message,
            members,
        ))
        .into_any()
}

/// `inputs[].kind` for a person.
pub fn kind_text(kind: &str) -> String {
    match kind {
        "capture" => "capture",
        "tcpdump_text" => "printed packets",
        "kubectl" => "Kubernetes",
        "ipamd" => "the CNI's addresses",
        "ec2" => "EC2",
        "elbv2" => "load balancers",
        "ip_addr" => "interfaces",
        "ip_neigh" => "neighbours (ARP)",
        "ip_route" => "routes",
        "ip_rule" => "routing rules",
        "iptables" => "iptables rules",
        "conntrack" => "tracked connections",
        "ipvs" => "virtual servers",
        "sockets" => "sockets",
        "bridge_fdb" => "bridge table",
        "flow_log" => "VPC flow log",
        "session" => "session",
        "report" => "saved report",
        "unknown" => "not recognised",
        other => other,
    }
    .to_owned()
}
