//! A device that runs in this process, and frames for it.

use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::write::sign;
use gradgate_device::sim::{SERVED_LINK_KEY, Served, sim_key};
use gradgate_field::address::BAUD;
use gradgate_field::client::Client;
use gradgate_field::error::Error;
use gradgate_field::flash::{Flash, Options, Package};
use gradgate_field::hil::{Expected, Given, Hooks, Rig, Sent, Source, Unfit};
use gradgate_field::keys::{Keyring, LinkKey};
use gradgate_field::link::Patience;
use gradgate_field::wire::Live;

pub const SHIPPED: &[u8] = include_bytes!("../../../../models/bundles/signs.gate");
/// Of the shipped bundle.
pub const SIDE: usize = 32;

/// A device that runs the shipped bundle.
pub fn bench() -> (Served, Rig<Live>) {
    let served = Served::start();
    let wire = Live::open(&served.address.parse().expect("an address"), BAUD).expect("it is there");
    let keyring = Keyring::link(LinkKey::new(SERVED_LINK_KEY));
    let client = Client::new(wire, keyring, Patience::default());
    let mut rig = Rig::new(client, &served.address, Hooks::default()).expect("it answers");
    flash(&mut rig, AlignedBytes::from(SHIPPED));
    (served, rig)
}

/// Signs the bundle and puts it onto the device.
pub fn flash(rig: &mut Rig<Live>, mut bundle: AlignedBytes) {
    sign(&mut bundle, &sim_key()).expect("a bundle");
    let package = Package::read(bundle, None).expect("a good bundle");
    let mut flash = Flash::new(&package, Options::default()).expect("not empty");
    rig.client().run(&mut flash, |_, _| {}).expect("it takes the bundle");
    rig.confirm().expect("it is on trial");
}

/// Frames that are held.
#[derive(Clone)]
pub struct Held(pub Vec<Given>);

impl Source for Held {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn frame(&mut self, index: usize) -> Result<Given, Error> {
        Ok(self.0[index].clone())
    }
}

pub fn picture(seed: usize) -> Vec<u8> {
    (0..SIDE * SIDE * 3).map(|at| ((at * (seed + 3)) >> 4) as u8).collect()
}

pub fn given(bytes: Vec<u8>, sent: Sent, expected: Expected) -> Given {
    let picture = picture(0);
    Given { name: format!("{:?}", &bytes[..2]), bytes, sent, expected, values: Vec::new(), picture }
}

/// Frames with what the device itself says of them: what a test then changes is the only
/// difference.
pub fn learnt(rig: &mut Rig<Live>, count: usize) -> Held {
    let learn = |seed: usize| {
        let nothing = Expected::unfit(Unfit::Constant);
        let mut given = given(picture(seed), Sent::Model, nothing);
        let judged = rig.send(&given).expect("it judges");
        let (class, verdict, score) = (judged.class, judged.verdict, judged.score);
        given.expected = Expected { class, verdict, score, unfit: None };
        given.values = rig.values().expect("it tells");
        given
    };
    Held((0..count).map(learn).collect())
}
