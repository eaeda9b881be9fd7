//! A command that goes on until it is stopped, and what it has said so far.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Far more than any step of such a command takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// A command whose stderr is kept as it comes.
#[derive(Debug)]
pub(crate) struct Following {
    child: Child,
    said: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Following {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (mut stderr, kept) = (child.stderr.take().unwrap(), Arc::clone(&said));
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = stderr.read(&mut buffer) {
                kept.lock().unwrap().extend_from_slice(&buffer[..n]);
            }
        });
        Self { child, said, reader }
    }

    /// What it has said so far.
    fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    /// Waits until it says something.
    #[track_caller]
    pub(crate) fn waits_to_say(&self, part: &str) {
        let started = Instant::now();
        while !self.said().contains(part) {
            let said = self.said();
            assert!(started.elapsed() < PATIENCE, "`{part}` does not come:\n{said}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends it a signal: `-STOP`, `-CONT`.
    #[track_caller]
    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(status.unwrap().success());
    }

    /// Whether it has ended by itself, and how.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end; the exit code and all that it said.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        self.reader.join().unwrap();
        let said = String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned();
        (status.code(), said)
    }

    /// Stops it as Ctrl-C does; what it said.
    #[track_caller]
    pub(crate) fn interrupt(self) -> String {
        self.signal("-INT");
        let (code, said) = self.end();
        assert_eq!(code, Some(130), "{said}");
        said
    }
}
