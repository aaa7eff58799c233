//! Journeys, enrolments, traces, counters.

/// See the module.
pub trait JourneyStore {}
