//! The argument for the node of tools that connect to one node.

use clap::Args;

use crate::shared::WrongUsage;

// A doc comment would replace the description of each tool in its help.
#[derive(Args)]
#[group(id = "named_node", required = true, multiple = false)]
pub(crate) struct NamedNode {
    /// The node: HOST:PORT, or HOST for the default port of the network
    #[arg(value_name = "HOST:PORT")]
    node: Option<String>,
    /// The node. Has the same effect as the argument HOST:PORT
    #[arg(long, value_name = "HOST:PORT")]
    peer: Option<String>,
}

impl NamedNode {
    /// Returns the name of the node.
    ///
    /// # Errors
    ///
    /// - [`WrongUsage`] if none is given.
    pub(crate) fn name(&self) -> Result<&str, WrongUsage> {
        let name = self.node.as_deref().or(self.peer.as_deref());
        name.ok_or_else(|| WrongUsage("<HOST:PORT> is required (see --help)".into()))
    }
}
