//! `/metrics`: the status of the desk in the OpenMetrics format, for Prometheus. It names no agent and no
//! call.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use deskreel_desk::Desk;
use deskreel_desk::status::{HealthPart, HealthProblem, SinkStatus, Status};

/// The text of `/metrics`.
pub fn text(desk: &Desk) -> String {
    let mut registry = Registry::with_prefix("deskreel");
    registry.register_collector(Box::new(Reading(desk.status().as_ref().clone())));
    let mut text = String::new();
    match text::encode(&mut text, &registry) {
        Ok(()) => text,
        // Writing to a String cannot fail.
        Err(fmt::Error) => String::new(),
    }
}

#[derive(Debug)]
struct Reading(Status);

impl Collector for Reading {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Status { health, stale, counts, recording, spool, agent, .. } = &self.0;
        let mut metrics = Metrics(encoder);
        metrics.gauge(
            "healthy",
            "1 if a recording could begin now and would arrive, and a running one grows",
            health.is_well(),
        )?;
        metrics.problems(&health.problems)?;
        metrics.gauge(
            "pipeline_stale",
            "1 if the pipeline file on disk has mistakes and an older one is used",
            stale.is_some(),
        )?;
        metrics.gauge("agent_logged_in", "1 if an agent is logged in", agent.is_some())?;
        metrics.gauge("recording", "1 if a recording is running", recording.is_some())?;
        metrics.counter(
            "recordings_started",
            "Recordings whose first frame reached the disk",
            counts.started,
        )?;
        metrics.counter("recordings_sealed", "Recordings that have ended", counts.sealed)?;
        metrics.counter(
            "recordings_failed",
            "Failed attempts to begin or continue a recording",
            counts.failed,
        )?;
        if let Some(running) = recording {
            let frames = &running.frames;
            metrics.gauge("frames_captured", "Captured frames of the running recording", frames.captured)?;
            metrics.gauge("frames_encoded", "Encoded frames of the running recording", frames.encoded)?;
            metrics.gauge("frames_skipped", "Unchanged frames of the running recording", frames.skipped)?;
            metrics.gauge("frames_lost", "Lost frames of the running recording", frames.lost)?;
            metrics.gauge("recording_bytes", "Size of the running recording", running.bytes)?;
            metrics.gauge("recording_parts", "Parts of the running recording", u64::from(running.parts))?;
        }
        metrics.gauge("spool_recordings", "Recordings on this disk", spool.recordings)?;
        metrics.gauge("spool_bytes", "Size of all recordings on this disk", spool.bytes)?;
        metrics.gauge("disk_free_bytes", "Free space on the disk of the recordings", spool.free_bytes)?;
        metrics.of_sinks("sink_pending", "Recordings that the sink has not acknowledged", spool, |sink| {
            sink.pending
        })?;
        metrics
            .of_sinks("sink_pending_bytes", "Size of these recordings", spool, |sink| sink.pending_bytes)?;
        metrics
            .of_sinks("sink_refused", "Recordings that the sink has refused", spool, |sink| sink.refused)?;
        metrics.of_sinks("sink_troubled", "1 while the last attempt has failed", spool, |sink| {
            u64::from(sink.problem.is_some())
        })
    }
}

struct Metrics<'a>(DescriptorEncoder<'a>);

impl Metrics<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: impl Into<Number>) -> fmt::Result {
        let gauge = ConstGauge::new(value.into().0);
        gauge.encode(self.0.encode_descriptor(name, help, None, gauge.metric_type())?)
    }

    /// Each part of the recorder has a line, whether it has a problem or not.
    fn problems(&mut self, problems: &[HealthProblem]) -> fmt::Result {
        let kind = ConstGauge::new(0i64).metric_type();
        let help = "1 if this part keeps the recorder from being healthy";
        let mut family = self.0.encode_descriptor("problem", help, None, kind)?;
        for part in HealthPart::ALL {
            let has_problem = problems.iter().any(|problem| problem.part == part);
            ConstGauge::new(Number::from(has_problem).0)
                .encode(family.encode_family(&[("part", part.name())])?)?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(self.0.encode_descriptor(name, help, None, counter.metric_type())?)
    }

    fn of_sinks(
        &mut self,
        name: &str,
        help: &str,
        spool: &deskreel_desk::status::SpoolStatus,
        value: impl Fn(&SinkStatus) -> u64,
    ) -> fmt::Result {
        let kind = ConstGauge::new(0i64).metric_type();
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for sink in &spool.sinks {
            let labels = [("sink", sink.sink.as_str())];
            ConstGauge::new(Number::from(value(sink)).0).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// A gauge's value. Disk sizes stay far below its limit.
struct Number(i64);

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Number {
    fn from(number: usize) -> Self {
        Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Number {
    fn from(yes: bool) -> Self {
        Number(i64::from(yes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use deskreel_desk::status::{Health, SpoolStatus};
    use deskreel_model::Utc;

    #[test]
    fn each_sink_has_a_line_and_no_agent_is_named() {
        let sink = SinkStatus {
            sink: "archive".into(),
            plugin: "sink.upload".into(),
            pending: 3,
            pending_bytes: 900,
            delivered: 4,
            refused: 0,
            problem: Some("no network".into()),
        };
        let status = Status {
            version: "0.1.0",
            pipeline: "desk".into(),
            started: Utc::MIN,
            place: "seat".into(),
            health: Health {
                problems: vec![HealthProblem { part: HealthPart::Room, text: "ann's disk".into() }],
            },
            stale: None,
            counts: Default::default(),
            agent: None,
            recording: None,
            spool: SpoolStatus { sinks: vec![sink], ..Default::default() },
        };
        let (desk, _ends) = Desk::new(status);
        let text = text(&desk);
        for line in [
            "deskreel_healthy 0",
            "deskreel_problem{part=\"room\"} 1",
            "deskreel_problem{part=\"link\"} 0",
            "deskreel_sink_pending{sink=\"archive\"} 3",
            "deskreel_recordings_started_total 0",
        ] {
            assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
        }
        assert!(text.ends_with("# EOF\n") && !text.contains("ann"), "{text}");
    }
}
