//! Requests of those who look into the daemon and look after it.

use super::http::{Instead, Next};
use super::{Connection, Peer};
use crate::auth::forwarded::Client;
use crate::http::{Request, Response, check_method};
use crate::server::admin::Resource;
use crate::server::service::Service;

impl Connection {
    /// The response to a request for such a resource.
    ///
    /// # Errors
    /// What happens instead: the server answers at the end of the turn.
    pub(super) fn look_inside(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        client: &Client,
        request: &Request<'_>,
        resource: Resource,
    ) -> Result<Response, Instead> {
        let method = request.head.method;
        let is_head = method == "HEAD";
        let is_admin = service.gate.is_admin(self.access.door);
        if !is_admin {
            // A balancer asks by whatever name it knows.
            let checked = self
                .count_connection(service, peer, request)
                .and_then(|()| check_method(resource.allows(), method, request.path()));
            let response = match checked {
                Ok(()) => service.inside.readiness(),
                Err(response) => response,
            };
            return Ok(response.for_head_request(is_head));
        }
        let takes_page = self.takes_origin(service, client, request);
        self.note_reader(request, takes_page);
        let checked = self
            .count_connection(service, peer, request)
            .and_then(|()| self.check_site(service, client, request, takes_page))
            .and_then(|()| check_method(resource.allows(), method, request.path()));
        if let Err(response) = checked {
            return Ok(response.for_head_request(is_head));
        }
        // By this listener come only administrators.
        if let Err(unidentified) = self.identify(service, peer, request) {
            let response = unidentified.response(service);
            return response.ok_or(Instead::Next(Next::Wait));
        }
        match resource {
            Resource::Ready => Ok(service.inside.readiness().for_head_request(is_head)),
            Resource::Of(wanted) => {
                service.inside.ask(self.token, wanted, is_head);
                Err(Instead::Answer)
            }
        }
    }
}
