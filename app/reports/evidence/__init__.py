"""What is known of some runs: gathered once as plain figures, which JSON, HTML and Markdown all show."""
