//! Families of metrics on their way into the text.

use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, NoLabelSet},
    metrics::MetricType,
    registry::Unit,
};

/// Name without its unit, what it means, and the unit, which becomes the end of the name.
pub(super) type Family<'a> = (&'a str, &'a str, Option<Unit>);

/// Where families are written to.
pub(super) struct Sheet<'a>(pub(super) DescriptorEncoder<'a>);

impl Sheet<'_> {
    /// Values that go up and down.
    pub(super) fn gauge<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        (name, help, unit): Family<'_>,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        samples.into_iter().try_for_each(|(labels, value)| family.encode_family(&labels)?.encode_gauge(&value))
    }

    /// One value that goes up and down.
    pub(super) fn single<V: EncodeGaugeValue>(&mut self, (name, help, unit): Family<'_>, value: &V) -> fmt::Result {
        self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?.encode_gauge(value)
    }

    /// One value that only grows; `_total` is added to the name.
    pub(super) fn total<V: EncodeCounterValue>(&mut self, (name, help, unit): Family<'_>, value: &V) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, _, u64>(value, None)
    }

    /// Values that only grow.
    pub(super) fn counter<L: EncodeLabelSet, V: EncodeCounterValue>(
        &mut self,
        (name, help, unit): Family<'_>,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
        samples.into_iter().try_for_each(|(labels, value)| {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
        })
    }

    /// Distributions: the count of each bucket, and the sum of all values.
    pub(super) fn histogram<L: EncodeLabelSet>(
        &mut self,
        (name, help, unit): Family<'_>,
        samples: impl IntoIterator<Item = (L, Vec<(f64, u64)>, f64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Histogram)?;
        samples.into_iter().try_for_each(|(labels, buckets, sum)| {
            let count = buckets.iter().map(|(_, count)| count).sum();
            family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
        })
    }

    /// One distribution.
    pub(super) fn distribution(
        &mut self,
        (name, help, unit): Family<'_>,
        buckets: &[(f64, u64)],
        sum: f64,
    ) -> fmt::Result {
        let count = buckets.iter().map(|(_, count)| count).sum();
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Histogram)?;
        family.encode_histogram::<NoLabelSet>(sum, count, buckets, None)
    }

    /// What is true for the whole life of the process.
    pub(super) fn info(&mut self, name: &str, help: &str, labels: &impl EncodeLabelSet) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(labels)
    }
}

/// Counts beside their bounds, which are so many to a second; the last one has none.
pub(super) fn buckets(bounds: &[u64], per_second: f64, counts: &[u64]) -> Vec<(f64, u64)> {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let bounds = bounds.iter().map(|bound| *bound as f64 / per_second);
    bounds.chain([f64::INFINITY]).zip(counts.iter().copied()).collect()
}
