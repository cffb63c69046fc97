//! Compares the account of the index with the truth, second by second.

use deskreel_model::InteractionId;

use super::simulator::{DAY, FRAGMENT_MS, Simulator};
use super::truth::{Call, Cause, Truth};
use crate::account::{AccountStretch, FootageState};
use crate::db::interactions::Segment;
use crate::db::scope::Scope;

/// Beginning and end of a call in the index may differ by this: recorders are commanded in milliseconds.
const EDGE_MS: i64 = 1000;
/// Time after which nothing may be unexplained: a line that died silently is noticed by then.
const NOTICED_MS: i64 = 90_000;

#[derive(Clone, Copy)]
enum Moment {
    /// Everything was delivered.
    End,
    /// The server runs, and the index is up to date.
    Served {
        now: i64,
    },
    Unserved {
        now: i64,
    },
}

impl Simulator {
    /// Compares all calls that have begun. `is_over`: everything was delivered.
    pub async fn compare(&mut self, is_over: bool) {
        let mut found = Vec::new();
        let is_due = |call: &&Call| call.reported.is_some() && (is_over || self.now - call.to < 1_800_000);
        for call in self.calls.iter().filter(is_due) {
            let id = InteractionId::from(call.number.to_string().as_str());
            let now = DAY + self.now;
            let segments = self.db.segments_at(&Scope::All, &[id], now).await.expect("segments");
            let truth = self.truth(call);
            let before = found.len();
            if is_over {
                found.extend(compare_whole(call, &segments));
            }
            found.extend(compare_seconds(&truth, &segments, self.moment(is_over)));
            if found.len() > before {
                found.push(self.story(call, &segments));
            }
        }
        self.differences.extend(found);
    }

    fn moment(&self, is_over: bool) -> Moment {
        match (is_over, &self.server) {
            (true, _) => Moment::End,
            (false, Some(_)) if !self.loses_updates => Moment::Served { now: self.now },
            (false, _) => Moment::Unserved { now: self.now },
        }
    }

    fn story(&self, call: &Call, segments: &[Segment]) -> String {
        let seat = &self.seats[call.seat];
        let recordings = seat.recordings.iter().filter(|one| one.ended.is_none_or(|to| to > call.from));
        let recordings: Vec<_> =
            recordings.take(4).map(|one| format!("{} {}..{:?}", one.id, one.began, one.ended)).collect();
        let stretches: Vec<_> = segments
            .iter()
            .map(|segment| {
                let account: Vec<_> = segment.account.iter().map(show).collect();
                format!(
                    "\n    {:?}: {}",
                    segment.recording.as_ref().map(ToString::to_string),
                    account.join(", ")
                )
            })
            .collect();
        format!(
            "  call {} of {} {}..{} reported {:?}, recordings {recordings:?}{}",
            call.number,
            seat.agent,
            call.from,
            call.to,
            call.reported,
            stretches.concat()
        )
    }
}

fn show(one: &AccountStretch) -> String {
    format!("{}..{} {:?} {}", one.from - DAY, one.to - DAY, one.state, one.why)
}

/// The segments of a call are the whole call.
fn compare_whole(call: &Call, segments: &[Segment]) -> Option<String> {
    let mut end = call.from;
    for segment in segments {
        let (from, to) = (segment.from - DAY, segment.to.map_or(i64::MAX, |to| to - DAY));
        if (from - end).abs() > EDGE_MS {
            break;
        }
        end = to;
    }
    let is_whole = (end - call.to).abs() <= EDGE_MS && !segments.is_empty();
    (!is_whole).then(|| format!("call {}: its segments are not the call", call.number))
}

/// Returns the first difference.
fn compare_seconds(truth: &Truth<'_>, segments: &[Segment], moment: Moment) -> Option<String> {
    let now = match moment {
        Moment::End => i64::MAX,
        Moment::Served { now } | Moment::Unserved { now } => now,
    };
    let accounts: Vec<&AccountStretch> = segments.iter().flat_map(|segment| &segment.account).collect();
    let end = truth.call.to.min(now);
    let mut seconds = (truth.call.from + 500..end).step_by(1000);
    seconds.find_map(|at| {
        let stretch = accounts.iter().find(|one| one.from - DAY <= at && at < one.to - DAY);
        let wrong = match (stretch, moment) {
            (None, Moment::Unserved { .. }) => None,
            (None, _) => is_inside(truth.call, at, now).then_some("is in no account"),
            (Some(stretch), Moment::End) => wrong_at_the_end(truth, stretch, at),
            (Some(stretch), _) => wrong_meanwhile(truth, stretch, at, now),
        };
        let causes = || Cause::ALL.into_iter().filter(|cause| truth.is(*cause, at)).collect::<Vec<_>>();
        let number = truth.call.number;
        let shown = stretch.map_or_else(String::new, |one| show(one));
        wrong.map(|wrong| format!("call {number} at {at}: {wrong}: {shown}; true: {:?}", causes()))
    })
}

fn is_inside(call: &Call, at: i64, now: i64) -> bool {
    call.from + EDGE_MS <= at && at + EDGE_MS <= call.to.min(now)
}

fn wrong_at_the_end(truth: &Truth<'_>, stretch: &AccountStretch, at: i64) -> Option<&'static str> {
    match stretch.state {
        FootageState::Stored => (!truth.may_be_stored(at)).then_some("was never recorded"),
        FootageState::Missing if truth.must_be_stored(at) => Some("was recorded"),
        FootageState::Missing => match Cause::named(&stretch.why) {
            None => Some("unexplained"),
            Some(cause) => (!truth.is(cause, at)).then_some("wrongly explained"),
        },
        FootageState::OnItsWay => Some("nothing is on its way any more"),
        FootageState::Withheld => Some("nothing was withheld"),
    }
}

fn wrong_meanwhile(truth: &Truth<'_>, stretch: &AccountStretch, at: i64, now: i64) -> Option<&'static str> {
    match stretch.state {
        FootageState::Stored => (!truth.may_be_stored(at)).then_some("was never recorded"),
        FootageState::Missing if truth.is_delivered(at, FRAGMENT_MS) => Some("is stored"),
        FootageState::Missing => {
            let is_named = Cause::named(&stretch.why).is_some();
            (!is_named && at + NOTICED_MS < now).then_some("unexplained")
        }
        FootageState::OnItsWay | FootageState::Withheld => None,
    }
}
