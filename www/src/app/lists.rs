//! The right column: findings, capture points, evidence.

use hopscope::report::{CapturePoint, EntityKind, Finding};
use leptos::html::{button, div, li, option, p, select, span, ul};
use leptos::prelude::*;

use super::state::{App, Focus, Tab};
use super::{evidence, session, ui};

/// The column with its tabs.
pub fn lists(app: App) -> AnyView {
    let tab = move |which: Tab, name: &'static str, test: &'static str, number: fn(&App) -> Option<usize>| {
        button()
            .attr("type", "button")
            .attr("role", "tab")
            .attr("data-testid", test)
            .attr("aria-selected", move || if app.tab.get() == which { "true" } else { "false" })
            .on(leptos::ev::click, move |_| app.tab.set(which))
            .child((name, move || number(&app).map(|n| span().class("number-badge").child(n.to_string()))))
    };
    let content = move || match app.tab.get() {
        Tab::Findings => findings(app),
        Tab::Points => points(app),
        Tab::Evidence => evidence::evidence(app),
    };
    div()
        .class("lists")
        .child((
            div().class("tabs").attr("role", "tablist").child((
                tab(Tab::Findings, "Findings", "tab-findings", |app| Some(app.overview.with(|o| o.findings.len()))),
                tab(Tab::Points, "Capture points", "tab-points", |app| Some(app.overview.with(|o| o.points.len()))),
                tab(Tab::Evidence, "Evidence", "tab-evidence", |_| None),
            )),
            div().class("tab-content").attr("role", "tabpanel").attr("aria-label", "Findings, capture points or evidence").child(content),
        ))
        .into_any()
}

/// Findings shown at first, and more at a time.
const AT_A_TIME: usize = 100;

fn findings(app: App) -> AnyView {
    let most = RwSignal::new(AT_A_TIME);
    let rows = move || {
        let overview = app.overview.get();
        if overview.findings.is_empty() {
            return p().class("empty").child("No findings: nothing in the inputs is unexplained or wrong.").into_any();
        }
        let mut order: Vec<(usize, Finding)> = overview.findings.iter().cloned().enumerate().collect();
        order.sort_by_key(|(_, f)| std::cmp::Reverse(f.severity));
        let rest = order.len().saturating_sub(most.get());
        order.truncate(most.get());
        (
            ul().class("findings").child(order.into_iter().map(|(i, f)| finding(app, i, f)).collect_view()),
            (rest > 0).then(|| {
                button()
                    .attr("type", "button")
                    .on(leptos::ev::click, move |_| most.update(|m| *m = m.saturating_add(AT_A_TIME)))
                    .child(format!("Show more ({} left)", ui::count(rest as u64)))
            }),
        )
            .into_any()
    };
    div().child(rows).into_any()
}

fn finding(app: App, index: usize, f: Finding) -> AnyView {
    let severity = ui::severity_word(f.severity);
    let next = f.next_step.map(|text| {
        let copied = text.clone();
        div().class("next").child((
            span().child("Next: "),
            span().class("next-text").child(text),
            button()
                .attr("type", "button")
                .class("quiet")
                .on(leptos::ev::click, move |_| ui::copy(app, "next step", &copied))
                .child("copy"),
        ))
    });
    let about = f.about.iter().map(|id| about(app, id)).collect_view();
    li().class(format!("finding {severity}"))
        .attr("data-testid", "finding")
        .attr("data-kind", f.kind.clone())
        .attr("data-severity", severity)
        .child((
            div().class("finding-head").child((
                ui::badge(severity, severity),
                span().class("kind").child(f.kind.replace('_', " ")),
                span().class("sure").child(ui::percent(f.confidence)),
            )),
            p().child(f.summary),
            div().class("chips").child(about),
            next,
            button()
                .attr("type", "button")
                .class("quiet link")
                .attr("data-testid", "finding-evidence")
                .on(leptos::ev::click, move |_| app.look_at(Focus::Finding(index)))
                .child("Show the evidence"),
        ))
        .into_any()
}

/// What a finding is about: an entity, or a path.
fn about(app: App, id: &str) -> AnyView {
    let path = app
        .overview
        .with_untracked(|o| o.conversations.iter().find(|c| c.id == id).map(|c| (c.key.clone(), format!("{} → {}", c.client, c.server))));
    if let Some((key, label)) = path {
        return button().attr("type", "button").class("chip").on(leptos::ev::click, move |_| app.select(&key)).child(label).into_any();
    }
    entity_chip(app, id)
}

/// An entity's name that leads to its evidence.
pub fn entity_chip(app: App, id: &str) -> AnyView {
    let (label, kind) = app.name_of(id);
    let target = id.to_owned();
    button()
        .attr("type", "button")
        .class("chip")
        .attr("title", format!("{}: {id}", ui::kind_word(kind)))
        .on(leptos::ev::click, move |_| app.look_at(Focus::Entity(target.clone())))
        .child(label)
        .into_any()
}

fn points(app: App) -> AnyView {
    let rows = move || {
        let overview = app.overview.get();
        if overview.points.is_empty() {
            return p().class("empty").child("No captures among the inputs.").into_any();
        }
        ul().class("points").child(overview.points.iter().cloned().enumerate().map(|(i, p)| point(app, i, p)).collect_view()).into_any()
    };
    div().child(rows).into_any()
}

fn point(app: App, index: usize, c: CapturePoint) -> AnyView {
    let name = match &c.interface_name {
        Some(interface) => format!("{} · {interface}", app.input_name(&c.input)),
        None => app.input_name(&c.input),
    };
    let span_of = match (c.first_ns, c.last_ns) {
        (Some(first), Some(last)) => format!("{}, {} long", ui::time(first), ui::duration(last.saturating_sub(first))),
        _ => "no times".to_owned(),
    };
    let clock = c.clock.as_ref().map(|clock| {
        let other = app.overview.with_untracked(|o| o.points.iter().find(|p| p.id == clock.relative_to).map(|p| p.input.clone()));
        let other = other.map_or_else(|| clock.relative_to.clone(), |input| app.input_name(&input));
        p().class("input-what").child(if clock.relative_to == c.id {
            "the clock that the others are measured against".to_owned()
        } else {
            format!("clock {} ± {} against {other}", ui::duration(clock.offset_ns), ui::duration(clock.uncertainty_ns))
        })
    });
    let placed = match &c.at {
        Some(at) => (entity_chip(app, at), span().class("sure").child(ui::percent(c.confidence))).into_any(),
        None => ui::badge("unknown", "not placed"),
    };
    li().class("point")
        .attr("data-testid", "point")
        .attr("data-at", c.at.clone().unwrap_or_default())
        .child((
            div().class("input-name").attr("title", name.clone()).child(name.clone()),
            div().class("input-what").child(format!("{} · {} · {span_of}", c.link_type, ui::plural(c.packets, "packet"))),
            div().class("placed").child(("captured at ", placed)),
            clock,
            correct(app, &c),
            button()
                .attr("type", "button")
                .class("quiet link")
                .on(leptos::ev::click, move |_| app.look_at(Focus::Point(index)))
                .child("Show the evidence"),
        ))
        .into_any()
}

/// Lets the person say where a capture was made, which outweighs what was inferred.
fn correct(app: App, c: &CapturePoint) -> AnyView {
    let input = app.input_name(&c.input);
    let interface = c.interface_name.clone();
    let corrected = session::placed(app, &input, interface.as_deref());
    let mut options: Vec<(String, String)> = app
        .overview
        .with_untracked(|o| o.names.iter().filter(|n| n.kind == EntityKind::Interface).map(|n| (n.label.clone(), n.id.clone())).collect());
    options.sort();
    if options.is_empty() {
        return ().into_any();
    }
    let first = if corrected.is_some() { "take the correction back" } else { "correct: it was captured at …" };
    let choices = options
        .into_iter()
        .map(|(label, id)| {
            let is_chosen = corrected.as_deref() == Some(id.as_str());
            option().attr("value", id).attr("selected", is_chosen).child(label)
        })
        .collect_view();
    div()
        .class("correct")
        .child(
            select()
                .attr("aria-label", format!("Correct where {input} was captured"))
                .attr("data-testid", "correct")
                .on(leptos::ev::change, move |event| {
                    let chosen = event_target_value(&event);
                    session::place(app, &input, interface.as_deref(), (!chosen.is_empty()).then_some(chosen.as_str()));
                })
                .child((option().attr("value", "").child(first), choices)),
        )
        .into_any()
}
