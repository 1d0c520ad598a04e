"""Schemas of what is asked and answered without being stored."""

from __future__ import annotations

AUTHENTICATION = """
TokenReview:
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  spec! TokenReviewSpec # What is wanted.
  status TokenReviewStatus # What is.

TokenRequest:
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  spec TokenRequestSpec # What is wanted.
  status TokenRequestStatus # What is.

SelfSubjectReview:
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  status SelfSubjectReviewStatus # What is.

TokenReviewSpec:
  audiences []string
  token! string

TokenReviewStatus:
  audiences []string
  authenticated bool
  error string
  user UserInfo

TokenRequestSpec:
  attestations {}[]string
  audiences []string
  boundObjectRef BoundObjectReference
  expirationSeconds int64

TokenRequestStatus:
  expirationTimestamp time
  token string

SelfSubjectReviewStatus:
  userInfo UserInfo

UserInfo:
  extra {}[]string
  groups []string
  uid string
  username string

BoundObjectReference:
  apiVersion string
  kind string
  name string
  uid string
"""

AUTHORIZATION = """
SubjectAccessReview:
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  spec! SubjectAccessReviewSpec # What is wanted.
  status SubjectAccessReviewStatus # What is.

SelfSubjectAccessReview:
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  spec! SelfSubjectAccessReviewSpec # What is wanted.
  status SubjectAccessReviewStatus # What is.

LocalSubjectAccessReview:
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  spec! SubjectAccessReviewSpec # What is wanted.
  status SubjectAccessReviewStatus # What is.

SelfSubjectRulesReview:
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  spec! SelfSubjectRulesReviewSpec # What is wanted.
  status SubjectRulesReviewStatus # What is.

SubjectAccessReviewSpec:
  extra {}[]string
  groups []string
  nonResourceAttributes NonResourceAttributes
  resourceAttributes ResourceAttributes
  uid string
  user string

SubjectAccessReviewStatus:
  allowed! bool
  denied bool
  evaluationError string
  reason string # For programs, in one word.

SelfSubjectAccessReviewSpec:
  nonResourceAttributes NonResourceAttributes
  resourceAttributes ResourceAttributes

SelfSubjectRulesReviewSpec:
  namespace string

SubjectRulesReviewStatus:
  evaluationError string
  incomplete! bool
  nonResourceRules! []NonResourceRule
  resourceRules! []ResourceRule

NonResourceAttributes:
  path string
  verb string

ResourceAttributes:
  fieldSelector meta.FieldSelectorAttributes
  group string
  labelSelector meta.LabelSelectorAttributes
  name string
  namespace string
  resource string
  subresource string
  verb string
  version string

NonResourceRule:
  nonResourceURLs []string
  verbs! []string

ResourceRule:
  apiGroups []string
  resourceNames []string
  resources []string
  verbs! []string
"""

POLICY = """
Eviction:
  apiVersion string # The version of the schema, as GROUP/VERSION.
  deleteOptions meta.DeleteOptions
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
"""
