//! Moving a body into its tail: as much of it is kept as may be and as there is room for.

use http_body_util::BodyExt;

use super::tail::{Appended, Tail};
use crate::body::Body;
use crate::origin::ClientFault;
use crate::request::CacheRequest;
use crate::tenant::counters::count;

/// Moves a body into the tail; true where all of it came and all of it is kept.
pub(super) async fn spool(
    mut content: Body,
    tail: &Tail,
    mut on_passing: impl FnMut(),
    request: &CacheRequest,
) -> bool {
    let mut passing = false;
    while let Some(frame) = content.frame().await {
        let chunk = match frame.map(http_body::Frame::into_data) {
            Ok(Ok(chunk)) => chunk,
            // Trailers may be dropped (RFC 9110 section 6.5.1), and mean that the content has ended.
            Ok(Err(_trailers)) => continue,
            Err(error) if ClientFault::ended(&error) => {
                tracing::debug!(tenant = &*request.tenant.name, target = request.target, %error, "the body was let go");
                tail.broken();
                return false;
            }
            Err(error) => {
                tracing::warn!(tenant = &*request.tenant.name, target = request.target, %error, "the body broke off");
                count(&request.tenant.counters.bodies_broken);
                tail.broken();
                return false;
            }
        };
        match tail.append(chunk).await {
            Appended::Kept => {}
            Appended::Passing if passing => {}
            Appended::Passing => {
                passing = true;
                if let Some(why) = tail.passes() {
                    request.tenant.counters.withheld(why.into());
                }
                on_passing();
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
