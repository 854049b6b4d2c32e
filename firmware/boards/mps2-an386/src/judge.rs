//! What the board does with its input: load, self-test, one frame, results as bits.

use gradgate_bundle::Bundle;
use gradgate_bundle::detector::{Fault, Judgement, Reason};
use gradgate_bundle::manifest::{DeviceClass, check_device_class};
use gradgate_engine::{Engine, Features, Frame};

use crate::counter;
use crate::host::{self, HostError};
use crate::print::{self, Piece, Piece::Bits, Piece::Number, Piece::Text};

/// The board's buffers.
pub struct Memory {
    /// For the bundle, at a multiple of 16 bytes.
    pub bundle: &'static mut [u8],
    /// For the frame.
    pub frame: &'static mut [u8],
    /// For the engine.
    pub arena: &'static mut [f32],
}

/// Why there is no verdict. Names only: the host's own tools say of the same files what is wrong.
#[derive(Clone, Copy, Debug)]
pub enum BoardError {
    /// No input.
    Host(HostError),
    /// Not a bundle.
    Parse,
    /// For another class of device.
    DeviceClass,
    /// A plan that the engine refuses.
    Load,
    /// A frame or an arena of the wrong length.
    Run,
    /// Larger than the board's.
    Arena { elements: usize },
    /// The self-test could not be judged.
    Fault,
    /// The self-test gave other bits; `index` counts logits, features, then the score.
    SelfTest { index: usize },
    /// The self-test expects another number of values than the bundle yields.
    SelfTestLength,
}

impl BoardError {
    /// Prints it.
    pub fn print(self) {
        let (name, number) = match self {
            BoardError::Host(error) => (error.name(), None),
            BoardError::Parse => ("the bundle is refused", None),
            BoardError::DeviceClass => ("the bundle is for another class of device", None),
            BoardError::Load => ("the bundle's plan is refused", None),
            BoardError::Run => ("frame or arena has another length", None),
            BoardError::Arena { elements } => ("the arena is too small: elements", Some(elements)),
            BoardError::Fault => ("the self-test could not be judged", None),
            BoardError::SelfTest { index } => ("the self-test gave other bits: value", Some(index)),
            BoardError::SelfTestLength => ("the self-test has another length", None),
        };
        let all = [Text("FAILED:"), Text(name), number_of(number.unwrap_or(0))];
        print::line(if number.is_some() { &all } else { &all[..2] });
    }
}

/// What the engine gave for one frame.
type Outcome<'m> = (Features<'m>, Option<Result<Judgement, Fault>>);

/// Everything, in order.
pub fn run(memory: Memory) -> Result<(), BoardError> {
    let (bundle, frame) = host::arguments().map_err(BoardError::Host)?;
    let bytes = host::read(&bundle, memory.bundle).map_err(BoardError::Host)?;
    // Unsigned bundles are accepted: the emulated board has no key, and its host is trusted.
    let bundle = Bundle::parse(bytes).map_err(|_| BoardError::Parse)?;
    check_device_class(bundle.manifest(), DeviceClass::CortexM4F)
        .map_err(|_| BoardError::DeviceClass)?;
    let engine = Engine::load(bundle).map_err(|_| BoardError::Load)?;
    let elements = engine.arena_elements();
    let (bundle, arena) = (number_of(bytes.len()), number_of(elements * 4));
    print::line(&[Text("# bundle bytes"), bundle, Text("arena bytes"), arena]);
    let arena = memory.arena.get_mut(..elements).ok_or(BoardError::Arena { elements })?;
    self_test(&engine, arena)?;
    let Some(frame) = frame else { return Ok(()) };
    let frame = host::read(&frame, memory.frame).map_err(BoardError::Host)?;
    let before = counter::instructions();
    let outcome = engine.judge(Frame::U8(frame), arena).map_err(|_| BoardError::Run)?;
    let instructions = counter::instructions() - before;
    print(&outcome);
    // Past 32 bits, and far past every ceiling, the count stays at its largest.
    let instructions = u32::try_from(instructions).unwrap_or(u32::MAX);
    print::line(&[Text("# instructions"), Number(instructions)]);
    Ok(())
}

fn self_test(engine: &Engine<'_>, arena: &mut [f32]) -> Result<(), BoardError> {
    let Some((frame, expected)) = engine.bundle().self_test() else {
        print::line(&[Text("self-test absent")]);
        return Ok(());
    };
    let (features, judgement) =
        engine.judge(Frame::U8(frame), arena).map_err(|_| BoardError::Run)?;
    let score = judgement.transpose().map_err(|_| BoardError::Fault)?.map(|seen| seen.score);
    let parts =
        [features.logits, features.squared_norms, features.activation_norms, features.alignments];
    let mut seen = parts.into_iter().flatten().copied().chain(score);
    for (index, expected) in expected.iter().enumerate() {
        let seen = seen.next().ok_or(BoardError::SelfTestLength)?;
        if seen.to_bits() != expected.to_bits() {
            return Err(BoardError::SelfTest { index });
        }
    }
    if seen.next().is_some() {
        return Err(BoardError::SelfTestLength);
    }
    print::line(&[Text("self-test ok")]);
    Ok(())
}

fn print((features, judgement): &Outcome<'_>) {
    let parts = [
        ("logit", features.logits),
        ("squared_norm", features.squared_norms),
        ("activation_norm", features.activation_norms),
        ("penultimate", features.penultimate),
        ("alignment", features.alignments),
    ];
    for (name, values) in parts {
        for (index, value) in values.iter().enumerate() {
            print::line(&[Text(name), number_of(index), Bits(*value)]);
        }
    }
    match judgement {
        Some(Ok(seen)) => {
            print::line(&[Text("score"), Bits(seen.score)]);
            print::line(&[Text("p_value"), Bits(seen.p_value)]);
            print::line(&[Text("reason"), Text(reason(seen.reason))]);
            print::line(&[Text("class"), Number(seen.class)]);
        }
        Some(Err(fault)) => print_fault(*fault),
        None => {}
    }
}

/// A count; lengths here fit 32 bits.
fn number_of(count: usize) -> Piece<'static> {
    Number(u32::try_from(count).unwrap_or(u32::MAX))
}

fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Sensor => "Sensor",
        Reason::Shift => "Shift",
        Reason::Doubt => "Doubt",
    }
}

fn print_fault(fault: Fault) {
    let (name, index) = match fault {
        Fault::Length => ("Length", None),
        Fault::Norm(index) => ("Norm", Some(index)),
        Fault::Activation(index) => ("Activation", Some(index)),
        Fault::Logit(index) => ("Logit", Some(index)),
        Fault::Penultimate(index) => ("Penultimate", Some(index)),
        Fault::Intermediate => ("Intermediate", None),
        Fault::Score => ("Score", None),
        Fault::Alignment(index) => ("Alignment", Some(index)),
    };
    let all = [Text("fault"), Text(name), Number(index.unwrap_or(0))];
    print::line(if index.is_some() { &all } else { &all[..2] });
}
