//! Scores all contacts, and one.
