//! What the server answers to those who administer it.

use log::info;

use super::{Asked, Standing, Wanted, scrape};
use crate::http::{ContentType, Response, Status};
use crate::server::Server;
use crate::server::reload::Reloaded;
use crate::server::tokens::index_of;

impl Server {
    /// Answers what was asked of the server in this turn.
    pub(in crate::server) fn answer_asked(&mut self) {
        let inside = &mut self.engine.connections.service.inside;
        if inside.asked.is_empty() {
            return;
        }
        for asked in std::mem::take(&mut inside.asked) {
            let Asked {
                connection,
                wanted,
                is_head,
            } = asked;
            let response = self.answer(wanted).for_head_request(is_head);
            let connections = &mut self.engine.connections;
            if connections.find(connection).is_some() {
                connections.act(index_of(connection), |connection, service, peer| {
                    connection.answer_late(service, peer, &response);
                });
            }
        }
    }

    fn answer(&mut self, wanted: Wanted) -> Response {
        match wanted {
            Wanted::Metrics => scrape::response(&self.engine.connections),
            Wanted::Config => match &self.reloading {
                Some(reloading) => json(&reloading.effective.to_json()),
                None => json(&serde_json::json!({})),
            },
            Wanted::Reload => match self.reload("POST /reload") {
                Ok(Reloaded {
                    changed,
                    needs_restart,
                }) => json(&serde_json::json!({
                    "changed": changed, "needs_restart": needs_restart
                })),
                Err(why) => {
                    let why = why.join("\n");
                    Response::problem(Status::INTERNAL, "bad_configuration", &why)
                }
            },
            Wanted::Drain => {
                self.drain();
                let connections = &self.engine.connections;
                let service = &connections.service;
                json(&serde_json::json!({
                    "standing": service.inside.standing.to_string(),
                    "connections": connections.len(),
                    "seconds": service.config.drain_ms as f64 / 1000.0,
                }))
            }
        }
    }

    /// Accepts nobody any more, and sends away all clients but those of administration. The daemon goes on until it is told to end.
    fn drain(&mut self) {
        if self.engine.connections.service.inside.standing != Standing::Ready {
            return;
        }
        if self.handover.is_some() {
            self.give_handover_up("the daemon drains");
        }
        let connections = &mut self.engine.connections;
        info!("draining: closing {} connections", connections.len());
        connections.service.inside.standing = Standing::Draining;
        self.accepting.close_public();
        self.engine.drain();
    }
}

fn json(value: &serde_json::Value) -> Response {
    Response::new(
        Status::OK,
        ContentType::Json,
        format!("{value}\n").into_bytes(),
    )
}
