//! The few pickle opcodes that datasets of arrays are made of; nothing is executed.
//!
//! Format: Python's `pickletools`, protocols 2 to 5. What is read: whole numbers, texts, lists,
//! tuples, dictionaries, and NumPy arrays of bytes in C order. Every other opcode, and every name
//! that a file calls for but NumPy's own three, is refused by its name.
//!
//! Texts and the samples of arrays stay in the file: a value holds their place.

mod opcode;
mod source;

use std::collections::HashMap;

use crate::error::Problem;
use crate::record::Records;
use opcode::{Opcode, opcode};
use source::Source;

/// Most lists, tuples, dictionaries and arrays; official files have less than twenty.
const OBJECTS_MAX: usize = 256;
/// Most values at one time, and most that are remembered by number: twenty batches of CIFAR.
const VALUES_MAX: usize = 1 << 20;
/// Longest name of a module or of what is in it.
const NAME_MAX: usize = 64;

const REMEDY: &str = "give the official Python batch, or the binary version of the dataset";

/// A place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub start: u32,
    pub len: u32,
}

/// A value; what is large is named by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// Bytes, or text in UTF-8 or Latin-1.
    Text(Span),
    List(u32),
    Tuple(u32),
    Dictionary(u32),
    Array(u32),
    /// NumPy's type of bytes without a sign.
    Bytes,
    Callable(Callable),
    /// Where a list, tuple or dictionary begins.
    Mark,
}

/// What a file may call for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Callable {
    Reconstruct,
    Array,
    Type,
}

/// Modules and names of [`Callable`]: NumPy 1, then NumPy 2.
const CALLABLES: [(&str, &str, Callable); 4] = [
    ("numpy.core.multiarray", "_reconstruct", Callable::Reconstruct),
    ("numpy._core.multiarray", "_reconstruct", Callable::Reconstruct),
    ("numpy", "ndarray", Callable::Array),
    ("numpy", "dtype", Callable::Type),
];

/// An array of bytes in C order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Array {
    pub shape: Vec<i64>,
    pub data: Span,
}

/// A file that was read, and its one value.
pub(crate) struct Pickle {
    values: Machine,
    root: Value,
}

impl Pickle {
    /// Reads the whole file.
    pub fn read(records: &Records) -> Result<Self, Problem> {
        if records.len() > u64::from(u32::MAX) {
            return Err(Problem::new("", "a pickle of more than 4 GiB", REMEDY));
        }
        let mut source = Source::new(records);
        let mut values = Machine::default();
        loop {
            let at = source.at();
            let code = source.byte()?;
            let refuse = |what: String| Problem::new(format!("byte {at}"), what, REMEDY);
            let Some(opcode) = opcode(code) else {
                return Err(refuse(format!(
                    "the opcode {}, which is not read",
                    opcode::name(code)
                )));
            };
            if let Opcode::Stop = opcode {
                let root = values.pop().map_err(refuse)?;
                return Ok(Pickle { values, root });
            }
            values.step(opcode, &mut source).map_err(|fault| match fault {
                Fault::Ended(problem) => problem,
                Fault::Wrong(what) => refuse(what),
            })?;
        }
    }

    /// Keys and values in turn, when the file holds a dictionary.
    pub fn dictionary(&self) -> Option<&[Value]> {
        match self.root {
            Value::Dictionary(number) => Some(self.values.items(number)),
            _ => None,
        }
    }

    /// The elements of a list.
    pub fn list(&self, value: Value) -> Option<&[Value]> {
        match value {
            Value::List(number) => Some(self.values.items(number)),
            _ => None,
        }
    }

    /// An array that was filled.
    pub fn array(&self, value: Value) -> Option<&Array> {
        match value {
            Value::Array(number) => self.values.arrays.get(number as usize)?.as_ref(),
            _ => None,
        }
    }
}

/// Why a step failed.
enum Fault {
    /// The file ends too early, or cannot be read.
    Ended(Problem),
    /// What is wrong.
    Wrong(String),
}

impl From<String> for Fault {
    fn from(what: String) -> Self {
        Fault::Wrong(what)
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Fault::Ended(problem)
    }
}

/// The stack and what its values name.
#[derive(Default)]
struct Machine {
    stack: Vec<Value>,
    remembered: HashMap<u32, Value>,
    objects: Vec<Vec<Value>>,
    arrays: Vec<Option<Array>>,
}

impl Machine {
    fn items(&self, number: u32) -> &[Value] {
        self.objects.get(number as usize).map_or(&[], Vec::as_slice)
    }

    fn step(&mut self, opcode: Opcode, source: &mut Source) -> Result<(), Fault> {
        match opcode {
            Opcode::Skip(bytes) => source.skip(bytes)?,
            Opcode::Stop => {}
            Opcode::Push(value) => self.push(value)?,
            Opcode::Int { bytes, signed } => {
                let value = Value::Int(source.integer(bytes, signed)?);
                self.push(value)?;
            }
            Opcode::Text { length } => {
                let value = Value::Text(source.span(length)?);
                self.push(value)?;
            }
            Opcode::EmptyList => {
                let list = Value::List(self.object(Vec::new())?);
                self.push(list)?;
            }
            Opcode::EmptyDictionary => {
                let dictionary = Value::Dictionary(self.object(Vec::new())?);
                self.push(dictionary)?;
            }
            Opcode::Tuple(count) => self.tuple(count)?,
            Opcode::Append { many } => self.append(many)?,
            Opcode::Set { many } => self.set(many)?,
            Opcode::Put { bytes } => {
                let number = source.integer(bytes, false)? as u32;
                self.remember(number)?;
            }
            Opcode::Memoize => self.remember(self.remembered.len() as u32)?,
            Opcode::Get { bytes } => {
                let number = source.integer(bytes, false)? as u32;
                let found = self.remembered.get(&number).copied();
                let missing = || format!("value {number} is asked for and was never remembered");
                self.push(found.ok_or_else(missing)?)?;
            }
            Opcode::Global => {
                let (module, name) = (source.line(NAME_MAX)?, source.line(NAME_MAX)?);
                self.callable(&module, &name)?;
            }
            Opcode::StackGlobal => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (module, name) = (name_of(module, source)?, name_of(name, source)?);
                self.callable(&module, &name)?;
            }
            Opcode::Reduce => self.reduce(source)?,
            Opcode::Build => self.build()?,
        }
        Ok(())
    }

    fn push(&mut self, value: Value) -> Result<(), String> {
        if self.stack.len() >= VALUES_MAX {
            return Err(format!("more than {VALUES_MAX} values"));
        }
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, String> {
        match self.stack.pop() {
            Some(Value::Mark) | None => Err("a value is missing".to_owned()),
            Some(value) => Ok(value),
        }
    }

    /// Takes the values down to the last mark.
    fn pop_marked(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.stack.iter().rposition(|value| *value == Value::Mark);
        let values = self.stack.split_off(mark.ok_or("a mark is missing")? + 1);
        self.stack.pop();
        Ok(values)
    }

    fn object(&mut self, items: Vec<Value>) -> Result<u32, String> {
        if self.objects.len() >= OBJECTS_MAX {
            return Err(format!("more than {OBJECTS_MAX} lists, tuples and dictionaries"));
        }
        self.objects.push(items);
        Ok(self.objects.len() as u32 - 1)
    }

    fn remember(&mut self, number: u32) -> Result<(), String> {
        let Some(&value) = self.stack.last() else {
            return Err("nothing to remember".to_owned());
        };
        if self.remembered.len() >= VALUES_MAX {
            return Err(format!("more than {VALUES_MAX} values to remember"));
        }
        self.remembered.insert(number, value);
        Ok(())
    }

    fn tuple(&mut self, count: Option<usize>) -> Result<(), String> {
        let mut items = match count {
            None => self.pop_marked()?,
            Some(count) => (0..count).map(|_| self.pop()).collect::<Result<_, _>>()?,
        };
        if count.is_some() {
            items.reverse();
        }
        let tuple = Value::Tuple(self.object(items)?);
        self.push(tuple)
    }

    fn append(&mut self, many: bool) -> Result<(), String> {
        let items = if many { self.pop_marked()? } else { vec![self.pop()?] };
        match self.stack.last() {
            Some(&Value::List(number)) => self.extend(number, items),
            _ => Err("elements without a list".to_owned()),
        }
    }

    fn set(&mut self, many: bool) -> Result<(), String> {
        let items = if many {
            self.pop_marked()?
        } else {
            let value = self.pop()?;
            vec![self.pop()?, value]
        };
        match self.stack.last() {
            Some(&Value::Dictionary(number)) if items.len().is_multiple_of(2) => {
                self.extend(number, items)
            }
            _ => Err("keys and values without a dictionary".to_owned()),
        }
    }

    fn extend(&mut self, number: u32, items: Vec<Value>) -> Result<(), String> {
        let object = &mut self.objects[number as usize];
        if object.len() + items.len() > VALUES_MAX {
            return Err(format!("more than {VALUES_MAX} elements"));
        }
        object.extend(items);
        Ok(())
    }

    fn callable(&mut self, module: &str, name: &str) -> Result<(), String> {
        let known = CALLABLES.iter().find(|(m, n, _)| (*m, *n) == (module, name));
        match known {
            Some((_, _, callable)) => self.push(Value::Callable(*callable)),
            None => Err(format!("it calls for `{module}.{name}`, which is not read")),
        }
    }

    /// An empty array, or the type of its elements.
    fn reduce(&mut self, source: &Source) -> Result<(), Fault> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let Value::Tuple(number) = arguments else {
            return Err("a call without arguments".to_owned().into());
        };
        match (callable, self.items(number)) {
            (
                Value::Callable(Callable::Reconstruct),
                [Value::Callable(Callable::Array), _, Value::Text(_)],
            ) => {
                if self.arrays.len() >= OBJECTS_MAX {
                    return Err(format!("more than {OBJECTS_MAX} arrays").into());
                }
                self.arrays.push(None);
                self.push(Value::Array(self.arrays.len() as u32 - 1))?;
            }
            (Value::Callable(Callable::Type), &[name @ Value::Text(_), ..]) => {
                let name = name_of(name, source)?;
                if name != "u1" {
                    let what = format!("an array of elements `{name}`, only u1 (bytes) is read");
                    return Err(what.into());
                }
                self.push(Value::Bytes)?;
            }
            _ => return Err("a call that makes neither an array nor its type".to_owned().into()),
        }
        Ok(())
    }

    /// Fills an array; what a type of bytes is filled with says nothing about bytes.
    fn build(&mut self) -> Result<(), String> {
        let state = self.pop()?;
        let number = match self.stack.last() {
            Some(Value::Bytes) => return Ok(()),
            Some(&Value::Array(number)) => number,
            _ => return Err("a state for what is neither an array nor its type".to_owned()),
        };
        let Value::Tuple(state) = state else {
            return Err("an array whose state is no tuple".to_owned());
        };
        let &[_, Value::Tuple(shape), Value::Bytes, Value::Bool(fortran), Value::Text(data)] =
            self.items(state)
        else {
            return Err("an array whose state is not what NumPy writes for bytes".to_owned());
        };
        if fortran {
            return Err("an array in Fortran order, only C order is read".to_owned());
        }
        let side = |value: &Value| match value {
            Value::Int(side) if *side >= 0 => Ok(*side),
            _ => Err("an array whose shape is no list of whole numbers".to_owned()),
        };
        let shape: Vec<i64> = self.items(shape).iter().map(side).collect::<Result<_, _>>()?;
        let elements = shape.iter().try_fold(1_i64, |n, &side| n.checked_mul(side));
        if elements != Some(i64::from(data.len)) {
            let bytes = data.len;
            return Err(format!("an array of shape {shape:?} with {bytes} bytes of elements"));
        }
        self.arrays[number as usize] = Some(Array { shape, data });
        Ok(())
    }
}

fn name_of(value: Value, source: &Source) -> Result<String, Fault> {
    match value {
        Value::Text(span) if span.len as usize <= NAME_MAX => Ok(source.text(span)?),
        _ => Err("a name that is no short text".to_owned().into()),
    }
}
