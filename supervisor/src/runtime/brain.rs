//! Stands in until the brain is merged.

use std::path::Path;

use crate::settings::Settings;

/// How `run` was started.
#[derive(Debug, Clone, Copy)]
pub struct RunOptions {
    /// Leave the workers running when the brain stops.
    pub detach: bool,
}

/// Stands in until the brain is merged.
pub fn run(_config: &Path, _settings: Settings, _options: RunOptions) -> Result<(), std::io::Error> {
    Err(std::io::ErrorKind::Unsupported.into())
}
