//! The resources of a configuration, for one file or for a file each.

/// The resources of a configuration, as they stand below their names.
pub(super) struct Parts {
    pub(super) listener: String,
    pub(super) route_config: String,
    pub(super) cluster: String,
    /// The clusters of the servers that Envoy itself calls, each with its name.
    pub(super) remote_clusters: Vec<(String, String)>,
}

impl Parts {
    /// Returns the clusters of these servers as they stand in one file with all resources.
    pub(super) fn remote_clusters_of_file(&self) -> String {
        let clusters = self.remote_clusters.iter();
        let cluster = |(name, text): &(String, String)| format!("  - name: {name}\n{text}");
        clusters.map(cluster).collect()
    }

    /// Returns the file with all clusters.
    pub(super) fn clusters(&self) -> String {
        let clusters = self.remote_clusters.iter();
        let clusters = clusters.map(|(name, text)| (name.as_str(), text.as_str()));
        let clusters = std::iter::once(("invoker", self.cluster.as_str())).chain(clusters);
        resources("cluster.v3.Cluster", "  ", clusters)
    }
}

/// Returns a file with one resource, whose text has two spaces more than `indent`.
pub(super) fn resource(kind: &str, indent: &str, name: &str, text: &str) -> String {
    resources(kind, indent, std::iter::once((name, text)))
}

/// Returns a file with resources, each with its name and its text.
fn resources<'r>(
    kind: &str,
    indent: &str,
    resources: impl Iterator<Item = (&'r str, &'r str)>,
) -> String {
    let resource = |(name, text): (&str, &str)| {
        format!(
            "{indent}- \"@type\": type.googleapis.com/envoy.config.{kind}\n{indent}  name: {name}\n{text}\n"
        )
    };
    let resources: String = resources.map(resource).collect();
    format!("resources:\n{resources}")
}
