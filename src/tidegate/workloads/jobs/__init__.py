"""Jobs: what one does next is a pure function (`policy`); the controller carries it out."""
