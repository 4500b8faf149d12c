//! The cost of an input: memory and work stay below a small multiple of its length, whichever field is filled.
//!
//! A test binary of its own, since it counts every allocation of the process.

#![expect(clippy::print_stdout, reason = "the figures are shown on request")]

use std::time::{Duration, Instant};

use attacks::expansion::{PLACES, fills};
use guard::fields::Fields;
use guard::request::{AutomationRequest, Check};
use url::Url;

/// At most so many bytes are in use at a time, and allocated altogether, for each byte of the input.
const IN_USE: u64 = 12;
const ALTOGETHER: u64 = 48;
/// The allowance of small inputs: error texts, and the longest URL in all its readings.
const BASE: u64 = 3 << 20;

#[test]
fn no_field_costs_more_than_a_small_multiple_of_the_input() {
    let origin = Url::parse("https://api.hubapi.com").unwrap();
    // `COSTS_BYTES=1000000` with `--release -- --nocapture` shows what the largest body costs at most.
    let sizes = std::env::var_os("COSTS_BYTES")
        .map_or_else(|| vec![14_000, 150_000], |size| vec![size.to_str().unwrap().parse().unwrap()]);
    let mut worst = (Duration::ZERO, 0, String::new());
    for size in sizes {
        for (kind, fill) in fills(size) {
            for place in PLACES {
                let body = place.replace("FILL", &fill);
                let check = body.replacen(r#""account_id":"a","#, "", 1);
                let routes: [(&str, &dyn Fn()); 4] = [
                    ("execution", &|| drop(AutomationRequest::parse(&body, &origin))),
                    ("identity", &|| drop(AutomationRequest::parse(&body, &origin).map(|request| request.identity()))),
                    ("check", &|| drop(Check::parse(&check, &origin))),
                    ("authorization", &|| drop(Fields::parse("body", &body))),
                ];
                for (route, parse) in routes {
                    let began = Instant::now();
                    let used = allocation_counter::measure(parse);
                    let taken = began.elapsed();

                    let length = body.len() as u64;
                    let case = format!("{route}, {kind}, {size} bytes in {place}: {used:?}");
                    assert!(used.bytes_max <= BASE + IN_USE * length, "{case}");
                    assert!(used.bytes_total <= BASE + ALTOGETHER * length, "{case}");
                    // Unoptimised, beside other tests: only work that grows faster than the input takes so long.
                    assert!(taken < Duration::from_secs(4), "{case}: {taken:?}");
                    if taken > worst.0 {
                        worst = (taken, worst.1, format!("{route}, {kind}, {place:.120}"));
                    }
                    worst.1 = worst.1.max(used.bytes_max);
                }
            }
        }
    }
    let (longest, most, case) = worst;
    println!("at most {longest:?} ({case}) and {most} bytes in use");
}

#[test]
fn a_name_is_not_repeated_for_every_value_before_it_is_measured() {
    let origin = Url::parse("https://api.hubapi.com").unwrap();
    let body = format!(
        r#"{{"request":{{"method":"GET","endpoint":"/crm","query":{{"{}":[{}1]}}}}}}"#,
        "n".repeat(10_000),
        "1,".repeat(1_999)
    );

    let used = allocation_counter::measure(|| {
        let refusal = Check::parse(&body, &origin).unwrap_err();
        assert!(refusal.to_string().starts_with("request too large: request.endpoint: "), "{refusal}");
    });

    assert!(used.bytes_max < 200_000, "{used:?}");
}
