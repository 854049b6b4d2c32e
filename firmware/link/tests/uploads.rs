//! Uploads over bad wires: all arrive whole, and not at any price.

mod common;

use common::{Device, Slot, noise, upload};
use gradgate_link::channel::Faults;
use gradgate_link::upload::{Receiver, Sender};
use gradgate_link::{Refusal, Reply, Request};
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

fn begin(receiver: &mut Receiver, slot: &mut Slot, image: &[u8]) -> Option<Reply<'static>> {
    let sender = Sender::new(image, 512).expect("not empty");
    receiver.answer(&sender.request().expect("begins"), slot)
}

#[test]
fn another_image_never_continues_an_upload() {
    let (one, two) = (noise(1, 3000), noise(2, 3000));
    let Device { mut receiver, mut slot, .. } = upload(3, &one, 512, Faults::default(), 0).device;
    let steps = [(&one, 3000), (&two, 0), (&one, 0)];
    for (image, offset) in steps {
        let reply = begin(&mut receiver, &mut slot, image);
        assert_eq!(reply, Some(Reply::Upload { offset }));
    }
}

#[test]
fn an_upload_goes_on_after_a_restart_and_what_was_kept_is_hashed() {
    let image = noise(4, 3000);
    for (spoilt, finished) in [(false, Reply::Done), (true, Reply::Refused(Refusal::Digest))] {
        let mut slot = Slot::default();
        assert!(begin(&mut Receiver::new(), &mut slot, &image).is_some());
        slot.bytes.extend(&image[..1000]);
        slot.bytes[999] ^= u8::from(spoilt);
        let mut receiver = Receiver::new();
        let reply = begin(&mut receiver, &mut slot, &image);
        assert_eq!(reply, Some(Reply::Upload { offset: 1000 }));
        let chunk = |offset: u32, end: usize| Request::UploadChunk {
            offset,
            bytes: &image[offset as usize..end],
        };
        let steps = [
            (Request::UploadFinish, Reply::Refused(Refusal::State)),
            (chunk(500, 1500), Reply::Upload { offset: 1000 }),
            (Request::UploadChunk { offset: 1000, bytes: &[] }, Reply::Refused(Refusal::Range)),
            (
                Request::UploadChunk { offset: 1000, bytes: &[0; 2001] },
                Reply::Refused(Refusal::Range),
            ),
            (chunk(1000, 3000), Reply::Upload { offset: 3000 }),
            (Request::UploadFinish, finished),
        ];
        for (number, (request, reply)) in steps.into_iter().enumerate() {
            assert_eq!(receiver.answer(&request, &mut slot), Some(reply), "step {number}");
        }
        assert_eq!(slot.finished.is_some(), !spoilt);
    }
}
