//! A clip with exactly the requested footage, as one ordinary MP4: takes of one or several recordings in
//! sequence, each from its first frame to its last. An edit list hides frames that are only needed for
//! decoding, from the keyframe before. Where footage is missing, a slate says so, or, in codecs without
//! slates, the stretch is left out: no picture of another time is shown. Pure.

use std::sync::Arc;

use axum::body::Bytes;
use deskreel_fmp4::{Chunk, Codec, Edit, FragmentInfo, ParameterSets, SampleInfo, VideoConfig};
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
    /// In order, and between fragments or at the ends.
    pub holes: Vec<TakeHole>,
}

/// A stretch without footage.
#[derive(Debug, Clone)]
pub struct TakeHole {
    pub from_ns: u64,
    pub to_ns: u64,
    /// `None`: the stretch is left out.
    pub slate: Option<SlateFrame>,
}

/// The only frame of a slate.
#[derive(Debug, Clone)]
pub struct SlateFrame {
    config: usize,
    data: Bytes,
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
    /// Bytes of all slates.
    slates: usize,
}

/// Limit of a clip's slates, which are in memory while it is sent. Each takes 30 to 500 kB, so that all gaps
/// of any honest recording have one.
const SLATE_BYTES: usize = 32 << 20;
/// Limit of a slate's picture: that of H.264's highest level.
const SLATE_PIXELS: u64 = 139_264 * 256;

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

    /// Makes a slate with the size of pictures of this configuration. `None`: their codec has none, or there
    /// is no room for another one.
    pub fn slate(&mut self, config: usize, lines: &[String]) -> Option<SlateFrame> {
        let VideoConfig { codec: Codec::H264 { .. }, width, height } = *self.configs.get(config)? else {
            return None;
        };
        if u64::from(width) * u64::from(height) > SLATE_PIXELS || self.slates >= SLATE_BYTES {
            return None;
        }
        let config = self.add_config(deskreel_fmp4::slate_config(width, height)).ok()?;
        let data = Bytes::from(deskreel_fmp4::slate(width, height, lines));
        self.slates += data.len();
        Some(SlateFrame { config, data })
    }

    /// The parameter sets to insert before keyframes; `None` if there is only one configuration.
    pub fn parameter_sets(&self, config: usize) -> Option<&ParameterSets> {
        self.sets.get(config).filter(|sets| self.configs.len() > 1 && !sets.bytes.is_empty())
    }

    /// Lays out the file, with this name of its track. `None`: there is no frame to show.
    pub fn build(&self, track: &str, takes: &[Take]) -> Result<Option<ServedFile>, deskreel_fmp4::Error> {
        let (mut chunks, mut edits, mut payload) = (Vec::new(), Vec::new(), ServedFile::default());
        // Counts in the file's own time.
        let mut end_ns = 0;
        for take in takes {
            let steps = take.steps();
            let Some(base) = steps.first().and_then(Step::decode_ns) else { continue };
            let samples = || steps.iter().flat_map(Step::samples);
            let shown = || samples().map(|sample| sample.pts_ns);
            let slates = || steps.iter().filter_map(Step::slate);
            let starts = shown().chain(slates().map(|(hole, _)| hole.from_ns));
            let begin = starts.min().unwrap_or(0).max(take.from_ns);
            let end_of = |sample: &SampleInfo| sample.pts_ns.saturating_add(sample.duration_ns);
            let ends = samples().map(end_of).chain(slates().map(|(hole, _)| hole.to_ns));
            let to = ends.max().unwrap_or(0).min(take.to_ns);
            if to <= begin {
                continue;
            }
            let moved = |ns: u64| ns.saturating_sub(base).saturating_add(end_ns);
            // The frame that is on when the take begins may have begun minutes earlier. It is moved to the
            // beginning, since players skip frames that begin before an edit.
            let on = shown().filter(|pts_ns| *pts_ns <= begin).max();
            let time = |sample: &SampleInfo| match Some(sample.pts_ns) == on {
                true if sample.dts_ns == sample.pts_ns => (moved(begin), moved(begin)),
                true => (moved(begin), moved(sample.dts_ns)),
                false => (moved(sample.pts_ns), moved(sample.dts_ns)),
            };
            edits.extend(
                take.spans(begin, to).map(|(from, to)| Edit { from_ns: moved(from), duration_ns: to - from }),
            );
            let mut before_ns = begin;
            for step in &steps {
                match step {
                    Step::Footage(frames, count) => {
                        chunks.push(self.append(&take.recording, frames, *count, time, &mut payload));
                        before_ns = step.samples().map(end_of).max().unwrap_or(begin).max(before_ns);
                    }
                    Step::Slate(hole, slate) => {
                        // Reordered frames are on for longer than the fragment before says.
                        let pts_ns = hole.from_ns.max(before_ns.min(hole.to_ns));
                        let duration_ns = hole.to_ns.saturating_sub(pts_ns).max(1);
                        let (pts_ns, dts_ns) = (moved(pts_ns), moved(hole.from_ns));
                        chunks.push(self.append_slate(slate, (pts_ns, dts_ns, duration_ns), &mut payload));
                    }
                }
            }
            let last = samples().map(|sample| sample.dts_ns.saturating_add(sample.duration_ns));
            end_ns = moved(last.chain(slates().map(|(hole, _)| hole.to_ns)).max().unwrap_or(to));
        }
        if chunks.is_empty() {
            return Ok(None);
        }
        let head = deskreel_fmp4::progressive_head(track, &self.configs, &chunks, &edits)?;
        let mut file = ServedFile::default();
        file.push(FilePiece::Bytes(Bytes::from(head)));
        file.size += payload.size;
        file.pieces.append(&mut payload.pieces);
        Ok(Some(file))
    }

    fn append_slate(&self, slate: &SlateFrame, times: (u64, u64, u64), payload: &mut ServedFile) -> Chunk {
        let mut size = slate.data.len();
        if let Some(sets) = self.parameter_sets(slate.config) {
            size += sets.bytes.len();
            payload.push(FilePiece::Bytes(Bytes::copy_from_slice(&sets.bytes)));
        }
        payload.push(FilePiece::Bytes(slate.data.clone()));
        let (pts_ns, dts_ns, duration_ns) = times;
        let sample = SampleInfo { pts_ns, dts_ns, duration_ns, keyframe: true, size };
        Chunk { config: slate.config, samples: vec![sample] }
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

/// What a take is made of, in order.
enum Step<'a> {
    /// A fragment, and the number of its frames that are needed.
    Footage(&'a TakeFragment, usize),
    Slate(&'a TakeHole, &'a SlateFrame),
}

impl<'a> Step<'a> {
    fn samples(&self) -> impl Iterator<Item = &'a SampleInfo> {
        let (samples, count) = match self {
            Step::Footage(frames, count) => (frames.info.samples.as_slice(), *count),
            Step::Slate(..) => (&[][..], 0),
        };
        samples.iter().take(count)
    }

    fn slate(&self) -> Option<(&'a TakeHole, &'a SlateFrame)> {
        match self {
            Step::Slate(hole, slate) => Some((hole, slate)),
            Step::Footage(..) => None,
        }
    }

    /// Decode time of its first frame.
    fn decode_ns(&self) -> Option<u64> {
        match self {
            Step::Footage(..) => self.samples().next().map(|sample| sample.dts_ns),
            Step::Slate(hole, _) => Some(hole.from_ns),
        }
    }
}

impl Take {
    /// Fragments and slates by time; without fragments of which no frame is needed.
    fn steps(&self) -> Vec<Step<'_>> {
        let footage = self.shown().into_iter().filter(|(_, count)| *count > 0);
        let mut holes = self.holes.iter().peekable();
        let mut steps = Vec::new();
        for (frames, count) in footage {
            while let Some(hole) = holes.next_if(|hole| hole.from_ns < frames.info.start_ns) {
                steps.extend(hole.slate.as_ref().map(|slate| Step::Slate(hole, slate)));
            }
            steps.push(Step::Footage(frames, count));
        }
        steps.extend(holes.filter_map(|hole| Some(Step::Slate(hole, hole.slate.as_ref()?))));
        steps
    }

    /// The stretches that are shown: all, except for holes without a slate.
    fn spans(&self, begin: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
        let left_out = self.holes.iter().filter(|hole| hole.slate.is_none());
        let mut edges = vec![begin];
        left_out.for_each(|hole| edges.extend([hole.from_ns.clamp(begin, to), hole.to_ns.clamp(begin, to)]));
        edges.push(to);
        let pairs: Vec<(u64, u64)> =
            edges.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.get(1)?))).collect();
        pairs.into_iter().filter(|(from, to)| from < to)
    }

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

    use deskreel_fmp4::read_header;

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
        let (from_ns, to_ns) = (from_ms * 1_000_000, to_ms * 1_000_000);
        Take { recording: recording(name), from_ns, to_ns, fragments, holes: Vec::new() }
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
        let file =
            clip.build("video", &[take("r-1", 350, 1250, vec![second(0), second(1)])]).unwrap().unwrap();
        assert_eq!(written(&file), ["r-1/1-1 50..150", "r-1/1-2 50..80"]);
        // With reordering, frames are kept up to the last one in decoding order that is shown: at 0.4 s the
        // frame of 0.2 s is on.
        let reordered = take("r-1", 0, 500, vec![frames(0, 0, true)]);
        assert_eq!(written(&clip.build("video", &[reordered]).unwrap().unwrap()), ["r-1/1-1 50..90"]);
        // No frame is in the stretch, or the take has none at all.
        assert!(clip.build("video", &[take("r-1", 2000, 3000, vec![second(0)])]).unwrap().is_none());
        assert!(clip.build("video", &[take("r-1", 0, 1000, Vec::new())]).unwrap().is_none());
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
        let file = clip.build("video", &takes).unwrap().unwrap();
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

    /// Footage at 0 s and from `after` on, in seconds, with a hole between.
    fn with_hole(clip: &mut ClipBuilder, config: usize, after: u64) -> Take {
        let slate = clip.slate(config, &["No footage".to_owned()]);
        let hole = TakeHole { from_ns: SECOND, to_ns: after * SECOND, slate };
        let fragments = vec![frames(0, config, false), frames(after, config, false)];
        Take { holes: vec![hole], ..take("r-1", 0, (after + 1) * 1000, fragments) }
    }

    #[test]
    fn a_hole_of_any_length_has_a_slate() {
        for after in [64, 13 * 3600, 55 * 3600, 30 * 86_400] {
            let mut clip = ClipBuilder::default();
            let config = clip.add_config(avc(320)).unwrap();
            let take = with_hole(&mut clip, config, after);
            let slate = take.holes[0].slate.as_ref().unwrap().data.len();
            let file = clip.build("video", &[take]).unwrap().unwrap();
            let written = written(&file);
            assert_eq!(written[4], format!("{slate} bytes"), "{written:?}");
            assert_eq!(written.len(), 3 + 2 + 3, "sets in both keyframes and before the slate: {written:?}");
        }
    }

    #[test]
    fn a_hole_in_footage_without_slates_is_left_out() {
        let mut clip = ClipBuilder::default();
        let av1 = VideoConfig { codec: Codec::Av1 { av1c: vec![0x81, 4, 0x0c, 0] }, width: 320, height: 180 };
        let config = clip.add_config(av1).unwrap();
        let take = with_hole(&mut clip, config, 64);
        assert!(take.holes[0].slate.is_none());
        let spans: Vec<_> = take.spans(0, 65 * SECOND).collect();
        assert_eq!(spans, [(0, SECOND), (64 * SECOND, 65 * SECOND)]);
        assert_eq!(written(&clip.build("video", &[take]).unwrap().unwrap()).len(), 2);
    }

    #[test]
    fn a_take_in_a_hole_is_a_slate() {
        let mut clip = ClipBuilder::default();
        let config = clip.add_config(avc(320)).unwrap();
        let slate = clip.slate(config, &["No footage".to_owned()]);
        let hole = TakeHole { from_ns: 5 * SECOND, to_ns: 9 * SECOND, slate };
        let take = Take { holes: vec![hole], ..take("r-1", 5000, 9000, Vec::new()) };
        assert_eq!(written(&clip.build("video", &[take]).unwrap().unwrap()).len(), 2);
    }

    #[test]
    fn slates_do_not_fill_the_memory() {
        let mut clip = ClipBuilder::default();
        let config = clip.add_config(avc(320)).unwrap();
        let lines = ["No footage for 64 s: the screen disappeared".to_owned()];
        let made = (0..100_000).take_while(|_| clip.slate(config, &lines).is_some()).count();
        assert!(made > 100 && clip.slates < SLATE_BYTES + (1 << 20), "{made} with {} bytes", clip.slates);
        let large = clip.add_config(VideoConfig { width: 16_384, height: 16_384, ..avc(320) }).unwrap();
        assert!(ClipBuilder { slates: 0, ..clip }.slate(large, &lines).is_none());
    }

    #[test]
    fn footage_of_different_codecs_does_not_make_one_file() {
        let mut clip = ClipBuilder::default();
        clip.add_config(avc(320)).unwrap();
        let av1 = VideoConfig { codec: Codec::Av1 { av1c: vec![0x81, 4, 0x0c, 0] }, width: 320, height: 180 };
        assert!(clip.add_config(av1).is_err());
    }
}
