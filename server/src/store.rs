//! The footage, as objects: `<recording>/<sha256>`, and `<recording>/manifest.json` once it is closed.
//!
//! An object is named by its bytes, so that two uploads under one name cannot spoil each other, and one that is repeated
//! writes what is there already. Which object is which fragment, the index says. What is put is durable once `put` returns.

mod incoming;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, RetryConfig};

use crate::error::{Error, Result};

pub use incoming::Original;

/// A request that S3 does not answer, or fails, is asked again for so long. Recorders come again by themselves, and keep what they have.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// Where objects are files.
    folder: Option<PathBuf>,
}

impl Store {
    /// Once this returns, the place has been seen.
    pub async fn open(url: &str) -> Result<Store> {
        let wrong = |why: String| Error::StoreUrl { url: url.to_owned(), why };
        let objects = match url.split_once("://") {
            Some(("file", folder)) => files(folder)?,
            Some(("s3", place)) if place.is_empty() || place.starts_with('/') => {
                return Err(wrong("it names no bucket; write s3://BUCKET/PREFIX".to_owned()));
            }
            Some(("s3", place)) => s3(place).map_err(|error| wrong(error.to_string()))?,
            _ => return Err(wrong("it begins with neither `file://` nor `s3://`".to_owned())),
        };
        objects.list(None).next().await.transpose()?;
        Ok(Store { objects, folder: url.strip_prefix("file://").map(PathBuf::from) })
    }

    pub async fn put(&self, recording: &str, sha256: &str, bytes: PutPayload) -> Result<()> {
        self.objects.put(&object(recording, sha256), bytes).await?;
        Ok(())
    }

    pub async fn put_manifest(&self, recording: &str, bytes: Bytes) -> Result<()> {
        self.objects.put(&object(recording, "manifest.json"), bytes.into()).await?;
        Ok(())
    }

    pub async fn get_range(
        &self,
        recording: &str,
        sha256: &str,
        range: std::ops::Range<u64>,
    ) -> Result<Bytes> {
        Ok(self.objects.get_range(&object(recording, sha256), range).await?)
    }

    /// Everything of a recording, also what no row names. What is gone already does not matter.
    pub async fn delete(&self, recording: &str) -> Result<()> {
        let found = self.objects.list(Some(&Path::from_iter([recording])));
        let mut gone = self.objects.delete_stream(found.map_ok(|object| object.location).boxed());
        while let Some(one) = gone.next().await {
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

/// A bucket, and what names in it begin with. Who may, where it is and all else stands in the environment as `AWS_...`, where other
/// programs that speak S3 look for it.
fn s3(place: &str) -> object_store::Result<Arc<dyn ObjectStore>> {
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    // Of two in the build, for its connections; none is chosen by itself.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let retry = RetryConfig { retry_timeout: PATIENCE, ..RetryConfig::default() };
    let bucket = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry).build()?;
    Ok(match prefix.trim_end_matches('/') {
        "" => Arc::new(bucket),
        prefix => Arc::new(PrefixStore::new(bucket, Path::from(prefix))),
    })
}

/// Recordings' names have been judged before: nothing in them leads elsewhere.
fn object(recording: &str, name: &str) -> Path {
    Path::from_iter([recording, name])
}
