//! What the person corrects: an input like any other, named like the session file that it can be saved as.
//! Knows the session's text form; must not know what a correction does.

use hopscope::facts::{Correction, Fact};
use hopscope::import::session::to_json;
use hopscope::ingest::{Data, Ingest};
use hopscope::model::Nanos;
use hopscope::report::Status;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::state::App;
use super::{gather, ui};
use crate::protocol::{Found, Key};

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
    let old = app.inputs.with_untracked(|rows| rows.iter().find(|row| &*row.name == NAME).map(|row| row.key));
    match (old, corrections.is_empty()) {
        (Some(key), true) => app.remove_input(key),
        (Some(key), false) => match gather::text_file(NAME, &to_json(&corrections)) {
            Ok(file) => app.replace_input(key, file),
            Err(why) => app.notice.set(Some(why)),
        },
        (None, true) => {}
        (None, false) => gather::add_text(app, NAME, &to_json(&corrections)),
    }
}

/// A session file was read: what it says becomes this sitting's corrections, to be seen, changed and saved with the others.
pub fn adopt(app: App, key: Key, found: &[Found]) {
    // One that was read only in part stays an input, with its message.
    if !matches!(found, [one] if one.kind == "session" && one.status == Status::Ok) {
        return;
    }
    let ours = app.inputs.with_untracked(|rows| rows.iter().find(|row| row.key == key).is_some_and(|row| &*row.name == NAME));
    let Some(file) = app.pool.with_value(|pool| pool.file(key)) else { return };
    spawn_local(async move {
        let Ok(text) = wasm_bindgen_futures::JsFuture::from(file.text()).await else { return };
        let mut ingest = Ingest::new(NAME);
        ingest.push(text.as_string().unwrap_or_default().as_bytes());
        let facts = ingest.finish().into_iter().flat_map(|one| match one.data {
            Data::Facts(facts) => facts,
            _ => Vec::new(),
        });
        let loaded: Vec<Correction> = facts
            .filter_map(|f| match f.fact {
                Fact::Correction(correction) => Some(correction),
                _ => None,
            })
            .collect();
        if loaded.is_empty() {
            return;
        }
        let mut all = app.corrections.get_untracked();
        loaded.iter().cloned().for_each(|c| put(&mut all, c));
        let is_new = app.corrections.with_untracked(|now| *now != all);
        if is_new {
            app.corrections.set(all);
        }
        // One input speaks for all corrections: another file with the same would contradict it once one is changed.
        if !ours {
            ui::tell(app, format!("{} taken from {}", ui::plural(loaded.len() as u64, "correction"), file.name()));
            app.remove_input(key);
        }
        if is_new || !ours {
            apply(app);
        }
    });
}

/// Offers the corrections as a file.
pub fn save(app: App) {
    let corrections = app.corrections.get_untracked();
    if corrections.is_empty() {
        ui::tell(app, "There is nothing to save yet: make a correction first, under Corrections or Captures".to_owned());
    } else {
        ui::download(app, NAME, "application/json", &to_json(&corrections));
    }
}
