//! The service on real Redis servers that fail; each test has its own servers.

mod acl;
mod answers;
mod bed;
mod clocks;
mod cluster;
mod draws;
mod kit;
mod load;
mod memory;
mod partition;
mod processes;
mod readiness;
mod replicas;
mod restart;
mod scripts;
mod sentinels;
mod smoke;
mod spread;
mod tls;
mod trips;
