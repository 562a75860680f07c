//! The harness of the tests that need more than one module: an origin that does what a test says ([`origin`],
//! [`versions`]), clients ([`client`], [`balancer`], [`crowd`]), a gateway in this process ([`gateway`]) and nodes in
//! processes of their own ([`nodes`]), a Redis ([`redis_server`], [`redis_cluster`], [`redis_sentinel`],
//! [`redis_tls`]), a memcached ([`memcached_server`]), a PostgreSQL ([`postgres_server`]), TLS as clients speak it ([`tls`]), connections that switch to another
//! protocol ([`web_socket`]), a service manager ([`service_manager`]), what is stored in tiers ([`entries`]) and purged ([`scope`]), a network that fails
//! ([`fault_proxy`]), traffic, recorded ([`traces`], [`truth`]) and made by code ([`workloads`]), means over seeds
//! ([`draws`]), histories of what clients saw, with a checker ([`history`]), and visitors whose answers may differ,
//! with a check of each answer ([`visitors`]).

pub mod balancer;
pub mod client;
pub mod crowd;
pub mod draws;
pub mod entries;
pub mod fault_proxy;
pub mod gateway;
pub mod guests;
pub mod history;
pub mod memcached_server;
pub mod node;
pub mod nodes;
pub mod origin;
pub mod ports;
pub mod postgres_server;
pub mod process;
pub mod redis_cluster;
pub mod redis_sentinel;
pub mod redis_server;
pub mod redis_tls;
pub mod scope;
pub mod service_manager;
pub mod tls;
pub mod traces;
pub mod truth;
pub mod versions;
pub mod visitors;
pub mod wait;
pub mod web_socket;
pub mod workloads;
