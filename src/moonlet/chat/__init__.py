"""The dialect of Kimi K2.5: tokenizer, chat template, tool declarations, and the parser of what the model writes."""
