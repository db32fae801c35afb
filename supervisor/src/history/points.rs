//! What every tenant used and did, a point each minute, for the last two hours.

use std::{collections::HashMap, time::Duration};

use etl_shared::{TenantId, api::HistoryPoint};

/// Between two points.
pub const STEP: Duration = Duration::from_mins(1);
/// Points of a tenant: two hours.
const POINTS: usize = 120;
/// Room is made for so many more at a time.
const GROWTH: usize = 12;
/// Highest throughput that has a place, in hundredths: 24 bits.
const MOST_CENTIS: u32 = (1 << 24) - 1;
/// Nobody knows.
const UNKNOWN: u32 = u32::MAX;

/// One tenant at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Point {
    /// Resident memory in KiB.
    pub memory_kib: u32,
    /// Messages done per second.
    pub throughput: f32,
    /// Messages ready.
    pub messages_ready: Option<u32>,
    /// Workers RUNNING.
    pub running: u16,
}

/// Twelve bytes: there are 120 of them for each of thousands of tenants.
#[derive(Debug, Clone, Copy)]
struct Packed {
    /// [`UNKNOWN`]: there is no point for this minute.
    memory_kib: u32,
    messages_ready: u32,
    /// Hundredths of a message per second, times 256, plus the workers RUNNING, at most 255.
    throughput_and_running: u32,
}

const NONE: Packed = Packed { memory_kib: UNKNOWN, messages_ready: UNKNOWN, throughput_and_running: 0 };

/// A ring with a place for each minute since `first`.
#[derive(Debug)]
struct Row {
    first: u64,
    last: u64,
    places: Vec<Packed>,
}

/// The points of all tenants.
#[derive(Debug, Default)]
pub struct Points(HashMap<TenantId, Row>);

impl Point {
    fn pack(self) -> Packed {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it stops at the bounds")]
        let centis = (self.throughput * 100.0).round() as u32;
        Packed {
            memory_kib: self.memory_kib.min(UNKNOWN - 1),
            messages_ready: self.messages_ready.map_or(UNKNOWN, |ready| ready.min(UNKNOWN - 1)),
            throughput_and_running: centis.min(MOST_CENTIS) << 8 | u32::from(self.running.min(255)),
        }
    }
}

impl Packed {
    fn unpack(self) -> Point {
        #[expect(clippy::cast_precision_loss, reason = "24 bits fit")]
        let throughput = (self.throughput_and_running >> 8) as f32 / 100.0;
        Point {
            memory_kib: self.memory_kib,
            throughput,
            messages_ready: (self.messages_ready != UNKNOWN).then_some(self.messages_ready),
            running: (self.throughput_and_running & 255) as u16,
        }
    }
}

impl Row {
    /// The place of a minute that is one of the last [`POINTS`].
    fn place(&self, minute: u64) -> usize {
        usize::try_from((minute - self.first) % POINTS as u64).unwrap_or_default()
    }

    fn note(&mut self, minute: u64, point: Packed) {
        if minute < self.last || minute >= self.last + POINTS as u64 {
            // The clock was set, or nobody has looked for hours: what was noted belongs nowhere.
            *self = Self { first: minute, last: minute, places: Vec::new() };
        }
        for skipped in self.last + 1..minute {
            self.put(skipped, NONE);
        }
        self.put(minute, point);
        self.last = minute;
    }

    fn put(&mut self, minute: u64, point: Packed) {
        let place = self.place(minute);
        if place < self.places.len() {
            self.places[place] = point;
        } else {
            if self.places.len() == self.places.capacity() {
                self.places.reserve_exact(GROWTH.min(POINTS - self.places.len()));
            }
            self.places.push(point);
        }
    }

    fn points(&self) -> impl DoubleEndedIterator<Item = (u64, Point)> {
        let oldest = self.first.max((self.last + 1).saturating_sub(POINTS as u64));
        (oldest..=self.last).filter_map(|minute| {
            let packed = self.places.get(self.place(minute)).filter(|packed| packed.memory_kib != UNKNOWN)?;
            Some((minute, packed.unpack()))
        })
    }
}

impl Points {
    /// Adds a tenant's point for this minute since 1970, or replaces it.
    pub fn note(&mut self, tenant: TenantId, minute: u64, point: Point) {
        let fresh = || Row { first: minute, last: minute, places: Vec::new() };
        self.0.entry(tenant).or_insert_with(fresh).note(minute, point.pack());
    }

    /// Forgets tenants that are gone.
    pub fn retain(&mut self, is_there: impl Fn(TenantId) -> bool) {
        self.0.retain(|tenant, _| is_there(*tenant));
    }

    /// A tenant's points, the oldest first.
    pub fn of(&self, tenant: TenantId) -> Vec<HistoryPoint> {
        let points = self.0.get(&tenant).into_iter().flat_map(Row::points);
        let tell = |(minute, point): (u64, Point)| HistoryPoint {
            at: minute * STEP.as_secs(),
            resident_memory_bytes: u64::from(point.memory_kib) * 1024,
            throughput: point.throughput,
            messages_ready: point.messages_ready,
            running: point.running,
        };
        points.map(tell).collect()
    }

    /// Memory at the last so many points, in KiB, the oldest first.
    pub fn memory(&self, tenant: TenantId, most: usize) -> Vec<u32> {
        let points = self.0.get(&tenant).into_iter().flat_map(|row| row.points().rev().take(most));
        let mut memory: Vec<_> = points.map(|(_, point)| point.memory_kib).collect();
        memory.reverse();
        memory
    }

    /// Bytes that the points take.
    #[cfg(test)]
    fn size(&self) -> usize {
        self.0.values().map(|row| row.places.capacity() * size_of::<Packed>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::fleet::tenant;

    fn point(memory_kib: u32) -> Point {
        Point { memory_kib, throughput: 12.34, messages_ready: Some(5), running: 2 }
    }

    #[test]
    fn two_hours_of_a_thousand_tenants_fit_into_a_megabyte_and_a_half() {
        let mut points = Points::default();
        for minute in 1_000_000..1_000_300 {
            (1..=1000).for_each(|id| points.note(tenant(id), minute, point(7)));
        }
        assert!(points.size() <= 1_500_000, "{}", points.size());
        let kept = points.of(tenant(1000));
        assert_eq!((kept.len(), kept[0].at, kept[119].at), (120, 1_000_180 * 60, 1_000_299 * 60));
    }

    #[test]
    fn a_point_comes_back_as_it_was_noted() {
        let mut points = Points::default();
        let busy = Point { memory_kib: 4_000_000, throughput: 99_999.5, messages_ready: None, running: 64 };
        points.note(tenant(1), 10, busy);
        let kept = points.of(tenant(1));
        assert_eq!((kept[0].resident_memory_bytes, kept[0].messages_ready, kept[0].running), (4_096_000_000, None, 64));
        assert!((kept[0].throughput - 99_999.5).abs() < 0.01);
    }

    #[test]
    fn a_minute_without_a_look_leaves_a_gap_and_not_a_false_point() {
        let mut points = Points::default();
        for minute in [5, 6, 9, 9] {
            points.note(tenant(1), minute, point(u32::try_from(minute).unwrap()));
        }
        assert_eq!(points.of(tenant(1)).iter().map(|point| point.at / 60).collect::<Vec<_>>(), [5, 6, 9]);
        assert_eq!(points.memory(tenant(1), 2), [6, 9]);
        assert!(points.of(tenant(2)).is_empty());
        // The clock is set back.
        points.note(tenant(1), 3, point(3));
        assert_eq!(points.memory(tenant(1), 9), [3]);
        points.retain(|_| false);
        assert!(points.of(tenant(1)).is_empty());
    }
}
