//! The RockREMOTE.
