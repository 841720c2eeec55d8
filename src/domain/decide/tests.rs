//! The state machine as stories, and as a property over random command sequences.

mod budget;
mod codes;
mod deliveries;
mod events;
mod fixtures;
mod golden;
mod links;
mod model;
mod outgoing;
mod places;
mod plan;
mod property;
mod receipts;
mod record;
mod rotation;
mod strictness;
mod waits;
mod world;
