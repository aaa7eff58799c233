//! The catalogue in memory, with best sellers and relations.
