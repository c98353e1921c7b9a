//! Partitions: the groups of AWS regions with DNS suffixes of their own.

/// A group of AWS regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// The second part of an ARN: `aws`, `aws-cn`.
    pub id: &'static str,
    /// The beginning that the names of its regions have in common; empty for `aws`.
    pub region_prefix: &'static str,
    /// The DNS suffix of endpoints: `amazonaws.com`.
    pub dns_suffix: &'static str,
    /// The DNS suffix of endpoints that have an IPv6 address too: `api.aws`.
    pub dual_stack_dns_suffix: &'static str,
}

/// All partitions; `aws`, to which every other region belongs, is the last.
///
/// Source: `botocore/data/partitions.json` of botocore 1.44.8.
static PARTITIONS: [Partition; 8] = [
    Partition {
        id: "aws-cn",
        region_prefix: "cn-",
        dns_suffix: "amazonaws.com.cn",
        dual_stack_dns_suffix: "api.amazonwebservices.com.cn",
    },
    Partition {
        id: "aws-us-gov",
        region_prefix: "us-gov-",
        dns_suffix: "amazonaws.com",
        dual_stack_dns_suffix: "api.aws",
    },
    Partition {
        id: "aws-eusc",
        region_prefix: "eusc-",
        dns_suffix: "amazonaws.eu",
        dual_stack_dns_suffix: "api.amazonwebservices.eu",
    },
    Partition {
        id: "aws-iso",
        region_prefix: "us-iso-",
        dns_suffix: "c2s.ic.gov",
        dual_stack_dns_suffix: "api.aws.ic.gov",
    },
    Partition {
        id: "aws-iso-b",
        region_prefix: "us-isob-",
        dns_suffix: "sc2s.sgov.gov",
        dual_stack_dns_suffix: "api.aws.scloud",
    },
    Partition {
        id: "aws-iso-e",
        region_prefix: "eu-isoe-",
        dns_suffix: "cloud.adc-e.uk",
        dual_stack_dns_suffix: "api.cloud-aws.adc-e.uk",
    },
    Partition {
        id: "aws-iso-f",
        region_prefix: "us-isof-",
        dns_suffix: "csp.hci.ic.gov",
        dual_stack_dns_suffix: "api.aws.hci.ic.gov",
    },
    AWS,
];

const AWS: Partition = Partition {
    id: "aws",
    region_prefix: "",
    dns_suffix: "amazonaws.com",
    dual_stack_dns_suffix: "api.aws",
};

impl Partition {
    /// Returns the partition of a region. A region of an unknown form belongs to `aws`.
    ///
    /// ```
    /// use lambda_api::Partition;
    /// assert_eq!(Partition::of_region("cn-north-1").dns_suffix, "amazonaws.com.cn");
    /// ```
    #[must_use]
    pub fn of_region(region: &str) -> &'static Self {
        PARTITIONS
            .iter()
            .find(|partition| region.starts_with(partition.region_prefix))
            .unwrap_or(&AWS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_belongs_to_the_partition_of_its_prefix() {
        for (region, id) in [
            ("eu-west-1", "aws"),
            ("us-east-1", "aws"),
            ("mx-central-1", "aws"),
            ("cn-northwest-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("eu-isoe-west-1", "aws-iso-e"),
            ("us-isof-south-1", "aws-iso-f"),
            ("eusc-de-east-1", "aws-eusc"),
            ("", "aws"),
        ] {
            assert_eq!(Partition::of_region(region).id, id, "{region}");
        }
    }
}
