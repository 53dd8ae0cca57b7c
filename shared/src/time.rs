//! A moment in UTC. This crate has no clock: time is always an argument.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment in UTC, in microseconds; printed as RFC 3339 with six digits and `Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UtcTime(i64);

static PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

/// Years 0001 to 9999, what RFC 3339 can say.
const MIN_US: i64 = -62_135_596_800_000_000;
const MAX_US: i64 = 253_402_207_200_000_000;

impl UtcTime {
    /// The moment that many microseconds after 1970-01-01T00:00:00Z, cut to the years 0001 to 9999.
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.clamp(MIN_US, MAX_US))
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// The system's time, cut to microseconds.
    pub fn from_system(time: SystemTime) -> Self {
        let micros = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| -us),
        };
        Self::from_micros(micros)
    }

    /// This moment as the system's time.
    pub fn to_system(self) -> SystemTime {
        if self.0 >= 0 {
            UNIX_EPOCH + Duration::from_micros(self.0.unsigned_abs())
        } else {
            UNIX_EPOCH - Duration::from_micros(self.0.unsigned_abs())
        }
    }

    /// How long after `earlier` this is; zero when it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This moment plus `duration`.
    pub fn plus(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.0.saturating_add(micros))
    }

    /// This moment less `duration`.
    pub fn minus(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.0.saturating_sub(micros))
    }

    /// Reads RFC 3339 with any offset; digits below a microsecond are cut.
    ///
    /// # Errors
    /// [`BadTime`] with the reason.
    pub fn parse(text: &str) -> Result<Self, BadTime> {
        let parsed: Timestamp = text
            .parse()
            .map_err(|_| BadTime(text.chars().take(40).flat_map(char::escape_debug).collect()))?;
        Ok(Self::from_micros(parsed.as_microsecond()))
    }
}

/// A text that is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time: want RFC 3339 with an offset, such as 2026-11-22T09:00:00Z")]
pub struct BadTime(String);

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = Timestamp::from_microsecond(self.0).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut text = String::with_capacity(27);
        PRINTER.print_timestamp(&moment, &mut text).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl fmt::Debug for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for UtcTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UtcTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for UtcTime {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UtcTime".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "date-time"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn six_digits_always() {
        assert_eq!(UtcTime::from_micros(0).to_string(), "1970-01-01T00:00:00.000000Z");
        assert_eq!(
            UtcTime::parse("2026-11-22T10:00:00.1234567+01:00").unwrap().to_string(),
            "2026-11-22T09:00:00.123456Z"
        );
    }

    #[test]
    fn a_time_without_an_offset_is_refused() {
        for bad in ["", "tomorrow", "2026-11-22", "2026-11-22T09:00:00", "09:00", "1763802000"] {
            assert!(UtcTime::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_reading_are_inverse(us in MIN_US..=MAX_US) {
            let time = UtcTime::from_micros(us);
            prop_assert_eq!(UtcTime::parse(&time.to_string()).unwrap(), time);
            prop_assert_eq!(UtcTime::from_system(time.to_system()), time);
        }
    }
}
