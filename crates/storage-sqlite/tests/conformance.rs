//! SQLite keeps the contract.

testkit::conformance!(testkit::store());
