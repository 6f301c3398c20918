"""The Completions API: raw prompts."""
