//! Dot segments of a path (RFC 3986 section 5.2.4).

/// `path`, which begins with a slash, without its dot segments.
pub(crate) fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let ends_in_dots = path.ends_with("/.") || path.ends_with("/..");
    let tail = if ends_in_dots && !kept.is_empty() { "/" } else { "" };
    format!("/{}{tail}", kept.join("/"))
}
