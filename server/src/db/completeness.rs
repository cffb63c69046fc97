//! Completeness: what was to be recorded against what is stored, in time, with the reasons for the rest.

use std::collections::BTreeMap;

use deskreel_model::{AgentId, InteractionId, Place, RecordingId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::account::{AccountStretch, FootageFigures, FootageState, WantedStretch, figures};
use crate::db::Db;
use crate::db::account::AccountQuestion;
use crate::db::scope::Scope;
use crate::db::sql::{Sql, row};
use crate::error::Result;
use crate::schema::Time;
use crate::time::{now_ms, rfc3339};

#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Completeness {
    /// Footage that was decided on, and recordings that recorders made by themselves.
    pub expected: u64,
    /// Of these, the number with any footage.
    pub captured: u64,
    /// Of these, the number that is here as a whole.
    pub uploaded: u64,
    /// Of these, the number of which something is still to come.
    pub on_its_way: u64,
    /// The same in time.
    pub coverage: FootageFigures,
    /// Those of which something is missing, newest first; at most a thousand.
    pub missing: Vec<Missing>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MissingFootage)]
pub struct Missing {
    #[schema(value_type = Option<String>)]
    pub recording: Option<RecordingId>,
    #[schema(value_type = Option<String>)]
    pub agent: Option<AgentId>,
    #[schema(value_type = Option<String>)]
    pub interaction: Option<InteractionId>,
    #[schema(value_type = Time)]
    pub at: String,
    pub wanted_ms: i64,
    pub missing_ms: i64,
    /// The reason for most of it.
    pub why: String,
}

/// Most entries of `missing`.
const MOST: usize = 1000;

row! {
    struct WantedRow {
        /// Of footage, its id; of a recording that its recorder made by itself, that of the recording.
        id: RecordingId,
        recording: Option<RecordingId>,
        agent: Option<AgentId>,
        place: Option<Place>,
        from_ms: i64,
        to_ms: Option<i64>,
        /// When this recording of the footage began.
        since: Option<i64>,
        closed: Option<i64>,
        deleted: Option<i64>,
        interaction: Option<InteractionId>,
        learned: Option<i64>,
        not_made: Option<String>,
    }
}

/// Footage, with the recordings that it became.
struct Expected {
    id: RecordingId,
    agent: Option<AgentId>,
    place: Option<Place>,
    interaction: Option<InteractionId>,
    from: i64,
    to: Option<i64>,
    learned: Option<i64>,
    not_made: Option<String>,
    /// Each with its beginning.
    recordings: Vec<(RecordingId, i64)>,
    are_closed: bool,
    was_deleted: bool,
}

impl Db {
    /// `from` and `to`: when the footage began.
    pub async fn completeness(&self, scope: &Scope, from: i64, to: i64) -> Result<Completeness> {
        let expected = self.expected(scope, from, to).await?;
        let now = now_ms();
        let wanted: Vec<(usize, AccountQuestion<'_>)> = expected
            .iter()
            .enumerate()
            .flat_map(|(index, one)| one.wanted(now).into_iter().map(move |wanted| (index, wanted)))
            .collect();
        let (indexes, stretches): (Vec<usize>, Vec<AccountQuestion<'_>>) = wanted.into_iter().unzip();
        let mut accounts: BTreeMap<usize, Vec<AccountStretch>> = BTreeMap::new();
        for (index, account) in indexes.into_iter().zip(self.accounts(&stretches).await?) {
            accounts.entry(index).or_default().extend(account);
        }
        let mut all = Completeness::default();
        for (index, one) in expected.iter().enumerate().rev() {
            all.add(one, accounts.get(&index).map_or(&[][..], Vec::as_slice));
        }
        Ok(all)
    }

    /// By their beginning.
    async fn expected(&self, scope: &Scope, from: i64, to: i64) -> Result<Vec<Expected>> {
        let mut sql = Sql::new(
            "SELECT f.footage AS id, fr.recording, f.agent, f.place, f.from_ms, f.to_ms, fr.from_ms AS since, \
             r.closed, r.deleted, \
             (SELECT MIN(interaction) FROM segments s WHERE s.footage = f.footage) AS interaction, f.learned, f.not_made \
             FROM footage f LEFT JOIN footage_recordings fr ON fr.footage = f.footage \
             LEFT JOIN recordings r ON r.recording = fr.recording WHERE f.from_ms >= ",
        );
        sql.bind(from).push(" AND f.from_ms < ").bind(to).push(" AND ");
        scope.restrict(&mut sql, "f.agent");
        sql.push(
            " UNION ALL SELECT r.recording, r.recording, r.agent, r.place, r.started, COALESCE(r.ended, r.started), \
             r.started, r.closed, r.deleted, \
             (SELECT MIN(interaction) FROM segments s WHERE s.recording = r.recording), NULL, NULL FROM recordings r \
             WHERE NOT EXISTS (SELECT 1 FROM footage_recordings fr WHERE fr.recording = r.recording) AND r.started >= ",
        );
        sql.bind(from).push(" AND r.started < ").bind(to).push(" AND ");
        scope.restrict(&mut sql, "r.agent");
        sql.push(" ORDER BY 5, 1, 7");
        let rows: Vec<WantedRow> = sql.rows(self).await?;
        let mut all: Vec<Expected> = Vec::new();
        for row in rows {
            if all.last().is_none_or(|last| last.id != row.id) {
                all.push(Expected {
                    id: row.id,
                    agent: row.agent,
                    place: row.place,
                    interaction: row.interaction,
                    from: row.from_ms,
                    to: row.to_ms,
                    learned: row.learned,
                    not_made: row.not_made,
                    recordings: Vec::new(),
                    are_closed: true,
                    was_deleted: false,
                });
            }
            if let (Some(last), Some(recording)) = (all.last_mut(), row.recording) {
                last.recordings.push((recording, row.since.unwrap_or(row.from_ms)));
                last.are_closed &= row.closed.is_some();
                last.was_deleted |= row.deleted.is_some();
            }
        }
        Ok(all)
    }
}

impl Expected {
    /// Its stretches, one for each recording. A gap between two belongs to the earlier one.
    fn wanted(&self, now: i64) -> Vec<AccountQuestion<'_>> {
        let end = self.to.unwrap_or(now).max(self.from);
        let stretch = |from: i64, to: i64| WantedStretch {
            from,
            to: to.max(from),
            place: self.place.as_ref(),
            learned: self.learned,
            is_commanded: !self.recordings.is_empty(),
            not_made: self.not_made.as_deref(),
        };
        if self.recordings.is_empty() {
            return vec![AccountQuestion { stretch: stretch(self.from, end), recording: None }];
        }
        let ends = self.recordings.iter().skip(1).map(|(_, since)| (*since).min(end));
        let ends = ends.chain([end]);
        let begins = [self.from].into_iter().chain(ends.clone());
        let each = self.recordings.iter().zip(begins.zip(ends));
        each.map(|((id, _), (from, to))| AccountQuestion { stretch: stretch(from, to), recording: Some(id) })
            .collect()
    }
}

impl Completeness {
    fn add(&mut self, expected: &Expected, account: &[AccountStretch]) {
        let sum = figures(account);
        self.coverage.add(sum);
        self.expected += 1;
        // A deleted recording had been captured.
        self.captured += u64::from(sum.stored_ms + sum.withheld_ms > 0 || expected.was_deleted);
        self.uploaded += u64::from(expected.are_closed && !expected.recordings.is_empty());
        self.on_its_way += u64::from(sum.on_its_way_ms > 0);
        let missing = account.iter().filter(|one| one.state == FootageState::Missing);
        let longest = missing.max_by_key(|one| one.to - one.from);
        let Some(longest) = longest.filter(|_| !expected.was_deleted && self.missing.len() < MOST) else {
            return;
        };
        self.missing.push(Missing {
            recording: expected.recordings.first().map(|(id, _)| id.clone()),
            agent: expected.agent.clone(),
            interaction: expected.interaction.clone(),
            at: rfc3339(longest.from),
            wanted_ms: sum.wanted_ms,
            missing_ms: sum.missing_ms,
            why: longest.why.clone(),
        });
    }
}
