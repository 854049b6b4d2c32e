//! Turns nodes into graph operations one by one, keeping what every ONNX value name stands for.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::call::{Binding, Call, node_name, operator};
use super::constant::{Constant, Data, Origin};
use super::error::{Fault, ImportError, Outcome, UnsupportedNode, invalid, unsupported};
use super::files::External;
use super::limits::Limits;
use super::wrapped::Moved;
use super::{nodes, tensor};
use crate::graph::{Graph, Tensor, ValueId};
use crate::ops::Op;
use crate::proto::{NodeProto, TensorProto};

/// How often every constant may be read on average.
const WORK_FACTOR: usize = 16;

/// The graph under construction and the meaning of every name seen so far.
pub(super) struct Builder<'a> {
    /// The graph.
    pub graph: Graph,
    /// Version of the default operator set.
    pub opset: i64,
    /// Batch size that the file was exported with, when it is a number.
    pub batch: usize,
    /// Bounds.
    pub limits: &'a Limits,
    /// Bounds of constants, which grow with the model.
    pub constant_limits: Limits,
    /// Constants that are trainable wherever they are applied: initializers and their moves.
    pub trainable: HashSet<ValueId>,
    /// Trainable even if of one element: biases that had to become an addition, slopes of PRelu.
    pub biases: HashSet<ValueId>,
    /// Never trainable: weights that follow from an operator's attributes.
    pub fixed: HashSet<ValueId>,
    /// Values whose batch axis is not in front, and why.
    pub wrapped: HashMap<ValueId, Moved>,
    /// Nodes refused so far.
    pub refused: Vec<UnsupportedNode>,
    stored: HashMap<&'a str, &'a TensorProto>,
    external: &'a External,
    scope: HashMap<&'a str, Binding>,
    constants: HashMap<(String, Vec<usize>), ValueId>,
    elements: usize,
    work: usize,
}

impl<'a> Builder<'a> {
    /// An empty graph over stored tensors of a model of so many bytes.
    pub fn new(
        opset: i64,
        limits: &'a Limits,
        bytes: usize,
        stored: HashMap<&'a str, &'a TensorProto>,
        external: &'a External,
    ) -> Self {
        Self {
            graph: Graph::default(),
            opset,
            batch: 1,
            limits,
            constant_limits: limits.of_constants(bytes),
            trainable: HashSet::new(),
            biases: HashSet::new(),
            fixed: HashSet::new(),
            wrapped: HashMap::new(),
            refused: Vec::new(),
            stored,
            external,
            scope: HashMap::new(),
            constants: HashMap::new(),
            elements: 0,
            work: 0,
        }
    }

    /// Says what a name stands for.
    pub fn bind(&mut self, name: &'a str, binding: Binding) {
        self.scope.insert(name, binding);
    }

    /// What a name stands for; stored tensors are read on first use.
    pub fn lookup(&mut self, name: &'a str) -> Outcome<Binding> {
        if let Some(binding) = self.scope.get(name) {
            return Ok(binding.clone());
        }
        let Some(stored) = self.stored.get(name) else {
            return invalid(format!("`{name}` is not defined"));
        };
        let constant = tensor::read(stored, Origin::Initializer, self.external, self.limits)?;
        self.charge(constant.data.len())?;
        let binding = Binding::Constant(Rc::new(constant));
        self.bind(name, binding.clone());
        Ok(binding)
    }

    /// Counts elements of constants before they are made, up to the limit.
    pub fn charge(&mut self, elements: usize) -> Outcome<()> {
        self.elements = self.elements.saturating_add(elements);
        let limit = self.constant_limits.total_elements;
        if self.elements > limit {
            let what = "element count of all constants".to_owned();
            let (found, limit) = (self.elements as u64, limit as u64);
            return Err(Fault::Limit { what, found, limit });
        }
        Ok(())
    }

    /// Bounds the time that evaluating constants takes: many nodes may read one large constant.
    fn charge_work(&mut self, inputs: &[Option<Binding>]) -> Outcome<()> {
        for input in inputs.iter().flatten() {
            if let Binding::Constant(constant) = input {
                self.work = self.work.saturating_add(constant.data.len());
            }
        }
        let limit = self.constant_limits.total_elements.saturating_mul(WORK_FACTOR);
        if self.work > limit {
            let what = "element count of all constant operands".to_owned();
            let (found, limit) = (self.work as u64, limit as u64);
            return Err(Fault::Limit { what, found, limit });
        }
        Ok(())
    }

    /// Converts one node; unsupported ones are noted and conversion goes on, so that all are found.
    pub fn add(&mut self, node: &'a NodeProto, needed: &HashSet<&str>) -> Result<(), ImportError> {
        let (name, op) = (node_name(node), operator(node));
        let bindings = match self.converted(node, needed) {
            Ok(bindings) => bindings,
            Err(Fault::Unsupported { reason, remedy }) => {
                self.refused.push(UnsupportedNode { node: name, op, reason, remedy });
                vec![]
            }
            Err(Fault::Invalid(reason)) => {
                return Err(ImportError::Node { node: name, op, reason });
            }
            Err(Fault::Limit { what, found, limit }) => {
                let what = format!("node `{name}` ({op}): {what}");
                return Err(ImportError::Limit { what, found, limit });
            }
            Err(Fault::Whole(error)) => return Err(error),
        };
        let bindings = bindings.into_iter().chain(std::iter::repeat(Binding::Unknown));
        for (output, binding) in node.output.iter().zip(bindings) {
            if !output.is_empty() {
                self.bind(output, binding);
            }
        }
        Ok(())
    }

    /// What the first outputs stand for.
    fn converted(&mut self, node: &'a NodeProto, needed: &HashSet<&str>) -> Outcome<Vec<Binding>> {
        nodes::check_operator(node)?;
        let mut inputs = Vec::with_capacity(node.input.len());
        for name in &node.input {
            inputs.push(if name.is_empty() { None } else { Some(self.lookup(name)?) });
        }
        if inputs.iter().flatten().any(|input| matches!(input, Binding::Unknown)) {
            return Ok(vec![]);
        }
        self.charge_work(&inputs)?;
        let call = Call { proto: node, opset: self.opset, inputs };
        let bindings = nodes::convert_all(self, &call, needed)?;
        let named = |(binding, output): (Binding, &String)| self.named(&call, binding, output);
        bindings.into_iter().zip(&node.output).map(named).collect()
    }

    /// A constant under the name of its output.
    fn named(&mut self, call: &Call, binding: Binding, output: &str) -> Outcome<Binding> {
        let Binding::Constant(constant) = binding else { return Ok(binding) };
        self.limits.volume(&constant.shape)?;
        self.charge(constant.data.len())?;
        let constant = unshared(constant);
        let name = match is_renaming(call, &constant) {
            true => constant.name.clone(),
            false => output.to_owned(),
        };
        Ok(Binding::Constant(Rc::new(Constant { name, ..constant })))
    }

    /// Shape of a value of the network in ONNX.
    pub fn shape(&self, id: ValueId) -> Vec<usize> {
        self.graph.shape(id)[self.offset(id)..].to_vec()
    }

    /// Appends an operation named as the node.
    pub fn push(&mut self, call: &Call, op: Op, inputs: &[ValueId]) -> Outcome<Binding> {
        if let Some(moved) = self.moved(inputs) {
            let shape = self.shape_after(&op, inputs)?;
            return self.push_moved(call, op, inputs, &shape, moved);
        }
        let id = self.push_as(call.name(), call.output(), op, inputs)?;
        Ok(Binding::Frame(id))
    }

    /// Appends an operation that is a part of the node: named as the node, then itself.
    pub fn part(
        &mut self,
        call: &Call,
        name: &str,
        op: Op,
        inputs: &[ValueId],
    ) -> Outcome<ValueId> {
        let [node, output] = part_names(call, name);
        self.push_as(node, output, op, inputs)
    }

    /// Appends an operation under names of its own; its result is wrapped where an operand is.
    pub fn push_as(
        &mut self,
        node: String,
        output: String,
        op: Op,
        inputs: &[ValueId],
    ) -> Outcome<ValueId> {
        let moved = self.moved(inputs);
        self.append([node, output], op, inputs, moved)
    }

    /// The one way into the graph: appends an operation; its result is wrapped if `moved` says why.
    pub fn append(
        &mut self,
        [node, output]: [String; 2],
        op: Op,
        inputs: &[ValueId],
        moved: Option<Moved>,
    ) -> Outcome<ValueId> {
        // Some nodes of a file become several.
        let (found, limit) = (self.graph.nodes.len() as u64, self.limits.nodes as u64 * 4);
        if found >= limit {
            let what = "count of operations that the nodes become".to_owned();
            return Err(Fault::Limit { what, found: found + 1, limit });
        }
        let id = match self.graph.push_named(node, output, op, inputs) {
            Ok(id) => id,
            Err(error) => return invalid(error.reason),
        };
        let shape = self.graph.shape(id);
        if self.limits.volume(shape)? == 0 {
            return invalid(format!("its result has the empty shape {shape:?}"));
        }
        if shape.first() != Some(&1) {
            return unsupported(
                format!("its result has shape {shape:?}, whose first axis is not the one frame"),
                "keep the batch on axis 0 and export with batch size 1",
            );
        }
        if let Some(moved) = moved {
            self.wrapped.insert(id, moved);
        }
        Ok(id)
    }

    /// The graph's constant for a constant of the file; refused unless float, finite, not empty.
    pub fn constant(&mut self, constant: &Constant) -> Outcome<ValueId> {
        let key = (constant.name.clone(), constant.shape.clone());
        if let Some(&id) = self.constants.get(&key) {
            return Ok(id);
        }
        let data = constant.floats()?;
        let refuse = |reason: String| {
            Err(Fault::Whole(ImportError::Tensor { name: constant.name.clone(), reason }))
        };
        if data.is_empty() {
            return refuse("has no elements".into());
        }
        if let Some(wrong) = data.iter().find(|value| !value.is_finite()) {
            return refuse(format!("holds {wrong}; retrain or repair the weights"));
        }
        let tensor = Tensor::new(constant.shape.clone(), data.clone());
        let id = self.graph.add_constant(constant.name.clone(), tensor);
        if constant.origin == Origin::Initializer {
            self.trainable.insert(id);
        }
        self.constants.insert(key, id);
        Ok(id)
    }

    /// A bias operand; an all-zero one that exporters compute in place of "no bias" is left out.
    pub fn bias(&mut self, constant: Option<&Rc<Constant>>) -> Outcome<Option<ValueId>> {
        let Some(constant) = constant else {
            return Ok(None);
        };
        let zero = constant.floats()?.iter().all(|&v| v == 0.0);
        if constant.origin == Origin::Computed && zero {
            return Ok(None);
        }
        self.constant(constant).map(Some)
    }
}

/// Names of a part of a node, and of its result.
pub(super) fn part_names(call: &Call, part: &str) -> [String; 2] {
    [call.name(), call.output()].map(|whole| format!("{whole}/{part}"))
}

/// Whether a result still is the stored tensor, under another shape: it keeps the name that its
/// parameter has in training.
fn is_renaming(call: &Call, result: &Constant) -> bool {
    result.origin == Origin::Initializer
        && matches!(
            call.proto.op_type.as_str(),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Expand" | "CastLike"
        )
}

fn unshared(constant: Rc<Constant>) -> Constant {
    Rc::try_unwrap(constant).unwrap_or_else(|shared| Constant { ..(*shared).clone() })
}

/// A constant as the result of a node.
pub(super) fn folded(constant: Constant) -> Outcome<Binding> {
    Ok(Binding::Constant(Rc::new(constant)))
}

/// Whether a constant is one integer or truth value, or a list of them: never a weight.
pub(super) fn is_shape_data(constant: &Constant) -> bool {
    !matches!(constant.data, Data::Float(_))
}
