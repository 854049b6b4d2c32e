//! Uploads over bad wires: all arrive whole, and not at any price.

mod common;

use common::{noise, upload};
use gradgate_link::channel::Faults;
use sha2::{Digest, Sha256};

/// Each with its own seed; frames sent for 100 that would do without faults.
fn uploads(count: u64, image_bytes: usize, faults: &str, cut_every: u32) -> f64 {
    let faults: Faults = faults.parse().expect("faults of tests");
    let (mut sent, mut bytes) = (0, 0);
    for seed in 0..count {
        let image = noise(seed, image_bytes + seed as usize % 700);
        let outcome = upload(seed, &image, 512, faults, cut_every);
        assert!(outcome.done, "seed {seed}");
        let device = &outcome.device;
        let digest: [u8; 32] = Sha256::digest(&image).into();
        assert_eq!(device.slot.finished, Some(digest), "seed {seed}");
        let written: [u8; 32] = Sha256::digest(&device.slot.bytes).into();
        assert_eq!(written, digest, "seed {seed}");
        assert_eq!(device.slot.begun, 1, "seed {seed}: resumed, not begun again");
        sent += outcome.to_device.bytes;
        bytes += image.len() as u64;
    }
    sent as f64 / bytes as f64
}

#[test]
fn a_thousand_uploads_at_one_percent_loss_arrive_whole() {
    let ratio = uploads(1000, 4000, "drop=0.01", 0);
    assert!(ratio < 1.5, "{ratio} bytes sent a byte");
}

#[test]
fn uploads_survive_every_fault_at_once_and_a_pulled_plug() {
    let faults = "drop=0.01,flip=1e-5,duplicate=0.01,reorder=0.01,burst=0.01,truncate=0.01,\
                  glue=0.01,zero=0.01,delay=5";
    let ratio = uploads(100, 16_000, faults, 16);
    assert!(ratio < 1.5, "{ratio} bytes sent a byte");
}

#[test]
fn another_image_never_continues_an_upload() {
    let (one, two) = (noise(1, 3000), noise(2, 3000));
    let first = upload(3, &one, 512, Faults::default(), 0);
    assert!(first.done);
    let mut device = first.device;
    let mut slot = common::Slot::default();
    let mut ask = |image: &[u8]| {
        let sender = gradgate_link::upload::Sender::new(image, 512).expect("not empty");
        device.receiver.answer(&sender.request().expect("begins"), &mut slot)
    };
    use gradgate_link::Reply;
    assert_eq!(ask(&one), Some(Reply::Upload { offset: 3000 }));
    assert_eq!(ask(&two), Some(Reply::Upload { offset: 0 }));
    assert_eq!(ask(&one), Some(Reply::Upload { offset: 0 }));
}
