//! Points in time as Jira and GitHub write them.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};

use super::Scalar;
use crate::job::{rows::Given, warnings::Warnings};

/// A point in time, to the microsecond, which is what PostgreSQL keeps.
pub type Moment = DateTime<Utc>;

/// Reads a date: `2024-01-15T10:30:00.000+0000`, any other offset, `Z`, any number of digits, or a day alone, which is its
/// midnight in UTC. `None` where it is none of these.
pub fn moment(text: &str) -> Option<Moment> {
    let text = text.trim();
    let read = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%#z")
        .map(|date| date.to_utc())
        .or_else(|_| NaiveDate::parse_from_str(text, "%Y-%m-%d").map(|day| day.and_time(NaiveTime::MIN).and_utc()));
    // PostgreSQL rounds what is finer than a microsecond; cut here, the value compares the same on both sides.
    // And it has other words for years that need more than four digits.
    let read = read.ok().filter(|date| (1..=9999).contains(&date.year()));
    read.and_then(|date| DateTime::from_timestamp_micros(date.timestamp_micros()))
}

impl Scalar<'_> {
    /// The date of a key: not given, given as nothing, or a point in time. What cannot be read is nothing, with the warning
    /// `bad_date` for the element `id`.
    pub fn date(&self, warnings: &mut Warnings, id: Option<&str>) -> Given<Moment> {
        if !self.is_present() {
            return None;
        }
        if self.is_null() {
            return Some(None);
        }
        let text = self.text();
        if text.as_deref().is_some_and(|text| text.trim().is_empty()) {
            return Some(None);
        }
        let read = text.as_deref().and_then(moment);
        if read.is_none() {
            warnings.add("bad_date", id);
        }
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_one_instant_is_the_same_instant() {
        let expected = moment("2024-01-15T10:30:00Z").unwrap();
        assert_eq!(expected.timestamp(), 1_705_314_600);
        for text in [
            "2024-01-15T10:30:00.000+0000",
            "2024-01-15T10:30:00+00:00",
            "2024-01-15T10:30:00.000000000000Z",
            "2024-01-15T07:00:00.000-0330",
            "2024-01-15T12:30:00+02",
            " 2024-01-15T10:30:00.0Z ",
        ] {
            assert_eq!(moment(text), Some(expected), "{text}");
        }
        assert_eq!(moment("2024-01-15"), moment("2024-01-15T00:00:00Z"));
        assert_eq!(moment("2024-01-15T10:30:00.123456789Z").unwrap().timestamp_subsec_micros(), 123_456);
    }

    #[test]
    fn what_is_no_date_is_no_date() {
        for text in [
            "",
            "garbage",
            "2024-13-01",
            "15/Jan/24 10:30",
            "2024-01-15T10:30:00",
            "2024-02-30",
            "1705314600",
            "+12024-01-01",
            "-4800-01-01",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
