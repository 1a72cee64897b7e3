//! The customers of a replay: they are there before the first event names them.

use tonic::Status;
use tonic::transport::Channel;

use super::in_flight::InFlight;
use super::script::customer_id;
use crate::cli::connect::{reason, timed};
use crate::cli::failure::Failure;
use crate::grpc::pb::customer_service_client::CustomerServiceClient;
use crate::grpc::pb::{CreateCustomerRequest, Customer};

/// Creates the customers with these numbers; those that exist stay as they are.
///
/// # Errors
/// At the first that cannot be created.
pub async fn create_customers(channel: Channel, numbers: &[u32]) -> Result<(), Failure> {
    let client = CustomerServiceClient::new(channel);
    let mut calls = InFlight::new("create a customer");
    for number in numbers {
        calls
            .start(create_customer(client.clone(), *number))
            .await?;
    }
    while calls.next().await?.is_some() {}
    Ok(())
}

async fn create_customer(
    mut client: CustomerServiceClient<Channel>,
    number: u32,
) -> Result<(), Status> {
    let request = CreateCustomerRequest {
        request_id: format!("replay-create-{number}"),
        customer: Some(Customer {
            customer_id: customer_id(number),
            display_name: format!("Replay customer {number}"),
            ..Customer::default()
        }),
    };
    match client.create_customer(timed(request)).await {
        Ok(_) => Ok(()),
        // Somebody gave it another name, which is as good.
        Err(status) if reason(&status).as_deref() == Some("RESOURCE_EXISTS") => Ok(()),
        Err(status) => Err(status),
    }
}
