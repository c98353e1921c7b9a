//! Where AWS Lambda is.

use lambda_api::Partition;

use crate::config::Endpoint;

/// Which of a region's endpoints.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Variant {
    /// The one whose cryptography is validated: `AWS_USE_FIPS_ENDPOINT`.
    pub(crate) fips: bool,
    /// The one with IPv6: `AWS_USE_DUALSTACK_ENDPOINT`.
    pub(crate) dual_stack: bool,
}

/// The endpoint of a region.
pub(crate) fn of_region(region: &str, variant: Variant) -> Endpoint {
    let partition = Partition::of_region(region);
    let suffix = match variant.dual_stack {
        true => partition.dual_stack_dns_suffix,
        false => partition.dns_suffix,
    };
    let fips = if variant.fips { "-fips" } else { "" };
    Endpoint {
        tls: true,
        authority: format!("lambda{fips}.{region}.{suffix}"),
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
            assert_eq!(of_region(region, Variant::default()).authority, host);
        }
    }

    #[test]
    fn endpoints_have_variants() {
        let host = |fips, dual_stack| {
            let variant = Variant { fips, dual_stack };
            of_region("us-east-1", variant).authority
        };
        assert_eq!(host(true, false), "lambda-fips.us-east-1.amazonaws.com");
        assert_eq!(host(false, true), "lambda.us-east-1.api.aws");
        assert_eq!(host(true, true), "lambda-fips.us-east-1.api.aws");
    }
}
