"""Everything that is HAProxy's own: its program, configuration, process and admin socket."""
