//! The window that a picture is seen through: moved, zoomed and fitted, by pointer and by key; and its tools.
//! Knows the picture's size; must not know what it shows.

use leptos::html::{button, div, span};
use leptos::prelude::*;
use web_sys::{PointerEvent, WheelEvent};

use super::state::App;
use super::ui;

/// How the picture lies in its window: moved by (x, y), then scaled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    pub x: f64,
    pub y: f64,
    pub scale: f64,
}

/// Out to here, or farther where only that shows all of it.
const SMALLEST: f64 = 0.1;
const LARGEST: f64 = 4.0;
/// Below this scale nothing can be told apart: the first view then shows the beginning of the path rather than all of it.
const TELLING: f64 = 0.3;
/// The window's height in pixels: as the picture needs, within these.
const LOWEST: f64 = 160.0;
const HIGHEST: f64 = 1200.0;
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

/// The window with its tools around what `content` makes. It is given the view and which directions are hidden (request, reply), and
/// is drawn over the whole window.
///
/// `size` is the picture's width and height. The page's keys come through `app.moves`.
pub fn viewport(app: App, size: (f64, f64), part: f64, content: impl FnOnce(RwSignal<View>, RwSignal<(bool, bool)>) -> AnyView) -> AnyView {
    let (width, height) = (size.0.max(1.0), size.1.max(1.0));
    let view = RwSignal::new(View { x: 0.0, y: 0.0, scale: 1.0 });
    let window_ref = NodeRef::<leptos::html::Div>::new();
    let hidden = RwSignal::new((false, false));
    // What runs in a later frame may find the picture replaced by another: hence the `try_`.
    let size = move || {
        let element = window_ref.try_get_untracked().flatten();
        element.map_or((800.0, 400.0), |e| (f64::from(e.client_width()), f64::from(e.client_height())))
    };
    let tall = RwSignal::new(LOWEST);
    let highest = move || {
        let inner = window().inner_height().ok().and_then(|h| h.as_f64()).unwrap_or(HIGHEST);
        (inner * part).clamp(LOWEST, HIGHEST)
    };
    // The scale at which all of it is in sight.
    let whole = move || {
        let (w, h) = size();
        // What lies over the lower part of a wide picture are the lists and the evidence.
        let room = if app.is_wide.get_untracked() { h * WIDE } else { highest() };
        ((w - 2.0 * MARGIN) / width).min((room - 2.0 * MARGIN) / height).clamp(0.001, 1.1)
    };
    let fit = move |at_least: f64| {
        let (w, h) = size();
        let is_wide = app.is_wide.get_untracked();
        let highest = highest();
        let scale = whole().max(at_least);
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
            let scale = (v.scale * factor).clamp(SMALLEST.min(whole()), LARGEST);
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
        let (count, how) = app.moves.get();
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

    let content = content(view, hidden);
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
                .child(content),
        ))
        .into_any()
}
