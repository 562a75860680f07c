//! The two texts in which metrics are told, and which of them a client wants.
//!
//! Both are of the same samples. OpenMetrics 1.0 is what the encoder writes; the older text of Prometheus (0.0.4) is
//! made of that: it has no units and no end, and its counters are named as their samples are.

use http::HeaderMap;
use http::header::ACCEPT;

/// A form of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The text of Prometheus, version 0.0.4: for whoever does not say.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Form {
    /// The form that `Accept` prefers (RFC 9110 section 12.5.1); where both are as welcome, OpenMetrics if it is named.
    pub(crate) fn wanted(fields: &HeaderMap) -> Self {
        let (mut open, mut plain) = (0, 0);
        let values = fields.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        for range in values.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
            let named = |name: &str| parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            let weight = named("q").map_or(1000, |(_, q)| thousandths(q));
            let version = named("version").map_or("", |(_, version)| version.trim_matches('"'));
            match media.as_str() {
                "application/openmetrics-text" if matches!(version, "" | "1.0.0") => open = open.max(weight),
                "text/plain" if matches!(version, "" | "0.0.4") => plain = plain.max(weight),
                _ => {}
            }
        }
        if open > 0 && open >= plain { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The media type of the form.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The form of what is told in OpenMetrics.
    pub(super) fn of(self, open_metrics: String) -> String {
        match self {
            Self::Prometheus => prometheus(&open_metrics),
            Self::OpenMetrics => open_metrics,
        }
    }
}

/// A weight such as `0.75` in thousandths; what is none counts as nothing.
fn thousandths(text: &str) -> u32 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_weight = matches!(whole, "0" | "1") && fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    let weight = format!("{whole}{fraction:0<3}").parse().unwrap_or(0);
    if is_weight { u32::min(weight, 1000) } else { 0 }
}

/// OpenMetrics as the encoder writes it, in the older text.
fn prometheus(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        let words = || line.splitn(4, ' ').skip(2);
        match line.split(' ').nth(1).filter(|_| line.starts_with("# ")) {
            None => push(&mut out, &[line]),
            Some("HELP") => help = words().nth(1),
            Some("TYPE") => {
                let (name, kind) = (words().next().unwrap_or_default(), words().nth(1).unwrap_or_default());
                let suffix = if kind == "counter" { "_total" } else { "" };
                if let Some(help) = help.take() {
                    push(&mut out, &["# HELP ", name, suffix, " ", help]);
                }
                push(&mut out, &["# TYPE ", name, suffix, " ", kind]);
            }
            Some(_) => {}
        }
    }
    out
}

fn push(out: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| out.push_str(part));
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_follows_accept() {
        let wanted = |accept: &[&'static str]| {
            let mut fields = HeaderMap::new();
            for value in accept {
                fields.append(ACCEPT, http::HeaderValue::from_static(value));
            }
            Form::wanted(&fields)
        };
        let scrape = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                      application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for accept in [
            &[scrape][..],
            &["application/openmetrics-text"],
            &["text/plain;q=0.4", "Application/OpenMetrics-Text; Q=0.5"],
        ] {
            assert_eq!(wanted(accept), Form::OpenMetrics, "{accept:?}");
        }
        for accept in [
            &[][..],
            &["*/*"],
            &["text/html, */*"],
            &["text/plain"],
            &["application/openmetrics-text;version=1.0.0;q=0.2,text/plain;version=0.0.4;q=0.9"],
            &["application/openmetrics-text;q=0"],
            &["application/openmetrics-text;q=2"],
            &["application/openmetrics-text;q=0.1234"],
            &["application/openmetrics-text;version=2.0.0"],
            &[";;;,,,=,q=1"],
        ] {
            assert_eq!(wanted(accept), Form::Prometheus, "{accept:?}");
        }
    }

    #[test]
    fn the_older_text_names_counters_as_their_samples() {
        let open = "# HELP a_b Some thing\n# TYPE a_b counter\na_b_total{x=\"# HELP\"} 1\n\
                    # HELP c_bytes Else\n# TYPE c_bytes gauge\n# UNIT c_bytes bytes\nc_bytes 2.0\n# EOF\n";
        let older = "# HELP a_b_total Some thing\n# TYPE a_b_total counter\na_b_total{x=\"# HELP\"} 1\n\
                     # HELP c_bytes Else\n# TYPE c_bytes gauge\nc_bytes 2.0\n";
        assert_eq!(prometheus(open), older);
    }
}
