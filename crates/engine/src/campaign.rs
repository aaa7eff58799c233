//! Runs a journey over its audience.
