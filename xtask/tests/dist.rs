//! The files of a release that `cargo xtask dist` makes.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use xtask::schema::Schema;

/// The files whose names say no version.
const FILES: [&str; 8] = [
    "SHA256SUMS",
    "lambda_filter.cdx.json",
    "lambda_filter.oci.tar",
    "lambda_filter.wasm",
    "liblambda_filter.cdx.json",
    "liblambda_filter.so",
    "sidecar-invoker",
    "sidecar-invoker.cdx.json",
];

/// Returns the files that `dist` makes, by name.
fn dist(arguments: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("dist")
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let folder: PathBuf = xtask::target_dir().join("dist");
    let names = printed
        .lines()
        .map(|line| line.split_once(" target/dist/").unwrap().1);
    names
        .map(|name| (name.to_owned(), fs::read(folder.join(name)).unwrap()))
        .collect()
}

/// Returns the only file whose name has this end.
fn with_end<'f>(files: &'f BTreeMap<String, Vec<u8>>, end: &str) -> &'f [u8] {
    let found: Vec<_> = files
        .iter()
        .filter(|(name, _)| name.ends_with(end))
        .collect();
    assert_eq!(found.len(), 1, "{:?}", files.keys());
    found[0].1
}

fn sha256(bytes: &[u8]) -> String {
    let mut digits = String::new();
    for byte in Sha256::digest(bytes) {
        write!(digits, "{byte:02x}").unwrap();
    }
    digits
}

/// Returns the files of a tar archive.
fn untar(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        (path, content)
    });
    entries.collect()
}

/// Returns the content that a descriptor of the image names, and checks its digest and size.
fn blob<'f>(
    files: &'f BTreeMap<String, Vec<u8>>,
    descriptor: &Value,
    media_type: &str,
) -> &'f [u8] {
    assert_eq!(descriptor["mediaType"], media_type);
    let digest = descriptor["digest"].as_str().unwrap();
    let digest = digest.strip_prefix("sha256:").unwrap();
    let content = &files[&format!("blobs/sha256/{digest}")];
    assert_eq!(sha256(content), digest);
    assert_eq!(descriptor["size"], content.len());
    content
}

#[test]
fn two_builds_of_a_release_have_the_same_bytes_in_any_folder() {
    let first = dist(&[]);
    let second = dist(&["--reproduce"]);
    assert_eq!(
        first.keys().collect::<Vec<_>>(),
        second.keys().collect::<Vec<_>>()
    );
    for (name, content) in &first {
        assert!(*content == second[name], "{name} differs");
    }
    for name in FILES {
        assert!(first.contains_key(name), "{name}");
    }

    let sums = String::from_utf8(first["SHA256SUMS"].clone()).unwrap();
    let lines: Vec<&str> = sums.lines().collect();
    let files = first.iter().filter(|(name, _)| *name != "SHA256SUMS");
    let expected = files.map(|(name, content)| format!("{}  {name}", sha256(content)));
    assert_eq!(lines, expected.collect::<Vec<_>>());
    check_archive(with_end(&first, ".tar.gz"), &first);
    check_wheel(with_end(&first, ".whl"), &first);

    for (name, program) in [
        ("lambda_filter.cdx.json", "lambda_filter.wasm"),
        ("liblambda_filter.cdx.json", "liblambda_filter.so"),
        ("sidecar-invoker.cdx.json", "sidecar-invoker"),
    ] {
        check_bill(&first[name], &sha256(&first[program]));
    }
    check_image(
        &first["lambda_filter.oci.tar"],
        &first["lambda_filter.wasm"],
    );
}

fn check_archive(archive: &[u8], files: &BTreeMap<String, Vec<u8>>) {
    let mut tar = Vec::new();
    GzDecoder::new(archive).read_to_end(&mut tar).unwrap();
    let entries = untar(&tar).into_iter();
    let entries =
        entries.map(|(path, content)| (path.split_once('/').unwrap().1.to_owned(), content));
    let entries: BTreeMap<_, _> = entries.collect();
    for name in [
        "sidecar-invoker",
        "lambda_filter.wasm",
        "liblambda_filter.so",
    ] {
        assert!(entries[name] == files[name], "{name} differs");
    }
    for (name, part) in [
        ("completions/sidecar-invoker.bash", "complete -F"),
        ("completions/_sidecar-invoker", "#compdef"),
        ("man/sidecar-invoker.1", ".TH"),
    ] {
        let text = String::from_utf8_lossy(&entries[name]);
        assert!(text.contains(part), "{name}: {text}");
    }
    assert!(entries.contains_key("lambda-mesh") && entries.contains_key("LICENSE"));
}

fn check_wheel(wheel: &[u8], files: &BTreeMap<String, Vec<u8>>) {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(wheel)).unwrap();
    let names: Vec<_> = archive
        .file_names()
        .map(|name| name.unwrap().into_owned())
        .collect();
    let mut read = |end: &str| {
        let name = names.iter().find(|name| name.ends_with(end)).unwrap();
        let mut content = Vec::new();
        archive
            .by_name(name)
            .unwrap()
            .read_to_end(&mut content)
            .unwrap();
        content
    };
    assert!(read("scripts/lambda-mesh") == files["sidecar-invoker"]);
    for name in ["lambda_filter.wasm", "liblambda_filter.so"] {
        assert!(
            read(&format!("share/lambda-mesh/{name}")) == files[name],
            "{name} differs"
        );
    }
    // pip checks the digests of this list when it installs the wheel, which an end-to-end test does.
    let record = String::from_utf8(read("RECORD")).unwrap();
    assert_eq!(record.lines().count(), names.len());
}

fn check_bill(bill: &[u8], program: &str) {
    let bill: Value = serde_json::from_slice(bill).unwrap();
    Schema::CycloneDx.check(&bill).unwrap();
    assert_eq!(
        bill["metadata"]["component"]["hashes"][0]["content"],
        program
    );
    let components = bill["components"].as_array().unwrap();
    let find = |name: &str| {
        components
            .iter()
            .find(|component| component["name"] == name)
    };
    // One crate is shipped, one runs during the build, and one is only in tests.
    let shipped = find("percent-encoding").unwrap();
    assert_eq!(shipped["scope"], "required");
    assert_eq!(shipped["hashes"][0]["content"].as_str().unwrap().len(), 64);
    // The build of the filter runs no other crate.
    let built = find("syn").map(|syn| &syn["scope"]);
    let program_name = &bill["metadata"]["component"]["name"];
    let is_filter = program_name != "sidecar-invoker";
    assert_eq!(built, (!is_filter).then_some(&json!("excluded")));
    assert_eq!(find("proptest"), None);
    // Another component or the program needs each component.
    let dependencies = bill["dependencies"].as_array().unwrap();
    let needed: Vec<&Value> = dependencies
        .iter()
        .flat_map(|dependency| dependency["dependsOn"].as_array().unwrap())
        .collect();
    for component in components {
        assert!(
            needed.contains(&&component["bom-ref"]),
            "nothing needs {component}"
        );
    }
}

fn check_image(archive: &[u8], wasm: &[u8]) {
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    let files = untar(archive);
    assert_eq!(files["oci-layout"], br#"{"imageLayoutVersion":"1.0.0"}"#);
    let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
    assert_eq!(
        index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"],
        env!("CARGO_PKG_VERSION")
    );
    let image: Value = serde_json::from_slice(blob(&files, &index["manifests"][0], INDEX)).unwrap();
    let platforms = ["amd64", "arm64"];
    assert_eq!(
        image["manifests"].as_array().unwrap().len(),
        platforms.len()
    );
    for (architecture, descriptor) in platforms.iter().zip(image["manifests"].as_array().unwrap()) {
        assert_eq!(descriptor["platform"]["architecture"], *architecture);
        let manifest = blob(
            &files,
            descriptor,
            "application/vnd.oci.image.manifest.v1+json",
        );
        let manifest: Value = serde_json::from_slice(manifest).unwrap();
        // The loaders of Istio and Envoy Gateway look for it: solo-io/wasm, spec/spec-compat.md.
        assert_eq!(
            manifest["annotations"]["module.wasm.image/variant"],
            "compat"
        );
        assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
        let media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
        let mut layer = Vec::new();
        GzDecoder::new(blob(&files, &manifest["layers"][0], media_type))
            .read_to_end(&mut layer)
            .unwrap();
        assert!(untar(&layer) == BTreeMap::from([("plugin.wasm".to_owned(), wasm.to_vec())]));
        let config = blob(
            &files,
            &manifest["config"],
            "application/vnd.oci.image.config.v1+json",
        );
        let config: Value = serde_json::from_slice(config).unwrap();
        assert_eq!(config["architecture"], *architecture);
        assert_eq!(
            config["rootfs"]["diff_ids"][0],
            format!("sha256:{}", sha256(&layer))
        );
    }
}
