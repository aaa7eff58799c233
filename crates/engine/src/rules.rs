//! Fields, segments, templates and journeys compiled once and kept.
