//! RFM state, cut points and history.

/// See the module.
pub trait RfmStore {}
