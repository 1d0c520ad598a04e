"""What Knative's admission refuses, in its words; pure functions on plain objects.

Source: Knative Serving's `*_validation.go`. All of them run on objects whose shape has been
checked and whose defaults have been set.
"""
