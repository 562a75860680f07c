//! Moving a body from the origin into its tail, which keeps as much of it as its bound and the node's memory allow.

use http_body_util::BodyExt;

use super::tail::{Appended, Tail};
use crate::body::{Body, BoxError};
use crate::events::Unstored;
use crate::origin::ClientFault;
use crate::request::CacheRequest;
use crate::tenant::counters::count;

/// Moves a body into the tail; true if all of it came and all of it is kept.
pub(super) async fn spool(mut content: Body, tail: &Tail, mut on_unkept: impl FnMut(), request: &CacheRequest) -> bool {
    let mut unkept = false;
    while let Some(frame) = content.frame().await {
        let chunk = match frame.map(http_body::Frame::into_data) {
            Ok(Ok(chunk)) => chunk,
            // Trailers may be dropped (RFC 9110 section 6.5.1), and mean that the content has ended.
            Ok(Err(_trailers)) => continue,
            Err(error) => {
                note(&error, request);
                if !unkept {
                    request.unstored(Unstored::BrokenOff);
                }
                tail.broken();
                return false;
            }
        };
        match tail.append(chunk).await {
            Appended::Kept => {}
            Appended::Unkept if unkept => {}
            Appended::Unkept => {
                unkept = true;
                if let Some(why) = tail.why_unkept() {
                    request.withheld(why.into());
                }
                on_unkept();
            }
            Appended::Unread => {
                tail.broken();
                return false;
            }
        }
    }
    if unkept {
        tail.complete();
    }
    !unkept
}

/// Notes that a body did not come to its end.
fn note(error: &BoxError, request: &CacheRequest) {
    let (tenant, target) = (&*request.tenant.name, &request.target);
    if ClientFault::ended(error) {
        tracing::debug!(tenant, target, %error, "the body was let go");
    } else {
        tracing::warn!(tenant, target, %error, "the body broke off");
        count(&request.tenant.counters.bodies_broken);
    }
}
