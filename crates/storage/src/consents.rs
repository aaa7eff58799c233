//! What was agreed to through links and forms, with its proof.

/// What was agreed to through links and forms, with its proof.
pub trait ConsentStore {}
