//! One fetch.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::Uri;
use ureq::http::uri::Scheme;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, config::Config};

use crate::auth::token::load::MAX_SET_BYTES;

/// How long a fetch may take, from the look-up of the name to the last byte.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Says whether keys may be fetched at this URL: over HTTPS, or over plain HTTP from this machine. A stranger who
/// could change the answer on its way could make tokens.
///
/// # Errors
/// What is wrong with it, and what is allowed.
pub fn check_url(url: &str) -> Result<(), String> {
    is_encrypted(url).map(|_| ())
}

/// Whether it is over HTTPS.
fn is_encrypted(url: &str) -> Result<bool, String> {
    let uri: Result<Uri, _> = url.parse();
    let (Ok(uri), false) = (&uri, url.contains('#')) else {
        return Err("this is no URL: give one such as https://id.example.com/jwks.json".into());
    };
    let (Some(scheme), Some(host)) = (uri.scheme(), uri.host()) else {
        return Err(
            "the URL needs a scheme and a host, such as https://id.example.com/jwks.json".into(),
        );
    };
    if uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
    {
        return Err(
            "the URL has a user's name or password: keys are public, so none is needed".into(),
        );
    }
    if *scheme == Scheme::HTTPS {
        return Ok(true);
    }
    if *scheme == Scheme::HTTP && is_this_machine(host) {
        return Ok(false);
    }
    Err("keys are fetched over https:, or over http: from this machine, since who changes them on the way makes tokens".into())
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    host.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Gets what is at the URL.
pub(super) fn fetch(url: &str) -> Result<Vec<u8>, String> {
    let agent: Agent = config(is_encrypted(url)?)?.new_agent();
    let request = agent.get(url);
    let request = request.header("Accept", "application/jwk-set+json, application/json");
    let mut response = request.call().map_err(|error| error.to_string())?;
    let body = response
        .body_mut()
        .with_config()
        .limit(MAX_SET_BYTES as u64);
    body.read_to_vec().map_err(|error| error.to_string())
}

fn config(is_encrypted: bool) -> Result<Config, String> {
    let builder = Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .max_idle_connections(0)
        .user_agent(concat!("fanfare/", env!("CARGO_PKG_VERSION")));
    if !is_encrypted {
        // Neither a proxy nor another address is this machine.
        return Ok(builder.proxy(None).max_redirects(0).build());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(roots()?)
        .build();
    Ok(builder
        .https_only(true)
        .max_redirects(3)
        .tls_config(tls)
        .build())
}

/// The certificates that this system trusts, as they are now.
fn roots() -> Result<RootCerts, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        return Err("this system has no root certificates: install ca-certificates, or name them in SSL_CERT_FILE".into());
    }
    let roots = found
        .certs
        .iter()
        .map(|der| Certificate::from_der(der).to_owned());
    Ok(RootCerts::from(roots))
}
