//! What is sold: products, their prices, coupons, and what a quantity costs.

pub(super) mod amounts;
pub(super) mod coupons;
pub(super) mod prices;
pub(super) mod products;
