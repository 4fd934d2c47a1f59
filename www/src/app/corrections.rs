//! What the person corrects: the list of corrections, and the fields in which one is written.
//! Knows how a person writes an offset or an address; must not know what a correction does.

use std::net::IpAddr;

use hopscope::facts::Correction;
use hopscope::model::{Mac, Nanos};
use hopscope::report::CapturePoint;
use hopscope::views::escape::inert;
use leptos::html::{button, code, datalist, div, h3, input, label, li, option, p, span, ul};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::state::{App, Tab};
use super::{session, ui};
use crate::protocol::{Answer, Name, Question};

/// The tab: every correction, and one for a new owner.
pub fn corrections(app: App) -> AnyView {
    let list = move || {
        let all = app.corrections.get();
        if all.is_empty() {
            return p()
                .class("empty")
                .child(
                    "Nothing corrected. Where something is wrong, say so: where a capture was made or how its clock went (under \
                     Captures), or whose an address is (below). The report follows, and Save keeps it for the next time.",
                )
                .into_any();
        }
        (
            ul().class("corrections").child(all.into_iter().enumerate().map(|(i, c)| one(app, i, c)).collect_view()),
            div().class("toolbar").child(ui::push(
                "Save…",
                "The corrections as a file; drop it with the same inputs to have them back",
                "save-corrections",
                move || {
                    session::save(app);
                },
            )),
        )
            .into_any()
    };
    div().attr("data-testid", "corrections").child((list, h3().child("Whose is this address?"), owner(app))).into_any()
}

fn one(app: App, index: usize, correction: Correction) -> AnyView {
    let (subject, text, edit): (String, AnyView, Option<(String, String)>) = match correction {
        Correction::Placement { input_name, interface_name, at } => {
            let name = interface_name.map_or(input_name.clone(), |i| format!("{input_name} · {i}"));
            (name, ("was captured at ", code().child(inert(&at))).into_any(), None)
        }
        Correction::ClockOffset { input_name, offset_ns } => {
            (input_name, format!("clock ahead by {} s", seconds(offset_ns)).into_any(), None)
        }
        Correction::Owner { mac, ip, entity } => {
            let address = [mac.map(|m| m.to_string()), ip.map(|i| i.to_string())].into_iter().flatten().collect::<Vec<_>>().join(" ");
            (address.clone(), ("is ", code().child(inert(&entity))).into_any(), Some((address, entity)))
        }
    };
    let change = move || match &edit {
        Some(owner) => app.draft.set(owner.clone()),
        None => app.tab.set(Tab::Points),
    };
    li().class("correction")
        .attr("data-testid", "correction")
        .child((
            div().class("input-name").child(inert(&subject)),
            div().class("placed").child(text),
            div().class("toolbar").child((
                button()
                    .attr("type", "button")
                    .class("quiet link")
                    .attr("data-testid", "edit-correction")
                    .on(leptos::ev::click, move |_| change())
                    .child("Change"),
                ui::push("Take back", "Forget this correction", "take-back", move || session::take_back(app, index)),
            )),
        ))
        .into_any()
}

/// Fields for an address and whose it is.
fn owner(app: App) -> AnyView {
    let fault = RwSignal::new(None::<String>);
    let names = RwSignal::new(Vec::<Name>::new());
    let look_up = move |like: String| {
        spawn_local(async move {
            if let Ok(Answer::Names(some)) = app.ask(Question::Names { like }, None).await {
                names.try_set(some);
            }
        });
    };
    let save = move || {
        let (address, entity) = app.draft.get_untracked();
        match owner_of(&address, &entity) {
            Ok(correction) => {
                fault.set(None);
                app.draft.set(Default::default());
                session::correct(app, correction);
            }
            Err(why) => fault.set(Some(why)),
        }
    };
    div()
        .class("correct-owner")
        .child((
            label().class("field-line").child((
                span().child("Address"),
                input()
                    .attr("type", "text")
                    .attr("placeholder", "an IP, a MAC, or both")
                    .attr("spellcheck", "false")
                    .attr("data-testid", "owner-address")
                    .prop("value", move || app.draft.with(|d| d.0.clone()))
                    .on(leptos::ev::input, move |event| app.draft.update(|d| d.0 = event_target_value(&event))),
            )),
            label().class("field-line").child((
                span().child("is"),
                input()
                    .attr("type", "text")
                    .attr("placeholder", "such as pod:default/web-0")
                    .attr("spellcheck", "false")
                    .attr("list", "entities")
                    .attr("data-testid", "owner-entity")
                    .prop("value", move || app.draft.with(|d| d.1.clone()))
                    .on(leptos::ev::input, move |event| {
                        let typed = event_target_value(&event);
                        app.draft.update(|d| d.1.clone_from(&typed));
                        look_up(typed);
                    }),
            )),
            options("entities", names.into()),
            div().class("toolbar").child(ui::push("Correct", "Take this for certain and analyse anew", "owner-save", save)),
            move || fault.get().map(|why| p().class("message").attr("role", "alert").child(why)),
        ))
        .into_any()
}

fn options(id: &'static str, names: Signal<Vec<Name>>) -> AnyView {
    let all = move || names.get().into_iter().map(|n| option().attr("value", n.id).child(n.label)).collect_view();
    datalist().attr("id", id).child(all).into_any()
}

/// Fields for where a capture was made and how its clock went.
pub fn of_point(app: App, input_name: &str, c: &CapturePoint, interfaces: Vec<Name>) -> AnyView {
    let interface = c.interface_name.clone();
    let place = RwSignal::new(session::placed(app, input_name, interface.as_deref()).unwrap_or_default());
    let offset = RwSignal::new(session::clock(app, input_name).map(seconds).unwrap_or_default());
    let fault = RwSignal::new(None::<String>);
    let id = format!("interfaces-{}", c.id);
    let choices = interfaces.into_iter().map(|n| option().attr("value", n.id).child(n.label)).collect_view();
    let name = input_name.to_owned();
    let save = move || {
        let at = place.get_untracked().trim().to_owned();
        let typed = offset.get_untracked();
        let offset_ns = match typed.trim() {
            "" => None,
            typed => match nanos(typed) {
                Some(ns) => Some(ns),
                None => return fault.set(Some(format!("{typed:?} is no number of seconds, such as -3.2"))),
            },
        };
        app.corrections.update(|all| {
            all.retain(|c| match c {
                Correction::Placement { input_name, interface_name, .. } => *input_name != name || *interface_name != interface,
                Correction::ClockOffset { input_name, .. } => *input_name != name,
                Correction::Owner { .. } => true,
            });
            if !at.is_empty() {
                all.push(Correction::Placement { input_name: name.clone(), interface_name: interface.clone(), at });
            }
            if let Some(offset_ns) = offset_ns {
                all.push(Correction::ClockOffset { input_name: name.clone(), offset_ns });
            }
        });
        app.corrected.set(None);
        session::apply(app);
    };
    div()
        .class("correct")
        .attr("data-testid", "correct-form")
        .child((
            label().class("field-line").child((
                span().child("captured at"),
                input()
                    .attr("type", "text")
                    .attr("placeholder", "interface")
                    .attr("spellcheck", "false")
                    .attr("list", id.clone())
                    .attr("data-testid", "correct-place")
                    .prop("value", move || place.get())
                    .on(leptos::ev::input, move |event| place.set(event_target_value(&event))),
            )),
            datalist().attr("id", id).child(choices),
            label().class("field-line").child((
                span().child("clock ahead by"),
                input()
                    .attr("type", "text")
                    .attr("placeholder", "seconds, such as -3.2")
                    .attr("inputmode", "decimal")
                    .attr("data-testid", "correct-clock")
                    .prop("value", move || offset.get())
                    .on(leptos::ev::input, move |event| offset.set(event_target_value(&event))),
            )),
            div().class("toolbar").child((
                ui::push(
                    "Correct",
                    "Take this for certain and analyse anew; an empty field takes its correction back",
                    "correct-save",
                    save,
                ),
                ui::push("Cancel", "Change nothing", "correct-cancel", move || app.corrected.set(None)),
            )),
            move || fault.get().map(|why| p().class("message").attr("role", "alert").child(why)),
        ))
        .into_any()
}

/// Begins a correction of whose this address is.
pub fn begin(app: App, address: &str) {
    app.draft.set((address.to_owned(), String::new()));
    app.tab.set(Tab::Corrections);
}

/// An IP, a MAC or both, and an entity's id.
///
/// # Errors
/// What is wrong with it, for a person.
fn owner_of(address: &str, entity: &str) -> Result<Correction, String> {
    let (mut mac, mut ip) = (None, None);
    for word in address.split([' ', ',']).filter(|w| !w.is_empty()) {
        match (word.parse::<IpAddr>(), word.parse::<Mac>()) {
            (Ok(address), _) => ip = Some(address),
            (_, Ok(address)) => mac = Some(address),
            _ => return Err(format!("{word:?} is neither an IP address nor a MAC address")),
        }
    }
    if mac.is_none() && ip.is_none() {
        return Err("an IP or a MAC address is needed".to_owned());
    }
    let entity = entity.trim();
    match entity.split_once(':') {
        Some((kind, rest)) if !kind.is_empty() && !rest.is_empty() => Ok(Correction::Owner { mac, ip, entity: entity.to_owned() }),
        _ => Err("an id as the report writes it is needed, such as pod:default/web-0 or node:ip-10-0-0-1".to_owned()),
    }
}

/// `-3.2` → −3 200 000 000. Exact to the nanosecond; `None` for what is no such number.
fn nanos(seconds: &str) -> Option<Nanos> {
    let plain = seconds.trim().trim_end_matches('s').trim_end().replace('−', "-");
    let (is_negative, digits) = match plain.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || (whole.is_empty() && part.is_empty()) {
        return None;
    }
    let padded = format!("{:0<9}", part.get(..9).unwrap_or(part));
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let all = whole.checked_mul(1_000_000_000)?.checked_add(padded.parse().ok()?)?;
    Some(if is_negative { all.checked_neg()? } else { all })
}

/// −3 200 000 000 → `-3.2`.
fn seconds(ns: Nanos) -> String {
    let (whole, part) = (ns.unsigned_abs() / 1_000_000_000, ns.unsigned_abs() % 1_000_000_000);
    let sign = if ns < 0 { "-" } else { "" };
    let part = format!("{part:09}");
    match part.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        part => format!("{sign}{whole}.{part}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{nanos, owner_of, seconds};

    #[test]
    fn offsets_are_read_as_they_are_written() {
        for (text, ns) in [("-3.2", -3_200_000_000), ("0.000041", 41_000), ("12", 12_000_000_000), ("-0.5", -500_000_000), ("0", 0)] {
            assert_eq!((nanos(text), seconds(ns).as_str()), (Some(ns), text));
        }
        assert_eq!(nanos(" +1.5 s "), Some(1_500_000_000));
        assert_eq!(nanos(".5"), Some(500_000_000));
        assert_eq!(nanos("0.1234567891"), Some(123_456_789));
        for wrong in ["", "-", ".", "1,5", "1e3", "5 ms", "99999999999999"] {
            assert_eq!(nanos(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_owner_needs_an_address_and_an_id() {
        assert!(owner_of("10.0.0.1 0e:26:9f:32:7d:d6", "router:subnet-1").is_ok());
        assert!(owner_of("", "router:subnet-1").is_err());
        assert!(owner_of("10.0.0.300", "router:subnet-1").is_err());
        assert!(owner_of("10.0.0.1", "tomcat").is_err());
    }
}
