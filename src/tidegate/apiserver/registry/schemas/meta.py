"""Schemas of metadata and the other parts that all kinds share."""

from __future__ import annotations

META = """
ObjectMeta: What every stored object has.
  annotations {}string # Free-form data for tools; not for selection.
  creationTimestamp time # When the object was made. Set by the server.
  deletionGracePeriodSeconds int64 # Seconds the object has to end. Set by the server.
  deletionTimestamp time # When the object is to be gone. Set by the server.
  finalizers []string set # Who must have finished before the object goes.
  generateName string # Prefix of a name that the server completes.
  generation int64 # Counts the changes of what is wanted. Set by the server.
  labels {}string # Keys and values by which objects are selected.
  managedFields []ManagedFieldsEntry # Which manager set which fields. Kept by the server.
  name string # Unique among the objects of a kind in a namespace; cannot be changed.
  namespace string # The scope of the name; cannot be changed.
  ownerReferences []OwnerReference key=uid # The objects with which this one is deleted.
  resourceVersion string # Changes with every write. Set by the server.
  selfLink string # No longer used.
  uid string # Unique in time and space. Set by the server.

OwnerReference: An object that this one belongs to.
  apiVersion! string
  blockOwnerDeletion bool
  controller bool
  kind! string
  name! string
  uid! string

ManagedFieldsEntry: The fields that one manager has set.
  apiVersion string
  fieldsType string
  fieldsV1 any
  manager string
  operation string
  subresource string
  time time

LabelSelector: Selects objects by their labels; all requirements must hold.
  matchExpressions []LabelSelectorRequirement # Further requirements.
  matchLabels {}string # Labels that must be there with these values.

LabelSelectorRequirement: One requirement on the labels of an object.
  key! string
  operator! string
  values []string

ListMeta:
  continue string
  remainingItemCount int64
  resourceVersion string
  selfLink string

DeleteOptions:
  apiVersion string
  dryRun []string
  gracePeriodSeconds int64
  ignoreStoreReadErrorWithClusterBreakingPotential bool
  kind string
  orphanDependents bool
  preconditions Preconditions
  propagationPolicy string

Preconditions:
  resourceVersion string
  uid string

Status:
  apiVersion string # The version of the schema, as GROUP/VERSION.
  code int32
  details StatusDetails
  kind string # The kind of the object.
  message string # For people.
  metadata ListMeta
  reason string # For programs, in one word.
  status string # Success or Failure.

StatusDetails:
  causes []StatusCause
  group string
  kind string
  name string
  retryAfterSeconds int32
  uid string

StatusCause:
  field string
  message string # For people.
  reason string # For programs, in one word.

Condition: One aspect of an object's state.
  lastTransitionTime! time # When the status last changed.
  message! string # For people.
  observedGeneration int64 # The generation that the controller has seen.
  reason! string # For programs, in one word.
  status! string # True, False or Unknown.
  type! string

FieldSelectorAttributes:
  rawSelector string
  requirements []FieldSelectorRequirement

FieldSelectorRequirement:
  key! string
  operator! string
  values []string

LabelSelectorAttributes:
  rawSelector string
  requirements []LabelSelectorRequirement
"""
