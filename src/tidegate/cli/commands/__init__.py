"""What each command does, a module for each; `tidegate.cli.main` has their options and helps."""
