//! Link keys and numbers of starts, by what the device's welcomes are tagged with.

use std::collections::HashMap;

use gradgate_link::Key;
use gradgate_link::packet::Packet;

use super::super::operator::link_key;

/// What is known of keys, which are numbered as they were given.
#[derive(Default)]
pub struct Keys {
    /// The newest that may be kept, and the newest that must be.
    pub asked: u8,
    acknowledged: u8,
    /// The oldest that this start may use.
    least: u8,
    starts: u64,
    /// Start in which a key and a start's number were used.
    used: HashMap<(u8, u32), u64>,
}

impl Keys {
    /// Another start: what was acknowledged counts from now on.
    pub fn restart(&mut self) {
        (self.least, self.starts) = (self.acknowledged, self.starts + 1);
    }

    /// The device says that it keeps a key.
    pub fn acknowledged(&mut self, number: u8) {
        self.acknowledged = self.acknowledged.max(number);
    }

    /// The device offers a session.
    ///
    /// # Errors
    /// Under no key, or an older one than must be, or with a number of an earlier start.
    pub fn welcomed(&mut self, packet: &Packet<'_>) -> Result<(), String> {
        let mut known = (self.least..=self.asked).rev();
        let number = known
            .find(|&number| packet.is_authentic(&Key::new(&link_key(number))))
            .ok_or_else(|| format!("a welcome under no key of {} to {}", self.least, self.asked))?;
        // What one start used, later ones do not go behind.
        self.acknowledged = self.acknowledged.max(number);
        let boot = (packet.session >> 32) as u32;
        let start = *self.used.entry((number, boot)).or_insert(self.starts);
        match start == self.starts {
            true => Ok(()),
            false => Err(format!("start {boot} comes again with key {number}")),
        }
    }
}
