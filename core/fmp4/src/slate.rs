//! A slate: one H.264 keyframe with light text on a dark ground, for stretches without footage in an export
//! (docs/decisions/0014-slates-in-exports.md).
//!
//! Not an encoder of pictures. A macroblock whose prediction from its neighbors is the wanted color costs a
//! few bits; any other one is written as its pixels (`I_PCM`). So the ground costs nothing, each macroblock
//! that text touches 384 bytes, and what is decoded is exactly what was painted. Pure.

mod bits;
mod font;
mod picture;

use bits::Bits;
use picture::Picture;

use crate::{Codec, VideoConfig};

/// Pixels of a macroblock's side.
const BLOCK: usize = 16;
/// Color difference of gray.
const NEUTRAL: u8 = 128;
/// Constrained baseline.
const PROFILE: u8 = 66;
const CONSTRAINTS: u8 = 0xc0;
/// Levels by ISO/IEC 14496-10, A.3, with the macroblocks that a picture may have.
const LEVELS: [(usize, u8); 4] = [(1620, 30), (8192, 40), (36_864, 51), (139_264, 62)];
/// Tells the slate from a keyframe before it, which usually has 0.
const IDR_PIC_ID: u32 = 77;

/// `mb_type` of slices of type I: predicted as the average of the neighbors, nothing coded.
const I_16X16_DC: u32 = 3;
const I_PCM: u32 = 25;

/// The configuration of a slate of this size in pixels; both are rounded up to even numbers.
pub fn slate_config(width: u32, height: u32) -> VideoConfig {
    let (width, height) = (even(width), even(height));
    let blocks = across(width) * across(height);
    let level = LEVELS.iter().find(|(most, _)| blocks <= *most).map_or(62, |(_, level)| *level);
    let (sps, pps) = (sequence_set(width, height, level), picture_set());
    let mut avcc = vec![1, PROFILE, CONSTRAINTS, level, 0xff, 0xe1];
    avcc.extend((sps.len() as u16).to_be_bytes());
    avcc.extend(&sps);
    avcc.push(1);
    avcc.extend((pps.len() as u16).to_be_bytes());
    avcc.extend(&pps);
    VideoConfig { codec: Codec::H264 { avcc }, width, height }
}

/// The slate's only frame, a keyframe in the configuration of [`slate_config`], after its length of four
/// bytes. The lines are centered and wrapped. Letters without a glyph are left blank.
pub fn slate(width: u32, height: u32, lines: &[String]) -> Vec<u8> {
    let (width, height) = (even(width), even(height));
    let mut picture = Picture::new(across(width) * BLOCK, across(height) * BLOCK);
    picture.write(width as usize, height as usize, lines);
    let slice = slice(&picture);
    let mut sample = (slice.len() as u32).to_be_bytes().to_vec();
    sample.extend(slice);
    sample
}

fn even(side: u32) -> u32 {
    side.clamp(2, 1 << 14).next_multiple_of(2)
}

/// Macroblocks along a side.
fn across(side: u32) -> usize {
    (side as usize).div_ceil(BLOCK)
}

/// 7.3.2.1.
fn sequence_set(width: u32, height: u32, level: u8) -> Vec<u8> {
    let (columns, rows) = (across(width) as u32, across(height) as u32);
    let mut bits = Bits::default();
    bits.put(u32::from(PROFILE), 8);
    bits.put(u32::from(CONSTRAINTS), 8);
    bits.put(u32::from(level), 8);
    bits.ue(0); // seq_parameter_set_id
    bits.ue(0); // log2_max_frame_num_minus4
    bits.ue(2); // pic_order_cnt_type: shown in the order of decoding
    bits.ue(1); // max_num_ref_frames
    bits.put(0, 1); // gaps_in_frame_num_value_allowed_flag
    bits.ue(columns - 1);
    bits.ue(rows - 1);
    bits.put(1, 1); // frame_mbs_only_flag
    bits.put(1, 1); // direct_8x8_inference_flag
    let (right, bottom) = (columns * 16 - width, rows * 16 - height);
    bits.put(u32::from(right + bottom > 0), 1);
    if right + bottom > 0 {
        [0, right / 2, 0, bottom / 2].into_iter().for_each(|crop| bits.ue(crop));
    }
    bits.put(1, 1); // vui_parameters_present_flag
    bits.put(0, 2); // no aspect ratio, no overscan
    bits.put(1, 1); // video_signal_type_present_flag
    bits.put(5, 3); // video_format: unspecified
    bits.put(0, 1); // limited range
    bits.put(1, 1); // colour_description_present_flag: BT.709
    (0..3).for_each(|_| bits.put(1, 8));
    bits.put(0, 5); // no chroma location, timing, HRD of either kind, picture structure
    bits.put(1, 1); // bitstream_restriction_flag
    bits.put(1, 1); // motion_vectors_over_pic_boundaries_flag
    // No limits of size, motion vectors of any length, nothing reordered, one frame held.
    [0, 0, 16, 16, 0, 1].into_iter().for_each(|limit| bits.ue(limit));
    bits.unit(0x67)
}

/// 7.3.2.2.
fn picture_set() -> Vec<u8> {
    let mut bits = Bits::default();
    bits.ue(0); // pic_parameter_set_id
    bits.ue(0); // seq_parameter_set_id
    bits.put(0, 2); // CAVLC; no field order
    (0..3).for_each(|_| bits.ue(0)); // one slice group; reference lists
    bits.put(0, 3); // no weighted prediction
    (0..3).for_each(|_| bits.ue(0)); // quantizers and their offset, each se(0)
    bits.put(1, 1); // deblocking_filter_control_present_flag
    bits.put(0, 2); // no constrained prediction, no redundant pictures
    bits.unit(0x68)
}

/// 7.3.3 and 7.3.5.
fn slice(picture: &Picture) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.ue(0); // first_mb_in_slice
    bits.ue(7); // slice_type: I, like all of the picture
    bits.ue(0); // pic_parameter_set_id
    bits.put(0, 4); // frame_num
    bits.ue(IDR_PIC_ID);
    bits.put(0, 2); // output earlier pictures; no long-term reference
    bits.ue(0); // slice_qp_delta
    bits.ue(1); // disable_deblocking_filter_idc: off
    let (columns, rows) = (picture.width / BLOCK, picture.height / BLOCK);
    let mut is_pcm = vec![false; columns * rows];
    for index in 0..columns * rows {
        let (column, row) = (index % columns, index / columns);
        let left = (column > 0).then(|| is_pcm[index - 1]);
        let above = (row > 0).then(|| is_pcm[index - columns]);
        if picture.is_predicted(column, row) {
            bits.ue(I_16X16_DC);
            bits.ue(0); // intra_chroma_pred_mode: average
            bits.ue(0); // mb_qp_delta, se(0)
            no_coefficients(&mut bits, left, above);
            continue;
        }
        is_pcm[index] = true;
        bits.ue(I_PCM);
        bits.align();
        picture.luma(column, row).for_each(|value| bits.byte(value));
        (0..BLOCK * BLOCK / 2).for_each(|_| bits.byte(NEUTRAL));
    }
    bits.unit(0x65)
}

/// `coeff_token` for no coefficient (9.2.1), whose code depends on the neighbors' coefficients: a block
/// written as pixels counts as having 16.
fn no_coefficients(bits: &mut Bits, left: Option<bool>, above: Option<bool>) {
    let count = |is_pcm: bool| if is_pcm { 16 } else { 0 };
    let expected = match (left.map(count), above.map(count)) {
        (Some(left), Some(above)) => (left + above + 1) >> 1,
        (one, other) => one.or(other).unwrap_or(0),
    };
    match expected {
        0 => bits.put(1, 1),
        _ => bits.put(0b11, 6),
    }
}
