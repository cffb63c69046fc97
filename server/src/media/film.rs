//! Exactly what was asked for, as one ordinary MP4: takes of one recording or of several, one behind the other, each from its first
//! frame to its last. An edit list leaves out what only had to be decoded, from the keyframe before. Pure.

use std::sync::Arc;

use axum::body::Bytes;
use deskreel_fmp4::{Chunk, Edit, FragmentInfo, ParameterSets, SampleInfo, VideoConfig};

use super::{File, Piece};
use crate::db::recordings::Held;

/// A stretch of one recording's media time, with the frames that show something of it, from a keyframe on.
#[derive(Debug, Clone)]
pub struct Take {
    pub recording: Arc<str>,
    pub from_ns: u64,
    pub to_ns: u64,
    pub fragments: Vec<Frames>,
}

/// What a fragment holds.
#[derive(Debug, Clone)]
pub struct Frames {
    pub held: Held,
    /// Which of the film's configurations they are coded with.
    pub config: usize,
    pub info: FragmentInfo,
    /// Of each keyframe in it, how many of its bytes come before its parameter sets; empty where it needs none.
    pub places: Vec<usize>,
}

/// Configurations that one file can have.
#[derive(Debug, Clone, Default)]
pub struct Film {
    configs: Vec<VideoConfig>,
    sets: Vec<ParameterSets>,
}

impl Film {
    /// The number of a configuration. `Err`: it does not go with the others.
    pub fn config(&mut self, config: VideoConfig) -> Result<usize, &'static str> {
        if let Some(known) = self.configs.iter().position(|one| *one == config) {
            return Ok(known);
        }
        let same =
            |one: &VideoConfig| std::mem::discriminant(&one.codec) == std::mem::discriminant(&config.codec);
        if !self.configs.iter().all(same) {
            return Err(
                "The footage is coded with different codecs, which no one file can hold; take a part of it",
            );
        }
        self.sets.push(ParameterSets::of(&config).map_err(|_| "A header of the footage cannot be read")?);
        self.configs.push(config);
        Ok(self.configs.len() - 1)
    }

    /// The parameter sets that keyframes must bring along, where there are several configurations.
    pub fn sets(&self, config: usize) -> Option<&ParameterSets> {
        self.sets.get(config).filter(|sets| self.configs.len() > 1 && !sets.bytes.is_empty())
    }

    /// `None`: there is not a frame to show.
    pub fn lay(&self, takes: &[Take]) -> Result<Option<File>, deskreel_fmp4::Error> {
        let (mut chunks, mut edits, mut payload) = (Vec::new(), Vec::new(), File::default());
        // Of the file's own time.
        let mut end_ns = 0;
        for take in takes {
            let frames: Vec<(&Frames, usize)> = take.shown();
            let samples =
                || frames.iter().flat_map(|(frames, count)| frames.info.samples.iter().take(*count));
            let Some(first) = samples().next() else { continue };
            let gone = |sample: &SampleInfo| sample.pts_ns.saturating_add(sample.duration_ns);
            let shown = samples().map(|sample| sample.pts_ns);
            let begin = shown.clone().min().unwrap_or(0).max(take.from_ns);
            let to = samples().map(gone).max().unwrap_or(0).min(take.to_ns);
            if to <= begin {
                continue;
            }
            let base = first.dts_ns;
            let moved = |ns: u64| ns.saturating_sub(base).saturating_add(end_ns);
            // The frame that is on when the take begins, which may have been for minutes, begins then: players leave out what begins
            // before an edit.
            let on = shown.filter(|pts_ns| *pts_ns <= begin).max();
            let time = |sample: &SampleInfo| match Some(sample.pts_ns) == on {
                true if sample.dts_ns == sample.pts_ns => (moved(begin), moved(begin)),
                true => (moved(begin), moved(sample.dts_ns)),
                false => (moved(sample.pts_ns), moved(sample.dts_ns)),
            };
            edits.push(Edit { from_ns: moved(begin), duration_ns: to - begin });
            let last = samples().map(|sample| sample.dts_ns.saturating_add(sample.duration_ns)).max();
            for (frames, count) in &frames {
                chunks.push(self.pour(&take.recording, frames, *count, time, &mut payload));
            }
            end_ns = moved(last.unwrap_or(to));
        }
        if chunks.is_empty() {
            return Ok(None);
        }
        let mut file = File::default();
        file.push(Piece::Bytes(Bytes::from(deskreel_fmp4::progressive_head(
            &self.configs,
            &chunks,
            &edits,
        )?)));
        file.size += payload.size;
        file.pieces.append(&mut payload.pieces);
        Ok(Some(file))
    }

    /// The first `count` frames of a fragment: their tables, and where their bytes are.
    fn pour(
        &self,
        recording: &Arc<str>,
        frames: &Frames,
        count: usize,
        time: impl Fn(&SampleInfo) -> (u64, u64),
        payload: &mut File,
    ) -> Chunk {
        let object =
            |bytes| Piece::Object { recording: recording.clone(), sha256: frames.held.sha256.clone(), bytes };
        let sets = self.sets(frames.config);
        let mut places = frames.places.iter();
        // What lies between `from` and `at` has not been poured yet.
        let mut from = frames.info.payload as u64;
        let mut at = from;
        let mut samples = Vec::with_capacity(count);
        for sample in frames.info.samples.iter().take(count) {
            let mut size = sample.size;
            if let (true, Some(sets)) = (sample.keyframe, sets) {
                let place = at + places.next().map_or(0, |place| (*place).min(sample.size)) as u64;
                if place > from {
                    payload.push(object(from..place));
                }
                payload.push(Piece::Bytes(Bytes::copy_from_slice(&sets.bytes)));
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
    /// Fragments, each with how many of its frames are needed: up to the last one that is shown before the end.
    fn shown(&self) -> Vec<(&Frames, usize)> {
        let is_shown = |sample: &SampleInfo| sample.pts_ns < self.to_ns;
        let count =
            |frames: &Frames| frames.info.samples.iter().rposition(is_shown).map_or(0, |last| last + 1);
        let last = self.fragments.iter().rposition(|frames| count(frames) > 0);
        let kept = self.fragments.iter().take(last.map_or(0, |last| last + 1)).enumerate();
        // Those before the last one are decoded whole.
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

    use super::super::tests::held;
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Constrained baseline; its parameter sets are placeholders of 4 and 3 bytes.
    fn avc(width: u32) -> VideoConfig {
        let avcc = [1, 0x42, 0xc0, 0x2a, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x2a, 1, 0, 3, 0x68, 0xce, 0x3c];
        VideoConfig { codec: Codec::H264 { avcc: avcc.to_vec() }, width, height: 180 }
    }

    /// A second of ten frames, of ten bytes each; `reorder` shows each two of them the other way round.
    fn frames(second: u64, config: usize, reorder: bool) -> Frames {
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
        Frames { held: held(1, second as u32 + 1, second, true), config, info, places: vec![6] }
    }

    fn take(recording: &str, from_ms: u64, to_ms: u64, fragments: Vec<Frames>) -> Take {
        Take {
            recording: recording.into(),
            from_ns: from_ms * 1_000_000,
            to_ns: to_ms * 1_000_000,
            fragments,
        }
    }

    /// `r-1/1-1 50..90`, or how many bytes of our own; without the tables.
    fn told(file: &File) -> Vec<String> {
        let tell = |piece: &Piece| match piece {
            Piece::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Piece::Object { recording, sha256, bytes } => {
                format!("{recording}/{sha256} {}..{}", bytes.start, bytes.end)
            }
        };
        file.pieces.iter().skip(1).map(tell).collect()
    }

    #[test]
    fn a_take_ends_with_the_last_frame_that_is_shown() {
        let mut film = Film::default();
        film.config(avc(320)).unwrap();
        let second = |second| frames(second, 0, false);
        // 1.25 s: the frame at 1.2 s is on then.
        let file = film.lay(&[take("r-1", 350, 1250, vec![second(0), second(1)])]).unwrap().unwrap();
        assert_eq!(told(&file), ["r-1/1-1 50..150", "r-1/1-2 50..80"]);
        // What is reordered is kept up to the frame that is shown last and decoded last: at 0.4 s the one of 0.2 s is shown.
        let reordered = take("r-1", 0, 500, vec![frames(0, 0, true)]);
        assert_eq!(told(&film.lay(&[reordered]).unwrap().unwrap()), ["r-1/1-1 50..90"]);
        // Nothing of it is shown, or nothing is there.
        assert!(film.lay(&[take("r-1", 2000, 3000, vec![second(0)])]).unwrap().is_none());
        assert!(film.lay(&[take("r-1", 0, 1000, Vec::new())]).unwrap().is_none());
    }

    #[test]
    fn keyframes_bring_their_parameter_sets_where_there_are_several() {
        let mut film = Film::default();
        assert_eq!(
            (film.config(avc(320)), film.config(avc(640)), film.config(avc(320))),
            (Ok(0), Ok(1), Ok(0))
        );
        let takes = [
            take("r-1", 0, 1000, vec![frames(0, 0, false)]),
            take("r-2", 0, 1000, vec![frames(0, 1, false)]),
        ];
        let file = film.lay(&takes).unwrap().unwrap();
        // Behind the delimiter, which takes six bytes here.
        assert_eq!(
            told(&file),
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
        let Piece::Bytes(tables) = &file.pieces[0] else { panic!("the tables come first") };
        assert!(read_header(tables).is_err(), "this is no header of fragments");
        assert!(tables.windows(4).any(|name| name == b"avc3"));
    }

    #[test]
    fn what_is_coded_with_different_codecs_is_no_one_file() {
        let mut film = Film::default();
        film.config(avc(320)).unwrap();
        let av1 = VideoConfig { codec: Codec::Av1 { av1c: vec![0x81, 4, 0x0c, 0] }, width: 320, height: 180 };
        assert!(film.config(av1).is_err());
    }
}
