//! two_actors
