//! The hash map for names: it is looked up many times per event, and never iterated if the order would show.
//! show.

/// A map with a hash that is fast for short texts. Each process draws a new seed, so that no feed can choose
/// names that collide.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;
