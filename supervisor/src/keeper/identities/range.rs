//! Whether a range of user ids is nobody else's.

use std::{fs, path::Path};

use crate::settings::UidRange;

/// Numbers below are the system's own.
const FIRST_FREE: u32 = 1000;
/// What systemd gives to services with `DynamicUser=`, and the two numbers that mean nobody.
const TAKEN: [(u32, u32, &str); 3] =
    [(61_184, 65_519, "systemd's dynamic users"), (65_534, 65_535, "nobody"), (u32::MAX, u32::MAX, "no user")];

/// Who has numbers of this range already; `root` is where `etc` lies.
pub(in crate::keeper) fn clash(range: UidRange, root: &Path) -> Option<String> {
    if range.first < FIRST_FREE {
        return Some(format!("ids below {FIRST_FREE} are the system's own"));
    }
    let overlaps = |first: u32, last: u32| first <= range.last && last >= range.first;
    if let Some((first, last, whose)) = TAKEN.into_iter().find(|(first, last, _)| overlaps(*first, *last)) {
        return Some(format!("{first}..{last} belongs to {whose}"));
    }
    let read = |name: &str| fs::read_to_string(root.join("etc").join(name)).unwrap_or_default();
    for file in ["passwd", "group"] {
        for line in read(file).lines() {
            let mut fields = line.split(':');
            let (name, number) = (fields.next(), fields.nth(1).and_then(|number| number.parse().ok()));
            if let (Some(name), Some(number)) = (name, number)
                && overlaps(number, number)
            {
                return Some(format!("{name} of /etc/{file} has {number}"));
            }
        }
    }
    for file in ["subuid", "subgid"] {
        for line in read(file).lines() {
            let mut fields = line.split(':');
            let (name, first, count) = (fields.next(), fields.next(), fields.next());
            let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
            if let (Some(name), Some(first), Some(count)) = (name, number(first), number(count))
                && count > 0
                && overlaps(first, first.saturating_add(count - 1))
            {
                return Some(format!("{name} has {first}..{} in /etc/{file}", first.saturating_add(count - 1)));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clash_with(files: &[(&str, &str)], range: (u32, u32)) -> Option<String> {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        for (name, text) in files {
            fs::write(root.path().join("etc").join(name), text).unwrap();
        }
        clash(UidRange { first: range.0, last: range.1 }, root.path())
    }

    #[test]
    fn whoever_has_a_number_of_the_range_is_named() {
        let (passwd, group) = (("passwd", "root:x:0:0:::\neve:x:400007:100:::\n"), ("group", "staff:x:449999:\n"));
        let said = |files: &[_], range| clash_with(files, range).unwrap_or_default();
        assert!(said(&[passwd], (400_000, 449_999)).contains("eve of /etc/passwd has 400007"));
        assert!(said(&[group], (400_000, 449_999)).contains("staff of /etc/group has 449999"));
        assert_eq!(clash_with(&[passwd, group], (400_008, 449_998)), None);
    }

    #[test]
    fn numbers_that_somebody_may_give_to_containers_are_taken() {
        let files = [("subuid", "eve:362144:65536\n"), ("subgid", "adam:100000:65536\n")];
        let said = clash_with(&files, (400_000, 449_999)).unwrap();
        assert!(said.contains("eve has 362144..427679 in /etc/subuid"), "{said}");
        assert_eq!(clash_with(&files, (427_680, 449_999)), None);
        assert!(clash_with(&files, (165_000, 170_000)).unwrap().contains("adam"));
    }

    #[test]
    fn numbers_that_mean_something_to_the_system_are_taken() {
        for range in [(0, 10), (999, 2000), (60_000, 62_000), (65_000, 70_000), (4_000_000_000, u32::MAX)] {
            assert!(clash_with(&[], range).is_some(), "{range:?}");
        }
    }
}
