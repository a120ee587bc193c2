"""The suggestion service and the demo that it is shown with; knows no web and no command line."""
