//! Where AWS Lambda is.

use crate::config::Endpoint;

/// DNS suffixes of the partitions whose regions begin so; all others are `amazonaws.com`.
///
/// Source: `partitions.json` of the AWS SDKs.
const SUFFIXES: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
];

/// The endpoint of a region.
pub(crate) fn of_region(region: &str) -> Endpoint {
    let suffix = SUFFIXES.iter().find(|(start, _)| region.starts_with(start));
    let suffix = suffix.map_or("amazonaws.com", |(_, suffix)| suffix);
    Endpoint {
        tls: true,
        authority: format!("lambda.{region}.{suffix}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_s_endpoint_is_in_its_partition() {
        for (region, host) in [
            ("eu-west-1", "lambda.eu-west-1.amazonaws.com"),
            ("us-gov-west-1", "lambda.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "lambda.cn-north-1.amazonaws.com.cn"),
            ("eusc-de-east-1", "lambda.eusc-de-east-1.amazonaws.eu"),
            ("us-isob-east-1", "lambda.us-isob-east-1.sc2s.sgov.gov"),
        ] {
            assert_eq!(of_region(region).authority, host);
        }
    }
}
