"""What is measured, kept for the dashboards and exposed to Prometheus.

Reads access records and loads as they come from a gateway, and Deployments from the API; knows
neither which gateway it is nor what shows the numbers.
"""
