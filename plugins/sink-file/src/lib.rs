//! `sink.file`: writes an ordinary MP4 of each recording when it is sealed.

mod export;
mod files;
mod manifest;
mod media;
mod movie_tables;
mod sample_entry;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use deskreel_sdk::prelude::*;

use manifest::Recording;

export_plugin! { descriptor: "plugin.toml", sink "sink.file" => FileSink }

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The file; either this or `directory` is set.
    path: Option<PathBuf>,
    directory: Option<PathBuf>,
    /// Name of the file in `directory`.
    #[serde(default = "default_name")]
    name: String,
    #[serde(default)]
    overwrite: bool,
}

fn default_name() -> String {
    "{recording}.mp4".to_owned()
}

struct FileSink {
    /// May contain `{recording}` and `{pipeline}`.
    path: PathBuf,
    overwrite: bool,
}

impl Sink for FileSink {
    type Settings = Settings;

    fn open(settings: Settings, _host: Host) -> Result<Self> {
        let Settings { path, directory, name, overwrite } = settings;
        let path = match (path, directory) {
            (Some(path), None) => path,
            (None, Some(directory)) => directory.join(name),
            _ => return Err(PluginError::settings("set either `path` or `directory`")),
        };
        Ok(FileSink { path, overwrite })
    }

    fn check(&mut self) -> Result<()> {
        let folder = self.fixed_folder();
        let failed =
            |error| PluginError::unavailable(format!("cannot write to {}: {error}", folder.display()));
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let probe = folder.join(format!(".deskreel-check-{}", std::process::id()));
        std::fs::write(&probe, b"").map_err(failed)?;
        std::fs::remove_file(&probe).map_err(failed)
    }

    fn finish(&mut self, finished: &FinishedRecording) -> Result<Answer> {
        match self.export(&finished.directory) {
            Ok(path) => Ok(Answer::Acknowledged { place: path.display().to_string() }),
            Err(error) if error.kind == ErrorKind::Unavailable => {
                Ok(Answer::RetryAfter { seconds: 60, reason: error.message })
            }
            Err(error) => Ok(Answer::Refused { reason: error.message }),
        }
    }
}

impl FileSink {
    fn export(&self, directory: &Path) -> Result<PathBuf> {
        let recording = Recording::load(directory)?;
        let path = self.path_for(&recording);
        export::export(directory, &recording, &path, self.overwrite)?;
        Ok(path)
    }

    /// The folder of all exports, without the part that depends on the recording.
    fn fixed_folder(&self) -> PathBuf {
        let parent = self.path.parent().unwrap_or(Path::new(""));
        let fixed = parent.components().take_while(|part| !part.as_os_str().to_string_lossy().contains('{'));
        let folder: PathBuf = fixed.collect();
        if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder }
    }

    fn path_for(&self, recording: &Recording) -> PathBuf {
        // A value must not lead to another folder.
        let plain = |text: &str| text.replace(['/', '\\', '\0'], "_");
        let Some(text) = self.path.to_str() else { return self.path.clone() };
        PathBuf::from(
            text.replace("{recording}", &plain(&recording.recording))
                .replace("{pipeline}", &plain(&recording.pipeline)),
        )
    }
}
