"""A process of ours that stays, the platform's or a further gateway's: its start, run and end."""
