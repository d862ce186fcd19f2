//! Sizes, rates and times, as people write them.

use std::fmt::{self, Display};
use std::str::FromStr;
use std::time::Duration;

/// A size in bytes, shown in powers of 1000 with three digits: `999 B`, `12.3 MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
        if self.0 < 1000 {
            return f.pad(&format!("{} B", self.0));
        }
        let mut value = self.0 as f64 / 1000.0;
        let mut unit = UNITS[0];
        for larger in &UNITS[1..] {
            // 999.95 would show as 1000.0.
            if value < 999.95 {
                break;
            }
            value /= 1000.0;
            unit = larger;
        }
        f.pad(&format!("{value:.1} {unit}"))
    }
}

/// `bytes` in `time`, shown as `12.3 MB/s`, or as `- MB/s` where no time has passed.
pub fn rate(bytes: u64, time: Duration) -> impl Display {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 {
        // The conversion of a float saturates.
        format!("{}/s", Size((bytes as f64 / seconds) as u64))
    } else {
        "- MB/s".to_owned()
    }
}

/// A time that something took: `0.84 s`, `12.3 s`, `2 min 05 s`, `1 h 02 min`.
pub fn duration(time: Duration) -> impl Display {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.2} s", time.as_secs_f64()),
        10..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// A time that is left, as on a clock: `01:12`, `1:02:03`; `--:--` when it is not known or longer
/// than four days.
pub fn clock(left: Option<Duration>) -> impl Display {
    match left.map(|left| left.as_secs()) {
        Some(s) if s < 3600 => format!("{:02}:{:02}", s / 60, s % 60),
        Some(s) if s < 96 * 3600 => format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60),
        _ => "--:--".to_owned(),
    }
}

/// The text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a size: write a number with an optional unit, such as 800K, 10M or 1.5GiB")]
pub struct BadSize(String);

/// Reads `800`, `10M`, `1.5 GiB`, `20MB`, with `/s` where it is a rate. As with other tools, `K`,
/// `M`, `G`, `T` and `KiB` ... are powers of 1024, `kB`, `MB`, `GB`, `TB` are powers of 1000.
/// Letters may be of either case.
impl FromStr for Size {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Size, BadSize> {
        let bad = || BadSize(text.chars().take(40).collect());
        let lower = text.trim().to_ascii_lowercase();
        let lower = lower.strip_suffix("/s").unwrap_or(&lower);
        let digits = lower
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(lower.len());
        let (number, unit) = lower.split_at(digits);
        let unit: u64 = match unit.trim_start() {
            "" | "b" => 1,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            "t" | "tib" => 1 << 40,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            _ => return Err(bad()),
        };
        if let Ok(whole) = number.parse::<u64>() {
            return whole.checked_mul(unit).map(Size).ok_or_else(bad);
        }
        let bytes = number.parse::<f64>().map_err(|_| bad())? * unit as f64;
        // Above this a float does not hold whole bytes, and no size is.
        if !(0.0..9e15).contains(&bytes) {
            return Err(bad());
        }
        Ok(Size(bytes as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_show_three_digits() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (12_345_678, "12.3 MB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (999_999_999, "1.0 GB"),
            (u64::MAX, "18.4 EB"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(Size(bytes).to_string(), shown);
        }
        assert_eq!(format!("[{:>9}]", Size(5)), "[      5 B]");
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        let cases = [
            ("0", 0),
            ("800", 800),
            ("10M", 10 << 20),
            ("10m/s", 10 << 20),
            ("1.5MiB/s", 3 << 19),
            ("20MB", 20_000_000),
            ("2 kB", 2_000),
            (" 1g ", 1 << 30),
            ("0.5k", 512),
        ];
        for (text, bytes) in cases {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for bad in [
            "",
            "M",
            "-1",
            "1e3",
            "10X",
            "1.2.3",
            "..",
            "10 M B",
            "99999999999T",
            "99999999.5T",
            "1M/h",
        ] {
            assert!(bad.parse::<Size>().is_err(), "{bad} must not parse");
        }
    }

    #[test]
    fn times_are_shown_in_the_unit_that_fits() {
        let shown = |ms| duration(Duration::from_millis(ms)).to_string();
        assert_eq!(shown(840), "0.84 s");
        assert_eq!(shown(12_340), "12.3 s");
        assert_eq!(shown(125_000), "2 min 05 s");
        assert_eq!(shown(3_720_000), "1 h 02 min");
        let left = |s| clock(s).to_string();
        assert_eq!(left(None), "--:--");
        assert_eq!(left(Some(Duration::from_secs(72))), "01:12");
        assert_eq!(left(Some(Duration::from_secs(3723))), "1:02:03");
        assert_eq!(left(Some(Duration::MAX)), "--:--");
        assert_eq!(
            rate(1_000_000, Duration::from_millis(500)).to_string(),
            "2.0 MB/s"
        );
        assert_eq!(rate(1, Duration::ZERO).to_string(), "- MB/s");
    }
}
