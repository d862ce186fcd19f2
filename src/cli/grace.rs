//! How long something is left alone, as it is written in options.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A number of minutes, or with a unit of hours or days: `90`, `90m`, `36h`, `14d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grace(pub(super) Duration);

impl Grace {
    /// So long before `now`.
    pub(super) fn before(self, now: SystemTime) -> SystemTime {
        now.checked_sub(self.0).unwrap_or(UNIX_EPOCH)
    }
}

impl FromStr for Grace {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Grace, &'static str> {
        let (number, unit) = match text.as_bytes().last() {
            Some(b'm') => (&text[..text.len() - 1], 60),
            Some(b'h') => (&text[..text.len() - 1], 3600),
            Some(b'd') => (&text[..text.len() - 1], 86_400),
            _ => (text, 60),
        };
        let number = number.parse::<u32>();
        let number = number.map_err(|_| "expected minutes, or a number with m, h or d after it");
        Ok(Grace(Duration::from_secs(u64::from(number?) * unit)))
    }
}

impl fmt::Display for Grace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.0.as_secs() / 60;
        let (number, unit) = match minutes {
            0 => (0, "minute"),
            _ if minutes.is_multiple_of(1440) => (minutes / 1440, "day"),
            _ if minutes.is_multiple_of(60) => (minutes / 60, "hour"),
            _ => (minutes, "minute"),
        };
        let plural = if number == 1 { "" } else { "s" };
        write!(f, "{number} {unit}{plural}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_minutes_or_have_a_unit() {
        for (text, said) in [
            ("0", "0 minutes"),
            ("90", "90 minutes"),
            ("60m", "1 hour"),
            ("36h", "36 hours"),
            ("14d", "14 days"),
            ("24h", "1 day"),
        ] {
            let grace: Grace = text.parse().unwrap();
            assert_eq!(grace.to_string(), said, "{text}");
        }
        for text in ["", "d", "-1", "1w", "1.5h", "9999999999d"] {
            assert!(text.parse::<Grace>().is_err(), "{text:?}");
        }
    }
}
