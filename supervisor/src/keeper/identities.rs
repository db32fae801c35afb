//! Which user a tenant's workers are: a number of its own for each tenant, for ever.
//!
//! The file has a line for each tenant, and before them a line that reserves numbers: only reserving waits for the disk. After a
//! power failure the lines of the last tenants may be missing; then these get other numbers, and no number is given twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use etl_shared::TenantId;
use nix::libc;

use crate::settings::UidRange;

mod range;

pub(super) use range::clash;

/// So many numbers are reserved at once.
const RESERVED_AT_ONCE: u32 = 64;

/// The numbers that have been given.
#[derive(Debug)]
pub(super) struct Identities {
    path: PathBuf,
    file: File,
    range: UidRange,
    given: BTreeMap<TenantId, u32>,
    /// The smallest that has never been given, and may have been reserved.
    next: u32,
    /// The first that has not been reserved.
    reserved: u32,
    /// A part of a line was written and could not be taken back.
    torn: bool,
}

/// A tenant gets no number.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoIdentity {
    /// The file cannot be used.
    #[error("{} cannot be used", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// What stands in the file is not what we write.
    #[error("{} is damaged in line {line}: {what}; repair it or restore it from a backup, and restart the keeper", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// Every number has been given.
    #[error("every user id of isolation.uid_range ({range}) has been given to a tenant: choose a larger range")]
    Exhausted {
        /// The range.
        range: UidRange,
    },
}

impl Identities {
    /// Reads what was given so far.
    pub(super) fn open(path: &Path, range: UidRange) -> Result<Self, NoIdentity> {
        let error = |source| NoIdentity::File { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        let options = options.read(true).append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let mut file = options.open(path).map_err(error)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(error)?;
        // Without its end a line was never relied on: what was started with its number is gone with the power.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            file.set_len(whole as u64).map_err(error)?;
        }
        let mut identities = Self {
            path: path.to_owned(),
            file,
            range,
            given: BTreeMap::new(),
            next: range.first,
            reserved: range.first,
            torn: false,
        };
        identities.read(&text[..whole])?;
        identities.next = identities.next.max(identities.reserved);
        Ok(identities)
    }

    fn read(&mut self, text: &str) -> Result<(), NoIdentity> {
        let mut seen = BTreeSet::new();
        for (index, line) in text.lines().enumerate() {
            let damaged = |what| NoIdentity::Damaged { path: self.path.clone(), line: index + 1, what };
            let (subject, number) = line.split_once(' ').ok_or_else(|| damaged("it has no blank"))?;
            let number: u32 = number.parse().map_err(|_| damaged("it does not end with a number"))?;
            if subject == "reserved" {
                // Of another range it says nothing about this one.
                if (self.range.first..=self.range.last.saturating_add(1)).contains(&number) {
                    self.reserved = self.reserved.max(number);
                }
                continue;
            }
            let tenant = subject.parse().map_err(|_| damaged("it does not begin with a tenant's number"))?;
            if !seen.insert(number) {
                return Err(damaged("this number has been given before"));
            }
            // A later line is the tenant's number in a later range.
            self.given.insert(tenant, number);
            if self.may_give(number) {
                self.next = self.next.max(number.saturating_add(1));
            }
        }
        Ok(())
    }

    /// The tenant's number, a new one where it has none in this range.
    pub(super) fn of(&mut self, tenant: TenantId) -> Result<u32, NoIdentity> {
        if let Some(number) = self.given.get(&tenant)
            && self.may_give(*number)
        {
            return Ok(*number);
        }
        let number = self.next;
        if !self.may_give(number) {
            return Err(NoIdentity::Exhausted { range: self.range });
        }
        if number >= self.reserved {
            let end = number.saturating_add(RESERVED_AT_ONCE).min(self.range.last.saturating_add(1));
            self.write(&format!("reserved {end}\n"))?;
            self.file.sync_data().map_err(|source| NoIdentity::File { path: self.path.clone(), source })?;
            self.reserved = end;
        }
        self.write(&format!("{tenant} {number}\n"))?;
        self.next = number + 1;
        self.given.insert(tenant, number);
        Ok(number)
    }

    /// A number that no tenant ever gets: the last of the range. See [`super::raw::kill_user`].
    pub(super) const fn nobodys(&self) -> u32 {
        self.range.last
    }

    fn may_give(&self, number: u32) -> bool {
        (self.range.first..self.range.last).contains(&number)
    }

    /// Whether some tenant has this number.
    pub(super) fn has_given(&self, number: u32) -> bool {
        self.given.values().any(|given| *given == number)
    }

    /// Waits until the disk has every line, so that nothing is lost by what happens to the machine.
    pub(super) fn settle(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Writes all of a line, or nothing: half a line before others would be damage that no later keeper may pass over.
    fn write(&mut self, line: &str) -> Result<(), NoIdentity> {
        let error = |source| NoIdentity::File { path: self.path.clone(), source };
        if self.torn {
            return Err(error(io::Error::other("it ends in the middle of a line; restart the keeper")));
        }
        let before = self.file.metadata().map_err(error)?.len();
        self.file.write_all(line.as_bytes()).map_err(|source| {
            self.torn = self.file.set_len(before).is_err();
            error(source)
        })
    }
}

/// Whether some tenant has got a number before. Where that cannot be told, one may have.
pub(super) fn any_given(path: &Path) -> bool {
    match fs::read_to_string(path) {
        Ok(text) => text.lines().any(|line| !line.starts_with("reserved ")),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: UidRange = UidRange { first: 400_000, last: 400_199 };

    fn tenant(number: i64) -> TenantId {
        TenantId::try_from(number).unwrap()
    }

    struct Place(tempfile::TempDir);

    impl Place {
        fn new(text: &str) -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            fs::write(place.path(), text).unwrap();
            place
        }

        fn path(&self) -> PathBuf {
            self.0.path().join("identities")
        }

        fn open(&self) -> Result<Identities, NoIdentity> {
            Identities::open(&self.path(), RANGE)
        }
    }

    #[test]
    fn a_tenant_keeps_its_number_and_no_other_gets_it() {
        let place = Place::new("");
        let mut first = place.open().unwrap();
        assert_eq!((first.of(tenant(7)).unwrap(), first.of(tenant(3)).unwrap()), (400_000, 400_001));
        assert_eq!(first.of(tenant(7)).unwrap(), 400_000);
        drop(first);
        let mut later = place.open().unwrap();
        assert_eq!((later.of(tenant(3)).unwrap(), later.of(tenant(7)).unwrap()), (400_001, 400_000));
        assert!(later.of(tenant(8)).unwrap() > 400_001);
    }

    #[test]
    fn numbers_whose_tenants_the_disk_never_saw_are_not_given_again() {
        let place = Place::new("");
        let mut first = place.open().unwrap();
        let given: Vec<u32> = (1..=10).map(|number| first.of(tenant(number)).unwrap()).collect();
        // A power failure: only what was waited for has come to the disk.
        fs::write(place.path(), fs::read_to_string(place.path()).unwrap().lines().next().unwrap().to_owned() + "\n")
            .unwrap();
        let again = place.open().unwrap().of(tenant(99)).unwrap();
        assert!(!given.contains(&again), "{again}");
    }

    #[test]
    fn a_line_without_an_end_is_nobodys() {
        let place = Place::new("reserved 400064\n7 400000\n8 4000");
        assert_eq!(place.open().unwrap().of(tenant(8)).unwrap(), 400_064);
        assert_eq!(place.open().unwrap().of(tenant(7)).unwrap(), 400_000, "what was written after it can be read");
    }

    #[test]
    fn a_damaged_file_gives_no_numbers() {
        for text in ["7 400000\n8 400000\n", "7\n", "x 400000\n", "7 -1\n", "\n"] {
            let error = Place::new(text).open().unwrap_err().to_string();
            assert!(error.contains("damaged in line"), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_range_that_is_used_up_says_what_to_do() {
        let place = Place::new("");
        let mut identities = place.open().unwrap();
        let given: BTreeSet<u32> = (1..=199).map(|number| identities.of(tenant(number)).unwrap()).collect();
        assert_eq!(given.len(), 199);
        assert!(!given.contains(&identities.nobodys()), "one is nobody's");
        let error = identities.of(tenant(200)).unwrap_err().to_string();
        assert!(error.contains("400000..400199") && error.contains("larger range"), "{error}");
        assert_eq!(identities.of(tenant(199)).unwrap(), 400_198, "those who have one keep it");
    }

    #[test]
    fn where_a_line_cannot_be_written_nor_taken_back_no_more_are_given() {
        let place = Place::new("7 400000\n");
        let mut identities = place.open().unwrap();
        let whole = std::mem::replace(&mut identities.file, OpenOptions::new().write(true).open("/dev/full").unwrap());
        identities.of(tenant(8)).unwrap_err();
        identities.file = whole;
        let error = crate::causes::in_one_line(&identities.of(tenant(8)).unwrap_err());
        assert!(error.contains("restart the keeper"), "{error}");
        assert_eq!(identities.of(tenant(7)).unwrap(), 400_000, "those who have one keep it");
    }

    #[test]
    fn in_another_range_a_tenant_gets_another_number() {
        let place = Place::new("reserved 300064\n7 300000\n");
        let mut identities = place.open().unwrap();
        assert_eq!(identities.of(tenant(7)).unwrap(), 400_000);
        assert_eq!(place.open().unwrap().of(tenant(7)).unwrap(), 400_000, "and keeps that one");
    }
}
