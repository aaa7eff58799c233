//! Long work that somebody asked for: imports and exports with their progress.

/// Long work that somebody asked for: imports and exports with their progress.
pub trait JobStore {}
