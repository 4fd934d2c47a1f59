//! Trunk's output → the site and the single HTML file.
//! Knows how the page's parts are embedded; must not know how they were built.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::sh;

/// Put the site together from what Trunk built.
pub(crate) fn assemble(trunk_dist: &Path, out_site: &Path, out_single_html: &Path) -> Result<()> {
    for file in sh::files_below(trunk_dist, &|_| false)? {
        let to = out_site.join(file.strip_prefix(trunk_dist)?);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(&file, &to).with_context(|| format!("could not copy {}", file.display()))?;
    }
    fs::copy(out_site.join("index.html"), out_single_html)?;
    Ok(())
}
