//! A client behind a load balancer: it asks one node after the other in turn, and where a node gives no answer, the
//! next one. A real load balancer does so for requests that may be repeated.

use std::net::SocketAddr;

use anyhow::Context;

use crate::client::{Answer, Client};

/// Clients of all nodes, asked in turn.
#[derive(Debug)]
pub struct Balancer {
    clients: Vec<Client>,
    turn: usize,
}

impl Balancer {
    /// A balancer over these nodes, whose requests name `host`; the first request goes to node `first` (modulo their
    /// number).
    pub fn new(nodes: &[SocketAddr], host: &str, first: usize) -> Self {
        let clients: Vec<Client> = nodes.iter().map(|node| Client::new(*node, host)).collect();
        Self { turn: first % clients.len().max(1), clients }
    }

    /// Asks for a target.
    ///
    /// # Errors
    /// When no node gives an answer.
    pub async fn get(&mut self, target: &str) -> anyhow::Result<Answer> {
        let mut last = None;
        for _ in 0..self.clients.len() {
            let turn = self.turn;
            self.turn = (turn + 1) % self.clients.len();
            match self.clients[turn].get(target).await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    self.clients[turn].hang_up();
                    last = Some(error);
                }
            }
        }
        Err(last.context("there are no nodes")?)
    }
}
