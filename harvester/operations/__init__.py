"""What the commands do: puts the rooms together for a run, or for work on finished files; knows no command line."""
