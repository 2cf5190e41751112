"""A plugin that breaks wherever a plugin can, beside one entry that is sound."""
