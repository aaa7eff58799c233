//! Imports in batches with a checkpoint.
