//! Builds segments and keeps them true.
