//! Runs that stay: waits, waiting for signals, branches, tests; that nothing depends on whether a run is put away.

mod branch;
mod harness;
mod kept;
mod splits;
mod wait;
mod wait_for;
