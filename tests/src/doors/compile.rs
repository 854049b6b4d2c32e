//! The door of models, all the way: what import accepts is expanded, lowered, planned, packed, and
//! the engine must load what we packed.

use gradgate_bundle::Bundle;
use gradgate_bundle::error::ParseError;
use gradgate_engine::Engine;
use gradgate_graph::expand::{Label, expand};
use gradgate_graph::import::{ImportOptions, import_bytes};
use gradgate_graph::plan::PlanOptions;
use gradgate_graph::taps::Taps;

use crate::{Extras, try_compile};

/// Nodes of a model: a longer one only slows the search down.
pub(super) const NODES_MAX: usize = 200;

/// Elements of a value.
pub(super) const ELEMENTS_MAX: usize = 1 << 14;

/// Compiles the model; every stage may refuse it, none may panic.
pub(super) fn read(bytes: &[u8]) -> bool {
    let mut options = ImportOptions::default();
    options.limits.nodes = NODES_MAX;
    options.limits.elements = ELEMENTS_MAX;
    options.limits.total_elements = 4 * ELEMENTS_MAX;
    let Ok(imported) = import_bytes(bytes, None, &options) else {
        return false;
    };
    let Ok(expanded) = expand(&imported.graph, &Label::Ones, &Taps::all()) else {
        return false;
    };
    let Ok(compiled) = try_compile(&expanded, PlanOptions::default(), Extras::default()) else {
        return false;
    };
    let bundle = match Bundle::parse(&compiled.bytes) {
        // Scales and shifts that are folded can overflow.
        Err(ParseError::NonFinite { .. }) => return false,
        other => other.expect("our own bundle is read"),
    };
    let engine = Engine::load(bundle).expect("our own bundle is loaded");
    if super::bundle::is_cheap(&engine) {
        super::bundle::run(&engine);
    }
    true
}
