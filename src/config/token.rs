//! Which tokens are taken.

use std::path::PathBuf;

/// Where the keys of tokens are, and what a token must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenConfig {
    /// The file of a secret for HMAC.
    pub secret_file: Option<PathBuf>,
    /// The files of public keys, in PEM.
    pub keys: Vec<PathBuf>,
    /// The file of a JSON Web Key Set.
    pub jwks: Option<PathBuf>,
    /// Where a JSON Web Key Set is fetched: `https:`, or `http:` on this machine.
    pub jwks_url: Option<String>,
    /// What `iss` must be, or `None`: anything, or nothing.
    pub issuer: Option<String>,
    /// What `aud` must name, or `None`: there must be no `aud`.
    pub audience: Option<String>,
    /// Whether a token must have an end.
    pub needs_expiry: bool,
}

impl Default for TokenConfig {
    fn default() -> Self {
        Self {
            secret_file: None,
            keys: Vec::new(),
            jwks: None,
            jwks_url: None,
            issuer: None,
            audience: None,
            needs_expiry: true,
        }
    }
}

impl TokenConfig {
    /// The files of its keys.
    pub fn files(&self) -> Vec<PathBuf> {
        let files = self.secret_file.iter().chain(&self.keys);
        files.chain(&self.jwks).cloned().collect()
    }

    /// Whether there are keys, or will be: else no token is good.
    pub fn has_keys(&self) -> bool {
        self.secret_file.is_some()
            || !self.keys.is_empty()
            || self.jwks.is_some()
            || self.jwks_url.is_some()
    }
}
