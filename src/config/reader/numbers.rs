//! Reads whole numbers and time spans within bounds.

use std::{ops::RangeInclusive, time::Duration};

use config::{Value, ValueKind};

use super::{Table, kind, masking};

/// A whole number as it was written; in environment variables it is a text. `true` and `1.5` are none.
fn whole(value: &Value) -> Option<i128> {
    match &value.kind {
        ValueKind::I64(number) => Some((*number).into()),
        ValueKind::I128(number) => Some(*number),
        ValueKind::U64(number) => Some((*number).into()),
        ValueKind::U128(number) => i128::try_from(*number).ok(),
        ValueKind::String(text) => text.parse().ok(),
        _ => None,
    }
}

impl Table<'_> {
    /// Reads a whole number within bounds; the default if absent.
    pub(in crate::config) fn number(
        &mut self,
        key: &str,
        default: u64,
        bounds: &RangeInclusive<u64>,
    ) -> u64 {
        let number = match self.take(key) {
            None => default,
            Some(value) => self.bounded(key, &value, bounds).unwrap_or(default),
        };
        self.note(key, number.to_string());
        number
    }

    fn bounded(&self, key: &str, value: &Value, bounds: &RangeInclusive<u64>) -> Option<u64> {
        let (least, most) = (bounds.start(), bounds.end());
        let Some(number) = whole(value) else {
            let found = match &value.kind {
                ValueKind::String(text) => format!("{:?}", masking::text(text)),
                ValueKind::Float(number) => number.to_string(),
                ValueKind::Boolean(switch) => switch.to_string(),
                _ => kind(value).to_owned(),
            };
            let what = format!("must be a whole number from {least} to {most}");
            self.mistaken(key, found, what);
            return None;
        };
        let fits = u64::try_from(number).ok();
        let fits = fits.filter(|number| bounds.contains(number));
        if fits.is_none() {
            self.mistaken(key, number, format!("must be from {least} to {most}"));
        }
        fits
    }

    /// Reads a number into a type that can hold all values within the bounds.
    pub(in crate::config) fn small<T: TryFrom<u64> + Default>(
        &mut self,
        key: &str,
        default: u64,
        bounds: &RangeInclusive<u64>,
    ) -> T {
        T::try_from(self.number(key, default, bounds)).unwrap_or_default()
    }

    /// Reads an optional number into a type that can hold all values within the bounds.
    pub(in crate::config) fn small_if_any<T: TryFrom<u64> + Copy + Into<u64>>(
        &mut self,
        key: &str,
        bounds: &RangeInclusive<T>,
    ) -> Option<T> {
        let value = self.take(key)?;
        let bounds = (*bounds.start()).into()..=(*bounds.end()).into();
        let number = self.bounded(key, &value, &bounds)?;
        self.note(key, number.to_string());
        T::try_from(number).ok()
    }

    pub(in crate::config) fn millis(
        &mut self,
        key: &str,
        default: u64,
        bounds: &RangeInclusive<u64>,
    ) -> Duration {
        Duration::from_millis(self.number(key, default, bounds))
    }

    pub(in crate::config) fn seconds(
        &mut self,
        key: &str,
        default: u64,
        bounds: &RangeInclusive<u64>,
    ) -> Duration {
        Duration::from_secs(self.number(key, default, bounds))
    }
}
