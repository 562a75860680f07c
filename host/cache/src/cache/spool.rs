//! A body on its way from the origin to those who wait for it: as much of it is kept as may be and as there is room for.

use std::sync::Arc;

use http_body_util::BodyExt;
use sandbar_base::memory_budget::Use;

use super::Cache;
use super::asked::Asked;
use super::collapse::flight::Obligation;
use super::collapse::landing::Landing;
use super::tail::{Appended, Passing, Tail};
use crate::body::Body;
use crate::origin::ClientFault;
use crate::tenant::counters::count;

impl Cache {
    /// Room for a body that arrives. One that finds none is passed through.
    pub(super) fn room_for(&self, asked: &Asked, body_bytes: Option<u64>) -> Arc<Tail> {
        let (body_bytes_max, window_bytes) = (asked.tenant.settings.body_bytes_max, self.inner.limits.window_bytes);
        let budget = &self.inner.budget;
        match budget.reserve(Use::Fills, body_bytes.unwrap_or(0)) {
            Some(reserved) => Tail::new(body_bytes_max, window_bytes, reserved),
            None => Tail::passing(window_bytes, budget.nothing(Use::Windows)),
        }
    }
}

/// Moves a body into the tail; true where all of it came and all of it is kept.
pub(super) async fn spool(mut content: Body, tail: &Tail, obligation: &mut Obligation<Landing>, asked: &Asked) -> bool {
    let mut passing = false;
    while let Some(frame) = content.frame().await {
        let chunk = match frame.map(http_body::Frame::into_data) {
            Ok(Ok(chunk)) => chunk,
            // Trailers may be dropped (RFC 9110 section 6.5.1), and mean that the content has ended.
            Ok(Err(_trailers)) => continue,
            Err(error) if ClientFault::ended(&error) => {
                tracing::debug!(tenant = &*asked.tenant.name, target = asked.target, %error, "the body was let go");
                tail.broken();
                return false;
            }
            Err(error) => {
                tracing::warn!(tenant = &*asked.tenant.name, target = asked.target, %error, "the body broke off");
                count(&asked.tenant.counters.bodies_broken);
                tail.broken();
                return false;
            }
        };
        match tail.append(chunk).await {
            Appended::Kept => {}
            Appended::Passing if passing => {}
            Appended::Passing => {
                passing = true;
                count(match tail.passes() {
                    Some(Passing::NoRoom) => &asked.tenant.counters.no_room,
                    _ => &asked.tenant.counters.too_large,
                });
                obligation.close();
            }
            Appended::Unread => {
                tail.broken();
                return false;
            }
        }
    }
    if passing {
        tail.complete();
    }
    !passing
}
