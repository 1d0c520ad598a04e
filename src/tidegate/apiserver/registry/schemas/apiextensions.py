"""Schemas of the group apiextensions.k8s.io."""

from __future__ import annotations

APIEXTENSIONS = """
CustomResourceDefinition: Makes the API serve a further kind.
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  spec! CustomResourceDefinitionSpec # What is wanted.
  status CustomResourceDefinitionStatus # What is.

CustomResourceDefinitionSpec:
  conversion CustomResourceConversion
  group! string
  names! CustomResourceDefinitionNames
  preserveUnknownFields bool
  scope! string
  versions! []CustomResourceDefinitionVersion

CustomResourceDefinitionStatus:
  acceptedNames CustomResourceDefinitionNames
  conditions []CustomResourceDefinitionCondition map=type # Aspects of the state.
  observedGeneration int64 # The generation that the controller has seen.
  storedVersions []string

CustomResourceConversion:
  strategy! string
  webhook WebhookConversion

CustomResourceDefinitionNames:
  categories []string
  kind! string
  listKind string
  plural! string
  shortNames []string
  singular string

CustomResourceDefinitionVersion:
  additionalPrinterColumns []CustomResourceColumnDefinition
  deprecated bool
  deprecationWarning string
  name! string
  schema CustomResourceValidation
  selectableFields []SelectableField
  served! bool
  storage! bool
  subresources CustomResourceSubresources

CustomResourceDefinitionCondition:
  lastTransitionTime time # When the status last changed.
  message string # For people.
  observedGeneration int64 # The generation that the controller has seen.
  reason string # For programs, in one word.
  status! string # True, False or Unknown.
  type! string

WebhookConversion:
  clientConfig WebhookClientConfig
  conversionReviewVersions! []string

CustomResourceColumnDefinition:
  description string
  format string
  jsonPath! string
  name! string
  priority int32
  type! string

CustomResourceValidation:
  openAPIV3Schema JSONSchemaProps

SelectableField:
  jsonPath! string

CustomResourceSubresources:
  scale CustomResourceSubresourceScale
  status any # Serves the subresource status.

WebhookClientConfig:
  caBundle bytes
  service ServiceReference
  url string

JSONSchemaProps:
  $ref string
  $schema string
  additionalItems any
  additionalProperties any
  allOf []JSONSchemaProps
  anyOf []JSONSchemaProps
  default any
  definitions {}JSONSchemaProps
  dependencies {}any
  description string
  enum []any
  example any
  exclusiveMaximum bool
  exclusiveMinimum bool
  externalDocs ExternalDocumentation
  format string
  id string
  items any
  maxItems int64
  maxLength int64
  maxProperties int64
  maximum number
  minItems int64
  minLength int64
  minProperties int64
  minimum number
  multipleOf number
  not JSONSchemaProps
  nullable bool
  oneOf []JSONSchemaProps
  pattern string
  patternProperties {}JSONSchemaProps
  properties {}JSONSchemaProps
  required []string
  title string
  type string
  uniqueItems bool
  x-kubernetes-embedded-resource bool
  x-kubernetes-int-or-string bool
  x-kubernetes-list-map-keys []string
  x-kubernetes-list-type string
  x-kubernetes-map-type string
  x-kubernetes-preserve-unknown-fields bool
  x-kubernetes-validations []ValidationRule

CustomResourceSubresourceScale:
  labelSelectorPath string
  specReplicasPath! string
  statusReplicasPath! string

ServiceReference:
  name! string
  namespace! string
  path string
  port int32

ExternalDocumentation:
  description string
  url string

ValidationRule:
  fieldPath string
  message string # For people.
  messageExpression string
  optionalOldSelf bool
  reason string # For programs, in one word.
  rule! string
"""
