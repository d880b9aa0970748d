//! moto's own server (<https://docs.getmoto.org>), for the tests of more than one kind. It needs a
//! Python that has what `tests/requirements.txt` lists, named by `TEST_PYTHON`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// The server, until dropped.
pub struct Server {
    process: Child,
    /// Where it answers, for every service.
    pub url: String,
}

impl Server {
    pub fn start() -> Self {
        let python = std::env::var_os("TEST_PYTHON")
            .expect("TEST_PYTHON names a Python with what tests/requirements.txt lists");
        let mut process = Command::new(python)
            .args(["-m", "moto.server", "-p", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let url = lines
            .by_ref()
            .find_map(|line| line.unwrap().split_once("Running on ").map(|(_, at)| at.to_owned()))
            .expect("the server says where it answers");
        // It must not block on a pipe that nobody reads.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, url: url.trim().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
