//! A family of metrics: declared once, with its meaning and its unit, and read from what is measured.
//!
//! OpenMetrics adds `_total` to counters, and the unit is part of the name.

use std::borrow::Cow;
use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use sandbar::tenant::latency::Histogram;

/// Labels by name.
pub(super) type Labels = Vec<(&'static str, Cow<'static, str>)>;

/// A metric of a `T`: its name without prefix and unit, its meaning, its unit, and how it is read from the `T`.
pub(super) struct Metric<T> {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) unit: Option<Unit>,
    pub(super) value: Reader<T>,
}

/// How a metric is read.
pub(super) enum Reader<T> {
    Counter(fn(&T) -> u64),
    Gauge(fn(&T) -> f64),
}

pub(super) const fn counter<T>(name: &'static str, help: &'static str, read: fn(&T) -> u64) -> Metric<T> {
    Metric { name, help, unit: None, value: Reader::Counter(read) }
}

pub(super) const fn gauge<T>(
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    read: fn(&T) -> f64,
) -> Metric<T> {
    Metric { name, help, unit, value: Reader::Gauge(read) }
}

impl<T> Metric<T> {
    pub(super) const fn kind(&self) -> MetricType {
        match self.value {
            Reader::Counter(_) => MetricType::Counter,
            Reader::Gauge(_) => MetricType::Gauge,
        }
    }

    pub(super) fn read(&self, of: &T) -> Value {
        match self.value {
            Reader::Counter(read) => Value::Counter(read(of)),
            Reader::Gauge(read) => Value::Gauge(read(of)),
        }
    }

    /// The family of this metric, with a sample for each of these.
    pub(super) fn family<'a>(self, of: impl Iterator<Item = (Labels, &'a T)>) -> Family
    where
        T: 'a,
    {
        let samples = of.map(|(labels, of)| (labels, self.read(of))).collect();
        Family { name: self.name, help: self.help, kind: self.kind(), unit: self.unit, samples }
    }
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Counter(u64),
    /// A counter of what is no whole number.
    Amount(f64),
    Gauge(f64),
    Histogram(Box<Histogram>),
}

impl Value {
    /// Adds another one of the same family.
    pub(super) fn add(&mut self, other: &Self) {
        match (self, other) {
            (Self::Counter(own), Self::Counter(other)) => *own += other,
            (Self::Amount(own), Self::Amount(other)) | (Self::Gauge(own), Self::Gauge(other)) => *own += other,
            (Self::Histogram(own), Self::Histogram(other)) => own.add(other),
            _ => debug_assert!(false, "a family has one kind"),
        }
    }

    pub(super) fn is_zero(&self) -> bool {
        match self {
            Self::Counter(value) => *value == 0,
            Self::Amount(value) | Self::Gauge(value) => *value == 0.0,
            Self::Histogram(histogram) => histogram.count() == 0,
        }
    }

    /// What `now` lacks of this earlier value of a counter or histogram; none where it lacks nothing.
    pub(super) fn missing_in(&self, now: Option<&Self>) -> Option<Self> {
        let missing = match (self, now) {
            (Self::Gauge(_), _) => return None,
            (last, None) => last.clone(),
            (Self::Counter(last), Some(Self::Counter(now))) => Self::Counter(last.saturating_sub(*now)),
            (Self::Amount(last), Some(Self::Amount(now))) => Self::Amount((last - now).max(0.0)),
            (Self::Histogram(last), Some(Self::Histogram(now))) => Self::Histogram(Box::new(last.missing_in(now))),
            _ => return None,
        };
        (!missing.is_zero()).then_some(missing)
    }
}

/// A family with all its samples at one moment.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: MetricType,
    pub(super) unit: Option<Unit>,
    pub(super) samples: Vec<(Labels, Value)>,
}

impl Family {
    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = self.help.trim_end_matches('.');
        let mut family = encoder.encode_descriptor(self.name, help, self.unit.as_ref(), self.kind)?;
        for (labels, value) in &self.samples {
            value.encode(family.encode_family(labels)?)?;
        }
        Ok(())
    }
}

impl Value {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Counter(value) => ConstCounter::new(*value).encode(encoder),
            Self::Amount(value) => ConstCounter::new(*value).encode(encoder),
            Self::Gauge(value) => ConstGauge::new(*value).encode(encoder),
            Self::Histogram(histogram) => {
                let bounds = Histogram::BOUNDS_US.iter().map(|us| *us as f64 / 1e6).chain([f64::INFINITY]);
                let buckets: Vec<_> = bounds.zip(histogram.counts).collect();
                let sum = histogram.sum_us as f64 / 1e6;
                encoder.encode_histogram::<NoLabelSet>(sum, histogram.count(), &buckets, None)
            }
        }
    }
}
