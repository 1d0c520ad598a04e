"""From a pod that asks for a node to one that is gone: one worker per pod."""
