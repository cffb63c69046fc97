//! The footage as objects: `<recording>/<sha256>`, and `<recording>/manifest.json` once the recording is
//! closed.
//!
//! An object is named by its content, so that two uploads under one name cannot spoil each other, and a
//! repeated upload writes the same bytes again. The index says which object is which fragment. An object is
//! durable once `put` returns.

mod incoming;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use deskreel_model::RecordingId;
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, RetryConfig};

use crate::error::{Error, Result};

pub use incoming::Original;

/// Time for which a failed S3 request is retried. Recorders repeat their uploads, and keep their recordings
/// until then.
const PATIENCE: Duration = Duration::from_secs(5);

/// The name of an object that no recording has: those do not begin with a period.
const HEALTH: &str = ".health";

#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// The folder, if objects are files.
    folder: Option<PathBuf>,
}

impl Store {
    /// Lists the store once, so that a wrong URL or missing access fails here.
    pub async fn open(url: &str) -> Result<Store> {
        let wrong = |why: String| Error::StoreUrl { url: url.to_owned(), why };
        let objects = match url.split_once("://") {
            Some(("file", folder)) => files(folder)?,
            Some(("s3", place)) if place.is_empty() || place.starts_with('/') => {
                return Err(wrong("it names no bucket; write s3://BUCKET/PREFIX".to_owned()));
            }
            Some(("s3", place)) => s3(place).map_err(|error| wrong(error.to_string()))?,
            _ => return Err(wrong("it must begin with `file://` or `s3://`".to_owned())),
        };
        objects.list(None).next().await.transpose()?;
        Ok(Store { objects, folder: url.strip_prefix("file://").map(PathBuf::from) })
    }

    pub async fn put(&self, recording: &RecordingId, sha256: &str, bytes: PutPayload) -> Result<()> {
        self.objects.put(&object(recording, sha256), bytes).await?;
        Ok(())
    }

    pub async fn put_manifest(&self, recording: &RecordingId, bytes: Bytes) -> Result<()> {
        self.objects.put(&object(recording, "manifest.json"), bytes.into()).await?;
        Ok(())
    }

    /// Writes an object and deletes it, as proof that objects can be written.
    pub async fn write_health(&self) -> Result<()> {
        let path = Path::from_iter([HEALTH]);
        self.objects.put(&path, Bytes::from_static(b"the server can store footage").into()).await?;
        self.objects.delete(&path).await?;
        Ok(())
    }

    pub async fn get_range(
        &self,
        recording: &RecordingId,
        sha256: &str,
        range: std::ops::Range<u64>,
    ) -> Result<Bytes> {
        Ok(self.objects.get_range(&object(recording, sha256), range).await?)
    }

    pub async fn contains(&self, recording: &RecordingId, sha256: &str) -> Result<bool> {
        match self.objects.head(&object(recording, sha256)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes all objects of a recording, also those that no row names. Objects that are already gone are no
    /// error.
    pub async fn delete(&self, recording: &RecordingId) -> Result<()> {
        let found = self.objects.list(Some(&Path::from_iter([recording.as_str()])));
        let mut deleted = self.objects.delete_stream(found.map_ok(|object| object.location).boxed());
        while let Some(one) = deleted.next().await {
            match one {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn files(folder: &str) -> Result<Arc<dyn ObjectStore>> {
    let read = |source| Error::Read { what: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(read)?;
    Ok(Arc::new(LocalFileSystem::new_with_prefix(folder)?.with_fsync(true)))
}

/// Opens `BUCKET/PREFIX`. Credentials, region and endpoint come from the usual `AWS_*` variables.
fn s3(place: &str) -> object_store::Result<Arc<dyn ObjectStore>> {
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    // The build contains two providers, so that none is the default.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let retry = RetryConfig { retry_timeout: PATIENCE, ..RetryConfig::default() };
    let bucket = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry).build()?;
    Ok(match prefix.trim_end_matches('/') {
        "" => Arc::new(bucket),
        prefix => Arc::new(PrefixStore::new(bucket, Path::from(prefix))),
    })
}

/// The path of an object. A recording's name was checked when it was uploaded: it leads to no other folder.
fn object(recording: &RecordingId, name: &str) -> Path {
    Path::from_iter([recording.as_str(), name])
}
