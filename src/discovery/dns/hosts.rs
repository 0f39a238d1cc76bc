//! Names of the hosts file: `hosts(5)`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::Path;

use crate::discovery::MAX_ADDRESSES;
use crate::discovery::name::distinct;

/// The maximum number of bytes that are read of the file. Block lists make it long, but do not
/// reach this.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// Returns the addresses of `host` from all lines of the file, or none if it cannot be read.
pub(super) fn look_up(file: &Path, host: &str) -> Vec<IpAddr> {
    match File::open(file) {
        Ok(file) => addresses(BufReader::new(file.take(MAX_FILE)), host),
        Err(_) => Vec::new(),
    }
}

/// Parses lines of an address and its names, with comments after `#`. Other lines are ignored.
fn addresses(text: impl BufRead, host: &str) -> Vec<IpAddr> {
    let lines = text.split(b'\n').map_while(Result::ok);
    let found = lines.filter_map(|line| {
        let line = String::from_utf8_lossy(&line);
        let mut words = line.split('#').next()?.split_ascii_whitespace();
        let address = words.next()?;
        let mut names = words.map(|name| name.strip_suffix('.').unwrap_or(name));
        names
            .any(|name| name.eq_ignore_ascii_case(host))
            .then(|| address.parse().ok())?
    });
    distinct(found, MAX_ADDRESSES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] = b"127.0.0.1 localhost\n\
        # 192.0.2.9 seed.test\n\
        \xff\xfe seed.test\n\
        192.0.2.1\tother.test Seed.Test # seed2.test\n\
        seed.test\n\
        \n\
        192.0.2.300 seed.test\n\
        2001:db8::1 seed.test.\r\n\
        192.0.2.1 seed.test\n\
        192.0.2.2 seed.test.other";

    fn look(host: &str) -> Vec<String> {
        addresses(FILE, host)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn all_lines_with_the_name_count() {
        assert_eq!(look("seed.test"), ["192.0.2.1", "2001:db8::1"]);
        assert_eq!(look("SEED.test"), ["192.0.2.1", "2001:db8::1"]);
        assert_eq!(look("other.test"), ["192.0.2.1"]);
        for nobody in ["seed2.test", "seed", "192.0.2.1", ""] {
            assert!(look(nobody).is_empty(), "{nobody:?}");
        }
    }

    #[test]
    fn missing_file_has_no_addresses() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        assert!(look_up(&path, "seed.test").is_empty());
        std::fs::write(&path, FILE).unwrap();
        assert_eq!(look_up(&path, "seed.test").len(), 2);
    }
}
