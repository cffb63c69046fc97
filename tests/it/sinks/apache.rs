//! Debian's Apache with mod_dav, on a folder of its own.

use std::fmt::Write;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use tempfile::TempDir;

use deskreel_test_support::ports::free_port;
use deskreel_test_support::tls::Authority;

const MODULES: [&str; 9] = [
    "mpm_event",
    "authn_core",
    "authn_file",
    "authz_core",
    "authz_user",
    "auth_basic",
    "dav",
    "dav_fs",
    "ssl",
];
/// The user as which Apache runs if root starts it: `nobody` and `nogroup` of Debian.
const NOBODY: u32 = 65_534;
pub const USER: &str = "deskreel";
pub const PASSWORD: &str = "secret";

pub struct Apache {
    folder: TempDir,
    port: u16,
    scheme: &'static str,
    process: Option<Child>,
}

impl Drop for Apache {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Apache {
    pub fn start() -> Apache {
        Apache::with("http", String::new())
    }

    pub fn start_tls(authority: &Authority) -> Apache {
        let (certificate, key) = (authority.certificate.display(), authority.key.display());
        let lines = format!(
            "SSLEngine on\nSSLCertificateFile {certificate}\nSSLCertificateKeyFile {key}\nSSLSessionCache none\n"
        );
        Apache::with("https", lines)
    }

    fn with(scheme: &'static str, more: String) -> Apache {
        let folder = tempfile::tempdir().unwrap();
        let is_root = rustix::process::geteuid().is_root();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["files", "files/recordings", "locks"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            if is_root {
                chown(folder.path().join(name), Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        // `{SHA}` and the SHA-1 of `PASSWORD` in base64.
        fs::write(folder.path().join("users"), format!("{USER}:{{SHA}}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"))
            .unwrap();

        let port = free_port();
        let mut text = String::new();
        for module in MODULES {
            writeln!(text, "LoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so").unwrap();
        }
        if is_root {
            writeln!(text, "User #{NOBODY}\nGroup #{NOBODY}").unwrap();
        }
        let root = folder.path().display();
        write!(
            text,
            "ServerRoot {root}\nServerName localhost\nListen 127.0.0.1:{port}\nPidFile {root}/pid\n\
             Mutex pthread\nErrorLog /dev/stderr\nLogLevel notice\nDavLockDB {root}/locks/db\nDocumentRoot {root}/files\n\
             <Directory {root}/files>\nDav On\nAuthType Basic\nAuthName files\nAuthUserFile {root}/users\n\
             Require valid-user\n</Directory>\n{more}"
        )
        .unwrap();
        fs::write(folder.path().join("apache.conf"), text).unwrap();
        let mut apache = Apache { folder, port, scheme, process: None };
        apache.start_again();
        apache
    }

    /// Returns once it answers.
    pub fn start_again(&mut self) {
        let mut process = Command::new("/usr/sbin/apache2")
            .arg("-DFOREGROUND")
            .arg("-f")
            .arg(self.folder.path().join("apache.conf"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("apache2 runs (script/setup installs it)");
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut said = Vec::new();
        let is_up = lines.by_ref().any(|line| {
            said.push(line);
            said.last().is_some_and(|line| line.contains("resuming normal operations"))
        });
        assert!(is_up, "apache2 does not start: {said:#?}");
        // A pipe without a reader would fill up.
        thread::spawn(move || lines.for_each(drop));
        self.process = Some(process);
    }

    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let pid = rustix::process::Pid::from_child(&process);
            // It takes its children along; SIGKILL would leave them.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let _ = process.wait();
        }
    }

    /// The folder for recordings.
    pub fn url(&self) -> String {
        format!("{}://localhost:{}/recordings", self.scheme, self.port)
    }

    /// The same on disk.
    pub fn files(&self) -> PathBuf {
        self.folder.path().join("files/recordings")
    }

    pub fn give(&self, path: &Path) {
        if rustix::process::geteuid().is_root() {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
}
