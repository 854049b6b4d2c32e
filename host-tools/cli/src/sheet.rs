//! Which frames stand where on a contact sheet.

use std::collections::BTreeMap;

/// One row of a contact sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The class that its frames share.
    pub label: Option<i64>,
    /// The track that its frames share.
    pub source: Option<i64>,
    /// Numbers of frames, `columns` at most.
    pub frames: Vec<usize>,
}

/// Rows for frames of these labels and sources: one a track where sources have many frames, spread
/// over its length; else one a class where there are labels; else the frames in their order.
pub fn arrange(marks: &[(Option<i64>, i64)], rows: usize, columns: usize) -> Vec<Row> {
    let by_source = grouped(marks.iter().map(|(_, source)| *source));
    if by_source.len() * 2 <= marks.len() {
        let row = |(&source, frames): (&i64, &Vec<usize>)| {
            let frames = spread(frames, columns);
            Row { label: frames.first().and_then(|&i| marks[i].0), source: Some(source), frames }
        };
        return by_source.iter().take(rows).map(row).collect();
    }
    if let Some(labels) = marks.iter().map(|(label, _)| *label).collect::<Option<Vec<i64>>>() {
        let row = |(label, mut frames): (i64, Vec<usize>)| {
            frames.truncate(columns);
            Row { label: Some(label), source: None, frames }
        };
        return grouped(labels.into_iter()).into_iter().take(rows).map(row).collect();
    }
    let all: Vec<usize> = (0..marks.len()).collect();
    let row = |frames: &[usize]| Row { label: None, source: None, frames: frames.to_vec() };
    all.chunks(columns).take(rows).map(row).collect()
}

fn grouped(keys: impl Iterator<Item = i64>) -> BTreeMap<i64, Vec<usize>> {
    let mut groups: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (index, key) in keys.enumerate() {
        groups.entry(key).or_default().push(index);
    }
    groups
}

/// `count` of them, the first and the last among them, or all.
fn spread(frames: &[usize], count: usize) -> Vec<usize> {
    if frames.len() <= count {
        return frames.to_vec();
    }
    let place = |i: usize| i * (frames.len() - 1) / (count - 1).max(1);
    (0..count).map(|i| frames[place(i)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(label: Option<i64>, source: Option<i64>, frames: &[usize]) -> Row {
        Row { label, source, frames: frames.to_vec() }
    }

    #[test]
    fn rows_by_table() {
        let alone = |labels: &[i64]| -> Vec<(Option<i64>, i64)> {
            labels.iter().enumerate().map(|(i, &label)| (Some(label), i as i64)).collect()
        };
        let track = |len: usize| vec![(Some(4), 9); len];
        let cases = [
            (
                alone(&[2, 0, 2, 2, 0]),
                9,
                2,
                vec![row(Some(0), None, &[1, 4]), row(Some(2), None, &[0, 2])],
            ),
            (alone(&[2, 0, 1]), 1, 2, vec![row(Some(0), None, &[1])]),
            (track(9), 2, 3, vec![row(Some(4), Some(9), &[0, 4, 8])]),
            (track(9), 2, 1, vec![row(Some(4), Some(9), &[0])]),
            (track(2), 2, 5, vec![row(Some(4), Some(9), &[0, 1])]),
            (
                vec![(None, 0), (Some(1), 1), (None, 2)],
                2,
                2,
                vec![row(None, None, &[0, 1]), row(None, None, &[2])],
            ),
        ];
        for (marks, rows, columns, expected) in cases {
            assert_eq!(arrange(&marks, rows, columns), expected, "{marks:?}");
        }
    }
}
