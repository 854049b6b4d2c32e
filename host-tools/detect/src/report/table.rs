//! A table of texts.

use crate::draw::escape;

/// How a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Left.
    Text,
    /// Right, digits of one width.
    Number,
    /// Left, of one width, broken anywhere.
    Code,
}

impl Column {
    fn class(self) -> &'static str {
        match self {
            Column::Text => " class=\"text\"",
            Column::Number => "",
            Column::Code => " class=\"code\"",
        }
    }
}

/// Columns with their names, and rows.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(Column, String)>,
    caption: String,
    rows: String,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: &[(Column, &str)]) -> Table {
        let columns = columns.iter().map(|(kind, name)| (*kind, (*name).to_owned())).collect();
        Table { columns, caption: String::new(), rows: String::new() }
    }

    /// A line above the table: what it counts, how.
    pub fn caption(mut self, text: &str) -> Table {
        self.caption = escape(text);
        self
    }

    /// Adds a row; missing cells are empty, surplus ones have no column and are left out.
    pub fn row<S: AsRef<str>>(&mut self, cells: &[S]) {
        self.classed_row("", cells);
    }

    /// Adds a row that stands out.
    pub fn marked_row<S: AsRef<str>>(&mut self, cells: &[S]) {
        self.classed_row("marked", cells);
    }

    /// Adds a row of a class of the page's style.
    pub(crate) fn classed_row<S: AsRef<str>>(&mut self, class: &str, cells: &[S]) {
        let class = match class {
            "" => String::new(),
            name => format!(" class=\"{name}\""),
        };
        self.rows.push_str(&format!("<tr{class}>"));
        for (index, (kind, _)) in self.columns.iter().enumerate() {
            let cell = escape(cells.get(index).map_or("", |cell| cell.as_ref()));
            self.rows.push_str(&format!("<td{}>{cell}</td>", kind.class()));
        }
        self.rows.push_str("</tr>\n");
    }

    pub(super) fn markup(&self) -> String {
        let head: String = self
            .columns
            .iter()
            .map(|(kind, name)| match kind {
                Column::Number => format!("<th>{}</th>", escape(name)),
                _ => format!("<th class=\"text\">{}</th>", escape(name)),
            })
            .collect();
        let caption = match self.caption.as_str() {
            "" => String::new(),
            text => format!("<caption>{text}</caption>\n"),
        };
        format!("<table>\n{caption}<tr>{head}</tr>\n{}</table>", self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_escaped_and_columns_kept() {
        let mut table = Table::new(&[(Column::Text, "set"), (Column::Number, "<AUROC>")]);
        table.row(&["a & b", "97.1"]);
        table.marked_row(&["short"]);
        table.row(&["long", "1", "2"]);
        let wanted = "<table>\n<caption>n &gt; 3</caption>\n\
                      <tr><th class=\"text\">set</th><th>&lt;AUROC&gt;</th></tr>\n\
                      <tr><td class=\"text\">a &amp; b</td><td>97.1</td></tr>\n\
                      <tr class=\"marked\"><td class=\"text\">short</td><td></td></tr>\n\
                      <tr><td class=\"text\">long</td><td>1</td></tr>\n</table>";
        assert_eq!(table.caption("n > 3").markup(), wanted);
    }
}
