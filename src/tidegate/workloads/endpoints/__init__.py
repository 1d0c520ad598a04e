"""Where Services lead: slices of the pods they select, and mirrors of what users write."""
