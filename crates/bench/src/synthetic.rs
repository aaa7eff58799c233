//! Synthetic bases of any size from a seed.
