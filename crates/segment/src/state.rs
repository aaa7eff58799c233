//! What is kept of a contact's history for one condition, so that an event costs what it matches, not what lies in the
//! history.

use crate::{Activity, Condition, Entries, Entry, activity::Tally};
