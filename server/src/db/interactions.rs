//! Finds interactions, and reads one with its segments and calls.

use std::collections::{BTreeMap, BTreeSet};

use deskreel_model::{AgentId, CallId, InteractionId, Place, RecordingId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::account::{AccountStretch, FootageFigures, FootageState, WantedStretch, figures};
use crate::db::Db;
use crate::db::account::AccountQuestion;
use crate::db::recordings::NewestFootage;
use crate::db::scope::Scope;
use crate::db::sql::{Sql, row};
use crate::error::Result;
use crate::schema::Time;
use crate::time::{now_ms, rfc3339};

/// Conditions of a search; `None` restricts nothing.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub agent: Option<AgentId>,
    pub group: Option<String>,
    pub call: Option<CallId>,
    pub label: Option<String>,
    pub media: Option<String>,
    pub direction: Option<String>,
    pub role: Option<String>,
    /// Milliseconds since 1970.
    pub from: Option<i64>,
    pub to: Option<i64>,
    pub min_ms: Option<i64>,
    pub max_ms: Option<i64>,
    pub attached: Vec<(String, String)>,
    pub tags: Vec<(String, Option<String>)>,
    /// Start and id of the last interaction on the previous page.
    pub after: Option<(i64, InteractionId)>,
    pub limit: u32,
}

/// The fields that an interaction has both in a list and by itself.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Outline {
    #[schema(value_type = String)]
    pub interaction: InteractionId,
    #[schema(value_type = Time)]
    pub started: String,
    #[schema(value_type = Option<Time>)]
    pub ended: Option<String>,
    pub duration_ms: Option<i64>,
    pub media: String,
    pub direction: Option<String>,
    #[schema(value_type = Vec<String>)]
    pub agents: Vec<AgentId>,
    pub labels: Vec<String>,
    /// Whether its segments have footage.
    pub has_footage: HasFootage,
    /// The account of its segments in figures.
    pub coverage: FootageFigures,
    pub live: bool,
    pub held: bool,
    #[serde(skip)]
    pub started_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HasFootage {
    None,
    Some,
    All,
    /// Nothing is here yet, and something may come.
    #[serde(rename = "on_its_way")]
    OnItsWay,
}

impl HasFootage {
    /// While it is live, the last seconds are always on their way.
    fn of(figures: &FootageFigures, live: bool) -> HasFootage {
        let FootageFigures { stored_ms, withheld_ms, on_its_way_ms, missing_ms, .. } = *figures;
        match (stored_ms + withheld_ms, on_its_way_ms, missing_ms) {
            (0, 1.., _) => HasFootage::OnItsWay,
            (0, _, _) => HasFootage::None,
            (_, on_its_way, 0) if live || on_its_way == 0 => HasFootage::All,
            _ => HasFootage::Some,
        }
    }
}

/// An interaction in a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Summary {
    #[serde(flatten)]
    pub outline: Outline,
    pub calls: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Segment {
    pub interaction: InteractionId,
    pub agent: AgentId,
    pub place: Option<Place>,
    pub recording: Option<RecordingId>,
    pub call: Option<CallId>,
    pub role: String,
    pub from: i64,
    pub to: Option<i64>,
    pub why: String,
    /// Media time zero of its recording.
    pub zero: Option<i64>,
    /// More of its recording may still arrive.
    pub live: bool,
    pub has_footage: bool,
    /// When the server learned that its footage is wanted.
    learned: Option<i64>,
    /// Why it was not made, if no hindrance says so.
    not_made: Option<String>,
    /// For each moment, whether there is footage, and why not.
    pub account: Vec<AccountStretch>,
}

impl Segment {
    /// Why there is no footage at all.
    pub fn missing(&self) -> Option<String> {
        let has_some = self.account.iter().any(|one| one.state == FootageState::Stored);
        let first = self.account.iter().find(|one| !one.why.is_empty()).filter(|_| !has_some);
        first.map(|one| one.why.clone()).or_else(|| (!self.has_footage).then(|| NOTHING.to_owned()))
    }
}

const NOTHING: &str = "nothing of it has arrived";

/// A call with its attached data and its times on hold.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Call {
    #[schema(value_type = String)]
    pub call: CallId,
    pub direction: Option<String>,
    #[serde(rename = "type")]
    pub call_type: Option<String>,
    pub attached: BTreeMap<String, String>,
    pub held: Vec<Hold>,
}

/// A stretch on hold.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = CallHold)]
pub struct Hold {
    #[schema(value_type = Time)]
    pub from: String,
    /// Null while it lasts.
    #[schema(value_type = Option<Time>)]
    pub to: Option<String>,
}

row! {
    struct SummaryRow {
        interaction: InteractionId,
        media: String,
        direction: Option<String>,
        started: i64,
        ended: Option<i64>,
    }
}

row! {
    struct SegmentRow {
        interaction: InteractionId,
        agent: AgentId,
        place: Option<Place>,
        recording: Option<RecordingId>,
        call: Option<CallId>,
        role: String,
        from_ms: i64,
        to_ms: Option<i64>,
        why: String,
        started: Option<i64>,
        closed: Option<i64>,
        deleted: Option<i64>,
        over: Option<i64>,
        running: Option<i64>,
        newest_ns: Option<i64>,
        bytes: Option<i64>,
        learned: Option<i64>,
        not_made: Option<String>,
    }
}

row! {
    struct WordRow {
        interaction: InteractionId,
        word: String,
    }
}

row! {
    struct CallRow {
        call: CallId,
        direction: Option<String>,
        call_type: Option<String>,
        held: String,
    }
}

row! {
    struct AttachedRow {
        call: CallId,
        key: String,
        value: String,
    }
}

type Words = BTreeMap<InteractionId, Vec<String>>;

impl Db {
    /// Newest first; one more than the limit if there are more.
    pub async fn find(&self, scope: &Scope, filter: &Filter) -> Result<Vec<Summary>> {
        let mut sql = Sql::new(
            "SELECT interaction, media, direction, started, ended FROM interactions i WHERE deleted IS NULL \
             AND EXISTS (SELECT 1 FROM segments s WHERE s.interaction = i.interaction AND ",
        );
        scope.restrict(&mut sql, "s.agent");
        // All conditions on segments have to hold for the same segment.
        sql.push_if(" AND s.agent = ", filter.agent.as_ref());
        sql.push_if(" AND s.role = ", filter.role.as_ref());
        if let Some(group) = &filter.group {
            let groups = self.with_groups_below(std::slice::from_ref(group)).await?;
            sql.push(" AND s.agent IN (SELECT agent FROM agents WHERE grp IN ").bind_all(&groups).push(")");
        }
        sql.push(")");
        filter.restrict_related(&mut sql);
        filter.restrict_columns(&mut sql);
        sql.push(" ORDER BY started DESC, interaction DESC LIMIT ").bind(i64::from(filter.limit) + 1);
        let rows = sql.rows(self).await?;
        self.summaries(scope, rows).await
    }

    /// `None`: the interaction does not exist, or not in this scope.
    pub async fn summary(&self, scope: &Scope, interaction: &InteractionId) -> Result<Option<Summary>> {
        if !self.sees_interaction(scope, interaction).await? {
            return Ok(None);
        }
        let mut sql = Sql::new(
            "SELECT interaction, media, direction, started, ended FROM interactions WHERE interaction = ",
        );
        sql.bind(interaction);
        let rows = sql.rows(self).await?;
        Ok(self.summaries(scope, rows).await?.pop())
    }

    async fn summaries(&self, scope: &Scope, rows: Vec<SummaryRow>) -> Result<Vec<Summary>> {
        let ids: Vec<InteractionId> = rows.iter().map(|row| row.interaction.clone()).collect();
        let mut segments: BTreeMap<InteractionId, Vec<Segment>> = BTreeMap::new();
        for segment in self.segments(scope, &ids).await? {
            segments.entry(segment.interaction.clone()).or_default().push(segment);
        }
        let calls =
            self.words("SELECT interaction, call AS word FROM calls WHERE interaction IN ", &ids).await?;
        let labels =
            self.words("SELECT interaction, label AS word FROM labels WHERE interaction IN ", &ids).await?;
        let holds =
            self.words("SELECT interaction, reason AS word FROM holds WHERE interaction IN ", &ids).await?;
        let summary = |SummaryRow { interaction, media, direction, started, ended }| {
            let segments = segments.get(&interaction).map_or(&[][..], Vec::as_slice);
            let coverage = figures(segments.iter().flat_map(|segment| &segment.account));
            let live = segments.iter().any(|segment| segment.live);
            let agents: BTreeSet<_> = segments.iter().map(|segment| segment.agent.clone()).collect();
            let words = |of: &Words| of.get(&interaction).cloned().unwrap_or_default();
            let calls = words(&calls);
            let outline = Outline {
                started: rfc3339(started),
                ended: ended.map(rfc3339),
                duration_ms: ended.map(|ended| ended - started),
                media,
                direction,
                agents: agents.into_iter().collect(),
                labels: words(&labels),
                has_footage: HasFootage::of(&coverage, live),
                coverage,
                live,
                held: holds.contains_key(&interaction),
                started_ms: started,
                interaction,
            };
            Summary { outline, calls }
        };
        Ok(rows.into_iter().map(summary).collect())
    }

    /// Segments of these interactions that the scope sees, by their beginning.
    pub async fn segments(&self, scope: &Scope, interactions: &[InteractionId]) -> Result<Vec<Segment>> {
        self.segments_at(scope, interactions, now_ms()).await
    }

    /// `now` is the end of segments that still run.
    pub async fn segments_at(
        &self,
        scope: &Scope,
        interactions: &[InteractionId],
        now: i64,
    ) -> Result<Vec<Segment>> {
        let mut sql = Sql::new(
            "SELECT s.interaction, s.agent, s.place, s.recording, s.call, s.role, s.from_ms, s.to_ms, s.why, \
             r.started, r.closed, r.deleted, r.ended AS over, r.running, r.newest_ns, r.bytes, f.learned, f.not_made \
             FROM segments s LEFT JOIN recordings r ON r.recording = s.recording \
             LEFT JOIN footage f ON f.footage = s.footage WHERE s.interaction IN ",
        );
        sql.bind_all(interactions).push(" AND ");
        scope.restrict(&mut sql, "s.agent");
        sql.push(" ORDER BY s.from_ms, s.id");
        let rows: Vec<SegmentRow> = sql.rows(self).await?;
        let mut segments: Vec<Segment> = rows.into_iter().map(Segment::from).collect();
        let wanted = segments.iter().map(|segment| AccountQuestion {
            stretch: WantedStretch {
                from: segment.from,
                to: segment.to.unwrap_or(now).max(segment.from),
                place: segment.place.as_ref(),
                learned: segment.learned,
                is_commanded: segment.recording.is_some(),
                not_made: segment.not_made.as_deref(),
            },
            recording: segment.recording.as_ref(),
        });
        let accounts = self.accounts(&wanted.collect::<Vec<_>>()).await?;
        for (segment, account) in segments.iter_mut().zip(accounts) {
            segment.account = account;
        }
        Ok(segments)
    }

    /// One column of text for each interaction, sorted.
    async fn words(&self, query: &'static str, ids: &[InteractionId]) -> Result<Words> {
        let mut sql = Sql::new(query);
        sql.bind_all(ids).push(" ORDER BY 1, 2");
        let mut words = Words::new();
        for WordRow { interaction, word } in sql.rows(self).await? {
            words.entry(interaction).or_default().push(word);
        }
        Ok(words)
    }

    pub async fn calls(&self, interaction: &InteractionId) -> Result<Vec<Call>> {
        let attached: Vec<AttachedRow> =
            sqlx::query_as("SELECT call, key, value FROM attached WHERE interaction = $1")
                .bind(interaction.as_str())
                .fetch_all(&self.pool)
                .await?;
        let rows: Vec<CallRow> = sqlx::query_as(
            "SELECT call, direction, type AS call_type, held FROM calls WHERE interaction = $1 ORDER BY call",
        )
        .bind(interaction.as_str())
        .fetch_all(&self.pool)
        .await?;
        let call = |CallRow { call, direction, call_type, held }| {
            let own = attached.iter().filter(|row| row.call == call);
            let attached = own.map(|row| (row.key.clone(), row.value.clone())).collect();
            Call {
                call,
                direction,
                call_type,
                attached,
                held: serde_json::from_str(&held).unwrap_or_default(),
            }
        };
        Ok(rows.into_iter().map(call).collect())
    }
}

impl Filter {
    /// Adds the conditions on rows that belong to an interaction.
    fn restrict_related(&self, sql: &mut Sql) {
        if let Some(call) = &self.call {
            sql.push(" AND EXISTS (SELECT 1 FROM calls c WHERE c.interaction = i.interaction AND c.call = ");
            sql.bind(call).push(")");
        }
        if let Some(label) = &self.label {
            sql.push(
                " AND EXISTS (SELECT 1 FROM labels l WHERE l.interaction = i.interaction AND l.label = ",
            );
            sql.bind(label).push(")");
        }
        for (key, value) in &self.attached {
            sql.push(
                " AND EXISTS (SELECT 1 FROM attached a WHERE a.interaction = i.interaction AND a.key = ",
            );
            sql.bind(key).push(" AND a.value = ").bind(value).push(")");
        }
        for (name, value) in &self.tags {
            sql.push(" AND EXISTS (SELECT 1 FROM tags t WHERE t.interaction = i.interaction AND t.name = ");
            sql.bind(name).push_if(" AND t.value = ", value.as_ref()).push(")");
        }
    }

    /// Adds the conditions on an interaction's own columns.
    fn restrict_columns(&self, sql: &mut Sql) {
        sql.push_if(" AND media = ", self.media.as_ref());
        sql.push_if(" AND direction = ", self.direction.as_ref());
        sql.push_if(" AND started >= ", self.from);
        sql.push_if(" AND started < ", self.to);
        sql.push_if(" AND ended - started >= ", self.min_ms);
        sql.push_if(" AND ended - started <= ", self.max_ms);
        if let Some((started, interaction)) = &self.after {
            sql.push(" AND (started < ").bind(*started).push(" OR (started = ").bind(*started);
            sql.push(" AND interaction < ").bind(interaction).push("))");
        }
    }
}

impl From<SegmentRow> for Segment {
    fn from(row: SegmentRow) -> Segment {
        let is_live = NewestFootage::new(row.running, row.started, row.newest_ns).is_live(now_ms());
        let has_footage = row.deleted.is_none() && row.bytes.unwrap_or(0) > 0;
        Segment {
            interaction: row.interaction,
            agent: row.agent,
            place: row.place,
            recording: row.recording,
            call: row.call,
            role: row.role,
            from: row.from_ms,
            to: row.to_ms,
            why: row.why,
            zero: row.started,
            live: has_footage && row.closed.is_none() && row.over.is_none() && is_live,
            has_footage,
            learned: row.learned,
            not_made: row.not_made,
            account: Vec::new(),
        }
    }
}
