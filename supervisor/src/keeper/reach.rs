//! Whether a user who is nobody in particular could come to a file.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

const ENTER: u32 = 0o001;
const READ: u32 = 0o004;

/// Programs have to be readable as well, directories need only let through; says what is in the way.
pub(super) fn by_others(path: &Path) -> Result<(), String> {
    let real = fs::canonicalize(path).map_err(|error| format!("{}: {error}", path.display()))?;
    for place in [path, &real].into_iter().flat_map(Path::ancestors).filter(|place| !place.as_os_str().is_empty()) {
        let found = fs::metadata(place).map_err(|error| format!("{}: {error}", place.display()))?;
        let wanted = if found.is_dir() { ENTER } else { ENTER | READ };
        let mode = found.mode() & 0o777;
        if mode & wanted != wanted {
            return Err(format!("other users cannot pass {} (mode {mode:o})", place.display()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_directory_on_the_way_that_lets_nobody_through_is_named() {
        let place = tempfile::tempdir_in("/tmp").unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let inner = place.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let said = by_others(&inner).unwrap_err();
        assert!(said.contains(&place.path().display().to_string()) && said.contains("mode 700"), "{said}");
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o711)).unwrap();
        by_others(&inner).unwrap();
        let program = inner.join("program");
        fs::write(&program, "").unwrap();
        assert!(by_others(&program).is_err());
        assert!(by_others(&inner.join("absent")).is_err());
        by_others(Path::new("/bin/sh")).unwrap();
    }
}
