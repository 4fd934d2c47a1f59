//! The frame of the page: header, columns, dialogs, keys.

use hopscope::views::collect::{self, Target};
use hopscope::views::escape::inert;
use leptos::html::{button, dd, div, dl, dt, h2, h3, header, input, kbd, label, main, p, pre, section, span, textarea};
use leptos::prelude::*;
use wasm_bindgen::JsCast as _;
use web_sys::{Element, HtmlElement, HtmlInputElement, HtmlTextAreaElement, KeyboardEvent};

use super::state::{App, Dialog, Focus, Viewer};
use super::{conversations, evidence, gather, inputs, lists, path, start, ui};

/// The whole page.
pub fn shell(app: App) -> AnyView {
    listen_for_keys(app);
    let is_empty = Memo::new(move |_| app.inputs.with(Vec::is_empty));
    let body = move || {
        if is_empty.get() {
            start::start(app)
        } else {
            div()
                .class("columns")
                .child((
                    section()
                        .class("left")
                        .attr("aria-label", "Inputs and conversations")
                        .child((inputs::inputs(app), conversations::conversations(app))),
                    div().class("stage").class(("is-wide", move || app.is_wide.get())).child((
                        section().class("above").attr("aria-label", "Path").child(path::path(app)),
                        div().class("below").child((
                            section().class("centre").attr("aria-label", "Hops").child(path::hops(app)),
                            section().class("right").attr("aria-label", "Findings and evidence").child(lists::lists(app)),
                        )),
                    )),
                ))
                .into_any()
        }
    };
    let fault = move || {
        app.fault.get().map(|text| {
            div()
                .class("fault")
                .attr("role", "alert")
                .child((span().child(inert(&text)), ui::push("Dismiss", "Hide this message", "dismiss-fault", move || app.fault.set(None))))
        })
    };
    let notice = move || {
        app.notice.get().map(|text| {
            div()
                .class("notice")
                .child((span().child(inert(&text)), ui::push("✕", "Hide this message", "dismiss", move || app.notice.set(None))))
        })
    };
    div()
        .class("page")
        .child((
            top(app),
            fault,
            main().id("main").child(body),
            div().attr("role", "status").attr("aria-live", "polite").child(notice),
            move || app.dialog.get().map(|dialog| self::dialog(app, dialog)),
            div().class("drop-veil").attr("aria-hidden", "true").child(p().child("Drop files and folders to add them")),
        ))
        .into_any()
}

fn top(app: App) -> AnyView {
    let state = move || {
        if app.inputs.with(Vec::is_empty) {
            String::new()
        } else if !app.has_engine.get() {
            "loading the engine…".to_owned()
        } else if app.is_reading() {
            let is_there = app.overview.with(|o| o.conversations > 0);
            if is_there { "reading… what is shown is what was read so far" } else { "reading…" }.to_owned()
        } else if app.is_analysing.get() {
            "analysing…".to_owned()
        } else {
            app.took_ms.get().map_or(String::new(), |ms| format!("analysed in {ms:.0} ms"))
        }
    };
    let sampled = move || app.overview.with(|o| o.sampled.clone());
    header()
        .class("top")
        .child((
            span().class("brand").child("Hopscope"),
            span()
                .class("state")
                .attr("role", "status")
                .attr("data-testid", "state")
                .attr("data-settled", move || if app.is_reading() || app.is_analysing.get() { "false" } else { "true" })
                .attr("data-inputs", move || app.overview.with(|o| o.inputs.len()).to_string())
                .child(state),
            move || {
                let why = "More packets than fit into this tab: the same ones are examined at every capture point. What is missing, and delays, are estimates.";
                sampled().map(|text| span().class("state").attr("data-testid", "sampled").attr("title", why).child(text))
            },
            move || {
                let why = "Whatever a guess would say of them would be wrong as often as not, and all that is built upon it.";
                let left_out = app.overview.with(|o| o.left_out.clone());
                left_out.map(|text| span().class("state").attr("data-testid", "left-out").attr("title", why).child(text))
            },
            div().class("toolbar").child((
                evidence::export_menu(app),
                button()
                    .attr("type", "button")
                    .attr("title", "Light or dark")
                    .attr("data-testid", "theme")
                    .on(leptos::ev::click, move |_| toggle_theme(app))
                    .child("◐"),
                ui::push("?", "Keys", "keys", move || app.dialog.set(Some(Dialog::Keys))),
            )),
        ))
        .into_any()
}

/// The buttons that open the file and folder pickers.
pub fn pickers(app: App) -> AnyView {
    let take = move |event: web_sys::Event| {
        let Some(field) = event.target().and_then(|t| t.dyn_into::<HtmlInputElement>().ok()) else { return };
        if let Some(files) = field.files() {
            gather::picked(app, &files);
        }
        // So that the same file can be picked again.
        field.set_value("");
    };
    let files = label().class("picker").child((
        "Add files…",
        input()
            .attr("type", "file")
            .attr("multiple", true)
            .attr("data-testid", "file-input")
            .attr("aria-label", "Add files")
            .on(leptos::ev::change, take),
    ));
    let folder = label().class("picker").child((
        "Add a folder…",
        input()
            .attr("type", "file")
            .attr("webkitdirectory", true)
            .attr("multiple", true)
            .attr("data-testid", "folder-input")
            .attr("aria-label", "Add a folder")
            .on(leptos::ev::change, take),
    ));
    (files, folder).into_any()
}

fn toggle_theme(app: App) {
    let Some(root) = document().document_element() else { return };
    let prefers_dark = window().match_media("(prefers-color-scheme: dark)").ok().flatten().is_some_and(|m| m.matches());
    let is_dark = root.get_attribute("data-theme").map_or(prefers_dark, |t| t == "dark");
    let next = if is_dark { "light" } else { "dark" };
    let _ = root.set_attribute("data-theme", next);
    app.is_dark.set(next == "dark");
    if let Ok(Some(storage)) = window().local_storage() {
        let _ = storage.set_item("hopscope-theme", next);
    }
}

/// As the person last chose; otherwise the system decides.
pub fn restore_theme() {
    if let (Some(root), Ok(Some(storage))) = (document().document_element(), window().local_storage())
        && let Ok(Some(theme)) = storage.get_item("hopscope-theme")
    {
        let _ = root.set_attribute("data-theme", &theme);
    }
}

fn listen_for_keys(app: App) {
    restore_theme();
    let handle = window_event_listener(leptos::ev::keydown, move |event: KeyboardEvent| {
        let is_in_field = event.target().and_then(|t| t.dyn_into::<HtmlElement>().ok()).is_some_and(|t| gather::is_field(&t));
        if event.key() == "Escape" {
            if app.dialog.get_untracked().is_some() {
                app.dialog.set(None);
            } else if app.viewer.with_untracked(|v| *v != Viewer::Closed) {
                app.viewer.set(Viewer::Closed);
            } else if app.is_wide.get_untracked() {
                app.is_wide.set(false);
            } else {
                app.focus.set(Focus::Nothing);
            }
            return;
        }
        if is_in_field || event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        match event.key().as_str() {
            "?" => app.dialog.set(Some(Dialog::Keys)),
            "/" => {
                event.prevent_default();
                if let Ok(Some(field)) = document().query_selector("[data-testid=filter]") {
                    let _ = field.unchecked_into::<HtmlElement>().focus();
                }
            }
            "m" if app.inputs.with_untracked(|rows| !rows.is_empty()) => app.is_map.update(|is| *is = !*is),
            "f" => app.is_wide.update(|w| *w = !*w),
            "n" | "j" => app.step(1),
            "p" | "k" => app.step(-1),
            // Arrow keys scroll the page, except on the picture.
            key if key.starts_with("Arrow") => {
                let is_on_picture =
                    event.target().and_then(|t| t.dyn_into::<Element>().ok()).is_some_and(|t| matches!(t.closest(".picture"), Ok(Some(_))));
                if is_on_picture || app.is_wide.get_untracked() {
                    event.prevent_default();
                    path::key(app, key);
                }
            }
            key => path::key(app, key),
        }
    });
    std::mem::forget(handle);
}

fn dialog(app: App, which: Dialog) -> AnyView {
    let (title, content) = match which {
        Dialog::Keys => ("Keys", keys()),
        Dialog::Paste => ("Paste text", paste(app)),
        Dialog::Commands => ("Commands that collect what Hopscope reads", commands(app)),
    };
    // The browser's own modal dialog: it keeps the keyboard inside, closes on Esc and gives the focus back.
    let element = NodeRef::<leptos::html::Dialog>::new();
    Effect::new(move |_| {
        if let Some(dialog) = element.get() {
            request_animation_frame(move || {
                if dialog.is_connected() && !dialog.open() {
                    let _ = dialog.show_modal();
                }
            });
        }
    });
    let close = ui::push("Close", "Close (Esc)", "close-dialog", move || app.dialog.set(None));
    leptos::html::dialog()
        .node_ref(element)
        .class("dialog")
        .attr("aria-label", title)
        .attr("data-testid", "dialog")
        .on(leptos::ev::close, move |_| app.dialog.set(None))
        .on(leptos::ev::click, move |event| {
            // What is outside the dialog's content is the dialog itself: its backdrop.
            if event.target().and_then(|t| t.dyn_into::<web_sys::HtmlDialogElement>().ok()).is_some() {
                app.dialog.set(None);
            }
        })
        .child(div().class("dialog-content").child((div().class("dialog-top").child((h2().child(title), close)), content)))
        .into_any()
}

fn keys() -> AnyView {
    let build = crate::host::build();
    const KEYS: [(&str, &str); 11] = [
        ("/", "find a conversation"),
        ("n  p", "next, previous conversation"),
        ("m", "all conversations as one map, and back"),
        ("+  −", "zoom the picture"),
        ("0", "fit the picture"),
        ("f", "let the picture fill the window"),
        ("arrow keys", "move the picture, or walk through a list"),
        ("Enter", "evidence of what is focused"),
        ("Ctrl V", "add what is on the clipboard as an input"),
        ("Esc", "close what is open"),
        ("?", "this list"),
    ];
    let rows = KEYS.iter().map(|(key, what)| (dt().child(kbd().child(*key)), dd().child(*what))).collect_view();
    (dl().class("keys").child(rows), p().child(format!("Hopscope {} · build {build}", env!("CARGO_PKG_VERSION")))).into_any()
}

fn paste(app: App) -> AnyView {
    let field = NodeRef::<leptos::html::Textarea>::new();
    let add = move || {
        if let Some(area) = field.get_untracked() {
            let area: HtmlTextAreaElement = area;
            gather::pasted(app, &area.value());
            app.dialog.set(None);
        }
    };
    div()
        .child((
            p().child("The output of a command: ip addr, ip route, arp, iptables-save, kubectl … -o json, aws ec2 describe-…"),
            textarea()
                .node_ref(field)
                .attr("rows", "14")
                .attr("autofocus", true)
                .attr("aria-label", "Text to add")
                .attr("data-testid", "paste-text"),
            div().class("toolbar").child(ui::push("Add", "Add this text as an input", "paste-add", add)),
        ))
        .into_any()
}

/// The commands that collect what Hopscope reads, for the pods and nodes that the person names.
fn commands(app: App) -> AnyView {
    let pods = RwSignal::new(String::new());
    let nodes = RwSignal::new(String::new());
    let target = move || {
        let words = |text: String| text.split([',', ' ', '\n']).filter(|w| !w.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        // A pod named without its namespace is in the default one, as for kubectl.
        let pods = words(pods.get()).into_iter().map(|p| if p.contains('/') { p } else { format!("default/{p}") }).collect();
        Target { pods, nodes: words(nodes.get()) }
    };
    let field = |name: &'static str, hint: &'static str, value: RwSignal<String>| {
        label().class("field-line").child((
            span().child(name),
            input()
                .attr("type", "text")
                .attr("placeholder", hint)
                .attr("spellcheck", "false")
                .on(leptos::ev::input, move |event| value.set(event_target_value(&event))),
        ))
    };
    let list = move || {
        let mut last = None;
        collect::commands(&target())
            .into_iter()
            .map(|c| {
                let heading = (last.as_ref() != Some(&c.place)).then(|| h3().child(place(&c.place)));
                last = Some(c.place);
                let copied = c.command.clone();
                div().class("command").attr("data-testid", "command").child((
                    heading,
                    div().class("command-line").child((
                        span().child(c.why),
                        button()
                            .attr("type", "button")
                            .attr("aria-label", "Copy this command")
                            .on(leptos::ev::click, move |_| ui::copy(app, "command", &copied))
                            .child("Copy"),
                    )),
                    pre().child(c.command),
                ))
            })
            .collect_view()
    };
    let all = move || ui::copy(app, "all commands", &collect::script(&target()));
    (
        p().child("Name the pods and nodes that the packet passes, as far as you know them; the commands follow. All of them only read."),
        div().class("fields").child((
            field("Pods", "default/tomcat-0, default/mysql-0", pods),
            field("Nodes", "ip-192-168-34-143.ap-northeast-2.compute.internal", nodes),
        )),
        div().class("toolbar").child(ui::push("Copy all as a script", "Copy every command with its reason", "copy-all", all)),
        list,
    )
        .into_any()
}

fn place(place: &collect::Place) -> String {
    match place {
        collect::Place::Workstation => "Where kubectl and aws work".to_owned(),
        collect::Place::Node(node) => format!("On {node}, as root"),
        collect::Place::NodeOfPod(pod) => format!("On the node that runs {pod}, as root"),
        collect::Place::EachNode => "On every node that the packet may cross, as root".to_owned(),
    }
}
