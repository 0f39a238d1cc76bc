//! Tests of subnets: ranges, formatting and parsing.

use super::*;

fn subnet(text: &str) -> Subnet {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn display_and_parse_round_trip() {
    for text in [
        "10.0.0.0/8",
        "0.0.0.0/0",
        "203.0.113.7",
        "203.0.113.6/31",
        "2001:db8::/32",
        "::/0",
        "2001:db8::1",
        "2001:db8::/127",
    ] {
        assert_eq!(subnet(text).to_string(), text);
    }
    assert_eq!(subnet("203.0.113.7/32").to_string(), "203.0.113.7");
    assert_eq!(subnet("::1/128").to_string(), "::1");
}

#[test]
fn invalid_subnets_are_rejected() {
    for (text, message) in [
        (
            "10.0.0.1/8",
            "10.0.0.1/8 has bits set after its prefix: expected 10.0.0.0/8",
        ),
        (
            "::ffff:10.0.0.1/104",
            "10.0.0.1/8 has bits set after its prefix: expected 10.0.0.0/8",
        ),
        (
            "10.0.0.0/33",
            "expected a prefix of at most 32 bits for 10.0.0.0, got 33",
        ),
        (
            "::/129",
            "expected a prefix of at most 128 bits for ::, got 129",
        ),
        (
            "::ffff:0.0.0.0/95",
            "::ffff:0.0.0.0 is a mapped IPv4 address: expected a prefix of at least 96 bits, got 95",
        ),
        ("10.0.0.0/", "expected a prefix length in bits, got \"\""),
        (
            "10.0.0.0/+8",
            "expected a prefix length in bits, got \"+8\"",
        ),
        (
            "10.0.0.0/256",
            "expected a prefix length in bits, got \"256\"",
        ),
        (
            "10.0.0.0/8/8",
            "expected a prefix length in bits, got \"8/8\"",
        ),
        ("example.com/8", "\"example.com\" is not an IP address"),
        ("", "\"\" is not an IP address"),
    ] {
        assert_eq!(text.parse::<Subnet>().unwrap_err().to_string(), message);
    }
    let error = "example.com".parse::<Subnet>().unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "invalid IP address syntax");
    let long = "a".repeat(1_000_000);
    assert!(long.parse::<Subnet>().unwrap_err().to_string().len() < 200);
}

#[test]
fn subnet_contains_only_its_range() {
    for (text, inside, outside) in [
        (
            "10.0.0.0/8",
            ["10.0.0.0", "10.255.255.255"],
            ["9.255.255.255", "11.0.0.0"],
        ),
        (
            "203.0.113.4/30",
            ["203.0.113.4", "203.0.113.7"],
            ["203.0.113.3", "203.0.113.8"],
        ),
        (
            "203.0.113.4",
            ["203.0.113.4", "::ffff:203.0.113.4"],
            ["203.0.113.3", "203.0.113.5"],
        ),
        ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], ["::", "::1"]),
        ("::/0", ["::", "ffff::"], ["0.0.0.0", "::ffff:1.2.3.4"]),
        (
            "2001:db8:0:1::/64",
            ["2001:db8:0:1::", "2001:db8:0:1:ffff:ffff:ffff:ffff"],
            ["2001:db8::ffff:ffff:ffff:ffff", "2001:db8:0:2::"],
        ),
    ] {
        for address in inside {
            assert!(subnet(text).contains(ip(address)), "{text} {address}");
        }
        for address in outside {
            assert!(!subnet(text).contains(ip(address)), "{text} {address}");
        }
    }
}

#[test]
fn subnet_covers_itself_and_its_parts() {
    let outer = subnet("10.0.0.0/8");
    assert!(outer.covers(&outer));
    assert!(outer.covers(&subnet("10.128.0.0/9")));
    assert!(!outer.covers(&subnet("10.0.0.0/7")));
    assert!(!outer.covers(&subnet("11.0.0.0/9")));
    assert!(!outer.covers(&subnet("::/0")));
}

#[test]
fn containing_clears_bits_after_the_prefix() {
    for (address, prefix, expected) in [
        ("203.0.113.7", 0, "0.0.0.0/0"),
        ("203.0.113.7", 24, "203.0.113.0/24"),
        ("203.0.113.7", 64, "203.0.113.7"),
        ("::ffff:203.0.113.7", 16, "203.0.0.0/16"),
        ("2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::/64"),
        ("2001:db8::1", 0, "::/0"),
        ("2001:db8::1", 255, "2001:db8::1"),
    ] {
        assert_eq!(Subnet::containing(ip(address), prefix), subnet(expected));
    }
}
