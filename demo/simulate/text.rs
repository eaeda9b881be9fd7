//! Writes JSON by hand into one reused buffer: no allocation, no formatting machinery.
//!
//! Every text that gets here is made up by the simulator from plain ASCII without quotes or
//! backslashes, so nothing is escaped.

const DAY_MS: i64 = 86_400_000;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// A growing JSON text. Commas come by themselves: a member gets one unless it opens its object.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    bytes: Vec<u8>,
    day: i64,
    date: [u8; 10],
}

impl Text {
    /// What was written so far.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives the bytes away.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The number of bytes so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Starts again, keeping the memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Adds text as it is.
    pub(super) fn raw(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
    }

    /// Opens an object that is a member.
    pub(super) fn open(&mut self, name: &str) {
        self.name(name);
        self.bytes.push(b'{');
    }

    /// Closes the innermost object.
    pub(super) fn close(&mut self) {
        self.bytes.push(b'}');
    }

    /// A text member.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.bytes.push(b'"');
        self.raw(value.as_bytes());
        self.bytes.push(b'"');
    }

    /// An integer member.
    pub(super) fn int(&mut self, name: &str, value: i64) {
        self.name(name);
        self.number(value);
    }

    /// An integer by itself.
    pub(super) fn number(&mut self, value: i64) {
        self.raw(itoa::Buffer::new().format(value).as_bytes());
    }

    /// A true or false member.
    pub(super) fn flag(&mut self, name: &str, value: bool) {
        self.name(name);
        self.raw(if value { b"true" } else { b"false" });
    }

    /// A number member that is written already, such as `1.25`.
    pub(super) fn literal(&mut self, name: &str, value: &str) {
        self.name(name);
        self.raw(value.as_bytes());
    }

    /// A member of a prefix and 16 hex digits: a short id.
    pub(super) fn id(&mut self, name: &str, prefix: &str, value: u64) {
        self.name(name);
        self.bytes.push(b'"');
        self.raw(prefix.as_bytes());
        let mut digits = [0; 16];
        for (place, digit) in digits.iter_mut().enumerate() {
            *digit = HEX[(value >> (60 - 4 * place)) as usize & 15];
        }
        self.raw(&digits);
        self.bytes.push(b'"');
    }

    /// A UUID member.
    pub(super) fn uuid(&mut self, name: &str, value: u128) {
        self.name(name);
        self.bytes.push(b'"');
        self.raw(&uuid_digits(value));
        self.bytes.push(b'"');
    }

    /// A time member: RFC 3339 in UTC with milliseconds, from epoch ms.
    pub(super) fn time(&mut self, name: &str, epoch_ms: i64) {
        self.name(name);
        let day = epoch_ms.div_euclid(DAY_MS);
        if day != self.day || self.date[0] == 0 {
            self.day = day;
            self.date = date_digits(day);
        }
        let ms = epoch_ms.rem_euclid(DAY_MS);
        let mut digits = *b"\"0000-00-00T00:00:00.000Z\"";
        digits[1..11].copy_from_slice(&self.date);
        two(&mut digits[12..14], ms / 3_600_000);
        two(&mut digits[15..17], ms / 60_000 % 60);
        two(&mut digits[18..20], ms / 1000 % 60);
        digits[21] = b'0' + (ms / 100 % 10) as u8;
        two(&mut digits[22..24], ms % 100);
        self.raw(&digits);
    }

    fn name(&mut self, name: &str) {
        if self.bytes.last() != Some(&b'{') {
            self.bytes.push(b',');
        }
        self.bytes.push(b'"');
        self.raw(name.as_bytes());
        self.raw(b"\":");
    }
}

/// The 36 characters of a UUID.
pub(super) fn uuid_digits(value: u128) -> [u8; 36] {
    let mut digits = [b'-'; 36];
    let mut place = 0;
    for (count, byte) in value.to_be_bytes().into_iter().enumerate() {
        if matches!(count, 4 | 6 | 8 | 10) {
            place += 1;
        }
        digits[place] = HEX[usize::from(byte >> 4)];
        digits[place + 1] = HEX[usize::from(byte & 15)];
        place += 2;
    }
    digits
}

/// Year, month and day of a day counted from 1970-01-01 (Hinnant's `civil_from_days`).
fn date_digits(day: i64) -> [u8; 10] {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let mut digits = *b"0000-00-00";
    two(&mut digits[0..2], year / 100);
    two(&mut digits[2..4], year % 100);
    two(&mut digits[5..7], month);
    two(&mut digits[8..10], of_year - (153 * month_from_march + 2) / 5 + 1);
    digits
}

fn two(place: &mut [u8], number: i64) {
    place[0] = b'0' + (number / 10) as u8;
    place[1] = b'0' + (number % 10) as u8;
}
