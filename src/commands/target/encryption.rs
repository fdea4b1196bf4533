//! What `sub` and `pub` are told of certificates.

use std::path::PathBuf;

use clap::Args;
use fanfare::client::{Connector, Url};

use crate::streams::say;

/// Which certificates are accepted and shown.
#[derive(Args, Debug)]
pub(super) struct Encryption {
    /// Trust the authorities whose certificates are in this PEM file, in place of the system's; a server's own certificate in it is trusted, too
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Option<PathBuf>,

    /// Accept any certificate: for tests only, since whoever is in between can then read and change everything
    #[arg(long)]
    insecure: bool,

    /// Show the certificate in this PEM file to a server that asks for one
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,

    /// The private key of --cert, in PEM, without a password [default: it is in the file of --cert]
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

impl Encryption {
    /// Adds it to `connector`, which connects to `url`.
    ///
    /// # Errors
    /// A sentence, where the URL has no use for it: the connection would not be as safe as it looks.
    pub(super) fn add(&self, connector: Connector, url: &Url) -> Result<Connector, String> {
        let given = [
            (self.ca.is_some(), "--ca"),
            (self.insecure, "--insecure"),
            (self.cert.is_some(), "--cert"),
        ];
        if !url.is_encrypted()
            && let Some((_, option)) = given.into_iter().find(|(is_given, _)| *is_given)
        {
            return Err(format!(
                "{option} is for encrypted connections, and {} is none: give a URL that begins with wss://",
                url.without_token()
            ));
        }
        let mut connector = connector;
        if let Some(file) = &self.ca {
            connector = connector.ca_file(file);
        }
        if let Some(certificate) = &self.cert {
            let key = self.key.as_ref().unwrap_or(certificate);
            connector = connector.client_certificate(certificate, key);
        }
        if self.insecure {
            say(
                &"--insecure: the server's certificate is not checked, and whoever is in between can read and change everything",
            );
            connector = connector.insecure();
        }
        Ok(connector)
    }
}
