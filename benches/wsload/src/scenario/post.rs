//! Publishing over HTTP: batches of messages, each a request to `/api/publish`, one request under way at a time.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use clap::Args;

use super::{Common, Context, FLAWED, Failure, Member, OK, Outcome, Ran, Setup, TIMED_OUT};
use super::{check_positive, parse_size};
use crate::clock::{self, MILLI};
use crate::stamp::Layout;
use crate::target::{Kind, Role};

#[derive(Args, Debug)]
pub struct Options {
    /// Subscribers
    #[arg(long, default_value_t = 1)]
    pub subs: usize,
    /// Messages
    #[arg(long, default_value_t = 20_000)]
    pub messages: u32,
    /// Messages of a request
    #[arg(long, default_value_t = 100)]
    pub batch: usize,
    /// Bytes of data in each message
    #[arg(long, default_value = "128", value_parser = parse_size)]
    pub size: usize,
    /// Seconds without any delivery until what is under way counts as lost
    #[arg(long, default_value_t = 3.0)]
    pub stall: f64,
    #[command(flatten)]
    pub common: Common,
}

pub fn run(context: &Context<'_>, options: &Options) -> Ran {
    check_positive(&[
        ("--subs", options.subs),
        ("--messages", options.messages as usize),
        ("--batch", options.batch),
    ])?;
    let stall = super::seconds(options.stall, "--stall")?;
    if context.target.kind != Kind::Philote {
        return Err(Failure::unreached("only philote takes messages at /api/publish"));
    }
    // The publisher among them publishes the probes, and nothing else.
    let members = std::iter::repeat_n(Member::new(0, Role::SUBSCRIBER), options.subs)
        .chain([Member::new(0, Role::PUBLISHER)]);
    let mut setup = Setup::open(context, members, options.messages, options.size)?;
    let channel = context.channel(0);
    let mut line = context.target.line(&channel, &Layout::new(options.size), 0);
    let mut client = Client::connect(context, &channel)?;

    let meter = setup.start(context);
    let mut body = Vec::new();
    let mut timed_out = false;
    while setup.ledger.publishers[0].sent < options.messages && !timed_out {
        body.clear();
        let publisher = &mut setup.ledger.publishers[0];
        let count = options.batch.min((publisher.total - publisher.sent) as usize);
        for _ in 0..count {
            body.extend_from_slice(line.stamp(clock::now(), publisher.sent.into()));
            body.push(b'\n');
            publisher.sent += 1;
        }
        client.post(&body);
        while !client.answered(count)? && !timed_out {
            setup.engine.turn(clock::now() + MILLI, &mut setup.ledger);
            timed_out = clock::now() >= context.deadline;
        }
    }
    while setup.ledger.lost() > 0 && !timed_out && clock::now() < setup.ledger.last_arrival + stall
    {
        setup.engine.turn(clock::now() + MILLI, &mut setup.ledger);
        timed_out = clock::now() >= context.deadline;
    }
    let last = (setup.ledger.received() > 0).then_some(setup.ledger.last_arrival);
    let cost = meter.stop(last);
    setup.linger();

    let mut report = context.report("post");
    report
        .put("subs", options.subs)
        .put("messages", options.messages)
        .put("batch", options.batch)
        .put("size", options.size);
    setup.report_deliveries(&mut report);
    setup.report_cost(&mut report, context, &cost);
    report.put("latency_us", setup.ledger.latency.report()).put("timed_out", timed_out);
    let exit = match timed_out {
        true => TIMED_OUT,
        false if setup.ledger.flawless() => OK,
        false => FLAWED,
    };
    setup.close();
    Ok(Outcome { report, exit })
}

/// A connection that is kept for all requests; never blocks.
struct Client {
    stream: TcpStream,
    /// The head of each request, but for the length of its body.
    head: String,
    out: Vec<u8>,
    answer: Vec<u8>,
}

impl Client {
    fn connect(context: &Context<'_>, channel: &str) -> Result<Self, Failure> {
        let addr = context.target.addr;
        let ready = |stream: TcpStream| {
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        };
        let stream = TcpStream::connect(addr)
            .and_then(ready)
            .map_err(|e| Failure::unreached(format!("connecting to {addr}: {e}")))?;
        let token = context.target.api_token(channel);
        let head = format!(
            "POST /api/publish HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/x-ndjson\r\nContent-Length: "
        );
        Ok(Client { stream, head, out: Vec::new(), answer: Vec::new() })
    }

    /// Begins a request; [`answered`](Self::answered) goes on with it.
    fn post(&mut self, body: &[u8]) {
        self.answer.clear();
        self.out.extend_from_slice(format!("{}{}\r\n\r\n", self.head, body.len()).as_bytes());
        self.out.extend_from_slice(body);
    }

    /// Writes and reads what can be; whether the answer is there, which has to
    /// say of all of its messages that they were accepted.
    fn answered(&mut self, messages: usize) -> Result<bool, Failure> {
        let failed = |e: io::Error| Failure::unreached(format!("POST /api/publish: {e}"));
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(count) => drop(self.out.drain(..count)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(failed(e)),
            }
        }
        let mut part = [0; 16 << 10];
        loop {
            match self.stream.read(&mut part) {
                Ok(0) => return Err(failed(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => self.answer.extend_from_slice(&part[..count]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(failed(e)),
            }
        }
        let Some(end) = memchr::memmem::find(&self.answer, b"\r\n\r\n") else { return Ok(false) };
        let head = String::from_utf8_lossy(&self.answer[..end]).to_lowercase();
        let body = &self.answer[end + 4..];
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: Option<usize> = length.and_then(|text| text.trim().parse().ok());
        if length.is_some_and(|length| body.len() < length) {
            return Ok(false);
        }
        let accepted = memchr::memmem::find_iter(body, b"\"accepted\":true").count();
        if length.is_none() || !head.starts_with("http/1.1 200 ") || accepted != messages {
            let told = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
            let status = head.lines().next().unwrap_or_default().to_owned();
            return Err(Failure::unreached(format!("POST /api/publish: {status}: {told}")));
        }
        Ok(true)
    }
}
