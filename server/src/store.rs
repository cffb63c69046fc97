//! The footage, as objects: `<recording>/<sha256>`, and `<recording>/manifest.json` once it is closed.
//!
//! An object is named by its bytes, so that two uploads under one name cannot spoil each other, and one that is repeated
//! writes what is there already. Which object is which fragment, the index says. What is put is durable once `put` returns.

use std::sync::Arc;

use axum::body::Bytes;
use futures_util::StreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use crate::error::{Error, Result};

#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
}

impl Store {
    pub fn open(url: &str) -> Result<Store> {
        let wrong = |why: String| Error::StoreUrl { url: url.to_owned(), why };
        match url.split_once("://") {
            Some(("file", folder)) => {
                let read = |source| Error::Read { what: folder.to_owned(), source };
                std::fs::create_dir_all(folder).map_err(read)?;
                let files =
                    LocalFileSystem::new_with_prefix(folder).map_err(|error| wrong(error.to_string()))?;
                Ok(Store { objects: Arc::new(files.with_fsync(true)) })
            }
            _ => Err(wrong("it does not begin with `file://`".to_owned())),
        }
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
        let mut listed = self.objects.list(Some(&Path::from_iter([recording])));
        while let Some(object) = listed.next().await {
            match self.objects.delete(&object?.location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Recordings' names have been judged before: nothing in them leads elsewhere.
fn object(recording: &str, name: &str) -> Path {
    Path::from_iter([recording, name])
}
