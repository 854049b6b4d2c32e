//! The terminal: a screen of its own while something is watched, and the old one afterwards.

use std::io::Write;

use anyhow::Result;
use console::Term;

/// Another screen, no cursor (xterm's control sequences; Windows' consoles know them, too).
const OPEN: &str = "\x1b[?1049h\x1b[?25l";
const CLOSE: &str = "\x1b[?25h\x1b[?1049l";
/// Where the size is not known.
const SIZE: (u16, u16) = (24, 80);

/// While it lives, the terminal shows what is drawn.
pub struct Screen(Term);

impl Screen {
    /// Takes the terminal.
    pub fn open() -> Result<Screen> {
        let mut term = Term::stdout();
        term.write_all(OPEN.as_bytes())?;
        term.flush()?;
        Ok(Screen(term))
    }

    /// Draws the lines that `view` gives for columns and rows.
    pub fn draw(&mut self, view: impl FnOnce(usize, usize) -> Vec<String>) -> Result<()> {
        let (rows, columns) = self.0.size_checked().unwrap_or(SIZE);
        let lines = view(usize::from(columns), usize::from(rows));
        let mut text = String::from("\x1b[H");
        for (at, line) in lines.iter().enumerate() {
            let end = if at + 1 < lines.len() { "\x1b[K\r\n" } else { "\x1b[K" };
            text.push_str(line);
            text.push_str(end);
        }
        text.push_str("\x1b[J");
        self.0.write_all(text.as_bytes())?;
        Ok(self.0.flush()?)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing more can be done for a terminal that is gone.
        let _ = self.0.write_all(CLOSE.as_bytes()).and_then(|()| self.0.flush());
    }
}
