//! Replicas agree on the time, so none of them moves it.

use std::time::Duration;

use bursar::grpc::pb;
use pb::sandbox_service_client::SandboxServiceClient;

use super::fleet::{Fleet, cluster, run};
use crate::harness::seen;

#[test]
fn no_replica_moves_the_time_that_others_go_by() {
    run(Duration::from_mins(1), async {
        let fleet = Fleet::start(cluster(), 1).await;
        let mut sandbox = SandboxServiceClient::new(fleet.channel(0).await);
        let request = pb::AdvanceTestClockRequest {
            advance: Some(prost_types::Duration {
                seconds: 3_600,
                nanos: 0,
            }),
        };
        let refused = sandbox.advance_test_clock(request).await.unwrap_err();
        assert_eq!(seen(&refused).1, "SANDBOX_ONLY");
        assert!(refused.message().contains("to itself"), "{refused}");
    });
}
