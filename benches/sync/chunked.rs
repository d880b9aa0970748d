//! `aws-chunked` bodies: lengths in hexadecimal between the data, then trailers
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>).

enum State {
    Length,
    Data(usize),
    Trailers,
}

/// Takes such a body apart as it arrives; one that is not chunked passes as it is.
pub struct Decoder {
    state: Option<State>,
    line: Vec<u8>,
    trailers: Vec<String>,
}

impl Decoder {
    pub fn new(chunked: bool) -> Self {
        Self { state: chunked.then_some(State::Length), line: Vec::new(), trailers: Vec::new() }
    }

    /// The value of a trailer that has come.
    pub fn trailer(&self, name: &str) -> Option<String> {
        let named =
            |line: &String| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned());
        self.trailers.iter().find_map(named)
    }

    /// Gives the data among `bytes` to `take`.
    pub fn decode(&mut self, mut bytes: &[u8], mut take: impl FnMut(&[u8])) {
        let Some(state) = &mut self.state else { return take(bytes) };
        while !bytes.is_empty() {
            if let State::Data(left) = state {
                let (data, rest) = bytes.split_at(bytes.len().min(*left));
                take(data);
                bytes = rest;
                *left -= data.len();
                if *left == 0 {
                    *state = State::Length;
                }
                continue;
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            self.line.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
            let Some(end) = end else { return };
            bytes = &bytes[end + 1..];
            let line = String::from_utf8(std::mem::take(&mut self.line)).expect("ASCII");
            let line = line.trim_end();
            match state {
                // A chunk's own end.
                _ if line.is_empty() => {}
                State::Trailers => self.trailers.push(line.to_ascii_lowercase_name()),
                _ => {
                    let length = line.split(';').next().unwrap_or_default();
                    let length = usize::from_str_radix(length, 16).expect("a length");
                    *state = if length == 0 { State::Trailers } else { State::Data(length) };
                }
            }
        }
    }
}

trait HeaderLine {
    fn to_ascii_lowercase_name(&self) -> String;
}

impl HeaderLine for str {
    fn to_ascii_lowercase_name(&self) -> String {
        match self.split_once(':') {
            Some((name, value)) => format!("{}:{value}", name.to_ascii_lowercase()),
            None => self.to_owned(),
        }
    }
}
