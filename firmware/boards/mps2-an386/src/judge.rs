//! What the board does with its input: load, self-test, one frame, results as bits.

use gradgate_bundle::Bundle;
use gradgate_bundle::detector::{Fault, Judgement};
use gradgate_bundle::error::ParseError;
use gradgate_bundle::manifest::{DeviceClass, check_device_class};
use gradgate_engine::{Engine, Features, Frame, LoadError, RunError};
use semihosting::println;

use crate::counter;
use crate::host::{self, HostError};

/// The board's buffers.
pub struct Memory {
    /// For the bundle, at a multiple of 16 bytes.
    pub bundle: &'static mut [u8],
    /// For the frame.
    pub frame: &'static mut [u8],
    /// For the engine.
    pub arena: &'static mut [f32],
}

/// Why there is no verdict.
#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "read by the derived Debug, which is what the host sees")]
pub enum BoardError {
    /// No input.
    Host(HostError),
    /// Not a bundle.
    Parse(ParseError),
    /// A plan that the engine refuses.
    Load(LoadError),
    /// A frame or an arena of the wrong length.
    Run(RunError),
    /// Larger than the board's.
    Arena { elements: usize, elements_max: usize },
    /// The self-test could not be judged.
    Fault(Fault),
    /// The self-test gave other bits; `index` counts logits, features, then the score.
    SelfTest { index: usize },
    /// The self-test expects another number of values than the bundle yields.
    SelfTestLength,
}

/// What the engine gave for one frame.
type Outcome<'m> = (Features<'m>, Option<Result<Judgement, Fault>>);

/// Everything, in order.
pub fn run(memory: Memory) -> Result<(), BoardError> {
    let (bundle, frame) = host::arguments().map_err(BoardError::Host)?;
    let bytes = host::read(&bundle, memory.bundle).map_err(BoardError::Host)?;
    // Unsigned bundles are accepted: the emulated board has no key, and its host is trusted.
    let bundle = Bundle::parse(bytes).map_err(BoardError::Parse)?;
    check_device_class(bundle.manifest(), DeviceClass::CortexM4F).map_err(BoardError::Parse)?;
    let engine = Engine::load(bundle).map_err(BoardError::Load)?;
    println!("# bundle {} bytes, arena {} bytes", bytes.len(), engine.arena_elements() * 4);
    let (elements, elements_max) = (engine.arena_elements(), memory.arena.len());
    let arena =
        memory.arena.get_mut(..elements).ok_or(BoardError::Arena { elements, elements_max })?;
    self_test(&engine, arena)?;
    let Some(frame) = frame else { return Ok(()) };
    let frame = host::read(&frame, memory.frame).map_err(BoardError::Host)?;
    let before = counter::instructions();
    let outcome = engine.judge(Frame::U8(frame), arena).map_err(BoardError::Run)?;
    let instructions = counter::instructions() - before;
    print(&outcome);
    println!("# instructions {instructions}");
    Ok(())
}

fn self_test(engine: &Engine<'_>, arena: &mut [f32]) -> Result<(), BoardError> {
    let Some((frame, expected)) = engine.bundle().self_test() else {
        println!("self-test absent");
        return Ok(());
    };
    let (features, judgement) = engine.judge(Frame::U8(frame), arena).map_err(BoardError::Run)?;
    let score = judgement.transpose().map_err(BoardError::Fault)?.map(|seen| seen.score);
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
    println!("self-test ok");
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
            println!("{name} {index} {:08x}", value.to_bits());
        }
    }
    match judgement {
        Some(Ok(seen)) => {
            println!("score {:08x}", seen.score.to_bits());
            println!("p_value {:08x}", seen.p_value.to_bits());
            println!("reason {:?}", seen.reason);
            println!("class {}", seen.class);
        }
        Some(Err(fault)) => println!("fault {fault:?}"),
        None => {}
    }
}
