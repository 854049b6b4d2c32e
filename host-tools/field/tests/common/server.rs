//! A board behind a TCP port of the loopback interface, as QEMU's UART is.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Board;

/// One connection after another, until it is dropped.
pub struct Server<B: Board + 'static> {
    pub address: String,
    pub board: Arc<Mutex<B>>,
    /// Ends the connection that is open, once.
    pub hang_up: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<B: Board + 'static> Server<B> {
    pub fn start(board: B) -> Server<B> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("tcp://{}", listener.local_addr().expect("bound"));
        listener.set_nonblocking(true).expect("set");
        let (board, stop) = (Arc::new(Mutex::new(board)), Arc::new(AtomicBool::new(false)));
        let hang_up = Arc::new(AtomicBool::new(false));
        let shared = (Arc::clone(&board), Arc::clone(&stop), Arc::clone(&hang_up));
        let thread = std::thread::spawn(move || {
            let (start, (board, stop, hang_up)) = (Instant::now(), shared);
            while !stop.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => serve(stream, &board, [&stop, &hang_up], start),
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        Server { address, board, hang_up, stop, thread: Some(thread) }
    }
}

impl<B: Board + 'static> Drop for Server<B> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve<B: Board>(
    mut stream: TcpStream,
    board: &Mutex<B>,
    [stop, hang_up]: [&AtomicBool; 2],
    start: Instant,
) {
    let mut bytes = [0; 4096];
    stream.set_read_timeout(Some(Duration::from_millis(5))).expect("set");
    while !stop.load(Ordering::Relaxed) && !hang_up.swap(false, Ordering::Relaxed) {
        let length = match stream.read(&mut bytes) {
            Ok(0) => return,
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
            Err(_) => return,
        };
        let now_ms = start.elapsed().as_millis() as u64;
        let mut board = board.lock().expect("no test panicked");
        let mut answer = board.tick(now_ms);
        answer.extend(board.take(&bytes[..length], now_ms));
        drop(board);
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}
