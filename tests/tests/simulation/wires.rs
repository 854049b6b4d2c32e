//! The cable: two wires that fail, and a plug that is pulled.

use gradgate_link::channel::{Channel, Faults, Tally};
use gradgate_link::frame::DELIMITER;

/// Both directions.
pub struct Cable {
    to_device: Channel,
    to_host: Channel,
    /// Bytes of the device up to a whole frame.
    begun: Vec<u8>,
    pulled_until_ms: u64,
}

impl Cable {
    /// The same faults in both directions.
    pub fn new(seed: u64, faults: Faults) -> Cable {
        Cable {
            to_device: Channel::new(seed, faults),
            to_host: Channel::new(!seed, faults),
            begun: Vec::new(),
            pulled_until_ms: 0,
        }
    }

    /// The plug is out until then; what was under way is lost.
    pub fn pull(&mut self, until_ms: u64) {
        self.pulled_until_ms = until_ms;
        self.to_device.cut();
        self.to_host.cut();
    }

    /// The host sends a frame.
    pub fn send(&mut self, now_ms: u64, frame: &[u8]) {
        if now_ms >= self.pulled_until_ms {
            self.to_device.send(now_ms, frame);
        }
    }

    /// The device wrote bytes; frames of them go out, and are given to `each` before they fail.
    pub fn wrote(&mut self, now_ms: u64, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        for &byte in bytes {
            let ends = byte == DELIMITER && self.begun.iter().any(|&byte| byte != DELIMITER);
            self.begun.push(byte);
            if ends {
                each(&self.begun);
                if now_ms >= self.pulled_until_ms {
                    self.to_host.send(now_ms, &self.begun);
                }
                self.begun.clear();
            }
        }
    }

    /// What arrives at the device.
    pub fn at_device(&mut self, now_ms: u64) -> Vec<u8> {
        self.to_device.receive(now_ms)
    }

    /// What arrives at the host.
    pub fn at_host(&mut self, now_ms: u64) -> Vec<u8> {
        self.to_host.receive(now_ms)
    }

    /// The device lost power in the middle of a frame.
    pub fn device_stopped(&mut self) {
        self.begun.clear();
    }

    /// When something arrives, in milliseconds.
    pub fn next_ms(&self) -> Option<u64> {
        [self.to_device.next_ms(), self.to_host.next_ms()].into_iter().flatten().min()
    }

    /// Frames of both wires that were lost, spoilt, doubled or overtaken.
    pub fn faults(&self) -> u64 {
        let count =
            |tally: Tally| tally.dropped + tally.damaged + tally.duplicated + tally.reordered;
        count(self.to_device.tally()) + count(self.to_host.tally())
    }
}
