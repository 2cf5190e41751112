"""A plugin for a core that does not exist yet: none of its code may run."""
