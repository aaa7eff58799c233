//! The audit log: who published, exported, erased or changed what.

/// The audit log: who published, exported, erased or changed what.
pub trait AuditStore {}
