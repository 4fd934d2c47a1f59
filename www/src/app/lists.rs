//! The right column: findings, capture points, evidence.

use hopscope::views::escape::inert;
use hopscope::views::words;
use leptos::html::{button, div, h2, li, p, span, ul};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::state::{App, Focus, Tab};
use super::{corrections, evidence, session, ui};
use crate::protocol::{About, Answer, FindingRow, Name, Placed, Question};

/// The column with its tabs.
pub fn lists(app: App) -> AnyView {
    let tab = move |which: Tab, name: &'static str, test: &'static str, number: fn(&App) -> Option<usize>| {
        button()
            .attr("type", "button")
            .attr("role", "tab")
            .attr("data-testid", test)
            .attr("aria-selected", move || if app.tab.get() == which { "true" } else { "false" })
            .on(leptos::ev::click, move |_| app.tab.set(which))
            .child((name, move || number(&app).map(|n| span().class("number-badge").child(ui::count(n as u64)))))
    };
    let content = move || match app.tab.get() {
        Tab::Findings => findings(app),
        Tab::Points => points(app),
        Tab::Corrections => corrections::corrections(app),
        Tab::Evidence => evidence::evidence(app),
    };
    div()
        .class("lists")
        .child((
            div().class("tabs").attr("role", "tablist").child((
                tab(Tab::Findings, "Findings", "tab-findings", |app| Some(app.overview.with(|o| o.findings as usize))),
                tab(Tab::Points, "Captures", "tab-points", |app| Some(app.overview.with(|o| o.points.len()))),
                tab(Tab::Corrections, "Corrections", "tab-corrections", |app| Some(app.corrections.with(Vec::len)).filter(|n| *n > 0)),
                tab(Tab::Evidence, "Evidence", "tab-evidence", |_| None),
            )),
            div().class("tab-content").attr("role", "tabpanel").attr("aria-label", "Findings, capture points or evidence").child(content),
        ))
        .into_any()
}

/// Findings that are asked for at a time, beyond those that come with the report.
const AT_A_TIME: u32 = 100;

fn findings(app: App) -> AnyView {
    let more = move |_| {
        let first = app.findings.with_untracked(Vec::len) as u32;
        spawn_local(async move {
            if let Ok(Answer::Findings(mut rows)) = app.ask(Question::Findings { first, count: AT_A_TIME }, None).await {
                app.findings.update(|all| {
                    // The report may have become another one meanwhile.
                    if all.len() as u32 == first {
                        all.append(&mut rows);
                    }
                });
            }
        });
    };
    let rows = move || {
        let all = app.overview.with(|o| o.findings as usize);
        let shown = app.findings.get();
        if shown.is_empty() {
            let text = match (app.is_reading() || app.is_analysing.get(), all) {
                (true, _) => "Reading…",
                _ => "No findings: nothing in the inputs is unexplained or wrong.",
            };
            return p().class("empty").child(text).into_any();
        }
        let rest = all.saturating_sub(shown.len());
        let detail = app.detail.get().filter(|_| !app.is_map.get());
        let told = detail.as_ref().map(|d| d.findings.clone()).unwrap_or_default();
        let is_of_it = |row: &FindingRow| told.iter().any(|t| t.finding == row.finding);
        let others: Vec<AnyView> =
            shown.into_iter().enumerate().filter(|(_, row)| !is_of_it(row)).map(|(i, f)| finding(app, Focus::Finding(i), f)).collect();
        let heading = |text: &'static str| h2().class("heading").child(text);
        let is_parted = !told.is_empty() && !others.is_empty();
        (
            (!told.is_empty()).then(|| {
                let rows = told.into_iter().enumerate().map(|(i, f)| finding(app, Focus::Told(i), f)).collect_view();
                (heading("This conversation"), ul().class("findings").attr("data-testid", "told").child(rows))
            }),
            is_parted.then(|| heading("Everything else")),
            ul().class("findings").child(others),
            (rest > 0).then(|| {
                button()
                    .attr("type", "button")
                    .attr("data-testid", "more-findings")
                    .on(leptos::ev::click, more)
                    .child(format!("Show more ({} left)", ui::count(rest as u64)))
            }),
        )
            .into_any()
    };
    div().child(rows).into_any()
}

fn finding(app: App, focus: Focus, row: FindingRow) -> AnyView {
    let f = row.finding;
    let severity = words::severity(f.severity);
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
    let about = row.about.into_iter().map(|one| about(app, one)).collect_view();
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
                .on(leptos::ev::click, move |_| app.look_at(focus.clone()))
                .child("Show the evidence"),
        ))
        .into_any()
}

/// What a finding is about: an entity, or a conversation.
pub fn about(app: App, one: About) -> AnyView {
    match one {
        About::Conversation { key, label } => button()
            .attr("type", "button")
            .class("chip")
            .attr("title", "Show this conversation")
            .on(leptos::ev::click, move |_| app.show(&key))
            .child(label)
            .into_any(),
        About::Entity(name) => entity_chip(app, name),
    }
}

/// An entity's name that leads to its evidence.
pub fn entity_chip(app: App, name: Name) -> AnyView {
    let Name { id, kind, label } = name;
    button()
        .attr("type", "button")
        .class("chip")
        .attr("title", inert(&format!("{}: {id}", words::kind(kind))))
        .on(leptos::ev::click, move |_| app.look_at(Focus::Entity(id.clone())))
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

fn point(app: App, index: usize, placed: Placed) -> AnyView {
    let Placed { point: c, at } = placed;
    let name = inert(&match &c.interface_name {
        Some(interface) => format!("{} · {interface}", app.input_name(&c.input)),
        None => app.input_name(&c.input),
    });
    let span_of = match (c.first_ns, c.last_ns) {
        (Some(first), Some(last)) => format!("{}, {} long", ui::time(first), ui::duration(last.saturating_sub(first))),
        _ => "no times".to_owned(),
    };
    let clock = c.clock.as_ref().map(|clock| {
        let other =
            app.overview.with_untracked(|o| o.points.iter().find(|p| p.point.id == clock.relative_to).map(|p| p.point.input.clone()));
        let other = other.map_or_else(|| clock.relative_to.clone(), |input| inert(&app.input_name(&input)));
        p().class("input-what").child(if clock.relative_to == c.id {
            "the clock that the others are measured against".to_owned()
        } else {
            let word = if clock.offset_ns < 0 { "behind" } else { "ahead of" };
            let apart = ui::duration(clock.offset_ns.saturating_abs());
            let error = if clock.uncertainty_ns > 0 { format!(", ± {}", ui::duration(clock.uncertainty_ns)) } else { String::new() };
            format!("clock {apart} {word} {other}'s{error}")
        })
    });
    let placed = match at {
        Some(at) => (entity_chip(app, at), span().class("sure").child(ui::percent(c.confidence))).into_any(),
        None => ui::badge("unknown", "not placed"),
    };
    let input = app.input_name(&c.input);
    let is_corrected = session::placed(app, &input, c.interface_name.as_deref()).is_some() || session::clock(app, &input).is_some();
    let by_hand = is_corrected.then(|| ui::badge("info", "corrected by hand"));
    let (begin, mine, subject) = (c.id.clone(), c.id.clone(), c.clone());
    let form = move || {
        let is_open = app.corrected.with(|id| id.as_ref() == Some(&mine));
        is_open.then(|| corrections::of_point(app, &input, &subject, app.overview.with_untracked(|o| o.interfaces.clone())))
    };
    li().class("point")
        .attr("data-testid", "point")
        .attr("data-at", c.at.clone().unwrap_or_default())
        .child((
            div().class("input-name").attr("title", name.clone()).child(name.clone()),
            div().class("input-what").child(format!("{} · {} · {span_of}", c.link_type, ui::plural(c.packets, "packet"))),
            div().class("placed").child(("captured at ", placed)),
            clock,
            by_hand,
            div().class("toolbar").child((
                button()
                    .attr("type", "button")
                    .class("quiet link")
                    .attr("data-testid", "point-evidence")
                    .on(leptos::ev::click, move |_| app.look_at(Focus::Point(index)))
                    .child("Show the evidence"),
                button()
                    .attr("type", "button")
                    .class("quiet link")
                    .attr("data-testid", "correct")
                    .attr("aria-label", format!("Correct where {name} was captured, or its clock"))
                    .on(leptos::ev::click, move |_| app.corrected.set(Some(begin.clone())))
                    .child("Correct…"),
            )),
            form,
        ))
        .into_any()
}
