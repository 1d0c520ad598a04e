"""The web console: one place where all services, their pods, their numbers and their cost stand.

It reads the API through informers and the numbers from observability, and changes nothing.
"""
