//! The endpoints of AWS Lambda.

use lambda_api::Partition;

use crate::config::Endpoint;

/// The variant of a region's endpoint.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Variant {
    /// Selects the endpoint with validated cryptography: `AWS_USE_FIPS_ENDPOINT`.
    pub(crate) fips: bool,
    /// Selects the endpoint with IPv6: `AWS_USE_DUALSTACK_ENDPOINT`.
    pub(crate) dual_stack: bool,
}

/// Returns the endpoint of a region.
///
/// The SDK computes endpoints only within the clients that it generates. Suffixes by partition are all
/// that Lambda needs.
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
    fn an_endpoint_has_the_suffix_of_its_partition() {
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
    fn an_endpoint_has_a_name_for_each_variant() {
        let host = |fips, dual_stack| {
            let variant = Variant { fips, dual_stack };
            of_region("us-east-1", variant).authority
        };
        assert_eq!(host(true, false), "lambda-fips.us-east-1.amazonaws.com");
        assert_eq!(host(false, true), "lambda.us-east-1.api.aws");
        assert_eq!(host(true, true), "lambda-fips.us-east-1.api.aws");
    }
}
