//! The server's doors, tried through the router: one module for each section.

mod access;
mod data;
mod desk;
mod hooks;
mod inbound;
mod links;
mod openapi;
mod people;
mod support;
mod track;
