//! Files that are replaced while we use them: read again, and the last good value kept.

use std::{
    fs::OpenOptions,
    io::Read,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use crate::{Error, Result, misplaced::looks_secret};

/// Content is compared, not times: symlinks that Kubernetes swaps, and clocks, cannot mislead it.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Bytes. The bundle of all public authorities takes a quarter of it.
const LARGEST: u64 = 1 << 20;

/// Why a file cannot be used. It names the file and never shows what is in it.
pub(crate) type Fault = String;
type Loader<T> = Box<dyn Fn(&[Vec<u8>]) -> Result<T, Fault> + Send + Sync>;

/// A value loaded from files, loaded again when their content changes.
///
/// Nothing watches in the background: who asks for the value looks, at most once a second. The first load fails with an
/// error; a later one that fails keeps the value and warns once, and again only when the fault is another one.
pub(crate) struct Watched<T> {
    paths: Vec<PathBuf>,
    load: Loader<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    value: T,
    digest: [u8; 32],
    fault: Fault,
    look_at: Instant,
}

impl<T: Clone> Watched<T> {
    pub(crate) fn new(
        paths: Vec<PathBuf>,
        remedy: &str,
        load: impl Fn(&[Vec<u8>]) -> Result<T, Fault> + Send + Sync + 'static,
    ) -> Result<Self> {
        let look_at = Instant::now() + LOOK_EVERY;
        let loaded = read_all(&paths).and_then(|contents| Ok((load(&contents)?, digest(&contents))));
        let (value, digest) = loaded.map_err(|fault| Error::unusable(fault).with_remedy(remedy))?;
        Ok(Self {
            paths,
            load: Box::new(load),
            state: Mutex::new(State {
                value,
                digest,
                fault: Fault::new(),
                look_at,
            }),
        })
    }

    /// The value as it was at the last look.
    pub(crate) fn current(&self) -> T {
        self.lock().value.clone()
    }

    /// Whether the last look is a second old.
    pub(crate) fn is_due(&self) -> bool {
        Instant::now() >= self.lock().look_at
    }

    /// Read the files, and load them if their content has changed. Blocks.
    pub(crate) fn look(&self) {
        {
            let mut state = self.lock();
            if Instant::now() < state.look_at {
                return; // another task has just done so
            }
            state.look_at = Instant::now() + LOOK_EVERY;
        }
        // Without the lock: who only wants the value does not wait for a slow disk.
        let known = self.lock().digest;
        let found = read_all(&self.paths).and_then(|contents| {
            let digest = digest(&contents);
            if digest == known {
                Ok(None)
            } else {
                Ok(Some(((self.load)(&contents)?, digest)))
            }
        });
        let mut state = self.lock();
        match found {
            Ok(changed) => {
                if let Some((value, digest)) = changed {
                    state.value = value;
                    state.digest = digest;
                }
                state.fault.clear();
            }
            Err(fault) => {
                if fault != state.fault {
                    tracing::warn!("{fault}; going on with what was there before");
                    state.fault = fault;
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_all(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, Fault> {
    paths.iter().map(|path| read(path)).collect()
}

/// A regular file only: reading any other may wait forever, or not work twice.
fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    if looks_secret(&path.to_string_lossy()) {
        return Err("what was given as a path is not a path: give the name of a file".to_owned());
    }
    let unreadable = |error: std::io::Error| format!("{} cannot be read: {}", path.display(), error.kind());
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(libc::O_NONBLOCK); // opening a named pipe would wait for who writes to it
    }
    let file = options.open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(format!("{} is not a regular file", path.display()));
    }
    let mut content = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut content)
        .map_err(unreadable)?;
    if content.len() as u64 > LARGEST {
        return Err(format!("{} has more than {LARGEST} bytes", path.display()));
    }
    Ok(content)
}

/// No secret is kept for the comparison alone.
fn digest(contents: &[Vec<u8>]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for content in contents {
        // Lengths first: moving bytes from one file to the next is a change.
        digest.update((content.len() as u64).to_be_bytes());
        digest.update(content);
    }
    digest.finalize().into()
}
