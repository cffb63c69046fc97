//! Our bytes read back: everything survives, nothing foreign passes, nothing panics.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use deskreel_fmp4::{
    Chunk, Codec, Edit, Error, ParameterSets, Sample, SampleInfo, VideoConfig, codec_string, fragment,
    fragment_header, header, nanos, progressive_head, read_fragment, read_header, read_tail, still_record,
    tail_head, tail_record, ticks,
};
use mp4_atom::{Ftyp, Moov, ReadFrom};
use proptest::prelude::*;

/// Constrained baseline, level 4.2; the parameter sets are placeholders.
const AVCC: [u8; 18] =
    [1, 0x42, 0xc0, 0x2a, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x2a, 1, 0, 3, 0x68, 0xce, 0x3c];

fn config() -> VideoConfig {
    VideoConfig { codec: Codec::H264 { avcc: AVCC.to_vec() }, width: 1920, height: 1080 }
}

fn sample(at_ms: u64, keyframe: bool, data: &[u8]) -> Sample<'_> {
    let ns = at_ms * 1_000_000;
    Sample { pts_ns: ns, dts_ns: ns, duration_ns: 33_333_333, keyframe, data }
}

fn small_fragment() -> Vec<u8> {
    fragment(3, &[sample(0, true, b"key"), sample(33, false, b"delta"), sample(67, false, b"x")]).unwrap()
}

fn small_tail() -> Vec<u8> {
    let mut bytes = tail_head(12).to_vec();
    for sample in [sample(0, true, b"first"), sample(40, false, b""), sample(80, false, b"third")] {
        bytes.extend(tail_record(&sample));
        bytes.extend(sample.data);
    }
    bytes
}

/// Main profile, main tier, level 3.1, as x265 writes it; its one parameter set is a placeholder.
const HVCC: [u8; 30] = [
    1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93, 0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f, 1, 0xa0, 0, 1,
    0, 2, 0x40, 1,
];
/// Main profile, level 3.0, 8 bits, 4:2:0; the sequence header is a placeholder.
const AV1C: [u8; 7] = [0x81, 0x04, 0x0c, 0, 0x0a, 1, 0];

#[test]
fn a_header_reads_back_as_what_it_was_made_of() {
    let h265 = Codec::H265 { hvcc: HVCC.to_vec() };
    let av1 = Codec::Av1 { av1c: AV1C.to_vec() };
    let cases = [(config().codec, "avc1.42c02a"), (h265, "hvc1.1.6.L93.90"), (av1, "av01.0.04M.08")];
    for (codec, name) in cases {
        let config = VideoConfig { codec, ..config() };
        let read = read_header(&header(&config).unwrap()).unwrap();
        assert_eq!((read.timescale, &read.config), (90_000, &config));
        assert_eq!(codec_string(&config), name);
    }
}

#[test]
fn a_codec_is_named_by_profile_tier_level_and_depth() {
    let name = |codec| codec_string(&VideoConfig { codec, ..config() });
    // Main 10, high tier, level 5.1, progressive and no other constraint: as in ISO/IEC 14496-15, annex E.
    let mut hvcc = HVCC.to_vec();
    (hvcc[1], hvcc[2], hvcc[6], hvcc[12]) = (0x22, 0x20, 0xb0, 153);
    assert_eq!(name(Codec::H265 { hvcc: hvcc.clone() }), "hvc1.2.4.H153.b0");
    (hvcc[1], hvcc[6]) = (0x41, 0);
    assert_eq!(name(Codec::H265 { hvcc }), "hvc1.A1.4.L153");
    // High profile, tier and level 5.1 (13), 10 bits.
    assert_eq!(name(Codec::Av1 { av1c: vec![0x81, 0x2d, 0xc0, 0] }), "av01.1.13H.10");
    assert_eq!(name(Codec::Av1 { av1c: vec![0x81] }), "");
    assert_eq!(name(Codec::H265 { hvcc: HVCC[..12].to_vec() }), "");
}

#[test]
fn header_refuses_a_picture_that_mp4_cannot_name() {
    let wide = VideoConfig { width: 70_000, ..config() };
    assert!(matches!(header(&wide), Err(Error::PictureSize { width: 70_000, .. })));
}

#[test]
fn header_refuses_a_torn_codec_configuration() {
    let torn = VideoConfig { codec: Codec::H264 { avcc: AVCC[..9].to_vec() }, ..config() };
    assert!(matches!(header(&torn), Err(Error::Config(_))));
}

#[test]
fn fragment_header_and_payload_are_the_fragment() {
    let samples = [sample(0, true, b"key"), sample(33, false, b"delta")];
    let mut bytes = fragment_header(9, &samples.map(|sample| sample.info())).unwrap();
    bytes.extend_from_slice(b"keydelta");
    assert_eq!(bytes, fragment(9, &samples).unwrap());
}

#[test]
fn a_sample_lasts_until_the_next_and_the_last_one_as_long_as_it_says() {
    let info = read_fragment(&small_fragment()).unwrap();
    let durations: Vec<u64> = info.samples.iter().map(|sample| ticks(sample.duration_ns)).collect();
    assert_eq!(durations, [2970, 3060, 3000]);
    assert_eq!(ticks(info.duration_ns), 2970 + 3060 + 3000);
}

#[test]
fn reordered_frames_keep_both_times() {
    let reordered: Vec<Sample<'_>> = [(0, 66), (33, 165), (66, 99), (99, 132)]
        .map(|(dts, pts)| Sample { pts_ns: pts * 1_000_000, ..sample(dts, dts == 0, b"frame") })
        .into();
    let info = read_fragment(&fragment(1, &reordered).unwrap()).unwrap();
    let times = info.samples.iter().map(|sample| (ticks(sample.dts_ns) / 90, ticks(sample.pts_ns) / 90));
    assert_eq!(times.collect::<Vec<_>>(), [(0, 66), (33, 165), (66, 99), (99, 132)]);
}

#[test]
fn frames_that_go_back_in_time_are_refused() {
    let back = [sample(40, true, b"a"), sample(20, false, b"b")];
    assert!(matches!(fragment(1, &back), Err(Error::Order { index: 1 })));
    assert!(matches!(fragment(1, &[]), Err(Error::Empty)));
}

#[test]
fn a_fragment_cut_anywhere_is_refused() {
    let whole = small_fragment();
    for length in 0..whole.len() {
        assert!(read_fragment(&whole[..length]).is_err(), "{length} of {} bytes passed", whole.len());
    }
}

#[test]
fn a_fragment_with_something_after_it_is_refused() {
    let doubled = [small_fragment(), small_fragment()].concat();
    assert!(matches!(read_fragment(&doubled), Err(Error::NotOurs(_))));
}

#[test]
fn a_fragment_with_bytes_that_no_sample_owns_is_refused() {
    let mut bytes = small_fragment();
    let mdat = bytes.windows(4).position(|name| name == b"mdat").unwrap() - 4;
    bytes[mdat + 3] += 1;
    bytes.push(0);
    assert!(matches!(read_fragment(&bytes), Err(Error::NotOurs("samples do not fill the mdat"))));
}

#[test]
fn a_tail_cut_anywhere_has_the_whole_records_before_the_cut() {
    let whole = small_tail();
    // Ends of the records: after a head of 16 bytes, each has 40 bytes and its data.
    let ends = [16 + 45, 16 + 45 + 40, 16 + 45 + 40 + 45];
    for length in 0..=whole.len() {
        let tail = read_tail(&whole[..length]);
        let complete = ends.iter().filter(|end| **end <= length).count();
        match tail {
            None => assert!(length < 16),
            Some(tail) => assert_eq!((tail.fragment, tail.samples.len()), (12, complete)),
        }
    }
    assert_eq!(read_tail(&whole).unwrap().samples[2], sample(80, false, b"third"));
}

#[test]
fn a_tail_says_how_long_its_last_sample_was_shown() {
    let mut bytes = small_tail();
    assert_eq!(read_tail(&bytes).unwrap().still_until_ns, 0);
    for until_ns in [600, 1_100] {
        bytes.extend(still_record(until_ns));
        let tail = read_tail(&bytes).unwrap();
        assert_eq!((tail.samples.len(), tail.still_until_ns, tail.torn), (3, until_ns, 0));
    }
    let torn = read_tail(&bytes[..bytes.len() - 1]).unwrap();
    assert_eq!((torn.samples.len(), torn.still_until_ns, torn.torn), (3, 600, 15));
    bytes.extend(tail_record(&sample(120, false, b"next")));
    bytes.extend(b"next");
    assert_eq!(read_tail(&bytes).unwrap().samples.len(), 4, "a sample after it counts");
}

#[test]
fn a_tail_with_a_flipped_byte_ends_before_it() {
    let whole = small_tail();
    for at in 16..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        let whole_before = [61, 101, 146].iter().filter(|end| **end <= at).count();
        assert_eq!(read_tail(&bytes).unwrap().samples.len(), whole_before, "byte {at}");
    }
}

proptest! {
    #[test]
    fn samples_survive_the_fragment(
        start in 0..20_000_000_000_000u64,
        frames in prop::collection::vec((0..3_000_000_000u64, any::<bool>(), prop::collection::vec(any::<u8>(), 0..50)), 1..40),
    ) {
        let mut at = start;
        let samples: Vec<Sample<'_>> = frames.iter().map(|(duration_ns, keyframe, data)| {
            let sample = Sample { pts_ns: at, dts_ns: at, duration_ns: *duration_ns, keyframe: *keyframe, data };
            at += duration_ns;
            sample
        }).collect();
        let bytes = fragment(1, &samples).unwrap();
        let info = read_fragment(&bytes).unwrap();
        prop_assert_eq!(info.start_ns, nanos(ticks(start)));
        prop_assert_eq!(ticks(info.start_ns + info.duration_ns), ticks(at));
        for (read, sample) in info.samples_in(&bytes).zip(&samples) {
            prop_assert_eq!((read.data, read.keyframe), (sample.data, sample.keyframe));
            prop_assert_eq!(read.pts_ns, nanos(ticks(sample.pts_ns)));
        }
    }

    #[test]
    fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = read_fragment(&noise);
        let _ = read_header(&noise);
        let _ = read_tail(&noise);
    }

    // Damage inside valid boxes reaches further than noise does.
    #[test]
    fn damage_never_panics(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        for mut bytes in [small_fragment(), header(&config()).unwrap(), small_tail()] {
            for (at, byte) in &flips {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            let _ = read_fragment(&bytes);
            let _ = read_header(&bytes);
            let _ = read_tail(&bytes);
        }
    }
}

#[test]
fn the_frames_of_a_progressive_file_are_where_its_tables_say_even_beyond_4_gib() {
    let configs = [config(), VideoConfig { width: 640, ..config() }];
    let sample = |at_ms: u64, size: usize| SampleInfo { size, ..sample(at_ms, at_ms == 0, b"").info() };
    let chunk = |config: usize, at_ms: u64, size: usize| Chunk {
        config,
        samples: vec![sample(at_ms, size), sample(at_ms + 33, size)],
    };
    let edits = [Edit { from_ns: 0, duration_ns: 132_000_000 }];
    for (size, is_wide) in [(1000, false), (2 << 30, true)] {
        let bytes =
            progressive_head("video", &configs, &[chunk(0, 0, size), chunk(1, 66, size)], &edits).unwrap();
        let mut boxes = bytes.as_slice();
        Ftyp::read_from(&mut boxes).unwrap();
        let moov = Moov::read_from(&mut boxes).unwrap();
        let stbl = &moov.trak[0].mdia.minf.stbl;
        let narrow = stbl.stco.as_ref().map(|stco| stco.entries.iter().map(|at| u64::from(*at)).collect());
        let offsets: Vec<u64> = narrow.or(stbl.co64.as_ref().map(|co64| co64.entries.clone())).unwrap();
        assert_eq!(stbl.co64.is_some(), is_wide);
        assert_eq!(offsets, [bytes.len() as u64, bytes.len() as u64 + 2 * size as u64]);
        let described: Vec<u32> = stbl.stsc.entries.iter().map(|run| run.sample_description_index).collect();
        assert_eq!(described, [1, 2]);
    }
}

#[test]
fn parameter_sets_go_after_the_delimiter() {
    let sets = ParameterSets::of(&config()).unwrap();
    assert_eq!(sets.bytes, [&[0, 0, 0, 4][..], &AVCC[8..12], &[0, 0, 0, 3], &AVCC[15..18]].concat());
    assert_eq!(sets.place(&[0, 0, 0, 2, 9, 0xf0]), 6);
    for start in [&[0, 0, 0, 9, 0x65][..], &[0, 0, 0], &[]] {
        assert_eq!(sets.place(start), 0);
    }
    let av1 = VideoConfig { codec: Codec::Av1 { av1c: AV1C.to_vec() }, ..config() };
    assert_eq!(ParameterSets::of(&av1).unwrap().bytes, [0; 0]);
}
