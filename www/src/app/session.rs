//! What the person corrects: an input like any other, named like the session file that it can be saved as.
//! Knows the session's text form; must not know what a correction does.

use hopscope::facts::Correction;
use hopscope::import::session::to_json;
use leptos::prelude::*;

use super::state::App;
use super::{gather, ui};

/// The name of the input that holds this sitting's corrections.
pub const NAME: &str = "session.hopscope.json";

/// States where a capture was made, and analyses anew. `at` is an interface's id; `None` takes the statement back.
pub fn place(app: App, input_name: &str, interface_name: Option<&str>, at: Option<&str>) {
    app.corrections.update(|all| {
        all.retain(|c| !matches!(c, Correction::Placement { input_name: i, interface_name: n, .. } if i == input_name && n.as_deref() == interface_name));
        if let Some(at) = at {
            all.push(Correction::Placement {
                input_name: input_name.to_owned(),
                interface_name: interface_name.map(str::to_owned),
                at: at.to_owned(),
            });
        }
    });
    apply(app);
}

/// The correction of this capture point, if there is one.
pub fn placed(app: App, input_name: &str, interface_name: Option<&str>) -> Option<String> {
    app.corrections.with(|all| {
        all.iter().find_map(|c| match c {
            Correction::Placement { input_name: i, interface_name: n, at } if i == input_name && n.as_deref() == interface_name => {
                Some(at.clone())
            }
            _ => None,
        })
    })
}

fn apply(app: App) {
    let old = app.inputs.with_untracked(|rows| rows.iter().find(|row| &*row.name == NAME).map(|row| row.key));
    if let Some(key) = old {
        app.remove_input(key);
    }
    let corrections = app.corrections.get_untracked();
    if !corrections.is_empty() {
        gather::add_text(app, NAME, &to_json(&corrections));
    }
}

/// Offers the corrections as a file.
pub fn save(app: App) {
    let corrections = app.corrections.get_untracked();
    if corrections.is_empty() {
        ui::tell(app, "There is nothing to save yet: correct where a capture was made (under Capture points) first".to_owned());
    } else {
        ui::download(app, NAME, "application/json", &to_json(&corrections));
    }
}
