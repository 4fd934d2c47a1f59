//! All conversations as one map, drawn on a canvas: a picture of a thousand interfaces has more parts than a document bears.
//! Knows how each part looks and what is under the pointer; must not know where anything belongs.
//!
//! What is out of sight is not drawn, and what would be too small to read gives way to the names of the boxes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use hopscope::report::{EntityKind, Way};
use hopscope::views::layout::{Area, AreaKind, Edge, Picture, Point, Rect, Text, TextStyle};
use js_sys::Array;
use leptos::html::{canvas, div, h1, p};
use leptos::prelude::*;
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{CanvasRenderingContext2d, CssStyleDeclaration, HtmlCanvasElement, MouseEvent};

use super::state::{App, Focus};
use super::ui;
use super::viewport::{View, viewport};

/// Of the browser's window, what the map takes at most: below it are no tables.
const PART: f64 = 0.7;
/// Texts are as high as 10 to 12 units; below this scale they cannot be read.
const READABLE: f64 = 0.55;
/// A box that is at least so wide and high in pixels bears its name then.
const NAMED: (f64, f64) = (46.0, 15.0);
/// Average width of a letter of such a name.
const LETTER: f64 = 6.0;
/// Below this scale arrows are specks.
const POINTED: f64 = 0.3;

/// The map with its heading.
pub fn map(app: App) -> AnyView {
    let heading = move || app.overview.with(|o| format!("All {}", ui::plural(u64::from(o.conversations), "conversation")));
    let content = move || match app.map.get() {
        Some(Ok(picture)) => {
            let size = (f64::from(picture.width), f64::from(picture.height));
            viewport(app, size, PART, |view, hidden| drawing(app, &picture, view, hidden))
        }
        Some(Err(why)) => p().class("message").child(why).into_any(),
        None => div().class("picture").child(div().class("picture-view")).into_any(),
    };
    let hint = "Every wire that some packet took. A box or an interface leads to what is known of it, and from there to its conversations.";
    (div().class("path-head").child((h1().child(heading), p().class("sub").child(hint))), content).into_any()
}

fn drawing(app: App, picture: &Arc<Picture>, view: RwSignal<View>, hidden: RwSignal<(bool, bool)>) -> AnyView {
    let canvas_ref = NodeRef::<leptos::html::Canvas>::new();
    let painter =
        SendWrapper::new(Rc::new(Painter { picture: Arc::clone(picture), is_waiting: Cell::new(false), theme: RefCell::default() }));
    Effect::new(move |_| {
        let (_, hidden, focus) = (view.get(), hidden.get(), app.focus.get());
        app.is_dark.track();
        let Some(canvas) = canvas_ref.get() else { return };
        // However many changes there are before the next frame, that draws once.
        if painter.is_waiting.replace(true) {
            return;
        }
        let painter = painter.clone();
        request_animation_frame(move || {
            painter.is_waiting.set(false);
            if let Some(view) = view.try_get_untracked() {
                let selected = if let Focus::Entity(id) = &focus { Some(id.as_str()) } else { None };
                painter.draw(&canvas, view, hidden, selected);
            }
        });
    });
    let below = Arc::clone(picture);
    let click = move |event: MouseEvent| {
        let View { x, y, scale } = view.get_untracked();
        let at = ((f64::from(event.offset_x()) - x) / scale, (f64::from(event.offset_y()) - y) / scale);
        if let Some(entity) = under(&below, at) {
            app.look_at(Focus::Entity(entity.to_owned()));
        }
    };
    canvas()
        .node_ref(canvas_ref)
        .class("map")
        .attr("data-testid", "map")
        .attr("data-interfaces", picture.ports.len().to_string())
        .attr("role", "img")
        .attr("aria-label", picture.title.clone())
        .on(leptos::ev::click, click)
        .child(p().child(picture.description.clone()))
        .into_any()
}

/// The entity drawn at a point: an interface, else the innermost box.
fn under(picture: &Picture, (x, y): (f64, f64)) -> Option<&str> {
    let holds = |r: &Rect| {
        let (left, top) = (f64::from(r.x), f64::from(r.y));
        x >= left && y >= top && x <= left + f64::from(r.w) && y <= top + f64::from(r.h)
    };
    let port = picture.ports.iter().find(|port| holds(&port.rect)).map(|port| port.interface.as_ref().unwrap_or(&port.owner));
    // Parents come before their children.
    port.or_else(|| picture.boxes.iter().rev().find(|area| holds(&area.rect)).map(|area| &area.entity)).map(String::as_str)
}

struct Painter {
    picture: Arc<Picture>,
    is_waiting: Cell<bool>,
    /// Colours of the style sheet, as far as they were asked for in this drawing.
    theme: RefCell<Theme>,
}

#[derive(Default)]
struct Theme {
    style: Option<CssStyleDeclaration>,
    colours: BTreeMap<&'static str, String>,
}

/// What of the picture is in sight, in its own units.
#[derive(Clone, Copy)]
struct Sight {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Sight {
    fn has(&self, r: &Rect) -> bool {
        let (x, y) = (f64::from(r.x), f64::from(r.y));
        x <= self.right && y <= self.bottom && x + f64::from(r.w) >= self.left && y + f64::from(r.h) >= self.top
    }

    fn crosses(&self, points: &[Point]) -> bool {
        let (Some(left), Some(right)) = (points.iter().map(|p| p.x).min(), points.iter().map(|p| p.x).max()) else { return false };
        let (Some(top), Some(bottom)) = (points.iter().map(|p| p.y).min(), points.iter().map(|p| p.y).max()) else { return false };
        self.has(&Rect { x: left, y: top, w: right.saturating_sub(left), h: bottom.saturating_sub(top) })
    }
}

impl Painter {
    fn draw(&self, canvas: &HtmlCanvasElement, view: View, hidden: (bool, bool), selected: Option<&str>) {
        let ratio = window().device_pixel_ratio().max(1.0);
        let (width, height) = (f64::from(canvas.client_width()), f64::from(canvas.client_height()));
        let Ok(Some(context)) = canvas.get_context("2d") else { return };
        let Ok(c) = context.dyn_into::<CanvasRenderingContext2d>() else { return };
        let (w, h) = ((width * ratio) as u32, (height * ratio) as u32);
        if (canvas.width(), canvas.height()) != (w, h) {
            canvas.set_width(w);
            canvas.set_height(h);
        }
        let root = document().document_element();
        let style = root.and_then(|root| window().get_computed_style(&root).ok().flatten());
        *self.theme.borrow_mut() = Theme { style, colours: BTreeMap::new() };

        let s = view.scale;
        let _ = c.set_transform(ratio, 0.0, 0.0, ratio, 0.0, 0.0);
        c.clear_rect(0.0, 0.0, width, height);
        let _ = c.translate(view.x, view.y);
        let _ = c.scale(s, s);
        let sight = Sight { left: -view.x / s, top: -view.y / s, right: (width - view.x) / s, bottom: (height - view.y) / s };
        // A line is at least one pixel wide, however small the picture.
        let thin = (1.0 / s).max(1.0);

        for area in self.picture.boxes.iter().filter(|a| sight.has(&a.rect)) {
            self.area(&c, area, thin, selected == Some(area.entity.as_str()));
        }
        self.wires(&c, sight, hidden, s);
        for port in self.picture.ports.iter().filter(|p| sight.has(&p.rect)) {
            let is_selected = selected.is_some() && selected == port.interface.as_deref();
            dashed(&c, if port.observed { &[] } else { &[3.0, 3.0] });
            c.set_fill_style_str(&self.colour("--port"));
            c.set_stroke_style_str(&self.colour(if is_selected { "--accent" } else { "--soft" }));
            c.set_line_width(if is_selected { 2.5 * thin } else { thin });
            framed(&c, &port.rect, 5.0);
        }
        dashed(&c, &[]);
        if s >= READABLE {
            let areas = self.picture.boxes.iter().filter(|a| sight.has(&a.rect)).flat_map(|a| &a.texts);
            let ports = self.picture.ports.iter().filter(|p| sight.has(&p.rect)).flat_map(|p| &p.texts);
            areas.chain(ports).for_each(|text| self.text(&c, text));
        } else {
            let _ = c.set_transform(ratio, 0.0, 0.0, ratio, 0.0, 0.0);
            c.set_font("600 11px Helvetica, Arial, sans-serif");
            c.set_fill_style_str(&self.colour("--ink"));
            for area in self.picture.boxes.iter().filter(|a| sight.has(&a.rect)) {
                name(&c, area, view);
            }
        }
    }

    fn area(&self, c: &CanvasRenderingContext2d, area: &Area, thin: f64, is_selected: bool) {
        let (fill, line, dash): (_, _, &[f64]) = match area.kind {
            AreaKind::HostNetwork => ("--host", "--line", &[3.0, 3.0]),
            AreaKind::Entity(EntityKind::Vpc) => ("--vpc", "--line", &[]),
            AreaKind::Entity(EntityKind::AvailabilityZone) => ("--az", "--line", &[6.0, 4.0]),
            AreaKind::Entity(EntityKind::Subnet) => ("--subnet", "--line", &[]),
            AreaKind::Entity(EntityKind::Node) => ("--node", "--warn", &[]),
            AreaKind::Entity(EntityKind::Pod) => ("--pod", "--accent", &[]),
            AreaKind::Entity(EntityKind::Unknown) => ("--warn-back", "--warn", &[]),
            AreaKind::Entity(_) => ("--device", "--reply", &[]),
        };
        dashed(c, if area.observed { dash } else { &[5.0, 4.0] });
        c.set_fill_style_str(&self.colour(fill));
        c.set_stroke_style_str(&self.colour(if is_selected { "--accent" } else { line }));
        c.set_line_width(if is_selected { 2.5 * thin } else { thin });
        framed(c, &area.rect, 7.0);
    }

    /// Wires of one look are one line to the canvas.
    fn wires(&self, c: &CanvasRenderingContext2d, sight: Sight, hidden: (bool, bool), s: f64) {
        for (way, colour, is_hidden) in [(Way::Request, "--request", hidden.0), (Way::Reply, "--reply", hidden.1)] {
            if is_hidden {
                continue;
            }
            let edges = || self.picture.edges.iter().filter(|e| e.direction == way && sight.crosses(&e.points));
            let colour = self.colour(colour);
            c.set_stroke_style_str(&colour);
            c.set_fill_style_str(&colour);
            c.set_line_width((1.0 / s).max(1.6));
            for (is_observed, is_beyond) in [(true, false), (false, false), (true, true), (false, true)] {
                dashed(c, if is_observed { &[] } else { &[6.0, 5.0] });
                c.set_global_alpha(if is_beyond { 0.35 } else { 1.0 });
                let alike = || edges().filter(move |e| e.observed == is_observed && e.is_beyond_loss == is_beyond);
                c.begin_path();
                alike().for_each(|edge| line(c, edge));
                c.stroke();
                if s >= POINTED {
                    c.begin_path();
                    alike().for_each(|edge| head(c, &edge.points));
                    c.fill();
                }
            }
            c.set_global_alpha(1.0);
        }
        dashed(c, &[]);
        c.set_stroke_style_str(&self.colour("--bad"));
        c.set_line_width(3.0);
        c.begin_path();
        for at in self.picture.edges.iter().filter_map(|e| e.lost_at) {
            let (x, y) = (f64::from(at.x), f64::from(at.y));
            c.move_to(x - 7.0, y - 7.0);
            c.line_to(x + 7.0, y + 7.0);
            c.move_to(x + 7.0, y - 7.0);
            c.line_to(x - 7.0, y + 7.0);
        }
        c.stroke();
    }

    fn text(&self, c: &CanvasRenderingContext2d, text: &Text) {
        let (font, colour) = match text.style {
            TextStyle::Caption => ("11px Helvetica, Arial, sans-serif", "--soft"),
            TextStyle::Name => ("600 12px Helvetica, Arial, sans-serif", "--ink"),
            TextStyle::Address => ("10px ui-monospace, Menlo, Consolas, \"DejaVu Sans Mono\", monospace", "--soft"),
            TextStyle::Remark => ("italic 10px Helvetica, Arial, sans-serif", "--soft"),
        };
        c.set_font(font);
        c.set_fill_style_str(&self.colour(colour));
        let _ = c.fill_text(&text.text, f64::from(text.x), f64::from(text.y));
    }

    fn colour(&self, name: &'static str) -> String {
        let mut theme = self.theme.borrow_mut();
        let Theme { style, colours } = &mut *theme;
        let ask = || style.as_ref().and_then(|style| style.get_property_value(name).ok()).unwrap_or_default();
        colours.entry(name).or_insert_with(ask).clone()
    }
}

/// A box's name over it, in letters that keep their size.
fn name(c: &CanvasRenderingContext2d, area: &Area, view: View) {
    let r = &area.rect;
    let (width, height) = (f64::from(r.w) * view.scale, f64::from(r.h) * view.scale);
    if width < NAMED.0 || height < NAMED.1 {
        return;
    }
    let letters = ((width - 8.0) / LETTER) as usize;
    let whole: String = area.texts.iter().filter(|t| t.style == TextStyle::Name).map(|t| t.text.as_str()).collect();
    // A container has but a caption.
    let whole = if whole.is_empty() { area.texts.first().map(|t| t.text.clone()).unwrap_or_default() } else { whole };
    let shown =
        if whole.chars().count() > letters { whole.chars().take(letters.saturating_sub(1)).chain(['…']).collect() } else { whole };
    let _ = c.fill_text(&shown, f64::from(r.x) * view.scale + view.x + 4.0, f64::from(r.y) * view.scale + view.y + 12.0);
}

fn dashed(c: &CanvasRenderingContext2d, lengths: &[f64]) {
    let list: Array = lengths.iter().map(|length| JsValue::from_f64(*length)).collect();
    let _ = c.set_line_dash(&list);
}

fn framed(c: &CanvasRenderingContext2d, r: &Rect, round: f64) {
    let (x, y, w, h) = (f64::from(r.x), f64::from(r.y), f64::from(r.w), f64::from(r.h));
    c.begin_path();
    if c.round_rect_with_f64(x, y, w, h, round).is_err() {
        c.rect(x, y, w, h);
    }
    c.fill();
    c.stroke();
}

fn line(c: &CanvasRenderingContext2d, edge: &Edge) {
    let mut points = edge.points.iter();
    if let Some(first) = points.next() {
        c.move_to(f64::from(first.x), f64::from(first.y));
    }
    points.for_each(|p| c.line_to(f64::from(p.x), f64::from(p.y)));
}

fn head(c: &CanvasRenderingContext2d, points: &[Point]) {
    if let Some([tip, left, right]) = super::picture::arrow_head(points) {
        c.move_to(tip.0, tip.1);
        c.line_to(left.0, left.1);
        c.line_to(right.0, right.1);
        c.close_path();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hopscope::views::layout::Port;

    fn area(entity: &str, rect: Rect) -> Area {
        Area {
            id: entity.to_owned(),
            entity: entity.to_owned(),
            parent: None,
            kind: AreaKind::Entity(EntityKind::Node),
            rect,
            texts: Vec::new(),
            observed: true,
            confidence: 1.0,
            evidence: Vec::new(),
        }
    }

    #[test]
    fn the_innermost_thing_is_under_the_pointer() {
        let rect = |x, y, w, h| Rect { x, y, w, h };
        let port = Port {
            id: "if:node:n/eth0".into(),
            interface: Some("if:node:n/eth0".into()),
            owner: "node:n".into(),
            area: "node:n".into(),
            rect: rect(90, 40, 20, 10),
            texts: Vec::new(),
            observed: true,
            capture_points: Vec::new(),
            evidence: Vec::new(),
        };
        let boxes = vec![area("vpc:v", rect(0, 0, 300, 300)), area("node:n", rect(10, 10, 90, 90)), area("pod:p", rect(20, 20, 30, 30))];
        let picture = Picture { boxes, ports: vec![port], ..Picture::default() };
        assert_eq!(under(&picture, (25.0, 25.0)), Some("pod:p"));
        assert_eq!(under(&picture, (95.0, 45.0)), Some("if:node:n/eth0"));
        assert_eq!(under(&picture, (60.0, 60.0)), Some("node:n"));
        assert_eq!(under(&picture, (200.0, 60.0)), Some("vpc:v"));
        assert_eq!(under(&picture, (301.0, 60.0)), None);
    }

    #[test]
    fn what_is_out_of_sight_is_not_drawn() {
        let sight = Sight { left: 100.0, top: 100.0, right: 200.0, bottom: 200.0 };
        assert!(sight.has(&Rect { x: 190, y: 190, w: 50, h: 50 }));
        assert!(!sight.has(&Rect { x: 201, y: 100, w: 50, h: 50 }));
        // A wire may cross the window with no corner in it.
        assert!(sight.crosses(&[Point { x: 0, y: 150 }, Point { x: 500, y: 150 }]));
        assert!(!sight.crosses(&[Point { x: 0, y: 50 }, Point { x: 500, y: 50 }]));
        assert!(!sight.crosses(&[]));
    }
}
