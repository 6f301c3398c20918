"""K25-nano: a very small model of Kimi K2.5's architecture, its data, its training and its evaluation."""
