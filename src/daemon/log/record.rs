//! Owns [`Record`], an event taken down where it happened, to be written elsewhere.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::queue::Queue;

/// The target of philote's own events; those of its modules begin with it.
pub(super) const OURS: &str = "philote";

/// The field that holds the name of an event.
pub(super) const EVENT: &str = "event";
/// The field that holds what an event says in words.
pub(super) const MESSAGE: &str = "message";

/// What a field of an event held.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
}

/// One event.
#[derive(Debug)]
pub(super) struct Record {
    /// When it happened.
    pub(super) at: SystemTime,
    /// Where in the code, and how grave it is.
    pub(super) metadata: &'static Metadata<'static>,
    /// Its fields, in the order in which they were given.
    pub(super) values: Vec<(Field, Value)>,
}

impl Record {
    pub(super) fn level(&self) -> Level {
        *self.metadata.level()
    }

    /// The module of the code that logged it, where that is not philote's.
    pub(super) fn foreign_target(&self) -> Option<&'static str> {
        let target = self.metadata.target();
        let ours =
            target.strip_prefix(OURS).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
        (!ours).then_some(target)
    }

    /// The name of the event; a library's has none.
    pub(super) fn event(&self) -> Option<&str> {
        self.text(EVENT)
    }

    /// What it says in words.
    pub(super) fn message(&self) -> &str {
        self.text(MESSAGE).unwrap_or_default()
    }

    /// Its other fields.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.values
            .iter()
            .map(|(field, value)| (field.name(), value))
            .filter(|(name, _)| ![EVENT, MESSAGE].contains(name))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.values.iter().find_map(|(field, value)| match value {
            Value::Text(text) if field.name() == name => Some(text.as_str()),
            _ => None,
        })
    }
}

/// Takes down every event that the level lets through.
#[derive(Debug)]
pub(super) struct Recorder {
    queue: Arc<Queue>,
}

impl Recorder {
    pub(super) fn new(queue: Arc<Queue>) -> Recorder {
        Recorder { queue }
    }
}

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut values = Values(Vec::with_capacity(event.metadata().fields().len()));
        event.record(&mut values);
        let metadata = event.metadata();
        self.queue.push(Record { at: SystemTime::now(), metadata, values: values.0 });
    }
}

struct Values(Vec<(Field, Value)>);

impl Values {
    fn add(&mut self, field: &Field, value: Value) {
        self.0.push((field.clone(), value));
    }
}

impl Visit for Values {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::Bool(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::Unsigned(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, Value::Float(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::Text(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Value::Text(format!("{value:?}")));
    }
}
