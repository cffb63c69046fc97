//! Files of other programs, rewritten as ours: FFmpeg finds the same packets in both. Also files with false
//! numbers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;

use deskreel_fmp4::finished::{Footage, MOST_IN_FRAGMENT, Outline, Reader, Scan, Unfit};
use deskreel_fmp4::header;
use proptest::prelude::*;

/// Most bytes that the server allows in one fragment.
const MOST: u64 = 16 << 20;

fn outline(bytes: &[u8], at_once: usize) -> Result<Outline, Unfit> {
    let mut scan = Scan::new(bytes.len() as u64);
    bytes.chunks(at_once).try_for_each(|chunk| scan.take(chunk))?;
    scan.finish()
}

fn read(bytes: &[u8]) -> Result<Footage, Unfit> {
    let Outline { moov, moofs } = outline(bytes, 1000)?;
    let part = |range: &std::ops::Range<u64>| &bytes[range.start as usize..range.end as usize];
    let mut reader = Reader::new(part(&moov), bytes.len() as u64)?;
    for moof in &moofs {
        reader.moof(moof.start, part(moof))?;
    }
    reader.footage()
}

/// Header and fragments, as the server makes them.
fn ours(bytes: &[u8]) -> Result<Vec<u8>, Unfit> {
    let footage = read(bytes)?;
    let mut out = header(&footage.config).expect("it was found fit");
    for (number, fragment) in footage.fragments(MOST)?.iter().enumerate() {
        out.extend(footage.fragment_head(number as u32 + 1, fragment).expect("it was found fit"));
        for place in footage.byte_ranges(fragment) {
            out.extend(&bytes[place.start as usize..place.end as usize]);
        }
    }
    Ok(out)
}

/// A film by FFmpeg: a moving picture, and a tone if `args` map it.
fn film(args: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("film.mp4");
    let rate = if args.contains("29.97") { "30000/1001" } else { "30" };
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", &format!("testsrc2=size=64x64:rate={rate}")])
        .args(["-f", "lavfi", "-i", "sine", "-t", "5", "-pix_fmt", "yuv420p", "-g", "45", "-threads", "1"])
        .args(args.split(' ').filter(|arg| !arg.is_empty() && *arg != "29.97"))
        .arg(&file)
        .output()
        .expect("ffmpeg is installed");
    assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(file).unwrap()
}

/// Each video packet's presentation time, and its size, flags and digest, in decoding order.
fn packets(bytes: &[u8]) -> Vec<(f64, String)> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("film.mp4");
    std::fs::write(&file, bytes).unwrap();
    let probe = |file: &Path| {
        Command::new("ffprobe")
            .args(["-v", "error", "-select_streams", "v:0", "-show_data_hash", "md5", "-of", "csv=p=0"])
            .args(["-show_entries", "packet=pts_time,size,flags,data_hash"])
            .arg(file)
            .output()
            .expect("ffprobe is installed")
    };
    let output = probe(&file);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| {
        let (time, rest) = line.split_once(',').unwrap();
        // A frame that the edit list leaves out is marked but kept.
        (time.parse().unwrap(), rest.replace(['_', 'D'], ""))
    };
    text.lines().map(line).collect()
}

const X264: &str = "-map 0 -c:v libx264 -preset ultrafast";

/// Variants that programs write: name, arguments, number of tracks that are left out.
fn films() -> Vec<(&'static str, String, usize)> {
    let x264 = |more: &str| format!("{X264} {more}");
    let audio_first = |flag: &str| {
        let fragments = format!("-movflags +frag_keyframe+empty_moov+{flag}");
        format!("-map 1 -map 0 -c:a aac -c:v libx264 -preset ultrafast {fragments}")
    };
    vec![
        ("tables behind", x264(""), 0),
        ("tables before", x264("-movflags +faststart"), 0),
        ("frames reordered", x264("-bf 2 -x264-params b-adapt=0"), 0),
        ("frames reordered, without an edit list", x264("-bf 2 -use_editlist 0"), 0),
        ("negative offsets", x264("-bf 2 -x264-params b-adapt=0 -movflags +negative_cts_offsets"), 0),
        ("29.97 frames per second", x264("29.97"), 0),
        ("with audio", x264("-map 1 -c:a aac"), 1),
        ("audio that begins first", x264("-map 1 -c:a aac -bf 2 -output_ts_offset 0.3"), 1),
        ("in fragments", x264("-movflags +frag_keyframe+empty_moov+default_base_moof"), 0),
        (
            "in fragments from the file's start",
            x264("-bf 2 -map 1 -c:a aac -movflags +frag_keyframe+empty_moov"),
            1,
        ),
        ("in fragments of a frame", x264("-bf 2 -map 1 -c:a aac -movflags +frag_every_frame+delay_moov"), 1),
        ("audio before video, each from its moof", audio_first("default_base_moof"), 1),
        ("audio before video, one after the other", audio_first("omit_tfhd_offset"), 1),
        ("the first fragment in the tables", x264("-movflags +frag_keyframe"), 0),
        ("keyframes alone", x264("-g 1"), 0),
        ("every frame of its own time", x264("-vf setpts=N*N/(30*TB)/60 -fps_mode vfr"), 0),
        ("QuickTime", x264("-f mov"), 0),
        ("avc3", x264("-tag:v avc3"), 0),
        ("H.265", "-map 0 -c:v libx265 -preset ultrafast -x265-params log-level=none".to_owned(), 0),
        (
            "H.265 as hvc1",
            "-map 0 -c:v libx265 -preset ultrafast -x265-params log-level=none -tag:v hvc1".to_owned(),
            0,
        ),
        ("AV1", "-map 0 -c:v libaom-av1 -cpu-used 8 -t 2".to_owned(), 0),
    ]
}

#[test]
fn other_programs_find_in_our_fragments_what_they_find_in_the_file() {
    for (name, args, left_out) in films() {
        let film = film(&args);
        let footage = read(&film).unwrap_or_else(|unfit| panic!("{name}: {unfit}"));
        assert_eq!(footage.left_out.len(), left_out, "{name}: {:?}", footage.left_out);
        let (theirs, own) = (packets(&film), packets(&ours(&film).unwrap()));
        assert_eq!((theirs.len(), own.len()), (footage.frames(), footage.frames()), "{name}");
        let zero = footage.zero_ns as f64 / 1e9;
        for (number, ((time, packet), (own_time, own_packet))) in theirs.iter().zip(&own).enumerate() {
            assert_eq!(packet, own_packet, "{name}, frame {number}");
            // Half a tick of ours, a whole tick of QuickTime's 10 kHz, and the six digits that ffprobe
            // prints.
            let off = (time + zero - own_time).abs();
            assert!(off <= 1e-4 + 1e-6, "{name}, frame {number}: {time} + {zero} is not {own_time}");
        }
    }
}

#[test]
fn fragments_begin_with_keyframes_and_last_about_a_second() {
    let footage = read(&film(X264)).unwrap();
    let starts = |most| {
        let fragments = footage.fragments(most).unwrap();
        let covered: usize = fragments.iter().map(|fragment| fragment.samples.len()).sum();
        assert_eq!(covered, 150);
        fragments.iter().map(|fragment| fragment.samples.start).collect::<Vec<_>>()
    };
    // The file has a keyframe every second and a half.
    assert_eq!(starts(MOST), [0, 30, 45, 75, 90, 120, 135]);
    let largest = footage
        .fragments(MOST)
        .unwrap()
        .iter()
        .flat_map(|fragment| footage.sample_infos(fragment))
        .map(|info| info.size as u64)
        .max()
        .unwrap();
    assert!(starts(largest).len() > 7);
    assert!(matches!(footage.fragments(largest - 1), Err(Unfit::LargeFrame { .. })));
    let keyframes = read(&film(&format!("{X264} -g 1"))).unwrap();
    let starts: Vec<_> =
        keyframes.fragments(MOST).unwrap().iter().map(|fragment| fragment.samples.start).collect();
    assert_eq!(starts, [0, 15, 30, 45, 60, 75, 90, 105, 120, 135], "half a second at least");
}

#[test]
fn the_tables_are_found_in_pieces_of_any_size() {
    for args in [X264.to_owned(), format!("{X264} -movflags +frag_keyframe+empty_moov")] {
        let film = film(&args);
        let whole = outline(&film, film.len()).unwrap();
        for at_once in [1, 2, 3, 7, 8, 9, 15, 16, 17, 100, 4096] {
            assert_eq!(outline(&film, at_once).unwrap(), whole, "{at_once} bytes at once");
        }
    }
}

#[test]
fn boxes_of_64_bits_are_read() {
    let film = film(&format!("{X264} -movflags +faststart"));
    let plain = read(&film).unwrap();
    // The footage after a head of 16 bytes: everything in it is eight bytes further on.
    let mdat = film.windows(4).position(|name| name == b"mdat").unwrap() - 4;
    let size = film.len() as u64 - mdat as u64 + 8;
    let mut large = film[..mdat].to_vec();
    large.extend([0, 0, 0, 1]);
    large.extend(b"mdat");
    large.extend(size.to_be_bytes());
    large.extend(&film[mdat + 8..]);
    let table = large.windows(4).position(|name| name == b"stco").unwrap();
    let count = u32::from_be_bytes(large[table + 8..table + 12].try_into().unwrap()) as usize;
    for row in 0..count {
        let at = table + 12 + 4 * row;
        let place = u32::from_be_bytes(large[at..at + 4].try_into().unwrap()) + 8;
        large[at..at + 4].copy_from_slice(&place.to_be_bytes());
    }
    assert_eq!(ours(&large).unwrap(), ours(&film).unwrap());
    assert_eq!(read(&large).unwrap().frames(), plain.frames());
    // A box that extends to the end of the file.
    let mut open = film.clone();
    open[mdat..mdat + 4].fill(0);
    assert_eq!(ours(&open).unwrap(), ours(&film).unwrap());
}

/// The film with some bytes of a box replaced. `at` counts from the end of the box's name.
fn patched(film: &[u8], name: &[u8; 4], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut film = film.to_vec();
    let place =
        film.windows(4).position(|some| some == name).unwrap_or_else(|| panic!("no {name:?}")) + 4 + at;
    film[place..place + bytes.len()].copy_from_slice(bytes);
    film
}

#[test]
fn a_file_that_cannot_be_used_says_why_and_what_helps() {
    let plain = film(&format!("{X264} -bf 2 -map 1 -c:a aac"));
    let fragmented = film(&format!("{X264} -movflags +frag_keyframe+empty_moov+default_base_moof"));
    let most = u32::MAX.to_be_bytes();
    let wrong = |bytes: &[u8]| read(bytes).map(|footage| footage.frames()).unwrap_err();
    for (name, bytes, unfit) in [
        ("noise", vec![7; 5000], Unfit::NotMp4),
        ("nothing", Vec::new(), Unfit::NotMp4),
        ("Matroska", [&[0x1a, 0x45, 0xdf, 0xa3][..], &[0; 100]].concat(), Unfit::NotMp4),
        (
            "no tables",
            plain[..plain.windows(4).position(|name| name == b"moov").unwrap() - 4].to_vec(),
            Unfit::Missing("moov"),
        ),
        ("cut off in a head", [&plain[..], &[0, 0]].concat(), Unfit::CutOff),
        (
            "tables twice",
            [&plain[..], &plain[plain.windows(4).position(|name| name == b"moov").unwrap() - 4..]].concat(),
            Unfit::SecondMoov,
        ),
        (
            "2^32 sizes",
            patched(&plain, b"stsz", 8, &most),
            Unfit::TooLarge("it has more than 2,097,152 frames"),
        ),
        (
            "2^32 sizes of one byte",
            patched(&plain, b"stsz", 4, &[0, 0, 0, 1, 255, 255, 255, 255]),
            Unfit::TooLarge("it has more than 2,097,152 frames"),
        ),
        (
            "sizes that are not there",
            patched(&plain, b"stsz", 8, &2_000_000u32.to_be_bytes()),
            Unfit::Torn { name: "stsz".to_owned() },
        ),
        ("2^32 times", patched(&plain, b"stts", 4, &most), Unfit::Torn { name: "stts".to_owned() }),
        ("2^32 chunks", patched(&plain, b"stco", 4, &most), Unfit::Torn { name: "stco".to_owned() }),
        ("2^32 rows of chunks", patched(&plain, b"stsc", 4, &most), Unfit::Torn { name: "stsc".to_owned() }),
        ("a chunk beyond the file", patched(&plain, b"stco", 8, &most), Unfit::Outside),
        ("a frame of 4 GiB", patched(&plain, b"stsz", 12, &most), Unfit::Outside),
        ("a frame of nothing", patched(&plain, b"stsz", 12, &[0; 4]), Unfit::Outside),
        ("a frame of a day", patched(&plain, b"stts", 12, &most), Unfit::LongFrame),
        ("no keyframe first", patched(&plain, b"stss", 8, &[0, 0, 0, 2]), Unfit::NoKeyframe),
        (
            "2^32 frames of a fragment",
            patched(&fragmented, b"trun", 4, &most),
            Unfit::TooLarge("it has more than 2,097,152 frames"),
        ),
        (
            "frames that are not there",
            patched(&fragmented, b"trun", 4, &1_000_000u32.to_be_bytes()),
            Unfit::Torn { name: "trun".to_owned() },
        ),
        (
            "a fragment in another file",
            patched(&fragmented, b"trun", 8, &[0x7f, 255, 255, 255]),
            Unfit::Outside,
        ),
    ] {
        assert_eq!(wrong(&bytes), unfit, "{name}");
        assert!(!unfit.cure().is_empty());
    }
}

#[test]
fn much_footage_is_not_made_of_little() {
    // The table's positions count from the file's start, so a copy of it has the same frames again.
    let film = film(&format!("{X264} -g 999 -movflags +frag_keyframe+empty_moov"));
    let Outline { moofs, .. } = outline(&film, 4096).unwrap();
    let moof = &film[moofs[0].start as usize..moofs[0].end as usize];
    let at = moof.windows(4).position(|name| name == b"tfdt").unwrap();
    let later = [&moof[..at], b"skip", &moof[at + 4..]].concat();
    let twice = [&film[..], &later].concat();
    assert_eq!(read(&twice).map(|footage| footage.frames()).unwrap_err(), Unfit::Outside);
}

#[test]
fn a_file_that_other_programs_can_repair_names_the_cure() {
    let film_of = |args: &str| read(&film(args)).map(|footage| footage.frames()).unwrap_err();
    let unfit = film_of("-map 0 -c:v mpeg4");
    assert_eq!(unfit, Unfit::Codec("mp4v".to_owned()));
    assert!(unfit.cure().contains("-c:v libx264"));
    assert_eq!(film_of("-map 1 -c:a aac"), Unfit::NoVideo);
    let key = "0123456789abcdef0123456789abcdef";
    let crypt = format!("{X264} -encryption_scheme cenc-aes-ctr -encryption_key {key} -encryption_kid {key}");
    assert_eq!(film_of(&crypt), Unfit::Encrypted);
    // An edit list that changes the speed.
    let plain = film(&format!("{X264} -bf 2"));
    let edits = plain.windows(4).position(|name| name == b"elst").unwrap();
    let rate = patched(&plain, b"elst", 16, &[0, 2]);
    assert_eq!(&plain[edits + 20..edits + 22], [0, 1]);
    assert_eq!(read(&rate).map(|footage| footage.frames()).unwrap_err(), Unfit::Edited);
}

#[test]
fn frames_with_the_same_time_do_not_all_become_one_fragment() {
    let film = film(&format!("{X264} -g 9999 -x264-params scenecut=0 -r 2000"));
    let mut at_once = film.clone();
    let table = film.windows(4).position(|name| name == b"stts").unwrap();
    at_once[table + 16..table + 20].fill(0);
    let footage = read(&at_once).unwrap();
    assert!(footage.frames() > 2 * MOST_IN_FRAGMENT);
    let fragments = footage.fragments(MOST).unwrap();
    assert!(fragments.iter().all(|fragment| fragment.samples.len() <= MOST_IN_FRAGMENT));
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let film = film(&format!("{X264} -movflags +frag_keyframe+empty_moov -t 0.5"));
    for length in 0..film.len() {
        // Cut between two boxes it is a shorter file.
        if let Ok(footage) = read(&film[..length]) {
            assert!(footage.frames() <= 15, "{length}");
        }
        if let Ok(ours) = ours(&film[..length]) {
            assert!(ours.len() <= film.len() + 4096);
        }
    }
    let plain = self::film(X264);
    for length in (0..plain.len()).step_by(7) {
        assert!(read(&plain[..length]).is_err(), "{length} of {} bytes passed", plain.len());
    }
}

fn small() -> &'static [Vec<u8>] {
    static FILMS: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    FILMS.get_or_init(|| {
        [
            "-bf 2 -map 1 -c:a aac",
            "-bf 2 -movflags +frag_keyframe+empty_moov",
            "-movflags +frag_keyframe -map 1 -c:a aac",
        ]
        .map(|more| film(&format!("{X264} -t 0.4 {more}")))
        .to_vec()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    // Changes words of the tables to values that break arithmetic. Any file that still passes is valid and
    // comes out whole.
    #[test]
    fn damage_never_panics(
        film in 0..3usize,
        words in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![
            Just(0u32), Just(1), Just(2), Just(8), Just(16), Just(0x7fff_ffff), Just(0x8000_0000), Just(u32::MAX), any::<u32>(),
        ]), 1..6),
        bytes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut film = small()[film].clone();
        let Outline { moov, moofs } = outline(&film, 4096).unwrap();
        let tables: Vec<usize> = [moov].into_iter().chain(moofs).flat_map(|range| range.start as usize..range.end as usize - 4).collect();
        for (at, word) in &words {
            let at = tables[at.index(tables.len())];
            film[at..at + 4].copy_from_slice(&word.to_be_bytes());
        }
        for (at, byte) in &bytes {
            film[tables[at.index(tables.len())]] = *byte;
        }
        if let Ok(ours) = ours(&film) {
            // No more footage than the file has.
            prop_assert!(ours.len() <= 3 * film.len() + 4096);
        }
    }

    #[test]
    fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = read(&noise);
        let _ = Reader::new(&noise, 600);
        let moov = [&(noise.len() as u32 + 8).to_be_bytes()[..], b"moov", &noise].concat();
        let _ = Reader::new(&moov, 600);
    }
}
