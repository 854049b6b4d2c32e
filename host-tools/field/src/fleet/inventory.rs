//! The list of boards: `name,port` and, if wanted, `serial`, a board a line.

use crate::address::Address;
use crate::device::hex;
use crate::error::Error;
use crate::found::Answered;
use crate::keys::Serial;
use crate::provision::check_name;

/// A board of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub address: Address,
    /// Its chip's number, where the list has it.
    pub serial: Option<Serial>,
}

impl Board {
    /// Whether the board at this port is the one that is meant.
    ///
    /// # Errors
    /// [`Error::File`] with both names or numbers.
    pub fn check(&self, answered: &Answered) -> Result<(), Error> {
        let Answered { identity, status, .. } = answered;
        if let Some(serial) = self.serial
            && serial != identity.serial
        {
            let message = format!(
                "chip {} is at this port, {} has {}: are cables swapped?",
                hex(&identity.serial),
                self.name,
                hex(&serial)
            );
            return Err(Error::File { message });
        }
        let named = !status.name.is_empty() && self.serial.is_none();
        if named && status.name != self.name {
            let message = format!(
                "the board at this port is called {}, not {}: are cables swapped?",
                status.name, self.name
            );
            return Err(Error::File { message });
        }
        Ok(())
    }
}

/// Reads a list; empty lines and those that begin with `#` are left out.
///
/// # Errors
/// [`Error::File`] with the line.
pub fn parse(text: &str) -> Result<Vec<Board>, Error> {
    let refused = |line: usize, what: String| {
        let message = format!("line {line}: {what}");
        Err(Error::File { message })
    };
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let mut lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let Some((number, head)) = lines.next() else {
        return refused(1, "no boards: begin with the line name,port".to_owned());
    };
    let columns: Vec<&str> = head.split(',').map(str::trim).collect();
    let column = |name: &str| columns.iter().position(|column| *column == name);
    let (Some(name_at), Some(port_at)) = (column("name"), column("port")) else {
        let what = format!("columns name and port are needed, there are {head:?}");
        return refused(number, what);
    };
    let mut boards: Vec<Board> = Vec::new();
    for (number, line) in lines {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        if cells.len() != columns.len() || line.contains('"') {
            let what = format!("{} cells without quotes are needed: {line:?}", columns.len());
            return refused(number, what);
        }
        let address = match cells[port_at].parse() {
            Ok(address) => address,
            Err(error) => return refused(number, format!("{error}")),
        };
        let serial = match column("serial").map(|at| cells[at]).filter(|cell| !cell.is_empty()) {
            Some(text) => match serial(text) {
                Some(serial) => Some(serial),
                None => return refused(number, format!("{text:?} is not 32 hexadecimal digits")),
            },
            None => None,
        };
        let board = Board { name: cells[name_at].to_owned(), address, serial };
        let same = |other: &&Board| other.name == board.name || other.address == board.address;
        if board.name.is_empty() {
            return refused(number, "a board without a name".to_owned());
        }
        if let Err(error) = check_name(&board.name) {
            let what = format!("{error}; `gradgate provision --name` gives a board its name");
            return refused(number, what);
        }
        if let Some(other) = boards.iter().find(same) {
            let what = format!("{} and {} have a name or port in common", other.name, board.name);
            return refused(number, what);
        }
        boards.push(board);
    }
    if boards.is_empty() {
        return refused(number, "no boards follow".to_owned());
    }
    Ok(boards)
}

fn serial(text: &str) -> Option<Serial> {
    let whole = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = whole.then(|| u128::from_str_radix(text, 16).ok()).flatten()?;
    Some(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_with_any_columns_around() {
        let text = "# our hall\nport, name,place,serial\n\ntcp://h:1,a,x,\n/dev/ttyS1,b,y,\
                    000102030405060708090a0b0c0d0eFF\n";
        let boards = parse(text).expect("good");
        assert_eq!(boards[0].address.to_string(), "tcp://h:1");
        assert_eq!((boards[0].name.as_str(), boards[0].serial), ("a", None));
        let serial = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255];
        assert_eq!((boards[1].name.as_str(), boards[1].serial), ("b", Some(serial)));
    }

    #[test]
    fn bad_lists_are_refused_with_the_line() {
        let table = [
            ("", "line 1: no boards"),
            ("a,b\n", "line 1: columns"),
            ("name,port\n", "line 1: no boards follow"),
            ("name,port\na\n", "line 2: 2 cells"),
            ("name,port\n\"a\",tcp://h:1\n", "line 2: 2 cells"),
            ("name,port\na,tcp://h\n", "line 2: \"tcp://h\""),
            ("name,port\n,tcp://h:1\n", "line 2: a board without"),
            ("name,port\ndock-*,tcp://h:1\n", "line 2: the name \"dock-*\" holds"),
            ("name,port\n-a,tcp://h:1\n", "line 2: the name \"-a\" would be"),
            ("name,port\na,tcp://h:1\na,tcp://h:2\n", "line 3: a and a"),
            ("name,port\na,tcp://h:1\n# x\nb,tcp://h:1\n", "line 4: a and b"),
            ("name,port,serial\na,tcp://h:1,12\n", "line 2: \"12\""),
        ];
        for (text, said) in table {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.starts_with(said), "{text:?}: {error}");
            assert_eq!(error.contains("the name"), error.contains("provision --name"), "{error}");
        }
    }
}
