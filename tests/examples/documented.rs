//! Compares the JSON output of the tools with its documentation in `examples/README.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

/// The names of the fields of each event, by tool and event.
type Events = BTreeMap<(String, String), BTreeSet<String>>;

/// Fails unless the documentation of a tool contains the event of this object, and all its fields.
///
/// The fields of `Frame` below `command` are those of the message, which the README does not list.
#[track_caller]
pub(crate) fn check(tool: &str, object: &Value) {
    let event = object["event"].as_str();
    let event = event.unwrap_or_else(|| panic!("{tool} prints no event: {object}"));
    let key = (tool.to_owned(), event.to_owned());
    let Some(documented) = events().get(&key) else {
        panic!("{event} of {tool} is not in examples/README.md: {object}");
    };
    let mut fields = BTreeSet::new();
    names(object, &mut fields);
    fields.remove("event");
    for field in fields {
        let is_known = documented.contains(&field) || event == "Frame";
        assert!(
            is_known,
            "{field} of {event} of {tool} is not in examples/README.md: {object}"
        );
    }
}

/// Adds the names of all fields in a value.
fn names(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| names(value, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                found.insert(name.clone());
                names(value, found);
            }
        }
        _ => {}
    }
}

/// Returns the events that the README documents.
fn events() -> &'static Events {
    static EVENTS: OnceLock<Events> = OnceLock::new();
    EVENTS.get_or_init(|| {
        let readme = fs::read_to_string(root().join("examples/README.md")).unwrap();
        let (_, section) = readme
            .split_once("\n## JSON output\n")
            .expect("the section");
        let mut events = Events::new();
        for line in section.lines() {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let ["", tools, event, fields, _, ""] = cells[..] else {
                continue;
            };
            let [event] = &quoted(event)[..] else {
                continue;
            };
            for tool in quoted(tools) {
                let fields = quoted(fields).into_iter().collect();
                let twice = events.insert((tool.clone(), event.clone()), fields);
                assert_eq!(twice, None, "{event} of {tool} is documented twice");
            }
        }
        events
    })
}

/// Returns the parts of a text in backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the text of a file, or of all files in a folder.
fn text(path: &Path) -> String {
    if !path.is_dir() {
        return fs::read_to_string(path).unwrap();
    }
    let entries = fs::read_dir(path).unwrap();
    entries
        .map(|entry| text(&entry.unwrap().path()))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Returns the names of all tools that print JSON, and their sources.
fn tools() -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir(root().join("examples")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let named = paths.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path));
    named
        .filter(|(name, path)| {
            name != "shared" && (path.is_dir() || path.extension().is_some_and(|end| end == "rs"))
        })
        .filter(|(_, path)| text(path).contains("say_json") || text(path).contains("say_event"))
        .collect()
}

#[test]
fn each_tool_documents_its_json() {
    for tool in tools().keys() {
        let mut documented = events().keys();
        assert!(documented.any(|(name, _)| name == tool), "{tool}");
    }
}

#[test]
fn documented_events_exist_in_the_tools() {
    let tools = tools();
    let shared = text(&root().join("examples/shared")) + &text(&root().join("src/event"));
    assert!(events().len() > 40, "{:?}", events());
    for ((tool, event), fields) in events() {
        let own = tools.get(tool).unwrap_or_else(|| panic!("no tool {tool}"));
        let mut sources = text(own) + &shared;
        if event == "Frame" {
            sources += &text(&root().join("src/wire/message"));
        }
        for name in fields.iter().chain([event]) {
            // As a literal, or as the field of a structure.
            let forms = [format!("\"{name}\""), format!(" {name}: ")];
            let is_printed = forms.iter().any(|form| sources.contains(form));
            assert!(is_printed, "{name} of {event} of {tool}");
        }
    }
}

#[test]
fn every_control_event_is_documented() {
    let source = text(&root().join("src/event"));
    let names = source.lines().filter_map(|line| {
        let (variant, name) = line.trim().split_once(" { .. } => \"")?;
        let variant = variant.strip_prefix("ControlEvent::")?;
        (name == format!("{variant}\",")).then_some(variant)
    });
    let names: Vec<_> = names.collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        for tool in ["monitor", "listen"] {
            let key = (tool.to_owned(), name.to_owned());
            assert!(events().contains_key(&key), "{name} of {tool}");
        }
    }
}

#[test]
fn names_of_fields_state_their_units() {
    for ((tool, event), fields) in events() {
        for field in fields {
            let is_plain = ["bytes", "size", "seconds", "duration", "after", "ms", "rtt"];
            assert!(
                !is_plain.contains(&&field[..]),
                "{field} of {event} of {tool}"
            );
        }
    }
}
