//! The driver of the 9704: against recorded dialogues, and against a small
//! modem of the dossier's facts that misbehaves as the field says (`fake`).

mod captures;
mod driver;
mod fake;
