"""What a person touches: the command line, the suggestion service, the web page."""
