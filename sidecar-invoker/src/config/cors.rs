//! The rules by which web pages of other origins may call a function (CORS).

/// The rules of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cors {
    /// Preflight requests are answered, and responses are completed, as an HTTP API and a function URL do.
    Policy(CorsPolicy),
    /// Requests with OPTIONS get one response, and the function sets the headers of all others, as with a
    /// REST API.
    Preflight(Preflight),
}

/// The rules of an HTTP API or of a function URL. Empty lists have no header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CorsPolicy {
    /// The origins: `https://example.com`, `https://*` or `*`.
    pub origins: Vec<String>,
    /// `access-control-allow-methods`.
    pub methods: Vec<String>,
    /// `access-control-allow-headers`.
    pub headers: Vec<String>,
    /// `access-control-expose-headers`.
    pub exposed_headers: Vec<String>,
    /// `access-control-max-age`, in seconds.
    pub max_age: Option<u32>,
    /// `access-control-allow-credentials`.
    pub allows_credentials: bool,
}

/// The response of a REST API to OPTIONS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preflight {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// Adds `access-control-allow-methods` with the methods of the path.
    pub lists_methods: bool,
}
