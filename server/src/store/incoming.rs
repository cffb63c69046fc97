//! Finished files before they are fragments: `.incoming/<id>` is written while the file arrives, read while
//! it is cut, and then deleted. No recording's name begins with a dot.
//!
//! Nothing here needs to survive a crash, since a recorder without an answer sends the file again. Remains
//! are swept.

use std::ops::Range;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::StreamExt;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectStoreExt, WriteMultipart};

use super::Store;
use crate::error::{Error, Result};
use crate::secret;

const FOLDER: &str = ".incoming";
/// Parts that are written while the next one arrives. A part has 5 MiB, the least that S3 accepts.
const PARTS: usize = 1;

/// A file that is arriving. Dropped before it is complete, it leaves nothing.
pub struct Incoming {
    store: Store,
    path: Path,
    /// `None` once the file is complete.
    upload: Option<WriteMultipart>,
}

/// A file that has arrived as a whole.
#[derive(Debug, Clone)]
pub struct Original {
    store: Store,
    path: Path,
}

impl Store {
    pub async fn receive(&self) -> Result<Incoming> {
        let id = secret::id().map_err(|error| Error::Corrupt(error.to_string()))?;
        let path = Path::from_iter([FOLDER, &id]);
        let upload = WriteMultipart::new(self.objects.put_multipart(&path).await?);
        Ok(Incoming { store: self.clone(), path, upload: Some(upload) })
    }

    /// Removes remains of crashes: files that have not been written to for this long. In S3, the bucket's
    /// lifecycle rules have to remove parts of files that were never completed.
    pub async fn sweep_incoming(&self, untouched: Duration) -> Result<()> {
        let Ok(before) = Timestamp::now().checked_sub(untouched) else { return Ok(()) };
        if let Some(folder) = self.folder.clone().map(|folder| folder.join(FOLDER)) {
            return sweep_files(&folder, before).await;
        }
        let mut found = self.objects.list(Some(&Path::from_iter([FOLDER])));
        while let Some(object) = found.next().await {
            let object = object?;
            if object.last_modified.timestamp() < before.as_second() {
                self.objects.delete(&object.location).await?;
            }
        }
        Ok(())
    }
}

/// Includes incomplete files, which have another name.
async fn sweep_files(folder: &std::path::Path, before: Timestamp) -> Result<()> {
    let read = |source| Error::Read { what: folder.display().to_string(), source };
    // Without the folder, no file has ever arrived.
    let Ok(mut entries) = tokio::fs::read_dir(folder).await else { return Ok(()) };
    while let Some(entry) = entries.next_entry().await.map_err(read)? {
        let written = entry.metadata().await.and_then(|about| about.modified()).map(Timestamp::try_from);
        if matches!(written, Ok(Ok(written)) if written < before) {
            tokio::fs::remove_file(entry.path()).await.map_err(read)?;
        }
    }
    Ok(())
}

impl Incoming {
    /// Waits while the store is slower than the sender.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(upload) = &mut self.upload else { return Ok(()) };
        upload.wait_for_capacity(PARTS).await?;
        // Copies: a small chunk would keep a large buffer alive.
        upload.write(bytes);
        Ok(())
    }

    pub async fn complete(mut self) -> Result<Original> {
        if let Some(upload) = self.upload.take() {
            upload.finish().await?;
        }
        Ok(Original { store: self.store.clone(), path: self.path.clone() })
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            tokio::spawn(async move {
                if let Err(error) = upload.abort().await {
                    tracing::warn!(%error, "could not remove an incomplete file");
                }
            });
        }
    }
}

impl Original {
    pub async fn range(&self, range: Range<u64>) -> Result<Bytes> {
        Ok(self.store.objects.get_range(&self.path, range).await?)
    }

    pub async fn ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        Ok(self.store.objects.get_ranges(&self.path, ranges).await?)
    }

    pub async fn remove(self) {
        if let Err(error) = self.store.objects.delete(&self.path).await {
            tracing::warn!(%error, path = %self.path, "could not remove a file that was cut; it will be swept");
        }
    }
}
