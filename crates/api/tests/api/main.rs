//! The server's doors, tried through the router: one module for each section.

mod access;
mod data;
mod openapi;
mod people;
mod support;
