//! The evidence panel: what is claimed, each statement that supports it, and the very place that it comes from.

use std::sync::Arc;

use hopscope::model::Locator;
use hopscope::views::escape::inert;
use hopscope::views::words;
use leptos::html::{button, code, dd, details, div, dl, dt, h2, h3, input, label, li, ol, p, span, summary, ul};
use leptos::prelude::*;
use wasm_bindgen::JsCast as _;
use web_sys::{ScrollIntoViewOptions, ScrollLogicalPosition};

use super::state::{App, Focus, Viewer};
use super::{corrections, lists, session, ui};
use crate::protocol::{Decoded, Excerpt, FindingRow, Form, Name, Place, Placed, Statement};

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
            h3().child(format!("{} of evidence", ui::plural(all.len() as u64, "piece"))),
            ol().class("evidence").child(all.into_iter().map(|e| statement(app, e)).collect_view()),
        )
            .into_any()
    };
    div().class("evidence-panel").attr("data-testid", "evidence").child((head, statements)).into_any()
}

fn subject(app: App, focus: &Focus) -> AnyView {
    match focus {
        Focus::Nothing => ().into_any(),
        Focus::Hop(direction, index) => {
            let Some(detail) = app.detail.get() else { return ().into_any() };
            let Some(d) = detail.directions.get(*direction) else { return ().into_any() };
            let Some(hop) = d.hop(*index) else { return ().into_any() };
            let label = detail.labels.get(*direction).and_then(|labels| labels.get(*index));
            let filter = label.map(|l| l.filter.clone()).unwrap_or_default();
            let copied = filter.clone();
            let wireshark = (!filter.is_empty() && hop.observed).then(|| {
                div().class("next").child((
                    "Wireshark filter: ",
                    code().attr("data-testid", "hop-filter").child(filter),
                    button()
                        .attr("type", "button")
                        .class("quiet")
                        .on(leptos::ev::click, move |_| ui::copy(app, "filter", &copied))
                        .child("copy"),
                ))
            });
            let named = |id: &String| detail.names.iter().find(|n| n.id == *id).cloned();
            let chips =
                std::iter::once(&hop.owner).chain(&hop.interface).filter_map(named).map(|n| lists::entity_chip(app, n)).collect_view();
            (
                h2().child(format!("Hop {}", index + 1)),
                div().class("chips").child(chips),
                p().child(match (hop.observed, *index < d.hops.len()) {
                    (true, _) => format!("Captured here: {} seen; {} sure.", ui::plural(hop.seen, "packet"), ui::percent(hop.confidence)),
                    (false, true) => format!("Nothing was captured here; inferred, {} sure.", ui::percent(hop.confidence)),
                    (false, false) => {
                        let unseen = words::unseen(!hop.capture_points.is_empty());
                        format!("The packets were on their way here, {} sure: {unseen}.", ui::percent(hop.confidence))
                    }
                }),
                wireshark,
            )
                .into_any()
        }
        Focus::Entity(id) => match app.entity.get() {
            Some(detail) if detail.entity.id == *id => {
                let e = &detail.entity;
                let row = |name: &'static str, values: Vec<String>| {
                    (!values.is_empty()).then(|| (dt().child(name), dd().class("mono").child(values.join(", "))))
                };
                let inside = detail.inside.iter().cloned().map(|n| lists::entity_chip(app, n)).collect_view();
                let contains = detail.contains.iter().cloned().map(|n| lists::entity_chip(app, n)).collect_view();
                let more = (detail.more > 0).then(|| format!("and {} more", ui::count(u64::from(detail.more))));
                let address = e.ips.iter().chain(&e.macs).next().cloned();
                let correct = address.map(|address| {
                    button()
                        .attr("type", "button")
                        .class("quiet link")
                        .attr("data-testid", "correct-owner")
                        .on(leptos::ev::click, move |_| corrections::begin(app, &address))
                        .child("Not so? Say whose address this is…")
                });
                let name = Name { id: e.id.clone(), kind: e.kind, label: e.name.clone() };
                let conversations = button()
                    .attr("type", "button")
                    .class("quiet link")
                    .attr("title", "List only the conversations that begin, end or pass here")
                    .attr("data-testid", "list-through")
                    .on(leptos::ev::click, move |_| app.list.update(|l| l.through = Some(name.clone())))
                    .child("Its conversations");
                (
                    h2().child(e.name.clone()),
                    p().class("sub").child(format!("{}, {} sure", words::kind(e.kind), ui::percent(e.confidence))),
                    dl().class("facts").child((
                        row("id", vec![inert(&e.id)]),
                        row("also", e.aliases.clone()),
                        row("MAC", e.macs.clone()),
                        row("IP", e.ips.clone()),
                        (!detail.inside.is_empty()).then(|| (dt().child("in"), dd().class("chips").child(inside))),
                        (!detail.contains.is_empty()).then(|| (dt().child("holds"), dd().class("chips").child((contains, more)))),
                    )),
                    conversations,
                    correct,
                )
                    .into_any()
            }
            _ => p().class("empty").child("…").into_any(),
        },
        Focus::Relay(_) => (h2().child("A proxy in between"), p().child("Why these two connections are taken for one.")).into_any(),
        Focus::Finding(i) => app.findings.with(|all| all.get(*i).map(told)).into_any(),
        Focus::Told(i) => app.detail.with(|d| d.as_ref().and_then(|d| d.findings.get(*i)).map(told)).into_any(),
        Focus::Point(i) => {
            let point = app.overview.with(|o| o.points.get(*i).cloned());
            point
                .map(|Placed { point: c, at }| {
                    let at = match at {
                        Some(at) => lists::entity_chip(app, at),
                        None => ui::badge("unknown", "not placed"),
                    };
                    (
                        h2().child(inert(&app.input_name(&c.input))),
                        div().class("placed").child(("captured at ", at, " ", span().class("sure").child(ui::percent(c.confidence)))),
                    )
                })
                .into_any()
        }
    }
}

fn told(row: &FindingRow) -> impl IntoView + use<> {
    let f = &row.finding;
    (h2().child(f.kind.replace('_', " ")), p().child(f.summary.clone()))
}

fn statement(app: App, e: Statement) -> AnyView {
    // The place is shown right below the statement that it proves.
    let (id, open) = (e.id.clone(), e.id);
    let place = move || app.viewer_of.with(|of| *of == open).then(|| viewer(app));
    let sources = e.places.into_iter().map(|s| li().child(source(app, &id, s))).collect_view();
    li().attr("data-testid", "evidence-item")
        .attr("data-kind", e.kind.clone())
        .child((
            p().child((span().class("kind").child(e.kind.replace('_', " ")), " ", e.statement)),
            ul().class("sources").child(sources),
            place,
        ))
        .into_any()
}

fn place(s: &Place) -> String {
    match &s.at {
        Some(Locator::Frame(frame)) => format!("frame {frame}"),
        Some(Locator::Pointer(pointer)) if pointer.is_empty() => "whole document".to_owned(),
        Some(Locator::Pointer(pointer)) => pointer.clone(),
        Some(Locator::Line(line)) => format!("line {line}"),
        None => "whole".to_owned(),
    }
}

fn source(app: App, evidence: &str, s: Place) -> AnyView {
    let label = inert(&format!("{} · {}", app.input_name(&s.input), place(&s)));
    let (is_open, target, of, opened) = (s.clone(), s, evidence.to_owned(), evidence.to_owned());
    button()
        .attr("type", "button")
        .class("source")
        .attr("data-testid", "source")
        .attr("aria-pressed", move || {
            let open = app.viewer.with(|v| match v {
                Viewer::Closed => false,
                Viewer::Loading(s) | Viewer::Failed(s, _) | Viewer::Frame(s, _) | Viewer::Lines(s, _) => *s == is_open,
            });
            if open && app.viewer_of.with(|v| *v == of) { "true" } else { "false" }
        })
        .on(leptos::ev::click, move |_| app.open_source(&opened, target.clone()))
        .child(label)
        .into_any()
}

fn viewer(app: App) -> AnyView {
    match app.viewer.get() {
        Viewer::Closed => ().into_any(),
        Viewer::Loading(_) => p().class("empty").child("Reading…").into_any(),
        Viewer::Failed(_, why) => p().class("message").attr("role", "alert").child(inert(&why)).into_any(),
        Viewer::Frame(source, decoded) => framed(app, &source, frame(&decoded)),
        Viewer::Lines(source, excerpt) => framed(app, &source, lines(&excerpt)),
    }
}

fn framed(app: App, source: &Place, content: AnyView) -> AnyView {
    let title = inert(&format!("{} · {}", app.input_name(&source.input), place(source)));
    let element = NodeRef::<leptos::html::Div>::new();
    Effect::new(move |_| {
        let Some(element) = element.get() else { return };
        request_animation_frame(move || {
            let options = ScrollIntoViewOptions::new();
            options.set_block(ScrollLogicalPosition::Nearest);
            element.scroll_into_view_with_scroll_into_view_options(&options);
        });
    });
    div()
        .node_ref(element)
        .class("viewer")
        .attr("data-testid", "viewer")
        .child((
            div()
                .class("viewer-top")
                .child((span().child(title), ui::push("✕", "Close (Esc)", "close-viewer", move || app.viewer.set(Viewer::Closed)))),
            div().class("viewer-body").child(content),
        ))
        .into_any()
}

/// Bytes of a frame that are shown; of the rest, only that it is there.
const MOST_BYTES: usize = 2048;
const PER_ROW: usize = 16;

fn frame(decoded: &Arc<Decoded>) -> AnyView {
    let lit = RwSignal::new(None::<(usize, usize)>);
    let about = format!(
        "{}{} on the wire{}",
        decoded.time_ns.map_or(String::new(), |t| format!("{} · ", ui::time(t))),
        ui::plural(u64::from(decoded.original_len), "byte"),
        if (decoded.bytes.len() as u64) < u64::from(decoded.original_len) {
            format!(", {} captured", ui::count(decoded.bytes.len() as u64))
        } else {
            String::new()
        }
    );
    let layers = decoded
        .layers
        .iter()
        .map(|layer| {
            let fields = layer.fields.iter().map(|f| {
                let range = (f.start, f.end);
                button()
                    .attr("type", "button")
                    .class("field")
                    .attr("data-testid", "field")
                    .attr("aria-pressed", move || if lit.get() == Some(range) { "true" } else { "false" })
                    .on(leptos::ev::click, move |_| lit.set(Some(range)))
                    .child((span().child(f.name.clone()), span().child(f.value.clone())))
            });
            details()
                .class("layer")
                .attr("open", true)
                .attr("data-testid", "layer")
                .child((summary().child(layer.name.clone()), fields.collect_view()))
        })
        .collect_view();
    let shown = decoded.bytes.len().min(MOST_BYTES);
    let rows = (0..shown.div_ceil(PER_ROW)).map(|row| hex_row(decoded, row, lit)).collect_view();
    let rest = decoded.bytes.len().saturating_sub(shown);
    (
        p().class("sub").child(about),
        layers,
        div().class("hex").attr("data-testid", "hex").attr("tabindex", "0").attr("aria-label", "Bytes of the frame").child(rows),
        (rest > 0).then(|| p().class("sub").child(format!("and {} more", ui::plural(rest as u64, "byte")))),
    )
        .into_any()
}

fn hex_row(decoded: &Arc<Decoded>, row: usize, lit: RwSignal<Option<(usize, usize)>>) -> AnyView {
    let decoded = Arc::clone(decoded);
    let start = row * PER_ROW;
    let cells = move || {
        let bytes = decoded.bytes.get(start..).unwrap_or_default();
        let range = lit.get().unwrap_or((0, 0));
        let is_lit = |i: usize| (range.0..range.1).contains(&(start + i));
        let mut views = Vec::new();
        let mut ascii = String::new();
        for i in 0..PER_ROW {
            let text = bytes.get(i).map_or("  ".to_owned(), |b| format!("{b:02x}"));
            let gap = if i == 7 { "  " } else { " " };
            if is_lit(i) {
                views.push((span().class("lit").child(text), gap).into_any());
            } else {
                views.push(format!("{text}{gap}").into_any());
            }
            ascii.extend(bytes.get(i).map(|b| if (0x20..0x7f).contains(b) { char::from(*b) } else { '·' }));
        }
        views.push(format!(" {ascii}\n").into_any());
        views
    };
    (span().class("offset").child(format!("{start:04x}  ")), cells).into_any()
}

fn lines(excerpt: &Arc<Excerpt>) -> AnyView {
    let rows = excerpt
        .lines
        .iter()
        .enumerate()
        .map(|(i, line)| {
            let number = excerpt.first + i;
            let is_marked = (excerpt.marked.0..=excerpt.marked.1).contains(&number);
            (
                span().class("line-number").child(number.to_string()),
                span()
                    .class(if is_marked { "line marked" } else { "line" })
                    .attr("data-testid", if is_marked { "marked-line" } else { "line" })
                    .child(line.clone()),
            )
        })
        .collect_view();
    let cut = excerpt.is_cut.then(|| p().class("sub").child(format!("… up to line {}", excerpt.marked.1)));
    (div().class("lines").attr("data-testid", "lines").attr("tabindex", "0").attr("aria-label", "Lines of the input").child(rows), cut)
        .into_any()
}

/// The menu of exports and the session.
pub fn export_menu(app: App) -> AnyView {
    const FORMS: [(Form, &str); 8] = [
        (Form::Json, "JSON (the report)"),
        (Form::Text, "Text"),
        (Form::Svg, "SVG picture"),
        (Form::Html, "HTML page"),
        (Form::Mermaid, "Mermaid"),
        (Form::Dot, "DOT (Graphviz)"),
        (Form::Graphml, "GraphML"),
        (Form::Csv, "CSV (hops)"),
    ];
    let only_path = RwSignal::new(false);
    let is_redacted = RwSignal::new(false);
    let menu = NodeRef::<leptos::html::Details>::new();
    let rows = FORMS
        .iter()
        .map(|(form, name)| {
            let (form, name) = (*form, *name);
            let act = move |is_copy: bool| {
                let path = only_path
                    .get_untracked()
                    .then(|| app.detail.with_untracked(|d| d.as_ref().map(|d| d.conversation.id.clone())))
                    .flatten();
                leptos::task::spawn_local(async move {
                    match app.export(form, path, is_redacted.get_untracked()).await {
                        Ok((text, _, _)) if is_copy => ui::copy(app, name, &text),
                        Ok((text, media_type, file_name)) => ui::download(app, &file_name, &media_type, &text),
                        Err(why) => app.notice.set(Some(why)),
                    }
                });
            };
            let test = format!("export-{}", format!("{form:?}").to_lowercase());
            div().class("menu-row").child((
                span().child(name),
                button()
                    .attr("type", "button")
                    .attr("data-testid", test.clone())
                    .attr("aria-label", format!("Save as {name}"))
                    .on(leptos::ev::click, move |_| act(false))
                    .child("Save"),
                button()
                    .attr("type", "button")
                    .attr("data-testid", format!("{test}-copy"))
                    .attr("aria-label", format!("Copy as {name}"))
                    .on(leptos::ev::click, move |_| act(true))
                    .child("Copy"),
            ))
        })
        .collect_view();
    let only = label().class("menu-row").child((
        input()
            .attr("type", "checkbox")
            .attr("data-testid", "export-only-path")
            .on(leptos::ev::change, move |event| only_path.set(event_target_checked(&event))),
        "Only the selected path",
    ));
    let redacted = label()
        .class("menu-row")
        .attr(
            "title",
            "Every name and address becomes a pseudonym in what is saved and copied here, the same in every export of this sitting; times, ports and verdicts stay. The page itself, its frames and lines and a saved session show the originals",
        )
        .child((
            input()
                .attr("type", "checkbox")
                .attr("data-testid", "export-redacted")
                .on(leptos::ev::change, move |event| is_redacted.set(event_target_checked(&event))),
            "Pseudonyms for names and addresses",
        ));
    let session =
        ui::push("Save session", "Your corrections as a file; drop it with the same inputs to have them back", "save-session", move || {
            session::save(app)
        });
    details()
        .node_ref(menu)
        .class("menu")
        .attr("data-testid", "export")
        .on(leptos::ev::focusout, move |event: web_sys::FocusEvent| {
            // Closes when the focus goes elsewhere on the page.
            let next = event.related_target().and_then(|t| t.dyn_into::<web_sys::Node>().ok());
            if let (Some(menu), Some(next)) = (menu.get_untracked(), next)
                && !menu.contains(Some(&next))
            {
                let _ = menu.remove_attribute("open");
            }
        })
        .child((summary().child("Export"), div().class("menu-body").child((rows, only, redacted, leptos::html::hr(), session))))
        .into_any()
}
