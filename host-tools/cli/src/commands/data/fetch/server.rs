//! A server of one file on the loopback interface, for tests: with ranges, and with faults.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    /// The first answer ends after so many bytes of its body.
    CutOnce(usize),
    /// Ranges are not known: the whole file comes.
    NoRanges,
    /// Every request is answered by this status.
    Status(u16),
}

/// It ends when it is dropped.
pub struct Server {
    address: SocketAddr,
    ranges: Arc<Mutex<Vec<Option<usize>>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `content` at every path.
    pub fn start(content: Vec<u8>, fault: Fault) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (ranges, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (seen, stop) = (Arc::clone(&ranges), Arc::clone(&ended));
        let serve = move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let stream = stream.expect("a connection");
                // A client that hangs up is no fault of the server.
                let _ = answer(stream, &content, fault, &seen);
            }
        };
        Server { address, ranges, ended, thread: Some(std::thread::spawn(serve)) }
    }

    /// The address of a file.
    pub fn at(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// The first byte that each request asked for, where it named one.
    pub fn ranges(&self) -> Vec<Option<usize>> {
        self.ranges.lock().expect("not poisoned").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(
    mut stream: TcpStream,
    content: &[u8],
    fault: Fault,
    seen: &Mutex<Vec<Option<usize>>>,
) -> std::io::Result<()> {
    let mut range = None;
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        let from = line.strip_prefix("range: bytes=").and_then(|r| r.strip_suffix('-'));
        range = from.and_then(|from| from.parse().ok()).or(range);
    }
    let first = {
        let mut seen = seen.lock().expect("not poisoned");
        seen.push(range);
        seen.len() == 1
    };
    let (total, start) = (content.len(), range.unwrap_or(0));
    let (status, extra, body) = match (fault, range) {
        (Fault::Status(status), _) => (format!("{status} No"), String::new(), &b""[..]),
        (Fault::NoRanges, _) | (_, None) => ("200 OK".to_owned(), String::new(), content),
        (_, Some(_)) if start >= total => {
            ("416 Range".to_owned(), format!("Content-Range: bytes */{total}\r\n"), &b""[..])
        }
        (_, Some(_)) => (
            "206 Partial".to_owned(),
            format!("Content-Range: bytes {start}-{}/{total}\r\n", total - 1),
            &content[start..],
        ),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{extra}Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    match fault {
        Fault::CutOnce(at) if first => stream.write_all(&body[..at])?,
        _ => stream.write_all(body)?,
    }
    stream.flush()
}
