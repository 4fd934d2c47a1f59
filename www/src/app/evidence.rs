//! The evidence panel: what is claimed, each statement that supports it, and the very place that it comes from.

use hopscope::report::{Evidence, Source};
use leptos::html::{button, dd, div, dl, dt, h2, h3, li, ol, p, span, ul};
use leptos::prelude::*;

use super::state::{App, Focus, Viewer};
use super::{lists, ui};

/// The panel.
pub fn evidence(app: App) -> AnyView {
    let head = move || match app.focus.get() {
        Focus::Nothing => {
            p().class("empty").child("Click a hop, a box, a wire, a finding or a capture point to see what proves it.").into_any()
        }
        focus => subject(app, &focus),
    };
    let statements = move || {
        let all = app.evidence.get();
        if all.is_empty() && app.focus.with(|f| *f == Focus::Nothing) {
            return ().into_any();
        }
        (
            h3().child(
                ui::plural(all.len() as u64, "piece")
                    .replace("piece", "piece of evidence")
                    .replace("evidences", "evidence")
                    .replace("piece of evidence", if all.len() == 1 { "piece of evidence" } else { "pieces of evidence" }),
            ),
            ol().class("evidence").child(all.into_iter().map(|e| statement(app, e)).collect_view()),
        )
            .into_any()
    };
    div().class("evidence-panel").attr("data-testid", "evidence").child((head, statements, move || viewer(app))).into_any()
}

fn subject(app: App, focus: &Focus) -> AnyView {
    match focus {
        Focus::Nothing => ().into_any(),
        Focus::Hop(direction, index) => {
            let Some(detail) = app.detail.get() else { return ().into_any() };
            let hop = detail.path.directions.get(*direction).and_then(|d| d.hops.get(*index));
            let Some(hop) = hop else { return ().into_any() };
            let chips = std::iter::once(&hop.owner).chain(&hop.interface).map(|id| lists::entity_chip(app, id)).collect_view();
            (
                h2().child(format!("Hop {}", index + 1)),
                div().class("chips").child(chips),
                p().child(if hop.observed {
                    format!("Captured here: {} seen; {} sure.", ui::plural(hop.seen, "packet"), ui::percent(hop.confidence))
                } else {
                    format!("Nothing was captured here; inferred, {} sure.", ui::percent(hop.confidence))
                }),
            )
                .into_any()
        }
        Focus::Entity(id) => match app.entity.get() {
            Some(detail) if detail.entity.id == *id => {
                let e = &detail.entity;
                let row = |name: &'static str, values: Vec<String>| {
                    (!values.is_empty()).then(|| (dt().child(name), dd().class("mono").child(values.join(", "))))
                };
                let inside = detail.inside.iter().map(|id| lists::entity_chip(app, id)).collect_view();
                let contains = detail.contains.iter().map(|id| lists::entity_chip(app, id)).collect_view();
                (
                    h2().child(e.name.clone()),
                    p().class("sub").child(format!("{}, {} sure", ui::kind_word(e.kind), ui::percent(e.confidence))),
                    dl().class("facts").child((
                        row("id", vec![e.id.clone()]),
                        row("also", e.aliases.clone()),
                        row("MAC", e.macs.clone()),
                        row("IP", e.ips.clone()),
                        (!detail.inside.is_empty()).then(|| (dt().child("in"), dd().class("chips").child(inside))),
                        (!detail.contains.is_empty()).then(|| (dt().child("holds"), dd().class("chips").child(contains))),
                    )),
                )
                    .into_any()
            }
            _ => p().class("empty").child("…").into_any(),
        },
        Focus::Finding(i) => {
            let finding = app.overview.with(|o| o.findings.get(*i).cloned());
            finding.map(|f| (h2().child(f.kind.replace('_', " ")), p().child(f.summary))).into_any()
        }
        Focus::Point(i) => {
            let point = app.overview.with(|o| o.points.get(*i).cloned());
            point
                .map(|c| {
                    let at = c.at.clone().map(|at| lists::entity_chip(app, &at));
                    (
                        h2().child(app.input_name(&c.input)),
                        div().class("placed").child(("captured at ", at, " ", span().class("sure").child(ui::percent(c.confidence)))),
                    )
                })
                .into_any()
        }
        Focus::Ids(title, _) => h2().child(title.clone()).into_any(),
    }
}

fn statement(app: App, e: Evidence) -> AnyView {
    let sources = e.sources.into_iter().map(|s| li().child(source(app, s))).collect_view();
    li().attr("data-testid", "evidence-item")
        .attr("data-kind", e.kind.clone())
        .child((p().child((span().class("kind").child(e.kind.replace('_', " ")), " ", e.statement)), ul().class("sources").child(sources)))
        .into_any()
}

fn source(app: App, s: Source) -> AnyView {
    let place = match (&s.frame, &s.pointer, &s.line) {
        (Some(frame), _, _) => format!("frame {frame}"),
        (_, Some(pointer), _) => pointer.clone(),
        (_, _, Some(line)) => format!("line {line}"),
        _ => "whole".to_owned(),
    };
    let label = format!("{} · {place}", app.input_name(&s.input));
    let (is_open, target) = (s.clone(), s);
    button()
        .attr("type", "button")
        .class("source")
        .attr("data-testid", "source")
        .attr("aria-pressed", move || {
            let open = app.viewer.with(|v| match v {
                Viewer::Closed => false,
                Viewer::Loading(s) | Viewer::Failed(s, _) | Viewer::Frame(s, _) | Viewer::Lines(s, _) => *s == is_open,
            });
            if open { "true" } else { "false" }
        })
        .on(leptos::ev::click, move |_| app.open_source(target.clone()))
        .child(label)
        .into_any()
}

fn viewer(app: App) -> AnyView {
    match app.viewer.get() {
        Viewer::Closed => ().into_any(),
        Viewer::Loading(_) => p().class("empty").child("Reading…").into_any(),
        Viewer::Failed(_, why) => p().class("message").attr("role", "alert").child(why).into_any(),
        Viewer::Frame(..) | Viewer::Lines(..) => ().into_any(),
    }
}

/// The menu of exports.
pub fn export_menu(_app: App) -> AnyView {
    ().into_any()
}
