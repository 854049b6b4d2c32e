//! Why the gate closed: the frames that a device keeps of its last closings.

use gradgate_link::message::Verdict;
use gradgate_link::{Refusal, Reply, Request};

use crate::client::Client;
use crate::error::Error;
use crate::link::doing;
use crate::wire::Wire;

/// Closings that a device keeps.
const KEPT: u32 = 8;
/// Longest that is read of one closing, in bytes: a device that says more is at fault.
const BYTES_MAX: usize = 64 << 20;

/// A closing of the gate, and what was seen of the frame at that time.
#[derive(Clone, Debug, PartialEq)]
pub struct Closing {
    /// Its number.
    pub event: u32,
    /// Device time in microseconds.
    pub time_us: u64,
    /// Why the gate closed, see [`crate::words::closed`].
    pub closed: u8,
    /// The frame that was judged last.
    pub frame: u32,
    /// What was said of it.
    pub verdict: Verdict,
    /// Why not PASS, numbered as `gradgate_bundle::detector::Reason`; 0: none.
    pub reason: u8,
    /// Classifier's class.
    pub class: u16,
    /// Its score.
    pub score: f32,
    /// Logits, squared norms, activation norms, penultimate values, alignments.
    pub features: Vec<f32>,
    /// The model input, as the bundle's manifest has it: rows, columns, channels, u8.
    pub input: Vec<u8>,
}

/// The closings that are kept, oldest first. One that is overwritten while it is read is left out.
///
/// # Errors
/// Those of [`Client::ask`].
pub fn read<W: Wire>(client: &mut Client<W>) -> Result<Vec<Closing>, Error> {
    // Numbers begin anew at a start, like the count of closings, which may lag behind.
    let last = client.counters()?.closed.saturating_add(KEPT);
    let mut closings = Vec::new();
    for event in last.saturating_sub(3 * KEPT)..=last {
        if let Some(closing) = one(client, event)? {
            closings.push(closing);
        }
    }
    Ok(closings)
}

fn one<W: Wire>(client: &mut Client<W>, event: u32) -> Result<Option<Closing>, Error> {
    let mut bytes = Vec::new();
    loop {
        let offset = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let request = Request::ReadEvidence { event, offset };
        let answer = Error::Answer { doing: doing(&request) };
        let evidence = match client.ask(&request) {
            Ok(Reply::Evidence(evidence)) if evidence.event == event => evidence,
            Ok(_) => return Err(answer),
            Err(Error::Refused { refusal: Refusal::Range, .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (features, input) = (4 * usize::from(evidence.features), evidence.input_bytes as usize);
        let total = features.saturating_add(input);
        bytes.extend_from_slice(evidence.bytes);
        let stuck = evidence.bytes.is_empty() && bytes.len() < total;
        if evidence.offset != offset || bytes.len() > total || total > BYTES_MAX || stuck {
            return Err(answer);
        }
        if bytes.len() == total {
            let (head, tail) = bytes.split_at(features);
            let (values, _) = head.as_chunks::<4>();
            return Ok(Some(Closing {
                event,
                time_us: evidence.time_us,
                closed: evidence.closed,
                frame: evidence.frame,
                verdict: evidence.verdict,
                reason: evidence.reason,
                class: evidence.class,
                score: evidence.score,
                features: values.iter().map(|value| f32::from_le_bytes(*value)).collect(),
                input: tail.to_vec(),
            }));
        }
    }
}
