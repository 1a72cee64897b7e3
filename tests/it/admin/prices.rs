//! Prices and discounts at run time.

use bursar::grpc::pb;
use tonic::Code;

use super::with_acme;
use crate::harness::{Kind, seen};

fn discount(request: &str, percent: &str) -> pb::SetDiscountRequest {
    pb::SetDiscountRequest {
        request_id: request.to_owned(),
        customer_id: "acme".to_owned(),
        percent: percent.to_owned(),
    }
}

#[test]
fn a_discount_belongs_to_the_customer_and_outlives_its_data() {
    with_acme(Kind::Sqlite, async |mut to| {
        let get = pb::GetCustomerRequest {
            customer_id: "acme".to_owned(),
        };
        let before = to.customers.get_customer(get.clone()).await.unwrap();
        assert_eq!(before.into_inner().customer.unwrap().discount_percent, "0");
        let set = to.catalogs.set_discount(discount("d", "12.50")).await;
        let set = set.unwrap().into_inner().customer.unwrap();
        assert_eq!(set.discount_percent, "12.5");
        assert_eq!(set.display_name, "Acme");
        let got = to.customers.get_customer(get).await.unwrap();
        assert_eq!(got.into_inner().customer.as_ref(), Some(&set));
        let repeat = to.catalogs.set_discount(discount("d", "12.5")).await;
        assert_eq!(repeat.unwrap().into_inner().customer, Some(set));
        let reused = to.catalogs.set_discount(discount("d", "13")).await;
        assert_eq!(&*seen(&reused.unwrap_err()).1, "REQUEST_ID_REUSED");
        for bad in ["", "-1", "100.5", "1.2345", "ten"] {
            let refused = to.catalogs.set_discount(discount("e", bad)).await;
            let (code, reason, field) = seen(&refused.unwrap_err());
            assert_eq!(Code::from_i32(code), Code::InvalidArgument, "{bad}");
            assert_eq!((&*reason, &*field), ("FIELD_INVALID", "percent"), "{bad}");
        }
        let unknown = pb::SetDiscountRequest {
            customer_id: "nobody".to_owned(),
            ..discount("f", "1")
        };
        let unknown = to.catalogs.set_discount(unknown).await.unwrap_err();
        assert_eq!(&*seen(&unknown).1, "CUSTOMER_NOT_FOUND");
        let delete = pb::DeleteCustomerRequest {
            request_id: "g".to_owned(),
            customer_id: "acme".to_owned(),
        };
        to.customers.delete_customer(delete).await.unwrap();
        let late = to.catalogs.set_discount(discount("h", "1")).await;
        assert_eq!(&*seen(&late.unwrap_err()).1, "CUSTOMER_DELETED");
    });
}
