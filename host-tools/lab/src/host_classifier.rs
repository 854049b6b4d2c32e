//! [`Classifier`] on the CPU: the engine where it has a way, Burn for everything else.

use std::sync::Arc;

use gradgate_graph::graph::{Graph, ValueId};

use crate::array::Array;
use crate::classifier::{Classifier, Cotangents, Gradient};
use crate::device::Cpu;
use crate::engine_classifier::EngineClassifier;
use crate::error::LabError;
use crate::executor::BurnClassifier;

/// A classifier on all cores.
pub struct HostClassifier {
    /// For the logits and their gradients; `None` for a graph that does not compile.
    engine: Option<EngineClassifier>,
    burn: BurnClassifier<Cpu>,
}

impl HostClassifier {
    /// Compiles and uploads the graph.
    ///
    /// # Errors
    /// When the graph holds an operation that cannot be executed in batches.
    pub fn new(graph: Arc<Graph>) -> Result<Self, LabError> {
        let burn = BurnClassifier::new(graph.clone(), Default::default(), 1)?;
        Ok(Self { engine: EngineClassifier::new(graph).ok(), burn })
    }

    /// Whether the engine computes logits and their gradients.
    pub fn has_engine(&self) -> bool {
        self.engine.is_some()
    }

    /// The engine, when the logits alone are wanted.
    fn engine_for(&self, wanted: &[ValueId]) -> Option<&EngineClassifier> {
        let logits = self.graph().logits?;
        self.engine.as_ref().filter(|_| wanted == [logits])
    }
}

impl Classifier for HostClassifier {
    fn graph(&self) -> &Arc<Graph> {
        self.burn.graph()
    }

    fn values(&self, images: &Array, wanted: &[ValueId]) -> Result<Vec<Array>, LabError> {
        match self.engine_for(wanted) {
            Some(engine) => Ok(vec![engine.logits(images)?]),
            None => self.burn.values(images, wanted),
        }
    }

    fn gradient(
        &self,
        images: &Array,
        wanted: &[ValueId],
        cotangents: &mut Cotangents<'_>,
    ) -> Result<Gradient, LabError> {
        match self.engine_for(wanted) {
            Some(engine) => engine.gradient(images, cotangents),
            None => self.burn.gradient(images, wanted, cotangents),
        }
    }
}
