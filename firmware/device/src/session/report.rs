//! What a device tells of itself.

use gradgate_bundle::manifest::CONTAINER_VERSION;
use gradgate_bundle::signature::key_id;
use gradgate_link::Refusal;
use gradgate_link::message::{self, Identity, Reply, Status};

use super::Context;
use crate::board::{Board, Description};
use crate::flash::Flash;
use crate::log::reason_number;
use crate::record::{Slot, SlotState};
use crate::slots::Slots;
use crate::upload::Unfinished;

/// Who the device is.
pub fn identity<'r, B: Board, F: Flash>(context: &Context<'_, '_, '_, B, F>) -> Reply<'r> {
    let Description { board, firmware, serial, .. } = *context.description;
    let trust = context.slots.trust();
    let layout = context.slots.layout();
    let room = Slot::ALL.map(|slot| layout.slot(slot).bytes());
    Reply::Identity(Identity {
        board,
        firmware,
        serial,
        device_class: trust.device_class.number(),
        container_version: CONTAINER_VERSION,
        arena_bytes: trust.arena_bytes_max,
        slot_bytes: room.into_iter().min().unwrap_or(0),
        security_counter: context.slots.counter_floor(),
    })
}

/// What lies in the slots.
pub fn slots<F: Flash>(slots: &mut Slots<F>) -> Reply<'static> {
    let active = slots.active().map(|active| active.slot as u8);
    let listed = Slot::ALL.map(|slot| {
        let state = match slots.state().content(slot).state {
            SlotState::Empty | SlotState::Filling => message::SlotState::Empty,
            SlotState::Staged => message::SlotState::Staged,
            SlotState::Trial => message::SlotState::Trial,
            SlotState::Confirmed => message::SlotState::Confirmed,
            SlotState::Rejected => message::SlotState::Rejected,
        };
        let identity = match state {
            message::SlotState::Empty => [0; 32],
            _ => slots.state().content(slot).identity,
        };
        let described = slots.describe(slot);
        let total_bytes = described.map_or(0, |described| described.total_bytes);
        let security_counter = described.map_or(0, |described| described.security_counter);
        message::Slot { state, total_bytes, identity, security_counter }
    });
    Reply::Slots { active, slots: listed }
}

/// How far an upload came.
pub fn unfinished<F: Flash>(slots: &mut Slots<F>) -> Reply<'static> {
    match slots.unfinished() {
        Some(Unfinished { slot, identity, bytes, total_bytes }) => {
            Reply::Unfinished { slot: slot as u8, identity, offset: bytes, total_bytes }
        }
        None => Reply::Refused(Refusal::State),
    }
}

/// What was counted.
pub fn counters<B: Board, F: Flash>(context: &mut Context<'_, '_, '_, B, F>) -> Reply<'static> {
    Reply::Counters(message::Counters {
        time_us: context.board.now_us(),
        link_good: context.link.good,
        link_bad: context.link.bad,
        link_refused: context.link.refused,
        ..context.watch.counters()
    })
}

/// How the device is.
pub fn status<'n, B: Board, F: Flash>(
    context: &mut Context<'_, '_, '_, B, F>,
    name: &'n str,
) -> Status<'n> {
    let state = context.watch.state();
    let (enforce, frame_period_us) = context
        .watch
        .policy()
        .map_or((false, 0), |policy| (policy.enforce, policy.frame_period_us));
    let (stack_bytes, stack_used) = context.board.stack();
    Status {
        time_us: context.board.now_us(),
        name,
        provisioned: context.settings.given().is_some(),
        key_id: key_id(&context.slots.trust().key),
        boots: context.settings.boot().unwrap_or(0),
        reset: context.description.reset as u8,
        open: state.is_open(),
        reason: reason_number(state),
        enforce,
        threshold: context.watch.threshold(),
        frame_period_us,
        verdict_us: context.watch.verdict_us(),
        rehashes: context.rehashes,
        stack_bytes,
        stack_used,
    }
}
