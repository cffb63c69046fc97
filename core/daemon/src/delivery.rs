//! Delivers to the sinks what the outbox owes them.
//!
//! Each sink has a thread, which owns the plugin's instance and asks the outbox for the next item. A sink
//! that hangs holds up only itself; one that fails or panics gets a new instance, and the item is tried again
//! when the outbox says so.
//!
//! All sinks share one rate cap. It works as a debt that is paid back between fragments: each fragment is
//! sent whole and at once, and the next one waits until the bytes before it are paid for. Handing over a
//! finished recording does not count.

mod rate;
mod watch;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use deskreel_contract::{Answer, FinishedRecording, FragmentDelivery};
use deskreel_host::{Catalog, HostCallbacks, Plugin, PluginFailure};
use deskreel_model::worker::PluginSettings;
use deskreel_model::{RecordingId, SinkName};
use deskreel_spool::Outbox;
use deskreel_spool::outbox::{Departure, Item, Next, Reply};

use rate::Rate;
use watch::SinkWatch;

/// An instance of a sink, owned by the sink's thread.
pub trait Deliver {
    /// Returns `None` if the sink takes only whole recordings.
    fn fragment(&mut self, delivery: &FragmentDelivery) -> Result<Option<Answer>, String>;
    fn finish(&mut self, recording: &FinishedRecording) -> Result<Answer, String>;
    /// Fails if deliveries could not succeed now.
    fn check(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// Makes an instance. Called on the sink's thread, and again after each failure.
pub type Make = Box<dyn FnMut() -> Result<Box<dyn Deliver>, String> + Send>;

pub struct Sink {
    pub name: SinkName,
    pub make: Make,
}

/// Progress of a delivery, for events, metrics and logs. Reported on the sinks' threads.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    Fragment {
        sink: SinkName,
        recording: String,
        bytes: u64,
    },
    Delivered {
        sink: SinkName,
        recording: String,
        place: String,
    },
    Refused {
        sink: SinkName,
        recording: String,
        reason: String,
    },
    /// It is tried again.
    Failed {
        sink: SinkName,
        recording: String,
        reason: String,
    },
    /// The recording was deleted from the spool.
    Left {
        recording: RecordingId,
    },
}

/// The outbox and the threads that empty it.
pub struct Delivery {
    shared: Arc<Shared>,
    threads: Vec<Thread>,
}

struct Shared {
    state: Mutex<State>,
    /// Signaled when there may be something new to deliver, and when the threads have to stop.
    work: Condvar,
    progress: Box<dyn Fn(Progress) + Send + Sync>,
}

struct State {
    outbox: Outbox,
    rate: Option<Rate>,
    watches: BTreeMap<SinkName, SinkWatch>,
}

struct Thread {
    sink: SinkName,
    signal: Arc<Signal>,
    /// Disconnected once the thread has ended.
    ended: Receiver<()>,
}

#[derive(Default)]
struct Signal {
    /// The thread ends after its current call.
    stops: AtomicBool,
    /// The wait for the current call is over; its answer does not count.
    is_given_up: AtomicBool,
}

impl Delivery {
    /// `rate` is in bytes per second.
    pub fn start(
        outbox: Outbox,
        sinks: Vec<Sink>,
        rate: Option<u64>,
        progress: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<Delivery> {
        let rate = rate.map(|rate| Rate::new(rate, Instant::now()));
        let state = Mutex::new(State { outbox, rate, watches: BTreeMap::new() });
        let shared = Arc::new(Shared { state, work: Condvar::new(), progress: Box::new(progress) });
        let mut delivery = Delivery { shared, threads: Vec::new() };
        delivery.set_sinks(sinks)?;
        Ok(delivery)
    }

    /// Changes the outbox, and wakes the sinks: there may be something new to deliver.
    pub fn update<T>(&self, update: impl FnOnce(&mut Outbox) -> T) -> T {
        let result = update(&mut self.shared.state().outbox);
        self.shared.work.notify_all();
        result
    }

    pub fn look<T>(&self, look: impl FnOnce(&Outbox) -> T) -> T {
        look(&self.shared.state().outbox)
    }

    /// The sinks whose deliveries could not succeed now, each with the reason for people.
    pub fn problems(&self) -> Vec<(SinkName, String)> {
        let now = Instant::now();
        let state = self.shared.state();
        let problems = state.watches.iter().filter_map(|(sink, watch)| Some((sink, watch.problem(now)?)));
        problems.map(|(sink, problem)| (sink.clone(), problem)).collect()
    }

    /// Deletes recordings that every sink has, and empty ones. The sinks' threads do so after each delivery;
    /// this call is for recordings that no sink ever gets.
    pub fn sweep(&self) {
        self.shared.sweep();
    }

    /// Deletes a recording for lack of room, even if sinks do not have it yet.
    pub fn evict(&self, recording: &RecordingId, why: &str) -> Result<(), deskreel_spool::Error> {
        let leaving = self.shared.state().outbox.evict(recording, why)?;
        self.shared.delete(leaving);
        Ok(())
    }

    /// Sets the rate cap, in bytes per second.
    pub fn set_rate(&self, rate: Option<u64>) {
        self.shared.state().rate = rate.map(|rate| Rate::new(rate, Instant::now()));
        self.shared.work.notify_all();
    }

    /// Replaces the sinks, or their settings. Call [`stop`](Self::stop) first to end the running ones.
    pub fn set_sinks(&mut self, sinks: Vec<Sink>) -> Result<()> {
        let names: Vec<SinkName> = sinks.iter().map(|sink| sink.name.clone()).collect();
        {
            let mut state = self.shared.state();
            state.outbox.set_sinks(&names);
            state.watches = names.iter().map(|name| (name.clone(), SinkWatch::default())).collect();
        }
        for Sink { name, make } in sinks {
            let (ending, ended) = mpsc::channel();
            let signal = Arc::new(Signal::default());
            let running =
                Running { shared: self.shared.clone(), sink: name.clone(), signal: signal.clone(), make };
            let run = move || {
                running.run();
                drop(ending);
            };
            thread::Builder::new()
                .name(format!("sink {name}"))
                .spawn(run)
                .with_context(|| format!("cannot start the thread of sink `{name}`"))?;
            self.threads.push(Thread { sink: name, signal, ended });
        }
        Ok(())
    }

    /// Waits at most `limit` for the current calls to end. Returns the sinks whose calls did not: their
    /// answers no longer count, and their items are tried again after the next start.
    pub fn stop(&mut self, limit: Duration) -> Vec<SinkName> {
        let state = self.shared.state();
        self.threads.iter().for_each(|thread| thread.signal.stops.store(true, Ordering::Relaxed));
        drop(state);
        self.shared.work.notify_all();
        let until = Instant::now() + limit;
        let mut hang = Vec::new();
        for thread in self.threads.drain(..) {
            let left = until.saturating_duration_since(Instant::now());
            if thread.ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                // Under the lock: the answer has either counted by now, or never does.
                let _state = self.shared.state();
                thread.signal.is_given_up.store(true, Ordering::Relaxed);
                hang.push(thread.sink);
            }
        }
        hang
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

impl State {
    /// Returns the next call to a sink, or the time at which to ask again.
    fn next(&mut self, sink: &SinkName, now: Instant) -> Result<NextCall, Instant> {
        let watch = self.watches.entry(sink.clone()).or_default();
        let check_at = watch.check_at(now);
        let until = match self.outbox.next(sink, now) {
            Next::Deliver(item) => {
                let size = if let Item::Fragment(delivery) = &item { delivery.size } else { 0 };
                let rate = self.rate.as_mut().filter(|_| size > 0);
                match rate.and_then(|rate| rate.take(size, now)) {
                    None => {
                        watch.call_begins(now);
                        return Ok(NextCall::Deliver(Box::new(item)));
                    }
                    Some(until) => until.min(check_at),
                }
            }
            Next::WaitUntil(until) => until.min(check_at),
            Next::Idle => check_at,
        };
        if check_at > now {
            return Err(until);
        }
        watch.call_begins(now);
        Ok(NextCall::Check)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sweep(&self) {
        let taken_out = self.state().outbox.take_out();
        for leaving in taken_out {
            match leaving {
                Ok(leaving) => self.delete(leaving),
                Err(error) => {
                    tracing::warn!(%error, "a delivered recording cannot be taken out of the spool")
                }
            }
        }
    }

    /// Deletes the files. Call it without the lock: hours of footage are ten thousand files.
    fn delete(&self, leaving: Departure) {
        let recording = leaving.recording.clone();
        if let Err(error) = leaving.delete() {
            tracing::warn!(%recording, %error, "could not delete all its files; the next start deletes the rest");
        }
        (self.progress)(Progress::Left { recording });
    }
}

/// The next work of a sink's thread.
enum NextCall {
    Deliver(Box<Item>),
    Check,
}

/// A sink's thread.
struct Running {
    shared: Arc<Shared>,
    sink: SinkName,
    signal: Arc<Signal>,
    make: Make,
}

impl Running {
    fn run(mut self) {
        let mut instance = None;
        while let Some(call) = self.wait_for_call() {
            let goes_on = match call {
                NextCall::Check => self.check(&mut instance),
                NextCall::Deliver(item) => {
                    let reply = self.ask(&mut instance, &item);
                    self.record(&item, reply)
                }
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Returns `None` when the thread has to stop.
    fn wait_for_call(&self) -> Option<NextCall> {
        let mut state = self.shared.state();
        loop {
            if self.signal.stops.load(Ordering::Relaxed) {
                return None;
            }
            let now = Instant::now();
            let until = match state.next(&self.sink, now) {
                Ok(call) => return Some(call),
                Err(until) => until,
            };
            let waited = self.shared.work.wait_timeout(state, until.saturating_duration_since(now));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Asks the plugin whether deliveries could succeed. Returns whether the thread continues.
    fn check(&mut self, instance: &mut Option<Box<dyn Deliver>>) -> bool {
        let made = instance.take().map_or_else(|| (self.make)(), Ok);
        let result = made.and_then(|mut made| {
            made.check()?;
            *instance = Some(made);
            Ok(())
        });
        let mut state = self.shared.state();
        if self.signal.is_given_up.load(Ordering::Relaxed) {
            return false;
        }
        let watch = state.watches.entry(self.sink.clone()).or_default();
        watch.call_ends();
        watch.checked(result, Instant::now());
        true
    }

    /// An instance that failed is not used again: its state may be as broken as its answer.
    fn ask(&mut self, instance: &mut Option<Box<dyn Deliver>>, item: &Item) -> Reply {
        let mut made = match instance.take() {
            Some(made) => made,
            None => match (self.make)() {
                Ok(made) => made,
                Err(error) => return Reply::Failed(error),
            },
        };
        let answer = match item {
            Item::Fragment(delivery) => made.fragment(delivery),
            Item::Finish(recording) => made.finish(recording).map(Some),
        };
        match answer {
            Ok(answer) => {
                *instance = Some(made);
                answer.map_or(Reply::TakesWhole, Reply::Answered)
            }
            Err(error) => Reply::Failed(error),
        }
    }

    /// Records the reply in the outbox. Returns whether the thread continues.
    fn record(&self, item: &Item, reply: Reply) -> bool {
        let mut state = self.shared.state();
        if self.signal.is_given_up.load(Ordering::Relaxed) {
            return false;
        }
        state.watches.entry(self.sink.clone()).or_default().call_ends();
        let written = state.outbox.answered(&self.sink, item, reply.clone(), Instant::now());
        drop(state);
        let progress = match written {
            Ok(()) => self.progress(item, reply),
            Err(error) => Some(self.failed(item, format!("its answer could not be stored: {error}"))),
        };
        let may_leave = matches!(progress, Some(Progress::Delivered { .. }));
        if let Some(progress) = progress {
            (self.shared.progress)(progress);
        }
        if may_leave {
            self.shared.sweep();
        }
        true
    }

    fn progress(&self, item: &Item, reply: Reply) -> Option<Progress> {
        let (sink, recording) = (self.sink.clone(), item.recording().to_owned());
        Some(match (reply, item) {
            (Reply::TakesWhole, _) => return None,
            (Reply::Answered(Answer::Acknowledged { .. }), Item::Fragment(delivery)) => {
                Progress::Fragment { sink, recording, bytes: delivery.size }
            }
            (Reply::Answered(Answer::Acknowledged { place }), Item::Finish(_)) => {
                Progress::Delivered { sink, recording, place }
            }
            (Reply::Answered(Answer::Refused { reason }), _) => Progress::Refused { sink, recording, reason },
            (Reply::Answered(Answer::RetryAfter { reason, .. }) | Reply::Failed(reason), _) => {
                self.failed(item, reason)
            }
        })
    }

    fn failed(&self, item: &Item, reason: String) -> Progress {
        Progress::Failed { sink: self.sink.clone(), recording: item.recording().to_owned(), reason }
    }
}

/// Makes instances of a sink of the pipeline file.
pub fn instances(catalog: &Catalog, plugin: &PluginSettings) -> Result<Make> {
    let PluginSettings { plugin: id, settings } = plugin.clone();
    let (found, _) = catalog.find(&id).with_context(|| format!("there is no plugin `{id}`"))?;
    let found = found.clone();
    Ok(Box::new(move || {
        let library = deskreel_host::load_with_deadline(&found, deskreel_host::LOAD_LIMIT)
            .map_err(|refused| format!("{} cannot be used: {refused}", found.path.display()))?;
        let made = library.create(&id, &settings, HostCallbacks::default());
        Ok(Box::new(made.map_err(|failure| failure.to_string())?))
    }))
}

impl Deliver for Plugin {
    fn fragment(&mut self, delivery: &FragmentDelivery) -> Result<Option<Answer>, String> {
        Plugin::fragment(self, delivery).map_err(|failure: PluginFailure| failure.to_string())
    }

    fn finish(&mut self, recording: &FinishedRecording) -> Result<Answer, String> {
        Plugin::finish(self, recording).map_err(|failure| failure.to_string())
    }

    fn check(&mut self) -> Result<(), String> {
        Plugin::check(self).map_err(|failure| failure.to_string())
    }
}
