//! The layers of a function, as far as they are resources of its template or of one around or inside it.
//!
//! Source: `AWS::Serverless::LayerVersion` in the AWS SAM developer guide, `AWS::Lambda::LayerVersion`
//! in the AWS CloudFormation user guide.

use std::path::PathBuf;

use super::code;
use super::node::{Kind, Node};
use super::omission::Omission;
use super::resource::{Resource, Resources};
use super::stack::{Stack, Stacks};
use super::template::Template;
use crate::config::model::MAX_LAYERS;
use lambda_api::FunctionName;

/// Returns the folders of a function's layers, in their order.
pub(super) fn of(
    template: &mut Template<'_>,
    (stacks, stack): (&Stacks, &Stack),
    function: &Resource,
    name: &FunctionName,
) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let Some(layers) = function.properties.get("Layers") else {
        return folders;
    };
    if !matches!(layers.kind, Kind::List(_)) {
        let message = format!("{name}: Layers is no list that is known here; it has no effect");
        template.warn_unless_set((name, "layers"), layers.line, message);
    }
    for (index, layer) in layers.items().iter().enumerate() {
        let folder = match index < MAX_LAYERS {
            true => folder(stacks, stack, layer),
            false => Err(Omission::LayerLimit),
        };
        match folder {
            Ok(folder) => folders.push(folder),
            Err(reason) => {
                let message = format!(
                    "{name}: a layer is left out, because {reason}; give all folders in functions.{name}.local.layers"
                );
                template.warn_unless_set((name, "layers"), layer.line, message);
            }
        }
    }
    folders
}

fn folder(stacks: &Stacks, stack: &Stack, layer: &Node) -> Result<PathBuf, Omission> {
    let found = stack.scope.resource(layer);
    let found = found.and_then(|path| stacks.get(&path));
    let Some((stack, found)) = found.filter(|(_, found)| found.is_layer()) else {
        return Err(Omission::NoLayer);
    };
    let property = match found.properties.entry("ContentUri") {
        Some(_) => "ContentUri",
        None => "Content",
    };
    code::folder(
        &stack.source.directory,
        found,
        (property, found.properties.get(property)),
    )
}

/// Takes the keys of the layers: they describe a deployment.
pub(super) fn take(resources: &Resources) {
    for layer in resources.all.iter().filter(|resource| resource.is_layer()) {
        layer.node.discard();
        layer.properties.discard();
    }
}
