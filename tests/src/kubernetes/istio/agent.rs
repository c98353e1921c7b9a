//! The work of Istio's agent, which stands between istiod and Envoy.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::kubernetes::text;

/// Pulls the image, and serves the configuration with a local file.
pub(super) fn provide(extension: &Value, folder: &Path) {
    let mut extension = extension.clone();
    extension["@type"] = json!("type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig");
    let code = &mut extension["typed_config"]["config"]["vm_config"]["code"];
    let uri = text(&code["remote"]["http_uri"]["uri"]);
    assert!(uri.starts_with("oci://"), "{uri}");
    let filter = xtask::wasm::build().expect("the filter");
    *code = json!({ "local": { "filename": filter } });
    let path = folder.join(format!("{}.json", text(&extension["name"])));
    fs::write(&path, json!({ "resources": [extension] }).to_string()).expect("a file");
}

/// Redirects a subscription from the agent to `folder`.
pub(super) fn subscribe(value: &mut Value, folder: &Path) {
    if let Some(name) = value
        .get("config_discovery")
        .map(|_| text(&value["name"]).to_owned())
    {
        let source = &mut value["config_discovery"]["config_source"];
        let ads = source
            .as_object_mut()
            .and_then(|source| source.remove("ads"));
        assert_eq!(
            ads,
            Some(json!({})),
            "Istio's proxies subscribe through ADS"
        );
        source["path_config_source"] = json!({ "path": folder.join(format!("{name}.json")) });
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| subscribe(item, folder)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| subscribe(field, folder)),
        _ => {}
    }
}
