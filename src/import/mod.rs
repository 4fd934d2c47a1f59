//! Inventory documents → [`Located`] facts. One importer per command family; they do not know each other,
//! nor anything of inference. Import never fails as a whole: what was readable comes back, with notes.

use crate::facts::Located;
use crate::model::Note;

/// What an importer found in one document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// Statements, in the order of the document.
    pub facts: Vec<Located>,
    /// What could not be read, with the JSON pointer or the line.
    pub notes: Vec<Note>,
}
