//! The folder of the code of a function, or of the content of a layer.

use std::path::{Path, PathBuf};

use super::node::Node;
use super::omission::Omission;
use super::resource::Resource;
use crate::util::normal_path;

/// Returns the folder that a property names, relative to `base`, that of the template. Without the property it is
/// `base` itself.
///
/// # Errors
/// Returns the reason why there is no such folder on this machine.
pub(super) fn folder(
    base: &Path,
    resource: &Resource,
    (property, code): (&str, Option<&Node>),
) -> Result<PathBuf, Omission> {
    let remote = || Omission::RemoteCode(property.to_owned());
    // `cdk synth` names the folder beside the object in S3 that it will become.
    let metadata = resource.node.get("Metadata");
    let asset = metadata.and_then(|metadata| metadata.get("aws:asset:path"));
    let code = match (asset.map(Node::text), code) {
        (Some(Ok(asset)), Some(code)) => {
            code.discard();
            asset
        }
        (_, Some(code)) => match code.text() {
            Ok(code) => code,
            Err(unknown) if unknown.resource.is_some() => {
                return Err(Omission::needs(&format!("its {property}"), &unknown));
            }
            Err(_) => return Err(remote()),
        },
        // As the SAM CLI takes it.
        (_, None) => ".",
    };
    let directory = base.join(code);
    match normal_path(&directory) {
        Ok(directory) if directory.is_dir() => Ok(directory),
        Ok(file) if file.is_file() => Err(Omission::PackedCode(file)),
        _ if code.starts_with("s3://") => Err(remote()),
        _ => Err(Omission::NoDirectory(directory)),
    }
}
