package main

import (
	"fmt"
	"sort"

	authenticationv1 "k8s.io/api/authentication/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	toolsevents "k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/retry"
)

// discover learns the API from the API.
func discover(w *world) error {
	client, err := discovery.NewDiscoveryClientForConfig(w.config)
	if err != nil {
		return err
	}
	version, err := client.ServerVersion()
	if err != nil {
		return err
	}
	_, lists, err := client.ServerGroupsAndResources()
	if err != nil {
		return err
	}
	preferred, err := client.ServerPreferredResources()
	if err != nil {
		return err
	}
	paths, err := client.OpenAPIV3().Paths()
	if err != nil {
		return err
	}
	document, err := paths["apis/serving.knative.dev/v1"].Schema("application/json")
	if err != nil {
		return err
	}
	mapper := restmapper.NewShortcutExpander(
		restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client)),
		memory.NewMemCacheClient(client), func(string) {})
	shortcuts := map[string]string{}
	for _, short := range []string{"ksvc", "po", "deploy", "cm", "kpa"} {
		found, err := mapper.ResourceFor(schema.GroupVersionResource{Resource: short})
		if err != nil {
			return fmt.Errorf("%s: %w", short, err)
		}
		shortcuts[short] = found.GroupResource().String()
	}
	mapping, err := mapper.RESTMapping(schema.GroupKind{Group: "serving.knative.dev", Kind: "Service"})
	if err != nil {
		return err
	}
	report("discovery", map[string]any{
		"version": version.Major + "." + version.Minor, "groupVersions": len(lists), "preferred": len(preferred),
		"openapi": len(document), "shortcuts": shortcuts, "resource": mapping.Resource.String(),
		"scope": string(mapping.Scope.Name()), "requests": len(w.requests.with("GET")),
	})
	return nil
}

// otherClients are the one for metadata alone, the one for scale, and typed patches and status.
func otherClients(w *world) error {
	client, err := metadata.NewForConfig(w.config)
	if err != nil {
		return err
	}
	if _, err := w.createConfigMap("plain", map[string]string{"a": "b"}); err != nil {
		return err
	}
	bare, err := client.Resource(corev1.SchemeGroupVersion.WithResource("configmaps")).
		Namespace(w.namespace).Get(w.ctx, "plain", metav1.GetOptions{})
	if err != nil {
		return err
	}
	list, err := client.Resource(corev1.SchemeGroupVersion.WithResource("configmaps")).
		Namespace(w.namespace).List(w.ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if err := apply(w); err != nil {
		return err
	}
	cached := memory.NewMemCacheClient(w.clients.Discovery())
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(cached)
	scales, err := scale.NewForConfig(w.config, mapper, dynamicPath, scale.NewDiscoveryScaleKindResolver(cached))
	if err != nil {
		return err
	}
	deployments := schema.GroupResource{Group: "apps", Resource: "deployments"}
	// The Deployment's own controller writes beside us.
	var found *autoscalingv1.Scale
	if err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if found, err = scales.Scales(w.namespace).Get(
			w.ctx, deployments, "applied", metav1.GetOptions{}); err != nil {
			return err
		}
		found.Spec.Replicas = 1
		found, err = scales.Scales(w.namespace).Update(w.ctx, deployments, found, metav1.UpdateOptions{})
		return err
	}); err != nil {
		return err
	}
	typed, err := w.clients.AppsV1().Deployments(w.namespace).UpdateScale(w.ctx, "applied",
		&autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: "applied", Namespace: w.namespace},
			Spec: autoscalingv1.ScaleSpec{Replicas: 0}}, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	report("others", map[string]any{
		"name": bare.Name, "listed": len(list.Items) >= 1,
		"scaled": found.Spec.Replicas, "again": typed.Spec.Replicas,
	})
	return nil
}

// dynamicPath says where a group is served.
func dynamicPath(kind schema.GroupVersionKind) string {
	if kind.Group == "" {
		return "/api"
	}
	return "/apis"
}

// inCluster is run in a pod: what it is there and may do is all it was given.
func inCluster(w *world) error {
	review, err := w.whoAmI()
	if err != nil {
		return err
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	_, denied := w.clients.CoreV1().Secrets(w.namespace).List(w.ctx, metav1.ListOptions{})
	report("in-cluster", map[string]any{
		"user": review, "tokenFile": config.BearerTokenFile, "caFile": config.CAFile,
		"denied": fmt.Sprint(denied)})
	return nil
}

// events records as controllers do: equal ones are counted, similar ones are combined.
func events(w *world) error {
	object, err := w.createConfigMap("subject", nil)
	if err != nil {
		return err
	}
	reference := &corev1.ObjectReference{
		APIVersion: "v1", Kind: "ConfigMap", Namespace: w.namespace, Name: object.Name, UID: object.UID}
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(eventSink(w))
	recorder := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "client-go"})
	for range 5 {
		recorder.Event(reference, corev1.EventTypeNormal, "Equal", "the same words")
	}
	for number := range 14 {
		recorder.Eventf(reference, corev1.EventTypeWarning, "Similar", "other words, number %d", number)
	}
	series := toolsevents.NewBroadcaster(&toolsevents.EventSinkImpl{Interface: w.clients.EventsV1()})
	if err := series.StartRecordingToSinkWithContext(w.ctx); err != nil {
		return err
	}
	modern := series.NewRecorder(scheme.Scheme, "client-go.example.com/test")
	for range 3 {
		modern.Eventf(reference, nil, corev1.EventTypeNormal, "Modern", "Testing", "in the newer form")
	}
	var counts map[string]int32
	var combined string
	if err := w.until("the events", func() bool {
		counts, combined = w.counted()
		return counts["Equal"] == 5 && counts["Similar"] == 14
	}); err != nil {
		return fmt.Errorf("%w: %v", err, counts)
	}
	var found *eventsv1.EventList
	if err := w.until("the series", func() bool {
		found, err = w.clients.EventsV1().Events(w.namespace).List(
			w.ctx, metav1.ListOptions{FieldSelector: "reason=Modern"})
		return err == nil && len(found.Items) == 1 && found.Items[0].Series != nil
	}); err != nil {
		return err
	}
	broadcaster.Shutdown()
	one := found.Items[0]
	report("events", map[string]any{
		"counts": counts, "combined": combined, "series": one.Series.Count, "note": one.Note,
		"controller": one.ReportingController, "names": w.eventNames(),
	})
	return nil
}

// counted returns how often each reason was recorded, and the words of the combined ones.
func (w *world) counted() (map[string]int32, string) {
	list, err := w.clients.CoreV1().Events(w.namespace).List(
		w.ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=subject"})
	if err != nil {
		return nil, ""
	}
	counts, combined := map[string]int32{}, ""
	for _, event := range list.Items {
		counts[event.Reason] += event.Count
		if event.Count > 1 && event.Reason == "Similar" {
			combined = event.Message
		}
	}
	return counts, combined
}

func (w *world) eventNames() int {
	list, err := w.clients.CoreV1().Events(w.namespace).List(
		w.ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=subject,reason=Similar"})
	if err != nil {
		return 0
	}
	names := []string{}
	for _, event := range list.Items {
		names = append(names, event.Name)
	}
	sort.Strings(names)
	return len(names)
}

func eventSink(w *world) record.EventSink {
	return &typedcore.EventSinkImpl{Interface: w.clients.CoreV1().Events(w.namespace)}
}

func (w *world) whoAmI() (string, error) {
	review, err := w.clients.AuthenticationV1().SelfSubjectReviews().Create(
		w.ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return review.Status.UserInfo.Username, nil
}
