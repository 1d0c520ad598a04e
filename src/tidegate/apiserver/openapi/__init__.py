"""OpenAPI documents, made from the schemas of the kinds: what kubectl validates and explains by."""
