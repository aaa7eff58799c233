//! RFM tables under the microscope.
