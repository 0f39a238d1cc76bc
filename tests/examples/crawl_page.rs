//! The page of `crawl` in a headless browser.
//!
//! The browser is the program given by the environment variable `CHROMIUM`. The script
//! `.ci/fetch-chromium` downloads it. The tests are ignored by default, so that plain `cargo test`
//! needs no browser. The screenshots stay in the folder `tmp` of the target directory.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use bsv_p2p::wire::Services;
use bsv_p2p::{ConnectionConfig, Network};
use serde_json::Value;

use crate::servers;
use crate::tool::{Tool, integer, number, object, run, text};

/// Window widths: a phone and a desktop.
const WIDTHS: [u32; 2] = [400, 1080];

/// User agents that must appear as text, and as nothing else. The page shows other characters than
/// printable ASCII as escapes.
const HOSTILE: [&str; 4] = [
    "/<script>document.title='owned'</script>:1/",
    "/\"><img src=x onerror=document.title='owned'>&amp;/",
    "/\u{1b}[31mred\u{202e}gnp.exe\u{200f}\u{0}/",
    "/WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW/",
];

/// Measures the page and replaces it by the results. It runs in a copy of the page only.
const MEASURE: &str = r#"<script>
addEventListener("load", () => {
  const text = document.body.innerText;
  const visible = [...document.body.querySelectorAll("*")].filter(e => e.getClientRects().length);
  const leaves = visible.filter(e => [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim()));
  const name = e => e.tagName + "." + e.className + ": " + e.textContent.slice(0, 40);
  const isOutside = e => { const r = e.getBoundingClientRect(); return r.left < 0 || r.right > innerWidth + 0.5; };
  const isWider = e => e.clientWidth && e.scrollWidth > e.clientWidth + 1;
  const bars = [...document.querySelectorAll("li")].map(row => {
    const [bar, number] = [".bar", ".number"].map(part => row.querySelector(part));
    const [b, n, plot] = [bar, number, row.querySelector(".plot")].map(e => e.getBoundingClientRect());
    const style = getComputedStyle(bar);
    return {
      label: row.querySelector(".label").innerText, chart: row.closest("section").querySelector("h2").innerText,
      count: Number(number.innerText), width: b.width, height: b.height, plot: plot.width, gap: n.left - b.right,
      color: style.backgroundColor, pattern: style.backgroundImage,
    };
  });
  const measured = {
    text, bars, title: document.title, inner: innerWidth, scroll: document.documentElement.scrollWidth,
    height: Math.ceil(document.documentElement.getBoundingClientRect().height),
    outside: visible.filter(isOutside).map(name), wider: visible.filter(isWider).map(name),
    smallest: Math.min(...leaves.map(e => parseFloat(getComputedStyle(e).fontSize))),
    images: document.images.length, scripts: document.scripts.length,
    ground: getComputedStyle(document.body).backgroundColor, ink: getComputedStyle(document.body).color,
  };
  const bytes = new TextEncoder().encode(JSON.stringify(measured));
  document.body.textContent = "measured " + [...bytes].map(b => b.toString(16).padStart(2, "0")).join("");
});
</script>"#;

/// Runs the browser and returns its standard output. Scripts of the page run before it ends.
#[track_caller]
fn browse(options: &[String], page: &Path) -> String {
    let program = std::env::var_os("CHROMIUM")
        .expect("CHROMIUM is not set: export CHROMIUM=$(.ci/fetch-chromium target/chromium)");
    let profile = tempfile::tempdir().unwrap();
    let mut chromium = Command::new(program);
    chromium
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
        ])
        // Shared memory is small in containers.
        .args(["--disable-dev-shm-usage", "--force-device-scale-factor=1"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(options)
        .arg(format!("file://{}", page.display()))
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null());
    let ended = Tool::of("chromium", chromium.spawn().expect("the browser")).finish();
    ended.assert_status(0);
    ended.lines.join("\n")
}

/// Returns the measurements of a page at this window width.
#[track_caller]
fn measure(page: &Path, width: u32, options: &[&str]) -> Value {
    let html = fs::read_to_string(page).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.html");
    fs::write(&copy, html.replace("</head>", &format!("{MEASURE}</head>"))).unwrap();
    let mut all = vec![
        format!("--window-size={width},900"),
        "--dump-dom".to_owned(),
    ];
    all.extend(options.iter().map(|option| (*option).to_owned()));
    let dom = browse(&all, &copy);
    // The script itself comes first in the document.
    let (_, last) = dom.rsplit_once("measured ").unwrap_or_default();
    let hex = last.split_once('<').map(|(hex, _)| hex);
    let bytes = hex.map(|hex| hex::decode(hex.trim()).unwrap());
    let bytes = bytes.unwrap_or_else(|| panic!("no measurements in {dom}"));
    object(std::str::from_utf8(&bytes).unwrap())
}

/// Takes a screenshot and returns its file, after a check of its size.
#[track_caller]
fn screenshot(page: &Path, name: &str, (width, height): (u32, u32), options: &[&str]) -> PathBuf {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_file(&file);
    let mut all = vec![
        format!("--window-size={width},{height}"),
        format!("--screenshot={}", file.display()),
    ];
    all.extend(options.iter().map(|option| (*option).to_owned()));
    browse(&all, page);
    let png = fs::read(&file).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"), "{}", file.display());
    // The image header is the first chunk.
    let size = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert_eq!((size(16), size(20)), (width, height), "{}", file.display());
    file
}

/// Starts nodes of many kinds, crawls them, and returns the page.
fn page() -> &'static Path {
    static PAGE: OnceLock<PathBuf> = OnceLock::new();
    PAGE.get_or_init(|| {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("crawl.html");
        let mut nodes = Vec::new();
        for (user_agent, heights, services) in [
            (
                "/Bitcoin SV:1.2.2/",
                &[870_000, 870_000, 870_000, 870_001][..],
                0x25,
            ),
            ("/Bitcoin SV:1.1.1/", &[870_000, 869_998][..], 0x25),
            ("/Bitcoin SV:1.0.13/", &[861_000][..], 0x37),
            ("/teranode-legacy-p2p:0.13.2/", &[870_000][..], 0x1),
        ] {
            let of_height = |height: &i32| node(user_agent, *height, services, Vec::new());
            nodes.extend(heights.iter().map(of_height));
        }
        nodes.extend(HOSTILE.map(|user_agent| node(user_agent, i32::MAX, u64::MAX, Vec::new())));
        let closed = [(); 3].map(|()| servers::closed_port());
        nodes.extend(closed.iter().map(|(_, address)| address.clone()));
        nodes.push(servers::hangs_up());
        let addresses = nodes.iter().map(|address| address.parse().unwrap());
        let first = node("/Bitcoin SV:1.2.2/", 870_000, 0x25, addresses.collect());
        let ended = run(
            "crawl",
            &[
                "--network",
                "regtest",
                "--pause",
                "0",
                "--patience",
                "2",
                "--json",
                "--peer",
                &first,
                "--out",
                file.to_str().unwrap(),
            ],
        );
        ended.assert_success();
        let summary = object(ended.lines.last().unwrap());
        assert_eq!(integer(&summary, "reached"), 13, "{summary}");
        assert_eq!(integer(&summary, "not_reached"), 4, "{summary}");
        file
    })
}

/// Starts a node that advertises these addresses.
fn node(user_agent: &str, height: i32, services: u64, addresses: Vec<SocketAddr>) -> String {
    let mut config = ConnectionConfig::new(Network::Regtest);
    config.session.user_agent = user_agent.to_owned();
    config.session.allow_rejected_user_agent = true;
    config.session.start_height = height;
    config.session.services = Services(services);
    servers::node_with(config, addresses)
}

/// Returns the bars of a chart.
fn bars<'a>(measured: &'a Value, chart: &str) -> Vec<&'a Value> {
    let bars = measured["bars"].as_array().expect("bars").iter();
    bars.filter(|bar| text(bar, "chart") == chart).collect()
}

#[test]
#[ignore = "needs a browser: CHROMIUM"]
fn crawl_page_fits_phone_and_desktop() {
    for width in WIDTHS {
        let measured = measure(page(), width, &[]);
        assert_eq!(integer(&measured, "inner"), i64::from(width));
        assert_eq!(integer(&measured, "scroll"), i64::from(width), "{measured}");
        for problem in ["outside", "wider"] {
            assert_eq!(measured[problem], Value::Array(Vec::new()), "at {width} px");
        }
        assert!(number(&measured, "smallest") >= 12.0, "{measured}");
        for bar in measured["bars"].as_array().unwrap() {
            if integer(bar, "count") == 0 {
                assert_eq!(number(bar, "width"), 0.0, "{bar}");
                continue;
            }
            assert!(number(bar, "width") >= 3.0, "{bar}");
            assert!(number(bar, "height") >= 10.0, "{bar}");
            // A bar of 100 % has space for its numbers, which directly follow it.
            assert!(number(bar, "width") + 100.0 < number(bar, "plot"), "{bar}");
            assert!((2.0..=12.0).contains(&number(bar, "gap")), "{bar}");
        }
    }
}

#[test]
#[ignore = "needs a browser: CHROMIUM"]
fn crawl_page_shows_results_and_parameters() {
    let measured = measure(page(), 400, &[]);
    let shown = text(&measured, "text");
    for wanted in [
        "Crawl of Bitcoin SV regtest",
        "13 nodes reached, 4 not reached",
        "median round trip",
        "user agent",
        "nodes, % of 13",
        "addresses, % of 4",
        "best height",
        "round-trip time",
        "heights: most common 870000, lowest 861000, highest 2147483647",
        "round trips: min ",
        "time limit",
        "60 s",
        "all known addresses visited",
        concat!(
            "Generated by bsv-p2p ",
            env!("CARGO_PKG_VERSION"),
            ", crawl"
        ),
    ] {
        assert!(shown.contains(wanted), "{wanted} is not in {shown}");
    }
    let rows = |chart: &str| -> Vec<(String, i64)> {
        let rows = bars(&measured, chart).into_iter();
        rows.map(|bar| (text(bar, "label").to_owned(), integer(bar, "count")))
            .collect()
    };
    assert_eq!(rows("User agents")[0], ("/Bitcoin SV:1.2.2/".into(), 5));
    let heights = [
        ("more than 1008 blocks ahead", 4),
        ("145 to 1008 blocks ahead", 0),
        ("7 to 144 blocks ahead", 0),
        ("1 to 6 blocks ahead", 1),
        ("at height 870000", 6),
        ("1 to 6 blocks behind", 1),
        ("7 to 144 blocks behind", 0),
        ("145 to 1008 blocks behind", 0),
        ("more than 1008 blocks behind", 1),
    ];
    let heights = heights.map(|(label, count)| (label.to_owned(), count));
    assert_eq!(rows("Best heights"), heights);
    let failures = rows("Failed connections");
    assert_eq!(failures[0], ("connection refused".into(), 3));
    assert_eq!(failures.len(), 2);
}

#[test]
#[ignore = "needs a browser: CHROMIUM"]
fn crawl_page_shows_hostile_user_agents_as_text() {
    let measured = measure(page(), 1080, &[]);
    assert_eq!(text(&measured, "title"), "Crawl of Bitcoin SV regtest");
    assert_eq!(integer(&measured, "images"), 0);
    // The script that measures the page.
    assert_eq!(integer(&measured, "scripts"), 1);
    let labels: Vec<_> = bars(&measured, "User agents")
        .into_iter()
        .map(|bar| text(bar, "label"))
        .collect();
    let escaped = r"/\x1b[31mred\xe2\x80\xaegnp.exe\xe2\x80\x8f\x00/";
    for wanted in [HOSTILE[0], HOSTILE[1], escaped, HOSTILE[3]] {
        assert!(labels.contains(&wanted), "{wanted} is not in {labels:?}");
    }
}

#[test]
#[ignore = "needs a browser: CHROMIUM"]
fn crawl_page_separates_failures_from_successes() {
    let measured = measure(page(), 1080, &[]);
    let [failure, ..] = bars(&measured, "Failed connections")[..] else {
        panic!("{measured}");
    };
    let [success, ..] = bars(&measured, "User agents")[..] else {
        panic!("{measured}");
    };
    assert_eq!(text(success, "pattern"), "none");
    let pattern = text(failure, "pattern");
    assert!(pattern.contains("repeating-linear-gradient"), "{pattern}");
    assert!(!pattern.contains(text(success, "color")), "{pattern}");
}

/// The images are files of the size of the page, and far larger than those of an empty page.
#[test]
#[ignore = "needs a browser: CHROMIUM"]
fn crawl_page_screenshots_are_not_blank() {
    let folder = tempfile::tempdir().unwrap();
    let blank = folder.path().join("blank.html");
    fs::write(&blank, "<!DOCTYPE html><title>blank</title>").unwrap();
    let len = |file: &Path| fs::metadata(file).unwrap().len();
    for width in WIDTHS {
        let mut grounds = Vec::new();
        for (scheme, options) in [
            ("light", &["--blink-settings=preferredColorScheme=1"]),
            ("dark", &["--blink-settings=preferredColorScheme=0"]),
        ] {
            let measured = measure(page(), width, options);
            grounds.push((
                text(&measured, "ground").to_owned(),
                text(&measured, "ink").to_owned(),
            ));
            let height = u32::try_from(integer(&measured, "height")).unwrap();
            let name = format!("crawl-{width}-{scheme}.png");
            let shot = screenshot(page(), &name, (width, height), options);
            let empty = screenshot(&blank, "blank.png", (width, height), options);
            assert!(len(&shot) > 4 * len(&empty), "{}", shot.display());
        }
        let [light, dark] = &grounds[..] else {
            panic!("{grounds:?}");
        };
        assert_ne!(light.0, dark.0);
        assert_ne!(light.1, dark.1);
    }
}
