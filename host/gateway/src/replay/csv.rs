//! Traces as csv: `time,key,size[,cost]`.

use sandbar_http::key::KeyHash;

use super::trace::Trace;

/// Reads a line. The first one may be a header.
pub(super) fn line(text: &str, is_first: bool, trace: &mut Trace) -> Result<(), String> {
    let mut fields = text.split(',').map(str::trim);
    let mut next = |name: &str| fields.next().filter(|field| !field.is_empty()).ok_or(format!("it has no {name}"));
    let (time, key, size) = (next("time")?, next("key")?, next("size")?);
    if is_first && time.parse::<f64>().is_err() {
        return Ok(());
    }
    let cost = fields.next().filter(|field| !field.is_empty()).map_or(Ok(0), |cost| number("cost", cost))?;
    if fields.next().is_some() {
        return Err("it has more fields than time, key, size and cost".to_owned());
    }
    trace.push(number("time", time)?, KeyHash::of(key), number("size", size)?, cost)
}

/// Keys may be any text; numbers are whole ones.
fn number(name: &str, text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("its {name} `{text}` is no whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Result<Trace, String> {
        let mut trace = Trace::default();
        lines.iter().enumerate().try_for_each(|(index, text)| line(text, index == 0, &mut trace)).map(|()| trace)
    }

    #[test]
    fn a_header_and_a_cost_may_be_there() {
        let trace = read(&["time,key,size,cost", "1,/a,5,900", "2,/a,5"]).unwrap();
        assert_eq!(trace.requests().iter().map(|request| request.cost_us).collect::<Vec<_>>(), [900, 0]);
        assert_eq!(read(&["1,/a,5"]).unwrap().requests().len(), 1);
    }

    #[test]
    fn a_line_costs_what_it_is_long() {
        for (before, repeated) in [("", ","), ("1,", "a"), ("1,a,", "9"), ("", " "), ("1,a,2,", " ,")] {
            let text = |length: usize| before.to_owned() + &repeated.repeat(length / repeated.len());
            crate::proportion::check(repeated, 4096, text, |text| drop(line(text, false, &mut Trace::default())));
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for text in ["1,2", "1,2,-3", "1,,3", "x,2,3", "1,2,3,4,5", "1,2,3,x"] {
            assert!(read(&["0,1,1", text]).is_err(), "{text}");
        }
    }
}
