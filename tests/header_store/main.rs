//! The header store and its file: damage, crashes, reorganizations, other networks.

mod chains;
mod crashes;
mod damage;
mod files;
mod full_disk;
mod killed;
mod networks;
mod updates;
