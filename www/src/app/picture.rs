//! The picture of a path: boxes, ports and wires that the engine has placed, drawn as SVG that can be moved, zoomed and
//! clicked. Knows colours and pointers; must not know where anything belongs.

use hopscope::report::{EntityKind, Hop, Way};
use hopscope::views::layout::{Area, AreaKind, ChangeKind, Edge, LINE, Label, Picture, Point, Port, Rect, Text, TextStyle};
use leptos::html::{button, div, span};
use leptos::prelude::*;
use leptos::svg;
use web_sys::{KeyboardEvent, PointerEvent, WheelEvent};

use super::state::{App, Focus};
use super::ui;
use crate::protocol::Detail;

/// How the picture lies in its window: moved by (x, y), then scaled.
#[derive(Clone, Copy, Debug, PartialEq)]
struct View {
    x: f64,
    y: f64,
    scale: f64,
}

const SMALLEST: f64 = 0.1;
const LARGEST: f64 = 4.0;
/// Below this scale nothing can be told apart: the first view then shows the beginning of the path rather than all of it.
const TELLING: f64 = 0.3;
/// The window's height in pixels: as the picture needs, within these, and at most a part of the browser's window.
const LOWEST: f64 = 160.0;
const HIGHEST: f64 = 640.0;
const PART: f64 = 0.44;
/// Of the whole window, the part that a picture which fills it is fitted into.
const WIDE: f64 = 0.56;
const MARGIN: f64 = 8.0;
/// A press that moves less than this is a click.
const CLICK: f64 = 4.0;

/// What moves the picture from elsewhere (the page's keys).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    In,
    Out,
    Fit,
    Left,
    Right,
    Up,
    Down,
}

/// The picture with its tools. `moves` carries the page's keys: a count, so that the same key works twice, and the move.
pub fn picture(app: App, detail: &Detail, picture: &Picture, moves: RwSignal<(u32, Option<Move>)>) -> AnyView {
    let (width, height) = (f64::from(picture.width.max(1)), f64::from(picture.height.max(1)));
    let view = RwSignal::new(View { x: 0.0, y: 0.0, scale: 1.0 });
    let window_ref = NodeRef::<leptos::html::Div>::new();
    let hidden = RwSignal::new((false, false));
    // What runs in a later frame may find the picture replaced by another: hence the `try_`.
    let size = move || {
        let element = window_ref.try_get_untracked().flatten();
        element.map_or((800.0, 400.0), |e| (f64::from(e.client_width()), f64::from(e.client_height())))
    };
    let tall = RwSignal::new(LOWEST);
    let fit = move |at_least: f64| {
        let (w, h) = size();
        let is_wide = app.is_wide.get_untracked();
        let inner = window().inner_height().ok().and_then(|h| h.as_f64()).unwrap_or(HIGHEST);
        let highest = (inner * PART).clamp(LOWEST, HIGHEST);
        // What lies over the lower part of a wide picture are the lists and the evidence.
        let room = if is_wide { h * WIDE } else { highest };
        let scale = ((w - 2.0 * MARGIN) / width).min((room - 2.0 * MARGIN) / height).min(1.1).max(at_least).max(SMALLEST);
        let h = if is_wide { h } else { (height * scale + 2.0 * MARGIN).clamp(LOWEST, highest) };
        let _ = tall.try_set(h);
        let centred = |room: f64, length: f64| ((room - length * scale) / 2.0).max(MARGIN);
        let _ = view.try_set(View { x: centred(w, width), y: if is_wide { MARGIN } else { centred(h, height) }, scale });
    };
    Effect::new(move |_| {
        if window_ref.get().is_some() {
            // The element has its size once the browser has laid it out.
            request_animation_frame(move || fit(TELLING));
        }
    });
    let zoom = move |factor: f64, around: Option<(f64, f64)>| {
        let (w, h) = size();
        let (px, py) = around.unwrap_or((w / 2.0, h / 2.0));
        view.update(|v| {
            let scale = (v.scale * factor).clamp(SMALLEST, LARGEST);
            let real = scale / v.scale;
            *v = View { x: px - (px - v.x) * real, y: py - (py - v.y) * real, scale };
        });
    };
    let go = move |how: Move| match how {
        Move::In => zoom(1.25, None),
        Move::Out => zoom(0.8, None),
        Move::Fit => fit(0.0),
        Move::Left => view.update(|v| v.x += 60.0),
        Move::Right => view.update(|v| v.x -= 60.0),
        Move::Up => view.update(|v| v.y += 60.0),
        Move::Down => view.update(|v| v.y -= 60.0),
    };
    Effect::new(move |before: Option<u32>| {
        let (count, how) = moves.get();
        if let (Some(before), Some(how)) = (before, how)
            && before != count
        {
            go(how);
        }
        count
    });

    // The picture may fill the window; it is fitted anew when it has its new size.
    Effect::new(move |before: Option<bool>| {
        let is_wide = app.is_wide.get();
        if before.is_some_and(|b| b != is_wide) {
            request_animation_frame(move || fit(TELLING));
        }
        is_wide
    });

    let on_resize = window_event_listener(leptos::ev::resize, move |_| fit(TELLING));
    on_cleanup(move || on_resize.remove());

    // The wheel scrolls the page, and zooms once the person has taken hold of the picture.
    let is_held = StoredValue::new(false);
    let drag = RwSignal::new(None::<(f64, f64, View)>);
    let is_dragged = RwSignal::new(false);
    let on_down = move |event: PointerEvent| {
        is_held.set_value(true);
        if event.button() == 0 {
            drag.set(Some((f64::from(event.client_x()), f64::from(event.client_y()), view.get_untracked())));
        }
    };
    let on_move = move |event: PointerEvent| {
        let Some((x, y, from)) = drag.get_untracked() else { return };
        let (dx, dy) = (f64::from(event.client_x()) - x, f64::from(event.client_y()) - y);
        if !is_dragged.get_untracked() && dx.abs() + dy.abs() > CLICK {
            is_dragged.set(true);
            if let Some(element) = window_ref.get_untracked() {
                let _ = element.set_pointer_capture(event.pointer_id());
            }
        }
        if is_dragged.get_untracked() {
            view.set(View { x: from.x + dx, y: from.y + dy, scale: from.scale });
        }
    };
    let stop = move |_: PointerEvent| {
        drag.set(None);
        is_dragged.set(false);
    };
    let on_wheel = move |event: WheelEvent| {
        // A pinch on a touchpad comes as a wheel with the control key.
        if !(is_held.get_value() || app.is_wide.get_untracked() || event.ctrl_key() || event.meta_key()) {
            return;
        }
        event.prevent_default();
        let Some(element) = window_ref.get_untracked() else { return };
        let rect = element.get_bounding_client_rect();
        let at = (f64::from(event.client_x()) - rect.left(), f64::from(event.client_y()) - rect.top());
        // Lines (Firefox) and pixels: either way one notch is a modest step.
        let step = event.delta_y().clamp(-120.0, 120.0) * if event.delta_mode() == 1 { 20.0 } else { 1.0 };
        zoom((-step.clamp(-120.0, 120.0) / 480.0).exp(), Some(at));
    };

    let areas = picture.boxes.iter().map(|area| area_view(app, detail, area)).collect_view();
    let edges = picture.edges.iter().map(|edge| edge_view(app, detail, edge)).collect_view();
    let ports = picture.ports.iter().map(|port| port_view(app, detail, port)).collect_view();
    let labels = picture.labels.iter().map(label_view).collect_view();
    let marks = picture
        .marks
        .iter()
        .map(|mark| {
            svg::text()
                .attr("class", format!("mark {}", way_class(mark.direction)))
                .attr("x", mark.end.x.to_string())
                .attr("y", mark.end.y.to_string())
                .attr("text-anchor", "end")
                .child(mark.text.clone())
        })
        .collect_view();
    let drawing = svg::svg().attr("role", "group").attr("aria-label", picture.title.clone()).attr("data-testid", "picture").child((
        svg::desc().child(picture.description.clone()),
        svg::g()
            .attr("transform", move || {
                let v = view.get();
                format!("translate({:.2} {:.2}) scale({:.4})", v.x, v.y, v.scale)
            })
            .child((areas, edges, ports, labels, marks)),
    ));
    let toggle = move |name: &'static str, class: &'static str, is_reply: bool| {
        let is_shown = move || if is_reply { !hidden.get().1 } else { !hidden.get().0 };
        button()
            .attr("type", "button")
            .attr("aria-pressed", move || if is_shown() { "true" } else { "false" })
            .attr("title", "Show or hide this direction")
            .on(leptos::ev::click, move |_| hidden.update(|h| if is_reply { h.1 = !h.1 } else { h.0 = !h.0 }))
            .child((span().class(class), name))
    };
    let step = move |label: &'static str, title: &'static str, how: Move| ui::push(label, title, "picture-tool", move || go(how));
    div()
        .class("picture")
        .class(("hide-request", move || hidden.get().0))
        .class(("hide-reply", move || hidden.get().1))
        .class(("is-wide", move || app.is_wide.get()))
        .child((
            div().class("picture-tools").child((
                toggle("request", "swatch", false),
                toggle("reply", "swatch reply", true),
                step("+", "Zoom in (+)", Move::In),
                step("−", "Zoom out (−)", Move::Out),
                step("Fit", "Show all of it (0)", Move::Fit),
                button()
                    .attr("type", "button")
                    .attr("title", "Fill the window (f)")
                    .attr("data-testid", "wide")
                    .attr("aria-pressed", move || if app.is_wide.get() { "true" } else { "false" })
                    .on(leptos::ev::click, move |_| app.is_wide.update(|w| *w = !*w))
                    .child("⤢"),
            )),
            div()
                .node_ref(window_ref)
                .class("picture-view")
                .style(("height", move || if app.is_wide.get() { "100%".to_owned() } else { format!("{:.0}px", tall.get()) }))
                .class(("is-dragged", move || is_dragged.get()))
                .on(leptos::ev::pointerdown, on_down)
                .on(leptos::ev::pointermove, on_move)
                .on(leptos::ev::pointerup, stop)
                .on(leptos::ev::pointercancel, stop)
                .on(leptos::ev::pointerleave, move |_| is_held.set_value(false))
                .on(leptos::ev::wheel, on_wheel)
                .on(leptos::ev::dblclick, move |_| fit(0.0))
                .child(drawing),
        ))
        .into_any()
}

fn hops_where(detail: &Detail, fits: impl Fn(&Hop) -> bool) -> Vec<Focus> {
    let hops =
        detail.directions.iter().enumerate().flat_map(|(d, direction)| direction.hops.iter().enumerate().map(move |(h, hop)| (d, h, hop)));
    hops.filter(|(_, _, hop)| fits(hop)).map(|(d, h, _)| Focus::Hop(d, h)).collect()
}

fn frame(rect: &Rect, round: i32) -> AnyView {
    svg::rect()
        .attr("x", rect.x.to_string())
        .attr("y", rect.y.to_string())
        .attr("width", rect.w.to_string())
        .attr("height", rect.h.to_string())
        .attr("rx", round.to_string())
        .into_any()
}

// The space keeps the lines of a box apart for who hears them; it is not drawn.
fn texts(all: &[Text]) -> AnyView {
    all.iter()
        .map(|t| {
            let class = match t.style {
                TextStyle::Caption => "caption",
                TextStyle::Name => "name",
                TextStyle::Address => "address",
                TextStyle::Remark => "remark",
            };
            svg::text().attr("class", class).attr("x", t.x.to_string()).attr("y", t.y.to_string()).child(format!("{} ", t.text))
        })
        .collect_view()
        .into_any()
}

/// Makes a group lead to its evidence, by pointer and by key.
///
/// `hops` are the hops that it stands for: when one of them is in focus, it is marked too.
#[allow(clippy::too_many_arguments)]
fn clickable(
    class: String,
    test: &'static str,
    id: &str,
    label: String,
    app: App,
    focus: Focus,
    hops: Vec<Focus>,
    content: impl IntoView + 'static,
) -> AnyView {
    let (on_click, on_key, is_it) = (focus.clone(), focus.clone(), focus);
    svg::g()
        .attr("class", move || {
            let selected = if app.focus.with(|f| *f == is_it || hops.contains(f)) { " is-selected" } else { "" };
            format!("{class} clickable{selected}")
        })
        .attr("tabindex", "0")
        .attr("role", "button")
        .attr("aria-label", label)
        .attr("data-testid", test)
        .attr("data-id", id.to_owned())
        .on(leptos::ev::click, move |_| app.look_at(on_click.clone()))
        .on(leptos::ev::keydown, move |event: KeyboardEvent| {
            if matches!(event.key().as_str(), "Enter" | " ") {
                event.prevent_default();
                app.look_at(on_key.clone());
            }
        })
        .child(content)
        .into_any()
}

fn area_view(app: App, detail: &Detail, area: &Area) -> AnyView {
    // A device that nobody can look into is a hop itself.
    let hops = hops_where(detail, |hop| hop.interface.is_none() && hop.owner == area.entity);
    let kind = match area.kind {
        AreaKind::Entity(kind) => kind_class(kind),
        AreaKind::HostNetwork => "host_network",
    };
    let seen = if area.observed { "" } else { " is-inferred" };
    let label = area.texts.iter().map(|t| t.text.as_str()).collect::<Vec<_>>().join(" ");
    let content = (frame(&area.rect, 7), texts(&area.texts));
    clickable(format!("area {kind}{seen}"), "box", &area.id, label, app, Focus::Entity(area.entity.clone()), hops, content)
}

fn kind_class(kind: EntityKind) -> &'static str {
    match kind {
        EntityKind::Vpc => "vpc",
        EntityKind::AvailabilityZone => "availability_zone",
        EntityKind::Subnet => "subnet",
        EntityKind::Node => "node",
        EntityKind::Pod => "pod",
        EntityKind::Interface => "interface",
        EntityKind::VpcRouter => "vpc_router",
        EntityKind::LoadBalancer => "load_balancer",
        EntityKind::NatGateway => "nat_gateway",
        EntityKind::InternetGateway => "internet_gateway",
        EntityKind::VpcEndpoint => "vpc_endpoint",
        EntityKind::Service => "service",
        EntityKind::External => "external",
        EntityKind::Unknown => "unknown",
    }
}

fn port_view(app: App, detail: &Detail, port: &Port) -> AnyView {
    let seen = if port.observed { "" } else { " is-inferred" };
    let label = format!("interface {}", port.texts.iter().map(|t| t.text.as_str()).collect::<Vec<_>>().join(" "));
    let focus = Focus::Entity(port.interface.clone().unwrap_or_else(|| port.owner.clone()));
    let hops = hops_where(detail, |hop| hop.interface.is_some() && hop.interface == port.interface);
    clickable(format!("port{seen}"), "port", &port.id, label, app, focus, hops, (frame(&port.rect, 5), texts(&port.texts)))
}

fn way_class(way: Way) -> &'static str {
    match way {
        Way::Request => "request",
        Way::Reply => "reply",
    }
}

fn edge_view(app: App, detail: &Detail, edge: &Edge) -> AnyView {
    let direction = detail.directions.iter().position(|d| d.direction == edge.direction).unwrap_or(0);
    let mut class = format!("edge {}", way_class(edge.direction));
    if !edge.observed {
        class.push_str(" is-inferred");
    }
    if edge.is_beyond_loss {
        class.push_str(" is-beyond");
    }
    let line = rounded(&edge.points);
    let name = |i: u32| {
        detail.labels.get(direction).and_then(|l| l.get(i as usize)).map_or_else(
            || format!("hop {}", i.saturating_add(1)),
            |l| format!("{} {}", l.owner, l.interface.as_deref().unwrap_or_default()),
        )
    };
    let label = format!(
        "{}: {} to {}{}",
        way_class(edge.direction),
        name(edge.from_hop),
        name(edge.to_hop),
        if edge.observed { "" } else { ", inferred" }
    );
    let lost = edge.lost_at.map(|p| {
        let (x, y) = (p.x, p.y);
        svg::path().attr("class", "lost-mark").attr("d", format!("M{} {}l14 14m0 -14l-14 14", x - 7, y - 7))
    });
    let content = (
        svg::path().attr("class", "reach").attr("d", line.clone()),
        svg::path().attr("class", "wire").attr("d", line),
        arrow(&edge.points).map(|d| svg::path().attr("class", "head").attr("d", d)),
        lost,
    );
    clickable(class, "edge", &edge.id, label, app, Focus::Hop(direction, edge.to_hop as usize), Vec::new(), content)
}

fn label_view(label: &Label) -> AnyView {
    let lines = label
        .lines
        .iter()
        .enumerate()
        .map(|(i, change)| {
            let class = match change.kind {
                ChangeKind::Mac => "mac",
                ChangeKind::Ttl => "ttl",
                ChangeKind::Nat => "nat",
                ChangeKind::Tunnel => "tunnel",
                ChangeKind::Delay => "delay",
            };
            let y = label.rect.y + 10 + LINE * i32::try_from(i).unwrap_or(0);
            svg::text().attr("class", class).attr("x", label.rect.x.to_string()).attr("y", y.to_string()).child(change.text.clone())
        })
        .collect_view();
    svg::g().attr("class", format!("label {}", way_class(label.direction))).child((frame(&label.rect, 2), lines)).into_any()
}

/// An orthogonal line with round corners, as path data.
fn rounded(points: &[Point]) -> String {
    const ROUND: f64 = 7.0;
    let mut data = String::new();
    for (i, p) in points.iter().enumerate() {
        let (x, y) = (f64::from(p.x), f64::from(p.y));
        let before = i.checked_sub(1).and_then(|j| points.get(j));
        match (before, points.get(i.saturating_add(1))) {
            (None, _) => data.push_str(&format!("M{x} {y}")),
            (Some(_), None) => data.push_str(&format!("L{x} {y}")),
            (Some(b), Some(n)) => {
                let toward = |q: &Point| {
                    let (dx, dy) = (f64::from(q.x) - x, f64::from(q.y) - y);
                    let length = dx.hypot(dy);
                    let r = ROUND.min(length / 2.0);
                    if length == 0.0 { (x, y) } else { (x + dx / length * r, y + dy / length * r) }
                };
                let ((ax, ay), (cx, cy)) = (toward(b), toward(n));
                data.push_str(&format!("L{ax:.1} {ay:.1}Q{x} {y} {cx:.1} {cy:.1}"));
            }
        }
    }
    data
}

/// The arrow's head at the end of a line.
fn arrow(points: &[Point]) -> Option<String> {
    let [.., before, end] = points else { return None };
    let (x, y) = (f64::from(end.x), f64::from(end.y));
    let (dx, dy) = (x - f64::from(before.x), y - f64::from(before.y));
    let length = dx.hypot(dy);
    if length == 0.0 {
        return None;
    }
    let (ux, uy) = (dx / length, dy / length);
    let (bx, by) = (x - ux * 9.0, y - uy * 9.0);
    Some(format!("M{x} {y}L{:.1} {:.1}L{:.1} {:.1}Z", bx - uy * 4.5, by + ux * 4.5, bx + uy * 4.5, by - ux * 4.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(all: &[(i32, i32)]) -> Vec<Point> {
        all.iter().map(|(x, y)| Point { x: *x, y: *y }).collect()
    }

    #[test]
    fn corners_are_round_and_never_rounder_than_their_sides_are_long() {
        assert_eq!(rounded(&points(&[(0, 0), (100, 0)])), "M0 0L100 0");
        assert_eq!(rounded(&points(&[(0, 0), (100, 0), (100, 50)])), "M0 0L93.0 0.0Q100 0 100.0 7.0L100 50");
        assert_eq!(rounded(&points(&[(0, 0), (4, 0), (4, 4)])), "M0 0L2.0 0.0Q4 0 4.0 2.0L4 4");
        assert_eq!(rounded(&points(&[(5, 5), (5, 5), (9, 5)])), "M5 5L5.0 5.0Q5 5 7.0 5.0L9 5");
    }

    #[test]
    fn the_arrow_points_where_the_line_goes() {
        assert_eq!(arrow(&points(&[(0, 0), (100, 0)])).as_deref(), Some("M100 0L91.0 4.5L91.0 -4.5Z"));
        assert_eq!(arrow(&points(&[(0, 9), (0, 9)])), None);
        assert_eq!(arrow(&points(&[(3, 3)])), None);
    }
}
