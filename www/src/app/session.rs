//! What the person corrects: an input like any other, named like the session file that it can be saved as.
//! Must not know what a correction does, nor how a session file is written: the engine does.

use hopscope::facts::Correction;
use hopscope::model::Nanos;
use hopscope::report::Status;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::state::App;
use super::{gather, ui};
use crate::protocol::{Answer, Found, Key, Question};

/// The name of the input that holds the corrections.
pub const NAME: &str = "session.hopscope.json";

/// Adds a correction, in the place of one that speaks of the same.
pub fn correct(app: App, correction: Correction) {
    app.corrections.update(|all| put(all, correction));
    apply(app);
}

/// Takes a correction back.
pub fn take_back(app: App, index: usize) {
    app.corrections.update(|all| {
        if index < all.len() {
            all.remove(index);
        }
    });
    apply(app);
}

/// Where the person says that this was captured, if they do.
pub fn placed(app: App, input_name: &str, interface_name: Option<&str>) -> Option<String> {
    app.corrections.with(|all| {
        all.iter().find_map(|c| match c {
            Correction::Placement { input_name: name, interface_name: n, at } if name == input_name && n.as_deref() == interface_name => {
                Some(at.clone())
            }
            _ => None,
        })
    })
}

/// How far the person says that this capture's clock is ahead, if they do.
pub fn clock(app: App, input_name: &str) -> Option<Nanos> {
    app.corrections.with(|all| {
        all.iter().find_map(|c| match c {
            Correction::ClockOffset { input_name: name, offset_ns } if name == input_name => Some(*offset_ns),
            _ => None,
        })
    })
}

/// Puts a correction in the place of one that speaks of the same, else at the end.
fn put(all: &mut Vec<Correction>, correction: Correction) {
    let same = |a: &Correction| match (a, &correction) {
        (
            Correction::Placement { input_name: a, interface_name: x, .. },
            Correction::Placement { input_name: b, interface_name: y, .. },
        ) => a == b && x == y,
        (Correction::Owner { mac: a, ip: x, .. }, Correction::Owner { mac: b, ip: y, .. }) => a == b && x == y,
        (Correction::ClockOffset { input_name: a, .. }, Correction::ClockOffset { input_name: b, .. }) => a == b,
        _ => false,
    };
    match all.iter().position(same).and_then(|i| all.get_mut(i)) {
        Some(old) => *old = correction,
        None => all.push(correction),
    }
}

/// Makes the corrections the input that they are, and analyses anew.
pub fn apply(app: App) {
    let corrections = app.corrections.get_untracked();
    if corrections.is_empty() {
        return input(app).map_or((), |key| app.remove_input(key));
    }
    with_text(app, corrections, move |text| match input(app) {
        Some(key) => match gather::text_file(NAME, text) {
            Ok(file) => app.replace_input(key, file),
            Err(why) => app.notice.set(Some(why)),
        },
        None => gather::add_text(app, NAME, text),
    });
}

/// The input that holds the corrections.
fn input(app: App) -> Option<Key> {
    app.inputs.with_untracked(|rows| rows.iter().find(|row| &*row.name == NAME).map(|row| row.key))
}

/// Does something with the text of a session file.
fn with_text(app: App, corrections: Vec<Correction>, f: impl FnOnce(&str) + 'static) {
    spawn_local(async move {
        match app.ask(Question::Session { corrections }, None).await {
            Ok(Answer::Session(text)) => f(&text),
            Ok(_) => {}
            Err(why) => app.notice.set(Some(why)),
        }
    });
}

/// A session file was read: what it says becomes this sitting's corrections, to be seen, changed and saved with the others.
pub fn adopt(app: App, key: Key, found: &[Found]) {
    // One that was read only in part stays an input, with its message.
    let [Found { kind, status: Status::Ok, corrections: loaded, .. }] = found else { return };
    if kind != "session" || loaded.is_empty() {
        return;
    }
    let name = app.inputs.with_untracked(|rows| rows.iter().find(|row| row.key == key).map(|row| row.name.clone()));
    let ours = name.as_deref() == Some(NAME);
    let Some(file) = app.pool.with_value(|pool| pool.file(key)) else { return };
    let mut all = app.corrections.get_untracked();
    loaded.iter().cloned().for_each(|c| put(&mut all, c));
    let is_new = app.corrections.with_untracked(|now| *now != all);
    if is_new {
        app.corrections.set(all);
    }
    // One input speaks for all corrections: another file with the same would contradict it once one is changed.
    if !ours {
        ui::tell(app, format!("{} taken from {}", ui::plural(loaded.len() as u64, "correction"), file.name()));
    }
    if is_new || !ours {
        // Not while the pool is speaking, as it is now.
        spawn_local(async move {
            if !ours {
                app.remove_input(key);
            }
            apply(app);
        });
    }
}

/// Offers the corrections as a file.
pub fn save(app: App) {
    let corrections = app.corrections.get_untracked();
    if corrections.is_empty() {
        ui::tell(app, "There is nothing to save yet: make a correction first, under Corrections or Captures".to_owned());
    } else {
        with_text(app, corrections, move |text| ui::download(app, NAME, "application/json", text));
    }
}
