//! The JSON and the YAML in documents can be parsed.

use std::fs;

use lambda_mesh_tests::documents::all;
use serde_json::Value;
use xtask::workspace_root;

/// Returns why a block cannot be parsed. JSON may be one value, or one in each line as in a log.
fn fault(language: &str, text: &str) -> Option<String> {
    let json = |text: &str| serde_json::from_str::<Value>(text).err();
    match language {
        "json" => {
            let whole = json(text)?;
            let lines = text.lines().find_map(json);
            lines.map(|_| whole.to_string())
        }
        "yaml" => {
            let documents = serde_saphyr::from_multiple::<Value>(text);
            documents.err().map(|error| error.to_string())
        }
        _ => None,
    }
}

#[test]
fn the_json_and_the_yaml_in_documents_can_be_parsed() {
    let mut faults = Vec::new();
    let mut count = 0;
    for path in all() {
        let text = fs::read_to_string(workspace_root().join(&path)).unwrap();
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let Some(language) = line.strip_prefix("```") else {
                continue;
            };
            let block = lines.by_ref().map(|(_, line)| line);
            let block: Vec<_> = block.take_while(|line| *line != "```").collect();
            count += 1;
            let fault = fault(language, &block.join("\n"));
            faults.extend(fault.map(|fault| format!("{}:{}: {fault}", path.display(), index + 1)));
        }
    }
    assert!(count > 100, "only {count} blocks");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
