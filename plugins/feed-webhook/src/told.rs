//! Which events were taken already.

use std::collections::{HashSet, VecDeque};

use ring::digest::{SHA256, digest};

/// Ids that are remembered: at a hundred events a second, of the last ten minutes. A sender that tries again does so sooner.
const MOST: usize = 65_536;

/// By digest: ids may be as long as a sender likes.
type Key = [u8; 16];

#[derive(Debug, Default)]
pub struct Told {
    known: HashSet<Key>,
    order: VecDeque<Key>,
}

impl Told {
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
        let mut told = Told::default();
        (0..=MOST).for_each(|n| told.add(&n.to_string()));
        told.add("1");
        assert!(!told.has("0") && told.has("1") && told.has(&MOST.to_string()));
        assert_eq!((told.known.len(), told.order.len()), (MOST, MOST));
    }
}
