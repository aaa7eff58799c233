//! Sign-in, users, keys, the audit log: each rule, and tries to get around it.

mod audit;
