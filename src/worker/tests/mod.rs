//! Workers in this process, with clients on socket pairs: faults that no client of the real binary can
//! cause, and what must survive them.

mod bounds;
mod churn;
mod closing;
mod faults;
mod mail;
mod rig;
