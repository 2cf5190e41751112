"""The laws, one module for each topic. A law is a function with its statement as docstring."""
