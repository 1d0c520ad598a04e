"""The shapes of our kinds as pydantic models: field names, types and descriptions.

They check structure and give the OpenAPI schema. Objects themselves stay plain dictionaries.
"""
