//! The stock LRU as a guest.
