//! Recorders that upload fragments in sequence, each on its own connection.
//!
//! With FOLDER, the folder of the uploads of the server under test, an upload counts once its file and folder
//! are synced: that gives a server that does not sync by itself the durability of one that does.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use deskreel_fmp4::{Sample, fragment};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval_at};

use crate::Result;
use crate::http::Connection;

/// Fragments of a recording: a call of some minutes.
const FRAGMENTS: usize = 256;

pub struct Load {
    pub bytes: usize,
    pub connections: usize,
    /// Time from one fragment of a recorder to its next; 0: as fast as the server accepts them.
    pub every_ms: u64,
    pub seconds: u64,
    pub synced: Option<PathBuf>,
}

struct Body {
    bytes: Vec<u8>,
    /// A whole line.
    digest: String,
}

pub async fn run(server: &str, tokens: Vec<String>, load: Load) -> Result<()> {
    // Made before the measurement. All fragments of a recording are different.
    let bodies: Vec<Body> = (1..=FRAGMENTS).map(|number| body(number, load.bytes)).collect::<Result<_>>()?;
    let (bodies, load) = (Arc::new(bodies), Arc::new(load));
    let begun = Instant::now();
    // Keeps the recordings of two runs apart.
    let run = jiff::Timestamp::now().as_millisecond();
    let mut uploaders = JoinSet::new();
    for (number, token) in tokens.into_iter().take(load.connections).enumerate() {
        let connection = Connection::open(server).await?;
        let (bodies, load) = (bodies.clone(), load.clone());
        uploaders.spawn(async move {
            let name = format!("{run}-{number}");
            let done = uploader(connection, &token, &name, &bodies, &load).await;
            done.map_err(|error| error.to_string())
        });
    }
    let mut took = Vec::new();
    while let Some(done) = uploaders.join_next().await {
        took.extend(done??);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let uploads = took.len();
    println!(
        "{}",
        json!({ "uploads": uploads, "megabytes": (uploads * load.bytes) as f64 / 1e6, "seconds": seconds, "ms": took })
    );
    Ok(())
}

/// A fragment of one second with an incompressible frame.
fn body(number: usize, bytes: usize) -> Result<Body> {
    let mut noise = number as u64;
    let mut next = || {
        // Knuth's MMIX generator.
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (noise >> 56) as u8
    };
    let data: Vec<u8> = std::iter::repeat_with(&mut next).take(bytes).collect();
    let pts_ns = number as u64 * 1_000_000_000;
    let sample = Sample { pts_ns, dts_ns: pts_ns, duration_ns: 1_000_000_000, keyframe: true, data: &data };
    let bytes = fragment(u32::try_from(number)?, &[sample])?;
    let digest = format!("Content-Digest: sha-256=:{}:\r\n", STANDARD.encode(Sha256::digest(&bytes)));
    Ok(Body { bytes, digest })
}

/// Returns the milliseconds that each fragment took until it was durable.
async fn uploader(
    mut connection: Connection,
    token: &str,
    name: &str,
    bodies: &[Body],
    load: &Load,
) -> Result<Vec<f64>> {
    let mut turns = (load.every_ms > 0).then(|| {
        let every = Duration::from_millis(load.every_ms);
        // Spreads the recorders' beginnings.
        let share = u32::from_str_radix(&sha(name)[..4], 16).unwrap_or(0);
        let mut turns = interval_at(tokio::time::Instant::now() + every * share / 0x1_0000, every);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        turns
    });
    let authorization = format!("Authorization: Bearer {token}\r\n");
    let end = Instant::now() + Duration::from_secs(load.seconds);
    let mut took = Vec::new();
    for number in 0.. {
        if let Some(turns) = &mut turns {
            turns.tick().await;
        }
        if Instant::now() >= end {
            break;
        }
        let (recording, fragment) = (number / FRAGMENTS, number % FRAGMENTS);
        let path =
            format!("/api/v1/recordings/{name}-{recording}/tracks/video/parts/1/fragments/{}", fragment + 1);
        let Body { bytes, digest } = &bodies[fragment];
        let sent = Instant::now();
        let status = connection.send("PUT", &path, &format!("{authorization}{digest}"), bytes).await?;
        if status != 201 {
            return Err(format!("the server answered {path} with {status}").into());
        }
        if let Some(folder) = &load.synced {
            let file = folder.join(&path[1..]);
            spawn_blocking(move || sync(&file)).await??;
        }
        took.push(sent.elapsed().as_secs_f64() * 1e3);
    }
    Ok(took)
}

fn sync(file: &Path) -> std::io::Result<()> {
    File::open(file)?.sync_all()?;
    File::open(file.parent().unwrap_or(file))?.sync_all()
}

fn sha(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
