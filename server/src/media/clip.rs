//! A clip with exactly the requested footage, as one ordinary MP4: takes of one or several recordings in
//! sequence, each from its first frame to its last. An edit list hides frames that are only needed for
//! decoding, from the keyframe before. Pure.

use std::sync::Arc;

use axum::body::Bytes;
use deskreel_fmp4::{Chunk, Edit, FragmentInfo, ParameterSets, SampleInfo, VideoConfig};
use deskreel_model::RecordingId;

use super::{FilePiece, ServedFile};
use crate::fragments::StoredFragment;

/// A stretch of one recording's media time, with the fragments that show it, from a keyframe on.
#[derive(Debug, Clone)]
pub struct Take {
    pub recording: Arc<RecordingId>,
    pub from_ns: u64,
    pub to_ns: u64,
    pub fragments: Vec<TakeFragment>,
}

/// A fragment with its frames.
#[derive(Debug, Clone)]
pub struct TakeFragment {
    pub stored: StoredFragment,
    /// Index of the configuration that its frames are coded with.
    pub config: usize,
    pub info: FragmentInfo,
    /// The offset at which parameter sets are inserted, for each of its keyframes; empty if it needs none.
    pub set_offsets: Vec<usize>,
}

/// Collects the configurations of a clip, then lays it out.
#[derive(Debug, Clone, Default)]
pub struct ClipBuilder {
    configs: Vec<VideoConfig>,
    sets: Vec<ParameterSets>,
}

impl ClipBuilder {
    /// Adds a configuration and returns its index. `Err`: one file cannot have it beside the others.
    pub fn add_config(&mut self, config: VideoConfig) -> Result<usize, &'static str> {
        if let Some(known) = self.configs.iter().position(|one| *one == config) {
            return Ok(known);
        }
        let same =
            |one: &VideoConfig| std::mem::discriminant(&one.codec) == std::mem::discriminant(&config.codec);
        if !self.configs.iter().all(same) {
            return Err(
                "The footage is coded with different codecs, which one file cannot hold; export a part of it",
            );
        }
        self.sets.push(ParameterSets::of(&config).map_err(|_| "A header of the footage cannot be read")?);
        self.configs.push(config);
        Ok(self.configs.len() - 1)
    }

    /// The parameter sets to insert before keyframes; `None` if there is only one configuration.
    pub fn parameter_sets(&self, config: usize) -> Option<&ParameterSets> {
        self.sets.get(config).filter(|sets| self.configs.len() > 1 && !sets.bytes.is_empty())
    }

    /// Lays out the file. `None`: there is no frame to show.
    pub fn build(&self, takes: &[Take]) -> Result<Option<ServedFile>, deskreel_fmp4::Error> {
        let (mut chunks, mut edits, mut payload) = (Vec::new(), Vec::new(), ServedFile::default());
        // Counts in the file's own time.
        let mut end_ns = 0;
        for take in takes {
            let frames: Vec<(&TakeFragment, usize)> = take.shown();
            let samples =
                || frames.iter().flat_map(|(frames, count)| frames.info.samples.iter().take(*count));
            let Some(first) = samples().next() else { continue };
            let end_of = |sample: &SampleInfo| sample.pts_ns.saturating_add(sample.duration_ns);
            let shown = samples().map(|sample| sample.pts_ns);
            let begin = shown.clone().min().unwrap_or(0).max(take.from_ns);
            let to = samples().map(end_of).max().unwrap_or(0).min(take.to_ns);
            if to <= begin {
                continue;
            }
            let base = first.dts_ns;
            let moved = |ns: u64| ns.saturating_sub(base).saturating_add(end_ns);
            // The frame that is on when the take begins may have begun minutes earlier. It is moved to the
            // beginning, since players skip frames that begin before an edit.
            let on = shown.filter(|pts_ns| *pts_ns <= begin).max();
            let time = |sample: &SampleInfo| match Some(sample.pts_ns) == on {
                true if sample.dts_ns == sample.pts_ns => (moved(begin), moved(begin)),
                true => (moved(begin), moved(sample.dts_ns)),
                false => (moved(sample.pts_ns), moved(sample.dts_ns)),
            };
            edits.push(Edit { from_ns: moved(begin), duration_ns: to - begin });
            let last = samples().map(|sample| sample.dts_ns.saturating_add(sample.duration_ns)).max();
            for (frames, count) in &frames {
                chunks.push(self.append(&take.recording, frames, *count, time, &mut payload));
            }
            end_ns = moved(last.unwrap_or(to));
        }
        if chunks.is_empty() {
            return Ok(None);
        }
        let mut file = ServedFile::default();
        file.push(FilePiece::Bytes(Bytes::from(deskreel_fmp4::progressive_head(
            &self.configs,
            &chunks,
            &edits,
        )?)));
        file.size += payload.size;
        file.pieces.append(&mut payload.pieces);
        Ok(Some(file))
    }

    /// Appends the bytes of a fragment's first `count` frames to the payload, and returns their tables.
    fn append(
        &self,
        recording: &Arc<RecordingId>,
        frames: &TakeFragment,
        count: usize,
        time: impl Fn(&SampleInfo) -> (u64, u64),
        payload: &mut ServedFile,
    ) -> Chunk {
        let object = |bytes| FilePiece::Object {
            recording: recording.clone(),
            sha256: frames.stored.sha256.clone(),
            bytes,
        };
        let sets = self.parameter_sets(frames.config);
        let mut offsets = frames.set_offsets.iter();
        // The bytes between `from` and `at` are not appended yet.
        let mut from = frames.info.payload as u64;
        let mut at = from;
        let mut samples = Vec::with_capacity(count);
        for sample in frames.info.samples.iter().take(count) {
            let mut size = sample.size;
            if let (true, Some(sets)) = (sample.keyframe, sets) {
                let place = at + offsets.next().map_or(0, |offset| (*offset).min(sample.size)) as u64;
                if place > from {
                    payload.push(object(from..place));
                }
                payload.push(FilePiece::Bytes(Bytes::copy_from_slice(&sets.bytes)));
                from = place;
                size += sets.bytes.len();
            }
            at += sample.size as u64;
            let (pts_ns, dts_ns) = time(sample);
            samples.push(SampleInfo { pts_ns, dts_ns, size, ..*sample });
        }
        if at > from {
            payload.push(object(from..at));
        }
        Chunk { config: frames.config, samples }
    }
}

impl Take {
    /// The fragments, each with the number of its frames that are needed: up to the last one that is shown
    /// before the end.
    fn shown(&self) -> Vec<(&TakeFragment, usize)> {
        let is_shown = |sample: &SampleInfo| sample.pts_ns < self.to_ns;
        let count =
            |frames: &TakeFragment| frames.info.samples.iter().rposition(is_shown).map_or(0, |last| last + 1);
        let last = self.fragments.iter().rposition(|frames| count(frames) > 0);
        let kept = self.fragments.iter().take(last.map_or(0, |last| last + 1)).enumerate();
        // All fragments before the last one are needed as a whole.
        kept.map(|(index, frames)| {
            (frames, if Some(index) == last { count(frames) } else { frames.info.samples.len() })
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use deskreel_fmp4::{Codec, read_header};

    use super::super::tests::{fragment, recording};
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Constrained baseline with placeholder parameter sets of 4 and 3 bytes.
    fn avc(width: u32) -> VideoConfig {
        let avcc = [1, 0x42, 0xc0, 0x2a, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x2a, 1, 0, 3, 0x68, 0xce, 0x3c];
        VideoConfig { codec: Codec::H264 { avcc: avcc.to_vec() }, width, height: 180 }
    }

    /// One second: ten frames of ten bytes. `reorder` swaps the display order of each pair.
    fn frames(second: u64, config: usize, reorder: bool) -> TakeFragment {
        let sample = |number: u64| {
            let dts_ns = second * SECOND + number * SECOND / 10;
            let shift = if reorder { 2 - 2 * (number % 2) } else { 0 };
            SampleInfo {
                pts_ns: dts_ns + shift * SECOND / 10,
                dts_ns,
                duration_ns: SECOND / 10,
                keyframe: number == 0,
                size: 10,
            }
        };
        let samples: Vec<SampleInfo> = (0..10).map(sample).collect();
        let info = FragmentInfo {
            sequence: 1,
            start_ns: second * SECOND,
            duration_ns: SECOND,
            samples,
            payload: 50,
        };
        TakeFragment {
            stored: fragment(1, second as u32 + 1, second, true),
            config,
            info,
            set_offsets: vec![6],
        }
    }

    fn take(name: &str, from_ms: u64, to_ms: u64, fragments: Vec<TakeFragment>) -> Take {
        Take { recording: recording(name), from_ns: from_ms * 1_000_000, to_ns: to_ms * 1_000_000, fragments }
    }

    /// Each piece except the tables: `r-1/1-1 50..90`, or the number of generated bytes.
    fn written(file: &ServedFile) -> Vec<String> {
        let write = |piece: &FilePiece| match piece {
            FilePiece::Bytes(bytes) => format!("{} bytes", bytes.len()),
            FilePiece::Object { recording, sha256, bytes } => {
                format!("{recording}/{sha256} {}..{}", bytes.start, bytes.end)
            }
        };
        file.pieces.iter().skip(1).map(write).collect()
    }

    #[test]
    fn a_take_ends_with_the_last_frame_that_is_shown() {
        let mut clip = ClipBuilder::default();
        clip.add_config(avc(320)).unwrap();
        let second = |second| frames(second, 0, false);
        // 1.25 s: the frame at 1.2 s is on then.
        let file = clip.build(&[take("r-1", 350, 1250, vec![second(0), second(1)])]).unwrap().unwrap();
        assert_eq!(written(&file), ["r-1/1-1 50..150", "r-1/1-2 50..80"]);
        // With reordering, frames are kept up to the last one in decoding order that is shown: at 0.4 s the
        // frame of 0.2 s is on.
        let reordered = take("r-1", 0, 500, vec![frames(0, 0, true)]);
        assert_eq!(written(&clip.build(&[reordered]).unwrap().unwrap()), ["r-1/1-1 50..90"]);
        // No frame is in the stretch, or the take has none at all.
        assert!(clip.build(&[take("r-1", 2000, 3000, vec![second(0)])]).unwrap().is_none());
        assert!(clip.build(&[take("r-1", 0, 1000, Vec::new())]).unwrap().is_none());
    }

    #[test]
    fn keyframes_get_their_parameter_sets_if_there_are_several_configurations() {
        let mut clip = ClipBuilder::default();
        assert_eq!(
            (clip.add_config(avc(320)), clip.add_config(avc(640)), clip.add_config(avc(320))),
            (Ok(0), Ok(1), Ok(0))
        );
        let takes = [
            take("r-1", 0, 1000, vec![frames(0, 0, false)]),
            take("r-2", 0, 1000, vec![frames(0, 1, false)]),
        ];
        let file = clip.build(&takes).unwrap().unwrap();
        // After the delimiter, which has six bytes here.
        assert_eq!(
            written(&file),
            [
                "r-1/1-1 50..56",
                "15 bytes",
                "r-1/1-1 56..150",
                "r-2/1-1 50..56",
                "15 bytes",
                "r-2/1-1 56..150"
            ]
        );
        let tables = file.pieces[0].size();
        assert_eq!(file.size, tables + 2 * (100 + 15));
        let FilePiece::Bytes(tables) = &file.pieces[0] else { panic!("the tables come first") };
        assert!(read_header(tables).is_err(), "this is not a header of fragments");
        assert!(tables.windows(4).any(|name| name == b"avc3"));
    }

    #[test]
    fn footage_of_different_codecs_does_not_make_one_file() {
        let mut clip = ClipBuilder::default();
        clip.add_config(avc(320)).unwrap();
        let av1 = VideoConfig { codec: Codec::Av1 { av1c: vec![0x81, 4, 0x0c, 0] }, width: 320, height: 180 };
        assert!(clip.add_config(av1).is_err());
    }
}
