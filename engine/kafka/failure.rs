//! What errors of librdkafka mean for a batch: most pass by themselves.

use rdkafka::error::RDKafkaErrorCode;

use super::raw::Failure;

/// The cluster knows us, and says no.
pub(super) fn is_refusal(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::UnsupportedSASLMechanism
    )
}

/// What a failure means for a batch, from the lightest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    Passing,
    Gone,
    /// This partition cannot be read on, and all others can.
    Broken,
    Fatal,
}

pub(super) fn severity(failure: &Failure) -> Severity {
    match failure.code {
        // It is about the group, which nobody here reads.
        _ if failure.partition.is_none() => Severity::Passing,
        code if is_passing(code) => Severity::Passing,
        _ if is_truncation(failure) => Severity::Fatal,
        RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => Severity::Gone,
        code if is_refusal(code) => Severity::Fatal,
        _ => Severity::Broken,
    }
}

/// The brokers' log ends before what was read of it, and may have grown again: offsets tell nothing.
pub(super) fn is_truncation(failure: &Failure) -> bool {
    failure.code == RDKafkaErrorCode::LogTruncation
        || (failure.code == RDKafkaErrorCode::AutoOffsetReset
            && failure.reason.to_ascii_lowercase().contains("truncation"))
}

/// A batch is larger than the client's own limit. Of what is packed with zstd (codec 4) librdkafka
/// says so in the words of damage; damage in the log it finds by the checksum before it unpacks.
pub(super) fn is_limit(failure: &Failure) -> bool {
    match failure.code {
        RDKafkaErrorCode::MessageSizeTooLarge => true,
        RDKafkaErrorCode::BadCompression => failure.reason.contains("codec 0x4"),
        _ => false,
    }
}

/// The client will mend it by itself, or the next look at the topic says more.
pub(super) fn is_passing(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::BrokerNotAvailable
            | RDKafkaErrorCode::CoordinatorNotAvailable
            | RDKafkaErrorCode::FencedLeaderEpoch
            | RDKafkaErrorCode::KafkaStorageError
            | RDKafkaErrorCode::LeaderNotAvailable
            | RDKafkaErrorCode::NetworkException
            | RDKafkaErrorCode::NotCoordinator
            | RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::OffsetNotAvailable
            | RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::ReplicaNotAvailable
            | RDKafkaErrorCode::RequestTimedOut
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::UnknownLeaderEpoch
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownTopicId
            | RDKafkaErrorCode::UnknownTopicOrPartition
    )
}

/// What a person can do where no broker answers, for a reason that librdkafka gives.
pub(super) fn start_hint(reason: &str) -> &'static str {
    if reason.to_ascii_lowercase().contains("certificate") {
        return "name the file of the CA in `kafka.ssl_ca_location` (LAKE_KAFKA_SSL_CA_LOCATION)";
    }
    "start the broker, or correct `kafka.brokers` (LAKE_KAFKA_BROKERS); if it wants TLS or a password, set `kafka.security_protocol`; on a slow network, a longer `kafka.timeout`"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_the_client_is_told_from_a_damaged_log() {
        let failure = |code, reason: &str| Failure {
            partition: Some(0),
            offset: 3,
            code,
            reason: reason.to_owned(),
        };
        let unpacking = |codec: u32| {
            let reason =
                format!("Decompression (codec 0x{codec:x}) of message at 3 of 99 bytes failed");
            failure(RDKafkaErrorCode::BadCompression, &reason)
        };
        assert!(is_limit(&unpacking(4)));
        assert!(!is_limit(&unpacking(1)));
        assert!(!is_limit(&failure(RDKafkaErrorCode::BadMessage, "CRC32 check failed")));
        assert_eq!(severity(&unpacking(4)), Severity::Broken);
        let refused = failure(RDKafkaErrorCode::TopicAuthorizationFailed, "");
        assert_eq!(severity(&refused), Severity::Fatal);
    }
}
