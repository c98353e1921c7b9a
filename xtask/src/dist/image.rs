//! The filter as an OCI image, in the form that Istio and Envoy Gateway pull.
//!
//! Both accept two variants of the [Wasm Image Specification]. This is *compat*, which standard tools
//! and registries understand too: one gzipped layer with the file `plugin.wasm`, and an annotation in
//! the manifest. The image lists two platforms with the same layer, so that `COPY --from` in a
//! Dockerfile and Kubernetes' image volumes work on both. Istio and Envoy Gateway read the entry of
//! linux/amd64 on any platform.
//!
//! [Wasm Image Specification]: https://github.com/solo-io/wasm/tree/master/spec

use std::io::Write;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::files::{set, sha256};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Returns the image as a tar archive of an [OCI image layout], tagged with the workspace's version. The
/// bytes depend on the module alone.
///
/// [OCI image layout]: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
pub(super) fn archive(wasm: &[u8]) -> Result<Vec<u8>> {
    let version = env!("CARGO_PKG_VERSION");
    let mut layout = Layout(tar::Builder::new(Vec::new()));
    layout.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;

    let mut files = Layout(tar::Builder::new(Vec::new()));
    files.file("plugin.wasm", wasm)?;
    let files = files.0.into_inner().context("cannot write the layer")?;
    // The header has no file name, and its time is 0.
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let layer = gzip.write_all(&files).and_then(|()| gzip.finish());
    let layer = layout.blob(LAYER, &layer.context("cannot write the layer")?)?;

    let mut manifests = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let platform = json!({ "architecture": architecture, "os": "linux" });
        let config = layout.json(
            CONFIG,
            &json!({
                "architecture": architecture,
                "config": {},
                "os": "linux",
                "rootfs": { "diff_ids": [format!("sha256:{}", sha256(&files))], "type": "layers" },
            }),
        )?;
        let mut manifest = layout.json(
            MANIFEST,
            &json!({
                "annotations": {
                    "module.wasm.image/variant": "compat",
                    "org.opencontainers.image.description": "Calls AWS Lambda functions from Envoy",
                    "org.opencontainers.image.licenses": "Apache-2.0",
                    "org.opencontainers.image.title": "lambda-filter",
                    "org.opencontainers.image.version": version,
                },
                "config": config,
                "layers": [layer],
                "mediaType": MANIFEST,
                "schemaVersion": 2,
            }),
        )?;
        set(&mut manifest, "platform", platform);
        manifests.push(manifest);
    }
    let mut image = layout.json(INDEX, &index(&manifests))?;
    set(
        &mut image,
        "annotations",
        json!({ "org.opencontainers.image.ref.name": version }),
    );
    layout.file("index.json", &bytes(&index(&[image])))?;
    layout.0.into_inner().context("cannot write the image")
}

fn index(manifests: &[Value]) -> Value {
    json!({ "manifests": manifests, "mediaType": INDEX, "schemaVersion": 2 })
}

/// Returns the JSON text with sorted keys. Another crate may enable the feature of `serde_json` that keeps
/// keys in the order of insertion.
fn bytes(value: &Value) -> Vec<u8> {
    let mut value = value.clone();
    value.sort_all_objects();
    value.to_string().into_bytes()
}

/// A tar archive whose entries have no owner and no time.
struct Layout(tar::Builder<Vec<u8>>);

impl Layout {
    fn file(&mut self, path: &str, content: &[u8]) -> Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        self.0
            .append_data(&mut header, path, content)
            .with_context(|| format!("cannot write {path} of the image"))
    }

    /// Adds `content` and returns its descriptor.
    fn blob(&mut self, media_type: &str, content: &[u8]) -> Result<Value> {
        let digest = sha256(content);
        self.file(&format!("blobs/sha256/{digest}"), content)?;
        Ok(json!({
            "digest": format!("sha256:{digest}"),
            "mediaType": media_type,
            "size": content.len(),
        }))
    }

    fn json(&mut self, media_type: &str, content: &Value) -> Result<Value> {
        self.blob(media_type, &bytes(content))
    }
}
