//! Ids of the events that were already taken.

use std::collections::{HashSet, VecDeque};

use ring::digest::{SHA256, digest};

/// Most ids remembered: ten minutes at a hundred events a second. Senders retry sooner than that.
const MOST: usize = 65_536;

/// Start of the id's digest: ids may be as long as a sender likes.
type Key = [u8; 16];

#[derive(Debug, Default)]
pub struct SeenIds {
    known: HashSet<Key>,
    order: VecDeque<Key>,
}

impl SeenIds {
    pub fn has(&self, id: &str) -> bool {
        self.known.contains(&key(id))
    }

    pub fn add(&mut self, id: &str) {
        let key = key(id);
        if !self.known.insert(key) {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

fn key(id: &str) -> Key {
    let digest = digest(&SHA256, id.as_bytes());
    let mut key = Key::default();
    key.copy_from_slice(&digest.as_ref()[..16]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_ids_are_forgotten_first() {
        let mut seen = SeenIds::default();
        (0..=MOST).for_each(|n| seen.add(&n.to_string()));
        seen.add("1");
        assert!(!seen.has("0") && seen.has("1") && seen.has(&MOST.to_string()));
        assert_eq!((seen.known.len(), seen.order.len()), (MOST, MOST));
    }
}
