//! People and programs that use the API, and their roles.

use deskreel_model::AgentId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::names::PersonName;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May do everything.
    Administrator,
    /// Sees the interactions of agents in their groups, and in groups below those.
    Supervisor,
    /// Sees their own recordings.
    Agent,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Administrator => "administrator",
            Role::Supervisor => "supervisor",
            Role::Agent => "agent",
        }
    }

    pub fn named(name: &str) -> Option<Role> {
        [Role::Administrator, Role::Supervisor, Role::Agent].into_iter().find(|role| role.name() == name)
    }
}

/// A person, or a program that acts as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Person {
    #[schema(value_type = String)]
    pub name: PersonName,
    pub role: Role,
    pub groups: Vec<String>,
    /// The agent whose recordings are this person's own.
    #[schema(value_type = Option<String>)]
    pub agent: Option<AgentId>,
    /// CSRF token of the session; programs have none.
    #[serde(skip)]
    pub csrf: Option<String>,
}
