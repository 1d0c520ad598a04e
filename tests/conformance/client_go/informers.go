package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	kubeinformers "k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// journal keeps what handlers were told, as "add NAME", "update NAME" and "delete NAME".
type journal struct {
	mutex   sync.Mutex
	entries []string
	resyncs int
}

func (j *journal) handler() cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) { j.note("add", object) },
		UpdateFunc: func(before, after any) {
			if versionOf(before) == versionOf(after) {
				j.mutex.Lock()
				defer j.mutex.Unlock()
				j.resyncs++
				return
			}
			j.note("update", after)
		},
		DeleteFunc: func(object any) {
			if stone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = stone.Obj
			}
			j.note("delete", object)
		},
	}
}

func (j *journal) note(what string, object any) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		panic(err)
	}
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.entries = append(j.entries, what+" "+accessor.GetName())
}

func (j *journal) has(entry string) bool {
	for _, one := range j.all() {
		if one == entry {
			return true
		}
	}
	return false
}

func (j *journal) all() []string {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return append([]string{}, j.entries...)
}

func (j *journal) resynced() int {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.resyncs
}

func versionOf(object any) string {
	accessor, err := meta.Accessor(object)
	if err != nil {
		panic(err)
	}
	return accessor.GetResourceVersion()
}

// informers watches three kinds through one factory while a Deployment comes and goes.
func informers(w *world) error {
	if _, err := w.createConfigMap("before", map[string]string{"n": "0"}); err != nil {
		return err
	}
	factory := kubeinformers.NewSharedInformerFactoryWithOptions(
		w.clients, 2*time.Second, kubeinformers.WithNamespace(w.namespace))
	maps, pods := factory.Core().V1().ConfigMaps(), factory.Core().V1().Pods()
	deployments := factory.Apps().V1().Deployments()
	var seenMaps, seenPods, seenDeployments journal
	for informer, seen := range map[cache.SharedIndexInformer]*journal{
		maps.Informer(): &seenMaps, pods.Informer(): &seenPods, deployments.Informer(): &seenDeployments,
	} {
		if _, err := informer.AddEventHandler(seen.handler()); err != nil {
			return err
		}
	}
	factory.Start(w.ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(w.ctx.Done()) {
		if !synced {
			return fmt.Errorf("the cache of %v does not fill", kind)
		}
	}
	report("synced", map[string]any{"before": seenOrListed(maps.Lister().ConfigMaps(w.namespace).Get("before"))})

	made, err := w.createConfigMap("during", map[string]string{"n": "1"})
	if err != nil {
		return err
	}
	api := w.clients.CoreV1().ConfigMaps(w.namespace)
	made.Data["n"] = "2"
	if _, err := api.Update(w.ctx, made, metav1.UpdateOptions{}); err != nil {
		return err
	}
	if err := w.until("the update", func() bool {
		cached, err := maps.Lister().ConfigMaps(w.namespace).Get("during")
		return err == nil && cached.Data["n"] == "2"
	}); err != nil {
		return err
	}
	if err := api.Delete(w.ctx, "during", metav1.DeleteOptions{}); err != nil {
		return err
	}
	if err := w.until("the delete", func() bool { return seenMaps.has("delete during") }); err != nil {
		return err
	}

	var deployment appsv1.Deployment
	if err := w.decode(&deployment); err != nil {
		return err
	}
	name := deployment.Name
	if _, err := w.clients.AppsV1().Deployments(w.namespace).Create(
		w.ctx, &deployment, metav1.CreateOptions{}); err != nil {
		return err
	}
	if err := w.until("a ready Deployment", func() bool {
		cached, err := deployments.Lister().Deployments(w.namespace).Get(name)
		return err == nil && cached.Status.ReadyReplicas == *cached.Spec.Replicas
	}); err != nil {
		return err
	}
	running, err := pods.Lister().Pods(w.namespace).List(labels.SelectorFromSet(deployment.Spec.Selector.MatchLabels))
	if err != nil {
		return err
	}
	phases := []corev1.PodPhase{}
	for _, pod := range running {
		phases = append(phases, pod.Status.Phase)
	}
	background := metav1.DeletePropagationBackground
	if err := w.clients.AppsV1().Deployments(w.namespace).Delete(
		w.ctx, name, metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		return err
	}
	if err := w.until("the end of its pods", func() bool {
		left, err := pods.Lister().Pods(w.namespace).List(labels.Everything())
		return err == nil && len(left) == 0 && seenDeployments.has("delete "+name)
	}); err != nil {
		return err
	}
	if err := w.until("a resync", func() bool { return seenMaps.resynced() > 0 }); err != nil {
		return err
	}
	report("journal", map[string]any{
		"configMaps": without(seenMaps.all(), "kube-root-ca.crt"),
		"phases":     phases,
		"pods":       seenPods.all(),
		"lists":      w.requests.with("GET", "/configmaps?", "limit="),
		"streams":    w.requests.with("GET", "/configmaps?", "watch=true", "sendInitialEvents=true"),
		"watches":    w.requests.with("GET", "/configmaps?", "watch=true"),
	})
	return nil
}

func seenOrListed(object *corev1.ConfigMap, err error) string {
	if err != nil {
		return err.Error()
	}
	return object.Name
}

func without(entries []string, name string) []string {
	kept := []string{}
	for _, entry := range entries {
		if entry != "add "+name && entry != "update "+name {
			kept = append(kept, entry)
		}
	}
	return kept
}

var services = schema.GroupVersionResource{
	Group: "serving.knative.dev", Version: "v1", Resource: "services"}

// dynamicInformer follows a Knative Service without its types.
func dynamicInformer(w *world) error {
	client, err := dynamic.NewForConfig(w.config)
	if err != nil {
		return err
	}
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(client, 0, w.namespace, nil)
	informer := factory.ForResource(services)
	var seen journal
	if _, err := informer.Informer().AddEventHandler(seen.handler()); err != nil {
		return err
	}
	factory.Start(w.ctx.Done())
	factory.WaitForCacheSync(w.ctx.Done())
	var manifest map[string]any
	if err := w.decode(&manifest); err != nil {
		return err
	}
	object := &unstructured.Unstructured{Object: manifest}
	api := client.Resource(services).Namespace(w.namespace)
	if _, err := api.Create(w.ctx, object, metav1.CreateOptions{}); err != nil {
		return err
	}
	var url string
	if err := w.until("a ready Service", func() bool {
		cached, err := informer.Lister().ByNamespace(w.namespace).Get(object.GetName())
		if err != nil {
			return false
		}
		service := cached.(*unstructured.Unstructured)
		url, _, _ = unstructured.NestedString(service.Object, "status", "url")
		return conditionOf(service, "Ready") == "True"
	}); err != nil {
		return err
	}
	if err := api.Delete(w.ctx, object.GetName(), metav1.DeleteOptions{}); err != nil {
		return err
	}
	if err := w.until("the delete", func() bool { return seen.has("delete " + object.GetName()) }); err != nil {
		return err
	}
	entries := seen.all()
	report("journal", map[string]any{"url": url, "first": entries[0], "last": entries[len(entries)-1]})
	return nil
}

func conditionOf(object *unstructured.Unstructured, kind string) string {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, one := range conditions {
		condition, _ := one.(map[string]any)
		if condition["type"] == kind {
			return fmt.Sprint(condition["status"])
		}
	}
	return ""
}

// restart watches while the API server is killed and comes back; the writes in between and after
// are somebody else's.
func restart(w *world) error {
	factory := kubeinformers.NewSharedInformerFactoryWithOptions(
		w.clients, 0, kubeinformers.WithNamespace(w.namespace))
	maps := factory.Core().V1().ConfigMaps()
	var seen journal
	if _, err := maps.Informer().AddEventHandler(seen.handler()); err != nil {
		return err
	}
	factory.Start(w.ctx.Done())
	factory.WaitForCacheSync(w.ctx.Done())
	report("synced", nil)
	for w.input.Scan() { // each line is an entry to wait for
		entry := w.input.Text()
		if err := w.until(entry, func() bool { return seen.has(entry) }); err != nil {
			return err
		}
		report("saw", map[string]any{"entry": entry})
	}
	report("journal", map[string]any{
		"entries": without(seen.all(), "kube-root-ca.crt"),
		"cached":  len(maps.Informer().GetStore().ListKeys()),
		"failed":  len(w.requests.with("/configmaps?", " 0 ")),
	})
	return nil
}

// gone watches from a version that the server has forgotten, and has a reflector get over one: the
// server forgets while its list is on the way.
func gone(w *world) error {
	first, err := w.createConfigMap("a", nil)
	if err != nil {
		return err
	}
	if err := w.forget(); err != nil {
		return err
	}
	api := w.clients.CoreV1().ConfigMaps(w.namespace)
	stream, err := api.Watch(w.ctx, metav1.ListOptions{ResourceVersion: first.ResourceVersion})
	if err == nil {
		event := <-stream.ResultChan()
		err = apierrors.FromObject(event.Object)
		stream.Stop()
	}
	lists := 0
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			lists++
			list, err := api.List(ctx, options)
			if err == nil && lists == 1 {
				err = w.forget()
			}
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return api.Watch(ctx, options)
		},
	}
	store := cache.NewStore(cache.MetaNamespaceKeyFunc)
	reflector := cache.NewReflector(source, &corev1.ConfigMap{}, store, 0)
	go reflector.Run(w.ctx.Done())
	recovered := ""
	if err := w.until("a second list", func() bool {
		object, found, _ := store.GetByKey(w.namespace + "/a")
		if found {
			recovered = object.(*corev1.ConfigMap).Data["n"]
		}
		return lists > 1 && recovered == fmt.Sprint(forgetful-1)
	}); err != nil {
		return err
	}
	report("gone", map[string]any{
		"expired": apierrors.IsResourceExpired(err) || apierrors.IsGone(err), "lists": lists})
	return nil
}

const forgetful = 12

// forget writes more than the server remembers.
func (w *world) forget() error {
	for number := range forgetful {
		patch, err := json.Marshal(map[string]any{"data": map[string]string{
			"n": fmt.Sprint(number), "text": strings.Repeat("x", 900_000)}})
		if err != nil {
			return err
		}
		if _, err := w.clients.CoreV1().ConfigMaps(w.namespace).Patch(
			w.ctx, "a", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	return nil
}
