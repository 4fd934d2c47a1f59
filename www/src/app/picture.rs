//! The picture of a path: boxes, ports and wires that the engine has placed, drawn as SVG that can be clicked.
//! Knows how each of them looks; must not know where anything belongs.

use hopscope::report::{Hop, Way};
use hopscope::views::layout::{Area, ChangeKind, Edge, LINE, Label, Picture, Point, Port, Rect, Text, TextStyle};
use leptos::prelude::*;
use leptos::svg;
use web_sys::KeyboardEvent;

use super::state::{App, Focus};
use super::viewport::{View, viewport};
use crate::protocol::Detail;

/// Of the browser's window, what the picture takes at most: the tables below it say the same in words.
const PART: f64 = 0.48;

/// The picture with its tools.
pub fn picture(app: App, detail: &Detail, picture: &Picture) -> AnyView {
    viewport(app, (f64::from(picture.width), f64::from(picture.height)), PART, |view, _| drawing(app, detail, picture, view))
}

fn drawing(app: App, detail: &Detail, picture: &Picture, view: RwSignal<View>) -> AnyView {
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
    svg::svg()
        .attr("role", "group")
        .attr("aria-label", picture.title.clone())
        .attr("data-testid", "picture")
        .child((
            svg::desc().child(picture.description.clone()),
            svg::g()
                .attr("transform", move || {
                    let v = view.get();
                    format!("translate({:.2} {:.2}) scale({:.4})", v.x, v.y, v.scale)
                })
                .child((areas, edges, ports, labels, marks)),
        ))
        .into_any()
}

fn hops_where(detail: &Detail, fits: impl Fn(&Hop) -> bool) -> Vec<Focus> {
    let hops =
        detail.directions.iter().enumerate().flat_map(|(d, direction)| direction.all_hops().enumerate().map(move |(h, hop)| (d, h, hop)));
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
    let kind = area.kind.key();
    let seen = if area.observed { "" } else { " is-inferred" };
    let label = area.texts.iter().map(|t| t.text.as_str()).collect::<Vec<_>>().join(" ");
    let content = (frame(&area.rect, 7), texts(&area.texts));
    clickable(format!("area {kind}{seen}"), "box", &area.id, label, app, Focus::Entity(area.entity.clone()), hops, content)
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

/// The arrow's head at the end of a line: its tip and two corners.
pub fn arrow_head(points: &[Point]) -> Option<[(f64, f64); 3]> {
    let [.., before, end] = points else { return None };
    let (x, y) = (f64::from(end.x), f64::from(end.y));
    let (dx, dy) = (x - f64::from(before.x), y - f64::from(before.y));
    let length = dx.hypot(dy);
    if length == 0.0 {
        return None;
    }
    let (ux, uy) = (dx / length, dy / length);
    let (bx, by) = (x - ux * 9.0, y - uy * 9.0);
    Some([(x, y), (bx - uy * 4.5, by + ux * 4.5), (bx + uy * 4.5, by - ux * 4.5)])
}

fn arrow(points: &[Point]) -> Option<String> {
    let [(x, y), (ax, ay), (bx, by)] = arrow_head(points)?;
    Some(format!("M{x} {y}L{ax:.1} {ay:.1}L{bx:.1} {by:.1}Z"))
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
