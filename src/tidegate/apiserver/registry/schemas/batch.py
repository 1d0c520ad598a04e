"""Schemas of the group batch."""

from __future__ import annotations

BATCH = """
Job: Runs pods until as many as wanted have succeeded.
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  spec JobSpec # What is wanted.
  status JobStatus # What is.

JobSpec: The pods to run, and when the job has succeeded or failed.
  activeDeadlineSeconds int64 # Seconds from its start after which an unfinished job fails.
  backoffLimit int32 # Failed pods that are still tried again. Defaults to 6.
  backoffLimitPerIndex int32 # Failures of each index that are still tried again.
  completionMode string # NonIndexed or Indexed. Defaults to NonIndexed.
  completions int32 # Pods that must succeed; without it one that succeeds ends the job.
  manualSelector bool # Whether selector is the user's; normally it is generated.
  managedBy string # Who runs the job; others than kubernetes.io/job-controller are left to it.
  maxFailedIndexes int32 # Failed indexes beyond which the job fails at once.
  parallelism int32 # The most pods at once. Defaults to 1.
  podFailurePolicy PodFailurePolicy # Which failures end the job at once or do not count.
  podReplacementPolicy string # TerminatingOrFailed, or Failed to wait for the end of old pods.
  selector meta.LabelSelector # The pods that belong to it; generated.
  successPolicy SuccessPolicy # Which indexes are enough for the job to succeed.
  suspend bool # Whether no pods are to run for now.
  template! core.PodTemplateSpec # The pods to make; restartPolicy is Never or OnFailure.
  ttlSecondsAfterFinished int32 # Seconds after its end at which the job is deleted.

PodFailurePolicy: What becomes of failures; the first rule that matches counts.
  rules! []PodFailurePolicyRule atomic

PodFailurePolicyRule: What becomes of a failure that matches.
  action! string # FailJob, FailIndex, Ignore or Count.
  onExitCodes PodFailurePolicyOnExitCodesRequirement # A container has ended with such a code.
  onPodConditions []PodFailurePolicyOnPodConditionsPattern atomic # The pod has one of these.

PodFailurePolicyOnExitCodesRequirement: Exit codes of containers that have failed.
  containerName string # Which container; without it any.
  operator! string # In or NotIn.
  values! []int32 set # The codes.

PodFailurePolicyOnPodConditionsPattern: A condition of a pod.
  status! string # Defaults to True.
  type! string

SuccessPolicy: When an Indexed job has succeeded before all indexes have; one rule is enough.
  rules! []SuccessPolicyRule atomic

SuccessPolicyRule: Which indexes must have succeeded.
  succeededCount int32 # How many of succeededIndexes, or of all.
  succeededIndexes string # Which, as in 1,3-5,7.

JobStatus: How far a job has come.
  active int32 # Pods that run or wait.
  completedIndexes string # Indexes that have succeeded, as in 1,3-5,7.
  completionTime time # When the job succeeded.
  conditions []JobCondition atomic # Aspects of the state.
  failed int32 # Pods that have failed.
  failedIndexes string # Indexes that are not tried again, as in 1,3-5,7.
  ready int32 # Active pods that are ready.
  startTime time # When the job was started or resumed.
  succeeded int32 # Pods that have succeeded.
  terminating int32 # Pods that are being deleted.
  uncountedTerminatedPods UncountedTerminatedPods

JobCondition: One aspect of a job's state.
  lastProbeTime time # When it was last looked at.
  lastTransitionTime time # When the status last changed.
  message string # For people.
  reason string # For programs, in one word.
  status! string # What is.
  type! string # Complete, Failed, Suspended, SuccessCriteriaMet or FailureTarget.

UncountedTerminatedPods: Pods that have ended and are about to be counted, by uid.
  failed []string set
  succeeded []string set
"""
