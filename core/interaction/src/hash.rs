//! Maps by names: looked up many times at each event, and never walked where the order would show.

/// With a hash that is quick for short texts. Its seed is drawn anew in each process, so that no feed can choose names that
/// collide.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;
