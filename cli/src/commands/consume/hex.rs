//! Records as bytes: a line about each, then its key and its value as dumps of 16 bytes a line.

use std::io::Write;

use kafka_boot_client::RawRecord;

use super::format::time;

const WIDTH: usize = 16;

/// Appends the record. Writing into memory cannot fail.
pub(super) fn write(record: &RawRecord, into: &mut Vec<u8>) {
    let _ = write!(into, "{}-{} @ {}  ", record.topic(), record.partition(), record.offset());
    time(record.timestamp(), into);
    into.push(b'\n');
    dump("key", record.key(), into);
    dump("value", record.payload(), into);
    for (name, value) in record.headers() {
        let _ = writeln!(into, "header {}", kafka_boot::escaped(name.as_bytes()));
        dump("", value, into);
    }
}

fn dump(name: &str, bytes: Option<&[u8]>, into: &mut Vec<u8>) {
    let bytes = match bytes {
        None => {
            let _ = writeln!(into, "{name:<6}null");
            return;
        }
        Some([]) => {
            let _ = writeln!(into, "{name:<6}empty");
            return;
        }
        Some(bytes) => bytes,
    };
    for (index, line) in bytes.chunks(WIDTH).enumerate() {
        let name = if index == 0 { name } else { "" };
        let _ = write!(into, "{name:<6}{:08x}  ", index * WIDTH);
        for at in 0..WIDTH {
            let _ = match line.get(at) {
                Some(byte) => write!(into, "{byte:02x} "),
                None => write!(into, "   "),
            };
            if at == WIDTH / 2 - 1 {
                into.push(b' ');
            }
        }
        into.extend_from_slice(b" |");
        into.extend(line.iter().map(|byte| if (0x20..0x7f).contains(byte) { *byte } else { b'.' }));
        into.extend_from_slice(b"|\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_dumped_sixteen_a_line() {
        let mut into = Vec::new();
        dump("value", Some(b"0123456789abcdef\x00\xff"), &mut into);
        dump("key", None, &mut into);
        dump("key", Some(b""), &mut into);
        let expected = "\
value 00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|
      00000010  00 ff                                             |..|
key   null
key   empty
";
        assert_eq!(String::from_utf8(into).expect("a dump is text"), expected);
    }
}
