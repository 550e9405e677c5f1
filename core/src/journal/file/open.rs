//! Opening the file, making it, and refusing what cannot be a journal.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::{Arc, OnceLock},
    time::Instant,
};

use nix::{
    errno::Errno,
    sys::{
        resource::{Resource, getrlimit},
        statfs::{self, Statfs},
    },
    unistd::geteuid,
};

use super::{
    Shared,
    header::{FIXED_BYTES, Fixed, HEADER_BYTES, MAX_GENERATION, MAX_SEQ, State, USED_BYTES},
    ring::{failed, lock},
};
use crate::{
    error::{Error, ErrorKind, Result},
    sys::{self, Unforked},
    wire::Epoch,
};

/// Opens the file, and makes it where there is none. Gives back the size of its ring.
pub(super) fn open(shared: &Arc<Shared>, deadline: Instant) -> Result<(Unforked, u64)> {
    let path = &shared.path;
    loop {
        let unforked = Unforked::new(open_or_create(path)?);
        let file = unforked.file();
        let metadata = file.metadata().map_err(|error| failed("read", path, error))?;
        check(path, file, &metadata)?;
        lock(file, path, deadline)?;
        let unlock = Unlock(file);
        // It may have been replaced before we had the lock.
        if is_at(path, &metadata) {
            let data_bytes = settle(shared, file)?;
            drop(unlock);
            return Ok((unforked, data_bytes));
        }
    }
}

/// Whether the path still leads to the file.
pub(super) fn is_at(path: &Path, file: &fs::Metadata) -> bool {
    fs::metadata(path).is_ok_and(|now| (now.dev(), now.ino()) == (file.dev(), file.ino()))
}

/// What a journal begins with whose first place will be the one after `floor`. Its generation is the one that is there, and
/// not yet its own.
pub(super) fn first_state(file: &File, path: &Path, mut generation: u64, floor: u64) -> Result<State> {
    check_places(path, floor)?;
    if generation + 1 >= MAX_GENERATION {
        // What is there would be the later one for ever.
        let nothing = [0; USED_BYTES - FIXED_BYTES];
        file.write_all_at(&nothing, FIXED_BYTES as u64).map_err(|error| failed("write to", path, error))?;
        generation = 0;
    }
    let epoch = Epoch::random()?.0;
    Ok(State { generation, epoch, boot: boot(), seq: floor, oldest_seq: floor + 1, ..State::default() })
}

/// Fails where no place is left up to `seq`. No journal comes there by counting, but a file may say so.
pub(super) fn check_places(path: &Path, seq: u64) -> Result<()> {
    if seq < MAX_SEQ {
        return Ok(());
    }
    let text = format!(
        "the journal {} has given all its places; remove it, and start its processes again",
        path.display()
    );
    Err(Error::new(ErrorKind::JournalRejected, text))
}

/// Fails where this process may not write files that large. The system would end it with a signal.
pub(super) fn check_limit(path: &Path, data_bytes: u64) -> Result<()> {
    let bytes = HEADER_BYTES + data_bytes;
    match getrlimit(Resource::RLIMIT_FSIZE) {
        Ok((limit, _)) if limit >= bytes => Ok(()),
        Ok((limit, _)) => {
            let text = format!(
                "there is no room for the journal {}: this process may write files of {limit} bytes (RLIMIT_FSIZE), and that \
                 one has {bytes}",
                path.display()
            );
            Err(Error::new(ErrorKind::JournalUnavailable, text))
        }
        Err(error) => Err(failed("write to", path, error.into())),
    }
}

/// Gives the file its size and what tells what it is. A state has to be written after that.
pub(super) fn write_new(file: &File, path: &Path, data_bytes: u64) -> Result<()> {
    check_limit(path, data_bytes)?;
    let bytes = HEADER_BYTES + data_bytes;
    // First: what is found later is known as ours then.
    file.write_all_at(&Fixed::write(data_bytes), 0).map_err(|error| failed("write to", path, error))?;
    allocate(file, bytes).map_err(|error| {
        let _ = file.set_len(0); // what it has got is better given back
        let text = format!("there is no room for the journal {} of {bytes} bytes: {error}", path.display());
        Error::new(ErrorKind::JournalUnavailable, text).with_source(error)
    })
}

/// The running system, from its start to its end; zeros where it does not tell.
pub(super) fn boot() -> [u8; 16] {
    static BOOT: OnceLock<[u8; 16]> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = id.chars().filter(char::is_ascii_hexdigit).collect();
        u128::from_str_radix(&digits, 16).unwrap_or_default().to_be_bytes()
    })
}

/// Finds out what the locked file is, and makes a journal of it where it is none yet, or not one that holds.
fn settle(shared: &Shared, file: &File) -> Result<u64> {
    let path = &shared.path;
    let mut page = [0; USED_BYTES];
    let mut read = 0;
    while read < page.len() {
        match file.read_at(&mut page[read..], read as u64) {
            Ok(0) => break,
            Ok(bytes) => read += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed("read", path, error)),
        }
    }
    let fixed = Fixed::read(&page[..read]);
    let data_bytes = match fixed {
        Fixed::Blank => shared.data_bytes,
        Fixed::Ours(data_bytes) => {
            data_bytes.filter(|bytes| SIZES.contains(bytes)).unwrap_or(shared.data_bytes)
        }
        Fixed::Foreign => {
            let text = format!(
                "{} is a file of something else; a journal takes one of its own, which it makes",
                path.display()
            );
            return Err(Error::new(ErrorKind::JournalRejected, text));
        }
        Fixed::Format(format) => {
            let text = format!(
                "the journal {} has format {format}, which another version of evstream uses; this one uses {}",
                path.display(),
                super::header::FORMAT
            );
            return Err(Error::new(ErrorKind::JournalRejected, text));
        }
    };
    let bytes = file.metadata().map_err(|error| failed("read", path, error))?.len();
    let state = State::read(&page, data_bytes);
    // A size that is not believed has to be written over, or whoever looks at the header takes it for another file's.
    let is_named = fixed == Fixed::Ours(Some(data_bytes));
    let holds =
        is_named && bytes >= HEADER_BYTES + data_bytes && state.is_some_and(|state| state.boot == boot());
    if !holds {
        let state = state.unwrap_or_default();
        write_new(file, path, data_bytes)?;
        let floor = state.seq.max(shared.known()) + 1;
        let first = first_state(file, path, state.generation, floor)?;
        let (bytes, at) = State { generation: first.generation + 1, ..first }.write();
        file.write_all_at(&bytes, at).map_err(|error| failed("write to", path, error))?;
    }
    Ok(data_bytes)
}

/// Not created at once: Linux forbids that for a file of someone else in a folder such as /tmp (`fs.protected_regular`).
pub(super) fn open_or_create(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    loop {
        match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(file) => return Ok(file),
            Err(error) => return Err(cannot_open(path, error)),
        }
        match options.clone().create_new(true).mode(MODE).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !path.is_symlink() => {}
            Err(error) => return Err(cannot_open(path, error)),
            Ok(file) => {
                // Whatever the umask: which group may use it is what its folder says.
                file.set_permissions(Permissions::from_mode(MODE))
                    .map_err(|error| failed("set the permissions of", path, error))?;
                return Ok(file);
            }
        }
    }
}

/// Refuses what would not work, or only seem to.
pub(super) fn check(path: &Path, file: &File, metadata: &fs::Metadata) -> Result<()> {
    let rejected = |text: String| Err(Error::new(ErrorKind::JournalRejected, text));
    if !metadata.is_file() {
        return rejected(format!("the journal {} is no regular file", path.display()));
    }
    let statfs = statfs::fstatfs(file).map_err(|error| failed("look at", path, error.into()))?;
    if let Some(name) = remote(&statfs) {
        return rejected(format!(
            "the journal {} is on {name}, which does not keep locks between processes as a local disk does; \
             name a file in /run or on a local disk, or use a Redis",
            path.display()
        ));
    }
    Ok(())
}

fn cannot_open(path: &Path, error: io::Error) -> Error {
    let display = path.display();
    let text = match error.kind() {
        io::ErrorKind::PermissionDenied => match fs::metadata(path) {
            Ok(metadata) => format!(
                "cannot open the journal {display}: it belongs to user {} and group {}, with mode {:o}, and this process \
                 is user {}; give them a group in common, with a setgid folder",
                metadata.uid(),
                metadata.gid(),
                metadata.mode() & 0o7777,
                geteuid()
            ),
            Err(_) => {
                format!("cannot make the journal {display}: user {} may not write to its folder", geteuid())
            }
        },
        io::ErrorKind::NotFound => format!("cannot make the journal {display}: its folder does not exist"),
        io::ErrorKind::IsADirectory => {
            let text = format!("the journal {display} is a folder; name a file in it");
            return Error::new(ErrorKind::JournalRejected, text).with_source(error);
        }
        _ => return failed("open", path, error),
    };
    Error::new(ErrorKind::JournalUnavailable, text).with_source(error)
}

/// Makes sure of so many bytes on the disk, so that none is missing later.
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    #[cfg(any(target_os = "android", target_os = "linux", target_os = "freebsd"))]
    let length = libc::off_t::try_from(bytes).map_err(|_| Errno::EFBIG)?;
    #[cfg(any(target_os = "android", target_os = "linux", target_os = "freebsd"))]
    match nix::fcntl::posix_fallocate(file, 0, length) {
        Err(Errno::EOPNOTSUPP | Errno::EINVAL) => {} // the file system cannot: then it is seen when it is full
        result => return Ok(result?),
    }
    file.set_len(bytes.max(file.metadata()?.len()))
}

/// The name of a file system that is shared over a network, or by a program.
#[cfg(any(target_os = "android", target_os = "linux"))]
fn remote(statfs: &Statfs) -> Option<&'static str> {
    name_of_remote(statfs.filesystem_type().0 as u32)
}

#[cfg(any(target_os = "android", target_os = "linux"))]
fn name_of_remote(kind: u32) -> Option<&'static str> {
    const NAMES: &[(u32, &str)] = &[
        (0x6969, "NFS"),
        (0x517b, "SMB"),
        (0xff53_4d42, "SMB"),
        (0xfe53_4d42, "SMB"),
        (0x6573_5546, "FUSE"),
        (0x0102_1997, "9p"),
        (0x00c3_6400, "Ceph"),
        (0x5346_414f, "AFS"),
        (0x7375_7245, "Coda"),
    ];
    NAMES.iter().find(|(number, _)| *number == kind).map(|(_, name)| *name)
}

#[cfg(any(target_os = "macos", target_os = "ios", target_os = "freebsd"))]
fn remote(statfs: &Statfs) -> Option<&'static str> {
    const NAMES: &[&str] = &["nfs", "smbfs", "afpfs", "webdav", "macfuse", "osxfuse", "fusefs"];
    NAMES.iter().find(|name| statfs.filesystem_type_name() == **name).copied()
}

#[cfg(not(any(
    target_os = "android",
    target_os = "linux",
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd"
)))]
fn remote(_statfs: &Statfs) -> Option<&'static str> {
    None
}

const MODE: u32 = 0o660;
/// Sizes of a ring that are believed: those of `journal_bytes`.
const SIZES: std::ops::RangeInclusive<u64> = 65_536..=1_099_511_627_776;

/// Unlocks the file when dropped.
struct Unlock<'a>(&'a File);

impl Drop for Unlock<'_> {
    fn drop(&mut self) {
        sys::unlock(self.0);
    }
}

#[cfg(all(test, any(target_os = "android", target_os = "linux")))]
mod tests {
    use super::*;

    /// The numbers are those of `man 2 statfs`, which no kernel changes.
    #[test]
    fn what_is_shared_by_a_network_or_a_program_is_refused_and_local_disks_are_not() {
        let remote = [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x6573_5546, 0x0102_1997, 0x00c3_6400];
        let names = remote.map(|kind| name_of_remote(kind).expect("it is refused"));
        assert_eq!(names, ["NFS", "SMB", "SMB", "SMB", "FUSE", "9p", "Ceph"]);
        let (tmpfs, ramfs, ext4, xfs, btrfs) = (0x0102_1994, 0x8584_58f6, 0xef53, 0x5846_5342, 0x9123_683e);
        let (overlay, zfs, f2fs, bcachefs) = (0x794c_7630, 0x2fc1_2fc1, 0xf2f5_2010, 0xca45_1a4e);
        for local in [tmpfs, ramfs, ext4, xfs, btrfs, overlay, zfs, f2fs, bcachefs] {
            assert_eq!(name_of_remote(local), None, "{local:x}");
        }
    }
}
