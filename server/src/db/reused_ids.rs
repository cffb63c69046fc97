//! Interactions whose id comes again after the engine has forgotten it. An engine tells two calls with the
//! same id apart by itself as long as it remembers the first (`77@` and the time); beyond that only the index
//! knows which ids were there (`77~` and the time).

use deskreel_model::InteractionId;

use crate::about_segments::AboutSegments;
use crate::db::Write;
use crate::db::sql::row;
use crate::error::Result;
use crate::time::rfc3339;

/// An engine remembers the calls of this time at least: it replays the events of as much when it starts
/// (`control/past.rs`). No call lasts or waits longer.
const REMEMBERED_MS: i64 = 12 * 3600 * 1000;

row! {
    struct KnownInteraction {
        media: String,
        started: i64,
        ended: Option<i64>,
    }
}

impl Write {
    /// The interaction of the index that an engine means by `id`, for a segment that begins at `from`
    /// (milliseconds since 1970): the same id or, if that was another customer's on an earlier day, the id
    /// with the time. Ids of chats and mails are not used again; these may last for days.
    pub(super) async fn interaction_meant(
        &mut self,
        id: &InteractionId,
        media: &str,
        from: i64,
    ) -> Result<InteractionId> {
        let known: Option<KnownInteraction> =
            sqlx::query_as("SELECT media, started, ended FROM interactions WHERE interaction = $1")
                .bind(id.as_str())
                .fetch_optional(&mut *self.tx)
                .await?;
        let is_past = |known: KnownInteraction| {
            known.media == "voice" && known.ended.unwrap_or(known.started) < from - REMEMBERED_MS
        };
        if media != "voice" || !known.is_some_and(is_past) {
            return Ok(id.clone());
        }
        let again: Option<(String,)> = sqlx::query_as(
            "SELECT interaction FROM interactions WHERE started BETWEEN $1 AND $2 \
             AND substr(interaction, 1, $3) = $4 ORDER BY started DESC LIMIT 1",
        )
        .bind(from - REMEMBERED_MS)
        .bind(from + REMEMBERED_MS)
        .bind(i32::try_from(id.as_str().chars().count() + 1).unwrap_or(i32::MAX))
        .bind(format!("{id}~"))
        .fetch_optional(&mut *self.tx)
        .await?;
        Ok(match again {
            Some((interaction,)) => InteractionId(interaction.into()),
            None => InteractionId(format!("{id}~{}", rfc3339(from)).into()),
        })
    }

    /// The same for the segments that a recorder asks for.
    pub(super) async fn name_interactions(&mut self, segments: &mut AboutSegments) -> Result<()> {
        let AboutSegments { interactions, calls, media, from, .. } = segments;
        for (interaction, _) in interactions {
            let meant = self.interaction_meant(interaction, media, *from).await?;
            let of_calls = calls.iter_mut().map(|(_, of)| of).filter(|of| *of == interaction);
            of_calls.for_each(|of| of.clone_from(&meant));
            *interaction = meant;
        }
        Ok(())
    }
}
