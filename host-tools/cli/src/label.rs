//! The confounding label on the command line and in files: `ones`, `zeros`, or one number a class.
//!
//! A custom label travels as text, `custom:0,1,0.5`: the shortest decimals that read back as the
//! same f32, so that equal labels have equal text and `pack` needs no second file.

use std::path::Path;

use anyhow::{Context, Result, bail};
use gradgate_graph::expand::Label;

const CUSTOM: &str = "custom:";

/// `ones`, `zeros`, or the path of a text file with one number a class.
pub fn from_argument(text: &str) -> Result<Label> {
    match text {
        "ones" => Ok(Label::Ones),
        "zeros" => Ok(Label::Zeros),
        path => {
            let content = crate::files::read_text(Path::new(path))
                .with_context(|| format!("--label {path} is neither ones nor zeros nor a file"))?;
            let label = numbers(&content).with_context(|| format!("--label {path}"))?;
            Ok(Label::Custom(label))
        }
    }
}

/// The text that files carry.
pub fn to_text(label: &Label) -> String {
    match label {
        Label::Ones => "ones".to_owned(),
        Label::Zeros => "zeros".to_owned(),
        Label::Custom(values) => {
            // Minus zero is the same label as zero.
            let words: Vec<String> = values.iter().map(|v| (v + 0.0).to_string()).collect();
            format!("{CUSTOM}{}", words.join(","))
        }
    }
}

/// Back from [`to_text`].
pub fn from_text(text: &str) -> Result<Label> {
    match text {
        "ones" => Ok(Label::Ones),
        "zeros" => Ok(Label::Zeros),
        _ => match text.strip_prefix(CUSTOM) {
            Some(list) => Ok(Label::Custom(numbers(list)?)),
            None => bail!("{text:?} is no label that this version knows: fit the detector again"),
        },
    }
}

fn numbers(text: &str) -> Result<Vec<f32>> {
    let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|w| !w.is_empty());
    let parse = |word: &str| match word.parse::<f32>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => bail!("{word:?} is no finite number; give one a class, with blanks or commas between"),
    };
    let values = words.map(parse).collect::<Result<Vec<f32>>>()?;
    if values.is_empty() {
        bail!("no numbers; give one a class, with blanks or commas between");
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_survive_their_text() {
        let values = vec![0.1, -0.0, 1.0, 1e-7, 0.333_333_34];
        for label in [Label::Ones, Label::Zeros, Label::Custom(values)] {
            assert_eq!(from_text(&to_text(&label)).expect("reads back"), label);
        }
        assert_eq!(to_text(&Label::Custom(vec![-0.0, 0.5])), "custom:0,0.5");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "twos", "custom:", "custom:1,nan", "custom:1,x", "custom:inf"] {
            assert!(from_text(text).is_err(), "{text}");
        }
        assert!(from_argument("absent-file").is_err());
    }
}
