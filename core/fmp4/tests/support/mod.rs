//! Samples of real H.264, made by FFmpeg.

use std::process::Command;

use deskreel_fmp4::{Codec, Sample, VideoConfig};

pub const WIDTH: u32 = 320;
pub const HEIGHT: u32 = 240;

/// One access unit per frame, its NAL units preceded by their lengths, and the decoder configuration.
pub struct Footage {
    pub config: VideoConfig,
    pub frames: Vec<(bool, Vec<u8>)>,
}

impl Footage {
    /// x264 at 30 frames per second, a keyframe every `gop` frames; no reordering.
    pub fn new(frames: u32, gop: u32) -> Footage {
        Footage::coded(frames, gop, "ultrafast", "")
    }

    /// The same with a preset and parameters of x264.
    pub fn coded(frames: u32, gop: u32, preset: &str, more: &str) -> Footage {
        let source = format!("testsrc2=size={WIDTH}x{HEIGHT}:rate=30");
        let x264 = format!("aud=1:keyint={gop}:scenecut=0:bframes=0:threads=1{more}");
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", &source, "-frames:v", &frames.to_string()])
            .args(["-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", preset, "-x264-params", &x264])
            .args(["-f", "h264", "-"])
            .output()
            .expect("ffmpeg is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Footage::from_annex_b(&output.stdout)
    }

    fn from_annex_b(stream: &[u8]) -> Footage {
        let (mut sps, mut pps, mut frames) = (Vec::new(), Vec::new(), Vec::new());
        for nal in nal_units(stream) {
            match nal[0] & 0x1f {
                9 => frames.push((false, Vec::new())),
                7 => sps = nal.to_vec(),
                8 => pps = nal.to_vec(),
                kind => {
                    let (keyframe, data) = frames.last_mut().expect("an access unit delimiter comes first");
                    *keyframe |= kind == 5;
                    data.extend_from_slice(&(nal.len() as u32).to_be_bytes());
                    data.extend_from_slice(nal);
                }
            }
        }
        let config =
            VideoConfig { codec: Codec::H264 { avcc: avcc(&sps, &pps) }, width: WIDTH, height: HEIGHT };
        Footage { config, frames }
    }

    /// The frames, a thirtieth of a second apart, from `start_ns` on.
    pub fn samples(&self, start_ns: u64) -> Vec<Sample<'_>> {
        let due = |n: usize| start_ns + n as u64 * 1_000_000_000 / 30;
        self.frames
            .iter()
            .enumerate()
            .map(|(n, (keyframe, data))| Sample {
                pts_ns: due(n),
                dts_ns: due(n),
                duration_ns: due(n + 1) - due(n),
                keyframe: *keyframe,
                data,
            })
            .collect()
    }
}

/// The `avcC` (ISO/IEC 14496-15, 5.3.3.1) for one parameter set of each kind and four-byte lengths.
pub fn avcc(sps: &[u8], pps: &[u8]) -> Vec<u8> {
    let mut avcc = vec![1, sps[1], sps[2], sps[3], 0xff, 0xe1];
    avcc.extend_from_slice(&(sps.len() as u16).to_be_bytes());
    avcc.extend_from_slice(sps);
    avcc.push(1);
    avcc.extend_from_slice(&(pps.len() as u16).to_be_bytes());
    avcc.extend_from_slice(pps);
    avcc
}

fn nal_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let starts: Vec<usize> =
        stream.windows(3).enumerate().filter(|(_, bytes)| bytes == &[0, 0, 1]).map(|(at, _)| at).collect();
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([stream.len()]).collect();
    starts.into_iter().zip(ends).map(|(start, end)| {
        let nal = &stream[start + 3..end];
        // Leave out the fourth zero of the next start code and trailing zeros.
        let length = nal.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        &nal[..length]
    })
}
